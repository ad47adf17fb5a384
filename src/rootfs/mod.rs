//! What a container sees as its file system: the root, /proc, /dev, /sys, /tmp, and what the caller mounts into it.
//!
//! It comes in two parts. [`setup()`] makes what is the same for every container of a shape, before anybody says what the
//! image is (so a spare PID 1 can have it ready), in a staging tree: a private tmpfs that is the working directory until the
//! pivot. The functions of [`root`] make the image's root, put the parts into it and pivot. The staging tree has nothing in it
//! but what we made, so there mount(2) takes paths, one call where the newer interface takes five; what is the image's is
//! reached by descriptor, and no path inside it is ever followed.
//!
//! Sources: mount_namespaces(7), pivot_root(2), the kernel's Documentation/filesystems/overlayfs.rst and
//! sharedsubtree.rst.

mod dev;
mod disk;
mod etc;
mod live;
mod looked;
mod mounts;
mod nodes;
mod root;
mod scratch;
mod setup;
mod shape;

pub use disk::{DiskOwners, hand_over_disk};
pub use etc::{Absent, ETC_FILES, EtcFiles, etc_files};
pub use live::{Detached, Lying, open_root, place_of};
pub use looked::{FileStat, Looked, look};
pub use mounts::{Shared, image_places, late_mounts, place_of_changes, user_mounts};
pub use nodes::{Node, make_nodes, nodes};
pub use root::{Layers, Mapped, Root, Source, attach_changes, furnish, idmap, idmap_tree, make, pivot};
pub use scratch::{Parts, scratch_alone};
pub use setup::setup;
pub use shape::Shape;

use std::borrow::Cow;
use std::ffi::{CStr, CString};

use crate::plan::{Arg, At, CWD, Plan, Slot};
use crate::sys::mount::{AT_EMPTY_PATH, MOVE_MOUNT_F_EMPTY_PATH, MountAttributes, OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE};

/// The SELinux context of the files of mounts that a container makes for itself, where it has one; see mount(8).
#[derive(Clone, Copy, Debug)]
pub struct Context<'a>(pub Option<&'a CStr>);

impl Context<'_> {
    /// These options of mount(2), and it.
    fn with<'o>(self, options: &'o CStr) -> Cow<'o, CStr> {
        let Some(context) = self.0 else { return Cow::Borrowed(options) };
        let quoted = [options.to_bytes(), b",context=\"", context.to_bytes(), b"\""].concat();
        Cow::Owned(CString::new(quoted).unwrap_or_default())
    }
}

/// Where the staging tree is mounted: a directory that surely exists and has neither images nor anything to bind below it. The
/// mount on it is in the new mount namespace only.
const STAGING: &CStr = c"/sys/kernel";
/// What the staging tree has: the parts that a setup leaves ready ...
const PROC: &CStr = c"proc";
const SYS: &CStr = c"sys";
const DEV: &CStr = c"dev";
/// ... room for a /tmp where the root can't be written to ...
const TMP: &CStr = c"tmp";
/// ... and room for the root, for an overlay's lower layers, changes and work.
const ROOT: &CStr = c"root";
const LOWER: &CStr = c"lower";
const UPPER: &CStr = c"upper";
const WORK: &CStr = c"work";

/// fsopen, fsconfig, fsmount: a new tmpfs with these attributes, attached nowhere yet, into `slot`.
fn new_tmpfs(
    plan: &mut Plan<'_>,
    options: &[(&CStr, &CStr)],
    context: Context<'_>,
    attributes: MountAttributes,
    slot: Slot,
) {
    let made = plan.slot();
    let name = plan.string(c"tmpfs");
    plan.fsopen(name).out(made);
    let context = context.0.map(|context| (c"context", context));
    for (key, value) in options.iter().copied().chain(context) {
        let (key, value) = (plan.string(key), plan.string(value));
        plan.fsconfig_set_string(made, key, value);
    }
    plan.fsconfig_create(made);
    plan.fsmount(made, attributes).out(slot);
    plan.close(made);
}

/// A new directory of the staging tree as a mount of its own, attached nowhere yet, into `slot`: it is a part of the tmpfs that
/// has the changes, so one size holds for all of it.
fn part_of_changes(plan: &mut Plan<'_>, name: &CStr, mode: u32, attributes: MountAttributes, slot: Slot) {
    plan.mkdir(name, mode & 0o1777);
    let at = plan.string(name);
    if mode & 0o6000 != 0 {
        plan.fchmodat(CWD, at, mode); // mkdir(2) passes these bits over.
    }
    plan.open_tree(CWD, at, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC).out(slot);
    plan.set_attributes(slot, c"", attributes, AT_EMPTY_PATH);
}

/// move_mount: attaches the mount in `slot` at `path` below `dir`. A symlink there is not followed.
fn attach(plan: &mut Plan<'_>, slot: Slot, dir: impl Into<At>, path: Arg) {
    let empty = plan.string(c"");
    plan.move_mount((slot, empty), (dir, path), MOVE_MOUNT_F_EMPTY_PATH);
}
