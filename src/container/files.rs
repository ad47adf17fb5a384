//! Files of a container, from outside and without a program inside: opened, looked at, listed, by a [`FileHelper`] in its mount namespace. It
//! is kept for a while, since to start one takes as long as to start a program.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sched::CloneFlags;

use super::file_helper::{FileHelper, Place, kind_of};
use super::kept::is_dead;
use super::shared::Shared;
use super::user::User;
use super::within::{Within, check_root};
use crate::helper::add_hint;
use crate::plan::{Plan, Prctl};
use crate::rootfs::{FileStat, Looked};
use crate::sys::fs::Dir;
use crate::zygote::{self, Zygote};
use crate::{Error, ErrorCode, Result, Step};

/// What a caller may say of how a file is opened, open(2).
const TAKEN: OFlag = OFlag::O_ACCMODE
    .union(OFlag::O_CREAT)
    .union(OFlag::O_EXCL)
    .union(OFlag::O_TRUNC)
    .union(OFlag::O_APPEND)
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_DSYNC)
    .union(OFlag::O_SYNC)
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_NOATIME)
    .union(OFlag::O_NOCTTY)
    .union(OFlag::O_LARGEFILE)
    .union(OFlag::O_CLOEXEC);

/// How often a file that comes and goes is tried to be opened or made.
const TRIES: usize = 50;

/// As many bytes of names as one list may have: a directory may have been made to do harm.
const MAX_NAMES: usize = 64 << 20;

/// Opens a file or directory, open(2).
pub fn open(container: &Shared, path: &OsStr, flags: i32, mode: u32, user: Option<&str>) -> Result<OwnedFd> {
    let place = Place::new(container.called(), Step::OpenInside, path)?;
    let flags = OFlag::from_bits(flags).filter(|flags| TAKEN.contains(*flags));
    let flags = flags.ok_or_else(|| place.refused(ErrorCode::Invalid, libc::EINVAL, "flags that can't be had here"))?;
    if mode & !0o7777 != 0 {
        return Err(place.refused(ErrorCode::Invalid, libc::EINVAL, "a mode is at most 07777"));
    }
    let fd = with_helper(container, &place, user, |helper| open_by(helper, &place, flags, mode))?;
    // Of files and directories nothing waits; but a caller hands it to others, who may ask.
    let set = |have: i32| fcntl(&fd, FcntlArg::F_SETFL(OFlag::from_bits_retain(have) & !OFlag::O_NONBLOCK));
    if !flags.contains(OFlag::O_NONBLOCK) {
        fcntl(&fd, FcntlArg::F_GETFL).and_then(set).map_err(|errno| place.system(errno as i32))?;
    }
    Ok(fd)
}

fn open_by(helper: &FileHelper, place: &Place<'_>, flags: OFlag, mode: u32) -> Result<OwnedFd> {
    let follow = flags & OFlag::O_NOFOLLOW;
    let plain = flags & !(OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW);
    for _ in 0..TRIES {
        match helper.look(place, follow) {
            Ok(_) if flags.contains(OFlag::O_CREAT | OFlag::O_EXCL) => return Err(place.system(libc::EEXIST)),
            Ok((found, looked)) => {
                check(place, &looked)?;
                return helper.reopen(place, found.as_fd(), plain).map_err(|error| match error.errno() {
                    libc::EAGAIN => place.refused(ErrorCode::System, libc::EAGAIN, LEASED),
                    _ => error,
                });
            }
            Err(error) if error.errno() == libc::ENOENT && flags.contains(OFlag::O_CREAT) => {}
            Err(error) => return Err(error),
        }
        match helper.create(place, plain, mode) {
            // Something has it by now, or a link does that leads nowhere.
            Err(error) if error.errno() == libc::EEXIST && !flags.contains(OFlag::O_EXCL) => {}
            Err(error) if error.errno() == libc::EAGAIN => {}
            made => return made,
        }
        if helper.look(place, OFlag::O_NOFOLLOW).is_ok_and(|(_, it)| it.stat.mode & libc::S_IFMT == libc::S_IFLNK)
            && helper.look(place, OFlag::empty()).is_err_and(|error| error.errno() == libc::ENOENT)
        {
            let why = "ENOENT, it is a symbolic link that leads to nothing, and no file is made through one";
            return Err(place.refused(ErrorCode::System, libc::ENOENT, why));
        }
    }
    Err(place.refused(ErrorCode::System, libc::EAGAIN, "EAGAIN, programs inside make and remove it all the time"))
}

const LEASED: &str = "EAGAIN, a program inside has a lease on it (fcntl(2), F_SETLEASE)";

/// Refuses what is opened for nobody.
pub fn check(place: &Place<'_>, looked: &Looked) -> Result<()> {
    let refused = |why: &str| Err(place.refused(ErrorCode::Unsupported, libc::EOPNOTSUPP, why));
    match looked.stat.mode & libc::S_IFMT {
        libc::S_IFREG | libc::S_IFDIR if looked.is_kernels => refused(
            "it is a file of the kernel's (proc, sysfs or the like), of which each process sees its own: a program inside can open it",
        ),
        libc::S_IFREG | libc::S_IFDIR => Ok(()),
        libc::S_IFLNK => Err(place.system(libc::ELOOP)),
        _ => refused(&format!("it is {}: only files and directories are opened", kind_of(&looked.stat))),
    }
}

/// What is there; of a link, what it leads to if `follow`.
pub fn stat(container: &Shared, path: &OsStr, follow: bool) -> Result<FileStat> {
    let place = Place::new(container.called(), Step::LookAtInside, path)?;
    let flags = if follow { OFlag::empty() } else { OFlag::O_NOFOLLOW };
    with_helper(container, &place, None, |helper| helper.look(&place, flags).map(|(_, looked)| looked.stat))
}

/// The names in a directory, without `.` and `..`, in no order.
pub fn list(container: &Shared, path: &OsStr) -> Result<Vec<OsString>> {
    let place = Place::new(container.called(), Step::ListInside, path)?;
    let directory = with_helper(container, &place, None, |helper| helper.directory(&place))?;
    let (mut names, mut bytes) = (Vec::new(), 0);
    for entry in Dir::new(directory) {
        let entry = entry.map_err(|errno| place.system(errno as i32))?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        bytes += name.len() + size_of::<OsString>();
        if bytes > MAX_NAMES {
            let why = format!("its names take more than {} MiB", MAX_NAMES >> 20);
            return Err(place.refused(ErrorCode::System, libc::EOVERFLOW, why));
        }
        names.push(OsString::from_vec(name.to_vec()));
    }
    Ok(names)
}

/// Has it done by one that is there already, or a new one.
fn with_helper<T>(
    container: &Shared,
    place: &Place<'_>,
    user: Option<&str>,
    act: impl Fn(&FileHelper) -> Result<T>,
) -> Result<T> {
    check_root(container, place.step, place)?;
    container.check_for_helper()?;
    let done = match chosen(container, user)? {
        Some(user) => act(&start(container, &zygote::current()?, Some(&user))?),
        None => container.file_helper.with(&container.destroyed, |zygote| start(container, zygote, None), act),
    };
    match done {
        Err(error) if is_dead(&error) => Err(late(place)),
        done => done,
    }
}

/// A new one as root, for longer work.
pub fn ready(container: &Shared, place: &Place<'_>) -> Result<FileHelper> {
    check_root(container, place.step, place)?;
    if !container.lives() {
        return Err(container.gone());
    }
    start(container, &zygote::current()?, None)
}

/// A new one, as this user or root.
fn start(container: &Shared, zygote: &Arc<Zygote>, user: Option<&User>) -> Result<FileHelper> {
    let mut within = Within::open(container, &["mnt"])?;
    within.check_own(container, "mnt")?;
    let mut start = within.start(CloneFlags::empty());
    FileHelper::prepare(&mut start.setup);
    let helper = start.start_in(zygote)?;
    let mut plan = Plan::new();
    within.enter(&mut plan);
    FileHelper::settle(&mut plan);
    if let Some(user) = user {
        plan.step(Step::BecomeUser, user.name.clone(), "", "");
        plan.setgroups(&user.groups);
        plan.setresgid(user.gid);
        plan.setresuid(user.uid);
        // Other ids make a process dumpable as fs.suid_dumpable says, proc(5).
        plan.prctl(Prctl::Dumpable(false));
    }
    helper.run(&plan, &[]).map_err(add_hint)?;
    Ok(FileHelper::new(helper))
}

fn late(place: &Place<'_>) -> Error {
    let why = "the file system that it is on does not answer";
    place.refused(ErrorCode::TimedOut, libc::ETIMEDOUT, why)
}

/// The user who is not root.
fn chosen(container: &Shared, user: Option<&str>) -> Result<Option<User>> {
    let Some(name) = user.filter(|name| !name.is_empty()) else { return Ok(None) };
    // Who that is, is read by PID 1.
    container.check_not_paused()?;
    let user = User::resolve(container, Some(name), None)?;
    Ok(user.filter(|user| user.uid != 0 || user.gid != 0 || !user.groups.is_empty()))
}
