//! Claims on ranges of ids: each container has one that no living container has.
//!
//! A claim is a lock on the range's byte of a file, F_OFD_SETLK of fcntl(2). The zygote keeps it until it has reaped the container,
//! whose PID 1 has none: whoever takes that over can claim nothing, and give nothing up. The file is one state directory's and
//! the ids are the machine's, so a range is also left alone while a process has its first id as its real uid, as every PID 1
//! has: getpriority(2) of a user who has none fails with ESRCH.
//!
//! All claims are locks of one open file description, that of the first file. For when a clone of ours closes what it has of us, the
//! kernel looks at each lock on the file for each descriptor of it: with a descriptor for each of 1000 containers that is a million
//! looks a create (`locks_remove_posix` of fs/locks.c).

use ctr_wire::{RANGE, RANGE_FIRST, RANGES};

use super::kernel::{Flock, close, errno, now, nr, raise, syscall, syscall3};
use super::memory::{Claim, MEMORY, Ranges};

const AT_FDCWD: usize = -100isize as usize;

/// The lock is one of many on the file in memory.
const SHARED: i32 = -2;

fn ranges() -> &'static mut Ranges {
    // SAFETY: one thread, which has one of these at a time.
    unsafe {
        let ranges = &raw mut MEMORY.ranges;
        &mut *ranges
    }
}

/// The device and the number of a file, stat(2); a negative errno.
fn identity(directory: usize, path: usize, flags: usize) -> Result<[u64; 2], i32> {
    let mut stat = [0u64; 18];
    // SAFETY: a string; the kernel writes a struct stat, which begins with the two.
    let result = unsafe { syscall(nr::NEWFSTATAT, directory, path, &raw mut stat as usize, flags, 0, 0) };
    let [device, inode, ..] = stat;
    if result < 0 { Err(result as i32) } else { Ok([device, inode]) }
}

impl Claim {
    /// Claims a range in the file at `path`; `is_ours` tells of a first id whether that range is another child's of ours, which no lock
    /// of the same description shows. A negative errno where there is none.
    pub fn take(path: u64, is_ours: &dyn Fn(u32) -> bool) -> Result<Self, i32> {
        const O_RDWR_CREAT_CLOEXEC: usize = 2 | 0o100 | 0o2_000_000;
        const AT_EMPTY_PATH: usize = 0x1000;
        let known = *ranges();
        let is_known = |[device, inode]: [u64; 2]| known.fd > 0 && [known.device, known.inode] == [device, inode];
        let mut holder = SHARED;
        // SAFETY: no arguments.
        let pid = unsafe { syscall3(nr::GETPID, 0, 0, 0) } as u64;
        // Where the search starts is of no importance, as long as two zygotes don't always start at the same place.
        let mut start = pid * 61 + now();
        if !identity(AT_FDCWD, path as usize, 0).is_ok_and(is_known) {
            // SAFETY: the path is a string in the message.
            let fd = unsafe { syscall(nr::OPENAT, AT_FDCWD, path as usize, O_RDWR_CREAT_CLOEXEC, 0o600, 0, 0) } as i32;
            if fd < 0 {
                return Err(fd);
            }
            holder = fd;
            if let (0, Ok([device, inode])) = (known.fd, identity(fd as usize, c"".as_ptr() as usize, AT_EMPTY_PATH)) {
                *ranges() = Ranges { fd: raise(fd), device, inode, next: start };
                holder = SHARED;
            }
        }
        if holder == SHARED {
            start = ranges().next;
        }
        for i in 0..u64::from(RANGES) {
            let claim = Self { holder, first: RANGE_FIRST + ((start + i) % u64::from(RANGES)) as u32 * RANGE };
            if !is_ours(claim.first) && claim.lock() {
                if claim.is_unused() {
                    ranges().next = start + i + 1;
                    return Ok(claim);
                }
                claim.unlock();
            }
        }
        close(holder);
        Err(-errno::EUSERS)
    }

    /// The claim is given up.
    pub fn release(&self) {
        match self.holder {
            0 => {}
            SHARED => self.unlock(),
            own => close(own),
        }
    }

    fn lock(&self) -> bool {
        self.set(|byte| Flock::write(byte, 1))
    }

    fn unlock(&self) {
        self.set(|byte| Flock::none(byte, 1));
    }

    fn set(&self, lock: impl FnOnce(u64) -> Flock) -> bool {
        const F_OFD_SETLK: usize = 37;
        let fd = if self.holder == SHARED { ranges().fd } else { self.holder };
        let lock = lock(u64::from(self.first.wrapping_sub(RANGE_FIRST) / RANGE));
        // SAFETY: the record outlives the call.
        unsafe { syscall3(nr::FCNTL, fd as usize, F_OFD_SETLK, &raw const lock as usize) == 0 }
    }

    /// Whether no process has it.
    fn is_unused(&self) -> bool {
        const PRIO_USER: usize = 2;
        // SAFETY: plain numbers.
        unsafe { syscall3(nr::GETPRIORITY, PRIO_USER, self.first as usize, 0) < 0 }
    }
}
