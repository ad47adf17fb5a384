//! The network of a container: for now the loopback device of its own namespace; see netdevice(7).

use crate::plan::Plan;

/// Brings the loopback device up, as every program expects it.
pub fn loopback(stem: &mut Plan<'_>) {
    stem.step("bring up", "lo", "localhost works; nothing else is there", "ip link set {} up");
    let socket = stem.slot();
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    stem.call(libc::SYS_socket, [libc::AF_INET.into(), kind.into(), 0.into()]).out(socket);
    // struct ifreq: the name in 16 bytes, then the flags.
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16..18].copy_from_slice(&((libc::IFF_UP | libc::IFF_RUNNING) as u16).to_ne_bytes());
    let request = stem.data(&request, 8);
    stem.call(libc::SYS_ioctl, [socket.into(), libc::SIOCSIFFLAGS.into(), request]);
    stem.close(socket);
}
