//! All that this program has in static memory, in one record. What a server writes to while nothing happens, its stack
//! included, lies on one page: a page is what a sleeping container is measured in. Each part is used by one module only.

use core::sync::atomic::{AtomicBool, AtomicU32};

use ctr_wire::MAX_CHILDREN;

use super::kernel::{SIGKILL, nr, syscall3};

pub const PAGE: usize = 4096;
/// The most sockets that one server hears: joiners, and whoever made it.
pub const MAX_SOCKETS: usize = ctr_wire::MAX_SOCKETS + 1;
/// The most children that were killed and can't end yet.
pub const MAX_STARTS: usize = 32;
/// Words of a set of descriptors.
pub const WORDS: usize = 32;
/// As much of the server's stack as is on that page.
const SHALLOW: usize = 2048;

/// Gives whole pages back to the kernel, madvise(2). They are all zeroes when they are touched again.
///
/// # Safety
/// Nobody may need what is on them.
pub unsafe fn give_back(from: usize, len: usize) {
    const MADV_DONTNEED: usize = 4;
    // SAFETY: the caller answers for the pages.
    unsafe { syscall3(nr::MADVISE, from, len, MADV_DONTNEED) };
}

/// The claim on a range of ids: see [`super::claim`].
#[derive(Clone, Copy)]
pub struct Claim {
    /// Whose lock it is: a descriptor for this claim alone, `claim::SHARED`, or 0 where there is no claim.
    pub holder: i32,
    /// The first host id of the range, 0 where there is none.
    pub first: u32,
}

impl Claim {
    pub const NONE: Self = Self { holder: 0, first: 0 };
}

/// The file whose description has all claims but those on other files; a descriptor of 0 is none.
#[derive(Clone, Copy)]
pub struct Ranges {
    pub fd: i32,
    pub device: u64,
    pub inode: u64,
    /// The range behind the last one claimed: of neighbours the kernel makes one lock.
    pub next: u64,
}

impl Ranges {
    pub const NONE: Self = Self { fd: 0, device: 0, inode: 0, next: 0 };
}

/// One of [`super::children::Children`].
#[derive(Clone, Copy)]
pub struct Child {
    pub pid: i32,
    pub status: i32,
    /// The zygote's end of a child's setup socket, else -1.
    pub setup: i32,
    /// What is said of its end: 0, or why we have killed it.
    pub note: u8,
    /// It outlives the host.
    pub detached: bool,
    /// The claim on its range of ids.
    pub claim: Claim,
    /// The file that limits its processor time, or -1.
    pub limit: i32,
    /// When to kill it, in milliseconds of CLOCK_MONOTONIC; 0 is never.
    pub deadline: u64,
    /// The mark of its budget, 0 if it has none.
    pub budget: u64,
}

impl Child {
    pub const NONE: Self = Self {
        pid: 0,
        status: 0,
        setup: 0,
        note: 0,
        detached: false,
        claim: Claim::NONE,
        limit: 0,
        deadline: 0,
        budget: 0,
    };

    /// One that nobody wants to know of.
    pub fn of(pid: i32) -> Self {
        Self { pid, status: -1, setup: -1, limit: -1, ..Self::NONE }
    }

    /// Kills it and its group. It is not reaped yet, so the pid is its own; and a group of that number is what it made.
    pub fn kill(&self) {
        // SAFETY: a child of ours.
        unsafe {
            syscall3(nr::KILL, self.pid as usize, SIGKILL as usize, 0);
            syscall3(nr::KILL, -self.pid as usize, SIGKILL as usize, 0);
        }
    }
}

/// One of [`super::budget::Budgets`]. Times in nanoseconds.
#[derive(Clone, Copy)]
pub struct Budget {
    /// The mark of its processes; 0 is nobody's.
    pub mark: u64,
    pub limit: u64,
    /// Of those that we have reaped.
    pub gone: u64,
    /// Of all, as far as they have been looked at.
    pub sum: u64,
    /// Of all, as far as processes tell of it, at the last look; and what was lost.
    pub before: u64,
    pub lost: u64,
    /// When its processes end whatever they have used, in milliseconds of CLOCK_MONOTONIC; 0 is never.
    pub deadline: u64,
    /// How many processes were seen at the last look.
    pub seen: u32,
    /// How many looks in a row have seen none.
    pub unseen: u8,
    /// The program itself has not been reaped.
    pub runs: bool,
    pub is_used_up: bool,
}

impl Budget {
    pub const NONE: Self = Self {
        mark: 0,
        limit: 0,
        gone: 0,
        sum: 0,
        before: 0,
        lost: 0,
        deadline: 0,
        seen: 0,
        unseen: 0,
        runs: false,
        is_used_up: false,
    };
}

/// Processor time that no process tells of: see [`super::lost`]. Times in nanoseconds.
pub struct Lost {
    /// One more than the descriptor of the file in which the cgroup counts, 0 where there is none.
    pub file: i32,
    /// What was missing when we began to count.
    pub first: i64,
    /// … at the last look.
    pub last: i64,
    /// The mark of the budget whose processes alone have run since some look, and what was missing then. 0 is nobody.
    pub alone: u64,
    pub base: i64,
    /// What the processes without a budget had had at the last look.
    pub others: u64,
    /// More seems to be lost than two looks agree on.
    pub is_unsure: bool,
}

impl Lost {
    pub const NONE: Self = Self { file: 0, first: 0, last: 0, alone: 0, base: 0, others: 0, is_unsure: false };
}

/// Where in [`Memory`] the server's stack begins.
pub const STACK_TOP: usize = PAGE + SHALLOW;

#[repr(C, align(4096))]
pub struct Memory {
    /// Where the server's stack grows to when it makes a process. All frames of this program together, which has no recursion,
    /// are less than 4 KiB.
    pub deep: [u8; PAGE],
    pub stack: [u8; SHALLOW],
    /// The stack of the thread that waits for the host's end. It makes two system calls.
    pub lifeline_stack: [u8; 256],
    /// The stack of a child that shares our memory until execve: the walker's frames, and no signal handler's.
    pub child_stack: [u8; 768],
    pub sockets: [i32; MAX_SOCKETS + 3],
    /// What is waited for, as pselect(2) has it.
    pub awaited: [u64; WORDS],
    /// One for each child that may still be in our memory; see `start`.
    pub starting: [AtomicU32; MAX_STARTS],
    /// The host is gone.
    pub cut: AtomicBool,
    /// Where ranges of ids are claimed.
    pub ranges: Ranges,
    pub children: [Child; MAX_CHILDREN],
    pub budgets: [Budget; MAX_CHILDREN],
    pub lost: Lost,
}

/// Where it is. All zeroes, so it takes no room in the file.
pub static mut MEMORY: Memory = Memory {
    deep: [0; PAGE],
    stack: [0; SHALLOW],
    lifeline_stack: [0; 256],
    child_stack: [0; 768],
    sockets: [0; MAX_SOCKETS + 3],
    awaited: [0; WORDS],
    starting: [const { AtomicU32::new(0) }; MAX_STARTS],
    cut: AtomicBool::new(false),
    ranges: Ranges::NONE,
    children: [Child::NONE; MAX_CHILDREN],
    budgets: [Budget::NONE; MAX_CHILDREN],
    lost: Lost::NONE,
};

const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(Memory, stack) == PAGE && offset_of!(Memory, children) <= 2 * PAGE);
    assert!(offset_of!(Memory, lifeline_stack) == STACK_TOP);
    // A stack's top is 16-byte aligned, as the calling convention wants it.
    assert!(offset_of!(Memory, lifeline_stack) % 16 == 0 && offset_of!(Memory, child_stack) % 16 == 0);
    assert!(offset_of!(Memory, sockets) % 16 == 0);
};
