//! Budgets of processor time: how much of it a program and all that it has started have had together, and whether that is too much.
//!
//! Each process of a program with a budget bears its mark (`sweep`). What those that live have had is added up by looking at each
//! of them: its own time by its clock, clock_getres(2), and that of the children that it has waited for by /proc/PID/stat, proc(5).
//! What was left to us when it ended we reap, and add before it is gone. So nothing lacks but the time of children whose parent
//! ignores SIGCHLD: the kernel reaps these itself, and adds their time to nobody's (`wait_task_zombie` of kernel/exit.c). Where a
//! cgroup counts, `lost` finds it.
//!
//! A process's time is looked at before its children's, since /proc lists it first: a child that it reaps meanwhile is not counted
//! twice. Where pids have come round that is not so, and a budget that seems to be used up is looked at once more.
//!
//! Where the whole container has one, all processes are looked at, with or without a mark: what we have reaped is in our own stat.
//!
//! It is looked when the budget may be used up at the earliest, by all processors together; near the end each [`SOONEST`].

use ctr_wire::MAX_CHILDREN;

use super::kernel::{now, nr, syscall3};
use super::lost::Seen;
use super::memory::{Budget, Lost, MEMORY};
use super::sweep::{BUDGET, Sweep};
use super::text::{number_of, read_of};

/// How often it is looked at most, in milliseconds.
const SOONEST: u64 = 10;
/// … and at least: processors may be added.
const LATEST: u64 = 60_000;
/// What looking may take of a processor near the end: one part in so many.
const SHARE: u64 = 5;
/// How many looks in a row have to find nobody before a budget is nobody's: who forks meanwhile may be missed.
const LOOKS: u8 = 3;
const PLACE: u32 = 10;
const MS: u64 = 1_000_000;

const _: () = assert!(MAX_CHILDREN <= 1 << PLACE);

/// All of this server's.
pub struct Budgets {
    count: usize,
    /// Places that were ever taken.
    places: usize,
    generation: u64,
    /// How much faster than time goes on a budget may be used up.
    processors: u64,
    /// That of all processes together, in nanoseconds; 0 is none. How much of it they have had.
    whole: [u64; 2],
    /// When to look next, in milliseconds of CLOCK_MONOTONIC, where there are any.
    pub next: u64,
}

impl Budgets {
    pub const fn new() -> Self {
        Self { count: 0, places: 0, generation: 0, processors: 1, whole: [0; 2], next: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Has this file of a cgroup count what no process tells of.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    pub fn count_by(&mut self, file: i32, sweep: &Sweep) {
        if self.lost().count_by(file) {
            self.add_up(sweep);
            self.lost().begin(0);
        }
    }

    /// A program without a budget is started.
    pub fn disturb(&self) {
        if !self.is_empty() {
            self.lost().disturb();
        }
    }

    fn lost(&self) -> &'static mut Lost {
        // SAFETY: one thread uses it, and takes it anew each time.
        unsafe {
            let lost = &raw mut MEMORY.lost;
            &mut *lost
        }
    }

    fn table(&self) -> &'static mut [Budget] {
        // SAFETY: one thread uses the table, and one slice at a time; places <= MAX_CHILDREN.
        unsafe { core::slice::from_raw_parts_mut((&raw mut MEMORY.budgets).cast(), self.places) }
    }

    /// The budget of this mark.
    pub fn of(&self, mark: u64) -> Option<&'static mut Budget> {
        let place = (mark & ((1 << PLACE) - 1)) as usize;
        self.table().get_mut(place).filter(|budget| mark != 0 && budget.mark == mark)
    }

    /// Opens one of so many milliseconds, on a machine with so many processors. Its mark, or 0 where there are as many as can be.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    pub fn open(&mut self, limit: u64, processors: u64, deadline: u64, sweep: &Sweep) -> u64 {
        let free = self.table().iter().position(|budget| budget.mark == 0);
        let place = match free {
            Some(place) => place,
            None if self.places < MAX_CHILDREN => {
                self.places += 1;
                self.places - 1
            }
            None => return 0,
        };
        self.generation = self.generation.wrapping_add(1) & ((BUDGET >> PLACE) - 1);
        let mark = BUDGET | self.generation << PLACE | place as u64;
        let limit = limit.saturating_mul(MS);
        if let Some(budget) = self.table().get_mut(place) {
            *budget = Budget { mark, limit, deadline, runs: true, ..Budget::NONE };
        }
        self.count(limit, processors, now());
        if self.lost().counted().is_some() {
            self.add_up(sweep);
            self.lost().begin(mark);
        }
        mark
    }

    /// Opens that of all processes.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    pub fn open_whole(&mut self, limit: u64, processors: u64, now: u64) {
        self.whole = [limit.saturating_mul(MS), 0];
        self.count(limit.saturating_mul(MS), processors, now);
    }

    /// Whether that is used up, as far as it has been looked at.
    pub fn is_whole_used_up(&self) -> bool {
        let [limit, sum] = self.whole;
        limit != 0 && sum >= limit
    }

    /// There is one more.
    fn count(&mut self, limit: u64, processors: u64, now: u64) {
        self.processors = processors.max(1);
        let first = now.saturating_add(self.least(limit));
        self.next = if self.count == 0 { first } else { self.next.min(first) };
        self.count += 1;
    }

    /// The milliseconds in which so much time can be used at the earliest.
    fn least(&self, time: u64) -> u64 {
        (time / MS).checked_div(self.processors).unwrap_or(0).clamp(SOONEST, LATEST)
    }

    /// When the processes of this mark end, in milliseconds of CLOCK_MONOTONIC; nothing where they have time and a budget left.
    pub fn deadline(&self, mark: u64) -> Option<u64> {
        match self.of(mark) {
            Some(budget) if budget.is_used_up => Some(0),
            Some(budget) => Some(budget.deadline).filter(|&deadline| deadline != 0),
            // It was taken to have nobody left.
            None => Some(0),
        }
    }

    /// One of its processes has been reaped, which has had so many microseconds.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    pub fn spend(&self, mark: u64, microseconds: u64) {
        if let Some(budget) = self.of(mark) {
            budget.gone = budget.gone.saturating_add(microseconds.saturating_mul(1000));
        }
    }

    /// The program itself is gone, or was never there. What it has left behind has the budget still. Whether it was used up: then that
    /// may have been the end of it before we knew it as ours.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    pub fn leave(&mut self, mark: u64) -> bool {
        let Some(budget) = self.of(mark) else { return false };
        budget.runs = false;
        self.next = self.next.min(now().saturating_add(SOONEST));
        budget.is_used_up
    }

    /// Looks at all of them; whether some are used up now that were not, or somebody has shed a mark.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    pub fn look(&mut self, sweep: &Sweep) -> bool {
        let begun = now();
        let shed = self.add_up(sweep);
        if self.lost().is_unsure || self.is_whole_used_up() || self.table().iter().any(|budget| budget.is_over()) {
            self.add_up(sweep);
        }
        let (mut any, mut wait) = (shed, LATEST);
        let [limit, sum] = self.whole;
        if limit != 0 {
            wait = self.least(limit.saturating_sub(sum));
        }
        let now = now();
        let soonest = SOONEST.max(now.wrapping_sub(begun).saturating_mul(SHARE));
        for budget in self.table().iter_mut().filter(|budget| budget.mark != 0) {
            budget.unseen = if budget.seen == 0 && !budget.runs { budget.unseen.saturating_add(1) } else { 0 };
            if budget.unseen >= LOOKS {
                *budget = Budget::NONE;
                self.count -= 1;
                continue;
            }
            if budget.is_over() {
                budget.is_used_up = true;
                any = true;
            }
            // Who was killed, and who is left, is looked for until they are gone.
            let left = if budget.is_used_up || budget.unseen > 0 { 0 } else { budget.limit.saturating_sub(budget.sum) };
            wait = wait.min(self.least(left));
        }
        self.next = now.saturating_add(wait.max(soonest));
        any
    }

    /// Adds up what the processes of each have had. Whether somebody has shed a mark.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    fn add_up(&mut self, sweep: &Sweep) -> bool {
        let mut shed = false;
        let [limit, _] = self.whole;
        let counted = self.lost().counted();
        let all = limit != 0 || counted.is_some();
        let mut seen = Seen { counted: counted.unwrap_or(0), told: 0, others: 0, processes: 0 };
        for budget in self.table() {
            (budget.sum, budget.seen) = (budget.gone, 0);
        }
        sweep.each_process(|pid| {
            let budget = match sweep.mark_of(pid) {
                Some(0) => {
                    shed = true;
                    None
                }
                Some(mark) => self.of(mark),
                None => None,
            };
            if !all && budget.is_none() {
                return;
            }
            let time = children_time(sweep.proc, pid).saturating_add(clock_of(pid));
            seen.told = seen.told.saturating_add(time);
            seen.processes = seen.processes.saturating_add(1);
            match budget {
                Some(budget) => {
                    budget.seen = budget.seen.saturating_add(1);
                    budget.sum = budget.sum.saturating_add(time);
                }
                // What we have had and reaped is nobody's doing.
                None if pid != 1 => seen.others = seen.others.saturating_add(time),
                None => {}
            }
        });
        self.whole = [limit, seen.told];
        if counted.is_some() {
            self.whole = [limit, self.lost().used(&seen)];
            self.lost().charge(&seen, self.table());
            for budget in self.table() {
                budget.sum = budget.sum.saturating_add(budget.lost);
            }
        }
        shed
    }
}

impl Budget {
    fn is_over(&self) -> bool {
        self.mark != 0 && !self.is_used_up && self.sum >= self.limit
    }
}

/// The time that a process has had, by its clock: `MAKE_PROCESS_CPUCLOCK` with CPUCLOCK_SCHED of linux/posix-timers.h.
#[inline(never)]
#[unsafe(link_section = ".cold")]
fn clock_of(pid: i32) -> u64 {
    let mut time = [0u64; 2];
    // SAFETY: the kernel writes a timespec.
    unsafe { syscall3(nr::CLOCK_GETTIME, ((!pid) << 3 | 2) as usize, &raw mut time as usize, 0) };
    let [seconds, nanoseconds] = time;
    seconds.wrapping_mul(1_000_000_000).wrapping_add(nanoseconds)
}

/// What the children that a process has waited for have had, and theirs; `proc` is /proc.
#[inline(never)]
#[unsafe(link_section = ".cold")]
fn children_time(proc: i32, pid: i32) -> u64 {
    let mut buffer = [0u64; 64];
    let stat = read_of(proc, pid, b"/stat", &mut buffer);
    // Behind the name, which may have anything in it, comes the state as field 3; 16 and 17 are cutime and cstime.
    let Some(name_ends) = stat.iter().rposition(|&byte| byte == b')') else { return 0 };
    let fields = stat.get(name_ends..).unwrap_or_default().split(|&byte| byte == b' ').skip(14).take(2);
    let mut ticks = 0u64;
    for field in fields {
        ticks = ticks.saturating_add(number_of(field));
    }
    // USER_HZ is 100.
    ticks.saturating_mul(10 * MS)
}
