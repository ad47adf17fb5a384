//! Inspect: all that is known of a running container, from its record and from the kernel. See [`super::walls`].

use serde::{Serialize, Serializer};

use super::mounted::{self, MountInfo};
use super::network;
use super::ports::{self, Port};
use super::shared::Shared;
use super::state::Root;
use super::walls::{self, Facts, Subject, Wall};
use crate::cgroup::{Cgroup, counted};
use crate::config::{LimitLists, LimitNumbers};
use crate::security::capabilities;
use crate::{Limit, Result};

/// What [`crate::Container::inspect`] answers. Later releases may add fields.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// The name that [`crate::Container::join`] takes; empty for a joined pid.
    pub name: String,
    /// The pid of its PID 1 on the host.
    pub pid: i32,
    /// Whether it stands still; its namespaces are not told of then, for it is its PID 1 that shows them.
    pub paused: bool,
    /// What it was made from.
    pub image: String,
    /// The digest of the image, where it was one of the store.
    pub image_digest: Option<String>,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// The pid of the process that made it.
    pub owner: i32,
    /// Whether it outlives its owner.
    pub detached: bool,
    /// The security preset that it was made with.
    pub preset: &'static str,
    /// Said loudly, where there is something to be said: that it is privileged.
    pub warning: Option<&'static str>,
    /// Where it is written down.
    pub state_dir: Option<String>,
    /// The store that its image is in.
    pub store_dir: String,
    /// The directory of its changes, where they are on disk.
    pub upper: Option<String>,
    /// The directories of its cgroups.
    pub cgroups: Vec<String>,
    /// Where these are, seen from the process that made it: "in …, the caller's own: its limits hold".
    pub cgroup_place: String,
    /// What was asked for and could not be had, where it was asked for only as far as it can be.
    pub warnings: Vec<String>,
    /// What it may use, and uses.
    pub limits: InspectedLimits,
    /// "none" (loopback only), "host", or whose network namespace it has.
    pub network: String,
    /// Ports of the host that lead into it.
    pub ports: Vec<Port>,
    /// Its namespaces.
    pub namespaces: Vec<InspectedNamespace>,
    /// The ids of its user namespace: the first one inside, the first one outside, how many.
    pub uid_map: Vec<[u64; 3]>,
    /// Capabilities that its programs may have.
    pub capabilities: Vec<String>,
    /// What is mounted in it, by its caller and for itself.
    pub mounts: Vec<InspectedMount>,
    /// What its caller, and who joined it, has mounted: [`crate::Container::mounts`].
    pub given_mounts: Vec<MountInfo>,
    /// Its walls.
    pub walls: Vec<Wall>,
}

/// Limits, and what is used of them; nothing where there is no limit, or no cgroup to tell.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct InspectedLimits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes in use.
    pub memory_used: Option<u64>,
    /// The most bytes that ever were in use.
    pub memory_peak: Option<u64>,
    /// How many processes the OOM killer has ended.
    pub oom_kills: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Processors.
    pub cpus: Option<f64>,
    /// Seconds for which its programs were made to wait for their next share of the processors' time.
    pub cpu_waited: Option<f64>,
    /// Bytes of memory above which it is slowed down.
    pub memory_high: Option<u64>,
    /// Bytes of memory that are reclaimed last.
    pub memory_low: Option<u64>,
    /// Bytes of swap.
    pub swap: Option<u64>,
    /// Its share of processors beside others.
    pub cpu_weight: Option<u64>,
    /// Its processors, "0-1,3".
    pub cpuset: Option<String>,
    /// Its memory nodes.
    pub cpuset_mems: Option<String>,
    /// Rates of block devices, a line each: "8:0 rbps=1048576".
    pub io: Option<String>,
    /// Its share of block devices beside others.
    pub io_weight: Option<u64>,
    /// Bytes of huge pages, a line each: "2MB=67108864".
    pub hugetlb: Option<String>,
    /// Seconds after which it ends.
    pub lifetime: Option<f64>,
    /// Seconds of processor time after which it ends.
    pub cpu_time: Option<f64>,
}

/// A namespace of a container.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct InspectedNamespace {
    /// Its name in /proc/PID/ns.
    pub kind: &'static str,
    /// The number that tells it from others there.
    pub inode: u64,
    /// Whether the inspecting thread is in it too.
    pub shared: bool,
}

/// A mount of a container.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct InspectedMount {
    /// Where it is inside.
    pub target: String,
    /// The kind of file system.
    pub kind: String,
    /// What is mounted, as the kernel has it.
    pub source: String,
    /// "ro,nosuid,nodev".
    pub options: String,
}

impl Serialize for Wall {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut wall = serializer.serialize_struct("Wall", 4)?;
        wall.serialize_field("name", self.name)?;
        wall.serialize_field("state", self.state.name())?;
        wall.serialize_field("says", &self.says)?;
        wall.serialize_field("why", &self.why)?;
        wall.end()
    }
}

impl Inspection {
    /// The same as JSON, as `libctr inspect` prints it.
    pub fn to_json(&self) -> String {
        // Strings and numbers: there is nothing that could not be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The walls of a running container.
pub fn walls_of(container: &Shared) -> Result<Vec<Wall>> {
    walls_with(container, &Facts::of(container)?)
}

fn walls_with(container: &Shared, facts: &Facts) -> Result<Vec<Wall>> {
    let record = &container.record;
    let limits = container.cgroup.as_ref().map_or(Ok(LimitNumbers::default()), Cgroup::limits)?;
    let lists = container.cgroup.as_ref().map_or(Ok(LimitLists::default()), Cgroup::list_limits)?;
    let binds = mounted::mounts(container)?.into_iter().map(|mount| mount.target.display().to_string());
    walls::walls(&Subject {
        asked: &record.config,
        foreign: record.root == Root::Foreign,
        landlock: record.landlock,
        ids: None,
        cgroup: container.cgroup.is_some(),
        listed: &record.devices,
        limits,
        lists,
        dropped: &record.warnings,
        binds: binds.collect(),
        facts: Some(facts),
    })
}

/// All that is known of it.
pub fn inspect(container: &Shared) -> Result<Inspection> {
    let facts = Facts::of(container)?;
    let walls = walls_with(container, &facts)?;
    let record = &container.record;
    let foreign = record.root == Root::Foreign;
    let seconds = |limit: Option<std::time::Duration>| limit.map(|limit| limit.as_secs_f64());
    let of_time = InspectedLimits {
        lifetime: seconds(record.config.lifetime),
        cpu_time: seconds(record.config.cpu_time),
        ..InspectedLimits::default()
    };
    let limits = match &container.cgroup {
        None => of_time,
        Some(cgroup) => {
            let (memory_used, memory_peak) = counted(cgroup.memory_usage())?.unzip();
            let limits = cgroup.limits()?;
            let number = |limit: Limit| limits[limit as usize];
            let [cpuset, cpuset_mems, io, hugetlb] = cgroup.list_limits()?;
            InspectedLimits {
                memory: number(Limit::Memory),
                memory_used,
                memory_peak,
                oom_kills: counted(cgroup.oom_kills())?,
                pids: number(Limit::Pids),
                cpus: number(Limit::Cpus).map(|cpus| cpus as f64 / 1000.0),
                cpu_waited: cgroup.stats()?.cpu.throttled.map(|time| time.as_secs_f64()),
                memory_high: number(Limit::MemoryHigh),
                memory_low: number(Limit::MemoryLow),
                swap: number(Limit::Swap),
                cpu_weight: number(Limit::CpuWeight),
                cpuset,
                cpuset_mems,
                io,
                io_weight: number(Limit::IoWeight),
                hugetlb,
                ..of_time
            }
        }
    };
    let own_user = facts.namespace("user").is_none_or(|namespace| !namespace.shared);
    let network = match (record.config.namespaces.asked("net"), facts.namespace("net")) {
        (None, _) if !foreign => network::chosen(&record.config).unwrap_or("none").into(),
        (_, Some(namespace)) if namespace.shared => "host".into(),
        (Some(source), _) => source.to_string(),
        (None, _) => record.image.clone(),
    };
    let numbers = |text: &str| text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<u64>>();
    let map = facts.uid_map.as_deref().unwrap_or_default().lines();
    let path = |path: &std::path::Path| path.display().to_string();
    Ok(Inspection {
        name: record.name.clone(),
        pid: container.pid,
        paused: container.is_paused()?,
        image: record.image.clone(),
        image_digest: match &record.root {
            Root::Image(digest) => Some(digest.clone()),
            _ => None,
        },
        created: record.created,
        owner: record.owner,
        detached: record.detached,
        preset: record.config.preset.name(),
        warning: walls::warning(record.config.preset, own_user).filter(|_| !foreign),
        state_dir: container.state.as_ref().map(|state| path(state.path())),
        store_dir: path(&record.store),
        upper: record.upper().map(path),
        cgroups: container.cgroup.iter().flat_map(Cgroup::paths).map(path).collect(),
        cgroup_place: record.cgroup_place.clone(),
        warnings: record.warnings.clone(),
        limits,
        network,
        ports: ports::ports(container)?,
        namespaces: facts
            .namespaces
            .iter()
            .map(|it| InspectedNamespace { kind: it.kind, inode: it.inode, shared: it.shared })
            .collect(),
        uid_map: map.filter_map(|line| numbers(line).try_into().ok()).collect(),
        capabilities: facts.capabilities.map(capabilities::names).unwrap_or_default(),
        mounts: facts
            .mounts
            .unwrap_or_default()
            .into_iter()
            .map(|it| InspectedMount { target: it.target, kind: it.kind, source: it.source, options: it.options })
            .collect(),
        given_mounts: mounted::mounts(container)?,
        walls,
    })
}
