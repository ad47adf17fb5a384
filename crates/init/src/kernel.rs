//! The kernel, as this program sees it: one function that makes a system call, the few structures it needs, two ways to
//! make a process. x86-64 only; see syscall(2), clone(2).

use core::arch::{asm, global_asm};
use core::sync::atomic::AtomicU32;

/// System call numbers, arch/x86/entry/syscalls/syscall_64.tbl.
#[allow(missing_docs)]
pub mod nr {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const CLOSE: usize = 3;
    pub const LSEEK: usize = 8;
    pub const MMAP: usize = 9;
    pub const MUNMAP: usize = 11;
    pub const RT_SIGACTION: usize = 13;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const IOCTL: usize = 16;
    pub const PREAD64: usize = 17;
    pub const MADVISE: usize = 28;
    pub const DUP2: usize = 33;
    pub const ALARM: usize = 37;
    pub const GETPID: usize = 39;
    pub const SOCKET: usize = 41;
    pub const CONNECT: usize = 42;
    pub const SENDMSG: usize = 46;
    pub const RECVMSG: usize = 47;
    pub const SHUTDOWN: usize = 48;
    pub const GETSOCKNAME: usize = 51;
    pub const SOCKETPAIR: usize = 53;
    pub const SETSOCKOPT: usize = 54;
    pub const GETSOCKOPT: usize = 55;
    pub const CLONE: usize = 56;
    pub const EXECVE: usize = 59;
    pub const WAIT4: usize = 61;
    pub const KILL: usize = 62;
    pub const FCNTL: usize = 72;
    pub const CHDIR: usize = 80;
    pub const SETRESUID: usize = 117;
    pub const CAPGET: usize = 125;
    pub const CAPSET: usize = 126;
    pub const GETPRIORITY: usize = 140;
    pub const PRCTL: usize = 157;
    pub const FUTEX: usize = 202;
    pub const GETDENTS64: usize = 217;
    pub const CLOCK_GETTIME: usize = 228;
    pub const EXIT_GROUP: usize = 231;
    pub const EPOLL_CTL: usize = 233;
    pub const WAITID: usize = 247;
    pub const OPENAT: usize = 257;
    pub const NEWFSTATAT: usize = 262;
    pub const PSELECT6: usize = 270;
    pub const PPOLL: usize = 271;
    pub const UNSHARE: usize = 272;
    pub const SPLICE: usize = 275;
    pub const EPOLL_PWAIT: usize = 281;
    pub const ACCEPT4: usize = 288;
    pub const SIGNALFD4: usize = 289;
    pub const EPOLL_CREATE1: usize = 291;
    pub const DUP3: usize = 292;
    pub const PIPE2: usize = 293;
    pub const PRLIMIT64: usize = 302;
    pub const SETNS: usize = 308;
    pub const CLONE3: usize = 435;
    pub const CLOSE_RANGE: usize = 436;
}

/// Errno values, asm-generic/errno-base.h.
#[allow(missing_docs)]
pub mod errno {
    pub const EPERM: i32 = 1;
    pub const EINVAL: i32 = 22;
    pub const ENOENT: i32 = 2;
    pub const EINTR: i32 = 4;
    pub const EAGAIN: i32 = 11;
    pub const ENOMEM: i32 = 12;
    pub const EACCES: i32 = 13;
    pub const EBUSY: i32 = 16;
    pub const ENOTDIR: i32 = 20;
    pub const EPIPE: i32 = 32;
    pub const ENOSYS: i32 = 38;
    pub const EPROTO: i32 = 71;
    pub const EUSERS: i32 = 87;
    pub const EOPNOTSUPP: i32 = 95;
    pub const ECONNABORTED: i32 = 103;
    pub const ENOBUFS: i32 = 105;
    pub const ETIMEDOUT: i32 = 110;
    pub const EINPROGRESS: i32 = 115;
}

pub const SIGKILL: i32 = 9;
pub const SIGALRM: i32 = 14;
pub const SIGCHLD: i32 = 17;
pub const CLONE_VM: u64 = 0x100;
pub const CLONE_FS: u64 = 0x200;
pub const CLONE_FILES: u64 = 0x400;
pub const CLONE_SIGHAND: u64 = 0x800;
pub const CLONE_PIDFD: u64 = 0x1000;
pub const CLONE_VFORK: u64 = 0x4000;
pub const CLONE_PARENT: u64 = 0x8000;
pub const CLONE_THREAD: u64 = 0x1_0000;
pub const CLONE_SYSVSEM: u64 = 0x4_0000;
pub const CLONE_CHILD_CLEARTID: u64 = 0x20_0000;
pub const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A system call: the result, or a negative errno.
///
/// # Safety
/// As the call itself.
#[inline(always)]
pub unsafe fn syscall(nr: usize, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> isize {
    let result: isize;
    // SAFETY: the caller answers for the arguments; the kernel clobbers rcx and r11 only.
    unsafe {
        asm!("syscall", inlateout("rax") nr => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            in("r9") f, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// A system call of up to three arguments.
///
/// # Safety
/// As the call itself.
#[inline(always)]
pub unsafe fn syscall3(nr: usize, a: usize, b: usize, c: usize) -> isize {
    // SAFETY: the caller answers for it.
    unsafe { syscall(nr, a, b, c, 0, 0, 0) }
}

pub fn exit(code: i32) -> ! {
    loop {
        // SAFETY: ends this process. Under a filter that lets nobody exit, an instruction that there is not does: its signal
        // can't be blocked, and it kills PID 1 as well, signal(7).
        unsafe {
            syscall3(nr::EXIT_GROUP, code as usize, 0, 0);
            asm!("ud2", options(nomem, nostack));
        }
    }
}

pub fn close(fd: i32) {
    if fd >= 0 {
        // SAFETY: closing a descriptor that this program owns; a failure leaves nothing to do.
        unsafe { syscall3(nr::CLOSE, fd as usize, 0, 0) };
    }
}

unsafe extern "C" {
    /// clone(2) with a new stack, on which the child calls `entry(arg)`, which never returns.
    fn clone_onto(
        flags: u64,
        stack: *mut u8,
        pidfd: *mut i32,
        entry: extern "C" fn(usize) -> !,
        arg: usize,
        done: *mut u32,
    ) -> isize;
}

global_asm!(
    ".global clone_onto",
    "clone_onto:",
    "mov r10, r9", // child_tid
    "mov r9, rcx", // the entry; the kernel clobbers rcx, leaves r8 and r9
    "mov eax, 56",
    "syscall",
    "test eax, eax",
    "jnz 2f",
    "xor ebp, ebp",
    "mov rdi, r8",
    "call r9",
    "2: ret",
);

/// A child that shares our memory and runs `entry(arg)` on `stack` (its top, 16-byte aligned). With CLONE_CHILD_CLEARTID the
/// kernel makes `done` zero, and wakes who waits for it by futex(2), when the child leaves our memory: by execve(2) or by its end.
///
/// # Safety
/// `entry` must be fit to run beside us in the same memory; `done` must be there as long as the child is.
pub unsafe fn clone_shared(
    flags: u64,
    stack: *mut u8,
    pidfd: &mut i32,
    entry: extern "C" fn(usize) -> !,
    arg: usize,
    done: *mut u32,
) -> isize {
    // SAFETY: the caller answers for the stack, the entry and the word.
    unsafe { clone_onto(flags, stack, pidfd, entry, arg, done) }
}

/// Sleeps until `word` is no longer `value`, at most `ms` milliseconds; it may also return before.
pub fn futex_wait(word: &AtomicU32, value: u32, ms: u64) {
    const FUTEX_WAIT: usize = 0;
    let time = [ms / 1000, ms % 1000 * 1_000_000];
    // SAFETY: the records outlive the call.
    let result = unsafe {
        syscall(
            nr::FUTEX,
            core::ptr::from_ref(word) as usize,
            FUTEX_WAIT,
            value as usize,
            &raw const time as usize,
            0,
            0,
        )
    };
    // Under a filter that refuses it nobody wakes us: we look again every millisecond.
    if result == -errno::ENOSYS as isize || result == -errno::EPERM as isize {
        sleep(1);
    }
}

/// Sleeps for so many milliseconds.
pub fn sleep(ms: u64) {
    let time = [ms / 1000, ms % 1000 * 1_000_000];
    // SAFETY: the record outlives the call.
    unsafe { syscall(nr::PPOLL, 0, 0, &raw const time as usize, 0, 8, 0) };
}

#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// fork(2) with new namespaces and a pidfd. clone3(2) only where a cgroup is given: some sandboxes refuse it.
pub fn fork(flags: u64, pidfd: &mut i32, cgroup: Option<i32>) -> isize {
    match cgroup {
        None => {
            let flags = flags | CLONE_PIDFD | SIGCHLD as u64;
            // SAFETY: without CLONE_VM the child has its own copy of everything.
            unsafe { syscall(nr::CLONE, flags as usize, 0, &raw mut *pidfd as usize, 0, 0, 0) }
        }
        Some(cgroup) => {
            let args = CloneArgs {
                flags: flags | CLONE_PIDFD | CLONE_INTO_CGROUP,
                pidfd: &raw mut *pidfd as u64,
                // With CLONE_PARENT the signal is that of whoever clones, and must not be said.
                exit_signal: if flags & CLONE_PARENT == 0 { SIGCHLD as u64 } else { 0 },
                cgroup: cgroup as u64,
                ..CloneArgs::default()
            };
            // SAFETY: as above; the record lives until the call returns.
            unsafe { syscall3(nr::CLONE3, &raw const args as usize, size_of::<CloneArgs>(), 0) }
        }
    }
}

/// struct flock of fcntl(2).
#[repr(C)]
pub struct Flock {
    kind: u16,
    whence: u16,
    start: u64,
    len: u64,
    pid: u32,
}

impl Flock {
    /// A write lock on `len` bytes from `start` on; a length of 0 reaches to the end of the file.
    pub const fn write(start: u64, len: u64) -> Self {
        const F_WRLCK: u16 = 1;
        Self { kind: F_WRLCK, whence: 0, start, len, pid: 0 }
    }

    /// No lock on these.
    pub const fn none(start: u64, len: u64) -> Self {
        const F_UNLCK: u16 = 2;
        Self { kind: F_UNLCK, whence: 0, start, len, pid: 0 }
    }
}

/// struct sigaction, as the kernel has it: the default action.
static DEFAULT: [u64; 4] = [0; 4];

/// Where this program hears that children have ended: signalfd(2). A handler's frame would take a page of stack.
pub const SIGNALS: i32 = 2;

/// Blocks every signal; SIGCHLD is read from [`SIGNALS`]. What the host ignored (Python ignores SIGPIPE) is set back, or programs
/// inside would inherit it. Whether that worked.
pub fn settle_signals() -> bool {
    let (all, child) = (u64::MAX, 1u64 << (SIGCHLD - 1));
    const SFD_CLOEXEC_NONBLOCK: usize = 0o2_004_000;
    const O_CLOEXEC: usize = 0o2_000_000;
    // SAFETY: the records outlive the calls.
    unsafe {
        syscall(nr::RT_SIGPROCMASK, 2, &raw const all as usize, 0, 8, 0, 0);
        for signal in 1..=64 {
            syscall(nr::RT_SIGACTION, signal, &raw const DEFAULT as usize, 0, 8, 0, 0);
        }
        // The first free place is behind our two descriptors; but somebody may run this program by hand.
        let new = usize::MAX;
        let fd = syscall(nr::SIGNALFD4, new, &raw const child as usize, 8, SFD_CLOEXEC_NONBLOCK, 0, 0);
        fd == SIGNALS as isize
            || fd > 0 && syscall3(nr::DUP3, fd as usize, SIGNALS as usize, O_CLOEXEC) == SIGNALS as isize
    }
}

/// Takes what was heard: children have ended since.
pub fn read_signals() {
    let mut heard = [0u8; 128];
    // SAFETY: the kernel writes a struct signalfd_siginfo; a signal of its kind is pending once at most.
    unsafe { syscall3(nr::READ, SIGNALS as usize, &raw mut heard as usize, size_of_val(&heard)) };
}

/// CLOCK_MONOTONIC in milliseconds.
pub fn now() -> u64 {
    let mut time = [0u64; 2];
    // SAFETY: the kernel writes a timespec.
    unsafe { syscall3(nr::CLOCK_GETTIME, 1, &raw mut time as usize, 0) };
    time[0].wrapping_mul(1000).wrapping_add(time[1] / 1_000_000)
}

/// Descriptors from here on are the zygote's alone: see [`raise`].
pub const LOW: i32 = 64;

/// Moves a descriptor to where those are that no child takes over. Where none is free there, it stays.
#[inline(never)]
pub fn raise(fd: i32) -> i32 {
    const F_DUPFD_CLOEXEC: usize = 1030;
    if !(0..LOW).contains(&fd) {
        return fd;
    }
    // SAFETY: plain numbers.
    let high = unsafe { syscall3(nr::FCNTL, fd as usize, F_DUPFD_CLOEXEC, LOW as usize) } as i32;
    if high < 0 {
        return fd;
    }
    close(fd);
    high
}

/// A child that shares our descriptors (CLONE_FILES) gets a table of its own, with a copy of those below [`LOW`]. Whether it has one: a
/// kernel before Linux 5.9, or a filter, that knows no close_range(2) has it copy all.
#[inline(never)]
#[unsafe(link_section = ".cold")]
pub fn keep_low() -> bool {
    const CLOSE_RANGE_UNSHARE: usize = 2;
    // SAFETY: this process's descriptors only.
    unsafe {
        syscall3(nr::CLOSE_RANGE, LOW as usize, u32::MAX as usize, CLOSE_RANGE_UNSHARE) == 0
            || syscall3(nr::UNSHARE, CLONE_FILES as usize, 0, 0) == 0
    }
}

/// Closes every descriptor but these. Sorts them in place.
pub fn close_all_but(keep: &mut [i32]) {
    for end in (1..keep.len()).rev() {
        for i in 0..end {
            // SAFETY: i + 1 <= end < len.
            unsafe {
                if keep.get_unchecked(i) > keep.get_unchecked(i + 1) {
                    let swap = *keep.get_unchecked(i);
                    *keep.get_unchecked_mut(i) = *keep.get_unchecked(i + 1);
                    *keep.get_unchecked_mut(i + 1) = swap;
                }
            }
        }
    }
    let mut first = 0;
    for &fd in keep.iter() {
        if fd < first {
            continue;
        }
        close_range(first as u32, (fd as u32).wrapping_sub(1), first < fd);
        first = fd.wrapping_add(1);
    }
    close_range(first as u32, u32::MAX, true);
}

fn close_range(first: u32, last: u32, any: bool) {
    if !any {
        return;
    }
    // SAFETY: closing descriptors only.
    let result = unsafe { syscall3(nr::CLOSE_RANGE, first as usize, last as usize, 0) };
    if result < 0 {
        // Before Linux 5.9, or under a filter: one by one, as far as any descriptor of ours can lie.
        let mut fd = first;
        while fd <= last && fd < 1 << 16 {
            close(fd as i32);
            fd += 1;
        }
    }
}
