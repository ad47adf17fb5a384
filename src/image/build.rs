//! Images of files of the host, without a Dockerfile: directories and files, each with its place inside, on an image or on
//! nothing. What COPY of a Dockerfile does, with its rules.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::entry::{Entry, Kind, split};
use super::export::{Export, Special};
use super::fault::{Fault, Outcome};
use super::lower::Lower;
use super::make::{self, Base, MakeOptions};
use super::manage::Image;
use super::output;
use super::owner::Id;
use super::pipeline::Report;
use super::source::Source;
use super::store::Store;
use super::write;
use crate::sys::fs::{self, AT_FDCWD, Mode, OFlag};
use crate::{Error, Result, Step};

/// How files of the host become an image.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BuildOptions {
    /// Its name, configuration and age.
    pub image: MakeOptions,
    /// Files keep their owners; otherwise all of them are root's.
    pub keep_owners: bool,
}

crate::config::with!(BuildOptions);

impl Store {
    /// Makes an image of files of the host. `files` are paths of the host, each with its place inside: what is in a directory
    /// goes into that place, a file goes there or, where that ends in a slash or is a directory so far, into it. Links of
    /// `base` on the way are followed, its directories stay as they are, later files replace earlier ones. `base` is what
    /// [`Store::resolve`] takes for an image, or nothing.
    ///
    /// The same files, base and options give the same image, if their times are the same or later than the epoch.
    pub fn build(
        &self,
        base: Option<&OsStr>,
        files: &[(PathBuf, PathBuf)],
        options: &BuildOptions,
        report: Report<'_>,
    ) -> Result<Image> {
        let epoch = output::epoch(options.image.epoch)?;
        // The base stays in use, and so here, until it is the new image's.
        let (base, trees, _in_use) = match base {
            None => (Base::default(), Vec::new(), None),
            Some(base) => match self.resolved(base, report)? {
                Source::Layers { layers, digest, lock, .. } => {
                    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
                    let record = self.known_digest(hex, &digest)?.record;
                    let real = record.real_layers().to_vec();
                    let base = Base { layers: real, config: record.config, document: record.document };
                    (base, layers, Some(lock))
                }
                _ => {
                    let why = "only an image can be built upon";
                    return Err(
                        Error::invalid(Step::BuildUpon, base.display(), why).with_hint("give a directory as files")
                    );
                }
            },
        };
        let files = files.iter().map(|(from, to)| File::find(from, to)).collect::<Result<Vec<_>>>()?;
        let work = (!files.is_empty()).then_some(|packing: output::Packing<'_>| {
            let lower = RefCell::new(Lower::open(&trees)?);
            let made = RefCell::default();
            let mut build = Build { lower: &lower, made: &made, keep_owners: options.keep_owners, epoch, packing };
            build.parents(b"", b"")?;
            files.into_iter().try_for_each(|file| build.file(file))
        });
        make::image(self, "the files", base, &options.image, epoch, report, work.map(make::packed))
    }
}

/// One of the files or directories.
struct File {
    shown: String,
    /// The directory itself, or the one that the file is in.
    root: OwnedFd,
    /// The file in it.
    name: Option<Vec<u8>>,
    target: Vec<u8>,
    /// It goes into `target`, not to it.
    goes_into: bool,
}

impl File {
    fn find(from: &Path, to: &Path) -> Result<Self> {
        let fail = |error: &std::io::Error| Error::io(Step::BuildFrom, from.display(), error);
        let path = std::fs::canonicalize(from).map_err(|error| fail(&error))?;
        let is_directory = path.is_dir();
        let (directory, name) = match (is_directory, path.parent(), path.file_name()) {
            (false, Some(parent), Some(name)) => (parent, Some(name.as_bytes().to_vec())),
            _ => (path.as_path(), None),
        };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = fs::openat(AT_FDCWD, directory, flags, Mode::empty()).map_err(|errno| fail(&errno.into()))?;
        let target = to.as_os_str().as_bytes();
        let mut names = target.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
        if !target.starts_with(b"/") || names.clone().any(|name| name == b"..") || target.contains(&0) {
            return Err(Error::invalid(Step::BuildInto, to.display(), "the place must be an absolute path without .."));
        }
        let mut normal: Vec<u8> = names.next().unwrap_or_default().to_vec();
        names.for_each(|name| normal.extend_from_slice(&[b"/", name].concat()));
        let goes_into = target.ends_with(b"/");
        Ok(Self { shown: from.display().to_string(), root, name, target: normal, goes_into })
    }
}

struct Build<'b, 'p> {
    lower: &'b RefCell<Lower>,
    /// Directories of the files so far.
    made: &'b RefCell<BTreeSet<Vec<u8>>>,
    keep_owners: bool,
    epoch: Option<i64>,
    packing: output::Packing<'p>,
}

impl Build<'_, '_> {
    fn file(&mut self, file: File) -> Outcome<()> {
        let (lower, made) = (self.lower, self.made);
        let mut target = lower.borrow_mut().resolve(&file.target)?;
        if let Some(name) = &file.name {
            let is_below = lower.borrow_mut().find(&target)?.is_some_and(|found| found.is_directory());
            if file.goes_into || is_below || target.is_empty() || made.borrow().contains(&target) {
                target = join(&target, name);
            }
        }
        self.parents(split(&target).0, &file.target)?;
        let names = |path: &[u8]| {
            // Of a single file, `path` is its name.
            let path = if file.name.is_some() { b"" } else { path };
            let inside = if path.is_empty() { target.clone() } else { join(&target, path) };
            let (above, name) = split(&inside);
            Ok(Some(if name.is_empty() { inside } else { join(&lower.borrow_mut().resolve(above)?, name) }))
        };
        let directories = |path: &[u8]| {
            let real = lower.borrow_mut().resolve(path)?;
            made.borrow_mut().insert(real.clone());
            match lower.borrow_mut().directory(&real)? {
                None if path.is_empty() => Ok(Some(Entry::new(b"", Kind::Directory, 0o755))),
                answer => Ok(answer),
            }
        };
        let all_root = |_| Some(0);
        let rights = lower.borrow().rights();
        let kept = |id| Some(rights.inside(id));
        let special = Special {
            names: Some(&names),
            directories: Some(&directories),
            start: file.name.clone().unwrap_or_default(),
            doubts_owners: true,
            ..Special::default()
        };
        let mut count = |_| {
            self.packing.counters.entry();
            true
        };
        let inside: &dyn Fn(Id) -> Option<u32> = if self.keep_owners { &kept } else { &all_root };
        let export = Export {
            is_layer: true,
            latest: self.epoch,
            inside: Some(inside),
            go_on: Some(&mut count),
            ..Export::default()
        };
        export.entries(special, file.root, self.packing.out).map(drop).map_err(|fault| match fault {
            Fault::System { step, object, errno } if object.is_empty() && step != Step::Write => {
                Fault::System { step, object: file.shown.clone(), errno }
            }
            fault => fault,
        })
    }

    /// Writes the directory `path` and those above it as the base has them, or they would become others.
    fn parents(&mut self, path: &[u8], target: &[u8]) -> Outcome<()> {
        let mut end = 0;
        loop {
            let above = &path[..end];
            let directory = self.lower.borrow_mut().directory(above)?;
            match directory {
                Some(mut entry) => {
                    super::export::clamp(&mut entry, self.epoch);
                    let mut header = Vec::new();
                    write::header(&entry, &mut header);
                    self.packing.out.write_all(&header).map_err(Fault::write)?;
                }
                None => {
                    if self.lower.borrow_mut().find(above)?.is_some() {
                        return Err(Fault::bad(target, "the base has a file where this needs a directory"));
                    }
                }
            }
            if end == path.len() {
                return Ok(());
            }
            let start = if end == 0 { 0 } else { end + 1 };
            end = path[start..].iter().position(|&byte| byte == b'/').map_or(path.len(), |at| start + at);
        }
    }
}

fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() }
}
