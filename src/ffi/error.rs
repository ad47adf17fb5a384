//! The last failure of each thread, and what its number means.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};

use super::types::ctr_error;
use crate::Error;

/// This thread's last failure, in one sentence: the step, what it failed on, why, and what to do about it, as in
/// "mount proc on /proc: EPERM, operation not permitted (...)". In UTF-8.
///
/// The string belongs to ctr and is valid until the next call of a ctr function fails on this thread.
///
/// Return value: never NULL; "" when nothing failed on this thread yet. A success does not clear it.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_last_error() -> *const c_char {
    last(|last| last.sentence.as_ptr())
}

/// The errno(3) behind this thread's last failure. errno itself has the same value when the function that failed
/// returns; a function that succeeds leaves errno alone.
///
/// Return value: a positive number of errno(3), or 0 when nothing failed on this thread yet.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_last_errno() -> c_int {
    LAST.try_with(|last| last.borrow().errno).unwrap_or(0)
}

/// The step of this thread's last failure in words, as "find container". The words may become others from one release to
/// the next: compare ctr_last_step_id().
///
/// Return value: as ctr_last_error().
#[unsafe(no_mangle)]
pub extern "C" fn ctr_last_step() -> *const c_char {
    last(|last| last.step.as_ptr())
}

/// The step of this thread's last failure by its stable name, as "find-container". docs/errors.md lists all of them. A name
/// stays what it is for good; new ones come with new releases.
///
/// Return value: as ctr_last_error().
#[unsafe(no_mangle)]
pub extern "C" fn ctr_last_step_id() -> *const c_char {
    last(|last| last.step_id.as_ptr())
}

/// What this thread's last failure happened on: a path, a name, a pid.
///
/// Return value: as ctr_last_error(); "" when there is nothing to name.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_last_object() -> *const c_char {
    last(|last| last.object.as_ptr())
}

/// What can be done about this thread's last failure.
///
/// Return value: as ctr_last_error(); "" when nothing is known.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_last_hint() -> *const c_char {
    last(|last| last.hint.as_ptr())
}

/// The name of a number of enum ctr_error, as "CTR_ERR_NOT_FOUND".
///
/// Return value: a constant string, never NULL; "CTR_ERR_UNKNOWN" for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_error_name(code: c_int) -> *const c_char {
    let names = [
        (ctr_error::CTR_OK as c_int, c"CTR_OK"),
        (ctr_error::CTR_ERR_SYSTEM as c_int, c"CTR_ERR_SYSTEM"),
        (ctr_error::CTR_ERR_INVALID as c_int, c"CTR_ERR_INVALID"),
        (ctr_error::CTR_ERR_NOT_FOUND as c_int, c"CTR_ERR_NOT_FOUND"),
        (ctr_error::CTR_ERR_NAME_IN_USE as c_int, c"CTR_ERR_NAME_IN_USE"),
        (ctr_error::CTR_ERR_DESTROYED as c_int, c"CTR_ERR_DESTROYED"),
        (ctr_error::CTR_ERR_TIMED_OUT as c_int, c"CTR_ERR_TIMED_OUT"),
        (ctr_error::CTR_ERR_UNSUPPORTED as c_int, c"CTR_ERR_UNSUPPORTED"),
        (ctr_error::CTR_ERR_BAD_IMAGE as c_int, c"CTR_ERR_BAD_IMAGE"),
        (ctr_error::CTR_ERR_EXEC as c_int, c"CTR_ERR_EXEC"),
        (ctr_error::CTR_ERR_INTERRUPTED as c_int, c"CTR_ERR_INTERRUPTED"),
        (ctr_error::CTR_ERR_INTERNAL as c_int, c"CTR_ERR_INTERNAL"),
    ];
    names.into_iter().find(|(known, _)| *known == code).map_or(c"CTR_ERR_UNKNOWN", |(_, name)| name).as_ptr()
}

/// The release of the library that runs, as "0.1.0". CTR_VERSION is that of the header.
///
/// Return value: a constant string, never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_version() -> *const c_char {
    const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("the version has a NUL"),
    };
    VERSION.as_ptr()
}

/// Makes `error` this thread's last failure.
pub(super) fn remember(error: Error) {
    let last = Last {
        sentence: string(&error.to_string()),
        step: string(error.step()),
        step_id: string(error.step_id()),
        object: string(error.object()),
        hint: string(error.hint()),
        errno: error.errno(),
    };
    // A thread that is past its own destructors can't remember; the code it gets must do.
    let _ = LAST.try_with(|slot| *slot.borrow_mut() = last);
}

#[derive(Default)]
struct Last {
    sentence: CString,
    step: CString,
    step_id: CString,
    object: CString,
    hint: CString,
    errno: c_int,
}

thread_local! {
    static LAST: RefCell<Last> = RefCell::default();
}

fn last(part: impl FnOnce(&Last) -> *const c_char) -> *const c_char {
    LAST.try_with(|last| part(&last.borrow())).unwrap_or(c"".as_ptr())
}

/// Names of containers and files may hold any byte but NUL, so none is expected here; one that comes is made visible.
fn string(text: &str) -> CString {
    CString::new(text).unwrap_or_else(|_| CString::new(text.replace('\0', "\\0")).unwrap_or_default())
}
