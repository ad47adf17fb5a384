//! Names of containers.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::config::name::check;
use crate::{Error, Result, Step, sys};

/// Refuses a name that can't be one.
pub fn check_name(name: &str) -> Result<()> {
    check(Step::NameContainer, name)
}

/// Refuses what can't be the name of a network: as a container's, and none of the words that choose one.
pub fn check_network(name: &str) -> Result<()> {
    check(Step::NameNetwork, name)?;
    if ["none", "host", "new", "egress", "container"].contains(&name) {
        return Err(Error::invalid(Step::NameNetwork, name, "this word chooses another network"));
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
