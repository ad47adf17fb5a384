//! The end of what is on record: each resource is released, the last one first, and the record goes when none is left. Used by
//! destroy, and by whoever finds a dead container's record.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{OFlag, RenameFlags, renameat2};
use nix::sys::socket::SockFlag;
use nix::sys::stat::{FileStat, Mode, fstat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::directory::{RecordFile, StateDir, content, listener_pidfd};
use super::forwarder;
use super::ledger::Content;
use super::place::remove_tree;
use super::resource::{self, Entry, Resource, cgroups};
use crate::cgroup::Place;
use crate::zygote::wait_readable;
use crate::{Error, Result, Step, cgroup, disk, sys};

/// How long a killed PID 1 may take to let go of its record.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long another process that is at it already may take.
const SWEEPING: Duration = Duration::from_secs(60);
/// How long it is waited before something else than the lock is asked.
const FORKED: Duration = Duration::from_millis(20);

/// As many records a sweep on the way of a create looks at.
const MAX_LOOKS: usize = 256;
/// As many it sweeps.
const MAX_SWEPT: usize = 64;

/// What is swept.
#[derive(Default)]
struct Wanted<'a> {
    /// Only this file, not another of the same name. It is waited for as long as it takes a killed PID 1 to let go of it.
    file: Option<RecordFile>,
    /// What stands in that file, where that is known.
    known: Option<&'a [Resource]>,
    /// The cgroups that its PID 1 was in, where the record is not believed.
    cgroups: Option<&'a [Place]>,
    /// Its name is to be had again: another process that sweeps it is waited for.
    name: bool,
}

/// What becomes of a record whose resources are all released.
enum Then {
    Remove,
    PutAside,
    Leave,
}

impl StateDir {
    /// Releases all that a dead container left, its record last. Whether there was one: a living one is left alone.
    pub fn sweep(&self, name: &str) -> Result<bool> {
        self.sweep_wanted(name, &Wanted::default())
    }

    /// As [`StateDir::sweep`], for a container that is to have the name; what another process is sweeping is gone then, too.
    pub fn sweep_for_name(&self, name: &str) -> Result<bool> {
        self.sweep_wanted(name, &Wanted { name: true, ..Wanted::default() })
    }

    /// As [`StateDir::sweep`], of one that is ending: only if the record is still this file, in which `known` stands.
    pub fn sweep_known(&self, name: &str, file: RecordFile, known: &[Resource]) -> Result<bool> {
        self.sweep_wanted(name, &Wanted { file: Some(file), known: Some(known), ..Wanted::default() })
    }

    /// As [`StateDir::sweep`], of one that is ending and whose record is not believed: its PID 1 was in these cgroups. A record that
    /// is none is put aside.
    pub fn sweep_unusable(&self, name: &str, file: RecordFile, cgroups: &[Place]) -> Result<bool> {
        self.sweep_wanted(name, &Wanted { file: Some(file), cgroups: Some(cgroups), ..Wanted::default() })
    }

    fn sweep_wanted(&self, name: &str, wanted: &Wanted<'_>) -> Result<bool> {
        let file_name = format!("{name}.json");
        let fail = |errno: Errno| Error::system(Step::SweepRecord, self.path.join(&file_name).display(), errno as i32);
        let flags = OFlag::O_RDWR | OFlag::O_APPEND | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let fd = match sys::openat(&self.fd, file_name.as_str(), flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::ENOENT) => return self.sweep_without_record(name, wanted),
            Err(Errno::EISDIR | Errno::ELOOP | Errno::ENXIO) if wanted.file.is_none() => return self.put_aside(name),
            Err(errno) => return Err(fail(errno)),
        };
        let is_another = |stat: &FileStat| stat.st_nlink == 0 || wanted.file.is_some_and(|it| it.inode != stat.st_ino);
        let start = Instant::now();
        while !sys::fcntl_setlk(fd.as_fd(), true).map_err(|e| Error::io(Step::LockRecord, &file_name, &e))? {
            // A container's own lock lets others read; who sweeps writes.
            let is_swept = || sys::fcntl_is_write_locked(fd.as_fd()).unwrap_or(false);
            if wanted.file.is_none() && !(wanted.name && start.elapsed() < PATIENCE && is_swept()) {
                return Ok(false);
            }
            if is_another(&fstat(&fd).map_err(fail)?) {
                return self.sweep_without_record(name, wanted);
            }
            if start.elapsed() > FORKED && is_swept() {
                if start.elapsed() > SWEEPING {
                    let hint = "another process is removing what it left; the next call tries again";
                    return Err(fail(Errno::EBUSY).with_hint(hint));
                }
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            if start.elapsed() > PATIENCE {
                return Err(fail(Errno::EBUSY).with_hint("its PID 1 does not end; the next call tries again"));
            }
            // A child that the host forked in the middle of a create may hold the lock for as long as it lives. Where nobody
            // hears the control socket, there is no PID 1, whoever holds the lock.
            if start.elapsed() > FORKED && !self.is_heard(name) {
                break;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        // Another sweeper may have been here first; then the name may be somebody else's by now.
        let stat = fstat(&fd).map_err(fail)?;
        if is_another(&stat) {
            return self.sweep_without_record(name, wanted);
        }
        // Others may have added to it.
        let as_known = wanted.file.is_some_and(|file| file.length == stat.st_size as u64);
        let content = match wanted.known.filter(|_| as_known) {
            Some(_) => None,
            None => {
                let again = fd.try_clone().map_err(|e| Error::io(Step::SweepRecord, &file_name, &e))?;
                Some(content(name, again, &stat).map_err(|e| Error::io(Step::SweepRecord, &file_name, &e))?)
            }
        };
        let written = content.as_ref().map(Content::resources).unwrap_or_default();
        let (mut resources, then) = match (&content, wanted.known) {
            (Some(Content::Newer), None) => return Ok(false),
            // What only a later version knows is left to it.
            (Some(Content::Newer), Some(known)) => (known.to_vec(), Then::Leave),
            (Some(Content::Record(_)), None) if wanted.cgroups.is_some() => (written.to_vec(), Then::PutAside),
            (Some(Content::Damaged(_)), None) => (written.to_vec(), Then::PutAside),
            (Some(Content::Record(_) | Content::Older(_)), _) | (_, None) => (written.to_vec(), Then::Remove),
            // Whatever somebody has written there.
            (_, Some(known)) => (known.to_vec(), Then::Remove),
        };
        if let Some(cgroups) = wanted.cgroups {
            resources.retain(|it| !matches!(it, Resource::Cgroup(_)));
            resources.extend(cgroups.iter().cloned().map(Resource::Cgroup));
        }
        let mut left = Vec::new();
        let outcome = self.release(name, &resources, &mut left);
        match then {
            _ if !left.is_empty() => self.strike_off(fd, &resources, &left),
            Then::Leave => self.strike_off(fd, &resources, &[]),
            Then::PutAside => _ = self.put_aside(name)?,
            Then::Remove => match unlinkat(&self.fd, file_name.as_str(), UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(fail(errno)),
            },
        }
        outcome.map(|()| true)
    }

    /// Releases them, the last one first, and goes on where one can't be: that one is added to `left`.
    fn release(&self, name: &str, resources: &[Resource], left: &mut Vec<Resource>) -> Result<()> {
        let mut outcome = Ok(());
        let together = |a: &Resource, b: &Resource| matches!((a, b), (Resource::Cgroup(_), Resource::Cgroup(_)));
        for some in resources.chunk_by(together).rev() {
            let released = match &some[0] {
                Resource::Cgroup(_) => remove_cgroups(name, &cgroups(some)),
                Resource::Upper { path } => match remove_tree(path) {
                    // It is in nobody's way any more, and the error says where it is.
                    Err(error) if path.symlink_metadata().is_err() => {
                        outcome = outcome.and(Err(error));
                        Ok(())
                    }
                    other => other,
                },
                Resource::Loop { number, tag, .. } => disk::has_gone(*number, tag, disk::PATIENCE),
                Resource::Mount { .. } | Resource::Scratch(_) => Ok(()),
                Resource::Forward { address, pid, start, .. } => forwarder::end(*address, *pid, *start),
                Resource::Network { name: network } => self.leave_network(network, name),
                Resource::Socket => self.remove_socket(name).or_else(|errno| match errno {
                    Errno::ENOENT => Ok(()),
                    _ => Err(Error::system(Step::RemoveControlSocket, name, errno as i32)),
                }),
            };
            if let Err(error) = released {
                left.extend_from_slice(some);
                outcome = outcome.and(Err(error));
            }
        }
        outcome
    }

    /// Notes which of `resources` are not among `left`: another container may get the same ones before this one is swept again.
    /// Where that can't be written, they are released once more.
    fn strike_off(&self, record: OwnedFd, resources: &[Resource], left: &[Resource]) {
        let gone = resources.iter().filter(|resource| !left.contains(resource)).cloned();
        if let Ok(lines) = resource::lines(gone.map(Entry::Gone))
            && !lines.is_empty()
        {
            _ = File::from(record).write_all(&[b"\n", &lines[..]].concat());
        }
    }

    /// The record is gone, or is another container's by now: somebody has swept already, or has removed it by hand. Then the
    /// cgroups are still there; their names come never again, as that of a directory of changes may.
    fn sweep_without_record(&self, name: &str, wanted: &Wanted<'_>) -> Result<bool> {
        let places = wanted.cgroups.map_or_else(|| cgroups(wanted.known.unwrap_or_default()), <[Place]>::to_vec);
        remove_cgroups(name, &places).map(|()| wanted.file.is_none())
    }

    /// Whether the PID 1 that listens on the control socket lives: the kernel remembers who called listen(2), even where a
    /// forked child has the socket too.
    fn is_heard(&self, name: &str) -> bool {
        match self.connect(name, SockFlag::SOCK_NONBLOCK) {
            Ok(socket) => match listener_pidfd(socket.as_fd()) {
                Ok(pidfd) => !wait_readable(&[pidfd.as_fd()], Some(Duration::ZERO)).unwrap_or(true),
                // A filter that refuses to say it is no proof of death.
                Err(error) => matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)),
            },
            Err(Errno::ECONNREFUSED | Errno::ENOENT) => false,
            Err(_) => true,
        }
    }

    /// A record that can't be read is kept for a person to look at, and is in nobody's way.
    fn put_aside(&self, name: &str) -> Result<bool> {
        let file_name = format!("{name}.json");
        let mut aside = format!("{file_name}.damaged");
        for count in 1.. {
            match renameat2(&self.fd, file_name.as_str(), &self.fd, aside.as_str(), RenameFlags::RENAME_NOREPLACE) {
                Err(Errno::EEXIST) if count < 1000 => aside = format!("{file_name}.damaged.{count}"),
                // Another sweeper was here.
                Ok(()) | Err(Errno::ENOENT) => break,
                Err(errno) => {
                    let path = self.path.join(&file_name);
                    return Err(Error::system(Step::PutRecordAside, path.display(), errno as i32));
                }
            }
        }
        _ = self.remove_socket(name);
        Ok(true)
    }

    /// Sweeps some of what dead owners left, on the way of a create. It costs one listing and three calls for each container
    /// that lives, and has a bound; what fails is left to the next.
    pub fn sweep_some(&self) {
        let Ok(mut names) = sys::file::names(&self.path) else { return };
        // Not always the same ones, where there are more than are looked at.
        let first = sys::process_id() as usize % names.len().max(1);
        names.rotate_left(first);
        let records = names.iter().filter_map(|file| file.to_str()?.strip_suffix(".json"));
        let (mut swept, mut trees) = (0, 0);
        for name in records.take(MAX_LOOKS) {
            if !self.is_dead(name) {
                continue;
            }
            // A tree of changes on disk may be large.
            if let Ok(Some(read)) = self.read(name)
                && read.content.resources().iter().any(|it| matches!(it, Resource::Upper { .. }))
            {
                trees += 1;
                if trees > 1 {
                    continue;
                }
            }
            _ = self.sweep(name);
            swept += 1;
            if swept == MAX_SWEPT {
                return;
            }
        }
    }

    /// Whether a record's container is dead, as far as that can be told without waiting.
    fn is_dead(&self, name: &str) -> bool {
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let fd = sys::openat(&self.fd, format!("{name}.json").as_str(), flags, Mode::empty());
        fd.is_ok_and(|fd| sys::fcntl_is_locked(fd.as_fd()).is_ok_and(|locked| !locked))
    }
}

fn remove_cgroups(name: &str, places: &[Place]) -> Result<()> {
    cgroup::check_names(name, places)?;
    cgroup::remove(places)
}
