//! Namespaces of running containers, which their PID 1 opens for us.

use std::os::fd::{AsFd, OwnedFd};

use ctr_wire::{NONE, RUN};
use nix::fcntl::OFlag;

use super::namespaces::KINDS;
use super::peer::pid_of;
use super::shared::Shared;
use super::state::StateDir;
use crate::plan::{CWD, Header, Plan};
use crate::{Error, Result, Step, sys};

/// The container whose PID 1 is `pid`, where that is closed to us: prctl(2), PR_SET_DUMPABLE. Its user can reach it by name.
pub fn closed(state: &StateDir, pid: i32) -> Option<Shared> {
    let refused = std::fs::read_link(format!("/proc/{pid}/ns/user")).err()?;
    if refused.kind() != std::io::ErrorKind::PermissionDenied {
        return None;
    }
    let names = state.list().ok()?.into_iter().map(|container| container.name);
    let name = names.into_iter().find(|name| matches!(pid_of(state, name), Ok(Some(found)) if found == pid))?;
    Shared::join(StateDir::open(Some(state.path())).ok()?, &name).ok()
}

/// The namespace of a running container, opened by its own PID 1: nobody else may look at its /proc entries.
pub fn namespace_of(state: &StateDir, name: &str, kind: &'static str) -> Result<OwnedFd> {
    let again = StateDir::open(Some(state.path()))?;
    open_by_itself(&Shared::join(again, name)?, kind)
}

pub fn open_by_itself(container: &Shared, kind: &'static str) -> Result<OwnedFd> {
    let name = container.called();
    let mut plan = Plan::new();
    plan.step(Step::OpenNamespace, kind, "", "");
    let slot = plan.slot();
    let path = plan.bytes(format!("/proc/self/ns/{kind}"));
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    plan.openat(CWD, path, flags).out(slot);
    let mut header = Header::new(RUN);
    header.give = [slot.0, NONE, NONE, NONE];
    let fd = container.run(&header, &plan)?.pop();
    let fd = fd.ok_or_else(|| Error::system(Step::OpenNamespaceOfContainer, name, libc::EPROTO))?;
    // Whatever its PID 1 has sent: only a namespace of that kind will do.
    let is_namespace =
        nix::sys::statfs::fstatfs(&fd).is_ok_and(|fs| fs.filesystem_type() == nix::sys::statfs::NSFS_MAGIC);
    let flag = KINDS.iter().find(|known| known.name == kind).map(|known| known.flag);
    if is_namespace && sys::namespace_kind(fd.as_fd()).is_none_or(|found| Some(found) == flag) {
        return Ok(fd);
    }
    Err(Error::system(Step::OpenNamespaceOfContainer, name, libc::EPROTO))
}
