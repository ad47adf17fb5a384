//! What an ordinary user has done in the store that they may not do themselves, by the [`Helper`], which has all of their ids: files of
//! an image belong to these, as they do in rootless podman. It is started at the first need, so whoever has no such files never
//! pays for it; root never does.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::fcntl::AtFlags;

use super::dirs::{Opener, Opens};
use super::owner::Id;
use crate::helper::{Helper, Start, SubIds};
use crate::plan::{Arg, Fd, Plan, Slot, c_string};
use crate::sys::fs::{self, OFlag};
use crate::{Error, Result, Step};

/// What this thread's user may, and their helper may for them.
pub struct Rights {
    /// Who files belong to as they are seen here, and as they are inside.
    ids: Ids,
    helper: Mutex<Option<Arc<Helper>>>,
}

enum Ids {
    /// Root gives files away itself.
    Root,
    /// With ranges.
    Many(Arc<SubIds>),
    /// Without: their own is all, for this reason.
    Single { uid: u32, gid: u32, why: String },
}

/// So many descriptors go with one message, and so many are open at a time.
pub const BATCH: usize = 24;

/// XATTR_SIZE_MAX of include/uapi/linux/limits.h.
const MAX_VALUE: usize = 64 << 10;

impl Rights {
    pub fn of_this_user() -> Arc<Self> {
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        let ids = match uid.is_root() {
            true => Ids::Root,
            false => match SubIds::of_this_user() {
                Ok(ids) => Ids::Many(ids),
                Err(missing) => Ids::Single { uid: uid.as_raw(), gid: gid.as_raw(), why: missing.0 },
            },
        };
        Arc::new(Self { ids, helper: Mutex::new(None) })
    }

    /// The ranges, where this is an ordinary user with some.
    pub fn ranges(&self) -> Option<&SubIds> {
        match &self.ids {
            Ids::Many(ids) => Some(ids),
            _ => None,
        }
    }

    /// Why there are none, for a user who has none.
    pub fn lacks(&self) -> &str {
        match &self.ids {
            Ids::Single { why, .. } => why,
            _ => "",
        }
    }

    /// The owner of a file of the store, as it is inside; an owner whom the user has no id for stays as it is.
    pub fn inside(&self, id: Id) -> u32 {
        let (Id::User(here) | Id::Group(here)) = id;
        match (&self.ids, id) {
            (Ids::Root, _) => here,
            (Ids::Many(ids), Id::User(uid)) => ids.inside(0, uid).unwrap_or(uid),
            (Ids::Many(ids), Id::Group(gid)) => ids.inside(1, gid).unwrap_or(gid),
            (Ids::Single { uid, .. }, Id::User(_)) => {
                if *uid == here {
                    0
                } else {
                    here
                }
            }
            (Ids::Single { gid, .. }, Id::Group(_)) => {
                if *gid == here {
                    0
                } else {
                    here
                }
            }
        }
    }

    /// Who opens what the user may not.
    pub fn opener(self: &Arc<Self>) -> Option<Opener> {
        match self.ids {
            Ids::Root => None,
            _ => Some(Arc::clone(self) as Opener),
        }
    }

    /// Has the helper walk a plan.
    pub fn run(&self, plan: &Plan<'_>) -> std::result::Result<(), Errno> {
        self.helper().and_then(|helper| helper.run(plan, &[])).map(drop).map_err(|error| errno(&error))
    }

    /// Makes a file in a directory that is another's: openat(2) with O_CREAT and O_EXCL.
    pub fn create(&self, parent: BorrowedFd, name: &[u8]) -> std::result::Result<OwnedFd, Errno> {
        let mut plan = Plan::new();
        let parent = plan.send(Fd::Borrowed(parent));
        plan.step(Step::Open, "a file", "", "");
        let (name, file) = (string(&mut plan, name)?, plan.slot());
        let flags = OFlag::O_RDWR | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        plan.create(parent, name, flags, 0o600).out(file);
        let mut fds = self.helper().and_then(|helper| helper.run(&plan, &[file])).map_err(|error| errno(&error))?;
        fds.pop().ok_or(Errno::EPROTO)
    }

    /// Has the helper do something in a directory that is another's.
    pub fn within(
        &self,
        parent: BorrowedFd,
        calls: impl FnOnce(&mut Plan<'_>, Slot) -> std::result::Result<(), Errno>,
    ) -> std::result::Result<(), Errno> {
        let mut plan = Plan::new();
        let parent = plan.send(Fd::Borrowed(parent));
        plan.step(Step::Open, "a directory", "", "");
        calls(&mut plan, parent)?;
        self.run(&plan)
    }

    /// Links a file that is another's (protected_hardlinks of proc_sys_fs(5)).
    pub fn link(&self, from: BorrowedFd, name: &[u8], to: BorrowedFd, new: &[u8]) -> std::result::Result<(), Errno> {
        let mut plan = Plan::new();
        let (from, to) = (plan.send(Fd::Borrowed(from)), plan.send(Fd::Borrowed(to)));
        plan.step(Step::Link, "a file", "", "");
        let (name, new) = (string(&mut plan, name)?, string(&mut plan, new)?);
        plan.linkat((from, name), (to, new), AtFlags::empty());
        self.run(&plan)
    }

    /// Makes the directory `name` this user's own again, so that what is in it can be removed.
    pub fn take_back(&self, parent: BorrowedFd, name: &[u8]) -> std::result::Result<(), Errno> {
        let mut plan = Plan::new();
        let parent = plan.send(Fd::Borrowed(parent));
        plan.step(Step::TakeBack, "a directory", "", "");
        // Not by the name alone, which chmod would follow where it is a link.
        let (name, dot, directory) = (string(&mut plan, name)?, plan.string(c"."), plan.slot());
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        plan.openat(parent, name, flags).out(directory);
        plan.fchownat(directory, dot, 0, 0, AtFlags::empty());
        plan.fchmodat(directory, dot, 0o700);
        self.run(&plan)
    }

    /// Gives a file to these owners, as this process sees them.
    pub fn chown(&self, file: BorrowedFd, uid: Id, gid: Id) -> std::result::Result<(), Errno> {
        let mut plan = Plan::new();
        plan.step(Step::Chown, "a file", "", "");
        let file = plan.send(Fd::Borrowed(file));
        plan.fchown(file, self.inside(uid), self.inside(gid));
        self.run(&plan)
    }

    fn helper(&self) -> Result<Arc<Helper>> {
        let mut helper = self.helper.lock().unwrap_or_else(PoisonError::into_inner);
        match &*helper {
            Some(helper) => Ok(Arc::clone(helper)),
            None => Ok(Arc::clone(helper.insert(Arc::new(Start::of_this_user().start()?)))),
        }
    }
}

impl Opens for Rights {
    fn open(&self, parent: BorrowedFd, name: &[u8], flags: OFlag) -> std::result::Result<OwnedFd, Errno> {
        let mut plan = Plan::new();
        let parent = plan.send(Fd::Borrowed(parent));
        plan.step(Step::Open, "a file", "", "");
        let (name, slot) = (string(&mut plan, name)?, plan.slot());
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        plan.openat(parent, name, flags).out(slot);
        let mut fds = self.helper().and_then(|helper| helper.run(&plan, &[slot])).map_err(|error| errno(&error))?;
        fds.pop().ok_or(Errno::EPROTO)
    }

    fn attribute(&self, file: BorrowedFd, name: &[u8]) -> std::result::Result<Vec<u8>, Errno> {
        let into = crate::sys::memfd_create(c"ctr-attribute", libc::MFD_CLOEXEC)
            .map_err(|error| fs::errno_of(&error).unwrap_or(Errno::EMFILE))?;
        let mut plan = Plan::new();
        let (file, out) = (plan.send(Fd::Borrowed(file)), plan.send(Fd::Borrowed(into.as_fd())));
        plan.step(Step::ReadAttribute, "a file", "", "");
        let name = string(&mut plan, name)?;
        // How long it is, the helper can't say; read over zeros and over ones, it is what is the same in both.
        for (byte, at) in [(0u8, 0usize), (0xff, MAX_VALUE)] {
            let buffer = plan.data(&vec![byte; MAX_VALUE], 8);
            plan.fgetxattr(file, name, buffer, MAX_VALUE);
            plan.pwrite(out, buffer, MAX_VALUE, at);
        }
        self.run(&plan)?;
        let mut both = vec![0; 2 * MAX_VALUE];
        let mut filled = 0;
        while filled < both.len() {
            match fs::pread(&into, &mut both[filled..], filled as u64)? {
                0 => return Err(Errno::EIO),
                length => filled += length,
            }
        }
        let (mut value, ones) = (both[..MAX_VALUE].to_vec(), &both[MAX_VALUE..]);
        value.truncate(value.iter().zip(ones).position(|(zero, one)| zero != one).unwrap_or(MAX_VALUE));
        Ok(value)
    }
}

fn errno(error: &Error) -> Errno {
    Errno::from_raw(error.errno())
}

/// A name as a string of a plan.
pub fn string(plan: &mut Plan<'_>, name: &[u8]) -> std::result::Result<Arg, Errno> {
    c_string(Step::UsePath, name).map(|name| plan.string(name)).map_err(|_| Errno::EINVAL)
}
