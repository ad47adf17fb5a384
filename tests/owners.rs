//! Owners and modes of an image's files in an ordinary user's container, as in rootless podman: with ranges in /etc/subuid files
//! belong to the ids that the image says, are kept by everything that reads them, and go when they are to go.

mod common;

use common::lane::{RANGE, play};
use common::{captured, run_with, scratch, sh};
use ctr::image::{ExportOptions, ImportOptions, Input, MakeOptions, Output, SaveOptions, Source, Store};
use ctr::{Config, Container};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// An entry of a tarball.
fn add(tar: &mut tar::Builder<Vec<u8>>, name: &str, kind: tar::EntryType, owner: (u64, u64), mode: u32, data: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_uid(owner.0);
    header.set_gid(owner.1);
    header.set_mode(mode);
    header.set_mtime(1_700_000_000);
    header.set_size(if kind == tar::EntryType::Regular { data.len() as u64 } else { 0 });
    match kind {
        tar::EntryType::Symlink | tar::EntryType::Link => {
            tar.append_link(&mut header, name, std::ffi::OsStr::from_bytes(data)).unwrap();
        }
        tar::EntryType::Regular => tar.append_data(&mut header, name, data).unwrap(),
        _ => tar.append_data(&mut header, name, &[][..]).unwrap(),
    }
}

const FILE: tar::EntryType = tar::EntryType::Regular;
const DIRECTORY: tar::EntryType = tar::EntryType::Directory;

/// CAP_NET_BIND_SERVICE, effective and permitted, as version 2 has it.
const BIND: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A static program that says who it is and what it may.
fn program(place: &Path) -> Vec<u8> {
    let (source, program) = (place.join("who.c"), place.join("who"));
    let text = r#"
        #include <stdio.h>
        #include <string.h>
        #include <unistd.h>
        int main(void) {
            char line[256];
            unsigned long long caps = 0;
            FILE *status = fopen("/proc/self/status", "r");
            while (status && fgets(line, sizeof line, status))
                if (sscanf(line, "CapEff: %llx", &caps) == 1)
                    break;
            printf("%d %llx\n", (int)geteuid(), caps);
            return 0;
        }"#;
    std::fs::write(&source, text).unwrap();
    let status = std::process::Command::new("cc").args(["-static", "-o"]).arg(&program).arg(&source).status().unwrap();
    assert!(status.success());
    std::fs::read(program).unwrap()
}

/// A busybox of root's, with files of many.
fn image(place: &Path) -> PathBuf {
    let mut tar = tar::Builder::new(Vec::new());
    tar.follow_symlinks(false);
    tar.mode(tar::HeaderMode::Deterministic);
    tar.append_dir_all(".", common::busybox()).unwrap();
    let program = program(place);
    add(&mut tar, "data", DIRECTORY, (999, 999), 0o700, b"");
    add(&mut tar, "data/deep", DIRECTORY, (999, 0), 0o2750, b"");
    add(&mut tar, "data/deep/secret", FILE, (999, 999), 0o600, b"hi\n");
    add(&mut tar, "data/other", FILE, (33, 44), 0o640, b"there\n");
    add(&mut tar, "data/link", tar::EntryType::Symlink, (999, 999), 0o777, b"deep/secret");
    add(&mut tar, "data/again", tar::EntryType::Link, (999, 999), 0o600, b"data/deep/secret");
    add(&mut tar, "data/fifo", tar::EntryType::Fifo, (5, 6), 0o620, b"");
    add(&mut tar, "bin/suid", FILE, (0, 0), 0o4755, &program);
    add(&mut tar, "bin/suid-999", FILE, (999, 999), 0o6755, &program);
    add(&mut tar, "far", FILE, (70000, 0), 0o600, b"far\n");
    add(&mut tar, "twice", FILE, (999, 999), 0o4755, b"one\n");
    add(&mut tar, "twice", FILE, (0, 0), 0o600, b"two\n");
    tar.append_pax_extensions([("SCHILY.xattr.security.capability", &BIND[..]), ("SCHILY.xattr.user.x", b"y")])
        .unwrap();
    add(&mut tar, "bin/bind", FILE, (0, 7), 0o755, &program);
    tar.append_pax_extensions([("SCHILY.acl.access", &b"user::rw-,user:1000:rw-,group::r--,mask::rw-,other::---"[..])])
        .unwrap();
    add(&mut tar, "acl", FILE, (0, 0), 0o660, b"listed\n");
    tar.append_pax_extensions([("SCHILY.xattr.user.secret", &b"of 999\0\0"[..])]).unwrap();
    add(&mut tar, "data/attribute", FILE, (999, 999), 0o400, b"");
    let path = place.join("image.tar");
    std::fs::write(&path, tar.into_inner().unwrap()).unwrap();
    path
}

/// What is special about the files of the image, as tar lists it.
const LISTED: [&str; 13] = [
    "drwx------ 999/999 data/",
    "drwxr-s--- 999/0 data/deep/",
    "-rw------- 999/999 data/deep/secret",
    "-rw-r----- 33/44 data/other",
    "lrwxrwxrwx 999/999 data/link -> deep/secret",
    "prw--w---- 5/6 data/fifo",
    "-rwsr-xr-x 0/0 bin/suid",
    "-rwsr-sr-x 999/999 bin/suid-999",
    "-rw------- 70000/0 far",
    "-rw------- 0/0 twice",
    "-rwxr-xr-x 0/7 bin/bind",
    "-rw-rw---- 0/0 acl",
    "-r-------- 999/999 data/attribute",
];

fn listed(tar: &Path) -> Vec<String> {
    let output = std::process::Command::new("tar").args(["--numeric-owner", "-tvf"]).arg(tar).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            [&words[..2], &words[5..]].concat().join(" ")
        })
        .collect()
}

/// That an archive has the files as the image has them, with their attributes.
fn check_archive(tar: &Path, is_changed: bool) {
    let lines = listed(tar);
    for line in LISTED {
        // The first name of a file with several depends on the order.
        let is_there = lines.iter().any(|found| found == line)
            || line.ends_with("data/deep/secret") && lines.iter().any(|found| found == "-rw------- 999/999 data/again");
        assert!(is_there, "{line} is not in {}: {lines:#?}", tar.display());
    }
    if is_changed {
        assert!(lines.iter().any(|line| line == "drwx------ 42/0 root/"), "{lines:#?}");
    }
    let mut archive = tar::Archive::new(std::fs::File::open(tar).unwrap());
    let mut seen = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        let Ok(Some(extensions)) = entry.pax_extensions() else { continue };
        for extension in extensions {
            let extension = extension.unwrap();
            seen.push((path.clone(), extension.key().unwrap().to_string(), extension.value_bytes().to_vec()));
        }
    }
    for (path, key, value) in [
        ("bin/bind", "SCHILY.xattr.security.capability", &BIND[..]),
        ("bin/bind", "SCHILY.xattr.user.x", b"y"),
        ("data/attribute", "SCHILY.xattr.user.secret", b"of 999\0\0"),
        ("acl", "SCHILY.acl.access", b"user::rw-,user:1000:rw-,group::r--,mask::rw-,other::---"),
    ] {
        assert!(seen.contains(&(path.into(), key.into(), value.to_vec())), "{path} has no {key}: {seen:?}");
    }
    assert!(!seen.iter().any(|(_, key, _)| key.contains("user.ctr")), "{seen:?}");
}

fn as_user(c: &Container, user: &str, script: &str) -> (String, i32) {
    let config = captured().with(|c| c.user = Some(user.into()));
    let (said, end) = run_with(c, &["/bin/sh", "-c", script], &config);
    (said.trim().to_string(), end.code)
}

/// What holds inside a container of the image.
fn check_inside(c: &Container) {
    assert_eq!(
        as_user(c, "999", "cat /data/link && stat -c '%u:%g %a' /data /data/deep /data/deep/secret /data/fifo"),
        ("hi\n999:999 700\n999:0 2750\n999:999 600\n5:6 620".into(), 0)
    );
    assert_eq!(
        as_user(c, "999", "echo more >> /data/deep/secret && touch /data/new && cat /data/link"),
        ("hi\nmore".into(), 0)
    );
    assert_eq!(as_user(c, "998", "cat /data/link").1, 1);
    assert_eq!(
        sh(c, "stat -c %u:%g /data/link; stat -c %u:%g:%a /bin/suid-999 /twice; cat /twice"),
        "999:999\n999:999:6755\n0:0:600\ntwo"
    );
    // Of an id that this user has none for.
    assert_eq!(sh(c, "stat -c %u:%g:%a /far; cat /far"), "0:0:600\nfar");
    assert_eq!(as_user(c, "1000", "cat /acl && echo x >> /acl"), ("listed".into(), 0));
    assert_eq!(as_user(c, "1001", "cat /acl").1, 1);
    // No new privileges unless they are given.
    assert_eq!(as_user(c, "5", "/bin/suid").0, "5 0");
}

#[test]
fn files_of_an_image_have_their_owners_for_a_user_with_ranges() {
    play("role_with_owners", &["-s", RANGE], &[]);
}

#[test]
#[ignore = "a role"]
fn role_with_owners() {
    let place = scratch("owners");
    let tar = image(&place);
    let store = place.join("store");
    let config = Config::default().with(|c| c.store_dir = Some(store.clone()));
    let c = Container::create(&tar, &config).unwrap();
    check_inside(&c);
    // Setuid bits and file capabilities raise where new privileges are given.
    let privileged = config.clone().with(|c| c.new_privileges = true);
    let d = Container::create(&tar, &privileged).unwrap();
    assert_eq!(as_user(&d, "5", "/bin/suid-999; /bin/bind").0, "999 0\n5 400");
    let (said, _) = as_user(&d, "5", "/bin/suid");
    assert!(said.starts_with("0 ") && said != "0 0", "{said}");
    drop(d);

    // All ways out have them.
    sh(
        &c,
        "chown 42 /root 2>/dev/null || mkdir /root && chown 42 /root; chmod 0700 /root; chmod 600 /data/deep/secret",
    );
    let out = place.join("export.tar");
    c.export(Output::Path(&out), &ExportOptions::default(), &mut |_| true).unwrap();
    check_archive(&out, true);
    let options = MakeOptions::default().with(|o| o.name = Some("committed".into()));
    c.commit(&options, &mut |_| true).unwrap();
    let again = Container::create("committed", &config).unwrap();
    assert_eq!(again.diff().unwrap(), []);
    assert_eq!(as_user(&again, "999", "cat /data/deep/secret").0, "hi\nmore");
    again.export(Output::Path(&out), &ExportOptions::default(), &mut |_| true).unwrap();
    check_archive(&out, true);
    // Of a container with new files only, nothing else is said to be changed.
    let fresh = Container::create(&tar, &config).unwrap();
    assert_eq!(as_user(&fresh, "999", "touch /data/deep/new").1, 0);
    let paths: Vec<_> = fresh.diff().unwrap().into_iter().map(|line| line.path).collect();
    assert_eq!(paths, ["/data/deep", "/data/deep/new"].map(PathBuf::from));
    drop((fresh, again));
    // From the store as well, and there and back again.
    let store = Store::open(Some(&store)).unwrap();
    let saved = place.join("saved.tar");
    store.save("committed", Output::Path(&saved), &SaveOptions::default(), &mut |_| true).unwrap();
    let back = Store::open(Some(&place.join("other"))).unwrap();
    let options = ImportOptions::default().with(|o| o.name = Some("back".into()));
    back.import(Input::Path(&saved), &options, &mut |_| true).unwrap();
    let config = Config::default().with(|c| c.store_dir = Some(place.join("other")));
    let c = Container::create("back", &config).unwrap();
    assert_eq!(as_user(&c, "999", "cat /data/deep/secret && stat -c %u:%a /data").0, "hi\nmore\n999:700");
    assert_eq!(sh(&c, "stat -c %u:%a /root"), "42:700");
}

#[test]
fn many_layers_of_many_owners_are_one_tree_for_a_user_with_ranges() {
    play("role_with_many_layers", &["-s", RANGE], &[]);
}

#[test]
#[ignore = "a role"]
fn role_with_many_layers() {
    let place = scratch("layers");
    let config = Config::default().with(|c| c.store_dir = Some(place.join("store")));
    let mut image = image(&place).into_os_string();
    for layer in 0..6 {
        let c = Container::create(&image, &config).unwrap();
        let script = format!(
            "mkdir -p /data/{layer} && echo {layer} > /data/{layer}/f && chmod 0600 /data/{layer}/f \
             && chown -R 10{layer}:999 /data/{layer} && chmod 0700 /data/{layer} && rm -f /data/2/f /data/fifo"
        );
        sh(&c, &script);
        let name = format!("l{layer}");
        let options = MakeOptions::default().with(|o| o.name = Some(name.clone()));
        c.commit(&options, &mut |_| true).unwrap();
        image = name.into();
    }
    let store = Store::open(config.store_dir.as_deref()).unwrap();
    let Source::Layers { layers, .. } = store.resolve("l5".as_ref()).unwrap() else { panic!("it is an image") };
    assert_eq!(layers.len(), 1);
    let c = Container::create("l5", &config).unwrap();
    assert_eq!(
        sh(&c, "stat -c %u:%g:%a /data /data/4 /data/4/f /data/5/f"),
        "999:999:700\n104:999:700\n104:999:600\n105:999:600"
    );
    assert_eq!(sh(&c, "ls /data/2 /data/fifo 2>&1 | grep -c 'No such'"), "1");
    assert_eq!(c.diff().unwrap(), []);
    drop(c);
    let saved = place.join("saved.tar");
    store.save("l5", Output::Path(&saved), &SaveOptions::default(), &mut |_| true).unwrap();
    let back = Store::open(Some(&place.join("other"))).unwrap();
    back.import(Input::Path(&saved), &ImportOptions::default(), &mut |_| true).unwrap();
    // All of it goes by this user's own hand.
    for store in [store, back] {
        assert!(store.disk_use().unwrap() > 0);
        for image in store.list().unwrap() {
            store.remove(&image.digest).unwrap();
        }
        store.prune().unwrap();
        for directory in ["layers", "images", "tmp"] {
            assert_eq!(std::fs::read_dir(store.path().join(directory)).unwrap().count(), 0, "{directory}");
        }
        std::fs::remove_dir_all(store.path()).unwrap();
    }
}

#[test]
fn an_import_that_fails_leaves_nothing_of_other_ids_behind() {
    play("role_whose_import_fails", &["-s", RANGE], &[]);
}

#[test]
#[ignore = "a role"]
fn role_whose_import_fails() {
    let place = scratch("fails");
    let tar = image(&place);
    let store = Store::open(Some(&place.join("store"))).unwrap();
    store
        .import(Input::Path(&tar), &ImportOptions::default().with(|o| o.name = Some("i".into())), &mut |_| true)
        .unwrap();
    // The files are others' now.
    let layer = store.inspect("i").unwrap().layers.remove(0);
    assert_eq!(std::fs::metadata(layer.join("data")).unwrap().uid(), 200_998);
    // What somebody left who was killed at this point.
    let tmp = store.path().join("tmp/1-0");
    std::fs::rename(layer.parent().unwrap(), &tmp).unwrap();
    store.prune().unwrap();
    assert_eq!(std::fs::read_dir(store.path().join("tmp")).unwrap().count(), 0);
    // And by hand, as docs/images.md says.
    store.import(Input::Path(&tar), &ImportOptions::default(), &mut |_| true).unwrap();
    assert!(std::fs::remove_dir_all(store.path()).is_err());
    let mut command = std::process::Command::new("unshare");
    command.args(["--map-auto", "--map-root-user", "rm", "-rf"]).arg(store.path());
    let output = command.output().unwrap();
    assert!(output.status.success() && !store.path().exists(), "{output:?}");
}

/// Unpacks as a user without ranges does.
#[test]
fn a_store_from_before_there_were_ranges_gets_its_owners_when_it_is_used() {
    play("role_that_gets_ranges", &["-s", RANGE], &[]);
}

#[test]
#[ignore = "a role"]
fn role_that_gets_ranges() {
    let place = scratch("before");
    let tar = image(&place);
    let store = place.join("store");
    let again = std::env::current_exe().unwrap();
    let run = |role: &str| {
        let mut command = std::process::Command::new("setpriv");
        command.arg("--no-new-privs").arg(&again).args(["--exact", role, "--ignored", "--nocapture"]);
        let output = command.env("OWNERS_STORE", &store).env("OWNERS_TAR", &tar).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 passed"), "{role}: {said}");
    };
    run("part_without_ranges");
    let config = Config::default().with(|c| c.store_dir = Some(store.clone()));
    // In use by another it stays as it is.
    let Source::Layers { layers, lock, .. } = Store::open(Some(&store)).unwrap().resolve("single".as_ref()).unwrap()
    else {
        panic!("it is an image")
    };
    assert_eq!(std::fs::metadata(layers[0].join("data")).unwrap().uid(), 200_998);
    drop(lock);
    let c = Container::create("single", &config).unwrap();
    check_inside(&c);
    let out = place.join("export.tar");
    c.export(Output::Path(&out), &ExportOptions::default(), &mut |_| true).unwrap();
    check_archive(&out, false);
    drop(c);
    // And who has no ranges any more is told so.
    run("part_that_lost_its_ranges");
}

#[test]
#[ignore = "a part of role_that_gets_ranges"]
fn part_without_ranges() {
    let (store, tar) =
        (PathBuf::from(std::env::var_os("OWNERS_STORE").unwrap()), std::env::var_os("OWNERS_TAR").unwrap());
    let store = Store::open(Some(&store)).unwrap();
    let options = ImportOptions::default().with(|o| o.name = Some("single".into()));
    store.import(Input::Path(Path::new(&tar)), &options, &mut |_| true).unwrap();
    let config = Config::default().with(|c| c.store_dir = Some(store.path().into()));
    let c = Container::create("single", &config).unwrap();
    assert_eq!(sh(&c, "stat -c %u:%a /data /bin/suid; cat /data/link"), "0:700\n0:755\nhi");
    let text = c.explain().unwrap();
    assert!(text.contains("all files of the image are root's inside"), "{text}");
}

#[test]
#[ignore = "a part of role_that_gets_ranges"]
fn part_that_lost_its_ranges() {
    let store = PathBuf::from(std::env::var_os("OWNERS_STORE").unwrap());
    let config = Config::default().with(|c| c.store_dir = Some(store));
    let error = Container::create("single", &config).err().unwrap();
    let text = error.to_string();
    assert!(text.contains("0 4242 1 1 200000 65535") && text.contains("no_new_privs"), "{text}");
}

#[test]
fn files_of_other_ranges_than_now_are_refused_with_what_is_missing() {
    play("role_with_other_ranges", &["-s", RANGE], &[]);
}

#[test]
#[ignore = "a role"]
fn role_with_other_ranges() {
    let place = scratch("other-ranges");
    let tar = image(&place);
    let store = Store::open(Some(&place.join("store"))).unwrap();
    let Source::Layers { layers, .. } = store.resolve(tar.as_os_str()).unwrap() else { panic!("it is an image") };
    // As after a change of /etc/subuid, which this user can't make.
    std::fs::write(layers[0].with_file_name("owners"), "0 4242 1 1 300000 65535\n0 4242 1 1 300000 65535\n").unwrap();
    let error = store.resolve(tar.as_os_str()).err().unwrap().to_string();
    assert!(error.contains("300000") && error.contains("say other ranges now"), "{error}");
    // A part of the ranges will do.
    std::fs::write(layers[0].with_file_name("owners"), "0 4242 1 1 200000 5000\n0 4242 1 1 200000 10\n").unwrap();
    store.resolve(tar.as_os_str()).unwrap();
}

#[test]
fn files_of_ids_that_a_container_of_roots_has_no_number_for_are_exported() {
    if !nix::unistd::geteuid().is_root() {
        return common::skipped("an ordinary user's container has its files as root's");
    }
    let place = scratch("far-ids");
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_dir_all(".", common::busybox()).unwrap();
    add(&mut tar, "far", FILE, (70000, 0), 0o600, b"far\n");
    add(&mut tar, "group", FILE, (0, 1_000_650_000), 0o640, b"group\n");
    add(&mut tar, "closed", DIRECTORY, (70000, 70000), 0o700, b"");
    add(&mut tar, "closed/deep", DIRECTORY, (0, 0), 0o755, b"");
    add(&mut tar, "closed/deep/f", FILE, (70001, 5), 0o400, b"deep\n");
    add(&mut tar, "closed/link", tar::EntryType::Symlink, (70000, 0), 0o777, b"deep/f");
    let archive = place.join("image.tar");
    std::fs::write(&archive, tar.into_inner().unwrap()).unwrap();
    let config = Config::default().with(|c| c.store_dir = Some(place.join("store")));
    let c = Container::create(&archive, &config).unwrap();
    // Nobody's inside.
    assert_eq!(sh(&c, "stat -c %u /far; cat /far 2>&1 | grep -c denied"), "65534\n1");
    sh(&c, "echo new > /new");
    let out = place.join("export.tar");
    c.export(Output::Path(&out), &ExportOptions::default(), &mut |_| true).unwrap();
    let lines = listed(&out);
    for line in [
        "-rw------- 70000/0 far",
        "-rw-r----- 0/1000650000 group",
        "drwx------ 70000/70000 closed/",
        "drwxr-xr-x 0/0 closed/deep/",
        "-r-------- 70001/5 closed/deep/f",
        "lrwxrwxrwx 70000/0 closed/link -> deep/f",
        "-rw-r--r-- 0/0 new",
    ] {
        assert!(lines.iter().any(|found| found == line), "{line} is not in {lines:#?}");
    }
    let output =
        std::process::Command::new("tar").arg("-xOf").arg(&out).args(["far", "closed/deep/f"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "deep\nfar\n");
    c.commit(&MakeOptions::default().with(|o| o.name = Some("committed".into())), &mut |_| true).unwrap();
    assert_eq!(c.diff().unwrap().len(), 1);
}

/// A Debian with redis and sudo, made once.
fn debian() -> Option<PathBuf> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("redis-and-sudo.tar");
    if !place.exists() {
        let new = place.with_extension(format!("{}.tar", std::process::id()));
        let arguments = ["--quiet", "--variant=apt", "--include=redis-server,sudo", "trixie"];
        let output = std::process::Command::new("mmdebstrap").args(arguments).arg(&new).output();
        if !output.as_ref().is_ok_and(|output| output.status.success()) {
            common::skipped(&format!("mmdebstrap: {output:?}"));
            let _ = std::fs::remove_file(&new);
            return None;
        }
        std::fs::rename(&new, &place).unwrap();
    }
    Some(place)
}

#[test]
fn redis_and_sudo_work_for_a_user_with_ranges() {
    if !nix::unistd::geteuid().is_root() {
        return common::skipped("root is needed to make a user in a private mount namespace");
    }
    let Some(debian) = debian() else { return };
    play("role_with_redis_and_sudo", &["-s", RANGE, "-f", &format!("{}:debian.tar", debian.display())], &[]);
}

#[test]
#[ignore = "a role"]
fn role_with_redis_and_sudo() {
    let place = scratch("debian");
    let store = Store::open(Some(&place.join("store"))).unwrap();
    let options = ImportOptions::default().with(|o| o.name = Some("debian".into()));
    store.import(Input::Path(Path::new("/mnt/debian.tar")), &options, &mut |_| true).unwrap();
    let config = Config::default().with(|c| {
        c.store_dir = Some(store.path().into());
        c.new_privileges = true;
    });
    let c = Container::create("debian", &config).unwrap();
    // Its directory is redis's, closed to others, and there it saves.
    let redis = "cd /var/lib/redis && redis-server --daemonize yes --dir /var/lib/redis --logfile /var/log/redis/log --save '' >/dev/null \
        && for i in 1 2 3 4 5 6 7 8 9 10; do redis-cli ping 2>/dev/null | grep -q PONG && break; sleep 1; done \
        && redis-cli set a b && redis-cli save && redis-cli shutdown nosave; stat -c %U:%a dump.rdb /var/lib/redis";
    let (said, code) = as_user(&c, "redis", redis);
    assert_eq!((said.as_str(), code), ("OK\nOK\nredis:644\nredis:750", 0));
    sh(&c, "useradd -m me && echo 'me ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/me && chmod 0440 /etc/sudoers.d/me");
    let (said, code) = as_user(&c, "me", "cd && touch mine && sudo -n id -u && sudo -n -u redis id -un");
    assert_eq!(
        (said.lines().filter(|line| !line.contains("resolve host")).collect::<Vec<_>>(), code),
        (vec!["0", "redis"], 0)
    );
    // What has become others' is compared, committed, and there again.
    assert!(c.diff().unwrap().iter().any(|line| line.path == Path::new("/var/lib/redis/dump.rdb")));
    c.commit(&MakeOptions::default().with(|o| o.name = Some("mine".into())), &mut |_| true).unwrap();
    drop(c);
    let c = Container::create("mine", &config).unwrap();
    assert_eq!(as_user(&c, "redis", "stat -c %U:%a /var/lib/redis/dump.rdb /home/me").0, "redis:644\nme:700");
    drop(c);
    store.remove("mine").unwrap();
    store.remove("debian").unwrap();
    store.prune().unwrap();
    assert_eq!(std::fs::read_dir(store.path().join("layers")).unwrap().count(), 0);
}

#[test]
fn the_root_has_the_owner_and_mode_of_the_image() {
    roots(true);
    play("role_with_roots", &["-s", RANGE], &[]);
    play("role_with_roots_and_one_id", &[], &[]);
}

#[test]
#[ignore = "a role"]
fn role_with_roots() {
    roots(true);
}

#[test]
#[ignore = "a role"]
fn role_with_roots_and_one_id() {
    roots(false);
}

fn roots(has_ids: bool) {
    // Whose owner there isn't inside is root's there, and has its owner outside.
    let inside =
        |all: &'static str| if has_ids { all.to_owned() } else { format!("0:0:{}", all.rsplit(':').next().unwrap()) };
    let place = scratch("roots");
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_dir_all(".", common::busybox()).unwrap();
    add(&mut tar, ".", DIRECTORY, (7, 8), 0o555, b"");
    let archive = place.join("image.tar");
    std::fs::write(&archive, tar.into_inner().unwrap()).unwrap();
    let config = Config::default().with(|c| c.store_dir = Some(place.join("store")));
    let c = Container::create(&archive, &config).unwrap();
    assert_eq!(sh(&c, "stat -c %u:%g:%a /"), inside("7:8:555"));
    let out = place.join("export.tar");
    let root = |c: &Container| {
        c.export(Output::Path(&out), &ExportOptions::default(), &mut |_| true).unwrap();
        listed(&out)[0].clone()
    };
    assert_eq!(root(&c), "dr-xr-xr-x 7/8 ./");
    assert_eq!(c.diff().unwrap(), []);
    let (change, changed) = match has_ids {
        true => ("chmod 0750 / && chown 0:9 /", "0:9:750"),
        false => ("chmod 0750 /", "0:0:750"),
    };
    // A layer that says nothing of it leaves it as it is below, one that changes it doesn't.
    for (script, name, expected) in [("echo x > /x", "one", "7:8:555"), (change, "two", changed)] {
        let c = Container::create(&archive, &config).unwrap();
        sh(&c, script);
        let is_changed = c.diff().unwrap().iter().any(|line| line.path == Path::new("/"));
        assert_eq!(is_changed, name == "two");
        c.commit(&MakeOptions::default().with(|o| o.name = Some(name.into())), &mut |_| true).unwrap();
        let again = Container::create(name, &config).unwrap();
        assert_eq!(sh(&again, "stat -c %u:%g:%a /"), inside(expected));
        assert_eq!(again.diff().unwrap(), []);
        let disk = config.clone().with(|c| c.upper = ctr::Upper::Disk);
        assert_eq!(sh(&Container::create(name, &disk).unwrap(), "stat -c %u:%g:%a /"), inside(expected));
    }
}
