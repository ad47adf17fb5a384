//! The places of the changes of scratch mounts: which slots of PID 1 have them, and what is on record of them. They are in a tmpfs that
//! is mounted nowhere any more, or in the directory of the changes on disk; whoever has the container gets at one by PID 1.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use ctr_wire::{PROC, RUN, SCRATCHES};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::blueprint::{Bind, MAX_SCRATCHES};
use super::changes::size_without_one;
use super::export::held_scratch;
use super::shared::Shared;
use super::state::{Resource, Scratch, random_name};
use crate::image;
use crate::plan::{Fd, Header, Plan, Slot};
use crate::rootfs::{Context, Detached, Parts, Source, scratch_alone};
use crate::security::labels;
use crate::{Error, ErrorCode, Result, Step};

/// Those of a container, in order.
pub fn all(container: &Shared) -> Result<Vec<Scratch>> {
    let scratch = |resource| match resource {
        Resource::Scratch(scratch) => Some(scratch),
        _ => None,
    };
    Ok(container.resources()?.into_iter().filter_map(scratch).collect())
}

/// The one at this place.
pub fn find(container: &Shared, target: &Path) -> Result<Scratch> {
    all(container)?.into_iter().rfind(|scratch| scratch.target == target).ok_or_else(|| {
        let why = "no scratch mount is there";
        Error::new(ErrorCode::NotFound, Step::FindScratch, target.display(), libc::ENOENT, why)
            .with_hint("libctr inspect lists what is mounted")
    })
}

/// Puts one on record that is to be mounted, with a slot that no other has.
pub fn reserve(container: &Shared, target: &Path, bind: &Bind) -> Result<Scratch> {
    for _ in 0..MAX_SCRATCHES {
        let taken = all(container)?;
        let mut free = (SCRATCHES..PROC).filter(|slot| taken.iter().all(|it| usize::from(it.slot) != *slot));
        let Some(slot) = free.next() else { break };
        let name = new_name(slot as u8);
        let (source, target) = (bind.path.clone(), target.to_path_buf());
        let scratch = Scratch { slot: slot as u8, name, target, source, identity: bind.identity };
        container.acquire(Resource::Scratch(scratch.clone()), || Ok(()))?;
        // Of two that have written at the same time, the first has it.
        if all(container)?.into_iter().find(|it| it.slot == scratch.slot) == Some(scratch.clone()) {
            return Ok(scratch);
        }
        container.strike_off(Resource::Scratch(scratch))?;
    }
    let why = format!("ENOSPC, a container has {MAX_SCRATCHES} scratch mounts at most at a time");
    Err(Error::new(ErrorCode::System, Step::MountScratch, target.display(), libc::ENOSPC, why)
        .with_hint("unmount one, or mount a directory that is above several"))
}

/// A name that no other place of this container has had.
pub fn new_name(slot: u8) -> String {
    format!("scratch{slot}.{}", random_name())
}

/// Has a helper make it, in a mount namespace of its own: attached nowhere yet. The slot of the place of its changes comes with it.
pub fn overlay(
    container: &Shared,
    plan: &mut Plan<'_>,
    scratch: &Scratch,
    bind: &Bind,
    [source, disk]: &[Option<Source>; 2],
) -> Result<(Detached, Slot)> {
    let Some(source) = source else {
        return Err(Error::invalid(Step::BindSource, scratch.source.display(), "it is not open"));
    };
    if disk.is_none() && !crate::sys::tmpfs_has_user_xattrs() {
        let why = "before Linux 6.6 its changes go to disk, and this container has no directory there";
        return Err(Error::new(
            ErrorCode::Unsupported,
            Step::MountScratch,
            scratch.target.display(),
            libc::EOPNOTSUPP,
            why,
        )
        .with_hint("mount it when the container is made, or make that from an image"));
    }
    let labels = labels::Chosen::of(&container.record.config)?;
    let (context, kept) = (Context(labels.mounts.as_deref()), plan.kept_slot());
    let parts = Parts { target: &scratch.target, name: &scratch.name, owner: bind.owner, kept };
    let made = scratch_alone(plan, source, &parts, size_without_one(container)?, disk.as_ref(), context)?;
    Ok((Detached::scratch(plan, made), kept))
}

/// Has PID 1 keep the place, instead of what it has in its slot.
pub fn hand_over(container: &Shared, scratch: &Scratch, place: &OwnedFd) -> Result<()> {
    let mut plan = Plan::new();
    let sent = plan.send(Fd::Borrowed(place.as_fd()));
    plan.step(Step::MountScratch, scratch.target.to_string_lossy().into_owned(), "", "");
    let slot = Slot(scratch.slot);
    plan.close(slot);
    plan.dupfd_cloexec(sent, 0).out(slot);
    container.run(&Header::new(RUN), &plan).map(drop)
}

/// It is unmounted: its changes go.
pub fn forget(container: &Shared, scratch: Scratch) -> Result<()> {
    let place = held_scratch(container, &scratch).ok();
    let mut plan = Plan::new();
    plan.step(Step::Unmount, scratch.target.to_string_lossy().into_owned(), "", "");
    plan.close(Slot(scratch.slot));
    container.run(&Header::new(RUN), &plan)?;
    if let Some(place) = place {
        drop_changes(&place, &scratch)?;
    }
    container.strike_off(Resource::Scratch(scratch))
}

/// Removes its changes, which nobody is looking for any more; the file system that they are on may live longer.
pub fn drop_changes(place: &OwnedFd, scratch: &Scratch) -> Result<()> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    crate::sys::openat(place, "..", flags, Mode::empty())
        .and_then(|above| image::remove_tree(above.as_fd(), scratch.name.as_bytes()))
        .map_err(|errno| Error::system(Step::DiscardScratch, scratch.target.display(), errno as i32))
}
