//! Whose zygote it is: the process, its credentials, its namespaces, its root. Everything that a child it makes would inherit
//! and that a host can change.

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::sys::stat::{Mode, fstatat};
use nix::unistd::{getresgid, getresuid};

use crate::sys::fs::readlinkat_raw;

use crate::sys::Own;

/// What a host is, at one moment, for one thread (credentials are a thread's, credentials(7)).
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    pub pid: u32,
    uids: [u32; 3],
    gids: [u32; 3],
    groups: Vec<u32>,
    capabilities: [u64; 3],
    /// no_new_privs and the seccomp mode, prctl(2).
    confined: [i32; 2],
    /// The inodes of /proc/thread-self/ns/*: those a child is cloned into.
    namespaces: [u64; 8],
    root: (u64, u64),
    /// The text of /proc/thread-self/cgroup, cgroups(7): a child is cloned into all of them, also of controllers that ctr makes
    /// nothing of (cpu, cpuset, …).
    pub cgroups: String,
    /// The limits of resources, getrlimit(2), by their numbers.
    pub rlimits: [Option<[u64; 2]>; RLIMITS],
    /// The place in line when memory runs out, proc_pid_oom_score_adj(5).
    pub oom_score_adj: Option<i32>,
}

/// RLIM_NLIMITS.
pub const RLIMITS: usize = 16;

/// Of another process.
pub fn oom_score_adj(pid: i32) -> Option<i32> {
    read_small(&format!("/proc/{pid}/oom_score_adj")).trim().parse().ok()
}

/// Of the calling process. `kept` is its file where it is open already, and still what it was: to look the path up takes most of the
/// time.
pub fn own_oom_score_adj(kept: Option<&Own>) -> Option<i32> {
    let Some(file) = kept.and_then(|file| file.check().ok()) else {
        return read_small(OOM_SCORE_ADJ).trim().parse().ok();
    };
    let mut text = [0; 16];
    let len = crate::sys::fs::pread(file, &mut text, 0).ok()?;
    std::str::from_utf8(&text[..len]).ok()?.trim().parse().ok()
}

/// The file of one's own.
pub const OOM_SCORE_ADJ: &str = "/proc/self/oom_score_adj";

impl Identity {
    /// `oom_score_adj` is its file, where it is open already.
    pub fn of_this_thread(oom_score_adj: Option<&Own>) -> Self {
        let uid = getresuid().map_or([0; 3], |ids| [ids.real, ids.effective, ids.saved].map(|id| id.as_raw()));
        let gid = getresgid().map_or([0; 3], |ids| [ids.real, ids.effective, ids.saved].map(|id| id.as_raw()));
        Self {
            pid: crate::sys::process_id(),
            uids: uid,
            gids: gid,
            groups: crate::sys::getgroups(),
            capabilities: crate::sys::capget(),
            confined: [nix::sys::prctl::get_no_new_privs().map_or(-1, i32::from), crate::sys::seccomp_mode()],
            namespaces: namespaces(),
            root: fstatat(AT_FDCWD, "/", AtFlags::empty()).map_or((0, 0), |stat| (stat.st_dev, stat.st_ino)),
            cgroups: read_small("/proc/thread-self/cgroup"),
            rlimits: std::array::from_fn(|resource| crate::sys::sched::prlimit(0, resource as u32, None).ok()),
            oom_score_adj: own_oom_score_adj(oom_score_adj),
        }
    }
}

impl Identity {
    /// See [`super::Zygote::mapped`].
    pub fn mapped(&self) -> Option<[Pieces; 2]> {
        const CAP_SETUID: u64 = 1 << 7;
        const CAP_SYS_ADMIN: u64 = 1 << 21;
        let [effective, ..] = self.capabilities;
        if effective & CAP_SETUID == 0 || effective & CAP_SYS_ADMIN == 0 {
            return None;
        }
        let maps = ["/proc/self/uid_map", "/proc/self/gid_map"];
        let maps = maps.map(|file| pieces(&crate::sys::file::read_to_string(file).unwrap_or_default()));
        maps[0].iter().any(|&(first, _)| first == 0).then_some(maps)
    }
}

/// The ids that a user namespace has, as seen from inside: first ones and how many there are from each on.
pub type Pieces = Vec<(u64, u64)>;

/// From uid_map or gid_map, user_namespaces(7).
pub fn pieces(map: &str) -> Pieces {
    let piece = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.nth(1)??))
    };
    map.lines().filter_map(piece).collect()
}

/// A file of /proc, in one read where it is short; "" where it can't be read.
fn read_small(path: &str) -> String {
    let Ok(file) = crate::sys::openat(AT_FDCWD, path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()) else {
        return String::new();
    };
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    // A short read of such a file is its end.
    while let Ok(count @ 1..) = nix::unistd::read(&file, &mut piece) {
        text.extend_from_slice(&piece[..count]);
        if count < piece.len() / 2 {
            break;
        }
    }
    String::from_utf8(text).unwrap_or_default()
}

/// Read as links, `mnt:[4026531841]`: the kernel would have to make an inode for each to be looked at by stat(2).
fn namespaces() -> [u64; 8] {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let Ok(dir) = crate::sys::openat(AT_FDCWD, "/proc/thread-self/ns", flags, Mode::empty()) else { return [0; 8] };
    ["mnt", "user", "net", "pid_for_children", "uts", "ipc", "cgroup", "time_for_children"].map(|name| {
        let mut text = [0u8; 64];
        let len = readlinkat_raw(&dir, name, &mut text).unwrap_or(0);
        let digits = text[..len].iter().filter(|byte| byte.is_ascii_digit());
        digits.fold(0, |number, byte| number * 10 + u64::from(byte - b'0'))
    })
}
