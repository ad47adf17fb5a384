//! A descriptor that is kept from one call of the library to the next. In somebody's process its number may become another's
//! meanwhile: a host that closes "all descriptors", as daemons do, closes ours, and what it opens next gets their numbers. So
//! it is remembered what is behind the number, and nothing is closed, written or sent that isn't that any more.

use std::io::{Error, Result};
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// Which open file it is. Where its inode is the one that all anonymous files share, as a pidfd's before Linux 6.9, the process
/// of a pidfd tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    pid: i32,
}

impl Identity {
    fn of(fd: BorrowedFd<'_>) -> Option<Self> {
        // What is only short of memory for a moment is still ours: asked again, or it would be forgotten open.
        let stat = nix::sys::stat::fstat(fd).or_else(|errno| match errno {
            nix::errno::Errno::EBADF => Err(errno),
            _ => nix::sys::stat::fstat(fd),
        });
        let stat = stat.ok()?;
        let (device, inode) = (stat.st_dev, stat.st_ino);
        let is_no_file = stat.st_mode & libc::S_IFMT == 0;
        let pid = if is_no_file && (device, inode) == anonymous() { super::pidfd_pid(fd).unwrap_or(0) } else { 0 };
        Some(Self { device, inode, pid })
    }

    /// Whether it is the same. A pidfd has no pid any more when its process was reaped.
    fn is(self, now: Self) -> bool {
        self == Self { pid: if now.pid == -1 { self.pid } else { now.pid }, ..now }
    }
}

/// The inode of anonymous files, anon_inode_getfd of the kernel's fs/anon_inodes.c. Asked once, of an eventfd(2).
fn anonymous() -> (u64, u64) {
    // A device's number is never 0. Two threads that both ask hear the same; a lock might be held in a forked child for ever.
    static KNOWN: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
    let device = KNOWN[0].load(Ordering::Acquire);
    let inode = KNOWN[1].load(Ordering::Relaxed);
    if device != 0 {
        return (device, inode);
    }
    let (device, inode) = super::event::eventfd().map_or((0, 0), super::identity);
    KNOWN[1].store(inode, Ordering::Release);
    KNOWN[0].store(device, Ordering::Release);
    (device, inode)
}

/// A descriptor of ours; see the module. Dropping it closes it if it is still ours.
#[derive(Debug)]
pub struct Own {
    fd: ManuallyDrop<OwnedFd>,
    /// `None` where it lives no longer than a call.
    identity: Option<Identity>,
}

impl Own {
    /// One that is kept.
    pub fn new(fd: OwnedFd) -> Self {
        let mut own = Self::brief(fd);
        own.keep();
        own
    }

    /// One that lives no longer than a call, unless [`Own::keep`] is called: it is not looked at.
    pub fn brief(fd: OwnedFd) -> Self {
        Self { fd: ManuallyDrop::new(fd), identity: None }
    }

    /// Remembers what it is.
    pub fn keep(&mut self) {
        self.identity = Identity::of(self.fd.as_fd());
    }

    /// Whether it is what it was.
    pub fn is_ours(&self) -> bool {
        self.identity.is_none_or(|before| Identity::of(self.fd.as_fd()).is_some_and(|now| before.is(now)))
    }

    /// The descriptor, to use it now: EBADF where it is not ours any more.
    pub fn check(&self) -> Result<BorrowedFd<'_>> {
        if self.is_ours() { Ok(self.fd.as_fd()) } else { Err(Error::from_raw_os_error(libc::EBADF)) }
    }

    /// To give it away; `None` where it is not ours any more.
    pub fn into_fd(self) -> Option<OwnedFd> {
        let is_ours = self.is_ours();
        let mut this = ManuallyDrop::new(self);
        // SAFETY: it is not used any more, and neither dropped.
        let fd = unsafe { ManuallyDrop::take(&mut this.fd) };
        if is_ours {
            return Some(fd);
        }
        std::mem::forget(fd);
        None
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if self.is_ours() {
            // SAFETY: it is not used any more.
            unsafe { ManuallyDrop::drop(&mut self.fd) };
        }
    }
}

/// Its number, for what harms nobody: to be polled, or to be told to the caller.
impl AsFd for Own {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Own {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// For tests: puts something of the host's in the place of a descriptor of ours.
#[cfg(test)]
pub fn replace(own: &impl AsRawFd, by: &impl AsRawFd) {
    // SAFETY: a number of our own, which nobody else uses.
    assert_eq!(unsafe { libc::dup2(by.as_raw_fd(), own.as_raw_fd()) }, own.as_raw_fd());
}

/// For tests: closes what [`replace`] has put there, which is open still.
#[cfg(test)]
pub fn close_replaced(number: RawFd) {
    // SAFETY: nobody else has it.
    assert_eq!(unsafe { libc::close(number) }, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_open(fd: RawFd) -> bool {
        // SAFETY: only asks.
        unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
    }

    #[test]
    fn what_became_another_s_is_neither_used_nor_closed() {
        let process = || {
            let child = std::process::Command::new("sleep").arg("100").spawn().expect("sleep is there");
            let pidfd = super::super::pidfd_open(child.id() as i32).expect("a pidfd");
            (child, pidfd)
        };
        let (mut child, pidfd) = process();
        let (mut other, others) = process();
        let (pipe, _writer) = super::super::pipe().expect("a pipe");
        let (socket, _peer) =
            super::super::socketpair(nix::sys::socket::AddressFamily::Unix, nix::sys::socket::SockType::SeqPacket)
                .expect("a pair");
        for (fd, by) in [(pidfd, &others), (socket, &pipe), (pipe.try_clone().expect("a copy"), &others)] {
            let own = Own::new(fd);
            assert!(own.is_ours() && own.check().is_ok());
            replace(&own, by);
            assert!(!own.is_ours());
            assert_eq!(own.check().expect_err("not ours").raw_os_error(), Some(libc::EBADF));
            let number = own.as_raw_fd();
            drop(own);
            assert!(is_open(number));
            close_replaced(number);
        }
        {
            let own = Own::new(super::super::pidfd_open(child.id() as i32).expect("a pidfd"));
            child.kill().expect("it is ours");
            child.wait().expect("it ends");
            assert!(own.is_ours(), "also when its process is gone");
        }
        other.kill().expect("it is ours");
        other.wait().expect("it ends");
    }
}
