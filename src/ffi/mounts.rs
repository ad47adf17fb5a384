//! ctr_mount: what a container sees comes and goes while it runs.

use std::ffi::{c_char, c_int};

use super::border::{border, bytes};
use super::container::container;
use super::types::{ctr_container, limit};
use crate::{Bind, Tmpfs};

/// Mounts a file or directory of the host into a container that runs, as `mount --rbind`: programs inside see it at once. All that
/// ctr_config_add_mount_bind() says holds here too: target is an absolute path inside, which is made where it is missing if what
/// is above it can be written to; links inside are followed within the container only; set-user-ID programs and device nodes have no
/// effect; files of the caller are those of the container's root. What is mounted below source comes along. Nothing of it is
/// seen on the host, and what is mounted below source later is not seen inside. Programs that have made a mount namespace of their
/// own, unshare(2), don't see it.
///
/// c           a container that this process made or joined; any number of processes may mount into it
/// read_only   nothing can be written through it, nor through what is mounted below it
///
/// The mount ends by ctr_unmount(), or with the container. It works in a paused container if the caller is root.
///
/// Return value: 0; CTR_ERR_INVALID for a target that is no absolute path or lies in /proc or /sys, also by way of links inside, and
/// for a container whose mount namespace is not its own; CTR_ERR_SYSTEM with EBUSY if ctr_mount() or the configuration has mounted
/// something there, with ENOENT if there is no source or the target can't be made, with ENOTDIR or EINVAL if one is a
/// directory and the other is none, with EINVAL or EPERM if the file system of source can't be id-mapped; CTR_ERR_UNSUPPORTED for
/// ctr_join_pid(); CTR_ERR_TIMED_OUT if a file system inside does not answer within a minute; CTR_ERR_DESTROYED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_mount(
    c: *mut ctr_container,
    source: *const c_char,
    target: *const c_char,
    read_only: bool,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (source, target) = unsafe { (bytes("source", source)?, bytes("target", target)?) };
        let bind = Bind::new(source, target).with(|bind| bind.read_only = read_only);
        container(c)?.container.mount(&bind.into()).map(|()| 0)
    })
}

/// Mounts an empty tmpfs(5) into a container that runs, at a place as for ctr_mount().
///
/// size   the most bytes it may hold, at least 1; CTR_UNLIMITED: as many as the container's changes may take
///        (ctr_config_set_upper_size(), half of the memory limit, or half of the machine's memory)
/// mode   the permission bits of its root directory; 0: 01777
///
/// Its files are memory of the programs that write them, and count against the container's limit.
///
/// Return value: as ctr_mount().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_mount_tmpfs(c: *mut ctr_container, target: *const c_char, size: u64, mode: u32) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let target = unsafe { bytes("target", target) }?;
        let tmpfs = Tmpfs::new(target).with(|it| (it.size, it.mode) = (limit(size), (mode != 0).then_some(mode)));
        container(c)?.container.mount(&tmpfs.into()).map(|()| 0)
    })
}

/// Takes off what ctr_mount() or ctr_mount_tmpfs() has mounted at target, umount2(2), whichever process did it: the last one if
/// there are several. It is found where it is by now, whatever programs inside have moved. One that is gone already, as with another
/// one on which it lay, is no error. The directory or file at target stays.
///
/// lazy   if programs use it, it is gone all the same for whoever looks for it from now on, and ends with its last use, as by
///        MNT_DETACH. A bind that has further mounts below it always ends so.
///
/// Return value: 0; CTR_ERR_SYSTEM with EBUSY if programs use it and lazy is false, or if another mount covers it; CTR_ERR_NOT_FOUND if
/// nothing was mounted there while the container ran; CTR_ERR_INVALID if it was mounted when the container was made, which is for as
/// long as that runs; else as ctr_mount().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_unmount(c: *mut ctr_container, target: *const c_char, lazy: bool) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let target = unsafe { bytes("target", target) }?;
        container(c)?.container.unmount(target, lazy).map(|()| 0)
    })
}
