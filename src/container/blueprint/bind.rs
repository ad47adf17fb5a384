//! The sources of bind mounts, volumes and scratch mounts, opened before anything is made.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::image::{Id, Rights};
use crate::rootfs::Mapped;
use crate::{Error, ErrorCode, Mount, Result, Step};

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
    /// Which one it is, by device and inode.
    pub identity: (u64, u64),
    /// Owner, group and mode as they are inside, of what is below a scratch mount.
    pub owner: (u32, u32, u32),
}

impl Bind {
    /// Opens the source of a bind or scratch mount; `None` for other mounts.
    pub fn open(mount: &Mount) -> Option<Result<Self>> {
        match mount {
            Mount::Bind(bind) => Some(Self::open_source(&bind.source, bind.read_only)),
            Mount::Scratch(scratch) => Some(Self::open_below(&scratch.source)),
            Mount::Tmpfs(_) | Mount::Volume(_) | Mount::Disk(_) | Mount::Image(_) => None,
        }
    }

    /// A directory that is to be below an overlay, which sees nothing of what is mounted on it.
    pub fn open_below(source: &Path) -> Result<Self> {
        let bind = Self::open_source(source, false)?;
        if !bind.directory {
            let why = "ENOTDIR, only a directory can be a scratch mount";
            return Err(Error::new(ErrorCode::System, Step::BindSource, bind.path.display(), libc::ENOTDIR, why));
        }
        let (rights, (uid, gid, mode)) = (Rights::of_this_user(), bind.owner);
        let owner = (rights.inside(Id::User(uid)), rights.inside(Id::Group(gid)), mode);
        Ok(Self { mapped: Mapped::Image, owner, ..bind })
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
        let (identity, owner) = ((stat.st_dev, stat.st_ino), (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777));
        Ok(Self { path, fd, directory, mapped, unmade: false, _lock: None, identity, owner })
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
        let bind = Self {
            path,
            fd,
            directory: true,
            mapped: Mapped::Bind,
            unmade: true,
            _lock: None,
            identity: (0, 0),
            owner: (0, 0, 0o755),
        };
        Ok(bind)
    }
}

/// Opens what a path leads to, only as a place.
pub fn open_path(path: &Path) -> Result<OwnedFd> {
    let flags = nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NOFOLLOW;
    crate::sys::open(path, flags, nix::sys::stat::Mode::empty())
        .map_err(|errno| Error::system(Step::OpenPath, path.display(), errno as i32))
}
