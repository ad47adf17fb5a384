//! How a helper is started: in which namespaces, with whose ids, and what it does before it is ready. What fails is explained as it
//! is when a container can't be made.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use ctr_wire::{CLOSED, DETACHED, DONE, RUN, SPAWN};
use nix::sched::CloneFlags;

use super::failure::not_spawned;
use super::subids::{SubIds, put_single};
use super::{Helper, NAME, PATIENCE, gone};
use crate::plan::{Fd, Header, Plan, Prctl, encode, encode_spawn};
use crate::sys::Own;
use crate::zygote::{self, Answer, Channel, Zygote, pair, send};
use crate::{Error, Result, Step};

/// A helper that is to be started.
pub struct Start<'a> {
    header: Header,
    /// What it does before it is ready.
    pub setup: Plan<'a>,
    /// What the zygote does for it, with as many results to hand over.
    pub parent: (Plan<'a>, usize),
}

impl Start<'_> {
    /// In new namespaces: CLONE_NEW* flags. In a new user namespace the caller is root and there is nobody else.
    pub fn new(namespaces: i32) -> Self {
        let mut start = Self::with(namespaces);
        if namespaces & libc::CLONE_NEWUSER != 0 {
            let ids = [nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw()];
            put_single(&mut start.header, &mut start.setup, ids);
        }
        start
    }

    /// In a new user namespace, with all the ids that an ordinary user has.
    pub fn with_ranges(ids: Arc<SubIds>) -> Self {
        let mut start = Self::with(libc::CLONE_NEWUSER);
        ids.put(&mut start.header, &mut start.setup);
        start
    }

    /// In a new user namespace with these maps of users and groups, of which it may have none itself. It takes root.
    pub fn mapped(maps: &[String; 2]) -> Self {
        let mut start = Self::with(libc::CLONE_NEWUSER);
        let setup = &mut start.setup;
        start.header.maps = maps.each_ref().map(|map| Some((setup.bytes(map), map.len())));
        start
    }

    /// In a new user namespace, with the ids of this thread's user; without ranges that is their own as 0, and nobody else.
    pub fn of_this_user() -> Self {
        SubIds::of_this_user().map_or_else(|_| Self::new(libc::CLONE_NEWUSER), Self::with_ranges)
    }

    /// Within the user namespace of a container (`None`: it has none of its own), as its root, and with new namespaces of these
    /// kinds there. It has a copy of this process's mounts where these are among them.
    ///
    /// From its first moment on nobody inside can look into it, trace it or take a descriptor out of it: it is not dumpable
    /// (`__ptrace_may_access` of kernel/ptrace.c), its memory belongs to this process's user namespace, and it is in no PID
    /// namespace but this process's.
    pub fn within(user: Option<OwnedFd>, new: CloneFlags) -> Self {
        let mut start = Self::with(new.bits());
        start.header.flags |= CLOSED;
        let setup = &mut start.setup;
        let user = user.map(|user| setup.send(Fd::Owned(user)));
        setup.step(Step::SettleHelper, NAME, "", "");
        setup.prctl(Prctl::Dumpable(false));
        let name = setup.string(c"ctr-helper");
        setup.prctl(Prctl::Name(name));
        setup.umask(0);
        if let Some(user) = user {
            start.header.user = user.0;
            // What it makes belongs to root inside. Other ids make a process dumpable as fs.suid_dumpable says, proc(5).
            setup.setgroups(&[]).ok(libc::EPERM);
            setup.setresgid(0);
            setup.setresuid(0);
            setup.prctl(Prctl::Dumpable(false));
        }
        setup.prctl(Prctl::DeathSignal(libc::SIGKILL));
        start
    }

    /// The same, that outlives its maker once it forwards connections ([`Helper::forward`]).
    #[must_use]
    pub fn staying(mut self) -> Self {
        self.header.flags |= DETACHED;
        self
    }

    fn with(namespaces: i32) -> Self {
        let mut setup = Plan::new();
        setup.reserve_sent(1); // The control socket.
        Self { header: Header { namespaces: namespaces as u64, ..Header::new(SPAWN) }, setup, parent: (Plan::new(), 0) }
    }

    /// Starts it, and waits until it is ready.
    pub fn start(self) -> Result<Helper> {
        self.start_in(&zygote::current()?)
    }

    /// The same, by the zygote that is in use, or another one if that was killed.
    pub fn start_in(self, zygote: &Arc<Zygote>) -> Result<Helper> {
        match self.start_by(zygote) {
            Err(error) if error.failed_step() == Step::AskHelper && error.errno() == libc::EPIPE => {
                zygote::forget(zygote);
                self.start_by(&zygote::current()?)
            }
            answer => answer,
        }
    }

    /// Whether it can be started: it is, and ends at once. Waits until nothing of it is there any more.
    pub fn try_out(self) -> Result<()> {
        self.start().map(drop)
    }

    fn start_by(&self, zygote: &Arc<Zygote>) -> Result<Helper> {
        let io = |error: std::io::Error| Error::io(Step::StartHelper, NAME, &error);
        let ((control, theirs), (channel, answers)) = (pair().map_err(io)?, Channel::new().map_err(io)?);
        let (parent, handed) = &self.parent;
        let spawn = encode_spawn(&self.header, &self.setup, parent, *handed);
        let mut fds = vec![answers.as_fd(), theirs.as_fd()];
        fds.extend(self.setup.fds());
        zygote.send(&spawn, &fds).map_err(|_| gone())?;
        // It is ready when it has done nothing at all.
        let sent = send(control.as_fd(), &encode(&Header::new(RUN), &Plan::new()), &[answers.as_fd()]);
        drop(fds);
        drop((answers, theirs));
        sent.map_err(io)?;
        match channel.receive(Some(PATIENCE)).map_err(io)? {
            Answer::Reply(reply, mut fds) if reply.tag == DONE && !fds.is_empty() => {
                let (pidfd, holder) = (fds.remove(0), std::process::id());
                let (control, pidfd) = (Some(Own::brief(control)), Own::brief(pidfd));
                Ok(Helper { control, channel, pidfd, _zygote: Arc::clone(zygote), holder })
            }
            Answer::Reply(reply, fds) => Err(not_spawned(&self.setup, parent, &reply, fds)),
            Answer::TimedOut => Err(Error::system(Step::StartHelper, NAME, libc::ETIMEDOUT)),
            Answer::End => Err(gone()),
        }
    }
}
