//! The limits that a container is made with.

use super::controller::Controller;
use crate::config::{LimitLists, LimitNumbers};
use crate::{DeviceRule, Limit, ListLimit, Result};

/// The limits that a container is made with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(super) numbers: LimitNumbers,
    /// As [`super::controller::ListRule::set`] takes them.
    pub(super) lists: LimitLists,
    /// The devices that can be opened; any where there is no list.
    pub(crate) devices: Option<Vec<DeviceRule>>,
}

impl Limits {
    /// Refuses what no container can live with.
    pub(crate) fn new(numbers: LimitNumbers, lists: LimitLists, devices: Option<Vec<DeviceRule>>) -> Result<Self> {
        Limit::ALL.into_iter().try_for_each(|limit| numbers[limit as usize].map_or(Ok(()), limit.rule().check))?;
        let mut limits = Self { numbers, lists: LimitLists::default(), devices };
        for (limit, list) in ListLimit::ALL.into_iter().zip(lists) {
            limits.lists[limit as usize] = list.map(|list| (limit.rule().read)(&list)).transpose()?;
        }
        Ok(limits)
    }

    pub(super) fn get(&self, limit: Limit) -> Option<u64> {
        self.numbers[limit as usize]
    }

    pub(super) fn list(&self, limit: ListLimit) -> Option<&str> {
        self.lists[limit as usize].as_deref()
    }

    /// Whether there is no limit but a list of devices.
    pub(super) fn is_empty(&self) -> bool {
        self.numbers == LimitNumbers::default() && self.lists == LimitLists::default()
    }

    /// Whether the controller is needed for one of them.
    pub(super) fn need(&self, controller: Controller) -> bool {
        match controller {
            Controller::Devices => self.devices.is_some(),
            _ => {
                controller.limits().any(|limit| self.get(limit).is_some())
                    || controller.lists().any(|limit| self.list(limit).is_some())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::super::controller::{Controllers, Version};
    use super::super::{Cgroup, Place};
    use super::*;
    use crate::ErrorCode;

    /// A cgroup whose files are those of a directory, and of the one above it.
    struct Made(PathBuf, Cgroup);

    impl Drop for Made {
        fn drop(&mut self) {
            _ = fs::remove_dir_all(&self.0);
        }
    }

    impl Made {
        fn new(version: Version, above: &[(&str, &str)], files: &[(&str, &str)]) -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let name = format!("ctr-limits-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            let own = path.join("ctr-x");
            fs::create_dir_all(&own).unwrap();
            for (directory, files) in [(&path, above), (&own, files)] {
                fs::write(directory.join("cgroup.procs"), "").unwrap();
                files.iter().for_each(|(file, text)| fs::write(directory.join(file), text).unwrap());
            }
            let all = Controller::ALL.into_iter().collect::<Controllers>();
            let cgroup = Cgroup::open(&[Place::new(version, own, all)], &[]).unwrap();
            Self(path, cgroup)
        }

        fn file(&self, name: &str) -> PathBuf {
            self.0.join("ctr-x").join(name)
        }

        /// What is written into an empty file.
        fn written(&self, file: &str, set: impl FnOnce(&Cgroup) -> Result<()>) -> String {
            fs::write(self.file(file), "").unwrap();
            set(&self.1).unwrap();
            fs::read_to_string(self.file(file)).unwrap()
        }
    }

    fn acquire(_: &Place, _: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        unreachable!("all of it is there")
    }

    #[test]
    fn numbers_are_written_to_the_files_of_each_version() {
        const V1: Version = Version::V1;
        const V2: Version = Version::V2;
        for (version, limit, file, before, value, text, lifted) in [
            (V2, Limit::MemoryHigh, "memory.high", "max\n", 4 << 20, "4194304", "max"),
            (V2, Limit::MemoryLow, "memory.low", "0\n", 4096, "4096", "0"),
            (V2, Limit::Swap, "memory.swap.max", "max\n", 0, "0", "max"),
            (V2, Limit::CpuWeight, "cpu.weight", "100\n", 7, "7", "100"),
            (V2, Limit::IoWeight, "io.weight", "default 100\n", 10_000, "10000", "100"),
            (V2, Limit::IoWeight, "io.bfq.weight", "100\n", 10_000, "1000", "100"),
            (V1, Limit::MemoryLow, "memory.soft_limit_in_bytes", "9223372036854771712\n", 4096, "4096", "-1"),
            (V1, Limit::CpuWeight, "cpu.shares", "1024\n", 10, "102", "1024"),
            (V1, Limit::IoWeight, "blkio.bfq.weight", "100\n", 10_000, "1000", "100"),
        ] {
            let made = Made::new(version, &[("blkio.bfq.io_service_bytes", "")], &[(file, before)]);
            let usual = made.1.limit(limit).unwrap();
            assert!(usual.is_none_or(|usual| usual == 100), "{file}: {usual:?}");
            assert_eq!(made.written(file, |cgroup| cgroup.set(limit, Some(value), &acquire)), text, "{file}");
            assert_eq!(made.1.limit(limit).unwrap(), Some(value), "{file}");
            assert_eq!(made.written(file, |cgroup| cgroup.set(limit, None, &acquire)), lifted, "{file}");
        }
    }

    #[test]
    fn on_v2_the_first_limit_of_memory_comes_without_swap_and_a_later_one_leaves_it() {
        let files = [("memory.max", "max\n"), ("memory.swap.max", "max\n"), ("memory.current", "0\n")];
        let made = Made::new(Version::V2, &[], &files);
        let set = |bytes: Option<u64>| made.1.set(Limit::Memory, bytes, &acquire).unwrap();
        let swap = || fs::read_to_string(made.file("memory.swap.max")).unwrap();
        set(Some(1 << 25));
        assert_eq!(&swap()[..1], "0");
        for (given, kept) in [("4096\n", "4096\n"), ("max\n", "max\n")] {
            fs::write(made.file("memory.swap.max"), given).unwrap();
            set(Some(1 << 26));
            assert_eq!(swap(), kept);
        }
        // One that was given before there was a limit of memory.
        fs::write(made.file("memory.max"), "max\n").unwrap();
        fs::write(made.file("memory.swap.max"), "4096\n").unwrap();
        set(Some(1 << 25));
        assert_eq!(swap(), "4096\n");
        fs::write(made.file("memory.swap.max"), "").unwrap();
        set(None);
        assert_eq!(swap(), "max");
    }

    #[test]
    fn on_v2_processors_are_those_of_the_cgroup_above_at_the_most() {
        let above = [("cpuset.cpus.effective", "0\n"), ("cpuset.mems.effective", "0\n")];
        let made = Made::new(Version::V2, &above, &[("cpuset.cpus", "\n"), ("cpuset.mems", "\n")]);
        let set = |list: Option<&str>| made.1.set_list(ListLimit::Cpuset, list, &acquire);
        assert_eq!(made.written("cpuset.cpus", |_| set(Some("0"))), "0");
        assert_eq!(made.1.list_limit(ListLimit::Cpuset).unwrap().as_deref(), Some("0"));
        assert_eq!(fs::read_to_string(made.file("cpuset.mems")).unwrap(), "\n", "v2 needs none");
        assert_eq!(made.written("cpuset.cpus", |_| set(None)), "\n");
        assert_eq!(made.1.list_limit(ListLimit::Cpuset).unwrap(), None);
        fs::write(made.0.join("cpuset.cpus.effective"), "7\n").unwrap();
        let error = set(Some("0")).unwrap_err();
        assert!(error.code() == ErrorCode::Invalid && error.to_string().contains("has 7"), "{error}");
    }

    #[test]
    fn on_v1_what_is_not_asked_for_is_had_from_the_cgroup_above() {
        let above = [("cpuset.effective_cpus", "0-1\n"), ("cpuset.effective_mems", "0\n")];
        let files = [("cpuset.cpus", "\n"), ("cpuset.mems", "\n")];
        let made = Made::new(Version::V1, &above, &files);
        made.1.set_list(ListLimit::Cpuset, Some("0"), &acquire).unwrap();
        let read = |file: &str| fs::read_to_string(made.file(file)).unwrap().trim().to_string();
        assert_eq!((read("cpuset.cpus"), read("cpuset.mems")), ("0".into(), "0".into()));
        let made = Made::new(Version::V1, &above, &files);
        made.1.set_list(ListLimit::CpusetMems, Some("0"), &acquire).unwrap();
        let read = |file: &str| fs::read_to_string(made.file(file)).unwrap().trim().to_string();
        assert_eq!((read("cpuset.cpus"), read("cpuset.mems")), ("0-1".into(), "0".into()));
        let made = Made::new(Version::V1, &[above[0], ("cpuset.effective_mems", "\n")], &files);
        let error = made.1.set_list(ListLimit::Cpuset, Some("0"), &acquire).unwrap_err();
        assert!(error.to_string().contains("memory nodes") && error.to_string().contains("has none"), "{error}");
        assert!(error.hint().contains("cpuset.mems"), "{error}");
    }

    #[test]
    fn what_the_kernel_keeps_nowhere_is_refused_on_v2_too() {
        for (limit, above, file) in
            [(Limit::IoWeight, "io.max", "io.bfq.weight"), (Limit::Swap, "memory.max", "memory.swap.max")]
        {
            let made = Made::new(Version::V2, &[(above, "max\n")], &[]);
            let error = made.1.set(limit, Some(100), &acquire).unwrap_err();
            assert!(error.code() == ErrorCode::Unsupported && error.to_string().contains("kernel"), "{error}");
            fs::write(made.0.join(file), "").unwrap();
            assert_eq!(made.written(file, |cgroup| cgroup.set(limit, Some(100), &acquire)), "100");
        }
    }

    /// A disk that there is.
    fn a_disk() -> Option<String> {
        let numbers = fs::read_dir("/sys/dev/block").ok()?.flatten().find(|it| !it.path().join("partition").exists());
        numbers?.file_name().into_string().ok()
    }

    #[test]
    fn on_v2_a_device_has_a_line_with_all_its_rates() {
        let Some(disk) = a_disk() else { return };
        let before = format!("{disk} rbps=5 wbps=max riops=max wiops=7\n");
        let made = Made::new(Version::V2, &[], &[("io.max", &before)]);
        let told = || made.1.list_limit(ListLimit::Io).unwrap();
        assert_eq!(told(), Some(format!("{disk} rbps=5 wiops=7")));
        let lines = format!("{disk} wbps=9\n{disk} riops=3 wbps=8");
        let written = made.written("io.max", |cgroup| cgroup.set_list(ListLimit::Io, Some(&lines), &acquire));
        assert_eq!(written, format!("{disk} rbps=max wbps=8 riops=3 wiops=max"));
        assert_eq!(told(), Some(format!("{disk} wbps=8 riops=3")));
        fs::write(made.file("io.max"), &before).unwrap();
        made.1.set_list(ListLimit::Io, None, &acquire).unwrap();
        assert_eq!(told(), None);
    }

    #[test]
    fn huge_pages_are_limited_in_use_and_in_reserve() {
        if !Path::new("/sys/kernel/mm/hugepages/hugepages-2048kB").exists() {
            return;
        }
        for (version, file, none) in [(Version::V1, "limit_in_bytes", "-1"), (Version::V2, "max", "max")] {
            let names: Vec<_> = fs::read_dir("/sys/kernel/mm/hugepages")
                .unwrap()
                .flatten()
                .flat_map(|it| {
                    let kib: u64 = it.file_name().to_str().unwrap()[10..].trim_end_matches("kB").parse().unwrap();
                    let name = crate::HugetlbLimit { page_size: kib << 10, bytes: 0 }.page_name();
                    [format!("hugetlb.{name}.{file}"), format!("hugetlb.{name}.rsvd.{file}")]
                })
                .collect();
            let files: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
            let made = Made::new(version, &[], &files);
            let set = |list: Option<&str>| made.1.set_list(ListLimit::Hugetlb, list, &acquire).unwrap();
            let read = |kind: &str| fs::read_to_string(made.file(&format!("hugetlb.2MB.{kind}{file}"))).unwrap();
            set(Some("2M=4194304"));
            assert_eq!((read(""), read("rsvd.")), ("4194304".into(), "4194304".into()));
            for name in &names {
                fs::write(made.file(name), "").unwrap();
            }
            set(None);
            assert_eq!((read(""), read("rsvd.")), (none.into(), none.into()));
        }
    }

    #[test]
    fn a_limit_that_is_no_such_here_is_refused_or_left_out_as_the_policy_says() {
        use super::super::hierarchies::Home;
        use super::super::layout::{Homes, decide};
        use crate::CgroupPolicy;
        use std::borrow::Cow;
        let all = |home: &Home| Homes {
            of: Controller::ALL.map(|_| Some(Cow::Owned(home.clone()))),
            plain: None,
            chosen: false,
        };
        let (v1, v2) = (Home::V1("/v1".into()), Home::V2("/v2".into()));
        let limits = |limit: Limit| {
            let mut numbers = LimitNumbers::default();
            numbers[limit as usize] = Some(4 << 20);
            if limit == Limit::IoWeight {
                numbers[limit as usize] = Some(50);
            }
            Limits::new(numbers, LimitLists::default(), None).unwrap()
        };
        for limit in [Limit::MemoryHigh, Limit::Swap, Limit::IoWeight] {
            let error = decide("x", &limits(limit), CgroupPolicy::Auto, &all(&v1)).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
            assert!(error.to_string().contains(limit.rule().noun) && !error.hint().is_empty(), "{error}");
            let planned = decide("x", &limits(limit), CgroupPolicy::Optional, &all(&v1)).unwrap();
            let [dropped] = &planned.dropped[..] else { panic!("{:?}", planned.dropped) };
            assert!(dropped.contains(&format!("the {} limit of ", limit.rule().noun)), "{dropped}");
            let planned = decide("x", &limits(limit), CgroupPolicy::Auto, &all(&v2)).unwrap();
            let commands = planned.layout.unwrap().commands();
            assert!(commands.iter().any(|(command, _)| command.contains("> /v2/ctr-x/")), "{commands:?}");
        }
    }
}
