//! Getting out through the kernel's own doors: mounts, cgroups, terminals, rarely used calls.

use std::fs::File;
use std::os::fd::AsRawFd;

use ctr::{Config, ExecConfig, Namespace, Namespaces, Stdio};
use nix::pty::openpty;

use crate::attack;
use crate::fence::{bites, defaults, held, inside, with, without_walls};

// kernel CVE-2022-0492.
attack!(cve_2022_0492, {
    held(&inside(&defaults(), "release_agent", &[], &ExecConfig::default()));
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
        let config = ExecConfig { stdin: Stdio::Fd(terminal.slave.as_raw_fd()), session, ..ExecConfig::default() };
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
        println!("skipped: the counter-test of cve_2017_5226 (dev.tty.legacy_tiocsti is 0)");
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
    let config =
        Config { namespaces: Namespaces { net: Namespace::Host, ..Namespaces::default() }, ..Config::default() };
    let container = with(&config);
    let said = crate::fence::run(
        &container,
        &["/bin/sh", "-c", "ip link set lo down || ip link add ctr-attack type dummy || ip netns add ctr-attack"],
        &ExecConfig::default(),
    );
    assert_ne!(said.code, 0, "{}", said.text);
});
