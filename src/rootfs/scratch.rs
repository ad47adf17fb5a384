//! A directory of the host as copy-on-write: an overlay with that directory below, and a place of the container's own above, in the
//! tmpfs of its changes or in the directory of its changes on disk. Kernel: Documentation/filesystems/overlayfs.rst, which says of
//! changes below an overlay that is mounted: undefined, but no crash and no deadlock. What is read after such a change is
//! the old or the new file, and never another one, as each is looked up by name when it is used first.
//!
//! Directories are not redirected when they are renamed (rename(2) answers EXDEV, as for mv(1) between file systems), so a place of
//! changes says itself what is in it.

use std::path::Path;

use nix::fcntl::{AtFlags, OFlag};
use nix::mount::MsFlags;

use super::root::Source;
use super::{Context, STAGING, UPPER, attach};
use crate::plan::{CWD, Plan, Slot, c_string, quote};
use crate::sys::mount::{OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE};
use crate::{Result, Step};

/// The file in a place of changes in which the host notes what it has applied.
const NOTES: &str = "applied";

/// What a scratch mount is made of.
pub struct Parts<'a> {
    /// Where it is inside.
    pub target: &'a Path,
    /// What the place of its changes is called: one component.
    pub name: &'a str,
    /// Owner, group and mode of its root, as they are inside.
    pub owner: (u32, u32, u32),
    /// The slot that keeps the place.
    pub kept: Slot,
}

/// Makes it in the staging of a container that is being made: attached nowhere else yet. The place of its changes is in the tmpfs of the
/// staging, or in the directory on disk that is mounted there.
pub fn scratch(
    plan: &mut Plan<'_>,
    source: &Source,
    parts: &Parts<'_>,
    on_disk: bool,
    context: Context<'_>,
) -> Result<Slot> {
    let at = quote(&parts.target.to_string_lossy());
    let place = format!("$SCRATCH/{}", parts.name);
    let mode = parts.owner.2;
    plan.step(
        Step::MountScratch,
        parts.target.to_string_lossy().into_owned(),
        "the host's files below, which stay as they are; what the container changes above, gone with it",
        format!(
            "mkdir -p $ROOT{at} {place}/upper {place}/work && chmod {mode:o} {place}/upper && mount -t overlay -o nosuid,nodev,\
             lowerdir={},upperdir={place}/upper,workdir={place}/work,userxattr overlay $ROOT{at}",
            source.typed()
        ),
    );
    let lower = source.mount(plan)?;
    overlay(plan, lower, parts, on_disk, context)
}

/// The same for a container that runs, in a mount namespace of the helper's own: attached nowhere yet. `size` and inodes are those of
/// the tmpfs that it makes for the changes, `disk` is the directory that has them where they go to disk.
pub fn scratch_alone(
    plan: &mut Plan<'_>,
    source: &Source,
    parts: &Parts<'_>,
    [size, inodes]: [Option<u64>; 2],
    disk: Option<&Source>,
    context: Context<'_>,
) -> Result<Slot> {
    plan.step(Step::MountScratch, parts.target.to_string_lossy().into_owned(), "", "");
    plan.propagate(c"/", MsFlags::MS_SLAVE);
    let lower = source.mount(plan)?;
    let disk = disk.map(|disk| disk.mount(plan)).transpose()?;
    let given = [("size", size), ("nr_inodes", inodes)].into_iter().filter_map(|(name, value)| Some((name, value?)));
    let options = given.fold("mode=755".to_string(), |options, (name, value)| format!("{options},{name}={value}"));
    plan.mount(c"tmpfs", STAGING, 0, &context.with(&c_string(Step::MountScratch, options)?));
    let staging = plan.string(STAGING);
    plan.chdir(staging);
    if let Some(disk) = disk {
        plan.mkdir(UPPER, 0o755);
        let at = plan.string(UPPER);
        attach(plan, disk, CWD, at);
        plan.close(disk);
    }
    overlay(plan, lower, parts, disk.is_some(), context)
}

/// The overlay, attached nowhere but in the staging, which is unmounted with the rest of it.
fn overlay(plan: &mut Plan<'_>, lower: Slot, parts: &Parts<'_>, on_disk: bool, context: Context<'_>) -> Result<Slot> {
    let place = if on_disk { format!("{}/{}", UPPER.to_string_lossy(), parts.name) } else { parts.name.to_string() };
    let path = |name: &str| c_string(Step::MountScratch, format!("{place}/{name}"));
    let [below, above, work, root] = ["lower", "upper", "work", "root"].map(path);
    let (below, above, work, root) = (below?, above?, work?, root?);
    // On disk they may be there from an attempt before.
    plan.mkdir(&c_string(Step::MountScratch, place.as_str())?, 0o755).ok(libc::EEXIST);
    // When `lower` was made is when the mount was: nobody inside can reach it.
    for name in [&below, &above, &work, &root] {
        plan.mkdir(name, 0o755).ok(libc::EEXIST);
    }
    // The host can't make a file in a tmpfs that belongs to another user namespace, EOVERFLOW; it can write to one.
    let notes = plan.bytes(format!("{place}/{NOTES}"));
    plan.mknodat(CWD, notes, libc::S_IFREG | 0o600, 0).ok(libc::EEXIST);
    let (uid, gid, mode) = parts.owner;
    let (at, name) = (plan.string(&below), plan.string(&above));
    // An id that there isn't inside stays root's.
    plan.fchownat(CWD, name, uid, gid, AtFlags::empty()).ok(libc::EINVAL).ok(libc::EPERM);
    plan.fchmodat(CWD, name, mode);
    attach(plan, lower, CWD, at);
    plan.close(lower);
    let options = format!("lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work,userxattr");
    let options = c_string(Step::MountScratch, options)?;
    plan.mount(c"overlay", &root, libc::MS_NOSUID | libc::MS_NODEV, &context.with(&options));
    let (made, at) = (plan.slot(), plan.string(&root));
    plan.open_tree(CWD, at, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC).out(made);
    let place = plan.bytes(&place);
    plan.openat(CWD, place, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC).out(parts.kept);
    Ok(made)
}
