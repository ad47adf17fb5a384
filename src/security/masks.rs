//! Parts of /proc and /sys that a container must not read, or must not write: docker's lists (moby/moby,
//! daemon/pkg/oci/defaults.go), and the steps that cover them.
//!
//! Where the container has a user namespace of its own the kernel refuses most of this already, for the files belong to the
//! host's root: here the masks are a second wall. Without one they are the only wall.
//!
//! Covers are an empty file and an empty directory that are made here, and they are put on a procfs and a sysfs that we
//! made, in the staging tree where they stand ready: nothing of the image takes part (CVE-2019-16884, CVE-2025-31133).

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::fs;
use std::io::ErrorKind;
use std::sync::OnceLock;

use crate::plan::Plan;
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MountAttributes};
use crate::{Error, Result, Step};

/// In the staging tree of `rootfs`.
const COVER: &CStr = c"cover";
const COVER_FILE: &CStr = c"cover/file";
const COVER_DIRECTORY: &CStr = c"cover/directory";

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
const READ_ONLY: [&str; 6] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    // Not docker's: who writes there has the kernel watch the whole machine for it.
    "/proc/pressure",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// A place in /proc or /sys that this kernel has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    path: Cow<'static, str>,
    /// Its path from the staging tree on, where /proc and /sys stand ready.
    staged: CString,
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

/// Covers the places on the `proc` and `sys` of the working directory. They are moved into the root later with what is on
/// them; the covers themselves stay behind and are gone with the old root.
pub(crate) fn cover(plan: &mut Plan<'_>, places: &(Vec<Place>, Vec<Place>)) {
    const CLOSED: MountAttributes =
        MOUNT_ATTR_RDONLY.union(MOUNT_ATTR_NOSUID).union(MOUNT_ATTR_NODEV).union(MOUNT_ATTR_NOEXEC);
    let (masked, read_only) = places;
    plan.step(Step::MakeCover, "", "an empty file and an empty directory, of our own making", "");
    plan.mkdir(COVER, 0o755);
    plan.touch(COVER_FILE, 0o444);
    plan.mkdir(COVER_DIRECTORY, 0o555);
    // What is bound has the attributes of the mount that it is bound from.
    plan.bind(COVER, COVER, false);
    plan.set_attributes_below(COVER, CLOSED);
    for place in masked {
        plan.step(
            Step::Mask,
            place.path.clone(),
            "it tells about the machine and about other containers",
            if place.directory { "mount -t tmpfs -o ro tmpfs $ROOT{}" } else { "mount --bind /dev/null $ROOT{}" },
        );
        let cover = if place.directory { COVER_DIRECTORY } else { COVER_FILE };
        // A place that is missing is none to be covered: the container's procfs and sysfs show less than the host's where
        // its namespaces are its own.
        plan.bind(cover, &place.staged, false).ok(libc::ENOENT);
    }
    for place in read_only {
        plan.step(
            Step::MakePathReadOnly,
            place.path.clone(),
            "writing there changes the machine",
            "mount --rbind $ROOT{} $ROOT{} && mount -o remount,bind,ro $ROOT{}",
        );
        let at = &place.staged;
        plan.bind(at, at, true).ok(libc::ENOENT);
        plan.set_attributes_below(at, CLOSED).ok(libc::ENOENT);
    }
}

impl Place {
    fn at(path: Cow<'static, str>) -> Result<Option<Self>> {
        match fs::symlink_metadata(&*path) {
            Ok(metadata) => {
                let staged = CString::new(path.trim_start_matches('/')).unwrap_or_default();
                Ok(Some(Self { directory: metadata.is_dir(), path, staged }))
            }
            // Where we may not look, a container of ours may not either.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => Ok(None),
            Err(e) => Err(Error::io(Step::LookAt, path, &e)),
        }
    }

    /// Its path inside.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_place_of_this_kernel_is_covered_by_name() {
        let (masked, read_only) = look().unwrap();
        for path in MASKED {
            let there = Path::new(path).symlink_metadata().is_ok();
            assert_eq!(masked.iter().any(|place| place.path == path), there, "{path}");
        }
        assert!(read_only.iter().any(|place| place.path == "/proc/sys" && place.directory));
        assert!(masked.iter().all(|place| place.directory == Path::new(&*place.path).is_dir()));
        let mut plan = Plan::new();
        cover(&mut plan, places().unwrap());
        let covered: Vec<_> = plan.steps().iter().map(|step| step.object.to_string()).collect();
        for place in masked.iter().chain(&read_only) {
            assert!(covered.contains(&place.path.to_string()), "{} in {covered:?}", place.path);
        }
    }
}
