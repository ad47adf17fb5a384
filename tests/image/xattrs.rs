//! Extended attributes, xattr(7), as tests look at them: of the file itself, never of what a link points to.

use std::ffi::CString;
use std::io::{Error, Result};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// lsetxattr(2).
pub fn setxattr(path: impl AsRef<Path>, name: &str, value: &[u8]) -> Result<()> {
    let (path, name) = strings(path.as_ref(), name);
    // SAFETY: path and name are strings, the value as long as is said.
    check(unsafe { libc::lsetxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) } as isize)
        .map(drop)
}

/// lgetxattr(2).
pub fn getxattr(path: impl AsRef<Path>, name: &str) -> Result<Vec<u8>> {
    let (path, name) = strings(path.as_ref(), name);
    let mut value = vec![0; 4096];
    // SAFETY: path and name are strings; the kernel writes no more bytes than there are.
    let length =
        check(unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) })?;
    value.truncate(length);
    Ok(value)
}

/// llistxattr(2): the names.
pub fn listxattr(path: impl AsRef<Path>) -> Result<Vec<String>> {
    let (path, _) = strings(path.as_ref(), "");
    let mut list = vec![0; 4096];
    // SAFETY: the path is a string; the kernel writes no more bytes than there are.
    let length = check(unsafe { libc::llistxattr(path.as_ptr(), list.as_mut_ptr().cast(), list.len()) })?;
    let names = list[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

fn strings(path: &Path, name: &str) -> (CString, CString) {
    (CString::new(path.as_os_str().as_bytes()).unwrap(), CString::new(name).unwrap())
}

fn check(result: isize) -> Result<usize> {
    usize::try_from(result).map_err(|_| Error::last_os_error())
}
