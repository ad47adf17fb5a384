//! An attacker who has taken PID 1 over: it says what it likes to the host and to the zygote. We play it with PID 1's own
//! sockets, which root of the host can take out of its table, pidfd_getfd(2), while PID 1 itself is stopped.

use std::fs;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ctr::{Config, Container, ExecConfig, Stdio};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, connect, recvmsg,
    sendmsg, socket,
};

use crate::attack;
use crate::fence::{defaults, is_well, scratch, with};
use crate::record::Written;

/// What an answer of PID 1 is: 48 bytes, the words of `Reply` in crates/wire/src/lib.rs.
const REPLY: usize = 48;
const DONE: u32 = 1;

/// Numbers without a pattern, the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.next() as usize % choices.len()]
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// PID 1's descriptors in our hands: sockets that are connected, and the one that listens.
struct TakenOver {
    sockets: Vec<OwnedFd>,
    listener: Option<OwnedFd>,
}

fn kill(pid: i32, signal: i32) {
    // SAFETY: a container's PID 1 of this test.
    unsafe { libc::kill(pid, signal) };
}

fn take_over(container: &Container) -> TakenOver {
    kill(container.pid(), libc::SIGSTOP);
    let mut taken = TakenOver { sockets: Vec::new(), listener: None };
    for entry in fs::read_dir(format!("/proc/{}/fd", container.pid())).unwrap().flatten() {
        if !fs::read_link(entry.path()).unwrap().to_string_lossy().starts_with("socket:") {
            continue;
        }
        let number: i32 = entry.file_name().to_str().unwrap().parse().unwrap();
        // SAFETY: plain numbers; the result is a new descriptor.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_getfd, container.pidfd().as_raw_fd(), number, 0) } as i32;
        assert!(fd >= 0, "pidfd_getfd: {}", std::io::Error::last_os_error());
        // SAFETY: as above.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        match nix::sys::socket::getsockopt(&fd, nix::sys::socket::sockopt::AcceptConn) {
            Ok(true) => taken.listener = Some(fd),
            _ => taken.sockets.push(fd),
        }
    }
    assert!(taken.sockets.len() >= 2 && taken.listener.is_some(), "PID 1's sockets are found");
    taken
}

/// What stands in an answer: rubbish, or nearly right.
fn answer(random: &mut Random) -> Vec<u8> {
    let odd =
        [0, 1, -1, 2, 9, 255, 0x1000_0000, 0x2000_0001, i32::MAX, i32::MIN, libc::ENOENT, libc::EACCES, libc::ENOEXEC];
    let mut bytes = Vec::new();
    match random.next() % 4 {
        0 => {
            let len = random.of(&[0, 1, REPLY - 1, REPLY, REPLY + 1, 4096, 60_000]);
            bytes = random.bytes(len);
        }
        _ => {
            let tag = random.of(&[DONE, DONE, 2, 2, 3, 0, 4, u32::MAX]);
            bytes.extend_from_slice(&tag.to_ne_bytes());
            (0..5).for_each(|_| bytes.extend_from_slice(&random.of(&odd).to_ne_bytes()));
            (0..3).for_each(|_| bytes.extend_from_slice(&random.of(&[0, 1, u64::MAX, 1 << 63]).to_ne_bytes()));
        }
    }
    bytes
}

/// Sends it with descriptors that nobody asked for.
fn send(to: &OwnedFd, bytes: &[u8], random: &mut Random, gifts: &[OwnedFd]) {
    let count = random.of(&[0, 0, 1, 1, 2, 5, 6, 32, 253]);
    let fds: Vec<_> = (0..count).map(|_| gifts[random.next() as usize % gifts.len()].as_raw_fd()).collect();
    let rights = [ControlMessage::ScmRights(&fds)];
    let control = if fds.is_empty() { &[][..] } else { &rights[..] };
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    _ = sendmsg::<UnixAddr>(to.as_raw_fd(), &[IoSlice::new(bytes)], control, flags, None);
}

/// Ends the lies with the test, also with one that fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// pidfd_open(2).
fn pidfd_of(pid: u32) -> OwnedFd {
    // SAFETY: plain numbers; the result is a new descriptor.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) } as i32;
    assert!(fd >= 0, "pidfd_open: {}", std::io::Error::last_os_error());
    // SAFETY: as above.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Answers whatever is asked with hostile messages until it is over.
fn lie(mut taken: TakenOver, seed: u64, over: &AtomicBool, told: &AtomicUsize) {
    let mut random = Random(seed);
    let (read, write) = nix::unistd::pipe().unwrap();
    let file = |path: &str| OwnedFd::from(fs::File::open(path).unwrap());
    // Among them what PID 1 has at hand: a pidfd of the host's process, by SO_PEERPIDFD of its own control socket.
    let host = pidfd_of(std::process::id());
    let files = [file("/dev/null"), file("/etc/passwd"), file("/proc/self/status"), file("/usr"), read, write];
    let gifts: Vec<OwnedFd> = [host].into_iter().chain(files).collect();
    let mut kept = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let fds = taken.sockets.iter().chain(&taken.listener);
        let mut polled: Vec<_> =
            fds.map(|fd| nix::poll::PollFd::new(fd.as_fd(), nix::poll::PollFlags::POLLIN)).collect();
        if nix::poll::poll(&mut polled, 10u8).unwrap() == 0 {
            continue;
        }
        let ready: Vec<bool> = polled.iter().map(|poll| poll.any().unwrap_or(false)).collect();
        drop(polled);
        if ready.last() == Some(&true)
            && let Some(listener) = &taken.listener
            && let Ok(fd) = nix::sys::socket::accept(listener.as_raw_fd())
        {
            // SAFETY: a new descriptor.
            taken.sockets.push(unsafe { OwnedFd::from_raw_fd(fd) });
        }
        let ready: Vec<_> = (0..ready.len() - 1).filter(|&i| ready[i]).collect();
        for i in ready.into_iter().rev() {
            let mut bytes = vec![0; 64 << 10];
            let mut control = nix::cmsg_space!([i32; 32]);
            let socket = &taken.sockets[i];
            let mut iov = [std::io::IoSliceMut::new(&mut bytes)];
            let received =
                recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut iov, Some(&mut control), MsgFlags::MSG_DONTWAIT);
            let mut fds = Vec::new();
            let count = received.map_or(0, |message| {
                for control in message.cmsgs().into_iter().flatten() {
                    if let ControlMessageOwned::ScmRights(received) = control {
                        // SAFETY: the kernel has just installed them for us.
                        fds.extend(received.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
                    }
                }
                message.bytes
            });
            if count == 0 {
                taken.sockets.remove(i);
                continue;
            }
            let Some(status) = fds.first() else { continue };
            for _ in 0..random.next() % 4 {
                let bytes = answer(&mut random);
                send(status, &bytes, &mut random, &gifts);
                told.fetch_add(1, Ordering::Relaxed);
            }
            // The zygote and the host hear us on what else we have, too.
            for other in &taken.sockets {
                let bytes = answer(&mut random);
                send(other, &bytes, &mut random, &gifts);
                told.fetch_add(1, Ordering::Relaxed);
            }
            // One that is not closed makes the host wait for more, after the first answer.
            if kept.len() < 32 && random.next().is_multiple_of(8) && told.load(Ordering::Relaxed) > 0 {
                send(status, &[1; REPLY], &mut random, &gifts);
                kept.push(fds.remove(0));
            }
        }
    }
}

/// The pid that a pidfd is of, from its fdinfo.
fn pid_behind(pidfd: std::os::fd::BorrowedFd<'_>) -> Option<u32> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).unwrap();
    info.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()
}

fn descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

fn parent_of(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap()
}

fn quiet() -> ExecConfig {
    ExecConfig::default().with(|c| {
        c.stdin = Stdio::Null;
        c.stdout = Stdio::Null;
        c.stderr = Stdio::Null;
    })
}

attack!(a_pid_1_that_was_taken_over_gains_nothing_on_the_host, {
    let bystander = defaults();
    let zygote = parent_of(bystander.pid());
    is_well(&bystander);
    // Everything that is opened once is open.
    with(&Config::default().with(|c| c.name = Some("warm".into()))).destroy().unwrap();
    let before = (descriptors(std::process::id() as i32), descriptors(zygote));
    let mut answered = 0;
    for seed in 1..=8u64 {
        let container = defaults();
        // Its last walls stand before it serves anybody.
        is_well(&container);
        let taken = take_over(&container);
        let joined = Container::join(container.name()).unwrap();
        let (over, told) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let _over = Over(&over);
            scope.spawn(|| lie(taken, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), &over, &told));
            for round in 0..150 {
                let handle = if round % 2 == 0 { &container } else { &joined };
                let config = match round % 3 {
                    0 => quiet(),
                    1 => quiet().with(|c| c.user = Some("ann".into())),
                    _ => ExecConfig::default().with(|c| c.pty = Some(ctr::Winsize { rows: 1, cols: 1 })),
                };
                let well = |error: &ctr::Error| {
                    assert!(error.errno() > 0 && !error.step().is_empty(), "{error:?}");
                    assert_ne!(error.code(), ctr::ErrorCode::Internal, "{error:?}");
                };
                // It is asked for its namespaces, and may send anything else: that is none.
                match handle.inspect() {
                    Ok(told) => {
                        let seccomp = told.walls.iter().find(|wall| wall.name == "seccomp").unwrap();
                        assert_eq!(seccomp.state, ctr::WallState::On, "{seccomp:?}");
                        assert!(told.namespaces.is_empty(), "{:?}", told.namespaces);
                    }
                    Err(error) => well(&error),
                }
                match handle.exec(["nothing", "at all"], &config) {
                    Ok(process) => {
                        answered += 1;
                        assert_ne!(pid_behind(process.pidfd()), Some(std::process::id()), "the host's own process");
                        assert!(process.pty().is_none(), "it had no terminal to give");
                        _ = process.wait(Some(Duration::from_millis(1)));
                        _ = process.host_pid();
                        _ = process.kill_group(0);
                        _ = process.resize(ctr::Winsize { rows: 2, cols: 2 });
                    }
                    Err(error) => well(&error),
                }
            }
        });
        assert!(told.load(Ordering::Relaxed) > 300, "only {} lies were told", told.load(Ordering::Relaxed));
        drop(joined);
        let pid = container.pid();
        container.destroy().unwrap();
        // It may have said that it is dead and reaped when it was just dying; that is all it gains by that.
        let gone = (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(1));
            fs::metadata(format!("/proc/{pid}")).is_err()
        });
        assert!(gone, "it lives on");
    }
    // Nothing that it has to give is a program of the container's: see own_pidfd for what is believed.
    assert_eq!(answered, 0, "strangers are taken for programs");
    assert_eq!(parent_of(bystander.pid()), zygote, "the zygote is another one");
    is_well(&bystander);
    let after = defaults();
    assert_eq!(parent_of(after.pid()), zygote);
    is_well(&after);
    drop(after);
    // A spare child of the zygote is two descriptors of the zygote's; what was just destroyed may be reaped a little later.
    let now = || (descriptors(std::process::id() as i32), descriptors(zygote));
    let closed = (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(2));
        now().0 <= before.0 && now().1 <= before.1 + 2
    });
    assert!(closed, "descriptors of the host and of the zygote: {:?}, before {before:?}", now());
});

/// Answers one request that comes on the control sockets with `gifts`, as a success.
fn answer_with(taken: &TakenOver, gifts: &[OwnedFd]) {
    loop {
        for socket in &taken.sockets {
            let mut bytes = vec![0; 64 << 10];
            let mut control = nix::cmsg_space!([i32; 32]);
            let mut iov = [std::io::IoSliceMut::new(&mut bytes)];
            let flags = MsgFlags::MSG_DONTWAIT;
            let Ok(message) = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut iov, Some(&mut control), flags) else {
                continue;
            };
            for control in message.cmsgs().into_iter().flatten() {
                let ControlMessageOwned::ScmRights(fds) = control else { continue };
                // SAFETY: the kernel has just installed them for us.
                let fds: Vec<_> = fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect();
                let mut reply = vec![0; REPLY];
                reply[..4].copy_from_slice(&DONE.to_ne_bytes());
                let gifts: Vec<_> = gifts.iter().map(AsRawFd::as_raw_fd).collect();
                let rights = [ControlMessage::ScmRights(&gifts)];
                let to = fds[0].as_raw_fd();
                sendmsg::<UnixAddr>(to, &[IoSlice::new(&reply)], &rights, MsgFlags::MSG_NOSIGNAL, None).unwrap();
                return;
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

// own-pidfd: a pidfd or a terminal that PID 1 returns is of its container, or it is none.
attack!(own_pidfd, {
    let container = defaults();
    is_well(&container);
    let sleeper = container.exec(["/bin/sleep", "1000"], &quiet()).unwrap();
    let other = defaults();
    let others = other.exec(["/bin/sleep", "1000"], &quiet()).unwrap();
    let child = || sleeper.pidfd().try_clone_to_owned().unwrap();
    let null = || OwnedFd::from(fs::File::open("/dev/null").unwrap());
    let host_terminal = || nix::pty::openpty(None, None).unwrap();
    let pty = ExecConfig::default().with(|c| c.pty = Some(ctr::Winsize { rows: 1, cols: 1 }));
    let zygote = parent_of(container.pid()) as u32;
    let taken = take_over(&container);
    let joined = Container::join(container.name()).unwrap();
    let asked = |handle: &Container, config: &ExecConfig, gifts: &[OwnedFd]| {
        std::thread::scope(|scope| {
            let mut again = TakenOver { sockets: Vec::new(), listener: None };
            again.sockets.extend(taken.sockets.iter().map(|fd| fd.try_clone().unwrap()));
            let gifts: Vec<_> = gifts.iter().map(|fd| fd.try_clone().unwrap()).collect();
            scope.spawn(move || answer_with(&again, &gifts));
            handle.exec(["/bin/true"], config).map(|process| (pid_behind(process.pidfd()), process.pty().is_some()))
        })
    };
    // What it has started itself is believed, or the rest would say nothing.
    assert_eq!(asked(&container, &quiet(), &[child()]).unwrap(), (pid_behind(sleeper.pidfd()), false));
    for stranger in
        [pidfd_of(std::process::id()), pidfd_of(zygote), others.pidfd().try_clone_to_owned().unwrap(), null()]
    {
        let error = asked(&container, &quiet(), &[stranger]).expect_err("it is none of the container's");
        assert_eq!(error.errno(), libc::EPROTO, "{error}");
        assert!(error.to_string().contains("taken it over"), "{error}");
    }
    for terminal in [null(), host_terminal().master, host_terminal().slave, child()] {
        let error = asked(&container, &pty, &[child(), terminal]).expect_err("it is no terminal of the container's");
        assert_eq!(error.errno(), libc::EPROTO, "{error}");
    }
    drop((taken, joined));
    // The owner of what was sent lives.
    is_well(&other);
    container.destroy().unwrap();
});

// own-record: PID 1 can write neither its record nor the id ranges; and what is written there all the same has nobody of
// the host's killed, limited or removed.
attack!(own_record, {
    let container = with(&Config::default().with(|c| {
        c.name = Some("recorded".into());
        c.memory = Some(64 << 20);
    }));
    is_well(&container);
    let pid = container.pid();
    let record = scratch().join("state/recorded.json");
    let mut found = 0;
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
        let target = fs::read_link(entry.path()).unwrap();
        assert!(!target.ends_with("ids"), "PID 1 has the file of the ranges");
        if target != record {
            continue;
        }
        found += 1;
        let number = entry.file_name().into_string().unwrap();
        // SAFETY: plain numbers; the result is a new descriptor.
        let fd = unsafe {
            libc::syscall(libc::SYS_pidfd_getfd, container.pidfd().as_raw_fd(), number.parse::<i32>().unwrap(), 0)
        };
        // SAFETY: as above.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        assert_eq!(nix::unistd::write(&fd, b"{}").err(), Some(nix::errno::Errno::EBADF));
        assert!(nix::unistd::ftruncate(&fd, 0).is_err());
        // Nor can it be opened again by root inside, whose file it is not.
        let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
        let root: u32 = map.split_whitespace().nth(1).unwrap().parse().unwrap();
        let again = std::process::Command::new("setpriv")
            .args([&format!("--reuid={root}"), "--clear-groups", "sh", "-c", "exec 3>>/proc/self/fd/0"])
            .stdin(fd)
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(!again.success(), "root inside opens its record for writing");
    }
    assert_eq!(found, 1, "the record is PID 1's life sign");

    // As if it had been written to. The victim is a process of the host, in a cgroup of its own.
    let text = fs::read(&record).unwrap();
    let plain = Written::read(&record);
    let own = plain.cgroups().pop().unwrap();
    let above = std::path::Path::new(&own).parent().unwrap();
    let names = [
        format!("t{}-victim", std::process::id()),
        format!("ctr-other.{}", std::process::id()),
        "ctr-recorded.fake".into(),
    ];
    let forge = |change: &dyn Fn(&mut Written)| {
        let mut forged = plain.clone();
        change(&mut forged);
        fs::write(&record, forged.to_string()).unwrap();
    };
    for name in names {
        let cgroup = above.join(name);
        fs::create_dir(&cgroup).unwrap();
        let mut victim = std::process::Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        fs::write(cgroup.join("cgroup.procs"), victim.id().to_string()).unwrap();
        forge(&|record| {
            record.set_cgroups(&[&cgroup]);
            record.header["exec"]["own_pid"] = false.into();
        });
        let before = fs::read_to_string(cgroup.join("memory.limit_in_bytes")).ok();
        let error = Container::join("recorded").err().expect("the cgroup is another's");
        assert_eq!(error.code(), ctr::ErrorCode::Invalid, "{error}");
        assert_eq!(before, fs::read_to_string(cgroup.join("memory.limit_in_bytes")).ok());
        assert!(victim.try_wait().unwrap().is_none(), "a process of the host was killed");
        victim.kill().unwrap();
        victim.wait().unwrap();
        fs::remove_dir(&cgroup).unwrap();
    }
    // The root of the hierarchy, and a place that is no cgroup's.
    let elsewhere = scratch().join("ctr-recorded.made");
    for path in [above.to_path_buf(), elsewhere.clone()] {
        forge(&|record| record.set_cgroups(&[&path]));
        assert!(Container::join("recorded").is_err(), "{}", path.display());
    }
    assert!(!elsewhere.exists());
    // The kernel says whose first process it is.
    forge(&|record| record.header["exec"]["own_pid"] = false.into());
    is_well(&Container::join("recorded").unwrap());

    // Ended by its name it ends, and nobody else: what the record names is another's.
    let stranger = above.join(format!("ctr-recorded.t{}", std::process::id()));
    fs::create_dir(&stranger).unwrap();
    let mut victim = std::process::Command::new("/bin/sleep").arg("1000").spawn().unwrap();
    fs::write(stranger.join("cgroup.procs"), victim.id().to_string()).unwrap();
    forge(&|record| {
        record.set_cgroups(&[&stranger]);
        record.header["exec"]["own_pid"] = false.into();
    });
    Container::destroy_named("recorded").unwrap();
    assert!(!container.is_running() && !std::path::Path::new(&own).exists());
    assert!(victim.try_wait().unwrap().is_none(), "a process of the host was killed");
    victim.kill().unwrap();
    victim.wait().unwrap();
    fs::remove_dir(&stranger).unwrap();
    fs::remove_file(scratch().join("state/recorded.json.damaged")).unwrap();
    container.destroy().unwrap();
    assert!(!record.exists());
    fs::write(&record, &text).unwrap();

    // What lies elsewhere and has the container's name is not removed: another store, a link on the way to it.
    let precious = scratch().join("precious");
    let shared = scratch().join("shared");
    fs::create_dir_all(precious.join("recorded")).unwrap();
    fs::create_dir(&shared).unwrap();
    std::os::unix::fs::symlink("../precious", shared.join("upper")).unwrap();
    for (store, upper) in
        [(&shared, shared.join("upper/recorded")), (&scratch().join("store"), precious.join("recorded"))]
    {
        forge(&|record| {
            record.set_cgroups(&[]);
            record.header["store"] = store.to_str().unwrap().into();
            record.set_upper(&upper);
        });
        _ = Container::list().unwrap();
        assert!(precious.join("recorded").exists(), "{} was removed", upper.display());
        _ = fs::remove_file(&record);
    }
});

// A PID 1 that does nothing at all any more is ended like any other.
attack!(a_silent_pid_1_does_not_hold_destroy_up, {
    let container = defaults();
    let running = container.exec(["/bin/sleep", "1000"], &quiet()).unwrap();
    kill(container.pid(), libc::SIGSTOP);
    assert_eq!(running.wait(Some(Duration::from_millis(10))).unwrap(), None);
    let pid = container.pid();
    container.destroy().unwrap();
    assert!(fs::metadata(format!("/proc/{pid}")).is_err());
    assert_eq!(running.wait(None).unwrap().unwrap().reason, ctr::ExitReason::Destroyed);
});

// Whoever has the state directory is the same user and may do all of it; but rubbish ends nobody's container.
attack!(rubbish_on_the_control_socket_does_no_harm, {
    let container = with(&Config::default().with(|c| c.name = Some("rubbish".into())));
    let mut random = Random(0x5eed);
    let (read, write) = nix::unistd::pipe().unwrap();
    let short = OwnedFd::from(fs::File::open("/etc/hostname").unwrap());
    let gifts = [read, write, short, OwnedFd::from(fs::File::open("/dev/null").unwrap())];
    let path = scratch().join("state/rubbish.sock");
    is_well(&container);
    let before = descriptors(container.pid());
    for round in 0..60 {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
        connect(socket.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        for _ in 0..50 {
            let len = random.of(&[0, 1, 7, 8, 127, 128, 144, 4096, 65_536]);
            let mut bytes = random.bytes(len);
            // A request that is one is done, for its sender may do everything: none of these is. A kind, flags with or
            // without a memfd's, a length and a shape that lie, calls that are not there.
            if bytes.len() >= 24 {
                let words = [
                    random.next() as u32 % 8,
                    random.of(&[0, 1, 1, 4, u32::MAX]),
                    random.of(&[0, 1, 4096, 8 << 20, u32::MAX]),
                ];
                let rest = [random.next() as u32 | 1, u32::MAX, random.next() as u32];
                for (place, word) in bytes.chunks_exact_mut(4).zip(words.into_iter().chain(rest)) {
                    place.copy_from_slice(&word.to_ne_bytes());
                }
            }
            send(&socket, &bytes, &mut random, &gifts);
        }
        if round % 10 == 0 {
            is_well(&container);
        }
    }
    is_well(&container);
    is_well(&Container::join("rubbish").unwrap());
    crate::fence::run(&container, &["/bin/true"], &ExecConfig::default());
    let left = (0..200).map(|_| {
        std::thread::sleep(Duration::from_millis(5));
        descriptors(container.pid())
    });
    assert!(left.into_iter().any(|now| now <= before), "PID 1 keeps descriptors: {}", descriptors(container.pid()));
});
