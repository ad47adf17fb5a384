//! /etc/hosts, /etc/hostname and /etc/resolv.conf of a container's own: small files of the staging tree, each mounted over the one that
//! the image has, as docker does it. Nothing of the image's changes; where it has none, an empty file holds the place.

use std::ffi::{CStr, OsStr};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, ResolveFlag};
use nix::sys::stat::Mode;

use super::UPPER;
use crate::plan::{CWD, Plan, Shell, Slot, quote};
use crate::sys::fork_lock::ForkLock;
use crate::sys::mount::{MOUNT_ATTR_RDONLY, MoveFlags, TreeFlags};
use crate::{Step, sys};

/// In the staging tree, and in /etc.
const NAMES: [&CStr; 3] = [c"hosts", c"hostname", c"resolv.conf"];

/// Inside.
pub const ETC_FILES: [&str; 3] = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];

/// What the files have in them; a file that is None stays the image's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcFiles {
    pub hosts: Option<String>,
    pub hostname: Option<String>,
    pub resolv_conf: Option<String>,
    /// The files can't be written to.
    pub read_only: bool,
    /// Which of them the image lacks.
    pub absent: Absent,
}

impl EtcFiles {
    fn texts(&self) -> [Option<&String>; 3] {
        [&self.hosts, &self.hostname, &self.resolv_conf].map(Option::as_ref)
    }
}

/// Which of the files an image surely lacks, by its /etc that has nothing about it: then the changes can have their places before they
/// are mounted, which spares the overlay a copy of that directory and three files, while somebody waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Absent([bool; 3]);

impl Absent {
    /// Looks at the layers of an image in the store, lowest first, once: they never change.
    pub fn in_layers(layers: &[PathBuf]) -> Self {
        static LAST: ForkLock<Option<(Vec<PathBuf>, Absent)>> = ForkLock::new(None);
        if let Some((_, absent)) = LAST.lock().as_ref().filter(|(of, _)| of == layers) {
            return *absent;
        }
        let absent = Self::look(layers).unwrap_or_default();
        *LAST.lock() = Some((layers.to_vec(), absent));
        absent
    }

    /// Nothing where /etc is no directory, or one that is not as we make one: root's, with mode 0755, without attributes.
    fn look(layers: &[PathBuf]) -> Option<Self> {
        let look = |path: &Path| match fs::symlink_metadata(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => Some(None),
            other => other.ok().map(Some),
        };
        let mut absent = Self([true; 3]);
        let mut uppermost = None;
        for etc in layers.iter().map(|layer| layer.join("etc")) {
            let Some(found) = look(&etc)? else { continue };
            if !found.is_dir() {
                return None;
            }
            for (lacks, name) in absent.0.iter_mut().zip(NAMES) {
                *lacks &= look(&etc.join(OsStr::from_bytes(name.to_bytes())))?.is_none();
            }
            uppermost = Some((etc, found));
        }
        let (etc, found) = uppermost?;
        let plain = (found.uid(), found.gid(), found.mode() & 0o7777) == (0, 0, 0o755);
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = sys::open(&etc, flags, Mode::empty()).ok()?;
        let bare = sys::fs::flistxattr(&opened, &mut []).is_ok_and(|size| size == 0);
        (plain && bare).then_some(absent)
    }
}

/// The files in the staging tree, each a mount already: mounting is what takes time. What is known of all containers of this shape is
/// written; the others are open, in these slots.
pub(super) fn setup(plan: &mut Plan<'_>, files: &EtcFiles) -> [Option<Slot>; 2] {
    plan.step(Step::MakeEtcFiles, "/etc/hosts and its like", "names are looked up there", "");
    if files.absent != Absent::default() {
        let etc = [UPPER.to_bytes(), b"/etc"].concat();
        let path = plan.bytes(&etc);
        plan.mkdirat(CWD, path, 0o755);
        let places = NAMES.iter().zip(files.absent.0).zip(files.texts());
        for ((name, _), _) in places.filter(|((_, lacks), text)| *lacks && text.is_some()) {
            let path = plan.bytes([&etc, &b"/"[..], name.to_bytes()].concat());
            let mode = libc::S_IFREG | 0o644;
            plan.mknodat(CWD, path, mode, 0);
        }
    }
    let mut open = [None; 2];
    for (i, (name, text)) in NAMES.into_iter().zip(files.texts()).enumerate() {
        let Some(text) = text else { continue };
        let file = plan.kept_slot();
        let path = plan.string(name);
        plan.create(CWD, path, OFlag::O_WRONLY | OFlag::O_CLOEXEC, 0o644).out(file);
        match open.get_mut(i) {
            Some(place) => *place = Some(file),
            None => fill(plan, file, text),
        }
        plan.bind(name, name, false);
        if files.read_only {
            // Of the mount; who has the file open from before may write to it.
            plan.set_attributes(CWD, name, MOUNT_ATTR_RDONLY, TreeFlags::default());
        }
    }
    open
}

fn fill(plan: &mut Plan<'_>, file: Slot, text: &str) {
    let data = plan.bytes(text);
    plan.write(file, data, text.len());
    plan.close(file);
}

/// Writes the others, and mounts all in `root`. What the image has in their place may be a link, which they cover without following it.
pub fn etc_files(plan: &mut Plan<'_>, root: Slot, files: &EtcFiles, open: [Option<Slot>; 2]) {
    if files.texts().iter().all(|text| text.is_none()) {
        return;
    }
    plan.step(Step::OpenEtc, "/etc", "where files of its own names go", "mkdir -p $ROOT/etc 2>/dev/null || true");
    let etc = open_etc(plan, root);
    let places = NAMES.into_iter().zip(files.absent.0).zip(open.into_iter().chain([None]));
    for (i, (((name, lacks), open), text)) in places.zip(files.texts()).enumerate() {
        let Some(text) = text else { continue };
        let (word, option) = (name.to_string_lossy(), if files.read_only { " -o ro" } else { "" });
        let text_of_it = text.clone();
        plan.step(
            Step::BindEtcFile,
            ETC_FILES[i],
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
        if lacks {
            // Its place is there.
            plan.move_mount((CWD, path), (etc, path), MoveFlags::default()).optional();
            continue;
        }
        plan.move_mount((CWD, path), (etc, path), MoveFlags::default()).unless(libc::ENOENT, 2).optional();
        // What can't be made, in an /etc of the host's, is missed as it is there.
        let mode = libc::S_IFREG | 0o644;
        plan.mknodat(etc, path, mode, 0).optional();
        plan.move_mount((CWD, path), (etc, path), MoveFlags::default()).optional();
    }
    plan.close(etc);
}

/// The image's /etc, made where it has none. Where it is something else, the slot has no descriptor, and nothing is mounted.
fn open_etc(plan: &mut Plan<'_>, root: Slot) -> Slot {
    let etc = plan.slot();
    let name = plan.string(c"etc");
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    plan.openat2(root, name, flags, resolve).out(etc).unless(libc::ENOENT, 3).optional();
    // Where that call is missing no link is followed.
    let plainly = flags | OFlag::O_NOFOLLOW;
    plan.openat(root, name, plainly).out(etc).unless(libc::ENOENT, 2).optional();
    plan.mkdirat(root, name, 0o755).optional();
    plan.openat(root, name, plainly).out(etc).optional();
    etc
}
