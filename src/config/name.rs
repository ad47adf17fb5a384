//! What a container, a volume or a network may be called.

use crate::{Error, Result, Step};

/// The longest name of one.
const LONGEST_NAME: usize = 64;

/// Refuses a name that none can have.
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
