//! Mounts into a container that runs, and out of it. PID 1 can't mount any more, behind Landlock and seccomp; a helper in the
//! container's namespaces can.
//!
//! Where ids are mapped to a range, the zygote makes the copy of what is bound, and id-maps it, as it does when a container is
//! made: that takes rights over the file system. Everybody else's helper makes it: it begins with a copy of the caller's mounts
//! that belongs to the container's user namespace, since open_tree(2) copies mounts of one's own mount namespace only, and only
//! for who has CAP_SYS_ADMIN over that (`may_mount` and `check_mnt` of fs/namespace.c). Then it enters the container's mount
//! namespace, where move_mount(2) attaches whatever is attached nowhere.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use ctr_wire::RESULTS;
use nix::sched::CloneFlags;

use super::blueprint::{Bind, inodes_of_changes, size_of_changes};
use super::ids::Ids;
use super::shared::Shared;
use super::state::{Resource, Root};
use super::unmapped;
use super::within::Within;
use crate::helper::{Helper, add_hint};
use crate::plan::{Fd, Plan, Slot};
use crate::rootfs::{self, Context, Detached, Looked, Lying, Source, place_of};
use crate::security::labels;
use crate::sys::mountinfo::{self, Placed};
use crate::{Error, ErrorCode, Limit, Mount, Namespace, Result, Step, sys, zygote};

/// How often a place is looked for while programs inside move directories about: openat2(2), EAGAIN.
const TRIES: usize = 50;

/// Mounts something at a place inside.
pub fn mount(container: &Shared, mount: &Mount) -> Result<()> {
    let target = checked(container, mount.target())?;
    mount.check()?;
    let bind = Bind::open(mount).transpose()?;
    again(|| {
        let (helper, plan, resource) = prepare(container, mount, &target, bind.as_ref())?;
        let attached = container.acquire(resource.clone(), || helper.run(&plan, &[]).map_err(add_hint));
        if let (Err(_), Resource::Mount { number, .. }) = (&attached, &resource) {
            // The answer may be lost, and the mount there. Where it can't be taken off, it stays on record.
            _ = take_off(container, *number, &target, true).and_then(|()| container.strike_off(resource));
        }
        attached.map(drop)
    })
}

/// Takes off what was mounted at this place.
pub fn unmount(container: &Shared, target: &Path, lazy: bool) -> Result<()> {
    let target = checked(container, target)?;
    let at_place = |resource: &Resource| matches!(resource, Resource::Mount { mount, .. } if mount.target() == target);
    let found = container.resources()?.into_iter().rfind(at_place);
    let Some(Resource::Mount { number, mount }) = found else {
        if is_of_creation(container, &target) {
            let why = "it was mounted when the container was made, for as long as that runs";
            return Err(Error::invalid(Step::Unmount, target.display(), why));
        }
        let why = "nothing was mounted there while the container ran";
        return Err(Error::new(ErrorCode::NotFound, Step::Unmount, target.display(), libc::ENOENT, why)
            .with_hint("libctr inspect lists what is mounted"));
    };
    again(|| take_off(container, number, &target, lazy))?;
    container.strike_off(Resource::Mount { number, mount })
}

/// Where something was mounted while it ran, and is still.
pub fn live(container: &Shared) -> Result<Vec<PathBuf>> {
    let places = container.resources()?.into_iter().filter_map(|resource| match resource {
        Resource::Mount { mount, .. } => Some(mount.target().to_path_buf()),
        _ => None,
    });
    Ok(places.collect())
}

/// The place, where something can be mounted into this container at all.
fn checked(container: &Shared, target: &Path) -> Result<PathBuf> {
    container.check_running()?;
    if container.record.root == Root::Foreign {
        let why = "only a container has mounts of its caller's, and this is another process's namespaces";
        let step = Step::MountInto;
        return Err(Error::new(ErrorCode::Unsupported, step, container.called(), libc::EOPNOTSUPP, why));
    }
    if container.record.config.namespaces.mount != Namespace::New {
        let why = "the mount namespace is not the container's own";
        return Err(Error::invalid(Step::MountInto, container.called(), why));
    }
    place_of(target)
}

/// Tries it until programs inside let it find its place.
fn again(mut attempt: impl FnMut() -> Result<()>) -> Result<()> {
    let moved = |error: &Error| match error.failed_step() {
        Step::BindIntoContainer | Step::MountTmpfs => error.errno() == libc::EAGAIN,
        Step::Unmount => matches!(error.errno(), libc::EAGAIN | libc::ENOENT | libc::ENOTDIR | libc::ELOOP),
        _ => false,
    };
    for _ in 0..TRIES {
        match attempt() {
            Err(error) if moved(&error) => {}
            outcome => return outcome,
        }
    }
    attempt()
}

/// Has a helper make what is to be mounted and find its place. What then attaches it, and what goes on record before that.
fn prepare<'a>(
    container: &Shared,
    mount: &Mount,
    target: &Path,
    bind: Option<&Bind>,
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
        (Mount::Bind(bind), Some((source, directory))) => {
            Detached::bind(&mut plan, target, &source, bind.read_only, directory)?
        }
        (Mount::Tmpfs(tmpfs), _) => {
            let size = tmpfs.size.map_or_else(|| size_without_one(container), |size| Ok([Some(size), None]))?;
            let labels = labels::Chosen::of(config)?;
            Detached::tmpfs(&mut plan, target, size, tmpfs.mode, Context(labels.mounts.as_deref()))?
        }
        (Mount::Bind(bind), None) => {
            return Err(Error::invalid(Step::BindSource, bind.source.display(), "it is not open"));
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
    Ok((helper, attach, Resource::Mount { number: made.mount, mount: mount.at(target) }))
}

/// Where the zygote hands over what it has id-mapped.
const HANDED: Slot = Slot(RESULTS as u8);

/// Refuses a place that links inside have made another one than it seems, and one that is in use.
fn check_place(container: &Shared, target: &Path, place: &Looked) -> Result<()> {
    if place.is_kernels {
        let why = "links inside the container lead into its /proc or /sys, where nothing can be mounted";
        return Err(Error::invalid(Step::MountAt, target.display(), why));
    }
    let is_there = |resource: Resource| matches!(resource, Resource::Mount { number, .. } if number == place.mount);
    let in_use =
        place.is_root && (is_of_creation(container, target) || container.resources()?.into_iter().any(is_there));
    if !in_use {
        return Ok(());
    }
    let why = "EBUSY, something that was asked for is mounted there already";
    Err(Error::new(ErrorCode::System, Step::MountAt, target.display(), libc::EBUSY, why)
        .with_hint("unmount that first, or choose another place"))
}

/// Whether something was mounted there when the container was made.
fn is_of_creation(container: &Shared, target: &Path) -> bool {
    let mounts = &container.record.config.mounts;
    mounts.iter().any(|mount| place_of(mount.target()).is_ok_and(|place| place == target))
}

/// As many bytes and inodes as the container may change in memory; `None` leaves it to the kernel.
fn size_without_one(container: &Shared) -> Result<[Option<u64>; 2]> {
    let config = &container.record.config;
    let memory = container.maybe_cgroup()?.map_or(Ok(None), |cgroup| cgroup.limit(Limit::Memory))?;
    let size = size_of_changes(config.upper_size, memory);
    Ok([size, inodes_of_changes(config.upper_inodes, size)])
}

/// Takes the mount of this number off, wherever it is; one that is gone already is no error.
fn take_off(container: &Shared, number: u64, target: &Path, lazy: bool) -> Result<()> {
    let placed = match sys::file::read(format!("/proc/{}/mountinfo", container.pid)) {
        Ok(text) => match mountinfo::find(&text, number) {
            Some(placed) => placed,
            None => return Ok(()),
        },
        // Where /proc hides the processes of others, it is where it was.
        Err(_) => Placed { path: target.to_path_buf(), has_others: false, is_covered: false },
    };
    let refused = |errno, why: &str| Err(Error::new(ErrorCode::System, Step::Unmount, target.display(), errno, why));
    if placed.is_covered {
        return refused(libc::EBUSY, "EBUSY, another mount covers it");
    }
    let mut within = Within::open(container, &["mnt"])?;
    within.check_own(container, "mnt")?;
    let helper = within.start(CloneFlags::empty()).start()?;
    let mut plan = Plan::new();
    let (mut looks, theirs) = pipe(Step::Unmount, target)?;
    let theirs = plan.send(Fd::Owned(theirs));
    within.enter(&mut plan);
    let lying = Lying::find(&mut plan, &placed.path, theirs)?;
    helper.run(&plan, &[]).map_err(add_hint)?;
    drop(plan);
    if looked(&mut looks, Step::Unmount, target)?.mount != number {
        return refused(libc::EAGAIN, "EAGAIN, programs inside move it about");
    }
    let mut plan = Plan::new();
    // A tree of mounts goes as a whole, or not at all.
    lying.take_off(&mut plan, target, lazy || placed.has_others)?;
    helper.run(&plan, &[]).map(drop).map_err(add_hint)
}

fn pipe(step: Step, target: &Path) -> Result<(File, std::os::fd::OwnedFd)> {
    let (read, write) = sys::pipe().map_err(|errno| Error::system(step, target.display(), errno as i32))?;
    Ok((read.into(), write))
}

fn looked(looks: &mut File, step: Step, target: &Path) -> Result<Looked> {
    Looked::read(looks).map_err(|e| Error::io(step, target.display(), &e))
}
