//! The changes of a container's scratch mounts: told, applied to the host, discarded.

use std::path::Path;
use std::sync::Arc;

use nix::unistd::geteuid;

use super::Container;
use super::blueprint::Bind;
use super::export::{held_scratch, opener};
use super::given::Given;
use super::ids::{Ids, Inside};
use super::mounted::{again, looked, pipe};
use super::mounts::{Begun, begin, checked};
use super::scratches::{self, drop_changes, find, hand_over, new_name};
use super::shared::Shared;
use super::state::{Resource, Scratch};
use crate::helper::add_hint;
use crate::image::{self, Applied, Conflicts, Difference, Id, Report, open_host};
use crate::plan::{Fd, Plan};
use crate::rootfs::Lying;
use crate::sys::mountinfo;
use crate::{Error, ErrorCode, Result, Step, sys, zygote};

impl Container {
    /// What it has changed beneath a [`crate::Scratch`] mount, by path inside, compared with the host's directory as that is now. That a
    /// directory has another time is no change. [`super::Client::diff_scratch`] can stop it.
    pub fn diff_scratch(&self, target: impl AsRef<Path>) -> Result<Vec<Difference>> {
        diff(&self.shared, target.as_ref(), &mut |_| true)
    }

    /// Carries what it has changed beneath a [`crate::Scratch`] mount over to the host's directory. Each file is whole at any moment: the
    /// old or the new one. What programs write to meanwhile may be carried over in part; the next time gets the rest. Files belong
    /// to whom they would belong if it were a bind; set-user-ID and set-group-ID bits and capabilities of files are left
    /// out, and devices and sockets are not made. A file that has been changed on the host since the mount was made, by its time of
    /// change, is a conflict, `conflicts` says what then: by default nothing is applied, EEXIST. [`super::Client::apply_scratch`] can
    /// stop it.
    pub fn apply_scratch(&self, target: impl AsRef<Path>, conflicts: Conflicts) -> Result<Applied> {
        apply(&self.shared, target.as_ref(), conflicts, &mut |_| true)
    }

    /// Drops what it has changed beneath a [`crate::Scratch`] mount: a new mount of the host's directory takes its place. Programs
    /// that have files or directories of the old one open, or work in it, keep it; for a moment there is an empty directory.
    /// EBUSY while something else is mounted on it.
    pub fn discard_scratch(&self, target: impl AsRef<Path>) -> Result<()> {
        discard(&self.shared, target.as_ref())
    }
}

/// What the container has changed beneath `target`.
pub fn diff(container: &Arc<Shared>, target: &Path, report: Report<'_>) -> Result<Vec<Difference>> {
    opened(container, target)?.diff(report)
}

/// Carries that over to the host.
pub fn apply(container: &Arc<Shared>, target: &Path, conflicts: Conflicts, report: Report<'_>) -> Result<Applied> {
    opened(container, target)?.apply(conflicts, report)
}

/// Drops it: another mount of the same directory takes the place of the one with the changes.
fn discard(container: &Arc<Shared>, target: &Path) -> Result<()> {
    let target = checked(container, target)?;
    let old = find(container, &target)?;
    drop(open_host(&old.source, old.identity)?);
    let place = held_scratch(container, &old)?;
    let new = Scratch { name: new_name(old.slot), ..old.clone() };
    let given = Given::Scratch(Bind::open_below(&old.source)?, new);
    again(|| replace(container, &target, &old, &given))?;
    drop_changes(&place, &old)
}

/// All that the image room needs of it.
fn opened(container: &Arc<Shared>, target: &Path) -> Result<image::Scratch> {
    let target = checked(container, target)?;
    let scratch = find(container, &target)?;
    let place = held_scratch(container, &scratch)?;
    let host = open_host(&scratch.source, scratch.identity)?;
    let ids = Inside::of(container.pid)?;
    if !container.lives() {
        // The maps may be those of another process that has its pid now.
        return Err(container.gone());
    }
    let is_root = geteuid().is_root();
    // What is not id-mapped has the host's ids inside, too, as far as the container has them.
    let is_mapped = !is_root || Ids::are_a_range(&*zygote::current()?, &container.record.config.namespaces.user);
    let as_it_is = |id| match id {
        Id::User(id) | Id::Group(id) => Some(id),
    };
    Ok(image::Scratch {
        shown: format!("{} of container {}", target.display(), container.called()),
        target,
        place,
        host,
        inside: Box::new(move |id| if is_mapped { ids.map(id) } else { as_it_is(id) }),
        opener: (!is_root).then(|| opener(container)),
    })
}

/// Has a helper take off the one and mount the other.
fn replace(container: &Shared, target: &Path, old: &Scratch, given: &Given) -> Result<()> {
    let Given::Scratch(bind, new) = given else { return Ok(()) };
    let step = Step::DiscardScratch;
    let refused = |errno, why: &str| Err(Error::new(ErrorCode::System, step, target.display(), errno, why));
    let text = sys::file::read(format!("/proc/{}/mountinfo", container.pid))
        .map_err(|error| Error::io(step, target.display(), &error))?;
    let upper = format!("{}/upper", old.name);
    let Some(number) = mountinfo::overlay(&text, &upper) else {
        return refused(libc::ENOENT, "ENOENT, programs inside have unmounted it");
    };
    let Some(placed) = mountinfo::find(&text, number).filter(|placed| !placed.has_others) else {
        return refused(libc::EBUSY, "EBUSY, something else is mounted on it: unmount that first");
    };
    let Begun { helper, within, mut plan, sources } = begin(container, given)?;
    within.check_own(container, "mnt")?;
    let (made, kept) = scratches::overlay(container, &mut plan, new, bind, &sources)?;
    let (mut looks, theirs) = pipe(step, target)?;
    let theirs = plan.send(Fd::Owned(theirs));
    within.enter(&mut plan);
    let lying = Lying::find(&mut plan, &placed.path, theirs)?;
    let place = helper.run(&plan, &[kept]).map_err(add_hint)?.pop();
    drop(plan);
    if looked(&mut looks, step, target)?.mount != number {
        return refused(libc::EAGAIN, "EAGAIN, programs inside move it about");
    }
    let place = place.ok_or_else(|| Error::system(step, target.display(), libc::EPROTO))?;
    let mut plan = Plan::new();
    lying.replace(&mut plan, target, &made)?;
    let replaced = container.acquire(Resource::Scratch(new.clone()), || helper.run(&plan, &[]).map_err(add_hint));
    if let Err(error) = replaced {
        _ = container.strike_off(Resource::Scratch(new.clone()));
        return Err(error);
    }
    hand_over(container, new, &place)?;
    container.strike_off(Resource::Scratch(old.clone()))?;
    renumber(container, target, number, new)
}

/// One that was mounted while the container ran has another number from now on.
fn renumber(container: &Shared, target: &Path, old: u64, scratch: &Scratch) -> Result<()> {
    let is_it = |resource: &Resource| matches!(resource, Resource::Mount { number, .. } if *number == old);
    let Some(resource) = container.resources()?.into_iter().find(is_it) else { return Ok(()) };
    let text = sys::file::read(format!("/proc/{}/mountinfo", container.pid))
        .map_err(|error| Error::io(Step::DiscardScratch, target.display(), &error))?;
    if let (Some(number), Resource::Mount { mount, live, .. }) =
        (mountinfo::overlay(&text, &format!("{}/upper", scratch.name)), &resource)
    {
        container.acquire(Resource::Mount { number, mount: mount.clone(), live: *live }, || Ok(()))?;
    }
    container.strike_off(resource)
}
