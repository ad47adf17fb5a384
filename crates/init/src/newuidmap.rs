//! The id maps of a user who may not write them themselves: newuidmap(1) and newgidmap(1), setuid programs of the system, write
//! them, if /etc/subuid and /etc/subgid allow it.
//!
//! They are children of the zygote, so the host sees no SIGCHLD and nothing to wait for, and get nothing of its
//! descriptors: a pipe only, for what they have to say. Both run at the same time.

use ctr_wire::{IN_NEWGIDMAP, IN_NEWUIDMAP, Request, SAID};

use super::kernel::{CLONE_VFORK, CLONE_VM, SIGALRM, SIGCHLD, clone_shared, close, errno, exit, nr, syscall, syscall3};
use super::memory::MEMORY;
use super::text::Text;
use super::walk::{Failure, Slots};

/// How long each may take, in seconds.
const PATIENCE: usize = 10;

/// What the child needs, in the memory that we share.
struct Start {
    argv: *const *mut u8,
    /// Where it speaks.
    pipe: i32,
    failure: i32,
}

/// Has the ids of `pid` mapped. Where a program fails, what it said is in the pipe in slot SAID.
///
/// # Safety
/// The request's maps are argument vectors; see MAP_BY_PROGRAM.
#[inline(never)]
#[unsafe(link_section = ".cold")]
pub unsafe fn map(request: &Request, pid: i32, slots: &mut Slots) -> Result<(), Failure> {
    let mut pipe = [-1i32; 2];
    // SAFETY: the kernel writes two descriptors. They are not close-on-exec: one is to stay.
    let made = unsafe { syscall3(nr::PIPE2, &raw mut pipe as usize, 0, 0) };
    if made < 0 {
        return Err(Failure { call: IN_NEWUIDMAP, errno: -made as i32 });
    }
    let [ours, theirs] = pipe;
    let [uid_argv, _] = request.uid_map;
    let [gid_argv, _] = request.gid_map;
    // SAFETY: the caller answers for the vectors.
    let children = unsafe { [gid_argv, uid_argv].map(|argv| start(argv, pid, theirs)) };
    close(theirs);
    let mut result = Ok(());
    for (child, call) in children.into_iter().zip([IN_NEWGIDMAP, IN_NEWUIDMAP]) {
        let error = child.map_or_else(|errno| errno, wait);
        if error != 0 {
            result = Err(Failure { call, errno: error });
        }
    }
    match slots.get_mut(SAID) {
        Some(slot) if result.is_err() => *slot = ours,
        _ => close(ours),
    }
    result
}

/// Starts one of them: its pid, or an errno.
unsafe fn start(argv: u64, pid: i32, pipe: i32) -> Result<i32, i32> {
    const PID: usize = 11;
    let argv = argv as *const *mut u8;
    // SAFETY: the second string has room for a pid.
    let mut text = Text { at: unsafe { core::slice::from_raw_parts_mut(*argv.add(1), PID) }, len: 0 };
    text.number(pid as u32);
    text.push(b"\0");
    let mut start = Start { argv, pipe, failure: 0 };
    let mut pidfd = -1;
    let flags = CLONE_VM | CLONE_VFORK | SIGCHLD as u64;
    // SAFETY: the child has the stack to itself while we sleep, and makes system calls only.
    let child = unsafe {
        let top = (&raw mut MEMORY.child_stack).add(1).cast();
        clone_shared(flags, top, &mut pidfd, become_program, &raw mut start as usize, core::ptr::null_mut())
    } as i32;
    if child < 0 {
        return Err(-child);
    }
    if start.failure != 0 {
        wait(child);
        return Err(start.failure);
    }
    Ok(child)
}

#[unsafe(link_section = ".cold")]
extern "C" fn become_program(start: usize) -> ! {
    // SAFETY: `start` sleeps until we are done with its record; the descriptors are a copy of our own.
    unsafe {
        let start = &mut *(start as *mut Start);
        let nothing = 0u64;
        const SIG_SETMASK: usize = 2;
        syscall(nr::RT_SIGPROCMASK, SIG_SETMASK, &raw const nothing as usize, 0, 8, 0, 0);
        for standard in 0..3 {
            syscall3(nr::DUP2, start.pipe as usize, standard, 0);
        }
        // What else we have is close-on-exec, but for the other end of the pipe.
        syscall3(nr::CLOSE_RANGE, 3, u32::MAX as usize, 0);
        // It looks users up, maybe in a network that is down, and we wait. The alarm outlives execve.
        syscall3(nr::ALARM, PATIENCE, 0, 0);
        let nowhere: *const *const u8 = [core::ptr::null()].as_ptr();
        let (program, argv) = (*start.argv as usize, start.argv as usize);
        start.failure = -syscall3(nr::EXECVE, program, argv, nowhere as usize) as i32;
    }
    exit(1)
}

/// Waits for a child: 0 where it succeeded, else an errno.
fn wait(pid: i32) -> i32 {
    const WALL: usize = 0x4000_0000;
    let mut status = 0i32;
    // SAFETY: our own child, not reaped yet; the kernel writes an int. No signal is let in here.
    unsafe { syscall(nr::WAIT4, pid as usize, &raw mut status as usize, WALL, 0, 0, 0) };
    match status {
        0 => 0,
        // A core dump is flag 0x80.
        ended if ended & 0x7f == SIGALRM => errno::ETIMEDOUT,
        _ => errno::EPERM,
    }
}
