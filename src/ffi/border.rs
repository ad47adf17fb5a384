//! The border between C and Rust: nothing but plain values crosses it, and no panic.

use std::ffi::{CStr, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{null, null_mut};

use super::error::remember;
use crate::{Error, ErrorCode, Result, Step};

/// What a C function returns, and what it returns when it failed.
pub(super) trait Answer {
    /// The failure's form in C.
    fn failed(code: ErrorCode) -> Self;
}

impl Answer for c_int {
    fn failed(code: ErrorCode) -> Self {
        code as c_int
    }
}

impl Answer for i64 {
    fn failed(code: ErrorCode) -> Self {
        code as i64
    }
}

impl Answer for () {
    fn failed(_: ErrorCode) -> Self {}
}

impl<T> Answer for *const T {
    fn failed(_: ErrorCode) -> Self {
        null()
    }
}

impl<T> Answer for *mut T {
    fn failed(_: ErrorCode) -> Self {
        null_mut()
    }
}

/// Runs the body of a C function. A failure is remembered for `ctr_last_error` and is in errno afterwards; a success
/// leaves errno as it was, whatever the body's own system calls did to it.
pub(super) fn border<A: Answer>(body: impl FnOnce() -> Result<A>) -> A {
    let errno = nix::errno::Errno::last_raw();
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| Err(caught(&*panic)));
    let (answer, errno) = match result {
        Ok(answer) => (answer, errno),
        Err(error) => {
            let failed = (A::failed(error.code()), error.errno());
            remember(error);
            failed
        }
    };
    nix::errno::Errno::set_raw(errno);
    answer
}

fn caught(panic: &(dyn std::any::Any + Send)) -> Error {
    let words = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::new(ErrorCode::Internal, Step::Internal, "", libc::EFAULT, words.unwrap_or("a panic without words"))
        .with_hint("this is a bug in ctr, please report it")
}

/// Bytes of C: a path, a value, an argument.
///
/// # Safety
/// `text` is NULL or points to bytes that end in NUL and stay for `'a`.
pub(super) unsafe fn bytes<'a>(what: &str, text: *const c_char) -> Result<&'a OsStr> {
    if text.is_null() {
        return Err(Error::invalid(Step::Argument, what, "it is NULL"));
    }
    // SAFETY: not NULL, and the rest is the caller's promise.
    Ok(OsStr::from_bytes(unsafe { CStr::from_ptr(text) }.to_bytes()))
}

/// Text of C: a name.
///
/// # Safety
/// As [`bytes`].
pub(super) unsafe fn text<'a>(what: &str, text: *const c_char) -> Result<&'a str> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { bytes(what, text) }?;
    bytes.to_str().ok_or_else(|| Error::invalid(Step::Argument, what, "it is not UTF-8"))
}

/// A list of strings that ends in NULL, as execve(2) takes it.
///
/// # Safety
/// `list` is NULL or points to pointers that end in NULL, each as [`bytes`].
pub(super) unsafe fn strings<'a>(what: &str, list: *const *const c_char) -> Result<Vec<&'a OsStr>> {
    if list.is_null() {
        return Err(Error::invalid(Step::Argument, what, "it is NULL"));
    }
    let mut strings = Vec::new();
    loop {
        // SAFETY: not NULL, and the end has not been reached.
        let next = unsafe { *list.add(strings.len()) };
        if next.is_null() {
            return Ok(strings);
        }
        // SAFETY: the caller's promise.
        strings.push(unsafe { bytes(what, next) }?);
    }
}

/// Where an answer is to be written. It is 0 from here on, so that a failed call leaves no rubbish there.
///
/// # Safety
/// `out` is NULL or can be written for `'a`, and all zeroes are a value of `T`.
pub(super) unsafe fn out<'a, T>(what: &str, out: *mut T) -> Result<&'a mut T> {
    if out.is_null() {
        return Err(Error::invalid(Step::Argument, what, "it is NULL"));
    }
    // SAFETY: not NULL, and the rest is the caller's promise.
    unsafe {
        out.write_bytes(0, 1);
        Ok(&mut *out)
    }
}

/// What a number of an enum of the header means.
pub(super) fn one_of<T: Copy>(what: &str, all: &[(c_int, T)], number: c_int) -> Result<T> {
    let found = all.iter().find(|(known, _)| *known == number).map(|(_, meaning)| *meaning);
    found.ok_or_else(|| Error::invalid(Step::Argument, what, format!("{number} is none of the values it can have")))
}

/// A new string for C, which `ctr_string_free` or free(3) frees.
pub(super) fn new_string(text: &str) -> Result<*mut c_char> {
    // SAFETY: room for one byte more than the text, which is its NUL.
    let copy = unsafe { libc::calloc(text.len() + 1, 1) }.cast::<c_char>();
    if copy.is_null() {
        return Err(Error::system(Step::AllocateString, text.len(), libc::ENOMEM));
    }
    // SAFETY: `copy` has the room and is not part of `text`.
    unsafe { copy.copy_from_nonoverlapping(text.as_ptr().cast(), text.len()) };
    Ok(copy)
}

/// The line of this index; `of` is what the lines are called.
pub fn at<'l, T>(lines: &'l [T], index: c_int, of: &str) -> Result<&'l T> {
    let line = usize::try_from(index).ok().and_then(|index| lines.get(index));
    line.ok_or_else(|| Error::invalid(Step::Argument, "index", format!("{index} is not one of {} {of}", lines.len())))
}

#[cfg(test)]
mod tests {
    use super::super::error::{ctr_last_errno, ctr_last_error};
    use super::*;

    #[test]
    fn a_panic_becomes_an_internal_error_with_its_words() {
        let answer: c_int = border(|| panic!("the sky fell on {}", 7));
        assert_eq!(answer, ErrorCode::Internal as c_int);
        // SAFETY: the answer is a string of this thread.
        let words = unsafe { CStr::from_ptr(ctr_last_error()) }.to_str().unwrap();
        assert_eq!(words, "ctr: the sky fell on 7 (this is a bug in ctr, please report it)");
    }

    #[test]
    fn success_keeps_errno_and_failure_sets_it() {
        nix::errno::Errno::set_raw(libc::EXDEV);
        let answer: c_int = border(|| {
            nix::errno::Errno::set_raw(libc::EAGAIN);
            Ok(0)
        });
        assert_eq!((answer, nix::errno::Errno::last_raw()), (0, libc::EXDEV));
        let answer: c_int = border(|| Err(Error::system(Step::MountAt, "/x", libc::EBUSY)));
        assert_eq!((answer, nix::errno::Errno::last_raw()), (-1, libc::EBUSY));
        assert_eq!(ctr_last_errno(), libc::EBUSY);
    }

    #[test]
    fn a_null_list_a_null_string_and_a_null_out_are_told() {
        // SAFETY: NULL is allowed.
        unsafe {
            assert!(bytes("x", null()).is_err());
            assert!(text("x", c"\xff".as_ptr()).is_err());
            assert!(strings("x", null()).is_err());
            assert!(out::<u64>("x", null_mut()).is_err());
            let list = [c"a".as_ptr(), c"b".as_ptr(), null()];
            assert_eq!(strings("x", list.as_ptr()).unwrap(), ["a", "b"]);
        }
    }
}
