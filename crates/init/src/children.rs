//! The table of children: who runs, where its exit is reported, when its time is up.

use ctr_wire::{CPU_TIME_USED_UP, ENDED_ITSELF, EXITED, MAX_CHILDREN, Reply, Request, SLOTS, TIME_IS_UP};

use super::budget::Budgets;
use super::kernel::{SIGKILL, close, errno, exit, now, nr, sleep, syscall, syscall3};
use super::memory::{Child, MEMORY};
use super::message::{MSG_DONTWAIT, close_slots, receive_into, reply};
use super::spawn::Spawned;
use super::sweep::{BUDGET, Sweep};
use super::walk::Slots;

/// How a child ended, as wait4(2) has it: the status, and of the usage what is reported.
#[derive(Clone, Copy)]
pub struct End {
    status: i32,
    usage: [u64; 5],
}

impl End {
    fn user_us(&self) -> u64 {
        let [seconds, us, ..] = self.usage;
        seconds.wrapping_mul(1_000_000).wrapping_add(us)
    }

    fn system_us(&self) -> u64 {
        let [_, _, seconds, us, _] = self.usage;
        seconds.wrapping_mul(1_000_000).wrapping_add(us)
    }
}

/// The children of this process.
pub struct Children {
    count: usize,
    deadlines: usize,
    /// When all of us ends, in milliseconds of CLOCK_MONOTONIC; 0 is never.
    end: u64,
    /// The child that is being started, 0 if there is none, and how it ended where that was before it had started.
    beginning: i32,
    early: Option<End>,
    /// There may be more to reap than was reaped at once.
    pub more: bool,
    pub sweep: Sweep,
    pub budgets: Budgets,
}

/// How long programs may take to end with us, in milliseconds: who waits in the kernel does not hold us up.
const DYING: u32 = 1000;
/// So many children's descriptors may lie among the lowest.
const FEW: usize = 8;
/// How many children are reaped before somebody else has a turn: there may be some without end.
const AT_ONCE: usize = 256;

impl Children {
    pub const fn new() -> Self {
        let (sweep, budgets) = (Sweep::new(), Budgets::new());
        Self { count: 0, deadlines: 0, end: 0, beginning: 0, early: None, more: false, sweep, budgets }
    }

    fn table(&self) -> &'static mut [Child] {
        // SAFETY: one thread uses the table, and one slice at a time: each method takes it anew. count <= MAX_CHILDREN.
        unsafe { core::slice::from_raw_parts_mut((&raw mut MEMORY.children).cast(), self.count) }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether there are so many that what we have of each is kept out of the way of the next one.
    pub fn are_many(&self) -> bool {
        self.count >= FEW
    }

    pub fn is_full(&self) -> bool {
        self.count >= MAX_CHILDREN
    }

    /// Remembers a child. Only when not full.
    pub fn add(&mut self, child: Child) {
        if self.is_full() {
            return;
        }
        self.count += 1;
        self.deadlines += usize::from(child.deadline != 0);
        if let Some(last) = self.table().last_mut() {
            *last = child;
        }
    }

    /// Kills a child that nobody wants, and remembers it until it is reaped: as long as there is something to reap, we stay.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    pub fn discard(&mut self, child: &Spawned) {
        super::spawn::kill(child);
        if self.is_full() {
            bury(child.pid);
        } else {
            self.add(Child::of(child.pid));
        }
    }

    /// Whether the range that begins with this id is a child's.
    pub fn have_range(&self, first: u32) -> bool {
        self.table().iter().any(|child| child.claim.first == first)
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
        let nothing = self.deadlines == 0 && self.sweep.next == 0 && self.budgets.is_empty() && self.end == 0;
        if nothing { None } else { self.enforce_now() }
    }

    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    fn enforce_now(&mut self) -> Option<u64> {
        let now = now();
        let mut next = u64::MAX;
        if self.end != 0 {
            if self.end <= now {
                self.end_of_all(TIME_IS_UP);
            }
            next = self.end;
        }
        if !self.budgets.is_empty() && self.budgets.next <= now {
            if self.budgets.look(&self.sweep) {
                self.end_used_up(now);
            }
            if self.budgets.is_whole_used_up() {
                self.end_of_all(CPU_TIME_USED_UP);
            }
        }
        for child in self.table() {
            if child.deadline == 0 {
                continue;
            }
            if child.deadline <= now {
                child.note = TIME_IS_UP;
                self.deadlines -= 1;
                self.sweep.at(child.deadline);
                child.deadline = 0;
                child.kill();
            } else {
                next = next.min(child.deadline);
            }
        }
        if self.sweep.next != 0 && self.sweep.next <= now {
            let budgets = &self.budgets;
            self.sweep.run(now, |mark| budgets.deadline(mark));
        }
        if self.sweep.next != 0 {
            next = next.min(self.sweep.next);
        }
        if !self.budgets.is_empty() {
            next = next.min(self.budgets.next);
        }
        (next != u64::MAX).then(|| next.saturating_sub(now))
    }

    /// Kills the programs whose budget is used up; what they have started is left to the sweep.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    fn end_used_up(&mut self, now: u64) {
        let is_used_up = |child: &&mut Child| self.budgets.of(child.budget).is_some_and(|budget| budget.is_used_up);
        for child in self.table().iter_mut().filter(is_used_up) {
            if child.note == 0 {
                child.note = CPU_TIME_USED_UP;
            }
            child.kill();
        }
        self.sweep.at(now);
    }

    /// From now on all ends after so many milliseconds of time, and of processor time; 0 is never. Whether that can be kept: we have
    /// to be init of our namespace.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    pub fn limit_all(&mut self, time: u64, processor_time: u64, processors: u64) -> bool {
        // SAFETY: no arguments.
        let is_init = unsafe { syscall3(nr::GETPID, 0, 0, 0) } == 1;
        if !is_init || processor_time != 0 && self.sweep.proc < 0 {
            return false;
        }
        if time != 0 {
            self.end = now().saturating_add(time);
        }
        if processor_time != 0 {
            self.budgets.open_whole(processor_time, processors, now());
        }
        true
    }

    /// Kills everybody, says of each program that this is why, and ends.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    fn end_of_all(&mut self, note: u8) -> ! {
        for child in self.table().iter_mut().filter(|child| child.note == 0) {
            child.note = note;
        }
        // SAFETY: as init of our namespace we reach nobody else, and at once all: kill_something_info of kernel/signal.c.
        unsafe { syscall3(nr::KILL, usize::MAX, SIGKILL as usize, 0) };
        for _ in 0..DYING {
            self.reap(None);
            if self.is_empty() {
                break;
            }
            sleep(1);
        }
        exit(ENDED_ITSELF + i32::from(note))
    }

    /// The mark of the budget of processor time that a program is to have; or why it can't have one.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    pub fn open_budget(&mut self, request: &Request, deadline: u64, slots: &mut Slots) -> Result<u64, i32> {
        if !self.sweep.can_mark() {
            return Err(errno::EOPNOTSUPP);
        }
        self.count_time(request, slots);
        let processors = u64::from(request.processors);
        match self.budgets.open(request.cpu_time_limit, processors, deadline, &self.sweep) {
            0 => Err(errno::EAGAIN),
            mark => Ok(mark),
        }
    }

    /// Takes the file in which the cgroup counts processor time, where the request has one.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    pub fn count_time(&mut self, request: &Request, slots: &mut Slots) {
        let file = slots.get_mut(request.user as usize).map_or(-1, |slot| core::mem::replace(slot, -1));
        self.budgets.count_by(file, &self.sweep);
    }

    /// `file` limits the processor time of the child `pid`.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    pub fn limit(&mut self, pid: i32, file: i32) {
        match self.table().iter_mut().find(|child| child.pid == pid) {
            Some(child) => close(core::mem::replace(&mut child.limit, file)),
            None => close(file),
        }
    }

    /// Kills every child that is not detached, and lifts its limit: without a turn it would not die.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
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

    /// Whoever is to be reaped next, and the mark, where that is a budget's, else 0. Nobody is 0, and -1 whoever it may be.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    fn next_with_budget(&self) -> (i32, u64) {
        const WNOHANG_EXITED_NOWAIT_WALL: usize = 1 | 4 | 0x0100_0000 | 0x4000_0000;
        let mut info = [0i32; 32];
        let at = &raw mut info as usize;
        // SAFETY: the kernel writes a siginfo_t.
        let asked = unsafe { syscall(nr::WAITID, 0, 0, at, WNOHANG_EXITED_NOWAIT_WALL, 0, 0) };
        if asked != 0 {
            return (-1, 0);
        }
        // What depends on the signal comes behind three numbers, where a pointer may be.
        let [_, _, _, _, pid, ..] = info;
        (pid, self.sweep.mark_of(pid).filter(|&mark| pid > 0 && mark >= BUDGET).unwrap_or(0))
    }

    /// Reaps whoever has ended and reports those that somebody wants to know of. One that is in the pool is taken from it.
    pub fn reap(&mut self, mut spare: Option<&mut Spawned>) {
        self.more = false;
        for _ in 0..AT_ONCE {
            let mut status = 0i32;
            let mut usage = [0u64; 18];
            // Whose budget it has used has to be asked while it is there. It is reaped by its pid: another may have ended since.
            let (next, budget) = if self.budgets.is_empty() { (-1, 0) } else { self.next_with_budget() };
            if next == 0 {
                return;
            }
            const WNOHANG_WALL: usize = 1 | 0x4000_0000;
            // SAFETY: the kernel writes an int and a struct rusage.
            let pid = unsafe {
                syscall(nr::WAIT4, next as usize, &raw mut status as usize, WNOHANG_WALL, &raw mut usage as usize, 0, 0)
            } as i32;
            if pid <= 0 {
                return;
            }
            if let Some(spare) = spare.as_deref_mut().filter(|spare| spare.pid == pid) {
                close(spare.setup);
                close(spare.pidfd);
                spare.claim.release();
                spare.pid = 0;
            }
            let [user_s, user_us, system_s, system_us, max_rss, ..] = usage;
            let end = End { status, usage: [user_s, user_us, system_s, system_us, max_rss] };
            if budget != 0 {
                self.budgets.spend(budget, end.user_us().saturating_add(end.system_us()));
            }
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
        if child.budget != 0 && self.budgets.leave(child.budget) && child.note == 0 {
            child.note = CPU_TIME_USED_UP;
        }
        let [.., max_rss] = end.usage;
        let exited = Reply {
            tag: EXITED,
            pid,
            status: end.status,
            note: u32::from(child.note),
            user_us: end.user_us(),
            system_us: end.system_us(),
            max_rss,
            ..Reply::default()
        };
        reply(child.status, &exited, &[]);
        close(child.status);
        child.claim.release();
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
