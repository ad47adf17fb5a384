//! Namespaces, and what can be mounted in them: each file system that a container has, mounted as a container mounts it.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::Check;
use crate::container::Trial;
use crate::image::Store;
use crate::init::wire::RESULTS;
use crate::plan::{Fd, Plan, Slot};
use crate::rootfs::{attach, clone_tree, idmap, new_mount, set_attributes};
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};
use crate::{Error, Result, zygote};

const MOUNTING: i32 = libc::CLONE_NEWUSER | libc::CLONE_NEWNS;

/// All kinds, as a container has them.
pub fn namespaces() -> Result<()> {
    let at_birth = libc::CLONE_NEWPID | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    let mut trial = Trial::new(MOUNTING | at_birth);
    const CLONE_NEWTIME: i32 = 0x80;
    for (kind, flag) in [("cgroup", libc::CLONE_NEWCGROUP), ("time", CLONE_NEWTIME)] {
        trial.stem.step("unshare", kind, "", "");
        trial.stem.call(libc::SYS_unshare, [flag.into()]);
    }
    trial.go()
}

/// Each file system, and id-mapped mounts.
pub fn checks() -> Vec<Check> {
    let mounts = trial(MOUNTING, |stem| {
        scratch(stem);
        stem.step("clone and change", "a mount", "", "");
        let tree = stem.slot();
        clone_tree(stem, c"/proc", true, tree);
        set_attributes(stem, tree, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, true);
    });
    let proc = trial(MOUNTING | libc::CLONE_NEWPID, |stem| {
        stem.step("make a proc for", "/proc", "", "");
        kernel_file_system(stem, c"proc", 0);
    });
    let sysfs = trial(MOUNTING | libc::CLONE_NEWNET, |stem| {
        stem.step("make a sysfs for", "/sys", "", "");
        kernel_file_system(stem, c"sysfs", MOUNT_ATTR_RDONLY);
    });
    let overlay = trial(MOUNTING, |stem| {
        let scratch = scratch(stem);
        stem.step("mount the overlay of", "a tmpfs", "", "");
        for name in [c"l", c"u", c"w", c"m"] {
            let name = stem.string(name);
            stem.call(libc::SYS_mkdirat, [scratch.into(), name, 0o755.into()]);
        }
        stem.call(libc::SYS_fchdir, [scratch.into()]);
        let (kind, at) = (stem.string(c"overlay"), stem.string(c"m"));
        let options = stem.string(c"lowerdir=l,upperdir=u,workdir=w,userxattr");
        stem.call(libc::SYS_mount, [kind, at, kind, 0.into(), options]);
    });
    vec![
        Check::of("mounts", mounts, "file systems can be mounted in user namespaces, by descriptor"),
        Check::of("/proc", proc, "a container can have its own"),
        Check::of("/sys", sysfs, "a container can have its own"),
        Check::of("overlay", overlay, "an image is shared, changes go to a layer above"),
        id_mapped(),
    ]
}

fn trial(namespaces: i32, steps: impl FnOnce(&mut Plan<'_>)) -> Result<()> {
    let mut trial = Trial::new(namespaces);
    steps(&mut trial.stem);
    trial.go()
}

/// A tmpfs on a directory that surely exists, in this mount namespace only.
fn scratch(stem: &mut Plan<'_>) -> Slot {
    stem.step("make a tmpfs for", "changes", "", "");
    let slot = stem.slot();
    new_mount(stem, c"tmpfs", &[(c"mode", c"755")], 0, slot);
    let place = stem.string(c"/sys");
    attach(stem, slot, libc::AT_FDCWD.into(), place);
    slot
}

fn kernel_file_system(stem: &mut Plan<'_>, kind: &std::ffi::CStr, attributes: u64) {
    let slot = stem.slot();
    new_mount(stem, kind, &[], attributes | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, slot);
}

/// Whether the store can be mounted with its ids mapped, which only root needs and can.
fn id_mapped() -> Check {
    const NAME: &str = "id-mapped mounts";
    let all = u64::from(u32::MAX);
    if zygote::current().ok().and_then(|zygote| zygote.mapped_ids()).is_none_or(|count| count < all) {
        return Check::of(NAME, Ok(()), "not needed: files in images belong to this user as they are");
    }
    let place = Store::open(None).map(|store| store.path().to_path_buf()).unwrap_or_default();
    let place = place.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_path_buf();
    let says = format!("files of root in {} can belong to the container's root, uncopied", place.display());
    Check::of(NAME, id_map(place), says)
}

fn id_map(place: PathBuf) -> Result<()> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory: OwnedFd =
        open(&place, flags, Mode::empty()).map_err(|errno| Error::system("open", place.display(), errno as i32))?;
    let mut trial = Trial::new(MOUNTING);
    let sent = trial.stem.send(Fd::Owned(directory));
    let (aside, handed) = &mut trial.aside;
    idmap(aside, &place, sent, Slot(RESULTS as u8), false);
    *handed = 1;
    trial.go()
}
