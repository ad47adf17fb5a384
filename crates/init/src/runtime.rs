//! What the compiler expects of a freestanding program: an entry, four memory functions, a panic handler.

use core::arch::{asm, global_asm};
use core::panic::PanicInfo;

use super::memory::{MEMORY, STACK_TOP};

// The stack that execve(2) gives is left as it is: a page of it that is written to would be this process's own.
global_asm!(
    ".global _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "lea rsp, [rip + {memory} + {top}]",
    "call start",
    memory = sym MEMORY,
    top = const STACK_TOP,
);

unsafe extern "C" {
    /// Nowhere defined: see the head of main.rs.
    fn ctr_init_can_panic() -> !;
}

#[cfg_attr(panic = "abort", panic_handler)]
#[cfg_attr(panic = "unwind", expect(dead_code, reason = "std has one"))]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: this never links, so it never runs.
    unsafe { ctr_init_can_panic() }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: as memcpy(3).
    unsafe {
        asm!("rep movsb", inout("rcx") count => _, inout("rdi") to => _, inout("rsi") from => _, options(nostack));
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= count {
        // SAFETY: forwards nothing is overwritten before it is read.
        return unsafe { memcpy(to, from, count) };
    }
    // SAFETY: as memmove(3); backwards, from the last byte.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rcx") count => _, inout("rdi") to.wrapping_add(count).wrapping_sub(1) => _,
            inout("rsi") from.wrapping_add(count).wrapping_sub(1) => _, options(nostack));
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    // SAFETY: as memset(3).
    unsafe {
        asm!("rep stosb", inout("rcx") count => _, inout("rdi") to => _, in("al") byte as u8, options(nostack));
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    let mut i = 0;
    while i < count {
        // SAFETY: as memcmp(3); volatile, or the loop becomes a call of itself.
        let (x, y) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
        i += 1;
    }
    0
}
