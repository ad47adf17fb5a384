//! A running container as this room sees it: the tree of its root, the directory of its changes, and the image below.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Instant;

use super::diff::{Change, Compare, Difference, Differences};
use super::dirs::{Dirs, Opener};
use super::entry::Entry;
use super::export::{Export, Special, Taker};
use super::fault::{Fault, Outcome};
use super::import::Importing;
use super::lower::Lower;
use super::make::{self, Base, MakeOptions};
use super::manage::Image;
use super::output::{self, ExportOptions, Output, Packing};
use super::owner::Id;
use super::pipeline::{Progress, REPORT_EVERY, Report};
use super::store::{DEFAULT_ROOT, Store};
use super::{snapshot, write};
use crate::sys::fs::{self};
use crate::{Error, ErrorCode, Result, Step};

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
    /// Whether it has this id inside.
    pub has_id: Box<dyn Fn(Id) -> bool + Sync>,
    /// Opens what its root may open and we may not.
    pub opener: Option<Opener>,
    /// All of its files are its own, so that it can be an image; not so on "host".
    pub is_whole: bool,
    /// The store that its images go to.
    pub store: Store,
    /// What was made for it to mount upon, and the directories above.
    pub mount_points: BTreeSet<Vec<u8>>,
    /// Empty files among it, where the image has none.
    pub empty_mount_points: Vec<Vec<u8>>,
    /// Its image's volumes.
    pub volumes: BTreeSet<Vec<u8>>,
    /// It has more users than one, who may have written attributes that only look like ours.
    pub has_users: bool,
}

/// What a container has changed of its image.
struct Changes {
    all: Differences,
    lower: Lower,
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
    pub(crate) fn layers(&self) -> Result<Vec<PathBuf>> {
        match self {
            Self::Nothing => Ok(Vec::new()),
            Self::Directory(path) => Ok(vec![path.clone()]),
            Self::Image(store, digest) => {
                let hex = digest.strip_prefix("sha256:").unwrap_or_default();
                let record = store.known_digest(hex, digest)?.record;
                Ok(record.layers.iter().map(|layer| store.layer_path(layer)).collect())
            }
        }
    }

    /// Owner, group and mode of the image's root, where it isn't root's with mode 0755.
    fn root(&self) -> Option<(u32, u32, u32)> {
        match self {
            Self::Image(store, digest) => {
                let hex = digest.strip_prefix("sha256:").unwrap_or_default();
                store.known_digest(hex, digest).ok()?.record.root
            }
            _ => None,
        }
    }

    /// What is kept beside them of what they can't hold.
    fn kept(&self) -> Result<Vec<File>> {
        match self {
            Self::Image(..) => Ok(self
                .layers()?
                .iter()
                .filter_map(|layer| crate::sys::file::open(layer.with_file_name("kept")).ok())
                .collect()),
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
                mount_points: Some(&self.mount_points),
                empty_mount_points: &self.empty_mount_points,
                root: self.below.root().map(|root| self.root_changed().unwrap_or(root)),
                changed: changed.as_ref(),
                opener: self.opener.clone(),
                doubts_owners: self.has_users,
                ..Special::default()
            };
            let mut count = |_| {
                packing.counters.entry();
                packing.counters.check().is_ok()
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

    /// What differs from what is below.
    pub fn diff(&self, report: Report<'_>) -> Result<Vec<Difference>> {
        let layers = self.layers_below(Step::CompareWithImage)?;
        let compared = Lower::open(&layers).and_then(|lower| self.differences(&RefCell::new(lower), report));
        compared.map(|all| all.list()).map_err(|fault| fault.into_packing_error(&self.name, ""))
    }

    /// Makes an image: what is below, and a layer of what differs. Where what is below is no image, one layer of all.
    pub fn commit(&self, options: &MakeOptions, report: Report<'_>) -> Result<Image> {
        let epoch = output::epoch(options.epoch)?;
        let Below::Image(store, digest) = &self.below else { return self.commit_whole(options, epoch, report) };
        let (base, changes) = self.changed(store, digest, report)?;
        let work = changes
            .map(|changes| make::packed(move |packing: Packing<'_>| self.layer(changes, epoch, None, packing.out)));
        make::image(store, &self.name, base, options, epoch, report, work)
    }

    /// The same without packing: the layer's tree is made of the changes as they lie there.
    pub fn snapshot(&self, options: &MakeOptions, report: Report<'_>) -> Result<Image> {
        let epoch = output::epoch(options.epoch)?;
        let Below::Image(store, digest) = &self.below else {
            let why = "what is below its changes is no image of the store";
            let error = Error::new(ErrorCode::Unsupported, Step::SnapshotContainer, &self.name, libc::EOPNOTSUPP, why);
            return Err(error.with_hint("commit makes an image of it"));
        };
        let (base, changes) = self.changed(store, digest, report)?;
        let work = changes.map(|changes| {
            move |importing: &Importing<'_>, report: Report<'_>| {
                snapshot::layer(importing, report, |taker| {
                    self.layer(changes, epoch, Some(taker), &mut std::io::sink())
                })
            }
        });
        make::image(store, &self.name, base, options, epoch, report, work)
    }

    /// What a new image stands on, and what differs from that, if anything.
    fn changed(&self, store: &Store, digest: &str, report: Report<'_>) -> Result<(Base, Option<Changes>)> {
        let layers = self.below.layers()?;
        let record = store.known_digest(digest.strip_prefix("sha256:").unwrap_or_default(), digest)?.record;
        let real = record.real_layers().to_vec();
        store.are_given(&real)?;
        let base = Base { layers: real, config: record.config, document: record.document };
        let failed = |fault: Fault| fault.into_packing_error(&self.name, "");
        let lower = RefCell::new(Lower::open(&layers).map_err(failed)?);
        let all = self.differences(&lower, report).map_err(failed)?;
        let changes = (!all.is_empty()).then(|| Changes { all, lower: lower.into_inner() });
        Ok((base, changes))
    }

    /// Writes the entries of the layer of what differs, or has them taken.
    fn layer(
        &self,
        changes: Changes,
        latest: Option<i64>,
        taker: Option<&Taker<'_>>,
        out: &mut dyn Write,
    ) -> Outcome<()> {
        let Changes { all, lower } = changes;
        let lower = RefCell::new(lower);
        let names = |path: &[u8]| Ok(all.is_wanted(path).then(|| path.to_vec()));
        let is_opaque = |path: &[u8]| all.opaque.contains(path);
        // What was made with the container has changed the time of the directory it is in, and nothing else.
        let root = |path: &[u8]| match path {
            b"" => Ok(lower.borrow_mut().directory(b"")?.map(|entry| self.with_root(entry))),
            _ if self.mount_points.contains(path) && all.is_only_on_the_way(path) => lower.borrow_mut().directory(path),
            _ => Ok(None),
        };
        let special = Special {
            names: Some(&names),
            is_opaque: Some(&is_opaque),
            directories: Some(&root),
            lower: Some(&lower),
            taker,
            opener: self.opener.clone(),
            remembered: all.remembered.clone(),
            doubts_owners: self.has_users,
            ..Special::default()
        };
        let Some(upper) = &self.upper else { return Ok(()) };
        let export = Export { is_layer: true, latest, inside: Some(&*self.inside), ..Export::default() };
        export.entries(special, duplicate(upper)?, out).map(drop)
    }

    fn commit_whole(&self, options: &MakeOptions, epoch: Option<i64>, report: Report<'_>) -> Result<Image> {
        if !self.is_whole {
            let why = "its files are the machine's own, or another process's";
            let error = Error::new(ErrorCode::Unsupported, Step::CommitContainer, &self.name, libc::EOPNOTSUPP, why);
            return Err(error.with_hint("export it, or make it from a tarball or a directory"));
        }
        let layers = self.below.layers()?;
        let work = make::packed(|packing: Packing<'_>| {
            let lower = RefCell::new(Lower::open(&layers)?);
            let special = Special {
                lower: Some(&lower),
                mount_points: Some(&self.mount_points),
                empty_mount_points: &self.empty_mount_points,
                opener: self.opener.clone(),
                doubts_owners: self.has_users,
                ..Special::default()
            };
            let export = Export { is_layer: true, latest: epoch, inside: Some(&*self.inside), ..Export::default() };
            export.entries(special, duplicate(&self.root)?, packing.out).map(drop)
        });
        make::image(&self.store, &self.name, Base::default(), options, epoch, report, Some(work))
    }

    fn layers_below(&self, step: Step) -> Result<Vec<PathBuf>> {
        if matches!(self.below, Below::Nothing) {
            let why = "there is no image below its root";
            return Err(Error::new(ErrorCode::Unsupported, step, &self.name, libc::EOPNOTSUPP, why)
                .with_hint("make it from a tarball or a directory as the lower layer"));
        }
        self.below.layers()
    }

    /// `report` is asked some ten times a second, and hears nothing: how much there is to compare is not known.
    fn differences(&self, lower: &RefCell<Lower>, report: Report<'_>) -> Outcome<Differences> {
        let Some(upper) = self.changes()? else { return Ok(Differences::default()) };
        let mut last = Instant::now();
        let go_on = RefCell::new(|| {
            if last.elapsed() < REPORT_EVERY {
                return true;
            }
            last = Instant::now();
            report(Progress::default())
        });
        let compare = Compare {
            upper,
            lower,
            inside: &*self.inside,
            believes: !self.has_users,
            mount_points: &self.mount_points,
            left_out: &self.volumes,
            times_of_directories: true,
            go_on: &go_on,
        };
        let mut all = compare.run()?;
        if self.root_changed().is_some() {
            all.changes.insert(Vec::new(), Change::Changed);
        }
        Ok(all)
    }

    /// Owner, group and mode of the root as they are now: the directory of the changes is the one that counts.
    fn root_now(&self) -> Option<(u32, u32, u32)> {
        let stat = fs::fstat(self.upper.as_ref()?).ok()?;
        let (uid, gid) = ((self.inside)(Id::User(stat.st_uid))?, (self.inside)(Id::Group(stat.st_gid))?);
        Some((uid, gid, stat.st_mode & 0o7777))
    }

    /// As the container got it: an owner that it has no number for could not be given.
    fn root_given(&self) -> (u32, u32, u32) {
        let (uid, gid, mode) = self.below.root().unwrap_or(DEFAULT_ROOT);
        let can_be = (self.has_id)(Id::User(uid)) && (self.has_id)(Id::Group(gid));
        if can_be { (uid, gid, mode) } else { (0, 0, mode) }
    }

    /// As it is now, where that is something else than what it got.
    fn root_changed(&self) -> Option<(u32, u32, u32)> {
        self.root_now().filter(|now| *now != self.root_given())
    }

    /// The root as the image's, or as it is now where that is something else.
    fn with_root(&self, entry: Entry) -> Entry {
        let (uid, gid, mode) =
            self.root_changed().or_else(|| self.below.root()).unwrap_or((entry.uid, entry.gid, entry.mode));
        Entry { uid, gid, mode, ..entry }
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
