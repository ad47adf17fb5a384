//! What the caller has mounted into a container, when it was made and since: the list of it, and how it is taken off.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;
use serde::Serialize;

use super::disks;
use super::scratches;
use super::shared::Shared;
use super::state::{Resource, Root};
use super::within::Within;
use crate::config::text;
use crate::helper::{Helper, add_hint};
use crate::plan::{Fd, Plan};
use crate::rootfs::{Looked, Lying, place_of};
use crate::sys::mountinfo::{self, Placed};
use crate::{Error, ErrorCode, Mount, Namespace, Result, Step, sys};

/// How often a place is looked for while programs inside move directories about: openat2(2), EAGAIN.
const TRIES: usize = 50;

/// Something that a container was given by its caller, or by who joined it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MountInfo {
    /// Where it is inside.
    #[serde(with = "text")]
    pub target: PathBuf,
    /// What is seen there: a path of the host, "NAME:PATH" of another container, the name of a volume, an image as it was named; `None`
    /// where it began empty.
    #[serde(with = "text")]
    pub source: Option<PathBuf>,
    /// "bind", "volume", "tmpfs", "disk", "image" or "scratch". Later releases may add some.
    pub kind: &'static str,
    /// Whether nothing can be written through it.
    pub read_only: bool,
    /// It was mounted while the container ran.
    pub live: bool,
}

/// All of it that is there still, in the order in which it was mounted.
pub fn mounts(container: &Shared) -> Result<Vec<MountInfo>> {
    container.check_running()?;
    let seen = seen(container);
    let is_there = |number| number == 0 || seen.as_ref().is_none_or(|text| mountinfo::find(text, number).is_some());
    let told = |resource| match resource {
        Resource::Mount { number, mount, live } if is_there(number) => Some(MountInfo {
            target: mount.target().to_path_buf(),
            source: mount.source(),
            kind: mount.kind(),
            read_only: mount.is_read_only(),
            live,
        }),
        _ => None,
    };
    Ok(container.resources()?.into_iter().filter_map(told).collect())
}

/// Takes off what was mounted at this place.
pub fn unmount(container: &Shared, target: &Path, lazy: bool) -> Result<()> {
    check(container)?;
    let place = place_of(target).map_err(|error| if is_own(target) { own(target) } else { error })?;
    let at_place = |resource: &Resource| matches!(resource, Resource::Mount { mount, .. } if mount.target() == place);
    let Some(Resource::Mount { number, mount, live }) = container.resources()?.into_iter().rfind(at_place) else {
        return Err(not_given(container, &place));
    };
    let resource = |number| Resource::Mount { number, mount: mount.clone(), live };
    let known = match number {
        0 => again(|| number_of(container, &place))?,
        number => number,
    };
    if number == 0 {
        // So that one who is killed now leaves nobody to take off what lies below it, which is the container's own.
        container.note_known(resource(0), resource(known))?;
    }
    let below = again(|| take_off(container, known, &place, lazy))?;
    if matches!(mount, Mount::Disk(_)) || below.is_some() {
        disks::unmounted(container, &place, lazy || below.is_some())?;
    }
    struck_off(container, resource(known))?;
    if let Some(place) = below {
        strike_off_below(container, &place)?;
    }
    Ok(())
}

/// What came with the container and lay below a place went with what was taken off there.
fn strike_off_below(container: &Shared, place: &Path) -> Result<()> {
    let is_below =
        |it: &Resource| matches!(it, Resource::Mount { number: 0, mount, .. } if mount.target().starts_with(place));
    container.resources()?.into_iter().filter(is_below).try_for_each(|gone| struck_off(container, gone))
}

/// Notes that one is gone, and forgets the changes of a scratch mount.
fn struck_off(container: &Shared, gone: Resource) -> Result<()> {
    if let Resource::Mount { mount: Mount::Scratch(scratch), .. } = &gone {
        scratches::find(container, &scratch.target).and_then(|it| scratches::forget(container, it))?;
    }
    container.strike_off(gone)
}

/// Whether a place is the container's own by its name.
fn is_own(place: &Path) -> bool {
    ["/proc", "/sys", "/dev"].iter().any(|own| place.starts_with(own))
}

fn own(place: &Path) -> Error {
    let why = "what is mounted there is the container's own, for as long as it runs";
    Error::invalid(Step::Unmount, place.display(), why).with_hint(GIVEN)
}

const GIVEN: &str = "libctr mounts NAME, c.mounts() and ctr_mounts_of() list what can be taken off";

/// The error for a place at which the caller has mounted nothing.
fn not_given(container: &Shared, place: &Path) -> Error {
    if is_own(place) || seen(container).is_some_and(|text| !mountinfo::at(&text, place).is_empty()) {
        return own(place);
    }
    let why = "nothing was mounted there by who made or joined it";
    Error::new(ErrorCode::NotFound, Step::Unmount, place.display(), libc::ENOENT, why).with_hint(GIVEN)
}

/// Mounts as PID 1 sees them; `None` where /proc hides the processes of others.
fn seen(container: &Shared) -> Option<Vec<u8>> {
    sys::file::read(format!("/proc/{}/mountinfo", container.pid)).ok()
}

/// The number of what was mounted there when the container was made.
fn number_of(container: &Shared, place: &Path) -> Result<u64> {
    let live: Vec<u64> = container
        .resources()?
        .into_iter()
        .filter_map(|resource| match resource {
            Resource::Mount { number, .. } => Some(number),
            _ => None,
        })
        .collect();
    let number = match seen(container) {
        Some(text) => mountinfo::at(&text, place).into_iter().rfind(|number| !live.contains(number)),
        None => {
            let (_, _, looked) = find(container, place, place)?;
            if looked.is_root && live.contains(&looked.mount) {
                return Err(covered(place));
            }
            looked.is_root.then_some(looked.mount)
        }
    };
    number.ok_or_else(|| {
        let why = "it is there no longer: programs inside have moved the directory that it is in, or unmounted it";
        Error::new(ErrorCode::NotFound, Step::Unmount, place.display(), libc::ENOENT, why)
    })
}

/// Takes the mount of this number off, wherever it is, with what is mounted below it: then it is said where it was. One that is gone
/// already is no error.
pub fn take_off(container: &Shared, number: u64, target: &Path, lazy: bool) -> Result<Option<PathBuf>> {
    let placed = match seen(container) {
        Some(text) => match mountinfo::find(&text, number) {
            Some(placed) => placed,
            None => return Ok(None),
        },
        // It is where it was, as far as can be told.
        None => Placed { path: target.to_path_buf(), has_others: false, is_covered: false },
    };
    if placed.is_covered {
        return Err(covered(target));
    }
    let (helper, lying, looked) = find(container, &placed.path, target)?;
    if looked.mount != number {
        let why = "EAGAIN, programs inside move it about";
        return Err(Error::new(ErrorCode::System, Step::Unmount, target.display(), libc::EAGAIN, why));
    }
    let mut plan = Plan::new();
    // A tree of mounts goes as a whole, or not at all.
    lying.take_off(&mut plan, target, lazy || placed.has_others)?;
    helper.run(&plan, &[]).map_err(add_hint)?;
    Ok((lazy || placed.has_others).then_some(placed.path))
}

fn covered(target: &Path) -> Error {
    Error::new(ErrorCode::System, Step::Unmount, target.display(), libc::EBUSY, "EBUSY, another mount covers it")
}

/// A helper that is there, and what it has found.
fn find(container: &Shared, path: &Path, target: &Path) -> Result<(Helper, Lying, Looked)> {
    let mut within = Within::open(container, &["mnt"])?;
    within.check_own(container, "mnt")?;
    let helper = within.start(CloneFlags::empty()).start()?;
    let mut plan = Plan::new();
    let (mut looks, theirs) = pipe(Step::Unmount, target)?;
    let theirs = plan.send(Fd::Owned(theirs));
    within.enter(&mut plan);
    let lying = Lying::find(&mut plan, path, theirs)?;
    helper.run(&plan, &[]).map_err(add_hint)?;
    drop(plan);
    let looked = looked(&mut looks, Step::Unmount, target)?;
    Ok((helper, lying, looked))
}

/// Refuses what is no container with mounts of its own.
pub fn check(container: &Shared) -> Result<()> {
    container.check_running()?;
    if container.record.root == Root::Foreign {
        let why = "only a container has mounts of its caller's, and this is another process's namespaces";
        let step = Step::MountInto;
        return Err(Error::new(ErrorCode::Unsupported, step, container.called(), libc::EOPNOTSUPP, why));
    }
    if container.record.config.namespaces.mount != Namespace::New {
        let why = "the mount namespace is not the container's own";
        return Err(Error::invalid(Step::MountInto, container.called(), why));
    }
    Ok(())
}

/// Tries it until programs inside let it find its place.
pub fn again<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let moved = |error: &Error| match error.failed_step() {
        Step::BindIntoContainer | Step::MountDiskAt | Step::MountTmpfs | Step::MountScratch | Step::BindSource => {
            error.errno() == libc::EAGAIN
        }
        Step::Unmount => matches!(error.errno(), libc::EAGAIN | libc::ENOENT | libc::ENOTDIR | libc::ELOOP),
        _ => false,
    };
    for _ in 0..TRIES {
        match attempt() {
            Err(error) if moved(&error) => {}
            outcome => return outcome,
        }
    }
    attempt()
}

pub fn pipe(step: Step, target: &Path) -> Result<(File, OwnedFd)> {
    let (read, write) = sys::pipe().map_err(|errno| Error::system(step, target.display(), errno as i32))?;
    Ok((read.into(), write))
}

pub fn looked(looks: &mut File, step: Step, target: &Path) -> Result<Looked> {
    Looked::read(looks).map_err(|e| Error::io(step, target.display(), &e))
}
