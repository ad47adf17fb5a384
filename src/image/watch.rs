//! How far the writing of an archive is: told to the caller now and then, who can stop it.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::time::Instant;

use super::fault::Fault;
use super::pipeline::{Progress, REPORT_EVERY, Report};

/// Tells how far it is, now and then, and hears whether to go on.
pub struct Watch<'r> {
    report: RefCell<Report<'r>>,
    told: Cell<Instant>,
    pub bytes: Cell<u64>,
    pub entries: Cell<u64>,
    total: u64,
}

impl<'r> Watch<'r> {
    pub fn new(report: Report<'r>, total: u64) -> Self {
        let (bytes, entries) = (Cell::new(0), Cell::new(0));
        Self { report: RefCell::new(report), told: Cell::new(Instant::now()), bytes, entries, total }
    }

    fn look(&self) -> io::Result<()> {
        if self.told.get().elapsed() < REPORT_EVERY {
            return Ok(());
        }
        self.told.set(Instant::now());
        self.tell()
    }

    /// Tells it now.
    pub fn tell(&self) -> io::Result<()> {
        // The archive has headers, too, so this may come to a little more than the image's size.
        let progress =
            Progress { bytes: self.bytes.get().min(self.total), total: self.total, entries: self.entries.get() };
        match (self.report.borrow_mut())(progress) {
            true => Ok(()),
            false => Err(io::Error::other(Fault::Cancelled)),
        }
    }
}

/// Passes bytes on under a watch.
pub struct Watched<'w, 'r, W> {
    pub inner: W,
    pub watch: &'w Watch<'r>,
}

impl<W: Write> Write for Watched<'_, '_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.watch.look()?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
