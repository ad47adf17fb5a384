//! Entries of environments: `NAME=VALUE`, environ(7).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::plan::c_string;
use crate::{Error, Result, Step};

/// Refuses what can't be an entry.
pub fn check_env(name: &OsStr, value: &OsStr) -> Result<()> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.contains(&b'=') || bytes.contains(&0) {
        return Err(Error::invalid(
            Step::SetEnvironmentVariable,
            name.display(),
            "a name is not empty and has no = or NUL",
        ));
    }
    c_string(Step::SetEnvironmentVariable, value.as_bytes()).map(drop)
}

/// The bytes of an environment entry.
pub fn env_text(name: &OsStr, value: &OsStr) -> Vec<u8> {
    [name.as_bytes(), b"=", value.as_bytes()].concat()
}

/// NAME= of NAME=VALUE.
pub fn name_of(entry: &[u8]) -> &[u8] {
    entry.iter().position(|&byte| byte == b'=').map_or(entry, |equals| &entry[..=equals])
}

/// Sets NAME=VALUE in an environment, in the place of an older one of that name.
pub fn set_env(env: &mut Vec<Vec<u8>>, entry: Vec<u8>) {
    let name = name_of(&entry);
    match env.iter_mut().find(|old| old.starts_with(name)) {
        Some(old) => *old = entry,
        None => env.push(entry),
    }
}
