//! Where the state directory lies by default: in a place that is this user's own, whoever was there first, and whatever the
//! caller of a setuid program would like.
//!
//! Each case is a mount namespace with a /run, /tmp and /dev/shm of its own, in which this program runs again as somebody.

mod common;

use std::process::Command;

use ctr::Container;

#[test]
#[ignore = "a role"]
fn role_lister() {
    Container::list().unwrap_or_else(|error| panic!("{error}"));
}

/// Runs a shell script there; `$ROLE` lists containers, and so makes the state directory. What the script says.
fn there(script: &str) -> String {
    let own = std::env::current_exe().unwrap();
    let before = "set -eu
        mount -t tmpfs -o mode=755 run /run
        mount -t tmpfs -o mode=1777 shm /dev/shm
        mount -t tmpfs -o mode=1777 tmp /tmp
        install -d -m 755 /run/bin
        unset CTR_STATE_DIR XDG_RUNTIME_DIR
        export HOME=/nonexistent
        cp /proc/self/fd/3 /run/bin/role
        chmod 755 /run/bin/role
        ROLE='/run/bin/role --exact role_lister --ignored --test-threads=1 --quiet'
        user() { setpriv --reuid=4001 --regid=4001 --clear-groups \"$@\" > /dev/null; }
        whose() { stat -c '%n %u %a' \"$@\" 2>/dev/null || true; }
        ";
    // It is copied before the /tmp that it may lie in is covered.
    let script = format!("exec 3< '{}'\n{before}\n{script}", own.display());
    let output = Command::new("unshare").args(["--mount", "--propagation", "private", "sh", "-c", &script]).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        common::skipped("it takes root to be others");
    }
    root
}

#[test]
fn a_place_that_another_user_took_is_passed_over() {
    if !is_root() {
        return;
    }
    assert_eq!(there("user $ROLE; whose /dev/shm/ctr-4001"), "/dev/shm/ctr-4001 4001 700\n");
    for squat in ["mkdir /dev/shm/ctr-4001", "ln -s /run/bin /dev/shm/ctr-4001", "touch /dev/shm/ctr-4001"] {
        let said = there(&format!("{squat}; user $ROLE; whose /tmp/ctr-4001"));
        assert_eq!(said, "/tmp/ctr-4001 4001 700\n", "{squat}");
    }
    let both = "mkdir /dev/shm/ctr-4001 /tmp/ctr-4001; install -d -o 4001 -m 755 /run/home; export HOME=/run/home";
    let said = there(&format!("{both}; user $ROLE; whose /run/home/.local/state/ctr"));
    assert_eq!(said, "/run/home/.local/state/ctr 4001 700\n");
}

#[test]
fn the_runtime_directory_is_used_where_it_is_this_users() {
    if !is_root() {
        return;
    }
    let own = "install -d -o 4001 -m 700 /run/own; export XDG_RUNTIME_DIR=/run/own";
    assert_eq!(there(&format!("{own}; user $ROLE; whose /run/own/ctr")), "/run/own/ctr 4001 700\n");
    let roots = "install -d -m 1777 /run/roots; export XDG_RUNTIME_DIR=/run/roots";
    let said = there(&format!("{roots}; user $ROLE; whose /run/roots/ctr /dev/shm/ctr-4001"));
    assert_eq!(said, "/dev/shm/ctr-4001 4001 700\n");
    let systemd = "install -d -o 4001 -m 700 /run/user/4001";
    assert_eq!(there(&format!("{systemd}; user $ROLE; whose /run/user/4001/ctr")), "/run/user/4001/ctr 4001 700\n");
}

#[test]
fn root_uses_run_and_root_of_a_user_namespace_takes_nothing_of_his() {
    if !is_root() {
        return;
    }
    assert_eq!(there("$ROLE > /dev/null; whose /run/ctr /dev/shm/ctr-0"), "/run/ctr 0 700\n");
    // As `unshare -r` has it: uid 0, and no rights over /run.
    let said = there("user unshare -r $ROLE; whose /run/ctr /dev/shm/ctr-0 /dev/shm/ctr-4001");
    assert_eq!(said, "/dev/shm/ctr-4001 4001 700\n");
    let said = there("install -d -m 700 /run/ctr /dev/shm/ctr-0; user unshare -r $ROLE; whose /dev/shm/ctr-4001");
    assert_eq!(said, "/dev/shm/ctr-4001 4001 700\n");
}

#[test]
fn a_setuid_programs_environment_is_not_believed() {
    if !is_root() {
        return;
    }
    let said = there(
        "cp /run/bin/role /run/bin/setuid; chown 4001 /run/bin/setuid; chmod 4755 /run/bin/setuid
        install -d -m 1777 /run/open; install -d -o 4001 -m 700 /run/own
        export CTR_STATE_DIR=/run/open/chosen XDG_RUNTIME_DIR=/run/own
        setpriv --reuid=4002 --regid=4002 --clear-groups /run/bin/setuid ${ROLE#* } > /dev/null
        whose /run/open/chosen /run/own/ctr /dev/shm/ctr-4001",
    );
    assert_eq!(said, "/dev/shm/ctr-4001 4001 700\n");
}

#[test]
fn a_state_directory_that_is_full_or_read_only_is_said_so_with_what_to_do() {
    if !is_root() {
        return;
    }
    for (options, words) in [("ro,mode=755", "EROFS"), ("mode=755,nr_inodes=1", "ENOSPC")] {
        let said = there(&format!(
            "mkdir /run/small; mount -t tmpfs -o {options} small /run/small; export CTR_STATE_DIR=/run/small/state
            $ROLE 2>&1 | grep 'use the state directory' || true"
        ));
        assert!(said.contains(words) && said.contains("CTR_STATE_DIR"), "{said}");
    }
}
