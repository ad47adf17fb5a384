//! What a file says of itself, read for an archive or to be compared: stat(2), where a link leads, and the attributes, of which
//! ours say what the file could not have.

use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStringExt;

use nix::errno::Errno;

use super::super::dirs::{Opener, attribute, is_gone};
use super::super::entry::Entry;
use super::super::fault::{Fault, Outcome};
use super::super::limits::Limits;
use super::super::unpack::{OWNER_XATTR, narrowed};
use super::super::whiteout::OPAQUE_XATTR;
use crate::Step;
use crate::sys::fs::{self, AtFlags, FileStat, OFlag};

/// Whether an error of opening `name` says only that it is not what was `seen` any more. A whiteout, which overlayfs puts in the place
/// of what a program removes, is a device: a mount with nodev refuses it by EACCES.
pub(in super::super) fn is_replaced(
    errno: Errno,
    opener: Option<&Opener>,
    parent: BorrowedFd,
    name: &[u8],
    seen: &FileStat,
) -> bool {
    let is_another = |now: FileStat| (now.st_dev, now.st_ino) != (seen.st_dev, seen.st_ino);
    is_gone(errno) || (errno == Errno::EACCES && look(opener, parent, name).map_or_else(is_gone, is_another))
}

/// fstatat(2); `opener` gets at what is in a directory that we may not search.
pub(in super::super) fn look(
    opener: Option<&Opener>,
    parent: BorrowedFd,
    name: &[u8],
) -> std::result::Result<FileStat, Errno> {
    match (fs::fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW), opener) {
        (Err(Errno::EACCES), Some(opener)) => fs::fstat(opener.open(parent, name, PLACE)?),
        (answer, _) => answer,
    }
}

/// readlinkat(2), likewise.
pub(in super::super) fn read_link(
    opener: Option<&Opener>,
    parent: BorrowedFd,
    name: &[u8],
) -> std::result::Result<Vec<u8>, Errno> {
    let target = match (fs::readlinkat(parent, name), opener) {
        (Err(Errno::EACCES), Some(opener)) => fs::readlinkat(opener.open(parent, name, PLACE)?, c""),
        (answer, _) => answer,
    };
    target.map(OsString::into_vec)
}

const PLACE: OFlag = OFlag::O_PATH.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Reads the attributes into `entry`; ours are taken for what they say, or left out where they are not believed. True for an
/// opaque directory.
pub(in super::super) fn attributes(
    fd: BorrowedFd,
    entry: &mut Entry,
    opener: Option<&Opener>,
    believes: &dyn Fn() -> bool,
) -> Outcome<bool> {
    let failed = |errno| Fault::system(Step::ReadAttributes, &entry.path, errno);
    let mut is_opaque = false;
    let mut list = vec![0; 0];
    loop {
        match fs::flistxattr(fd, &mut []) {
            Ok(0) | Err(Errno::EOPNOTSUPP) => return Ok(false),
            Ok(length) => list.resize(length, 0),
            Err(errno) => return Err(failed(errno)),
        }
        match fs::flistxattr(fd, &mut list[..]) {
            Ok(length) => break list.truncate(length),
            Err(Errno::ERANGE) => {}
            // More names than the kernel lists (XATTR_LIST_MAX), which no image can have: those that are known by name.
            Err(Errno::E2BIG) => break list = KNOWN.join(&0),
            Err(errno) => return Err(failed(errno)),
        }
    }
    let (mut found, most, mut size) = (Vec::new(), Limits::default().header, 0);
    for name in list.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        match attribute(opener, fd, name) {
            Ok(value) => {
                size += value.len() as u64;
                if size > most {
                    return Err(Fault::over(&entry.path, "header", format!("attributes of more than {most} bytes")));
                }
                found.push((name.to_vec(), value));
            }
            Err(Errno::ENODATA | Errno::EOPNOTSUPP | Errno::EPERM) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
    for (name, value) in found {
        if name == OWNER_XATTR.as_bytes() {
            if let Some((uid, gid, mode)) = owner(&value).filter(|_| believes()) {
                (entry.uid, entry.gid) = (uid, gid);
                // Unless someone has given it another mode since.
                if [mode, narrowed(entry.kind, mode)].contains(&entry.mode) {
                    entry.mode = mode;
                }
            }
        } else if name == OPAQUE_XATTR.as_bytes() {
            is_opaque = true;
        } else if !name.starts_with(b"user.overlay.")
            && !name.starts_with(b"user.ctr.")
            && !name.starts_with(b"trusted.")
            && name != b"security.selinux"
        {
            entry.xattrs.push((name, value));
        }
    }
    Ok(is_opaque)
}

/// A file that can't be opened without waiting for whoever has a lease on it.
pub(in super::super) fn leased(path: &[u8]) -> Fault {
    let why = "a program has a lease on it (fcntl(2) F_SETLEASE); end it, or try again when the kernel has taken the lease \
               away (/proc/sys/fs/lease-break-time)";
    Fault::bad(path, why)
}

/// Attributes that say what a file is.
const KNOWN: [&[u8]; 5] = [
    OWNER_XATTR.as_bytes(),
    OPAQUE_XATTR.as_bytes(),
    b"security.capability",
    b"system.posix_acl_access",
    b"system.posix_acl_default",
];

/// [`OWNER_XATTR`]'s value.
pub(in super::super) fn owner(value: &[u8]) -> Option<(u32, u32, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let mut parts = text.split(':');
    let owner = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, u32::from_str_radix(parts.next()?, 8).ok()?);
    (parts.next().is_none() && owner.2 <= 0o7777).then_some(owner)
}
