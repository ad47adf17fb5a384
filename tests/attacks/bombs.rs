//! What an image or a tree of files, made to do harm, does to the process that works with it. Each test bounds its own address
//! space and descriptors, so that what takes more than it may is seen, and harms nobody.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use ctr::image::{ExportOptions, ImportOptions, Input, Limits, MakeOptions, Output, Store};
use ctr::{Client, Config, Container, Error, ErrorCode, ExecConfig, Upper};
use nix::sys::resource::{Resource, setrlimit};
use sha2::{Digest, Sha256};

use crate::attack;
use crate::fence::{run, scratch};

/// Address space of the process that works with what is hostile.
const MEMORY: u64 = 512 << 20;

/// From here on the process has no more than this.
fn bounded(descriptors: u64) {
    // A thread's arena takes 64 MiB of address space or more whatever lies in it, and stays when the thread has ended: mallopt(3).
    // SAFETY: it takes numbers.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    setrlimit(Resource::RLIMIT_AS, MEMORY, MEMORY).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, descriptors, descriptors).unwrap();
}

/// A directory that is an image: busybox, and a program that makes trees of files that do harm.
fn image() -> PathBuf {
    const BOMB: &str = r#"
        #define _GNU_SOURCE
        #include <fcntl.h>
        #include <stdio.h>
        #include <string.h>
        #include <stdlib.h>
        #include <unistd.h>
        #include <sys/stat.h>
        #include <sys/xattr.h>
        int main(int argc, char **argv) {
            static char name[256], value[60000];
            if (!strcmp(argv[1], "deep")) {
                memset(name, 'd', atoi(argv[3]));
                for (long depth = atol(argv[2]); depth > 0; depth--)
                    if (mkdir(name, 0755) || chdir(name)) return 1;
            } else if (!strcmp(argv[1], "names")) {
                /* COUNT names of LENGTH, below DEPTH directories; each a file of its own with LINKS names, or all of one file. */
                long count = atol(argv[2]), links = atol(argv[5]);
                memset(name, 'n', atoi(argv[3]));
                for (long depth = atol(argv[4]); depth > 0; depth--)
                    if (mkdir(name, 0755) || chdir(name)) return perror("mkdir"), 1;
                close(open("first", O_CREAT | O_RDWR, 0644));
                for (long at = 0; at < count; at++) {
                    sprintf(value, "%ld", at);
                    memcpy(name, value, strlen(value));
                    if (links ? mknod(name, 0644, 0) : link("first", name)) return perror(name), 1;
                    if (links > 1 && link(name, strcat(value, "-second"))) return perror(value), 1;
                }
            } else if (!strcmp(argv[1], "attributes")) {
                /* COUNT attributes of SIZE bytes, with names of LENGTH, on FILE. */
                int fd = open(argv[5], O_CREAT | O_RDWR, 0644);
                for (int at = 0; at < atoi(argv[2]); at++) {
                    sprintf(name, "user.%0*d", atoi(argv[4]), at);
                    if (fsetxattr(fd, name, value, atoi(argv[3]), 0)) return perror(name), 1;
                }
            } else if (!strcmp(argv[1], "shrink")) {
                for (int at = 0; at < 3; at++) {
                    sprintf(name, "file%d", at);
                    if (open(name, O_CREAT | O_RDWR, 0644) != 3 + at) return 1;
                }
                if (fork()) return 0;
                close(0), close(1), close(2);
                for (;;)
                    for (int at = 0; at < 3; at++)
                        if (ftruncate(3 + at, 1) || ftruncate(3 + at, 1L << 60)) return 1;
            } else if (!strcmp(argv[1], "lease")) {
                int fd = open("leased", O_CREAT | O_RDWR, 0644);
                if (fcntl(fd, F_SETLEASE, F_WRLCK)) return perror("lease"), 1;
                if (fork()) return 0;
                close(0), close(1), close(2);
                for (;;) pause();
            }
            return 0;
        }"#;
    let root = scratch().join("image");
    if !root.exists() {
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::create_dir_all(root.join("work")).unwrap();
        fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
        let source = scratch().join("bomb.c");
        fs::write(&source, BOMB).unwrap();
        let built = Command::new("cc").arg("-static").arg("-o").arg(root.join("bin/bomb")).arg(&source).status();
        assert!(built.unwrap().success());
    }
    root
}

/// Runs the program in /work.
#[track_caller]
fn bomb(container: &Container, words: &[&str]) -> i32 {
    let at_work = ExecConfig::default().with(|c| c.cwd = Some("/work".into()));
    let said = run(container, &[&["/bin/bomb"], words].concat(), &at_work);
    println!("{words:?}: {} {}", said.code, said.text);
    said.code
}

/// A container in which there are directories of names of `length` bytes in each other.
fn deep(depth: usize, length: usize, config: &Config) -> Container {
    let container = Container::create(image(), config).unwrap();
    assert_eq!(bomb(&container, &["deep", &depth.to_string(), &length.to_string()]), 0);
    container
}

// A tree deeper than there are descriptors, and deeper than a thread's stack would bear, where each level took some of it.
attack!(own_tree_bomb_destroy, {
    image();
    bounded(64);
    for (depth, length) in [(3000, 1), (20_000, 1), (20_000, 200)] {
        let config = Config::default().with(|c| c.upper = Upper::Disk);
        let container = deep(depth, length, &config);
        let work = move || container.destroy().unwrap();
        std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
        assert_eq!(fs::read_dir(scratch().join("store/upper")).unwrap().count(), 0);
    }
});

// What can't be removed is no reason to keep a name for ever.
attack!(own_tree_bomb_destroy_puts_aside, {
    let config = Config::default().with(|c| {
        c.upper = Upper::Disk;
        c.name = Some("stuck".into());
    });
    let container = deep(1, 1, &config);
    let upper = fs::read_dir(scratch().join("store/upper")).unwrap().next().unwrap().unwrap().path();
    let aside = format!("tmp/{}.left-0", upper.file_name().unwrap().display());
    let place = upper.join("upper/work/d");
    nix::mount::mount(Some("tmpfs"), &place, Some("tmpfs"), nix::mount::MsFlags::empty(), None::<&str>).unwrap();
    let error = container.destroy().unwrap_err();
    assert!(error.errno() == libc::EBUSY && error.to_string().contains(&aside), "{error}");
    assert!(Container::list().unwrap().is_empty());
    // The name is free, and what is aside goes once it can.
    Container::create(image(), &config).unwrap().destroy().unwrap();
    let aside = scratch().join("store").join(aside);
    for mount in fs::read_to_string("/proc/self/mounts").unwrap().lines().rev() {
        let at = mount.split(' ').nth(1).unwrap();
        if at.starts_with(aside.to_str().unwrap()) {
            nix::mount::umount2(at, nix::mount::MntFlags::MNT_DETACH).unwrap();
        }
    }
    Store::open(None).unwrap().prune().unwrap();
    assert!(!aside.exists());
});

/// An archive of images: an OCI layout whose blobs are called by what they are.
#[derive(Default)]
struct Layout {
    tar: Vec<u8>,
}

impl Layout {
    fn file(&mut self, name: &str, content: &[u8]) {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).unwrap();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        self.tar.extend_from_slice(header.as_bytes());
        self.tar.extend_from_slice(content);
        self.tar.resize(self.tar.len().next_multiple_of(512), 0);
    }

    /// The blob's descriptor.
    fn blob(&mut self, kind: &str, content: &str) -> String {
        let hex: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        self.file(&format!("blobs/sha256/{hex}"), content.as_bytes());
        let kind = format!("application/vnd.oci.image.{kind}");
        format!(r#"{{"mediaType":"{kind}","digest":"sha256:{hex}","size":{}}}"#, content.len())
    }

    fn index(&mut self, manifests: &[String]) -> String {
        let index = index(manifests);
        self.blob("index.v1+json", &index)
    }

    /// An image of one empty layer, whose configuration has these members.
    fn image(config: &str) -> Self {
        let mut layout = Self::default();
        let layer = "\0".repeat(1024);
        let layer = layout.blob("layer.v1.tar", &layer);
        let diff_id = layer.split('"').nth(7).unwrap().to_owned();
        let config = format!(r#"{{"rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}},"config":{{{config}}}}}"#);
        let config = layout.blob("config.v1+json", &config);
        let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#);
        let manifest = layout.blob("manifest.v1+json", &manifest);
        layout.end(&[manifest])
    }

    fn end(mut self, manifests: &[String]) -> Self {
        self.file("index.json", index(manifests).as_bytes());
        self.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
        self.tar.resize(self.tar.len() + 1024, 0);
        self
    }

    fn write(&self, name: &str) -> PathBuf {
        let path = scratch().join(name);
        fs::write(&path, &self.tar).unwrap();
        path
    }
}

fn index(manifests: &[String]) -> String {
    format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, manifests.join(","))
}

fn import(layout: &Layout, limits: Limits) -> ctr::Result<ctr::image::Image> {
    let path = layout.write("bomb.tar");
    let store = Store::open(None).unwrap().with_limits(limits);
    store.import(Input::Path(&path), &ImportOptions::default(), &mut |_| true)
}

#[track_caller]
fn is_over(outcome: ctr::Result<ctr::image::Image>, limit: &str) {
    let error = outcome.expect_err("it is refused");
    assert!(error.errno() == libc::E2BIG && error.to_string().contains(&format!("limit \"{limit}\"")), "{error}");
}

// Indexes that point at indexes, a thousand times each.
attack!(own_image_bomb_indexes, {
    bounded(64);
    let mut layout = Layout::default();
    let mut index = layout.blob("index.v1+json", r#"{"schemaVersion":2,"manifests":[]}"#);
    for _ in 0..3 {
        index = layout.index(&vec![index.clone(); 1000]);
    }
    let error = import(&layout.end(&vec![index; 1000]), Limits::default()).expect_err("there is no image in it");
    assert!(error.to_string().contains("no image for linux/"), "{error}");

    // All of them others.
    let mut layout = Layout::default();
    let all: Vec<_> = (0..300)
        .map(|at| {
            let below: Vec<_> = (0..5)
                .map(|number| {
                    layout.blob(
                        "index.v1+json",
                        &format!(r#"{{"schemaVersion":2,"manifests":[],"annotations":{{"a":"{at}/{number}"}}}}"#),
                    )
                })
                .collect();
            layout.index(&below)
        })
        .collect();
    let layout = layout.end(&all);
    is_over(import(&layout, Limits::default()), "documents");
    let path = layout.write("stopped.tar");
    let mut asked = 0;
    let stopped = Store::open(None).unwrap().import(Input::Path(&path), &ImportOptions::default(), &mut |_| {
        asked += 1;
        asked < 100
    });
    assert_eq!(stopped.err().map(|error: Error| error.code()), Some(ErrorCode::Interrupted));
});

// Paths and volumes of an image become instructions, its variables are looked at one by one, and all of it is on record.
attack!(own_image_bomb_configuration, {
    bounded(64);
    let deep = |levels: usize| "/x".repeat(levels);
    let volumes = |count: usize, levels: usize| {
        let volumes: Vec<_> = (0..count).map(|at| format!(r#""/{at}{}":{{}}"#, deep(levels))).collect();
        format!(r#""Volumes":{{{}}}"#, volumes.join(","))
    };
    let refused = |config: &str, why: &str| {
        let error = import(&Layout::image(config), Limits::default()).expect_err("it is refused").to_string();
        assert!(error.contains(why), "{error}");
    };
    refused(&format!(r#""WorkingDir":"{}""#, deep(100_000)), "PATH_MAX");
    refused(&volumes(1, 3000), "PATH_MAX");
    refused(&format!(r#""WorkingDir":"/{}""#, "x".repeat(256)), "NAME_MAX");
    is_over(import(&Layout::image(&volumes(501, 1)), Limits::default()), "volumes");
    is_over(import(&Layout::image(&volumes(300, 2000)), Limits::default()), "config");
    let variables = |count: usize| {
        let variables: Vec<_> = (0..count).map(|at| format!(r#""v{at}=""#)).collect();
        format!(r#""Env":[{}]"#, variables.join(","))
    };
    is_over(import(&Layout::image(&variables(300_000)), Limits::default()), "config");
    let labels = |bytes: usize| format!(r#""Labels":{{"l":"{}"}}"#, "x".repeat(bytes));
    is_over(import(&Layout::image(&labels(1_500_000)), Limits::default()), "config");

    // As much as is let through. Whatever can't be made is refused when it is made, by its name.
    let path = Layout::image(&volumes(200, 2000)).write("volumes.tar");
    let error = Container::create(&path, &Config::default()).err().expect("the plan is too large");
    assert!(error.errno() == libc::E2BIG && error.step_id() == "make-volume", "{error}");
    let path = Layout::image(&format!(r#""WorkingDir":"{}""#, deep(2000))).write("deep.tar");
    Container::create(&path, &Config::default()).unwrap().destroy().unwrap();
    let path = Layout::image(&variables(80_000)).write("variables.tar");
    Container::create(&path, &Config::default()).unwrap().destroy().unwrap();

    // A record that could not be read back: the container would run, and nobody could join, end or sweep it.
    let all = Limits::default().with(|l| l.config = 16 << 20);
    let big = format!(r#""Env":["A={}"],{}"#, "x".repeat(1_440_000), labels(1_500_000));
    let image = import(&Layout::image(&big), all).unwrap();
    let error = Container::create(&image.digest, &Config::default()).err().expect("its record is too large");
    assert!(error.errno() == libc::E2BIG && error.step_id() == "write-record", "{error}");
    assert!(Container::list().unwrap().is_empty());
});

// Attributes in extended headers, looked up one by one.
attack!(own_image_bomb_attributes, {
    bounded(64);
    let record = |name: &str| {
        let rest = format!(" SCHILY.xattr.{name}=\n");
        let length = (1..9).find(|digits| format!("{}", rest.len() + digits).len() == *digits).unwrap() + rest.len();
        format!("{length}{rest}")
    };
    let with = |count: usize, width: usize, kind: u8, entries: usize| {
        let mut layout = Layout::default();
        for at in 0..entries {
            let records: String = (0..count).map(|number| record(&format!("{number:0width$}"))).collect();
            let mut header = tar::Header::new_ustar();
            header.set_path("pax").unwrap();
            header.set_size(records.len() as u64);
            header.as_old_mut().linkflag = [kind];
            header.set_cksum();
            layout.tar.extend_from_slice(header.as_bytes());
            layout.tar.extend_from_slice(records.as_bytes());
            layout.tar.resize(layout.tar.len().next_multiple_of(512), 0);
            layout.file(&format!("file{at}"), b"");
        }
        layout.tar.resize(layout.tar.len() + 1024, 0);
        layout
    };
    let error = import(&with(100_000, 8, b'x', 3), Limits::default()).expect_err("no file has as many").to_string();
    assert!(error.contains("attributes whose names take"), "{error}");
    let error = import(&with(10_000, 8, b'g', 1), Limits::default()).expect_err("each entry has them").to_string();
    assert!(error.contains("global extended headers"), "{error}");
    import(&with(10_000, 5, b'x', 20), Limits::default()).unwrap();
});

/// Takes no more than so many bytes of an archive.
struct Bounded(usize);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.0.checked_sub(bytes.len()) {
            Some(left) => self.0 = left,
            None => return Err(std::io::ErrorKind::FileTooLarge.into()),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn export(container: &Container, most: usize) -> ctr::Result<u64> {
    let output = Output::Writer(Box::new(Bounded(most)));
    container.export(output, &ExportOptions::default(), &mut |_| true)
}

// A tree deeper than any image may be, told of in whole names.
attack!(own_tree_bomb_differences, {
    image();
    bounded(256);
    for (depth, length, limit) in [(20_000, 200, "name"), (20_000, 1, "depth")] {
        let container = deep(depth, length, &Config::default());
        let words = [
            container.diff().expect_err("a name is too long").to_string(),
            export(&container, 512 << 20).expect_err("a name is too long").to_string(),
            container.commit(&MakeOptions::default(), &mut |_| true).expect_err("a name is too long").to_string(),
        ];
        for words in words {
            assert!(words.contains(&format!("limit \"{limit}\"")), "{words}");
        }
        container.destroy().unwrap();
    }
    // As deep as an image may be, it works.
    let container = deep(2000, 1, &Config::default());
    assert_eq!(container.diff().unwrap().len(), 2001);
    export(&container, 512 << 20).unwrap();
    container.commit(&MakeOptions::default(), &mut |_| true).unwrap();
    let stopped = Client::new().with_report(|_| false).diff(&container);
    assert!(stopped.is_ok() || stopped.is_err_and(|error| error.code() == ErrorCode::Interrupted));
});

// Files that are all holes, and shrink and grow while their data is looked for: none is ever written as if it were data.
attack!(own_tree_bomb_sparse_files, {
    image();
    bounded(256);
    let container = Container::create(image(), &Config::default()).unwrap();
    assert_eq!(bomb(&container, &["shrink"]), 0);
    for _ in 0..40 {
        if let Err(error) = export(&container, 100 << 20) {
            panic!("{error}");
        }
    }
});

// Attributes: large ones, and more than the kernel lists; and a file that somebody has a lease on.
attack!(own_tree_bomb_attributes, {
    image();
    bounded(256);
    let container = Container::create(image(), &Config::default()).unwrap();
    for file in ["a", "b", "c"] {
        bomb(&container, &["attributes", "1000", "1000", "50", file]);
    }
    let most = export(&container, 512 << 20).unwrap();
    println!("{most} bytes");
    bomb(&container, &["attributes", "1000", "1", "200", "many"]);
    export(&container, 512 << 20).unwrap();
    container.diff().unwrap();
    if bomb(&container, &["lease"]) == 0
        && let Err(error) = export(&container, 512 << 20)
    {
        assert!(error.to_string().contains("lease"), "{error}");
    }
});

/// Each way to work with a container's files, and what it says.
fn refusals(container: &Container) -> [Option<String>; 3] {
    let words = |error: Error| error.to_string();
    [
        container.diff().err().map(words),
        export(container, 2 << 30).err().map(words),
        container.commit(&MakeOptions::default(), &mut |_| true).err().map(words),
    ]
}

// More names than may be remembered: in one directory, by their length, and of files that have several. And as many as may be.
attack!(own_tree_bomb_names, {
    image();
    bounded(256);
    let container = Container::create(image(), &Config::default()).unwrap();
    let image = container.commit(&MakeOptions::default(), &mut |_| true).unwrap();
    container.destroy().unwrap();
    let all = |words: [&str; 4]| {
        let container = Container::create(&image.digest, &Config::default()).unwrap();
        assert_eq!(bomb(&container, &[&["names"], &words[..]].concat()), 0);
        let refusals = refusals(&container);
        container.destroy().unwrap();
        refusals
    };
    let is_bounded = |words: &Option<String>| words.as_ref().is_some_and(|words| words.contains("128 MiB of memory"));
    // (count, length, depth, links)
    for words in all(["270000", "250", "0", "0"]) {
        assert!(is_bounded(&words), "one directory: {words:?}");
    }
    for words in all(["9000", "250", "60", "2"]) {
        assert!(is_bounded(&words), "files of two names: {words:?}");
    }
    let [diff, export, commit] = all(["9000", "250", "60", "1"]);
    assert!(
        is_bounded(&diff) && export.is_none() && is_bounded(&commit),
        "names that differ: {diff:?} {export:?} {commit:?}"
    );
    assert_eq!(all(["1700", "250", "55", "2"]), [None, None, None], "no more than may be");
});

// Devices that no tree holds are kept beside it, with attributes that compress well.
attack!(own_image_bomb_kept, {
    let record = |name: &str, length: usize| {
        let rest = format!(" SCHILY.xattr.user.{name}={}\n", "x".repeat(length));
        let digits = (1..9).find(|digits| format!("{}", rest.len() + digits).len() == *digits).unwrap();
        format!("{}{rest}", rest.len() + digits)
    };
    let mut layout = Layout::default();
    for at in 0..30 {
        let records = record("a", 7 << 20);
        for (name, kind, content) in [("pax", b'x', records.as_bytes()), (&format!("device{at}"), b'3', b"")] {
            let mut header = tar::Header::new_ustar();
            header.set_path(name).unwrap();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.as_old_mut().linkflag = [kind];
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_cksum();
            layout.tar.extend_from_slice(header.as_bytes());
            layout.tar.extend_from_slice(content);
            layout.tar.resize(layout.tar.len().next_multiple_of(512), 0);
        }
    }
    layout.tar.resize(layout.tar.len() + 1024, 0);
    let path = layout.write("kept.tar");
    drop(layout);
    bounded(256);
    let container = Container::create(&path, &Config::default()).unwrap();
    let words = export(&container, 1 << 30).expect_err("they are too many to keep in memory").to_string();
    assert!(words.contains("128 MiB of memory"), "{words}");
});
