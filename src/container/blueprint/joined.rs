//! The namespaces of others that a container joins; see setns(2).

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::sys::stat::Mode;

use crate::container::namespaces::{KINDS, Kind};
use crate::container::opened::{self, Opened};
use crate::container::shared::Shared;
use crate::container::state::StateDir;
use crate::plan::{Fd, Header, Plan, Prctl, Slot};
use crate::{Error, Namespace, Namespaces, Result, Step, sys};

/// Namespaces of others, opened.
#[derive(Default)]
pub struct Joined(Vec<(&'static Kind, OwnedFd)>);

impl Joined {
    /// Opens all that are to be joined. One that is the caller's own is not, but shared: the second answer then has the
    /// choices with that in its place.
    pub fn open(all: &Namespaces, state: &StateDir) -> Result<(Self, Option<Namespaces>)> {
        let mut joined = Self::default();
        let mut shared = settled(all, state);
        let mut of_containers = of_containers(shared.as_ref().unwrap_or(all), state)?;
        for kind in &KINDS {
            let fd = match kind.of(shared.as_ref().unwrap_or(all)) {
                None | Some(Namespace::New | Namespace::Host) => continue,
                Some(Namespace::Path(path)) => open_namespace(path, kind)?,
                Some(Namespace::Pid(pid)) => open_namespace(Path::new(&format!("/proc/{pid}/ns/{}", kind.name)), kind)?,
                Some(Namespace::Container(_)) => match of_containers.iter().position(|it| it.kind.name == kind.name) {
                    Some(at) => of_containers.swap_remove(at).fd,
                    None => continue,
                },
            };
            if kind.is_ours(&fd) {
                kind.set(shared.get_or_insert_with(|| all.clone()), Namespace::Host);
            } else {
                joined.0.push((kind, fd));
            }
        }
        Ok((joined, shared))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the namespace of this kind is somebody else's.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(kind, _)| kind.name == name)
    }

    /// Sends them along.
    pub fn send<'a>(&'a self, setup: &mut Plan<'a>) -> Vec<Slot> {
        self.0.iter().map(|(_, fd)| setup.send(Fd::Borrowed(fd.as_fd()))).collect()
    }

    /// Those that the child is cloned into. To be explained before that.
    pub fn clone_in(&self, spawn: &mut Header, setup: &mut Plan<'_>, slots: &[Slot]) {
        let mut others = spawn.give.iter_mut();
        for ((kind, _), slot) in self.0.iter().zip(slots).filter(|((kind, _), _)| is_early(kind)) {
            setup.step(Step::EnterNamespace, kind.name, "joined, not made", typed(kind));
            let to = if kind.name == "user" { Some(&mut spawn.user) } else { others.next() };
            if let Some(to) = to {
                *to = slot.0;
            }
        }
    }

    /// Enters those that it was not cloned into.
    pub fn enter(&self, setup: &mut Plan<'_>, slots: &[Slot]) {
        if self.has("user") {
            setup.step(Step::BecomeRootInJoined, "the joined user namespace", "", "");
            // Whoever enters has all rights there, but no id yet; what it makes would belong to nobody.
            setup.setgroups(&[]).ok(libc::EPERM);
            setup.setresgid(0);
            setup.setresuid(0);
            // Other ids make a process dumpable as fs.suid_dumpable says, proc(5).
            setup.prctl(Prctl::Dumpable(false));
        }
        for ((kind, _), slot) in self.0.iter().zip(slots).filter(|((kind, _), _)| !is_early(kind)) {
            setup.step(Step::EnterNamespace, kind.name, "joined, not made", typed(kind));
            setup.setns(*slot, CloneFlags::from_bits_retain(kind.flag));
        }
    }
}

/// The namespaces of containers: each of these is asked once.
fn of_containers(all: &Namespaces, state: &StateDir) -> Result<Vec<Opened>> {
    let mut asked: BTreeMap<&str, Vec<&'static Kind>> = BTreeMap::new();
    for kind in &KINDS {
        if let Some(Namespace::Container(name)) = kind.of(all) {
            asked.entry(name).or_default().push(kind);
        }
    }
    let mut found = Vec::new();
    for (name, kinds) in asked {
        let container = Shared::join(StateDir::open(Some(state.path()))?, name)?;
        found.extend(opened::all(&container, &kinds)?);
    }
    Ok(found)
}

/// What is chosen, where that has to be said otherwise; nothing in the usual case.
///
/// PID 1 of a container is closed to its own user in /proc: its namespaces are had by the container's name. And who is not root
/// of the machine enters none of them without the user namespace that owns it, which so is joined too.
fn settled(all: &Namespaces, state: &StateDir) -> Option<Namespaces> {
    let mut known: Vec<(i32, Option<String>)> = Vec::new();
    let mut closed = |pid: i32| match known.iter().find(|(of, _)| *of == pid) {
        Some((_, name)) => name.clone(),
        None => {
            let name = opened::closed(state, pid);
            known.push((pid, name.clone()));
            name
        }
    };
    let mut settled = None;
    let mut owner = None;
    for kind in &KINDS {
        let name = match kind.of(all) {
            Some(Namespace::Container(name)) => name.clone(),
            Some(Namespace::Pid(pid)) => match closed(*pid) {
                Some(name) => name,
                None => continue,
            },
            _ => continue,
        };
        owner.get_or_insert_with(|| name.clone());
        kind.set(settled.get_or_insert_with(|| all.clone()), Namespace::Container(name));
    }
    if let (Some(settled), Some(name)) = (&mut settled, owner)
        && settled.user == Namespace::New
        && !nix::unistd::geteuid().is_root()
    {
        settled.user = Namespace::Container(name);
    }
    settled
}

fn open_namespace(path: &Path, kind: &Kind) -> Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let opened = sys::open(path, flags, Mode::empty())
        .map_err(|errno| Error::system(Step::OpenNamespace, path.display(), errno as i32).with_known_hint())?;
    // "net:[4026531840]", proc_pid_ns(5).
    let link = std::fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd()));
    if link.is_ok_and(|link| !link.as_os_str().as_encoded_bytes().starts_with(format!("{}:[", kind.name).as_bytes())) {
        return Err(Error::invalid(Step::JoinNamespace, path.display(), format!("it is no {} namespace", kind.name)));
    }
    Ok(opened)
}

/// A process is cloned into it: it takes rights that a child of a new user namespace has no more, or it can't be entered at all.
fn is_early(kind: &Kind) -> bool {
    matches!(kind.name, "user" | "pid" | "net" | "uts" | "ipc")
}
/// What a person types to enter it.
fn typed(kind: &Kind) -> String {
    format!("nsenter {}=$NS bash", kind.option)
}
