//! Landlock as a second wall, landlock(7): what holds even if a capability, a mount or a filter is wrong.
//!
//! PID 1 enters the domain once, so all processes of a container are in the same one and may signal and trace each
//! other as before. What the domain takes away for good:
//! - mount(2), umount(2), pivot_root(2), move_mount(2): no task of a domain with file system rules changes mounts;
//! - making device nodes anywhere, and ioctl on devices outside of /dev;
//! - signals to, and abstract sockets of, processes outside, which matters where the network or PID namespace is shared
//!   with the host (CVE-2020-15257);
//! - tracing a process outside, and reading its memory, whatever capabilities say.
//!
//! Reading and writing files is not handled: mounts say who may do that, and each open would get slower.

use nix::fcntl::OFlag;

use crate::Step;
use crate::plan::{CWD, Plan};
use crate::sys::landlock::{
    ACCESS_FS_IOCTL_DEV, ACCESS_FS_MAKE_BLOCK, ACCESS_FS_MAKE_CHAR, ACCESS_FS_REFER, RulesetAttr,
    SCOPE_ABSTRACT_UNIX_SOCKET, SCOPE_SIGNAL, landlock_abi,
};

/// What a domain handles, and what is let through beneath which directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ruleset {
    attr: RulesetAttr,
    beneath: Vec<(&'static str, u64)>,
}

impl Ruleset {
    /// The wall that a kernel of this ABI can build; `None` where it can build none that a program would not notice: the
    /// first ABI forbids every rename between directories.
    pub(crate) fn of(abi: u32) -> Option<Self> {
        if abi < 2 {
            return None;
        }
        let devices = if abi >= 5 { ACCESS_FS_IOCTL_DEV } else { 0 };
        let scoped = if abi >= 6 { SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL } else { 0 };
        let mut beneath = vec![("/", ACCESS_FS_REFER)];
        if devices != 0 {
            beneath.push(("/dev", devices));
        }
        let handled = ACCESS_FS_MAKE_CHAR | ACCESS_FS_MAKE_BLOCK | ACCESS_FS_REFER | devices;
        Some(Self { attr: [handled, 0, scoped], beneath })
    }

    /// The wall that this kernel can build, or why it can build none.
    pub(crate) fn of_this_kernel() -> Result<Self, &'static str> {
        let abi = landlock_abi();
        Self::of(abi).ok_or(match abi {
            0 => "this kernel has no Landlock, or it is turned off: since Linux 5.13",
            _ => "Landlock of this kernel forbids every rename between directories: since Linux 5.19 it need not",
        })
    }

    /// How much of the record the kernel of this ABI knows; an older one takes trailing zeros, too.
    fn size(&self) -> usize {
        let words = self.attr.iter().rposition(|word| *word != 0).map_or(1, |last| last + 1);
        words * size_of::<u64>()
    }
}

/// The process that walks the plan enters the domain, and all that it starts. After the pivot and after no_new_privs or
/// while it has CAP_SYS_ADMIN; nothing can be mounted afterwards.
pub(crate) fn restrict(plan: &mut Plan<'_>, ruleset: &Ruleset) {
    plan.step(
        Step::RestrictByLandlock,
        "",
        "a second wall: no mounts, no device nodes, no signals and no abstract sockets beyond the container",
        "setpriv --landlock-access fs:make-char,make-block,refer --landlock-rule path-beneath:refer:/ bash",
    );
    let domain = plan.slot();
    let attr = plan.data(ruleset.attr.map(u64::to_ne_bytes).as_flattened(), 8);
    plan.landlock_create_ruleset(attr, ruleset.size()).out(domain);
    for (path, access) in &ruleset.beneath {
        let dir = plan.slot();
        let path = plan.bytes(path);
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        plan.openat(CWD, path, flags).out(dir);
        plan.landlock_let_through(domain, dir, *access);
        plan.close(dir);
    }
    plan.landlock_restrict_self(domain);
    plan.close(domain);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_abi_gets_what_it_knows_and_no_more() {
        assert_eq!(Ruleset::of(0), None);
        assert_eq!(Ruleset::of(1), None);
        let second = Ruleset::of(2).unwrap();
        assert_eq!(second.size(), 8);
        assert_eq!(second.attr[0], ACCESS_FS_MAKE_CHAR | ACCESS_FS_MAKE_BLOCK | ACCESS_FS_REFER);
        assert_eq!(Ruleset::of(5).unwrap().attr[0] & ACCESS_FS_IOCTL_DEV, ACCESS_FS_IOCTL_DEV);
        assert_eq!(Ruleset::of(6).unwrap().size(), 24);
        assert_eq!(Ruleset::of(6), Ruleset::of(9));
    }

    #[test]
    fn what_is_let_through_is_handled() {
        for abi in 2..10 {
            let ruleset = Ruleset::of(abi).unwrap();
            assert!(ruleset.beneath.iter().all(|(_, access)| access & !ruleset.attr[0] == 0), "{abi}");
        }
    }
}
