//! ctr_image_config: what an image says about how it is run, to be read from one and given to another.

use std::ffi::{OsStr, c_char, c_int};
use std::sync::{Mutex, PoisonError};

use super::border::{border, new_string, out, strings, text};
use super::container::container;
use super::handle::Table;
use super::image::image;
use super::setters::{Settings, checked};
use super::types::{ctr_container, ctr_image, ctr_image_config};
use crate::image::ImageConfig;
use crate::{Error, Result, Step};

static CONFIGS: Table<Mutex<ImageConfig>> = Table::new("image config", 9);

impl Settings for ctr_image_config {
    type Values = ImageConfig;

    fn table() -> &'static Table<Mutex<ImageConfig>> {
        &CONFIGS
    }
}

/// A new, empty configuration of an image.
///
/// Return value: the configuration, which ctr_image_config_free() frees; NULL when there is no memory.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_image_config_new() -> *mut ctr_image_config {
    border(|| CONFIGS.insert(Mutex::default()))
}

/// A copy of an image's configuration, to be changed and given to another image.
///
/// Return value: the configuration, which ctr_image_config_free() frees; NULL for an invalid handle.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_image_config_of(image: *const ctr_image) -> *mut ctr_image_config {
    border(|| CONFIGS.insert(Mutex::new(self::image(image)?.config().clone())))
}

/// A copy of the configuration of the image that a container was made from; it is empty if the container was made
/// from a plain tarball, a directory or "host".
///
/// Return value: as ctr_image_config_of().
#[unsafe(no_mangle)]
pub extern "C" fn ctr_image_config_of_container(c: *const ctr_container) -> *mut ctr_image_config {
    border(|| CONFIGS.insert(Mutex::new(container(c)?.container.image_config().clone())))
}

/// Frees a configuration. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_image_config_free(config: *mut ctr_image_config) {
    border(|| if config.is_null() { Ok(()) } else { CONFIGS.release(config).map(drop) });
}

/// Adds an environment variable for every program. The same name again replaces the value.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_config_add_env(
    config: *mut ctr_image_config,
    name: *const c_char,
    value: *const c_char,
) -> c_int {
    // SAFETY: the caller's promise.
    let pair = || Ok(unsafe { (text("name", name)?, text("value", value)?) });
    checked(config, pair, |config, (name, value)| config.set_env(name, value))
}

/// What is always run: arguments of ctr_exec_image() follow it. argv ends in NULL; an empty one is none.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_config_set_entrypoint(
    config: *mut ctr_image_config,
    argv: *const *const c_char,
) -> c_int {
    // SAFETY: the caller's promise.
    checked(config, || words(unsafe { strings("argv", argv) }?), |config, words| config.entrypoint = words)
}

/// The arguments, or the program itself, where the user gives none. argv ends in NULL; an empty one is none.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_config_set_cmd(config: *mut ctr_image_config, argv: *const *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    checked(config, || words(unsafe { strings("argv", argv) }?), |config, words| config.cmd = words)
}

/// Where programs start: an absolute path inside, made where it is missing; "" for none.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_config_set_working_dir(config: *mut ctr_image_config, path: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    checked(config, || unsafe { text("path", path) }, |config, path| config.working_dir = path.into())
}

/// Who programs run as, as ctr_exec_config_set_user() takes it; "" for root.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_config_set_user(config: *mut ctr_image_config, user: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    checked(config, || unsafe { text("user", user) }, |config, user| config.user = user.into())
}

/// The signal that ctr_process_stop() sends, as "SIGQUIT" or "3"; "" for SIGTERM.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_config_set_stop_signal(
    config: *mut ctr_image_config,
    signal: *const c_char,
) -> c_int {
    // SAFETY: the caller's promise.
    checked(config, || unsafe { text("signal", signal) }, |config, signal| config.stop_signal = signal.into())
}

/// Adds a volume: an absolute path inside for data, which is there and writable in every container, also where the root is
/// read-only, and which ctr_diff() and ctr_commit() leave out.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_config_add_volume(config: *mut ctr_image_config, path: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    checked(config, || unsafe { text("path", path) }, |config, path| config.volumes.push(path.into()))
}

/// Adds a label, which is free-form. The same key again replaces the value.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_config_add_label(
    config: *mut ctr_image_config,
    key: *const c_char,
    value: *const c_char,
) -> c_int {
    // SAFETY: the caller's promise.
    let pair = || Ok(unsafe { (text("key", key)?, text("value", value)?) });
    checked(config, pair, |config, (key, value)| _ = config.labels.insert(key.into(), value.into()))
}

/// A configuration as JSON, the property "config" of the OCI image specification's config.md: Env, Entrypoint, Cmd,
/// WorkingDir, User, StopSignal, Volumes, Labels, each where there is one.
///
/// Return value: 0 and the text in *json, which ctr_string_free() frees; CTR_ERR_INVALID, and *json is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_config_json(config: *const ctr_image_config, json: *mut *mut c_char) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let json = unsafe { out("json", json) }?;
        *json = new_string(&image_config(config)?.json())?;
        Ok(0)
    })
}

/// A copy of what a configuration says now.
pub(super) fn image_config(config: *const ctr_image_config) -> Result<ImageConfig> {
    Ok(CONFIGS.get(config)?.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

/// A document of JSON has nothing but text.
fn words(argv: Vec<&OsStr>) -> Result<Vec<String>> {
    let word = |word: &OsStr| {
        word.to_str().map(str::to_owned).ok_or_else(|| Error::invalid(Step::Argument, "argv", "it is not UTF-8"))
    };
    argv.into_iter().map(word).collect()
}
