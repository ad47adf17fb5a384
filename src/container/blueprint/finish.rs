//! The finish: what takes something that the host acquires for this container alone, and the last walls.

use std::os::fd::{AsFd, OwnedFd};

use ctr_wire as wire;
use nix::sched::CloneFlags;
use nix::sys::socket::{AddressFamily, SockFlag, SockType};

use super::{Blueprint, Setup};
use crate::image::Source;
use crate::plan::{Fd, Header, Plan, Prctl, c_string, whole_ms};
use crate::security::steps;
use crate::sys::LOCK_OF_PID_1;
use crate::{Namespace, Result, Step};

/// What PID 1 does to finish.
pub struct Finish<'a> {
    pub plan: Plan<'a>,
    pub header: Header,
}

/// What the host acquires for a container and hands to it.
#[derive(Default)]
pub struct Acquired {
    pub record: Option<OwnedFd>,
    pub listener: Option<OwnedFd>,
    /// v1: `tasks` of each cgroup.
    pub join: Vec<OwnedFd>,
}

impl Blueprint {
    /// The finish, for a container that was begun with `setup`.
    pub fn finish<'a>(&'a self, setup: &Setup<'a>, acquired: &'a Acquired) -> Result<Finish<'a>> {
        let mut plan = Plan::with_room(16, 32, 4096);
        plan.continue_from(&setup.root);
        let finish = &mut plan;
        let mut run = Header::new(wire::RUN);
        let image_lock = match &self.image {
            Source::Layers { lock, .. } => Some(lock),
            _ => None,
        };
        let record = acquired.record.as_ref().map(|record| finish.send(Fd::Borrowed(record.as_fd())));
        let image_lock = image_lock.map(|lock| finish.send(Fd::Borrowed(lock.as_fd())));
        let listener = acquired.listener.as_ref().map(|listener| finish.send(Fd::Borrowed(listener.as_fd())));
        let cgroups: Vec<_> = acquired.join.iter().map(|fd| finish.send(Fd::Borrowed(fd.as_fd()))).collect();
        finish.step(Step::JoinCgroup, "", "", "");
        for cgroup in cgroups {
            let zero = finish.bytes("0");
            finish.write(cgroup, zero, 1);
        }
        if self.config.namespaces.cgroup == Namespace::New {
            finish.step(
                Step::UnshareCgroup,
                "cgroup",
                "its own cgroup is the root of the tree it sees",
                "unshare --cgroup bash",
            );
            finish.unshare(CloneFlags::CLONE_NEWCGROUP);
        }
        if let Some(inside) = self.sees_cgroup() {
            inside.mount(finish);
        }
        if self.config.namespaces.uts == Namespace::New {
            let hostname = self.config.hostname.as_deref().unwrap_or(&self.name);
            let name = c_string(Step::SetHostname, hostname)?;
            finish.step(Step::SetHostname, hostname.to_string(), "a name of its own", "hostname {}");
            finish.sethostname(&name);
            if let Some(domain) = &self.config.domainname {
                let name = c_string(Step::SetDomainName, domain.as_str())?;
                finish.step(Step::SetDomainName, domain.to_string(), "it was asked for", "domainname {}");
                finish.setdomainname(&name);
            }
        }
        finish.step(Step::Settle, "", "files are made with the usual permissions", "umask 022");
        finish.umask(0o022);
        if !self.config.detached {
            finish.step(Step::DieWithZygote, "", "the container ends when the process that made it ends", "");
            finish.prctl(Prctl::DeathSignal(libc::SIGKILL));
        }
        finish.step(Step::KeepLocks, "its record and its image", "they show that this container lives", "");
        for lock in [record, image_lock].into_iter().flatten() {
            let kept = finish.kept_slot();
            finish.dupfd_cloexec(lock, 0).out(kept);
            if Some(lock) == record {
                finish.close(lock);
                finish.read_lock(kept, LOCK_OF_PID_1).optional();
            }
        }
        if let Some(listener) = listener {
            finish.step(Step::ListenOnControlSocket, "the control socket", "other processes of this user may join", "");
            // As many can wait while it stands still; the machine may allow fewer, net.core.somaxconn.
            finish.listen(listener, 4096);
            run.listener = listener.0;
        }
        if let Some(network) = crate::container::network::chosen(&self.config) {
            // By it the host knows the namespace, and sets what is in it.
            finish.step(Step::JoinNetwork, network.to_string(), "", "");
            let netlink = finish.slot();
            finish.socket(AddressFamily::Netlink, SockType::Raw, SockFlag::empty()).out(netlink);
            run = run.giving(&[netlink]);
        }
        let title = format!("ctr-init: {}", self.name);
        let mut padded = title.into_bytes();
        padded.resize(crate::zygote::TITLE, 0);
        run.title = Some((finish.data(&padded, 1), padded.len()));
        run.time_limit = self.config.lifetime.map_or(0, whole_ms);
        if let Some(limit) = self.config.cpu_time {
            run.cpu_time_limit = whole_ms(limit);
            run.processors = crate::sys::sched::processors();
        }
        // The last walls stand behind all that can go wrong. Once they have stood in this process, the caller goes on while PID 1
        // puts them up: it hears nobody before.
        let walls = finish.mark();
        steps::put_up_last(finish, &self.walls, self.landlock.as_ref())?;
        run.before = walls.calls;
        run.walls = finish.fingerprint(&walls);
        Ok(Finish { plan, header: run })
    }
}
