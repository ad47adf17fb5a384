//! A layer's archive less what its files hold, kept beside the tree. From both the archive comes again byte for byte, and so
//! with the digest that others know it by. Docker does the same and calls it tar-split.

use crate::Step;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use super::archive::Archive;
use super::dirs::Dirs;
use super::entry::{Extent, split};
use super::fault::{Fault, Outcome};
use super::limits::Limits;
use super::recorder::{MAX_RECORD, RAW};
use super::rights::Rights;
use crate::sys::fs::{self, FileType, OFlag};

/// Writes the archive to `out`, as far as it can be had of what is there. Whether it was all of it, and as it was, its digest
/// says. `each` hears how many bytes there are so far.
pub fn rebuild(record: File, tree: OwnedFd, out: &mut dyn Write, each: &mut dyn FnMut(u64)) -> Outcome<()> {
    let Ok(records) = zstd::Decoder::new(record) else { return Ok(()) };
    let mut records = BufReader::new(records);
    let mut dirs = Dirs::new(tree).with_opener(Rights::of_this_user().opener());
    let mut buffer = vec![0; 256 << 10];
    let mut written = 0;
    while let Some([kind]) = bytes(&mut records) {
        let Some(text) = sized(&mut records) else { break };
        if kind == RAW {
            out.write_all(&text).map_err(Fault::write)?;
            written += text.len() as u64;
        } else {
            let (Some(parts), Some(file)) = (extents(&mut records), open(&mut dirs, &text)) else { break };
            for Extent { mut offset, length } in parts {
                let end = offset.saturating_add(length);
                while offset < end {
                    let most = usize::try_from(end - offset).unwrap_or(usize::MAX).min(buffer.len());
                    let length = fs::pread(&file, &mut buffer[..most], offset)
                        .map_err(|errno| Fault::system(Step::Read, &text, errno))?;
                    if length == 0 {
                        return Ok(());
                    }
                    out.write_all(&buffer[..length]).map_err(Fault::write)?;
                    offset += length as u64;
                    written += length as u64;
                }
            }
            each(written);
        }
    }
    Ok(())
}

/// Whether a name is in the archive twice. The specification forbids it, and docker and podman load no such layer.
pub fn has_twice(record: File, limits: &Limits) -> bool {
    let Ok(records) = zstd::Decoder::new(record) else { return true };
    let blank = Blank { records: BufReader::new(records), raw: Vec::new(), zeros: 0 };
    let mut archive = Archive::new(BufReader::with_capacity(64 << 10, blank), limits);
    let mut names = HashSet::new();
    loop {
        match archive.next() {
            Ok(Some(entry)) if names.insert(entry.path.clone()) => {}
            Ok(None) => return false,
            _ => return true,
        }
    }
}

/// The archive, with zeros for what its files hold.
struct Blank<R> {
    records: R,
    raw: Vec<u8>,
    zeros: u64,
}

impl<R: Read> Read for Blank<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.raw.is_empty() && self.zeros == 0 {
            let Some([kind]) = bytes(&mut self.records) else { return Ok(0) };
            let text = sized(&mut self.records).ok_or(io::ErrorKind::InvalidData)?;
            if kind == RAW {
                self.raw = text;
            } else {
                let parts = extents(&mut self.records).ok_or(io::ErrorKind::InvalidData)?;
                self.zeros = parts.iter().fold(0, |sum, part| sum.saturating_add(part.length));
            }
        }
        if self.raw.is_empty() {
            let length = usize::try_from(self.zeros).unwrap_or(usize::MAX).min(buffer.len());
            buffer[..length].fill(0);
            self.zeros -= length as u64;
            return Ok(length);
        }
        let length = self.raw.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.raw[..length]);
        self.raw.drain(..length);
        Ok(length)
    }
}

fn bytes<const N: usize>(records: &mut impl Read) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    records.read_exact(&mut bytes).ok().map(|()| bytes)
}

fn sized(records: &mut impl Read) -> Option<Vec<u8>> {
    let length = u32::from_le_bytes(bytes(records)?) as usize;
    let mut text = vec![0; Some(length).filter(|&length| length <= MAX_RECORD)?];
    records.read_exact(&mut text).ok().map(|()| text)
}

fn extents(records: &mut impl Read) -> Option<Vec<Extent>> {
    let count = u32::from_le_bytes(bytes(records)?) as usize;
    let mut parts = Vec::new();
    for _ in 0..count {
        let (offset, length) = (u64::from_le_bytes(bytes(records)?), u64::from_le_bytes(bytes(records)?));
        parts.push(Extent { offset, length });
    }
    Some(parts)
}

fn open(dirs: &mut Dirs, path: &[u8]) -> Option<OwnedFd> {
    let (above, name) = split(path);
    let opener = dirs.opener();
    let parent = dirs.enter(above).ok()?;
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = super::dirs::open(opener.as_ref(), parent, name, flags).ok()?;
    let is_file = fs::file_type(fs::fstat(file.as_fd()).ok()?.st_mode) == Some(FileType::File);
    is_file.then_some(file)
}
