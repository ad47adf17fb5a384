//! Files and trees that are copied into a container and out of it, as docker cp. What is true for root is true for ordinary users, with
//! further ids and without: [`for_everybody`].

mod common;

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::leftovers::Scope;
use common::{busybox, has_ids, sh};
use ctr::{Container, ErrorCode, Step, Tmpfs};

fn made(scope: &Scope) -> Container {
    Container::create(busybox(), &scope.config()).unwrap()
}

fn copy_in(container: &Container, source: impl AsRef<Path>, target: &str) -> ctr::Result<()> {
    container.copy_in(source, target, false, &mut |_| true)
}

fn copy_out(container: &Container, source: &str, target: impl AsRef<Path>) -> ctr::Result<()> {
    container.copy_out(source, target, false, &mut |_| true)
}

/// Errno and step.
fn told(answer: ctr::Result<()>) -> (i32, Step) {
    let error = answer.expect_err("it is refused");
    (error.errno(), error.failed_step())
}

/// A tree with one of everything.
fn tree(scope: &Scope) -> PathBuf {
    let top = scope.dir().join("tree");
    fs::create_dir_all(top.join("sub/empty")).unwrap();
    fs::write(top.join("small"), "small").unwrap();
    fs::write(top.join("none"), "").unwrap();
    fs::write(top.join("sub/page"), vec![b'p'; 10_000]).unwrap();
    fs::write(top.join("sub/large"), vec![b'l'; 3_000_000]).unwrap();
    fs::set_permissions(top.join("small"), fs::Permissions::from_mode(0o751)).unwrap();
    fs::set_permissions(top.join("sub/empty"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::hard_link(top.join("sub/page"), top.join("twin")).unwrap();
    symlink("sub/page", top.join("link")).unwrap();
    symlink("/etc/nowhere", top.join("dangling")).unwrap();
    nix::unistd::mkfifo(&top.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let sparse = fs::File::create(top.join("sparse")).unwrap();
    sparse.write_all_at(b"end", 20 << 20).unwrap();
    for name in ["small", "sub/empty", "sub"] {
        let file = fs::File::open(top.join(name)).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).unwrap();
    }
    top
}

/// What there is of [`tree`] at a place of the host.
fn is_the_tree(place: &Path, of: &Path) {
    for name in ["small", "none", "sub/page", "sub/large", "link", "sparse"] {
        assert!(fs::read(place.join(name)).unwrap() == fs::read(of.join(name)).unwrap(), "{name}");
    }
    let stat = |name: &str| fs::symlink_metadata(place.join(name)).unwrap();
    assert_eq!((stat("small").mode() & 0o7777, stat("sub/empty").mode() & 0o7777), (0o751, 0o700));
    for name in ["small", "sub/empty", "sub"] {
        assert_eq!(stat(name).mtime(), 1_000_000_000, "{name}");
    }
    assert_eq!(stat("twin").ino(), stat("sub/page").ino());
    assert_eq!(fs::read_link(place.join("dangling")).unwrap(), Path::new("/etc/nowhere"));
    assert_eq!(stat("fifo").mode() & libc::S_IFMT, libc::S_IFIFO);
    assert!(stat("sparse").blocks() < 1000, "{}", stat("sparse").blocks());
    assert_eq!(stat("small").uid(), nix::unistd::geteuid().as_raw());
}

fn for_everybody() {
    a_tree_is_the_same_inside_and_when_it_comes_back();
    a_large_file_is_the_same_inside_and_when_it_comes_back();
    the_target_means_what_it_means_to_docker_cp();
    files_belong_to_root_inside_or_keep_their_owners();
    what_is_in_the_way_is_replaced_and_a_directory_filled();
    what_can_not_be_copied_is_told_by_its_name();
    an_archive_goes_in_and_comes_out();
    what_is_mounted_inside_is_copied_and_the_kernels_files_are_not();
}

common::lane::users_can!(for_everybody);

#[test]
fn a_tree_is_the_same_inside_and_when_it_comes_back() {
    let scope = Scope::new("tree");
    let (container, source) = (made(&scope), tree(&scope));
    copy_in(&container, &source, "/copy").unwrap();
    let script = "cd /copy && cat small && stat -c '%u:%g:%a:%Y' small sub/empty && readlink link && readlink dangling && \
                  stat -c %h twin && test -p fifo && wc -c < sub/large && test $(du -k sparse | cut -f1) -lt 500";
    let said = sh(&container, script);
    let expected = ["small0:0:751:1000000000", "0:0:700:1000000000", "sub/page", "/etc/nowhere", "2", "3000000"];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
    let back = scope.dir().join("back");
    copy_out(&container, "/copy", &back).unwrap();
    is_the_tree(&back, &source);
}

#[test]
fn a_large_file_is_the_same_inside_and_when_it_comes_back() {
    let scope = Scope::new("large");
    let (container, source) = (made(&scope), scope.dir().join("large"));
    let bytes: Vec<u8> = (0..2_000_003u32).flat_map(|number| (number / 3).to_le_bytes()).collect();
    fs::write(&source, &bytes).unwrap();
    fs::set_permissions(&source, fs::Permissions::from_mode(0o640)).unwrap();
    container.mount(&ctr::Bind::new(scope.dir(), "/bound").into()).unwrap();
    // To another file system, and to the same one.
    for target in ["/copy", "/bound/copy"] {
        copy_in(&container, &source, target).unwrap();
        assert_eq!(sh(&container, &format!("stat -c %s:%u:%a {target}")), "8000012:0:640");
        let back = scope.dir().join("back");
        copy_out(&container, target, &back).unwrap();
        assert!(fs::read(&back).unwrap() == bytes, "{target}");
        assert_eq!(fs::metadata(&back).unwrap().mtime(), fs::metadata(&source).unwrap().mtime());
    }
    let stopped = container.copy_in(&source, "/stopped", false, &mut |_| false);
    // It may have been faster than it was asked; half of it is nowhere.
    let there = container.stat("/stopped", true).map(|stat| stat.size).ok();
    assert_eq!(there, stopped.is_ok().then_some(8_000_012));
}

#[test]
fn the_target_means_what_it_means_to_docker_cp() {
    let scope = Scope::new("target");
    let (container, out) = (made(&scope), scope.dir().join("out"));
    let source = scope.dir().join("src");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("f"), "f").unwrap();
    let file = source.join("f");
    let content = source.join(".");
    sh(&container, "mkdir /there /there2 /there3; echo old > /old; ln -s /there /link");
    for (from, to, found) in [
        (&source, "/new", "/new/f"),
        (&source, "/there", "/there/src/f"),
        (&content, "/there2", "/there2/f"),
        (&content, "/new2", "/new2/f"),
        (&file, "/there3", "/there3/f"),
        (&file, "/there3/", "/there3/f"),
        (&file, "/link", "/there/f"),
        (&file, "/name", "/name"),
        (&file, "/old", "/old"),
        (&file, "relative", "/relative"),
    ] {
        copy_in(&container, from, to).unwrap();
        assert_eq!(sh(&container, &format!("cat {found}")), "f", "{} to {to}", from.display());
    }
    let missing = copy_in(&container, &file, "/no/where");
    assert_eq!(told(missing), (libc::ENOENT, Step::CopyTo));
    assert_eq!(told(copy_in(&container, &file, "/nodir/")), (libc::ENOTDIR, Step::CopyTo));
    assert_eq!(told(copy_in(&container, &source, "/old")), (libc::ENOTDIR, Step::CopyTo));
    assert_eq!(told(copy_in(&container, source.join("no"), "/x")), (libc::ENOENT, Step::CopyFrom));

    fs::create_dir(&out).unwrap();
    sh(&container, "mkdir -p /s/d && echo g > /s/d/g && ln -s g /s/d/l && ln -s d /s/dl");
    for (from, to, found) in [
        ("/s/d", "new", "new/g"),
        ("/s/d", "", "d/g"),
        ("/s/d/.", "new2", "new2/g"),
        ("/s/d/.", "", "g"),
        ("/s/d/g", "h", "h"),
        ("/s/dl/", "new3", "new3/g"),
    ] {
        copy_out(&container, from, out.join(to)).unwrap();
        assert_eq!(fs::read_to_string(out.join(found)).unwrap(), "g\n", "{from} to {to}");
    }
    copy_out(&container, "/s/dl", out.join("a-link")).unwrap();
    assert_eq!(fs::read_link(out.join("a-link")).unwrap(), Path::new("d"), "a link is copied as a link");
    assert_eq!(told(copy_out(&container, "/s/no", &out)), (libc::ENOENT, Step::CopyFrom));
    assert_eq!(told(copy_out(&container, "/s/d", out.join("h"))), (libc::ENOTDIR, Step::CopyTo));
    assert_eq!(told(copy_out(&container, "/s/d", out.join("no/where"))), (libc::ENOENT, Step::CopyTo));
}

#[test]
fn files_belong_to_root_inside_or_keep_their_owners() {
    let scope = Scope::new("owners");
    let container = made(&scope);
    sh(&container, "mkdir /s && echo x > /s/x && chmod 4755 /s/x");
    let out = scope.dir().join("out");
    copy_out(&container, "/s", &out).unwrap();
    let stat = fs::metadata(out.join("x")).unwrap();
    assert_eq!((stat.mode() & 0o7777, stat.uid()), (0o755, nix::unistd::geteuid().as_raw()), "not set-user-ID");
    fs::set_permissions(out.join("x"), fs::Permissions::from_mode(0o4711)).unwrap();
    copy_in(&container, &out, "/in").unwrap();
    assert_eq!(sh(&container, "stat -c %u:%a /in/x"), "0:4711");
    if !has_ids(&container, 1001) || !nix::unistd::geteuid().is_root() {
        return common::skipped("there are no other ids to keep");
    }
    sh(&container, "chown 1000:29 /s/x && chmod 4750 /s/x && chown 7 /s");
    container.copy_out("/s", scope.dir().join("kept"), true, &mut |_| true).unwrap();
    let stat = fs::metadata(scope.dir().join("kept/x")).unwrap();
    assert_eq!((stat.uid(), stat.gid(), stat.mode() & 0o7777), (1000, 29, 0o4750));
    assert_eq!(fs::metadata(scope.dir().join("kept")).unwrap().uid(), 7);
    container.copy_in(scope.dir().join("kept"), "/kept", true, &mut |_| true).unwrap();
    assert_eq!(sh(&container, "stat -c %u:%g:%a /kept/x /kept"), "1000:29:4750\n7:0:755");
}

#[test]
fn what_is_in_the_way_is_replaced_and_a_directory_filled() {
    let scope = Scope::new("way");
    let (container, source) = (made(&scope), scope.dir().join("s"));
    fs::create_dir_all(source.join("d")).unwrap();
    fs::write(source.join("f"), "new").unwrap();
    fs::write(source.join("d/g"), "new").unwrap();
    let script = "mkdir -p /t/d /outside && echo other > /t/d/other && echo old > /outside/f && ln -s /outside/f /t/f";
    sh(&container, script);
    copy_in(&container, source.join("."), "/t").unwrap();
    assert_eq!(sh(&container, "cat /t/f /t/d/g; cat /t/d/other /outside/f"), "newnewother\nold", "no link is followed");
    // A link where a directory is to be.
    sh(&container, "rm -r /t/d && ln -s /outside /t/d");
    let error = copy_in(&container, source.join("."), "/t").unwrap_err();
    assert_eq!((error.errno(), error.failed_step()), (libc::ENOTDIR, Step::CopyTo), "{error}");
    assert!(
        error.to_string().starts_with("copy to /t of container ") && error.to_string().contains(", d: "),
        "{error}"
    );
    sh(&container, "test ! -e /outside/g && rm /t/d && rm /t/f && mkdir /t/f");
    let error = copy_in(&container, source.join("."), "/t").unwrap_err();
    assert_eq!((error.errno(), error.failed_step()), (libc::EISDIR, Step::CopyTo), "{error}");
    // The same on the host.
    let out = scope.dir().join("out");
    fs::create_dir_all(out.join("s")).unwrap();
    fs::write(out.join("victim"), "whole").unwrap();
    symlink("../victim", out.join("s/f")).unwrap();
    sh(&container, "mkdir /s && echo inside > /s/f");
    copy_out(&container, "/s", &out).unwrap();
    assert_eq!(fs::read_to_string(out.join("victim")).unwrap(), "whole");
    assert_eq!(fs::read_to_string(out.join("s/f")).unwrap(), "inside\n");
}

#[test]
fn what_can_not_be_copied_is_told_by_its_name() {
    let scope = Scope::new("can-not");
    let container = made(&scope);
    for path in ["/dev/null", "/proc/version", "/proc", "/sys"] {
        let error = copy_out(&container, path, scope.dir().join("x")).unwrap_err();
        assert_eq!((error.code(), error.failed_step()), (ErrorCode::Unsupported, Step::CopyFrom), "{error}");
    }
    assert!(!scope.dir().join("x").exists());
    let socket = scope.dir().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let error = copy_in(&container, &socket, "/socket").unwrap_err();
    assert!(error.to_string().contains("sockets"), "{error}");
    // The disk is full: what came before is there, and no half of a file.
    container.mount(&Tmpfs::new("/tiny").with(|it| it.size = Some(256 << 10)).into()).unwrap();
    let source = scope.dir().join("s");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("a"), "first").unwrap();
    fs::write(source.join("b"), vec![b'b'; 1 << 20]).unwrap();
    let error = copy_in(&container, source.join("."), "/tiny").unwrap_err();
    assert_eq!((error.errno(), error.failed_step()), (libc::ENOSPC, Step::CopyTo), "{error}");
    assert!(error.to_string().contains(", b: "), "{error}");
    assert_eq!(sh(&container, "ls /tiny; cat /tiny/a"), "a\nfirst");
    // One that goes with others in a message.
    fs::write(source.join("b"), vec![b'b'; 60_000]).unwrap();
    for name in ["c", "d", "e", "f", "g"] {
        fs::copy(source.join("b"), source.join(name)).unwrap();
    }
    assert_eq!(told(copy_in(&container, source.join("."), "/tiny")), (libc::ENOSPC, Step::CopyTo));
    // Whoever asks for no more of it gets that.
    let answer = container.copy_in("/dev/null", "/n", false, &mut |_| true);
    assert_eq!(told(answer), (libc::EOPNOTSUPP, Step::CopyTo));
    let name = container.name().to_string();
    container.destroy().unwrap();
    let error = copy_in(&container, &source, "/x").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Destroyed, "{name}: {error}");
    assert_eq!(copy_out(&container, "/etc", scope.dir().join("y")).unwrap_err().code(), ErrorCode::Destroyed);
}

#[test]
fn an_archive_goes_in_and_comes_out() {
    let scope = Scope::new("archive");
    let (container, source) = (made(&scope), tree(&scope));
    copy_in(&container, &source, "/copy").unwrap();
    let mut bytes = Vec::new();
    let written = container.copy_out_tar("/copy", &mut bytes).unwrap();
    assert_eq!(written, bytes.len() as u64);
    fs::write(scope.dir().join("out.tar"), &bytes).unwrap();
    let version = Command::new("tar").arg("--version").output().unwrap();
    if String::from_utf8_lossy(&version.stdout).contains("GNU tar") {
        let tar = scope.dir().join("out.tar");
        let unpacked = Command::new("tar").arg("-C").arg(scope.dir()).arg("-xf").arg(tar).status().unwrap();
        assert!(unpacked.success());
        is_the_tree(&scope.dir().join("copy"), &source);
    } else {
        common::skipped("there is no GNU tar, and others know no holes");
    }
    sh(&container, "mkdir /again");
    container.copy_in_tar(&mut bytes.as_slice(), "/again", false, &mut |_| true).unwrap();
    sh(&container, "cmp /copy/sub/large /again/copy/sub/large && test -p /again/copy/fifo");
    let error = container.copy_in_tar(&mut bytes.as_slice(), "/no", false, &mut |_| true).unwrap_err();
    assert_eq!((error.errno(), error.failed_step()), (libc::ENOENT, Step::CopyTo));
    let error = container.copy_in_tar(&mut &bytes[..3000], "/again", false, &mut |_| true).unwrap_err();
    assert_eq!(error.code(), ErrorCode::BadImage, "{error}");
    let error = container.copy_in_tar(&mut bytes.as_slice(), "/again", false, &mut |_| false);
    // It may have been faster than it was asked.
    assert!(error.is_ok() || error.unwrap_err().code() == ErrorCode::Interrupted);
}

#[test]
fn what_is_mounted_inside_is_copied_and_the_kernels_files_are_not() {
    let scope = Scope::new("mounted");
    let container = made(&scope);
    container.mount(&Tmpfs::new("/m/inner").into()).unwrap();
    sh(&container, "echo x > /m/inner/x && echo y > /m/y");
    let out = scope.dir().join("out");
    copy_out(&container, "/m", &out).unwrap();
    assert_eq!(fs::read_to_string(out.join("inner/x")).unwrap(), "x\n");
    copy_in(&container, out.join("y"), "/m/inner").unwrap();
    assert_eq!(sh(&container, "cat /m/inner/y"), "y");
}
