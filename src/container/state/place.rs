//! Directories of this room: where the state directory lies, how it is made, and how a container's changes on disk go.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, RenameFlags, renameat2};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};

use crate::sys::fork_lock::ForkLock;
use crate::{Error, Result, image};

/// Where a user's containers are written down: on a tmpfs, since all of it is gone after a reboot.
pub(super) fn default_path() -> PathBuf {
    if let Some(path) = std::env::var_os("CTR_STATE_DIR").filter(|path| !path.is_empty()) {
        return path.into();
    }
    // Looked up once for a user: it is two system calls on the way of every create.
    static LAST: ForkLock<Option<(u32, PathBuf)>> = ForkLock::new(None);
    let uid = nix::unistd::geteuid().as_raw();
    let mut last = LAST.lock();
    match &*last {
        Some((of, path)) if *of == uid => path.clone(),
        _ => {
            let path = default_path_of(uid);
            *last = Some((uid, path.clone()));
            path
        }
    }
}

fn default_path_of(uid: u32) -> PathBuf {
    let candidates = if uid == 0 {
        ["/run".to_string(), "/dev/shm".into()]
    } else {
        [format!("/run/user/{uid}"), "/dev/shm".into()]
    };
    let [own, shared] = candidates;
    if is_tmpfs(&own) {
        return PathBuf::from(own).join("ctr");
    }
    let base = if is_tmpfs(&shared) { shared } else { "/tmp".to_string() };
    PathBuf::from(format!("{base}/ctr-{uid}"))
}

fn is_tmpfs(path: &str) -> bool {
    nix::sys::statfs::statfs(path).is_ok_and(|fs| fs.filesystem_type() == nix::sys::statfs::TMPFS_MAGIC)
}

pub(super) fn make_directories(path: &Path) -> nix::Result<()> {
    for ancestor in path.ancestors().collect::<Vec<_>>().into_iter().rev() {
        let mode = Mode::from_bits_truncate(0o700);
        match nix::unistd::mkdir(ancestor, mode) {
            // A umask that takes from the owner, too, must not lock him out for ever.
            Ok(()) => fchmodat(AT_FDCWD, ancestor, mode, FchmodatFlags::FollowSymlink)?,
            Err(Errno::EEXIST) => {}
            // /run may be read-only and yet have what we need below it; the last one tells.
            Err(errno) if ancestor == path => return Err(errno),
            Err(_) => {}
        }
    }
    Ok(())
}

/// Removes the directory of a container's changes. What is in it is the container's: it is walked without following links.
/// What can't be removed is put aside, so that it is in nobody's way, and the error says where.
pub(super) fn remove_tree(path: &Path) -> Result<()> {
    let fail = |errno: Errno| Error::system("remove", path.display(), errno as i32);
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else { return Err(fail(Errno::EINVAL)) };
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let above = match crate::sys::open(above, flags, Mode::empty()) {
        Err(Errno::ENOENT) => return Ok(()),
        above => above.map_err(fail)?,
    };
    let error = match image::remove_tree(above.as_fd(), name.as_bytes()).map_err(|errno| errno.raw_os_error()) {
        Ok(()) => return Ok(()),
        Err(libc::EACCES) if !nix::unistd::geteuid().is_root() => fail(Errno::EACCES).mend(
            "it may have files of ids that /etc/subuid and /etc/subgid set aside for this user, and don't any more",
        ),
        Err(errno) => fail(Errno::from_raw(errno)),
    };
    Err(match put_aside(above.as_fd(), name) {
        Ok(aside) => error.mend(format!(
            "it is put aside as {}, for the next import or prune to try again",
            path.with_file_name("..").join("tmp").join(aside).display()
        )),
        Err(_) => error,
    })
}

/// Moves `name` to the store's tmp/, which imports sweep.
fn put_aside(above: BorrowedFd, name: &OsStr) -> nix::Result<String> {
    // It is missing where nothing was ever imported.
    _ = nix::sys::stat::mkdirat(above, "../tmp", Mode::from_bits_truncate(0o700));
    for count in 0.. {
        let aside = format!("{}.left-{count}", name.display());
        let place = format!("../tmp/{aside}");
        match renameat2(above, name, above, place.as_str(), RenameFlags::RENAME_NOREPLACE) {
            Err(Errno::EEXIST) => {}
            answer => return answer.map(|()| aside),
        }
    }
    Err(Errno::EEXIST)
}
