//! A directory that a container has or may ever have, as its record says it.

use std::path::{Path, PathBuf};

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, fstatfs};
use serde::{Deserialize, Serialize};

use super::controller::{Controller, Controllers, Version, When};
use super::directory::{Directory, open_failed};
use super::{memory, pids};
use crate::Result;

/// Where a directory is, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    /// None in the record of an older ctr, which had paths alone.
    pub(super) version: Option<Version>,
    pub(super) controllers: Controllers,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Place {
        path: PathBuf,
        version: Version,
        controllers: Controllers,
    },
    /// Before 0.2.
    Path(PathBuf),
}

impl From<Written> for Place {
    fn from(written: Written) -> Self {
        match written {
            Written::Place { path, version, controllers } => Self { path, version: Some(version), controllers },
            Written::Path(path) => Self { path, version: None, controllers: Controllers::default() },
        }
    }
}

impl Place {
    pub(super) fn new(version: Version, path: PathBuf, controllers: Controllers) -> Self {
        Self { path, version: Some(version), controllers }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn has(&self, version: Version, controller: Controller) -> bool {
        self.is(version) && self.controllers.has(controller)
    }

    /// Whether it is made with the first limit only: v1, where each costs a container another directory.
    pub(super) fn may_come_late(&self) -> bool {
        let late = |controller: Controller| controller.when(Version::V1) == When::Limited;
        self.is(Version::V1) && self.controllers.iter().all(late)
    }

    pub(super) fn is(&self, version: Version) -> bool {
        self.version == Some(version)
    }

    /// The same, with what the record of an older ctr does not say: told from the files of the directory, or, where there is
    /// none, from what alone was made later there: v1's pids cgroup.
    pub(super) fn completed(&self, directory: Option<&Directory>, memory_known: bool) -> Result<Self> {
        if self.version.is_some() {
            return Ok(self.clone());
        }
        let v1 = |controller| Self::new(Version::V1, self.path.clone(), [controller].into_iter().collect());
        let Some(directory) = directory else { return Ok(v1(Controller::Pids)) };
        let kind = fstatfs(&directory.fd).map_err(|errno| open_failed(&self.path, errno))?.filesystem_type();
        Ok(if kind == CGROUP2_SUPER_MAGIC {
            let all = [Controller::Memory, Controller::Pids].into_iter().collect();
            Self::new(Version::V2, self.path.clone(), all)
        } else if directory.has(pids::FILE) && (memory_known || !directory.has(memory::V1_LIMIT)) {
            v1(Controller::Pids)
        } else if directory.has(memory::V1_LIMIT) {
            v1(Controller::Memory)
        } else {
            v1(Controller::Devices)
        })
    }
}

/// The directories of those that are wanted, as far as they are there and their version is known.
pub(super) fn opened(places: &[Place], wanted: impl Fn(&Place) -> bool) -> impl Iterator<Item = (Version, Directory)> {
    let wanted = places.iter().filter(move |place| wanted(place));
    wanted.filter_map(|place| Some((place.version?, Directory::open(place.path()).ok()?)))
}
