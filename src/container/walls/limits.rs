//! The lines of limits: those of its cgroup, and of each process.

use super::wall::{Subject, Wall, WallState};
use crate::security::Walls;
use crate::security::rlimits::NO_CORE;
use crate::{CgroupPolicy, Limit};

pub(super) fn rlimits(of: &Subject<'_>) -> Wall {
    // Core files have a line of their own.
    let asked = of.asked.rlimits.iter().filter(|limit| !limit.is_of(&NO_CORE));
    let asked: Vec<_> = asked.map(ToString::to_string).collect();
    let says = if asked.is_empty() { "as the caller's".into() } else { asked.join(", ") };
    let why = of.because((!asked.is_empty()).then(|| "rlimits".into()));
    Wall { name: "rlimits", state: WallState::on(!asked.is_empty()), says, why }
}

pub(super) fn limit(of: &Subject<'_>, preset: &Walls, which: Limit) -> Wall {
    let (name, unit, asked, preset) = match which {
        Limit::Memory => ("memory limit", "bytes", of.asked.memory.is_some(), preset.memory),
        Limit::Pids => ("process limit", "processes and threads", of.asked.pids.is_some(), preset.pids),
        Limit::Cpus => ("processor limit", "processors' time", of.asked.cpus.is_some(), None),
    };
    let lacks = of.dropped.iter().find(|words| words.strip_prefix("the ").is_some_and(|words| words.starts_with(name)));
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
