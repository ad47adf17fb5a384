//! The memory above which a container is slowed down: it has to reclaim what it allocates, and waits for that; nothing is killed.
//!
//! v2 only, `memory.high`. What v1 calls a soft limit slows nobody down: it is `memory_low`'s. Rests on "Memory Interface Files" of
//! Documentation/admin-guide/cgroup-v2.rst.

use super::control;
use super::controller::{Above, At, Controller, Lack, Rule, Version, Wanted, Written};
use super::memory;
use crate::config::LimitNumbers;
use crate::{Result, Step};

const FILE: &str = "memory.high";

pub(super) const LIMIT: Rule = Rule {
    controller: Controller::Memory,
    noun: "memory_high",
    check: |limit| memory::check(Step::SetMemoryHigh, limit),
    lacks,
    set_first: |at, limit, _| control::write(&at.directory().fd, FILE, &limit.to_string()),
    set,
    get,
    above: Above::Bounds,
    einval: "",
    first_files,
};

fn lacks(wanted: Wanted<'_>) -> Option<Lack> {
    (wanted.version == Version::V1).then_some(Lack {
        why: "cgroup v1 has nothing that slows a container down at so much memory",
        hint: "limit its memory; or memory_low says from where on it is reclaimed when the machine has too little",
    })
}

fn set(at: At<'_>, limit: Option<u64>) -> Result<()> {
    match at {
        // There is none to be lifted.
        At::V1(_) => Ok(()),
        At::V2(directory) => directory.write(FILE, &limit.map_or_else(|| "max".into(), |bytes| bytes.to_string())),
    }
}

fn get(at: At<'_>) -> Result<Option<u64>> {
    match at {
        At::V1(_) => Ok(None),
        At::V2(directory) => directory.read_number(FILE),
    }
}

fn first_files(_: Version, limit: u64, _: &LimitNumbers) -> Vec<Written> {
    vec![(limit.to_string(), FILE, "above so much memory it is reclaimed from, and waits for it")]
}
