//! /proc and /sys as root inside finds them: what is masked, what can be written to, and the writes of the engine itself.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsRawFd;

use ctr::{Config, Container, ExecConfig, Stdio};

use crate::attack;
use crate::fence::{defaults, inside, run, with};

/// What root inside may open for writing, and why that harms nobody. A change here is a change of the walls.
const WRITABLE: [(&str, &str); 18] = [
    ("/proc/SELF/attr/", "labels of the process itself, as its LSM allows"),
    ("/proc/SELF/autogroup", "its own scheduling"),
    ("/proc/SELF/clear_refs", "its own page table's bits"),
    ("/proc/SELF/comm", "its own name"),
    ("/proc/SELF/coredump_filter", "its own core dumps, which are off"),
    ("/proc/SELF/gid_map", "written once already; the kernel refuses a second time"),
    ("/proc/SELF/loginuid", "its audit id, which counts for its own namespace"),
    ("/proc/SELF/make-it-fail", "fault injection, on kernels for testing"),
    ("/proc/SELF/mem", "its own memory"),
    ("/proc/SELF/oom_", "its own place in line; lowering it takes CAP_SYS_RESOURCE of the host"),
    ("/proc/SELF/projid_map", "project ids of its own user namespace"),
    ("/proc/SELF/sched", "its own statistics"),
    ("/proc/SELF/setgroups", "of its own user namespace, once"),
    ("/proc/SELF/timens_offsets", "of a time namespace of its own"),
    ("/proc/SELF/timerslack_ns", "its own timers"),
    ("/proc/SELF/uid_map", "written once already; the kernel refuses a second time"),
    ("/proc/N/attr/", "labels of PID 1: the open is not refused, the write is"),
    ("/proc/N/timerslack_ns", "PID 1's timers: the open is not refused, the write is (CAP_SYS_NICE)"),
];

const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

attack!(what_can_be_written_in_proc_and_sys_is_known, {
    let said = inside(&defaults(), "writable", &MASKED, &ExecConfig::default());
    assert_eq!(said.code, 0);
    let unknown: Vec<_> = said
        .text
        .lines()
        .filter(|line| {
            let path = line.strip_prefix("writable ");
            path.is_none_or(|path| !WRITABLE.iter().any(|(known, _)| path.starts_with(known)))
        })
        .collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
    // Without the masks there is more to see.
    let open = with(&Config::default().with(|c| c.preset = ctr::Preset::Privileged));
    let said = inside(&open, "writable", &MASKED, &ExecConfig::default());
    assert!(said.text.contains("visible /proc/interrupts"), "{}", said.text);
});

// runc CVE-2025-31133: /dev/null of the image is a link to what is then bound over the places to be masked. Ours come from a
// file system that we make.
attack!(cve_2025_31133, {
    let root = crate::fence::scratch().join("null");
    fs::create_dir_all(root.join("dev")).unwrap();
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    std::os::unix::fs::symlink("/proc/sys/kernel/core_pattern", root.join("dev/null")).unwrap();
    for directory in [ctr::DirectoryUse::Lower, ctr::DirectoryUse::Direct] {
        let container = Container::create(&root, &Config::default().with(|c| c.directory = directory)).unwrap();
        let script = "cat /proc/interrupts /proc/keys /proc/timer_list; echo x > /proc/interrupts; echo x > /proc/sys/kernel/core_pattern";
        let said = run(&container, &["/bin/busybox", "sh", "-c", script], &ExecConfig::default());
        assert!(
            !said.text.contains("CPU0") && said.text.contains("nonexistent") != said.text.contains("can't create"),
            "{}",
            said.text
        );
        assert_ne!(said.code, 0);
        let kind = run(&container, &["/bin/busybox", "stat", "-c", "%F %t %T", "/dev/null"], &ExecConfig::default());
        assert_eq!(kind.text.trim(), "character special file 1 3");
    }
});

// runc CVE-2025-52565: /dev/console and terminals. We mount none; a terminal is opened by descriptor on our own devpts.
attack!(cve_2025_52565, {
    let config = ExecConfig::default().with(|c| c.pty = Some(ctr::Winsize { rows: 24, cols: 80 }));
    let container = defaults();
    let hide = "mkdir /tmp/fake && ls /dev/console; rm -f /dev/ptmx; ln -s /proc/sys/kernel/core_pattern /dev/ptmx; ls -l /dev/ptmx";
    println!("{}", run(&container, &["/bin/sh", "-c", hide], &ExecConfig::default()).text);
    let process = container.exec(["/bin/sh", "-c", "tty; test -c /dev/console && echo console"], &config).unwrap();
    let mut master = fs::File::from(process.pty().unwrap().try_clone_to_owned().unwrap());
    process.wait(None).unwrap();
    let mut text = [0; 256];
    let count = master.read(&mut text).unwrap();
    let text = String::from_utf8_lossy(&text[..count]);
    assert!(text.contains("/dev/pts/") && !text.contains("console"), "{text}");
});

// cri-o CVE-2022-0811, runc CVE-2025-52881: a sysctl's name or value sets another one.
attack!(cve_2022_0811, {
    for (name, value) in [
        ("kernel.core_pattern", "|/x"),
        ("net.ipv4.ip_forward", "1+kernel.core_pattern=|/x"),
        ("net.ipv4.ip_forward", "1\nkernel.core_pattern=|/x"),
        ("net/../kernel/core_pattern", "|/x"),
        ("kernel.shm_rmid_forced", "1+kernel.core_pattern=|/x #"),
    ] {
        let config = Config::default().with(|c| c.sysctls = vec![(name.into(), value.into())]);
        let error = Container::create("host", &config).err().expect("it is refused");
        assert!(error.to_string().contains(name), "{error}");
    }
    let config = Config::default().with(|c| {
        c.sysctls = vec![("net.ipv4.ip_forward".into(), "1".into()), ("kernel.shm_rmid_forced".into(), "1".into())]
    });
    let container = with(&config);
    let script =
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced; echo 0 > /proc/sys/net/ipv4/ip_forward";
    let said = run(&container, &["/bin/sh", "-c", script], &ExecConfig::default());
    assert!(said.text.starts_with("1\n1\n") && said.code != 0, "{}", said.text);
    assert_ne!(fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap() + "own", "1\nown");
});

// runc CVE-2016-9962, bubblewrap CVE-2016-8659.
attack!(cve_2016_9962, {
    let container = defaults();
    let (read, write) = nix::unistd::pipe().unwrap();
    let config = ExecConfig::default().with(|c| {
        c.stdin = Stdio::Fd(read.as_raw_fd());
        c.stdout = Stdio::Pipe;
        c.stderr = Stdio::Stdout;
    });
    let script = crate::fence::payload("joiner");
    let watcher = container.exec(["/usr/bin/python3", "-I", "-c", &script], &config).unwrap();
    let mut output = BufReader::new(fs::File::from(watcher.take_stdout().unwrap()));
    let mut text = String::new();
    output.read_line(&mut text).unwrap();
    let joined = Container::join(container.name()).unwrap();
    for _ in 0..100 {
        // A descriptor of the host's goes along with each request, and must not be seen on the way.
        let config = ExecConfig::default().with(|c| c.stdin = Stdio::Null);
        for handle in [&container, &joined] {
            assert_eq!(run(handle, &["/bin/true"], &config).code, 0);
        }
    }
    nix::unistd::write(&write, b"x").unwrap();
    output.read_to_string(&mut text).unwrap();
    println!("{text}");
    assert_eq!(watcher.wait(None).unwrap().unwrap().code, 0, "{text}");
    assert!(!text.contains("saw 0 "), "no joining process was ever seen: {text}");
});
