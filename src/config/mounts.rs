//! What is mounted into a container beside its root, and its own /proc, /dev and /sys.

use std::ffi::OsString;
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
    /// The files of an image, read-only.
    Image(ImageTree),
    /// A directory of the host that the container may change for itself alone.
    Scratch(Scratch),
}

/// A file or directory of the host, or of another container, seen inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Bind {
    /// Path on the host; with [`Bind::from_container`] an absolute one inside that container.
    #[serde(with = "text")]
    pub source: PathBuf,
    /// Absolute path inside; made where it is missing and what is above it can be written to: /usr, /etc and the like of `"host"` can't.
    #[serde(with = "text")]
    pub target: PathBuf,
    /// Nothing can be written through it.
    pub read_only: bool,
    /// The name of a running container of the caller's whose file or directory it is. Links in it lead nowhere but into that container.
    #[serde(default)]
    pub from_container: Option<String>,
    /// Who owns the files inside.
    #[serde(default)]
    pub owner: Owner,
}

/// Whose the files of a bind are inside. The other way round it holds for what is written there: what that owner writes
/// belongs, outside, to whoever owns the source. Nobody else can make files there, not even root, and files of others are nobody's: so
/// nothing comes out of the container that is somebody else's, as a set-user-ID program of root's. Only where the source is root's,
/// others have ids as without, and root and that owner change places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// Those whom the container's ids make them: of root's containers the same ids as outside, of other users' root.
    #[default]
    Caller,
    /// The user as whom the image's programs run; root where it names none.
    Inside,
    /// This user and group inside.
    Ids(u32, u32),
}

/// The files of an image as they are in it, with their owners.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImageTree {
    /// What a container can be made from, but not a plain directory.
    #[serde(with = "text")]
    pub image: OsString,
    /// Absolute path inside; made where it is missing and what is above it can be written to: /usr, /etc and the like of `"host"` can't.
    #[serde(with = "text")]
    pub target: PathBuf,
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

/// A directory of the host as copy-on-write: the container sees it and changes it, and the host's files stay as they are. What has
/// changed is told by [`Container::diff_scratch`], carried over to the host by [`Container::apply_scratch`] and dropped by
/// [`Container::discard_scratch`]; it is gone with the container.
///
/// [`Container::diff_scratch`]: crate::Container::diff_scratch
/// [`Container::apply_scratch`]: crate::Container::apply_scratch
/// [`Container::discard_scratch`]: crate::Container::discard_scratch
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Scratch {
    /// Path of a directory on the host. What is mounted below it is not seen inside.
    #[serde(with = "text")]
    pub source: PathBuf,
    /// Absolute path inside; made where it is missing and what is above it can be written to: /usr, /etc and the like of `"host"` can't.
    #[serde(with = "text")]
    pub target: PathBuf,
}

impl Mount {
    /// Where it is inside.
    pub fn target(&self) -> &Path {
        match self {
            Self::Bind(Bind { target, .. })
            | Self::Tmpfs(Tmpfs { target, .. })
            | Self::Volume(Volume { target, .. })
            | Self::Disk(Disk { target, .. })
            | Self::Image(ImageTree { target, .. })
            | Self::Scratch(Scratch { target, .. }) => target,
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
            Self::Image(_) => "image",
            Self::Scratch(_) => "scratch",
        }
    }

    /// What is seen there, a path or the name of a volume; `None` where it begins empty.
    pub fn source(&self) -> Option<PathBuf> {
        match self {
            Self::Bind(Bind { source, from_container: Some(name), .. }) => {
                let mut text = OsString::from(format!("{name}:"));
                text.push(source);
                Some(text.into())
            }
            Self::Bind(Bind { source, .. })
            | Self::Disk(Disk { source, .. })
            | Self::Scratch(Scratch { source, .. }) => Some(source.clone()),
            Self::Volume(Volume { name, .. }) => Some(name.into()),
            Self::Tmpfs(_) => None,
            Self::Image(ImageTree { image, .. }) => Some(image.into()),
        }
    }

    /// Whether nothing can be written through it.
    pub fn is_read_only(&self) -> bool {
        match self {
            Self::Bind(Bind { read_only, .. })
            | Self::Volume(Volume { read_only, .. })
            | Self::Disk(Disk { read_only, .. }) => *read_only,
            Self::Tmpfs(_) | Self::Scratch(_) => false,
            Self::Image(_) => true,
        }
    }

    /// Whether it takes a container that is there already: its /etc/passwd, another one's files, or a helper that puts it together.
    pub(crate) fn is_late(&self) -> bool {
        match self {
            Self::Bind(Bind { from_container, owner, .. }) => from_container.is_some() || *owner != Owner::Caller,
            Self::Tmpfs(_) | Self::Volume(_) | Self::Disk(_) | Self::Scratch(_) => false,
            Self::Image(_) => true,
        }
    }

    /// The same at another place.
    pub(crate) fn at(&self, place: &Path) -> Self {
        let mut mount = self.clone();
        match &mut mount {
            Self::Bind(Bind { target, .. })
            | Self::Tmpfs(Tmpfs { target, .. })
            | Self::Volume(Volume { target, .. })
            | Self::Disk(Disk { target, .. })
            | Self::Image(ImageTree { target, .. })
            | Self::Scratch(Scratch { target, .. }) => *target = place.to_path_buf(),
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
            Self::Bind(Bind { source, from_container: Some(name), owner, .. }) => {
                let object = format!("{} of container {name}", source.display());
                if !source.is_absolute() {
                    return Err(Error::invalid(
                        Step::BindSource,
                        object,
                        "a path inside a container is an absolute one",
                    ));
                }
                if *owner != Owner::Caller {
                    let why = "files of another container have the owners that they have there";
                    return Err(
                        Error::invalid(Step::BindSource, object, why).with_hint("owner goes with files of the host")
                    );
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Those of `mounts` that are made once the container is there: from the first on that takes that, so that the order stays.
pub(crate) fn late(mounts: &[Mount]) -> &[Mount] {
    &mounts[mounts.iter().position(Mount::is_late).unwrap_or(mounts.len())..]
}

impl Bind {
    /// One that can be written through.
    pub fn new(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self {
            source: source.into(),
            target: target.into(),
            read_only: false,
            from_container: None,
            owner: Owner::Caller,
        }
    }
}

impl ImageTree {
    /// The files of this image at this place.
    pub fn new(image: impl Into<OsString>, target: impl Into<PathBuf>) -> Self {
        Self { image: image.into(), target: target.into() }
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

impl Scratch {
    /// One of this directory, at this place.
    pub fn new(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self { source: source.into(), target: target.into() }
    }
}

impl From<Scratch> for Mount {
    fn from(scratch: Scratch) -> Self {
        Self::Scratch(scratch)
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

impl From<ImageTree> for Mount {
    fn from(tree: ImageTree) -> Self {
        Self::Image(tree)
    }
}

impl From<Tmpfs> for Mount {
    fn from(tmpfs: Tmpfs) -> Self {
        Self::Tmpfs(tmpfs)
    }
}
