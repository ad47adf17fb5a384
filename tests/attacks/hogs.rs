//! Hogs of every kind: each meets its limit, which is what stops it, while a neighbour does all of its work and is not touched.

use std::fs;
use std::io::{BufRead, BufReader};

use ctr::{Config, Container, ExecConfig, Exit, ExitReason, Limit, Mount, Process, Rlimit, Stdio, Tmpfs};

use crate::attack;
use crate::fence::{is_well, payload, run, with};

const MIB: u64 = 1 << 20;
const MEMORY: u64 = 64 * MIB;
const PIDS: u64 = 24;
const FILES: u64 = 200;
/// As many units of work as the neighbour has in each turn.
const UNITS: usize = 300;

/// A unit takes a little processor time, memory, a file and a process now and then.
const WORK: &str = "i=0; while [ $i -lt 300 ]; do i=$((i + 1)); echo $i > /tmp/unit; read n < /tmp/unit; \
     [ $((i % 50)) -ne 0 ] || /bin/true; echo unit $n; done";

fn limited() -> Config {
    Config::default().with(|c| {
        c.memory = Some(MEMORY);
        c.pids = Some(PIDS);
        c.cpus = Some(500);
        c.upper_size = Some(16 * MIB);
        c.upper_inodes = Some(1000);
        c.rlimits = vec![Rlimit::new("nofile", Some(FILES), Some(FILES)).unwrap()];
        c.mounts = vec![Mount::Tmpfs(Tmpfs::new("/small").with(|t| t.size = Some(8 * MIB)))];
    })
}

/// A neighbour, which is at work.
struct Neighbour {
    container: Container,
    work: Process,
}

impl Neighbour {
    fn new() -> Self {
        let container = with(&Config::default().with(|c| {
            c.memory = Some(MEMORY);
            c.pids = Some(PIDS);
        }));
        let work = Self::start(&container);
        Self { container, work }
    }

    fn start(container: &Container) -> Process {
        let config = ExecConfig::default().with(|c| {
            c.stdin = Stdio::Null;
            c.stdout = Stdio::Pipe;
        });
        container.exec(["/bin/sh", "-c", WORK], &config).unwrap()
    }

    /// It has done all of its work, and begins anew.
    fn has_worked(&mut self, beside: &str) {
        let lines = BufReader::new(fs::File::from(self.work.take_stdout().unwrap())).lines();
        let done: Vec<_> = lines.map(Result::unwrap).collect();
        let expected: Vec<_> = (1..=UNITS).map(|unit| format!("unit {unit}")).collect();
        assert_eq!(done, expected, "beside {beside}");
        assert_eq!(self.work.wait(None).unwrap().unwrap().code, 0, "beside {beside}");
        assert_eq!(self.container.oom_kills().unwrap(), 0, "beside {beside}");
        self.work = Self::start(&self.container);
    }
}

/// What a hog said, and how it ended.
fn hog(container: &Container, kind: &[&str]) -> (String, Exit) {
    let script = payload("hogs");
    let argv = [&["/usr/bin/python3", "-I", "-c", &script], kind].concat();
    let said = run(container, &argv, &ExecConfig::default());
    println!("--- {kind:?}: {:?} {}", said.exit, said.text.trim());
    (said.text.trim().to_string(), said.exit.unwrap())
}

/// The number that it had and the error that stopped it.
fn stopped(container: &Container, kind: &[&str]) -> (u64, String) {
    let (said, exit) = hog(container, kind);
    assert_eq!(exit.code, 0, "{kind:?}: {said}");
    let (had, why) = said.split_once(' ').unwrap();
    (had.parse().unwrap(), why.to_string())
}

attack!(hogs_of_every_kind_meet_their_limits_and_a_neighbour_works_on, {
    let mut neighbour = Neighbour::new();
    let container = with(&limited());

    for (count, kind) in ["anonymous", "shared"].into_iter().enumerate() {
        let (said, exit) = hog(&container, &[kind]);
        assert_eq!((exit.reason, exit.signal), (ExitReason::OutOfMemory, libc::SIGKILL), "{kind}: {said}");
        assert_eq!(container.oom_kills().unwrap(), count as u64 + 1, "{kind}");
        neighbour.has_worked(kind);
    }

    // A file system has the size that it was given, to the page.
    assert_eq!(stopped(&container, &["fill", "/small/hog"]), (8 * MIB, "ENOSPC".into()));
    neighbour.has_worked("a full tmpfs");
    let (had, why) = stopped(&container, &["fill", "/hog-of-disk"]);
    assert!((15 * MIB..=16 * MIB).contains(&had) && why == "ENOSPC", "{had} {why}");
    run(&container, &["/bin/rm", "/hog-of-disk"], &ExecConfig::default());
    neighbour.has_worked("a full disk");
    let (had, why) = stopped(&container, &["inodes"]);
    assert!((900..1000).contains(&had) && why == "ENOSPC", "{had} {why}");
    neighbour.has_worked("too many files");

    // The three streams are open, and what Python itself has.
    let (had, why) = stopped(&container, &["descriptors"]);
    assert!((FILES - 8..FILES).contains(&had) && why == "EMFILE", "{had} {why}");
    neighbour.has_worked("too many descriptors");
    // PID 1 and the hog are two of them.
    assert_eq!(stopped(&container, &["forks"]), (PIDS - 2, "EAGAIN".into()));
    neighbour.has_worked("a fork bomb");
    container.kill_all(libc::SIGKILL).unwrap();

    // What lies in unix sockets counts as memory. A hundred of them have no more than their buffers.
    let (had, why) = stopped(&container, &["sockets"]);
    assert!(had <= MEMORY && ["EMFILE", "ENOBUFS", "ENOMEM"].contains(&why.as_str()), "{had} {why}");
    neighbour.has_worked("full sockets");

    // What is cached goes when there is no more room.
    let (had, why) = stopped(&container, &["cached"]);
    assert!(had > 2 * MEMORY && why == "nothing", "{had} {why}");
    neighbour.has_worked("a full page cache");
    assert_eq!(container.oom_kills().unwrap(), 2, "only the two that took too much");
    let stats = container.stats().unwrap();
    assert!(stats.memory.peak.is_none_or(|peak| peak <= MEMORY + MIB), "{stats:?}");

    let throttled = |container: &Container| container.stats().unwrap().cpu.throttled_periods.unwrap();
    // So little that even a machine with much else to do gives them more than that.
    container.set_limit(Limit::Cpus, Some(50)).unwrap();
    let before = throttled(&container);
    assert_eq!(stopped(&container, &["threads"]), (8, "nothing".into()));
    assert!(throttled(&container) > before, "busy threads were not made to wait");
    neighbour.has_worked("busy threads");

    is_well(&container);
    container.destroy().unwrap();
    neighbour.container.destroy().unwrap();
});
