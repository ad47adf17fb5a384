//! Trees of files into tar archives: the other half of `unpack`.
//!
//! The same tree gives the same bytes: entries are sorted, a hard link's first name is the file, and nothing of this
//! machine (device and inode numbers, names of users, access times) is in it. What the unpacker could not give a file, it
//! noted, and here it comes back.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufReader, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use nix::errno::Errno;

use super::archive::Archive;
use super::dirs::{Dirs, Opener, Stop, attribute, open};
use super::entry::{Entry, Extent, Kind, split};
use super::fault::{Fault, Outcome};
use super::limits::Limits;
use super::lower::Lower;
use super::owner::{inside_attributes, kind_of};
use super::rights::Rights;
use super::unpack::{OWNER_XATTR, narrowed};
use super::walk::{Remembered, Walk as Names};
use super::whiteout::{OPAQUE_XATTR, is_whiteout};
use super::write;
use crate::sys::fs::{self, AtFlags, Dir, FileStat, OFlag, Whence};
use crate::{Error, Result};

const BUFFER: usize = 256 << 10;

/// How a tree becomes an archive.
#[derive(Default)]
pub struct Export<'e> {
    /// Whiteouts of overlayfs become those of OCI layers; otherwise they are left out.
    pub is_layer: bool,
    /// What the trees can't hold, tars of headers, lowest first: `layers/HEX/kept` where there is one.
    pub kept: Vec<File>,
    /// Times later than this become this (SOURCE_DATE_EPOCH).
    pub latest: Option<i64>,
    /// A host's uid or gid as it is inside the image; `None` for one that the image can't have. Without this they are
    /// what they are for root, and for an ordinary user their own are root's and those of their ranges what they are inside.
    pub inside: Option<&'e dyn Fn(Id) -> Option<u32>>,
    /// What lies on other file systems is left out, the directories that they are mounted on stay.
    pub one_file_system: bool,
    /// Asked now and then; false stops it.
    pub go_on: Option<&'e mut dyn FnMut(u64) -> bool>,
}

/// One of a file's two owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    /// A uid.
    User(u32),
    /// A gid.
    Group(u32),
}

impl Export<'_> {
    /// Writes the tree below `root`, called `name` in errors, as an archive to `out`. Answers how many bytes.
    pub fn to(self, root: OwnedFd, name: &str, out: &mut dyn Write) -> Result<u64> {
        self.write(root, out).map_err(|fault| match fault {
            Fault::System { step, object, errno } if object.is_empty() => Error::system(step, name, errno),
            fault => fault.into_error(name),
        })
    }

    pub(super) fn write(self, root: OwnedFd, out: &mut dyn Write) -> Outcome<u64> {
        let mut written = self.entries(Special::default(), root, out)?;
        out.write_all(&write::END).map_err(Fault::write)?;
        written += write::END.len() as u64;
        out.flush().map_err(Fault::write)?;
        Ok(written)
    }

    /// Writes the entries of an archive, and not its end. Answers how many bytes.
    pub(super) fn entries(mut self, special: Special<'_>, root: OwnedFd, out: &mut dyn Write) -> Outcome<u64> {
        let mut kept = BTreeMap::new();
        for file in std::mem::take(&mut self.kept) {
            read_kept(file, &mut kept)?;
        }
        let device = fs::fstat(&root).map_err(|errno| Fault::system("look at", b".", errno))?.st_dev;
        let rights = Rights::of_this_user();
        let mut special = special;
        special.opener = special.opener.or_else(|| rights.opener());
        let mut walk = Walk {
            options: self,
            rights,
            dirs: Dirs::new(root).with_opener(special.opener.clone()),
            special,
            kept,
            device,
            links: HashMap::new(),
            remembered: Remembered::default(),
            out,
            header: Vec::new(),
            buffer: vec![0; BUFFER],
            filled: 0,
            written: 0,
        };
        walk.tree()?;
        walk.flush()?;
        Ok(walk.written)
    }
}

/// A question about a path.
type OfPath<'p, T> = dyn Fn(&[u8]) -> T + 'p;

/// What only some of our own exports need: those of running containers, of differences and of builds.
#[derive(Default)]
pub(super) struct Special<'s> {
    /// The name in the archive of what the tree has under this one; `None` leaves it out, with all that is below it.
    pub names: Option<&'s OfPath<'s, Outcome<Option<Vec<u8>>>>>,
    /// Whether the mark of this opaque directory says anything.
    pub is_opaque: Option<&'s OfPath<'s, bool>>,
    /// What is below. Files have their owners from there where the map has none for them.
    pub lower: Option<&'s RefCell<Lower>>,
    /// The directory that counts instead of the tree's own of this name (in the archive).
    pub directories: Option<&'s OfPath<'s, Outcome<Option<Entry>>>>,
    /// Where to start: a name in the tree, empty for all of it.
    pub start: Vec<u8>,
    /// Owner, group and mode of the root, where the tree's own don't count.
    pub root: Option<(u32, u32, u32)>,
    /// The container's own files: what was kept for the image's says nothing of them.
    pub changed: Option<&'s RefCell<Dirs>>,
    /// Opens what we may not.
    pub opener: Option<Opener>,
    /// What may have been made with the container: its time says only when that was, so that of the image's root counts.
    pub furniture: Option<&'s BTreeSet<Vec<u8>>>,
    /// Empty files that were made with it where the image has none: they only hold the place of a mount.
    pub placeholders: &'s [Vec<u8>],
    /// Our own attributes are not believed: someone who is not the image's root may have written them.
    pub doubts_owners: bool,
}

struct Walk<'w, 'e, 's> {
    options: Export<'e>,
    rights: Arc<Rights>,
    special: Special<'s>,
    dirs: Dirs,
    kept: BTreeMap<Vec<u8>, Entry>,
    device: u64,
    /// The first name of files that have several.
    links: HashMap<(u64, u64), First>,
    remembered: Remembered,
    out: &'w mut dyn Write,
    header: Vec<u8>,
    /// What is on its way out. Files are read right into it.
    buffer: Vec<u8>,
    filled: usize,
    written: u64,
}

struct First {
    path: Vec<u8>,
    owner: (u32, u32, u32),
}

impl Walk<'_, '_, '_> {
    /// Depth first, each directory before what is in it; without recursion, since a tree may be deeper than a stack.
    fn tree(&mut self) -> Outcome<()> {
        let mut names = Names::new(std::mem::take(&mut self.special.start));
        while names.go()? {
            if self.entry(names.path())? {
                let children = self.children(names.path())?;
                names.down(children);
            }
            if let Some(go_on) = &mut self.options.go_on
                && !go_on(self.written)
            {
                return Err(Fault::Cancelled);
            }
        }
        Ok(())
    }

    /// Writes what `path` names; true for a directory whose content belongs in the archive too.
    fn entry(&mut self, path: &[u8]) -> Outcome<bool> {
        let shown = match self.special.names {
            Some(names) => match names(path)? {
                Some(shown) => shown,
                None => return Ok(false),
            },
            None => path.to_vec(),
        };
        let time = self.time_below(path)?;
        let (above, name) = split(path);
        let name = if name.is_empty() { b"." } else { name };
        let parent = match self.dirs.enter(above) {
            Err(Stop::System(Errno::EACCES)) => return self.entry_below(path, &shown),
            answer => answer.map_err(|stop| stopped(path, stop))?,
        };
        let stat = match look(self.special.opener.as_ref(), parent, name) {
            Ok(stat) => stat,
            // Gone since the directory was read, or never there: what was kept.
            Err(Errno::ENOENT) => return self.kept_entry(path).map(|()| false),
            Err(Errno::EACCES) => return self.entry_below(path, &shown),
            Err(errno) => return Err(Fault::system("look at", path, errno)),
        };
        if is_placeholder(&self.special, path, &stat)? {
            return Ok(false);
        }
        if is_whiteout(&stat) {
            if self.options.is_layer {
                self.put_header(&Entry::new(&whiteout(&shown), Kind::File, 0))?;
            }
            return Ok(false);
        }
        if self.options.is_layer && split(&shown).1.starts_with(b".wh.") {
            return Err(Fault::bad(&shown, "in a layer a name that begins with .wh. removes a file"));
        }
        let Some(kind) = kind_of(&stat) else { return Ok(false) };
        let mut entry = Entry::new(&shown, kind, stat.st_mode & 0o7777);
        (entry.uid, entry.gid) = owners(&self.options, &self.special, &self.rights, self.device, path, &stat)?;
        entry.mtime = (stat.st_mtime, stat.st_mtime_nsec as u32);
        if let Some(time) = time {
            entry.mtime = time;
        }
        clamp(&mut entry, self.options.latest);
        if kind != Kind::Directory
            && let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino))
        {
            entry.kind = Kind::HardLink;
            entry.link = first.path.clone();
            (entry.uid, entry.gid, entry.mode) = first.owner;
            self.put_header(&entry)?;
            return Ok(false);
        }
        match kind {
            Kind::Symlink => {
                entry.link = read_link(self.special.opener.as_ref(), parent, name)
                    .map_err(|errno| Fault::system("read", path, errno))?;
            }
            Kind::Char | Kind::Block => entry.device = fs::device(stat.st_rdev),
            _ => {}
        }
        if !matches!(kind, Kind::File | Kind::Directory) {
            self.restore(path, &mut entry);
            self.first_of_links(&stat, &entry)?;
            self.put_header(&entry)?;
            return Ok(false);
        }

        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let fd = match open(self.special.opener.as_ref(), parent, name, flags) {
            Ok(fd) => fd,
            // Gone, or something else, since it was looked at.
            Err(Errno::ENOENT | Errno::ELOOP) => return Ok(false),
            Err(Errno::EACCES) => return self.entry_below(path, &shown),
            Err(Errno::EAGAIN) => return Err(leased(path)),
            Err(errno) => return Err(Fault::system("open", path, errno)),
        };
        // Between the look and the opening a running program may have put something else there.
        let opened = fs::fstat(&fd).map_err(|errno| Fault::system("look at", path, errno))?;
        if fs::file_type(opened.st_mode) != fs::file_type(stat.st_mode) {
            return Ok(false);
        }
        // What is as the image has it was written by us, whoever its owner is.
        let believes = || {
            let is_below = |changed: &RefCell<Dirs>| !has(&mut changed.borrow_mut(), path);
            !self.special.doubts_owners || self.special.changed.is_some_and(is_below)
        };
        let is_opaque = attributes(fd.as_fd(), &mut entry, self.special.opener.as_ref(), &believes)?;
        if let Some(inside) = self.options.inside {
            inside_attributes(&mut entry, inside);
        }
        self.restore(path, &mut entry);
        if let Some(root) = self.special.root.filter(|_| path.is_empty()) {
            (entry.uid, entry.gid, entry.mode) = root;
        }
        if kind == Kind::File {
            self.first_of_links(&opened, &entry)?;
            self.file(&fd, &opened, entry)?;
            return Ok(false);
        }
        if let Some(directories) = self.special.directories
            && let Some(other) = directories(&shown)?
        {
            entry = other;
            clamp(&mut entry, self.options.latest);
        }
        self.put_header(&entry)?;
        if is_opaque && self.options.is_layer && self.special.is_opaque.is_none_or(|is_opaque| is_opaque(path)) {
            let mark =
                if shown.is_empty() { b".wh..wh..opq".to_vec() } else { [&shown[..], b"/.wh..wh..opq"].concat() };
            self.put_header(&Entry::new(&mark, Kind::File, 0))?;
        }
        Ok(!self.options.one_file_system || stat.st_dev == self.device)
    }

    /// A file whose owner has no number in the container can be closed to everybody there, and by way of its root to us. So it is
    /// as the image has it, where we may read it.
    fn entry_below(&mut self, path: &[u8], shown: &[u8]) -> Outcome<bool> {
        let refused = || Fault::system("open", path, Errno::EACCES);
        let lower = self.special.lower.ok_or_else(refused)?;
        let found = lower.borrow_mut().find(path)?.ok_or_else(refused)?;
        let stat = found.stat;
        let Some(kind) = kind_of(&stat) else { return Ok(false) };
        let mut entry = Entry::new(shown, kind, stat.st_mode & 0o7777);
        entry.uid = self.rights.inside(Id::User(stat.st_uid));
        entry.gid = self.rights.inside(Id::Group(stat.st_gid));
        entry.mtime = (stat.st_mtime, stat.st_mtime_nsec as u32);
        clamp(&mut entry, self.options.latest);
        if kind != Kind::Directory
            && let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino))
        {
            entry.kind = Kind::HardLink;
            entry.link = first.path.clone();
            (entry.uid, entry.gid, entry.mode) = first.owner;
            return self.put_header(&entry).map(|()| false);
        }
        match kind {
            Kind::Symlink => entry.link = lower.borrow_mut().read_link(&found, path)?,
            Kind::Char | Kind::Block => entry.device = fs::device(stat.st_rdev),
            _ => {}
        }
        let mut file = None;
        if matches!(kind, Kind::File | Kind::Directory) {
            let fd = lower.borrow_mut().open_found(&found, path)?;
            attributes(fd.as_fd(), &mut entry, None, &|| true)?;
            let rights = Arc::clone(&self.rights);
            inside_attributes(&mut entry, &|id| Some(rights.inside(id)));
            file = Some(fd);
        }
        self.restore(path, &mut entry);
        self.first_of_links(&stat, &entry)?;
        match file {
            Some(file) if kind == Kind::File => self.file(&file, &stat, entry).map(|()| false),
            _ => self.put_header(&entry).map(|()| kind == Kind::Directory),
        }
    }

    /// The time of the root, which on an overlay is that of its upper directory, and of what was made in it with the container. A
    /// directory in which something was made has the time that the image says, unless other names have come or gone.
    fn time_below(&mut self, path: &[u8]) -> Outcome<Option<(i64, u32)>> {
        let (Some(furniture), Some(lower)) = (self.special.furniture, self.special.lower) else { return Ok(None) };
        let time = |stat: &FileStat| (stat.st_mtime, stat.st_mtime_nsec as u32);
        if path.is_empty() || !furniture.contains(path) {
            let root = if path.is_empty() { lower.borrow_mut().find(b"")? } else { None };
            return Ok(root.map(|root| time(&root.stat)));
        }
        let Some(below) = lower.borrow_mut().find(path)? else {
            return Ok(lower.borrow_mut().find(b"")?.map(|root| time(&root.stat)));
        };
        let names_below = lower.borrow_mut().names(path)?;
        // Where it is no directory, or can't be listed, that shows soon enough.
        let (true, Ok(now)) = (below.is_directory(), self.children(path)) else { return Ok(None) };
        let is_ours = |name: &Vec<u8>| furniture.contains(&[path, b"/", name].concat());
        let is_same = names_below.iter().all(|name| now.contains(name))
            && now.iter().all(|name| names_below.contains(name) || is_ours(name));
        Ok(is_same.then(|| time(&below.stat)))
    }

    fn first_of_links(&mut self, stat: &FileStat, entry: &Entry) -> Outcome<()> {
        if stat.st_nlink > 1 {
            self.remembered.add(&entry.path)?;
            let first = First { path: entry.path.clone(), owner: (entry.uid, entry.gid, entry.mode) };
            self.links.insert((stat.st_dev, stat.st_ino), first);
        }
        Ok(())
    }

    fn file(&mut self, fd: &OwnedFd, stat: &FileStat, mut entry: Entry) -> Outcome<()> {
        entry.size = u64::try_from(stat.st_size).unwrap_or(0);
        if (stat.st_blocks as u64) * 512 < entry.size {
            // Never dense: a file that is all holes may be of any size.
            let map = extents(fd.as_fd(), entry.size, Limits::default().header)
                .map_err(|errno| Fault::system("find the data of", &entry.path, errno))?;
            let Some(map) = map else {
                let why = "it has more holes than an import takes".to_owned();
                return Err(Fault::over(&entry.path, "header", why));
            };
            entry.sparse = Some(map);
        }
        self.put_header(&entry)?;
        let whole = [Extent { offset: 0, length: entry.size }];
        for extent in entry.sparse.as_deref().unwrap_or(&whole) {
            let (mut offset, end) = (extent.offset, extent.offset + extent.length);
            while offset < end {
                if self.filled == BUFFER {
                    self.flush()?;
                }
                let most = usize::try_from(end - offset).unwrap_or(usize::MAX).min(BUFFER - self.filled);
                let room = &mut self.buffer[self.filled..self.filled + most];
                let mut length =
                    fs::pread(fd, &mut *room, offset).map_err(|errno| Fault::system("read", &entry.path, errno))?;
                if length == 0 {
                    // It has become shorter meanwhile; the archive has to have what it said.
                    room.fill(0);
                    length = most;
                }
                self.filled += length;
                self.written += length as u64;
                offset += length as u64;
            }
        }
        self.put(write::padding(self.written))
    }

    /// What `unpack` kept because there was no file to hold it.
    fn kept_entry(&mut self, path: &[u8]) -> Outcome<()> {
        match self.kept.get(path) {
            Some(entry) if matches!(entry.kind, Kind::Char | Kind::Block) => {
                let entry = entry.clone();
                self.put_header(&entry)
            }
            _ => Ok(()),
        }
    }

    /// Gives back what the file could not have.
    fn restore(&self, path: &[u8], entry: &mut Entry) {
        if let Some(kept) = self.kept.get(path)
            && kept.kind == entry.kind
            && !self.special.changed.is_some_and(|changed| has(&mut changed.borrow_mut(), path))
        {
            entry.uid = kept.uid;
            entry.gid = kept.gid;
            // Linux has no mode of links; that of the archive was never anything.
            if entry.kind != Kind::Symlink {
                entry.mode = kept.mode;
            }
            let known: HashSet<Vec<u8>> = entry.xattrs.iter().map(|(name, _)| name.clone()).collect();
            let others =
                kept.xattrs.iter().filter(|(name, _)| !name.starts_with(b"user.ctr.") && !known.contains(name));
            entry.xattrs.extend(others.cloned());
        }
    }

    /// The names in a directory, and those of kept devices, sorted.
    fn children(&mut self, path: &[u8]) -> Outcome<BTreeSet<Vec<u8>>> {
        let failed = |errno| Fault::system("list", path, errno);
        let mut names = BTreeSet::new();
        // The one that is entered is only a place (O_PATH).
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let opener = self.special.opener.as_ref();
        let opened = match self.dirs.enter(path) {
            Ok(directory) => open(opener, directory, b".", flags),
            Err(Stop::System(errno)) => Err(errno),
            Err(stop) => return Err(stopped(path, stop)),
        };
        match (opened, self.special.lower) {
            // As for `entry_below`.
            (Err(Errno::EACCES), Some(lower)) => names.extend(lower.borrow_mut().names(path)?),
            (Err(errno), _) => return Err(failed(errno)),
            (Ok(directory), _) => {
                for entry in Dir::new(directory) {
                    let entry = entry.map_err(failed)?;
                    if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                        names.insert(entry.file_name().to_bytes().to_vec());
                    }
                }
            }
        }
        let below = if path.is_empty() { Vec::new() } else { [path, b"/"].concat() };
        let mut next = below.clone();
        while let Some((kept, entry)) = self.kept.range(next..).next().filter(|(kept, _)| kept.starts_with(&below)) {
            let name = &kept[below.len()..];
            next = match name.iter().position(|&byte| byte == b'/') {
                None => {
                    if matches!(entry.kind, Kind::Char | Kind::Block) && !name.is_empty() {
                        names.insert(name.to_vec());
                    }
                    [kept, &b"\0"[..]].concat()
                }
                // On with what is behind all of that directory: the byte after `/`.
                Some(slash) => [&below, &name[..slash], b"0"].concat(),
            };
        }
        Ok(names)
    }

    fn put_header(&mut self, entry: &Entry) -> Outcome<()> {
        let mut header = std::mem::take(&mut self.header);
        header.clear();
        write::header(entry, &mut header);
        let answer = self.put(&header);
        self.header = header;
        answer
    }

    fn put(&mut self, bytes: &[u8]) -> Outcome<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.filled == BUFFER {
                self.flush()?;
            }
            let (now, later) = rest.split_at(rest.len().min(BUFFER - self.filled));
            self.buffer[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            rest = later;
        }
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> Outcome<()> {
        let length = std::mem::take(&mut self.filled);
        self.out.write_all(&self.buffer[..length]).map_err(Fault::write)
    }
}

pub(super) fn clamp(entry: &mut Entry, latest: Option<i64>) {
    if let Some(latest) = latest
        && entry.mtime >= (latest, 0)
    {
        entry.mtime = (latest, 0);
    }
}

/// A file's owners as they are inside.
fn owners(
    options: &Export<'_>,
    special: &Special<'_>,
    rights: &Rights,
    device: u64,
    path: &[u8],
    stat: &FileStat,
) -> Outcome<(u32, u32)> {
    let stored = |id| Some(rights.inside(id));
    let inside = options.inside.unwrap_or(&stored);
    let (uid, gid) = (inside(Id::User(stat.st_uid)), inside(Id::Group(stat.st_gid)));
    if let (Some(uid), Some(gid)) = (uid, gid) {
        return Ok((uid, gid));
    }
    // An owner whom the container has no number for is still the image's. What others mounted there is root's.
    if let Some(lower) = special.lower
        && let Some(found) = lower.borrow_mut().find(path)?
    {
        let (below_uid, below_gid) =
            (rights.inside(Id::User(found.stat.st_uid)), rights.inside(Id::Group(found.stat.st_gid)));
        return Ok((uid.unwrap_or(below_uid), gid.unwrap_or(below_gid)));
    }
    if stat.st_dev != device {
        return Ok((uid.unwrap_or(0), gid.unwrap_or(0)));
    }
    let outside = if uid.is_none() { stat.st_uid } else { stat.st_gid };
    Err(Fault::bad(path, format!("its owner {outside} is not one of the image's")))
}

/// Whether it is a file that only holds the place of a mount, made with the container.
fn is_placeholder(special: &Special<'_>, path: &[u8], stat: &FileStat) -> Outcome<bool> {
    let Some(lower) = special.lower else { return Ok(false) };
    let is_empty = kind_of(stat) == Some(Kind::File) && stat.st_size == 0 && stat.st_nlink == 1;
    let is_named = is_empty && special.placeholders.iter().any(|place| place == path);
    Ok(is_named && lower.borrow_mut().find(path)?.is_none())
}

/// fstatat(2); `opener` gets at what is in a directory that we may not search.
pub(super) fn look(opener: Option<&Opener>, parent: BorrowedFd, name: &[u8]) -> std::result::Result<FileStat, Errno> {
    match (fs::fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW), opener) {
        (Err(Errno::EACCES), Some(opener)) => fs::fstat(opener.open(parent, name, PLACE)?),
        (answer, _) => answer,
    }
}

/// readlinkat(2), likewise.
pub(super) fn read_link(
    opener: Option<&Opener>,
    parent: BorrowedFd,
    name: &[u8],
) -> std::result::Result<Vec<u8>, Errno> {
    let target = match (fs::readlinkat(parent, name), opener) {
        (Err(Errno::EACCES), Some(opener)) => fs::readlinkat(opener.open(parent, name, PLACE)?, c""),
        (answer, _) => answer,
    };
    target.map(OsString::into_vec)
}

const PLACE: OFlag = OFlag::O_PATH.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// The name that removes `path` from the layers below.
fn whiteout(path: &[u8]) -> Vec<u8> {
    match split(path) {
        (b"", name) => [b".wh.", name].concat(),
        (above, name) => [above, b"/.wh.", name].concat(),
    }
}

/// Whether there is anything under this name.
fn has(tree: &mut Dirs, path: &[u8]) -> bool {
    let (above, name) = split(path);
    let opener = tree.opener();
    tree.enter(above).is_ok_and(|parent| look(opener.as_ref(), parent, name).is_ok())
}

/// Reads the attributes into `entry`; ours are taken for what they say, or left out where they are not believed. True for an
/// opaque directory.
pub(super) fn attributes(
    fd: BorrowedFd,
    entry: &mut Entry,
    opener: Option<&Opener>,
    believes: &dyn Fn() -> bool,
) -> Outcome<bool> {
    let failed = |errno| Fault::system("read the attributes of", &entry.path, errno);
    let mut is_opaque = false;
    let mut list = vec![0; 0];
    loop {
        match fs::flistxattr(fd, &mut []) {
            Ok(0) | Err(Errno::EOPNOTSUPP) => return Ok(false),
            Ok(length) => list.resize(length, 0),
            Err(errno) => return Err(failed(errno)),
        }
        match fs::flistxattr(fd, &mut list[..]) {
            Ok(length) => break list.truncate(length),
            Err(Errno::ERANGE) => {}
            // More names than the kernel lists (XATTR_LIST_MAX), which no image can have: those that are known by name.
            Err(Errno::E2BIG) => break list = KNOWN.join(&0),
            Err(errno) => return Err(failed(errno)),
        }
    }
    let (mut found, most, mut size) = (Vec::new(), Limits::default().header, 0);
    for name in list.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        match attribute(opener, fd, name) {
            Ok(value) => {
                size += value.len() as u64;
                if size > most {
                    return Err(Fault::over(&entry.path, "header", format!("attributes of more than {most} bytes")));
                }
                found.push((name.to_vec(), value));
            }
            Err(Errno::ENODATA | Errno::EOPNOTSUPP | Errno::EPERM) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
    for (name, value) in found {
        if name == OWNER_XATTR.as_bytes() {
            if let Some((uid, gid, mode)) = owner(&value).filter(|_| believes()) {
                (entry.uid, entry.gid) = (uid, gid);
                // Unless someone has given it another mode since.
                if [mode, narrowed(entry.kind, mode)].contains(&entry.mode) {
                    entry.mode = mode;
                }
            }
        } else if name == OPAQUE_XATTR.as_bytes() {
            is_opaque = true;
        } else if !name.starts_with(b"user.overlay.")
            && !name.starts_with(b"user.ctr.")
            && !name.starts_with(b"trusted.")
            && name != b"security.selinux"
        {
            entry.xattrs.push((name, value));
        }
    }
    Ok(is_opaque)
}

/// A file that can't be opened without waiting for whoever has a lease on it.
pub(super) fn leased(path: &[u8]) -> Fault {
    let why = "a program has a lease on it (fcntl(2) F_SETLEASE); end it, or try again when the kernel has taken the lease \
               away (/proc/sys/fs/lease-break-time)";
    Fault::bad(path, why)
}

/// Attributes that say what a file is.
const KNOWN: [&[u8]; 5] = [
    OWNER_XATTR.as_bytes(),
    OPAQUE_XATTR.as_bytes(),
    b"security.capability",
    b"system.posix_acl_access",
    b"system.posix_acl_default",
];

/// [`OWNER_XATTR`]'s value.
pub(super) fn owner(value: &[u8]) -> Option<(u32, u32, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let mut parts = text.split(':');
    let owner = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, u32::from_str_radix(parts.next()?, 8).ok()?);
    (parts.next().is_none() && owner.2 <= 0o7777).then_some(owner)
}

/// Where a file has data, lseek(2) SEEK_DATA and SEEK_HOLE; `None` where that takes more than `most` bytes to say. The file
/// may change meanwhile, also in size: ENXIO says that there is nothing behind this place, and so the data ends there.
fn extents(fd: BorrowedFd, size: u64, most: u64) -> std::result::Result<Option<Vec<Extent>>, Errno> {
    let mut map = Vec::new();
    let mut at = 0;
    while at < size {
        let offset = match fs::lseek(fd, at, Whence::SeekData) {
            Ok(offset) => offset,
            // Nothing but a hole is left.
            Err(Errno::ENXIO) => break,
            Err(errno) => return Err(errno),
        };
        at = match fs::lseek(fd, offset, Whence::SeekHole) {
            Ok(hole) => hole.min(size),
            Err(Errno::ENXIO) => break,
            Err(errno) => return Err(errno),
        };
        if offset < at {
            map.push(Extent { offset, length: at - offset });
        }
        if (map.len() + 1) as u64 * size_of::<Extent>() as u64 > most {
            return Ok(None);
        }
    }
    // GNU tar takes the end of the last part for the end of the file.
    if map.last().is_none_or(|last| last.offset + last.length < size) {
        map.push(Extent { offset: size, length: 0 });
    }
    Ok(Some(map))
}

fn read_kept(file: File, kept: &mut BTreeMap<Vec<u8>, Entry>) -> Outcome<()> {
    let limits = Limits::default();
    let mut archive = Archive::new(BufReader::new(file), &limits);
    while let Some(entry) = archive.next()? {
        kept.insert(entry.path.clone(), entry);
    }
    Ok(())
}

fn stopped(path: &[u8], stop: Stop) -> Fault {
    match stop {
        Stop::System(errno) => Fault::system("open", path, errno),
        Stop::Missing(_) => Fault::system("open", path, Errno::ENOENT),
        Stop::NotDirectory(_) => Fault::system("open", path, Errno::ENOTDIR),
    }
}
