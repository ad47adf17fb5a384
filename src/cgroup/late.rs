//! A directory of v1 that is made while its container runs: the first limit of a controller makes it, and moves the
//! container's processes into it, each of which waits for an RCU grace period (about 10 ms).

use std::collections::BTreeSet;
use std::time::Instant;

use nix::errno::Errno;

use super::control;
use super::controller::{At, Controller};
use super::directory::{Directory, open_failed, without};
use super::held::{Cgroup, Held};
use super::hierarchies::hand_on;
use super::place::Place;
use crate::{Error, ErrorCode, Limit, Result, Step, hints};

/// Has a directory made once it is on record.
pub(crate) type Acquire<'a> = &'a dyn Fn(&Place, &mut dyn FnMut() -> Result<()>) -> Result<()>;

/// How often the move of a container's processes goes on for those that were forked meanwhile.
const PASSES: usize = 100;

impl Cgroup {
    /// Sets a limit; `None` lifts it. What happens below present use is each controller's: see its file.
    ///
    /// On v1 a container that was made without such a limit may have no directory for it: the first one has `acquire` make it.
    pub(crate) fn set(&self, limit: Limit, value: Option<u64>, acquire: Acquire<'_>) -> Result<()> {
        let rule = limit.rule();
        value.map_or(Ok(()), rule.check)?;
        let at = match (self.at(rule.controller)?, value) {
            (Some(at), _) => at,
            (None, None) => return Ok(()),
            (None, Some(_)) => At::V1(self.make_late(rule.controller, acquire)?),
        };
        match (rule.set)(at, value) {
            // v2: it was not handed on, since nobody was limited by it.
            Err(error) if error.code() == ErrorCode::Unsupported => {
                if value.is_none() {
                    return Ok(());
                }
                let At::V2(directory) = at else { return Err(error) };
                hand_on(directory, [rule.controller].into_iter())?;
                (rule.set)(at, value)
            }
            outcome => outcome,
        }?;
        self.move_into(rule.controller, at.directory(), None)
    }

    /// Makes the directory of a controller that the container was made without.
    pub(super) fn make_late(&self, controller: Controller, acquire: Acquire<'_>) -> Result<&Directory> {
        let late = self.held(controller).ok_or_else(|| {
            let error = without(controller.name());
            // The policy asks for what all containers have.
            match controller {
                Controller::Freezer => error.with_hint(hints::FREEZER),
                _ if controller.is_usual() => error,
                _ => error.with_hint("give it such a limit when it is created"),
            }
        })?;
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

    /// Moves all processes in, until `end`, where the directory may have been made late: also where it was there, since whoever
    /// made it may have been killed before it was done.
    pub(super) fn move_into(&self, controller: Controller, to: &Directory, end: Option<Instant>) -> Result<()> {
        let is_late = |held: &&Held| held.place.may_come_late();
        let Some(late) = self.held(controller).filter(is_late) else { return Ok(()) };
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
    for _ in 0..PASSES {
        let there: BTreeSet<i32> = list(to)?.into_iter().collect();
        let left: Vec<i32> = list(from)?.into_iter().filter(|pid| !there.contains(pid)).collect();
        if left.is_empty() {
            return Ok(());
        }
        for pid in left {
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
