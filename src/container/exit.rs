//! How a process ended.

use std::time::Duration;

/// How a process ended, and what it used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exit {
    /// The exit code, or 128 + signal.
    pub code: i32,
    /// The signal that ended it, 0 if none.
    pub signal: i32,
    /// Why it ended.
    pub reason: ExitReason,
    /// CPU time in user mode.
    pub user_time: Duration,
    /// CPU time in the kernel.
    pub system_time: Duration,
    /// Largest resident set, in bytes.
    pub max_rss: u64,
}

/// Why a process ended (`enum ctr_reason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(i32)]
pub enum ExitReason {
    /// It returned or called exit.
    Exited = 0,
    /// A signal.
    Signaled = 1,
    /// The kernel killed it because the container's memory was used up.
    OutOfMemory = 2,
    /// Its time limit passed.
    TimedOut = 3,
    /// The container was destroyed, or its PID 1 killed, under it.
    Destroyed = 4,
    /// It has ended, but how can't be known any more: its PID 1 has not told it, and the kernel tells it no longer. The code
    /// is that of SIGKILL.
    Unknown = 5,
    /// It and what it has started had used up their budget of processor time.
    OutOfCpuTime = 6,
}

/// PID 1 went, and everything with it, before it could say how.
pub const DESTROYED: Exit = Exit {
    code: 128 + libc::SIGKILL,
    signal: libc::SIGKILL,
    reason: ExitReason::Destroyed,
    user_time: Duration::ZERO,
    system_time: Duration::ZERO,
    max_rss: 0,
};
