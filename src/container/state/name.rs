//! Names of containers.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Error, Result, Step, sys};

/// The longest name of a container.
const LONGEST_NAME: usize = 64;

/// Refuses a name that can't be one.
pub fn check_name(name: &str) -> Result<()> {
    let bad = |why: &str| Err(Error::invalid(Step::NameContainer, name, why));
    if name.is_empty() {
        return bad("the name is empty");
    }
    if name.len() > LONGEST_NAME {
        return bad("the name is longer than 64 bytes");
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) || name.starts_with(['.', '-']) {
        return bad("a name is made of letters, digits, _, . and -, and starts with neither . nor -");
    }
    Ok(())
}

/// A name that nobody has: 12 hexadecimal digits, as docker's short ids.
pub fn random_name() -> String {
    let mut bytes = [0u8; 8];
    if !sys::random(&mut bytes) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        bytes = (now ^ u64::from(crate::sys::process_id()) << 24).to_ne_bytes();
    }
    format!("{:012x}", u64::from_ne_bytes(bytes) & 0xffff_ffff_ffff)
}
