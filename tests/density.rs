//! Many containers at once: what each takes of its host's and its zygote's descriptors is exact, names, ids and cgroups never collide,
//! a list asks nobody, nothing is left. Each part runs in a process of its own, whose descriptors are no other test's.

mod common;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::lane;
use common::leftovers::{Scope, descriptors, processes};
use common::{busybox_tar, can_limit, end_of, quiet};
use ctr::{Config, Container, Limit};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// One after another.
const MANY: usize = 300;
/// From several threads.
const AT_ONCE: usize = 200;
const THREADS: usize = 16;

/// Runs a role of this file in a process of its own; what it said.
fn play(role: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", role, "--ignored", "--nocapture", "--test-threads=1"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    print!(
        "{}",
        said.lines().filter(|line| line.contains("SKIPPED")).map(|line| format!("{line}\n")).collect::<String>()
    );
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    said
}

/// Lets this process have so many descriptors.
fn raise_descriptors(least: u64) -> bool {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if hard < least {
        common::skipped("RLIMIT_NOFILE is too low");
        return false;
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    true
}

fn limited(scope: &Scope) -> Config {
    let limits = can_limit();
    scope.config().with(|c| {
        c.memory = limits.then_some(64 << 20);
        c.pids = limits.then_some(64);
    })
}

fn zygote() -> i32 {
    let me = format!("makes the containers of process {} ", std::process::id());
    let found = processes().into_iter().find(|it| format!("{} ", it.title).contains(&me));
    found.expect("the zygote is shown by ps").pid
}

fn descriptors_of(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// What no two containers may have alike.
fn assert_all_differ(all: &[Container]) {
    let distinct = |what: &str, of: &dyn Fn(&Container) -> String| {
        let values: BTreeSet<_> = all.iter().map(of).collect();
        assert_eq!(values.len(), all.len(), "{what}");
    };
    distinct("names", &|c| c.name().to_string());
    distinct("pids", &|c| c.pid().to_string());
    let text = |c: &Container, file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", c.pid())).unwrap();
    // Root alone may look there, and has a range of ids of its own for each; an ordinary user's are all the same.
    if nix::unistd::geteuid().is_root() {
        distinct("network namespaces", &|c| link(c, "ns/net").display().to_string());
        distinct("ids", &|c| text(c, "uid_map"));
    }
    if can_limit() {
        distinct("cgroups", &|c| text(c, "cgroup"));
    }
}

fn link(container: &Container, file: &str) -> PathBuf {
    std::fs::read_link(format!("/proc/{}/{file}", container.pid())).unwrap()
}

/// All of them are listed, each with its PID 1.
fn assert_all_listed(scope: &Scope, all: &[Container]) {
    let listed: BTreeSet<_> = scope.client().list().unwrap().into_iter().map(|it| (it.name, it.pid)).collect();
    let made: BTreeSet<_> = all.iter().map(|c| (c.name().to_string(), c.pid())).collect();
    assert!(made.is_subset(&listed), "{:?}", made.difference(&listed));
}

#[test]
fn hundreds_of_containers_have_what_is_theirs_and_leave_nothing() {
    play("role_hundreds");
}

#[test]
#[ignore = "a role"]
fn role_hundreds() {
    if !raise_descriptors(4096) {
        return;
    }
    let scope = Scope::new("many");
    let make = || Container::create(busybox_tar(), &limited(&scope)).unwrap();
    // Some descriptors are had once: the zygote's socket, the claims on ids, what is kept of /proc. From the third on one is made ready
    // ahead of time.
    let mut all: Vec<_> = (0..3).map(|_| make()).collect();
    let zygote = zygote();
    let (mine, its) = (descriptors().len(), descriptors_of(zygote));
    all.push(make());
    let each = descriptors().len() - mine;
    while all.len() < MANY {
        all.push(make());
    }
    assert_eq!(descriptors().len() - mine, each * (MANY - 3), "of this process for each container");
    // A control socket, the zygote's reports, a pidfd, the state directory, and a directory of each hierarchy of cgroups.
    assert!((4..=7).contains(&each), "{each}: {:?}", descriptors());
    // The status channel and the setup socket. What one that is ready takes is there at both times, or at one.
    let of_zygote = descriptors_of(zygote) - its;
    let expected = 2 * (MANY - 3);
    assert!(of_zygote.abs_diff(expected) <= 3, "of the zygote {of_zygote}, and not {expected}");
    assert_all_differ(&all);
    assert_all_listed(&scope, &all);
    if can_limit() {
        for c in [&all[0], &all[MANY - 1]] {
            assert_eq!(c.limit(Limit::Memory).unwrap(), Some(64 << 20));
            assert_eq!(c.limit(Limit::Pids).unwrap(), Some(64));
        }
    }
    assert_eq!(end_of(&all[MANY - 1].exec(["true"], &quiet()).unwrap()).code, 0);
    if nix::unistd::geteuid().is_root() {
        assert_claims_are_of_one_description(zygote);
    }
    for container in all.drain(..) {
        container.destroy().unwrap();
    }
    assert_eq!(descriptors().len(), mine - 3 * each, "what each has is closed with it");
    scope.assert_nothing_left();
}

/// The kernel looks at each claim for each descriptor of their file that a clone of the zygote closes.
fn assert_claims_are_of_one_description(zygote: i32) {
    let files = std::fs::read_dir(format!("/proc/{zygote}/fd")).unwrap().flatten();
    let paths: Vec<_> = files.filter_map(|it| std::fs::read_link(it.path()).ok()).collect();
    let claims: Vec<_> = paths.iter().filter(|path| path.ends_with("ids")).collect();
    assert_eq!(claims.len(), 1, "of {} descriptors", paths.len());
}

#[test]
fn two_hundred_from_sixteen_threads_at_once_never_collide() {
    play("role_at_once");
}

#[test]
#[ignore = "a role"]
fn role_at_once() {
    if !raise_descriptors(4096) {
        return;
    }
    let scope = Scope::new("crowd");
    let config = limited(&scope).with(|c| c.name = None);
    drop(Container::create(busybox_tar(), &config).unwrap());
    let before = descriptors().len();
    let (next, barrier) = (AtomicUsize::new(0), Barrier::new(THREADS));
    let some = || {
        barrier.wait();
        let mut made = Vec::new();
        while next.fetch_add(1, Ordering::Relaxed) < AT_ONCE {
            made.push(Container::create(busybox_tar(), &config).unwrap());
        }
        made
    };
    let all: Vec<_> = std::thread::scope(|threads| {
        let threads: Vec<_> = (0..THREADS).map(|_| threads.spawn(some)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(all.len(), AT_ONCE);
    assert_all_differ(&all);
    assert_all_listed(&scope, &all);
    // Their names are not the scope's: the pids tell who is left.
    let pids: Vec<_> = all.iter().map(Container::pid).collect();
    let cgroups: Vec<_> = all.iter().map(|c| format!("ctr-{}", c.name())).collect();
    all.iter().for_each(|container| container.destroy().unwrap());
    drop(all);
    assert_eq!(descriptors().len(), before);
    for (pid, cgroup) in pids.iter().zip(&cgroups) {
        let still = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|text| text.contains(cgroup));
        assert!(!still, "process {pid} is left");
        assert_eq!(common::leftovers::cgroups(cgroup.strip_prefix("ctr-").unwrap()), Vec::<PathBuf>::new());
    }
    scope.assert_nothing_left();
}

/// A list takes six calls for each container, and wakes no PID 1.
#[test]
fn a_list_takes_six_calls_a_container() {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        return common::skipped("there is no strace");
    }
    let log = common::scratch("density").join("strace");
    let status = Command::new("strace")
        .args(["--follow-forks", "--quiet=all", "--signal=none", "--trace=!futex", "--output"])
        .arg(&log)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "role_listed", "--ignored", "--test-threads=1"])
        .stdout(Stdio::null())
        .status()
        .expect("strace is needed");
    assert!(status.success());
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_dir_all(log.parent().unwrap()).unwrap();
    let call = |line: &str| line.split_once(' ').map(|(_, call)| call.trim_start().to_string());
    // Not what a debug build's OwnedFd asks before close, nor what the allocator and hash tables ask for.
    let is_part =
        |call: &String| !call.contains("F_GETFD") && !["brk(", "getrandom("].iter().any(|it| call.starts_with(it));
    let calls: Vec<_> = text.lines().filter_map(call).filter(is_part).collect();
    let at = |mark: &str| calls.iter().position(|call| call.contains(mark)).expect(mark);
    // The next list after three more containers.
    let (two, five) = (at("/ctr-mark/five") - at("/ctr-mark/two"), at("/ctr-mark/end") - at("/ctr-mark/more"));
    assert_eq!(five - two, 3 * 6, "{}", calls[at("/ctr-mark/more")..at("/ctr-mark/end")].join("\n"));
}

#[test]
#[ignore = "a role"]
fn role_listed() {
    let scope = Scope::new("listed");
    let mark = |what: &str| assert!(std::fs::metadata(format!("/ctr-mark/{what}")).is_err());
    let make =
        |count| -> Vec<_> { (0..count).map(|_| Container::create(busybox_tar(), &limited(&scope)).unwrap()).collect() };
    // Whoever is on the way to be ready is, or the calls of its start would be among the list's.
    let settle = || std::thread::sleep(std::time::Duration::from_millis(300));
    let client = scope.client();
    let mut all = make(2);
    assert_eq!(client.list().unwrap().len(), 2);
    settle();
    mark("two");
    assert_eq!(client.list().unwrap().len(), 2);
    mark("five");
    all.extend(make(3));
    settle();
    mark("more");
    assert_eq!(client.list().unwrap().len(), 5);
    mark("end");
}

/// The sysctl kernel.keys.maxkeys is 200 on most machines, and each container of an ordinary user has a session keyring.
#[test]
fn an_ordinary_users_201st_container_works() {
    lane::play("role_of_an_ordinary_user", &["-s", lane::RANGE], &[]);
}

#[test]
#[ignore = "a role"]
fn role_of_an_ordinary_user() {
    if !raise_descriptors(4096) {
        return;
    }
    let scope = Scope::new("user");
    let all: Vec<_> = (0..202)
        .map(|n| {
            Container::create(busybox_tar(), &scope.config()).unwrap_or_else(|error| panic!("number {n}: {error}"))
        })
        .collect();
    assert_eq!(end_of(&all[201].exec(["true"], &quiet()).unwrap()).code, 0);
    assert_all_listed(&scope, &all);
}

/// Limits that such numbers meet, in a user namespace of the test's own: the error names what is too low.
#[test]
fn a_limit_on_namespaces_is_named_by_the_error() {
    if !nix::unistd::geteuid().is_root() {
        return common::skipped("the limits of a user namespace are set by its root");
    }
    let script = "echo 3 > /proc/sys/user/max_net_namespaces && exec \"$0\" \"$@\"";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "role_with_few_namespaces", "--ignored", "--nocapture", "--test-threads=1"])
        .env("TMPDIR", "/dev/shm")
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "a role"]
fn role_with_few_namespaces() {
    let scope = Scope::new("few");
    let mut all = Vec::new();
    let error = loop {
        match Container::create("host", &scope.config()) {
            Ok(container) => all.push(container),
            Err(error) => break error,
        }
        assert!(all.len() < 4, "no limit was met");
    };
    assert!((1..=3).contains(&all.len()), "{}: {error}", all.len());
    assert_eq!(error.errno(), libc::ENOSPC, "{error}");
    assert!(error.hint().contains("user.max_net_namespaces=3"), "{error}");
    // It goes on when they have ended; a network namespace is taken down a moment after its last process (`cleanup_net` of
    // net/core/net_namespace.c).
    drop(all);
    let start = std::time::Instant::now();
    while let Err(error) = Container::create("host", &scope.config()) {
        assert!(start.elapsed().as_secs() < 20, "{error}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn too_few_descriptors_are_named_by_the_error() {
    play("role_with_few_descriptors");
}

#[test]
#[ignore = "a role"]
fn role_with_few_descriptors() {
    let scope = Scope::new("nofile");
    setrlimit(Resource::RLIMIT_NOFILE, 100, 100).unwrap();
    let mut all = Vec::new();
    let error = loop {
        match Container::create(busybox_tar(), &limited(&scope)) {
            Ok(container) => all.push(container),
            Err(error) => break error,
        }
    };
    assert!(all.len() >= 5, "{}: {error}", all.len());
    assert_eq!(error.errno(), libc::EMFILE, "{error}");
    assert!(error.hint().contains("ulimit -n"), "{error}");
    // What is there works on, and there is room again when some have ended.
    assert_all_differ(&all);
    for container in all.drain(2..) {
        container.destroy().unwrap();
    }
    all.push(Container::create(busybox_tar(), &limited(&scope)).unwrap());
    assert_eq!(end_of(&all[2].exec(["true"], &quiet()).unwrap()).code, 0);
    all.iter().for_each(|container| container.destroy().unwrap());
    scope.assert_nothing_left();
}
