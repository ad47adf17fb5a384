//! Exact counts: how many system calls this process makes for a create, a program and a destroy. They are the price that a
//! machine's noise can't hide; whoever changes one of them changes the number here too, and says why.

mod common;

use common::{busybox_tar, can_limit, quiet};
use ctr::{Config, Container};
use std::collections::BTreeMap;

/// What the host is at, said to strace by looking for a file that isn't there.
fn mark(what: &str) {
    assert!(std::fs::metadata(format!("/ctr-mark/{what}")).is_err());
}

#[test]
#[ignore = "a role"]
fn role_counted() {
    let config = Config::default().with(|c| c.memory = Some(64 << 20));
    // From the third on a PID 1 is ready, and what can be remembered is.
    for round in 0..4 {
        let last = round == 3;
        let say = |what: &str| {
            if last {
                mark(what)
            }
        };
        say("create");
        let c = Container::create(busybox_tar(), &config).unwrap();
        say("exec");
        let p = c.exec(["true"], &quiet()).unwrap();
        say("wait");
        assert_eq!(p.wait(None).unwrap().unwrap().code, 0);
        say("stats");
        assert!(c.stats().unwrap().memory.current.is_some());
        say("destroy");
        c.destroy().unwrap();
        drop((p, c));
        say("end");
    }
    let c = Container::create(busybox_tar(), &config).unwrap();
    for last in [false, false, true] {
        if last {
            mark("again");
        }
        assert!(c.stats().unwrap().memory.current.is_some());
    }
    mark("over");
    c.destroy().unwrap();
}

/// Runs the role under strace(1): its log, line by line, each as (thread, call with its arguments).
fn trace(name: &str) -> Vec<(u32, String)> {
    trace_of(name, "role_counted")
}

fn trace_of(name: &str, role: &str) -> Vec<(u32, String)> {
    let log = common::scratch(name).join("strace");
    let status = std::process::Command::new("strace")
        .args(["--follow-forks", "--quiet=all", "--signal=none", "--output"])
        .arg(&log)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", role, "--ignored", "--test-threads=1"])
        .stdout(std::process::Stdio::null())
        .status()
        .expect("strace is needed");
    assert!(status.success());
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_dir_all(log.parent().unwrap()).unwrap();
    let lines = text.lines().filter_map(|line| {
        let (pid, call) = line.split_once(' ')?;
        Some((pid.parse().ok()?, call.trim_start().to_string()))
    });
    // Not the second half of a call that another thread's came between; nor what a debug build's OwnedFd asks before close.
    lines.filter(|(_, call)| !call.starts_with("<...") && !call.contains("F_GETFD")).collect()
}

#[test]
fn a_life_takes_these_calls_of_the_host() {
    if !can_limit() || std::fs::metadata("/sys/fs/cgroup/memory/memory.limit_in_bytes").is_err() {
        return println!("SKIPPED a_life_takes_these_calls_of_the_host: counted for root with cgroup v1");
    }
    let trace = trace("counts");
    let host = trace.iter().find(|(_, call)| call.contains("/ctr-mark/create")).expect("it was there").0;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut calls: Vec<&str> = Vec::new();
    let mut phase = "before";
    for (_, call) in trace.iter().filter(|(pid, _)| *pid == host) {
        if let Some((_, rest)) = call.split_once("/ctr-mark/") {
            phase = rest.split('"').next().unwrap();
        } else {
            *counts.entry(phase).or_default() += 1;
            if !["before", "end", "over"].contains(&phase) {
                calls.push(call);
            }
        }
    }
    let counted = ["create", "exec", "wait", "stats", "destroy", "again"].map(|phase| counts[phase]);
    // Of create three each are for the cgroups that the caller is in now, and for the limit of sockets on v1. Of create and of
    // exec 16 are for the caller's limits of resources, three for its scheduling (twice in create) and two for its oom_score_adj.
    // Of these, fstat(2) is called of every descriptor that is kept: when it is made, and before it is used or closed later, in a
    // process whose other code may have closed it and opened something else meanwhile.
    //
    // Of what is used: three calls for each of six files of memory, to open, read and close it; four for the list of processes, and three
    // for each of these, of which PID 1 is the only one, for its threads and its time of processors. Three look whether PID 1 lives and
    // the cgroup's descriptor is still ours. From the second time on the six files are kept open, looked at before they are used, and read.
    assert_eq!(counted, [106, 33, 3, 28, 27, 22], "{}", calls.join("\n"));
}

/// A container with one limit more than the memory's.
type Limited = (&'static str, fn(&mut Config));

const LIMITED: [Limited; 5] = [
    ("memory", |_| {}),
    ("pids", |c| c.pids = Some(64)),
    ("cpus", |c| c.cpus = Some(1000)),
    ("cpuset", |c| c.cpuset = Some("0".into())),
    ("io", |c| c.io = vec![format!("{} rbps=1073741824", disk().expect("asked before")).parse().unwrap()]),
];

/// A disk of this machine, by its numbers.
fn disk() -> Option<String> {
    let disks = std::fs::read_dir("/sys/block").ok()?.flatten();
    let mut names = disks.map(|it| it.file_name()).filter(|name| !name.to_string_lossy().starts_with("loop"));
    let numbers = std::fs::read_to_string(std::path::Path::new("/sys/block").join(names.next()?).join("dev")).ok()?;
    Some(numbers.trim().to_string())
}

#[test]
#[ignore = "a role"]
fn role_limited_counted() {
    for (name, limit) in LIMITED.iter().filter(|(name, _)| *name != "io" || disk().is_some()) {
        let config = Config::default().with(|c| {
            c.memory = Some(64 << 20);
            limit(c);
        });
        for round in 0..4 {
            if round == 3 {
                mark(name);
            }
            let c = Container::create(busybox_tar(), &config).unwrap();
            if round == 3 {
                mark("end");
            }
            c.destroy().unwrap();
        }
    }
}

#[test]
fn a_limit_more_costs_a_create_these_calls_of_the_host() {
    let has = |name: &str| std::fs::metadata(format!("/sys/fs/cgroup/{name}/cgroup.procs")).is_ok();
    if !can_limit() || !["memory", "pids", "cpu", "cpuset", "blkio"].into_iter().all(has) {
        return common::skipped("counted for root with cgroup v1, a controller in each hierarchy");
    }
    let trace = trace_of("limits", "role_limited_counted");
    let host = trace.iter().find(|(_, call)| call.contains("/ctr-mark/")).expect("it was there").0;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut phase = "before";
    for (_, call) in trace.iter().filter(|(pid, _)| *pid == host) {
        match call.split_once("/ctr-mark/") {
            Some((_, rest)) => phase = rest.split('"').next().unwrap(),
            None => *counts.entry(phase).or_default() += 1,
        }
    }
    let more: Vec<_> =
        LIMITED[1..].iter().map(|(name, _)| counts.get(name).map(|count| count - counts["memory"])).collect();
    // Of each: three make the directory, open it and look what it is, three set the limit, two open and close the file by which PID 1
    // joins. Three leave the file of cpus to the zygote. For a cpuset what the machine has is read, and what memory nodes the cgroup
    // above has, which are written; for a rate the disk is looked up.
    assert_eq!(more[..3], [Some(8), Some(11), Some(29)]);
    assert!([None, Some(19)].contains(&more[3]), "{more:?}");
}

/// Creates with a scratch mount of directories of so many files.
const SCRATCHES: [usize; 2] = [10, 20_000];

#[test]
#[ignore = "a role"]
fn role_scratch_counted() {
    for files in SCRATCHES {
        let tree = common::scratch("counted-tree").join(files.to_string());
        std::fs::create_dir_all(&tree).unwrap();
        (0..files).for_each(|file| std::fs::write(tree.join(file.to_string()), "").unwrap());
        let config = Config::default().with(|c| c.mounts = vec![ctr::Scratch::new(&tree, "/src").into()]);
        for round in 0..4 {
            if round == 3 {
                mark(&files.to_string());
            }
            let c = Container::create(busybox_tar(), &config).unwrap();
            if round == 3 {
                mark("end");
            }
            c.destroy().unwrap();
        }
    }
}

#[test]
fn a_scratch_mount_costs_the_same_however_many_files_it_has() {
    let trace = trace_of("scratches", "role_scratch_counted");
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut phase = "before";
    // Of the host, the zygote and PID 1.
    for (_, call) in &trace {
        match call.split_once("/ctr-mark/") {
            Some((_, rest)) => phase = rest.split('"').next().unwrap(),
            None => *counts.entry(phase).or_default() += 1,
        }
    }
    let [few, many] = SCRATCHES.map(|files| counts[files.to_string().as_str()]);
    // What a spare PID 1 does beside may fall on either side of a mark.
    assert!(few.abs_diff(many) < 100, "{few} and {many} calls");
    let host = trace.iter().find(|(_, call)| call.contains("/ctr-mark/")).expect("it was there").0;
    let of_host = |files: usize| {
        let files = format!("/ctr-mark/{files}\"");
        let calls = trace.iter().filter(|(pid, _)| *pid == host).skip_while(|(_, call)| !call.contains(&files));
        calls.skip(1).take_while(|(_, call)| !call.contains("/ctr-mark/")).count()
    };
    assert_eq!(of_host(SCRATCHES[0]), of_host(SCRATCHES[1]));
}

#[test]
fn the_zygote_asks_for_memory_once_and_pid_1_never() {
    if !can_limit() {
        return println!("SKIPPED the_zygote_asks_for_memory_once_and_pid_1_never: the role makes memory limits");
    }
    let trace = trace("allocations");
    // Ours are known by the name that they give themselves.
    let ours: Vec<u32> = trace
        .iter()
        .filter(|(_, call)| {
            ["zygote", "init"].iter().any(|name| call.contains(&format!("PR_SET_NAME, \"ctr-{name}\"")))
        })
        .map(|(pid, _)| *pid)
        .collect();
    assert!(ours.len() >= 4, "{ours:?}");
    let asks = |call: &str| ["brk(", "mmap(", "mremap("].iter().any(|name| call.starts_with(name));
    let first = ours[0];
    let asked: Vec<_> = trace
        .iter()
        .skip_while(|(pid, _)| *pid != first)
        .filter(|(pid, call)| ours.contains(pid) && asks(call))
        .collect();
    // One place for messages, when the zygote starts.
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].0 == first && asked[0].1.starts_with("mmap(0x20000000, 65536"), "{asked:?}");
}

#[test]
fn a_sleeping_container_costs_four_pages_of_memory() {
    if !nix::unistd::geteuid().is_root() {
        return common::skipped("root may look at the memory of PID 1");
    }
    let c = Container::create(busybox_tar(), &Config::default()).unwrap();
    let p = c.exec(["sleep", "100"], &quiet()).unwrap();
    let field = |pid: i32, file: &str, name: &str| -> i32 {
        let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.split_ascii_whitespace().next().unwrap().parse().unwrap()
    };
    let zygote = field(c.pid(), "status", "PPid:");
    // The program, four pages, is shared by the two; one page has all that is written to, stack and all, and one the title. What a
    // message takes besides is given back when it is served, a moment after the answer.
    for pid in [c.pid(), zygote] {
        let is_at_rest = || field(pid, "smaps_rollup", "Pss:") <= 16;
        let settled = (0..500).any(|_| {
            let settled = is_at_rest();
            if !settled {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            settled
        });
        assert!(settled, "{}", std::fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap());
    }
    p.kill(libc::SIGKILL).unwrap();
}
