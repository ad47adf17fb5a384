//! The state directory: what runs, on record. A record is the container's ledger: it names all that outlives a system call, and
//! is written before any of it exists.
//!
//! `NAME.json` is the record, `NAME.sock` the control socket. A container's PID 1 holds a read lock on its record (an open file
//! description lock, fcntl(2), which the kernel releases when the process is gone, however it went), so a record that can be
//! locked for writing is a dead one, and whoever locks it sweeps what it names. No pid is ever guessed from.
//!
//! PID 1 has its record open for reading only: whoever takes it over can't write what we would believe. All that it can do is
//! to let go of the lock, and be swept. And what stands in a record is checked when it is used, not when it was written: a
//! cgroup is one of this container's name with this PID 1 in it, the changes on disk lie in the store that it was made with.

mod name;
mod older;
mod place;
mod record;

pub use name::{check_name, random_name};
pub use record::{ExecDefaults, Record, Root, Text, env_text, start_of};

use place::{make_directories, remove_tree};
use record::{Content, LARGEST};

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::fcntl::{OFlag, RenameFlags, renameat2};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::sys::Own;
use crate::sys::fork_lock::ForkLock;
use crate::zygote::wait_readable;
use crate::{Error, ErrorCode, Result, cgroup, sys};

/// A line of [`crate::Container::list`].
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

/// The state directory of a user.
pub struct StateDir {
    path: PathBuf,
    fd: Own,
}

/// A record that this process has made, or joined.
pub struct Claim {
    /// The record's file. Whoever has it open as we do keeps the lock.
    pub file: OwnedFd,
    /// Which file it is, for there may be another of the same name once it is gone.
    pub inode: u64,
    /// What is made has to be opened to its owner: the umask closes it.
    pub odd_umask: bool,
}

/// How long a killed PID 1 may take to let go of its record.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it is waited before something else than the lock is asked.
const FORKED: Duration = Duration::from_millis(20);

/// As many records a sweep on the way of a create looks at.
const MAX_LOOKS: usize = 256;
/// As many it sweeps.
const MAX_SWEPT: usize = 64;

impl StateDir {
    /// Opens the state directory, which is made where it is missing: the chosen one, or that of CTR_STATE_DIR, or the best that
    /// this user can have.
    pub fn open(chosen: Option<&Path>) -> Result<Self> {
        if let Some(path) = chosen {
            return Self::open_at(path.to_path_buf());
        }
        if let Some(path) = sys::var_os("CTR_STATE_DIR") {
            return Self::open_at(path.into());
        }
        // Looked for once for a user: it is some system calls on the way of every create.
        static LAST: ForkLock<Option<(u32, PathBuf)>> = ForkLock::new(None);
        let uid = nix::unistd::geteuid().as_raw();
        let last = LAST.lock().as_ref().filter(|(of, _)| *of == uid).map(|(_, path)| path.clone());
        if let Some(path) = last {
            return Self::open_at(path);
        }
        let mut first = None;
        for place in place::default_places() {
            match Self::open_at(place) {
                Ok(state) => {
                    *LAST.lock() = Some((uid, state.path.clone()));
                    return Ok(state);
                }
                Err(error) => _ = first.get_or_insert(error),
            }
        }
        Err(first.unwrap_or_else(|| Error::system("use the state directory", "", libc::ENOENT)))
    }

    fn open_at(path: PathBuf) -> Result<Self> {
        let fail = |errno: Errno| {
            let error = Error::system("use the state directory", path.display(), errno as i32);
            match add_hint(error) {
                error if error.hint().is_empty() => {
                    error.with_hint("choose another with CTR_STATE_DIR or the configuration's state_dir")
                }
                error => error,
            }
        };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let fd = match sys::open(&path, flags, Mode::empty()) {
            Err(Errno::ENOENT) => {
                make_directories(&path).map_err(fail)?;
                sys::open(&path, flags, Mode::empty())
            }
            other => other,
        }
        .map_err(fail)?;
        let stat = fstat(&fd).map_err(fail)?;
        // Somebody else's directory, or one that others can write to, could hold sockets that only look like ours.
        if stat.st_uid != nix::unistd::geteuid().as_raw() || stat.st_mode & 0o077 != 0 {
            return Err(Error::new(
                ErrorCode::Invalid,
                "use the state directory",
                path.display(),
                libc::EPERM,
                "it must belong to this user and be closed to others (mode 0700)",
            )
            .with_hint("choose another with CTR_STATE_DIR or the configuration's state_dir"));
        }
        Ok(Self { path, fd: Own::brief(fd) })
    }

    /// It lives longer than the call that made it.
    pub fn kept(mut self) -> Self {
        self.fd.keep();
        self
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes `record`'s name and writes it down, before anything it names exists.
    pub fn claim(&self, record: &Record) -> Result<Claim> {
        let file_name = format!("{}.json", record.name);
        let fail = |errno: Errno| {
            add_hint(Error::system("write the record", self.path.join(&file_name).display(), errno as i32))
        };
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let text =
            serde_json::to_vec(record).map_err(|e| Error::invalid("write the record", &file_name, e.to_string()))?;
        if text.len() as u64 > LARGEST {
            // Nobody could read it, so nobody could join, end or sweep it.
            let why = format!("E2BIG, it has {} bytes, the most is {LARGEST}", text.len());
            return Err(Error::new(ErrorCode::Invalid, "write the record", &file_name, libc::E2BIG, why)
                .with_hint("its variables, mounts and the image's configuration are in it: ask for less"));
        }
        loop {
            let fd = match sys::openat(&self.fd, file_name.as_str(), flags, Mode::from_bits_truncate(0o600)) {
                Ok(fd) => fd,
                Err(Errno::EEXIST) => {
                    match self.sweep(&record.name) {
                        Ok(true) => continue,
                        Ok(false) => {}
                        // What could not be removed is aside, and nobody has the name any more.
                        Err(_) if !self.path.join(&file_name).exists() => continue,
                        Err(error) => return Err(error),
                    }
                    return Err(Error::new(
                        ErrorCode::NameInUse,
                        "name the container",
                        &record.name,
                        libc::EEXIST,
                        "a running container has this name",
                    )
                    .with_hint("choose another name, or join or destroy that one"));
                }
                Err(errno) => return Err(fail(errno)),
            };
            // A sweeper may have come between; it has taken an empty record for a dead one, and removes it.
            let locked =
                sys::fcntl_set_read_lock(fd.as_fd()).map_err(|e| Error::io("lock the record", &file_name, &e))?;
            let stat = fstat(&fd).map_err(fail)?;
            if !locked || stat.st_nlink == 0 {
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
                return Err(add_hint(Error::io("write the record", self.path.join(&file_name).display(), &e)));
            }
            return Ok(Claim { file: fd, inode: stat.st_ino, odd_umask });
        }
    }

    /// The record of a container that runs.
    pub fn find(&self, name: &str) -> Result<(Record, u64)> {
        check_name(name)?;
        let gone = || {
            Error::new(ErrorCode::NotFound, "find container", name, libc::ENOENT, "no container of this name runs")
                .with_hint("libctr ps, ctr.containers() and ctr_list() show what does")
        };
        let unreadable = |why: &str, hint: &str| {
            Error::new(ErrorCode::Unsupported, "join container", name, libc::EPROTO, why).with_hint(hint)
        };
        match self.read(name)? {
            Some((Content::Record(record), inode, true)) => Ok((*record, inode)),
            Some((Content::Newer, ..)) => Err(unreadable("a newer version of ctr made it", "update ctr")),
            Some((Content::Damaged, _, true)) => {
                Err(unreadable("its record is damaged", "the process that made it can still use and destroy it"))
            }
            Some((Content::Damaged, _, false)) => {
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

    /// What stands in a record, its inode, and whether its container lives.
    fn read(&self, name: &str) -> Result<Option<(Content, u64, bool)>> {
        let file_name = format!("{name}.json");
        let fail = |errno: Errno| Error::system("read the record", self.path.join(&file_name).display(), errno as i32);
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let fd = match sys::openat(&self.fd, file_name.as_str(), flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(fail(errno)),
        };
        let lives = sys::fcntl_is_locked(fd.as_fd()).map_err(|e| Error::io("read the record", &file_name, &e))?;
        let inode = fstat(&fd).map_err(fail)?.st_ino;
        let content = content(name, fd).map_err(|e| Error::io("read the record", &file_name, &e))?;
        Ok(Some((content, inode, lives)))
    }

    /// Removes all that a dead container left, its record last. Whether there was one: a living one is left alone.
    pub fn sweep(&self, name: &str) -> Result<bool> {
        self.sweep_if(name, None, None)
    }

    /// As [`StateDir::sweep`], only if the record is the file `inode`; `known` is what stands in it, where that is known.
    /// Waits for the lock as long as it takes a killed PID 1 to let go of it.
    pub fn sweep_known(&self, name: &str, inode: u64, known: &Record) -> Result<bool> {
        self.sweep_if(name, Some(inode), Some(known))
    }

    fn sweep_if(&self, name: &str, inode: Option<u64>, known: Option<&Record>) -> Result<bool> {
        let file_name = format!("{name}.json");
        let fail = |errno: Errno| Error::system("sweep", self.path.join(&file_name).display(), errno as i32);
        let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let fd = match sys::openat(&self.fd, file_name.as_str(), flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::ENOENT) => return self.sweep_without_record(inode, known),
            Err(Errno::EISDIR | Errno::ELOOP | Errno::ENXIO) if inode.is_none() => return self.put_aside(name),
            Err(errno) => return Err(fail(errno)),
        };
        let is_another = |stat: &FileStat| stat.st_nlink == 0 || inode.is_some_and(|inode| inode != stat.st_ino);
        let start = Instant::now();
        while !sys::fcntl_setlk(fd.as_fd(), true).map_err(|e| Error::io("lock the record", &file_name, &e))? {
            if inode.is_none() {
                return Ok(false);
            }
            if is_another(&fstat(&fd).map_err(fail)?) {
                return self.sweep_without_record(inode, known);
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
            return self.sweep_without_record(inode, known);
        }
        let read;
        let record = match known {
            Some(record) => Some(record),
            None => {
                let again = fd.try_clone().map_err(|e| Error::io("sweep", &file_name, &e))?;
                read = content(name, again).map_err(|e| Error::io("sweep", &file_name, &e))?;
                match &read {
                    Content::Record(record) => Some(&**record),
                    Content::Nothing => None,
                    Content::Damaged => return self.put_aside(name),
                    Content::Newer => return Ok(false),
                }
            }
        };
        let mut left = None;
        if let Some(record) = record {
            cgroup::check_names(&record.name, &record.cgroups)?;
            cgroup::remove(&record.cgroups)?;
            if let Some(upper) = &record.upper
                && let Err(error) = remove_tree(upper)
            {
                if upper.symlink_metadata().is_ok() {
                    return Err(error);
                }
                left = Some(error);
            }
        }
        for file in [format!("{name}.sock"), file_name.clone()] {
            match unlinkat(&self.fd, file.as_str(), UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(fail(errno)),
            }
        }
        left.map_or(Ok(true), Err)
    }

    /// The record is gone, or is another container's by now: somebody has swept already, or has removed it by hand. Then the
    /// cgroups are still there; their names come never again, as that of a directory of changes may.
    fn sweep_without_record(&self, inode: Option<u64>, known: Option<&Record>) -> Result<bool> {
        if let Some(record) = known {
            cgroup::check_names(&record.name, &record.cgroups)?;
            cgroup::remove(&record.cgroups)?;
        }
        Ok(inode.is_none())
    }

    /// Whether the PID 1 that listens on the control socket lives: the kernel remembers who called listen(2), even where a
    /// forked child has the socket too.
    fn is_heard(&self, name: &str) -> bool {
        use nix::sys::socket::{
            AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, sockopt::PeerCredentials,
        };
        let socket = sys::socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_NONBLOCK);
        let Ok(socket) = socket else { return true };
        let Ok(address) = UnixAddr::new(&self.socket_path(name)) else { return true };
        match connect(socket.as_raw_fd(), &address) {
            Ok(()) => {}
            Err(Errno::ECONNREFUSED | Errno::ENOENT) => return false,
            Err(_) => return true,
        }
        let listener = sys::peer_pidfd(socket.as_fd()).or_else(|_| {
            let pid = getsockopt(&socket, PeerCredentials)?.pid();
            sys::pidfd_open(pid)
        });
        match listener {
            Ok(pidfd) => !wait_readable(&[pidfd.as_fd()], Some(Duration::ZERO)).unwrap_or(true),
            // A filter that refuses to say it is no proof of death.
            Err(error) => matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)),
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
                    return Err(Error::system("put aside the damaged record", path.display(), errno as i32));
                }
            }
        }
        _ = self.remove_socket(name);
        Ok(true)
    }

    /// Removes a control socket without its record.
    pub fn remove_socket(&self, name: &str) -> nix::Result<()> {
        unlinkat(&self.fd, format!("{name}.sock").as_str(), UnlinkatFlags::NoRemoveDir)
    }

    /// The records of the containers that run, oldest first. What dead owners left is swept.
    pub fn list(&self) -> Result<Vec<(Record, u64)>> {
        let entries = sys::file::names(&self.path).map_err(|e| Error::io("read", self.path.display(), &e))?;
        let mut running = Vec::new();
        for file_name in entries {
            let Some(name) = file_name.to_str().and_then(|file| file.strip_suffix(".json")) else { continue };
            running.extend(self.look_after(name)?);
        }
        running.sort_by(|(a, _), (b, _)| (a.created, &a.name).cmp(&(b.created, &b.name)));
        Ok(running)
    }

    /// The record of `name` if it runs. Where its owner is gone, so will it be in a moment: that is waited for. What can't be
    /// swept stays on record for the next one who tries, and stops nobody; nor does what is no record of ours.
    pub fn look_after(&self, name: &str) -> Result<Option<(Record, u64)>> {
        let (content, inode, lives) = match self.read(name) {
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
        let Content::Record(record) = content else { return Ok(None) };
        if !record.detached && !record.has_owner()? {
            _ = self.sweep_known(name, inode, &record);
            return Ok(None);
        }
        Ok(Some((*record, inode)))
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
            if let Ok(Some((Content::Record(record), ..))) = self.read(name)
                && record.upper.is_some()
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

    /// A path to `name`'s control socket that fits into a sockaddr_un, however deep the directory lies.
    pub fn socket_path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}.sock", self.fd.as_raw_fd()))
    }
}

impl AsFd for StateDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What can be done about a state directory that nothing can be written to.
fn add_hint(error: Error) -> Error {
    match error.errno() {
        libc::ENOSPC | libc::EDQUOT => error
            .with_hint("free space on the file system of the state directory, or choose another with CTR_STATE_DIR"),
        libc::EROFS => error.with_hint(
            "the file system of the state directory is read-only: choose another directory with CTR_STATE_DIR or the \
             configuration's state_dir",
        ),
        _ => error,
    }
}

/// What stands in an open record. Whatever lies there: a fifo would keep us waiting, a huge file would take our memory.
fn content(name: &str, fd: OwnedFd) -> std::io::Result<Content> {
    let stat = fstat(&fd)?;
    if stat.st_mode & libc::S_IFMT != libc::S_IFREG || stat.st_size as u64 > LARGEST {
        return Ok(Content::Damaged);
    }
    let mut text = Vec::new();
    File::from(fd).read_to_end(&mut text)?;
    Ok(Content::of(name, &text))
}
