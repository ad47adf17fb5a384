//! `ctr._ctr`: the native half of the Python package `ctr`.
//!
//! It converts, releases the GIL in everything that waits, lets Ctrl-C through, and decides nothing: what people see is
//! written in Python (`python/ctr`), what happens is written in the core (`src/`). Its stub is `python/ctr/_ctr.pyi`.

#![deny(clippy::disallowed_methods)]

mod container;
mod convert;
mod error;
mod image;
mod probe;
mod process;
mod progress;
mod stream;
mod values;
mod volume;
mod wait;
mod watch;

use pyo3::prelude::*;

/// The module that `import ctr._ctr` gives.
#[pymodule]
mod _ctr {
    #[pymodule_export]
    use super::container::{Container, containers, destroy, explain, network, networks, remove_network};
    #[pymodule_export]
    use super::convert::{check_device, check_rlimit};
    #[pymodule_export]
    use super::error::step_text;
    #[pymodule_export]
    use super::image::{
        build_image, disk_use, find_image, image, images, import_image, prune, remove_image, save_image, tag_image,
    };
    #[pymodule_export]
    use super::probe::probe;
    #[pymodule_export]
    use super::process::Process;
    #[pymodule_export]
    use super::version;
    #[pymodule_export]
    use super::volume::{make_volume, prune_volumes, remove_volume, volume_size, volumes};
    #[pymodule_export]
    use super::watch::Watch;
}

/// The version of the core.
#[pyfunction]
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
