//! Files and trees into a running container and out of it, as docker cp. What goes in is made by a helper in the container's mount
//! namespace, with the rights of its root; what comes out is made by one that has the caller's. Each is told one component at a
//! time, beneath one directory ([`Writer`]), so nothing that programs inside swap meanwhile leads it elsewhere (CVE-2018-15664),
//! and none of them loads anything (CVE-2019-14271).

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::file_helper::{FileHelper, Place};
use super::files::{check, ready};
use super::ids::Inside;
use super::shared::Shared;
use crate::helper::Start;
use crate::image::{CopiedFile, Id, Keeps, Opener, Opens, Report, Rights, Told, Tree, Writer, parent_and_name, unpack};
use crate::plan::{Fd, Plan, c_string};
use crate::{Error, ErrorCode, Result, Step, sys};

/// Copies a file or tree of the host into the container.
pub fn copy_in(container: &Shared, source: &Path, target: &OsStr, archive: bool, report: Report<'_>) -> Result<()> {
    let place = Place::new(container.called(), Step::CopyTo, target)?;
    let from = Source::on_host(source)?;
    let helper = ready(container, &place)?;
    let there = inside(&helper, &place)?;
    let (base, top) = from.goes_to(there, target.as_bytes(), &place, |above| {
        let above = Place::new(container.called(), Step::CopyTo, above)?;
        directory(&helper, &above)
    })?;
    let rights = Rights::of_this_user();
    let ids = move |id| Some(if archive { rights.inside(id) } else { 0 });
    let keeps = Keeps { owners: archive, rights: true };
    let writer = Writer::new(helper.into_helper(), base, Step::CopyTo, place.to_string(), keeps)?;
    from.copy(top, None, Box::new(ids), writer, report)
}

/// Makes what a tar archive says below a directory of the container.
pub fn copy_in_tar(
    container: &Shared,
    input: &mut dyn Read,
    target: &OsStr,
    archive: bool,
    report: Report<'_>,
) -> Result<()> {
    let place = Place::new(container.called(), Step::CopyTo, target)?;
    let helper = ready(container, &place)?;
    let base = directory(&helper, &place)?;
    let keeps = Keeps { owners: archive, rights: true };
    let writer = Writer::new(helper.into_helper(), base, Step::CopyTo, place.to_string(), keeps)?;
    unpack(input, writer, "the archive", &mut Told::new(report))
}

/// Copies a file or tree of the container to the host.
pub fn copy_out(container: &Shared, source: &OsStr, target: &Path, archive: bool, report: Report<'_>) -> Result<()> {
    let place = Place::new(container.called(), Step::CopyFrom, source)?;
    let helper = ready(container, &place)?;
    let from = Source::inside(container, &helper, &place)?;
    let shown = target.display().to_string();
    let failed = |error: &io::Error| Error::io(Step::CopyTo, &shown, error);
    let there = match fs::metadata(target) {
        Ok(it) if it.is_dir() => There::Directory(open_directory(target).map_err(|e| failed(&e.into()))?),
        Ok(_) => There::File,
        Err(error) if error.kind() == io::ErrorKind::NotFound => There::Nothing,
        Err(error) => return Err(failed(&error)),
    };
    let to = Place::on_host(Step::CopyTo, target.as_os_str());
    let (base, top) = from.goes_to(there, target.as_os_str().as_bytes(), &to, |above| {
        open_directory(Path::new(above)).map_err(|errno| failed(&errno.into()))
    })?;
    let ids = ids_of(container, archive)?;
    let keeps = Keeps { owners: archive, rights: archive };
    let writer = Writer::new(Start::new(0).start()?, base, Step::CopyTo, shown, keeps)?;
    from.copy(top, opener(helper), ids, writer, report)
}

/// Writes a file or tree of the container as a tar archive, in which it has its own name.
pub fn copy_out_tar(container: &Shared, source: &OsStr, output: &mut dyn Write) -> Result<u64> {
    let place = Place::new(container.called(), Step::CopyFrom, source)?;
    let helper = ready(container, &place)?;
    let from = Source::inside(container, &helper, &place)?;
    let ids = ids_of(container, true)?;
    let top = if from.is_content { Vec::new() } else { from.name.clone() };
    from.tree(top, opener(helper), ids).to(output)
}

/// What is to be copied.
struct Source {
    root: OwnedFd,
    /// The file in `root`; empty where it is that directory itself.
    start: Vec<u8>,
    /// What it is called in a directory that it goes into.
    name: Vec<u8>,
    /// What is in the directory goes there, and not the directory itself.
    is_content: bool,
    shown: String,
}

/// What is at the target.
enum There {
    Directory(OwnedFd),
    File,
    Nothing,
}

impl Source {
    fn on_host(path: &Path) -> Result<Self> {
        let (bytes, shown) = (path.as_os_str().as_bytes(), path.display().to_string());
        let failed = |error: &io::Error| Error::io(Step::CopyFrom, &shown, error);
        let is_directory = if leads_through(bytes) { fs::metadata(path) } else { fs::symlink_metadata(path) };
        if is_directory.map_err(|error| failed(&error))?.is_dir() {
            let root = open_directory(path).map_err(|errno| failed(&errno.into()))?;
            let real = fs::canonicalize(path).map_err(|error| failed(&error))?;
            let name = real.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
            return Ok(Self { root, start: Vec::new(), is_content: is_content(bytes) || name.is_empty(), name, shown });
        }
        let Some((above, name)) = parent_and_name(bytes) else {
            return Err(failed(&io::Error::from_raw_os_error(libc::ENOTDIR)));
        };
        let root = open_directory(Path::new(OsStr::from_bytes(above))).map_err(|errno| failed(&errno.into()))?;
        Ok(Self { root, start: name.to_vec(), name: name.to_vec(), is_content: false, shown })
    }

    fn inside(container: &Shared, helper: &FileHelper, place: &Place<'_>) -> Result<Self> {
        let bytes = place.path.as_bytes();
        let follow = if leads_through(bytes) { OFlag::empty() } else { OFlag::O_NOFOLLOW };
        let (found, looked) = helper.look(place, follow)?;
        let name = parent_and_name(bytes).map(|(_, name)| name.to_vec()).unwrap_or_default();
        let shown = place.to_string();
        if looked.stat.mode & libc::S_IFMT == libc::S_IFDIR {
            check(place, &looked)?;
            let is_content = is_content(bytes) || name.is_empty();
            return Ok(Self { root: found, start: Vec::new(), is_content, name, shown });
        }
        if looked.stat.mode & libc::S_IFMT != libc::S_IFLNK {
            check(place, &looked)?;
        }
        let (above, _) = parent_and_name(bytes).ok_or_else(|| place.system(libc::ENOTDIR))?;
        let above = Place::new(container.called(), Step::CopyFrom, OsStr::from_bytes(above))?;
        let root = directory(helper, &above)?;
        Ok(Self { root, start: name.clone(), name, is_content: false, shown })
    }

    fn is_directory(&self) -> bool {
        self.start.is_empty()
    }

    /// The directory that it goes into, and its name there.
    fn goes_to(
        &self,
        there: There,
        target: &[u8],
        place: &Place<'_>,
        parent: impl FnOnce(&OsStr) -> Result<OwnedFd>,
    ) -> Result<(OwnedFd, Vec<u8>)> {
        let refused = |errno, why: &str| Err(place.refused(ErrorCode::System, errno, why));
        match there {
            There::Directory(base) if self.is_content => Ok((base, Vec::new())),
            There::Directory(base) => Ok((base, self.name.clone())),
            There::File if self.is_directory() => refused(libc::ENOTDIR, "a directory can't be copied to a file"),
            There::File | There::Nothing => {
                if target.ends_with(b"/") && !self.is_directory() {
                    return refused(libc::ENOTDIR, "there is no directory of this name");
                }
                let (above, name) = parent_and_name(target).ok_or_else(|| place.system(libc::ENOENT))?;
                Ok((parent(OsStr::from_bytes(above))?, name.to_vec()))
            }
        }
    }

    fn tree(self, top: Vec<u8>, opener: Option<Opener>, inside: Ids) -> Tree {
        Tree { root: self.root, start: self.start, top, opener, inside, shown: self.shown }
    }

    fn copy(self, top: Vec<u8>, opener: Option<Opener>, ids: Ids, writer: Writer, report: Report<'_>) -> Result<()> {
        let told = &mut Told::new(report);
        if !self.is_directory()
            && let Some(file) = CopiedFile::open(self.root.as_fd(), &self.start, opener.as_ref(), &ids)
        {
            return file.copy(top, writer, told);
        }
        self.tree(top, opener, ids).copy(writer, told)
    }
}

type Ids = Box<dyn Fn(Id) -> Option<u32> + Send + Sync>;

/// Whose the files of the container are on the host; whom it has no number for is nobody.
fn ids_of(container: &Shared, archive: bool) -> Result<Ids> {
    const NOBODY: u32 = 65534;
    let ids = Inside::of(container.pid)?;
    if !container.lives() {
        return Err(container.gone());
    }
    Ok(Box::new(move |id| Some(if archive { ids.map(id).unwrap_or(NOBODY) } else { 0 })))
}

/// Whether the last component is looked through where it is a link.
fn leads_through(path: &[u8]) -> bool {
    parent_and_name(path).is_none() || path.ends_with(b"/")
}

fn is_content(path: &[u8]) -> bool {
    path == b"." || path.ends_with(b"/.")
}

fn open_directory(path: &Path) -> std::result::Result<OwnedFd, Errno> {
    sys::open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

fn inside(helper: &FileHelper, place: &Place<'_>) -> Result<There> {
    match helper.look(place, OFlag::empty()) {
        Ok((found, looked)) => {
            check(place, &looked)?;
            Ok(if looked.stat.mode & libc::S_IFMT == libc::S_IFDIR { There::Directory(found) } else { There::File })
        }
        Err(error) if error.errno() == libc::ENOENT => Ok(There::Nothing),
        Err(error) => Err(error),
    }
}

/// A directory inside, as a place.
fn directory(helper: &FileHelper, place: &Place<'_>) -> Result<OwnedFd> {
    let (found, looked) = helper.look(place, OFlag::O_DIRECTORY)?;
    check(place, &looked)?;
    Ok(found)
}

/// Root may read everything; anyone else may do less than the container's root.
fn opener(helper: FileHelper) -> Option<Opener> {
    let by_root = nix::unistd::geteuid().is_root();
    (!by_root).then(|| Arc::new(ByHelper { helper, rights: Rights::of_this_user() }) as Opener)
}

struct ByHelper {
    helper: FileHelper,
    rights: Arc<Rights>,
}

impl Opens for ByHelper {
    fn open(&self, parent: BorrowedFd<'_>, name: &[u8], flags: OFlag) -> std::result::Result<OwnedFd, Errno> {
        let errno = |error: Error| Errno::from_raw(error.errno());
        let mut plan = Plan::new();
        let parent = plan.send(Fd::Borrowed(parent));
        plan.step(Step::OpenInside, "a file", "", "");
        plan.alarm(0);
        let (slot, name) = (plan.slot(), plan.string(c_string(Step::OpenInside, name).map_err(errno)?));
        plan.openat(parent, name, flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).out(slot);
        self.helper.walk(&plan, &[slot]).map_err(errno)?.pop().ok_or(Errno::EPROTO)
    }

    fn attribute(&self, file: BorrowedFd<'_>, name: &[u8]) -> std::result::Result<Vec<u8>, Errno> {
        self.rights.attribute(file, name)
    }
}
