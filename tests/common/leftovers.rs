//! Whether anything is left. A test that asks has containers whose names, state directory and cgroups are its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long what was killed may take to be gone. No test passes faster or slower for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// One test's part of the machine: every container of it has a name that starts with [`Scope::prefix`], so that tests
/// that run at the same time don't take each other's containers for leftovers.
pub struct Scope {
    prefix: String,
    dir: PathBuf,
    count: AtomicU32,
}

impl Scope {
    /// `test` is a short word for the test, no more than 30 letters.
    pub fn new(test: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("t{}-{}-{test}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(&prefix);
        fs::create_dir_all(&dir).unwrap();
        Self { prefix, dir, count: AtomicU32::new(0) }
    }

    /// What the names of its containers start with; no other test's do.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A directory that is removed with the test.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where its containers are written down.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// What finds its containers.
    pub fn client(&self) -> ctr::Client<'static> {
        ctr::Client::new().with_state_dir(self.state_dir())
    }

    /// A configuration with a name that no other container has and with a state directory of the test's own.
    pub fn config(&self) -> ctr::Config {
        let name = format!("{}.{}", self.prefix, self.count.fetch_add(1, Ordering::Relaxed));
        ctr::Config::default().with(|c| {
            c.name = Some(name);
            c.state_dir = Some(self.state_dir());
        })
    }

    /// What there is of its containers: cgroups, records and sockets, mounts of ours, processes, and zombies of this
    /// process. Each as a line that a person understands.
    pub fn leftovers(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        found.extend(cgroups(&self.prefix).into_iter().map(|path| format!("cgroup {}", path.display())));
        found.extend(entries(&self.state_dir(), &self.prefix).map(|path| format!("file {}", path.display())));
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        found.extend(mounts.lines().filter(|line| line.contains(&self.prefix)).map(|line| format!("mount {line}")));
        found.extend(processes().into_iter().filter(|it| it.is_of(&self.prefix)).map(|it| format!("process {it:?}")));
        found.extend(zombies().into_iter().map(|it| format!("zombie {it:?}")));
        found
    }

    /// Waits until nothing is left, and fails with what is.
    pub fn assert_nothing_left(&self) {
        wait_for_none(|| self.leftovers());
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        // A test that failed may leave what another process made; nobody could sweep it without its records.
        if std::thread::panicking() {
            let _ = self.client().list();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Waits until the processes that ctr started for `host`, a process that has ended, are gone, and fails with what is not:
/// its zygote, and through it everything that the zygote made.
pub fn assert_no_process_of(host: u32) {
    wait_for_none(|| {
        let owner = format!("makes the containers of process {host} ");
        let zygotes = processes().into_iter().filter(|it| format!("{} ", it.title).contains(&owner));
        zygotes.map(|it| format!("process {it:?}")).collect()
    });
}

/// Waits until `found` is empty, and fails with what is in it.
pub fn wait_for_none(mut found: impl FnMut() -> BTreeSet<String>) {
    let start = Instant::now();
    loop {
        let left = found();
        if left.is_empty() {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "left behind:\n  {}", left.into_iter().collect::<Vec<_>>().join("\n  "));
        sleep(Duration::from_millis(5));
    }
}

/// Does it twice: the second time leaves no descriptor open that was not before.
pub fn keeps_nothing_open(all: fn()) {
    all();
    let open = descriptors();
    all();
    assert_eq!(descriptors().len(), open.len(), "{:?}", descriptors());
}

/// This process's descriptors and where they lead: to compare before and after.
pub fn descriptors() -> BTreeSet<(i32, PathBuf)> {
    let entries = fs::read_dir("/proc/self/fd").unwrap().flatten();
    // The descriptor of the listing itself is gone when it is looked at.
    entries.filter_map(|it| Some((it.file_name().to_str()?.parse().ok()?, fs::read_link(it.path()).ok()?))).collect()
}

/// A process, as /proc shows it.
#[derive(Debug)]
pub struct Seen {
    /// Its pid.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// R, S, Z, …
    pub state: char,
    /// The name that ps(1) shows without options.
    pub comm: String,
    /// The command line, words parted by spaces; ours is a title.
    pub title: String,
    /// /proc/PID/cgroup.
    pub cgroup: String,
}

impl Seen {
    fn read(pid: i32) -> Option<Self> {
        let read =
            |file: &str| fs::read(format!("/proc/{pid}/{file}")).map(|it| String::from_utf8_lossy(&it).into_owned());
        let stat = read("stat").ok()?;
        // The name is in parentheses and may hold any letter, these included.
        let (comm, fields) = (stat.split_once('(')?.1).rsplit_once(") ")?;
        let mut fields = fields.split(' ');
        Some(Self {
            pid,
            state: fields.next()?.chars().next()?,
            parent: fields.next()?.parse().ok()?,
            comm: comm.to_string(),
            title: read("cmdline").unwrap_or_default().replace('\0', " "),
            cgroup: read("cgroup").unwrap_or_default(),
        })
    }

    /// Whether it belongs to a container whose name starts with `prefix`: its PID 1 has the name in its title, what it
    /// started is in the container's cgroup.
    pub fn is_of(&self, prefix: &str) -> bool {
        (self.comm.starts_with("ctr-") && self.title.contains(prefix))
            || self.cgroup.contains(&format!("/ctr-{prefix}"))
    }
}

/// Every process that there is.
pub fn processes() -> Vec<Seen> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|it| Seen::read(it.file_name().to_str()?.parse().ok()?)).collect()
}

/// The children of this process that have ended and that nobody has waited for.
pub fn zombies() -> Vec<Seen> {
    let me = std::process::id() as i32;
    processes().into_iter().filter(|it| it.parent == me && it.state == 'Z').collect()
}

/// The cgroups of containers whose name starts with `prefix`, on whichever hierarchy.
pub fn cgroups(prefix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut places = vec![PathBuf::from("/sys/fs/cgroup")];
    let wanted = format!("ctr-{prefix}");
    // Containers' directories may be anywhere below for an ordinary user of v2, and only at the top for v1.
    while let Some(place) = places.pop() {
        for entry in fs::read_dir(&place).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(&wanted));
            if ours { found.push(entry.path()) } else { places.push(entry.path()) }
        }
    }
    found
}

fn entries(dir: &Path, prefix: &str) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let ours = entries.filter(move |it| it.file_name().to_str().is_none_or(|name| name.contains(prefix)));
    ours.map(|it| it.path()).collect::<Vec<_>>().into_iter()
}
