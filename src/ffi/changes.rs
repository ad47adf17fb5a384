//! The files of a running container from outside: export, diff, commit.

use std::ffi::{CString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::border::{at, border, bytes, out};
use super::container::container;
use super::handle::Table;
use super::image::string;
use super::images::{descriptor, give, maybe};
use super::setters::current as options_of;
use super::types::{ctr_container, ctr_differences, ctr_image, ctr_image_options};
use crate::image::{Difference, Image, MakeOptions, Output, Report};
use crate::{Container, Result};

static DIFFERENCES: Table<Vec<(CString, Difference)>> = Table::new("differences", 10);

/// Writes the root of a running container as a tarball, as `docker export`: all its files, with owners as they are
/// inside, without what is mounted (/proc, /dev, /sys, binds, tmpfs; of "host" that is nearly everything). The
/// container runs on; what it changes meanwhile may or may not be in the archive. Where its root is a directory on a FUSE
/// or a network file system that does not answer, or that of a joined pid is, there is no bound on how long the call
/// takes, and progress is not called meanwhile; so it is with ctr_diff() and ctr_commit().
///
/// path      the file, which appears when it is whole; a fifo or a device is written to
/// options   counted are compression, epoch and progress; NULL for the defaults
///
/// Return value: 0; CTR_ERR_SYSTEM if a step failed; CTR_ERR_INTERRUPTED if progress stopped it, and there is no file
/// then; CTR_ERR_DESTROYED, CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_export(
    c: *mut ctr_container,
    path: *const c_char,
    options: *const ctr_image_options,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let path = unsafe { bytes("path", path) }?;
        export(c, Output::Path(Path::new(path)), options)
    })
}

/// As ctr_export(), to an open file, a pipe or a socket. The descriptor stays the caller's, and a pipe without a
/// reader is an error (EPIPE) and raises no SIGPIPE.
///
/// Return value: as ctr_export(); CTR_ERR_SYSTEM with EBADF when fd is not open.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_export_fd(c: *mut ctr_container, fd: c_int, options: *const ctr_image_options) -> c_int {
    border(|| export(c, Output::Fd(descriptor(fd)?), options))
}

/// What a running container has changed of its image, by path, as `docker diff`. Volumes hold data and are left out.
///
/// Return value: 0 and the differences in *out, which ctr_differences_free() frees; CTR_ERR_UNSUPPORTED where there is no
/// image below its root; CTR_ERR_SYSTEM, CTR_ERR_DESTROYED, CTR_ERR_INVALID. *out is NULL then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_diff(c: *mut ctr_container, out: *mut *mut ctr_differences) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { self::out("out", out) }?;
        *out = give_differences(container(c)?.container.diff()?)?;
        Ok(0)
    })
}

/// As a handle.
pub fn give_differences(lines: Vec<Difference>) -> Result<*mut ctr_differences> {
    let line = |line: Difference| (string(line.path.as_os_str().as_bytes()), line);
    DIFFERENCES.insert(lines.into_iter().map(line).collect())
}

/// How many differences there are; the others take an index from 0 to one less.
///
/// Return value: the number, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_differences_count(differences: *const ctr_differences) -> c_int {
    border(|| Ok(c_int::try_from(DIFFERENCES.get(differences)?.len()).unwrap_or(c_int::MAX)))
}

/// The absolute path, inside, of what differs.
///
/// Return value: a string that is good until ctr_differences_free(); NULL when there is no such index.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_differences_path(differences: *const ctr_differences, index: c_int) -> *const c_char {
    border(|| Ok(at(&DIFFERENCES.get(differences)?, index, "lines")?.0.as_ptr()))
}

/// What has happened to it.
///
/// Return value: one of enum ctr_change; CTR_ERR_INVALID when there is no such index.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_differences_change(differences: *const ctr_differences, index: c_int) -> c_int {
    border(|| Ok(at(&DIFFERENCES.get(differences)?, index, "lines")?.1.change as c_int))
}

/// Frees differences and their strings. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_differences_free(differences: *mut ctr_differences) {
    border(|| if differences.is_null() { Ok(()) } else { DIFFERENCES.release(differences).map(drop) });
}

/// Makes a new image of a running container, as `docker commit`: the layers of its image, and one more with what
/// ctr_diff() lists, if that is anything. A container of a directory becomes an image of one layer. It runs on; what
/// it changes meanwhile may or may not be in the image. The image is in the store that the container was made with.
///
/// options   counted are name, config, epoch and progress; NULL for the defaults
/// out       gets the image; may be NULL
///
/// Return value: 0, and the image in *out, which ctr_image_free() frees. On failure *out is NULL and nothing is left
/// in the store: CTR_ERR_UNSUPPORTED for "host" and for what ctr_join_pid() joined; CTR_ERR_BAD_IMAGE if no layer can
/// hold one of the files; CTR_ERR_SYSTEM if a step failed; CTR_ERR_INTERRUPTED if progress stopped it;
/// CTR_ERR_DESTROYED, CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_commit(
    c: *mut ctr_container,
    options: *const ctr_image_options,
    out: *mut *mut ctr_image,
) -> c_int {
    // SAFETY: the caller's promise.
    border(|| unsafe { image_of(c, options, out, Container::commit) })
}

/// Makes a new image of a running container's changes as they lie there, without packing them, so in as long as it takes to copy them:
/// ctr_commit() for a new starting point rather than for other tools. Where the changes and the store are on one file system that can do so
/// (CTR_UPPER_DISK on btrfs or xfs), files share their blocks, ioctl_ficlone(2). All processes of the container stand still meanwhile, as by
/// ctr_pause(), where its cgroup allows that: then the image is what there was at one moment. Its layer is known in this store only;
/// ctr_image_save() gives it its digest.
///
/// options   as for ctr_commit()
/// out       gets the image; may be NULL
///
/// Return value: as ctr_commit(); CTR_ERR_UNSUPPORTED also for a container of a directory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_snapshot(
    c: *mut ctr_container,
    options: *const ctr_image_options,
    out: *mut *mut ctr_image,
) -> c_int {
    // SAFETY: the caller's promise.
    border(|| unsafe { image_of(c, options, out, Container::snapshot) })
}

/// What makes an image of a container.
type Make = fn(&Container, &MakeOptions, Report<'_>) -> Result<Image>;

/// # Safety
/// As of the functions above: `out` is NULL or can be written to.
unsafe fn image_of(
    c: *mut ctr_container,
    options: *const ctr_image_options,
    out: *mut *mut ctr_image,
    make: Make,
) -> Result<c_int> {
    // SAFETY: the caller's promise.
    let out = unsafe { maybe(out) };
    let options = options_of(options)?;
    let image = make(&container(c)?.container, &options.make(), &mut |done| options.hear(done))?;
    give(image, out)
}

fn export(c: *mut ctr_container, output: Output<'_>, options: *const ctr_image_options) -> Result<c_int> {
    let options = options_of(options)?;
    container(c)?.container.export(output, &options.export(), &mut |done| options.hear(done)).map(|_| 0)
}
