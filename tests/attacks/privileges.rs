//! What a process inside has been given: capabilities, no_new_privs, a filter, limits.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use ctr::{Config, Container, ExecConfig, Preset};

use crate::attack;
use crate::fence::{defaults, inside, run, scratch, with};

/// Docker's fourteen less CAP_NET_RAW, as a mask.
const DEFAULT: u64 = 0xa804_05fb;

fn seen(container: &Container, config: &ExecConfig) -> HashMap<String, String> {
    let said = inside(container, "seen_from_inside", &[], config);
    assert_eq!(said.code, 0, "{}", said.text);
    said.text.lines().filter_map(|line| line.split_once(' ')).map(|(name, value)| (name.into(), value.into())).collect()
}

fn mask(seen: &HashMap<String, String>, name: &str) -> u64 {
    u64::from_str_radix(&seen[name], 16).unwrap()
}

// runc CVE-2022-29162, moby CVE-2022-24769, crun CVE-2022-27650, youki CVE-2025-27612: the inheritable set is empty, and so a
// user who is not root gets nothing from files that have inheritable capabilities.
attack!(cve_2022_29162, {
    let container = defaults();
    let root = seen(&container, &ExecConfig::default());
    for name in ["CapInh", "CapAmb"] {
        assert_eq!(mask(&root, name), 0, "{name}");
    }
    for name in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(mask(&root, name), DEFAULT, "{name}");
    }
    assert_eq!(root["NoNewPrivs"], "1");
    let user = seen(&container, &ExecConfig::default().with(|c| c.user = Some("1000".into())));
    assert_eq!(user["Uid"], "1000");
    for name in ["CapInh", "CapAmb", "CapPrm", "CapEff"] {
        assert_eq!(mask(&user, name), 0, "{name} of a user");
    }
    let chosen = with(&Config::default().with(|c| c.capabilities = Some(1 << 12 | 1)));
    assert_eq!(mask(&seen(&chosen, &ExecConfig::default()), "CapEff"), 1 << 12 | 1);
});

// Root's bind that can be written to: a file that is made setuid there, or gets capabilities, has them outside, too, as
// SECURITY.md says; the strict preset lets nobody make one.
attack!(a_writable_bind_takes_no_setuid_files_from_the_strict_preset, {
    for (preset, broken) in [(Preset::Default, 42), (Preset::Strict, 0)] {
        let shared = scratch().join(preset.name());
        fs::create_dir(&shared).unwrap();
        let bind = ctr::Mount::Bind(ctr::Bind::new(shared.clone(), "/shared"));
        let container = with(&Config::default().with(|c| {
            c.mounts = vec![bind];
            c.preset = preset;
        }));
        let said = inside(&container, "setuid_files", &[], &ExecConfig::default());
        assert_eq!(said.code, broken, "{preset:?}: {}", said.text);
        let of_root = |entry: &fs::DirEntry| {
            let metadata = entry.metadata().unwrap();
            metadata.uid() == 0 && metadata.mode() & 0o6000 != 0
        };
        let special = fs::read_dir(&shared).unwrap().flatten().filter(of_root).count();
        assert_eq!(special > 0, broken != 0, "{preset:?}: {}", said.text);
        assert_eq!(fs::metadata(shared.join("plain")).unwrap().mode() & 0o1777, 0o1755, "modes can be changed");
    }
});

// The dirty host: a setuid program raises nobody, be it the image's or a bind mount's.
attack!(dirty_host, {
    let shared = scratch().join("shared");
    fs::create_dir(&shared).unwrap();
    let program = shared.join("id");
    fs::copy("/usr/bin/id", &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).unwrap();
    let bind = ctr::Mount::Bind(ctr::Bind::new(shared, "/shared"));
    let script = "cp /shared/id /root/id && chmod 6755 /root/id && chmod 755 /root && ls -l /root/id";
    let user = ExecConfig::default().with(|c| c.user = Some("1000:1000".into()));
    for (new_privileges, raised) in [(false, false), (true, true)] {
        let container = with(&Config::default().with(|c| {
            c.mounts = vec![bind.clone()];
            c.new_privileges = new_privileges;
        }));
        assert_eq!(run(&container, &["/bin/sh", "-c", script], &ExecConfig::default()).code, 0);
        let own = run(&container, &["/root/id"], &user).text;
        assert_eq!(own.contains("euid=0"), raised, "{own}");
        // Of a bind mount it never does: nosuid.
        let bound = run(&container, &["/shared/id"], &user).text;
        assert!(bound.contains("uid=1000") && !bound.contains("euid=0"), "{bound}");
    }
    let container = with(&Config::default().with(|c| c.mounts = vec![bind]));
    let said = run(
        &container,
        &["/bin/sh", "-c", "mknod /shared/disk b 254 0 || mknod /root/disk b 254 0"],
        &ExecConfig::default(),
    );
    assert_ne!(said.code, 0, "a device was made: {}", said.text);
});

attack!(root_inside_is_nobody_outside, {
    let container = defaults();
    let shared = scratch().join("shared");
    fs::create_dir(&shared).unwrap();
    let map = run(&container, &["/bin/cat", "/proc/self/uid_map"], &ExecConfig::default()).text;
    let mut words = map.split_whitespace();
    assert_eq!(words.next(), Some("0"));
    assert_ne!(words.next(), Some("0"), "root inside is root outside: {map}");
    let process = container.exec(["/bin/sleep", "1000"], &ExecConfig::default()).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", process.host_pid().unwrap())).unwrap();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap().split_whitespace().next().unwrap();
    assert!(uid.parse::<u32>().unwrap() >= 0x4000_0000, "{uid}");
    // Two containers are nobody to each other.
    let other = run(&defaults(), &["/bin/cat", "/proc/self/uid_map"], &ExecConfig::default()).text;
    assert_ne!(map.split_whitespace().nth(1), other.split_whitespace().nth(1));
});
