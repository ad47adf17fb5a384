//! A trial: a child in namespaces of its own walks a few steps and ends. This is how `probe` finds out what a machine allows:
//! by doing it, in a process that the host never sees and of which nothing is left. What fails is explained as it is when a
//! container can't be made.

use std::ffi::CString;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use ctr_wire::{EXITED, RUN, SPAWN};

use super::blueprint::{Finish, Setup};
use super::ids::Ids;
use super::spawn::spawn;
use crate::helper::SubIds;
use crate::plan::{Header, Plan};
use crate::zygote::{self, Answer};
use crate::{Result, sys};

/// Steps to try.
pub(crate) struct Trial<'a> {
    /// CLONE_NEW* flags.
    namespaces: i32,
    ids: Ids,
    /// What the child does.
    pub(crate) setup: Plan<'a>,
    /// What the zygote does for it, with as many results to hand over.
    pub(crate) parent: (Plan<'a>, usize),
    /// What the child does when all that is done.
    finish: Plan<'a>,
}

/// How long a dead child may take to be reaped.
const PATIENCE: Duration = Duration::from_secs(10);

impl Trial<'_> {
    /// In these namespaces. In a new user namespace the caller is root and there is nobody else.
    pub(crate) fn new(namespaces: i32) -> Self {
        let ids = if namespaces & libc::CLONE_NEWUSER == 0 { Ids::Host } else { Ids::single("not needed".into()) };
        Self::with(namespaces, ids)
    }

    /// In a new user namespace, with all the ids that an ordinary user has.
    pub(crate) fn with_ranges(ids: Arc<SubIds>) -> Self {
        Self::with(libc::CLONE_NEWUSER, Ids::Sub(ids))
    }

    fn with(namespaces: i32, ids: Ids) -> Self {
        let mut setup = Plan::new();
        setup.reserve_sent(1);
        Self { namespaces, ids, setup, parent: (Plan::new(), 0), finish: Plan::new() }
    }

    /// Does it, and waits until nothing of it is there any more.
    pub(crate) fn go(mut self) -> Result<()> {
        let mut zygote = zygote::current()?;
        let mut header = Header::new(SPAWN);
        header.namespaces = self.namespaces as u64;
        self.ids.put(&mut header, &mut self.setup, CString::default());
        let (parent, handed) = self.parent;
        let mut setup = Setup::bare(self.setup);
        (setup.parent, setup.handed, setup.header) = (parent, handed, header);
        let finish = || Ok(Finish { plan: self.finish, header: Header::new(RUN) });
        let spawned = spawn(&setup, "a process to try things", &mut zygote, finish)?;
        // It may have been killed already; what counts is that the zygote has reaped it.
        _ = sys::pidfd_send_signal(spawned.pidfd.as_fd(), libc::SIGKILL, 0);
        while let Ok(Answer::Reply(reply, _)) = spawned.channel.receive(Some(PATIENCE)) {
            if reply.tag == EXITED {
                break;
            }
        }
        Ok(())
    }
}
