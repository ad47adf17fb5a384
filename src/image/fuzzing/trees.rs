//! Trees of files, made as the fuzzer's bytes say: what has changed in one beside the other, exported, and imported again.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::errno::Errno;

use super::super::diff::{Compare, Differences};
use super::super::dirs::Dirs;
use super::super::entry::split;
use super::super::export::{Export, Special};
use super::super::fault::Fault;
use super::super::lower::Lower;
use super::super::owner::Id;
use super::super::unpack::OWNER_XATTR;
use super::super::whiteout::OPAQUE_XATTR;
use super::super::write;
use super::whiteouts::seen;
use super::{scratch, unpack_archive};
use crate::sys::fs::{self, Gid, Mode, OFlag, SFlag, TimeSpec, Uid};

/// Ends what is below, and begins what is above.
const ABOVE: u8 = 0xff;

/// Steps of one tree.
const MAX_STEPS: usize = 300;

const LONG: &[u8] = &[b'l'; 200];

const NAMES: [&[u8]; 8] = [b"a", b"b", b"c", b"etc", b".wh.a", b".wh..wh..opq", b"\xff\n", LONG];

/// Makes two trees, one over the other. What is exported of a tree comes back as it was; a layer of what has changed, over the
/// same tree, shows what the two show; a tree has not changed beside itself.
pub fn trees(bytes: &[u8]) {
    let middle = bytes.iter().position(|&byte| byte == ABOVE).unwrap_or(bytes.len());
    scratch(|place| {
        let [below, above] = [("below", &bytes[..middle]), ("above", &bytes[middle..])].map(|(name, bytes)| {
            let place = place.join("store").join(name);
            std::fs::create_dir(&place).expect("a directory");
            make(&place, bytes);
            place
        });
        // What is opaque hides what is below it, also where that is the same.
        let own = changed(&below, &RefCell::new(lower(&below)));
        assert!(own.is_none_or(|own| own.changes.is_empty()), "a tree beside itself has changed");

        // As a layer: to an import the names of whiteouts are whiteouts, also in an archive that is none.
        let as_layer = || Export { is_layer: true, ..Export::default() };
        if let Some(tar) = packed(as_layer(), Special::default(), &above) {
            let again = place.join("store/again");
            std::fs::create_dir(&again).expect("a directory");
            if let Some(root) = unpack_archive(&again, &tar) {
                let mut twice = Vec::new();
                as_layer().write(root, &mut twice).expect("what we made can be packed");
                assert!(tar == twice, "the circle changed something");
            }
        }

        if let Some(layer) = layer(&below, &above) {
            let over = place.join("store/layer");
            std::fs::create_dir(&over).expect("a directory");
            if unpack_archive(&over, &layer).is_some() {
                let seen = |above: &Path| {
                    seen(&mut Lower::open(&[below.clone(), above.into()]).expect("two trees")).expect("what is seen")
                };
                assert_eq!(seen(&over.join("fs")), seen(&above), "the layer of {bytes:?}");
            }
        }
    });
}

fn opened(place: &Path) -> OwnedFd {
    File::open(place).expect("a directory").into()
}

fn lower(tree: &Path) -> Lower {
    Lower::open(&[tree.to_owned()]).expect("a tree")
}

/// What has changed above.
fn changed(above: &Path, lower: &RefCell<Lower>) -> Option<Differences> {
    let go_on = RefCell::new(|| true);
    let compare = Compare {
        upper: Dirs::new(opened(above)),
        lower,
        inside: &|id| Some(same(id)),
        believes: true,
        times_of_directories: true,
        mount_points: &BTreeSet::new(),
        left_out: &BTreeSet::new(),
        go_on: &go_on,
    };
    refused(compare.run())
}

/// The same as a commit makes a layer of it.
fn layer(below: &Path, above: &Path) -> Option<Vec<u8>> {
    let lower = RefCell::new(lower(below));
    let all = changed(above, &lower)?;
    let names = |path: &[u8]| Ok(all.is_wanted(path).then(|| path.to_vec()));
    let is_opaque = |path: &[u8]| all.opaque.contains(path);
    if all.is_empty() {
        return Some(write::END.to_vec());
    }
    let special = Special {
        names: Some(&names),
        is_opaque: Some(&is_opaque),
        lower: Some(&lower),
        remembered: all.remembered.clone(),
        ..Special::default()
    };
    packed(Export { is_layer: true, ..Export::default() }, special, above)
}

fn same(id: Id) -> u32 {
    match id {
        Id::User(id) | Id::Group(id) => id,
    }
}

fn packed(export: Export<'_>, special: Special<'_>, root: &Path) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    refused(export.entries(special, opened(root), &mut out))?;
    out.extend_from_slice(&write::END);
    Some(out)
}

/// `None` where the tree is one that no archive can hold.
fn refused<T>(outcome: Result<T, Fault>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(Fault::Bad { .. } | Fault::Over { .. } | Fault::TooMany { .. }) => None,
        Err(fault) => panic!("{fault:?}"),
    }
}

/// Makes a tree. A step is four bytes: what, its name, another name, a value. What can't be made is left out.
fn make(root: &Path, bytes: &[u8]) {
    let (mut tree, mut at) = (Dirs::new(opened(root)), Vec::new());
    for step in bytes.split(|&byte| byte == ABOVE).next_back().unwrap_or_default().chunks_exact(4).take(MAX_STEPS) {
        let [what, name, other, value] = *step else { continue };
        let name = NAMES[usize::from(name) % NAMES.len()];
        match what % 14 {
            0 => at = split(&at).0.to_vec(),
            1 => {
                for _ in 0..=value / 8 {
                    if tree.enter(&at).is_ok_and(|here| fs::mkdirat(here, name, Mode::S_IRWXU).is_ok()) {
                        at = if at.is_empty() { name.to_vec() } else { [&at, &b"/"[..], name].concat() };
                    }
                }
            }
            what => {
                let other = NAMES[usize::from(other) % NAMES.len()];
                // A step that fails leaves the tree as it is.
                _ = tree.enter(&at).map(|here| node(what, here, name, other, value));
            }
        }
    }
}

fn node(what: u8, here: std::os::fd::BorrowedFd, name: &[u8], other: &[u8], value: u8) -> Result<(), Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let open = || fs::openat(here, name, flags, Mode::empty());
    let create = || {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        fs::openat(here, name, flags, Mode::from_bits_truncate(0o644)).map(File::from)
    };
    let text = |length: u8| vec![value; length.into()];
    match what {
        2 => fs::mkdirat(here, name, Mode::S_IRWXU),
        3 => create()?.write_all_at(&text(value), 0).map_err(|_| Errno::EIO),
        4 => {
            let file = create()?;
            fs::ftruncate(&file, i64::from(value) << 12)?;
            file.write_all_at(b"x", u64::from(value) << 11).map_err(|_| Errno::EIO)
        }
        5 => fs::symlinkat(other, here, name),
        6 => fs::linkat(here, other, here, name, fs::AtFlags::empty()),
        7 => fs::mknodat(here, name, SFlag::S_IFIFO, Mode::from_bits_truncate(0o600), 0),
        8 => fs::mknodat(here, name, SFlag::S_IFCHR, Mode::empty(), 0),
        9 => fs::fsetxattr(open()?, OPAQUE_XATTR, b"y"),
        10 => fs::fsetxattr(open()?, [b"user.", other].concat().as_slice(), &text(value)),
        11 => fs::fsetxattr(open()?, OWNER_XATTR, format!("{value}:{}:{:o}", other.len(), value).as_bytes()),
        12 => {
            let file = open()?;
            fs::fchown(&file, Some(Uid::from_raw(value.into())), Some(Gid::from_raw(other.len() as u32)))?;
            fs::fchmod(&file, Mode::from_bits_truncate(u32::from(value) << 4 | 0o7))
        }
        _ => {
            let time = TimeSpec::new(i64::from(value) << 24, 7);
            fs::futimens(open()?, &time, &time)
        }
    }
}
