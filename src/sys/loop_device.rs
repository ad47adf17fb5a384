//! loop(4): block devices whose blocks are those of a file. libc and nix have none of these; linux/loop.h.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;

/// Bytes of the name that a device is given.
pub const LO_NAME_SIZE: usize = 64;

pub const LO_FLAGS_READ_ONLY: u32 = 1;
/// The device lets go of its file with its last use.
pub const LO_FLAGS_AUTOCLEAR: u32 = 4;

const LOOP_GET_STATUS64: u64 = 0x4c05;
const LOOP_CONFIGURE: u64 = 0x4c0a;
const LOOP_CTL_GET_FREE: u64 = 0x4c82;

/// struct loop_info64.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    /// Where in the file it begins, and how many bytes it has; 0 is up to the end.
    pub offset: u64,
    pub sizelimit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    pub flags: u32,
    pub file_name: [u8; LO_NAME_SIZE],
    crypt_name: [u8; LO_NAME_SIZE],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

impl Default for Info {
    fn default() -> Self {
        Self {
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: 0,
            sizelimit: 0,
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags: 0,
            file_name: [0; LO_NAME_SIZE],
            crypt_name: [0; LO_NAME_SIZE],
            encrypt_key: [0; 32],
            init: [0; 2],
        }
    }
}

/// LOOP_CTL_GET_FREE of /dev/loop-control: the number of a device that nobody uses at this moment. One is added where all are in use.
pub fn get_free(control: impl AsFd) -> nix::Result<u32> {
    // SAFETY: plain numbers.
    let number = Errno::result(unsafe { libc::ioctl(control.as_fd().as_raw_fd(), LOOP_CTL_GET_FREE) })?;
    u32::try_from(number).map_err(|_| Errno::EINVAL)
}

/// LOOP_CONFIGURE (Linux 5.8): the device has the blocks of this file from now on. EBUSY where it has those of another by now.
pub fn configure(device: impl AsFd, file: impl AsFd, info: &Info) -> nix::Result<()> {
    /// struct loop_config.
    #[repr(C)]
    struct Config {
        fd: u32,
        block_size: u32,
        info: Info,
        reserved: [u64; 8],
    }
    let fd = file.as_fd().as_raw_fd() as u32;
    let config = Config { fd, block_size: 0, info: *info, reserved: [0; 8] };
    // SAFETY: the kernel reads a record of this size.
    Errno::result(unsafe { libc::ioctl(device.as_fd().as_raw_fd(), LOOP_CONFIGURE, &raw const config) }).map(drop)
}

/// LOOP_GET_STATUS64; ENXIO where the device has no file.
pub fn get_status(device: impl AsFd) -> nix::Result<Info> {
    let mut info = Info::default();
    // SAFETY: the kernel writes a record of this size.
    Errno::result(unsafe { libc::ioctl(device.as_fd().as_raw_fd(), LOOP_GET_STATUS64, &raw mut info) })?;
    Ok(info)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_record_is_the_kernels() {
        assert_eq!(size_of::<super::Info>(), 232);
    }
}
