//! The kinds of namespaces, and those of others that a container joins; see namespaces(7), setns(2).

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::sys::stat::Mode;

use super::state::StateDir;
use crate::plan::{Fd, Header, Plan, Slot};
use crate::{Error, Namespace, Namespaces, Result, sys};

/// One kind of namespace.
pub struct Kind {
    /// Its CLONE_NEW* flag.
    pub flag: i32,
    /// Its name in /proc/PID/ns.
    pub name: &'static str,
    /// The option of unshare(1).
    pub option: &'static str,
    /// Not made by clone(2): a cgroup namespace's root is the cgroup one is in by then, a time namespace is for the children of
    /// the process that makes it, which enters it itself (`clocks`).
    pub late: bool,
}

/// In the order in which they are entered: the user namespace first, it gives the rights for the others.
pub const KINDS: [Kind; 8] = [
    Kind { flag: libc::CLONE_NEWUSER, name: "user", option: "--user", late: false },
    Kind { flag: libc::CLONE_NEWNS, name: "mnt", option: "--mount", late: false },
    Kind { flag: libc::CLONE_NEWPID, name: "pid", option: "--pid", late: false },
    Kind { flag: libc::CLONE_NEWNET, name: "net", option: "--net", late: false },
    Kind { flag: libc::CLONE_NEWUTS, name: "uts", option: "--uts", late: false },
    Kind { flag: libc::CLONE_NEWIPC, name: "ipc", option: "--ipc", late: false },
    Kind { flag: libc::CLONE_NEWCGROUP, name: "cgroup", option: "--cgroup", late: true },
    Kind { flag: 0x80, name: "time", option: "--time", late: true },
];

impl Kind {
    /// A process is cloned into it: it takes rights that a child of a new user namespace has no more, or it can't be entered at all.
    fn early(&self) -> bool {
        matches!(self.name, "user" | "pid" | "net" | "uts" | "ipc")
    }

    fn typed(&self) -> String {
        format!("nsenter {}=$NS bash", self.option)
    }

    /// The choice for this kind.
    pub fn of<'a>(&self, all: &'a Namespaces) -> Option<&'a Namespace> {
        match self.name {
            "user" => Some(&all.user),
            "mnt" => Some(&all.mount),
            "pid" => Some(&all.pid),
            "net" => Some(&all.net),
            "uts" => Some(&all.uts),
            "ipc" => Some(&all.ipc),
            "cgroup" => Some(&all.cgroup),
            _ => all.time.as_ref(),
        }
    }

    fn set(&self, all: &mut Namespaces, choice: Namespace) {
        match self.name {
            "user" => all.user = choice,
            "mnt" => all.mount = choice,
            "pid" => all.pid = choice,
            "net" => all.net = choice,
            "uts" => all.uts = choice,
            "ipc" => all.ipc = choice,
            "cgroup" => all.cgroup = choice,
            _ => all.time = Some(choice),
        }
    }

    /// Whether a namespace is the one that children of this thread are cloned into.
    pub fn is_ours(&self, namespace: &OwnedFd) -> bool {
        let name = match self.name {
            "pid" => "pid_for_children",
            "time" => "time_for_children",
            name => name,
        };
        let ours = nix::sys::stat::stat(format!("/proc/thread-self/ns/{name}").as_str());
        ours.is_ok_and(|ours| (ours.st_dev, ours.st_ino) == crate::sys::identity(namespace))
    }
}

impl Namespaces {
    /// Where the namespace of this kind comes from, if that is not the default: a new one, and for time the host's.
    pub(crate) fn asked(&self, name: &str) -> Option<&Namespace> {
        let chosen = KINDS.iter().find(|kind| kind.name == name)?.of(self);
        chosen.filter(|choice| name == "time" || **choice != Namespace::New)
    }
}

/// Namespaces of others, opened.
#[derive(Default)]
pub struct Joined(Vec<(&'static Kind, OwnedFd)>);

impl Joined {
    /// Opens all that are to be joined. One that is the caller's own is not, but shared: the second answer then has the
    /// choices with that in its place.
    pub fn open(all: &Namespaces, state: &StateDir) -> Result<(Self, Option<Namespaces>)> {
        let mut joined = Self::default();
        let mut shared = settled(all, state);
        for kind in &KINDS {
            let fd = match kind.of(shared.as_ref().unwrap_or(all)) {
                None | Some(Namespace::New | Namespace::Host) => continue,
                Some(Namespace::Path(path)) => open_namespace(path, kind)?,
                Some(Namespace::Pid(pid)) => open_namespace(Path::new(&format!("/proc/{pid}/ns/{}", kind.name)), kind)?,
                Some(Namespace::Container(name)) => super::join::namespace_of(state, name, kind.name)?,
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
        for ((kind, _), slot) in self.0.iter().zip(slots).filter(|((kind, _), _)| kind.early()) {
            setup.step("enter the namespace", kind.name, "joined, not made", kind.typed());
            let to = if kind.name == "user" { Some(&mut spawn.user) } else { others.next() };
            if let Some(to) = to {
                *to = slot.0;
            }
        }
    }

    /// Enters those that it was not cloned into.
    pub fn enter(&self, setup: &mut Plan<'_>, slots: &[Slot]) {
        if self.has("user") {
            setup.step("become root in", "the joined user namespace", "", "");
            // Whoever enters has all rights there, but no id yet; what it makes would belong to nobody.
            setup.setgroups(&[]).ok(libc::EPERM);
            setup.setresgid(0);
            setup.setresuid(0);
        }
        for ((kind, _), slot) in self.0.iter().zip(slots).filter(|((kind, _), _)| !kind.early()) {
            setup.step("enter the namespace", kind.name, "joined, not made", kind.typed());
            setup.setns(*slot, CloneFlags::from_bits_retain(kind.flag));
        }
    }
}

/// What is chosen, where that has to be said otherwise; nothing in the usual case.
///
/// PID 1 of a container is closed to its own user in /proc: its namespaces are had by the container's name. And who is not root
/// of the machine enters none of them without the user namespace that owns it, which so is joined too.
fn settled(all: &Namespaces, state: &StateDir) -> Option<Namespaces> {
    let mut settled = None;
    let mut owner = None;
    for kind in &KINDS {
        let name = match kind.of(all) {
            Some(Namespace::Container(name)) => name.clone(),
            Some(Namespace::Pid(pid)) => match super::join::closed(state, *pid) {
                Some(container) => container.record.name.clone(),
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
    let opened = sys::open(path, flags, Mode::empty()).map_err(|errno| {
        let error = Error::system("open the namespace", path.display(), errno as i32);
        match errno {
            Errno::ENOENT => error.with_hint("has that process ended?"),
            Errno::EACCES | Errno::EPERM => error.with_hint(
                "that process is another user's, or closed to its own; a container of ctr is joined by its name",
            ),
            _ => error,
        }
    })?;
    // "net:[4026531840]", proc_pid_ns(5).
    let link = std::fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd()));
    if link.is_ok_and(|link| !link.as_os_str().as_encoded_bytes().starts_with(format!("{}:[", kind.name).as_bytes())) {
        return Err(Error::invalid("join the namespace", path.display(), format!("it is no {} namespace", kind.name)));
    }
    Ok(opened)
}
