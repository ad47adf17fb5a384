//! Budgets of processor time: all that a program has started is counted together, the dead with the living, and ends together.

mod common;

use common::{captured, end_of, eventually, host, host_with, quiet, run_with, sh};
use ctr::{Config, Container, ErrorCode, ExecConfig, ExitReason, Stdio};
use std::time::{Duration, Instant};

fn budget(ms: u64) -> ExecConfig {
    quiet().with(|c| c.cpu_time_limit = Some(Duration::from_millis(ms)))
}

/// How many processes of the container have this in their command line.
fn count(container: &Container, what: &str) -> usize {
    let script = "for p in /proc/[0-9]*; do cat $p/cmdline 2>/dev/null | tr '\\0' ' '; echo; done";
    sh(container, script).lines().filter(|line| line.starts_with(what)).count()
}

/// A shell that is busy for ever, and is found by its name.
const BUSY: &str = "sh -c 'while :; do :; done' busy";

/// A budget ends the script, with everything in it that is busy or sleeps for so long, and a program beside it lives on.
fn ends_all_of(script: &str, mark: &str, at_least: usize) {
    let c = host();
    let other = c.exec(["sleep", "777"], &quiet()).unwrap();
    let beside = c.exec(["sleep", "778"], &budget(60_000)).unwrap();
    let p = c.exec(["sh", "-c", script], &budget(3000)).unwrap();
    eventually("its family is there", || count(&c, mark) >= at_least);
    let end = end_of(&p);
    assert_eq!((end.reason, end.signal), (ExitReason::OutOfCpuTime, libc::SIGKILL), "{script}");
    eventually("its family is gone", || count(&c, mark) == 0);
    assert!(c.is_running());
    for p in [other, beside] {
        assert_eq!(p.wait(Some(Duration::ZERO)).unwrap(), None, "{script}");
    }
    c.destroy().unwrap();
}

#[test]
fn a_shell_with_background_jobs_ends_with_them() {
    ends_all_of(&format!("sleep 9991 & {BUSY} & {BUSY} & sleep 9991 & wait"), "sleep 9991", 2);
}

#[test]
fn sessions_of_their_own_and_orphans_end_too() {
    let script = format!("setsid sleep 9992 & (setsid sleep 9992 &); setsid {BUSY} & (setsid {BUSY} &) ; sleep 9992");
    ends_all_of(&script, "sleep 9992", 3);
    // Where only an orphan is busy.
    ends_all_of(&format!("(setsid {BUSY} &) ; exec sleep 9993"), "sleep 9993", 1);
}

#[test]
fn who_ignores_sigterm_or_stands_still_ends_too() {
    let stopped = "(kill -STOP $(exec sh -c 'echo $PPID'); sleep 9994) & sh -c 'kill -STOP $$; :' sleep &";
    ends_all_of(&format!("trap '' TERM HUP INT XCPU; {stopped} sleep 9994 & {BUSY}"), "sleep 9994", 1);
}

#[test]
fn a_daemon_ends_too() {
    if !common::has_python() {
        return;
    }
    let daemon = "import os, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
os.closerange(0, 1000)
while True: pass";
    ends_all_of(&format!("python3 -c '{daemon}'; exec sleep 9995"), "python3", 1);
}

#[test]
fn threads_are_counted_together() {
    if !common::has_python() {
        return;
    }
    let c = host();
    // Four threads, of which no more than one runs python code at a time, and as many that hash, which all run.
    let threads = "import hashlib, threading
data = bytes(1 << 20)
def hash():
    while True: hashlib.sha256(data).digest()
for _ in range(4): threading.Thread(target=hash).start()";
    let begun = Instant::now();
    let end = end_of(&c.exec(["python3", "-c", threads], &budget(1000)).unwrap());
    assert_eq!(end.reason, ExitReason::OutOfCpuTime);
    near(end.user_time + end.system_time, 1000, begun);
}

/// The time that was used is the budget, and what one look more is late.
fn near(used: Duration, budget: u64, begun: Instant) {
    let ms = used.as_millis() as u64;
    assert!(ms >= budget, "it has had {ms} ms of {budget}");
    // What the machine is busy with besides may keep PID 1 waiting.
    assert!(ms <= budget + 250, "it has had {ms} ms of {budget} within {:?}", begun.elapsed());
}

#[test]
fn a_budget_is_what_it_says() {
    let c = host();
    for ms in [1, 50, 300] {
        let begun = Instant::now();
        let end = end_of(&c.exec(["sh", "-c", "while :; do :; done"], &budget(ms)).unwrap());
        assert_eq!(end.reason, ExitReason::OutOfCpuTime);
        near(end.user_time + end.system_time, ms, begun);
    }
    // Who sleeps uses none of it, and who ends in time has nothing to do with it.
    let begun = Instant::now();
    let end = end_of(&c.exec(["sh", "-c", "sleep 1; exit 7"], &budget(300)).unwrap());
    assert_eq!((end.reason, end.code), (ExitReason::Exited, 7));
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[test]
fn the_dead_are_counted_too() {
    let c = host();
    // One after the other, each for some milliseconds, waited for by the shell, and by PID 1.
    for each in [
        "sh -c 'i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done'",
        "(setsid sh -c 'i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done' &) ; sleep 0.02",
    ] {
        let script = format!("while :; do {each}; done");
        let p = c.exec(["sh", "-c", &script], &budget(500)).unwrap();
        assert_eq!(end_of(&p).reason, ExitReason::OutOfCpuTime, "{each}");
    }
    // In the kernel as well as outside.
    let p = c.exec(["dd", "if=/dev/zero", "of=/dev/null", "bs=1M"], &budget(300)).unwrap();
    let end = end_of(&p);
    assert_eq!(end.reason, ExitReason::OutOfCpuTime);
    assert!(end.system_time > end.user_time, "{end:?}");
}

#[test]
fn what_a_program_left_behind_has_its_budget_still() {
    let c = host();
    let p = c.exec(["sh", "-c", &format!("(setsid {BUSY} &) ; setsid sleep 9996 & exit 7")], &budget(700)).unwrap();
    let end = end_of(&p);
    assert_eq!((end.code, end.reason), (7, ExitReason::Exited));
    eventually("it has left some behind", || count(&c, "sleep 9996") == 1);
    eventually("it is gone", || count(&c, "sleep 9996") == 0);
    assert!(c.is_running());
}

#[test]
fn both_limits_hold_at_once() {
    let c = host();
    let both = |cpu, time: u64| budget(cpu).with(|c| c.time_limit = Some(Duration::from_millis(time)));
    let script = "(setsid sleep 9997 &) ; while :; do :; done";
    let p = c.exec(["sh", "-c", script], &both(300, 60_000)).unwrap();
    assert_eq!(end_of(&p).reason, ExitReason::OutOfCpuTime);
    let p = c.exec(["sh", "-c", "(setsid sleep 9997 &) ; sleep 9997"], &both(60_000, 500)).unwrap();
    assert_eq!(end_of(&p).reason, ExitReason::TimedOut);
    eventually("all are gone", || count(&c, "sleep 9997") == 0);
}

#[test]
fn a_budget_is_that_of_each_program_and_of_its_own_alone() {
    let c = host();
    let busy = ["sh", "-c", "while :; do :; done"];
    let idle: Vec<_> = (0..20).map(|_| c.exec(["sleep", "300"], &budget(200)).unwrap()).collect();
    let unlimited = c.exec(busy, &quiet()).unwrap();
    // A time limit of centuries is no budget's.
    let centuries = quiet().with(|c| c.time_limit = Some(Duration::from_millis((1 << 38) + 5)));
    let old = c.exec(["sleep", "300"], &centuries).unwrap();
    let all: Vec<_> = (0..5).map(|i| c.exec(busy, &budget(100 + 20 * i)).unwrap()).collect();
    for p in &all {
        assert_eq!(end_of(p).reason, ExitReason::OutOfCpuTime);
    }
    for p in idle.iter().chain([&unlimited, &old]) {
        assert_eq!(p.wait(Some(Duration::ZERO)).unwrap(), None);
    }
}

#[test]
fn a_pipe_comes_to_its_end_with_the_budget_whoever_holds_it() {
    let c = host();
    let config = captured().with(|c| c.cpu_time_limit = Some(Duration::from_millis(300)));
    let (_, end) = run_with(&c, &["sh", "-c", "setsid sleep 300 & while :; do :; done"], &config);
    assert_eq!(end.reason, ExitReason::OutOfCpuTime);
}

#[test]
fn a_budget_can_not_be_shed() {
    if !common::has_python() {
        return;
    }
    let c = host();
    // As a mark of a deadline: lowering one of the two limits, or both, leaves a mark that nobody has.
    let script = "import resource as r, os, time
for locks, rttime in [(5, 0), (0, 5), (5, 5)]:
    if not os.fork():
        os.setsid()
        for which, by in ((10, locks), (15, rttime)):
            if by: r.setrlimit(which, (1000 * by, 1000 * by))
        while True: pass
time.sleep(9998)";
    let other = c.exec(["sleep", "333"], &budget(60_000)).unwrap();
    c.exec(["python3", "-c", script], &budget(60_000)).unwrap();
    eventually("who has shed it is gone", || count(&c, "python3") == 1);
    assert_eq!(other.wait(Some(Duration::ZERO)).unwrap(), None);
}

/// This file's program, seen inside.
fn with_roles(config: &Config) -> Config {
    let program = std::env::current_exe().unwrap();
    config.clone().with(|c| c.mounts = vec![ctr::Bind::new(program, "/run/roles").with(|b| b.read_only = true).into()])
}

/// What plays a role in such a container.
fn plays(role: &str) -> [&str; 5] {
    ["/run/roles", "--exact", role, "--ignored", "--test-threads=1"]
}

/// Forks children that are busy for a while, one after the other, and waits until there is none.
fn fork_forever() -> ! {
    loop {
        // SAFETY: the child uses its own time and ends; nothing is allocated in it.
        unsafe {
            if libc::fork() == 0 {
                let mut used: libc::timespec = std::mem::zeroed();
                while used.tv_nsec < 150_000_000 {
                    libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut used);
                }
                libc::_exit(0);
            }
            libc::waitpid(-1, std::ptr::null_mut(), 0);
        }
    }
}

#[test]
#[ignore = "a role"]
fn role_ignores_sigchld() {
    // SAFETY: no handler of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    fork_forever();
}

#[test]
#[ignore = "a role"]
fn role_has_no_zombies() {
    // SAFETY: zeroes are a struct sigaction; no handler of ours.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_flags = libc::SA_NOCLDWAIT;
        libc::sigaction(libc::SIGCHLD, &action, std::ptr::null_mut());
    }
    fork_forever();
}

/// Whether the processor time of a container can be counted by its cgroup.
fn counts_lost_time() -> bool {
    let c = host();
    let counted = c.stats().is_ok();
    let v1 = std::fs::read_to_string("/proc/self/mountinfo").unwrap().contains("cgroup rw,cpuacct");
    let v2 = std::fs::metadata("/sys/fs/cgroup/cgroup.controllers").is_ok();
    counted && (v1 || v2)
}

#[test]
fn children_that_the_kernel_reaps_use_up_a_budget_too() {
    if !counts_lost_time() {
        return common::skipped("no cgroup counts what they use");
    }
    for (role, before) in [("role_ignores_sigchld", false), ("role_has_no_zombies", true)] {
        let c = host_with(&with_roles(&Config::default()));
        // Beside others that sleep, with a budget and without, and where programs have run before.
        let beside = before.then(|| {
            assert_eq!(
                end_of(&c.exec(["sh", "-c", "i=0; while [ $i -lt 9999 ]; do i=$((i+1)); done"], &quiet()).unwrap())
                    .code,
                0
            );
            [c.exec(["sleep", "300"], &quiet()).unwrap(), c.exec(["sleep", "300"], &budget(60_000)).unwrap()]
        });
        let config = budget(1000).with(|c| c.time_limit = Some(Duration::from_secs(20)));
        let begun = Instant::now();
        let end = end_of(&c.exec(plays(role), &config).unwrap());
        let took = begun.elapsed();
        assert_eq!(end.reason, ExitReason::OutOfCpuTime, "after {took:?}: {end:?}");
        assert!(took >= Duration::from_millis(900), "{took:?}");
        for p in beside.iter().flatten() {
            assert_eq!(p.wait(Some(Duration::ZERO)).unwrap(), None);
        }
    }
}

#[test]
fn what_the_kernel_has_reaped_is_nobody_elses_doing() {
    let c = host_with(&with_roles(&Config::default()));
    // Without a budget it may; whoever has one beside it is not charged.
    let cheat = c.exec(plays("role_ignores_sigchld"), &quiet()).unwrap();
    let script = "i=0; while [ $i -lt 40 ]; do i=$((i+1)); sleep 0.05; done; exit 7";
    let end = end_of(&c.exec(["sh", "-c", script], &budget(1500)).unwrap());
    assert_eq!((end.reason, end.code), (ExitReason::Exited, 7));
    assert_eq!(cheat.wait(Some(Duration::ZERO)).unwrap(), None);
}

#[test]
fn children_that_are_waited_for_are_not_counted_twice() {
    let c = host();
    // Half of the budget, by hundreds of processes that come and go while it is looked at.
    let each = "sh -c 'i=0; while [ $i -lt 300 ]; do i=$((i+1)); done'";
    let script = format!("n=0; while [ $n -lt 300 ]; do {each}; n=$((n+1)); done; exit 7");
    let free = end_of(&c.exec(["sh", "-c", &script], &quiet()).unwrap());
    let took = (free.user_time + free.system_time).as_millis() as u64;
    let end = end_of(&c.exec(["sh", "-c", &script], &budget(took + took / 3)).unwrap());
    assert_eq!((end.reason, end.code), (ExitReason::Exited, 7), "of {took} ms: {end:?}");
}

#[test]
fn a_container_is_charged_for_what_the_kernel_reaps() {
    if !counts_lost_time() {
        return common::skipped("no cgroup counts what they use");
    }
    let c = host_with(&with_roles(&cpu_time(1000)));
    let cheat = || c.exec(plays("role_ignores_sigchld"), &quiet()).unwrap();
    let begun = Instant::now();
    ends_for(&c, &[cheat(), cheat()], ExitReason::OutOfCpuTime, "CPU time");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn in_a_joined_pid_namespace_a_budget_is_refused_by_name() {
    let c = host();
    let p = c.exec(["sleep", "100"], &quiet()).unwrap();
    let join = |set| Container::join_pid(p.host_pid().unwrap(), set);
    let Ok(joined) = join(ctr::NamespaceSet::ALL) else {
        return common::skipped("nobody's namespaces can be joined here");
    };
    let error = joined.exec(["true"], &budget(500)).err().expect("orphans end elsewhere");
    assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
    assert!(error.to_string().contains("orphans") && error.hint().contains("by its name"), "{error}");
    // A time limit holds, and so does a budget where orphans come to us.
    let limited = quiet().with(|c| c.time_limit = Some(Duration::from_millis(300)));
    assert_eq!(end_of(&joined.exec(["sleep", "9999"], &limited).unwrap()).reason, ExitReason::TimedOut);
    let Ok(joined) = join(ctr::NamespaceSet((libc::CLONE_NEWUSER | libc::CLONE_NEWUTS) as u32)) else {
        return common::skipped("namespaces can't be joined without the PID namespace");
    };
    let script = format!("setsid sleep 9999 & (setsid {BUSY} &); exec sleep 9999");
    let q = joined.exec(["sh", "-c", &script], &budget(500)).unwrap();
    assert_eq!(end_of(&q).reason, ExitReason::OutOfCpuTime);
    assert_eq!(p.wait(Some(Duration::ZERO)).unwrap(), None);
}

#[test]
fn where_programs_can_not_be_marked_a_budget_is_refused() {
    let config = Config::default().with(|c| c.rlimits = vec![ctr::Rlimit::new("locks", Some(50), Some(60)).unwrap()]);
    let c = host_with(&config);
    let error = c.exec(["true"], &budget(1000)).err().expect("it could not be kept");
    assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
    assert!(error.to_string().contains("budget") && error.hint().contains("rttime"), "{error}");
    assert_eq!(end_of(&c.exec(["true"], &quiet()).unwrap()).code, 0);
}

#[test]
fn more_programs_than_there_are_places_come_and_go() {
    let c = host();
    for _ in 0..1200 {
        assert_eq!(end_of(&c.exec(["true"], &budget(60_000)).unwrap()).code, 0);
    }
    let p = c.exec(["sh", "-c", "while :; do :; done"], &budget(100).with(|c| c.stdout = Stdio::Null)).unwrap();
    assert_eq!(end_of(&p).reason, ExitReason::OutOfCpuTime);
}

#[test]
fn a_fork_bomb_ends_at_its_budget() {
    if !common::has_python() {
        return;
    }
    if !common::can_limit() {
        return common::skipped("a bomb wants a limit on processes");
    }
    let c = host_with(&Config::default().with(|c| c.pids = Some(100)));
    let other = c.exec(["sleep", "300"], &quiet()).unwrap();
    let bomb = "import os
while True:
    try:
        if not os.fork():
            os.setsid()
    except OSError:
        pass";
    let p = c.exec(["python3", "-c", bomb], &budget(1500)).unwrap();
    assert_eq!(end_of(&p).reason, ExitReason::OutOfCpuTime);
    eventually("the bomb is gone", || {
        c.exec(["true"], &quiet()).is_ok_and(|p| p.wait(None).unwrap().unwrap().code == 0) && count(&c, "python3") == 0
    });
    assert_eq!(other.wait(Some(Duration::ZERO)).unwrap(), None);
}

fn lifetime(ms: u64) -> Config {
    Config::default().with(|c| c.lifetime = Some(Duration::from_millis(ms)))
}

fn cpu_time(ms: u64) -> Config {
    Config::default().with(|c| c.cpu_time = Some(Duration::from_millis(ms)))
}

/// The container ends by itself, its programs say why, and so do its handle, its watch, and whatever is asked of it then.
fn ends_for(c: &Container, programs: &[ctr::Process], reason: ExitReason, said: &str) {
    let watch = c.watch(&[ctr::EventKind::End]).unwrap();
    assert_eq!(c.end_reason(), None);
    for p in programs {
        assert_eq!((end_of(p).reason, end_of(p).signal), (reason, libc::SIGKILL));
    }
    let event = watch.wait(common::LONG).unwrap().expect("its end is told");
    assert_eq!((event.kind, event.reason, event.exit), (ctr::EventKind::End, Some(reason), None));
    assert_eq!((c.end_reason(), c.is_running()), (Some(reason), false));
    let error = c.exec(["true"], &quiet()).err().expect("it has ended");
    assert!(error.code() == ErrorCode::Destroyed && error.to_string().contains(said), "{error}");
    assert!(Container::list().unwrap().iter().all(|it| it.name != c.name()));
}

#[test]
fn a_container_ends_after_its_lifetime_with_all_that_runs() {
    let begun = Instant::now();
    let c = host_with(&lifetime(3000));
    let script = "trap '' TERM; setsid sleep 300 & (setsid sleep 300 &); sleep 300";
    let programs = [c.exec(["sh", "-c", script], &quiet()).unwrap(), c.exec(["sleep", "300"], &quiet()).unwrap()];
    let early = c.exec(["sh", "-c", "exit 7"], &quiet()).unwrap();
    assert_eq!((end_of(&early).reason, end_of(&early).code), (ExitReason::Exited, 7));
    ends_for(&c, &programs, ExitReason::TimedOut, "lifetime");
    assert!(begun.elapsed() >= Duration::from_millis(3000));
    assert_eq!(end_of(&early).reason, ExitReason::Exited);
    c.destroy().unwrap();
    assert_eq!(c.end_reason(), Some(ExitReason::TimedOut));
}

#[test]
fn a_container_ends_when_its_cpu_time_is_used_up_by_whomever() {
    let c = host_with(&cpu_time(4000));
    // Programs and orphans of several, none of which has so much alone; and one that has ended before.
    let loops = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done";
    for _ in 0..3 {
        assert_eq!(end_of(&c.exec(["sh", "-c", loops], &quiet()).unwrap()).reason, ExitReason::Exited);
    }
    let idle = c.exec(["sleep", "300"], &quiet()).unwrap();
    let busy = |_| c.exec(["sh", "-c", &format!("(setsid {BUSY} &); while :; do :; done")], &quiet()).unwrap();
    let mut programs: Vec<_> = (0..2).map(busy).collect();
    programs.push(idle);
    ends_for(&c, &programs, ExitReason::OutOfCpuTime, "CPU time");
    let used: Duration = programs.iter().map(|p| end_of(p).user_time + end_of(p).system_time).sum();
    assert!(used < Duration::from_millis(4000 + 500), "{used:?}");
}

#[test]
fn an_idle_container_uses_no_cpu_time_and_one_without_limits_is_destroyed() {
    let c = host_with(&cpu_time(300));
    assert_eq!(end_of(&c.exec(["sleep", "1"], &quiet()).unwrap()).reason, ExitReason::Exited);
    assert_eq!(c.end_reason(), None);
    let p = c.exec(["sleep", "100"], &quiet()).unwrap();
    c.destroy().unwrap();
    assert_eq!((end_of(&p).reason, c.end_reason()), (ExitReason::Destroyed, Some(ExitReason::Destroyed)));
    let c = host();
    c.destroy().unwrap();
    assert_eq!(c.end_reason(), Some(ExitReason::Destroyed));
}

#[test]
fn a_detached_container_ends_by_itself_and_leaves_nothing() {
    let c = host_with(&lifetime(3000).with(|c| c.detached = true));
    let joined = Container::join(c.name()).unwrap();
    let (name, pid) = (c.name().to_string(), c.pid());
    c.close();
    let p = joined.exec(["sleep", "300"], &quiet()).unwrap();
    assert_eq!(end_of(&p).reason, ExitReason::TimedOut);
    eventually("it has ended", || joined.end_reason().is_some());
    if common::kernel_is_at_least(6, 15) {
        assert_eq!(joined.end_reason(), Some(ExitReason::TimedOut));
    }
    assert!(Container::list().unwrap().iter().all(|it| it.name != name), "whoever lists sweeps it");
    let cgroups = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    for line in cgroups.lines().filter(|line| line.contains(" - cgroup")) {
        let mount = line.split(' ').nth(4).unwrap();
        for entry in std::fs::read_dir(mount).unwrap().flatten() {
            assert!(!entry.file_name().to_string_lossy().contains(&name), "{entry:?} of {pid} is left");
        }
    }
}

#[test]
fn both_budgets_of_a_container_and_those_of_programs_hold_beside_each_other() {
    let c = host_with(&cpu_time(3000).with(|c| c.lifetime = Some(Duration::from_secs(600))));
    let busy = ["sh", "-c", "while :; do :; done"];
    assert_eq!(end_of(&c.exec(busy, &budget(300)).unwrap()).reason, ExitReason::OutOfCpuTime);
    let limited = quiet().with(|c| c.time_limit = Some(Duration::from_millis(300)));
    assert_eq!(end_of(&c.exec(busy, &limited).unwrap()).reason, ExitReason::TimedOut);
    assert_eq!(c.end_reason(), None);
    let programs = [c.exec(busy, &budget(600_000)).unwrap()];
    ends_for(&c, &programs, ExitReason::OutOfCpuTime, "CPU time");
}

#[test]
fn limits_of_a_container_that_can_not_be_kept_are_refused() {
    let shared = ctr::Namespaces::default().with(|n| n.pid = ctr::Namespace::Host);
    for (config, step) in [(lifetime(1000), ctr::Step::LimitLifetime), (cpu_time(1000), ctr::Step::LimitCpuTime)] {
        let error = Container::create("host", &config.with(|c| c.namespaces = shared.clone())).err().unwrap();
        assert_eq!((error.code(), error.failed_step()), (ErrorCode::Invalid, step), "{error}");
    }
    for (config, step) in [(lifetime(0), ctr::Step::LimitLifetime), (cpu_time(0), ctr::Step::LimitCpuTime)] {
        let error = Container::create("host", &config).err().unwrap();
        assert_eq!((error.code(), error.failed_step()), (ErrorCode::Invalid, step), "{error}");
    }
}
