//! Block devices and disk images as mounts.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text;
use crate::{Error, Result, Step};

/// A disk whose file system is mounted: a block device, or a file that is the image of one. Root alone can have it. Set-user-ID programs
/// and device nodes of it have no effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Disk {
    /// Path on the host.
    #[serde(with = "text")]
    pub source: PathBuf,
    /// Absolute path inside; made where it is missing and what is above it can be written to: /usr, /etc and the like of `"host"` can't.
    #[serde(with = "text")]
    pub target: PathBuf,
    /// What is on it; `None`: as it says itself.
    #[serde(default)]
    pub filesystem: Option<FileSystem>,
    /// The partition of this number, of a GPT or an MBR; `None`: all of it is one file system.
    #[serde(default)]
    pub partition: Option<u32>,
    /// Nothing is written, neither by programs inside nor by the kernel, which passes over a journal then that was not written back.
    pub read_only: bool,
    /// Programs on it can't be started.
    #[serde(default)]
    pub noexec: bool,
}

/// A file system that a disk can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum FileSystem {
    /// ext4, and its forerunners ext2 and ext3.
    #[serde(alias = "ext2", alias = "ext3")]
    Ext4,
    /// XFS.
    Xfs,
    /// Btrfs, of one device.
    Btrfs,
    /// SquashFS, which is read only.
    Squashfs,
    /// EROFS, which is read only.
    Erofs,
    /// FAT, with long names.
    Vfat,
}

impl Disk {
    /// One that is only read, of the file system that is on all of it.
    pub fn new(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        let (source, target) = (source.into(), target.into());
        Self { source, target, filesystem: None, partition: None, read_only: true, noexec: false }
    }

    pub(super) fn check(&self) -> Result<()> {
        let refused = |why: &str| Err(Error::invalid(Step::OpenDisk, self.source.display(), why));
        if self.partition == Some(0) {
            return refused("partitions are counted from 1");
        }
        match self.filesystem {
            Some(FileSystem::Squashfs | FileSystem::Erofs) if !self.read_only => {
                refused("this file system is read-only always")
            }
            _ => Ok(()),
        }
    }
}

impl FileSystem {
    const ALL: [(&'static str, Self); 8] = [
        ("ext4", Self::Ext4),
        ("xfs", Self::Xfs),
        ("btrfs", Self::Btrfs),
        ("squashfs", Self::Squashfs),
        ("erofs", Self::Erofs),
        ("vfat", Self::Vfat),
        ("ext2", Self::Ext4),
        ("ext3", Self::Ext4),
    ];

    /// Its name, as the kernel has it.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, it)| *it == self).map_or("", |(name, _)| name)
    }
}

impl FromStr for FileSystem {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, it)| *it).ok_or_else(|| {
            Error::invalid(Step::OpenDisk, name, "no file system of disks has this name")
                .with_hint("ext2, ext3, ext4, xfs, btrfs, squashfs, erofs and vfat can be mounted")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_are_found_by_their_names() {
        for (name, it) in FileSystem::ALL {
            assert_eq!(name.parse::<FileSystem>().unwrap(), it);
            let read: FileSystem = serde_json::from_str(&format!("\"{name}\"")).unwrap();
            assert_eq!(read, it);
        }
        assert_eq!(serde_json::to_string(&FileSystem::Squashfs).unwrap(), "\"squashfs\"");
        assert!("ntfs".parse::<FileSystem>().is_err());
    }
}
