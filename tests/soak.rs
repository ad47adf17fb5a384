//! Minutes of a busy machine: containers that are made, limited, run out of memory and destroyed, by owners that are killed at
//! random. In the end nothing of them is left, and this process has what it had. `make soak` runs it; CTR_SOAK_SECONDS says how
//! long, CTR_SOAK_SEED repeats the choices of an earlier run.

mod common;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::leftovers::{Scope, assert_no_process_of, descriptors};
use common::{busybox, can_limit, end_of, quiet};
use ctr::{Client, Config, Container, ErrorCode, ExitReason, Limit, Upper};

const MIB: u64 = 1 << 20;

/// Owners at one time.
const OWNERS: usize = 4;

/// Choices: xorshift, which is good enough for these.
struct Random(u64);

impl Random {
    fn below(&mut self, count: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % count
    }
}

/// One container's life. Answers whether a program of it ran out of memory.
fn life(random: &mut Random, name: String, state_dir: PathBuf, busybox: &Path, limits: bool) -> bool {
    let memory = limits.then_some((24 + random.below(40)) * MIB);
    let in_memory = random.below(4) != 0;
    let config = Config::default().with(|c| {
        c.name = Some(name);
        c.state_dir = Some(state_dir.clone());
        c.store_dir = Some(state_dir.with_file_name("store"));
        c.memory = memory;
        c.pids = limits.then_some(16);
        c.cpus = (limits && random.below(4) == 0).then_some(500);
        c.upper_size = in_memory.then_some(4 * MIB);
        c.upper = if in_memory { Upper::Memory } else { Upper::Disk };
        c.detached = random.below(8) == 0;
    });
    let image = if random.below(2) == 0 { "host".into() } else { busybox.to_owned() };
    let container = Container::create(&image, &config).unwrap();
    let shell = |script: &str| container.exec(["/bin/sh", "-c", script], &quiet()).unwrap();
    assert_eq!(end_of(&shell("exit 7")).code, 7);
    let mut is_out = false;
    for _ in 0..random.below(4) {
        match random.below(7) {
            0 if limits => {
                let exit = end_of(&shell("exec dd if=/dev/zero of=/dev/null bs=256M count=1"));
                assert_eq!(exit.reason, ExitReason::OutOfMemory, "{exit:?}");
                is_out = true;
            }
            // As many as there may be, all of which are running when it is destroyed.
            1 if limits => {
                shell("while :; do sleep 1000 & done");
                break;
            }
            2 if limits => {
                let limit = 64 * MIB + random.below(64) * MIB;
                container.set_limit(Limit::Memory, Some(limit)).unwrap();
                assert_eq!(container.limit(Limit::Memory).unwrap(), Some(limit));
            }
            // A program that fills its disk, and one that fills it with files, each meet an error and leave room again.
            3 if in_memory => {
                let exit = end_of(&shell("dd if=/dev/zero of=/full bs=64k count=4096 || { rm /full && exit 8; }"));
                assert_eq!(exit.code, 8, "{exit:?}");
            }
            4 if in_memory => {
                let script = "mkdir /d && i=0; while :>/d/$i; do i=$((i + 1)); [ $i -lt 5000 ] || exit 9; done";
                assert_eq!(end_of(&shell(&format!("({script}); [ $? -ne 9 ] && rm -r /d && exit 8"))).code, 8);
            }
            5 => _ = Client::new().with_state_dir(&state_dir).list().unwrap(),
            // Files, which are removed with it.
            _ => _ = end_of(&shell("for at in 1 2 3; do echo $at >/$at; done")),
        }
    }
    container.destroy().unwrap();
    is_out
}

/// Detached containers outlive their owners; they end with this.
struct Detached<'s>(&'s Scope);

impl Drop for Detached<'_> {
    fn drop(&mut self) {
        let state_dir = self.0.state_dir();
        for left in Client::new().with_state_dir(&state_dir).list().into_iter().flatten() {
            match Client::new().with_state_dir(&state_dir).destroy_named(&left.name) {
                Err(error) if error.code() != ErrorCode::NotFound => eprintln!("soak: {error}"),
                _ => {}
            }
        }
    }
}

/// An owner, which makes one container after another until it is killed. It writes a line about each.
fn owner(scope: &Scope, number: u64, seed: u64) -> Child {
    let log = File::options().create(true).append(true).open(scope.dir().join("lives")).unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "role_owner_of_many", "--ignored", "--nocapture", "--test-threads=1"])
        .env("CTR_TEST_NAME", format!("{}.{number}", scope.prefix()))
        .env("CTR_STATE_DIR", scope.state_dir())
        // One of its own would be left when it is killed.
        .env("CTR_TEST_IMAGE", busybox())
        .env("CTR_SOAK_SEED", seed.to_string())
        .stdin(Stdio::null())
        .stdout(log)
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "a role"]
fn role_owner_of_many() {
    let of = |name: &str| std::env::var(name).unwrap();
    let mut random = Random(of("CTR_SOAK_SEED").parse().unwrap());
    let limits = can_limit();
    // In one write, which a kill does not cut.
    let tell = |line: &[u8]| std::io::stdout().write_all(line).unwrap();
    for at in 0.. {
        let name = format!("{}.{at}", of("CTR_TEST_NAME"));
        let one = || life(&mut random, name, of("CTR_STATE_DIR").into(), of("CTR_TEST_IMAGE").as_ref(), limits);
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(one)) {
            Ok(true) => tell(b"soak: out of memory\n"),
            Ok(false) => tell(b"soak: a life\n"),
            Err(complaint) => {
                tell(b"soak: FAILED\n");
                std::panic::resume_unwind(complaint);
            }
        }
    }
}

#[test]
#[ignore = "minutes long: make soak"]
fn minutes_of_kills_leave_nothing() {
    let seconds =
        std::env::var("CTR_SOAK_SECONDS").map_or(600, |text| text.parse().expect("CTR_SOAK_SECONDS is a number"));
    let clock = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let seed = std::env::var("CTR_SOAK_SEED")
        .map_or_else(|_| clock(), |text| text.parse().expect("CTR_SOAK_SEED is a number"));
    println!("soak: {seconds} s, CTR_SOAK_SEED={seed}");
    let (scope, mut random, limits) = (Scope::new("soak"), Random(seed | 1), can_limit());
    let detached = Detached(&scope);
    // What a process has from its first container on.
    life(&mut random, format!("{}.first", scope.prefix()), scope.state_dir(), busybox(), limits);
    let (files, threads, mounts) = (descriptors(), threads(), mounts());
    let machine = Machine::now();

    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut owners, mut kills, mut lives) = (Vec::new(), 0, 0);
    while Instant::now() < end {
        while owners.len() < OWNERS {
            kills += 1;
            owners.push(owner(&scope, kills, random.below(u64::MAX) | 1));
        }
        std::thread::sleep(Duration::from_millis(random.below(400)));
        let mut killed = owners.swap_remove(random.below(OWNERS as u64) as usize);
        killed.kill().unwrap();
        killed.wait().unwrap();
        // What it left is swept while the others work.
        life(&mut random, format!("{}.own.{lives}", scope.prefix()), scope.state_dir(), busybox(), limits);
        lives += 1;
    }
    let pids: Vec<_> = owners.iter().map(Child::id).collect();
    for mut owner in owners {
        owner.kill().unwrap();
        owner.wait().unwrap();
    }
    let left = scope.client().list().unwrap();
    assert!(left.iter().all(|left| left.detached), "{left:?}");
    drop(detached);
    let log = std::fs::read_to_string(scope.dir().join("lives")).unwrap();
    let count = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    println!(
        "soak: {kills} kills, {} lives of the killed, {} out of memory, {lives} of our own",
        count("soak: "),
        count("out of")
    );
    assert_eq!(count("FAILED"), 0, "the complaints of owners are above");
    pids.into_iter().for_each(assert_no_process_of);
    scope.assert_nothing_left();
    assert_eq!(descriptors(), files);
    assert_eq!(self::threads(), threads);
    assert_eq!(self::mounts(), mounts);
    machine.is_as_it_was();
    let upper = scope.dir().join("store/upper");
    assert_eq!(std::fs::read_dir(upper).map_or(0, Iterator::count), 0, "directories of changes");
}

/// What the whole machine has. Others use it too, so all of it has some room: a thousand lives that leave anything are beyond that.
#[derive(Debug)]
struct Machine {
    /// Of all hierarchies: the third column of /proc/cgroups.
    cgroups: i64,
    /// In this mount namespace.
    mounts: i64,
    processes: i64,
    /// Open files: the first number of /proc/sys/fs/file-nr.
    files: i64,
    /// MiB of the kernel's memory that can't be reclaimed: SUnreclaim and Percpu of /proc/meminfo.
    slab: i64,
}

impl Machine {
    fn now() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap();
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
        let meminfo = read("/proc/meminfo");
        let kib = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name));
            number(line.and_then(|line| line.split_whitespace().next()))
        };
        Self {
            cgroups: read("/proc/cgroups").lines().map(|line| number(line.split_whitespace().nth(2))).sum(),
            mounts: read("/proc/self/mountinfo").lines().count() as i64,
            processes: common::leftovers::processes().len() as i64,
            files: number(read("/proc/sys/fs/file-nr").split_whitespace().next()),
            slab: (kib("SUnreclaim:") + kib("Percpu:")) / 1024,
        }
    }

    /// Waits for what the kernel takes away a moment later.
    fn is_as_it_was(&self) {
        let mut now = Self::now();
        let is = |now: &Self| {
            now.mounts <= self.mounts
                && now.cgroups - self.cgroups < 100
                && now.processes - self.processes < 100
                && now.files - self.files < 5000
                && now.slab - self.slab < 96
        };
        for _ in 0..60 {
            if is(&now) {
                break;
            }
            std::thread::sleep(Duration::from_secs(1));
            now = Self::now();
        }
        println!("soak: before {self:?}, after {now:?}");
        assert!(is(&now), "the machine has more than before");
    }
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Mounts that are ours.
fn mounts() -> usize {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.lines().filter(|line| line.contains("ctr-")).count()
}
