//! Volumes: directories of the store that outlive containers. What is true for root is true for ordinary users, with further ids and
//! without: [`for_everybody`].

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::thread;

use common::leftovers::Scope;
use common::{busybox_tar, end_of, has_ids, quiet, sh};
use ctr::image::MakeOptions;
use ctr::{Config, Container, Error, ErrorCode, Mount, Step, Volume, Volumes};

/// A store and an image in it, "seed", that has files where volumes are to be.
struct Place {
    scope: Scope,
    store: PathBuf,
}

impl Place {
    fn new(test: &str) -> Self {
        let scope = Scope::new(test);
        let store = common::scratch("volumes").join(scope.prefix());
        let place = Self { scope, store };
        let container = Container::create(busybox_tar(), &place.config(&[])).unwrap();
        let script = "mkdir -p /data/sub /srv; ln -s /data /srv/link; echo seed > /data/file; echo kept > /data/sub/deep
            ln /data/file /data/hard; ln -s file /data/soft; mkfifo /data/fifo; chmod 751 /data; chmod 2775 /data/sub; chmod 4755 /data/file";
        assert_eq!(sh(&container, script), "");
        if has_ids(&container, 65536) {
            assert_eq!(sh(&container, "chown 1000:1000 /data /data/fifo; chown 1001:100 /data/sub/deep"), "");
        }
        container.commit(&MakeOptions::default().with(|it| it.name = Some("below".into())), &mut |_| true).unwrap();
        container.destroy().unwrap();
        // A layer more, which adds and, where the store's file system can hold that, hides.
        for script in ["rm /data/soft; echo more > /data/more", "echo more > /data/more"] {
            let container = Container::create("below", &place.config(&[])).unwrap();
            assert_eq!(sh(&container, script), "");
            let named = MakeOptions::default().with(|it| it.name = Some("seed".into()));
            let made = container.commit(&named, &mut |_| true);
            container.destroy().unwrap();
            match made {
                Err(error) if error.failed_step() == Step::HideBelow => {}
                made => return made.map(|_| place).unwrap(),
            }
        }
        unreachable!("the second layer hides nothing")
    }

    fn volumes(&self) -> Volumes {
        Volumes::open(Some(&self.store)).unwrap()
    }

    fn config(&self, mounts: &[Mount]) -> Config {
        self.scope.config().with(|c| {
            c.store_dir = Some(self.store.clone());
            c.mounts = mounts.to_vec();
        })
    }

    fn create(&self, image: &str, mounts: &[Mount]) -> Container {
        Container::create(image, &self.config(mounts)).unwrap()
    }

    fn end(self) {
        self.scope.assert_nothing_left();
        for volume in self.volumes().list().unwrap() {
            self.volumes().remove(&volume.name).unwrap();
        }
        assert_eq!(fs::read_dir(self.store.join("tmp")).unwrap().count(), 0);
        _ = fs::remove_dir_all(self.store.join("volumes"));
    }
}

fn volume(name: &str, target: &str) -> Mount {
    Volume::new(name, target).into()
}

fn told(error: &Error) -> (ErrorCode, i32, Step) {
    (error.code(), error.errno(), error.failed_step())
}

/// What holds for every user.
fn for_everybody() {
    a_volume_has_what_the_image_has_there_and_outlives_containers();
    a_volume_that_has_files_is_not_filled();
    containers_that_begin_at_once_fill_it_once();
    one_that_is_used_is_not_removed_and_the_error_names_who_uses_it();
    a_volume_is_mounted_while_a_container_runs();
    a_name_that_leads_elsewhere_is_refused();
    they_are_listed_measured_and_pruned();
    set_user_id_has_no_effect_and_read_only_holds();
    the_host_s_own_programs_use_one_too();
    an_explanation_makes_none();
}

common::lane::users_can!(for_everybody);

const LOOK: &str = "cd /data; stat -c '%n %F %a %u:%g' . file more hard sub sub/deep fifo; stat -c %h file more; cat file sub/deep more; ls -A";

#[test]
fn a_volume_has_what_the_image_has_there_and_outlives_containers() {
    let place = Place::new("volume");
    let plain = place.create("seed", &[]);
    let of_image = sh(&plain, LOOK);
    plain.destroy().unwrap();
    // By way of a link of the image's, too.
    for (name, target) in [("data", "/data"), ("linked", "/srv/link")] {
        let first = place.create("seed", &[volume(name, target)]);
        assert_eq!(sh(&first, LOOK), of_image, "{target}");
        assert_eq!(sh(&first, "echo later > /data/later; rm /data/sub/deep"), "");
        first.destroy().unwrap();
        let second = place.create("seed", &[volume(name, "/mnt/elsewhere")]);
        assert_eq!(sh(&second, "cd /mnt/elsewhere; cat later; ls sub"), "later");
        // The image itself has none of it.
        assert_eq!(sh(&second, "ls -d /data/later /data/sub/deep 2>&1 | grep -c 'No such'"), "1");
        if has_ids(&second, 65536) {
            let as_ann = quiet().with(|it| it.user = Some("1000".into()));
            let written = second.exec(["/bin/sh", "-c", "echo own > /mnt/elsewhere/own"], &as_ann).unwrap();
            assert_eq!(end_of(&written).code, 0);
            assert_eq!(sh(&second, "stat -c %u:%g /mnt/elsewhere/own"), "1000:1000");
        }
        second.destroy().unwrap();
    }
    place.end();
}

#[test]
fn a_volume_that_has_files_is_not_filled() {
    let place = Place::new("filled");
    let made = place.volumes().make("mine").unwrap();
    fs::write(made.path.join("only"), "mine").unwrap();
    match Container::create("seed", &place.config(&[volume("mine", "/data")])) {
        Ok(container) => {
            assert_eq!(sh(&container, "ls -A /data; cat /data/only"), "only\nmine");
            container.destroy().unwrap();
        }
        // Where the store can't be id-mapped, files of the host's root are nobody's inside.
        Err(error) => assert_eq!(told(&error), (ErrorCode::Unsupported, libc::EOPNOTSUPP, Step::UseVolume), "{error}"),
    }
    // One that is emptied is filled again, as docker does it; one that is used while it is empty is not.
    let empty = place.create("seed", &[volume("empty", "/nowhere")]);
    assert_eq!(sh(&empty, "ls -A /nowhere"), "");
    let other = place.create("seed", &[volume("empty", "/data")]);
    assert_eq!(sh(&other, "ls -A /data"), "");
    other.destroy().unwrap();
    empty.destroy().unwrap();
    let again = place.create("seed", &[volume("empty", "/data")]);
    assert_eq!(sh(&again, "cat /data/more"), "more");
    again.destroy().unwrap();
    place.end();
}

#[test]
fn containers_that_begin_at_once_fill_it_once() {
    let place = Place::new("atonce");
    for round in 0..3 {
        let name = format!("shared{round}");
        let made: Vec<_> = thread::scope(|scope| {
            let begin = |_| scope.spawn(|| place.create("seed", &[volume(&name, "/data")]));
            let begun: Vec<_> = (0..6).map(begin).collect();
            begun.into_iter().map(|it| it.join().unwrap()).collect()
        });
        let inodes: Vec<_> = made.iter().map(|it| sh(it, "stat -c %i /data/more /data/sub/deep")).collect();
        assert!(inodes.windows(2).all(|pair| pair[0] == pair[1]), "{inodes:?}");
        // What one writes, the others see.
        assert_eq!(sh(&made[0], "echo all > /data/all"), "");
        assert!(made.iter().all(|it| sh(it, "cat /data/all") == "all"));
        made.into_iter().for_each(|it| it.destroy().unwrap());
    }
    place.end();
}

#[test]
fn one_that_is_used_is_not_removed_and_the_error_names_who_uses_it() {
    let place = Place::new("used");
    let one = place.create("seed", &[volume("v", "/data")]);
    let error = place.volumes().remove("v").unwrap_err();
    assert_eq!(told(&error), (ErrorCode::System, libc::EBUSY, Step::RemoveVolume), "{error}");
    assert!(error.to_string().contains(one.name()), "{error}");
    let other = place.create("seed", &[volume("v", "/data")]);
    let error = place.volumes().remove("v").unwrap_err().to_string();
    assert!(error.contains(one.name()) && error.contains(other.name()), "{error}");
    assert_eq!(place.volumes().prune().unwrap(), Vec::<String>::new());
    one.destroy().unwrap();
    assert!(place.volumes().remove("v").is_err());
    // A container whose PID 1 is killed uses nothing any more.
    // SAFETY: it is the container's first process.
    unsafe { libc::kill(other.pid(), libc::SIGKILL) };
    common::eventually("the volume can be removed", || place.volumes().remove("v").is_ok());
    let error = place.volumes().remove("v").unwrap_err();
    assert_eq!(told(&error), (ErrorCode::NotFound, libc::ENOENT, Step::FindVolume), "{error}");
    drop(other);
    _ = place.scope.client().list();
    place.end();
}

#[test]
fn a_volume_is_mounted_while_a_container_runs() {
    let place = Place::new("live");
    let container = place.create("seed", &[]);
    container.mount(&volume("live", "/data")).unwrap();
    assert_eq!(sh(&container, "cat /data/more; echo live > /data/live; rm -r /data/sub"), "more");
    let error = place.volumes().remove("live").unwrap_err();
    assert!(error.errno() == libc::EBUSY && error.to_string().contains(container.name()), "{error}");
    let error = container.mount(&volume("live", "/data")).unwrap_err();
    assert_eq!(error.errno(), libc::EBUSY, "{error}");
    let joined = place.scope.client().join(container.name()).unwrap();
    joined.mount(&Volume::new("live", "/again").with(|it| it.read_only = true).into()).unwrap();
    assert_eq!(sh(&container, "cat /again/live"), "live");
    assert!(sh(&container, "touch /again/no 2>&1; true").contains("Read-only"));
    joined.unmount("/again", false).unwrap();
    joined.unmount("/data", false).unwrap();
    // The image's own is there again.
    assert_eq!(sh(&container, "cat /data/sub/deep"), "kept");
    place.volumes().remove("live").unwrap();
    drop(joined);
    container.destroy().unwrap();
    // One that came with the container as well.
    let container = place.create("seed", &[volume("live", "/data")]);
    let told = &container.mounts().unwrap()[0];
    assert_eq!((told.kind, told.source.as_deref()), ("volume", Some("live".as_ref())));
    container.unmount("/data", false).unwrap();
    place.volumes().remove("live").unwrap();
    container.destroy().unwrap();
    place.end();
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    let place = Place::new("names");
    for name in ["", ".", "..", "../x", "a/b", "/tmp", "-v", ".hidden", "a b", "a\n", &"n".repeat(65)] {
        let error = place.volumes().make(name).unwrap_err();
        assert_eq!(told(&error), (ErrorCode::Invalid, libc::EINVAL, Step::NameVolume), "{name:?}: {error}");
        let error = Container::create("seed", &place.config(&[volume(name, "/data")])).err().unwrap();
        assert_eq!(error.failed_step(), Step::NameVolume, "{name:?}: {error}");
        assert!(place.volumes().remove(name).is_err() && place.volumes().size(name).is_err());
    }
    // A link in the store's place leads nowhere.
    let outside = place.scope.dir().join("outside");
    fs::create_dir_all(outside.join("tree/fs")).unwrap();
    place.volumes().make("first").unwrap();
    std::os::unix::fs::symlink(&outside, place.store.join("volumes/link")).unwrap();
    let error = Container::create("seed", &place.config(&[volume("link", "/data")])).err().unwrap();
    assert_eq!(error.failed_step(), Step::FindVolume, "{error}");
    assert!(place.volumes().remove("link").is_err());
    assert!(outside.join("tree/fs").exists());
    fs::remove_file(place.store.join("volumes/link")).unwrap();
    place.end();
}

#[test]
fn they_are_listed_measured_and_pruned() {
    let place = Place::new("list");
    assert_eq!(place.volumes().list().unwrap(), []);
    assert_eq!(place.volumes().size("none").unwrap_err().failed_step(), Step::FindVolume);
    let made = place.volumes().make("b").unwrap();
    assert_eq!(place.volumes().make("b").unwrap(), made);
    assert_eq!(fs::metadata(&made.path).unwrap().mode() & 0o7777, 0o755);
    let container = place.create("seed", &[volume("a", "/data"), volume("c", "/c")]);
    assert_eq!(
        sh(&container, "dd if=/dev/zero of=/c/large bs=1M count=3 2>/dev/null; ln /c/large /c/again; chmod 700 /c"),
        ""
    );
    if has_ids(&container, 65536) {
        assert_eq!(
            sh(
                &container,
                "mkdir -m 700 /c/closed; dd if=/dev/zero of=/c/closed/one bs=1M count=1 2>/dev/null; chown -R 7:7 /c"
            ),
            ""
        );
    }
    let names: Vec<_> = place.volumes().list().unwrap().into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let expected = if has_ids(&container, 65536) { 4 } else { 3 };
    let size = place.volumes().size("c").unwrap();
    assert!((expected << 20..(expected << 20) + 100_000).contains(&size), "{size}");
    assert_eq!(place.volumes().prune().unwrap(), ["b"]);
    container.destroy().unwrap();
    assert_eq!(place.volumes().prune().unwrap(), ["a", "c"]);
    place.end();
}

#[test]
fn set_user_id_has_no_effect_and_read_only_holds() {
    let place = Place::new("closed");
    let read_only = Volume::new("v", "/ro").with(|it| it.read_only = true).into();
    let container = place.create("seed", &[volume("v", "/data"), read_only]);
    let options = sh(&container, "grep -E ' /(data|ro) ' /proc/self/mountinfo | cut -d ' ' -f 5,6");
    for line in options.lines() {
        assert!(line.contains("nosuid") && line.contains("nodev"), "{options}");
        assert_eq!(line.contains("ro,"), line.starts_with("/ro"), "{options}");
    }
    assert_eq!(options.lines().count(), 2, "{options}");
    assert!(sh(&container, "touch /ro/x 2>&1; true").contains("Read-only"));
    assert_eq!(sh(&container, "echo x > /data/x; cat /ro/x"), "x");
    container.destroy().unwrap();
    place.end();
}

#[test]
fn the_host_s_own_programs_use_one_too() {
    let place = Place::new("host");
    let container = place.create("host", &[volume("v", "/v")]);
    assert_eq!(sh(&container, "echo host > /v/file; stat -c %u:%g /v/file"), "0:0");
    container.destroy().unwrap();
    let container = place.create("seed", &[volume("v", "/v")]);
    assert_eq!(sh(&container, "cat /v/file; stat -c %u:%g /v/file"), "host\n0:0");
    container.destroy().unwrap();
    place.end();
}

#[test]
fn an_explanation_makes_none() {
    let place = Place::new("explain");
    let text = ctr::explain("seed", &place.config(&[volume("told", "/data")])).unwrap();
    assert!(text.contains("volumes/told/tree/fs") && text.contains("outlive"), "{text}");
    assert_eq!(place.volumes().list().unwrap(), []);
    place.end();
}
