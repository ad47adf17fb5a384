//! System calls without a library between: they touch neither errno nor anything else of the thread. For code that runs
//! in memory that is not its own, between clone(CLONE_VM) and execve.

use std::arch::asm;

/// A system call: the result, or a negative errno.
///
/// # Safety
/// As the call itself.
#[inline(always)]
pub unsafe fn syscall(nr: i64, a: usize, b: usize, c: usize, d: usize, e: usize) -> isize {
    let result: isize;
    // SAFETY: the caller answers for the arguments; the kernel clobbers rcx and r11 only.
    unsafe {
        asm!("syscall", inlateout("rax") nr as isize => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
            in("r8") e, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}
