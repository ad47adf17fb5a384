//! The filter as it is loaded: each call of the table, foreign calling conventions, presets, profiles of one's own.

use std::collections::BTreeMap;

use ctr::{Config, Container, ExecConfig, Preset, Refusal, Seccomp};

use crate::attack;
use crate::fence::{bites, defaults, held, inside, is_well, run, with, without_walls};

/// How each call ends that can be tried without harm, by number.
fn each_call(container: &Container) -> BTreeMap<u32, String> {
    let said = inside(container, "each_call", &[], &ExecConfig::default());
    assert_eq!(said.code, 0);
    let pairs = said.text.lines().filter_map(|line| line.split_once(' '));
    pairs.filter_map(|(number, result)| Some((number.parse().ok()?, result.to_string()))).collect()
}

/// The 64-bit calls that end otherwise under the default filter than without one, as bare probes with senseless arguments: the
/// filter refuses them. That it allows the same as docker's profile is tested where it is compiled.
const REFUSED: &str = "acct add_key bpf clock_settime delete_module fanotify_init finit_module fsconfig fsmount fsopen \
    fspick get_mempolicy init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load \
    kexec_load keyctl lookup_dcookie lsm_get_self_attr lsm_list_modules lsm_set_self_attr mbind migrate_pages mount \
    mount_setattr move_mount move_pages open_by_handle_at open_tree perf_event_open personality pidfd_getfd pivot_root \
    process_madvise quotactl quotactl_fd reboot request_key set_mempolicy set_mempolicy_home_node setdomainname \
    sethostname setns settimeofday socket swapoff swapon sysfs syslog umount2 unshare userfaultfd ustat vhangup";

attack!(each_call_of_the_table_ends_as_the_profile_says, {
    let filtered = each_call(&defaults());
    let free = each_call(&with(&Config::default().with(|c| c.seccomp = Some(Seccomp::Unconfined))));
    assert!(filtered.len() > 400, "only {} calls were tried", filtered.len());
    let mut refused = Vec::new();
    for (number, result) in &filtered {
        // What this kernel does not have is missing either way.
        if free[number] == *result || free[number] == "ENOSYS" {
            continue;
        }
        println!("{number}: {} becomes {result}", free[number]);
        assert!(["EPERM", "ENOSYS"].contains(&result.as_str()), "{number} ends with {result}");
        refused.push(*number);
    }
    // A call that is refused for want of a capability looks the same with the filter and without.
    let wanted: Vec<u32> = REFUSED.split_whitespace().filter_map(number).collect();
    let refusals = ["EPERM", "ENOSYS"].map(String::from);
    let missing: Vec<_> = wanted.iter().filter(|number| !refusals.contains(&filtered[number])).collect();
    assert!(missing.is_empty(), "not refused: {missing:?}");
    // From 467 on calls are newer than the profile.
    let more: Vec<_> = refused.iter().filter(|number| !wanted.contains(number) && **number < 467).collect();
    assert!(more.is_empty(), "refused, and not listed: {more:?}");
});

/// The number of a call by the kernel's header.
fn number(name: &str) -> Option<u32> {
    // Newer than the headers of Debian 12.
    const NEWER: [(&str, u32); 3] = [("lsm_get_self_attr", 459), ("lsm_set_self_attr", 460), ("lsm_list_modules", 461)];
    if let Some((_, number)) = NEWER.iter().find(|(newer, _)| *newer == name) {
        return Some(*number);
    }
    let header =
        std::fs::read_to_string("/usr/include/x86_64-linux-gnu/asm/unistd_64.h").expect("linux-libc-dev is installed");
    header.lines().find_map(|line| line.strip_prefix(&format!("#define __NR_{name} "))?.trim().parse().ok())
}

attack!(foreign_calling_conventions_find_no_gap, {
    let said = inside(&defaults(), "foreign_calls", &[], &ExecConfig::default());
    held(&said);
    bites(&without_walls("foreign_calls", &[]));
    // The strict profile lets no 32-bit program in at all: the process dies.
    let strict = with(&Config::default().with(|c| c.preset = Preset::Strict));
    let said = inside(&strict, "foreign_calls", &[], &ExecConfig::default());
    assert_eq!(said.exit.unwrap().signal, libc::SIGSYS, "{}", said.text);
    is_well(&strict);
});

fn strict_config() -> Config {
    Config::default().with(|c| c.preset = Preset::Strict)
}

attack!(the_strict_preset_holds_what_it_promises, {
    let strict = with(&strict_config());
    held(&inside(&strict, "kernel_surface", &[], &ExecConfig::default()));
    held(&inside(&strict, "pid1", &[], &ExecConfig::default()));
    let refused = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nfor name, call in {\n\
        'ptrace': (101, 0), 'process_vm_readv': (310, 1), 'process_vm_writev': (311, 1), 'io_uring_setup': (425, 1),\n\
        'unshare user': (272, 0x10000000), 'unshare net': (272, 0x40000000), 'unshare time': (272, 0x80),\n\
        'setns': (308, 0), 'clone user': (56, 0x10000011), 'mount': (165, 0), 'io_setup': (206, 1)}.items():\n    \
        assert libc.syscall(*call, 0, 0, 0, 0, 0) == -1 and ctypes.get_errno() in (1, 38), name\nprint('all refused')";
    let said = run(&strict, &["/usr/bin/python3", "-c", refused], &ExecConfig::default());
    assert!(said.text.contains("all refused"), "{}", said.text);
    let mut other = Config::default();
    other.namespaces.time = Some(ctr::Namespace::New);
    let other = with(&other);
    let mut sharing = [strict_config(), strict_config()];
    sharing[0].namespaces.time = Some(ctr::Namespace::Container(other.name().into()));
    sharing[1].namespaces.net = ctr::Namespace::Pid(std::process::id() as i32);
    for sharing in sharing {
        assert!(ctr::explain("host", &sharing).is_err_and(|error| error.to_string().contains("shares no namespace")));
    }
    let said = run(
        &strict,
        &["/bin/sh", "-c", "touch /usr/x /x 2>&1; echo kept > /tmp/kept && cat /tmp/kept; grep -c . /proc/net/dev"],
        &ExecConfig::default(),
    );
    assert!(said.text.contains("Read-only file system") && said.text.contains("kept"), "{}", said.text);
    assert!(said.text.trim().ends_with('3'), "more than loopback: {}", said.text);
    assert_eq!((strict.memory_limit().unwrap(), strict.pids_limit().unwrap()), (Some(512 << 20), Some(128)));
    // Ordinary work goes on: threads, files, pipes, a compiler's worth of forks.
    let work = "import subprocess, threading, socket, multiprocessing, sqlite3\n\
        t = [threading.Thread(target=sum, args=(range(1000),)) for _ in range(8)]; [x.start() for x in t]; [x.join() for x in t]\n\
        a, b = socket.socketpair(); a.send(b'x'); assert b.recv(1) == b'x'\n\
        s = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(s.getsockname()); s.accept()\n\
        assert subprocess.run(['sh', '-c', 'ls / | sort | wc -l'], capture_output=True).returncode == 0\n\
        with multiprocessing.Pool(2) as pool: assert pool.map(abs, [-1, -2]) == [1, 2]\n\
        sqlite3.connect('/tmp/db').execute('create table t(x)'); print('worked')";
    let said = run(&strict, &["/usr/bin/python3", "-c", work], &ExecConfig::default());
    assert!(said.text.contains("worked"), "{}", said.text);
});

attack!(the_privileged_preset_is_root_of_its_own_namespaces_only, {
    let privileged = with(&Config::default().with(|c| c.preset = Preset::Privileged));
    let script = "mount -t tmpfs tmpfs /mnt && unshare -m true && echo power; cat /proc/self/uid_map; cat /etc/shadow";
    let said = run(&privileged, &["/bin/sh", "-c", script], &ExecConfig::default());
    assert!(said.text.contains("power") && !said.text.contains("root:"), "{}", said.text);
    held(&inside(&privileged, "pid1", &[], &ExecConfig::default()));
    held(&inside(&privileged, "chroot_break", &[crate::fence::secret().to_str().unwrap()], &ExecConfig::default()));
});

attack!(what_happens_on_a_refused_call_can_be_chosen, {
    let script = "import os, ctypes, errno\nlibc = ctypes.CDLL(None, use_errno=True)\n\
        print(libc.unshare(0x10000000), errno.errorcode.get(ctypes.get_errno(), 0), flush=True)";
    let ask = |refusal| {
        let container = with(&Config::default().with(|c| c.seccomp_refusal = Some(refusal)));
        let said = run(&container, &["/usr/bin/python3", "-c", script], &ExecConfig::default());
        is_well(&container);
        (said.text.trim().to_string(), said.exit.unwrap().signal)
    };
    assert_eq!(ask(Refusal::Errno(libc::EXDEV as u16)), ("-1 EXDEV".into(), 0));
    assert_eq!(ask(Refusal::KillProcess), (String::new(), libc::SIGSYS));
    assert_eq!(ask(Refusal::Trap), (String::new(), libc::SIGSYS));
    assert_eq!(ask(Refusal::Trace(1)), ("-1 ENOSYS".into(), 0));
    assert_eq!(ask(Refusal::Log), ("0 0".into(), 0));
});

attack!(a_profile_of_ones_own_counts, {
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 122},
        {"names": ["symlink", "symlinkat"], "action": "SCMP_ACT_KILL_PROCESS"}]}"#;
    let container = with(&Config::default().with(|c| c.seccomp = Some(Seccomp::Json(profile.into()))));
    let script = "import os\ntry: os.mkdir('/tmp/x')\nexcept OSError as e: print(e.errno, flush=True)\nos.symlink('a', '/tmp/b')";
    let said = run(&container, &["/usr/bin/python3", "-c", script], &ExecConfig::default());
    assert_eq!(said.text.trim(), "122");
    assert_eq!(said.exit.unwrap().signal, libc::SIGSYS);
    is_well(&container);
    // One under which nothing could ever start is no reason to hang.
    let nothing = r#"{"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": []}"#;
    let config = Config::default().with(|c| c.seccomp = Some(Seccomp::Json(nothing.into())));
    let outcome = Container::create("host", &config)
        .and_then(|container| crate::fence::try_run(&container, &["/bin/true"], &ExecConfig::default()));
    assert!(outcome.is_err());
});
