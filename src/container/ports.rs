//! Ports of the host that lead into a container. A process of ours forwards each: it has the listening socket, which the caller makes
//! in its own network, and is in the container's network, where it connects to the server; see crates/init/src/forward.rs. So
//! neither network needs a route, an address or a rule for it, and it is the same for ordinary users.
//!
//! The process belongs to the container: it ends with it, by a pidfd of PID 1, whoever has had it made. It is on record, by which
//! anybody who joins the container finds it and can end it.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, listen, setsockopt, sockopt};
use serde::Serialize;

use super::shared::Shared;
use super::state::{Resource, Root, forwarder, start_of};
use super::within::Within;
use crate::helper::{Forwarding, add_hint};
use crate::network::{Address, socket_address};
use crate::plan::{Fd, Plan, Prctl};
use crate::security::steps;
use crate::zygote::TITLE;
use crate::{Error, ErrorCode, Result, Step, sys};

/// A port of the host that leads to one of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Port {
    /// The address and the port of the host.
    pub address: SocketAddr,
    /// Where it leads to, in the container's network.
    pub to: SocketAddr,
    /// Whether it does: the process that forwards may have been killed.
    pub running: bool,
}

/// Takes what a person writes.
pub fn address(address: &OsStr, port: u16) -> Result<SocketAddr> {
    match Address::new(Step::PublishPort, address, port)? {
        Address::Inet(at) => Ok(at),
        Address::Path(path) => Err(Error::invalid(Step::PublishPort, path.display(), "a path is no port")),
    }
}

/// Publishes `to` of the container at `address` of the host.
pub fn publish(container: &Shared, address: SocketAddr, to: SocketAddr) -> Result<Port> {
    check(container, to)?;
    let mut within = Within::open_network(container)?;
    if !within.is_own("net") {
        let why = "its network is this process's own: what listens there is reached without";
        return Err(Error::invalid(Step::PublishPort, called(container, to), why));
    }
    let (listener, address) = listener(container, address)?;
    strike_off_killed(container, address)?;
    let mut plan = Plan::new();
    let pidfd = container.pidfd.check().map_err(|_| container.foreign())?;
    let (listener, until) = (plan.send(Fd::Owned(listener)), plan.send(Fd::Borrowed(pidfd)));
    let helper = within.start(CloneFlags::empty()).staying().start()?;
    within.enter(&mut plan);
    plan.step(Step::PublishPort, address.to_string(), "", "");
    let name = plan.bytes(forwarder::NAME);
    plan.prctl(Prctl::Name(name));
    // From here on it ends with the container, and keeps no directory of the caller's in use.
    plan.prctl(Prctl::DeathSignal(0));
    let root = plan.string(c"/");
    plan.chdir(root);
    let before = plan.mark().calls;
    steps::forwards_only(&mut plan)?;
    let raw = Address::Inet(to).raw();
    let server = (plan.data(&raw, 8), raw.len());
    let mut title = format!("{}: {} at {address} to {to}", forwarder::NAME, container.called()).into_bytes();
    title.resize(TITLE, 0);
    let title = plan.data(&title, 1);
    let forwarding = Forwarding { listener, until, server, title, before };

    let pid = helper.pid();
    let start = start_of(pid).map_err(|e| Error::io(Step::PublishPort, address, &e))?.unwrap_or(0);
    let resource = Resource::Forward { address, to, pid, start };
    container.acquire(resource.clone(), || helper.forward(&plan, &forwarding).map_err(add_hint)).inspect_err(|_| {
        // The answer may be lost, and the process there.
        _ = forwarder::end(address, pid, start).and_then(|()| container.strike_off(resource));
    })?;
    Ok(Port { address, to, running: true })
}

/// Ends what was published at this address of the host, whoever did it.
pub fn unpublish(container: &Shared, address: SocketAddr) -> Result<()> {
    container.check_running()?;
    let mut found = false;
    for resource in container.resources()? {
        let Resource::Forward { address: at, pid, start, .. } = resource else { continue };
        if at == address {
            forwarder::end(address, pid, start)?;
            container.strike_off(resource)?;
            found = true;
        }
    }
    if found {
        return Ok(());
    }
    let why = format!("container {} has no port published there", container.called());
    Err(Error::new(ErrorCode::NotFound, Step::StopForwarder, address, libc::ENOENT, why)
        .with_hint("libctr forward NAME, c.ports and ctr_inspect() show those that are"))
}

/// What is published, in the order in which it was.
pub fn ports(container: &Shared) -> Result<Vec<Port>> {
    container.check_running()?;
    let port = |resource| match resource {
        Resource::Forward { address, to, pid, start } => {
            Some(Port { address, to, running: forwarder::open(pid, start).is_some() })
        }
        _ => None,
    };
    Ok(container.resources()?.into_iter().filter_map(port).collect())
}

/// Nobody is there any more who had this address, since it could be had.
fn strike_off_killed(container: &Shared, address: SocketAddr) -> Result<()> {
    for resource in container.resources()? {
        if matches!(resource, Resource::Forward { address: at, pid, start, .. } if at == address && forwarder::open(pid, start).is_none())
        {
            container.strike_off(resource)?;
        }
    }
    Ok(())
}

/// Refuses what can't be published.
fn check(container: &Shared, to: SocketAddr) -> Result<()> {
    container.check_running()?;
    if to.port() == 0 {
        return Err(Error::invalid(Step::PublishPort, called(container, to), "nothing can listen on port 0"));
    }
    if container.record.root == Root::Foreign {
        let why = "only a container has ports, and this is another process's namespaces";
        let step = Step::PublishPort;
        return Err(Error::new(ErrorCode::Unsupported, step, container.called(), libc::EOPNOTSUPP, why)
            .with_hint("connect to it"));
    }
    Ok(())
}

/// How often it is tried to listen where another may just begin to.
const TRIES: usize = 16;

/// A listening socket of this process's network, and where it listens.
fn listener(container: &Shared, address: SocketAddr) -> Result<(OwnedFd, SocketAddr)> {
    let fail = |errno: Errno| {
        let object = format!("{address} for container {}", container.called());
        Error::system(Step::PublishPort, object, errno as i32).with_known_hint()
    };
    for _ in 0..TRIES {
        match listens(address) {
            // Of two that bind first and listen at the same moment the kernel may refuse both: each is seen as listening already
            // (`inet_csk_listen_start` of net/ipv4/inet_connection_sock.c). Whoever comes a moment later is refused by bind(2).
            Err((Errno::EADDRINUSE, true)) => {}
            socket => {
                let socket = socket.map_err(|(errno, _)| fail(errno))?;
                let bound = sys::getsockname(socket.as_fd()).map_err(fail)?;
                let bound = socket_address(&bound).unwrap_or(address);
                return Ok((socket, bound));
            }
        }
    }
    Err(fail(Errno::EADDRINUSE))
}

/// A socket that listens there, or why not, and whether that came when it was bound already.
fn listens(address: SocketAddr) -> std::result::Result<OwnedFd, (Errno, bool)> {
    let early = |errno| (errno, false);
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = sys::socket(family, SockType::Stream, SockFlag::SOCK_NONBLOCK).map_err(early)?;
    // Connections that are over don't keep the port. The others are what those that are accepted have from it, tcp(7): what is
    // forwarded is not held back, and who has vanished without a word is noticed some time.
    setsockopt(&socket, sockopt::ReuseAddr, &true).map_err(early)?;
    setsockopt(&socket, sockopt::TcpNoDelay, &true).map_err(early)?;
    setsockopt(&socket, sockopt::KeepAlive, &true).map_err(early)?;
    sys::bind(socket.as_fd(), &Address::Inet(address).raw()).map_err(early)?;
    listen(&socket, Backlog::MAXCONN).map_err(|errno| (errno, true))?;
    Ok(socket)
}

fn called(container: &Shared, to: SocketAddr) -> String {
    format!("{to} of container {}", container.called())
}
