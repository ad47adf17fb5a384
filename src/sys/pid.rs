//! Which process this is, without asking the kernel each time: getpid(2) is a system call, and a forked child must be told from
//! its parent at every use of a handle.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// Points to a page of its own that the kernel clears in a forked child (MADV_WIPEONFORK of madvise(2), Linux 4.14), by fork(3)
/// and by clone(2) alike, where a handler of pthread_atfork(3) would hear of the first one only.
static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());

/// The pid of this process, getpid(2).
pub fn process_id() -> u32 {
    let page = PAGE.load(Ordering::Acquire);
    let page = if page.is_null() { make() } else { page };
    if page.is_null() {
        return std::process::id();
    }
    // SAFETY: it is never unmapped.
    let known = unsafe { &*page };
    match known.load(Ordering::Relaxed) {
        0 => {
            let pid = std::process::id();
            known.store(pid, Ordering::Relaxed);
            pid
        }
        pid => pid,
    }
}

#[cold]
fn make() -> *mut AtomicU32 {
    const PAGE_SIZE: usize = 4096;
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: new memory, which nobody else knows; one that is not wanted is given back.
    unsafe {
        let page = libc::mmap(ptr::null_mut(), PAGE_SIZE, protection, flags, -1, 0);
        if page == libc::MAP_FAILED {
            return ptr::null_mut();
        }
        if libc::madvise(page, PAGE_SIZE, libc::MADV_WIPEONFORK) == 0 {
            match PAGE.compare_exchange(ptr::null_mut(), page.cast(), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return page.cast(),
                Err(others) => {
                    libc::munmap(page, PAGE_SIZE);
                    return others;
                }
            }
        }
        libc::munmap(page, PAGE_SIZE);
    }
    ptr::null_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_child_is_another_process() {
        assert_eq!(process_id(), std::process::id());
        // SAFETY: the child asks who it is, and ends without going back.
        match unsafe { libc::fork() } {
            0 => {
                let ok = process_id() == std::process::id() && process_id() != 0;
                // SAFETY: ends the child without the parent's exit handlers.
                unsafe { libc::_exit(i32::from(!ok)) }
            }
            pid => {
                let mut status = -1;
                // SAFETY: our own child; the kernel writes an int.
                assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
                assert_eq!(status, 0);
            }
        }
        assert_eq!(process_id(), std::process::id());
    }
}
