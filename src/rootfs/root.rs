//! The root itself: an overlay over an image's layers, a directory as it is, or the host's own programs; then the pivot.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ctr_wire as wire;
use nix::fcntl::{AtFlags, OFlag, ResolveFlag};
use nix::mount::{MntFlags, MsFlags};
use nix::unistd::AccessFlags;

use super::{Context, DEV, LOWER, PROC, ROOT, STAGING, SYS, TMP, UPPER, WORK, attach, part_of_changes};
use crate::plan::{CWD, Plan, Shell, Slot, c_string, quote};
use crate::sys::mount::{
    AT_EMPTY_PATH, AT_RECURSIVE, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MoveFlags, OPEN_TREE_CLOEXEC,
    OPEN_TREE_CLONE, TreeFlags,
};
use crate::{Error, Result, Step};

/// What the root is made from.
pub enum Root {
    /// An overlay over layers.
    Overlay(Layers),
    /// This directory itself.
    Direct(Source),
    /// The host's own /usr, /bin, /lib and /etc, read-only, in an empty tmpfs.
    Host,
}

/// The layers of an overlay.
pub struct Layers {
    /// The directory that has them.
    pub base: Source,
    /// Their names below it, highest first; empty where the directory itself is the only layer.
    pub names: Vec<PathBuf>,
    /// A directory on disk with `u` and `w` for the changes, where they are not to go to the private tmpfs.
    pub upper: Option<Source>,
    /// Owner, group and mode of the root, where it isn't root's with mode 0755.
    pub root: Option<(u32, u32, u32)>,
}

/// A directory of the host, as the child gets at it.
pub enum Source {
    /// Handed over by the zygote, id-mapped.
    Handed(Slot, PathBuf),
    /// By its path, without symlinks, in the child's own mount namespace.
    Path(PathBuf),
}

impl Source {
    fn path(&self) -> &Path {
        match self {
            Self::Handed(_, path) | Self::Path(path) => path,
        }
    }

    /// What a person types for it.
    pub(super) fn typed(&self) -> String {
        match self {
            Self::Handed(slot, _) => mapped(*slot),
            Self::Path(path) => quote(&path.to_string_lossy()),
        }
    }

    /// The same for later, in another mount namespace, where its path leads to something else.
    pub fn copied(self, plan: &mut Plan<'_>) -> Result<Self> {
        plan.step(Step::OpenPath, self.path().to_string_lossy().into_owned(), "", "");
        let slot = self.mount(plan)?;
        Ok(match self {
            Self::Handed(_, path) | Self::Path(path) => Self::Handed(slot, path),
        })
    }

    /// A copy of its mount, attached nowhere yet.
    pub(super) fn mount(&self, plan: &mut Plan<'_>) -> Result<Slot> {
        match self {
            Self::Handed(slot, _) => Ok(*slot),
            Self::Path(path) => {
                let at = open_without_links(plan, path)?;
                let slot = plan.slot();
                let empty = plan.string(c"");
                let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE;
                plan.open_tree(at, empty, flags).out(slot);
                plan.close(at);
                Ok(slot)
            }
        }
    }
}

/// Opens a path that was resolved on the host. A link that has come into it since leads nowhere: ELOOP or ENOTDIR.
fn open_without_links(plan: &mut Plan<'_>, path: &Path) -> Result<Slot> {
    let at = plan.slot();
    let in_plan = plan.string(c_path(Step::UsePath, path)?);
    if crate::sys::has_openat2() {
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        plan.openat2(CWD, in_plan, flags, ResolveFlag::RESOLVE_NO_SYMLINKS).out(at);
        return Ok(at);
    }
    // The last name may be a file's. Were it a link by now, it would be the link that is mounted, and lead to something
    // of the container's.
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let root = plan.string(c"/");
    plan.openat(CWD, root, flags | OFlag::O_DIRECTORY).out(at);
    let mut names = path.components().skip(1).peekable();
    while let Some(name) = names.next() {
        let name = plan.bytes(name.as_os_str().as_bytes());
        let only = if names.peek().is_some() { OFlag::O_DIRECTORY } else { OFlag::empty() };
        let below = plan.slot();
        plan.openat(at, name, flags | only).out(below);
        plan.dup3(below, at, OFlag::O_CLOEXEC);
        plan.close(below);
    }
    Ok(at)
}

/// The zygote's part of handing over a directory: a copy of its mount in which the child's root owns what the host's
/// root owns. `sent` is the directory's descriptor, `handed` the slot from which it is handed over.
pub fn idmap(parent: &mut Plan<'_>, path: &Path, sent: Slot, handed: Slot, what: Mapped) {
    let recursive = matches!(what, Mapped::Bind | Mapped::BindIfPossible);
    let object = path.to_string_lossy().into_owned();
    if what == Mapped::Shifted {
        let why = "a copy of the image, whose files belong to the container's root: what it lies on can't be id-mapped";
        parent.step(Step::HandOver, object, why, Shell::From(handed_over, u64::from(handed.0)));
    } else {
        let why = "files of root belong to the container's root, without copying or changing them";
        let shell = Shell::From(idmapped, u64::from(handed.0) << 1 | u64::from(recursive));
        parent.step(if recursive { Step::IdMapBind } else { Step::IdMap }, object, why, shell);
    }
    copy_mapped(parent, sent, handed, what, recursive);
}

/// The same of a copy that somebody else has made already.
pub fn idmap_tree(parent: &mut Plan<'_>, path: &Path, sent: Slot, handed: Slot, what: Mapped) {
    parent.step(Step::IdMapBind, path.to_string_lossy().into_owned(), "", "");
    parent.dupfd_cloexec(sent, 0).out(handed);
    set_map(parent, handed, what, AT_RECURSIVE);
}

fn copy_mapped(parent: &mut Plan<'_>, sent: Slot, handed: Slot, what: Mapped, recursive: bool) {
    let empty = parent.string(c"");
    let recursive = if recursive { AT_RECURSIVE } else { TreeFlags::default() };
    let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | recursive;
    parent.open_tree(sent, empty, flags).out(handed);
    if what == Mapped::Shifted {
        return;
    }
    set_map(parent, handed, what, recursive);
}

fn set_map(parent: &mut Plan<'_>, handed: Slot, what: Mapped, recursive: TreeFlags) {
    let empty = parent.string(c"");
    let map = parent.set_id_map(handed, empty, Slot(wire::USER_NAMESPACE as u8), AT_EMPTY_PATH | recursive);
    if what == Mapped::BindIfPossible {
        // Overlays, most FUSE, NFS, /proc and cgroupfs refuse it. All or nothing: a part that is mapped is none.
        map.ok(libc::EINVAL).ok(libc::EPERM);
    }
}

/// What is id-mapped, and how much depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapped {
    /// An image, whose files have to have owners.
    Image,
    /// A copy of one, whose files have these owners already.
    Shifted,
    /// A file or directory that is bound, with what is mounted below it; without the map nothing of root's could be written.
    Bind,
    /// One that everybody may read and nobody write: where it can't be mapped its owners are nobody inside.
    BindIfPossible,
}

fn idmapped(slot_and_recursive: u64) -> String {
    let place = mapped(Slot((slot_and_recursive >> 1) as u8));
    // Images are directories; a bind is of a file as well.
    let (make, bind) = match slot_and_recursive & 1 {
        0 => (format!("mkdir {place}"), "bind"),
        _ => (format!("{{ [ -d {{}} ] && mkdir {place} || touch {place}; }}"), "rbind"),
    };
    format!("{make} && mount --{bind} -o X-mount.idmap=/proc/$PID/ns/user {{}} {place}")
}

fn handed_over(slot: u64) -> String {
    let place = mapped(Slot(slot as u8));
    format!("mkdir {place} && mount --bind {{}} {place}")
}

/// Where a person has what is handed over.
pub(super) fn mapped(handed: Slot) -> String {
    format!("$MAPPED/{}", handed.0)
}

/// Makes the root; the slot of its directory.
pub fn make(plan: &mut Plan<'_>, root: &Root, context: Context<'_>, new_privileges: bool) -> Result<Slot> {
    match root {
        Root::Overlay(layers) => overlay(plan, layers, context, new_privileges)?,
        Root::Direct(source) => {
            let path = source.path().to_string_lossy().into_owned();
            let command = format!("mount --rbind {} $ROOT", source.typed());
            plan.step(Step::UseAsRoot, path, "the directory itself is the root", command);
            let slot = source.mount(plan)?;
            let at = plan.string(ROOT);
            attach(plan, slot, CWD, at);
            hold_copy(plan);
            return Ok(slot);
        }
        Root::Host => host(plan)?,
    }
    let (root, at) = (plan.slot(), plan.string(ROOT));
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    plan.openat(CWD, at, flags).out(root);
    Ok(root)
}

fn overlay(plan: &mut Plan<'_>, layers: &Layers, context: Context<'_>, new_privileges: bool) -> Result<()> {
    let base = layers.base.path();
    let options = overlay_options(layers, true)?;
    let typed = layers.base.typed();
    let lower = if layers.names.is_empty() {
        typed
    } else {
        let full = |name: &PathBuf| format!("{typed}/{}", quote(&name.to_string_lossy()));
        layers.names.iter().map(full).collect::<Vec<_>>().join(":")
    };
    let changes = layers.upper.as_ref().map_or("$SCRATCH".into(), Source::typed);
    let root = layers.root.map_or_else(String::new, |(uid, gid, mode)| {
        format!(" && chown {uid}:{gid} {changes}/upper && chmod {mode:o} {changes}/upper")
    });
    plan.step(
        Step::MountOverlay,
        base.to_string_lossy().into_owned(),
        "the image below, read-only and shared; the container's changes above",
        format!(
            "mkdir {changes}/upper {changes}/work{root} && mount -t overlay -o \
             lowerdir={lower},upperdir={changes}/upper,workdir={changes}/work,userxattr overlay $ROOT"
        ),
    );
    let slot = layers.base.mount(plan)?;
    let at = plan.string(LOWER);
    attach(plan, slot, CWD, at);
    plan.close(slot);
    if let Some(upper) = &layers.upper {
        attach_changes(plan, upper)?;
    }
    let [upper, on_disk] = [UPPER.to_bytes().to_vec(), [UPPER.to_bytes(), b"/", UPPER.to_bytes()].concat()];
    let name = plan.bytes(if layers.upper.is_some() { on_disk } else { upper });
    if let Some((uid, gid, mode)) = layers.root {
        // The uppermost directory is the one that counts. An id that there isn't inside stays root's.
        plan.fchownat(CWD, name, uid, gid, AtFlags::empty()).ok(libc::EINVAL).ok(libc::EPERM);
        plan.fchmodat(CWD, name, mode);
    }
    // Where nobody gains privileges, a file's capabilities are passed over: execve(2) would answer EPERM for one that the container
    // lacks, as for Debian's ping with cap_net_raw.
    let flags = if new_privileges { 0 } else { libc::MS_NOSUID };
    plan.mount(c"overlay", ROOT, flags, &context.with(&options));
    keep_hold(plan);
    let changes = plan.keep_in(wire::UPPER);
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    plan.openat(CWD, name, flags).out(changes);
    Ok(())
}

/// The layers as a file system of their own that nobody can write to, attached nowhere yet. The mount namespace is this process's alone.
pub(super) fn layers_alone(plan: &mut Plan<'_>, layers: &Layers, context: Context<'_>) -> Result<Slot> {
    plan.step(Step::MountOverlay, layers.base.path().to_string_lossy().into_owned(), "", "");
    let base = layers.base.mount(plan)?;
    if layers.names.is_empty() {
        return Ok(base);
    }
    plan.propagate(c"/", MsFlags::MS_SLAVE);
    plan.mount(c"tmpfs", STAGING, 0, c"mode=755");
    let (staging, at) = (plan.string(STAGING), plan.string(LOWER));
    plan.chdir(staging);
    for name in [LOWER, ROOT] {
        plan.mkdir(name, 0o755);
    }
    attach(plan, base, CWD, at);
    plan.close(base);
    let options = overlay_options(layers, false)?;
    plan.mount(c"overlay", ROOT, libc::MS_RDONLY | libc::MS_NOSUID, &context.with(&options));
    let (made, at) = (plan.slot(), plan.string(ROOT));
    plan.open_tree(CWD, at, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC).out(made);
    Ok(made)
}

/// Mounts the directory of the changes on disk in the staging.
pub fn attach_changes(plan: &mut Plan<'_>, upper: &Source) -> Result<()> {
    let slot = upper.mount(plan)?;
    let at = plan.string(UPPER);
    attach(plan, slot, CWD, at);
    plan.close(slot);
    Ok(())
}

/// PID 1 keeps a copy of the root's mount from before anything is mounted on it: no mount covers anything there. It lies in the
/// staging, where the lower layer needs no path any more, and is unmounted with it; PID 1's descriptor keeps it.
fn keep_hold(plan: &mut Plan<'_>) {
    hold(plan);
    let kept = plan.keep_in(wire::ROOT);
    plan.bind(ROOT, LOWER, false);
    let at = plan.string(LOWER);
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    plan.openat(CWD, at, flags).out(kept);
}

/// The same for a directory of the host's, on which other things may be mounted already. There is no copy without these (EINVAL,
/// open_tree(2)), and then it is not held. When PID 1 ends, a copy that is mounted nowhere costs it an RCU grace period.
fn hold_copy(plan: &mut Plan<'_>) {
    hold(plan);
    let (kept, at) = (plan.keep_in(wire::ROOT), plan.string(ROOT));
    let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
    plan.open_tree(CWD, at, flags).out(kept).ok(libc::EINVAL);
}

fn hold(plan: &mut Plan<'_>) {
    plan.step(Step::KeepRoot, "the root", "it can be exported while programs run in it", "");
}

/// The options of mount(2), which takes a page of them at most; paths are relative to the scratch. Colons and backslashes in
/// a name are escaped as overlayfs wants it.
fn overlay_options(layers: &Layers, writable: bool) -> Result<CString> {
    let mut options = b"lowerdir=".to_vec();
    let lower = LOWER.to_bytes();
    if layers.names.is_empty() {
        options.extend_from_slice(lower);
    }
    for (i, name) in layers.names.iter().enumerate() {
        if i > 0 {
            options.push(b':');
        }
        options.extend_from_slice(lower);
        options.push(b'/');
        for &byte in name.as_os_str().as_bytes() {
            if matches!(byte, b':' | b'\\' | b',') {
                options.push(b'\\');
            }
            options.push(byte);
        }
    }
    for (option, name) in [(&b",upperdir="[..], UPPER), (b",workdir=", WORK)].into_iter().filter(|_| writable) {
        options.extend_from_slice(option);
        if layers.upper.is_some() {
            // On disk both lie in one directory, which is mounted where the upper directory would be.
            options.extend_from_slice(UPPER.to_bytes());
            options.push(b'/');
        }
        options.extend_from_slice(name.to_bytes());
    }
    options.extend_from_slice(b",userxattr");
    c_string(Step::MountOverlay, options)
}

/// The host's programs in a root of our own. What they are on this machine (a directory, a link) is looked up here, on the host.
fn host(plan: &mut Plan<'_>) -> Result<()> {
    plan.step(
        Step::BindRoot,
        "the root",
        "an empty directory that becomes the root",
        "mkdir $SCRATCH/root && mount --bind $SCRATCH/root $ROOT",
    );
    plan.bind(ROOT, ROOT, false);
    keep_hold(plan);
    let attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    for path in ["/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"] {
        let kind = match std::fs::symlink_metadata(path) {
            Ok(metadata) => metadata.file_type(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            // A root without it would be another one than was asked for.
            Err(e) => return Err(Error::io(Step::LookAt, path, &e)),
        };
        let name = c_string(Step::BindHostPath, [ROOT.to_bytes(), path.as_bytes()].concat())?;
        if kind.is_symlink() {
            let target = std::fs::read_link(path).map_err(|e| Error::io(Step::LookAt, path, &e))?;
            let command = format!("ln -s {} $ROOT{path}", quote(&target.to_string_lossy()));
            plan.step(Step::LinkHostPath, path, "as on the host", command);
            let (target, name) = (plan.bytes(target.as_os_str().as_bytes()), plan.string(name));
            plan.symlinkat(target, CWD, name);
        } else if kind.is_dir() {
            plan.step(
                Step::BindHostPath,
                path,
                "the host's own programs, read-only",
                "mkdir $ROOT{} && mount --rbind -o ro,nosuid,nodev {} $ROOT{}",
            );
            plan.mkdir(&name, 0o755);
            plan.bind(c_path(Step::BindHostPath, Path::new(path))?, &name, true);
            plan.set_attributes_below(&name, attributes);
        }
    }
    plan.step(
        Step::MakeDirectories,
        "/",
        "what programs expect to find",
        "mkdir -p $ROOT/root $ROOT/home $ROOT/var/tmp $ROOT/run $ROOT/opt $ROOT/mnt $ROOT/srv",
    );
    for (name, mode) in [
        (c"root/root", 0o700),
        (c"root/home", 0o755),
        (c"root/var", 0o755),
        (c"root/var/tmp", 0o1777),
        (c"root/run", 0o755),
        (c"root/opt", 0o755),
        (c"root/mnt", 0o755),
        (c"root/srv", 0o755),
    ] {
        plan.mkdir(name, mode);
    }
    Ok(())
}

/// Puts /proc, /dev, /sys and /tmp into the root.
pub fn furnish(plan: &mut Plan<'_>, root: Slot, read_only: bool) {
    for (part, path) in [(PROC, "/proc"), (SYS, "/sys"), (DEV, "/dev")] {
        plan.step(Step::PutIntoRoot, path, "it was made ready before", "");
        let name = plan.string(part);
        // A symlink of the image's in its place is not followed: ENOTDIR, and the container is not made.
        plan.move_mount((CWD, name), (root, name), MoveFlags::default()).unless(libc::ENOENT, 2);
        plan.mkdirat(root, name, 0o755);
        plan.move_mount((CWD, name), (root, name), MoveFlags::default());
    }
    plan.step(Step::MakeTmp, "/tmp", "a place for everyone to write", "mkdir -p -m 1777 $ROOT{}");
    let name = plan.string(c"tmp");
    plan.faccessat2(root, name, AccessFlags::F_OK, AtFlags::AT_SYMLINK_NOFOLLOW).unless(libc::ENOENT, 1);
    plan.mkdirat(root, name, 0o1777);
    if read_only {
        plan.step(
            Step::MountTmp,
            "/tmp",
            "the root can't be written to, /tmp must",
            "mkdir -m 1777 $SCRATCH{} && mount --bind -o nosuid,nodev $SCRATCH{} $ROOT{}",
        );
        let slot = plan.slot();
        part_of_changes(plan, TMP, 0o1777, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, slot);
        attach(plan, slot, root, name);
        plan.close(slot);
    }
}

/// The root becomes `/`, and the old one is gone: no descriptor of it is left open.
pub fn pivot(plan: &mut Plan<'_>, root: Slot, read_only: bool) {
    if read_only {
        plan.step(Step::MakeRootReadOnly, "/", "nothing of the image can be changed", "mount -o remount,bind,ro $ROOT");
        plan.set_attributes(root, c"", MOUNT_ATTR_RDONLY, AT_EMPTY_PATH);
    }
    plan.step(
        Step::PivotRoot,
        "/",
        "the image is the root; the host's file system is out of reach",
        "cd $ROOT && pivot_root . . && umount -l . && cd /",
    );
    let dot = plan.string(c".");
    let slash = plan.string(c"/");
    plan.fchdir(root);
    plan.pivot_root(dot, dot);
    plan.umount2(dot, MntFlags::MNT_DETACH);
    plan.chdir(slash);
    plan.close(root);
}

fn c_path(step: Step, path: &Path) -> Result<CString> {
    c_string(step, path.as_os_str().as_bytes())
}
