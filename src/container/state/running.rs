//! Who runs: names are taken, containers found and listed by their records.

use std::collections::HashMap;
use std::collections::hash_map;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fchmod, fstat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::directory::{Read, RecordFile, StateDir, add_hint};
use super::ledger::{Content, LARGEST, Outline};
use super::name::check_name;
use super::record::{Record, start_of};
use super::resource::{self, Entry, Resource, cgroups};
use super::sweep;
use crate::cgroup::{self, Place};
use crate::{Error, ErrorCode, Result, Step, hints, sys};

/// A line of [`crate::Container::list`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContainerInfo {
    /// The name that [`crate::Container::join`] takes.
    pub name: String,
    /// What it was made from.
    pub image: String,
    /// The pid of its PID 1 on the host.
    pub pid: i32,
    /// The pid of the process that made it.
    pub owner: i32,
    /// When it was made.
    pub created: SystemTime,
    /// Whether it outlives its owner.
    pub detached: bool,
    /// Whether it stands still, see [`crate::Container::pause`].
    pub paused: bool,
}

/// A record that this process has made, or joined.
pub struct Claim {
    /// The record's file. Whoever has it open as we do keeps the lock.
    pub file: OwnedFd,
    /// Which file it is.
    pub written: RecordFile,
    /// What is made has to be opened to its owner: the umask closes it.
    pub odd_umask: bool,
}

/// A container that runs and whose record is of no use to join it.
pub struct Unusable {
    pub file: RecordFile,
    /// The cgroups that stand there all the same.
    pub cgroups: Vec<Place>,
    /// Why it can't be joined.
    pub why: Error,
}

/// What is on record under a name.
pub enum Found {
    /// A container that runs, and can be joined.
    Running(Box<Record>, RecordFile),
    /// One that runs and can't be joined, for this reason; but it can be ended.
    Unusable(Unusable),
}

impl StateDir {
    /// Takes `record`'s name and writes it down, before anything it names exists.
    pub fn claim(&self, record: &Record) -> Result<Claim> {
        let file_name = format!("{}.json", record.name);
        let fail = |errno: Errno| {
            add_hint(Error::system(Step::WriteRecord, self.path.join(&file_name).display(), errno as i32))
        };
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let text = record.text().map_err(|e| Error::invalid(Step::WriteRecord, &file_name, e.to_string()))?;
        if text.len() as u64 > LARGEST {
            // Nobody could read it, so nobody could join, end or sweep it.
            let why = format!("E2BIG, it has {} bytes, the most is {LARGEST}", text.len());
            return Err(Error::new(ErrorCode::Invalid, Step::WriteRecord, &file_name, libc::E2BIG, why)
                .with_hint("its variables, mounts and the image's configuration are in it: ask for less"));
        }
        let mut looked = false;
        loop {
            let fd = match sys::openat(&self.fd, file_name.as_str(), flags, Mode::from_bits_truncate(0o600)) {
                Ok(fd) => fd,
                Err(Errno::EEXIST) => {
                    match self.sweep_for_name(&record.name) {
                        Ok(true) => continue,
                        // Where its owner is gone, so will it be in a moment.
                        Ok(false) if !looked && self.look_after(&record.name)?.is_none() => {
                            looked = true;
                            continue;
                        }
                        Ok(false) => {}
                        // What could not be removed is aside, and nobody has the name any more.
                        Err(_) if !self.path.join(&file_name).exists() => continue,
                        Err(error) => return Err(error),
                    }
                    return Err(Error::new(
                        ErrorCode::NameInUse,
                        Step::NameContainer,
                        &record.name,
                        libc::EEXIST,
                        "a running container has this name",
                    )
                    .with_hint("choose another name, or join or destroy that one"));
                }
                Err(errno) => return Err(fail(errno)),
            };
            // A sweeper may have come between; it has taken an empty record for a dead one, and removes it. It has the lock until
            // that is done: who asked for the name anew before would find it taken.
            let start = Instant::now();
            while !sys::fcntl_set_read_lock(fd.as_fd()).map_err(|e| Error::io(Step::LockRecord, &file_name, &e))? {
                if start.elapsed() > sweep::PATIENCE {
                    return Err(fail(Errno::EBUSY));
                }
                std::thread::sleep(Duration::from_micros(200));
            }
            let stat = fstat(&fd).map_err(fail)?;
            if stat.st_nlink == 0 {
                continue;
            }
            // The umask takes from the owner as well, who is to open it again.
            let odd_umask = stat.st_mode & 0o600 != 0o600;
            if odd_umask {
                fchmod(&fd, Mode::from_bits_truncate(0o600)).map_err(fail)?;
            }
            // What PID 1 gets is open for reading only, so it is written by another description.
            let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
            let writing = sys::openat(&self.fd, file_name.as_str(), flags, Mode::empty()).map_err(std::io::Error::from);
            if let Err(e) = writing.and_then(|writing| File::from(writing).write_all(&text)) {
                _ = unlinkat(&self.fd, file_name.as_str(), UnlinkatFlags::NoRemoveDir);
                return Err(add_hint(Error::io(Step::WriteRecord, self.path.join(&file_name).display(), &e)));
            }
            let written = RecordFile { inode: stat.st_ino, length: text.len() as u64 };
            return Ok(Claim { file: fd, written, odd_umask });
        }
    }

    /// The record of a container that runs.
    pub fn find(&self, name: &str) -> Result<(Record, RecordFile)> {
        match self.look(name)? {
            Found::Running(record, file) => Ok((*record, file)),
            Found::Unusable(unusable) => Err(unusable.why),
        }
    }

    /// What runs under this name; where nothing does, an error.
    pub fn look(&self, name: &str) -> Result<Found> {
        check_name(name)?;
        let gone = || {
            Error::new(ErrorCode::NotFound, Step::FindContainer, name, libc::ENOENT, "no container of this name runs")
                .with_hint("libctr ps, ctr.containers() and ctr_list() show what does")
        };
        let refused = |why: &str, hint: &str| {
            Error::new(ErrorCode::Unsupported, Step::JoinContainer, name, libc::EPROTO, why).with_hint(hint)
        };
        let found = self.read(name)?;
        match found.map(|Read { content, file, lives, .. }| (content, file, lives)) {
            Some((Content::Record(record), file, true)) => Ok(Found::Running(record, file)),
            Some((Content::Newer, ..)) => Err(refused("a newer version of ctr made it", "update ctr")),
            Some((content @ (Content::Older(_) | Content::Damaged(_)), file, true)) => {
                let why = match content {
                    Content::Older(_) => refused("an older version of ctr made it", hints::OLDER_RECORD),
                    _ => refused("its record is damaged", hints::DAMAGED_RECORD),
                };
                Ok(Found::Unusable(Unusable { file, cgroups: cgroups(content.resources()), why }))
            }
            Some((Content::Damaged(_), _, false)) => {
                self.sweep(name)?;
                let aside = self.path.join(format!("{name}.json.damaged"));
                Err(gone().with_hint(format!("its record was damaged and is put aside as {}", aside.display())))
            }
            Some((_, _, false)) => {
                // What can't be swept stays on record, and is no container all the same.
                _ = self.sweep(name);
                Err(gone())
            }
            Some((Content::Nothing, ..)) | None => Err(gone()),
        }
    }

    /// Writes `resource` into the record `file` of the container `name`, and then has it made. Nobody sweeps meanwhile, for the
    /// record is locked. Nothing is made where that is being swept, or is gone: `None`.
    pub fn acquire<T>(
        &self,
        name: &str,
        file: RecordFile,
        resource: Resource,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<Option<T>> {
        let Some(_locked) = self.add_lines(name, file, [Entry::Has(resource)])? else { return Ok(None) };
        make().map(Some)
    }

    /// Writes into the record that `resource` is gone. Where the record is gone too, there is nothing to do.
    pub fn note_gone(&self, name: &str, file: RecordFile, resource: Resource) -> Result<()> {
        self.add_lines(name, file, [Entry::Gone(resource)]).map(drop)
    }

    /// Writes into the record what more is known of a resource, in one go.
    pub fn note_known(&self, name: &str, file: RecordFile, before: Resource, now: Resource) -> Result<()> {
        self.add_lines(name, file, [Entry::Gone(before), Entry::Has(now)]).map(drop)
    }

    /// Adds lines to a record, which is locked as long as what is answered is there; `None` where it is being swept, or is gone.
    fn add_lines<const N: usize>(&self, name: &str, file: RecordFile, entries: [Entry; N]) -> Result<Option<File>> {
        let file_name = format!("{name}.json");
        let fail = |e: std::io::Error| add_hint(Error::io(Step::WriteRecord, self.path.join(&file_name).display(), &e));
        let flags = OFlag::O_RDWR | OFlag::O_APPEND | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let fd = match sys::openat(&self.fd, file_name.as_str(), flags, Mode::empty()) {
            Err(Errno::ENOENT) => return Ok(None),
            opened => opened.map_err(|errno| fail(errno.into()))?,
        };
        let locked = sys::fcntl_set_read_lock(fd.as_fd()).map_err(fail)?;
        let stat = fstat(&fd).map_err(|errno| fail(errno.into()))?;
        if !locked || stat.st_nlink == 0 || stat.st_ino != file.inode {
            return Ok(None);
        }
        let line = resource::lines(entries).map_err(|e| fail(e.into()))?;
        // What stands before it may be torn.
        let line = [b"\n", &line[..]].concat();
        if stat.st_size as u64 + line.len() as u64 > LARGEST {
            return Err(fail(std::io::Error::from_raw_os_error(libc::EFBIG)));
        }
        let mut record = File::from(fd);
        record.write_all(&line).map_err(fail)?;
        Ok(Some(record))
    }

    /// The containers that run, oldest first, each with the pid of its PID 1 as far as the record tells. What dead owners left is swept.
    pub fn list(&self) -> Result<Vec<(Outline, Option<i32>)>> {
        let entries = sys::file::names(&self.path).map_err(|e| Error::io(Step::Read, self.path.display(), &e))?;
        let (mut running, mut owners) = (Vec::new(), Owners::default());
        for file_name in entries {
            let Some(name) = file_name.to_str().and_then(|file| file.strip_suffix(".json")) else { continue };
            running.extend(self.look_after_one(name, &mut owners)?);
        }
        running.sort_by(|(a, _), (b, _)| (a.created, &a.name).cmp(&(b.created, &b.name)));
        Ok(running)
    }

    /// What is on record of `name` if it runs. Where its owner is gone, so will it be in a moment: that is waited for. What can't
    /// be swept stays on record for the next one who tries, and stops nobody; nor does what is no record of ours.
    pub fn look_after(&self, name: &str) -> Result<Option<Outline>> {
        Ok(self.look_after_one(name, &mut Owners::default())?.map(|(outline, _)| outline))
    }

    fn look_after_one(&self, name: &str, owners: &mut Owners) -> Result<Option<(Outline, Option<i32>)>> {
        let Read { content, file, lives, pid } = match self.read(name) {
            Ok(Some(read)) => read,
            Ok(None) => return Ok(None),
            Err(error) if matches!(error.errno(), libc::ELOOP | libc::EISDIR | libc::ENXIO | libc::EACCES) => {
                _ = self.sweep(name);
                return Ok(None);
            }
            // Not the file's fault: whoever asks what runs must not be told that nothing does.
            Err(error) => return Err(error),
        };
        if !lives {
            _ = self.sweep(name);
            return Ok(None);
        }
        let outline = match content {
            Content::Record(record) => record.into_outline(),
            Content::Older(outline) => outline,
            Content::Newer | Content::Nothing | Content::Damaged(_) => return Ok(None),
        };
        if !outline.detached && !owners.have(&outline)? {
            // One that stands still does not end, nor does one that has no processor time.
            if cgroup::check_names(name, &outline.cgroups()).is_ok() {
                cgroup::let_end(&outline.cgroups());
            }
            _ = self.sweep_known(name, file, &outline.resources);
            return Ok(None);
        }
        Ok(Some((outline, pid)))
    }
}

/// Owners that were looked at: one process may have made all the containers there are.
#[derive(Default)]
struct Owners(HashMap<i32, Option<u64>>);

impl Owners {
    /// Whether the process that made the container still lives.
    fn have(&mut self, outline: &Outline) -> Result<bool> {
        let start = match self.0.entry(outline.owner) {
            hash_map::Entry::Occupied(known) => *known.get(),
            hash_map::Entry::Vacant(new) => {
                let start = start_of(outline.owner);
                *new.insert(start.map_err(|e| Error::io(Step::LookAtOwner, &outline.name, &e))?)
            }
        };
        Ok(start == Some(outline.owner_start))
    }
}
