//! The control files of cgroupfs: small, read and written whole, always below a directory's descriptor.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, faccessat, read, write as write_fd};

/// Writes `value` in one piece, as cgroupfs wants it.
pub(super) fn write(dir: impl AsFd, file: &str, value: &str) -> nix::Result<()> {
    let fd = open_for_writing(dir, file)?;
    loop {
        match write_fd(&fd, value.as_bytes()) {
            // A write that lowers a limit reclaims, which a signal interrupts.
            Err(Errno::EINTR) => {}
            other => return other.map(drop),
        }
    }
}

/// Opens a control file for writing.
pub(super) fn open_for_writing(dir: impl AsFd, file: &str) -> nix::Result<OwnedFd> {
    crate::sys::openat(dir, file, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())
}

/// Whether the file is there.
pub(super) fn exists(dir: impl AsFd, file: &str) -> bool {
    faccessat(dir, file, AccessFlags::F_OK, AtFlags::empty()).is_ok()
}

/// A file that holds one number; `None` is "max".
pub(super) fn read_number(dir: impl AsFd, file: &str) -> nix::Result<Option<u64>> {
    let mut buffer = [0; 64];
    let text = read_some(dir, file, &mut buffer)?.trim_ascii();
    if text == b"max" {
        return Ok(None);
    }
    parse(text).map(Some).ok_or(Errno::EPROTO)
}

/// A file of one or two numbers; `None` is "max", or v1's -1.
pub(super) fn read_numbers(dir: impl AsFd, file: &str) -> nix::Result<[Option<u64>; 2]> {
    let mut buffer = [0; 64];
    let mut words = read_some(dir, file, &mut buffer)?.trim_ascii().split(|byte| *byte == b' ');
    let mut next = || match words.next() {
        None | Some(b"max" | b"-1") => Ok(None),
        Some(word) => parse(word).map(Some).ok_or(Errno::EPROTO),
    };
    Ok([next()?, next()?])
}

/// The number after `key` in a file of "key number" lines.
pub(super) fn read_keyed(dir: impl AsFd, file: &str, key: &str) -> nix::Result<Option<u64>> {
    let mut buffer = [0; 1024];
    read_some(dir, file, &mut buffer).map(|text| keyed(text, key))
}

/// The number after `key` in lines of "key number".
pub(super) fn keyed(text: &[u8], key: &str) -> Option<u64> {
    let mut lines = text.split(|byte| *byte == b'\n');
    parse(lines.find_map(|line| line.strip_prefix(key.as_bytes())?.strip_prefix(b" "))?.trim_ascii())
}

/// Whether a file of words, such as `cgroup.controllers`, has `word`.
pub(super) fn has_word(dir: impl AsFd, file: &str, word: &str) -> bool {
    let mut buffer = [0; 512];
    read_some(dir, file, &mut buffer)
        .is_ok_and(|text| text.split(u8::is_ascii_whitespace).any(|found| found == word.as_bytes()))
}

/// The pids or thread ids that a file lists. A process of a pid namespace that the caller can't see is listed as 0.
pub(super) fn read_pids(dir: impl AsFd, file: &str) -> nix::Result<Vec<i32>> {
    let fd = crate::sys::openat(dir, file, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match read(&fd, &mut buffer) {
            Ok(0) => break,
            Ok(length) => text.extend_from_slice(&buffer[..length]),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(text.split(|byte| *byte == b'\n').filter_map(|line| i32::try_from(parse(line)?).ok()).collect())
}

/// A file that fits into the buffer.
pub(super) fn read_some<'a>(dir: impl AsFd, file: &str, buffer: &'a mut [u8]) -> nix::Result<&'a [u8]> {
    let fd = crate::sys::openat(dir, file, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let length = read(&fd, buffer)?;
    Ok(&buffer[..length])
}

/// A number.
pub(super) fn parse(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
