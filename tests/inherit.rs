//! What a program has of the thread that starts it: processors, nice value, policy, class of input and output, place in line
//! when memory runs out, limits of resources; those of the moment, as after fork and exec. Each in a process of its own.

mod common;

use std::process::Command;

use common::{run, skipped};
use ctr::{Config, Container};

/// One line a fact, as a program inside sees it.
const LOOK: &str = "grep Cpus_allowed_list /proc/self/status; awk '{print \"nice\", $19, \"policy\", $41}' /proc/self/stat; ionice; \
    ulimit -Sn; ulimit -Hn; ulimit -f; sleep 0.2; cat /proc/self/oom_score_adj";

fn look(c: &Container) -> Vec<String> {
    let (said, exit) = run(c, &["/bin/bash", "-c", LOOK]);
    assert_eq!(exit.code, 0, "{said}");
    said.lines().map(str::to_string).collect()
}

/// The same by a child of this thread.
fn look_outside() -> Vec<String> {
    let output = Command::new("/bin/bash").args(["-c", LOOK]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_string).collect()
}

/// In an old container and in a new one, what is started has what a child would have.
#[track_caller]
fn same(old: &Container) {
    let outside = look_outside();
    assert_eq!(look(old), outside, "in a container that was there before");
    let new = Container::create("host", &Config::default()).unwrap();
    assert_eq!(look(&new), outside, "in a new container");
    let joined = Container::join(new.name()).unwrap();
    assert_eq!(look(&joined), outside, "by a handle that has joined it");
}

fn pin(cpu: usize) {
    let set = [1u64 << cpu; 1];
    // SAFETY: the kernel reads eight bytes.
    assert_eq!(unsafe { libc::sched_setaffinity(0, 8, set.as_ptr().cast()) }, 0);
}

fn policy(policy: i32, priority: i32) {
    let param = libc::sched_param { sched_priority: priority };
    // SAFETY: the record outlives the call.
    assert_eq!(unsafe { libc::sched_setscheduler(0, policy, &raw const param) }, 0);
}

fn nice(value: i32) {
    // SAFETY: plain numbers.
    assert_eq!(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, value) }, 0);
}

fn ioprio(class: i32, level: i32) {
    // SAFETY: plain numbers.
    assert_eq!(unsafe { libc::syscall(libc::SYS_ioprio_set, 1, 0, class << 13 | level) }, 0);
}

#[test]
#[ignore = "a role"]
fn role_changes_what_a_thread_has() {
    let root = nix::unistd::geteuid().is_root();
    let old = Container::create("host", &Config::default()).unwrap();
    let begin = look_outside();
    same(&old);
    // Two threads, on a processor each.
    if std::thread::available_parallelism().unwrap().get() > 1 {
        std::thread::scope(|scope| {
            for cpu in [0, 1] {
                let old = &old;
                scope.spawn(move || {
                    pin(cpu);
                    assert!(look_outside()[0].ends_with(&cpu.to_string()));
                    same(old);
                });
            }
        });
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            ioprio(2, 6);
            nice(5);
            same(&old);
            policy(libc::SCHED_BATCH, 0);
            same(&old);
            policy(libc::SCHED_IDLE, 0);
            ioprio(3, 0);
            same(&old);
        });
    });
    if root {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                nice(-5);
                same(&old);
                nice(3);
                same(&old);
                ioprio(1, 4);
                policy(libc::SCHED_FIFO, 3);
                same(&old);
            });
        });
    }
    // Nothing of it sticks to PID 1.
    same(&old);
    assert_eq!(look(&old), begin);
    let (_, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, 300, hard).unwrap();
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_FSIZE, 1 << 30, 1 << 31).unwrap();
    same(&old);
    std::fs::write("/proc/self/oom_score_adj", "321").unwrap();
    same(&old);
    if root {
        // It takes CAP_SYS_RESOURCE of the machine, which not every root has.
        if std::fs::write("/proc/self/oom_score_adj", "-17").is_ok() {
            same(&old);
        }
        if nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, 400, hard + 1).is_ok() {
            same(&old);
        }
    }
    println!("DONE");
}

fn play(by: &mut Command) {
    let output = by.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("DONE"), "{said}");
}

const ROLE: [&str; 4] = ["--exact", "role_changes_what_a_thread_has", "--ignored", "--nocapture"];

#[test]
fn a_program_has_what_its_starter_has_at_that_moment() {
    if !std::path::Path::new("/usr/bin/ionice").exists() || !std::path::Path::new("/usr/bin/awk").exists() {
        return skipped("ionice and awk are needed");
    }
    play(Command::new(std::env::current_exe().unwrap()).args(ROLE));
}

/// What a setter says wins.
#[test]
fn a_limit_that_was_chosen_is_not_the_callers() {
    let limit = ctr::Rlimit::new("nofile", Some(123), Some(456)).unwrap();
    let c = Container::create("host", &Config::default().with(|c| c.rlimits = vec![limit])).unwrap();
    let (said, _) = run(&c, &["/bin/sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c"]);
    assert_eq!(said.lines().collect::<Vec<_>>(), ["123", "456", "0"]);
}
