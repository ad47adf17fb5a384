//! Snapshots: images of what containers have changed, without packing it. What is true for root is true for ordinary users, with
//! further ids and without: [`for_everybody`].

mod common;

use std::path::PathBuf;

use common::leftovers::Scope;
use common::{busybox_tar, captured, end_of, eventually, has_ids, sh};
use ctr::image::{Image, MakeOptions, Output, SaveOptions, Store};
use ctr::{Config, Container, ErrorCode, Step, Volume};

struct Place {
    scope: Scope,
    store: PathBuf,
}

impl Place {
    fn new(test: &str) -> Self {
        let scope = Scope::new(test);
        let store = common::scratch("snapshots").join(scope.prefix());
        Self { scope, store }
    }

    fn config(&self) -> Config {
        self.scope.config().with(|c| c.store_dir = Some(self.store.clone()))
    }

    fn create(&self, image: impl AsRef<std::ffi::OsStr>) -> Container {
        Container::create(image, &self.config()).unwrap()
    }

    fn end(self) {
        self.scope.assert_nothing_left();
        assert_eq!(std::fs::read_dir(self.store.join("tmp")).unwrap().count(), 0);
    }
}

fn snapshot(container: &Container, name: &str) -> Image {
    container.snapshot(&named(name), &mut |_| true).unwrap()
}

fn named(name: &str) -> MakeOptions {
    MakeOptions::default().with(|it| it.name = Some(name.into()))
}

/// What holds for every user.
fn for_everybody() {
    a_snapshot_is_what_a_commit_is_without_packing();
    one_stands_on_another_and_none_sees_what_comes_later();
    what_is_mounted_is_left_out_and_nothing_changed_is_no_layer();
    what_has_no_image_below_is_refused();
}

common::lane::users_can!(for_everybody);

const LOOK: &str = "cd /; find bin/added d etc/group etc/passwd kept s -exec stat -c '%n %F %a %u:%g %s %Y' {} \\; | sort; md5sum etc/group kept/one kept/two s/large s/sparse;
    stat -c %h kept/one; readlink kept/link; du -k s/sparse | cut -f 1; ls -A d root; cat kept/one";

#[test]
fn a_snapshot_is_what_a_commit_is_without_packing() {
    let place = Place::new("same");
    let first = place.create(busybox_tar());
    assert_eq!(sh(&first, "mkdir -p /d/below /gone; echo x > /d/below/x; echo x > /d/x; echo x > /gone/x"), "");
    first.commit(&named("base"), &mut |_| true).unwrap();
    first.destroy().unwrap();
    let container = place.create("base");
    let script = "mkdir -m 1777 /kept /s; echo one > /kept/one; ln /kept/one /kept/two; ln -s one /kept/link; mkfifo /kept/fifo
        dd if=/dev/urandom of=/s/large bs=64k count=40 2>/dev/null; dd if=/dev/zero of=/s/sparse bs=1 count=1 seek=8000000 2>/dev/null
        echo more >> /etc/group; cp /bin/busybox /bin/added; chmod 4711 /bin/added; : > /s/empty; chmod 700 /s/empty";
    assert_eq!(sh(&container, script), "");
    if has_ids(&container, 65536) {
        assert_eq!(
            sh(
                &container,
                "chown 1000:100 /kept/one; chown -h 7:8 /kept/link; chown 9:9 /s; chmod 700 /s; mkdir /s/own; chown 5:5 /s/own; chmod 0 /s/own"
            ),
            ""
        );
    }
    let made = snapshot(&container, "snapshot");
    assert_eq!((made.names.as_slice(), made.layers.len()), (&["snapshot".to_string()][..], 3));
    container.commit(&named("commit"), &mut |_| true).unwrap();
    // Its maker goes on.
    assert_eq!(sh(&container, "echo later > /kept/one; rm /s/large; echo on"), "on");
    container.destroy().unwrap();
    let looked: Vec<_> = ["snapshot", "commit"]
        .map(|image| {
            let container = place.create(image);
            assert_eq!(container.diff().unwrap(), []);
            let looked = sh(&container, LOOK);
            container.destroy().unwrap();
            looked
        })
        .into();
    assert_eq!(looked[0], looked[1]);
    assert!(looked[0].ends_with("one"), "{}", looked[0]);
    // Another store takes what is saved of it, with digests that hold.
    let archive = place.scope.dir().join("saved.tar");
    let store = Store::open(Some(&place.store)).unwrap();
    store.save("snapshot", Output::Path(&archive), &SaveOptions::default(), &mut |_| true).unwrap();
    let other = place.config().with(|c| c.store_dir = Some(place.store.with_extension("other")));
    let container = Container::create(&archive, &other).unwrap();
    assert_eq!(sh(&container, LOOK), looked[0]);
    container.destroy().unwrap();
    place.end();
}

#[test]
fn deleted_and_replaced_files_stay_so() {
    let place = Place::new("gone");
    let first = place.create(busybox_tar());
    assert_eq!(sh(&first, "mkdir -p /d/below /gone; echo x > /d/below/x; echo x > /d/x; echo x > /gone/x"), "");
    first.commit(&named("base"), &mut |_| true).unwrap();
    first.destroy().unwrap();
    let container = place.create("base");
    assert_eq!(sh(&container, "rm -r /gone /d; mkdir /d; echo new > /d/new"), "");
    let made = container.snapshot(&named("snapshot"), &mut |_| true);
    container.destroy().unwrap();
    match made {
        // A file system that takes what hides files for its own.
        Err(error) => assert_eq!(error.failed_step(), Step::HideBelow, "{error}"),
        Ok(_) => {
            let container = place.create("snapshot");
            assert_eq!(sh(&container, "ls -A /d; ls -d /gone 2>&1 | grep -c 'No such'"), "new\n1");
            container.destroy().unwrap();
        }
    }
    place.end();
}

#[test]
fn one_stands_on_another_and_none_sees_what_comes_later() {
    let place = Place::new("chain");
    let container = place.create(busybox_tar());
    // More than are mounted over one another.
    for number in 0..6 {
        assert_eq!(sh(&container, &format!("echo {number} > /number; mkdir -p /all/{number}")), "");
        snapshot(&container, &format!("at{number}"));
    }
    container.destroy().unwrap();
    for number in [0, 3, 5] {
        let container = place.create(format!("at{number}"));
        assert_eq!(sh(&container, "cat /number; ls /all | wc -l"), format!("{number}\n{}", number + 1));
        container.destroy().unwrap();
    }
    let mut image = String::from("at5");
    for number in 6..11 {
        let container = place.create(&image);
        assert_eq!(sh(&container, &format!("echo {number} > /number; mkdir /all/{number}")), "");
        image = snapshot(&container, &format!("at{number}")).digest;
        container.destroy().unwrap();
    }
    let container = place.create("at10");
    assert_eq!(sh(&container, "cat /number; ls /all | wc -l"), "10\n11");
    container.destroy().unwrap();
    // What nobody names any more is gone with its layers.
    let store = Store::open(Some(&place.store)).unwrap();
    for image in store.list().unwrap() {
        store.remove(&image.digest).unwrap();
    }
    assert_eq!(std::fs::read_dir(place.store.join("layers")).unwrap().count(), 0);
    place.end();
}

#[test]
fn what_is_mounted_is_left_out_and_nothing_changed_is_no_layer() {
    let place = Place::new("mounted");
    let config = place.config().with(|c| c.mounts = vec![Volume::new("v", "/volume").into()]);
    let container = Container::create(busybox_tar(), &config).unwrap();
    assert_eq!(snapshot(&container, "unchanged").layers.len(), 1);
    assert_eq!(sh(&container, "echo x > /volume/x; echo x > /tmp/x; echo x > /dev/shm/x; echo x > /root/x"), "");
    let made = snapshot(&container, "changed");
    assert_eq!(made.layers.len(), 2);
    assert!(!made.layers[1].join("volume").exists() && made.layers[1].join("root/x").exists());
    container.destroy().unwrap();
    ctr::Volumes::open(Some(&place.store)).unwrap().remove("v").unwrap();
    place.end();
}

#[test]
fn what_has_no_image_below_is_refused() {
    let place = Place::new("refused");
    for image in [PathBuf::from("host"), common::busybox().to_path_buf()] {
        let container = place.create(&image);
        let error = container.snapshot(&named("x"), &mut |_| true).unwrap_err();
        let told = (error.code(), error.errno(), error.failed_step());
        assert_eq!(told, (ErrorCode::Unsupported, libc::EOPNOTSUPP, Step::SnapshotContainer), "{error}");
        container.destroy().unwrap();
    }
    let container = place.create(busybox_tar());
    assert_eq!(sh(&container, "echo x > /x"), "");
    let error = container.snapshot(&named("../x"), &mut |_| true).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Invalid, "{error}");
    let error = container.snapshot(&named("x"), &mut |_| false).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Interrupted, "{error}");
    container.destroy().unwrap();
    place.end();
}

/// A program writes to one file and then to the other, all the time.
#[test]
fn it_is_what_there_was_at_one_moment() {
    if !common::can_limit() {
        return common::skipped("no cgroup can be had, so nothing stands still");
    }
    let place = Place::new("moment");
    let container = place.create(busybox_tar());
    let script = "n=0; while :; do n=$((n+1)); echo $n >> /a; echo $n >> /b; done";
    let writer = container.exec(["/bin/sh", "-c", script], &captured()).unwrap();
    eventually("it writes", || !sh(&container, "tail -n 1 /b 2>/dev/null; true").is_empty());
    for number in 0..8 {
        let image = snapshot(&container, &format!("moment{number}"));
        let tree = image.layers.last().unwrap();
        let last = |name: &str| -> i64 {
            let text = std::fs::read_to_string(tree.join(name)).unwrap();
            text.lines().last().unwrap().parse().unwrap()
        };
        let (first, second) = (last("a"), last("b"));
        assert!(first - second == 0 || first - second == 1, "{first} {second}");
        assert!(!container.paused().unwrap());
    }
    writer.kill(libc::SIGKILL).unwrap();
    end_of(&writer);
    container.destroy().unwrap();
    place.end();
}
