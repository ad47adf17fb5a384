//! Birth: has the zygote make a server process, PID 1 of a container or one in joined namespaces, and tells what went wrong.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use super::blueprint::{Rest, Stem};
use super::inherit::{self, Inherited};
use crate::helper::refused_by;
use crate::init::wire::{
    DONE, EXITED, FAILED, IN_ASIDE, IN_CLONE, IN_HANDOVER, IN_MAP, IN_MESSAGE, IN_NEWGIDMAP, IN_NEWUIDMAP, IN_RANGE,
    IN_SETNS, IN_TABLE, MOST_CHILDREN, PREPARE, RUN, Reply,
};
use crate::plan::{Header, Plan, encode, encode_spawn};
use crate::zygote::{self, Answer, Channel, Scheduling, Zygote, pair, send};
use crate::{Error, ErrorCode, Result, advice, sys};

/// A server process that is ready.
pub struct Born {
    /// Requests go to it by this.
    pub control: OwnedFd,
    /// The zygote reports its end on this.
    pub channel: Channel,
    pub pid: i32,
    pub pidfd: OwnedFd,
    /// What it has of the thread for which it was born.
    pub inherited: Inherited,
}

enum Failure {
    /// The zygote is dead.
    Zygote,
    /// The newborn failed, or was killed, before it was handed anything of this container.
    Newborn(Error),
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// How long a container may take to come up. Mounting does wait for disks, at times.
const PATIENCE: Duration = Duration::from_secs(60);

/// Gives birth: has the newborn begin with `stem`, asks meanwhile for the `rest`, and has it finish. A zygote that died,
/// before or on the way, is replaced by another, once; `zygote` is then that one.
pub fn give_birth<'a>(
    stem: &Stem<'a>,
    name: &str,
    zygote: &mut Arc<Zygote>,
    rest: impl FnOnce() -> Result<Rest<'a>>,
) -> Result<Born> {
    let spawn = encode_spawn(&stem.header, &stem.plan, &stem.aside, stem.handed);
    let birth = Birth { stem, spawn, name };
    let begun = birth.begin(zygote);
    let rest = match rest() {
        Ok(rest) => rest,
        Err(error) => {
            if let Ok(begun) = begun {
                begun.abandon();
            }
            return Err(error);
        }
    };
    let mut born = begun.and_then(|begun| birth.finish(begun, &rest, zygote));
    if let Err(Failure::Zygote) = born {
        zygote::forget(zygote);
        *zygote = zygote::current()?;
        born = birth.again(&rest, zygote);
    }
    // It may have been made ahead of time, and have met something that has passed since.
    if stem.stockable && matches!(born, Err(Failure::Newborn(_))) {
        born = birth.again(&rest, zygote);
    }
    let mut born = born.map_err(|failure| match failure {
        Failure::Zygote => {
            Error::new(ErrorCode::System, "make", name, libc::EPIPE, "ctr's zygote ended while it worked on it")
        }
        Failure::Newborn(error) | Failure::Error(error) => error,
    })?;
    born.inherit(zygote)?;
    Ok(born)
}

impl Born {
    /// Gives it the scheduling of the calling thread in the place of the zygote's, from which it has the rest.
    fn inherit(&mut self, zygote: &Zygote) -> Result<()> {
        let scheduling = Scheduling::of(0);
        match inherit::give(&scheduling, self.pid, zygote.scheduling()) {
            // It has ended already, which whoever asks for something next is told.
            Err(error) if error.errno() != libc::ESRCH => {
                _ = sys::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGKILL, 0);
                return Err(error);
            }
            _ => {}
        }
        let (rlimits, oom_score_adj) = (*zygote.rlimits(), zygote.oom_score_adj());
        self.inherited = Inherited { scheduling, rlimits, oom_score_adj };
        Ok(())
    }
}

/// What is the same for every try.
struct Birth<'s, 'a> {
    stem: &'s Stem<'a>,
    /// The zygote's message.
    spawn: Vec<u8>,
    name: &'s str,
}

/// A newborn that is under way.
struct Begun {
    control: OwnedFd,
    channel: Channel,
    /// The other end of `channel`, to go with what the newborn is asked next.
    answers: OwnedFd,
    /// The other end of `control`. Open here too until that is sent, so sending never fails for want of somebody who hears.
    theirs: OwnedFd,
}

type Attempt<T> = std::result::Result<T, Failure>;

impl Birth<'_, '_> {
    fn begin(&self, zygote: &Zygote) -> Attempt<Begun> {
        let (control, theirs) = pair().map_err(|e| Error::io("make a control socket", "", &e))?;
        let (channel, answers) = Channel::new().map_err(|e| Error::io("make a channel", "", &e))?;
        let mut fds = vec![answers.as_fd(), theirs.as_fd()];
        fds.extend(self.stem.plan.fds());
        if zygote.send(&self.spawn, &fds).is_err() {
            return Err(Failure::Zygote);
        }
        drop(fds);
        let begun = Begun { control, channel, answers, theirs };
        if self.stem.root.len() > 0 {
            let header = Header::new(PREPARE);
            if let Err(failure) = self.ask(&begun, &header, &self.stem.root) {
                abandon(&begun.channel);
                return Err(failure);
            }
        }
        Ok(begun)
    }

    /// The newborn finds what it is asked in its socket when it comes to it.
    fn ask(&self, begun: &Begun, header: &Header, plan: &Plan<'_>) -> Attempt<()> {
        let mut fds = vec![begun.answers.as_fd()];
        fds.extend(plan.fds());
        send(begun.control.as_fd(), &encode(header, plan), &fds)
            .map_err(|e| Error::io("send a request to PID 1 of", self.name, &e).into())
    }

    /// The host is woken once, when all is done.
    fn finish(&self, begun: Begun, rest: &Rest<'_>, zygote: &Zygote) -> Attempt<Born> {
        let mut run = rest.header;
        if !zygote.has_stood(run.walls) {
            run.before = 0;
        }
        let sent = self.ask(&begun, &run, &rest.plan);
        let Begun { control, channel, answers, theirs } = begun;
        // Only the newborn and the zygote may have these, or their end would not be ours to see.
        drop((answers, theirs));
        match sent.and_then(|()| self.hear(rest, &channel)) {
            Ok((pid, pidfd)) => {
                zygote.stands(run.walls);
                if self.stem.stockable {
                    // Not before: a clone with namespaces and a newborn's mounting wait for each other in the kernel.
                    zygote.stock(&self.spawn);
                }
                Ok(Born { control, channel, pid, pidfd, inherited: Inherited::default() })
            }
            Err(failure) => {
                abandon(&channel);
                Err(failure)
            }
        }
    }

    fn again(&self, rest: &Rest<'_>, zygote: &Zygote) -> Attempt<Born> {
        self.finish(self.begin(zygote)?, rest, zygote)
    }

    /// Waits for the news of a birth: the pid of the newborn and its pidfd.
    fn hear(&self, rest: &Rest<'_>, channel: &Channel) -> Attempt<(i32, OwnedFd)> {
        let hear = || {
            let heard = channel.receive(Some(PATIENCE));
            heard.map_err(|e| Failure::Error(Error::io("hear from PID 1 of", self.name, &e)))
        };
        match hear()? {
            Answer::Reply(reply, mut fds) if reply.tag == DONE && !fds.is_empty() => Ok((reply.pid, fds.remove(0))),
            Answer::Reply(reply, _) if reply.tag == FAILED && matches!(reply.note, PREPARE | RUN) => {
                // It ends by itself now; when that is reported, nothing of it is left.
                while matches!(hear()?, Answer::Reply(reply, _) if reply.tag != EXITED) {}
                let plan = if reply.note == RUN { &rest.plan } else { &self.stem.root };
                Err(mend(plan.error(reply.call, reply.errno)).into())
            }
            Answer::Reply(reply, fds) if reply.tag != FAILED || reply.call < IN_MESSAGE => {
                Err(Failure::Newborn(explain_failure(self.stem, &reply, fds)))
            }
            Answer::Reply(reply, fds) => Err(explain_failure(self.stem, &reply, fds).into()),
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

/// Whatever became of a birth that failed here, nothing may live on. A newborn that can't tell us that it is ready ends by
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
    Error::new(ErrorCode::TimedOut, "make the container", name, libc::ETIMEDOUT, "it was not ready within a minute")
}

/// What a failure of the zygote or of a newborn's stem means.
fn explain_failure(stem: &Stem<'_>, reply: &Reply, fds: Vec<OwnedFd>) -> Error {
    let system = |step: &str, object: &str| Error::system(step, object, reply.errno);
    let error = match reply.call {
        _ if reply.tag != FAILED => {
            return Error::new(ErrorCode::System, "make", "PID 1", libc::EPIPE, "it was killed before it was ready");
        }
        IN_CLONE => system("clone into", "new namespaces"),
        IN_RANGE => system("claim", "a range of user ids"),
        IN_MAP => system("map the ids of", "the user namespace"),
        IN_NEWUIDMAP => refused_by("newuidmap", reply.errno, fds),
        IN_NEWGIDMAP => refused_by("newgidmap", reply.errno, fds),
        IN_SETNS => system("enter", "the namespaces to be born in"),
        IN_HANDOVER => system("hand over to", "PID 1"),
        IN_TABLE => {
            let why =
                format!("this process has {MOST_CHILDREN} containers and joined pids, which is as many as it can");
            let error = Error::new(ErrorCode::System, "make", "one more container", reply.errno, why);
            error.mend("end some, or have another process make the others")
        }
        call if call >= IN_ASIDE => stem.aside.error(call - IN_ASIDE, reply.errno),
        call => stem.plan.error(call, reply.errno),
    };
    mend(error)
}

/// What a user can do about the failures that machines are known for.
fn mend(error: Error) -> Error {
    if !error.advice().is_empty() {
        let known = error.advice().to_string();
        return match error.step() {
            "make a proc for" | "make a sysfs for" => error.mend(format!("{known}; or {}", advice::MASKED)),
            _ => error,
        };
    }
    let advice = match (error.step(), error.errno()) {
        ("clone into", libc::EPERM | libc::EACCES) => advice::user_namespaces(),
        ("clone into", libc::ENOSPC | libc::EUSERS) => advice::namespace_limits(),
        ("clone into", libc::EAGAIN) => advice::PROCESSES.into(),
        ("make a proc for" | "make a sysfs for", libc::EPERM) => advice::MASKED.into(),
        ("make a tmpfs for" | "make a cover", libc::EPERM | libc::EACCES) => advice::mounts(),
        ("enter" | "enter the namespace", libc::EPERM) => {
            "it takes rights in the user namespace that owns it: join that one too, or, as root of the machine, share the host's"
                .into()
        }
        ("id-map", libc::EINVAL) => advice::IDMAP.into(),
        ("id-map for a bind", libc::EINVAL) => advice::IDMAP_BIND.into(),
        ("run programs under", errno) if !advice::refused_label(errno).is_empty() => {
            advice::refused_label(errno).into()
        }
        ("set the sysctl", libc::EINVAL | libc::ERANGE) => {
            let groups = error.object() == "net.ipv4.ping_group_range";
            let advice = if groups { advice::PING_GROUPS } else { "the kernel doesn't take this value for it" };
            return error.with_code(ErrorCode::Invalid).mend(advice);
        }
        ("set the sysctl", libc::ENOENT) => {
            "this kernel has no such parameter, or not in a namespace of a container's own, or its module is not loaded".into()
        }
        ("set the sysctl", libc::EPERM | libc::EACCES | libc::EROFS) => {
            "the kernel lets only the root of the machine set it, or it can't be set here at all".into()
        }
        ("join a new keyring", libc::EDQUOT) => advice::KEYS.into(),
        ("set off", libc::ERANGE) => {
            return error.with_code(ErrorCode::Invalid).mend(
                "the clock counts from the machine's boot on: it can't be before that, nor more than 146 years after it",
            );
        }
        ("put into the root", libc::ENOTDIR | libc::EINVAL) => {
            "the image has something else than a directory in its place".into()
        }
        ("mount the overlay of", libc::EINVAL) => advice::OVERLAY.into(),
        ("mount the overlay of", libc::EPERM | libc::ENODEV) => advice::OVERLAY_MODULE.into(),
        // Whatever takes a capability inside may be the first to meet that restriction.
        (_, libc::EPERM | libc::EACCES) => match advice::apparmor() {
            Some(advice) => advice,
            None => return error,
        },
        _ => return error,
    };
    let code = match error.errno() {
        libc::EPERM | libc::EACCES => ErrorCode::Unsupported,
        _ => error.code(),
    };
    error.with_code(code).mend(advice)
}
