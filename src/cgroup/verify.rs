//! Whether the cgroups that a record names are its container's. A record is a file: whoever writes one must not have us end the
//! processes of any cgroup, limit it, or remove it.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, FsType, SYSFS_MAGIC, fstatfs, statfs};

use super::control;
use super::directory::Directory;
use super::hierarchies::own;
use super::layout::PREFIX;
use super::place::Place;
use crate::{Error, ErrorCode, Result, Step};

/// Refuses what is called otherwise than a cgroup of the container `name`: ctr-NAME, a dot, and what tells it from one of the
/// same name in another state directory. A directory of that name can be removed when it is empty; more takes [`verify`].
pub(crate) fn check_names(name: &str, places: &[Place]) -> Result<()> {
    let is_of = |path: &Path| {
        let rest = path.file_name().and_then(|file| file.as_bytes().strip_prefix(PREFIX.as_bytes()));
        let rest = rest.and_then(|rest| rest.strip_prefix(name.as_bytes()));
        path.is_absolute() && rest.is_some_and(|rest| rest.len() > 1 && rest.starts_with(b"."))
    };
    match places.iter().map(Place::path).find(|path| !is_of(path)) {
        Some(path) => Err(foreign(path, &format!("it is not what a cgroup of container {name} is called"))),
        None => Ok(()),
    }
}

/// Refuses cgroups that the container `name`, whose PID 1 is `pid`, is not in. One that is not there is made when a limit is
/// set, in the place of a cgroup.
pub(crate) fn verify(name: &str, pid: i32, places: &[Place]) -> Result<()> {
    check_names(name, places)?;
    let is_cgroup = |kind: FsType| matches!(kind, CGROUP_SUPER_MAGIC | CGROUP2_SUPER_MAGIC);
    for path in places.iter().map(Place::path) {
        let fail = |errno: Errno| Error::system(Step::OpenCgroup, path.display(), errno as i32);
        let directory = match Directory::open(path) {
            Ok(directory) => directory,
            Err(Errno::ENOENT) => match path.parent().map(statfs) {
                // On a sysfs nothing can be made: its cgroups are mounted elsewhere than here.
                Some(Ok(found)) if !is_cgroup(found.filesystem_type()) && found.filesystem_type() != SYSFS_MAGIC => {
                    return Err(foreign(path, "there are no cgroups in that place"));
                }
                _ => continue,
            },
            Err(errno) => return Err(fail(errno)),
        };
        if !is_cgroup(fstatfs(&directory.fd).map_err(fail)?.filesystem_type()) {
            return Err(foreign(path, "it is no cgroup"));
        }
        // One without processes is just being made for a limit that came later, and nobody's: PID 1 is the first that is moved in.
        let pids = control::read_pids(&directory.fd, "cgroup.procs").map_err(fail)?;
        if !pids.is_empty() && !pids.contains(&pid) {
            return Err(foreign(path, "the container's PID 1 is not in it"));
        }
    }
    Ok(())
}

/// The cgroups of the container `name` that the process `pid`, its PID 1, is in now, by the kernel's word and not by a record's.
pub(crate) fn of_process(name: &str, pid: i32) -> Result<Vec<Place>> {
    let file = format!("/proc/{pid}/cgroup");
    let text = crate::sys::file::read_to_string(&file).map_err(|e| Error::io(Step::Read, &file, &e))?;
    let mut places = own(&text);
    places.retain(|place| check_names(name, std::slice::from_ref(place)).is_ok());
    verify(name, pid, &places).map(|()| places)
}

fn foreign(path: &Path, why: &str) -> Error {
    Error::new(ErrorCode::Invalid, Step::UseCgroup, path.display(), libc::EPROTO, why)
}
