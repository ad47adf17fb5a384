//! A helper in a container's mount namespace that opens and looks at files there, as the container's root or another of its users. No
//! path that it is given is resolved anywhere else: openat2(2) with RESOLVE_IN_ROOT, in one call, so that nothing can be swapped
//! between two looks at it. What is opened has been looked at before, and is that very file: it is reached by the helper's
//! /proc/self/fd, proc_pid_fd(5), not by its name once more. So no FIFO is waited for and no device opened, whatever programs inside
//! put into the way.
//!
//! It has two descriptors of its own, the container's root and that directory of /proc, which nobody inside can get at: the helper
//! can't be traced or looked into ([`Start::within`](crate::helper::Start::within)).

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use ctr_wire::HANDED;
use nix::fcntl::{OFlag, ResolveFlag};

use super::kept;
use crate::helper::Helper;
use crate::plan::{CWD, Fd, Plan, Slot, c_string};
use crate::rootfs::{self, FileStat, Looked};
use crate::{Error, Result, Step, sys};

/// How often a place is looked for while programs inside move directories about: openat2(2), EAGAIN.
const TRIES: usize = 50;

/// The helper, which keeps what it has opened of its own.
pub struct FileHelper {
    helper: Helper,
}

/// Where it keeps its /proc/self/fd.
const OWN: usize = HANDED + 16;

/// Where it keeps the root.
const ROOT: usize = OWN + 1;

/// The number of a file on its way through [`OWN`]: its own are far below.
const NUMBER: u32 = 99;

/// A path inside, and what errors call it.
pub struct Place<'a> {
    pub step: Step,
    pub path: &'a OsStr,
    object: String,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.object)
    }
}

impl<'a> Place<'a> {
    pub fn new(container: &str, step: Step, path: &'a OsStr) -> Result<Self> {
        let object = format!("{} of container {}", path.to_string_lossy(), container);
        if path.is_empty() {
            return Err(Error::invalid(step, object, "the path is empty"));
        }
        c_string(step, path.as_bytes())?;
        Ok(Self { step, path, object })
    }

    /// One of the host.
    pub fn on_host(step: Step, path: &'a OsStr) -> Self {
        Self { step, path, object: path.to_string_lossy().into_owned() }
    }

    /// An error about it.
    pub fn system(&self, errno: i32) -> Error {
        Error::system(self.step, &self.object, errno).with_known_hint()
    }

    /// One whose reason is spelled out.
    pub fn refused(&self, code: crate::ErrorCode, errno: i32, why: impl Into<String>) -> Error {
        Error::new(code, self.step, &self.object, errno, why)
    }

    fn begin(&self, plan: &mut Plan<'_>) {
        plan.step(self.step, self.object.clone(), "", "");
        kept::renew(plan);
    }
}

impl FileHelper {
    /// Prepares what keeps its /proc/self/fd, before it enters the container's mount namespace.
    pub fn prepare(setup: &mut Plan<'_>) {
        let own = setup.keep_in(OWN);
        let path = setup.string(c"/proc/self/fd");
        setup.openat(CWD, path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC).out(own);
    }

    /// Has it keep the root of the mount namespace in which it is by now, and end when it has nothing to do.
    pub fn settle(plan: &mut Plan<'_>) {
        let root = rootfs::open_root(plan);
        let kept = plan.keep_in(ROOT);
        plan.dupfd_cloexec(root, 0).out(kept);
        plan.close(root);
        kept::settle(plan);
    }

    /// One that has done both.
    pub fn new(helper: Helper) -> Self {
        Self { helper: helper.kept() }
    }

    /// Gives it away, for work that takes its time.
    pub fn into_helper(self) -> Helper {
        self.helper
    }

    /// Has it walk a plan of somebody else's.
    pub fn walk(&self, plan: &Plan<'_>, give: &[Slot]) -> Result<Vec<OwnedFd>> {
        self.helper.run(plan, give)
    }

    /// The file there, only as a place (O_PATH), and what it is.
    pub fn look(&self, place: &Place<'_>, flags: OFlag) -> Result<(OwnedFd, Looked)> {
        let (read, write) = sys::pipe().map_err(|errno| place.system(errno as i32))?;
        let mut looks = File::from(read);
        let mut tries = 0;
        loop {
            let mut plan = Plan::new();
            let theirs = plan.send(Fd::Borrowed(write.as_fd()));
            place.begin(&mut plan);
            let found = plan.slot();
            let path = plan.bytes(place.path.as_bytes());
            plan.openat2(Slot(ROOT as u8), path, flags | OFlag::O_PATH | OFlag::O_CLOEXEC, RESOLVE).out(found);
            rootfs::look(&mut plan, found, theirs);
            match self.run(place, &plan, &[found]) {
                Err(error) if error.errno() == libc::EAGAIN && tries < TRIES => tries += 1,
                fds => {
                    let fd = fds?.pop().ok_or_else(|| place.system(libc::EPROTO))?;
                    let looked = Looked::read(&mut looks).map_err(|e| Error::io(place.step, &place.object, &e))?;
                    return Ok((fd, looked));
                }
            }
        }
    }

    /// Opens what was looked at.
    pub fn reopen(&self, place: &Place<'_>, found: BorrowedFd<'_>, flags: OFlag) -> Result<OwnedFd> {
        let mut plan = Plan::new();
        let found = plan.send(Fd::Borrowed(found));
        place.begin(&mut plan);
        plan.dup3(found, NUMBER, OFlag::O_CLOEXEC);
        let opened = plan.slot();
        let name = plan.bytes(NUMBER.to_string());
        plan.openat(Slot(OWN as u8), name, flags | QUIET).out(opened);
        plan.close_range(NUMBER, NUMBER);
        let fds = self.run(place, &plan, &[opened]);
        if fds.is_err() {
            // It would keep the mount that the file is on in use.
            let mut plan = Plan::new();
            place.begin(&mut plan);
            plan.close_range(NUMBER, NUMBER);
            _ = self.run(place, &plan, &[]);
        }
        fds?.pop().ok_or_else(|| place.system(libc::EPROTO))
    }

    /// Opens a file that is not there yet.
    pub fn create(&self, place: &Place<'_>, flags: OFlag, mode: u32) -> Result<OwnedFd> {
        let mut plan = Plan::new();
        place.begin(&mut plan);
        let made = plan.slot();
        let path = plan.bytes(place.path.as_bytes());
        let flags = flags | OFlag::O_CREAT | OFlag::O_EXCL | QUIET;
        plan.create2(Slot(ROOT as u8), path, flags, mode, RESOLVE).out(made);
        self.run(place, &plan, &[made])?.pop().ok_or_else(|| place.system(libc::EPROTO))
    }

    /// Opens a directory, to read it.
    pub fn directory(&self, place: &Place<'_>) -> Result<OwnedFd> {
        let (found, _) = self.look(place, OFlag::O_DIRECTORY)?;
        let mut plan = Plan::new();
        let found = plan.send(Fd::Owned(found));
        place.begin(&mut plan);
        let (opened, dot) = (plan.slot(), plan.string(c"."));
        plan.openat(found, dot, OFlag::O_RDONLY | OFlag::O_DIRECTORY | QUIET).out(opened);
        self.run(place, &plan, &[opened])?.pop().ok_or_else(|| place.system(libc::EPROTO))
    }

    fn run(&self, place: &Place<'_>, plan: &Plan<'_>, give: &[Slot]) -> Result<Vec<OwnedFd>> {
        self.helper.run(plan, give).map_err(|error| match error.failed_step() {
            step if step == place.step => error.with_known_hint(),
            _ => error,
        })
    }
}

const RESOLVE: ResolveFlag = ResolveFlag::RESOLVE_IN_ROOT.union(ResolveFlag::RESOLVE_NO_MAGICLINKS);

/// How everything is opened: without waiting, not even for who has a lease on it.
const QUIET: OFlag = OFlag::O_NONBLOCK.union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

/// What [`FileHelper::look`] has found, to be told.
pub fn kind_of(stat: &FileStat) -> &'static str {
    match stat.mode & libc::S_IFMT {
        libc::S_IFREG => "a file",
        libc::S_IFDIR => "a directory",
        libc::S_IFLNK => "a symbolic link",
        libc::S_IFIFO => "a FIFO",
        libc::S_IFCHR | libc::S_IFBLK => "a device",
        libc::S_IFSOCK => "a socket",
        _ => "no file",
    }
}
