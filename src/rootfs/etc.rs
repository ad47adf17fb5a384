//! /etc/hosts, /etc/hostname and /etc/resolv.conf of a container's own: small files of the staging tree, each mounted over the one that
//! the image has, as docker does it. Nothing of the image's changes; where it has none, an empty file holds the place.

use std::ffi::{CStr, OsStr};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::UPPER;
use crate::plan::{Plan, Shell, Slot, quote};
use crate::sys;
use crate::sys::fork_lock::ForkLock;
use crate::sys::mount::{MOUNT_ATTR_RDONLY, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS};

/// In the staging tree, and in /etc.
const NAMES: [&CStr; 3] = [c"hosts", c"hostname", c"resolv.conf"];

/// Inside.
const OBJECTS: [&str; 3] = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];

/// What the files have in them; a file that is None stays the image's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcFiles {
    pub hosts: Option<String>,
    pub hostname: Option<String>,
    pub resolv_conf: Option<String>,
    /// The files can't be written to.
    pub read_only: bool,
    /// Which of them the image lacks.
    pub lacking: Lacking,
}

impl EtcFiles {
    fn texts(&self) -> [Option<&String>; 3] {
        [&self.hosts, &self.hostname, &self.resolv_conf].map(Option::as_ref)
    }
}

/// Which of the files an image surely lacks, by its /etc that has nothing about it: then the changes can have their places before they
/// are mounted, which spares the overlay a copy of that directory and three files, while somebody waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lacking([bool; 3]);

impl Lacking {
    /// Looks at the layers of an image in the store, lowest first, once: they never change.
    pub fn in_layers(layers: &[PathBuf]) -> Self {
        static LAST: ForkLock<Option<(Vec<PathBuf>, Lacking)>> = ForkLock::new(None);
        if let Some((_, lacking)) = LAST.lock().as_ref().filter(|(of, _)| of == layers) {
            return *lacking;
        }
        let lacking = Self::look(layers).unwrap_or_default();
        *LAST.lock() = Some((layers.to_vec(), lacking));
        lacking
    }

    /// Nothing where /etc is no directory, or one that is not as we make one: root's, with mode 0755, without attributes.
    fn look(layers: &[PathBuf]) -> Option<Self> {
        let look = |path: &Path| match fs::symlink_metadata(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => Some(None),
            other => other.ok().map(Some),
        };
        let mut lacking = Self([true; 3]);
        let mut uppermost = None;
        for etc in layers.iter().map(|layer| layer.join("etc")) {
            let Some(found) = look(&etc)? else { continue };
            if !found.is_dir() {
                return None;
            }
            for (lacks, name) in lacking.0.iter_mut().zip(NAMES) {
                *lacks &= look(&etc.join(OsStr::from_bytes(name.to_bytes())))?.is_none();
            }
            uppermost = Some((etc, found));
        }
        let (etc, found) = uppermost?;
        let plain = (found.uid(), found.gid(), found.mode() & 0o7777) == (0, 0, 0o755);
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = sys::open(&etc, flags, Mode::empty()).ok()?;
        let bare = sys::fs::flistxattr(&opened, &mut []).is_ok_and(|size| size == 0);
        (plain && bare).then_some(lacking)
    }
}

/// The files in the staging tree, each a mount already: mounting is what takes time. What is known of all containers of this shape is
/// written; the others are open, in these slots.
pub(super) fn setup(plan: &mut Plan<'_>, files: &EtcFiles) -> [Option<Slot>; 2] {
    plan.step("make", "/etc/hosts and its like", "names are looked up there", "");
    if files.lacking != Lacking::default() {
        let etc = [UPPER.to_bytes(), b"/etc"].concat();
        let path = plan.bytes(&etc);
        plan.call(libc::SYS_mkdirat, [libc::AT_FDCWD.into(), path, 0o755.into()]);
        for (name, _) in NAMES.iter().zip(files.lacking.0).filter(|(_, lacks)| *lacks) {
            let path = plan.bytes([&etc, &b"/"[..], name.to_bytes()].concat());
            let mode = libc::S_IFREG | 0o644;
            plan.call(libc::SYS_mknodat, [libc::AT_FDCWD.into(), path, mode.into(), 0.into()]);
        }
    }
    let mut open = [None; 2];
    for (i, (name, text)) in NAMES.into_iter().zip(files.texts()).enumerate() {
        let Some(text) = text else { continue };
        let file = plan.kept_slot();
        let path = plan.string(name);
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_CLOEXEC;
        plan.call(libc::SYS_openat, [libc::AT_FDCWD.into(), path, flags.into(), 0o644.into()]).out(file);
        match open.get_mut(i) {
            Some(place) => *place = Some(file),
            None => fill(plan, file, text),
        }
        plan.bind(name, name, false);
        if files.read_only {
            // Of the mount; who has the file open from before may write to it.
            plan.set_attributes(libc::AT_FDCWD, name, MOUNT_ATTR_RDONLY, 0);
        }
    }
    open
}

fn fill(plan: &mut Plan<'_>, file: Slot, text: &str) {
    let data = plan.bytes(text);
    plan.call(libc::SYS_write, [file.into(), data, text.len().into()]);
    plan.close(file);
}

/// Writes the others, and mounts all in `root`. What the image has in their place may be a link, which they cover without following it.
pub fn etc_files(plan: &mut Plan<'_>, root: Slot, files: &EtcFiles, open: [Option<Slot>; 2]) {
    if files.texts().iter().all(|text| text.is_none()) {
        return;
    }
    plan.step("open", "/etc", "where files of its own names go", "mkdir -p $ROOT/etc 2>/dev/null || true");
    let etc = open_etc(plan, root);
    let places = NAMES.into_iter().zip(files.lacking.0).zip(open.into_iter().chain([None]));
    for (i, (((name, lacks), open), text)) in places.zip(files.texts()).enumerate() {
        let Some(text) = text else { continue };
        let (word, option) = (name.to_string_lossy(), if files.read_only { " -o ro" } else { "" });
        let text_of_it = text.clone();
        plan.step(
            "bind",
            OBJECTS[i],
            "names as they are in this container; the image's own file stays as it is, below",
            Shell::later(move || {
                let (text, place) = (quote(&text_of_it), format!("$ROOT/etc/{word}"));
                format!(
                    "printf %s {text} > $SCRATCH/{word}; [ -e {place} ] || touch {place} 2>/dev/null; mount --bind{option} \
                     $SCRATCH/{word} {place} || true"
                )
            }),
        );
        if let Some(file) = open {
            fill(plan, file, text);
        }
        let path = plan.string(name);
        let put = [libc::AT_FDCWD.into(), path, etc.into(), path, 0.into()];
        if lacks {
            // Its place is there.
            plan.call(libc::SYS_move_mount, put).optional();
            continue;
        }
        plan.call(libc::SYS_move_mount, put).unless(libc::ENOENT, 2).optional();
        // What can't be made, in an /etc of the host's, is missed as it is there.
        let mode = libc::S_IFREG | 0o644;
        plan.call(libc::SYS_mknodat, [etc.into(), path, mode.into(), 0.into()]).optional();
        plan.call(libc::SYS_move_mount, put).optional();
    }
    plan.close(etc);
}

/// The image's /etc, made where it has none. Where it is something else, the slot has no descriptor, and nothing is mounted.
fn open_etc(plan: &mut Plan<'_>, root: Slot) -> Slot {
    let etc = plan.slot();
    let name = plan.string(c"etc");
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let how = [flags as u64, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS];
    let how = plan.data(how.map(u64::to_ne_bytes).as_flattened(), 8);
    plan.call(libc::SYS_openat2, [root.into(), name, how, 24.into()]).out(etc).unless(libc::ENOENT, 3).optional();
    // Where that call is missing no link is followed.
    let plainly = [root.into(), name, (flags | libc::O_NOFOLLOW).into()];
    plan.call(libc::SYS_openat, plainly).out(etc).unless(libc::ENOENT, 2).optional();
    plan.call(libc::SYS_mkdirat, [root.into(), name, 0o755.into()]).optional();
    plan.call(libc::SYS_openat, plainly).out(etc).optional();
    etc
}
