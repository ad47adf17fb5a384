//! rtnetlink(7), as far as named networks need it: a request, and its answer, which is there when send(2) returns. The messages are
//! those of netlink-packet-route. A socket belongs to the network namespace in which it was made, whoever has it.

use std::os::fd::{AsRawFd, OwnedFd};

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send};

use crate::sys;

/// A socket for one network namespace.
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

/// `NLMSG_ERROR` and `NLMSG_DONE` of netlink(7), which end an answer.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Of struct nlmsghdr.
const HEADER: usize = 16;
/// The kernel's answers are no longer: `NLMSG_GOODSIZE`, and what an interface has of statistics.
const LARGEST: usize = 64 << 10;

impl Netlink {
    /// One for the calling thread's network.
    pub fn open() -> nix::Result<Self> {
        // Protocol 0 is NETLINK_ROUTE.
        sys::socket(AddressFamily::Netlink, SockType::Raw, SockFlag::empty()).map(Self::of)
    }

    /// One that was made in another network.
    pub fn of(socket: OwnedFd) -> Self {
        Self { socket, sequence: 0 }
    }

    /// The network namespace that it is for.
    pub fn namespace(&self) -> nix::Result<OwnedFd> {
        sys::namespace_of_socket(&self.socket)
    }

    /// Has something done.
    pub fn change(&mut self, request: RouteNetlinkMessage, flags: u16) -> nix::Result<()> {
        self.ask(request, NLM_F_ACK | flags, |_| {})
    }

    /// Asks for one thing: the answer's body.
    pub fn get(&mut self, request: RouteNetlinkMessage) -> nix::Result<Vec<u8>> {
        let mut found = Vec::new();
        self.ask(request, NLM_F_ACK, |body| found = body.to_vec())?;
        Ok(found)
    }

    /// Asks for all there are. `each` hears a message with its header.
    pub fn dump(&mut self, request: RouteNetlinkMessage, each: impl FnMut(&[u8])) -> nix::Result<()> {
        self.ask(request, NLM_F_DUMP, each)
    }

    fn ask(&mut self, request: RouteNetlinkMessage, flags: u16, mut each: impl FnMut(&[u8])) -> nix::Result<()> {
        self.sequence += 1;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        let socket = self.socket.as_raw_fd();
        while let Err(errno) = send(socket, &bytes, MsgFlags::empty()) {
            if errno != Errno::EINTR {
                return Err(errno);
            }
        }
        let mut buffer = vec![0; LARGEST];
        loop {
            // Nobody is waited for: the kernel has answered by now, or has more as soon as this is read.
            let length = match recv(socket, &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EINTR) => continue,
                length => length?,
            };
            if self.hear(&buffer[..length], &mut each)? {
                return Ok(());
            }
        }
    }

    /// Whether the answer ends here.
    fn hear(&self, mut messages: &[u8], each: &mut impl FnMut(&[u8])) -> nix::Result<bool> {
        while let Some(header) = messages.first_chunk::<HEADER>() {
            let length = number(&header[..4]) as usize;
            let message = messages.get(..length).filter(|_| length >= HEADER).ok_or(Errno::EPROTO)?;
            if number(&header[8..12]) == self.sequence {
                match u16::from_ne_bytes([header[4], header[5]]) {
                    ERROR | DONE => {
                        let code = message.get(HEADER..HEADER + 4).map_or(0, number) as i32;
                        return if code < 0 { Err(Errno::from_raw(code.wrapping_neg())) } else { Ok(true) };
                    }
                    _ => each(message),
                }
            }
            messages = messages.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(false)
    }
}

/// The number in four bytes.
pub(super) fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}
