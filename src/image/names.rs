//! Names that are in memory while a tree is walked, and a bound on what they take: a tree may have been made to do harm.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::errno::Errno;

use super::entry::Entry;
use super::fault::{Fault, Outcome, show};
use crate::Step;

/// Bytes of what is remembered of one tree. docs/images.md says it too.
const MAX_REMEMBERED: usize = 128 << 20;

/// What a map or a set needs besides for one that is kept in it, its nodes being little more than half full.
const IN_A_SET: usize = 80;

/// Counts what has to be remembered of a tree. All clones count together.
#[derive(Clone, Default)]
pub struct Remembered(Arc<AtomicUsize>);

impl Remembered {
    /// A name that is kept in a set or a map.
    pub fn add(&self, path: &[u8]) -> Outcome<()> {
        self.take(path, path.len() + IN_A_SET)
    }

    /// An entry that is kept under its name.
    pub fn add_entry(&self, entry: &Entry) -> Outcome<()> {
        let attributes: usize = entry.xattrs.iter().map(|(name, value)| name.len() + value.len() + IN_A_SET).sum();
        let bytes = 2 * entry.path.len() + entry.link.len() + attributes + 2 * size_of::<Entry>() + IN_A_SET;
        self.take(&entry.path, bytes)
    }

    fn take(&self, path: &[u8], bytes: usize) -> Outcome<()> {
        if self.0.fetch_add(bytes, Ordering::Relaxed) + bytes > MAX_REMEMBERED {
            let why = format!(
                "names that differ, files of several names, a directory's names, and what is kept beside the files are more \
                 than the {} MiB of memory that one tree may take",
                MAX_REMEMBERED >> 20
            );
            return Err(Fault::TooMany { entry: show(path), why });
        }
        Ok(())
    }
}

/// The names in a directory, which may be millions: one behind the other, and where each begins.
pub struct Names {
    remembered: Remembered,
    /// What has been counted for them.
    cost: usize,
    /// Its length in two bytes, and then the name.
    bytes: Vec<u8>,
    at: Vec<u32>,
}

impl Names {
    pub fn new(remembered: &Remembered) -> Self {
        Self { remembered: remembered.clone(), cost: 0, bytes: Vec::new(), at: Vec::new() }
    }

    /// Adds a name of the directory `path`. They have to be sorted before they are asked for.
    pub fn push(&mut self, path: &[u8], name: &[u8]) -> Outcome<()> {
        // The kernel takes no name that is as long as a page, whatever a file system would have.
        let length = u16::try_from(name.len()).map_err(|_| Fault::system(Step::List, path, Errno::ENAMETOOLONG))?;
        self.cost += cost(name);
        self.remembered.take(path, cost(name))?;
        self.at.push(self.bytes.len() as u32);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(name);
        Ok(())
    }

    /// In order, each once.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        let bytes = &self.bytes;
        self.at.sort_unstable_by(|one, other| name_at(bytes, *one).cmp(name_at(bytes, *other)));
        self.at.dedup_by(|one, other| name_at(bytes, *one) == name_at(bytes, *other));
        self
    }

    /// These and `others`, which are other names of the same directory.
    pub fn merged(mut self, path: &[u8], others: Self) -> Outcome<Self> {
        if self.is_empty() {
            return Ok(others.sorted());
        }
        for name in others.iter() {
            self.push(path, name)?;
        }
        Ok(self.sorted())
    }

    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    pub fn contains(&self, name: &[u8]) -> bool {
        self.at.binary_search_by(|&at| name_at(&self.bytes, at).cmp(name)).is_ok()
    }

    pub fn get(&self, number: usize) -> Option<&[u8]> {
        self.at.get(number).map(|&at| name_at(&self.bytes, at))
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.at.iter().map(|&at| name_at(&self.bytes, at))
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.remembered.0.fetch_sub(self.cost, Ordering::Relaxed);
    }
}

/// Its length, its place, and as much again where a vector grows.
fn cost(name: &[u8]) -> usize {
    2 * (name.len() + 6)
}

fn name_at(bytes: &[u8], at: u32) -> &[u8] {
    let rest = &bytes[at as usize..];
    let (length, name) = rest.split_at(2);
    &name[..u16::from_ne_bytes([length[0], length[1]]).into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(remembered: &Remembered, names: &[&[u8]]) -> Names {
        let mut all = Names::new(remembered);
        for name in names {
            all.push(b"", name).unwrap();
        }
        all.sorted()
    }

    #[test]
    fn names_are_in_order_and_each_is_there_once() {
        let names = names(&Remembered::default(), &[b"b", b"a", b"", b"aa", b"b", &[0xff; 300]]);
        assert_eq!(names.iter().collect::<Vec<_>>(), [&b""[..], b"a", b"aa", b"b", &[0xff; 300]]);
        assert!(names.contains(b"aa") && !names.contains(b"ab") && names.get(5).is_none());
    }

    #[test]
    fn what_is_remembered_has_a_bound_and_directories_that_are_left_count_no_more() {
        let remembered = Remembered::default();
        let long = [b'x'; 255];
        for _ in 0..3 {
            let mut wide = Names::new(&remembered);
            for _ in 0..200_000 {
                wide.push(b"", &long).unwrap();
            }
        }
        let count = |mut work: Box<dyn FnMut() -> Outcome<()>>| (0..).take_while(|_| work().is_ok()).count();
        let mut wide = Names::new(&remembered);
        let room = count(Box::new(move || wide.push(b"", &long)));
        assert_eq!(room, MAX_REMEMBERED / (2 * 261));
        let of_sets = remembered.clone();
        let fault = (0..).find_map(|_| of_sets.add(&long).err()).unwrap();
        assert!(matches!(fault, Fault::TooMany { .. }), "{fault}");
    }
}
