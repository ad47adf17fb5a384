//! Images: what is in the store, and the ways in and out. `ctr.Image` stands on it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use ctr::image::{
    BuildOptions, Compression, ExportOptions, Image, ImageConfig, ImportOptions, Input, Limits, MakeOptions, Output,
    Report, SaveFormat, SaveOptions, Source, Store,
};
use ctr::{Client, Error, Step};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::convert::{Bytes, unknown};
use crate::error::Raise;
use crate::progress::Listener;
use crate::stream;

/// An image as `ctr.Image` takes it: digest, names, size, created, layers, config.
pub type ImageParts = (String, Vec<String>, u64, f64, Vec<OsString>, ConfigParts);

/// As `ctr.ImageConfig` takes it: env, entrypoint, cmd, working_dir, user, stop_signal, volumes, labels, architecture.
pub type ConfigParts =
    (Vec<String>, Vec<String>, Vec<String>, String, String, String, Vec<String>, BTreeMap<String, String>, String);

/// Imports a path, or what `read` of a file object gives.
#[pyfunction]
#[pyo3(signature = (source, options, progress=None, store_dir=None))]
pub fn import_image(
    py: Python<'_>,
    source: &Bound<'_, PyAny>,
    options: &Bound<'_, PyDict>,
    progress: Option<Py<PyAny>>,
    store_dir: Option<PathBuf>,
) -> PyResult<ImageParts> {
    let (options, limits, total) = import_options(options)?;
    let store = open(py, store_dir)?.with_limits(limits);
    let mut listener = Listener::new(progress);
    let image = if source.hasattr("read")? {
        stream::import(py, &store, source, total, &options, listener)
    } else {
        let path: PathBuf = source.extract::<Bytes>()?.into();
        let answer = py.detach(|| store.import(Input::Path(&path), &options, &mut |progress| listener.hear(progress)));
        listener.answer(answer.or_raise(py))
    };
    Ok(parts(image?))
}

/// All images, oldest first.
#[pyfunction]
#[pyo3(signature = (store_dir=None))]
pub fn images(py: Python<'_>, store_dir: Option<PathBuf>) -> PyResult<Vec<ImageParts>> {
    let store = open(py, store_dir)?;
    Ok(py.detach(|| store.list()).or_raise(py)?.into_iter().map(parts).collect())
}

/// The image of this name or digest.
#[pyfunction]
#[pyo3(signature = (name, store_dir=None))]
pub fn image(py: Python<'_>, name: &str, store_dir: Option<PathBuf>) -> PyResult<ImageParts> {
    let store = open(py, store_dir)?;
    py.detach(|| store.inspect(name)).or_raise(py).map(parts)
}

/// A further name for an image.
#[pyfunction]
#[pyo3(signature = (image, name, store_dir=None))]
pub fn tag_image(py: Python<'_>, image: &str, name: &str, store_dir: Option<PathBuf>) -> PyResult<()> {
    let store = open(py, store_dir)?;
    py.detach(|| store.tag(image, name)).or_raise(py)
}

/// Takes a name away, and with the last one the image; by digest, the image.
#[pyfunction]
#[pyo3(signature = (name, store_dir=None))]
pub fn remove_image(py: Python<'_>, name: &str, store_dir: Option<PathBuf>) -> PyResult<()> {
    let store = open(py, store_dir)?;
    py.detach(|| store.remove(name)).or_raise(py)
}

/// Removes what nobody names or uses: the digests of the images, and bytes.
#[pyfunction]
#[pyo3(signature = (store_dir=None))]
pub fn prune(py: Python<'_>, store_dir: Option<PathBuf>) -> PyResult<(Vec<String>, u64)> {
    let store = open(py, store_dir)?;
    let pruned = py.detach(|| store.prune()).or_raise(py)?;
    Ok((pruned.images, pruned.bytes))
}

/// Bytes of disk space that the layers take.
#[pyfunction]
#[pyo3(signature = (store_dir=None))]
pub fn disk_use(py: Python<'_>, store_dir: Option<PathBuf>) -> PyResult<u64> {
    let store = open(py, store_dir)?;
    py.detach(|| store.disk_use()).or_raise(py)
}

/// Writes an image to a path or by `write` of a file object.
#[pyfunction]
#[pyo3(signature = (image, target, options, progress=None, store_dir=None))]
pub fn save_image(
    py: Python<'_>,
    image: &str,
    target: &Bound<'_, PyAny>,
    options: &Bound<'_, PyDict>,
    progress: Option<Py<PyAny>>,
    store_dir: Option<PathBuf>,
) -> PyResult<()> {
    let (options, store) = (save_options(options)?, open(py, store_dir)?);
    let save = |output: Output<'_>, report: Report<'_>| store.save(image, output, &options, report);
    stream::export(py, target, Listener::new(progress), save)
}

/// The image that `name` means wherever an image is to be named: imported where it is a path that is not known yet.
#[pyfunction]
#[pyo3(signature = (name, progress=None, store_dir=None))]
pub fn find_image(
    py: Python<'_>,
    name: Bytes,
    progress: Option<Py<PyAny>>,
    store_dir: Option<PathBuf>,
) -> PyResult<ImageParts> {
    let mut listener = Listener::new(progress);
    let answer = py.detach(|| {
        let client = store_dir.map_or_else(Client::new, |directory| Client::new().with_store_dir(directory));
        let client = client.with_report(|done| listener.hear(done));
        match client.resolve(&name.0)? {
            // Its lock is held until it has been looked at.
            Source::Layers { digest, lock: _lock, .. } => client.store()?.inspect(&digest),
            _ => Err(Error::invalid(Step::UseAsImage, name.0.display(), "it is no image, but a tree of files")),
        }
    });
    listener.answer(answer.or_raise(py)).map(parts)
}

/// Makes an image of files of the host, on the image of this digest or on nothing.
#[pyfunction]
#[pyo3(signature = (base, files, keep_owners, options, progress=None, store_dir=None))]
pub fn build_image(
    py: Python<'_>,
    base: Option<String>,
    files: Vec<(Bytes, Bytes)>,
    keep_owners: bool,
    options: &Bound<'_, PyDict>,
    progress: Option<Py<PyAny>>,
    store_dir: Option<PathBuf>,
) -> PyResult<ImageParts> {
    let image = make_options(options)?;
    let build = BuildOptions::default().with(|o| {
        o.image = image;
        o.keep_owners = keep_owners;
    });
    let (store, mut listener) = (open(py, store_dir)?, Listener::new(progress));
    let files: Vec<(PathBuf, PathBuf)> = files.into_iter().map(|(from, to)| (from.into(), to.into())).collect();
    let base = base.map(OsString::from);
    let answer = py.detach(|| store.build(base.as_deref(), &files, &build, &mut |done| listener.hear(done)));
    listener.answer(answer.or_raise(py)).map(parts)
}

/// What a new image gets besides its files.
pub fn make_options(options: &Bound<'_, PyDict>) -> PyResult<MakeOptions> {
    let mut make = MakeOptions::default();
    for (key, value) in options {
        match key.extract::<String>()?.as_str() {
            "name" => make.name = Some(value.extract()?),
            "config" => make.config = Some(config(value.extract()?)),
            "epoch" => make.epoch = Some(value.extract()?),
            other => return Err(unknown("option", other)),
        }
    }
    Ok(make)
}

fn import_options(options: &Bound<'_, PyDict>) -> PyResult<(ImportOptions, Limits, u64)> {
    let (mut import, mut limits, mut total) = (ImportOptions::default(), Limits::default(), 0);
    for (key, value) in options {
        match key.extract::<String>()?.as_str() {
            "name" => import.name = Some(value.extract()?),
            "reference" => import.reference = Some(value.extract()?),
            "platform" => import.platform = Some(value.extract()?),
            "strip" => import.strip = value.extract()?,
            "total" => total = value.extract()?,
            "limits" => {
                for (name, most) in value.cast::<PyDict>()? {
                    limit(&mut limits, &name.extract::<String>()?, &most)?;
                }
            }
            other => return Err(unknown("option", other)),
        }
    }
    Ok((import, limits, total))
}

fn limit(limits: &mut Limits, name: &str, most: &Bound<'_, PyAny>) -> PyResult<()> {
    match name {
        "bytes" => limits.bytes = most.extract()?,
        "entries" => limits.entries = most.extract()?,
        "file" => limits.file = most.extract()?,
        "header" => limits.header = most.extract()?,
        "name" => limits.name = most.extract()?,
        "depth" => limits.depth = most.extract()?,
        "ratio" => limits.ratio = most.extract()?,
        "layers" => limits.layers = most.extract()?,
        "documents" => limits.documents = most.extract()?,
        "config" => limits.config = most.extract()?,
        "volumes" => limits.volumes = most.extract()?,
        "window" => limits.window = most.extract()?,
        "walks" => limits.walks = most.extract()?,
        other => return Err(unknown("limit", other)),
    }
    Ok(())
}

fn save_options(options: &Bound<'_, PyDict>) -> PyResult<SaveOptions> {
    let mut save = SaveOptions::default();
    for (key, value) in options {
        match key.extract::<String>()?.as_str() {
            "format" => {
                save.format = match value.extract::<String>()?.as_str() {
                    "oci" => SaveFormat::Oci,
                    "docker" => SaveFormat::Docker,
                    other => return Err(unknown("format", other)),
                }
            }
            "compression" => save.compression = compression(&value.extract::<String>()?)?,
            "name" => save.name = Some(value.extract()?),
            "epoch" => save.epoch = Some(value.extract()?),
            other => return Err(unknown("option", other)),
        }
    }
    Ok(save)
}

/// How a container is exported.
pub fn export_options(options: &Bound<'_, PyDict>) -> PyResult<ExportOptions> {
    let mut export = ExportOptions::default();
    for (key, value) in options {
        match key.extract::<String>()?.as_str() {
            "compression" => export.compression = compression(&value.extract::<String>()?)?,
            "epoch" => export.epoch = Some(value.extract()?),
            other => return Err(unknown("option", other)),
        }
    }
    Ok(export)
}

/// How what we write is compressed.
pub fn compression(name: &str) -> PyResult<Compression> {
    match name {
        "none" => Ok(Compression::None),
        "gzip" => Ok(Compression::Gzip),
        "zstd" => Ok(Compression::Zstd),
        other => Err(unknown("compression", other)),
    }
}

/// The store at `directory`, or the user's own.
pub fn open(py: Python<'_>, directory: Option<PathBuf>) -> PyResult<Store> {
    Store::open(directory.as_deref()).or_raise(py)
}

/// An image as Python takes it.
pub fn parts(image: Image) -> ImageParts {
    let created = image.created.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let layers = image.layers.into_iter().map(PathBuf::into_os_string).collect();
    (image.digest, image.names, image.size, created, layers, config_parts(image.config))
}

/// An image's configuration as the core takes it.
fn config(parts: ConfigParts) -> ImageConfig {
    let mut config = ImageConfig::default();
    (
        config.env,
        config.entrypoint,
        config.cmd,
        config.working_dir,
        config.user,
        config.stop_signal,
        config.volumes,
        config.labels,
        config.architecture,
    ) = parts;
    config
}

/// An image's configuration as Python takes it.
pub fn config_parts(config: ImageConfig) -> ConfigParts {
    (
        config.env,
        config.entrypoint,
        config.cmd,
        config.working_dir,
        config.user,
        config.stop_signal,
        config.volumes,
        config.labels,
        config.architecture,
    )
}
