//! Reads a tar archive entry by entry: v7, ustar, GNU and PAX. tar(5); POSIX.1-2024, pax; GNU tar's manual, "Standard".
//!
//! The `tar` crate gives the layout of a header; what the fields mean together is decided here, strictly: where two readers
//! in the field would see different entries in the same bytes, the archive is refused. Memory is bounded by
//! [`Limits::header`] and [`Limits::name`], whatever the archive says.

mod extended;
mod header;
mod map;

use std::io::BufRead;

use super::entry::{Entry, Kind};
use super::fault::{Fault, Outcome};
use super::limits::Limits;
use super::number;
use super::pax::Pax;
use super::recorder::Recorder;
use extended::{Extended, claimed_size};

const BLOCK: usize = 512;

/// Bytes of what global extended headers say together. git's has 52, a comment.
const MAX_GLOBAL: usize = 64 << 10;

pub struct Archive<'a, R> {
    input: R,
    limits: &'a Limits,
    global: Pax,
    /// Bytes of the present entry's data that are still to be read, and the padding after them.
    data: u64,
    padding: u64,
    entries: u64,
    named: u64,
    content: u64,
    blocks: u64,
    ended: bool,
    strip: usize,
    recorder: Option<Recorder>,
}

impl<'a, R: BufRead> Archive<'a, R> {
    pub fn new(input: R, limits: &'a Limits) -> Self {
        Self {
            input,
            limits,
            global: Pax::default(),
            data: 0,
            padding: 0,
            entries: 0,
            named: 0,
            content: 0,
            blocks: 0,
            ended: false,
            strip: 0,
            recorder: None,
        }
    }

    /// Takes this many leading components off every name.
    pub fn stripped(mut self, strip: usize) -> Self {
        self.strip = strip;
        self
    }

    /// Has all that is read recorded, but for what [`Archive::content_of`] is told of.
    pub fn recorded(mut self, recorder: Option<Recorder>) -> Self {
        self.recorder = recorder;
        self
    }

    /// The data that is consumed from here on is the content of the file of `entry`.
    pub fn content_of(&mut self, entry: &Entry) -> Outcome<()> {
        self.recorder.as_mut().map_or(Ok(()), |recorder| recorder.content(entry))
    }

    /// Reads what follows the archive's end, and ends the record.
    pub fn finish(&mut self) -> Outcome<()> {
        let Some(mut recorder) = self.recorder.take() else { return Ok(()) };
        loop {
            let rest = self.input.fill_buf().map_err(Fault::read)?;
            let length = rest.len();
            if length == 0 {
                return recorder.finish();
            }
            recorder.raw(rest)?;
            self.input.consume(length);
        }
    }

    /// Whether the archive had its end marker. One without, which ends between two entries, is taken all the same, as others
    /// take it: there are writers that forget it.
    #[cfg(any(test, fuzzing))]
    pub fn has_end(&self) -> bool {
        self.ended
    }

    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Entries so far that are not the root itself.
    pub fn named(&self) -> u64 {
        self.named
    }

    /// Bytes of all files so far, holes included.
    pub fn content(&self) -> u64 {
        self.content
    }

    /// The next entry, what is left of the present one's data being skipped.
    pub fn next(&mut self) -> Outcome<Option<Entry>> {
        if self.ended {
            return Ok(None);
        }
        self.skip()?;
        let mut extended = Extended::default();
        let mut block = [0u8; BLOCK];
        loop {
            let has_block = self.block(&mut block)?;
            if !has_block || is_zero(&block) {
                if !extended.is_empty() {
                    return Err(Fault::bad(b"", "an extended header without the entry it belongs to"));
                }
                self.ended = has_block && self.second_end_block()?;
                return Ok(None);
            }
            let header = self.checked(&block)?;
            let typeflag = header.as_old().linkflag[0];
            match typeflag {
                // v7 knows of none: some readers take it for one all the same, others for a file.
                b'x' | b'X' | b'g' | b'L' | b'K' if !block[257..].starts_with(b"ustar") => {
                    return Err(Fault::bad(b"", "an extended header that is not marked as ustar"));
                }
                b'x' | b'X' | b'g' | b'L' | b'K' => {
                    let size = claimed_size(header)?;
                    let bytes = self.extended_header(size)?;
                    if typeflag == b'g' {
                        self.global.read(&bytes, true)?;
                        // Each entry gets a copy.
                        let size = self.global.size();
                        if size > MAX_GLOBAL {
                            let why = format!("global extended headers of {size} bytes, the most is {MAX_GLOBAL}");
                            return Err(Fault::bad(b"", why));
                        }
                    } else {
                        extended.add(typeflag, bytes, &self.global)?;
                    }
                }
                // A volume's name, and what Solaris and old GNU tars keep beside entries.
                b'V' | b'A' | b'N' => {
                    self.data = claimed_size(header)?;
                    self.padding = padding(self.data);
                    self.skip()?;
                }
                _ => {
                    self.entries += 1;
                    if self.entries > self.limits.entries {
                        return Err(Fault::over(b"", "entries", format!("more than {} entries", self.limits.entries)));
                    }
                    let entry = self.entry(&block, std::mem::take(&mut extended))?;
                    if self.strip > 0 && entry.path.is_empty() && entry.kind != Kind::Directory {
                        // It lies beside what is wanted.
                        self.skip()?;
                        continue;
                    }
                    self.named += u64::from(!entry.path.is_empty());
                    return Ok(Some(entry));
                }
            }
        }
    }

    /// The next piece of the present entry's data, empty at its end. `consume` says how much of it was used.
    pub fn data(&mut self) -> Outcome<&[u8]> {
        if self.data == 0 {
            return Ok(&[]);
        }
        let piece = self.input.fill_buf().map_err(Fault::read)?;
        if piece.is_empty() {
            return Err(Fault::cut_off(b""));
        }
        let length = usize::try_from(self.data).unwrap_or(usize::MAX).min(piece.len());
        Ok(&piece[..length])
    }

    pub fn consume(&mut self, length: usize) {
        self.data -= length as u64;
        self.input.consume(length);
    }

    /// Consumes what is no file's content.
    fn pass(&mut self, length: usize) -> Outcome<()> {
        if let Some(recorder) = &mut self.recorder {
            recorder.raw(&self.input.fill_buf().map_err(Fault::read)?[..length])?;
        }
        self.consume(length);
        Ok(())
    }

    fn skip(&mut self) -> Outcome<()> {
        self.data += std::mem::take(&mut self.padding);
        loop {
            let length = self.data()?.len();
            if length == 0 {
                return Ok(());
            }
            self.pass(length)?;
        }
    }

    /// Fills `block`; false at the end of the input.
    fn block(&mut self, block: &mut [u8; BLOCK]) -> Outcome<bool> {
        let mut filled = 0;
        while filled < BLOCK {
            let piece = self.input.fill_buf().map_err(Fault::read)?;
            if piece.is_empty() {
                break;
            }
            let length = piece.len().min(BLOCK - filled);
            block[filled..filled + length].copy_from_slice(&piece[..length]);
            self.input.consume(length);
            filled += length;
        }
        match filled {
            0 => return Ok(false),
            BLOCK => self.recorder.as_mut().map_or(Ok(()), |recorder| recorder.raw(block))?,
            _ if self.blocks == 0 => return Err(not_a_tar()),
            _ => return Err(Fault::cut_off(b"")),
        }
        self.blocks += 1;
        Ok(true)
    }

    /// An archive ends with two blocks of zeros; some writers leave the second one out at the end of the file. Readers
    /// disagree about a single one in the middle.
    fn second_end_block(&mut self) -> Outcome<bool> {
        let mut block = [0u8; BLOCK];
        if self.block(&mut block)? && !is_zero(&block) {
            return Err(Fault::bad(
                b"",
                "a block of zeros in the middle, after which some readers stop and others go on",
            ));
        }
        Ok(true)
    }

    fn checked<'b>(&self, block: &'b [u8; BLOCK]) -> Outcome<&'b tar::Header> {
        let header = tar::Header::from_byte_slice(block);
        let field = &header.as_old().cksum;
        let stated = number::field(field);
        // The checksum is over the header with its own field blank; some old tars summed signed bytes.
        let others = || block[..148].iter().chain(&block[156..]);
        let blank = 8 * i128::from(b' ');
        let unsigned = others().map(|&byte| i128::from(byte)).sum::<i128>() + blank;
        let signed = others().map(|&byte| i128::from(byte as i8)).sum::<i128>() + blank;
        if stated != Some(unsigned) && stated != Some(signed) {
            return Err(if self.blocks == 1 {
                not_a_tar()
            } else {
                Fault::bad(b"", "a damaged header: its checksum is wrong")
            });
        }
        Ok(header)
    }

    fn extended_header(&mut self, size: u64) -> Outcome<Vec<u8>> {
        if size > self.limits.header {
            return Err(Fault::over(b"", "header", format!("an extended header of {size} bytes")));
        }
        self.data = size;
        self.padding = padding(size);
        // The size is only a claim: grow with what is really there.
        let mut bytes = Vec::new();
        loop {
            let piece = self.data()?;
            if piece.is_empty() {
                break;
            }
            let length = piece.len();
            bytes.extend_from_slice(piece);
            self.pass(length)?;
        }
        self.skip()?;
        Ok(bytes)
    }
}

fn not_a_tar() -> Fault {
    Fault::bad(b"", super::fault::NO_TAR)
}

fn is_zero(block: &[u8; BLOCK]) -> bool {
    block.iter().all(|&byte| byte == 0)
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}
