//! New descriptors. The kernel gives the lowest free number, and in a host that has 0, 1 or 2 closed that is the number of a
//! standard stream: what the host prints would go there, what it opens for itself would not be its stream, and a program that
//! inherits the host's streams would be handed what is ours. So whatever in this library makes a descriptor does it by the
//! functions of this module, of [`super::fs`] or of [`super::file`], or hands what it got to [`above_stdio`]; clippy.toml refuses
//! the rest.
//!
//! No call makes a descriptor above a given number but those that copy one, so one that lands there is there for an instant.
//! It is close-on-exec then as always, and by that `container/exec.rs` tells it from a stream of the host's. (A host that puts
//! something of its own there in that instant, in another thread, replaces ours: dup2(2) asks nobody.)

use std::io::{Error, Result};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::NixPath;
use nix::fcntl::OFlag;
use nix::sys::socket::{AddressFamily, SockFlag, SockType};
use nix::sys::stat::Mode;

/// The same open file under a number that is no standard stream's: F_DUPFD_CLOEXEC of fcntl(2) for one that has landed there.
pub fn above_stdio(fd: OwnedFd) -> Result<OwnedFd> {
    if fd.as_raw_fd() > libc::STDERR_FILENO {
        return Ok(fd);
    }
    // SAFETY: plain numbers.
    let copy = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, libc::STDERR_FILENO + 1) };
    if copy < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: the call that was just made returned it as a new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

fn lift(fd: OwnedFd) -> nix::Result<OwnedFd> {
    above_stdio(fd).map_err(|error| nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(libc::EMFILE)))
}

/// open(2).
#[allow(clippy::disallowed_methods, reason = "this is the place")]
pub fn open<P: ?Sized + NixPath>(path: &P, flags: OFlag, mode: Mode) -> nix::Result<OwnedFd> {
    nix::fcntl::open(path, flags | OFlag::O_CLOEXEC, mode).and_then(lift)
}

/// openat(2).
#[allow(clippy::disallowed_methods, reason = "this is the place")]
pub fn openat<P: ?Sized + NixPath>(dir: impl AsFd, path: &P, flags: OFlag, mode: Mode) -> nix::Result<OwnedFd> {
    nix::fcntl::openat(dir, path, flags | OFlag::O_CLOEXEC, mode).and_then(lift)
}

/// socket(2).
#[allow(clippy::disallowed_methods, reason = "this is the place")]
pub fn socket(family: AddressFamily, kind: SockType, flags: SockFlag) -> nix::Result<OwnedFd> {
    nix::sys::socket::socket(family, kind, flags | SockFlag::SOCK_CLOEXEC, None).and_then(lift)
}

/// socketpair(2).
#[allow(clippy::disallowed_methods, reason = "this is the place")]
pub fn socketpair(family: AddressFamily, kind: SockType) -> nix::Result<(OwnedFd, OwnedFd)> {
    let (one, other) = nix::sys::socket::socketpair(family, kind, None, SockFlag::SOCK_CLOEXEC)?;
    Ok((lift(one)?, lift(other)?))
}

/// pipe(2): what is read from, what is written to.
#[allow(clippy::disallowed_methods, reason = "this is the place")]
pub fn pipe() -> nix::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    Ok((lift(read)?, lift(write)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{self, file};
    use std::os::fd::RawFd;

    /// Whether a number is in use.
    fn is_open(fd: RawFd) -> bool {
        // SAFETY: only asks.
        unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
    }

    /// In a process of its own, since it closes the streams of all.
    #[test]
    fn nothing_lands_on_the_standard_streams() {
        // SAFETY: the child makes system calls, and ends without going back.
        match unsafe { libc::fork() } {
            0 => {
                let ok = (1..8).all(|closed| {
                    // SAFETY: streams of a process of our own.
                    (0..3).filter(|number| closed >> number & 1 == 1).for_each(|fd| _ = unsafe { libc::close(fd) });
                    let ok = all_are_high() && (0..3).all(|number| is_open(number) == (closed >> number & 1 == 0));
                    // SAFETY: as above; it is open in every round before the next.
                    (0..3).filter(|&number| !is_open(number)).for_each(|_| unsafe {
                        libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
                    });
                    ok
                });
                // SAFETY: ends the child without the parent's exit handlers.
                unsafe { libc::_exit(i32::from(!ok)) }
            }
            pid => {
                assert!(pid > 0);
                let mut status = -1;
                // SAFETY: our own child; the kernel writes an int.
                assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
                assert_eq!(status, 0);
            }
        }
    }

    fn all_are_high() -> bool {
        let kind = SockType::SeqPacket;
        let (one, other) = socketpair(AddressFamily::Unix, kind).expect("a pair");
        let (read, write) = pipe().expect("a pipe");
        let dir = open("/proc/self", OFlag::O_PATH, Mode::empty()).expect("it is there");
        let file = openat(&dir, "stat", OFlag::O_RDONLY, Mode::empty()).expect("it is there");
        // SAFETY: three plain numbers and a record of no bytes: nothing but the descriptor is sent.
        let sent = {
            use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
            let fds = [read.as_raw_fd(), write.as_raw_fd(), dir.as_raw_fd()];
            let bytes = [std::io::IoSlice::new(b"x")];
            let rights = [ControlMessage::ScmRights(&fds)];
            sendmsg::<UnixAddr>(one.as_raw_fd(), &bytes, &rights, MsgFlags::empty(), None)
        };
        assert_eq!(sent, Ok(1));
        let (_, received, _) = sys::recvmsg(other.as_fd(), &mut [0; 4], 0).expect("a message");
        assert_eq!(received.len(), 3);
        let mut made = vec![
            socket(AddressFamily::Unix, kind, SockFlag::empty()).expect("a socket"),
            sys::memfd_create(c"ctr-test", libc::MFD_CLOEXEC).expect("a file"),
            sys::memfd_create_exec(c"ctr-test").expect("a file"),
            sys::pidfd_open(std::process::id() as i32).expect("a pidfd"),
            file::open("/proc/self/stat").expect("it is there").into(),
            sys::fs::openat2(&dir, "stat", OFlag::O_RDONLY, Mode::empty(), nix::fcntl::ResolveFlag::empty())
                .expect("it is there"),
            dir.try_clone().expect("a copy"),
        ];
        made.extend([one, other, read, write, dir, file]);
        made.extend(received);
        assert!(!file::names("/proc/self/task").expect("names").is_empty());
        assert!(!file::read_to_string("/proc/self/stat").expect("text").is_empty());
        made.iter().all(|fd| fd.as_raw_fd() > 2)
    }
}
