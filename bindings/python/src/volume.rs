//! Volumes: directories of the store that outlive containers.

use std::ffi::OsString;
use std::path::PathBuf;

use ctr::Volumes;
use pyo3::prelude::*;

use crate::error::Raise;

/// The directory of the volume of this name, made where it is missing.
#[pyfunction]
#[pyo3(signature = (name, store_dir=None))]
pub fn make_volume(py: Python<'_>, name: &str, store_dir: Option<PathBuf>) -> PyResult<OsString> {
    let volumes = open(py, store_dir)?;
    Ok(py.detach(|| volumes.make(name)).or_raise(py)?.path.into_os_string())
}

/// The names of all volumes.
#[pyfunction]
#[pyo3(signature = (store_dir=None))]
pub fn volumes(py: Python<'_>, store_dir: Option<PathBuf>) -> PyResult<Vec<String>> {
    let volumes = open(py, store_dir)?;
    Ok(py.detach(|| volumes.list()).or_raise(py)?.into_iter().map(|volume| volume.name).collect())
}

/// Bytes of disk space that its files take.
#[pyfunction]
#[pyo3(signature = (name, store_dir=None))]
pub fn volume_size(py: Python<'_>, name: &str, store_dir: Option<PathBuf>) -> PyResult<u64> {
    let volumes = open(py, store_dir)?;
    py.detach(|| volumes.size(name)).or_raise(py)
}

/// Removes it with its files.
#[pyfunction]
#[pyo3(signature = (name, store_dir=None))]
pub fn remove_volume(py: Python<'_>, name: &str, store_dir: Option<PathBuf>) -> PyResult<()> {
    let volumes = open(py, store_dir)?;
    py.detach(|| volumes.remove(name)).or_raise(py)
}

/// Removes all that no container uses; their names.
#[pyfunction]
#[pyo3(signature = (store_dir=None))]
pub fn prune_volumes(py: Python<'_>, store_dir: Option<PathBuf>) -> PyResult<Vec<String>> {
    let volumes = open(py, store_dir)?;
    py.detach(|| volumes.prune()).or_raise(py)
}

fn open(py: Python<'_>, store_dir: Option<PathBuf>) -> PyResult<Volumes> {
    Volumes::open(store_dir.as_deref()).or_raise(py)
}
