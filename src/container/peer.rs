//! Who serves a container: its PID 1, as the kernel names it.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::SockFlag;

use super::state::{StateDir, listener_pid, listener_pidfd};
use crate::{Error, ErrorCode, Result, Step, hints};

/// Who serves a container.
pub struct Peer {
    /// Connected to its PID 1.
    pub control: OwnedFd,
    pub pid: i32,
    pub pidfd: OwnedFd,
}

impl Peer {
    /// By the kernel's word for who listens on the control socket of the container `name`.
    pub fn of(state: &StateDir, name: &str) -> Result<Self> {
        let fail = |errno: Errno| Error::system(Step::JoinContainer, name, errno as i32);
        let control = state.connect(name, SockFlag::empty()).map_err(|errno| match errno {
            Errno::ECONNREFUSED | Errno::ENOENT => ending(state, name, errno as i32),
            Errno::EAGAIN => {
                let why = "EAGAIN, as many connections wait for its PID 1 as can: it stands still, or is busy";
                Error::new(ErrorCode::System, Step::JoinContainer, name, libc::EAGAIN, why)
                    .with_hint("who has a handle on it can resume it; libctr rm ends it")
            }
            _ => fail(errno),
        })?;
        let pid = listener_pid(control.as_fd()).map_err(fail)?;
        let pidfd = listener_pidfd(control.as_fd()).map_err(|e| match e.raw_os_error() {
            Some(errno @ (libc::ENOSYS | libc::EPERM)) => {
                let why = "the system call pidfd_open(2) is refused here, and the kernel is older than 6.5";
                let error = Error::new(ErrorCode::Unsupported, Step::JoinContainer, name, errno, why);
                error.with_hint(hints::refused_call("pidfd_open"))
            }
            Some(libc::ESRCH) => ending(state, name, libc::ESRCH),
            _ => Error::io(Step::JoinContainer, name, &e),
        })?;
        Ok(Self { control, pid, pidfd })
    }
}

/// The pid of the PID 1 of a container that is on record; `None` where it ends meanwhile, or is just being made.
pub fn pid_of(state: &StateDir, name: &str) -> Result<Option<i32>> {
    let pid = state.connect(name, SockFlag::empty()).and_then(|control| listener_pid(control.as_fd()));
    match pid {
        Ok(pid) => Ok(Some(pid)),
        Err(errno @ (Errno::ECONNREFUSED | Errno::ENOENT)) => {
            _ = ending(state, name, errno as i32);
            Ok(None)
        }
        Err(errno) => Err(Error::system(Step::LookAtContainer, name, errno as i32)),
    }
}

/// It is on record, but nobody answers. Where it is ending, its end is waited for, so that who is told that there is no such
/// container finds nothing of it.
pub fn ending(state: &StateDir, name: &str, errno: i32) -> Error {
    _ = state.look_after(name);
    Error::system(Step::JoinContainer, name, errno)
        .with_code(ErrorCode::NotFound)
        .with_hint("it is just being made, or just ending")
}
