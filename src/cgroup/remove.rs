//! The end of a container's directories. Used by destroy, and by the sweep that takes away what a dead owner left.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::layout::PREFIX;
use crate::{Error, Result};

/// How long processes that were killed may take to die.
const PATIENCE: Duration = Duration::from_secs(5);

/// Removes the directories of a container, cgroups inside them first. One that is missing is no error. A killed process
/// keeps its cgroup busy until it is gone, so this waits, but not for ever.
pub(crate) fn remove(paths: &[PathBuf]) -> Result<()> {
    let mut outcome = Ok(());
    for path in paths {
        // A record is a file that people can edit.
        if !path.file_name().is_some_and(|name| name.as_bytes().starts_with(PREFIX.as_bytes())) {
            outcome = outcome.and(Err(Error::invalid("remove cgroup", path.display(), "ctr makes none of that name")));
            continue;
        }
        outcome = outcome.and(remove_one(path, Instant::now() + PATIENCE));
    }
    outcome
}

fn remove_one(path: &Path, deadline: Instant) -> Result<()> {
    let mut pause = Duration::from_micros(20);
    loop {
        match unlinkat(AT_FDCWD, path, UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => return Ok(()),
            Err(Errno::EBUSY) if Instant::now() < deadline => {}
            Err(errno) => {
                let error = Error::system("remove cgroup", path.display(), errno as i32);
                return Err(match errno {
                    Errno::EBUSY => error.mend(format!(
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
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
