//! Gives the files of an ordinary user's image to their owners, where the user has ids for these: the last step of unpacking. Until
//! then all files are the user's, with modes that let the user fill them, and [`OWED`] lists which are to become others'.
//!
//! What a file is to have is on the file itself ([`OWNER_XATTR`]), so what an archive has replaced since is not mistaken for
//! it; it goes last, so whatever is cut short is done again. The calls are made by the process of [`Rights`]: chown(2) and
//! file capabilities (capabilities(7): with that user namespace's root in them) take rights that the user has only there.

use std::fs::File;
use std::io::{BufReader, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;

use super::acl;
use super::archive::Archive;
use super::dirs::{Dirs, Opener, Stop, attribute, open};
use super::entry::{Entry, Kind, split};
use super::export::{look, owner, read_link};
use super::fault::{Fault, Outcome};
use super::limits::Limits;
use super::owner::kind_of;
use super::rights::{BATCH, Rights, string};
use super::spool::Spool;
use super::unpack::{OWED_XATTR, OWNER_XATTR, is_ours, waiting};
use crate::Step;
use crate::plan::{Fd, Plan};
use crate::sys::fs::{self, AtFlags, FileType, Mode, OFlag, UnlinkatFlags};

/// The list, in a layer's directory.
pub const OWED: &str = "owed";
/// The maps by which it was done: [`SubIds::text`](crate::helper::SubIds::text), or nothing where no file is another's.
pub const OWNERS: &str = "owners";

const TO_READ: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_NOFOLLOW).union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

/// Does what the list in `layer` says, and leaves word of it. Without a list nothing is others'.
pub fn owed(layer: BorrowedFd, rights: &Arc<Rights>, limits: &Limits) -> Outcome<()> {
    let Some(ranges) = rights.ranges() else { return Ok(()) };
    let list = match fs::openat(layer, OWED, TO_READ, Mode::empty()) {
        Ok(list) => File::from(list),
        Err(Errno::ENOENT) => {
            let is_known = fs::faccessat(layer, OWNERS, fs::AccessFlags::F_OK, AtFlags::empty()).is_ok();
            return if is_known { Ok(()) } else { write(layer, OWNERS, b"") };
        }
        Err(errno) => return Err(Fault::system(Step::Open, OWED.as_bytes(), errno)),
    };
    // Before the first file is: whoever finds it half done knows whose they may be.
    write(layer, OWNERS, ranges.text().as_bytes())?;
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let tree =
        fs::openat(layer, "fs", flags, Mode::empty()).map_err(|errno| Fault::system(Step::OpenLayer, b"", errno))?;
    let opener = rights.opener();
    let mut give = Give {
        rights,
        dirs: Dirs::new(tree).with_opener(opener.clone()),
        opener,
        batch: Vec::new(),
        rest: Rest { layer, limits, spool: None },
    };
    // A directory that is another's already may be closed to us, which is dear; so they come last.
    for directories in [false, true] {
        let again = list.try_clone().map_err(Fault::read)?;
        std::io::Seek::rewind(&mut &again).map_err(Fault::read)?;
        let mut archive = Archive::new(BufReader::with_capacity(64 << 10, again), limits);
        while let Some(entry) = archive.next()? {
            if (entry.kind == Kind::Directory) == directories {
                give.entry(entry)?;
            }
        }
        give.flush()?;
    }
    give.rest.finish()?;
    fs::unlinkat(layer, OWED, UnlinkatFlags::NoRemoveDir)
        .map_err(|errno| Fault::system(Step::Unlink, OWED.as_bytes(), errno))
}

struct Give<'g> {
    rights: &'g Arc<Rights>,
    dirs: Dirs,
    opener: Option<Opener>,
    batch: Vec<Gift>,
    /// What could not be given.
    rest: Rest<'g>,
}

/// A file or directory on its way to its owner.
struct Gift {
    file: OwnedFd,
    owner: (u32, u32, u32),
}

impl Give<'_> {
    fn entry(&mut self, entry: Entry) -> Outcome<()> {
        let failed = |errno| Fault::system(Step::GiveToOwner, &entry.path, errno);
        let (above, name) = entry.split();
        let name = if name.is_empty() { b"." } else { name };
        let parent = match self.dirs.enter(above) {
            Ok(parent) => parent,
            // Something else has taken its place, or that of a directory above it.
            Err(Stop::Missing(_) | Stop::NotDirectory(_)) => return Ok(()),
            Err(Stop::System(errno)) => return Err(failed(errno)),
        };
        let opener = self.opener.as_ref();
        let stat = match look(opener, parent, name) {
            Ok(stat) => stat,
            Err(Errno::ENOENT) => return Ok(()),
            Err(errno) => return Err(failed(errno)),
        };
        if kind_of(&stat) != Some(entry.kind) {
            return Ok(());
        }
        if !matches!(entry.kind, Kind::File | Kind::Directory) {
            if entry.kind == Kind::Symlink && read_link(opener, parent, name).map_err(failed)? != entry.link {
                return Ok(());
            }
            let parent = parent.try_clone_to_owned().map_err(Fault::read)?;
            return self.node(parent, entry);
        }
        let file = open(opener, parent, name, TO_READ).map_err(failed)?;
        let own = (entry.uid, entry.gid, entry.mode);
        let owner = match attribute(opener, file.as_fd(), OWNER_XATTR.as_bytes()) {
            Ok(text) => owner(&text).unwrap_or(own),
            // Another file of this name, or one whose owner has been given.
            Err(Errno::ENODATA) => return Ok(()),
            // A file system without such attributes has the name only.
            Err(Errno::EOPNOTSUPP) => own,
            Err(errno) => return Err(failed(errno)),
        };
        if !self.rights.ranges().is_some_and(|ranges| ranges.has(owner.0, owner.1)) {
            // There is no such id inside: it stays root's, and its attribute says whose it is.
            return if entry.xattrs.is_empty() { Ok(()) } else { self.rest.keep(entry) };
        }
        let number = entry.xattrs.iter().find(|(name, _)| name == OWED_XATTR).map(|(_, number)| number);
        let is_same =
            number.is_none_or(|number| attribute(opener, file.as_fd(), OWED_XATTR).is_ok_and(|is| is == *number));
        if entry.xattrs.is_empty() || !is_same {
            self.batch.push(Gift { file, owner });
            return if self.batch.len() == BATCH { self.flush() } else { Ok(()) };
        }
        self.with_attributes(&file, owner, entry)
    }

    /// A file with attributes, which may each be refused. Owner, attributes, mode, in this order: see `Unpack::metadata`.
    fn with_attributes(&mut self, file: &OwnedFd, owner: (u32, u32, u32), mut entry: Entry) -> Outcome<()> {
        let failed = |errno| Fault::system(Step::GiveToOwner, &entry.path, errno);
        let mut plan = Plan::new();
        plan.step(Step::Chown, "a file", "", "");
        let slot = plan.send(Fd::Borrowed(file.as_fd()));
        plan.fchown(slot, owner.0, owner.1);
        self.rights.run(&plan).map_err(failed)?;
        let attributes = std::mem::take(&mut entry.xattrs);
        let mut rest = Vec::new();
        for (name, value) in attributes {
            if name.starts_with(b"user.ctr.") {
                continue;
            }
            let mut plan = Plan::new();
            plan.step(Step::SetAttribute, "a file", "", "");
            let slot = plan.send(Fd::Borrowed(file.as_fd()));
            let key = string(&mut plan, &name).map_err(|errno| Fault::system(Step::GiveToOwner, &entry.path, errno))?;
            plan.fsetxattr(slot, key, &value);
            if !is_ours(&name) || self.rights.run(&plan).is_err() {
                rest.push((name, value));
            }
        }
        let mut plan = Plan::new();
        plan.step(Step::Chmod, "a file", "", "");
        let slot = plan.send(Fd::Borrowed(file.as_fd()));
        plan.fchmod(slot, owner.2);
        let marks = acl::RECORDS.map(|(record, _)| waiting(record));
        for mark in marks.iter().map(Vec::as_slice).chain([OWED_XATTR, OWNER_XATTR.as_bytes()]) {
            let mark = plan.bytes(mark);
            plan.fremovexattr(slot, mark).ok(libc::ENODATA).ok(libc::EOPNOTSUPP);
        }
        self.rights.run(&plan).map_err(|errno| Fault::system(Step::GiveToOwner, &entry.path, errno))?;
        if !rest.is_empty() {
            entry.xattrs = rest;
            return self.rest.keep(entry);
        }
        Ok(())
    }

    /// A symbolic link or a fifo, which is never opened.
    fn node(&mut self, parent: OwnedFd, entry: Entry) -> Outcome<()> {
        if !self.rights.ranges().is_some_and(|ranges| ranges.has(entry.uid, entry.gid)) {
            return self.rest.keep(entry);
        }
        let failed = |errno| Fault::system(Step::GiveToOwner, &entry.path, errno);
        let mut plan = Plan::new();
        plan.step(Step::Chown, "a file", "", "");
        let slot = plan.send(Fd::Borrowed(parent.as_fd()));
        let name = string(&mut plan, entry.split().1).map_err(failed)?;
        let (uid, gid) = (entry.uid, entry.gid);
        plan.fchownat(slot, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW);
        if entry.kind == Kind::Fifo {
            // It is one: nobody else works in this tree.
            plan.fchmodat(slot, name, entry.mode);
        }
        self.rights.run(&plan).map_err(failed)?;
        if entry.xattrs.is_empty() { Ok(()) } else { self.rest.keep(entry) }
    }

    fn flush(&mut self) -> Outcome<()> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        let mut plan = Plan::new();
        plan.step(Step::Chown, "files", "", "");
        let slots: Vec<_> = batch.iter().map(|gift| plan.send(Fd::Borrowed(gift.file.as_fd()))).collect();
        let mark = plan.bytes(OWNER_XATTR);
        for (slot, Gift { owner: (uid, gid, mode), .. }) in slots.into_iter().zip(&batch) {
            plan.fchown(slot, *uid, *gid);
            plan.fchmod(slot, *mode);
            plan.fremovexattr(slot, mark).ok(libc::ENODATA).ok(libc::EOPNOTSUPP);
        }
        self.rights.run(&plan).map_err(|errno| Fault::system(Step::GiveToOwners, b"", errno))
    }
}

/// What is added to what the layer keeps of what its tree can't hold.
struct Rest<'r> {
    layer: BorrowedFd<'r>,
    limits: &'r Limits,
    spool: Option<Spool>,
}

impl Rest<'_> {
    const NEW: &'static str = "kept.new";

    fn keep(&mut self, mut entry: Entry) -> Outcome<()> {
        let spool = match &mut self.spool {
            Some(spool) => spool,
            none => {
                // Left by somebody who was interrupted.
                _ = fs::unlinkat(self.layer, Self::NEW, UnlinkatFlags::NoRemoveDir);
                let mut new = Spool::create(self.layer, Self::NEW)?;
                if let Ok(kept) = fs::openat(self.layer, "kept", TO_READ, Mode::empty()) {
                    let mut archive = Archive::new(BufReader::new(File::from(kept)), self.limits);
                    while let Some(entry) = archive.next()? {
                        new.add(&entry)?;
                    }
                }
                none.insert(new)
            }
        };
        entry.xattrs.retain(|(name, _)| !name.starts_with(b"user.ctr."));
        spool.add(&entry)
    }

    fn finish(self) -> Outcome<()> {
        let Some(spool) = self.spool else { return Ok(()) };
        spool.finish()?;
        fs::renameat(self.layer, Self::NEW, self.layer, "kept")
            .map_err(|errno| Fault::system(Step::KeepOwners, b"", errno))
    }
}

/// Lists what is to be given in a layer that was unpacked when this user had no ids for it.
pub fn list(layer: BorrowedFd, limits: &Limits) -> Outcome<()> {
    const NEW: &str = "owed.new";
    if fs::faccessat(layer, OWED, fs::AccessFlags::F_OK, AtFlags::empty()).is_ok() {
        // Somebody was interrupted behind this point.
        return Ok(());
    }
    _ = fs::unlinkat(layer, NEW, UnlinkatFlags::NoRemoveDir);
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let tree =
        fs::openat(layer, "fs", flags, Mode::empty()).map_err(|errno| Fault::system(Step::OpenLayer, b"", errno))?;
    let mut dirs = Dirs::new(tree);
    let mut new = Spool::create(layer, NEW)?;
    let mut is_empty = true;
    let mut todo = vec![Vec::new()];
    while let Some(path) = todo.pop() {
        let failed = |errno| Fault::system(Step::List, &path, errno);
        let place = dirs.enter(&path).map_err(|_| failed(Errno::ENOENT))?;
        let directory = fs::openat(place, ".", flags, Mode::empty()).map_err(failed)?;
        let mut mark = |file: BorrowedFd, path: &[u8], kind| -> Outcome<()> {
            let owner = attribute(None, file, OWNER_XATTR.as_bytes()).ok().and_then(|text| owner(&text));
            let acls = acl::RECORDS.into_iter().filter_map(|(_, name)| {
                let value = attribute(None, file, name).ok()?;
                acl::speaks_of_others(&value).then(|| (name.into(), value))
            });
            // These were given with the ids that they have inside.
            let xattrs: Vec<_> = acls.collect();
            if owner.is_some() || !xattrs.is_empty() {
                is_empty = false;
                let mode = fs::fstat(file).map_err(failed)?.st_mode & 0o7777;
                let (uid, gid, mode) = owner.unwrap_or((0, 0, mode));
                let entry = Entry { uid, gid, xattrs, ..Entry::new(path, kind, mode) };
                if owner.is_none() {
                    mark_file(file, &entry);
                }
                new.add(&entry)?;
            }
            Ok(())
        };
        mark(directory.as_fd(), &path, Kind::Directory)?;
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let below = if path.is_empty() { name.to_vec() } else { [&path[..], b"/", name].concat() };
            match entry.file_type() {
                Some(FileType::Directory) => todo.push(below),
                Some(FileType::File) => {
                    if let Ok(file) = fs::openat(&directory, name, TO_READ, Mode::empty()) {
                        mark(file.as_fd(), &below, Kind::File)?;
                    }
                }
                _ => {}
            }
        }
    }
    if let Ok(kept) = fs::openat(layer, "kept", TO_READ, Mode::empty()) {
        let mut archive = Archive::new(BufReader::new(File::from(kept)), limits);
        while let Some(entry) = archive.next()? {
            if matches!(entry.kind, Kind::Char | Kind::Block) {
                continue;
            }
            is_empty = false;
            mark_kept(&mut dirs, &entry);
            new.add(&entry)?;
        }
    }
    new.finish()?;
    match is_empty {
        true => fs::unlinkat(layer, NEW, UnlinkatFlags::NoRemoveDir),
        false => fs::renameat(layer, NEW, layer, OWED),
    }
    .map_err(|errno| Fault::system(Step::List, b"", errno))
}

/// What was kept for a file that is root's has no mark on the file yet.
fn mark_kept(dirs: &mut Dirs, entry: &Entry) {
    let (above, name) = split(&entry.path);
    let name = if name.is_empty() { b"." } else { name };
    if matches!(entry.kind, Kind::File | Kind::Directory)
        && let Ok(parent) = dirs.enter(above)
        && let Ok(file) = fs::openat(parent, name, TO_READ, Mode::empty())
        && let Ok(stat) = fs::fstat(&file)
        && kind_of(&stat) == Some(entry.kind)
    {
        mark_file(file.as_fd(), entry);
    }
}

fn mark_file(file: BorrowedFd, entry: &Entry) {
    let Ok(stat) = fs::fstat(file) else { return };
    let text = format!("{}:{}:{:o}", entry.uid, entry.gid, entry.mode);
    // A file that may not be written to takes no attributes.
    _ = fs::fchmod(file, Mode::from_bits_truncate(stat.st_mode & 0o7777 | 0o600));
    _ = fs::fsetxattr(file, OWNER_XATTR, text.as_bytes());
    _ = fs::fchmod(file, Mode::from_bits_truncate(stat.st_mode & 0o7777));
}

pub fn write(layer: BorrowedFd, name: &str, text: &[u8]) -> Outcome<()> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    fs::openat(layer, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)
        .map_err(std::io::Error::from)
        .and_then(|fd| File::from(fd).write_all(text))
        .map_err(|error| Fault::system(Step::WriteTo, name.as_bytes(), fs::errno_of(&error).unwrap_or(Errno::EIO)))
}
