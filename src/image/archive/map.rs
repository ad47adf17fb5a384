//! Maps of sparse files: where in a file the data of its entry belongs. GNU tar's manual, "Storing Sparse Files".

use std::io::BufRead;

use super::super::entry::Extent;
use super::super::fault::{Fault, Outcome};
use super::super::number;
use super::super::pax::Pax;
use super::super::sparse;
use super::{Archive, BLOCK};

impl<R: BufRead> Archive<'_, R> {
    /// GNU's old form: four extents in the header, more in blocks behind it.
    pub(super) fn gnu_sparse(&mut self, block: &[u8; BLOCK], path: &[u8]) -> Outcome<(u64, Vec<Extent>)> {
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
    pub(super) fn pax_sparse(&mut self, pax: &mut Pax, path: &[u8]) -> Outcome<Option<(u64, Vec<Extent>)>> {
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
}
