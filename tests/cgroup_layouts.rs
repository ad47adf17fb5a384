//! Layouts of cgroups that other machines have: mounted elsewhere, read-only as in a pod of Kubernetes, a part of the tree as in a
//! docker container, a cgroup namespace. For root: each is made in a private mount namespace, in which the test runs itself.

mod common;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::leftovers::Scope;
use common::{eventually, run, sh, skipped};
use ctr::{CgroupPolicy, Config, Container, ErrorCode, Limit};
use nix::sched::{CloneFlags, unshare};

const MIB: u64 = 1 << 20;

/// Runs `role`, a test below, in new namespaces of these kinds, where `script` has changed the mounts.
fn play(role: &str, script: &str, namespaces: CloneFlags) {
    if !nix::unistd::geteuid().is_root() {
        return skipped("only root changes where cgroups are mounted");
    }
    if hierarchies().is_empty() {
        return skipped("no cgroups are mounted");
    }
    let inner = format!("set -e\nmount --make-rprivate /\n{script}\nexec \"$0\" --exact {role} --ignored --nocapture");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &inner]).arg(std::env::current_exe().unwrap());
    // SAFETY: one system call between fork and exec.
    unsafe { command.pre_exec(move || Ok(unshare(namespaces)?)) };
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{role}: {said}");
}

/// The mount points of cgroups, where this process sees any.
fn hierarchies() -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/mounts").unwrap();
    let lines = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    lines.filter(|line| line[2].starts_with("cgroup")).map(|line| line[1].into()).collect()
}

/// The usual place with everything below it lies at another one.
const ELSEWHERE: &str = "
place=/mnt
[ -d $place ] || place=/home
mount -t tmpfs -o mode=755 ctr-test $place
mkdir $place/cgroups
mount --rbind /sys/fs/cgroup $place/cgroups
umount -l /sys/fs/cgroup";

#[test]
fn cgroups_that_are_mounted_elsewhere_are_found() {
    play("role_elsewhere", ELSEWHERE, CloneFlags::CLONE_NEWNS);
}

#[test]
#[ignore = "a role"]
fn role_elsewhere() {
    let elsewhere = |path: &Path| path.components().nth(2).is_some_and(|name| name.as_os_str() == "cgroups");
    assert!(hierarchies().iter().all(|path| elsewhere(path)), "{:?}", hierarchies());
    let scope = Scope::new("elsewhere");
    let c = limited(&scope);
    let places = c.inspect().unwrap().cgroups;
    assert!(places.iter().all(|place| elsewhere(place.as_ref())), "{places:?}");
    c.set_limit(Limit::Memory, Some(96 * MIB)).unwrap();
    assert_eq!(c.limit(Limit::Memory).unwrap(), Some(96 * MIB));
    assert!(c.stats().unwrap().memory.current.is_some());
    assert_eq!(scope.client().join(c.name()).unwrap().limit(Limit::Pids).unwrap(), Some(50));
    // It sees them where programs look for them.
    assert_eq!(sees(&c), (96 * MIB).to_string());
    c.pause(common::LONG).unwrap();
    c.resume().unwrap();
    c.destroy().unwrap();
    assert!(places.iter().all(|place| !Path::new(place).exists()), "{places:?}");
}

/// As in a pod of Kubernetes.
const READ_ONLY: &str = "
while read -r _ place kind _; do
    case $kind in cgroup*) mount -o remount,bind,ro \"$place\" ;; esac
done </proc/mounts";

#[test]
fn a_read_only_mount_of_cgroups_is_named_and_done_without() {
    play("role_read_only", READ_ONLY, CloneFlags::CLONE_NEWNS);
}

#[test]
#[ignore = "a role"]
fn role_read_only() {
    let scope = Scope::new("read-only");
    for policy in [CgroupPolicy::Auto, CgroupPolicy::Required] {
        let error = Container::create("host", &limits(&scope).with(|c| c.cgroup = policy)).map(drop).unwrap_err();
        assert_eq!((error.code(), error.errno()), (ErrorCode::Unsupported, libc::EROFS), "{error}");
        for words in ["mounted read-only", "privileged", "cgroup=\"optional\""] {
            assert!(error.to_string().contains(words), "{error}");
        }
    }
    let optional = limits(&scope).with(|c| c.cgroup = CgroupPolicy::Optional);
    for (config, warnings) in [(optional, 2), (scope.config(), 0)] {
        let c = Container::create("host", &config).unwrap();
        assert_eq!(c.warnings().len(), warnings, "{:?}", c.warnings());
        assert_eq!(run(&c, &["echo", "well"]).0, "well\n");
        assert_eq!(sh(&c, "ls -A /sys/fs/cgroup"), "");
        assert_eq!(c.stats().unwrap_err().code(), ErrorCode::Unsupported);
        assert_eq!(c.set_limit(Limit::Memory, Some(64 * MIB)).unwrap_err().code(), ErrorCode::Unsupported);
        c.destroy().unwrap();
    }
    let probe = ctr::probe();
    let memory = probe.iter().find(|check| check.name == "memory limit").unwrap();
    assert!(!memory.ok && memory.hint.contains("read-only"), "{memory:?}");
    scope.assert_nothing_left();
}

#[test]
fn limits_of_resources_stand_in_where_there_is_no_cgroup() {
    if !nix::unistd::geteuid().is_root() {
        return role_stand_ins();
    }
    play("role_stand_ins", READ_ONLY, CloneFlags::CLONE_NEWNS);
    common::lane::play("role_stand_ins", &["-s", common::lane::RANGE], &[]);
    common::lane::play("role_stand_ins", &[], &[]);
}

#[test]
#[ignore = "a role"]
fn role_stand_ins() {
    let scope = Scope::new("stand-ins");
    let config = limits(&scope).with(|c| (c.cgroup, c.pids) = (CgroupPolicy::Optional, Some(20)));
    let c = Container::create("host", &config).unwrap();
    if c.limit(Limit::Pids).unwrap().is_some() {
        return common::skipped("there are cgroups here");
    }
    let warnings = c.warnings().join("\n");
    assert!(["RLIMIT_NPROC", "RLIMIT_DATA"].iter().all(|words| warnings.contains(words)), "{warnings}");
    // The flood ends with an error of fork, and what it has started stays; the shell that counts forks no more.
    let flood = "i=0; while [ $i -lt 60 ]; do sleep 300 >/dev/null 2>&1 & i=$((i+1)); done";
    let count = sh(&c, &format!("sh -c '{flood}' 2>/dev/null; set -- /proc/[0-9]*; echo $#"));
    assert!((10..=20).contains(&count.trim().parse::<u32>().unwrap()), "{count}");
    // A container beside it has its own count, and each process its memory.
    let nameless = config.clone().with(|c| c.name = None);
    let beside = Container::create("host", &nameless).unwrap();
    let copy = |size: &str| run(&beside, &["dd", "if=/dev/zero", "of=/dev/null", "count=1", size]).1;
    assert_eq!(copy("bs=8M").code, 0);
    assert_ne!(copy("bs=200M").code, 0);
    // Whoever says something of the resource is heard.
    let chosen = nameless.with(|c| c.rlimits = vec![ctr::Rlimit::new("nproc", Some(30), Some(30)).unwrap()]);
    let c = Container::create("host", &chosen).unwrap();
    assert_eq!(sh(&c, "grep processes /proc/self/limits").split_whitespace().nth(2), Some("30"));
    assert!(!c.warnings().join("\n").contains("RLIMIT_NPROC"), "{:?}", c.warnings());
}

#[test]
fn where_a_part_of_the_tree_is_mounted_a_container_is_below_its_caller() {
    let name = format!("ctr-pod-{}", std::process::id());
    // The caller is in a cgroup below the one that is mounted, and /proc/self/cgroup says where both are in the whole tree.
    let script = "
for place in /sys/fs/cgroup /sys/fs/cgroup/memory /sys/fs/cgroup/pids /sys/fs/cgroup/freezer; do
    [ -e $place/cgroup.procs ] || continue
    mkdir $place/NAME
    [ ! -e $place/cgroup.controllers ] || echo +memory +pids >$place/cgroup.subtree_control
    mkdir $place/NAME/sub
    echo 0 >$place/NAME/sub/cgroup.procs
    mount --bind $place/NAME $place
done
unset CTR_CGROUP_PARENT";
    play("role_part", &script.replace("NAME", &name), CloneFlags::CLONE_NEWNS);
    // The zygote of the caller may take a moment to end.
    for path in hierarchies().into_iter().map(|path| path.join(&name)) {
        eventually(&format!("{} is empty", path.display()), || {
            _ = fs::remove_dir(path.join("sub"));
            _ = fs::remove_dir(&path);
            !path.exists()
        });
    }
}

#[test]
#[ignore = "a role"]
fn role_part() {
    let scope = Scope::new("part");
    let c = limited(&scope);
    for place in c.inspect().unwrap().cgroups {
        let sub = place.starts_with("/sys/fs/cgroup/memory/sub/") || place.starts_with("/sys/fs/cgroup/pids/sub/");
        // v2: the caller's own has the caller, and so can't hand controllers on.
        let beside =
            Path::new("/sys/fs/cgroup/cgroup.controllers").exists() && place.starts_with("/sys/fs/cgroup/ctr-");
        assert!(sub || beside, "{place}");
    }
    assert_eq!(sees(&c), (64 * MIB).to_string());
    assert_eq!(scope.client().join(c.name()).unwrap().limit(Limit::Pids).unwrap(), Some(50));
    c.pause(common::LONG).unwrap();
    c.resume().unwrap();
    c.destroy().unwrap();
    scope.assert_nothing_left();
}

/// As in a docker container with a cgroup namespace of its own that may write to its cgroups.
const FRESH: &str = "
umount -l /sys/fs/cgroup
if grep -q '^[0-9]*:memory:' /proc/self/cgroup; then
    mount -t tmpfs -o mode=755 ctr-test /sys/fs/cgroup
    for controller in memory pids; do
        mkdir /sys/fs/cgroup/$controller
        mount -t cgroup -o $controller cgroup /sys/fs/cgroup/$controller
    done
else
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
unset CTR_CGROUP_PARENT";

#[test]
fn in_a_cgroup_namespace_its_root_is_the_parent() {
    play("role_in_namespace", FRESH, CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWCGROUP);
}

#[test]
#[ignore = "a role"]
fn role_in_namespace() {
    let scope = Scope::new("namespace");
    assert!(fs::read_to_string("/proc/self/cgroup").unwrap().lines().all(|line| line.ends_with(":/")));
    let c = limited(&scope);
    let places = c.inspect().unwrap().cgroups;
    let usual = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids", "/sys/fs/cgroup"].map(Path::new);
    assert!(places.iter().all(|place| usual.contains(&Path::new(place).parent().unwrap())), "{places:?}");
    assert_eq!(sees(&c), (64 * MIB).to_string());
    c.destroy().unwrap();
    scope.assert_nothing_left();
}

fn limits(scope: &Scope) -> Config {
    scope.config().with(|c| {
        c.memory = Some(64 * MIB);
        c.pids = Some(50);
    })
}

fn limited(scope: &Scope) -> Container {
    Container::create("host", &limits(scope)).unwrap()
}

/// The limit of memory, as a program inside finds it.
fn sees(c: &Container) -> String {
    sh(c, "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null; true")
}
