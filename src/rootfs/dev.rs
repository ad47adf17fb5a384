//! /dev: a small tmpfs with the six devices that programs can't do without, each a bind mount of the host's (a user
//! namespace can't make device nodes), terminals, shared memory, message queues, and the usual links.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{Shape, attach, clone_tree, new_mount};
use crate::init::wire::TERMINALS;
use crate::plan::{Plan, Slot};
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID};

const DEVICES: [(&CStr, &CStr); 6] = [
    (c"null", c"/dev/null"),
    (c"zero", c"/dev/zero"),
    (c"full", c"/dev/full"),
    (c"random", c"/dev/random"),
    (c"urandom", c"/dev/urandom"),
    (c"tty", c"/dev/tty"),
];

const LINKS: [(&CStr, &CStr); 5] = [
    (c"fd", c"/proc/self/fd"),
    (c"stdin", c"/proc/self/fd/0"),
    (c"stdout", c"/proc/self/fd/1"),
    (c"stderr", c"/proc/self/fd/2"),
    (c"ptmx", c"pts/ptmx"),
];

/// Puts a /dev together in the scratch, from where it is moved into the root. Its slot; its devpts stays open in PID 1, in
/// slot TERMINALS.
pub fn dev(plan: &mut Plan<'_>, shape: &Shape, scratch: Slot) -> Slot {
    plan.step("take from the host", "/dev", "the devices that every program may use", "");
    let sources = DEVICES.map(|(_, path)| {
        let slot = plan.slot();
        clone_tree(plan, path, false, slot);
        slot
    });
    // A host without message queues has no mqueue to share.
    let shared = [(c"shm", c"/dev/shm"), (c"mqueue", c"/dev/mqueue")]
        .into_iter()
        .filter(|(_, path)| shape.host_ipc && Path::new(OsStr::from_bytes(path.to_bytes())).exists())
        .map(|(name, path)| {
            let slot = plan.slot();
            clone_tree(plan, path, true, slot);
            (name, path, slot)
        })
        .collect::<Vec<_>>();
    let dev = plan.kept_slot();
    plan.step("make a tmpfs for", "/dev", "devices of its own", "mount -t tmpfs -o nosuid,mode=755 tmpfs $ROOT{}");
    new_mount(plan, c"tmpfs", &[(c"mode", c"755"), (c"size", c"64m")], MOUNT_ATTR_NOSUID, dev);
    directory(plan, scratch, c"dev");
    let at = plan.string(c"dev");
    attach(plan, dev, scratch.into(), at);
    for ((name, path), source) in DEVICES.into_iter().zip(sources) {
        plan.step(
            "bind",
            path.to_string_lossy(),
            "a user namespace can't mknod, so the host's node is bound",
            "touch $ROOT{} && mount --bind {} $ROOT{}",
        );
        let name = plan.string(name);
        plan.call(libc::SYS_mknodat, [dev.into(), name, (libc::S_IFREG | 0o666).into(), 0.into()]);
        attach(plan, source, dev.into(), name);
        plan.close(source);
    }
    plan.step(
        "link",
        "/dev/fd",
        "the standard links",
        "ln -s /proc/self/fd $ROOT/dev/fd; for i in 0 1 2; do ln -s /proc/self/fd/$i $ROOT/dev/$(echo stdin stdout stderr \
         | cut -d' ' -f$((i + 1))); done; ln -s pts/ptmx $ROOT/dev/ptmx",
    );
    for (name, target) in LINKS {
        let (name, target) = (plan.string(name), plan.string(target));
        plan.call(libc::SYS_symlinkat, [target, dev.into(), name]);
    }
    let pts = plan.keep_in(TERMINALS);
    plan.step(
        "make a devpts for",
        "/dev/pts",
        "terminals of its own",
        "mkdir $ROOT{} && mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts $ROOT{}",
    );
    // Every mount of devpts is a new instance since Linux 4.7.
    let mut options = vec![(c"ptmxmode", c"0666"), (c"mode", c"0620")];
    if shape.many_ids {
        options.push((c"gid", c"5"));
    }
    directory(plan, dev, c"pts");
    new_mount(plan, c"devpts", &options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, pts);
    let at = plan.string(c"pts");
    attach(plan, pts, dev.into(), at);
    for (name, path, slot) in shared {
        let path = path.to_string_lossy();
        plan.step("share the host's", path, "the IPC namespace is the host's", "mount --rbind {} $ROOT{}");
        directory(plan, dev, name);
        let at = plan.string(name);
        attach(plan, slot, dev.into(), at);
        plan.close(slot);
    }
    let attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    if !shape.host_ipc {
        let slot = plan.slot();
        plan.step(
            "make a tmpfs for",
            "/dev/shm",
            "POSIX shared memory of its own, shm_overview(7)",
            "mkdir $ROOT{} && mount -t tmpfs -o nosuid,nodev,noexec,mode=1777,size=64m shm $ROOT{}",
        );
        directory(plan, dev, c"shm");
        new_mount(plan, c"tmpfs", &[(c"mode", c"1777"), (c"size", c"64m")], attributes, slot);
        let at = plan.string(c"shm");
        attach(plan, slot, dev.into(), at);
        plan.close(slot);
    }
    // Only the owner of an IPC namespace can mount its queues, so not who joins another container's.
    if shape.own_ipc {
        plan.step(
            "make a mqueue for",
            "/dev/mqueue",
            "message queues of its own, mq_overview(7)",
            "mkdir $ROOT{} && mount -t mqueue -o nosuid,nodev,noexec mqueue $ROOT{}",
        );
        directory(plan, dev, c"mqueue");
        let slot = plan.slot();
        new_mount(plan, c"mqueue", &[], attributes, slot);
        let at = plan.string(c"mqueue");
        attach(plan, slot, dev.into(), at);
        plan.close(slot);
    }
    dev
}

fn directory(plan: &mut Plan<'_>, dir: Slot, name: &CStr) {
    let name = plan.string(name);
    plan.call(libc::SYS_mkdirat, [dir.into(), name, 0o755.into()]);
}
