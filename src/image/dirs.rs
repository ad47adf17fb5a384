//! Where in a tree we are: a stack of directory descriptors from the root down, which neighbouring entries share.
//!
//! A name is walked one component at a time with O_NOFOLLOW, so a symbolic link is never traversed and a name longer than
//! PATH_MAX is no different from a short one. openat2(2)'s RESOLVE_BENEATH would say the same in one call, but not with
//! fewer calls: an archive mostly stays in one directory, whose descriptor is at hand here. open(2), path_resolution(7).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::sys::file;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// The deepest directories that are kept open; the host's descriptors are few (RLIMIT_NOFILE), trees may be deep.
const MAX_OPEN: usize = 16;

const PATH_FLAGS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

type Make<'m> = &'m mut dyn FnMut(BorrowedFd, &[u8], usize) -> Result<bool, Errno>;

/// Who opens what we may not: a running container's PID 1 does that for files that its root may open, and the process that has
/// an ordinary user's ids for those of an image.
pub trait Opens {
    /// openat(2) without links.
    fn open(&self, parent: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno>;

    /// fgetxattr(2), which asks for the rights to read the file anew, whoever opened it.
    fn attribute(&self, file: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>, Errno>;
}

/// One of them.
pub type Opener = Arc<dyn Opens + Send + Sync>;

pub struct Dirs {
    root: OwnedFd,
    levels: Vec<Level>,
    opener: Option<Opener>,
}

struct Level {
    name: Vec<u8>,
    /// `None` where it was closed to stay below [`MAX_OPEN`].
    fd: Option<OwnedFd>,
}

/// What [`Dirs::enter`] found missing, or in the way.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// The first `.0` bytes of the path are not there.
    Missing(usize),
    /// The first `.0` bytes of the path name something that is no directory; perhaps a symbolic link.
    NotDirectory(usize),
    System(Errno),
}

impl Dirs {
    pub fn new(root: OwnedFd) -> Self {
        Self { root, levels: Vec::new(), opener: None }
    }

    /// Asks `opener` for what may not be opened.
    pub fn with_opener(mut self, opener: Option<Opener>) -> Self {
        self.opener = opener;
        self
    }

    /// Whom it asks.
    pub fn opener(&self) -> Option<Opener> {
        self.opener.clone()
    }

    /// The directory `path` (as [`super::entry::Entry::path`]).
    pub fn enter(&mut self, path: &[u8]) -> Result<BorrowedFd<'_>, Stop> {
        self.enter_or_make(path, &mut |_, _, _| Ok(false))
    }

    /// As [`Dirs::enter`]; `make` is called for each directory that is missing, with its parent, its name and the length of
    /// the path that it ends, and answers whether it has made it.
    pub fn enter_or_make(&mut self, path: &[u8], make: Make<'_>) -> Result<BorrowedFd<'_>, Stop> {
        let mut depth = 0;
        let mut end = 0;
        let mut is_known = true;
        for name in path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            end += name.len() + usize::from(depth > 0);
            is_known = is_known && self.levels.get(depth).is_some_and(|level| level.name == name);
            if !is_known {
                self.levels.truncate(depth);
                self.push(name, end, make)?;
            }
            depth += 1;
        }
        self.levels.truncate(depth);
        self.reopen(depth)?;
        Ok(self.at(depth))
    }

    /// Forgets `name` in the directory that was entered last: it was replaced.
    pub fn forget(&mut self, parent: &[u8], name: &[u8]) {
        let components = parent.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).chain([name]);
        let mut depth = 0;
        for name in components {
            if self.levels.get(depth).is_none_or(|level| level.name != name) {
                return;
            }
            depth += 1;
        }
        self.levels.truncate(depth - 1);
    }

    fn push(&mut self, name: &[u8], end: usize, make: Make<'_>) -> Result<(), Stop> {
        let depth = self.levels.len();
        self.reopen(depth)?;
        let parent = self.at(depth);
        let fd = match self.open(parent, name) {
            Err(Errno::NOENT) => {
                if !make(parent, name, end).map_err(Stop::System)? {
                    return Err(Stop::Missing(end));
                }
                self.open(parent, name)
            }
            answer => answer,
        };
        let fd = fd.map_err(|errno| match errno {
            Errno::NOTDIR | Errno::LOOP => Stop::NotDirectory(end),
            errno => Stop::System(errno),
        })?;
        self.levels.push(Level { name: name.into(), fd: Some(fd) });
        if let Some(far) = self.levels.len().checked_sub(MAX_OPEN + 1) {
            self.levels[far].fd = None;
        }
        Ok(())
    }

    /// Makes sure that the first `depth` levels end in an open one.
    fn reopen(&mut self, depth: usize) -> Result<(), Stop> {
        if depth == 0 || self.levels[depth - 1].fd.is_some() {
            return Ok(());
        }
        let start = self.levels[..depth].iter().rposition(|level| level.fd.is_some()).map_or(0, |last| last + 1);
        let mut fd = None;
        for level in &self.levels[start..depth] {
            let parent = match &fd {
                Some(fd) => OwnedFd::as_fd(fd),
                None => self.at(start),
            };
            fd = Some(self.open(parent, &level.name).map_err(Stop::System)?);
        }
        self.levels[depth - 1].fd = fd;
        Ok(())
    }

    fn open(&self, parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
        open(self.opener.as_ref(), parent, name, PATH_FLAGS)
    }

    fn at(&self, depth: usize) -> BorrowedFd<'_> {
        match depth.checked_sub(1).and_then(|level| self.levels[level].fd.as_ref()) {
            Some(fd) => fd.as_fd(),
            None => self.root.as_fd(),
        }
    }
}

/// openat(2) without links; what may not be opened, `opener` is asked for.
pub fn open(opener: Option<&Opener>, parent: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    match (file::openat(parent, name, flags, Mode::empty()), opener) {
        (Err(Errno::ACCESS | Errno::PERM), Some(opener)) => opener.open(parent, name, flags),
        (answer, _) => answer,
    }
}

/// fgetxattr(2); what may not be read, `opener` is asked for.
pub fn attribute(opener: Option<&Opener>, file: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>, Errno> {
    match (own_attribute(file, name), opener) {
        (Err(Errno::ACCESS), Some(opener)) => opener.attribute(file, name),
        (answer, _) => answer,
    }
}

/// fgetxattr(2), in no more memory than the value takes. It may grow between the two looks.
fn own_attribute(file: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>, Errno> {
    loop {
        let mut value = vec![0; rustix::fs::fgetxattr_query(file, name)?];
        match rustix::fs::fgetxattr(file, name, &mut value[..]) {
            Err(Errno::RANGE) => {}
            answer => {
                value.truncate(answer?);
                return Ok(value);
            }
        }
    }
}
