//! The zygote, as the host sees it: a tiny process of ours that clones containers' PID 1, so that nothing of the host's
//! memory, descriptors or signals is ever near them, and no child of the host is ever ours.
//!
//! There is one for a process and a set of rights: [`current()`] starts it at the first need, and anew when it was killed, after a
//! fork, and when the host has changed its credentials or namespaces since (a container must never get more than its
//! host has at that moment). `container` calls this; `start` has the clone.

mod channel;
mod current;
mod identity;
mod scheduling;
mod start;

pub use channel::{Answer, Channel, pair, send, wait_readable};
pub use current::{current, forget};
pub use identity::{Pieces, RLIMITS, oom_score_adj, own_oom_score_adj, pieces};
pub use scheduling::{Scheduling, has_nice_apart};
pub use start::TITLE;

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use ctr_wire as wire;

use crate::sys::Own;
use identity::Identity;

/// A running zygote.
pub struct Zygote {
    socket: Own,
    identity: Identity,
    /// What its children have of the thread that started it.
    scheduling: Scheduling,
    /// See [`Zygote::mapped`].
    mapped: Option<[Pieces; 2]>,
    /// What the shape that was asked for last is told by.
    last_shape: AtomicU64,
    /// What the last walls that stood in a container are told by.
    last_walls: AtomicU64,
    /// The oom_score_adj of the process whose zygote it is.
    oom_score_adj: Option<Own>,
    /// The file whose lock is its lifeline; see crates/init/src/lifeline.rs.
    _lifeline: Own,
}

/// What no walls are told by, as before the first container: [`Zygote::stands`].
pub const NO_WALLS: u64 = 0;

impl Zygote {
    /// Sends it a message; EPIPE or ECONNRESET where it is dead.
    pub fn send(&self, message: &[u8], fds: &[std::os::fd::BorrowedFd<'_>]) -> std::io::Result<()> {
        send(self.socket.as_fd(), message, fds)
    }

    /// Tells it that `spawn` was a success: whoever wants two of a shape may want a third, which it then makes ahead of time,
    /// while the host is busy with this one.
    pub fn add_spare(&self, spawn: &[u8]) {
        let shape = wire::Request::shape_of(spawn);
        if self.last_shape.swap(shape, Ordering::Relaxed) == shape {
            let mut message = spawn.to_vec();
            wire::Request::set_kind(&mut message, wire::SPARE);
            // One that is dead will be noticed by whoever needs it.
            _ = self.send(&message, &[]);
        }
    }

    /// Tells it by which file the limit of processor time of its child `pid` is lifted: `LIMITED` of `wire`.
    pub fn limited(&self, pid: i32, file: std::os::fd::BorrowedFd<'_>) {
        let message = wire::Request { before: pid as u32, ..wire::Request::bare(wire::LIMITED) };
        _ = self.send(message.as_bytes(), &[file]);
    }

    /// Whether a container with these walls (`Header::walls`) was the last that came up, so that it needs not be waited for
    /// whether the kernel takes them.
    pub fn has_stood(&self, walls: u64) -> bool {
        self.last_walls.load(Ordering::Relaxed) == walls
    }

    /// A container with these walls has come up.
    pub fn stands(&self, walls: u64) {
        self.last_walls.store(walls, Ordering::Relaxed);
    }

    /// The uids and gids of this process's user namespace, 0 among the uids; nothing where this thread lacks the rights to
    /// give ids away. They can't change without another zygote being started.
    pub fn mapped(&self) -> Option<&[Pieces; 2]> {
        self.mapped.as_ref()
    }

    /// Whether the user namespace is the first one of the machine, or one that has all of its ids, and this thread has the
    /// rights to give them away.
    pub fn maps_all_ids(&self) -> bool {
        self.mapped.as_ref().is_some_and(|[uids, _]| uids.contains(&(0, u32::MAX.into())))
    }

    /// What its children have: whoever wants another scheduling for one gives it, [`Scheduling::give`].
    pub fn scheduling(&self) -> &Scheduling {
        &self.scheduling
    }

    /// The limits of resources that its children have, getrlimit(2), by their numbers.
    pub fn rlimits(&self) -> &[Option<[u64; 2]>; RLIMITS] {
        &self.identity.rlimits
    }

    /// Its children's place in line when memory runs out.
    pub fn oom_score_adj(&self) -> Option<i32> {
        self.identity.oom_score_adj
    }

    /// What this process's own is now.
    pub fn oom_score_adj_now(&self) -> Option<i32> {
        own_oom_score_adj(self.oom_score_adj_file())
    }

    /// A forked child has the file too, which tells of its parent.
    fn oom_score_adj_file(&self) -> Option<&Own> {
        self.oom_score_adj.as_ref().filter(|_| self.identity.pid == crate::sys::process_id())
    }

    /// In which cgroups the calling thread is, and so its children are cloned: see [`Identity::cgroups`].
    pub fn cgroups(&self) -> &str {
        &self.identity.cgroups
    }

    fn is_ours(&self) -> bool {
        self.socket.is_ours()
    }

    /// Tells it to end with its last container. Nobody but the process that started it may: a forked child forgets it.
    fn retire(&self) {
        if self.identity.pid == crate::sys::process_id() && self.is_ours() {
            let message = wire::Request::bare(wire::RETIRE);
            // One that is dead already has what we want.
            _ = self.send(message.as_bytes(), &[]);
        }
    }
}
