//! The lifeline: this process ends when its host dies or execs something else.
//!
//! The host holds a POSIX record lock, fcntl(2), on the file behind our descriptor 1. Such a lock belongs to a process's
//! descriptor table: a forked child doesn't inherit it, death releases it, and so does exec, which closes the
//! close-on-exec descriptor. A thread of ours waits for that lock. No other lifeline does all three: the end of file of a
//! socket waits for forked children too, and a pidfd doesn't notice exec.

use core::sync::atomic::{AtomicBool, Ordering};

use super::kernel::{
    CLONE_FILES, CLONE_FS, CLONE_SIGHAND, CLONE_SYSVSEM, CLONE_THREAD, CLONE_VM, Flock, SIGCHLD, clone_shared, nr,
    syscall, syscall3,
};
use super::memory::MEMORY;

/// Where the host puts the file of the lock.
const LIFELINE: usize = 1;

/// Starts the thread that waits.
pub fn watch() -> bool {
    let flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
    let mut none = 0;
    // SAFETY: the stack is used by this thread alone, and there is one of them.
    unsafe {
        clone_shared(flags, (&raw mut MEMORY.lifeline_stack).add(1).cast(), &mut none, wait, 0, core::ptr::null_mut())
            > 0
    }
}

extern "C" fn wait(_: usize) -> ! {
    const F_SETLKW: usize = 7;
    loop {
        let lock = Flock::write(0, 0);
        // SAFETY: the record outlives the call.
        if unsafe { syscall3(nr::FCNTL, LIFELINE, F_SETLKW, &raw const lock as usize) } == 0 {
            break;
        }
    }
    cut().store(true, Ordering::Release);
    // SAFETY: our own process. The loop waits for this signal, or will; it is not lost.
    unsafe { syscall3(nr::KILL, syscall3(nr::GETPID, 0, 0, 0) as usize, SIGCHLD as usize, 0) };
    loop {
        const FOR_EVER: usize = usize::MAX;
        // SAFETY: sleeps; the loop ends this thread with the process.
        unsafe { syscall(nr::PPOLL, 0, 0, 0, 0, 8, FOR_EVER) };
    }
}

/// Whether the host is gone; once.
pub fn is_cut() -> bool {
    cut().swap(false, Ordering::Acquire)
}

fn cut() -> &'static AtomicBool {
    // SAFETY: only ever used as this, an atomic.
    unsafe {
        let cut = &raw const MEMORY.cut;
        &*cut
    }
}
