//! Every wall of a container, on or off, and why: what `explain` prints of one that could be made, and `inspect` of one that
//! runs.
//!
//! What was asked for is known from the configuration, which the record that its maker left has too; what stands is read
//! from the kernel where it tells ([`Facts`]), so a joiner is told what is, and not what was meant. A wall that is added
//! anywhere in ctr gets a line here.

mod devices;
mod facts;
mod kernel;
mod limits;
mod namespaces;
mod wall;

pub use facts::Facts;
pub use wall::{Subject, Wall, WallState};

use std::fmt::Write;

use crate::error::line;
use crate::security::labels;
use crate::{Limit, ListLimit, Preset, Result};
use devices::{binds, covers, device_list, devices, read_only_root};
use kernel::{
    capabilities_kept, core_dumps, descriptors, keyring, label, landlock, no_new_privs, pid_1, seccomp, sysctls,
};
use limits::{limit, list, rlimits};
use namespaces::{NAMESPACES, namespace, user_namespace};

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
        rlimits(of, &preset),
        read_only_root(of, &preset),
    ]);
    walls.extend(Limit::ALL.into_iter().filter_map(|which| limit(of, &preset, which)));
    walls.extend(ListLimit::ALL.into_iter().filter_map(|which| list(of, which)));
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
    use crate::Config;
    use crate::container::state::Listed;

    fn of(config: &Config, facts: Option<&Facts>) -> Vec<Wall> {
        let subject = Subject {
            asked: config,
            foreign: false,
            landlock: true,
            ids: None,
            cgroup: true,
            listed: &Listed::NotWanted,
            limits: config.limits(),
            lists: config.list_limits(),
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
        config.namespaces.net = crate::Namespace::Host;
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
