//! Block devices: how fast a container may use each, and what was read from it and written to it.
//!
//! v2 has a line for each device in `io.max`, v1 four files, `blkio.throttle.*_device`. Nothing is refused: what is above the rate waits.
//! Only whole devices have rates, so a path means the disk that it lies on. v1 counts what reaches the device on a process's own
//! account: reads, and writes past the page cache (O_DIRECT, O_SYNC); what the kernel writes back later is nobody's there, and
//! the memory cgroup's on v2. Rests on Documentation/admin-guide/cgroup-v1/blkio-controller.rst and "IO Interface Files" of
//! .../cgroup-v2.rst.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::control;
use super::controller::{At, Controller, ListRule, Row, Version, When};
use super::directory::Directory;
use super::psi::pressure;
use super::stats::Stats;
use crate::plan::quote;
use crate::{Error, IoLimit, Result, Step};

/// In the order of [`IoLimit::RATES`].
const V1: [&str; 4] = [
    "blkio.throttle.read_bps_device",
    "blkio.throttle.write_bps_device",
    "blkio.throttle.read_iops_device",
    "blkio.throttle.write_iops_device",
];
const V2: &str = "io.max";
const WHY: &str = "what it may read and write of this device in a second";

pub(super) const ROW: Row = Row {
    name: "io",
    v1_name: "blkio",
    on_v1: When::Limited,
    on_v2: When::Limited,
    late_on_v1: false,
    v2_file: V2,
    purpose: "its blkio cgroup: how fast it may use block devices",
    count,
};

pub(super) const LIMIT: ListRule = ListRule {
    controller: Controller::Io,
    noun: "io",
    read,
    set,
    set_first,
    get: |at| Ok(text(&rates(at)?)),
    narrow,
    commands,
};

/// Rates by device, "MAJOR:MINOR".
type Rates = BTreeMap<String, [Option<u64>; 4]>;

/// A line for each device, which is named by its numbers.
fn read(list: &str) -> Result<String> {
    let mut all = Rates::new();
    for line in list.lines().filter(|line| !line.trim().is_empty()) {
        let limit: IoLimit = line.parse()?;
        let rates = all.entry(disk(&limit.device)?).or_default();
        for (rate, new) in rates.iter_mut().zip(limit.rates()) {
            *rate = new.or(*rate);
        }
    }
    if all.is_empty() {
        return Err(Error::invalid(Step::LimitIo, list.trim(), "it names no device"));
    }
    all.values_mut().flatten().for_each(|rate| *rate = rate.filter(|rate| *rate < u64::MAX));
    Ok(text(&all).unwrap_or_default())
}

fn text(all: &Rates) -> Option<String> {
    let limited = all.iter().filter(|(_, rates)| rates.iter().any(Option::is_some));
    let lines: Vec<_> = limited.map(|(disk, rates)| IoLimit::with_rates(disk, *rates).to_string()).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn parse(list: &str) -> Rates {
    let limits = list.lines().filter_map(|line| line.parse::<IoLimit>().ok());
    let rates = |limit: &IoLimit| limit.rates().map(|rate| rate.filter(|rate| *rate < u64::MAX));
    limits.map(|limit| (limit.device.display().to_string(), rates(&limit))).collect()
}

/// The numbers of a disk: of a device itself, or of the one that a file lies on; of a partition they are those of the whole.
fn disk(device: &Path) -> Result<String> {
    let named = device.display().to_string();
    let bad = |why: &str| Error::invalid(Step::LimitIo, &named, why);
    let sysfs = Path::new("/sys/dev/block");
    let numbers = match device.to_str().filter(|text| text.contains(':') && !text.contains('/')) {
        Some(text) => {
            let (major, minor) = text.split_once(':').unwrap_or_default();
            let number = |text: &str| text.parse::<u32>().ok();
            let (Some(major), Some(minor)) = (number(major), number(minor)) else {
                return Err(bad("it is neither a path nor MAJOR:MINOR"));
            };
            (major, minor)
        }
        None => {
            let found = std::fs::metadata(device).map_err(|e| Error::io(Step::LimitIo, &named, &e))?;
            let kind = found.file_type();
            if kind.is_char_device() {
                return Err(bad("it is no block device"));
            }
            let numbers = if kind.is_block_device() { found.rdev() } else { found.dev() };
            (libc::major(numbers), libc::minor(numbers))
        }
    };
    let text = format!("{}:{}", numbers.0, numbers.1);
    if numbers.0 == 0 {
        return Err(bad("what it lies on is no single block device").with_hint("name the device: /dev/sda, or 8:0"));
    }
    let Ok(place) = std::fs::canonicalize(sysfs.join(&text)) else {
        // Without a sysfs the kernel says what it has.
        return if sysfs.exists() { Err(bad("there is no such block device")) } else { Ok(text) };
    };
    if !place.join("partition").exists() {
        return Ok(text);
    }
    let whole = place.parent().unwrap_or(&place).join("dev");
    let whole = crate::sys::file::read_to_string(&whole).map_err(|e| Error::io(Step::LimitIo, &named, &e))?;
    Ok(whole.trim().into())
}

fn set(at: At<'_>, list: Option<&str>) -> Result<()> {
    write(at, list.map(parse).unwrap_or_default(), rates(at)?)
}

fn set_first(at: At<'_>, list: &str) -> Result<()> {
    write(at, parse(list), Rates::new())
}

/// Writes what differs from the rates there are.
fn write(at: At<'_>, new: Rates, old: Rates) -> Result<()> {
    let gone = old.keys().filter(|disk| !new.contains_key(*disk)).map(|disk| (disk, [None; 4]));
    for (disk, rates) in gone.chain(new.iter().map(|(disk, rates)| (disk, *rates))) {
        let before = old.get(disk).copied().unwrap_or_default();
        for (file, line) in lines(at.version(), disk, rates, before) {
            at.directory().write(file, &line)?;
        }
    }
    Ok(())
}

/// What is written for a device that has had other rates before.
fn lines(
    version: Version,
    disk: &str,
    rates: [Option<u64>; 4],
    before: [Option<u64>; 4],
) -> Vec<(&'static str, String)> {
    if version == Version::V2 {
        let text = |rate: Option<u64>| rate.map_or_else(|| "max".into(), |rate| rate.to_string());
        let rates: Vec<_> =
            IoLimit::RATES.iter().zip(rates).map(|(key, rate)| format!("{key}={}", text(rate))).collect();
        return vec![(V2, format!("{disk} {}", rates.join(" ")))];
    }
    let changed = (0..4).filter(|at| rates[*at] != before[*at]);
    // 0 lifts it.
    changed.map(|at| (V1[at], format!("{disk} {}", rates[at].unwrap_or(0)))).collect()
}

fn rates(at: At<'_>) -> Result<Rates> {
    let directory = at.directory();
    let mut all = Rates::new();
    if at.version() == Version::V2 {
        return Ok(parse(&whole(directory, V2)?));
    }
    for (which, file) in V1.into_iter().enumerate() {
        for line in whole(directory, file)?.lines() {
            let Some((disk, rate)) = line.split_once(' ') else { continue };
            all.entry(disk.into()).or_default()[which] = control::parse(rate.trim().as_bytes());
        }
    }
    Ok(all)
}

fn whole(directory: &Directory, file: &str) -> Result<String> {
    let mut buffer = [0; 8192];
    let text = control::read_some(&directory.fd, file, &mut buffer)
        .map_err(|errno| directory.error(Step::Read, file, errno))?;
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// The lowest of each rate.
fn narrow(narrowed: Option<String>, at: At<'_>) -> Result<Option<String>> {
    let mut lowest = narrowed.as_deref().map(parse).unwrap_or_default();
    for (disk, rates) in rates(at)? {
        for (rate, here) in lowest.entry(disk).or_default().iter_mut().zip(rates) {
            *rate = rate.iter().copied().chain(here).min();
        }
    }
    Ok(text(&lowest))
}

fn commands(version: Version, path: &Path, list: &str) -> Vec<(String, String)> {
    let written = parse(list).into_iter().flat_map(|(disk, rates)| lines(version, &disk, rates, [None; 4]));
    written
        .map(|(file, line)| {
            let file = quote(&path.join(file).to_string_lossy());
            (format!("echo {line} > {file}"), WHY.to_string())
        })
        .collect()
}

/// Adds what a directory counts.
fn count(at: At<'_>, stats: &mut Stats) -> Result<()> {
    let directory = at.directory();
    let sums = match at.version() {
        Version::V2 => {
            stats.pressure.io = pressure(directory, "io.pressure")?;
            directory.read_if_there("io.stat", |text| ["rbytes=", "wbytes="].map(|key| sum(text, key)))?
        }
        Version::V1 => {
            let file = "blkio.throttle.io_service_bytes_recursive";
            directory.read_if_there(file, |text| ["Read", "Write"].map(|key| sum_v1(text, key)))?
        }
    };
    [stats.io.read, stats.io.written] = sums.map_or([None; 2], |sums| sums.map(Some));
    Ok(())
}

/// Over the devices: "8:0 rbytes=1459200 wbytes=314773504 rios=192 …", a line each.
fn sum(text: &[u8], key: &str) -> u64 {
    let words = text.split(u8::is_ascii_whitespace);
    words.filter_map(|word| control::parse(word.strip_prefix(key.as_bytes())?)).fold(0, u64::saturating_add)
}

/// The same of "8:0 Read 1459200", a line for each kind.
fn sum_v1(text: &[u8], key: &str) -> u64 {
    let numbers = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut words = line.split(|byte| *byte == b' ').skip(1);
        (words.next()? == key.as_bytes()).then(|| control::parse(words.next()?)).flatten()
    });
    numbers.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_written_as_each_version_takes_them() {
        let rates = [Some(5), None, None, Some(7)];
        assert_eq!(lines(Version::V2, "8:0", rates, [None; 4]), [(V2, "8:0 rbps=5 wbps=max riops=max wiops=7".into())]);
        let v1 = lines(Version::V1, "8:0", rates, [Some(5), Some(6), None, Some(1)]);
        assert_eq!(v1, [(V1[1], "8:0 0".to_string()), (V1[3], "8:0 7".into())]);
    }

    #[test]
    fn what_is_counted_on_v1_is_added_up_over_devices() {
        let text = b"8:0 Read 100\n8:0 Write 7\n8:0 Sync 107\n8:0 Total 107\n8:16 Read 11\n8:16 Write 0\nTotal 118\n";
        assert_eq!((sum_v1(text, "Read"), sum_v1(text, "Write")), (111, 7));
    }

    #[test]
    fn what_is_no_disk_is_refused_by_its_name() {
        for (device, why) in [
            ("/dev/null", "no block device"),
            ("/proc", "no single block device"),
            ("/nonexistent", "ENOENT"),
            ("1:x", "MAJOR:MINOR"),
            ("4095:77", "no such block device"),
        ] {
            let error = read(&format!("{device} rbps=5")).unwrap_err().to_string();
            assert!(error.contains(device) && error.contains(why), "{error}");
        }
        assert!(read("").unwrap_err().to_string().contains("no device"));
    }
}
