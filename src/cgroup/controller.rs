//! What a controller is: when a container's cgroup has it, and by which files it is known, a [`Row`]; a limit that it has, a
//! [`Rule`], or a [`ListRule`]. Each stands in a file of its own, and `table` has all of them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::directory::Directory;
use super::stats::Stats;
use crate::Result;
use crate::config::LimitNumbers;

/// A controller of cgroups(7). The order is that of a record: what is always there comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Controller {
    /// Memory, with what the OOM killer did.
    Memory,
    /// Which devices can be opened. On v2 no controller, but a program that is attached to the same directory.
    Devices,
    /// Processes and threads.
    Pids,
    /// Time of processors.
    Cpu,
    /// What stops processes and lets them go on. On v2 no controller: each directory has it.
    Freezer,
    /// On which processors and memory nodes.
    Cpuset,
    /// Block devices.
    Io,
    /// Huge pages.
    Hugetlb,
}

/// What tells one version of cgroups from the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Version {
    /// Each hierarchy has some controllers.
    V1,
    /// One tree has all of them, each where the directory above hands it on.
    V2,
}

/// A directory that has a controller, and so the names of its files.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    V1(&'a Directory),
    V2(&'a Directory),
}

/// Which containers have a controller.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// All of them.
    Always,
    /// Those that are limited by it, from then on: it costs a directory on v1, or the machine's time on v2.
    Limited,
}

/// A controller.
pub(super) struct Row {
    /// In `cgroup.controllers` of v2.
    pub(super) name: &'static str,
    /// In /proc/PID/cgroup and the options of mounts of v1.
    pub(super) v1_name: &'static str,
    pub(super) on_v1: When,
    pub(super) on_v2: When,
    /// v1: whether the record names the directory that it gets with the first limit, so that every handle knows it. Each that does costs
    /// a join and a destroy system calls; those of others are found by asking the kernel where PID 1 is.
    pub(super) late_on_v1: bool,
    /// The file by which a directory of v2 is known to have it.
    pub(super) v2_file: &'static str,
    /// What its own directory of v1 is for, in `explain`.
    pub(super) purpose: &'static str,
    /// Adds what its files count to what is known; those of v2 may be there or not.
    pub(super) count: fn(At<'_>, &mut Stats) -> Result<()>,
}

/// What is written: a value, the file, and what for.
pub(super) type Written = (String, &'static str, &'static str);

/// A limit.
pub(super) struct Rule {
    pub(super) controller: Controller,
    /// In sentences: "the process limit".
    pub(super) noun: &'static str,
    /// Refuses what no container can live with.
    pub(super) check: fn(u64) -> Result<()>,
    /// Why it can't be had although its controller can.
    pub(super) lacks: fn(Wanted<'_>) -> Option<Lack>,
    /// Sets the limit of a cgroup that nothing is in yet, beside the others. [`nix::errno::Errno::ENOENT`] means that the controller is off.
    pub(super) set_first: fn(At<'_>, u64, &LimitNumbers) -> nix::Result<()>,
    /// Sets it live; `None` lifts it.
    pub(super) set: fn(At<'_>, Option<u64>) -> Result<()>,
    /// As the kernel holds it.
    pub(super) get: fn(At<'_>) -> Result<Option<u64>>,
    /// What those of the cgroups above mean for it.
    pub(super) above: Above,
    /// What the kernel means by EINVAL, where that can be said.
    pub(super) einval: &'static str,
    /// What [`Rule::set_first`] does, for a person.
    pub(super) first_files: fn(Version, u64, &LimitNumbers) -> Vec<Written>,
}

/// A limit that is a list.
pub(super) struct ListRule {
    pub(super) controller: Controller,
    /// In sentences: "the cpuset".
    pub(super) noun: &'static str,
    /// The list as [`ListRule::set`] takes it and [`ListRule::get`] tells it; refuses what no container can live with.
    pub(super) read: fn(&str) -> Result<String>,
    /// Sets all of it, also of a cgroup that nothing is in yet; `None` lifts it. What is not in the list is not limited.
    pub(super) set: fn(At<'_>, Option<&str>) -> Result<()>,
    /// The same of a directory that has just been made: nothing has to be asked for that is known of it.
    pub(super) set_first: fn(At<'_>, &str) -> Result<()>,
    /// As the kernel holds it.
    pub(super) get: fn(At<'_>) -> Result<Option<String>>,
    /// Adds to what holds for those below what this cgroup means for them: from a process's own cgroup upwards.
    pub(super) narrow: fn(Option<String>, At<'_>) -> Result<Option<String>>,
    /// What [`ListRule::set`] does to a new directory, for a person: (command, what for).
    pub(super) commands: fn(Version, &Path, &str) -> Vec<(String, String)>,
}

/// What cgroups above mean for a limit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Above {
    /// The lowest of all holds.
    Bounds,
    /// Nothing can be had that they don't have themselves; where there is no number there is nothing to have. On v1 they mean
    /// nothing.
    Gives,
    /// Nothing: it counts among neighbours.
    Nothing,
}

/// Where a limit is wanted, and what goes with it.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) version: Version,
    /// The directory that the container's own is in.
    pub(super) parent: &'a Path,
    /// There is a memory limit too.
    pub(super) with_memory: bool,
}

/// Why a limit can't be had, and what to do about it.
pub(super) struct Lack {
    pub(super) why: &'static str,
    pub(super) hint: &'static str,
}

/// Where its controller can be had, it can.
pub(super) fn nothing_lacks(_: Wanted<'_>) -> Option<Lack> {
    None
}

impl Controller {
    pub(super) const ALL: [Self; 8] =
        [Self::Memory, Self::Devices, Self::Pids, Self::Cpu, Self::Freezer, Self::Cpuset, Self::Io, Self::Hugetlb];
}

impl<'a> At<'a> {
    pub(super) fn new(version: Version, directory: &'a Directory) -> Self {
        match version {
            Version::V1 => Self::V1(directory),
            Version::V2 => Self::V2(directory),
        }
    }

    pub(super) fn version(self) -> Version {
        match self {
            Self::V1(_) => Version::V1,
            Self::V2(_) => Version::V2,
        }
    }

    pub(super) fn directory(self) -> &'a Directory {
        match self {
            Self::V1(directory) | Self::V2(directory) => directory,
        }
    }
}

/// Some of the controllers, in the order of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Controller>", into = "Vec<Controller>")]
pub(crate) struct Controllers(u32);

impl Controllers {
    pub(super) fn add(&mut self, controller: Controller) {
        self.0 |= 1 << controller as u32;
    }

    pub(super) fn has(self, controller: Controller) -> bool {
        self.0 & 1 << controller as u32 != 0
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Controller> {
        Controller::ALL.into_iter().filter(move |controller| self.has(*controller))
    }
}

impl From<Vec<Controller>> for Controllers {
    fn from(list: Vec<Controller>) -> Self {
        list.into_iter().collect()
    }
}

impl FromIterator<Controller> for Controllers {
    fn from_iter<I: IntoIterator<Item = Controller>>(list: I) -> Self {
        list.into_iter().fold(Self::default(), |mut all, controller| {
            all.add(controller);
            all
        })
    }
}

impl From<Controllers> for Vec<Controller> {
    fn from(all: Controllers) -> Self {
        all.iter().collect()
    }
}
