//! What is left on the machine of the containers of `host`, behind the fence.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::fence::scratch;
use crate::host::{prefix, state_dir, store_dir};

/// How long what was killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// Everything that is there of containers: records, sockets, cgroups, directories of changes, half-made images, mounts. `held`
/// is how many containers there are meant to be; `wait` is done while there is more.
pub fn on_the_machine(held: usize, mut wait: impl FnMut()) -> Vec<String> {
    let start = Instant::now();
    loop {
        let found = look();
        let names = held * 2 + held * cgroups_each();
        if found.len() <= names || start.elapsed() > PATIENCE {
            return if found.len() <= names { Vec::new() } else { found };
        }
        wait();
        sleep(Duration::from_millis(1));
    }
}

/// On how many hierarchies a container has a cgroup: memory and pids are asked for.
fn cgroups_each() -> usize {
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() { 1 } else { 2 }
}

fn look() -> Vec<String> {
    let mut found = names(&state_dir(), |name| name != "ids");
    let cgroup = format!("ctr-{}", prefix());
    for hierarchy in names(Path::new("/sys/fs/cgroup"), |_| true) {
        found.extend(names(Path::new(&hierarchy), |name| name.starts_with(&cgroup)));
    }
    found.extend(names(Path::new("/sys/fs/cgroup"), |name| name.starts_with(&cgroup)));
    found.extend(names(&store_dir().join("upper"), |_| true));
    found.extend(names(Path::new("/sys/block"), |_| true).into_iter().filter(|device| {
        let backing = fs::read_to_string(format!("{device}/loop/backing_file"));
        backing.is_ok_and(|file| Path::new(file.trim_end()).starts_with(scratch()))
    }));
    found
}

fn names(directory: &Path, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_str().is_none_or(&wanted))
        .map(|entry| entry.path().display().to_string())
        .collect()
}

/// What is in the store of images; the same before and after.
pub fn in_the_store() -> Vec<String> {
    ["layers", "images", "names", "seen", "tmp"]
        .iter()
        .flat_map(|part| names(&store_dir().join(part), |_| true))
        .collect()
}

/// How many mounts this mount namespace has.
pub fn mounts() -> usize {
    fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count()
}

/// Where the descriptors of a process lead.
pub fn descriptors(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let leads = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    // A socket's number is another one each time.
    leads.map(|to| to.display().to_string().split(':').next().unwrap_or_default().to_string()).collect()
}

/// A process as /proc shows it: its line of stat, less the numbers that say nothing, and what it waits in.
pub fn process(pid: i32) -> String {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default().replace('\0', " ");
    let stat: Vec<_> = read("stat").split(' ').take(6).map(str::to_owned).collect();
    format!("{} {} in {}", stat.join(" "), read("cmdline").trim(), read("syscall").trim())
}
