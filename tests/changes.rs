//! How much a container may change in memory, set while it runs.

mod common;

use std::path::Path;

use common::sh;
use ctr::ChangesLimit::{Inodes, Size};
use ctr::{Config, Container, Error, ErrorCode};

const MIB: u64 = 1 << 20;

fn refused(outcome: Result<(), Error>, code: ErrorCode, words: &[&str]) {
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
}

#[test]
fn what_may_be_changed_in_memory_moves_while_programs_run() {
    let config = Config::default().with(|c| (c.upper_size, c.upper_inodes) = (Some(4 * MIB), Some(500)));
    for image in [Path::new("host"), common::busybox_tar()] {
        if image != Path::new("host") && !common::kernel_is_at_least(6, 6) {
            refused(Container::create(image, &config).map(drop), ErrorCode::Invalid, &["before Linux 6.6"]);
            common::skipped("before Linux 6.6 the changes of an image are on disk");
            continue;
        }
        let container = Container::create(image, &config).unwrap();
        let joined = Container::join(container.name()).unwrap();
        assert_eq!(
            (container.changes_limit(Size).unwrap(), container.changes_limit(Inodes).unwrap()),
            (Some(4 * MIB), Some(500))
        );
        let writes = |mib: u32, file: &str| {
            let script = format!("dd if=/dev/zero of={file} bs=1048576 count={mib} 2>/dev/null; echo $?");
            sh(&container, &script) == "0"
        };
        assert!(!writes(6, "/tmp/big"), "a full disk");
        joined.set_changes_limit(Size, Some(16 * MIB)).unwrap();
        assert!(writes(6, "/tmp/big") && writes(6, "/dev/shm/other"), "the same tmpfs has both");
        assert!(!writes(6, "/tmp/third"));
        assert_eq!(container.changes_limit(Size).unwrap(), Some(16 * MIB));
        // Below what is in use nothing changes, nor what no container can live with.
        refused(container.set_changes_limit(Size, Some(8 * MIB)), ErrorCode::System, &["EBUSY", "8388608"]);
        refused(container.set_changes_limit(Size, Some(1000)), ErrorCode::Invalid, &["1000", "1048576"]);
        assert_eq!(container.changes_limit(Size).unwrap(), Some(16 * MIB));
        sh(&container, "rm /tmp/big /tmp/third");
        container.set_changes_limit(Size, Some(8 * MIB)).unwrap();
        let many = "i=0; while [ $i -lt 700 ]; do : > /tmp/$i || exit 1; i=$((i+1)); done";
        let makes = || {
            let status = sh(&container, &format!("mkdir -p /tmp; ({many}) 2>/dev/null; echo $?"));
            status == "0"
        };
        assert!(!makes(), "no inode more");
        container.set_changes_limit(Inodes, Some(1200)).unwrap();
        assert!(makes());
        refused(container.set_changes_limit(Inodes, Some(300)), ErrorCode::System, &["EBUSY", "300"]);
        // Without a limit of memory: as the kernel has it.
        container.set_changes_limit(Size, None).unwrap();
        container.set_changes_limit(Inodes, None).unwrap();
        let (size, inodes) = (container.changes_limit(Size).unwrap(), container.changes_limit(Inodes).unwrap());
        assert!(size > Some(64 * MIB) && inodes == size.map(|size| size / 4096), "{size:?} {inodes:?}");
        assert_eq!(sh(&container, "echo well"), "well");
        container.destroy().unwrap();
        assert_eq!(container.changes_limit(Size).unwrap_err().code(), ErrorCode::Destroyed);
    }
}

#[test]
fn changes_that_are_not_in_memory_have_no_limit_to_be_changed() {
    let store = common::scratch("changes-store");
    let config = Config::default().with(|c| (c.upper, c.store_dir) = (ctr::Upper::Disk, Some(store)));
    let container = Container::create(common::busybox_tar(), &config).unwrap();
    for which in [Size, Inodes] {
        refused(
            container.set_changes_limit(which, Some(64 * MIB)),
            ErrorCode::Unsupported,
            &["its changes go to disk"],
        );
        assert_eq!(container.changes_limit(which).unwrap_err().code(), ErrorCode::Unsupported);
    }
    container.destroy().unwrap();
}
