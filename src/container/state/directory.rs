//! The state directory, and the files in it: records are read, control sockets connected to.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::socket::sockopt::{PeerCredentials, SendTimeout};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, setsockopt};
use nix::sys::stat::{FileStat, Mode, fstat};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::ledger::{Content, LARGEST};
use super::place::{default_places, make_directories};
use crate::sys::Own;
use crate::sys::fork_lock::ForkLock;
use crate::{Error, ErrorCode, Result, Step, sys};

/// How many seconds a PID 1 may take until it takes a connection.
const CONNECTING: i64 = 5;

/// The state directory of a user.
pub struct StateDir {
    pub(super) path: PathBuf,
    pub(super) fd: Own,
}

/// What stands in a record, and what is known of its file.
pub struct Read {
    pub content: Content,
    pub file: RecordFile,
    /// Whether its container lives.
    pub lives: bool,
    /// Its PID 1, by the kernel's word, as far as that can be told.
    pub pid: Option<i32>,
}

/// Which file a record is, and how much of it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordFile {
    /// There may be another of the same name once it is gone.
    pub inode: u64,
    /// Its bytes: more of them have been added by others.
    pub length: u64,
}

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
        for place in default_places() {
            match Self::open_at(place) {
                Ok(state) => {
                    *LAST.lock() = Some((uid, state.path.clone()));
                    return Ok(state);
                }
                Err(error) => _ = first.get_or_insert(error),
            }
        }
        Err(first.unwrap_or_else(|| Error::system(Step::UseStateDirectory, "", libc::ENOENT)))
    }

    fn open_at(path: PathBuf) -> Result<Self> {
        let fail = |errno: Errno| {
            let error = Error::system(Step::UseStateDirectory, path.display(), errno as i32);
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
                Step::UseStateDirectory,
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

    /// What stands in a record, if there is one.
    pub fn read(&self, name: &str) -> Result<Option<Read>> {
        let file_name = format!("{name}.json");
        let fail = |errno: Errno| Error::system(Step::ReadRecord, self.path.join(&file_name).display(), errno as i32);
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let fd = match sys::openat(&self.fd, file_name.as_str(), flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(fail(errno)),
        };
        let io = |e: std::io::Error| Error::io(Step::ReadRecord, &file_name, &e);
        let pid = sys::fcntl_pid_1(fd.as_fd()).map_err(io)?;
        let lives = pid.is_some() || sys::fcntl_is_locked(fd.as_fd()).map_err(io)?;
        let stat = fstat(&fd).map_err(fail)?;
        let file = RecordFile { inode: stat.st_ino, length: stat.st_size as u64 };
        let content = content(name, fd, &stat).map_err(io)?;
        Ok(Some(Read { content, file, lives, pid }))
    }

    /// Removes a control socket without its record.
    pub fn remove_socket(&self, name: &str) -> nix::Result<()> {
        unlinkat(&self.fd, format!("{name}.sock").as_str(), UnlinkatFlags::NoRemoveDir)
    }

    /// A socket that is connected to `name`'s PID 1.
    pub fn connect(&self, name: &str, flags: SockFlag) -> nix::Result<OwnedFd> {
        let socket = sys::socket(AddressFamily::Unix, SockType::SeqPacket, flags)?;
        let address = UnixAddr::new(&self.socket_path(name))?;
        // EAGAIN then: as many wait already as can.
        setsockopt(&socket, SendTimeout, &TimeVal::seconds(CONNECTING))?;
        connect(socket.as_raw_fd(), &address).map(|()| socket)
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
pub(super) fn add_hint(error: Error) -> Error {
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

/// Who listens on the other end of a connected control socket, by the kernel's word.
pub fn listener_pid(socket: BorrowedFd<'_>) -> nix::Result<i32> {
    getsockopt(&socket, PeerCredentials).map(|credentials| credentials.pid())
}

/// The same process by a pidfd.
pub fn listener_pidfd(socket: BorrowedFd<'_>) -> std::io::Result<OwnedFd> {
    sys::peer_pidfd(socket).or_else(|_| sys::pidfd_open(listener_pid(socket)?))
}

/// What stands in an open record. Whatever lies there: a fifo would keep us waiting, a huge file would take our memory.
pub(super) fn content(name: &str, fd: OwnedFd, stat: &FileStat) -> std::io::Result<Content> {
    if stat.st_mode & libc::S_IFMT != libc::S_IFREG || stat.st_size as u64 > LARGEST {
        return Ok(Content::Damaged(Vec::new()));
    }
    // With room for all of it nobody has to ask for its size once more.
    let mut text = Vec::with_capacity(stat.st_size as usize + 64);
    File::from(fd).take(LARGEST).read_to_end(&mut text)?;
    Ok(Content::of(name, &text))
}
