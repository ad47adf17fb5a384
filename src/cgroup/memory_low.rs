//! The memory that is a container's own while others can give some: above it the container is reclaimed from first. It is a bid and
//! no promise: where nobody else has anything to give, it is reclaimed from as well.
//!
//! v2 has `memory.low`, v1 the soft limit, which says the same from the other side ("control groups are pushed back to their soft
//! limits"), Documentation/admin-guide/cgroup-v1/memory.rst; docker's `--memory-reservation` and the OCI runtime specification's
//! `memory.reservation` are both of them. Without one v2 protects nothing, v1 everything.

use super::control;
use super::controller::{Above, At, Controller, Rule, Version, Written, nothing_lacks};
use super::memory::limit_v1;
use crate::config::LimitNumbers;
use crate::{Error, Result, Step};

const V1: &str = "memory.soft_limit_in_bytes";
const V2: &str = "memory.low";

pub(super) const LIMIT: Rule = Rule {
    controller: Controller::Memory,
    noun: "memory_low",
    check,
    lacks: nothing_lacks,
    set_first: |at, limit, _| control::write(&at.directory().fd, file(at.version()), &limit.to_string()),
    set,
    get,
    above: Above::Gives,
    einval: "",
    first_files,
};

fn file(version: Version) -> &'static str {
    match version {
        Version::V1 => V1,
        Version::V2 => V2,
    }
}

fn check(limit: u64) -> Result<()> {
    if limit > 0 {
        return Ok(());
    }
    Err(Error::invalid(Step::SetMemoryLow, limit, "nothing of it would be the container's own")
        .with_hint("for that leave it out, or give CTR_UNLIMITED or None"))
}

fn set(at: At<'_>, limit: Option<u64>) -> Result<()> {
    let none = if at.version() == Version::V1 { "-1" } else { "0" };
    at.directory().write(file(at.version()), &limit.map_or_else(|| none.into(), |bytes| bytes.to_string()))
}

fn get(at: At<'_>) -> Result<Option<u64>> {
    match at {
        At::V1(directory) => limit_v1(directory, V1),
        At::V2(directory) => Ok(directory.read_number(V2)?.filter(|bytes| *bytes > 0)),
    }
}

fn first_files(version: Version, limit: u64, _: &LimitNumbers) -> Vec<Written> {
    vec![(limit.to_string(), file(version), "what it has above that is reclaimed first, where memory is short")]
}
