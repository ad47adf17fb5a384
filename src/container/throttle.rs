//! Processor time for a container whose programs have used up their limit, which holds for PID 1 too: `cgroup::throttle` says why.

use std::os::fd::AsFd;

use super::shared::Shared;
use crate::cgroup::Suspended;

impl Shared {
    /// Lifts the limit of processor time until what is answered is dropped: for who waits for PID 1, or for the end of a program.
    pub fn suspend_processor_limit(&self) -> Option<Suspended<'_>> {
        self.cgroup.as_ref()?.suspend_processor_limit()
    }

    /// Lifts the limit of what is to die. Not looked for before it has shown that it needs it, where it was made without one.
    pub fn let_die_in_time(&self, has_not_died: bool) {
        if has_not_died || self.record.config.cpus.is_some() {
            self.cgroup.iter().for_each(crate::cgroup::Cgroup::lift_processor_limit);
        }
    }

    /// Has the zygote lift the limit where it ends the container because its owner is gone. One that is dead ends nothing: then
    /// whoever looks after the container next lifts it.
    pub fn leave_processor_limit_to_zygote(&self) {
        if let Some(zygote) = &self.zygote
            && let Some(file) = self.cgroup.as_ref().and_then(crate::cgroup::Cgroup::processor_limit_file)
        {
            zygote.limited(self.pid, file.as_fd());
        }
    }
}
