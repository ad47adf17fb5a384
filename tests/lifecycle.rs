//! The main job: create, exec, wait, destroy.

mod common;

use common::{
    busybox, busybox_tar, can_limit, captured, end_of, eventually, has_ids, host, host_with, memory_if_possible, quiet,
    read_all, run, run_with, sh, skipped,
};
use ctr::{
    Bind, Config, Container, DirectoryUse, ErrorCode, ExecConfig, ExitReason, Mount, Namespace, NamespaceSet,
    Namespaces, Stdio, Tmpfs, Upper, Winsize,
};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

#[test]
fn a_program_of_the_host_runs_isolated() {
    let c = host();
    assert_eq!(sh(&c, "id -u"), "0");
    assert_eq!(sh(&c, "hostname"), c.name());
    let there = sh(&c, "for p in /proc/[0-9]*; do cat $p/comm; done");
    assert_eq!(there.lines().collect::<Vec<_>>(), ["ctr-init", "sh"], "PID 1 and the shell are all there is");
    assert!(sh(&c, "cat /proc/1/comm").contains("ctr-init"));
    assert_eq!(sh(&c, "ls /sys/class/net"), "lo");
    assert_eq!(sh(&c, "cat /sys/class/net/lo/flags"), "0x9");
    c.destroy().unwrap();
    c.destroy().unwrap();
    assert!(!c.is_running());
}

#[test]
fn a_tarball_runs_and_is_left_as_it_was() {
    let c = Container::create(busybox_tar(), &Config::default()).unwrap();
    assert_eq!(sh(&c, "echo changed > /etc/passwd; echo new > /root/new; cat /etc/passwd /root/new"), "changed\nnew");
    assert_eq!(sh(&c, "ls -ln /etc/group | awk '{print $3, $4}'"), "0 0", "root's files are the container's root's");
    let other = Container::create(busybox_tar(), &Config::default()).unwrap();
    assert!(sh(&other, "cat /etc/passwd").starts_with("root:"));
}

#[test]
fn a_directory_is_a_lower_layer_or_the_root_itself() {
    let root = busybox();
    let lower = Container::create(root, &Config::default()).unwrap();
    sh(&lower, "touch /lower");
    assert!(!root.join("lower").exists());
    let direct = Config::default().with(|c| c.directory = DirectoryUse::Direct);
    let direct = Container::create(root, &direct).unwrap();
    sh(&direct, "touch /direct");
    assert!(root.join("direct").exists());
    std::fs::remove_file(root.join("direct")).unwrap();
}

#[test]
fn a_directory_of_the_image_can_be_replaced_by_a_new_one() {
    for upper in [Upper::Memory, Upper::Disk] {
        let c = Container::create(busybox_tar(), &Config::default().with(|c| c.upper = upper)).unwrap();
        assert_eq!(sh(&c, "rm -r /usr && mkdir /usr && touch /usr/new && ls -A /usr"), "new", "{upper:?}");
    }
}

#[test]
fn changes_can_go_to_disk_and_are_gone_afterwards() {
    let store = common::scratch("disk-store");
    let config = Config::default().with(|c| {
        c.upper = Upper::Disk;
        c.store_dir = Some(store.clone());
    });
    let c = Container::create(busybox(), &config).unwrap();
    sh(&c, "echo x > /x; rm -rf /usr; mkdir /usr; echo y > /usr/y");
    assert_eq!(sh(&c, "cat /x /usr/y; ls /usr"), "x\ny\ny");
    assert_eq!(std::fs::read_dir(store.join("upper")).unwrap().count(), 1);
    c.destroy().unwrap();
    assert_eq!(std::fs::read_dir(store.join("upper")).unwrap().count(), 0);
}

#[test]
fn changes_on_disk_are_apart_where_two_state_directories_have_the_same_name() {
    let dir = common::scratch("two-states");
    let config = |state: &str| {
        Config::default().with(|c| {
            c.upper = Upper::Disk;
            c.name = Some("twin".into());
            c.store_dir = Some(dir.join("store"));
            c.state_dir = Some(dir.join(state));
        })
    };
    let first = Container::create(busybox(), &config("one")).unwrap();
    sh(&first, "echo first > /x");
    let second = Container::create(busybox(), &config("two")).unwrap();
    assert_eq!(sh(&second, "cat /x 2>/dev/null || echo none"), "none");
    second.destroy().unwrap();
    assert_eq!(sh(&first, "cat /x; echo more > /y; cat /y"), "first\nmore");
    first.destroy().unwrap();
    assert_eq!(std::fs::read_dir(dir.join("store/upper")).unwrap().count(), 0);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_read_only_root_refuses_and_tmp_is_writable() {
    let c = Container::create(busybox(), &Config::default().with(|c| c.read_only = true)).unwrap();
    assert!(sh(&c, "touch /x 2>&1 || echo refused").contains("refused"));
    assert_eq!(sh(&c, "echo t > /tmp/t && cat /tmp/t"), "t");
    assert_eq!(sh(&c, "echo t > /dev/null && echo ok"), "ok");
}

#[test]
fn binds_and_tmpfs_are_mounted_where_asked() {
    let data = common::scratch("data");
    std::fs::write(data.join("in"), "from the host").unwrap();
    let bind = |target: &str, read_only| Mount::Bind(Bind::new(data.clone(), target).with(|b| b.read_only = read_only));
    let config = Config::default().with(|c| {
        c.mounts = vec![
            bind("/data", false),
            bind("/deep/er/data", true),
            Mount::Bind(Bind::new(data.join("in"), "/etc/one-file").with(|b| b.read_only = true)),
            Mount::Tmpfs(Tmpfs::new("/scratch").with(|t| {
                t.size = Some(1 << 20);
                t.mode = Some(0o700);
            })),
        ]
    });
    let c = Container::create(busybox(), &config).unwrap();
    assert_eq!(sh(&c, "cat /data/in; echo; cat /etc/one-file"), "from the host\nfrom the host");
    sh(&c, "echo back > /data/out");
    assert_eq!(std::fs::read_to_string(data.join("out")).unwrap(), "back\n");
    assert!(sh(&c, "touch /deep/er/data/no 2>&1 || echo refused").contains("refused"));
    assert_eq!(sh(&c, "stat -c %a /scratch"), "700");
    assert!(sh(&c, "head -c 2000000 /dev/zero > /scratch/f 2>&1 || echo full").contains("full"));
}

#[test]
fn a_place_that_can_not_be_made_is_explained() {
    let bind = |target: &str| Mount::Bind(Bind::new("/etc/hostname", target).with(|b| b.read_only = true));
    let directory = Mount::Bind(Bind::new("/etc", "/usr/new/deep").with(|b| b.read_only = true));
    let tmpfs = Mount::Tmpfs(Tmpfs::new("/etc/new"));
    for mount in [bind("/usr/new"), directory, tmpfs] {
        let target = mount.target().display().to_string();
        let error = Container::create("host", &Config::default().with(|c| c.mounts = vec![mount])).err().unwrap();
        assert_eq!((error.errno(), error.object()), (libc::ENOENT, target.as_str()), "{error}");
        assert!(error.hint().contains("can't be written to") && error.hint().contains("/mnt"), "{error}");
    }
    let devices = vec!["/dev/null:/usr/null".parse().unwrap()];
    let error = Container::create("host", &Config::default().with(|c| c.devices = devices)).err().unwrap();
    assert!(error.object() == "/usr/null" && error.hint().contains("can't be written to"), "{error}");
    let devices = vec!["/dev/ctr-none:/usr/null".parse().unwrap()];
    let error = Container::create("host", &Config::default().with(|c| c.devices = devices)).err().unwrap();
    assert!(error.object() == "/dev/ctr-none" && error.hint().contains("on the host"), "{error}");
    let c = Container::create("host", &Config::default().with(|c| c.mounts = vec![bind("/mnt/a/b")])).unwrap();
    assert_eq!(sh(&c, "cat /mnt/a/b"), std::fs::read_to_string("/etc/hostname").unwrap().trim_end());
}

#[test]
fn streams_are_pipes_descriptors_or_nothing() {
    let c = host();
    let config = ExecConfig::default().with(|c| {
        c.stdin = Stdio::Pipe;
        c.stdout = Stdio::Pipe;
        c.stderr = Stdio::Pipe;
    });
    let p = c.exec(["sh", "-c", "cat; echo err >&2"], &config).unwrap();
    let mut stdin = std::fs::File::from(p.take_stdin().unwrap());
    stdin.write_all(b"through").unwrap();
    drop(stdin);
    assert_eq!(read_all(p.take_stdout().unwrap()), "through");
    assert_eq!(read_all(p.take_stderr().unwrap()), "err\n");
    assert!(p.take_stdout().is_none());
    assert_eq!(end_of(&p).code, 0);
    let file = std::fs::File::open("/etc/hostname").unwrap();
    let config = captured().with(|c| c.fds = vec![(file.as_raw_fd(), 7)]);
    let (said, _) = run_with(&c, &["sh", "-c", "cat <&7; ls /proc/self/fd"], &config);
    assert_eq!(said, format!("{}0\n1\n2\n3\n7\n", std::fs::read_to_string("/etc/hostname").unwrap()));
}

/// What `ctr.h` warns of, and what it says to do instead.
#[test]
fn a_program_that_writes_much_at_its_end_ends_by_itself_only_where_somebody_reads() {
    let c = host();
    let script = "trap 'head -c 300000 /dev/zero; exit 7' TERM; echo ready; while :; do sleep 0.01; done";
    let start = || {
        let p = c.exec(["sh", "-c", script], &captured()).unwrap();
        let mut stdout = std::fs::File::from(p.take_stdout().unwrap());
        let mut ready = [0; 6];
        stdout.read_exact(&mut ready).unwrap();
        (p, stdout)
    };
    let (unread, _stdout) = start();
    assert_eq!(unread.stop(Duration::from_millis(500)).unwrap().signal, libc::SIGKILL);
    // In another thread.
    let (p, stdout) = start();
    let reader = std::thread::spawn(|| read_all(stdout.into()).len());
    assert_eq!(p.stop(Duration::from_secs(60)).unwrap().code, 7);
    assert_eq!(reader.join().unwrap(), 300_000);
    // The signal first, and the wait when all has been read.
    let (p, stdout) = start();
    p.kill(libc::SIGTERM).unwrap();
    assert_eq!(read_all(stdout.into()).len(), 300_000);
    assert_eq!(p.stop(Duration::from_secs(60)).unwrap().code, 7);
}

#[test]
fn exits_are_told_apart() {
    let c = host();
    let (_, exit) = run(&c, &["sh", "-c", "exit 7"]);
    assert_eq!((exit.code, exit.signal, exit.reason), (7, 0, ExitReason::Exited));
    let (_, exit) = run(&c, &["sh", "-c", "kill -TERM $$"]);
    assert_eq!((exit.code, exit.signal, exit.reason), (143, 15, ExitReason::Signaled));
    let limit = quiet().with(|c| c.time_limit = Some(Duration::from_millis(50)));
    let (_, exit) = run_with(&c, &["sleep", "100"], &limit);
    assert_eq!((exit.signal, exit.reason), (9, ExitReason::TimedOut));
    let p = c.exec(["sleep", "100"], &quiet()).unwrap();
    assert_eq!(p.wait(Some(Duration::from_millis(30))).unwrap(), None);
    p.kill(libc_sigkill()).unwrap();
    assert_eq!(end_of(&p).reason, ExitReason::Signaled);
    let p = c.exec(["sleep", "100"], &quiet()).unwrap();
    c.destroy().unwrap();
    assert_eq!(end_of(&p).reason, ExitReason::Destroyed);
    assert_eq!(c.exec(["true"], &quiet()).err().unwrap().code(), ErrorCode::Destroyed);
}

fn libc_sigkill() -> i32 {
    9
}

#[test]
fn a_memory_hog_is_told_to_be_out_of_memory() {
    if !can_limit() {
        return;
    }
    let c = host_with(&Config::default().with(|c| c.memory = Some(32 << 20)));
    let (_, exit) = run(&c, &["sh", "-c", "exec dd if=/dev/zero of=/dev/null bs=128M count=1"]);
    assert_eq!((exit.signal, exit.reason), (9, ExitReason::OutOfMemory));
    // One whose end nobody asks for is not the reason of a later one's.
    let joined = Container::join(c.name()).unwrap();
    for other in [&c, &joined] {
        let (_, exit) = run(other, &["sh", "-c", "dd if=/dev/zero of=/dev/null bs=128M count=1; exit 3"]);
        assert_eq!((exit.code, exit.reason), (3, ExitReason::Exited));
        let (_, exit) = run(&c, &["sh", "-c", "kill -9 $$"]);
        assert_eq!((exit.signal, exit.reason), (9, ExitReason::Signaled));
    }
    let (_, exit) = run(&joined, &["sh", "-c", "exec dd if=/dev/zero of=/dev/null bs=128M count=1"]);
    assert_eq!((exit.signal, exit.reason), (9, ExitReason::OutOfMemory));
    c.set_memory_limit(Some(256 << 20)).unwrap();
    assert_eq!(c.memory_limit().unwrap(), Some(256 << 20));
    c.set_memory_limit(None).unwrap();
    assert_eq!(c.memory_limit().unwrap(), None);
    let (said, exit) = run(&c, &["sh", "-c", "dd if=/dev/zero bs=100M count=1 2>/dev/null | wc -c"]);
    assert_eq!((said.trim(), exit.code), ("104857600", 0));
}

#[test]
fn a_fork_bomb_stays_within_its_pids_limit() {
    if !can_limit() {
        return;
    }
    let c = host_with(&Config::default().with(|c| c.pids = Some(20)));
    let p = c.exec(["sh", "-c", "bomb() { bomb | bomb & }; bomb; sleep 100"], &quiet()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    p.kill_group(9).unwrap();
    c.destroy().unwrap();
}

#[test]
fn a_terminal_has_job_control_and_a_size() {
    let c = host();
    let config = ExecConfig::default().with(|c| c.pty = Some(Winsize { rows: 30, cols: 100 }));
    let p = c.exec(["sh", "-c", "tty; stty size; read x; stty size; echo got $x"], &config).unwrap();
    let mut master = std::fs::File::from(p.pty().unwrap().try_clone_to_owned().unwrap());
    let mut said = String::new();
    let mut read_until = |what: &str, master: &mut std::fs::File| {
        let mut buffer = [0; 1000];
        while !said.contains(what) {
            match master.read(&mut buffer) {
                Ok(count) if count > 0 => said.push_str(&String::from_utf8_lossy(&buffer[..count])),
                _ => break,
            }
        }
        assert!(said.contains(what), "{what} in {said}");
    };
    read_until("/dev/pts/0", &mut master);
    read_until("30 100", &mut master);
    p.resize(Winsize { rows: 40, cols: 90 }).unwrap();
    master.write_all(b"hello\n").unwrap();
    read_until("40 90", &mut master);
    read_until("got hello", &mut master);
    assert_eq!(end_of(&p).code, 0);
}

#[test]
fn a_terminal_is_there_where_the_container_has_no_dev_of_its_own() {
    let shared = Namespaces::default().with(|n| n.mount = Namespace::Host);
    let with_our_mounts = host_with(&Config::default().with(|c| c.namespaces = shared));
    let sleeper = with_our_mounts.exec(["sleep", "100"], &quiet()).unwrap();
    let joined = Container::join_pid(sleeper.host_pid().unwrap(), ctr::NamespaceSet::ALL).unwrap();
    let config = ExecConfig::default().with(|c| c.pty = Some(Winsize { rows: 31, cols: 101 }));
    for c in [&with_our_mounts, &joined] {
        let p = c.exec(["sh", "-c", "set -m; stty size </dev/tty; read x; echo got $x; exit 3"], &config).unwrap();
        let mut master = std::fs::File::from(p.pty().unwrap().try_clone_to_owned().unwrap());
        master.write_all(b"hello\n").unwrap();
        let mut said = Vec::new();
        // EIO is a terminal's end of file.
        _ = master.read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("31 101") && said.contains("got hello"), "{said}");
        assert_eq!(end_of(&p).code, 3);
    }
    with_our_mounts.destroy().unwrap();
    let error = joined.exec(["true"], &quiet()).err().unwrap();
    assert!(error.errno() == libc::ENOMEM && error.hint().contains("PID namespace"), "{error}");
}

#[test]
fn users_and_groups_come_from_the_image() {
    let c = Container::create(busybox(), &Config::default()).unwrap();
    // To setresuid(2) the largest number is "no change": it would be root.
    for user in ["4294967295", "0:4294967295", "-1", "0:-1", "99999999999"] {
        let refused = c.exec(["true"], &quiet().with(|c| c.user = Some(user.into()))).err().unwrap();
        assert_eq!(refused.code(), ErrorCode::Invalid, "{user}: {refused}");
    }
    let group = quiet().with(|c| c.groups = Some(vec!["4294967295".into()]));
    assert_eq!(c.exec(["true"], &group).err().unwrap().code(), ErrorCode::Invalid);
    if !has_ids(&c, 6001) {
        return skipped("this user has a single id, or few, to give; libctr doctor says why");
    }
    let id = |user: &str| run_with(&c, &["id"], &captured().with(|c| c.user = Some(user.into()))).0;
    assert_eq!(id("ann").trim(), "uid=1000(ann) gid=1000(ann) groups=29(audio),44(video)");
    assert_eq!(id("1001").trim(), "uid=1001(bob) gid=100(users) groups=29(audio)");
    assert_eq!(id("ann:users").trim(), "uid=1000(ann) gid=100(users)");
    assert_eq!(id("5000:6000").trim(), "uid=5000 gid=6000");
    let home = captured().with(|c| c.user = Some("ann".into()));
    assert_eq!(run_with(&c, &["sh", "-c", "echo $HOME"], &home).0.trim(), "/home/ann");
    let missing = quiet().with(|c| c.user = Some("nobody-here".into()));
    let error = c.exec(["true"], &missing).err().unwrap();
    assert_eq!(error.code(), ErrorCode::NotFound);
    assert!(error.to_string().contains("nobody-here"), "{error}");
}

#[test]
fn what_is_missing_is_named() {
    let c = Container::create(busybox(), &Config::default()).unwrap();
    sh(
        &c,
        "printf '#!/no/interpreter\\n' > /script; echo text > /text; echo > /plain; chmod +x /script /text; mkdir /dir",
    );
    let error = |argv: &[&str]| c.exec(argv, &quiet()).err().unwrap();
    let e = error(&["/no/such"]);
    assert_eq!((e.code(), e.errno()), (ErrorCode::NotFound, 2));
    assert!(error(&["no-such-program"]).to_string().contains("PATH"));
    assert!(error(&["/script"]).to_string().contains("/no/interpreter"), "{}", error(&["/script"]));
    let said = |argv: &[&str]| (error(argv).errno(), error(argv).to_string());
    sh(
        &c,
        "printf '#!/script\n' > /second; printf '#!/bin/sh\r\n' > /windows; printf '#! /plain x\n' > /third; \
         chmod +x /second /windows /third",
    );
    let (errno, words) = said(&["/second"]);
    assert!(errno == 2 && words.contains("interpreter /no/interpreter of /script is missing"), "{words}");
    let (errno, words) = said(&["/windows"]);
    assert!(errno == 2 && words.contains(r"its interpreter /bin/sh\r is missing") && words.contains("sed"), "{words}");
    let (errno, words) = said(&["/third"]);
    assert!(errno == 13 && words.contains("its interpreter /plain is not executable"), "{words}");
    assert_eq!(error(&["/text"]).errno(), 8);
    assert_eq!(error(&["/plain"]).errno(), 13);
    assert!(error(&["/dir"]).to_string().contains("directory"));
    assert_eq!(error(&[]).code(), ErrorCode::Invalid);
    let (errno, words) = said(&["true", &"x".repeat(200_000)]);
    assert!(errno == 7 && words.contains("one argument") && words.contains("131072"), "{words}");
    let cwd = quiet().with(|c| c.cwd = Some("/no/cwd".into()));
    let e = c.exec(["true"], &cwd).err().unwrap();
    assert!(e.to_string().contains("/no/cwd"), "{e}");
    let large: Vec<String> = std::iter::once("true".into()).chain((0..3000).map(|i| format!("{i:0100}"))).collect();
    assert_eq!(end_of(&c.exec(&large, &quiet()).unwrap()).code, 0, "a message that needs a memfd");
}

#[test]
fn the_pid_on_the_host_is_known_also_when_the_program_has_ended() {
    let check = |c: &Container| {
        let p = c.exec(["cat"], &quiet().with(|c| c.stdin = Stdio::Pipe)).unwrap();
        let pid = p.host_pid().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
        assert!(pids.split_ascii_whitespace().any(|inside| inside == p.pid().to_string()), "{pids}");
        drop(p.take_stdin());
        end_of(&p);
        assert_eq!(p.host_pid().unwrap(), pid);
        // Nobody has asked for it while there was a process.
        let short = c.exec(["true"], &quiet()).unwrap();
        end_of(&short);
        let pid = short.host_pid().unwrap();
        assert!(pid > 0 && pid != p.host_pid().unwrap() && pid != c.pid(), "{pid}");
    };
    let c = host();
    check(&c);
    check(&Container::join(c.name()).unwrap());
    let sleeper = c.exec(["sleep", "100"], &quiet()).unwrap();
    check(&Container::join_pid(sleeper.host_pid().unwrap(), ctr::NamespaceSet::ALL).unwrap());
    // A server without any right over the PID namespace, which is ours.
    check(&Container::join_pid(std::process::id() as i32, ctr::NamespaceSet::ALL).unwrap());
    sleeper.kill(libc_sigkill()).unwrap();
}

#[test]
fn orphans_are_reaped_by_pid_1() {
    let c = host();
    sh(&c, "for i in 1 2 3 4 5; do (sleep 0.01 &) ; done");
    eventually("no zombies", || sh(&c, "ps -eo stat,comm | grep -c '^Z' || true") == "0");
}

#[test]
fn joining_is_as_good_as_having_made_it() {
    let c = host_with(&Config::default().with(|c| c.memory = memory_if_possible(64 << 20)));
    sh(&c, "echo here > /tmp/x");
    let joined = Container::join(c.name()).unwrap();
    assert_eq!(sh(&joined, "cat /tmp/x"), "here");
    assert_eq!(joined.pid(), c.pid());
    if can_limit() {
        joined.set_memory_limit(Some(128 << 20)).unwrap();
        assert_eq!(c.memory_limit().unwrap(), Some(128 << 20));
    }
    assert!(Container::list().unwrap().iter().any(|info| info.name == c.name() && info.pid == c.pid()));
    joined.destroy().unwrap();
    assert!(!c.is_running());
    assert_eq!(c.exec(["true"], &quiet()).err().unwrap().code(), ErrorCode::Destroyed);
    assert_eq!(Container::join(c.name()).err().unwrap().code(), ErrorCode::NotFound);
    c.destroy().unwrap();
}

#[test]
fn any_process_can_be_joined_by_its_pid() {
    let c = host();
    let p = c.exec(["sleep", "100"], &quiet()).unwrap();
    let joined = Container::join_pid(p.host_pid().unwrap(), ctr::NamespaceSet::ALL).unwrap();
    assert_eq!(sh(&joined, "hostname"), c.name());
    assert_eq!(sh(&joined, "cat /proc/1/comm"), "ctr-init");
    drop(joined);
    assert!(c.is_running());
    assert_eq!(Container::join_pid(0, ctr::NamespaceSet::ALL).err().unwrap().code(), ErrorCode::Invalid);
}

#[test]
fn a_container_can_live_in_the_namespaces_of_another() {
    let first = host();
    let of_first = || Namespace::Container(first.name().to_string());
    let namespaces = Namespaces::default().with(|n| {
        n.user = of_first();
        n.pid = of_first();
    });
    let second = host_with(&Config::default().with(|c| c.namespaces = namespaces));
    let sleeper = first.exec(["sleep", "100"], &quiet()).unwrap();
    // The kernel names a process a little after it has let go of the memory that it shared until execve.
    let look = format!("cat /proc/{}/comm; id -u", sleeper.pid());
    eventually("it is seen", || sh(&second, &look) == "sleep\n0");
    assert_ne!(sh(&second, "readlink /proc/self/ns/mnt"), sh(&first, "readlink /proc/self/ns/mnt"));
    assert_eq!(sh(&second, "readlink /proc/self/ns/user"), sh(&first, "readlink /proc/self/ns/user"));
    second.destroy().unwrap();
    assert!(first.is_running() && sleeper.wait(Some(Duration::ZERO)).unwrap().is_none());
}

#[test]
fn a_side_car_is_made_by_whoever_made_the_container() {
    let c = host();
    let of = |c: &Container, kind: &str| sh(c, &format!("readlink /proc/self/ns/{kind}"));
    // By name or by the pid of its PID 1, which is closed to its own user in /proc; the user namespace comes with it.
    for from in [Namespace::Container(c.name().to_string()), Namespace::Pid(c.pid())] {
        let namespaces = Namespaces::default().with(|n| n.net = from);
        let side = host_with(&Config::default().with(|c| c.namespaces = namespaces));
        assert_eq!(of(&side, "net"), of(&c, "net"));
        assert_ne!(of(&side, "mnt"), of(&c, "mnt"));
        assert_eq!(sh(&side, "id -u"), "0");
    }
    let pid = || Namespace::Pid(c.pid());
    let namespaces = Namespaces::default().with(|n| {
        n.user = pid();
        n.net = pid();
        n.ipc = pid();
    });
    let pod = host_with(&Config::default().with(|c| c.namespaces = namespaces));
    for kind in ["user", "net", "ipc"] {
        assert_eq!(of(&pod, kind), of(&c, kind), "{kind}");
    }
    let names = ctr::NamespaceSet((libc::CLONE_NEWUSER | libc::CLONE_NEWUTS) as u32);
    let half = Container::join_pid(c.pid(), names).unwrap();
    assert_eq!(sh(&half, "hostname"), c.name());
    let whole = Container::join_pid(c.pid(), ctr::NamespaceSet::ALL).unwrap();
    assert_eq!((sh(&whole, "hostname"), of(&whole, "mnt")), (c.name().to_string(), of(&c, "mnt")));
    if !nix::unistd::geteuid().is_root() {
        let error = Container::join_pid(c.pid(), ctr::NamespaceSet(libc::CLONE_NEWUTS as u32)).err().unwrap();
        assert!(error.to_string().contains("enter the user namespace too"), "{error}");
    }
}

#[test]
fn a_namespace_of_ours_that_is_joined_is_shared() {
    let ours = |kind: &str| Namespace::Path(format!("/proc/self/ns/{kind}").into());
    let pid = || Namespace::Pid(std::process::id() as i32);
    let default = Namespaces::default;
    for (kind, namespaces) in [
        ("mnt", default().with(|n| n.mount = ours("mnt"))),
        ("pid", default().with(|n| n.pid = ours("pid"))),
        ("uts", default().with(|n| n.uts = ours("uts"))),
        ("ipc", default().with(|n| n.ipc = pid())),
        ("net", default().with(|n| n.net = pid())),
        ("cgroup", default().with(|n| n.cgroup = pid())),
        ("time", default().with(|n| n.time = Some(pid()))),
    ] {
        let c = host_with(&Config::default().with(|c| c.namespaces = namespaces));
        let of_host = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert_eq!(sh(&c, &format!("readlink /proc/self/ns/{kind}")), of_host.to_string_lossy(), "{kind}");
    }
    let first = host();
    let of_first = || Namespace::Container(first.name().to_string());
    // Its clocks are ours, and ours can't be entered from its user namespace.
    let namespaces = default().with(|n| {
        n.user = of_first();
        n.time = Some(of_first());
    });
    assert_eq!(sh(&host_with(&Config::default().with(|c| c.namespaces = namespaces)), "id -u"), "0");
    let namespaces = default().with(|n| n.cgroup = of_first());
    if !nix::unistd::geteuid().is_root() {
        // The user namespace is joined too, since nothing else would do.
        let second = host_with(&Config::default().with(|c| c.namespaces = namespaces));
        let look = "readlink /proc/self/ns/user; readlink /proc/self/ns/cgroup";
        return assert_eq!(sh(&second, look), sh(&first, look));
    }
    let error = Container::create("host", &Config::default().with(|c| c.namespaces = namespaces)).err().unwrap();
    assert_eq!((error.code(), error.errno()), (ErrorCode::Unsupported, libc::EPERM), "{error}");
    let filtered = error.to_string().contains("is refused here");
    assert!(filtered || error.hint().contains("user namespace that owns it"), "{error}");
}

#[test]
fn a_container_can_be_born_in_the_user_namespace_of_another() {
    let first = host();
    let namespaces = Namespaces::default().with(|n| n.user = Namespace::Container(first.name().to_string()));
    let second = host_with(&Config::default().with(|c| c.namespaces = namespaces));
    for (kind, same) in [("user", true), ("pid", false), ("net", false), ("mnt", false), ("uts", false)] {
        let link = format!("readlink /proc/self/ns/{kind}");
        assert_eq!(sh(&first, &link) == sh(&second, &link), same, "{kind}");
    }
    assert_eq!(sh(&second, "cat /proc/1/comm; id -u"), "ctr-init\n0");
    let net = Namespace::Container(first.name().to_string());
    let third = Container::create(
        "host",
        &Config::default().with(|c| c.namespaces = Namespaces::default().with(|n| n.net = net)),
    );
    // Its owner is the other's user namespace, over which a new one has no rights; root's zygote has.
    let third = match third {
        Ok(third) => third,
        Err(error) if std::fs::metadata("/proc/self").unwrap().uid() != 0 => {
            assert_eq!(error.errno(), 1);
            assert!(error.to_string().contains("join that one too"), "{error}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(sh(&third, "readlink /proc/self/ns/net"), sh(&first, "readlink /proc/self/ns/net"));
}

#[test]
fn a_pid_1_that_is_killed_from_outside_ends_the_container() {
    let c = host();
    let p = c.exec(["sleep", "100"], &quiet()).unwrap();
    std::process::Command::new("kill").args(["-9", &c.pid().to_string()]).status().unwrap();
    assert_eq!(end_of(&p).reason, ExitReason::Destroyed);
    eventually("it has ended", || !c.is_running());
    assert_eq!(c.exec(["true"], &quiet()).err().unwrap().code(), ErrorCode::Destroyed);
    c.destroy().unwrap();
}

#[test]
fn names_are_checked() {
    let create = |name: &str| Container::create("host", &Config::default().with(|c| c.name = Some(name.into())));
    for bad in ["", "a/b", "..", "-x", &"n".repeat(65), "a b"] {
        assert_eq!(create(bad).err().unwrap().code(), ErrorCode::Invalid, "{bad:?}");
    }
    let name = format!("named-{}", std::process::id());
    let c = create(&name).unwrap();
    assert_eq!(create(&name).err().unwrap().code(), ErrorCode::NameInUse);
    c.destroy().unwrap();
    create(&name).unwrap();
}

#[test]
fn many_threads_live_many_lives() {
    let config = Config::default().with(|c| c.memory = memory_if_possible(64 << 20));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let c = host_with(&config);
                    assert_eq!(run(&c, &["true"]).1.code, 0);
                    c.destroy().unwrap();
                }
            });
        }
    });
}

#[test]
fn what_explain_prints_can_be_typed() {
    use std::os::unix::process::CommandExt;
    let is = |program: &str, whose: &str| {
        let said = std::process::Command::new(program).arg("--version").output();
        said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains(whose))
    };
    if !is("bash", "GNU bash") || !is("unshare", "util-linux") {
        return skipped("it takes bash and util-linux");
    }
    let scratch = common::scratch("typed");
    let tmpfs = |target: &str, size| {
        Mount::Tmpfs(Tmpfs::new(target).with(|t| {
            t.size = size;
            t.mode = Some(0o750);
        }))
    };
    let mounts = vec![tmpfs("/srv/part-of-it's", None), tmpfs("/srv/own", Some(1 << 20))];
    let own = Config::default().with(|c| {
        c.hostname = Some("typed".into());
        c.mounts = mounts;
        c.read_only = true;
    });
    let config = || own.clone().with(|c| c.cgroup = ctr::CgroupPolicy::Off);
    // Builtins only: the shell that did the pivot still remembers where the host's programs were.
    let look = "echo ==; read -r name </proc/sys/kernel/hostname; echo $name; \
                while read -r a b c d place rest; do echo $place; done </proc/self/mountinfo";
    let sorted = |said: &str| {
        let mut lines: Vec<_> = said.rsplit("==\n").next().unwrap_or_default().lines().map(str::to_string).collect();
        lines.sort_unstable();
        lines
    };
    for image in [std::path::Path::new("host"), busybox()] {
        let text = ctr::explain(image, &config()).unwrap();
        if text.contains("X-mount.idmap") && !is("mount", "idmap") {
            skipped("mount(8) can't id-map before util-linux 2.39");
            continue;
        }
        // Whatever fails in the first shell ends it, so nothing is typed outside by mistake. Each shell reads of a pipe no
        // more than the commands that it carries out.
        std::fs::write(scratch.join("typed"), format!("set -e\n{text}\n{look}\n")).unwrap();
        let output = std::fs::File::create(scratch.join("said")).unwrap();
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "cat typed | timeout --foreground 60 bash"]).current_dir(&scratch).env("TMPDIR", &scratch);
        shell.stderr(output.try_clone().unwrap()).stdout(output).process_group(0);
        let mut shell = shell.spawn().unwrap();
        shell.wait().unwrap();
        _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(shell.id() as i32), nix::sys::signal::SIGKILL);
        let said = std::fs::read_to_string(scratch.join("said")).unwrap();
        let c = Container::create(image, &config()).unwrap();
        assert_eq!(sorted(&said), sorted(&sh(&c, look)), "{text} said {said}");
    }
    std::fs::remove_dir_all(&scratch).unwrap();
}

#[test]
fn explain_prints_what_a_person_would_type() {
    let text = ctr::explain("host", &Config::default().with(|c| c.memory = memory_if_possible(64 << 20))).unwrap();
    println!("{text}");
    for word in ["unshare", "mount -t proc", "pivot_root", "ip link set lo up", "hostname"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert!(text.contains("67108864") || !can_limit(), "the limit in {text}");
    let on_disk = Config::default().with(|c| c.upper = Upper::Disk);
    assert!(ctr::explain(busybox(), &on_disk).unwrap().contains("/upper/"));
    // In an order in which it can be typed: behind the pivot there is no cgroup to go into.
    let place = |command: &str| text.find(command).unwrap_or(0);
    assert!(place("mkdir /sys/fs/cgroup") <= place("unshare --user"), "{text}");
    assert!(
        place("unshare --user") < place("pivot_root . .") && place("pivot_root . .") < place("setpriv --seccomp"),
        "{text}"
    );
}

/// Every combination of closed streams, each as the first use of a process.
#[test]
fn own_stdio_a_closed_stream_stays_closed_and_is_nothing_of_ours() {
    for closed in 1..8 {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "role_with_closed_streams", "--ignored", "--test-threads=1"])
            .env("CLOSED", closed.to_string())
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "with the streams of mask {closed} closed");
    }
}

#[test]
#[ignore = "a role"]
fn role_with_closed_streams() {
    let closed: i32 = std::env::var("CLOSED").unwrap().parse().unwrap();
    let is_open = |fd: &i32| std::fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_ok();
    for fd in (0..3).filter(|fd| closed >> fd & 1 == 1) {
        // SAFETY: the streams of a process of our own.
        assert_eq!(unsafe { libc::close(fd) }, 0);
    }
    let script = "for fd in 0 1 2; do
        if test \"$(readlink /proc/$$/fd/$fd)\" = /dev/null; then n=$((n + (1 << fd))); fi
    done; exit $((64 + n))";
    let runs = |c: &Container| {
        let code = end_of(&c.exec(["/bin/sh", "-c", script], &ExecConfig::default()).unwrap()).code;
        // What is closed is /dev/null inside; what is open may be that, too.
        assert_eq!((code & 64, code & closed), (64, closed));
        assert!((0..3).filter(|fd| closed >> fd & 1 == 1).all(|fd| !is_open(&fd)), "{closed}");
    };
    for _ in 0..2 {
        let c = host();
        runs(&c);
        runs(&Container::join(c.name()).unwrap());
        runs(&Container::join_pid(std::process::id() as i32, NamespaceSet::ALL).unwrap_or_else(|_| host()));
        let p = c.exec(["cat"], &captured()).unwrap();
        assert!(p.take_stdout().is_some_and(|fd| fd.as_raw_fd() > 2) && p.pidfd().as_raw_fd() > 2);
        c.destroy().unwrap();
    }
}
