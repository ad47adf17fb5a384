//! The store: where unpacked images are kept, one per user. What is in it is found by digest, and what is not finished is
//! never in it under a digest.
//!
//! ```text
//! STORE/                 0700, of the user
//!   layers/HEX/fs/       a tree of files; HEX is the SHA-256 of the layer's uncompressed tar (OCI: DiffID)
//!   layers/HEX/kept      what such a tree can't hold (devices, foreign owners): a tar of headers; often missing
//!   layers/HEX/root      owner, group and mode of the root, where the layer says any
//!   layers/HEX/owners    by which maps the files were given to their owners; an ordinary user's only
//!   layers/HEX/split     what of the layer's archive is not in its tree, where it came in an archive of an image
//!   shifted/HEX/         the tree with other owners, where the file system can't be id-mapped; see `shifted`
//!   images/HEX           an image's layers and configuration, JSON; a shared flock(2) on it says that it is in use
//!   volumes/NAME/        files that outlive containers, which nothing can make again; see `volumes`
//!   names/NAME           symbolic link whose text is an image's HEX
//!   seen/DEV-INO         symbolic link whose text says which file of the host was imported as which image
//!   tmp/…                what is being made, each locked by its maker; what is not locked is swept
//!   lock                 shared by imports, exclusive for the removal of layers
//! ```
//! Everything moves from tmp/ to its place by rename(2). Nothing is synced to disk: images can be made again.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;

use super::fault::Fault;
use super::limits::Limits;
use super::remove;
use crate::sys::fs::{self, AtFlags, FchmodatFlags, FileType, FlockArg, Mode, OFlag, UnlinkatFlags};
use crate::{Error, ErrorCode, Result, Step};

/// Where images are kept.
#[derive(Debug)]
pub struct Store {
    place: PathBuf,
    root: OnceLock<OwnedFd>,
    /// It belongs to root, and so to this process's user.
    is_roots: AtomicBool,
    pub(super) limits: Limits,
}

/// What a layer says of the root itself, where it says anything.
pub(super) const ROOT: &str = "root";

/// What a root is of which nothing is said.
pub(super) const DEFAULT_ROOT: (u32, u32, u32) = (0, 0, 0o755);

const DIRECTORIES: [&str; 5] = ["layers", "images", "names", "seen", "tmp"];

/// How long a wait for another process's import sleeps between two looks, so that it can be cancelled.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(5);

impl Store {
    /// The store at `dir`; without one at CTR_STORE_DIR, /var/lib/ctr (root) or $XDG_DATA_HOME/ctr (others). Touches
    /// nothing until something is looked up or imported, and makes the directory only for an import.
    pub fn open(dir: Option<&Path>) -> Result<Self> {
        let place = match dir {
            Some(dir) => dir.to_path_buf(),
            None => default_place()?,
        };
        let place = std::path::absolute(&place).map_err(|error| Error::io(Step::FindStore, place.display(), &error))?;
        Ok(Self { place, root: OnceLock::new(), is_roots: AtomicBool::new(false), limits: Limits::default() })
    }

    /// The same store with other bounds for what is imported.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.place
    }

    /// Whether it belongs to root, who needs nobody to give files away; known once it was used.
    pub(super) fn is_roots(&self) -> bool {
        self.is_roots.load(Ordering::Relaxed)
    }

    /// What errors call it.
    pub(super) fn shown(&self) -> String {
        format!("to the store {}", self.place.display())
    }

    /// The tree of a layer.
    pub(super) fn layer_path(&self, layer: &str) -> PathBuf {
        self.place.join("layers").join(layer).join("fs")
    }

    pub(super) fn has_layer(&self, layer: &str) -> Result<bool> {
        let Some(root) = self.root()? else { return Ok(false) };
        Ok(fs::faccessat(root, format!("layers/{layer}/fs").as_str(), fs::AccessFlags::F_OK, AtFlags::empty()).is_ok())
    }

    /// Bytes of a layer's files.
    pub(super) fn layer_size(&self, layer: &str) -> u64 {
        let path = self.place.join("layers").join(layer).join("size");
        crate::sys::file::read_to_string(path).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Owner, group and mode of the root of these layers, lowest first, where it isn't root's with mode 0755.
    pub(super) fn root_of(&self, layers: &[String]) -> Option<(u32, u32, u32)> {
        let says = |layer: &String| {
            let path = self.place.join("layers").join(layer).join(ROOT);
            super::export::owner(&crate::sys::file::read(path).ok()?)
        };
        layers.iter().rev().find_map(says).filter(|root| *root != DEFAULT_ROOT)
    }

    /// Whether a layer hides all that lies below it.
    pub(super) fn is_opaque(&self, layer: &str) -> bool {
        let mut value = [0; 8];
        fs::lgetxattr(&self.layer_path(layer), super::whiteout::OPAQUE_XATTR, &mut value[..]).is_ok()
    }

    /// The store's directory; `None` where there is none yet.
    pub(super) fn root(&self) -> Result<Option<BorrowedFd<'_>>> {
        if let Some(root) = self.root.get() {
            return Ok(Some(root.as_fd()));
        }
        match fs::open(&self.place, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()) {
            Ok(root) => self.verified(root).map(Some),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(self.failed(Step::OpenStore, errno)),
        }
    }

    /// Makes the store's directory. Those above are the user's own as well (~/.local/share), and as private. A umask that takes
    /// from the owner, too, must not lock them out forever.
    fn make_place(&self) -> Result<()> {
        let missing: Vec<_> = self.place.ancestors().take_while(|place| !place.exists()).collect();
        for place in missing.into_iter().rev() {
            let made = match fs::mkdirat(fs::AT_FDCWD, place, Mode::S_IRWXU) {
                Err(Errno::EEXIST) => continue,
                made => {
                    made.and_then(|()| fs::fchmodat(fs::AT_FDCWD, place, Mode::S_IRWXU, FchmodatFlags::FollowSymlink))
                }
            };
            made.map_err(|errno| {
                Error::system(Step::CreateStore, place.display(), errno as i32).with_hint(PLACE_HINT)
            })?;
        }
        Ok(())
    }

    /// The store's directory, made where it is missing.
    pub(super) fn made(&self) -> Result<BorrowedFd<'_>> {
        let root = match self.root()? {
            Some(root) => root,
            None => {
                self.make_place()?;
                match self.root()? {
                    Some(root) => root,
                    None => return Err(self.failed(Step::OpenStore, Errno::ENOENT)),
                }
            }
        };
        for name in DIRECTORIES {
            match fs::mkdirat(root, name, Mode::S_IRWXU) {
                Ok(()) => fs::fchmodat(root, name, Mode::S_IRWXU, FchmodatFlags::FollowSymlink)
                    .map_err(|errno| self.failed(Step::CreateDirectoryIn, errno))?,
                Err(Errno::EEXIST) => {}
                Err(errno) => return Err(self.failed(Step::CreateDirectoryIn, errno)),
            }
        }
        Ok(root)
    }

    /// Unpacked images hold setuid programs and other people's secrets, so nobody else may reach them (CVE-2021-41091).
    fn verified(&self, root: OwnedFd) -> Result<BorrowedFd<'_>> {
        let stat = fs::fstat(&root).map_err(|errno| self.failed(Step::LookAtStore, errno))?;
        let refuse = |why: String| {
            Err(Error::new(ErrorCode::Invalid, Step::UseStore, self.place.display(), libc::EPERM, why)
                .with_hint(PLACE_HINT))
        };
        if stat.st_uid != nix::unistd::geteuid().as_raw() {
            return refuse(format!("it belongs to user {}", stat.st_uid));
        }
        if stat.st_mode & 0o7077 != 0 {
            // An empty one was made for us, by someone who thought of no mode.
            if !is_empty(&root).map_err(|errno| self.failed(Step::LookIntoStore, errno))? {
                return refuse(format!("its mode is {:04o}, so others can reach into it", stat.st_mode & 0o7777));
            }
            fs::fchmod(&root, Mode::S_IRWXU).map_err(|errno| self.failed(Step::ChmodStore, errno))?;
        }
        self.is_roots.store(stat.st_uid == 0, Ordering::Relaxed);
        Ok(self.root.get_or_init(|| root).as_fd())
    }

    pub(super) fn failed(&self, step: Step, errno: Errno) -> Error {
        let error = Error::system(step, self.place.display(), errno as i32);
        match errno {
            Errno::EACCES | Errno::EPERM | Errno::EROFS | Errno::ENOSPC | Errno::EDQUOT => error.with_hint(PLACE_HINT),
            _ => error,
        }
    }

    /// A new private directory in tmp/, locked for as long as it is held.
    pub(super) fn workspace(&self) -> Result<Workspace<'_>> {
        let root = self.made()?;
        let pid = nix::unistd::getpid().as_raw();
        for attempt in 0..u32::MAX {
            let name = format!("tmp/{pid}-{attempt}");
            match fs::mkdirat(root, name.as_str(), Mode::S_IRWXU) {
                Ok(()) => {}
                Err(Errno::EEXIST) => continue,
                Err(errno) => return Err(self.failed(Step::CreateDirectoryIn, errno)),
            }
            // A sweeper may have been faster than our lock.
            match fs::openat(
                root,
                name.as_str(),
                OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
                Mode::empty(),
            ) {
                Ok(fd) if try_lock(&fd, FlockArg::LockExclusiveNonblock) == Ok(true) && is_there(&fd) => {
                    // A default ACL of the directory above would be added to every file's mode.
                    let _ = fs::fremovexattr(&fd, "system.posix_acl_default");
                    return Ok(Workspace { root, name, fd });
                }
                _ => {}
            }
        }
        Err(self.failed(Step::CreateDirectoryIn, Errno::EEXIST))
    }

    /// Removes what imports left that were killed.
    pub(super) fn sweep(&self) -> Result<()> {
        let root = self.made()?;
        let failed = |errno| self.failed(Step::SweepStore, errno);
        let tmp = fs::openat(root, "tmp", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
            .map_err(failed)?;
        for entry in fs::read_dir(&tmp).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
            match fs::openat(&tmp, name, flags, Mode::empty()) {
                Ok(fd) if try_lock(&fd, FlockArg::LockExclusiveNonblock) == Ok(true) => {}
                // A symbolic link on its way to its place; made and moved in two calls.
                Err(Errno::ELOOP) => {}
                _ => continue,
            }
            // Whoever sweeps at the same time may have it already.
            let _ = match entry.file_type() {
                Some(FileType::Directory) => remove::tree(tmp.as_fd(), name.to_bytes()),
                _ => fs::unlinkat(&tmp, name, UnlinkatFlags::NoRemoveDir),
            };
        }
        Ok(())
    }

    /// Waits for the lock file `name`. `go_on` is asked between two looks.
    pub(super) fn lock(&self, name: &str, shared: bool, go_on: &mut dyn FnMut() -> bool) -> Result<Lock<'_>> {
        let root = self.made()?;
        let flags = OFlag::O_RDONLY | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let operation = match shared {
            true => FlockArg::LockSharedNonblock,
            false => FlockArg::LockExclusiveNonblock,
        };
        loop {
            let fd = fs::openat(root, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)
                .map_err(|errno| self.failed(Step::MakeLockIn, errno))?;
            loop {
                if try_lock(&fd, operation).map_err(|errno| self.failed(Step::LockStore, errno))? {
                    break;
                }
                if !go_on() {
                    return Err(Fault::Cancelled.into_error(&self.place.to_string_lossy()));
                }
                std::thread::sleep(LOOK_EVERY);
            }
            // Its last holder may have removed it before letting go.
            if is_there(&fd) {
                return Ok(Lock { root, name: name.into(), _fd: fd });
            }
        }
    }
}

const PLACE_HINT: &str = "set CTR_STORE_DIR to a directory of your own, mode 0700, with room";

/// A lock file in the store. One in tmp/ is removed when it is let go.
pub(super) struct Lock<'s> {
    root: BorrowedFd<'s>,
    name: String,
    _fd: OwnedFd,
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        if self.name.starts_with("tmp/") {
            let _ = fs::unlinkat(self.root, self.name.as_str(), UnlinkatFlags::NoRemoveDir);
        }
    }
}

/// A directory in tmp/ that nobody else touches, removed with all in it when it is dropped.
pub(super) struct Workspace<'s> {
    root: BorrowedFd<'s>,
    name: String,
    fd: OwnedFd,
}

impl<'s> Workspace<'s> {
    /// The store's directory.
    pub fn root(&self) -> BorrowedFd<'s> {
        self.root
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Workspace<'_> {
    fn drop(&mut self) {
        // What can't be removed now, the next sweep removes.
        let _ = remove::tree(self.root, self.name.as_bytes());
    }
}

/// Takes a flock; false when someone else has it.
pub(super) fn try_lock(fd: impl AsFd, operation: FlockArg) -> std::result::Result<bool, Errno> {
    loop {
        match fs::flock(&fd, operation) {
            Ok(()) => return Ok(true),
            Err(Errno::EWOULDBLOCK) => return Ok(false),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Whether an open file still has a name.
pub(super) fn is_there(fd: impl AsFd) -> bool {
    fs::fstat(fd).is_ok_and(|stat| stat.st_nlink > 0)
}

pub(super) fn is_empty(dir: impl AsFd) -> std::result::Result<bool, Errno> {
    for entry in fs::read_dir(dir)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

fn default_place() -> Result<PathBuf> {
    let variable = |name| crate::sys::var_os(name).map(PathBuf::from);
    if let Some(place) = variable("CTR_STORE_DIR") {
        return Ok(place);
    }
    if nix::unistd::geteuid().is_root() {
        return Ok("/var/lib/ctr".into());
    }
    // The XDG base directory specification has relative paths ignored.
    if let Some(data) = variable("XDG_DATA_HOME").filter(|data| data.is_absolute()) {
        return Ok(data.join("ctr"));
    }
    let home = variable("HOME").or_else(|| {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid());
        user.ok().flatten().map(|user| user.dir)
    });
    match home.filter(|home| home.is_absolute()) {
        Some(home) => Ok(home.join(".local/share/ctr")),
        None => Err(Error::new(
            ErrorCode::Invalid,
            Step::FindStore,
            "",
            libc::ENOENT,
            "HOME is not set, and /etc/passwd knows no home of this user",
        )
        .with_hint("set CTR_STORE_DIR or HOME")),
    }
}
