//! The sources of bind mounts and volumes, opened before anything is made.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::rootfs::Mapped;
use crate::{Error, Mount, Result, Step};

/// What is bound.
pub struct Bind {
    pub path: PathBuf,
    pub fd: OwnedFd,
    pub directory: bool,
    pub mapped: Mapped,
    /// Nobody made it: it is only explained.
    pub unmade: bool,
    /// What keeps it from being removed until its use is on record.
    _lock: Option<OwnedFd>,
}

impl Bind {
    /// Opens the source of a bind mount; `None` for other mounts.
    pub fn open(mount: &Mount) -> Option<Result<Self>> {
        let Mount::Bind(bind) = mount else { return None };
        Some(Self::open_source(&bind.source, bind.read_only))
    }

    /// Opens a file or directory of the host.
    pub fn open_source(source: &Path, read_only: bool) -> Result<Self> {
        let fail = |e: std::io::Error| Error::io(Step::BindSource, source.display(), &e).with_known_hint();
        // The path without symlinks: the child opens it once more, and follows none.
        let path = std::fs::canonicalize(source).map_err(fail)?;
        let fd = open_path(&path)?;
        let stat = nix::sys::stat::fstat(&fd)
            .map_err(|errno| Error::system(Step::BindSource, path.display(), errno as i32))?;
        let directory = stat.st_mode & libc::S_IFMT == libc::S_IFDIR;
        let open = if directory { 0o005 } else { 0o004 };
        let mapped = if read_only && stat.st_mode & open == open { Mapped::BindIfPossible } else { Mapped::Bind };
        Ok(Self { path, fd, directory, mapped, unmade: false, _lock: None })
    }

    /// A volume that is in use; `shifted`, it has the owners already that an id-map would give.
    pub fn of_volume((path, lock): (PathBuf, OwnedFd), shifted: bool) -> Result<Self> {
        let bound = Self::open_source(&path, false)?;
        let mapped = if shifted { Mapped::Shifted } else { Mapped::Bind };
        Ok(Self { mapped, _lock: Some(lock), ..bound })
    }

    /// A volume that is explained, and may not be there.
    pub fn unmade(path: PathBuf) -> Result<Self> {
        let fd = open_path(Path::new("/"))?;
        Ok(Self { path, fd, directory: true, mapped: Mapped::Bind, unmade: true, _lock: None })
    }
}

/// Opens what a path leads to, only as a place.
pub fn open_path(path: &Path) -> Result<OwnedFd> {
    let flags = nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NOFOLLOW;
    crate::sys::open(path, flags, nix::sys::stat::Mode::empty())
        .map_err(|errno| Error::system(Step::OpenPath, path.display(), errno as i32))
}
