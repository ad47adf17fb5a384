//! Where the kernel counts the processor time of all that a container has ever run, for PID 1's budgets: what it can't learn from
//! processes is there.
//!
//! On v2 that is the container's own directory, with the cpu controller or without. v1 has a hierarchy for it, cpuacct, alone or together
//! with cpu, in which a container gets a directory with the first budget. PID 1 moves itself in: what it has started before is not counted.
//!
//! Rests on "CPU Interface Files" of Documentation/admin-guide/cgroup-v2.rst, and on .../cgroup-v1/cpuacct.rst.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::controller::{Controller, Version};
use super::directory::{Directory, open_failed};
use super::held::Cgroup;
use super::hierarchies::{Caller, Home, is_together, v1_hierarchy};
use super::late::Acquire;
use super::place::Place;

const V1: &str = "cpuacct";
const V1_USAGE: &str = "cpuacct.usage";
const V2_STAT: &str = "cpu.stat";

/// What PID 1 is handed.
pub(crate) struct CpuTime {
    /// The file that counts.
    pub(crate) file: OwnedFd,
    /// `tasks`, where PID 1 is not in the directory yet.
    pub(crate) join: Option<OwnedFd>,
}

impl Cgroup {
    /// Where it is counted, if it is or can be.
    pub(crate) fn cpu_time(&self, acquire: Acquire<'_>) -> Option<CpuTime> {
        if let Some((_, directory)) = self.made().find(|(place, _)| place.is(Version::V2)) {
            return Some(CpuTime { file: read_only(directory, V2_STAT)?, join: None });
        }
        let (pid, parent) = self.of.get()?;
        let cgroups = crate::sys::file::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let caller = Caller { cgroups: &cgroups, parent: parent.as_deref(), insists: parent.is_some() };
        let (own, home) = v1_hierarchy(V1, caller)?;
        let name = self.file_name()?;
        if own.file_name() == Some(name) {
            return Some(CpuTime { file: read_only(&Directory::open(&own).ok()?, V1_USAGE)?, join: None });
        }
        let Home::V1(above) = home else { return None };
        // A directory of both may get a limit later.
        let together = is_together(&cgroups, V1, Controller::Cpu).then_some(Controller::Cpu);
        let place = Place::new(Version::V1, above.join(name), together.into_iter().collect());
        let mut made = None;
        let make = &mut || {
            let path = place.path();
            made = Some(match Directory::make(path) {
                // Another handle was faster, or PID 1 had to go on without.
                Err(error) if error.errno() == libc::EEXIST => {
                    Directory::open(path).map_err(|errno| open_failed(path, errno))
                }
                other => other,
            }?);
            Ok(())
        };
        acquire(&place, make).ok()?;
        let directory = made?;
        Some(CpuTime { file: read_only(&directory, V1_USAGE)?, join: Some(directory.open_for_writing("tasks").ok()?) })
    }
}

fn read_only(directory: &Directory, file: &str) -> Option<OwnedFd> {
    let opened: Result<_, Errno> =
        crate::sys::openat(&directory.fd, file, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty());
    opened.ok()
}
