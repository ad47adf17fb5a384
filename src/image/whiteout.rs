//! What a layer hides of those below it. Archives say it by names (`.wh.NAME`, `.wh..wh..opq`), the store by what overlayfs
//! itself understands when it is mounted with `userxattr`: a character device 0/0, which anyone may make since Linux 5.8,
//! and the attribute `user.overlay.opaque`. OCI image specification, layer.md; Documentation/filesystems/overlayfs.rst.
//!
//! A whiteout concerns the layers below only. What the same layer has under that name stays, wherever it is in the archive.

use std::os::fd::BorrowedFd;

use nix::errno::Errno;

use crate::sys::fs::{self, FileStat, FileType, Mode, OFlag};

pub const OPAQUE_XATTR: &str = "user.overlay.opaque";

pub fn is_whiteout(stat: &FileStat) -> bool {
    fs::file_type(stat.st_mode) == Some(FileType::CharacterDevice) && stat.st_rdev == 0
}

/// Marks the directory `name`, which the caller has made or seen to be one.
pub fn make_opaque(parent: BorrowedFd, name: &[u8]) -> Result<(), Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let directory = fs::openat(parent, name, flags, Mode::empty())?;
    fs::fsetxattr(directory, OPAQUE_XATTR, b"y")
}
