//! /dev: a directory of the staging tree with the six devices that programs can't do without, each a bind mount of the host's (a user
//! namespace can't make device nodes), terminals, shared memory, message queues, and the usual links.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ctr_wire::TERMINALS;
use nix::fcntl::OFlag;

use super::DEV;
use super::shape::Shape;
use crate::Step;
use crate::plan::{CWD, Plan};
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID};

/// On the host, and in the staging tree.
const DEVICES: [(&CStr, &CStr); 6] = [
    (c"/dev/null", c"dev/null"),
    (c"/dev/zero", c"dev/zero"),
    (c"/dev/full", c"dev/full"),
    (c"/dev/random", c"dev/random"),
    (c"/dev/urandom", c"dev/urandom"),
    (c"/dev/tty", c"dev/tty"),
];

const LINKS: [(&CStr, &CStr); 5] = [
    (c"dev/fd", c"/proc/self/fd"),
    (c"dev/stdin", c"/proc/self/fd/0"),
    (c"dev/stdout", c"/proc/self/fd/1"),
    (c"dev/stderr", c"/proc/self/fd/2"),
    (c"dev/ptmx", c"pts/ptmx"),
];

/// Puts a /dev together in the staging tree, from where it is moved into the root. Its devpts stays open in PID 1, in slot
/// TERMINALS.
pub fn dev(plan: &mut Plan<'_>, shape: &Shape<'_>) {
    plan.step(
        Step::BindDev,
        "/dev",
        "devices of its own, in the tmpfs that has the changes",
        "mkdir -p $SCRATCH/dev $ROOT{} && mount --bind -o nosuid $SCRATCH/dev $ROOT{}",
    );
    plan.mkdir(DEV, 0o755);
    plan.bind(DEV, DEV, false);
    plan.set_attributes_below(DEV, MOUNT_ATTR_NOSUID);
    for (path, place) in DEVICES {
        plan.step(
            Step::BindDevice,
            path.to_string_lossy(),
            "a user namespace can't mknod, so the host's node is bound",
            "touch $ROOT{} && mount --bind {} $ROOT{}",
        );
        plan.touch(place, 0o666);
        plan.bind(path, place, false);
    }
    plan.step(
        Step::LinkDevFd,
        "/dev/fd",
        "the standard links",
        "ln -s /proc/self/fd $ROOT/dev/fd; for i in 0 1 2; do ln -s /proc/self/fd/$i $ROOT/dev/$(echo stdin stdout stderr \
         | cut -d' ' -f$((i + 1))); done; ln -s pts/ptmx $ROOT/dev/ptmx",
    );
    for (name, target) in LINKS {
        let (name, target) = (plan.string(name), plan.string(target));
        plan.symlinkat(target, CWD, name);
    }
    plan.step(
        Step::MakeDevpts,
        "/dev/pts",
        "terminals of its own, and not all that the machine has",
        "mkdir $ROOT{} && mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,max=256 devpts $ROOT{}",
    );
    plan.mkdir(c"dev/pts", 0o755);
    // Every mount of devpts is a new instance since Linux 4.7. The terminals of all instances are counted together against
    // kernel.pty.max (4096, of which 1024 are kept for the first instance), so each has a `max` of its own.
    let options =
        if shape.has_tty { c"ptmxmode=0666,mode=0620,max=256,gid=5" } else { c"ptmxmode=0666,mode=0620,max=256" };
    plan.mount(c"devpts", c"dev/pts", libc::MS_NOSUID | libc::MS_NOEXEC, &shape.context.with(options));
    let pts = plan.keep_in(TERMINALS);
    let place = plan.string(c"dev/pts");
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    plan.openat(CWD, place, flags).out(pts);
    if shape.host_ipc {
        share_ipc(plan);
        return;
    }
    plan.step(
        Step::BindShm,
        "/dev/shm",
        "POSIX shared memory of its own, shm_overview(7)",
        "mkdir -m 1777 $ROOT{} && mount --bind -o nosuid,nodev,noexec $ROOT{} $ROOT{}",
    );
    plan.mkdir(c"dev/shm", 0o1777);
    plan.bind(c"dev/shm", c"dev/shm", false);
    plan.set_attributes_below(c"dev/shm", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    // Only the owner of an IPC namespace can mount its queues, so not who joins another container's.
    if shape.own_ipc {
        plan.step(
            Step::MakeMqueue,
            "/dev/mqueue",
            "message queues of its own, mq_overview(7)",
            "mkdir $ROOT{} && mount -t mqueue -o nosuid,nodev,noexec mqueue $ROOT{}",
        );
        plan.mkdir(c"dev/mqueue", 0o755);
        plan.mount(c"mqueue", c"dev/mqueue", libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC, c"");
    }
}

fn share_ipc(plan: &mut Plan<'_>) {
    for (path, place) in [(c"/dev/shm", c"dev/shm"), (c"/dev/mqueue", c"dev/mqueue")] {
        // A host without message queues has no mqueue to share.
        if !Path::new(OsStr::from_bytes(path.to_bytes())).exists() {
            continue;
        }
        let name = path.to_string_lossy();
        plan.step(
            Step::ShareFromHost,
            name,
            "the IPC namespace is the host's",
            "mkdir $ROOT{} && mount --rbind {} $ROOT{}",
        );
        plan.mkdir(place, 0o755);
        plan.bind(path, place, true);
    }
}
