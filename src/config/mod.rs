//! What a caller can choose: [`Config`] for a container, [`ExecConfig`] for a process in it. Plain data, checked when it
//! is used, never before; the faces (C setters, Python keywords) fill it in and decide nothing.
//!
//! An option is declared here, once: by its name here Python's keywords and the record in the state directory know it, through
//! serde. docs/extending.md says what else an option takes, and tests/options.rs compares the faces.

mod devices;
mod disk;
mod exec;
mod limits;
mod mounts;
pub(crate) mod name;
mod names;
mod ports;
mod preset;
mod rlimits;
pub(crate) mod text;
mod with;

pub use devices::{Device, DeviceAccess, DeviceKind, DeviceList, DeviceRule};
pub use disk::{Disk, FileSystem};
pub use exec::{ExecConfig, Session, Stdio, Winsize};
pub use limits::{ChangesLimit, HugetlbLimit, IoLimit, Limit, ListLimit, UNLIMITED};
pub(crate) use limits::{LimitLists, LimitNumbers};
pub(crate) use mounts::late;
pub use mounts::{Bind, ImageTree, Mount, Owner, Scratch, Tmpfs, Volume};
pub use ports::PublishedPort;
pub use preset::{Preset, Refusal, Seccomp};
pub use rlimits::Rlimit;
pub(crate) use with::with;

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a container is made. The default is the safe one: every namespace but time's new, a writable layer that vanishes
/// with the container, docker's default capabilities less CAP_NET_RAW, no network but loopback.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default)]
pub struct Config {
    /// The name that [`crate::Container::join`] takes; a random one where there is none. At most 64 of
    /// `[a-zA-Z0-9_.-]`, not starting with a dot or a dash.
    pub name: Option<String>,
    /// The hostname inside; the container's name where there is none. Needs a UTS namespace of its own.
    pub hostname: Option<String>,
    /// The NIS domain name inside, setdomainname(2); the host's where there is none. Needs a UTS namespace of its own.
    pub domainname: Option<String>,
    /// Mount an /etc/hosts, /etc/hostname and /etc/resolv.conf of its own over the image's, as docker does; so it is where there is
    /// no choice.
    pub etc_files: Option<bool>,
    /// Environment of every process, over the defaults (PATH, HOME, HOSTNAME): pairs of name and value.
    // The record has the environment that programs get, which this is part of.
    #[serde(with = "text", skip_serializing)]
    pub env: Vec<(OsString, OsString)>,
    /// Further mounts, in order, after the root and before its own /proc, /dev and /sys are sealed.
    pub mounts: Vec<Mount>,
    /// Memory limit in bytes, swap not included; where there is none the preset's, if it has one. [`UNLIMITED`] is none at all, here and
    /// in the limits that follow.
    pub memory: Option<u64>,
    /// Bytes of memory above which it is reclaimed and its programs are slowed down, and nothing is killed; cgroup v2 only.
    pub memory_high: Option<u64>,
    /// Bytes of memory that are its own while others can give some: what is above is reclaimed first. A bid, no promise.
    pub memory_low: Option<u64>,
    /// Bytes of swap that it may use besides its memory: 0 where there is a memory limit and nothing is said here, else no limit. On
    /// cgroup v1 it takes a memory limit.
    pub swap: Option<u64>,
    /// Most processes and threads at one time; where there is none the preset's, if it has one.
    pub pids: Option<u64>,
    /// Time of processors that all programs have together, in thousandths of a processor; no limit where there is none.
    pub cpus: Option<u64>,
    /// Its share of processors that others want too, 1 to 10000; 100 where there is none.
    pub cpu_weight: Option<u64>,
    /// The processors that it may run on, as `0-1,3`: "List format" of cpuset(7).
    pub cpuset: Option<String>,
    /// The memory nodes that it may have memory from, written alike.
    pub cpuset_mems: Option<String>,
    /// Most bytes and operations a second, a device each.
    pub io: Vec<IoLimit>,
    /// Its share of block devices that others want too, 1 to 10000; 100 where there is none.
    pub io_weight: Option<u64>,
    /// Most bytes of huge pages, a size of pages each.
    pub hugetlb: Vec<HugetlbLimit>,
    /// It ends after so long, with all that runs in it, whoever made it and whether that process lives. Needs a PID namespace of its
    /// own. See [`crate::Container::end_reason`].
    #[serde(with = "exec::seconds")]
    pub lifetime: Option<Duration>,
    /// It ends when all that runs in it has had so much processor time together, the dead with the living; as exactly as
    /// [`ExecConfig::cpu_time_limit`]. Needs PID and mount namespaces of its own.
    #[serde(with = "exec::seconds")]
    pub cpu_time: Option<Duration>,
    /// What happens where no cgroup can be had.
    pub cgroup: CgroupPolicy,
    /// The cgroup that the container's is made in: absolute from the mount of the hierarchy on (`/batch/job1`), else from the
    /// caller's own cgroup. It has to be there. Where there is none, `$CTR_CGROUP_PARENT`, else the caller's own, as far as
    /// it can be; see docs/limits.md.
    #[serde(with = "text")]
    pub cgroup_parent: Option<PathBuf>,
    /// Whose network it has; as `namespaces.net` says where there is none. Only one of the two can be chosen.
    pub network: Option<Network>,
    /// The address that it has in a named network; a free one where there is none.
    pub ip: Option<Ipv4Addr>,
    /// What it is called in a named network besides its name and its hostname.
    pub aliases: Vec<String>,
    /// Ports of the host that lead into it from its first moment on. One that somebody has makes the creation fail.
    pub ports: Vec<PublishedPort>,
    /// Which namespaces are new, shared or joined.
    pub namespaces: Namespaces,
    /// How far the clocks of its own time namespace are from the host's.
    pub time_offsets: TimeOffsets,
    /// The root is mounted read-only.
    pub read_only: bool,
    /// Where a container's changes go.
    pub upper: Upper,
    /// Most bytes that the changes may take where they are in memory, together with /dev/shm, the /tmp of a read-only root, and
    /// tmpfs mounts that have no size; a file that would not fit meets ENOSPC. At least 1 MiB. Where there is none: half of the memory
    /// limit, and half of the machine's memory without a limit.
    pub upper_size: Option<u64>,
    /// Most files, directories and links that the changes may have where they are in memory, together with the same places; one more
    /// meets ENOSPC. At least 256. Where there is none: one for each 4 KiB of `upper_size`, or of what that is by the memory limit, 1024
    /// at the least; without either as many as half of the machine's memory has pages.
    pub upper_inodes: Option<u64>,
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
    /// The AppArmor profile of programs, by its name, or `unconfined`. It has to be loaded.
    pub apparmor: Option<String>,
    /// The SELinux context of programs, as `system_u:system_r:container_t:s0:c1,c2`.
    pub selinux: Option<String>,
    /// The SELinux context of the files of the container's own mounts, as `system_u:object_r:container_file_t:s0:c1,c2`:
    /// its root where that is an overlay, its /dev, its tmpfs.
    pub selinux_mounts: Option<String>,
    /// Do without a label whose security module this machine does not have.
    pub labels_optional: bool,
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
    #[serde(with = "text")]
    pub state_dir: Option<PathBuf>,
    /// Where images are kept; /var/lib/ctr for root, `$XDG_DATA_HOME/ctr` for others.
    #[serde(with = "text")]
    pub store_dir: Option<PathBuf>,
}

impl Config {
    /// Its limits that are numbers.
    pub(crate) fn limits(&self) -> LimitNumbers {
        Limit::ALL.map(|limit| match limit {
            Limit::Memory => self.memory,
            Limit::Pids => self.pids,
            Limit::Cpus => self.cpus,
            Limit::MemoryHigh => self.memory_high,
            Limit::MemoryLow => self.memory_low,
            Limit::Swap => self.swap,
            Limit::CpuWeight => self.cpu_weight,
            Limit::IoWeight => self.io_weight,
        })
    }

    /// Those that are lists.
    pub(crate) fn list_limits(&self) -> LimitLists {
        ListLimit::ALL.map(|limit| match limit {
            ListLimit::Cpuset => self.cpuset.clone(),
            ListLimit::CpusetMems => self.cpuset_mems.clone(),
            ListLimit::Io => limits::lines(&self.io),
            ListLimit::Hugetlb => limits::lines(&self.hugetlb),
        })
    }
}

with!(Config, ExecConfig, Namespaces, TimeOffsets, Bind, Disk, Tmpfs, Volume, IoLimit, HugetlbLimit);

/// One choice for each kind of namespace; see namespaces(7).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default)]
pub struct TimeOffsets {
    /// CLOCK_MONOTONIC.
    pub monotonic: TimeOffset,
    /// CLOCK_BOOTTIME: what uptime(1) shows.
    pub boottime: TimeOffset,
}

/// A time span: the nanoseconds are added to the seconds, which may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeOffset {
    /// Seconds.
    pub secs: i64,
    /// 0 to 999,999,999.
    pub nanosecs: u32,
}

/// Where one namespace comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum Namespace {
    /// A new one.
    #[default]
    New,
    /// The caller's own.
    Host,
    /// The one of this process.
    Pid(i32),
    /// The one behind this file (/proc/PID/ns/KIND, or a bind mount of such).
    Path(#[serde(with = "text")] PathBuf),
    /// The one of this running container.
    Container(String),
}

/// Whose network a container has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// A network namespace of its own, with loopback only.
    #[default]
    None,
    /// The caller's.
    Host,
    /// That of this process.
    Pid(i32),
    /// That of the namespace behind this file (/proc/PID/ns/net, or a bind mount of such).
    Path(#[serde(with = "text")] PathBuf),
    /// That of this running container.
    Container(String),
    /// A network namespace of its own that is a member of this network, which is there: see [`crate::NamedNetwork`].
    Named(String),
}

/// What to do where no cgroup can be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum CgroupPolicy {
    /// Refuse to create where a limit was asked for, do without where none was.
    #[default]
    Auto,
    /// Refuse to create.
    Required,
    /// Do without, whatever limits were asked for. RLIMIT_NPROC and RLIMIT_DATA stand in for those on processes and memory, which is
    /// weaker: see [`crate::Container::warnings`].
    Optional,
    /// Make none.
    Off,
}

/// Where the changes of a container go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum DirectoryUse {
    /// As the lower layer of an overlay: we never write to it.
    #[default]
    Lower,
    /// Itself as the root: what the container writes is written there.
    Direct,
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    /// One with something else than the default in every field.
    fn full() -> Config {
        let odd = PathBuf::from(OsString::from_vec(vec![b'/', 0xff, b'\n']));
        let offset = TimeOffset { secs: -5, nanosecs: 7 };
        Config {
            name: Some("n".into()),
            hostname: Some("h".into()),
            domainname: Some("d".into()),
            etc_files: Some(false),
            env: vec![("A".into(), odd.clone().into())],
            mounts: vec![
                Mount::Bind(Bind::new(odd.clone(), "/x").with(|b| b.read_only = true)),
                Mount::Tmpfs(Tmpfs::new("/t").with(|t| t.size = Some(1))),
                Mount::Scratch(Scratch::new(odd.clone(), "/s")),
            ],
            memory: Some(u64::MAX),
            pids: Some(2),
            memory_high: Some(4),
            memory_low: Some(5),
            swap: Some(0),
            cpus: Some(1500),
            cpu_weight: Some(7),
            cpuset: Some("0-1,3".into()),
            cpuset_mems: Some("0".into()),
            io: vec!["/dev/vda rbps=5 wiops=7".parse().unwrap(), "8:0 wbps=9".parse().unwrap()],
            io_weight: Some(8),
            hugetlb: vec!["2MB=0".parse().unwrap()],
            lifetime: Some(Duration::from_millis(2500)),
            cpu_time: Some(Duration::from_millis(1500)),
            cgroup: CgroupPolicy::Optional,
            cgroup_parent: Some(odd.clone()),
            network: Some(Network::Container("c".into())),
            ip: Some([10, 0, 3, 2].into()),
            aliases: vec!["db".into()],
            ports: vec![PublishedPort::new(([127, 0, 0, 1], 8080).into(), "[::1]:80".parse().unwrap())],
            namespaces: Namespaces {
                mount: Namespace::Host,
                pid: Namespace::Pid(7),
                user: Namespace::Path(odd.clone()),
                uts: Namespace::Container("c".into()),
                ipc: Namespace::Host,
                cgroup: Namespace::Host,
                net: Namespace::Host,
                time: Some(Namespace::New),
            },
            time_offsets: TimeOffsets { monotonic: offset, boottime: offset },
            read_only: true,
            upper: Upper::Disk,
            upper_size: Some(3),
            upper_inodes: Some(9),
            directory: DirectoryUse::Direct,
            detached: true,
            preset: Preset::Strict,
            seccomp: Some(Seccomp::File(odd.clone())),
            seccomp_refusal: Some(Refusal::Errno(13)),
            masked_paths: Some(true),
            landlock: Some(false),
            rlimits: vec![Rlimit::new("nofile", Some(50), Some(60)).unwrap(), Rlimit::new("core", None, None).unwrap()],
            sysctls: vec![("a".into(), "b".into())],
            devices: vec!["c 1:* r".parse().unwrap(), "/dev/fuse:rw".parse().unwrap()],
            device_list: DeviceList::Off,
            apparmor: Some("p".into()),
            selinux: Some("s".into()),
            selinux_mounts: Some("m".into()),
            labels_optional: true,
            capabilities: Some(1),
            cap_add: vec!["KILL".into()],
            cap_drop: vec!["ALL".into()],
            new_privileges: true,
            state_dir: Some(odd.clone()),
            store_dir: Some(odd),
        }
    }

    #[test]
    fn a_configuration_comes_back_from_a_record_but_for_its_environment() {
        let config = full();
        let text = serde_json::to_string(&config).unwrap();
        let read: Config = serde_json::from_str(&text).unwrap();
        assert_eq!(read, Config { env: Vec::new(), ..config });
        assert_eq!(serde_json::from_str::<Config>("{}").unwrap(), Config::default());
    }

    #[test]
    fn what_a_later_version_adds_is_read_over() {
        assert_eq!(serde_json::from_str::<Config>(r#"{"pids":2,"gpus":"all"}"#).unwrap().pids, Some(2));
    }

    #[test]
    fn how_a_program_is_started_comes_back_too() {
        let config = ExecConfig {
            program: Some("p".into()),
            env: vec![("A".into(), OsString::from_vec(vec![0xfe]))],
            stdin: Stdio::Fd(7),
            pty: Some(Winsize { rows: 1, cols: 2 }),
            session: Session::Join(3),
            time_limit: Some(std::time::Duration::from_millis(1500)),
            fds: vec![(3, 4)],
            ..ExecConfig::default()
        };
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<ExecConfig>(&text).unwrap(), config);
        let error = serde_json::from_str::<ExecConfig>(r#"{"time_limit":-1.0}"#).unwrap_err().to_string();
        assert!(error.contains("negative"), "{error}");
    }
}
