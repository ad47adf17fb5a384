//! The table of children: who runs, where its exit is reported, when its time is up.

use super::birth::Newborn;
use super::kernel::{SIGKILL, close, nr, now, syscall};
use super::memory::MEMORY;
use super::message::{MSG_DONTWAIT, close_slots, receive_into, reply};
use super::wire::{EXITED, Reply, SLOTS};

/// As many as the usual limit on descriptors (1024) lets a server hold status channels for.
pub const MOST: usize = 1000;

/// One of them.
#[derive(Clone, Copy)]
pub struct Child {
    pid: i32,
    status: i32,
    /// The zygote's end of a newborn's birth socket, else -1.
    birth: i32,
    timed_out: bool,
    /// It outlives this process.
    detached: bool,
    /// When to kill it, in milliseconds of CLOCK_MONOTONIC; 0 is never.
    deadline: u64,
}

impl Child {
    pub const NONE: Self = Self { pid: 0, status: 0, birth: 0, timed_out: false, detached: false, deadline: 0 };
}

/// The children of this process.
pub struct Children {
    count: usize,
    deadlines: usize,
}

impl Children {
    pub const fn new() -> Self {
        Self { count: 0, deadlines: 0 }
    }

    fn table(&self) -> &'static mut [Child] {
        // SAFETY: one thread uses the table, and one slice at a time: each method takes it anew. count <= MOST.
        unsafe { core::slice::from_raw_parts_mut((&raw mut MEMORY.children).cast(), self.count) }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn is_full(&self) -> bool {
        self.count >= MOST
    }

    /// Remembers a child. Only when not full.
    pub fn add(&mut self, pid: i32, status: i32, birth: i32, time_limit: u64, detached: bool) {
        if self.is_full() {
            return;
        }
        let deadline = if time_limit == 0 { 0 } else { now().saturating_add(time_limit) };
        self.count += 1;
        self.deadlines += usize::from(deadline != 0);
        if let Some(last) = self.table().last_mut() {
            *last = Child { pid, status, birth, timed_out: false, detached, deadline };
        }
    }

    /// A clone of a server starts with no children; what it holds of its parent's is closed already.
    pub fn clear(&mut self) {
        self.count = 0;
        self.deadlines = 0;
    }

    /// Kills whose time is up; says how many milliseconds there are to the next, if any.
    pub fn enforce(&mut self) -> Option<u64> {
        if self.deadlines == 0 {
            return None;
        }
        let now = now();
        let mut next = None;
        for child in self.table() {
            if child.deadline == 0 {
                continue;
            }
            if child.deadline <= now {
                child.deadline = 0;
                child.timed_out = true;
                self.deadlines -= 1;
                // SAFETY: it is our child and not reaped yet, so the pid is its own.
                unsafe { syscall(nr::KILL, child.pid as usize, SIGKILL as usize, 0, 0, 0, 0) };
            } else {
                let left = child.deadline - now;
                next = Some(next.map_or(left, |other: u64| other.min(left)));
            }
        }
        next
    }

    /// Kills every child that is not detached, and reaps them.
    pub fn end_all(&mut self) {
        for child in self.table().iter().filter(|child| !child.detached) {
            // SAFETY: our own children, not reaped yet.
            unsafe { syscall(nr::KILL, child.pid as usize, SIGKILL as usize, 0, 0, 0, 0) };
        }
        for child in self.table().iter().filter(|child| !child.detached) {
            bury(child.pid);
        }
    }

    /// Reaps every child that has ended, and the orphans that PID 1 inherits, and reports those we know.
    pub fn reap(&mut self, embryo: &mut Newborn) {
        loop {
            let mut status = 0i32;
            let mut usage = [0u64; 18];
            const WNOHANG_WALL: usize = 1 | 0x4000_0000;
            // SAFETY: the kernel writes an int and a struct rusage.
            let pid = unsafe {
                syscall(nr::WAIT4, usize::MAX, &raw mut status as usize, WNOHANG_WALL, &raw mut usage as usize, 0, 0)
            } as i32;
            if pid <= 0 {
                return;
            }
            if pid == embryo.pid {
                close(embryo.birth);
                close(embryo.pidfd);
                embryo.pid = 0;
            }
            self.report(pid, status, &usage);
        }
    }

    fn report(&mut self, pid: i32, status: i32, usage: &[u64; 18]) {
        let table = self.table();
        let Some(child) = table.iter_mut().find(|child| child.pid == pid) else { return };
        if child.birth >= 0 {
            // A newborn whose plan failed said so before it went.
            let mut last_words = Reply::default();
            let at = &raw mut last_words as usize;
            let hear = || {
                // Whoever took it over may have sent descriptors; we want none.
                let mut unwanted = [-1; SLOTS];
                let heard = receive_into(child.birth, at, size_of::<Reply>(), &mut unwanted, 0, MSG_DONTWAIT);
                close_slots(&mut unwanted);
                heard
            };
            // Where it went without taking what we handed it, the first answer is ECONNRESET, once.
            let words = hear().or_else(|_| hear());
            if words == Ok((size_of::<Reply>(), 0)) {
                reply(child.status, &last_words, &[]);
            }
            close(child.birth);
        }
        let [user_s, user_us, system_s, system_us, max_rss, ..] = *usage;
        let exited = Reply {
            tag: EXITED,
            pid,
            status,
            note: u32::from(child.timed_out),
            user_us: user_s.wrapping_mul(1_000_000).wrapping_add(user_us),
            system_us: system_s.wrapping_mul(1_000_000).wrapping_add(system_us),
            max_rss,
            ..Reply::default()
        };
        reply(child.status, &exited, &[]);
        close(child.status);
        if child.deadline != 0 {
            self.deadlines -= 1;
        }
        if let Some(last) = self.table().last() {
            *child = *last;
        }
        self.count -= 1;
    }
}

/// Waits until a child that was killed is dead, and reaps it.
pub fn bury(pid: i32) {
    const WALL: usize = 0x4000_0000;
    // SAFETY: our own child, not reaped yet.
    unsafe { syscall(nr::WAIT4, pid as usize, 0, WALL, 0, 0, 0) };
}
