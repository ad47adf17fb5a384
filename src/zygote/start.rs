//! The start: how a process that we are a guest in gets a process of ours beside it, and notices nothing.
//!
//! - The first clone shares the host's memory (CLONE_VM), so no page table is copied, however large the host is, and suspends
//!   only the calling thread (CLONE_VFORK). Its exit signal is 0: no SIGCHLD, and wait(2) doesn't see it without __WCLONE.
//! - That child clones once more and exits, so the zygote is an orphan, not a child: exec would have set its exit signal
//!   back to SIGCHLD. (Where the host is PID 1 of its namespace or a subreaper, orphans are its children all the same.)
//! - Until execve both run raw system calls only, with every signal blocked.

use std::ffi::CString;
use std::io::{Error, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::AtomicU64;

use ctr_init::PROGRAM;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::identity::{Identity, OOM_SCORE_ADJ};
use super::{NO_WALLS, Scheduling, Zygote, channel};
use crate::sys::{self, Own, raw};
use crate::{ErrorCode, Result, Step};

/// The bytes that argv\[0\] has at least: PID 1 writes its container's name over it.
pub const TITLE: usize = 96;

/// Descriptors that PID 1 and the starter of a program need, and some that are passed.
const FEWEST: u64 = 32;

const STACK: usize = 32 << 10;

/// What the two children need, in the memory they share with us.
struct Launch {
    program: i32,
    socket: i32,
    lifeline: i32,
    argv: [*const libc::c_char; 2],
    /// Both were cloned.
    cloned: bool,
    /// The errno of what failed, for us to read.
    failure: i32,
}

/// Starts a zygote for this thread's identity.
pub fn start(identity: Identity) -> Result<Zygote> {
    // All that it makes inherits the limit, and would be told of it at odd places.
    if getrlimit(Resource::RLIMIT_NOFILE).is_ok_and(|(soft, _)| soft < FEWEST) {
        return Err(failed(Step::OpenDescriptorsForZygote, &Error::from_raw_os_error(libc::EMFILE)));
    }
    let program = program()?;
    let lifeline = lifeline()?;
    let (socket, theirs) = channel::pair().map_err(|e| failed(Step::MakeSocketForZygote, &e))?;
    let title = format!("ctr-zygote: makes the containers of process {}", identity.pid);
    let title = CString::new(format!("{title:TITLE$}")).expect("a number and words");
    let mut launch = Launch {
        program: program.as_raw_fd(),
        socket: theirs.as_raw_fd(),
        lifeline: lifeline.as_raw_fd(),
        argv: [title.as_ptr(), ptr::null()],
        cloned: false,
        failure: 0,
    };
    run(&mut launch).map_err(|e| {
        let error = failed(Step::StartZygote, &e);
        match e.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) if launch.cloned => {
                error.with_code(ErrorCode::Unsupported).with_hint(crate::hints::MEMFD)
            }
            Some(errno @ (libc::EACCES | libc::EPERM | libc::ENOSYS)) if !launch.cloned => {
                let why = "the system call clone(2) is refused here";
                crate::Error::new(ErrorCode::Unsupported, Step::StartZygote, "for ctr's zygote", errno, why)
                    .with_hint(crate::hints::refused_call("clone"))
            }
            _ => error,
        }
    })?;
    let mapped = identity.mapped();
    let (last_shape, last_walls) = (AtomicU64::new(0), AtomicU64::new(NO_WALLS));
    let (socket, lifeline) = (Own::new(socket), Own::new(lifeline));
    let scheduling = Scheduling::of(0);
    let oom_score_adj = sys::file::open(OOM_SCORE_ADJ).ok().map(|file| Own::new(file.into()));
    Ok(Zygote { socket, identity, scheduling, mapped, last_shape, last_walls, oom_score_adj, _lifeline: lifeline })
}

/// The program in a memfd that nobody can write to any more, not even root in a container through /proc/1/exe.
fn program() -> Result<OwnedFd> {
    let fail = |e: &Error| failed(Step::PutProgramIntoMemory, e);
    // Beyond it a write is not only refused: SIGXFSZ would end the host.
    if getrlimit(Resource::RLIMIT_FSIZE).is_ok_and(|(soft, _)| soft < PROGRAM.len() as u64) {
        return Err(fail(&Error::from_raw_os_error(libc::EFBIG)).with_known_hint());
    }
    let memfd = sys::memfd_create_exec(c"ctr").map_err(|e| fail(&e))?;
    let mut file = std::fs::File::from(memfd);
    file.write_all(PROGRAM).map_err(|e| fail(&e))?;
    let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
    fcntl(file.as_fd(), FcntlArg::F_ADD_SEALS(seals)).map_err(|e| fail(&e.into()))?;
    Ok(file.into())
}

/// The file whose lock this process holds as long as it lives and stays what it is.
fn lifeline() -> Result<OwnedFd> {
    let fail = |e: &Error| failed(Step::MakeLifeline, e);
    let memfd = sys::memfd_create(c"ctr-lifeline", libc::MFD_CLOEXEC).map_err(|e| fail(&e))?;
    sys::fcntl_setlk(memfd.as_fd(), false).map_err(|e| fail(&e))?;
    Ok(memfd)
}

fn run(launch: &mut Launch) -> std::io::Result<()> {
    // The children run in our memory: no handler of the host's may run in them.
    let before = {
        let mut before = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
        before
    };
    let pid = clone_shared(first_child, launch, 0);
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    if pid < 0 {
        return Err(Error::from_raw_os_error(-pid));
    }
    // A host that waits for everything (__WALL) may have taken it; that is all the same to us.
    _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::__WALL));
    if launch.failure != 0 { Err(Error::from_raw_os_error(launch.failure)) } else { Ok(()) }
}

/// clone(2) into our memory, on a stack of its own; returns when the child has exited or run execve: its pid, or a negative
/// errno.
fn clone_shared(child: extern "C" fn(*mut libc::c_void) -> i32, launch: &mut Launch, signal: i32) -> i32 {
    let mut stack = Vec::<u8>::with_capacity(STACK);
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | signal;
    // SAFETY: the stack outlives the child's use of it, because we sleep until then; `launch` likewise.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(STACK).map_addr(|at| at & !15);
        libc::clone(child, top.cast(), flags, ptr::from_mut(launch).cast())
    };
    if pid < 0 { -Error::last_os_error().raw_os_error().unwrap_or(libc::EAGAIN) } else { pid }
}

extern "C" fn first_child(launch: *mut libc::c_void) -> i32 {
    const SECOND: usize = STACK / 2;
    // SAFETY: raw calls in the memory of a host that sleeps. The second child gets the lower half of our stack: we are asleep
    // too until it has left it, and this function needs little of the upper half.
    unsafe {
        let launch: *mut Launch = launch.cast();
        let here = ptr::from_ref(&launch).cast::<u8>().cast_mut();
        let stack = here.sub(SECOND).map_addr(|at| at & !15);
        let flags = (libc::CLONE_VM | libc::CLONE_VFORK) as usize;
        let result = second_child_on(stack, flags, launch);
        if result < 0 {
            (*launch).failure = -result as i32;
        }
        exit()
    }
}

/// clone(2) by hand: glibc's would set errno, which is the host thread's, where it fails.
unsafe fn second_child_on(stack: *mut u8, flags: usize, launch: *mut Launch) -> isize {
    let result: isize;
    // SAFETY: the child calls `second_child` on its own stack and never returns from it.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r9",
            "call {child}",
            "2:",
            child = sym second_child,
            inlateout("rax") libc::SYS_clone as isize => result,
            in("rdi") flags, in("rsi") stack, in("rdx") 0, in("r10") 0, in("r8") 0, in("r9") launch,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    result
}

extern "C" fn second_child(launch: *mut Launch) -> ! {
    // SAFETY: raw calls; the descriptor table is a copy, so what is moved and closed here is the child's own.
    unsafe {
        let launch = &mut *launch;
        launch.cloned = true;
        let nowhere: *const *const libc::c_char = [ptr::null()].as_ptr();
        raw::syscall(libc::SYS_setsid, 0, 0, 0, 0, 0);
        // The zygote wants its socket at 0, its lifeline at 1, its program at 2; each may stand in another's way.
        let high = |fd: i32| raw::syscall(libc::SYS_fcntl, fd as usize, libc::F_DUPFD_CLOEXEC as usize, 3, 0, 0);
        let fds = [high(launch.socket), high(launch.lifeline), high(launch.program)];
        // EMFILE, where the host has used up what it may have.
        let mut result = fds[0].min(fds[1]).min(fds[2]).min(0);
        for (place, fd) in fds.into_iter().enumerate() {
            // The program's descriptor goes away by exec itself.
            let flags = if place == 2 { libc::O_CLOEXEC } else { 0 };
            if result < 0 {
                break;
            }
            result = result.min(raw::syscall(libc::SYS_dup3, fd as usize, place, flags as usize, 0, 0));
        }
        if result == 0 {
            close_all_from(3);
            let argv = launch.argv.as_ptr() as usize;
            let flags = libc::AT_EMPTY_PATH as usize;
            result = raw::syscall(libc::SYS_execveat, 2, c"".as_ptr() as usize, argv, nowhere as usize, flags);
            // Where that is unknown, filtered, or not understood (valgrind), the same by /proc.
            let path = c"/proc/self/fd/2".as_ptr() as usize;
            let second = raw::syscall(libc::SYS_execve, path, argv, nowhere as usize, 0, 0);
            if second != -libc::ENOENT as isize {
                result = second;
            }
        }
        launch.failure = -result as i32;
        exit()
    }
}

/// Whatever of the host's is not close-on-exec must not live on in the zygote.
unsafe fn close_all_from(first: usize) {
    // SAFETY: the table is the child's own copy.
    unsafe {
        if raw::syscall(libc::SYS_close_range, first, u32::MAX as usize, 0, 0, 0) < 0 {
            for fd in first..1 << 16 {
                raw::syscall(libc::SYS_close, fd, 0, 0, 0, 0);
            }
        }
    }
}

fn exit() -> ! {
    loop {
        // SAFETY: ends this child alone: it is no thread of the host's.
        unsafe { raw::syscall(libc::SYS_exit_group, 0, 0, 0, 0, 0) };
    }
}

/// The zygote could not be started.
fn failed(step: Step, error: &Error) -> crate::Error {
    crate::Error::io(step, "for ctr's zygote", error)
}
