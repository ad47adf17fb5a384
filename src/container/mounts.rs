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

use nix::sched::CloneFlags;

use super::blueprint::{Bind, inodes_of_changes, size_of_changes};
use super::disks::Made;
use super::given::{Given, HANDED, Layers, Tree};
use super::ids::Ids;
use super::mounted::{self, again, check, looked, pipe};
use super::shared::Shared;
use super::state::Resource;
use super::unmapped;
use super::within::Within;
use crate::helper::{Helper, add_hint};
use crate::plan::{Fd, Plan};
use crate::rootfs::{self, Context, Detached, DiskOwners, Looked, Source, place_of};
use crate::security::labels;
use crate::{Error, ErrorCode, Limit, Mount, Result, Step, zygote};

/// Mounts something at a place inside.
pub fn mount(container: &Shared, mount: &Mount) -> Result<()> {
    mount_as(container, mount, true)
}

/// The same for a mount that a container was made with, when it is there.
pub fn mount_new(container: &Shared, mount: &Mount) -> Result<()> {
    mount_as(container, mount, false)
}

fn mount_as(container: &Shared, mount: &Mount, live: bool) -> Result<()> {
    let target = checked(container, mount.target())?;
    mount.check()?;
    let given = Given::open(container, mount, &target)?;
    if let Given::Image(layers) = &given {
        layers.keep(container)?;
    }
    let outcome = attach(container, mount, &target, &given, live);
    if let (Err(_), Given::Disk(disk)) = (&outcome, given) {
        disk.give_back(container);
    }
    outcome
}

/// Attaches it there.
fn attach(container: &Shared, mount: &Mount, target: &Path, given: &Given, live: bool) -> Result<()> {
    again(|| {
        let (helper, plan, number) = prepare(container, mount, target, given)?;
        let resource = Resource::Mount { number, mount: mount.at(target), live };
        let attached = container.acquire(resource.clone(), || helper.run(&plan, &[]).map_err(add_hint));
        if attached.is_err() {
            // The answer may be lost, and the mount there. Where it can't be taken off, it stays on record.
            _ = mounted::take_off(container, number, target, true).and_then(|_| container.strike_off(resource));
        }
        attached.map(drop)
    })
}

/// The place, where something can be mounted into this container at all.
pub fn checked(container: &Shared, target: &Path) -> Result<PathBuf> {
    check(container)?;
    place_of(target)
}

/// Has a helper make what is to be mounted and find its place. What then attaches it, and the number of the mount.
fn prepare<'a>(container: &Shared, mount: &Mount, target: &Path, given: &Given) -> Result<(Helper, Plan<'a>, u64)> {
    let config = &container.record.config;
    let mut within = Within::open(container, &["mnt"])?;
    within.check_own(container, "mnt")?;
    let zygote = zygote::current()?;
    let ranges = Ids::are_a_range(&zygote, &config.namespaces.user);
    let has_own_mounts = match given {
        Given::Host(_) => !ranges,
        Given::Image(_) => true,
        Given::Empty | Given::Tree(_) | Given::Disk(_) => false,
    };
    let mut start = within.start(if has_own_mounts { CloneFlags::CLONE_NEWNS } else { CloneFlags::empty() });
    let to_map = match given {
        Given::Host(Bind { path, fd, mapped, .. }) if ranges => Some((path, fd, *mapped)),
        Given::Tree(Tree { path, fd, mapped: Some(mapped), .. }) => Some((path, fd, *mapped)),
        Given::Image(Layers { base, fd, mapped, .. }) if ranges => Some((base, fd, *mapped)),
        _ => None,
    };
    if let Some((path, fd, mapped)) = to_map {
        let sent = start.setup.send(Fd::Borrowed(fd.as_fd()));
        let (parent, handed) = &mut start.parent;
        match given {
            Given::Tree(_) => rootfs::idmap_tree(parent, path, sent, HANDED, mapped),
            _ => rootfs::idmap(parent, path, sent, HANDED, mapped),
        }
        *handed = 1;
    }
    if let Given::Disk(Made { mount, source, .. }) = given {
        let sent = start.setup.send(Fd::Borrowed(mount.as_fd()));
        let (parent, handed) = &mut start.parent;
        let owners = DiskOwners::of(ranges, source.read_only);
        rootfs::hand_over_disk(parent, &source.path, [sent, HANDED], owners, |_, _| String::new());
        *handed = 1;
    }
    let helper = start.start_in(&zygote).map_err(unmapped::blame)?;

    let mut plan = Plan::new();
    let (mut looks, theirs) = pipe(Step::MountAt, target)?;
    let theirs = plan.send(Fd::Owned(theirs));
    let labels = labels::Chosen::of(config)?;
    let context = Context(labels.mounts.as_deref());
    let read_only = mount.is_read_only();
    let source = |path: &PathBuf| match to_map {
        Some(_) => Source::Handed(HANDED, path.clone()),
        None => Source::Path(path.clone()),
    };
    // What lies in the caller's mounts is copied before the helper leaves them.
    let made = match (mount, given) {
        (_, Given::Host(Bind { path, directory, .. })) => {
            let source = source(path).copied(&mut plan)?;
            within.enter(&mut plan);
            Detached::bind(&mut plan, target, &source, read_only, *directory)?
        }
        (_, Given::Image(Layers { base, names, .. })) => {
            let layers = rootfs::Layers { base: source(base), names: names.clone(), upper: None, root: None };
            let made = Detached::image(&mut plan, target, &layers, context)?;
            within.enter(&mut plan);
            made
        }
        (_, Given::Tree(Tree { path, fd, directory, mapped })) => {
            let slot = match mapped {
                Some(_) => HANDED,
                None => {
                    let fd = fd.try_clone().map_err(|e| Error::io(Step::BindIntoContainer, target.display(), &e))?;
                    plan.send(Fd::Owned(fd))
                }
            };
            within.enter(&mut plan);
            Detached::bind(&mut plan, target, &Source::Handed(slot, path.clone()), read_only, *directory)?
        }
        (_, Given::Disk(_)) => {
            within.enter(&mut plan);
            Detached::disk(&mut plan, target, HANDED)
        }
        (Mount::Tmpfs(tmpfs), Given::Empty) => {
            let size = tmpfs.size.map_or_else(|| size_without_one(container), |size| Ok([Some(size), None]))?;
            within.enter(&mut plan);
            Detached::tmpfs(&mut plan, target, size, tmpfs.mode, context)?
        }
        (_, Given::Empty) => return Err(Error::invalid(Step::MountInto, target.display(), "nothing is to be mounted")),
    };
    let live = made.find_place(&mut plan, target, theirs)?;
    helper.run(&plan, &[]).map_err(add_hint)?;
    let mut attach = Plan::new();
    live.attach(&mut attach, target);
    drop(plan);
    let place = looked(&mut looks, Step::MountAt, target)?;
    let made = looked(&mut looks, Step::MountAt, target)?;
    check_place(container, target, &place)?;
    Ok((helper, attach, made.mount))
}

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
