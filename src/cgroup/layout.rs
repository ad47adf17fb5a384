//! Which directories a container's cgroup has: decided first ([`Cgroup::plan`]), written into the container's record,
//! then made ([`Layout::make`]).
//!
//! A container's directory stands right in the place that [`hierarchies`] found and is called ctr-NAME, without a
//! directory of ours around it: that one would be left behind, or cost each container a second mkdir and rmdir.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, mkdir, unlinkat};

use super::hierarchies::{Caller, Home, Missing, devices_home};
use super::{Cgroup, Controller, Directory, LateDirectory, Limits, control, devices, hierarchies, memory};
use crate::plan::quote;
use crate::{CgroupPolicy, Error, ErrorCode, Result};

/// What a container's cgroup directory is called: this and its name.
pub(super) const PREFIX: &str = "ctr-";

/// The directories of a container that is to be made.
#[derive(Debug)]
pub(crate) struct Layout {
    /// What [`super::remove`] takes: every directory that may ever be made.
    paths: Vec<PathBuf>,
    v2: Option<PathBuf>,
    v1_memory: Option<PathBuf>,
    v1_devices: Option<PathBuf>,
    v1_pids: Option<PathBuf>,
    /// The controllers that the directory of v2 is to have.
    on_v2: Controllers,
    limits: Limits,
    /// Where it stands, in words.
    place: String,
}

#[derive(Clone, Copy, Debug, Default)]
struct Controllers {
    memory: bool,
    pids: bool,
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
    pub(super) memory: &'a Home,
    pub(super) pids: &'a Home,
    pub(super) devices: Option<&'a Home>,
    /// See [`super::hierarchies::Hierarchies`].
    pub(super) plain: Option<&'a Path>,
    /// The caller has chosen the parent.
    pub(super) chosen: bool,
}

impl Cgroup {
    /// Decides where the cgroup of the container `name` goes. Nothing is made.
    pub(crate) fn plan(name: &str, limits: &Limits, policy: CgroupPolicy, caller: Caller<'_>) -> Result<Planned> {
        if let Some(parent) = caller.parent {
            check_parent(parent, policy)?;
        }
        let hierarchies = hierarchies(caller);
        let devices = limits.devices.as_ref().map(|_| devices_home(caller));
        let homes = Homes {
            memory: &hierarchies.memory,
            pids: &hierarchies.pids,
            devices: devices.as_ref(),
            plain: hierarchies.plain.as_deref(),
            chosen: caller.insists,
        };
        let mut planned = decide(name, limits, policy, &homes)?;
        if let Some(layout) = &mut planned.layout {
            layout.place = place(layout, hierarchies.own.as_deref(), caller.parent.is_some());
        }
        Ok(planned)
    }
}

/// A parent is a path below the hierarchies' mounts: nothing that leads out.
fn check_parent(parent: &Path, policy: CgroupPolicy) -> Result<()> {
    let bad = |why: &str| Err(Error::invalid("use the cgroup parent", parent.display(), why));
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
    limits.check()?;
    let mut limits = limits.clone();
    let mut dropped = Vec::new();
    match policy {
        CgroupPolicy::Off if limits == Limits::default() => return Ok(Planned { layout: None, dropped }),
        CgroupPolicy::Off => {
            let why = "the cgroup policy is \"off\", and a limit needs a cgroup";
            return Err(Error::invalid("limit the container", name, why));
        }
        CgroupPolicy::Auto | CgroupPolicy::Required | CgroupPolicy::Optional => {}
    }
    let mut drop_limit = |limit: &mut Option<u64>, what: &str, missing: &Missing| {
        if let Some(limit) = limit.take() {
            dropped.push(format!("the {what} limit of {limit} can't be had: {}", missing.words()));
        }
    };
    if let Home::Missing(missing) = homes.memory {
        match policy {
            CgroupPolicy::Optional => drop_limit(&mut limits.memory, "memory", missing),
            CgroupPolicy::Auto if limits.memory.is_none() => {}
            _ => return Err(missing.error("memory")),
        }
    }
    if let Home::Missing(missing) = homes.pids {
        match policy {
            CgroupPolicy::Optional => drop_limit(&mut limits.pids, "process", missing),
            _ if limits.pids.is_none() => {}
            _ => return Err(missing.error("pids")),
        }
    }
    let directory = format!("{PREFIX}{name}");
    // Without controllers of its own it can be where it can't have any, and the limits of that place hold for it.
    let unlimited = limits.memory.is_none() && limits.pids.is_none() && policy != CgroupPolicy::Required;
    let above = match homes.memory {
        Home::V2(path) => Some(path.as_path()),
        _ => None,
    };
    if let Some(plain) = homes.plain.filter(|plain| unlimited && (homes.chosen || has_limits(plain, above))) {
        let here = Home::V2(plain.into());
        let devices = homes.devices.map(|home| if matches!(home, Home::V1(_)) { home } else { &here });
        return Ok(Planned { layout: Some(Layout::without_controllers(&directory, limits, plain, devices)), dropped });
    }
    let layout = Layout::new(&directory, limits, [homes.memory, homes.pids], homes.devices);
    match homes.memory {
        Home::Missing(missing) if homes.chosen && layout.is_none() => Err(missing.error("memory")),
        _ => Ok(Planned { layout, dropped }),
    }
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
fn place(layout: &Layout, own: Option<&Path>, chosen: bool) -> String {
    let Some(parent) = layout.paths.first().and_then(|path| path.parent()) else { return String::new() };
    let shown = parent.display();
    let is_below = own.is_some_and(|own| own != parent && own.starts_with(parent));
    match () {
        () if chosen => format!("in {shown}, as chosen"),
        () if layout.is_plain() => format!(
            "in {shown}, the caller's own, without controllers, since that has processes: its limits hold, and the \
             container can have none of its own"
        ),
        () if own == Some(parent) => format!("in {shown}, the caller's own: its limits hold"),
        () if layout.v2.is_some() && is_below => format!(
            "in {shown}, beside the caller's own, which has processes and so can't hand controllers on: limits of that one \
             do not hold (systemd: Delegate=yes and DelegateSubgroup=; or choose a parent)"
        ),
        () => format!("in {shown}"),
    }
}

impl Layout {
    /// Whether a process is cloned into it, and doesn't join it later: v2.
    pub(crate) fn clones_in(&self) -> bool {
        self.v2.is_some()
    }

    /// Where it stands, in words.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Whether it is a directory of v2 that no controller counts.
    fn is_plain(&self) -> bool {
        self.v2.is_some() && !self.on_v2.memory && !self.on_v2.pids && self.v1_memory.is_none()
    }

    fn without_controllers(directory: &str, limits: Limits, parent: &Path, devices: Option<&Home>) -> Self {
        let path = parent.join(directory);
        let v1_devices = match devices {
            Some(Home::V1(parent)) => Some(parent.join(directory)),
            _ => None,
        };
        Self {
            paths: std::iter::once(path.clone()).chain(v1_devices.clone()).collect(),
            v2: Some(path),
            v1_memory: None,
            v1_devices,
            v1_pids: None,
            on_v2: Controllers::default(),
            limits,
            place: String::new(),
        }
    }

    fn new(directory: &str, limits: Limits, [memory, pids]: [&Home; 2], devices: Option<&Home>) -> Option<Self> {
        let mut layout = Self {
            paths: Vec::with_capacity(2),
            v2: None,
            v1_memory: None,
            v1_devices: None,
            v1_pids: None,
            on_v2: Controllers::default(),
            limits,
            place: String::new(),
        };
        match memory {
            Home::V1(parent) => layout.v1_memory = Some(parent.join(directory)),
            Home::V2(parent) => {
                layout.v2 = Some(parent.join(directory));
                layout.on_v2.memory = true;
            }
            Home::Missing(_) => {}
        }
        match pids {
            // Without a memory cgroup nobody could tell a later pids cgroup which processes to move into it.
            Home::V1(parent) if layout.limits.pids.is_some() || layout.v1_memory.is_some() => {
                layout.v1_pids = Some(parent.join(directory));
            }
            Home::V2(parent) if layout.limits.pids.is_some() || layout.v2.is_some() => {
                layout.v2 = Some(parent.join(directory));
                layout.on_v2.pids = true;
            }
            _ => {}
        }
        match devices {
            Some(Home::V1(parent)) => layout.v1_devices = Some(parent.join(directory)),
            // Not a controller, so whichever directory there is will do.
            Some(Home::V2(parent)) => _ = layout.v2.get_or_insert_with(|| parent.join(directory)),
            _ => {}
        }
        for path in [&layout.v2, &layout.v1_memory, &layout.v1_devices, &layout.v1_pids].into_iter().flatten() {
            layout.paths.retain(|other| other != path);
            layout.paths.push(path.clone());
        }
        (!layout.paths.is_empty()).then_some(layout)
    }

    /// Every directory that the container may ever have, for its record, before they exist. On v1 the last one is the
    /// pids cgroup, which is only made when there is a limit.
    pub(crate) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Makes the directories and sets the limits. When it fails, nothing is left.
    pub(crate) fn make(&self) -> Result<Cgroup> {
        let mut made: [Option<&Path>; 4] = [None; 4];
        self.make_all(&mut made).inspect_err(|_| {
            for path in made.into_iter().flatten() {
                let _ = unlinkat(AT_FDCWD, path, UnlinkatFlags::RemoveDir);
            }
        })
    }

    fn make_all<'a>(&'a self, made: &mut [Option<&'a Path>; 4]) -> Result<Cgroup> {
        let mut cgroup = Cgroup { v2: None, v1_memory: None, v1_devices: None, v1_pids: LateDirectory::default() };
        let rules = self.limits.devices.as_deref().unwrap_or_default();
        if let Some(path) = &self.v2 {
            let directory = make_directory(path)?;
            made[0] = Some(path);
            self.limit_v2(&directory)?;
            if self.limits.devices.is_some() && self.v1_devices.is_none() {
                devices::allow_v2(&directory, rules)?;
            }
            cgroup.v2 = Some(directory);
        }
        if let Some(path) = &self.v1_memory {
            let directory = make_directory(path)?;
            made[1] = Some(path);
            if let Some(limit) = self.limits.memory {
                memory::set_first(Controller::V1(&directory), limit)
                    .map_err(|errno| directory.error("set the memory limit of", "", errno))?;
            }
            cgroup.v1_memory = Some(directory);
        }
        // One v1 hierarchy may have several controllers.
        let make = |path: &PathBuf, others: &[&Option<PathBuf>]| {
            if others.iter().any(|other| other.as_ref() == Some(path)) {
                Directory::open(path).map_err(|errno| Error::system("open cgroup", path.display(), errno as i32))
            } else {
                make_directory(path)
            }
        };
        if let Some(path) = &self.v1_devices {
            let directory = make(path, &[&self.v1_memory])?;
            made[2] = Some(path);
            devices::allow_v1(&directory, rules)?;
            cgroup.v1_devices = Some(directory);
        }
        if let Some(path) = &self.v1_pids {
            if let Some(limit) = self.limits.pids {
                let directory = make(path, &[&self.v1_memory, &self.v1_devices])?;
                made[3] = Some(path);
                directory.write("pids.max", &limit.to_string())?;
                cgroup.v1_pids.made = OnceLock::from(directory);
            }
            cgroup.v1_pids.path = Some(path.clone());
        }
        Ok(cgroup)
    }

    /// A directory of v2 has a controller's files once its parent hands the controller on, so that is tried only when
    /// they aren't there: the first container of a machine pays for it.
    fn limit_v2(&self, directory: &Directory) -> Result<()> {
        match self.try_limit_v2(directory) {
            Err(Errno::ENOENT) => {
                self.hand_on(directory)?;
                self.try_limit_v2(directory)
            }
            other => other,
        }
        .map_err(|errno| directory.error("set the limits of", "", errno))
    }

    fn try_limit_v2(&self, directory: &Directory) -> nix::Result<()> {
        match self.limits.memory {
            _ if !self.on_v2.memory => {}
            Some(limit) => memory::set_first(Controller::V2(directory), limit)?,
            None if directory.has("memory.max") => {}
            None => return Err(Errno::ENOENT),
        }
        match self.limits.pids {
            _ if !self.on_v2.pids => Ok(()),
            Some(limit) => control::write(&directory.fd, "pids.max", &limit.to_string()),
            None if directory.has("pids.max") => Ok(()),
            None => Err(Errno::ENOENT),
        }
    }

    fn hand_on(&self, directory: &Directory) -> Result<()> {
        let parent = directory.path.parent().unwrap_or(&directory.path);
        let control =
            Directory::open(parent).map_err(|errno| Error::system("open cgroup", parent.display(), errno as i32))?;
        for controller in hand_on_words(&control) {
            match control::write(&control.fd, "cgroup.subtree_control", controller) {
                Ok(()) => {}
                Err(Errno::EBUSY) => return Err(Missing::has_processes(parent).error(&controller[1..])),
                Err(errno) => return Err(control.error("write", "cgroup.subtree_control", errno)),
            }
        }
        Ok(())
    }

    /// The same by hand: shell commands, each with what it is for.
    pub(crate) fn commands(&self) -> Vec<(String, String)> {
        let mut commands = Vec::new();
        let mut add = |command: &str, path: PathBuf, why: &str| {
            commands.push((format!("{command}{}", quote(&path.to_string_lossy())), why.to_string()));
        };
        if let Some(path) = &self.v2 {
            let parent = path.parent().unwrap_or(path);
            if !self.is_plain() {
                add("echo +memory +pids > ", parent.join("cgroup.subtree_control"), "v2 counts only what is handed on");
            }
            add("mkdir ", path.clone(), &format!("the container's cgroup, {}", self.place));
        }
        if let Some(path) = &self.v1_memory {
            add("mkdir ", path.clone(), &format!("the container's memory cgroup, {}", self.place));
        }
        if let (Some(path), Some(limit)) = (self.v1_memory.as_ref().or(self.v2.as_ref()), self.limits.memory) {
            for (value, file, why) in memory::first_files(self.v1_memory.is_none(), limit) {
                add(&format!("echo {value} > "), path.join(file), why);
            }
        }
        let v1_pids = self.v1_pids.as_ref().filter(|_| self.limits.pids.is_some());
        if let Some(limit) = self.limits.pids {
            if let Some(path) = v1_pids {
                add("mkdir -p ", path.clone(), "its pids cgroup: processes and threads are counted here");
            }
            if let Some(path) = v1_pids.or(self.v2.as_ref()) {
                add(&format!("echo {limit} > "), path.join("pids.max"), "so many processes and threads: no fork bomb");
            }
        }
        if let Some(rules) = &self.limits.devices {
            let rules: Vec<_> = rules.iter().map(ToString::to_string).collect();
            let why = "these devices can be opened, and no others";
            match (&self.v1_devices, &self.v2) {
                (Some(path), _) => {
                    add("mkdir -p ", path.clone(), "its devices cgroup");
                    add("echo a > ", path.join("devices.deny"), "no device can be opened");
                    let words: Vec<_> = rules.iter().map(|rule| quote(rule)).collect();
                    let file = quote(&path.join("devices.allow").to_string_lossy());
                    let each = format!("for rule in {}; do echo \"$rule\" > {file}; done", words.join(" "));
                    commands.push((each, why.into()));
                }
                (None, Some(path)) => commands.push((
                    format!(
                        "# bpftool cgroup attach {} device …: {}",
                        quote(&path.to_string_lossy()),
                        rules.join(", ")
                    ),
                    format!("{why}: a program of BPF decides, for which a shell has no command"),
                )),
                (None, None) => {}
            }
        }
        let mut add = |command: &str, path: PathBuf, why: &str| {
            commands.push((format!("{command}{}", quote(&path.to_string_lossy())), why.to_string()));
        };
        let inside = self.v2.iter().map(|path| path.join("cgroup.procs"));
        for file in
            inside.chain(self.v1_memory.iter().chain(&self.v1_devices).chain(v1_pids).map(|path| path.join("tasks")))
        {
            add("echo $$ > ", file, "PID 1 goes in, and all its children are cloned there");
        }
        commands
    }
}

/// The controllers that a directory can still hand on, as `cgroup.subtree_control` wants them.
fn hand_on_words(parent: &Directory) -> impl Iterator<Item = &'static str> {
    ["+memory", "+pids"].into_iter().filter(|word| {
        control::has_word(&parent.fd, "cgroup.controllers", &word[1..])
            && !control::has_word(&parent.fd, "cgroup.subtree_control", &word[1..])
    })
}

/// mkdir and open.
pub(super) fn make_directory(path: &Path) -> Result<Directory> {
    mkdir(path, Mode::from_bits_truncate(0o755)).map_err(|errno| {
        let error = Error::system("make cgroup", path.display(), errno as i32);
        match errno {
            Errno::EEXIST => error.with_code(ErrorCode::NameInUse).with_hint(format!(
                "a container of that name runs in another state directory, or was left by one that is lost; if nothing \
                 runs in it: rmdir {}",
                path.display()
            )),
            _ => error,
        }
    })?;
    Directory::open(path).map_err(|errno| {
        let _ = unlinkat(AT_FDCWD, path, UnlinkatFlags::RemoveDir);
        Error::system("open cgroup", path.display(), errno as i32)
    })
}
