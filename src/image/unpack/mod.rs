//! Makes a tree of files from an archive's entries, all of it below one directory descriptor.
//!
//! Nothing here takes a path apart or puts one together: a parent comes from [`Dirs`], what is made is one component below
//! it, and nothing that exists is ever opened for writing or followed. So an entry can replace what an earlier one made,
//! and can't reach anything else. The thread should have an umask of its own (see `pipeline`).

mod files;
mod identity;
mod metadata;
mod places;
mod whiteouts;

use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use nix::errno::Errno;

use super::acl::Names;
use super::dirs::{Dirs, Stop};
use super::entry::{Entry, Kind};
use super::fault::{Fault, Outcome};
use super::give;
use super::limits::{Limits, Used};
use super::spool::{Replay, Spool};
use crate::Step;
use crate::sys::fs::{self, Mode, OFlag, SFlag, UnlinkatFlags};
use identity::Identity;
pub(super) use identity::{OWED_XATTR, OWNER_XATTR, is_ours, narrowed, waiting};

const TO_READ: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_NOFOLLOW).union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

/// Rounds over the hard links whose target came later; more than links to links ever need.
const LINK_ROUNDS: usize = 16;

/// Where the content of files comes from.
pub trait Content {
    /// Writes that of `entry` to a new file.
    fn write(&mut self, file: &File, entry: &Entry) -> Outcome<()>;
}

pub struct Unpack<'a> {
    limits: &'a Limits,
    used: &'a Used,
    pub(super) dirs: Dirs,
    /// Where hard links' targets are looked up, so that the walk in `dirs` keeps its place.
    targets: Dirs,
    /// The last way that led through links, and where to; nothing once a link has come or gone.
    link_way: Option<(Vec<u8>, Vec<u8>)>,
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
                    .map_err(|errno| Fault::system(Step::Unlink, name.as_bytes(), errno))?;
                Ok(new)
            }
        }
    }
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
            link_way: None,
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

    /// Makes what `entry` says, its data coming from `content`.
    pub fn entry(&mut self, entry: &Entry, content: &mut dyn Content) -> Outcome<()> {
        self.used.entries.fetch_add(1, Ordering::Relaxed);
        self.make_entry(entry, content)?;
        self.count_walks(entry)
    }

    /// Bounds what the ways to entries take: names are short to write, and compress well, but each of their parts is walked.
    fn count_walks(&mut self, entry: &Entry) -> Outcome<()> {
        let more = self.dirs.take_walked() + self.targets.take_walked();
        let most = self.limits.walks_to(self.used.entries.load(Ordering::Relaxed));
        if self.used.walked.fetch_add(more, Ordering::Relaxed) + more > most {
            return Err(Fault::over(
                &entry.path,
                "walks",
                format!("more than {most} directories on the way to entries"),
            ));
        }
        Ok(())
    }

    fn make_entry(&mut self, entry: &Entry, content: &mut dyn Content) -> Outcome<()> {
        let (above, name) = entry.split();
        if !matches!(self.dirs.enter(above), Err(Stop::NotDirectory(_))) {
            return self.real_entry(entry, content);
        }
        // A name may lead through a symbolic link of the same archive, as of packages for a system whose /lib is usr/lib.
        let above = match &self.link_way {
            Some((way, real)) if way == above => real.clone(),
            _ => {
                let real = self.through_links(above)?;
                self.link_way = Some((above.to_vec(), real.clone()));
                real
            }
        };
        let path = if above.is_empty() { name.to_vec() } else { [&above, &b"/"[..], name].concat() };
        self.real_entry(&Entry { path, ..entry.clone() }, content)
    }

    fn real_entry(&mut self, entry: &Entry, content: &mut dyn Content) -> Outcome<()> {
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
        if matches!(entry.kind, Kind::Symlink | Kind::HardLink) {
            self.link_way = None;
        }
        match entry.kind {
            Kind::Directory => self.directory(entry),
            Kind::File => self.file(entry, content),
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
}

pub(super) fn failed<'e>(step: Step, entry: &'e Entry) -> impl Fn(Errno) -> Fault + 'e {
    move |errno| Fault::system(step, &entry.path, errno)
}

fn stopped(path: &[u8], stop: Stop) -> Fault {
    match stop {
        Stop::System(errno) => Fault::system(Step::Open, path, errno),
        Stop::Missing(end) | Stop::NotDirectory(end) => {
            let way = super::fault::show(&path[..end.min(path.len())]);
            Fault::bad(path, format!("it leads through {way}, which is no directory (a symbolic link is not followed)"))
        }
    }
}
