//! The lines of limits: those of its cgroup, and of each process.

use super::wall::{Subject, Wall, WallState};
use crate::security::Walls;
use crate::security::rlimits::NO_CORE;
use crate::{CgroupPolicy, Limit, ListLimit, Rlimit};

pub(super) fn rlimits(of: &Subject<'_>, preset: &Walls) -> Wall {
    // What stands in for limits of the preset that take a cgroup.
    let stands_in = |limit: &&Rlimit| {
        let pairs = [(Limit::Pids, "nproc", preset.pids), (Limit::Memory, "data", preset.memory)];
        pairs.into_iter().any(|(which, name, value)| {
            of.asked.limits()[which as usize].is_none()
                && value.is_some()
                && Rlimit::new(name, value, value).is_ok_and(|it| it == **limit)
        })
    };
    // Core files have a line of their own.
    let all = || of.asked.rlimits.iter().filter(|limit| !limit.is_of(&NO_CORE));
    let there: Vec<_> = all().map(ToString::to_string).collect();
    let says = if there.is_empty() { "as the caller's".into() } else { there.join(", ") };
    let why = of.because((!all().all(|limit| stands_in(&limit))).then(|| "rlimits".into()));
    Wall { name: "rlimits", state: WallState::on(!there.is_empty()), says, why }
}

/// A limit that is a number: those of memory, processes and time of processors always, others where there is one, or was to be.
pub(super) fn limit(of: &Subject<'_>, preset: &Walls, which: Limit) -> Option<Wall> {
    let (name, unit, preset, always) = match which {
        Limit::Memory => ("memory limit", "bytes", preset.memory, true),
        Limit::Pids => ("process limit", "processes and threads", preset.pids, true),
        Limit::Cpus => ("processor limit", "processors' time", None, true),
        Limit::MemoryHigh => ("memory_high limit", "bytes, and it is slowed down above", None, false),
        Limit::MemoryLow => ("memory_low limit", "bytes are reclaimed last", None, false),
        Limit::Swap => ("swap limit", "bytes", None, false),
        Limit::CpuWeight => ("processor weight limit", "of 10000, where others have 100", None, false),
        Limit::IoWeight => ("io weight limit", "of 10000, where others have 100", None, false),
    };
    let asked = of.asked.limits()[which as usize].is_some();
    let number = of.limits[which as usize];
    // Without a word of it, there is no swap where memory is limited, and everybody has the same weight.
    let usual = match which {
        Limit::Swap => number.is_none_or(|bytes| bytes == 0),
        Limit::CpuWeight | Limit::IoWeight => number.is_none_or(|weight| weight == 100),
        _ => number.is_none(),
    };
    if !always && !asked && usual {
        return None;
    }
    let says = number.map(|limit| format!("{} {unit}", which.text(limit)));
    Some(told(of, name, says, asked, number != preset && !asked))
}

/// A limit that is a list, where there is one or was to be.
pub(super) fn list(of: &Subject<'_>, which: ListLimit) -> Option<Wall> {
    let name = match which {
        ListLimit::Cpuset => "cpuset limit",
        ListLimit::CpusetMems => "cpuset_mems limit",
        ListLimit::Io => "io limit",
        ListLimit::Hugetlb => "hugetlb limit",
    };
    let asked = of.asked.list_limits()[which as usize].is_some();
    let list = &of.lists[which as usize];
    let says = list.as_ref().map(|list| list.lines().collect::<Vec<_>>().join(", "));
    (asked || says.is_some()).then(|| told(of, name, says, asked, !asked))
}

fn told(of: &Subject<'_>, name: &'static str, says: Option<String>, asked: bool, changed: bool) -> Wall {
    let lacks = of.dropped.iter().find(|words| words.strip_prefix("the ").is_some_and(|words| words.starts_with(name)));
    let says = says.filter(|_| lacks.is_none() || of.facts.is_some());
    let why = match (&says, lacks) {
        (None, Some(words)) => format!("the cgroup policy is \"optional\": {words}"),
        _ if !of.cgroup && of.asked.cgroup == CgroupPolicy::Off => "asked for: no cgroup".into(),
        _ if !of.cgroup && !of.foreign => "no cgroup can be had here: libctr doctor says what is missing".into(),
        _ if changed => "changed since it was made".into(),
        _ => of.because(asked.then(|| name.into())),
    };
    let state = WallState::on(says.is_some());
    Wall { name, state, says: says.unwrap_or_else(|| "no limit".into()), why }
}
