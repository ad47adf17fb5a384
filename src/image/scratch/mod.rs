//! The changes of a scratch mount: what the container has made of a directory of the host, in the upper directory of an overlay.
//! They are listed ([`Scratch::diff`]), as those of a whole container are, and carried over to the host ([`Scratch::apply`]), one
//! file after another: what is new is made under a name of its own beside the old one and takes its place by renameat2(2), so
//! whoever looks sees the old or the new file. What the old one was is looked at once more when it is out of the way; if it
//! is not what was expected, it comes back.
//!
//! The container goes on writing meanwhile, and so may the host. On both sides each name is opened in its directory, without
//! links.

mod apply;
mod hands;
mod since;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::diff::{Change, Compare, Difference, Differences};
use super::dirs::{Dirs, Opener};
use super::fault::{Fault, Outcome};
use super::lower::Lower;
use super::owner::Id;
use super::pipeline::{Progress, REPORT_EVERY, Report};
use crate::sys::fs::{self, Mode, OFlag};
use crate::{Error, ErrorCode, Result, Step};

/// What [`crate::Container::apply_scratch`] does where the host has changed what the container has changed too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum Conflicts {
    /// Nothing is applied, and the error names them.
    #[default]
    Refuse = 0,
    /// The host's files stay as they are; all else is applied.
    Keep = 1,
    /// The container's files take their place.
    Overwrite = 2,
}

/// What was carried over to the host, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// What the host has now.
    pub changes: Vec<Difference>,
    /// What was changed on both sides, or lies below that, and stayed as it is on both.
    pub conflicts: Vec<Difference>,
    /// Devices and sockets, which are not made on the host.
    pub left_out: Vec<Difference>,
}

/// What `container` knows about it.
pub(crate) struct Scratch {
    /// What errors call it.
    pub shown: String,
    /// Where it is inside.
    pub target: PathBuf,
    /// The place of its changes.
    pub place: OwnedFd,
    /// The directory of the host.
    pub host: OwnedFd,
    /// The id of a file of the changes as this user gives it to a file of the host's; for an ordinary user as it is inside.
    pub inside: Box<dyn Fn(Id) -> Option<u32> + Sync>,
    /// Opens what the container's root may open and we may not.
    pub opener: Option<Opener>,
}

impl Scratch {
    /// What differs from the host's directory as it is now.
    pub fn diff(&self, report: Report<'_>) -> Result<Vec<Difference>> {
        let compared = self.lower().and_then(|lower| self.differences(&RefCell::new(lower), &mut told(report)));
        let all = compared.map_err(|fault| self.failed(Step::CompareWithHost, fault))?;
        Ok(all.changes.iter().map(|(path, change)| self.line(path, *change)).collect())
    }

    fn lower(&self) -> Outcome<Lower> {
        Ok(Lower::of(hands::duplicate(&self.host).map_err(|errno| Fault::system(Step::Open, b"", errno))?))
    }

    fn upper(&self) -> Outcome<Dirs> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        let upper = fs::openat(&self.place, c"upper", flags, Mode::empty());
        upper
            .map(|upper| Dirs::new(upper).with_opener(self.opener.clone()))
            .map_err(|errno| Fault::system(Step::Open, b"", errno))
    }

    /// `go_on` is asked now and then.
    fn differences(&self, lower: &RefCell<Lower>, go_on: &mut dyn FnMut() -> bool) -> Outcome<Differences> {
        let (none, go_on) = (BTreeSet::new(), RefCell::new(go_on));
        let compare = Compare {
            upper: self.upper()?,
            lower,
            inside: &*self.inside,
            believes: false,
            mount_points: &none,
            left_out: &none,
            times_of_directories: false,
            go_on: &go_on,
        };
        let mut all = compare.run()?;
        let mode = |fd: std::result::Result<OwnedFd, nix::errno::Errno>| {
            let stat = fd.and_then(fs::fstat).map_err(|errno| Fault::system(Step::LookAt, b"", errno));
            stat.map(|stat| stat.st_mode & 0o7777)
        };
        let mut upper = self.upper()?;
        let above = upper.enter(b"").map_err(|_| Fault::system(Step::Open, b"", nix::errno::Errno::ENOENT))?;
        if mode(hands::duplicate(above))? != mode(hands::duplicate(&self.host))? {
            all.changes.insert(Vec::new(), Change::Changed);
        }
        Ok(all)
    }

    /// As it is told, with the path inside.
    fn line(&self, path: &[u8], change: Change) -> Difference {
        let mut inside = self.target.as_os_str().as_bytes().to_vec();
        if !path.is_empty() {
            inside.push(b'/');
            inside.extend_from_slice(path);
        }
        Difference { path: OsString::from_vec(inside).into(), change }
    }

    fn failed(&self, step: Step, fault: Fault) -> Error {
        match fault {
            Fault::Cancelled => {
                let why = "cancelled; what was applied before it is there";
                Error::new(ErrorCode::Interrupted, step, &self.shown, libc::EINTR, why)
            }
            fault => fault.into_packing_error(&self.shown, &self.shown),
        }
    }
}

/// Asks `report` some ten times a second whether it is to go on.
fn told<'r>(report: Report<'r>) -> impl FnMut() -> bool + 'r {
    let mut last = Instant::now();
    move || {
        if last.elapsed() < REPORT_EVERY {
            return true;
        }
        last = Instant::now();
        report(Progress::default())
    }
}

/// Opens a directory of the host, if it is still the one that was mounted.
pub(crate) fn open_host(source: &Path, identity: (u64, u64)) -> Result<OwnedFd> {
    let failed = |errno| Error::system(Step::OpenPath, source.display(), errno as i32);
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let host = fs::open(source, flags, Mode::empty()).map_err(failed)?;
    let stat = fs::fstat(&host).map_err(failed)?;
    if (stat.st_dev, stat.st_ino) == identity {
        return Ok(host);
    }
    let why = "ESTALE, another directory has this name now than when it was mounted";
    Err(Error::new(ErrorCode::System, Step::OpenPath, source.display(), libc::ESTALE, why)
        .with_hint("move the first one back"))
}
