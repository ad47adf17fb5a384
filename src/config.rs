//! What a caller can choose: [`Config`] for a container, [`ExecConfig`] for a process in it. Plain data, checked when it
//! is used, never before; the faces (C setters, Python keywords) fill it in and decide nothing.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

use crate::security::{Device, DeviceList, Labels, Preset, Refusal, Rlimit, Seccomp};

/// How a container is made. The default is the safe one: every namespace but time's new, a writable layer that vanishes
/// with the container, docker's default capabilities less CAP_NET_RAW, no network but loopback.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The name that [`crate::Container::join`] takes; a random one where there is none. At most 64 of
    /// `[a-zA-Z0-9_.-]`, not starting with a dot or a dash.
    pub name: Option<String>,
    /// The hostname inside; the container's name where there is none. Needs a UTS namespace of its own.
    pub hostname: Option<String>,
    /// Mount an /etc/hosts, /etc/hostname and /etc/resolv.conf of its own over the image's, as docker does; so it is where there is
    /// no choice.
    pub etc_files: Option<bool>,
    /// Environment of every process, over the defaults (PATH, HOME, HOSTNAME): sethostname-like pairs of name and value.
    pub env: Vec<(OsString, OsString)>,
    /// Further mounts, in order, after the root and before its own /proc, /dev and /sys are sealed.
    pub mounts: Vec<Mount>,
    /// Memory limit in bytes, swap not included; none where there is none.
    pub memory: Option<u64>,
    /// Most processes and threads at one time; no limit where there is none.
    pub pids: Option<u64>,
    /// What happens where no cgroup can be had.
    pub cgroup: CgroupPolicy,
    /// The cgroup that the container's is made in: absolute from the mount of the hierarchy on (`/batch/job1`), else from the
    /// caller's own cgroup. It has to be there. Where there is none, `$CTR_CGROUP_PARENT`, else the caller's own, as far as
    /// it can be; see docs/limits.md.
    pub cgroup_parent: Option<PathBuf>,
    /// Which namespaces are new, shared or joined.
    pub namespaces: Namespaces,
    /// How far the clocks of its own time namespace are from the host's.
    pub time_offsets: TimeOffsets,
    /// The root is mounted read-only.
    pub read_only: bool,
    /// Where a container's changes go.
    pub upper: Upper,
    /// Most bytes that the changes may take where they are in memory; a file that would not fit meets ENOSPC. Where there is none:
    /// half of the memory limit, and half of the machine's memory without a limit.
    pub upper_size: Option<u64>,
    /// How a directory image is used.
    pub directory: DirectoryUse,
    /// Let the container outlive the process that makes it, until someone destroys it.
    pub detached: bool,
    /// Which walls stand; the other fields say more, or other, than the preset does.
    pub preset: Preset,
    /// The system calls that processes inside may make; the preset's where there is none.
    pub seccomp: Option<Seccomp>,
    /// What happens to a program that makes a system call which its profile refuses by default; what the profile says
    /// where there is none (EPERM in ours).
    pub seccomp_refusal: Option<Refusal>,
    /// Mask parts of /proc and /sys, and make others read-only; the preset's choice where there is none.
    pub masked_paths: Option<bool>,
    /// Put up Landlock's second wall, and refuse where it can't be; where there is none, as the preset says and the kernel can.
    pub landlock: Option<bool>,
    /// Limits of each process, besides the preset's.
    pub rlimits: Vec<Rlimit>,
    /// Kernel parameters of the container's own namespaces, sysctl(8): names and values.
    pub sysctls: Vec<(String, String)>,
    /// Devices beyond the usual ones: nodes of the host that are seen inside, and rules of the allow-list.
    pub devices: Vec<Device>,
    /// Whether the container's cgroup lists the devices that can be opened.
    pub device_list: DeviceList,
    /// Under which profiles and contexts of security modules it is.
    pub labels: Labels,
    /// Capabilities that processes inside may have, as a mask of capabilities(7) numbers; the preset's where there is
    /// none, which is docker's default set less CAP_NET_RAW.
    pub capabilities: Option<u64>,
    /// Capabilities besides those, by name: `NET_ADMIN` or `CAP_NET_ADMIN`; `ALL` stands for every one.
    pub cap_add: Vec<String>,
    /// Capabilities that are taken from those. As in docker, it counts after an `ALL` in `cap_add`, and `cap_add` after an
    /// `ALL` here.
    pub cap_drop: Vec<String>,
    /// Let programs gain privileges by setuid and file capabilities (no_new_privs is not set).
    pub new_privileges: bool,
    /// Where running containers are written down; see [`crate::Container::list`] for the default.
    pub state_dir: Option<PathBuf>,
    /// Where images are kept; /var/lib/ctr for root, `$XDG_DATA_HOME/ctr` for others.
    pub store_dir: Option<PathBuf>,
}

/// What a container can be limited in, when it is made and while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// Bytes of memory, swap not included.
    Memory,
    /// Processes and threads at one time.
    Pids,
}

/// A number for each limit, in the order of [`Limit::ALL`]; none where there is no limit.
pub(crate) type LimitNumbers = [Option<u64>; Limit::ALL.len()];

impl Limit {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Memory, Self::Pids];
}

impl Config {
    /// Its limits.
    pub(crate) fn limits(&self) -> LimitNumbers {
        Limit::ALL.map(|limit| match limit {
            Limit::Memory => self.memory,
            Limit::Pids => self.pids,
        })
    }
}

/// One choice for each kind of namespace; see namespaces(7).
#[derive(Clone, Debug, Default)]
pub struct Namespaces {
    /// Mounts: without one of its own the container has the host's file system, chrooted where the image is a directory.
    pub mount: Namespace,
    /// Process ids.
    pub pid: Namespace,
    /// User and group ids, and the capabilities over everything else.
    pub user: Namespace,
    /// Hostname.
    pub uts: Namespace,
    /// System V IPC and POSIX message queues.
    pub ipc: Namespace,
    /// The root of the cgroup tree.
    pub cgroup: Namespace,
    /// Network interfaces, addresses, ports.
    pub net: Namespace,
    /// Offsets of the boot-time and monotonic clocks. `None` means the host's.
    pub time: Option<Namespace>,
}

/// How far clocks are from the host's, time_namespaces(7). The time of day is the same everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeOffsets {
    /// CLOCK_MONOTONIC.
    pub monotonic: TimeOffset,
    /// CLOCK_BOOTTIME: what uptime(1) shows.
    pub boottime: TimeOffset,
}

/// A time span: the nanoseconds are added to the seconds, which may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeOffset {
    /// Seconds.
    pub secs: i64,
    /// 0 to 999,999,999.
    pub nanosecs: u32,
}

/// Where one namespace comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Namespace {
    /// A new one.
    #[default]
    New,
    /// The caller's own.
    Host,
    /// The one of this process.
    Pid(i32),
    /// The one behind this file (/proc/PID/ns/KIND, or a bind mount of such).
    Path(PathBuf),
    /// The one of this running container.
    Container(String),
}

/// What to do where no cgroup can be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupPolicy {
    /// Refuse to create where a limit was asked for, do without where none was.
    #[default]
    Auto,
    /// Refuse to create.
    Required,
    /// Do without, whatever limits were asked for.
    Optional,
    /// Make none.
    Off,
}

/// Where the changes of a container go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upper {
    /// A private tmpfs: the fastest, counted against the container's memory limit, gone with the container by the
    /// kernel's own doing. Before Linux 6.6 a tmpfs lacks what an overlay needs to have a directory replaced by a new one;
    /// there it is as `Disk`.
    #[default]
    Memory,
    /// A directory in the store, removed when the container is destroyed.
    Disk,
}

/// How an image that is a directory is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DirectoryUse {
    /// As the lower layer of an overlay: we never write to it.
    #[default]
    Lower,
    /// Itself as the root: what the container writes is written there.
    Direct,
}

/// One mount into a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mount {
    /// A file or directory of the host.
    Bind {
        /// Path on the host.
        source: PathBuf,
        /// Absolute path inside; made where it is missing.
        target: PathBuf,
        /// Nothing can be written through it.
        read_only: bool,
    },
    /// A new, empty tmpfs.
    Tmpfs {
        /// Absolute path inside; made where it is missing.
        target: PathBuf,
        /// Most bytes it may hold; half of the machine's memory where there is none.
        size: Option<u64>,
        /// Permission bits of its root, 0o1777 where there are none.
        mode: Option<u32>,
    },
}

impl Mount {
    /// Where it is inside.
    pub fn target(&self) -> &std::path::Path {
        match self {
            Self::Bind { target, .. } | Self::Tmpfs { target, .. } => target,
        }
    }
}

/// How a process is started inside. The default: user and group 0, the container's environment, `/` as working
/// directory, the caller's stdin, stdout and stderr, a session of its own.
#[derive(Clone, Debug, Default)]
pub struct ExecConfig {
    /// The program's file, where it is another than argv\[0\] says; searched for in PATH just so.
    pub program: Option<OsString>,
    /// Environment, over the container's.
    pub env: Vec<(OsString, OsString)>,
    /// Start from an empty environment instead of the container's.
    pub clear_env: bool,
    /// Working directory inside, absolute.
    pub cwd: Option<PathBuf>,
    /// `name`, `uid`, `name:group` or `uid:gid`; names and supplementary groups come from the image's own /etc/passwd
    /// and /etc/group.
    pub user: Option<String>,
    /// The supplementary groups, by name or number, in the place of those that /etc/group gives the user.
    pub groups: Option<Vec<String>>,
    /// The bits that files are made without, umask(2); 0o022 where there is none.
    pub umask: Option<u32>,
    /// Standard input.
    pub stdin: Stdio,
    /// Standard output.
    pub stdout: Stdio,
    /// Standard error.
    pub stderr: Stdio,
    /// Further descriptors: (the caller's, its number inside).
    pub fds: Vec<(RawFd, i32)>,
    /// A terminal of its own as stdin, stdout and stderr (which are then not to be set), and its size.
    pub pty: Option<Winsize>,
    /// Session and process group.
    pub session: Session,
    /// Kill it, and all that it has started, after this long; its exit then has [`crate::ExitReason::TimedOut`]. The limit
    /// reaches children in whatever session or group, orphans, and what a program that ended in time has left behind. It is
    /// kept by the container's PID 1, and, a second later, by [`crate::Process::wait`].
    pub time_limit: Option<Duration>,
    /// How long its start may take; 10 seconds where there is none, and never longer. A start takes a millisecond, but programs
    /// inside can hold it up: by stopping everybody, by a lease on the file, by a file system that does not answer.
    pub start_timeout: Option<Duration>,
}

/// Where one standard stream leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stdio {
    /// The caller's own stream of that number, as a program that it executes would have it: /dev/null where it is closed or
    /// close-on-exec.
    #[default]
    Inherit,
    /// /dev/null.
    Null,
    /// A new pipe, the other end of which the caller gets.
    Pipe,
    /// This descriptor of the caller; it stays the caller's.
    Fd(RawFd),
    /// For stderr: wherever stdout leads.
    Stdout,
}

/// The size of a terminal, ioctl_tty(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Winsize {
    /// Lines.
    pub rows: u16,
    /// Characters a line.
    pub cols: u16,
}

/// The session or process group of a new process; see setsid(2), setpgid(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Session {
    /// A new session, so a new process group too.
    #[default]
    New,
    /// A new process group in the session of the container's PID 1.
    Group,
    /// This existing process group of the container, by its pid inside.
    Join(i32),
}
