//! The lines of the namespaces: its own, another's, or shared with the host, and what is lost by that.

use super::super::ids::Ids;
use super::super::network;
use super::wall::{Subject, Wall, WallState};
use crate::cgroup;
use crate::{Namespace, TimeOffset, TimeOffsets, hints};

/// A kind of namespace, its name here, what one of its own is good for, and what is lost where it is shared.
pub(super) const NAMESPACES: [(&str, &str, &str, &str); 7] = [
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

pub(super) fn user_namespace(of: &Subject<'_>) -> Wall {
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

pub(super) fn namespace(of: &Subject<'_>, (kind, name, own, lost): (&str, &'static str, &str, &str)) -> Wall {
    let source = of.asked.namespaces.asked(kind);
    let network = network::chosen(of.asked).filter(|_| kind == "net");
    let asked = source.map(|source| format!("namespace {kind} = {source}"));
    let why = of.because(asked.or_else(|| network.map(|network| format!("network = {network}"))));
    let shared = of.facts.and_then(|facts| facts.namespace(kind)).map(|namespace| namespace.shared);
    let host = || Wall { name, state: WallState::Off, says: format!("shared with the host: {lost}"), why: why.clone() };
    match source {
        Some(&Namespace::Host) => host(),
        // The clocks are shared by default.
        None if kind == "time" && shared != Some(false) => host(),
        Some(Namespace::New) | None => {
            let asked = Some(of.asked.time_offsets).filter(|offsets| *offsets != TimeOffsets::default());
            let offsets = of.facts.map_or(asked, |facts| facts.time_offsets);
            let says = match (offsets, &of.asked.domainname, network) {
                (Some(offsets), ..) if kind == "time" => clocks(&offsets),
                (_, Some(domain), _) if kind == "uts" => format!("{own}, the domain name {domain}"),
                (.., Some(network)) => format!("{own}, and the members of the network {network}"),
                _ if kind == "cgroup" => cgroup_seen(of).unwrap_or(own).into(),
                _ => own.into(),
            };
            of.wall(name, WallState::On, says, why, shared.map(|shared| !shared))
        }
        Some(_) if shared == Some(true) => host(),
        Some(_) => Wall { name, state: WallState::Partly, says: "another's".into(), why },
    }
}

/// What it sees of its cgroup, where that is known.
fn cgroup_seen(of: &Subject<'_>) -> Option<&'static str> {
    let mounts = of.facts.map(|facts| facts.mounts.as_deref());
    let is_shown = match mounts {
        Some(mounts) => cgroup::is_shown(mounts?),
        None => of.cgroup && of.own_root(),
    };
    Some(match is_shown {
        true => "its own cgroup is the root of the tree it sees, read-only at /sys/fs/cgroup",
        false if of.cgroup => "its own cgroup is the root of the tree it sees; nothing is mounted at /sys/fs/cgroup",
        false => "it has no cgroup of its own, and nothing is mounted at /sys/fs/cgroup",
    })
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
