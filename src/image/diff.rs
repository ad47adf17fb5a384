//! What a container has changed of what is below: the upper directory of its overlay, told apart name by name.
//!
//! Being in the upper directory is not enough: overlayfs copies a file up when it is opened for writing, and a directory when
//! something in it changes. What is the same above and below is no difference. Documentation/filesystems/overlayfs.rst.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;

use nix::errno::Errno;

use super::dirs::{Dirs, Stop, is_gone, open};
use super::entry::{Entry, Kind};
use super::export::{attributes, is_replaced, leased, look, read_link};
use super::fault::{Fault, Outcome};
use super::lower::{Found, Lower};
use super::names::{Names, Remembered};
use super::owner::Id;
use super::owner::{inside_attributes, kind_of};
use super::walk::Walk;
use super::whiteout::is_whiteout;
use crate::Step;
use crate::sys::fs::{self, Dir, FileStat, FileType, OFlag, Whence};

/// What has happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Change {
    /// The image has nothing of this name.
    Added = 0,
    /// The image has another content, owner, mode, time or kind under this name.
    Changed = 1,
    /// Only the image has it; what was below a directory goes without saying.
    Deleted = 2,
}

/// One line of what `docker diff` says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// Absolute, inside.
    pub path: PathBuf,
    /// What has happened to it.
    pub change: Change,
}

/// All differences, and what a layer needs that is to make them.
#[derive(Default)]
pub(super) struct Differences {
    pub changes: BTreeMap<Vec<u8>, Change>,
    /// Names of the upper directory that belong in the layer as well.
    also: BTreeSet<Vec<u8>>,
    /// Directories that hide something below them.
    pub opaque: BTreeSet<Vec<u8>>,
    /// All names of a file of which one differs, by each of them.
    pub linked: BTreeMap<Vec<u8>, Arc<Vec<Vec<u8>>>>,
    /// What these take.
    pub remembered: Remembered,
}

impl Differences {
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.also.is_empty() && self.opaque.is_empty()
    }

    /// Whether a name of the upper directory belongs in the layer: it differs, or leads to what does.
    pub fn is_wanted(&self, path: &[u8]) -> bool {
        let below = [path, b"/"].concat();
        let leads = |next: Option<&Vec<u8>>| next.is_some_and(|next| next.starts_with(&below));
        path.is_empty()
            || self.is_named(path)
            || leads(self.changes.range(below.clone()..).next().map(|(path, _)| path))
            || leads(self.also.range(below.clone()..).next())
            || leads(self.opaque.range(below.clone()..).next())
    }

    /// Whether a directory is as the image has it, and no name in it has come or gone.
    pub fn is_only_on_the_way(&self, path: &[u8]) -> bool {
        let below = [path, b"/"].concat();
        let mut inside = self.changes.range(below.clone()..).take_while(|(next, _)| next.starts_with(&below));
        !self.is_named(path)
            && inside.all(|(next, change)| *change == Change::Changed || next[below.len()..].contains(&b'/'))
    }

    /// Names of a file of which one belongs in the layer all do. `links`: device, inode, name.
    fn with_all_names(&mut self, links: BTreeSet<(u64, u64, Vec<u8>)>) {
        let mut links = links.into_iter().peekable();
        while let Some((device, inode, first)) = links.next() {
            let mut names = vec![first];
            while let Some((.., name)) = links.next_if(|next| (next.0, next.1) == (device, inode)) {
                names.push(name);
            }
            if names.iter().any(|name| self.is_named(name)) {
                let group = Arc::new(names.clone());
                self.linked.extend(names.iter().map(|name| (name.clone(), Arc::clone(&group))));
                self.also.extend(names);
            }
        }
    }

    fn is_named(&self, path: &[u8]) -> bool {
        self.changes.contains_key(path) || self.also.contains(path) || self.opaque.contains(path)
    }

    pub fn list(self) -> Vec<Difference> {
        let line = |(mut path, change): (Vec<u8>, Change)| {
            path.insert(0, b'/');
            Difference { path: OsString::from_vec(path).into(), change }
        };
        self.changes.into_iter().map(line).collect()
    }
}

pub(super) struct Compare<'c> {
    pub upper: Dirs,
    pub lower: &'c RefCell<Lower>,
    pub inside: &'c dyn Fn(Id) -> Option<u32>,
    /// Whether our own attributes are believed above.
    pub believes: bool,
    /// Made by us when the container was made, and no difference as long as nothing is in it.
    pub mount_points: &'c BTreeSet<Vec<u8>>,
    /// Volumes: what is in them is data and not the image's.
    pub left_out: &'c BTreeSet<Vec<u8>>,
    /// Whether a directory differs by its time alone.
    pub times_of_directories: bool,
    /// Asked now and then; false stops it.
    pub go_on: &'c RefCell<dyn FnMut() -> bool + 'c>,
}

impl Compare<'_> {
    pub fn run(mut self) -> Outcome<Differences> {
        let mut all = Differences::default();
        let mut links = BTreeSet::<(u64, u64, Vec<u8>)>::new();
        let remembered = all.remembered.clone();
        let mut walk = Walk::new(Vec::new());
        // Whether nothing of what is below is seen in the directories on the way.
        let mut covered = vec![false];
        while walk.go()? {
            let path = walk.path().to_vec();
            covered.truncate(walk.depth() + 1);
            let is_covered = covered[walk.depth()];
            let mut directories = Names::new(&remembered);
            let Some(directory) = self.open_directory(&path)? else { continue };
            let is_opaque = self.is_opaque(&directory, &path)? || is_covered;
            let names = names(&directory, &path, &remembered)?;
            let below = self.lower.borrow_mut().names(&path, &remembered)?;
            if is_opaque && !below.is_empty() {
                for name in below.iter().filter(|name| !names.contains(name)) {
                    let gone = join(&path, name);
                    remembered.add(&gone)?;
                    all.changes.insert(gone, Change::Deleted);
                }
                if !is_covered {
                    all.opaque.insert(path.clone());
                }
            }
            let hides = is_covered || all.opaque.contains(&path);
            drop(below);
            for name in names.iter() {
                let below_it = join(&path, name);
                if self.left_out.contains(&below_it) {
                    continue;
                }
                self.check()?;
                let stat = look(self.upper.opener().as_ref(), directory.as_fd(), name);
                let stat = match stat {
                    Ok(stat) => stat,
                    Err(Errno::ENOENT) => continue,
                    Err(errno) => return Err(Fault::system(Step::LookAt, &below_it, errno)),
                };
                let found = self.lower.borrow_mut().find(&below_it)?;
                let change = match (&found, is_whiteout(&stat)) {
                    (Some(_), true) => Some(Change::Deleted),
                    (None, true) => continue,
                    (None, false) => Some(Change::Added),
                    (Some(found), false) => {
                        let is_other = self.is_other(directory.as_fd(), name, &below_it, &stat, found)?;
                        is_other.then_some(Change::Changed)
                    }
                };
                if change.is_some() || hides {
                    remembered.add(&below_it)?;
                }
                if let Some(change) = change {
                    all.changes.insert(below_it.clone(), change);
                } else if hides {
                    // As below, but not seen from below.
                    all.also.insert(below_it.clone());
                }
                match fs::file_type(stat.st_mode) {
                    Some(FileType::Directory) => directories.push(&path, name)?,
                    _ if stat.st_nlink > 1 => {
                        remembered.add(&below_it)?;
                        links.insert((stat.st_dev, stat.st_ino, below_it));
                    }
                    _ => {}
                }
            }
            covered.push(hides);
            walk.down(directories.sorted());
        }
        self.without_mount_points(&mut all);
        all.with_all_names(links);
        Ok(all)
    }

    fn check(&self) -> Outcome<()> {
        if (self.go_on.borrow_mut())() { Ok(()) } else { Err(Fault::Cancelled) }
    }

    fn without_mount_points(&self, all: &mut Differences) {
        // Deepest first.
        for path in self.mount_points.iter().rev() {
            let below = [path, &b"/"[..]].concat();
            let is_empty = all.changes.range(below.clone()..).next().is_none_or(|(next, _)| !next.starts_with(&below));
            if is_empty && all.changes.get(path) == Some(&Change::Added) {
                all.changes.remove(path);
            }
        }
    }

    /// `None` where it has gone since the one above was read.
    fn open_directory(&mut self, path: &[u8]) -> Outcome<Option<OwnedFd>> {
        let opener = self.upper.opener();
        let opened = match self.upper.enter(path) {
            Ok(place) => open(opener.as_ref(), place, b".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC),
            Err(Stop::System(errno)) => Err(errno),
            Err(_) => return Ok(None),
        };
        match opened {
            Ok(directory) => Ok(Some(directory)),
            Err(errno) if is_gone(errno) => Ok(None),
            Err(errno) => Err(Fault::system(Step::Open, path, errno)),
        }
    }

    fn is_opaque(&self, directory: &OwnedFd, path: &[u8]) -> Outcome<bool> {
        attributes(directory.as_fd(), &mut Entry::new(path, Kind::Directory, 0), self.upper.opener().as_ref(), &|| {
            false
        })
    }

    /// Whether what the upper directory has is another thing than what is below; so it is where it has gone meanwhile.
    fn is_other(&self, parent: BorrowedFd, name: &[u8], path: &[u8], stat: &FileStat, found: &Found) -> Outcome<bool> {
        let opener = self.upper.opener();
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let (Some(kind), Some(kind_below)) = (kind_of(stat), kind_of(&found.stat)) else {
            return Ok(kind_of(stat) != kind_of(&found.stat));
        };
        if kind != kind_below {
            return Ok(true);
        }
        let has_content = matches!(kind, Kind::File | Kind::Directory);
        let failed = |errno| Fault::system(Step::Open, path, errno);
        let (mut above, mut below) = (entry(path, kind, stat), entry(path, kind, &found.stat));
        above.uid = (self.inside)(Id::User(stat.st_uid)).unwrap_or(stat.st_uid);
        above.gid = (self.inside)(Id::Group(stat.st_gid)).unwrap_or(stat.st_gid);
        let rights = self.lower.borrow().rights();
        below.uid = rights.inside(Id::User(found.stat.st_uid));
        below.gid = rights.inside(Id::Group(found.stat.st_gid));
        let mut files = None;
        if has_content {
            let up = match open(opener.as_ref(), parent, name, flags) {
                Ok(up) => up,
                Err(errno) if is_replaced(errno, opener.as_ref(), parent, name, stat) => return Ok(true),
                Err(Errno::EAGAIN) => return Err(leased(path)),
                Err(errno) => return Err(failed(errno)),
            };
            if kind_of(&fs::fstat(&up).map_err(failed)?) != Some(kind) {
                return Ok(true);
            }
            let down = self.lower.borrow_mut().open_found(found, path)?;
            attributes(up.as_fd(), &mut above, opener.as_ref(), &|| self.believes)?;
            attributes(down.as_fd(), &mut below, rights.opener().as_ref(), &|| self.believes)?;
            inside_attributes(&mut above, self.inside);
            inside_attributes(&mut below, &|id| Some(rights.inside(id)));
            above.xattrs.sort();
            below.xattrs.sort();
            files = Some((up, down));
        } else if kind == Kind::Symlink {
            above.link = match read_link(opener.as_ref(), parent, name) {
                Ok(link) => link,
                Err(errno) if is_gone(errno) => return Ok(true),
                Err(errno) => return Err(Fault::system(Step::Read, path, errno)),
            };
            below.link = self.lower.borrow_mut().read_link(found, path)?;
        }
        if kind == Kind::Directory && (!self.times_of_directories || self.mount_points.contains(path)) {
            above.mtime = below.mtime;
        }
        if above != below {
            return Ok(true);
        }
        match files {
            Some((up, down)) if kind == Kind::File => Ok(!self.is_same_content(&up, &down, above.size, path)?),
            _ => Ok(false),
        }
    }
}

impl Compare<'_> {
    /// Whether two files of this size have the same in them. What is a hole in both is not read: it may be of any size.
    fn is_same_content(&self, one: &OwnedFd, other: &OwnedFd, size: u64, path: &[u8]) -> Outcome<bool> {
        const PIECE: usize = 256 << 10;
        let failed = |errno| Fault::system(Step::Read, path, errno);
        let next = |fd: &OwnedFd, at| match fs::lseek(fd, at, Whence::SeekData) {
            Ok(data) => Ok(data),
            Err(Errno::ENXIO) => Ok(u64::MAX),
            Err(errno) => Err(failed(errno)),
        };
        let (mut here, mut there) = (vec![0; PIECE], vec![0; PIECE]);
        let (mut at, mut data) = (0, [0; 2]);
        while at < size {
            for (data, fd) in data.iter_mut().zip([one, other]) {
                if *data <= at {
                    *data = next(fd, at)?;
                }
            }
            at = at.max(data[0].min(data[1]));
            if at >= size {
                break;
            }
            self.check()?;
            let most = usize::try_from(size - at).unwrap_or(PIECE).min(PIECE);
            let length = fill(one, &mut here[..most], at).map_err(failed)?;
            if length != fill(other, &mut there[..most], at).map_err(failed)? || here[..length] != there[..length] {
                return Ok(false);
            }
            if length == 0 {
                break;
            }
            at += length as u64;
        }
        Ok(true)
    }
}

/// Reads what there is from `at` on, as much as there is room for.
fn fill(fd: &OwnedFd, buffer: &mut [u8], at: u64) -> Result<usize, Errno> {
    let mut filled = 0;
    while filled < buffer.len() {
        match fs::pread(fd, &mut buffer[filled..], at + filled as u64)? {
            0 => break,
            length => filled += length,
        }
    }
    Ok(filled)
}

fn entry(path: &[u8], kind: Kind, stat: &FileStat) -> Entry {
    let mut entry = Entry::new(path, kind, stat.st_mode & 0o7777);
    entry.mtime = (stat.st_mtime, stat.st_mtime_nsec as u32);
    if kind == Kind::File {
        entry.size = u64::try_from(stat.st_size).unwrap_or(0);
    }
    if matches!(kind, Kind::Char | Kind::Block) {
        entry.device = fs::device(stat.st_rdev);
    }
    entry
}

pub(super) fn names(directory: &OwnedFd, path: &[u8], remembered: &Remembered) -> Outcome<Names> {
    let failed = |errno| Fault::system(Step::List, path, errno);
    let mut names = Names::new(remembered);
    // Not opened anew, which we may not be allowed to.
    let again = directory.try_clone().map_err(|error| failed(fs::errno_of(&error).unwrap_or(Errno::EMFILE)))?;
    for entry in Dir::new(again) {
        let entry = match entry {
            Err(errno) if is_gone(errno) => break,
            entry => entry.map_err(failed)?,
        };
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(path, entry.file_name().to_bytes())?;
        }
    }
    Ok(names.sorted())
}

pub(super) fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() }
}
