//! Limits as a user of the library meets them, on whichever cgroup version the machine has; `tests/vm` runs them on v2.

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio as ProcessStdio};
use std::time::Duration;

use common::leftovers::{self, Scope};
use common::{end_of, read_all, skipped};
use ctr::{CgroupPolicy, Config, Container, ErrorCode, ExecConfig, ExitReason, Limit, Namespace, Process, Stdio, Step};

const MIB: u64 = 1 << 20;

/// The container, or `None` (said so) where this user has no cgroups.
fn create(config: &Config) -> Option<Container> {
    match Container::create("host", &config.clone().with(|c| c.cgroup = CgroupPolicy::Required)) {
        Ok(container) => Some(container),
        Err(error) if error.code() == ErrorCode::Unsupported && error.failed_step() == Step::MakeControllerCgroup => {
            skipped(&error.to_string());
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn shell(container: &Container, script: &str) -> Process {
    let config = ExecConfig::default().with(|c| {
        c.stdout = Stdio::Pipe;
        c.stderr = Stdio::Null;
        c.stdin = Stdio::Pipe;
    });
    container.exec(["/bin/sh", "-c", script], &config).unwrap()
}

/// Holds so much memory until it is killed: dd reads a block and finds nobody to write it to.
fn hog(container: &Container, mib: u64) -> Process {
    let hog = shell(container, &format!("exec dd if=/dev/zero bs={mib}M count=1"));
    while container.memory_usage().unwrap().0 < mib * MIB {
        assert!(hog.wait(Some(Duration::from_millis(2))).unwrap().is_none(), "the hog ended");
    }
    hog
}

#[test]
fn a_program_that_uses_up_the_memory_dies_and_its_exit_says_so() {
    let scope = Scope::new("oom");
    let Some(container) = create(&scope.config().with(|c| c.memory = Some(48 * MIB))) else { return };
    assert_eq!(container.memory_limit().unwrap(), Some(48 * MIB));
    let exit = end_of(&shell(&container, "exec dd if=/dev/zero of=/dev/null bs=256M count=1"));
    assert_eq!((exit.reason, exit.signal, exit.code), (ExitReason::OutOfMemory, libc::SIGKILL, 137));
    assert_eq!(end_of(&shell(&container, "exit 3")).code, 3);
    let killed = shell(&container, "kill -9 $$");
    assert_eq!(end_of(&killed).reason, ExitReason::Signaled);
    let (now, peak) = container.memory_usage().unwrap();
    assert!(now <= peak && peak <= 48 * MIB, "{now} {peak}");
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn files_in_the_containers_memory_count_against_its_limit() {
    let scope = Scope::new("tmpfs");
    let Some(container) = create(&scope.config().with(|c| c.memory = Some(48 * MIB))) else { return };
    let exit = end_of(&shell(&container, "exec dd if=/dev/zero of=/file bs=1M count=256"));
    assert_ne!(exit.code, 0);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn the_memory_limit_moves_while_programs_run() {
    let scope = Scope::new("live");
    let Some(container) = create(&scope.config()) else { return };
    assert_eq!(container.memory_limit().unwrap(), None);
    container.set_memory_limit(Some(256 * MIB)).unwrap();
    let hog = hog(&container, 64);
    let error = container.set_memory_limit(Some(16 * MIB)).unwrap_err();
    assert_eq!(error.errno(), libc::EBUSY, "{error}");
    assert_eq!(container.memory_limit().unwrap(), Some(256 * MIB));
    assert!(hog.wait(Some(Duration::ZERO)).unwrap().is_none(), "a refused limit killed it");
    hog.kill(libc::SIGKILL).unwrap();
    assert_eq!(end_of(&hog).reason, ExitReason::Signaled);
    container.set_memory_limit(Some(16 * MIB)).unwrap();
    let exit = end_of(&shell(&container, "exec dd if=/dev/zero of=/dev/null bs=64M count=1"));
    assert_eq!(exit.reason, ExitReason::OutOfMemory);
    container.set_memory_limit(None).unwrap();
    assert_eq!(container.memory_limit().unwrap(), None);
    assert_eq!(end_of(&shell(&container, "exec dd if=/dev/zero of=/dev/null bs=64M count=1")).code, 0);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn limits_that_no_container_can_live_with_are_refused_and_leave_nothing() {
    let scope = Scope::new("small");
    for memory in [0, 1, 4096, 2 * MIB - 1] {
        let error = Container::create("host", &scope.config().with(|c| c.memory = Some(memory))).err().unwrap();
        assert_eq!((error.code(), error.errno()), (ErrorCode::Invalid, libc::EINVAL), "{error}");
        assert!(error.to_string().contains("2097152"), "{error}");
    }
    for pids in [0, 1, u64::MAX - 1] {
        let error = Container::create("host", &scope.config().with(|c| c.pids = Some(pids))).err().unwrap();
        assert_eq!(error.code(), ErrorCode::Invalid, "{error}");
    }
    scope.assert_nothing_left();
    let Some(container) = create(&scope.config().with(|c| c.memory = Some(2 * MIB))) else { return };
    // The smallest limit is one that a small program can live with.
    let busybox = common::busybox();
    let small = scope.config().with(|c| c.memory = Some(2 * MIB));
    let tiny = Container::create(busybox, &small).unwrap();
    assert_eq!(end_of(&tiny.exec(["/bin/true"], &common::quiet()).unwrap()).code, 0);
    tiny.destroy().unwrap();
    assert_eq!(container.set_memory_limit(Some(0)).unwrap_err().code(), ErrorCode::Invalid);
    assert_eq!(container.set_pids_limit(Some(1)).unwrap_err().code(), ErrorCode::Invalid);
    assert_eq!(container.memory_limit().unwrap(), Some(2 * MIB));
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_fork_bomb_under_a_pids_limit_stays_small_and_dies_with_the_container() {
    let scope = Scope::new("bomb");
    let Some(container) = create(&scope.config().with(|c| c.pids = Some(64))) else { return };
    assert_eq!(container.pids_limit().unwrap(), Some(64));
    let bomb = shell(&container, "echo started; b() { b | b & }; b; wait; exec sleep 1000");
    let mut line = String::new();
    BufReader::new(std::fs::File::from(bomb.take_stdout().unwrap())).read_line(&mut line).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let inside = leftovers::processes().into_iter().filter(|it| it.is_of(scope.prefix())).count();
    assert!(inside <= 64, "{inside}");
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_pids_limit_set_while_programs_run_holds_for_them() {
    let scope = Scope::new("pids");
    let Some(container) = create(&scope.config()) else { return };
    assert_eq!(container.pids_limit().unwrap(), None);
    let waits = shell(&container, "read x; for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 >/dev/null & done; echo forked");
    container.set_pids_limit(Some(4)).unwrap();
    assert_eq!(container.pids_limit().unwrap(), Some(4));
    drop(waits.take_stdin());
    end_of(&waits);
    assert_eq!(read_all(waits.take_stdout().unwrap()), "");
    container.set_pids_limit(None).unwrap();
    assert_eq!(container.pids_limit().unwrap(), None);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

/// How often programs of the container ran in a period of the cpu controller, and how often they had to wait, from its cpu.stat.
fn periods(container: &Container) -> (u64, u64) {
    let paths = container.inspect().unwrap().cgroups;
    let stat = paths.iter().find_map(|path| {
        let text = std::fs::read_to_string(Path::new(path).join("cpu.stat")).ok()?;
        text.contains("nr_periods").then_some(text)
    });
    let stat = stat.expect("one of its cgroups counts periods");
    let of = |key: &str| {
        let line = stat.lines().find_map(|line| line.strip_prefix(key)).expect(key);
        line.trim().parse().unwrap()
    };
    (of("nr_periods"), of("nr_throttled"))
}

#[test]
fn busy_programs_have_the_processor_time_of_their_limit_and_no_more() {
    let scope = Scope::new("busy");
    let Some(container) = create(&scope.config().with(|c| c.cpus = Some(100))) else { return };
    assert_eq!(container.limit(Limit::Cpus).unwrap(), Some(100));
    // Two of them, whose time counts as the shell's that waits for both; an emulated machine takes ten times as long.
    let busy = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done";
    let exit = end_of(&shell(&container, &format!("({busy}) & ({busy}) & wait; wait")));
    let used = (exit.user_time + exit.system_time).as_micros() as u64;
    let (ran, waited) = periods(&container);
    // A tenth of a period of 100 ms, and what was begun in the first and the last.
    assert!(used <= (ran + 2) * 12_000, "{used} us in {ran} periods");
    assert!(waited > 0, "never made to wait: {used} us in {ran} periods");
    assert!(container.inspect().unwrap().limits.cpu_waited.unwrap() > 0.0);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn the_processor_limit_moves_while_programs_run() {
    let scope = Scope::new("cpus");
    let Some(container) = create(&scope.config().with(|c| c.cpus = Some(100))) else { return };
    let busy = shell(&container, "while :; do :; done");
    while periods(&container).1 == 0 {
        assert!(busy.wait(Some(Duration::from_millis(5))).unwrap().is_none());
    }
    let joined = scope.client().join(container.name()).unwrap();
    for limit in [Some(2500), Some(10), None, Some(500)] {
        joined.set_limit(Limit::Cpus, limit).unwrap();
        assert_eq!(container.limit(Limit::Cpus).unwrap(), limit);
    }
    assert_eq!(container.inspect().unwrap().limits.cpus, Some(0.5));
    for bad in [0, 9, 8_192_001, u64::MAX - 1] {
        assert_eq!(container.set_limit(Limit::Cpus, Some(bad)).unwrap_err().code(), ErrorCode::Invalid);
        let error = Container::create("host", &scope.config().with(|c| c.cpus = Some(bad))).err().unwrap();
        assert_eq!(error.code(), ErrorCode::Invalid, "{error}");
    }
    // The other limits are the same by their names.
    container.set_limit(Limit::Memory, Some(64 * MIB)).unwrap();
    container.set_limit(Limit::Pids, Some(9)).unwrap();
    assert_eq!((container.memory_limit().unwrap(), container.pids_limit().unwrap()), (Some(64 * MIB), Some(9)));
    for (limit, own) in [(Limit::Memory, 64 * MIB), (Limit::Pids, 9), (Limit::Cpus, 500)] {
        for handle in [&container, &joined] {
            // The machine that the tests run on may have a lower one above.
            assert!(handle.effective_limit(limit).unwrap().is_some_and(|holds| holds <= own), "{limit:?}");
        }
    }
    busy.kill(libc::SIGKILL).unwrap();
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

/// On v1 in a cgroup of its own, which is made then.
#[test]
fn a_processor_limit_that_comes_later_holds_for_programs_that_run() {
    let scope = Scope::new("late");
    let Some(container) = create(&scope.config()) else { return };
    assert_eq!(container.limit(Limit::Cpus).unwrap(), None);
    container.set_limit(Limit::Cpus, None).unwrap();
    let busy = shell(&container, "while :; do :; done");
    let joined = scope.client().join(container.name()).unwrap();
    match joined.set_limit(Limit::Cpus, Some(100)) {
        Ok(()) => {
            assert_eq!(container.limit(Limit::Cpus).unwrap(), Some(100));
            while periods(&container).1 == 0 {
                assert!(busy.wait(Some(Duration::from_millis(5))).unwrap().is_none());
            }
        }
        Err(error) => {
            assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
            assert!(error.to_string().contains("cpu"), "{error}");
            assert!(!nix::unistd::geteuid().is_root(), "root has it: {error}");
        }
    }
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn who_joins_sees_and_sets_the_same_limits() {
    let scope = Scope::new("join");
    let Some(container) = create(&scope.config().with(|c| c.memory = Some(64 * MIB))) else { return };
    let joined = scope.client().join(container.name()).unwrap();
    assert_eq!(joined.memory_limit().unwrap(), Some(64 * MIB));
    joined.set_memory_limit(Some(128 * MIB)).unwrap();
    assert_eq!(container.memory_limit().unwrap(), Some(128 * MIB));
    joined.set_pids_limit(Some(32)).unwrap();
    assert_eq!(container.pids_limit().unwrap(), Some(32));
    let exit = end_of(&shell(&joined, "exec dd if=/dev/zero of=/dev/null bs=512M count=1"));
    assert_eq!(exit.reason, ExitReason::OutOfMemory);
    joined.destroy().unwrap();
    for outcome in [container.set_memory_limit(Some(64 * MIB)), joined.set_memory_limit(None)] {
        assert_eq!(outcome.unwrap_err().code(), ErrorCode::Destroyed);
    }
    assert_eq!(container.memory_usage().unwrap_err().code(), ErrorCode::Destroyed);
    scope.assert_nothing_left();
}

#[test]
fn the_container_is_the_root_of_its_own_cgroups() {
    let scope = Scope::new("view");
    let Some(container) = create(&scope.config().with(|c| {
        c.memory = Some(64 * MIB);
        c.pids = Some(20);
    })) else {
        return;
    };
    let cat = shell(&container, "cat /proc/self/cgroup");
    let ours = |line: &&str| line.contains(":memory:") || line.contains(":pids:") || line.starts_with("0::");
    let seen = read_all(cat.take_stdout().unwrap());
    assert!(seen.lines().filter(ours).all(|line| line.ends_with(":/")), "{seen}");
    assert!(!seen.contains(scope.prefix()), "{seen}");
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn without_a_pid_namespace_destroy_still_ends_every_process() {
    let scope = Scope::new("nopidns");
    let mut config = scope.config();
    config.namespaces.pid = Namespace::Host;
    let Some(container) = create(&config) else { return };
    let started = shell(&container, "for i in 1 2 3; do setsid sleep 1000 & done; echo started; wait");
    let mut line = String::new();
    BufReader::new(std::fs::File::from(started.take_stdout().unwrap())).read_line(&mut line).unwrap();
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_container_without_cgroups_says_so_when_a_limit_is_set() {
    let scope = Scope::new("off");
    let config = scope.config().with(|c| c.cgroup = CgroupPolicy::Off);
    let error = Container::create("host", &config.clone().with(|c| c.memory = Some(64 * MIB))).err().unwrap();
    assert_eq!(error.code(), ErrorCode::Invalid, "{error}");
    let container = Container::create("host", &config).unwrap();
    assert!(leftovers::cgroups(scope.prefix()).is_empty());
    assert_eq!(end_of(&shell(&container, "exit 0")).code, 0);
    assert_eq!((container.memory_limit().unwrap(), container.pids_limit().unwrap()), (None, None));
    // It is in its caller's cgroups.
    container.effective_limit(Limit::Memory).unwrap();
    for outcome in [container.set_memory_limit(Some(64 * MIB)), container.set_pids_limit(Some(64))] {
        let error = outcome.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
    }
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_record_that_cannot_be_swept_stops_nobody() {
    let scope = Scope::new("stuck");
    let Some(container) = create(&scope.config()) else { return };
    let record = std::fs::read_to_string(scope.state_dir().join(format!("{}.json", container.name()))).unwrap();
    let at = record.find("/sys/fs/cgroup").unwrap();
    let end = at + record[at..].find('"').unwrap();
    let stuck = format!("{}/not-ours{}", &record[..at], &record[end..]).replace(container.name(), "stuck");
    std::fs::write(scope.state_dir().join("stuck.json"), stuck).unwrap();
    let names = |list: Vec<ctr::ContainerInfo>| list.into_iter().map(|info| info.name).collect::<Vec<_>>();
    assert_eq!(names(scope.client().list().unwrap()), [container.name()]);
    let other = create(&scope.config()).unwrap();
    other.destroy().unwrap();
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_killed_owner_leaves_no_cgroup() {
    let scope = Scope::new("killed");
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "owner", "--ignored", "--nocapture"])
        .env("CTR_TEST_STATE", scope.state_dir())
        .env("CTR_TEST_NAME", format!("{}.k", scope.prefix()))
        .stdout(ProcessStdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let ready = lines.map_while(Result::ok).any(|line| line.contains("READY"));
    assert!(ready, "the owner made no container");
    if leftovers::cgroups(scope.prefix()).is_empty() {
        skipped("this user has no cgroups, only the rest is tested");
    }
    owner.kill().unwrap();
    owner.wait().unwrap();
    leftovers::assert_no_process_of(owner.id());
    assert_eq!(scope.client().list().unwrap(), []);
    scope.assert_nothing_left();
}

/// Not a test: the process that [`a_killed_owner_leaves_no_cgroup`] kills.
#[test]
#[ignore = "started by another test"]
fn owner() {
    let state_dir = std::env::var_os("CTR_TEST_STATE").map(Into::into);
    let config = Config::default().with(|c| {
        c.name = std::env::var("CTR_TEST_NAME").ok();
        c.state_dir = state_dir;
    });
    let container = Container::create("host", &config).unwrap();
    let _inside = shell(&container, "exec sleep 1000");
    println!("READY");
    std::thread::sleep(Duration::from_secs(1000));
}
