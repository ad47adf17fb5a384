//! A helper within a container: it does there what PID 1, behind Landlock and seccomp, can't do any more, as to mount or to make
//! sockets. What it may do there is what the root of the container's user namespace may.

use std::fmt::Display;
use std::os::fd::OwnedFd;

use nix::sched::CloneFlags;

use super::namespaces::{KINDS, Kind};
use super::opened::{self, Opened};
use super::shared::Shared;
use super::state::Root;
use crate::helper::Start;
use crate::plan::{Fd, Plan};
use crate::{Error, Namespace, Result, Step, sys};

/// Namespaces of a container, opened, without those that are this process's own.
pub struct Within {
    user: Option<OwnedFd>,
    others: Vec<Opened>,
}

impl Within {
    /// Opens these besides the user namespace, by their names in /proc/PID/ns.
    pub fn open(container: &Shared, names: &[&str]) -> Result<Self> {
        container.check_running()?;
        let wanted = |kind: &&Kind| kind.name == "user" || names.contains(&kind.name);
        let mut others = opened::verified(container, &KINDS.iter().filter(wanted).collect::<Vec<_>>())?;
        others.retain(|it| !it.kind.is_ours(&it.fd));
        let user = others.iter().position(|it| it.kind.name == "user").map(|at| others.remove(at).fd);
        Ok(Self { user, others })
    }

    /// Opens its network, also one that it shares with another container: that belongs to the other's user namespace, over which the
    /// root of this one has no rights. Whoever could make that, root, enters it without.
    pub fn open_network(container: &Shared) -> Result<Self> {
        let mut within = Self::open(container, &["net"])?;
        let is_its_own = |it: &Opened| {
            let owner = sys::owner_of_namespace(&it.fd).map(sys::identity);
            owner.map_or(true, |owner| within.user.as_ref().is_none_or(|user| sys::identity(user) == owner))
        };
        if !within.others.iter().all(is_its_own) {
            within.user = None;
        }
        Ok(within)
    }

    /// Whether the container has such a namespace that is not this process's own.
    pub fn is_own(&self, name: &str) -> bool {
        self.others.iter().any(|it| it.kind.name == name)
    }

    /// Refuses a container that has no such namespace of its own.
    pub fn check_own(&self, container: &Shared, name: &str) -> Result<()> {
        if self.is_own(name) {
            return Ok(());
        }
        let why = format!("its {name} namespace is this process's own");
        Err(Error::invalid(Step::OpenNamespaceOfContainer, container.called(), why))
    }

    /// A helper in the user namespace, with new namespaces of these kinds there.
    pub fn start<'a>(&mut self, new: CloneFlags) -> Start<'a> {
        Start::within(self.user.take(), new)
    }

    /// Has it enter the others, in a plan of its own.
    pub fn enter(self, plan: &mut Plan<'_>) {
        let others: Vec<_> = self.others.into_iter().map(|it| (plan.send(Fd::Owned(it.fd)), it.kind)).collect();
        for (slot, kind) in others {
            plan.step(Step::EnterNamespace, kind.name, "", "");
            plan.setns(slot, CloneFlags::from_bits_retain(kind.flag));
        }
    }
}

/// Refuses a path where the root of the mount namespace is not the root of the container.
pub fn check_root(container: &Shared, step: Step, object: impl Display) -> Result<()> {
    container.check_running()?;
    if container.record.root != Root::Foreign && container.record.config.namespaces.mount == Namespace::New {
        return Ok(());
    }
    let why = "the mount namespace is not the container's own, so the path may be another one there";
    Err(Error::invalid(step, object, why))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nix::sys::socket::{AddressFamily, SockFlag, SockType};

    use super::*;
    use crate::helper::Helper;
    use crate::{Config, Container, ExecConfig, Namespace, Stdio};

    fn holds(container: &Container, script: &str) {
        let config = ExecConfig { stdin: Stdio::Null, stdout: Stdio::Null, stderr: Stdio::Null, ..Default::default() };
        let process = container.exec(["/bin/sh", "-c", script], &config).unwrap();
        assert_eq!(process.wait(None).unwrap().unwrap().code, 0, "{script}");
    }

    /// A helper in these namespaces, and a server's socket that it has made there.
    fn server(container: &Container, names: &[&str]) -> (Helper, OwnedFd) {
        let mut within = Within::open(&container.shared, names).unwrap();
        let helper = within.start(CloneFlags::empty()).start().unwrap();
        let mut plan = Plan::new();
        within.enter(&mut plan);
        plan.step(Step::AskHelper, "a socket", "", "");
        let socket = plan.slot();
        plan.socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty()).out(socket);
        // Port 4242 of 127.0.0.1.
        let address = plan.data(&[libc::AF_INET as u8, 0, 0x10, 0x92, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], 8);
        plan.bind_socket(socket, address, 16);
        plan.listen(socket, 1);
        let mut fds = helper.run(&plan, &[socket]).unwrap();
        (helper, fds.pop().unwrap())
    }

    const LISTENS: &str = "grep -q '0100007F:1092 00000000:0000 0A' /proc/net/tcp";

    #[test]
    fn a_socket_that_a_helper_makes_is_in_the_containers_network() {
        let container = Container::create("host", &Config::default()).unwrap();
        holds(&container, &format!("! {LISTENS}"));
        let (helper, socket) = server(&container, &["net"]);
        drop(helper);
        // It knows its namespace for good.
        holds(&container, LISTENS);
        let outside = fs::read_to_string("/proc/net/tcp").unwrap();
        assert!(!outside.contains("0100007F:1092 00000000:0000 0A"), "{outside}");
        drop(socket);
        holds(&container, &format!("! {LISTENS}"));
    }

    #[test]
    fn a_helper_has_nothing_of_the_host_and_nobody_inside_reaches_it() {
        let mut config = Config::default();
        if nix::unistd::geteuid().is_root() {
            // All processes of the machine are seen inside, so the helper is too.
            (config.namespaces.pid, config.namespaces.net) = (Namespace::Host, Namespace::Host);
        }
        let container = Container::create("host", &config).unwrap();
        let mut within = Within::open(&container.shared, &["mnt"]).unwrap();
        within.check_own(&container.shared, "mnt").unwrap();
        let helper = within.start(CloneFlags::CLONE_NEWNS).start().unwrap();
        let mut plan = Plan::new();
        within.enter(&mut plan);
        helper.run(&plan, &[]).unwrap();
        let pid = helper.pid();
        let files = "for file in mem environ maps auxv; do ! cat /proc/{pid}/$file || exit 1; done";
        let links = "for link in exe cwd root ns/mnt fd/0; do ! readlink /proc/{pid}/$link || exit 1; done";
        for script in [files, links, "! ls /proc/{pid}/fd", "! ls /proc/{pid}/map_files"] {
            holds(&container, &script.replace("{pid}", &pid.to_string()));
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
        assert_eq!(pids.split_whitespace().count(), 1, "it is in no PID namespace of the container's");
        // Root alone may look.
        if nix::unistd::geteuid().is_root() {
            for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
                let leads_to = fs::read_link(entry.unwrap().path()).unwrap();
                let text = leads_to.to_str().unwrap();
                assert!(text.starts_with("socket:") || text.starts_with("anon_inode:"), "it has {text}");
            }
            let of = |who: &str, what: &str| fs::read_link(format!("/proc/{who}/{what}")).unwrap();
            for what in ["ns/mnt", "ns/user"] {
                assert_eq!(of(&pid.to_string(), what), of(&container.pid().to_string(), what));
                assert_ne!(of(&pid.to_string(), what), of("self", what));
            }
        }
        drop(helper);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn one_that_is_killed_is_an_error_and_leaves_nothing() {
        let container = Container::create("host", &Config::default()).unwrap();
        let helper = Within::open(&container.shared, &[]).unwrap().start(CloneFlags::empty()).start().unwrap();
        let pid = helper.pid();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
        let error = helper.run(&Plan::new(), &[]).unwrap_err();
        assert_eq!((error.failed_step(), error.errno()), (Step::AskHelper, libc::EPIPE), "{error}");
        drop(helper);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
        holds(&container, "true");
    }
}
