//! What happens while one process removes what a dead container left, and another wants its name or its end.

mod common;

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::leftovers::Scope;
use common::{busybox, eventually, sh};
use ctr::{Config, Container, Upper};

/// A container with changes on disk whose PID 1 has been killed, and the lock of whoever sweeps it: this test.
fn swept(scope: &Scope) -> (Config, Container, File) {
    let config = scope.config().with(|c| {
        c.upper = Upper::Disk;
        c.store_dir = Some(scope.dir().join("store"));
    });
    let container = Container::create(busybox(), &config).unwrap();
    sh(&container, "echo data >/data");
    // SAFETY: plain numbers.
    unsafe { libc::kill(container.pid(), libc::SIGKILL) };
    let record = scope.state_dir().join(format!("{}.json", container.name()));
    let file = File::options().read(true).write(true).open(record).unwrap();
    let mut lock = libc::flock { l_type: libc::F_WRLCK as i16, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
    // SAFETY: the record outlives the call.
    eventually(
        "its lock is let go of",
        || unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw mut lock) } == 0,
    );
    (config, container, file)
}

/// Does `work`, and says whether it was done while the lock was held; then it goes.
fn while_locked(lock: File, work: impl FnOnce() + Send) -> bool {
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let at_work = scope.spawn(|| {
            work();
            is_done.store(true, Ordering::Relaxed);
        });
        // Longer than whoever waits takes the lock for a forked child's.
        std::thread::sleep(Duration::from_millis(300));
        let was_done = is_done.load(Ordering::Relaxed);
        drop(lock);
        at_work.join().unwrap();
        was_done
    })
}

#[test]
fn a_name_is_had_when_another_process_has_swept_it() {
    let scope = Scope::new("name");
    let (config, _dead, lock) = swept(&scope);
    let mut made = None;
    assert!(!while_locked(lock, || made = Some(Container::create(busybox(), &config))));
    let made = made.unwrap().expect("it has the name");
    assert_eq!(sh(&made, "ls /data 2>/dev/null || echo new"), "new");
    made.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn destroy_waits_for_another_process_that_removes_what_is_left() {
    let scope = Scope::new("waits");
    let (config, container, lock) = swept(&scope);
    let upper = fs::read_dir(scope.dir().join("store/upper")).unwrap().next().unwrap().unwrap().path();
    assert!(upper.file_name().unwrap().to_str().unwrap().starts_with(&config.name.unwrap()), "{}", upper.display());
    let data = upper.join("upper/data");
    assert!(data.exists(), "{}", data.display());
    assert!(!while_locked(lock, || container.destroy().unwrap()), "it did not wait");
    assert!(!data.exists());
    assert_eq!(fs::read_dir(scope.dir().join("store/upper")).unwrap().count(), 0);
    scope.assert_nothing_left();
}
