//! The limit of processes and threads.

use std::collections::BTreeSet;

use nix::errno::Errno;

use super::{Cgroup, Directory, PIDS_MAX, PIDS_MIN, control, layout, without};
use crate::{Error, ErrorCode, Result};

/// How often the move of a container's processes into a new pids cgroup goes on for those that were forked meanwhile.
const PASSES: usize = 100;

impl Cgroup {
    /// Sets the most processes and threads, PID 1 included; `None` lifts it. Fewer than there are is no error: fork(2)
    /// then fails inside until enough have ended.
    ///
    /// On v1 a container that was made without a pids limit has no pids cgroup: the first limit makes one and moves the
    /// container's processes into it, each of which waits for an RCU grace period (about 10 ms).
    pub(crate) fn set_pids(&self, limit: Option<u64>) -> Result<()> {
        limit.map_or(Ok(()), check)?;
        let directory = match (self.pids_directory()?, limit) {
            (Some(directory), _) => directory,
            (None, None) => return Ok(()),
            (None, Some(_)) => self.make_pids_directory()?,
        };
        directory.write("pids.max", &limit.map_or_else(|| "max".into(), |count| count.to_string()))?;
        match &self.v1_memory {
            // Also where the directory was there: whoever made it may have been killed before it was done.
            Some(memory) if self.v1_pids.path.is_some() => move_all(memory, directory),
            _ => Ok(()),
        }
    }

    /// The most processes and threads; `None` where there is no limit.
    pub(crate) fn pids(&self) -> Result<Option<u64>> {
        self.pids_directory()?.map_or(Ok(None), |directory| directory.read_number("pids.max"))
    }

    /// How many processes and threads there are.
    #[cfg(test)]
    pub(crate) fn pids_now(&self) -> Result<u64> {
        if let Some(directory) = self.pids_directory()? {
            return Ok(directory.read_number("pids.current")?.unwrap_or(0));
        }
        let directory = self.any()?;
        let file = if self.v2.is_some() { "cgroup.threads" } else { "tasks" };
        let tasks = control::read_pids(&directory.fd, file).map_err(|errno| directory.error("read", file, errno))?;
        Ok(tasks.len() as u64)
    }

    /// The directory with `pids.max`, if there is one by now.
    fn pids_directory(&self) -> Result<Option<&Directory>> {
        if let Some(made) = self.v1_pids.made.get() {
            return Ok(Some(made));
        }
        let found = match (&self.v1_pids.path, &self.v2) {
            (Some(path), _) => Directory::open(path).ok().map(|found| self.v1_pids.made.get_or_init(|| found)),
            (None, Some(v2)) => Some(v2).filter(|v2| v2.has("pids.max")),
            (None, None) => None,
        };
        if found.is_none() {
            self.any()?.check_not_removed()?;
        }
        Ok(found)
    }

    fn make_pids_directory(&self) -> Result<&Directory> {
        let path = self.v1_pids.path.as_ref().ok_or_else(|| without("pids"))?;
        let made = match layout::make_directory(path) {
            // Another process that joined the container was faster.
            Err(error) if error.errno() == libc::EEXIST => {
                Directory::open(path).map_err(|errno| Error::system("open cgroup", path.display(), errno as i32))
            }
            other => other,
        }?;
        // A container is destroyed in the order of its paths, memory first: if that is gone, so is whoever would remove
        // this one.
        if let Err(error) = self.any()?.check_not_removed() {
            super::remove(std::slice::from_ref(path))?;
            return Err(error);
        }
        Ok(self.v1_pids.made.get_or_init(|| made))
    }
}

/// Refuses a limit that no container can live with, or that the kernel doesn't take.
pub(super) fn check(limit: u64) -> Result<()> {
    if (PIDS_MIN..=PIDS_MAX).contains(&limit) {
        return Ok(());
    }
    let why = format!("it is {PIDS_MIN} (the container's PID 1 and one program) at the least, {PIDS_MAX} at the most");
    Err(Error::invalid("set the pids limit to", limit, why)
        .with_hint("for no limit leave it out, or give CTR_UNLIMITED or None"))
}

fn move_all(from: &Directory, to: &Directory) -> Result<()> {
    const PROCS: &str = "cgroup.procs";
    let list = |directory: &Directory| {
        control::read_pids(&directory.fd, PROCS).map_err(|errno| directory.error("read", PROCS, errno))
    };
    for _ in 0..PASSES {
        let there: BTreeSet<i32> = list(to)?.into_iter().collect();
        let left: Vec<i32> = list(from)?.into_iter().filter(|pid| !there.contains(pid)).collect();
        if left.is_empty() {
            return Ok(());
        }
        for pid in left {
            // 0 is a process that our pid namespace doesn't have; written, it would mean ourselves.
            let outcome = if pid == 0 { Err(Errno::EXDEV) } else { control::write(&to.fd, PROCS, &pid.to_string()) };
            match outcome {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(Error::system("move into the pids cgroup pid", pid, errno as i32)),
            }
        }
    }
    let why = "its processes multiply faster than they can be moved";
    Err(Error::new(ErrorCode::System, "limit the pids of", from.path.display(), libc::EBUSY, why)
        .with_hint("set a pids limit when the container is created"))
}
