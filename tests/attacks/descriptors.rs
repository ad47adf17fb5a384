//! Descriptors: none of the engine's is a stream that a program inherits, and none that is the host's is closed or used.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use ctr::{Config, Container, ExecConfig, Namespace, Namespaces, Preset, Stdio};

use crate::attack;
use crate::fence::{scratch, secret};

/// Whoever is nobody in particular.
const OTHER: u32 = 65_534;

/// Runs `body` in a forked child; whether it came to its end.
fn in_a_child(body: impl FnOnce()) -> bool {
    // SAFETY: the one thread of the test goes on in the child, which leaves by _exit.
    match unsafe { libc::fork() } {
        0 => {
            let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_err();
            // SAFETY: ends the child.
            unsafe { libc::_exit(i32::from(failed)) }
        }
        child => {
            let mut status = -1;
            // SAFETY: our own child; the kernel writes an int.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            status == 0
        }
    }
}

/// The attack of a program that was handed a directory of the host's: up from there, to what is not the container's.
const ATTACK: &str = "for fd in 0 1 2; do
    cat /proc/self/fd/$fd/../outside/secret /proc/self/fd/$fd/outside/secret && exit 42
    echo pwned > /proc/self/fd/$fd/../outside/pwned && exit 43
    echo pwned > /proc/self/fd/$fd/outside/pwned && exit 44
    test \"$(readlink /proc/$$/fd/$fd)\" = /dev/null || exit 45
done 2>/dev/null; exit 0";

fn attack(container: &Container) -> i32 {
    let streams = ExecConfig::default().with(|c| {
        c.stdin = Stdio::Inherit;
        c.stdout = Stdio::Inherit;
        c.stderr = Stdio::Inherit;
        c.time_limit = Some(std::time::Duration::from_secs(60));
    });
    let process = container.exec(["/bin/sh", "-c", ATTACK], &streams).unwrap();
    process.wait(None).unwrap().unwrap().code
}

fn attack_all(secret_is_for: u32) {
    for closed in 1..8 {
        for preset in [Preset::Default, Preset::Strict, Preset::Privileged] {
            for user in [Namespace::New, Namespace::Host] {
                let ordinary = secret_is_for != 0;
                // An ordinary user has to have one, and the strict preset refuses to do without.
                if user == Namespace::Host && (ordinary || preset == Preset::Strict) {
                    continue;
                }
                let namespaces = Namespaces::default().with(|n| n.user = user.clone());
                let config = Config::default().with(|c| {
                    c.preset = preset;
                    c.namespaces = namespaces;
                    c.cgroup = ctr::CgroupPolicy::Optional;
                });
                // What a stream is closed for, the first container of a process and a later one alike.
                let held = in_a_child(|| {
                    if ordinary {
                        // SAFETY: plain calls; the child is one thread.
                        unsafe {
                            assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
                            assert_eq!(libc::setresgid(OTHER, OTHER, OTHER), 0);
                            assert_eq!(libc::setresuid(OTHER, OTHER, OTHER), 0);
                        }
                    }
                    // SAFETY: streams of the child's own.
                    (0..3).filter(|fd| closed >> fd & 1 == 1).for_each(|fd| _ = unsafe { libc::close(fd) });
                    // What stays open is /dev/null, so that what is inherited can be told by its name.
                    (0..3).filter(|fd| closed >> fd & 1 == 0).for_each(|fd| {
                        // SAFETY: as above.
                        unsafe {
                            let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
                            libc::fcntl(null, libc::F_DUPFD, 100);
                            libc::close(null);
                            libc::dup2(100, fd);
                            libc::close(100);
                        }
                    });
                    for _ in 0..2 {
                        let container = Container::create("host", &config).unwrap();
                        assert_eq!(attack(&container), 0);
                        let joined = Container::join(container.name()).unwrap();
                        assert_eq!(attack(&joined), 0);
                        container.destroy().unwrap();
                    }
                });
                assert!(held, "streams {closed:03b} closed, {preset:?}, user namespace {user:?}, ordinary {ordinary}");
            }
        }
    }
}

attack!(own_stdio, {
    let secret = secret();
    attack_all(0);
    // An ordinary user's own files are what root inside could read and write.
    fs::set_permissions(scratch(), fs::Permissions::from_mode(0o777)).unwrap();
    let outside = secret.parent().unwrap();
    for path in [outside, secret.as_path()] {
        chown(path, Some(OTHER), Some(OTHER)).unwrap();
    }
    let home = scratch().join("ordinary");
    fs::create_dir(&home).unwrap();
    chown(&home, Some(OTHER), Some(OTHER)).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
    // SAFETY: the test is one thread.
    unsafe {
        std::env::set_var("CTR_STATE_DIR", &home);
        std::env::set_var("CTR_STORE_DIR", home.join("store"));
    }
    attack_all(OTHER);
    assert!(!outside.join("pwned").exists());
});
