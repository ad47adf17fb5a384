//! What can't be id-mapped: which mount of a tree it is that the kernel refuses.

use std::path::Path;

use ctr_wire::RESULTS;

use super::blueprint::open_path;
use crate::helper::Start;
use crate::plan::{Fd, Slot};
use crate::rootfs::{Mapped, idmap};
use crate::sys::mountinfo;
use crate::{Error, Result, Step, hints, sys};

/// Tries whether this mount can be id-mapped: in a process that ends at once, and without what is mounted below it.
pub fn id_map(place: &Path) -> Result<()> {
    let mut start = Start::new(libc::CLONE_NEWUSER | libc::CLONE_NEWNS);
    let sent = start.setup.send(Fd::Owned(open_path(place)?));
    let (parent, handed) = &mut start.parent;
    idmap(parent, place, sent, Slot(RESULTS as u8), Mapped::Image);
    *handed = 1;
    start.try_out()
}

/// A bind is refused as a whole where one mount of its tree is. Where that is one below what is bound, the error names it.
pub fn blame(error: Error) -> Error {
    let refused = |error: &Error| matches!(error.errno(), libc::EINVAL | libc::EPERM);
    let bound = Path::new(error.object());
    if error.failed_step() != Step::IdMapBind || !refused(&error) || id_map(bound).is_err() {
        return error;
    }
    let mounts = sys::file::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
    let below = mountinfo::lines(&mounts).filter(|mount| {
        let place = Path::new(&mount.target);
        place != bound && place.starts_with(bound)
    });
    for mount in below {
        let Err(refusal) = id_map(Path::new(&mount.target)) else { continue };
        if refused(&refusal) {
            let bound = error.object();
            let why =
                format!("what is mounted there ({}) lies below {bound}, which is bound with all of it", mount.kind);
            return Error::system(Step::IdMapBind, &mount.target, refusal.errno())
                .so(&why)
                .with_code(error.code())
                .with_hint(hints::IDMAP_BELOW);
        }
    }
    error
}
