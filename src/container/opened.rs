//! Namespaces of running containers, which their PID 1 opens for us: nobody else may look at its /proc entries.

use std::os::fd::{AsRawFd, OwnedFd};

use ctr_wire::RUN;
use nix::fcntl::OFlag;

use super::namespaces::{KINDS, Kind};
use super::peer::pid_of;
use super::shared::Shared;
use super::state::StateDir;
use crate::plan::{CWD, Header, Plan};
use crate::{Error, ErrorCode, Result, Step};

/// A namespace of a container.
pub struct Opened {
    pub kind: &'static Kind,
    /// The number that tells it from others of its kind.
    pub inode: u64,
    pub fd: OwnedFd,
}

/// The name of the container whose PID 1 is `pid`, where that is closed to us: prctl(2), PR_SET_DUMPABLE. Its user can reach it
/// by name.
pub fn closed(state: &StateDir, pid: i32) -> Option<String> {
    let refused = std::fs::read_link(format!("/proc/{pid}/ns/user")).err()?;
    if refused.kind() != std::io::ErrorKind::PermissionDenied {
        return None;
    }
    let names = state.list().ok()?.into_iter().map(|container| container.name);
    names.into_iter().find(|name| matches!(pid_of(state, name), Ok(Some(found)) if found == pid))
}

/// Those of these kinds that its PID 1 can open: a kernel may lack some.
pub fn namespaces(container: &Shared, kinds: &[&'static Kind]) -> Result<Vec<Opened>> {
    let mut found = Vec::new();
    // As many as go with one answer.
    for kinds in kinds.chunks(Header::new(RUN).give.len()) {
        let mut plan = Plan::new();
        plan.step(Step::OpenNamespacesOfPid1, "PID 1", "", "");
        let mut slots = Vec::new();
        for kind in kinds {
            let slot = plan.slot();
            let path = plan.bytes(format!("/proc/self/ns/{}", kind.name));
            let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
            plan.openat(CWD, path, flags).out(slot).ok(libc::ENOENT);
            slots.push(slot);
        }
        let fds = container.run(&Header::new(RUN).giving(&slots), &plan)?;
        found.extend(fds.into_iter().filter_map(opened));
    }
    Ok(found)
}

/// As [`namespaces`], where all of these have to be there.
pub fn all(container: &Shared, kinds: &[&'static Kind]) -> Result<Vec<Opened>> {
    let found = namespaces(container, kinds)?;
    match kinds.iter().find(|kind| !found.iter().any(|it| it.kind.name == kind.name)) {
        Some(kind) => {
            let why = format!("its PID 1 has not handed over its {} namespace", kind.name);
            let step = Step::OpenNamespaceOfContainer;
            Err(Error::new(ErrorCode::System, step, container.called(), libc::EPROTO, why))
        }
        None => Ok(found),
    }
}

/// What PID 1 sent, where it is a namespace: told by what its descriptor leads to, `net:[4026531840]`, as nothing else does.
/// Whatever else a PID 1 that was taken over may have sent is not touched: stat(2) of a file on a FUSE of its own would not come
/// back.
fn opened(fd: OwnedFd) -> Option<Opened> {
    let leads_to = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()?;
    let (kind, inode) = leads_to.to_str()?.strip_suffix(']')?.split_once(":[")?;
    let kind = KINDS.iter().find(|known| known.name == kind)?;
    Some(Opened { kind, inode: inode.parse().ok()?, fd })
}
