//! Files and directories as std opens them, but never on 0, 1 or 2: see [`super::fd`].
#![allow(clippy::disallowed_methods, reason = "this is the place")]

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{Read, Result};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::fd::above_stdio;
use super::fs::{Dir, Mode, OFlag};

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
    let dir = super::open(path.as_ref(), OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty())?;
    let mut names = Vec::new();
    for entry in Dir::new(dir) {
        let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_os_string();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    Ok(names)
}
