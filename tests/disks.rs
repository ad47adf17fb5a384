//! Block devices and disk images as mounts, made by the programs of Debian's packages (mke2fs, mksquashfs and so on). Root alone can have
//! them; everybody else is told what they can do.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::BufRead;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::leftovers::{Scope, wait_for_none};
use common::record::Written;
use common::{captured, end_of, eventually, run, sh, skipped};
use ctr::{Config, Container, Disk, Error, ErrorCode, FileSystem, Mount, Namespace, Namespaces, Step};

const MIB: u64 = 1 << 20;

fn disk(source: &Path, set: impl FnOnce(&mut Disk)) -> Mount {
    Disk::new(source, "/mnt/disk").with(set).into()
}

fn read_only(source: &Path) -> Mount {
    disk(source, |_| ())
}

fn writable(source: &Path) -> Mount {
    disk(source, |it| it.read_only = false)
}

fn with(scope: &Scope, mounts: &[Mount]) -> Config {
    scope.config().with(|c| c.mounts = mounts.to_vec())
}

fn create(config: &Config) -> Container {
    Container::create("host", config).unwrap()
}

fn refused(config: &Config) -> Error {
    Container::create("host", config).map(drop).expect_err("it can't be had")
}

/// Code, errno, step.
fn told(error: &Error) -> (ErrorCode, i32, Step) {
    (error.code(), error.errno(), error.failed_step())
}

/// Runs a program that makes images; whether it is there.
fn make(program: &str, arguments: &[&str], paths: &[&Path]) -> bool {
    // Not by execvp(3): busybox would take its own mke2fs.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let Some(found) = path.split(':').map(|dir| Path::new(dir).join(program)).find(|it| it.exists()) else {
        skipped(&format!("there is no {program}"));
        return false;
    };
    let output = Command::new(found).args(arguments).args(paths).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    true
}

/// Whether loop devices can be had here at all, and with them everything below.
fn can_mount_disks() -> bool {
    if !nix::unistd::geteuid().is_root() {
        skipped("only root mounts disks");
        return false;
    }
    // Root of a container is not root of the machine.
    let is_machines = fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.trim_end().ends_with("4294967295"));
    if !is_machines || !Path::new("/dev/loop-control").exists() {
        skipped("there are no loop devices");
        return false;
    }
    true
}

fn kernel_has(filesystem: &str) -> bool {
    let has = |text: &str| text.lines().any(|line| line.split_ascii_whitespace().next_back() == Some(filesystem));
    if has(&fs::read_to_string("/proc/filesystems").unwrap()) {
        return true;
    }
    let loaded = Command::new("modprobe").arg(filesystem).output().is_ok_and(|output| output.status.success());
    if !loaded {
        skipped(&format!("the kernel has no {filesystem}"));
    }
    loaded
}

/// A file of so many bytes.
fn empty(path: &Path, bytes: u64) -> PathBuf {
    fs::File::create(path).unwrap().set_len(bytes).unwrap();
    path.to_path_buf()
}

/// A tree with a file in it.
fn tree(scope: &Scope) -> PathBuf {
    let tree = scope.dir().join("tree");
    fs::create_dir_all(tree.join("below")).unwrap();
    fs::write(tree.join("hello"), "from the disk\n").unwrap();
    tree
}

/// An ext4 image with that tree; with a journal.
fn ext4(scope: &Scope, name: &str) -> Option<PathBuf> {
    let image = empty(&scope.dir().join(name), 8 * MIB);
    let tree = tree(scope);
    let arguments = ["-q", "-F", "-t", "ext4", "-d", tree.to_str().unwrap()];
    make("mke2fs", &arguments, &[&image]).then_some(image)
}

/// The loop devices that have a file below this directory.
fn loops_of(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir("/sys/block").unwrap().flatten();
    let told = |entry: fs::DirEntry| {
        let file = fs::read_to_string(entry.path().join("loop/backing_file")).ok()?;
        let is_ours = Path::new(file.trim_end()).starts_with(dir);
        is_ours.then(|| format!("{} has {file}", entry.file_name().display()))
    };
    entries.filter_map(told).collect()
}

fn assert_no_loops(scope: &Scope) {
    wait_for_none(|| loops_of(scope.dir()));
    scope.assert_nothing_left();
}

/// Each file system, made and written by the container itself where it can be written to, then only read.
fn a_file_system_is_read(name: &str, make_image: impl FnOnce(&Scope) -> Option<PathBuf>) {
    if !can_mount_disks() || !kernel_has(name) {
        return;
    }
    let scope = Scope::new(name);
    let Some(image) = make_image(&scope) else { return };
    let read_only_always = matches!(name, "squashfs" | "erofs");
    if !read_only_always {
        let container = create(&with(&scope, &[writable(&image)]));
        sh(&container, "echo from the disk > /mnt/disk/hello");
        container.destroy().unwrap();
    }
    let before = fs::read(&image).unwrap();
    let container = create(&with(&scope, &[read_only(&image)]));
    assert_eq!(sh(&container, "cat /mnt/disk/hello"), "from the disk");
    let (said, exit) = run(&container, &["/bin/sh", "-c", "echo more 2>&1 > /mnt/disk/more"]);
    assert_ne!(exit.code, 0, "{said}");
    let mounted = sh(&container, "grep ' /mnt/disk ' /proc/self/mountinfo");
    assert!(mounted.contains("ro,nosuid,nodev") && mounted.contains(&format!(" - {name} ")), "{mounted}");
    // Seen by nobody else.
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains("/mnt/disk "));
    assert_eq!(loops_of(scope.dir()).len(), 1);
    container.destroy().unwrap();
    assert!(before == fs::read(&image).unwrap(), "the image was written to");
    assert_no_loops(&scope);
    let error = match read_only_always {
        true => refused(&with(&scope, &[writable(&image)])),
        false => return,
    };
    assert_eq!(told(&error), (ErrorCode::Invalid, libc::EINVAL, Step::OpenDisk), "{error}");
}

#[test]
fn ext4_is_read() {
    a_file_system_is_read("ext4", |scope| ext4(scope, "image"));
}

#[test]
fn ext2_without_a_journal_is_read_as_ext4() {
    a_file_system_is_read("ext4", |scope| {
        let image = empty(&scope.dir().join("image"), 4 * MIB);
        make("mke2fs", &["-q", "-F", "-t", "ext2"], &[&image]).then_some(image)
    });
}

#[test]
fn xfs_is_read() {
    a_file_system_is_read("xfs", |scope| {
        let image = empty(&scope.dir().join("image"), 320 * MIB);
        make("mkfs.xfs", &["-q"], &[&image]).then_some(image)
    });
}

#[test]
fn btrfs_is_read() {
    a_file_system_is_read("btrfs", |scope| {
        let image = empty(&scope.dir().join("image"), 128 * MIB);
        make("mkfs.btrfs", &["-q"], &[&image]).then_some(image)
    });
}

#[test]
fn squashfs_is_read() {
    a_file_system_is_read("squashfs", |scope| {
        let (image, tree) = (scope.dir().join("image"), tree(scope));
        make("mksquashfs", &[tree.to_str().unwrap(), image.to_str().unwrap(), "-quiet", "-no-progress"], &[])
            .then_some(image)
    });
}

#[test]
fn erofs_is_read() {
    a_file_system_is_read("erofs", |scope| {
        let (image, tree) = (scope.dir().join("image"), tree(scope));
        make("mkfs.erofs", &["--quiet"], &[&image, &tree]).then_some(image)
    });
}

#[test]
fn vfat_is_read() {
    a_file_system_is_read("vfat", |scope| {
        let image = empty(&scope.dir().join("image"), 4 * MIB);
        make("mkfs.vfat", &[], &[&image]).then_some(image)
    });
}

#[test]
fn what_is_written_stays_and_belongs_to_root() {
    if !can_mount_disks() {
        return;
    }
    let host_user = Namespaces::default().with(|n| n.user = Namespace::Host);
    for namespaces in [Namespaces::default(), host_user] {
        let scope = Scope::new("written");
        let Some(image) = ext4(&scope, "image") else { return };
        let config = with(&scope, &[writable(&image)]).with(|c| c.namespaces = namespaces.clone());
        let container = create(&config);
        // Whoever is root inside is root on the disk.
        assert_eq!(sh(&container, "stat -c %u:%g /mnt/disk/hello"), "0:0");
        sh(&container, "echo kept > /mnt/disk/below/kept && mkdir /mnt/disk/new && chmod 4755 /mnt/disk/hello");
        container.destroy().unwrap();
        let another = create(&with(&scope, &[read_only(&image)]));
        assert_eq!(sh(&another, "cat /mnt/disk/below/kept; stat -c %u:%a /mnt/disk/below/kept"), "kept\n0:644");
        let mounted = sh(&another, "grep ' /mnt/disk ' /proc/self/mountinfo");
        assert!(mounted.contains("nosuid"), "{mounted}");
        another.destroy().unwrap();
        assert_no_loops(&scope);
    }
}

#[test]
fn programs_on_a_disk_can_be_kept_from_being_started() {
    if !can_mount_disks() {
        return;
    }
    let scope = Scope::new("noexec");
    let Some(image) = ext4(&scope, "image") else { return };
    let set = |noexec| disk(&image, |it| (it.read_only, it.noexec) = (false, noexec));
    let script =
        "printf '#!/bin/sh\\necho ran' > /mnt/disk/program; chmod 755 /mnt/disk/program; /mnt/disk/program 2>&1";
    for noexec in [false, true] {
        let container = create(&with(&scope, &[set(noexec)]));
        let (said, _) = run(&container, &["/bin/sh", "-c", script]);
        assert_eq!(said == "ran\n", !noexec, "{said}");
        container.destroy().unwrap();
    }
    assert_no_loops(&scope);
}

#[test]
fn a_program_that_runs_sees_a_disk_at_once_and_its_end() {
    if !can_mount_disks() {
        return;
    }
    let scope = Scope::new("live");
    let Some(image) = ext4(&scope, "image") else { return };
    let config = scope.config();
    let container = create(&config);
    let waits = "until [ -e /mnt/disk/hello ]; do sleep 0.01; done; cat /mnt/disk/hello; \
                 while [ -e /mnt/disk/hello ]; do sleep 0.01; done; echo gone";
    let process = container.exec(["/bin/sh", "-c", waits], &captured()).unwrap();
    let mut said = std::io::BufReader::new(fs::File::from(process.take_stdout().unwrap()));
    let mut line = String::new();
    for i in 0..3 {
        let joined = scope.client().join(config.name.as_ref().unwrap()).unwrap();
        joined.mount(&read_only(&image)).unwrap();
        let record = Written::read(&scope.state_dir().join(format!("{}.json", config.name.as_ref().unwrap())));
        assert!(record.to_string().contains("\"loop\":{\"number\":"), "{record}");
        assert_eq!(loops_of(scope.dir()).len(), 1);
        let error = container.mount(&read_only(&image)).unwrap_err();
        assert_eq!(told(&error), (ErrorCode::System, libc::EBUSY, Step::MountAt), "{error}");
        if i == 0 {
            said.read_line(&mut line).unwrap();
        }
        container.unmount("/mnt/disk", false).unwrap();
        if i == 0 {
            said.read_line(&mut line).unwrap();
        }
        assert_eq!(loops_of(scope.dir()), BTreeSet::new());
    }
    assert_eq!(line, "from the disk\ngone\n");
    end_of(&process);
    let record = Written::read(&scope.state_dir().join(format!("{}.json", config.name.as_ref().unwrap())));
    let lines = |word: &str| record.entries.iter().filter(|entry| !entry[word]["loop"].is_null()).count();
    assert_eq!((lines("has"), lines("gone")), (6, 6), "{record}");
    container.destroy().unwrap();
    assert_no_loops(&scope);
}

#[test]
fn a_disk_in_use_goes_lazily_and_its_device_with_the_last_use() {
    if !can_mount_disks() {
        return;
    }
    let scope = Scope::new("busy");
    let Some(image) = ext4(&scope, "image") else { return };
    let container = create(&scope.config());
    container.mount(&read_only(&image)).unwrap();
    let process = container.exec(["/bin/sh", "-c", "cd /mnt/disk; echo there; exec sleep 1000"], &captured()).unwrap();
    let mut said = fs::File::from(process.take_stdout().unwrap());
    std::io::Read::read_exact(&mut said, &mut [0; 6]).unwrap();
    assert_eq!(container.unmount("/mnt/disk", false).unwrap_err().errno(), libc::EBUSY);
    container.unmount("/mnt/disk", true).unwrap();
    assert_eq!(sh(&container, "ls -A /mnt/disk"), "");
    assert_eq!(loops_of(scope.dir()).len(), 1, "it is in use");
    process.kill(libc::SIGKILL).unwrap();
    end_of(&process);
    wait_for_none(|| loops_of(scope.dir()));
    container.destroy().unwrap();
    assert_no_loops(&scope);
}

#[test]
fn a_link_inside_leads_nowhere_outside() {
    if !can_mount_disks() {
        return;
    }
    let scope = Scope::new("link");
    let Some(image) = ext4(&scope, "image") else { return };
    let container = create(&scope.config());
    sh(&container, "mkdir /srv/place; ln -s /srv/place /mnt/link; ln -s /proc/1 /mnt/proc; echo > /mnt/file");
    let at = |target: &str| Mount::from(Disk::new(&image, target));
    container.mount(&at("/mnt/link")).unwrap();
    assert_eq!(sh(&container, "cat /srv/place/hello"), "from the disk");
    container.unmount("/mnt/link", false).unwrap();
    for (target, errno) in [("/mnt/proc", libc::EINVAL), ("/mnt/file", libc::EINVAL), ("/proc/x", libc::EINVAL)] {
        let error = container.mount(&at(target)).unwrap_err();
        assert_eq!(error.errno(), errno, "{error}");
        assert_eq!(loops_of(scope.dir()), BTreeSet::new(), "{error}");
    }
    container.destroy().unwrap();
    assert_no_loops(&scope);
}

#[test]
fn a_partition_is_chosen_by_its_number() {
    if !can_mount_disks() {
        return;
    }
    let scope = Scope::new("partition");
    let Some(inner) = ext4(&scope, "inner") else { return };
    let image = empty(&scope.dir().join("image"), 32 * MIB);
    if !make("sgdisk", &["-n1:2048:+1M", "-n2:8192:+8M", "-n4:40960:+1M"], &[&image]) {
        return;
    }
    let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
    file.write_all_at(&fs::read(&inner).unwrap(), 8192 * 512).unwrap();
    let part = |number| disk(&image, |it| (it.partition, it.read_only) = (Some(number), false));
    let container = create(&with(&scope, &[part(2)]));
    assert_eq!(sh(&container, "cat /mnt/disk/hello; echo kept > /mnt/disk/kept"), "from the disk");
    container.destroy().unwrap();
    let container = create(&with(&scope, &[disk(&image, |it| it.partition = Some(2))]));
    assert_eq!(sh(&container, "cat /mnt/disk/kept"), "kept");
    container.destroy().unwrap();
    let container = create(&scope.config());
    let error = container.mount(&part(3)).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::Invalid, libc::ENXIO, Step::FindPartition), "{error}");
    assert!(error.to_string().contains("1, 2, 4"), "{error}");
    let error = container.mount(&part(1)).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::Invalid, libc::EINVAL, Step::ReadDisk), "{error}");
    // Its table is not a file system.
    let error = container.mount(&read_only(&image)).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::Invalid, libc::EINVAL, Step::ReadDisk), "{error}");
    assert!(error.hint().contains("1, 2, 4"), "{error}");
    let error = container.mount(&part(0)).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::Invalid, libc::EINVAL, Step::OpenDisk), "{error}");
    let error = container.mount(&disk(&inner, |it| it.partition = Some(1))).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::Invalid, libc::ENXIO, Step::FindPartition), "{error}");
    container.destroy().unwrap();
    assert_no_loops(&scope);
}

/// A device that somebody else has made of an image: it is mounted itself, without another one.
#[test]
fn a_block_device_is_mounted_as_it_is() {
    if !can_mount_disks() {
        return;
    }
    let scope = Scope::new("device");
    let Some(image) = ext4(&scope, "image") else { return };
    let output = Command::new("losetup").args(["-f", "--show"]).arg(&image).output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        return skipped("there is no losetup");
    };
    let device = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    let outcome = std::panic::catch_unwind(|| {
        let container = create(&with(&scope, &[read_only(&device)]));
        assert_eq!(sh(&container, "cat /mnt/disk/hello"), "from the disk");
        assert!(sh(&container, "grep ' /mnt/disk ' /proc/self/mountinfo").contains(device.to_str().unwrap()));
        assert_eq!(loops_of(scope.dir()).len(), 1);
        container.destroy().unwrap();
        // What somebody else has may be written to by them alone.
        let error = refused(&with(&scope, &[writable(&image)]));
        assert_eq!(told(&error), (ErrorCode::System, libc::EBUSY, Step::OpenDisk), "{error}");
        assert!(error.to_string().contains(device.to_str().unwrap()), "{error}");
    });
    assert!(Command::new("losetup").arg("-d").arg(&device).status().unwrap().success());
    outcome.unwrap();
    assert_no_loops(&scope);
}

#[test]
fn an_image_is_written_to_by_one_and_read_by_many() {
    if !can_mount_disks() {
        return;
    }
    let scope = Scope::new("twice");
    let Some(image) = ext4(&scope, "image") else { return };
    let readers: Vec<_> = (0..2).map(|_| create(&with(&scope, &[read_only(&image)]))).collect();
    for reader in &readers {
        assert_eq!(sh(reader, "cat /mnt/disk/hello"), "from the disk");
    }
    let busy = |mount: Mount| {
        let error = refused(&with(&scope, &[mount]));
        assert_eq!(told(&error), (ErrorCode::System, libc::EBUSY, Step::OpenDisk), "{error}");
    };
    busy(writable(&image));
    readers.into_iter().for_each(|reader| reader.destroy().unwrap());
    let writer = create(&with(&scope, &[writable(&image)]));
    busy(writable(&image));
    busy(read_only(&image));
    writer.destroy().unwrap();
    create(&with(&scope, &[writable(&image)])).destroy().unwrap();
    assert_no_loops(&scope);
}

#[test]
fn what_is_no_disk_is_refused_by_name_and_leaves_no_device() {
    if !can_mount_disks() {
        return;
    }
    let scope = Scope::new("refused");
    let Some(image) = ext4(&scope, "image") else { return };
    let fifo = scope.dir().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let zeros = empty(&scope.dir().join("zeros"), MIB);
    let nothing = empty(&scope.dir().join("nothing"), 0);
    let luks = empty(&scope.dir().join("luks"), MIB);
    fs::OpenOptions::new().write(true).open(&luks).unwrap().write_all_at(b"LUKS\xba\xbe", 0).unwrap();
    let short = scope.dir().join("short");
    fs::write(&short, &fs::read(&image).unwrap()[..MIB as usize]).unwrap();
    let (open, read) = (Step::OpenDisk, Step::ReadDisk);
    for (source, errno, step, says) in [
        (scope.dir().join("missing"), libc::ENOENT, open, "missing"),
        (scope.dir().to_path_buf(), libc::EISDIR, open, "directory"),
        (fifo, libc::ENOTBLK, open, "fifo"),
        (PathBuf::from("/dev/null"), libc::ENOTBLK, open, "/dev/null"),
        (zeros.clone(), libc::EINVAL, read, "damaged"),
        (nothing, libc::EINVAL, read, "damaged"),
        (luks, libc::EINVAL, read, "encrypted"),
        (short, libc::EINVAL, read, "cut off"),
    ] {
        let error = refused(&with(&scope, &[read_only(&source)]));
        assert_eq!((error.errno(), error.failed_step()), (errno, step), "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert_no_loops(&scope);
    }
    let container = create(&scope.config());
    // A superblock that is damaged: the size of blocks.
    let damaged = scope.dir().join("damaged");
    fs::copy(&image, &damaged).unwrap();
    fs::OpenOptions::new().write(true).open(&damaged).unwrap().write_all_at(&[77], 1024 + 0x18).unwrap();
    let error = container.mount(&read_only(&damaged)).unwrap_err();
    assert_eq!((error.code(), error.failed_step()), (ErrorCode::System, Step::MountDisk), "{error}");
    // What is said to be a file system and is none, the kernel refuses.
    for filesystem in [FileSystem::Ext4, FileSystem::Squashfs] {
        let error = container.mount(&disk(&zeros, |it| it.filesystem = Some(filesystem))).unwrap_err();
        assert_eq!((error.code(), error.failed_step()), (ErrorCode::System, Step::MountDisk), "{error}");
        assert!(!error.hint().is_empty());
        assert_eq!(loops_of(scope.dir()), BTreeSet::new(), "{error}");
    }
    container.destroy().unwrap();
    assert_no_loops(&scope);
}

#[test]
fn a_dirty_journal_is_passed_over_where_nothing_may_be_written() {
    if !can_mount_disks() {
        return;
    }
    let scope = Scope::new("dirty");
    let Some(image) = ext4(&scope, "image") else { return };
    if !make("debugfs", &["-w", "-R", "feature needs_recovery"], &[&image]) {
        return;
    }
    let before = fs::read(&image).unwrap();
    let container = create(&with(&scope, &[read_only(&image)]));
    assert_eq!(sh(&container, "cat /mnt/disk/hello"), "from the disk");
    container.destroy().unwrap();
    assert!(before == fs::read(&image).unwrap());
    assert_no_loops(&scope);
}

#[test]
fn an_image_that_asks_for_a_panic_does_not_get_it() {
    if !can_mount_disks() {
        return;
    }
    let scope = Scope::new("panic");
    let Some(image) = ext4(&scope, "image") else { return };
    if !make("tune2fs", &["-e", "panic"], &[&image]) {
        return;
    }
    for mount in [read_only(&image), writable(&image)] {
        let container = create(&with(&scope, &[mount]));
        let options = sh(&container, "grep ' /mnt/disk ' /proc/self/mounts");
        assert!(!options.contains("panic") && options.contains("errors=remount-ro"), "{options}");
        container.destroy().unwrap();
    }
    assert_no_loops(&scope);
}

#[test]
fn several_disks_and_their_order_with_other_mounts() {
    if !can_mount_disks() {
        return;
    }
    let scope = Scope::new("several");
    let Some(image) = ext4(&scope, "image") else { return };
    let tree = tree(&scope);
    // What is mounted later lies on what was mounted earlier.
    let mounts = [
        Disk::new(&image, "/mnt/a").into(),
        ctr::Bind::new(&tree, "/mnt/a/below").into(),
        ctr::Tmpfs::new("/mnt/t").into(),
        Disk::new(&image, "/mnt/t/inner").into(),
    ];
    let config = with(&scope, &mounts).with(|c| c.read_only = true);
    let explained = ctr::explain("host", &config).unwrap();
    assert!(explained.contains("mount -t ext4 -o loop,nosuid,nodev,ro,errors=remount-ro,noload"), "{explained}");
    let container = create(&config);
    assert_eq!(sh(&container, "ls -d /mnt/a/hello /mnt/a/below/hello /mnt/t/inner/hello | wc -l"), "3");
    assert_eq!(loops_of(scope.dir()).len(), 2);
    container.destroy().unwrap();
    let nine: Vec<_> = (0..9).map(|i| Disk::new(&image, format!("/mnt/{i}")).into()).collect();
    let error = refused(&with(&scope, &nine));
    assert_eq!(told(&error), (ErrorCode::Invalid, libc::EINVAL, Step::MountInto), "{error}");
    assert_no_loops(&scope);
}

#[test]
fn a_killed_host_leaves_no_loop_device() {
    if !can_mount_disks() {
        return;
    }
    let scope = Scope::new("killed");
    let Some(image) = ext4(&scope, "image") else { return };
    let me = std::env::current_exe().unwrap();
    for _ in 0..3 {
        let mut host = Command::new(&me)
            .args(["--exact", "role_host", "--ignored", "--nocapture"])
            .env("CTR_TEST_IMAGE", &image)
            .env("CTR_TEST_STATE", scope.state_dir())
            .env("CTR_TEST_NAME", scope.config().name.unwrap())
            .spawn()
            .unwrap();
        eventually("it has a second disk", || loops_of(scope.dir()).len() == 2);
        host.kill().unwrap();
        host.wait().unwrap();
        scope.client().list().unwrap();
        wait_for_none(|| loops_of(scope.dir()));
    }
    assert_no_loops(&scope);
}

/// Not a test of its own: who is killed.
#[test]
#[ignore = "started by another test"]
fn role_host() {
    let image = PathBuf::from(std::env::var_os("CTR_TEST_IMAGE").unwrap());
    let config = Config::default().with(|c| {
        c.name = Some(std::env::var("CTR_TEST_NAME").unwrap());
        c.state_dir = Some(std::env::var_os("CTR_TEST_STATE").unwrap().into());
        c.mounts = vec![read_only(&image)];
    });
    let container = create(&config);
    loop {
        container.mount(&Disk::new(&image, "/mnt/live").into()).unwrap();
        container.unmount("/mnt/live", false).unwrap();
    }
}

#[test]
fn an_ordinary_user_is_told_what_to_do() {
    if nix::unistd::geteuid().is_root() {
        common::lane::play("role_user", &[], &[]);
    } else {
        role_user();
    }
}

#[test]
#[ignore = "a role"]
fn role_user() {
    let scope = Scope::new("user");
    let image = empty(&scope.dir().join("image"), MIB);
    let error = refused(&with(&scope, &[read_only(&image)]));
    assert_eq!(told(&error), (ErrorCode::Unsupported, libc::EPERM, Step::OpenDisk), "{error}");
    assert!(error.hint().contains("squashfuse"), "{error}");
    let container = create(&scope.config());
    let error = container.mount(&read_only(&image)).unwrap_err();
    assert_eq!(told(&error), (ErrorCode::Unsupported, libc::EPERM, Step::OpenDisk), "{error}");
    container.destroy().unwrap();
    assert_eq!(fs::metadata(&image).unwrap().size(), MIB);
    scope.assert_nothing_left();
}
