//! ctr_image: an image of the store, and lists of them.

use std::ffi::{CString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::time::UNIX_EPOCH;

use super::border::{border, new_string, one_of, out};
use super::handle::{Ref, Table};
use super::types::{ctr_image, ctr_image_text_kind, ctr_images};
use crate::image::{Image, ImageConfig};
use crate::{Error, Result, Step};

static IMAGES: Table<Handle> = Table::new("image", 7);
static LISTS: Table<Vec<Image>> = Table::new("images", 8);

/// An image, and its texts as C has them.
pub(super) struct Handle {
    image: Image,
    texts: Vec<(c_int, Vec<CString>)>,
}

impl Handle {
    pub fn config(&self) -> &ImageConfig {
        &self.image.config
    }
}

/// Frees the handle of an image. NULL is allowed. The image itself stays in the store.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_image_free(image: *mut ctr_image) {
    border(|| if image.is_null() { Ok(()) } else { IMAGES.release(image).map(drop) });
}

/// How many texts of a kind an image has.
///
/// kind   one of enum ctr_image_text_kind
///
/// Return value: the number, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_image_count(image: *const ctr_image, kind: c_int) -> c_int {
    border(|| Ok(c_int::try_from(texts(&*self::image(image)?, kind)?.len()).unwrap_or(c_int::MAX)))
}

/// A text of an image: its digest, its names, what it says about how it is run.
///
/// kind    one of enum ctr_image_text_kind
/// index   from 0 to ctr_image_count() less one; 0 where there is only one
///
/// Return value: a string that is good until ctr_image_free(); NULL when there is no such text.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_image_text(image: *const ctr_image, kind: c_int, index: c_int) -> *const c_char {
    border(|| {
        let image = self::image(image)?;
        let texts = texts(&image, kind)?;
        let text = usize::try_from(index).ok().and_then(|index| texts.get(index));
        let text = text.ok_or_else(|| {
            Error::invalid(Step::Argument, "index", format!("{index} is not one of {} texts of this kind", texts.len()))
        })?;
        Ok(text.as_ptr())
    })
}

/// The bytes of an image's files, layer by layer, holes included.
///
/// Return value: 0 and the number in *bytes, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_size(image: *const ctr_image, bytes: *mut u64) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let bytes = unsafe { out("bytes", bytes) }?;
        *bytes = self::image(image)?.image.size;
        Ok(0)
    })
}

/// When an image came into the store, in milliseconds since the Epoch, time(7).
///
/// Return value: the time, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_image_created(image: *const ctr_image) -> i64 {
    border(|| {
        let since = self::image(image)?.image.created.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    })
}

/// All about an image as a JSON object: digest, names, size, created (RFC 3339), architecture, layers (paths of trees in
/// the store, lowest first), config (as ctr_image_config_json()).
///
/// Return value: 0 and the text in *json, which ctr_string_free() frees; CTR_ERR_INVALID, and *json is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_json(image: *const ctr_image, json: *mut *mut c_char) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let json = unsafe { out("json", json) }?;
        *json = new_string(&self::image(image)?.image.json())?;
        Ok(0)
    })
}

/// How many images are in a list.
///
/// Return value: the number, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_images_count(images: *const ctr_images) -> c_int {
    border(|| Ok(c_int::try_from(LISTS.get(images)?.len()).unwrap_or(c_int::MAX)))
}

/// An image of a list.
///
/// index   from 0 to ctr_images_count() less one
///
/// Return value: 0 and the image in *out, which ctr_image_free() frees and which outlives the list; CTR_ERR_INVALID when
/// there is no such index, and *out is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_images_get(images: *const ctr_images, index: c_int, out: *mut *mut ctr_image) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { self::out("out", out) }?;
        let list = LISTS.get(images)?;
        let image = usize::try_from(index).ok().and_then(|index| list.get(index)).cloned();
        let none = || Error::invalid(Step::Argument, "index", format!("{index} is not one of {} images", list.len()));
        *out = new_image(image.ok_or_else(none)?)?;
        Ok(0)
    })
}

/// Frees a list. NULL is allowed. The images stay in the store.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_images_free(images: *mut ctr_images) {
    border(|| if images.is_null() { Ok(()) } else { LISTS.release(images).map(drop) });
}

pub(super) fn image(image: *const ctr_image) -> Result<Ref<'static, Handle>> {
    IMAGES.get(image)
}

pub(super) fn new_image(image: Image) -> Result<*mut ctr_image> {
    use ctr_image_text_kind as kind;
    let config = &image.config;
    let one = |text: &str| if text.is_empty() { Vec::new() } else { vec![string(text.as_bytes())] };
    let all = |list: &[String]| list.iter().map(|text| string(text.as_bytes())).collect();
    let layers = image.layers.iter().map(|path| string(path.as_os_str().as_bytes())).collect();
    let labels = config.labels.iter().map(|(key, value)| string(format!("{key}={value}").as_bytes())).collect();
    let texts = vec![
        (kind::CTR_IMAGE_DIGEST as c_int, one(&image.digest)),
        (kind::CTR_IMAGE_NAME as c_int, all(&image.names)),
        (kind::CTR_IMAGE_LAYER as c_int, layers),
        (kind::CTR_IMAGE_ENV as c_int, all(&config.env)),
        (kind::CTR_IMAGE_ENTRYPOINT as c_int, all(&config.entrypoint)),
        (kind::CTR_IMAGE_CMD as c_int, all(&config.cmd)),
        (kind::CTR_IMAGE_WORKING_DIR as c_int, one(&config.working_dir)),
        (kind::CTR_IMAGE_USER as c_int, one(&config.user)),
        (kind::CTR_IMAGE_STOP_SIGNAL as c_int, one(&config.stop_signal)),
        (kind::CTR_IMAGE_VOLUME as c_int, all(&config.volumes)),
        (kind::CTR_IMAGE_LABEL as c_int, labels),
        (kind::CTR_IMAGE_ARCHITECTURE as c_int, one(&config.architecture)),
    ];
    IMAGES.insert(Handle { image, texts })
}

pub(super) fn new_images(images: Vec<Image>) -> Result<*mut ctr_images> {
    LISTS.insert(images)
}

fn texts(image: &Handle, kind: c_int) -> Result<&[CString]> {
    let places: Vec<(c_int, usize)> = image.texts.iter().enumerate().map(|(at, (kind, _))| (*kind, at)).collect();
    Ok(&image.texts[one_of("kind", &places, kind)?].1)
}

/// A document may have a NUL in a text; C can't.
pub(super) fn string(bytes: &[u8]) -> CString {
    CString::new(bytes.iter().copied().filter(|&byte| byte != 0).collect::<Vec<_>>()).unwrap_or_default()
}
