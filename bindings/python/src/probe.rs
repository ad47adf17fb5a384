//! `_ctr.probe`: what this machine allows.

use pyo3::prelude::*;

/// How `probe` tells of one check: name, ok, says, hint.
type CheckParts = (&'static str, bool, String, String);

/// What this machine allows this user, check by check.
#[pyfunction]
pub fn probe(py: Python<'_>) -> Vec<CheckParts> {
    let checks = py.detach(ctr::probe);
    checks.into_iter().map(|check| (check.name, check.ok, check.says, check.hint)).collect()
}
