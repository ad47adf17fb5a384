//! What a file has besides its content: owner, mode, times and attributes, as far as this user and this file system can give
//! them. What can't be given is kept beside the tree.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;

use super::super::acl::{self, Names};
use super::super::dirs::Stop;
use super::super::entry::Entry;
use super::super::fault::{Fault, Outcome};
use super::identity::{OWED_XATTR, OWNER_XATTR, is_ours, waiting};
use super::{TO_READ, Unpack, failed, stopped};
use crate::Step;
use crate::sys::fs::{self, FileType, Gid, Mode, OFlag, TimeSpec, Uid};

impl Unpack<'_> {
    /// Gives a file its ACLs, if it still is the one that they are for.
    pub(super) fn named_acls(&mut self, entry: &Entry, names: &Names<'_>) -> Outcome<()> {
        let (above, name) = entry.split();
        let name = if name.is_empty() { b"." } else { name };
        let Ok(parent) = self.dirs.enter(above) else { return Ok(()) };
        let Ok(fd) = fs::openat(parent, name, TO_READ, Mode::empty()) else { return Ok(()) };
        let mut left = entry.clone();
        let (mut is_found, mut is_left) = (false, false);
        for (record, attribute) in acl::RECORDS {
            let waiting = waiting(record);
            let mut text = vec![0; 64 << 10];
            let Ok(length) = fs::fgetxattr(&fd, waiting.as_slice(), &mut text[..]) else { continue };
            is_found = true;
            if !self.identity.gives {
                fs::fremovexattr(&fd, waiting.as_slice()).map_err(failed(Step::GiveAcl, entry))?;
            }
            let value = names.acl(&text[..length]);
            if let Some(value) = value.as_ref().filter(|_| self.identity.gives) {
                // With the ids that they have inside.
                left.xattrs.retain(|(name, _)| name != record);
                left.xattrs.push((attribute.into(), value.clone()));
            } else if let Some(value) = value
                && fs::fsetxattr(&fd, attribute, &value).is_err()
            {
                is_left = true;
            } else {
                left.xattrs.retain(|(name, _)| name != record);
            }
        }
        match self.identity.gives {
            true if is_found => self.owe(&left),
            false if is_left => self.keep(&left),
            _ => Ok(()),
        }
    }

    /// A file of the image's /etc, as far as it is one.
    pub(super) fn text(&mut self, name: &[u8]) -> Outcome<Vec<u8>> {
        const LARGEST: u64 = 4 << 20;
        let mut text = Vec::new();
        if let Ok(parent) = self.dirs.enter(b"etc")
            && let Ok(fd) = fs::openat(parent, name, TO_READ, Mode::empty())
            && fs::fstat(&fd).is_ok_and(|stat| fs::file_type(stat.st_mode) == Some(FileType::File))
        {
            File::from(fd).take(LARGEST).read_to_end(&mut text).map_err(Fault::read)?;
        }
        Ok(text)
    }

    pub(super) fn directory_metadata(&mut self, entry: &Entry) -> Outcome<()> {
        let (above, name) = entry.split();
        let parent = match self.dirs.enter(above) {
            Ok(parent) => parent,
            // Something else has taken its place, or that of a directory above it.
            Err(Stop::Missing(_) | Stop::NotDirectory(_)) => return Ok(()),
            Err(stop) => return Err(stopped(&entry.path, stop)),
        };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let name = if name.is_empty() { b"." } else { name };
        let fd = match fs::openat(parent, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(()),
            Err(errno) => return Err(failed(Step::Open, entry)(errno)),
        };
        self.metadata(fd.as_fd(), entry, true)
    }

    /// Owner, attributes, mode and times, in the order in which one does not undo the other: chown clears setuid bits and
    /// file capabilities, and a file without write permission takes no attributes of users.
    pub(super) fn metadata(&mut self, fd: BorrowedFd, entry: &Entry, needs_mode: bool) -> Outcome<()> {
        let identity = &self.identity;
        let mode = identity.mode(entry);
        let mut has_owner = true;
        if !identity.is_root {
            has_owner = entry.uid == 0 && entry.gid == 0;
        } else if identity.must_chown(entry) {
            let (uid, gid) = owner(entry);
            match fs::fchown(fd, uid, gid) {
                Ok(()) => {}
                // Root of a user namespace that has no such id.
                Err(Errno::EINVAL | Errno::EPERM) => has_owner = false,
                Err(errno) => return Err(failed(Step::Chown, entry)(errno)),
            }
        }
        let (mut whole, mut wait) = (true, Vec::new());
        for (name, value) in &entry.xattrs {
            if (identity.is_root || identity.gives) && acl::is_named(name) {
                // With the file, so that it is not given to another of the same name.
                match fs::fsetxattr(fd, waiting(name).as_slice(), value) {
                    Ok(()) => wait.push(name),
                    Err(_) => whole = false,
                }
            } else if identity.gives && !name.starts_with(b"user.") {
                whole = false;
            } else if !identity.is_root && acl::speaks_of(name, value, identity.uid, identity.gid) {
                // In the tree that is the image's root, and could not be told from it.
                whole = false;
            } else if is_ours(name) {
                match fs::fsetxattr(fd, name.as_slice(), value) {
                    Ok(()) => {}
                    // ENOSPC is also what a file system says to an attribute that is too large for it.
                    Err(_) => whole = false,
                }
            } else {
                whole = false;
            }
        }
        let is_owed = identity.gives && (!has_owner || mode != entry.mode || !whole || !wait.is_empty());
        if !has_owner || mode != entry.mode || is_owed {
            let text = format!("{}:{}:{:o}", entry.uid, entry.gid, entry.mode);
            whole &= fs::fsetxattr(fd, OWNER_XATTR, text.as_bytes()).is_ok();
        }
        let mut owed = entry.clone();
        if is_owed && !entry.xattrs.is_empty() {
            // So that it is known for the same file then, and its attributes are given to no other.
            self.owing += 1;
            let number = self.owing.to_string().into_bytes();
            if fs::fsetxattr(fd, OWED_XATTR, &number).is_ok() {
                owed.xattrs.push((OWED_XATTR.into(), number));
            }
        }
        if needs_mode {
            fs::fchmod(fd, Mode::from_bits_truncate(mode)).map_err(failed(Step::Chmod, entry))?;
        }
        let time = time(entry);
        fs::futimens(fd, &time, &time).map_err(failed(Step::SetTime, entry))?;
        if !wait.is_empty() {
            self.work.spool(&mut self.acls, "acls")?.add(&owed)?;
            if is_owed {
                // With these, then.
                return Ok(());
            }
        }
        if is_owed {
            return self.owe(&owed);
        }
        if whole {
            return Ok(());
        }
        let mut rest = entry.clone();
        rest.xattrs.retain(|(name, _)| !wait.contains(&name));
        self.keep(&rest)
    }
}

pub(super) fn owner(entry: &Entry) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))
}

/// When it was modified, which becomes the time of its last access too.
pub(super) fn time(entry: &Entry) -> TimeSpec {
    TimeSpec::new(entry.mtime.0, entry.mtime.1.into())
}
