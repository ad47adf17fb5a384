//! ctr_image_options: how archives and images are read, written and made; and what is told meanwhile.

use std::ffi::{c_char, c_int, c_void};
use std::path::PathBuf;
use std::sync::Mutex;

use super::border::{border, bytes, one_of, text};
use super::handle::Table;
use super::image_config::image_config;
use super::setters::{Settings, checked, set};
use super::types::{
    ctr_compression, ctr_image_config, ctr_image_limit, ctr_image_options, ctr_progress, ctr_save_format,
};
use crate::image::{
    BuildOptions, Compression, ExportOptions, ImageConfig, ImportOptions, Limits, MakeOptions, Progress, SaveFormat,
    SaveOptions, Store,
};
use crate::{Error, Result, Step};

static OPTIONS: Table<Mutex<Options>> = Table::new("options", 6);

impl Settings for ctr_image_options {
    type Values = Options;

    fn table() -> &'static Table<Mutex<Options>> {
        &OPTIONS
    }
}

/// What the setters set.
#[derive(Clone, Default)]
pub(super) struct Options {
    store_dir: Option<PathBuf>,
    name: Option<String>,
    reference: Option<String>,
    platform: Option<String>,
    strip: usize,
    limits: Limits,
    compression: Compression,
    format: SaveFormat,
    epoch: Option<i64>,
    config: Option<ImageConfig>,
    keep_owners: bool,
    files: Vec<(PathBuf, PathBuf)>,
    progress: Option<Callback>,
}

/// What hears of progress.
#[derive(Clone, Copy)]
struct Callback {
    function: unsafe extern "C" fn(*mut c_void, u64, u64, u64) -> c_int,
    data: *mut c_void,
}

// SAFETY: the pointer is never followed here; it goes back to the caller, on the thread of the call that it is for.
unsafe impl Send for Callback {}

/// New options with the defaults. The comment of each function that takes options names the setters that it uses; it
/// ignores the others. The same options may be used any number of times.
///
/// Return value: the options, which ctr_image_options_free() frees; NULL when there is no memory.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_image_options_new() -> *mut ctr_image_options {
    border(|| OPTIONS.insert(Mutex::default()))
}

/// Frees options. NULL is allowed. A call that is under way with them is not affected.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_image_options_free(options: *mut ctr_image_options) {
    border(|| if options.is_null() { Ok(()) } else { OPTIONS.release(options).map(drop) });
}

/// The store: the directory in which unpacked images are kept. Every function on images uses it. Default:
/// $CTR_STORE_DIR, else /var/lib/ctr for root and $XDG_DATA_HOME/ctr for others.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_options_set_store_dir(
    options: *mut ctr_image_options,
    path: *const c_char,
) -> c_int {
    // SAFETY: the caller's promise.
    checked(options, || unsafe { bytes("path", path) }, |options, path| options.store_dir = Some(path.into()))
}

/// A name for the new image, of letters, digits and . _ - / : @; it is taken from the image that had it. For
/// ctr_image_save(), the name that other tools find the image by. Default: none; for ctr_image_save(), the image's first.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_options_set_name(options: *mut ctr_image_options, name: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    checked(options, || unsafe { text("name", name) }, |options, name| options.name = Some(name.into()))
}

/// Which one of several images in an archive is imported: the end of its name ("alpine:3.20"), or its digest. Default:
/// the only one.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_options_set_reference(
    options: *mut ctr_image_options,
    reference: *const c_char,
) -> c_int {
    // SAFETY: the caller's promise.
    let reference = || unsafe { text("reference", reference) };
    checked(options, reference, |options, reference| options.reference = Some(reference.into()))
}

/// Which one of several images of the same name is imported, as docker's --platform: "linux/arm64", "linux/arm/v7", "arm64". It
/// is looked at when something is imported. Default: this machine's.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_options_set_platform(
    options: *mut ctr_image_options,
    platform: *const c_char,
) -> c_int {
    // SAFETY: the caller's promise.
    let platform = || unsafe { text("platform", platform) };
    checked(options, platform, |options, platform| options.platform = Some(platform.into()))
}

/// How many leading components every name of an imported archive loses, as --strip-components of tar(1): 1 for an
/// archive whose content is wrapped in one directory. Default: 0.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_image_options_set_strip(options: *mut ctr_image_options, components: c_int) -> c_int {
    let strip = || {
        usize::try_from(components).map_err(|_| Error::invalid(Step::Argument, "components", "it is a negative number"))
    };
    checked(options, strip, |options, strip| options.strip = strip)
}

/// Sets a bound for imports: an archive that exceeds it is refused, and the error names the bound.
///
/// limit   one of enum ctr_image_limit
/// most    the bound
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_image_options_set_limit(options: *mut ctr_image_options, limit: c_int, most: u64) -> c_int {
    type Place = fn(&mut Limits, u64);
    const SIZE: fn(u64) -> usize = |most| usize::try_from(most).unwrap_or(usize::MAX);
    const PLACES: [(c_int, Place); 13] = [
        (ctr_image_limit::CTR_LIMIT_BYTES as c_int, |limits, most| limits.bytes = most),
        (ctr_image_limit::CTR_LIMIT_ENTRIES as c_int, |limits, most| limits.entries = most),
        (ctr_image_limit::CTR_LIMIT_FILE as c_int, |limits, most| limits.file = most),
        (ctr_image_limit::CTR_LIMIT_HEADER as c_int, |limits, most| limits.header = most),
        (ctr_image_limit::CTR_LIMIT_NAME as c_int, |limits, most| limits.name = SIZE(most)),
        (ctr_image_limit::CTR_LIMIT_DEPTH as c_int, |limits, most| limits.depth = SIZE(most)),
        (ctr_image_limit::CTR_LIMIT_RATIO as c_int, |limits, most| limits.ratio = most),
        (ctr_image_limit::CTR_LIMIT_LAYERS as c_int, |limits, most| limits.layers = SIZE(most)),
        (ctr_image_limit::CTR_LIMIT_DOCUMENTS as c_int, |limits, most| limits.documents = SIZE(most)),
        (ctr_image_limit::CTR_LIMIT_CONFIG as c_int, |limits, most| limits.config = SIZE(most)),
        (ctr_image_limit::CTR_LIMIT_VOLUMES as c_int, |limits, most| limits.volumes = SIZE(most)),
        (ctr_image_limit::CTR_LIMIT_WINDOW as c_int, |limits, most| limits.window = most),
        (ctr_image_limit::CTR_LIMIT_WALKS as c_int, |limits, most| limits.walks = most),
    ];
    checked(options, || one_of("limit", &PLACES, limit), |options, place| place(&mut options.limits, most))
}

/// How an archive that is written is compressed: one of enum ctr_compression. ctr_image_save() compresses the layers.
/// An import finds out by itself. Default: CTR_COMPRESSION_NONE.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_image_options_set_compression(options: *mut ctr_image_options, compression: c_int) -> c_int {
    const ALL: [(c_int, Compression); 3] = [
        (ctr_compression::CTR_COMPRESSION_NONE as c_int, Compression::None),
        (ctr_compression::CTR_COMPRESSION_GZIP as c_int, Compression::Gzip),
        (ctr_compression::CTR_COMPRESSION_ZSTD as c_int, Compression::Zstd),
    ];
    checked(options, || one_of("compression", &ALL, compression), |options, value| options.compression = value)
}

/// Which tools ctr_image_save() writes for: one of enum ctr_save_format. Default: CTR_SAVE_OCI.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_image_options_set_format(options: *mut ctr_image_options, format: c_int) -> c_int {
    const ALL: [(c_int, SaveFormat); 2] = [
        (ctr_save_format::CTR_SAVE_OCI as c_int, SaveFormat::Oci),
        (ctr_save_format::CTR_SAVE_DOCKER as c_int, SaveFormat::Docker),
    ];
    checked(options, || one_of("format", &ALL, format), |options, value| options.format = value)
}

/// The latest time that any file in an archive or a new image has, and when the image says it was made, in seconds since
/// the Epoch: with it, the same input gives the same bytes. Default: the variable SOURCE_DATE_EPOCH; where it is not set,
/// times are as they are.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_image_options_set_epoch(options: *mut ctr_image_options, seconds: i64) -> c_int {
    set(options, |options| options.epoch = Some(seconds))
}

/// How the image that ctr_commit() or ctr_image_build() makes is run. It is copied: later changes to config have no
/// effect. Default: as the image that it is made from.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_image_options_set_config(
    options: *mut ctr_image_options,
    config: *const ctr_image_config,
) -> c_int {
    checked(options, || image_config(config), |options, config| options.config = Some(config))
}

/// Lets files that ctr_image_build() packs keep their owners. Default: false, all of them are root's.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_image_options_set_keep_owners(options: *mut ctr_image_options, keep: bool) -> c_int {
    set(options, |options| options.keep_owners = keep)
}

/// Adds a file or directory that ctr_image_build() packs, as COPY of a Dockerfile does.
///
/// from   a path of the host; of a directory what is in it, not itself
/// to     an absolute path inside. A file goes there under this name, or, where it ends in a slash or is a directory by
///        then, into it under its own
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_options_add_file(
    options: *mut ctr_image_options,
    from: *const c_char,
    to: *const c_char,
) -> c_int {
    // SAFETY: the caller's promise.
    let paths = || Ok(unsafe { (bytes("from", from)?.into(), bytes("to", to)?.into()) });
    checked(options, paths, |options, paths| options.files.push(paths))
}

/// A function that is told how far a long call is, about ten times a second and once at its end, on the thread that
/// made the call; see ctr_progress. It gets data as its first argument. Default: NULL, none.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_image_options_set_progress(
    options: *mut ctr_image_options,
    progress: ctr_progress,
    data: *mut c_void,
) -> c_int {
    set(options, |options| options.progress = progress.map(|function| Callback { function, data }))
}

impl Options {
    pub fn store(&self) -> Result<Store> {
        Ok(Store::open(self.store_dir.as_deref())?.with_limits(self.limits.clone()))
    }

    pub fn import(&self) -> ImportOptions {
        ImportOptions {
            name: self.name.clone(),
            reference: self.reference.clone(),
            platform: self.platform.clone(),
            strip: self.strip,
        }
    }

    pub fn export(&self) -> ExportOptions {
        ExportOptions { compression: self.compression, epoch: self.epoch }
    }

    pub fn save(&self) -> SaveOptions {
        SaveOptions { format: self.format, compression: self.compression, name: self.name.clone(), epoch: self.epoch }
    }

    pub fn make(&self) -> MakeOptions {
        MakeOptions { name: self.name.clone(), config: self.config.clone(), epoch: self.epoch }
    }

    pub fn build(&self) -> BuildOptions {
        BuildOptions { image: self.make(), keep_owners: self.keep_owners }
    }

    pub fn files(&self) -> &[(PathBuf, PathBuf)] {
        &self.files
    }

    /// Tells the caller, and answers whether to go on.
    pub fn hear(&self, done: Progress) -> bool {
        self.progress.is_none_or(|Callback { function, data }| {
            // SAFETY: the caller's function, called as its type says with the caller's own pointer.
            unsafe { function(data, done.bytes, done.total, done.entries) == 0 }
        })
    }
}
