//! The host's side of a container's cgroup: where it can be made, its directories, its limits, what it counted, its end.
//!
//! Called by `container` alone. A machine has cgroup v1 (each controller a hierarchy of its own), v2 (one tree), v1
//! controllers beside an empty v2 tree, or nothing that we may write to; [`hierarchies`] finds out which, [`Cgroup::plan`]
//! decides on places without making anything, [`Layout::make`] makes them and everything after that goes through
//! directory descriptors. The process moves itself in: on v1 PID 1 writes "0" into `tasks`, which moves one thread and
//! so doesn't wait for an RCU grace period as a write of another's pid into `cgroup.procs` does
//! (`cgroup_procs_write_start` in kernel/cgroup/cgroup.c); on v2 clone3(2) makes it inside by CLONE_INTO_CGROUP.
//!
//! Which controllers there are, with their files and limits, stands in [`table`].
//!
//! Rests on cgroups(7), Documentation/admin-guide/cgroup-v1/memory.rst, .../cgroup-v1/pids.rst and .../cgroup-v2.rst.

mod control;
mod controller;
mod cpu;
mod cpu_time;
mod cpu_weight;
mod cpuset;
mod devices;
mod directory;
mod effective;
mod freezer;
mod held;
mod hierarchies;
mod hugetlb;
mod inside;
mod io;
mod io_weight;
mod kept;
mod kill;
mod late;
mod layout;
mod limits;
mod memory;
mod memory_high;
mod memory_low;
mod missing;
mod pause;
mod pids;
mod place;
mod psi;
mod remove;
mod stats;
mod swap;
mod table;
#[cfg(test)]
mod tests;
mod throttle;
mod usage;
mod verify;
mod watch;

pub(crate) use effective::{effective, effective_list};
pub(crate) use held::{Cgroup, counted};
pub(crate) use hierarchies::{Caller, devices_unavailable};
pub(crate) use inside::{Inside, hide, is_shown};
pub(crate) use layout::{Layout, Planned};
pub(crate) use limits::Limits;
pub(crate) use pause::{first_process, is_paused, let_end};
pub(crate) use place::Place;
pub(crate) use remove::remove;
pub use stats::{CpuStats, IoStats, MemoryStats, PidsStats, Pressure, PressureStats, Stall, Stats};
pub(crate) use throttle::Suspended;
pub(crate) use verify::{check_names, of_process, verify};
pub(crate) use watch::{Seen, Sources, Trigger};
