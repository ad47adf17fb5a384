//! Archives as other programs write them, each made here byte by byte, and what of them is right by those who read them.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use ctr::image::{ImportOptions, Input, Limits, Output, Progress, SaveOptions, Store};
use ctr::{Config, Container};
use serde_json::{Value, json};

use crate::support::*;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// An archive of images, as docker 25 and later save them: an OCI layout, and docker's own list.
struct Saved {
    tar: Tar,
    index: Vec<Value>,
    list: Vec<Value>,
}

impl Saved {
    fn new() -> Self {
        Self { tar: Tar::new(), index: Vec::new(), list: Vec::new() }
    }

    fn blob(&mut self, bytes: &[u8]) -> String {
        let digest = sha256(bytes);
        let name = format!("blobs/sha256/{digest}");
        self.tar = std::mem::take(&mut self.tar).file(&name, bytes);
        digest
    }

    /// An image of one layer with this file, by its id.
    fn image(&mut self, file: &str, name: Option<&str>, config: &Value) -> String {
        let layer = Tar::new().file(file, b"").end();
        let diff_id = self.blob(&layer);
        let rootfs = json!({"type": "layers", "diff_ids": [format!("sha256:{diff_id}")]});
        let mut whole = json!({"os": "linux", "rootfs": rootfs});
        whole.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
        let config = whole.to_string();
        let id = self.blob(config.as_bytes());
        let describe = |digest: &str, size: usize| json!({"digest": format!("sha256:{digest}"), "size": size});
        let layers = [describe(&diff_id, layer.len())];
        let manifest = json!({"schemaVersion": 2, "config": describe(&id, config.len()), "layers": layers});
        let manifest = manifest.to_string();
        let digest = self.blob(manifest.as_bytes());
        if let Some(name) = name {
            let mut listed = describe(&digest, manifest.len());
            listed["mediaType"] = MANIFEST.into();
            listed["annotations"] = json!({"io.containerd.image.name": name});
            self.index.push(listed);
        }
        self.list.push(json!({"Config": format!("blobs/sha256/{id}"), "RepoTags": name.map(|name| [name]),
                              "Layers": [format!("blobs/sha256/{diff_id}")]}));
        id
    }

    fn end(self, nothing: &Value) -> Vec<u8> {
        let manifests = if self.index.is_empty() { nothing.clone() } else { self.index.into() };
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        self.tar
            .file("index.json", index.to_string().as_bytes())
            .file("manifest.json", Value::from(self.list).to_string().as_bytes())
            .file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)
            .end()
    }
}

fn import_of(scratch: &Scratch, bytes: &[u8], reference: Option<&str>) -> ctr::Result<ctr::image::Image> {
    let path = scratch.write("archive.tar", bytes);
    let options = ImportOptions::default().with(|o| o.reference = reference.map(Into::into));
    scratch.store().import(Input::Path(&path), &options, &mut |_| true)
}

#[test]
fn a_prefix_belongs_to_the_name_whatever_the_version_of_ustar_is() {
    for version in [b"00", b" \0", b"\0\0", b" 0"] {
        let scratch = Scratch::new();
        let mut header = header(b"x", b'0', 1);
        header.as_mut_bytes()[263..265].copy_from_slice(version);
        header.as_mut_bytes()[345..352].copy_from_slice(b"usr/lib");
        let root = resolve(&scratch.store(), &scratch.write("a.tar", &Tar::new().raw(&header, b"1").end()));
        assert_eq!(std::fs::read(root.join("usr/lib/x")).unwrap(), b"1", "{version:?}");
    }
}

#[test]
fn an_image_that_docker_saved_without_a_name_is_found_in_dockers_list() {
    for nothing in [Value::Null, json!([])] {
        let scratch = Scratch::new();
        let mut saved = Saved::new();
        let id = saved.image("a", None, &json!({}));
        assert_eq!(import_of(&scratch, &saved.end(&nothing), None).unwrap().digest, format!("sha256:{id}"));
    }
    // Beside one with a name it can be chosen by its id, and is not passed over without a word.
    let scratch = Scratch::new();
    let mut saved = Saved::new();
    let named = saved.image("a", Some("docker.io/library/a:1"), &json!({}));
    let id = saved.image("b", None, &json!({}));
    let bytes = saved.end(&Value::Null);
    for (reference, expected) in [("a:1", &named), (&id[..12], &id), (&id, &id), (&format!("sha256:{id}"), &id)] {
        let image = import_of(&scratch, &bytes, Some(reference)).unwrap();
        assert_eq!(image.digest, format!("sha256:{expected}"), "{reference}");
    }
    let error = import_of(&scratch, &bytes, None).unwrap_err().to_string();
    assert!(error.contains("several images") && error.contains(&id[..12]) && error.contains("a:1"), "{error}");
    let error = import_of(&scratch, &bytes, Some("0123456789ab")).unwrap_err().to_string();
    assert!(error.contains("there is no image 0123456789ab in it"), "{error}");
}

#[test]
fn a_name_through_a_link_of_the_same_archive_is_followed_inside_the_root() {
    for target in ["usr/lib", "/usr/lib", "../usr/lib", "../../../usr/./lib/", "a/../usr/lib"] {
        let scratch = Scratch::new();
        let tar = Tar::new()
            .directory("usr/", 0o755)
            .directory("usr/lib/", 0o700)
            .symlink("lib", target)
            .file("lib/x", b"1")
            .directory("lib/d/", 0o711)
            .hard_link("lib/y", "lib/x")
            .hard_link("lib/late", "lib/later")
            .file("lib/later", b"2");
        let root = resolve(&scratch.store(), &scratch.write("a.tar", &tar.end()));
        assert!(root.join("lib").is_symlink(), "{target}");
        for (name, content) in [("x", b"1"), ("y", b"1"), ("late", b"2"), ("later", b"2")] {
            assert_eq!(std::fs::read(root.join("usr/lib").join(name)).unwrap(), content, "{target} {name}");
        }
        assert!(root.join("usr/lib/d").is_dir());
    }
    // GNU tar and Python put it there, too; what leads in a circle leads nowhere.
    let tar = Tar::new().symlink("a", "b").symlink("b", "a").file("a/x", b"");
    assert!(refusal(&Scratch::new(), &tar.end()).contains("symbolic links"));
    let tar = Tar::new().file("a", b"").file("a/x", b"");
    refusal(&Scratch::new(), &tar.end());
}

#[test]
fn a_size_of_what_has_no_data_is_none() {
    let scratch = Scratch::new();
    let mut link = header(b"link", b'2', 4);
    link.as_old_mut().linkname[..4].copy_from_slice(b"file");
    let tar = Tar::new()
        .raw(&header(b"d/", b'5', 4096), b"")
        .raw(&link, b"")
        .raw(&header(b"fifo", b'6', 512), b"")
        .file("file", b"1");
    let root = resolve(&scratch.store(), &scratch.write("a.tar", &tar.end()));
    assert!(root.join("d").is_dir());
    assert_eq!(std::fs::read(root.join("link")).unwrap(), b"1");
    // Where readers would part, it is refused.
    let tar = Tar::new().pax(&[("size", b"512")]).raw(&header(b"d/", b'5', 512), &[b'x'; 512]);
    assert!(refusal(&Scratch::new(), &tar.end()).contains("not a file"));
    let tar = Tar::new().pax(&[("size", b"1")]).raw(&header(b"f", b'0', 2), b"12");
    assert!(refusal(&Scratch::new(), &tar.end()).contains("two different sizes"));
    let tar = Tar::new().file("a/b", b"").hard_link("c", "a/../a/b");
    assert!(refusal(&Scratch::new(), &tar.end()).contains(".."));
}

#[test]
fn an_archive_without_an_end_mark_is_whole_where_an_entry_ends() {
    let scratch = Scratch::new();
    let Tar(bytes) = Tar::new().file("a", b"1").file("b", &[b'2'; 600]);
    let root = resolve(&scratch.store(), &scratch.write("a.tar", &bytes));
    assert_eq!(std::fs::read(root.join("b")).unwrap(), [b'2'; 600]);
    for cut in [1, 512, 600, 1024] {
        assert!(refusal(&Scratch::new(), &bytes[..bytes.len() - cut]).contains("cut off"), "{cut}");
    }
}

#[test]
fn a_window_that_is_too_large_is_called_so() {
    let bytes = Tar::new().file("a", &vec![b'x'; 3 << 20]).end();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
    xz.write_all(&bytes).unwrap();
    let mut zstd = zstd::Encoder::new(Vec::new(), 19).unwrap();
    zstd.write_all(&bytes).unwrap();
    for packed in [xz.finish().unwrap(), zstd.finish().unwrap()] {
        let scratch = Scratch::new();
        let path = scratch.write("a.tar", &packed);
        let import = |limits| {
            scratch.store().with_limits(limits).import(Input::Path(&path), &ImportOptions::default(), &mut |_| true)
        };
        let error = import(Limits::default().with(|l| l.window = 1 << 20)).unwrap_err();
        let words = error.to_string();
        assert!(error.errno() == libc::E2BIG && words.contains("limit \"window\""), "{words}");
        assert!(!words.contains("damaged"), "{words}");
        import(Limits::default()).unwrap();
    }
}

#[test]
fn rubbish_behind_gzip_is_passed_over_as_gzip_does() {
    let bytes = Tar::new().file("a", b"1").end();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&bytes).unwrap();
    let packed = gzip.finish().unwrap();
    for rubbish in [&b"x"[..], b"rubbish, and more of it", &[0; 100], b"\0\0\0rubbish"] {
        let scratch = Scratch::new();
        let root = resolve(&scratch.store(), &scratch.write("a.tgz", &[&packed, rubbish].concat()));
        assert_eq!(std::fs::read(root.join("a")).unwrap(), b"1");
    }
    assert!(refusal(&Scratch::new(), &packed[..packed.len() - 1]).contains("cut off"));
}

#[test]
fn odd_documents_are_read_as_docker_reads_them_or_refused_by_what_is_odd() {
    let scratch = Scratch::new();
    let mut saved = Saved::new();
    saved.image("a", Some("a:1"), &json!({"config": {"Cmd": "serve", "Entrypoint": ["/bin/it", "-x"]}}));
    let config = import_of(&scratch, &saved.end(&Value::Null), None).unwrap().config;
    assert_eq!((config.cmd, config.entrypoint), (vec!["serve".to_owned()], vec!["/bin/it".into(), "-x".into()]));

    // An image without layers.
    let mut saved = Saved::new();
    let text = br#"{"os":"linux","rootfs":{"type":"layers","diff_ids":null}}"#;
    let config = saved.blob(text);
    let config = json!({"digest": format!("sha256:{config}"), "size": text.len()});
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": null}).to_string();
    let digest = saved.blob(manifest.as_bytes());
    saved.index.push(json!({"mediaType": MANIFEST, "digest": format!("sha256:{digest}"), "size": manifest.len()}));
    let error = import_of(&scratch, &saved.end(&Value::Null), None).unwrap_err().to_string();
    assert!(error.contains("without layers"), "{error}");

    // Only for other machines.
    let mut saved = Saved::new();
    saved.image("a", Some("a:1"), &json!({"architecture": "s390x"}));
    saved.index[0]["platform"] = json!({"os": "linux", "architecture": "s390x"});
    saved.list.clear();
    let error = import_of(&scratch, &saved.end(&Value::Null), None).unwrap_err().to_string();
    assert!(error.contains("only for linux/s390x"), "{error}");
}

#[test]
fn an_archive_of_docker_before_1_10_is_called_so() {
    let layer = Tar::new().file("a", b"").end();
    for has_names in [true, false] {
        let mut tar = Tar::new();
        for id in ["1", "2"].map(|digit| digit.repeat(64)) {
            tar = tar
                .directory(&format!("{id}/"), 0o755)
                .file(&format!("{id}/VERSION"), b"1.0")
                .file(&format!("{id}/json"), b"{}")
                .file(&format!("{id}/layer.tar"), &layer);
        }
        if has_names {
            tar = tar.file("repositories", br#"{"a":{"latest":"11"}}"#);
        }
        assert!(refusal(&Scratch::new(), &tar.end()).contains("docker before 1.10"));
    }
}

#[test]
fn progress_of_an_archive_of_layers_goes_one_way_to_one_total() {
    let scratch = Scratch::new();
    let mut saved = Saved::new();
    saved.image("a", Some("a:1"), &json!({}));
    let bytes = saved.end(&Value::Null);
    let path = scratch.write("archive.tar", &bytes);
    let mut seen = Vec::new();
    let mut hear = |at: Progress| {
        seen.push(at);
        true
    };
    scratch.store().import(Input::Path(&path), &ImportOptions::default(), &mut hear).unwrap();
    let last = *seen.last().unwrap();
    assert!(last.total >= bytes.len() as u64 && last.bytes == last.total && last.entries > 5, "{last:?}");
    for pair in seen.windows(2) {
        assert!(pair[0].bytes <= pair[1].bytes && pair[0].entries <= pair[1].entries, "{seen:?}");
    }
    assert!(seen.iter().filter(|at| at.total > 0).all(|at| at.total == last.total), "{seen:?}");
}

#[test]
fn an_image_without_a_name_is_saved_under_its_id() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let path = scratch.write("a.tar", &Tar::new().file("a", b"").end());
    let image = store.import(Input::Path(&path), &ImportOptions::default(), &mut |_| true).unwrap();
    let out = scratch.path("out.tar");
    store.save(&image.digest, Output::Path(&out), &SaveOptions::default(), &mut |_| true).unwrap();
    let index = std::process::Command::new("tar").arg("-xOf").arg(&out).arg("index.json").output().unwrap();
    let index: Value = serde_json::from_slice(&index.stdout).unwrap();
    let name = index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap();
    let other = Store::open(Some(&scratch.path("other"))).unwrap();
    let options = ImportOptions::default().with(|o| o.reference = Some(name.into()));
    let digest = other.import(Input::Path(&out), &options, &mut |_| true).unwrap().digest;
    assert!(digest.starts_with(&format!("sha256:{name}")), "{digest} {name}");
}

#[test]
fn a_store_may_be_called_anything() {
    let scratch = Scratch::new();
    let place = scratch.0.join(OsStr::from_bytes(b"st\xffre"));
    let path = scratch.write("a.tar", &Tar::new().directory("bin", 0o755).end());
    let config = Config::default().with(|c| {
        c.store_dir = Some(place);
        c.state_dir = Some(scratch.path("state"));
    });
    let container = match Container::create(&path, &config) {
        Ok(container) => container,
        Err(error) if !nix::unistd::geteuid().is_root() => return skipped(&error.to_string()),
        Err(error) => panic!("{error}"),
    };
    assert_eq!(scratch.client().list().unwrap().len(), 1);
    container.destroy().unwrap();
}
