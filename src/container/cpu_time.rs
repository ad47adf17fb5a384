//! The file in which the cgroup counts processor time, and how PID 1 comes by it: with the first budget, and never where there is none.

use std::sync::atomic::Ordering;

use ctr_wire::{NONE, RUN};

use super::shared::Shared;
use super::state::Resource;
use crate::cgroup::Place;
use crate::plan::{Fd, Header, Plan};
use crate::{Result, Step};

impl Shared {
    /// Adds it to a request with calls that PID 1 walks itself. Without it budgets are kept as well, but for what no process tells of.
    pub fn count_cpu_time(&self, plan: &mut Plan<'_>, header: &mut Header) {
        if self.counts_cpu_time.load(Ordering::Relaxed) || !self.record.exec.own_pid {
            return;
        }
        let acquire =
            |place: &Place, make: &mut dyn FnMut() -> Result<()>| self.acquire(Resource::Cgroup(place.clone()), make);
        let Some(time) = self.cgroup.as_ref().and_then(|cgroup| cgroup.cpu_time(&acquire)) else { return };
        if let Some(tasks) = time.join {
            plan.step(Step::JoinCgroup, "", "", "");
            let (tasks, zero) = (plan.send(Fd::Owned(tasks)), plan.bytes("0"));
            plan.write(tasks, zero, 1).optional();
        }
        header.user = plan.send(Fd::Owned(time.file)).0;
    }

    /// Hands it over at once, for the budget of the whole container.
    pub fn hand_over_cpu_time(&self) -> Result<()> {
        let (mut plan, mut header) = (Plan::new(), Header::new(RUN));
        self.count_cpu_time(&mut plan, &mut header);
        if header.user == NONE {
            return Ok(());
        }
        self.run(&header, &plan).map(|_| self.counts_cpu_time.store(true, Ordering::Relaxed))
    }
}
