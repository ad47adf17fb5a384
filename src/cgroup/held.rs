//! The cgroup of a container that exists: its directories, by their descriptors.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use nix::errno::Errno;

use super::controller::{At, Controller, Version};
use super::directory::{Directory, open_failed, without};
use super::hierarchies::{is_below, own_of};
use super::place::Place;
use super::stats::Most;
use crate::config::{LimitLists, LimitNumbers};
use crate::{ErrorCode, Limit, ListLimit, Result};

/// The cgroup directories of one container. Dropping it removes nothing; [`super::remove()`] does.
#[derive(Debug)]
pub(crate) struct Cgroup {
    pub(super) held: Vec<Held>,
    /// v1: those that were made for a limit that came later, by whomever.
    pub(super) later: [OnceLock<Held>; Controller::ALL.len()],
    /// Its PID 1, and the parent that was chosen for it.
    pub(super) of: OnceLock<(i32, Option<PathBuf>)>,
    /// Time of processors in programs and in the kernel, where it is added up over processes.
    pub(super) most_used: [Most; 2],
    /// The limit of processor time while it is suspended: quota and period.
    pub(super) suspended: Mutex<Option<[u64; 2]>>,
}

/// A directory of it, which may be made later: see [`Place::may_come_late`].
#[derive(Debug)]
pub(super) struct Held {
    pub(super) place: Place,
    pub(super) made: OnceLock<Directory>,
}

impl Cgroup {
    pub(super) fn new(held: Vec<Held>) -> Self {
        Self {
            held,
            later: Default::default(),
            of: OnceLock::new(),
            most_used: Default::default(),
            suspended: Mutex::default(),
        }
    }

    /// The same, of the container with this PID 1, for whose cgroup that parent was chosen.
    pub(crate) fn of(self, pid: i32, parent: Option<&Path>) -> Self {
        _ = self.of.set((pid, parent.map(Into::into)));
        self
    }

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
        Ok(Self::new(held))
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
        let Some(at) = self.at(rule.controller)? else { return Ok(None) };
        let holds = counted((rule.get)(at)).map(Option::flatten)?;
        Ok(holds.or_else(|| (limit == Limit::Cpus).then(|| self.suspended_limit()).flatten()))
    }

    /// All limits.
    pub(crate) fn limits(&self) -> Result<LimitNumbers> {
        let mut numbers = LimitNumbers::default();
        for limit in Limit::ALL {
            numbers[limit as usize] = self.limit(limit)?;
        }
        Ok(numbers)
    }

    /// A limit that is a list, as the kernel holds it; none where no controller counts it.
    pub(crate) fn list_limit(&self, limit: ListLimit) -> Result<Option<String>> {
        let rule = limit.rule();
        match self.at(rule.controller)? {
            Some(at) => counted((rule.get)(at)).map(Option::flatten),
            None => Ok(None),
        }
    }

    /// All of these.
    pub(crate) fn list_limits(&self) -> Result<LimitLists> {
        let mut lists = LimitLists::default();
        for limit in ListLimit::ALL {
            lists[limit as usize] = self.list_limit(limit)?;
        }
        Ok(lists)
    }

    /// Its directories that there are.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.made().map(|(place, _)| place.path())
    }

    /// Which directory counts a limit, and whether it is one of v2.
    pub(crate) fn counts(&self, limit: Limit) -> Option<(&Path, bool)> {
        self.counted_in(limit.rule().controller)
    }

    /// The same of a limit that is a list.
    pub(crate) fn counts_list(&self, limit: ListLimit) -> Option<(&Path, bool)> {
        self.counted_in(limit.rule().controller)
    }

    fn counted_in(&self, controller: Controller) -> Option<(&Path, bool)> {
        let place = &self.held(controller)?.place;
        Some((place.path(), place.is(Version::V2)))
    }

    /// The directory of a controller, if there is one by now.
    pub(super) fn at(&self, controller: Controller) -> Result<Option<At<'_>>> {
        let held = self.held(controller).or_else(|| self.found(controller));
        let found = held.and_then(|held| {
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

    /// The directory of a controller that it was made without: v1, one of its own that was made since; v2, where all controllers
    /// are in one tree, the one that it has.
    fn found(&self, controller: Controller) -> Option<&Held> {
        let later = &self.later[controller as usize];
        if later.get().is_some() || !controller.is_handed_on() {
            return later.get();
        }
        let (pid, _) = self.of.get()?;
        let cgroups = crate::sys::file::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        if !is_below(&cgroups, controller) {
            return self.held.iter().find(|held| held.place.is(Version::V2));
        }
        let place = own_of(controller, &cgroups)?;
        if place.path().file_name() != self.file_name() {
            return None;
        }
        let directory = Directory::open(place.path()).ok()?;
        Some(later.get_or_init(|| Held { place, made: OnceLock::from(directory) }))
    }

    /// What all its directories are called.
    pub(super) fn file_name(&self) -> Option<&OsStr> {
        self.held.first().and_then(|held| held.place.path().file_name())
    }

    /// As [`Cgroup::at`], of one that has to be there.
    pub(super) fn needed(&self, controller: Controller) -> Result<At<'_>> {
        self.at(controller)?.ok_or_else(|| without(controller.name()))
    }

    pub(super) fn held(&self, controller: Controller) -> Option<&Held> {
        self.held.iter().find(|held| held.place.controllers.has(controller))
    }

    pub(super) fn made(&self) -> impl Iterator<Item = (&Place, &Directory)> {
        let later = self.later.iter().filter_map(OnceLock::get);
        self.held.iter().chain(later).filter_map(|held| Some((&held.place, held.made.get()?)))
    }

    /// Where the container's processes are listed.
    pub(super) fn any(&self) -> Result<&Directory> {
        self.made().next().map(|(_, directory)| directory).ok_or_else(|| without(Controller::Memory.name()))
    }
}

/// What a cgroup without the controller can't tell is nothing.
pub(crate) fn counted<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Err(error) if error.code() == ErrorCode::Unsupported => Ok(None),
        other => other.map(Some),
    }
}
