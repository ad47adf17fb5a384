//! Datagrams with descriptors between the host and our program, and a channel for each request's answers.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use ctr_wire::{DONE, INLINE, LARGE, LARGEST, Reply, Request};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, Shutdown, SockType, UnixAddr, sendmsg, setsockopt, shutdown, sockopt,
};

use crate::sys::{self, Own};

/// Our end of the channel on which one request is answered.
pub struct Channel {
    socket: Own,
    /// The pid that came with the answer that it is done; 0 if none did.
    named: AtomicI32,
}

/// What came on a channel.
pub enum Answer {
    /// A reply and the descriptors with it.
    Reply(Reply, Vec<OwnedFd>),
    /// The other end is gone, so nothing will come any more.
    End,
    /// The time is up.
    TimedOut,
}

impl Channel {
    /// A new channel: our end, and the end to send with the request.
    pub fn new() -> Result<(Self, OwnedFd)> {
        let (ours, theirs) = pair()?;
        Ok((Self { socket: Own::brief(ours), named: AtomicI32::new(0) }, theirs))
    }

    /// The same for a request to start a process, whose pid comes with the answer.
    pub fn of_process() -> Result<(Self, OwnedFd)> {
        let (channel, theirs) = Self::new()?;
        setsockopt(&channel.socket, sockopt::PassCred, &true)?;
        Ok((channel, theirs))
    }

    /// It lives longer than the call that made it.
    pub fn kept(mut self) -> Self {
        self.keep();
        self
    }

    /// The same, where it is.
    pub fn keep(&mut self) {
        self.socket.keep();
    }

    /// Whether it is still ours: EBADF where not.
    pub fn check(&self) -> Result<()> {
        self.socket.check().map(drop)
    }

    /// The pid that came with the answer, as this process sees it. The kernel has translated it, and where whoever answered has
    /// named nobody it is their own.
    pub fn named(&self) -> Option<i32> {
        Some(self.named.load(Ordering::Relaxed)).filter(|&pid| pid > 0)
    }

    /// Waits for the next answer, at most `timeout`.
    pub fn receive(&self, timeout: Option<Duration>) -> Result<Answer> {
        if timeout.is_some() && !wait_readable(&[self.socket.as_fd()], timeout)? {
            return Ok(Answer::TimedOut);
        }
        let (answer, pid) = receive_with_pid(self.socket.check()?, MsgFlags::empty())?;
        if let (Answer::Reply(reply, _), Some(pid)) = (&answer, pid)
            && reply.tag == DONE
        {
            self.named.store(pid, Ordering::Relaxed);
        }
        Ok(answer)
    }

    /// The next answer if there is one now; [`Answer::TimedOut`] if not.
    pub fn try_receive(&self) -> Result<Answer> {
        receive(self.socket.check()?, MsgFlags::MSG_DONTWAIT)
    }

    /// As [`Channel::try_receive`], but the answer stays where it is, for whoever asks next.
    pub fn peek(&self) -> Result<Answer> {
        receive(self.socket.check()?, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK)
    }
}

impl Channel {
    /// Refuses what has not come yet: whoever sends it sees EPIPE. What is there already can still be received.
    pub fn hear_no_more(&self) {
        // A socket of our own, connected; there is nothing else to do about it.
        _ = shutdown(self.socket.as_raw_fd(), Shutdown::Read);
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A connected pair of datagram sockets.
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    Ok(sys::socketpair(AddressFamily::Unix, SockType::SeqPacket)?)
}

/// Waits until one of them is readable or at its end, at most `timeout`. Signals of the host don't cut it short.
pub fn wait_readable(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> Result<bool> {
    let end = timeout.map(|timeout| Instant::now() + timeout);
    loop {
        let mut polled: [PollFd<'_>; 2] =
            std::array::from_fn(|i| PollFd::new(fds[i.min(fds.len() - 1)], PollFlags::POLLIN));
        let left = match end {
            None => PollTimeout::NONE,
            // Rounded up, or the last millisecond would be spent spinning.
            Some(end) => {
                let left = end.saturating_duration_since(Instant::now()).as_micros().div_ceil(1000);
                PollTimeout::try_from(left.min(i32::MAX as u128) as i32).unwrap_or(PollTimeout::MAX)
            }
        };
        match poll(&mut polled[..fds.len().min(2)], left) {
            Ok(0) if end.is_none_or(|end| Instant::now() < end) => {}
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// How long a server may take until it takes a message.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends a message of `plan`, in a memfd where it is too large for a datagram.
pub fn send(socket: BorrowedFd<'_>, message: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
    if message.len() <= INLINE {
        return send_datagram(socket, message, fds);
    }
    if message.len() > LARGEST {
        return Err(Error::from_raw_os_error(libc::E2BIG));
    }
    let memfd = sys::memfd_create(c"ctr-message", libc::MFD_CLOEXEC)?;
    let mut large = message.to_vec();
    Request::set_flag(&mut large, LARGE);
    std::io::Write::write_all(&mut std::fs::File::from(memfd.try_clone()?), &large)?;
    let all: Vec<_> = std::iter::once(memfd.as_fd()).chain(fds.iter().copied()).collect();
    send_datagram(socket, &large[..size_of::<Request>()], &all)
}

fn send_datagram(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
    let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control = if raw.is_empty() { &[][..] } else { &rights[..] };
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    let mut end = None;
    loop {
        match sendmsg::<UnixAddr>(socket.as_raw_fd(), &[IoSlice::new(bytes)], control, flags, None) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            // There is no room, as where many ask a server at once, or one that does not hear.
            Err(Errno::EAGAIN) => {
                let end = *end.get_or_insert_with(|| Instant::now() + PATIENCE);
                if Instant::now() >= end {
                    return Err(Error::from_raw_os_error(libc::ETIMEDOUT));
                }
                let mut polled = [PollFd::new(socket, PollFlags::POLLOUT)];
                // Short, since the room there is may be too small for us.
                _ = poll(&mut polled, 10u8);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The next reply of a socket. Every byte may be hostile: one that is no reply ends the conversation, and descriptors
/// that nobody asked for are closed.
pub fn receive(socket: BorrowedFd<'_>, flags: MsgFlags) -> Result<Answer> {
    receive_with_pid(socket, flags).map(|(answer, _)| answer)
}

fn receive_with_pid(socket: BorrowedFd<'_>, flags: MsgFlags) -> Result<(Answer, Option<i32>)> {
    let mut bytes = [0u8; size_of::<Reply>()];
    let (count, fds, pid) = loop {
        match sys::recvmsg(socket, &mut bytes, flags.bits()) {
            Ok(received) => break received,
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Ok((Answer::TimedOut, None)),
            Err(Errno::ECONNRESET) => return Ok((Answer::End, None)),
            Err(error) => return Err(error.into()),
        }
    };
    match count {
        0 => Ok((Answer::End, None)),
        count if count == bytes.len() => Ok((Answer::Reply(Reply::from_bytes(&bytes), fds), pid)),
        _ => Err(Error::new(ErrorKind::InvalidData, "a reply of the wrong size")),
    }
}
