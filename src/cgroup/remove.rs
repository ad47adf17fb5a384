//! The end of a container's directories. Used by destroy, and by the sweep that takes away what a dead owner left.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, statfs};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::layout::PREFIX;
use super::place::Place;
use crate::{Error, Result, Step};

/// How long processes that were killed may take to die.
const PATIENCE: Duration = Duration::from_secs(5);

/// Removes the directories of a container, cgroups inside them first. One that is missing is no error. A killed process
/// keeps its cgroup busy until it is gone, so this waits, but not for ever.
pub(crate) fn remove(places: &[Place]) -> Result<()> {
    let mut outcome = Ok(());
    let mut removed = false;
    for path in places.iter().map(Place::path) {
        // A record is a file that people can edit.
        if !path.file_name().is_some_and(|name| name.as_bytes().starts_with(PREFIX.as_bytes())) {
            outcome =
                outcome.and(Err(Error::invalid(Step::RemoveCgroup, path.display(), "ctr makes none of that name")));
            continue;
        }
        match remove_one(path, Instant::now() + PATIENCE) {
            Ok(was_there) => removed |= was_there,
            Err(error) => outcome = outcome.and(Err(error)),
        }
    }
    // Where nothing is found, somebody was here before; or we are where it can't be seen, and must not let it be forgotten.
    if !removed && outcome.is_ok() {
        places.iter().try_for_each(|place| is_visible(place.path()))?;
    }
    outcome
}

fn is_visible(path: &Path) -> Result<()> {
    // A parent may be gone too, as a finished job's is; then the first one above that is there tells.
    let above = path.ancestors().skip(1).map(|parent| statfs(parent).map(|found| found.filesystem_type()));
    match above.into_iter().find(|found| *found != Err(Errno::ENOENT)) {
        Some(Ok(CGROUP_SUPER_MAGIC | CGROUP2_SUPER_MAGIC)) => Ok(()),
        other => {
            let errno = other.and_then(std::result::Result::err).unwrap_or(Errno::ENOENT);
            Err(Error::system(Step::RemoveCgroup, path.display(), errno as i32).with_hint(
                "no cgroups are mounted there in this mount namespace; a call from where they are removes it",
            ))
        }
    }
}

/// Whether it was there.
fn remove_one(path: &Path, deadline: Instant) -> Result<bool> {
    let mut pause = Duration::from_micros(20);
    loop {
        match unlinkat(AT_FDCWD, path, UnlinkatFlags::RemoveDir) {
            Ok(()) => return Ok(true),
            Err(Errno::ENOENT) => return Ok(false),
            Err(Errno::EBUSY) if Instant::now() < deadline => {}
            Err(errno) => {
                let error = Error::system(Step::RemoveCgroup, path.display(), errno as i32);
                return Err(match errno {
                    Errno::EBUSY => error.with_hint(format!(
                        "processes still run in it, see {}; it is removed by the next call after they end",
                        path.join("cgroup.procs").display()
                    )),
                    _ => error,
                });
            }
        }
        for child in children(path) {
            remove_one(&child, deadline)?;
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}

fn children(path: &Path) -> Vec<PathBuf> {
    let names = crate::sys::file::names(path).unwrap_or_default();
    names
        .iter()
        .map(|name| path.join(name))
        .filter(|child| fs::symlink_metadata(child).is_ok_and(|it| it.is_dir()))
        .collect()
}
