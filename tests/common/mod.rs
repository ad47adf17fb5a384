//! What the tests share: running a program and reading what it said, images, users.

#![allow(dead_code)]

pub mod lane;
pub mod leftovers;
pub mod record;

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use ctr::{CgroupPolicy, Config, Container, ExecConfig, Exit, Process, Stdio};

/// Long enough for anything that is not a mistake.
pub const LONG: Option<Duration> = Some(Duration::from_secs(60));

/// A program with its output captured.
pub fn captured() -> ExecConfig {
    ExecConfig::default().with(|c| {
        c.stdin = Stdio::Null;
        c.stdout = Stdio::Pipe;
        c.stderr = Stdio::Stdout;
    })
}

/// A program with nothing connected.
pub fn quiet() -> ExecConfig {
    ExecConfig::default().with(|c| {
        c.stdin = Stdio::Null;
        c.stdout = Stdio::Null;
        c.stderr = Stdio::Null;
    })
}

/// Everything a descriptor has to say.
pub fn read_all(fd: OwnedFd) -> String {
    let mut bytes = Vec::new();
    std::fs::File::from(fd).read_to_end(&mut bytes).expect("a pipe can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits for a process that is known to end.
pub fn end_of(process: &Process) -> Exit {
    process.wait(LONG).expect("waiting works").expect("it ends within a minute")
}

/// Runs a program: what it said, how it ended.
pub fn run_with(container: &Container, argv: &[&str], config: &ExecConfig) -> (String, Exit) {
    let process = container.exec(argv, config).unwrap_or_else(|error| panic!("{argv:?} starts: {error}"));
    let said = process.take_stdout().map(read_all).unwrap_or_default();
    (said, end_of(&process))
}

/// Runs a program: what it said, how it ended.
pub fn run(container: &Container, argv: &[&str]) -> (String, Exit) {
    run_with(container, argv, &captured())
}

/// Runs a shell script that has to succeed; what it said.
pub fn sh(container: &Container, script: &str) -> String {
    let (said, exit) = run(container, &["/bin/sh", "-c", script]);
    assert_eq!(exit.code, 0, "{script} said: {said}");
    said.trim_end().to_string()
}

/// A container of the host's programs.
pub fn host() -> Container {
    host_with(&Config::default())
}

/// As [`host`].
pub fn host_with(config: &Config) -> Container {
    Container::create("host", config).unwrap_or_else(|error| panic!("the host is an image: {error}"))
}

/// `bytes`, where this user can have a memory limit; elsewhere no limit.
pub fn memory_if_possible(bytes: u64) -> Option<u64> {
    can_limit().then_some(bytes)
}

/// Whether this user can have limits. A test that needs them ends where not, which is said here.
pub fn can_limit() -> bool {
    let config = Config::default().with(|c| c.cgroup = CgroupPolicy::Required);
    match ctr::explain("host", &config) {
        Err(error) if error.failed_step() == ctr::Step::MakeControllerCgroup => {
            skipped(&error.to_string());
            false
        }
        _ => true,
    }
}

/// Whether the ids from 0 on, so many, exist in a container that has a shell.
pub fn has_ids(container: &Container, count: u64) -> bool {
    let map = sh(container, "cat /proc/self/uid_map");
    map.split_whitespace().skip(2).step_by(3).map(|count| count.parse::<u64>().unwrap()).sum::<u64>() >= count
}

/// Whether the kernel is this old, or newer.
pub fn kernel_is_at_least(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc is mounted");
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse().ok());
    (numbers.next(), numbers.next()) >= (Some(major), Some(minor))
}

/// Whether the image "host" has Python; says so where it doesn't.
pub fn has_python() -> bool {
    let has = ["/usr/bin/python3", "/usr/local/bin/python3"].iter().any(|path| Path::new(path).exists());
    if !has {
        skipped("there is no python3");
    }
    has
}

/// Says that this test, or a part of it, is not run, and why.
pub fn skipped(why: &str) {
    // In one write, so that tests which run beside don't get between.
    let line = format!("SKIPPED {}: {why}\n", std::thread::current().name().unwrap_or_default());
    eprint!("{line}");
}

/// A scratch directory of this test run, on a tmpfs if nobody says otherwise: before Linux 6.3 a tmpfs can't be id-mapped.
pub fn scratch(name: &str) -> PathBuf {
    let place = std::env::var_os("CTR_TEST_SCRATCH").unwrap_or_else(|| "/dev/shm".into());
    let path = Path::new(&place).join(format!("{}{name}", scratch_prefix()));
    let mut made = SCRATCHES.lock().expect("nothing fails while it is locked");
    if !made.contains(&path) {
        if made.is_empty() {
            // SAFETY: the function is there as long as the process.
            unsafe { libc::atexit(remove_scratches) };
        }
        // Left by a process of the same number.
        let _ = std::fs::remove_dir_all(&path);
        made.push(path.clone());
    }
    drop(made);
    std::fs::create_dir_all(&path).expect("the scratch directory can be written to");
    path
}

/// What [`scratch`] has made: removed when this process, and not a fork of it, exits.
static SCRATCHES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn scratch_prefix() -> String {
    format!("ctr-test-{}-", std::process::id())
}

extern "C" fn remove_scratches() {
    let Ok(made) = SCRATCHES.try_lock() else { return };
    let ours =
        |path: &&PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&scratch_prefix()));
    for path in made.iter().filter(ours) {
        let _ = std::fs::remove_dir_all(path);
    }
}

/// A busybox image as a directory.
pub fn busybox() -> &'static Path {
    &images().0
}

/// The same as a tarball.
pub fn busybox_tar() -> &'static Path {
    &images().1
}

/// Both are made at once, before a test that uses the directory itself as a root can change it.
fn images() -> &'static (PathBuf, PathBuf) {
    static MADE: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    MADE.get_or_init(|| {
        let root = scratch("busybox");
        // One that an earlier process of our number has left is not ours.
        _ = std::fs::remove_dir_all(&root);
        for directory in ["bin", "etc", "root", "usr"] {
            std::fs::create_dir_all(root.join(directory)).expect("scratch can be written to");
        }
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().find(|path| Path::new(path).exists());
        let busybox = busybox.expect("busybox-static is installed (make test does that)");
        std::fs::copy(busybox, root.join("bin/busybox")).expect("busybox can be copied");
        let list = std::process::Command::new(busybox).arg("--list").output().expect("busybox runs").stdout;
        for applet in String::from_utf8_lossy(&list).lines().filter(|applet| *applet != "busybox") {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).expect("links can be made");
        }
        std::fs::write(
            root.join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000:Ann:/home/ann:/bin/sh\nbob:x:1001:100:Bob:/home/bob:/bin/sh\n",
        )
        .expect("scratch can be written to");
        std::fs::write(root.join("etc/group"), "root:x:0:\nann:x:1000:\nusers:x:100:\naudio:x:29:ann,bob\nvideo:x:44:ann\n")
            .expect("scratch can be written to");
        let tar = scratch("tar").join("busybox.tar");
        // Root's, whoever made it. The tar of busybox(1) knows no such options.
        let pack = |owner: &[&str]| {
            let mut tar_of = std::process::Command::new("tar");
            tar_of.args(owner).arg("-C").arg(&root).arg("-cf").arg(&tar).arg(".").status().expect("tar runs").success()
        };
        assert!(pack(&["--owner=0", "--group=0", "--numeric-owner"]) || pack(&[]));
        (root, tar)
    })
}

/// Waits until `what` holds, for things that other processes do.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("not within ten seconds: {what}");
}
