//! Makes files below a directory by a helper, many with one message. Whoever else can change that directory may put what they like into
//! the way meanwhile: each parent is resolved beneath it without links, in one call, and what is made is one component below that.
//! Nothing that is there is followed or opened; a file that is there already is replaced, a directory kept.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use ctr_wire::HANDED;
use nix::fcntl::{AtFlags, OFlag, ResolveFlag};
use nix::unistd::UnlinkatFlags;

use super::super::archive::Archive;
use super::super::entry::{Entry, Kind, split};
use super::super::fault::{Fault, show};
use super::super::names::Remembered;
use super::super::pipeline::{Progress, REPORT_EVERY, Report};
use crate::helper::{Helper, add_hint};
use crate::plan::{Arg, Fd, Plan, Slot};
use crate::{Error, ErrorCode, Result, Step, hints};

/// Where the helper keeps the directory.
const BASE: usize = HANDED + 18;

/// A file of so many bytes goes with the message.
const SMALL: u64 = 64 << 10;

/// As many entries, and as many bytes of files, as go with one message.
const MOST: (usize, usize) = (128, 1 << 20);

/// What is written of a file at once or not at all, whatever the file system.
const PAGE: usize = 4096;

/// Tells the caller how far it is, and asks whether it is to go on.
pub(crate) struct Told<'r> {
    report: Report<'r>,
    last: Instant,
    done: Progress,
}

impl<'r> Told<'r> {
    pub fn new(report: Report<'r>) -> Self {
        Self { report, last: Instant::now(), done: Progress::default() }
    }

    /// So many bytes more were copied.
    pub fn bytes(&mut self, bytes: u64) -> std::result::Result<(), Fault> {
        self.done.bytes += bytes;
        if self.last.elapsed() < REPORT_EVERY {
            return Ok(());
        }
        self.last = Instant::now();
        if (self.report)(self.done) { Ok(()) } else { Err(Fault::Cancelled) }
    }

    /// An entry was.
    pub fn entry(&mut self) -> std::result::Result<(), Fault> {
        self.done.entries += 1;
        self.bytes(0)
    }
}

/// What files keep of what they were.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keeps {
    /// Their owners; otherwise they are whose the helper is.
    pub owners: bool,
    /// What makes who runs them another: set-user-ID and set-group-ID bits, capabilities.
    pub rights: bool,
}

/// How files are made.
pub(crate) struct Writer {
    helper: Helper,
    pub step: Step,
    /// What errors call the place.
    called: String,
    keeps: Keeps,
    batch: Batch,
    /// Directories change their times while they are filled, and a mode could keep out whoever fills them: both come last.
    directories: Vec<Entry>,
    made: HashSet<Vec<u8>>,
    remembered: Remembered,
}

#[derive(Default)]
struct Batch {
    plan: Plan<'static>,
    /// The directory that the last entry was made in.
    parent: Option<(Vec<u8>, Slot)>,
    entries: usize,
    bytes: usize,
}

impl Writer {
    /// One that makes files below `base`.
    pub fn new(helper: Helper, base: OwnedFd, step: Step, called: String, keeps: Keeps) -> Result<Self> {
        let mut plan = Plan::new();
        let base = plan.send(Fd::Owned(base));
        plan.step(step, called.clone(), "", "");
        plan.alarm(0);
        plan.umask(0);
        let kept = plan.keep_in(BASE);
        plan.dupfd_cloexec(base, 0).out(kept);
        helper.run(&plan, &[])?;
        let (directories, made) = (Vec::new(), HashSet::new());
        let (batch, remembered) = (Batch::default(), Remembered::default());
        Ok(Self { helper, step, called, keeps, batch, directories, made, remembered })
    }

    /// Makes what `entry` says, its data coming from `archive`.
    pub fn entry<R: BufRead>(
        &mut self,
        entry: &Entry,
        archive: &mut Archive<'_, R>,
        told: &mut Told<'_>,
    ) -> Result<()> {
        told.entry().map_err(|fault| self.fault(entry, fault))?;
        if entry.kind == Kind::File && (entry.size > SMALL || entry.sparse.is_some()) {
            return self.large(entry, |file| content(file, entry, archive, told));
        }
        let mut data = Vec::new();
        if entry.kind == Kind::File {
            loop {
                let piece = archive.data().map_err(|fault| self.fault(entry, fault))?;
                if piece.is_empty() {
                    break;
                }
                data.extend_from_slice(piece);
                let length = piece.len();
                archive.consume(length);
            }
            told.bytes(entry.size).map_err(|fault| self.fault(entry, fault))?;
        }
        self.small(entry, &data)
    }

    /// Makes a file whose content `fill` writes.
    pub fn large(&mut self, entry: &Entry, fill: impl FnOnce(&File) -> std::result::Result<(), Fault>) -> Result<()> {
        self.flush()?;
        let name = entry.split().1;
        let parent = self.begin(entry)?;
        let mode = self.mode(entry) & 0o777;
        let file = create(&mut self.batch.plan, parent, name, mode);
        let batch = std::mem::take(&mut self.batch);
        let file = self.run(&batch.plan, &[file])?.pop();
        let file = File::from(file.ok_or_else(|| self.failed(entry, libc::EPROTO))?);
        if let Err(fault) = fill(&file) {
            // Half a file looks like a whole one.
            let parent = self.begin(entry)?;
            let name = self.batch.plan.bytes(name);
            self.batch.plan.unlinkat(parent, name, UnlinkatFlags::NoRemoveDir).optional();
            _ = self.flush();
            return Err(self.fault(entry, fault));
        }
        let mut plan = Plan::new();
        let slot = plan.send(Fd::Owned(OwnedFd::from(file)));
        plan.step(self.step, self.object(entry), "", "");
        self.metadata(&mut plan, slot, entry);
        self.run(&plan, &[]).map(drop)
    }

    /// Makes the rest: what had to wait for all else.
    pub fn finish(mut self) -> Result<()> {
        self.flush()?;
        for entry in std::mem::take(&mut self.directories).into_iter().rev() {
            self.room(0)?;
            let plan = &mut self.batch.plan;
            plan.step(self.step, object(&self.called, &entry), "", "");
            let (directory, dot) = (plan.slot(), plan.bytes("."));
            let path = plan.bytes(&entry.path);
            // What was removed meanwhile, or replaced, is nobody's concern any more.
            plan.openat2(Slot(BASE as u8), path, DIRECTORY, BENEATH).out(directory).optional();
            if self.keeps.owners {
                plan.fchownat(directory, dot, entry.uid, entry.gid, AtFlags::empty()).optional();
            }
            let mode = if self.keeps.rights { entry.mode } else { entry.mode & 0o1777 };
            plan.fchmodat(directory, dot, mode).optional();
            plan.utimensat(directory, dot, entry.mtime, AtFlags::empty()).optional();
            plan.close(directory);
        }
        self.flush()
    }

    fn small(&mut self, entry: &Entry, data: &[u8]) -> Result<()> {
        if entry.path.is_empty() {
            return Ok(());
        }
        self.room(data.len())?;
        let parent = self.begin(entry)?;
        let name = entry.split().1;
        let mode = self.mode(entry);
        if entry.kind == Kind::File {
            let mut plan = std::mem::take(&mut self.batch.plan);
            let file = create(&mut plan, parent, name, mode & 0o777);
            if !data.is_empty() {
                let bytes = plan.data(data, 8);
                plan.write(file, bytes, data.len());
                if let (true, Some(last)) = (data.len() > PAGE, data.last()) {
                    // A full disk takes what fits, and says so when it is asked for the rest.
                    let last = plan.data(&[*last], 1);
                    plan.pwrite(file, last, 1, data.len() - 1);
                }
            }
            self.metadata(&mut plan, file, entry);
            plan.close(file);
            self.batch.plan = plan;
            return Ok(());
        }
        if entry.kind == Kind::HardLink {
            return self.hard_link(entry, parent);
        }
        if matches!(entry.kind, Kind::Char | Kind::Block) {
            let why = "it is a device, which is not made in another place";
            return Err(Error::new(ErrorCode::Unsupported, self.step, self.object(entry), libc::EOPNOTSUPP, why));
        }
        let plan = &mut self.batch.plan;
        let name = plan.bytes(name);
        match entry.kind {
            Kind::Directory => {
                plan.mkdirat(parent, name, 0o700).ok(libc::EEXIST);
                let made = plan.slot();
                plan.openat(parent, name, DIRECTORY).out(made);
                plan.close(made);
                let kept = self.remembered.add_entry(entry).and_then(|()| self.remembered.add(&entry.path));
                kept.map_err(|fault| self.fault(entry, fault))?;
                self.made.insert(entry.path.clone());
                self.directories.push(entry.clone());
                return Ok(());
            }
            Kind::Symlink => {
                let target = plan.bytes(&entry.link);
                replacing(plan, parent, name, |plan| plan.symlinkat(target, parent, name));
            }
            _ => replacing(plan, parent, name, |plan| plan.mknodat(parent, name, libc::S_IFIFO | (mode & 0o777), 0)),
        }
        let plan = &mut self.batch.plan;
        if self.keeps.owners {
            plan.fchownat(parent, name, entry.uid, entry.gid, AtFlags::AT_SYMLINK_NOFOLLOW);
        }
        plan.utimensat(parent, name, entry.mtime, AtFlags::AT_SYMLINK_NOFOLLOW);
        Ok(())
    }

    fn hard_link(&mut self, entry: &Entry, parent: Slot) -> Result<()> {
        let (above, target) = split(&entry.link);
        let plan = &mut self.batch.plan;
        let from = if above.is_empty() { Slot(BASE as u8) } else { plan.slot() };
        if !above.is_empty() {
            let above = plan.bytes(above);
            plan.openat2(Slot(BASE as u8), above, DIRECTORY, BENEATH).out(from);
        }
        let (target, name) = (plan.bytes(target), plan.bytes(entry.split().1));
        replacing(plan, parent, name, |plan| plan.linkat((from, target), (parent, name), AtFlags::empty()));
        if !above.is_empty() {
            plan.close(from);
        }
        Ok(())
    }

    /// Owner, attributes, mode and time of a file that was made, in the order in which one does not undo the other.
    fn metadata(&self, plan: &mut Plan<'_>, file: Slot, entry: &Entry) {
        if self.keeps.owners {
            plan.fchown(file, entry.uid, entry.gid);
        }
        for (name, value) in &entry.xattrs {
            let is_users = name.starts_with(b"user.") && !name.starts_with(b"user.overlay.");
            let is_wanted = match name.as_slice() {
                b"security.capability" => self.keeps.rights,
                b"system.posix_acl_access" | b"system.posix_acl_default" => self.keeps.owners,
                _ => is_users,
            };
            if is_wanted {
                let name = plan.bytes(name);
                plan.fsetxattr(file, name, value).ok(libc::EOPNOTSUPP).ok(libc::EPERM);
            }
        }
        let mode = self.mode(entry);
        if mode & 0o7000 != 0 || !entry.xattrs.is_empty() {
            plan.fchmod(file, mode);
        }
        plan.futimens(file, entry.mtime);
    }

    fn mode(&self, entry: &Entry) -> u32 {
        if self.keeps.rights { entry.mode } else { entry.mode & 0o1777 }
    }

    /// Begins the step of an entry, and finds the directory that it belongs in.
    fn begin(&mut self, entry: &Entry) -> Result<Slot> {
        let above = entry.split().0;
        self.batch.plan.step(self.step, object(&self.called, entry), "", "");
        if let Some((path, slot)) = &self.batch.parent {
            if path == above {
                return Ok(*slot);
            }
            let slot = *slot;
            self.batch.plan.close(slot);
            self.batch.parent = None;
        }
        if above.is_empty() {
            return Ok(Slot(BASE as u8));
        }
        self.parents(above, entry)?;
        let plan = &mut self.batch.plan;
        let (slot, path) = (plan.slot(), plan.bytes(above));
        plan.openat2(Slot(BASE as u8), path, DIRECTORY, BENEATH).out(slot);
        self.batch.parent = Some((above.to_vec(), slot));
        Ok(slot)
    }

    /// Makes the directories above an entry that no entry of its own has made.
    fn parents(&mut self, above: &[u8], entry: &Entry) -> Result<()> {
        let ends = above.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).chain([above.len()]);
        for path in ends.map(|end| &above[..end]) {
            if self.made.contains(path) {
                continue;
            }
            self.remembered.add(path).map_err(|fault| self.fault(entry, fault))?;
            self.made.insert(path.to_vec());
            let (parent, name) = split(path);
            let plan = &mut self.batch.plan;
            let from = if parent.is_empty() { Slot(BASE as u8) } else { plan.slot() };
            if !parent.is_empty() {
                let parent = plan.bytes(parent);
                plan.openat2(Slot(BASE as u8), parent, DIRECTORY, BENEATH).out(from);
            }
            let name = plan.bytes(name);
            plan.mkdirat(from, name, 0o755).ok(libc::EEXIST);
            if !parent.is_empty() {
                plan.close(from);
            }
        }
        Ok(())
    }

    /// Makes room for one more entry with so many bytes.
    fn room(&mut self, bytes: usize) -> Result<()> {
        if self.batch.entries >= MOST.0 || self.batch.bytes + bytes > MOST.1 {
            self.flush()?;
        }
        self.batch.entries += 1;
        self.batch.bytes += bytes;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        if batch.plan.len() == 0 { Ok(()) } else { self.run(&batch.plan, &[]).map(drop) }
    }

    fn run(&self, plan: &Plan<'_>, give: &[Slot]) -> Result<Vec<OwnedFd>> {
        self.helper.run(plan, give).map_err(|error| match error.errno() {
            libc::EPERM | libc::EINVAL if self.keeps.owners => error.with_hint(hints::KEPT_OWNERS),
            _ => add_hint(error),
        })
    }

    fn object(&self, entry: &Entry) -> String {
        object(&self.called, entry)
    }

    fn failed(&self, entry: &Entry, errno: i32) -> Error {
        Error::system(self.step, self.object(entry), errno).with_known_hint()
    }

    fn fault(&self, entry: &Entry, fault: Fault) -> Error {
        match fault {
            Fault::System { errno, .. } => self.failed(entry, errno),
            Fault::Cancelled => {
                let why = "cancelled; what was copied before it is there";
                Error::new(ErrorCode::Interrupted, self.step, self.object(entry), libc::EINTR, why)
            }
            fault => fault.into_error(&self.object(entry)),
        }
    }
}

fn object(called: &str, entry: &Entry) -> String {
    format!("{called}, {}", show(&entry.path))
}

/// A new file, in the place of one that has its name.
fn create(plan: &mut Plan<'_>, parent: Slot, name: &[u8], mode: u32) -> Slot {
    let (file, name) = (plan.slot(), plan.bytes(name));
    let flags = OFlag::O_WRONLY | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    replacing(plan, parent, name, |plan| plan.create(parent, name, flags, mode).out(file));
    file
}

/// Makes something under a name; what has the name goes first, but for a directory.
fn replacing(
    plan: &mut Plan<'_>,
    parent: Slot,
    name: Arg,
    make: impl for<'p> Fn(&'p mut Plan<'_>) -> &'p mut crate::plan::Call,
) {
    make(plan).unless(libc::EEXIST, 2);
    plan.unlinkat(parent, name, UnlinkatFlags::NoRemoveDir);
    make(plan);
}

const DIRECTORY: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

const BENEATH: ResolveFlag =
    ResolveFlag::RESOLVE_BENEATH.union(ResolveFlag::RESOLVE_NO_SYMLINKS).union(ResolveFlag::RESOLVE_NO_MAGICLINKS);

/// Writes what the archive has of a file.
fn content<R: BufRead>(
    mut file: &File,
    entry: &Entry,
    archive: &mut Archive<'_, R>,
    told: &mut Told<'_>,
) -> std::result::Result<(), Fault> {
    let Some(extents) = &entry.sparse else {
        loop {
            let piece = archive.data()?;
            if piece.is_empty() {
                return Ok(());
            }
            file.write_all(piece).map_err(Fault::write)?;
            let length = piece.len();
            archive.consume(length);
            told.bytes(length as u64)?;
        }
    };
    for extent in extents {
        let (mut offset, end) = (extent.offset, extent.offset + extent.length);
        while offset < end {
            let piece = archive.data()?;
            let length = usize::try_from(end - offset).unwrap_or(usize::MAX).min(piece.len());
            file.write_all_at(&piece[..length], offset).map_err(Fault::write)?;
            archive.consume(length);
            told.bytes(length as u64)?;
            offset += length as u64;
        }
    }
    file.set_len(entry.size).map_err(Fault::write)
}
