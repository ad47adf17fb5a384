//! Mounts into a container that runs, and out of it: programs that run see them at once, nobody else does. What is true for root is
//! true for ordinary users, with further ids and without: [`for_everybody`].

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::lane::play_in_shared_mounts;
use common::leftovers::Scope;
use common::record::Written;
use common::{busybox, captured, end_of, run, scratch, sh, skipped};
use ctr::{
    Bind, Client, Config, Container, Error, ErrorCode, Mount, Namespace, NamespaceSet, Namespaces, Stdio, Step, Tmpfs,
};

fn bind(source: &Path, target: &str, read_only: bool) -> Mount {
    Bind::new(source, target).with(|it| it.read_only = read_only).into()
}

fn tmpfs(target: &str, size: Option<u64>, mode: Option<u32>) -> Mount {
    let set = |it: &mut Tmpfs| (it.size, it.mode) = (size, mode);
    Tmpfs::new(target).with(set).into()
}

/// A directory of the host with a file in it.
fn data(scope: &Scope) -> PathBuf {
    let data = scope.dir().join("data");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("file"), "of the host").unwrap();
    data
}

fn host(config: &Config) -> Container {
    Container::create("host", config).unwrap()
}

/// Code, errno, step.
fn told(error: &Error) -> (ErrorCode, i32, Step) {
    (error.code(), error.errno(), error.failed_step())
}

/// A program that runs all the time, and does what it is told.
struct Shell {
    process: ctr::Process,
    stdin: fs::File,
    said: BufReader<fs::File>,
}

impl Shell {
    fn new(container: &Container) -> Self {
        let config = captured().with(|c| c.stdin = Stdio::Pipe);
        let process = container.exec(["/bin/sh"], &config).unwrap();
        let stdin = fs::File::from(process.take_stdin().unwrap());
        let said = BufReader::new(fs::File::from(process.take_stdout().unwrap()));
        Self { process, stdin, said }
    }

    /// What it says of a command, in one line.
    fn ask(&mut self, command: &str) -> String {
        writeln!(self.stdin, "{{ {command}; }} >/tmp/said 2>&1; tr '\\n' ' ' </tmp/said; echo").unwrap();
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim().to_string()
    }

    fn end(self) {
        drop(self.stdin);
        end_of(&self.process);
    }
}

/// What holds for every user.
fn for_everybody() {
    a_program_that_runs_sees_a_mount_at_once_and_its_end();
    a_joiner_mounts_and_unmounts_as_the_maker_does();
    a_file_goes_onto_a_file_and_a_directory_onto_a_directory();
    a_tmpfs_has_its_size_and_mode();
    a_place_that_can_not_be_is_refused_by_name();
    a_link_leads_nowhere_outside();
    a_busy_mount_is_named_and_can_go_lazily();
    a_mount_is_on_record_while_it_is_there();
    what_was_mounted_at_create_and_since_is_listed_for_everybody();
    what_came_with_the_container_can_be_taken_off();
    set_user_id_and_devices_have_no_effect();
}

common::lane::users_can!(for_everybody);

#[test]
fn a_program_that_runs_sees_a_mount_at_once_and_its_end() {
    let scope = Scope::new("live");
    let data = data(&scope);
    let container = host(&scope.config());
    let mut shell = Shell::new(&container);
    assert_eq!(shell.ask("ls /mnt"), "");
    container.mount(&bind(&data, "/mnt/rw", false)).unwrap();
    container.mount(&bind(&data, "/mnt/ro", true)).unwrap();
    assert_eq!(shell.ask("cat /mnt/rw/file /mnt/ro/file"), "of the hostof the host");
    assert_eq!(shell.ask("echo more > /mnt/rw/new; cat /mnt/ro/new"), "more");
    assert_eq!(fs::read_to_string(data.join("new")).unwrap(), "more\n");
    assert!(shell.ask("echo more > /mnt/ro/other").contains("Read-only file system"));
    // Its files are the caller's, as they are for a bind of the configuration, and root's inside.
    assert_eq!(fs::metadata(data.join("new")).unwrap().uid(), fs::metadata(&data).unwrap().uid());
    assert_eq!(shell.ask("stat -c %u:%g /mnt/rw/new /mnt/ro"), "0:0 0:0");
    container.unmount("/mnt/rw", false).unwrap();
    container.unmount("/mnt/./ro", false).unwrap();
    assert_eq!(shell.ask("ls /mnt/rw /mnt/ro | grep -v :"), "");
    let error = container.unmount("/mnt/rw", false).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::NotFound, libc::ENOENT, Step::Unmount), "{error}");
    // And again at the same place.
    for _ in 0..3 {
        container.mount(&bind(&data, "/mnt/rw", true)).unwrap();
        assert_eq!(shell.ask("cat /mnt/rw/new"), "more");
        container.unmount("/mnt/rw", false).unwrap();
    }
    shell.end();
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_joiner_mounts_and_unmounts_as_the_maker_does() {
    let scope = Scope::new("joiner");
    let data = data(&scope);
    let container = Container::create(busybox(), &scope.config()).unwrap();
    let joined = scope.client().join(container.name()).unwrap();
    joined.mount(&bind(&data, "/from/joiner", false)).unwrap();
    container.mount(&bind(&data, "/from/maker", false)).unwrap();
    assert_eq!(sh(&container, "cat /from/joiner/file /from/maker/file"), "of the hostof the host");
    let error = joined.mount(&bind(&data, "/from/maker", false)).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::System, libc::EBUSY, Step::MountAt), "{error}");
    joined.unmount("/from/maker", false).unwrap();
    container.unmount("/from/joiner", false).unwrap();
    assert_eq!(sh(&container, "ls /from/joiner /from/maker | grep -v :; true"), "");
    // What is mounted when it ends is nobody's care.
    joined.mount(&bind(&data, "/from/joiner", false)).unwrap();
    container.destroy().unwrap();
    let error = joined.mount(&bind(&data, "/from/joiner", false)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Destroyed, "{error}");
    scope.assert_nothing_left();
}

#[test]
fn a_file_goes_onto_a_file_and_a_directory_onto_a_directory() {
    let scope = Scope::new("kinds");
    let data = data(&scope);
    let container = Container::create(busybox(), &scope.config()).unwrap();
    container.mount(&bind(&data.join("file"), "/etc/deep/er/file", true)).unwrap();
    container.mount(&bind(&data.join("file"), "/etc/passwd", true)).unwrap();
    assert_eq!(sh(&container, "cat /etc/deep/er/file /etc/passwd"), "of the hostof the host");
    for (source, target) in [(data.join("file"), "/etc"), (data.clone(), "/etc/group")] {
        let error = container.mount(&bind(&source, target, true)).unwrap_err();
        let (_, errno, step) = told(&error);
        assert!([libc::EINVAL, libc::ENOTDIR].contains(&errno) && step == Step::BindIntoContainer, "{error}");
        assert!(error.hint().contains("a file onto a file"), "{error}");
    }
    let error = container.mount(&bind(&data.join("missing"), "/x", true)).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::System, libc::ENOENT, Step::BindSource), "{error}");
    container.unmount("/etc/passwd", false).unwrap();
    assert!(sh(&container, "cat /etc/passwd").starts_with("root:"));
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_tmpfs_has_its_size_and_mode() {
    let scope = Scope::new("tmpfs");
    let container = host(&scope.config().with(|c| c.upper_size = Some(8 << 20)));
    container.mount(&tmpfs("/mnt/small", Some(1 << 20), Some(0o750))).unwrap();
    container.mount(&tmpfs("/mnt/usual", None, None)).unwrap();
    assert_eq!(sh(&container, "stat -c %a:%u:%g /mnt/small /mnt/usual"), "750:0:0\n1777:0:0");
    let write = "dd if=/dev/zero of=/mnt/small/x bs=64k count=100 2>&1 | grep -c 'No space'; stat -c %s /mnt/small/x";
    assert_eq!(sh(&container, write), format!("1\n{}", 1 << 20));
    assert_eq!(sh(&container, "df -k /mnt/usual | tail -1 | tr -s ' ' | cut -d' ' -f2"), "8192");
    assert!(sh(&container, "grep ' /mnt/small ' /proc/mounts").contains("nosuid,nodev"));
    let error = container.mount(&tmpfs("/mnt/none", Some(0), None)).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::Invalid, libc::EINVAL, Step::MountTmpfs), "{error}");
    let shown = container.inspect().unwrap().mounts;
    let small = shown.iter().find(|mount| mount.target == "/mnt/small").unwrap();
    assert_eq!(small.kind, "tmpfs");
    container.unmount("/mnt/small", false).unwrap();
    container.unmount("/mnt/usual", false).unwrap();
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_place_that_can_not_be_is_refused_by_name() {
    let scope = Scope::new("places");
    let data = data(&scope);
    let mounts = vec![bind(&data, "/mnt/made", true)];
    let container = host(&scope.config().with(|c| c.mounts = mounts));
    for target in ["/", "relative", "/mnt/../etc", "/proc/self", "/sys", "/proc", "/mnt/nul\0"] {
        let error = container.mount(&bind(&data, target, true)).unwrap_err();
        assert_eq!(told(&error), (ErrorCode::Invalid, libc::EINVAL, Step::MountAt), "{error}");
    }
    let error = container.mount(&bind(&data, "/usr/missing", true)).unwrap_err();
    assert_eq!((error.errno(), error.failed_step()), (libc::ENOENT, Step::BindIntoContainer), "{error}");
    assert!(error.hint().contains("can't be written to"), "{error}");
    let error = container.mount(&bind(&data, "/mnt/made", true)).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::System, libc::EBUSY, Step::MountAt), "{error}");
    for own in ["/proc", "/proc/sys", "/sys", "/dev", "/dev/shm", "/etc/hosts"] {
        let error = container.unmount(own, true).unwrap_err();
        assert_eq!(told(&error), (ErrorCode::Invalid, libc::EINVAL, Step::Unmount), "{error}");
        assert!(error.to_string().contains("is the container's own"), "{error}");
    }
    let error = container.unmount("/mnt/nothing", true).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::NotFound, libc::ENOENT, Step::Unmount), "{error}");
    // What the container has made for itself can be covered, as when it is made, and is there again.
    sh(&container, "echo x > /dev/shm/x");
    container.mount(&bind(&data, "/dev/shm", true)).unwrap();
    assert_eq!(sh(&container, "ls /dev/shm"), "file");
    container.unmount("/dev/shm", false).unwrap();
    assert_eq!(sh(&container, "ls /dev/shm"), "x");
    container.destroy().unwrap();
    let namespaces = Namespaces::default().with(|n| n.mount = Namespace::Host);
    let container = host(&scope.config().with(|c| c.namespaces = namespaces));
    let error = container.mount(&bind(&data, "/mnt", true)).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::Invalid, libc::EINVAL, Step::MountInto), "{error}");
    let sleeper = container.exec(["/bin/sleep", "100"], &common::quiet()).unwrap();
    let joined = Container::join_pid(sleeper.host_pid().unwrap(), NamespaceSet::ALL).unwrap();
    let error = joined.mount(&bind(&data, "/mnt", true)).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::Unsupported, libc::EOPNOTSUPP, Step::MountInto), "{error}");
    drop(joined);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_link_leads_nowhere_outside() {
    let scope = Scope::new("links");
    let data = data(&scope);
    let outside = scope.dir().join("outside");
    fs::create_dir(&outside).unwrap();
    let container = Container::create(busybox(), &scope.config()).unwrap();
    sh(&container, &format!("ln -s {} /out; ln -s /proc /p; ln -s /sys/kernel /s; ln -s /etc /e", outside.display()));
    sh(&container, "ln -s ../../../../../../../../real /up; mkdir /real; ln -s /proc/1/root /r; ln -s nowhere /n");
    for target in ["/p/sys", "/p/sys/kernel", "/s"] {
        let error = container.mount(&bind(&data, target, true)).unwrap_err();
        assert_eq!((error.errno(), error.failed_step()), (libc::EINVAL, Step::MountAt), "{target}: {error}");
        assert!(error.to_string().contains("lead into its /proc or /sys"), "{error}");
    }
    container.mount(&bind(&data, "/e/in", true)).unwrap();
    container.mount(&bind(&data, "/up/in", true)).unwrap();
    assert_eq!(sh(&container, "cat /etc/in/file /real/in/file"), "of the hostof the host");
    for target in ["/out/in", "/r/in", "/n/in"] {
        let error = container.mount(&bind(&data, target, true)).unwrap_err();
        assert_eq!(error.failed_step(), Step::BindIntoContainer, "{target}: {error}");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    // It is found again where it is by now.
    sh(&container, "mv /real /other; rm /up; ln -s /dev /up");
    container.unmount("/up/in", false).unwrap();
    assert_eq!(sh(&container, "ls /other/in"), "");
    // What a link leads to later is not what was mounted: /dev/shm stays.
    container.mount(&bind(&data, "/etc/x/shm", true)).unwrap();
    sh(&container, "mv /etc/x /etc/y; ln -s /dev /etc/x; echo x > /dev/shm/mark");
    container.unmount("/etc/x/shm", false).unwrap();
    assert_eq!(sh(&container, "cat /dev/shm/mark; ls /etc/y/shm"), "x");
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_busy_mount_is_named_and_can_go_lazily() {
    let scope = Scope::new("busy");
    let data = data(&scope);
    let container = host(&scope.config());
    container.mount(&bind(&data, "/mnt/data", false)).unwrap();
    let mut shell = Shell::new(&container);
    shell.ask("exec 5</mnt/data/file; cd /mnt/data");
    let error = container.unmount("/mnt/data", false).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::System, libc::EBUSY, Step::Unmount), "{error}");
    assert!(error.hint().contains("lazily"), "{error}");
    assert_eq!(shell.ask("cat /mnt/data/file"), "of the host");
    container.unmount("/mnt/data", true).unwrap();
    assert_eq!(shell.ask("ls /mnt/data; cat file; cat <&5"), "of the hostof the host");
    // One that lies on another goes first.
    container.mount(&tmpfs("/mnt/a", None, None)).unwrap();
    container.mount(&tmpfs("/mnt/a/b", None, None)).unwrap();
    container.unmount("/mnt/a/b", false).unwrap();
    container.mount(&tmpfs("/mnt/a/b", None, None)).unwrap();
    container.unmount("/mnt/a", false).unwrap();
    // It went with the other, which is no error.
    container.unmount("/mnt/a/b", false).unwrap();
    shell.end();
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_mount_is_on_record_while_it_is_there() {
    let scope = Scope::new("record");
    let data = data(&scope);
    let container = host(&scope.config());
    let path = scope.state_dir().join(format!("{}.json", container.name()));
    let mounts = || {
        let of = |entry: &serde_json::Value| (entry["has"]["mount"].clone(), entry["gone"]["mount"].clone());
        let entries = Written::read(&path).entries;
        entries.iter().map(of).filter(|(has, gone)| !has.is_null() || !gone.is_null()).collect::<Vec<_>>()
    };
    container.mount(&bind(&data, "/mnt//data/", true)).unwrap();
    let (has, _) = mounts()[0].clone();
    assert_eq!(has["mount"]["bind"]["target"], "/mnt/data");
    assert_eq!(has["mount"]["bind"]["read_only"], true);
    let number = has["number"].to_string();
    let shown = sh(&container, "grep ' /mnt/data ' /proc/self/mountinfo");
    assert!(shown.starts_with(&format!("{number} ")), "{shown} is not {number}");
    container.unmount("/mnt/data", false).unwrap();
    assert_eq!(mounts()[1].1, has);
    // Who was killed before it was there has left its line only: the place can be used, and cleared.
    let mut record = fs::OpenOptions::new().append(true).open(&path).unwrap();
    let line =
        r#"{"has":{"mount":{"number":4000000000,"mount":{"tmpfs":{"target":"/mnt/data","size":null,"mode":null}}}}}"#;
    writeln!(record, "{line}").unwrap();
    container.mount(&bind(&data, "/mnt/data", true)).unwrap();
    assert_eq!(sh(&container, "cat /mnt/data/file"), "of the host");
    container.unmount("/mnt/data", false).unwrap();
    assert_eq!(sh(&container, "ls /mnt/data"), "");
    container.unmount("/mnt/data", false).unwrap();
    assert_eq!(container.unmount("/mnt/data", false).unwrap_err().code(), ErrorCode::NotFound);
    // A mount that fails is not on record.
    let before = mounts().len();
    container.mount(&bind(&data.join("file"), "/mnt", true)).unwrap_err();
    let after = mounts();
    assert!(after.len() == before || after[after.len() - 1].1 == after[after.len() - 2].0, "{after:?}");
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

/// Target, source, kind, read-only and live of each.
fn listed(container: &Container) -> Vec<(String, Option<PathBuf>, &'static str, bool, bool)> {
    let line = |it: ctr::MountInfo| (it.target.display().to_string(), it.source, it.kind, it.read_only, it.live);
    container.mounts().unwrap().into_iter().map(line).collect()
}

#[test]
fn what_was_mounted_at_create_and_since_is_listed_for_everybody() {
    let scope = Scope::new("listed");
    let data = data(&scope);
    let mounts = vec![bind(&data, "/mnt//made/", true), tmpfs("/mnt/fast", Some(1 << 20), None)];
    let container = host(&scope.config().with(|c| c.mounts = mounts));
    let joined = Client::new().with_state_dir(scope.state_dir()).join(container.name()).unwrap();
    joined.mount(&bind(&data.join("file"), "/mnt/file", false)).unwrap();
    joined.mount(&tmpfs("/mnt/fast/b", None, None)).unwrap();
    let all = [
        ("/mnt/made".to_string(), Some(data.clone()), "bind", true, false),
        ("/mnt/fast".into(), None, "tmpfs", false, false),
        ("/mnt/file".into(), Some(data.join("file")), "bind", false, true),
        ("/mnt/fast/b".into(), None, "tmpfs", false, true),
    ];
    assert_eq!(listed(&container), all);
    assert_eq!(listed(&joined), all);
    let told: serde_json::Value = serde_json::from_str(&joined.inspect().unwrap().to_json()).unwrap();
    assert_eq!(told["given_mounts"][2]["source"], data.join("file").to_str().unwrap());
    assert_eq!(told["given_mounts"][1]["source"], serde_json::Value::Null);
    assert_eq!(told["given_mounts"][0]["read_only"], true);
    assert_eq!(told["given_mounts"][3]["live"], true);
    // What went with another one is not there any more.
    joined.unmount("/mnt/fast", false).unwrap();
    joined.unmount("/mnt/file", false).unwrap();
    assert_eq!(listed(&container), all[..1]);
    container.destroy().unwrap();
    assert_eq!(joined.mounts().unwrap_err().code(), ErrorCode::Destroyed);
    scope.assert_nothing_left();
}

#[test]
fn what_came_with_the_container_can_be_taken_off() {
    let scope = Scope::new("made");
    let data = data(&scope);
    let mounts = vec![
        bind(&data, "/mnt/made", false),
        tmpfs("/dev/shm", Some(1 << 20), None),
        tmpfs("/mnt/tree", None, None),
        tmpfs("/mnt/tree/below", None, None),
        bind(&data, "/mnt/moved/data", true),
    ];
    let container = host(&scope.config().with(|c| c.mounts = mounts));
    let mut shell = Shell::new(&container);
    shell.ask("exec 5</mnt/made/file; echo x > /dev/shm/x; mv /mnt/moved /mnt/other");
    let error = container.unmount("/mnt/made", false).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::System, libc::EBUSY, Step::Unmount), "{error}");
    // One that was mounted upon it goes first, and can come again.
    container.mount(&bind(&data, "/mnt/made/deeper", true)).unwrap();
    container.unmount("/mnt/made/deeper", false).unwrap();
    shell.ask("exec 5<&-");
    container.unmount("/mnt/made", false).unwrap();
    assert_eq!(shell.ask("ls /mnt/made"), "");
    assert_eq!(fs::read_to_string(data.join("file")).unwrap(), "of the host");
    assert_eq!(container.unmount("/mnt/made", false).unwrap_err().code(), ErrorCode::NotFound);
    container.mount(&bind(&data, "/mnt/made", true)).unwrap();
    assert_eq!(shell.ask("cat /mnt/made/file"), "of the host");
    // What the container has for itself is there again, and stays.
    container.unmount("/dev/shm", false).unwrap();
    assert_eq!(shell.ask("ls /dev/shm"), "");
    assert_eq!(container.unmount("/dev/shm", false).unwrap_err().code(), ErrorCode::Invalid);
    assert_eq!(shell.ask("echo y > /dev/shm/y; cat /dev/shm/y"), "y");
    container.unmount("/mnt/tree", false).unwrap();
    assert_eq!(container.unmount("/mnt/tree/below", false).unwrap_err().code(), ErrorCode::NotFound);
    let places: Vec<_> = listed(&container).into_iter().map(|(target, ..)| target).collect();
    assert_eq!(places, ["/mnt/moved/data", "/mnt/made"]);
    // Nobody has written down which mount it is that programs have moved.
    let error = container.unmount("/mnt/moved/data", false).unwrap_err();
    assert_eq!((error.code(), error.failed_step()), (ErrorCode::NotFound, Step::Unmount), "{error}");
    assert!(error.to_string().contains("have moved"), "{error}");
    shell.end();
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn set_user_id_and_devices_have_no_effect() {
    let scope = Scope::new("walls");
    let data = data(&scope);
    let container = host(&scope.config());
    container.mount(&bind(&data, "/mnt/data", false)).unwrap();
    let options = sh(&container, "grep ' /mnt/data ' /proc/self/mountinfo");
    assert!(options.contains("nosuid") && options.contains("nodev"), "{options}");
    // Nobody inside has it otherwise: their walls are what they were.
    let (said, exit) = run(&container, &["/bin/sh", "-c", "mount -o remount,rw,bind,dev /mnt/data"]);
    assert_ne!(exit.code, 0, "{said}");
    let walls = container.walls().unwrap();
    let binds = walls.iter().find(|wall| wall.name == "binds").unwrap();
    assert!(binds.says.contains("/mnt/data"), "{binds:?}");
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn a_paused_container_gets_mounts_from_root() {
    let scope = Scope::new("paused");
    let data = data(&scope);
    let container = host(&scope.config());
    if let Err(error) = container.pause(None) {
        return skipped(&error.to_string());
    }
    let outcome = container.mount(&bind(&data, "/mnt/data", false));
    if nix::unistd::geteuid().is_root() {
        outcome.unwrap();
        container.resume().unwrap();
        assert_eq!(sh(&container, "cat /mnt/data/file"), "of the host");
    } else {
        assert_eq!(outcome.unwrap_err().errno(), libc::EBUSY);
    }
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

/// Mount point and file system of everything that this process sees.
fn mounts() -> BTreeSet<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let fields = |line: &str| line.split(' ').skip(2).take(3).collect::<Vec<_>>().join(" ");
    text.lines().map(fields).collect()
}

/// systemd makes all mounts of a host shared, so the test has a mount namespace of its own where they are.
#[test]
fn a_read_only_bind_is_read_only_below_and_nothing_shows_on_the_host() {
    play_in_shared_mounts("inner");
}

/// Not a test of its own: the part inside.
#[test]
#[ignore = "started by another test"]
fn inner() {
    let tree = scratch("tree");
    // What can be id-mapped: a tmpfs can since Linux 6.3 only.
    let mount = |at: &Path| {
        fs::create_dir_all(at).unwrap();
        let status = Command::new("mount").arg("--bind").args([at, at]).status().unwrap();
        assert!(status.success());
    };
    mount(&tree);
    mount(&tree.join("below"));
    fs::write(tree.join("below/file"), "below").unwrap();
    let host_user = Namespaces::default().with(|n| n.user = Namespace::Host);
    for namespaces in [Namespaces::default(), host_user] {
        let container = host(&Config::default().with(|c| c.namespaces = namespaces));
        let before = mounts();
        container.mount(&bind(&tree, "/mnt/ro", true)).unwrap();
        container.mount(&bind(&tree, "/mnt/rw", false)).unwrap();
        container.mount(&tmpfs("/mnt/tmp", None, None)).unwrap();
        assert_eq!(sh(&container, "cat /mnt/ro/below/file /mnt/rw/below/file"), "belowbelow");
        let refused = "for place in ro ro/below; do ! touch /mnt/$place/x 2>/dev/null || echo $place; done";
        assert_eq!(sh(&container, refused), "");
        sh(&container, "touch /mnt/rw/below/x && rm /mnt/ro/../rw/below/x");
        assert_eq!(mounts(), before, "while it is there");
        // What is mounted on the host later does not come in, nor does what is taken off there.
        mount(&tree.join("later"));
        assert_eq!(sh(&container, "ls /mnt/rw/later; grep -c /mnt/rw/later /proc/self/mountinfo || true"), "0");
        assert!(Command::new("umount").arg(tree.join("later")).status().unwrap().success());
        container.unmount("/mnt/ro", false).unwrap();
        container.unmount("/mnt/rw", false).unwrap();
        assert_eq!(sh(&container, "ls -A /mnt/ro /mnt/rw | grep -v :; true"), "");
        container.destroy().unwrap();
        assert_eq!(mounts(), before, "when it is gone");
    }
    for at in [tree.join("below"), tree] {
        assert!(Command::new("umount").arg(at).status().unwrap().success());
    }
}
