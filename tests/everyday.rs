//! What people expect of a container without thinking of it. As root and as ordinary users; see tools/test.

mod common;

use common::{captured, has_ids, host, host_with, run_with, sh};
use ctr::{Config, Container, ExecConfig, Namespace, Namespaces, Preset};

/// The users whom a container of this caller has: always root, often others.
fn users(c: &Container) -> Vec<&'static str> {
    if has_ids(c, 65536) { vec!["0", "65534", "1000:1000"] } else { vec!["0"] }
}

fn as_user(user: &str, config: ExecConfig) -> ExecConfig {
    ExecConfig { user: Some(user.into()), ..config }
}

#[test]
fn low_ports_are_open_to_every_user_in_a_network_of_its_own() {
    let listen = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 80)); s.listen(); print('listens')";
    let c = host();
    for user in users(&c) {
        let (said, _) = run_with(&c, &["python3", "-c", listen], &as_user(user, captured()));
        assert_eq!(said, "listens\n", "{user}");
    }
}

/// What ping(8) does where it has no capability.
const PING: &str = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP); \
    s.settimeout(5); s.sendto(b'\\x08\\0\\0\\0\\0\\0\\0\\1x', ('127.0.0.1', 0)); print(s.recv(99)[0])";

#[test]
fn echo_requests_are_sent_by_every_user_in_a_network_of_its_own() {
    for preset in [Preset::Default, Preset::Strict] {
        let c = host_with(&Config { preset, cgroup: ctr::CgroupPolicy::Optional, ..Config::default() });
        for user in users(&c) {
            let (said, _) = run_with(&c, &["python3", "-c", PING], &as_user(user, captured()));
            assert_eq!(said, "0\n", "{user} in {preset:?}");
        }
    }
}

#[test]
fn a_network_that_is_shared_keeps_its_settings() {
    let settings = "cd /proc/sys/net/ipv4 && cat ip_unprivileged_port_start ping_group_range";
    let first = host_with(&Config {
        sysctls: vec![
            ("net.ipv4.ip_unprivileged_port_start".into(), "77".into()),
            ("net.ipv4.ping_group_range".into(), "0 0".into()),
        ],
        ..Config::default()
    });
    let set = "77\n0\t0";
    assert_eq!(sh(&first, settings), set, "what is asked for counts more than the default");
    let joined = || Namespace::Container(first.name().to_string());
    let namespaces = Namespaces { net: joined(), user: joined(), ..Namespaces::default() };
    let second = Container::create("host", &Config { namespaces, ..Config::default() });
    // PID 1 of another container is closed to ordinary users.
    if let Ok(second) = second {
        assert_eq!(sh(&second, settings), set);
    }
    let of_the_host = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    let namespaces = Namespaces { net: Namespace::Host, ..Namespaces::default() };
    let shared = host_with(&Config { namespaces, ..Config::default() });
    assert_eq!(sh(&shared, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), of_the_host.trim_end());
}

#[test]
fn a_value_that_a_sysctl_can_not_have_is_refused_with_the_reason() {
    for (name, value, reason) in [
        ("net.ipv4.ping_group_range", "0 4000000000", "both groups have to exist inside"),
        ("net.ipv4.ip_unprivileged_port_start", "70000", "doesn't take this value"),
        ("net.ipv4.no_such_thing", "1", "no such parameter"),
    ] {
        let config = Config { sysctls: vec![(name.into(), value.into())], ..Config::default() };
        let error = Container::create("host", &config).err().unwrap_or_else(|| panic!("{name}={value}")).to_string();
        assert!(error.contains(name) && error.contains(reason), "{error}");
    }
}

#[test]
fn a_debugger_may_switch_the_randomizing_of_addresses_off() {
    let switch = "import ctypes; print(ctypes.CDLL(None, use_errno=True).personality(0x40000))";
    let (said, _) = run_with(&host(), &["python3", "-c", switch], &captured());
    assert_eq!(said, "0\n");
    // There is no debugger in the strict preset: no ptrace.
    let strict =
        host_with(&Config { preset: Preset::Strict, cgroup: ctr::CgroupPolicy::Optional, ..Config::default() });
    let (said, _) = run_with(&strict, &["python3", "-c", switch], &captured());
    assert_eq!(said, "-1\n");
}

/// Every user that came in through PAM or systemd has a session keyring, and each further one then counts.
#[test]
fn a_user_whose_keys_are_used_up_makes_containers_all_the_same() {
    let program = std::env::current_exe().unwrap();
    let mut role = std::process::Command::new(program);
    let out = role.args(["--exact", "role_without_keys", "--ignored", "--nocapture"]).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{said}{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
#[ignore = "a role"]
fn role_without_keys() {
    const JOIN_SESSION_KEYRING: i32 = 1;
    const SESSION: i32 = -3;
    // SAFETY: no memory but the strings is given.
    assert!(unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, 0) } > 0);
    // A container of root's has ids whose keys nobody has used.
    let root = nix::unistd::geteuid().is_root();
    let mut keys = 0;
    let mut use_up = || {
        loop {
            keys += 1;
            let name = std::ffi::CString::new(format!("ctr-test-{keys}")).unwrap();
            let (kind, name) = (c"user".as_ptr(), name.as_ptr());
            // SAFETY: the strings live on, the payload is one byte.
            let key = unsafe { libc::syscall(libc::SYS_add_key, kind, name, c"x".as_ptr(), 1, SESSION) };
            // Root has a million.
            if key < 0 || keys > 1000 {
                return;
            }
        }
    };
    for _ in 0..3 {
        use_up();
        assert_eq!(sh(&host(), "echo ok"), "ok");
    }
    // Where keyctl is let in, keys of the caller's session would be found: refused, by name. Other tests of this user give keys
    // back meanwhile.
    let open = Config { preset: Preset::Privileged, ..Config::default() };
    let refused = (0..if root { 1 } else { 100 }).find_map(|_| {
        use_up();
        Container::create("host", &open).err()
    });
    match refused {
        Some(error) => assert!(error.to_string().contains("kernel.keys.maxkeys"), "{error}"),
        None => assert!(root, "the quota is used up"),
    }
}
