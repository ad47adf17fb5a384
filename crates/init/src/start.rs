//! A child that walks calls in our memory until it leaves it, by execve(2) or by its end: how a program is started, and how we
//! look at files that the container may have made.
//!
//! It is not CLONE_VFORK that lets us wait for it: that would be without a bound. Whoever is inside can stop the child (SIGSTOP
//! to all), have its execve(2) wait for a lease, fcntl(2), or have it open what a FUSE server never answers. So it is a word in
//! our memory, which the kernel clears when the child leaves it (`mm_release` of kernel/fork.c), as it does for vfork. Where
//! that takes too long the child is killed. One that is dead but for a call in the kernel never comes back to its stack, nor to
//! the message, so both are free again; its word is not, before the kernel has cleared it.

use core::sync::atomic::{AtomicU32, Ordering};

use ctr_wire::{Call, IN_CLONE, IN_MESSAGE, IN_START};

use super::children::Children;
use super::kernel::{
    self, CLONE_CHILD_CLEARTID, CLONE_FILES, CLONE_PIDFD, CLONE_VM, SIGCHLD, SIGKILL, clone_shared, errno, exit,
    futex_wait, now, nr, syscall3,
};
use super::memory::{MAX_STARTS, MEMORY};
use super::walk::{Failure, Slots, walk};

/// How long a child may take that nobody has set a time for, in milliseconds.
const USUAL: u64 = 10_000;
/// How often we look after the others meanwhile.
const SLICE: u64 = 50;
/// How long a child that was killed may take to end. It takes microseconds, but where it waits in the kernel.
const DYING: u64 = 500;

/// What the child walks, and what became of it.
struct Child<'a> {
    calls: &'a [Call],
    first: u32,
    slots: Slots,
    failure: Option<Failure>,
}

/// What has become of a child.
pub enum Started {
    /// It has left our memory, by execve(2): its pid and its pidfd.
    Runs(i32, i32),
    /// It has walked the calls to their end.
    Walked,
    Failed(Failure),
}

/// Has a child walk `calls`, the first of which is called `first` in a failure. With `flags` of clone(2) it may share more than
/// memory. It is killed where that takes longer than `bound` milliseconds (0 is the usual).
pub fn start(
    calls: &[Call],
    first: u32,
    slots: &mut Slots,
    flags: u64,
    bound: u64,
    children: &mut Children,
) -> Started {
    // SAFETY: atomics, for all who see them.
    let words: &'static [AtomicU32; MAX_STARTS] = unsafe {
        let words = &raw const MEMORY.starting;
        &*words
    };
    let Some(word) = words.iter().find(|word| word.load(Ordering::Acquire) == 0) else {
        return Started::Failed(Failure { call: IN_START, errno: errno::EBUSY });
    };
    word.store(1, Ordering::Release);
    let mut child = Child { calls, first, slots: *slots, failure: None };
    let mut pidfd = -1;
    // SAFETY: the child has the stack to itself and walks calls only; record and message stay until it has left, or is dead but
    // for a call.
    let pid = unsafe {
        let top = (&raw mut MEMORY.child_stack).add(1).cast();
        let flags = flags | CLONE_VM | CLONE_CHILD_CLEARTID | CLONE_PIDFD | SIGCHLD as u64;
        clone_shared(flags, top, &mut pidfd, run_child, &raw mut child as usize, word.as_ptr())
    } as i32;
    if pid < 0 {
        word.store(0, Ordering::Release);
        return Started::Failed(Failure { call: IN_CLONE, errno: -pid });
    }
    children.begin(pid);
    let in_time = has_left(word) || wait(word, if bound == 0 { USUAL } else { bound.min(USUAL) }, children);
    if !in_time {
        if !children.has_ended() {
            // SAFETY: our own child, whose end would have been kept for us if it had been reaped.
            unsafe { syscall3(nr::KILL, pid as usize, SIGKILL as usize, 0) };
        }
        wait(word, DYING, children);
    }
    // SAFETY: the child has written it, behind the compiler's back.
    let failure = unsafe { (&raw const child.failure).read_volatile() };
    let outcome = match failure {
        _ if !in_time => Started::Failed(Failure { call: IN_START, errno: errno::ETIMEDOUT }),
        None => return Started::Runs(pid, pidfd),
        Some(Failure { errno: 0, .. }) => {
            if flags & CLONE_FILES != 0 {
                slots.copy_from_slice(&child.slots);
            }
            Started::Walked
        }
        Some(failure) => Started::Failed(failure),
    };
    // It is reaped as any child whom nobody knows.
    kernel::close(pidfd);
    children.forget();
    outcome
}

/// Whether the child has left within the first slice, as it does where nobody keeps it.
fn has_left(word: &AtomicU32) -> bool {
    futex_wait(word, 1, SLICE);
    word.load(Ordering::Acquire) == 0
}

/// Waits until the word is cleared, and looks after the other children meanwhile. Whether it was within `bound` milliseconds.
#[inline(never)]
#[unsafe(link_section = ".cold")]
fn wait(word: &AtomicU32, bound: u64, children: &mut Children) -> bool {
    let end = now().saturating_add(bound);
    loop {
        children.enforce();
        children.reap(None);
        if has_left(word) {
            return true;
        }
        if now() >= end {
            return false;
        }
    }
}

extern "C" fn run_child(child: usize) -> ! {
    // SAFETY: `start` leaves our record alone until we are done with it.
    let child = unsafe { &mut *(child as *mut Child<'_>) };
    // SAFETY: calls of our own library, and our descriptor table is our own, or meant to be shared.
    let failure = match unsafe { walk(child.calls, child.first, &mut child.slots) } {
        Ok(()) => Failure { call: IN_MESSAGE, errno: 0 },
        Err(failure) => failure,
    };
    child.failure = Some(failure);
    exit(0)
}
