//! Files and directories as std and rustix open them, but never on 0, 1 or 2: see [`super::fd`].
#![allow(clippy::disallowed_methods, reason = "this is the place")]

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{Read, Result};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Dir, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::path::Arg;

use super::fd::above_stdio;

fn lift(fd: OwnedFd) -> std::result::Result<OwnedFd, Errno> {
    above_stdio(fd).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::MFILE))
}

/// open(2).
pub fn open_at_path(path: impl Arg, flags: OFlags, mode: Mode) -> std::result::Result<OwnedFd, Errno> {
    rustix::fs::open(path, flags | OFlags::CLOEXEC, mode).and_then(lift)
}

/// openat(2).
pub fn openat(dir: impl AsFd, path: impl Arg, flags: OFlags, mode: Mode) -> std::result::Result<OwnedFd, Errno> {
    rustix::fs::openat(dir, path, flags | OFlags::CLOEXEC, mode).and_then(lift)
}

/// openat2(2).
pub fn openat2(
    dir: impl AsFd,
    path: impl Arg,
    flags: OFlags,
    mode: Mode,
    resolve: ResolveFlags,
) -> std::result::Result<OwnedFd, Errno> {
    rustix::fs::openat2(dir, path, flags | OFlags::CLOEXEC, mode, resolve).and_then(lift)
}

/// The entries of a directory, by a descriptor of their own, so that its position is nobody else's.
pub fn read_dir(dir: impl AsFd) -> std::result::Result<Dir, Errno> {
    Dir::new(openat(dir, ".", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?)
}

/// As [`std::fs::File::open`].
pub fn open(path: impl AsRef<Path>) -> Result<File> {
    open_with(OpenOptions::new().read(true), path)
}

/// As [`OpenOptions::open`].
pub fn open_with(options: &OpenOptions, path: impl AsRef<Path>) -> Result<File> {
    Ok(above_stdio(options.open(path)?.into())?.into())
}

/// As [`std::fs::read`].
pub fn read(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// As [`std::fs::read_to_string`].
pub fn read_to_string(path: impl AsRef<Path>) -> Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// The names in a directory, without `.` and `..`.
pub fn names(path: impl AsRef<Path>) -> Result<Vec<OsString>> {
    let dir = open_at_path(path.as_ref(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    let mut names = Vec::new();
    for entry in Dir::new(dir)? {
        let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_os_string();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    Ok(names)
}
