//! Images that are large, deep or odd, and real ones: all the way in, through a container, and out again.

use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use ctr::image::{ExportOptions, ImportOptions, Input, MakeOptions, Output, SaveOptions};
use ctr::{Config, Container, Upper};
use serde_json::json;

use crate::support::*;

/// Small files of the image that has very many, and as many as there are where these don't fit; CTR_TEST_FILES sets another
/// number.
const FILES: [u64; 2] = [200_000, 20_000];
/// What one of them takes on a tmpfs.
const FILE: u64 = 8 << 10;

/// Program arguments of a shell in the container, whose answer is long in coming.
fn sh_in(c: &Container, script: &str) -> String {
    let config = captured().with(|c| c.cwd = Some("/".into()));
    said(&c.exec(["/bin/sh", "-ec", script], &config).unwrap())
}

/// An archive of `count` files, 500 in a directory, as a stream; never in memory.
struct ManyFiles {
    count: u64,
    next: u64,
    bytes: Vec<u8>,
    at: usize,
}

impl Read for ManyFiles {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.bytes.len() && self.next <= self.count {
            let tar = if self.next < self.count {
                Tar::new().file(&format!("many/{}/{}", self.next / 500, self.next), self.next.to_string().as_bytes()).0
            } else {
                busybox().end()
            };
            (self.bytes, self.at) = (tar, 0);
            self.next += 1;
        }
        let length = buffer.len().min(self.bytes.len() - self.at);
        buffer[..length].copy_from_slice(&self.bytes[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

/// Counts the entries of an archive that is written to it.
#[derive(Default)]
struct Count {
    entries: u64,
    block: Vec<u8>,
    skip: u64,
}

impl std::io::Write for Count {
    fn write(&mut self, mut bytes: &[u8]) -> std::io::Result<usize> {
        let all = bytes.len();
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len() as u64) as usize;
            self.skip -= skipped as u64;
            bytes = &bytes[skipped..];
            let (block, rest) = bytes.split_at(bytes.len().min(512 - self.block.len()));
            self.block.extend_from_slice(block);
            bytes = rest;
            if self.block.len() == 512 {
                let header = tar::Header::from_byte_slice(&self.block);
                if self.block[0] != 0 {
                    self.entries += u64::from(!matches!(header.as_old().linkflag[0], b'x' | b'g'));
                    self.skip = header.entry_size().unwrap().next_multiple_of(512);
                }
                self.block.clear();
            }
        }
        Ok(all)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn very_many_small_files_come_in_are_seen_and_go_out() {
    let scratch = Scratch::new();
    let place = nix::sys::statvfs::statvfs(&scratch.0).unwrap();
    let room = place.blocks_available() * place.fragment_size();
    let fits = |count| room > count * FILE && place.files_available() > 2 * count;
    let [many, few] = FILES;
    let count =
        std::env::var("CTR_TEST_FILES").map_or(if fits(many) { many } else { few }, |text| text.parse().unwrap());
    if count < many {
        skipped(&format!("only {count} of {many} files"));
    }
    let store = scratch.store();
    let many = Box::new(ManyFiles { count, next: 0, bytes: Vec::new(), at: 0 });
    let options = ImportOptions::default().with(|o| o.name = Some("many".into()));
    let mut last = 0;
    store
        .import(Input::Reader(many), &options, &mut |progress| {
            last = progress.entries;
            true
        })
        .unwrap();
    assert!(last > count, "{last}");
    let c = container(&scratch, "many".as_ref(), Config::default());
    assert_eq!(sh_in(&c, "find /many -type f | wc -l; cat /many/0/499; rm -r /many/0"), format!("{count}\n499"));
    let removed: Vec<_> = c.diff().unwrap().into_iter().map(|difference| difference.path).collect();
    assert_eq!(removed, [Path::new("/many"), Path::new("/many/0")]);
    let mut counted = Count::default();
    c.export(Output::Writer(Box::new(&mut counted)), &ExportOptions::default(), &mut |_| true).unwrap();
    assert!((count - 500..count + 1000 + count / 500).contains(&counted.entries), "{}", counted.entries);
    drop(c);
    store.remove("many").unwrap();
    store.prune().unwrap();
    assert_eq!(names(&scratch.path("store/layers")), [""; 0]);
}

#[test]
fn ten_gibibytes_of_holes_stay_holes_all_the_way() {
    const SIZE: u64 = 10 << 30;
    let scratch = Scratch::new();
    let store = scratch.store();
    let disk = std::fs::File::create(scratch.path("disk")).unwrap();
    disk.set_len(SIZE).unwrap();
    disk.write_all_at(b"middle", SIZE / 2).unwrap();
    scratch.write("busybox.tar", &busybox().end());
    let packed = scratch.path("disk.tar");
    run("tar", &["-SC".as_ref(), scratch.0.as_os_str(), "-cf".as_ref(), packed.as_os_str(), "disk".as_ref()]);
    let is_sparse = |path: &Path| {
        let meta = std::fs::metadata(path).unwrap();
        let mut middle = [0; 6];
        std::fs::File::open(path).unwrap().read_exact_at(&mut middle, SIZE / 2).unwrap();
        assert_eq!((meta.len(), &middle), (SIZE, b"middle"), "{}", path.display());
        assert!(meta.blocks() * 512 < 1 << 20, "{}: {} blocks", path.display(), meta.blocks());
    };
    let layers = [busybox().end(), std::fs::read(&packed).unwrap()];
    let image = scratch.write("image.tar", &docker_archive(&layers, &json!({})));
    let first = store.import(Input::Path(&image), &ImportOptions::default(), &mut |_| true).unwrap();
    is_sparse(&first.layers[1].join("disk"));
    let c = container(&scratch, &image, Config::default());
    assert_eq!(
        sh_in(&c, "echo middle | dd of=/own bs=1M seek=5120 2>/dev/null; truncate -s 10G /own; stat -c %s /disk /own"),
        format!("{SIZE}\n{SIZE}")
    );
    // Out of a container, into a layer of its own, and into an archive for others.
    let exported = scratch.path("exported.tar");
    c.export(Output::Path(&exported), &ExportOptions::default(), &mut |_| true).unwrap();
    let second = c.commit(&MakeOptions::default(), &mut |_| true).unwrap();
    is_sparse(&second.layers[2].join("own"));
    let saved = scratch.path("saved.tar");
    store.save(&second.digest, Output::Path(&saved), &SaveOptions::default(), &mut |_| true).unwrap();
    for archive in [&exported, &saved] {
        let size = std::fs::metadata(archive).unwrap().len();
        assert!(size < 16 << 20, "{}: {size} bytes", archive.display());
    }
    let again = resolve(&store, &exported);
    is_sparse(&again.join("disk"));
    is_sparse(&again.join("own"));
}

#[test]
fn names_of_255_bytes_a_thousand_deep_are_no_different() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let long = "n".repeat(255);
    // Longer than PATH_MAX, so that no program gets there in one step.
    let deep = vec!["directory"; 1000].join("/");
    let image = busybox()
        .directory("top", 0o755)
        .pax(&[("path", format!("top/{long}/{long}").as_bytes())])
        .file("x", b"long")
        .pax(&[("path", format!("top/{deep}/file").as_bytes())])
        .file("x", b"deep")
        .end();
    let image = scratch.write("a.tar", &image);
    let c = container(&scratch, &image, Config::default().with(|c| c.upper = Upper::Disk));
    let hundred = vec!["directory"; 100].join("/");
    let down = format!("cd /top; for i in 0 1 2 3 4 5 6 7 8 9; do cd -P {hundred} 2>/dev/null; done");
    let script =
        format!("cat /top/{long}/{long}; {down}; cat file; echo changed >file; mkdir {long}; echo x >{long}/x");
    assert_eq!(sh_in(&c, &script), "longdeep");
    let differences = c.diff().unwrap();
    let short = |path: &Path| path.to_string_lossy().replace(&deep, "DEEP").replace(&long, "LONG");
    let paths: Vec<_> = differences.iter().map(|difference| short(&difference.path)).collect();
    assert_eq!(paths, ["/top/DEEP", "/top/DEEP/file", "/top/DEEP/LONG", "/top/DEEP/LONG/x"]);
    let second = c.commit(&MakeOptions::default().with(|o| o.name = Some("deep".into())), &mut |_| true).unwrap();
    assert_eq!(second.layers.len(), 2);
    let exported = scratch.path("exported.tar");
    c.export(Output::Path(&exported), &ExportOptions::default(), &mut |_| true).unwrap();
    drop(c);
    for image in [Path::new("deep"), &exported] {
        let c = container(&scratch, image, Config::default());
        assert_eq!(sh_in(&c, &format!("{down}; cat file {long}/x")), "changed\nx");
    }
    for image in store.list().unwrap() {
        store.remove(&image.digest).unwrap();
    }
    store.prune().unwrap();
    assert_eq!(names(&scratch.path("store/layers")), [""; 0]);
}

/// A Debian of this suite, made once; nothing where it can't be had here.
fn debian(suite: &str) -> Option<PathBuf> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{suite}.tar"));
    if !place.exists() {
        let new = place.with_extension(format!("{}.tar", std::process::id()));
        let output = Command::new("mmdebstrap").args(["--quiet", "--variant=apt", suite]).arg(&new).output();
        match output {
            Ok(output) if output.status.success() => std::fs::rename(&new, &place).unwrap(),
            other => {
                let why = other.map_or_else(
                    |error| error.to_string(),
                    |output| String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned(),
                );
                skipped(&format!("mmdebstrap {suite}: {why}"));
                let _ = std::fs::remove_file(&new);
                return None;
            }
        }
    }
    Some(place)
}

#[test]
fn debian_of_two_suites_runs() {
    let scratch = Scratch::new();
    for (suite, version) in [("bookworm", "12"), ("trixie", "13")] {
        let Some(archive) = debian(suite) else { continue };
        let c = container(&scratch, &archive, Config::default());
        let said =
            sh_in(&c, ". /etc/os-release; echo $VERSION_ID; dpkg -l | grep -c ^ii; apt-get --version | head -n 1");
        let [is, packages, apt] = said.lines().collect::<Vec<_>>()[..] else { panic!("{said}") };
        assert_eq!(is, version);
        assert!(packages.parse::<u32>().unwrap() > 50, "{said}");
        assert!(apt.starts_with("apt "), "{said}");
        // Its package manager works, and what it did is a layer that runs.
        assert_eq!(sh_in(&c, "dpkg --force-all -P tzdata >/dev/null 2>&1; dpkg-query -W bash | cut -f 1"), "bash");
        let exported = scratch.path(&format!("{suite}.tar"));
        c.export(Output::Path(&exported), &ExportOptions::default(), &mut |_| true).unwrap();
        let again = container(&scratch, &exported, Config::default());
        assert!(sh_in(&again, "dpkg -l | grep -c ^ii").parse::<u32>().unwrap() > 50);
    }
}

#[test]
fn a_tree_with_an_init_of_its_own_runs_as_buildroot_makes_it() {
    let scratch = Scratch::new();
    let mut console = header(b"./dev/console", b'3', 0);
    console.set_device_major(5).unwrap();
    console.set_device_minor(1).unwrap();
    let script = |name: &str| {
        let mut header = header(name.as_bytes(), b'0', 0);
        header.set_mode(0o755);
        header
    };
    let mut tar = busybox();
    let scripts = [
        (
            "./sbin/init",
            "#!/bin/sh\n. /etc/init.d/rcS\nexec /bin/sh -c 'trap \"echo down; exit 0\" TERM; echo up; while :; do sleep 0.01; done'\n",
        ),
        ("./etc/init.d/rcS", "for i in /etc/init.d/S??*; do $i start; done\n"),
        ("./etc/init.d/S01syslogd", "#!/bin/sh\necho \"Starting syslogd: OK ($1)\"\n"),
    ];
    for (name, text) in scripts {
        let mut header = script(name);
        header.set_size(text.len() as u64);
        tar = tar.raw(&header, text.as_bytes());
    }
    let tar = tar
        .raw(&console, b"")
        .symlink("./linuxrc", "bin/busybox")
        .symlink("./lib64", "lib")
        .directory("./lib/", 0o755)
        .symlink("./var/run", "../run")
        .file("./etc/inittab", b"::sysinit:/etc/init.d/rcS\n")
        .directory("./proc/", 0o755)
        .directory("./sys/", 0o755);
    let config = json!({"Cmd": ["/sbin/init"]});
    for image in [tar.clone().end(), docker_archive(&[tar.end()], &config)] {
        let place = scratch.write("rootfs.tar", &image);
        let c = container(&scratch, &place, Config::default());
        let init = c.exec(["/sbin/init"], &captured()).unwrap();
        let mut stdout = std::fs::File::from(init.take_stdout().unwrap());
        let mut said = vec![0; "Starting syslogd: OK (start)\nup\n".len()];
        stdout.read_exact(&mut said).unwrap();
        assert_eq!(String::from_utf8_lossy(&said), "Starting syslogd: OK (start)\nup\n");
        assert_eq!(init.stop(std::time::Duration::from_secs(60)).unwrap().code, 0);
        // PID 1 is ctr's own: an init that insists on being it says so, and no harm is done.
        let busybox = c.exec(["/bin/busybox", "init"], &captured()).unwrap();
        let mut said = String::new();
        std::fs::File::from(busybox.take_stdout().unwrap()).read_to_string(&mut said).unwrap();
        assert!(said.contains("PID 1"), "{said}");
    }
}
