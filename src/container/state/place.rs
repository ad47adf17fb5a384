//! Directories of this room: where the state directory lies, how it is made, and how a container's changes on disk go.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};

use crate::sys::fork_lock::ForkLock;
use crate::{Error, Result};

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
pub(super) fn remove_tree(path: &Path) -> Result<()> {
    let outcome = match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            open_directories(path);
            std::fs::remove_dir_all(path)
        }
        outcome => outcome,
    };
    match outcome {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => super::super::trial::remove_in_ranges(path),
        Err(e) => Err(Error::io("remove", path.display(), &e)),
    }
}

/// Lets the owner into every directory below `path`, where nobody works any more: overlayfs keeps one that nobody may
/// enter, and so may the container. Root needs no such permission.
fn open_directories(path: &Path) {
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            _ = std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o700));
            open_directories(&entry.path());
        }
    }
}
