//! Writing to files of a procfs, in the knowledge that it is one: below its descriptor, with nothing that is mounted on it and
//! no link that leads away (CVE-2019-16884, CVE-2025-52881).

use crate::plan::{Plan, Slot};
use crate::sys::mount::{RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV};

/// Which links are followed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    None,
    /// `self` and `thread-self`, which the kernel makes up.
    OfOurselves,
}

/// Opens the container's own procfs, which the child has just mounted itself as `proc` in its working directory; or, where
/// it has no mounts of its own, the caller's at /proc, of which nothing is the image's.
pub(super) fn open(plan: &mut Plan<'_>, own: bool) -> Slot {
    plan.step("open", "/proc", "the container's own", "");
    let proc = plan.slot();
    let path = plan.string(if own { c"proc" } else { c"/proc" });
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    plan.call(libc::SYS_openat, [libc::AT_FDCWD.into(), path, flags.into()]).out(proc);
    proc
}

/// Writes `text` to the file `path` of the procfs `proc`, as part of the present step.
pub(super) fn write(plan: &mut Plan<'_>, proc: Slot, path: &str, text: &str, links: Links) {
    let resolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_BENEATH;
    let resolve = if links == Links::None { resolve | RESOLVE_NO_SYMLINKS } else { resolve };
    let file = plan.slot();
    let path = plan.bytes(path);
    let how = [(libc::O_WRONLY | libc::O_CLOEXEC) as u64, 0, resolve].map(u64::to_ne_bytes);
    let how = plan.data(how.as_flattened(), 8);
    plan.call(libc::SYS_openat2, [proc.into(), path, how, 24.into()]).out(file);
    let data = plan.bytes(text);
    plan.call(libc::SYS_write, [file.into(), data, text.len().into()]);
    plan.close(file);
}
