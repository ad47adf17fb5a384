//! The helper: a process of ours that acts where this process may not, as root of a user namespace that has all the ids of an
//! ordinary user: their own as 0, and those of their ranges. A thread can't enter such a namespace (setns(2)); the zygote clones a
//! process into one.
//!
//! `image` gives files their owners by it, opens what belongs to others, and takes trees back to remove them. What it does, it
//! is told as a plan, as PID 1 of a container is; it has no more of the host than the descriptors that come with that, and it
//! ends with its handle. See user_namespaces(7), "Capabilities" of inodes in capable_wrt_inode_uidgid() of kernel/capability.c.

mod subids;

pub use subids::{SubIds, refused_by};

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use ctr_wire::{
    DENY_SETGROUPS, DONE, EXITED, FAILED, IN_CLONE, IN_NEWGIDMAP, IN_NEWUIDMAP, MAP_BY_PROGRAM, RUN, Reply, SPAWN,
};

use crate::plan::{Header, Plan, Slot, encode, encode_spawn};
use crate::zygote::{self, Answer, Channel, Zygote, pair, send};
use crate::{Error, ErrorCode, Result, Step, hints, sys};

/// A running helper.
pub struct Helper {
    /// Plans go to it by this; it ends when this is closed.
    control: OwnedFd,
    /// The zygote reports its end on this.
    channel: Channel,
    pidfd: OwnedFd,
    /// Held, so that the zygote doesn't take the end of its socket for the end of its use.
    _zygote: Arc<Zygote>,
    /// The process that started it: a forked child of it must not end what it inherits.
    holder: u32,
}

/// How long it may take for a plan: it does nothing that waits, but for disks.
const PATIENCE: Duration = Duration::from_secs(60);

/// What errors call it.
const NAME: &str = "the process that has this user's ids";

impl Helper {
    /// Starts one with the ids of this thread's user; without ranges that is their own as 0, and nobody else.
    pub fn start() -> Result<Self> {
        let mut zygote = zygote::current()?;
        match Self::start_by(&zygote) {
            // It was killed; the next one is another.
            Err(error) if error.errno() == libc::EPIPE => {
                zygote::forget(&zygote);
                zygote = zygote::current()?;
                Self::start_by(&zygote)
            }
            answer => answer,
        }
    }

    fn start_by(zygote: &Arc<Zygote>) -> Result<Self> {
        let mut plan = Plan::new();
        plan.reserve_sent(1);
        let mut header = Header::new(SPAWN);
        header.namespaces = libc::CLONE_NEWUSER as u64;
        match SubIds::of_this_user() {
            Ok(ids) => {
                header.flags |= MAP_BY_PROGRAM;
                header.maps = ids.vectors().map(|words| Some((plan.strings(&words), words.len())));
            }
            Err(_) => {
                header.flags |= DENY_SETGROUPS;
                let ids = [nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw()];
                header.maps = ids.map(|id| {
                    let map = format!("0 {id} 1\n");
                    Some((plan.bytes(&map), map.len()))
                });
            }
        }
        let io = |error: std::io::Error| Error::io(Step::StartHelper, NAME, &error);
        let ((control, theirs), (channel, answers)) = (pair().map_err(io)?, Channel::new().map_err(io)?);
        let spawn = encode_spawn(&header, &plan, &Plan::new(), 0);
        zygote.send(&spawn, &[answers.as_fd(), theirs.as_fd()]).map_err(|_| gone())?;
        // It is ready when it has done nothing at all.
        let sent = send(control.as_fd(), &encode(&Header::new(RUN), &Plan::new()), &[answers.as_fd()]);
        drop((answers, theirs));
        sent.map_err(io)?;
        match channel.receive(Some(PATIENCE)).map_err(io)? {
            Answer::Reply(reply, mut fds) if reply.tag == DONE && !fds.is_empty() => {
                let (pidfd, holder) = (fds.remove(0), std::process::id());
                Ok(Self { control, channel, pidfd, _zygote: Arc::clone(zygote), holder })
            }
            Answer::Reply(reply, fds) if reply.tag == FAILED => Err(not_started(&reply, fds)),
            Answer::TimedOut => Err(Error::system(Step::StartHelper, NAME, libc::ETIMEDOUT)),
            _ => Err(gone()),
        }
    }

    /// Has it walk `plan` and hand back what is then in the slots `give`.
    pub fn run(&self, plan: &Plan<'_>, give: &[Slot]) -> Result<Vec<OwnedFd>> {
        let io = |error: std::io::Error| Error::io(Step::AskHelper, NAME, &error);
        let (channel, theirs) = Channel::new().map_err(io)?;
        let header = Header::new(RUN).giving(give);
        let mut fds = vec![theirs.as_fd()];
        fds.extend(plan.fds());
        send(self.control.as_fd(), &encode(&header, plan), &fds).map_err(io)?;
        drop(fds);
        drop(theirs);
        match channel.receive(Some(PATIENCE)).map_err(io)? {
            Answer::Reply(reply, fds) if reply.tag == DONE => Ok(fds),
            Answer::Reply(reply, _) if reply.tag == FAILED => Err(plan.error(reply.call, reply.errno)),
            Answer::TimedOut => {
                Err(Error::system(Step::AskHelper, NAME, libc::ETIMEDOUT).with_code(ErrorCode::TimedOut))
            }
            _ => Err(gone()),
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        if self.holder != std::process::id() {
            return;
        }
        // It may have been killed already; what counts is that the zygote has reaped it.
        _ = sys::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGKILL, 0);
        while let Ok(Answer::Reply(reply, _)) = self.channel.receive(Some(PATIENCE)) {
            if reply.tag == EXITED {
                break;
            }
        }
    }
}

fn gone() -> Error {
    Error::system(Step::AskHelper, NAME, libc::EPIPE)
}

/// Why there is none.
fn not_started(reply: &Reply, fds: Vec<OwnedFd>) -> Error {
    match reply.call {
        IN_NEWUIDMAP => refused_by("newuidmap", reply.errno, fds),
        IN_NEWGIDMAP => refused_by("newgidmap", reply.errno, fds),
        IN_CLONE => {
            Error::system(Step::CloneHelper, "a user namespace", reply.errno).with_hint(hints::user_namespaces())
        }
        _ => Error::system(Step::StartHelper, NAME, reply.errno),
    }
}
