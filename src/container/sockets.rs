//! Sockets inside that are held outside: a socket belongs to the network namespace of whoever called socket(2), for good. So a
//! helper makes it in the container's network, and hands it out; what then waits, waits in the caller's process, with the caller's
//! time-out. No address of the host, no route and no published port is in it.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::CloneFlags;
use nix::sys::socket::{SockFlag, SockType, getsockopt, setsockopt, sockopt};

use super::kept;
use super::shared::Shared;
use super::within::{Within, check_root};
use crate::helper::{Helper, add_hint};
use crate::network::Address;
use crate::plan::{Plan, Slot};
use crate::zygote::Zygote;
use crate::{Error, ErrorCode, Result, Step, sys};

/// What kind of socket, socket(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketType {
    /// A connection: TCP, or a stream at a path.
    Stream,
    /// Datagrams: UDP, or datagrams to a path.
    Datagram,
}

impl SocketType {
    fn of_nix(self) -> SockType {
        match self {
            Self::Stream => SockType::Stream,
            Self::Datagram => SockType::Datagram,
        }
    }
}

/// The longest sleep without a look whether the container is still there.
const SLICE: Duration = Duration::from_millis(100);

/// How long there is between two tries to reach what is not there yet.
const PAUSE: Duration = Duration::from_millis(10);

/// A socket that is being connected.
pub struct Connecting {
    container: Arc<Shared>,
    kind: SocketType,
    address: Address,
    state: State,
}

enum State {
    /// connect(2) is under way, or done.
    Socket(OwnedFd),
    /// A helper tries it inside: by a path the server may be found, and with whose rights, there alone.
    Inside(Box<Inside>),
}

impl Connecting {
    pub(super) fn start(container: &Arc<Shared>, kind: SocketType, address: &OsStr, port: u16) -> Result<Self> {
        let address = Address::new(Step::ConnectTo, address, port)?;
        let state = match address {
            Address::Inet(at) => State::Socket(connect(container, kind, at)?),
            Address::Path(_) => {
                check_root(container, Step::ConnectTo, called(container, &address))?;
                State::Inside(Box::new(Inside::enter(Within::open(container, &["mnt"])?)?))
            }
        };
        Ok(Self { container: Arc::clone(container), kind, address, state })
    }

    /// Waits until it is connected, at most `timeout` (`None`: as long as the kernel tries); `None` if it is not by then, and
    /// it can be waited for again.
    pub fn wait(mut self, timeout: Option<Duration>) -> Result<std::result::Result<OwnedFd, Self>> {
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        match self.state {
            State::Socket(socket) => {
                if established(&self.container, &socket, &self.address, end)? {
                    return blocking(socket, &self.address, &self.container).map(Ok);
                }
                self.state = State::Socket(socket);
            }
            State::Inside(mut inside) => {
                loop {
                    match inside.connect_path(&self.container, self.kind, &self.address) {
                        // Its backlog is full: unix(7) does not wait for that where a socket may not wait at all.
                        Err(error) if error.errno() == libc::EAGAIN => {}
                        socket => return blocking(socket?, &self.address, &self.container).map(Ok),
                    }
                    if end.is_some_and(|end| Instant::now() >= end) {
                        break;
                    }
                    std::thread::sleep(PAUSE);
                    self.container.check_running()?;
                }
                self.state = State::Inside(inside);
            }
        }
        Ok(Err(self))
    }

    /// The same, where a time-out is an error.
    pub fn finish(self, timeout: Option<Duration>) -> Result<OwnedFd> {
        self.wait(timeout)?.map_err(|late| {
            timed_out(&late.container, &late.address, "nothing inside has answered within the time-out")
        })
    }
}

/// Waits until something listens for TCP at this address.
pub fn wait_for_port(container: &Shared, address: &OsStr, port: u16, timeout: Option<Duration>) -> Result<()> {
    let address = Address::new(Step::ConnectTo, address, port)?;
    let Address::Inet(at) = address else {
        let why = "a path is no port: connect to it";
        return Err(Error::invalid(Step::ConnectTo, address, why));
    };
    let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let socket = connect(container, SocketType::Stream, at);
        match socket.and_then(|socket| established(container, &socket, &address, end)) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) if error.failed_step() == Step::ConnectTo && is_not_there_yet(error.errno()) => {}
            Err(error) => return Err(error),
        }
        if end.is_some_and(|end| Instant::now() >= end) {
            return Err(timed_out(container, &address, "nothing has listened there within the time-out"));
        }
        std::thread::sleep(PAUSE);
        container.check_running()?;
    }
}

/// A socket that is bound to this address of the container, and listens where its kind does.
pub fn listen(container: &Shared, kind: SocketType, address: &OsStr, port: u16) -> Result<OwnedFd> {
    let address = Address::new(Step::ListenAt, address, port)?;
    if let Address::Path(_) = address {
        let why = "who is to find a socket by its path makes it inside, or in a directory that is bound";
        return Err(Error::invalid(Step::ListenAt, address, why));
    }
    in_network(container, Step::ListenAt, &address, |plan| {
        let (socket, raw) = (plan.slot(), address.raw());
        plan.socket(address.family(), kind.of_nix(), SockFlag::empty()).out(socket);
        let at = plan.data(&raw, 8);
        if kind == SocketType::Stream {
            // As every server does, so that connections which are over don't keep their port: socket(7).
            plan.reuse_address(socket);
        }
        plan.bind_socket(socket, at, raw.len());
        if kind == SocketType::Stream {
            plan.listen(socket, libc::SOMAXCONN);
        }
        socket
    })
}

/// Has a helper in the container's network make the socket that `planned` says.
fn in_network(
    container: &Shared,
    step: Step,
    address: &Address,
    planned: impl Fn(&mut Plan<'static>) -> Slot,
) -> Result<OwnedFd> {
    let start = |zygote: &Arc<Zygote>| {
        let mut within = Within::open_network(container)?;
        let helper = within.start(CloneFlags::empty()).start_in(zygote)?;
        let mut plan = Plan::new();
        within.enter(&mut plan);
        kept::settle(&mut plan);
        helper.run(&plan, &[]).map_err(add_hint)?;
        Ok(helper.kept())
    };
    let ask = |helper: &Helper| {
        let mut plan = Plan::new();
        plan.step(step, called(container, address), "", "");
        kept::renew(&mut plan);
        let socket = planned(&mut plan);
        helper.run(&plan, &[socket]).map_err(add_hint)?.pop().ok_or_else(|| no_socket(container, address))
    };
    container.check_for_helper()?;
    container.socket_helper.with(&container.destroyed, start, ask)
}

/// A socket that is on its way to this address, or there.
fn connect(container: &Shared, kind: SocketType, at: SocketAddr) -> Result<OwnedFd> {
    let address = Address::Inet(at);
    if at.port() == 0 {
        return Err(Error::invalid(Step::ConnectTo, called(container, &address), "nothing can listen on port 0"));
    }
    // It knows its network for good, whoever connects it.
    let socket = in_network(container, Step::ConnectTo, &address, |plan| {
        let socket = plan.slot();
        plan.socket(address.family(), kind.of_nix(), SockFlag::SOCK_NONBLOCK).out(socket);
        socket
    })?;
    match sys::connect(socket.as_fd(), &address.raw()) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(socket),
        Err(errno) => Err(not_connected(container, &address, errno as i32)),
    }
}

/// A helper where a path is, for one socket.
struct Inside {
    helper: Helper,
    /// It goes there with the first thing that it does.
    entering: Option<Plan<'static>>,
}

impl Inside {
    fn enter(mut within: Within) -> Result<Self> {
        let helper = within.start(CloneFlags::empty()).start()?;
        let mut plan = Plan::new();
        within.enter(&mut plan);
        Ok(Self { helper, entering: Some(plan) })
    }

    /// A socket that is connected to a path. The helper's root is the container's by then, so no link leads out of it; and it
    /// is root of the container that connects, which the server may ask: SO_PEERCRED of unix(7).
    fn connect_path(&mut self, container: &Shared, kind: SocketType, address: &Address) -> Result<OwnedFd> {
        let mut plan = self.entering.take().unwrap_or_default();
        plan.step(Step::ConnectTo, called(container, address), "", "");
        let (socket, raw) = (plan.slot(), address.raw());
        plan.socket(address.family(), kind.of_nix(), SockFlag::SOCK_NONBLOCK).out(socket);
        let at = plan.data(&raw, 8);
        plan.connect(socket, at, raw.len());
        self.helper.run(&plan, &[socket]).map_err(add_hint)?.pop().ok_or_else(|| no_socket(container, address))
    }
}

/// Waits until a socket is connected; `false` if it is not by `end`.
fn established(container: &Shared, socket: &OwnedFd, address: &Address, end: Option<Instant>) -> Result<bool> {
    let failed = |errno: Errno| not_connected(container, address, errno as i32);
    loop {
        let left = end.map_or(SLICE, |end| end.saturating_duration_since(Instant::now()));
        let slice = left.min(SLICE).as_micros().div_ceil(1000) as u16;
        let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut polled, PollTimeout::from(slice)) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => break,
            Err(errno) => return Err(failed(errno)),
        }
        if end.is_some_and(|end| Instant::now() >= end) {
            return Ok(false);
        }
        // Its processes would never answer, and its network would keep the socket waiting for minutes.
        container.check_running()?;
    }
    match getsockopt(socket, sockopt::SocketError).map_err(failed)? {
        0 if is_its_own_peer(socket) => {
            // Closed as usual, it would keep the port from a server for a minute: TIME_WAIT of tcp(7).
            let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
            setsockopt(socket, sockopt::Linger, &at_once).map_err(failed)?;
            Err(failed(Errno::ECONNREFUSED))
        }
        0 => Ok(true),
        errno => Err(failed(Errno::from_raw(errno))),
    }
}

/// Where nothing listens on a port of those that the kernel gives out, it may give that very one to a socket that tries to reach
/// it; then the two ends of TCP's handshake, tcp(7), are the same.
fn is_its_own_peer(socket: &OwnedFd) -> bool {
    let own = sys::getsockname(socket.as_fd());
    own.is_ok() && own == sys::getpeername(socket.as_fd())
}

/// As everybody expects a socket that is connected.
fn blocking(socket: OwnedFd, address: &Address, container: &Shared) -> Result<OwnedFd> {
    let set = |flags| fcntl(&socket, FcntlArg::F_SETFL(OFlag::from_bits_retain(flags) & !OFlag::O_NONBLOCK));
    match fcntl(&socket, FcntlArg::F_GETFL).and_then(set) {
        Ok(_) => Ok(socket),
        Err(errno) => Err(not_connected(container, address, errno as i32)),
    }
}

/// What a server is waited for with.
fn is_not_there_yet(errno: i32) -> bool {
    // The last two: a network that is still being set up.
    matches!(errno, libc::ECONNREFUSED | libc::ETIMEDOUT | libc::ENETUNREACH | libc::EHOSTUNREACH)
}

fn called(container: &Shared, address: &Address) -> String {
    format!("{address} of container {}", container.called())
}

fn not_connected(container: &Shared, address: &Address, errno: i32) -> Error {
    Error::system(Step::ConnectTo, called(container, address), errno).with_known_hint()
}

fn no_socket(container: &Shared, address: &Address) -> Error {
    Error::system(Step::AskHelper, called(container, address), libc::EPROTO)
}

fn timed_out(container: &Shared, address: &Address, why: &str) -> Error {
    Error::new(ErrorCode::TimedOut, Step::ConnectTo, called(container, address), libc::ETIMEDOUT, why)
}
