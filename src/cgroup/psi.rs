//! Pressure stall information: how long programs wait for memory, processors and block devices. v2 counts it in every directory.
//!
//! Rests on Documentation/accounting/psi.rst.

use std::time::Duration;

use super::directory::Directory;
use super::stats::{Pressure, Stall};
use crate::Result;

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same of `full`.
pub(super) fn pressure(directory: &Directory, file: &'static str) -> Result<Option<Pressure>> {
    let stall = |line: &[u8]| -> Option<Stall> {
        let mut words = std::str::from_utf8(line).ok()?.split(' ').filter_map(|word| Some(word.split_once('=')?.1));
        let (avg10, avg60, avg300) = (words.next()?, words.next()?, words.next()?);
        let total = Duration::from_micros(words.next()?.trim().parse().ok()?);
        Some(Stall { avg10: avg10.parse().ok()?, avg60: avg60.parse().ok()?, avg300: avg300.parse().ok()?, total })
    };
    let read = |text: &[u8]| -> Option<Pressure> {
        let line = |name: &[u8]| text.split(|byte| *byte == b'\n').find_map(|line| stall(line.strip_prefix(name)?));
        Some(Pressure { some: line(b"some ")?, full: line(b"full ") })
    };
    Ok(directory.read_if_there(file, read)?.flatten())
}
