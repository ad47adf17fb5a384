//! /etc/hosts, /etc/hostname and /etc/resolv.conf of a container's own: small files of the staging tree, each mounted over the one that
//! the image has, as docker does it. Nothing of the image's changes; where it has none, an empty file holds the place.

use std::ffi::CStr;

use crate::plan::{Plan, Slot, quote};
use crate::sys::mount::{MOUNT_ATTR_RDONLY, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS};

/// In the staging tree, and in /etc.
const NAMES: [&CStr; 3] = [c"hosts", c"hostname", c"resolv.conf"];

/// What the files have in them; a file that is None stays the image's.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct EtcFiles {
    pub hosts: Option<String>,
    pub hostname: Option<String>,
    pub resolv_conf: Option<String>,
}

/// Makes the files in the staging tree, empty, each a mount already: mounting is what takes time.
pub(super) fn setup(plan: &mut Plan<'_>) {
    plan.step("make", "/etc/hosts and its like", "names are looked up there", "");
    for name in NAMES {
        plan.touch(name, 0o644);
        plan.bind(name, name, false);
    }
}

/// Writes them, and mounts them in `root`. What the image has in their place may be a link, which they cover without following it.
pub fn etc_files(plan: &mut Plan<'_>, root: Slot, files: &EtcFiles, read_only: bool) {
    let files = [&files.hosts, &files.hostname, &files.resolv_conf];
    if files.iter().all(|text| text.is_none()) {
        return;
    }
    plan.step("open", "/etc", "where files of its own names go", "mkdir -p $ROOT/etc 2>/dev/null || true");
    let etc = open_etc(plan, root);
    for (name, text) in NAMES.into_iter().zip(files) {
        let Some(text) = text else { continue };
        let word = name.to_string_lossy();
        let place = format!("$ROOT/etc/{word}");
        let option = if read_only { " -o ro" } else { "" };
        plan.step(
            "bind",
            format!("/etc/{word}"),
            "names as they are in this container; the image's own file stays as it is, below",
            format!(
                "printf %s {} > $SCRATCH/{word}; [ -e {place} ] || touch {place} 2>/dev/null; mount --bind{option} $SCRATCH/{word} \
                 {place} || true",
                quote(text)
            ),
        );
        let file = plan.slot();
        let path = plan.string(name);
        let flags = libc::O_WRONLY | libc::O_CLOEXEC;
        plan.call(libc::SYS_openat, [libc::AT_FDCWD.into(), path, flags.into()]).out(file);
        let data = plan.bytes(text);
        plan.call(libc::SYS_write, [file.into(), data, text.len().into()]);
        plan.close(file);
        if read_only {
            plan.set_attributes(libc::AT_FDCWD, name, MOUNT_ATTR_RDONLY, 0);
        }
        let put = [libc::AT_FDCWD.into(), path, etc.into(), path, 0.into()];
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
