//! We are a guest in somebody's process: it must not notice us, whatever it does, and whatever becomes of it nothing of ours is
//! left. Each test plays a host in a process of its own.

mod common;

use common::{captured, end_of, eventually, host, host_with, memory_if_possible, quiet, run, sh};
use ctr::{Client, Config, Container, ErrorCode, ExitReason};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Starts this test program anew as the host that `role` describes (an ignored test below), with a state directory of its
/// own.
fn play(role: &str, state: &PathBuf) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", role, "--ignored", "--nocapture", "--test-threads=1"])
        .env("CTR_STATE_DIR", state)
        .env("TAR", common::busybox_tar())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn state(name: &str) -> PathBuf {
    let path = common::scratch(name);
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path
}

/// Reads the host's output until a line that starts with `word`; the rest of that line.
fn hear(child: &mut Child, word: &str) -> String {
    let out = child.stdout.take().unwrap();
    let mut lines = BufReader::new(out);
    loop {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the host ended before it said {word}");
        // The test harness has begun the line itself.
        if let Some((_, rest)) = line.split_once(word) {
            child.stdout = Some(lines.into_inner());
            return rest.trim().to_string();
        }
    }
}

fn nothing_is_left(state: &PathBuf, pids: &[i32]) {
    assert_eq!(Client::new().with_state_dir(state).list().unwrap(), Vec::new());
    let left: Vec<_> =
        std::fs::read_dir(state).unwrap().map(|e| e.unwrap().file_name()).filter(|n| n != "ids").collect();
    assert_eq!(left, Vec::<std::ffi::OsString>::new());
    for pid in pids {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    }
    std::fs::remove_dir_all(state).unwrap();
}

fn pid_of(text: &str) -> i32 {
    text.parse().unwrap()
}

fn say_and_sleep(c: &Container) {
    let p = c.exec(["sleep", "1000"], &quiet()).unwrap();
    println!("pids {} {}", c.pid(), p.host_pid().unwrap());
    std::thread::sleep(Duration::from_secs(100));
}

fn pids(text: &str) -> Vec<i32> {
    text.split(' ').map(pid_of).collect()
}

#[test]
#[ignore = "a role"]
fn role_sleeper() {
    say_and_sleep(&host_with(&Config::default().with(|c| c.memory = memory_if_possible(64 << 20))));
}

#[test]
fn a_killed_host_leaves_nothing() {
    let state = state("killed");
    let mut child = play("role_sleeper", &state);
    let pids = pids(&hear(&mut child, "pids"));
    child.kill().unwrap();
    child.wait().unwrap();
    nothing_is_left(&state, &[]);
    eventually("its processes end", || {
        pids.iter().all(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_err())
    });
}

#[test]
#[ignore = "a role"]
fn role_execs() {
    use std::os::unix::process::CommandExt;
    let c = host();
    let p = c.exec(["sleep", "1000"], &quiet()).unwrap();
    println!("pids {} {}", c.pid(), p.host_pid().unwrap());
    std::mem::forget(c);
    // A forked child that still has every descriptor is alive, too.
    let mut sleeper = Command::new("sleep");
    sleeper.arg("100");
    let error = Command::new("sleep").arg("1000").exec();
    panic!("{error}");
}

#[test]
fn a_host_that_execs_something_else_ends_its_containers() {
    let state = state("execs");
    let mut child = play("role_execs", &state);
    let pids = pids(&hear(&mut child, "pids"));
    eventually("its processes end", || pids.iter().all(|pid| std::fs::metadata(format!("/proc/{pid}")).is_err()));
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
    nothing_is_left(&state, &pids);
}

/// fork(2) without exec; the child runs `child` and exits.
fn fork(child: impl FnOnce()) -> i32 {
    // SAFETY: tests only; the child does little and leaves by _exit.
    match unsafe { libc_fork() } {
        0 => {
            let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).is_err();
            // SAFETY: ends the child.
            unsafe { libc_exit(i32::from(failed)) }
        }
        pid => pid,
    }
}

unsafe extern "C" {
    #[link_name = "fork"]
    fn libc_fork() -> i32;
    #[link_name = "_exit"]
    fn libc_exit(code: i32) -> !;
    #[link_name = "waitpid"]
    fn libc_waitpid(pid: i32, status: *mut i32, flags: i32) -> i32;
    #[link_name = "kill"]
    fn libc_kill(pid: i32, signal: i32) -> i32;
}

#[test]
#[ignore = "a role"]
fn role_forks() {
    let c = host();
    let child = fork(|| std::thread::sleep(Duration::from_secs(100)));
    let p = c.exec(["sleep", "1000"], &quiet()).unwrap();
    println!("pids {} {} {child}", c.pid(), p.host_pid().unwrap());
    std::thread::sleep(Duration::from_secs(100));
}

#[test]
fn a_killed_host_leaves_nothing_while_its_forked_children_live() {
    let state = state("forks");
    let mut child = play("role_forks", &state);
    let mut pids = pids(&hear(&mut child, "pids"));
    let forked = pids.pop().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(std::fs::metadata(format!("/proc/{forked}")).is_ok());
    nothing_is_left(&state, &[]);
    eventually("its processes end", || pids.iter().all(|pid| std::fs::metadata(format!("/proc/{pid}")).is_err()));
    // SAFETY: the child of the host that we started.
    unsafe { libc_kill(forked, 9) };
}

#[test]
#[ignore = "a role"]
fn role_fork_and_use() {
    let c = host();
    let name = c.name().to_string();
    let child = fork(|| {
        // What it inherited is its parent's to use; what it drops is not its own to end; what it makes is its own.
        let refused = c.exec(["true"], &quiet()).err().unwrap();
        assert_eq!(refused.code(), ErrorCode::Invalid);
        assert!(
            refused.to_string().contains(&format!("process {}'s", std::os::unix::process::parent_id())),
            "{refused}"
        );
        assert_eq!(c.destroy().err().unwrap().code(), ErrorCode::Invalid);
        assert!(!c.is_running());
        // SAFETY: the child's copy, which nobody uses any more.
        drop(unsafe { std::ptr::read(&c) });
        let own = host();
        assert_eq!(sh(&own, "echo own"), "own");
    });
    let mut status = 0;
    // SAFETY: our own child.
    unsafe { libc_waitpid(child, &mut status, 0) };
    println!("status {status} {}", Container::join(&name).is_ok());
}

#[test]
fn a_forked_child_shares_nothing_by_accident() {
    let state = state("fork-and-use");
    let mut child = play("role_fork_and_use", &state);
    let status = hear(&mut child, "status");
    child.wait().unwrap();
    assert_eq!(status, "0 true");
    nothing_is_left(&state, &[]);
}

#[test]
#[ignore = "a role"]
fn role_forks_while_others_create() {
    let children = std::thread::scope(|scope| {
        let creators: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..40 {
                        host().destroy().unwrap();
                    }
                })
            })
            .collect();
        let mut children = Vec::new();
        while creators.iter().any(|creator| !creator.is_finished()) && children.len() < 60 {
            children.push(fork(|| std::thread::sleep(Duration::from_secs(100))));
            std::thread::sleep(Duration::from_millis(1));
        }
        children
    });
    let state = std::fs::read_dir(std::env::var("CTR_STATE_DIR").unwrap()).unwrap();
    // The file of the id ranges stays, where there are any.
    let left = state.filter(|entry| entry.as_ref().unwrap().file_name() != "ids").count();
    for child in children {
        // SAFETY: our own child.
        unsafe { libc_kill(child, 9) };
    }
    println!("left {left}");
}

#[test]
fn a_child_that_is_forked_in_the_middle_of_a_create_keeps_no_record() {
    let state = state("forks-amid");
    let mut child = play("role_forks_while_others_create", &state);
    assert_eq!(hear(&mut child, "left"), "0");
    assert!(child.wait().unwrap().success());
    nothing_is_left(&state, &[]);
}

#[test]
#[ignore = "a role"]
fn role_detaches() {
    let c = host_with(&Config::default().with(|c| {
        c.detached = true;
        c.name = Some("detached".into());
    }));
    println!("pids {} {}", c.pid(), c.pid());
}

#[test]
fn a_detached_container_lives_until_somebody_destroys_it() {
    let state = state("detached");
    let mut child = play("role_detaches", &state);
    let pids = pids(&hear(&mut child, "pids"));
    child.wait().unwrap();
    let list = Client::new().with_state_dir(&state).list().unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].name.as_str(), list[0].pid, list[0].detached), ("detached", pids[0], true));
    let c = Client::new().with_state_dir(&state).join("detached").unwrap();
    assert_eq!(run(&c, &["sh", "-c", "exit 3"]).1.code, 3);
    c.destroy().unwrap();
    nothing_is_left(&state, &pids);
}

#[test]
#[ignore = "a role"]
fn role_reaper() {
    // A host with a thread that waits for everything, all the time.
    std::thread::spawn(|| {
        loop {
            let mut status = 0;
            // SAFETY: whatever child there is.
            let pid = unsafe { libc_waitpid(-1, &mut status, 0) };
            if pid > 0 {
                println!("stolen {pid}");
            }
        }
    });
    for i in 0..50 {
        let c = host();
        let (said, exit) = run(&c, &["sh", "-c", &format!("echo {i}; exit {i}")]);
        assert_eq!((said, exit.code), (format!("{i}\n"), i));
        assert_eq!(exit.reason, ExitReason::Exited);
    }
    println!("done");
}

#[test]
fn a_host_that_reaps_everything_sees_nothing_of_us() {
    let state = state("reaper");
    let child = play("role_reaper", &state);
    let out = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && text.contains("done") && !text.contains("stolen"), "{text}");
    nothing_is_left(&state, &[]);
}

#[test]
fn a_killed_zygote_is_replaced() {
    let c = host();
    let zygote = std::fs::read_to_string(format!("/proc/{}/stat", c.pid())).unwrap();
    let zygote = zygote.split(") ").nth(1).unwrap().split(' ').nth(1).unwrap().to_string();
    assert_eq!(std::fs::read_to_string(format!("/proc/{zygote}/comm")).unwrap(), "ctr-zygote\n");
    let title = std::fs::read_to_string(format!("/proc/{zygote}/cmdline")).unwrap();
    assert!(title.contains(&format!("ctr-zygote: makes the containers of process {}", std::process::id())), "{title}");
    // Others of this test program's threads may be at work with it; theirs is a process of its own.
    let state = state("zygote");
    let mut child = play("role_zygote", &state);
    hear(&mut child, "replaced");
    assert!(child.wait().unwrap().success());
    nothing_is_left(&state, &[]);
}

#[test]
#[ignore = "a role"]
fn role_zygote() {
    let parent_of = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        pid_of(stat.split(") ").nth(1).unwrap().split(' ').nth(1).unwrap())
    };
    let c = host();
    let other = host();
    assert_eq!(parent_of(c.pid()), parent_of(other.pid()), "one zygote for a process");
    // SAFETY: our own zygote.
    unsafe { libc_kill(parent_of(c.pid()), 9) };
    eventually("its containers end with it", || !c.is_running() && !other.is_running());
    assert_eq!(c.exec(["true"], &quiet()).err().unwrap().code(), ErrorCode::Destroyed);
    let next = host();
    assert_eq!(run(&next, &["true"]).1.code, 0);
    c.destroy().unwrap();
    println!("replaced");
}

#[test]
#[ignore = "a role"]
fn role_drops_privileges() {
    let before = host();
    // SAFETY: this process is the test's own.
    assert_eq!(unsafe { libc_setuid(65534) }, 0);
    let error = Container::create("host", &Config::default()).err().map(|error| error.to_string());
    let dir = std::env::var("CTR_STATE_DIR").unwrap();
    let own = format!("/dev/shm/ctr-test-nobody-{}", std::process::id());
    std::fs::create_dir(&own).unwrap();
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&own, permissions).unwrap();
    let config = Config::default().with(|c| {
        c.state_dir = Some(own.clone().into());
        c.store_dir = Some(format!("{own}/store").into());
    });
    let c = Container::create("host", &config).unwrap();
    assert_eq!(sh(&c, "cat /proc/self/uid_map | tr -s ' '"), " 0 65534 1");
    assert_eq!(sh(&c, "id -u"), "0");
    c.destroy().unwrap();
    let tar = std::env::var("TAR").unwrap();
    let c = Container::create(&tar, &config.clone().with(|c| c.memory = None)).unwrap();
    // A directory that is made again after its removal is marked so in an attribute, which a tmpfs has since Linux 6.6.
    let again = if common::kernel_is_at_least(6, 6) { "rm -r /usr; mkdir /usr" } else { "rm -r /usr" };
    assert_eq!(
        sh(&c, &format!("echo x > /etc/passwd; {again}; cat /etc/passwd; ls -ldn /etc | cut -c1-30")),
        "x\ndrwxr-xr-x    1 0        0"
    );
    let other = quiet().with(|c| c.user = Some("1000".into()));
    assert_eq!(c.exec(["true"], &other).err().unwrap().code(), ErrorCode::Unsupported);
    assert_eq!(sh(&Client::new().with_state_dir(&own).join(c.name()).unwrap(), "echo joined"), "joined");
    let joined =
        Container::join_pid(c.exec(["sleep", "9"], &quiet()).unwrap().host_pid().unwrap(), ctr::NamespaceSet::ALL);
    assert_eq!(sh(&joined.unwrap(), "cat /proc/1/comm"), "ctr-init");
    c.destroy().unwrap();
    let limited = Container::create("host", &config.with(|c| c.memory = Some(64 << 20))).err().unwrap();
    assert_eq!(limited.code(), ErrorCode::Unsupported, "{limited}");
    std::fs::remove_dir_all(&own).unwrap();
    println!("refused {} {}", error.is_some_and(|error| error.contains(&dir)), before.is_running());
}

unsafe extern "C" {
    #[link_name = "setuid"]
    fn libc_setuid(uid: u32) -> i32;
}

#[test]
fn a_host_that_drops_privileges_gets_no_more_than_it_has() {
    if std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) != 0 {
        return common::skipped("only root has privileges to drop");
    }
    let state = state("drops");
    let mut child = play("role_drops_privileges", &state);
    assert_eq!(hear(&mut child, "refused"), "true true");
    assert!(child.wait().unwrap().success());
    nothing_is_left(&state, &[]);
}

#[test]
#[ignore = "a role"]
fn role_many_lives() {
    let fds = || std::fs::read_dir("/proc/self/fd").unwrap().count() as i64;
    let pages = || -> i64 {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').nth(1).unwrap().parse().unwrap()
    };
    let hundred = || {
        let start = std::time::Instant::now();
        for _ in 0..100 {
            let c = host();
            end_of(&c.exec(["true"], &quiet()).unwrap());
        }
        start.elapsed()
    };
    hundred();
    let before = [fds(), pages()];
    let lives = std::env::var("CTR_TEST_LIVES").map_or(10_000, |lives| lives.parse().unwrap());
    let took: Vec<_> = (0..lives / 100).map(|_| hundred()).collect();
    // The fastest of many, and far from the same: others are busy here, too. What grows with each life is a hundred times as slow.
    let fastest = |some: &[Duration]| some.iter().min().unwrap().as_secs_f64();
    let slower = fastest(&took[took.len() * 4 / 5..]) / fastest(&took[..took.len() / 5]);
    println!("cost {} {} {slower}", fds() - before[0], pages() - before[1]);
    let children = std::fs::read_to_string("/proc/self/task/self/children").unwrap_or_default();
    println!("children {children:?}");
}

#[test]
fn ten_thousand_lives_take_no_descriptor_no_memory_and_no_time_from_the_next() {
    let state = state("many");
    let mut child = play("role_many_lives", &state);
    let cost: Vec<f64> = hear(&mut child, "cost").split(' ').map(|number| number.parse().unwrap()).collect();
    assert!(cost[0] == 0.0 && cost[1] < 64.0 && cost[2] < 4.0, "descriptors, pages of memory, times slower: {cost:?}");
    assert!(child.wait().unwrap().success());
    nothing_is_left(&state, &[]);
}

#[test]
#[ignore = "a role"]
fn role_some_lives() {
    for _ in 0..50 {
        let c = host();
        end_of(&c.exec(["sh", "-c", "sleep 0 & sleep 0 & exit"], &quiet()).unwrap());
    }
    let detached = host_with(&Config::default().with(|c| c.detached = true));
    detached.destroy().unwrap();
    // One that stands ready, and two that run.
    std::mem::forget([host(), host()]);
    std::process::exit(0);
}

/// PID 1 of a machine or pod that waits for nobody but the program it has started.
#[test]
#[ignore = "a role"]
fn role_pid_1() {
    assert_eq!(std::process::id(), 1);
    let mut host = Command::new(std::env::current_exe().unwrap());
    let host = host.args(["--exact", "role_some_lives", "--ignored", "--nocapture", "--test-threads=1"]);
    assert!(host.stdout(Stdio::null()).status().unwrap().success());
    let states = || -> Vec<String> {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let others = all.filter(|entry| {
            entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok_and(|pid| pid > 1))
        });
        others.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok()).collect()
    };
    eventually("all but zombies is gone", || states().iter().all(|stat| stat.contains(") Z ")));
    println!("zombies {:?}", states());
    assert!(states().len() <= 1);
}

#[test]
fn where_pid_1_never_reaps_a_hosts_whole_life_leaves_one_zombie() {
    if !nix::unistd::geteuid().is_root() {
        println!("SKIPPED where_pid_1_never_reaps_a_hosts_whole_life_leaves_one_zombie: needs root");
        return;
    }
    let state = state("pid-1");
    let mut unshare = Command::new("unshare");
    let unshare = unshare.args(["--pid", "--fork", "--mount-proc"]).arg(std::env::current_exe().unwrap());
    let unshare = unshare.args(["--exact", "role_pid_1", "--ignored", "--nocapture", "--test-threads=1"]);
    let output = unshare.env("CTR_STATE_DIR", &state).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("zombies ["), "{text}{}", String::from_utf8_lossy(&output.stderr));
    nothing_is_left(&state, &[]);
}

#[test]
#[ignore = "a role"]
fn role_churns() {
    println!("started");
    loop {
        let c = host_with(&Config::default().with(|c| c.memory = memory_if_possible(64 << 20)));
        end_of(&c.exec(["true"], &captured()).unwrap());
        c.destroy().unwrap();
    }
}

#[test]
fn a_host_killed_at_any_moment_leaves_nothing() {
    let state = state("moments");
    let all = std::env::var_os("CTR_TEST_FAULTS").is_some_and(|value| value == "all");
    for moment in 0..if all { 1000 } else { 200u64 } {
        let mut child = play("role_churns", &state);
        hear(&mut child, "started");
        std::thread::sleep(Duration::from_micros(moment * 137 % 9000));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(Client::new().with_state_dir(&state).list().unwrap(), Vec::new());
        let left: Vec<_> =
            std::fs::read_dir(&state).unwrap().map(|e| e.unwrap().file_name()).filter(|n| n != "ids").collect();
        assert!(left.is_empty(), "after {moment}: {left:?}");
    }
    nothing_is_left(&state, &[]);
}

#[test]
#[ignore = "a role"]
fn role_mounts_later() {
    // In a mount namespace of its own, as the caller has none to harm.
    assert!(nix_unshare_and_own());
    let place = PathBuf::from(std::env::var("CTR_STATE_DIR").unwrap()).with_extension("place");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("which"), "below").unwrap();
    let config = Config::default().with(|c| {
        c.namespaces = ctr::Namespaces::default().with(|n| n.user = ctr::Namespace::Host);
        c.mounts = vec![ctr::Mount::Bind(ctr::Bind::new(place.clone(), "/place").with(|b| b.read_only = true))];
    });
    for _ in 0..3 {
        assert_eq!(sh(&host_with(&config), "cat /place/which"), "below");
    }
    let status = Command::new("mount").args(["-t", "tmpfs", "ctr-test"]).arg(&place).status().unwrap();
    assert!(status.success());
    std::fs::write(place.join("which"), "above").unwrap();
    println!("which {}", sh(&host_with(&config), "cat /place/which"));
}

fn nix_unshare_and_own() -> bool {
    const CLONE_NEWNS: i32 = 0x20000;
    // SAFETY: a plain call; this process is the test's own, and has one thread that matters.
    let unshared = unsafe { libc_unshare(CLONE_NEWNS) };
    unshared == 0 && Command::new("mount").args(["--make-rprivate", "/"]).status().is_ok_and(|status| status.success())
}

unsafe extern "C" {
    #[link_name = "unshare"]
    fn libc_unshare(flags: i32) -> i32;
    #[link_name = "geteuid"]
    fn libc_geteuid() -> u32;
}

#[test]
fn a_bind_shows_what_is_mounted_there_now_and_not_when_a_spare_was_made() {
    // SAFETY: asks only.
    if unsafe { libc_geteuid() } != 0 {
        return common::skipped("only root can mount without a user namespace");
    }
    let state = state("mounts-later");
    let mut child = play("role_mounts_later", &state);
    assert_eq!(hear(&mut child, "which"), "above");
    assert!(child.wait().unwrap().success());
    std::fs::remove_dir_all(state.with_extension("place")).unwrap();
    nothing_is_left(&state, &[]);
}
