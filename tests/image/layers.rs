//! Images of layers: OCI layouts and docker's archives, whiteouts, digests.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use ctr::ErrorCode;
use ctr::image::{ImportOptions, Input, Source};
use serde_json::{Value, json};
use sha2::Digest;

use crate::support::*;

fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An OCI layout under construction.
struct Layout {
    place: PathBuf,
}

impl Layout {
    fn new(place: PathBuf) -> Self {
        std::fs::create_dir_all(place.join("blobs/sha256")).unwrap();
        std::fs::write(place.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self { place }
    }

    fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = sha256(bytes);
        std::fs::write(self.place.join("blobs/sha256").join(&digest), bytes).unwrap();
        json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len()})
    }

    /// Blobs of an image of these layers; answers the manifest's descriptor.
    fn image(&self, layers: &[(Vec<u8>, Compress)], config: Value) -> Value {
        let diff_ids: Vec<String> = layers.iter().map(|(tar, _)| format!("sha256:{}", sha256(tar))).collect();
        let config = json!({"architecture": "amd64", "os": "linux", "config": config,
                            "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let layers: Vec<Value> = layers
            .iter()
            .map(|(tar, compress)| self.blob("application/vnd.oci.image.layer.v1.tar+gzip", &compress(tar)))
            .collect();
        let config = self.blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
        self.blob("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes())
    }

    fn index(&self, manifests: &[Value]) -> &Self {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        std::fs::write(self.place.join("index.json"), index.to_string()).unwrap();
        self
    }

    fn pack(&self, name: &str) -> PathBuf {
        let path = self.place.with_file_name(name);
        run("tar", &["-C".as_ref(), self.place.as_os_str(), "-cf".as_ref(), path.as_os_str(), ".".as_ref()]);
        path
    }
}

fn named(mut descriptor: Value, name: &str) -> Value {
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    descriptor
}

fn plain(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

fn layers(source: &Source) -> Vec<PathBuf> {
    match source {
        Source::Layers { layers, .. } => layers.clone(),
        other => panic!("not layers: {other:?}"),
    }
}

/// What overlayfs makes of layers, mounted with userxattr inside a user namespace as a container's root is.
fn merged(layers: &[PathBuf], user: u32) -> Vec<String> {
    use std::os::unix::process::CommandExt;
    let lower: Vec<&str> = layers.iter().rev().map(|layer| layer.to_str().unwrap()).collect();
    let script = "mount -t tmpfs none /mnt && mkdir /mnt/a && cd /mnt && \
        mount -t overlay -o userxattr,lowerdir=\"$1\":/mnt/a none /mnt && cd /mnt && find . | sort";
    let output = Command::new("unshare")
        .args(["-Urm", "sh", "-ec", script, "sh", &lower.join(":")])
        .uid(user)
        .gid(user)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().skip(1).map(|line| line[2..].to_owned()).collect()
}

fn lower_and_upper() -> [(Vec<u8>, Compress); 2] {
    let lower = Tar::new()
        .file("gone", b"")
        .file("stays", b"")
        .directory("emptied", 0o755)
        .file("emptied/old", b"")
        .directory("anew", 0o755)
        .file("anew/old", b"")
        .directory("before", 0o755)
        .file("before/old", b"")
        .directory("unsaid", 0o755)
        .file("unsaid/old", b"")
        .directory("removed", 0o755)
        .file("removed/old", b"");
    let upper = Tar::new()
        .file(".wh.gone", b"")
        .file("emptied/new", b"")
        .file("emptied/.wh..wh..opq", b"")
        // A whiteout and a directory of one name, in either order and without the directory's own entry.
        .file(".wh.anew", b"")
        .directory("anew", 0o700)
        .file("anew/new", b"")
        .directory("before", 0o755)
        .file("before/new", b"")
        .file(".wh.before", b"")
        .file(".wh.unsaid", b"")
        .file("unsaid/new", b"")
        .file(".wh.removed", b"")
        .file(".wh..wh.plnk", b"");
    [(lower.end(), gzip), (upper.end(), zstd)]
}

const MERGED: [&str; 9] =
    ["anew", "anew/new", "before", "before/new", "emptied", "emptied/new", "stays", "unsaid", "unsaid/new"];

#[test]
fn whiteouts_hide_what_lies_below_and_nothing_else() {
    let scratch = Scratch::new();
    let layout = Layout::new(scratch.path("oci"));
    layout.index(&[layout.image(&lower_and_upper(), json!({}))]);
    let layers = layers(&scratch.store().resolve(layout.place.as_os_str()).unwrap());
    assert_eq!(merged(&layers, 0), MERGED);
    let gone = std::fs::symlink_metadata(layers[1].join("gone")).unwrap();
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
}

/// Run by the test below as an ordinary user.
#[test]
#[ignore = "only with CTR_TEST_TARBALL"]
fn layers_as_somebody() {
    let Some(path) = std::env::var_os("CTR_TEST_TARBALL") else { return };
    let store = ctr::image::Store::open(Some(std::env::var_os("CTR_TEST_STORE").unwrap().as_ref())).unwrap();
    for layer in layers(&store.resolve(&path).unwrap()) {
        println!("TREE {}", layer.display());
    }
}

#[test]
fn whiteouts_work_for_an_ordinary_user() {
    let scratch = Scratch::new();
    let layout = Layout::new(scratch.path("oci"));
    layout.index(&[layout.image(&lower_and_upper(), json!({}))]);
    let home = scratch.path("home");
    std::fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(65534), Some(65534)).unwrap();
    let output = as_nobody("layers::layers_as_somebody", &layout.place, &home.join("store"));
    let layers: Vec<PathBuf> = output.split("TREE ").skip(1).map(|rest| rest.lines().next().unwrap().into()).collect();
    assert_eq!(merged(&layers, 65534), MERGED);
}

#[test]
fn what_a_whiteout_hides_stays_hidden_whatever_takes_its_name() {
    let scratch = Scratch::new();
    let layout = Layout::new(scratch.path("oci"));
    let lower = Tar::new().directory("a", 0o755).file("a/old", b"").file("b", b"old");
    let upper = Tar::new()
        // A file in the whiteout's place, and a directory in the file's.
        .file(".wh.a", b"")
        .file("a", b"")
        .directory("a", 0o755)
        .file("a/new", b"")
        // A link that waits for a file of that name, and a whiteout, which is no file.
        .hard_link("c", "b")
        .file(".wh.c", b"")
        .file(".wh.b", b"")
        .file("b", b"new");
    layout.index(&[layout.image(&[(lower.end(), gzip), (upper.end(), gzip)], json!({}))]);
    let layers = layers(&scratch.store().resolve(layout.place.as_os_str()).unwrap());
    assert_eq!(merged(&layers, 0), ["a", "a/new", "b", "c"]);
    assert_eq!(std::fs::read(layers[1].join("c")).unwrap(), b"new");
    let no_file = Tar::new().file(".wh.b", b"").hard_link("c", "b").end();
    let text = refusal(&Scratch::new(), &no_file);
    assert!(text.contains("entry c: a hard link to b, which is not in the archive"), "{text}");
}

#[test]
fn an_opaque_root_leaves_out_what_lies_below() {
    let scratch = Scratch::new();
    let layout = Layout::new(scratch.path("oci"));
    let [(lower, _), _] = lower_and_upper();
    let upper = Tar::new().file(".wh..wh..opq", b"").file("alone", b"").end();
    layout.index(&[layout.image(&[(lower, gzip), (upper, gzip)], json!({}))]);
    let layers = layers(&scratch.store().resolve(layout.place.as_os_str()).unwrap());
    assert_eq!(merged(&layers, 0), ["alone"]);
}

#[test]
fn directory_and_archive_give_the_same_image_with_its_configuration() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let layout = Layout::new(scratch.path("oci"));
    let config = json!({"Env": ["PATH=/bin", "A=b=c"], "Entrypoint": ["/bin/sh", "-c"], "Cmd": ["echo hi"],
        "WorkingDir": "/srv", "User": "1:2", "StopSignal": "SIGINT", "Volumes": {"/data": {}}, "Labels": {"k": "v"}});
    layout.index(&[layout.image(&lower_and_upper(), config)]);
    let Source::Layers { layers, config, digest, .. } = store.resolve(layout.place.as_os_str()).unwrap() else {
        panic!()
    };
    assert_eq!(config.env, ["PATH=/bin", "A=b=c"]);
    assert_eq!((config.entrypoint.len(), config.cmd.len()), (2, 1));
    assert_eq!(
        (config.working_dir.as_str(), config.user.as_str(), config.stop_signal.as_str()),
        ("/srv", "1:2", "SIGINT")
    );
    assert_eq!((config.volumes.as_slice(), config.labels["k"].as_str()), (&["/data".to_owned()][..], "v"));
    for path in [layout.pack("oci.tar"), {
        let packed = gzip(&std::fs::read(layout.pack("oci.tar")).unwrap());
        scratch.write("oci.tar.gz", &packed)
    }] {
        for _ in 0..2 {
            let Source::Layers { layers: again, digest: same, .. } = store.resolve(path.as_os_str()).unwrap() else {
                panic!()
            };
            assert_eq!((&again, &same), (&layers, &digest));
        }
    }
    assert_eq!(names(&scratch.path("store/layers")).len(), 2);
    assert_eq!(names(&scratch.path("store/tmp")), [""; 0]);
}

#[test]
fn one_of_several_images_is_chosen_by_name_and_platform() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let layout = Layout::new(scratch.path("oci"));
    let image = |text: &[u8]| layout.image(&[(Tar::new().file("which", text).end(), plain)], json!({}));
    let mut foreign = image(b"foreign");
    foreign["platform"] = json!({"os": "linux", "architecture": "s390x"});
    let mut native = image(b"native");
    native["platform"] =
        json!({"os": "linux", "architecture": if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" }});
    let mut attestation = image(b"attestation");
    attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    let nested = json!({"schemaVersion": 2, "manifests": [foreign, native, attestation]});
    let nested = layout.blob("application/vnd.oci.image.index.v1+json", nested.to_string().as_bytes());
    layout.index(&[named(nested, "docker.io/library/many:1"), named(image(b"other"), "other:latest")]);
    let which = |reference: &str| {
        let mut path = layout.place.clone().into_os_string();
        path.push(reference);
        store.resolve(&path).map(|source| std::fs::read_to_string(layers(&source)[0].join("which")).unwrap())
    };
    let sentence = which("").unwrap_err().to_string();
    assert!(sentence.contains("docker.io/library/many:1") && sentence.contains("other:latest"), "{sentence}");
    for _ in 0..2 {
        assert_eq!(which(":many:1").unwrap(), "native");
        assert_eq!(which(":other").unwrap(), "other");
    }
    assert!(which(":nobody").unwrap_err().to_string().contains("other:latest"));

    let import = |platform: &str| {
        let options = ImportOptions::default().with(|o| {
            o.reference = Some("many:1".into());
            o.platform = Some(platform.into());
        });
        let image = store.import(Input::Path(&layout.place), &options, &mut |_| true)?;
        Ok::<_, ctr::Error>(std::fs::read_to_string(image.layers[0].join("which")).unwrap())
    };
    for _ in 0..2 {
        assert_eq!(import("linux/s390x").unwrap(), "foreign");
        assert_eq!(import(std::env::consts::ARCH).unwrap(), "native");
    }
    assert!(import("linux/mips").unwrap_err().to_string().contains("no image for linux/mips"));
    assert_eq!(import("windows/x/y").unwrap_err().code(), ErrorCode::Invalid);
}

#[test]
fn docker_save_of_both_forms_is_understood() {
    let scratch = Scratch::new();
    let [(lower, _), (upper, _)] = lower_and_upper();
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/x"]},
        "rootfs": {"type": "layers", "diff_ids":
            [format!("sha256:{}", sha256(&lower)), format!("sha256:{}", sha256(&upper)), format!("sha256:{}", sha256(&lower))]}})
    .to_string();
    let id = sha256(config.as_bytes());
    // The old form: directories of layers, the second copy of one a link.
    let manifest = json!([{"Config": format!("{id}.json"), "RepoTags": ["me:1"],
        "Layers": ["1/layer.tar", "2/layer.tar", "3/layer.tar"]}]);
    let tar = Tar::new()
        .directory("1/", 0o755)
        .raw(&header(b"1/layer.tar", b'0', lower.len() as u64), &lower)
        .raw(&header(b"2/layer.tar", b'0', upper.len() as u64), &upper)
        .symlink("3/layer.tar", "../1/layer.tar")
        .file(&format!("{id}.json"), config.as_bytes())
        .file("manifest.json", manifest.to_string().as_bytes());
    let store = scratch.store();
    let source = store.resolve(scratch.write("old.tar", &tar.clone().end()).as_os_str()).unwrap();
    let Source::Layers { config: run, digest, .. } = &source else { panic!() };
    assert_eq!((run.cmd[0].as_str(), digest), ("/x", &format!("sha256:{id}")));
    // A layer that comes twice counts where it is uppermost.
    let found = layers(&source);
    assert_eq!(found.len(), 2);
    assert!(merged(&found, 0).contains(&"emptied/old".into()));
    // A name that is another digest's.
    let wrong = manifest.to_string().replace(&id, &sha256(b"wrong"));
    let tar =
        tar.file(&format!("{}.json", sha256(b"wrong")), config.as_bytes()).file("manifest.json", wrong.as_bytes());
    let error = store.resolve(scratch.write("wrong.tar", &tar.end()).as_os_str()).unwrap_err();
    assert!(error.to_string().contains("another digest"), "{error}");
}

#[test]
fn a_link_out_of_a_saved_image_leads_nowhere() {
    let scratch = Scratch::new();
    let secret = Tar::new().file("secret", b"of the host").end();
    let outside = scratch.write("secret.tar", &secret);
    let config = json!({"os": "linux", "rootfs": {"diff_ids": [format!("sha256:{}", sha256(&secret))]}}).to_string();
    for target in [outside.to_str().unwrap(), "../../../../../../../../secret.tar", "/proc/self/fd/0"] {
        let manifest = json!([{"Config": "c", "Layers": ["layer.tar"]}]).to_string();
        let tar = Tar::new()
            .symlink("layer.tar", target)
            .file("c", config.as_bytes())
            .file("manifest.json", manifest.as_bytes());
        let error = scratch.store().resolve(scratch.write("a.tar", &tar.end()).as_os_str()).unwrap_err();
        assert!(error.to_string().contains("layer.tar"), "{error}");
    }
    assert_eq!(names(&scratch.path("store/layers")), [""; 0]);
}

#[test]
fn what_does_not_match_its_digest_is_refused() {
    let scratch = Scratch::new();
    let good = Tar::new().file("a", b"1").end();
    let tampered = Tar::new().file("a", b"2").end();
    let attempt = |name: &str, change: &dyn Fn(&Layout, &mut Value)| {
        let layout = Layout::new(scratch.path(name));
        let mut descriptor = layout.image(&[(good.clone(), gzip)], json!({}));
        change(&layout, &mut descriptor);
        layout.index(&[descriptor]);
        let error = scratch.store().resolve(layout.place.as_os_str()).unwrap_err();
        assert_eq!(names(&scratch.path("store/layers")), [""; 0], "{name}");
        assert_eq!(names(&scratch.path("store/images")), [""; 0], "{name}");
        assert_eq!(names(&scratch.path("store/tmp")), [""; 0], "{name}");
        error.to_string()
    };
    let overwrite = |layout: &Layout, old: &[u8], new: &[u8]| {
        std::fs::write(layout.place.join("blobs/sha256").join(sha256(old)), new).unwrap();
    };
    let sentence = attempt("layer", &|layout, _| overwrite(layout, &gzip(&good), &gzip(&tampered)));
    assert!(sentence.contains("another digest"), "{sentence}");
    // The blob is what it says, but not what the configuration says.
    let sentence = attempt("diff-id", &|layout, descriptor| {
        let config =
            json!({"os": "linux", "rootfs": {"diff_ids": [format!("sha256:{}", sha256(b"other"))]}}).to_string();
        let config = layout.blob("application/vnd.oci.image.config.v1+json", config.as_bytes());
        let layer = layout.blob("application/vnd.oci.image.layer.v1.tar", &good);
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
        *descriptor = layout.blob("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
    });
    assert!(sentence.contains("DiffID"), "{sentence}");
    let sentence = attempt("size", &|_, descriptor| descriptor["size"] = json!(1));
    assert!(sentence.contains("digest or size"), "{sentence}");
    for digest in ["sha256:../../../../etc/passwd", "sha256:", "../x", "md5:00"] {
        let name = format!("digest-{}", digest.len());
        let sentence = attempt(&name, &|_, descriptor| descriptor["digest"] = json!(digest));
        assert!(sentence.contains("a digest that is none"), "{sentence}");
    }
    let sentence = attempt("artifact", &|layout, descriptor| {
        let config = layout.blob("application/vnd.cncf.helm.config.v1+json", b"{}");
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": []});
        *descriptor = layout.blob("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
    });
    assert!(sentence.contains("helm"), "{sentence}");
}

#[test]
fn images_made_by_umoci_and_skopeo_are_understood() {
    if lacks(&["skopeo", "umoci"]) {
        return;
    }
    let scratch = Scratch::new();
    let root = scratch.path("bundle/rootfs");
    let place = scratch.path("umoci");
    let image = format!("{}:one", place.display());
    let umoci = |arguments: &[&str]| {
        run("umoci", &arguments.iter().map(std::ffi::OsStr::new).collect::<Vec<_>>());
    };
    umoci(&["init", "--layout", place.to_str().unwrap()]);
    umoci(&["new", "--image", &image]);
    umoci(&["unpack", "--image", &image, scratch.path("bundle").to_str().unwrap()]);
    std::fs::create_dir_all(root.join("etc/old")).unwrap();
    std::fs::write(root.join("etc/old/file"), "1").unwrap();
    std::fs::write(root.join("etc/gone"), "1").unwrap();
    umoci(&["repack", "--image", &image, scratch.path("bundle").to_str().unwrap()]);
    std::fs::remove_dir_all(scratch.path("bundle")).unwrap();
    umoci(&["unpack", "--image", &image, scratch.path("bundle").to_str().unwrap()]);
    std::fs::remove_dir_all(root.join("etc/old")).unwrap();
    std::fs::remove_file(root.join("etc/gone")).unwrap();
    std::fs::write(root.join("etc/new"), "2").unwrap();
    umoci(&["repack", "--image", &image, scratch.path("bundle").to_str().unwrap()]);
    umoci(&["config", "--image", &image, "--config.cmd", "/etc/new"]);

    let store = scratch.store();
    let expected = ["etc", "etc/new"];
    let source = store.resolve(place.as_os_str()).unwrap();
    assert_eq!(merged(&layers(&source), 0), expected);
    for (name, kind) in [("docker.tar", "docker-archive"), ("oci.tar", "oci-archive"), ("oci", "oci")] {
        let path = scratch.path(name);
        let from = format!("oci:{image}");
        let to = format!("{kind}:{}:name:tag", path.display());
        run("skopeo", &["--insecure-policy".as_ref(), "copy".as_ref(), from.as_ref(), to.as_ref()]);
        let again = store.resolve(path.as_os_str()).unwrap();
        assert_eq!(layers(&again), layers(&source), "{name}");
        let Source::Layers { config, .. } = &again else { panic!() };
        assert_eq!(config.cmd, ["/etc/new"], "{name}");
    }
    assert_eq!(names(&scratch.path("store/layers")).len(), layers(&source).len());
}

#[test]
fn an_image_in_use_can_not_be_removed() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let path = scratch.write("a.tar", &Tar::new().file("a", b"1").end());
    let source = store.resolve(path.as_os_str()).unwrap();
    let Source::Layers { layers, digest, lock, .. } = source else { panic!() };
    store.tag(&digest, "me/first:1").unwrap();
    store.tag("me/first:1", "second").unwrap();
    let image = store.inspect("second").unwrap();
    assert_eq!((&image.digest, image.size), (&digest, 1));
    // As many digits as lists show are enough.
    for begun in [&digest[..19], &digest[7..19], &digest[7..]] {
        assert_eq!(store.inspect(begun).unwrap(), image, "{begun}");
    }
    for none in [&digest[..18], &digest[7..18], "000000000000"] {
        assert_eq!(store.inspect(none).unwrap_err().code(), ErrorCode::NotFound, "{none}");
    }
    assert_eq!(image.names, ["me/first:1", "second"]);
    assert_eq!(store.list().unwrap(), [image]);
    // One of two names may go, the image may not.
    store.remove("second").unwrap();
    let error = store.remove("me/first:1").unwrap_err();
    assert_eq!(error.errno(), libc::EBUSY, "{error}");
    assert_eq!(store.remove(&digest).unwrap_err().errno(), libc::EBUSY);
    assert!(layers[0].join("a").exists());
    // The lock lives in whatever process holds a duplicate of it.
    let duplicate = lock.try_clone().unwrap();
    drop(lock);
    assert!(store.remove("me/first:1").is_err());
    drop(duplicate);
    assert!(store.disk_use().unwrap() > 0);
    store.remove("me/first:1").unwrap();
    assert!(!layers[0].exists());
    assert_eq!(store.list().unwrap(), []);
    assert_eq!(store.inspect("me/first:1").unwrap_err().code(), ErrorCode::NotFound);
    // And it comes back as if nothing had been.
    assert_eq!(store.resolve(path.as_os_str()).map(|source| self::layers(&source)).unwrap(), layers);
}

#[test]
fn prune_takes_what_nobody_names_or_uses() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let import = |name: &str| {
        let path = scratch.write(name, &Tar::new().file(name, b"1").end());
        store.resolve(path.as_os_str()).unwrap()
    };
    let Source::Layers { digest: used, lock: _lock, .. } = import("used") else { panic!() };
    let Source::Layers { digest: kept, .. } = import("kept") else { panic!() };
    let Source::Layers { digest: lost, .. } = import("lost") else { panic!() };
    store.tag(&kept, "kept").unwrap();
    // A child that another test of this process is just forking has our locks too, until it has executed.
    let (mut images, mut bytes) = (Vec::new(), 0);
    while bytes == 0 {
        let pruned = store.prune().unwrap();
        images.extend(pruned.images);
        bytes += pruned.bytes;
    }
    assert_eq!(images, [lost]);
    let mut left: Vec<String> = store.list().unwrap().into_iter().map(|image| image.digest).collect();
    left.sort();
    let mut expected = vec![used, kept];
    expected.sort();
    assert_eq!(left, expected);
    assert_eq!(names(&scratch.path("store/seen")).len(), 2);
}

#[test]
fn a_name_can_not_lead_out_of_the_store() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let path = scratch.write("a.tar", &Tar::new().file("a", b"1").end());
    let Source::Layers { digest, .. } = store.resolve(path.as_os_str()).unwrap() else { panic!() };
    for name in ["", "host", "../x", "/etc/passwd", "a b", "-x", "a\n", "sha256:x\0"] {
        assert_eq!(store.tag(&digest, name).unwrap_err().code(), ErrorCode::Invalid, "{name}");
        assert!(store.inspect(name).is_err());
    }
    assert!(!Path::new("/x").exists());
}

#[test]
fn many_layers_become_one_tree() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let mut null = header(b"dev/null", b'3', 0);
    null.set_device_major(1).unwrap();
    let mut images = Vec::new();
    for extra in [0, 40] {
        let layout = Layout::new(scratch.path(&format!("oci-{extra}")));
        let [lower, upper] = lower_and_upper();
        let device = Tar::new().raw(&null, b"").directory("deep", 0o700).file("deep/a", b"1").hard_link("b", "deep/a");
        let mut layers = vec![(device.end(), gzip as Compress), lower];
        for layer in 0..extra {
            layers.push((Tar::new().file("deep/again", format!("{layer}").as_bytes()).end(), gzip));
            layers.push((Tar::new().file("deep/.wh.again", b"").file("dev/.wh.null", b"").end(), gzip));
        }
        layers.push(upper);
        layers.push((Tar::new().directory("deep", 0o751).end(), gzip));
        layout.index(&[named(layout.image(&layers, json!({})), "x")]);
        images.push(store.resolve(layout.place.as_os_str()).unwrap());
    }
    let [few, many] = [layers(&images[0]), layers(&images[1])];
    assert_eq!((few.len(), many.len()), (4, 1));
    // What overlayfs shows of the few is what the one tree of the many has.
    assert_eq!(merged(&many, 0), merged(&few, 0));
    assert_eq!(std::fs::metadata(many[0].join("deep")).unwrap().mode() & 0o7777, 0o751);
    assert_eq!(std::fs::metadata(many[0].join("b")).unwrap().ino(), std::fs::metadata(few[0].join("b")).unwrap().ino());
    assert!(!many[0].with_file_name("kept").exists(), "the device was hidden by a layer above");
    // It is saved as the layers it came as, and goes with them.
    let Source::Layers { digest, .. } = &images[1] else { panic!() };
    let mut saved = Vec::new();
    let options = ctr::image::SaveOptions::default();
    store.save(digest, ctr::image::Output::Writer(Box::new(&mut saved)), &options, &mut |_| true).unwrap();
    let other = ctr::image::Store::open(Some(&scratch.path("other"))).unwrap();
    let again = other.resolve(scratch.write("saved.tar", &saved).as_os_str()).unwrap();
    assert_eq!(merged(&layers(&again), 0), merged(&few, 0));
    drop(images);
    store.prune().unwrap();
    assert_eq!(names(&scratch.path("store/layers")), [""; 0]);
}

#[test]
fn no_layer_is_left_where_a_later_one_fails() {
    let scratch = Scratch::new();
    let layout = Layout::new(scratch.path("layout"));
    let good = Tar::new().file("a", b"1").end();
    let image = layout.image(&[(good, plain), (Tar::new().file("b", b"2").end(), |_| b"not this".to_vec())], json!({}));
    layout.index(&[image]);
    let error = scratch.store().resolve(layout.place.as_os_str()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::BadImage, "{error}");
    for directory in ["tmp", "layers", "images"] {
        assert_eq!(names(&scratch.path("store").join(directory)), [""; 0], "{directory}");
    }
}
