//! ctr_volume_*: directories of the store that outlive containers.

use std::ffi::{CString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;

use super::border::{at, border, out, text};
use super::handle::{Ref, Table};
use super::images::maybe;
use super::setters::current as options_of;
use super::types::{ctr_image_options, ctr_volumes};
use crate::image::VolumeInfo;
use crate::{Result, Volumes};

static LISTS: Table<Vec<Line>> = Table::new("volumes", 17);

struct Line {
    name: CString,
    path: CString,
}

/// Makes a volume: a directory of the store that outlives containers. ctr_config_add_volume() and ctr_mount_volume() make one that is
/// missing, so this is for who wants its directory, ctr_volumes_path(), before. One that is there already is no error.
///
/// name      at most 64 of a-z A-Z 0-9 _ . -, not starting with a dot or a dash
/// options   counted is store_dir; NULL for the defaults
/// out       gets a list of this one volume, which ctr_volumes_free() frees; may be NULL
///
/// Return value: 0; CTR_ERR_INVALID for what can't be a name; CTR_ERR_SYSTEM. *out is NULL then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_volume_create(
    name: *const c_char,
    options: *const ctr_image_options,
    out: *mut *mut ctr_volumes,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (out, name) = unsafe { (maybe(out), text("name", name)?) };
        let made = volumes(options)?.make(name)?;
        if let Some(out) = out {
            *out = new_list(vec![made])?;
        }
        Ok(0)
    })
}

/// All volumes of the store, by name.
///
/// options   counted is store_dir; NULL for the defaults
///
/// Return value: 0 and the list in *out, which ctr_volumes_free() frees; CTR_ERR_SYSTEM, CTR_ERR_INVALID, and *out is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_volume_list(options: *const ctr_image_options, out: *mut *mut ctr_volumes) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { self::out("out", out) }?;
        *out = new_list(volumes(options)?.list()?)?;
        Ok(0)
    })
}

/// The disk space that a volume's files take, in bytes. All of them are looked at, so it takes as long as du(1).
///
/// options   counted is store_dir; NULL for the defaults
///
/// Return value: 0 and the number in *bytes; CTR_ERR_NOT_FOUND, CTR_ERR_SYSTEM, CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_volume_size(
    name: *const c_char,
    options: *const ctr_image_options,
    bytes: *mut u64,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (bytes, name) = unsafe { (out("bytes", bytes)?, text("name", name)?) };
        *bytes = volumes(options)?.size(name)?;
        Ok(0)
    })
}

/// Removes a volume and all its files.
///
/// options   counted is store_dir; NULL for the defaults
///
/// Return value: 0; CTR_ERR_NOT_FOUND; CTR_ERR_SYSTEM with EBUSY if a container uses it, which ctr_last_error() names; CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_volume_remove(name: *const c_char, options: *const ctr_image_options) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let name = unsafe { text("name", name) }?;
        volumes(options)?.remove(name).map(|()| 0)
    })
}

/// Removes all volumes that no container uses, with their files: nothing can make these again.
///
/// options   counted is store_dir; NULL for the defaults
/// count     gets how many were removed; may be NULL
///
/// Return value: 0; CTR_ERR_SYSTEM, CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_volume_prune(options: *const ctr_image_options, count: *mut u64) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let count = unsafe { maybe(count) };
        let removed = volumes(options)?.prune()?;
        if let Some(count) = count {
            *count = removed.len() as u64;
        }
        Ok(0)
    })
}

/// How many volumes are in a list.
///
/// Return value: the number, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_volumes_count(volumes: *const ctr_volumes) -> c_int {
    border(|| Ok(c_int::try_from(LISTS.get(volumes)?.len()).unwrap_or(c_int::MAX)))
}

/// The name of a volume of a list.
///
/// index   from 0 to ctr_volumes_count() less one
///
/// Return value: a string that is good until ctr_volumes_free(); NULL when there is no such index.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_volumes_name(volumes: *const ctr_volumes, index: c_int) -> *const c_char {
    border(|| at(&lines(volumes)?, index, "volumes").map(|line| line.name.as_ptr()))
}

/// The directory that has a volume's files, on the host. Who owns them depends on who runs containers: README and docs/images.md,
/// "Whose files they are".
///
/// Return value: as ctr_volumes_name().
#[unsafe(no_mangle)]
pub extern "C" fn ctr_volumes_path(volumes: *const ctr_volumes, index: c_int) -> *const c_char {
    border(|| at(&lines(volumes)?, index, "volumes").map(|line| line.path.as_ptr()))
}

/// Frees a list and its strings. NULL is allowed. The volumes are not affected.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_volumes_free(volumes: *mut ctr_volumes) {
    border(|| if volumes.is_null() { Ok(()) } else { LISTS.release(volumes).map(drop) });
}

fn volumes(options: *const ctr_image_options) -> Result<Volumes> {
    options_of(options)?.store().map(Volumes::in_store)
}

fn lines(volumes: *const ctr_volumes) -> Result<Ref<'static, Vec<Line>>> {
    LISTS.get(volumes)
}

fn new_list(infos: Vec<VolumeInfo>) -> Result<*mut ctr_volumes> {
    // Neither a name nor a path has a NUL.
    let string = |bytes: &[u8]| CString::new(bytes).unwrap_or_default();
    let line =
        |info: VolumeInfo| Line { name: string(info.name.as_bytes()), path: string(info.path.as_os_str().as_bytes()) };
    LISTS.insert(infos.into_iter().map(line).collect())
}
