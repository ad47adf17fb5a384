//! The host's side of a container's cgroup: where it can be made, its directories, its limits, what it counted, its end.
//!
//! Called by `container` alone. A machine has cgroup v1 (each controller a hierarchy of its own), v2 (one tree), v1
//! controllers beside an empty v2 tree, or nothing that we may write to; [`hierarchies()`] finds out which, [`Cgroup::plan`]
//! decides on places without making anything, [`Layout::make`] makes them and everything after that goes through
//! directory descriptors. The process moves itself in: on v1 PID 1 writes "0" into `tasks`, which moves one thread and
//! so doesn't wait for an RCU grace period as a write of another's pid into `cgroup.procs` does
//! (`cgroup_procs_write_start` in kernel/cgroup/cgroup.c); on v2 clone3(2) makes it inside by CLONE_INTO_CGROUP.
//!
//! Which controllers there are, with their files and limits, is the table of [`controller`].
//!
//! Rests on cgroups(7), Documentation/admin-guide/cgroup-v1/memory.rst, .../cgroup-v1/pids.rst and .../cgroup-v2.rst.

mod control;
mod controller;
mod cpu;
mod devices;
mod directory;
mod freezer;
mod hierarchies;
mod kill;
mod late;
mod layout;
mod memory;
mod pids;
mod place;
mod remove;
#[cfg(test)]
mod tests;
mod verify;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;

use nix::errno::Errno;

use controller::{At, Controller, Version};
pub(crate) use devices::unavailable as devices_unavailable;
use directory::{Directory, open_failed};
pub(crate) use freezer::{first_process, is_paused, thaw};
pub(crate) use hierarchies::{Caller, hierarchies};
pub(crate) use late::Acquire;
pub(crate) use layout::{Layout, Planned};
pub(crate) use place::Place;
pub(crate) use remove::remove;
pub(crate) use verify::{check_names, of_process, verify};

use crate::config::LimitNumbers;
use crate::{DeviceRule, Error, ErrorCode, Limit, Result, Step};

/// The limits that a container is made with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    numbers: LimitNumbers,
    /// The devices that can be opened; any where there is no list.
    pub(crate) devices: Option<Vec<DeviceRule>>,
}

/// The cgroup directories of one container. Dropping it removes nothing; [`remove()`] does.
#[derive(Debug)]
pub(crate) struct Cgroup {
    held: Vec<Held>,
}

/// A directory of it, which may be made later: see [`Place::may_come_late`].
#[derive(Debug)]
struct Held {
    place: Place,
    made: OnceLock<Directory>,
}

impl Cgroup {
    /// The cgroup of a container that another process made, from the places of its record: those that there are, and those that
    /// are not made yet.
    pub(crate) fn open(places: &[Place], late: &[Place]) -> Result<Self> {
        let mut held: Vec<Held> = Vec::with_capacity(places.len());
        for place in places.iter().chain(late.iter().filter(|late| !places.contains(late))) {
            let directory = match Directory::open(place.path()) {
                Ok(directory) => Some(directory),
                Err(Errno::ENOENT) => None,
                Err(errno) => return Err(open_failed(place.path(), errno)),
            };
            let memory_known = held.iter().any(|held| held.place.has(Version::V1, Controller::Memory));
            let place = place.completed(directory.as_ref(), memory_known)?;
            held.push(Held { place, made: directory.map_or_else(OnceLock::new, OnceLock::from) });
        }
        Ok(Self { held })
    }

    /// Whether its descriptors are still what they were.
    pub(crate) fn is_ours(&self) -> bool {
        self.made().all(|(_, directory)| directory.fd.is_ours())
    }

    /// v1: each hierarchy's `tasks`, open for writing. A process that writes "0" into all of them is in. Hand them to PID
    /// 1, which writes before it makes its cgroup namespace, so that this cgroup is the namespace's root.
    pub(crate) fn join_fds(&self) -> Result<Vec<OwnedFd>> {
        let v1 = self.made().filter(|(place, _)| place.is(Version::V1));
        v1.map(|(_, directory)| directory.open_for_writing("tasks")).collect()
    }

    /// v2: the directory, for CLONE_INTO_CGROUP.
    pub(crate) fn clone_into(&self) -> Option<BorrowedFd<'_>> {
        let mut v2 = self.made().filter(|(place, _)| place.is(Version::V2));
        v2.next().map(|(_, directory)| directory.fd.as_fd())
    }

    /// The limit as the kernel holds it; none where no controller counts it.
    pub(crate) fn limit(&self, limit: Limit) -> Result<Option<u64>> {
        let rule = limit.rule();
        match self.at(rule.controller)? {
            Some(at) => counted((rule.get)(at)).map(Option::flatten),
            None => Ok(None),
        }
    }

    /// All limits.
    pub(crate) fn limits(&self) -> Result<LimitNumbers> {
        let mut numbers = LimitNumbers::default();
        for limit in Limit::ALL {
            numbers[limit as usize] = self.limit(limit)?;
        }
        Ok(numbers)
    }

    /// Its directories that there are.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.made().map(|(place, _)| place.path())
    }

    /// Which directory counts a limit, and whether it is one of v2.
    pub(crate) fn counts(&self, limit: Limit) -> Option<(&Path, bool)> {
        let place = &self.held(limit.rule().controller)?.place;
        Some((place.path(), place.is(Version::V2)))
    }

    /// Sets a limit; `None` lifts it. What happens below present use is each controller's: see its file.
    ///
    /// On v1 a container that was made without such a limit may have no directory for it: the first one has `acquire` make it.
    pub(crate) fn set(&self, limit: Limit, value: Option<u64>, acquire: Acquire<'_>) -> Result<()> {
        let rule = limit.rule();
        value.map_or(Ok(()), rule.check)?;
        let at = match (self.at(rule.controller)?, value) {
            (Some(at), _) => at,
            (None, None) => return Ok(()),
            (None, Some(_)) => At::V1(self.make_late(rule.controller, acquire)?),
        };
        match (rule.set)(at, value) {
            // v2: it was not handed on, since nobody was limited by it.
            Err(error) if error.code() == ErrorCode::Unsupported => {
                if value.is_none() {
                    return Ok(());
                }
                let At::V2(directory) = at else { return Err(error) };
                layout::hand_on(directory, [rule.controller].into_iter())?;
                (rule.set)(at, value)
            }
            outcome => outcome,
        }?;
        self.move_into(rule.controller, at.directory(), None)
    }

    /// The directory of a controller, if there is one by now.
    fn at(&self, controller: Controller) -> Result<Option<At<'_>>> {
        let found = self.held(controller).and_then(|held| {
            let directory = match held.made.get() {
                Some(made) => Some(made),
                None => Directory::open(held.place.path()).ok().map(|found| held.made.get_or_init(|| found)),
            };
            Some(At::new(held.place.version?, directory?))
        });
        if found.is_none() {
            self.any()?.check_not_removed()?;
        }
        Ok(found)
    }

    /// As [`Cgroup::at`], of one that has to be there.
    fn needed(&self, controller: Controller) -> Result<At<'_>> {
        self.at(controller)?.ok_or_else(|| without(controller.name()))
    }

    fn held(&self, controller: Controller) -> Option<&Held> {
        self.held.iter().find(|held| held.place.controllers.has(controller))
    }

    fn made(&self) -> impl Iterator<Item = (&Place, &Directory)> {
        self.held.iter().filter_map(|held| Some((&held.place, held.made.get()?)))
    }

    /// Where the container's processes are listed.
    fn any(&self) -> Result<&Directory> {
        self.made().next().map(|(_, directory)| directory).ok_or_else(|| without(Controller::Memory.name()))
    }
}

impl Limits {
    pub(crate) fn new(numbers: LimitNumbers, devices: Option<Vec<DeviceRule>>) -> Self {
        Self { numbers, devices }
    }

    fn get(&self, limit: Limit) -> Option<u64> {
        self.numbers[limit as usize]
    }

    /// Whether the controller is needed for one of them.
    fn need(&self, controller: Controller) -> bool {
        match controller {
            Controller::Devices => self.devices.is_some(),
            _ => controller.limits().any(|limit| self.get(limit).is_some()),
        }
    }

    /// Refuses what no container can live with.
    pub(crate) fn check(&self) -> Result<()> {
        Limit::ALL.into_iter().try_for_each(|limit| self.get(limit).map_or(Ok(()), limit.rule().check))
    }
}

/// What a cgroup without the controller can't tell is nothing.
pub(crate) fn counted<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Err(error) if error.code() == ErrorCode::Unsupported => Ok(None),
        other => other.map(Some),
    }
}

fn without(controller: &str) -> Error {
    Error::new(
        ErrorCode::Unsupported,
        Step::UseController,
        format!("{controller} controller"),
        libc::EOPNOTSUPP,
        format!("the container was made without a {controller} cgroup"),
    )
    .with_hint("create it with the cgroup policy \"required\" to learn what is missing")
}
