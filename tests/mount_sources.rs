//! What is mounted besides files of the host as they are: another container's directories, the files of an image, and files of the host
//! that belong to somebody else inside. When a container is made and while it runs.

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use common::leftovers::Scope;
use common::{busybox_tar, captured, kernel_is_at_least, run_with, scratch, sh, skipped};
use ctr::image::{ImageConfig, ImportOptions, Input, MakeOptions, Store};
use ctr::{Bind, Config, Container, ErrorCode, ImageTree, Mount, Namespace, Owner, Step};

fn from(name: &str, source: &str, target: &str, read_only: bool) -> Mount {
    let set = |it: &mut Bind| (it.from_container, it.read_only) = (Some(name.into()), read_only);
    Bind::new(source, target).with(set).into()
}

fn owned(source: &Path, target: &str, owner: Owner) -> Mount {
    Bind::new(source, target).with(|it| it.owner = owner).into()
}

fn host(config: &Config) -> Container {
    Container::create("host", config).unwrap()
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A store of the test's own with an image of two layers, called "two".
fn store(scope: &Scope) -> PathBuf {
    let place = scratch(&format!("store-{}", scope.prefix()));
    let store = Store::open(Some(&place)).unwrap();
    let options = ImportOptions::default().with(|o| o.name = Some("one".into()));
    store.import(Input::Path(busybox_tar()), &options, &mut |_| true).unwrap();
    let config = scope.config().with(|c| c.store_dir = Some(place.clone()));
    let container = Container::create("one", &config).unwrap();
    sh(&container, "mkdir /more && echo second > /more/layer && rm /bin/wc");
    let run = ImageConfig::default().with(|c| c.user = "ann".into());
    let options = MakeOptions::default().with(|o| (o.name, o.config) = (Some("two".into()), Some(run)));
    container.commit(&options, &mut |_| true).unwrap();
    container.destroy().unwrap();
    place
}

/// What holds for every user.
fn for_everybody() {
    another_containers_directory_is_seen_inside();
    nothing_but_a_running_containers_own_files_can_be_named();
    the_files_of_an_image_are_there_read_only();
    an_image_that_is_mounted_stays_while_the_container_runs();
    an_owner_of_its_own_is_had_or_refused_with_what_helps();
}

common::lane::users_can!(for_everybody);

#[test]
fn another_containers_directory_is_seen_inside() {
    let scope = Scope::new("from");
    let web = host(&scope.config());
    sh(
        &web,
        "mkdir /srv/data; echo of web > /srv/data/file; ln -s /srv/data /link; ln -s /etc /srv/etc; mkdir /srv/etcd",
    );
    let mounts =
        vec![from(web.name(), "/srv/data", "/mnt/made", true), from(web.name(), "/link/file", "/mnt/file", true)];
    let container = host(&scope.config().with(|c| (c.mounts, c.read_only) = (mounts, false)));
    assert_eq!(sh(&container, "cat /mnt/made/file /mnt/file"), "of web\nof web");
    let (_, exit) = run_with(&container, &["/bin/sh", "-c", "echo x > /mnt/made/new"], &captured());
    assert_ne!(exit.code, 0);
    container.mount(&from(web.name(), "/srv/etc", "/mnt/etc", true)).unwrap();
    assert_eq!(sh(&container, "cat /mnt/etc/hostname"), sh(&web, "cat /etc/hostname"));
    // What is seen there is what the other one does.
    sh(&web, "echo more > /srv/data/more");
    assert_eq!(sh(&container, "cat /mnt/made/more"), "more");
    match container.mount(&from(web.name(), "/srv/data", "/mnt/rw", false)) {
        Ok(()) => {
            sh(&container, "echo back > /mnt/rw/back");
            assert_eq!(sh(&web, "cat /srv/data/back; stat -c %u:%g /srv/data/back"), "back\n0:0");
        }
        // Another range of ids, on a kernel that maps no tmpfs.
        Err(error) => {
            assert!(is_root() && !kernel_is_at_least(6, 3), "{error}");
            assert_eq!(error.failed_step(), Step::IdMapBind, "{error}");
        }
    }
    let told = container.mounts().unwrap();
    let first = (told[0].kind, told[0].source.clone().unwrap(), told[0].live, told[0].read_only);
    assert_eq!(first, ("bind", PathBuf::from(format!("{}:/srv/data", web.name())), false, true));
    assert!(told[2].live);
    // Who shares the ids of the other one owns its files.
    let user = Namespace::Container(web.name().into());
    let mounts = vec![from(web.name(), "/srv/data", "/mnt/same", false)];
    let shares = host(&scope.config().with(|c| (c.namespaces.user, c.mounts) = (user, mounts)));
    assert_eq!(sh(&shares, "echo x > /mnt/same/x; stat -c %u:%g /mnt/same/file"), "0:0");
    shares.destroy().unwrap();
    // It is there as long as it is mounted.
    web.destroy().unwrap();
    assert_eq!(sh(&container, "cat /mnt/made/file"), "of web");
    container.unmount("/mnt/made", false).unwrap();
    assert_eq!(sh(&container, "ls /mnt/made"), "");
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn nothing_but_a_running_containers_own_files_can_be_named() {
    let scope = Scope::new("refused");
    let web = host(&scope.config());
    let container = host(&scope.config());
    let outside = scope.dir().join("outside");
    fs::write(&outside, "of the host").unwrap();
    sh(
        &web,
        &format!("ln -s {} /out; ln -s /proc/1/root /r; ln -s ../../../../etc /up; mkfifo /fifo", outside.display()),
    );
    for (source, step, errno) in [
        ("/out", Step::BindSource, libc::ENOENT),
        ("/missing", Step::BindSource, libc::ENOENT),
        ("/proc", Step::BindSource, libc::EINVAL),
        ("/proc/sys", Step::BindSource, libc::EINVAL),
        ("/sys/kernel", Step::BindSource, libc::EINVAL),
        ("relative", Step::BindSource, libc::EINVAL),
        ("/r/etc/passwd", Step::BindSource, libc::ENOENT),
    ] {
        let error = container.mount(&from(web.name(), source, "/mnt/x", true)).unwrap_err();
        let found = (error.failed_step(), error.errno());
        // In /proc of its own there is no process of the helper's.
        assert!(found == (step, errno) || (source.starts_with("/r") && found.0 == step), "{source}: {error}");
    }
    container.mount(&from(web.name(), "/up", "/mnt/up", true)).unwrap();
    assert_eq!(sh(&container, "cat /mnt/up/hostname"), sh(&web, "cat /etc/hostname"));
    // Of the root nothing comes along that is mounted there.
    container.mount(&from(web.name(), "/", "/mnt/root", true)).unwrap();
    assert_eq!(sh(&container, "ls /mnt/root/proc /mnt/root/dev"), "/mnt/root/dev:\n\n/mnt/root/proc:");
    let error = container.mount(&from("no-such-container", "/srv", "/mnt/x", true)).unwrap_err();
    assert_eq!((error.code(), error.failed_step()), (ErrorCode::NotFound, Step::FindContainer), "{error}");
    let mounts = vec![from("no-such-container", "/srv", "/mnt/x", true)];
    let error = Container::create("host", &scope.config().with(|c| c.mounts = mounts)).err().unwrap();
    assert_eq!(error.failed_step(), Step::FindContainer, "{error}");
    for container in [web, container] {
        container.destroy().unwrap();
    }
    scope.assert_nothing_left();
}

#[test]
fn the_files_of_an_image_are_there_read_only() {
    let scope = Scope::new("image");
    let store = store(&scope);
    let mounts = vec![ImageTree::new("two", "/mnt/two").into(), ctr::Tmpfs::new("/mnt/after").into()];
    let config = scope.config().with(|c| (c.mounts, c.store_dir, c.read_only) = (mounts, Some(store.clone()), true));
    let container = host(&config);
    assert_eq!(
        sh(&container, "cat /mnt/two/more/layer; test ! -e /mnt/two/bin/wc && stat -c %u:%g /mnt/two/bin"),
        "second\n0:0"
    );
    container.mount(&ImageTree::new("one", "/mnt/after/one").into()).unwrap();
    assert_eq!(
        sh(&container, "/mnt/after/one/bin/echo runs; test -e /mnt/after/one/bin/wc && test ! -e /mnt/after/one/more"),
        "runs"
    );
    for place in ["/mnt/two/x", "/mnt/two/bin/x", "/mnt/after/one/x"] {
        let (said, exit) = run_with(&container, &["/bin/sh", "-c", &format!("echo x 2>&1 > {place}")], &captured());
        assert!(exit.code != 0 && !Path::new(place).exists(), "{said}");
    }
    let told: Vec<_> = container.mounts().unwrap().into_iter().map(|it| (it.kind, it.source, it.read_only)).collect();
    assert_eq!(told[0], ("image", Some("two".into()), true));
    container.unmount("/mnt/two", false).unwrap();
    assert_eq!(sh(&container, "ls /mnt/two"), "");
    let error = container.mount(&ImageTree::new("three", "/mnt/two").into()).unwrap_err();
    assert_eq!((error.code(), error.failed_step()), (ErrorCode::NotFound, Step::FindImage), "{error}");
    let error = container.mount(&ImageTree::new("host", "/mnt/two").into()).unwrap_err();
    assert_eq!((error.code(), error.failed_step()), (ErrorCode::Invalid, Step::UseImage), "{error}");
    container.destroy().unwrap();
    scope.assert_nothing_left();
}

#[test]
fn an_image_that_is_mounted_stays_while_the_container_runs() {
    let scope = Scope::new("inuse");
    let place = store(&scope);
    let store = Store::open(Some(&place)).unwrap();
    let container = host(&scope.config().with(|c| c.store_dir = Some(place.clone())));
    let joined = scope.client().join(container.name()).unwrap();
    joined.mount(&ImageTree::new("two", "/mnt/two").into()).unwrap();
    drop(joined);
    assert_eq!(store.remove("two").unwrap_err().errno(), libc::EBUSY);
    assert_eq!(sh(&container, "cat /mnt/two/more/layer"), "second");
    container.destroy().unwrap();
    store.remove("two").unwrap();
    scope.assert_nothing_left();
}

#[test]
fn an_owner_of_its_own_is_had_or_refused_with_what_helps() {
    let scope = Scope::new("owner");
    let data = scratch(&format!("owned-{}", scope.prefix()));
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(data.join("file"), "of the host").unwrap();
    let container = host(&scope.config());
    if !is_root() {
        container.mount(&owned(&data, "/mnt/own", Owner::Ids(0, 0))).unwrap();
        container.mount(&owned(&data, "/mnt/in", Owner::Inside)).unwrap();
        assert_eq!(sh(&container, "cat /mnt/own/file /mnt/in/file"), "of the hostof the host");
        let error = container.mount(&owned(&data, "/mnt/33", Owner::Ids(33, 33))).unwrap_err();
        assert_eq!((error.code(), error.failed_step()), (ErrorCode::Unsupported, Step::IdMapBind), "{error}");
        assert!(error.hint().contains("run it with user 0"), "{error}");
        container.destroy().unwrap();
        return scope.assert_nothing_left();
    }
    for path in [&data, &data.join("file")] {
        chown(path, Some(1234), Some(2345)).unwrap();
    }
    let as_www = captured().with(|c| c.user = Some("33:34".into()));
    let script = "cat file && echo new > new && mkdir dir && stat -c %u:%g . file new dir";
    let config = scope.config().with(|c| c.mounts = vec![owned(&data, "/mnt/made", Owner::Ids(33, 34))]);
    let made = match Container::create("host", &config) {
        Err(error) if error.failed_step() == Step::IdMapBind && !kernel_is_at_least(6, 3) => {
            return skipped("a tmpfs can't be id-mapped before Linux 6.3: CTR_TEST_SCRATCH names another place");
        }
        made => made.unwrap(),
    };
    container.mount(&owned(&data, "/mnt/live", Owner::Ids(33, 34))).unwrap();
    for (container, place) in [(&made, "/mnt/made"), (&container, "/mnt/live")] {
        let (said, exit) = run_with(container, &["/bin/sh", "-c", &format!("cd {place} && {script}")], &as_www);
        assert_eq!((exit.code, said.as_str()), (0, "of the host33:34\n33:34\n33:34\n33:34\n"));
        let owner = |name: &str| fs::metadata(data.join(name)).map(|file| (file.uid(), file.gid())).unwrap();
        assert_eq!([owner("new"), owner("dir")], [(1234, 2345); 2]);
        // Nobody else has an id there: root can write what is there, and nothing comes out that is somebody else's.
        let (said, exit) = run_with(
            container,
            &["/bin/sh", "-c", &format!("cd {place}; {{ echo x > of-root; chown 0 new; }} 2>/dev/null; ls")],
            &captured(),
        );
        assert!(exit.code == 0 && !said.contains("of-root"), "{said}");
        sh(container, &format!("echo by root >> {place}/new && chmod 6755 {place}/new"));
        assert_eq!(owner("new"), (1234, 2345));
        fs::remove_file(data.join("new")).unwrap();
        fs::remove_dir(data.join("dir")).unwrap();
    }
    // What belongs to root changes places.
    let of_root = data.join("root");
    fs::create_dir(&of_root).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    container.mount(&owned(&of_root, "/mnt/root", Owner::Ids(33, 34))).unwrap();
    let (said, exit) =
        run_with(&container, &["/bin/sh", "-c", "cd /mnt/root && echo x > x && stat -c %u:%g . x"], &as_www);
    assert_eq!((exit.code, said.as_str()), (0, "33:34\n33:34\n"));
    sh(&container, "chmod 777 /mnt/root && echo y > /mnt/root/y");
    let owner = |name: &str| fs::metadata(of_root.join(name)).map(|file| (file.uid(), file.gid())).unwrap();
    assert_eq!([owner("x"), owner("y")], [(0, 0), (33, 34)]);
    let error = container.mount(&owned(&data, "/mnt/none", Owner::Ids(70000, 0))).unwrap_err();
    assert_eq!((error.code(), error.failed_step()), (ErrorCode::Invalid, Step::IdMapBind), "{error}");
    for container in [made, container] {
        container.destroy().unwrap();
    }
    // The user that the image names, by a name.
    let store = store(&scope);
    let config =
        scope.config().with(|c| (c.store_dir, c.mounts) = (Some(store), vec![owned(&data, "/data", Owner::Inside)]));
    let container = Container::create("two", &config).unwrap();
    let (said, exit) = run_with(
        &container,
        &["/bin/sh", "-c", "echo $(id -u) $(cat /data/file) > /data/me; cat /data/me"],
        &captured(),
    );
    assert_eq!((exit.code, said.trim()), (0, "1000 of the host"));
    assert_eq!(fs::metadata(data.join("me")).unwrap().uid(), 1234);
    container.destroy().unwrap();
    scope.assert_nothing_left();
}
