//! Who has a file as the blocks of a loop device, as sysfs tells of the devices of everybody: loop(4).

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::sys;

/// A device that has this very file, whoever made it, in sysfs.
pub fn other_of(file: &OwnedFd) -> Option<PathBuf> {
    let identity = sys::identity(file);
    sys::file::names("/sys/block").ok()?.into_iter().find_map(|name| {
        let backing = PathBuf::from("/sys/block").join(&name).join("loop/backing_file");
        let text = sys::file::read_to_string(backing).ok()?;
        let stat = nix::sys::stat::stat(text.trim_end_matches('\n')).ok()?;
        ((stat.st_dev, stat.st_ino) == identity).then(|| PathBuf::from("/dev").join(name))
    })
}
