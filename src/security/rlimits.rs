//! Resource limits of processes inside, setrlimit(2): the presets', and how they are set.

use crate::Step;
use nix::sys::resource::Resource;

use crate::Rlimit;
use crate::plan::Plan;

/// No core files: a core of a container's process would be written by rules of the host. One that those rules pipe to a program
/// is piped all the same, core(5).
pub(crate) const NO_CORE: Rlimit = Rlimit { resource: Resource::RLIMIT_CORE, soft: 0, hard: 0 };

/// Sets the limits in the process that walks the plan, and so in all that it starts.
pub(crate) fn set(plan: &mut Plan<'_>, limits: &[Rlimit]) {
    for limit in limits {
        let command = format!("prlimit --pid $$ --{limit}");
        plan.step(Step::SetRlimit, limit.name(), "what one process may use, setrlimit(2)", command);
        let record = plan.data([limit.soft, limit.hard].map(u64::to_ne_bytes).as_flattened(), 8);
        plan.prlimit(limit.resource as u32, record);
    }
}
