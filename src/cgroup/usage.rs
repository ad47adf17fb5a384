//! What a container's cgroup has counted.

use nix::errno::Errno;

use super::control;
use super::controller::{At, Controller, Version};
use super::held::Cgroup;
use crate::{Result, Step};

impl Cgroup {
    /// Bytes in use now, and the most that ever were. v2 counts the latter since Linux 5.19; before that it is the former.
    pub(crate) fn memory_usage(&self) -> Result<(u64, u64)> {
        let (directory, now, peak) = match self.needed(Controller::Memory)? {
            At::V1(directory) => (directory, "memory.usage_in_bytes", "memory.max_usage_in_bytes"),
            At::V2(directory) => (directory, "memory.current", "memory.peak"),
        };
        let now = directory.read_number(now)?.unwrap_or(0);
        match control::read_number(&directory.fd, peak) {
            Ok(most) => Ok((now, most.unwrap_or(0).max(now))),
            Err(Errno::ENOENT) => Ok((now, now)),
            Err(errno) => Err(directory.error(Step::Read, peak, errno)),
        }
    }

    /// How many processes of it the kernel's OOM killer has ended.
    pub(crate) fn oom_kills(&self) -> Result<u64> {
        let (directory, file) = match self.needed(Controller::Memory)? {
            At::V1(directory) => (directory, "memory.oom_control"),
            At::V2(directory) => (directory, "memory.events"),
        };
        let kills = control::read_keyed(&directory.fd, file, "oom_kill");
        Ok(kills.map_err(|errno| directory.error(Step::Read, file, errno))?.unwrap_or(0))
    }
}

/// How often a container's programs had to wait for their next share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Throttled {
    /// Periods in which programs ran.
    pub(crate) periods: u64,
    /// Those of them in which they were made to wait.
    pub(crate) waited: u64,
    /// How long, all in all, in nanoseconds.
    pub(crate) time: u64,
}

impl Cgroup {
    /// Counted from the first limit on.
    pub(crate) fn throttled(&self) -> Result<Throttled> {
        const STAT: &str = "cpu.stat";
        let at = self.needed(Controller::Cpu)?;
        let key = |key| {
            let found = control::read_keyed(&at.directory().fd, STAT, key);
            Ok(found.map_err(|errno| at.directory().error(Step::Read, STAT, errno))?.unwrap_or(0))
        };
        let time = match at.version() {
            Version::V1 => key("throttled_time")?,
            Version::V2 => key("throttled_usec")? * 1000,
        };
        Ok(Throttled { periods: key("nr_periods")?, waited: key("nr_throttled")?, time })
    }
}

#[cfg(test)]
impl Cgroup {
    /// How many processes and threads there are.
    pub(crate) fn pids_now(&self) -> Result<u64> {
        if let Some(at) = self.at(Controller::Pids)? {
            return Ok(at.directory().read_number("pids.current")?.unwrap_or(0));
        }
        let directory = self.any()?;
        let file = if self.clone_into().is_some() { "cgroup.threads" } else { "tasks" };
        let tasks =
            control::read_pids(&directory.fd, file).map_err(|errno| directory.error(Step::Read, file, errno))?;
        Ok(tasks.len() as u64)
    }
}
