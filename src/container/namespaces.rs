//! The kinds of namespaces; see namespaces(7).

use std::os::fd::OwnedFd;

use crate::{Namespace, Namespaces};

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

    /// Makes another choice for this kind.
    pub fn set(&self, all: &mut Namespaces, choice: Namespace) {
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
