//! The reach of a time limit: all that a program with one has started, whatever became of its parents, its group and its session.
//!
//! Orphans are handed on to PID 1, so descent tells nothing. A mark does, which every process inherits and nobody can shed: the
//! hard values of two limits that have no effect, RLIMIT_LOCKS and RLIMIT_RTTIME of getrlimit(2). They may be lowered, and raised
//! with CAP_SYS_RESOURCE in the first user namespace only. One of them falls with the deadline and the other rises, so their sum
//! is always the same: no process can take another deadline's mark. One that has lowered both to something else has forged it,
//! and goes with the first deadline that passes, or when budgets are looked at. A mark is the deadline, so we need no memory of who was
//! started; or it is the name of a budget, which has the deadline (`budget`).

use super::kernel::{SIGKILL, errno, nr, syscall, syscall3};
use super::text::{number_of, read_of};

const RLIMIT_LOCKS: usize = 10;
const RLIMIT_RTTIME: usize = 15;
const FALLING: u64 = 1 << 63;
const RISING: u64 = 1 << 62;
/// The lowest bits of a mark tell one server's from another's, where they see each other's processes.
const WHOSE: u32 = 22;
const WHOSE_MASK: u32 = (1 << WHOSE) - 1;
/// Marks from here to twice as much are names of budgets. A deadline that is this late, some 8 years, has no mark.
pub const BUDGET: u64 = 1 << 38;
/// How often a sweep that has found somebody is repeated at once, and how long it takes to the next after that: one who is killed
/// and doesn't end waits in the kernel for something.
const IN_A_ROW: u32 = 100;
const PAUSES: [u64; 2] = [10, 250];

/// When to look for whom.
pub struct Sweep {
    /// When to look next, in milliseconds of CLOCK_MONOTONIC; 0 is never.
    pub next: u64,
    /// The last deadline for which somebody may be there.
    last: u64,
    /// How many sweeps in a row have found somebody.
    found: u32,
    /// A descriptor of /proc, or -1.
    pub proc: i32,
    /// What tells our marks from those of others.
    whose: u32,
    /// Our own limits, which every process without a mark has; 0 where they leave no room for marks.
    own: [u64; 2],
}

impl Sweep {
    pub const fn new() -> Self {
        Self { next: 0, last: 0, found: 0, proc: -1, whose: 0, own: [0; 2] }
    }

    /// Looks for who is left at this time.
    pub fn at(&mut self, deadline: u64) {
        if self.proc < 0 {
            return;
        }
        self.last = self.last.max(deadline);
        self.next = if self.next == 0 { deadline } else { self.next.min(deadline) };
    }

    /// We are a server: `proc` is /proc, `whose` tells our marks from others'.
    pub fn settle(&mut self, proc: i32, whose: u32) {
        let own = [RLIMIT_LOCKS, RLIMIT_RTTIME].map(|resource| limit_of(0, resource).unwrap_or(0));
        self.own = if own.iter().all(|own| *own > FALLING) { own } else { [0; 2] };
        (self.proc, self.whose) = (proc, whose & WHOSE_MASK);
    }

    /// Whether programs can be marked, and found.
    pub fn can_mark(&self) -> bool {
        self.proc >= 0 && self.own != [0; 2]
    }

    /// Writes this mark of a program, its deadline or its budget's, to the two limits, soft and hard, that it will set. Where it
    /// can't be marked they stay as they came, and can't be set.
    pub fn mark(&self, mark: u64, limits: &mut [u64; 4]) {
        let number = mark << WHOSE | u64::from(self.whose);
        if self.own != [0; 2] {
            let (falling, rising) = (FALLING.wrapping_sub(number), RISING.wrapping_add(number));
            *limits = [falling, falling, rising, rising];
        }
    }

    /// Kills whom the time of which is up. `deadline_of` tells it of the mark of a budget.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    pub fn run(&mut self, now: u64, deadline_of: impl Fn(u64) -> Option<u64>) {
        let mut found = false;
        let mut later = u64::MAX;
        self.each_process(|pid| {
            let Some(mark) = self.mark_of(pid) else { return };
            let Some(deadline) = (if mark < BUDGET { Some(mark) } else { deadline_of(mark) }) else { return };
            if deadline <= now {
                // SAFETY: a process of ours by its mark.
                found |= unsafe { syscall3(nr::KILL, pid as usize, SIGKILL as usize, 0) } == 0;
            } else {
                later = later.min(deadline);
            }
        });
        self.found = if found { self.found.saturating_add(1) } else { 0 };
        let [short, long] = PAUSES;
        self.next = match self.found {
            0 if self.last > now => later.min(self.last),
            0 => {
                self.last = 0;
                if later == u64::MAX { 0 } else { later }
            }
            1..IN_A_ROW => now,
            found => now + if found < 2 * IN_A_ROW { short } else { long },
        };
    }

    /// Calls `each` with the pid of every process that is seen in /proc.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    pub fn each_process(&self, mut each: impl FnMut(i32)) {
        let mut buffer = [0u64; 64];
        // SAFETY: plain numbers.
        unsafe { syscall3(nr::LSEEK, self.proc as usize, 0, 0) };
        loop {
            // SAFETY: the kernel writes as many bytes as there are.
            let got = unsafe {
                syscall3(nr::GETDENTS64, self.proc as usize, buffer.as_mut_ptr() as usize, size_of_val(&buffer))
            };
            if got <= 0 {
                break;
            }
            // SAFETY: as many bytes as were written.
            let bytes = unsafe { core::slice::from_raw_parts(buffer.as_ptr().cast::<u8>(), got as usize) };
            Pids(bytes).for_each(&mut each);
        }
    }

    /// The mark of a process; 0 of one whose mark is forged, none of one that has no mark of ours.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    pub fn mark_of(&self, pid: i32) -> Option<u64> {
        let [falling, rising] = match [RLIMIT_LOCKS, RLIMIT_RTTIME].map(|resource| limit_of(pid, resource)) {
            [Ok(falling), Ok(rising)] => [falling, rising],
            [Err(errno::EPERM), _] | [_, Err(errno::EPERM)] => self.limits_shown(pid)?,
            _ => return None,
        };
        let [locks, time] = self.own;
        if falling >= locks || rising >= time {
            return None;
        }
        let number = FALLING.wrapping_sub(falling);
        if falling <= FALLING && rising == RISING.wrapping_add(number) {
            return (number as u32 & WHOSE_MASK == self.whose).then_some(number >> WHOSE);
        }
        // SAFETY: as init of its namespace, all that we see is of our container.
        let init = unsafe { syscall3(nr::GETPID, 0, 0, 0) } == 1;
        init.then_some(0)
    }

    /// The two hard limits of a process of another user, as everybody may read them: proc_pid_limits(5). In a container with the host's
    /// user namespace we have not the capability that prlimit(2) wants.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    fn limits_shown(&self, pid: i32) -> Option<[u64; 2]> {
        // A heading and 16 lines of up to 79 bytes.
        let mut buffer = [0u64; 176];
        let text = read_of(self.proc, pid, b"/limits", &mut buffer);
        let mut lines = text.split(|&byte| byte == b'\n').skip(1);
        let locks = lines.nth(RLIMIT_LOCKS)?;
        let time = lines.nth(RLIMIT_RTTIME - RLIMIT_LOCKS - 1)?;
        Some([hard_of(locks), hard_of(time)])
    }
}

/// The hard limit of such a line: it stands behind a name of 25 bytes and a number of 20, with a space behind each.
#[inline(never)]
#[unsafe(link_section = ".cold")]
fn hard_of(line: &[u8]) -> u64 {
    let digits = line.get(47..).unwrap_or_default().split(|&byte| byte == b' ').next().unwrap_or_default();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) { u64::MAX } else { number_of(digits) }
}

/// The hard limit of a process, prlimit(2); 0 is ourselves.
#[inline(never)]
fn limit_of(pid: i32, resource: usize) -> Result<u64, i32> {
    let mut limit = [0u64; 2];
    // SAFETY: the kernel writes a struct rlimit64.
    let result = unsafe { syscall(nr::PRLIMIT64, pid as usize, resource, 0, &raw mut limit as usize, 0, 0) };
    let [_, hard] = limit;
    if result == 0 { Ok(hard) } else { Err(-result as i32) }
}

/// The numbers among the names of struct linux_dirent64 records, getdents64(2).
struct Pids<'a>(&'a [u8]);

impl Iterator for Pids<'_> {
    type Item = i32;

    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    fn next(&mut self) -> Option<i32> {
        loop {
            let (record, rest) = match self.0 {
                [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, low, high, ..] => {
                    self.0.split_at_checked(usize::from(u16::from_le_bytes([*low, *high])))?
                }
                _ => return None,
            };
            if record.is_empty() {
                return None;
            }
            self.0 = rest;
            let name = record.get(19..)?;
            let mut pid = 0i32;
            for (digits, byte) in name.iter().enumerate() {
                match byte {
                    b'0'..=b'9' if digits < 9 => pid = pid * 10 + i32::from(byte - b'0'),
                    0 if digits > 0 => return Some(pid),
                    _ => break,
                }
            }
        }
    }
}
