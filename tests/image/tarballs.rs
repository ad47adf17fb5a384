//! What becomes of an archive's entries.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use ctr::image::{ImportOptions, Input};

use crate::export::export;
use crate::support::*;

#[test]
fn entries_keep_their_owner_mode_and_time() {
    let scratch = Scratch::new();
    let mut owned = header(b"bin/su", b'0', 2);
    owned.set_mode(0o4755);
    owned.set_uid(0);
    owned.set_gid(42);
    let mut link = header(b"bin/sh", b'2', 0);
    link.as_old_mut().linkname[..4].copy_from_slice(b"dash");
    link.set_uid(7);
    let tar = Tar::new()
        .directory("./", 0o711)
        .directory("bin", 0o2750)
        .raw(&owned, b"su")
        .raw(&link, b"")
        .pax(&[("mtime", b"1700000000.123456789"), ("uid", b"3000000000")])
        .file("bin/new", b"")
        .raw(&header(b"fifo", b'6', 0), b"");
    let root = resolve(&scratch.store(), &scratch.write("a.tar", &tar.end()));
    let of = |name: &str| std::fs::symlink_metadata(root.join(name)).unwrap();
    assert_eq!(of("").mode() & 0o7777, 0o711);
    assert_eq!(of("bin").mode() & 0o7777, 0o2750);
    assert_eq!((of("bin/su").mode() & 0o7777, of("bin/su").gid()), (0o4755, 42));
    assert_eq!((of("bin/sh").uid(), of("bin/sh").mtime()), (7, 1_700_000_000));
    assert_eq!((of("bin/new").mtime_nsec(), of("bin/new").uid()), (123_456_789, 3_000_000_000));
    assert!(of("fifo").file_type().is_fifo());
    for name in ["", "bin", "bin/su", "fifo"] {
        assert_eq!(of(name).mtime(), 1_700_000_000, "{name}");
    }
}

#[test]
fn missing_parents_are_made_and_directories_may_come_last() {
    let scratch = Scratch::new();
    let tar = Tar::new().file("a/b/c/file", b"1").directory("a/b", 0o700).symlink("x/y/link", "/etc");
    let root = resolve(&scratch.store(), &scratch.write("a.tar", &tar.end()));
    assert_eq!(std::fs::metadata(root.join("a")).unwrap().mode() & 0o7777, 0o755);
    assert_eq!(std::fs::metadata(root.join("a/b")).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(std::fs::metadata(root.join("a/b/c")).unwrap().mtime(), 1_700_000_000);
    assert!(root.join("x/y/link").is_symlink());
}

#[test]
fn the_last_of_one_name_wins() {
    let scratch = Scratch::new();
    let tar = Tar::new()
        .file("a", b"old")
        .file("a", b"new")
        .directory("b", 0o755)
        .file("b/below", b"gone")
        .file("b", b"a file now")
        .file("c", b"")
        .directory("c", 0o755)
        .file("c/inside", b"")
        .symlink("d", "/etc")
        .file("d", b"no link")
        .symlink("e", "/etc")
        .directory("e", 0o755)
        .file("f", b"")
        .hard_link("f", "a")
        .hard_link("a", "a");
    let root = resolve(&scratch.store(), &scratch.write("a.tar", &tar.end()));
    let read = |name: &str| std::fs::read(root.join(name)).unwrap();
    assert_eq!(
        (read("a"), read("b"), read("d"), read("f")),
        (b"new".into(), b"a file now".into(), b"no link".into(), b"new".into())
    );
    assert!(root.join("c/inside").exists());
    assert!(!root.join("e").is_symlink() && root.join("e").is_dir());
}

#[test]
fn hard_links_may_come_before_their_target() {
    let scratch = Scratch::new();
    let tar = Tar::new()
        .file("taken", b"old")
        .hard_link("taken", "late")
        .hard_link("two", "one")
        .hard_link("deep/one", "late")
        .hard_link("one", "late")
        .file("lost", b"")
        .hard_link("lost", "late")
        .file("lost", b"came last")
        .file("late", b"content");
    let root = resolve(&scratch.store(), &scratch.write("a.tar", &tar.end()));
    for name in ["taken", "one", "two", "deep/one", "late"] {
        let meta = std::fs::metadata(root.join(name)).unwrap();
        assert_eq!((meta.nlink(), meta.len()), (5, 7), "{name}");
    }
    assert_eq!(std::fs::read(root.join("lost")).unwrap(), b"came last");
    assert_eq!(std::fs::metadata(root.join("deep")).unwrap().mode() & 0o7777, 0o755);
}

/// As old tars write it; GNU tar, Python and Go read it so, too.
#[test]
fn a_hard_link_has_no_data_whatever_size_it_states() {
    let scratch = Scratch::new();
    let mut link = header(b"link", b'1', 5);
    link.set_link_name("file").unwrap();
    let tar = Tar::new().file("file", b"hello").raw(&link, b"").file("after", b"it").end();
    let root = resolve(&scratch.store(), &scratch.write("a.tar", &tar));
    let read = |name: &str| std::fs::read(root.join(name)).unwrap();
    assert_eq!((read("link"), read("after")), (b"hello".into(), b"it".into()));
}

#[test]
fn a_hard_link_to_nothing_names_both() {
    let scratch = Scratch::new();
    let sentence = refusal(&scratch, &Tar::new().hard_link("here", "nowhere").end());
    assert!(sentence.contains("here") && sentence.contains("nowhere"), "{sentence}");
}

#[test]
fn devices_are_kept_aside() {
    let scratch = Scratch::new();
    let mut null = header(b"dev/null", b'3', 0);
    null.set_device_major(1).unwrap();
    null.set_device_minor(3).unwrap();
    let root = resolve(&scratch.store(), &scratch.write("a.tar", &Tar::new().raw(&null, b"").end()));
    assert_eq!(names(&root.join("dev")), [""; 0]);
    let kept = std::fs::read(root.parent().unwrap().join("kept")).unwrap();
    let mut kept = tar::Archive::new(kept.as_slice());
    let entry = kept.entries().unwrap().next().unwrap().unwrap();
    assert_eq!((entry.path().unwrap().to_str(), entry.header().device_major().unwrap()), (Some("dev/null"), Some(1)));
}

#[test]
fn every_compression_is_told_by_its_content() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let tar = Tar::new().file("a", &[7; 5000]).end();
    let plain = resolve(&store, &scratch.write("plain", &tar));
    for (name, compress) in FORMATS {
        assert_eq!(resolve(&store, &scratch.write(name, &compress(&tar))), plain, "{name}");
    }
    // Several members, frames or streams, cut anywhere; and the zeros that tapes add.
    let (one, two) = tar.split_at(1000);
    for (name, compress) in FORMATS {
        let path = scratch.write(&format!("two-{name}"), &[compress(one), compress(two)].concat());
        assert_eq!(resolve(&store, &path), plain, "{name}");
    }
    // Skippable frames, which zstd and LZ4 have in common, say nothing: before, between, behind, and several of them.
    let skipped = [0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, b'a', b'b', b'c', 0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
    for (name, compress) in FORMATS.into_iter().filter(|(name, _)| matches!(*name, "zstd" | "lz4")) {
        let parts = [&skipped[..], &compress(one), &skipped, &compress(two), &skipped];
        assert_eq!(resolve(&store, &scratch.write(&format!("skippable-{name}"), &parts.concat())), plain, "{name}");
        let cut = [&compress(&tar)[..], &skipped[..10]].concat();
        let error = store.resolve(scratch.write(&format!("cut-{name}"), &cut).as_os_str()).unwrap_err();
        assert!(error.to_string().contains("cut off"), "{name}: {error}");
    }
    let padded = [gzip(&tar), vec![0; 1000]].concat();
    assert_eq!(resolve(&store, &scratch.write("padded", &padded)), plain);
}

#[test]
fn long_names_and_deep_trees_are_no_different() {
    let scratch = Scratch::new();
    let long = "n".repeat(255);
    let deep = vec!["d"; 1000].join("/");
    let wide = vec!["w".repeat(255); 30].join("/");
    let tar = Tar::new()
        .pax(&[("path", long.as_bytes())])
        .file("x", b"1")
        .pax(&[("path", format!("{deep}/file").as_bytes())])
        .file("x", b"2")
        .pax(&[("path", format!("{deep}/link").as_bytes()), ("linkpath", format!("{deep}/file").as_bytes())])
        .hard_link("x", "x")
        .pax(&[("path", wide.as_bytes())])
        .file("x", b"longer than PATH_MAX");
    let store = scratch.store();
    let root = resolve(&store, &scratch.write("a.tar", &tar.end()));
    assert!(root.join(&long).is_file());
    assert_eq!(std::fs::metadata(root.join(&deep).join("file")).unwrap().nlink(), 2);
    // Its removal is as deep.
    run("rm", &["-rf".as_ref(), scratch.path("store").as_os_str()]);
}

#[test]
fn names_are_bytes() {
    let scratch = Scratch::new();
    let name = b"new\nline-\xff\xfe-\x01";
    let tar = Tar::new().raw(&header(name, b'0', 0), b"").end();
    let root = resolve(&scratch.store(), &scratch.write("a.tar", &tar));
    let found = std::fs::read_dir(root).unwrap().next().unwrap().unwrap();
    assert_eq!(found.file_name().as_bytes(), name);
}

#[test]
fn attributes_of_users_and_capabilities_are_kept() {
    let scratch = Scratch::new();
    let capability = b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let acl = b"user::rw-,user:1000:r--,group::r--,mask::r--,other::r--";
    let tar = Tar::new()
        .pax(&[("SCHILY.xattr.user.note", b"hello"), ("SCHILY.xattr.security.capability", capability)])
        .file("ping", b"1")
        .pax(&[("SCHILY.acl.access", acl)])
        .file("listed", b"2")
        .pax(&[("SCHILY.xattr.user.overlay.opaque", b"y"), ("SCHILY.xattr.trusted.overlay.opaque", b"y")])
        .directory("hostile", 0o755);
    let root = resolve(&scratch.store(), &scratch.write("a.tar", &tar.end()));
    let attribute = |file: &str, name: &str| getxattr(root.join(file), name).ok();
    assert_eq!(attribute("ping", "user.note").unwrap(), b"hello");
    assert_eq!(attribute("ping", "security.capability").unwrap(), capability);
    assert_eq!(attribute("listed", "system.posix_acl_access").unwrap().len(), 4 + 5 * 8);
    assert_eq!(attribute("hostile", "user.overlay.opaque"), None);
    assert_eq!(attribute("hostile", "trusted.overlay.opaque"), None);
}

/// GNU tar writes the names of users, without their ids.
#[test]
fn acls_that_name_users_are_for_those_whom_the_image_knows() {
    let scratch = Scratch::new();
    let named = b"user::rw-,user:joe:r--,user:stranger:rwx,group::r--,group:staff:rw-,mask::rw-,other::r--";
    let acl = [("SCHILY.acl.access", &named[..])];
    let default = [("SCHILY.acl.default", &named[..])];
    let tar = Tar::new()
        .pax(&acl)
        .file("listed", b"1")
        .pax(&acl)
        .file("replaced", b"2")
        .file("replaced", b"3")
        .pax(&default)
        .directory("journal", 0o755)
        // With something that no file can have, so that both are kept aside.
        .pax(&[acl[0], ("SCHILY.xattr.odd", b"1")])
        .file("odd", b"4")
        .file("etc/passwd", b"root:x:0:0::/:\njoe:x:1000:1000:J:/home:/bin/sh\n")
        .file("etc/group", b"staff:x:50:joe\n");
    let path = scratch.write("a.tar", &tar.end());
    let root = resolve(&scratch.store(), &path);
    let attributes = |file: &str| listxattr(root.join(file)).unwrap().join(" ");
    assert_eq!(attributes("listed"), "system.posix_acl_access");
    assert_eq!(attributes("replaced"), "");
    assert_eq!(attributes("journal"), "system.posix_acl_default");
    // libarchive writes the group's own rights where others write the mask.
    assert_eq!(std::fs::metadata(root.join("listed")).unwrap().mode() & 0o777, 0o664);
    let out = export(&root);
    let has = |text: &str| out.windows(text.len()).any(|window| window == text.as_bytes());
    let expected = "user::rw-,user:1000:r--,group::r--,group:50:rw-,mask::rw-,other::r--\n";
    assert!(has(&format!("SCHILY.acl.access={expected}")) && has(&format!("SCHILY.acl.default={expected}")));

    assert_eq!(out, export(&resolve(&scratch.store(), &scratch.write("again.tar", &out))));
    let texts = out.windows(18).filter(|window| window == b"SCHILY.acl.access=").count();
    assert_eq!(texts, 2, "one of each file");

    // An ordinary user has no use for them and no loss either.
    let home = scratch.path("home");
    std::fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(65534), Some(65534)).unwrap();
    as_nobody("export::export_as_somebody", &path, &home.join("store"));
    let out = std::fs::read(home.join("store.tar")).unwrap();
    let has = |text: &[u8]| out.windows(text.len()).any(|window| window == text);
    assert!(has(&[b"SCHILY.acl.access=", &named[..], b"\n"].concat()));
    assert!(has(&[b"SCHILY.acl.default=", &named[..], b"\n"].concat()));
}

#[test]
fn attributes_keep_their_names_whatever_is_in_them() {
    let scratch = Scratch::new();
    let tar = Tar::new()
        .pax(&[("SCHILY.xattr.user.a%3Db", b"1"), ("SCHILY.xattr.user.%2541", b"2"), ("SCHILY.xattr.user.%41", b"3")])
        .directory("d", 0o755);
    let first = resolve(&scratch.store(), &scratch.write("a.tar", &tar.end()));
    let second = resolve(&scratch.store(), &scratch.write("b.tar", &export(&first)));
    for root in [first, second] {
        let mut names = listxattr(root.join("d")).unwrap();
        names.sort_unstable();
        // Two of the three are two ways to write one name.
        assert_eq!(names, ["user.%41", "user.a=b"]);
    }
}

/// As incus has it: what is beside the wrapping directory is left out, as by tar's --strip-components.
#[test]
fn what_lies_beside_a_stripped_directory_is_left_out() {
    let scratch = Scratch::new();
    let tar = Tar::new()
        .file("metadata.yaml", b"architecture: x86_64")
        .symlink("latest", "rootfs")
        .directory("rootfs", 0o711)
        .file("rootfs/etc/hostname", b"box")
        .hard_link("rootfs/name", "rootfs/etc/hostname")
        .file("templates/hostname.tpl", b"x");
    let path = scratch.write("a.tar", &tar.end());
    let import = |strip| {
        let options = ImportOptions::default().with(|o| o.strip = strip);
        scratch.store().import(Input::Path(&path), &options, &mut |_| true)
    };
    let image = import(1).unwrap();
    assert_eq!(names(&image.layers[0]), ["etc", "hostname.tpl", "name"]);
    assert_eq!(std::fs::read(image.layers[0].join("name")).unwrap(), b"box");
    let error = import(3).unwrap_err().to_string();
    assert!(error.contains("no name in it has more components than the 3 to strip"), "{error}");
}

#[test]
fn sparse_files_of_every_form_stay_sparse() {
    let scratch = Scratch::new();
    let plain = scratch.path("plain");
    std::fs::create_dir(&plain).unwrap();
    let file = std::fs::File::create(plain.join("disk")).unwrap();
    file.set_len(200 << 20).unwrap();
    for part in 0..40u64 {
        std::os::unix::fs::FileExt::write_all_at(&file, &[part as u8 + 1; 4096], part << 22).unwrap();
    }
    let mut expected = None;
    for (name, format) in [
        ("gnu", &["--format=gnu"][..]),
        ("0.0", &["--format=posix", "--sparse-version=0.0"]),
        ("0.1", &["--format=posix", "--sparse-version=0.1"]),
        ("1.0", &["--format=posix", "--sparse-version=1.0"]),
    ] {
        let path = scratch.path(name);
        let mut arguments: Vec<&std::ffi::OsStr> =
            vec!["-S".as_ref(), "-C".as_ref(), plain.as_os_str(), "-cf".as_ref(), path.as_os_str()];
        arguments.extend(format.iter().map(|option| std::ffi::OsStr::new(*option)));
        arguments.push("disk".as_ref());
        run("tar", &arguments);
        let root = resolve(&scratch.store(), &path);
        let meta = std::fs::metadata(root.join("disk")).unwrap();
        assert_eq!(meta.len(), 200 << 20, "{name}");
        assert!(meta.blocks() * 512 < 4 << 20, "{name}: {} blocks", meta.blocks());
        let content = std::fs::read(root.join("disk")).unwrap();
        let expected = expected.get_or_insert_with(|| std::fs::read(plain.join("disk")).unwrap());
        assert!(content == *expected, "{name}");
    }
}

/// Run by the test below as an ordinary user.
#[test]
#[ignore = "only with CTR_TEST_TARBALL"]
fn import_as_somebody() {
    let Some(path) = std::env::var_os("CTR_TEST_TARBALL") else { return };
    let store = ctr::image::Store::open(Some(std::env::var_os("CTR_TEST_STORE").unwrap().as_ref())).unwrap();
    let root = resolve(&store, path.as_ref());
    assert_eq!(std::fs::read(root.join("closed/secret")).unwrap(), b"1");
    println!("TREE {}", root.display());
}

#[test]
fn an_ordinary_user_has_all_files_as_his_own_and_keeps_their_owners() {
    let scratch = Scratch::new();
    let mut su = header(b"su", b'0', 1);
    su.set_mode(0o4755);
    let mut mail = header(b"mail", b'0', 1);
    mail.set_gid(8);
    let mut secret = header(b"closed/secret", b'0', 1);
    secret.set_mode(0);
    let mut link = header(b"link", b'2', 0);
    link.as_old_mut().linkname[0] = b'x';
    link.set_uid(1000);
    let tar = Tar::new()
        .directory("closed", 0)
        .raw(&secret, b"1")
        .raw(&su, b"2")
        .raw(&mail, b"3")
        .raw(&link, b"")
        .file("plain", b"4");
    let path = scratch.write("a.tar", &tar.end());
    let home = scratch.path("home");
    std::fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(65534), Some(65534)).unwrap();
    let output = as_nobody("tarballs::import_as_somebody", &path, &home.join("store"));
    let root = output.split("TREE ").nth(1).unwrap().lines().next().unwrap();
    let root = std::path::Path::new(root);
    let of = |name: &str| {
        let meta = std::fs::symlink_metadata(root.join(name)).unwrap();
        let owner = getxattr(root.join(name), "user.ctr.owner").unwrap_or_default();
        (meta.mode() & 0o7777, meta.uid(), String::from_utf8_lossy(&owner).into_owned())
    };
    assert_eq!(of("plain"), (0o644, 65534, String::new()));
    assert_eq!(of("su"), (0o755, 65534, "0:0:4755".into()));
    assert_eq!(of("mail"), (0o644, 65534, "0:8:644".into()));
    assert_eq!(of("closed"), (0o700, 65534, "0:0:0".into()));
    assert_eq!(of("closed/secret"), (0o400, 65534, "0:0:0".into()));
    let kept = std::fs::read(root.parent().unwrap().join("kept")).unwrap();
    let mut kept = tar::Archive::new(kept.as_slice());
    let entry = kept.entries().unwrap().next().unwrap().unwrap();
    assert_eq!((entry.path().unwrap().to_str(), entry.header().uid().unwrap()), (Some("link"), 1000));
}
