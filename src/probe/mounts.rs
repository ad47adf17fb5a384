//! Namespaces, and what can be mounted in them: each file system that a container has, mounted as a container mounts it.

use std::path::Path;

use nix::sched::CloneFlags;

use super::check::Check;
use crate::container::id_map;
use crate::helper::{Start, SubIds};
use crate::image::Store;
use crate::plan::{CWD, Plan};
use crate::sys::mount::{
    MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MOVE_MOUNT_F_EMPTY_PATH, MountAttributes, MoveFlags, OPEN_TREE_CLOEXEC,
    OPEN_TREE_CLONE,
};
use crate::{Result, Step, zygote};

const MOUNTING: i32 = libc::CLONE_NEWUSER | libc::CLONE_NEWNS;

/// All kinds, as a container has them.
pub fn namespaces() -> Result<()> {
    let at_clone = libc::CLONE_NEWPID | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    let mut start = Start::new(MOUNTING | at_clone);
    const CLONE_NEWTIME: i32 = 0x80;
    for (kind, flag) in [("cgroup", libc::CLONE_NEWCGROUP), ("time", CLONE_NEWTIME)] {
        start.setup.step(Step::ProbeUnshare, kind, "", "");
        start.setup.unshare(CloneFlags::from_bits_retain(flag));
    }
    start.try_out()
}

/// Each file system, and id-mapped mounts.
pub fn checks() -> Vec<Check> {
    const CLOSED: libc::c_ulong = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let mounts = tried(MOUNTING, |setup| {
        staging(setup);
        setup.step(Step::ProbeBind, "a mount", "", "");
        setup.bind(c"/proc", c"a", true);
        setup.set_attributes_below(c"a", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID);
        let [from, to] = [c"a", c"b"].map(|name| setup.string(name));
        setup.move_mount((CWD, from), (CWD, to), MoveFlags::default());
    });
    let by_descriptor = tried(MOUNTING, |setup| {
        staging(setup);
        setup.step(Step::ProbeDetachedMount, "descriptor", "", "");
        let (context, made, cloned) = (setup.slot(), setup.slot(), setup.slot());
        let (kind, here, empty) = (setup.string(c"tmpfs"), setup.string(c"."), setup.string(c""));
        setup.fsopen(kind).out(context);
        setup.fsconfig_create(context);
        setup.fsmount(context, MountAttributes::default()).out(made);
        let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
        setup.open_tree(CWD, here, flags).out(cloned);
        let place = setup.string(c"b");
        setup.move_mount((cloned, empty), (CWD, place), MOVE_MOUNT_F_EMPTY_PATH);
    });
    let proc = tried(MOUNTING | libc::CLONE_NEWPID, |setup| {
        staging(setup);
        setup.step(Step::MakeProc, "/proc", "", "");
        setup.mount(c"proc", c"a", CLOSED, c"");
    });
    let sysfs = tried(MOUNTING | libc::CLONE_NEWNET, |setup| {
        staging(setup);
        setup.step(Step::MakeSysfs, "/sys", "", "");
        setup.mount(c"sysfs", c"a", CLOSED | libc::MS_RDONLY, c"");
    });
    let overlay = tried(MOUNTING, |setup| {
        staging(setup);
        setup.step(Step::MountOverlay, "a tmpfs", "", "");
        setup.mkdir(c"work", 0o755);
        setup.mount(c"overlay", c"a", 0, c"lowerdir=a,upperdir=b,workdir=work,userxattr");
    });
    vec![
        Check::of("mounts", mounts, "file systems can be mounted in user namespaces"),
        Check::of(
            "mounts by descriptor",
            by_descriptor,
            "images and directories of the host can be mounted, and no path is walked twice",
        ),
        Check::of("/proc", proc, "a container can have its own"),
        Check::of("/sys", sysfs, "a container can have its own"),
        Check::of("overlay", overlay, "an image is shared, changes go to a layer above"),
        id_mapped(),
    ]
}

fn tried(namespaces: i32, steps: impl FnOnce(&mut Plan<'_>)) -> Result<()> {
    let mut start = Start::new(namespaces);
    steps(&mut start.setup);
    start.try_out()
}

/// A tmpfs on a directory that surely exists, in this mount namespace only: the working directory, with directories a and b.
fn staging(setup: &mut Plan<'_>) {
    const PLACE: &std::ffi::CStr = c"/sys/kernel";
    setup.step(Step::MakeTmpfs, "changes", "", "");
    setup.mount(c"tmpfs", PLACE, 0, c"mode=755");
    let place = setup.string(PLACE);
    setup.chdir(place);
    for name in [c"a", c"b"] {
        setup.mkdir(name, 0o755);
    }
}

/// Whether the store can be mounted with its ids mapped, which only root needs and can.
fn id_mapped() -> Check {
    const NAME: &str = "id-mapped mounts";
    if !zygote::current().is_ok_and(|zygote| zygote.maps_all_ids()) {
        let says = match SubIds::of_this_user() {
            _ if nix::unistd::geteuid().is_root() => {
                "not needed: containers have the same ids as this process; a bind can't have owners of its own"
            }
            Ok(_) => {
                "not needed: files of an image are given to the ids of this user's ranges; a bind can't have owners of its own"
            }
            Err(_) => "not needed: with a single id all files are root's inside, and this user's outside",
        };
        return Check::of(NAME, Ok(()), says);
    }
    let place = Store::open(None).map(|store| store.path().to_path_buf()).unwrap_or_default();
    let place = place.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_path_buf();
    let says = format!(
        "files of root in {} can belong to the container's root, uncopied, and a bind's to any user inside",
        place.display()
    );
    Check::of(NAME, id_map(&place), says)
}
