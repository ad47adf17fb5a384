//! What a container sees as its file system: the root, /proc, /dev, /sys, /tmp, and what the caller mounts into it.
//!
//! It comes in two parts. [`stem`] makes what is the same for every container of a shape, before anybody says what the
//! image is (so a spare PID 1 can have it ready); the functions of [`root`] make the image's root, put the parts into
//! it and pivot. All by descriptor: no path inside the image is ever followed.
//!
//! Sources: mount_namespaces(7), pivot_root(2), the kernel's Documentation/filesystems/overlayfs.rst and
//! sharedsubtree.rst.

mod dev;
mod mounts;
mod root;

pub use root::{FIRST_FURNITURE, Layers, Root, Source, furnish, idmap, make, pivot};

use crate::plan::{Arg, Plan, Slot};
use crate::sys::mount::{
    FSCONFIG_CMD_CREATE, FSCONFIG_SET_STRING, FSMOUNT_CLOEXEC, FSOPEN_CLOEXEC, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MOVE_MOUNT_F_EMPTY_PATH, OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE,
};

pub use mounts::user_mounts;

/// What decides the look of a stem.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The user namespace is a new one, so mounts of the host come as slaves, and kernel file systems need namespaces of the
    /// same owner.
    pub own_user: bool,
    /// More than one id is mapped.
    pub many_ids: bool,
    /// The PID namespace is not the host's.
    pub own_pid: bool,
    /// The network namespace is a new one.
    pub own_net: bool,
    /// The IPC namespace is a new one.
    pub own_ipc: bool,
    /// The IPC namespace is the host's.
    pub host_ipc: bool,
}

/// The parts that a stem leaves ready.
#[derive(Clone, Copy)]
pub struct Parts {
    /// The private tmpfs in which things are put together: the root itself of an image that is the host, what holds an
    /// overlay's upper directory. /dev stands ready in it.
    scratch: Slot,
    /// The container's procfs, attached nowhere yet.
    pub proc: Slot,
    /// Its sysfs, likewise.
    pub sys: Slot,
    dev: Slot,
}

/// Where things are put together: a directory that surely exists and has neither images nor anything to bind below it. The
/// mount on it is in the new mount namespace only.
const SCRATCH: &std::ffi::CStr = c"/sys/kernel";

/// Appends the steps that every container of this shape begins with.
pub fn stem(plan: &mut Plan<'_>, shape: &Shape) -> Parts {
    if !shape.own_user {
        let root = plan.string(c"/");
        plan.step("make private", "/", "what is mounted here must not spread to the host", "mount --make-rslave /");
        plan.call(libc::SYS_mount, [0.into(), root, 0.into(), (libc::MS_REC | libc::MS_SLAVE).into()]);
    }
    let proc = plan.kept_slot();
    if shape.own_pid {
        plan.step(
            "make a proc for",
            "/proc",
            "a process sees the processes of its own PID namespace only",
            "mount -t proc -o nosuid,nodev,noexec proc $ROOT{}",
        );
        new_mount(plan, c"proc", &[], MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, proc);
    } else {
        plan.step("share the host's", "/proc", "the PID namespace is the host's", "mount --rbind {} $ROOT{}");
        clone_tree(plan, c"/proc", true, proc);
    }
    let sys = plan.kept_slot();
    let read_only = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    if shape.own_net || !shape.own_user {
        plan.step(
            "make a sysfs for",
            "/sys",
            "devices can be looked at, not changed",
            "mount -t sysfs -o ro,nosuid,nodev,noexec sysfs $ROOT{}",
        );
        new_mount(plan, c"sysfs", &[], read_only, sys);
    } else {
        plan.step(
            "share the host's",
            "/sys",
            "the network namespace is not ours, so no sysfs of our own",
            "mount --rbind -o ro {} $ROOT{}",
        );
        clone_tree(plan, c"/sys", true, sys);
        set_attributes(plan, sys, read_only, true);
    }
    let scratch = plan.kept_slot();
    plan.step(
        "make a tmpfs for",
        "changes",
        "what the container writes is gone with it, by the kernel's own doing",
        "mount -t tmpfs -o mode=755 tmpfs $SCRATCH",
    );
    let place = plan.string(SCRATCH);
    new_mount(plan, c"tmpfs", &[(c"mode", c"755")], 0, scratch);
    attach(plan, scratch, libc::AT_FDCWD.into(), place);
    let dev = dev::dev(plan, shape, scratch);
    Parts { scratch, proc, sys, dev }
}

/// fsopen, fsconfig, fsmount: a new file system, attached nowhere yet, into `slot`.
pub(crate) fn new_mount(
    plan: &mut Plan<'_>,
    kind: &std::ffi::CStr,
    options: &[(&std::ffi::CStr, &std::ffi::CStr)],
    attributes: u64,
    slot: Slot,
) {
    let context = plan.slot();
    let name = plan.string(kind);
    plan.call(libc::SYS_fsopen, [name, FSOPEN_CLOEXEC.into()]).out(context);
    for (key, value) in options {
        let (key, value) = (plan.string(key), plan.string(value));
        plan.call(libc::SYS_fsconfig, [context.into(), FSCONFIG_SET_STRING.into(), key, value, 0.into()]);
    }
    plan.call(libc::SYS_fsconfig, [context.into(), FSCONFIG_CMD_CREATE.into(), 0.into(), 0.into(), 0.into()]);
    plan.call(libc::SYS_fsmount, [context.into(), FSMOUNT_CLOEXEC.into(), attributes.into()]).out(slot);
    plan.close(context);
}

/// open_tree: a copy of what is mounted at `path`, attached nowhere yet, into `slot`.
pub(crate) fn clone_tree(plan: &mut Plan<'_>, path: &std::ffi::CStr, recursive: bool, slot: Slot) {
    let path = plan.string(path);
    let recursive = if recursive { crate::sys::mount::AT_RECURSIVE } else { 0 };
    let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive;
    plan.call(libc::SYS_open_tree, [libc::AT_FDCWD.into(), path, flags.into()]).out(slot);
}

/// move_mount: attaches the mount in `slot` at `path` below `dir`. A symlink there is not followed.
pub(crate) fn attach(plan: &mut Plan<'_>, slot: Slot, dir: Arg, path: Arg) {
    let empty = plan.string(c"");
    plan.call(libc::SYS_move_mount, [slot.into(), empty, dir, path, MOVE_MOUNT_F_EMPTY_PATH.into()]);
}

/// mount_setattr: sets attributes of the mount in `slot`, and of those below it.
pub(crate) fn set_attributes(plan: &mut Plan<'_>, slot: Slot, attributes: u64, recursive: bool) {
    let attr = plan.data(&mount_attr(attributes), 8);
    let empty = plan.string(c"");
    let recursive = if recursive { crate::sys::mount::AT_RECURSIVE } else { 0 };
    let flags = crate::sys::mount::AT_EMPTY_PATH | recursive;
    plan.call(libc::SYS_mount_setattr, [slot.into(), empty, flags.into(), attr, 32.into()]);
}

/// struct mount_attr of mount_setattr(2): attr_set, attr_clr, propagation, userns_fd. Private always: a copy of a shared
/// mount is a peer of it, and what is mounted on the one shows on the other. systemd makes every mount of a host shared.
fn mount_attr(attributes: u64) -> [u8; 32] {
    let mut attr = [0; 32];
    attr[..8].copy_from_slice(&attributes.to_ne_bytes());
    attr[16..24].copy_from_slice(&libc::MS_PRIVATE.to_ne_bytes());
    attr
}
