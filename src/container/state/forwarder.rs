//! The process that forwards a port, as a record names it: by its pid and by when it started. A pid may be another's by now, and a
//! record somebody else's work: what is not certainly a forwarder is left alone.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;

use super::record::start_of;
use crate::zygote::wait_readable;
use crate::{Error, Result, Step, sys};

/// What ps(1) calls it.
pub const NAME: &str = "ctr-forward";

/// How long a killed one may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A descriptor of the forwarder, while it lives.
pub fn open(pid: i32, start: u64) -> Option<OwnedFd> {
    if pid <= 1 {
        return None;
    }
    let process = sys::process_open(pid).ok()?;
    // In this order: while it lives, nobody else has its pid.
    let is_it = match sys::file::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => name.trim_end() == NAME && start_of(pid).ok()? == Some(start),
        // A /proc that hides the processes of others hid it from the start: hidepid of proc(5). What is hidden is no process of this
        // user's own, and what they may end all the same is in a user namespace of theirs.
        Err(_) => start == 0,
    };
    is_it.then_some(process)
}

/// Ends it, and waits until its port is free. One that has ended is no error.
pub fn end(address: SocketAddr, pid: i32, start: u64) -> Result<()> {
    let fail = |errno: i32| Error::system(Step::StopForwarder, address, errno);
    let Some(process) = open(pid, start) else { return Ok(()) };
    match sys::pidfd_send_signal(process.as_fd(), libc::SIGKILL, 0) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => return Err(fail(errno as i32)),
    }
    match wait_readable(&[process.as_fd()], Some(PATIENCE)) {
        Ok(true) => Ok(()),
        Ok(false) => Err(fail(libc::ETIMEDOUT)),
        Err(error) => Err(Error::io(Step::StopForwarder, address, &error)),
    }
}
