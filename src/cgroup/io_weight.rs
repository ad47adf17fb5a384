//! A container's share of block devices that others want too.
//!
//! Two parts of the kernel can keep it: the scheduler BFQ, `blkio.bfq.weight` of v1 and `io.bfq.weight` of v2, for devices that have it
//! (/sys/block/NAME/queue/scheduler), and on v2 the io cost model, `io.weight`, for devices that it is switched on for (io.cost.qos at
//! the root). For other devices the number means nothing. BFQ's weights end at 1000: from 100 on they grow a tenth as fast, as
//! systemd has it. Rests on Documentation/block/bfq-iosched.rst and "IO" of .../cgroup-v2.rst.

use nix::errno::Errno;

use super::control;
use super::controller::{Above, At, Controller, Lack, Rule, Version, Wanted, Written};
use super::cpu_weight::{DEFAULT, MAX, check};
use crate::config::LimitNumbers;
use crate::{Result, Step};

const V1: &str = "blkio.bfq.weight";
const V2: &str = "io.weight";
const V2_BFQ: &str = "io.bfq.weight";
const BFQ_MAX: u64 = 1000;

pub(super) const LIMIT: Rule = Rule {
    controller: Controller::Io,
    noun: "io weight",
    check: |weight| check(Step::SetIoWeight, weight),
    lacks,
    set_first: |at, weight, _| write(at, weight),
    set: |at, weight| {
        let failed = |errno| at.directory().error(Step::Write, files(at.version())[0], errno);
        write(at, weight.unwrap_or(DEFAULT)).map_err(failed)
    },
    get,
    above: Above::Nothing,
    einval: "",
    first_files,
};

fn lacks(wanted: Wanted<'_>) -> Option<Lack> {
    let has = |file: &str| wanted.parent.join(file).exists();
    let lacks = match wanted.version {
        // The root of v1 has no weight, but what BFQ counts.
        Version::V1 => !has(V1) && !has("blkio.bfq.io_service_bytes"),
        // That of v2 has neither.
        Version::V2 => has("io.max") && !has(V2) && !has(V2_BFQ),
    };
    lacks.then_some(Lack {
        why: "nothing in this kernel shares out block devices by weight",
        hint: "it takes the scheduler BFQ: modprobe bfq, and for each device: echo bfq > /sys/block/NAME/queue/scheduler",
    })
}

fn files(version: Version) -> &'static [&'static str] {
    match version {
        Version::V1 => &[V1],
        Version::V2 => &[V2, V2_BFQ],
    }
}

fn bfq(weight: u64) -> u64 {
    if weight <= DEFAULT { weight } else { DEFAULT + (weight - DEFAULT) * (BFQ_MAX - DEFAULT) / (MAX - DEFAULT) }
}

fn from_bfq(weight: u64) -> u64 {
    if weight <= DEFAULT { weight } else { DEFAULT + (weight - DEFAULT) * (MAX - DEFAULT) / (BFQ_MAX - DEFAULT) }
}

fn in_file(file: &str, weight: u64) -> u64 {
    if file == V2 { weight } else { bfq(weight) }
}

/// All that there are, one at least.
fn write(at: At<'_>, weight: u64) -> nix::Result<()> {
    let mut some = false;
    for file in files(at.version()) {
        match control::write(&at.directory().fd, file, &in_file(file, weight).to_string()) {
            Ok(()) => some = true,
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    if some { Ok(()) } else { Err(Errno::ENOENT) }
}

/// "default 100", or the number alone.
fn get(at: At<'_>) -> Result<Option<u64>> {
    for file in files(at.version()) {
        let read = |text: &[u8]| control::keyed(text, "default").or_else(|| control::parse(text.trim_ascii()));
        if let Some(weight) = at.directory().read_if_there(file, read)?.flatten() {
            return Ok(Some(if *file == V2 { weight } else { from_bfq(weight) }));
        }
    }
    Ok(None)
}

fn first_files(version: Version, weight: u64, _: &LimitNumbers) -> Vec<Written> {
    let file = files(version)[0];
    vec![(in_file(file, weight).to_string(), file, "its share of block devices that others want too")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_bfq_are_those_of_systemd() {
        for (weight, in_bfq) in [(1, 1), (100, 100), (111, 101), (5050, 550), (10_000, 1000)] {
            assert_eq!((bfq(weight), from_bfq(in_bfq)), (in_bfq, weight));
        }
    }
}
