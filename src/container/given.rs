//! What is to be mounted into a container that is there, opened before a helper mounts it: so it is one thing from here on, whatever
//! happens to its path.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ctr_wire::{RESULTS, RUN, SHARED_RANGE};
use nix::fcntl::{OFlag, ResolveFlag};
use nix::sched::CloneFlags;

use super::blueprint::{Bind, open_path, split_layers};
use super::disks::{self, Made};
use super::ids::{Ids, Inside};
use super::mounted::{again, check, looked, pipe};
use super::scratches;
use super::shared::Shared;
use super::state::{Scratch, StateDir};
use super::unmapped;
use super::user::User;
use super::volumes;
use super::within::Within;
use crate::helper::{Start, add_hint};
use crate::image::{self, Id, Store};
use crate::plan::{Fd, Header, Plan, Slot, c_string};
use crate::rootfs::{self, Mapped};
use crate::sys::mount::{AT_EMPTY_PATH, AT_RECURSIVE, OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE, TreeFlags};
use crate::{Error, ErrorCode, ImageTree, Mount, Owner, Result, Step, Volume, hints, sys, zygote};

/// What is to be mounted.
pub enum Given {
    /// A new file system.
    Empty,
    /// A file or directory of the host, whose files have the owners that the container's ids make of them.
    Host(Bind),
    /// A directory of the host that is to be below an overlay, and what is on record of the place of its changes. It is to be forgotten
    /// where it comes to nothing.
    Scratch(Bind, Scratch),
    /// A copy of mounts, attached nowhere.
    Tree(Tree),
    /// Layers of an image.
    Image(Layers),
    /// The file system of a disk, which is mounted nowhere yet. It is to be given back where it comes to nothing.
    Disk(Made),
}

/// A copy of mounts, attached nowhere.
pub struct Tree {
    /// What errors call it.
    pub path: PathBuf,
    pub fd: OwnedFd,
    pub directory: bool,
    /// It is to be id-mapped for the container.
    pub mapped: Option<Mapped>,
}

/// Layers of an image.
pub struct Layers {
    /// The directory that has them.
    pub base: PathBuf,
    pub fd: OwnedFd,
    /// Their names below it, highest first; empty where the directory itself is the only layer.
    pub names: Vec<PathBuf>,
    pub mapped: Mapped,
    lock: OwnedFd,
}

impl Given {
    /// Opens it.
    pub fn open(container: &Shared, mount: &Mount, target: &Path) -> Result<Self> {
        if let Some(source) = disks::open(mount) {
            return Made::new(container, source?, target).map(Self::Disk);
        }
        match mount {
            Mount::Tmpfs(_) | Mount::Disk(_) => Ok(Self::Empty),
            Mount::Volume(it) => volume(container, mount, it).map(Self::Host),
            Mount::Scratch(it) => {
                let bind = Bind::open_below(&it.source)?;
                let scratch = scratches::reserve(container, target, &bind)?;
                Ok(Self::Scratch(bind, scratch))
            }
            Mount::Image(tree) => layers(container, tree).map(Self::Image),
            Mount::Bind(bind) => match &bind.from_container {
                Some(name) => from_container(container, name, &bind.source, bind.read_only).map(Self::Tree),
                None => owned(container, Bind::open_source(&bind.source, bind.read_only)?, bind.owner),
            },
        }
    }
}

/// A file or directory beneath the root of another container.
fn from_container(container: &Shared, name: &str, source: &Path, read_only: bool) -> Result<Tree> {
    let state = StateDir::open(container.state.as_ref().map(StateDir::path))?;
    let other = Shared::join(state, name)?;
    check(&other)?;
    let path = PathBuf::from(format!("{} of container {name}", source.display()));
    let (fd, found) = again(|| copy_of(&other, source, &path))?;
    if found.is_kernels {
        let why = "it is in that container's /proc or /sys";
        return Err(Error::invalid(Step::BindSource, path.display(), why));
    }
    let directory = found.stat.mode & libc::S_IFMT == libc::S_IFDIR;
    // Where /proc hides them, both are an ordinary user's, who has one choice of ids.
    let same = match (Inside::of(container.pid), Inside::of(other.pid)) {
        (Ok(here), Ok(there)) => here == there,
        _ => true,
    };
    let mapped = match (same, read_only) {
        (true, _) => None,
        (false, true) => Some(Mapped::BindIfPossible),
        (false, false) => Some(Mapped::Bind),
    };
    Ok(Tree { path, fd, directory, mapped })
}

/// A copy of what is there, and of what is mounted below it: what the other container has at its root, /proc and the like, is not.
fn copy_of(other: &Shared, source: &Path, called: &Path) -> Result<(OwnedFd, rootfs::Looked)> {
    let mut within = Within::open(other, &["mnt"])?;
    within.check_own(other, "mnt")?;
    let helper = within.start(CloneFlags::empty()).start()?;
    let mut plan = Plan::new();
    let (mut looks, theirs) = pipe(Step::BindSource, called)?;
    let theirs = plan.send(Fd::Owned(theirs));
    within.enter(&mut plan);
    plan.step(Step::BindSource, called.display().to_string(), "", "");
    let root = rootfs::open_root(&mut plan);
    let (found, tree, empty) = (plan.slot(), plan.slot(), plan.string(c""));
    let relative = source.strip_prefix("/").unwrap_or(source);
    let is_root = relative.as_os_str().is_empty();
    let path = if is_root { OsStr::new(".") } else { relative.as_os_str() };
    let path = plan.string(c_string(Step::BindSource, path.as_bytes())?);
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    if sys::has_openat2() {
        plan.openat2(root, path, flags, ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS).out(found);
    } else {
        // The root of this process is that container's, so links lead nowhere else.
        plan.openat(root, path, flags).out(found);
    }
    rootfs::look(&mut plan, found, theirs);
    let below = if is_root { TreeFlags::default() } else { AT_RECURSIVE };
    plan.open_tree(found, empty, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | below).out(tree);
    let fd = helper.run(&plan, &[tree]).map_err(add_hint)?.pop();
    let fd = fd.ok_or_else(|| Error::system(Step::BindSource, called.display(), libc::EPROTO))?;
    drop(plan);
    Ok((fd, looked(&mut looks, Step::BindSource, called)?))
}

/// A volume, which is taken into use.
fn volume(container: &Shared, mount: &Mount, volume: &Volume) -> Result<Bind> {
    let store = volumes::store_of(container)?;
    let Some(state) = &container.state else {
        return Err(Error::invalid(Step::UseVolume, &volume.name, "this container is on no record"));
    };
    let shifted = Inside::of(container.pid)?.map(Id::User(SHARED_RANGE)) == Some(0);
    let is_a_range = Ids::are_a_range(&*zygote::current()?, &container.record.config.namespaces.user);
    if is_a_range && !shifted && volumes::are_shifted(&store, std::slice::from_ref(mount))? {
        let why = "its file system can't be id-mapped, and this container was made with ids of its own";
        let error = Error::new(ErrorCode::Unsupported, Step::UseVolume, &volume.name, libc::EOPNOTSUPP, why);
        return Err(error.with_hint("have it among the mounts that the container is made with"));
    }
    let trees = volumes::trees_of(&container.record)?;
    let begun = volumes::begin(&store, state, volume, &trees, shifted, &mut |_| true)?;
    Bind::of_volume(begun, shifted)
}

/// A file or directory of the host, whose owner is to be `owner` inside.
fn owned(container: &Shared, bind: Bind, owner: Owner) -> Result<Given> {
    let ids = match owner {
        Owner::Caller => return Ok(Given::Host(bind)),
        Owner::Ids(uid, gid) => [uid, gid],
        Owner::Inside => {
            let user = User::resolve(container, container.record.exec.user.as_deref(), None)?;
            user.map_or([0, 0], |user| [user.uid, user.gid])
        }
    };
    let object = bind.path.display();
    let stat =
        nix::sys::stat::fstat(&bind.fd).map_err(|errno| Error::system(Step::BindSource, &object, errno as i32))?;
    let of_source = [stat.st_uid, stat.st_gid];
    let zygote = zygote::current()?;
    let ranges = Ids::are_a_range(&zygote, &container.record.config.namespaces.user);
    let inside = Inside::of(container.pid)?;
    let is_so = |[user, group]: [Option<u32>; 2]| user == Some(ids[0]) && group == Some(ids[1]);
    let [user, group] = of_source;
    if is_so(if ranges { of_source.map(Some) } else { [inside.map(Id::User(user)), inside.map(Id::Group(group))] }) {
        return Ok(Given::Host(bind));
    }
    if !zygote.maps_all_ids() {
        let why =
            format!("owner {}:{}: only root of the machine can have a mount with owners of its own", ids[0], ids[1]);
        return Err(
            Error::new(ErrorCode::Unsupported, Step::IdMapBind, object, libc::EPERM, why).with_hint(hints::OWNER)
        );
    }
    let maps = inside.with_owner(of_source, ids).ok_or_else(|| {
        let why = format!("the container has no user or group {}:{}", ids[0], ids[1]);
        Error::invalid(Step::IdMapBind, &object, why)
    })?;
    let mut start = Start::mapped(&maps);
    let sent = start.setup.send(Fd::Borrowed(bind.fd.as_fd()));
    let (parent, handed) = &mut start.parent;
    rootfs::idmap(parent, &bind.path, sent, HANDED, Mapped::Bind);
    *handed = 1;
    let helper = start.start_in(&zygote).map_err(unmapped::blame)?;
    let fd = helper.run(&Plan::new(), &[HANDED])?.pop();
    let fd = fd.ok_or_else(|| Error::system(Step::IdMapBind, &object, libc::EPROTO))?;
    Ok(Given::Tree(Tree { fd, directory: bind.directory, mapped: None, path: bind.path }))
}

/// Where the zygote hands over what it has id-mapped.
pub const HANDED: Slot = Slot(RESULTS as u8);
/// Where it hands over the directory of the changes of a scratch mount.
pub const ALSO_HANDED: Slot = Slot(RESULTS as u8 + 1);

/// The layers of an image.
fn layers(container: &Shared, tree: &ImageTree) -> Result<Layers> {
    let store = Store::open(Some(&container.record.store))?;
    let mut source = store.resolved(&tree.image, &mut |_| true)?;
    let mut mapped = Mapped::Image;
    let zygote = zygote::current()?;
    let ranges = Ids::are_a_range(&zygote, &container.record.config.namespaces.user);
    if ranges && Inside::of(container.pid)?.first() == Some(SHARED_RANGE) {
        source = store.shifted(source, &mut |_| true)?;
        mapped = Mapped::Shifted;
    }
    let image::Source::Layers { layers, lock, .. } = source else {
        let why = "it is no image of a store, but a directory of this machine";
        return Err(Error::invalid(Step::UseImage, tree.image.display(), why).with_hint("bind it, read-only"));
    };
    let (base, names) = split_layers(&layers);
    let base = std::fs::canonicalize(&base).map_err(|e| Error::io(Step::UsePath, base.display(), &e))?;
    Ok(Layers { fd: open_path(&base)?, base, names, mapped, lock })
}

impl Layers {
    /// Has PID 1 keep the image's lock until it ends: so long nobody can remove the image.
    pub fn keep(&self, container: &Shared) -> Result<()> {
        let mut plan = Plan::new();
        let lock = plan.send(Fd::Borrowed(self.lock.as_fd()));
        plan.step(Step::KeepLocks, "the image", "", "");
        plan.dupfd_cloexec(lock, FIRST_KEPT);
        container.run(&Header::new(RUN), &plan).map(drop)
    }
}

/// Beyond what PID 1 has in its slots.
const FIRST_KEPT: usize = 64;
