//! Disks: block devices, and files that are images of them, as mounts of a container, from its beginning and while it runs.

use std::ffi::{c_char, c_int};

use super::border::{border, bytes, text};
use super::container::container;
use super::setters::checked;
use super::types::{ctr_config, ctr_container};
use crate::{Disk, Result};

/// Adds a disk: the file system of source, which is a block device or a file that is the image of one, appears at target, an absolute path
/// inside that is made where it is missing, as for ctr_config_add_mount_bind(). Only root of the machine may: CTR_ERR_UNSUPPORTED for
/// everybody else, whose error names what they can do. A container is made with 8 disks at most.
///
/// filesystem   "ext2", "ext3", "ext4", "xfs", "btrfs", "squashfs", "erofs" or "vfat"; NULL: the one that is found there
/// partition    the partition of this number of a GPT or an MBR, counted from 1; 0: the file system is on all of source
/// read_only    nothing is written, neither by programs inside nor by the kernel: a journal that a crash has left is passed over.
///              The way to mount what others have made: a file system that was made to do harm finds more of the kernel when it is written to
/// noexec       programs on it can't be started
///
/// Set-user-ID programs and device nodes on it have no effect. Its files belong inside to whom they belong on the disk: root's to the
/// container's root. An image, and a partition, has a loop device, loop(4), which is gone when the container is, however that ends. An
/// image that is written to is in use by nobody else meanwhile, by a lock, flock(2), and any number of containers may read one.
///
/// Return value: 0, or CTR_ERR_INVALID for a file system of another name. What else is wrong ctr_create() says: CTR_ERR_SYSTEM with ENOENT, with
/// EISDIR or ENOTBLK for what is no disk, with EBUSY for an image in use, with EINVAL for one that is damaged or was cut off, with what the
/// kernel says about it; CTR_ERR_INVALID with ENXIO for a partition that there isn't, and with EINVAL where no file system is found;
/// CTR_ERR_UNSUPPORTED with ENODEV for a file system that the kernel lacks, and where there are no loop devices.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_add_disk(
    config: *mut ctr_config,
    source: *const c_char,
    target: *const c_char,
    filesystem: *const c_char,
    partition: u32,
    read_only: bool,
    noexec: bool,
) -> c_int {
    // SAFETY: the caller's promise.
    let disk = || unsafe { disk([source, target, filesystem], partition, read_only, noexec) };
    checked(config, disk, |config, disk| config.mounts.push(disk.into()))
}

/// Mounts a disk into a container that runs, as ctr_config_add_disk(), at a place as for ctr_mount(): programs inside see it at once.
/// ctr_unmount() takes it off, and the loop device goes with it.
///
/// c   a container that this process made or joined
///
/// Return value: 0; what ctr_create() answers about disks; else as ctr_mount().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_mount_disk(
    c: *mut ctr_container,
    source: *const c_char,
    target: *const c_char,
    filesystem: *const c_char,
    partition: u32,
    read_only: bool,
    noexec: bool,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let disk = unsafe { disk([source, target, filesystem], partition, read_only, noexec) }?;
        container(c)?.container.mount(&disk.into()).map(|()| 0)
    })
}

/// # Safety
/// As of the functions above: each is NULL or a string.
unsafe fn disk(
    [source, target, filesystem]: [*const c_char; 3],
    partition: u32,
    read_only: bool,
    noexec: bool,
) -> Result<Disk> {
    // SAFETY: the caller's promise.
    let (source, target) = unsafe { (bytes("source", source)?, bytes("target", target)?) };
    let filesystem = match filesystem.is_null() {
        true => None,
        // SAFETY: the caller's promise.
        false => Some(unsafe { text("filesystem", filesystem) }?.parse()?),
    };
    let partition = (partition != 0).then_some(partition);
    Ok(Disk { filesystem, partition, read_only, noexec, ..Disk::new(source, target) })
}
