//! What a container's cgroup has counted.

use nix::errno::Errno;

use super::control;
use super::controller::{At, Controller, Version};
use super::cpu;
use super::directory::Directory;
use super::held::Cgroup;
use super::stats::Stats;
use crate::{Result, Step};

impl Cgroup {
    /// Bytes in use now, and the most that ever were. v2 counts the latter since Linux 5.19; before that it is the former.
    pub(crate) fn memory_usage(&self) -> Result<(u64, u64)> {
        let (directory, now, peak) = match self.needed(Controller::Memory)? {
            At::V1(directory) => (directory, "memory.usage_in_bytes", "memory.max_usage_in_bytes"),
            At::V2(directory) => (directory, "memory.current", "memory.peak"),
        };
        let now = directory.read_number(now)?.unwrap_or(0);
        match control::read_number(&directory.fd, peak) {
            Ok(most) => Ok((now, most.unwrap_or(0).max(now))),
            Err(Errno::ENOENT) => Ok((now, now)),
            Err(errno) => Err(directory.error(Step::Read, peak, errno)),
        }
    }

    /// How many processes of it the kernel's OOM killer has ended.
    pub(crate) fn oom_kills(&self) -> Result<u64> {
        let (directory, file) = match self.needed(Controller::Memory)? {
            At::V1(directory) => (directory, "memory.oom_control"),
            At::V2(directory) => (directory, "memory.events"),
        };
        let kills = control::read_keyed(&directory.fd, file, "oom_kill");
        Ok(kills.map_err(|errno| directory.error(Step::Read, file, errno))?.unwrap_or(0))
    }
}

impl Cgroup {
    /// What it counts now.
    pub(crate) fn stats(&self) -> Result<Stats> {
        let mut stats = Stats::default();
        for (place, directory) in self.made() {
            let Some(version) = place.version else { continue };
            for controller in Controller::ALL {
                // On v2 it is the files that tell.
                if version == Version::V2 || place.has(version, controller) {
                    (controller.row().count)(At::new(version, directory), &mut stats)?;
                }
            }
            directory.kept.again();
        }
        let any = self.any()?;
        if stats.memory.current.is_none() {
            any.check_not_removed()?;
        }
        // v1 without directories for it.
        if (stats.pids.current.is_none() || stats.cpu.user.is_none())
            && let Some(added_up) = AddedUp::of(any)
        {
            stats.pids.current.get_or_insert(added_up.threads);
            if stats.cpu.user.is_none() {
                let [user, system] = added_up.ticks.map(cpu::ticks);
                stats.cpu.user = Some(self.most_used[0].at_least(user));
                stats.cpu.system = Some(self.most_used[1].at_least(system));
            }
        }
        Ok(stats)
    }
}

/// What the processes of a directory have had, with their children that they have waited for. PID 1 has waited for all that nobody
/// else did, so nothing lacks but the time of children whose parent has the kernel wait for them (SIGCHLD ignored), and for a moment
/// that of one that has just ended.
#[derive(Default)]
struct AddedUp {
    /// In programs, and in the kernel.
    ticks: [u64; 2],
    threads: u64,
}

impl AddedUp {
    /// Nothing where one of them can't be seen.
    fn of(directory: &Directory) -> Option<Self> {
        let mut sum = Self::default();
        for pid in control::read_pids(&directory.fd, "cgroup.procs").ok()? {
            if pid == 0 {
                return None;
            }
            let mut buffer = [0; 1024];
            // It may have ended. The path is absolute.
            let Ok(stat) = control::read_some(&directory.fd, &format!("/proc/{pid}/stat"), &mut buffer) else {
                continue;
            };
            // proc_pid_stat(5): behind the name, which may have anything in it, come the state, and as the twelfth to the fifteenth
            // the times of the process and of its children.
            let after_name = stat.iter().rposition(|byte| *byte == b')')? + 2;
            let mut fields = stat.get(after_name..)?.split(|byte| *byte == b' ').map(control::parse).skip(11);
            for at in [0, 1, 0, 1] {
                sum.ticks[at] += fields.next()??;
            }
            sum.threads += fields.nth(2)??;
        }
        Some(sum)
    }
}

#[cfg(test)]
impl Cgroup {
    /// How many processes and threads there are.
    pub(crate) fn pids_now(&self) -> Result<u64> {
        self.stats().map(|stats| stats.pids.current.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cgroup::controller::Controllers;
    use crate::cgroup::place::Place;
    use crate::cgroup::stats::{CpuStats, IoStats, MemoryStats};

    /// A cgroup whose files are those of a directory.
    fn made(version: Version, controllers: &[Controller], files: &[(&str, &str)]) -> (tempdir::Dir, Cgroup) {
        let dir = tempdir::Dir::new();
        std::fs::write(dir.path().join("cgroup.procs"), "").unwrap();
        for (file, text) in files {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        let place = Place::new(version, dir.path().to_path_buf(), controllers.iter().copied().collect::<Controllers>());
        let cgroup = Cgroup::open(&[place], &[]).unwrap();
        (dir, cgroup)
    }

    mod tempdir {
        use std::path::{Path, PathBuf};
        use std::sync::atomic::{AtomicU32, Ordering};

        pub struct Dir(PathBuf);

        impl Dir {
            pub fn new() -> Self {
                static COUNT: AtomicU32 = AtomicU32::new(0);
                let name = format!("ctr-stats-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
                let path = std::env::temp_dir().join(name);
                std::fs::create_dir(&path).unwrap();
                Self(path)
            }

            pub fn path(&self) -> &Path {
                &self.0
            }
        }

        impl Drop for Dir {
            fn drop(&mut self) {
                _ = std::fs::remove_dir_all(&self.0);
            }
        }
    }

    #[test]
    fn every_number_of_v2_is_found_where_the_kernel_writes_it() {
        let (_dir, cgroup) = made(
            Version::V2,
            &[],
            &[
                ("memory.current", "1000\n"),
                ("memory.peak", "2000\n"),
                ("memory.stat", "anon 11\nfile 22\nkernel 33\nkernel_stack 1\nsock 44\nshmem 55\nfile_mapped 9\n"),
                ("memory.events", "low 0\nhigh 0\nmax 3\noom 2\noom_kill 7\noom_group_kill 0\n"),
                (
                    "cpu.stat",
                    "usage_usec 30\nuser_usec 10\nsystem_usec 20\nnr_periods 4\nnr_throttled 2\nthrottled_usec 99\n",
                ),
                ("pids.current", "5\n"),
                (
                    "io.stat",
                    "8:0 rbytes=100 wbytes=7 rios=1 wios=1 dbytes=0 dios=0\n8:16 rbytes=11 wbytes=1 rios=1\n9:0 \n",
                ),
                (
                    "memory.pressure",
                    "some avg10=1.50 avg60=0.25 avg300=0.00 total=1234\nfull avg10=0.00 avg60=0.00 avg300=0.01 total=5\n",
                ),
                ("cpu.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"),
            ],
        );
        let stats = cgroup.stats().unwrap();
        let expected = MemoryStats {
            current: Some(1000),
            peak: Some(2000),
            anon: Some(11),
            file: Some(22),
            kernel: Some(33),
            sock: Some(44),
            shmem: Some(55),
        };
        assert_eq!(stats.memory, expected);
        let micros = |count| Some(Duration::from_micros(count));
        let expected = CpuStats {
            user: micros(10),
            system: micros(20),
            throttled: micros(99),
            periods: Some(4),
            throttled_periods: Some(2),
        };
        assert_eq!(stats.cpu, expected);
        assert_eq!((stats.pids.current, stats.oom_kills), (Some(5), Some(7)));
        assert_eq!(stats.io, IoStats { read: Some(111), written: Some(8) });
        let memory = stats.pressure.memory.unwrap();
        assert_eq!((memory.some.avg10, memory.some.avg60, memory.some.total), (1.5, 0.25, Duration::from_micros(1234)));
        assert_eq!(memory.full.unwrap().avg300, 0.01);
        let cpu = stats.pressure.cpu.unwrap();
        assert_eq!((cpu.some.total, cpu.full), (Duration::from_micros(7), None));
        assert_eq!(stats.pressure.io, None);
    }

    #[test]
    fn every_number_of_v1_is_found_where_the_kernel_writes_it() {
        let all = [Controller::Memory, Controller::Pids, Controller::Cpu];
        let (_dir, cgroup) = made(
            Version::V1,
            &all,
            &[
                ("memory.usage_in_bytes", "1000\n"),
                ("memory.max_usage_in_bytes", "2000\n"),
                ("memory.kmem.usage_in_bytes", "33\n"),
                ("memory.kmem.tcp.usage_in_bytes", "44\n"),
                (
                    "memory.stat",
                    "cache 1\nrss 1\nshmem 1\ntotal_cache 22\ntotal_rss 11\ntotal_rss_huge 9\ntotal_shmem 55\n",
                ),
                ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"),
                ("cpu.stat", "nr_periods 4\nnr_throttled 2\nthrottled_time 99000\n"),
                ("cpuacct.stat", "user 150\nsystem 25\n"),
                ("pids.current", "5\n"),
            ],
        );
        let stats = cgroup.stats().unwrap();
        let expected = MemoryStats {
            current: Some(1000),
            peak: Some(2000),
            anon: Some(11),
            file: Some(22),
            kernel: Some(33),
            sock: Some(44),
            shmem: Some(55),
        };
        assert_eq!(stats.memory, expected);
        let millis = |count| Some(Duration::from_millis(count));
        let expected = CpuStats {
            user: millis(1500),
            system: millis(250),
            throttled: Some(Duration::from_micros(99)),
            periods: Some(4),
            throttled_periods: Some(2),
        };
        assert_eq!(stats.cpu, expected);
        assert_eq!((stats.pids.current, stats.oom_kills), (Some(5), Some(7)));
        assert_eq!((stats.io, stats.pressure), Default::default());
    }

    #[test]
    fn what_is_not_there_is_not_told() {
        let (_dir, cgroup) = made(Version::V2, &[], &[("memory.stat", "anon 11\n"), ("cpu.stat", "user_usec 1\n")]);
        let stats = cgroup.stats().unwrap();
        assert_eq!((stats.memory.anon, stats.memory.file, stats.memory.current), (Some(11), None, None));
        assert_eq!((stats.cpu.user, stats.cpu.system, stats.cpu.periods), (Some(Duration::from_micros(1)), None, None));
        // Nobody is listed there.
        assert_eq!((stats.pids.current, stats.oom_kills, stats.io.read), (Some(0), None, None));
    }
}
