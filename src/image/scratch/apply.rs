//! Carrying the changes over.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use nix::errno::Errno;

use super::super::diff::{Change, Differences, join, names};
use super::super::dirs::{Dirs, Opener, is_gone, open};
use super::super::entry::{Entry, Kind, split};
use super::super::export::{attributes, leased, look, read_link};
use super::super::fault::{Fault, Outcome, show};
use super::super::names::{Names, Remembered};
use super::super::owner::{Id, inside_attributes, kind_of};
use super::super::pipeline::Report;
use super::super::remove;
use super::super::rights::Rights;
use super::super::walk::Walk;
use super::hands::{Hands, duplicate, is_same_file};
use super::since::{Since, is_copy};
use super::{Applied, Conflicts, Scratch, told};
use crate::sys::fs::{self, FileStat, FileType, OFlag, RenameFlags, Whence};
use crate::{Error, ErrorCode, Result, Step};

/// So many names of conflicts fit into a sentence.
const NAMED: usize = 10;

/// How much of a file is copied at once.
const PIECE: usize = 256 << 10;

const READ: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_NOFOLLOW).union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

/// What became of one change.
enum Became {
    /// The host has it.
    Applied,
    /// The host has changed it, too.
    Conflict,
    /// It is nothing that is made on the host.
    LeftOut,
    /// The container has made something else of it meanwhile.
    Gone,
}

impl Scratch {
    /// Carries all changes over to the host.
    pub fn apply(&self, conflicts: Conflicts, report: Report<'_>) -> Result<Applied> {
        self.applied(conflicts, report).map_err(|fault| self.failed(Step::ApplyScratch, fault)).and_then(|applied| {
            if conflicts != Conflicts::Refuse || applied.conflicts.is_empty() {
                return Ok(applied);
            }
            let named = applied.conflicts.iter().take(NAMED).map(|it| show(it.path.as_os_str().as_encoded_bytes()));
            let named = named.collect::<Vec<_>>().join(", ");
            let others = applied.conflicts.len().saturating_sub(NAMED);
            let others = if others > 0 { format!(" and {others} more") } else { String::new() };
            let rest = if applied.changes.is_empty() { "nothing was applied" } else { "all else was applied" };
            let why = format!("EEXIST, changed on the host as well: {named}{others}; {rest}");
            Err(Error::new(ErrorCode::System, Step::ApplyScratch, &self.shown, libc::EEXIST, why)
                .with_hint("apply again so that the host's files are kept, or overwritten"))
        })
    }

    fn applied(&self, conflicts: Conflicts, report: Report<'_>) -> Outcome<Applied> {
        let rights = Rights::of_this_user();
        let since = Since::open(&self.place)?;
        let mut go_on = told(report);
        let all = self.differences(&RefCell::new(self.lower()?), &mut go_on)?;
        let host = duplicate(&self.host).map_err(|errno| Fault::system(Step::Open, b"", errno))?;
        let mut work = Work {
            scratch: self,
            upper: self.upper()?,
            host: Dirs::new(host).with_opener(rights.opener()),
            opener: rights.opener(),
            is_root: nix::unistd::geteuid().is_root(),
            hands: Hands::new(rights),
            since,
            overwrites: conflicts == Conflicts::Overwrite,
            touched: BTreeMap::new(),
            directories: Vec::new(),
            all: &all,
            done: BTreeSet::new(),
        };
        let mut applied = Applied::default();
        let (mut blocked, mut gone) = (BTreeSet::new(), BTreeSet::new());
        if !work.overwrites {
            for (path, change) in &all.changes {
                if !is_below(&blocked, path) && work.is_in_conflict(path, *change)? {
                    blocked.insert(path.clone());
                    applied.conflicts.push(self.line(path, *change));
                }
            }
            if conflicts == Conflicts::Refuse && !applied.conflicts.is_empty() {
                return Ok(applied);
            }
        }
        for (path, change) in &all.changes {
            if !go_on() {
                return Err(Fault::Cancelled);
            }
            if is_below(&gone, path) {
                continue;
            }
            if is_below(&blocked, path) {
                if !blocked.contains(path) {
                    applied.conflicts.push(self.line(path, *change));
                }
                continue;
            }
            let line = self.line(path, *change);
            match work.carry(path, *change)? {
                Became::Applied => applied.changes.push(line),
                Became::LeftOut => applied.left_out.push(line),
                Became::Gone => _ = gone.insert(path.clone()),
                Became::Conflict => {
                    blocked.insert(path.clone());
                    applied.conflicts.push(line);
                }
            }
        }
        work.finish()?;
        applied.conflicts.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(applied)
    }
}

/// Whether `path` is one of these, or below one.
fn is_below(paths: &BTreeSet<Vec<u8>>, path: &[u8]) -> bool {
    !paths.is_empty()
        && (paths.contains(path)
            || path.iter().enumerate().any(|(at, byte)| *byte == b'/' && paths.contains(&path[..at])))
}

struct Work<'a> {
    scratch: &'a Scratch,
    upper: Dirs,
    host: Dirs,
    /// Opens what of the host's belongs to another id of this user's.
    opener: Option<Opener>,
    is_root: bool,
    hands: Hands,
    since: Since,
    overwrites: bool,
    /// Directories in which something is changed, and whether nobody else had changed them before.
    touched: BTreeMap<Vec<u8>, bool>,
    /// Directories whose modes and owners come last, since they could keep us out.
    directories: Vec<Vec<u8>>,
    all: &'a Differences,
    /// Names that the host has as the container has them, from this time.
    done: BTreeSet<Vec<u8>>,
}

impl Work<'_> {
    /// Whether the host has changed what the container has changed.
    fn is_in_conflict(&mut self, path: &[u8], change: Change) -> Outcome<bool> {
        let Some(host) = self.host_stat(path)? else {
            // Deleted on both sides, or made inside alone. What was the host's has been deleted there, or was moved here inside; where
            // it was deleted, the directory has changed.
            return Ok(change != Change::Deleted && self.is_copied_up(path)? && self.has_changed_parent(path)?);
        };
        if change == Change::Added {
            return Ok(true);
        }
        if !is_directory(&host) {
            return Ok(self.since.is_changed(&host));
        }
        if change == Change::Changed && self.upper_stat(path)?.is_some_and(|stat| is_directory(&stat)) {
            return Ok(self.since.is_changed(&host));
        }
        let directory = self.open_host(path)?;
        directory.map_or(Ok(true), |directory| self.is_changed_below(directory, path))
    }

    /// Whether somebody else has made, moved or removed something in the host's directory that has this path, or would have it.
    fn has_changed_parent(&mut self, path: &[u8]) -> Outcome<bool> {
        let above = split(path).0;
        let parent = self.host_stat(above)?;
        Ok(parent.is_none_or(|stat| self.since.is_changed(&stat)))
    }

    /// Whether anything was changed below a directory of the host, which errors call `path`.
    fn is_changed_below(&self, directory: OwnedFd, path: &[u8]) -> Outcome<bool> {
        let remembered = Remembered::default();
        let mut dirs = Dirs::new(directory).with_opener(self.opener.clone());
        let mut walk = Walk::new(Vec::new());
        while walk.go()? {
            let here = walk.path().to_vec();
            let Ok(place) = dirs.enter(&here) else { return Ok(true) };
            let list = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            let failed = |errno| Fault::system(Step::List, &join(path, &here), errno);
            let place = open(self.opener.as_ref(), place, b".", list).map_err(failed)?;
            let mut below = Names::new(&remembered);
            for name in names(&place, &here, &remembered)?.iter() {
                let stat = match look(self.opener.as_ref(), place.as_fd(), name) {
                    Ok(stat) => stat,
                    Err(errno) if is_gone(errno) => return Ok(true),
                    Err(errno) => return Err(failed(errno)),
                };
                if self.since.is_changed(&stat) {
                    return Ok(true);
                }
                if is_directory(&stat) {
                    below.push(&here, name)?;
                }
            }
            walk.down(below.sorted());
        }
        Ok(false)
    }

    /// Carries one change over.
    fn carry(&mut self, path: &[u8], change: Change) -> Outcome<Became> {
        let (above, name) = split(path);
        if path.is_empty() {
            self.directories.push(Vec::new());
            return Ok(Became::Applied);
        }
        let failed = |errno| Fault::system(Step::ApplyScratch, path, errno);
        let new = self.upper_stat(path)?;
        let parent = match self.host.enter(above) {
            Ok(parent) => duplicate(parent).map_err(failed)?,
            Err(_) if new.is_none() => return Ok(Became::Gone),
            Err(_) => return Ok(Became::Conflict),
        };
        self.touch(above, &parent)?;
        let parent = parent.as_fd();
        let old = self.host_stat(path)?;
        if change == Change::Deleted {
            let Some(old) = old else { return Ok(Became::Applied) };
            let aside = aside();
            self.host.forget(above, name);
            match self.hands.rename(parent, name, &aside, RenameFlags::RENAME_NOREPLACE) {
                Ok(()) => {}
                Err(Errno::EINVAL) => {
                    self.hands.rename(parent, name, &aside, RenameFlags::empty()).map_err(failed)?;
                }
                Err(Errno::ENOENT) => return Ok(Became::Applied),
                Err(errno) => return Err(failed(errno)),
            }
            if !self.is_as_expected(parent, &aside, path, &old)? {
                self.hands.rename(parent, &aside, name, RenameFlags::RENAME_NOREPLACE).map_err(failed)?;
                return Ok(Became::Conflict);
            }
            self.remove(parent, &aside, &old, path)?;
            self.done.insert(path.to_vec());
            return Ok(Became::Applied);
        }
        let Some(new) = new else { return Ok(Became::Gone) };
        let Some(kind) = kind_of(&new).filter(|kind| !matches!(kind, Kind::Char | Kind::Block)) else {
            return Ok(Became::LeftOut);
        };
        if kind == Kind::Directory && old.as_ref().is_some_and(is_directory) {
            self.directories.push(path.to_vec());
            return Ok(Became::Applied);
        }
        let made = aside();
        match self.make(parent, &made, path, kind, &new) {
            Ok(true) => {}
            Ok(false) => return Ok(Became::Gone),
            Err(fault) => {
                _ = self.hands.unlink(parent, &made);
                return Err(fault);
            }
        }
        self.host.forget(above, name);
        if !self.put(parent, &made, name, path, old.as_ref(), kind)? {
            return Ok(Became::Conflict);
        }
        if kind == Kind::Directory {
            self.directories.push(path.to_vec());
        }
        self.note(parent, name, &new)?;
        self.done.insert(path.to_vec());
        Ok(Became::Applied)
    }

    /// Has `made` take the name, and removes what had it; false where that was something else than expected, or there was
    /// something where there was nothing.
    fn put(
        &mut self,
        parent: BorrowedFd,
        made: &[u8],
        name: &[u8],
        path: &[u8],
        old: Option<&FileStat>,
        kind: Kind,
    ) -> Outcome<bool> {
        let failed = |errno| Fault::system(Step::ApplyScratch, path, errno);
        let drop_made = |work: &Self| match kind {
            Kind::Directory => remove::tree(parent, made).map_err(failed),
            _ => work.hands.unlink(parent, made).map_err(failed),
        };
        let Some(old) = old else {
            return match self.hands.rename(parent, made, name, RenameFlags::RENAME_NOREPLACE) {
                Ok(()) => Ok(true),
                Err(Errno::EINVAL) => {
                    self.hands.rename(parent, made, name, RenameFlags::empty()).map(|()| true).map_err(failed)
                }
                Err(Errno::EEXIST) if !self.overwrites => drop_made(self).map(|()| false),
                Err(errno) => drop_made(self).and(Err(failed(errno))),
            };
        };
        match self.hands.rename(parent, made, name, RenameFlags::RENAME_EXCHANGE) {
            Ok(()) => {}
            // A file system without it: the name is taken over at once, and what had it can't be looked at any more.
            Err(Errno::EINVAL) if kind != Kind::Directory && !is_directory(old) => {
                return self.hands.rename(parent, made, name, RenameFlags::empty()).map(|()| true).map_err(failed);
            }
            // It has gone in this moment.
            Err(Errno::ENOENT) => return drop_made(self).map(|()| false),
            Err(errno) => return drop_made(self).and(Err(failed(errno))),
        }
        if !self.is_as_expected(parent, made, path, old)? {
            self.hands.rename(parent, made, name, RenameFlags::RENAME_EXCHANGE).map_err(failed)?;
            drop_made(self)?;
            return Ok(false);
        }
        self.remove(parent, made, old, path)?;
        Ok(true)
    }

    /// Whether what was moved aside is what it was when it was looked at.
    fn is_as_expected(&self, parent: BorrowedFd, aside: &[u8], path: &[u8], old: &FileStat) -> Outcome<bool> {
        if self.overwrites {
            return Ok(true);
        }
        let failed = |errno| Fault::system(Step::ApplyScratch, path, errno);
        let now = look(self.opener.as_ref(), parent, aside).map_err(failed)?;
        if !is_directory(old) {
            return Ok(is_same_file(old, &now));
        }
        if !is_directory(&now) || now.st_ino != old.st_ino {
            return Ok(false);
        }
        let list = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let directory = open(self.opener.as_ref(), parent, aside, list).map_err(failed)?;
        Ok(!self.is_changed_below(directory, path)?)
    }

    /// Removes what had a name. Its other names have another time of change then, which is none of somebody else's.
    fn remove(&mut self, parent: BorrowedFd, name: &[u8], what: &FileStat, path: &[u8]) -> Outcome<()> {
        let failed = |errno| Fault::system(Step::ApplyScratch, path, errno);
        if is_directory(what) {
            return remove::tree(parent, name).map_err(failed);
        }
        let has_others = what.st_nlink > 1 && !self.since.is_changed(what);
        let place = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = has_others.then(|| open(self.opener.as_ref(), parent, name, place)).transpose().map_err(failed)?;
        self.hands.unlink(parent, name).map_err(failed)?;
        file.map_or(Ok(()), |file| self.since.note(&fs::fstat(&file).map_err(failed)?))
    }

    /// Makes what the container has; false where it has something else by now.
    fn make(&mut self, parent: BorrowedFd, made: &[u8], path: &[u8], kind: Kind, new: &FileStat) -> Outcome<bool> {
        let failed = |errno| Fault::system(Step::ApplyScratch, path, errno);
        match kind {
            Kind::Directory => self.hands.mkdir(parent, made).map_err(failed)?,
            Kind::Fifo => self.hands.fifo(parent, made).map_err(failed)?,
            Kind::Symlink => {
                let opener = self.scratch.opener.clone();
                let (above, name) = split(path);
                let Ok(place) = self.upper.enter(above) else { return Ok(false) };
                let target = match read_link(opener.as_ref(), place, name) {
                    Ok(target) => target,
                    Err(errno) if is_gone(errno) => return Ok(false),
                    Err(errno) => return Err(failed(errno)),
                };
                self.hands.symlink(&target, parent, made).map_err(failed)?;
                _ = self.hands.set_time(parent, made, new);
            }
            _ => {
                if self.link(parent, made, path, new)? {
                    return Ok(true);
                }
                let Some((from, now)) = self.open_upper(path, READ)? else { return Ok(false) };
                if kind_of(&now) != Some(Kind::File) {
                    return Ok(false);
                }
                let to = File::from(self.hands.create(parent, made).map_err(failed)?);
                copy(&File::from(duplicate(&from).map_err(failed)?), &to, now.st_size as u64).map_err(failed)?;
                self.dress(from.as_fd(), to.as_fd(), path, Kind::File, &now)?;
            }
        }
        Ok(true)
    }

    /// As a further name of a file that the host has by another name already, as it is inside.
    fn link(&mut self, parent: BorrowedFd, made: &[u8], path: &[u8], new: &FileStat) -> Outcome<bool> {
        let Some(group) = self.all.linked.get(path).cloned() else { return Ok(false) };
        for other in group.iter().filter(|other| *other != path) {
            let is_there = self.done.contains(other) || !self.all.changes.contains_key(other);
            let is_one = self.upper_stat(other)?.is_some_and(|stat| stat.st_ino == new.st_ino);
            if !is_there || !is_one {
                continue;
            }
            let (above, name) = split(other);
            let Ok(place) = self.host.enter(above) else { continue };
            let place = duplicate(place).map_err(|errno| Fault::system(Step::ApplyScratch, other, errno))?;
            let old = look(self.opener.as_ref(), place.as_fd(), name);
            if self.hands.link(place.as_fd(), name, parent, made).is_ok() {
                let new = look(self.opener.as_ref(), place.as_fd(), name);
                if let (Ok(old), Ok(new)) = (old, new)
                    && !self.since.is_changed(&old)
                {
                    self.since.note(&new)?;
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Owner, attributes, mode and time, in this order: who gives a file away takes bits from its mode.
    fn dress(&self, from: BorrowedFd, to: BorrowedFd, path: &[u8], kind: Kind, new: &FileStat) -> Outcome<()> {
        let failed = |errno| Fault::system(Step::ApplyScratch, path, errno);
        let inside = |id, here| (self.scratch.inside)(id).unwrap_or(here);
        let (uid, gid) = match self.is_root {
            true => (inside(Id::User(new.st_uid), 0), inside(Id::Group(new.st_gid), 0)),
            false => (new.st_uid, new.st_gid),
        };
        self.hands.chown(to, uid, gid).map_err(failed)?;
        let read = |fd, opener: Option<&Opener>| -> Outcome<BTreeMap<Vec<u8>, Vec<u8>>> {
            let mut entry = Entry::new(path, kind, 0);
            attributes(fd, &mut entry, opener, &|| false)?;
            if self.is_root {
                inside_attributes(&mut entry, &*self.scratch.inside);
            }
            let is_carried = |name: &[u8]| name.starts_with(b"user.") || name.starts_with(b"system.posix_acl_");
            Ok(entry.xattrs.into_iter().filter(|(name, _)| is_carried(name)).collect())
        };
        let (wanted, has) = (read(from, self.scratch.opener.as_ref())?, read(to, self.opener.as_ref())?);
        for (name, value) in &wanted {
            if has.get(name) != Some(value) {
                self.hands.attribute(to, name, Some(value)).map_err(failed)?;
            }
        }
        for name in has.keys().filter(|name| !wanted.contains_key(*name)) {
            self.hands.attribute(to, name, None).map_err(failed)?;
        }
        // Nothing that the container makes gives whoever runs it on the host other rights.
        let kept = if kind == Kind::Directory { 0o3777 } else { 0o777 };
        self.hands.finish(to, new.st_mode & kept, new).map_err(failed)
    }

    /// What had to wait for all else: modes of directories, and which directories are as we have left them.
    fn finish(mut self) -> Outcome<()> {
        for path in std::mem::take(&mut self.directories).into_iter().rev() {
            let failed = |errno| Fault::system(Step::ApplyScratch, &path, errno);
            self.touched.insert(path.clone(), true);
            let Some((from, new)) = self.open_upper(&path, READ | OFlag::O_DIRECTORY)? else { continue };
            let Some(to) = self.open_host(&path)? else { continue };
            if path.is_empty() {
                // Whose the directory itself is, stays the host's.
                let old = fs::fstat(&to).map_err(failed)?;
                self.hands.finish(to.as_fd(), new.st_mode & 0o3777, &old).map_err(failed)?;
            } else {
                self.dress(from.as_fd(), to.as_fd(), &path, Kind::Directory, &new)?;
            }
        }
        for (path, was_clean) in std::mem::take(&mut self.touched) {
            if let Some(stat) = self.host_stat(&path)?.filter(|_| was_clean) {
                self.since.note(&stat)?;
            }
        }
        Ok(())
    }

    /// Something is about to be changed in a directory of the host.
    fn touch(&mut self, path: &[u8], directory: &OwnedFd) -> Outcome<()> {
        if !self.touched.contains_key(path) {
            let stat = fs::fstat(directory).map_err(|errno| Fault::system(Step::LookAt, path, errno))?;
            let is_clean = !self.since.is_changed(&stat);
            self.touched.insert(path.to_vec(), is_clean);
        }
        Ok(())
    }

    /// The host's file is the container's from now on, unless somebody has changed it already.
    fn note(&mut self, parent: BorrowedFd, name: &[u8], new: &FileStat) -> Outcome<()> {
        match look(self.opener.as_ref(), parent, name) {
            Ok(stat) if !is_file(&stat) || (stat.st_mtime, stat.st_mtime_nsec) <= (new.st_mtime, new.st_mtime_nsec) => {
                self.since.note(&stat)
            }
            _ => Ok(()),
        }
    }

    /// What the host has there; nothing where that can't be got at without links.
    fn host_stat(&mut self, path: &[u8]) -> Outcome<Option<FileStat>> {
        stat(&mut self.host, self.opener.as_ref(), path)
    }

    fn upper_stat(&mut self, path: &[u8]) -> Outcome<Option<FileStat>> {
        let opener = self.scratch.opener.clone();
        stat(&mut self.upper, opener.as_ref(), path)
    }

    fn open_host(&mut self, path: &[u8]) -> Outcome<Option<OwnedFd>> {
        let opener = self.opener.clone();
        Ok(opened(&mut self.host, opener.as_ref(), path, READ | OFlag::O_DIRECTORY)?.map(|(fd, _)| fd))
    }

    fn open_upper(&mut self, path: &[u8], flags: OFlag) -> Outcome<Option<(OwnedFd, FileStat)>> {
        let opener = self.scratch.opener.clone();
        opened(&mut self.upper, opener.as_ref(), path, flags)
    }

    /// Whether what the container has there was the host's.
    fn is_copied_up(&mut self, path: &[u8]) -> Outcome<bool> {
        let is_known = self.upper_stat(path)?.is_some_and(|stat| is_file(&stat) || is_directory(&stat));
        if !is_known {
            return Ok(false);
        }
        let file = self.open_upper(path, READ)?;
        Ok(file.is_some_and(|(file, _)| is_copy(file.as_fd(), self.scratch.opener.as_ref())))
    }
}

fn stat(dirs: &mut Dirs, opener: Option<&Opener>, path: &[u8]) -> Outcome<Option<FileStat>> {
    let (above, name) = split(path);
    let name = if name.is_empty() { b"." } else { name };
    let Ok(parent) = dirs.enter(above) else { return Ok(None) };
    match look(opener, parent, name) {
        Ok(stat) => Ok(Some(stat)),
        Err(errno) if is_gone(errno) => Ok(None),
        Err(errno) => Err(Fault::system(Step::LookAt, path, errno)),
    }
}

fn opened(dirs: &mut Dirs, opener: Option<&Opener>, path: &[u8], flags: OFlag) -> Outcome<Option<(OwnedFd, FileStat)>> {
    let (above, name) = split(path);
    let name = if name.is_empty() { b"." } else { name };
    let Ok(parent) = dirs.enter(above) else { return Ok(None) };
    match open(opener, parent, name, flags) {
        Ok(file) => {
            let stat = fs::fstat(&file).map_err(|errno| Fault::system(Step::LookAt, path, errno))?;
            Ok(Some((file, stat)))
        }
        Err(errno) if is_gone(errno) => Ok(None),
        Err(Errno::EAGAIN) => Err(leased(path)),
        Err(errno) => Err(Fault::system(Step::Open, path, errno)),
    }
}

fn is_directory(stat: &FileStat) -> bool {
    fs::file_type(stat.st_mode) == Some(FileType::Directory)
}

fn is_file(stat: &FileStat) -> bool {
    fs::file_type(stat.st_mode) == Some(FileType::File)
}

/// A name that nobody has.
fn aside() -> Vec<u8> {
    let mut bytes = [0; 8];
    crate::sys::random(&mut bytes);
    format!(".ctr-apply-{:016x}", u64::from_ne_bytes(bytes)).into_bytes()
}

/// No more than there was, with its holes: a program that writes to it all the time would have it never end.
fn copy(from: &File, to: &File, size: u64) -> std::result::Result<(), Errno> {
    let errno = |error: std::io::Error| fs::errno_of(&error).unwrap_or(Errno::EIO);
    let mut buffer = vec![0; PIECE];
    let mut at = 0;
    while at < size {
        at = match fs::lseek(from, at, Whence::SeekData) {
            Ok(data) => data,
            Err(Errno::ENXIO) => break,
            Err(errno) => return Err(errno),
        };
        let end = fs::lseek(from, at, Whence::SeekHole)?.min(size);
        while at < end {
            let most = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
            match fs::pread(from, &mut buffer[..most], at)? {
                0 => return fs::ftruncate(to, i64::try_from(at).unwrap_or(i64::MAX)),
                length => {
                    to.write_all_at(&buffer[..length], at).map_err(errno)?;
                    at += length as u64;
                }
            }
        }
    }
    fs::ftruncate(to, i64::try_from(size).unwrap_or(i64::MAX))
}
