//! Through tools that are not ours, in both directions: the same tree comes out, entry by entry.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use ctr::Config;
use ctr::image::{
    Compression, ExportOptions, ImportOptions, Input, MakeOptions, Output, SaveFormat, SaveOptions, Store,
};
use serde_json::json;

use crate::support::*;

const EPOCH: i64 = 1_700_000_000;

/// Something of everything that survives in every tool, in two layers, of which the upper one removes.
pub fn everything() -> [Vec<u8>; 2] {
    let [null, su, link, fifo] = special_files();
    // All directories have entries: of others each tool makes what it likes.
    let mut lower = busybox().directory("./", 0o755);
    for name in ["proc", "sys", "dev", "tmp"] {
        lower = lower.directory(name, 0o755);
    }
    for depth in 1..=60 {
        lower = lower.pax(&[("path", vec!["d"; depth].join("/").as_bytes())]).directory("x", 0o755);
    }
    let lower = lower
        .raw(&su, b"su")
        .hard_link("another", "bin/su")
        .raw(&null, b"")
        .raw(&link, b"")
        .raw(&fifo, b"")
        .pax(&[("path", "n".repeat(255).as_bytes()), ("mtime", b"1699999999.123456789"), ("uid", b"40000")])
        .file("x", &[3; 1000])
        .pax(&[("SCHILY.xattr.user.note", b"a\nb"), ("SCHILY.xattr.security.capability", FILE_CAPABILITY)])
        .file("ping", b"1")
        .pax(&[("path", format!("{}/deep", ["d"; 60].join("/")).as_bytes())])
        .file("x", b"3")
        .directory("removed", 0o755)
        .file("removed/file", b"")
        .directory("emptied", 0o700)
        .file("emptied/old", b"")
        .file("replaced", b"old")
        .file("gone", b"");
    let upper = Tar::new()
        .directory("./", 0o755)
        .file(".wh.removed", b"")
        .file(".wh.gone", b"")
        .directory("emptied", 0o711)
        .file("emptied/.wh..wh..opq", b"")
        .file("emptied/new", b"new")
        .file("replaced", b"replaced");
    [lower.end(), upper.end()]
}

pub fn config() -> serde_json::Value {
    json!({"Env": ["A=1", "PATH=/bin"], "Cmd": ["/bin/sh"], "Entrypoint": ["/bin/echo"], "User": "ann",
           "WorkingDir": "/tmp", "StopSignal": "SIGQUIT", "Volumes": {"/v": {}}, "Labels": {"k": "v"}})
}

/// The tree as GNU tar unpacks what we export of a container of it.
pub fn our_tree(scratch: &Scratch, name: &str, image: &Path) -> Vec<String> {
    let c = container(scratch, image, Config::default());
    let archive = scratch.path(&format!("{name}.tar"));
    c.export(Output::Path(&archive), &ExportOptions::default(), &mut |_| true).unwrap();
    let place = scratch.path(name);
    std::fs::create_dir(&place).unwrap();
    run(
        "tar",
        &args(&["-xpf", path(&archive), "--xattrs", "--xattrs-include=*", "--numeric-owner", "-C", path(&place)]),
    );
    tree_lines(&place)
}

/// Everything below the root; its own times are the tool's. And what `Volumes` and mounts make is not the image's.
pub fn tree_lines(root: &Path) -> Vec<String> {
    let mut found: Vec<String> = lines(root).into_iter().filter(|line| !line.starts_with(' ')).collect();
    found.retain(|line| !line.starts_with("v "));
    let capability = getxattr(root.join("ping"), "security.capability").unwrap_or_default();
    found.push(format!("capability of ping {capability:?}"));
    found
}

pub fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn args<'a>(arguments: &[&'a str]) -> Vec<&'a OsStr> {
    arguments.iter().map(|argument| OsStr::new(*argument)).collect()
}

pub fn assert_same(what: &str, theirs: &[String], ours: &[String]) {
    let only = |some: &[String], others: &[String]| -> Vec<String> {
        some.iter().filter(|line| !others.contains(line)).cloned().collect()
    };
    assert_eq!((only(theirs, ours), only(ours, theirs)), (Vec::new(), Vec::new()), "{what}: only theirs, only ours");
}

pub fn import(store: &Store, path: &Path, name: &str) -> ctr::image::Image {
    let options = ImportOptions::default().with(|o| o.name = Some(name.into()));
    store.import(Input::Path(path), &options, &mut |_| true).unwrap()
}

/// What umoci unpacks of an OCI layout's image "x".
fn unpacked_by_umoci(scratch: &Scratch, name: &str, layout: &Path) -> PathBuf {
    let bundle = scratch.path(name);
    run("umoci", &args(&["unpack", "--image", &format!("{}:x", path(layout)), path(&bundle)]));
    bundle.join("rootfs")
}

#[test]
fn what_we_save_is_the_same_tree_in_umoci_by_way_of_skopeo_and_comes_back() {
    if lacks(&["skopeo", "umoci"]) {
        return;
    }
    let scratch = Scratch::new();
    let store = scratch.store();
    let image = scratch.write("a.tar", &docker_archive(&everything(), &config()));
    let first = import(&store, &image, "x");
    let ours = our_tree(&scratch, "ours", "x".as_ref());
    for format in [SaveFormat::Oci, SaveFormat::Docker] {
        for compression in [Compression::None, Compression::Gzip] {
            let name = format!("{format:?}-{compression:?}");
            let saved = scratch.path(&format!("{name}.tar"));
            let options = SaveOptions::default().with(|o| {
                o.format = format;
                o.compression = compression;
                o.epoch = Some(EPOCH);
            });
            store.save("x", Output::Path(&saved), &options, &mut |_| true).unwrap();
            let transports: &[&str] = match format {
                SaveFormat::Oci => &["oci-archive", "docker-archive"],
                _ => &["docker-archive"],
            };
            for transport in transports {
                let name = format!("{name}-{transport}");
                let layout = scratch.path(&format!("{name}-oci"));
                let (from, to) = (format!("{transport}:{}", path(&saved)), format!("oci:{}:x", path(&layout)));
                run("skopeo", &args(&["--insecure-policy", "copy", &from, &to]));
                let theirs = unpacked_by_umoci(&scratch, &format!("{name}-bundle"), &layout);
                assert_same(&name, &tree_lines(&theirs), &ours);
                // And back, as a directory and as an archive of either kind.
                let back = [("oci-archive", "x"), ("docker-archive", "x:latest")].map(|(transport, tag)| {
                    let back = scratch.path(&format!("{name}-back-{transport}"));
                    let to = format!("{transport}:{}:{tag}", path(&back));
                    run("skopeo", &args(&["--insecure-policy", "copy", &format!("oci:{}:x", path(&layout)), &to]));
                    back
                });
                let other = Store::open(Some(&scratch.path(&format!("{name}-store")))).unwrap();
                for place in [layout].iter().chain(&back) {
                    let again = import(&other, place, "again");
                    assert_eq!(again.config, first.config, "{}", place.display());
                    assert_eq!(again.layers.len(), 2);
                }
            }
        }
    }
}

#[test]
fn what_umoci_repacks_is_the_same_here() {
    if lacks(&["skopeo", "umoci"]) {
        return;
    }
    let scratch = Scratch::new();
    let store = scratch.store();
    let image = scratch.write("a.tar", &docker_archive(&everything(), &config()));
    import(&store, &image, "x");
    let saved = scratch.path("saved.tar");
    store.save("x", Output::Path(&saved), &SaveOptions::default(), &mut |_| true).unwrap();
    let layout = scratch.path("oci");
    let to = format!("oci:{}:x", path(&layout));
    run("skopeo", &args(&["--insecure-policy", "copy", &format!("oci-archive:{}", path(&saved)), &to]));
    let root = unpacked_by_umoci(&scratch, "bundle", &layout);
    std::fs::write(root.join("added"), "added").unwrap();
    std::fs::remove_file(root.join("replaced")).unwrap();
    std::fs::remove_dir_all(root.join("emptied")).unwrap();
    std::fs::create_dir(root.join("emptied")).unwrap();
    std::fs::hard_link(root.join("added"), root.join("added-too")).unwrap();
    // Layers of umoci have whole seconds.
    for name in ["added", "emptied"] {
        run("touch", &args(&["-d", "@1699999998", path(&root.join(name))]));
    }
    run("umoci", &args(&["repack", "--image", &format!("{}:x", path(&layout)), path(&scratch.path("bundle"))]));
    let theirs = tree_lines(&root);
    import(&store, &layout, "repacked");
    let ours = our_tree(&scratch, "ours", "repacked".as_ref());
    assert_same("repacked", &theirs, &ours);
}

#[test]
fn an_export_is_the_same_tree_in_gnu_tar_and_bsdtar_and_both_pack_it_for_us_again() {
    if lacks(&["bsdtar"]) {
        return;
    }
    let scratch = Scratch::new();
    let image = scratch.write("a.tar", &docker_archive(&everything(), &json!({})));
    let ours = our_tree(&scratch, "ours", &image);
    let archive = scratch.path("ours.tar");
    let place = scratch.path("bsdtar");
    std::fs::create_dir(&place).unwrap();
    run("bsdtar", &args(&["-xpf", path(&archive), "--xattrs", "--numeric-owner", "-C", path(&place)]));
    assert_same("bsdtar", &tree_lines(&place), &ours);
    let gnu = scratch.path("gnu.tar.gz");
    run(
        "tar",
        &args(&["-czf", path(&gnu), "--format=posix", "--xattrs", "--xattrs-include=*", "-C", path(&place), "."]),
    );
    let bsd = scratch.path("bsd.tar.zst");
    run("bsdtar", &args(&["-cf", path(&bsd), "--zstd", "--xattrs", "--format=pax", "-C", path(&place), "."]));
    for (name, packed) in [("gnu", &gnu), ("bsd", &bsd)] {
        assert_same(name, &our_tree(&scratch, &format!("{name}-tree"), packed), &ours);
    }
}

#[test]
fn podman_loads_what_we_save_and_we_import_what_podman_saves() {
    if lacks(&["podman"]) {
        return;
    }
    let scratch = Scratch::new();
    let store = scratch.store();
    let image = scratch.write("a.tar", &docker_archive(&everything(), &config()));
    let first = import(&store, &image, "localhost/x:1");
    let c = container(&scratch, "localhost/x:1".as_ref(), Config::default());
    let user = captured().with(|c| c.user = Some("root".into()));
    said(&c.exec(["/bin/sh", "-ec", "echo committed >/committed; rm /replaced; rm -r /emptied"], &user).unwrap());
    let options = MakeOptions::default().with(|o| o.name = Some("localhost/x:2".into()));
    c.commit(&options, &mut |_| true).unwrap();
    drop(c);
    let ours = our_tree(&scratch, "ours", "localhost/x:2".as_ref());
    let (root, run_root) = (scratch.path("podman"), scratch.path("podman-run"));
    let podman = |arguments: &[&str]| -> String {
        let own =
            ["--root", path(&root), "--runroot", path(&run_root), "--storage-driver", "vfs", "--log-level", "error"];
        let output = Command::new("podman").args(own).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    for (format, compression) in [(SaveFormat::Oci, Compression::Gzip), (SaveFormat::Docker, Compression::None)] {
        let saved = scratch.path(&format!("{format:?}.tar"));
        let options = SaveOptions::default().with(|o| {
            o.format = format;
            o.compression = compression;
        });
        store.save("localhost/x:2", Output::Path(&saved), &options, &mut |_| true).unwrap();
        podman(&["load", "-q", "-i", path(&saved)]);
        let mounted = PathBuf::from(podman(&["image", "mount", "localhost/x:2"]));
        assert_same("podman", &tree_lines(&mounted), &ours);
        podman(&["image", "umount", "localhost/x:2"]);
        for form in ["oci-archive", "docker-archive"] {
            let back = scratch.path(&format!("{format:?}-{form}.tar"));
            podman(&["save", "-q", "--format", form, "-o", path(&back), "localhost/x:2"]);
            let again = import(&Store::open(Some(&scratch.path("other"))).unwrap(), &back, "again");
            assert_eq!(again.config, first.config);
        }
        podman(&["rmi", "-f", "localhost/x:2"]);
    }
}
