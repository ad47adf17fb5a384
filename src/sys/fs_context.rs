//! A file system that is being mounted: fsopen(2), fsconfig(2), fsmount(2), as this process makes them itself. Plans have their own.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;

use super::mount::{
    FSCONFIG_CMD_CREATE, FSCONFIG_SET_FLAG, FSCONFIG_SET_STRING, FSMOUNT_CLOEXEC, FSOPEN_CLOEXEC, MountAttributes,
};

/// fsopen(2).
pub fn fsopen(kind: &CStr) -> nix::Result<OwnedFd> {
    // SAFETY: a string and a number; the result is a new descriptor.
    new(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })
}

/// fsconfig(2), FSCONFIG_SET_FLAG.
pub fn set_flag(context: impl AsFd, key: &CStr) -> nix::Result<()> {
    config(context, FSCONFIG_SET_FLAG, Some(key), None)
}

/// fsconfig(2), FSCONFIG_SET_STRING.
pub fn set_string(context: impl AsFd, key: &CStr, value: &CStr) -> nix::Result<()> {
    config(context, FSCONFIG_SET_STRING, Some(key), Some(value))
}

/// fsconfig(2), FSCONFIG_CMD_CREATE.
pub fn create(context: impl AsFd) -> nix::Result<()> {
    config(context, FSCONFIG_CMD_CREATE, None, None)
}

fn config(context: impl AsFd, command: u32, key: Option<&CStr>, value: Option<&CStr>) -> nix::Result<()> {
    let text = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    let context = context.as_fd().as_raw_fd();
    // SAFETY: strings or null pointers, and numbers.
    Errno::result(unsafe { libc::syscall(libc::SYS_fsconfig, context, command, text(key), text(value), 0) }).map(drop)
}

/// fsmount(2): attached nowhere. It is gone with the last of its descriptors, unless it was attached by then.
pub fn fsmount(context: impl AsFd, attributes: MountAttributes) -> nix::Result<OwnedFd> {
    let context = context.as_fd().as_raw_fd();
    // SAFETY: plain numbers; the result is a new descriptor.
    new(unsafe { libc::syscall(libc::SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes.bits()) })
}

/// What the file system has said so far, one message a line, as "e bad superblock"; read(2) of fsopen(2). Many say it in the kernel's
/// log only.
pub fn messages(context: impl AsFd) -> Vec<u8> {
    /// The kernel keeps eight of them.
    const MOST: usize = 8;
    let (mut all, mut message) = (Vec::new(), [0; 1024]);
    for _ in 0..MOST {
        match nix::unistd::read(context.as_fd(), &mut message) {
            Ok(length) if length > 0 => {
                all.extend_from_slice(&message[..length]);
                all.push(b'\n');
            }
            _ => break,
        }
    }
    all
}

fn new(result: libc::c_long) -> nix::Result<OwnedFd> {
    super::owned(result as i32).map_err(|error| super::fs::errno_of(&error).unwrap_or(Errno::EMFILE))
}
