//! Disks of a container: their file systems are mounted by this process, which is root of the machine, and attached in the container's
//! mount namespace by whoever is there. A loop device that this takes is on record before it is one; its last use, the mount inside
//! or a descriptor of this process, ends it.

use std::fmt::Display;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;

use super::shared::Shared;
use super::state::{RecordFile, Resource, StateDir, random_name};
use crate::disk::{self, Loop, Source};
use crate::{Error, ErrorCode, Mount, Result, Step};

/// How often another process may take the loop device that was free.
const TRIES: usize = 64;

/// The record of a container, which is made or runs.
pub struct Books<'a> {
    pub state: &'a StateDir,
    pub name: &'a str,
    pub file: RecordFile,
}

/// The source of a disk; `None` for other mounts.
pub fn open(mount: &Mount) -> Option<Result<Source>> {
    match mount {
        Mount::Disk(disk) => Some(Source::open(disk)),
        _ => None,
    }
}

/// A file system that is mounted, attached nowhere yet.
pub struct Made {
    pub mount: OwnedFd,
    pub source: Source,
    /// What it takes on the host.
    device: Option<Resource>,
}

/// Mounts it; what that takes is on record.
pub fn make(source: &Source, target: &Path, books: &Books<'_>) -> Result<(OwnedFd, Option<Resource>)> {
    if source.is_device && source.part.is_none() {
        return Ok((disk::mount(source, &source.path)?, None));
    }
    for _ in 0..TRIES {
        let free = Loop::free(source)?;
        let tag = format!("ctr-{}{}", random_name(), random_name());
        let resource = Resource::Loop { number: free.number, tag: tag.clone(), target: target.to_path_buf() };
        let configure = || {
            let error = |errno: Errno| Error::system(Step::MakeLoopDevice, source.path.display(), errno as i32);
            free.configure(source, &tag).map_err(error)
        };
        let configured = books.state.acquire(books.name, books.file, resource.clone(), configure);
        let made = match configured {
            Ok(Some(())) => disk::mount(source, &free.path()),
            Ok(None) => Err(no_record(books.name)),
            Err(error) => Err(error),
        };
        let error = match made {
            Ok(mount) => return Ok((mount, Some(resource))),
            Err(error) => error,
        };
        drop(free);
        if let Resource::Loop { number, tag, .. } = &resource {
            disk::has_gone(*number, tag, disk::PATIENCE)?;
        }
        books.state.note_gone(books.name, books.file, resource)?;
        if error.failed_step() != Step::MakeLoopDevice || error.errno() != libc::EBUSY {
            return Err(error);
        }
    }
    let why = "EBUSY, other processes take every one that is free";
    Err(Error::new(ErrorCode::System, Step::MakeLoopDevice, source.path.display(), libc::EBUSY, why))
}

impl Made {
    /// For a container that runs.
    pub fn new(container: &Shared, source: Source, target: &Path) -> Result<Self> {
        let (Some(state), Some(file)) = (&container.state, container.written) else { return Err(container.gone()) };
        let (mount, device) = make(&source, target, &Books { state, name: &container.record.name, file })?;
        Ok(Self { mount, source, device })
    }

    /// It was not attached.
    pub fn give_back(self, container: &Shared) {
        let Self { mount, source, device } = self;
        drop((mount, source));
        if let Some(device) = device {
            strike_off(container, device, disk::PATIENCE);
        }
    }
}

/// Strikes off what was mounted at or below this place and is no more. What programs still use, after it was unmounted `lazily`, stays on record
/// until the container ends.
pub fn unmounted(container: &Shared, target: &Path, lazily: bool) -> Result<()> {
    let patience = if lazily { Duration::ZERO } else { disk::PATIENCE };
    for resource in container.resources()? {
        if matches!(&resource, Resource::Loop { target: at, .. } if at.starts_with(target)) {
            strike_off(container, resource, patience);
        }
    }
    Ok(())
}

/// Where it is still in use, or can't be struck off, the end of the container sees to it.
fn strike_off(container: &Shared, resource: Resource, patience: Duration) {
    if let Resource::Loop { number, tag, .. } = &resource
        && disk::has_gone(*number, tag, patience).is_ok()
    {
        _ = container.strike_off(resource);
    }
}

fn no_record(name: impl Display) -> Error {
    let why = "its record was removed, so nobody could take back what is made for it";
    Error::new(ErrorCode::System, Step::WriteRecordOfContainer, name, libc::ENOENT, why)
}
