//! Files of a container that are opened, looked at and listed from outside. What is true for root is true for ordinary users, with
//! further ids and without: [`for_everybody`].

mod common;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::leftovers::{Scope, processes};
use common::{busybox, eventually, has_ids, quiet, sh};
use ctr::{Bind, Container, Error, ErrorCode, Namespace, Step, Tmpfs};
use libc::{O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY};
use nix::fcntl::{FcntlArg, OFlag, fcntl};

fn made(scope: &Scope) -> Container {
    Container::create(busybox(), &scope.config()).unwrap()
}

fn open(container: &Container, path: &str, flags: i32) -> ctr::Result<OwnedFd> {
    container.open(path, flags, 0o644, None)
}

fn read(container: &Container, path: &str) -> ctr::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::from(open(container, path, O_RDONLY)?).read_to_end(&mut bytes).unwrap();
    Ok(bytes)
}

fn write(container: &Container, path: &str, bytes: &[u8]) -> ctr::Result<()> {
    File::from(open(container, path, O_WRONLY | O_CREAT | O_TRUNC)?).write_all(bytes).unwrap();
    Ok(())
}

/// Errno and step.
fn told<T>(answer: ctr::Result<T>) -> (i32, Step) {
    let error = answer.err().expect("it is refused");
    (error.errno(), error.failed_step())
}

fn names(container: &Container, path: &str) -> Vec<OsString> {
    let mut names = container.list_dir(path).unwrap();
    names.sort();
    names
}

fn for_everybody() {
    what_is_written_outside_is_read_inside_and_back();
    the_kinds_of_opening_are_those_of_open2();
    a_directory_is_listed_and_a_file_looked_at();
    a_file_belongs_to_who_was_chosen();
    links_lead_nowhere_but_inside();
    no_file_is_made_through_a_link();
    what_waits_or_is_a_device_is_refused_by_its_name();
    files_of_the_kernel_are_looked_at_and_not_opened();
    a_read_only_mount_stays_one_and_is_not_kept_in_use();
    a_joiner_opens_as_the_maker_does_and_nobody_when_it_is_over();
    an_image_without_a_program_will_do();
}

common::lane::users_can!(for_everybody);

#[test]
fn what_is_written_outside_is_read_inside_and_back() {
    let scope = Scope::new("written");
    let container = made(&scope);
    let bytes: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    write(&container, "/root/data", &bytes).unwrap();
    assert_eq!(sh(&container, "wc -c < /root/data"), bytes.len().to_string());
    assert_eq!(sh(&container, "stat -c %u:%g:%a /root/data"), "0:0:644");
    sh(&container, "cp /root/data /root/copy && mkdir /root/dir && printf 'a\\nb' > /root/dir/x");
    assert!(read(&container, "/root/copy").unwrap() == bytes);
    assert_eq!(read(&container, "root/dir/../dir/./x").unwrap(), b"a\nb", "a relative path begins at the root");
    // On a tmpfs and on a bind of the container's as well as on its root.
    write(&container, "/tmp/t", b"t").unwrap();
    assert_eq!(sh(&container, "cat /tmp/t"), "t");
    container.mount(&Bind::new(scope.dir(), "/bound").into()).unwrap();
    write(&container, "/bound/file", b"bound").unwrap();
    let outside = scope.dir().join("file");
    assert_eq!(fs::read(&outside).unwrap(), b"bound");
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&outside).unwrap());
    assert_eq!(owner, nix::unistd::geteuid().as_raw(), "as all that root inside writes into a bind");
}

#[test]
fn the_kinds_of_opening_are_those_of_open2() {
    let scope = Scope::new("kinds");
    let container = made(&scope);
    let fd = container.open("/new", O_RDWR | O_CREAT | O_EXCL, 0o6751, None).unwrap();
    assert_eq!(sh(&container, "stat -c %a /new"), "6751");
    assert!(fd.as_raw_fd() >= 3);
    assert_eq!(fcntl(&fd, FcntlArg::F_GETFD).unwrap(), libc::FD_CLOEXEC);
    let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL).unwrap());
    assert!(!flags.contains(OFlag::O_NONBLOCK), "{flags:?}");
    drop(fd);
    assert_eq!(told(container.open("/new", O_RDWR | O_CREAT | O_EXCL, 0o600, None)), (libc::EEXIST, Step::OpenInside));
    write(&container, "/new", b"one").unwrap();
    File::from(open(&container, "/new", O_WRONLY | O_APPEND).unwrap()).write_all(b"two").unwrap();
    assert_eq!(read(&container, "/new").unwrap(), b"onetwo");
    write(&container, "/new", b"3").unwrap();
    assert_eq!(sh(&container, "cat /new"), "3");
    let directory = open(&container, "/bin", O_RDONLY | O_DIRECTORY).unwrap();
    assert!(File::from(directory).metadata().unwrap().is_dir());
    for (path, flags, errno) in [
        ("/missing", O_RDONLY, libc::ENOENT),
        ("/missing/x", O_WRONLY | O_CREAT, libc::ENOENT),
        ("/new/x", O_RDONLY, libc::ENOTDIR),
        ("/new", O_RDONLY | O_DIRECTORY, libc::ENOTDIR),
        ("/bin", O_WRONLY, libc::EISDIR),
        ("/bin/sh", O_RDONLY | O_NOFOLLOW, libc::ELOOP),
        ("", O_RDONLY, libc::EINVAL),
        ("/new", O_RDONLY | libc::O_PATH, libc::EINVAL),
        ("/", O_RDWR | libc::O_TMPFILE, libc::EINVAL),
    ] {
        assert_eq!(told(open(&container, path, flags)), (errno, Step::OpenInside), "{path} {flags:o}");
    }
    let error = open(&container, "/missing\n", O_RDONLY).unwrap_err().to_string();
    assert_eq!(error, format!("open /missing\\n of container {}: ENOENT, no such file or directory", container.name()));
    assert_eq!(told(open(&container, "/a\0b", O_RDONLY)).0, libc::EINVAL);
    assert_eq!(told(container.open("/x", O_WRONLY | O_CREAT, 0o10_0000, None)).0, libc::EINVAL);
    let long = "x".repeat(300);
    assert_eq!(told(open(&container, &long, O_RDONLY)).0, libc::ENAMETOOLONG);
    assert_eq!(told(open(&container, &"y/".repeat(5000), O_RDONLY)).0, libc::ENAMETOOLONG);
}

#[test]
fn a_directory_is_listed_and_a_file_looked_at() {
    let scope = Scope::new("listed");
    let container = made(&scope);
    sh(&container, "mkdir /dir && cd /dir && echo 12345 > file && chmod 640 file && ln -s file link && mkfifo pipe");
    write(&container, "/dir/a\nb", b"").unwrap();
    assert_eq!(names(&container, "/dir"), ["a\nb", "file", "link", "pipe"].map(OsString::from));
    let odd = OsString::from_vec(b"/dir/\xff".to_vec());
    drop(container.open(&odd, O_WRONLY | O_CREAT, 0o600, None).unwrap());
    assert!(container.list_dir("/dir").unwrap().contains(&OsString::from_vec(b"\xff".to_vec())));
    assert!(names(&container, "/").contains(&"dir".into()));
    assert_eq!(told(container.list_dir("/dir/file")), (libc::ENOTDIR, Step::ListInside));
    assert_eq!(told(container.list_dir("/no")), (libc::ENOENT, Step::ListInside));
    let stat = container.stat("/dir/link", true).unwrap();
    assert_eq!((stat.mode, stat.size, stat.uid, stat.gid, stat.nlink), (libc::S_IFREG | 0o640, 6, 0, 0, 1));
    let inside = sh(&container, "stat -c '%i %X %Y %Z %b %d' /dir/file");
    let here = [stat.ino.to_string(), stat.atime.0.to_string(), stat.mtime.0.to_string(), stat.ctime.0.to_string()];
    assert_eq!(inside, format!("{} {} {}", here.join(" "), stat.blocks, stat.dev));
    assert_eq!(container.stat("/dir/link", false).unwrap().mode & libc::S_IFMT, libc::S_IFLNK);
    assert_eq!(container.stat("/dir/pipe", true).unwrap().mode & libc::S_IFMT, libc::S_IFIFO);
    let null = container.stat("/dev/null", true).unwrap();
    assert_eq!((null.mode & libc::S_IFMT, null.rdev), (libc::S_IFCHR, libc::makedev(1, 3)));
    assert_eq!(told(container.stat("/dir/no", true)), (libc::ENOENT, Step::LookAtInside));
}

#[test]
fn a_file_belongs_to_who_was_chosen() {
    let scope = Scope::new("chosen");
    let container = made(&scope);
    sh(&container, "mkdir -m 777 /all && echo secret > /all/roots && chmod 600 /all/roots");
    let as_user = |path: &str, flags, user: &str| container.open(path, flags, 0o640, Some(user));
    drop(as_user("/all/zero", O_WRONLY | O_CREAT, "0").unwrap());
    assert_eq!(sh(&container, "stat -c %u:%g /all/zero"), "0:0");
    if !has_ids(&container, 1002) {
        let error = as_user("/all/ann", O_WRONLY | O_CREAT, "ann").unwrap_err();
        return assert_eq!((error.code(), error.failed_step()), (ErrorCode::Unsupported, Step::BecomeUser));
    }
    for (user, owner) in [("ann", "1000:1000"), ("1001", "1001:100"), ("7:8", "7:8")] {
        let path = format!("/all/of-{}", user.replace(':', "-"));
        drop(as_user(&path, O_WRONLY | O_CREAT, user).unwrap());
        assert_eq!(sh(&container, &format!("stat -c %u:%g:%a {path}")), format!("{owner}:640"));
        assert_eq!(container.stat(&path, true).unwrap().uid.to_string(), owner.split(':').next().unwrap());
    }
    // With the rights of that user, and no others.
    assert_eq!(told(as_user("/all/roots", O_RDONLY, "ann")), (libc::EACCES, Step::OpenInside));
    assert_eq!(told(as_user("/etc/new", O_WRONLY | O_CREAT, "ann")), (libc::EACCES, Step::OpenInside));
    assert_eq!(told(as_user("/all/x", O_WRONLY | O_CREAT, "nobody-here")), (libc::ENOENT, Step::FindUser));
    sh(&container, "chown 0:29 /all/roots && chmod 640 /all/roots");
    drop(as_user("/all/roots", O_RDONLY, "ann").expect("ann is in group audio, 29"));
}

#[test]
fn links_lead_nowhere_but_inside() {
    let scope = Scope::new("links");
    let secret = scope.dir().join("secret");
    fs::write(&secret, "the host's").unwrap();
    let container = made(&scope);
    let path = secret.to_str().unwrap();
    sh(
        &container,
        &format!("ln -s {path} /absolute && ln -s ../../../../../../..{path} /upwards && ln -s / /root/top"),
    );
    for link in ["/absolute", "/upwards", &format!("/root/top{path}"), &format!("/../../..{path}")] {
        assert_eq!(told(read(&container, link)).0, libc::ENOENT, "{link}");
        assert_eq!(told(container.stat(link, true)).0, libc::ENOENT, "{link}");
    }
    // What has the same name inside is meant.
    let parent = secret.parent().unwrap().to_str().unwrap();
    sh(&container, &format!("mkdir -p {parent} && echo inside > {path}"));
    for link in ["/absolute", "/upwards"] {
        assert_eq!(read(&container, link).unwrap(), b"inside\n", "{link}");
    }
    // A program that has something of the host's open shows it in its /proc, and a link leads there.
    let file = File::open(&secret).unwrap();
    let config = quiet().with(|c| c.stdin = ctr::Stdio::Fd(file.as_raw_fd()));
    let sleeper = container.exec(["sleep", "60"], &config).unwrap();
    let pid = sh(&container, "pidof sleep");
    sh(&container, &format!("ln -s /proc/{pid}/fd/0 /magic && ln -s /proc/{pid}/root /also"));
    let error = read(&container, "/magic").unwrap_err();
    assert_eq!((error.errno(), error.failed_step()), (libc::ELOOP, Step::OpenInside));
    assert!(error.to_string().contains("links of /proc"), "{error}");
    assert_eq!(told(read(&container, "/also/etc/passwd")).0, libc::ELOOP);
    assert_eq!(told(container.list_dir("/also")).0, libc::ELOOP);
    sleeper.kill(libc::SIGKILL).unwrap();
    sh(&container, "ln -s /loop /loop");
    assert_eq!(told(read(&container, "/loop")).0, libc::ELOOP);
    assert_eq!(fs::read(&secret).unwrap(), b"the host's");
}

#[test]
fn no_file_is_made_through_a_link() {
    let scope = Scope::new("dangling");
    let container = made(&scope);
    sh(&container, "ln -s /nowhere /dangling && mkdir /real && ln -s /real /dir");
    let error = open(&container, "/dangling", O_WRONLY | O_CREAT).unwrap_err();
    assert_eq!((error.errno(), error.failed_step()), (libc::ENOENT, Step::OpenInside));
    assert!(error.to_string().contains("leads to nothing"), "{error}");
    assert_eq!(told(open(&container, "/dangling", O_WRONLY | O_CREAT | O_EXCL)).0, libc::EEXIST);
    sh(&container, "test ! -e /nowhere && test -L /dangling");
    // A link to what is there is as good as that, and one above it too.
    write(&container, "/dir/file", b"x").unwrap();
    sh(&container, "ln -s real/file /to-file && test -f /real/file");
    write(&container, "/to-file", b"through").unwrap();
    assert_eq!(sh(&container, "cat /real/file"), "through");
}

#[test]
fn what_waits_or_is_a_device_is_refused_by_its_name() {
    let scope = Scope::new("waits");
    let container = made(&scope);
    sh(&container, "mkfifo /fifo && ln -s /fifo /to-fifo");
    let server = container.exec(["nc", "-ll", "local:/sock"], &quiet());
    for (path, word) in
        [("/fifo", "a FIFO"), ("/to-fifo", "a FIFO"), ("/dev/null", "a device"), ("/dev/ptmx", "a device")]
    {
        for flags in [O_RDONLY, O_WRONLY, O_RDWR | O_CREAT] {
            let began = Instant::now();
            let error = open(&container, path, flags).unwrap_err();
            assert_eq!((error.code(), error.errno()), (ErrorCode::Unsupported, libc::EOPNOTSUPP), "{error}");
            assert!(error.to_string().contains(&format!("it is {word}: ")), "{error}");
            assert!(began.elapsed() < Duration::from_secs(5));
        }
    }
    drop(server);
}

#[test]
fn files_of_the_kernel_are_looked_at_and_not_opened() {
    let scope = Scope::new("kernel");
    let container = made(&scope);
    sh(&container, "ln -s /proc/sys/kernel/hostname /name");
    for path in ["/proc/version", "/proc/sys/kernel/hostname", "/sys/kernel/uevent_seqnum", "/name", "/proc"] {
        let error = open(&container, path, O_RDONLY).unwrap_err();
        assert_eq!((error.code(), error.errno()), (ErrorCode::Unsupported, libc::EOPNOTSUPP), "{path}: {error}");
    }
    assert!(open(&container, "/name", O_WRONLY | O_TRUNC).is_err());
    assert_eq!(container.stat("/proc/version", true).unwrap().mode & libc::S_IFMT, libc::S_IFREG);
    assert!(names(&container, "/proc").contains(&"1".into()));
}

#[test]
fn a_read_only_mount_stays_one_and_is_not_kept_in_use() {
    let scope = Scope::new("readonly");
    fs::write(scope.dir().join("file"), "whole").unwrap();
    let container = made(&scope);
    let bind = Bind::new(scope.dir(), "/ro").with(|bind| bind.read_only = true);
    container.mount(&bind.into()).unwrap();
    container.mount(&Tmpfs::new("/t").into()).unwrap();
    for flags in [O_WRONLY, O_RDWR, O_WRONLY | O_TRUNC, O_WRONLY | O_CREAT | O_TRUNC] {
        assert_eq!(told(open(&container, "/ro/file", flags)).0, libc::EROFS);
    }
    assert_eq!(told(open(&container, "/ro/new", O_WRONLY | O_CREAT)).0, libc::EROFS);
    assert_eq!(read(&container, "/ro/file").unwrap(), b"whole");
    write(&container, "/t/file", b"x").unwrap();
    assert_eq!(container.list_dir("/t").unwrap(), ["file"]);
    // The helper holds nothing of them.
    container.unmount("/ro", false).unwrap();
    container.unmount("/t", false).unwrap();
    assert_eq!(fs::read(scope.dir().join("file")).unwrap(), b"whole");
    let held = Container::create(busybox(), &scope.config()).unwrap();
    held.mount(&Tmpfs::new("/t").into()).unwrap();
    let file = open(&held, "/t/file", O_WRONLY | O_CREAT).unwrap();
    assert_eq!(held.unmount("/t", false).unwrap_err().errno(), libc::EBUSY, "who holds a file keeps its mount in use");
    drop(file);
    held.unmount("/t", false).unwrap();
}

#[test]
fn a_joiner_opens_as_the_maker_does_and_nobody_when_it_is_over() {
    let scope = Scope::new("joined");
    let container = made(&scope);
    let joined = scope.client().join(container.name()).unwrap();
    write(&joined, "/by-joiner", b"joined").unwrap();
    assert_eq!(read(&container, "/by-joiner").unwrap(), b"joined");
    let file = open(&container, "/by-joiner", O_RDONLY).unwrap();
    let pid = container.pid();
    container.destroy().unwrap();
    for handle in [&container, &joined] {
        let error = read(handle, "/by-joiner").unwrap_err();
        assert_eq!(error.code(), ErrorCode::Destroyed, "{error}");
    }
    let mut bytes = Vec::new();
    File::from(file).read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"joined", "a descriptor lives on");
    drop(joined);
    assert!(!fs::exists(format!("/proc/{pid}")).unwrap());
    // One that was killed, and not by us.
    let killed = made(&scope);
    read(&killed, "/etc/passwd").unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(killed.pid()), nix::sys::signal::SIGKILL).unwrap();
    eventually("it has ended", || !killed.is_running());
    assert_eq!(read(&killed, "/etc/passwd").unwrap_err().code(), ErrorCode::Destroyed);
}

#[test]
fn another_mount_namespace_than_its_own_is_refused() {
    if !nix::unistd::geteuid().is_root() {
        return common::skipped("root alone shares its mount namespace");
    }
    let scope = Scope::new("shared");
    let config = scope.config().with(|c| c.namespaces.mount = Namespace::Host);
    let Ok(container) = Container::create("host", &config) else {
        return common::skipped("a container can't share the mount namespace here");
    };
    assert_eq!(told(open(&container, "/etc/passwd", O_RDONLY)), (libc::EINVAL, Step::OpenInside));
    let sleeper = Container::create(busybox(), &scope.config()).unwrap();
    let by_pid = Container::join_pid(sleeper.pid(), ctr::NamespaceSet(0)).unwrap();
    assert_eq!(told(by_pid.list_dir("/")), (libc::EINVAL, Step::ListInside));
}

#[test]
fn an_image_without_a_program_will_do() {
    let scope = Scope::new("bare");
    let image = scope.dir().join("image");
    fs::create_dir_all(image.join("data")).unwrap();
    fs::write(image.join("data/file"), "bare").unwrap();
    let container = Container::create(&image, &scope.config()).unwrap();
    assert_eq!(read(&container, "/data/file").unwrap(), b"bare");
    write(&container, "/data/new", b"new").unwrap();
    assert_eq!(names(&container, "/data"), ["file", "new"].map(OsString::from));
    assert!(!image.join("data/new").exists());
}

#[test]
fn a_paused_container_is_read_and_written() {
    let scope = Scope::new("paused");
    let container = made(&scope);
    if container.pause(Some(Duration::from_secs(10))).is_err() {
        return common::skipped("nothing can be paused here");
    }
    if !nix::unistd::geteuid().is_root() {
        // Its namespaces are opened by PID 1, which stands still: nobody else may look at its /proc entries.
        let error = write(&container, "/written", b"while paused").unwrap_err();
        assert_eq!(error.errno(), libc::EBUSY, "{error}");
        container.resume().unwrap();
        return write(&container, "/written", b"after that").unwrap();
    }
    write(&container, "/written", b"while paused").unwrap();
    assert_eq!(read(&container, "/written").unwrap(), b"while paused");
    drop(container.open("/by-number", O_WRONLY | O_CREAT, 0o600, None).unwrap());
    let error = container.open("/by-name", O_WRONLY | O_CREAT, 0o600, Some("ann")).unwrap_err();
    assert_eq!(error.errno(), libc::EBUSY, "{error}");
    container.resume().unwrap();
    assert_eq!(sh(&container, "cat /written"), "while paused");
}

#[test]
fn many_threads_open_at_once() {
    let scope = Scope::new("threads");
    let container = made(&scope);
    std::thread::scope(|threads| {
        for thread in 0..8 {
            let container = &container;
            threads.spawn(move || {
                for round in 0..50 {
                    let (path, text) = (format!("/f{thread}"), format!("{thread} {round}"));
                    write(container, &path, text.as_bytes()).unwrap();
                    assert_eq!(read(container, &path).unwrap(), text.as_bytes());
                }
            });
        }
    });
}

#[test]
fn a_file_that_comes_and_goes_is_opened_or_told_of() {
    let scope = Scope::new("comes");
    let container = made(&scope);
    let script = "while :; do echo x > /f; rm /f; mkfifo /f; rm /f; ln -s /nowhere /f; rm /f; mkdir /f; rmdir /f; done";
    let churn = container.exec(["/bin/sh", "-c", script], &quiet()).unwrap();
    let end = Instant::now() + Duration::from_secs(2);
    let over = AtomicBool::new(false);
    let mut opened = 0;
    while Instant::now() < end {
        match open(&container, "/f", O_WRONLY | O_CREAT) {
            Ok(file) => {
                opened += 1;
                assert!(File::from(file).metadata().unwrap().is_file());
            }
            Err(error) => assert!(is_expected(&error), "{error}"),
        }
    }
    over.store(true, Ordering::Relaxed);
    assert!(opened > 0);
    churn.kill(libc::SIGKILL).unwrap();
    sh(&container, "test ! -e /nowhere");
}

fn is_expected(error: &Error) -> bool {
    let errnos = [libc::EOPNOTSUPP, libc::EISDIR, libc::ENOENT, libc::EAGAIN, libc::ELOOP];
    error.failed_step() == Step::OpenInside && errnos.contains(&error.errno())
}

#[test]
fn the_helper_ends_when_there_is_nothing_to_do() {
    if !nix::unistd::geteuid().is_root() {
        return common::skipped("root alone sees whose namespaces a process has");
    }
    let scope = Scope::new("idle");
    let container = made(&scope);
    let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let its_own = namespace(container.pid()).unwrap();
    let helpers = || {
        let all = processes().into_iter().filter(|it| it.comm == "ctr-helper" && it.state != 'Z');
        all.filter(|it| namespace(it.pid) == Some(its_own.clone())).count()
    };
    assert_eq!(helpers(), 0);
    read(&container, "/etc/passwd").unwrap();
    read(&container, "/etc/passwd").unwrap();
    assert_eq!(helpers(), 1, "one serves again and again");
    std::thread::sleep(Duration::from_secs(8));
    eventually("it has ended", || helpers() == 0);
    read(&container, "/etc/passwd").unwrap();
    assert_eq!(helpers(), 1);
    container.destroy().unwrap();
    assert_eq!(helpers(), 0);
    scope.assert_nothing_left();
}
