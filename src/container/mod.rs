//! A container's whole story: create, exec, join, limits, destroy. The only room that knows every other one.

mod create;
mod exec;
mod join;
mod process;
mod state;

pub use create::explain;
pub use join::NamespaceSet;
pub use process::{Exit, ExitReason, Process};
pub use state::ContainerInfo;

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::path::Path;

use crate::{Config, ExecConfig, Result};

/// A running container. Dropping the handle of a container that this process made (and did not detach) destroys it; a
/// joined or detached one lives on. Any thread may call any method at any time.
pub struct Container {}

impl Container {
    /// Makes a container from `image`: a tarball, a directory, or `"host"`.
    pub fn create(image: impl AsRef<OsStr>, config: &Config) -> Result<Self> {
        unimplemented!()
    }
    /// A handle on a running container that any process of this user made.
    pub fn join(name: &str) -> Result<Self> {
        unimplemented!()
    }
    /// As [`Container::join`], with the state directory given.
    pub fn join_in(state_dir: &Path, name: &str) -> Result<Self> {
        unimplemented!()
    }
    /// The namespaces of any process, as nsenter(1) enters them.
    pub fn join_pid(pid: i32, namespaces: NamespaceSet) -> Result<Self> {
        unimplemented!()
    }
    /// The running containers of this user, oldest first; sweeps what dead owners left.
    pub fn list() -> Result<Vec<ContainerInfo>> {
        unimplemented!()
    }
    /// As [`Container::list`], with the state directory given.
    pub fn list_in(state_dir: &Path) -> Result<Vec<ContainerInfo>> {
        unimplemented!()
    }
    /// Starts a program inside.
    pub fn exec<A: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = A>, config: &ExecConfig) -> Result<Process> {
        unimplemented!()
    }
    /// The name that [`Container::join`] takes; empty for a joined pid.
    pub fn name(&self) -> &str {
        unimplemented!()
    }
    /// The pid of the container's PID 1 on the host.
    pub fn pid(&self) -> i32 {
        unimplemented!()
    }
    /// A pidfd of the container's PID 1, readable when the container has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        unimplemented!()
    }
    /// Whether it runs: neither destroyed nor ended from outside.
    pub fn is_running(&self) -> bool {
        unimplemented!()
    }
    /// Sets the memory limit, live; `None` lifts it. Below present use the kernel reclaims; what can't be reclaimed
    /// makes the call fail with EBUSY and the old limit stays.
    pub fn set_memory_limit(&self, bytes: Option<u64>) -> Result<()> {
        unimplemented!()
    }
    /// The memory limit; `None` where there is none.
    pub fn memory_limit(&self) -> Result<Option<u64>> {
        unimplemented!()
    }
    /// Bytes in use, and the most that ever were.
    pub fn memory_usage(&self) -> Result<(u64, u64)> {
        unimplemented!()
    }
    /// Sets the most processes and threads, live; `None` lifts it.
    pub fn set_pids_limit(&self, count: Option<u64>) -> Result<()> {
        unimplemented!()
    }
    /// The most processes and threads; `None` where there is no limit.
    pub fn pids_limit(&self) -> Result<Option<u64>> {
        unimplemented!()
    }
    /// What was done to make it, as the shell commands a person would type; see [`explain`].
    pub fn explain(&self) -> Result<String> {
        unimplemented!()
    }
    /// Kills every process, reaps them and removes all that was made for it. In any state, and twice too.
    pub fn destroy(&self) -> Result<()> {
        unimplemented!()
    }
    /// Releases the handle without ending the container where it is joined or detached; otherwise as drop.
    pub fn close(self) {
        unimplemented!()
    }
}
