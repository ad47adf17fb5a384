//! A directory of v1 that is made while its container runs: the first limit of a controller makes it, and moves the
//! container's processes into it, each of which waits for an RCU grace period (about 10 ms).

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::control;
use super::controller::{At, Controller, Version, Wanted};
use super::directory::{Directory, open_failed, without};
use super::held::{Cgroup, Held};
use super::hierarchies::{Caller, Home, hand_on, home};
use super::layout::lacks;
use super::place::Place;
use crate::{Error, ErrorCode, Limit, ListLimit, Result, Step, hints};

/// Has a directory made once it is on record.
pub(crate) type Acquire<'a> = &'a dyn Fn(&Place, &mut dyn FnMut() -> Result<()>) -> Result<()>;

/// How often the move of a container's processes goes on for those that were forked meanwhile.
const PASSES: usize = 100;
/// How often it waits a millisecond for those that are about to end, which can't be moved any more and are listed until they are gone
/// (`cgroup_migrate_add_task` of kernel/cgroup/cgroup.c).
const WAITS: usize = 5000;

impl Cgroup {
    /// Sets a limit; `None` lifts it. What happens below present use is each controller's: see its file.
    ///
    /// On v1 a container that was made without such a limit may have no directory for it: the first one has `acquire` make it.
    pub(crate) fn set(&self, limit: Limit, value: Option<u64>, acquire: Acquire<'_>) -> Result<()> {
        let rule = limit.rule();
        value.map_or(Ok(()), rule.check)?;
        self.set_by(rule.controller, value.is_some(), acquire, |at| {
            let parent = at.directory().path.parent().unwrap_or(&at.directory().path);
            // What is limited together with memory looks for itself whether that is, as it may come and go.
            let wanted = Wanted { version: at.version(), parent, with_memory: true };
            match value.and_then(|value| Some((value, (rule.lacks)(wanted)?))) {
                Some((value, lack)) => Err(lacks(rule.noun, &limit.text(value), &lack)),
                None if limit == Limit::Cpus => self.replacing_suspended(|| (rule.set)(at, value)),
                None => (rule.set)(at, value),
            }
        })
    }

    /// The same of a limit that is a list.
    pub(crate) fn set_list(&self, limit: ListLimit, list: Option<&str>, acquire: Acquire<'_>) -> Result<()> {
        let rule = limit.rule();
        let list = list.map(rule.read).transpose()?;
        self.set_by(rule.controller, list.is_some(), acquire, |at| (rule.set)(at, list.as_deref()))
    }

    fn set_by(
        &self,
        controller: Controller,
        limits: bool,
        acquire: Acquire<'_>,
        set: impl Fn(At<'_>) -> Result<()>,
    ) -> Result<()> {
        let at = match (self.at(controller)?, limits) {
            (Some(at), _) => at,
            (None, false) => return Ok(()),
            (None, true) => At::V1(self.make_late(controller, acquire)?),
        };
        match set(at) {
            // v2: it was not handed on, since nobody was limited by it.
            Err(error) if error.code() == ErrorCode::Unsupported => {
                let At::V2(directory) = at else { return Err(error) };
                if directory.has(controller.row().v2_file) {
                    return Err(error);
                }
                if !limits {
                    return Ok(());
                }
                hand_on(directory, [controller].into_iter())?;
                set(at)
            }
            outcome => outcome,
        }?;
        self.move_into(controller, at.directory(), None)
    }

    /// Makes the directory of a controller that the container was made without.
    pub(super) fn make_late(&self, controller: Controller, acquire: Acquire<'_>) -> Result<&Directory> {
        let late = match self.held(controller) {
            Some(held) => held,
            None => self.place_later(controller)?,
        };
        acquire(&late.place, &mut || {
            self.any()?.check_not_removed()?;
            let path = late.place.path();
            let made = match Directory::make(path) {
                // Another process that joined the container was faster.
                Err(error) if error.errno() == libc::EEXIST => {
                    Directory::open(path).map_err(|errno| open_failed(path, errno))
                }
                other => other,
            }?;
            late.made.get_or_init(|| made);
            Ok(())
        })?;
        late.made.get().ok_or_else(|| without(controller.name()))
    }

    /// v1: where a directory goes that nobody thought of when the container was made: below the cgroup that its PID 1 is in, which
    /// is that of whoever made it, or below the chosen parent.
    fn place_later(&self, controller: Controller) -> Result<&Held> {
        let lacks = || {
            let error = without(controller.name());
            // The policy asks for what all containers have.
            match controller {
                Controller::Freezer => error.with_hint(hints::FREEZER),
                _ if controller.is_usual() => error,
                _ => error.with_hint("give it such a limit when it is created"),
            }
        };
        let (pid, parent) = self.of.get().filter(|_| controller.is_handed_on()).ok_or_else(lacks)?;
        let file = format!("/proc/{pid}/cgroup");
        let cgroups = crate::sys::file::read_to_string(&file).map_err(|e| Error::io(Step::Read, &file, &e))?;
        let caller = Caller { cgroups: &cgroups, parent: parent.as_deref(), insists: parent.is_some() };
        let path = match (home(controller, caller), self.file_name()) {
            (Home::V1(path), Some(name)) => path.join(name),
            (Home::Missing(missing), _) => return Err(missing.error(controller.name())),
            _ => return Err(lacks()),
        };
        let place = Place::new(Version::V1, path, [controller].into_iter().collect());
        Ok(self.later[controller as usize].get_or_init(|| Held { place, made: OnceLock::new() }))
    }

    /// Moves all processes in, until `end`, where the directory may have been made late: also where it was there, since whoever
    /// made it may have been killed before it was done.
    pub(super) fn move_into(&self, controller: Controller, to: &Directory, end: Option<Instant>) -> Result<()> {
        let is_late = |held: &&Held| held.place.may_come_late();
        let late = self.held(controller).or_else(|| self.later[controller as usize].get());
        let Some(late) = late.filter(is_late) else { return Ok(()) };
        let mut from = self.made().filter(|(place, _)| **place != late.place && !place.may_come_late());
        from.next().map_or(Ok(()), |(_, from)| move_all(controller, from, to, end))
    }
}

fn move_all(controller: Controller, from: &Directory, to: &Directory, end: Option<Instant>) -> Result<()> {
    const PROCS: &str = "cgroup.procs";
    let list = |directory: &Directory| {
        control::read_pids(&directory.fd, PROCS).map_err(|errno| directory.error(Step::Read, PROCS, errno))
    };
    let name = controller.name();
    let failed = |code, errno, why: &str| {
        let what = format!("{name} cgroup the processes of {}", from.path.display());
        Error::new(code, Step::MoveIntoCgroup, what, errno, why)
    };
    let is_late = || end.is_some_and(|end| Instant::now() >= end);
    let (mut tried, mut passes, mut waits) = (BTreeSet::new(), 0, 0);
    while passes < PASSES && waits < WAITS {
        let there: BTreeSet<i32> = list(to)?.into_iter().collect();
        let left: Vec<i32> = list(from)?.into_iter().filter(|pid| !there.contains(pid)).collect();
        if left.is_empty() {
            return Ok(());
        }
        if left.iter().all(|pid| tried.contains(pid)) {
            std::thread::sleep(Duration::from_millis(1));
            waits += 1;
        } else {
            passes += 1;
        }
        for pid in left {
            tried.insert(pid);
            if is_late() {
                let why = "its processes could not be moved in time, each of which takes about 10 ms";
                return Err(failed(ErrorCode::TimedOut, libc::ETIMEDOUT, why).with_hint("give it more time"));
            }
            // 0 is a process that our pid namespace doesn't have; written, it would mean ourselves.
            let outcome = if pid == 0 { Err(Errno::EXDEV) } else { control::write(&to.fd, PROCS, &pid.to_string()) };
            match outcome {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => {
                    return Err(Error::system(Step::MoveIntoCgroup, format!("{name} cgroup pid {pid}"), errno as i32));
                }
            }
        }
    }
    let why = "its processes multiply faster than they can be moved";
    let error = failed(ErrorCode::System, libc::EBUSY, why);
    Err(match controller {
        Controller::Freezer => error.with_hint("limit the number of its processes first"),
        _ => error.with_hint(format!("set a {name} limit when the container is created")),
    })
}
