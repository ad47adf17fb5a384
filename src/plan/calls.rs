//! The system calls that plans make most, one method each: named as in the man page, with its arguments in their order and its
//! flags a type. What stands in one place only is a [`Plan::call`] there.

use nix::fcntl::{AtFlags, OFlag, ResolveFlag};
use nix::sched::CloneFlags;

use super::{Arg, Call, Plan, Slot};
use crate::sys::mount::{
    FSCONFIG_CMD_CREATE, FSCONFIG_SET_STRING, FSMOUNT_CLOEXEC, FSOPEN_CLOEXEC, MountAttributes, MoveFlags, TreeFlags,
};

/// Where a path begins: a directory's descriptor, or the working directory.
#[derive(Clone, Copy)]
pub struct At(Arg);

/// The working directory, AT_FDCWD.
pub const CWD: At = At(Arg::Number(libc::AT_FDCWD as i64 as u64));

impl From<Slot> for At {
    fn from(slot: Slot) -> Self {
        Self(slot.into())
    }
}
impl From<At> for Arg {
    fn from(at: At) -> Self {
        at.0
    }
}

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
    /// openat(2) of what is there.
    pub fn openat(&mut self, dir: impl Into<At>, path: Arg, flags: OFlag) -> &mut Call {
        self.call(libc::SYS_openat, [dir.into().0, path, flags.bits().into()])
    }

    /// openat(2) of what is made where it is not there.
    pub fn create(&mut self, dir: impl Into<At>, path: Arg, flags: OFlag, mode: u32) -> &mut Call {
        let flags = flags | OFlag::O_CREAT;
        self.call(libc::SYS_openat, [dir.into().0, path, flags.bits().into(), mode.into()])
    }

    /// openat2(2) of what is there.
    pub fn openat2(&mut self, dir: impl Into<At>, path: Arg, flags: OFlag, resolve: ResolveFlag) -> &mut Call {
        // Struct open_how: flags, mode, resolve.
        let how = [flags.bits() as u64, 0, resolve.bits()].map(u64::to_ne_bytes);
        let how = self.data(how.as_flattened(), 8);
        self.call(libc::SYS_openat2, [dir.into().0, path, how, 24.into()])
    }

    /// write(2).
    pub fn write(&mut self, file: Slot, data: Arg, len: usize) -> &mut Call {
        self.call(libc::SYS_write, [file.into(), data, len.into()])
    }

    /// dup3(2): what `slot` has, under this number.
    pub fn dup3(&mut self, slot: Slot, number: impl Into<Arg>, flags: OFlag) -> &mut Call {
        self.call(libc::SYS_dup3, [slot.into(), number.into(), flags.bits().into()])
    }

    /// fcntl(2), F_DUPFD_CLOEXEC: a copy whose number is no lower than `least`.
    pub fn dupfd_cloexec(&mut self, slot: Slot, least: impl Into<Arg>) -> &mut Call {
        self.call(libc::SYS_fcntl, [slot.into(), libc::F_DUPFD_CLOEXEC.into(), least.into()])
    }

    /// mkdirat(2).
    pub fn mkdirat(&mut self, dir: impl Into<At>, path: Arg, mode: u32) -> &mut Call {
        self.call(libc::SYS_mkdirat, [dir.into().0, path, mode.into()])
    }

    /// mknodat(2). The kind of file is in its mode.
    pub fn mknodat(&mut self, dir: impl Into<At>, path: Arg, mode: u32, device: u64) -> &mut Call {
        self.call(libc::SYS_mknodat, [dir.into().0, path, mode.into(), device.into()])
    }

    /// symlinkat(2).
    pub fn symlinkat(&mut self, target: Arg, dir: impl Into<At>, path: Arg) -> &mut Call {
        self.call(libc::SYS_symlinkat, [target, dir.into().0, path])
    }

    /// fchmod(2).
    pub fn fchmod(&mut self, file: Slot, mode: u32) -> &mut Call {
        self.call(libc::SYS_fchmod, [file.into(), mode.into()])
    }

    /// fchmodat(2), which follows links.
    pub fn fchmodat(&mut self, dir: impl Into<At>, path: Arg, mode: u32) -> &mut Call {
        self.call(libc::SYS_fchmodat, [dir.into().0, path, mode.into()])
    }

    /// fchown(2). An id of -1 stays as it is.
    pub fn fchown(&mut self, file: Slot, uid: u32, gid: u32) -> &mut Call {
        self.call(libc::SYS_fchown, [file.into(), uid.into(), gid.into()])
    }

    /// fchownat(2).
    pub fn fchownat(&mut self, dir: impl Into<At>, path: Arg, uid: u32, gid: u32, flags: AtFlags) -> &mut Call {
        self.call(libc::SYS_fchownat, [dir.into().0, path, uid.into(), gid.into(), flags.bits().into()])
    }

    /// fremovexattr(2).
    pub fn fremovexattr(&mut self, file: Slot, name: Arg) -> &mut Call {
        self.call(libc::SYS_fremovexattr, [file.into(), name])
    }

    /// open_tree(2).
    pub fn open_tree(&mut self, dir: impl Into<At>, path: Arg, flags: TreeFlags) -> &mut Call {
        self.call(libc::SYS_open_tree, [dir.into().0, path, flags.bits().into()])
    }

    /// move_mount(2).
    pub fn move_mount(&mut self, from: (impl Into<At>, Arg), to: (impl Into<At>, Arg), flags: MoveFlags) -> &mut Call {
        self.call(libc::SYS_move_mount, [from.0.into().0, from.1, to.0.into().0, to.1, flags.bits().into()])
    }

    /// fsopen(2), close-on-exec.
    pub fn fsopen(&mut self, kind: Arg) -> &mut Call {
        self.call(libc::SYS_fsopen, [kind, FSOPEN_CLOEXEC.into()])
    }

    /// fsconfig(2), FSCONFIG_SET_STRING.
    pub fn fsconfig_set_string(&mut self, context: Slot, key: Arg, value: Arg) -> &mut Call {
        self.call(libc::SYS_fsconfig, [context.into(), FSCONFIG_SET_STRING.into(), key, value, 0.into()])
    }

    /// fsconfig(2), FSCONFIG_CMD_CREATE.
    pub fn fsconfig_create(&mut self, context: Slot) -> &mut Call {
        self.call(libc::SYS_fsconfig, [context.into(), FSCONFIG_CMD_CREATE.into(), 0.into(), 0.into(), 0.into()])
    }

    /// fsmount(2), close-on-exec.
    pub fn fsmount(&mut self, context: Slot, attributes: MountAttributes) -> &mut Call {
        self.call(libc::SYS_fsmount, [context.into(), FSMOUNT_CLOEXEC.into(), attributes.bits().into()])
    }

    /// chdir(2).
    pub fn chdir(&mut self, path: Arg) -> &mut Call {
        self.call(libc::SYS_chdir, [path])
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::mount::{MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH};

    /// What is on the wire: the number of the call and its arguments, data by its offset.
    fn last(plan: &Plan<'_>) -> (i64, [u64; 6]) {
        let call = plan.calls.last().unwrap();
        let args = call.args.map(|arg| match arg {
            Arg::Number(number) => number,
            Arg::Data(offset) => 1000 + offset as u64,
            Arg::Slot(slot) => 2000 + u64::from(slot.0),
        });
        (i64::from(call.nr), args)
    }

    #[test]
    fn arguments_are_in_the_order_of_the_man_page() {
        let mut plan = Plan::new();
        let cwd = libc::AT_FDCWD as i64 as u64;
        let (a, b, slot) = (plan.string(c"a"), plan.string(c"b"), Slot(7));
        plan.move_mount((slot, a), (CWD, b), MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
        assert_eq!(last(&plan), (libc::SYS_move_mount, [2007, 1000, cwd, 1002, 0x44, 0]));
        plan.fsconfig_set_string(slot, a, b);
        assert_eq!(last(&plan), (libc::SYS_fsconfig, [2007, 1, 1000, 1002, 0, 0]));
        plan.symlinkat(a, CWD, b);
        assert_eq!(last(&plan), (libc::SYS_symlinkat, [1000, cwd, 1002, 0, 0, 0]));
        plan.prctl(Prctl::DeathSignal(libc::SIGKILL));
        assert_eq!(last(&plan), (libc::SYS_prctl, [1, 9, 0, 0, 0, 0]));
        plan.setgroups(&[]);
        assert_eq!(last(&plan), (libc::SYS_setgroups, [0; 6]));
        plan.openat2(slot, a, OFlag::O_PATH, ResolveFlag::RESOLVE_IN_ROOT);
        assert_eq!(last(&plan), (libc::SYS_openat2, [2007, 1000, 1008, 24, 0, 0]));
        let how = [libc::O_PATH as u64, 0, 0x10].map(u64::to_ne_bytes);
        assert_eq!(&plan.bytes_so_far()[8..], how.as_flattened());
    }
}
