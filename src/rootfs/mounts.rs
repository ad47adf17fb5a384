//! What the caller mounts into the container: directories and files of the host, and empty tmpfs. And the places that the
//! image itself asks for.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{OFlag, ResolveFlag};

use super::root::Source;
use super::scratch::{Parts, scratch};
use super::{Context, new_tmpfs, part_of_changes};
use crate::plan::{Plan, Slot, c_string, quote};
use crate::sys::has_openat2;
use crate::sys::mount::{
    AT_EMPTY_PATH, AT_RECURSIVE, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MOVE_MOUNT_F_EMPTY_PATH,
    MOVE_MOUNT_T_EMPTY_PATH, MountAttributes, OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE,
};
use crate::{Bind, Disk, Error, ErrorCode, ImageTree, Mount, Owner, Result, Scratch, Step, Tmpfs, Volume};

/// What the caller shares of the host's.
pub struct Shared {
    pub source: Source,
    pub directory: bool,
    /// Owner, group and mode as they are inside, of what is below a scratch mount.
    pub owner: (u32, u32, u32),
}

/// Mounts them below `root`. `sources` are those of binds, disks and scratch mounts, in order; `on_disk` says that changes go to the directory
/// that is mounted in the staging.
pub fn user_mounts(
    plan: &mut Plan<'_>,
    root: Slot,
    mounts: &[Mount],
    sources: &[Shared],
    on_disk: bool,
    context: Context<'_>,
) -> Result<()> {
    let mut sources = sources.iter();
    let mut scratches = ctr_wire::SCRATCHES;
    for (i, mount) in mounts.iter().enumerate() {
        match mount {
            Mount::Bind(Bind { target, read_only, .. }) | Mount::Volume(Volume { target, read_only, .. }) => {
                let Some(Shared { source, directory, .. }) = sources.next() else { continue };
                let at = quote(&target.to_string_lossy());
                let place = if *directory {
                    format!("mkdir -p $ROOT{at}")
                } else {
                    format!("mkdir -p \"$(dirname $ROOT{at})\" && touch $ROOT{at}")
                };
                let option = if *read_only { ",ro" } else { "" };
                plan.step(
                    Step::BindIntoContainer,
                    target.to_string_lossy().into_owned(),
                    match mount {
                        Mount::Volume(_) => "files that outlive the container; setuid programs and devices have no effect",
                        _ => "what the caller shares of the host's files; setuid programs and devices in it have no effect",
                    },
                    format!("{place} && mount --rbind -o nosuid,nodev{option} {} $ROOT{at}", source.typed()),
                );
                let slot = bound(plan, source, *read_only)?;
                mount_at(plan, root, target, slot, *directory)?;
            }
            Mount::Scratch(Scratch { target, .. }) => {
                let Some(Shared { source, owner, .. }) = sources.next() else { continue };
                let kept = plan.keep_in(scratches);
                scratches += 1;
                let parts = Parts { target, name: &place_of_changes(kept), owner: *owner, kept };
                let made = scratch(plan, source, &parts, on_disk, context)?;
                mount_at(plan, root, target, made, true)?;
            }
            Mount::Tmpfs(Tmpfs { target, size, mode }) => {
                let mode = mode.unwrap_or(0o1777);
                // What has no size of its own is a part of the tmpfs that has the changes.
                let part = format!("tmpfs{i}");
                let at = quote(&target.to_string_lossy());
                let mounted = match size {
                    Some(size) => format!("mount -t tmpfs -o nosuid,nodev,mode={mode:o},size={size} tmpfs $ROOT{at}"),
                    None => format!(
                        "mkdir $SCRATCH/{part} && chmod {mode:o} $SCRATCH/{part} && \
                         mount --bind -o nosuid,nodev $SCRATCH/{part} $ROOT{at}"
                    ),
                };
                plan.step(
                    Step::MountTmpfs,
                    target.to_string_lossy().into_owned(),
                    "an empty place that is gone with the container",
                    format!("mkdir -p $ROOT{at} && {mounted}"),
                );
                let slot = match size {
                    Some(size) => tmpfs(plan, [Some(*size), None], mode, context)?,
                    None => {
                        let (slot, attributes) = (plan.slot(), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
                        part_of_changes(plan, &c_string(Step::MountTmpfs, part)?, mode, attributes, slot);
                        slot
                    }
                };
                mount_at(plan, root, target, slot, true)?;
            }
            Mount::Disk(Disk { target, read_only, noexec, .. }) => {
                let Some(Shared { source, .. }) = sources.next() else { continue };
                let at = quote(&target.to_string_lossy());
                let options = [(*read_only, ",ro"), (*noexec, ",noexec")];
                let options: String = options.iter().filter(|(is_so, _)| *is_so).map(|(_, option)| *option).collect();
                plan.step(
                    Step::MountDiskAt,
                    target.to_string_lossy().into_owned(),
                    "where the disk is seen",
                    format!("mkdir -p $ROOT{at} && mount --bind -o nosuid,nodev{options} {} $ROOT{at}", source.typed()),
                );
                let slot = source.mount(plan)?;
                mount_at(plan, root, target, slot, true)?;
            }
            Mount::Image(_) => {}
        }
    }
    Ok(())
}

/// Tells of what is mounted when the container is there, by a helper. Where the root is read-only by then, it makes their places.
pub fn late_mounts(plan: &mut Plan<'_>, root: Slot, mounts: &[Mount], read_only: bool) -> Result<()> {
    for mount in mounts {
        let target = mount.target();
        let at = quote(&target.to_string_lossy());
        let option = if mount.is_read_only() { ",ro" } else { "" };
        let (why, command, directory) = match mount {
            Mount::Tmpfs(_) => ("an empty place", format!("mount -t tmpfs -o nosuid,nodev tmpfs $ROOT{at}"), true),
            Mount::Image(ImageTree { image, .. }) => {
                let image = quote(&image.to_string_lossy());
                let command =
                    format!("mount -t overlay -o ro,nosuid,nodev,lowerdir=$LAYERS_OF_{image} overlay $ROOT{at}");
                ("the files of an image, read-only and shared", command, true)
            }
            Mount::Scratch(Scratch { source, .. }) => {
                let source = quote(&source.to_string_lossy());
                let place = format!("$SCRATCH/late{at}");
                let command = format!(
                    "mkdir -p {place}/upper {place}/work && mount -t overlay -o nosuid,nodev,lowerdir={source},upperdir={place}/upper,\
                     workdir={place}/work,userxattr overlay $ROOT{at}"
                );
                ("the host's files below, which stay as they are; what the container changes above", command, true)
            }
            Mount::Disk(Disk { source, .. }) => {
                let source = quote(&source.to_string_lossy());
                ("the file system of a disk", format!("mount -o loop,nosuid,nodev{option} {source} $ROOT{at}"), true)
            }
            Mount::Volume(Volume { name, .. }) => {
                let command = format!("mount --rbind -o nosuid,nodev{option} $STORE/volumes/{} $ROOT{at}", quote(name));
                ("files that outlive the container", command, true)
            }
            Mount::Bind(Bind { source, from_container: Some(name), .. }) => {
                let source = quote(&source.to_string_lossy());
                let command = format!(
                    "# open_tree(2) of {source} in the mounts of container {name}, then move_mount(2), nosuid,nodev{option}, to $ROOT{at}"
                );
                ("what another container has there", command, true)
            }
            Mount::Bind(Bind { source, owner, .. }) => {
                let map = match owner {
                    Owner::Caller => "",
                    _ => ",X-mount.idmap=\"u:$OWNER:$UID_INSIDE:1 g:$GROUP:$GID_INSIDE:1\"",
                };
                let from = quote(&source.to_string_lossy());
                let command = format!("mount --rbind -o nosuid,nodev{option}{map} {from} $ROOT{at}");
                (
                    "what the caller shares of the host's files, whose owner is another one inside",
                    command,
                    source.is_dir(),
                )
            }
        };
        let step = if matches!(mount, Mount::Tmpfs(_)) { Step::MountTmpfs } else { Step::BindIntoContainer };
        plan.step(step, target.to_string_lossy().into_owned(), why, format!("mkdir -p $ROOT{at}; {command}"));
        let names = components(target)?;
        if read_only {
            let opened = open_at(plan, root, &names, directory);
            plan.close(opened);
        }
    }
    Ok(())
}

/// What the place of the changes of a scratch mount is called that is made with its container.
pub fn place_of_changes(kept: Slot) -> String {
    format!("scratch{}", kept.0)
}

/// A copy of the mounts of `source`, attached nowhere yet. What is mounted below it is as closed as it is itself.
pub(super) fn bound(plan: &mut Plan<'_>, source: &Source, read_only: bool) -> Result<Slot> {
    let slot = source.mount(plan)?;
    let read_only = if read_only { MOUNT_ATTR_RDONLY } else { MountAttributes::default() };
    let attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | read_only;
    plan.set_attributes(slot, c"", attributes, AT_EMPTY_PATH | AT_RECURSIVE);
    Ok(slot)
}

/// A new tmpfs, attached nowhere yet, of so many bytes and inodes; without a number the kernel takes half of the machine's memory.
pub(super) fn tmpfs(
    plan: &mut Plan<'_>,
    [size, inodes]: [Option<u64>; 2],
    mode: u32,
    context: Context<'_>,
) -> Result<Slot> {
    let text = |number: String| c_string(Step::MountTmpfs, number);
    let number = |number: Option<u64>| number.map(|number| text(number.to_string())).transpose();
    let (mode, size, inodes) = (text(format!("{mode:o}"))?, number(size)?, number(inodes)?);
    let given = [(c"size", size.as_deref()), (c"nr_inodes", inodes.as_deref())];
    let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let options: Vec<_> = [(c"mode", &*mode)].into_iter().chain(given).collect();
    let slot = plan.slot();
    new_tmpfs(plan, &options, context, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, slot);
    Ok(slot)
}

/// Makes the places that the image's configuration speaks of: where its programs start, and its volumes. A volume is a part
/// of the root: it has what the image has there, and is written to like the rest of it. Where the rest is read-only, a mount of
/// its own keeps it writable.
pub fn image_places(plan: &mut Plan<'_>, root: Slot, cwd: &Path, volumes: &[String], read_only: bool) -> Result<()> {
    let command = || "mkdir -p $ROOT{}".to_string();
    // One that can't be made may be there all the same, as in /proc; whoever starts a program learns that.
    if let Ok(names) = components(cwd) {
        let why = "where the image's programs start";
        plan.step(Step::MakeWorkingDirectory, cwd.to_string_lossy().into_owned(), why, command());
        let opened = open_at(plan, root, &names, true);
        plan.close(opened);
    }
    let refuse = |plan: &Plan<'_>, step: Step, place: &str| {
        if !plan.is_too_large() {
            return Ok(());
        }
        let why = "E2BIG, with it the places that the image asks for take more than 8 MiB of instructions";
        Err(Error::new(ErrorCode::BadImage, step, place, libc::E2BIG, why)
            .with_hint("an image of fewer volumes, or of shorter paths, works"))
    };
    refuse(plan, Step::MakeWorkingDirectory, &cwd.to_string_lossy())?;
    for volume in volumes {
        refuse(plan, Step::MakeVolume, volume)?;
        let why = "a place of the image's for data that stays writable";
        let bind = if read_only { " && mount --bind $ROOT{} $ROOT{}" } else { "" };
        plan.step(Step::MakeVolume, volume.clone(), why, command() + bind);
        let opened = open_at(plan, root, &components(volume.as_ref())?, true);
        if read_only {
            let (copy, empty) = (plan.slot(), plan.string(c""));
            let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH;
            plan.open_tree(opened, empty, flags).out(copy);
            attach_to(plan, copy, opened);
            plan.close(copy);
        }
        plan.close(opened);
    }
    Ok(())
}

/// Attaches `slot` at `target`, which is made where it is missing.
pub(super) fn mount_at(plan: &mut Plan<'_>, root: Slot, target: &Path, slot: Slot, directory: bool) -> Result<()> {
    let opened = open_at(plan, root, &components(target)?, directory);
    attach_to(plan, slot, opened);
    plan.close(opened);
    plan.close(slot);
    Ok(())
}

pub(super) fn attach_to(plan: &mut Plan<'_>, slot: Slot, place: Slot) {
    let empty = plan.string(c"");
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    plan.move_mount((slot, empty), (place, empty), flags);
}

/// Opens what `names` lead to, one below the other; what is missing is made, the last one as a file if it is to be no
/// directory. Links of the image on the way are resolved within the root (RESOLVE_IN_ROOT), so nothing outside it is ever
/// made or covered.
pub(super) fn open_at(plan: &mut Plan<'_>, root: Slot, names: &[PathBuf], directory: bool) -> Slot {
    let mut parent = root;
    let mut path = PathBuf::new();
    // Without openat2 each directory is opened in the one above, and a link is none: ENOTDIR.
    let by_name = !has_openat2();
    for (i, name) in names.iter().enumerate() {
        let name_in_plan = plan.bytes(name.as_os_str().as_bytes());
        if directory || i + 1 < names.len() {
            plan.mkdirat(parent, name_in_plan, 0o755).ok(libc::EEXIST).ok(libc::EROFS);
        } else {
            let mode = libc::S_IFREG | 0o644;
            plan.mknodat(parent, name_in_plan, mode, 0).ok(libc::EEXIST).ok(libc::EROFS);
        }
        path.push(name);
        let opened = plan.slot();
        if by_name {
            let only = if directory || i + 1 < names.len() { OFlag::O_DIRECTORY } else { OFlag::empty() };
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | only;
            plan.openat(parent, name_in_plan, flags).out(opened);
        } else {
            let in_plan = plan.bytes(path.as_os_str().as_bytes());
            let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
            plan.openat2(root, in_plan, OFlag::O_PATH | OFlag::O_CLOEXEC, resolve).out(opened);
        }
        if parent != root {
            plan.close(parent);
        }
        parent = opened;
    }
    parent
}

/// The names that a mount's target is made of.
pub(super) fn components(target: &Path) -> Result<Vec<PathBuf>> {
    let bad = |why: &str| Error::invalid(Step::MountAt, target.display(), why);
    c_string(Step::MountAt, target.as_os_str().as_bytes())?;
    if !target.is_absolute() {
        return Err(bad("the place must be an absolute path inside the container"));
    }
    let mut names = Vec::new();
    for component in target.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => names.push(PathBuf::from(name)),
            _ => return Err(bad("the place must not contain ..")),
        }
    }
    let first = names.first().ok_or_else(|| bad("the root is the image's; choose a directory below it"))?;
    if ["proc", "sys"].iter().any(|kernel| first.as_os_str() == *kernel) {
        return Err(bad("nothing can be mounted into /proc or /sys"));
    }
    Ok(names)
}
