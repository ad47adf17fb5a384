//! The ids of an ordinary user's container: their ranges of /etc/subuid and /etc/subgid where they have any, else a single one. The
//! users of these tests exist in a private mount namespace only; see tests/lanes/as_user.sh.

mod common;

use common::lane::{RANGE, play};
use common::{captured, host, quiet, run_with, sh};
use ctr::{Config, Container, ErrorCode, Namespace, Namespaces, Upper};
use std::path::Path;
use std::process::Command;

fn maps(c: &Container) -> String {
    sh(c, "cat /proc/self/uid_map /proc/self/gid_map").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn ranges_of_a_user_are_mapped_behind_his_own_id() {
    play("role_with_a_range", &["-s", RANGE], &[]);
}

#[test]
#[ignore = "a role"]
fn role_with_a_range() {
    let c = host();
    assert_eq!(maps(&c), "0 4242 1 1 200000 65535 0 4242 1 1 200000 65535");
    let id = |user: &str| run_with(&c, &["id"], &captured().with(|c| c.user = Some(user.into()))).0;
    assert_eq!(id("5000:6000").trim(), "uid=5000 gid=6000 groups=6000");
    assert_eq!(id("65535").trim().split(' ').next(), Some("uid=65535"));
    sh(&c, "echo x > /tmp/x && chown 33:44 /tmp/x && test $(stat -c %u:%g /tmp/x) = 33:44");
    assert_eq!(sh(&c, "cat /proc/self/setgroups"), "allow");
    // Others of a shape come from the pool, and are no different.
    for _ in 0..3 {
        assert_eq!(maps(&host()), maps(&c));
    }
    // One that joins has the same ids.
    let user = Namespace::Container(c.name().into());
    let pid = Namespace::Container(c.name().into());
    let namespaces = Namespaces::default().with(|n| {
        n.user = user;
        n.pid = pid;
    });
    let other = Container::create("host", &Config::default().with(|c| c.namespaces = namespaces)).unwrap();
    assert_eq!(maps(&other), maps(&c));
    let text = c.explain().unwrap();
    assert!(text.contains("/usr/bin/newuidmap $PID 0 4242 1 1 200000 65535"), "{text}");
    assert!(text.contains("/usr/bin/newgidmap $PID 0 4242 1 1 200000 65535"), "{text}");
    // What other ids have written to disk is gone with the container.
    let store = common::scratch("disk-store");
    let config = Config::default().with(|c| {
        c.upper = Upper::Disk;
        c.store_dir = Some(store.clone());
    });
    let disk = Container::create(common::busybox(), &config).unwrap();
    assert_eq!(maps(&disk), maps(&c));
    sh(&disk, "mkdir -p /a/b && echo x > /a/b/c && chown -R 33:44 /a && chmod 0700 /a /a/b && chmod 0 /a/b/c");
    assert_eq!(std::fs::read_dir(store.join("upper")).unwrap().count(), 1);
    disk.destroy().unwrap();
    assert_eq!(std::fs::read_dir(store.join("upper")).unwrap().count(), 0);
    // The host has no child of ours, and gets no signal of one.
    let children = std::fs::read_to_string("/proc/thread-self/children").unwrap();
    assert_eq!(children, "");
    assert_eq!(nix::sys::wait::waitpid(None, None), Err(nix::errno::Errno::ECHILD));
}

#[test]
fn files_of_all_ids_of_a_range_are_exported_and_committed() {
    play("role_that_exports", &["-s", RANGE], &[]);
}

#[test]
#[ignore = "a role"]
fn role_that_exports() {
    use ctr::image::{Change, ExportOptions, MakeOptions, Output};
    let place = common::scratch("export");
    let config = Config::default().with(|c| c.store_dir = Some(place.join("store")));
    let c = Container::create(common::busybox_tar(), &config).unwrap();
    sh(&c, "mkdir -p /a/b && echo secret > /a/b/c && chown -R 33:44 /a && chmod 0700 /a /a/b && chmod 0 /a/b/c");
    let list = |c: &Container, name: &str| {
        let path = place.join(name);
        c.export(Output::Path(&path), &ExportOptions::default(), &mut |_| true).unwrap();
        let output = Command::new("tar").args(["--numeric-owner", "-tvf"]).arg(&path).output().unwrap();
        String::from_utf8_lossy(&output.stdout).lines().map(|line| line.replace("  ", " ")).collect::<Vec<_>>()
    };
    let has = |lines: &[String], start: &str, end: &str| {
        let found = lines.iter().any(|line| line.starts_with(start) && line.ends_with(end));
        assert!(found, "{start} … {end} is not in {lines:#?}");
    };
    let lines = list(&c, "one.tar");
    has(&lines, "---------- 33/44", " a/b/c");
    has(&lines, "drwx------ 33/44", " a/b/");
    has(&lines, "-rw-r--r-- 0/0", " etc/passwd");
    let changed: Vec<_> = c.diff().unwrap().into_iter().map(|line| (line.path, line.change)).collect();
    assert_eq!(changed, ["/a", "/a/b", "/a/b/c"].map(|path| (path.into(), Change::Added)));
    let options = MakeOptions::default().with(|o| o.name = Some("committed".into()));
    c.commit(&options, &mut |_| true).unwrap();
    let again = Container::create("committed", &config).unwrap();
    has(&list(&again, "two.tar"), "---------- 33/44", " a/b/c");
}

#[test]
fn what_a_container_has_closed_to_its_user_is_compared_exported_and_committed() {
    play("role_that_closes_files", &["-s", RANGE], &[]);
    play("role_that_closes_files", &[], &[]);
}

#[test]
#[ignore = "a role"]
fn role_that_closes_files() {
    use ctr::image::{ExportOptions, MakeOptions, Output};
    let place = common::scratch("closed");
    let config = Config::default().with(|c| c.store_dir = Some(place.join("store")));
    let c = Container::create(common::busybox_tar(), &config).unwrap();
    let has_ranges = maps(&c).contains("200000");
    sh(&c, "mkdir -p /root /srv /data && echo x > /etc/own && chmod 0700 /root && chmod 000 /srv /etc/own");
    if has_ranges {
        // As apt-get leaves /var/cache/apt/archives/partial, and useradd a home.
        sh(&c, "chown 42 /root && echo y > /etc/theirs && chmod 0600 /etc/theirs && chown 42:42 /etc/theirs /data");
    }
    let mut expected = vec!["/data", "/etc/own", "/root", "/srv"];
    if has_ranges {
        expected.insert(2, "/etc/theirs");
    }
    // Whether the time of /etc is another one, the clock says.
    let changed = c.diff().unwrap().into_iter().map(|line| line.path).filter(|path| path != Path::new("/etc"));
    let changed: Vec<_> = changed.collect();
    assert_eq!(changed, expected.iter().map(Into::into).collect::<Vec<std::path::PathBuf>>());
    c.export(Output::Path(&place.join("x.tar")), &ExportOptions::default(), &mut |_| true).unwrap();
    let options = MakeOptions::default().with(|o| o.name = Some("closed".into()));
    c.commit(&options, &mut |_| true).unwrap();
    let again = Container::create("closed", &config).unwrap();
    assert_eq!(again.diff().unwrap(), []);
}

#[test]
fn several_ranges_by_name_and_by_number_are_put_together() {
    let options = ["-s", "ctr-lane:300000:1000", "-s", "4242:500000:70000", "-g", "4242:700000:10"];
    play("role_with_several_ranges", &options, &[]);
}

#[test]
#[ignore = "a role"]
fn role_with_several_ranges() {
    assert_eq!(maps(&host()), "0 4242 1 1 300000 1000 1001 500000 64535 0 4242 1 1 700000 10");
}

#[test]
fn without_ranges_there_is_a_single_id_and_explain_says_why() {
    play("role_without_a_range", &[], &[]);
}

#[test]
#[ignore = "a role"]
fn role_without_a_range() {
    let c = host();
    assert_eq!(maps(&c), "0 4242 1 0 4242 1");
    let text = c.explain().unwrap();
    assert!(text.contains("/etc/subuid sets no range aside for ctr-lane (uid 4242)"), "{text}");
    assert!(!text.contains("newuidmap"), "{text}");
    let error = c.exec(["true"], &quiet().with(|c| c.user = Some("5000".into()))).err().unwrap();
    assert_eq!(error.code(), ErrorCode::Unsupported);
    assert!(error.to_string().contains("libctr doctor"), "{error}");
}

#[test]
fn under_no_new_privs_newuidmap_is_not_tried() {
    play("role_under_no_new_privs", &["-s", RANGE], &["setpriv", "--no-new-privs"]);
}

#[test]
#[ignore = "a role"]
fn role_under_no_new_privs() {
    let c = host();
    assert_eq!(maps(&c), "0 4242 1 0 4242 1");
    assert!(c.explain().unwrap().contains("no_new_privs"));
}

#[test]
fn without_newuidmap_there_is_a_single_id() {
    play("role_without_newuidmap", &["-s", RANGE], &["env", "PATH=/mnt"]);
}

#[test]
#[ignore = "a role"]
fn role_without_newuidmap() {
    let c = host();
    assert!(c.explain().unwrap().contains("newuidmap is not in PATH"));
    assert_eq!(maps(&c), "0 4242 1 0 4242 1");
}

#[test]
fn what_newuidmap_refuses_is_told_with_its_words_and_the_mend() {
    play("role_that_is_refused", &["-s", RANGE, "-r"], &[]);
}

#[test]
#[ignore = "a role"]
fn role_that_is_refused() {
    for _ in 0..3 {
        let error = Container::create("host", &Config::default()).err().unwrap();
        assert_eq!((error.code(), error.errno()), (ErrorCode::Unsupported, 1));
        let text = error.to_string();
        // It is ls(1).
        assert!(text.contains("with newuidmap: it says: ") && text.contains("cannot access"), "{text}");
        assert!(text.contains("/etc/subuid"), "{text}");
    }
    assert_eq!(Container::list().unwrap(), []);
}

#[test]
fn a_newuidmap_that_can_gain_no_rights_is_not_tried() {
    play("role_with_programs_of_its_own", &["-s", RANGE], &["env", "PATH=/mnt/home/bin:/usr/bin:/bin"]);
}

#[test]
#[ignore = "a role"]
fn role_with_programs_of_its_own() {
    let own = Path::new("/mnt/home/bin");
    std::fs::create_dir_all(own).unwrap();
    for name in ["newuidmap", "newgidmap"] {
        std::fs::copy(Path::new("/usr/bin").join(name), own.join(name)).unwrap();
    }
    let c = host();
    assert_eq!(maps(&c), "0 4242 1 0 4242 1");
    let text = c.explain().unwrap();
    assert!(text.contains("/mnt/home/bin/newuidmap is neither setuid root"), "{text}");
}
