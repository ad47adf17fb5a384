//! What an image says about how it wants to be run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The configuration of an image, as the OCI image specification has it ("config.md", property `config`); empty for a
/// plain tarball. What the user asks for at run time comes first, this second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ImageConfig {
    /// `NAME=value` pairs.
    pub env: Vec<String>,
    /// What is always run; the user's arguments follow it.
    pub entrypoint: Vec<String>,
    /// Arguments, or the program itself, where the user gives none.
    pub cmd: Vec<String>,
    /// Where programs start, absolute; empty where the image says nothing.
    pub working_dir: String,
    /// As in [`crate::ExecConfig::user`]; empty where the image says nothing.
    pub user: String,
    /// `SIGTERM`, `15`; empty where the image says nothing.
    pub stop_signal: String,
    /// Absolute paths that hold data of the container's own.
    pub volumes: Vec<String>,
    /// Free-form.
    pub labels: BTreeMap<String, String>,
    /// GOARCH's name for the machine (`amd64`); empty where the image says nothing.
    pub architecture: String,
}
