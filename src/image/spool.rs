//! Entries put by, in a file of the store instead of in memory: what must wait for the archive's end, and what a tree of
//! files cannot hold. The file is itself a tar archive of headers.

use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, Write};
use std::os::fd::{BorrowedFd, OwnedFd};

use super::archive::Archive;
use super::entry::Entry;
use super::fault::{Fault, Outcome};
use super::limits::Limits;
use super::write;
use crate::Step;
use crate::sys::fs::{self, Mode, OFlag};

pub struct Spool {
    file: BufWriter<File>,
}

impl Spool {
    /// A new one called `name` in `dir`.
    pub fn create(dir: BorrowedFd, name: &str) -> Outcome<Self> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd: OwnedFd = fs::openat(dir, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|errno| Fault::system(Step::Create, name.as_bytes(), errno))?;
        Ok(Self { file: BufWriter::new(File::from(fd)) })
    }

    pub fn add(&mut self, entry: &Entry) -> Outcome<()> {
        // Only what the entry says of itself, not what it holds.
        let entry = Entry { size: 0, sparse: None, ..entry.clone() };
        let mut bytes = Vec::with_capacity(1024);
        write::header(&entry, &mut bytes);
        self.file.write_all(&bytes).map_err(|error| failed(&error))
    }

    /// Ends it as an archive.
    pub fn finish(mut self) -> Outcome<File> {
        self.file.write_all(&write::END).map_err(|error| failed(&error))?;
        self.file.into_inner().map_err(|error| failed(error.error()))
    }

    /// Ends it, so that what was put by can be taken up again.
    pub fn replay<'l>(self, limits: &'l Limits) -> Outcome<Replay<'l>> {
        Ok(Replay { file: self.finish()?, limits })
    }
}

pub struct Replay<'l> {
    file: File,
    limits: &'l Limits,
}

impl Replay<'_> {
    /// Calls `each` for all that was put by, in order.
    pub fn each(&mut self, mut each: impl FnMut(Entry) -> Outcome<()>) -> Outcome<()> {
        self.file.rewind().map_err(|error| failed(&error))?;
        let mut archive = Archive::new(BufReader::with_capacity(64 << 10, &self.file), self.limits);
        while let Some(entry) = archive.next()? {
            each(entry)?;
        }
        Ok(())
    }
}

fn failed(error: &std::io::Error) -> Fault {
    Fault::System { step: Step::Write, object: String::new(), errno: error.raw_os_error().unwrap_or(libc::EIO) }
}
