//! Layers that are made of a container's changes as they lie there: nothing is packed, hashed or read twice, and where both are on one
//! file system that can do so, files share their blocks until one of both is written to (btrfs, xfs).
//!
//! Nobody has hashed such a layer, so it has a name of its own, by which only this store knows it. What is saved gets digests then.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::BorrowedFd;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;

use super::digest::Digest;
use super::entry::{Entry, Extent};
use super::export::Taker;
use super::fault::{Fault, Outcome};
use super::import::{self, Importing};
use super::pipeline::{self, Counters, Report};
use super::unpack::Content;
use crate::Step;
use crate::sys::fs;

/// What the tree is called in the workspace.
const NAME: &str = "snapshot";

/// Keeps a layer of the entries that `work` has taken.
pub(super) fn layer(
    importing: &Importing<'_>,
    report: Report<'_>,
    work: impl FnOnce(&Taker<'_>) -> Outcome<()> + Send,
) -> Outcome<Digest> {
    let counters = Counters::new(0);
    pipeline::watch(&counters, report, || {
        let own_umask = pipeline::own_umask();
        let mut go_on = || counters.check().map_err(Fault::read);
        import::made(importing, NAME, own_umask, &mut go_on, |unpack, _| {
            let (unpack, size) = (RefCell::new(unpack), RefCell::new(0));
            work(&|entry: &Entry, file: Option<BorrowedFd<'_>>| {
                counters.check().map_err(Fault::read)?;
                unpack.borrow_mut().entry(entry, &mut Opened(file))?;
                *size.borrow_mut() += entry.size;
                counters.count(usize::try_from(entry.size).unwrap_or(usize::MAX));
                counters.entry();
                Ok(())
            })?;
            Ok(size.into_inner())
        })
    })?;
    let digest = name();
    import::publish_layer(importing, NAME, digest)?;
    Ok(digest)
}

/// One that no other layer has.
fn name() -> Digest {
    let mut bytes = [0; 32];
    if crate::sys::random(&mut bytes) {
        return Digest::from_bytes(bytes);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    Digest::of(format!("snapshot {} {now}", crate::sys::process_id()).as_bytes())
}

/// A file whose content another gets.
struct Opened<'f>(Option<BorrowedFd<'f>>);

impl Content for Opened<'_> {
    fn write(&mut self, file: &File, entry: &Entry) -> Outcome<()> {
        let Some(from) = self.0 else { return Ok(()) };
        if fs::ficlone(file, from).is_ok() {
            return Ok(());
        }
        let failed = |error: io::Error| {
            let errno = fs::errno_of(&error).unwrap_or(Errno::EIO);
            Fault::system(Step::Write, &entry.path, errno)
        };
        let from = File::from(from.try_clone_to_owned().map_err(Fault::read)?);
        let (mut from, mut to, whole) = (&from, file, [Extent { offset: 0, length: entry.size }]);
        for extent in entry.sparse.as_deref().unwrap_or(&whole) {
            for mut file in [from, to] {
                file.seek(SeekFrom::Start(extent.offset)).map_err(failed)?;
            }
            // copy_file_range(2) or sendfile(2), where the kernel can. One that has become shorter ends in a hole.
            io::copy(&mut Read::by_ref(&mut from).take(extent.length), &mut to).map_err(failed)?;
        }
        fs::ftruncate(file, entry.size as i64).map_err(|errno| failed(errno.into()))
    }
}
