//! The files of running containers: exported, compared with their image, made into new images.

use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;

use ctr::image::{Compression, ExportOptions, MakeOptions, Output};
use ctr::{Config, Container, DirectoryUse, ErrorCode, Mount, Tmpfs, Upper};
use serde_json::json;

use crate::support::*;

fn export_to(c: &Container, path: &Path) {
    let options = ExportOptions::default();
    let written = c.export(Output::Path(path), &options, &mut |_| true).unwrap();
    assert_eq!(written, std::fs::metadata(path).unwrap().len());
}

fn exported(c: &Container) -> Vec<u8> {
    let mut reader = {
        let (reader, writer) = std::io::pipe().unwrap();
        std::thread::scope(|scope| {
            let reading = scope.spawn(move || {
                let (mut reader, mut bytes) = (reader, Vec::new());
                reader.read_to_end(&mut bytes).unwrap();
                bytes
            });
            c.export(Output::Fd(writer.as_fd()), &ExportOptions::default(), &mut |_| true).unwrap();
            drop(writer);
            std::io::Cursor::new(reading.join().unwrap())
        })
    };
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

/// What GNU tar makes of an archive, as lines.
fn unpacked(scratch: &Scratch, name: &str, archive: &Path) -> Vec<String> {
    let place = scratch.path(name);
    std::fs::create_dir(&place).unwrap();
    let arguments = ["-xpf".as_ref(), archive.as_os_str(), "--xattrs".as_ref(), "--xattrs-include=*".as_ref()];
    run("tar", &[&arguments[..], &["--numeric-owner".as_ref(), "-C".as_ref(), place.as_os_str()]].concat());
    lines(&place)
}

/// The first three words of the line of this name: name, mode, owner.
fn line_of<'l>(lines: &'l [String], name: &str) -> Option<Vec<&'l str>> {
    let line = lines.iter().find(|line| line.split(' ').next() == Some(name))?;
    Some(line.split(' ').take(3).collect())
}

fn image_with_everything() -> Vec<u8> {
    let mut null = header(b"dev/null", b'3', 0);
    null.set_device_major(1).unwrap();
    null.set_device_minor(3).unwrap();
    let mut far = header(b"far", b'0', 1);
    far.set_uid(200_000);
    far.set_gid(7);
    let mut su = header(b"bin/su", b'0', 2);
    su.set_mode(0o4755);
    let layer = busybox()
        .directory("dev", 0o750)
        .raw(&null, b"")
        .raw(&far, b"x")
        .raw(&su, b"su")
        .hard_link("bin/su2", "bin/su")
        .directory("proc", 0o555)
        .file("proc/hidden", b"of the image")
        .file("old", b"old")
        .file("gone", b"gone");
    docker_archive(&[layer.end()], &json!({}))
}

#[test]
fn a_running_containers_root_is_a_tarball_with_owners_as_they_are_inside() {
    let scratch = Scratch::new();
    let image = scratch.write("a.tar", &image_with_everything());
    for upper in [Upper::Memory, Upper::Disk] {
        let mounts = vec![Mount::Tmpfs(Tmpfs::new("/mounted/here"))];
        let c = container(
            &scratch,
            &image,
            Config::default().with(|c| {
                c.upper = upper;
                c.mounts = mounts;
            }),
        );
        sh(
            &c,
            "echo new >/new; chown 12:34 /new; chmod 6711 /new; rm /gone; echo more >>/old; mkfifo /fifo; \
             ln -s nowhere /link; ln /new /new2; echo x >/mounted/here/x; echo y >/tmp/y; mkdir -p /a/b/c; touch /bin/su",
        );
        let place = scratch.path(&format!("{upper:?}.tar"));
        export_to(&c, &place);
        let lines = unpacked(&scratch, &format!("{upper:?}"), &place);
        for (name, mode, owner) in [
            ("new", "106711", "12:34"),
            ("new2", "106711", "12:34"),
            ("old", "100644", "0:0"),
            ("fifo", "10644", "0:0"),
            ("link", "120777", "0:0"),
            ("bin/busybox", "100755", "0:0"),
            // An owner whom the container has no number for is still the image's.
            ("far", "100644", "200000:7"),
            ("dev/null", "20644", "0:0"),
            // What was mounted is not there, what the image has below it is.
            ("proc/hidden", "100644", "0:0"),
            ("dev", "40750", "0:0"),
            ("mounted/here", "40755", "0:0"),
            ("tmp/y", "100644", "0:0"),
            ("a/b/c", "40755", "0:0"),
            ("sys", "40755", "0:0"),
        ] {
            assert_eq!(line_of(&lines, name), Some(vec![name, mode, owner]), "{upper:?} {lines:#?}");
        }
        for name in ["gone", "mounted/here/x", "dev/zero", "proc/self", "sys/kernel"] {
            assert_eq!(line_of(&lines, name), None, "{name}");
        }
        assert!(std::fs::read_to_string(scratch.path(&format!("{upper:?}/old"))).unwrap() == "oldmore\n");
        // It goes on running, the same container gives the same bytes, and they are an image again.
        assert_eq!(exported(&c), std::fs::read(&place).unwrap());
        let again = container(&scratch, &place, Config::default());
        assert_eq!(sh(&again, "cat /new /tmp/y; stat -c %u:%g:%a /new"), "new\ny\n12:34:6711");
        let joined = scratch.client().join(c.name()).unwrap();
        assert_eq!(exported(&joined), std::fs::read(&place).unwrap());
    }
}

#[test]
fn directories_and_the_host_are_exported_too() {
    let scratch = Scratch::new();
    let root = tree(&scratch.store().resolve(scratch.write("a.tar", &busybox().end()).as_os_str()).unwrap());
    for directory in [DirectoryUse::Lower, DirectoryUse::Direct] {
        let c = container(&scratch, &root, Config::default().with(|c| c.directory = directory));
        sh(&c, "echo x >/root-file; chown 5:6 /root-file");
        let place = scratch.path(&format!("{directory:?}.tar"));
        export_to(&c, &place);
        let lines = unpacked(&scratch, &format!("{directory:?}"), &place);
        assert_eq!(line_of(&lines, "root-file"), Some(vec!["root-file", "100644", "5:6"]));
        assert_eq!(line_of(&lines, "bin/busybox"), Some(vec!["bin/busybox", "100755", "0:0"]));
    }
    let c = container(&scratch, "host".as_ref(), Config::default());
    sh(&c, "echo x >/root/mine; mkdir /usr/mine 2>/dev/null || true");
    export_to(&c, &scratch.path("host.tar"));
    let lines = unpacked(&scratch, "host", &scratch.path("host.tar"));
    assert!(line_of(&lines, "root/mine").is_some());
    assert!(lines.iter().all(|line| !line.starts_with("usr/")), "the machine's programs are mounted");
}

#[test]
fn an_export_is_compressed_and_of_the_age_that_was_asked_for() {
    let scratch = Scratch::new();
    let image = scratch.write("a.tar", &busybox().end());
    let c = container(&scratch, &image, Config::default());
    sh(&c, "echo x >/x");
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let options = ExportOptions::default().with(|o| {
            o.compression = compression;
            o.epoch = Some(1_600_000_000);
        });
        let place = scratch.path(&format!("{compression:?}"));
        c.export(Output::Path(&place), &options, &mut |_| true).unwrap();
        assert_eq!(Compression::of(&std::fs::read(&place).unwrap()), compression);
        let lines = unpacked(&scratch, &format!("{compression:?}-tree"), &place);
        assert!(lines.iter().all(|line| !line.contains(" 17")), "something is younger: {lines:#?}");
    }
    let options = ExportOptions::default().with(|o| {
        o.compression = Compression::Lz4;
        o.epoch = None;
    });
    let error = c.export(Output::Path(&scratch.path("lz4")), &options, &mut |_| true).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Invalid);
    assert!(!scratch.path("lz4").exists());
}

#[test]
fn an_export_that_is_stopped_or_can_not_be_written_leaves_nothing() {
    let scratch = Scratch::new();
    let image = scratch.write("a.tar", &busybox().end());
    let c = container(&scratch, &image, Config::default());
    sh(&c, "dd if=/dev/zero of=/big bs=1M count=64 2>/dev/null");
    std::fs::create_dir(scratch.path("out")).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut asked = 0;
    // So slow that it is sure to be asked.
    struct Slow;
    impl std::io::Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            std::thread::sleep(std::time::Duration::from_millis(50));
            Ok(bytes.len().min(4096))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let stopped = c.export(Output::Writer(Box::new(Slow)), &ExportOptions::default(), &mut |progress| {
        asked += 1;
        assert!(progress.entries > 0);
        asked < 3
    });
    assert_eq!(stopped.unwrap_err().code(), ErrorCode::Interrupted);
    assert!(asked >= 3);
    // Nobody reads: EPIPE, and no signal to this process.
    drop(reader);
    let error = c.export(Output::Fd(writer.as_fd()), &ExportOptions::default(), &mut |_| true).unwrap_err();
    assert_eq!(error.errno(), libc::EPIPE, "{error}");
    std::fs::create_dir(scratch.path("full")).unwrap();
    let _full = Mounted::tmpfs(&scratch.path("full"), "size=1m");
    scratch.write("full/x.tar", b"old");
    let error = c.export(Output::Path(&scratch.path("full/x.tar")), &ExportOptions::default(), &mut |_| true);
    let error = error.unwrap_err();
    assert_eq!(error.errno(), libc::ENOSPC);
    assert!(error.to_string().contains("full/x.tar") && error.to_string().contains("free space"), "{error}");
    // The older file is as it was.
    assert_eq!(names(&scratch.path("full")), ["x.tar"]);
    assert_eq!(std::fs::read(scratch.path("full/x.tar")).unwrap(), b"old");
    let error = c.export(Output::Path(Path::new("/no/such/x.tar")), &ExportOptions::default(), &mut |_| true);
    assert!(error.unwrap_err().to_string().contains("/no/such/x.tar"));
    c.destroy().unwrap();
    let error = c.export(Output::Path(&scratch.path("out/x.tar")), &ExportOptions::default(), &mut |_| true);
    assert_eq!(error.unwrap_err().code(), ErrorCode::Destroyed);
    assert_eq!(names(&scratch.path("out")), [""; 0]);
}

/// Run by the test below as an ordinary user.
#[test]
#[ignore = "only with CTR_TEST_TARBALL"]
fn export_as_somebody() {
    let Some(path) = std::env::var_os("CTR_TEST_TARBALL") else { return };
    let place = std::path::PathBuf::from(std::env::var_os("CTR_TEST_STORE").unwrap());
    let config = Config::default().with(|c| {
        c.state_dir = Some(place.join("state"));
        c.store_dir = Some(place.join("store"));
    });
    let c = Container::create(&path, &config).unwrap();
    sh(
        &c,
        "mkdir -p /closed/in; echo secret >/closed/in/file; ln -s x /closed/link; chmod 000 /closed/in/file /closed/in \
         /closed; chmod 700 /bin/narrowed; echo x >/new",
    );
    c.export(Output::Path(&place.join("out.tar")), &ExportOptions::default(), &mut |_| true).unwrap();
}

#[test]
fn an_ordinary_users_container_is_exported_whole_with_the_owners_of_its_image() {
    let scratch = Scratch::new();
    let mut su = header(b"bin/su", b'0', 2);
    su.set_mode(0o4755);
    su.set_gid(12);
    let mut narrowed = header(b"bin/narrowed", b'0', 1);
    narrowed.set_mode(0o4755);
    narrowed.set_uid(1);
    // The number that he himself has.
    let acl = b"user::rw-,user:65534:r--,group::r--,mask::r--,other::r--";
    let tar = busybox().raw(&su, b"su").raw(&narrowed, b"x").pax(&[("SCHILY.acl.access", acl)]).file("listed", b"l");
    let image = scratch.write("a.tar", &tar.end());
    let place = scratch.path("nobody");
    std::fs::create_dir(&place).unwrap();
    std::os::unix::fs::chown(&place, Some(65534), Some(65534)).unwrap();
    as_nobody("running::export_as_somebody", &image, &place);
    let lines = unpacked(&scratch, "tree", &place.join("out.tar"));
    for (name, mode, owner) in [
        ("closed", "40000", "0:0"),
        ("closed/in", "40000", "0:0"),
        ("closed/in/file", "100000", "0:0"),
        ("closed/link", "120777", "0:0"),
        ("bin/su", "104755", "0:12"),
        ("bin/narrowed", "100700", "1:0"),
        ("new", "100644", "0:0"),
    ] {
        assert_eq!(line_of(&lines, name), Some(vec![name, mode, owner]), "{lines:#?}");
    }
    let out = std::fs::read(place.join("out.tar")).unwrap();
    let expected = [b"SCHILY.acl.access=", &acl[..], b"\n"].concat();
    assert!(out.windows(expected.len()).any(|window| window == expected));
}

#[test]
fn containers_of_the_same_image_give_the_same_bytes() {
    let scratch = Scratch::new();
    let image = scratch.write("a.tar", &busybox().file("etc/name", b"box").end());
    let mounts = || vec![Mount::Tmpfs(Tmpfs::new("/mounted/here"))];
    let of_one = || {
        let c = container(&scratch, &image, Config::default().with(|c| c.mounts = mounts()));
        sh(&c, "touch -d @1700000000 /new /etc/name /etc");
        exported(&c)
    };
    let first = of_one();
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert!(first == of_one());
}

#[test]
fn an_export_is_not_deceived_by_attributes_that_only_look_like_ours() {
    let scratch = Scratch::new();
    let image = scratch.write("a.tar", &busybox().directory("home", 0o1777).end());
    let c = container(&scratch, &image, Config::default());
    let config = captured().with(|c| c.user = Some("1000:1000".into()));
    let script = "echo x >/home/x; cp /bin/busybox /home/sh";
    said(&c.exec(["/bin/sh", "-ec", script], &config).unwrap());
    // busybox has no setfattr; the file is the user's own, so the user could do what its root does here from outside.
    let root = format!("/proc/{}/root/home/sh", c.pid());
    match setxattr(&root, "user.ctr.owner", b"0:0:4755") {
        Ok(()) => {}
        // No attributes of users here.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return,
        Err(error) => panic!("{error}"),
    }
    export_to(&c, &scratch.path("out.tar"));
    let lines = unpacked(&scratch, "tree", &scratch.path("out.tar"));
    assert_eq!(line_of(&lines, "home/sh"), Some(vec!["home/sh", "100755", "1000:1000"]));
}

#[test]
fn the_root_of_any_process_that_may_be_joined_is_exported() {
    let scratch = Scratch::new();
    let image = scratch.write("a.tar", &busybox().end());
    let c = container(&scratch, &image, Config::default());
    let sleeps = c.exec(["/bin/sleep", "60"], &ctr::ExecConfig::default()).unwrap();
    let joined = Container::join_pid(sleeps.host_pid().unwrap(), ctr::NamespaceSet::ALL).unwrap();
    export_to(&joined, &scratch.path("out.tar"));
    let lines = unpacked(&scratch, "tree", &scratch.path("out.tar"));
    assert_eq!(line_of(&lines, "bin/busybox"), Some(vec!["bin/busybox", "100755", "0:0"]));
    assert!(lines.iter().all(|line| !line.starts_with("proc/")));
}

#[test]
fn capabilities_and_acls_come_out_of_a_container_as_they_went_in() {
    let scratch = Scratch::new();
    let capability = b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let acl = b"user::rw-,user:7:r--,group::r--,mask::r--,other::r--";
    let tar = busybox()
        .pax(&[("SCHILY.xattr.security.capability", capability), ("SCHILY.xattr.user.note", b"n")])
        .file("ping", b"1")
        .pax(&[("SCHILY.acl.access", acl)])
        .file("listed", b"2");
    let image = scratch.write("a.tar", &tar.end());
    let c = container(&scratch, &image, Config::default());
    // Copied up, too.
    for script in ["true", "touch /ping /listed"] {
        sh(&c, script);
        let out = exported(&c);
        let has = |bytes: &[u8]| out.windows(bytes.len()).any(|window| window == bytes);
        assert!(has(&[b"SCHILY.xattr.security.capability=", &capability[..], b"\n"].concat()), "{script}");
        assert!(has(b"SCHILY.acl.access=user::rw-,user:7:r--,group::r--,mask::r--,other::r--\n"), "{script}");
        assert!(has(b"SCHILY.xattr.user.note=n\n"));
    }
    assert!(c.diff().unwrap().iter().all(|line| line.path.ends_with("ping") || line.path.ends_with("listed")));
}

/// The race of docker CVE-2018-15664: what is a directory at one look is a link to the host's at the next.
#[test]
fn a_container_that_swaps_directories_for_links_gets_no_file_of_the_host_into_its_archives() {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.path("secret/below")).unwrap();
    scratch.write("secret/below/file", b"the secret of the host");
    let secret = scratch.path("secret");
    let image = scratch.write("a.tar", &busybox().directory("d", 0o755).directory("d/below", 0o755).end());
    let c = container(&scratch, &image, Config::default());
    let script = format!(
        "mkdir -p /real/below; echo mine >/real/below/file; ln -s {} /link; while :; do mv -T /real /d2; mv -T /link /real; \
         mv -T /real /link; mv -T /d2 /real; rm -rf /d; ln -s {} /d; rm /d; cp -r /real /d; done",
        secret.display(),
        secret.display()
    );
    let swaps = c.exec(["/bin/sh", "-c", &script], &quiet()).unwrap();
    let mut exports = 0;
    let start = std::time::Instant::now();
    while exports < 20 || start.elapsed() < std::time::Duration::from_secs(2) {
        // What is gone between two looks is left out; a secret may not be in what comes out.
        let mut out = Vec::new();
        let (reader, writer) = std::io::pipe().unwrap();
        std::thread::scope(|scope| {
            let out = &mut out;
            scope.spawn(move || { reader }.read_to_end(out).unwrap());
            c.export(Output::Fd(writer.as_fd()), &ExportOptions::default(), &mut |_| true).unwrap();
            drop(writer);
        });
        assert!(!out.windows(10).any(|window| window == b"the secret"), "a file of the host is in the archive");
        c.diff().unwrap();
        c.commit(&MakeOptions::default(), &mut |_| true).unwrap();
        exports += 1;
    }
    swaps.kill(libc::SIGKILL).unwrap();
    swaps.wait(None).unwrap();
    assert_eq!(std::fs::read(scratch.path("secret/below/file")).unwrap(), b"the secret of the host");
    // Afterwards all is well again.
    exported(&c);
    c.diff().unwrap();
}

#[test]
fn names_that_are_mounted_in_etc_leave_no_trace() {
    let scratch = Scratch::new();
    // One of them is the image's own, though empty.
    let files = || busybox().directory("etc", 0o755).file("etc/hostname", b"").file("etc/some", b"").end();
    let image = scratch.write("a.tar", &docker_archive(&[files()], &json!({})));
    let directory = scratch.path("directory");
    std::fs::create_dir(&directory).unwrap();
    let archive = scratch.write("files.tar", &files());
    run("tar", &["-xpf".as_ref(), archive.as_os_str(), "-C".as_ref(), directory.as_os_str()]);
    let etc = |lines: &[String]| lines.iter().filter(|line| line.starts_with("etc")).cloned().collect::<Vec<_>>();
    let names = |lines: &[String]| -> Vec<String> {
        lines.iter().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    };
    let own = etc(&lines(&directory));
    assert_eq!(names(&own), ["etc", "etc/hostname", "etc/passwd", "etc/some"]);
    for (word, from, upper) in
        [("memory", &image, Upper::Memory), ("disk", &image, Upper::Disk), ("directory", &directory, Upper::Memory)]
    {
        let c = container(&scratch, from, Config::default().with(|c| c.upper = upper));
        assert!(sh(&c, "cat /etc/hosts /etc/hostname").contains("localhost"), "{word}");
        let place = scratch.path(&format!("{word}.tar"));
        export_to(&c, &place);
        assert_eq!(etc(&unpacked(&scratch, &format!("{word}-first"), &place)), own, "{word}");
        if word == "directory" {
            assert_eq!(c.diff().unwrap(), []);
        }
        // What is changed in place is told, and the directory keeps its time; a new name changes that.
        sh(&c, "echo x >>/etc/hosts; echo x >/etc/some");
        let made = c.commit(&MakeOptions::default().with(|o| o.name = Some(word.into())), &mut |_| true).unwrap();
        assert_eq!(made.layers.len(), if word == "directory" { 1 } else { 2 });
        let again = container(&scratch, Path::new(word), Config::default().with(|c| c.etc_files = Some(false)));
        assert_eq!(
            sh(&again, "ls /etc; cat /etc/some; stat -c %Y /etc"),
            format!("hostname\npasswd\nsome\nx\n{}", time_of(&directory))
        );
        sh(&c, "echo x >/etc/new");
        export_to(&c, &place);
        let lines = etc(&unpacked(&scratch, &format!("{word}-new"), &place));
        assert_eq!(names(&lines), ["etc", "etc/hostname", "etc/new", "etc/passwd", "etc/some"]);
        assert_ne!(lines[0], own[0]);
    }
}

/// The seconds of a tree's /etc.
fn time_of(directory: &Path) -> u64 {
    let changed = std::fs::metadata(directory.join("etc")).unwrap().modified().unwrap();
    changed.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}
