//! The options of each file system.

use std::ffi::CStr;

use crate::FileSystem;

/// With what options it is mounted.
///
/// What an image says of itself must not count: errors=panic stands in the superblock of ext4, and would end the machine. A journal is
/// written back only where writing was asked for, for that writes to the disk.
pub fn options(filesystem: FileSystem, read_only: bool) -> Vec<(&'static CStr, Option<&'static CStr>)> {
    let mut options = Vec::new();
    if read_only {
        options.push((c"ro", None));
    }
    match filesystem {
        FileSystem::Ext4 => {
            options.push((c"errors", Some(c"remount-ro")));
            if read_only {
                options.push((c"noload", None));
            }
        }
        FileSystem::Xfs => {
            // Two containers may read copies of one image, whose UUIDs are the same.
            options.push((c"nouuid", None));
            if read_only {
                options.push((c"norecovery", None));
            }
        }
        FileSystem::Btrfs if read_only => options.push((c"rescue", Some(c"nologreplay"))),
        _ => {}
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_does_not_choose_what_an_error_does() {
        for read_only in [true, false] {
            let options = options(FileSystem::Ext4, read_only);
            assert!(options.contains(&(c"errors", Some(c"remount-ro"))));
            assert_eq!(options.contains(&(c"noload", None)), read_only);
        }
    }
}
