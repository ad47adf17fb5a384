//! ctr_image_*: the store, and archives into it and out of it.

use std::ffi::{c_char, c_int};
use std::os::fd::BorrowedFd;
use std::path::Path;

use super::border::{border, bytes, out, text};
use super::image::{new_image, new_images};
use super::setters::current as options_of;
use super::types::{ctr_image, ctr_image_options, ctr_images};
use crate::image::{Input, Output};
use crate::{Error, Result, Step, sys};

/// Imports an archive into the store: a tarball of a root file system, an archive of `docker save` or of an OCI image
/// layout, plain or compressed by gzip, zstd, xz, bzip2 or lz4, told by its content; or a directory that is an OCI image
/// layout. The second time, the same file is known without being read.
///
/// path      the archive
/// options   counted are store_dir, name, reference, platform, strip, limit and progress; NULL for the defaults
/// out       gets the image; may be NULL
///
/// Return value: 0, and the image in *out, which ctr_image_free() frees. On failure *out is NULL and nothing is left
/// in the store: CTR_ERR_NOT_FOUND if there is no such file; CTR_ERR_BAD_IMAGE if it is no archive, or is damaged,
/// unsafe or over a limit; CTR_ERR_SYSTEM if a step failed; CTR_ERR_INTERRUPTED if progress stopped it;
/// CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_import(
    path: *const c_char,
    options: *const ctr_image_options,
    out: *mut *mut ctr_image,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (path, out) = unsafe { (bytes("path", path), maybe(out)) };
        import(Input::Path(Path::new(path?)), options, out)
    })
}

/// As ctr_image_import(), from an open file, a pipe or a socket: from where it is to its end. The descriptor stays the
/// caller's.
///
/// Return value: as ctr_image_import(); CTR_ERR_SYSTEM with EBADF when fd is not open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_import_fd(
    fd: c_int,
    options: *const ctr_image_options,
    out: *mut *mut ctr_image,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { maybe(out) };
        import(Input::Fd(descriptor(fd)?), options, out)
    })
}

/// All images of the store, oldest first.
///
/// options   counted is store_dir; NULL for the defaults
///
/// Return value: 0 and the list in *out, which ctr_images_free() frees; CTR_ERR_SYSTEM, CTR_ERR_INVALID, and *out is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_list(options: *const ctr_image_options, out: *mut *mut ctr_images) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { self::out("out", out) }?;
        *out = new_images(options_of(options)?.store()?.list()?)?;
        Ok(0)
    })
}

/// The image of a name or a digest ("sha256:…").
///
/// options   counted is store_dir; NULL for the defaults
///
/// Return value: 0 and the image in *out, which ctr_image_free() frees; CTR_ERR_NOT_FOUND, CTR_ERR_SYSTEM,
/// CTR_ERR_INVALID, and *out is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_inspect(
    name: *const c_char,
    options: *const ctr_image_options,
    out: *mut *mut ctr_image,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (out, name) = unsafe { (self::out("out", out)?, text("name", name)?) };
        *out = new_image(options_of(options)?.store()?.inspect(name)?)?;
        Ok(0)
    })
}

/// Gives an image a further name, which is taken from the image that had it.
///
/// image     a name or a digest of the image
/// name      the new name
/// options   counted is store_dir; NULL for the defaults
///
/// Return value: 0; CTR_ERR_NOT_FOUND, CTR_ERR_SYSTEM; CTR_ERR_INVALID for what can't be a name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_tag(
    image: *const c_char,
    name: *const c_char,
    options: *const ctr_image_options,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (image, name) = unsafe { (text("image", image)?, text("name", name)?) };
        options_of(options)?.store()?.tag(image, name).map(|()| 0)
    })
}

/// Takes a name away, and with the last one the image; by its digest, the image with all its names.
///
/// options   counted is store_dir; NULL for the defaults
///
/// Return value: 0; CTR_ERR_NOT_FOUND; CTR_ERR_SYSTEM with EBUSY when a container uses the image; CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_remove(name: *const c_char, options: *const ctr_image_options) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let name = unsafe { text("name", name) }?;
        options_of(options)?.store()?.remove(name).map(|()| 0)
    })
}

/// Removes images without a name that no container uses, and layers without an image.
///
/// options   counted is store_dir; NULL for the defaults
/// images    gets how many images were removed; may be NULL
/// bytes     gets the disk space that is free again; may be NULL
///
/// Return value: 0; CTR_ERR_SYSTEM, CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_prune(
    options: *const ctr_image_options,
    images: *mut u64,
    bytes: *mut u64,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (images, bytes) = unsafe { (maybe(images), maybe(bytes)) };
        let pruned = options_of(options)?.store()?.prune()?;
        if let Some(images) = images {
            *images = pruned.images.len() as u64;
        }
        if let Some(bytes) = bytes {
            *bytes = pruned.bytes;
        }
        Ok(0)
    })
}

/// The disk space that the layers of all images take, in bytes.
///
/// options   counted is store_dir; NULL for the defaults
///
/// Return value: 0 and the number in *bytes; CTR_ERR_SYSTEM, CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_disk_use(options: *const ctr_image_options, bytes: *mut u64) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let bytes = unsafe { out("bytes", bytes) }?;
        *bytes = options_of(options)?.store()?.disk_use()?;
        Ok(0)
    })
}

/// Writes an image as an archive that docker, podman, skopeo and umoci take. The same image gives the same bytes.
///
/// name      a name or a digest of the image
/// path      the file, which appears when it is whole; a fifo or a device is written to
/// options   counted are store_dir, name, compression, format, epoch and progress; NULL for the defaults
///
/// Return value: 0; CTR_ERR_NOT_FOUND; CTR_ERR_SYSTEM if a step failed; CTR_ERR_INTERRUPTED if progress stopped it,
/// and there is no file then; CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_save(
    name: *const c_char,
    path: *const c_char,
    options: *const ctr_image_options,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (name, path) = unsafe { (text("name", name)?, bytes("path", path)?) };
        let options = options_of(options)?;
        let output = Output::Path(Path::new(path));
        options.store()?.save(name, output, &options.save(), &mut |done| options.hear(done)).map(|()| 0)
    })
}

/// As ctr_image_save(), to an open file, a pipe or a socket. The descriptor stays the caller's, and a pipe without a
/// reader is an error (EPIPE) and raises no SIGPIPE.
///
/// Return value: as ctr_image_save(); CTR_ERR_SYSTEM with EBADF when fd is not open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_save_fd(name: *const c_char, fd: c_int, options: *const ctr_image_options) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let name = unsafe { text("name", name) }?;
        let options = options_of(options)?;
        let output = Output::Fd(descriptor(fd)?);
        options.store()?.save(name, output, &options.save(), &mut |done| options.hear(done)).map(|()| 0)
    })
}

/// Makes an image of files of the host, on another image or on nothing, without a Dockerfile. Links of the base on the
/// way are followed, its directories stay as they are, later files replace earlier ones. The same files, base and options
/// give the same image.
///
/// base      an image as ctr_create() takes it, but neither "host" nor a directory; NULL for none
/// options   counted are store_dir, add_file, name, config, epoch, keep_owners, limit and progress
/// out       gets the image; may be NULL
///
/// Return value: 0, and the image in *out, which ctr_image_free() frees. On failure *out is NULL and nothing is left
/// in the store: CTR_ERR_NOT_FOUND if there is no such base; CTR_ERR_BAD_IMAGE if no layer can hold one of the files;
/// CTR_ERR_SYSTEM if a step failed, with ENOENT when a file is missing; CTR_ERR_INTERRUPTED if progress stopped it;
/// CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_image_build(
    base: *const c_char,
    options: *const ctr_image_options,
    out: *mut *mut ctr_image,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (base, out) = unsafe { ((!base.is_null()).then(|| bytes("base", base)).transpose()?, maybe(out)) };
        let options = options_of(options)?;
        let report = &mut |done| options.hear(done);
        let image = options.store()?.build(base, options.files(), &options.build(), report)?;
        give(image, out)
    })
}

fn import(input: Input<'_>, options: *const ctr_image_options, out: Option<&mut *mut ctr_image>) -> Result<c_int> {
    let options = options_of(options)?;
    let image = options.store()?.import(input, &options.import(), &mut |done| options.hear(done))?;
    give(image, out)
}

/// Hands an image out where it is wanted.
pub(super) fn give(image: crate::image::Image, out: Option<&mut *mut ctr_image>) -> Result<c_int> {
    if let Some(out) = out {
        *out = new_image(image)?;
    }
    Ok(0)
}

/// An out parameter that may be NULL.
///
/// # Safety
/// As [`out`].
pub(super) unsafe fn maybe<'a, T>(out: *mut T) -> Option<&'a mut T> {
    if out.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    unsafe { self::out("out", out) }.ok()
}

/// A descriptor of the caller's.
pub(super) fn descriptor(fd: c_int) -> Result<BorrowedFd<'static>> {
    sys::borrow(fd).map_err(|error| Error::io(Step::UseDescriptor, fd, &error))
}
