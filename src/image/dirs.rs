//! Where in a tree we are: a stack of directory descriptors from the root down, which neighbouring entries share.
//!
//! A name is walked one component at a time with O_NOFOLLOW, so a symbolic link is never traversed and a name longer than
//! PATH_MAX is no different from a short one. openat2(2)'s RESOLVE_BENEATH would say the same in one call, but not with
//! fewer calls: an archive mostly stays in one directory, whose descriptor is at hand here. open(2), path_resolution(7).
//!
//! The way up from a directory whose parent was closed is `..`, so a walk through a deep tree costs a few calls for each of its
//! directories, and not its depth. Somebody may move directories meanwhile: what `..` leads to counts only if it is, by device
//! and inode, what was walked through on the way down.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;

use crate::sys::fs::{self, Mode, OFlag};

/// The deepest directories that are kept open; the host's descriptors are few (RLIMIT_NOFILE), trees may be deep.
const MAX_OPEN: usize = 16;

const PATH_FLAGS: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

type Make<'m> = &'m mut dyn FnMut(BorrowedFd, &[u8], usize) -> Result<bool, Errno>;

/// Who opens what we may not: a running container's PID 1 does that for files that its root may open, and the process that has
/// an ordinary user's ids for those of an image.
pub trait Opens {
    /// openat(2) without links.
    fn open(&self, parent: BorrowedFd<'_>, name: &[u8], flags: OFlag) -> Result<OwnedFd, Errno>;

    /// fgetxattr(2), which asks for the rights to read the file anew, whoever opened it.
    fn attribute(&self, file: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>, Errno>;
}

/// One of them.
pub type Opener = Arc<dyn Opens + Send + Sync>;

pub struct Dirs {
    root: OwnedFd,
    levels: Vec<Level>,
    opener: Option<Opener>,
    /// Directories opened since somebody asked.
    walked: u64,
}

struct Level {
    name: Vec<u8>,
    /// `None` where it was closed to stay below [`MAX_OPEN`].
    fd: Option<OwnedFd>,
    /// Which one it was when it was closed, by device and inode.
    place: Option<(u64, u64)>,
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

impl Stop {
    /// Whether the way was there a moment ago, for who has seen it, and is no more.
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Missing(_) | Self::NotDirectory(_) => true,
            Self::System(errno) => is_gone(*errno),
        }
    }
}

/// Whether what was seen a moment ago is no more, or something else is there: a program that runs makes, moves and removes files
/// while they are read.
pub fn is_gone(errno: Errno) -> bool {
    // ENXIO and ENODEV: a socket, or a device that nobody drives. EINVAL: readlink(2) of what is no link.
    matches!(
        errno,
        Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ESTALE | Errno::ENXIO | Errno::ENODEV | Errno::EINVAL
    )
}

impl Dirs {
    pub fn new(root: OwnedFd) -> Self {
        Self { root, levels: Vec::new(), opener: None, walked: 0 }
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
                self.cut(depth);
                self.push(name, end, make)?;
            }
            depth += 1;
        }
        self.cut(depth);
        self.reopen(depth)?;
        Ok(self.at(depth))
    }

    /// How many directories were opened since the last call.
    pub fn take_walked(&mut self) -> u64 {
        std::mem::take(&mut self.walked)
    }

    /// Counts a step of somebody else's on the way.
    pub fn count_walk(&mut self) {
        self.walked += 1;
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
        let (mut walked, fd) = (1, self.open(parent, name));
        let fd = match fd {
            Err(Errno::ENOENT) => match make(parent, name, end) {
                Ok(true) => {
                    walked += 1;
                    self.open(parent, name)
                }
                Ok(false) => {
                    self.walked += walked;
                    return Err(Stop::Missing(end));
                }
                Err(errno) => return Err(Stop::System(errno)),
            },
            answer => answer,
        };
        self.walked += walked;
        let fd = fd.map_err(|errno| match errno {
            Errno::ENOTDIR | Errno::ELOOP => Stop::NotDirectory(end),
            errno => Stop::System(errno),
        })?;
        self.levels.push(Level { name: name.into(), fd: Some(fd), place: None });
        if let Some(far) = self.levels.len().checked_sub(MAX_OPEN + 1) {
            let far = &mut self.levels[far];
            if let Some(fd) = far.fd.take() {
                far.place = place(&fd);
            }
        }
        Ok(())
    }

    /// Leaves what is below the first `depth` levels.
    fn cut(&mut self, depth: usize) {
        if depth > 0 && depth < self.levels.len() && self.levels[depth - 1].fd.is_none() {
            // Where it does not work, it is looked for from above.
            self.levels[depth - 1].fd = self.climb(depth - 1);
        }
        self.levels.truncate(depth);
    }

    /// Level `to`, which is closed, by `..` from the next one below it that is open.
    fn climb(&mut self, to: usize) -> Option<OwnedFd> {
        let from = to + self.levels[to..].iter().position(|level| level.fd.is_some())?;
        let mut fd: Option<OwnedFd> = None;
        for level in (to..from).rev() {
            let below = fd.as_ref().or(self.levels[from].fd.as_ref())?.as_fd();
            let up = self.open(below, b"..");
            self.walked += 1;
            let up = up.ok()?;
            if place(&up)? != self.levels[level].place? {
                return None;
            }
            fd = Some(up);
        }
        fd
    }

    /// Makes sure that the first `depth` levels end in an open one.
    fn reopen(&mut self, depth: usize) -> Result<(), Stop> {
        if depth == 0 || self.levels[depth - 1].fd.is_some() {
            return Ok(());
        }
        let start = self.levels[..depth].iter().rposition(|level| level.fd.is_some()).map_or(0, |last| last + 1);
        let mut fd = None;
        self.walked += (depth - start) as u64;
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

fn place(fd: &OwnedFd) -> Option<(u64, u64)> {
    fs::fstat(fd).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

/// openat(2) without links; what may not be opened, `opener` is asked for.
pub fn open(opener: Option<&Opener>, parent: BorrowedFd<'_>, name: &[u8], flags: OFlag) -> Result<OwnedFd, Errno> {
    match (fs::openat(parent, name, flags, Mode::empty()), opener) {
        (Err(Errno::EACCES | Errno::EPERM), Some(opener)) => opener.open(parent, name, flags),
        (answer, _) => answer,
    }
}

/// fgetxattr(2); what may not be read, `opener` is asked for.
pub fn attribute(opener: Option<&Opener>, file: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>, Errno> {
    match (own_attribute(file, name), opener) {
        (Err(Errno::EACCES), Some(opener)) => opener.attribute(file, name),
        (answer, _) => answer,
    }
}

/// fgetxattr(2), in no more memory than the value takes. It may grow between the two looks.
fn own_attribute(file: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>, Errno> {
    loop {
        let mut value = vec![0; fs::fgetxattr(file, name, &mut [])?];
        match fs::fgetxattr(file, name, &mut value[..]) {
            Err(Errno::ERANGE) => {}
            answer => {
                value.truncate(answer?);
                return Ok(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU64, Ordering};

    const DEPTH: usize = 300;

    /// Directories d in each other, each with one more, e, beside the next.
    fn deep(name: &str) -> (PathBuf, OwnedFd) {
        let top = std::env::temp_dir().join(format!("ctr-dirs-{name}-{}", std::process::id()));
        std::fs::create_dir_all(top.join("d/".repeat(DEPTH))).unwrap();
        for depth in 0..DEPTH {
            std::fs::create_dir(top.join("d/".repeat(depth)).join("e")).unwrap();
        }
        let root = fs::open(&top, PATH_FLAGS, Mode::empty()).unwrap();
        (top, root)
    }

    /// Enters all of them as a walk in order does, and answers how many were opened.
    fn walk(dirs: &mut Dirs) -> u64 {
        let down = |depth: usize| vec![&b"d"[..]; depth].join(&b'/');
        for depth in 1..=DEPTH {
            dirs.enter(&down(depth)).unwrap();
        }
        for depth in (0..DEPTH).rev() {
            dirs.enter(&[&down(depth)[..], b"/e"].concat()).unwrap();
            dirs.enter(&down(depth)).unwrap();
        }
        dirs.take_walked()
    }

    #[test]
    fn the_way_up_from_a_deep_tree_is_as_long_as_the_way_down() {
        let (top, root) = deep("up");
        let mut dirs = Dirs::new(root);
        // Each d once on the way down; on the way up each e, and each d but the last that are kept open.
        let kept = MAX_OPEN as u64 - 1;
        assert_eq!(walk(&mut dirs), 3 * DEPTH as u64 - 1 - kept);
        std::fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn a_directory_that_was_moved_meanwhile_is_not_gone_up_from() {
        let (top, root) = deep("moved");
        std::fs::create_dir_all(top.join("other/e")).unwrap();
        let mut dirs = Dirs::new(root);
        let down = |depth: usize| vec![&b"d"[..]; depth].join(&b'/');
        dirs.enter(&down(100)).unwrap();
        // The parent of the one that was entered, and of all below the root, is another now.
        std::fs::rename(top.join("d/d"), top.join("other/d")).unwrap();
        assert_eq!(dirs.enter(&down(1)).map(|fd| place(&fd.try_clone_to_owned().unwrap())).unwrap(), {
            place(&fs::open(&top.join("d"), PATH_FLAGS, Mode::empty()).unwrap())
        });
        assert_eq!(dirs.enter(&down(2)).unwrap_err(), Stop::Missing(3));
        std::fs::remove_dir_all(top).unwrap();
    }

    /// Opens as root for somebody who is not.
    struct Counted(AtomicU64);

    impl Opens for Counted {
        fn open(&self, parent: BorrowedFd<'_>, name: &[u8], flags: OFlag) -> Result<OwnedFd, Errno> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let own = nix::unistd::setfsuid(0.into());
            let opened = fs::openat(parent, name, flags, Mode::empty());
            nix::unistd::setfsuid(own);
            opened
        }

        fn attribute(&self, _: BorrowedFd<'_>, _: &[u8]) -> Result<Vec<u8>, Errno> {
            Err(Errno::ENODATA)
        }
    }

    #[test]
    fn closed_directories_are_asked_for_once_or_twice_each_however_deep_they_are() {
        if !nix::unistd::geteuid().is_root() {
            return println!("SKIPPED closed_directories_are_…: root opens what another user may not");
        }
        let (top, root) = deep("closed");
        for depth in (0..=DEPTH).rev() {
            let place = top.join("d/".repeat(depth));
            std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o0)).unwrap();
        }
        let counted = Arc::new(Counted(AtomicU64::new(0)));
        let opener: Opener = counted.clone();
        // Of this thread alone, setfsuid(2).
        let walked = std::thread::spawn(move || {
            nix::unistd::setfsuid(65534.into());
            walk(&mut Dirs::new(root).with_opener(Some(opener)))
        });
        let walked = walked.join().unwrap();
        let asked = counted.0.load(Ordering::Relaxed);
        assert!(asked <= walked && walked < 3 * DEPTH as u64 && asked >= 2 * DEPTH as u64, "{asked} of {walked}");
        std::fs::remove_dir_all(top).unwrap();
    }
}
