//! Archives made by hand, stores in scratch directories, and a tree as lines that two can be compared by.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use ctr::image::{Source, Store};

pub use crate::xattrs::{getxattr, listxattr, setxattr};

/// A tmpfs where there is one that keeps attributes of users (Linux 6.6); everything else is slower.
fn scratch_place() -> PathBuf {
    static PLACE: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    PLACE
        .get_or_init(|| {
            let probe = format!("/dev/shm/ctr-image-probe-{}", std::process::id());
            let is_fit = std::fs::write(&probe, "").is_ok() && setxattr(&probe, "user.ctr", b"1").is_ok();
            let _ = std::fs::remove_file(&probe);
            if is_fit { "/dev/shm".into() } else { std::env::temp_dir() }
        })
        .clone()
}

/// A directory that is gone with the test.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = scratch_place().join(format!("ctr-image-{}-{count}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn client(&self) -> ctr::Client<'static> {
        ctr::Client::new().with_store_dir(self.path("store")).with_state_dir(self.path("state"))
    }

    pub fn store(&self) -> Store {
        Store::open(Some(&self.path("store"))).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A ustar header with its checksum; what a test wants otherwise it changes before [`Tar::raw`].
pub fn header(name: &[u8], typeflag: u8, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.as_old_mut().linkflag = [typeflag];
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    header.set_size(size);
    header
}

/// An archive, entry by entry, with nothing checked.
#[derive(Default, Clone)]
pub struct Tar(pub Vec<u8>);

impl Tar {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn raw(mut self, header: &tar::Header, data: &[u8]) -> Self {
        let mut header = header.clone();
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, name: &str, data: &[u8]) -> Self {
        self.raw(&header(name.as_bytes(), b'0', data.len() as u64), data)
    }

    pub fn directory(self, name: &str, mode: u32) -> Self {
        let mut header = header(name.as_bytes(), b'5', 0);
        header.set_mode(mode);
        self.raw(&header, b"")
    }

    pub fn link(self, typeflag: u8, name: &str, target: &str) -> Self {
        let mut header = header(name.as_bytes(), typeflag, 0);
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        self.raw(&header, b"")
    }

    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.link(b'2', name, target)
    }

    pub fn hard_link(self, name: &str, target: &str) -> Self {
        self.link(b'1', name, target)
    }

    /// PAX records for the next entry.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut bytes = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (rest..).find(|length| *length == rest + length.to_string().len()).unwrap();
            bytes.extend_from_slice(format!("{length} {key}=").as_bytes());
            bytes.extend_from_slice(value);
            bytes.push(b'\n');
        }
        self.raw(&header(b"pax", b'x', bytes.len() as u64), &bytes)
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// The tree of an image of one layer.
pub fn tree(source: &Source) -> PathBuf {
    match source {
        Source::Layers { layers, .. } => {
            assert_eq!(layers.len(), 1);
            layers[0].clone()
        }
        other => panic!("not layers: {other:?}"),
    }
}

pub fn resolve(store: &Store, path: &Path) -> PathBuf {
    tree(&store.resolve(path.as_os_str()).unwrap())
}

/// Imports bytes and answers the error's sentence.
pub fn refusal(scratch: &Scratch, bytes: &[u8]) -> String {
    let path = scratch.write("refused.tar", bytes);
    let error = match scratch.store().resolve(path.as_os_str()) {
        Err(error) => error,
        Ok(source) => panic!("{} bytes were taken for {source:?}", bytes.len()),
    };
    assert_eq!(error.code(), ctr::ErrorCode::BadImage, "{error}");
    assert_no_leftovers(scratch);
    error.to_string()
}

/// Nothing half-made is in the store.
pub fn assert_no_leftovers(scratch: &Scratch) {
    for directory in ["tmp", "layers", "images"] {
        let left = names(&scratch.path("store").join(directory));
        assert!(left.is_empty(), "{directory}: {left:?}");
    }
}

pub fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .map(|entries| entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    names.sort();
    names
}

/// Every entry of a tree as a line: name, kind and mode, owner, mtime, links, and content or target.
pub fn lines(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![PathBuf::from(root)];
    while let Some(path) = todo.pop() {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().escape_ascii().to_string();
        let content = if meta.is_dir() {
            todo.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            String::new()
        } else if meta.is_symlink() {
            std::fs::read_link(&path).unwrap().as_os_str().as_bytes().escape_ascii().to_string()
        } else if meta.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let sum = bytes.iter().fold(0u64, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
            format!("{} {sum:x}", bytes.len())
        } else {
            String::new()
        };
        let links = if meta.is_dir() { 0 } else { meta.nlink() };
        found.push(format!(
            "{name} {:o} {}:{} {}.{:09} {links} {content}",
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.mtime(),
            meta.mtime_nsec()
        ));
    }
    found.sort();
    found
}

pub fn run(program: &str, arguments: &[&OsStr]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Says that this test, or a part of it, is not run, and why.
pub fn skipped(why: &str) {
    eprintln!("SKIPPED {}: {why}", std::thread::current().name().unwrap_or_default());
}

/// Whether one of these programs is missing, which is said here: a test that needs it ends then.
pub fn lacks(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |name: &&str| std::env::split_paths(&path).any(|directory| directory.join(name).exists());
    let lacking = programs.iter().find(|name| !is_there(name));
    if let Some(name) = lacking {
        skipped(&format!("{name} is not installed"));
    }
    lacking.is_some()
}

/// A tmpfs for as long as this lives.
pub struct Mounted(PathBuf);

impl Mounted {
    pub fn tmpfs(place: &Path, options: &str) -> Self {
        let flags = nix::mount::MsFlags::MS_NODEV | nix::mount::MsFlags::MS_NOSUID;
        nix::mount::mount(Some("ctr-image"), place, Some("tmpfs"), flags, Some(options)).unwrap();
        Self(place.into())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH).unwrap();
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn lz4(bytes: &[u8]) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new().content_checksum(true);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

pub type Compress = fn(&[u8]) -> Vec<u8>;

pub const FORMATS: [(&str, Compress); 5] = [("gzip", gzip), ("zstd", zstd), ("xz", xz), ("bzip2", bzip2), ("lz4", lz4)];

/// Runs one of this program's ignored tests as an ordinary user and answers what it printed.
pub fn as_nobody(test: &str, tarball: &Path, store: &Path) -> String {
    use std::os::unix::process::CommandExt;
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", test])
        .env("CTR_TEST_TARBALL", tarball)
        .env("CTR_TEST_STORE", store)
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    printed
}

/// Runs an attack where it can't hurt: in a mount namespace of its own in which everything is read-only except a new tmpfs
/// where scratch directories are. Beside the store there is a directory "victim", which must look the same afterwards.
pub fn behind_a_fence(attack: impl FnOnce(&Scratch) + Send) {
    use nix::mount::{MsFlags, mount};
    let fenced = || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        for line in std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap().lines() {
            let target = line.split(' ').nth(4).unwrap().replace("\\040", " ");
            let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
            // A mount that another one covers can't be reached, by nobody.
            let _ = mount(none, target.as_str(), none, flags, none);
        }
        let place = scratch_place();
        mount(Some("ctr-fence"), &place, Some("tmpfs"), MsFlags::empty(), Some("size=512m")).unwrap();
        for outside in [
            "/ctr-fence",
            "/etc/ctr-fence",
            "/var/ctr-fence",
            "/root/ctr-fence",
            "/tmp/ctr-fence",
            "/dev/shm/ctr-fence",
        ] {
            if Path::new(outside).parent() == Some(&place) {
                continue;
            }
            let error = std::fs::write(outside, "").expect_err("the fence has a hole");
            assert_eq!(error.raw_os_error(), Some(libc::EROFS), "{outside}");
        }
        let scratch = Scratch::new();
        std::fs::create_dir_all(scratch.path("victim/directory")).unwrap();
        scratch.write("victim/file", b"precious");
        scratch.write("victim/directory/inside", b"precious");
        let before = lines(&scratch.path("victim"));
        attack(&scratch);
        assert_eq!(lines(&scratch.path("victim")), before, "the victim was changed");
        let outside: Vec<String> = names(&scratch.0)
            .into_iter()
            .filter(|name| !matches!(name.as_str(), "store" | "victim") && !name.ends_with(".tar"))
            .collect();
        assert_eq!(outside, [""; 0], "something was written outside");
    };
    let answer = std::thread::scope(|scope| scope.spawn(fenced).join());
    if let Err(panic) = answer {
        std::panic::resume_unwind(panic);
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What `docker save` writes for an image of these layers.
pub fn docker_archive(layers: &[Vec<u8>], config: &serde_json::Value) -> Vec<u8> {
    let diff_ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", sha256(layer))).collect();
    let config = serde_json::json!({"architecture": "amd64", "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let names: Vec<String> = (0..layers.len()).map(|number| format!("{number}/layer.tar")).collect();
    let manifest = serde_json::json!([{"Config": "config.json", "Layers": names}]).to_string();
    let mut tar = Tar::new();
    for (name, layer) in names.iter().zip(layers) {
        tar = tar.file(name, layer);
    }
    tar.file("config.json", config.to_string().as_bytes()).file("manifest.json", manifest.as_bytes()).end()
}

/// A layer of busybox and its applets, before its end.
pub fn busybox() -> Tar {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().find(|path| Path::new(path).exists());
    let busybox = busybox.expect("busybox-static is installed (make test does that)");
    let mut program = header(b"bin/busybox", b'0', std::fs::metadata(busybox).unwrap().len());
    program.set_mode(0o755);
    let mut tar = Tar::new().directory("bin", 0o755).raw(&program, &std::fs::read(busybox).unwrap());
    let list = Command::new(busybox).arg("--list").output().unwrap().stdout;
    for applet in String::from_utf8_lossy(&list).lines().filter(|applet| *applet != "busybox") {
        tar = tar.symlink(&format!("bin/{applet}"), "busybox");
    }
    tar.directory("etc", 0o755)
        .file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000:Ann:/home/ann:/bin/sh\n")
}

/// A container whose state and store are in the scratch directory.
pub fn container(scratch: &Scratch, image: &Path, config: ctr::Config) -> ctr::Container {
    let config = config.with(|c| {
        c.state_dir = Some(scratch.path("state"));
        c.store_dir = Some(scratch.path("store"));
    });
    ctr::Container::create(image, &config).unwrap()
}

/// A program with its output captured.
pub fn captured() -> ctr::ExecConfig {
    use ctr::Stdio;
    ctr::ExecConfig::default().with(|c| {
        c.stdin = Stdio::Null;
        c.stdout = Stdio::Pipe;
        c.stderr = Stdio::Stdout;
    })
}

/// All that a program says, which has to succeed.
pub fn said(process: &ctr::Process) -> String {
    let mut text = String::new();
    std::io::Read::read_to_string(&mut std::fs::File::from(process.take_stdout().unwrap()), &mut text).unwrap();
    let exit = process.wait(Some(std::time::Duration::from_secs(60))).unwrap().expect("it ends within a minute");
    assert_eq!(exit.code, 0, "it said: {text}");
    text.trim_end().to_owned()
}

/// What a shell script says inside.
pub fn sh(container: &ctr::Container, script: &str) -> String {
    said(&container.exec(["/bin/sh", "-ec", script], &captured()).unwrap_or_else(|error| panic!("{script}: {error}")))
}

/// A program with nothing connected.
pub fn quiet() -> ctr::ExecConfig {
    use ctr::Stdio;
    ctr::ExecConfig::default().with(|c| {
        c.stdin = Stdio::Null;
        c.stdout = Stdio::Null;
        c.stderr = Stdio::Null;
    })
}

/// Capabilities of a file, as setcap(8) writes them: version 2, CAP_NET_RAW.
pub const FILE_CAPABILITY: &[u8] = b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";

/// A device, a setuid program, a link with an owner and a fifo: dev/null, bin/su (two bytes), link, fifo.
pub fn special_files() -> [tar::Header; 4] {
    let mut null = header(b"dev/null", b'3', 0);
    null.set_device_major(1).unwrap();
    null.set_device_minor(3).unwrap();
    null.set_mode(0o666);
    let mut su = header(b"bin/su", b'0', 2);
    su.set_mode(0o4755);
    su.set_gid(12);
    let mut link = header(b"link", b'2', 0);
    link.as_old_mut().linkname[..6].copy_from_slice(b"bin/su");
    link.set_uid(5);
    let mut fifo = header(b"fifo", b'6', 0);
    fifo.set_mode(0o600);
    [null, su, link, fifo]
}
