//! Pausing, on whichever cgroup version the machine has; `tests/vm` runs it on v2. What is asked of a paused container comes
//! back, and what was paused leaves nothing.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio as ProcessStdio};
use std::time::{Duration, Instant};

use common::leftovers::{self, Scope};
use common::{end_of, eventually, quiet, run, skipped};
use ctr::{CgroupPolicy, Config, Container, Error, ErrorCode, ExitReason, Limit, Namespace, Process, Stdio};

const SOON: Option<Duration> = Some(Duration::from_secs(20));

/// The container, or `None` (said so) where it can't be paused: none of this user's can then.
fn create(config: &Config) -> Option<Container> {
    let container = Container::create("host", config).unwrap();
    match container.pause(SOON) {
        Ok(()) => container.resume().unwrap(),
        Err(error) if error.code() == ErrorCode::Unsupported => {
            skipped(&error.to_string());
            return None;
        }
        Err(error) => panic!("{error}"),
    }
    Some(container)
}

fn is_v2(container: &Container) -> bool {
    container.inspect().unwrap().cgroups.iter().any(|path| std::fs::exists(format!("{path}/cgroup.freeze")).unwrap())
}

/// Writes a line whenever it has counted a little.
fn counter(container: &Container) -> (Process, std::fs::File) {
    let config = quiet().with(|c| c.stdout = Stdio::Pipe);
    let p = container.exec(["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done"], &config).unwrap();
    let out = std::fs::File::from(p.take_stdout().unwrap());
    assert!(is_heard(&out, Duration::from_secs(60)), "it never counted");
    (p, out)
}

/// Whether it writes within this time; what it has written is read.
fn is_heard(mut out: &std::fs::File, within: Duration) -> bool {
    let mut polled = libc::pollfd { fd: out.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one record, which outlives the call.
    let ready = unsafe { libc::poll(&mut polled, 1, within.as_millis() as i32) };
    ready == 1 && std::io::Read::read(&mut out, &mut [0; 65536]).unwrap() > 0
}

/// Reads until nothing comes.
fn drain(out: &std::fs::File) {
    while is_heard(out, Duration::from_millis(50)) {}
}

#[track_caller]
fn refused<T>(outcome: ctr::Result<T>) -> Error {
    let error = outcome.err().expect("it was done, and the container is paused");
    assert_eq!((error.code(), error.errno()), (ErrorCode::System, libc::EBUSY), "{error}");
    assert!(error.to_string().contains("it is paused") && error.hint().contains("resume"), "{error}");
    error
}

#[test]
fn programs_stand_still_and_go_on() {
    let scope = Scope::new("pause");
    let container = Container::create("host", &scope.config()).unwrap();
    if let Err(error) = container.pause(SOON) {
        assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
        return skipped(&error.to_string());
    }
    container.resume().unwrap();
    let (p, out) = counter(&container);
    assert!(!container.paused().unwrap());
    // The first pause may have to move processes, the second has not; one that is paused can be paused again.
    for _ in 0..2 {
        container.pause(SOON).unwrap();
        container.pause(SOON).unwrap();
        assert!(container.paused().unwrap());
        drain(&out);
        assert!(!is_heard(&out, Duration::from_millis(300)), "it counts on");
        assert_eq!(p.wait(Some(Duration::from_millis(50))).unwrap(), None);
        assert!(container.is_running());
        container.resume().unwrap();
        container.resume().unwrap();
        assert!(!container.paused().unwrap());
        assert!(is_heard(&out, Duration::from_secs(60)), "it does not go on");
    }
    p.kill(libc::SIGKILL).unwrap();
    end_of(&p);
    assert_eq!(run(&container, &["echo", "well"]).0, "well\n");
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn who_asks_a_paused_container_is_told_so_and_does_not_wait() {
    let scope = Scope::new("asked");
    let Some(container) = create(&scope.config()) else { return };
    let joined = scope.client().join(container.name()).unwrap();
    // The one handle knows, the other finds out.
    joined.pause(SOON).unwrap();
    let started = Instant::now();
    refused(joined.exec(["true"], &quiet()));
    assert!(started.elapsed() < Duration::from_millis(150), "{:?}", started.elapsed());
    refused(container.exec(["true"], &quiet()));
    refused(container.kill_all(libc::SIGTERM));
    refused(container.diff().map(drop));
    refused(container.kill_all(libc::SIGKILL));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    // A third one comes when it is paused already.
    let late = scope.client().join(container.name()).unwrap();
    assert!(late.paused().unwrap() && container.paused().unwrap());
    refused(late.exec(["true"], &quiet()));
    let told = late.inspect().unwrap();
    assert!(told.paused && told.pid == container.pid() && !told.walls.is_empty());
    late.set_limit(Limit::Pids, Some(50)).unwrap();
    assert_eq!(container.pids_limit().unwrap(), Some(50));
    let listed = scope.client().list().unwrap();
    assert!(listed[0].paused && listed[0].pid == container.pid(), "{listed:?}");
    late.resume().unwrap();
    assert!(!scope.client().list().unwrap()[0].paused);
    assert!(!container.inspect().unwrap().paused);
    for handle in [&late, &joined, &container] {
        assert_eq!(end_of(&handle.exec(["true"], &quiet()).unwrap()).code, 0);
    }
    container.destroy().unwrap();
    assert_eq!(late.pause(SOON).unwrap_err().code(), ErrorCode::Destroyed);
    assert_eq!(late.paused().unwrap_err().code(), ErrorCode::Destroyed);
    scope.assert_nothing_left();
}

#[test]
fn a_paused_container_is_destroyed_by_whomever_and_in_every_way() {
    let scope = Scope::new("end");
    let Some(_first) = create(&scope.config()) else { return };
    let ends: [fn(Container, &Scope); 6] = [
        |container, _| container.destroy().unwrap(),
        |container, _| drop(container),
        |container, scope| {
            let joined = scope.client().join(container.name()).unwrap();
            joined.pause(SOON).unwrap();
            container.destroy().unwrap();
        },
        |container, scope| scope.client().join(container.name()).unwrap().destroy().unwrap(),
        |container, scope| scope.client().destroy_named(container.name()).unwrap(),
        |container, _| container.stop(Duration::from_secs(20)).unwrap(),
    ];
    for (i, end) in ends.into_iter().enumerate() {
        for pid in [Namespace::New, Namespace::Host] {
            let mut config = scope.config();
            config.namespaces.pid = pid;
            let name = config.name.clone().unwrap();
            let container = create(&config).unwrap();
            let script = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done";
            let p = container.exec(["sh", "-c", script], &quiet().with(|c| c.stdout = Stdio::Pipe)).unwrap();
            let out = std::fs::File::from(p.take_stdout().unwrap());
            assert!(is_heard(&out, Duration::from_secs(60)), "it never was ready");
            if i != 2 {
                container.pause(SOON).unwrap();
            }
            let started = Instant::now();
            end(container, &scope);
            assert!(started.elapsed() < Duration::from_secs(10), "end {i} took {:?}", started.elapsed());
            let exit = p.wait(SOON).unwrap().unwrap();
            // Who is stopped goes on before, and ends by itself.
            assert!(if i == 5 { exit.code == 3 } else { exit.code == 137 }, "end {i}: {exit:?}");
            assert!(leftovers::cgroups(&name).is_empty(), "end {i}");
        }
    }
    drop(_first);
    scope.assert_nothing_left();
}

#[test]
fn what_is_killed_while_paused_ends_at_once_or_when_it_goes_on() {
    let scope = Scope::new("killed");
    let Some(container) = create(&scope.config()) else { return };
    let p = container.exec(["sleep", "1000"], &quiet()).unwrap();
    let limited = quiet().with(|c| c.time_limit = Some(Duration::from_millis(700)));
    let limited = container.exec(["sleep", "1000"], &limited).unwrap();
    container.pause(SOON).unwrap();
    let started = Instant::now();
    p.kill(libc::SIGKILL).unwrap();
    if is_v2(&container) {
        assert_eq!(end_of(&p).signal, libc::SIGKILL);
        assert_eq!(end_of(&limited).reason, ExitReason::TimedOut);
    } else {
        let error = refused(p.wait(None));
        assert!(error.to_string().contains("what was killed ends when"), "{error}");
        refused(limited.wait(None));
    }
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    container.resume().unwrap();
    assert_eq!(end_of(&p).signal, libc::SIGKILL);
    assert_eq!(end_of(&limited).reason, ExitReason::TimedOut);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_pause_that_is_not_done_in_time_is_none() {
    let scope = Scope::new("time");
    let container = Container::create("host", &scope.config()).unwrap();
    let (p, out) = counter(&container);
    match container.pause(Some(Duration::ZERO)) {
        Err(error) if error.code() == ErrorCode::Unsupported => return skipped(&error.to_string()),
        Err(error) => assert_eq!((error.code(), error.errno()), (ErrorCode::TimedOut, libc::ETIMEDOUT), "{error}"),
        Ok(()) => container.resume().unwrap(),
    }
    assert!(!container.paused().unwrap());
    drain_once(&out);
    assert!(is_heard(&out, Duration::from_secs(60)), "it does not go on");
    assert_eq!(run(&container, &["echo", "well"]).0, "well\n");
    container.pause(SOON).unwrap();
    assert!(container.paused().unwrap());
    drop(p);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

fn drain_once(out: &std::fs::File) {
    _ = is_heard(out, Duration::ZERO);
}

#[test]
fn what_forks_all_the_time_is_stopped_to_the_last() {
    let scope = Scope::new("forks");
    // Whoever can pause has cgroups, and so the limit.
    let Some(probe) = create(&scope.config()) else { return };
    probe.destroy().unwrap();
    let container = Container::create("host", &scope.config().with(|c| c.pids = Some(100))).unwrap();
    let p = container
        .exec(["sh", "-c", "f() { while :; do (:); done; }; for i in 1 2 3 4 5 6 7 8; do f & done; wait"], &quiet());
    let p = p.unwrap();
    std::thread::sleep(Duration::from_millis(200));
    container.pause(Some(Duration::from_secs(60))).unwrap();
    let ticks = || {
        let of = leftovers::cgroups(container.name());
        let procs =
            of.iter().map(|path| std::fs::read_to_string(path.join("cgroup.procs")).unwrap()).collect::<String>();
        let pids: std::collections::BTreeSet<&str> = procs.lines().collect();
        let line = |pid: &&str| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
        let stats: Vec<String> = pids.iter().filter_map(line).collect();
        // Times of processors, and who there is.
        stats.iter().map(|stat| stat.split(' ').take(17).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    let before = ticks();
    assert!(before.len() >= 9, "{before:?}");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(ticks(), before);
    container.resume().unwrap();
    eventually("they go on", || ticks() != before);
    drop(p);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn many_may_look_at_a_paused_container() {
    let scope = Scope::new("looks");
    let Some(container) = create(&scope.config()) else { return };
    container.pause(SOON).unwrap();
    for _ in 0..150 {
        let listed = scope.client().list().unwrap();
        assert_eq!(listed[0].pid, container.pid());
        assert!(scope.client().join(container.name()).unwrap().paused().unwrap());
    }
    let joined = scope.client().join(container.name()).unwrap();
    joined.resume().unwrap();
    assert_eq!(run(&joined, &["echo", "well"]).0, "well\n");
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_container_without_cgroup_and_a_joined_pid_are_refused_by_name() {
    let scope = Scope::new("none");
    let config = scope.config().with(|c| c.cgroup = CgroupPolicy::Off);
    let container = Container::create("host", &config).unwrap();
    // Of PID 1 only root may.
    let p = container.exec(["sleep", "1000"], &quiet()).unwrap();
    let joined = Container::join_pid(p.host_pid().unwrap(), ctr::NamespaceSet::ALL).unwrap();
    for handle in [&container, &joined] {
        assert!(!handle.paused().unwrap());
        for (outcome, step) in [(handle.pause(SOON), "pause container"), (handle.resume(), "resume container")] {
            let error = outcome.unwrap_err();
            assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
            assert!(error.to_string().starts_with(step), "{error}");
        }
    }
    joined.close();
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_frozen_cgroup_above_is_told() {
    let scope = Scope::new("above");
    if !nix::unistd::geteuid().is_root() {
        return skipped("only root makes cgroups wherever it likes");
    }
    let v2 = std::fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap();
    let name = format!("ctr-above-{}", scope.prefix());
    let mounts = if v2 { vec!["/sys/fs/cgroup"] } else { vec!["/sys/fs/cgroup/memory", "/sys/fs/cgroup/freezer"] };
    let parents: Vec<_> = mounts.iter().map(|mount| std::path::Path::new(mount).join(&name)).collect();
    if parents.iter().any(|parent| std::fs::create_dir(parent).is_err()) {
        return skipped("no cgroups can be made where they usually are");
    }
    let frozen = |yes: bool| {
        let parent = parents.last().unwrap();
        let (file, text) = match (v2, yes) {
            (true, yes) => ("cgroup.freeze", if yes { "1" } else { "0" }),
            (false, yes) => ("freezer.state", if yes { "FROZEN" } else { "THAWED" }),
        };
        std::fs::write(parent.join(file), text).unwrap();
    };
    let container =
        Container::create("host", &scope.config().with(|c| c.cgroup_parent = Some(format!("/{name}").into()))).unwrap();
    container.pause(SOON).unwrap();
    container.resume().unwrap();
    frozen(true);
    eventually("the container is frozen", || container.paused().unwrap());
    let error = container.resume().unwrap_err();
    assert_eq!((error.code(), error.errno()), (ErrorCode::System, libc::EBUSY), "{error}");
    assert!(error.to_string().contains("a cgroup above it is frozen"), "{error}");
    container.pause(SOON).unwrap();
    frozen(false);
    // Its own pause stands.
    assert!(container.paused().unwrap());
    container.resume().unwrap();
    assert_eq!(run(&container, &["echo", "well"]).0, "well\n");
    container.destroy().unwrap();
    for parent in parents {
        std::fs::remove_dir(parent).unwrap();
    }
    scope.assert_nothing_left();
}

#[test]
fn a_paused_container_whose_owner_was_killed_is_swept() {
    let scope = Scope::new("owner");
    let Some(probe) = create(&scope.config()) else { return };
    probe.destroy().unwrap();
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "owner", "--ignored", "--nocapture"])
        .env("CTR_TEST_STATE", scope.state_dir())
        .env("CTR_TEST_NAME", format!("{}.k", scope.prefix()))
        .stdout(ProcessStdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("READY")), "the owner made no container");
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert_eq!(scope.client().list().unwrap(), []);
    leftovers::assert_no_process_of(owner.id());
    scope.assert_nothing_left();
}

/// Not a test: the process that [`a_paused_container_whose_owner_was_killed_is_swept`] kills.
#[test]
#[ignore = "started by another test"]
fn owner() {
    let state_dir = std::env::var_os("CTR_TEST_STATE").map(Into::into);
    let config = Config::default().with(|c| {
        c.name = std::env::var("CTR_TEST_NAME").ok();
        c.state_dir = state_dir;
    });
    let container = Container::create("host", &config).unwrap();
    let _inside = container.exec(["sleep", "1000"], &quiet()).unwrap();
    container.pause(SOON).unwrap();
    println!("READY");
    std::io::stdout().flush().unwrap();
    std::thread::sleep(Duration::from_secs(1000));
}

#[test]
fn a_life_that_was_over_while_it_was_paused_ends_when_it_is_resumed() {
    let lifetime = Duration::from_secs(4);
    let Some(container) = create(&Config::default().with(|c| c.lifetime = Some(lifetime))) else { return };
    container.pause(SOON).unwrap();
    std::thread::sleep(Duration::from_secs(5));
    let begun = Instant::now();
    container.resume().unwrap();
    eventually("it has ended", || !container.is_running());
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
