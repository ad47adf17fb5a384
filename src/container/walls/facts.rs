//! What the kernel says about a running container's walls: read from /proc/PID of its PID 1 (proc_pid_status(5),
//! proc_pid_mountinfo(5), proc_pid_limits(5)), which everybody may read, and from its namespaces, which it opens for us, since
//! nobody else may look at them. What can't be read is not told.

use crate::container::namespaces::{KINDS, Kind};
use crate::container::opened::{self, Opened};
use crate::container::shared::Shared;
use crate::sys::mountinfo::{self, Mounted};
use crate::{ErrorCode, Result, TimeOffset, TimeOffsets};

/// All that is read.
#[derive(Default)]
pub struct Facts {
    pub namespaces: Vec<Namespace>,
    /// As it stands in the file; see user_namespaces(7).
    pub uid_map: Option<String>,
    /// The bounding set.
    pub capabilities: Option<u64>,
    pub no_new_privs: Option<bool>,
    /// Whether there is a filter.
    pub seccomp: Option<bool>,
    /// Of its clocks.
    pub time_offsets: Option<TimeOffsets>,
    /// The label that programs get at their execve, where there is one.
    pub label: Option<String>,
    /// Whether no core file is written.
    pub no_core: Option<bool>,
    pub mounts: Option<Vec<Mounted>>,
}

/// A namespace that it is in.
pub struct Namespace {
    /// Its name in /proc/PID/ns.
    pub kind: &'static str,
    /// The number that tells it from others.
    pub inode: u64,
    /// This thread is in it too.
    pub shared: bool,
}

impl Facts {
    /// Those of a running container. It has put up its last walls when this is asked.
    pub fn of(container: &Shared) -> Result<Self> {
        container.check_running()?;
        // It serves one request after the other: it has answered this one, so whatever came before is done. One that is paused
        // answers none.
        let namespaces = if container.is_paused()? { Vec::new() } else { namespaces(container)? };
        let read = |file: &str| crate::sys::file::read_to_string(format!("/proc/{}/{file}", container.pid)).ok();
        let status = read("status").unwrap_or_default();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let facts = Self {
            namespaces,
            uid_map: read("uid_map"),
            capabilities: field("CapBnd:").and_then(|mask| u64::from_str_radix(mask, 16).ok()),
            no_new_privs: field("NoNewPrivs:").map(|set| set == "1"),
            seccomp: field("Seccomp:").map(|mode| mode == "2"),
            time_offsets: read("timens_offsets").as_deref().map(time_offsets),
            label: read("attr/apparmor/exec").or_else(|| read("attr/exec")).filter(|label| !label.is_empty()),
            no_core: read("limits").as_deref().and_then(no_core),
            mounts: read("mountinfo").map(|text| mountinfo::lines(&text).collect()),
        };
        // While it lives, nobody else has its pid.
        if container.lives() { Ok(facts) } else { Err(container.gone()) }
    }

    /// The mount at this place, the last one where there are several.
    pub fn mount(&self, target: &str) -> Option<&Mounted> {
        self.mounts.as_ref()?.iter().rev().find(|mount| mount.target == target)
    }

    /// Its namespace of this kind.
    pub fn namespace(&self, kind: &str) -> Option<&Namespace> {
        self.namespaces.iter().find(|namespace| namespace.kind == kind)
    }
}

fn namespaces(container: &Shared) -> Result<Vec<Namespace>> {
    let kinds: Vec<_> = KINDS.iter().collect();
    match opened::namespaces(container, &kinds) {
        Ok(found) => Ok(found.into_iter().map(|it| namespace(&it)).collect()),
        Err(error) if matches!(error.code(), ErrorCode::Destroyed | ErrorCode::TimedOut) => Err(error),
        // It has nothing to see them by: no /proc, or one that is covered.
        Err(_) => Ok(Vec::new()),
    }
}

fn namespace(opened: &Opened) -> Namespace {
    let &Opened { kind: Kind { name: kind, .. }, inode, .. } = opened;
    let ours = std::fs::read_link(format!("/proc/thread-self/ns/{kind}"));
    Namespace { kind, inode, shared: ours.is_ok_and(|ours| ours.as_os_str() == format!("{kind}:[{inode}]").as_str()) }
}

/// "Max core file size  0  0  bytes": the third word from the end is the soft limit, behind it the hard one.
fn no_core(limits: &str) -> Option<bool> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size"))?;
    Some(line.split_whitespace().take(2).eq(["0", "0"]))
}

/// A line a clock: "monotonic  -2  0".
fn time_offsets(text: &str) -> TimeOffsets {
    let mut offsets = TimeOffsets::default();
    for line in text.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let [clock, secs, nanosecs] = words[..] else { continue };
        let (Ok(secs), Ok(nanosecs)) = (secs.parse(), nanosecs.parse()) else { continue };
        match clock {
            "monotonic" => offsets.monotonic = TimeOffset { secs, nanosecs },
            "boottime" => offsets.boottime = TimeOffset { secs, nanosecs },
            _ => {}
        }
    }
    offsets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_of_clocks_are_read_as_the_kernel_writes_them() {
        let offsets = time_offsets("monotonic           -2         0\nboottime            86400 250000000\n");
        let of = |secs, nanosecs| TimeOffset { secs, nanosecs };
        assert_eq!(offsets, TimeOffsets { monotonic: of(-2, 0), boottime: of(86400, 250_000_000) });
        assert_eq!(time_offsets(""), TimeOffsets::default());
    }

    #[test]
    fn core_files_are_off_where_both_limits_are_0() {
        let line =
            |soft: &str, hard: &str| format!("Limit x\nMax core file size        {soft}    {hard}     bytes     \n");
        assert_eq!(no_core(&line("0", "0")), Some(true));
        assert_eq!(no_core(&line("0", "unlimited")), Some(false));
        assert_eq!(no_core(""), None);
    }
}
