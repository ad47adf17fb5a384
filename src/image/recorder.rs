//! What is noted of an archive while it is read, so that it can be made again: see `split`.
//!
//! The file is a zstd stream of records: what is no file's content as it is, and for each content the file and its parts.

use std::fs::File;
use std::io::Write;
use std::os::fd::BorrowedFd;

use super::entry::{Entry, Extent};
use super::fault::{Fault, Outcome};
use crate::Step;
use crate::sys::fs::{self, Mode, OFlag};

/// Its name, beside the layer's tree.
pub const NAME: &str = "split";

/// A record of what is no file's content.
pub const RAW: u8 = b'R';
const CONTENT: u8 = b'C';
/// Most bytes of a raw record.
const MAX_RAW: usize = 64 << 10;
/// More than a name or a sparse map ever has; a record of that size was written by someone else.
pub const MAX_RECORD: usize = 16 << 20;

pub struct Recorder {
    out: zstd::Encoder<'static, File>,
    raw: Vec<u8>,
}

impl Recorder {
    pub fn create(dir: BorrowedFd) -> Outcome<Self> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = fs::openat(dir, NAME, flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|errno| Fault::system(Step::Create, NAME.as_bytes(), errno))?;
        let out = zstd::Encoder::new(File::from(fd), 1).map_err(Fault::write)?;
        Ok(Self { out, raw: Vec::with_capacity(MAX_RAW) })
    }

    /// Bytes that are no file's content.
    pub fn raw(&mut self, mut bytes: &[u8]) -> Outcome<()> {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(MAX_RAW - self.raw.len()));
            self.raw.extend_from_slice(now);
            bytes = rest;
            if self.raw.len() == MAX_RAW {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Here is the content of the file of `entry`.
    pub fn content(&mut self, entry: &Entry) -> Outcome<()> {
        self.flush()?;
        let whole = [Extent { offset: 0, length: entry.size }];
        let mut record = vec![CONTENT];
        number(&mut record, entry.path.len());
        record.extend_from_slice(&entry.path);
        let parts = entry.sparse.as_deref().unwrap_or(&whole);
        number(&mut record, parts.len());
        for part in parts {
            record.extend_from_slice(&part.offset.to_le_bytes());
            record.extend_from_slice(&part.length.to_le_bytes());
        }
        self.out.write_all(&record).map_err(Fault::write)
    }

    pub fn finish(mut self) -> Outcome<()> {
        self.flush()?;
        self.out.finish().map(drop).map_err(Fault::write)
    }

    fn flush(&mut self) -> Outcome<()> {
        if self.raw.is_empty() {
            return Ok(());
        }
        let mut head = vec![RAW];
        number(&mut head, self.raw.len());
        let written = self.out.write_all(&head).and_then(|()| self.out.write_all(&self.raw));
        self.raw.clear();
        written.map_err(Fault::write)
    }
}

fn number(record: &mut Vec<u8>, number: usize) {
    record.extend_from_slice(&(number as u32).to_le_bytes());
}
