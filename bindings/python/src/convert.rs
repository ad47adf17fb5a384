//! Python's keywords as the core's [`Config`] and [`ExecConfig`]. An option that is not given stays at the core's
//! default; what a value means is for the core to judge.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use ctr::{Config, Device, ExecConfig, Mount, Rlimit};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use serde::Deserialize;

use crate::error::Raise;
use crate::values::Value;

/// A str, bytes or path, as the bytes that the kernel takes (`os.fsencode`).
pub struct Bytes(pub OsString);

impl FromPyObject<'_, '_> for Bytes {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        if let Ok(text) = object.extract::<OsString>() {
            return Ok(Self(text));
        }
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Self(OsString::from_vec(bytes.as_bytes().to_vec())));
        }
        let path = object.py().import("os")?.call_method1("fsencode", (object,))?;
        Ok(Self(OsString::from_vec(path.cast::<PyBytes>()?.as_bytes().to_vec())))
    }
}

impl From<Bytes> for PathBuf {
    fn from(path: Bytes) -> Self {
        path.0.into()
    }
}

/// The core's configuration of a container, from what `ctr._options` collected.
pub fn config(options: &Bound<'_, PyDict>) -> PyResult<Config> {
    Ok(Config::deserialize(Value(options.as_any()))?)
}

/// One of its mounts.
pub fn mount(mount: &Bound<'_, PyAny>) -> PyResult<Mount> {
    Ok(Mount::deserialize(Value(mount))?)
}

/// The core's configuration of a process.
pub fn exec_config(options: Option<&Bound<'_, PyDict>>) -> PyResult<ExecConfig> {
    options.map_or_else(|| Ok(ExecConfig::default()), |options| Ok(ExecConfig::deserialize(Value(options.as_any()))?))
}

/// Raises what is wrong about a device, in the core's words.
#[pyfunction]
pub fn check_device(py: Python<'_>, text: &str) -> PyResult<()> {
    text.parse::<Device>().map(drop).or_raise(py)
}

/// Raises what is wrong about a limit of processes, in the core's words.
#[pyfunction]
pub fn check_rlimit(py: Python<'_>, name: &str, soft: Option<u64>, hard: Option<u64>) -> PyResult<()> {
    Rlimit::new(name, soft, hard).map(drop).or_raise(py)
}

/// What a name stands for.
pub fn one_of<T: Copy>(what: &str, value: &Bound<'_, PyAny>, all: &[(&str, T)]) -> PyResult<T> {
    let name: String = value.extract()?;
    let found = all.iter().find(|(known, _)| *known == name);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|(known, _)| *known).collect();
        PyValueError::new_err(format!("unknown {what}: {name:?}; there are {}", names.join(", ")))
    })
}

/// What Python says of a keyword that nobody knows.
pub fn unknown(what: &str, name: &str) -> PyErr {
    PyTypeError::new_err(format!("unknown {what}: {name:?}"))
}
