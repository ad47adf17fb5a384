//! Removes a tree by descriptors, whatever its depth and width: three are open at most, nothing recurses, and nothing has to
//! be made or moved, which a full disk would refuse. The tree must be nobody else's any more; a directory of another of this
//! user's ids is taken back first, for only its owner may remove what is in it.

use std::cell::OnceCell;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;

use super::rights::Rights;
use crate::sys::fs::{self, AT_FDCWD, FchmodatFlags, FileType, Mode, OFlag, UnlinkatFlags};

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// How many names are remembered at most: of one directory, and of all above it. What is not is found by listing anew.
const NAMES_OF_ONE: usize = 1000;
const NAMES_OF_ALL: usize = 10_000;

/// How often in turn a directory that was emptied may have something in it all the same.
const ROUNDS: usize = 16;

/// One directory on the way down.
struct Level {
    /// Which one it is, by device and inode: it is come back to by `..`.
    place: (u64, u64),
    /// Directories in it that are not empty. The last one is the one that is gone down into.
    below: Vec<CString>,
    /// Nothing else is in it.
    is_all: bool,
}

/// Removes the directory `name` in `parent` and all below it. Links are removed, never followed; where a directory of our own
/// has a mode that keeps us out, it gets another one.
pub fn tree(parent: BorrowedFd, name: &[u8]) -> Result<(), Errno> {
    let rights = OnceCell::new();
    let mut here = match enter(&rights, parent, name) {
        Err(Errno::ENOENT) => return Ok(()),
        answer => answer?,
    };
    let mut levels = vec![level(&here, 0)?];
    let (mut names, mut rounds) = (levels[0].below.len(), 0);
    while let Some(last) = levels.last_mut() {
        if let Some(child) = last.below.last() {
            here = enter(&rights, here.as_fd(), child.to_bytes())?;
            if names >= NAMES_OF_ALL {
                last.below.pop();
                last.is_all = false;
                names -= 1;
            }
            let level = level(&here, names)?;
            names += level.below.len();
            levels.push(level);
        } else if !last.is_all {
            *last = level(&here, names)?;
            names += last.below.len();
        } else {
            levels.pop();
            let Some(above) = levels.last_mut() else { break };
            let up = fs::openat(&here, c"..", DIRECTORY, Mode::empty())?;
            if place(&up)? != above.place {
                return Err(Errno::ESTALE);
            }
            here = up;
            // Without a name it goes when the directory is listed anew.
            let Some(child) = above.below.last() else { continue };
            match fs::unlinkat(&here, child.as_c_str(), UnlinkatFlags::RemoveDir) {
                Err(Errno::ENOTEMPTY | Errno::EEXIST) if rounds < ROUNDS => rounds += 1,
                Ok(()) | Err(Errno::ENOENT) => {
                    above.below.pop();
                    (names, rounds) = (names - 1, 0);
                }
                Err(errno) => return Err(errno),
            }
        }
    }
    match fs::unlinkat(parent, name, UnlinkatFlags::RemoveDir) {
        Err(Errno::ENOENT) => Ok(()),
        answer => answer,
    }
}

/// Opens a directory and sees to it that it may be listed, searched and written to.
fn enter(rights: &OnceCell<Arc<Rights>>, parent: BorrowedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let fd = match fs::openat(parent, name, DIRECTORY, Mode::empty()) {
        Err(Errno::EACCES) => {
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let fd = fs::openat(parent, name, flags, Mode::empty())?;
            // A descriptor that is only a place takes no fchmod(2); its name in /proc leads to it and nowhere else.
            let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
            if fs::fchmodat(AT_FDCWD, path.as_str(), Mode::S_IRWXU, FchmodatFlags::FollowSymlink).is_err() {
                take_back(rights, parent, name)?;
            }
            fs::openat(&fd, c".", DIRECTORY, Mode::empty())?
        }
        answer => answer?,
    };
    let (stat, own) = (fs::fstat(&fd)?, nix::unistd::geteuid());
    if stat.st_uid != own.as_raw() && !own.is_root() {
        take_back(rights, parent, name)?;
    } else if stat.st_mode & 0o700 != 0o700 && stat.st_uid == own.as_raw() {
        fs::fchmod(&fd, Mode::S_IRWXU)?;
    }
    Ok(fd)
}

fn take_back(rights: &OnceCell<Arc<Rights>>, parent: BorrowedFd, name: &[u8]) -> Result<(), Errno> {
    rights.get_or_init(Rights::of_this_user).take_back(parent, name).map_err(|_| Errno::EACCES)
}

/// Removes what is in a directory and is no directory, or an empty one.
fn level(directory: &OwnedFd, known: usize) -> Result<Level, Errno> {
    let most = if known < NAMES_OF_ALL { NAMES_OF_ONE } else { 1 };
    let mut level = Level { place: place(directory)?, below: Vec::new(), is_all: true };
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") || unlink(directory, name.to_bytes(), entry.file_type())? {
            continue;
        }
        if level.below.len() == most {
            level.is_all = false;
            break;
        }
        level.below.push(name.into());
    }
    Ok(level)
}

fn place(directory: &OwnedFd) -> Result<(u64, u64), Errno> {
    fs::fstat(directory).map(|stat| (stat.st_dev, stat.st_ino))
}

/// Removes one name; false when it is a directory that is not empty.
fn unlink(dir: impl AsFd, name: &[u8], kind: Option<FileType>) -> Result<bool, Errno> {
    let is_directory = kind == Some(FileType::Directory);
    let flags = if is_directory { UnlinkatFlags::RemoveDir } else { UnlinkatFlags::NoRemoveDir };
    match fs::unlinkat(&dir, name, flags) {
        Ok(()) | Err(Errno::ENOENT) => Ok(true),
        Err(Errno::ENOTEMPTY | Errno::EEXIST) => Ok(false),
        // A file system that tells no types.
        Err(Errno::EISDIR) => unlink(dir, name, Some(FileType::Directory)),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn whatever_is_in_a_tree_goes_and_nothing_else() {
        let scratch = std::env::temp_dir().join(format!("ctr-remove-{}", std::process::id()));
        let outside = scratch.join("outside");
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::write(outside.join("file"), "").unwrap();
        let top = scratch.join("top");
        // More that is not empty than is remembered of one directory, in more than one.
        for at in 0..NAMES_OF_ONE + 50 {
            std::fs::create_dir_all(top.join(format!("wide/{at}/wide"))).unwrap();
            std::fs::write(top.join(format!("wide/{at}/file")), "").unwrap();
            std::fs::create_dir_all(top.join(format!("wide/0/wide/{at}/one"))).unwrap();
        }
        symlink(&outside, top.join("link")).unwrap();
        symlink("link", top.join("wide/1/wide/link")).unwrap();
        for mode in [0o000, 0o400, 0o500] {
            let closed = top.join(format!("wide/2/{mode:o}"));
            std::fs::create_dir_all(closed.join("below/it")).unwrap();
            for place in [closed.join("below"), closed] {
                std::fs::set_permissions(place, std::fs::Permissions::from_mode(mode)).unwrap();
            }
        }
        let parent = fs::openat(AT_FDCWD, &scratch, DIRECTORY, Mode::empty()).unwrap();
        tree(parent.as_fd(), b"top").unwrap();
        assert!(!top.exists());
        tree(parent.as_fd(), b"top").unwrap();
        assert!(outside.join("file").exists());
        std::fs::remove_dir_all(&scratch).unwrap();
    }
}
