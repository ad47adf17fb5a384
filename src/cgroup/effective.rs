//! Which limits hold for a process in the end: the lowest of its own cgroup's and those of the cgroups above, as far as they can be
//! seen from here.

use super::controller::{At, Controller};
use super::directory::Directory;
use super::held::counted;
use super::hierarchies::own;
use crate::config::LimitNumbers;
use crate::{Error, Limit, Result, Step};

/// Of the process `pid`, in whichever cgroups it is.
pub(crate) fn effective(pid: i32) -> Result<LimitNumbers> {
    let file = format!("/proc/{pid}/cgroup");
    let cgroups = crate::sys::file::read_to_string(&file).map_err(|e| Error::io(Step::Read, &file, &e))?;
    let places = own(&cgroups);
    let mut numbers = LimitNumbers::default();
    for limit in Limit::ALL {
        let rule = limit.rule();
        let of = |controller: Controller| places.iter().find(|place| place.controllers.has(controller));
        let Some((place, version)) = of(rule.controller).and_then(|place| Some((place, place.version?))) else {
            continue;
        };
        for path in place.path().ancestors() {
            // Above the root of the hierarchy is no cgroup.
            let Some(directory) = Directory::open(path).ok().filter(|directory| !directory.is_removed()) else { break };
            // The root has no limits, and v2 none where the controller is not handed on.
            let here = counted((rule.get)(At::new(version, &directory)))?.flatten();
            let lowest = &mut numbers[limit as usize];
            *lowest = lowest.iter().copied().chain(here).min();
        }
    }
    Ok(numbers)
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
