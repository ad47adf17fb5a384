//! Root where nothing can be id-mapped, as in a docker container: on an overlay, below /proc.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use common::{busybox, busybox_tar, host_with, sh, skipped};
use ctr::{Bind, Config, Container, Mount, Namespace, Namespaces, Step};

/// Runs a role in a mount namespace of its own, with an overlay at `$CTR_OVERLAY`; see overlayfs.rst.
fn on_an_overlay(role: &str) {
    let unmapped = nix::unistd::geteuid().is_root()
        && std::fs::read_to_string("/proc/self/uid_map").unwrap().contains(" 4294967295");
    if !unmapped {
        return skipped("only root of the machine needs id-mapped mounts");
    }
    let place = common::scratch(role);
    let inner = "mount --make-rprivate / && cd \"$1\" && mkdir -m 755 lower upper work merged && mkdir -m 755 lower/data lower/private && \
                 echo from below > lower/data/file && chmod 700 lower/private && \
                 mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay merged && shift && exec \"$@\"";
    let me = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", inner, "sh"]).arg(&place).arg(me);
    command.args(["--exact", role, "--ignored", "--nocapture"]).env("CTR_OVERLAY", place.join("merged"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

fn overlay() -> std::path::PathBuf {
    std::env::var_os("CTR_OVERLAY").unwrap().into()
}

fn bind(source: &Path, read_only: bool) -> Config {
    let mount = Mount::Bind(Bind::new(source, "/there").with(|b| b.read_only = read_only));
    Config::default().with(|c| c.mounts = vec![mount])
}

fn in_the_hosts_user_namespace(config: Config) -> Config {
    config.with(|c| c.namespaces = Namespaces::default().with(|n| n.user = Namespace::Host))
}

#[test]
fn binds_from_an_overlay_are_read_without_a_map_or_refused_with_a_way_out() {
    on_an_overlay("role_binds");
}

#[test]
#[ignore = "a role"]
fn role_binds() {
    let data = overlay().join("data");
    for source in [data.clone(), data.join("file")] {
        let c = host_with(&bind(&source, true));
        assert_eq!(sh(&c, "cat /there/file 2>/dev/null || cat /there"), "from below");
        assert_eq!(
            sh(&c, "(echo x > /there/new || echo x > /there) 2>/dev/null && echo written || echo refused"),
            "refused"
        );
    }
    // For writing, and where not everybody may read, the owners matter.
    for config in [bind(&data, false), bind(&overlay().join("private"), true)] {
        let error = Container::create("host", &config).err().expect("an overlay can't be id-mapped").to_string();
        assert!(
            error.contains("for a bind") && error.contains("read-only") && error.contains("user namespace"),
            "{error}"
        );
        assert!(!error.contains("images"), "{error}");
        host_with(&in_the_hosts_user_namespace(config));
    }
    let c = host_with(&in_the_hosts_user_namespace(bind(&data, false)));
    assert_eq!(sh(&c, "echo x > /there/new; cat /there/new"), "x");
}

#[test]
fn an_image_in_a_store_on_an_overlay_is_copied_and_a_directory_says_what_to_do() {
    on_an_overlay("role_images");
}

#[test]
#[ignore = "a role"]
fn role_images() {
    if !common::kernel_is_at_least(6, 6) {
        return common::skipped(
            "before Linux 6.6 changes are in the store, and an overlay takes none on another overlay",
        );
    }
    let store = overlay().join("store");
    let config = || Config::default().with(|c| c.store_dir = Some(store.clone()));
    let look = "id -u; echo x > /root/new && cat /root/new; rm /bin/true; stat -c '%u:%g %a' /root /bin/busybox /tmp; cat /proc/self/uid_map";
    // Explained before any is made, and made at the first try: a copy whose files are root's inside, and nobody's outside.
    let told = ctr::explain(busybox_tar(), &config()).unwrap();
    assert!(told.contains("can't be id-mapped") && told.contains("echo 0 1878982656 65536"), "{told}");
    for _ in 0..2 {
        let c = Container::create(busybox_tar(), &config()).unwrap();
        let said = sh(&c, look);
        let lines: Vec<_> = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(lines[0..2], ["0", "x"], "{said}");
        assert!(lines[2..5].iter().all(|line| line.starts_with("0:0 ")), "{said}");
        assert_eq!(lines[5], "0 1878982656 65536");
        assert!(matches!(c.warnings(), [warning] if warning.contains("CTR_STORE_DIR")), "{:?}", c.warnings());
        // What it changed goes out as it is inside, and the image below is as it was.
        let changes: Vec<_> = c.diff().unwrap().into_iter().map(|change| change.path).collect();
        assert_eq!(changes.len(), 4, "{changes:?}");
        let mut tar = Vec::new();
        c.export(ctr::image::Output::Writer(Box::new(&mut tar)), &Default::default(), &mut |_| true).unwrap();
        let mut archive = tar::Archive::new(&tar[..]);
        let ours = |entry: tar::Entry<'_, _>| (entry.header().uid().unwrap(), entry.header().gid().unwrap()) == (0, 0);
        assert!(archive.entries().unwrap().all(|entry: std::io::Result<tar::Entry<'_, &[u8]>>| ours(entry.unwrap())));
        c.destroy().unwrap();
    }
    let copies: Vec<_> = store.join("shifted").read_dir().unwrap().map(|copy| copy.unwrap().path()).collect();
    assert_eq!(copies.len(), 1);
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&copies[0].join("bin/busybox").metadata().unwrap()), 0x6fff_0000);
    // In the host's user namespace it is the image itself.
    let c = Container::create(busybox_tar(), &in_the_hosts_user_namespace(config())).unwrap();
    assert_eq!(sh(&c, "echo x > /root/new && cat /root/new"), "x");
    drop(c);
    let images = ctr::image::Store::open(Some(&store)).unwrap();
    images.prune().unwrap();
    assert!(store.join("layers").read_dir().unwrap().next().is_none());
    assert!(store.join("shifted").read_dir().unwrap().next().is_none());

    // A directory is not copied.
    let tree = overlay().join("tree");
    assert!(Command::new("cp").arg("-a").arg(busybox()).arg(&tree).status().unwrap().success());
    std::fs::set_permissions(&tree, std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = Container::create(&tree, &config()).err().expect("an overlay can't be id-mapped").to_string();
    assert!(error.contains("import a tarball") && error.contains("user namespace"), "{error}");
    let c = Container::create(&tree, &in_the_hosts_user_namespace(config())).unwrap();
    assert_eq!(sh(&c, "echo x > /root/new && cat /root/new"), "x");
    // In another store there is nothing to warn of.
    let elsewhere = Config::default().with(|c| c.store_dir = Some(common::scratch("elsewhere")));
    let c = Container::create(busybox_tar(), &elsewhere).unwrap();
    assert_eq!((sh(&c, "echo ok"), c.warnings().len()), ("ok".into(), 0));
}

#[test]
fn an_ordinary_user_s_store_on_an_overlay_needs_no_copy() {
    on_an_overlay("role_ordinary_user");
}

#[test]
#[ignore = "a role"]
fn role_ordinary_user() {
    if !common::kernel_is_at_least(6, 6) {
        return common::skipped("before Linux 6.6 changes are in the store");
    }
    // In the overlay, where another user reaches them.
    let image = overlay().join("busybox.tar");
    std::fs::copy(busybox_tar(), &image).unwrap();
    let home = overlay().join("home");
    std::fs::create_dir(&home).unwrap();
    for directory in ["store", "state"] {
        std::fs::create_dir(home.join(directory)).unwrap();
        std::fs::set_permissions(home.join(directory), std::fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(home.join(directory), Some(65534), Some(65534)).unwrap();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    std::os::unix::process::CommandExt::uid(&mut command, 65534);
    std::os::unix::process::CommandExt::gid(&mut command, 65534);
    command.args(["--exact", "role_of_nobody", "--ignored", "--nocapture"]).env("CTR_STORE_DIR", home.join("store"));
    let output = command.env("CTR_STATE_DIR", home.join("state")).env_remove("CTR_CGROUP_PARENT").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!home.join("store/shifted").exists());
}

#[test]
#[ignore = "a role"]
fn role_of_nobody() {
    let c = match Container::create(overlay().join("busybox.tar"), &Config::default()) {
        Ok(c) => c,
        Err(error) if error.failed_step() == Step::CloneIntoNamespaces => return common::skipped(&error.to_string()),
        Err(error) => panic!("{error}"),
    };
    assert_eq!(sh(&c, "id -u; echo x > /root/new && cat /root/new"), "0\nx");
    assert!(c.warnings().is_empty());
}

/// The usual mounts of a monitoring agent.
#[test]
fn proc_and_cgroups_of_the_host_are_bound_read_only() {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let c = match Container::create("host", &bind(Path::new("/proc"), true)) {
        Ok(c) => c,
        // Nested: the kernel keeps a procfs of another PID namespace from ordinary users.
        Err(error) => return skipped(&error.to_string()),
    };
    assert_eq!(sh(&c, "cat /there/sys/kernel/random/boot_id"), boot.trim_end());
    assert!(sh(&c, "head -n 1 /there/stat").starts_with("cpu "));
    if Path::new("/sys/fs/cgroup").read_dir().is_ok_and(|mut all| all.next().is_some()) {
        let c = host_with(&bind(Path::new("/sys/fs/cgroup"), true));
        assert!(!sh(&c, "ls /there").is_empty());
    }
}

/// In a directory that can be id-mapped, one mount after the other that can't be.
#[test]
fn a_mount_below_a_bind_that_can_not_be_id_mapped_is_named() {
    on_an_overlay("role_trees");
}

#[test]
#[ignore = "a role"]
fn role_trees() {
    let place = overlay().parent().unwrap().join("tree with blanks");
    for below in ["", "a", "a/b", "file"] {
        std::fs::create_dir(place.join(below)).unwrap();
    }
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mount = |arguments: &[&str], below: &str| {
        let status = Command::new("mount").args(arguments).arg(place.join(below)).status().unwrap();
        assert!(status.success(), "{arguments:?}");
    };
    host_with(&bind(&place, false));
    let refused = |errno: i32, culprit: &str, kind: &str| {
        let error = Container::create("host", &bind(&place, false)).err().expect("a mount below can't be id-mapped");
        assert_eq!((error.failed_step(), error.errno()), (Step::IdMapBind, errno), "{error}");
        let culprit = place.join(culprit).display().to_string();
        assert_eq!(error.object(), culprit, "{error}");
        let said = error.to_string();
        for words in [
            &format!("mounted there ({kind}) lies below {},", place.display()),
            "unmount it",
            "read-only",
            "user namespace",
        ] {
            assert!(said.contains(words), "{words:?} in {said}");
        }
        // What everybody may read is read without.
        let c = host_with(&bind(&place, true));
        assert!(sh(&c, "ls /there").contains("file"));
        host_with(&in_the_hosts_user_namespace(bind(&place, false)));
    };
    // One that can be is none of them; a tmpfs can since Linux 6.3 only.
    mount(&["--bind", place.to_str().unwrap()], "file");
    mount(&["--bind", overlay().to_str().unwrap()], "a/b");
    refused(libc::EINVAL, "a/b", "overlay");
    nix::mount::umount(&place.join("a/b")).unwrap();
    mount(&["-t", "proc", "proc"], "a");
    refused(libc::EINVAL, "a", "proc");
    nix::mount::umount(&place.join("a")).unwrap();
    let c = host_with(&bind(&place, false));
    if !common::has_python() {
        return;
    }
    // One that is id-mapped already: open_tree, mount_setattr and move_mount, by their numbers.
    let mapped = "import ctypes, os, struct, sys; call = ctypes.CDLL(None, use_errno=True).syscall
space, place = os.open(f'/proc/{sys.argv[1]}/ns/user', os.O_RDONLY), sys.argv[2].encode()
tree = call(428, -100, place, 1 | os.O_CLOEXEC)
assert call(442, tree, b'', 0x1000, struct.pack('4Q', 0x100000, 0, 0, space), 32) == 0
assert call(429, tree, b'', -100, place, 4) == 0";
    let python = Command::new("python3").args(["-c", mapped, &c.pid().to_string()]).arg(place.join("a")).status();
    assert!(python.unwrap().success());
    let kind = nix::sys::statfs::statfs(&place).unwrap().filesystem_type();
    refused(libc::EPERM, "a", if kind == nix::sys::statfs::TMPFS_MAGIC { "tmpfs" } else { "ext4" });
    // Bound itself.
    let error = Container::create("host", &bind(&place.join("a"), false)).err().expect("it is id-mapped already");
    assert!(error.object().ends_with("/a") && error.hint().contains("already"), "{error}");
    assert!(!error.to_string().contains("below"), "{error}");
}
