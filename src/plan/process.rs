//! The calls by which the process that walks a plan changes what it is, and what all that it starts inherits: names, ids, limits,
//! scheduling, session, walls. It ends in execve(2).

use std::ffi::CStr;

use nix::sched::CloneFlags;

use super::{Arg, Call, Plan, Slot};
use crate::sys::landlock::{CREATE_RULESET_VERSION, RULE_PATH_BENEATH};
use crate::sys::sched::{CpuSet, IOPRIO_WHO_PROCESS};

/// What prctl(2) sets.
pub enum Prctl {
    /// PR_SET_PDEATHSIG: the signal that comes when the parent ends.
    DeathSignal(i32),
    /// PR_SET_DUMPABLE.
    Dumpable(bool),
    /// PR_SET_NAME, a string of the plan.
    Name(Arg),
    /// PR_SET_CHILD_SUBREAPER: orphans become its children.
    ChildSubreaper,
    /// PR_CAPBSET_DROP: takes a capability out of the bounding set.
    DropBounding(u32),
    /// PR_SET_NO_NEW_PRIVS.
    NoNewPrivs,
}

impl Plan<'_> {
    /// execve(2): paths and arrays that are data of the plan.
    pub fn execve(&mut self, path: Arg, arguments: Arg, environment: Arg) -> &mut Call {
        self.call(libc::SYS_execve, [path, arguments, environment])
    }

    /// kill(2).
    pub fn kill(&mut self, pid: i32, signal: i32) -> &mut Call {
        self.call(libc::SYS_kill, [pid.into(), signal.into()])
    }

    /// sigprocmask(2), SIG_SETMASK: bit n - 1 blocks signal n.
    pub fn set_signal_mask(&mut self, blocked: u64) -> &mut Call {
        let set = self.data(&blocked.to_ne_bytes(), 8);
        self.call(libc::SYS_rt_sigprocmask, [libc::SIG_SETMASK.into(), set, 0.into(), size_of::<u64>().into()])
    }

    /// alarm(2): SIGALRM in so many seconds, which an earlier one does not come then.
    pub fn alarm(&mut self, seconds: u32) -> &mut Call {
        self.call(libc::SYS_alarm, [seconds.into()])
    }

    /// setsid(2).
    pub fn setsid(&mut self) -> &mut Call {
        self.call(libc::SYS_setsid, [])
    }

    /// setpgid(2): into this group, 0 for one of its own.
    pub fn setpgid(&mut self, group: i32) -> &mut Call {
        self.call(libc::SYS_setpgid, [0.into(), group.into()])
    }

    /// sethostname(2).
    pub fn sethostname(&mut self, name: &CStr) -> &mut Call {
        let data = self.string(name);
        self.call(libc::SYS_sethostname, [data, name.count_bytes().into()])
    }

    /// setdomainname(2).
    pub fn setdomainname(&mut self, name: &CStr) -> &mut Call {
        let data = self.string(name);
        self.call(libc::SYS_setdomainname, [data, name.count_bytes().into()])
    }

    /// prlimit(2): the soft and the hard limit are data of the plan.
    pub fn prlimit(&mut self, resource: u32, limit: Arg) -> &mut Call {
        self.call(libc::SYS_prlimit64, [0.into(), resource.into(), limit, 0.into()])
    }

    /// setpriority(2).
    pub fn setpriority(&mut self, nice: i32) -> &mut Call {
        self.call(libc::SYS_setpriority, [libc::PRIO_PROCESS.into(), 0.into(), nice.into()])
    }

    /// sched_setattr(2), with a struct sched_attr.
    pub fn sched_setattr(&mut self, attr: Arg) -> &mut Call {
        self.call(libc::SYS_sched_setattr, [0.into(), attr, 0.into()])
    }

    /// sched_setaffinity(2).
    pub fn sched_setaffinity(&mut self, cpus: &CpuSet) -> &mut Call {
        let set = self.data(cpus.map(u64::to_ne_bytes).as_flattened(), 8);
        self.call(libc::SYS_sched_setaffinity, [0.into(), size_of::<CpuSet>().into(), set])
    }

    /// ioprio_set(2).
    pub fn ioprio_set(&mut self, value: i32) -> &mut Call {
        self.call(libc::SYS_ioprio_set, [IOPRIO_WHO_PROCESS.into(), 0.into(), value.into()])
    }

    /// keyctl(2), KEYCTL_JOIN_SESSION_KEYRING: one of its own.
    pub fn join_session_keyring(&mut self) -> &mut Call {
        self.call(libc::SYS_keyctl, [libc::KEYCTL_JOIN_SESSION_KEYRING.into(), 0.into()])
    }

    /// landlock_create_ruleset(2), of so much of a struct landlock_ruleset_attr.
    pub fn landlock_create_ruleset(&mut self, attr: Arg, len: usize) -> &mut Call {
        self.call(libc::SYS_landlock_create_ruleset, [attr, len.into(), 0.into()])
    }

    /// landlock_create_ruleset(2), LANDLOCK_CREATE_RULESET_VERSION: fails where there is none.
    pub fn landlock_ask_version(&mut self) -> &mut Call {
        self.call(libc::SYS_landlock_create_ruleset, [0.into(), 0.into(), CREATE_RULESET_VERSION.into()])
    }

    /// landlock_add_rule(2), LANDLOCK_RULE_PATH_BENEATH: what is let through beneath `dir`.
    pub fn landlock_let_through(&mut self, ruleset: Slot, dir: Slot, access: u64) -> &mut Call {
        // Struct landlock_path_beneath_attr: allowed_access and, packed behind it, parent_fd.
        let rule = self.data([access, 0].map(u64::to_ne_bytes).as_flattened(), 8);
        self.patch(rule, 8, dir);
        self.call(libc::SYS_landlock_add_rule, [ruleset.into(), RULE_PATH_BENEATH.into(), rule, 0.into()])
    }

    /// landlock_restrict_self(2).
    pub fn landlock_restrict_self(&mut self, ruleset: Slot) -> &mut Call {
        self.call(libc::SYS_landlock_restrict_self, [ruleset.into(), 0.into()])
    }

    /// seccomp(2), SECCOMP_SET_MODE_FILTER: instructions of classic BPF, as the kernel has them. `flags` are SECCOMP_FILTER_FLAG_*, which
    /// a profile may name whatever this kernel knows.
    pub fn seccomp_set_mode_filter(&mut self, program: &[u8], flags: u32) -> &mut Call {
        const INSTRUCTION: usize = 8;
        let at = self.data(program, 8);
        // Struct sock_fprog: a 16-bit length, padding, a pointer.
        let record = self.words(&[(program.len() / INSTRUCTION).into(), at]);
        self.call(libc::SYS_seccomp, [libc::SECCOMP_SET_MODE_FILTER.into(), flags.into(), record])
    }

    /// umask(2).
    pub fn umask(&mut self, mask: u32) -> &mut Call {
        self.call(libc::SYS_umask, [mask.into()])
    }

    /// unshare(2).
    pub fn unshare(&mut self, namespaces: CloneFlags) -> &mut Call {
        self.call(libc::SYS_unshare, [namespaces.bits().into()])
    }

    /// setns(2). `kinds` are those that it has to be of; for a pidfd, those of that process's that are entered.
    pub fn setns(&mut self, namespace: Slot, kinds: CloneFlags) -> &mut Call {
        self.call(libc::SYS_setns, [namespace.into(), kinds.bits().into()])
    }

    /// setgroups(2).
    pub fn setgroups(&mut self, groups: &[u32]) -> &mut Call {
        let list = match groups {
            [] => 0.into(),
            _ => self.data(groups.iter().flat_map(|group| group.to_ne_bytes()).collect::<Vec<_>>().as_slice(), 4),
        };
        self.call(libc::SYS_setgroups, [groups.len().into(), list])
    }

    /// setresgid(2): all three of them.
    pub fn setresgid(&mut self, gid: u32) -> &mut Call {
        self.call(libc::SYS_setresgid, [gid.into(); 3])
    }

    /// setresuid(2): all three of them.
    pub fn setresuid(&mut self, uid: u32) -> &mut Call {
        self.call(libc::SYS_setresuid, [uid.into(); 3])
    }

    /// prctl(2).
    pub fn prctl(&mut self, what: Prctl) -> &mut Call {
        let (option, value) = match what {
            Prctl::DeathSignal(signal) => (libc::PR_SET_PDEATHSIG, signal.into()),
            Prctl::Dumpable(is) => (libc::PR_SET_DUMPABLE, u32::from(is).into()),
            Prctl::Name(name) => (libc::PR_SET_NAME, name),
            Prctl::ChildSubreaper => (libc::PR_SET_CHILD_SUBREAPER, 1.into()),
            Prctl::DropBounding(capability) => (libc::PR_CAPBSET_DROP, capability.into()),
            Prctl::NoNewPrivs => (libc::PR_SET_NO_NEW_PRIVS, 1.into()),
        };
        // Unused arguments are 0, as PR_SET_NO_NEW_PRIVS demands.
        self.call(libc::SYS_prctl, [option.into(), value])
    }
}
