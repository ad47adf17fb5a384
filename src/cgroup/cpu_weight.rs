//! A container's share of processors that others want too. Where nobody else wants them it may have them all.
//!
//! v2 has `cpu.weight`, 1 to 10000, v1 `cpu.shares`, 2 to 262144. 100 and 1024 are what a cgroup has without being asked, and the kernel
//! itself takes one for the other in that proportion (`cpu_weight_write_u64` of kernel/sched/core.c), so containers of both kinds
//! have the same shares beside each other.

use super::control;
use super::controller::{Above, At, Controller, Rule, Version, Written, nothing_lacks};
use crate::config::LimitNumbers;
use crate::{Error, Result, Step};

const V1: &str = "cpu.shares";
const V2: &str = "cpu.weight";

/// What a cgroup has without being asked.
pub(super) const DEFAULT: u64 = 100;
const V1_DEFAULT: u64 = 1024;
/// CGROUP_WEIGHT_MAX of include/linux/cgroup.h.
pub(super) const MAX: u64 = 10_000;

pub(super) const LIMIT: Rule = Rule {
    controller: Controller::Cpu,
    noun: "processor weight",
    check: |weight| check(Step::SetProcessorWeight, weight),
    lacks: nothing_lacks,
    set_first: |at, weight, _| {
        let (file, text) = written(at.version(), weight);
        control::write(&at.directory().fd, file, &text)
    },
    set: |at, weight| {
        let (file, text) = written(at.version(), weight.unwrap_or(DEFAULT));
        at.directory().write(file, &text)
    },
    get,
    above: Above::Nothing,
    einval: "",
    first_files,
};

/// Refuses what is no weight.
pub(super) fn check(step: Step, weight: u64) -> Result<()> {
    if (1..=MAX).contains(&weight) {
        return Ok(());
    }
    Err(Error::invalid(step, weight, format!("it is 1 at the least, {MAX} at the most"))
        .with_hint(format!("{DEFAULT} is what others have; for that leave it out, or give CTR_UNLIMITED or None")))
}

fn written(version: Version, weight: u64) -> (&'static str, String) {
    match version {
        Version::V1 => (V1, of_default(weight, V1_DEFAULT, DEFAULT).to_string()),
        Version::V2 => (V2, weight.to_string()),
    }
}

/// DIV_ROUND_CLOSEST_ULL of the kernel.
fn of_default(number: u64, to: u64, from: u64) -> u64 {
    (number * to + from / 2) / from
}

fn get(at: At<'_>) -> Result<Option<u64>> {
    match at {
        At::V1(directory) => {
            let shares = directory.read_number(V1)?;
            Ok(shares.map(|shares| of_default(shares, DEFAULT, V1_DEFAULT).clamp(1, MAX)))
        }
        // 0 is a cgroup that gets what nobody else wants, cpu.idle.
        At::V2(directory) => Ok(directory.read_number(V2)?.map(|weight| weight.max(1))),
    }
}

fn first_files(version: Version, weight: u64, _: &LimitNumbers) -> Vec<Written> {
    let (file, text) = written(version, weight);
    vec![(text, file, "its share of processors that others want too")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weight_is_the_same_after_its_way_through_shares() {
        for weight in 1..=MAX {
            let shares: u64 = written(Version::V1, weight).1.parse().unwrap();
            assert!((2..=262_144).contains(&shares), "{weight}: {shares}");
            assert_eq!(of_default(shares, DEFAULT, V1_DEFAULT), weight);
        }
        assert_eq!(written(Version::V1, 100).1, "1024");
    }
}
