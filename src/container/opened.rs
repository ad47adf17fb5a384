//! Namespaces of running containers, which their PID 1 opens for us: nobody else may look at its /proc entries.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use ctr_wire::{self as wire, RUN};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::namespaces::{KINDS, Kind};
use super::peer::pid_of;
use super::shared::Shared;
use super::state::StateDir;
use crate::plan::{Header, Plan};
use crate::{Error, ErrorCode, Namespace, Result, Step, sys};

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
    let names = state.list().ok()?.into_iter().map(|(container, _)| container.name);
    names.into_iter().find(|name| matches!(pid_of(state, name), Ok(Some(found)) if found == pid))
}

/// Those of these kinds that its PID 1 can open: a kernel may lack some.
pub fn namespaces(container: &Shared, kinds: &[&'static Kind]) -> Result<Vec<Opened>> {
    let mut found = Vec::new();
    // As many as go with one answer.
    for kinds in kinds.chunks(Header::new(RUN).give.len()) {
        let mut plan = Plan::new();
        plan.step(Step::OpenNamespacesOfPid1, "PID 1", "", "");
        // The /proc that it has kept open: in one that was mounted for others, as where it joined a process, it is not there.
        let proc = plan.keep_in(wire::PROC);
        let mut slots = Vec::new();
        for kind in kinds {
            let slot = plan.slot();
            let path = plan.bytes(format!("self/ns/{}", kind.name));
            let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
            plan.openat(proc, path, flags).out(slot).ok(libc::ENOENT);
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

/// As [`all`], for something to be done in them by who may do more than the container. The kernel tells which they are, where this
/// process may look into PID 1's /proc entries: root may. Elsewhere it is PID 1 that hands them over, which may have been taken over.
/// Then one that is not the user namespace has to belong to the user namespace that came with it, unless the container was made to
/// share this process's own, and this is it; and who is not root of the machine can enter none but those that they have made.
pub fn verified(container: &Shared, kinds: &[&'static Kind]) -> Result<Vec<Opened>> {
    if let Some(found) = by_proc(container, kinds) {
        // While it lives, nobody else has its pid.
        return if container.lives() { Ok(found) } else { Err(container.gone()) };
    }
    let found = all(container, kinds)?;
    match stranger(&found, |it| is_shared(container, it)) {
        Some(kind) => {
            let why = format!("its PID 1 has handed over a {} namespace that is not the container's own", kind.name);
            let step = Step::OpenNamespaceOfContainer;
            Err(Error::new(ErrorCode::System, step, container.called(), libc::EPROTO, why))
        }
        None => Ok(found),
    }
}

/// Whether the container was made to share this process's own of this kind, and this is it.
fn is_shared(container: &Shared, it: &Opened) -> bool {
    it.kind.of(&container.record.config.namespaces) == Some(&Namespace::Host) && it.kind.is_ours(&it.fd)
}

/// One of them that neither is shared nor belongs to the user namespace among them.
fn stranger(found: &[Opened], is_shared: impl Fn(&Opened) -> bool) -> Option<&'static Kind> {
    let user = found.iter().find(|it| it.kind.name == "user")?.inode;
    let belongs = |it: &&Opened| {
        let owner = sys::owner_of_namespace(&it.fd).ok().and_then(opened);
        it.kind.name == "user" || owner.is_some_and(|owner| owner.inode == user) || is_shared(it)
    };
    found.iter().find(|it| !belongs(it)).map(|it| it.kind)
}

/// By /proc, where all of it may be looked at.
fn by_proc(container: &Shared, kinds: &[&'static Kind]) -> Option<Vec<Opened>> {
    let pid = sys::pidfd_pid(container.pidfd.as_fd()).filter(|&pid| pid > 0)?;
    let open = |kind: &&'static Kind| {
        let path = format!("/proc/{pid}/ns/{}", kind.name);
        opened(sys::open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).ok()?)
    };
    kinds.iter().map(open).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Container};

    #[test]
    fn a_namespace_of_somebody_else_is_told_from_the_containers_own() {
        let kinds: Vec<_> = KINDS.iter().filter(|kind| ["user", "mnt", "net"].contains(&kind.name)).collect();
        let of = |container: &Container| all(&container.shared, &kinds).unwrap();
        let [one, other] = [(); 2].map(|()| Container::create("host", &Config::default()).unwrap());
        assert!(stranger(&of(&one), |_| false).is_none());
        assert_eq!(verified(&one.shared, &kinds).unwrap().len(), 3);
        for kind in ["mnt", "net"] {
            let mut mixed = of(&one);
            mixed.retain(|it| it.kind.name != kind);
            mixed.extend(of(&other).into_iter().filter(|it| it.kind.name == kind));
            assert_eq!(stranger(&mixed, |_| false).map(|kind| kind.name), Some(kind));
            // What is this process's own, and so the host's, least of all.
            mixed.retain(|it| it.kind.name != kind);
            let ours = sys::open(format!("/proc/self/ns/{kind}").as_str(), OFlag::O_RDONLY, Mode::empty()).unwrap();
            mixed.push(opened(ours).unwrap());
            assert_eq!(stranger(&mixed, |_| false).map(|kind| kind.name), Some(kind));
        }
    }
}
