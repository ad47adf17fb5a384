//! Getting out through the kernel's own doors: mounts, cgroups, terminals, rarely used calls.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;

use ctr::{Config, ExecConfig, Namespace, Namespaces, Preset, Seccomp, Stdio};
use nix::mount::{MntFlags, umount2};
use nix::pty::openpty;

use crate::attack;
use crate::fence::{bites, defaults, held, inside, is_well, run, scratch, with, without_walls};

// kernel CVE-2022-0492.
attack!(cve_2022_0492, {
    held(&inside(&defaults(), "release_agent", &[], &ExecConfig::default()));
    // Behind the fence the mounts are gone with its namespace, and with them the hierarchy that one of them makes.
    bites(&without_walls("release_agent", &["mounts only"]));
});

// runc CVE-2023-25809: /sys/fs/cgroup can be written to inside. And nothing of the host's tree is to be seen there.
attack!(cve_2023_25809, {
    let roots = |c: &mut Config| c.namespaces.user = Namespace::Host;
    let alone = Config::default().with(|c| c.seccomp = Some(Seccomp::Unconfined));
    let strict = Config::default().with(|c| c.preset = Preset::Strict);
    // Where root inside is root outside, the kernel's files are its own.
    for config in [Config::default(), strict, alone.clone(), Config::default().with(roots), alone.with(roots)] {
        let container = with(&config.with(|c| c.memory = Some(256 << 20)));
        let sees = run(&container, &["/bin/sh", "-c", "ls /sys/fs/cgroup | wc -l"], &ExecConfig::default());
        assert_ne!(sees.text, "0\n", "there is nothing to attack");
        held(&inside(&container, "seen_cgroup", &[], &ExecConfig::default()));
        is_well(&container);
    }
    // A cgroup of our own, mounted read-only for a root that nothing else holds.
    let mut mounts = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].into_iter().map(Path::new);
    let own = mounts.find(|mount| mount.join("cgroup.procs").exists()).unwrap().join("ctr-attack-seen");
    let place = scratch().join("seen");
    for directory in [&own, &place] {
        fs::create_dir(directory).unwrap();
    }
    let mount = |arguments: &[&str]| Command::new("mount").args(arguments).arg(&place).status().unwrap().success();
    assert!(mount(&["--bind", "-o", "ro", own.to_str().unwrap()]));
    let said = without_walls("seen_cgroup", &[place.to_str().unwrap()]);
    // It lies on /tmp by now, and other things on it.
    while umount2("/tmp", MntFlags::MNT_DETACH).is_ok() {}
    fs::remove_dir(&own).unwrap();
    bites(&said);
    assert!(said.text.contains("BROKEN: as it is, remounted: open"), "{}", said.text);
});

// kernel CVE-2022-0185, nftables, overlay and others.
attack!(cve_2022_0185, {
    held(&inside(&defaults(), "kernel_surface", &[], &ExecConfig::default()));
    // With every capability over its own namespaces and no filter nearly all of it can be reached.
    bites(&without_walls("kernel_surface", &[]));
});

// bubblewrap CVE-2017-5226, lxc CVE-2016-10124: a program types into the terminal of whoever started the container.
attack!(cve_2017_5226, {
    let container = defaults();
    for session in [ctr::Session::New, ctr::Session::Group] {
        let terminal = openpty(None, None).unwrap();
        let config = ExecConfig::default().with(|c| {
            c.stdin = Stdio::Fd(terminal.slave.as_raw_fd());
            c.session = session;
        });
        held(&inside(&container, "terminal", &[], &config));
        assert_eq!(typed(terminal.slave.as_raw_fd()), 0, "something was typed into the host's terminal");
    }
    let terminal = openpty(None, None).unwrap();
    let outcome = std::process::Command::new("/usr/bin/python3")
        .args(["-I", "-c", &crate::fence::payload("terminal")])
        .stdin(File::from(terminal.slave.try_clone().unwrap()))
        .output()
        .unwrap();
    // Linux can be told to refuse it to everyone (6.2, dev.tty.legacy_tiocsti).
    if std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").is_ok_and(|text| text.trim() == "0") {
        println!("SKIPPED the counter-test of cve_2017_5226: dev.tty.legacy_tiocsti is 0");
        return;
    }
    assert_eq!(outcome.status.code(), Some(42), "{}", String::from_utf8_lossy(&outcome.stdout));
    assert!(typed(terminal.slave.as_raw_fd()) > 0);
});

/// How many bytes wait to be read.
fn typed(terminal: i32) -> i32 {
    let mut count = 0;
    // A line is not ready before it ends, so we ask in the raw mode.
    // SAFETY: FIONREAD writes one int; the record of the terminal's mode outlives both calls.
    unsafe {
        let mut mode = std::mem::zeroed();
        libc::tcgetattr(terminal, &raw mut mode);
        libc::cfmakeraw(&raw mut mode);
        libc::tcsetattr(terminal, libc::TCSANOW, &raw const mode);
        libc::ioctl(terminal, libc::FIONREAD, &raw mut count);
    }
    count
}

attack!(a_shared_network_namespace_gives_no_power_over_it, {
    let config = Config::default().with(|c| c.namespaces = Namespaces::default().with(|n| n.net = Namespace::Host));
    let container = with(&config);
    let said = crate::fence::run(
        &container,
        &["/bin/sh", "-c", "ip link set lo down || ip link add ctr-attack type dummy || ip netns add ctr-attack"],
        &ExecConfig::default(),
    );
    assert_ne!(said.code, 0, "{}", said.text);
});

// IPC and keys of the host's session are not found from inside, not even where every system call is let through.
attack!(ipc_and_keys_of_the_host_are_not_found, {
    let (segment_key, queue, key) = (0x6374_7200 | std::process::id() as i32 & 0xff, c"/ctr-attack", c"ctr-attack-key");
    const SESSION: i32 = -3;
    // SAFETY: plain calls; the names and the key's bytes outlive them. The session is a new one, so nobody else's is changed.
    let segment = unsafe {
        libc::syscall(libc::SYS_keyctl, 1, 0);
        libc::syscall(libc::SYS_add_key, c"user".as_ptr(), key.as_ptr(), c"secret".as_ptr(), 6usize, SESSION);
        libc::mq_open(queue.as_ptr(), libc::O_CREAT | libc::O_RDWR, 0o666, 0usize);
        libc::shmget(segment_key, 4096, libc::IPC_CREAT | 0o666)
    };
    let segment_key = segment_key.to_string();
    let args = [segment_key.as_str(), queue.to_str().unwrap(), key.to_str().unwrap()];
    let without = without_walls("neighbours", &args);
    let open = Config::default().with(|c| c.seccomp = Some(ctr::Seccomp::Unconfined));
    let walls =
        [Config::default(), open].map(|config| inside(&with(&config), "neighbours", &args, &ExecConfig::default()));
    // SAFETY: as above; this takes away what was made.
    unsafe {
        libc::shmctl(segment, libc::IPC_RMID, std::ptr::null_mut());
        libc::mq_unlink(queue.as_ptr());
    }
    walls.iter().for_each(held);
    bites(&without);
});
