//! What the fuzz targets of `fuzz/` call; not part of the library.

mod trees;
mod whiteouts;

pub use trees::trees;
pub use whiteouts::whiteouts;

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use super::archive::Archive;
use super::documents;
use super::entry::Kind;
use super::export::Export;
use super::fault::Fault;
use super::limits::{Limits, Used};
use super::recorder::{self, Recorder};
use super::split;
use super::unpack::Unpack;

fn limits() -> Limits {
    Limits { entries: 200, file: 1 << 20, header: 64 << 10, depth: 64, ..Limits::default() }
}

/// The names and sizes of an archive's entries; `None` where it is refused or cut off.
pub fn entries(bytes: &[u8]) -> Option<Vec<(Vec<u8>, u64)>> {
    let limits = limits();
    let mut archive = Archive::new(bytes, &limits);
    let mut entries = Vec::new();
    while let Some(entry) = archive.next().ok()? {
        entries.push((entry.path, entry.size));
    }
    archive.has_end().then_some(entries)
}

/// Unpacks in a scratch directory, and where that works packs and unpacks what it made.
pub fn unpack(bytes: &[u8]) {
    scratch(|place| {
        if let Some(packed) = unpack_to(&place.join("store/one"), bytes) {
            let again = unpack_to(&place.join("store/two"), &packed).expect("what we packed can be unpacked");
            assert!(packed == again, "the circle changed something");
        }
    });
}

/// Calls `work` with a directory in which it may write below "store" only; a victim beside that must not change.
fn scratch(work: impl FnOnce(&Path)) {
    let place = std::path::PathBuf::from(format!("/dev/shm/ctr-fuzz-{}", std::process::id()));
    for name in ["", "victim", "store"] {
        std::fs::create_dir(place.join(name)).expect("a scratch directory");
    }
    work(&place);
    assert_eq!(std::fs::read_dir(place.join("victim")).expect("the victim").count(), 0);
    let mut left: Vec<_> = std::fs::read_dir(&place).expect("it").map(|entry| entry.expect("it").file_name()).collect();
    left.retain(|name| name != "victim" && name != "store");
    assert_eq!(left.len(), 0, "{left:?}");
    let parent = std::fs::File::open("/dev/shm").expect("the parent");
    super::remove::tree(parent.as_fd(), place.file_name().expect("a name").as_encoded_bytes()).expect("removal");
}

fn unpack_to(work: &Path, bytes: &[u8]) -> Option<Vec<u8>> {
    std::fs::create_dir_all(work).expect("a directory");
    let root = unpack_archive(work, bytes)?;
    let kept = std::fs::File::open(work.join("kept")).ok();
    let mut out = Vec::new();
    let export = Export { is_layer: true, kept: kept.into_iter().collect(), ..Export::default() };
    match export.write(root, &mut out) {
        Ok(_) => Some(out),
        // It has a file that as an entry of a layer would remove another.
        Err(Fault::Bad { entry, .. }) if entry.rsplit('/').next().is_some_and(|name| name.starts_with(".wh.")) => None,
        Err(fault) => panic!("what we made can't be packed: {fault:?}"),
    }
}

/// Unpacks into "fs" in `work`, and answers that.
fn unpack_archive(work: &Path, bytes: &[u8]) -> Option<OwnedFd> {
    let (limits, used) = (limits(), Used::default());
    std::fs::create_dir(work.join("fs")).expect("a directory");
    let root = || OwnedFd::from(std::fs::File::open(work.join("fs")).expect("a directory"));
    let work_fd = OwnedFd::from(std::fs::File::open(work).expect("a directory"));
    let mut unpack = Unpack::new(root(), work_fd.as_fd(), (&limits, &used), false, false).ok()?;
    let recorder = Recorder::create(work_fd.as_fd()).expect("a record");
    let mut archive = Archive::new(bytes, &limits).recorded(Some(recorder));
    let (mut names, mut above, mut is_replaced) = (BTreeSet::new(), BTreeSet::new(), false);
    while let Some(entry) = archive.next().ok()? {
        unpack.entry(&entry, &mut archive).ok()?;
        is_replaced |= entry.kind != Kind::Directory && above.contains(&entry.path);
        let slashes = entry.path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        above.extend(slashes.map(|at| entry.path[..at].to_vec()));
        is_replaced |= !names.insert(entry.path);
    }
    archive.finish().ok()?;
    unpack.finish(&mut || Ok(())).ok()?;
    let mut again = Vec::new();
    let record = std::fs::File::open(work.join(recorder::NAME)).expect("the record");
    split::rebuild(record, root(), &mut again, &mut |_| ()).expect("it can be read");
    assert!(is_replaced || again == bytes, "the archive does not come again as it was");
    Some(root())
}

/// Reads `bytes` as each kind of document.
pub fn documents(bytes: &[u8]) {
    let _ = documents::document(bytes, "");
    let _ = documents::saved(bytes);
    if let Ok(description) = documents::description(bytes) {
        for digest in description.diff_ids {
            assert_eq!(digest.hex().len(), 64);
        }
    }
}
