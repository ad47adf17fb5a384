//! Huge pages, of each size that the machine has: none are set aside by default, and those that are count in no memory limit.
//!
//! What is above the limit is refused when it is reserved, by mmap(2) with ENOMEM, where the kernel has that (`rsvd`, since Linux 5.7);
//! without it a program that touches one page too many dies of SIGBUS. Rests on
//! Documentation/admin-guide/cgroup-v1/hugetlb.rst and "HugeTLB" of .../cgroup-v2.rst.

use std::collections::BTreeMap;
use std::path::Path;

use nix::errno::Errno;

use super::control;
use super::controller::{At, Controller, ListRule, Row, Version, When};
use crate::plan::quote;
use crate::{Error, HugetlbLimit, Result, Step};

/// Where the kernel says which sizes there are.
const SIZES: &str = "/sys/kernel/mm/hugepages";
/// v1 shows "no limit" as the largest multiple of a page that a long holds.
const UNLIMITED: u64 = 1 << 62;

pub(super) const ROW: Row = Row {
    name: "hugetlb",
    v1_name: "hugetlb",
    on_v1: When::Limited,
    on_v2: When::Limited,
    late_on_v1: false,
    v2_file: "hugetlb.2MB.max",
    purpose: "its hugetlb cgroup: huge pages are counted here",
    count: |_, _| Ok(()),
};

pub(super) const LIMIT: ListRule = ListRule {
    controller: Controller::Hugetlb,
    noun: "hugetlb",
    read,
    set,
    set_first: |at, list| set(at, Some(list)),
    get,
    narrow,
    commands,
};

/// Bytes by the size of a page.
type Sizes = BTreeMap<u64, u64>;

fn read(list: &str) -> Result<String> {
    let mut all = Sizes::new();
    let there = sizes();
    for line in list.lines().filter(|line| !line.trim().is_empty()) {
        let limit: HugetlbLimit = line.parse()?;
        if !there.contains(&limit.page_size) {
            let there: Vec<_> = there.iter().map(|size| name(*size)).collect();
            let why = if there.is_empty() { "none at all".into() } else { there.join(", ") };
            return Err(Error::invalid(
                Step::LimitHugetlb,
                line.trim(),
                format!("the sizes of this machine are: {why}"),
            ));
        }
        all.insert(limit.page_size, limit.bytes);
    }
    if all.is_empty() {
        return Err(Error::invalid(Step::LimitHugetlb, list.trim(), "it names no size of pages"));
    }
    all.retain(|_, bytes| *bytes < u64::MAX);
    Ok(text(&all).unwrap_or_default())
}

/// Of "hugepages-2048kB".
fn sizes() -> Vec<u64> {
    let names = crate::sys::file::names(SIZES).unwrap_or_default();
    let kib = |name: &std::ffi::OsString| -> Option<u64> {
        name.to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()
    };
    let mut sizes: Vec<_> = names.iter().filter_map(kib).map(|kib| kib << 10).collect();
    sizes.sort_unstable();
    sizes
}

fn name(page_size: u64) -> String {
    HugetlbLimit { page_size, bytes: 0 }.page_name()
}

fn text(all: &Sizes) -> Option<String> {
    let lines: Vec<_> = all.iter().map(|(&page_size, &bytes)| HugetlbLimit { page_size, bytes }.to_string()).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn parse(list: &str) -> Sizes {
    let limits = list.lines().filter_map(|line| line.parse::<HugetlbLimit>().ok());
    limits.map(|limit| (limit.page_size, limit.bytes)).collect()
}

/// The file of what is used, and that of what is reserved.
fn files(version: Version, page_size: u64) -> [String; 2] {
    let file = if version == Version::V1 { "limit_in_bytes" } else { "max" };
    ["", "rsvd."].map(|kind| format!("hugetlb.{}.{kind}{file}", name(page_size)))
}

fn set(at: At<'_>, list: Option<&str>) -> Result<()> {
    let new = list.map(parse).unwrap_or_default();
    let none = if at.version() == Version::V1 { "-1" } else { "max" };
    for page_size in sizes() {
        let text = new.get(&page_size).map_or_else(|| none.into(), ToString::to_string);
        let [used, reserved] = files(at.version(), page_size);
        at.directory().write(&used, &text)?;
        match control::write(&at.directory().fd, &reserved, &text) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(at.directory().error(Step::Write, &reserved, errno)),
        }
    }
    Ok(())
}

fn get(at: At<'_>) -> Result<Option<String>> {
    let mut all = Sizes::new();
    for page_size in sizes() {
        let [used, _] = files(at.version(), page_size);
        let limit = at.directory().read_number(&used)?.filter(|limit| *limit < UNLIMITED);
        all.extend(limit.map(|limit| (page_size, limit)));
    }
    Ok(text(&all))
}

/// The lowest of each size.
fn narrow(narrowed: Option<String>, at: At<'_>) -> Result<Option<String>> {
    let mut lowest = narrowed.as_deref().map(parse).unwrap_or_default();
    for (page_size, bytes) in get(at)?.as_deref().map(parse).unwrap_or_default() {
        lowest.entry(page_size).and_modify(|most| *most = bytes.min(*most)).or_insert(bytes);
    }
    Ok(text(&lowest))
}

fn commands(version: Version, path: &Path, list: &str) -> Vec<(String, String)> {
    let mut commands = Vec::new();
    for (page_size, bytes) in parse(list) {
        for (file, why) in files(version, page_size).into_iter().zip(["huge pages that it may use", "and reserve"]) {
            commands.push((format!("echo {bytes} > {}", quote(&path.join(file).to_string_lossy())), why.to_string()));
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_that_the_machine_lacks_is_refused_with_those_that_it_has() {
        let error = read("4096=0").unwrap_err().to_string();
        assert!(error.contains("4096=0") && error.contains("this machine"), "{error}");
        for size in sizes() {
            assert_eq!(read(&format!("{size}=0\n{size}={size}")).unwrap(), format!("{}={size}", name(size)));
        }
        assert_eq!(files(Version::V1, 2 << 20), ["hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.rsvd.limit_in_bytes"]);
        assert_eq!(files(Version::V2, 1 << 30), ["hugetlb.1GB.max", "hugetlb.1GB.rsvd.max"]);
    }
}
