//! Mounts into a container that runs; [`mounted`] takes them off again. PID 1 can't mount any more, behind Landlock and seccomp; a
//! helper in the container's namespaces can.
//!
//! Where ids are mapped to a range, the zygote makes the copy of what is bound, and id-maps it, as it does when a container is
//! made: that takes rights over the file system. Everybody else's helper makes it: it begins with a copy of the caller's mounts
//! that belongs to the container's user namespace, since open_tree(2) copies mounts of one's own mount namespace only, and only
//! for who has CAP_SYS_ADMIN over that (`may_mount` and `check_mnt` of fs/namespace.c). Then it enters the container's mount
//! namespace, where move_mount(2) attaches whatever is attached nowhere.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use ctr_wire::RESULTS;
use nix::sched::CloneFlags;

use super::blueprint::{Bind, inodes_of_changes, size_of_changes};
use super::disks::{self, Made};
use super::ids::{Ids, Inside};
use super::mounted::{self, again, check, looked, pipe};
use super::shared::Shared;
use super::state::Resource;
use super::unmapped;
use super::volumes;
use super::within::Within;
use crate::helper::{Helper, add_hint};
use crate::image::Id;
use crate::plan::{Fd, Plan, Slot};
use crate::rootfs::{self, Context, Detached, DiskOwners, Looked, Source, place_of};
use crate::security::labels;
use crate::{Error, ErrorCode, Limit, Mount, Result, Step, Volume, zygote};

/// Mounts something at a place inside.
pub fn mount(container: &Shared, mount: &Mount) -> Result<()> {
    let target = checked(container, mount.target())?;
    mount.check()?;
    let bind = source(container, mount)?;
    let disk = disks::open(mount).transpose()?;
    let disk = disk.map(|source| Made::new(container, source, &target)).transpose()?;
    let outcome = attach(container, mount, &target, bind.as_ref(), disk.as_ref());
    if let (Err(_), Some(disk)) = (&outcome, disk) {
        disk.give_back(container);
    }
    outcome
}

/// Attaches it there.
fn attach(container: &Shared, mount: &Mount, target: &Path, bind: Option<&Bind>, disk: Option<&Made>) -> Result<()> {
    again(|| {
        let (helper, plan, resource) = prepare(container, mount, target, bind, disk)?;
        let attached = container.acquire(resource.clone(), || helper.run(&plan, &[]).map_err(add_hint));
        if let (Err(_), Resource::Mount { number, .. }) = (&attached, &resource) {
            // The answer may be lost, and the mount there. Where it can't be taken off, it stays on record.
            _ = mounted::take_off(container, *number, target, true).and_then(|_| container.strike_off(resource));
        }
        attached.map(drop)
    })
}

/// What is bound; `None` for a mount that binds nothing. A volume is taken into use.
fn source(container: &Shared, mount: &Mount) -> Result<Option<Bind>> {
    let Some(volume) = mount.volume() else { return Bind::open(mount).transpose() };
    let store = volumes::store_of(container)?;
    let Some(state) = &container.state else {
        return Err(Error::invalid(Step::UseVolume, &volume.name, "this container is on no record"));
    };
    let shifted = Inside::of(container.pid)?.map(Id::User(ctr_wire::SHARED_RANGE)) == Some(0);
    let is_a_range = Ids::are_a_range(&*zygote::current()?, &container.record.config.namespaces.user);
    if is_a_range && !shifted && volumes::are_shifted(&store, std::slice::from_ref(mount))? {
        let why = "its file system can't be id-mapped, and this container was made with ids of its own";
        let error = Error::new(ErrorCode::Unsupported, Step::UseVolume, &volume.name, libc::EOPNOTSUPP, why);
        return Err(error.with_hint("have it among the mounts that the container is made with"));
    }
    let trees = volumes::trees_of(&container.record)?;
    let begun = volumes::begin(&store, state, volume, &trees, shifted, &mut |_| true)?;
    Bind::of_volume(begun, shifted).map(Some)
}

/// The place, where something can be mounted into this container at all.
pub fn checked(container: &Shared, target: &Path) -> Result<PathBuf> {
    check(container)?;
    place_of(target)
}

/// Has a helper make what is to be mounted and find its place. What then attaches it, and what goes on record before that.
fn prepare<'a>(
    container: &Shared,
    mount: &Mount,
    target: &Path,
    bind: Option<&Bind>,
    disk: Option<&Made>,
) -> Result<(Helper, Plan<'a>, Resource)> {
    let config = &container.record.config;
    let mut within = Within::open(container, &["mnt"])?;
    within.check_own(container, "mnt")?;
    let zygote = zygote::current()?;
    let mapped = bind.filter(|_| Ids::are_a_range(&zygote, &config.namespaces.user));
    let unmapped = bind.filter(|_| mapped.is_none());
    let new = if unmapped.is_some() { CloneFlags::CLONE_NEWNS } else { CloneFlags::empty() };
    let mut start = within.start(new);
    if let Some(Bind { path, fd, mapped, .. }) = mapped {
        let sent = start.setup.send(Fd::Borrowed(fd.as_fd()));
        let (parent, handed) = &mut start.parent;
        rootfs::idmap(parent, path, sent, HANDED, *mapped);
        *handed = 1;
    }
    if let Some(Made { mount, source, .. }) = disk {
        let sent = start.setup.send(Fd::Borrowed(mount.as_fd()));
        let (parent, handed) = &mut start.parent;
        let owners = DiskOwners::of(Ids::are_a_range(&zygote, &config.namespaces.user), source.read_only);
        rootfs::hand_over_disk(parent, &source.path, [sent, HANDED], owners, |_, _| String::new());
        *handed = 1;
    }
    let helper = start.start_in(&zygote).map_err(unmapped::blame)?;

    let mut plan = Plan::new();
    let (mut looks, theirs) = pipe(Step::MountAt, target)?;
    let theirs = plan.send(Fd::Owned(theirs));
    let source = match (mapped, bind) {
        (Some(bind), _) => Some((Source::Handed(HANDED, bind.path.clone()), bind.directory)),
        (None, Some(bind)) => Some((Source::Path(bind.path.clone()).copied(&mut plan)?, bind.directory)),
        (None, None) => None,
    };
    within.enter(&mut plan);
    let made = match (mount, source) {
        (
            Mount::Bind(crate::Bind { read_only, .. }) | Mount::Volume(Volume { read_only, .. }),
            Some((source, directory)),
        ) => Detached::bind(&mut plan, target, &source, *read_only, directory)?,
        (Mount::Tmpfs(tmpfs), _) => {
            let size = tmpfs.size.map_or_else(|| size_without_one(container), |size| Ok([Some(size), None]))?;
            let labels = labels::Chosen::of(config)?;
            Detached::tmpfs(&mut plan, target, size, tmpfs.mode, Context(labels.mounts.as_deref()))?
        }
        (Mount::Disk(_), _) => Detached::disk(&mut plan, target, HANDED),
        (Mount::Bind(_) | Mount::Volume(_), None) => {
            return Err(Error::invalid(Step::BindSource, target.display(), "it is not open"));
        }
    };
    let live = made.find_place(&mut plan, target, theirs)?;
    helper.run(&plan, &[]).map_err(add_hint)?;
    let mut attach = Plan::new();
    live.attach(&mut attach, target);
    drop(plan);
    let place = looked(&mut looks, Step::MountAt, target)?;
    let made = looked(&mut looks, Step::MountAt, target)?;
    check_place(container, target, &place)?;
    Ok((helper, attach, Resource::Mount { number: made.mount, mount: mount.at(target), live: true }))
}

/// Where the zygote hands over what it has id-mapped.
const HANDED: Slot = Slot(RESULTS as u8);

/// Refuses a place that links inside have made another one than it seems, and one that is in use.
fn check_place(container: &Shared, target: &Path, place: &Looked) -> Result<()> {
    if place.is_kernels {
        let why = "links inside the container lead into its /proc or /sys, where nothing can be mounted";
        return Err(Error::invalid(Step::MountAt, target.display(), why));
    }
    let is_there = |resource: Resource| match resource {
        Resource::Mount { number: 0, mount, .. } => mount.target() == target,
        Resource::Mount { number, .. } => number == place.mount,
        _ => false,
    };
    let in_use = place.is_root && container.resources()?.into_iter().any(is_there);
    if !in_use {
        return Ok(());
    }
    let why = "EBUSY, something that was asked for is mounted there already";
    Err(Error::new(ErrorCode::System, Step::MountAt, target.display(), libc::EBUSY, why)
        .with_hint("unmount that first, or choose another place"))
}

/// As many bytes and inodes as the container may change in memory; `None` leaves it to the kernel.
fn size_without_one(container: &Shared) -> Result<[Option<u64>; 2]> {
    let config = &container.record.config;
    let memory = container.maybe_cgroup()?.map_or(Ok(None), |cgroup| cgroup.limit(Limit::Memory))?;
    let size = size_of_changes(config.upper_size, memory);
    Ok([size, inodes_of_changes(config.upper_inodes, size)])
}
