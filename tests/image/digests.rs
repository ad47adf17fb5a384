//! What came in an archive of an image leaves with the digests that it came with.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;

use ctr::image::{
    BuildOptions, Compression, ImportOptions, Input, MakeOptions, Output, SaveFormat, SaveOptions, Store,
};
use serde_json::json;

use crate::support::*;

/// The layers of an image, lowest first, as they come out of a store.
fn saved(store: &Store, image: &str, options: &SaveOptions) -> Vec<Vec<u8>> {
    let mut bytes = Vec::new();
    let options = options.clone().with(|o| o.format = SaveFormat::Docker);
    store.save(image, Output::Writer(Box::new(&mut bytes)), &options, &mut |_| true).unwrap();
    let mut files = std::collections::HashMap::new();
    for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        files.insert(name, content);
    }
    let manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let names = manifest[0]["Layers"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
    names.map(|name| files[name].clone()).collect()
}

/// Layers as different tools write them, and as none should.
fn layers(scratch: &Scratch) -> Vec<Vec<u8>> {
    let [null, su, link, fifo] = special_files();
    let mut own = header(b"owned", b'0', 3);
    own.set_uid(1000);
    let by_hand = Tar::new()
        .raw(&header(b"comment", b'g', 20), b"20 comment=whatever\n")
        .raw(&null, b"")
        .raw(&su, b"su")
        .raw(&link, b"")
        .raw(&fifo, b"")
        .raw(&own, b"own")
        .pax(&[("path", "n".repeat(255).as_bytes()), ("atime", b"1.5"), ("mtime", b"1699999999.5")])
        .file("x", &[3; 70_000])
        .hard_link("again", "owned")
        .file(".wh.gone", b"with content")
        .file("d/.wh..wh..opq", b"");
    let mut by_hand = by_hand.end();
    by_hand.extend_from_slice(&[b'?'; 9000]);
    let place = scratch.path("tree");
    std::fs::create_dir_all(place.join("deep/er")).unwrap();
    for size in [0, 1, 511, 512, 513, 300_000] {
        std::fs::write(place.join(format!("deep/{size}")), vec![b'x'; size]).unwrap();
    }
    let sparse = std::fs::File::create(place.join("sparse")).unwrap();
    for part in 0..40u64 {
        std::os::unix::fs::FileExt::write_all_at(&sparse, b"data", part << 20).unwrap();
    }
    sparse.set_len(50 << 20).unwrap();
    let mut layers = vec![by_hand];
    for arguments in [
        &["tar", "--format=gnu", "-S"][..],
        &["tar", "--format=posix", "-S"],
        &["tar", "--format=posix", "-S", "--sparse-version=0.0"],
        &["tar", "--format=v7"],
        &["bsdtar", "--format=pax"],
    ] {
        if lacks(&arguments[..1]) {
            continue;
        }
        let archive = scratch.path("layer.tar");
        let rest: [&OsStr; 5] = ["-C".as_ref(), place.as_ref(), "-cf".as_ref(), archive.as_ref(), ".".as_ref()];
        run(arguments[0], &[&arguments[1..].iter().map(OsStr::new).collect::<Vec<_>>(), &rest[..]].concat());
        layers.push(std::fs::read(&archive).unwrap());
    }
    layers
}

#[test]
fn layers_of_an_image_are_saved_as_they_came() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let layers = layers(&scratch);
    let path = scratch.write("a.tar", &docker_archive(&layers, &json!({})));
    let image = store.import(Input::Path(&path), &ImportOptions::default(), &mut |_| true).unwrap();
    assert!(saved(&store, &image.digest, &SaveOptions::default()) == layers);
    // Compressed or not, they are the same layers: what they unpack to is what their image knows them by.
    let options = SaveOptions::default().with(|o| o.compression = Compression::Zstd);
    let compressed = saved(&store, &image.digest, &options);
    for (compressed, layer) in compressed.iter().zip(&layers) {
        assert!(zstd::decode_all(&compressed[..]).unwrap() == *layer);
    }
    // Where no file may be younger than that, they can't be what they were.
    let options = SaveOptions::default().with(|o| o.epoch = Some(1_000_000_000));
    assert!(saved(&store, &image.digest, &options).iter().zip(&layers).all(|(new, old)| new != old));
}

#[test]
fn a_layer_that_can_not_be_had_as_it_came_is_packed_anew() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let whole = Tar::new().file("c", b"whole").file("d", b"").end();
    // Names that come twice, which docker and podman refuse.
    let twice = [
        Tar::new().file("a", b"first").file("b", b"").file("a", b"last!").end(),
        Tar::new().symlink("a", "b").file("a", b"").end(),
        Tar::new().directory("a", 0o755).file("a/b", b"").directory("./a/", 0o700).end(),
        whole.clone(),
    ];
    let path = scratch.write("a.tar", &docker_archive(&twice, &json!({})));
    let image = store.import(Input::Path(&path), &ImportOptions::default(), &mut |_| true).unwrap();
    let repacked =
        |layer: &[u8]| resolve(&Store::open(Some(&scratch.path("other"))).unwrap(), &scratch.write("l.tar", layer));
    let once = saved(&store, &image.digest, &SaveOptions::default());
    for ((once, twice), layer) in once.iter().zip(&twice).zip(&image.layers[..3]) {
        assert_ne!(once, twice);
        assert_eq!(lines(&repacked(once)), lines(layer));
    }
    assert_eq!(once[3], whole);
    // The store is the user's, and he may have been at it.
    let change = |work: &dyn Fn(&Path)| {
        work(&image.layers[3]);
        let second = saved(&store, &image.digest, &SaveOptions::default()).pop().unwrap();
        assert_eq!(lines(&repacked(&second)), lines(&image.layers[3]));
    };
    change(&|layer| std::fs::write(layer.join("c"), "wider than it was").unwrap());
    change(&|layer| std::fs::write(layer.join("c"), "less").unwrap());
    change(&|layer| {
        std::fs::remove_file(layer.join("c")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", layer.join("c")).unwrap();
    });
    let record = image.layers[3].with_file_name("split");
    change(&|_| std::fs::write(&record, "no record").unwrap());
    change(&|_| std::fs::write(&record, zstd(b"C\xff\xff\xff\xff")).unwrap());
    change(&|_| std::fs::remove_file(&record).unwrap());
}

/// The configuration in an archive in docker's form, and its digest.
fn configuration(archive: &[u8]) -> (serde_json::Value, String) {
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().extension().is_some_and(|end| end == "json")
            && entry.path().unwrap().as_os_str() != "manifest.json"
        {
            let mut text = Vec::new();
            entry.read_to_end(&mut text).unwrap();
            return (serde_json::from_slice(&text).unwrap(), format!("sha256:{}", sha256(&text)));
        }
    }
    panic!("no configuration");
}

#[test]
fn a_configuration_leaves_as_it_came_and_what_is_made_upon_it_keeps_what_we_know_nothing_of() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let layer = Tar::new().file("a", b"1").end();
    let whole = json!({
        "architecture": "amd64", "os": "linux", "author": "me", "created": "2020-01-02T03:04:05Z",
        "docker_version": "20.10",
        "config": {"Cmd": ["/a"], "Env": ["A=1"], "ExposedPorts": {"80/tcp": {}}, "cmd": null, "Healthcheck": {"Interval": 5}},
        "history": [{"created_by": "ADD"}, {"created_by": "EXPOSE", "empty_layer": true}],
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer))]},
    });
    let text = serde_json::to_string_pretty(&whole).unwrap();
    let manifest = json!([{"Config": "config.json", "Layers": ["layer.tar"]}]).to_string();
    let archive = Tar::new().file("layer.tar", &layer).file("config.json", text.as_bytes());
    let path = scratch.write("a.tar", &archive.file("manifest.json", manifest.as_bytes()).end());
    let image = store.import(Input::Path(&path), &ImportOptions::default(), &mut |_| true).unwrap();
    assert_eq!(image.digest, format!("sha256:{}", sha256(text.as_bytes())));
    let save = |image: &str, options: &SaveOptions| {
        let mut bytes = Vec::new();
        store.save(image, Output::Writer(Box::new(&mut bytes)), options, &mut |_| true).unwrap();
        bytes
    };
    for format in [SaveFormat::Oci, SaveFormat::Docker] {
        let bytes = save(&image.digest, &SaveOptions::default().with(|o| o.format = format));
        let other = Store::open(Some(&scratch.path(&format!("{format:?}")))).unwrap();
        let again = other.import(Input::Reader(Box::new(&bytes[..])), &ImportOptions::default(), &mut |_| true);
        assert_eq!(again.unwrap().digest, image.digest, "{format:?}");
    }

    // No story is told where nothing may be younger than the epoch.
    let docker = SaveOptions::default().with(|o| o.format = SaveFormat::Docker);
    let (old, _) = configuration(&save(&image.digest, &docker.clone().with(|o| o.epoch = Some(1_000_000_000))));
    assert_eq!((&old["created"], &old["history"]), (&json!("2001-09-09T01:46:40Z"), &json!(null)));
    assert_eq!(old["config"]["ExposedPorts"], json!({"80/tcp": {}}));

    let mut config = image.config.clone();
    config.cmd = vec!["/b".into()];
    let options = BuildOptions::default()
        .with(|options| options.image = MakeOptions::default().with(|o| o.config = Some(config)));
    let files = [(path, "/b".into())];
    let made = store.build(Some(image.digest.as_ref()), &files, &options, &mut |_| true).unwrap();
    let (new, id) = configuration(&save(&made.digest, &docker));
    assert_eq!(id, made.digest);
    let run = json!({"Cmd": ["/b"], "Env": ["A=1"], "ExposedPorts": {"80/tcp": {}}, "Healthcheck": {"Interval": 5}});
    assert_eq!((&new["config"], &new["author"], &new["created"]), (&run, &json!("me"), &json!(null)));
    assert_eq!(new["history"].as_array().unwrap().len(), 3);
    assert_eq!(new["history"][2], json!({"created_by": "ctr"}));
}

/// Run by the test below as an ordinary user.
#[test]
#[ignore = "only with CTR_TEST_TARBALL"]
fn saved_as_somebody() {
    let Some(path) = std::env::var_os("CTR_TEST_TARBALL") else { return };
    let store = Store::open(Some(std::env::var_os("CTR_TEST_STORE").unwrap().as_ref())).unwrap();
    let image = store.import(Input::Path(path.as_ref()), &ImportOptions::default(), &mut |_| true).unwrap();
    for layer in saved(&store, &image.digest, &SaveOptions::default()) {
        println!("LAYER {}", sha256(&layer));
    }
}

#[test]
fn owners_that_an_ordinary_user_could_not_give_are_no_hindrance() {
    let scratch = Scratch::new();
    let layers = layers(&scratch);
    let path = scratch.write("a.tar", &docker_archive(&layers, &json!({})));
    let home = scratch.path("home");
    std::fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(65534), Some(65534)).unwrap();
    let output = as_nobody("digests::saved_as_somebody", &path, &home.join("store"));
    let digests: Vec<&str> = output.split("LAYER ").skip(1).filter_map(|rest| rest.lines().next()).collect();
    assert_eq!(digests, layers.iter().map(|layer| sha256(layer)).collect::<Vec<_>>());
}
