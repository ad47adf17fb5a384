//! Trees and images out again, and imports that are asked for by name.

use std::ffi::OsStr;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use ctr::ErrorCode;
use ctr::image::{Compression, Export, ImportOptions, Input, Output, SaveFormat, SaveOptions, Source, Store};

use crate::support::*;

pub fn export(tree: &Path) -> Vec<u8> {
    let root = OwnedFd::from(std::fs::File::open(tree).unwrap());
    let mut out = Vec::new();
    let kept = std::fs::File::open(tree.with_file_name("kept")).ok();
    let options = Export::default().with(|e| e.kept = kept.into_iter().collect());
    let length = options.to(root, "the tree", &mut out).unwrap();
    assert_eq!(length, out.len() as u64);
    out
}

/// Something of everything that a tree can hold.
fn everything() -> Tar {
    let [null, su, link, fifo] = special_files();
    Tar::new()
        .directory("./", 0o755)
        .directory("bin", 0o2711)
        .raw(&su, b"su")
        .hard_link("another", "bin/su")
        .directory("dev", 0o755)
        .raw(&null, b"")
        .raw(&link, b"")
        .raw(&fifo, b"")
        .pax(&[("path", "n".repeat(255).as_bytes()), ("mtime", b"-1.5"), ("uid", b"3000000000")])
        .file("x", &[3; 1000])
        .pax(&[("SCHILY.xattr.user.note", b"a\nb"), ("SCHILY.xattr.security.capability", FILE_CAPABILITY)])
        .file("ping", b"1")
        .pax(&[("SCHILY.acl.access", b"user::rw-,user:7:r--,group::r--,mask::r--,other::r--")])
        .file("listed", b"2")
        .pax(&[("path", format!("{}/deep", vec!["d"; 300].join("/")).as_bytes())])
        .file("x", b"3")
}

#[test]
fn a_tree_survives_the_circle_through_us_and_through_gnu_tar() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let first = resolve(&store, &scratch.write("a.tar", &everything().end()));
    let packed = export(&first);
    assert_eq!(packed, export(&first), "the same tree gives the same bytes");
    let second = resolve(&store, &scratch.write("b.tar", &packed));
    assert_ne!(first, second);
    assert_eq!(lines(&second), lines(&first));
    assert_eq!(export(&second), packed);

    let theirs = scratch.path("theirs");
    std::fs::create_dir(&theirs).unwrap();
    let archive = scratch.path("b.tar");
    let options = ["--xattrs", "--xattrs-include=*", "--acls", "-p", "--numeric-owner", "-xf"];
    let mut arguments: Vec<&OsStr> = options.iter().map(OsStr::new).collect();
    arguments.extend([archive.as_os_str(), "-C".as_ref(), theirs.as_os_str()]);
    run("tar", &arguments);
    let device = lines(&theirs).into_iter().find(|line| line.starts_with("dev/null")).unwrap();
    assert!(device.starts_with("dev/null 20666 0:0"), "{device}");
    let without_device =
        |tree: &Path| -> Vec<String> { lines(tree).into_iter().filter(|line| !line.starts_with("dev/null")).collect() };
    assert_eq!(without_device(&theirs), without_device(&first));
}

/// Run by the test below as an ordinary user.
#[test]
#[ignore = "only with CTR_TEST_TARBALL"]
fn export_as_somebody() {
    let Some(path) = std::env::var_os("CTR_TEST_TARBALL") else { return };
    let place = PathBuf::from(std::env::var_os("CTR_TEST_STORE").unwrap());
    let tree = resolve(&Store::open(Some(&place)).unwrap(), path.as_ref());
    std::fs::write(place.with_extension("tar"), export(&tree)).unwrap();
}

#[test]
fn owners_that_an_ordinary_user_could_not_give_come_back() {
    let scratch = Scratch::new();
    let path = scratch.write("a.tar", &everything().end());
    let expected = export(&resolve(&scratch.store(), &path));
    let home = scratch.path("home");
    std::fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(65534), Some(65534)).unwrap();
    as_nobody("export::export_as_somebody", &path, &home.join("store"));
    let found = std::fs::read(home.join("store.tar")).unwrap();
    let list = |bytes: &[u8]| -> Vec<String> {
        let mut archive = tar::Archive::new(bytes);
        let entries = archive.entries().unwrap().map(Result::unwrap);
        entries.map(|entry| format!("{:?} {:?}", entry.path().unwrap(), entry.header())).collect()
    };
    for (found, expected) in list(&found).iter().zip(list(&expected)) {
        assert_eq!(*found, expected);
    }
    assert!(found == expected);
}

#[test]
fn a_sparse_file_stays_sparse_in_the_archive() {
    let scratch = Scratch::new();
    let tree = scratch.path("tree/fs");
    std::fs::create_dir_all(&tree).unwrap();
    let file = std::fs::File::create(tree.join("disk")).unwrap();
    file.set_len(10 << 30).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"middle", 5 << 30).unwrap();
    let packed = export(&tree);
    assert!(packed.len() < 1 << 20, "{}", packed.len());
    let again = resolve(&scratch.store(), &scratch.write("a.tar", &packed));
    let meta = std::fs::metadata(again.join("disk")).unwrap();
    assert_eq!(meta.len(), 10 << 30);
    let mut middle = [0; 6];
    let file = std::fs::File::open(again.join("disk")).unwrap();
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut middle, 5 << 30).unwrap();
    assert_eq!(&middle, b"middle");
    let theirs = scratch.path("theirs");
    std::fs::create_dir(&theirs).unwrap();
    run("tar", &["-xf".as_ref(), scratch.path("a.tar").as_os_str(), "-C".as_ref(), theirs.as_os_str()]);
    assert_eq!(std::fs::metadata(theirs.join("disk")).unwrap().len(), 10 << 30);
}

#[test]
fn a_saved_image_is_the_same_in_other_tools_and_here() {
    if lacks(&["skopeo", "umoci"]) {
        return;
    }
    let scratch = Scratch::new();
    let store = scratch.store();
    let lower = Tar::new().directory("d", 0o755).file("d/gone", b"1").file("d/stays", b"2").file("e/old", b"3").end();
    let upper = Tar::new().file("d/.wh.gone", b"").file("e/.wh..wh..opq", b"").file("e/new", b"4").end();
    // An image of ours first: two layers by way of docker's old form.
    let digest = |bytes: &[u8]| {
        use sha2::Digest;
        sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let config = serde_json::json!({"os": "linux", "config": {"Env": ["A=1"], "Cmd": ["/d/stays"], "Volumes": {"/v": {}}},
        "rootfs": {"diff_ids": [format!("sha256:{}", digest(&lower)), format!("sha256:{}", digest(&upper))]}});
    let manifest = serde_json::json!([{"Config": "c", "Layers": ["l", "u"]}]).to_string();
    let tar = Tar::new().file("l", &lower).file("u", &upper).file("c", config.to_string().as_bytes());
    let path = scratch.write("docker.tar", &tar.file("manifest.json", manifest.as_bytes()).end());
    let options = ImportOptions::default().with(|o| o.name = Some("me/image:1".into()));
    let image = store.import(Input::Path(&path), &options, &mut |_| true).unwrap();
    assert_eq!(image.names, ["me/image:1"]);

    let mut digests = Vec::new();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let options = SaveOptions::default().with(|o| {
            o.compression = compression;
            o.epoch = Some(1_600_000_000);
        });
        let save = || {
            let mut bytes = Vec::new();
            store.save("me/image:1", Output::Writer(Box::new(&mut bytes)), &options, &mut |_| true).unwrap();
            bytes
        };
        let saved = save();
        assert!(saved == save(), "the same image gives the same bytes");
        let path = scratch.write("saved.tar", &saved);
        // Another store, so that nothing is known.
        let other = Store::open(Some(&scratch.path(&format!("other-{compression:?}")))).unwrap();
        let again = other.import(Input::Path(&path), &ImportOptions::default(), &mut |_| true).unwrap();
        assert_eq!(again.config.env, image.config.env);
        assert_eq!(again.config.volumes, ["/v"]);
        assert_eq!(again.layers.len(), 2);
        let of = |layer: &Path, epoch: i64| -> Vec<String> {
            lines(layer)
                .into_iter()
                .map(|line| {
                    line.replace("1700000000", &epoch.to_string()).split(' ').take(3).collect::<Vec<_>>().join(" ")
                })
                .collect()
        };
        for (ours, theirs) in image.layers.iter().zip(&again.layers) {
            assert_eq!(of(theirs, 0), of(ours, 0));
        }
        digests.push(again.digest);
        for source in ["oci-archive", "docker-archive"] {
            // skopeo reads zstd layers of docker archives as well, and checks every digest on the way.
            let to = scratch.path(&format!("{source}-{compression:?}"));
            run(
                "skopeo",
                &[
                    "--insecure-policy".as_ref(),
                    "copy".as_ref(),
                    format!("{source}:{}", path.display()).as_ref(),
                    format!("oci:{}:x", to.display()).as_ref(),
                ],
            );
            // Debian's umoci does not know zstd.
            if compression == Compression::Zstd {
                continue;
            }
            let bundle = scratch.path(&format!("bundle-{source}-{compression:?}"));
            run(
                "umoci",
                &["unpack".as_ref(), "--image".as_ref(), format!("{}:x", to.display()).as_ref(), bundle.as_os_str()],
            );
            let root = bundle.join("rootfs");
            assert_eq!((names(&root.join("d")), names(&root.join("e"))), (vec!["stays".into()], vec!["new".into()]));
        }
    }
    // What the image is does not depend on how its layers are compressed.
    assert!(digests.iter().all(|digest| *digest == digests[0]));
}

#[test]
fn an_archive_comes_from_a_pipe_a_descriptor_or_a_reader() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let packed = gzip(&Tar::new().file("wrap/a", b"1").hard_link("wrap/b", "wrap/a").directory("wrap", 0o700).end());
    let path = scratch.write("a.tar.gz", &packed);
    let plain = ImportOptions::default();
    let first = store.import(Input::Path(&path), &plain, &mut |_| true).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    assert_eq!(store.import(Input::Fd(file.as_fd()), &plain, &mut |_| true).unwrap().digest, first.digest);
    let (reader, mut writer) = std::io::pipe().unwrap();
    let again = std::thread::scope(|scope| {
        let copy = packed.clone();
        scope.spawn(move || writer.write_all(&copy).unwrap());
        store.import(Input::Fd(reader.as_fd()), &plain, &mut |_| true).unwrap()
    });
    assert_eq!(again.digest, first.digest);
    let again = store.import(Input::Reader(Box::new(packed.as_slice())), &plain, &mut |_| true).unwrap();
    assert_eq!(again, first);
    // Without the directory around it, it is another image.
    let options = ImportOptions::default().with(|o| {
        o.strip = 1;
        o.name = Some("stripped".into());
    });
    for _ in 0..2 {
        let stripped = store.import(Input::Path(&path), &options, &mut |_| true).unwrap();
        assert_ne!(stripped.digest, first.digest);
        assert_eq!(names(&stripped.layers[0]), ["a", "b"]);
    }
    let Source::Layers { layers, .. } = store.resolve("stripped".as_ref()).unwrap() else { panic!() };
    assert_eq!(names(&layers[0]), ["a", "b"]);
}

#[test]
fn progress_is_told_and_an_import_can_be_stopped_at_any_time() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let mut tar = Tar::new();
    for file in 0..100 {
        tar = tar.file(&format!("{file}"), &vec![file; 100_000]);
    }
    let path = scratch.write("a.tar", &tar.end());
    let mut last = None;
    store
        .import(Input::Path(&path), &ImportOptions::default(), &mut |progress| {
            last = Some(progress);
            true
        })
        .unwrap();
    let last = last.unwrap();
    assert_eq!((last.bytes, last.total, last.entries), (last.total, std::fs::metadata(&path).unwrap().len(), 100));

    // A reader that never ends: only the callback ends it.
    struct Endless(Vec<u8>);
    impl std::io::Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            std::thread::sleep(std::time::Duration::from_millis(1));
            if self.0.is_empty() {
                self.0 = Tar::new().raw(&header(b"x", b'0', 0), b"").0;
            }
            let length = self.0.len().min(buffer.len());
            buffer[..length].copy_from_slice(&self.0[..length]);
            self.0.drain(..length);
            Ok(length)
        }
    }
    let other = Store::open(Some(&scratch.path("store-2"))).unwrap();
    let mut asked = 0;
    let answer = other.import(Input::Reader(Box::new(Endless(Vec::new()))), &ImportOptions::default(), &mut |_| {
        asked += 1;
        asked < 3
    });
    assert_eq!(answer.unwrap_err().code(), ErrorCode::Interrupted);
    for directory in ["tmp", "layers", "images"] {
        assert_eq!(names(&scratch.path("store-2").join(directory)), [""; 0]);
    }
}

#[test]
fn dockers_older_form_has_no_index_and_comes_back_the_same() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let path = scratch.write("a.tar", &Tar::new().directory("d", 0o755).file("d/a", b"1").end());
    let image = store.import(Input::Path(&path), &ImportOptions::default(), &mut |_| true).unwrap();
    let saved = scratch.path("saved.tar");
    let options = SaveOptions::default().with(|o| {
        o.format = SaveFormat::Docker;
        o.name = Some("box".into());
    });
    store.save(&image.digest, Output::Path(&saved), &options, &mut |_| true).unwrap();
    let mut archive = tar::Archive::new(std::fs::File::open(&saved).unwrap());
    let mut inside = Vec::new();
    for entry in archive.entries().unwrap() {
        inside.push(entry.unwrap().path().unwrap().display().to_string());
    }
    assert!(inside.iter().any(|name| name == "manifest.json"), "{inside:?}");
    assert!(inside.iter().any(|name| name.ends_with("/layer.tar")), "{inside:?}");
    assert!(!inside.iter().any(|name| name == "index.json" || name == "oci-layout"), "{inside:?}");
    let other = Store::open(Some(&scratch.path("other"))).unwrap();
    let options = ImportOptions::default().with(|o| o.reference = Some("box:latest".into()));
    let again = other.import(Input::Path(&saved), &options, &mut |_| true).unwrap();
    assert_eq!(lines(&again.layers[0]), lines(&image.layers[0]));
}
