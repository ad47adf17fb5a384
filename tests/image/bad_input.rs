//! What can't be an image, and what the user is told.

use std::os::fd::AsFd;

use ctr::ErrorCode;
use ctr::image::{ImportOptions, Input, Output, SaveOptions};

use crate::support::*;

#[test]
fn a_missing_image_is_not_found() {
    let scratch = Scratch::new();
    let error = scratch.store().resolve("no-such-image".as_ref()).unwrap_err();
    assert_eq!((error.code(), error.errno()), (ErrorCode::NotFound, libc::ENOENT));
    assert!(error.to_string().contains("no-such-image"), "{error}");
    let error = scratch.store().resolve("".as_ref()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Invalid);
}

#[test]
fn an_empty_file_says_so() {
    let scratch = Scratch::new();
    let path = scratch.write("empty.tar", b"");
    let error = scratch.store().resolve(path.as_os_str()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::BadImage);
    assert!(error.to_string().contains("empty"), "{error}");
}

#[test]
fn an_empty_archive_says_so() {
    assert!(refusal(&Scratch::new(), &[0; 10240]).contains("the archive is empty"));
}

#[test]
fn what_is_not_a_tar_says_so() {
    let scratch = Scratch::new();
    for bytes in [&b"hello"[..], &[b'x'; 4096], &[0x7f; 700]] {
        let sentence = refusal(&scratch, bytes);
        assert!(sentence.contains("not a tar archive") && sentence.contains("refused.tar"), "{sentence}");
    }
    assert!(refusal(&scratch, &gzip(b"hello")).contains("not a tar archive"));
}

#[test]
fn a_fifo_does_not_make_us_wait() {
    let scratch = Scratch::new();
    let path = scratch.path("fifo");
    run("mkfifo", &[path.as_os_str()]);
    assert_eq!(scratch.store().resolve(path.as_os_str()).unwrap_err().code(), ErrorCode::BadImage);
}

#[test]
fn an_archive_cut_off_anywhere_is_refused_and_leaves_nothing() {
    let scratch = Scratch::new();
    let mut tar = Tar::new().directory("d", 0o755);
    for file in 0..4 {
        let noise: Vec<u8> = (0..3000u32).map(|at| (at.wrapping_mul(2_654_435_761 + file) >> 13) as u8).collect();
        tar = tar.file(&format!("d/{file}"), &noise);
    }
    let tar = tar.end();
    let whole = tar.len();
    // Where an entry ends nothing is missing that anyone would miss: there are writers that forget the end mark.
    for length in (1..whole - 1024).step_by(509).chain([1024, whole - 1025]) {
        let sentence = refusal(&scratch, &tar[..length]);
        assert!(sentence.contains("cut off") || length < 512, "{length}: {sentence}");
    }
    for (name, compress) in FORMATS {
        let packed = compress(&tar);
        for length in (packed.len() / 2..packed.len()).step_by(211).chain([packed.len() - 1]) {
            let sentence = refusal(&scratch, &packed[..length]);
            assert!(sentence.contains("cut off") || sentence.contains("damaged"), "{name} {length}: {sentence}");
        }
    }
}

#[test]
fn flipped_bits_are_noticed_where_the_format_can() {
    let scratch = Scratch::new();
    let tar = Tar::new().file("a", &[7; 5000]).end();
    for (_, compress) in FORMATS {
        let mut packed = compress(&tar);
        let middle = packed.len() * 3 / 5;
        packed[middle] ^= 0x55;
        refusal(&scratch, &packed);
    }
    let mut broken = tar.clone();
    broken[0] ^= 1;
    assert!(refusal(&scratch, &broken).contains("not a tar"));
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing() {
    let scratch = Scratch::new();
    let place = scratch.path("small");
    std::fs::create_dir(&place).unwrap();
    let mounted = Mounted::tmpfs(&place, "size=1m,mode=0700");
    let store = ctr::image::Store::open(Some(&place)).unwrap();
    let path = scratch.write("large.tar", &Tar::new().file("first", b"1").file("large", &vec![1; 3 << 20]).end());
    let error = store.resolve(path.as_os_str()).unwrap_err();
    assert_eq!((error.code(), error.errno()), (ErrorCode::System, libc::ENOSPC));
    let sentence = error.to_string();
    assert!(sentence.contains("large") && sentence.contains("CTR_STORE_DIR"), "{sentence}");
    for directory in ["tmp", "layers", "images", "seen"] {
        assert_eq!(names(&place.join(directory)), [""; 0], "{directory}");
    }
    // And what fits still does.
    let path = scratch.write("small.tar", &Tar::new().file("first", b"1").end());
    resolve(&store, &path);
    drop(mounted);
}

#[test]
fn cancelling_leaves_nothing() {
    let scratch = Scratch::new();
    let path = scratch.write("a.tar", &Tar::new().file("a", &vec![1; 64 << 20]).end());
    let error = scratch.client().with_report(|_| false).resolve(&path);
    // A fast machine may be done before it is asked.
    if let Err(error) = error {
        assert_eq!(error.code(), ErrorCode::Interrupted, "{error}");
        assert_no_leftovers(&scratch);
    }
}

#[test]
fn an_import_of_a_silent_pipe_can_be_cancelled() {
    let scratch = Scratch::new();
    let (reading, writing) = nix::unistd::pipe().unwrap();
    nix::unistd::write(&writing, &Tar::new().file("a", b"1").end()[..700]).unwrap();
    let mut asked = 0;
    let answer = scratch.store().import(Input::Fd(reading.as_fd()), &ImportOptions::default(), &mut |_| {
        asked += 1;
        asked < 3
    });
    assert_eq!(answer.unwrap_err().code(), ErrorCode::Interrupted);
    assert_no_leftovers(&scratch);
}

#[test]
fn the_last_report_can_still_cancel() {
    let scratch = Scratch::new();
    let (tar, whole) = (Tar::new().file("a", b"1").end(), |progress: ctr::image::Progress| progress.entries == 0);
    let path = scratch.write("a.tar", &tar);
    let answer = scratch.store().import(Input::Path(&path), &ImportOptions::default(), &mut |done| whole(done));
    assert_eq!(answer.unwrap_err().code(), ErrorCode::Interrupted);
    assert_no_leftovers(&scratch);

    let store = scratch.store();
    let image = store.import(Input::Path(&path), &ImportOptions::default(), &mut |_| true).unwrap();
    let out = scratch.path("out.tar");
    let answer = store.save(&image.digest, Output::Path(&out), &SaveOptions::default(), &mut |_| false);
    assert_eq!(answer.unwrap_err().code(), ErrorCode::Interrupted);
    assert_eq!(names(&scratch.0), ["a.tar", "store"]);
}
