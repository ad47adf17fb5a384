//! Images that the store has: by their digest, and by the file that they were made from.
//!
//! The second time, a tarball costs a stat, a readlink and the opening of its image record. The file is known by device,
//! inode, size, mtime and ctime, and only where these could be trusted: a file that was changed within the tick of the
//! kernel's clock in which it was read may change again without a trace, so its reading waits for the tick to pass.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::sys::statfs::fstatfs;
use serde::{Deserialize, Serialize};

use super::config::ImageConfig;
use super::digest::Digest;
use super::layout::Platform;
use super::store::{Store, try_lock};
use crate::sys::fs::{self, FileStat, FlockArg, Mode, OFlag};
use crate::{Error, ErrorCode, Result, Step};

/// What of an archive is wanted; see [`super::ImportOptions`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Select<'s> {
    pub reference: Option<&'s str>,
    pub platform: Option<Platform<'s>>,
    pub strip: usize,
}

/// What images/HEX holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// What is mounted, lowest first: names in layers/.
    pub layers: Vec<String>,
    /// The layers themselves, where they are too many to be mounted and `layers` is one tree made of them.
    #[serde(default)]
    pub parts: Vec<String>,
    #[serde(default)]
    pub config: ImageConfig,
    /// The document that `config` was read from, which the image is known by and which says more; a tarball has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// Owner, group and mode of the root, where it isn't root's with mode 0755.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<(u32, u32, u32)>,
    /// Bytes of all layers' files.
    pub size: u64,
    /// Seconds since 1970.
    pub created: u64,
}

/// More than any record has; one of that size was written by someone else.
pub(super) const MAX_RECORD: usize = 16 << 20;

impl Record {
    pub fn new(layers: Vec<String>, config: ImageConfig, size: u64) -> Self {
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
        Self { layers, parts: Vec::new(), config, document: None, root: None, size, created }
    }
}

impl Record {
    /// The layers as they came.
    pub fn real_layers(&self) -> &[String] {
        if self.parts.is_empty() { &self.layers } else { &self.parts }
    }
}

/// An image's digest, and the image in use.
pub(super) type Known = (String, Loaded);

/// An image record in use.
pub(super) struct Loaded {
    pub record: Record,
    pub lock: OwnedFd,
}

impl Store {
    /// The image that was made from the file of `stat`, if it was and is still here.
    pub(super) fn seen(&self, stat: &FileStat, select: Select<'_>) -> Result<Option<Known>> {
        let Some(root) = self.root()? else { return Ok(None) };
        let mut buffer = [0u8; 256];
        let Ok(length) = fs::readlinkat_raw(root, seen_name(stat, select).as_str(), &mut buffer[..]) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&buffer[..length]).unwrap_or_default();
        let Some(digest) = text.strip_prefix(&seen_state(stat)) else { return Ok(None) };
        Ok(self.load(digest)?.map(|loaded| (digest.into(), loaded)))
    }

    /// Remembers that the file of `stat` is the image `digest`. A failure costs only time, later.
    pub(super) fn remember(&self, stat: &FileStat, select: Select<'_>, digest: &str) {
        self.put_link(&seen_name(stat, select), &(seen_state(stat) + digest)).ok();
    }

    /// The image `digest`, marked as in use; `None` when it is not (or no longer wholly) here.
    pub(super) fn load(&self, digest: &str) -> Result<Option<Loaded>> {
        let Some(lock) = self.open_record(digest)? else { return Ok(None) };
        // An exclusive lock is that of someone who removes it.
        let locked = try_lock(&lock, FlockArg::LockSharedNonblock);
        if !locked.map_err(|errno| self.failed(Step::LockImageIn, errno))? {
            return Ok(None);
        }
        let Some(record) = self.read_record(digest, &lock)? else { return Ok(None) };
        for layer in &record.layers {
            // Someone may have removed it by hand: import again then, instead of failing at the mount.
            if Digest::from_hex(layer).is_none() || !self.has_layer(layer)? {
                return Ok(None);
            }
        }
        Ok(Some(Loaded { record, lock }))
    }

    /// The record of the image `digest`, whoever uses it.
    pub(super) fn record(&self, digest: &str) -> Result<Option<Record>> {
        match self.open_record(digest)? {
            Some(fd) => self.read_record(digest, &fd),
            None => Ok(None),
        }
    }

    pub(super) fn open_record(&self, digest: &str) -> Result<Option<OwnedFd>> {
        let Some(root) = self.root()? else { return Ok(None) };
        if Digest::from_hex(digest).is_none() {
            return Ok(None);
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match fs::openat(root, format!("images/{digest}").as_str(), flags, Mode::empty()) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(self.failed(Step::OpenImageIn, errno)),
        }
    }

    /// `None` when it was removed since it was opened.
    fn read_record(&self, digest: &str, fd: &OwnedFd) -> Result<Option<Record>> {
        let stat = fs::fstat(fd).map_err(|errno| self.failed(Step::LookAtImageIn, errno))?;
        if stat.st_nlink == 0 {
            return Ok(None);
        }
        let mut text = vec![0; usize::try_from(stat.st_size).unwrap_or(0).min(MAX_RECORD)];
        let length = nix::unistd::read(fd, &mut text[..]).map_err(|errno| self.failed(Step::ReadImageIn, errno))?;
        serde_json::from_slice(&text[..length]).map(Some).map_err(|error| {
            let place = self.path().join("images").join(digest);
            Error::new(
                ErrorCode::BadImage,
                Step::Read,
                place.display(),
                libc::EINVAL,
                format!("it is damaged: {error}"),
            )
            .with_hint("remove it and import the image again")
        })
    }
}

fn seen_name(stat: &FileStat, select: Select<'_>) -> String {
    let name = format!("seen/{:x}-{:x}", stat.st_dev, stat.st_ino);
    match (select.reference, select.platform, select.strip) {
        (None, None, 0) => name,
        (reference, platform, strip) => {
            let platform = platform.map(|platform| format!("{platform} ")).unwrap_or_default();
            let choice = format!("{strip} {platform}{}", reference.unwrap_or_default());
            format!("{name}-{}", Digest::of(choice.as_bytes()).hex())
        }
    }
}

/// The number in front is that of this way to unpack: a change that gives other trees counts it up.
fn seen_state(stat: &FileStat) -> String {
    format!(
        "1 {} {}.{:09} {}.{:09} ",
        stat.st_size, stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec
    )
}

/// Whether two looks saw the same file in the same state.
pub(super) fn is_same(one: &FileStat, other: &FileStat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino) && seen_state(one) == seen_state(other)
}

/// The file's state, once its next change is sure to show in it; the second answer is false where that can't be had.
///
/// Local file systems stamp with the kernel's coarse clock, which stands still for a jiffy (10 ms at most). Some have whole
/// seconds or two (ext3, vfat), which shows in the nanoseconds, and a file server has a clock of its own.
pub(super) fn settled(fd: impl AsFd) -> std::result::Result<(FileStat, bool), Errno> {
    const NFS: i64 = 0x6969;
    const SMB2: i64 = 0xfe53_4d42;
    const CIFS: i64 = 0xff53_4d42;
    const FUSE: i64 = 0x6573_5546;
    const V9FS: i64 = 0x0102_1997;
    const CEPH: i64 = 0x00c3_6400;
    let is_remote = fstatfs(&fd)
        .is_ok_and(|it| [NFS, SMB2, CIFS, FUSE, V9FS, CEPH].contains(&(it.filesystem_type().0 & 0xffff_ffff)));
    for _ in 0..3 {
        let stat = fs::fstat(&fd)?;
        let tick = match (is_remote, stat.st_ctime_nsec == 0 || stat.st_mtime_nsec == 0) {
            (true, _) => Duration::from_secs(60),
            (false, true) => Duration::from_secs(2),
            (false, false) => Duration::from_millis(20),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128);
        let age = |seconds: i64, nanos: u64| now - i128::from(seconds) * 1_000_000_000 - i128::from(nanos);
        // The ctime decides: an mtime can be set to anything, but not without a new ctime.
        let left = tick.as_nanos() as i128 - age(stat.st_ctime, stat.st_ctime_nsec as u64);
        match left {
            ..=0 => return Ok((stat, true)),
            // From the future, or on a clock too coarse to wait for.
            50_000_000.. => return Ok((stat, false)),
            left => std::thread::sleep(Duration::from_nanos(left as u64)),
        }
    }
    Ok((fs::fstat(&fd)?, false))
}
