//! What the fields of a header and of the extended headers in front of it say together.

use std::io::BufRead;

use super::super::acl;
use super::super::entry::{Entry, Kind};
use super::super::fault::{Fault, Outcome};
use super::super::number;
use super::super::sparse;
use super::extended::{Extended, until_nul};
use super::{Archive, BLOCK, padding};

/// Bytes of the names of all attributes of a file.
const MAX_XATTR_LIST: usize = 64 << 10;

/// The largest size that the eleven octal digits of a ustar header hold.
const MAX_OCTAL: u64 = 0o777_7777_7777;

impl<R: BufRead> Archive<'_, R> {
    pub(super) fn entry(&mut self, block: &[u8; BLOCK], extended: Extended) -> Outcome<Entry> {
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
