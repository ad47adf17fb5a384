//! What people expect of a container without thinking of it. As root and as ordinary users; see tools/test.

mod common;

use common::{captured, end_of, has_ids, host, host_with, quiet, read_all, run_with, sh, skipped};
use ctr::{Bind, Config, Container, ExecConfig, Mount, Namespace, Namespaces, Preset, Stdio, Tmpfs, Upper};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// The users whom a container of this caller has: always root, often others.
fn users(c: &Container) -> Vec<&'static str> {
    if has_ids(c, 65536) { vec!["0", "65534", "1000:1000"] } else { vec!["0"] }
}

fn as_user(user: &str, config: ExecConfig) -> ExecConfig {
    config.with(|c| c.user = Some(user.into()))
}

#[test]
fn low_ports_are_open_to_every_user_in_a_network_of_its_own() {
    if !common::has_python() {
        return;
    }
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
    if !common::has_python() {
        return;
    }
    for preset in [Preset::Default, Preset::Strict] {
        let c = host_with(&Config::default().with(|c| {
            c.preset = preset;
            c.cgroup = ctr::CgroupPolicy::Optional;
        }));
        for user in users(&c) {
            let (said, _) = run_with(&c, &["python3", "-c", PING], &as_user(user, captured()));
            assert_eq!(said, "0\n", "{user} in {preset:?}");
        }
    }
}

#[test]
fn a_network_that_is_shared_keeps_its_settings() {
    let settings = "cd /proc/sys/net/ipv4 && cat ip_unprivileged_port_start ping_group_range";
    let first = host_with(&Config::default().with(|c| {
        c.sysctls = vec![
            ("net.ipv4.ip_unprivileged_port_start".into(), "77".into()),
            ("net.ipv4.ping_group_range".into(), "0 0".into()),
        ]
    }));
    let set = "77\n0\t0";
    assert_eq!(sh(&first, settings), set, "what is asked for counts more than the default");
    let joined = || Namespace::Container(first.name().to_string());
    let namespaces = Namespaces::default().with(|n| {
        n.net = joined();
        n.user = joined();
    });
    let second = Container::create("host", &Config::default().with(|c| c.namespaces = namespaces));
    // PID 1 of another container is closed to ordinary users.
    if let Ok(second) = second {
        assert_eq!(sh(&second, settings), set);
    }
    let of_the_host = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    let namespaces = Namespaces::default().with(|n| n.net = Namespace::Host);
    let shared = host_with(&Config::default().with(|c| c.namespaces = namespaces));
    assert_eq!(sh(&shared, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), of_the_host.trim_end());
}

#[test]
fn a_value_that_a_sysctl_can_not_have_is_refused_with_the_reason() {
    for (name, value, reason) in [
        ("net.ipv4.ping_group_range", "0 4000000000", "both groups have to exist inside"),
        ("net.ipv4.ip_unprivileged_port_start", "70000", "doesn't take this value"),
        ("net.ipv4.no_such_thing", "1", "no such parameter"),
    ] {
        let config = Config::default().with(|c| c.sysctls = vec![(name.into(), value.into())]);
        let error = Container::create("host", &config).err().unwrap_or_else(|| panic!("{name}={value}")).to_string();
        assert!(error.contains(name) && error.contains(reason), "{error}");
    }
}

#[test]
fn a_debugger_may_switch_the_randomizing_of_addresses_off() {
    if !common::has_python() {
        return;
    }
    let switch = "import ctypes; print(ctypes.CDLL(None, use_errno=True).personality(0x40000))";
    let (said, _) = run_with(&host(), &["python3", "-c", switch], &captured());
    assert_eq!(said, "0\n");
    // There is no debugger in the strict preset: no ptrace.
    let strict = host_with(&Config::default().with(|c| {
        c.preset = Preset::Strict;
        c.cgroup = ctr::CgroupPolicy::Optional;
    }));
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
    let open = Config::default().with(|c| c.preset = Preset::Privileged);
    let refused = (0..if root { 1 } else { 100 }).find_map(|_| {
        use_up();
        Container::create("host", &open).err()
    });
    match refused {
        Some(error) => assert!(error.to_string().contains("kernel.keys.maxkeys"), "{error}"),
        None => assert!(root, "the quota is used up"),
    }
}

/// A program with pipes as its streams.
fn piped() -> ExecConfig {
    ExecConfig::default().with(|c| {
        c.stdin = Stdio::Pipe;
        c.stdout = Stdio::Pipe;
        c.stderr = Stdio::Pipe;
    })
}

const BY_NAME: &str = "cat /dev/stdin > /dev/stdout; echo err > /dev/stderr; echo more >> /proc/self/fd/1";

#[test]
fn streams_open_by_name_whoever_runs() {
    let c = host();
    for user in users(&c) {
        let p = c.exec(["sh", "-c", BY_NAME], &as_user(user, piped())).unwrap();
        let mut stdin = std::fs::File::from(p.take_stdin().unwrap());
        stdin.write_all(b"through\n").unwrap();
        drop(stdin);
        assert_eq!(read_all(p.take_stdout().unwrap()), "through\nmore\n", "{user}");
        assert_eq!(read_all(p.take_stderr().unwrap()), "err\n", "{user}");
        assert_eq!(end_of(&p).code, 0);
    }
    let (said, exit) = run_with(&c, &["sh", "-c", "cat /dev/stdin; echo x > /dev/stdout"], &quiet());
    assert_eq!((said.as_str(), exit.code), ("", 0), "/dev/null has always been open");
}

#[test]
fn streams_open_by_name_after_a_change_of_user() {
    if !common::has_python() {
        return;
    }
    let c = host();
    if !has_ids(&c, 65536) {
        return skipped("there is one user only");
    }
    let change =
        "import os; os.setgid(33); os.setuid(33); print(open('/dev/stdin').read(), file=open('/dev/stdout', 'w'))";
    let p = c.exec(["python3", "-c", change], &piped()).unwrap();
    drop(p.take_stdin());
    assert_eq!(read_all(p.take_stdout().unwrap()), "\n", "{}", read_all(p.take_stderr().unwrap()));
}

/// Of the caller's own pipes too, whether they are handed over or inherited; and of further ones.
#[test]
fn pipes_of_the_caller_open_by_name() {
    let c = host();
    for user in users(&c) {
        let (mut out, theirs) = std::io::pipe().unwrap();
        let (mut more, third) = std::io::pipe().unwrap();
        let given = ExecConfig::default().with(|c| {
            c.stdin = Stdio::Null;
            c.stdout = Stdio::Fd(theirs.as_raw_fd());
            c.fds = vec![(third.as_raw_fd(), 7)];
        });
        let p =
            c.exec(["sh", "-c", "echo given > /dev/stdout; echo third > /dev/fd/7"], &as_user(user, given)).unwrap();
        drop((theirs, third));
        let mut said = [String::new(), String::new()];
        out.read_to_string(&mut said[0]).unwrap();
        more.read_to_string(&mut said[1]).unwrap();
        assert_eq!(said, ["given\n", "third\n"], "{user}");
        end_of(&p);
        let program = std::env::current_exe().unwrap();
        let mut role = std::process::Command::new(program);
        let role = role.args(["--exact", "role_inherits", "--ignored", "--nocapture"]).env("CTR_TEST_USER", user);
        let out = role.stdin(std::process::Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success() && said.contains("inherited\n"), "{user}: {said}{out:?}");
    }
}

#[test]
#[ignore = "a role"]
fn role_inherits() {
    let user = std::env::var("CTR_TEST_USER").unwrap();
    let config = as_user(&user, ExecConfig::default());
    let c = host();
    let p = c.exec(["sh", "-c", "echo inherited > /dev/stdout && echo e > /dev/stderr"], &config).unwrap();
    assert_eq!(end_of(&p).code, 0);
}

/// A file stays its owner's, and opens for whom its mode lets in.
#[test]
fn files_of_the_caller_open_by_name_as_their_mode_says() {
    let c = host();
    let path = common::scratch("streams").join("log");
    for user in users(&c) {
        let file = std::fs::File::create(&path).unwrap();
        let owner = file.metadata().unwrap().uid();
        file.set_permissions(std::fs::Permissions::from_mode(0o666)).unwrap();
        let given = ExecConfig::default().with(|c| {
            c.stdin = Stdio::Null;
            c.stdout = Stdio::Fd(file.as_raw_fd());
        });
        let p = c.exec(["sh", "-c", "echo by name >> /dev/stdout"], &as_user(user, given)).unwrap();
        assert_eq!(end_of(&p).code, 0);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "by name\n", "{user}");
        let after = file.metadata().unwrap();
        assert_eq!((after.uid(), after.mode() & 0o7777), (owner, 0o666), "{user}");
    }
}

/// What a container finds in these files, by what it says itself.
const NAMES: &str =
    "cat /etc/hosts; echo --; cat /etc/hostname; echo --; cat /etc/resolv.conf; echo --; echo $HOSTNAME";

#[test]
fn every_container_has_its_names() {
    let images: [&std::ffi::OsStr; 3] = ["host".as_ref(), common::busybox_tar().as_ref(), common::busybox().as_ref()];
    for image in images {
        for read_only in [false, true] {
            let config = Config::default().with(|c| {
                c.name = None;
                c.hostname = Some("web.example.org".into());
                c.read_only = read_only;
            });
            let c = Container::create(image, &config).unwrap();
            let said = sh(&c, NAMES);
            let [hosts, hostname, resolver, variable] = said.split("--\n").collect::<Vec<_>>().try_into().unwrap();
            for line in ["127.0.0.1\tlocalhost\n", "::1\tlocalhost ip6-localhost", "127.0.1.1\tweb.example.org web\n"] {
                assert!(hosts.contains(line), "{image:?}: {hosts}");
            }
            assert_eq!((hostname, variable), ("web.example.org\n", "web.example.org"), "{image:?}");
            assert!(!resolver.contains("nameserver"), "{image:?}: {resolver}");
            assert!(sh(&c, "grep -c ' /etc/hosts ' /proc/mounts") == "1");
            let writes = sh(&c, "(echo x >> /etc/hosts) 2>/dev/null && echo yes || echo no");
            assert_eq!(writes, if read_only { "no" } else { "yes" }, "{image:?}");
        }
    }
    if !common::has_python() {
        return;
    }
    let lookup = "import socket; print(socket.gethostbyname(socket.gethostname()), socket.getfqdn())";
    let c = host_with(&Config::default().with(|c| c.hostname = Some("db.example".into())));
    assert_eq!(run_with(&c, &["python3", "-c", lookup], &captured()).0, "127.0.1.1 db.example\n");
}

#[test]
fn an_images_own_files_are_left_as_they_are() {
    let image = common::scratch("etc-image");
    for directory in ["bin", "etc", "usr/lib"] {
        std::fs::create_dir_all(image.join(directory)).unwrap();
    }
    std::fs::copy(common::busybox().join("bin/busybox"), image.join("bin/sh")).unwrap();
    std::fs::write(image.join("etc/hosts"), "the image's\n").unwrap();
    // As on a host with systemd-resolved; nothing is at its end.
    std::os::unix::fs::symlink("../run/systemd/resolve/stub-resolv.conf", image.join("etc/resolv.conf")).unwrap();
    let c = Container::create(&image, &Config::default()).unwrap();
    assert!(sh(&c, "read line < /etc/resolv.conf; echo $line").contains("loopback only"));
    assert!(!sh(&c, "while read line; do echo $line; done < /etc/hosts").contains("image's"));
    assert_eq!(c.diff().unwrap(), [], "nothing of it is a change");
    let out = common::scratch("etc-export").join("out.tar");
    let file = std::fs::File::create(&out).unwrap();
    c.export(ctr::image::Output::Path(&out), &ctr::image::ExportOptions::default(), &mut |_| true).unwrap();
    drop(file);
    let tar = std::process::Command::new("tar").arg("-xOf").arg(&out).arg("etc/hosts").output().unwrap();
    let listed = std::process::Command::new("tar").arg("-tvf").arg(&out).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert_eq!(String::from_utf8_lossy(&tar.stdout), "the image's\n", "{listed}");
    assert!(listed.contains("resolv.conf -> ../run/systemd/resolve/stub-resolv.conf"), "{listed}");
    assert_eq!(std::fs::read_to_string(image.join("etc/hosts")).unwrap(), "the image's\n");
    assert!(!image.join("etc/hostname").exists());

    let own = Container::create(&image, &Config::default().with(|c| c.etc_files = Some(false))).unwrap();
    assert_eq!(sh(&own, "read line < /etc/hosts; echo $line"), "the image's");
    assert_eq!(own.diff().unwrap(), []);
}

#[test]
fn an_etc_of_an_image_stays_as_it_is_below_the_names() {
    // What is known of an image ahead of time differs: whether it lacks the files, whether its /etc is like any other.
    let kinds: [(&str, u32, &[&str]); 4] = [
        ("lacks-all", 0o755, &[]),
        ("has-one", 0o755, &["hosts"]),
        ("closed", 0o700, &[]),
        ("full", 0o755, &["hosts", "hostname"]),
    ];
    for (kind, mode, files) in kinds {
        let root = common::scratch(&format!("etc-{kind}"));
        std::fs::create_dir_all(root.join("bin")).unwrap();
        std::fs::create_dir_all(root.join("etc")).unwrap();
        for name in ["sh", "cat", "stat", "ls"] {
            std::fs::copy(common::busybox().join("bin/busybox"), root.join("bin").join(name)).unwrap();
        }
        std::fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").unwrap();
        for file in files {
            std::fs::write(root.join("etc").join(file), "the image's\n").unwrap();
        }
        std::fs::set_permissions(root.join("etc"), std::fs::Permissions::from_mode(mode)).unwrap();
        let tar = common::scratch("etc-tars").join(format!("{kind}.tar"));
        // Root's, whoever made it. The tar of busybox(1) knows no such options.
        let pack = |owner: &[&str]| {
            let mut packed = std::process::Command::new("tar");
            packed.args(owner).arg("-C").arg(&root).arg("-cf").arg(&tar).arg(".").status().unwrap().success()
        };
        assert!(pack(&["--owner=0", "--group=0", "--numeric-owner"]) || pack(&[]));
        let [memory, disk] = [Upper::Memory, Upper::Disk].map(|upper| Config::default().with(|c| c.upper = upper));
        // From the third on a PID 1 is made ahead of time.
        for config in [&memory, &memory, &memory, &memory, &disk, &memory.clone().with(|c| c.read_only = true)] {
            let c = Container::create(&tar, config).unwrap();
            let of_etc = sh(&c, "stat -c '%a %u %g' /etc; ls /etc; cat /etc/passwd /etc/hostname");
            let expected =
                format!("{mode:o} 0 0\nhostname\nhosts\npasswd\nresolv.conf\nroot:x:0:0::/:/bin/sh\n{}", c.name());
            assert_eq!(of_etc, expected, "{kind}");
            assert!(sh(&c, "cat /etc/hosts").contains("127.0.0.1\tlocalhost\n"), "{kind}");
            assert!(sh(&c, "cat /etc/resolv.conf").contains("loopback only"), "{kind}");
            assert_eq!(c.diff().unwrap(), [], "{kind}: nothing of it is a change");
        }
    }
}

#[test]
fn a_hostname_that_is_not_known_leaves_no_file_in_an_image_that_lacks_it() {
    let root = common::scratch("etc-unnamed");
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::create_dir_all(root.join("etc")).unwrap();
    for name in ["sh", "ls"] {
        std::fs::copy(common::busybox().join("bin/busybox"), root.join("bin").join(name)).unwrap();
    }
    let tar = common::scratch("etc-tars").join("unnamed.tar");
    let mut packed = std::process::Command::new("tar");
    packed.arg("-C").arg(&root).arg("-cf").arg(&tar).arg(".");
    assert!(packed.status().unwrap().success());
    // Whoever has that namespace, its name is a stranger's.
    let namespaces = Namespaces::default().with(|n| n.uts = Namespace::Path("/proc/self/ns/uts".into()));
    let config = Config::default().with(|c| c.namespaces = namespaces);
    for _ in 0..3 {
        let c = Container::create(&tar, &config).unwrap();
        assert_eq!(sh(&c, "ls /etc"), "hosts\nresolv.conf");
        assert_eq!(c.diff().unwrap(), []);
    }
}

#[test]
fn a_root_without_etc_gets_one_and_a_bind_of_the_callers_wins() {
    let image = common::scratch("no-etc");
    std::fs::create_dir_all(image.join("bin")).unwrap();
    for name in ["sh", "cat", "ls"] {
        std::fs::copy(common::busybox().join("bin/busybox"), image.join("bin").join(name)).unwrap();
    }
    let c = Container::create(&image, &Config::default()).unwrap();
    assert_eq!(sh(&c, "cat /etc/hostname"), c.name());
    assert_eq!(c.diff().unwrap(), []);
    assert!(!image.join("etc").exists());
    let mine = common::scratch("my-etc").join("hosts");
    std::fs::write(&mine, "10.0.0.1 mine\n").unwrap();
    let bind = Mount::Bind(Bind::new(mine, "/etc/hosts").with(|b| b.read_only = true));
    for image in [image.as_os_str(), "host".as_ref()] {
        let c = Container::create(image, &Config::default().with(|c| c.mounts = vec![bind.clone()])).unwrap();
        assert_eq!(sh(&c, "cat /etc/hosts"), "10.0.0.1 mine");
    }
    // Something else in the place of /etc, or of a file of it, is none of our business.
    std::fs::write(image.join("etc"), "a file").unwrap();
    let c = Container::create(&image, &Config::default()).unwrap();
    assert_eq!(sh(&c, "cat /etc"), "a file");
    std::fs::remove_file(image.join("etc")).unwrap();
    std::fs::create_dir_all(image.join("etc/hosts")).unwrap();
    let c = Container::create(&image, &Config::default()).unwrap();
    assert_eq!(sh(&c, "ls -A /etc/hosts; cat /etc/hostname"), c.name());
}

#[test]
fn a_directory_that_is_the_root_itself_is_not_written_to_beyond_the_places() {
    let image = common::scratch("direct-etc");
    std::fs::create_dir_all(image.join("bin")).unwrap();
    std::fs::create_dir_all(image.join("etc")).unwrap();
    std::fs::copy(common::busybox().join("bin/busybox"), image.join("bin/sh")).unwrap();
    std::fs::write(image.join("etc/hosts"), "the directory's\n").unwrap();
    let config = Config::default().with(|c| c.directory = ctr::DirectoryUse::Direct);
    let c = Container::create(&image, &config).unwrap();
    assert!(sh(&c, "read line < /etc/hosts; echo $line").contains("localhost"));
    c.destroy().unwrap();
    assert_eq!(std::fs::read_to_string(image.join("etc/hosts")).unwrap(), "the directory's\n");
}

#[test]
fn the_hosts_network_comes_with_the_hosts_resolver() {
    let namespaces = Namespaces::default().with(|n| n.net = Namespace::Host);
    let c = Container::create(common::busybox_tar(), &Config::default().with(|c| c.namespaces = namespaces)).unwrap();
    let of_the_host = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    assert_eq!(sh(&c, "cat /etc/resolv.conf"), of_the_host.trim_end());
    let hosts = sh(&c, "cat /etc/hosts");
    assert!(hosts.contains(c.name()) && hosts.contains("localhost"), "{hosts}");
    // The hostname is the host's where the UTS namespace is.
    let namespaces = Namespaces::default().with(|n| n.uts = Namespace::Host);
    let c = Container::create("host", &Config::default().with(|c| c.namespaces = namespaces)).unwrap();
    let said = sh(&c, "cat /etc/hostname; echo $HOSTNAME; hostname");
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0] == lines[1] && lines[1] == lines[2], "{said}");
}

#[test]
fn files_that_would_fill_the_memory_limit_meet_a_full_disk() {
    let fill = "head -c 60000000 /dev/zero > /tmp/x && echo all || echo full; rm -f /tmp/x; echo alive";
    let config = Config::default().with(|c| {
        c.upper_size = Some(16 << 20);
        c.upper = Upper::Memory;
    });
    match Container::create(common::busybox_tar(), &config) {
        Ok(c) => assert_eq!(sh(&c, &format!("({fill}) 2>/dev/null")), "full\nalive"),
        Err(error) => assert!(!common::kernel_is_at_least(6, 6) && error.to_string().contains("Linux 6.6"), "{error}"),
    }
    let disk = config.with(|c| c.upper = Upper::Disk);
    let error = Container::create(common::busybox_tar(), &disk).err().unwrap().to_string();
    assert!(error.contains("they go to disk"), "{error}");
    if common::can_limit() {
        // 64 MiB, of which changes may take half.
        let config = Config::default().with(|c| c.memory = Some(64 << 20));
        let c = host_with(&config);
        assert_eq!(sh(&c, &format!("({fill}) 2>/dev/null")), "full\nalive");
    }
}

#[test]
fn all_that_is_writable_and_has_no_size_of_its_own_shares_the_size_of_the_changes() {
    let tmpfs = |target: &str, size, mode| {
        Mount::Tmpfs(Tmpfs::new(target).with(|t| {
            t.size = size;
            t.mode = mode;
        }))
    };
    let half = "df -k -P /tmp /dev/shm /srv /mnt | awk 'NR > 1 { print $2 }' | sort -u; stat -c '%a %F' /tmp /srv /mnt";
    let fill = |place: &str| format!("(head -c 60000000 /dev/zero > {place}/x && echo all || echo full) 2>/dev/null");
    let whole = Config::default().with(|c| {
        c.mounts = vec![tmpfs("/srv", None, None), tmpfs("/mnt", None, Some(0o2750))];
        c.read_only = true;
    });
    let mut configs = vec![(32 << 10, whole.clone().with(|c| c.upper_size = Some(32 << 20)))];
    if common::can_limit() {
        configs.push((32 << 10, whole.clone().with(|c| c.memory = Some(64 << 20))));
        configs.push((256 << 10, whole.with(|c| c.preset = Preset::Strict)));
    }
    for (kib, config) in configs {
        let c = host_with(&config);
        let shown = "1777 directory\n1777 directory\n2750 directory";
        assert_eq!(sh(&c, half), format!("{kib}\n{shown}"));
        if kib == 32 << 10 {
            for place in ["/tmp", "/dev/shm", "/srv", "/mnt"] {
                assert_eq!(sh(&c, &fill(place)), "full", "{place}");
                // What one has taken, the others lack.
                assert_eq!(sh(&c, "(echo x > /tmp/y && [ -s /tmp/y ] || echo full) 2>/dev/null"), "full", "{place}");
                sh(&c, &format!("rm -f {place}/x /tmp/y"));
            }
        }
        let options = sh(&c, "awk '$5 == \"/tmp\" || $5 == \"/srv\" { print $6 }' /proc/self/mountinfo");
        assert!(options.lines().count() == 2, "{options}");
        assert!(options.lines().all(|line| line.contains("nosuid") && line.contains("nodev")), "{options}");
        assert!(sh(&c, "touch /x 2>&1 || echo refused").contains("refused"));
    }
    // One with a size has that, whatever the changes may take.
    let c = host_with(&Config::default().with(|c| c.mounts = vec![tmpfs("/srv", Some(80 << 20), Some(0o4755))]));
    assert_eq!(sh(&c, &fill("/srv")), "all");
    assert_eq!(sh(&c, "stat -c %a /srv; df -k -P /srv | awk 'NR > 1 { print $2 }'"), "4755\n81920");
}

#[test]
fn a_size_that_holds_nothing_is_refused() {
    let least = 1 << 20;
    for size in [0, 1, 10 << 10, least - 1] {
        let error = Container::create("host", &Config::default().with(|c| c.upper_size = Some(size))).err().unwrap();
        assert_eq!((error.code(), error.failed_step()), (ctr::ErrorCode::Invalid, ctr::Step::LimitSizeOfChanges));
        assert!(error.to_string().contains(&format!("{size} bytes")) && error.to_string().contains("1 MiB"), "{error}");
    }
    host_with(&Config::default().with(|c| c.upper_size = Some(least)));
    let mounts = vec![Mount::Tmpfs(Tmpfs::new("/srv").with(|t| t.size = Some(0)))];
    let error = Container::create("host", &Config::default().with(|c| c.mounts = mounts)).err().unwrap();
    assert_eq!((error.code(), error.object()), (ctr::ErrorCode::Invalid, "/srv"), "{error}");
}
