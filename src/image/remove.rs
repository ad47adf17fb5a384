//! Removes a tree by descriptors, whatever its depth: never more than three are open, and nothing recurses.

use std::os::fd::BorrowedFd;

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Removes the directory `name` in `parent` and all below it. Links are removed, never followed.
pub fn tree(parent: BorrowedFd, name: &[u8]) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = fs::openat(parent, name, flags, Mode::empty())?;
    let mut moved = 0u64;
    loop {
        // What a directory below holds is moved up here, so that it is never further down than one level.
        let mut found = false;
        for entry in Dir::read_from(&top)? {
            let entry = entry?;
            let child = entry.file_name();
            if is_dots(child.to_bytes()) {
                continue;
            }
            found = true;
            if unlink(&top, child.to_bytes(), entry.file_type())? {
                continue;
            }
            let below = match fs::openat(&top, child, flags, Mode::empty()) {
                Ok(below) => below,
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno),
            };
            for entry in Dir::read_from(&below)? {
                let entry = entry?;
                let child = entry.file_name();
                if is_dots(child.to_bytes()) || unlink(&below, child.to_bytes(), entry.file_type())? {
                    continue;
                }
                loop {
                    moved += 1;
                    match fs::renameat_with(&below, child, &top, format!(".{moved}"), fs::RenameFlags::NOREPLACE) {
                        Err(Errno::EXIST) => {}
                        answer => break answer?,
                    }
                }
            }
        }
        if !found {
            break;
        }
    }
    match fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT) => Ok(()),
        answer => answer,
    }
}

/// Removes one name; false when it is a directory that is not empty.
fn unlink(dir: impl std::os::fd::AsFd, name: &[u8], kind: FileType) -> Result<bool, Errno> {
    let flags = if kind == FileType::Directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
    match fs::unlinkat(&dir, name, flags) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        // A file system that tells no types.
        Err(Errno::ISDIR) => unlink(dir, name, FileType::Directory),
        Err(errno) => Err(errno),
    }
}

fn is_dots(name: &[u8]) -> bool {
    name == b"." || name == b".."
}
