//! What stands in for limits of a cgroup that can't be had, where that is let pass: limits of resources, setrlimit(2). They are weaker,
//! and the warning says in what.

use crate::config::Rlimit;
use crate::security::Walls;
use crate::{Config, Limit, Namespace};

/// A limit, what it is called in a warning, the limit of resources that stands in for it, and what that is.
const STAND_INS: [(Limit, &str, &str, &str); 2] = [
    (
        Limit::Pids,
        "the process limit of ",
        "nproc",
        "each user inside may have so many instead (RLIMIT_NPROC), so root there can have more as another",
    ),
    (
        Limit::Memory,
        "the memory limit of ",
        "data",
        "each process may have so many bytes of its own instead (RLIMIT_DATA), all together as many times more, and files in memory \
         count nowhere",
    ),
];

/// Adds them to what was asked for, and says so in `dropped`. What the caller has said of a resource stays.
pub fn stand_in(asked: &mut Config, config: &mut Config, walls: &mut Walls, dropped: &mut [String]) {
    for (limit, called, resource, what) in STAND_INS {
        let Some(words) = dropped.iter_mut().find(|words| words.starts_with(called)) else { continue };
        // Without a user namespace of its own it would count all that the user has, elsewhere too.
        if limit == Limit::Pids && config.namespaces.user != Namespace::New {
            continue;
        }
        let Some(value) = config.limits()[limit as usize] else { continue };
        let Ok(stand_in) = Rlimit::new(resource, Some(value), Some(value)) else { continue };
        if asked.rlimits.iter().any(|chosen| chosen.is_of(&stand_in)) {
            continue;
        }
        for rlimits in [&mut asked.rlimits, &mut config.rlimits, &mut walls.rlimits] {
            rlimits.push(stand_in);
        }
        words.push_str("; ");
        words.push_str(what);
    }
}
