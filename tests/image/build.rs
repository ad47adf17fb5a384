//! Images of files of the host, without a Dockerfile.

use std::ffi::OsStr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use ctr::image::{BuildOptions, Image, ImageConfig, ImportOptions, Input, MakeOptions, Output, SaveOptions, Store};
use ctr::{Config, ErrorCode};

use crate::support::*;

const EPOCH: i64 = 1_600_000_000;

fn options(name: &str, config: Option<ImageConfig>) -> BuildOptions {
    let image = MakeOptions::default().with(|o| {
        o.name = Some(name.into());
        o.config = config;
        o.epoch = Some(EPOCH);
    });
    BuildOptions::default().with(|o| {
        o.image = image;
        o.keep_owners = false;
    })
}

fn build(store: &Store, base: Option<&str>, files: &[(PathBuf, &str)], options: &BuildOptions) -> Image {
    let files: Vec<_> = files.iter().map(|(from, to)| (from.clone(), PathBuf::from(to))).collect();
    store.build(base.map(OsStr::new), &files, options, &mut |_| true).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal_of(store: &Store, base: Option<&str>, files: &[(PathBuf, &str)]) -> ctr::Error {
    let files: Vec<_> = files.iter().map(|(from, to)| (from.clone(), PathBuf::from(to))).collect();
    let error = store.build(base.map(OsStr::new), &files, &BuildOptions::default(), &mut |_| true).unwrap_err();
    assert!(store.list().unwrap().iter().all(|image| !image.names.is_empty()), "something was left");
    error
}

/// A small program in a directory, as somebody's.
fn application(scratch: &Scratch, name: &str) -> PathBuf {
    let place = scratch.path(name);
    std::fs::create_dir_all(place.join("share/data")).unwrap();
    std::fs::write(place.join("run"), "#!/bin/sh\ncat /app/share/data/text\n").unwrap();
    std::fs::set_permissions(place.join("run"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(place.join("share/data/text"), "hello\n").unwrap();
    symlink("share/data/text", place.join("link")).unwrap();
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o700)).unwrap();
    for path in [place.join("run"), place.clone()] {
        std::os::unix::fs::chown(path, Some(1234), Some(56)).unwrap();
    }
    place
}

fn base(store: &Store, scratch: &Scratch) {
    let tar = Tar::new()
        .directory("usr", 0o755)
        .directory("usr/bin", 0o755)
        .symlink("bin", "usr/bin")
        .directory("tmp", 0o1777)
        .directory("srv", 0o711)
        .file("a-file", b"");
    let busybox = busybox().0;
    // The same programs, but in /usr/bin.
    let path = scratch.write("busybox.tar", &Tar(busybox).end());
    let plain = store.import(Input::Path(&path), &ImportOptions::default(), &mut |_| true).unwrap();
    let programs = plain.layers[0].join("bin");
    let path = scratch.write("base.tar", &tar.end());
    let options = ImportOptions::default().with(|o| o.name = Some("skeleton".into()));
    store.import(Input::Path(&path), &options, &mut |_| true).unwrap();
    build(store, Some("skeleton"), &[(programs, "/bin")], &self::options("base", None));
}

#[test]
fn a_directory_becomes_an_image_that_runs() {
    let scratch = Scratch::new();
    let store = scratch.store();
    base(&store, &scratch);
    let app = application(&scratch, "app");
    let mut config = ImageConfig::default();
    config.entrypoint = vec!["/app/run".into()];
    config.env = vec!["LEVEL=1".into()];
    let image = build(&store, Some("base"), &[(app, "/app")], &options("app:1", Some(config)));
    assert_eq!((image.names.as_slice(), image.layers.len()), (&["app:1".to_owned()][..], 3));
    let c = container(&scratch, "app:1".as_ref(), Config::default());
    let nothing: [&str; 0] = [];
    assert_eq!(said(&c.exec(nothing, &captured()).unwrap()), "hello");
    assert_eq!(
        sh(&c, "stat -c %u:%g:%a /app /app/run; readlink /app/link; echo $LEVEL"),
        "0:0:700\n0:0:755\nshare/data/text\n1"
    );
    assert_eq!(c.diff().unwrap().len(), 0);
}

#[test]
fn the_same_files_are_the_same_image_wherever_they_lie() {
    let scratch = Scratch::new();
    let files = [(application(&scratch, "one"), "/app"), (application(&scratch, "two"), "/app")];
    let mut images = Vec::new();
    for (number, files) in files.iter().enumerate() {
        let store = Store::open(Some(&scratch.path(&format!("store-{number}")))).unwrap();
        let image = build(&store, None, std::slice::from_ref(files), &options("x", None));
        let path = scratch.path(&format!("saved-{number}.tar"));
        let epoch = SaveOptions::default().with(|o| o.epoch = Some(EPOCH));
        store.save("x", Output::Path(&path), &epoch, &mut |_| true).unwrap();
        let saved = std::fs::read(&path).unwrap();
        // Other tools know it by the same digest.
        let other = Store::open(Some(&scratch.path(&format!("other-{number}")))).unwrap();
        let again = other.import(Input::Path(&path), &ImportOptions::default(), &mut |_| true).unwrap();
        assert_eq!(again.digest, image.digest);
        images.push((image.digest, saved));
    }
    assert!(images[0] == images[1]);
    // The root is everyone's, whatever the directory was.
    let store = Store::open(Some(&scratch.path("store-2"))).unwrap();
    let image = build(&store, None, &[(application(&scratch, "three"), "/")], &options("x", None));
    let root = std::fs::metadata(&image.layers[0]).unwrap().permissions().mode();
    assert_eq!(root & 0o7777, 0o755);
}

#[test]
fn links_and_directories_of_the_base_stay_what_they_are() {
    let scratch = Scratch::new();
    let store = scratch.store();
    base(&store, &scratch);
    std::fs::create_dir_all(scratch.path("tree/bin")).unwrap();
    std::fs::create_dir_all(scratch.path("tree/tmp")).unwrap();
    std::fs::write(scratch.path("tree/bin/tool"), "#!/bin/sh\necho tool\n").unwrap();
    std::fs::set_permissions(scratch.path("tree/bin/tool"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(scratch.path("tree/tmp/x"), "").unwrap();
    std::fs::write(scratch.path("single"), "one file").unwrap();
    let single = scratch.path("single");
    let files = [
        (scratch.path("tree"), "/"),
        (single.clone(), "/srv"),
        (single.clone(), "/srv/renamed"),
        (single.clone(), "/new/place/"),
        (single.clone(), "/bin/in-bin"),
        (scratch.path("tree/tmp"), "/opt/tree"),
        (single.clone(), "/opt/tree"),
    ];
    build(&store, Some("base"), &files, &options("x", None));
    let c = container(&scratch, "x".as_ref(), Config::default());
    assert_eq!(sh(&c, "tool; readlink /bin; stat -c %a /tmp /srv /usr/bin"), "tool\nusr/bin\n1777\n711\n755");
    assert_eq!(
        sh(&c, "cat /srv/single /srv/renamed /new/place/single /usr/bin/in-bin /opt/tree/single"),
        "one file".repeat(5)
    );
    assert_eq!(sh(&c, "ls -A /usr/bin/in-bin /usr/bin/sh | wc -l"), "2");
}

#[test]
fn owners_are_kept_where_that_is_asked_for() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let app = application(&scratch, "app");
    let keeping = options("kept", None).with(|o| o.keep_owners = true);
    let image = build(&store, None, &[(app, "/app")], &keeping);
    let lines = lines(&image.layers[0]);
    assert!(lines.iter().any(|line| line.starts_with("app/run 100755 1234:56 1600000000.000000000")), "{lines:#?}");
}

#[test]
fn what_can_not_be_built_says_why() {
    let scratch = Scratch::new();
    let store = scratch.store();
    base(&store, &scratch);
    // Nothing without a name is to be left by what fails.
    store.prune().unwrap();
    let app = application(&scratch, "app");
    let error = refusal_of(&store, None, &[]);
    assert!(error.to_string().contains("nothing in it"), "{error}");
    let error = refusal_of(&store, Some("base"), &[(scratch.path("missing"), "/x")]);
    assert_eq!(error.errno(), libc::ENOENT);
    assert!(error.to_string().contains("missing"), "{error}");
    for target in ["relative", "/../x", ""] {
        let error = refusal_of(&store, Some("base"), &[(app.clone(), target)]);
        assert_eq!(error.code(), ErrorCode::Invalid, "{error}");
    }
    let error = refusal_of(&store, Some("base"), &[(app.clone(), "/a-file/below")]);
    assert!(error.to_string().contains("needs a directory"), "{error}");
    assert_eq!(refusal_of(&store, Some("nobody"), &[(app.clone(), "/x")]).code(), ErrorCode::NotFound);
    assert_eq!(refusal_of(&store, Some("host"), &[(app.clone(), "/x")]).code(), ErrorCode::Invalid);
    std::fs::write(app.join(".wh.passwd"), "").unwrap();
    let error = refusal_of(&store, Some("base"), &[(app.clone(), "/etc")]);
    assert!(error.to_string().contains(".wh."), "{error}");
}
