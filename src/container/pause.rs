//! Pausing: every process of a container stands still, PID 1 too, by the freezer of its cgroup.
//!
//! A PID 1 that stands still answers nobody. So whoever asks it for something is refused at once where this handle knows of the
//! pause, and after a moment of silence where another one has done it; destroy lets it go on to die.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::shared::Shared;
use super::state::Resource;
use crate::cgroup::Place;
use crate::{Result, Step, sys};

impl Shared {
    /// Stops all processes within `timeout`, or none.
    pub fn pause(&self, timeout: Option<Duration>) -> Result<()> {
        let acquire =
            |place: &Place, make: &mut dyn FnMut() -> Result<()>| self.acquire(Resource::Cgroup(place.clone()), make);
        self.own_cgroup(Step::PauseContainer)?.pause(timeout, &acquire)?;
        self.may_be_paused.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Lets all processes go on.
    pub fn resume(&self) -> Result<()> {
        self.own_cgroup(Step::ResumeContainer)?.resume()?;
        // The kernel has it wait for as long as it had to when it was stopped, pselect(2): woken up, it looks at the time. It has
        // nothing to reap, and may have ended by now.
        _ = sys::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGCHLD, 0);
        Ok(())
    }

    /// Whether they stand still.
    pub fn is_paused(&self) -> Result<bool> {
        self.maybe_cgroup()?.map_or(Ok(false), |cgroup| cgroup.is_paused())
    }
}
