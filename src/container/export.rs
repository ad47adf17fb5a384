//! A running container's files from outside: PID 1 hands over what it holds of its root, and we read it by descriptor.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use ctr_wire::{BY_CHILD, ROOT, RUN, UPPER};
use nix::errno::Errno;
use nix::sys::stat::fstat;
use nix::sys::statfs::{FsType, OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC, fstatfs};

use super::ids::Inside;
use super::shared::Shared;
use super::state::{Record, Root, Scratch, Text};
use crate::image::{Below, Opener, Opens, Rights, Running, Store};
use crate::plan::{CWD, Fd, Header, Plan, Slot, c_string};
use crate::rootfs::ETC_FILES;
use crate::sys::fs::OFlag;
use crate::{Error, ErrorCode, Result, Step};

/// All that the image room needs of it.
pub fn running(container: &Arc<Shared>) -> Result<Running> {
    container.check_running()?;
    let record = &container.record;
    let store = || Store::open(Some(&record.store).filter(|path| !path.as_os_str().is_empty()).map(PathBuf::as_path));
    let changes = || match record.upper() {
        Some(upper) => held(container, UPPER, &Is::Directory(upper.join("upper"))),
        None => held(container, UPPER, &Is::On(TMPFS_MAGIC)),
    };
    let overlay = || held(container, ROOT, &Is::On(OVERLAYFS_SUPER_MAGIC));
    let (root, upper, below) = match &record.root {
        Root::Foreign => (open_root(container)?, None, Below::Nothing),
        Root::Host | Root::Direct => (held(container, ROOT, &Is::OfFiles)?, None, Below::Nothing),
        Root::Directory(path) => (overlay()?, Some(changes()?), Below::Directory(path.clone())),
        Root::Image(digest) => (overlay()?, Some(changes()?), Below::Image(store()?, digest.clone())),
    };
    let ids = Arc::new(Inside::of(container.pid)?);
    let again = Arc::clone(&ids);
    if !container.lives() {
        // The maps may be those of another process that has its pid now.
        return Err(container.gone());
    }
    Ok(Running {
        name: container.called().to_string(),
        root,
        upper,
        below,
        inside: Box::new(move |id| ids.map(id)),
        has_id: Box::new(move |id| again.has(id)),
        // Host's root may read everything; anyone else may do less than the container's root, as which they act inside.
        opener: (!nix::unistd::geteuid().is_root()).then(|| opener(container)),
        has_users: record.exec.many_ids,
        is_whole: !matches!(record.root, Root::Foreign | Root::Host),
        store: store()?,
        mount_points: mount_points(record),
        empty_mount_points: empty_mount_points(record),
        volumes: record.run.volumes.iter().map(|volume| relative(volume.as_bytes())).collect(),
    })
}

/// What is mounted in /etc.
fn etc_files() -> impl Iterator<Item = Vec<u8>> {
    ETC_FILES.iter().map(|path| relative(path.as_bytes()))
}

/// Those of them that are empty where they are the container's own: without an overlay what is there is the root's for good.
fn empty_mount_points(record: &Record) -> Vec<Vec<u8>> {
    match record.root {
        Root::Directory(_) | Root::Image(_) if record.etc_files => etc_files().collect(),
        _ => Vec::new(),
    }
}

/// What we made in the root to mount upon, and what the image asked for, with the directories above.
fn mount_points(record: &Record) -> BTreeSet<Vec<u8>> {
    let usual = ["proc", "sys", "dev", "tmp"].map(|name| name.as_bytes().to_vec());
    let mut mount_points: BTreeSet<_> = usual.into();
    if record.etc_files {
        mount_points.insert(b"etc".to_vec());
        mount_points.extend(etc_files());
    }
    let asked = record.run.volumes.iter().chain([&record.run.working_dir]).map(|path| path.as_bytes());
    for path in record.mounted.iter().map(Text::as_bytes).chain(asked) {
        let mut above = Vec::new();
        for name in relative(path).split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            if !above.is_empty() {
                above.push(b'/');
            }
            above.extend_from_slice(name);
            mount_points.insert(above.clone());
        }
    }
    mount_points
}

/// An absolute path inside as archives have it.
fn relative(path: &[u8]) -> Vec<u8> {
    let names = path.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
    names.collect::<Vec<_>>().join(&b'/')
}

/// What a directory that PID 1 hands over has to be. We read it with our own rights: someone who has taken PID 1 over may send
/// another that it has, as that of its /proc, in which root of the host reads more than root of the container.
enum Is {
    /// On a file system of this kind.
    On(FsType),
    /// This one.
    Directory(PathBuf),
    /// On one for files, and not one that the kernel makes up.
    OfFiles,
    /// Any: it is a process of the host that we ask.
    Any,
}

impl Is {
    fn met_by(&self, fd: &OwnedFd) -> bool {
        let kind = || fstatfs(fd).ok().map(|fs| fs.filesystem_type());
        let Ok(stat) = fstat(fd) else { return false };
        let met = match self {
            Self::On(wanted) => kind() == Some(*wanted),
            Self::Directory(path) => nix::sys::stat::lstat(path).map_or_else(
                |_| kind().is_some_and(|kind| !MADE_UP.contains(&kind)),
                |wanted| (stat.st_dev, stat.st_ino) == (wanted.st_dev, wanted.st_ino),
            ),
            Self::OfFiles => kind().is_some_and(|kind| !MADE_UP.contains(&kind)),
            Self::Any => true,
        };
        met && stat.st_mode & libc::S_IFMT == libc::S_IFDIR
    }
}

/// File systems of the kernel's own words, which a container has or may have: linux/magic.h.
const MADE_UP: [FsType; 9] = [
    nix::sys::statfs::PROC_SUPER_MAGIC,
    nix::sys::statfs::SYSFS_MAGIC,
    nix::sys::statfs::CGROUP_SUPER_MAGIC,
    nix::sys::statfs::CGROUP2_SUPER_MAGIC,
    FsType(0x1cd1),      // devpts
    FsType(0x1980_0202), // mqueue
    FsType(0x6462_6720), // debugfs
    FsType(0x7472_6163), // tracefs
    FsType(0x7363_6673), // securityfs
];

/// A directory on the tmpfs that takes the container's changes: the upper one of an overlay, or the root that is no overlay's.
pub fn held_tmpfs(container: &Shared, of_overlay: bool) -> Result<OwnedFd> {
    held(container, if of_overlay { UPPER } else { ROOT }, &Is::On(TMPFS_MAGIC))
}

/// The place of the changes of a scratch mount, in the slot that PID 1 has for it.
pub fn held_scratch(container: &Shared, scratch: &Scratch) -> Result<OwnedFd> {
    let is = match container.record.upper() {
        Some(upper) => Is::Directory(upper.join(&scratch.name)),
        None => Is::On(TMPFS_MAGIC),
    };
    held(container, usize::from(scratch.slot), &is)
}

/// What PID 1 holds in this slot: a directory.
fn held(container: &Shared, slot: usize, is: &Is) -> Result<OwnedFd> {
    let slot = Slot(slot as u8);
    hand_over(container, is, |plan, into| {
        plan.dupfd_cloexec(slot, 0).out(into);
    })
    .map_err(|error| match error.errno() {
        libc::EBADF => Error::new(
            ErrorCode::Unsupported,
            Step::LookIntoRoot,
            &container.record.name,
            libc::EOPNOTSUPP,
            "other file systems are mounted in the directory that is its root",
        ),
        _ => error,
    })
}

fn open_root(container: &Shared) -> Result<OwnedFd> {
    hand_over(container, &Is::Any, |plan, into| {
        let path = plan.string(c"/");
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        plan.openat(CWD, path, flags).out(into);
    })
}

fn hand_over(container: &Shared, is: &Is, calls: impl FnOnce(&mut Plan<'_>, Slot)) -> Result<OwnedFd> {
    let name = &container.record.name;
    let mut plan = Plan::new();
    plan.step(Step::LookIntoRoot, name.clone(), "", "");
    let slot = plan.slot();
    calls(&mut plan, slot);
    let fd = container.fetch(&plan, slot)?;
    fd.filter(|fd| is.met_by(fd)).ok_or_else(|| Error::system(Step::LookIntoRoot, name, libc::EPROTO))
}

/// Has PID 1 open one name in a directory of its own.
pub fn opener(container: &Arc<Shared>) -> Opener {
    Arc::new(ByInit { container: Arc::clone(container), rights: Rights::of_this_user() })
}

struct ByInit {
    container: Arc<Shared>,
    /// PID 1 hands descriptors over and nothing else, so what it takes more for is done by the process with this user's ids.
    rights: Arc<Rights>,
}

impl Opens for ByInit {
    fn open(&self, parent: BorrowedFd<'_>, name: &[u8], flags: OFlag) -> std::result::Result<OwnedFd, Errno> {
        let errno = |error: Error| Errno::from_raw(error.errno());
        let mut plan = Plan::new();
        let parent = plan.send(Fd::Borrowed(parent.as_fd()));
        plan.step(Step::OpenInRoot, "a file", "", "");
        let slot = plan.slot();
        let name = plan.string(c_string(Step::OpenInRoot, name).map_err(errno)?);
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        plan.openat(parent, name, flags).out(slot);
        let mut header = Header::new(RUN).giving(&[slot]);
        header.flags |= BY_CHILD;
        self.container.run(&header, &plan).map_err(errno)?.pop().ok_or(Errno::EPROTO)
    }

    fn attribute(&self, file: BorrowedFd<'_>, name: &[u8]) -> std::result::Result<Vec<u8>, Errno> {
        self.rights.attribute(file, name)
    }
}
