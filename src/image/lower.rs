//! What lies below the changes of a container or a build: an image's layers, or a directory, as overlayfs shows them
//! together. Only for look-ups of single names; whoever wants the whole tree mounts it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use nix::errno::Errno;

use super::dirs::{Dirs, Opener, Stop, attribute, open};
use super::entry::{Entry, Kind, split};
use super::export::{attributes, look, read_link};
use super::fault::{Fault, Outcome};
use super::names::{Names, Remembered};
use super::owner::{Id, inside_attributes};
use super::rights::Rights;
use super::whiteout::{OPAQUE_XATTR, is_whiteout};
use crate::Step;
use crate::sys::fs::{self, AT_FDCWD, Dir, FileStat, FileType, Mode, OFlag};

/// As many links as path_resolution(7) follows.
const MAX_LINKS: usize = 40;

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

pub struct Lower {
    /// Highest first.
    layers: Vec<Dirs>,
    /// The directories above what was looked up last, from the root down, each with the layers in which it is seen: what is
    /// looked up next mostly is in the same one, and trees may be deep.
    way: Vec<(Vec<u8>, Vec<usize>)>,
    /// What of it is others' is opened by these, and whose it is inside is known by them.
    rights: Arc<Rights>,
    opener: Option<Opener>,
}

/// The layer that shows a name, and what it is there.
pub struct Found {
    layer: usize,
    pub stat: FileStat,
}

impl Found {
    pub fn is_directory(&self) -> bool {
        fs::file_type(self.stat.st_mode) == Some(FileType::Directory)
    }
}

impl Lower {
    /// `layers`, lowest first.
    pub fn open(layers: &[PathBuf]) -> Outcome<Self> {
        let rights = Rights::of_this_user();
        let opener = rights.opener();
        let open = |path: &PathBuf| {
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            let root = fs::openat(AT_FDCWD, path, flags, Mode::empty());
            root.map(|root| Dirs::new(root).with_opener(opener.clone()))
                .map_err(|errno| Fault::system(Step::Open, path.as_os_str().as_encoded_bytes(), errno))
        };
        let layers = layers.iter().rev().map(open).collect::<Outcome<_>>()?;
        Ok(Self { layers, way: Vec::new(), rights, opener: opener.clone() })
    }

    /// One of a single directory, which is open.
    pub fn of(directory: OwnedFd) -> Self {
        let rights = Rights::of_this_user();
        let opener = rights.opener();
        let layers = vec![Dirs::new(directory).with_opener(opener.clone())];
        Self { layers, way: Vec::new(), rights, opener }
    }

    /// What `path` (as [`Entry::path`]) is.
    pub fn find(&mut self, path: &[u8]) -> Outcome<Option<Found>> {
        Ok(self.visible(path)?.into_iter().next())
    }

    /// The layers in which `path` is seen, highest first; only a directory can be seen in several.
    fn visible(&mut self, path: &[u8]) -> Outcome<Vec<Found>> {
        // The root has no name.
        let names = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
        let mut names = [&b""[..]].into_iter().chain(names).enumerate().peekable();
        let (mut end, mut is_known) = (0, true);
        while let Some((depth, name)) = names.next() {
            end += name.len() + usize::from(depth > 1);
            let is_last = names.peek().is_none();
            is_known = is_known && !is_last && self.way.get(depth).is_some_and(|(known, _)| known == name);
            if is_known {
                continue;
            }
            self.way.truncate(depth);
            let above = self.way.last().map_or_else(|| (0..self.layers.len()).collect(), |(_, layers)| layers.clone());
            let found = self.seen_in(&above, &path[..end])?;
            if is_last {
                return Ok(found);
            }
            if !found.first().is_some_and(Found::is_directory) {
                break;
            }
            self.way.push((name.to_vec(), found.iter().map(|found| found.layer).collect()));
        }
        Ok(Vec::new())
    }

    /// In which of these layers, where the directory above is seen, `path` is seen.
    fn seen_in(&mut self, layers: &[usize], path: &[u8]) -> Outcome<Vec<Found>> {
        let mut found: Vec<Found> = Vec::new();
        for &layer in layers {
            let Some(stat) = self.look(layer, path)? else { continue };
            let here = Found { layer, stat };
            if is_whiteout(&here.stat) || !here.is_directory() && !found.is_empty() {
                break;
            }
            let hides = !here.is_directory() || self.is_opaque(layer, path)?;
            found.push(here);
            if hides {
                break;
            }
        }
        Ok(found)
    }

    /// What one layer alone has there.
    fn look(&mut self, layer: usize, path: &[u8]) -> Outcome<Option<FileStat>> {
        let opener = self.opener.clone();
        let Some((parent, name)) = self.parent(layer, path)? else { return Ok(None) };
        match look(opener.as_ref(), parent, name) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(Fault::system(Step::LookAt, path, errno)),
        }
    }

    fn parent<'p>(&mut self, layer: usize, path: &'p [u8]) -> Outcome<Option<(BorrowedFd<'_>, &'p [u8])>> {
        let (above, name) = split(path);
        match self.layers[layer].enter(above) {
            Ok(parent) => Ok(Some((parent, if name.is_empty() { b"." } else { name }))),
            Err(Stop::Missing(_) | Stop::NotDirectory(_)) => Ok(None),
            Err(Stop::System(errno)) => Err(Fault::system(Step::Open, path, errno)),
        }
    }

    fn is_opaque(&mut self, layer: usize, path: &[u8]) -> Outcome<bool> {
        let Some(directory) = self.open_in(layer, path, DIRECTORY)? else { return Ok(false) };
        let opaque = attribute(self.opener.as_ref(), directory.as_fd(), OPAQUE_XATTR.as_bytes());
        Ok(opaque.is_ok_and(|value| value == b"y"))
    }

    fn open_in(&mut self, layer: usize, path: &[u8], flags: OFlag) -> Outcome<Option<OwnedFd>> {
        let opener = self.opener.clone();
        let Some((parent, name)) = self.parent(layer, path)? else { return Ok(None) };
        open(opener.as_ref(), parent, name, flags).map(Some).map_err(|errno| Fault::system(Step::Open, path, errno))
    }

    /// Whose ids its files have.
    pub fn rights(&self) -> Arc<Rights> {
        Arc::clone(&self.rights)
    }

    /// Opens the file or directory `path` for reading.
    pub fn open_found(&mut self, found: &Found, path: &[u8]) -> Outcome<OwnedFd> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        self.open_in(found.layer, path, flags)?.ok_or_else(|| Fault::system(Step::Open, path, Errno::ENOENT))
    }

    /// Where the symbolic link `path` leads.
    pub fn read_link(&mut self, found: &Found, path: &[u8]) -> Outcome<Vec<u8>> {
        let failed = |errno| Fault::system(Step::Read, path, errno);
        let opener = self.opener.clone();
        let (parent, name) = self.parent(found.layer, path)?.ok_or_else(|| failed(Errno::ENOENT))?;
        read_link(opener.as_ref(), parent, name).map_err(failed)
    }

    /// The names in the directory `path`; none where it is no directory.
    pub fn names(&mut self, path: &[u8], remembered: &Remembered) -> Outcome<Names> {
        let failed = |errno| Fault::system(Step::List, path, errno);
        let (mut seen, mut hidden) = (Names::new(remembered), Names::new(remembered));
        for found in self.visible(path)? {
            if !found.is_directory() {
                continue;
            }
            let Some(directory) = self.open_in(found.layer, path, DIRECTORY)? else { continue };
            let (mut here, mut hides) = (Names::new(remembered), Names::new(remembered));
            for entry in Dir::new(directory) {
                let entry = entry.map_err(failed)?;
                let name = entry.file_name().to_bytes();
                if matches!(name, b"." | b"..") || seen.contains(name) || hidden.contains(name) {
                    continue;
                }
                let below = if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() };
                match self.look(found.layer, &below)? {
                    Some(stat) if is_whiteout(&stat) => hides.push(path, name)?,
                    _ => here.push(path, name)?,
                }
            }
            seen = seen.merged(path, here)?;
            hidden = hidden.merged(path, hides)?;
        }
        Ok(seen)
    }

    /// The directory `path` as an entry of an archive; `None` where it is no directory.
    pub fn directory(&mut self, path: &[u8]) -> Outcome<Option<Entry>> {
        let Some(found) = self.find(path)?.filter(Found::is_directory) else { return Ok(None) };
        let mut entry = Entry::new(path, Kind::Directory, found.stat.st_mode & 0o7777);
        entry.uid = self.rights.inside(Id::User(found.stat.st_uid));
        entry.gid = self.rights.inside(Id::Group(found.stat.st_gid));
        entry.mtime = (found.stat.st_mtime, found.stat.st_mtime_nsec as u32);
        let directory = self.open_found(&found, path)?;
        attributes(directory.as_fd(), &mut entry, self.opener.as_ref(), &|| true)?;
        let rights = Arc::clone(&self.rights);
        inside_attributes(&mut entry, &|id| Some(rights.inside(id)));
        Ok(Some(entry))
    }

    /// `path` with all symbolic links followed, never out of the root; what is not there is taken as it is.
    pub fn resolve(&mut self, path: &[u8]) -> Outcome<Vec<u8>> {
        let mut todo: Vec<Vec<u8>> = components(path).rev().collect();
        let mut real: Vec<u8> = Vec::new();
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name == b".." {
                real.truncate(split(&real).0.len());
                continue;
            }
            let next = if real.is_empty() { name } else { [&real[..], b"/", &name].concat() };
            let link = match self.find(&next)? {
                Some(found) if fs::file_type(found.stat.st_mode) == Some(FileType::Symlink) => {
                    self.read_link(&found, &next)?
                }
                _ => {
                    real = next;
                    continue;
                }
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(Fault::system(Step::FollowLinks, path, Errno::ELOOP));
            }
            if link.starts_with(b"/") {
                real.clear();
            }
            todo.extend(components(&link).rev());
        }
        Ok(real)
    }
}

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b".")).map(<[u8]>::to_vec)
}
