//! What a program has of the thread that starts it, at that moment, as after fork(2) and execve(2): scheduling, limits of
//! resources, its place in line when memory runs out. What PID 1 has is known; what differs is set by the program's own
//! process before it becomes the program, or, where that takes rights that nobody inside has, by PID 1's having it meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use super::state::{Record, Root};
use crate::plan::Plan;
use crate::security::rlimits::NO_CORE;
use crate::sys::fork_lock::ForkLock;
use crate::sys::sched::{SchedAttr, prlimit};
use crate::zygote::{RLIMITS, Scheduling, has_nice_apart, oom_score_adj};
use crate::{Error, Preset, Result, Rlimit, Seccomp, Step};

/// Of a thread, or of PID 1.
#[derive(Clone, Debug, Default)]
pub struct Inherited {
    pub scheduling: Scheduling,
    /// RLIMIT_*, by their numbers: soft and hard; nothing where it isn't known.
    pub rlimits: [Option<[u64; 2]>; RLIMITS],
    pub oom_score_adj: Option<i32>,
}

/// Whether a container's PID 1 has another scheduling than its own meanwhile, see [`Inherited::lend`].
pub struct Lent {
    /// Held while it has.
    lock: ForkLock<()>,
    now: AtomicBool,
}

impl Default for Lent {
    fn default() -> Self {
        Self { lock: ForkLock::new(()), now: AtomicBool::new(false) }
    }
}

impl Inherited {
    /// Of the process `pid`.
    pub fn of(pid: i32) -> Self {
        Self { oom_score_adj: oom_score_adj(pid), ..Self::without_oom_score_adj(pid) }
    }

    /// What the steps of a plan are made from, of the calling thread: all but its place in line, which is no step's.
    pub fn of_caller() -> Self {
        Self::without_oom_score_adj(0)
    }

    fn without_oom_score_adj(pid: i32) -> Self {
        let rlimits = std::array::from_fn(|resource| prlimit(pid, resource as u32, None).ok());
        Self { scheduling: Scheduling::of(pid), rlimits, oom_score_adj: None }
    }

    /// The steps by which the process that walks them, a child of PID 1 with what `old` says, gets what it can get by itself.
    pub fn put(&self, plan: &mut Plan<'_>, old: &Self, pid: i32, record: &Record) {
        for (resource, limit) in self.limits(old, record) {
            let limit = reachable(resource, limit, old, pid);
            plan.step(Step::SetRlimit, Rlimit::name_of(resource).to_string(), "", "");
            let record = plan.data(limit.map(u64::to_ne_bytes).as_flattened(), 8);
            plan.prlimit(resource, record);
        }
        if self.scheduling == old.scheduling || self.scheduling.is_above(&old.scheduling) {
            return;
        }
        // A profile of the caller's own may refuse these calls; then the program has what PID 1 has.
        let foreign = matches!(record.config.seccomp, Some(Seccomp::File(_) | Seccomp::Json(_)));
        let refused = if foreign { libc::EPERM } else { 0 };
        plan.step(Step::ScheduleProgram, "the program as its caller", "", "");
        let Scheduling { attr, cpus, ioprio } = self.scheduling;
        if let Some(attr) = attr.filter(|_| attr != old.scheduling.attr) {
            if has_nice_apart(&attr) {
                plan.setpriority(attr.nice).ok(refused);
            }
            let record = plan.data(&bytes_of(&attr), 8);
            plan.sched_setattr(record).ok(refused);
        }
        if let Some(cpus) = cpus.filter(|_| cpus != old.scheduling.cpus) {
            // None of them is in the container's cpuset: then it has that.
            plan.sched_setaffinity(&cpus).ok(if foreign { refused } else { libc::EINVAL });
        }
        if let Some(value) = ioprio.filter(|_| ioprio != old.scheduling.ioprio) {
            plan.ioprio_set(value).ok(refused);
        }
    }

    /// Does `start`, with PID 1 scheduled as this meanwhile where its children could not get that by themselves.
    pub fn lend<T>(&self, old: &Self, pid: i32, lent: &Lent, start: impl FnOnce() -> Result<T>) -> Result<T> {
        if !self.scheduling.is_above(&old.scheduling) {
            // Another thread's scheduling is not for this program.
            if lent.now.load(Ordering::Acquire) {
                drop(lent.lock.lock());
            }
            return start();
        }
        let _lent = lent.lock.lock();
        lent.now.store(true, Ordering::Release);
        let outcome = give(&self.scheduling, pid, &old.scheduling).and_then(|()| start());
        let back = give(&old.scheduling, pid, &self.scheduling);
        lent.now.store(false, Ordering::Release);
        outcome.and_then(|it| back.map(|()| it))
    }

    /// The limits that differ, and that the container's configuration says nothing of.
    fn limits(&self, old: &Self, record: &Record) -> Vec<(u32, [u64; 2])> {
        let differs = |resource: usize| match (self.rlimits[resource], old.rlimits[resource]) {
            (Some(limit), Some(before)) if limit != before => Some((resource as u32, limit)),
            _ => None,
        };
        (0..RLIMITS).filter_map(differs).filter(|(resource, _)| !is_chosen(*resource, record)).collect()
    }
}

/// Gives a process a scheduling in the place of another, or says what it lacks.
pub fn give(scheduling: &Scheduling, pid: i32, old: &Scheduling) -> Result<()> {
    scheduling
        .give(pid, old)
        .map_err(|errno| Error::system(Step::ScheduleAsCaller, format!("process {pid}"), errno as i32))
}

/// A hard limit that is above PID 1's: it is raised there first, which takes root of the machine. Else it stays at that.
fn reachable(resource: u32, [soft, hard]: [u64; 2], old: &Inherited, pid: i32) -> [u64; 2] {
    let [its, most] = old.rlimits[resource as usize].unwrap_or([soft, hard]);
    if hard <= most || prlimit(pid, resource, Some([its, hard])).is_ok() {
        return [soft, hard];
    }
    [soft.min(most), most]
}

/// Whether the container's configuration says what this limit is.
fn is_chosen(resource: u32, record: &Record) -> bool {
    let asked = record.config.rlimits.iter().any(|limit| limit.limits(resource));
    let preset = NO_CORE.limits(resource) && record.config.preset != Preset::Privileged && record.root != Root::Foreign;
    asked || preset
}

fn bytes_of(attr: &SchedAttr) -> Vec<u8> {
    let SchedAttr { size, policy, flags, nice, priority, runtime, deadline, period } = *attr;
    let mut bytes = Vec::with_capacity(size_of::<SchedAttr>());
    bytes.extend([size, policy].map(u32::to_ne_bytes).as_flattened());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(nice.to_ne_bytes());
    bytes.extend(priority.to_ne_bytes());
    bytes.extend([runtime, deadline, period].map(u64::to_ne_bytes).as_flattened());
    bytes
}
