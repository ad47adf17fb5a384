//! A seccomp profile as data: what is allowed to whom, before it is known which machine and which capabilities it is for;
//! and [`Document::tables`], which settles that.
//!
//! A document comes from `builtin` (our own) or from `json` (docker's format). Its meaning is that of runc, which hands
//! the same rules to libseccomp:
//! - a rule without conditions decides its call alone, and the first such rule wins;
//! - otherwise the first rule whose conditions all hold decides, and the default action where none holds;
//! - where the default refuses, calls newer than every call named get ENOSYS: a libc that tries a call that the profile's
//!   author never heard of then falls back, as on an old kernel (runc does this too, libcontainer/seccomp/patchbpf).

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::syscalls::Arch;

/// SECCOMP_RET_* of linux/seccomp.h with its data: what the kernel does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Action(pub(crate) u32);

impl Action {
    /// The call is made.
    pub(crate) const ALLOW: Self = Self(libc::SECCOMP_RET_ALLOW);
    /// The call is made and written to the kernel's log.
    pub(crate) const LOG: Self = Self(libc::SECCOMP_RET_LOG);
    /// The whole process dies of SIGSYS.
    pub(crate) const KILL_PROCESS: Self = Self(libc::SECCOMP_RET_KILL_PROCESS);
    /// The calling thread dies.
    pub(crate) const KILL_THREAD: Self = Self(libc::SECCOMP_RET_KILL_THREAD);
    /// The caller gets a SIGSYS that it can handle.
    pub(crate) const TRAP: Self = Self(libc::SECCOMP_RET_TRAP);

    /// The call fails with `errno`.
    pub(crate) const fn errno(errno: u16) -> Self {
        Self(libc::SECCOMP_RET_ERRNO | errno as u32)
    }

    /// A tracer is told, with `message`; ENOSYS where there is none.
    pub(crate) const fn trace(message: u16) -> Self {
        Self(libc::SECCOMP_RET_TRACE | message as u32)
    }

    /// Whether the call is made, or may be made by whoever watches.
    pub(super) fn permits(self) -> bool {
        matches!(
            self.0 & libc::SECCOMP_RET_ACTION_FULL,
            libc::SECCOMP_RET_ALLOW | libc::SECCOMP_RET_LOG | libc::SECCOMP_RET_TRACE
        )
    }
}

/// How one argument of a call must be, all 64 bits of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Condition {
    /// Which argument, from 0 to 5.
    pub(crate) argument: u8,
    /// The comparison.
    pub(crate) test: Test,
}

impl Condition {
    /// The same as equality with `value`, as a comparison of bits.
    pub(crate) fn masked(&self, value: u64) -> Self {
        Self { argument: self.argument, test: Test::MaskedEq { mask: u64::MAX, value } }
    }
}

/// A comparison of an argument with what is given here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Test {
    /// One of these.
    In(Vec<u32>),
    /// One of these in the low 32 bits, which are all that the kernel takes of an int.
    IntIn(Vec<u32>),
    /// Equal.
    Eq(u64),
    /// Not equal.
    Ne(u64),
    /// Less.
    Lt(u64),
    /// Less or equal.
    Le(u64),
    /// Greater.
    Gt(u64),
    /// Greater or equal.
    Ge(u64),
    /// Equal under a mask.
    MaskedEq {
        /// The bits that count.
        mask: u64,
        /// What they must be.
        value: u64,
    },
    /// Not equal under a mask. The kernel takes the low 32 bits of some arguments only (an ioctl's request), so a
    /// refusal that compares 64 bits is passed by setting one of the others.
    MaskedNe {
        /// The bits that count.
        mask: u64,
        /// What they must not be.
        value: u64,
    },
}

/// When a group of rules counts at all.
#[derive(Clone, Debug, Default)]
pub(crate) struct When {
    /// The container has all of these capabilities.
    pub(crate) caps: u64,
    /// The container has none of these.
    pub(crate) no_caps: u64,
    /// The machine is one of these; any where empty.
    pub(crate) arches: Vec<Option<Arch>>,
    /// The machine is none of these.
    pub(crate) no_arches: Vec<Option<Arch>>,
    /// The kernel is at least this one.
    pub(crate) kernel: Option<(u32, u32)>,
    /// The kernel is older than this one.
    pub(crate) no_kernel: Option<(u32, u32)>,
}

/// The same action for several calls.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// The calls. A name that an architecture does not have is no error: profiles name the calls of all.
    pub(crate) names: Vec<Cow<'static, str>>,
    /// What happens.
    pub(crate) action: Action,
    /// Alternatives, each a list of conditions that must all hold; none means always.
    pub(crate) alternatives: Vec<Vec<Condition>>,
    /// Where this counts.
    pub(crate) when: When,
}

/// A whole profile.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// What happens to a call that no rule decides.
    pub(crate) default: Action,
    /// Whether 32-bit x86 programs may run on 64-bit x86; other foreign calling conventions are always refused.
    pub(crate) i386: bool,
    /// SECCOMP_FILTER_FLAG_* for seccomp(2).
    pub(crate) flags: u32,
    /// The rules, in order.
    pub(crate) groups: Vec<Group>,
}

/// The machine and the container that a document is settled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// What the kernel speaks first.
    pub(crate) native: Arch,
    /// Major and minor number of the kernel.
    pub(crate) kernel: (u32, u32),
    /// The container's bounding set.
    pub(crate) caps: u64,
}

/// One rule for one call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rule {
    /// All must hold; none means always.
    pub(crate) conditions: Vec<Condition>,
    /// Then this happens.
    pub(crate) action: Action,
}

/// All rules of one calling convention.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// The calling convention.
    pub(crate) arch: Arch,
    /// By number: the rules in the order in which they are tried.
    pub(crate) calls: BTreeMap<u32, Vec<Rule>>,
    /// What happens where no rule holds.
    pub(crate) default: Action,
    /// What happens beyond the greatest number in `calls`.
    pub(crate) newer: Action,
}

impl Document {
    /// The capabilities that make a difference to this document.
    pub(crate) fn relevant_caps(&self) -> u64 {
        self.groups.iter().fold(0, |mask, group| mask | group.when.caps | group.when.no_caps)
    }

    /// The rules for each calling convention that is let in, with `refusal` in place of every default that refuses.
    pub(crate) fn tables(&self, setting: &Setting, refusal: Option<Action>) -> Vec<Table> {
        let default = match refusal {
            Some(action) if !self.default.permits() => action,
            _ => self.default,
        };
        let arches = [Some(setting.native), (setting.native == Arch::X86_64 && self.i386).then_some(Arch::I386)];
        arches.into_iter().flatten().map(|arch| self.table(arch, setting, default)).collect()
    }

    fn table(&self, arch: Arch, setting: &Setting, default: Action) -> Table {
        let mut calls: BTreeMap<u32, Vec<Rule>> = BTreeMap::new();
        let is_settled = |rules: &[Rule]| rules.last().is_some_and(|last| last.conditions.is_empty());
        for group in self.groups.iter().filter(|group| group.when.holds(setting)) {
            for name in &group.names {
                for (number, multiplexed) in numbers(arch, name) {
                    let rules = calls.entry(number).or_default();
                    for rule in group.rules(multiplexed).into_iter().map(|rule| rule.fitted(arch)) {
                        if is_settled(rules) {
                            continue;
                        }
                        if rule.conditions.is_empty() {
                            rules.clear();
                        }
                        if !rules.last_mut().is_some_and(|last| last.absorb(&rule)) {
                            rules.push(rule);
                        }
                    }
                }
            }
        }
        let newer = if default.permits() { default } else { Action::errno(libc::ENOSYS as u16) };
        Table { arch, calls, default, newer }
    }
}

impl Group {
    /// The rules of this group for one of its calls, or for the multiplexer that this call can also be reached through.
    fn rules(&self, multiplexed: Option<u64>) -> Vec<Rule> {
        let Some(selector) = multiplexed else {
            let always = [Vec::new()];
            let alternatives = if self.alternatives.is_empty() { &always[..] } else { &self.alternatives[..] };
            return alternatives
                .iter()
                .map(|conditions| Rule { conditions: conditions.clone(), action: self.action })
                .collect();
        };
        // The arguments lie in the caller's memory, where a filter can't look. So conditions can't be tested: a call that
        // is permitted under conditions is not permitted this way, one that is refused under conditions is refused.
        if self.action.permits() && !self.alternatives.is_empty() {
            return Vec::new();
        }
        vec![Rule { conditions: vec![Condition { argument: 0, test: Test::Eq(selector) }], action: self.action }]
    }
}

impl Rule {
    /// Takes over `other`, where both only ask for a value of the same argument and answer the same.
    fn absorb(&mut self, other: &Self) -> bool {
        let ([Condition { argument, test }], [Condition { argument: its, test: Test::Eq(value) }]) =
            (self.conditions.as_mut_slice(), other.conditions.as_slice())
        else {
            return false;
        };
        let Ok(value) = u32::try_from(*value) else { return false };
        if argument != its || self.action != other.action {
            return false;
        }
        match test {
            Test::In(values) => values.push(value),
            Test::Eq(first) if u32::try_from(*first).is_ok() => *test = Test::In(vec![*first as u32, value]),
            _ => return false,
        }
        true
    }

    /// The same rule with what it compares cut to the width of an argument, as libseccomp does: a profile that says -1
    /// in 64 bits means -1 of a 32-bit program, too.
    fn fitted(mut self, arch: Arch) -> Self {
        if arch == Arch::I386 {
            self.conditions.iter_mut().for_each(|condition| condition.test = condition.test.low());
        }
        self
    }
}

impl Test {
    fn low(&self) -> Self {
        let low = |value: &u64| value & 0xffff_ffff;
        match self {
            Self::In(values) => Self::In(values.clone()),
            Self::IntIn(values) => Self::IntIn(values.clone()),
            Self::Eq(v) => Self::Eq(low(v)),
            Self::Ne(v) => Self::Ne(low(v)),
            Self::Lt(v) => Self::Lt(low(v)),
            Self::Le(v) => Self::Le(low(v)),
            Self::Gt(v) => Self::Gt(low(v)),
            Self::Ge(v) => Self::Ge(low(v)),
            Self::MaskedEq { mask, value } => Self::MaskedEq { mask: low(mask), value: low(value) },
            Self::MaskedNe { mask, value } => Self::MaskedNe { mask: low(mask), value: low(value) },
        }
    }
}

impl When {
    fn holds(&self, setting: &Setting) -> bool {
        let native = Some(setting.native);
        self.caps & !setting.caps == 0
            && self.no_caps & setting.caps == 0
            && (self.arches.is_empty() || self.arches.contains(&native))
            && !self.no_arches.contains(&native)
            && self.kernel.is_none_or(|least| setting.kernel >= least)
            && self.no_kernel.is_none_or(|least| setting.kernel < least)
    }
}

/// The numbers under which `name` can be reached: its own, and on i386 a first argument of socketcall(2) or ipc(2).
fn numbers(arch: Arch, name: &str) -> impl Iterator<Item = (u32, Option<u64>)> {
    let own = arch.number(name).map(|number| (number, None));
    let multiplexed = if arch == Arch::I386 { multiplexed(name) } else { None };
    own.into_iter().chain(multiplexed.map(|(number, selector)| (number, Some(selector))))
}

/// linux/net.h and linux/ipc.h: the calls that i386 had no numbers of their own for.
fn multiplexed(name: &str) -> Option<(u32, u64)> {
    const SOCKETCALL: u32 = 102;
    const IPC: u32 = 117;
    let selector = match name {
        "socket" => (SOCKETCALL, 1),
        "bind" => (SOCKETCALL, 2),
        "connect" => (SOCKETCALL, 3),
        "listen" => (SOCKETCALL, 4),
        "accept" => (SOCKETCALL, 5),
        "getsockname" => (SOCKETCALL, 6),
        "getpeername" => (SOCKETCALL, 7),
        "socketpair" => (SOCKETCALL, 8),
        "send" => (SOCKETCALL, 9),
        "recv" => (SOCKETCALL, 10),
        "sendto" => (SOCKETCALL, 11),
        "recvfrom" => (SOCKETCALL, 12),
        "shutdown" => (SOCKETCALL, 13),
        "setsockopt" => (SOCKETCALL, 14),
        "getsockopt" => (SOCKETCALL, 15),
        "sendmsg" => (SOCKETCALL, 16),
        "recvmsg" => (SOCKETCALL, 17),
        "accept4" => (SOCKETCALL, 18),
        "recvmmsg" => (SOCKETCALL, 19),
        "sendmmsg" => (SOCKETCALL, 20),
        "semop" => (IPC, 1),
        "semget" => (IPC, 2),
        "semctl" => (IPC, 3),
        "semtimedop" => (IPC, 4),
        "msgsnd" => (IPC, 11),
        "msgrcv" => (IPC, 12),
        "msgget" => (IPC, 13),
        "msgctl" => (IPC, 14),
        "shmat" => (IPC, 21),
        "shmdt" => (IPC, 22),
        "shmget" => (IPC, 23),
        "shmctl" => (IPC, 24),
        _ => return None,
    };
    Some(selector)
}
