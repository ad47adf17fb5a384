//! The lines of what the kernel refuses to a program: capabilities, system calls, labels, keys, cores, and PID 1 itself.

use super::wall::{Subject, Wall, WallState};
use crate::security::rlimits::NO_CORE;
use crate::security::{Walls, capabilities};
use crate::{Config, Namespace, Refusal, Result, Seccomp};

pub(super) fn capabilities_kept(of: &Subject<'_>, preset: &Walls) -> Result<Wall> {
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

pub(super) fn no_new_privs(of: &Subject<'_>, preset: &Walls) -> Wall {
    let fact = of.facts.and_then(|facts| facts.no_new_privs);
    let off = of.foreign || of.asked.new_privileges || preset.new_privileges;
    let why = of.because(of.asked.new_privileges.then(|| "new_privileges".into()));
    let (state, says) = match off {
        true => (WallState::Off, "setuid programs and file capabilities work"),
        false => (WallState::On, "no setuid program raises anyone's rights"),
    };
    of.wall("no_new_privs", state, says, why, fact)
}

pub(super) fn seccomp(of: &Subject<'_>, preset: &Walls) -> Wall {
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

pub(super) fn landlock(of: &Subject<'_>, preset: &Walls) -> Wall {
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
pub(super) fn label(of: &Subject<'_>, name: &'static str, asked: &Option<String>, active: bool) -> Wall {
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

pub(super) fn sysctls(of: &Subject<'_>) -> Wall {
    let set: Vec<_> = of.asked.sysctls.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    let says = if set.is_empty() { "none is set".into() } else { set.join(", ") };
    let why = "always: only those of its own namespaces can be set";
    Wall { name: "sysctls", state: WallState::on(!of.foreign), says, why: why.into() }
}

pub(super) fn keyring(of: &Subject<'_>, preset: &Walls) -> Wall {
    let own = !of.foreign && preset.own_keyring;
    let says = if own { "keys of the caller's session are not found" } else { "the caller's session keyring" };
    Wall { name: "session keyring", state: WallState::on(own), says: says.into(), why: of.because(None) }
}

pub(super) fn core_dumps(of: &Subject<'_>, preset: &Walls) -> Wall {
    let core = of.asked.rlimits.iter().rev().find(|limit| limit.is_of(&NO_CORE));
    let none = core.map_or(!of.foreign && !preset.rlimits.is_empty(), |limit| *limit == NO_CORE);
    let fact = of.facts.and_then(|facts| facts.no_core);
    let says = if none { "no process writes one" } else { "processes dump core, as the host's settings say" };
    let why = of.because(core.map(|limit| format!("rlimit {limit}")));
    of.wall("core dumps off", WallState::on(none), says, why, fact)
}

pub(super) fn descriptors() -> Wall {
    let why = "always: every program is started with those that it is given";
    Wall {
        name: "descriptors closed",
        state: WallState::On,
        says: "none of the host's is open inside".into(),
        why: why.into(),
    }
}

pub(super) fn pid_1() -> Wall {
    let says = "not dumpable, in a sealed memfd: nobody inside reads, traces or changes it";
    Wall { name: "PID 1", state: WallState::On, says: says.into(), why: "always".into() }
}
