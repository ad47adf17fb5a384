//! Reads a tar archive entry by entry: v7, ustar, GNU and PAX. tar(5); POSIX.1-2024, pax; GNU tar's manual, "Standard".
//!
//! The `tar` crate gives the layout of a header; what the fields mean together is decided here, strictly: where two readers
//! in the field would see different entries in the same bytes, the archive is refused. Memory is bounded by
//! [`Limits::header`] and [`Limits::name`], whatever the archive says.

use std::io::BufRead;

use super::acl;
use super::entry::{Entry, Extent, Kind};
use super::fault::{Fault, Outcome};
use super::limits::Limits;
use super::number;
use super::pax::Pax;
use super::sparse;
use super::split::Recorder;

const BLOCK: usize = 512;

/// Bytes of what global extended headers say together. git's has 52, a comment.
const MAX_GLOBAL: usize = 64 << 10;

/// Bytes of the names of all attributes of a file.
const MAX_XATTR_LIST: usize = 64 << 10;

/// The largest size that the eleven octal digits of a ustar header hold.
const MAX_OCTAL: u64 = 0o777_7777_7777;

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

    fn entry(&mut self, block: &[u8; BLOCK], extended: Extended) -> Outcome<Entry> {
        let header = tar::Header::from_byte_slice(block);
        let had_records = extended.pax.is_some();
        let mut pax = extended.pax.unwrap_or_else(|| self.global.clone());
        let name = match (pax.sparse.name.take().or(pax.path.take()), extended.name) {
            (Some(pax), Some(gnu)) if pax != gnu => return Err(Fault::bad(&pax, "it has two different long names")),
            (Some(name), _) | (None, Some(name)) => name,
            (None, None) => ustar_name(header),
        };
        let is_directory_name = name.ends_with(b"/");
        let path = self.normal(&name)?;
        let bad = |why: &str| Fault::bad(&path, why);

        let old = header.as_old();
        let kind = match old.linkflag[0] {
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::Char,
            b'4' => Kind::Block,
            b'5' | b'D' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'M' => return Err(bad("it continues a file of another volume; give all volumes as one archive")),
            // v7 has no directories, only names that end in a slash. Unknown kinds are files, as POSIX has it.
            _ if is_directory_name => Kind::Directory,
            _ => Kind::File,
        };

        let stated = number::field(&old.size).and_then(|size| u64::try_from(size).ok());
        let stated = stated.ok_or_else(|| bad("a size that is no number"))?;
        let tape = match pax.size {
            // POSIX has the record win, but a reader that overlooks it would take the file's content for headers.
            Some(size) if size != stated && size <= MAX_OCTAL => return Err(bad("two different sizes")),
            Some(size) => size,
            None => stated,
        };
        // A hard link's size is that of the file it names, without data, and some writers give directories, links and fifos
        // the size that stat(2) has for them: no reader takes that for data. A GNU incremental directory has a listing as data.
        let tape = match kind {
            Kind::HardLink => 0,
            _ if matches!(old.linkflag[0], b'2'..=b'6') && pax.size.is_none() => 0,
            Kind::File => tape,
            Kind::Directory if old.linkflag[0] == b'D' => tape,
            _ if tape == 0 => 0,
            _ => return Err(bad("data in an entry that is not a file")),
        };
        self.data = tape;
        self.padding = padding(tape);

        let id = |record: Option<u64>, field: &[u8], what: &str| {
            let id = record.map(i128::from).or_else(|| number::field(field)).unwrap_or(-1);
            u32::try_from(id).ok().filter(|&id| id != u32::MAX).ok_or_else(|| bad(&format!("{what} that is none")))
        };
        let mut entry = Entry::new(&path, kind, 0);
        entry.uid = id(pax.uid, &old.uid, "a uid")?;
        entry.gid = id(pax.gid, &old.gid, "a gid")?;
        let mode = number::field(&old.mode).ok_or_else(|| bad("a mode that is no number"))?;
        // Some writers put the file type in as well, as stat(2) has it.
        entry.mode = (mode & 0o7777) as u32;
        entry.mtime = match pax.mtime {
            Some(time) => time,
            None => {
                let seconds = number::field(&old.mtime).and_then(|time| i64::try_from(time).ok());
                (seconds.ok_or_else(|| bad("a time that is no number"))?, 0)
            }
        };
        if matches!(kind, Kind::HardLink | Kind::Symlink) {
            let link = match (pax.link.take(), extended.link) {
                (Some(pax), Some(gnu)) if pax != gnu => return Err(bad("it has two different link targets")),
                (Some(link), _) | (None, Some(link)) => link,
                (None, None) => until_nul(&old.linkname).to_vec(),
            };
            entry.link = if kind == Kind::HardLink { self.normal(&link)? } else { symlink_target(&path, link)? };
        }
        if matches!(kind, Kind::Char | Kind::Block) {
            entry.device = device(header).ok_or_else(|| bad("a device number that is none"))?;
        }
        entry.xattrs = std::mem::take(&mut pax.xattrs).into_iter().collect();
        // listxattr(2) tells no more, so no file can have more: XATTR_LIST_MAX of linux/limits.h.
        let listed = entry.xattrs.iter().map(|(name, _)| name.len() + 1).sum::<usize>();
        if listed > MAX_XATTR_LIST {
            return Err(bad(&format!("attributes whose names take {listed} bytes, the most is {MAX_XATTR_LIST}")));
        }
        acl::take(&mut pax, &mut entry).map_err(|why| bad(&why))?;

        if kind == Kind::File {
            entry.size = tape;
            let map = if old.linkflag[0] == b'S' {
                Some(self.gnu_sparse(block, &path)?)
            } else if had_records {
                self.pax_sparse(&mut pax, &path)?
            } else {
                None
            };
            if let Some((size, map)) = map {
                sparse::check(&map, size, self.data).map_err(bad)?;
                entry.size = size;
                entry.sparse = Some(map);
            }
            if entry.size > self.limits.file {
                return Err(Fault::over(&path, "file", format!("a file of {} bytes", entry.size)));
            }
        }
        self.content = self.content.saturating_add(entry.size);
        Ok(entry)
    }

    /// GNU's old form: four extents in the header, more in blocks behind it.
    fn gnu_sparse(&mut self, block: &[u8; BLOCK], path: &[u8]) -> Outcome<(u64, Vec<Extent>)> {
        let bad = || Fault::bad(path, "a sparse map that is none");
        let size = number::field(&block[483..495]).and_then(|size| u64::try_from(size).ok()).ok_or_else(bad)?;
        let mut map = Vec::new();
        sparse::extents(&block[386..386 + 4 * 24], &mut map).ok_or_else(bad)?;
        let mut more = block[482] != 0;
        let mut next = [0u8; BLOCK];
        while more {
            if !self.block(&mut next)? {
                return Err(Fault::cut_off(path));
            }
            sparse::extents(&next[..21 * 24], &mut map).ok_or_else(bad)?;
            more = next[504] != 0;
            self.bound_map(map.len(), path)?;
        }
        Ok((size, map))
    }

    /// The three PAX forms; the newest has its map in front of the data.
    fn pax_sparse(&mut self, pax: &mut Pax, path: &[u8]) -> Outcome<Option<(u64, Vec<Extent>)>> {
        let records = &mut pax.sparse;
        let Some(size) = records.real_size else {
            if records.map.is_some() || records.major.is_some() {
                return Err(Fault::bad(path, "a sparse map without the file's size"));
            }
            return Ok(None);
        };
        match (records.major, records.minor) {
            (None, _) | (Some(0), _) => Ok(Some((size, records.map.take().unwrap_or_default()))),
            (Some(1), Some(0)) => {
                let count = self.map_number(path)?;
                self.bound_map(usize::try_from(count).unwrap_or(usize::MAX), path)?;
                let mut map = Vec::new();
                for _ in 0..count {
                    let offset = self.map_number(path)?;
                    map.push(Extent { offset, length: self.map_number(path)? });
                }
                // The map is padded to a block, and the entry as a whole ends on one.
                let rest = (self.data + self.padding) % BLOCK as u64;
                for _ in 0..rest {
                    self.map_byte(path)?;
                }
                Ok(Some((size, map)))
            }
            _ => Err(Fault::bad(path, "a sparse map of a version that nobody writes")),
        }
    }

    fn bound_map(&self, extents: usize, path: &[u8]) -> Outcome<()> {
        if extents as u64 * std::mem::size_of::<Extent>() as u64 > self.limits.header {
            return Err(Fault::over(path, "header", format!("a sparse map of {extents} parts")));
        }
        Ok(())
    }

    fn map_number(&mut self, path: &[u8]) -> Outcome<u64> {
        let mut digits = Vec::new();
        loop {
            match self.map_byte(path)? {
                b'\n' => break,
                digit if digits.len() < 20 => digits.push(digit),
                _ => return Err(Fault::bad(path, "a sparse map that is none")),
            }
        }
        number::decimal(&digits).ok_or_else(|| Fault::bad(path, "a sparse map that is none"))
    }

    fn map_byte(&mut self, path: &[u8]) -> Outcome<u8> {
        match self.data()?.first() {
            Some(&byte) => {
                self.pass(1)?;
                Ok(byte)
            }
            None => Err(Fault::bad(path, "a sparse map longer than its entry")),
        }
    }

    /// A name as [`Entry::path`] has it. A leading slash means the image's root, `..` is refused even where it would stay
    /// inside: what it means depends on links, and so on the order of extraction.
    fn normal(&self, name: &[u8]) -> Outcome<Vec<u8>> {
        let mut path = Vec::with_capacity(name.len());
        let mut depth = 0;
        for component in name.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return Err(Fault::bad(name, "its name leads out of the image by ..")),
                _ if component.contains(&0) => return Err(Fault::bad(name, "a NUL in its name")),
                _ if component.len() > 255 => {
                    return Err(Fault::bad(name, "a part of its name is longer than 255 bytes"));
                }
                _ => {}
            }
            depth += 1;
            if depth <= self.strip {
                continue;
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(component);
        }
        if path.len() > self.limits.name {
            return Err(Fault::over(&path, "name", format!("a name of {} bytes", path.len())));
        }
        if depth > self.limits.depth {
            return Err(Fault::over(&path, "depth", format!("a name of {depth} levels")));
        }
        Ok(path)
    }
}

/// What the extended headers in front of an entry say.
#[derive(Default)]
struct Extended {
    pax: Option<Pax>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Extended {
    fn add(&mut self, typeflag: u8, bytes: Vec<u8>, global: &Pax) -> Outcome<()> {
        let twice = match typeflag {
            b'L' => self.name.replace(until_nul(&bytes).to_vec()).is_some(),
            b'K' => self.link.replace(until_nul(&bytes).to_vec()).is_some(),
            _ => {
                let mut pax = global.clone();
                pax.read(&bytes, false)?;
                self.pax.replace(pax).is_some()
            }
        };
        // Some readers add two up, others take the last one.
        if twice {
            return Err(Fault::bad(b"", "two extended headers of a kind for one entry"));
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.pax.is_none() && self.name.is_none() && self.link.is_none()
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

fn until_nul(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len())]
}

/// The size of an entry that PAX records do not speak of.
fn claimed_size(header: &tar::Header) -> Outcome<u64> {
    let size = number::field(&header.as_old().size).and_then(|size| u64::try_from(size).ok());
    size.ok_or_else(|| Fault::bad(b"", "an extended header whose size is no number"))
}

fn ustar_name(header: &tar::Header) -> Vec<u8> {
    let name = until_nul(&header.as_old().name);
    let bytes = header.as_bytes();
    // Whatever the version is: some writers leave it blank or zero. GNU's own format ("ustar  ") has no prefix.
    if &bytes[257..263] != b"ustar\0" {
        return name.into();
    }
    // star keeps two times in the last bytes of the prefix.
    let is_star = &bytes[508..] == b"tar\0";
    let prefix = until_nul(&bytes[345..if is_star { 345 + 131 } else { 500 }]);
    if prefix.is_empty() { name.into() } else { [prefix, b"/", name].concat() }
}

fn symlink_target(path: &[u8], target: Vec<u8>) -> Outcome<Vec<u8>> {
    match target.len() {
        0 => Err(Fault::bad(path, "a symbolic link to nothing")),
        _ if target.contains(&0) => Err(Fault::bad(path, "a NUL in a link target")),
        // PATH_MAX, the NUL included.
        4096.. => Err(Fault::bad(path, "a symbolic link longer than 4095 bytes")),
        _ => Ok(target),
    }
}

fn device(header: &tar::Header) -> Option<(u32, u32)> {
    let bytes = header.as_bytes();
    // v7 has no devices; ustar and GNU keep the numbers in the same place.
    let number = |field: &[u8]| number::field(field).and_then(|number| u32::try_from(number).ok());
    Some((number(&bytes[329..337])?, number(&bytes[337..345])?))
}
