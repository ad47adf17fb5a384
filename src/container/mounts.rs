//! Mounts into a container that runs; [`mounted`] takes them off again. PID 1 can't mount any more, behind Landlock and seccomp; a
//! helper in the container's namespaces can.
//!
//! Where ids are mapped to a range, the zygote makes the copy of what is bound, and id-maps it, as it does when a container is
//! made: that takes rights over the file system. Everybody else's helper makes it: it begins with a copy of the caller's mounts
//! that belongs to the container's user namespace, since open_tree(2) copies mounts of one's own mount namespace only, and only
//! for who has CAP_SYS_ADMIN over that (`may_mount` and `check_mnt` of fs/namespace.c). Then it enters the container's mount
//! namespace, where move_mount(2) attaches whatever is attached nowhere.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;

use super::blueprint::{Bind, open_path};
use super::changes::size_without_one;
use super::disks::Made;
use super::given::{ALSO_HANDED, Given, HANDED, Layers, Tree};
use super::ids::Ids;
use super::mounted::{self, again, check, looked, pipe};
use super::scratches;
use super::shared::Shared;
use super::state::Resource;
use super::unmapped;
use super::within::Within;
use crate::helper::{Helper, add_hint};
use crate::plan::{Fd, Plan};
use crate::rootfs::{self, Context, Detached, DiskOwners, Looked, Mapped, Source, place_of};
use crate::security::labels;
use crate::{Error, ErrorCode, Mount, Result, Step, zygote};

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
    match given {
        Given::Disk(disk) if outcome.is_err() => disk.give_back(container),
        Given::Scratch(_, scratch) if outcome.is_err() => _ = scratches::forget(container, scratch),
        _ => {}
    }
    outcome
}

/// Attaches it there.
fn attach(container: &Shared, mount: &Mount, target: &Path, given: &Given, live: bool) -> Result<()> {
    again(|| {
        let Prepared { helper, plan, number, changes } = prepare(container, mount, target, given)?;
        if let (Given::Scratch(_, scratch), Some(changes)) = (given, changes) {
            scratches::hand_over(container, scratch, &changes)?;
        }
        let resource = Resource::Mount { number, mount: mount.at(target), live };
        let attached = container.acquire(resource.clone(), || helper.run(&plan, &[]).map_err(add_hint));
        if attached.is_err() {
            // The answer may be lost, and the mount there. Where it can't be taken off, it stays on record.
            _ = mounted::take_off(container, number, target, true).and_then(|_| container.strike_off(resource));
        }
        attached.map(drop)
    })
}

/// What is ready to be mounted, but for its attaching.
struct Prepared<'a> {
    helper: Helper,
    /// What attaches it.
    plan: Plan<'a>,
    /// The number of the mount.
    number: u64,
    /// The place of the changes of a scratch mount.
    changes: Option<OwnedFd>,
}

/// The place, where something can be mounted into this container at all.
pub fn checked(container: &Shared, target: &Path) -> Result<PathBuf> {
    check(container)?;
    place_of(target)
}

/// A helper that is about to enter a container's mount namespace.
pub(super) struct Begun<'a> {
    pub helper: Helper,
    pub within: Within,
    pub plan: Plan<'a>,
    /// What it has of the host's until then. Of a scratch mount the second one is the directory of its changes, where these go to disk.
    pub sources: [Option<Source>; 2],
}

/// Starts it. It gets what is to be mounted.
pub(super) fn begin<'a>(container: &Shared, given: &Given) -> Result<Begun<'a>> {
    let config = &container.record.config;
    let mut within = Within::open(container, &["mnt"])?;
    within.check_own(container, "mnt")?;
    let zygote = zygote::current()?;
    let ranges = Ids::are_a_range(&zygote, &config.namespaces.user);
    let has_own_mounts = match given {
        Given::Host(_) => !ranges,
        Given::Image(_) | Given::Scratch(..) => true,
        Given::Empty | Given::Tree(_) | Given::Disk(_) => false,
    };
    let mut start = within.start(if has_own_mounts { CloneFlags::CLONE_NEWNS } else { CloneFlags::empty() });
    let to_map = match given {
        Given::Host(Bind { path, fd, mapped, .. }) | Given::Scratch(Bind { path, fd, mapped, .. }, _) if ranges => {
            Some((path, fd, *mapped))
        }
        Given::Tree(Tree { path, fd, mapped: Some(mapped), .. }) => Some((path, fd, *mapped)),
        Given::Image(Layers { base, fd, mapped, .. }) if ranges => Some((base, fd, *mapped)),
        _ => None,
    };
    let changes = container.record.upper().filter(|_| matches!(given, Given::Scratch(..)));
    if let Some((path, fd, mapped)) = to_map {
        let sent = start.setup.send(Fd::Borrowed(fd.as_fd()));
        let changes = changes.map(|path| Ok((path, start.setup.send(Fd::Owned(open_path(path)?))))).transpose()?;
        let (parent, handed) = &mut start.parent;
        match given {
            Given::Tree(_) => rootfs::idmap_tree(parent, path, sent, HANDED, mapped),
            _ => rootfs::idmap(parent, path, sent, HANDED, mapped),
        }
        *handed = 1;
        if let Some((path, sent)) = changes {
            rootfs::idmap(parent, path, sent, ALSO_HANDED, Mapped::Image);
            *handed = 2;
        }
    }
    if let Given::Disk(Made { mount, source, .. }) = given {
        let sent = start.setup.send(Fd::Borrowed(mount.as_fd()));
        let (parent, handed) = &mut start.parent;
        let owners = DiskOwners::of(ranges, source.read_only);
        rootfs::hand_over_disk(parent, &source.path, [sent, HANDED], owners, |_, _| String::new());
        *handed = 1;
    }
    let helper = start.start_in(&zygote).map_err(unmapped::blame)?;
    let source = |path: &Path, slot| match to_map {
        Some(_) => Source::Handed(slot, path.to_path_buf()),
        None => Source::Path(path.to_path_buf()),
    };
    // What lies in the caller's mounts is copied before the helper leaves them.
    let mut plan = Plan::new();
    let sources = match given {
        Given::Host(bind) => [Some(source(&bind.path, HANDED).copied(&mut plan)?), None],
        Given::Scratch(bind, _) => {
            let below = source(&bind.path, HANDED).copied(&mut plan)?;
            [Some(below), changes.map(|path| source(path, ALSO_HANDED).copied(&mut plan)).transpose()?]
        }
        Given::Image(layers) => [Some(source(&layers.base, HANDED)), None],
        Given::Empty | Given::Tree(_) | Given::Disk(_) => [None, None],
    };
    Ok(Begun { helper, within, plan, sources })
}

/// Has a helper make what is to be mounted and find its place.
fn prepare<'a>(container: &Shared, mount: &Mount, target: &Path, given: &Given) -> Result<Prepared<'a>> {
    let Begun { helper, within, mut plan, sources } = begin(container, given)?;
    let (mut looks, theirs) = pipe(Step::MountAt, target)?;
    let theirs = plan.send(Fd::Owned(theirs));
    let labels = labels::Chosen::of(&container.record.config)?;
    let context = Context(labels.mounts.as_deref());
    let read_only = mount.is_read_only();
    let mut changes = None;
    let made = match (mount, given, sources) {
        (_, Given::Host(bind), [Some(source), _]) => {
            within.enter(&mut plan);
            Detached::bind(&mut plan, target, &source, read_only, bind.directory)?
        }
        (_, Given::Scratch(bind, scratch), sources) => {
            let (made, kept) = scratches::overlay(container, &mut plan, scratch, bind, &sources)?;
            changes = Some(kept);
            within.enter(&mut plan);
            made
        }
        (_, Given::Image(Layers { names, .. }), [Some(base), _]) => {
            let layers = rootfs::Layers { base, names: names.clone(), upper: None, root: None };
            let made = Detached::image(&mut plan, target, &layers, context)?;
            within.enter(&mut plan);
            made
        }
        (_, Given::Tree(Tree { path, fd, directory, mapped }), _) => {
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
        (_, Given::Disk(_), _) => {
            within.enter(&mut plan);
            Detached::disk(&mut plan, target, HANDED)
        }
        (Mount::Tmpfs(tmpfs), Given::Empty, _) => {
            let size = tmpfs.size.map_or_else(|| size_without_one(container), |size| Ok([Some(size), None]))?;
            within.enter(&mut plan);
            Detached::tmpfs(&mut plan, target, size, tmpfs.mode, context)?
        }
        _ => return Err(Error::invalid(Step::MountInto, target.display(), "nothing is to be mounted")),
    };
    let live = made.find_place(&mut plan, target, theirs)?;
    let changes = helper.run(&plan, changes.as_slice()).map_err(add_hint)?.pop();
    let mut attach = Plan::new();
    live.attach(&mut attach, target);
    drop(plan);
    let place = looked(&mut looks, Step::MountAt, target)?;
    let made = looked(&mut looks, Step::MountAt, target)?;
    check_place(container, target, &place)?;
    Ok(Prepared { helper, plan: attach, number: made.mount, changes })
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
