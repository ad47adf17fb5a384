//! What an image has in one of its directories, as a tree of its own: what a volume is filled with.
//!
//! It goes the way of every import (through `archive` and `unpack`), so it has the owners and modes that the image's files have.

use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{cell::RefCell, thread};

use super::export::{Export, Special};
use super::fault::{Fault, Outcome};
use super::import::{self, Importing, Taking};
use super::lower::{Found, Lower};
use super::pipeline::{self, Report};
use super::store::Store;
use super::{give, pipe, write};
use crate::sys::fs::{self, AT_FDCWD, Mode, OFlag, UnlinkatFlags};
use crate::{Result, Step};

/// What the tree is called in the workspace.
pub(super) const NAME: &str = "filled";

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Makes [`NAME`] with `fs` in it, in a workspace: what is at `target` in the image of these trees, lowest first. `None` if there is no
/// directory.
pub(super) fn fill<'s>(
    store: &'s Store,
    trees: &[PathBuf],
    target: &Path,
    shifted: bool,
    shown: &str,
    report: Report<'_>,
) -> Result<Option<Importing<'s>>> {
    let failed = |fault: Fault| fault.into_packing_error(shown, &store.shown());
    let Some(first) = trees.first() else { return Ok(None) };
    let mut lower = Lower::open(trees).map_err(failed)?;
    let names = target.as_os_str().as_bytes().split(|&byte| byte == b'/');
    let path = names.filter(|name| !matches!(*name, b"" | b".")).collect::<Vec<_>>().join(&b'/');
    let path = lower.resolve(&path).map_err(failed)?;
    if !lower.find(&path).map_err(failed)?.as_ref().is_some_and(Found::is_directory) {
        return Ok(None);
    }
    let importing = Importing::begin(store)?;
    copy(&importing, first, lower, &path, shifted, report).map_err(failed)?;
    Ok(Some(importing))
}

fn copy(
    importing: &Importing<'_>,
    root: &Path,
    lower: Lower,
    start: &[u8],
    shifted: bool,
    report: Report<'_>,
) -> Outcome<()> {
    let opened = |errno| Fault::system(Step::OpenLayer, b"", errno);
    let root = fs::openat(AT_FDCWD, root, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(opened)?;
    let rights = lower.rights();
    let (mut out, input) = pipe::pipe();
    thread::scope(|scope| {
        let packer = pipeline::spawn(scope, "ctr-pack", move || {
            let lower = RefCell::new(lower);
            let below = |path: &[u8]| {
                let below = &path[start.len()..];
                Ok(Some(below.strip_prefix(b"/").unwrap_or(below).to_vec()))
            };
            let special = Special {
                names: Some(&below),
                start: start.to_vec(),
                lower: Some(&lower),
                is_lower: true,
                opener: rights.opener(),
                ..Special::default()
            };
            Export::default().entries(special, root, &mut out)?;
            std::io::Write::write_all(&mut out, &write::END).and_then(|()| out.finish()).map_err(Fault::write)
        })?;
        let source = pipeline::Source { input: Box::new(input), total: 0, hash_blob: false };
        let unpacked = pipeline::run(source, importing.bounds(), report, |stream, counters, own_umask| {
            let taking = Taking { shifted, ..Taking::default() };
            import::layer(importing, NAME, taking, stream, counters, own_umask)
        });
        pipe::both(pipeline::join(packer), unpacked.map(drop))
    })?;
    let layer = fs::openat(importing.workspace.fd(), NAME, DIRECTORY, Mode::empty()).map_err(opened)?;
    give::owed(layer.as_fd(), &importing.rights, &importing.store.limits)?;
    // What a layer has beside its tree, and a volume has no use for.
    for name in ["size", super::store::ROOT, "kept"] {
        _ = fs::unlinkat(&layer, name, UnlinkatFlags::NoRemoveDir);
    }
    Ok(())
}
