//! A directory of cgroupfs that exists, by its descriptor.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, mkdir, unlinkat};

use super::control;
use super::kept::Kept;
use crate::sys::Own;
use crate::{Error, ErrorCode, Result, Step, hints};

/// As many bytes as a file of numbers has, memory.stat above all.
const LARGEST: usize = 8192;

#[derive(Debug)]
pub(super) struct Directory {
    pub(super) path: PathBuf,
    pub(super) fd: Own,
    pub(super) kept: Kept,
}

impl Directory {
    pub(super) fn open(path: &Path) -> nix::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let fd = crate::sys::open(path, flags, Mode::empty())?;
        Ok(Self { path: path.to_path_buf(), fd: Own::new(fd), kept: Kept::default() })
    }

    /// mkdir and open.
    pub(super) fn make(path: &Path) -> Result<Self> {
        mkdir(path, Mode::from_bits_truncate(0o755)).map_err(|errno| {
            let error = Error::system(Step::MakeCgroup, path.display(), errno as i32);
            match errno {
                Errno::EEXIST => error.with_code(ErrorCode::NameInUse).with_hint(format!(
                    "a container of that name runs in another state directory, or was left by one that is lost; if nothing \
                     runs in it: rmdir {}",
                    path.display()
                )),
                _ => error,
            }
        })?;
        Self::open(path).map_err(|errno| {
            let _ = unlinkat(AT_FDCWD, path, UnlinkatFlags::RemoveDir);
            open_failed(path, errno)
        })
    }

    pub(super) fn has(&self, file: &str) -> bool {
        control::exists(&self.fd, file)
    }

    pub(super) fn open_for_writing(&self, file: &str) -> Result<OwnedFd> {
        control::open_for_writing(&self.fd, file).map_err(|errno| self.error(Step::Open, file, errno))
    }

    /// A failure on one of its files, or (`""`) on itself: "write /sys/fs/cgroup/…/memory.max: EINVAL, invalid argument".
    pub(super) fn error(&self, step: Step, file: &str, errno: Errno) -> Error {
        if self.is_removed() {
            return self.gone();
        }
        // A directory of v2 that no controller was handed on to: `cgroup.*` are the files of all.
        if let (Errno::ENOENT, Some((of, _))) = (errno, file.split_once('.').filter(|(of, _)| *of != "cgroup")) {
            return without(of);
        }
        let path = if file.is_empty() { self.path.clone() } else { self.path.join(file) };
        Error::system(step, path.display(), errno as i32)
    }

    pub(super) fn gone(&self) -> Error {
        let why = "the container is gone";
        Error::new(ErrorCode::Destroyed, Step::FindCgroup, self.path.display(), libc::ENOENT, why)
    }

    pub(super) fn is_removed(&self) -> bool {
        !self.has("cgroup.procs")
    }

    pub(super) fn check_not_removed(&self) -> Result<()> {
        if self.is_removed() { Err(self.gone()) } else { Ok(()) }
    }

    pub(super) fn write(&self, file: &str, value: &str) -> Result<()> {
        control::write(&self.fd, file, value).map_err(|errno| self.error(Step::Write, file, errno))
    }

    /// What `read` makes of a file, if it is there; a file that is not is one that nothing is told of.
    pub(super) fn read_if_there<T>(&self, file: &'static str, read: impl FnOnce(&[u8]) -> T) -> Result<Option<T>> {
        let mut buffer = [0; LARGEST];
        match self.kept.read(&self.fd, file, &mut buffer) {
            Ok(text) => Ok(Some(read(text))),
            // Pressure is counted unless the kernel was started without it.
            Err(Errno::ENOENT | Errno::EOPNOTSUPP) => Ok(None),
            Err(errno) => Err(self.error(Step::Read, file, errno)),
        }
    }

    /// A number, if it is there and is one.
    pub(super) fn count(&self, file: &'static str) -> Result<Option<u64>> {
        Ok(self.read_if_there(file, |text| control::parse(text.trim_ascii()))?.flatten())
    }

    pub(super) fn read_number(&self, file: &str) -> Result<Option<u64>> {
        control::read_number(&self.fd, file).map_err(|errno| self.error(Step::Read, file, errno))
    }
}

pub(super) fn open_failed(path: &Path, errno: Errno) -> Error {
    Error::system(Step::OpenCgroup, path.display(), errno as i32)
}

/// The container's cgroup lacks a controller.
pub(super) fn without(controller: &str) -> Error {
    Error::new(
        ErrorCode::Unsupported,
        Step::UseController,
        format!("{controller} controller"),
        libc::EOPNOTSUPP,
        format!("the container was made without a {controller} cgroup"),
    )
    .with_hint(hints::WITHOUT_CGROUP)
}
