//! Devices: nodes that are given, and the list of those that can be opened, on whichever cgroup version the machine has;
//! `tests/vm` runs them on v2.

mod common;

use common::leftovers::{self, Scope};
use common::{host_with, run, sh, skipped};
use ctr::{CgroupPolicy, Config, Container, Device, DeviceList, ErrorCode, Namespace, Namespaces, Preset, Seccomp};

fn device(text: &str) -> Device {
    text.parse().unwrap()
}

/// Whether this user can have a list of devices; said where not.
fn can_list() -> bool {
    match ctr::explain("host", &Config::default().with(|c| c.device_list = DeviceList::Required)) {
        Ok(_) if std::fs::File::open("/dev/fuse").is_err() => {
            skipped("/dev/fuse can't be opened here, and no other device would do");
            false
        }
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
            assert!(!error.hint().is_empty(), "{error}");
            skipped(&error.to_string());
            false
        }
    }
}

/// Root inside is root outside, with all that may make nodes: only the list is left.
fn bare() -> Config {
    Config::default().with(|c| {
        c.namespaces = Namespaces::default().with(|n| n.user = Namespace::Host);
        c.preset = Preset::Privileged;
        c.device_list = DeviceList::Required;
    })
}

/// A device that every machine of ours has, and that is not one of the usual.
const FUSE: &str = "c 10:229";

/// Makes a node for the device and opens it in this way.
fn open(c: &Container, way: &str, node: &str) -> bool {
    let (kind, numbers) = node.split_at(1);
    let script = format!(
        "rm -f /dev/x && mknod /dev/x {kind} {} || exit 77; exec 3{way}/dev/x",
        numbers.trim().replace(':', " ")
    );
    let (said, exit) = run(c, &["sh", "-c", &script]);
    assert_ne!(exit.code, 77, "{said}");
    exit.code == 0
}

#[test]
fn the_list_lets_the_usual_devices_through_and_no_others() {
    if !can_list() {
        return;
    }
    let scope = Scope::new("devices");
    let c = Container::create("host", &with(bare(), &scope)).unwrap();
    for node in ["c 1:3", "c 1:5", "c 1:7", "c 1:8", "c 1:9"] {
        assert!(open(&c, "<", node), "{node}");
    }
    for node in [FUSE, "c 1:11", "c 1:1", "b 7:0"] {
        assert!(!open(&c, "<", node), "{node}");
    }
    // Without the list the same is allowed.
    let without = host_with(&bare().with(|c| c.device_list = DeviceList::Off));
    assert!(open(&without, "<>", FUSE));
    assert_eq!(sh(&c, "tty 2>&1; echo x >/dev/null && head -c 3 /dev/zero | wc -c").lines().last(), Some("3"));
    let terminal = ctr::ExecConfig::default().with(|c| c.pty = Some(ctr::Winsize { rows: 24, cols: 80 }));
    let p = c.exec(["sh", "-c", "tty && echo x >/dev/tty"], &terminal).unwrap();
    assert_eq!(common::end_of(&p).code, 0);
    assert!(!leftovers::cgroups(scope.prefix()).is_empty());
    c.destroy().unwrap();
    scope.assert_nothing_left();
}

fn with(config: Config, scope: &Scope) -> Config {
    let Config { name, state_dir, .. } = scope.config();
    config.with(|c| {
        c.name = name;
        c.state_dir = state_dir;
    })
}

#[test]
fn a_rule_lets_more_through_and_no_more_than_it_says() {
    if !can_list() {
        return;
    }
    let with = |rule: &str| host_with(&bare().with(|c| c.devices = vec![device(rule)]));
    let c = with("c 10:229 r");
    assert!(open(&c, "<", FUSE) && !open(&c, ">", FUSE) && !open(&c, "<>", FUSE));
    assert!(!open(&c, "<", "c 1:11"));
    for rule in ["a", "c *:* rw", "c 10:* rw", "c *:229 rw"] {
        assert!(open(&with(rule), "<>", FUSE), "{rule}");
    }
    for rule in ["b *:* rwm", "c 11:* rw", "c 10:228 rw", "c 10:229 m"] {
        assert!(!open(&with(rule), "<", FUSE), "{rule}");
    }
}

#[test]
fn a_list_stands_beside_limits_and_for_all_that_join() {
    if !can_list() {
        return;
    }
    let scope = Scope::new("limits");
    for (memory, pids) in [(None, None), (Some(64 << 20), None), (None, Some(32)), (Some(64 << 20), Some(32))] {
        let c = Container::create(
            "host",
            &with(bare(), &scope).with(|c| {
                c.memory = memory;
                c.pids = pids;
            }),
        )
        .unwrap();
        assert_eq!((c.memory_limit().unwrap(), c.pids_limit().unwrap()), (memory, pids));
        let joined = scope.client().join(c.name()).unwrap();
        joined.set_memory_limit(Some(96 << 20)).unwrap();
        joined.set_pids_limit(Some(48)).unwrap();
        assert_eq!((c.memory_limit().unwrap(), c.pids_limit().unwrap()), (Some(96 << 20), Some(48)));
        assert!(!open(&joined, "<", FUSE) && open(&joined, "<", "c 1:5"));
        joined.destroy().unwrap();
        scope.assert_nothing_left();
    }
}

#[test]
fn the_strict_preset_and_a_given_device_have_a_list_and_the_default_none() {
    let says = |config: &Config| ctr::explain("host", config).unwrap();
    let listed = |text: &str| text.contains("devices.deny") || text.contains("bpftool");
    let line = |text: &str| text.lines().find(|line| line.starts_with("#   device list ")).unwrap().to_string();
    let default = says(&Config::default());
    assert!(!listed(&default) && line(&default).contains(" off "), "{default}");
    let can = can_list();
    let strict = Config::default().with(|c| {
        c.preset = Preset::Strict;
        c.cgroup = CgroupPolicy::Optional;
    });
    let given = Config::default().with(|c| c.devices = vec![device("c 10:229 r")]);
    for (config, why) in [(strict, "preset strict"), (given, "asked for: devices = c 10:229 r")] {
        let text = says(&config);
        assert_eq!(listed(&text), can, "{text}");
        assert_eq!(line(&text).contains(" on "), can, "{text}");
        assert!(line(&text).contains(why), "{text}");
        let off = says(&config.with(|c| c.device_list = DeviceList::Off));
        assert!(!listed(&off) && line(&off).contains("asked for: device_list = off"), "{off}");
    }
    if can {
        let c = host_with(&Config::default().with(|c| c.devices = vec![device("c 10:229 r")]));
        let walls = Container::join(c.name()).unwrap().walls().unwrap();
        let wall = walls.iter().find(|wall| wall.name == "device list").unwrap();
        assert_eq!(wall.state, ctr::WallState::On);
        assert!(wall.says.contains("c 10:229 r") && wall.says.contains("c 136:* rwm"), "{wall:?}");
    }
}

#[test]
fn a_given_node_is_seen_inside_and_can_be_used() {
    let mut given = vec!["/dev/null", "/dev/null:/dev/deep/er/null", "/dev/zero:/dev/other:rw"];
    let root = nix::unistd::geteuid().is_root();
    // Closed to everybody but root, as in a udev without rules.
    let fuse = root && std::fs::File::options().read(true).write(true).open("/dev/fuse").is_ok();
    if fuse {
        given.push("/dev/fuse");
    } else {
        skipped("/dev/fuse: this user has none");
    }
    let config = Config::default().with(|c| c.devices = given.iter().map(|text| device(text)).collect());
    let umask = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let made = Container::create("host", &config);
    nix::sys::stat::umask(umask);
    let c = made.unwrap();
    assert_eq!(
        sh(&c, "head -c 2 /dev/other | wc -c; echo x >/dev/deep/er/null; stat -c %t:%T /dev/deep/er/null"),
        "2\n1:3"
    );
    assert!(sh(&c, "ls -l /dev/deep/er/null").starts_with('c'));
    if fuse {
        assert_eq!(sh(&c, "exec 3<>/dev/fuse && stat -c %t:%T /dev/fuse"), "a:e5");
        // Any user inside, as the caller wants it.
        let someone = common::captured().with(|c| c.user = Some("1000:1000".into()));
        assert_eq!(common::run_with(&c, &["sh", "-c", "exec 3<>/dev/fuse"], &someone).1.code, 0);
        assert!(sh(&common::host(), "ls /dev/fuse 2>&1 || echo none").ends_with("none"));
    }
    // It is no way to further nodes.
    let (said, exit) = run(&c, &["sh", "-c", "mknod /dev/deep/er/y c 1 5 && exec 3</dev/deep/er/y"]);
    assert_ne!(exit.code, 0, "{said}");
    assert!(sh(&c, "grep -c ' /dev/other .*nosuid' /proc/self/mountinfo") == "1");
}

#[test]
fn a_given_node_can_be_used_as_far_as_was_asked_for() {
    if !can_list() {
        return;
    }
    let c = host_with(
        &Config::default().with(|c| c.devices = vec![device("/dev/zero:/dev/only-read:r"), device("/dev/full:w")]),
    );
    // The usual list has it all for these; another device shows it.
    assert_eq!(sh(&c, "head -c 2 /dev/only-read | wc -c"), "2");
    let c = host_with(&Config::default().with(|c| c.devices = vec![device("/dev/fuse:r")]));
    assert_eq!(run(&c, &["sh", "-c", "exec 3</dev/fuse"]).1.code, 0);
    assert_ne!(run(&c, &["sh", "-c", "exec 3>/dev/fuse"]).1.code, 0);
}

#[test]
fn what_cannot_be_given_is_refused_by_name() {
    let refused = |config: &Config| Container::create("host", config).err().expect("it is refused");
    let one = |text: &str| Config::default().with(|c| c.devices = vec![device(text)]);
    let error = refused(&one("/etc/passwd"));
    assert_eq!(error.code(), ErrorCode::Invalid);
    assert!(error.to_string().contains("/etc/passwd") && error.hint().contains("mounts"), "{error}");
    assert_eq!(refused(&one("/dev/no-such-device")).errno(), libc::ENOENT);
    assert_eq!(refused(&one("/dev/null:/proc/x")).code(), ErrorCode::Invalid);
    // Without a list a node can be read and written.
    let narrow = one("/dev/null:/dev/n:r").with(|c| c.device_list = DeviceList::Off);
    let error = refused(&narrow);
    assert_eq!(error.code(), ErrorCode::Unsupported);
    assert!(error.to_string().contains("less than reading and writing"), "{error}");
    let no_cgroup = Config::default().with(|c| {
        c.device_list = DeviceList::Required;
        c.cgroup = CgroupPolicy::Off;
    });
    let error = refused(&no_cgroup);
    assert!(error.to_string().contains("off") || error.code() == ErrorCode::Unsupported, "{error}");
    let shared = Namespaces::default().with(|n| n.mount = Namespace::Host);
    assert_eq!(refused(&one("/dev/null").with(|c| c.namespaces = shared)).code(), ErrorCode::Invalid);
}

#[test]
fn root_of_the_machine_inside_opens_no_device_by_default() {
    if !can_list() {
        return;
    }
    let namespaces = Namespaces::default().with(|n| n.user = Namespace::Host);
    let config = Config::default().with(|c| {
        c.namespaces = namespaces;
        c.seccomp = Some(Seccomp::Unconfined);
    });
    assert!(ctr::explain("host", &config).unwrap().contains("c 136:* rwm"));
    // Landlock, where there is any, lets no node be made; then there is nothing to open.
    let c = host_with(&config);
    let (said, exit) = run(&c, &["sh", "-c", "mknod /tmp/x c 10 229 && exec 3</tmp/x"]);
    assert_ne!(exit.code, 0, "{said}");
}
