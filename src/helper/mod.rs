//! The helper: a process of ours that acts where this process may not, in namespaces that a thread of a host can't enter (setns(2)).
//! The zygote clones it into them. What it does, it is told as a plan, as PID 1 of a container is; it has no more of the host than
//! the descriptors that come with that, and it ends with its handle.
//!
//! `image` gives files their owners by one that is root of a user namespace with all the ids of an ordinary user, opens what
//! belongs to others, and takes trees back to remove them: user_namespaces(7), "Capabilities" of inodes in
//! capable_wrt_inode_uidgid() of kernel/capability.c. `probe` finds out by others what a machine allows: by doing it, in a process
//! that the host never sees and of which nothing is left.

mod failure;
mod start;
mod subids;

pub use failure::{add_hint, not_spawned};
pub use start::Start;
pub use subids::{SubIds, put_single};

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use ctr_wire::{DONE, EXITED, FAILED, FORWARD, IN_FORWARD, RUN};

use crate::plan::{Arg, Header, Plan, Slot, encode};
use crate::sys::Own;
use crate::zygote::{Answer, Channel, TITLE, Zygote, send};
use crate::{Error, ErrorCode, Result, Step, sys};

/// A running helper.
pub struct Helper {
    /// Plans go to it by this, as long as it is to live; it ends when this is closed.
    control: Option<Own>,
    /// The zygote reports its end on this.
    channel: Channel,
    pidfd: Own,
    /// Held, so that the zygote doesn't take the end of its socket for the end of its use.
    _zygote: Arc<Zygote>,
    /// The process that started it: a forked child of it must not end what it inherits.
    holder: u32,
}

/// What a helper needs to forward connections: slots and data of a plan.
pub struct Forwarding {
    /// A listening socket.
    pub listener: Slot,
    /// A pidfd: it ends with this process.
    pub until: Slot,
    /// The struct sockaddr of who is connected to, and its length.
    pub server: (Arg, usize),
    /// What ps(1) shows, `TITLE` bytes.
    pub title: Arg,
    /// So many calls of the plan are carried out before it gives up its capabilities.
    pub before: usize,
}

/// How long it may take for a plan: it does nothing that waits, but for disks.
const PATIENCE: Duration = Duration::from_secs(60);

/// What errors call it.
const NAME: &str = "ctr's helper process";

impl Helper {
    /// It lives longer than the call that started it.
    pub fn kept(mut self) -> Self {
        self.control.iter_mut().for_each(Own::keep);
        self.pidfd.keep();
        self.channel.keep();
        self
    }

    /// Has it walk `plan` and hand back what is then in the slots `give`.
    pub fn run(&self, plan: &Plan<'_>, give: &[Slot]) -> Result<Vec<OwnedFd>> {
        self.ask(&Header::new(RUN).giving(give), plan)
    }

    /// Has it walk `plan`, and forward connections from then on, until `until` has ended: it is nobody's helper any more.
    pub fn forward(mut self, plan: &Plan<'_>, it: &Forwarding) -> Result<()> {
        let header = Header {
            before: it.before,
            listener: it.listener.0,
            user: it.until.0,
            maps: [Some(it.server), None],
            title: Some((it.title, TITLE)),
            ..Header::new(FORWARD)
        };
        self.ask(&header, plan)?;
        // By that, nothing is ended with this handle.
        self.holder = 0;
        Ok(())
    }

    /// Its pid, as this process sees it; 0 where that is not told.
    pub fn pid(&self) -> i32 {
        sys::pidfd_pid(self.pidfd.as_fd()).unwrap_or(0)
    }

    fn ask(&self, header: &Header, plan: &Plan<'_>) -> Result<Vec<OwnedFd>> {
        let io = |error: std::io::Error| Error::io(Step::AskHelper, NAME, &error);
        let (channel, theirs) = Channel::new().map_err(io)?;
        let mut fds = vec![theirs.as_fd()];
        fds.extend(plan.fds());
        let control = self.control.as_ref().ok_or_else(gone)?;
        send(control.check().map_err(io)?, &encode(header, plan), &fds).map_err(io)?;
        drop(fds);
        drop(theirs);
        match channel.receive(Some(PATIENCE)).map_err(io)? {
            Answer::Reply(reply, fds) if reply.tag == DONE => Ok(fds),
            Answer::Reply(reply, _) if reply.tag == FAILED && reply.call == IN_FORWARD => {
                Err(Error::system(Step::AskHelper, NAME, reply.errno))
            }
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
        // It ends by that, unless it is in the middle of a plan. It may have been killed already; what counts is that the zygote has
        // reaped it.
        self.control = None;
        if self.pidfd.is_ours() {
            _ = sys::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGKILL, 0);
        }
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
