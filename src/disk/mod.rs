//! Disks: what is on a block device or in the image of one, found out before anything is made, and mounted, attached nowhere yet. The
//! kernel mounts block devices only, so an image, or a partition, becomes one by loop(4).
//!
//! What is read here of a disk may have been written by a stranger: it is looked at by offsets that are checked, and bounded. What the
//! kernel itself does with it is told in SECURITY.md.

mod backing;
mod loop_device;
mod mounted;
mod options;
mod partition;
mod source;
mod superblock;

pub use loop_device::{Loop, PATIENCE, has_gone};
pub use mounted::mount;
pub use source::Source;
