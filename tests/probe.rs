//! What this machine allows, as `ctr::probe` tells it; and that create says the same.

mod common;

use common::leftovers::{descriptors, zombies};
use common::skipped;
use ctr::{Check, Config, Container, ErrorCode};
use std::collections::BTreeSet;
use std::process::Command;

fn check<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    checks.iter().find(|check| check.name == name).unwrap_or_else(|| panic!("{name} in {checks:#?}"))
}

#[test]
fn every_part_is_checked_and_what_fails_says_why() {
    let checks = ctr::probe();
    for check in &checks {
        println!("{check:?}");
        assert!(check.ok && check.hint.is_empty() || !check.says.is_empty(), "{check:?}");
    }
    let names: BTreeSet<_> = checks.iter().map(|check| check.name).collect();
    assert_eq!(names.len(), checks.len(), "no name twice");
    for name in [
        "user namespaces",
        "further ids",
        "overlay",
        "seccomp",
        "Landlock",
        "security modules",
        "memory limit",
        "device list",
        "state directory",
    ] {
        check(&checks, name);
    }
}

#[test]
fn what_is_said_agrees_with_create() {
    let checks = ctr::probe();
    let config = Config::default().with(|c| c.memory = Some(64 << 20));
    match Container::create("host", &config) {
        Ok(_) => assert!(check(&checks, "memory limit").ok && check(&checks, "a container").ok, "{checks:#?}"),
        Err(error) => {
            let check = check(&checks, "memory limit");
            assert!(!check.ok && error.to_string().contains(&check.hint), "{check:?} and {error}");
        }
    }
}

#[test]
fn a_probe_leaves_nothing() {
    play("role_that_looks_for_leftovers", &["env"], "true");
}

#[test]
#[ignore = "a role"]
fn role_that_looks_for_leftovers() {
    ctr::probe();
    let fds = descriptors();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    for _ in 0..3 {
        ctr::probe();
    }
    assert_eq!(std::fs::read_to_string("/proc/self/mountinfo").unwrap(), mounts);
    assert_eq!(descriptors(), fds);
    assert_eq!(zombies().len(), 0);
    assert_eq!(std::fs::read_to_string("/proc/thread-self/children").unwrap(), "");
}

/// Plays `role`, an ignored test, in a process of its own: started by `by`, on a machine that `script` has made poorer.
fn play(role: &str, by: &[&str], script: &str) {
    if by[0] == "unshare" && !nix::unistd::geteuid().is_root() {
        return skipped("root is needed to make a machine poorer");
    }
    let script = format!("{script} && exec \"$0\" --exact {role} --ignored --nocapture --test-threads=1");
    let output = Command::new(by[0])
        .args(&by[1..])
        .args(["sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{role}: {said}");
}

/// What both say: the check `name`, and the error of a create.
fn both_say(name: &str, words: &[&str]) {
    let checks = ctr::probe();
    let check = check(&checks, name);
    assert!(!check.ok && !checks.last().unwrap().ok, "{checks:#?}");
    let error = Container::create("host", &Config::default()).err().unwrap();
    for word in words {
        assert!(check.hint.contains(word) && error.to_string().contains(word), "{word}: {check:?} and {error}");
    }
    assert_eq!(check.hint, error.hint());
}

#[test]
fn the_sysctl_that_forbids_user_namespaces_is_named() {
    play("role_without_user_namespaces", &["unshare", "-Ur"], "echo 0 > /proc/sys/user/max_user_namespaces");
}

#[test]
#[ignore = "a role"]
fn role_without_user_namespaces() {
    both_say("user namespaces", &["sysctl -w user.max_user_namespaces="]);
}

#[test]
fn a_proc_that_an_outer_container_masks_is_named() {
    play("role_under_a_mask", &["unshare", "-m", "--propagation", "private"], "mount -t tmpfs ctr-test /proc/irq");
}

#[test]
#[ignore = "a role"]
fn role_under_a_mask() {
    both_say("/proc", &["unmasked", "systempaths=unconfined"]);
    let error = Container::create("host", &Config::default()).err().unwrap();
    assert_eq!(error.code(), ErrorCode::Unsupported);
}
