//! The lines of what files and devices are seen and opened: devices, covered places, the root, and what is mounted of the host.

use super::super::state::Listed;
use super::facts::Facts;
use super::wall::{Subject, Wall, WallState};
use crate::security::{Walls, masks};
use crate::{Device, DeviceList, Namespace, Preset, Result};

/// Device nodes: which there are, and whether more can be made.
pub(super) fn devices(of: &Subject<'_>) -> Wall {
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
pub(super) fn device_list(of: &Subject<'_>) -> Wall {
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
pub(super) fn covers(of: &Subject<'_>, preset: &Walls) -> Result<[Wall; 2]> {
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

pub(super) fn read_only_root(of: &Subject<'_>, preset: &Walls) -> Wall {
    let asked = of.asked.read_only;
    let wanted = !of.foreign && (asked || preset.read_only) && of.own_root();
    let fact = of.facts.and_then(|facts| Some(facts.mount("/")?.has("ro")));
    let says = if wanted { "its files can't be written to" } else { "its files can be written to" };
    of.wall("read-only root", WallState::on(wanted), says, of.because(asked.then(|| "read_only".into())), fact)
}

pub(super) fn binds(of: &Subject<'_>) -> Wall {
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
