//! The same tests run on cgroup v1 and v2, as root and as a user with cgroups of its own; `tests/vm` has the latter three.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::controller::{Controller, Version};
use super::directory::without;
use super::hierarchies::hierarchies;
use super::hierarchies::{Caller, Home};
use super::layout::Homes;
use super::{Cgroup, Layout, Limits, Place, memory, pids, remove};
use crate::config::{LimitLists, LimitNumbers};
use crate::{CgroupPolicy, ErrorCode, Limit, Result};

const MIB: u64 = 1 << 20;

/// A cgroup that goes away with the test, whatever its outcome.
struct Made {
    cgroup: Cgroup,
    places: Vec<Place>,
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = self.cgroup.kill();
        remove(&self.places).unwrap();
    }
}

impl Made {
    fn paths(&self) -> impl Iterator<Item = &Path> {
        self.places.iter().map(Place::path)
    }

    fn with(memory: Option<u64>, pids: Option<u64>) -> Option<Self> {
        let layout = plan(memory, pids)?;
        Some(Self { cgroup: layout.make().unwrap(), places: layout.places().to_vec() })
    }

    /// A shell inside, which moves itself in as PID 1 of a container does.
    fn shell(&self, script: &str) -> Child {
        let files = ["tasks", "cgroup.procs"];
        let entries = self.paths().filter_map(|path| files.map(|f| path.join(f)).into_iter().find(|p| p.exists()));
        let enter = "for f; do echo 0 > \"$f\" || exit 99; done; set --;";
        Command::new("sh")
            .args(["-c", &format!("{enter} {script}"), "sh"])
            .args(entries)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// A process inside that holds so much memory until it is killed: dd reads a block and finds nobody to write it to.
    fn hog(&self, mib: u64) -> Child {
        let child = self.shell(&format!("exec dd if=/dev/zero bs={mib}M count=1 2>/dev/null"));
        until("the hog holds its memory", || self.cgroup.memory_usage().unwrap().0 >= mib * MIB);
        child
    }
}

/// As if it had been written down.
fn acquire(_: &Place, make: &mut dyn FnMut() -> Result<()>) -> Result<()> {
    make()
}

fn paths(layout: &Layout) -> impl Iterator<Item = &Path> {
    layout.places().iter().map(Place::path)
}

/// Those that are made at once.
fn first(layout: &Layout) -> impl DoubleEndedIterator<Item = &Path> {
    layout.first().map(Place::path)
}

fn numbers(memory: Option<u64>, pids: Option<u64>, cpus: Option<u64>) -> LimitNumbers {
    let mut numbers = LimitNumbers::default();
    numbers[..3].copy_from_slice(&[memory, pids, cpus]);
    numbers
}

fn limited(memory: Option<u64>, pids: Option<u64>, cpus: Option<u64>) -> Limits {
    Limits::new(numbers(memory, pids, cpus), LimitLists::default(), None).unwrap()
}

fn limits(memory: Option<u64>, pids: Option<u64>) -> Limits {
    limited(memory, pids, None)
}

/// Of memory and pids; devices where it is wanted.
fn homes<'a>(memory: &'a Home, pids: &'a Home, devices: Option<&'a Home>) -> Homes<'a> {
    let of = Controller::ALL.map(|controller| {
        let home = match controller {
            Controller::Memory => Some(memory),
            Controller::Pids => Some(pids),
            Controller::Devices => devices,
            _ => None,
        };
        home.map(std::borrow::Cow::Borrowed)
    });
    Homes { of, plain: None, chosen: false }
}

fn own_cgroups() -> String {
    std::fs::read_to_string("/proc/thread-self/cgroup").unwrap()
}

/// Whoever runs the tests, with a parent of the tests' own where there is one.
fn caller(cgroups: &str) -> Caller<'_> {
    static PARENT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let parent = PARENT.get_or_init(|| std::env::var_os("CTR_CGROUP_PARENT").map(PathBuf::from));
    Caller { cgroups, parent: parent.as_deref(), insists: false }
}

fn plan(memory: Option<u64>, pids: Option<u64>) -> Option<Layout> {
    plan_all(limits(memory, pids))
}

fn plan_all(limits: Limits) -> Option<Layout> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    match Cgroup::plan(&name, &limits, CgroupPolicy::Required, caller(&own_cgroups())) {
        Ok(planned) => planned.layout,
        Err(error) => {
            skipped(error);
            None
        }
    }
}

fn home(controller: Controller) -> Home {
    let cgroups = own_cgroups();
    hierarchies(caller(&cgroups)).home(controller, true, caller(&cgroups)).unwrap().into_owned()
}

/// A place as the record of an older ctr has it.
fn older(path: &Path) -> Place {
    serde_json::from_value(serde_json::json!(path)).unwrap()
}

fn skipped(why: impl std::fmt::Display) {
    // In one write, so that tests which run beside don't get between.
    let line = format!("SKIPPED {}: {why}\n", std::thread::current().name().unwrap_or_default());
    eprint!("{line}");
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "never: {what}");
        sleep(Duration::from_millis(2));
    }
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn refused<T: std::fmt::Debug>(outcome: Result<T>, code: ErrorCode, words: &str) {
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn a_plan_makes_nothing_and_a_removed_cgroup_leaves_nothing() {
    let Some(layout) = plan(Some(64 * MIB), Some(10)) else { return };
    assert!(first(&layout).all(|path| !path.exists()));
    let cgroup = layout.make().unwrap();
    assert!(first(&layout).all(|path| path.exists()));
    assert_eq!(cgroup.limit(Limit::Memory).unwrap(), Some(64 * MIB));
    assert_eq!(cgroup.limit(Limit::Pids).unwrap(), Some(10));
    remove(layout.places()).unwrap();
    assert!(first(&layout).all(|path| !path.exists()));
    remove(layout.places()).unwrap();
}

#[test]
fn a_name_in_use_is_told_and_what_was_made_before_is_taken_back() {
    let Some(layout) = plan(None, Some(10)) else { return };
    let last = first(&layout).last().unwrap();
    std::fs::create_dir(last).unwrap();
    refused(layout.make(), ErrorCode::NameInUse, "rmdir");
    std::fs::remove_dir(last).unwrap();
    assert!(first(&layout).all(|path| !path.exists()));
}

#[test]
fn a_process_enters_by_the_descriptors_of_a_joiner() {
    let Some(made) = Made::with(None, Some(10)) else { return };
    let joined = Cgroup::open(&made.places, &[]).unwrap();
    let fds = joined.join_fds().unwrap();
    let v1 = made.paths().filter(|path| path.join("tasks").exists()).count();
    assert_eq!(fds.len(), v1);
    assert_eq!(joined.clone_into().is_some(), made.paths().any(|path| path.join("cgroup.events").exists()));
    let inside = made.shell("exec sleep 1000");
    until("it is inside", || joined.pids_now().unwrap() == 1);
    assert_eq!(joined.limit(Limit::Pids).unwrap(), Some(10));
    end(inside);
}

#[test]
fn a_hog_dies_at_the_limit_and_is_counted() {
    let Some(made) = Made::with(Some(32 * MIB), None) else { return };
    assert_eq!(made.cgroup.oom_kills().unwrap(), 0);
    let status = made.shell("exec dd if=/dev/zero of=/dev/null bs=128M count=1 2>/dev/null").wait().unwrap();
    assert!(!status.success());
    assert!(made.cgroup.oom_kills().unwrap() >= 1);
    let (now, peak) = made.cgroup.memory_usage().unwrap();
    assert!(now <= 32 * MIB && peak <= 32 * MIB && peak >= now, "{now} {peak}");
}

#[test]
fn the_limit_moves_up_and_down_and_away() {
    let Some(made) = Made::with(None, None) else { return };
    let cgroup = &made.cgroup;
    assert_eq!(cgroup.limit(Limit::Memory).unwrap(), None);
    for limit in [64 * MIB, 128 * MIB, 16 * MIB, 4096 * MIB, memory::MIN] {
        cgroup.set(Limit::Memory, Some(limit), &acquire).unwrap();
        assert_eq!(cgroup.limit(Limit::Memory).unwrap(), Some(limit));
    }
    cgroup.set(Limit::Memory, None, &acquire).unwrap();
    assert_eq!(cgroup.limit(Limit::Memory).unwrap(), None);
    cgroup.set(Limit::Memory, None, &acquire).unwrap();
    cgroup.set(Limit::Memory, Some(u64::MAX), &acquire).unwrap();
    cgroup.set(Limit::Memory, Some(64 * MIB + 5), &acquire).unwrap();
    assert_eq!(cgroup.limit(Limit::Memory).unwrap(), Some(64 * MIB));
}

#[test]
fn a_limit_below_what_is_in_use_is_refused_and_nobody_dies() {
    let Some(made) = Made::with(Some(256 * MIB), None) else { return };
    let mut hog = made.hog(64);
    let error = made.cgroup.set(Limit::Memory, Some(32 * MIB), &acquire).unwrap_err();
    assert_eq!(error.errno(), libc::EBUSY, "{error}");
    assert_eq!(made.cgroup.limit(Limit::Memory).unwrap(), Some(256 * MIB));
    assert_eq!(made.cgroup.oom_kills().unwrap(), 0);
    assert!(hog.try_wait().unwrap().is_none(), "the hog died");
    made.cgroup.set(Limit::Memory, Some(100 * MIB), &acquire).unwrap();
    assert_eq!(made.cgroup.limit(Limit::Memory).unwrap(), Some(100 * MIB));
    end(hog);
    made.cgroup.set(Limit::Memory, Some(16 * MIB), &acquire).unwrap();
}

#[test]
fn threads_that_set_limits_at_once_never_fail() {
    let Some(made) = Made::with(Some(64 * MIB), None) else { return };
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let cgroup = &made.cgroup;
            scope.spawn(move || {
                for round in 0..50 {
                    cgroup.set(Limit::Memory, Some((16 + thread * 7 + round) * MIB), &acquire).unwrap();
                }
            });
        }
    });
    made.cgroup.set(Limit::Memory, Some(64 * MIB), &acquire).unwrap();
    assert_eq!(made.cgroup.limit(Limit::Memory).unwrap(), Some(64 * MIB));
}

#[test]
fn limits_that_no_container_can_live_with_are_refused_by_name() {
    for bad in [0, 1, 4095, memory::MIN - 1] {
        let limits = Limits::new(numbers(Some(bad), None, None), LimitLists::default(), None);
        refused(limits, ErrorCode::Invalid, "2 MiB");
    }
    for bad in [0, 1, pids::MAX + 1, u64::MAX] {
        let limits = Limits::new(numbers(None, Some(bad), None), LimitLists::default(), None);
        refused(limits, ErrorCode::Invalid, "at the least");
    }
    let Some(made) = Made::with(None, Some(pids::MAX)) else { return };
    refused(made.cgroup.set(Limit::Memory, Some(0), &acquire), ErrorCode::Invalid, "2 MiB");
    refused(made.cgroup.set(Limit::Pids, Some(0), &acquire), ErrorCode::Invalid, "at the least");
    assert_eq!(made.cgroup.limit(Limit::Pids).unwrap(), Some(pids::MAX));
}

#[test]
fn a_pids_limit_stops_forks() {
    let Some(made) = Made::with(None, Some(3)) else { return };
    let mut child = made.shell("sleep 1000 & sleep 1000 & (sleep 1000 & echo forked) 2>/dev/null; echo done; read x");
    until("three are inside", || made.cgroup.pids_now().unwrap() == 3);
    made.cgroup.set(Limit::Pids, Some(2), &acquire).unwrap();
    assert_eq!(made.cgroup.limit(Limit::Pids).unwrap(), Some(2));
    child.kill().unwrap();
    let mut output = String::new();
    made.cgroup.kill().unwrap();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    child.wait().unwrap();
    assert!(!output.contains("forked"), "{output}");
}

#[test]
fn a_pids_limit_set_later_holds_for_all_that_run_already() {
    let Some(made) = Made::with(None, None) else { return };
    let child = made.shell("sleep 1000 & sleep 1000 & read x; sleep 1000 & sleep 1000 & wait");
    until("three are inside", || made.cgroup.pids_now().unwrap() == 3);
    let joined = Cgroup::open(&made.places, &[]).unwrap();
    made.cgroup.set(Limit::Pids, None, &acquire).unwrap();
    assert_eq!(made.cgroup.limit(Limit::Pids).unwrap(), None);
    made.cgroup.set(Limit::Pids, Some(4), &acquire).unwrap();
    assert_eq!(made.cgroup.pids_now().unwrap(), 3);
    assert_eq!(joined.limit(Limit::Pids).unwrap(), Some(4));
    joined.set(Limit::Pids, Some(3), &acquire).unwrap();
    assert_eq!(made.cgroup.limit(Limit::Pids).unwrap(), Some(3));
    end(child);
}

#[test]
fn kill_ends_all_of_a_process_tree_and_nothing_else() {
    let Some(made) = Made::with(None, None) else { return };
    let mut outside = Command::new("sleep").arg("1000").spawn().unwrap();
    let mut child = made.shell("for i in 1 2 3 4 5; do setsid sleep 1000 & done; wait");
    until("six are inside", || made.cgroup.pids_now().unwrap() == 6);
    made.cgroup.kill().unwrap();
    child.wait().unwrap();
    // The dead count until their parents have reaped them.
    until("none is left", || made.cgroup.pids_now().unwrap() == 0);
    remove(&made.places).unwrap();
    made.cgroup.kill().unwrap();
    assert!(outside.try_wait().unwrap().is_none());
    end(outside);
}

#[test]
fn removal_waits_for_the_dying_and_takes_cgroups_inside_along() {
    let Some(made) = Made::with(None, None) else { return };
    std::fs::create_dir_all(made.places[0].path().join("a/b")).unwrap();
    let mut child = made.shell("exec sleep 1000");
    until("it is inside", || made.cgroup.pids_now().unwrap() == 1);
    std::thread::scope(|scope| {
        let removal = scope.spawn(|| remove(&made.places));
        sleep(Duration::from_millis(20));
        child.kill().unwrap();
        removal.join().unwrap().unwrap();
    });
    child.wait().unwrap();
    assert!(made.paths().all(|path| !path.exists()));
    refused(made.cgroup.set(Limit::Memory, Some(64 * MIB), &acquire), ErrorCode::Destroyed, "gone");
    refused(made.cgroup.set(Limit::Pids, Some(10), &acquire), ErrorCode::Destroyed, "gone");
    refused(made.cgroup.limit(Limit::Pids), ErrorCode::Destroyed, "gone");
    refused(made.cgroup.memory_usage(), ErrorCode::Destroyed, "gone");
    refused(made.cgroup.oom_kills(), ErrorCode::Destroyed, "gone");
    assert!(made.paths().all(|path| !path.exists()));
}

#[test]
fn a_record_that_names_something_else_removes_nothing() {
    let directory = std::env::temp_dir().join(format!("notours-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    refused(remove(&[older(&directory)]), ErrorCode::Invalid, "notours");
    std::fs::remove_dir(&directory).unwrap();
}

#[test]
fn a_cgroup_that_can_not_be_seen_is_not_taken_for_removed() {
    let Some(made) = Made::with(Some(64 * MIB), None) else { return };
    let below = |parent: &str, path: &Path| older(&Path::new(parent).join(path.file_name().unwrap()));
    let hidden: Vec<_> = made.paths().map(|path| below("/nowhere", path)).collect();
    refused(remove(&hidden), ErrorCode::System, "/nowhere/ctr-");
    refused(remove(&[below("/tmp", hidden[0].path())]), ErrorCode::System, "mounted");
    remove(&made.places).unwrap();
    remove(&made.places).unwrap();
}

#[test]
fn where_a_controller_is_missing_the_policy_decides() {
    let parsed = |limits: Limits, policy| {
        let missing = Home::Missing(super::missing::Missing::has_processes("/sys/fs/cgroup".as_ref()));
        let homes = homes(&missing, &missing, None);
        super::layout::decide("x", &limits, policy, &homes).map(|planned| planned.layout)
    };
    let limited = || limits(Some(64 * MIB), None);
    let pids = || limits(None, Some(64));
    assert!(parsed(Limits::default(), CgroupPolicy::Auto).unwrap().is_none());
    assert!(parsed(limited(), CgroupPolicy::Optional).unwrap().is_none());
    assert!(parsed(pids(), CgroupPolicy::Optional).unwrap().is_none());
    refused(parsed(limited(), CgroupPolicy::Auto), ErrorCode::Unsupported, "move them into a leaf");
    refused(parsed(pids(), CgroupPolicy::Auto), ErrorCode::Unsupported, "pids");
    refused(parsed(Limits::default(), CgroupPolicy::Required), ErrorCode::Unsupported, "memory");
    refused(parsed(limited(), CgroupPolicy::Off), ErrorCode::Invalid, "off");
    assert!(parsed(Limits::default(), CgroupPolicy::Off).unwrap().is_none());
}

/// D8 of a limit that is let go: it is said.
#[test]
fn a_limit_that_is_dropped_is_told_with_its_reason() {
    let missing = Home::Missing(super::missing::Missing::has_processes("/sys/fs/cgroup/x".as_ref()));
    let homes = homes(&missing, &missing, None);
    let limits = limits(Some(64 * MIB), Some(9));
    let planned = super::layout::decide("x", &limits, CgroupPolicy::Optional, &homes).unwrap();
    assert!(planned.layout.is_none());
    let [memory, pids] = &planned.dropped[..] else { panic!("{:?}", planned.dropped) };
    assert!(
        memory.contains("the memory limit of 67108864 can't be had") && memory.contains("/sys/fs/cgroup/x"),
        "{memory}"
    );
    assert!(pids.contains("the process limit of 9 can't be had"), "{pids}");
    let planned = super::layout::decide("x", &Limits::default(), CgroupPolicy::Optional, &homes).unwrap();
    assert!(planned.dropped.is_empty());
}

#[test]
fn a_container_without_limits_goes_below_a_chosen_parent_that_can_hand_nothing_on() {
    let missing = Home::Missing(super::missing::Missing::has_processes("/v2/job".as_ref()));
    let plain = Path::new("/v2/job");
    let homes = Homes { plain: Some(plain), chosen: true, ..homes(&missing, &missing, None) };
    let layout = super::layout::decide("x", &Limits::default(), CgroupPolicy::Auto, &homes).unwrap().layout.unwrap();
    assert_eq!((paths(&layout).collect::<Vec<_>>(), layout.clones_in()), (vec![Path::new("/v2/job/ctr-x")], true));
    let limits = limits(Some(64 * MIB), None);
    let outcome = super::layout::decide("x", &limits, CgroupPolicy::Auto, &homes);
    refused(outcome, ErrorCode::Unsupported, "/v2/job has processes");
    // A parent that is not there at all is never passed over in silence.
    let homes = Homes { plain: None, ..homes };
    refused(
        super::layout::decide("x", &Limits::default(), CgroupPolicy::Auto, &homes),
        ErrorCode::Unsupported,
        "/v2/job",
    );
}

#[test]
fn a_list_of_devices_stands_in_the_directory_of_v2_or_in_one_more_of_v1() {
    let [memory, pids, devices] = ["/v1/memory", "/v1/pids", "/v1/devices"].map(|path| Home::V1(path.into()));
    let v2 = Home::V2("/v2".into());
    let paths = |homes: [&Home; 2], devices, limit| {
        let limits = Limits { devices: Some(Vec::new()), ..limits(None, limit) };
        let [memory, pids] = homes;
        let homes = self::homes(memory, pids, Some(devices));
        let layout = super::layout::decide("x", &limits, CgroupPolicy::Auto, &homes).unwrap().layout.unwrap();
        assert_eq!(layout.clones_in(), layout.places()[0].path().starts_with("/v2"));
        self::paths(&layout).map(|path| path.display().to_string()).collect::<Vec<_>>()
    };
    let missing = Home::Missing(super::missing::Missing::has_processes("/sys/fs/cgroup".as_ref()));
    // Whatever is made later is the last one, see `Cgroup::open`.
    assert_eq!(paths([&memory, &pids], &devices, None), ["/v1/memory/ctr-x", "/v1/devices/ctr-x", "/v1/pids/ctr-x"]);
    assert_eq!(paths([&memory, &pids], &v2, None), ["/v2/ctr-x", "/v1/memory/ctr-x", "/v1/pids/ctr-x"]);
    assert_eq!(paths([&v2, &v2], &v2, Some(10)), ["/v2/ctr-x"]);
    assert_eq!(paths([&v2, &v2], &devices, None), ["/v2/ctr-x", "/v1/devices/ctr-x"]);
    assert_eq!(paths([&missing, &missing], &v2, None), ["/v2/ctr-x"]);
    assert_eq!(paths([&missing, &missing], &devices, None), ["/v1/devices/ctr-x"]);
    assert_eq!(paths([&memory, &memory], &memory, Some(10)), ["/v1/memory/ctr-x"]);
}

#[test]
fn a_user_without_cgroups_is_told_how_to_get_some() {
    let Home::Missing(_) = home(Controller::Memory) else { return skipped("this user has cgroups") };
    let limits = limits(Some(64 * MIB), None);
    let error = Cgroup::plan("x", &limits, CgroupPolicy::Auto, caller(&own_cgroups())).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unsupported);
    assert!(error.hint().contains("cgroup=\"optional\""), "{error}");
    assert!(
        Cgroup::plan("x", &Limits::default(), CgroupPolicy::Auto, caller(&own_cgroups())).unwrap().layout.is_none()
    );
}

#[test]
fn the_commands_of_explain_make_the_same_cgroup() {
    let Some(layout) = plan_all(limited(Some(64 * MIB), Some(10), Some(500))) else { return };
    let commands: Vec<String> = layout.commands().into_iter().map(|(command, _)| command).collect();
    // Moves itself in, so it lives for as long as the look at it takes.
    let script = format!("set -e; {}; echo ready; read x", commands.join("; "));
    let mut child =
        Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut ready = [0; 6];
    child.stdout.take().unwrap().read_exact(&mut ready).unwrap();
    let cgroup = Cgroup::open(layout.places(), &[]).unwrap();
    let seen = (cgroup.limits(), cgroup.pids_now());
    child.wait().unwrap();
    remove(layout.places()).unwrap();
    let [memory, pids, cpus, ..] = seen.0.unwrap();
    assert_eq!((memory, pids, cpus, seen.1.unwrap()), (Some(64 * MIB), Some(10), Some(500), 1));
}

#[test]
fn a_record_says_which_directory_has_which_controller() {
    let [memory, pids, devices] = ["/v1/memory", "/v1/both", "/v1/both"].map(|path| Home::V1(path.into()));
    let limits = Limits { devices: Some(Vec::new()), ..Limits::default() };
    let layout = super::layout::decide("x", &limits, CgroupPolicy::Auto, &homes(&memory, &pids, Some(&devices)));
    let layout = layout.unwrap().layout.unwrap();
    let written = serde_json::to_value(layout.places()).unwrap();
    let expected = serde_json::json!([
        {"path": "/v1/memory/ctr-x", "version": "v1", "controllers": ["memory"]},
        {"path": "/v1/both/ctr-x", "version": "v1", "controllers": ["devices", "pids"]},
    ]);
    assert_eq!(written, expected);
    assert_eq!(serde_json::from_value::<Vec<Place>>(written).unwrap(), layout.places());
    assert!(serde_json::from_str::<Place>(r#"{"path": "/x", "version": "v1", "controllers": ["rdma"]}"#).is_err());
}

#[test]
fn a_container_of_an_older_record_has_its_limits() {
    for pids in [Some(10), None] {
        let Some(made) = Made::with(Some(64 * MIB), pids) else { return };
        let places: Vec<_> = made.paths().map(older).collect();
        let joined = Cgroup::open(&places, &[]).unwrap();
        assert_eq!(joined.limits().unwrap()[..2], [Some(64 * MIB), pids]);
        joined.set(Limit::Pids, Some(12), &acquire).unwrap();
        assert_eq!(made.cgroup.limit(Limit::Pids).unwrap(), Some(12));
        remove(&places).unwrap();
        assert!(made.paths().all(|path| !path.exists()));
    }
}

#[test]
fn of_several_directories_that_v2_could_have_it_is_the_uppermost() {
    let [slice, own] = ["/v2/slice", "/v2/slice/own"].map(|path| Home::V2(path.into()));
    for (memory, pids) in [(&slice, &own), (&own, &slice)] {
        let layout = super::layout::decide("x", &limits(None, Some(9)), CgroupPolicy::Auto, &homes(memory, pids, None));
        let layout = layout.unwrap().layout.unwrap();
        assert_eq!(paths(&layout).collect::<Vec<_>>(), [Path::new("/v2/slice/ctr-x")]);
    }
}

#[test]
fn more_processors_than_a_cgroup_above_has_are_refused_on_v1() {
    let Home::V1(root) = home(Controller::Cpu) else { return };
    let parent = root.join(format!("ctr-test-above-{}", std::process::id()));
    std::fs::create_dir(&parent).unwrap();
    std::fs::write(parent.join("cpu.cfs_quota_us"), "20000").unwrap();
    let missing = Home::Missing(super::missing::Missing::has_processes("/x".as_ref()));
    let mut homes = homes(&missing, &missing, None);
    homes.of[Controller::Cpu as usize] = Some(std::borrow::Cow::Owned(Home::V1(parent.clone())));
    let made = |cpus| {
        let limits = limited(None, None, Some(cpus));
        super::layout::decide("x", &limits, CgroupPolicy::Auto, &homes).unwrap().layout.unwrap().make()
    };
    let outcome = made(500);
    let fits = made(200);
    let live =
        fits.as_ref().map(|cgroup| (cgroup.set(Limit::Cpus, Some(201), &acquire), cgroup.limit(Limit::Cpus).unwrap()));
    let _ = std::fs::remove_dir(parent.join("ctr-x"));
    std::fs::remove_dir(&parent).unwrap();
    refused(outcome, ErrorCode::System, "a cgroup above");
    let (live, limit) = live.unwrap();
    refused(live, ErrorCode::System, "a cgroup above");
    assert_eq!(limit, Some(200));
}

#[test]
fn a_container_without_a_pids_limit_costs_v1_no_second_directory() {
    let Some(made) = Made::with(Some(64 * MIB), None) else { return };
    assert_eq!(made.paths().filter(|path| path.exists()).count(), 1);
    let Home::V1(_) = home(Controller::Pids) else { return };
    let late: Vec<_> = made.places.iter().filter(|place| place.may_come_late()).collect();
    assert_eq!(made.places.len(), 1 + late.len());
    assert!(made.cgroup.set(Limit::Pids, Some(10), &|_, _| Err(without("pids"))).is_err(), "it was not written down");
    assert_eq!(made.paths().filter(|path| path.exists()).count(), 1);
    made.cgroup.set(Limit::Pids, Some(10), &acquire).unwrap();
    assert_eq!(made.paths().filter(|path| path.exists()).count(), 2);
}

#[test]
fn systemd_is_named_only_where_it_can_help() {
    use super::missing::Missing;
    let told =
        |version, path: &str| Missing::not_writable(version, path.as_ref(), nix::errno::Errno::EACCES).error("memory");
    let v1 = told(Version::V1, "/sys/fs/cgroup/memory");
    assert!(
        v1.hint().contains("mkdir /sys/fs/cgroup/memory/USER ") && v1.hint().contains("CTR_CGROUP_PARENT=/USER"),
        "{v1}"
    );
    // It hands no v1 to users.
    assert!(!v1.hint().contains("systemd"), "{v1}");
    let v2 = told(Version::V2, "/sys/fs/cgroup");
    let runs = Path::new("/run/systemd/system").exists();
    assert_eq!(v2.hint().contains("systemd-run --user --scope"), runs, "{v2}");
    assert_eq!(v2.hint().contains("cgroup.subtree_control"), !runs, "{v2}");
    for error in [v1, v2] {
        for way in ["cgroup=\"optional\"", "--cgroup optional", "CTR_CGROUP_OPTIONAL"] {
            assert!(error.hint().contains(way), "{error}");
        }
    }
}
