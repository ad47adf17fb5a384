//! What is mounted into a container beside its root, and its own /proc, /dev and /sys.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Disk, text};
use crate::{Error, Result, Step};

/// One mount into a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum Mount {
    /// A file or directory of the host.
    Bind(Bind),
    /// A new, empty tmpfs.
    Tmpfs(Tmpfs),
    /// A volume of the store.
    Volume(Volume),
    /// The file system of a block device, or of the image of one.
    Disk(Disk),
}

/// A file or directory of the host, seen inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Bind {
    /// Path on the host.
    #[serde(with = "text")]
    pub source: PathBuf,
    /// Absolute path inside; made where it is missing and what is above it can be written to: /usr, /etc and the like of `"host"` can't.
    #[serde(with = "text")]
    pub target: PathBuf,
    /// Nothing can be written through it.
    pub read_only: bool,
}

/// A tmpfs of the container's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tmpfs {
    /// Absolute path inside; made where it is missing and what is above it can be written to: /usr, /etc and the like of `"host"` can't.
    #[serde(with = "text")]
    pub target: PathBuf,
    /// Most bytes it may hold. Where there is none, it is a part of the tmpfs that has the changes: what `upper_size` says holds
    /// for both together.
    pub size: Option<u64>,
    /// Permission bits of its root, 0o1777 where there are none.
    pub mode: Option<u32>,
}

/// A directory of the store that outlives containers, seen inside; see [`crate::Volumes`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Volume {
    /// Its name, of letters, digits, `_`, `.` and `-`. A volume that is not there is made.
    pub name: String,
    /// Absolute path inside; made where it is missing and what is above it can be written to. An empty volume that nobody uses
    /// gets what the image has there.
    #[serde(with = "text")]
    pub target: PathBuf,
    /// Nothing can be written through it.
    #[serde(default)]
    pub read_only: bool,
}

impl Mount {
    /// Where it is inside.
    pub fn target(&self) -> &Path {
        match self {
            Self::Bind(Bind { target, .. })
            | Self::Tmpfs(Tmpfs { target, .. })
            | Self::Volume(Volume { target, .. })
            | Self::Disk(Disk { target, .. }) => target,
        }
    }

    /// The volume that it is one of.
    pub(crate) fn volume(&self) -> Option<&Volume> {
        match self {
            Self::Volume(volume) => Some(volume),
            _ => None,
        }
    }

    /// What it is, in one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Bind(_) => "bind",
            Self::Tmpfs(_) => "tmpfs",
            Self::Volume(_) => "volume",
            Self::Disk(_) => "disk",
        }
    }

    /// What is seen there, a path or the name of a volume; `None` where it begins empty.
    pub fn source(&self) -> Option<PathBuf> {
        match self {
            Self::Bind(Bind { source, .. }) | Self::Disk(Disk { source, .. }) => Some(source.clone()),
            Self::Volume(Volume { name, .. }) => Some(name.into()),
            Self::Tmpfs(_) => None,
        }
    }

    /// Whether nothing can be written through it.
    pub fn is_read_only(&self) -> bool {
        match self {
            Self::Bind(Bind { read_only, .. })
            | Self::Volume(Volume { read_only, .. })
            | Self::Disk(Disk { read_only, .. }) => *read_only,
            Self::Tmpfs(_) => false,
        }
    }

    /// The same at another place.
    pub(crate) fn at(&self, place: &Path) -> Self {
        let mut mount = self.clone();
        match &mut mount {
            Self::Bind(Bind { target, .. })
            | Self::Tmpfs(Tmpfs { target, .. })
            | Self::Volume(Volume { target, .. })
            | Self::Disk(Disk { target, .. }) => *target = place.to_path_buf(),
        }
        mount
    }

    /// Refuses what can't be.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            // The kernel takes a size of 0 for no limit.
            Self::Tmpfs(Tmpfs { target, size: Some(0), .. }) => {
                Err(Error::invalid(Step::MountTmpfs, target.display(), "a size of 0 holds nothing")
                    .with_hint("without a size it is a part of the changes, and of their size"))
            }
            Self::Volume(Volume { name, .. }) => super::name::check(Step::NameVolume, name),
            Self::Disk(disk) => disk.check(),
            _ => Ok(()),
        }
    }
}

impl Bind {
    /// One that can be written through.
    pub fn new(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self { source: source.into(), target: target.into(), read_only: false }
    }
}

impl Tmpfs {
    /// One without a size of its own.
    pub fn new(target: impl Into<PathBuf>) -> Self {
        Self { target: target.into(), size: None, mode: None }
    }
}

impl Volume {
    /// One that can be written to.
    pub fn new(name: impl Into<String>, target: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), target: target.into(), read_only: false }
    }
}

impl From<Volume> for Mount {
    fn from(volume: Volume) -> Self {
        Self::Volume(volume)
    }
}

impl From<Bind> for Mount {
    fn from(bind: Bind) -> Self {
        Self::Bind(bind)
    }
}

impl From<Disk> for Mount {
    fn from(disk: Disk) -> Self {
        Self::Disk(disk)
    }
}

impl From<Tmpfs> for Mount {
    fn from(tmpfs: Tmpfs) -> Self {
        Self::Tmpfs(tmpfs)
    }
}
