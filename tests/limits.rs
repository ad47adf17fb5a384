//! Limits beyond memory, processes and time of processors: shares, swap, processors, block devices, huge pages; at create and
//! live, by what the kernel's files say and what programs see. On whichever cgroup version the machine has.

mod common;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::leftovers::Scope;
use common::{end_of, kernel_is_at_least, sh, skipped};
use ctr::{CgroupPolicy, Config, Container, Error, ErrorCode, ExecConfig, Limit, ListLimit, Process, Stdio};

const MIB: u64 = 1 << 20;

/// The container; none, and said so, where this user can't have such a limit.
fn create(config: &Config) -> Option<Container> {
    match Container::create("host", config) {
        Ok(container) => Some(container),
        Err(error) if error.code() == ErrorCode::Unsupported => {
            skipped(&error.to_string());
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn shell(container: &Container, script: &str) -> Process {
    let config = ExecConfig::default().with(|c| {
        c.stdin = Stdio::Pipe;
        c.stdout = Stdio::Pipe;
    });
    container.exec(["/bin/sh", "-c", script], &config).unwrap()
}

/// One of the files of its cgroups; none where there is none of that name.
fn file(container: &Container, name: &str) -> Option<String> {
    let paths = container.inspect().unwrap().cgroups;
    let text = paths.iter().find_map(|path| std::fs::read_to_string(Path::new(path).join(name)).ok())?;
    Some(text.trim().to_string())
}

fn on_v1(controller: &str) -> bool {
    let line = format!(":{controller}:");
    std::fs::read_to_string("/proc/self/cgroup").unwrap().contains(&line)
}

fn refused(outcome: Result<(), Error>, code: ErrorCode, words: &[&str]) {
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
}

fn refused_config(config: &Config, code: ErrorCode, words: &[&str]) {
    refused(Container::create("host", config).map(drop), code, words);
}

#[test]
fn no_limit_can_be_said_at_create_and_live() {
    let scope = Scope::new("unlimited");
    let mut config = scope.config().with(|c| {
        c.preset = ctr::Preset::Strict;
        (c.memory, c.cpus) = (Some(ctr::UNLIMITED), Some(ctr::UNLIMITED));
    });
    let Some(container) = create(&config) else { return };
    let limits = |container: &Container| [Limit::Memory, Limit::Pids].map(|limit| container.limit(limit).unwrap());
    assert_eq!(limits(&container), [None, Some(128)]);
    container.set_limit(Limit::Pids, Some(ctr::UNLIMITED)).unwrap();
    assert_eq!(limits(&container), [None, None]);
    container.destroy().unwrap();
    config.pids = Some(ctr::UNLIMITED);
    assert_eq!(limits(&create(&config).unwrap()), [None, None]);
}

#[test]
fn shares_are_set_at_create_and_live() {
    let scope = Scope::new("shares");
    let Some(container) = create(&scope.config().with(|c| c.cpu_weight = Some(250))) else { return };
    assert_eq!(container.limit(Limit::CpuWeight).unwrap(), Some(250));
    let (name, as_written) =
        if on_v1("cpu") { ("cpu.shares", ["2560", "102400", "1024"]) } else { ("cpu.weight", ["250", "10000", "100"]) };
    assert_eq!(file(&container, name).unwrap(), as_written[0]);
    let joined = scope.client().join(container.name()).unwrap();
    joined.set_limit(Limit::CpuWeight, Some(10_000)).unwrap();
    assert_eq!(file(&container, name).unwrap(), as_written[1]);
    assert_eq!(container.effective_limit(Limit::CpuWeight).unwrap(), Some(10_000));
    joined.set_limit(Limit::CpuWeight, None).unwrap();
    assert_eq!(file(&container, name).unwrap(), as_written[2]);
    assert_eq!(container.limit(Limit::Cpus).unwrap(), None, "a share is no limit of time");
    for bad in [0, 10_001, u64::MAX - 1] {
        refused(container.set_limit(Limit::CpuWeight, Some(bad)), ErrorCode::Invalid, &[&bad.to_string(), "10000"]);
        refused_config(&scope.config().with(|c| c.cpu_weight = Some(bad)), ErrorCode::Invalid, &[&bad.to_string()]);
        refused_config(&scope.config().with(|c| c.io_weight = Some(bad)), ErrorCode::Invalid, &[&bad.to_string()]);
    }
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn the_share_of_block_devices_is_had_where_the_kernel_keeps_one() {
    let scope = Scope::new("ioshare");
    let Some(container) = create(&scope.config().with(|c| c.io_weight = Some(50))) else { return };
    assert_eq!(container.limit(Limit::IoWeight).unwrap(), Some(50));
    container.set_limit(Limit::IoWeight, Some(10_000)).unwrap();
    assert_eq!(container.limit(Limit::IoWeight).unwrap(), Some(10_000));
    if on_v1("blkio") {
        assert_eq!(file(&container, "blkio.bfq.weight").unwrap(), "1000");
    }
    container.set_limit(Limit::IoWeight, None).unwrap();
    assert_eq!(container.limit(Limit::IoWeight).unwrap(), Some(100));
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn swap_is_counted_besides_memory_and_stays_when_that_moves() {
    let scope = Scope::new("swap");
    let config = scope.config().with(|c| {
        c.memory = Some(64 * MIB);
        c.swap = Some(32 * MIB);
    });
    let Some(container) = create(&config) else { return };
    let holds = |memory: Option<u64>, swap: Option<u64>| {
        assert_eq!((container.limit(Limit::Memory).unwrap(), container.limit(Limit::Swap).unwrap()), (memory, swap));
        if on_v1("memory") {
            let both = memory.zip(swap).map_or(9_223_372_036_854_771_712, |(memory, swap)| memory + swap);
            assert_eq!(file(&container, "memory.memsw.limit_in_bytes").unwrap(), both.to_string());
        }
    };
    holds(Some(64 * MIB), Some(32 * MIB));
    for memory in [128, 32, 200] {
        container.set_memory_limit(Some(memory * MIB)).unwrap();
        holds(Some(memory * MIB), Some(32 * MIB));
    }
    for swap in [Some(8 * MIB), Some(0), Some(512 * MIB), None] {
        container.set_limit(Limit::Swap, swap).unwrap();
        holds(Some(200 * MIB), swap);
    }
    // No limit of swap stays none, and a limit of memory that is lifted takes that of swap along.
    container.set_memory_limit(Some(100 * MIB)).unwrap();
    holds(Some(100 * MIB), None);
    container.set_limit(Limit::Swap, Some(MIB)).unwrap();
    container.set_memory_limit(None).unwrap();
    holds(None, None);
    // The first limit of memory comes without swap, as at create.
    container.set_memory_limit(Some(64 * MIB)).unwrap();
    holds(Some(64 * MIB), Some(0));
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn swap_without_a_memory_limit_is_refused_by_name_on_v1() {
    if !on_v1("memory") || !common::can_limit() {
        return skipped("cgroup v1 alone counts memory and swap together");
    }
    let scope = Scope::new("swaponly");
    let config = scope.config().with(|c| c.swap = Some(0));
    refused_config(&config, ErrorCode::Unsupported, &["swap limit of 0", "memory", "limit memory too"]);
    let container = Container::create("host", &config.with(|c| c.cgroup = CgroupPolicy::Optional)).unwrap();
    let warnings = container.warnings().join("\n");
    assert!(warnings.contains("the swap limit of 0 can't be had"), "{warnings}");
    refused(container.set_limit(Limit::Swap, Some(MIB)), ErrorCode::Unsupported, &["1048576", "memory"]);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn memory_is_slowed_down_on_v2_and_refused_by_name_on_v1() {
    let scope = Scope::new("high");
    let config = scope.config().with(|c| c.memory_high = Some(32 * MIB));
    if on_v1("memory") {
        if !common::can_limit() {
            return;
        }
        refused_config(&config, ErrorCode::Unsupported, &["memory_high limit of 33554432", "cgroup v1"]);
        let optional = config.with(|c| c.cgroup = CgroupPolicy::Optional);
        let container = Container::create("host", &optional).unwrap();
        assert!(container.warnings().join("\n").contains("memory_high"), "{:?}", container.warnings());
        let walls = container.walls().unwrap();
        let wall = walls.iter().find(|wall| wall.name == "memory_high limit").unwrap();
        assert!(wall.why.contains("cgroup v1"), "{wall:?}");
        refused(container.set_limit(Limit::MemoryHigh, Some(32 * MIB)), ErrorCode::Unsupported, &["cgroup v1"]);
        container.set_limit(Limit::MemoryHigh, None).unwrap();
        return assert_eq!(container.limit(Limit::MemoryHigh).unwrap(), None);
    }
    // What is cached of files can be reclaimed.
    let (path, _removed) = on_disk("high", 64 * MIB);
    let file_inside = ctr::Bind::new(&path, "/file").with(|b| b.read_only = true);
    let Some(container) = create(&config.with(|c| c.mounts = vec![file_inside.into()])) else { return };
    assert_eq!(file(&container, "memory.high").unwrap(), (32 * MIB).to_string());
    // More than that is read, and some of it reclaimed: the kernel counts how often, and kills nobody.
    assert_eq!(end_of(&shell(&container, "cat /file | wc -c")).code, 0);
    let events = file(&container, "memory.events").unwrap();
    assert!(events.lines().any(|line| line.starts_with("high ") && line != "high 0"), "{events}");
    assert_eq!(container.oom_kills().unwrap(), 0);
    container.set_limit(Limit::MemoryHigh, None).unwrap();
    assert_eq!(container.limit(Limit::MemoryHigh).unwrap(), None);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

/// More than is left when the kernel has reclaimed all that it can is refused: see tests/cgroup.rs.
#[test]
fn a_memory_limit_below_what_is_cached_reclaims_that_and_kills_nobody() {
    let scope = Scope::new("reclaim");
    let (path, _removed) = on_disk("cached", 64 * MIB);
    let file_inside = ctr::Bind::new(&path, "/file").with(|b| b.read_only = true);
    let config = scope.config().with(|c| {
        c.memory = Some(256 * MIB);
        c.mounts = vec![file_inside.into()];
    });
    let Some(container) = create(&config) else { return };
    let reader = shell(&container, "cat /file | wc -c; read x; exit 7");
    while container.stats().unwrap().memory.file.unwrap() < 60 * MIB {
        let ended = reader.wait(Some(Duration::from_millis(5))).unwrap();
        assert!(ended.is_none(), "{ended:?}");
    }
    container.set_memory_limit(Some(24 * MIB)).unwrap();
    assert_eq!(container.memory_limit().unwrap(), Some(24 * MIB));
    let (now, _) = container.memory_usage().unwrap();
    assert!(now <= 24 * MIB, "{now}");
    drop(reader.take_stdin());
    assert_eq!((end_of(&reader).code, container.oom_kills().unwrap()), (7, 0));
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn memory_that_is_reclaimed_last_is_set_at_create_and_live() {
    let scope = Scope::new("low");
    let Some(container) = create(&scope.config().with(|c| c.memory_low = Some(16 * MIB))) else { return };
    let name = if on_v1("memory") { "memory.soft_limit_in_bytes" } else { "memory.low" };
    assert_eq!(file(&container, name).unwrap(), (16 * MIB).to_string());
    container.set_limit(Limit::MemoryLow, Some(8 * MIB)).unwrap();
    assert_eq!(container.limit(Limit::MemoryLow).unwrap(), Some(8 * MIB));
    assert!(container.effective_limit(Limit::MemoryLow).unwrap().is_none_or(|bytes| bytes <= 8 * MIB));
    container.set_limit(Limit::MemoryLow, None).unwrap();
    assert_eq!(container.limit(Limit::MemoryLow).unwrap(), None);
    refused(container.set_limit(Limit::MemoryLow, Some(0)), ErrorCode::Invalid, &["0"]);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

/// As many processors as programs see.
fn seen(container: &Container) -> (String, String) {
    let said = sh(container, "nproc; sed -n 's/^Cpus_allowed_list:\t//p' /proc/self/status");
    let (count, list) = said.split_once('\n').unwrap();
    (count.into(), list.into())
}

fn processors() -> String {
    std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap().trim().to_string()
}

#[test]
fn programs_run_on_the_processors_that_they_are_given() {
    let scope = Scope::new("cpuset");
    let Some(container) = create(&scope.config().with(|c| c.cpuset = Some(" 0 ".into()))) else { return };
    assert_eq!(container.list_limit(ListLimit::Cpuset).unwrap().as_deref(), Some("0"));
    assert_eq!(seen(&container), ("1".into(), "0".into()));
    // v1 takes no process without memory nodes, so it has those of the cgroup above.
    let mems = container.effective_list_limit(ListLimit::CpusetMems).unwrap();
    assert!(mems.is_some());
    let all = processors();
    if all != "0" {
        let running = shell(&container, "read x; exec sed -n 's/^Cpus_allowed_list:\t//p' /proc/self/status");
        container.set_list_limit(ListLimit::Cpuset, Some(&all)).unwrap();
        assert_eq!(container.effective_list_limit(ListLimit::Cpuset).unwrap().as_deref(), Some(all.as_str()));
        container.set_list_limit(ListLimit::Cpuset, Some("1")).unwrap();
        assert_eq!(seen(&container), ("1".into(), "1".into()));
        drop(running.take_stdin());
        assert_eq!(common::read_all(running.take_stdout().unwrap()).trim(), "1", "it holds for who runs already");
        assert_eq!(end_of(&running).code, 0);
    }
    container.set_list_limit(ListLimit::Cpuset, None).unwrap();
    assert_eq!(container.effective_list_limit(ListLimit::Cpuset).unwrap().as_deref(), Some(all.as_str()));
    for bad in ["", "a", "-1", "0,", "1-0", "60000"] {
        refused(container.set_list_limit(ListLimit::Cpuset, Some(bad)), ErrorCode::Invalid, &[bad]);
        refused_config(&scope.config().with(|c| c.cpuset = Some(bad.into())), ErrorCode::Invalid, &[bad]);
        refused_config(&scope.config().with(|c| c.cpuset_mems = Some(bad.into())), ErrorCode::Invalid, &[bad]);
    }
    refused(
        container.set_list_limit(ListLimit::CpusetMems, Some("60000")),
        ErrorCode::Invalid,
        &["60000", "this machine"],
    );
    container.set_list_limit(ListLimit::CpusetMems, mems.as_deref()).unwrap();
    assert_eq!(container.list_limit(ListLimit::CpusetMems).unwrap(), mems);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

/// The mount of a controller's hierarchy, and the version.
fn hierarchy(v1: &str) -> (PathBuf, bool) {
    let path = Path::new("/sys/fs/cgroup").join(v1);
    if on_v1(v1) { (path, true) } else { ("/sys/fs/cgroup".into(), false) }
}

#[test]
fn more_processors_than_a_cgroup_above_has_are_refused_with_what_it_has() {
    if !nix::unistd::geteuid().is_root() || processors() == "0" {
        return skipped("it takes root and two processors");
    }
    let (mount, is_v1) = hierarchy("cpuset");
    if !mount.join("cpuset.cpus").exists() && !mount.join("cpuset.cpus.effective").exists() {
        return skipped("there is no cpuset controller");
    }
    let scope = Scope::new("above");
    let name = format!("ctr-above-{}", std::process::id());
    let parents: Vec<_> = if is_v1 {
        ["cpuset", "memory"].iter().map(|controller| Path::new("/sys/fs/cgroup").join(controller).join(&name)).collect()
    } else {
        _ = std::fs::write(mount.join("cgroup.subtree_control"), "+cpuset");
        vec![mount.join(&name)]
    };
    parents.iter().for_each(|parent| std::fs::create_dir(parent).unwrap());
    let config = scope.config().with(|c| {
        c.cgroup_parent = Some(Path::new("/").join(&name));
        c.cpuset = Some("0-1".into());
    });
    let write = |file: &str, text: &str| std::fs::write(parents[0].join(file), text).unwrap();
    // A cgroup of v1 that nobody has given any.
    let empty = is_v1.then(|| Container::create("host", &config).map(drop));
    write("cpuset.cpus", "0");
    write("cpuset.mems", "0");
    let above = Container::create("host", &config).map(drop);
    let fits = Container::create("host", &config.with(|c| c.cpuset = Some("0".into()))).map(|container| {
        let seen = seen(&container);
        let more = container.set_list_limit(ListLimit::Cpuset, Some("1"));
        let holds = container.effective_list_limit(ListLimit::Cpuset);
        container.destroy().unwrap();
        (seen, more, holds)
    });
    for parent in parents {
        std::fs::remove_dir(parent).unwrap();
    }
    if let Some(empty) = empty {
        refused(empty, ErrorCode::Invalid, &["0-1", "has none", "cpuset.cpus"]);
    }
    refused(above, ErrorCode::Invalid, &["0-1", &name, "has 0"]);
    let (seen, more, holds) = fits.unwrap();
    assert_eq!(seen, ("1".into(), "0".into()));
    refused(more, ErrorCode::Invalid, &["has 0"]);
    assert_eq!(holds.unwrap().as_deref(), Some("0"));
    scope.assert_nothing_left();
}

/// v1: each has a cgroup of its own, which is made when the first such limit is set.
#[test]
fn limits_that_come_later_hold_for_programs_that_run_and_leave_nothing() {
    let scope = Scope::new("later");
    let Some(container) = create(&scope.config().with(|c| c.memory = Some(64 * MIB))) else { return };
    let before = container.inspect().unwrap().cgroups.len();
    container.set_limit(Limit::CpuWeight, None).unwrap();
    container.set_list_limit(ListLimit::Cpuset, None).unwrap();
    assert_eq!(container.inspect().unwrap().cgroups.len(), before, "lifting what is not there makes nothing");
    for (limit, value) in [(Limit::CpuWeight, 50), (Limit::Cpus, 4000)] {
        match container.set_limit(limit, Some(value)) {
            Ok(()) => assert_eq!(container.limit(limit).unwrap(), Some(value)),
            Err(error) if error.code() == ErrorCode::Unsupported => return skipped(&error.to_string()),
            Err(error) => panic!("{error}"),
        }
    }
    let running = shell(&container, "read x; exec sed -n 's/^Cpus_allowed_list:\t//p' /proc/self/status");
    let joined = scope.client().join(container.name()).unwrap();
    match joined.set_list_limit(ListLimit::Cpuset, Some("0")) {
        Err(error) if error.code() == ErrorCode::Unsupported => skipped(&error.to_string()),
        outcome => {
            outcome.unwrap();
            // Who has not set it sees it as well.
            for handle in [&container, &joined] {
                assert_eq!(handle.list_limit(ListLimit::Cpuset).unwrap().as_deref(), Some("0"));
                assert_eq!(handle.effective_list_limit(ListLimit::Cpuset).unwrap().as_deref(), Some("0"));
            }
            assert_eq!(seen(&container), ("1".into(), "0".into()));
            drop(running.take_stdin());
            assert_eq!(common::read_all(running.take_stdout().unwrap()).trim(), "0");
            assert_eq!(end_of(&running).code, 0);
            let third = scope.client().join(container.name()).unwrap();
            third.set_list_limit(ListLimit::Cpuset, None).unwrap();
            assert_eq!(container.effective_list_limit(ListLimit::Cpuset).unwrap().unwrap(), processors());
        }
    }
    assert_eq!(joined.limit(Limit::CpuWeight).unwrap(), Some(50));
    if on_v1("cpu") && on_v1("cpuset") {
        assert!(container.inspect().unwrap().cgroups.len() > before);
    }
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

/// As whoever joins at that moment finds it: made for a first limit, and nobody is in it yet.
#[test]
fn a_cgroup_that_is_just_being_made_keeps_nobody_from_joining() {
    if !on_v1("pids") {
        return skipped("on v2 all limits are in one directory");
    }
    let scope = Scope::new("between");
    let Some(container) = create(&scope.config().with(|c| c.memory = Some(64 * MIB))) else { return };
    let memory = PathBuf::from(&container.inspect().unwrap().cgroups[0]);
    let pids = Path::new("/sys/fs/cgroup/pids").join(memory.strip_prefix("/sys/fs/cgroup/memory").unwrap());
    if let Err(e) = std::fs::create_dir(&pids) {
        return skipped(&format!("{}: {e}", pids.display()));
    }
    let joined = scope.client().join(container.name());
    // Whoever makes one has it on record before, and so it goes with the container; this is nobody's.
    std::fs::remove_dir(&pids).unwrap();
    drop(joined.unwrap());
    container.set_limit(Limit::Pids, Some(20)).unwrap();
    assert_eq!(container.limit(Limit::Pids).unwrap(), Some(20));
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_container_has_its_processors_also_where_its_caller_has_others() {
    if processors() == "0" {
        return skipped("there is one processor");
    }
    let scope = Scope::new("pinned");
    let config = scope.config().with(|c| c.cpuset = Some("0".into()));
    // The zygote has this thread's processors.
    let Some(container) = create(&config) else { return };
    let pinned = std::thread::spawn(move || {
        let mut set = nix::sched::CpuSet::new();
        set.set(1).unwrap();
        nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set).unwrap();
        let config = config.with(|c| c.name = c.name.take().map(|name| format!("{name}.2")));
        let other = Container::create("host", &config).unwrap();
        let seen = [seen(&container), seen(&other)];
        other.destroy().unwrap();
        container.destroy().unwrap();
        seen
    });
    assert_eq!(pinned.join().unwrap(), [("1".into(), "0".into()), ("1".into(), "0".into())]);
    scope.assert_nothing_left();
}

/// A file of so many bytes on a disk, as the kernel has it.
fn on_disk(name: &str, bytes: u64) -> (PathBuf, impl Drop) {
    struct Removed(PathBuf);
    impl Drop for Removed {
        fn drop(&mut self) {
            _ = std::fs::remove_file(&self.0);
        }
    }
    let path = std::env::temp_dir().join(format!("ctr-{name}-{}", std::process::id()));
    let file = std::fs::File::create(&path).unwrap();
    (0..bytes / MIB).for_each(|at| file.write_all_at(&vec![7; MIB as usize], at * MIB).unwrap());
    file.sync_all().unwrap();
    // Who reads it has its cache, and not who has written it.
    nix::fcntl::posix_fadvise(&file, 0, 0, nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
    (path.clone(), Removed(path))
}

#[test]
fn reads_wait_for_their_rate_and_go_on_when_it_is_lifted() {
    const RATE: u64 = 2 * MIB;
    let whole = 24 * MIB;
    let scope = Scope::new("io");
    let (path, _removed) = on_disk("io", whole);
    let limit = format!("{} rbps={RATE} wiops=1000", path.display());
    let config = scope.config().with(|c| {
        c.io = vec![limit.parse().unwrap()];
        c.mounts = vec![ctr::Bind::new(&path, "/file").with(|b| b.read_only = true).into()];
    });
    let container = match Container::create("host", &config) {
        Err(error) if error.to_string().contains("no single block device") => return skipped(&error.to_string()),
        Err(error) if error.code() == ErrorCode::Unsupported => return skipped(&error.to_string()),
        container => container.unwrap(),
    };
    let told = container.list_limit(ListLimit::Io).unwrap().unwrap();
    let (device, rates) = told.split_once(' ').unwrap();
    assert_eq!(rates, format!("rbps={RATE} wiops=1000"), "{told}");
    assert_eq!(container.effective_list_limit(ListLimit::Io).unwrap().unwrap(), told);
    let start = Instant::now();
    let reads = shell(&container, "exec dd if=/file of=/dev/null bs=256k iflag=direct 2>/dev/null");
    let read = || container.stats().unwrap().io.read.unwrap();
    while read() < 3 * MIB {
        assert!(reads.wait(Some(Duration::from_millis(20))).unwrap().is_none(), "it read on");
    }
    // What one slice of the throttle lets pass at once is far less.
    let (bytes, most) = (read(), |elapsed: Duration| (elapsed.as_secs_f64() * RATE as f64) as u64 + MIB);
    assert!(bytes <= most(start.elapsed()), "{bytes} bytes in {:?}", start.elapsed());
    container.set_list_limit(ListLimit::Io, Some(&format!("{device} rbps={}", 1u64 << 40))).unwrap();
    assert_eq!(container.list_limit(ListLimit::Io).unwrap().unwrap(), format!("{device} rbps={}", 1u64 << 40));
    assert_eq!(end_of(&reads).code, 0);
    assert!(read() >= whole, "{} of {whole}", read());
    container.set_list_limit(ListLimit::Io, None).unwrap();
    assert_eq!(container.list_limit(ListLimit::Io).unwrap(), None);
    for bad in [
        "",
        "/dev/null rbps=5",
        "/nonexistent rbps=5",
        &format!("{device} rbps=0"),
        &format!("{device} speed=5"),
        "1:x wbps=5",
    ] {
        refused(
            container.set_list_limit(ListLimit::Io, Some(bad)),
            match bad {
                "/nonexistent rbps=5" => ErrorCode::System,
                _ => ErrorCode::Invalid,
            },
            &[bad.split(' ').next().unwrap()],
        );
    }
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn huge_pages_are_limited_by_their_size_where_the_machine_has_some() {
    let scope = Scope::new("huge");
    if !Path::new("/sys/kernel/mm/hugepages/hugepages-2048kB").exists() {
        return skipped("there are no huge pages of 2 MiB");
    }
    let config = scope.config().with(|c| c.hugetlb = vec!["2M=4194304".parse().unwrap()]);
    let Some(container) = create(&config) else { return };
    assert_eq!(container.list_limit(ListLimit::Hugetlb).unwrap().as_deref(), Some("2MB=4194304"));
    let (names, none) = if on_v1("hugetlb") {
        (["hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.rsvd.limit_in_bytes"], "9223372036854771712")
    } else {
        (["hugetlb.2MB.max", "hugetlb.2MB.rsvd.max"], "max")
    };
    let files = |expected: &str| {
        let rsvd = usize::from(kernel_is_at_least(5, 7));
        for name in &names[..=rsvd] {
            assert_eq!(file(&container, name).unwrap(), expected, "{name}");
        }
    };
    files("4194304");
    container.set_list_limit(ListLimit::Hugetlb, Some("2048k=0")).unwrap();
    files("0");
    assert_eq!(container.effective_list_limit(ListLimit::Hugetlb).unwrap().as_deref(), Some("2MB=0"));
    container.set_list_limit(ListLimit::Hugetlb, None).unwrap();
    files(none);
    for bad in ["2M", "4096=0", "2M=-1", "2M=x"] {
        refused(container.set_list_limit(ListLimit::Hugetlb, Some(bad)), ErrorCode::Invalid, &[bad]);
    }
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn explain_and_the_walls_tell_every_limit_that_was_asked_for() {
    let scope = Scope::new("told");
    let config = scope.config().with(|c| {
        c.memory = Some(64 * MIB);
        c.swap = Some(MIB);
        c.cpu_weight = Some(50);
        c.cpuset = Some("0".into());
    });
    let Some(container) = create(&config) else { return };
    let limits = container.inspect().unwrap().limits;
    assert_eq!((limits.swap, limits.cpu_weight, limits.cpuset.as_deref()), (Some(MIB), Some(50), Some("0")));
    let text = container.explain().unwrap();
    for words in ["swap limit", "processor weight limit", "cpuset limit", "echo 0 > ", "cpuset.cpus"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // Who asks for none of them reads of none of them.
    let text = ctr::explain("host", &Config::default()).unwrap();
    assert!(!text.contains("swap limit") && !text.contains("cpuset limit"), "{text}");
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn files_without_end_meet_a_full_disk_and_not_the_memory_limit() {
    let scope = Scope::new("inodes");
    let fill = "i=0; while true > /tmp/$i; do i=$((i+1)); done; echo $i; true > /dev/shm/x || echo full; rm /tmp/*; true > /dev/shm/x && echo alive";
    let told = |container: &Container| {
        let said = sh(container, &format!("({fill}) 2>/dev/null"));
        let (count, rest) = said.split_once('\n').unwrap();
        assert_eq!(rest, "full\nalive", "{said}");
        count.parse::<u64>().unwrap()
    };
    let container = common::host_with(&scope.config().with(|c| c.upper_inodes = Some(300)));
    let files = told(&container);
    assert!((150..300).contains(&files), "{files}");
    container.destroy().unwrap();
    // Half of the memory limit, an inode for each page of it.
    if common::can_limit() {
        let container = common::host_with(&scope.config().with(|c| c.memory = Some(64 * MIB)));
        let files = told(&container);
        assert!((8000..8192).contains(&files), "{files}");
        assert_eq!(container.oom_kills().unwrap(), 0);
        container.destroy().unwrap();
    }
    for few in [0, 255] {
        refused_config(
            &scope.config().with(|c| c.upper_inodes = Some(few)),
            ErrorCode::Invalid,
            &[&few.to_string(), "256"],
        );
    }
    let disk = scope.config().with(|c| {
        c.upper = ctr::Upper::Disk;
        c.upper_inodes = Some(300);
    });
    refused(Container::create(common::busybox_tar(), &disk).map(drop), ErrorCode::Invalid, &["they go to disk"]);
    scope.assert_nothing_left();
}
