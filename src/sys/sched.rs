//! How a process is scheduled, sched(7) and ioprio_set(2), and what it may use, prlimit(2).

use nix::errno::Errno;

/// struct sched_attr of sched_setattr(2), in its first version.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedAttr {
    pub size: u32,
    pub policy: u32,
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
}

/// Bit n stands for processor n, cpu_set_t with room for more.
pub type CpuSet = [u64; 32];

/// sched_getattr(2).
pub fn sched_getattr(pid: i32) -> nix::Result<SchedAttr> {
    let mut attr = SchedAttr::default();
    // SAFETY: the kernel writes as many bytes as there are.
    let result = unsafe { libc::syscall(libc::SYS_sched_getattr, pid, &raw mut attr, size_of::<SchedAttr>(), 0) };
    Errno::result(result).map(|_| attr)
}

/// sched_setattr(2).
pub fn sched_setattr(pid: i32, attr: &SchedAttr) -> nix::Result<()> {
    // SAFETY: the kernel reads `size` bytes.
    Errno::result(unsafe { libc::syscall(libc::SYS_sched_setattr, pid, &raw const *attr, 0) }).map(drop)
}

/// getpriority(2) of a process: its nice value, of which sched_getattr(2) tells under SCHED_OTHER and SCHED_BATCH only.
pub fn getpriority(pid: i32) -> nix::Result<i32> {
    // SAFETY: plain numbers. The call itself answers 20 less the value.
    Errno::result(unsafe { libc::syscall(libc::SYS_getpriority, libc::PRIO_PROCESS, pid) })
        .map(|value| 20 - value as i32)
}

/// setpriority(2) of a process.
pub fn setpriority(pid: i32, nice: i32) -> nix::Result<()> {
    // SAFETY: plain numbers.
    Errno::result(unsafe { libc::syscall(libc::SYS_setpriority, libc::PRIO_PROCESS, pid, nice) }).map(drop)
}

/// sched_getaffinity(2).
pub fn sched_getaffinity(pid: i32) -> nix::Result<CpuSet> {
    let mut cpus = [0; 32];
    // SAFETY: the kernel writes at most as many bytes as there are.
    let result = unsafe { libc::syscall(libc::SYS_sched_getaffinity, pid, size_of::<CpuSet>(), &raw mut cpus) };
    Errno::result(result).map(|_| cpus)
}

/// sched_setaffinity(2).
pub fn sched_setaffinity(pid: i32, cpus: &CpuSet) -> nix::Result<()> {
    // SAFETY: the kernel reads as many bytes as there are.
    let result = unsafe { libc::syscall(libc::SYS_sched_setaffinity, pid, size_of::<CpuSet>(), &raw const *cpus) };
    Errno::result(result).map(drop)
}

/// How many processors the machine runs on, sysconf(3); 1 where that is not known.
pub fn processors() -> u16 {
    // SAFETY: asks only.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    u16::try_from(count.max(1)).unwrap_or(u16::MAX)
}

/// IOPRIO_WHO_PROCESS of ioprio_set(2).
pub const IOPRIO_WHO_PROCESS: i32 = 1;

/// ioprio_get(2).
pub fn ioprio_get(pid: i32) -> nix::Result<i32> {
    // SAFETY: plain numbers.
    Errno::result(unsafe { libc::syscall(libc::SYS_ioprio_get, IOPRIO_WHO_PROCESS, pid) }).map(|value| value as i32)
}

/// ioprio_set(2).
pub fn ioprio_set(pid: i32, value: i32) -> nix::Result<()> {
    // SAFETY: plain numbers.
    Errno::result(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, value) }).map(drop)
}

/// prlimit(2): what the limit was, soft and hard.
pub fn prlimit(pid: i32, resource: u32, new: Option<[u64; 2]>) -> nix::Result<[u64; 2]> {
    let mut old = [0u64; 2];
    let new = new.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the kernel reads one record, where there is one, and writes another.
    let result = unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, new, &raw mut old) };
    Errno::result(result).map(|_| old)
}
