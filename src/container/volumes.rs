//! Volumes as containers use them: the store has them, the ledgers know by whom they are used.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::shared::Shared;
use super::state::{Record, Resource, Root, StateDir};
use super::unmapped;
use crate::config::Volume;
use crate::image::{Begin, Below, Report, Source, Store, VolumeInfo};
use crate::{Mount, Result};

/// The volumes of a store: directories that outlive containers. A container uses one by a mount, [`Volume`]; several may at once.
#[derive(Debug)]
pub struct Volumes {
    store: Store,
}

impl Volumes {
    /// Those of the store at `dir`; without one of that of [`Store::open`].
    pub fn open(dir: Option<&Path>) -> Result<Self> {
        Store::open(dir).map(|store| Self { store })
    }

    /// Those of this store.
    pub fn in_store(store: Store) -> Self {
        Self { store }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The volume of this name, made where it is missing. It is empty then, and gets what the image has at the place where it is used
    /// first.
    pub fn make(&self, name: &str) -> Result<VolumeInfo> {
        self.store.make_volume(name)
    }

    /// All volumes, by name.
    pub fn list(&self) -> Result<Vec<VolumeInfo>> {
        self.store.list_volumes()
    }

    /// Bytes of disk space that a volume's files take: all of them are looked at.
    pub fn size(&self, name: &str) -> Result<u64> {
        self.store.volume_size(name)
    }

    /// Removes a volume and all its files. One that a container uses stays, with an error (EBUSY) that names the container.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.store.remove_volume(name, &|states| users(&self.store, name, states))
    }

    /// Removes all volumes that no container uses. Answers their names.
    pub fn prune(&self) -> Result<Vec<String>> {
        let mut removed = Vec::new();
        for VolumeInfo { name, .. } in self.list()? {
            match self.remove(&name) {
                Ok(()) => removed.push(name),
                Err(error) if matches!(error.errno(), libc::EBUSY | libc::ENOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }
}

/// Takes a volume into use. `trees` are those of the image, lowest first. Where it is, and what keeps it until its use is on record.
pub fn begin(
    store: &Store,
    state: &StateDir,
    volume: &Volume,
    trees: &[PathBuf],
    shifted: bool,
    report: Report<'_>,
) -> Result<(PathBuf, OwnedFd)> {
    let name = volume.name.as_str();
    let directory = std::path::absolute(state.path()).unwrap_or_else(|_| state.path().to_path_buf());
    let is_used = |states: &[PathBuf]| users(store, name, states).map(|users| !users.is_empty());
    let begin = Begin { name, target: &volume.target, trees, shifted, state: &directory, is_used: &is_used };
    store.begin_volume(&begin, report)
}

/// Whether files of these volumes belong to the range of ids that is shared, since their store can't be id-mapped. For the first one
/// that is asked, and while all are empty.
pub fn are_shifted(store: &Store, mounts: &[Mount]) -> Result<bool> {
    for volume in mounts.iter().filter_map(Mount::volume) {
        if let Some(shifted) = store.is_volume_shifted(&volume.name)? {
            return Ok(shifted);
        }
    }
    if store.is_without_map() {
        return Ok(true);
    }
    // It may not be there yet.
    let Some(place) = store.path().ancestors().find(|place| place.exists()) else { return Ok(false) };
    Ok(unmapped::id_map(place).is_err_and(|error| error.errno() == libc::EINVAL))
}

/// The trees of the image, lowest first; none of "host".
pub fn trees(image: &Source) -> Vec<PathBuf> {
    match image {
        Source::Host => Vec::new(),
        Source::Directory(path) => vec![path.clone()],
        Source::Layers { layers, .. } => layers.clone(),
    }
}

/// The same of a container that runs, as far as they are on record.
pub fn trees_of(record: &Record) -> Result<Vec<PathBuf>> {
    match &record.root {
        Root::Image(digest) => Below::Image(Store::open(Some(&record.store))?, digest.clone()).layers(),
        Root::Directory(path) => Ok(vec![path.clone()]),
        Root::Host | Root::Direct | Root::Foreign => Ok(Vec::new()),
    }
}

/// The containers that use a volume, by the ledgers in these directories.
fn users(store: &Store, name: &str, states: &[PathBuf]) -> Result<Vec<String>> {
    let mut users = Vec::new();
    // One that is gone has no ledgers.
    for state in states.iter().filter(|state| state.exists()) {
        let state = StateDir::open(Some(state))?;
        for (outline, _) in state.list()? {
            // It may have ended since, or be one that is only listed.
            let Ok((record, _)) = state.find(&outline.name) else { continue };
            if uses(&record, store, name) {
                users.push(record.name);
            }
        }
    }
    Ok(users)
}

fn uses(record: &Record, store: &Store, name: &str) -> bool {
    let is_it = |resource: &Resource| match resource {
        Resource::Mount { mount, .. } => mount.volume().is_some_and(|volume| volume.name == name),
        _ => false,
    };
    record.resources.iter().any(is_it) && is_same(&record.store, store.path())
}

/// Whether both lead to the same directory.
fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    one == other || real(one).is_some_and(|one| real(other) == Some(one))
}

/// The store that a running container's volumes are in.
pub fn store_of(container: &Shared) -> Result<Store> {
    let store = &container.record.store;
    Store::open(Some(store).filter(|path| !path.as_os_str().is_empty()).map(PathBuf::as_path))
}
