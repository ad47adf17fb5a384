//! What an image or a tree of files, made to do harm, does to the process that works with it. Each test bounds its own address
//! space and descriptors, so that what takes more than it may is seen, and harms nobody.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use ctr::{Config, Container, ExecConfig, Upper};
use nix::sys::resource::{Resource, setrlimit};

use crate::attack;
use crate::fence::{run, scratch};

/// Address space of the process that works with what is hostile.
const MEMORY: u64 = 512 << 20;

/// From here on the process has no more than this.
fn bounded(descriptors: u64) {
    setrlimit(Resource::RLIMIT_AS, MEMORY, MEMORY).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, descriptors, descriptors).unwrap();
}

/// A directory that is an image: busybox, and a program that makes directories in each other, `deep DEPTH LENGTH`.
fn image() -> PathBuf {
    const DEEP: &str = r#"
        #include <string.h>
        #include <stdlib.h>
        #include <unistd.h>
        #include <sys/stat.h>
        int main(int argc, char **argv) {
            static char name[256];
            memset(name, 'd', atoi(argv[2]));
            for (long depth = atol(argv[1]); depth > 0; depth--)
                if (mkdir(name, 0755) || chdir(name)) return 1;
            return 0;
        }"#;
    let root = scratch().join("image");
    if !root.exists() {
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::create_dir_all(root.join("work")).unwrap();
        fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
        let source = scratch().join("deep.c");
        fs::write(&source, DEEP).unwrap();
        let built = Command::new("cc").arg("-static").arg("-o").arg(root.join("bin/deep")).arg(&source).status();
        assert!(built.unwrap().success());
    }
    root
}

/// A container in which there are directories of names of `length` bytes in each other.
fn deep(depth: usize, length: usize, config: &Config) -> Container {
    let container = Container::create(image(), config).unwrap();
    let at_work = ExecConfig { cwd: Some("/work".into()), ..ExecConfig::default() };
    let said = run(&container, &["/bin/deep", &depth.to_string(), &length.to_string()], &at_work);
    assert_eq!(said.code, 0, "{}", said.text);
    container
}

// A tree deeper than there are descriptors, and deeper than a thread's stack would bear, where each level took some of it.
attack!(own_tree_bomb_destroy, {
    image();
    bounded(64);
    for (depth, length) in [(3000, 1), (20_000, 1), (20_000, 200)] {
        let config = Config { upper: Upper::Disk, ..Config::default() };
        let container = deep(depth, length, &config);
        let work = move || container.destroy().unwrap();
        std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
        assert_eq!(fs::read_dir(scratch().join("store/upper")).unwrap().count(), 0);
    }
});

// What can't be removed is no reason to keep a name for ever.
attack!(own_tree_bomb_destroy_puts_aside, {
    let config = Config { upper: Upper::Disk, name: Some("stuck".into()), ..Config::default() };
    let container = deep(1, 1, &config);
    let place = scratch().join("store/upper/stuck/upper/work/d");
    nix::mount::mount(Some("tmpfs"), &place, Some("tmpfs"), nix::mount::MsFlags::empty(), None::<&str>).unwrap();
    let error = container.destroy().unwrap_err();
    assert!(error.errno() == libc::EBUSY && error.to_string().contains("tmp/stuck.left-0"), "{error}");
    assert!(Container::list().unwrap().is_empty());
    // The name is free, and what is aside goes once it can.
    Container::create(image(), &config).unwrap().destroy().unwrap();
    let aside = scratch().join("store/tmp/stuck.left-0");
    for mount in fs::read_to_string("/proc/self/mounts").unwrap().lines().rev() {
        let at = mount.split(' ').nth(1).unwrap();
        if at.starts_with(aside.to_str().unwrap()) {
            nix::mount::umount2(at, nix::mount::MntFlags::MNT_DETACH).unwrap();
        }
    }
    ctr::image::Store::open(None).unwrap().prune().unwrap();
    assert!(!aside.exists());
});
