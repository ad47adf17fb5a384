//! Which limits hold for a process in the end: the lowest of its own cgroup's and those of the cgroups above, as far as they can be
//! seen from here.

use super::controller::{Above, At, Controller, Version};
use super::directory::Directory;
use super::held::counted;
use super::hierarchies::own;
use super::place::Place;
use crate::config::LimitNumbers;
use crate::{Error, Limit, ListLimit, Result, Step};

/// Of the process `pid`, in whichever cgroups it is: those that are numbers.
pub(crate) fn effective(pid: i32) -> Result<LimitNumbers> {
    let places = places(pid)?;
    let mut numbers = LimitNumbers::default();
    for limit in Limit::ALL {
        let (rule, holds) = (limit.rule(), &mut numbers[limit as usize]);
        let mut nearest = true;
        let mut gives = None;
        upwards(&places, rule.controller, |at| {
            // The root has no limits, and v2 none where the controller is not handed on.
            let here = counted((rule.get)(at))?.flatten();
            match rule.above {
                Above::Bounds => *holds = holds.iter().copied().chain(here).min(),
                Above::Gives if at.version() == Version::V2 && at.directory().has("cgroup.events") => {
                    gives = gives.iter().copied().chain(Some(here.unwrap_or(0))).min();
                    *holds = gives.filter(|bytes| *bytes > 0);
                }
                Above::Gives | Above::Nothing if nearest => *holds = here,
                Above::Gives | Above::Nothing => {}
            }
            nearest = false;
            Ok(())
        })?;
    }
    Ok(numbers)
}

/// The same of those that are lists.
pub(crate) fn effective_list(pid: i32, limit: ListLimit) -> Result<Option<String>> {
    let rule = limit.rule();
    let mut narrowed = None;
    upwards(&places(pid)?, rule.controller, |at| {
        if let Some(narrower) = counted((rule.narrow)(narrowed.clone(), at))? {
            narrowed = narrower;
        }
        Ok(())
    })?;
    Ok(narrowed)
}

fn places(pid: i32) -> Result<Vec<Place>> {
    let file = format!("/proc/{pid}/cgroup");
    let cgroups = crate::sys::file::read_to_string(&file).map_err(|e| Error::io(Step::Read, &file, &e))?;
    Ok(own(&cgroups))
}

/// Looks at the directory that has the controller, and at all those above it.
fn upwards(places: &[Place], controller: Controller, mut look: impl FnMut(At<'_>) -> Result<()>) -> Result<()> {
    let place = places.iter().find(|place| place.controllers.has(controller));
    let Some((place, version)) = place.and_then(|place| Some((place, place.version?))) else { return Ok(()) };
    for path in place.path().ancestors() {
        // Above the root of the hierarchy is no cgroup.
        let Some(directory) = Directory::open(path).ok().filter(|directory| !directory.is_removed()) else { break };
        look(At::new(version, &directory))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_this_process_are_no_lower_than_those_of_the_machine() {
        let numbers = effective(std::process::id() as i32).unwrap();
        assert!(numbers[Limit::Memory as usize].is_none_or(|bytes| bytes > 1 << 20), "{numbers:?}");
        assert!(effective(i32::MAX).unwrap_err().to_string().contains("/proc/2147483647/cgroup"));
    }
}
