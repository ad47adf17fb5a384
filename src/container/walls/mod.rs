//! Every wall of a container, on or off, and why: what `explain` prints of one that could be made, and `inspect` of one that
//! runs.
//!
//! What was asked for is known from the configuration, which the record that its maker left has too; what stands is read
//! from the kernel where it tells ([`Facts`]), so a joiner is told what is, and not what was meant. A wall that is added
//! anywhere in ctr gets a line here.

mod facts;

pub use facts::Facts;

use std::fmt::Write;

use super::ids::Ids;
use super::state::Listed;
use crate::config::LimitNumbers;
use crate::error::line;
use crate::security::rlimits::NO_CORE;
use crate::security::{Walls, capabilities, chosen_capabilities, labels, masks};
use crate::{
    CgroupPolicy, Config, Device, DeviceList, Limit, Namespace, Preset, Refusal, Result, Seccomp, TimeOffset,
    TimeOffsets, hints,
};

/// One wall around a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wall {
    /// What it is: "seccomp". Names don't change; later releases may add some.
    pub name: &'static str,
    /// Whether it stands.
    pub state: WallState,
    /// How it stands, in a few words: "14 of 41: …".
    pub says: String,
    /// Why it is so: "preset strict", "asked for: namespace net = host", "this kernel has no Landlock, …".
    pub why: String,
}

/// Whether a wall stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum WallState {
    /// It does not.
    Off = 0,
    /// It stands, but lower than by default.
    Partly = 1,
    /// It stands.
    On = 2,
}

impl WallState {
    /// "off", "partly", "on".
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Partly => "partly",
            Self::On => "on",
        }
    }

    fn on(stands: bool) -> Self {
        if stands { Self::On } else { Self::Off }
    }
}

/// The container whose walls they are.
pub struct Subject<'a> {
    /// What was asked for. Of a container that was joined it is what its record says, and trusted for no more than words.
    pub asked: &'a Config,
    /// Ctr has only joined it.
    pub foreign: bool,
    /// Landlock's second wall is put up.
    pub landlock: bool,
    /// Whose ids it has, where that isn't read from the kernel.
    pub ids: Option<&'a Ids>,
    /// It has a cgroup.
    pub cgroup: bool,
    /// Its list of devices.
    pub listed: &'a Listed,
    pub limits: LimitNumbers,
    /// Those that were asked for and can't be had, in words.
    pub dropped: &'a [String],
    /// Where something is mounted that the caller, or its image, wanted.
    pub binds: Vec<String>,
    /// Of one that runs.
    pub facts: Option<&'a Facts>,
}

/// A kind of namespace, its name here, what one of its own is good for, and what is lost where it is shared.
const NAMESPACES: [(&str, &str, &str, &str); 7] = [
    ("mnt", "mount namespace", "a root of its own, the host's is unmounted (pivot_root)", "it sees the host's files"),
    ("pid", "PID namespace", "it sees its own processes only, and they end with it", "it sees the host's processes"),
    ("uts", "UTS namespace", "a hostname of its own", "the host's hostname"),
    (
        "ipc",
        "IPC namespace",
        "System V IPC and message queues of its own",
        "the host's System V IPC and message queues",
    ),
    ("net", "network namespace", "loopback only", "the host's network, with its abstract sockets"),
    ("cgroup", "cgroup namespace", "its own cgroup is the root of the tree it sees", "it sees the host's cgroup tree"),
    ("time", "time namespace", "clocks that can be set off from the host's", "the host's clocks"),
];

/// Every wall, in the order in which they are put up.
pub fn walls(of: &Subject<'_>) -> Result<Vec<Wall>> {
    let preset = of.asked.preset.walls()?;
    let mut walls = vec![user_namespace(of)];
    walls.extend(NAMESPACES.map(|kind| namespace(of, kind)));
    walls.extend([
        capabilities_kept(of, &preset)?,
        no_new_privs(of, &preset),
        seccomp(of, &preset),
        landlock(of, &preset),
    ]);
    let [apparmor, selinux] = labels::active();
    walls.extend([
        label(of, "AppArmor", &of.asked.apparmor, apparmor),
        label(of, "SELinux", &of.asked.selinux, selinux),
    ]);
    walls.extend([devices(of), device_list(of)]);
    walls.extend(covers(of, &preset)?);
    walls.extend([
        sysctls(of),
        keyring(of, &preset),
        core_dumps(of, &preset),
        rlimits(of),
        read_only_root(of, &preset),
    ]);
    walls.extend(Limit::ALL.map(|which| limit(of, &preset, which)));
    walls.extend([binds(of), descriptors(), pid_1()]);
    Ok(walls)
}

/// As `explain` prints them, each in a line of a comment.
pub fn table(walls: &[Wall]) -> String {
    let width = walls.iter().map(|wall| wall.name.len()).max().unwrap_or(0);
    let mut text = "# The walls:\n".to_string();
    for Wall { name, state, says, why } in walls {
        let dash = if says.is_empty() { "" } else { "; " };
        // Writing to a String does not fail.
        let told = line(format!("{says}{dash}{why}"), usize::MAX);
        _ = writeln!(text, "#   {name:width$}  {:6}  {told}", state.name());
    }
    text
}

impl Subject<'_> {
    /// The reason: what was asked for, or the preset.
    fn because(&self, asked: Option<String>) -> String {
        match asked {
            _ if self.foreign => "joined by its pid: ctr puts up no walls there".into(),
            Some(asked) => format!("asked for: {asked}"),
            None => format!("preset {}", self.asked.preset.name()),
        }
    }

    /// A wall; where the kernel says that it does not stand, it does not, whatever was meant.
    fn wall(
        &self,
        name: &'static str,
        state: WallState,
        says: impl Into<String>,
        why: String,
        fact: Option<bool>,
    ) -> Wall {
        let says = says.into();
        match fact {
            Some(false) if state != WallState::Off => Wall {
                name,
                state: WallState::Off,
                says: "the kernel does not show it".into(),
                why: format!("{says}; {why}"),
            },
            _ => Wall { name, state, says, why },
        }
    }

    /// The capabilities that were asked for. Names that there are not are refused elsewhere.
    fn capabilities(&self) -> Option<u64> {
        chosen_capabilities(self.asked).unwrap_or(self.asked.capabilities)
    }

    fn own_root(&self) -> bool {
        !self.foreign && self.asked.namespaces.asked("mnt").is_none()
    }
}

fn user_namespace(of: &Subject<'_>) -> Wall {
    let name = "user namespace";
    let source = of.asked.namespaces.asked("user");
    let why = of.because(source.map(|source| format!("namespace user = {source}")));
    let shared = of.facts.and_then(|facts| facts.namespace("user")).map(|namespace| namespace.shared);
    if source == Some(&Namespace::Host) || shared == Some(true) {
        let says = "shared with the host: root inside is root outside, as far as its capabilities go";
        return Wall { name, state: WallState::Off, says: says.into(), why };
    }
    let map = of.facts.and_then(|facts| facts.uid_map.as_deref());
    let (state, says) = match (map.map(ids_of_map), of.ids) {
        (Some((says, 1)), _) => (WallState::Partly, format!("{says}; {}", hints::SINGLE_ID)),
        (Some((says, _)), _) => (WallState::On, says),
        (None, Some(ids @ Ids::Single { .. })) => (WallState::Partly, ids.words()),
        (None, Some(ids)) => (WallState::On, ids.words()),
        (None, None) => (WallState::On, String::new()),
    };
    // Ids of another's choice.
    let state = if source.is_some() { WallState::Partly } else { state };
    Wall { name, state, says, why }
}

/// "uid 0 inside is 1073741824 outside, 65536 ids", and how many there are.
fn ids_of_map(map: &str) -> (String, u64) {
    let numbers: Vec<u64> = map.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
    let count = numbers.iter().skip(2).step_by(3).sum();
    let first = numbers.get(..2).map_or_else(String::new, |ids| format!("uid {} inside is {} outside", ids[0], ids[1]));
    (format!("{first}, {count} id{}", if count == 1 { "" } else { "s" }), count)
}

fn namespace(of: &Subject<'_>, (kind, name, own, lost): (&str, &'static str, &str, &str)) -> Wall {
    let source = of.asked.namespaces.asked(kind);
    let why = of.because(source.map(|source| format!("namespace {kind} = {source}")));
    let shared = of.facts.and_then(|facts| facts.namespace(kind)).map(|namespace| namespace.shared);
    let host = || Wall { name, state: WallState::Off, says: format!("shared with the host: {lost}"), why: why.clone() };
    match source {
        Some(&Namespace::Host) => host(),
        // The clocks are shared by default.
        None if kind == "time" && shared != Some(false) => host(),
        Some(Namespace::New) | None => {
            let asked = Some(of.asked.time_offsets).filter(|offsets| *offsets != TimeOffsets::default());
            let offsets = of.facts.map_or(asked, |facts| facts.time_offsets);
            let says = match (offsets, &of.asked.domainname) {
                (Some(offsets), _) if kind == "time" => clocks(&offsets),
                (_, Some(domain)) if kind == "uts" => format!("{own}, the domain name {domain}"),
                _ => own.into(),
            };
            of.wall(name, WallState::On, says, why, shared.map(|shared| !shared))
        }
        Some(_) if shared == Some(true) => host(),
        Some(_) => Wall { name, state: WallState::Partly, says: "another's".into(), why },
    }
}

/// "clocks of its own: monotonic -2 s": those of time_namespaces(7) that are off from the host's.
fn clocks(offsets: &TimeOffsets) -> String {
    let off = |(clock, TimeOffset { secs, nanosecs })| match (secs, nanosecs) {
        (0, 0) => None,
        (secs, 0) => Some(format!("{clock} {secs} s")),
        (secs, nanosecs) => Some(format!("{clock} {secs} s + {nanosecs} ns")),
    };
    let off: Vec<_> = offsets.named().into_iter().filter_map(off).collect();
    if off.is_empty() {
        "clocks of its own, as the host's".into()
    } else {
        format!("clocks of its own: {}", off.join(", "))
    }
}

fn capabilities_kept(of: &Subject<'_>, preset: &Walls) -> Result<Wall> {
    let all = capabilities::all()?;
    let known = of.facts.and_then(|facts| facts.capabilities);
    let decided = of.capabilities().unwrap_or(preset.capabilities);
    let kept = known.unwrap_or(decided) & all;
    let state = match kept {
        kept if kept == all => WallState::Off,
        kept if kept & !capabilities::DEFAULT != 0 => WallState::Partly,
        _ => WallState::On,
    };
    let own = of.asked.namespaces.asked("user") != Some(&Namespace::Host);
    let reach = if own { "over its own namespaces only" } else { "over the host" };
    let names = capabilities::names(kept).join(", ").replace("CAP_", "");
    let says = match kept.count_ones() {
        0 => "none".into(),
        count if state == WallState::Off => format!("all {count} are kept, {reach}"),
        count => format!("{count} of {} are kept, {reach}: {names}", all.count_ones()),
    };
    let why = of.because(of.capabilities().map(|_| "capabilities".into()));
    Ok(Wall { name: "capabilities", state, says, why })
}

fn no_new_privs(of: &Subject<'_>, preset: &Walls) -> Wall {
    let fact = of.facts.and_then(|facts| facts.no_new_privs);
    let off = of.foreign || of.asked.new_privileges || preset.new_privileges;
    let why = of.because(of.asked.new_privileges.then(|| "new_privileges".into()));
    let (state, says) = match off {
        true => (WallState::Off, "setuid programs and file capabilities work"),
        false => (WallState::On, "no setuid program raises anyone's rights"),
    };
    of.wall("no_new_privs", state, says, why, fact)
}

fn seccomp(of: &Subject<'_>, preset: &Walls) -> Wall {
    let fact = of.facts.and_then(|facts| facts.seccomp);
    let Config { seccomp, seccomp_refusal: refusal, preset: named, .. } = of.asked;
    let profile = match (seccomp, &preset.seccomp) {
        _ if of.foreign => None,
        (Some(Seccomp::Unconfined), _) => None,
        (Some(profile), _) => Some(profile.to_string()),
        (None, profile) => profile.as_ref().map(|_| named.name().into()),
    };
    let asked = [
        seccomp.as_ref().map(|profile| format!("seccomp = {profile}")),
        refusal.map(|refusal| format!("refusal = {refusal}")),
    ];
    let asked: Vec<_> = asked.into_iter().flatten().collect();
    let why = of.because((!asked.is_empty()).then(|| asked.join(", ")));
    match (profile, refusal) {
        (None, _) => {
            let inherited = if fact == Some(true) { ", but those that its maker's own filter refuses" } else { "" };
            let says = format!("every system call is let through{inherited}");
            Wall { name: "seccomp", state: WallState::Off, says, why }
        }
        (Some(profile), Some(Refusal::Log)) => {
            let says = format!("profile {profile}, but what it refuses is only logged");
            of.wall("seccomp", WallState::Partly, says, why, fact)
        }
        (Some(profile), refusal) => {
            let refused = refusal.map_or_else(String::new, |refusal| format!(", a refused call gets {refusal}"));
            of.wall("seccomp", WallState::On, format!("profile {profile}{refused}"), why, fact)
        }
    }
}

fn landlock(of: &Subject<'_>, preset: &Walls) -> Wall {
    let name = "Landlock";
    let asked = of.asked.landlock;
    let why = of.because(asked.map(|stands| format!("landlock = {stands}")));
    if of.landlock {
        let says = "a second wall: no mounts, no device nodes, no signals and no abstract sockets beyond";
        return Wall { name, state: WallState::On, says: says.into(), why };
    }
    let wanted = !of.foreign && asked.unwrap_or(preset.landlock);
    let walls = Walls { capabilities: of.capabilities().unwrap_or(preset.capabilities), ..preset.clone() };
    let why = match walls.landlock_or_why() {
        Err(missing) if wanted => missing.into(),
        Ok(_) if wanted => "its maker could not have it, or it is an older ctr".into(),
        _ => why,
    };
    Wall { name, state: WallState::Off, says: String::new(), why }
}

/// Of one of the two security modules that give labels.
fn label(of: &Subject<'_>, name: &'static str, asked: &Option<String>, active: bool) -> Wall {
    let off = |says: &str, why: String| Wall { name, state: WallState::Off, says: says.into(), why };
    match asked {
        None if of.foreign => off("", of.because(None)),
        None if active => {
            off("programs run under the caller's label", "none is asked for, and ctr loads no policy".into())
        }
        None => off("", format!("none is asked for, and this machine has no {name}")),
        Some(_) if !active => off("", format!("this machine has no {name}, and labels are optional")),
        Some(label) => {
            let why = of.because(Some(format!("{} = {label}", name.to_lowercase())));
            if label == "unconfined" {
                return off("programs are not confined by it", why);
            }
            let fact = of.facts.and_then(|facts| facts.label.as_ref()).map(|shown| shown.contains(label.as_str()));
            of.wall(name, WallState::On, format!("programs run under {label}"), why, fact)
        }
    }
}

/// Device nodes: which there are, and whether more can be made.
fn devices(of: &Subject<'_>) -> Wall {
    let name = "devices";
    let shown = of.facts.and_then(|facts| facts.namespace("user"));
    let own_user = shown.map_or(of.asked.namespaces.asked("user") != Some(&Namespace::Host), |user| !user.shared);
    let why = match (own_user, of.landlock) {
        (true, _) => "always: nobody makes device nodes in a user namespace of their own",
        (false, true) => "Landlock: no device node is made, and none outside of /dev is controlled",
        (false, false) => {
            let says = "root inside makes device nodes, where it has CAP_MKNOD, and opens what they stand for";
            let why = of.because(Some("namespace user = host".into()));
            return Wall { name, state: WallState::Off, says: says.into(), why };
        }
    };
    let nodes = of.asked.devices.iter().filter(|device| matches!(device, Device::Node { .. }));
    let given = nodes.map(|device| format!("{device}, "));
    let given: String = given.collect();
    let says = if of.own_root() { "the six of /dev are there, no others can be made" } else { "no others can be made" };
    Wall { name, state: WallState::On, says: given + says, why: why.into() }
}

/// The list of devices in its cgroup.
fn device_list(of: &Subject<'_>) -> Wall {
    let name = "device list";
    let own_user = of.asked.namespaces.asked("user") != Some(&Namespace::Host);
    let asked = match (of.asked.device_list, &of.asked.devices[..]) {
        (DeviceList::Required, _) => Some("device_list = required".into()),
        (DeviceList::Off, _) => Some("device_list = off".into()),
        (DeviceList::Auto, []) if !own_user && of.asked.preset != Preset::Privileged => {
            Some("namespace user = host".into())
        }
        (DeviceList::Auto, []) => None,
        (DeviceList::Auto, devices) => {
            let devices: Vec<_> = devices.iter().map(ToString::to_string).collect();
            Some(format!("devices = {}", devices.join(", ")))
        }
    };
    let because = of.because(asked);
    let (state, says, why) = match of.listed {
        Listed::Stands(rules) => (WallState::On, format!("only these are opened and made: {rules}"), because),
        Listed::Missing(why) => (WallState::Off, String::new(), format!("{because}, but {why}")),
        Listed::NotWanted if of.foreign || !own_user => (WallState::Off, String::new(), because),
        Listed::NotWanted => {
            (WallState::Off, "in a user namespace of its own no node works that is made there".into(), because)
        }
    };
    Wall { name, state, says, why }
}

/// Masked and read-only parts of /proc and /sys.
fn covers(of: &Subject<'_>, preset: &Walls) -> Result<[Wall; 2]> {
    let (masked, read_only) = masks::places()?;
    let asked = of.asked.masked_paths;
    let wanted = !of.foreign && asked.unwrap_or(preset.masks);
    let because = || of.because(asked.map(|stands| format!("masked_paths = {stands}")));
    let wall = |name, places: &[masks::Place], what: &str| {
        if !wanted || !of.own_root() {
            let why = if wanted { "the mount namespace is not its own".into() } else { because() };
            return Wall { name, state: WallState::Off, says: String::new(), why };
        }
        let paths = places.iter().map(masks::Place::path);
        // A procfs of a PID namespace, and a sysfs of a network namespace, don't have them all.
        let stands = |facts: &Facts, path: &str| facts.mount(path).is_some_and(|mount| mount.has("ro"));
        let known = of.facts.filter(|facts| facts.mounts.is_some());
        let there: Vec<_> = paths.filter(|path| known.is_none_or(|facts| stands(facts, path))).collect();
        let fact = known.map(|_| !there.is_empty());
        of.wall(name, WallState::On, format!("{} {what}: {}", there.len(), there.join(", ")), because(), fact)
    };
    Ok([
        wall("masked paths", masked, "places tell nothing"),
        wall("read-only paths", read_only, "places can't be written to"),
    ])
}

fn sysctls(of: &Subject<'_>) -> Wall {
    let set: Vec<_> = of.asked.sysctls.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    let says = if set.is_empty() { "none is set".into() } else { set.join(", ") };
    let why = "always: only those of its own namespaces can be set";
    Wall { name: "sysctls", state: WallState::on(!of.foreign), says, why: why.into() }
}

fn keyring(of: &Subject<'_>, preset: &Walls) -> Wall {
    let own = !of.foreign && preset.own_keyring;
    let says = if own { "keys of the caller's session are not found" } else { "the caller's session keyring" };
    Wall { name: "session keyring", state: WallState::on(own), says: says.into(), why: of.because(None) }
}

fn core_dumps(of: &Subject<'_>, preset: &Walls) -> Wall {
    let core = of.asked.rlimits.iter().rev().find(|limit| limit.is_of(&NO_CORE));
    let none = core.map_or(!of.foreign && !preset.rlimits.is_empty(), |limit| *limit == NO_CORE);
    let fact = of.facts.and_then(|facts| facts.no_core);
    let says = if none { "no process writes one" } else { "processes dump core, as the host's settings say" };
    let why = of.because(core.map(|limit| format!("rlimit {limit}")));
    of.wall("core dumps off", WallState::on(none), says, why, fact)
}

fn rlimits(of: &Subject<'_>) -> Wall {
    // Core files have a line of their own.
    let asked = of.asked.rlimits.iter().filter(|limit| !limit.is_of(&NO_CORE));
    let asked: Vec<_> = asked.map(ToString::to_string).collect();
    let says = if asked.is_empty() { "as the caller's".into() } else { asked.join(", ") };
    let why = of.because((!asked.is_empty()).then(|| "rlimits".into()));
    Wall { name: "rlimits", state: WallState::on(!asked.is_empty()), says, why }
}

fn read_only_root(of: &Subject<'_>, preset: &Walls) -> Wall {
    let asked = of.asked.read_only;
    let wanted = !of.foreign && (asked || preset.read_only) && of.own_root();
    let fact = of.facts.and_then(|facts| Some(facts.mount("/")?.has("ro")));
    let says = if wanted { "its files can't be written to" } else { "its files can be written to" };
    of.wall("read-only root", WallState::on(wanted), says, of.because(asked.then(|| "read_only".into())), fact)
}

fn limit(of: &Subject<'_>, preset: &Walls, which: Limit) -> Wall {
    let (name, unit, asked, preset) = match which {
        Limit::Memory => ("memory limit", "bytes", of.asked.memory.is_some(), preset.memory),
        Limit::Pids => ("process limit", "processes and threads", of.asked.pids.is_some(), preset.pids),
        Limit::Cpus => ("processor limit", "processors' time", of.asked.cpus.is_some(), None),
    };
    let lacks = of.dropped.iter().find(|words| words.contains(name));
    let limit = of.limits[which as usize].filter(|_| lacks.is_none() || of.facts.is_some());
    let says = limit.map_or_else(|| "no limit".into(), |limit| format!("{} {unit}", which.text(limit)));
    let why = match () {
        () if limit.is_none() && lacks.is_some() => {
            format!("the cgroup policy is \"optional\": {}", lacks.map_or("", |it| it))
        }
        () if !of.cgroup && of.asked.cgroup == CgroupPolicy::Off => "asked for: no cgroup".into(),
        () if !of.cgroup && !of.foreign => "no cgroup can be had here: libctr doctor says what is missing".into(),
        () if of.limits[which as usize] != preset && !asked => "changed since it was made".into(),
        () => of.because(asked.then(|| name.into())),
    };
    Wall { name, state: WallState::on(limit.is_some()), says, why }
}

fn binds(of: &Subject<'_>) -> Wall {
    let name = "binds";
    if of.foreign {
        return Wall { name, state: WallState::Off, says: String::new(), why: of.because(None) };
    }
    let closed = |facts: &Facts, target: &str| facts.mount(target).is_none_or(|it| it.has("nosuid") && it.has("nodev"));
    let open: Vec<_> = of.facts.map_or_else(Vec::new, |facts| {
        of.binds.iter().filter(|target| !closed(facts, target)).map(String::as_str).collect()
    });
    let fact = open.is_empty();
    let says = match of.binds.len() {
        0 => "there are none".into(),
        _ if fact => format!("nosuid and nodev: {}", of.binds.join(", ")),
        _ => format!("setuid programs or devices work on {}", open.join(", ")),
    };
    let why = "always: a directory of the host brings neither setuid programs nor devices";
    Wall { name, state: WallState::on(fact), says, why: why.into() }
}

fn descriptors() -> Wall {
    let why = "always: every program is started with those that it is given";
    Wall {
        name: "descriptors closed",
        state: WallState::On,
        says: "none of the host's is open inside".into(),
        why: why.into(),
    }
}

fn pid_1() -> Wall {
    let says = "not dumpable, in a sealed memfd: nobody inside reads, traces or changes it";
    Wall { name: "PID 1", state: WallState::On, says: says.into(), why: "always".into() }
}

/// Said above everything else where a container has no walls but its namespaces.
pub fn warning(preset: Preset, own_user: bool) -> Option<&'static str> {
    match (preset, own_user) {
        (Preset::Privileged, true) => Some(
            "PRIVILEGED: nothing but its namespaces holds this container. Every system call and every capability over them is \
             its own; one bug of the kernel and it is out. For programs that you trust.",
        ),
        (Preset::Privileged, false) => Some(
            "PRIVILEGED, IN THE HOST'S USER NAMESPACE: root inside is root of this machine, with every capability. This is no \
             wall at all.",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(config: &Config, facts: Option<&Facts>) -> Vec<Wall> {
        let subject = Subject {
            asked: config,
            foreign: false,
            landlock: true,
            ids: None,
            cgroup: true,
            listed: &Listed::NotWanted,
            limits: config.limits(),
            dropped: &[],
            binds: Vec::new(),
            facts,
        };
        walls(&subject).unwrap()
    }

    fn named<'a>(walls: &'a [Wall], name: &str) -> &'a Wall {
        walls.iter().find(|wall| wall.name == name).unwrap_or_else(|| panic!("no wall {name}"))
    }

    #[test]
    fn each_wall_has_one_line_and_a_reason() {
        let walls = of(&Config::default(), None);
        let mut names: Vec<_> = walls.iter().map(|wall| wall.name).collect();
        assert!(walls.iter().all(|wall| !wall.why.is_empty()));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), walls.len());
        let text = table(&walls);
        assert!(walls.iter().all(|wall| text.contains(&format!("#   {}", wall.name))), "{text}");
    }

    #[test]
    fn what_the_kernel_does_not_show_is_off_whatever_was_asked() {
        let facts = Facts { seccomp: Some(false), no_new_privs: Some(true), ..Facts::default() };
        let walls = of(&Config::default(), Some(&facts));
        let seccomp = named(&walls, "seccomp");
        assert_eq!(seccomp.state, WallState::Off, "{seccomp:?}");
        assert!(seccomp.says.contains("kernel") && seccomp.why.contains("preset default"), "{seccomp:?}");
        assert_eq!(named(&walls, "no_new_privs").state, WallState::On);
    }

    #[test]
    fn a_reason_is_what_was_asked_for_or_the_preset() {
        let mut config = Config { seccomp: Some(crate::Seccomp::Unconfined), ..Config::default() };
        config.namespaces.net = Namespace::Host;
        let walls = of(&config, None);
        assert_eq!(named(&walls, "seccomp").why, "asked for: seccomp = unconfined");
        assert_eq!(named(&walls, "network namespace").why, "asked for: namespace net = host");
        assert_eq!(named(&walls, "network namespace").state, WallState::Off);
        assert_eq!(named(&walls, "PID namespace").why, "preset default");
        let strict = of(&Config { preset: Preset::Strict, ..Config::default() }, None);
        assert_eq!(named(&strict, "read-only root").why, "preset strict");
        assert!(warning(Preset::Privileged, true).is_some() && warning(Preset::Strict, false).is_none());
    }
}
