//! Volumes: directories of the store that outlive containers, found by their names. What only the ledgers know, who uses one, is
//! asked of whoever calls ([`Begin::is_used`]).
//!
//! ```text
//! STORE/volumes/NAME/        shared flock(2): somebody begins to use it; exclusive: it is being filled or removed
//!   tree/fs/                 its files
//!   tree/shifted             they belong to the ids of the range that is shared, since the store can't be id-mapped; see `shifted`
//!   tree/owners              by which maps files were given to their owners; an ordinary user's only
//!   states/HEX               symbolic link whose text is a state directory that has ledgers of its users
//! ```
//! A tree that an image fills is made in tmp/ and moved here when it is whole.

use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ctr_wire::SHARED_RANGE;
use nix::errno::Errno;

use super::digest::Digest;
use super::dirs::{Dirs, Opener, Stop, is_gone, open};
use super::export::look;
use super::fault::{Fault, Outcome};
use super::names::{Names, Remembered};
use super::pipeline::{Progress, Report};
use super::rights::Rights;
use super::store::{LOOK_EVERY, Store, is_empty, try_lock};
use super::walk::Walk;
use super::{fill, remove};
use crate::config::name::check;
use crate::sys::fs::{self, AtFlags, FileType, FlockArg, Gid, Mode, OFlag, Uid};
use crate::{Error, ErrorCode, Result, Step};

/// Where they are.
const PLACE: &str = "volumes";
/// Where a volume has its files.
const FILES: &str = "tree/fs";
const SHIFTED: &str = "shifted";
const STATES: &str = "states";

/// How long a removal waits for those who are just beginning with a volume.
const PATIENCE: Duration = Duration::from_secs(10);

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// A volume of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VolumeInfo {
    /// Its name.
    pub name: String,
    /// The directory of its files, in the store.
    pub path: PathBuf,
}

/// Who begins to use a volume.
pub(crate) struct Begin<'b> {
    pub name: &'b str,
    /// Where it is to be seen inside, and what the image has there: its trees, lowest first.
    pub target: &'b Path,
    pub trees: &'b [PathBuf],
    /// The container has the ids of the range that is shared.
    pub shifted: bool,
    /// The directory of the user's ledger.
    pub state: &'b Path,
    /// Whether a container uses it already, which may be on record in these state directories.
    pub is_used: &'b dyn Fn(&[PathBuf]) -> Result<bool>,
}

impl Store {
    /// The volume of this name, made where it is missing.
    pub(crate) fn make_volume(&self, name: &str) -> Result<VolumeInfo> {
        check(Step::NameVolume, name)?;
        let failed = failed(Step::CreateVolume, name);
        if self.open_volume(name)?.is_none() {
            let workspace = self.workspace()?;
            let root = workspace.root();
            for (dir, name) in [(root, PLACE), (workspace.fd(), name)] {
                match fs::mkdirat(dir, name, Mode::S_IRWXU) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(errno) => return Err(failed(errno)),
                }
            }
            let volume = fs::openat(workspace.fd(), name, DIRECTORY, Mode::empty()).map_err(failed)?;
            make_tree(&volume, "tree", false).map_err(failed)?;
            match fs::rename_to_new(workspace.fd(), name, root, &place(name)) {
                Ok(()) | Err(Errno::EEXIST | Errno::ENOTEMPTY) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        Ok(self.volume_info(name.into()))
    }

    /// All volumes, by name.
    pub(crate) fn list_volumes(&self) -> Result<Vec<VolumeInfo>> {
        let all = self.entries(PLACE)?.into_iter();
        Ok(all.filter(|name| check(Step::NameVolume, name).is_ok()).map(|name| self.volume_info(name)).collect())
    }

    /// Where a volume of this name has its files, if it is there.
    pub(crate) fn volume_path(&self, name: &str) -> PathBuf {
        self.path().join(place(name)).join(FILES)
    }

    fn volume_info(&self, name: String) -> VolumeInfo {
        VolumeInfo { path: self.volume_path(&name), name }
    }

    /// Bytes of disk space that a volume's files take.
    pub(crate) fn volume_size(&self, name: &str) -> Result<u64> {
        let volume = self.known_volume(name)?;
        let rights = Rights::of_this_user();
        let opener = rights.opener();
        let tree = open(opener.as_ref(), volume.as_fd(), b"tree", DIRECTORY)
            .and_then(|tree| open(opener.as_ref(), tree.as_fd(), b"fs", DIRECTORY));
        match tree {
            Ok(tree) => size(tree, opener).map_err(|fault| fault.into_packing_error(&format!("the volume {name}"), "")),
            Err(Errno::ENOENT) => Ok(0),
            Err(errno) => Err(failed(Step::LookIntoVolume, name)(errno)),
        }
    }

    /// Whether the files of this volume belong to the range that is shared; `None` while it has none.
    pub(crate) fn is_volume_shifted(&self, name: &str) -> Result<Option<bool>> {
        check(Step::NameVolume, name)?;
        let Some(volume) = self.open_volume(name)? else { return Ok(None) };
        Ok(if is_volume_empty(&volume) { None } else { Some(is_shifted(&volume)) })
    }

    /// Takes a volume into use, filled and made where it is missing. As long as what is answered is open, nobody removes it: until
    /// then its use has to be on record.
    pub(crate) fn begin_volume(&self, begin: &Begin<'_>, report: Report<'_>) -> Result<(PathBuf, OwnedFd)> {
        let name = begin.name;
        let failed = failed(Step::UseVolume, name);
        loop {
            let VolumeInfo { path, .. } = self.make_volume(name)?;
            let Some(volume) = self.open_volume(name)? else { continue };
            // Whoever fills it is alone with it.
            let alone = is_volume_empty(&volume)
                && try_lock(&volume, FlockArg::LockExclusiveNonblock).map_err(failed)?
                && self.is_in_place(name, &volume);
            if alone && is_volume_empty(&volume) && !(begin.is_used)(&states(&volume).map_err(failed)?)? {
                self.fill_volume(begin, &volume, report)?;
            }
            // This gives the other lock up first, so that somebody may have removed the volume in between.
            if !try_lock(&volume, FlockArg::LockSharedNonblock).map_err(failed)? {
                if !report(Progress::default()) {
                    return Err(Fault::Cancelled.into_packing_error(&format!("the volume {name}"), ""));
                }
                std::thread::sleep(LOOK_EVERY);
                continue;
            }
            if !self.is_in_place(name, &volume) {
                continue;
            }
            if is_shifted(&volume) != begin.shifted {
                let why = "its files belong to ids that this container does not have: the store's file system can be id-mapped for one \
                           of both and can't be for the other";
                return Err(Error::new(ErrorCode::Unsupported, Step::UseVolume, name, libc::EOPNOTSUPP, why)
                    .with_hint("copy its files to a new volume, as by c.copy_out() and c.copy_in()"));
            }
            note_state(&volume, begin.state).map_err(failed)?;
            return Ok((path, volume));
        }
    }

    /// Removes a volume that nobody uses. `users` names containers that do, which may be on record in these state directories.
    pub(crate) fn remove_volume(&self, name: &str, users: &dyn Fn(&[PathBuf]) -> Result<Vec<String>>) -> Result<()> {
        let failed = failed(Step::RemoveVolume, name);
        let busy = |why: String, hint: &str| {
            Err(Error::new(ErrorCode::System, Step::RemoveVolume, name, libc::EBUSY, why).with_hint(hint))
        };
        let volume = self.known_volume(name)?;
        let begun = Instant::now();
        while !try_lock(&volume, FlockArg::LockExclusiveNonblock).map_err(failed)? {
            if begun.elapsed() > PATIENCE {
                return busy("EBUSY, a container that uses it is being made".into(), "try again when that is made");
            }
            std::thread::sleep(LOOK_EVERY);
        }
        if !self.is_in_place(name, &volume) {
            return Err(not_here(name));
        }
        let users = users(&states(&volume).map_err(failed)?)?;
        if !users.is_empty() {
            let containers = if users.len() == 1 { "the container" } else { "the containers" };
            let verb = if users.len() == 1 { "uses" } else { "use" };
            let why = format!("EBUSY, {containers} {} {verb} it", users.join(", "));
            return busy(why, "destroy what uses it first, or unmount it there");
        }
        let workspace = self.workspace()?;
        fs::renameat(workspace.root(), place(name).as_str(), workspace.fd(), "volume").map_err(failed)?;
        remove::tree(workspace.fd(), b"volume").map_err(failed)
    }

    /// Gives an empty volume what the image has at its place.
    fn fill_volume(&self, begin: &Begin<'_>, volume: &OwnedFd, report: Report<'_>) -> Result<()> {
        let failed = failed(Step::FillVolume, begin.name);
        let shown = format!("the volume {}", begin.name);
        let filled = fill::fill(self, begin.trees, begin.target, begin.shifted, &shown, report)?;
        if let Some(importing) = filled {
            let tree = fs::openat(importing.workspace.fd(), fill::NAME, DIRECTORY, Mode::empty()).map_err(failed)?;
            if begin.shifted {
                mark(&tree).map_err(failed)?;
            }
            return replace(volume, importing.workspace.fd(), fill::NAME).map_err(failed);
        }
        if is_shifted(volume) == begin.shifted
            && fs::faccessat(volume, FILES, fs::AccessFlags::F_OK, AtFlags::empty()).is_ok()
        {
            return Ok(());
        }
        let workspace = self.workspace()?;
        make_tree(workspace.fd(), "tree", begin.shifted).map_err(failed)?;
        replace(volume, workspace.fd(), "tree").map_err(failed)
    }

    fn known_volume(&self, name: &str) -> Result<OwnedFd> {
        check(Step::NameVolume, name)?;
        self.open_volume(name)?.ok_or_else(|| not_here(name))
    }

    fn open_volume(&self, name: &str) -> Result<Option<OwnedFd>> {
        let Some(root) = self.root()? else { return Ok(None) };
        match fs::openat(root, place(name).as_str(), DIRECTORY, Mode::empty()) {
            Ok(volume) => Ok(Some(volume)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(failed(Step::FindVolume, name)(errno)),
        }
    }

    /// Whether what is open is still the volume of this name.
    fn is_in_place(&self, name: &str, volume: &OwnedFd) -> bool {
        let now = self.open_volume(name);
        now.is_ok_and(|now| now.is_some_and(|now| crate::sys::identity(&now) == crate::sys::identity(volume)))
    }
}

fn place(name: &str) -> String {
    format!("{PLACE}/{name}")
}

fn failed(step: Step, name: &str) -> impl Fn(Errno) -> Error + Copy {
    move |errno| Error::system(step, name, errno as i32).with_known_hint()
}

fn not_here(name: &str) -> Error {
    Error::new(ErrorCode::NotFound, Step::FindVolume, name, libc::ENOENT, "there is no such volume in the store")
        .with_hint("libctr volume ls, ctr.volumes() and ctr_volume_list() show what is there")
}

/// Makes an empty tree.
fn make_tree(parent: impl AsFd, name: &str, shifted: bool) -> std::result::Result<(), Errno> {
    fs::mkdirat(&parent, name, Mode::S_IRWXU)?;
    let tree = fs::openat(&parent, name, DIRECTORY, Mode::empty())?;
    fs::mkdirat(&tree, "fs", Mode::S_IRWXU)?;
    let files = fs::openat(&tree, "fs", DIRECTORY, Mode::empty())?;
    fs::fchmod(&files, Mode::from_bits_truncate(0o755))?;
    if shifted {
        fs::fchown(&files, Some(Uid::from_raw(SHARED_RANGE)), Some(Gid::from_raw(SHARED_RANGE)))?;
        mark(&tree)?;
    }
    Ok(())
}

fn mark(tree: impl AsFd) -> std::result::Result<(), Errno> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    fs::openat(tree, SHIFTED, flags, Mode::S_IRUSR | Mode::S_IWUSR).map(drop)
}

fn is_shifted(volume: &OwnedFd) -> bool {
    fs::faccessat(volume, format!("tree/{SHIFTED}").as_str(), fs::AccessFlags::F_OK, AtFlags::empty()).is_ok()
}

/// Puts `name` of a workspace in the place of the tree. Where that is cut short, a volume has no tree, and is as empty as before.
fn replace(volume: &OwnedFd, workspace: impl AsFd, name: &str) -> std::result::Result<(), Errno> {
    match fs::renameat(volume, "tree", &workspace, "replaced") {
        Ok(()) | Err(Errno::ENOENT) => fs::renameat(workspace, name, volume, "tree"),
        answer => answer,
    }
}

/// Whether it has no files. One that we may not look into was filled.
fn is_volume_empty(volume: &OwnedFd) -> bool {
    match fs::openat(volume, FILES, DIRECTORY, Mode::empty()) {
        Ok(files) => is_empty(files).unwrap_or(false),
        Err(errno) => errno == Errno::ENOENT,
    }
}

/// The state directories that may have its users on record.
fn states(volume: &OwnedFd) -> std::result::Result<Vec<PathBuf>, Errno> {
    let directory = match fs::openat(volume, STATES, DIRECTORY, Mode::empty()) {
        Err(Errno::ENOENT) => return Ok(Vec::new()),
        directory => directory?,
    };
    let mut states = Vec::new();
    for entry in fs::read_dir(&directory)? {
        if let Ok(state) = fs::readlinkat(&directory, entry?.file_name()) {
            states.push(PathBuf::from(std::ffi::OsString::from_vec(state.into_vec())));
        }
    }
    Ok(states)
}

fn note_state(volume: &OwnedFd, state: &Path) -> std::result::Result<(), Errno> {
    let known = |answer| match answer {
        Err(Errno::EEXIST) => Ok(()),
        answer => answer,
    };
    known(fs::mkdirat(volume, STATES, Mode::S_IRWXU))?;
    let link = format!("{STATES}/{}", Digest::of(state.as_os_str().as_bytes()).hex());
    known(fs::symlinkat(state, volume, link.as_str()))
}

/// Bytes of disk space below `tree`, each file counted once. Programs may change it meanwhile.
fn size(tree: OwnedFd, opener: Option<Opener>) -> Outcome<u64> {
    let remembered = Remembered::default();
    let mut dirs = Dirs::new(tree).with_opener(opener.clone());
    let (mut bytes, mut seen, mut walk) = (0, HashSet::new(), Walk::new(Vec::new()));
    while walk.go()? {
        let path = walk.path().to_vec();
        let failed = |errno| Fault::system(Step::List, &path, errno);
        let mut below = Names::new(&remembered);
        let directory = match dirs.enter(&path) {
            Ok(directory) => open(opener.as_ref(), directory, b".", DIRECTORY),
            Err(Stop::System(errno)) => Err(errno),
            Err(_) => Err(Errno::ENOENT),
        };
        let directory = match directory {
            Err(errno) if is_gone(errno) => continue,
            directory => directory.map_err(failed)?,
        };
        bytes += fs::fstat(&directory).map_err(failed)?.st_blocks as u64 * 512;
        for entry in fs::Dir::new(directory.try_clone().map_err(Fault::read)?) {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let stat = match look(opener.as_ref(), directory.as_fd(), name) {
                Err(errno) if is_gone(errno) => continue,
                stat => stat.map_err(failed)?,
            };
            if fs::file_type(stat.st_mode) == Some(FileType::Directory) {
                below.push(&path, name)?;
            } else if stat.st_nlink == 1 || seen.insert((stat.st_dev, stat.st_ino)) {
                bytes += stat.st_blocks as u64 * 512;
            }
        }
        walk.down(below.sorted());
    }
    Ok(bytes)
}
