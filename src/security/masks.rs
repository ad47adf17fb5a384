//! Parts of /proc and /sys that a container must not read, or must not write: docker's lists (moby/moby,
//! daemon/pkg/oci/defaults.go), and the steps that cover them.
//!
//! Where the container has a user namespace of its own the kernel refuses most of this already, for the files belong to the
//! host's root: here the masks are a second wall. Without one they are the only wall.
//!
//! Covers are cloned from a tmpfs that is made here, by descriptor, and put on a procfs and a sysfs that we made: nothing
//! of the image takes part (CVE-2019-16884, CVE-2025-31133).

use std::borrow::Cow;
use std::fs;
use std::io::ErrorKind;
use std::sync::OnceLock;

use crate::plan::{Arg, Call, Plan, Slot};
use crate::sys::mount::{
    AT_EMPTY_PATH, AT_RECURSIVE, FSCONFIG_CMD_CREATE, FSCONFIG_SET_STRING, FSMOUNT_CLOEXEC, FSOPEN_CLOEXEC,
    MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MOVE_MOUNT_F_EMPTY_PATH,
    OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE,
};
use crate::{Error, Result};

/// What tells a container about the machine or other containers; nothing is to be seen there.
const MASKED: [&str; 13] = [
    "/proc/acpi",
    "/proc/asound",
    // When keys are typed on the host, and how much is sent, can be told from these counters.
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    // Power draw tells secrets of what else runs (CVE-2020-8694).
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    // Not docker's but podman's: which policy protects the host is none of the container's business.
    "/sys/fs/selinux",
];

/// What changes the machine when it is written to.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// A place in /proc or /sys that this kernel has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    path: Cow<'static, str>,
    directory: bool,
}

/// The places that this kernel has of those that are covered: masked ones, and ones that are made read-only.
pub(crate) fn places() -> Result<&'static (Vec<Place>, Vec<Place>)> {
    static PLACES: OnceLock<(Vec<Place>, Vec<Place>)> = OnceLock::new();
    match PLACES.get() {
        Some(places) => Ok(places),
        None => look().map(|places| PLACES.get_or_init(|| places)),
    }
}

/// What can't be looked at may be there, and would then stand open: so that is an error.
fn look() -> Result<(Vec<Place>, Vec<Place>)> {
    let mut masked = Vec::new();
    for path in MASKED {
        masked.extend(Place::at(Cow::Borrowed(path))?);
    }
    for cpu in 0.. {
        let Some(Place { path, .. }) = Place::at(format!("/sys/devices/system/cpu/cpu{cpu}").into())? else { break };
        masked.extend(Place::at(Cow::Owned(path.into_owned() + "/thermal_throttle"))?);
    }
    let mut read_only = Vec::new();
    for path in READ_ONLY {
        read_only.extend(Place::at(Cow::Borrowed(path))?);
    }
    Ok((masked, read_only))
}

/// Attaches `proc` and `sys` (Linux before 6.15 lets nothing be mounted on, or cloned from, a mount that is attached
/// nowhere) on top of the host's in the container's mount namespace, and covers the places on them. They are moved into the
/// root later with what is on them; the covers' own file system stays behind and is gone with the old root.
pub(crate) fn cover(plan: &mut Plan<'_>, proc: Slot, sys: Slot, places: &(Vec<Place>, Vec<Place>)) {
    let (masked, read_only) = places;
    let (empty, file, directory) = (plan.string(c""), plan.string(c"file"), plan.string(c"directory"));
    plan.step("make a cover", "", "an empty file and an empty directory, of our own making", "");
    let cover = plan.slot();
    tmpfs(plan, cover);
    for (slot, path) in [(cover, c"/proc"), (proc, c"/proc"), (sys, c"/sys")] {
        let path = plan.string(path);
        let flags = MOVE_MOUNT_F_EMPTY_PATH;
        plan.call(libc::SYS_move_mount, [slot.into(), empty, libc::AT_FDCWD.into(), path, flags.into()]);
    }
    plan.call(libc::SYS_mknodat, [cover.into(), file, (libc::S_IFREG | 0o444).into(), 0.into()]);
    plan.call(libc::SYS_mkdirat, [cover.into(), directory, 0o555.into()]);
    // Clones have the attributes of what they are cloned from.
    set_attributes(plan, cover, false);
    for place in masked {
        plan.step(
            "mask",
            place.path.clone(),
            "it tells about the machine and about other containers",
            if place.directory { "mount -t tmpfs -o ro tmpfs $ROOT{}" } else { "mount --bind /dev/null $ROOT{}" },
        );
        let of = if place.directory { directory } else { file };
        put(plan, (cover.into(), of), place.on(proc, sys), false);
    }
    plan.close(cover);
    for place in read_only {
        plan.step(
            "make read-only",
            place.path.clone(),
            "writing there changes the machine",
            "mount --rbind $ROOT{} $ROOT{} && mount -o remount,bind,ro $ROOT{}",
        );
        let (mount, below) = place.on(proc, sys);
        let name = plan.bytes(below);
        put(plan, (mount.into(), name), (mount, below), true);
    }
}

impl Place {
    fn at(path: Cow<'static, str>) -> Result<Option<Self>> {
        match fs::symlink_metadata(&*path) {
            Ok(metadata) => Ok(Some(Self { directory: metadata.is_dir(), path })),
            // Where we may not look, a container of ours may not either.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => Ok(None),
            Err(e) => Err(Error::io("look at", path, &e)),
        }
    }

    /// The mount that has it, and its path below that.
    fn on(&self, proc: Slot, sys: Slot) -> (Slot, &str) {
        match self.path.strip_prefix("/proc/") {
            Some(below) => (proc, below),
            None => (sys, self.path.strip_prefix("/sys/").unwrap_or(&self.path)),
        }
    }
}

/// A clone of the mount at `source` is attached at `target`, made read-only first where it `is_writable`. A target that is
/// missing is none to be covered: the container's procfs and sysfs show less than the host's where its namespaces are its
/// own.
fn put(plan: &mut Plan<'_>, source: (Arg, Arg), target: (Slot, &str), is_writable: bool) {
    let slot = plan.slot();
    let recursive = if is_writable { AT_RECURSIVE } else { 0 };
    let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive;
    let missing = libc::ENOENT;
    plan.call(libc::SYS_open_tree, [source.0, source.1, flags.into()]).out(slot).ok(missing);
    if is_writable {
        set_attributes(plan, slot, true).ok(libc::EBADF);
    }
    let (empty, path) = (plan.string(c""), plan.bytes(target.1));
    let flags = MOVE_MOUNT_F_EMPTY_PATH;
    plan.call(libc::SYS_move_mount, [slot.into(), empty, target.0.into(), path, flags.into()])
        .ok(missing)
        .ok(libc::EBADF);
    plan.close(slot);
}

/// mount_setattr: nothing can be written, run or gained by the mount in `slot`.
fn set_attributes<'p>(plan: &'p mut Plan<'_>, slot: Slot, recursive: bool) -> &'p mut Call {
    let attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    let attr = plan.data([attributes, 0, 0, 0].map(u64::to_ne_bytes).as_flattened(), 8);
    let empty = plan.string(c"");
    let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    plan.call(libc::SYS_mount_setattr, [slot.into(), empty, flags.into(), attr, 32.into()])
}

fn tmpfs(plan: &mut Plan<'_>, slot: Slot) {
    let context = plan.slot();
    let name = plan.string(c"tmpfs");
    plan.call(libc::SYS_fsopen, [name, FSOPEN_CLOEXEC.into()]).out(context);
    for (key, value) in [(c"mode", c"555"), (c"size", c"4k"), (c"nr_inodes", c"8")] {
        let (key, value) = (plan.string(key), plan.string(value));
        plan.call(libc::SYS_fsconfig, [context.into(), FSCONFIG_SET_STRING.into(), key, value, 0.into()]);
    }
    plan.call(libc::SYS_fsconfig, [context.into(), FSCONFIG_CMD_CREATE.into(), 0.into(), 0.into(), 0.into()]);
    plan.call(libc::SYS_fsmount, [context.into(), FSMOUNT_CLOEXEC.into(), 0.into()]).out(slot);
    plan.close(context);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_this_kernel_is_covered_by_name() {
        let (masked, read_only) = look();
        for path in MASKED {
            let there = Path::new(path).symlink_metadata().is_ok();
            assert_eq!(masked.iter().any(|place| place.path == path), there, "{path}");
        }
        assert!(read_only.iter().any(|place| place.path == "/proc/sys" && place.directory));
        assert!(masked.iter().all(|place| place.directory == Path::new(&*place.path).is_dir()));
        let mut plan = Plan::new();
        cover(&mut plan, Slot(40), Slot(41), places().unwrap());
        let covered: Vec<_> = plan.steps().iter().map(|step| step.object.to_string()).collect();
        for place in masked.iter().chain(&read_only) {
            assert!(covered.contains(&place.path.to_string()), "{} in {covered:?}", place.path);
        }
    }

    #[test]
    fn a_place_is_found_on_the_mount_that_has_it() {
        let place = |path: &'static str| Place { path: path.into(), directory: false };
        assert_eq!(place("/proc/kcore").on(Slot(1), Slot(2)), (Slot(1), "kcore"));
        assert_eq!(place("/sys/firmware").on(Slot(1), Slot(2)), (Slot(2), "firmware"));
    }
}
