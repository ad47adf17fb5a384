//! What a name of the tree is in the archive: its kind, owners, times and links, and what is below it. Where a running container
//! hides a file from us, it is as its image has it.

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::sync::Arc;

use nix::errno::Errno;

use super::super::dirs::{Dirs, Stop, is_gone, open};
use super::super::entry::{Entry, Kind, split};
use super::super::fault::{Fault, Outcome};
use super::super::names::Names;
use super::super::owner::{inside_attributes, kind_of};
use super::super::rights::Rights;
use super::super::whiteout::is_whiteout;
use super::attributes::{attributes, is_replaced, leased, look, read_link};
use super::kept::has;
use super::{Export, First, Id, Special, Walk, clamp};
use crate::Step;
use crate::sys::fs::{self, Dir, FileStat, OFlag};

impl Walk<'_, '_, '_> {
    /// Writes what `path` names; true for a directory whose content belongs in the archive too. What has gone since its directory
    /// was read is left out, as tar(1) does.
    pub(super) fn entry(&mut self, path: &[u8]) -> Outcome<bool> {
        let shown = match self.special.names {
            Some(names) => match names(path)? {
                Some(shown) => shown,
                None => return Ok(false),
            },
            None => path.to_vec(),
        };
        if self.special.is_lower {
            return self.entry_below(path, &shown);
        }
        let time = self.time_below(path)?;
        let (above, name) = split(path);
        let name = if name.is_empty() { b"." } else { name };
        let parent = match self.dirs.enter(above) {
            Err(Stop::System(Errno::EACCES)) => return self.entry_below(path, &shown),
            Err(stop) if stop.is_gone() => return Ok(false),
            answer => answer.map_err(|stop| stopped(path, stop))?,
        };
        let stat = match look(self.special.opener.as_ref(), parent, name) {
            Ok(stat) => stat,
            // Gone since the directory was read, or never there: what was kept.
            Err(Errno::ENOENT) => return self.kept_entry(path).map(|()| false),
            Err(Errno::EACCES) => return self.entry_below(path, &shown),
            Err(errno) => return Err(Fault::system(Step::LookAt, path, errno)),
        };
        if is_placeholder(&self.special, path, &stat)? {
            return Ok(false);
        }
        if self.options.is_layer && split(&shown).1.starts_with(b".wh.") {
            return Err(Fault::bad(&shown, "in a layer a name that begins with .wh. removes a file"));
        }
        if is_whiteout(&stat) {
            if self.options.is_layer {
                self.put_header(&Entry::new(&whiteout(&shown), Kind::File, 0))?;
            }
            return Ok(false);
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
                entry.link = match read_link(self.special.opener.as_ref(), parent, name) {
                    Ok(link) => link,
                    Err(errno) if is_gone(errno) => return Ok(false),
                    Err(errno) => return Err(Fault::system(Step::Read, path, errno)),
                };
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
            Err(errno) if is_replaced(errno, self.special.opener.as_ref(), parent, name, &stat) => return Ok(false),
            Err(Errno::EACCES) => return self.entry_below(path, &shown),
            Err(Errno::EAGAIN) => return Err(leased(path)),
            Err(errno) => return Err(Fault::system(Step::Open, path, errno)),
        };
        // Between the look and the opening a running program may have put something else there.
        let opened = fs::fstat(&fd).map_err(|errno| Fault::system(Step::LookAt, path, errno))?;
        if fs::file_type(opened.st_mode) != fs::file_type(stat.st_mode) {
            return Ok(false);
        }
        let is_left_out = self.special.leaves_kernels && stat.st_dev != self.device && fs::is_kernels(&fd);
        if is_left_out && kind == Kind::File {
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
        Ok(!is_left_out && (!self.options.one_file_system || stat.st_dev == self.device))
    }

    /// A file whose owner has no number in the container can be closed to everybody there, and by way of its root to us. So it is
    /// as the image has it, where we may read it.
    fn entry_below(&mut self, path: &[u8], shown: &[u8]) -> Outcome<bool> {
        let refused = || Fault::system(Step::Open, path, Errno::EACCES);
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
            attributes(fd.as_fd(), &mut entry, self.special.opener.as_ref(), &|| true)?;
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
        let (Some(mount_points), Some(lower)) = (self.special.mount_points, self.special.lower) else {
            return Ok(None);
        };
        let time = |stat: &FileStat| (stat.st_mtime, stat.st_mtime_nsec as u32);
        if path.is_empty() || !mount_points.contains(path) {
            let root = if path.is_empty() { lower.borrow_mut().find(b"")? } else { None };
            return Ok(root.map(|root| time(&root.stat)));
        }
        let Some(below) = lower.borrow_mut().find(path)? else {
            return Ok(lower.borrow_mut().find(b"")?.map(|root| time(&root.stat)));
        };
        let names_below = lower.borrow_mut().names(path, &self.remembered)?;
        // Where it is no directory, or can't be listed, that shows soon enough.
        let (true, Ok(now)) = (below.is_directory(), self.children(path)) else { return Ok(None) };
        let is_ours = |name: &[u8]| mount_points.contains(&[path, b"/", name].concat());
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

    /// The names in a directory, and those of kept devices, sorted. One that has gone meanwhile has none.
    pub(super) fn children(&mut self, path: &[u8]) -> Outcome<Names> {
        let failed = |errno| Fault::system(Step::List, path, errno);
        let mut names = Names::new(&self.remembered);
        // The one that is entered is only a place (O_PATH).
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let opener = self.special.opener.as_ref();
        let opened = match self.dirs.enter(path) {
            _ if self.special.is_lower => Err(Errno::EACCES),
            Ok(directory) => open(opener, directory, b".", flags),
            Err(Stop::System(errno)) => Err(errno),
            Err(_) => Err(Errno::ENOENT),
        };
        match (opened, self.special.lower) {
            // As for `entry_below`.
            (Err(Errno::EACCES), Some(lower)) => names = lower.borrow_mut().names(path, &self.remembered)?,
            (Err(errno), _) if is_gone(errno) => {}
            (Err(errno), _) => return Err(failed(errno)),
            (Ok(directory), _) => {
                for entry in Dir::new(directory) {
                    let entry = match entry {
                        Err(errno) if is_gone(errno) => break,
                        entry => entry.map_err(failed)?,
                    };
                    if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                        names.push(path, entry.file_name().to_bytes())?;
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
                        names.push(path, name)?;
                    }
                    [kept, &b"\0"[..]].concat()
                }
                // On with what is behind all of that directory: the byte after `/`.
                Some(slash) => [&below, &name[..slash], b"0"].concat(),
            };
        }
        Ok(names.sorted())
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
    let is_named = is_empty && special.empty_mount_points.iter().any(|place| place == path);
    Ok(is_named && lower.borrow_mut().find(path)?.is_none())
}

/// The name that removes `path` from the layers below.
fn whiteout(path: &[u8]) -> Vec<u8> {
    match split(path) {
        (b"", name) => [b".wh.", name].concat(),
        (above, name) => [above, b"/.wh.", name].concat(),
    }
}

fn stopped(path: &[u8], stop: Stop) -> Fault {
    match stop {
        Stop::System(errno) => Fault::system(Step::Open, path, errno),
        Stop::Missing(_) => Fault::system(Step::Open, path, Errno::ENOENT),
        Stop::NotDirectory(_) => Fault::system(Step::Open, path, Errno::ENOTDIR),
    }
}
