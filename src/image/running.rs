//! A running container as this room sees it: the tree of its root, the directory of its changes, and the image below.

use std::cell::RefCell;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use super::dirs::{Dirs, Opener};
use super::export::{Export, Id, Special};
use super::fault::{Fault, Outcome};
use super::lower::Lower;
use super::output::{self, ExportOptions, Output};
use super::pipeline::Report;
use super::{digest::Digest, store::Store, write};
use crate::Result;

/// What `container` knows about it.
pub(crate) struct Running {
    /// What errors call it.
    pub name: String,
    /// The root, without what is mounted on it.
    pub root: OwnedFd,
    /// The directory of the changes, where the root is an overlay.
    pub upper: Option<OwnedFd>,
    /// What is below, where the root is an overlay.
    pub below: Below,
    /// A host's id as it is inside.
    pub inside: Box<dyn Fn(Id) -> Option<u32> + Sync>,
    /// Opens what its root may open and we may not.
    pub opener: Option<Opener>,
    /// It has more users than one, who may have written attributes that only look like ours.
    pub has_users: bool,
}

/// What an overlay has below.
pub(crate) enum Below {
    /// Nothing: the root is no overlay.
    Nothing,
    /// A directory of the host.
    Directory(PathBuf),
    /// The image of this digest (`sha256:HEX`), in use by the container, so here.
    Image(Store, String),
}

impl Below {
    /// The trees, lowest first.
    pub(super) fn layers(&self) -> Result<Vec<PathBuf>> {
        match self {
            Self::Nothing => Ok(Vec::new()),
            Self::Directory(path) => Ok(vec![path.clone()]),
            Self::Image(store, digest) => {
                let hex = Digest::parse(digest).map(|digest| digest.hex()).unwrap_or_default();
                let record = store.known_digest(&hex, digest)?.record;
                Ok(record.layers.iter().map(|layer| store.layer_path(layer)).collect())
            }
        }
    }

    /// What is kept beside them of what they can't hold.
    fn kept(&self) -> Result<Vec<File>> {
        match self {
            Self::Image(..) => {
                Ok(self.layers()?.iter().filter_map(|layer| File::open(layer.with_file_name("kept")).ok()).collect())
            }
            _ => Ok(Vec::new()),
        }
    }
}

impl Running {
    /// Writes the root as a tar archive. Answers how many bytes.
    pub fn export(&self, output: Output<'_>, options: &ExportOptions, report: Report<'_>) -> Result<u64> {
        let latest = output::epoch(options.epoch)?;
        let layers = self.below.layers()?;
        let kept = self.below.kept()?;
        output::pack(&self.name, output, options.compression, report, |packing| {
            let lower = RefCell::new(Lower::open(&layers)?);
            let changed = self.changes()?.map(RefCell::new);
            let special = Special {
                lower: Some(&lower),
                changed: changed.as_ref(),
                opener: self.opener.clone(),
                doubts_owners: self.has_users,
                ..Special::default()
            };
            let mut count = |_| {
                packing.counters.entry();
                true
            };
            let export = Export {
                kept,
                latest,
                inside: Some(&*self.inside),
                one_file_system: true,
                go_on: Some(&mut count),
                ..Export::default()
            };
            export.entries(special, duplicate(&self.root)?, packing.out)?;
            packing.out.write_all(&write::END).map_err(Fault::write)
        })
    }

    /// The directory of the changes.
    pub(super) fn changes(&self) -> Outcome<Option<Dirs>> {
        let upper = self.upper.as_ref().map(duplicate).transpose()?;
        Ok(upper.map(|upper| Dirs::new(upper).with_opener(self.opener.clone())))
    }
}

pub(super) fn duplicate(fd: &OwnedFd) -> Outcome<OwnedFd> {
    fd.try_clone().map_err(Fault::read)
}
