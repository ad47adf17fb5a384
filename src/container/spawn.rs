//! Spawn: has the zygote make a server process, PID 1 of a container or one in joined namespaces, and tells what went wrong.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use ctr_wire::{DONE, EXITED, FAILED, IN_MESSAGE, PREPARE, RUN};

use super::blueprint::{Finish, Setup};
use crate::helper::{add_hint, not_spawned};
use crate::plan::{Header, Plan, encode, encode_spawn};
use crate::zygote::{self, Answer, Channel, Zygote, pair, send};
use crate::{Error, ErrorCode, Result, Step, sys};

/// A server process that is ready.
pub struct Spawned {
    /// Requests go to it by this.
    pub control: OwnedFd,
    /// The zygote reports its end on this.
    pub channel: Channel,
    pub pid: i32,
    pub pidfd: OwnedFd,
    /// What it has handed out with its first answer, as its header asked for.
    pub given: Vec<OwnedFd>,
}

enum Failure {
    /// The zygote is dead.
    Zygote,
    /// The child failed, or was killed, before it was handed anything of this container.
    Child(Error),
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// How long a container may take to come up. Mounting does wait for disks, at times.
const PATIENCE: Duration = Duration::from_secs(60);

/// Spawns: has the child begin with `setup`, asks meanwhile for the `finish`, and has it finish. A zygote that died,
/// before or on the way, is replaced by another, once; `zygote` is then that one.
pub fn spawn<'a>(
    setup: &Setup<'a>,
    name: &str,
    zygote: &mut Arc<Zygote>,
    finish: impl FnOnce() -> Result<Finish<'a>>,
) -> Result<Spawned> {
    let spawn = encode_spawn(&setup.header, &setup.plan, &setup.parent, setup.handed);
    let spawn = Spawn { setup, spawn, name };
    let begun = spawn.begin(zygote);
    let finish = match finish() {
        Ok(finish) => finish,
        Err(error) => {
            if let Ok(begun) = begun {
                begun.abandon();
            }
            return Err(error);
        }
    };
    let mut spawned = begun.and_then(|begun| spawn.finish(begun, &finish, zygote));
    if let Err(Failure::Zygote) = spawned {
        zygote::forget(zygote);
        *zygote = zygote::current()?;
        spawned = spawn.again(&finish, zygote);
    }
    // It may have been made ahead of time, and have met something that has passed since.
    if setup.poolable && matches!(spawned, Err(Failure::Child(_))) {
        spawned = spawn.again(&finish, zygote);
    }
    spawned.map_err(|failure| match failure {
        Failure::Zygote => Error::new(
            ErrorCode::System,
            Step::MakeByZygote,
            name,
            libc::EPIPE,
            "ctr's zygote ended while it worked on it",
        ),
        Failure::Child(error) | Failure::Error(error) => error,
    })
}

/// What is the same for every try.
struct Spawn<'s, 'a> {
    setup: &'s Setup<'a>,
    /// The zygote's message.
    spawn: Vec<u8>,
    name: &'s str,
}

/// A child that is under way.
struct Begun {
    control: OwnedFd,
    channel: Channel,
    /// The other end of `channel`, to go with what the child is asked next.
    answers: OwnedFd,
    /// The other end of `control`. Open here too until that is sent, so sending never fails for want of somebody who hears.
    theirs: OwnedFd,
}

type Outcome<T> = std::result::Result<T, Failure>;

impl Spawn<'_, '_> {
    fn begin(&self, zygote: &Zygote) -> Outcome<Begun> {
        let (control, theirs) = pair().map_err(|e| Error::io(Step::MakeSocketPair, "", &e))?;
        let (channel, answers) = Channel::new().map_err(|e| Error::io(Step::MakeChannel, "", &e))?;
        let mut fds = vec![answers.as_fd(), theirs.as_fd()];
        fds.extend(self.setup.plan.fds());
        if zygote.send(&self.spawn, &fds).is_err() {
            return Err(Failure::Zygote);
        }
        drop(fds);
        let begun = Begun { control, channel, answers, theirs };
        if self.setup.root.len() > 0 {
            let header = Header::new(PREPARE);
            if let Err(failure) = self.ask(&begun, &header, &self.setup.root) {
                abandon(&begun.channel);
                return Err(failure);
            }
        }
        Ok(begun)
    }

    /// The child finds what it is asked in its socket when it comes to it.
    fn ask(&self, begun: &Begun, header: &Header, plan: &Plan<'_>) -> Outcome<()> {
        let mut fds = vec![begun.answers.as_fd()];
        fds.extend(plan.fds());
        send(begun.control.as_fd(), &encode(header, plan), &fds)
            .map_err(|e| Error::io(Step::SendRequestToPid1, self.name, &e).into())
    }

    /// The host is woken once, when all is done.
    fn finish(&self, begun: Begun, finish: &Finish<'_>, zygote: &Zygote) -> Outcome<Spawned> {
        let mut run = finish.header;
        if !zygote.has_stood(run.walls) {
            run.before = 0;
        }
        let sent = self.ask(&begun, &run, &finish.plan);
        let Begun { control, channel, answers, theirs } = begun;
        // Only the child and the zygote may have these, or their end would not be ours to see.
        drop((answers, theirs));
        match sent.and_then(|()| self.hear(finish, &channel)) {
            Ok((pid, pidfd, given)) => {
                zygote.stands(run.walls);
                if self.setup.poolable {
                    // Not before: a clone with namespaces and a child's mounting wait for each other in the kernel.
                    zygote.add_spare(&self.spawn);
                }
                Ok(Spawned { control, channel, pid, pidfd, given })
            }
            Err(failure) => {
                abandon(&channel);
                Err(failure)
            }
        }
    }

    fn again(&self, finish: &Finish<'_>, zygote: &Zygote) -> Outcome<Spawned> {
        self.finish(self.begin(zygote)?, finish, zygote)
    }

    /// Waits for the news of a spawn: the pid of the child, its pidfd, and what it hands out.
    fn hear(&self, finish: &Finish<'_>, channel: &Channel) -> Outcome<(i32, OwnedFd, Vec<OwnedFd>)> {
        let hear = || {
            let heard = channel.receive(Some(PATIENCE));
            heard.map_err(|e| Failure::Error(Error::io(Step::HearFromPid1, self.name, &e)))
        };
        match hear()? {
            Answer::Reply(reply, mut fds) if reply.tag == DONE && !fds.is_empty() => {
                let pidfd = fds.remove(0);
                Ok((reply.pid, pidfd, fds))
            }
            Answer::Reply(reply, _) if reply.tag == FAILED && matches!(reply.note, PREPARE | RUN) => {
                // It ends by itself now; when that is reported, nothing of it is left.
                while matches!(hear()?, Answer::Reply(reply, _) if reply.tag != EXITED) {}
                let plan = if reply.note == RUN { &finish.plan } else { &self.setup.root };
                Err(add_hint(plan.error(reply.call, reply.errno)).into())
            }
            Answer::Reply(reply, fds) if reply.tag != FAILED || reply.call < IN_MESSAGE => {
                Err(Failure::Child(not_spawned(&self.setup.plan, &self.setup.parent, &reply, fds)))
            }
            Answer::Reply(reply, fds) => Err(not_spawned(&self.setup.plan, &self.setup.parent, &reply, fds).into()),
            Answer::TimedOut => Err(slow(self.name).into()),
            Answer::End => Err(Failure::Zygote),
        }
    }
}

impl Begun {
    /// Has it end, since it isn't wanted, and waits until it has.
    fn abandon(self) {
        let Self { control, channel, answers, theirs } = self;
        drop((control, theirs, answers));
        while matches!(channel.receive(Some(PATIENCE)), Ok(Answer::Reply(reply, _)) if reply.tag != EXITED) {}
    }
}

/// Whatever became of a spawn that failed here, nothing may live on. A child that can't tell us that it is ready ends by
/// itself, and one that has told us already is killed.
fn abandon(channel: &Channel) {
    channel.hear_no_more();
    while let Ok(Answer::Reply(reply, fds)) = channel.try_receive() {
        if let (DONE, Some(pidfd)) = (reply.tag, fds.first()) {
            _ = sys::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL, 0);
        }
    }
}

fn slow(name: &str) -> Error {
    Error::new(ErrorCode::TimedOut, Step::MakeContainer, name, libc::ETIMEDOUT, "it was not ready within a minute")
}

#[cfg(test)]
mod tests {
    use ctr_wire::{IN_PARENT, Reply};

    use super::*;
    use crate::hints;
    use crate::plan::Slot;
    use crate::rootfs::{Context, make_nodes};

    fn failed(call: u32, errno: i32) -> Reply {
        Reply { tag: FAILED, call, errno, ..Reply::default() }
    }

    #[test]
    fn a_tmpfs_is_explained_by_user_namespaces_only_where_it_is_mounted_in_one() {
        let mut setup = Setup::bare(Plan::new());
        make_nodes(&mut setup.parent, &[], Slot(1), Context(None));
        setup.plan.step(Step::MakeTmpfs, "changes", "", "");
        setup.plan.mount(c"tmpfs", c"/", 0, c"");
        for errno in [libc::EPERM, libc::EACCES] {
            let theirs = not_spawned(&setup.plan, &setup.parent, &failed(IN_PARENT, errno), Vec::new());
            let own = not_spawned(&setup.plan, &setup.parent, &failed(0, errno), Vec::new());
            assert_eq!([theirs.step_id(), own.step_id()], ["make-tmpfs-for-nodes", "make-tmpfs"]);
            assert_eq!([theirs.step(), own.step()], ["make a tmpfs for"; 2]);
            assert_eq!([theirs.code(), own.code()], [ErrorCode::Unsupported; 2]);
            // Where this test runs under a filter, that is what has said EPERM.
            if errno == libc::EACCES || sys::seccomp_mode() == 0 {
                assert_eq!(theirs.hint(), hints::ZYGOTE_MOUNTS);
                assert_eq!(own.hint(), hints::mounts());
            }
        }
    }
}
