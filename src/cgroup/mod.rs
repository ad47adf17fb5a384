//! The host's side of a container's cgroup: where it can be made, its directories, its limits, what it counted, its end.
//!
//! Called by `container` alone. A machine has cgroup v1 (each controller a hierarchy of its own), v2 (one tree), v1
//! controllers beside an empty v2 tree, or nothing that we may write to; [`hierarchies`] finds out which, [`Cgroup::plan`]
//! decides on paths without making anything, [`Layout::make`] makes them and everything after that goes through
//! directory descriptors. The process moves itself in: on v1 PID 1 writes "0" into `tasks`, which moves one thread and
//! so doesn't wait for an RCU grace period as a write of another's pid into `cgroup.procs` does
//! (`cgroup_procs_write_start` in kernel/cgroup/cgroup.c); on v2 clone3(2) makes it inside by CLONE_INTO_CGROUP.
//!
//! A list of devices stands in the same directory on v2, and in one more on v1.
//!
//! Rests on cgroups(7), Documentation/admin-guide/cgroup-v1/memory.rst, .../cgroup-v1/pids.rst and .../cgroup-v2.rst.

mod control;
mod devices;
mod hierarchies;
mod kill;
mod layout;
mod memory;
mod pids;
mod remove;
#[cfg(test)]
mod tests;
mod verify;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, fstatfs};

pub(crate) use devices::unavailable as devices_unavailable;
pub(crate) use hierarchies::{Caller, hierarchies};
pub(crate) use layout::{Layout, Planned};
pub(crate) use remove::remove;
pub(crate) use verify::{check_names, verify};

use crate::security::DeviceRule;
use crate::sys::Own;
use crate::{Error, ErrorCode, Result};

/// The smallest memory limit that a container can live with: the kernel's own memory for its namespaces (most of it the
/// network namespace), PID 1 and one small program. Measured: at 1 MiB the OOM killer ends busybox's shell at its start.
pub(crate) const MEMORY_MIN: u64 = 2 << 20;

/// The smallest pids limit: PID 1 and one program.
pub(crate) const PIDS_MIN: u64 = 2;

/// The largest pids limit, PID_MAX_LIMIT of include/linux/threads.h; `pids.max` refuses more.
pub(crate) const PIDS_MAX: u64 = 4 << 20;

/// The limits that a container is made with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of memory, swap not included.
    pub(crate) memory: Option<u64>,
    /// Processes and threads.
    pub(crate) pids: Option<u64>,
    /// The devices that can be opened; any where there is no list.
    pub(crate) devices: Option<Vec<DeviceRule>>,
}

/// The cgroup directories of one container. Dropping it removes nothing; [`remove`] does.
#[derive(Debug)]
pub(crate) struct Cgroup {
    v2: Option<Directory>,
    v1_memory: Option<Directory>,
    v1_devices: Option<Directory>,
    v1_pids: LateDirectory,
}

/// A directory that exists.
#[derive(Debug)]
struct Directory {
    path: PathBuf,
    fd: Own,
}

/// A directory that may be made later: the pids cgroup of v1, which costs every container a hierarchy more and so is
/// only made where a limit is set.
#[derive(Debug, Default)]
struct LateDirectory {
    path: Option<PathBuf>,
    made: OnceLock<Directory>,
}

/// A controller's directory and the names of its files.
#[derive(Clone, Copy)]
enum Controller<'a> {
    V1(&'a Directory),
    V2(&'a Directory),
}

impl Cgroup {
    /// The cgroup of a container that another process made, from the paths of its record.
    pub(crate) fn open(paths: &[PathBuf]) -> Result<Self> {
        let mut cgroup = Self { v2: None, v1_memory: None, v1_devices: None, v1_pids: LateDirectory::default() };
        for path in paths {
            let directory = match Directory::open(path) {
                Ok(directory) => directory,
                Err(Errno::ENOENT) => {
                    cgroup.v1_pids.path = Some(path.clone());
                    continue;
                }
                Err(errno) => return Err(Error::system("open cgroup", path.display(), errno as i32)),
            };
            let kind = fstatfs(&directory.fd)
                .map_err(|errno| Error::system("open cgroup", path.display(), errno as i32))?
                .filesystem_type();
            if kind == CGROUP2_SUPER_MAGIC {
                cgroup.v2 = Some(directory);
            } else if directory.has("pids.max") && (cgroup.v1_memory.is_some() || !directory.has(memory::V1_LIMIT)) {
                cgroup.v1_pids.path = Some(path.clone());
                let _ = cgroup.v1_pids.made.set(directory);
            } else if directory.has(memory::V1_LIMIT) {
                cgroup.v1_memory = Some(directory);
            } else {
                cgroup.v1_devices = Some(directory);
            }
        }
        Ok(cgroup)
    }

    /// Whether its descriptors are still what they were.
    pub(crate) fn is_ours(&self) -> bool {
        let fixed = self.v2.iter().chain(&self.v1_memory).chain(&self.v1_devices);
        fixed.chain(self.v1_pids.made.get()).all(|directory| directory.fd.is_ours())
    }

    /// v1: each hierarchy's `tasks`, open for writing. A process that writes "0" into all of them is in. Hand them to PID
    /// 1, which writes before it makes its cgroup namespace, so that this cgroup is the namespace's root.
    pub(crate) fn join_fds(&self) -> Result<Vec<OwnedFd>> {
        // One hierarchy may have several controllers.
        let is_not = |one: &Directory, other: &Option<Directory>| other.as_ref().is_none_or(|it| it.path != one.path);
        let devices = self.v1_devices.as_ref().filter(|devices| is_not(devices, &self.v1_memory));
        let pids = self.v1_pids.made.get();
        let pids = pids.filter(|pids| is_not(pids, &self.v1_memory) && is_not(pids, &self.v1_devices));
        let all = self.v1_memory.iter().chain(devices).chain(pids);
        all.map(|directory| directory.open_for_writing("tasks")).collect()
    }

    /// v2: the directory, for CLONE_INTO_CGROUP.
    pub(crate) fn clone_into(&self) -> Option<BorrowedFd<'_>> {
        self.v2.as_ref().map(|directory| directory.fd.as_fd())
    }

    /// The limits in bytes and in processes; none where no controller counts it.
    pub(crate) fn limits(&self) -> Result<[Option<u64>; 2]> {
        Ok([counted(self.memory())?.flatten(), counted(self.pids())?.flatten()])
    }

    fn memory_controller(&self) -> Result<Controller<'_>> {
        match (&self.v1_memory, &self.v2) {
            (Some(v1), _) => Ok(Controller::V1(v1)),
            (None, Some(v2)) => Ok(Controller::V2(v2)),
            (None, None) => Err(without("memory")),
        }
    }

    /// Where the container's processes are listed.
    fn any(&self) -> Result<&Directory> {
        let first =
            self.v2.as_ref().or(self.v1_memory.as_ref()).or(self.v1_pids.made.get()).or(self.v1_devices.as_ref());
        first.ok_or_else(|| without("memory"))
    }
}

impl Directory {
    fn open(path: &Path) -> nix::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let fd = crate::sys::open(path, flags, Mode::empty())?;
        Ok(Self { path: path.to_path_buf(), fd: Own::new(fd) })
    }

    fn has(&self, file: &str) -> bool {
        control::exists(&self.fd, file)
    }

    fn open_for_writing(&self, file: &str) -> Result<OwnedFd> {
        control::open_for_writing(&self.fd, file).map_err(|errno| self.error("open", file, errno))
    }

    /// A failure on one of its files, or (`""`) on itself: "write /sys/fs/cgroup/…/memory.max: EINVAL, invalid argument".
    fn error(&self, verb: &str, file: &str, errno: Errno) -> Error {
        if self.is_removed() {
            let why = "the container is gone";
            return Error::new(ErrorCode::Destroyed, "find the cgroup", self.path.display(), libc::ENOENT, why);
        }
        // A directory of v2 that no controller was handed on to.
        if errno == Errno::ENOENT && (file.starts_with("memory.") || file.starts_with("pids.")) {
            return without(file.split('.').next().unwrap_or(file));
        }
        let path = if file.is_empty() { self.path.clone() } else { self.path.join(file) };
        Error::system(verb, path.display(), errno as i32)
    }

    fn is_removed(&self) -> bool {
        !self.has("cgroup.procs")
    }

    fn check_not_removed(&self) -> Result<()> {
        if self.is_removed() { Err(self.error("find", "", Errno::ENOENT)) } else { Ok(()) }
    }

    fn write(&self, file: &str, value: &str) -> Result<()> {
        control::write(&self.fd, file, value).map_err(|errno| self.error("write", file, errno))
    }

    fn read_number(&self, file: &str) -> Result<Option<u64>> {
        control::read_number(&self.fd, file).map_err(|errno| self.error("read", file, errno))
    }
}

impl Limits {
    /// Refuses what no container can live with.
    pub(crate) fn check(&self) -> Result<()> {
        self.memory.map_or(Ok(()), memory::check)?;
        self.pids.map_or(Ok(()), pids::check)
    }
}

/// What a cgroup without the controller can't tell is nothing.
pub(crate) fn counted<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Err(error) if error.code() == ErrorCode::Unsupported => Ok(None),
        other => other.map(Some),
    }
}

fn without(controller: &str) -> Error {
    Error::new(
        ErrorCode::Unsupported,
        format!("use the {controller} controller"),
        "",
        libc::EOPNOTSUPP,
        format!("the container was made without a {controller} cgroup"),
    )
    .with_hint("create it with the cgroup policy \"required\" to learn what is missing")
}
