//! Processor time that no process tells of: that of children whose parent has the kernel reap them (SIGCHLD ignored, SA_NOCLDWAIT).
//!
//! The cgroup counts it, and tells of all together. What it has counted, less what all processes tell, is what was lost, and it was lost
//! by those that have run meanwhile. A budget is charged with what was lost while nobody ran but its processes.
//!
//! A child that its parent reaps while we look may be missed, and seems to be lost until we look again: what is lost is what two looks
//! in a row agree on. Times of reaped children are told in whole ticks, so that up to two for each process only seem to be lost.

use super::kernel::{close, nr, raise, syscall, syscall3};
use super::memory::{Budget, Lost};
use super::text::number_of;

/// One tick for the time in user mode, and one for that in the kernel.
const ROUNDED: i64 = 20_000_000;

/// What was seen at a look.
pub struct Seen {
    /// What the cgroup has counted, before.
    pub counted: u64,
    /// What all processes tell.
    pub told: u64,
    /// … those of them without a budget, but for ourselves.
    pub others: u64,
    pub processes: u32,
}

impl Lost {
    /// Has this file count, where there is none yet. Whether it was taken.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    pub fn count_by(&mut self, file: i32) -> bool {
        // SAFETY: no arguments.
        let is_init = unsafe { syscall3(nr::GETPID, 0, 0, 0) } == 1;
        // Who is no init sees processes that are not of this cgroup.
        if !is_init || self.file > 0 || file < 0 {
            close(file);
            return false;
        }
        self.file = raise(file) + 1;
        true
    }

    /// The cgroup's count: `usage_usec` of cpu.stat on v2, cpuacct.usage in nanoseconds on v1.
    pub fn counted(&self) -> Option<u64> {
        if self.file == 0 { None } else { self.read() }
    }

    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    fn read(&self) -> Option<u64> {
        let mut buffer = [0u8; 40];
        let at = buffer.as_mut_ptr() as usize;
        // SAFETY: the kernel writes as many bytes as there are.
        let got = unsafe { syscall(nr::PREAD64, (self.file - 1) as usize, at, buffer.len(), 0, 0, 0) };
        if got <= 0 {
            return None;
        }
        let line = buffer.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let number = number_of(line.rsplit(|&byte| byte == b' ').next().unwrap_or_default());
        Some(if line.first() == Some(&b'u') { number.wrapping_mul(1000) } else { number })
    }

    /// All that was used since we began to count, whoever tells of it.
    pub fn used(&self, seen: &Seen) -> u64 {
        seen.told.max(seen.counted.saturating_add_signed(self.first.saturating_neg()))
    }

    /// Somebody without a budget runs from now on, who may be gone before the next look.
    pub fn disturb(&mut self) {
        self.alone = 0;
    }

    /// The budget of this mark has been opened, and none of its processes has run; or, with 0, we begin to count.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    pub fn begin(&mut self, mark: u64) {
        (self.alone, self.base) = (mark, self.last);
        if mark == 0 {
            self.first = self.last;
        }
    }

    /// Charges what was lost since the last look to whom it can be charged.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    pub fn charge(&mut self, seen: &Seen, budgets: &mut [Budget]) {
        let missing = seen.counted.wrapping_sub(seen.told) as i64;
        let (mut ran, mut runner) = (u32::from(seen.others != self.others), None);
        for budget in budgets.iter_mut().filter(|budget| budget.mark != 0) {
            if budget.sum != core::mem::replace(&mut budget.before, budget.sum) {
                ran = ran.saturating_add(1);
                runner = Some(budget);
            }
        }
        let agreed = missing.min(self.last);
        self.is_unsure = missing.saturating_sub(self.last) > ROUNDED;
        match runner {
            Some(budget) if ran == 1 => {
                let lost = budget.lost as i64;
                if self.alone != budget.mark {
                    (self.alone, self.base) = (budget.mark, missing.max(self.last).saturating_sub(lost));
                }
                let rounded = ROUNDED.saturating_mul(i64::from(seen.processes));
                budget.lost = agreed.saturating_sub(self.base).saturating_sub(rounded).max(lost) as u64;
            }
            _ if ran > 0 => self.alone = 0,
            _ => {}
        }
        (self.last, self.others) = (missing, seen.others);
    }
}
