//! Archives into the store.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{self, CWD, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::archive::Archive;
use super::config::ImageConfig;
use super::fault::{Fault, Outcome};
use super::pipeline::{self, Counters, Report, Stream};
use super::source::{Loaded, Record, is_same, settled};
use super::store::{Store, Workspace};
use super::unpack::Unpack;
use crate::{Error, ErrorCode, Result};

/// The archive at `path` as an image. Whoever wants the same file at the same time waits for the one that is first.
pub(super) fn file(store: &Store, path: &Path, report: Report<'_>) -> Result<(String, Loaded)> {
    let archive = path.to_string_lossy();
    let fd = open(path)?;
    let stat = fs::fstat(&fd).map_err(|errno| Error::system("look at", &archive, errno.raw_os_error()))?;
    if stat.st_size == 0 {
        return Err(bad(&archive, "the file is empty"));
    }
    let lock = format!("tmp/lock-{:x}-{:x}", stat.st_dev, stat.st_ino);
    let mut go_on = || report(pipeline::Progress::default());
    let _lock = store.lock(&lock, false, &mut go_on)?;
    if let Some(known) = store.seen(&stat)? {
        return Ok(known);
    }

    let (before, is_settled) =
        settled(&fd).map_err(|errno| Error::system("look at", &archive, errno.raw_os_error()))?;
    let again = fd.try_clone().map_err(|error| Error::io("open", &archive, &error))?;
    let source = pipeline::Source {
        input: Box::new(File::from(fd)),
        total: u64::try_from(before.st_size).unwrap_or(0),
        hash_blob: false,
    };
    let (digest, loaded) = rootfs(store, &archive, source, report)?;
    let after = fs::fstat(&again).map_err(|errno| Error::system("look at", &archive, errno.raw_os_error()))?;
    if !is_same(&before, &after) {
        return Err(bad(&archive, "it was changed while it was read"));
    }
    if is_settled {
        store.remember(&before, &digest);
    }
    Ok((digest, loaded))
}

/// An archive that holds a root file system as an image of one layer.
fn rootfs(store: &Store, archive: &str, source: pipeline::Source<'_>, report: Report<'_>) -> Result<(String, Loaded)> {
    let _import = store.lock("lock", true, &mut || true)?;
    store.sweep()?;
    let workspace = store.workspace()?;
    let unpacked = pipeline::run(source, &store.limits, report, |stream, counters, own_umask| {
        layer(store, &workspace, stream, counters, own_umask)
    });
    let unpacked = unpacked.map_err(|fault| fault.into_error(archive))?;
    let tally = unpacked.value;
    if tally.entries == 0 {
        return Err(bad(archive, "the archive is empty"));
    }
    if !tally.has_end && !unpacked.compression.vouches_for_length() {
        return Err(Fault::cut_off(b"").into_error(archive));
    }
    let digest = hex(&unpacked.digest);
    let failed = |fault: Fault| fault.into_error(&store.path().to_string_lossy());
    publish_layer(store, &workspace, &digest).map_err(failed)?;
    let record = Record {
        layers: vec![digest.clone()],
        config: ImageConfig::default(),
        size: unpacked.bytes,
        created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs()),
    };
    publish_image(store, &workspace, &digest, &record).map_err(failed)?;
    let loaded = store.load(&digest)?.ok_or_else(|| failed(Fault::system("find an image", b"", Errno::NOENT)))?;
    Ok((digest, loaded))
}

/// What the end of a layer's archive tells.
struct Tally {
    entries: u64,
    has_end: bool,
}

/// Unpacks one archive into "layer" in the workspace.
fn layer(
    store: &Store,
    workspace: &Workspace<'_>,
    stream: &mut Stream<'_>,
    counters: &Counters,
    own_umask: bool,
) -> Outcome<Tally> {
    let failed = |errno| Fault::system("create a directory for", b"", errno);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = |parent, name: &str| -> std::result::Result<OwnedFd, Errno> {
        fs::mkdirat(parent, name, Mode::RWXU)?;
        fs::openat(parent, name, flags, Mode::empty())
    };
    let layer = directory(workspace.fd(), "layer").map_err(failed)?;
    let tree = directory(layer.as_fd(), "fs").map_err(failed)?;
    let mut unpack = Unpack::new(tree, layer.as_fd(), &store.limits, own_umask)?;
    let mut archive = Archive::new(stream, &store.limits);
    while let Some(entry) = archive.next()? {
        unpack.entry(&entry, &mut archive)?;
        counters.entry();
    }
    unpack.finish()?;
    Ok(Tally { entries: archive.entries(), has_end: archive.has_end() })
}

/// Moves the finished layer to its place; one that is there already is the same.
fn publish_layer(store: &Store, workspace: &Workspace<'_>, digest: &str) -> Outcome<()> {
    let failed = |errno| Fault::system("keep a layer in", b"", errno);
    let root = store.root().ok().flatten().ok_or_else(|| failed(Errno::NOENT))?;
    let place = format!("layers/{digest}");
    match fs::renameat_with(workspace.fd(), "layer", root, &place, RenameFlags::NOREPLACE) {
        Ok(()) | Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(()),
        // A file system without RENAME_NOREPLACE: a directory that is not empty is never replaced.
        Err(Errno::INVAL) => match fs::renameat(workspace.fd(), "layer", root, &place) {
            Ok(()) | Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(()),
            Err(errno) => Err(failed(errno)),
        },
        Err(errno) => Err(failed(errno)),
    }
}

/// Writes the image's record. One that is there already stays: its lock is what says that it is in use.
fn publish_image(store: &Store, workspace: &Workspace<'_>, digest: &str, record: &Record) -> Outcome<()> {
    let failed = |errno| Fault::system("write an image to", b"", errno);
    let text = serde_json::to_vec(record).map_err(|_| failed(Errno::INVAL))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let fd = fs::openat(workspace.fd(), "image", flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
    File::from(fd)
        .write_all(&text)
        .map_err(|error| failed(error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)))?;
    let root = store.root().ok().flatten().ok_or_else(|| failed(Errno::NOENT))?;
    match fs::linkat(workspace.fd(), "image", root, format!("images/{digest}"), fs::AtFlags::empty()) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(failed(errno)),
    }
}

/// Opens without waiting for whoever is at the other end of a fifo, and without becoming a terminal's owner.
fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = fs::openat(CWD, path, flags, Mode::empty())
        .map_err(|errno| Error::system("open the image", path.display(), errno.raw_os_error()))?;
    match fs::fstat(&fd) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => Ok(fd),
        _ => Err(bad(&path.to_string_lossy(), "it is no regular file")),
    }
}

fn bad(archive: &str, why: &str) -> Error {
    Error::new(ErrorCode::BadImage, "import", archive, libc::EINVAL, why)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
