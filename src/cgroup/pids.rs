//! The limit of processes and threads. Fewer than there are is no error: fork(2) then fails inside until enough have ended.

use super::control;
use super::controller::{Above, Controller, Row, Rule, Version, When, Written, nothing_lacks};
use crate::config::LimitNumbers;
use crate::{Error, Result, Step};

pub(super) const FILE: &str = "pids.max";

/// The smallest limit: PID 1 and one program.
pub(super) const MIN: u64 = 2;

/// The largest limit, PID_MAX_LIMIT of include/linux/threads.h; `pids.max` refuses more.
pub(super) const MAX: u64 = 4 << 20;

pub(super) const ROW: Row = Row {
    name: "pids",
    v1_name: "pids",
    on_v1: When::Limited,
    on_v2: When::Always,
    late_on_v1: true,
    v2_file: FILE,
    purpose: "its pids cgroup: processes and threads are counted here",
    count: |at, stats| {
        stats.pids.current = at.directory().count("pids.current")?;
        Ok(())
    },
};

pub(super) const LIMIT: Rule = Rule {
    controller: Controller::Pids,
    noun: "process",
    check,
    lacks: nothing_lacks,
    set_first: |at, limit, _| control::write(&at.directory().fd, FILE, &limit.to_string()),
    set: |at, limit| at.directory().write(FILE, &limit.map_or_else(|| "max".into(), |count| count.to_string())),
    get: |at| at.directory().read_number(FILE),
    above: Above::Bounds,
    einval: "",
    first_files,
};

fn first_files(_: Version, limit: u64, _: &LimitNumbers) -> Vec<Written> {
    vec![(limit.to_string(), FILE, "so many processes and threads: no fork bomb")]
}

/// Refuses a limit that no container can live with, or that the kernel doesn't take.
fn check(limit: u64) -> Result<()> {
    if (MIN..=MAX).contains(&limit) {
        return Ok(());
    }
    let why = format!("it is {MIN} (the container's PID 1 and one program) at the least, {MAX} at the most");
    Err(Error::invalid(Step::SetPidsLimit, limit, why)
        .with_hint("for no limit leave it out, or give CTR_UNLIMITED or None"))
}
