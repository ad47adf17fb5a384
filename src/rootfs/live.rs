//! Mounts into a container that runs, and out of it, by a helper in its mount namespace: what [`super::user_mounts`] mounts when a
//! container is made, with the same walls, at the same places, with the same errors.
//!
//! Programs run meanwhile, and may put links and other directories in the way. So everything is done by descriptor, and in between
//! whoever asked is told what was found ([`super::Looked`]), and says whether it goes on. Sources: open_tree(2), move_mount(2), umount2(2).

use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, ResolveFlag};
use nix::mount::MntFlags;

use super::Context;
use super::looked::{look, look_at};
use super::mounts::{attach_to, bound, components, open_at, tmpfs};
use super::root::{Layers, Source, layers_alone};
use crate::plan::{CWD, Plan, Slot, c_string};
use crate::sys::mount::{AT_EMPTY_PATH, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};
use crate::{Result, Step, sys};

/// What is to be mounted, attached nowhere yet.
pub struct Detached {
    mounted: Slot,
    directory: bool,
    step: Step,
}

/// The same, and its place.
pub struct Live {
    mounted: Slot,
    place: Slot,
    step: Step,
}

impl Detached {
    /// A copy of what is mounted at the source; whether that is a directory.
    pub fn bind(plan: &mut Plan<'_>, target: &Path, source: &Source, read_only: bool, directory: bool) -> Result<Self> {
        let step = Step::BindIntoContainer;
        plan.step(step, words(target), "", "");
        let made = bound(plan, source, read_only)?;
        Ok(Self { mounted: keep(plan, made), directory, step })
    }

    /// The files of an image, read-only. This process has a copy of the caller's mounts for itself.
    pub fn image(plan: &mut Plan<'_>, target: &Path, layers: &Layers, context: Context<'_>) -> Result<Self> {
        let made = layers_alone(plan, layers, context)?;
        let step = Step::BindIntoContainer;
        plan.step(step, words(target), "", "");
        plan.set_attributes(made, c"", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, AT_EMPTY_PATH);
        Ok(Self { mounted: keep(plan, made), directory: true, step })
    }

    /// A new tmpfs, of so many bytes and inodes.
    pub fn tmpfs(
        plan: &mut Plan<'_>,
        target: &Path,
        size: [Option<u64>; 2],
        mode: Option<u32>,
        context: Context<'_>,
    ) -> Result<Self> {
        let step = Step::MountTmpfs;
        plan.step(step, words(target), "", "");
        let made = tmpfs(plan, size, mode.unwrap_or(0o1777), context)?;
        Ok(Self { mounted: keep(plan, made), directory: true, step })
    }

    /// The file system of a disk, which was handed over in this slot.
    pub fn disk(plan: &mut Plan<'_>, target: &Path, mounted: Slot) -> Self {
        let step = Step::MountDiskAt;
        plan.step(step, words(target), "", "");
        Self { mounted: keep(plan, mounted), directory: true, step }
    }

    /// An overlay of a directory of the host, made by [`super::scratch_alone`].
    pub fn scratch(plan: &mut Plan<'_>, made: Slot) -> Self {
        Self { mounted: keep(plan, made), directory: true, step: Step::MountScratch }
    }

    /// Opens its place in the mount namespace that the helper is in by now. What is missing of it is made, as when a container is
    /// made. Two looks come back: at the place, and at what is to be mounted there.
    pub fn find_place(self, plan: &mut Plan<'_>, target: &Path, looks: Slot) -> Result<Live> {
        let Self { mounted, directory, step } = self;
        plan.step(step, words(target), "", "");
        let root = open_root(plan);
        let place = open_at(plan, root, &components(target)?, directory);
        plan.close(root);
        let place = keep(plan, place);
        look(plan, place, looks);
        look(plan, mounted, looks);
        Ok(Live { mounted, place, step })
    }
}

impl Live {
    /// Attaches it, in a further plan of the same helper.
    pub fn attach(&self, plan: &mut Plan<'_>, target: &Path) {
        plan.step(self.step, words(target), "", "");
        attach_to(plan, self.mounted, self.place);
    }
}

/// A mount that is to be taken off: `name` in the helper's working directory.
pub struct Lying(PathBuf);

impl Lying {
    /// Goes to where it lies, by its path as the kernel shows it, without links. One look comes back, at what lies there.
    pub fn find(plan: &mut Plan<'_>, place: &Path, looks: Slot) -> Result<Self> {
        plan.step(Step::Unmount, words(place), "", "");
        let names = components(place)?;
        let (name, above) = names.split_last().map_or((PathBuf::new(), &[][..]), |(last, above)| (last.clone(), above));
        let root = open_root(plan);
        let parent = plan.slot();
        let path = Path::new(".").join(above.iter().collect::<PathBuf>());
        let path = plan.string(c_string(Step::Unmount, path.into_os_string().into_encoded_bytes())?);
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        if sys::has_openat2() {
            let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
            plan.openat2(root, path, flags, resolve).out(parent);
        } else {
            // The root of this process is the container's, so links lead nowhere else.
            plan.openat(root, path, flags).out(parent);
        }
        plan.fchdir(parent);
        plan.close(parent);
        plan.close(root);
        let in_plan = plan.string(c_string(Step::Unmount, name.as_os_str().as_encoded_bytes())?);
        look_at(plan, CWD, in_plan, looks);
        Ok(Self(name))
    }

    /// Takes it off, whoever uses it, and mounts another in its place. For a moment there is nothing: the kernel takes no mount beneath
    /// one that lies on the root of the namespace (`can_move_mount_beneath` of fs/namespace.c).
    pub fn replace(&self, plan: &mut Plan<'_>, target: &Path, by: &Detached) -> Result<()> {
        self.take_off(plan, target, true)?;
        plan.step(by.step, words(target), "", "");
        let (name, place) = (plan.string(c_string(by.step, self.0.as_os_str().as_encoded_bytes())?), plan.slot());
        plan.openat(CWD, name, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).out(place);
        attach_to(plan, by.mounted, place);
        Ok(())
    }

    /// Takes it off, in a further plan of the same helper. `lazy`, it is gone for whoever looks from now on, and ends with its
    /// last use; also with what is mounted below it.
    pub fn take_off(&self, plan: &mut Plan<'_>, target: &Path, lazy: bool) -> Result<()> {
        plan.step(Step::Unmount, words(target), "", "");
        let name = plan.string(c_string(Step::Unmount, self.0.as_os_str().as_encoded_bytes())?);
        let lazy = if lazy { MntFlags::MNT_DETACH } else { MntFlags::empty() };
        plan.umount2(name, lazy | MntFlags::UMOUNT_NOFOLLOW);
        Ok(())
    }
}

/// The place of a mount as it is compared with others, without `.` and double slashes; an error where nothing can be mounted.
pub fn place_of(target: &Path) -> Result<PathBuf> {
    Ok(Path::new("/").join(components(target)?.iter().collect::<PathBuf>()))
}

/// The root of this mount namespace.
pub fn open_root(plan: &mut Plan<'_>) -> Slot {
    let (root, path) = (plan.slot(), plan.string(c"/"));
    plan.openat(CWD, path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC).out(root);
    root
}

/// The same in a slot that the next plan finds too.
fn keep(plan: &mut Plan<'_>, slot: Slot) -> Slot {
    if usize::from(slot.0) >= ctr_wire::KEPT {
        return slot;
    }
    let kept = plan.kept_slot();
    plan.dupfd_cloexec(slot, 0).out(kept);
    plan.close(slot);
    kept
}

fn words(target: &Path) -> String {
    target.to_string_lossy().into_owned()
}
