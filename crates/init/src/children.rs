//! The table of children: who runs, where its exit is reported, when its time is up.

use ctr_wire::{EXITED, MAX_CHILDREN, Reply, SLOTS};

use super::kernel::{SIGKILL, close, now, nr, syscall, syscall3};
use super::memory::{Child, MEMORY};
use super::message::{MSG_DONTWAIT, close_slots, receive_into, reply};
use super::spawn::Spawned;
use super::sweep::Sweep;

/// How a child ended, as wait4(2) has it: the status, and of the usage what is reported.
#[derive(Clone, Copy)]
pub struct End {
    status: i32,
    usage: [u64; 5],
}

/// The children of this process.
pub struct Children {
    count: usize,
    deadlines: usize,
    /// The child that is being started, 0 if there is none, and how it ended where that was before it had started.
    beginning: i32,
    early: Option<End>,
    /// There may be more to reap than was reaped at once.
    pub more: bool,
    pub sweep: Sweep,
}

/// How many children are reaped before somebody else has a turn: there may be some without end.
const AT_ONCE: usize = 256;

impl Children {
    pub const fn new() -> Self {
        Self { count: 0, deadlines: 0, beginning: 0, early: None, more: false, sweep: Sweep::new() }
    }

    fn table(&self) -> &'static mut [Child] {
        // SAFETY: one thread uses the table, and one slice at a time: each method takes it anew. count <= MAX_CHILDREN.
        unsafe { core::slice::from_raw_parts_mut((&raw mut MEMORY.children).cast(), self.count) }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn is_full(&self) -> bool {
        self.count >= MAX_CHILDREN
    }

    /// Remembers a child. Only when not full. `deadline` in milliseconds of CLOCK_MONOTONIC; 0 is never.
    pub fn add(&mut self, pid: i32, status: i32, setup: i32, deadline: u64, detached: bool, claim: i32) {
        if self.is_full() {
            return;
        }
        self.count += 1;
        self.deadlines += usize::from(deadline != 0);
        if let Some(last) = self.table().last_mut() {
            *last = Child { pid, status, setup, timed_out: false, detached, claim, limit: -1, deadline };
        }
    }

    /// Kills a child that nobody wants, and remembers it until it is reaped: as long as there is something to reap, we stay.
    pub fn discard(&mut self, child: &Spawned) {
        super::spawn::kill(child);
        if self.is_full() {
            bury(child.pid);
        } else {
            self.add(child.pid, -1, -1, 0, false, -1);
        }
    }

    /// A clone of a server starts with no children; what it holds of its parent's is closed already.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// `pid` is being started: its end is kept for whoever starts it.
    pub fn begin(&mut self, pid: i32) {
        self.beginning = pid;
        self.early = None;
    }

    /// Whether the child that is being started has been reaped.
    pub fn has_ended(&self) -> bool {
        self.early.is_some()
    }

    /// Nobody is being started any more. How the child ended, if it has been reaped.
    pub fn forget(&mut self) -> Option<End> {
        self.beginning = 0;
        self.early.take()
    }

    /// Kills whose time is up; says how many milliseconds there are to the next, if any.
    pub fn enforce(&mut self) -> Option<u64> {
        if self.deadlines == 0 && self.sweep.next == 0 {
            return None;
        }
        let now = now();
        let mut next = u64::MAX;
        for child in self.table() {
            if child.deadline == 0 {
                continue;
            }
            if child.deadline <= now {
                child.timed_out = true;
                self.deadlines -= 1;
                self.sweep.at(child.deadline);
                child.deadline = 0;
                // SAFETY: it is our child and not reaped yet, so the pid is its own; and a group of that number is what it made.
                unsafe {
                    syscall3(nr::KILL, child.pid as usize, SIGKILL as usize, 0);
                    syscall3(nr::KILL, -child.pid as usize, SIGKILL as usize, 0);
                }
            } else {
                next = next.min(child.deadline);
            }
        }
        if self.sweep.next != 0 && self.sweep.next <= now {
            self.sweep.run(now);
        }
        if self.sweep.next != 0 {
            next = next.min(self.sweep.next);
        }
        (next != u64::MAX).then(|| next.saturating_sub(now))
    }

    /// `file` limits the processor time of the child `pid`.
    pub fn limit(&mut self, pid: i32, file: i32) {
        match self.table().iter_mut().find(|child| child.pid == pid) {
            Some(child) => close(core::mem::replace(&mut child.limit, file)),
            None => close(file),
        }
    }

    /// Kills every child that is not detached, and lifts its limit: without a turn it would not die.
    pub fn end_all(&mut self) {
        for child in self.table().iter().filter(|child| !child.detached) {
            // SAFETY: our own child, not reaped yet.
            unsafe { syscall3(nr::KILL, child.pid as usize, SIGKILL as usize, 0) };
            // Each version of cgroups refuses the other's word, cpu.cfs_quota_us of v1 and cpu.max of v2.
            for unlimited in ["-1", "max"].iter().filter(|_| child.limit >= 0) {
                // SAFETY: a string.
                unsafe { syscall3(nr::WRITE, child.limit as usize, unlimited.as_ptr() as usize, unlimited.len()) };
            }
        }
    }

    /// Reaps whoever has ended and reports those that somebody wants to know of. One that is in the pool is taken from it.
    pub fn reap(&mut self, mut spare: Option<&mut Spawned>) {
        self.more = false;
        for _ in 0..AT_ONCE {
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
            if let Some(spare) = spare.as_deref_mut().filter(|spare| spare.pid == pid) {
                close(spare.setup);
                close(spare.pidfd);
                close(spare.claim);
                spare.pid = 0;
            }
            let [user_s, user_us, system_s, system_us, max_rss, ..] = usage;
            let end = End { status, usage: [user_s, user_us, system_s, system_us, max_rss] };
            if pid == self.beginning {
                self.early = Some(end);
            } else {
                self.report(pid, &end);
            }
        }
        self.more = true;
    }

    /// Tells whoever wants to know it how a child of the table ended.
    pub fn report(&mut self, pid: i32, end: &End) {
        let table = self.table();
        let Some(child) = table.iter_mut().find(|child| child.pid == pid) else { return };
        if child.setup >= 0 {
            // A child whose plan failed said so before it went.
            let mut last_words = Reply::default();
            let at = &raw mut last_words as usize;
            let hear = || {
                // Whoever took it over may have sent descriptors; we want none.
                let mut unwanted = [-1; SLOTS];
                let heard = receive_into(child.setup, at, size_of::<Reply>(), &mut unwanted, 0, MSG_DONTWAIT);
                close_slots(&mut unwanted);
                heard
            };
            // Where it went without taking what we handed it, the first answer is ECONNRESET, once.
            let words = hear().or_else(|_| hear());
            if words == Ok((size_of::<Reply>(), 0)) {
                reply(child.status, &last_words, &[]);
            }
            close(child.setup);
        }
        let [user_s, user_us, system_s, system_us, max_rss] = end.usage;
        let exited = Reply {
            tag: EXITED,
            pid,
            status: end.status,
            note: u32::from(child.timed_out),
            user_us: user_s.wrapping_mul(1_000_000).wrapping_add(user_us),
            system_us: system_s.wrapping_mul(1_000_000).wrapping_add(system_us),
            max_rss,
            ..Reply::default()
        };
        reply(child.status, &exited, &[]);
        close(child.status);
        close(child.claim);
        close(child.limit);
        if child.deadline != 0 {
            self.deadlines -= 1;
            // What it has left behind has its limit still.
            self.sweep.at(child.deadline);
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
