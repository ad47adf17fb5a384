//! What a container sees of its cgroup: its own directories, read-only at /sys/fs/cgroup, where a JVM, Node, Go and others look
//! for the limits by which they size themselves.
//!
//! PID 1 mounts them once it is in them and has its cgroup namespace, cgroup_namespaces(7): the root of such a mount is the root of
//! the namespace, so it shows nothing of the host's tree, and /proc/self/cgroup says "/" for it. With v2 that is one mount. v1 is
//! laid out as docker has it, a directory for each hierarchy in which the container has a cgroup of its own, and links for each
//! controller where a hierarchy has several. In the other hierarchies it is in its caller's cgroup, which is not to be seen.
//!
//! A JVM believes no limit of v1 unless `cpu`, `cpuacct` and `cpuset` are mounted, too (HotSpot's
//! `CgroupSubsystemFactory::determine_type`, which reads /proc/self/mountinfo). So where there is a limit that it could believe, those
//! of them in which the container has no cgroup are mounted, and covered by the directory of all others: they are listed, and at their
//! place a program finds none of their files, which is no limit.
//!
//! Who may take off the cover, or mount these file systems anew, has CAP_SYS_ADMIN, and no preset but privileged gives it.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::Step;
use crate::plan::{CWD, Plan, Shell, quote};
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MountAttributes};
use crate::sys::mountinfo::Mounted as Listed;

use super::controller::{Controller, Version};
use super::hierarchies::{Caller, Hierarchies, called};
use super::limits::Limits;
use super::place::Place;

/// Where programs look.
const PLACE: &str = "/sys/fs/cgroup";
/// In the staging tree of `rootfs`: where that place stands ready, and what goes there with v1.
const STAGED: &str = "sys/fs/cgroup";
const DIRECTORIES: &str = "cgroup";

const CLOSED: MountAttributes =
    MOUNT_ATTR_RDONLY.union(MOUNT_ATTR_NOSUID).union(MOUNT_ATTR_NODEV).union(MOUNT_ATTR_NOEXEC);

/// What is mounted there.
#[derive(Debug, Default)]
pub(crate) struct Inside {
    /// The hierarchies in which the container has a cgroup of its own.
    own: Vec<Mounted>,
    /// The caller's directories in others, which are only listed.
    listed: Vec<PathBuf>,
}

#[derive(Debug)]
struct Mounted {
    version: Version,
    /// Its directory below the place; the place itself where it is empty.
    name: String,
    /// Which hierarchy of v1 it is: its controllers.
    options: String,
}

impl Inside {
    /// Of a container with these directories and limits, whose PID 1 is cloned where the caller is.
    pub(super) fn of<'p>(
        places: impl Iterator<Item = &'p Place>,
        limits: &Limits,
        caller: Caller<'_>,
        hierarchies: &Hierarchies,
    ) -> Self {
        let mut own: Vec<Mounted> = places.filter_map(|place| Mounted::of(place, caller)).collect();
        if let [Mounted { version: Version::V2, name, .. }] = &mut own[..] {
            name.clear();
        }
        let mut sizes = [Controller::Memory, Controller::Cpu, Controller::Cpuset].into_iter();
        let believed =
            sizes.any(|controller| limits.need(controller)) && own.iter().any(|own| own.version == Version::V1);
        let lacks = |(name, _): &&(String, PathBuf)| believed && own.iter().all(|own| own.name != *name);
        let listed = hierarchies.expected.iter().filter(lacks).map(|(_, path)| path.clone()).collect();
        Self { own, listed }
    }

    /// Whether all of it is the tree of v2, or nothing.
    pub(crate) fn is_one_tree(&self) -> bool {
        self.own.iter().all(|own| own.name.is_empty())
    }

    /// Setup: has the directories for v1 made on the sysfs that stands ready.
    pub(crate) fn stage(self: &Arc<Self>, plan: &mut Plan<'_>) {
        if self.is_one_tree() {
            return;
        }
        let why = "room for its own cgroups, and nothing in the place of others";
        let this = Arc::clone(self);
        plan.step(Step::StageCgroups, PLACE, why, Shell::later(move || this.staged_by_hand()));
        plan.mkdir(&c_string(DIRECTORIES), 0o755);
        for Mounted { name, .. } in &self.own {
            plan.mkdir(&c_string(below(DIRECTORIES, name)), 0o755);
            for link in links(name) {
                let (name, link) = (plan.bytes(name), plan.bytes(below(DIRECTORIES, link)));
                plan.symlinkat(name, CWD, link);
            }
        }
        let staged = c_string(STAGED);
        for path in &self.listed {
            plan.bind(c_string(path.as_os_str().as_bytes()), &staged, false).optional();
        }
        plan.bind(c_string(DIRECTORIES), &staged, false);
        plan.set_attributes_below(&staged, CLOSED);
    }

    /// Finish: mounts them, in a cgroup namespace of the container's own. Where a security module refuses that, its programs
    /// find nothing.
    pub(crate) fn mount(self: &Arc<Self>, plan: &mut Plan<'_>) {
        let flags = libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        let why = "programs find their limits there, and can't change them";
        for (i, own) in self.own.iter().enumerate() {
            let (this, place) = (Arc::clone(self), below(PLACE, &own.name));
            plan.step(Step::MountCgroup, place.clone(), why, Shell::later(move || this.own[i].by_hand()));
            plan.mount(own.kind(), &c_string(place), flags, &c_string(own.options.as_str())).optional();
        }
    }

    fn staged_by_hand(&self) -> String {
        let names = self.own.iter().map(|own| own.name.as_str());
        let directories: Vec<_> = names.clone().map(|name| format!("$SCRATCH/{}", below(DIRECTORIES, name))).collect();
        let link = |name: &str, link| format!("ln -s {name} $SCRATCH/{}", below(DIRECTORIES, link));
        let mut commands = vec![format!("mkdir -p {}", directories.join(" "))];
        commands.extend(names.flat_map(|name| links(name).map(move |to| link(name, to))));
        commands.extend(self.listed.iter().map(|path| {
            let path = quote(&path.to_string_lossy());
            format!("mount --bind {path} $ROOT{PLACE}")
        }));
        commands.push(format!("mount --bind -o ro,nosuid,nodev,noexec $SCRATCH/{DIRECTORIES} $ROOT{PLACE}"));
        commands.join(" && ")
    }
}

impl Mounted {
    fn of(place: &Place, caller: Caller<'_>) -> Option<Self> {
        if place.is(Version::V2) {
            return Some(Self { version: Version::V2, name: "unified".into(), options: String::new() });
        }
        let controller = place.controllers.iter().next()?;
        let (options, _) = caller.hierarchy(controller.v1_name())?;
        Some(Self { version: Version::V1, name: called(options), options: options.into() })
    }

    fn kind(&self) -> &'static CStr {
        if self.version == Version::V1 { c"cgroup" } else { c"cgroup2" }
    }

    fn by_hand(&self) -> String {
        let (kind, comma) = (self.kind().to_string_lossy(), if self.options.is_empty() { "" } else { "," });
        let options = format!("ro,nosuid,nodev,noexec{comma}{}", self.options);
        format!("mount -t {kind} -o {options} cgroup $ROOT{}", below(PLACE, &self.name))
    }
}

/// Setup: hides the host's cgroups, where the container has the host's /sys with all that is mounted there.
pub(crate) fn hide(plan: &mut Plan<'_>) {
    let why = "the host's tree is none of the container's business";
    plan.step(Step::HideCgroups, PLACE, why, "mount -t tmpfs -o ro tmpfs $ROOT{}");
    let (empty, staged) = (c"hidden", c_string(STAGED));
    plan.mkdir(empty, 0o555);
    // A kernel without cgroups has no such place.
    plan.bind(empty, &staged, false).ok(libc::ENOENT);
    plan.set_attributes_below(&staged, CLOSED).ok(libc::ENOENT);
}

/// Whether a container with these mounts, in the order in which they were made, sees its cgroup.
pub(crate) fn is_shown(mounts: &[Listed]) -> bool {
    let last = mounts.iter().rev().find(|mount| mount.target.starts_with(PLACE));
    last.is_some_and(|mount| mount.kind.starts_with("cgroup"))
}

/// The names that such a directory has besides.
fn links(name: &str) -> impl Iterator<Item = &str> {
    name.split(',').filter(move |link| *link != name)
}

fn below(path: &str, name: &str) -> String {
    if name.is_empty() { path.into() } else { format!("{path}/{name}") }
}

/// From what has no NUL: names and paths of the kernel.
fn c_string(text: impl Into<Vec<u8>>) -> CString {
    CString::new(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limit;

    const LINES: &str = "5:cpuset:/\n4:cpu,cpuacct:/user\n3:memory,name=other:/user\n2:pids:/user\n0::/user\n";

    fn inside(places: &[(Version, Controller)], limit: Option<Limit>) -> Arc<Inside> {
        let places: Vec<_> = places
            .iter()
            .map(|(version, controller)| Place::new(*version, "/c/ctr-x".into(), [*controller].into_iter().collect()))
            .collect();
        let expected = vec![("cpu,cpuacct".into(), "/c/cpu/user".into()), ("cpuset".into(), "/c/cpuset".into())];
        let hierarchies = Hierarchies::with_expected(expected);
        let mut limits = Limits::default();
        if let Some(limit) = limit {
            limits.numbers[limit as usize] = Some(64 << 20);
        }
        let caller = Caller { cgroups: LINES, parent: None, insists: false };
        Arc::new(Inside::of(places.iter(), &limits, caller, &hierarchies))
    }

    fn commands(inside: &Arc<Inside>) -> String {
        let mut plan = Plan::new();
        inside.stage(&mut plan);
        inside.mount(&mut plan);
        plan.commands().into_iter().map(|(_, command)| command).collect()
    }

    #[test]
    fn the_tree_of_v2_is_one_mount() {
        let inside = inside(&[(Version::V2, Controller::Memory)], Some(Limit::Memory));
        assert!(inside.is_one_tree());
        let said = commands(&inside);
        assert!(said.ends_with("mount -t cgroup2 -o ro,nosuid,nodev,noexec cgroup $ROOT/sys/fs/cgroup\n"), "{said}");
    }

    #[test]
    fn v1_is_a_directory_for_each_hierarchy_of_its_own_with_links() {
        let own = [(Version::V1, Controller::Memory), (Version::V1, Controller::Cpu), (Version::V2, Controller::Pids)];
        let said = commands(&inside(&own, None));
        for part in [
            "mkdir -p $SCRATCH/cgroup/memory $SCRATCH/cgroup/cpu,cpuacct $SCRATCH/cgroup/unified &&",
            "ln -s cpu,cpuacct $SCRATCH/cgroup/cpu && ln -s cpu,cpuacct $SCRATCH/cgroup/cpuacct &&",
            "noexec,memory,name=other cgroup $ROOT/sys/fs/cgroup/memory\n",
            "noexec,cpu,cpuacct cgroup $ROOT/sys/fs/cgroup/cpu,cpuacct\n",
            "mount -t cgroup2 -o ro,nosuid,nodev,noexec cgroup $ROOT/sys/fs/cgroup/unified\n",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert!(!said.contains("cpuset"), "nothing is limited, so nothing has to be believed: {said}");
    }

    #[test]
    fn what_a_jvm_looks_for_is_listed_and_covered_where_there_is_a_limit() {
        let own = [(Version::V1, Controller::Memory), (Version::V1, Controller::Pids)];
        let listed =
            |limit| inside(&own, limit).listed.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        assert_eq!(listed(Some(Limit::Pids)), [""; 0]);
        assert_eq!(listed(Some(Limit::Memory)), ["/c/cpu/user", "/c/cpuset"]);
        let said = commands(&inside(&own, Some(Limit::Memory)));
        let place = |part: &str| said.find(part).unwrap_or_else(|| panic!("{part} in {said}"));
        let covered = place("noexec $SCRATCH/cgroup $ROOT/sys/fs/cgroup");
        assert!(place("/c/cpu/user $ROOT/sys/fs/cgroup") < covered);
        assert!(covered < place("noexec,memory,name=other cgroup"));
    }

    #[test]
    fn it_is_shown_where_what_was_mounted_last_is_a_cgroup() {
        let line = |target: &str, kind: &str| format!("1 2 0:3 / {target} ro - {kind} x rw");
        let shown = |lines: &[String]| is_shown(&crate::sys::mountinfo::lines(&lines.join("\n")).collect::<Vec<_>>());
        let [listed, cover] = [line(PLACE, "cgroup"), line(PLACE, "tmpfs")];
        assert!(shown(&[listed.clone(), cover.clone(), line("/sys/fs/cgroup/memory", "cgroup")]));
        assert!(shown(&[line(PLACE, "cgroup2"), line("/x", "tmpfs")]));
        assert!(!shown(&[listed, cover]) && !shown(&[line("/sys", "sysfs")]));
    }
}
