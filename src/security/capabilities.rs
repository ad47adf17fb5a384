//! Capabilities by name and number, as masks: bit n stands for capability number n of capabilities(7).
//!
//! The plan lowers a mask into prctl(PR_CAPBSET_DROP) for what [`bounding_drops`] lists, and into capset(2). The
//! inheritable and ambient sets stay empty unless asked for: a set that is not empty there hands capabilities to programs
//! that have none on file.

use std::sync::OnceLock;

use crate::{Error, ErrorCode, Result, Step};

/// Every name, at the place of its number in linux/capability.h.
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// The fourteen that docker leaves to a container by default, less CAP_NET_RAW, as in podman: it opens packet sockets, whose
/// rings no memory cgroup counts (`alloc_pg_vec` of net/packet/af_packet.c). ping(8) needs it no more, see
/// net.ipv4.ping_group_range in icmp(7).
pub(crate) const DEFAULT: u64 = known(&[
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
]);

/// What the preset `strict` leaves: enough for a root that owns the files of its image and starts programs as other users.
pub(crate) const STRICT: u64 =
    known(&["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SETGID", "CAP_SETUID"]);

/// Every capability that this kernel has.
pub(crate) fn all() -> Result<u64> {
    Ok(u64::MAX >> (63 - last()?))
}

/// The numbers to drop from a full bounding set so that only `mask` is left: one PR_CAPBSET_DROP each. Numbers of
/// `mask` that the kernel does not have are of no effect.
pub(crate) fn bounding_drops(mask: u64) -> Result<Vec<u32>> {
    Ok((0..=last()?).filter(|number| mask & (1 << number) == 0).collect())
}

/// `base` with the capabilities named in `add` and without those in `drop`. `ALL` in either stands for every one; as in
/// docker, `drop` counts after an `ALL` in `add`, and a name in `add` after an `ALL` in `drop`.
pub(crate) fn adjust<S: AsRef<str>>(base: u64, add: &[S], drop: &[S]) -> Result<u64> {
    let (added, adds_all) = parse(add)?;
    let (dropped, drops_all) = parse(drop)?;
    let kept = match (adds_all, drops_all) {
        (true, true) => {
            return Err(Error::invalid(Step::Capabilities, "ALL", "cannot be added and dropped at once"));
        }
        (true, false) => all()? & !dropped,
        (false, true) => added,
        (false, false) => (base & !dropped) | added,
    };
    if !adds_all && !drops_all && added & dropped != 0 {
        let both = names(added & dropped).join(", ");
        return Err(Error::invalid(Step::Capabilities, both, "cannot be added and dropped at once"));
    }
    Ok(kept)
}

/// The number of `name`: `NET_ADMIN`, `CAP_NET_ADMIN`, in upper or lower case.
pub(crate) fn number(name: &str) -> Option<u32> {
    let wanted = name.to_ascii_uppercase();
    let wanted = wanted.strip_prefix("CAP_").unwrap_or(&wanted);
    let at = NAMES.iter().position(|known| &known["CAP_".len()..] == wanted)?;
    u32::try_from(at).ok()
}

/// The names of what is in `mask`; a number newer than this table is written as capsh(1) writes it.
pub(crate) fn names(mask: u64) -> Vec<String> {
    (0..64usize)
        .filter(|number| mask & (1 << number) != 0)
        .map(|number| NAMES.get(number).map_or_else(|| number.to_string(), |name| (*name).to_string()))
        .collect()
}

/// The highest number that this kernel has, CAP_LAST_CAP.
pub(crate) fn last() -> Result<u32> {
    static LAST: OnceLock<u32> = OnceLock::new();
    if let Some(last) = LAST.get() {
        return Ok(*last);
    }
    // Guessing too low would leave a capability in the bounding set that we have never heard of: refuse instead.
    const FILE: &str = "/proc/sys/kernel/cap_last_cap";
    let text = crate::sys::file::read_to_string(FILE)
        .map_err(|error| Error::io(Step::ReadHighestCapability, FILE, &error).with_hint("is /proc mounted?"))?;
    let last = text.trim().parse().ok().filter(|last| *last < 64).ok_or_else(|| {
        let why = format!("{:?} is not the number of a capability", text.trim());
        Error::new(ErrorCode::Unsupported, Step::ReadHighestCapability, FILE, libc::EINVAL, why)
    })?;
    Ok(*LAST.get_or_init(|| last))
}

/// The mask of `list`, and whether `ALL` is in it.
fn parse<S: AsRef<str>>(list: &[S]) -> Result<(u64, bool)> {
    let (mut mask, mut all) = (0, false);
    for name in list {
        let name = name.as_ref();
        if name.eq_ignore_ascii_case("ALL") || name.eq_ignore_ascii_case("CAP_ALL") {
            all = true;
            continue;
        }
        let number = number(name).ok_or_else(|| {
            Error::invalid(Step::Capability, name, "there is none of this name")
                .with_hint("see capabilities(7), or use ALL")
        })?;
        mask |= 1 << number;
    }
    Ok((mask, all))
}

/// The mask of full names that are known when this is compiled.
pub(crate) const fn known(names: &[&str]) -> u64 {
    let (mut mask, mut at) = (0, 0);
    while at < names.len() {
        let mut number = 0;
        while !same(NAMES[number], names[at]) {
            number += 1;
        }
        mask |= 1 << number;
        at += 1;
    }
    mask
}

/// `==` of two strings, for constants.
const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut at = 0;
    while at < left.len() && at < right.len() && left[at] == right[at] {
        at += 1;
    }
    at == left.len() && at == right.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [&str; 0] = [];

    #[test]
    fn a_capability_is_found_under_either_spelling() {
        for name in ["NET_ADMIN", "CAP_NET_ADMIN", "cap_net_admin", "net_admin"] {
            assert_eq!(number(name), Some(12), "{name}");
        }
        assert_eq!(number("NET_ADMI"), None);
        assert_eq!(number("CAP_"), None);
        assert_eq!(number(""), None);
    }

    #[test]
    fn every_name_stands_at_the_number_of_the_kernels_header() {
        let header = std::fs::read_to_string("/usr/include/linux/capability.h").expect("linux-libc-dev is installed");
        let mut seen = 0;
        for line in header.lines() {
            let mut words = line.split_whitespace();
            let (Some("#define"), Some(name), Some(value)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            if let (true, Ok(value)) = (name.starts_with("CAP_"), value.parse::<u32>()) {
                assert_eq!(number(name), Some(value), "{name}");
                seen += 1;
            }
        }
        assert!(seen >= 41, "only {seen} capabilities in the header");
    }

    #[test]
    fn the_default_is_dockers_fourteen_less_net_raw() {
        let mut ours = names(DEFAULT);
        let mut dockers: Vec<String> = "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP \
                                        NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE"
            .split_whitespace()
            .filter(|name| *name != "NET_RAW")
            .map(|name| format!("CAP_{name}"))
            .collect();
        ours.sort();
        dockers.sort();
        assert_eq!(ours, dockers);
        assert_eq!(STRICT & !DEFAULT, 0, "strict has nothing that the default lacks");
    }

    #[test]
    fn add_and_drop_do_what_docker_does() {
        let all = all().unwrap();
        assert_eq!(adjust(DEFAULT, &NONE, &NONE).unwrap(), DEFAULT);
        assert_eq!(adjust(DEFAULT, &["NET_ADMIN"], &["MKNOD"]).unwrap(), (DEFAULT | 1 << 12) & !(1 << 27));
        assert_eq!(adjust(DEFAULT, &NONE, &["ALL"]).unwrap(), 0);
        assert_eq!(adjust(DEFAULT, &["CHOWN"], &["all"]).unwrap(), 1);
        assert_eq!(adjust(DEFAULT, &["ALL"], &["SYS_ADMIN"]).unwrap(), all & !(1 << 21));
        assert_eq!(adjust(0, &["ALL"], &NONE).unwrap(), all);
    }

    #[test]
    fn contradictions_and_unknown_names_are_refused_by_name() {
        let unknown = adjust(DEFAULT, &["SYS_ADMN"], &NONE).unwrap_err();
        assert!(unknown.to_string().contains("SYS_ADMN"), "{unknown}");
        let both = adjust(DEFAULT, &["SYS_ADMIN"], &["CAP_SYS_ADMIN"]).unwrap_err();
        assert!(both.to_string().contains("CAP_SYS_ADMIN"), "{both}");
        assert!(adjust(DEFAULT, &["ALL"], &["ALL"]).is_err());
    }

    #[test]
    fn dropping_leaves_exactly_the_mask() {
        let all = all().unwrap();
        for mask in [0, DEFAULT, STRICT, all, u64::MAX, 1 << 63] {
            let drops = bounding_drops(mask).unwrap();
            let left = drops.iter().fold(all, |left, number| left & !(1 << number));
            assert_eq!(left, mask & all);
        }
        assert_eq!(bounding_drops(u64::MAX).unwrap(), Vec::<u32>::new());
    }

    #[test]
    fn the_last_capability_is_the_kernels() {
        let kernels: u32 = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap().trim().parse().unwrap();
        assert_eq!(last().unwrap(), kernels);
        assert_eq!(all().unwrap().count_ones(), kernels + 1);
    }
}
