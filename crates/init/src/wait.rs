//! The wait: sleeps until one of our descriptors is readable, or a time is up.
//!
//! By pselect(2) and not by poll(2), which fails where it is given more descriptors than RLIMIT_NOFILE, and that limit can be
//! lowered from inside by prlimit(2): `do_sys_poll` and `core_sys_select` of fs/select.c.

use super::kernel::{errno, exit, nr, sleep, syscall};
use super::memory::{MEMORY, WORDS};

/// Descriptors from here on can't be waited for. We have the lowest numbers that are free: some 1,200 at most.
pub const MAX: i32 = WORDS as i32 * 64;

/// A set of descriptors, as pselect(2) has it.
pub struct Awaited(&'static mut [u64; WORDS]);

impl Awaited {
    /// Waits for those of `fds` that are none of -1, at most `limit` milliseconds. Those that are readable, or at their end, are
    /// left in the set.
    pub fn wait(fds: impl Iterator<Item = i32>, limit: Option<u64>) -> Self {
        // SAFETY: one thread, which has one set at a time.
        let set = Self(unsafe {
            let awaited = &raw mut MEMORY.awaited;
            &mut *awaited
        });
        *set.0 = [0; WORDS];
        let mut end = 0;
        for fd in fds.filter(|fd| (0..MAX).contains(fd)) {
            if let Some(word) = set.0.get_mut(fd as usize / 64) {
                *word |= 1 << (fd % 64);
                end = end.max(fd + 1);
            }
        }
        let time = limit.map_or([0, 0], |ms| [ms / 1000, ms % 1000 * 1_000_000]);
        let timeout = if limit.is_some() { &raw const time as usize } else { 0 };
        // SAFETY: the kernel reads and writes as many bits as there are, and reads the time.
        let ready = unsafe { syscall(nr::PSELECT6, end as usize, set.0.as_mut_ptr() as usize, 0, 0, timeout, 0) };
        if ready <= 0 {
            *set.0 = [0; WORDS];
        }
        if ready < 0 {
            match -ready as i32 {
                errno::EINTR => {}
                // The kernel may be short of memory for a moment.
                errno::ENOMEM => sleep(10),
                // A server that can't wait serves nobody: who depends on it hears of its end.
                _ => exit(1),
            }
        }
        set
    }

    pub fn is_ready(&self, fd: i32) -> bool {
        (0..MAX).contains(&fd) && self.0.get(fd as usize / 64).is_some_and(|word| word >> (fd % 64) & 1 == 1)
    }

    /// Whether the time was up.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }
}
