//! Ports of the host that lead into a container: real connections, through both networks. What is true for root is true for ordinary
//! users, with further ids and without: [`for_everybody`].

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::leftovers::Scope;
use common::{LONG, busybox, end_of, eventually, quiet};
use ctr::{Config, Container, Error, ErrorCode, Network, Port, PublishedPort, SocketType, Step};
use nix::libc::linger;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::{Pid, geteuid};

const LOCAL: &str = "127.0.0.1";

fn made(scope: &Scope) -> Container {
    Container::create(busybox(), &scope.config()).unwrap()
}

/// A listening socket inside, and the port of the host that leads to it.
fn published(container: &Container) -> (TcpListener, Port) {
    let server = TcpListener::from(container.listen(SocketType::Stream, LOCAL, 0).unwrap());
    let port = container.publish(LOCAL, 0, LOCAL, server.local_addr().unwrap().port()).unwrap();
    (server, port)
}

/// Says back what it is told to any number of clients, on threads of their own, until each says no more.
struct Echo {
    server: TcpListener,
    accepts: Option<thread::JoinHandle<()>>,
}

fn echo(server: &TcpListener) -> Echo {
    let (server, accepts) = (server.try_clone().unwrap(), server.try_clone().unwrap());
    let accepts = thread::spawn(move || {
        let mut clients = Vec::new();
        while let Ok((client, _)) = accepts.accept() {
            clients.push(thread::spawn(move || _ = std::io::copy(&mut &client, &mut &client)));
        }
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    Echo { server, accepts: Some(accepts) }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // Ends accept(2).
        nix::sys::socket::shutdown(self.server.as_raw_fd(), nix::sys::socket::Shutdown::Both).unwrap();
        if let Some(accepts) = self.accepts.take().filter(|_| !thread::panicking()) {
            accepts.join().unwrap();
        }
    }
}

fn connected(port: &Port) -> TcpStream {
    let stream = TcpStream::connect(port.address).unwrap();
    stream.set_read_timeout(LONG).unwrap();
    stream.set_write_timeout(LONG).unwrap();
    stream
}

fn said(stream: &mut TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).unwrap();
    let mut heard = vec![0; text.len()];
    stream.read_exact(&mut heard).unwrap();
    String::from_utf8(heard).unwrap()
}

/// Bytes of which no two kilobytes are alike.
fn bytes(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..count).map(next).collect()
}

/// Code, errno, step.
fn told(error: &Error) -> (ErrorCode, i32, Step) {
    (error.code(), error.errno(), error.failed_step())
}

/// The pids of the processes that forward for this container.
fn forwarders(container: &Container) -> Vec<i32> {
    let of = |pid: &i32| {
        let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let title = String::from_utf8_lossy(&title).into_owned();
        title.starts_with("ctr-forward: ") && title.contains(&format!(" {} at ", container.name()))
    };
    let names = fs::read_dir("/proc").unwrap().filter_map(|it| it.unwrap().file_name().to_str()?.parse().ok());
    names.filter(of).collect()
}

fn is_reset(result: std::io::Result<usize>) -> bool {
    result.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
}

/// Whether who connects is reset, maybe so soon that connect(2) says it.
fn is_refused(port: &Port) -> bool {
    let stream = TcpStream::connect(port.address);
    is_reset(stream.and_then(|mut stream| stream.set_read_timeout(LONG).and_then(|()| stream.read(&mut [0]))))
}

fn for_everybody() {
    a_server_inside_is_reached_at_a_port_of_the_host();
    megabytes_go_both_ways_at_the_same_time_and_are_the_same();
    a_side_that_has_no_more_to_say_still_hears();
    who_connects_where_nothing_listens_sees_a_reset();
    a_peer_that_never_reads_holds_up_nobody_else();
    a_forwarder_that_was_killed_is_told_and_can_be_made_again();
    a_joiner_sees_and_ends_what_others_have_published();
    the_port_is_free_again_once_the_container_is_gone();
    a_port_in_use_is_told_by_number();
    what_can_not_be_published_is_refused();
    a_container_is_made_with_its_ports_or_not_at_all();
    urgent_data_stops_nothing();
    both_sides_that_end_at_the_same_moment_end_one_connection();
}

common::lane::users_can!(for_everybody);

#[test]
fn a_server_inside_is_reached_at_a_port_of_the_host() {
    let scope = Scope::new("fw-reached");
    let container = made(&scope);
    let server = container.exec(["nc", "-ll", "-p", "80", "-e", "/bin/cat"], &quiet()).unwrap();
    container.wait_for_port(LOCAL, 80, LONG).unwrap();
    let port = container.publish(LOCAL, 0, LOCAL, 80).unwrap();
    assert!(port.address.ip().is_loopback() && port.address.port() > 0 && port.running);
    assert_eq!(port.to.to_string(), "127.0.0.1:80");
    for _ in 0..3 {
        assert_eq!(said(&mut connected(&port), "to whom it may concern"), "to whom it may concern");
    }
    assert_eq!(container.ports().unwrap(), [port]);
    let inspected = container.inspect().unwrap();
    assert_eq!(inspected.ports, [port]);
    assert!(
        inspected
            .to_json()
            .contains(&format!(r#""ports":[{{"address":"{}","to":"127.0.0.1:80","running":true}}]"#, port.address))
    );
    container.unpublish(LOCAL, port.address.port()).unwrap();
    assert_eq!(container.ports().unwrap(), []);
    assert!(forwarders(&container).is_empty());
    drop(TcpListener::bind(port.address).unwrap());
    let error = container.unpublish(LOCAL, port.address.port()).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::NotFound, libc::ENOENT, Step::StopForwarder), "{error}");
    server.kill(libc::SIGKILL).unwrap();
    end_of(&server);
    container.destroy().unwrap();
    assert_eq!(container.publish(LOCAL, 0, LOCAL, 80).unwrap_err().code(), ErrorCode::Destroyed);
    assert_eq!(container.ports().unwrap_err().code(), ErrorCode::Destroyed);
    scope.assert_nothing_left();
}

#[test]
fn megabytes_go_both_ways_at_the_same_time_and_are_the_same() {
    let scope = Scope::new("fw-bytes");
    let container = made(&scope);
    let (server, port) = published(&container);
    let _echo = echo(&server);
    let sent = bytes(24 << 20);
    let mut stream = connected(&port);
    let mut writes = stream.try_clone().unwrap();
    let heard = thread::scope(|threads| {
        threads.spawn(|| {
            // Of any size, so that pieces don't fit.
            for piece in sent.chunks(100_003) {
                writes.write_all(piece).unwrap();
            }
            writes.shutdown(Shutdown::Write).unwrap();
        });
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        heard
    });
    assert!(heard == sent, "{} bytes came back of {}", heard.len(), sent.len());
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_side_that_has_no_more_to_say_still_hears() {
    let scope = Scope::new("fw-half");
    let container = made(&scope);
    let (server, port) = published(&container);
    // The client ends first, and hears the answer to all of it.
    let mut client = connected(&port);
    let (mut inside, from) = server.accept().unwrap();
    assert!(from.ip().is_loopback());
    client.write_all(b"all of it").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut heard = String::new();
    inside.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "all of it");
    inside.write_all(b"and the answer").unwrap();
    drop(inside);
    heard.clear();
    client.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "and the answer");
    // The server does.
    let mut client = connected(&port);
    let (mut inside, _) = server.accept().unwrap();
    inside.write_all(b"hello").unwrap();
    inside.shutdown(Shutdown::Write).unwrap();
    heard.clear();
    client.read_to_string(&mut heard).unwrap();
    client.write_all(b"late").unwrap();
    drop(client);
    let mut late = String::new();
    inside.read_to_string(&mut late).unwrap();
    assert_eq!((heard.as_str(), late.as_str()), ("hello", "late"));
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn who_connects_where_nothing_listens_sees_a_reset() {
    let scope = Scope::new("fw-refused");
    let container = made(&scope);
    let port = container.publish(LOCAL, 0, LOCAL, 81).unwrap();
    assert!(is_refused(&port));
    // Where no route leads, too.
    let nowhere = container.publish(LOCAL, 0, "192.0.2.1", 81).unwrap();
    assert!(is_refused(&nowhere));
    // A server that comes later is found.
    let server = TcpListener::from(container.listen(SocketType::Stream, LOCAL, 81).unwrap());
    let mut stream = connected(&port);
    let (mut inside, _) = server.accept().unwrap();
    inside.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    // What is reset inside is reset outside, and the other way about.
    inside.write_all(b"unread").unwrap();
    let reset = |socket: &TcpStream| {
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::Linger, &linger).unwrap();
    };
    reset(&inside);
    drop(inside);
    eventually("a reset", || is_reset(stream.read(&mut [0; 64])));
    let stream = connected(&port);
    let (mut inside, _) = server.accept().unwrap();
    inside.set_read_timeout(LONG).unwrap();
    reset(&stream);
    drop(stream);
    assert!(is_reset(inside.read(&mut [0])));
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_peer_that_never_reads_holds_up_nobody_else() {
    let scope = Scope::new("fw-slow");
    let container = made(&scope);
    let (server, port) = published(&container);
    let mut stuck = Vec::new();
    for _ in 0..4 {
        // It writes until nothing goes any more, and nobody reads.
        let mut client = connected(&port);
        client.set_nonblocking(true).unwrap();
        let (inside, _) = server.accept().unwrap();
        let chunk = vec![7u8; 1 << 16];
        let mut taken = 0;
        let mut quiet_since = Instant::now();
        while quiet_since.elapsed() < Duration::from_millis(200) {
            match client.write(&chunk) {
                Ok(count) => (taken, quiet_since) = (taken + count, Instant::now()),
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
        stuck.push((client, inside, taken));
    }
    let before = processor_time(forwarders(&container)[0]);
    let _echo = echo(&server);
    for _ in 0..20 {
        assert_eq!(said(&mut connected(&port), "quick"), "quick");
    }
    thread::sleep(Duration::from_millis(500));
    let used = processor_time(forwarders(&container)[0]) - before;
    assert!(used < Duration::from_millis(300), "{used:?} of processor time while nothing can be done");
    // What was written is there, once somebody reads.
    for (client, mut inside, taken) in stuck {
        client.shutdown(Shutdown::Write).unwrap();
        let mut heard = Vec::new();
        inside.read_to_end(&mut heard).unwrap();
        assert!(heard.len() == taken && heard.iter().all(|&byte| byte == 7), "{} of {taken}", heard.len());
    }
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

/// utime and stime of proc_pid_stat(5), in ticks of a hundredth of a second.
fn processor_time(pid: i32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// What runs inside may send without end, read nothing, answer anything: it is passed on, and no more of it is kept than two pipes and
/// the sockets take. And it reaches nothing of the host by the port that leads to it.
#[test]
fn a_server_that_floods_takes_no_memory_and_reaches_nothing() {
    let scope = Scope::new("fw-flood");
    let container = made(&scope);
    let flood = container.exec(["nc", "-ll", "-p", "81", "-e", "/bin/cat", "/dev/urandom"], &quiet()).unwrap();
    container.wait_for_port(LOCAL, 81, LONG).unwrap();
    let bad = container.publish(LOCAL, 0, LOCAL, 81).unwrap();
    let (server, good) = published(&container);
    let _echo = echo(&server);
    let pids = forwarders(&container);
    let resident = |pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    let before: Vec<_> = pids.iter().map(resident).collect();
    // One at a time: nc lets three wait for it, and who comes when they do tries again after seconds.
    let served = || {
        let mut client = connected(&bad);
        client.read_exact(&mut [0]).unwrap();
        client
    };
    let silent: Vec<_> = (0..20).map(|_| served()).collect();
    let mut reader = served();
    let mut heard = vec![0; 8 << 20];
    reader.read_exact(&mut heard).unwrap();
    assert_eq!(said(&mut connected(&good), "good"), "good");
    for (pid, before) in pids.iter().zip(before) {
        assert!(resident(pid) < before + 64, "{} KiB of {before}", resident(pid));
    }
    // The port is the host's: nobody is there inside.
    let script = format!("nc -w 5 127.0.0.1 {} < /dev/null", good.address.port());
    let status = container.exec(["sh", "-c", &script], &quiet()).unwrap();
    assert_ne!(end_of(&status).code, 0);
    drop((silent, reader));
    flood.kill(libc::SIGKILL).unwrap();
    end_of(&flood);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn five_hundred_connections_are_served_at_a_time() {
    // Both ends are ours.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let scope = Scope::new("fw-many");
    let container = made(&scope);
    let (server, port) = published(&container);
    let mut held = Vec::new();
    for _ in 0..500 {
        let client = connected(&port);
        let (inside, _) = server.accept().unwrap();
        held.push((client, inside));
    }
    for (i, (client, inside)) in held.iter_mut().enumerate() {
        client.write_all(&(i as u32).to_ne_bytes()).unwrap();
        let mut heard = [0; 4];
        inside.read_exact(&mut heard).unwrap();
        inside.write_all(&heard).unwrap();
        client.read_exact(&mut heard).unwrap();
        assert_eq!(u32::from_ne_bytes(heard), i as u32);
    }
    let pid = forwarders(&container)[0];
    // Root's only may be counted: it is as closed to its user as every process of ours.
    let open = || fs::read_dir(format!("/proc/{pid}/fd")).map(Iterator::count).ok();
    assert_eq!(open().is_some(), geteuid().is_root());
    // Two a connection, and a pipe that is nobody's.
    assert!(open().is_none_or(|count| (1000..1020).contains(&count)), "{:?}", open());
    drop(held);
    eventually("all are closed", || open().is_none_or(|count| count < 20));
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

/// Each of two that end at the same moment is told of: the connection is over once, and its place is one connection's again.
#[test]
fn both_sides_that_end_at_the_same_moment_end_one_connection() {
    let scope = Scope::new("fw-both");
    let container = made(&scope);
    let (server, port) = published(&container);
    let pid = Pid::from_raw(forwarders(&container)[0]);
    let pair = || {
        let client = connected(&port);
        let (inside, _) = server.accept().unwrap();
        inside.set_read_timeout(LONG).unwrap();
        (client, inside)
    };
    let held: Vec<_> = (0..8).map(|_| pair()).collect();
    kill(pid, Signal::SIGSTOP).unwrap();
    eventually("it is stopped", || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") T "));
    for (client, inside) in &held {
        // Both are closed with a reset.
        let now = linger { l_onoff: 1, l_linger: 0 };
        setsockopt(client, sockopt::Linger, &now).unwrap();
        setsockopt(inside, sockopt::Linger, &now).unwrap();
    }
    drop(held);
    kill(pid, Signal::SIGCONT).unwrap();
    let mut held: Vec<_> = (0..16).map(|_| pair()).collect();
    for (i, (client, _)) in held.iter_mut().enumerate() {
        client.write_all(&[i as u8]).unwrap();
    }
    for (i, (client, inside)) in held.iter_mut().enumerate() {
        let mut heard = [99];
        inside.read_exact(&mut heard).unwrap();
        inside.write_all(&heard).unwrap();
        client.read_exact(&mut heard).unwrap();
        assert_eq!(heard, [i as u8]);
    }
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

/// In a process of its own, whose limit it lowers.
#[test]
fn more_than_there_are_descriptors_wait_and_have_their_turn() {
    let me = std::env::current_exe().unwrap();
    let script = "ulimit -n 128 && exec \"$0\" --exact role_few_descriptors --ignored --nocapture";
    let output = Command::new("sh").args(["-c", script]).arg(me).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
#[ignore = "a role"]
fn role_few_descriptors() {
    let scope = Scope::new("fw-few");
    let container = made(&scope);
    let (server, port) = published(&container);
    let pid = forwarders(&container)[0];
    // (128 - 16) / 6 places; the kernel takes who comes then.
    let clients: Vec<_> = (0..25).map(|_| connected(&port)).collect();
    let first: Vec<_> = (0..18).map(|_| server.accept().unwrap().0).collect();
    let before = processor_time(pid);
    thread::sleep(Duration::from_millis(500));
    assert!(processor_time(pid) - before < Duration::from_millis(100), "it waits, and does not spin");
    server.set_nonblocking(true).unwrap();
    assert!(server.accept().is_err(), "there is no place for more");
    drop(first);
    // Each place that is free again has its turn.
    let mut clients = clients.into_iter();
    for client in clients.by_ref().take(18) {
        drop(client);
    }
    eventually("the others' turn", || server.accept().is_ok());
    drop(clients);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_forwarder_that_was_killed_is_told_and_can_be_made_again() {
    let scope = Scope::new("fw-killed");
    let container = made(&scope);
    let (server, port) = published(&container);
    let [pid] = forwarders(&container)[..] else { panic!("one forwards") };
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    eventually("its end is told", || !container.ports().unwrap()[0].running);
    assert!(!container.inspect().unwrap().ports[0].running);
    assert!(TcpStream::connect(port.address).is_err());
    // In its place.
    let again = container.publish(LOCAL, port.address.port(), port.to.ip().to_string(), port.to.port()).unwrap();
    assert_eq!(container.ports().unwrap(), [again]);
    let _echo = echo(&server);
    assert_eq!(said(&mut connected(&again), "again"), "again");
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_joiner_sees_and_ends_what_others_have_published() {
    let scope = Scope::new("fw-joiner");
    let container = made(&scope);
    let (server, port) = published(&container);
    let joined = scope.client().join(container.name()).unwrap();
    assert_eq!(joined.ports().unwrap(), [port]);
    let second = joined.publish(LOCAL, 0, LOCAL, server.local_addr().unwrap().port()).unwrap();
    assert_eq!(container.ports().unwrap(), [port, second]);
    joined.unpublish(LOCAL, port.address.port()).unwrap();
    assert_eq!(container.ports().unwrap(), [second]);
    drop(joined);
    // It is the container's, not the joiner's.
    let _echo = echo(&server);
    assert_eq!(said(&mut connected(&second), "still"), "still");
    container.destroy().unwrap();
    scope.assert_nothing_left();
    assert!(TcpStream::connect(second.address).is_err());
}

#[test]
fn the_port_is_free_again_once_the_container_is_gone() {
    let scope = Scope::new("fw-free");
    for _ in 0..5 {
        let container = made(&scope);
        let (server, port) = published(&container);
        let _echo = echo(&server);
        let mut client = connected(&port);
        assert_eq!(said(&mut client, "x"), "x");
        container.destroy().unwrap();
        drop(TcpListener::bind(port.address).unwrap());
    }
    // Killed, and nobody has destroyed it.
    let container = made(&scope);
    let (_server, port) = published(&container);
    kill(Pid::from_raw(container.pid()), Signal::SIGKILL).unwrap();
    eventually("the port is free", || TcpListener::bind(port.address).is_ok());
    drop(container);
    scope.assert_nothing_left();
}

#[test]
fn a_port_in_use_is_told_by_number() {
    let scope = Scope::new("fw-in-use");
    let container = made(&scope);
    let taken = TcpListener::bind((LOCAL, 0)).unwrap();
    let number = taken.local_addr().unwrap().port();
    let error = container.publish(LOCAL, number, LOCAL, 80).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::System, libc::EADDRINUSE, Step::PublishPort));
    let name = container.name();
    assert_eq!(
        error.to_string(),
        format!(
            "publish 127.0.0.1:{number} for container {name}: EADDRINUSE, address already in use (a program of this machine, or \
             another container's port, is there: ss -ltnp shows it; port 0 is one that is free)"
        )
    );
    assert_eq!((container.ports().unwrap(), forwarders(&container)), (vec![], vec![]));
    // Of two containers that want one, one has it.
    drop(taken);
    let other = made(&scope);
    let outcomes = thread::scope(|threads| {
        let tries = [&container, &other].map(|it| threads.spawn(move || it.publish(LOCAL, number, LOCAL, 80)));
        tries.map(|it| it.join().unwrap())
    });
    let errors: Vec<_> = outcomes.iter().filter_map(|it| it.as_ref().err()).collect();
    assert_eq!(errors.len(), 1, "{outcomes:?}");
    assert_eq!(told(errors[0]), (ErrorCode::System, libc::EADDRINUSE, Step::PublishPort));
    container.destroy().unwrap();
    other.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn what_can_not_be_published_is_refused() {
    let scope = Scope::new("fw-invalid");
    let container = made(&scope);
    for (address, port, to, to_port) in [
        ("/run/x", 0, LOCAL, 80),
        (LOCAL, 0, "/run/x", 0),
        (LOCAL, 0, LOCAL, 0),
        ("web", 1, LOCAL, 80),
        ("", 1, LOCAL, 1),
    ] {
        let error = container.publish(address, port, to, to_port).unwrap_err();
        assert_eq!(told(&error), (ErrorCode::Invalid, libc::EINVAL, Step::PublishPort), "{error}");
    }
    let error = container.publish("192.0.2.1", 0, LOCAL, 80).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::System, libc::EADDRNOTAVAIL, Step::PublishPort), "{error}");
    let config = scope.config().with(|c| c.network = Some(Network::Host));
    let shared = Container::create(busybox(), &config).unwrap();
    let error = shared.publish(LOCAL, 0, LOCAL, 80).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::Invalid, libc::EINVAL, Step::PublishPort), "{error}");
    shared.destroy().unwrap();
    let foreign = Container::join_pid(container.pid(), ctr::NamespaceSet::ALL);
    if let Ok(foreign) = foreign {
        let error = foreign.publish(LOCAL, 0, LOCAL, 80).unwrap_err();
        assert_eq!(told(&error), (ErrorCode::Unsupported, libc::EOPNOTSUPP, Step::PublishPort), "{error}");
        foreign.destroy().unwrap();
    }
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

/// splice(2) stops before urgent data, while epoll(7) says that there is something: whoever sends it must neither be heard no more nor
/// keep a processor busy.
#[test]
fn urgent_data_stops_nothing() {
    let scope = Scope::new("fw-urgent");
    let container = made(&scope);
    let (server, port) = published(&container);
    let mut client = connected(&port);
    let (mut inside, _) = server.accept().unwrap();
    for _ in 0..3 {
        client.write_all(b"before").unwrap();
        nix::sys::socket::send(client.as_raw_fd(), b"!", nix::sys::socket::MsgFlags::MSG_OOB).unwrap();
        client.write_all(b"behind").unwrap();
    }
    client.shutdown(Shutdown::Write).unwrap();
    inside.set_read_timeout(LONG).unwrap();
    let mut heard = String::new();
    inside.read_to_string(&mut heard).unwrap();
    assert_eq!(heard.replace('!', ""), "beforebehind".repeat(3));
    let before = processor_time(forwarders(&container)[0]);
    thread::sleep(Duration::from_millis(300));
    assert!(processor_time(forwarders(&container)[0]) - before < Duration::from_millis(100));
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn addresses_of_ipv6_are_published_too() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return common::skipped("this machine has no IPv6");
    }
    let scope = Scope::new("fw-ipv6");
    let container = made(&scope);
    let server = TcpListener::from(container.listen(SocketType::Stream, "::1", 8080).unwrap());
    let _echo = echo(&server);
    for address in ["::1", LOCAL] {
        let port = container.publish(address, 0, "::1", 8080).unwrap();
        assert_eq!(said(&mut connected(&port), "six"), "six");
    }
    let shown: Vec<_> = container.ports().unwrap().iter().map(|port| port.to.to_string()).collect();
    assert_eq!(shown, ["[::1]:8080"; 2]);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

/// Here there are two ports that the kernel gives out: a socket that tries to reach one of them meets itself sooner or later.
#[test]
fn a_forwarder_that_meets_itself_has_met_nobody() {
    let scope = Scope::new("fw-itself");
    let config =
        scope.config().with(|c| c.sysctls = [("net.ipv4.ip_local_port_range".into(), "40000 40001".into())].into());
    let container = Container::create(busybox(), &config).unwrap();
    let port = container.publish(LOCAL, 0, LOCAL, 40000).unwrap();
    for _ in 0..20 {
        // Whichever of the three meets the reset.
        let Ok(mut stream) = TcpStream::connect(port.address) else { continue };
        stream.set_read_timeout(LONG).unwrap();
        let wrote = stream.write_all(b"is anybody there?");
        let heard = stream.read(&mut [0]);
        assert!(wrote.is_err() || heard.is_err(), "{heard:?}");
    }
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_network_of_another_container_is_that_ones() {
    let scope = Scope::new("fw-other");
    let container = made(&scope);
    let config = scope.config().with(|c| c.network = Some(Network::Container(container.name().into())));
    let other = Container::create(busybox(), &config).unwrap();
    let server = TcpListener::from(container.listen(SocketType::Stream, LOCAL, 9).unwrap());
    let _echo = echo(&server);
    let port = other.publish(LOCAL, 0, LOCAL, 9).unwrap();
    assert_eq!(said(&mut connected(&port), "x"), "x");
    // It ends with the container that has published it.
    other.destroy().unwrap();
    assert!(TcpStream::connect(port.address).is_err());
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_host_that_is_killed_leaves_no_forwarder_and_a_detached_container_keeps_its_own() {
    for detached in [false, true] {
        let scope = Scope::new("fw-owner");
        let mut host = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "role_owner", "--ignored", "--nocapture"])
            .envs([("CTR_STATE_DIR", scope.state_dir().into_os_string()), ("CTR_PREFIX", scope.prefix().into())])
            .env("CTR_DETACHED", if detached { "1" } else { "" })
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut said_so_far = String::new();
        let mut stdout = host.stdout.take().unwrap();
        let address: SocketAddr = loop {
            let mut piece = [0; 256];
            let count = stdout.read(&mut piece).unwrap();
            assert!(count > 0, "{said_so_far}");
            said_so_far.push_str(std::str::from_utf8(&piece[..count]).unwrap());
            if let Some((_, rest)) = said_so_far.split_once("published at ")
                && let Some((address, _)) = rest.split_once(';')
            {
                break address.parse().unwrap();
            }
        };
        host.kill().unwrap();
        host.wait().unwrap();
        if detached {
            let client = scope.client();
            let [info] = &client.list().unwrap()[..] else { panic!("one runs") };
            let joined = client.join(&info.name).unwrap();
            let [port] = joined.ports().unwrap()[..] else { panic!("one port") };
            assert!(port.running && port.address == address);
            let server = TcpListener::from(joined.listen(SocketType::Stream, LOCAL, 80).unwrap());
            let _echo = echo(&server);
            assert_eq!(said(&mut connected(&port), "detached"), "detached");
            joined.destroy().unwrap();
        }
        eventually("the port is free", || TcpListener::bind(address).is_ok());
        _ = scope.client().list().unwrap();
        scope.assert_nothing_left();
    }
}

#[test]
#[ignore = "a role"]
fn role_owner() {
    let config = Config::default().with(|c| {
        c.name = Some(format!("{}.owned", std::env::var("CTR_PREFIX").unwrap()));
        c.detached = std::env::var("CTR_DETACHED").unwrap() == "1";
    });
    let container = Container::create(busybox(), &config).unwrap();
    let port = container.publish(LOCAL, 0, LOCAL, 80).unwrap();
    println!("published at {};", port.address);
    thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_container_is_made_with_its_ports_or_not_at_all() {
    let scope = Scope::new("fw-made");
    let here = |port: u16| PublishedPort::new(([127, 0, 0, 1], port).into(), ([127, 0, 0, 1], 80).into());
    let config = scope.config().with(|c| c.ports = vec![here(0), here(0)]);
    let container = Container::create(busybox(), &config).unwrap();
    let server = TcpListener::from(container.listen(SocketType::Stream, LOCAL, 80).unwrap());
    let _echo = echo(&server);
    let [first, second] = container.ports().unwrap()[..] else { panic!("two were asked for") };
    for port in [first, second] {
        assert_eq!(said(&mut connected(&port), "made"), "made");
    }
    // The second of two is in use: nothing is left of the container, and the first is free.
    let (free, taken) = (TcpListener::bind((LOCAL, 0)).unwrap(), second.address.port());
    let number = free.local_addr().unwrap().port();
    drop(free);
    let config = scope.config().with(|c| c.ports = vec![here(number), here(taken)]);
    let error = Container::create(busybox(), &config).err().unwrap();
    assert_eq!(told(&error), (ErrorCode::System, libc::EADDRINUSE, Step::PublishPort), "{error}");
    assert!(error.to_string().contains(&format!("127.0.0.1:{taken}")), "{error}");
    drop(TcpListener::bind((LOCAL, number)).unwrap());
    let config = scope.config().with(|c| (c.ports, c.network) = (vec![here(0)], Some(Network::Host)));
    let error = Container::create(busybox(), &config).err().unwrap();
    assert_eq!(told(&error), (ErrorCode::Invalid, libc::EINVAL, Step::PublishPort), "{error}");
    let config = scope.config().with(|c| c.ports = vec![here(8080)]);
    let text = ctr::explain(busybox(), &config).unwrap();
    assert!(
        text.contains("# socat TCP-LISTEN:8080,bind=127.0.0.1,fork EXEC:'nsenter -U -n -t PID nc 127.0.0.1 80'"),
        "{text}"
    );
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_forwarder_has_nothing_of_the_host_and_no_rights() {
    let scope = Scope::new("fw-closed");
    let container = made(&scope);
    let (_server, _port) = published(&container);
    let pid = forwarders(&container)[0];
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| status.lines().find_map(|it| it.strip_prefix(name)).unwrap().trim().to_string();
    for set in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!((field("NoNewPrivs:"), field("Seccomp:")), ("1".into(), "2".into()));
    assert_eq!(field("NSpid:").split_whitespace().count(), 1, "it is in no PID namespace of the container's");
    assert_eq!(fs::read_to_string(format!("/proc/{pid}/comm")).unwrap(), "ctr-forward\n");
    if nix::unistd::geteuid().is_root() {
        assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap().to_str(), Some("/"));
        let look = || {
            // One that is closed just now leads nowhere any more.
            let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
            let links = entries.filter_map(|it| Some(fs::read_link(it.unwrap().path()).ok()?.display().to_string()));
            let mut leads_to: Vec<_> = links.map(|it| it.split(':').next().unwrap().to_string()).collect();
            leads_to.sort();
            leads_to
        };
        // It closes what it was given to begin with once it has said that it is ready.
        eventually("three descriptors", || look().len() == 3);
        let leads_to = look();
        let pidfd = if leads_to.contains(&"pidfd".to_string()) { "pidfd" } else { "anon_inode" };
        assert_eq!(leads_to.len(), 3, "{leads_to:?}");
        assert!(leads_to.iter().all(|it| it == "socket" || it == "anon_inode" || it == pidfd), "{leads_to:?}");
    }
    let (sends, hears) = mpsc::channel();
    thread::scope(|threads| {
        threads.spawn(|| {
            container.destroy().unwrap();
            sends.send(()).unwrap();
        });
        hears.recv_timeout(LONG.unwrap()).unwrap();
    });
    scope.assert_nothing_left();
}

#[test]
fn what_a_record_says_is_no_reason_to_kill_somebody_else() {
    let scope = Scope::new("fw-forged");
    let container = made(&scope);
    let (_server, port) = published(&container);
    let mut other = Command::new("sleep").arg("100").spawn().unwrap();
    let record = scope.state_dir().join(format!("{}.json", container.name()));
    let text = fs::read_to_string(&record).unwrap();
    let pid = forwarders(&container)[0];
    let forged = text.replace(&format!("\"pid\":{pid}"), &format!("\"pid\":{}", other.id()));
    assert_ne!(text, forged);
    fs::write(&record, forged).unwrap();
    assert!(!container.ports().unwrap()[0].running, "another process is no forwarder");
    container.destroy().unwrap();
    assert_eq!(other.try_wait().unwrap(), None, "nobody has killed it");
    other.kill().unwrap();
    other.wait().unwrap();
    // The forwarder itself has ended with the container.
    eventually("the port is free", || TcpListener::bind(port.address).is_ok());
    scope.assert_nothing_left();
}
