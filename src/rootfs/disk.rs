//! The file system of a disk, which the caller has mounted, attached nowhere yet, and hands over.

use std::path::Path;

use ctr_wire as wire;

use super::root::mapped;
use crate::Step;
use crate::plan::{Plan, Slot};
use crate::sys::mount::AT_EMPTY_PATH;

/// Whose files they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskOwners {
    /// The machine's, as they stand on the disk.
    Same,
    /// Root's belong to the container's root.
    Mapped,
    /// Likewise, where the kernel can map this file system: what is only read does without.
    MappedIfPossible,
}

impl DiskOwners {
    /// Of one that is only read or not, where ids can be mapped or can't.
    pub fn of(can_map: bool, read_only: bool) -> Self {
        match (can_map, read_only) {
            (false, _) => Self::Same,
            (true, true) => Self::MappedIfPossible,
            (true, false) => Self::Mapped,
        }
    }
}

/// The zygote's part of handing it over: `sent` is the mount, `handed` the slot from which it goes on. What a person types for it is
/// made of where they have it, and options of mount(8) for the map.
pub fn hand_over_disk(
    parent: &mut Plan<'_>,
    source: &Path,
    [sent, handed]: [Slot; 2],
    owners: DiskOwners,
    command: impl FnOnce(&str, &str) -> String,
) {
    let place = mapped(handed);
    let map = if owners == DiskOwners::Same { "" } else { ",X-mount.idmap=/proc/$PID/ns/user" };
    parent.step(
        Step::IdMapDisk,
        source.to_string_lossy().into_owned(),
        "the file system of a disk; set-user-ID programs and devices on it have no effect",
        format!("mkdir {place} && {}", command(&place, map)),
    );
    parent.dupfd_cloexec(sent, 0).out(handed);
    if owners == DiskOwners::Same {
        return;
    }
    let empty = parent.string(c"");
    // EPERM: it has its map already, from when programs inside kept it from being attached.
    let map = parent.set_id_map(handed, empty, Slot(wire::USER_NAMESPACE as u8), AT_EMPTY_PATH).ok(libc::EPERM);
    if owners == DiskOwners::MappedIfPossible {
        map.ok(libc::EINVAL);
    }
}
