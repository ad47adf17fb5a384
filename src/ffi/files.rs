//! ctr_open: files of a container without a program inside.

use std::ffi::{CString, c_char, c_int};
use std::mem::MaybeUninit;
use std::os::fd::IntoRawFd;
use std::os::unix::ffi::OsStringExt;

use super::border::{border, bytes, out, text};
use super::container::container;
use super::handle::{Ref, Table};
use super::types::{ctr_container, ctr_names};
use crate::{Error, FileStat, Result, Step};

static NAMES: Table<Vec<CString>> = Table::new("names", 15);

/// Opens a file or directory of a container, open(2). No program is started inside, so an image without a shell will do.
///
/// c       a container that this process made or joined; not by ctr_join_pid()
/// path    begins at the container's root, also without a slash at its beginning. Links are followed within the container only,
///         whatever programs inside do to directories meanwhile: openat2(2) with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS
/// flags   of open(2), <fcntl.h>; not O_PATH, O_TMPFILE, O_DIRECT
/// mode    the permission bits, at most 07777, of a file that is made because of O_CREAT; no umask is applied
/// user    as for ctr_exec_config_set_user(): whose rights count and whom a new file belongs to; NULL is root inside
///
/// What is opened is a file or a directory. A FIFO, a device and a socket are refused, and so are the kernel's own files, as
/// those of /proc and /sys, of which each process sees its own; none of these is opened or waited for. No file is made through a
/// symbolic link that leads to nothing. Programs inside can change a file while it is read, and can make it as large as they may: don't
/// trust what it says.
///
/// It takes about a tenth of a millisecond; the first time, after some seconds without such calls, and for another user than root as
/// long as it takes to start a program. A helper process with three descriptors stays for these calls, until ten seconds after
/// the last one or ctr_destroy(). It works in a paused container, if user is no name.
///
/// Return value: a descriptor of at least 3, close-on-exec, which the caller close()s; it outlives the container, and keeps its file
/// system in use. Or a negative error: CTR_ERR_SYSTEM with ENOENT, EACCES, EEXIST, EISDIR, EROFS or any other of openat2(2), with
/// ELOOP for too many links and for one of /proc that leads to what a process has open, with EAGAIN if a program inside has a lease on
/// the file; CTR_ERR_UNSUPPORTED with EOPNOTSUPP for what is refused, and for a user whom the container has no id for;
/// CTR_ERR_NOT_FOUND for a user who is not there; CTR_ERR_INVALID, also if the container's mount namespace is not its own;
/// CTR_ERR_TIMED_OUT if a file system inside does not answer within ten seconds; CTR_ERR_DESTROYED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_open(
    c: *mut ctr_container,
    path: *const c_char,
    flags: c_int,
    mode: u32,
    user: *const c_char,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let path = unsafe { bytes("path", path) }?;
        // SAFETY: the caller's promise; not NULL.
        let user = if user.is_null() { None } else { Some(unsafe { text("user", user) }?) };
        container(c)?.container.open(path, flags, mode, user).map(IntoRawFd::into_raw_fd)
    })
}

/// What stat(2) tells of a file of a container. Owners are as they are inside. FIFOs, devices and the kernel's files are looked at as
/// well.
///
/// path     as for ctr_open()
/// follow   whether a symbolic link at the path is followed; otherwise it is told of itself, as by lstat(2)
/// out      gets it: struct stat of <sys/stat.h>
///
/// Return value: 0; else as ctr_open(), and *out is zeroes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_stat_file(
    c: *mut ctr_container,
    path: *const c_char,
    follow: bool,
    out: *mut libc::stat,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (path, out) = unsafe { (bytes("path", path)?, self::out("out", out)?) };
        *out = stat(&container(c)?.container.stat(path, follow)?);
        Ok(0)
    })
}

/// The names in a directory of a container, without "." and "..", in no order.
///
/// path   as for ctr_open()
///
/// Return value: 0 and the list in *out, which ctr_names_free() frees; CTR_ERR_SYSTEM with ENOTDIR for what is no directory, with
/// EOVERFLOW if the names take more than 64 MiB; else as ctr_open(). *out is NULL then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_list_dir(c: *mut ctr_container, path: *const c_char, out: *mut *mut ctr_names) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (path, out) = unsafe { (bytes("path", path)?, self::out("out", out)?) };
        let names = container(c)?.container.list_dir(path)?;
        // No name of a file has a NUL.
        *out = NAMES.insert(names.into_iter().filter_map(|name| CString::new(name.into_vec()).ok()).collect())?;
        Ok(0)
    })
}

/// How many names are in a list; the others take an index from 0 to one less.
///
/// Return value: the number, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_names_count(names: *const ctr_names) -> c_int {
    border(|| Ok(c_int::try_from(all(names)?.len()).unwrap_or(c_int::MAX)))
}

/// A name: bytes, which programs inside have chosen.
///
/// Return value: a string that is good until ctr_names_free(); NULL when there is no such index.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_names_get(names: *const ctr_names, index: c_int) -> *const c_char {
    border(|| {
        let names = all(names)?;
        let found = usize::try_from(index).ok().and_then(|index| names.get(index));
        found.map(|name| name.as_ptr()).ok_or_else(|| {
            let why = format!("{index} is not one of {} names", names.len());
            Error::invalid(Step::Argument, "index", why)
        })
    })
}

/// Frees a list of names. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_names_free(names: *mut ctr_names) {
    border(|| if names.is_null() { Ok(()) } else { NAMES.release(names).map(drop) });
}

fn all(names: *const ctr_names) -> Result<Ref<'static, Vec<CString>>> {
    NAMES.get(names)
}

fn stat(from: &FileStat) -> libc::stat {
    // SAFETY: plain numbers, of which all zeroes are a value.
    let mut stat: libc::stat = unsafe { MaybeUninit::zeroed().assume_init() };
    (stat.st_dev, stat.st_ino, stat.st_mode, stat.st_nlink) = (from.dev, from.ino, from.mode, from.nlink.into());
    (stat.st_uid, stat.st_gid, stat.st_rdev) = (from.uid, from.gid, from.rdev);
    (stat.st_size, stat.st_blocks) = (from.size as i64, from.blocks as i64);
    stat.st_blksize = from.blksize.into();
    (stat.st_atime, stat.st_atime_nsec) = (from.atime.0, from.atime.1.into());
    (stat.st_mtime, stat.st_mtime_nsec) = (from.mtime.0, from.mtime.1.into());
    (stat.st_ctime, stat.st_ctime_nsec) = (from.ctime.0, from.ctime.1.into());
    stat
}
