//! ctr_connect: sockets in a container's network that the caller holds.

use std::ffi::{c_char, c_int};
use std::os::fd::IntoRawFd;
use std::time::Duration;

use super::border::{border, bytes, one_of};
use super::container::container;
use super::types::ctr_container;
use crate::SocketType;

const KINDS: [(c_int, SocketType); 2] =
    [(libc::SOCK_STREAM, SocketType::Stream), (libc::SOCK_DGRAM, SocketType::Datagram)];

/// A socket of this process that is connected to a server in a container. It is made inside and handed out: it needs no address of
/// the host, no published port, no rights, and works without any network ("none") too. Of the caller's network it has nothing.
///
/// c            a container that this process made or joined, also by ctr_join_pid()
/// kind         SOCK_STREAM (TCP) or SOCK_DGRAM (UDP) of <sys/socket.h>
/// address      an IPv4 or IPv6 address as inet_pton(3) takes it, or "localhost", which is 127.0.0.1: no other name is looked up. Or
///              an absolute path inside of at most 107 bytes, unix(7): links are followed within the container only, and who connects
///              is the container's root (SO_PEERCRED)
/// port         1 to 65535; 0 with a path
/// timeout_ms   how long connecting may take, in milliseconds; -1 is as long as the kernel tries, about two minutes
///
/// Programs inside can answer what they like, or not at all: set time-outs, SO_RCVTIMEO of socket(7), and don't trust what comes.
/// If a container shares the host's network, it is a socket of the host's network. The first takes about a millisecond, those that
/// follow within seconds a tenth of it. The kernel
/// connects to a server of a paused container as well, where the caller is root.
///
/// Return value: a descriptor of at least 3, blocking and close-on-exec, which the caller close()s; it outlives the container, but
/// nobody answers then. Or a negative error: CTR_ERR_SYSTEM with ECONNREFUSED if nothing listens there, ENETUNREACH if no route
/// leads there, EAFNOSUPPORT or EADDRNOTAVAIL without IPv6, ENOENT or EACCES of a path, or any other of connect(2);
/// CTR_ERR_TIMED_OUT; CTR_ERR_INVALID for what is no address, for a path if the container has no mount namespace of its own or is a
/// joined pid; CTR_ERR_DESTROYED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_connect(
    c: *mut ctr_container,
    kind: c_int,
    address: *const c_char,
    port: u16,
    timeout_ms: c_int,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let address = unsafe { bytes("address", address) }?;
        let kind = one_of("kind", &KINDS, kind)?;
        container(c)?.container.connect(kind, address, port, timeout(timeout_ms)).map(IntoRawFd::into_raw_fd)
    })
}

/// A socket of this process that listens in a container's network, as a program inside would (SOCK_DGRAM: that is bound there):
/// programs inside connect to it, and nobody else can.
///
/// c, kind   as for ctr_connect()
/// address   an IPv4 or IPv6 address that the container has, "localhost", or "0.0.0.0" or "::" for all
/// port      below 1024 too, for any user, if the network is the container's own; 0 is a free one, which getsockname(2) tells
///
/// SO_REUSEADDR is set for SOCK_STREAM, and as many connections wait to be accepted as the kernel allows.
///
/// Return value: a descriptor as of ctr_connect(), which is ready for accept(2), or for recvfrom(2). Or a negative error: CTR_ERR_SYSTEM with
/// EADDRINUSE if the port is in use, EADDRNOTAVAIL if the container has no such address, EACCES for a low port of the host's network;
/// CTR_ERR_INVALID for what is no address, and for a path; CTR_ERR_DESTROYED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_listen(c: *mut ctr_container, kind: c_int, address: *const c_char, port: u16) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let address = unsafe { bytes("address", address) }?;
        let kind = one_of("kind", &KINDS, kind)?;
        container(c)?.container.listen(kind, address, port).map(IntoRawFd::into_raw_fd)
    })
}

/// Waits until something in a container listens for TCP. It is tried by connecting, about a hundred times a second: whoever
/// listens accepts one connection that is closed at once.
///
/// address      as for ctr_connect(), but for a path
/// timeout_ms   how long that may take, in milliseconds; -1 waits as long as the container runs
///
/// Return value: 0; CTR_ERR_TIMED_OUT if nothing has listened there in time; CTR_ERR_DESTROYED, also if the container ends
/// meanwhile; else as ctr_connect().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_wait_for_port(
    c: *mut ctr_container,
    address: *const c_char,
    port: u16,
    timeout_ms: c_int,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let address = unsafe { bytes("address", address) }?;
        container(c)?.container.wait_for_port(address, port, timeout(timeout_ms)).map(|()| 0)
    })
}

fn timeout(milliseconds: c_int) -> Option<Duration> {
    u64::try_from(milliseconds).ok().map(Duration::from_millis)
}
