//! Getting out through what an image has in the places that the engine mounts on.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use ctr::{Bind, Config, Container, DirectoryUse, ExecConfig, Mount};

use crate::attack;
use crate::fence::{run, scratch, secret};

/// A directory that is an image: busybox and nothing else.
fn image(name: &str) -> PathBuf {
    let root = scratch().join(name);
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
    symlink("busybox", root.join("bin/sh")).unwrap();
    root
}

fn both_uses() -> [Config; 2] {
    [DirectoryUse::Lower, DirectoryUse::Direct].map(|directory| Config::default().with(|c| c.directory = directory))
}

// runc CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, CVE-2023-28642: /proc or /sys of the image is a link to elsewhere.
attack!(cve_2019_16884, {
    let target = scratch().join("outside/proc");
    fs::create_dir_all(&target).unwrap();
    for place in ["proc", "sys", "dev"] {
        for (i, link) in ["/mnt", "../outside/proc", target.to_str().unwrap(), "."].iter().enumerate() {
            let root = image(&format!("link-{place}-{i}"));
            fs::create_dir(root.join("mnt")).unwrap();
            symlink(link, root.join(place)).unwrap();
            for config in both_uses() {
                let error = Container::create(&root, &config).err().expect("an image with a link there is refused");
                // move_mount(2) has either for a directory's mount on something that is none.
                assert!([libc::ENOTDIR, libc::EINVAL].contains(&error.errno()), "{error}");
                assert!(error.to_string().contains(place), "{error}");
            }
        }
    }
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0, "something was made outside");
});

// runc CVE-2021-30465, lxc CVE-2015-1335, youki CVE-2025-54867, runc CVE-2024-45310: the place of a bind mount is a link that
// leads out of the root, or is swapped for one while the mount is made.
attack!(cve_2021_30465, {
    let secret = secret();
    let outside = secret.parent().unwrap();
    let source = scratch().join("source");
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("mark"), "").unwrap();
    for (i, link) in [outside.to_str().unwrap(), "../outside", "/../../outside", "/proc/1/root"].iter().enumerate() {
        let root = image(&format!("bind-{i}"));
        symlink(link, root.join("data")).unwrap();
        for config in both_uses() {
            let bind = Mount::Bind(Bind::new(source.clone(), "/data/inner"));
            let outcome = Container::create(&root, &config.with(|c| c.mounts = vec![bind]));
            nothing_was_made_in(outside);
            drop(outcome);
        }
    }
    // The race: who can write to a directory that is used as it is swaps the place all the time.
    let root = image("race");
    fs::create_dir_all(root.join("data/inner")).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let swap = |from: &str, to: &str| _ = fs::rename(root.join(from), root.join(to));
                swap("data", "aside");
                _ = symlink(outside, root.join("data"));
                _ = fs::remove_file(root.join("data"));
                swap("aside", "data");
            }
        });
        for _ in 0..100 {
            let bind = Mount::Bind(Bind::new(source.clone(), "/data/inner/place"));
            let config = Config::default().with(|c| {
                c.directory = DirectoryUse::Direct;
                c.mounts = vec![bind];
            });
            drop(Container::create(&root, &config));
            nothing_was_made_in(outside);
        }
        over.store(true, Ordering::Relaxed);
    });
});

fn nothing_was_made_in(outside: &Path) {
    let names: Vec<_> = fs::read_dir(outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["secret"], "something was made outside");
}

// docker CVE-2019-14271: the engine loads a library of the container's when it looks up a user there.
attack!(cve_2019_14271, {
    let root = image("nss");
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::create_dir_all(root.join("lib/x86_64-linux-gnu")).unwrap();
    fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nmallory:x:1234:1234::/:/bin/sh\n").unwrap();
    fs::write(root.join("etc/group"), "mallory:x:1234:\nextra:x:77:mallory\n").unwrap();
    fs::write(root.join("etc/nsswitch.conf"), "passwd: evil files\ngroup: evil files\n").unwrap();
    let library = root.join("lib/x86_64-linux-gnu/libnss_evil.so.2");
    let mark = scratch().join("loaded");
    let source = format!(
        "#include <fcntl.h>\n__attribute__((constructor)) void evil(void) {{ open(\"{}\", O_CREAT | O_WRONLY, 0600); }}\n",
        mark.display()
    );
    let c_file = scratch().join("evil.c");
    fs::write(&c_file, source).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&c_file).status().unwrap();
    assert!(built.success());
    let container = Container::create(&root, &Config::default()).unwrap();
    let config = ExecConfig::default().with(|c| c.user = Some("mallory".into()));
    let said = run(&container, &["/bin/busybox", "id"], &config);
    assert!(said.text.contains("uid=1234") && said.text.contains("77"), "{}", said.text);
    assert!(!mark.exists(), "a library of the container was loaded on the host");
});

// moby CVE-2022-36109, cri-o CVE-2022-2995, buildah CVE-2022-2990, containerd CVE-2023-25173: a user has the groups of the
// image, and no group that the caller has.
attack!(cve_2022_36109, {
    let groups = [0, 4, 27, 42].map(nix::unistd::Gid::from_raw);
    nix::unistd::setgroups(&groups).unwrap();
    let root = image("groups");
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(root.join("etc/passwd"), "web:x:33:33::/:/bin/sh\n").unwrap();
    fs::write(root.join("etc/group"), "web:x:33:\nlogs:x:55:web\nother:x:66:root\n").unwrap();
    let container = Container::create(&root, &Config::default()).unwrap();
    for (user, expected) in [("web", "33 55"), ("33", "33 55"), ("1000", "0"), ("1000:7", "7"), ("web:66", "66")] {
        let config = ExecConfig::default().with(|c| c.user = Some(user.into()));
        let said = run(&container, &["/bin/busybox", "id", "-G"], &config);
        let mut seen: Vec<_> = said.text.split_whitespace().collect();
        seen.dedup();
        println!("{user}: {}", said.text);
        for group in ["4", "27", "42"] {
            assert!(!seen.contains(&group), "{user} has the caller's group {group}: {}", said.text);
        }
        assert_eq!(seen.join(" "), expected, "{user}");
    }
    let said = run(&container, &["/bin/busybox", "id", "-G"], &ExecConfig::default());
    assert_eq!(said.text.trim(), "0", "root has groups of the caller");
});
