//! Archives into the store.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use ctr_wire::{RANGE, SHARED_RANGE};
use nix::errno::Errno;

use super::archive::Archive;
use super::config::ImageConfig;
use super::digest::Digest;
use super::fault::{Fault, Outcome};
use super::flat;
use super::give;
use super::known::{Known, MAX_RECORD, Record, Select, is_same, settled};
use super::layout::{self, Wanted};
use super::limits::{Limits, Used};
use super::pipeline::{self, Counters, Course, Report, Stream};
use super::recorder::Recorder;
use super::rights::Rights;
use super::store::{Lock, ROOT, Store, Workspace};
use super::unpack::Unpack;
use crate::sys::fs::{self, AT_FDCWD, AtFlags, FileStat, FileType, Mode, OFlag};
use crate::{Error, ErrorCode, Result, Step};

/// The archive at `path` as an image. Whoever wants the same file at the same time waits for the one that is first.
pub(super) fn file(store: &Store, path: &Path, select: Select<'_>, report: Report<'_>) -> Result<Known> {
    let archive = path.to_string_lossy();
    let fd = open(path)?;
    let look = |errno: Errno| Error::system(Step::LookAt, &archive, errno as i32);
    let stat = fs::fstat(&fd).map_err(look)?;
    if stat.st_size == 0 {
        return Err(bad(&archive, "the file is empty").with_hint("was it written to its end?"));
    }
    once(store, &fd, select, &archive, report, |before, report| {
        let source = pipeline::Source {
            input: Box::new(File::from(fd.try_clone().map_err(|error| Error::io(Step::Open, &archive, &error))?)),
            total: u64::try_from(before.st_size).unwrap_or(0),
            hash_blob: false,
        };
        stream(store, &archive, source, select, report)
    })
}

/// An OCI image layout in a directory. Its index says by digest all that is in it, so that file is what it is known by.
pub(super) fn directory(store: &Store, path: &Path, select: Select<'_>, report: Report<'_>) -> Result<Known> {
    let name = path.to_string_lossy();
    let open = |errno: Errno| Error::system(Step::OpenImage, &name, errno as i32);
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory = fs::openat(AT_FDCWD, path, flags, Mode::empty()).map_err(open)?;
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let index = fs::openat(&directory, "index.json", flags, Mode::empty()).map_err(open)?;
    once(store, &index, select, &name, report, |_, report| {
        Importing::run(store, |importing| layout(importing, directory.as_fd(), &name, select, &mut Course::new(report)))
    })
}

/// Imports what `fd` identifies, unless someone else has done so meanwhile, and remembers it where that can be relied on.
fn once(
    store: &Store,
    fd: &OwnedFd,
    select: Select<'_>,
    archive: &str,
    report: Report<'_>,
    import: impl FnOnce(&FileStat, Report<'_>) -> Result<Known>,
) -> Result<Known> {
    let look = |errno: Errno| Error::system(Step::LookAt, archive, errno as i32);
    let stat = fs::fstat(fd).map_err(look)?;
    let lock = format!("tmp/lock-{:x}-{:x}", stat.st_dev, stat.st_ino);
    let _lock = store.lock(&lock, false, &mut || report(pipeline::Progress::default()))?;
    if let Some(known) = store.seen(&stat, select)? {
        return Ok(known);
    }
    let (before, is_settled) = settled(fd).map_err(look)?;
    let known = import(&before, report)?;
    if !is_same(&before, &fs::fstat(fd).map_err(look)?) {
        return Err(bad(archive, "it was changed while it was read"));
    }
    if is_settled {
        store.remember(&before, select, &known.0);
    }
    Ok(known)
}

/// An import that is under way: no layer is removed meanwhile, and what it has made so far goes if it fails.
pub(super) struct Importing<'s> {
    pub store: &'s Store,
    pub workspace: Workspace<'s>,
    pub rights: Arc<Rights>,
    used: Used,
    _lock: Lock<'s>,
}

impl<'s> Importing<'s> {
    pub fn run(store: &'s Store, import: impl FnOnce(&Self) -> Result<Known>) -> Result<Known> {
        let answer = Self::begin(store).and_then(|importing| import(&importing));
        if answer.is_err() {
            // Layers that were finished before the one that failed; why it failed is the better story.
            _ = store.collect();
        }
        answer
    }

    pub fn begin(store: &'s Store) -> Result<Self> {
        let lock = store.lock("lock", true, &mut || true)?;
        store.sweep()?;
        Ok(Self {
            store,
            workspace: store.workspace()?,
            rights: Rights::of_this_user(),
            used: Used::default(),
            _lock: lock,
        })
    }

    /// What it may take, and what it has taken.
    pub fn bounds(&self) -> (&Limits, &Used) {
        (&self.store.limits, &self.used)
    }
}

/// An archive of a root file system, as an image of one layer; or an archive of images.
pub(super) fn stream(
    store: &Store,
    archive: &str,
    source: pipeline::Source<'_>,
    select: Select<'_>,
    report: Report<'_>,
) -> Result<Known> {
    Importing::run(store, |importing| archive_of_any_kind(importing, archive, source, select, report))
}

fn archive_of_any_kind(
    importing: &Importing<'_>,
    archive: &str,
    source: pipeline::Source<'_>,
    select: Select<'_>,
    report: Report<'_>,
) -> Result<Known> {
    let store = importing.store;
    let fault = |fault: Fault| fault.into_error(archive);
    let course = &mut Course::new(report);
    let unpacked =
        pipeline::run(source, importing.bounds(), &mut |at| course.say(at), |stream, counters, own_umask| {
            let taking = Taking { strip: select.strip, may_be_layout: true, ..Taking::default() };
            layer(importing, "layer", taking, stream, counters, own_umask)
        })
        .map_err(fault)?;
    let tally = unpacked.value;
    if tally.entries == 0 {
        return Err(bad(archive, "the archive is empty"));
    }
    if select.strip > 0 && tally.named == 0 {
        return Err(bad(archive, &format!("no name in it has more components than the {} to strip", select.strip)));
    }
    if layout::is_layout(tally.tree.as_fd()) {
        importing.used.layers_follow();
        return layout(importing, tally.tree.as_fd(), archive, select, course);
    }
    if layout::is_before_manifests(tally.tree.as_fd()) {
        let why = "it was saved by a docker before 1.10, and has no manifest.json";
        return Err(bad(archive, why).with_hint("load it into a newer docker and save it again"));
    }
    course.complete();
    if let Some(reference) = select.reference {
        return Err(bad(archive, &format!("it is one root file system, so there is no image {reference} in it")));
    }
    if let Some(platform) = select.platform {
        return Err(bad(archive, &format!("it is one root file system, which does not say that it is for {platform}")));
    }
    let digest = match select.strip {
        0 => Digest::from_bytes(unpacked.digest),
        strip => {
            Digest::of(format!("{strip} components stripped from {}", Digest::from_bytes(unpacked.digest)).as_bytes())
        }
    };
    publish_layer(importing, "layer", digest).map_err(fault)?;
    let layers = vec![digest.hex()];
    let root = store.root_of(&layers);
    let record = Record { root, ..Record::new(layers, ImageConfig::default(), store.layer_size(&digest.hex())) };
    publish_image(importing, digest, &record)
}

/// The image in a layout, layer by layer; those that the store has are not read.
fn layout(
    importing: &Importing<'_>,
    directory: BorrowedFd,
    archive: &str,
    select: Select<'_>,
    course: &mut Course<'_>,
) -> Result<Known> {
    let store = importing.store;
    let fault = |fault: Fault| fault.into_error(archive);
    let wanted = Wanted { reference: select.reference, platform: select.platform };
    let found = layout::find(directory, wanted, &store.limits, &mut || course.ask()).map_err(fault)?;
    if found.layers.len() > store.limits.layers {
        let why = format!("an image of {} layers", found.layers.len());
        return Err(Fault::over(b"", "layers", why).into_error(archive));
    }
    let files: Vec<File> = found
        .layers
        .iter()
        .map(|layer| layer.open(directory).map(File::from))
        .collect::<Outcome<_>>()
        .map_err(fault)?;
    let length = |file: &File| file.metadata().map_or(0, |metadata| metadata.len());
    course.begin(files.iter().map(length).sum());
    let mut layers = Vec::new();
    for (number, ((layer, file), &diff_id)) in
        found.layers.iter().zip(files).zip(&found.description.diff_ids).enumerate()
    {
        let hex = diff_id.hex();
        let lock = format!("tmp/lock-{hex}");
        let _lock = store.lock(&lock, false, &mut || course.ask())?;
        let total = length(&file);
        if !store.has_layer(&hex)? {
            blob(importing, number, layer, diff_id, file, course).map_err(fault)?;
        }
        course.done(total);
        layers.push(hex);
    }
    if !course.complete() {
        return Err(fault(Fault::Cancelled));
    }
    compose(importing, archive, found.digest, layers, found.description.config, found.document)
}

/// An image of layers that the store has, lowest first.
pub(super) fn compose(
    importing: &Importing<'_>,
    archive: &str,
    digest: Digest,
    all: Vec<String>,
    config: ImageConfig,
    document: String,
) -> Result<Known> {
    let store = importing.store;
    let (mut layers, mut size) = (Vec::<String>::new(), 0);
    for hex in all {
        size += store.layer_size(&hex);
        if store.is_opaque(&hex) {
            // Nothing below it is seen; overlayfs does not heed this mark on a root.
            layers.clear();
        }
        // Overlayfs takes no layer twice. All that the lower one of two adds, the upper one covers.
        layers.retain(|known| *known != hex);
        layers.push(hex);
    }
    if layers.is_empty() {
        return Err(bad(archive, "an image without layers"));
    }
    let root = store.root_of(&layers);
    let mut record = Record { document: Some(document), root, ..Record::new(layers, config, size) };
    store.give_known(&record.layers, &importing.rights)?;
    if record.layers.len() > flat::MAX_LAYERS {
        match flatten(importing, &record.layers) {
            Ok(tree) => record.parts = std::mem::replace(&mut record.layers, vec![tree]),
            Err(fault) if flat::is_only_links(&fault) => {}
            Err(fault) => return Err(fault.into_error(archive)),
        }
    }
    publish_image(importing, digest, &record)
}

/// One tree of many layers; the one that is there already is the same.
fn flatten(importing: &Importing<'_>, layers: &[String]) -> Outcome<String> {
    let name = flat::name(layers);
    let failed = |errno| Fault::system(Step::CreateDirectoryFor, b"", errno);
    let workspace = importing.workspace.fd();
    fs::mkdirat(workspace, "flat", Mode::S_IRWXU).map_err(failed)?;
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let place = fs::openat(workspace, "flat", flags, Mode::empty()).map_err(failed)?;
    flat::make(importing.store, layers, place.as_fd(), &importing.rights)?;
    let digest = Digest::from_hex(&name).ok_or_else(|| failed(Errno::EINVAL))?;
    publish_layer(importing, "flat", digest)?;
    Ok(name)
}

/// Unpacks one layer of a layout and checks it against both its digests.
fn blob(
    importing: &Importing<'_>,
    number: usize,
    layer: &layout::Layer,
    diff_id: Digest,
    file: File,
    course: &mut Course<'_>,
) -> Outcome<()> {
    let total = file.metadata().map_err(Fault::read)?.len();
    let source = pipeline::Source { input: Box::new(file), total, hash_blob: layer.blob.is_some() };
    let name = format!("layer-{number}");
    let unpacked =
        pipeline::run(source, importing.bounds(), &mut |at| course.layer(at), |stream, counters, own_umask| {
            let taking = Taking { splits: true, ..Taking::default() };
            self::layer(importing, &name, taking, stream, counters, own_umask)
        })?;
    if let (Some((stated, size)), Some(real)) = (layer.blob, unpacked.blob_digest)
        && (stated != Digest::from_bytes(real) || size != total)
    {
        return Err(Fault::bad(stated.to_string().as_bytes(), "the layer's content has another digest or size"));
    }
    if Digest::from_bytes(unpacked.digest) != diff_id {
        return Err(Fault::bad(diff_id.to_string().as_bytes(), "the layer unpacks to another digest (DiffID)"));
    }
    publish_layer(importing, &name, diff_id)
}

/// What the end of a layer's archive tells.
pub(super) struct Tally {
    entries: u64,
    named: u64,
    tree: OwnedFd,
}

/// How one archive is unpacked.
#[derive(Clone, Copy, Default)]
pub(super) struct Taking {
    /// Components that every name loses.
    pub strip: usize,
    /// Others know it by its digest, so it must be possible to write it again: see `split`.
    pub splits: bool,
    /// Its files are to have the owners of the range that is shared: see `shifted`.
    pub shifted: bool,
    /// It may be an archive of images, whose layers are another piece of work.
    pub may_be_layout: bool,
}

/// Unpacks one archive into `name` in the workspace.
pub(super) fn layer(
    importing: &Importing<'_>,
    name: &str,
    taking: Taking,
    stream: &mut Stream<'_>,
    counters: &Counters,
    own_umask: bool,
) -> Outcome<Tally> {
    let limits = importing.bounds().0;
    let mut counts = (0, 0);
    let tree = made(importing, name, own_umask, &mut || counters.check().map_err(Fault::read), |unpack, layer| {
        let recorder = taking.splits.then(|| Recorder::create(layer)).transpose()?;
        let mut archive = Archive::new(stream, limits).stripped(taking.strip).recorded(recorder);
        while let Some(mut entry) = archive.next()? {
            if taking.shifted {
                (entry.uid, entry.gid) = (shift(entry.uid), shift(entry.gid));
            }
            if taking.may_be_layout && archive.entries() == 1 && layout::looks_like_layout(&entry.path) {
                counters.half();
            }
            // A piece of an archive may have thousands of entries, and each may take its time.
            counters.check().map_err(Fault::read)?;
            unpack.entry(&entry, &mut archive)?;
            counters.entry();
        }
        archive.finish()?;
        counts = (archive.entries(), archive.named());
        Ok(archive.content())
    })?;
    let (entries, named) = counts;
    Ok(Tally { entries, named, tree })
}

/// Makes the tree of a layer as `name` in the workspace, of what `fill` has unpacked. That answers how many bytes its files have.
pub(super) fn made(
    importing: &Importing<'_>,
    name: &str,
    own_umask: bool,
    go_on: &mut dyn FnMut() -> Outcome<()>,
    fill: impl FnOnce(&mut Unpack<'_>, BorrowedFd<'_>) -> Outcome<u64>,
) -> Outcome<OwnedFd> {
    let failed = |errno| Fault::system(Step::CreateDirectoryFor, b"", errno);
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let directory = |parent: BorrowedFd, name: &str| -> std::result::Result<OwnedFd, Errno> {
        fs::mkdirat(parent, name, Mode::S_IRWXU)?;
        fs::openat(parent, name, flags, Mode::empty())
    };
    let layer = directory(importing.workspace.fd(), name).map_err(failed)?;
    let tree = directory(layer.as_fd(), "fs").map_err(failed)?;
    let (limits, used) = importing.bounds();
    let again = tree.try_clone().map_err(Fault::read)?;
    let gives = importing.rights.ranges().is_some();
    let mut unpack = Unpack::new(again, layer.as_fd(), (limits, used), own_umask, gives)?;
    let size = fill(&mut unpack, layer.as_fd())?;
    if let Some((uid, gid, mode)) = unpack.root() {
        give::write(layer.as_fd(), ROOT, format!("{uid}:{gid}:{mode:o}").as_bytes())?;
    }
    unpack.finish(go_on)?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    fs::openat(&layer, "size", flags, Mode::S_IRUSR | Mode::S_IWUSR)
        .map_err(std::io::Error::from)
        .and_then(|fd| File::from(fd).write_all(size.to_string().as_bytes()))
        .map_err(|error| Fault::system(Step::WriteTo, b"", fs::errno_of(&error).unwrap_or(Errno::EIO)))?;
    Ok(tree)
}

/// An owner of an image, in the range that is shared; what has no id inside stays as it is, which is nobody's there.
fn shift(id: u32) -> u32 {
    if id < RANGE { SHARED_RANGE + id } else { id }
}

/// Gives the files of a finished layer to their owners and moves it to its place; one that is there already is the same.
pub(super) fn publish_layer(importing: &Importing<'_>, name: &str, digest: Digest) -> Outcome<()> {
    let failed = |errno| Fault::system(Step::KeepLayer, b"", errno);
    let workspace = importing.workspace.fd();
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let layer = fs::openat(workspace, name, flags, Mode::empty()).map_err(failed)?;
    give::owed(layer.as_fd(), &importing.rights, &importing.store.limits)?;
    let root = importing.workspace.root();
    let place = format!("layers/{}", digest.hex());
    match fs::rename_to_new(workspace, name, root, &place) {
        Ok(()) | Err(Errno::EEXIST | Errno::ENOTEMPTY) => Ok(()),
        Err(errno) => Err(failed(errno)),
    }
}

/// Writes the image's record and takes the image into use. A record that is there already stays: its lock is what says
/// that others use it.
fn publish_image(importing: &Importing<'_>, digest: Digest, record: &Record) -> Result<Known> {
    let store = importing.store;
    let workspace = importing.workspace.fd();
    let failed = |errno| store.failed(Step::WriteImageTo, errno);
    let text = serde_json::to_vec(record).map_err(|_| failed(Errno::EINVAL))?;
    if text.len() > MAX_RECORD {
        // It could not be read back.
        return Err(store.failed(Step::WriteImageTo, Errno::EFBIG));
    }
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let fd = fs::openat(workspace, "image", flags, Mode::S_IRUSR | Mode::S_IWUSR).map_err(failed)?;
    File::from(fd).write_all(&text).map_err(|error| failed(fs::errno_of(&error).unwrap_or(Errno::EIO)))?;
    let place = format!("images/{}", digest.hex());
    loop {
        match fs::linkat(workspace, "image", importing.workspace.root(), place.as_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(failed(errno)),
        }
        // Someone may remove it at this moment; then it is made again.
        match store.load(&digest.hex())? {
            Some(loaded) => return Ok((digest.hex(), loaded)),
            None => std::thread::yield_now(),
        }
    }
}

/// Opens without waiting for whoever is at the other end of a fifo, and without becoming a terminal's owner.
fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let fd = fs::openat(AT_FDCWD, path, flags, Mode::empty())
        .map_err(|errno| Error::system(Step::OpenImage, path.display(), errno as i32))?;
    match fs::fstat(&fd) {
        Ok(stat) if fs::file_type(stat.st_mode) == Some(FileType::File) => Ok(fd),
        _ => Err(bad(&path.to_string_lossy(), "it is no regular file")),
    }
}

fn bad(archive: &str, why: &str) -> Error {
    Error::new(ErrorCode::BadImage, Step::Import, archive, libc::EINVAL, why)
}
