//! Life under a filter that refuses newer system calls, as an outer container or an old kernel does: ctr does without, or
//! says which call it was and what to do. Each test plays a host in a process of its own that has laid the filter on
//! itself before it began.

mod common;

use common::{busybox, busybox_tar, captured, kernel_is_at_least, memory_if_possible, quiet, run_with, sh};
use ctr::{Bind, Config, Container, ErrorCode, Mount, NamespaceSet};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The calls that are refused, and whether ctr can do without.
const CALLS: [(&str, i64, bool); 7] = [
    ("clone3", libc::SYS_clone3, true),
    ("openat2", libc::SYS_openat2, true),
    ("pidfd_open", libc::SYS_pidfd_open, true),
    ("close_range", libc::SYS_close_range, true),
    ("landlock_create_ruleset", libc::SYS_landlock_create_ruleset, true),
    ("move_mount", libc::SYS_move_mount, false),
    ("mount_setattr", libc::SYS_mount_setattr, false),
];

/// Plays `role` as a host to whom these calls are refused.
fn play(role: &str, errno: i32, names: &[&str]) {
    let state = common::scratch(&format!("filtered-{role}"));
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o700)).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", role, "--ignored", "--nocapture", "--test-threads=1"])
        .env("CTR_STATE_DIR", &state)
        // No other's: who can't gain the rights of newuidmap(1) can't use what is of its user's further ids there.
        .env("CTR_STORE_DIR", state.join("store"))
        .env("CTR_REFUSE", format!("{errno} {}", names.join(" ")))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{role} {errno} {names:?}: {said}");
    std::fs::remove_dir_all(state).unwrap();
}

/// What CTR_REFUSE asks for, "ERRNO NAME...", is refused to this process and all that it starts.
fn refuse() -> (i32, Vec<String>) {
    let text = std::env::var("CTR_REFUSE").unwrap();
    let mut words = text.split(' ');
    let errno: i32 = words.next().unwrap().parse().unwrap();
    let names: Vec<String> = words.map(String::from).collect();
    let number = |name: &String| match CALLS.iter().find(|call| call.0 == name) {
        Some(call) => call.1 as u32,
        None => libc::SYS_clone as u32,
    };
    // Classic BPF, seccomp(2): load the number; for each call, if it is this one, go to the refusal behind; allow.
    let statement = |code: u16, k: u32| libc::sock_filter { code, jt: 0, jf: 0, k };
    let [load, if_equal, give_back] = [0x20, 0x15, 0x06];
    let mut program = vec![statement(load, 0)];
    for name in &names {
        program.push(libc::sock_filter { code: if_equal, jt: 0, jf: 1, k: number(name) });
        program.push(statement(give_back, libc::SECCOMP_RET_ERRNO | errno as u32));
    }
    program.push(statement(give_back, libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the program outlives the call. All threads get it, the harness's own too.
    let lay = || unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC,
            &raw const program,
        )
    };
    if lay() != 0 {
        // SAFETY: plain numbers. Who is not root must promise this first.
        assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
        assert_eq!(lay(), 0, "{}", std::io::Error::last_os_error());
    }
    (errno, names)
}

/// Runs $CTR_COMMAND under the filter: how lanes of `make test` run other tests.
#[test]
#[ignore = "a role"]
fn role_command() {
    refuse();
    let error = Command::new("/bin/sh").args(["-c", &std::env::var("CTR_COMMAND").unwrap()]).exec();
    panic!("{error}");
}

#[test]
fn what_can_be_done_without_is_done_without() {
    for errno in [libc::ENOSYS, libc::EPERM] {
        let dispensable: Vec<_> = CALLS.iter().filter(|call| call.2).map(|call| call.0).collect();
        for name in &dispensable {
            play("role_that_does_without", errno, &[name]);
        }
        play("role_that_does_without", errno, &dispensable);
    }
}

#[test]
#[ignore = "a role"]
fn role_that_does_without() {
    // Made by programs, and unpacked by threads, which glibc can't start where clone3 answers EPERM.
    Container::create(busybox_tar(), &Config::default()).unwrap().destroy().unwrap();
    let (_, names) = refuse();
    let data = common::scratch("data");
    std::fs::write(data.join("file"), "bound").unwrap();
    let bind = |source, target: &str| Mount::Bind(Bind::new(source, target).with(|b| b.read_only = true));
    let config = Config::default().with(|c| {
        c.memory = memory_if_possible(64 << 20);
        c.mounts = vec![bind(data.clone(), "/a/b/data"), bind(data.join("file"), "/etc/one-file")];
    });
    for image in [busybox(), busybox_tar()] {
        let c = Container::create(image, &config).unwrap_or_else(|error| panic!("{names:?}: {error}"));
        assert_eq!(sh(&c, "cat /a/b/data/file /etc/one-file; echo; id -u; echo >/x && ls /x"), "boundbound\n0\n/x");
        assert!(sh(&c, "touch /a/b/data/no 2>&1 || echo refused").contains("refused"));
        c.mount(&bind(data.clone(), "/live/data")).unwrap_or_else(|error| panic!("{names:?}: {error}"));
        assert_eq!(sh(&c, "cat /live/data/file"), "bound");
        c.unmount("/live/data", false).unwrap_or_else(|error| panic!("{names:?}: {error}"));
        assert_eq!(sh(&c, "ls /live/data"), "");
        let sleeper = c.exec(["sleep", "100"], &quiet()).unwrap();
        match Container::join(c.name()) {
            Ok(joined) => assert_eq!(sh(&joined, "hostname"), c.name()),
            Err(error) => {
                assert!(!kernel_is_at_least(6, 5) && names.iter().any(|name| name == "pidfd_open"), "{error}");
                assert!(error.to_string().contains("pidfd_open(2) is refused here"), "{error}");
            }
        }
        let by_pid = Container::join_pid(sleeper.host_pid().unwrap(), NamespaceSet::ALL).unwrap();
        assert_eq!(sh(&by_pid, "hostname"), c.name());
        c.destroy().unwrap();
    }
    // A link of the image's in a mount's way is not followed where there is no openat2, and leads to the image where there is.
    let link = Config::default().with(|c| c.mounts = vec![bind(data.clone(), "/linked/data")]);
    let root = common::scratch("linked");
    for directory in ["bin", "real"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    std::fs::copy(busybox().join("bin/busybox"), root.join("bin/busybox")).unwrap();
    std::os::unix::fs::symlink("real", root.join("linked")).unwrap();
    match Container::create(&root, &link) {
        Ok(c) => {
            let (said, _) = run_with(&c, &["/bin/busybox", "cat", "/real/data/file"], &captured());
            assert_eq!(said, "bound");
            assert!(!names.iter().any(|name| name == "openat2"));
        }
        Err(error) => {
            assert!(names.iter().any(|name| name == "openat2"), "{error}");
            assert_eq!(error.errno(), libc::ENOTDIR, "{error}");
        }
    }
    for place in [data, root] {
        std::fs::remove_dir_all(place).unwrap();
    }
}

#[test]
fn a_call_that_is_needed_is_named_with_the_hint() {
    for errno in [libc::ENOSYS, libc::EPERM] {
        for (name, ..) in CALLS.iter().filter(|call| !call.2) {
            play("role_that_is_told", errno, &[name]);
        }
        play("role_that_is_told", errno, &CALLS.map(|call| call.0));
    }
}

#[test]
fn a_zygote_that_can_not_be_cloned_is_not_blamed_on_memory_files() {
    for errno in [libc::ENOSYS, libc::EPERM] {
        play("role_without_clone", errno, &["clone"]);
    }
}

#[test]
#[ignore = "a role"]
fn role_without_clone() {
    let (errno, _) = refuse();
    let error = Container::create("host", &Config::default()).err().unwrap();
    let text = error.to_string();
    assert_eq!((error.code(), error.errno()), (ErrorCode::Unsupported, errno), "{text}");
    assert!(text.contains("clone(2) is refused here") && !text.contains("memfd"), "{text}");
}

#[test]
#[ignore = "a role"]
fn role_that_is_told() {
    let (errno, names) = refuse();
    for _ in 0..3 {
        let error = Container::create("host", &Config::default()).err().unwrap();
        let text = error.to_string();
        assert_eq!((error.code(), error.errno()), (ErrorCode::Unsupported, errno), "{text}");
        assert!(names.iter().any(|name| text.contains(&format!("{name}(2) is refused here"))), "{names:?}: {text}");
        assert!(error.hint().contains("seccomp filter"), "{text}");
    }
    assert_eq!(Container::list().unwrap(), []);
    let checks = ctr::probe();
    let mounts = checks.iter().find(|check| check.name == "mounts").unwrap();
    assert!(!mounts.ok && mounts.hint.contains("seccomp filter"), "{mounts:?}");
    for check in checks.iter().filter(|check| names.iter().any(|name| name == check.name)) {
        assert!(!check.ok, "{check:?}");
    }
    assert!(!checks.last().unwrap().ok);
    // And the process is as it was: what needs none of them works.
    let error = Container::join("nobody").err().unwrap();
    assert_eq!(error.code(), ErrorCode::NotFound);
}
