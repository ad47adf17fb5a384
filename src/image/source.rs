//! From what a user names to where the root comes from.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::config::ImageConfig;
use super::import;
use super::known::{Known, Select};
use super::pipeline::Report;
use super::store::Store;
use crate::sys::fs::{self, AT_FDCWD, AtFlags, FileStat, FileType};
use crate::{Error, ErrorCode, Result, Step};

/// Where a container's root comes from.
#[derive(Debug)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is taken apart at once")]
pub enum Source {
    /// This machine's own /usr, /bin, /lib, /etc, read-only.
    Host,
    /// A directory of the caller's, canonical.
    Directory(PathBuf),
    /// Unpacked trees in the store.
    #[non_exhaustive]
    Layers {
        /// Lowest first, absolute.
        layers: Vec<PathBuf>,
        /// What the image says about how to run it.
        config: ImageConfig,
        /// `sha256:HEX`.
        digest: String,
        /// Owner, group and mode of the root, where it isn't root's with mode 0755.
        root: Option<(u32, u32, u32)>,
        /// A shared flock(2): as long as it, or a duplicate, is open anywhere, the image can't be removed.
        lock: OwnedFd,
    },
}

impl Store {
    /// What `image` names: `"host"`, the name of an imported image, a directory, or an archive (imported where it is not yet
    /// known). What begins with a slash or a dot is a path; else a path is what no image has as its name.
    pub fn resolve(&self, image: &OsStr) -> Result<Source> {
        self.resolved(image, &mut |_| true)
    }

    /// As [`Store::resolve`]; `report` hears of an import's progress and can stop it by answering false.
    pub(crate) fn resolved(&self, image: &OsStr, report: Report<'_>) -> Result<Source> {
        if image == "host" {
            return Ok(Source::Host);
        }
        if image.is_empty() {
            return Err(Error::invalid(Step::FindImage, "\"\"", "its name is empty"));
        }
        let path = Path::new(image);
        let is_path = matches!(image.as_bytes(), [b'/' | b'.', ..]);
        if !is_path && let Some(known) = self.named(image)? {
            return self.source(known);
        }
        match fs::fstatat(AT_FDCWD, path, AtFlags::empty()) {
            Ok(stat) => self.path_source(path, &stat, Select::default(), report),
            Err(errno @ (Errno::ENOENT | Errno::ENOTDIR)) => match with_reference(image) {
                Some((path, stat, reference)) => {
                    let select = Select { reference: Some(reference), ..Select::default() };
                    self.path_source(path, &stat, select, report)
                }
                None => Err(self.not_found(image, errno)),
            },
            // What nix answers for a NUL in it.
            Err(Errno::EINVAL) => Err(Error::invalid(Step::FindImage, path.display(), "there is a NUL byte in it")),
            Err(errno) => Err(Error::system(Step::FindImage, path.display(), errno as i32)),
        }
    }

    /// Where it was looked for.
    fn not_found(&self, image: &OsStr, errno: Errno) -> Error {
        let path = Path::new(image);
        if matches!(image.as_bytes(), [b'/' | b'.', ..]) {
            return Error::system(Step::FindImage, path.display(), errno as i32).with_code(ErrorCode::NotFound);
        }
        let why =
            format!("no image in {} has this name, and there is no file or directory of it", self.path().display());
        Error::new(ErrorCode::NotFound, Step::FindImage, path.display(), errno as i32, why).with_hint(
            "nothing is downloaded: import a tarball under this name, or give its path, a directory, or \"host\"",
        )
    }

    fn path_source(&self, path: &Path, stat: &FileStat, select: Select<'_>, report: Report<'_>) -> Result<Source> {
        let reference = select.reference;
        match (self.path_known(path, stat, select, report)?, reference) {
            (Some(known), _) => self.source(known),
            (None, Some(reference)) => {
                let image = format!("{}:{reference}", path.display());
                let place = self.path().display();
                let why = format!("no image in {place} has this name, and the directory {} has none", path.display());
                let error = Error::new(ErrorCode::NotFound, Step::FindImage, image, libc::ENOENT, why);
                Err(error.with_hint("only archives and OCI layouts have images of several names"))
            }
            (None, None) => std::fs::canonicalize(path)
                .map(Source::Directory)
                .map_err(|error| Error::io(Step::FindImage, path.display(), &error)),
        }
    }

    /// The image in a file or layout; `None` for a directory that is just that.
    pub(super) fn path_known(
        &self,
        path: &Path,
        stat: &FileStat,
        select: Select<'_>,
        report: Report<'_>,
    ) -> Result<Option<Known>> {
        match fs::file_type(stat.st_mode) {
            Some(FileType::Directory) => {
                match fs::fstatat(AT_FDCWD, &path.join("index.json"), AtFlags::AT_SYMLINK_NOFOLLOW) {
                    Ok(index) if is_there(&path.join("oci-layout"))? => match self.seen(&index, select)? {
                        Some(known) => Ok(Some(known)),
                        None => import::directory(self, path, select, report).map(Some),
                    },
                    _ => Ok(None),
                }
            }
            Some(FileType::File) => match self.seen(stat, select)? {
                Some(known) => Ok(Some(known)),
                None => import::file(self, path, select, report).map(Some),
            },
            _ => Err(Error::new(
                ErrorCode::BadImage,
                Step::UseImage,
                path.display(),
                libc::EINVAL,
                "it is neither a file nor a directory",
            )
            .with_hint("import a pipe by its descriptor")),
        }
    }

    pub(super) fn source(&self, (digest, loaded): Known) -> Result<Source> {
        self.give_owners(&loaded.record, &loaded.lock)?;
        Ok(Source::Layers {
            layers: loaded.record.layers.iter().map(|layer| self.layer_path(layer)).collect(),
            config: loaded.record.config,
            root: loaded.record.root,
            digest: format!("sha256:{digest}"),
            lock: loaded.lock,
        })
    }
}

/// An archive's path that has ":" and the name of one of its images behind it.
pub(super) fn with_reference(image: &OsStr) -> Option<(&Path, FileStat, &str)> {
    let bytes = image.as_bytes();
    let mut colons = bytes.iter().enumerate().filter(|(_, byte)| **byte == b':').map(|(at, _)| at);
    colons.find_map(|colon| {
        let path = Path::new(OsStr::from_bytes(&bytes[..colon]));
        let reference = std::str::from_utf8(&bytes[colon + 1..]).ok().filter(|reference| !reference.is_empty())?;
        Some((path, fs::fstatat(AT_FDCWD, path, AtFlags::empty()).ok()?, reference))
    })
}

fn is_there(path: &Path) -> Result<bool> {
    path.try_exists().map_err(|e| Error::io(Step::LookAt, path.display(), &e))
}
