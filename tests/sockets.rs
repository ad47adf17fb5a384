//! Sockets inside that are held outside: they are in the container's network, of which the host has nothing. What is true for root is
//! true for ordinary users, with further ids and without: [`for_everybody`].

mod common;

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use common::leftovers::{Scope, processes};
use common::{LONG, busybox, end_of, has_python, quiet, run, sh};
use ctr::{Config, Container, Error, ErrorCode, Network, Process, SocketType, Step};
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const LOCAL: &str = "127.0.0.1";

fn made(scope: &Scope) -> Container {
    Container::create(busybox(), &scope.config()).unwrap()
}

/// One that says back what it is told, to any number of clients.
fn echo(container: &Container, port: u16) -> Process {
    container.exec(["nc", "-ll", "-p", &port.to_string(), "-e", "/bin/cat"], &quiet()).unwrap()
}

fn said(stream: &mut (impl Read + Write), text: &str) -> String {
    stream.write_all(text.as_bytes()).unwrap();
    let mut heard = vec![0; text.len()];
    stream.read_exact(&mut heard).unwrap();
    String::from_utf8(heard).unwrap()
}

/// Code, errno, step.
fn told(error: &Error) -> (ErrorCode, i32, Step) {
    (error.code(), error.errno(), error.failed_step())
}

fn connect(container: &Container, address: &str, port: u16) -> ctr::Result<OwnedFd> {
    container.connect(SocketType::Stream, address, port, LONG)
}

fn for_everybody() {
    a_server_inside_is_reached_from_outside();
    a_program_inside_reaches_who_listens_outside();
    a_port_on_which_nothing_listens_is_told_with_its_address();
    a_port_is_waited_for();
    a_joiner_connects_and_listens_as_the_maker_does();
    a_path_is_one_inside();
    datagrams_go_both_ways();
    the_hosts_network_is_the_hosts_where_it_is_shared();
    a_network_of_another_container_is_that_ones();
}

common::lane::users_can!(for_everybody);

#[test]
fn a_server_inside_is_reached_from_outside() {
    let scope = Scope::new("reached");
    let container = made(&scope);
    let server = echo(&container, 5432);
    container.wait_for_port(LOCAL, 5432, LONG).unwrap();
    for address in [LOCAL, "localhost"] {
        let socket = connect(&container, address, 5432).unwrap();
        assert!(socket.as_raw_fd() >= 3);
        let flags = fcntl(&socket, FcntlArg::F_GETFD).unwrap();
        assert_eq!(flags, libc::FD_CLOEXEC);
        assert_eq!(fcntl(&socket, FcntlArg::F_GETFL).unwrap() & libc::O_NONBLOCK, 0, "it waits, as sockets do");
        let mut stream = TcpStream::from(socket);
        assert_eq!(said(&mut stream, "to whom it may concern"), "to whom it may concern");
        assert_eq!(stream.peer_addr().unwrap().to_string(), "127.0.0.1:5432");
    }
    // Nothing of it is on the host.
    let outside = fs::read_to_string("/proc/net/tcp").unwrap();
    assert!(!outside.contains(":1538 "), "{outside}");
    let mut stream = TcpStream::from(connect(&container, LOCAL, 5432).unwrap());
    server.kill(libc::SIGKILL).unwrap();
    end_of(&server);
    container.destroy().unwrap();
    // A socket outlives its container, and nobody is there.
    stream.set_read_timeout(LONG).unwrap();
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
    assert_eq!(connect(&container, LOCAL, 5432).unwrap_err().code(), ErrorCode::Destroyed);
    assert_eq!(container.wait_for_port(LOCAL, 5432, LONG).unwrap_err().code(), ErrorCode::Destroyed);
    assert_eq!(container.listen(SocketType::Stream, LOCAL, 0).unwrap_err().code(), ErrorCode::Destroyed);
    scope.assert_nothing_left();
}

#[test]
fn a_program_inside_reaches_who_listens_outside() {
    let scope = Scope::new("listens");
    let container = made(&scope);
    // A low one, for anybody.
    let listener = TcpListener::from(container.listen(SocketType::Stream, LOCAL, 80).unwrap());
    assert_eq!(sh(&container, "netstat -lnt | grep -c 127.0.0.1:80"), "1");
    let client = container.exec(["sh", "-c", "[ \"$(echo ask | nc 127.0.0.1 80)\" = answer ]"], &quiet()).unwrap();
    let (mut stream, from) = listener.accept().unwrap();
    assert!(from.ip().is_loopback());
    let mut heard = [0; 4];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"ask\n");
    stream.write_all(b"answer\n").unwrap();
    drop(stream);
    assert_eq!(end_of(&client).code, 0);
    let error = container.listen(SocketType::Stream, LOCAL, 80).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::System, libc::EADDRINUSE, Step::ListenAt), "{error}");
    assert!(error.to_string().contains("127.0.0.1:80 of container"), "{error}");
    drop(listener);
    // At once again, and a free one.
    drop(container.listen(SocketType::Stream, LOCAL, 80).unwrap());
    let any = TcpListener::from(container.listen(SocketType::Stream, LOCAL, 0).unwrap());
    assert_ne!(any.local_addr().unwrap().port(), 0);
    let error = container.listen(SocketType::Stream, "192.0.2.1", 80).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::System, libc::EADDRNOTAVAIL, Step::ListenAt), "{error}");
    let error = container.listen(SocketType::Stream, "/run/x", 0).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::Invalid, libc::EINVAL, Step::ListenAt), "{error}");
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_port_on_which_nothing_listens_is_told_with_its_address() {
    let scope = Scope::new("refused");
    let container = made(&scope);
    let error = connect(&container, LOCAL, 5432).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::System, libc::ECONNREFUSED, Step::ConnectTo));
    let name = container.name();
    assert_eq!(
        error.to_string(),
        format!(
            "connect to 127.0.0.1:5432 of container {name}: ECONNREFUSED, connection refused (does anything listen there \
             yet? wait_for_port waits for that)"
        )
    );
    let error = connect(&container, "192.0.2.1", 80).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::System, libc::ENETUNREACH, Step::ConnectTo), "{error}");
    for (address, port) in [("db.example", 5432), ("", 1), (LOCAL, 0), ("/run/x", 5), ("\x1b[31m", 1)] {
        let error = connect(&container, address, port).unwrap_err();
        assert_eq!(told(&error), (ErrorCode::Invalid, libc::EINVAL, Step::ConnectTo), "{error}");
        assert!(!error.to_string().contains('\x1b'));
    }
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_port_is_waited_for() {
    let scope = Scope::new("waits");
    let container = made(&scope);
    let start = Instant::now();
    // One of those that the kernel gives out: a socket that is tried often enough meets itself there.
    let error = container.wait_for_port(LOCAL, 40000, Some(Duration::from_millis(300))).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::TimedOut, libc::ETIMEDOUT, Step::ConnectTo), "{error}");
    assert!(error.to_string().contains("127.0.0.1:40000"), "{error}");
    assert!((Duration::from_millis(300)..Duration::from_secs(20)).contains(&start.elapsed()));
    let late = container.exec(["sh", "-c", "sleep 0.3; exec nc -ll -p 40000 -e /bin/cat"], &quiet()).unwrap();
    container.wait_for_port(LOCAL, 40000, LONG).unwrap();
    let mut stream = TcpStream::from(connect(&container, LOCAL, 40000).unwrap());
    assert_eq!(said(&mut stream, "there"), "there");
    late.kill(libc::SIGKILL).unwrap();
    end_of(&late);
    // Its end ends a wait.
    std::thread::scope(|threads| {
        let waits = threads.spawn(|| container.wait_for_port(LOCAL, 1, None));
        std::thread::sleep(Duration::from_millis(50));
        container.destroy().unwrap();
        assert_eq!(waits.join().unwrap().unwrap_err().code(), ErrorCode::Destroyed);
    });
    scope.assert_nothing_left();
}

/// Of the ports that the kernel gives out, it gives one to a socket that tries to reach that very port, sooner or later. Here there
/// are two.
#[test]
fn a_socket_that_meets_itself_has_met_nobody_and_leaves_the_port() {
    let scope = Scope::new("itself");
    let config =
        scope.config().with(|c| c.sysctls = [("net.ipv4.ip_local_port_range".into(), "40000 40001".into())].into());
    let container = Container::create(busybox(), &config).unwrap();
    for _ in 0..3 {
        let error = container.wait_for_port(LOCAL, 40000, Some(Duration::from_millis(50))).unwrap_err();
        assert_eq!(told(&error), (ErrorCode::TimedOut, libc::ETIMEDOUT, Step::ConnectTo), "{error}");
    }
    for _ in 0..5 {
        let error = connect(&container, LOCAL, 40000).unwrap_err();
        assert_eq!(told(&error), (ErrorCode::System, libc::ECONNREFUSED, Step::ConnectTo), "{error}");
    }
    let _listener = container.listen(SocketType::Stream, LOCAL, 40000).unwrap();
    container.wait_for_port(LOCAL, 40000, LONG).unwrap();
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn nobody_waits_for_a_server_that_does_not_answer() {
    let scope = Scope::new("answers");
    let container = made(&scope);
    // A backlog of one that is full, so that the kernel drops who comes next.
    let listener = container.listen(SocketType::Stream, LOCAL, 7).unwrap();
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let mut held = Vec::new();
    let error = loop {
        let start = Instant::now();
        match container.connect(SocketType::Stream, LOCAL, 7, Some(Duration::from_millis(200))) {
            Ok(socket) => held.push(socket),
            Err(error) => {
                assert!(start.elapsed() >= Duration::from_millis(200));
                break error;
            }
        }
        assert!(held.len() < 10);
    };
    assert_eq!(told(&error), (ErrorCode::TimedOut, libc::ETIMEDOUT, Step::ConnectTo), "{error}");
    // What waits can be waited for again: the kernel tries every second or so, and by then there is room.
    let connecting = container.connecting(SocketType::Stream, LOCAL, 7).unwrap();
    let connecting = connecting.wait(Some(Duration::ZERO)).unwrap().expect_err("there is no room");
    let listener = TcpListener::from(listener);
    for _ in 0..held.len() {
        listener.accept().unwrap();
    }
    assert!(connecting.wait(LONG).unwrap().is_ok());
    // Nor for a container that is over.
    let late = held.len();
    while container
        .connect(SocketType::Stream, LOCAL, 7, Some(Duration::from_millis(200)))
        .map(|it| held.push(it))
        .is_ok()
    {
        assert!(held.len() < late + 10);
    }
    let connecting = container.connecting(SocketType::Stream, LOCAL, 7).unwrap();
    container.destroy().unwrap();
    let error = connecting.finish(None).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Destroyed, "{error}");
    drop((held, listener));
    scope.assert_nothing_left();
}

#[test]
fn a_joiner_connects_and_listens_as_the_maker_does() {
    let scope = Scope::new("joiner");
    let container = made(&scope);
    let joined = scope.client().join(container.name()).unwrap();
    let listener = TcpListener::from(joined.listen(SocketType::Stream, LOCAL, 9).unwrap());
    let mut from_maker = TcpStream::from(connect(&container, LOCAL, 9).unwrap());
    let mut stream = listener.accept().unwrap().0;
    from_maker.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    let mut from_joiner = TcpStream::from(connect(&joined, LOCAL, 9).unwrap());
    listener.accept().unwrap().0.write_all(b"y").unwrap();
    from_joiner.read_exact(&mut [0]).unwrap();
    joined.wait_for_port(LOCAL, 9, LONG).unwrap();
    container.destroy().unwrap();
    assert_eq!(connect(&joined, LOCAL, 9).unwrap_err().code(), ErrorCode::Destroyed);
    scope.assert_nothing_left();
}

/// A server of Python's at a path, which says who connects, and back what it hears.
const AT_PATH: &str = "import socket, struct
server = socket.socket(socket.AF_UNIX)
server.bind('/tmp/db.sock')
server.listen()
while True:
    s = server.accept()[0]
    uid = struct.unpack('3i', s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
    s.sendall(b'%d ' % uid + s.recv(9))
    s.close()";

#[test]
fn a_path_is_one_inside() {
    if !has_python() {
        return;
    }
    let scope = Scope::new("path");
    let container = Container::create("host", &scope.config()).unwrap();
    let error = connect(&container, "/tmp/db.sock", 0).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::System, libc::ENOENT, Step::ConnectTo), "{error}");
    container.exec(["python3", "-c", AT_PATH], &quiet()).unwrap();
    sh(&container, "while [ ! -S /tmp/db.sock ]; do sleep 0.01; done; ln -s ../../../tmp/db.sock /tmp/link");
    // A link leads nowhere outside, and who connects is root inside.
    for path in ["/tmp/db.sock", "/tmp/link", "/../tmp/link"] {
        let attempt = || connect(&container, path, 0);
        // It listens a moment after its path is there.
        let mut socket = attempt();
        for _ in 0..100 {
            if matches!(&socket, Err(error) if error.errno() == libc::ECONNREFUSED) {
                std::thread::sleep(Duration::from_millis(10));
                socket = attempt();
            }
        }
        let mut stream = UnixStream::from(socket.unwrap());
        stream.write_all(b"hello").unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "0 hello", "{path}");
    }
    // The host's own sockets are not among what is found inside.
    let outside = scope.dir().join("outside.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&outside).unwrap();
    let outside = outside.to_str().unwrap();
    sh(&container, &format!("ln -s {outside} /tmp/out; ln -s /proc/1/root{outside} /tmp/out2"));
    for path in [outside, "/tmp/out", "/tmp/out2"] {
        let error = connect(&container, path, 0).unwrap_err();
        assert!(matches!(error.errno(), libc::ENOENT | libc::EACCES), "{error}");
    }
    let error = container.wait_for_port("/tmp/db.sock", 0, LONG).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::Invalid, libc::EINVAL, Step::ConnectTo), "{error}");
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn datagrams_go_both_ways() {
    let scope = Scope::new("udp");
    let container = made(&scope);
    let server = UdpSocket::from(container.listen(SocketType::Datagram, LOCAL, 53).unwrap());
    let client = UdpSocket::from(container.connect(SocketType::Datagram, LOCAL, 53, LONG).unwrap());
    client.send(b"who?").unwrap();
    let mut heard = [0; 9];
    let (len, from) = server.recv_from(&mut heard).unwrap();
    assert_eq!((&heard[..len], from), (&b"who?"[..], client.local_addr().unwrap()));
    server.send_to(b"you", from).unwrap();
    assert_eq!(client.recv(&mut heard).unwrap(), 3);
    assert!(run(&container, &["netstat", "-lnu"]).0.contains("127.0.0.1:53"));
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn the_hosts_network_is_the_hosts_where_it_is_shared() {
    let scope = Scope::new("shared");
    let config = scope.config().with(|c| c.network = Some(Network::Host));
    let container = Container::create(busybox(), &config).unwrap();
    let listener = TcpListener::bind((LOCAL, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut stream = TcpStream::from(connect(&container, LOCAL, port).unwrap());
    listener.accept().unwrap().0.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    let inside = TcpListener::from(container.listen(SocketType::Stream, LOCAL, 0).unwrap());
    TcpStream::connect(inside.local_addr().unwrap()).unwrap();
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_network_of_another_container_is_that_ones() {
    let scope = Scope::new("other");
    let container = made(&scope);
    let config = scope.config().with(|c| c.network = Some(Network::Container(container.name().into())));
    let other = Container::create(busybox(), &config).unwrap();
    let listener = TcpListener::from(container.listen(SocketType::Stream, LOCAL, 9).unwrap());
    let mut stream = TcpStream::from(connect(&other, LOCAL, 9).unwrap());
    listener.accept().unwrap().0.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    other.destroy().unwrap();
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_process_of_anybodys_has_a_network_too() {
    let scope = Scope::new("pid");
    let container = made(&scope);
    let sleeper = container.exec(["sleep", "100"], &quiet()).unwrap();
    let joined = Container::join_pid(sleeper.host_pid().unwrap(), ctr::NamespaceSet::ALL).unwrap();
    let listener = TcpListener::from(joined.listen(SocketType::Stream, LOCAL, 9).unwrap());
    let _stream = TcpStream::from(connect(&container, LOCAL, 9).unwrap());
    listener.accept().unwrap();
    let error = connect(&joined, "/tmp/x", 0).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::Invalid, libc::EINVAL, Step::ConnectTo), "{error}");
    joined.destroy().unwrap();
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn what_a_connection_takes() {
    let container = Container::create(busybox(), &Config::default()).unwrap();
    let listener = TcpListener::from(container.listen(SocketType::Stream, OsStr::new(LOCAL), 9).unwrap());
    let mut times = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        let socket = connect(&container, LOCAL, 9).unwrap();
        times.push(start.elapsed());
        listener.accept().unwrap();
        drop(socket);
    }
    times.sort();
    // A helper is asked, and the first time started. What is much more than that is a mistake.
    println!("a connection takes {:?} (median)", times[25]);
    assert!(times[5] < Duration::from_millis(100), "{times:?}");
}

#[test]
fn one_helper_makes_them_all_and_another_one_where_it_was_killed() {
    if !nix::unistd::geteuid().is_root() {
        return common::skipped("root alone sees whose namespaces a process has");
    }
    let scope = Scope::new("sk-kept");
    let container = made(&scope);
    let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let its_own = namespace(container.pid()).unwrap();
    let helpers = || {
        let all = processes().into_iter().filter(|it| it.comm == "ctr-helper" && it.state != 'Z');
        all.map(|it| it.pid).filter(|&pid| namespace(pid) == Some(its_own.clone())).collect::<Vec<_>>()
    };
    let listener = TcpListener::from(container.listen(SocketType::Stream, OsStr::new(LOCAL), 9).unwrap());
    let first = helpers();
    assert_eq!(first.len(), 1);
    for _ in 0..3 {
        connect(&container, LOCAL, 9).unwrap();
        listener.accept().unwrap();
    }
    container.wait_for_port(LOCAL, 9, LONG).unwrap();
    assert_eq!(helpers(), first);
    kill(Pid::from_raw(first[0]), Signal::SIGKILL).unwrap();
    connect(&container, LOCAL, 9).unwrap();
    assert_eq!(helpers().len(), 1);
    assert_ne!(helpers(), first);
    container.destroy().unwrap();
    assert!(helpers().is_empty());
    scope.assert_nothing_left();
}
