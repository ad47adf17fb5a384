//! What a child of a thread inherits of its scheduling: processors, policy, nice value, class of input and output.
//!
//! They are a thread's own and may change at any time, so what is started for a thread has them as that thread has them then,
//! as after fork(2) and execve(2). The zygote has those of whoever started it.

use nix::errno::Errno;

use crate::sys::sched::{
    CpuSet, SchedAttr, getpriority, ioprio_get, ioprio_set, sched_getaffinity, sched_getattr, sched_setaffinity,
    sched_setattr, setpriority,
};

/// Of one thread; nothing where the kernel doesn't tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduling {
    pub attr: Option<SchedAttr>,
    pub cpus: Option<CpuSet>,
    pub ioprio: Option<i32>,
}

/// SCHED_FLAG_RESET_ON_FORK.
const RESET_ON_FORK: u64 = 1;

impl Scheduling {
    /// What a child of the process `pid` has, of the calling thread where it is 0.
    pub fn of(pid: i32) -> Self {
        let mut attr = sched_getattr(pid).ok().map(inherited);
        if let Some(attr) = attr.as_mut().filter(|attr| has_nice_apart(attr)) {
            attr.nice = getpriority(pid).unwrap_or(0);
        }
        // A class of none with a number is what some kernels call the default.
        let ioprio = ioprio_get(pid).ok().map(|value| if value >> 13 == 0 { 0 } else { value });
        Self { attr, cpus: sched_getaffinity(pid).ok(), ioprio }
    }

    /// Whether who has `other` needs rights over the machine to get this.
    pub fn is_above(&self, other: &Self) -> bool {
        let real_time = |attr: &SchedAttr| {
            let policy = attr.policy as i32;
            [libc::SCHED_FIFO, libc::SCHED_RR, libc::SCHED_DEADLINE].contains(&policy)
        };
        let is_idle = |attr: &SchedAttr| attr.policy as i32 == libc::SCHED_IDLE;
        const REAL_TIME: i32 = 1;
        let io = self.ioprio != other.ioprio && self.ioprio.is_some_and(|value| value >> 13 == REAL_TIME);
        let (Some(own), Some(other)) = (&self.attr, &other.attr) else { return io };
        let policy = own != other && real_time(own) || is_idle(other) && !is_idle(own);
        io || policy || own.nice < other.nice
    }

    /// Gives it to the process `pid`, which has `old`, with this thread's rights.
    pub fn give(&self, pid: i32, old: &Self) -> nix::Result<()> {
        if let Some(attr) = self.attr.filter(|_| self.attr != old.attr) {
            if has_nice_apart(&attr) {
                setpriority(pid, attr.nice)?;
            }
            sched_setattr(pid, &attr)?;
        }
        if let Some(cpus) = self.cpus.filter(|_| self.cpus != old.cpus) {
            match sched_setaffinity(pid, &cpus) {
                // None of them is in the container's cpuset: then it has that.
                Err(Errno::EINVAL) => {}
                outcome => outcome?,
            }
        }
        match self.ioprio.filter(|_| self.ioprio != old.ioprio) {
            Some(value) => ioprio_set(pid, value),
            None => Ok(()),
        }
    }
}

/// Whether its nice value is told and set apart: under a policy that has no use for it.
pub fn has_nice_apart(attr: &SchedAttr) -> bool {
    ![libc::SCHED_OTHER, libc::SCHED_BATCH].contains(&(attr.policy as i32))
}

/// What fork(2) makes of it, and what can be given to another: not the length of a slice.
fn inherited(attr: SchedAttr) -> SchedAttr {
    let reset = attr.flags & RESET_ON_FORK != 0;
    let real_time = ![libc::SCHED_OTHER, libc::SCHED_BATCH, libc::SCHED_IDLE].contains(&(attr.policy as i32));
    let size = size_of::<SchedAttr>() as u32;
    match (real_time, reset) {
        (true, true) => SchedAttr { size, ..SchedAttr::default() },
        (true, false) => SchedAttr { size, flags: 0, ..attr },
        (false, _) => {
            let nice = if reset { attr.nice.max(0) } else { attr.nice };
            SchedAttr { size, policy: attr.policy, nice, ..SchedAttr::default() }
        }
    }
}
