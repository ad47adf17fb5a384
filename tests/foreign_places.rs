//! Root where nothing can be id-mapped, as in a docker container: on an overlay, below /proc.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use common::{busybox, busybox_tar, host_with, sh, skipped};
use ctr::{Config, Container, Mount, Namespace, Namespaces};

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
    let mount = Mount::Bind { source: source.into(), target: "/there".into(), read_only };
    Config { mounts: vec![mount], ..Config::default() }
}

fn in_the_hosts_user_namespace(config: Config) -> Config {
    Config { namespaces: Namespaces { user: Namespace::Host, ..Namespaces::default() }, ..config }
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
fn images_on_an_overlay_say_what_to_do_and_it_works() {
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
    let tree = overlay().join("tree");
    assert!(Command::new("cp").arg("-a").arg(busybox()).arg(&tree).status().unwrap().success());
    std::fs::set_permissions(&tree, std::fs::Permissions::from_mode(0o755)).unwrap();
    let config = || Config { store_dir: Some(store.clone()), ..Config::default() };
    for image in [busybox_tar(), tree.as_path()] {
        let error = Container::create(image, &config()).err().expect("an overlay can't be id-mapped").to_string();
        assert!(error.contains("CTR_STORE_DIR") && error.contains("user namespace"), "{error}");
        let c = Container::create(image, &in_the_hosts_user_namespace(config())).unwrap();
        assert_eq!(
            sh(&c, "echo x > /root/new && cat /root/new && ls -ld /root | cut -d' ' -f3-"),
            sh(&c, "echo x; ls -ld /root | cut -d' ' -f3-")
        );
    }
    // Another store is all that an archive needs.
    let elsewhere = Config { store_dir: Some(common::scratch("elsewhere")), ..Config::default() };
    assert_eq!(sh(&Container::create(busybox_tar(), &elsewhere).unwrap(), "echo ok"), "ok");
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
