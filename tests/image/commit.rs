//! What a container has changed, and new images made of it.

use std::collections::BTreeMap;

use ctr::image::{
    Change, Compression, ImageConfig, ImportOptions, Input, MakeOptions, Output, SaveOptions, Source, Store,
};
use ctr::{Bind, Config, Container, ErrorCode, Mount, Tmpfs, Upper};
use serde_json::json;

use crate::support::*;

/// As `docker diff` prints it.
fn diff(c: &Container) -> Vec<String> {
    let letter = |change| match change {
        Change::Added => 'A',
        Change::Changed => 'C',
        Change::Deleted => 'D',
    };
    c.diff().unwrap().iter().map(|line| format!("{} {}", letter(line.change), line.path.display())).collect()
}

fn commit(c: &Container, name: &str, config: Option<ImageConfig>) -> ctr::image::Image {
    let options = MakeOptions::default().with(|o| {
        o.name = Some(name.into());
        o.config = config;
        o.epoch = Some(1_700_000_001);
    });
    c.commit(&options, &mut |_| true).unwrap()
}

fn base() -> Tar {
    busybox()
        .directory("d", 0o755)
        .file("d/one", b"1")
        .file("d/two", b"2")
        .directory("d/deep", 0o755)
        .file("d/deep/three", b"3")
        .directory("replaced", 0o755)
        .file("replaced/old", b"")
        .file("replaced/same", b"same")
        .directory("opened", 0o755)
        .file("opened/for-writing", b"x")
        .file("becomes-directory", b"")
        .directory("becomes-file", 0o755)
        .file("becomes-file/x", b"")
        .hard_link("hard", "d/one")
        .symlink("link", "d/one")
}

#[test]
fn a_container_that_did_nothing_differs_in_nothing() {
    let scratch = Scratch::new();
    let config = json!({"WorkingDir": "/work/dir", "Volumes": {"/data/volume": {}}});
    let image = scratch.write("a.tar", &docker_archive(&[base().end()], &config));
    let mounts = vec![
        Mount::Tmpfs(Tmpfs::new("/d/mounted")),
        Mount::Bind(Bind::new("/etc/hostname", "/etc/some/file").with(|b| b.read_only = true)),
    ];
    for upper in [Upper::Memory, Upper::Disk] {
        let c = container(
            &scratch,
            &image,
            Config::default().with(|c| {
                c.upper = upper;
                c.mounts = mounts.clone();
            }),
        );
        assert_eq!(diff(&c), [""; 0]);
        // Reading, opening for writing and touching back are no change; mounts and volumes are not the image's.
        sh(&c, "cat /d/one; : >>/opened/for-writing; echo x >/data/volume/x; echo y >/d/mounted/y; rm -f /nothing");
        assert_eq!(diff(&c), [""; 0]);
        let before = c.image_digest().unwrap().to_owned();
        assert_eq!(commit(&c, "same", None).layers.len(), 1);
        // Another age is another image, but it has no further layer.
        assert!(Store::open(Some(&scratch.path("store"))).unwrap().inspect(&before).is_ok());
    }
}

#[test]
fn what_was_added_changed_and_deleted_is_told() {
    let scratch = Scratch::new();
    let image = scratch.write("a.tar", &docker_archive(&[base().end()], &json!({})));
    let c = container(&scratch, &image, Config::default());
    sh(
        &c,
        "echo new >/new; mkdir -p /tree/of; echo x >/tree/of/files; chmod 600 /d/two; rm /d/one; rm -r /replaced; \
         mkdir /replaced; printf same >/replaced/same; touch -d @1700000000 /replaced/same; \
         rm /becomes-directory; mkdir /becomes-directory; touch /becomes-directory/in; rm -r /becomes-file; \
         echo >/becomes-file; ln -sf elsewhere /link; touch /tmp/t; rm -r /d/deep",
    );
    let expected = [
        "C /becomes-directory",
        "A /becomes-directory/in",
        "C /becomes-file",
        "C /d",
        "D /d/deep",
        "D /d/one",
        "C /d/two",
        "C /link",
        "A /new",
        "C /replaced",
        "D /replaced/old",
        "A /tmp",
        "A /tmp/t",
        "A /tree",
        "A /tree/of",
        "A /tree/of/files",
    ];
    assert_eq!(diff(&c), expected);
    let joined = scratch.client().join(c.name()).unwrap();
    assert_eq!(diff(&joined), expected);
}

#[test]
fn a_commit_is_the_image_and_a_layer_of_the_difference() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let config = json!({"Env": ["A=1"], "Cmd": ["/bin/cat", "/d/one"], "Volumes": {"/data": {}}});
    let image = scratch.write("a.tar", &docker_archive(&[base().end()], &config));
    let c = container(&scratch, &image, Config::default());
    sh(
        &c,
        "echo new >/new; chown 12:34 /new; ln /new /new2; rm -r /d/deep; rm -r /replaced; mkdir /replaced; \
         printf same >/replaced/same; echo x >/data/x; mkfifo -m 640 /fifo; ln -s /new /to-new; \
         rm /becomes-directory; mkdir -m 2750 /becomes-directory; dd if=/dev/zero of=/sparse bs=1 count=1 seek=10000000 2>/dev/null",
    );
    let mut changed = c.image_config().clone();
    changed.cmd = vec!["/bin/cat".into(), "/new".into()];
    let made = commit(&c, "me/committed:1", Some(changed.clone()));
    assert_eq!(made.names, ["me/committed:1"]);
    assert_eq!(made.config, changed);
    assert_eq!(made.layers.len(), 2, "the base is not copied");
    let layer = names(&made.layers[1]);
    let expected = ["becomes-directory", "d", "fifo", "new", "new2", "replaced", "sparse", "to-new"];
    assert_eq!(layer, expected, "nothing but the difference is in it");
    assert_eq!(names(&made.layers[1].join("replaced")), ["same"]);
    // Committed again, it is the same image, and no other name is lost.
    assert_eq!(commit(&c, "again", Some(changed)).digest, made.digest);
    assert_eq!(store.inspect("me/committed:1").unwrap().names, ["again", "me/committed:1"]);

    let new = container(&scratch, "me/committed:1".as_ref(), Config::default());
    let nothing: [&str; 0] = [];
    assert_eq!(said(&new.exec(nothing, &captured()).unwrap()), "new");
    assert_eq!(sh(&new, "stat -c '%u:%g %h' /new /new2; echo $A"), "12:34 2\n12:34 2\n1");
    assert_eq!(sh(&new, "find /d /replaced /data ! -type d | sort"), "/d/one\n/d/two\n/replaced/same");
    assert_eq!(
        sh(&new, "stat -c '%a %F' /becomes-directory /fifo; stat -c %s /sparse"),
        "2750 directory\n640 fifo\n10000001"
    );
    assert_eq!(diff(&new), [""; 0]);
    // Both see the same, whatever is a layer where.
    let tree = |c: &Container| {
        sh(c, "find / -xdev ! -path '/data*' ! -path '/proc*' -exec stat -c '%n %a %u:%g %F' {} + | sort")
    };
    assert_eq!(tree(&new), tree(&c));

    // Layer upon layer, until they are one tree.
    let mut name = "me/committed:1".to_owned();
    for round in 0..6 {
        let c = container(&scratch, name.as_ref(), Config::default());
        sh(&c, &format!("echo {round} >/round-{round}; rm -f /round-{}", round - 2));
        name = format!("round:{round}");
        commit(&c, &name, None);
    }
    let last = container(&scratch, name.as_ref(), Config::default());
    assert_eq!(sh(&last, "cat /round-*; cat /new"), "4\n5\nnew");
    assert!(matches!(store.resolve(name.as_ref()).unwrap(), Source::Layers { layers, .. } if layers.len() <= 4));
}

#[test]
fn a_commit_reaches_other_tools_as_it_is() {
    if lacks(&["skopeo", "umoci"]) {
        return;
    }
    let scratch = Scratch::new();
    let store = scratch.store();
    // A base that was packed here, so that its layers' digests are those that it is saved with.
    let first = container(&scratch, &scratch.write("a.tar", &base().end()), Config::default());
    let packed = scratch.path("base.tar");
    let options = ctr::image::ExportOptions::default().with(|o| o.epoch = Some(1_700_000_000));
    first.export(Output::Path(&packed), &options, &mut |_| true).unwrap();
    let c = container(&scratch, &packed, Config::default());
    sh(
        &c,
        "echo new >/new; rm -r /d/deep; rm -r /replaced; mkdir /replaced; echo y >/replaced/y; rm /d/one; touch -d @5 /d",
    );
    let made = commit(&c, "committed", None);
    let saved = scratch.path("saved.tar");
    let options = SaveOptions::default().with(|o| {
        o.compression = Compression::Gzip;
        o.epoch = Some(1_700_000_001);
    });
    store.save("committed", Output::Path(&saved), &options, &mut |_| true).unwrap();
    // In another store it is the same image, by its digest.
    let other = Store::open(Some(&scratch.path("other"))).unwrap();
    let again = other.import(Input::Path(&saved), &ImportOptions::default(), &mut |_| true).unwrap();
    assert_eq!(again.digest, made.digest);

    let oci = scratch.path("oci");
    let from = format!("oci-archive:{}", saved.display());
    let to = format!("oci:{}:x", oci.display());
    run("skopeo", &["--insecure-policy".as_ref(), "copy".as_ref(), from.as_ref(), to.as_ref()]);
    let bundle = scratch.path("bundle");
    let image = format!("{}:x", oci.display());
    run("umoci", &["unpack".as_ref(), "--image".as_ref(), image.as_ref(), bundle.as_os_str()]);
    let theirs: BTreeMap<String, String> = lines(&bundle.join("rootfs"))
        .into_iter()
        .map(|line| {
            let (name, rest) = line.split_once(' ').unwrap();
            (name.to_owned(), rest.split(' ').take(2).collect::<Vec<_>>().join(" "))
        })
        .collect();
    // The container's own names in /etc are mounted, as the others are.
    let mounted =
        ["proc*", "sys*", "dev*", "tmp*", "etc/host*", "etc/resolv.conf"].map(|path| format!(" ! -path './{path}'"));
    let ours = sh(&c, &format!("cd /; find . -xdev{}", mounted.concat()));
    let ours: Vec<&str> = ours.lines().filter(|line| *line != ".").map(|line| line.trim_start_matches("./")).collect();
    let theirs_named: Vec<&str> = theirs
        .keys()
        .map(String::as_str)
        .filter(|name| !name.is_empty() && !["proc", "sys", "dev", "tmp"].contains(name))
        .collect();
    let mut ours = ours;
    ours.sort();
    assert_eq!(ours, theirs_named);
    assert_eq!(theirs["d"], "40755 0:0");
}

#[test]
fn a_directory_that_was_changed_becomes_an_image_of_its_own() {
    let scratch = Scratch::new();
    let root = tree(&scratch.store().resolve(scratch.write("a.tar", &base().end()).as_os_str()).unwrap());
    let c = container(&scratch, &root, Config::default());
    sh(&c, "echo x >/x; rm /d/one");
    assert_eq!(diff(&c), ["C /d", "D /d/one", "A /x"]);
    assert_eq!(commit(&c, "of-a-directory", None).layers.len(), 1);
    let new = container(&scratch, "of-a-directory".as_ref(), Config::default());
    assert_eq!(sh(&new, "cat /x; ls /d"), "x\ndeep\ntwo");
}

#[test]
fn what_can_not_be_compared_or_committed_says_why() {
    let scratch = Scratch::new();
    let c = container(&scratch, "host".as_ref(), Config::default());
    for error in [c.diff().err(), c.commit(&MakeOptions::default(), &mut |_| true).err()] {
        assert_eq!(error.unwrap().code(), ErrorCode::Unsupported);
    }
    let image = scratch.write("a.tar", &base().end());
    let c = container(&scratch, &image, Config::default());
    let refuse = |options: MakeOptions| c.commit(&options, &mut |_| true).unwrap_err().to_string();
    let mut config = ImageConfig::default();
    config.env = vec!["=x".into()];
    assert!(refuse(MakeOptions::default().with(|o| o.config = Some(config))).contains("NAME=VALUE"));
    let mut config = ImageConfig::default();
    config.working_dir = "relative".into();
    assert!(refuse(MakeOptions::default().with(|o| o.config = Some(config))).contains("absolute"));
    assert!(refuse(MakeOptions::default().with(|o| o.name = Some("../x".into()))).contains("path"));
    // A name that in a layer would delete another.
    sh(&c, "echo x >/.wh.etc");
    assert!(refuse(MakeOptions::default()).contains(".wh."));
    sh(&c, "rm /.wh.etc; dd if=/dev/zero of=/big bs=1M count=256 2>/dev/null");
    let stopped = c.commit(&MakeOptions::default(), &mut |_| false).unwrap_err();
    assert_eq!(stopped.code(), ErrorCode::Interrupted);
    assert_eq!(names(&scratch.path("store/tmp")).iter().filter(|name| !name.starts_with("lock")).count(), 0);
}

#[test]
fn an_image_in_use_by_a_container_is_there_to_be_committed_upon() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let path = scratch.write("a.tar", &base().end());
    let options = ImportOptions::default().with(|o| o.name = Some("base".into()));
    store.import(Input::Path(&path), &options, &mut |_| true).unwrap();
    let c = container(&scratch, "base".as_ref(), Config::default());
    assert_eq!(store.remove("base").unwrap_err().errno(), libc::EBUSY);
    sh(&c, "echo x >/x");
    commit(&c, "new", None);
    drop(c);
    store.remove("base").unwrap();
    // Its layer is still the new one's.
    let new = container(&scratch, "new".as_ref(), Config::default());
    assert_eq!(sh(&new, "cat /x /d/one"), "x\n1");
}

/// Run by the test below as an ordinary user.
#[test]
#[ignore = "only with CTR_TEST_TARBALL"]
fn commit_as_somebody() {
    let Some(path) = std::env::var_os("CTR_TEST_TARBALL") else { return };
    let place = std::path::PathBuf::from(std::env::var_os("CTR_TEST_STORE").unwrap());
    let config = Config::default().with(|c| {
        c.state_dir = Some(place.join("state"));
        c.store_dir = Some(place.join("store"));
    });
    let c = Container::create(&path, &config).unwrap();
    assert_eq!(diff(&c), [""; 0]);
    sh(&c, "mkdir /closed; echo x >/closed/x; chmod 0 /closed/x /closed; echo y >>/foreign; rm /d/one");
    assert_eq!(diff(&c), ["A /closed", "A /closed/x", "C /d", "D /d/one", "C /foreign"]);
    commit(&c, "new", None);
    let store = Store::open(Some(&place.join("store"))).unwrap();
    store.save("new", Output::Path(&place.join("out.tar")), &SaveOptions::default(), &mut |_| true).unwrap();
    drop(c);
    let again = Container::create("new", &config).unwrap();
    assert_eq!(sh(&again, "cat /closed/x; ls /d; cat /foreign"), "x\ndeep\ntwo\nfy");
}

#[test]
fn an_ordinary_user_commits_and_owners_of_the_image_are_kept() {
    let scratch = Scratch::new();
    let mut foreign = header(b"foreign", b'0', 1);
    foreign.set_uid(7);
    foreign.set_gid(8);
    foreign.set_mode(0o4711);
    let image = scratch.write("a.tar", &base().raw(&foreign, b"f").end());
    let place = scratch.path("nobody");
    std::fs::create_dir(&place).unwrap();
    std::os::unix::fs::chown(&place, Some(65534), Some(65534)).unwrap();
    as_nobody("commit::commit_as_somebody", &image, &place);
    let saved = scratch.store().import(Input::Path(&place.join("out.tar")), &ImportOptions::default(), &mut |_| true);
    let layer = &saved.unwrap().layers[1];
    let lines = lines(layer);
    let line = lines.iter().find(|line| line.starts_with("foreign ")).unwrap();
    // Writing to it has taken its setuid bit away.
    assert!(line.starts_with("foreign 100711 7:8") || line.starts_with("foreign 104711 7:8"), "{line}");
    assert!(lines.iter().any(|line| line.starts_with("closed/x 100000 0:0")), "{lines:#?}");
}

#[test]
fn a_commit_tells_each_entry_and_can_be_stopped() {
    let scratch = Scratch::new();
    let image = scratch.write("a.tar", &docker_archive(&[base().end()], &json!({})));
    let c = container(&scratch, &image, Config::default());
    sh(&c, "mkdir /many; i=0; while [ $i -lt 500 ]; do : >/many/$i; i=$((i+1)); done");
    let mut most = 0;
    c.commit(&MakeOptions::default(), &mut |progress| {
        most = most.max(progress.entries);
        true
    })
    .unwrap();
    assert!(most >= 501, "{most}");
    let stopped = c.commit(&MakeOptions::default(), &mut |progress| progress.entries == 0).err().unwrap();
    assert_eq!(stopped.code(), ctr::ErrorCode::Interrupted, "{stopped}");
}
