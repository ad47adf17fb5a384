//! What programs inside see of their container's cgroup: its limits, by which they size themselves, and nothing of the host's tree.

mod common;

use std::path::Path;

use common::{can_limit, host_with, run, sh, skipped};
use ctr::{Bind, CgroupPolicy, Config, Container, Limit, Namespace, Preset};

const MIB: u64 = 1 << 20;

/// 64 MiB, 50 processes.
fn limited() -> Config {
    Config::default().with(|c| {
        c.memory = Some(64 * MIB);
        c.pids = Some(50);
    })
}

/// A container with such limits, where they can be had: an ordinary user may have less than all.
fn limited_by(config: &Config) -> Option<Container> {
    match Container::create("host", config) {
        Err(error) if error.failed_step() == ctr::Step::MakeControllerCgroup => {
            skipped(&error.to_string());
            None
        }
        created => Some(created.unwrap()),
    }
}

/// Where inside the files of a controller are, those of v1 where `v1` is their name.
fn v1(container: &Container, controller: &str) -> bool {
    run(container, &["test", "-d", &format!("/sys/fs/cgroup/{controller}")]).1.code == 0
}

/// The lines of /proc/self/mountinfo inside that are of cgroups: root, place, options, kind, options of the file system.
fn mounts(container: &Container) -> Vec<[String; 5]> {
    let text = sh(container, "cat /proc/self/mountinfo");
    let lines = text.lines().map(|line| line.split(' ').map(String::from).collect::<Vec<_>>());
    let mounts = lines.map(|line| {
        let dash = line.iter().position(|field| field == "-").unwrap();
        [3, 4, 5, dash + 1, dash + 3].map(|at| line[at].clone())
    });
    mounts.filter(|mount| mount[3].starts_with("cgroup")).collect()
}

#[test]
fn a_program_finds_the_limits_of_its_container() {
    if !can_limit() {
        return;
    }
    let c = host_with(&limited());
    let (memory, pids) = match v1(&c, "memory") {
        true => ("memory/memory.limit_in_bytes", "pids/pids.max"),
        false => ("memory.max", "pids.max"),
    };
    let read = |file: &str| sh(&c, &format!("cat /sys/fs/cgroup/{file}"));
    assert_eq!([read(memory), read(pids)], [(64 * MIB).to_string(), "50".into()]);
    for attempt in
        [&format!("echo max > {memory}"), &format!("echo 0 > {pids}"), "mkdir mine", "echo $$ > cgroup.procs"]
    {
        assert_ne!(run(&c, &["/bin/sh", "-c", &format!("cd /sys/fs/cgroup && {attempt}")]).1.code, 0, "{attempt}");
    }
    // Those that are set while it runs, too.
    c.set_limit(Limit::Memory, Some(96 * MIB)).unwrap();
    assert_eq!(read(memory), (96 * MIB).to_string());
    assert_eq!(sh(&Container::join(c.name()).unwrap(), &format!("cat /sys/fs/cgroup/{pids}")), "50");
    let walls = c.inspect().unwrap().walls;
    let wall = walls.iter().find(|wall| wall.name == "cgroup namespace").unwrap();
    assert!(wall.says.ends_with("read-only at /sys/fs/cgroup"), "{wall:?}");
}

#[test]
fn a_program_sees_its_own_cgroup_and_none_of_the_hosts() {
    if !can_limit() {
        return;
    }
    let neighbour = host_with(&limited());
    for config in [limited(), limited().with(|c| c.cpus = Some(1500)), Config::default()] {
        let Some(c) = limited_by(&config) else { continue };
        let found = sh(&c, "find /sys/fs/cgroup; mount; cat /proc/self/mountinfo /proc/self/cgroup");
        assert!(!found.contains(neighbour.name()) && !found.contains(c.name()), "{found}");
        assert!(!found.contains("/.."), "{found}");
        // What is mounted, and what /proc/self/cgroup says about it, is the same.
        let cgroups = sh(&c, "cat /proc/self/cgroup");
        for [root, place, options, kind, controllers] in mounts(&c) {
            assert_eq!(root, "/", "{place}");
            // What is mounted at the place itself in v1 is covered.
            let covered = kind == "cgroup" && place == "/sys/fs/cgroup";
            assert!(covered || options.starts_with("ro,nosuid,nodev,noexec"), "{place} {options}");
            let controllers = controllers.strip_prefix("rw,").filter(|_| kind == "cgroup").unwrap_or_default();
            assert!(cgroups.lines().any(|line| line.ends_with(&format!(":{controllers}:/"))), "{place}: {cgroups}");
        }
        // A process of another PID namespace is listed as 0.
        let listed = sh(&c, "find /sys/fs/cgroup -name cgroup.procs -o -name tasks | xargs cat");
        assert!(!listed.is_empty() && listed.lines().all(|pid| pid != "0"), "{listed}");
    }
}

#[test]
fn where_the_hosts_sys_is_shared_its_cgroups_are_not() {
    let hosts: Vec<String> = match std::fs::read_dir("/sys/fs/cgroup") {
        Ok(all) => all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect(),
        Err(_) => Vec::new(),
    };
    let shared = |policy| {
        host_with(&Config::default().with(|c| {
            c.namespaces.net = Namespace::Host;
            c.cgroup = policy;
        }))
    };
    let c = shared(CgroupPolicy::Off);
    assert_eq!(sh(&c, "ls -A /sys/fs/cgroup"), "", "the host has {hosts:?}");
    assert_ne!(run(&c, &["rmdir", "/sys/fs/cgroup"]).1.code, 0);
    let c = shared(CgroupPolicy::Auto);
    let found = sh(&c, "find /sys/fs/cgroup");
    assert!(!found.contains("ctr-"), "{found}");
}

#[test]
fn a_container_without_a_cgroup_sees_none_and_says_so() {
    let config = Config::default().with(|c| c.cgroup = CgroupPolicy::Off);
    let c = host_with(&config);
    assert_eq!(sh(&c, "ls -A /sys/fs/cgroup"), "");
    assert_eq!(mounts(&c), Vec::<[String; 5]>::new());
    for walls in [c.inspect().unwrap().walls, Vec::new()] {
        for wall in walls.iter().filter(|wall| wall.name == "cgroup namespace") {
            assert!(wall.says.contains("nothing is mounted at /sys/fs/cgroup"), "{wall:?}");
        }
    }
    assert!(ctr::explain("host", &config).unwrap().contains("nothing is mounted at /sys/fs/cgroup"));
}

/// A JVM, a heap of its own choice and so many threads: what it says it found, and its largest heap in bytes.
#[test]
fn a_jvm_sizes_itself_by_the_limits_of_its_container() {
    if !can_limit() || !has("/usr/bin/java") {
        return;
    }
    let found = |config: &Config| {
        let c = host_with(config);
        let settings = sh(&c, "java -XshowSettings:system -version 2>&1");
        let flags = sh(&c, "java -XX:+PrintFlagsFinal -version 2>/dev/null | grep -w MaxHeapSize");
        let heap: u64 = flags.split_whitespace().nth(3).unwrap().parse().unwrap();
        (settings, heap)
    };
    let limited = Config::default().with(|c| c.memory = Some(256 * MIB));
    let (settings, heap) = found(&limited);
    assert!(settings.contains("Memory Limit: 256.00M") && settings.contains("CPU Quota: -1"), "{settings}");
    assert!(heap <= 128 * MIB, "{heap}");
    let (settings, heap) = found(&limited.with(|c| {
        c.cpus = Some(1500);
        c.cpuset = Some("0".into());
    }));
    assert!(settings.contains("Memory Limit: 256.00M") && settings.contains("CPU Quota: 150000us"), "{settings}");
    assert!(settings.contains("Effective CPU Count: 1") && heap <= 128 * MIB, "{settings} {heap}");
    // Time of processors alone.
    let (settings, _) = found(&Config::default().with(|c| c.cpus = Some(500)));
    assert!(settings.contains("CPU Quota: 50000us") && settings.contains("Memory Limit: Unlimited"), "{settings}");
}

#[test]
fn node_sizes_itself_by_the_limits_of_its_container() {
    if !can_limit() || !has("/usr/bin/node") {
        return;
    }
    let script = "console.log(require('os').availableParallelism(), \
        require('v8').getHeapStatistics().heap_size_limit, process.constrainedMemory())";
    let found = |config: &Config| {
        let said = sh(&host_with(config), &format!("node -e \"{script}\""));
        // No limit is a number that is too large.
        let [threads, heap, memory] =
            said.split(' ').map(|number| number.parse::<f64>().unwrap() as u64).collect::<Vec<_>>()[..]
        else {
            panic!("{said}")
        };
        (threads, heap, memory)
    };
    let [(_, large, _), (_, small, memory)] =
        [2048, 512].map(|mib| found(&Config::default().with(|c| c.memory = Some(mib * MIB))));
    assert!(memory == 512 * MIB && small < 512 * MIB && small < large, "{small} {large} {memory}");
    let one = Config::default().with(|c| c.cpuset = Some("0".into()));
    assert_eq!(found(&one).0, 1);
}

/// Rust's standard library divides the quota by the period, and so do Go's since 1.25 and many others.
#[test]
fn a_program_that_asks_how_parallel_it_may_be_is_told_the_quota() {
    if !can_limit() {
        return;
    }
    let program = std::env::current_exe().unwrap();
    let threads = |cpus| {
        let c = limited_by(&Config::default().with(|c| {
            c.cpus = cpus;
            let mut bind = Bind::new(&program, "/run/probe");
            bind.read_only = true;
            c.mounts = vec![bind.into()];
        }))?;
        let said = sh(&c, "/run/probe --exact role_parallel --ignored --nocapture --test-threads=1");
        let line = said.lines().find_map(|line| line.split_once("threads: ")).unwrap_or_else(|| panic!("{said}"));
        Some(line.1.parse::<usize>().unwrap())
    };
    let all = std::thread::available_parallelism().unwrap().get();
    if let Some(one) = threads(Some(1000)) {
        assert_eq!([one, threads(None).unwrap()], [1, all]);
    }
}

#[test]
#[ignore = "a role"]
fn role_parallel() {
    println!("threads: {}", std::thread::available_parallelism().unwrap());
}

#[test]
fn a_paused_container_sees_the_same_afterwards() {
    if !can_limit() {
        return;
    }
    let c = host_with(&limited());
    let look = "cat /proc/self/mountinfo | grep cgroup; find /sys/fs/cgroup | sort";
    let before = sh(&c, look);
    match c.pause(common::LONG) {
        Err(error) if error.code() == ctr::ErrorCode::Unsupported => return skipped(&error.to_string()),
        paused => paused.unwrap(),
    }
    c.resume().unwrap();
    assert_eq!(sh(&c, look), before);
}

/// v1: a directory that a later limit makes is not mounted, and what is said of it leads nowhere.
#[test]
fn a_later_limit_of_another_controller_takes_nothing_away() {
    if !can_limit() {
        return;
    }
    let c = host_with(&limited());
    let look = "find /sys/fs/cgroup -maxdepth 1 | sort";
    let before = sh(&c, look);
    if let Err(error) = c.set_limit(Limit::Cpus, Some(500)) {
        return skipped(&error.to_string());
    }
    let after = sh(&c, look);
    assert!(before.lines().all(|line| after.lines().any(|it| it == line)), "{before} became {after}");
    let quota = sh(&c, "cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null; true");
    assert_eq!(quota, if v1(&c, "memory") { "" } else { "50000 100000" });
    let found = sh(&c, "cat /proc/self/cgroup");
    assert!(!found.contains("/.."), "{found}");
}

#[test]
fn the_cgroup_is_seen_whoever_is_root_and_whatever_is_shared() {
    if !can_limit() {
        return;
    }
    let with = |change: fn(&mut Config)| limited().with(change);
    let mut configs = vec![
        with(|c| c.preset = Preset::Strict),
        with(|c| c.preset = Preset::Privileged),
        with(|c| c.namespaces.net = Namespace::Host),
        with(|c| c.namespaces.pid = Namespace::Host),
    ];
    if nix::unistd::geteuid().is_root() {
        configs.push(with(|c| c.namespaces.user = Namespace::Host));
    }
    for config in configs {
        let c = host_with(&config);
        let limit =
            sh(&c, "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null; true");
        assert_eq!(limit, (64 * MIB).to_string());
    }
    // The host's cgroup namespace shows the host's paths, and nothing is mounted to find them by.
    let c = host_with(&with(|c| c.namespaces.cgroup = Namespace::Host));
    assert_eq!(mounts(&c).len(), 0);
}

fn has(program: &str) -> bool {
    let has = Path::new(program).exists();
    if !has {
        skipped(&format!("there is no {program}"));
    }
    has
}
