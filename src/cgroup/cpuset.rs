//! The processors that a container may run on, and the memory nodes that it may have memory from.
//!
//! Lists are written as in "List format" of cpuset(7). v2 takes any list, and where nothing of it can be had the cgroup above's
//! instead; here that is refused, as v1 does. A cgroup of v1 begins with no processors and no memory nodes, and takes no process before
//! it has both: what is not asked for is the cgroup above's. Rests on cpuset(7), Documentation/admin-guide/cgroup-v1/cpusets.rst and
//! "Cpuset" of .../cgroup-v2.rst.

use std::fmt;
use std::path::Path;

use nix::errno::Errno;

use super::control;
use super::controller::{At, Controller, ListRule, Row, Version, When};
use super::directory::{Directory, open_failed};
use crate::plan::quote;
use crate::{Error, ErrorCode, Result, Step};

/// One of the two lists.
struct File {
    name: &'static str,
    /// What can be had in the end.
    v1_effective: &'static str,
    v2_effective: &'static str,
    step: Step,
    /// "processors".
    noun: &'static str,
    /// All that the machine has.
    machine: &'static str,
}

const CPUS_FILE: File = File {
    name: "cpuset.cpus",
    v1_effective: "cpuset.effective_cpus",
    v2_effective: "cpuset.cpus.effective",
    step: Step::LimitCpuset,
    noun: "processors",
    machine: "/sys/devices/system/cpu/online",
};

const MEMS_FILE: File = File {
    name: "cpuset.mems",
    v1_effective: "cpuset.effective_mems",
    v2_effective: "cpuset.mems.effective",
    step: Step::LimitMemoryNodes,
    noun: "memory nodes",
    machine: "/sys/devices/system/node/online",
};

pub(super) const ROW: Row = Row {
    name: "cpuset",
    v1_name: "cpuset",
    on_v1: When::Limited,
    on_v2: When::Limited,
    late_on_v1: false,
    v2_file: "cpuset.cpus",
    purpose: "its cpuset cgroup: the processors and memory nodes that it may use",
    count: |_, _| Ok(()),
};

pub(super) const CPUS: ListRule = ListRule {
    controller: Controller::Cpuset,
    noun: "cpuset",
    read: |text| read(&CPUS_FILE, text),
    set: |at, list| set(at, list, &CPUS_FILE, &MEMS_FILE),
    set_first: |at, list| set_first(at, list, &CPUS_FILE, &MEMS_FILE),
    get: |at| get(at, &CPUS_FILE),
    narrow: |narrowed, at| narrow(narrowed, at, &CPUS_FILE),
    commands: |version, path, list| commands(version, path, list, &CPUS_FILE, &MEMS_FILE),
};

pub(super) const MEMS: ListRule = ListRule {
    controller: Controller::Cpuset,
    noun: "cpuset_mems",
    read: |text| read(&MEMS_FILE, text),
    set: |at, list| set(at, list, &MEMS_FILE, &CPUS_FILE),
    set_first: |at, list| set_first(at, list, &MEMS_FILE, &CPUS_FILE),
    get: |at| get(at, &MEMS_FILE),
    narrow: |narrowed, at| narrow(narrowed, at, &MEMS_FILE),
    commands: |version, path, list| commands(version, path, list, &MEMS_FILE, &CPUS_FILE),
};

/// The list in its shortest form; refuses what is no list, and one that has nothing of this machine.
fn read(file: &File, text: &str) -> Result<String> {
    let Some(list) = List::parse(text) else {
        return Err(Error::invalid(file.step, text, "it is no list of numbers").with_hint("write them as 0-1,3"));
    };
    // Where it can't be read, the kernel says it.
    let machine = crate::sys::file::read_to_string(file.machine).ok().and_then(|text| List::parse(&text));
    match machine {
        Some(machine) if !list.is_in(&machine) => {
            let why = format!("this machine has the {} {machine}", file.noun);
            Err(Error::invalid(file.step, text.trim(), why))
        }
        _ => Ok(list.to_string()),
    }
}

fn set(at: At<'_>, list: Option<&str>, file: &File, other: &File) -> Result<()> {
    let directory = at.directory();
    match (at, list) {
        (At::V1(_), _) => {
            let all = above(at, file)?;
            let list = list.map_or_else(|| Ok(all.to_string()), |list| within(directory, list, &all, file))?;
            directory.write(file.name, &list)?;
            if own(directory, other)?.is_empty() {
                let all = above(at, other)?;
                let list = if all.is_empty() { within(directory, "0", &all, other)? } else { all.to_string() };
                directory.write(other.name, &list)?;
            }
            Ok(())
        }
        (At::V2(_), None) => match control::write(&directory.fd, file.name, "\n") {
            // The kernel takes no empty list where processes are (`validate_change` of kernel/cgroup/cpuset.c).
            Err(Errno::ENOSPC) => directory.write(file.name, &above(at, file)?.to_string()),
            outcome => outcome.map_err(|errno| directory.error(Step::Write, file.name, errno)),
        },
        (At::V2(_), Some(list)) => {
            let list = within(directory, list, &above(at, file)?, file)?;
            directory.write(file.name, &list)
        }
    }
}

/// v1 itself refuses what the cgroup above does not have; why is looked for then.
fn set_first(at: At<'_>, list: &str, file: &File, other: &File) -> Result<()> {
    let directory = at.directory();
    if at.version() == Version::V2 || control::write(&directory.fd, file.name, list).is_err() {
        return set(at, Some(list), file, other);
    }
    if own(directory, other)?.is_empty() {
        let all = above(at, other)?;
        // That one has none to give: so it is said.
        if all.is_empty() || control::write(&directory.fd, other.name, &all.to_string()).is_err() {
            return set(at, Some(list), file, other);
        }
    }
    Ok(())
}

/// What the cgroup above can give.
fn above(at: At<'_>, file: &File) -> Result<List> {
    let path = at.directory().path.parent().unwrap_or(&at.directory().path);
    let directory = Directory::open(path).map_err(|errno| open_failed(path, errno))?;
    effective(At::new(at.version(), &directory), file)
}

fn effective(at: At<'_>, file: &File) -> Result<List> {
    let name = match at.version() {
        Version::V1 => file.v1_effective,
        Version::V2 => file.v2_effective,
    };
    lists(at.directory(), name)
}

fn own(directory: &Directory, file: &File) -> Result<List> {
    lists(directory, file.name)
}

fn lists(directory: &Directory, name: &str) -> Result<List> {
    let mut buffer = [0; 4096];
    let text = control::read_some(&directory.fd, name, &mut buffer)
        .map_err(|errno| directory.error(Step::Read, name, errno))?;
    Ok(std::str::from_utf8(text).ok().and_then(List::parse).unwrap_or_default())
}

fn within(directory: &Directory, list: &str, all: &List, file: &File) -> Result<String> {
    if List::parse(list).is_some_and(|list| list.is_in(all)) {
        return Ok(list.into());
    }
    let above = directory.path.parent().unwrap_or(&directory.path);
    let hint = if all.is_empty() {
        format!("give it some first: echo LIST > {}", above.join(file.name).display())
    } else {
        "choose among those".into()
    };
    let has = if all.is_empty() { "none".into() } else { all.to_string() };
    let why = format!("of the {} the cgroup above, {}, has {has}", file.noun, above.display());
    Err(Error::new(ErrorCode::Invalid, file.step, list, libc::EINVAL, why).with_hint(hint))
}

fn get(at: At<'_>, file: &File) -> Result<Option<String>> {
    Ok(Some(own(at.directory(), file)?).filter(|list| !list.is_empty()).map(|list| list.to_string()))
}

/// The kernel itself keeps what holds in each cgroup, as far as those above allow.
fn narrow(narrowed: Option<String>, at: At<'_>, file: &File) -> Result<Option<String>> {
    if narrowed.is_some() {
        return Ok(narrowed);
    }
    Ok(Some(effective(at, file)?).filter(|list| !list.is_empty()).map(|list| list.to_string()))
}

fn commands(version: Version, path: &Path, list: &str, file: &File, other: &File) -> Vec<(String, String)> {
    let quoted = |name: &str| quote(&path.join(name).to_string_lossy());
    let mut commands =
        vec![(format!("echo {list} > {}", quoted(file.name)), format!("the {} that it may use", file.noun))];
    if version == Version::V1 {
        let (own, above) = (quoted(other.name), path.parent().unwrap_or(path).join(other.name));
        let above = quote(&above.to_string_lossy());
        commands.push((
            format!("[ -n \"$(cat {own})\" ] || cat {above} > {own}"),
            format!("v1 takes no process without {}", other.noun),
        ));
    }
    commands
}

/// Numbers, smallest first, as ranges that don't touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct List(Vec<(u32, u32)>);

impl List {
    /// NR_CPUS and MAX_NUMNODES are below that.
    const END: u32 = 1 << 16;

    /// An empty text is an empty list only where the kernel says it.
    fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<u32>().ok()).flatten().filter(|number| *number < Self::END)
        };
        let range = |text: &str| match text.trim().split_once('-') {
            Some((first, last)) => Some((number(first)?, number(last)?)).filter(|(first, last)| first <= last),
            None => number(text.trim()).map(|one| (one, one)),
        };
        let mut ranges = text.trim().split(',').map(range).collect::<Option<Vec<_>>>()?;
        ranges.sort_unstable();
        let mut list: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match list.last_mut().filter(|(_, end)| first <= *end + 1) {
                Some((_, end)) => *end = last.max(*end),
                None => list.push((first, last)),
            }
        }
        Some(Self(list))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn is_in(&self, other: &Self) -> bool {
        self.0.iter().all(|(first, last)| other.0.iter().any(|(from, to)| from <= first && last <= to))
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_the_kernel_reads_them() {
        for (text, shown) in
            [("0", "0"), ("0-1,3\n", "0-1,3"), ("3,0,1", "0-1,3"), ("0-4,2-7,9", "0-7,9"), (" 1 , 2 ", "1-2")]
        {
            assert_eq!(List::parse(text).unwrap().to_string(), shown);
        }
        for bad in ["", ",", "0,", "-1", "1-", "3-1", "a", "0x1", "+1", "65536", "99999999999", "0-1:1/2", "0 1"] {
            assert_eq!(List::parse(bad), None, "{bad}");
        }
        let list = |text| List::parse(text).unwrap();
        assert!(list("1-2,5").is_in(&list("0-3,5-6")) && !list("1-5").is_in(&list("0-3,5")));
        assert!(!list("0").is_in(&List::default()));
    }

    #[test]
    fn what_no_machine_has_is_refused_with_what_this_one_has() {
        let error = read(&CPUS_FILE, "65000").unwrap_err();
        assert!(error.to_string().contains("65000") && error.to_string().contains("this machine has"), "{error}");
        assert!(read(&CPUS_FILE, "0 1").unwrap_err().to_string().contains("0 1"));
    }
}
