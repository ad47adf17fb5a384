//! What a container mounts stays in the container.

mod common;

use std::collections::BTreeSet;

use common::lane::play_in_shared_mounts;
use common::{busybox, end_of, quiet};
use ctr::{Bind, Config, Container, DirectoryUse, Mount, Tmpfs};

/// Mount point and file system of everything that this process sees.
fn mounts() -> BTreeSet<String> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let fields = |line: &str| line.split(' ').skip(2).take(3).collect::<Vec<_>>().join(" ");
    text.lines().map(fields).collect()
}

/// systemd makes all mounts of a host shared, so the test has a mount namespace of its own where they are.
#[test]
fn a_host_whose_mounts_are_shared_sees_none_of_a_containers() {
    play_in_shared_mounts("inner");
}

/// Not a test of its own: the part inside.
#[test]
#[ignore = "started by another test"]
fn inner() {
    // A mount of its own, so that what leaks has a place to leak to.
    let root = busybox();
    let before = mounts();
    for directory in [DirectoryUse::Direct, DirectoryUse::Lower] {
        let bind = Mount::Bind(Bind::new(root.join("bin"), "/shared"));
        let tmpfs = Mount::Tmpfs(Tmpfs::new("/shared/busybox.d"));
        std::fs::create_dir_all(root.join("bin/busybox.d")).unwrap();
        let config = Config::default().with(|c| {
            c.directory = directory;
            c.mounts = vec![bind, tmpfs];
        });
        let container = Container::create(root, &config).unwrap();
        assert_eq!(end_of(&container.exec(["/bin/true"], &quiet()).unwrap()).code, 0);
        assert_eq!(mounts(), before, "while it runs");
        container.destroy().unwrap();
        assert_eq!(mounts(), before, "when it is gone");
    }
}
