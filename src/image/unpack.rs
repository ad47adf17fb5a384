//! Makes a tree of files from an archive's entries, all of it below one directory descriptor.
//!
//! Nothing here takes a path apart or puts one together: a parent comes from [`Dirs`], what is made is one component below
//! it, and nothing that exists is ever opened for writing or followed. So an entry can replace what an earlier one made,
//! and can't reach anything else. The thread should have an umask of its own (see `pipeline`).

use std::fs::File;
use std::io::{BufRead, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

use nix::errno::Errno;

use super::acl::{self, Names};
use super::archive::Archive;
use super::dirs::{Dirs, Stop};
use super::entry::{Entry, Kind};
use super::fault::{Fault, Outcome};
use super::give;
use super::limits::{Limits, Used};
use super::remove;
use super::spool::{Replay, Spool};
use super::whiteout;
use crate::sys::fs::{
    self, AtFlags, FchmodatFlags, FileType, Gid, Mode, OFlag, SFlag, TimeSpec, Uid, UnlinkatFlags, UtimensatFlags,
};

/// Where an owner and a mode are kept that the file itself can't have, or not yet: "uid:gid:mode", the mode in octal.
pub const OWNER_XATTR: &str = "user.ctr.owner";
/// Which entry of [`give::OWED`] a file's attributes are in.
pub(super) const OWED_XATTR: &[u8] = b"user.ctr.owed";

const TO_READ: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_NOFOLLOW).union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

/// As many links as path_resolution(7) follows.
const MAX_LINKS: usize = 40;

/// Rounds over the hard links whose target came later; more than links to links ever need.
const LINK_ROUNDS: usize = 16;

pub struct Unpack<'a> {
    limits: &'a Limits,
    used: &'a Used,
    pub(super) dirs: Dirs,
    /// Where hard links' targets are looked up, so that the walk in `dirs` keeps its place.
    targets: Dirs,
    work: Work<'a>,
    /// Directories change their times while they are filled, and a mode could keep us out, so both come last.
    directories: Option<Spool>,
    /// Hard links to what is not yet there.
    links: Option<Spool>,
    /// ACLs that name users, whose ids are in a file of the image.
    acls: Option<Spool>,
    /// What the tree can't hold: devices, and owners and attributes that this user or file system can't give.
    kept: Option<Spool>,
    /// What `give` gives, where this user has ids that files can be given to.
    owed: Option<Spool>,
    /// How many entries are in that.
    owing: u64,
    /// Directories that no entry names.
    made: u64,
    /// Owner, group and mode of the root, where the archive says any.
    root: Option<(u32, u32, u32)>,
    identity: Identity,
}

/// The directory for what must wait.
struct Work<'a>(BorrowedFd<'a>);

impl Work<'_> {
    /// What is put by until the archive's end, in a file that soon has no name.
    fn spool<'s>(&self, spool: &'s mut Option<Spool>, name: &str) -> Outcome<&'s mut Spool> {
        match spool {
            Some(spool) => Ok(spool),
            None => {
                let new = spool.insert(Spool::create(self.0, name)?);
                fs::unlinkat(self.0, name, UnlinkatFlags::NoRemoveDir)
                    .map_err(|errno| Fault::system("unlink", name.as_bytes(), errno))?;
                Ok(new)
            }
        }
    }
}

/// Who makes the files.
struct Identity {
    uid: u32,
    gid: u32,
    /// Root gives files their owners; anyone else makes files of their own only, and keeps the owners in [`OWNER_XATTR`].
    is_root: bool,
    /// But has them given, at the end, since they have ranges of ids.
    gives: bool,
    /// The umask is 0, so a file has the mode that it was created with.
    exact_modes: bool,
}

impl<'a> Unpack<'a> {
    /// Unpacks into `root`, an empty directory; `work` is a directory beside it for what must wait.
    /// Whoever isn't root and `gives` has [`give::owed`] do what is left over when the tree is complete.
    pub fn new(
        root: OwnedFd,
        work: BorrowedFd<'a>,
        (limits, used): (&'a Limits, &'a Used),
        exact_modes: bool,
        gives: bool,
    ) -> Outcome<Self> {
        let again = root.try_clone().map_err(Fault::read)?;
        let uid = nix::unistd::geteuid().as_raw();
        let gid = nix::unistd::getegid().as_raw();
        let mut unpack = Self {
            limits,
            used,
            dirs: Dirs::new(root),
            targets: Dirs::new(again),
            work: Work(work),
            directories: None,
            links: None,
            acls: None,
            kept: None,
            owed: None,
            owing: 0,
            made: 0,
            root: None,
            identity: Identity { uid, gid, is_root: uid == 0, gives: gives && uid != 0, exact_modes },
        };
        // The root itself, for archives that say nothing of it.
        unpack.put_by(&Entry::new(b"", Kind::Directory, 0o755))?;
        Ok(unpack)
    }

    /// Makes what `entry` says, its data coming from `archive`.
    pub fn entry<R: BufRead>(&mut self, entry: &Entry, archive: &mut Archive<R>) -> Outcome<()> {
        self.make_entry(entry, archive)?;
        self.count_walks(entry)
    }

    /// Bounds what the ways to entries take: names are short to write, and compress well, but each of their parts is walked.
    fn count_walks(&mut self, entry: &Entry) -> Outcome<()> {
        let more = self.dirs.take_walked() + self.targets.take_walked();
        if self.used.walked.fetch_add(more, Ordering::Relaxed) + more > self.limits.walks {
            let why = format!("more than {} directories on the way to entries", self.limits.walks);
            return Err(Fault::over(&entry.path, "walks", why));
        }
        Ok(())
    }

    fn make_entry<R: BufRead>(&mut self, entry: &Entry, archive: &mut Archive<R>) -> Outcome<()> {
        // A name may lead through a symbolic link of the same archive, as of packages for a system whose /lib is usr/lib.
        match self.through_links(entry.split().0)? {
            None => self.real_entry(entry, archive),
            Some(above) => {
                let name = entry.split().1;
                let path = if above.is_empty() { name.to_vec() } else { [&above, &b"/"[..], name].concat() };
                self.real_entry(&Entry { path, ..entry.clone() }, archive)
            }
        }
    }

    /// `path`, a directory, without the symbolic links that are on the way; `None` where there are none. Each is read, never
    /// followed, and what it says is looked up from the image's root on, so it leads nowhere else: `..` of the root is the root.
    fn through_links(&mut self, path: &[u8]) -> Outcome<Option<Vec<u8>>> {
        if !matches!(self.targets.enter(path), Err(Stop::NotDirectory(_))) {
            return Ok(None);
        }
        let parts = |path: &[u8]| -> Vec<Vec<u8>> {
            let parts = path.rsplit(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
            parts.map(<[u8]>::to_vec).collect()
        };
        let (mut todo, mut real, mut links) = (parts(path), Vec::new(), 0);
        while let Some(name) = todo.pop() {
            // A step, whether or not a directory is opened for it: some tens of links may lead thousands of them up and down.
            self.targets.count_walk();
            if name == b".." {
                real.truncate(super::entry::split(&real).0.len());
                continue;
            }
            let link = match self.targets.enter(&real) {
                Ok(parent) => fs::readlinkat(parent, name.as_slice()).ok(),
                Err(_) => None,
            };
            let Some(link) = link else {
                if !real.is_empty() {
                    real.push(b'/');
                }
                real.extend_from_slice(&name);
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(Fault::bad(path, format!("a name through more than {MAX_LINKS} symbolic links")));
            }
            if link.as_bytes().starts_with(b"/") {
                real.clear();
            }
            todo.extend(parts(link.as_bytes()));
        }
        let depth = real.split(|&byte| byte == b'/').count();
        if real.len() > self.limits.name || depth > self.limits.depth {
            let field = if depth > self.limits.depth { "depth" } else { "name" };
            return Err(Fault::over(
                path,
                field,
                format!("a name that links make {depth} levels, {} bytes", real.len()),
            ));
        }
        Ok(Some(real))
    }

    fn real_entry<R: BufRead>(&mut self, entry: &Entry, archive: &mut Archive<R>) -> Outcome<()> {
        if entry.path.is_empty() {
            return match entry.kind {
                Kind::Directory => {
                    self.root = Some((entry.uid, entry.gid, entry.mode));
                    self.put_by(entry)
                }
                _ => Err(Fault::bad(b".", "it would replace the image's root by something that is no directory")),
            };
        }
        if self.whiteout(entry)? {
            return Ok(());
        }
        match entry.kind {
            Kind::Directory => self.directory(entry),
            Kind::File => self.file(entry, archive),
            Kind::HardLink => {
                if self.hard_link(entry)? {
                    return Ok(());
                }
                self.clear(entry)?;
                self.work.spool(&mut self.links, "links")?.add(entry)
            }
            Kind::Symlink => self.node(entry, |parent, name| fs::symlinkat(entry.link.as_slice(), parent, name)),
            Kind::Fifo => self.node(entry, |parent, name| {
                fs::mknodat(parent, name, SFlag::S_IFIFO, Mode::from_bits_truncate(entry.mode & 0o777), 0)
            }),
            Kind::Char | Kind::Block => {
                // Inside a user namespace a device node can't be opened, so there is none to be misused either.
                self.clear(entry)?;
                self.keep(entry)
            }
        }
    }

    /// What the archive says of the root: owner, group and mode.
    pub fn root(&self) -> Option<(u32, u32, u32)> {
        self.root
    }

    /// Does what had to wait. The file "kept" is left in the work directory when it says something.
    /// `check` fails where the caller wants no more of it.
    pub fn finish(mut self, check: &mut dyn FnMut() -> Outcome<()>) -> Outcome<()> {
        if let Some(links) = self.links.take() {
            self.waiting_links(links.replay(self.limits)?, check)?;
        }
        if let Some(directories) = self.directories.take() {
            directories.replay(self.limits)?.each(|entry| {
                check()?;
                self.directory_metadata(&entry)?;
                self.count_walks(&entry)
            })?;
        }
        if let Some(acls) = self.acls.take() {
            let (users, groups) = (self.text(b"passwd")?, self.text(b"group")?);
            let names = Names::new(&users, &groups);
            acls.replay(self.limits)?.each(|entry| {
                check()?;
                self.named_acls(&entry, &names)?;
                self.count_walks(&entry)
            })?;
        }
        for spool in [self.kept, self.owed].into_iter().flatten() {
            spool.finish()?;
        }
        Ok(())
    }

    fn waiting_links(&mut self, mut links: Replay, check: &mut dyn FnMut() -> Outcome<()>) -> Outcome<()> {
        for _ in 0..LINK_ROUNDS {
            let mut is_done = true;
            links.each(|entry| {
                check()?;
                // A later entry may have taken the name since; then the link has lost it.
                is_done &= self.exists(&entry)? || self.hard_link(&entry)?;
                self.count_walks(&entry)
            })?;
            if is_done {
                return Ok(());
            }
        }
        links.each(|entry| match self.exists(&entry)? {
            true => Ok(()),
            false => {
                let target = super::fault::show(&entry.link);
                Err(Fault::bad(&entry.path, format!("a hard link to {target}, which is not in the archive")))
            }
        })
    }

    /// Gives a file its ACLs, if it still is the one that they are for.
    fn named_acls(&mut self, entry: &Entry, names: &Names<'_>) -> Outcome<()> {
        let (above, name) = entry.split();
        let name = if name.is_empty() { b"." } else { name };
        let Ok(parent) = self.dirs.enter(above) else { return Ok(()) };
        let Ok(fd) = fs::openat(parent, name, TO_READ, Mode::empty()) else { return Ok(()) };
        let mut left = entry.clone();
        let (mut is_found, mut is_left) = (false, false);
        for (record, attribute) in acl::RECORDS {
            let waiting = waiting(record);
            let mut text = vec![0; 64 << 10];
            let Ok(length) = fs::fgetxattr(&fd, waiting.as_slice(), &mut text[..]) else { continue };
            is_found = true;
            if !self.identity.gives {
                fs::fremovexattr(&fd, waiting.as_slice()).map_err(failed("give an ACL to", entry))?;
            }
            let value = names.acl(&text[..length]);
            if let Some(value) = value.as_ref().filter(|_| self.identity.gives) {
                // With the ids that they have inside.
                left.xattrs.retain(|(name, _)| name != record);
                left.xattrs.push((attribute.into(), value.clone()));
            } else if let Some(value) = value
                && fs::fsetxattr(&fd, attribute, &value).is_err()
            {
                is_left = true;
            } else {
                left.xattrs.retain(|(name, _)| name != record);
            }
        }
        match self.identity.gives {
            true if is_found => self.owe(&left),
            false if is_left => self.keep(&left),
            _ => Ok(()),
        }
    }

    /// A file of the image's /etc, as far as it is one.
    fn text(&mut self, name: &[u8]) -> Outcome<Vec<u8>> {
        const LARGEST: u64 = 4 << 20;
        let mut text = Vec::new();
        if let Ok(parent) = self.dirs.enter(b"etc")
            && let Ok(fd) = fs::openat(parent, name, TO_READ, Mode::empty())
            && fs::fstat(&fd).is_ok_and(|stat| fs::file_type(stat.st_mode) == Some(FileType::File))
        {
            File::from(fd).take(LARGEST).read_to_end(&mut text).map_err(Fault::read)?;
        }
        Ok(text)
    }

    pub(super) fn put_by(&mut self, directory: &Entry) -> Outcome<()> {
        self.work.spool(&mut self.directories, "directories")?.add(directory)
    }

    fn keep(&mut self, entry: &Entry) -> Outcome<()> {
        let kept = match &mut self.kept {
            Some(kept) => kept,
            none => none.insert(Spool::create(self.work.0, "kept")?),
        };
        kept.add(entry)
    }

    /// Has `give` do the rest for a file.
    fn owe(&mut self, entry: &Entry) -> Outcome<()> {
        let owed = match &mut self.owed {
            Some(owed) => owed,
            none => none.insert(Spool::create(self.work.0, give::OWED)?),
        };
        owed.add(entry)
    }

    fn directory(&mut self, entry: &Entry) -> Outcome<()> {
        let parent = self.parent(entry)?;
        let name = entry.split().1;
        match fs::mkdirat(parent, name, Mode::S_IRWXU) {
            Ok(()) => {}
            Err(Errno::EEXIST) => {
                let stat = fs::fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(failed("look at", entry))?;
                if fs::file_type(stat.st_mode) != Some(FileType::Directory) {
                    fs::unlinkat(parent, name, UnlinkatFlags::NoRemoveDir).map_err(failed("replace", entry))?;
                    fs::mkdirat(parent, name, Mode::S_IRWXU).map_err(failed("create directory", entry))?;
                    // What a whiteout or a file hid of the layers below stays hidden.
                    match whiteout::make_opaque(parent, name) {
                        Err(Errno::EOPNOTSUPP) if !whiteout::is_whiteout(&stat) => {}
                        answer => answer.map_err(failed("hide what lies below", entry))?,
                    }
                }
            }
            Err(errno) => return Err(failed("create directory", entry)(errno)),
        }
        self.put_by(entry)
    }

    fn file<R: BufRead>(&mut self, entry: &Entry, archive: &mut Archive<R>) -> Outcome<()> {
        let mode = self.identity.mode(entry);
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let is_plain = entry.xattrs.is_empty() && (self.identity.is_root || !self.identity.must_record(entry));
        let first = Mode::from_bits_truncate(if is_plain { mode & 0o777 } else { 0o600 });
        let fd = self.make(entry, "create", |parent, name| fs::openat(parent, name, flags, first))?;
        let file = File::from(fd);
        archive.content_of(entry)?;
        let written = match &entry.sparse {
            None => write_whole(&file, archive),
            Some(_) => write_sparse(&file, entry, archive),
        };
        written.map_err(|fault| match fault {
            // The place in the archive is known here, the name of the entry too.
            Fault::Bad { entry: place, why } if place.is_empty() => Fault::bad(&entry.path, why),
            Fault::System { step, object, errno } if object.is_empty() => {
                Fault::System { step, object: super::fault::show(&entry.path), errno }
            }
            fault => fault,
        })?;
        let needs_mode = !is_plain || !self.identity.exact_modes || mode & 0o7000 != 0;
        self.metadata(file.as_fd(), entry, needs_mode)
    }

    /// False when the target is not there (yet).
    fn hard_link(&mut self, entry: &Entry) -> Outcome<bool> {
        let (above, target) = super::entry::split(&entry.link);
        let real = self.through_links(above)?;
        let above = real.as_deref().unwrap_or(above);
        if target.is_empty() {
            return Err(Fault::bad(&entry.path, "a hard link to the image's root"));
        }
        let above = match self.targets.enter(above) {
            // The look-up borrows `targets`, the new name `self`: a duplicate keeps the two apart.
            Ok(fd) => fd.try_clone_to_owned().map_err(Fault::read)?,
            Err(Stop::Missing(_)) => return Ok(false),
            Err(stop) => return Err(stopped(&entry.link, stop)),
        };
        let source = match fs::fstatat(&above, target, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::ENOENT) => return Ok(false),
            Err(errno) => return Err(failed("look at the target of", entry)(errno)),
        };
        if whiteout::is_whiteout(&source) {
            return Ok(false);
        }
        if fs::file_type(source.st_mode) == Some(FileType::Directory) {
            return Err(Fault::bad(&entry.path, "a hard link to a directory"));
        }
        if entry.split() == (real.as_deref().unwrap_or(super::entry::split(&entry.link).0), target) {
            return Ok(true);
        }
        self.make(entry, "link", |parent, name| {
            match fs::fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(there) if (there.st_dev, there.st_ino) == (source.st_dev, source.st_ino) => return Ok(()),
                _ => {}
            }
            fs::linkat(&above, target, parent, name, AtFlags::empty())
        })?;
        Ok(true)
    }

    /// A symbolic link or fifo: what has no data and is never opened.
    fn node(&mut self, entry: &Entry, make: impl Fn(BorrowedFd, &[u8]) -> Result<(), Errno>) -> Outcome<()> {
        self.make(entry, "create", make)?;
        let mode = self.identity.mode(entry);
        let needs_mode = entry.kind == Kind::Fifo && (!self.identity.exact_modes || mode & 0o7000 != 0);
        let identity = &self.identity;
        let parent = self.dirs.enter(entry.split().0).map_err(|stop| stopped(&entry.path, stop))?;
        let name = entry.split().1;
        let mut whole = entry.xattrs.is_empty();
        if identity.is_root {
            if identity.must_chown(entry) {
                let (uid, gid) = owner(entry);
                whole &= fs::fchownat(parent, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok();
            }
        } else {
            whole &= entry.uid == 0 && entry.gid == 0 && (entry.kind == Kind::Symlink || mode == entry.mode);
        }
        if needs_mode {
            // chmod follows links, and there is no other way for a node that must not be opened: but we have just made it,
            // in a directory that nobody else can reach.
            fs::fchmodat(parent, name, Mode::from_bits_truncate(mode), FchmodatFlags::FollowSymlink)
                .map_err(failed("chmod", entry))?;
        }
        let time = time(entry);
        fs::utimensat(parent, name, &time, &time, UtimensatFlags::NoFollowSymlink)
            .map_err(failed("set the time of", entry))?;
        match whole {
            true => Ok(()),
            false if identity.gives => self.owe(entry),
            false => self.keep(entry),
        }
    }

    fn directory_metadata(&mut self, entry: &Entry) -> Outcome<()> {
        let (above, name) = entry.split();
        let parent = match self.dirs.enter(above) {
            Ok(parent) => parent,
            // Something else has taken its place, or that of a directory above it.
            Err(Stop::Missing(_) | Stop::NotDirectory(_)) => return Ok(()),
            Err(stop) => return Err(stopped(&entry.path, stop)),
        };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let name = if name.is_empty() { b"." } else { name };
        let fd = match fs::openat(parent, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(()),
            Err(errno) => return Err(failed("open", entry)(errno)),
        };
        self.metadata(fd.as_fd(), entry, true)
    }

    /// Owner, attributes, mode and times, in the order in which one does not undo the other: chown clears setuid bits and
    /// file capabilities, and a file without write permission takes no attributes of users.
    fn metadata(&mut self, fd: BorrowedFd, entry: &Entry, needs_mode: bool) -> Outcome<()> {
        let identity = &self.identity;
        let mode = identity.mode(entry);
        let mut has_owner = true;
        if !identity.is_root {
            has_owner = entry.uid == 0 && entry.gid == 0;
        } else if identity.must_chown(entry) {
            let (uid, gid) = owner(entry);
            match fs::fchown(fd, uid, gid) {
                Ok(()) => {}
                // Root of a user namespace that has no such id.
                Err(Errno::EINVAL | Errno::EPERM) => has_owner = false,
                Err(errno) => return Err(failed("chown", entry)(errno)),
            }
        }
        let (mut whole, mut wait) = (true, Vec::new());
        for (name, value) in &entry.xattrs {
            if (identity.is_root || identity.gives) && acl::is_named(name) {
                // With the file, so that it is not given to another of the same name.
                match fs::fsetxattr(fd, waiting(name).as_slice(), value) {
                    Ok(()) => wait.push(name),
                    Err(_) => whole = false,
                }
            } else if identity.gives && !name.starts_with(b"user.") {
                whole = false;
            } else if !identity.is_root && acl::speaks_of(name, value, identity.uid, identity.gid) {
                // In the tree that is the image's root, and could not be told from it.
                whole = false;
            } else if is_ours(name) {
                match fs::fsetxattr(fd, name.as_slice(), value) {
                    Ok(()) => {}
                    // ENOSPC is also what a file system says to an attribute that is too large for it.
                    Err(_) => whole = false,
                }
            } else {
                whole = false;
            }
        }
        let is_owed = identity.gives && (!has_owner || mode != entry.mode || !whole || !wait.is_empty());
        if !has_owner || mode != entry.mode || is_owed {
            let text = format!("{}:{}:{:o}", entry.uid, entry.gid, entry.mode);
            whole &= fs::fsetxattr(fd, OWNER_XATTR, text.as_bytes()).is_ok();
        }
        let mut owed = entry.clone();
        if is_owed && !entry.xattrs.is_empty() {
            // So that it is known for the same file then, and its attributes are given to no other.
            self.owing += 1;
            let number = self.owing.to_string().into_bytes();
            if fs::fsetxattr(fd, OWED_XATTR, &number).is_ok() {
                owed.xattrs.push((OWED_XATTR.into(), number));
            }
        }
        if needs_mode {
            fs::fchmod(fd, Mode::from_bits_truncate(mode)).map_err(failed("chmod", entry))?;
        }
        let time = time(entry);
        fs::futimens(fd, &time, &time).map_err(failed("set the time of", entry))?;
        if !wait.is_empty() {
            self.work.spool(&mut self.acls, "acls")?.add(&owed)?;
            if is_owed {
                // With these, then.
                return Ok(());
            }
        }
        if is_owed {
            return self.owe(&owed);
        }
        if whole {
            return Ok(());
        }
        let mut rest = entry.clone();
        rest.xattrs.retain(|(name, _)| !wait.contains(&name));
        self.keep(&rest)
    }

    /// Makes one thing; what has its name already goes first.
    fn make<T>(
        &mut self,
        entry: &Entry,
        step: &'static str,
        make: impl Fn(BorrowedFd, &[u8]) -> Result<T, Errno>,
    ) -> Outcome<T> {
        let name = entry.split().1;
        match make(self.parent(entry)?, name) {
            Err(Errno::EEXIST) => {
                self.clear(entry)?;
                make(self.parent(entry)?, name).map_err(failed(step, entry))
            }
            answer => answer.map_err(failed(step, entry)),
        }
    }

    /// Removes what has the entry's name, if anything has.
    fn clear(&mut self, entry: &Entry) -> Outcome<()> {
        let (above, name) = entry.split();
        self.targets.forget(above, name);
        self.dirs.forget(above, name);
        let parent = self.parent(entry)?;
        match fs::unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(Errno::EISDIR) => remove::tree(parent, name).map_err(failed("replace", entry)),
            Err(errno) => Err(failed("replace", entry)(errno)),
        }
    }

    fn exists(&mut self, entry: &Entry) -> Outcome<bool> {
        let (above, name) = entry.split();
        match self.dirs.enter(above) {
            Ok(parent) => match fs::fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(stat) => Ok(!whiteout::is_whiteout(&stat)),
                Err(Errno::ENOENT) => Ok(false),
                Err(errno) => Err(failed("look at", entry)(errno)),
            },
            Err(Stop::Missing(_)) => Ok(false),
            Err(stop) => Err(stopped(&entry.path, stop)),
        }
    }

    /// The directory that the entry belongs in; missing ones are made, as root's, with the entry's own time.
    pub(super) fn parent(&mut self, entry: &Entry) -> Outcome<BorrowedFd<'_>> {
        let above = entry.split().0;
        loop {
            let mut made = Vec::new();
            let mut make = |parent: BorrowedFd, name: &[u8], end| {
                made.push(end);
                fs::mkdirat(parent, name, Mode::S_IRWXU).map(|()| true)
            };
            let stop = self.dirs.enter_or_make(above, &mut make).err();
            self.made += made.len() as u64;
            if self.made > self.limits.entries {
                return Err(Fault::over(
                    &entry.path,
                    "entries",
                    format!("more than {} directories", self.limits.entries),
                ));
            }
            for end in made {
                let mut directory = Entry::new(&above[..end], Kind::Directory, 0o755);
                directory.mtime = entry.mtime;
                self.put_by(&directory)?;
            }
            match stop {
                None => break,
                // What a layer hides it may also make anew.
                Some(Stop::NotDirectory(end)) if self.whiteout_becomes_directory(&above[..end], entry.mtime)? => {}
                Some(stop) => return Err(stopped(&entry.path, stop)),
            }
        }
        // Once more, since a borrow from inside the loop would last too long; it is known now and costs no system call.
        self.dirs.enter(above).map_err(|stop| stopped(&entry.path, stop))
    }
}

impl Identity {
    /// The mode that a file of `entry` gets. Someone who is not root must stay able to read their files and to change their
    /// directories, and leaves no setuid program where nobody expects one.
    fn mode(&self, entry: &Entry) -> u32 {
        if self.is_root { entry.mode } else { narrowed(entry.kind, entry.mode) }
    }

    /// Whether a file that is the user's own says less than the entry does.
    fn must_record(&self, entry: &Entry) -> bool {
        (entry.uid, entry.gid) != (0, 0) || self.mode(entry) != entry.mode
    }

    fn must_chown(&self, entry: &Entry) -> bool {
        (entry.uid, entry.gid) != (self.uid, self.gid)
    }
}

/// The attribute that the text of an ACL waits in.
pub(super) fn waiting(record: &[u8]) -> Vec<u8> {
    [b"user.ctr.", record].concat()
}

/// The mode that a file of an ordinary user's has for this one of the archive.
pub(super) fn narrowed(kind: Kind, mode: u32) -> u32 {
    match kind {
        Kind::Directory => (mode & 0o1777) | 0o700,
        _ => (mode & 0o777) | 0o400,
    }
}

/// Attributes that an image may set: those of users (less overlayfs's and our own), file capabilities and ACLs.
/// The rest is this machine's business (security modules) or power over it (trusted).
pub(super) fn is_ours(name: &[u8]) -> bool {
    match name {
        b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default" => true,
        _ => name.starts_with(b"user.") && !name.starts_with(b"user.overlay.") && !name.starts_with(b"user.ctr."),
    }
}

fn owner(entry: &Entry) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))
}

/// When it was modified, which becomes the time of its last access too.
fn time(entry: &Entry) -> TimeSpec {
    TimeSpec::new(entry.mtime.0, entry.mtime.1.into())
}

fn write_whole<R: BufRead>(mut file: &File, archive: &mut Archive<R>) -> Outcome<()> {
    loop {
        let piece = archive.data()?;
        if piece.is_empty() {
            return Ok(());
        }
        let length = piece.len();
        file.write_all(piece).map_err(|error| unwritten(&error))?;
        archive.consume(length);
    }
}

fn write_sparse<R: BufRead>(file: &File, entry: &Entry, archive: &mut Archive<R>) -> Outcome<()> {
    for extent in entry.sparse.iter().flatten() {
        let (mut offset, end) = (extent.offset, extent.offset + extent.length);
        while offset < end {
            let piece = archive.data()?;
            let length = usize::try_from(end - offset).unwrap_or(usize::MAX).min(piece.len());
            file.write_all_at(&piece[..length], offset).map_err(|error| unwritten(&error))?;
            archive.consume(length);
            offset += length as u64;
        }
    }
    fs::ftruncate(file, entry.size as i64).map_err(|errno| Fault::system("write", &entry.path, errno))
}

fn unwritten(error: &std::io::Error) -> Fault {
    Fault::System { step: "write", object: String::new(), errno: error.raw_os_error().unwrap_or(libc::EIO) }
}

pub(super) fn failed<'e>(step: &'static str, entry: &'e Entry) -> impl Fn(Errno) -> Fault + 'e {
    move |errno| Fault::system(step, &entry.path, errno)
}

fn stopped(path: &[u8], stop: Stop) -> Fault {
    match stop {
        Stop::System(errno) => Fault::system("open", path, errno),
        Stop::Missing(end) | Stop::NotDirectory(end) => {
            let way = super::fault::show(&path[..end.min(path.len())]);
            Fault::bad(path, format!("it leads through {way}, which is no directory (a symbolic link is not followed)"))
        }
    }
}
