//! Other users of the machine, and what a container shares with the machine whether it wants or not: cgroups, abstract sockets,
//! inotify, the moment of its end.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Command;

use ctr::{
    Client, Config, Container, ErrorCode, ExecConfig, Namespace, NamespaceSet, Namespaces, Preset, Seccomp, Stdio,
};

use crate::attack;
use crate::fence::{bites, defaults, held, inside, is_well, payload, scratch, with, without_walls};

/// Whoever is nobody in particular.
const OTHER: u32 = 65_534;

fn parent_of(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap()
}

// The state directory, the control socket, the processes of a container, all attacked by a user who has a shell on the host.
attack!(another_user_has_no_way_to_a_container, {
    let container = with(&Config::default().with(|c| c.name = Some("mine".into())));
    let program = container.exec(["/bin/sleep", "1000"], &ExecConfig::default()).unwrap();
    // So that it is the directory's own mode that holds him off, and not that of the fence's.
    fs::set_permissions(scratch(), fs::Permissions::from_mode(0o755)).unwrap();
    let state = scratch().join("state");
    let pids = [container.pid(), parent_of(container.pid()), program.host_pid().unwrap(), std::process::id() as i32];
    let args = |uid: u32| {
        let mut args = vec![uid.to_string(), state.to_str().unwrap().to_string(), "mine".to_string()];
        args.extend(pids.iter().map(i32::to_string));
        args
    };
    let (other, root) = (args(OTHER), args(0));
    held(&without_walls("other_user", &other.iter().map(String::as_str).collect::<Vec<_>>()));
    is_well(&container);
    // The very same by root, whose container it is, is let in nearly everywhere.
    bites(&without_walls("other_user", &root.iter().map(String::as_str).collect::<Vec<_>>()));
    is_well(&container);
    fs::remove_file(state.join("forged.json")).unwrap();
});

// The library itself, called by another user, for somebody's process: the kernel's permission decides.
attack!(another_user_joins_no_process, {
    let container = defaults();
    let program = container.exec(["/bin/sleep", "1000"], &ExecConfig::default()).unwrap();
    let pid = program.host_pid().unwrap();
    let joined = std::thread::scope(|scope| {
        let attempt = || {
            // Of this thread only; the process stays root's.
            // SAFETY: plain calls.
            unsafe {
                assert_eq!(libc::syscall(libc::SYS_setgroups, 0, 0), 0);
                assert_eq!(libc::syscall(libc::SYS_setresgid, OTHER, OTHER, OTHER), 0);
                assert_eq!(libc::syscall(libc::SYS_setresuid, OTHER, OTHER, OTHER), 0);
            }
            [NamespaceSet::ALL, NamespaceSet(libc::CLONE_NEWNS as u32), NamespaceSet(libc::CLONE_NEWUSER as u32)]
                .map(|set| Container::join_pid(pid, set).err())
        };
        scope.spawn(attempt).join().unwrap()
    });
    for error in joined {
        let error = error.expect("he is refused");
        assert!([libc::EPERM, libc::EACCES].contains(&error.errno()), "{error}");
    }
    let own = Container::join_pid(pid, NamespaceSet::ALL).unwrap();
    is_well(&own);
});

// A state directory that another user has put in our way.
attack!(a_state_directory_of_another_user_is_refused, {
    let theirs = scratch().join("theirs");
    let refuse = |path: &std::path::Path| {
        let error =
            Client::new().with_state_dir(path).list().err().unwrap_or_else(|| panic!("{} is used", path.display()));
        assert!([ErrorCode::Invalid, ErrorCode::System].contains(&error.code()), "{error}");
        let config = Config::default().with(|c| c.state_dir = Some(path.into()));
        assert!(Container::create("host", &config).is_err());
        assert!(Client::new().with_state_dir(path).join("any").is_err_and(|error| error.code() != ErrorCode::NotFound));
    };
    fs::create_dir(&theirs).unwrap();
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o700)).unwrap();
    chown(&theirs, Some(OTHER), Some(OTHER)).unwrap();
    refuse(&theirs);
    // Ours, but open to others.
    chown(&theirs, Some(0), Some(0)).unwrap();
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o1777)).unwrap();
    refuse(&theirs);
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o700)).unwrap();
    symlink(&theirs, scratch().join("link")).unwrap();
    refuse(&scratch().join("link"));
    assert_eq!(Client::new().with_state_dir(&theirs).list().unwrap(), Vec::new());
});

// Out of the limits by moving to another cgroup.
attack!(a_process_stays_in_its_cgroup, {
    let open = Config::default().with(|c| c.seccomp = Some(Seccomp::Unconfined));
    let privileged = Config::default().with(|c| c.preset = Preset::Privileged);
    for (i, config) in [Config::default(), open, privileged].into_iter().enumerate() {
        let name = format!("caged-{i}");
        let container = with(&config.with(|c| {
            c.name = Some(name.clone());
            c.pids = Some(50);
        }));
        let streams = ExecConfig::default().with(|c| {
            c.stdin = Stdio::Pipe;
            c.stdout = Stdio::Pipe;
        });
        let process = container.exec(["/usr/bin/python3", "-I", "-c", &payload("cgroup_escape")], &streams).unwrap();
        let stdin = process.take_stdin().unwrap();
        let lines = BufReader::new(fs::File::from(process.take_stdout().unwrap())).lines().map(Result::unwrap);
        let said: Vec<_> = lines.take_while(|line| line != "settled").collect();
        println!("{said:#?}");
        let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", process.host_pid().unwrap())).unwrap();
        let of_pids = |line: &&str| line.contains(":pids:") || line.starts_with("0::") && !cgroup.contains(":pids:");
        let line = cgroup.lines().find(of_pids).unwrap();
        assert!(line.contains(&format!("/ctr-{name}.")), "it has left for {line}:\n{said:#?}");
        drop(stdin);
        process.wait(None).unwrap();
        is_well(&container);
    }
    let pids = "/sys/fs/cgroup/pids";
    match fs::metadata(pids) {
        Ok(_) => bites(&without_walls("cgroup_escape", &[pids])),
        Err(_) => println!("SKIPPED the counter-test of a_process_stays_in_its_cgroup: no pids hierarchy of its own"),
    }
});

// Abstract sockets have no permissions: whoever is in the network namespace connects, unless something else is in the way.
attack!(an_abstract_socket_of_the_host_is_not_reached, {
    let name = format!("ctr-attack-{}", std::process::id());
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    std::thread::spawn(move || {
        for peer in listener.incoming() {
            _ = peer.unwrap().write_all(b"the host's secret");
        }
    });
    held(&inside(&defaults(), "abstract_socket", &[&name], &ExecConfig::default()));
    let shared = Namespaces::default().with(|n| n.net = Namespace::Host);
    // SAFETY: asks for the version of Landlock's interface; the first that knows of abstract sockets is 6.
    let landlock = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) };
    if landlock >= 6 {
        let walls = with(&Config::default().with(|c| c.namespaces = shared.clone()));
        held(&inside(&walls, "abstract_socket", &[&name], &ExecConfig::default()));
    } else {
        println!("SKIPPED a part of an_abstract_socket_…: Landlock {landlock} knows nothing of them");
    }
    let open = with(&Config::default().with(|c| {
        c.namespaces = shared;
        c.preset = Preset::Privileged;
    }));
    bites(&inside(&open, "abstract_socket", &[&name], &ExecConfig::default()));
});

// inotify instances are counted for the user who made the container's user namespace, too. Of root's containers that is the first
// id of each one's own range.
attack!(inotify_instances_that_a_container_hoards_are_nobody_elses, {
    let most: u64 = fs::read_to_string("/proc/sys/user/max_inotify_instances").unwrap().trim().parse().unwrap();
    let hoard = |container: &Container| {
        let streams = ExecConfig::default().with(|c| {
            c.stdin = Stdio::Pipe;
            c.stdout = Stdio::Pipe;
        });
        let process = container.exec(["/usr/bin/python3", "-I", "-c", &payload("inotify_hoard")], &streams).unwrap();
        let mut said = String::new();
        BufReader::new(fs::File::from(process.take_stdout().unwrap())).read_line(&mut said).unwrap();
        assert!(said.ends_with("EMFILE\n"), "{said}");
        (process, said.split(' ').nth(2).unwrap().parse::<u64>().unwrap())
    };
    let can_have = || nix::sys::inotify::Inotify::init(nix::sys::inotify::InitFlags::IN_CLOEXEC).is_ok();
    let (first, second) = (defaults(), defaults());
    // From the pool or not, each of them has all that a user may have.
    let held = [hoard(&first), hoard(&second)];
    assert_eq!([held[0].1, held[1].1], [most; 2]);
    assert!(can_have(), "the host has none left");
    first.destroy().unwrap();
    second.destroy().unwrap();

    let namespaces = Namespaces::default().with(|n| n.user = Namespace::Host);
    let shared = with(&Config::default().with(|c| c.namespaces = namespaces));
    let (_process, held) = hoard(&shared);
    assert!(held > 0 && !can_have(), "the host's user has others left");
    shared.destroy().unwrap();
    // The kernel gives them back a little later.
    let come_back = (0..1000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        can_have()
    });
    assert!(come_back, "the host has none");
});

// Everything inside is new by the moment: what destroy has seen is not what is there.
attack!(nothing_outlives_destroy_however_it_is_timed, {
    for round in 0..12 {
        let marker = format!("ctr-survivor-{}-{round}", std::process::id());
        let container = with(&Config::default().with(|c| c.pids = Some(40)));
        let streams = ExecConfig::default().with(|c| c.stdout = Stdio::Pipe);
        let argv = ["/usr/bin/python3", "-I", "-c", &payload("survivor"), &marker];
        let process = container.exec(argv, &streams).unwrap();
        let mut said = String::new();
        BufReader::new(fs::File::from(process.take_stdout().unwrap())).read_line(&mut said).unwrap();
        assert_eq!(said, "begun\n");
        // Others start programs in it meanwhile, and are told when it is over.
        std::thread::scope(|scope| {
            let starters: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        loop {
                            match container.exec(["/bin/sleep", "1000", &marker], &ExecConfig::default()) {
                                Ok(_) => {}
                                Err(error) if error.code() == ErrorCode::Destroyed => break,
                                // The pids limit is reached.
                                Err(error) => assert_eq!(error.errno(), libc::EAGAIN, "{error}"),
                            }
                        }
                    })
                })
                .collect();
            std::thread::sleep(std::time::Duration::from_micros(round * 700));
            container.destroy().unwrap();
            starters.into_iter().for_each(|starter| starter.join().unwrap());
        });
        let left = Command::new("pgrep").args(["-fa", &marker]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&left.stdout), "", "left after destroy {round}");
    }
    // No counter-test: without a container that program is what kill -9 -1 is for.
});
