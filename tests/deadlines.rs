//! Time limits: they reach all that a program has started, and nobody else, and every call comes back.

mod common;

use common::{captured, end_of, eventually, host, host_with, quiet, run_with, sh};
use ctr::{Config, Container, ErrorCode, ExecConfig, ExitReason, Stdio};
use std::process::Command;
use std::time::{Duration, Instant};

fn limited(limit: u64) -> ExecConfig {
    quiet().with(|c| c.time_limit = Some(Duration::from_millis(limit)))
}

/// How many processes of the container have this in their command line.
fn count(container: &Container, what: &str) -> usize {
    let script = "for p in /proc/[0-9]*; do cat $p/cmdline 2>/dev/null | tr '\\0' ' '; echo; done";
    sh(container, script).lines().filter(|line| line.starts_with(what)).count()
}

/// A program that starts others in every way there is and then does `last`.
fn family(mark: u32, last: &str) -> String {
    format!(
        "sleep {mark} & setsid sleep {mark} & (setsid sleep {mark} &) & (setsid sh -c 'sleep {mark} & sleep {mark}' &)
         (trap '' TERM HUP INT; exec sleep {mark}) & (kill -STOP $(exec sh -c 'echo $PPID'); sleep {mark}) &
         python3 -c 'import os,time,sys
if os.fork(): sys.exit()
os.setsid()
if os.fork(): sys.exit()
os.execvp(\"sleep\", [\"sleep\", \"{mark}\"])' & {last}"
    )
}

#[test]
fn a_time_limit_ends_all_that_a_program_has_started_and_nobody_else() {
    if !common::has_python() {
        return;
    }
    let c = host();
    let other = c.exec(["sleep", "777"], &quiet()).unwrap();
    let later = c.exec(["sh", "-c", &family(888, "sleep 888")], &limited(100_000)).unwrap();
    let p = c.exec(["sh", "-c", &family(999, "sleep 999")], &limited(1500)).unwrap();
    eventually("its family is there", || count(&c, "sleep 999") >= 7);
    assert_eq!(end_of(&p).reason, ExitReason::TimedOut);
    eventually("its family is gone", || count(&c, "sleep 999") == 0);
    assert!(count(&c, "sleep 888") >= 7, "the family of another was killed");
    assert_eq!(other.wait(Some(Duration::ZERO)).unwrap(), None);
    assert_eq!(later.wait(Some(Duration::ZERO)).unwrap(), None);
    assert!(c.is_running());
    later.kill(libc::SIGKILL).unwrap();
    c.destroy().unwrap();
}

#[test]
fn what_a_program_left_behind_has_its_limit_still() {
    let c = host();
    let p = c.exec(["sh", "-c", &family(555, "exit 7")], &limited(5000)).unwrap();
    let end = end_of(&p);
    assert_eq!((end.code, end.reason), (7, ExitReason::Exited));
    eventually("it has left some behind", || count(&c, "sleep 555") >= 5);
    eventually("it is gone", || count(&c, "sleep 555") == 0);
    assert!(c.is_running());
}

#[test]
fn a_pipe_comes_to_its_end_at_the_limit_whoever_holds_it() {
    let c = host();
    let config = quiet().with(|c| {
        c.time_limit = Some(Duration::from_millis(500));
        c.stdout = Stdio::Pipe;
    });
    let begun = Instant::now();
    let (_, end) = run_with(&c, &["sh", "-c", "setsid sleep 300 & sleep 300"], &config);
    assert_eq!(end.reason, ExitReason::TimedOut);
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn a_mark_can_not_be_shed() {
    if !common::has_python() {
        return;
    }
    let c = host();
    // Lowering one of the two limits, or both, leaves a mark that nobody has, and raising is refused.
    let script = "import resource as r, os, time
RTTIME = 15 if not hasattr(r, 'RLIMIT_RTTIME') else r.RLIMIT_RTTIME
LOCKS = 10
for n, (locks, rttime) in enumerate([(0, 0), (5, 0), (0, 5), (5, 5)]):
    if not os.fork():
        os.setsid()
        for which, by in ((LOCKS, locks), (RTTIME, rttime)):
            soft, hard = r.getrlimit(which)
            if by:
                r.setrlimit(which, (1000 * by, 1000 * by))
            try:
                r.setrlimit(which, (soft, hard + 1))
                print('raised')
            except (ValueError, OSError):
                pass
        os.execvp('sleep', ['sleep', '444'])
time.sleep(444)";
    let other = c.exec(["sleep", "333"], &limited(100_000)).unwrap();
    let p = c.exec(["python3", "-c", script], &limited(1500)).unwrap();
    eventually("its family is there", || count(&c, "sleep 444") == 4);
    assert_eq!(end_of(&p).reason, ExitReason::TimedOut);
    eventually("its family is gone", || count(&c, "sleep 444") == 0);
    assert_eq!(other.wait(Some(Duration::ZERO)).unwrap(), None);
}

#[test]
fn a_limit_is_that_of_each_program_and_of_its_own_alone() {
    let c = host();
    let all: Vec<_> = (0..20).map(|i| c.exec(["sleep", "300"], &limited(300 + 20 * i)).unwrap()).collect();
    let unlimited = c.exec(["sh", "-c", "ulimit -Hx 5 2>/dev/null; sleep 300"], &quiet()).unwrap();
    for p in &all {
        assert_eq!(end_of(p).reason, ExitReason::TimedOut);
    }
    assert_eq!(unlimited.wait(Some(Duration::ZERO)).unwrap(), None);
}

#[test]
fn users_of_every_kind_are_reached() {
    let c = host();
    if !common::has_ids(&c, 65536) {
        return common::skipped("other users inside take ranges of ids");
    }
    let config = limited(1000).with(|c| c.user = Some("1234".into()));
    let p = c.exec(["sh", "-c", "setsid sleep 222 & sleep 222"], &config).unwrap();
    assert_eq!(end_of(&p).reason, ExitReason::TimedOut);
    eventually("all are gone", || count(&c, "sleep 222") == 0);
}

#[test]
fn in_joined_namespaces_a_limit_reaches_as_far() {
    let c = host();
    let p = c.exec(["sleep", "100"], &quiet()).unwrap();
    let Ok(joined) = Container::join_pid(p.host_pid().unwrap(), ctr::NamespaceSet::ALL) else {
        return common::skipped("nobody's namespaces can be joined here");
    };
    let q = joined.exec(["sh", "-c", "setsid sleep 111 & (setsid sleep 111 &); sleep 111"], &limited(1000)).unwrap();
    eventually("they are there", || count(&c, "sleep 111") == 3);
    assert_eq!(end_of(&q).reason, ExitReason::TimedOut);
    eventually("all are gone", || count(&c, "sleep 111") == 0);
    assert_eq!(p.wait(Some(Duration::ZERO)).unwrap(), None);
}

#[test]
fn a_fork_bomb_ends_at_its_limit() {
    if !common::has_python() {
        return;
    }
    if !common::can_limit() {
        return common::skipped("a bomb wants a limit on processes");
    }
    let c = host_with(&Config::default().with(|c| c.pids = Some(200)));
    let other = c.exec(["sleep", "300"], &quiet()).unwrap();
    let bomb = "import os
while True:
    try:
        if not os.fork():
            os.setsid()
    except OSError:
        pass";
    let p = c.exec(["python3", "-c", bomb], &limited(1500)).unwrap();
    assert_eq!(end_of(&p).reason, ExitReason::TimedOut);
    eventually("the bomb is gone", || {
        c.exec(["true"], &quiet()).is_ok_and(|p| p.wait(None).unwrap().unwrap().code == 0) && count(&c, "python3") == 0
    });
    assert_eq!(other.wait(Some(Duration::ZERO)).unwrap(), None);
}

#[test]
fn a_program_too_many_is_told_so_and_ends_nobody() {
    // In a process of its own: it takes all descriptors that one may have.
    let role = ["--exact", "role_with_a_program_too_many", "--ignored", "--nocapture", "--test-threads=1"];
    let output = Command::new(std::env::current_exe().unwrap()).args(role).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "a role"]
fn role_with_a_program_too_many() {
    // As many as PID 1 has room for, where it may hold the descriptors.
    let c = host();
    let mut all = Vec::new();
    let error = loop {
        match c.exec(["sleep", "1000"], &quiet()) {
            Ok(p) => all.push(p),
            Err(error) => break error,
        }
        assert!(all.len() <= 1000);
    };
    let why = error.to_string();
    match error.errno() {
        libc::EAGAIN if all.len() == 1000 => assert!(why.contains("1000 programs"), "{why}"),
        libc::EMFILE => assert!(why.contains("descriptors") || why.contains("open files"), "{why}"),
        libc::EAGAIN => assert!(why.contains("ulimit -u"), "{why}"),
        _ => panic!("{} programs: {why}", all.len()),
    }
    assert!(c.is_running());
    all.truncate(all.len() / 2);
    c.destroy().unwrap();
}

#[test]
fn a_start_that_is_held_up_is_given_up() {
    if !common::has_python() {
        return;
    }
    let c = host();
    sh(&c, "cp /bin/true /tmp/leased");
    // A lease on a file keeps execve(2) of it waiting for fs.lease-break-time seconds: fcntl(2), F_SETLEASE.
    let holder = "import fcntl, os, signal, time
signal.signal(signal.SIGIO, lambda *a: None)
f = os.open('/tmp/leased', os.O_RDWR)
fcntl.fcntl(f, 1024, fcntl.F_WRLCK)
os.write(1, b'held')
while True: time.sleep(1)";
    let p = c.exec(["python3", "-c", holder], &captured()).unwrap();
    let mut told = [0; 4];
    std::io::Read::read_exact(&mut std::fs::File::from(p.take_stdout().unwrap()), &mut told).unwrap();
    let config = quiet().with(|c| c.start_timeout = Some(Duration::from_millis(500)));
    let waiting = c.exec(["sleep", "300"], &limited(300)).unwrap();
    let error = c.exec(["/tmp/leased"], &config).err().expect("it starts all the same");
    assert_eq!((error.code(), error.errno()), (ErrorCode::TimedOut, libc::ETIMEDOUT), "{error}");
    assert!(error.to_string().contains("lease"), "{error}");
    assert_eq!(end_of(&waiting).reason, ExitReason::TimedOut);
    assert_eq!(sh(&c, "echo well"), "well");
    p.kill(libc::SIGKILL).unwrap();
    end_of(&p);
    assert_eq!(end_of(&c.exec(["/tmp/leased"], &quiet()).unwrap()).code, 0);
}

#[test]
fn all_programs_can_be_killed_and_the_container_lives_on() {
    let c = host();
    let all: Vec<_> = (0..3).map(|_| c.exec(["sh", "-c", &family(666, "sleep 666")], &quiet()).unwrap()).collect();
    eventually("they are there", || count(&c, "sleep 666") >= 15);
    c.kill_all(0).unwrap();
    assert_eq!(all[0].wait(Some(Duration::ZERO)).unwrap(), None);
    c.kill_all(libc::SIGKILL).unwrap();
    for p in &all {
        assert_eq!((end_of(p).signal, end_of(p).reason), (libc::SIGKILL, ExitReason::Signaled));
    }
    eventually("all are gone", || count(&c, "sleep 666") == 0);
    assert_eq!(c.kill_all(1000).unwrap_err().code(), ErrorCode::Invalid);
    assert_eq!(sh(&c, "echo well"), "well");
    c.destroy().unwrap();
    assert_eq!(c.kill_all(libc::SIGKILL).unwrap_err().code(), ErrorCode::Destroyed);
}

#[test]
fn a_stopped_container_lets_its_programs_end_and_kills_what_they_leave() {
    let c = host();
    let script = "sleep 666 & trap 'exit 3' TERM; echo; while :; do sleep 0.01; done";
    let p = c.exec(["sh", "-c", script], &quiet().with(|c| c.stdout = Stdio::Pipe)).unwrap();
    let mut told = [0; 1];
    std::io::Read::read_exact(&mut std::fs::File::from(p.take_stdout().unwrap()), &mut told).unwrap();
    let idle = c.exec(["sleep", "666"], &quiet()).unwrap();
    c.stop(Duration::MAX).unwrap();
    assert_eq!((end_of(&p).reason, end_of(&p).code), (ExitReason::Exited, 3));
    assert_eq!((end_of(&idle).reason, end_of(&idle).signal), (ExitReason::Signaled, libc::SIGTERM));
    assert!(!c.is_running());
    c.stop(Duration::MAX).unwrap();
}

#[test]
fn in_a_shared_pid_namespace_all_are_those_of_the_container() {
    let shared = ctr::Namespaces::default().with(|n| n.pid = ctr::Namespace::Host);
    let Ok(c) = Container::create("host", &Config::default().with(|c| c.namespaces = shared)) else {
        return common::skipped("the host's PID namespace can't be shared here");
    };
    let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
    let p = c.exec(["sh", "-c", "setsid sleep 1000 & (setsid sleep 1000 &); sleep 1000"], &quiet()).unwrap();
    c.kill_all(libc::SIGKILL).unwrap();
    assert_eq!(end_of(&p).signal, libc::SIGKILL);
    let limited = c.exec(["sh", "-c", "setsid sleep 1000 & sleep 1000"], &limited(500)).unwrap();
    assert_eq!(end_of(&limited).reason, ExitReason::TimedOut);
    assert_eq!(other.try_wait().unwrap(), None);
    assert_eq!(end_of(&c.exec(["true"], &quiet()).unwrap()).code, 0);
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn stop_in_a_shared_pid_namespace_asks_the_programs_and_ends_what_they_left() {
    let shared = ctr::Namespaces::default().with(|n| n.pid = ctr::Namespace::Host);
    let Ok(c) = Container::create("host", &Config::default().with(|c| c.namespaces = shared)) else {
        return common::skipped("the host's PID namespace can't be shared here");
    };
    let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
    let script = "trap 'exit 3' TERM; setsid sleep 1001 & echo $!; while :; do sleep 0.01; done";
    let heeds = c.exec(["sh", "-c", script], &quiet().with(|c| c.stdout = Stdio::Pipe)).unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(std::fs::File::from(heeds.take_stdout().unwrap()));
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    let left: i32 = line.trim().parse().expect("the pid is the host's, as its namespace is");
    c.stop(Duration::from_secs(60)).unwrap();
    assert_eq!((end_of(&heeds).reason, end_of(&heeds).code), (ExitReason::Exited, 3));
    // SAFETY: plain numbers.
    common::eventually("what it left is dead", || unsafe { libc::kill(left, 0) } != 0);
    assert_eq!(other.try_wait().unwrap(), None, "a program of the host's");
    assert!(!c.is_running());
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn what_no_directory_of_a_long_path_has_is_looked_for_in_a_few() {
    let c = host();
    let pid = || sh(&c, "echo $$").parse::<u32>().unwrap();
    let path: Vec<_> = (0..3000).map(|at| format!("/nowhere/{at}")).collect();
    let config = quiet().with(|c| c.env = vec![("PATH".into(), path.join(":").into())]);
    let before = pid();
    let error = c.exec(["no-such-program"], &config).err().expect("there is none");
    assert_eq!(error.code(), ErrorCode::NotFound, "{error}");
    // Each look is a child of PID 1, and so a pid; the program and the shell that tells are two more.
    let looks = pid() - before - 2;
    assert!((1..=64).contains(&looks), "{looks}");
}
