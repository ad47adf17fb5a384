//! Why an import stops, before the archive's name is known: the parts of a [`crate::Error`] that the reader of the archive
//! and the unpacker can tell. The caller, who knows the archive, makes the sentence.

use std::{fmt, io};

use nix::errno::Errno;

use crate::{Error, ErrorCode, Step};

pub(crate) type Outcome<T> = std::result::Result<T, Fault>;

#[derive(Debug)]
pub(crate) enum Fault {
    /// The archive's own fault; `entry` is empty where the fault is not in one entry.
    Bad { entry: String, why: String },
    /// The archive is more than [`super::Limits`] allow.
    Over { entry: String, why: String, field: &'static str },
    /// The tree has more than is kept in memory of one.
    TooMany { entry: String, why: String },
    /// The machine said no to `step` on `object`.
    System { step: Step, object: String, errno: i32 },
    /// The caller wants no more of it.
    Cancelled,
}

impl Fault {
    pub fn bad(entry: &[u8], why: impl Into<String>) -> Self {
        Self::Bad { entry: show(entry), why: why.into() }
    }

    pub fn over(entry: &[u8], field: &'static str, why: impl Into<String>) -> Self {
        Self::Over { entry: show(entry), why: why.into(), field }
    }

    pub fn system(step: Step, object: &[u8], errno: Errno) -> Self {
        Self::System { step, object: show(object), errno: errno as i32 }
    }

    /// What a failed read of the archive means. Decoders report damage as an `io::Error` without an errno, and the threads
    /// that read pass faults on inside of one.
    pub fn read(error: io::Error) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(fault) => return fault,
            Err(error) => error,
        };
        match error.raw_os_error() {
            Some(errno) => Self::System { step: Step::Read, object: String::new(), errno },
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::cut_off(b""),
            None => Self::Bad { entry: String::new(), why: format!("its compressed data is damaged: {error}") },
        }
    }

    /// What a failed write of an archive means; as [`Fault::read`].
    pub fn write(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(fault) => fault,
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                Self::System { step: Step::Write, object: String::new(), errno }
            }
        }
    }

    /// The sentence for the user where an archive of `what` is written to `place`.
    pub fn into_packing_error(self, what: &str, place: &str) -> Error {
        match self {
            Self::Bad { entry, why } => {
                let object = if entry.is_empty() { what.into() } else { format!("{what}, entry {entry}") };
                Error::new(ErrorCode::BadImage, Step::Pack, object, libc::EINVAL, why)
            }
            Self::System { step: Step::Write, object, errno } if object.is_empty() => {
                let error = Error::system(Step::Write, place, errno);
                if matches!(errno, libc::ENOSPC | libc::EDQUOT) { error.with_hint("free space there") } else { error }
            }
            Self::System { step, object, errno } if object.is_empty() => Error::system(step, what, errno),
            Self::System { step, object, errno } => Error::system(step, format!("{what}, entry {object}"), errno),
            Self::Over { entry, why, field } => {
                let object = if entry.is_empty() { what.into() } else { format!("{what}, entry {entry}") };
                Error::new(ErrorCode::BadImage, Step::Pack, object, libc::E2BIG, why)
                    .with_hint(format!("no import would take it, by the limit \"{field}\"; remove it, or leave it out"))
            }
            Self::TooMany { entry, why } => {
                Error::new(ErrorCode::BadImage, Step::Pack, format!("{what}, entry {entry}"), libc::E2BIG, why)
                    .with_hint("remove what is not needed, or take it out in parts, as with tar inside")
            }
            Self::Cancelled => {
                Error::new(ErrorCode::Interrupted, Step::Pack, what, libc::EINTR, "cancelled; nothing of it is left")
            }
        }
    }

    pub fn cut_off(entry: &[u8]) -> Self {
        Self::bad(entry, CUT_OFF)
    }

    /// The sentence for the user: `archive` is what they named.
    pub fn into_error(self, archive: &str) -> Error {
        let place = |entry: String| if entry.is_empty() { archive.into() } else { format!("{archive}, entry {entry}") };
        match self {
            Self::Bad { entry, why } => {
                let hint = hint_for(&why);
                Error::new(ErrorCode::BadImage, Step::Unpack, place(entry), libc::EINVAL, why).with_hint(hint)
            }
            Self::Over { entry, why, field } => {
                Error::new(ErrorCode::BadImage, Step::Unpack, place(entry), libc::E2BIG, why)
                    .with_hint(format!("raise the import's limit \"{field}\" if you trust the archive"))
            }
            Self::TooMany { entry, why } => {
                Error::new(ErrorCode::BadImage, Step::Unpack, place(entry), libc::E2BIG, why)
                    .with_hint("make the image of fewer files")
            }
            Self::System { step, object, errno } => {
                let error = Error::system(step, place(object), errno).with_known_hint();
                match errno {
                    libc::ENOSPC | libc::EDQUOT => {
                        error.with_hint("free space on the store's file system, or set CTR_STORE_DIR to one with room")
                    }
                    _ => error,
                }
            }
            Self::Cancelled => Error::new(
                ErrorCode::Interrupted,
                Step::Import,
                archive,
                libc::EINTR,
                "cancelled; nothing of it is left",
            ),
        }
    }
}

const CUT_OFF: &str = "the archive is cut off in the middle";
/// Why a file that holds anything else is refused.
pub(crate) const NO_TAR: &str = "it is not a tar archive";

fn hint_for(why: &str) -> &'static str {
    match why {
        CUT_OFF => "fetch or copy it again: its end is missing",
        NO_TAR => {
            "a tar archive is plain, or compressed by gzip, zstd, xz, bzip2 or lz4; an image is one, or a directory"
        }
        _ => "",
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{self:?}")
    }
}

impl std::error::Error for Fault {}

/// A name from an archive as a person can read it: printable, and of a length that fits in a sentence.
pub(crate) fn show(name: &[u8]) -> String {
    const MAX: usize = 200;
    if name.len() > MAX {
        return format!("{}…({} bytes)", name[..MAX].escape_ascii(), name.len());
    }
    match std::str::from_utf8(name) {
        Ok(text) if !text.chars().any(char::is_control) => text.into(),
        _ => name.escape_ascii().to_string(),
    }
}
