//! What a container or a volume may be called.

use crate::{Error, Result, Step};

/// The longest name of a container or a volume.
const LONGEST_NAME: usize = 64;

/// Refuses a name that no container and no volume can have.
pub fn check(step: Step, name: &str) -> Result<()> {
    let bad = |why: &str| Err(Error::invalid(step, name, why));
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
