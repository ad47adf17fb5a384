//! ctr_mount_scratch, and what becomes of the changes of a scratch mount.

use std::ffi::{c_char, c_int};

use super::border::{border, bytes, out};
use super::changes::give_differences;
use super::container::container;
use super::images::maybe;
use super::types::{ctr_container, ctr_differences};
use crate::image::Conflicts;
use crate::{Error, Result, Scratch, Step};

/// Mounts a directory of the host as copy-on-write into a container that runs: ctr_config_add_scratch() says what that is, ctr_mount()
/// at which places it works. Its changes are in a tmpfs(5) of their own, as large as those of the root may be
/// (ctr_config_set_upper_size(), half of the memory limit, or half of the machine's memory). ctr_unmount() takes it off, with its changes.
///
/// Return value: as ctr_mount(); CTR_ERR_SYSTEM with ENOTDIR if source is no directory, with ENOSPC if there are 6 scratch mounts already;
/// CTR_ERR_UNSUPPORTED before Linux 6.6 if the container has no directory on disk for its changes (its root is no image and it was made
/// without a scratch mount).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_mount_scratch(
    c: *mut ctr_container,
    source: *const c_char,
    target: *const c_char,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (source, target) = unsafe { (bytes("source", source)?, bytes("target", target)?) };
        container(c)?.container.mount(&Scratch::new(source, target).into()).map(|()| 0)
    })
}

/// What a running container has changed beneath a scratch mount, by path inside: what is added to the host's directory, as that is
/// now, changed (content, owner, mode, a file's time, kind) or deleted from it.
///
/// target   the place of the mount inside
///
/// Return value: 0 and the differences in *out, which ctr_differences_free() frees; CTR_ERR_NOT_FOUND if no scratch mount is there;
/// CTR_ERR_SYSTEM with ESTALE if the host's directory is not found at its place any more; CTR_ERR_DESTROYED, CTR_ERR_INVALID. *out is NULL
/// then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_diff_scratch(
    c: *mut ctr_container,
    target: *const c_char,
    out: *mut *mut ctr_differences,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (out, target) = unsafe { (self::out("out", out)?, bytes("target", target)?) };
        *out = give_differences(container(c)?.container.diff_scratch(target)?)?;
        Ok(0)
    })
}

/// Carries what ctr_diff_scratch() lists over to the host's directory, one file after another: each is made beside the old one and takes
/// its place by renameat2(2), so that it is whole at any moment. The container runs on; a file that a program writes to meanwhile may be
/// carried over in part, and the next call gets the rest. Links are made and never followed, on either side.
///
/// Files belong to whom they would belong if the directory were bound. Set-user-ID and set-group-ID bits of files and their capabilities
/// are left out; devices and sockets are not made.
///
/// A file is in conflict if the container has changed it, and if it was changed on the host after the mount was made or last applied:
/// by its time of change (st_ctime, stat(2)), of which one in the same tick of the clock, 10 ms at most, counts as before; or deleted. So
/// is a directory in which anything was changed, if the container has deleted or replaced it. Where the file system of the host can't
/// exchange names (RENAME_EXCHANGE), a change in the very moment of the replacement is not noticed.
///
/// conflicts     one of enum ctr_conflicts
/// applied       gets what the host has now; may be NULL
/// conflicting   gets what has stayed as it was on both sides; may be NULL
/// left_out      gets devices and sockets; may be NULL
///
/// Return value: 0, and what ctr_differences_free() frees each; CTR_ERR_SYSTEM with EEXIST if there are conflicts and conflicts is
/// CTR_CONFLICTS_REFUSE (ctr_last_error() names them, and nothing was applied, unless the host has changed something while this was going
/// on), else if a step failed: what was applied before is there; else as ctr_diff_scratch(). All are NULL then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_apply_scratch(
    c: *mut ctr_container,
    target: *const c_char,
    conflicts: c_int,
    applied: *mut *mut ctr_differences,
    conflicting: *mut *mut ctr_differences,
    left_out: *mut *mut ctr_differences,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (target, outs) =
            unsafe { (bytes("target", target)?, [maybe(applied), maybe(conflicting), maybe(left_out)]) };
        let all = container(c)?.container.apply_scratch(target, how(conflicts)?)?;
        for (lines, out) in [all.changes, all.conflicts, all.left_out].into_iter().zip(outs) {
            if let Some(out) = out {
                *out = give_differences(lines)?;
            }
        }
        Ok(0)
    })
}

/// Drops what a running container has changed beneath a scratch mount: a new mount of the host's directory takes its place. Programs
/// that have files or directories of the old one open, or work in it, keep these; for a moment there is an empty directory.
///
/// Return value: 0; CTR_ERR_SYSTEM with EBUSY if something else is mounted on it; else as ctr_diff_scratch().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_discard_scratch(c: *mut ctr_container, target: *const c_char) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let target = unsafe { bytes("target", target) }?;
        container(c)?.container.discard_scratch(target).map(|()| 0)
    })
}

fn how(conflicts: c_int) -> Result<Conflicts> {
    let all = [Conflicts::Refuse, Conflicts::Keep, Conflicts::Overwrite];
    all.into_iter().find(|it| *it as c_int == conflicts).ok_or_else(|| {
        Error::invalid(Step::Argument, "conflicts", format!("{conflicts} is not one of enum ctr_conflicts"))
    })
}
