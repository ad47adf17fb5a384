//! Writing to files of a procfs, in the knowledge that it is one: below its descriptor, with nothing that is mounted on it and
//! no link that leads away (CVE-2019-16884, CVE-2025-52881).

use nix::fcntl::{OFlag, ResolveFlag};

use crate::Step;
use crate::plan::{CWD, Plan, Slot};

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
    plan.step(Step::OpenProc, "/proc", "the container's own", "");
    let proc = plan.slot();
    let path = plan.string(if own { c"proc" } else { c"/proc" });
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    plan.openat(CWD, path, flags).out(proc);
    proc
}

/// Writes `text` to the file `path` of the procfs `proc`, as part of the present step.
pub(super) fn write(plan: &mut Plan<'_>, proc: Slot, path: &str, text: &str, links: Links) {
    let resolve = ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::RESOLVE_NO_MAGICLINKS | ResolveFlag::RESOLVE_BENEATH;
    let resolve = if links == Links::None { resolve | ResolveFlag::RESOLVE_NO_SYMLINKS } else { resolve };
    let file = plan.slot();
    let path = plan.bytes(path);
    plan.openat2(proc, path, OFlag::O_WRONLY | OFlag::O_CLOEXEC, resolve).out(file);
    let data = plan.bytes(text);
    plan.write(file, data, text.len());
    plan.close(file);
}
