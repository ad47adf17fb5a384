//! What is read from block devices and written to them.
//!
//! v2 counts it where the io controller is handed on, which ctr leaves to the machine. v1 counts it in the blkio hierarchy, in which
//! no container has a directory of its own. Rests on "IO Interface Files" of Documentation/admin-guide/cgroup-v2.rst.

use super::control;
use super::directory::Directory;
use super::psi::pressure;
use super::stats::Stats;
use crate::Result;

/// Adds what a directory of v2 counts.
pub(super) fn count(directory: &Directory, stats: &mut Stats) -> Result<()> {
    stats.pressure.io = pressure(directory, "io.pressure")?;
    let sums = directory.read_if_there("io.stat", |text| ["rbytes=", "wbytes="].map(|key| sum(text, key)))?;
    [stats.io.read, stats.io.written] = sums.map_or([None; 2], |sums| sums.map(Some));
    Ok(())
}

/// Over the devices: "8:0 rbytes=1459200 wbytes=314773504 rios=192 …", a line each.
fn sum(text: &[u8], key: &str) -> u64 {
    let words = text.split(u8::is_ascii_whitespace);
    words.filter_map(|word| control::parse(word.strip_prefix(key.as_bytes())?)).fold(0, u64::saturating_add)
}
