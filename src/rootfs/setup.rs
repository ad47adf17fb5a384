//! What is the same for every container of a shape: the staging tree, with its /proc, /sys and /dev.

use std::ffi::CString;

use ctr_wire as wire;
use nix::fcntl::OFlag;
use nix::mount::MsFlags;

use super::shape::Shape;
use super::{LOWER, PROC, ROOT, STAGING, SYS, UPPER, WORK, dev, etc};
use crate::Step;
use crate::plan::{CWD, Plan, Shell, Slot};
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};

/// Appends the steps that every container of this shape begins with. The slots of files for [`etc_files`](super::etc::etc_files).
pub fn setup(plan: &mut Plan<'_>, shape: &Shape<'_>) -> [Option<Slot>; 2] {
    if !shape.own_user {
        plan.step(
            Step::MakeMountsPrivate,
            "/",
            "what is mounted here must not spread to the host",
            "mount --make-rslave /",
        );
        plan.propagate(c"/", MsFlags::MS_SLAVE);
    }
    if let Some(context) = shape.context.0 {
        let context = context.to_string_lossy().into_owned();
        let command = format!("# mount -o context='\"{context}\"' for each tmpfs, devpts and overlay");
        plan.step(
            Step::LabelMounts,
            "its mounts",
            "files of its own have the SELinux context that its programs may use",
            command,
        );
    }
    // A full tmpfs answers ENOSPC, which programs know; a full memory limit kills them, and every one that comes to clean up.
    let options = shape.tmpfs_options();
    let command = match &options {
        Some(options) => {
            let options = options.clone();
            Shell::later(move || format!("mount -t tmpfs -o {options} tmpfs $SCRATCH"))
        }
        None => "mount -t tmpfs -o mode=755 tmpfs $SCRATCH".into(),
    };
    let why = "what the container writes is gone with it, by the kernel's own doing";
    plan.step(Step::MakeTmpfs, "changes", why, command);
    let options = options.map(|options| CString::new(options).unwrap_or_default());
    plan.mount(c"tmpfs", STAGING, 0, &shape.context.with(options.as_deref().unwrap_or(c"mode=755")));
    let staging = plan.string(STAGING);
    plan.chdir(staging);
    for name in [ROOT, LOWER, UPPER, WORK, PROC, SYS] {
        plan.mkdir(name, 0o755);
    }
    let closed = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    if shape.own_pid {
        plan.step(
            Step::MakeProc,
            "/proc",
            "a process sees the processes of its own PID namespace only",
            "mkdir -p $ROOT{} && mount -t proc -o nosuid,nodev,noexec proc $ROOT{}",
        );
        plan.mount(c"proc", PROC, closed, c"");
    } else {
        plan.step(
            Step::ShareProc,
            "/proc",
            "the PID namespace is the host's",
            "mkdir -p $ROOT{} && mount --rbind {} $ROOT{}",
        );
        plan.bind(c"/proc", PROC, true);
    }
    let (kept, at) = (plan.keep_in(wire::PROC), plan.string(PROC));
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    plan.openat(CWD, at, flags).out(kept);
    if shape.own_net || !shape.own_user {
        plan.step(
            Step::MakeSysfs,
            "/sys",
            "devices can be looked at, not changed",
            "mkdir -p $ROOT{} && mount -t sysfs -o ro,nosuid,nodev,noexec sysfs $ROOT{}",
        );
        plan.mount(c"sysfs", SYS, closed | libc::MS_RDONLY, c"");
    } else {
        plan.step(
            Step::ShareSysfs,
            "/sys",
            "the network namespace is not ours, so no sysfs of our own",
            "mkdir -p $ROOT{} && mount --rbind -o ro {} $ROOT{}",
        );
        plan.bind(c"/sys", SYS, true);
        let read_only = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
        plan.set_attributes_below(SYS, read_only);
    }
    dev::dev(plan, shape);
    shape.etc_files.map_or([None; 2], |files| etc::setup(plan, files))
}
