//! Events of a container: none lost, none invented, on whichever cgroup version the machine has; `tests/vm` has v2.

mod common;

use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use common::leftovers::{Scope, descriptors};
use common::{end_of, quiet, skipped};
use ctr::{Bind, CgroupPolicy, Config, Container, ErrorCode, Event, EventKind, ExitReason, Mount, Step, Watch};

const MIB: u64 = 1 << 20;
/// What takes 96 MiB at once, twice of what the containers have.
const HOG: &str = "dd if=/dev/zero of=/dev/null bs=96M count=1 2>/dev/null";

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

/// All that comes until one of this kind, which is the last of them.
fn until(watch: &Watch, kind: EventKind) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let event = watch.wait(Some(Duration::from_secs(30))).unwrap();
        events.push(event.unwrap_or_else(|| panic!("no {} within 30 seconds after {events:?}", kind.name())));
        if events.last().unwrap().kind == kind {
            return events;
        }
    }
}

/// How often there was one of this kind.
fn count(events: &[Event], kind: EventKind) -> u64 {
    events.iter().filter(|event| event.kind == kind).map(|event| event.count).sum()
}

/// What comes within a time that is long enough for all that was to come.
fn rest(watch: &Watch) -> Vec<Event> {
    let end = Instant::now() + Duration::from_millis(2500);
    let mut events = Vec::new();
    while let Some(event) = watch.wait(Some(end.saturating_duration_since(Instant::now()))).unwrap() {
        events.push(event);
    }
    events
}

fn kinds(events: &[Event]) -> Vec<EventKind> {
    events.iter().map(|event| event.kind).collect()
}

fn with_memory(scope: &Scope) -> Config {
    scope.config().with(|c| c.memory = Some(48 * MIB))
}

#[test]
fn children_that_are_killed_for_memory_are_counted_while_their_parent_lives_on() {
    let scope = Scope::new("children");
    let Some(container) = create(&with_memory(&scope)) else { return };
    let watch = container.watch(&[EventKind::OomKill, EventKind::Exit]).unwrap();
    let (before, began) = (SystemTime::now(), Instant::now());
    let p = container.exec(["sh", "-c", &format!("{HOG}; {HOG}; {HOG}; exit 7")], &quiet()).unwrap();
    let mut events = until(&watch, EventKind::Exit);
    let (pid, exit) = events.last().unwrap().exit.unwrap();
    assert_eq!((pid, exit.code, exit.reason), (p.pid(), 7, ExitReason::Exited));
    events.extend(rest(&watch));
    assert_eq!(count(&events, EventKind::OomKill), 3, "{events:?}");
    assert_eq!(container.stats().unwrap().oom_kills, Some(3));
    assert_eq!(count(&events, EventKind::Exit), 1, "{events:?}");
    let mut last = Duration::ZERO;
    for event in &events {
        assert!(event.time >= before && event.time <= before + began.elapsed() + Duration::from_secs(1), "{event:?}");
        assert!(event.monotonic >= last, "{events:?}");
        last = event.monotonic;
    }
    container.destroy().unwrap();
    assert_eq!(kinds(&until(&watch, EventKind::End)), [EventKind::End]);
    scope.assert_nothing_left();
}

#[test]
fn a_program_that_is_killed_for_memory_is_told_from_one_that_is_killed_by_hand() {
    let scope = Scope::new("reason");
    let Some(container) = create(&with_memory(&scope)) else { return };
    let watch = container.watch(&[EventKind::OomKill, EventKind::Exit]).unwrap();
    let other = container.exec(["sleep", "1000"], &quiet()).unwrap();
    let p = container.exec(["sh", "-c", &format!("exec {HOG}")], &quiet()).unwrap();
    let events = until(&watch, EventKind::Exit);
    assert_eq!(kinds(&events), [EventKind::OomKill, EventKind::Exit], "it was counted before it died");
    assert_eq!(events[1].exit.map(|(pid, exit)| (pid, exit.reason)), Some((p.pid(), ExitReason::OutOfMemory)));
    assert_eq!(end_of(&p).reason, ExitReason::OutOfMemory);
    // By another one inside, so nobody but the count can tell.
    let killer = container.exec(["kill", "-9", &other.pid().to_string()], &quiet()).unwrap();
    assert_eq!(end_of(&killer).code, 0);
    assert_eq!(end_of(&other).reason, ExitReason::Signaled);
    let exits = rest(&watch);
    assert_eq!(kinds(&exits), [EventKind::Exit; 2]);
    // One that has ended is not killed any more: what ended it stays the reason.
    let p = container.exec(["sh", "-c", &format!("exec {HOG}")], &quiet()).unwrap();
    assert_eq!(kinds(&until(&watch, EventKind::Exit)), [EventKind::OomKill, EventKind::Exit]);
    p.kill(libc::SIGKILL).unwrap();
    assert_eq!(end_of(&p).reason, ExitReason::OutOfMemory);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_limit_of_memory_that_is_met_is_told_also_where_nobody_is_killed() {
    let scope = Scope::new("cache");
    let dir = scope.dir().join("data");
    std::fs::create_dir(&dir).unwrap();
    // The cache of a tmpfs is no cache, and can't be given back.
    let kind = nix::sys::statfs::statfs(&dir).unwrap().filesystem_type();
    if kind == nix::sys::statfs::TMPFS_MAGIC {
        return skipped("the scratch directory is on a tmpfs");
    }
    std::fs::File::create(dir.join("file")).unwrap().set_len(160 * MIB).unwrap();
    let bind = Mount::Bind(Bind::new(dir, "/data"));
    let Some(container) = create(&with_memory(&scope).with(|c| c.mounts = vec![bind])) else { return };
    let watch = container.watch(&[EventKind::OomKill, EventKind::MemoryLimit]).unwrap();
    assert_eq!(rest(&watch), [], "nothing has happened yet");
    let p = container.exec(["cat", "/data/file"], &quiet()).unwrap();
    assert_eq!(end_of(&p).code, 0);
    let events = until(&watch, EventKind::MemoryLimit);
    assert_eq!(count(&events, EventKind::OomKill), 0, "{events:?}");
    container.destroy().unwrap();
    until(&watch, EventKind::End);
    scope.assert_nothing_left();
}

#[test]
fn a_container_that_is_slowed_down_for_its_memory_is_told_of_on_v2_alone() {
    let scope = Scope::new("high");
    let Some(container) = create(&scope.config().with(|c| c.memory = Some(256 * MIB))) else { return };
    let watch = match container.watch(&[EventKind::MemoryHigh]) {
        Err(error) if Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists() => {
            assert_eq!((error.code(), error.failed_step()), (ErrorCode::Unsupported, Step::WatchContainer), "{error}");
            assert!(error.to_string().contains("cgroup v1 has no such limit"), "{error}");
            assert!(container.watch(&[]).unwrap().kinds().all(|kind| kind != EventKind::MemoryHigh));
            return skipped(&error.to_string());
        }
        watch => watch.unwrap(),
    };
    // Set while it is watched. What is written to a tmpfs can be given back to nobody, so it is above from then on.
    container.set_limit(ctr::Limit::MemoryHigh, Some(16 * MIB)).unwrap();
    assert_eq!(rest(&watch), [], "nothing has happened yet");
    let script = "dd if=/dev/zero of=/dev/shm/file bs=1M count=32 2>/dev/null";
    let p = container.exec(["sh", "-c", script], &quiet()).unwrap();
    let events = until(&watch, EventKind::MemoryHigh);
    assert!(events[0].count >= 1, "{events:?}");
    container.set_limit(ctr::Limit::MemoryHigh, None).unwrap();
    assert_eq!(end_of(&p).code, 0);
    container.destroy().unwrap();
    until(&watch, EventKind::End);
    scope.assert_nothing_left();
}

#[test]
fn forks_that_a_limit_refuses_are_counted() {
    let scope = Scope::new("pids");
    let Some(container) = create(&scope.config()) else { return };
    let watch = container.watch(&[EventKind::PidsLimit]).unwrap();
    // Set while it is watched.
    container.set_pids_limit(Some(4)).unwrap();
    let script = "sleep 2 & sleep 2 & sleep 2 & sleep 2 & wait";
    let p = container.exec(["sh", "-c", script], &quiet()).unwrap();
    let events = until(&watch, EventKind::PidsLimit);
    assert!(events[0].count >= 1, "{events:?}");
    end_of(&p);
    assert_eq!(kinds(&rest(&watch)), [], "told once");
    container.destroy().unwrap();
    assert_eq!(kinds(&until(&watch, EventKind::End)), [EventKind::End]);
    scope.assert_nothing_left();
}

#[test]
fn who_joins_sees_what_happens_to_all_but_the_ends_of_its_own_programs_alone() {
    let scope = Scope::new("join");
    let Some(container) = create(&with_memory(&scope)) else { return };
    let joined = scope.client().join(container.name()).unwrap();
    let (ours, theirs) = (container.watch(&[]).unwrap(), joined.watch(&[]).unwrap());
    let p = container.exec(["sh", "-c", &format!("exec {HOG}")], &quiet()).unwrap();
    assert_eq!(count(&until(&ours, EventKind::Exit), EventKind::OomKill), 1);
    assert_eq!(count(&until(&theirs, EventKind::OomKill), EventKind::OomKill), 1);
    let q = joined.exec(["true"], &quiet()).unwrap();
    assert_eq!(until(&theirs, EventKind::Exit).last().unwrap().exit.unwrap().0, q.pid());
    // It was started by another handle, and has ended long ago.
    theirs.add(&p).unwrap();
    let told = until(&theirs, EventKind::Exit).last().unwrap().exit.unwrap();
    assert_eq!((told.0, told.1.reason), (p.pid(), ExitReason::OutOfMemory));
    container.destroy().unwrap();
    for watch in [&ours, &theirs] {
        assert_eq!(count(&until(watch, EventKind::End), EventKind::Exit), 0);
        assert_eq!(watch.wait(None).unwrap_err().code(), ErrorCode::Destroyed);
        assert!(is_readable(watch));
    }
    scope.assert_nothing_left();
}

fn is_readable(watch: &Watch) -> bool {
    let mut polled = [nix::poll::PollFd::new(watch.fd(), nix::poll::PollFlags::POLLIN)];
    nix::poll::poll(&mut polled, 0u8).unwrap() == 1
}

#[test]
fn a_container_s_end_comes_last_and_what_nobody_has_read_yet_before_it() {
    let scope = Scope::new("end");
    let Some(container) = create(&with_memory(&scope)) else { return };
    let watch = container.watch(&[]).unwrap();
    let running = container.exec(["sleep", "1000"], &quiet()).unwrap();
    let pid = running.pid();
    // Nobody has its handle any more.
    drop(running);
    end_of(&container.exec(["sh", "-c", HOG], &quiet()).unwrap());
    container.destroy().unwrap();
    scope.assert_nothing_left();
    let events = until(&watch, EventKind::End);
    assert_eq!(count(&events, EventKind::OomKill), 1, "{events:?}");
    let destroyed =
        |event: &Event| event.exit.is_some_and(|(of, exit)| of == pid && exit.reason == ExitReason::Destroyed);
    assert!(events.iter().any(destroyed), "{events:?}");
    assert_eq!(count(&events, EventKind::Exit), 2, "{events:?}");
}

#[test]
fn a_pause_and_its_end_are_told() {
    let scope = Scope::new("pause");
    let Some(container) = create(&scope.config()) else { return };
    let watch = container.watch(&[]).unwrap();
    if let Err(error) = container.pause(Some(Duration::from_secs(20))) {
        assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
        return skipped(&error.to_string());
    }
    assert_eq!(kinds(&until(&watch, EventKind::Pause)), [EventKind::Pause]);
    container.resume().unwrap();
    assert_eq!(kinds(&until(&watch, EventKind::Resume)), [EventKind::Resume]);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn what_can_not_be_told_here_is_refused_by_name() {
    let scope = Scope::new("none");
    let container = Container::create("host", &scope.config().with(|c| c.cgroup = CgroupPolicy::Off)).unwrap();
    let watch = container.watch(&[]).unwrap();
    assert_eq!(watch.kinds().collect::<Vec<_>>(), [EventKind::Exit, EventKind::End]);
    let error = container.watch(&[EventKind::OomKill]).err().unwrap();
    assert_eq!((error.code(), error.failed_step()), (ErrorCode::Unsupported, Step::WatchContainer), "{error}");
    let p = container.exec(["sh", "-c", "exit 3"], &quiet()).unwrap();
    assert_eq!(until(&watch, EventKind::Exit)[0].exit.unwrap().1.code, 3);
    let other = Container::create("host", &scope.config().with(|c| c.cgroup = CgroupPolicy::Off)).unwrap();
    assert_eq!(other.watch(&[]).unwrap().add(&p).unwrap_err().code(), ErrorCode::Invalid);
    let error = watch.add_pressure("memory", false, Duration::from_millis(100), Duration::from_secs(2)).unwrap_err();
    assert_eq!((error.code(), error.failed_step()), (ErrorCode::Unsupported, Step::WatchPressure), "{error}");
    let error = watch.add_pressure("time", false, Duration::from_millis(100), Duration::from_secs(2)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Invalid, "{error}");
    container.destroy().unwrap();
    other.destroy().unwrap();
    scope.assert_nothing_left();
    assert_eq!(container.watch(&[]).err().unwrap().code(), ErrorCode::Destroyed);
}

#[test]
fn pressure_is_told_where_the_kernel_counts_it_and_refused_elsewhere() {
    let scope = Scope::new("pressure");
    let Some(container) = create(&scope.config()) else { return };
    let watch = container.watch(&[]).unwrap();
    let (stall, window) = (Duration::from_millis(200), Duration::from_secs(2));
    let number = match watch.add_pressure("cpu", false, stall, window) {
        Ok(number) => number,
        Err(error) => {
            assert_eq!((error.code(), error.failed_step()), (ErrorCode::Unsupported, Step::WatchPressure), "{error}");
            assert!(!watch.kinds().any(|kind| kind == EventKind::Pressure));
            container.destroy().unwrap();
            return skipped(&error.to_string());
        }
    };
    assert_eq!(kinds(&rest(&watch)), [], "nobody waits yet");
    // More that want a processor than there are.
    let count = 2 * std::thread::available_parallelism().unwrap().get() + 1;
    let script = format!("for i in $(seq {count}); do while :; do :; done & done; wait");
    let p = container.exec(["sh", "-c", &script], &quiet()).unwrap();
    assert_eq!(until(&watch, EventKind::Pressure).last().unwrap().pressure, Some(number));
    p.kill_group(libc::SIGKILL).unwrap();
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_loop_of_the_caller_s_own_sleeps_until_something_happens() {
    let scope = Scope::new("loop");
    let Some(container) = create(&with_memory(&scope)) else { return };
    let watch = container.watch(&[]).unwrap();
    assert!(watch.fd().as_raw_fd() > 2);
    let p = container.exec(["sh", "-c", &format!("{HOG}; exit 0")], &quiet()).unwrap();
    let mut events = Vec::new();
    let end = Instant::now() + Duration::from_secs(30);
    while count(&events, EventKind::Exit) == 0 {
        assert!(Instant::now() < end, "{events:?}");
        let mut polled = [nix::poll::PollFd::new(watch.fd(), nix::poll::PollFlags::POLLIN)];
        nix::poll::poll(&mut polled, 10_000u16).unwrap();
        while let Some(event) = watch.wait(Some(Duration::ZERO)).unwrap() {
            events.push(event);
        }
    }
    assert_eq!(count(&events, EventKind::OomKill), 1, "{events:?}");
    assert_eq!(end_of(&p).code, 0);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_forked_child_takes_nothing_from_its_parent() {
    let scope = Scope::new("fork");
    let container = Container::create("host", &scope.config()).unwrap();
    let watch = container.watch(&[]).unwrap();
    let p = container.exec(["sleep", "0.5"], &quiet()).unwrap();
    // SAFETY: the child makes calls that are refused, and ends without going back.
    match unsafe { libc::fork() } {
        0 => {
            let refused = watch.wait(Some(Duration::from_secs(20))).is_err_and(|e| e.code() == ErrorCode::Invalid);
            drop(watch);
            // SAFETY: ends the child without the parent's exit handlers.
            unsafe { libc::_exit(i32::from(!refused)) }
        }
        child => {
            let mut status = -1;
            // SAFETY: our own child; the kernel writes an int.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert_eq!(status, 0);
        }
    }
    assert_eq!(until(&watch, EventKind::Exit).last().unwrap().exit.unwrap().0, p.pid());
    container.destroy().unwrap();
    until(&watch, EventKind::End);
    scope.assert_nothing_left();
}

#[test]
#[ignore = "a role"]
fn role_watches_and_stops() {
    let scope = Scope::new("descriptors");
    let container = Container::create("host", &scope.config()).unwrap();
    // What is kept from the second look on.
    for _ in 0..3 {
        _ = container.stats();
    }
    let before = descriptors();
    for _ in 0..2 {
        let watch = container.watch(&[]).unwrap();
        let p = container.exec(["true"], &quiet()).unwrap();
        assert_eq!(until(&watch, EventKind::Exit).last().unwrap().exit.unwrap().0, p.pid());
        assert!(descriptors().len() > before.len() + 1);
        drop((p, watch));
        assert_eq!(descriptors(), before);
    }
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

/// In a process of its own, since others open descriptors meanwhile.
#[test]
fn who_watches_no_more_has_no_descriptor_left_of_it() {
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "role_watches_and_stops", "--ignored", "--test-threads=1"])
        .stdout(std::process::Stdio::null())
        .status();
    assert!(status.unwrap().success());
}
