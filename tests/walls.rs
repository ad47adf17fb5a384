//! The list of walls: it agrees with what the kernel says about the running container, and with what a program inside can do,
//! by default, under each preset, with each wall switched off singly, joined by another process, and as an ordinary user.

mod common;

use common::{captured, host_with, memory_if_possible, run, sh, skipped};
use ctr::{Bind, CgroupPolicy, Config, Container, Mount, Namespace, Preset, Refusal, Rlimit, Seccomp, Wall, WallState};
use std::path::Path;
use std::process::Command;

fn named<'a>(walls: &'a [Wall], name: &str) -> &'a Wall {
    walls.iter().find(|wall| wall.name == name).unwrap_or_else(|| panic!("no wall {name}"))
}

/// The kinds in /proc/PID/ns that have a line, and its name.
const NAMESPACES: [(&str, &str); 8] = [
    ("user", "user namespace"),
    ("mnt", "mount namespace"),
    ("pid", "PID namespace"),
    ("uts", "UTS namespace"),
    ("ipc", "IPC namespace"),
    ("net", "network namespace"),
    ("cgroup", "cgroup namespace"),
    ("time", "time namespace"),
];

/// Asks the kernel about the container, from inside by a program that reads its own /proc, and from outside; each answer has to
/// be what the list says.
fn agrees(c: &Container) -> Vec<Wall> {
    let walls = c.walls().unwrap();
    let stands = |name: &str| named(&walls, name).state != WallState::Off;
    let seen = |name: &str, kernel: bool| assert_eq!(stands(name), kernel, "{:?}", named(&walls, name));
    // A program, not PID 1: the list is about those.
    let status = sh(c, "cat /proc/self/status");
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap().to_string();
    let outer = std::fs::read_to_string("/proc/self/status").unwrap();
    let under_a_filter = outer.contains("Seccomp:\t2");
    if !under_a_filter {
        seen("seccomp", field("Seccomp:") == "2");
    }
    seen("no_new_privs", field("NoNewPrivs:") == "1");
    let kept = u64::from_str_radix(&field("CapBnd:"), 16).unwrap();
    let last: u32 = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap().trim().parse().unwrap();
    seen("capabilities", kept != u64::MAX >> (63 - last));
    assert!(named(&walls, "capabilities").says.contains(&kept.count_ones().to_string()) || kept == 0);
    for (kind, name) in NAMESPACES {
        let inside = sh(c, &format!("readlink /proc/self/ns/{kind}"));
        let ours = std::fs::read_link(format!("/proc/thread-self/ns/{kind}")).unwrap();
        seen(name, Path::new(&inside) != ours);
    }
    let mounts = sh(c, "cat /proc/self/mountinfo");
    let read_only = |place: &str| {
        let options = mounts.lines().rev().filter_map(|line| {
            let mut words = line.split(' ').skip(4);
            (words.next() == Some(place)).then(|| words.next().unwrap().split(',').any(|option| option == "ro"))
        });
        options.take(1).any(|read_only| read_only)
    };
    seen("masked paths", read_only("/proc/kcore") || read_only("/proc/interrupts"));
    seen("read-only paths", read_only("/proc/sys"));
    seen("read-only root", read_only("/"));
    seen("core dumps off", sh(c, "ulimit -c; ulimit -Hc").split_whitespace().eq(["0", "0"]));
    let limit = |limit: Result<Option<u64>, ctr::Error>| limit.ok().flatten().is_some();
    seen("memory limit", limit(c.memory_limit()));
    seen("process limit", limit(c.pids_limit()));
    seen("Landlock", landlock(c));
    walls
}

/// Whether a program inside is behind Landlock, which no file of the kernel tells: it is asked before the rights to make a
/// device node are, and answers EACCES where those answer EPERM.
fn landlock(c: &Container) -> bool {
    let (said, exit) = run(c, &["/bin/sh", "-c", "mknod /dev/shm/node c 1 3 && rm /dev/shm/node"]);
    match said {
        // Root of the host, with nothing in its way.
        _ if exit.code == 0 => false,
        said if said.contains("Permission denied") => true,
        said if said.contains("Operation not permitted") => {
            // A filter that refuses it first says nothing of Landlock.
            let seccomp = c.walls().unwrap();
            let strict = named(&seccomp, "seccomp").says.contains("profile strict");
            strict && named(&seccomp, "Landlock").state == WallState::On
        }
        said => panic!("mknod: {said}"),
    }
}

fn as_user() -> bool {
    !nix::unistd::geteuid().is_root()
}

/// Each of these takes one wall away, or lowers it, or puts one up.
fn single() -> Vec<(&'static str, Config, WallState)> {
    let default = Config::default;
    let all = Preset::Privileged.capabilities::<&str>(&[], &[]).unwrap();
    let mut cases = vec![
        ("seccomp", default().with(|c| c.seccomp = Some(Seccomp::Unconfined)), WallState::Off),
        ("seccomp", default().with(|c| c.seccomp_refusal = Some(Refusal::Log)), WallState::Partly),
        ("no_new_privs", default().with(|c| c.new_privileges = true), WallState::Off),
        ("capabilities", default().with(|c| c.capabilities = Some(all)), WallState::Off),
        ("capabilities", default().with(|c| c.capabilities = Some(1 << 12 | 1)), WallState::Partly),
        ("capabilities", default().with(|c| c.capabilities = Some(0)), WallState::On),
        ("masked paths", default().with(|c| c.masked_paths = Some(false)), WallState::Off),
        ("Landlock", default().with(|c| c.landlock = Some(false)), WallState::Off),
        ("read-only root", default().with(|c| c.read_only = true), WallState::On),
        (
            "core dumps off",
            default().with(|c| c.rlimits = vec![Rlimit::new("core", Some(0), None).unwrap()]),
            WallState::Off,
        ),
        (
            "rlimits",
            default().with(|c| c.rlimits = vec![Rlimit::new("nofile", Some(64), Some(64)).unwrap()]),
            WallState::On,
        ),
    ];
    if let Some(memory) = memory_if_possible(64 << 20) {
        cases.push(("memory limit", default().with(|c| c.memory = Some(memory)), WallState::On));
        cases.push(("process limit", default().with(|c| c.pids = Some(64)), WallState::On));
    }
    type Change = fn(&mut Config);
    let kinds: [(&str, Change); 7] = [
        ("mount namespace", |config| config.namespaces.mount = Namespace::Host),
        ("PID namespace", |config| config.namespaces.pid = Namespace::Host),
        ("UTS namespace", |config| config.namespaces.uts = Namespace::Host),
        ("IPC namespace", |config| config.namespaces.ipc = Namespace::Host),
        ("network namespace", |config| config.namespaces.net = Namespace::Host),
        ("cgroup namespace", |config| config.namespaces.cgroup = Namespace::Host),
        ("user namespace", |config| config.namespaces.user = Namespace::Host),
    ];
    for (name, change) in kinds {
        let mut config = default();
        change(&mut config);
        cases.push((name, config, WallState::Off));
    }
    let mut config = default();
    config.namespaces.time = Some(Namespace::New);
    config.time_offsets.boottime.secs = 5;
    cases.push(("time namespace", config, WallState::On));
    cases
}

#[test]
fn the_default_and_the_strict_walls_are_those_that_the_kernel_shows() {
    let c = host_with(&Config::default());
    let walls = agrees(&c);
    let off: Vec<_> = walls.iter().filter(|wall| wall.state == WallState::Off).map(|wall| wall.name).collect();
    let expected = [
        "AppArmor",
        "SELinux",
        "device list",
        "time namespace",
        "rlimits",
        "read-only root",
        "memory limit",
        "process limit",
        "processor limit",
    ];
    let kernel_lacks = |name: &str| name == "Landlock" && ctr::probe().iter().any(|it| it.name == "Landlock" && !it.ok);
    assert!(off.iter().all(|name| expected.contains(name) || kernel_lacks(name)), "{off:?}");
    assert_eq!(named(&walls, "seccomp").why, "preset default");

    let cgroup = if memory_if_possible(1).is_some() { CgroupPolicy::Auto } else { CgroupPolicy::Optional };
    let strict = host_with(&Config::default().with(|c| {
        c.preset = Preset::Strict;
        c.cgroup = cgroup;
    }));
    let walls = agrees(&strict);
    assert_eq!(named(&walls, "read-only root").why, "preset strict");
    assert!(!strict.explain().unwrap().contains("asked for: "), "{}", strict.explain().unwrap());
    assert!(named(&walls, "seccomp").says.contains("profile strict"));
    assert!(named(&walls, "capabilities").says.starts_with("6 of"), "{:?}", named(&walls, "capabilities"));
}

#[test]
fn a_privileged_container_has_few_walls_and_is_said_to() {
    let c = host_with(&Config::default().with(|c| c.preset = Preset::Privileged));
    let walls = agrees(&c);
    for name in ["seccomp", "no_new_privs", "capabilities", "masked paths", "read-only paths", "Landlock"] {
        let wall = named(&walls, name);
        assert_eq!((wall.state, wall.why.as_str()), (WallState::Off, "preset privileged"), "{wall:?}");
    }
    assert!(c.inspect().unwrap().warning.unwrap().starts_with("PRIVILEGED"));
    assert!(c.explain().unwrap().starts_with("# PRIVILEGED"), "{}", c.explain().unwrap());
    let mut config = Config::default().with(|c| c.preset = Preset::Privileged);
    config.namespaces.user = Namespace::Host;
    if !as_user() {
        assert!(ctr::explain("host", &config).unwrap().starts_with("# PRIVILEGED, IN THE HOST'S USER NAMESPACE"));
    }
}

#[test]
fn each_wall_that_is_switched_alone_is_the_one_that_changes() {
    let default = host_with(&Config::default()).walls().unwrap();
    for (name, config, state) in single() {
        if as_user() && name == "user namespace" {
            continue;
        }
        let before = ctr::explain("host", &config).unwrap();
        let c = host_with(&config);
        let walls = agrees(&c);
        let wall = named(&walls, name);
        assert_eq!(wall.state, state, "{wall:?}");
        assert!(wall.why.starts_with("asked for: "), "{wall:?}");
        if name == "time namespace" {
            assert_eq!(wall.says, "clocks of its own: boottime 5 s");
        }
        // A container that may mount has no Landlock; covers are on mounts of its own.
        for (ours, usual) in walls.iter().zip(&default).filter(|(ours, _)| ours.name != name) {
            let follows = ours.name == "Landlock" && name == "capabilities"
                || ours.name.starts_with("device") && name == "user namespace"
                || ours.name.ends_with(" paths") && ["mount namespace", "masked paths"].contains(&name);
            assert!(follows || ours.state == usual.state, "{name} changes {ours:?}");
        }
        // What explain says beforehand is what then stands.
        for wall in &walls {
            let line = before.lines().find(|line| line.starts_with(&format!("#   {} ", wall.name)));
            let line = line.unwrap_or_else(|| panic!("{} is not explained in {before}", wall.name));
            let state = line[4 + wall.name.len()..].split_whitespace().next();
            assert_eq!(state, Some(wall.state.name()), "{line} beside {wall:?}");
        }
    }
}

#[test]
fn landlock_that_is_asked_for_and_cannot_be_is_refused_by_name() {
    let mut config = Config::default().with(|c| {
        c.landlock = Some(true);
        c.preset = Preset::Privileged;
    });
    let refused = Container::create("host", &config).err().expect("nothing can be mounted behind Landlock");
    assert_eq!((refused.code(), refused.object()), (ctr::ErrorCode::Unsupported, "Landlock"), "{refused}");
    assert!(refused.to_string().contains("CAP_SYS_ADMIN"), "{refused}");
    config.capabilities = Some(Preset::Default.capabilities::<&str>(&[], &[]).unwrap());
    if ctr::probe().iter().any(|check| check.name == "Landlock" && check.ok) {
        assert!(landlock(&host_with(&config)));
    }
}

#[test]
fn a_joiner_sees_the_same_walls_and_reasons() {
    let (memory, pids) = (memory_if_possible(96 << 20), memory_if_possible(40));
    let mut config = Config::default().with(|c| {
        c.preset = Preset::Default;
        c.memory = memory;
        c.pids = pids;
        c.read_only = true;
    });
    config.namespaces.net = Namespace::Host;
    config.seccomp = Some(Seccomp::Strict);
    config.mounts = vec![Mount::Bind(Bind::new("/usr", "/srv/usr").with(|b| b.read_only = true))];
    if Container::create("host", &config)
        .is_err_and(|error| matches!(error.failed_step(), ctr::Step::IdMap | ctr::Step::IdMapBind))
    {
        skipped("a part: /usr lies on a file system that can't be id-mapped");
        config.mounts.clear();
    }
    let made = host_with(&config);
    let joined = Container::join(made.name()).unwrap();
    assert_eq!(joined.walls().unwrap(), agrees(&made));
    let told = joined.inspect().unwrap();
    assert_eq!((told.name.as_str(), told.pid, told.image.as_str()), (made.name(), made.pid(), "host"));
    assert_eq!((told.limits.memory, told.limits.pids, told.network.as_str()), (memory, pids, "host"));
    assert_eq!((told.preset, told.warning, told.owner), ("default", None, std::process::id() as i32));
    if !config.mounts.is_empty() {
        let bind = told.mounts.iter().find(|mount| mount.target == "/srv/usr").unwrap();
        assert!(["ro", "nosuid", "nodev"].iter().all(|option| bind.options.split(',').any(|has| has == *option)));
        assert!(named(&told.walls, "binds").says.contains("/srv/usr"));
    }
    let json: serde_json::Value = serde_json::from_str(&told.to_json()).unwrap();
    let seccomp = json["walls"].as_array().unwrap().iter().find(|wall| wall["name"] == "seccomp").unwrap();
    assert_eq!((&seccomp["state"], &seccomp["why"]), (&"on".into(), &"asked for: seccomp = strict".into()));
    // What is changed is told.
    if memory.is_some() {
        joined.set_memory_limit(Some(128 << 20)).unwrap();
        assert!(named(&made.walls().unwrap(), "memory limit").says.starts_with(&(128 << 20).to_string()));
    }
    made.destroy().unwrap();
    let gone = joined.inspect().unwrap_err();
    assert_eq!(gone.code(), ctr::ErrorCode::Destroyed, "{gone}");
}

#[test]
fn of_a_joined_pid_the_walls_of_what_is_started_there_are_told() {
    let made = host_with(&Config::default());
    let sleeper = made.exec(["/bin/sleep", "1000"], &captured()).unwrap();
    let pid = sleeper.host_pid().unwrap();
    let joined = match Container::join_pid(pid, ctr::NamespaceSet::ALL) {
        Ok(joined) => joined,
        Err(error) => return skipped(&error.to_string()),
    };
    let walls = joined.walls().unwrap();
    assert_eq!(named(&walls, "network namespace").state, WallState::On, "{walls:?}");
    assert_eq!(named(&walls, "seccomp").state, WallState::Off);
    assert!(named(&walls, "seccomp").why.contains("joined by its pid"));
    assert_eq!(joined.inspect().unwrap().warning, None);
}

#[test]
fn limits_that_the_preset_asks_for_are_said_to_be_its_own() {
    let strict = |memory, pids| {
        Config::default().with(|c| {
            c.preset = Preset::Strict;
            c.memory = memory;
            c.pids = pids;
        })
    };
    let refused = |config: &Config| Container::create("host", config).err().expect("a limit needs a cgroup");
    let off = |config: Config| config.with(|c| c.cgroup = ctr::CgroupPolicy::Off);
    for (config, said) in [
        (strict(None, None), "the preset strict limits to 512 MiB of memory and 128 processes"),
        (strict(Some(64 << 20), None), "the preset strict limits to 128 processes"),
        (strict(None, Some(9)), "the preset strict limits to 512 MiB of memory"),
    ] {
        let error = refused(&off(config));
        assert_eq!(error.failed_step(), ctr::Step::LimitWithoutCgroup);
        assert!(
            error.to_string().contains(&format!("{said} (")) && error.hint().contains("--cgroup optional"),
            "{error}"
        );
    }
    let own = Config::default().with(|c| c.memory = Some(64 << 20));
    for config in [strict(Some(64 << 20), Some(9)), own] {
        let error = refused(&off(config)).to_string();
        assert!(!error.contains("preset"), "{error}");
    }
    play("role_without_cgroups", &[]);
}

#[test]
#[ignore = "a role"]
fn role_without_cgroups() {
    let config = Config::default().with(|c| c.preset = Preset::Strict);
    let error = match Container::create("host", &config) {
        Err(error) if error.failed_step() == ctr::Step::MakeControllerCgroup => error,
        other => return skipped(&format!("this user has cgroups, or no containers: {:?}", other.err())),
    };
    let said = error.to_string();
    assert!(said.contains("may not make cgroups in") && said.contains("the preset strict limits to 512 MiB"), "{said}");
    assert!(error.hint().contains("cgroup=\"optional\""), "{said}");
    let c = host_with(&config.with(|c| c.cgroup = ctr::CgroupPolicy::Optional));
    assert_eq!(sh(&c, "echo ok"), "ok");
}

/// Plays `role` as an ordinary user, with a range of ids or without; see tests/lanes/as_user.sh.
fn play(role: &str, options: &[&str]) {
    if as_user() || !Path::new("/usr/bin/setpriv").exists() {
        return skipped("root and setpriv are needed to make a user in a private mount namespace");
    }
    let me = format!("{}:test", std::env::current_exe().unwrap().display());
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lanes/as_user.sh"))
        .args(options)
        .args(["-f", &me, "--", "/mnt/test", "--exact", role, "--ignored", "--nocapture", "--test-threads=1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{role}: {said}");
}

#[test]
fn an_ordinary_users_walls_are_those_that_the_kernel_shows() {
    play("role_user", &[]);
    if Path::new("/usr/bin/newuidmap").exists() {
        play("role_user_with_a_range", &["-s", "ctr-lane:200000:65536"]);
    }
}

#[test]
#[ignore = "a role"]
fn role_user() {
    the_default_and_the_strict_walls_are_those_that_the_kernel_shows();
    each_wall_that_is_switched_alone_is_the_one_that_changes();
    a_privileged_container_has_few_walls_and_is_said_to();
    a_joiner_sees_the_same_walls_and_reasons();
    let c = host_with(&Config::default());
    let walls = c.walls().unwrap();
    let user = named(&walls, "user namespace");
    assert_eq!(user.state, WallState::Partly, "{user:?}");
    assert!(user.says.contains("uid 0 inside is 4242 outside, 1 id;"), "{user:?}");
    let memory = named(&walls, "memory limit");
    assert!(memory.why.contains("no cgroup can be had here"), "{memory:?}");
}

#[test]
#[ignore = "a role"]
fn role_user_with_a_range() {
    a_joiner_sees_the_same_walls_and_reasons();
    let walls = host_with(&Config::default()).walls().unwrap();
    let user = named(&walls, "user namespace");
    assert_eq!((user.state, user.says.as_str()), (WallState::On, "uid 0 inside is 4242 outside, 65536 ids"));
}
