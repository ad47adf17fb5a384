//! ctr_publish: ports of the host that lead into a container.

use std::ffi::{c_char, c_int};

use super::border::{border, bytes};
use super::container::container;
use super::setters::checked;
use super::types::{ctr_config, ctr_container};
use crate::PublishedPort;
use crate::container::socket_address;

/// Publishes a TCP port of a container's network at a port of the host: whoever connects there is connected to the server inside. It
/// works without any network ("none"), for ordinary users too: no route, no address, no firewall rule is made.
///
/// c         a container that this process made or joined; any number of processes may publish ports of it
/// address   an address of the host: an IPv4 or IPv6 address as inet_pton(3) takes it, or "localhost", which is 127.0.0.1. At
///           "127.0.0.1" this machine alone can connect, at "0.0.0.0" or "::" everybody who can reach the machine
/// port      a port of the host; 0 is a free one, which the return value tells. Below 1024 it takes root, mostly
/// to        an address inside, "127.0.0.1" mostly
/// to_port   1 to 65535
///
/// A process of ctr's forwards, as fast as the kernel can between two sockets, splice(2). It belongs to the container and not to the
/// caller: it ends by ctr_unpublish() or with the container. The server inside sees connections from its own network. If nothing
/// listens there, who connects sees a reset; end of file goes through in each direction on its own, as shutdown(2) has it. As many
/// connections are served at a time as the hard limit of descriptors has room for (RLIMIT_NOFILE of getrlimit(2), 6 each), 16384 at
/// most; others wait. ctr_inspect() lists what is published, and says whether it still runs. It takes about a millisecond.
///
/// Return value: the port of the host. Or a negative error: CTR_ERR_SYSTEM with EADDRINUSE if somebody has that port, EADDRNOTAVAIL if
/// the machine has no such address, EACCES for a low port, or any other of bind(2); CTR_ERR_INVALID for what is no address, and for a
/// container in the caller's own network, where nothing has to be published; CTR_ERR_UNSUPPORTED for ctr_join_pid();
/// CTR_ERR_DESTROYED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_publish(
    c: *mut ctr_container,
    address: *const c_char,
    port: u16,
    to: *const c_char,
    to_port: u16,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (address, to) = unsafe { (bytes("address", address)?, bytes("to", to)?) };
        container(c)?.container.publish(address, port, to, to_port).map(|port| c_int::from(port.address.port()))
    })
}

/// Ends what ctr_publish() or ctr_config_add_port() has published at this address and port of the host, whichever process did it: its
/// connections are reset, and the port is free.
///
/// Return value: 0; CTR_ERR_NOT_FOUND if the container has no port published there; CTR_ERR_INVALID for what is no address;
/// CTR_ERR_SYSTEM with EPERM if the caller may not end the process that forwards; CTR_ERR_DESTROYED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_unpublish(c: *mut ctr_container, address: *const c_char, port: u16) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let address = unsafe { bytes("address", address) }?;
        container(c)?.container.unpublish(address, port).map(|()| 0)
    })
}

/// Publishes a port of the container from its first moment on, as ctr_publish() does while it runs. A port that somebody has makes
/// ctr_create() fail. Of port 0, ctr_inspect() tells which one it is.
///
/// Return value: 0, or CTR_ERR_INVALID for what is no address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_add_port(
    config: *mut ctr_config,
    address: *const c_char,
    port: u16,
    to: *const c_char,
    to_port: u16,
) -> c_int {
    let published = || {
        // SAFETY: the caller's promise.
        let (address, to) = unsafe { (bytes("address", address)?, bytes("to", to)?) };
        Ok(PublishedPort::new(socket_address(address, port)?, socket_address(to, to_port)?))
    };
    checked(config, published, |config, published| config.ports.push(published))
}
