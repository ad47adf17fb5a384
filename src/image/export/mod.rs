//! Trees of files into tar archives: the other half of `unpack`.
//!
//! The same tree gives the same bytes: entries are sorted, a hard link's first name is the file, and nothing of this
//! machine (device and inode numbers, names of users, access times) is in it. What the unpacker could not give a file, it
//! noted, and here it comes back.

mod attributes;
mod content;
mod entries;
mod kept;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

pub(super) use attributes::{attributes, is_replaced, leased, look, owner, read_link};

use super::archive::Archive;
use super::dirs::{Dirs, Opener};
use super::entry::Entry;
use super::fault::{Fault, Outcome};
use super::limits::Limits;
use super::lower::Lower;
use super::names::Remembered;
use super::owner::Id;
use super::rights::Rights;
use super::walk::Walk as Way;
use super::write;
use crate::sys::fs;
use crate::{Error, Result, Step};

const BUFFER: usize = 256 << 10;

/// How a tree becomes an archive.
#[derive(Default)]
#[non_exhaustive]
pub struct Export<'e> {
    /// Whiteouts of overlayfs become those of OCI layers; otherwise they are left out.
    pub is_layer: bool,
    /// What the trees can't hold, tars of headers, lowest first: `layers/HEX/kept` where there is one.
    pub kept: Vec<File>,
    /// Times later than this become this (SOURCE_DATE_EPOCH).
    pub latest: Option<i64>,
    /// A host's uid or gid as it is inside the image; `None` for one that the image can't have. Without this they are
    /// what they are for root, and for an ordinary user their own are root's and those of their ranges what they are inside.
    pub inside: Option<&'e dyn Fn(Id) -> Option<u32>>,
    /// What lies on other file systems is left out, the directories that they are mounted on stay.
    pub one_file_system: bool,
    /// Asked now and then; false stops it.
    pub go_on: Option<&'e mut dyn FnMut(u64) -> bool>,
}

crate::config::with!(Export<'e>);

impl Export<'_> {
    /// Writes the tree below `root`, called `name` in errors, as an archive to `out`. Answers how many bytes.
    pub fn to(self, root: OwnedFd, name: &str, out: &mut dyn Write) -> Result<u64> {
        self.write(root, out).map_err(|fault| match fault {
            Fault::System { step, object, errno } if object.is_empty() => Error::system(step, name, errno),
            fault => fault.into_error(name),
        })
    }

    pub(super) fn write(self, root: OwnedFd, out: &mut dyn Write) -> Outcome<u64> {
        let mut written = self.entries(Special::default(), root, out)?;
        out.write_all(&write::END).map_err(Fault::write)?;
        written += write::END.len() as u64;
        out.flush().map_err(Fault::write)?;
        Ok(written)
    }

    /// Writes the entries of an archive, and not its end. Answers how many bytes.
    pub(super) fn entries(mut self, special: Special<'_>, root: OwnedFd, out: &mut dyn Write) -> Outcome<u64> {
        let (mut kept, remembered) = (BTreeMap::new(), special.remembered.clone());
        for file in std::mem::take(&mut self.kept) {
            read_kept(file, &mut kept, &remembered)?;
        }
        let device = fs::fstat(&root).map_err(|errno| Fault::system(Step::LookAt, b".", errno))?.st_dev;
        let rights = Rights::of_this_user();
        let mut special = special;
        special.opener = special.opener.or_else(|| rights.opener());
        let mut walk = Walk {
            options: self,
            rights,
            dirs: Dirs::new(root).with_opener(special.opener.clone()),
            special,
            kept,
            device,
            links: BTreeMap::new(),
            remembered,
            out,
            header: Vec::new(),
            buffer: vec![0; BUFFER],
            filled: 0,
            written: 0,
        };
        walk.tree()?;
        walk.flush()?;
        Ok(walk.written)
    }
}

/// Adds what such a file says.
fn read_kept(file: File, kept: &mut BTreeMap<Vec<u8>, Entry>, remembered: &Remembered) -> Outcome<()> {
    let limits = Limits::default();
    let mut archive = Archive::new(BufReader::new(file), &limits);
    while let Some(entry) = archive.next()? {
        remembered.add_entry(&entry)?;
        kept.insert(entry.path.clone(), entry);
    }
    Ok(())
}

/// A question about a path.
type OfPath<'p, T> = dyn Fn(&[u8]) -> T + 'p;

/// Takes an entry, and its file where that has content.
pub(super) type Taker<'t> = dyn Fn(&Entry, Option<BorrowedFd<'_>>) -> Outcome<()> + 't;

/// What only some of our own exports need: those of running containers, of differences and of builds.
#[derive(Default)]
pub(super) struct Special<'s> {
    /// The name in the archive of what the tree has under this one; `None` leaves it out, with all that is below it.
    pub names: Option<&'s OfPath<'s, Outcome<Option<Vec<u8>>>>>,
    /// Whether the mark of this opaque directory says anything.
    pub is_opaque: Option<&'s OfPath<'s, bool>>,
    /// What is below. Files have their owners from there where the map has none for them.
    pub lower: Option<&'s RefCell<Lower>>,
    /// The tree is what `lower` shows.
    pub is_lower: bool,
    /// The directory that counts instead of the tree's own of this name (in the archive).
    pub directories: Option<&'s OfPath<'s, Outcome<Option<Entry>>>>,
    /// Where to start: a name in the tree, empty for all of it.
    pub start: Vec<u8>,
    /// Owner, group and mode of the root, where the tree's own don't count.
    pub root: Option<(u32, u32, u32)>,
    /// The container's own files: what was kept for the image's says nothing of them.
    pub changed: Option<&'s RefCell<Dirs>>,
    /// Opens what we may not.
    pub opener: Option<Opener>,
    /// What may have been made with the container: its time says only when that was, so that of the image's root counts.
    pub mount_points: Option<&'s BTreeSet<Vec<u8>>>,
    /// Empty files that were made with it where the image has none: they only hold the place of a mount.
    pub empty_mount_points: &'s [Vec<u8>],
    /// What is remembered of the tree already.
    pub remembered: Remembered,
    /// What lies on file systems of the kernel's own is left out: files there have no size, and what is read there may wait.
    pub leaves_kernels: bool,
    /// Takes entries, and the files that have their content, in the place of an archive.
    pub taker: Option<&'s Taker<'s>>,
    /// Our own attributes are not believed: someone who is not the image's root may have written them.
    pub doubts_owners: bool,
}

struct Walk<'w, 'e, 's> {
    options: Export<'e>,
    rights: Arc<Rights>,
    special: Special<'s>,
    dirs: Dirs,
    kept: BTreeMap<Vec<u8>, Entry>,
    device: u64,
    /// The first name of files that have several.
    links: BTreeMap<(u64, u64), First>,
    remembered: Remembered,
    out: &'w mut dyn Write,
    header: Vec<u8>,
    /// What is on its way out. Files are read right into it.
    buffer: Vec<u8>,
    filled: usize,
    written: u64,
}

struct First {
    path: Vec<u8>,
    owner: (u32, u32, u32),
}

impl Walk<'_, '_, '_> {
    /// Depth first, each directory before what is in it; without recursion, since a tree may be deeper than a stack.
    fn tree(&mut self) -> Outcome<()> {
        let mut way = Way::new(std::mem::take(&mut self.special.start));
        while way.go()? {
            if self.entry(way.path())? {
                let children = self.children(way.path())?;
                way.down(children);
            }
            if let Some(go_on) = &mut self.options.go_on
                && !go_on(self.written)
            {
                return Err(Fault::Cancelled);
            }
        }
        Ok(())
    }
}

pub(super) fn clamp(entry: &mut Entry, latest: Option<i64>) {
    if let Some(latest) = latest
        && entry.mtime >= (latest, 0)
    {
        entry.mtime = (latest, 0);
    }
}
