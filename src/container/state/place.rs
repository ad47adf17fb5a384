//! Directories of this room: where the state directory lies, how it is made, and how a container's changes on disk go.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, RenameFlags, renameat2};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, fstat};

use crate::{Error, ErrorCode, Result, Step, image, sys};

/// Where a user's containers may be written down, the best place first: all of it is gone after a reboot, so it is to be a
/// tmpfs. One that is somebody else's is passed over: in /dev/shm and /tmp anybody can make a directory of any name.
pub(super) fn default_places() -> Vec<PathBuf> {
    let uid = nix::unistd::geteuid().as_raw();
    // In a user namespace root is somebody else outside, and must not take real root's names.
    let outside = outside(uid);
    let shared = format!("/dev/shm/ctr-{outside}");
    let mut places: Vec<PathBuf> = Vec::new();
    if uid == 0 {
        // What earlier versions have chosen, while there is something in it.
        if !is_tmpfs("/run") && is_private(Path::new(&shared)) {
            places.push(shared.clone().into());
        }
        places.push("/run/ctr".into());
    }
    let runtime = sys::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let own = [runtime, Some(format!("/run/user/{outside}").into())];
    let is_ours = |path: &PathBuf| path.metadata().is_ok_and(|found| found.is_dir() && found.uid() == uid);
    places.extend(own.into_iter().flatten().filter(is_ours).map(|path| path.join("ctr")));
    places.extend([shared.into(), format!("/tmp/ctr-{outside}").into()]);
    // The last resort is nobody else's, and stays after a reboot: what is dead is swept as ever.
    let home = sys::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    places.extend(home.filter(is_ours).map(|home| home.join(".local/state/ctr")));
    places
}

/// What this user is in the user namespace above, as far as that can be told: user_namespaces(7).
fn outside(uid: u32) -> u32 {
    let map = sys::file::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let mut lines =
        map.lines().map(|line| line.split_ascii_whitespace().map_while(|number| number.parse::<u32>().ok()));
    let found = lines.find_map(|mut line| {
        let (inside, outside, count) = (line.next()?, line.next()?, line.next()?);
        let offset = uid.checked_sub(inside)?;
        (offset < count).then(|| outside.wrapping_add(offset))
    });
    found.unwrap_or(uid)
}

/// Whether a directory is this user's and closed to all others.
fn is_private(path: &Path) -> bool {
    let uid = nix::unistd::geteuid().as_raw();
    path.symlink_metadata().is_ok_and(|found| found.is_dir() && found.uid() == uid && found.mode() & 0o077 == 0)
}

fn is_tmpfs(path: &str) -> bool {
    nix::sys::statfs::statfs(path).is_ok_and(|fs| fs.filesystem_type() == nix::sys::statfs::TMPFS_MAGIC)
}

pub(super) fn make_directories(path: &Path) -> nix::Result<()> {
    for ancestor in path.ancestors().collect::<Vec<_>>().into_iter().rev() {
        let mode = Mode::from_bits_truncate(0o700);
        match nix::unistd::mkdir(ancestor, mode) {
            // A umask that takes from the owner, too, must not lock them out forever.
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
///
/// The directory above it has to be one of this user's store: no link, and nothing that others can write to. Else whoever
/// writes a record could have anything removed that has the container's name.
pub(super) fn remove_tree(path: &Path) -> Result<()> {
    let fail = |errno: Errno| Error::system(Step::RemoveTree, path.display(), errno as i32);
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else { return Err(fail(Errno::EINVAL)) };
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let above = match crate::sys::open(above, flags, Mode::empty()) {
        Err(Errno::ENOENT) => return Ok(()),
        above => above.map_err(fail)?,
    };
    let stat = fstat(&above).map_err(fail)?;
    if stat.st_uid != nix::unistd::geteuid().as_raw() || stat.st_mode & 0o022 != 0 {
        let why = "EPERM, the directory above it is not this user's, or others can write to it";
        return Err(Error::new(ErrorCode::Invalid, Step::RemoveTree, path.display(), libc::EPERM, why));
    }
    let error = match image::remove_tree(above.as_fd(), name.as_bytes()).map_err(|errno| errno as i32) {
        Ok(()) => return Ok(()),
        Err(libc::EACCES) if !nix::unistd::geteuid().is_root() => fail(Errno::EACCES).with_hint(
            "it may have files of ids that /etc/subuid and /etc/subgid set aside for this user, and don't any more",
        ),
        Err(errno) => fail(Errno::from_raw(errno)),
    };
    Err(match put_aside(above.as_fd(), name) {
        Ok(aside) => error.with_hint(format!(
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
