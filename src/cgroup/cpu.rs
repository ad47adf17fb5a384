//! The limit of processor time: how many processors' worth the programs of a container have together. Who has had its share of
//! a period of 100 ms waits for the next one; nothing is refused, and nothing is killed.
//!
//! Rests on Documentation/scheduler/sched-bwc.rst and "CPU Interface Files" of Documentation/admin-guide/cgroup-v2.rst.

use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::errno::Errno;

use super::control;
use super::controller::{Above, At, Controller, Row, Rule, Version, When, Written, nothing_lacks};
use super::directory::Directory;
use super::psi::pressure;
use super::stats::Stats;
use crate::config::LimitNumbers;
use crate::{Error, Result, Step};

const V1_QUOTA: &str = "cpu.cfs_quota_us";
const V1_PERIOD: &str = "cpu.cfs_period_us";
const V2_MAX: &str = "cpu.max";

/// What a period is where nobody has said otherwise, in microseconds.
const PERIOD: u64 = 100_000;

/// The smallest limit, in thousandths of a processor: the kernel takes no quota of less than a millisecond.
pub(super) const MIN: u64 = 10;

/// The largest: no machine has as many processors, NR_CPUS of arch/x86/Kconfig.
pub(super) const MAX: u64 = 8192 * 1000;

pub(super) const ROW: Row = Row {
    name: "cpu",
    v1_name: "cpu",
    on_v1: When::Limited,
    on_v2: When::Limited,
    late_on_v1: false,
    v2_file: V2_MAX,
    purpose: "its cpu cgroup: its programs' time is counted here",
    count,
};

pub(super) const LIMIT: Rule = Rule {
    controller: Controller::Cpu,
    noun: "processor",
    check,
    lacks: nothing_lacks,
    set_first,
    set,
    get,
    above: Above::Bounds,
    einval: ABOVE,
    first_files,
};

fn check(limit: u64) -> Result<()> {
    if (MIN..=MAX).contains(&limit) {
        return Ok(());
    }
    let why = format!("it is {MIN} (0.01 of a processor) at the least, {MAX} at the most");
    Err(Error::invalid(Step::SetProcessorLimit, limit, why)
        .with_hint("it counts thousandths of a processor; for no limit leave it out, or give CTR_UNLIMITED or None"))
}

/// The period of a new directory is [`PERIOD`].
fn set_first(at: At<'_>, limit: u64, _: &LimitNumbers) -> nix::Result<()> {
    let (file, text) = first(at.version(), limit);
    control::write(&at.directory().fd, file, &text)
}

fn first(version: Version, limit: u64) -> (&'static str, String) {
    let quota = limit * PERIOD / 1000;
    match version {
        Version::V1 => (V1_QUOTA, quota.to_string()),
        Version::V2 => (V2_MAX, format!("{quota} {PERIOD}")),
    }
}

fn first_files(version: Version, limit: u64, _: &LimitNumbers) -> Vec<Written> {
    let (file, text) = first(version, limit);
    let text = if version == Version::V2 { format!("\"{text}\"") } else { text };
    vec![(text, file, "microseconds of processor time that it has in each tenth of a second")]
}

fn set(at: At<'_>, limit: Option<u64>) -> Result<()> {
    let directory = at.directory();
    let (file, text) = match (at.version(), limit) {
        (version, None) => {
            let (file, unlimited) = unlimited(version);
            (file, unlimited.into())
        }
        (Version::V1, Some(limit)) => (V1_QUOTA, (limit * period(directory)? / 1000).to_string()),
        (version, Some(limit)) => first(version, limit),
    };
    control::write(&directory.fd, file, &text).map_err(|errno| {
        let error = directory.error(Step::Write, file, errno);
        // tg_cfs_schedulable_down of kernel/sched/core.c; on v2 the lower of both holds.
        if errno == Errno::EINVAL { error.with_hint(ABOVE) } else { error }
    })
}

/// Lifts the limit of what is to die, which takes processor time too. A cgroup above may have one still, which nobody lifts.
pub(super) fn lift(at: At<'_>) {
    let (file, unlimited) = unlimited(at.version());
    _ = control::write(&at.directory().fd, file, unlimited);
}

/// Lifts the limit for a while: what it was, for [`put_back`]; nothing where there is none, or nobody may.
pub(super) fn suspend(at: At<'_>) -> Option<[u64; 2]> {
    let (file, unlimited) = unlimited(at.version());
    let [quota, period] = control::read_numbers(&at.directory().fd, file).ok()?;
    let quota = quota?;
    let period = match at.version() {
        Version::V1 => self::period(at.directory()).ok(),
        Version::V2 => period,
    };
    control::write(&at.directory().fd, file, unlimited).ok()?;
    Some([quota, period.unwrap_or(PERIOD)])
}

/// Sets the limit again that [`suspend`] has lifted, unless there is another one by now.
pub(super) fn put_back(at: At<'_>, [quota, period]: [u64; 2]) {
    let (file, _) = unlimited(at.version());
    if !matches!(control::read_numbers(&at.directory().fd, file), Ok([None, _])) {
        return;
    }
    let text = match at.version() {
        Version::V1 => quota.to_string(),
        Version::V2 => format!("{quota} {period}"),
    };
    _ = control::write(&at.directory().fd, file, &text);
}

/// The file that limits, open for writing: see `LIMITED` of `wire`.
pub(super) fn open_limit(at: At<'_>) -> nix::Result<OwnedFd> {
    let (file, _) = unlimited(at.version());
    control::open_for_writing(&at.directory().fd, file)
}

fn unlimited(version: Version) -> (&'static str, &'static str) {
    match version {
        Version::V1 => (V1_QUOTA, "-1"),
        Version::V2 => (V2_MAX, "max"),
    }
}

const ABOVE: &str = "on cgroup v1 it can't be more than a cgroup above has: see cpu.cfs_quota_us there";

fn get(at: At<'_>) -> Result<Option<u64>> {
    let directory = at.directory();
    let (quota, period) = match at.version() {
        Version::V1 => (numbers(directory, V1_QUOTA)?[0], Some(period(directory)?)),
        Version::V2 => numbers(directory, V2_MAX)?.into(),
    };
    Ok(quota.map(|quota| thousandths([quota, period.unwrap_or(PERIOD)])))
}

/// How many thousandths of a processor a quota in each period is.
pub(super) fn thousandths([quota, period]: [u64; 2]) -> u64 {
    quota * 1000 / period.max(1)
}

fn period(directory: &Directory) -> Result<u64> {
    Ok(numbers(directory, V1_PERIOD)?[0].unwrap_or(PERIOD))
}

fn numbers(directory: &Directory, file: &str) -> Result<[Option<u64>; 2]> {
    control::read_numbers(&directory.fd, file).map_err(|errno| directory.error(Step::Read, file, errno))
}

fn count(at: At<'_>, stats: &mut Stats) -> Result<()> {
    let (directory, cpu) = (at.directory(), &mut stats.cpu);
    directory.read_if_there("cpu.stat", |text| {
        let key = |key| control::keyed(text, key);
        (cpu.periods, cpu.throttled_periods) = (key("nr_periods"), key("nr_throttled"));
        cpu.throttled = match at.version() {
            Version::V1 => key("throttled_time").map(Duration::from_nanos),
            Version::V2 => key("throttled_usec").map(Duration::from_micros),
        };
        // v2 counts it in every directory, with the controller or without.
        cpu.user = key("user_usec").map(Duration::from_micros);
        cpu.system = key("system_usec").map(Duration::from_micros);
    })?;
    if at.version() == Version::V2 {
        stats.pressure.cpu = pressure(directory, "cpu.pressure")?;
        return Ok(());
    }
    // There where both controllers are mounted together.
    let read =
        |text: &[u8]| [cpu.user, cpu.system] = ["user", "system"].map(|key| control::keyed(text, key).map(ticks));
    directory.read_if_there("cpuacct.stat", read).map(drop)
}

/// Times of processors are told in ticks of USER_HZ, which is 100 on x86.
pub(super) fn ticks(count: u64) -> Duration {
    Duration::from_millis(count * 10)
}
