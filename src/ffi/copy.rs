//! ctr_copy_in, ctr_copy_out: trees between the host and a container that runs.

use std::ffi::{c_char, c_int};
use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;

use super::border::{border, bytes};
use super::container::container;
use super::types::ctr_container;
use crate::{Error, Result, Step};

/// Copies a file or directory tree of the host into a container that runs, as docker cp. No program is started inside.
///
/// c         a container that this process made or joined; not by ctr_join_pid()
/// source    a path on the host; a symbolic link is copied as a link
/// target    a path inside, as for ctr_open(). Into a directory that is there, source goes under its own name, or what is in it does
///           if source ends in "/."; if nothing is there, it is made under the name of target, in a directory that is there
/// archive   whether owners are kept; otherwise files belong to root inside
///
/// Modes and times, symbolic and hard links, holes, FIFOs, and attributes of users are kept; sockets are left out, a device
/// is an error. A file that is in the way is replaced, a link there is not followed, a directory is filled. Programs inside can't have it go
/// elsewhere, whatever they swap meanwhile. It does not wait for the container, and works in a paused one.
///
/// Return value: 0; CTR_ERR_SYSTEM with ENOENT for what is not there, with ENOTDIR for a directory onto a file, with EISDIR for a file
/// onto a directory, with ENOSPC, or any other of openat2(2) and write(2): what was copied before is there then, and no half of a file;
/// CTR_ERR_UNSUPPORTED for a device; CTR_ERR_INVALID, also if the container's mount namespace is not its own; CTR_ERR_DESTROYED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_copy_in(
    c: *mut ctr_container,
    source: *const c_char,
    target: *const c_char,
    archive: bool,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (source, target) = unsafe { (bytes("source", source)?, bytes("target", target)?) };
        container(c)?.container.copy_in(source, target, archive, &mut |_| true).map(|()| 0)
    })
}

/// Copies a file or directory tree of a container to the host: ctr_copy_in() the other way round.
///
/// source    a path inside; what is mounted there is a part of it, but for the kernel's own file systems, as /proc
/// target    a path on the host. A file there is replaced; a link in the place of a file or below target is not followed
/// archive   whether files keep their owners, with the ids that they have inside, and their set-user-ID bits, which takes root;
///           otherwise they are the caller's, and none is set-user-ID
///
/// How much it is and what the names are, programs inside have chosen; no name leads out of target.
///
/// Return value: as ctr_copy_in(); CTR_ERR_UNSUPPORTED also for a path on the kernel's own file systems.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_copy_out(
    c: *mut ctr_container,
    source: *const c_char,
    target: *const c_char,
    archive: bool,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (source, target) = unsafe { (bytes("source", source)?, bytes("target", target)?) };
        container(c)?.container.copy_out(source, target, archive, &mut |_| true).map(|()| 0)
    })
}

/// As ctr_copy_in(), from a tar archive (not compressed) that is read from a descriptor, into a directory that is there.
///
/// fd   stays the caller's
///
/// Return value: as ctr_copy_in(); CTR_ERR_BAD_IMAGE for what is no archive, or is cut off.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_copy_in_tar(
    c: *mut ctr_container,
    fd: c_int,
    target: *const c_char,
    archive: bool,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let target = unsafe { bytes("target", target) }?;
        let mut input = file(fd)?;
        container(c)?.container.copy_in_tar(&mut *input, target, archive, &mut |_| true).map(|()| 0)
    })
}

/// Writes a file or directory tree of a container as a tar archive to a descriptor, with owners as they are inside.
///
/// fd   stays the caller's
///
/// Return value: as ctr_copy_out().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_copy_out_tar(c: *mut ctr_container, source: *const c_char, fd: c_int) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let source = unsafe { bytes("source", source) }?;
        let mut output = file(fd)?;
        container(c)?.container.copy_out_tar(source, &mut *output).map(|_| 0)
    })
}

/// The caller's descriptor, which is not closed.
fn file(fd: c_int) -> Result<ManuallyDrop<File>> {
    if fd < 0 {
        return Err(Error::invalid(Step::Argument, "fd", "it is negative"));
    }
    // SAFETY: the caller's promise that it is open; it is never closed here.
    Ok(ManuallyDrop::new(unsafe { File::from_raw_fd(fd) }))
}
