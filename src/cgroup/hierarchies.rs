//! Which controllers this machine has, in which version, and where this process may make cgroups: below the caller's own
//! cgroup, so that its limits hold for what it runs, or below a parent that it chooses.
//!
//! On v1 that is always so where the caller's cgroup may be written to. On v2 a cgroup with processes can't hand controllers
//! on to those below it, cgroups(7), and the caller's own has at least the caller: there the nearest one above that can is
//! the parent, and the container stands beside its caller. One that needs no controllers can be below it all the same.

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, FsType, statfs};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, faccessat, geteuid};

use super::control;
use super::controller::{Controller, Controllers, Version};
use super::directory::{Directory, open_failed};
use super::missing::Missing;
use super::place::Place;
use crate::{CgroupPolicy, Error, Step};

/// Where nearly every system has its cgroups; another place is looked up in mountinfo.
const MOUNT: &str = "/sys/fs/cgroup";

/// Hierarchies of v1 that a JVM looks for before it believes any limit: see `inside`.
const EXPECTED: [&str; 3] = ["cpu", "cpuacct", "cpuset"];

/// Where a container's directories go.
#[derive(Debug)]
pub(crate) struct Hierarchies {
    /// Of the controllers of v2. One that few containers are limited by is none where it may come to be there; then, as for
    /// devices, it is looked up for those that are.
    homes: [Option<Home>; Controller::ALL.len()],
    /// v2: the caller's own cgroup, or the chosen parent, where it can't hand controllers on but may be written to.
    pub(super) plain: Option<PathBuf>,
    /// The caller's own cgroup, of those that count memory.
    pub(super) own: Option<PathBuf>,
    /// v1: those of [`EXPECTED`], by what their directories are called, and the caller's own cgroups there.
    pub(super) expected: Vec<(String, PathBuf)>,
}

/// Who asks: its cgroups, and the parent that it chose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    /// The text of /proc/thread-self/cgroup, cgroups(7).
    pub(crate) cgroups: &'a str,
    /// Absolute: from the mount of the hierarchy on; else from the caller's own cgroup.
    pub(crate) parent: Option<&'a Path>,
    /// It was chosen for this container, and not by the environment for all: without it there is no container.
    pub(crate) insists: bool,
}

/// The place for one controller: the parent of the containers' directories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Home {
    V1(PathBuf),
    V2(PathBuf),
    Missing(Missing),
}

/// Looked up once for each effective user id, cgroup and parent, one after another: a program that drops its privileges, or
/// is moved, after its first container gets what it may use now.
pub(crate) fn hierarchies(caller: Caller<'_>) -> Arc<Hierarchies> {
    type Known = (u32, String, Option<PathBuf>, Arc<Hierarchies>);
    static KNOWN: Mutex<Option<Known>> = Mutex::new(None);
    let user = geteuid().as_raw();
    // Never waits: in the child of a fork(2) the lock may be held by a thread that isn't there.
    if let Ok(known) = KNOWN.try_lock()
        && let Some((of, cgroups, parent, hierarchies)) = &*known
        && *of == user
        && *cgroups == caller.cgroups
        && parent.as_deref() == caller.parent
    {
        return Arc::clone(hierarchies);
    }
    let found = Arc::new(Hierarchies::probe(caller));
    // A parent that is not there may be made, as the error says, and is then found.
    let to_be_made = caller.parent.is_some() && found.homes.iter().flatten().any(Home::is_not_there);
    if !to_be_made && let Ok(mut known) = KNOWN.try_lock() {
        *known = Some((user, caller.cgroups.into(), caller.parent.map(Into::into), Arc::clone(&found)));
    }
    found
}

/// The place for one controller.
pub(super) fn home(controller: Controller, caller: Caller<'_>) -> Home {
    Mounts::find([controller].into_iter().collect()).home(controller, caller)
}

/// Whether a process with these lines of /proc/PID/cgroup is in a hierarchy of v1 that has the controller.
pub(super) fn is_below(cgroups: &str, controller: Controller) -> bool {
    Caller { cgroups, parent: None, insists: false }.path(controller.v1_name()).is_some()
}

/// Whether such a process has this hierarchy of v1 together with the controller.
pub(super) fn is_together(cgroups: &str, name: &str, controller: Controller) -> bool {
    let caller = Caller { cgroups, parent: None, insists: false };
    let of = caller.hierarchy(name).map(|(controllers, _)| controllers);
    of.is_some_and(|of| of.split(',').any(|found| found == controller.v1_name()))
}

/// Of a hierarchy of v1 by its name: where the caller is in it, and where it may make cgroups.
pub(super) fn v1_hierarchy(name: &str, caller: Caller<'_>) -> Option<(PathBuf, Home)> {
    caller.hierarchy(name)?;
    let mount = v1_mount(name)?;
    Some((caller.below(&mount, name)?, v1_home(&mount, name, caller)))
}

/// The directory of v1 that such a process is in, for one controller.
pub(super) fn own_of(controller: Controller, cgroups: &str) -> Option<Place> {
    let mounts = Mounts::find([controller].into_iter().collect());
    let caller = Caller { cgroups, parent: None, insists: false };
    let path = caller.below(mounts.v1(controller)?, controller.v1_name())?;
    Some(Place::new(Version::V1, path, [controller].into_iter().collect()))
}

/// The directories that a process with these lines of /proc/PID/cgroup is in, in every hierarchy in which a container may have one.
pub(super) fn own(cgroups: &str) -> Vec<Place> {
    let caller = Caller { cgroups, parent: None, insists: false };
    let mounts = Mounts::find(Controller::ALL.into_iter().collect());
    let on_v2 = Controller::ALL.into_iter().filter(|controller| mounts.v1(*controller).is_none()).collect();
    let v2 = mounts.v2.as_deref().and_then(|mount| caller.below(mount, ""));
    let mut own: Vec<Place> = v2.into_iter().map(|path| Place::new(Version::V2, path, on_v2)).collect();
    for controller in Controller::ALL {
        let mount = mounts.v1(controller);
        let Some(path) = mount.and_then(|mount| caller.below(mount, controller.v1_name())) else { continue };
        // One hierarchy may have several controllers.
        match own.iter_mut().find(|place| place.path == path) {
            Some(place) => place.controllers.add(controller),
            None => own.push(Place::new(Version::V1, path, [controller].into_iter().collect())),
        }
    }
    own
}

/// Those that are looked up once. The others few containers ask for.
fn looked_up() -> Controllers {
    [Controller::Memory, Controller::Pids, Controller::Cpu, Controller::Freezer].into_iter().collect()
}

impl Hierarchies {
    fn probe(caller: Caller<'_>) -> Self {
        let mounts = Mounts::find(looked_up());
        let mut homes = [const { None }; Controller::ALL.len()];
        for controller in looked_up().iter() {
            let home = mounts.home(controller, caller);
            let counts = match controller {
                // Each directory of v2 has it.
                Controller::Freezer => matches!(home, Home::V1(_)),
                _ => controller.is_usual() || !home.is_not_there(),
            };
            homes[controller as usize] = counts.then_some(home);
        }
        let first = |mount: &Path, controller| caller.places(mount, controller).into_iter().next();
        let in_tree = mounts.v2.as_deref().and_then(|mount| first(mount, ""));
        let own = match mounts.v1(Controller::Memory) {
            Some(mount) => first(mount, Controller::Memory.v1_name()),
            None => in_tree.clone(),
        };
        let is_home = |path: &PathBuf| homes.iter().flatten().any(|home| home.path() == Some(path.as_path()));
        let plain = in_tree.filter(|path| !is_home(path) && may_hold(path));
        let expected = if mounts.v1(Controller::Memory).is_some() { caller.expected() } else { Vec::new() };
        Self { homes, plain, own, expected }
    }

    #[cfg(test)]
    pub(super) fn with_expected(expected: Vec<(String, PathBuf)>) -> Self {
        Self { homes: [const { None }; Controller::ALL.len()], plain: None, own: None, expected }
    }

    /// The place for one controller, where it is known or needed.
    pub(super) fn home(&self, controller: Controller, needed: bool, caller: Caller<'_>) -> Option<Cow<'_, Home>> {
        let known = self.homes[controller as usize].as_ref().map(Cow::Borrowed);
        known.or_else(|| needed.then(|| Cow::Owned(home(controller, caller))))
    }
}

impl Home {
    fn path(&self) -> Option<&Path> {
        match self {
            Self::V1(path) | Self::V2(path) => Some(path),
            Self::Missing(_) => None,
        }
    }

    fn is_not_there(&self) -> bool {
        matches!(self, Self::Missing(missing) if missing.errno == libc::ENOENT)
    }
}

/// The mount points.
#[derive(Debug, Default)]
struct Mounts {
    v1: [Option<PathBuf>; Controller::ALL.len()],
    /// Looked for where one of the controllers is in no hierarchy of v1.
    v2: Option<PathBuf>,
}

impl Mounts {
    fn find(wanted: Controllers) -> Self {
        let mut found = Self::default();
        for controller in wanted.iter() {
            found.v1[controller as usize] = usual_v1(controller.v1_name());
        }
        let lacks_v1 = |found: &Self| wanted.iter().any(|controller| found.v1(controller).is_none());
        if lacks_v1(&found) {
            let v2 = [PathBuf::from(MOUNT), Path::new(MOUNT).join("unified")];
            found.v2 = v2.into_iter().find(|path| is(path, CGROUP2_SUPER_MAGIC));
        }
        // The list of mounts may be long, so it is read only where the usual places lack something.
        let unified = found.v2.as_deref() == Some(Path::new(MOUNT));
        if lacks_v1(&found) && !unified {
            found.complete(wanted, &crate::sys::file::read_to_string("/proc/self/mountinfo").unwrap_or_default());
        }
        found
    }

    fn complete(&mut self, wanted: Controllers, mountinfo: &str) {
        for controller in wanted.iter() {
            let v1 = &mut self.v1[controller as usize];
            *v1 = v1.take().or_else(|| mounted(mountinfo, "cgroup", Some(controller.v1_name())));
        }
        self.v2 = self.v2.take().or_else(|| mounted(mountinfo, "cgroup2", None));
    }

    fn v1(&self, controller: Controller) -> Option<&Path> {
        self.v1[controller as usize].as_deref()
    }

    fn home(&self, controller: Controller, caller: Caller<'_>) -> Home {
        if let Some(mount) = self.v1(controller) {
            return v1_home(mount, controller.v1_name(), caller);
        }
        match &self.v2 {
            None => Home::Missing(Missing::not_mounted()),
            Some(mount) if controller.is_handed_on() => v2_home(mount, controller.name(), caller),
            Some(mount) => match caller.places(mount, "").into_iter().find(|path| may_hold(path)) {
                Some(path) => Home::V2(path),
                None => Home::Missing(Missing::not_writable(
                    Version::V2,
                    mount,
                    writable(mount).err().unwrap_or(Errno::EACCES),
                )),
            },
        }
    }
}

fn is(path: &Path, kind: FsType) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == kind)
}

/// Where a controller of v1 is mounted, if that is the usual place.
fn usual_v1(name: &str) -> Option<PathBuf> {
    Some(Path::new(MOUNT).join(name)).filter(|path| is(path, CGROUP_SUPER_MAGIC))
}

/// Where a controller of v1 is mounted.
fn v1_mount(name: &str) -> Option<PathBuf> {
    let listed = || mounted(&crate::sys::file::read_to_string("/proc/self/mountinfo").ok()?, "cgroup", Some(name));
    usual_v1(name).or_else(listed)
}

/// Where a file system of this kind is mounted, and with this controller, from the lines of mountinfo, proc_pid_mountinfo(5):
/// the mount point is the fifth field, after a lone dash come the type, the source and the options of the file system, among
/// them the controllers of v1.
fn mounted(mountinfo: &str, kind: &str, controller: Option<&str>) -> Option<PathBuf> {
    let of_it = |filesystem: &str| {
        let mut fields = filesystem.split(' ');
        let of_kind = fields.next() == Some(kind);
        let options = fields.nth(1).unwrap_or_default();
        of_kind && controller.is_none_or(|controller| options.split(',').any(|option| option == controller))
    };
    let mut lines = mountinfo.lines().filter_map(|line| line.split_once(" - "));
    // Spaces and such are octal there; nobody mounts cgroups on such a path, and a wrong guess is only not found.
    lines.find_map(|(mount, filesystem)| mount.split(' ').nth(4).filter(|_| of_it(filesystem)).map(PathBuf::from))
}

/// What of the file system is mounted at this place: the fourth field of the last line that has it.
fn root_of<'m>(mountinfo: &'m str, mount: &Path) -> Option<&'m str> {
    let fields = mountinfo.lines().rev().map(|line| line.split(' ').skip(3));
    let mut found = fields.filter_map(|mut fields| Some((fields.next()?, fields.next()?)));
    found.find(|(_, place)| Path::new(place) == mount).map(|(root, _)| root)
}

/// What the directory of a hierarchy is called: its controllers, "cpu,cpuacct", and not the name that it may have.
pub(super) fn called(controllers: &str) -> String {
    controllers.split(',').filter(|name| !name.starts_with("name=")).collect::<Vec<_>>().join(",")
}

impl<'a> Caller<'a> {
    /// The controllers of the hierarchy that has this one, and the path of the caller's cgroup in it.
    pub(super) fn hierarchy(&self, controller: &str) -> Option<(&'a str, &'a str)> {
        self.cgroups.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            controllers.split(',').any(|found| found == controller).then_some((controllers, path))
        })
    }

    /// See [`Hierarchies::expected`].
    fn expected(&self) -> Vec<(String, PathBuf)> {
        let mut expected: Vec<(String, PathBuf)> = Vec::new();
        for controller in EXPECTED {
            let Some((controllers, _)) = self.hierarchy(controller) else { continue };
            let name = called(controllers);
            if expected.iter().all(|(known, _)| *known != name)
                && let Some(path) = v1_mount(controller).and_then(|mount| self.below(&mount, controller))
            {
                expected.push((name, path));
            }
        }
        expected
    }

    /// Where it is below the mount point; the controller `""` is the tree of v2. One outside the cgroup namespace ("/..")
    /// is of no use.
    fn below(&self, mount: &Path, controller: &str) -> Option<PathBuf> {
        self.found(mount, controller).map(|(own, _)| own)
    }

    /// The same, and whether there is such a directory.
    fn found(&self, mount: &Path, controller: &str) -> Option<(PathBuf, bool)> {
        let path = self.path(controller)?;
        let mut own = mount.to_path_buf();
        own.extend(path.split('/').filter(|part| !part.is_empty()));
        if own.exists() {
            return Some((own, true));
        }
        // A part of the tree is mounted, as in a docker container that is in the host's cgroup namespace.
        let mountinfo = crate::sys::file::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let rest = root_of(&mountinfo, mount).and_then(|root| Path::new(path).strip_prefix(root).ok());
        let Some(rest) = rest else { return Some((own, false)) };
        let own: PathBuf = mount.components().chain(rest.components()).collect();
        let is_there = own.exists();
        Some((own, is_there))
    }

    /// Its path in the hierarchy that has this controller.
    fn path(&self, controller: &str) -> Option<&'a str> {
        let (_, path) = self.hierarchy(controller)?;
        (!path.split('/').any(|part| part == "..")).then_some(path)
    }

    /// Where a container may go below `mount`, best first: the chosen parent alone, or the caller's own cgroup, the ones
    /// above it, and the mount itself, which may be the only one of them that is to be seen here.
    fn places(&self, mount: &Path, controller: &str) -> Vec<PathBuf> {
        if let Some(parent) = self.parent {
            let from = if parent.is_absolute() { None } else { self.below(mount, controller) };
            let mut chosen = from.unwrap_or_else(|| mount.to_path_buf());
            chosen.extend(parent.components().filter(|part| matches!(part, Component::Normal(_))));
            return vec![chosen];
        }
        let own = self.found(mount, controller).filter(|(_, is_there)| *is_there).map(|(own, _)| own);
        let above = own.iter().flat_map(|own| own.ancestors()).take_while(|path| path.starts_with(mount));
        let mut places: Vec<_> = above.map(PathBuf::from).collect();
        if places.is_empty() {
            places.push(mount.into());
        }
        places
    }
}

/// v1: the caller's own cgroup where this user may make cgroups there, else the hierarchy's root.
fn v1_home(mount: &Path, controller: &str, caller: Caller<'_>) -> Home {
    let places = caller.places(mount, controller);
    let ends = places.first().into_iter().chain(places.last().filter(|_| places.len() > 1));
    let mut missing = None;
    for place in ends {
        match writable(place) {
            Ok(()) => return Home::V1(place.clone()),
            Err(errno) => missing = Some(Missing::not_writable(Version::V1, place, errno)),
        }
    }
    Home::Missing(missing.unwrap_or_else(Missing::not_mounted))
}

/// v2: the caller's own cgroup, or the nearest one above that is this user's and can hand the controller on. The caller's own
/// has processes and so mostly can't; under systemd what can is a slice.
fn v2_home(mount: &Path, controller: &str, caller: Caller<'_>) -> Home {
    let mut missing = None;
    for candidate in caller.places(mount, "") {
        match v2_usable(&candidate, controller) {
            Ok(()) => return Home::V2(candidate),
            // The first directory has processes; one that isn't ours ends the walk and is what is worth knowing, unless those below
            // it are ours and lack nothing but the controller: then it is the uppermost of these to which it has to be handed on.
            Err(why) => {
                let foreign = why.errno == libc::EACCES;
                let undelegated = |missing: &Missing| missing.errno == libc::ENOENT;
                let known = missing.as_ref().is_some_and(undelegated);
                if missing.is_none() || foreign && !known || undelegated(&why) {
                    missing = Some(why);
                }
                if foreign {
                    break;
                }
            }
        }
    }
    Home::Missing(missing.unwrap_or_else(Missing::not_mounted))
}

/// Whether this user may make a cgroup there, and processes that are cloned into it.
fn may_hold(path: &Path) -> bool {
    writable(path).is_ok() && writable(&path.join("cgroup.procs")).is_ok()
}

fn v2_usable(path: &Path, controller: &str) -> Result<(), Missing> {
    let procs = path.join("cgroup.procs");
    // A process enters only when the caller may write to the procs file of the cgroup above both, which is this one.
    for file in [path, &procs] {
        writable(file).map_err(|errno| Missing::not_writable(Version::V2, file, errno))?;
    }
    let directory = Directory::open(path).map_err(|errno| Missing::not_writable(Version::V2, path, errno))?;
    if !control::has_word(&directory.fd, "cgroup.controllers", controller) {
        return Err(Missing::no_controller(path, controller));
    }
    if control::has_word(&directory.fd, "cgroup.subtree_control", controller) {
        return Ok(());
    }
    let subtree = path.join("cgroup.subtree_control");
    writable(&subtree).map_err(|errno| Missing::not_writable(Version::V2, &subtree, errno))?;
    // Only the root of the whole tree may have processes and hand controllers on; it has no cgroup.events.
    let inner = directory.has("cgroup.events");
    if inner && !control::read_pids(&directory.fd, "cgroup.procs").is_ok_and(|pids| pids.is_empty()) {
        return Err(Missing::has_processes(path));
    }
    Ok(())
}

fn writable(path: &Path) -> nix::Result<()> {
    let read_only = || statvfs(path).is_ok_and(|found| found.flags().contains(FsFlags::ST_RDONLY));
    match faccessat(AT_FDCWD, path, AccessFlags::W_OK, AtFlags::AT_EACCESS) {
        // Whose it is comes first, and the mount is what is worth knowing.
        Err(Errno::EACCES) if read_only() => Err(Errno::EROFS),
        outcome => outcome,
    }
}

/// Why this process can't have a list of devices, if it can't.
pub(crate) fn devices_unavailable(policy: CgroupPolicy, caller: Caller<'_>) -> Option<Error> {
    if policy == CgroupPolicy::Off {
        let why = "the cgroup policy is \"off\", and a list needs a cgroup";
        return Some(Error::invalid(Step::ListDevices, "the container", why));
    }
    match home(Controller::Devices, caller) {
        Home::Missing(missing) => Some(missing.error(Controller::Devices.name())),
        _ => None,
    }
}

/// Has the directory above hand controllers on, those that it can. That takes the kernel a moment, in which one that another thread
/// has asked for is listed already and its files are not there: asked once more, the kernel answers when they are.
pub(super) fn hand_on(directory: &Directory, controllers: impl Iterator<Item = Controller>) -> crate::Result<()> {
    let parent = directory.path.parent().unwrap_or(&directory.path);
    let above = Directory::open(parent).map_err(|errno| open_failed(parent, errno))?;
    let has = |file, controller: Controller| control::has_word(&above.fd, file, controller.name());
    for controller in controllers.filter(|controller| has("cgroup.controllers", *controller)) {
        let is_handed_on = has("cgroup.subtree_control", controller);
        match control::write(&above.fd, "cgroup.subtree_control", &format!("+{}", controller.name())) {
            Ok(()) => {}
            Err(_) if is_handed_on => {}
            Err(Errno::EBUSY) => return Err(Missing::has_processes(parent).error(controller.name())),
            Err(errno) => return Err(above.error(Step::Write, "cgroup.subtree_control", errno)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroups_mounted_elsewhere_are_found() {
        let mut mounts = Mounts::default();
        mounts.complete(
            looked_up(),
            "24 1 0:22 / /proc rw - proc proc rw\n\
             31 30 0:26 / /cg/memory rw,nosuid shared:9 master:4 - cgroup cgroup rw,memory\n\
             32 30 0:27 / /cg/one rw - cgroup cgroup rw,cpu,cpuacct,pids\n\
             33 30 0:28 / /cg/named rw - cgroup cgroup rw,xattr,name=systemd\n\
             34 30 0:29 / /cg/two rw - cgroup2 cgroup2 rw,nsdelegate\n",
        );
        assert_eq!(mounts.v1(Controller::Memory), Some(Path::new("/cg/memory")));
        assert_eq!(mounts.v1(Controller::Pids), Some(Path::new("/cg/one")));
        assert_eq!(mounts.v2.as_deref(), Some(Path::new("/cg/two")));
    }

    #[test]
    fn what_is_mounted_of_a_tree_is_told_by_the_last_mount_at_its_place() {
        let mountinfo = "31 30 0:26 / /cg rw shared:9 - cgroup cgroup rw,memory\n\
                         32 31 0:26 /docker/x /cg rw - cgroup cgroup rw,memory\n\
                         33 31 0:27 /y /cg/pids rw - cgroup cgroup rw,pids\n";
        assert_eq!(root_of(mountinfo, Path::new("/cg")), Some("/docker/x"));
        assert_eq!(root_of(mountinfo, Path::new("/cg/memory")), None);
    }

    #[test]
    fn a_controller_that_is_not_delegated_is_told_with_who_can_delegate_it() {
        let path = std::env::temp_dir().join(format!("ctr-undelegated-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        for (file, text) in [("cgroup.procs", ""), ("cgroup.controllers", "memory pids\n"), ("cgroup.events", "")] {
            std::fs::write(path.join(file), text).unwrap();
        }
        let error = v2_usable(&path, "cpuset").unwrap_err().error("cpuset");
        std::fs::remove_dir_all(&path).unwrap();
        assert!(error.to_string().contains("does not have the cpuset controller"), "{error}");
        assert!(error.hint().contains("+cpuset >") && error.hint().contains("Delegate="), "{error}");
    }

    #[test]
    fn the_callers_own_cgroup_is_found_unless_it_is_outside_the_namespace() {
        let cgroups = "12:cpu,memory:/a b/c\n11:pids:/../x\n1:name=systemd:/s\n0::/\n";
        let below = |controller| Caller { cgroups, parent: None, insists: false }.below(Path::new("/m"), controller);
        assert_eq!(below("memory"), Some("/m/a b/c".into()));
        assert_eq!(below("pids"), None);
        assert_eq!(below(""), Some("/m".into()));
        assert_eq!(below("devices"), None);
    }

    #[test]
    fn a_chosen_parent_is_from_the_mount_or_from_the_callers_own_and_no_way_out() {
        let places = |parent: &str| {
            let parent = Some(Path::new(parent));
            let places = Caller { cgroups: "4:memory:/own\n", parent, insists: true }.places(Path::new("/m"), "memory");
            places.into_iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(places("/"), ["/m"]);
        assert_eq!(places("/a/b/"), ["/m/a/b"]);
        assert_eq!(places("jobs"), ["/m/own/jobs"]);
        assert_eq!(places("."), ["/m/own"]);
    }
}
