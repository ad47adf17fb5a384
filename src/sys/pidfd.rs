//! pidfd_open(2), pidfd_send_signal(2).

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

/// A descriptor of the process `pid`, close-on-exec.
pub(crate) fn pidfd_open(pid: i32, flags: u32) -> nix::Result<OwnedFd> {
    // SAFETY: no pointers; the kernel answers a new descriptor that nobody else owns.
    unsafe {
        let fd = Errno::result(libc::syscall(libc::SYS_pidfd_open, pid, flags))?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// Sends `signal` to the process that `pidfd` stands for, and never to one that got its number later.
pub(crate) fn pidfd_send_signal(pidfd: impl AsFd, signal: i32) -> nix::Result<()> {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo is allowed, then the kernel fills it in as for kill(2).
    let done = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_fd().as_raw_fd(), signal, info, 0) };
    Errno::result(done).map(drop)
}
