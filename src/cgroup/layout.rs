//! Which directories a container's cgroup has: decided first ([`Cgroup::plan`]), written into the container's record,
//! then made ([`Layout::make`]).
//!
//! A container's directory stands right in the place that [`hierarchies()`] found and is called ctr-NAME, without a
//! directory of ours around it: that one would be left behind, or cost each container a second mkdir and rmdir.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};
use std::sync::{Arc, OnceLock};

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::controller::{At, Controller, Controllers, Lack, Version, Wanted, When};
use super::devices;
use super::directory::Directory;
use super::held::{Cgroup, Held};
use super::hierarchies::{Caller, Home, hand_on, hierarchies};
use super::inside::Inside;
use super::limits::Limits;
use super::place::Place;
use crate::plan::quote;
use crate::{CgroupPolicy, Error, ErrorCode, Limit, Result, Step};

/// What a container's cgroup directory is called: this and its name.
pub(super) const PREFIX: &str = "ctr-";

/// The directories of a container that is to be made.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Every directory that may ever be made, those that may come late behind the others.
    places: Vec<Place>,
    limits: Limits,
    /// Where it stands, in words.
    where_it_is: String,
    /// What of it is to be seen inside.
    inside: Arc<Inside>,
}

/// What is decided about a container's cgroup.
#[derive(Debug)]
pub(crate) struct Planned {
    /// None is a container without one.
    pub(crate) layout: Option<Layout>,
    /// Limits that were asked for and can't be had, in words, where the policy lets that pass.
    pub(crate) dropped: Vec<String>,
}

/// Where it can go.
pub(super) struct Homes<'a> {
    /// Of those controllers that somebody may want.
    pub(super) of: [Option<Cow<'a, Home>>; Controller::ALL.len()],
    /// See [`super::hierarchies::Hierarchies`].
    pub(super) plain: Option<&'a Path>,
    /// The caller has chosen the parent.
    pub(super) chosen: bool,
}

impl Homes<'_> {
    fn of(&self, controller: Controller) -> Option<&Home> {
        self.of[controller as usize].as_deref()
    }

    /// Where a controller can be had.
    fn place(&self, controller: Controller) -> Option<(Version, &Path)> {
        let v1 = self.v1(controller).map(|path| (Version::V1, path));
        v1.or_else(|| self.v2(controller).map(|path| (Version::V2, path)))
    }

    fn v1(&self, controller: Controller) -> Option<&Path> {
        match self.of(controller) {
            Some(Home::V1(path)) => Some(path),
            _ => None,
        }
    }

    fn v2(&self, controller: Controller) -> Option<&Path> {
        match self.of(controller) {
            Some(Home::V2(path)) => Some(path),
            _ => None,
        }
    }
}

impl Cgroup {
    /// Decides where the cgroup of the container `name` goes. Nothing is made.
    pub(crate) fn plan(name: &str, limits: &Limits, policy: CgroupPolicy, caller: Caller<'_>) -> Result<Planned> {
        if let Some(parent) = caller.parent {
            check_parent(parent, policy)?;
        }
        let hierarchies = hierarchies(caller);
        let homes = Homes {
            of: Controller::ALL.map(|controller| hierarchies.home(controller, limits.need(controller), caller)),
            plain: hierarchies.plain.as_deref(),
            chosen: caller.insists,
        };
        let mut planned = decide(name, limits, policy, &homes)?;
        if let Some(layout) = &mut planned.layout {
            layout.where_it_is = where_it_is(layout, hierarchies.own.as_deref(), caller.parent.is_some());
            layout.inside = Arc::new(Inside::of(layout.first(), &layout.limits, caller, &hierarchies));
        }
        Ok(planned)
    }
}

/// A parent is a path below the hierarchies' mounts: nothing that leads out.
fn check_parent(parent: &Path, policy: CgroupPolicy) -> Result<()> {
    let bad = |why: &str| Err(Error::invalid(Step::UseCgroupParent, parent.display(), why));
    if policy == CgroupPolicy::Off {
        return bad("the cgroup policy is \"off\", so there is nothing to be below it");
    }
    if parent.as_os_str().is_empty() || parent.as_os_str().as_bytes().contains(&0) {
        return bad("it is empty, or has a NUL in it").map_err(|error| error.with_hint("write it as /batch/job1"));
    }
    if parent.components().any(|part| part == Component::ParentDir) {
        return bad("it has .. in it");
    }
    Ok(())
}

pub(super) fn decide(name: &str, limits: &Limits, policy: CgroupPolicy, homes: &Homes<'_>) -> Result<Planned> {
    let mut limits = limits.clone();
    let mut dropped = Vec::new();
    match policy {
        CgroupPolicy::Off if limits == Limits::default() => return Ok(Planned { layout: None, dropped }),
        CgroupPolicy::Off => {
            let why = "the cgroup policy is \"off\", and a limit needs a cgroup";
            return Err(Error::invalid(Step::LimitWithoutCgroup, name, why));
        }
        CgroupPolicy::Auto | CgroupPolicy::Required | CgroupPolicy::Optional => {}
    }
    for controller in Controller::ALL {
        let Some(Home::Missing(missing)) = homes.of(controller) else { continue };
        let lacking = || missing.error(controller.name());
        if policy == CgroupPolicy::Required && controller.when(Version::V1) == When::Always {
            return Err(lacking());
        }
        for limit in controller.limits() {
            let Some(value) = limits.numbers[limit as usize].take() else { continue };
            drop_limit(&mut dropped, policy, limit.rule().noun, &limit.text(value), &missing.words(), lacking)?;
        }
        for limit in controller.lists() {
            let Some(list) = limits.lists[limit as usize].take() else { continue };
            drop_limit(&mut dropped, policy, limit.rule().noun, &list, &missing.words(), lacking)?;
        }
    }
    for limit in Limit::ALL {
        let rule = limit.rule();
        let Some(value) = limits.get(limit) else { continue };
        let Some((version, parent)) = homes.place(rule.controller) else { continue };
        let with_memory = limits.get(Limit::Memory).is_some();
        let Some(lack) = (rule.lacks)(Wanted { version, parent, with_memory }) else { continue };
        limits.numbers[limit as usize] = None;
        let text = limit.text(value);
        drop_limit(&mut dropped, policy, rule.noun, &text, lack.why, || lacks(rule.noun, &text, &lack))?;
    }
    let directory = format!("{PREFIX}{name}");
    // Without controllers of its own it can be where it can't have any, and the limits of that place hold for it.
    let unlimited = limits.is_empty() && policy != CgroupPolicy::Required;
    let above = homes.v2(Controller::Memory);
    if let Some(plain) = homes.plain.filter(|plain| unlimited && (homes.chosen || has_limits(plain, above))) {
        let layout = Layout::without_controllers(&directory, limits, plain, homes.v1(Controller::Devices));
        return Ok(Planned { layout: Some(layout), dropped });
    }
    let layout = Layout::new(&directory, limits, homes);
    match homes.of(Controller::Memory) {
        Some(Home::Missing(missing)) if homes.chosen && layout.is_none() => {
            Err(missing.error(Controller::Memory.name()))
        }
        _ => Ok(Planned { layout, dropped }),
    }
}

/// Lets a limit go that can't be had, where that is let pass.
fn drop_limit(
    dropped: &mut Vec<String>,
    policy: CgroupPolicy,
    noun: &str,
    value: &str,
    why: &str,
    error: impl FnOnce() -> Error,
) -> Result<()> {
    if policy != CgroupPolicy::Optional {
        return Err(error());
    }
    dropped.push(format!("the {noun} limit of {value} can't be had: {why}"));
    Ok(())
}

/// What whoever asks for a limit is told that is not to be had where its controller is.
pub(super) fn lacks(noun: &str, value: &str, lack: &Lack) -> Error {
    let limit = format!("{noun} limit of {value}");
    Error::new(ErrorCode::Unsupported, Step::SetLimit, limit, libc::EOPNOTSUPP, lack.why).with_hint(format!(
        "{}; or {}",
        lack.hint,
        crate::hints::NO_CGROUP
    ))
}

/// Whether a cgroup of v2, or one above it below `end`, has a limit that somebody chose for it. `pids.max` is none of these:
/// systemd sets it for every service.
fn has_limits(path: &Path, end: Option<&Path>) -> bool {
    const LIMITS: [(&str, &str); 5] = [
        ("memory.max", "max"),
        ("memory.high", "max"),
        ("memory.swap.max", "max"),
        ("cpu.max", "max 100000"),
        ("cpuset.cpus", ""),
    ];
    let Some(end) = end else { return false };
    let limited = |path: &Path| {
        LIMITS.iter().any(|(file, none)| {
            crate::sys::file::read_to_string(path.join(file)).is_ok_and(|text| text.trim() != *none)
        })
    };
    path.ancestors().take_while(|path| *path != end && path.starts_with(end)).any(limited)
}

/// Where it stands, seen from the caller whose own cgroup is `own`, and what that means.
fn where_it_is(layout: &Layout, own: Option<&Path>, chosen: bool) -> String {
    let Some(parent) = layout.places.first().and_then(|place| place.path().parent()) else { return String::new() };
    let shown = parent.display();
    let is_below = own.is_some_and(|own| own != parent && own.starts_with(parent));
    match () {
        () if chosen => format!("in {shown}, as chosen"),
        () if layout.is_plain() => format!(
            "in {shown}, the caller's own, without controllers, since that has processes: its limits hold, and the \
             container can have none of its own"
        ),
        () if own == Some(parent) => format!("in {shown}, the caller's own: its limits hold"),
        () if layout.clones_in() && is_below => format!(
            "in {shown}, beside the caller's own, which has processes and so can't hand controllers on: limits of that one \
             do not hold (systemd: Delegate=yes and DelegateSubgroup=; or choose a parent)"
        ),
        () => format!("in {shown}"),
    }
}

impl Layout {
    /// Whether a process is cloned into it, and doesn't join it later: v2.
    pub(crate) fn clones_in(&self) -> bool {
        self.v2().is_some()
    }

    /// Where it stands, in words.
    pub(crate) fn where_it_is(&self) -> &str {
        &self.where_it_is
    }

    /// What of it is to be seen inside.
    pub(crate) fn inside(&self) -> &Arc<Inside> {
        &self.inside
    }

    /// Every directory that the container may ever have.
    #[cfg(test)]
    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    /// Those that are made with it, in the order in which they are removed: for its record, before they exist.
    pub(crate) fn first(&self) -> impl DoubleEndedIterator<Item = &Place> {
        self.places.iter().filter(|place| self.is_made_first(place))
    }

    /// Those that the first limit makes.
    pub(crate) fn late(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| !self.is_made_first(place))
    }

    fn v2(&self) -> Option<&Place> {
        self.places.iter().find(|place| place.is(Version::V2))
    }

    /// Whether it is a directory of v2 that no controller counts.
    fn is_plain(&self) -> bool {
        let none = |place: &Place| !place.controllers.iter().any(Controller::is_handed_on);
        self.clones_in() && self.places.iter().all(none)
    }

    fn without_controllers(directory: &str, limits: Limits, parent: &Path, v1_devices: Option<&Path>) -> Self {
        let devices: Controllers = limits.devices.iter().map(|_| Controller::Devices).collect();
        let on_v2 = if v1_devices.is_some() { Controllers::default() } else { devices };
        let v2 = Place::new(Version::V2, parent.join(directory), on_v2);
        let v1 = v1_devices.map(|parent| Place::new(Version::V1, parent.join(directory), devices));
        Self {
            places: std::iter::once(v2).chain(v1).collect(),
            limits,
            where_it_is: String::new(),
            inside: Arc::default(),
        }
    }

    fn new(directory: &str, limits: Limits, homes: &Homes<'_>) -> Option<Self> {
        let mut places: Vec<Place> = Vec::with_capacity(2);
        let wanted = |controller: &Controller| controller.when(Version::V1) == When::Always || limits.need(*controller);
        // A process is in one directory of v2. Of several that could be it, the uppermost has what those below it have.
        let parents = Controller::ALL.into_iter().filter(wanted).filter_map(|controller| homes.v2(controller));
        if let Some(parent) = parents.min_by_key(|path| path.as_os_str().len()) {
            let is_here = |controller: &Controller| homes.v2(*controller).is_some_and(|home| home.starts_with(parent));
            let here = Controller::ALL.into_iter().filter(is_here).collect();
            places.push(Place::new(Version::V2, parent.join(directory), here));
        }
        for controller in Controller::ALL {
            let Some(parent) = homes.v1(controller) else { continue };
            // Without another one nobody could tell a later directory which processes to move into it.
            if !wanted(&controller) && (places.is_empty() || !controller.row().late_on_v1) {
                continue;
            }
            let path = parent.join(directory);
            // One hierarchy may have several controllers.
            match places.iter_mut().find(|place| place.path() == path) {
                Some(place) => place.controllers.add(controller),
                None => places.push(Place::new(Version::V1, path, [controller].into_iter().collect())),
            }
        }
        (!places.is_empty()).then_some(Self { places, limits, where_it_is: String::new(), inside: Arc::default() })
    }

    /// Whether the directory is made with the container.
    fn is_made_first(&self, place: &Place) -> bool {
        !place.may_come_late() || place.controllers.iter().any(|controller| self.limits.need(controller))
    }

    /// Makes the directories and sets the limits. When it fails, nothing is left.
    pub(crate) fn make(&self) -> Result<Cgroup> {
        let mut held = Vec::with_capacity(self.places.len());
        for place in &self.places {
            let made = if self.is_made_first(place) { self.make_one(place) } else { Ok(OnceLock::new()) };
            match made {
                Ok(made) => held.push(Held { place: place.clone(), made }),
                Err(error) => {
                    for held in held.iter().filter(|held| held.made.get().is_some()) {
                        let _ = unlinkat(AT_FDCWD, held.place.path(), UnlinkatFlags::RemoveDir);
                    }
                    return Err(error);
                }
            }
        }
        Ok(Cgroup::new(held))
    }

    fn make_one(&self, place: &Place) -> Result<OnceLock<Directory>> {
        let directory = Directory::make(place.path())?;
        let limited = match place.is(Version::V2) {
            true => self.limit_v2(place, &directory),
            false => self.limit(At::V1(&directory), place).map_err(|e| e.told(&directory)),
        };
        let rules = self.limits.devices.as_deref().filter(|_| place.controllers.has(Controller::Devices));
        limited
            .and_then(|()| match rules {
                Some(rules) if place.is(Version::V2) => devices::allow_v2(&directory, rules),
                Some(rules) => devices::allow_v1(&directory, rules),
                None => Ok(()),
            })
            .inspect_err(|_| {
                let _ = unlinkat(AT_FDCWD, place.path(), UnlinkatFlags::RemoveDir);
            })?;
        Ok(OnceLock::from(directory))
    }

    /// A directory of v2 has a controller's files once its parent hands the controller on, so that is tried only when
    /// they aren't there: the first container of a machine pays for it.
    fn limit_v2(&self, place: &Place, directory: &Directory) -> Result<()> {
        let here = place.controllers.iter().filter(|controller| self.is_handed(*controller));
        match self.limit(At::V2(directory), place) {
            Err(error) if error.is_off() => {
                hand_on(directory, here)?;
                self.limit(At::V2(directory), place)
            }
            other => other,
        }
        .map_err(|e| e.told(directory))
    }

    /// Whether a directory of v2 is to have the controller from the start.
    fn is_handed(&self, controller: Controller) -> bool {
        controller.is_handed_on() && (controller.when(Version::V2) == When::Always || self.limits.need(controller))
    }

    /// Sets the limits of one directory; on v2 it is ENOENT too where a controller's files are not there.
    fn limit(&self, at: At<'_>, place: &Place) -> std::result::Result<(), NotSet> {
        for controller in place.controllers.iter() {
            for limit in controller.limits() {
                if let Some(value) = self.limits.get(limit) {
                    let fail = |errno| NotSet::Number { limit, value, errno };
                    (limit.rule().set_first)(at, value, &self.limits.numbers).map_err(fail)?;
                }
            }
            for limit in controller.lists() {
                if let Some(list) = self.limits.list(limit) {
                    (limit.rule().set_first)(at, list).map_err(NotSet::List)?;
                }
            }
            let unseen = matches!(at, At::V2(_)) && self.is_handed(controller) && !self.limits.need(controller);
            if unseen && !at.directory().has(controller.row().v2_file) {
                return Err(NotSet::Off(controller));
            }
        }
        Ok(())
    }

    /// The same by hand: shell commands, each with what it is for.
    pub(crate) fn commands(&self) -> Vec<(String, String)> {
        let mut commands = Vec::new();
        let made: Vec<&Place> = self.first().collect();
        let mut first = true;
        for place in &made {
            let quoted = |file: &str| quote(&place.path().join(file).to_string_lossy());
            let mut add = |command: String, why: &str| commands.push((command, why.to_string()));
            let handed: Vec<_> = place.controllers.iter().filter(|it| self.is_handed(*it)).collect();
            if place.is(Version::V2) && !handed.is_empty() {
                let words: Vec<_> = handed.iter().map(|controller| format!("+{}", controller.name())).collect();
                let parent = place.path().parent().unwrap_or(place.path()).join("cgroup.subtree_control");
                let parent = quote(&parent.to_string_lossy());
                add(format!("echo {} > {parent}", words.join(" ")), "v2 counts only what is handed on");
            }
            let purpose = match (place.is(Version::V2), place.controllers.iter().next()) {
                (false, Some(controller)) if !first => controller.row().purpose.to_string(),
                (false, Some(controller)) => {
                    format!("the container's {} cgroup, {}", controller.name(), self.where_it_is)
                }
                _ => format!("the container's cgroup, {}", self.where_it_is),
            };
            first = false;
            add(format!("mkdir {}", quoted("")), &purpose);
            let version = if place.is(Version::V2) { Version::V2 } else { Version::V1 };
            for limit in place.controllers.iter().flat_map(Controller::limits) {
                let Some(value) = self.limits.get(limit) else { continue };
                for (value, file, why) in (limit.rule().first_files)(version, value, &self.limits.numbers) {
                    add(format!("echo {value} > {}", quoted(file)), why);
                }
            }
            for limit in place.controllers.iter().flat_map(Controller::lists) {
                let Some(list) = self.limits.list(limit) else { continue };
                commands.extend((limit.rule().commands)(version, place.path(), list));
            }
            if let Some(rules) = self.limits.devices.as_ref().filter(|_| place.controllers.has(Controller::Devices)) {
                commands.extend(devices::commands(version, place.path(), rules));
            }
        }
        for place in made {
            let file = if place.is(Version::V2) { "cgroup.procs" } else { "tasks" };
            let file = quote(&place.path().join(file).to_string_lossy());
            let why = "PID 1 goes in, and all its children are cloned there";
            commands.push((format!("echo $$ > {file}"), why.into()));
        }
        commands
    }
}

/// A limit that the kernel did not take.
enum NotSet {
    Number {
        limit: Limit,
        value: u64,
        errno: Errno,
    },
    List(Error),
    /// v2: its files are not there.
    Off(Controller),
}

impl NotSet {
    /// Whether it may be that the controller has not been handed on.
    fn is_off(&self) -> bool {
        match self {
            Self::Number { errno, .. } => *errno == Errno::ENOENT,
            Self::List(error) => error.code() == ErrorCode::Unsupported,
            Self::Off(_) => true,
        }
    }

    fn told(self, directory: &Directory) -> Error {
        if directory.is_removed() {
            return directory.gone();
        }
        let (noun, value, errno, hint) = match self {
            Self::List(error) => return error,
            Self::Off(controller) => (controller.name(), String::new(), Errno::ENOENT, ""),
            Self::Number { limit, value, errno } => {
                let rule = limit.rule();
                let hint = if errno == Errno::EINVAL { rule.einval } else { "" };
                (rule.noun, format!(" of {}", limit.text(value)), errno, hint)
            }
        };
        let limit = format!("{noun} limit{value} of {}", directory.path.display());
        let error = Error::system(Step::SetLimit, limit, errno as i32);
        match errno {
            Errno::ENOENT => error.with_code(ErrorCode::Unsupported).with_hint("this kernel has no file for it there"),
            _ if hint.is_empty() => error,
            _ => error.with_hint(hint),
        }
    }
}
