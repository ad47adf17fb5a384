//! What is done in a directory of the host: one component at a time, in a directory that is open, so no link is ever followed. What this
//! user may not do, since the directory belongs to another of their ids, the process that has all of these does.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;

use super::super::owner::Id;
use super::super::rights::{Rights, string};
use crate::sys::fs::{
    self, AtFlags, FileStat, Mode, OFlag, RenameFlags, SFlag, TimeSpec, UnlinkatFlags, UtimensatFlags,
};

type Done<T> = Result<T, Errno>;

/// Whoever does it.
pub struct Hands {
    rights: Arc<Rights>,
}

impl Hands {
    pub fn new(rights: Arc<Rights>) -> Self {
        Self { rights }
    }

    /// A new file for this user alone.
    pub fn create(&self, parent: BorrowedFd, name: &[u8]) -> Done<OwnedFd> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        self.or_helper(fs::openat(parent, name, flags, Mode::S_IRUSR | Mode::S_IWUSR), |rights| {
            rights.create(parent, name)
        })
    }

    /// A new directory for this user alone.
    pub fn mkdir(&self, parent: BorrowedFd, name: &[u8]) -> Done<()> {
        self.or_helper(fs::mkdirat(parent, name, Mode::S_IRWXU), |rights| {
            rights.within(parent, |plan, parent| {
                let name = string(plan, name)?;
                plan.mkdirat(parent, name, 0o700);
                Ok(())
            })
        })
    }

    /// A new symbolic link.
    pub fn symlink(&self, target: &[u8], parent: BorrowedFd, name: &[u8]) -> Done<()> {
        self.or_helper(fs::symlinkat(target, parent, name), |rights| {
            rights.within(parent, |plan, parent| {
                let (target, name) = (string(plan, target)?, string(plan, name)?);
                plan.symlinkat(target, parent, name);
                Ok(())
            })
        })
    }

    /// A new FIFO.
    pub fn fifo(&self, parent: BorrowedFd, name: &[u8]) -> Done<()> {
        self.or_helper(fs::mknodat(parent, name, SFlag::S_IFIFO, Mode::S_IRUSR | Mode::S_IWUSR, 0), |rights| {
            rights.within(parent, |plan, parent| {
                let name = string(plan, name)?;
                plan.mknodat(parent, name, libc::S_IFIFO | 0o600, 0);
                Ok(())
            })
        })
    }

    /// A further name of a file.
    pub fn link(&self, from: BorrowedFd, name: &[u8], to: BorrowedFd, new: &[u8]) -> Done<()> {
        self.or_helper(fs::linkat(from, name, to, new, AtFlags::empty()), |rights| rights.link(from, name, to, new))
    }

    /// renameat2(2) within one directory.
    pub fn rename(&self, parent: BorrowedFd, from: &[u8], to: &[u8], flags: RenameFlags) -> Done<()> {
        self.or_helper(fs::renameat2(parent, from, parent, to, flags), |rights| {
            rights.within(parent, |plan, parent| {
                let (from, to) = (string(plan, from)?, string(plan, to)?);
                plan.renameat2(parent, from, to, flags);
                Ok(())
            })
        })
    }

    /// Removes what is no directory.
    pub fn unlink(&self, parent: BorrowedFd, name: &[u8]) -> Done<()> {
        self.or_helper(fs::unlinkat(parent, name, UnlinkatFlags::NoRemoveDir), |rights| {
            rights.within(parent, |plan, parent| {
                let name = string(plan, name)?;
                plan.unlinkat(parent, name, UnlinkatFlags::NoRemoveDir);
                Ok(())
            })
        })
    }

    /// Gives a file that is open its owners, as the host has them; an owner whom this user has no id for is left out.
    pub fn chown(&self, file: BorrowedFd, uid: u32, gid: u32) -> Done<()> {
        let stat = fs::fstat(file)?;
        if (stat.st_uid, stat.st_gid) == (uid, gid) {
            return Ok(());
        }
        let own = fs::fchown(file, Some(fs::Uid::from_raw(uid)), Some(fs::Gid::from_raw(gid)));
        let given = self.or_helper(own, |rights| rights.chown(file, Id::User(uid), Id::Group(gid)));
        match given {
            Err(Errno::EPERM | Errno::EINVAL | Errno::EACCES) => Ok(()),
            given => given,
        }
    }

    /// The mode of a file that is open, and when it was changed.
    pub fn finish(&self, file: BorrowedFd, mode: u32, times: &FileStat) -> Done<()> {
        let own = fs::fchmod(file, Mode::from_bits_truncate(mode));
        self.or_helper(own, |rights| {
            rights.within(file, |plan, file| {
                plan.fchmod(file, mode);
                Ok(())
            })
        })?;
        let time = TimeSpec::new(times.st_mtime, times.st_mtime_nsec);
        let now = TimeSpec::new(0, libc::UTIME_OMIT);
        self.or_helper(fs::futimens(file, &now, &time), |rights| {
            rights.within(file, |plan, file| {
                plan.futimens(file, (times.st_mtime, times.st_mtime_nsec as u32));
                Ok(())
            })
        })
    }

    /// When a link was changed, which can't be opened.
    pub fn set_time(&self, parent: BorrowedFd, name: &[u8], times: &FileStat) -> Done<()> {
        let time = TimeSpec::new(times.st_mtime, times.st_mtime_nsec);
        let now = TimeSpec::new(0, libc::UTIME_OMIT);
        fs::utimensat(parent, name, &now, &time, UtimensatFlags::NoFollowSymlink)
    }

    /// Sets an attribute of a file that is open, or removes it.
    pub fn attribute(&self, file: BorrowedFd, name: &[u8], value: Option<&[u8]>) -> Done<()> {
        match value {
            Some(value) => fs::fsetxattr(file, name, value),
            None => fs::fremovexattr(file, name),
        }
    }

    fn or_helper<T>(&self, own: Done<T>, helper: impl FnOnce(&Rights) -> Done<T>) -> Done<T> {
        match own {
            Err(Errno::EACCES | Errno::EPERM) if self.rights.ranges().is_some() => helper(&self.rights),
            own => own,
        }
    }
}

/// What a file is, whoever may look at it.
pub fn is_same_file(one: &FileStat, other: &FileStat) -> bool {
    let what = |stat: &FileStat| {
        let time = (stat.st_mtime, stat.st_mtime_nsec);
        (stat.st_dev, stat.st_ino, stat.st_mode, stat.st_uid, stat.st_gid, stat.st_size, time)
    };
    what(one) == what(other)
}

/// A descriptor as others take it.
pub fn duplicate(fd: impl AsFd) -> Done<OwnedFd> {
    fd.as_fd().try_clone_to_owned().map_err(|error| fs::errno_of(&error).unwrap_or(Errno::EMFILE))
}
