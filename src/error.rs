//! What can go wrong, in words a user understands.
//!
//! An error tells a story: the step that failed, the object it failed on, the errno, and what to do about it. The
//! `Display` of an [`Error`] is that story in one sentence; `ctr_last_error()` and Python's `str(e)` are the same
//! sentence. [`Error::code`] is the stable number that C sees, [`Error::errno`] the one that Python's `OSError` carries.
//!
//! Names of files, users and interpreters come from images and containers, whose makers may want to write to the reader's
//! terminal or to forge a line of a log. So every part of an error is one line of bounded length ([`line()`]), whoever
//! makes the error.

use std::fmt;

use nix::errno::Errno;

use crate::Step;

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// The stable kinds of failure, as C sees them (`enum ctr_error`). Numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(i32)]
pub enum ErrorCode {
    /// A system call failed; errno says how.
    System = -1,
    /// An argument is not acceptable, whatever the machine.
    Invalid = -2,
    /// No such container, image, program, user or file.
    NotFound = -3,
    /// The name is taken by a running container.
    NameInUse = -4,
    /// The container is gone: destroyed, or its PID 1 was killed.
    Destroyed = -5,
    /// The time given to a wait has passed.
    TimedOut = -6,
    /// The machine (its kernel, its settings, this user's rights) does not offer what was asked.
    Unsupported = -7,
    /// The image is not something that can be run: not an archive, cut off, unsafe.
    BadImage = -8,
    /// The program could not be started inside the container.
    Exec = -9,
    /// The caller's own request was interrupted (Ctrl-C in Python, cancellation of an import).
    Interrupted = -10,
    /// A bug in ctr: a panic was caught at the border.
    Internal = -11,
}

/// A failure: which step, on what, why, and the hint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct Error {
    code: ErrorCode,
    step: Step,
    object: String,
    errno: i32,
    why: String,
    hint: String,
}

impl Error {
    /// A system call failed in `step`, on `object` (a path, a pid, an interface).
    pub fn system(step: Step, object: impl fmt::Display, errno: i32) -> Self {
        Self::new(ErrorCode::System, step, object, errno, "")
    }

    /// As [`Error::system`], with the errno that `error` carries.
    pub fn io(step: Step, object: impl fmt::Display, error: &std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(errno) => Self::system(step, object, errno),
            None => Self::new(ErrorCode::System, step, object, libc::EIO, error.to_string()),
        }
    }

    /// In `step`, `object` is not acceptable because of `why`.
    pub fn invalid(step: Step, object: impl fmt::Display, why: impl Into<String>) -> Self {
        Self::new(ErrorCode::Invalid, step, object, libc::EINVAL, why)
    }

    /// Any kind of failure, spelled out.
    pub fn new(code: ErrorCode, step: Step, object: impl fmt::Display, errno: i32, why: impl Into<String>) -> Self {
        // Whatever was being done, this is what helps.
        let hint = if errno == libc::EMFILE { crate::hints::DESCRIPTORS } else { "" };
        Self { code, step, object: line(object.to_string(), MAX), errno, why: line(why.into(), MAX), hint: hint.into() }
    }

    /// The same error with another stable code.
    #[must_use]
    pub fn with_code(mut self, code: ErrorCode) -> Self {
        self.code = code;
        self
    }

    /// The same error with what the user can do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        if self.errno != libc::EMFILE {
            self.hint = line(hint.into(), 2 * MAX);
        }
        self
    }

    /// The same error with what is known to help, where it has no hint yet.
    #[must_use]
    pub(crate) fn with_known_hint(self) -> Self {
        if !self.hint.is_empty() {
            return self;
        }
        match self.step.hint(self.errno, &self.object) {
            Some(hint) => self.with_hint(hint),
            None => self,
        }
    }

    /// The same error with what comes of it.
    #[must_use]
    pub(crate) fn so(mut self, consequence: &str) -> Self {
        let why = if self.why.is_empty() { describe(self.errno) } else { self.why };
        self.why = line(format!("{why}; {consequence}"), 2 * MAX);
        self
    }

    /// The stable number that C sees.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The errno behind it, always a positive number of errno(3).
    pub fn errno(&self) -> i32 {
        self.errno
    }

    /// The step that failed in words, as "make a proc for" or "start". They may change; [`Error::step_id`] doesn't.
    pub fn step(&self) -> &'static str {
        self.step.text()
    }

    /// The step that failed by its stable name, as "make-proc" or "start-program".
    pub fn step_id(&self) -> &'static str {
        self.step.id()
    }

    /// The step that failed.
    pub fn failed_step(&self) -> Step {
        self.step
    }

    /// What it failed on: a path, a name, a pid.
    pub fn object(&self) -> &str {
        &self.object
    }

    /// What the user can do about it; empty when nothing is known.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    fn sentence(&self) -> String {
        let mut text = self.step.text().to_string();
        if !self.object.is_empty() {
            text.push(' ');
            text.push_str(&self.object);
        }
        text.push_str(": ");
        if self.why.is_empty() {
            text.push_str(&describe(self.errno));
        } else {
            text.push_str(&self.why);
        }
        if !self.hint.is_empty() {
            text.push_str(" (");
            text.push_str(&self.hint);
            text.push(')');
        }
        text
    }
}

/// The most bytes of a part of the sentence. Paths that people have fit, and so does a name in an archive of such a path.
const MAX: usize = 600;

/// `text` as a part of one line of a terminal or a log: control characters are escaped as in Rust and C, and what is
/// longer than `most` bytes is cut, with a word on how long it was.
pub(crate) fn line(text: String, most: usize) -> String {
    if text.len() <= most && !text.chars().any(is_unprintable) {
        return text;
    }
    let mut shown = String::new();
    for c in text.chars() {
        if shown.len() >= most {
            return format!("{shown}…({} bytes)", text.len());
        }
        if !is_unprintable(c) {
            shown.push(c);
        } else if c.is_ascii() {
            shown.extend(c.to_string().as_bytes().escape_ascii().map(char::from));
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    shown
}

/// Whether a terminal or a pager does something else with it than show it: the controls of ASCII and of Latin-1 (C1, by
/// which sequences begin as well), what separates lines, and what turns the direction of writing round.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// "EPERM, operation not permitted", as errno(3) has it.
fn describe(errno: i32) -> String {
    let known = Errno::from_raw(errno);
    if known == Errno::UnknownErrno {
        return format!("errno {errno}");
    }
    let text = known.desc();
    let mut letters = text.chars();
    let lower = letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect());
    format!("{known:?}, {lower}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_short_line_whatever_stands_in_it() {
        let hostile = "a\x1b]0;pwned\x07\r\nforged: ok \u{9b}31m \u{202e}txt.exe\0\x7f";
        let error = Error::new(ErrorCode::NotFound, Step::FindImage, hostile, libc::ENOENT, hostile)
            .with_hint(hostile)
            .so(hostile);
        let shown = r"a\x1b]0;pwned\x07\r\nforged: ok \u{9b}31m \u{202e}txt.exe\x00\x7f";
        assert_eq!(error.to_string(), format!("find the image {shown}: {shown}; {shown} ({shown})"));
        assert_eq!([error.object(), error.hint()], [shown; 2]);
        assert_eq!([error.step(), error.step_id()], ["find the image", "find-image"]);
        let long = "é\n".repeat(1 << 20);
        let error = Error::invalid(Step::FindImage, &long, long.clone()).with_hint(long.clone()).so(&long);
        assert!(error.to_string().len() < 8 * MAX, "{}", error.to_string().len());
        assert!(error.object().ends_with("…(3145728 bytes)"), "{error}");
        // What people have stays as it is.
        let plain = format!("/home/Jürgen/日本 'x' \\{}", "/directory".repeat(50));
        assert_eq!(Error::system(Step::Open, &plain, libc::ENOENT).object(), plain);
    }
}
