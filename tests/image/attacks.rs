//! The holes that unpackers had, carried out against ours, behind a fence. Each test bears the ids of the record it is after.
//!
//! What is here must end in one of two ways: a refusal that leaves nothing, or an image in which the entry is harmless.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use ctr::image::{Limits, Source};
use serde_json::{Value, json};
use sha2::Digest;

use crate::support::*;

/// Imports `tar`; the tree, or the refusal's sentence.
fn attempt(scratch: &Scratch, tar: Tar) -> Result<PathBuf, String> {
    attempt_bytes(scratch, &tar.end())
}

fn attempt_bytes(scratch: &Scratch, bytes: &[u8]) -> Result<PathBuf, String> {
    let path = scratch.write("attack.tar", bytes);
    match scratch.store().resolve(path.as_os_str()) {
        Ok(source) => Ok(tree(&source)),
        Err(error) => {
            assert_eq!(error.code(), ctr::ErrorCode::BadImage, "{error}");
            assert_eq!(names(&scratch.path("store/tmp")), [""; 0]);
            Err(error.to_string())
        }
    }
}

/// As many `..` as any place here is deep.
fn up(scratch: &Scratch) -> String {
    "../".repeat(40) + scratch.path("victim").to_str().unwrap().trim_start_matches('/')
}

#[test]
fn docker_cve_2014_9357_python_cve_2007_4559_names_that_lead_out() {
    behind_a_fence(|scratch| {
        let victim = scratch.path("victim").to_str().unwrap().to_owned();
        for name in [format!("{}/file", up(scratch)), "a/../../b".into(), "..".into(), "./..".into(), "a/..".into()] {
            for tar in [
                Tar::new().pax(&[("path", name.as_bytes())]).file("x", b"evil"),
                Tar::new().pax(&[("path", name.as_bytes())]).directory("x", 0o777),
                Tar::new().pax(&[("path", name.as_bytes())]).symlink("x", "/etc"),
                Tar::new().file("a/b", b"").pax(&[("linkpath", name.as_bytes())]).hard_link("x", "x"),
            ] {
                let sentence = attempt(scratch, tar).unwrap_err();
                assert!(sentence.contains(".."), "{sentence}");
            }
        }
        // An absolute name is one below the image's root.
        let name = format!("{victim}/file");
        let root = attempt(scratch, Tar::new().pax(&[("path", name.as_bytes())]).file("x", b"evil")).unwrap();
        assert_eq!(std::fs::read(root.join(name.trim_start_matches('/'))).unwrap(), b"evil");
    });
}

#[test]
fn tar_rs_cve_2018_20990_cve_2021_38511_node_tar_cve_2021_32803_37701_umoci_cve_2021_29136_docker_cve_2014_6407() {
    behind_a_fence(|scratch| {
        let victim = scratch.path("victim").to_str().unwrap().to_owned();
        for target in [victim.clone(), up(scratch)] {
            let link = |tar: Tar, name: &str| tar.pax(&[("linkpath", target.as_bytes())]).symlink(name, "x");
            // A link, then something through it.
            for tar in [
                link(Tar::new(), "l").file("l/file", b"evil"),
                link(Tar::new(), "l").directory("l/new", 0o777),
                link(Tar::new(), "l").directory("l/directory", 0o777),
                link(Tar::new(), "l").symlink("l/new", "x"),
                link(Tar::new(), "l").file("victim", b"").hard_link("l/new", "victim"),
                link(Tar::new(), "l").hard_link("stolen", "l/file"),
                link(Tar::new(), "l").raw(&header(b"l/fifo", b'6', 0), b""),
                link(Tar::new(), "a/l").symlink("m", "a/l").file("m/file", b"evil"),
                // node-tar's caches forgot that a directory had become a link.
                link(Tar::new().directory("l", 0o755).file("l/x", b""), "l").file("l/file", b"evil"),
                link(Tar::new().directory("l", 0o755), "l").directory("l/directory", 0o777),
            ] {
                // What a link says is looked up from the image's root on, so all of it is made inside.
                if let Ok(root) = attempt(scratch, tar) {
                    let inside = root.join(victim.trim_start_matches('/'));
                    assert!(inside.is_dir() || root.join("a").is_dir(), "{}", inside.display());
                    assert!(!root.join("stolen").exists());
                }
            }
            // A link of the name that is written next: it is replaced, not written through.
            let file = if target == victim { format!("{victim}/file") } else { format!("{target}/file") };
            let link = |tar: Tar, name: &str| tar.pax(&[("linkpath", file.as_bytes())]).symlink(name, "x");
            let root = attempt(scratch, link(Tar::new(), "f").file("f", b"evil")).unwrap();
            assert_eq!(std::fs::read(root.join("f")).unwrap(), b"evil");
            // A hard link to a symbolic link is one more symbolic link.
            let root =
                attempt(scratch, link(Tar::new(), "f").hard_link("g", "f").file("g", b"evil").file("f", b"")).unwrap();
            assert!(!root.join("g").is_symlink());
        }
        // A hard link to a file of the host can't even be said.
        let outside = format!("{victim}/file");
        let sentence = attempt(scratch, Tar::new().pax(&[("linkpath", outside.as_bytes())]).hard_link("f", "x"));
        assert!(sentence.unwrap_err().contains("not in the archive"));
        // The root itself.
        for name in [".", "./", "/", "././/"] {
            let tar = Tar::new().pax(&[("linkpath", victim.as_bytes()), ("path", name.as_bytes())]).symlink("x", "x");
            let sentence = attempt(scratch, tar.file("file", b"evil")).unwrap_err();
            assert!(sentence.contains("root"), "{sentence}");
        }
    });
}

#[test]
fn python_cve_2025_4517_cve_2025_4330_cve_2025_4138_a_path_longer_than_path_max() {
    behind_a_fence(|scratch| {
        let component = "d".repeat(247);
        let mut tar = Tar::new();
        let (mut place, mut short) = (String::new(), Vec::new());
        for step in "abcdefghijklmnop".chars() {
            let directory = format!("{place}{component}");
            tar = tar.pax(&[("path", directory.as_bytes())]).directory("x", 0o755);
            let link = format!("{place}{step}");
            tar = tar.pax(&[("path", link.as_bytes()), ("linkpath", component.as_bytes())]).symlink("x", "x");
            place = format!("{directory}/");
            short.push(step.to_string());
        }
        let long = format!("{}/{}", short.join("/"), "l".repeat(254));
        let back = "../".repeat(short.len());
        let escape = format!("{long}/{}", up(scratch));
        let whole = tar
            .clone()
            .pax(&[("path", long.as_bytes()), ("linkpath", back.as_bytes())])
            .symlink("x", "x")
            .pax(&[("linkpath", escape.as_bytes())])
            .symlink("escape", "x")
            .hard_link("stolen", "escape/file")
            .file("stolen", b"evil");
        // Whatever the length: one component at a time, and never out of the root.
        assert!(attempt(scratch, whole).is_ok_and(|root| std::fs::read(root.join("stolen")).unwrap() == b"evil"));
        let through = tar.pax(&[("linkpath", escape.as_bytes())]).symlink("escape", "x").file("escape/file", b"evil");
        _ = attempt(scratch, through);
    });
}

#[test]
fn tokio_tar_cve_2025_62518_two_sizes() {
    behind_a_fence(|scratch| {
        let inner = Tar::new().file("smuggled", b"evil").0;
        let size = inner.len().to_string();
        let tar =
            Tar::new().pax(&[("size", size.as_bytes())]).raw(&header(b"inner.tar", b'0', 0), &inner).file("after", b"");
        assert!(attempt(scratch, tar).unwrap_err().contains("two different sizes"));
        // The same by other means: sizes of extended headers, and a global size. That in the header of what has no data is
        // passed over by all readers, so what follows is a header.
        for typeflag in *b"3456" {
            let tar = Tar::new().raw(&header(b"x", typeflag, inner.len() as u64), &inner);
            assert!(attempt(scratch, tar).unwrap().join("smuggled").exists(), "{typeflag}");
            let tar =
                Tar::new().pax(&[("size", size.as_bytes())]).raw(&header(b"x", typeflag, inner.len() as u64), &inner);
            assert!(attempt(scratch, tar).unwrap_err().contains("data in an entry"), "{typeflag}");
        }
        let mut global = header(b"g", b'g', 11);
        global.set_mode(0);
        let tar = Tar::new().raw(&global, b"11 size=99\n").file("x", b"");
        assert!(attempt(scratch, tar).unwrap_err().contains("global"));
        let tar = Tar::new().pax(&[("path", b"a")]).pax(&[("path", b"b")]).file("x", b"");
        assert!(attempt(scratch, tar).unwrap_err().contains("two extended headers"));
        let mut old = header(b"x", b'x', 9);
        old.as_mut_bytes()[257..265].fill(0);
        assert!(attempt(scratch, Tar::new().raw(&old, b"9 path=a\n").file("b", b"")).unwrap_err().contains("ustar"));
        let mut negative = header(b"x", b'0', 0);
        negative.as_old_mut().size = [0xff; 12];
        assert!(attempt(scratch, Tar::new().raw(&negative, b"")).unwrap_err().contains("size"));
        // Stopping at the first block of zeros or reading on are both done in the field.
        let mut tar = Tar::new().file("x", b"");
        tar.0.resize(tar.0.len() + 512, 0);
        assert!(attempt(scratch, tar.file("hidden", b"")).unwrap_err().contains("zeros"));
    });
}

#[test]
fn containerd_cve_2025_47290_nobody_else_reaches_what_is_being_unpacked() {
    behind_a_fence(|scratch| {
        let path = scratch.write("attack.tar", &Tar::new().file("a", &vec![1; 32 << 20]).end());
        let mut seen = false;
        let store = scratch.path("store");
        let look = |command: &str| {
            use std::os::unix::process::CommandExt;
            let status = std::process::Command::new("sh")
                .args(["-c", command, "sh", store.to_str().unwrap()])
                .stderr(std::process::Stdio::null())
                .uid(65534)
                .gid(65534)
                .status();
            status.unwrap().success()
        };
        let looks = |_| {
            seen |= look("ls \"$1\"/tmp || ls \"$1\" || cd \"$1\"");
            true
        };
        ctr::Client::new().with_store_dir(&store).with_report(looks).resolve(&path).unwrap();
        assert!(!seen && !look("ls \"$1\"/layers || echo x > \"$1\"/layers/x"));
    });
}

#[test]
fn docker_cve_2017_14992_containerd_cve_2023_25153_bombs() {
    behind_a_fence(|scratch| {
        let limited = |limits: Limits, bytes: &[u8]| {
            let path = scratch.write("attack.tar", bytes);
            let error = scratch.store().with_limits(limits).resolve(path.as_os_str()).unwrap_err();
            assert_eq!((error.code(), error.errno()), (ctr::ErrorCode::BadImage, libc::E2BIG), "{error}");
            assert_no_leftovers(scratch);
            error.to_string()
        };
        let tar = Tar::new().file("zeros", &vec![0; 20 << 20]).file("b/c/d", b"").end();
        for (name, compress) in FORMATS {
            let sentence = limited(Limits::default().with(|l| l.bytes = 1 << 20), &compress(&tar));
            assert!(sentence.contains("\"bytes\""), "{name}: {sentence}");
        }
        // Behind the archive's end, too.
        let tail = [Tar::new().file("a", b"").end(), vec![0; 4 << 20]].concat();
        assert!(limited(Limits::default().with(|l| l.bytes = 1 << 20), &gzip(&tail)).contains("\"bytes\""));
        for (limits, field) in [
            (Limits::default().with(|l| l.entries = 1), "\"entries\""),
            (Limits::default().with(|l| l.file = 1 << 20), "\"file\""),
            (Limits::default().with(|l| l.depth = 2), "\"depth\""),
            (Limits::default().with(|l| l.name = 4), "\"name\""),
            (Limits::default().with(|l| l.walks = 2), "\"walks\""),
        ] {
            let sentence = limited(limits, &tar);
            assert!(sentence.contains(field), "{sentence}");
        }
        // Sizes that are only claimed take no memory and no disk.
        for claim in [header(b"x", b'x', 1 << 33), header(b"L", b'L', 1 << 33), header(b"K", b'K', 1 << 33)] {
            assert!(limited(Limits::default(), &Tar::new().raw(&claim, b"").end()).contains("\"header\""));
        }
        let tar = Tar::new().raw(&header(b"x", b'0', 1 << 33), b"");
        assert!(attempt(scratch, tar).unwrap_err().contains("cut off"));
        let sparse = [
            ("GNU.sparse.major", &b"1"[..]),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.realsize", b"1"),
            ("GNU.sparse.name", b"x"),
        ];
        let tar = Tar::new().pax(&sparse).file("x", b"99999999999999\n");
        assert!(limited(Limits::default(), &tar.end()).contains("\"header\""));
        let huge = [("GNU.sparse.realsize", &b"9000000000000000000"[..]), ("GNU.sparse.map", b"")];
        let tar = Tar::new().pax(&huge[..1]).file("x", b"");
        assert!(limited(Limits::default(), &tar.end()).contains("\"file\""));
    });
}

#[test]
fn a_ratio_that_only_a_bomb_has_is_refused() {
    behind_a_fence(|scratch| {
        // 4 GiB of zeros in a few hundred kilobytes, behind a header that lets them be skipped.
        let head = Tar::new().raw(&header(b"A", b'A', 4 << 30), b"").0;
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        std::io::Write::write_all(&mut encoder, &head).unwrap();
        for _ in 0..4096 {
            std::io::Write::write_all(&mut encoder, &[0; 1 << 20]).unwrap();
        }
        let sentence = attempt_bytes(scratch, &encoder.finish().unwrap()).unwrap_err();
        assert!(sentence.contains("\"ratio\""), "{sentence}");
    });
}

#[test]
fn own_image_bomb_ways_to_entries_that_are_far_from_each_other() {
    behind_a_fence(|scratch| {
        let with = |walks: u64, tar: &Tar| {
            let path = scratch.write("attack.tar", &tar.clone().end());
            scratch
                .store()
                .with_limits(Limits::default().with(|l| l.walks = walks))
                .resolve(path.as_os_str())
                .map(|_| ())
        };
        let is_over = |walks: u64, tar: &Tar| {
            let error = with(walks, tar).unwrap_err();
            assert!(error.errno() == libc::E2BIG && error.to_string().contains("limit \"walks\""), "{error}");
            assert_no_leftovers(scratch);
        };
        // Two names of 500 levels each, in turns: all of each way again for each entry.
        let far = (0..200).fold(Tar::new(), |tar, at| {
            let name = format!("{}{at}", ["a/", "b/"][at % 2].repeat(500));
            tar.pax(&[("path", name.as_bytes())]).file("x", b"")
        });
        is_over(90_000, &far);
        // Headers without long names, whose ways are made of links: each of them leads down and up again many times.
        let mut links = Tar::new().directory("d", 0o755).pax(&[("linkpath", "d/../".repeat(500).as_bytes())]);
        links = links.symlink("l0", "x");
        for at in 1..20 {
            let target = format!("l{}/{}", at - 1, "d/../".repeat(500));
            links = links.pax(&[("linkpath", target.as_bytes())]).symlink(&format!("l{at}"), "x");
        }
        let links = (0..40).fold(links, |tar, at| tar.file(&format!("l{}/file{at}", 18 + at % 2), b""));
        is_over(100_000, &links);
        with(200 * 500 + 10_000, &far).unwrap();
        // In the order of a tree it is a few for each directory, and hardly any for what is in it.
        let near = (0..100).fold(Tar::new(), |tar, at| {
            let tar = tar.directory(&format!("d{at}"), 0o755);
            (0..50).fold(tar, |tar, file| tar.file(&format!("d{at}/{file}"), b""))
        });
        with(500, &near).unwrap();
    });
}

#[test]
fn own_image_bomb_small_archives_take_no_minutes() {
    behind_a_fence(|scratch| {
        let attempt = |bytes: &[u8]| {
            let started = std::time::Instant::now();
            let answer = attempt_bytes(scratch, bytes);
            // Some ten seconds, and room for a machine that is busy.
            assert!(started.elapsed().as_secs() < 40, "{:?} for {} bytes", started.elapsed(), bytes.len());
            answer
        };
        // Names in turns from two trees, each as deep as may be.
        let deep = (0..3000).fold(Tar::new(), |tar, at| {
            let name = format!("{}{at}", ["d/", "e/"][at % 2].repeat(2000));
            tar.pax(&[("path", name.as_bytes())]).file("x", b"")
        });
        let sentence = attempt(&gzip(&deep.end())).unwrap_err();
        assert!(sentence.contains("limit \"walks\""), "{sentence}");
        // All names through as many links as there may be: they are followed once for all that lie beside each other.
        let links = (0..39).fold(Tar::new().directory("c39", 0o755), |tar, at| {
            tar.symlink(&format!("c{at}"), &format!("c{}", at + 1))
        });
        let beside = (0..20_000).fold(links.clone(), |tar, at| tar.file(&format!("c0/{at}"), b""));
        attempt(&gzip(&beside.end())).unwrap();
        let in_turns = (0..20_000).fold(links, |tar, at| tar.file(&format!("c{}/{at}", at % 2), b""));
        let sentence = attempt(&gzip(&in_turns.end())).unwrap_err();
        assert!(sentence.contains("limit \"walks\""), "{sentence}");
        // Streams with nothing in them.
        let streams = |count| [bzip2(b"").repeat(count), bzip2(&Tar::new().file("a", b"").end())].concat();
        attempt(&streams(1000)).unwrap();
        let sentence = attempt(&streams(50_000)).unwrap_err();
        assert!(sentence.contains("bzip2 streams"), "{sentence}");
    });
}

#[test]
fn own_image_bomb_layers_that_are_holes_of_the_archive() {
    behind_a_fence(|scratch| {
        let hole = |size: u64| -> String {
            let mut hash = sha2::Sha256::new();
            (0..size >> 20).for_each(|_| hash.update(vec![0; 1 << 20]));
            hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
        };
        let archive = |sizes: &[u64]| {
            let layers: Vec<(String, u64)> = sizes.iter().map(|&size| (hole(size), size)).collect();
            let ids: Vec<String> = layers.iter().map(|(hex, _)| format!("sha256:{hex}")).collect();
            let config = json!({"os": "linux", "rootfs": {"diff_ids": ids}}).to_string();
            let all: Vec<Value> =
                layers.iter().map(|(hex, size)| json!({"digest": format!("sha256:{hex}"), "size": size})).collect();
            let manifest = json!({"schemaVersion": 2, "config": describe("", config.as_bytes()), "layers": all});
            let manifest = manifest.to_string();
            let tar = layout(&describe("", manifest.as_bytes()), &[config.as_bytes(), manifest.as_bytes()]);
            let tar = layers.iter().fold(tar, |tar, (hex, size)| {
                let (name, size) = (format!("blobs/sha256/{hex}"), size.to_string());
                let sparse: [(&str, &[u8]); 4] = [
                    ("GNU.sparse.major", b"1"),
                    ("GNU.sparse.minor", b"0"),
                    ("GNU.sparse.realsize", size.as_bytes()),
                    ("GNU.sparse.name", name.as_bytes()),
                ];
                let mut map = b"0\n".to_vec();
                map.resize(512, 0);
                tar.pax(&sparse).file("x", &map)
            });
            let bytes = tar.end();
            assert!(bytes.len() < 20 << 10);
            scratch.write("attack.tar", &bytes)
        };
        let import = |limits: Limits, sizes: &[u64]| {
            scratch.store().with_limits(limits).resolve(archive(sizes).as_os_str()).map(|_| ())
        };
        let small = Limits::default().with(|l| l.bytes = 10 << 20);
        let error = import(small.clone(), &[6 << 20, 7 << 20]).unwrap_err();
        assert!(error.errno() == libc::E2BIG && error.to_string().contains("limit \"bytes\""), "{error}");
        assert_no_leftovers(scratch);
        // Of few bytes no such thing is made, however many layers share it.
        let error = import(Limits::default(), &[600 << 20, 601 << 20]).unwrap_err();
        assert!(error.errno() == libc::E2BIG && error.to_string().contains("limit \"ratio\""), "{error}");
        assert_no_leftovers(scratch);
        import(small, &[3 << 20, 4 << 20]).unwrap();
    });
}

/// An archive of an OCI layout whose index lists `descriptor`; `blobs` are there under their digests.
fn layout(descriptor: &Value, blobs: &[&[u8]]) -> Tar {
    let index = json!({"schemaVersion": 2, "manifests": [descriptor]}).to_string();
    let tar = Tar::new().file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#).file("index.json", index.as_bytes());
    blobs.iter().fold(tar, |tar, blob| tar.file(&format!("blobs/sha256/{}", sha256(blob)), blob))
}

fn describe(media_type: &str, blob: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": format!("sha256:{}", sha256(blob)), "size": blob.len()})
}

#[test]
fn oci_cve_2021_41190_a_document_that_is_manifest_and_index_at_once() {
    behind_a_fence(|scratch| {
        let tar = Tar::new().file("a", b"1").end();
        let config = json!({"os": "linux", "rootfs": {"diff_ids": [format!("sha256:{}", sha256(&tar))]}}).to_string();
        let (layer, run) = (describe("", &tar), describe("", config.as_bytes()));
        let manifest = json!({"schemaVersion": 2, "config": run, "layers": [layer]});
        let good = manifest.to_string();
        let blobs = [&tar[..], config.as_bytes(), good.as_bytes()];
        attempt(scratch, layout(&describe("", good.as_bytes()), &blobs)).unwrap();
        let index = "application/vnd.oci.image.index.v1+json";
        let mut both = manifest.clone();
        both["manifests"] = json!([describe("", good.as_bytes())]);
        let mut lying = manifest;
        lying["mediaType"] = json!(index);
        for document in [both, lying] {
            let document = document.to_string();
            for media_type in ["", index, "application/vnd.oci.image.manifest.v1+json"] {
                let descriptor = describe(media_type, document.as_bytes());
                let blobs = [&tar[..], config.as_bytes(), good.as_bytes(), document.as_bytes()];
                let sentence = attempt(scratch, layout(&descriptor, &blobs)).unwrap_err();
                assert!(sentence.contains("or both") || sentence.contains("calls itself"), "{sentence}");
            }
        }
    });
}

#[test]
fn containers_image_cve_2024_3727_docker_cve_2014_9358_a_digest_that_is_a_path() {
    behind_a_fence(|scratch| {
        let tar = Tar::new().file("a", b"1").end();
        let victim = scratch.path("victim/file");
        let out = format!("{}/file", up(scratch));
        for path in [out.as_str(), victim.to_str().unwrap(), "../../oci-layout", "..", "", "."] {
            let digest = format!("sha256:{path}");
            let leads = |size: usize| json!({"mediaType": "", "digest": digest, "size": size});
            let with = |config: &Value, layer: &Value, diff_id: &str| {
                let whole = json!({"os": "linux", "rootfs": {"diff_ids": [diff_id]}}).to_string();
                let config = if config.is_null() { &describe("", whole.as_bytes()) } else { config };
                let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]}).to_string();
                layout(&describe("", manifest.as_bytes()), &[&tar, whole.as_bytes(), manifest.as_bytes()])
            };
            let (layer, good) = (describe("", &tar), format!("sha256:{}", sha256(&tar)));
            for archive in [
                layout(&leads(8), &[&tar]),
                with(&leads(8), &layer, &good),
                with(&Value::Null, &leads(8), &good),
                with(&Value::Null, &layer, &digest),
            ] {
                let sentence = attempt(scratch, archive).unwrap_err();
                assert!(sentence.contains("a digest that is none"), "{path}: {sentence}");
            }
            // Docker's form has paths by design; they begin at the archive's own root.
            let whole = json!({"os": "linux", "rootfs": {"diff_ids": [good]}}).to_string();
            for (config, layer) in [(path, "layer.tar"), ("c.json", path)] {
                let saved = json!([{"Config": config, "Layers": [layer]}]).to_string();
                let archive = Tar::new().file("c.json", whole.as_bytes()).file("layer.tar", &tar);
                assert!(is_refused(scratch, archive.file("manifest.json", saved.as_bytes())), "{path}");
            }
        }
        assert_eq!(names(&scratch.path("store/layers")), [""; 0]);
    });
}

/// Whether an archive is refused, for whatever reason.
fn is_refused(scratch: &Scratch, tar: Tar) -> bool {
    let path = scratch.write("attack.tar", &tar.end());
    scratch.store().resolve(path.as_os_str()).is_err() && names(&scratch.path("store/tmp")).is_empty()
}

#[test]
fn buildah_cve_2024_1753_cve_2024_9407_a_whiteout_through_a_link() {
    behind_a_fence(|scratch| {
        let victim = scratch.path("victim").to_str().unwrap().to_owned();
        let link = || Tar::new().pax(&[("linkpath", victim.as_bytes())]).symlink("l", "x");
        for name in ["l/.wh.file", "l/.wh.directory", "l/.wh..wh..opq"] {
            // It hides what an image has there.
            let root = attempt(scratch, link().file(name, b"")).unwrap();
            assert!(root.join(victim.trim_start_matches('/')).is_dir(), "{name}");
        }
        for name in [".wh.", ".wh..", ".wh...", "a/.wh..."] {
            let sentence = attempt(scratch, Tar::new().file(name, b"")).unwrap_err();
            assert!(sentence.contains("whiteout"), "{name}: {sentence}");
        }
        // A whiteout hides what lies below, not what the same archive has.
        let root = attempt(scratch, Tar::new().file("a", b"1").file(".wh.a", b"")).unwrap();
        assert_eq!(std::fs::read(root.join("a")).unwrap(), b"1");
        // An archive's own overlay attributes and 0/0 devices hide nothing.
        let zero = header(b"zero", b'3', 0);
        let records =
            [("SCHILY.xattr.user.overlay.opaque", &b"y"[..]), ("SCHILY.xattr.user.overlay.redirect", b"/etc")];
        let root = attempt(scratch, Tar::new().raw(&zero, b"").pax(&records).directory("d", 0o755)).unwrap();
        assert!(!root.join("zero").exists());
        assert!(getxattr(root.join("d"), "user.overlay.redirect").is_err());
    });
}

#[test]
fn moby_cve_2021_41091_devices_and_setuid_programs_are_out_of_reach() {
    behind_a_fence(|scratch| {
        let mut disk = header(b"disk", b'4', 0);
        disk.set_device_major(8).unwrap();
        let mut su = header(b"su", b'0', 1);
        su.set_mode(0o6755);
        let root = attempt(scratch, Tar::new().raw(&disk, b"").raw(&su, b"1").directory("d", 0o777)).unwrap();
        assert!(!root.join("disk").exists());
        assert_eq!(std::fs::metadata(root.join("su")).unwrap().mode() & 0o7777, 0o6755);
        let store = std::fs::metadata(scratch.path("store")).unwrap();
        assert_eq!(store.permissions().mode() & 0o7777, 0o700);
        use std::os::unix::process::CommandExt;
        let mut command = std::process::Command::new(root.join("su"));
        let error = command.uid(65534).gid(65534).spawn().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EACCES));
    });
}

#[test]
fn names_at_which_reader_and_file_system_could_disagree() {
    behind_a_fence(|scratch| {
        let named = |name: &[u8]| Tar::new().pax(&[("path", name)]).file("x", b"1");
        assert!(attempt(scratch, named(b"a\0b")).unwrap_err().contains("NUL"));
        assert!(attempt(scratch, named(&[b'n'; 256])).unwrap_err().contains("255"));
        assert!(attempt(scratch, named("d/".repeat(100_000).as_bytes())).unwrap_err().contains("\"name\""));
        let limits = Limits::default().with(|l| l.name = 1 << 20);
        let path = scratch.write("attack.tar", &named("d/".repeat(100_000).as_bytes()).end());
        let error = scratch.store().with_limits(limits).resolve(path.as_os_str()).unwrap_err();
        assert!(error.to_string().contains("\"depth\""), "{error}");
        assert!(attempt(scratch, named(&[b"d/".repeat(3000), b"f".to_vec()].concat())).is_err());
        let tar = Tar::new().pax(&[("linkpath", &[b'l'; 4096])]).symlink("x", "x");
        assert!(attempt(scratch, tar).unwrap_err().contains("4095"));
        // These are different names, here as in the kernel.
        let mut tar = Tar::new();
        let odd: [&[u8]; 7] = [b"a", b"A", b"\xc3\xa4", b"a\xcc\x88", b"a ", b"a\n", b"\xff"];
        for name in odd {
            tar = tar.pax(&[("path", name)]).file("x", name);
        }
        let root = attempt(scratch, tar).unwrap();
        assert_eq!(std::fs::read_dir(root).unwrap().count(), odd.len());
    });
}

#[test]
fn a_directory_in_the_way_does_not_lead_out_when_it_is_replaced() {
    behind_a_fence(|scratch| {
        // What is removed is what is here, not what a link in it points to.
        let victim = scratch.path("victim").to_str().unwrap().to_owned();
        let tar = Tar::new()
            .directory("d", 0o755)
            .pax(&[("linkpath", victim.as_bytes())])
            .symlink("d/l", "x")
            .directory("d/deep/deep/deep", 0o755)
            .pax(&[("linkpath", victim.as_bytes())])
            .symlink("d/deep/deep/deep/l", "x")
            .file("d", b"now a file");
        let root = attempt(scratch, tar).unwrap();
        assert_eq!(std::fs::read(root.join("d")).unwrap(), b"now a file");
        let source = scratch.store().resolve(scratch.path("attack.tar").as_os_str()).unwrap();
        let Source::Layers { digest, lock, .. } = source else { panic!() };
        drop(lock);
        scratch.store().remove(&digest).unwrap();
    });
}
