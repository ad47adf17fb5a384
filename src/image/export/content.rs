//! The bytes of the archive: headers, and what is in the files, holes left out, through one buffer.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::super::entry::{Entry, Extent};
use super::super::fault::{Fault, Outcome};
use super::super::limits::Limits;
use super::super::write;
use super::{BUFFER, Walk};
use crate::Step;
use crate::sys::fs::{self, FileStat, Whence};

impl Walk<'_, '_, '_> {
    pub(super) fn file(&mut self, fd: &OwnedFd, stat: &FileStat, mut entry: Entry) -> Outcome<()> {
        entry.size = u64::try_from(stat.st_size).unwrap_or(0);
        if (stat.st_blocks as u64) * 512 < entry.size {
            // Never dense: a file that is all holes may be of any size.
            let map = extents(fd.as_fd(), entry.size, Limits::default().header)
                .map_err(|errno| Fault::system(Step::FindData, &entry.path, errno))?;
            let Some(map) = map else {
                let why = "it has more holes than an import takes".to_owned();
                return Err(Fault::over(&entry.path, "header", why));
            };
            entry.sparse = Some(map);
        }
        if let Some(taker) = self.special.taker {
            return taker(&entry, Some(fd.as_fd()));
        }
        self.put_header(&entry)?;
        let whole = [Extent { offset: 0, length: entry.size }];
        for extent in entry.sparse.as_deref().unwrap_or(&whole) {
            let (mut offset, end) = (extent.offset, extent.offset + extent.length);
            while offset < end {
                if self.filled == BUFFER {
                    self.flush()?;
                }
                let most = usize::try_from(end - offset).unwrap_or(usize::MAX).min(BUFFER - self.filled);
                let room = &mut self.buffer[self.filled..self.filled + most];
                let mut length =
                    fs::pread(fd, &mut *room, offset).map_err(|errno| Fault::system(Step::Read, &entry.path, errno))?;
                if length == 0 {
                    // It has become shorter meanwhile; the archive has to have what it said.
                    room.fill(0);
                    length = most;
                }
                self.filled += length;
                self.written += length as u64;
                offset += length as u64;
            }
        }
        self.put(write::padding(self.written))
    }

    pub(super) fn put_header(&mut self, entry: &Entry) -> Outcome<()> {
        if let Some(taker) = self.special.taker {
            return taker(entry, None);
        }
        let mut header = std::mem::take(&mut self.header);
        header.clear();
        write::header(entry, &mut header);
        let answer = self.put(&header);
        self.header = header;
        answer
    }

    fn put(&mut self, bytes: &[u8]) -> Outcome<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.filled == BUFFER {
                self.flush()?;
            }
            let (now, later) = rest.split_at(rest.len().min(BUFFER - self.filled));
            self.buffer[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            rest = later;
        }
        self.written += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Outcome<()> {
        let length = std::mem::take(&mut self.filled);
        self.out.write_all(&self.buffer[..length]).map_err(Fault::write)
    }
}

/// Where a file has data, lseek(2) SEEK_DATA and SEEK_HOLE; `None` where that takes more than `most` bytes to say. The file
/// may change meanwhile, also in size: ENXIO says that there is nothing behind this place, and so the data ends there.
fn extents(fd: BorrowedFd, size: u64, most: u64) -> std::result::Result<Option<Vec<Extent>>, Errno> {
    let mut map = Vec::new();
    let mut at = 0;
    while at < size {
        let offset = match fs::lseek(fd, at, Whence::SeekData) {
            Ok(offset) => offset,
            // Nothing but a hole is left.
            Err(Errno::ENXIO) => break,
            Err(errno) => return Err(errno),
        };
        at = match fs::lseek(fd, offset, Whence::SeekHole) {
            Ok(hole) => hole.min(size),
            Err(Errno::ENXIO) => break,
            Err(errno) => return Err(errno),
        };
        if offset < at {
            map.push(Extent { offset, length: at - offset });
        }
        if (map.len() + 1) as u64 * size_of::<Extent>() as u64 > most {
            return Ok(None);
        }
    }
    // GNU tar takes the end of the last part for the end of the file.
    if map.last().is_none_or(|last| last.offset + last.length < size) {
        map.push(Extent { offset: size, length: 0 });
    }
    Ok(Some(map))
}
