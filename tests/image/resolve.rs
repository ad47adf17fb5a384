//! What a user may name, and what the second time costs.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use ctr::ErrorCode;
use ctr::image::{Source, Store};

use crate::support::*;

#[test]
fn host_is_host_and_a_directory_is_itself() {
    let scratch = Scratch::new();
    let store = scratch.store();
    assert!(matches!(store.resolve("host".as_ref()).unwrap(), Source::Host));
    let directory = scratch.path("root");
    std::fs::create_dir(&directory).unwrap();
    let Source::Directory(found) = store.resolve(scratch.path("./root/../root").as_os_str()).unwrap() else { panic!() };
    assert_eq!(found, directory.canonicalize().unwrap());
    assert!(!scratch.path("store").exists(), "nothing was imported, so no store was needed");
}

#[test]
fn the_store_is_private() {
    let scratch = Scratch::new();
    let path = scratch.write("a.tar", &Tar::new().file("a", b"1").end());
    resolve(&scratch.store(), &path);
    for directory in ["", "tmp", "layers", "images", "seen"] {
        let mode = std::fs::metadata(scratch.path("store").join(directory)).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o700, "{directory}");
    }
}

#[test]
fn a_store_that_others_can_reach_into_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.write("a.tar", &Tar::new().file("a", b"1").end());
    let place = scratch.path("open");
    std::fs::create_dir(&place).unwrap();
    std::fs::write(place.join("mine"), "").unwrap();
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = Store::open(Some(&place)).unwrap().resolve(path.as_os_str()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Invalid);
    assert!(error.to_string().contains("0755"), "{error}");
    // An empty one becomes ours.
    std::fs::remove_file(place.join("mine")).unwrap();
    resolve(&Store::open(Some(&place)).unwrap(), &path);
    assert_eq!(std::fs::metadata(&place).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn a_known_tarball_is_the_same_image_and_a_rewritten_one_is_not() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let path = scratch.write("a.tar", &Tar::new().file("a", b"1").end());
    let first = resolve(&store, &path);
    assert_eq!(resolve(&store, &path), first);
    // The same content elsewhere is the same layer.
    let copy = scratch.path("copy.tar");
    std::fs::copy(&path, &copy).unwrap();
    assert_eq!(resolve(&store, &copy), first);
    assert_eq!(names(&scratch.path("store/layers")).len(), 1);
    // Rewritten in place, as fast as can be, with the same size and a forged mtime, many times: never mistaken.
    for round in 0..50u8 {
        let times = std::fs::metadata(&path).unwrap().modified().unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &Tar::new().file("a", &[round]).end(), 0).unwrap();
        file.set_modified(times).unwrap();
        drop(file);
        assert_eq!(std::fs::read(resolve(&store, &path).join("a")).unwrap(), [round]);
    }
}

#[test]
fn a_file_changed_while_it_is_read_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.write("a.tar", &Tar::new().file("a", &vec![1; 8 << 20]).end());
    std::thread::sleep(Duration::from_millis(50));
    let file = std::fs::File::options().append(true).open(&path).unwrap();
    let mut is_changed = false;
    let client = scratch.client().with_report(move |progress| {
        if progress.bytes > 0 && !is_changed {
            std::io::Write::write_all(&mut &file, &[0; 512]).unwrap();
            is_changed = true;
        }
        true
    });
    let answer = client.resolve(&path);
    assert!(answer.unwrap_err().to_string().contains("changed while it was read"));
}

#[test]
fn imports_at_the_same_time_do_the_work_once() {
    let scratch = Scratch::new();
    let mut tar = Tar::new();
    for file in 0..200 {
        tar = tar.file(&format!("f{file}"), &vec![file as u8; 10_000]);
    }
    let path = scratch.write("a.tar", &tar.end());
    let trees: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| resolve(&scratch.store(), &path))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(trees.iter().all(|tree| *tree == trees[0]));
    assert_eq!(names(&scratch.path("store/tmp")), [""; 0]);
}

#[test]
fn a_layer_removed_by_hand_is_imported_again() {
    let scratch = Scratch::new();
    let path = scratch.write("a.tar", &Tar::new().file("a", b"1").end());
    let tree = resolve(&scratch.store(), &path);
    std::fs::remove_dir_all(tree.parent().unwrap()).unwrap();
    assert_eq!(std::fs::read(resolve(&scratch.store(), &path).join("a")).unwrap(), b"1");
}

#[test]
fn what_a_killed_import_left_is_swept() {
    let scratch = Scratch::new();
    let path = scratch.write("a.tar", &Tar::new().file("a", b"1").end());
    let left = scratch.path("store/tmp/12345-0/layer/fs/deep/er");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::set_permissions(scratch.path("store"), std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(left.join("file"), "x").unwrap();
    resolve(&scratch.store(), &path);
    assert_eq!(names(&scratch.path("store/tmp")), [""; 0]);
}

/// Run by the test below under strace(1).
#[test]
#[ignore = "only with CTR_TEST_TARBALL"]
fn resolve_twice() {
    let Some(path) = std::env::var_os("CTR_TEST_TARBALL") else { return };
    let place = std::env::var_os("CTR_TEST_STORE").unwrap();
    drop(Store::open(Some(place.as_ref())).unwrap().resolve(&path).unwrap());
    let _ = std::fs::metadata("/begin-of-the-count");
    drop(Store::open(Some(place.as_ref())).unwrap().resolve(&path).unwrap());
    let _ = std::fs::metadata("/end-of-the-count");
}

#[test]
fn the_second_resolve_costs_twelve_system_calls() {
    if lacks(&["strace"]) {
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.write("a.tar", &Tar::new().file("a", b"1").end());
    let trace = scratch.path("trace");
    let output = std::process::Command::new("strace")
        .arg("-f")
        .arg("-o")
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "resolve::resolve_twice"])
        .env("CTR_TEST_TARBALL", &path)
        .env("CTR_TEST_STORE", scratch.path("store"))
        .output()
        .expect("strace is needed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let trace = std::fs::read_to_string(trace).unwrap();
    let counted: Vec<&str> = trace
        .lines()
        .skip_while(|line| !line.contains("begin-of-the-count"))
        .skip(1)
        .take_while(|line| !line.contains("end-of-the-count"))
        // A debug build of std looks at each descriptor before it closes it.
        .filter(|line| !line.contains("F_GETFD"))
        .collect();
    assert!(counted.len() == 12, "{}:\n{}", counted.len(), counted.join("\n"));
}

/// Moments at which an import is killed; CTR_TEST_KILLS sets another number.
const KILLS: u64 = 16;

/// Run by the test below, again and again, until it is killed.
#[test]
#[ignore = "only with CTR_TEST_TARBALL"]
fn import_until_killed() {
    let Some(path) = std::env::var_os("CTR_TEST_TARBALL") else { return };
    let place = std::path::PathBuf::from(std::env::var_os("CTR_TEST_STORE").unwrap());
    loop {
        resolve(&Store::open(Some(&place)).unwrap(), path.as_ref());
        for directory in ["images", "layers"] {
            let _ = std::fs::rename(place.join(directory), place.with_extension(directory));
            let _ = std::fs::remove_dir_all(place.with_extension(directory));
        }
    }
}

#[test]
fn a_kill_at_any_moment_leaves_no_half_image() {
    let scratch = Scratch::new();
    let mut tar = Tar::new();
    for file in 0..300 {
        tar = tar
            .file(&format!("d{}/f{file}", file % 7), &vec![file as u8; 5_000])
            .hard_link(&format!("l{file}"), "d0/f0");
    }
    let path = scratch.write("a.tar", &tar.end());
    let expected = lines(&resolve(&Store::open(Some(&scratch.path("other"))).unwrap(), &path));
    let mut has_layer = 0;
    let rounds = std::env::var("CTR_TEST_KILLS").map_or(KILLS, |count| count.parse().unwrap());
    for round in 0..rounds {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "resolve::import_until_killed"])
            .env("CTR_TEST_TARBALL", &path)
            .env("CTR_TEST_STORE", scratch.path("store"))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(20 + round * 37 % 101));
        // The last one lives until it has a layer: that is where the others were on their way to.
        while round + 1 == rounds
            && names(&scratch.path("store/layers")).is_empty()
            && child.try_wait().unwrap().is_none()
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        if round + 1 == rounds {
            has_layer += i32::from(child.try_wait().unwrap().is_none());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for layer in names(&scratch.path("store/layers")) {
            has_layer += 1;
            assert_eq!(lines(&scratch.path("store/layers").join(layer).join("fs")), expected);
        }
        // What was left is no hindrance and goes.
        assert_eq!(lines(&resolve(&scratch.store(), &path)), expected);
        for image in names(&scratch.path("store/images")) {
            std::fs::remove_file(scratch.path("store/images").join(image)).unwrap();
        }
        resolve(&scratch.store(), &path);
        assert_eq!(names(&scratch.path("store/tmp")), [""; 0]);
    }
    assert!(has_layer > 0, "no round came as far as a layer");
}
