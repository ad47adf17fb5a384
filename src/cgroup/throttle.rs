//! Processor time for what a limit would have wait for minutes: PID 1 shares the limit with the programs, and where those use all
//! of it up, PID 1 has a turn as seldom as each of them. It neither answers then nor dies, for a killed process has to run to its
//! end. So whoever waits for an answer lifts the limit for as long, and whoever ends a container lifts it for good.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::controller::{At, Controller};
use super::cpu;
use super::held::Cgroup;
use super::place::{Place, opened};
use crate::Result;

/// The limit of processor time is lifted; it is set again when this is dropped.
pub(crate) struct Suspended<'a> {
    cgroup: &'a Cgroup,
    at: At<'a>,
}

impl Drop for Suspended<'_> {
    fn drop(&mut self) {
        let mut suspended = unpoisoned(&self.cgroup.suspended);
        if let Some(limit) = suspended.take() {
            cpu::put_back(self.at, limit);
        }
    }
}

impl Cgroup {
    /// Lifts the limit of processor time for a while; nothing where there is none.
    pub(crate) fn suspend_processor_limit(&self) -> Option<Suspended<'_>> {
        let at = self.at(Controller::Cpu).ok()??;
        let mut suspended = unpoisoned(&self.suspended);
        if suspended.is_some() {
            return None;
        }
        *suspended = Some(cpu::suspend(at)?);
        Some(Suspended { cgroup: self, at })
    }

    /// The limit that a caller of this process has suspended, and that will hold again.
    pub(super) fn suspended_limit(&self) -> Option<u64> {
        unpoisoned(&self.suspended).map(cpu::thousandths)
    }

    /// Has `set` set the limit, which is then the one that holds: none that was suspended comes back.
    pub(super) fn replacing_suspended<T>(&self, set: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut suspended = unpoisoned(&self.suspended);
        let set = set()?;
        *suspended = None;
        Ok(set)
    }

    /// Lifts it for what is to die.
    pub(crate) fn lift_processor_limit(&self) {
        if let Ok(Some(at)) = self.at(Controller::Cpu) {
            *unpoisoned(&self.suspended) = None;
            cpu::lift(at);
        }
    }

    /// Its file, open for writing: to be written to by whoever ends the container when its owner is gone.
    pub(crate) fn processor_limit_file(&self) -> Option<OwnedFd> {
        self.at(Controller::Cpu).ok()?.and_then(|at| cpu::open_limit(at).ok())
    }
}

/// Lifts it for the container with these directories.
pub(super) fn lift(places: &[Place]) {
    for (version, directory) in opened(places, |place| place.controllers.has(Controller::Cpu)) {
        cpu::lift(At::new(version, &directory));
    }
}

/// What lies in it is whole whatever a thread that had it panicked of.
fn unpoisoned(suspended: &Mutex<Option<[u64; 2]>>) -> MutexGuard<'_, Option<[u64; 2]>> {
    suspended.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limit;
    use crate::cgroup::controller::Version;

    /// Files in the place of the kernel's, which are overwritten from their beginning: each text is as long as the next or shorter.
    #[test]
    fn a_limit_that_was_lifted_is_set_again_unless_somebody_has_set_another() {
        for (version, file, limit, lifted, again, told) in [
            (Version::V1, "cpu.cfs_quota_us", "10", "-1", "10", 50),
            (Version::V2, "cpu.max", "100", "max", "100 100000", 1),
        ] {
            let path = std::env::temp_dir().join(format!("ctr-test-throttle-{}-{file}", std::process::id()));
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("cgroup.procs"), "").unwrap();
            std::fs::write(path.join("cpu.cfs_period_us"), "200").unwrap();
            let (read, write) = (
                || std::fs::read_to_string(path.join(file)).unwrap(),
                |text: &str| std::fs::write(path.join(file), text).unwrap(),
            );
            let place = Place::new(version, path.clone(), [Controller::Cpu].into_iter().collect());
            let cgroup = Cgroup::open(std::slice::from_ref(&place), &[]).unwrap();
            write(limit);
            let suspended = cgroup.suspend_processor_limit().unwrap();
            assert_eq!(read(), lifted);
            assert!(cgroup.suspend_processor_limit().is_none(), "it is lifted already");
            assert_eq!(cgroup.limit(Limit::Cpus).unwrap(), Some(told), "the one that will hold again");
            drop(suspended);
            assert_eq!(read(), again);
            for end in
                [|cgroup: &Cgroup| cgroup.set(Limit::Cpus, None, &|_, _| Ok(())).unwrap(), Cgroup::lift_processor_limit]
            {
                write(limit);
                let suspended = cgroup.suspend_processor_limit().unwrap();
                end(&cgroup);
                drop(suspended);
                assert_eq!((read().as_str(), cgroup.limit(Limit::Cpus).unwrap()), (lifted, None));
            }
            write(limit);
            let suspended = cgroup.suspend_processor_limit().unwrap();
            write("77");
            drop(suspended);
            assert_eq!(read(), "77");
            write(limit);
            lift(std::slice::from_ref(&place));
            assert_eq!(read(), lifted);
            std::fs::remove_dir_all(path).unwrap();
        }
    }
}
