//! One large file, which needs no archive on its way.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;

use super::super::dirs::{Opener, open};
use super::super::entry::{Entry, Kind};
use super::super::fault::{Fault, Outcome};
use super::super::owner::Id;
use super::{Told, Writer};
use crate::Result;
use crate::sys::fs::{self, FileType, OFlag};

/// Below that an archive costs nothing.
const LARGE: i64 = 1 << 20;

/// How much is copied without a word to the caller.
const PIECE: u64 = 16 << 20;

/// How much is read at once otherwise.
const BUFFER: usize = 256 << 10;

/// A file, opened, without holes and attributes.
pub(crate) struct CopiedFile {
    file: File,
    device: u64,
    entry: Entry,
}

impl CopiedFile {
    /// `None` where it is something else, of which [`super::Tree`] has more to say.
    pub fn open(
        root: BorrowedFd<'_>,
        name: &[u8],
        opener: Option<&Opener>,
        inside: &dyn Fn(Id) -> Option<u32>,
    ) -> Option<Self> {
        let seen = fs::fstatat(root, name, fs::AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
        if fs::file_type(seen.st_mode) != Some(FileType::File) {
            return None;
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file = open(opener, root, name, flags).ok()?;
        let stat = fs::fstat(&file).ok()?;
        let is_plain = fs::file_type(stat.st_mode) == Some(FileType::File)
            && stat.st_size > LARGE
            && stat.st_blocks * 512 >= stat.st_size
            && fs::flistxattr(&file, &mut []) == Ok(0);
        if !is_plain || fs::is_kernels(&file) {
            return None;
        }
        let mut entry = Entry::new(b"", Kind::File, stat.st_mode & 0o7777);
        (entry.uid, entry.gid) = (inside(Id::User(stat.st_uid))?, inside(Id::Group(stat.st_gid))?);
        entry.mtime = (stat.st_mtime, stat.st_mtime_nsec as u32);
        entry.size = stat.st_size as u64;
        Some(Self { file: file.into(), device: stat.st_dev, entry })
    }

    /// Makes it once more, under the name `top`.
    pub fn copy(self, top: Vec<u8>, mut writer: Writer, told: &mut Told<'_>) -> Result<()> {
        let Self { file, device, mut entry } = self;
        entry.path = top;
        writer.large(&entry, |to| {
            // No more than there was: a program that writes to it all the time would have it never end.
            // Where both are on one file system, it may have them share what is the same: copy_file_range(2).
            let is_one = fs::fstat(to).is_ok_and(|stat| stat.st_dev == device);
            let (mut left, mut buffer) = (entry.size, vec![0; if is_one { 0 } else { BUFFER }]);
            while left > 0 {
                let most = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
                let copied = if is_one {
                    io::copy(&mut (&file).take(left.min(PIECE)), &mut { to }).map_err(Fault::write)?
                } else {
                    by_hand(&file, to, &mut buffer[..most])?
                };
                told.bytes(copied)?;
                left = if copied == 0 { 0 } else { left - copied };
            }
            Ok(())
        })?;
        writer.finish()
    }
}

fn by_hand(mut from: &File, mut to: &File, buffer: &mut [u8]) -> Outcome<u64> {
    let length = from.read(buffer).map_err(Fault::read)?;
    to.write_all(&buffer[..length]).map_err(Fault::write)?;
    Ok(length as u64)
}
