//! A disk, opened, and what of it is to be mounted.

use std::fmt::Display;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FlockArg, OFlag};
use nix::sys::stat::Mode;
use nix::unistd::Whence;

use super::backing::other_of;
use super::options;
use super::partition::{Extent, Table};
use super::superblock::{self, LENGTH};
use crate::{Disk, Error, ErrorCode, FileSystem, Result, Step, hints, sys};

/// How long who has just let go of an image may take to be gone.
const PATIENCE: Duration = Duration::from_millis(200);

/// What is mounted.
pub struct Source {
    /// Its path without symlinks.
    pub path: PathBuf,
    /// Open as it is used. Where it is an image its flock(2) says how: whoever has its blocks has this file, so the kernel lets go of
    /// the lock when nobody has.
    pub file: OwnedFd,
    /// The part that has the file system; `None`: all of it.
    pub part: Option<Extent>,
    pub is_device: bool,
    pub filesystem: FileSystem,
    pub read_only: bool,
    pub noexec: bool,
}

impl Source {
    /// Opens it, and finds out what is on it.
    pub fn open(disk: &Disk) -> Result<Self> {
        let fail = |error: &std::io::Error| Error::io(Step::OpenDisk, disk.source.display(), error).with_known_hint();
        if !nix::unistd::geteuid().is_root() {
            let why = "EPERM, only root may mount the file system of a disk";
            return Err(Error::new(ErrorCode::Unsupported, Step::OpenDisk, disk.source.display(), libc::EPERM, why)
                .with_hint(hints::DISK_AS_USER));
        }
        let path = std::fs::canonicalize(&disk.source).map_err(|e| fail(&e))?;
        let (file, is_device) = open(&path, disk).map_err(|e| fail(&e))?;
        let end = sys::fs::lseek(&file, 0, Whence::SeekEnd).map_err(|errno| fail(&errno.into()))?;
        if !is_device {
            lock(&file, &path, disk.read_only)?;
        }
        let read = |offset: u64, length: usize| read(&file, offset, length).filter(|bytes| bytes.len() == length);
        let table = || Table::read(end, &read);
        let part = match disk.partition {
            Some(number) => Some(find(table(), number, &path, end)?),
            None => None,
        };
        let (from, length) = part.map_or((0, end), |part| (part.offset, part.length));
        let start = self::read(&file, from, usize::try_from(length).map_or(LENGTH, |length| length.min(LENGTH)));
        let start = start.ok_or_else(|| damaged(&path, "EIO, its beginning can't be read"))?;
        let filesystem = match (disk.filesystem, superblock::detect(&start)) {
            (_, Some((_, Some(size)))) if size > length => {
                let why = format!("EINVAL, it was cut off: its file system has {size} bytes, and {length} are there");
                return Err(damaged(&path, &why));
            }
            (Some(asked), _) => asked,
            (None, Some((found, _))) => found,
            (None, None) => {
                return Err(unknown(&path, &start, table().filter(|it| !it.is_empty() && disk.partition.is_none())));
            }
        };
        let read_only = disk.read_only;
        if !read_only && matches!(filesystem, FileSystem::Squashfs | FileSystem::Erofs) {
            let why = format!("{} is read-only always", filesystem.name());
            return Err(Error::invalid(Step::OpenDisk, path.display(), why).with_hint("ask for it read-only"));
        }
        Ok(Self { path, file, part, is_device, filesystem, read_only, noexec: disk.noexec })
    }

    /// What a person types to mount it at `place`, with further options.
    pub fn command(&self, place: &str, options: &str) -> String {
        let mut all = String::new();
        if !self.is_device || self.part.is_some() {
            all += "loop,";
        }
        if let Some(Extent { offset, length }) = self.part {
            all += &format!("offset={offset},sizelimit={length},");
        }
        all += "nosuid,nodev";
        if self.noexec {
            all += ",noexec";
        }
        for (key, value) in options::options(self.filesystem, self.read_only) {
            let (key, value) = (key.to_string_lossy(), value.map(|value| format!("={}", value.to_string_lossy())));
            all += &format!(",{key}{}", value.unwrap_or_default());
        }
        let path = crate::plan::quote(&self.path.to_string_lossy());
        format!("mount -t {} -o {all}{options} {path} {place}", self.filesystem.name())
    }
}

/// Opens it for what it is used for, if it is a disk at all; whether it is a device. What else there is, as a FIFO, may wait for
/// somebody, or begin to do something, by being opened.
fn open(path: &Path, disk: &Disk) -> std::io::Result<(OwnedFd, bool)> {
    let place = sys::open(path, OFlag::O_PATH | OFlag::O_NOFOLLOW, Mode::empty())?;
    let kind = std::fs::metadata(path)?.file_type();
    let is_device = kind.is_block_device();
    if kind.is_dir() {
        return Err(Errno::EISDIR.into());
    }
    if !is_device && !kind.is_file() {
        return Err(Errno::ENOTBLK.into());
    }
    let access = if disk.read_only { OFlag::O_RDONLY } else { OFlag::O_RDWR };
    // Of a device the kernel lets one alone mount it; a part of it that is written to is no business of whoever has mounted all of it.
    let alone = is_device && disk.partition.is_some() && !disk.read_only;
    let alone = if alone { OFlag::O_EXCL } else { OFlag::empty() };
    let again = format!("/proc/self/fd/{}", place.as_raw_fd());
    let file = sys::open(again.as_str(), access | alone | OFlag::O_NONBLOCK, Mode::empty())?;
    if sys::fs::known_mode(&file)? & libc::S_IFMT != if is_device { libc::S_IFBLK } else { libc::S_IFREG } {
        return Err(Errno::ESTALE.into());
    }
    Ok((file, is_device))
}

/// Two that write to one image destroy it, and so does one that reads what another one writes: each has a cache of its own.
fn lock(file: &OwnedFd, path: &Path, read_only: bool) -> Result<()> {
    let how = if read_only { FlockArg::LockSharedNonblock } else { FlockArg::LockExclusiveNonblock };
    let start = Instant::now();
    loop {
        let errno = match sys::fs::flock(file, how) {
            Ok(()) => break,
            Err(errno) => errno,
        };
        if errno != Errno::EWOULDBLOCK {
            return Err(Error::system(Step::OpenDisk, path.display(), errno as i32));
        }
        if start.elapsed() > PATIENCE {
            let why = if read_only { "it is in use, and written to" } else { "it is in use" };
            return Err(in_use(path, why));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    match other_of(file) {
        Some(device) if !read_only => Err(in_use(path, &format!("{} has it", device.display()))),
        _ => Ok(()),
    }
}

fn in_use(path: &Path, why: &str) -> Error {
    let why = format!("EBUSY, {why}");
    Error::new(ErrorCode::System, Step::OpenDisk, path.display(), libc::EBUSY, why)
        .with_hint("an image is written to by one at a time, and read by nobody else then: losetup -a shows who has it")
}

fn read(file: &OwnedFd, offset: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match sys::fs::pread(file, &mut bytes[filled..], offset.checked_add(filled as u64)?) {
            Ok(0) => break,
            Ok(some) => filled += some,
            Err(_) => return None,
        }
    }
    bytes.truncate(filled);
    Some(bytes)
}

fn find(table: Option<Table>, number: u32, path: &Path, end: u64) -> Result<Extent> {
    let called = format!("{number} of {}", path.display());
    let refused = |errno: i32, why: String| {
        Error::new(ErrorCode::Invalid, Step::FindPartition, &called as &dyn Display, errno, why)
    };
    let Some(table) = table else {
        return Err(refused(libc::ENXIO, "there is no table of partitions, or it is damaged".into())
            .with_hint("a disk without one has its file system on all of it"));
    };
    let Some(extent) = table.find(number) else {
        let there = if table.is_empty() { "none".into() } else { table.numbers() };
        return Err(refused(libc::ENXIO, format!("there is no such partition; there are: {there}")));
    };
    if extent.offset.checked_add(extent.length).is_none_or(|it| it > end) {
        let why = format!("EINVAL, it was cut off: the partition ends behind the disk's end, at {end} bytes");
        return Err(refused(libc::EINVAL, why));
    }
    Ok(extent)
}

fn damaged(path: &Path, why: &str) -> Error {
    Error::new(ErrorCode::System, Step::ReadDisk, path.display(), libc::EINVAL, why)
}

fn unknown(path: &Path, start: &[u8], table: Option<Table>) -> Error {
    if let Some(table) = table {
        return Error::invalid(Step::ReadDisk, path.display(), "it has partitions")
            .with_hint(format!("choose one of them by its number: {}", table.numbers()));
    }
    let why = superblock::other(start).unwrap_or("nothing on it says that it is a file system, or it is damaged");
    Error::invalid(Step::ReadDisk, path.display(), why)
        .with_hint("ext2, ext3, ext4, xfs, btrfs, squashfs, erofs and vfat can be mounted")
}
