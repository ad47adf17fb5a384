//! What a container uses, in numbers. Each controller reads its own files into them: [`super::controller::Row`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a container uses at one moment. A number that the kernel does not count here is `None`: docs/limits.md says which those are
/// on cgroup v1 and v2.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Memory.
    pub memory: MemoryStats,
    /// Time of processors.
    pub cpu: CpuStats,
    /// Processes and threads.
    pub pids: PidsStats,
    /// Input and output of block devices.
    pub io: IoStats,
    /// Processes that the OOM killer has ended.
    pub oom_kills: Option<u64>,
    /// For how long its programs wait.
    pub pressure: PressureStats,
}

/// Bytes of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryStats {
    /// In use, of all kinds.
    pub current: Option<u64>,
    /// The most that ever was in use.
    pub peak: Option<u64>,
    /// Of the programs' own: heaps, stacks.
    pub anon: Option<u64>,
    /// Of files that are cached, with those on tmpfs and shared memory.
    pub file: Option<u64>,
    /// Of the kernel, for what the programs do.
    pub kernel: Option<u64>,
    /// That lies in sockets of the internet. On v1 it is no part of `current`.
    pub sock: Option<u64>,
    /// Shared memory and files on tmpfs.
    pub shmem: Option<u64>,
}

/// Time of processors; it only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CpuStats {
    /// In programs.
    pub user: Option<Duration>,
    /// In the kernel.
    pub system: Option<Duration>,
    /// For how long programs were made to wait by a processor limit.
    pub throttled: Option<Duration>,
    /// Periods of that limit in which programs ran.
    pub periods: Option<u64>,
    /// Those of them in which they were made to wait.
    pub throttled_periods: Option<u64>,
}

/// Processes and threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PidsStats {
    /// As many as there are, PID 1 among them.
    pub current: Option<u64>,
}

/// Bytes that were read from block devices and written to them; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IoStats {
    /// Read.
    pub read: Option<u64>,
    /// Written.
    pub written: Option<u64>,
}

/// Pressure stall information, Documentation/accounting/psi.rst: v2 only.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PressureStats {
    /// Of memory.
    pub memory: Option<Pressure>,
    /// Of processors.
    pub cpu: Option<Pressure>,
    /// Of block devices.
    pub io: Option<Pressure>,
}

/// How much of the time programs waited for something.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Pressure {
    /// One of them at least.
    pub some: Stall,
    /// All of them at once.
    pub full: Option<Stall>,
}

/// How much of the time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stall {
    /// Percent of the last 10 seconds.
    pub avg10: f64,
    /// Percent of the last 60 seconds.
    pub avg60: f64,
    /// Percent of the last 300 seconds.
    pub avg300: f64,
    /// All in all.
    pub total: Duration,
}

/// The most that was ever told of a time that only grows.
#[derive(Debug, Default)]
pub(super) struct Most(AtomicU64);

impl Most {
    /// `time`, or more if that was told before.
    pub(super) fn at_least(&self, time: Duration) -> Duration {
        let time = time.as_micros() as u64;
        Duration::from_micros(self.0.fetch_max(time, Ordering::Relaxed).max(time))
    }
}
