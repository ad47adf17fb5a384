//! Birth: has the zygote make a server process, PID 1 of a container or one in joined namespaces, and tells what went wrong.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use super::blueprint::Plans;
use crate::init::wire::{
    DONE, EXITED, FAILED, IN_ASIDE, IN_CLONE, IN_MAP, IN_NEWGIDMAP, IN_NEWUIDMAP, IN_RANGE, IN_SETNS, IN_TABLE, RUN,
    Reply,
};
use crate::plan::{encode, encode_spawn};
use crate::zygote::{self, Answer, Channel, Zygote, pair, send};
use crate::{Error, ErrorCode, Result, advice};

/// A server process that is ready.
pub struct Born {
    /// Requests go to it by this.
    pub control: OwnedFd,
    /// The zygote reports its end on this.
    pub channel: Channel,
    pub pid: i32,
    pub pidfd: OwnedFd,
}

enum Failure {
    /// The zygote is dead.
    Zygote,
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// How long a container may take to come up. Mounting does wait for disks, at times.
const PATIENCE: Duration = Duration::from_secs(60);

/// Gives birth. A zygote that died, before or on the way, is replaced by another, once; `zygote` is then that one.
pub fn give_birth(plans: &Plans<'_>, name: &str, zygote: &mut Arc<Zygote>) -> Result<Born> {
    let mut born = try_birth(plans, name, zygote);
    if let Err(Failure::Zygote) = born {
        zygote::forget(zygote);
        *zygote = zygote::current()?;
        born = try_birth(plans, name, zygote);
    }
    born.map_err(|failure| match failure {
        Failure::Zygote => {
            Error::new(ErrorCode::System, "make", name, libc::EPIPE, "ctr's zygote ended while it worked on it")
        }
        Failure::Error(error) => error,
    })
}

/// Both messages are sent at once: the newborn finds the second one in its socket when it comes to it, so the host is woken
/// once, by the newborn, when all is done.
fn try_birth(plans: &Plans<'_>, name: &str, zygote: &Zygote) -> std::result::Result<Born, Failure> {
    let (control, theirs) = pair().map_err(|e| Error::io("make a control socket", "", &e))?;
    let (channel, channel_theirs) = Channel::new().map_err(|e| Error::io("make a channel", "", &e))?;
    let spawn = encode_spawn(&plans.spawn, &plans.stem, &plans.aside, plans.handed);
    let mut fds = vec![channel_theirs.as_fd(), theirs.as_fd()];
    fds.extend(plans.stem.fds());
    if zygote.send(&spawn, &fds).is_err() {
        return Err(Failure::Zygote);
    }
    let mut run = plans.run;
    if !zygote.has_stood(run.walls) {
        run.before = 0;
    }
    let rest = encode(&run, &plans.rest);
    let mut fds = vec![channel_theirs.as_fd()];
    fds.extend(plans.rest.fds());
    send(control.as_fd(), &rest, &fds).map_err(|e| Error::io("send a request to PID 1 of", name, &e))?;
    drop(fds);
    // Only the newborn and the zygote may have these, or their end would not be ours to see.
    drop((channel_theirs, theirs));
    let hear = || channel.receive(Some(PATIENCE)).map_err(|e| Error::io("hear from PID 1 of", name, &e));
    match hear()? {
        Answer::Reply(reply, mut fds) if reply.tag == DONE && !fds.is_empty() => {
            zygote.stands(run.walls);
            if plans.stockable {
                // Not before: a clone with namespaces and a newborn's mounting wait for each other in the kernel.
                zygote.stock(&spawn);
            }
            Ok(Born { control, channel, pid: reply.pid, pidfd: fds.remove(0) })
        }
        Answer::Reply(reply, _) if reply.tag == FAILED && reply.note == RUN => {
            // It ends by itself now; when that is reported, nothing of it is left.
            while matches!(hear()?, Answer::Reply(reply, _) if reply.tag != EXITED) {}
            Err(mend(plans.rest.error(reply.call, reply.errno)).into())
        }
        Answer::Reply(reply, fds) => Err(explain_failure(plans, &reply, fds).into()),
        Answer::TimedOut => Err(slow(name).into()),
        Answer::End => Err(Failure::Zygote),
    }
}

fn slow(name: &str) -> Error {
    Error::new(ErrorCode::TimedOut, "make the container", name, libc::ETIMEDOUT, "it was not ready within a minute")
}

/// What a failure of the zygote or of a newborn's stem means.
fn explain_failure(plans: &Plans<'_>, reply: &Reply, fds: Vec<OwnedFd>) -> Error {
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
        IN_TABLE => system("make", "one more container in this process"),
        call if call >= IN_ASIDE => plans.aside.error(call - IN_ASIDE, reply.errno),
        call => plans.stem.error(call, reply.errno),
    };
    mend(error)
}

/// newuidmap(1) failed; what it said is in a pipe that came along.
fn refused_by(program: &str, errno: i32, fds: Vec<OwnedFd>) -> Error {
    let mut said = Vec::new();
    if let Some(pipe) = fds.into_iter().next() {
        // Nobody has its other end any more.
        _ = std::fs::File::from(pipe).take(LONGEST_SAID).read_to_end(&mut said);
    }
    let said = String::from_utf8_lossy(&said);
    let error = Error::system("map the ids of the user namespace with", program, errno);
    let error = match said.lines().find(|line| !line.trim().is_empty()) {
        Some(line) => {
            let words = line.trim().trim_start_matches(program).trim_start_matches(':').trim();
            Error::new(ErrorCode::Unsupported, error.step(), program, errno, format!("it says: {words}"))
        }
        None => error,
    };
    error.with_code(ErrorCode::Unsupported).mend(advice::NEWUIDMAP)
}

/// As much of what a program says as is passed on.
const LONGEST_SAID: u64 = 500;

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
        ("enter", libc::EPERM) => {
            "it takes rights in the user namespace that owns it: join its user namespace too, or be root of the machine"
                .into()
        }
        ("id-map", libc::EINVAL) => advice::IDMAP.into(),
        ("put into the root", libc::ENOTDIR | libc::EINVAL) => {
            "the image has something else than a directory in its place".into()
        }
        ("mount the overlay of", libc::EINVAL) => advice::OVERLAY.into(),
        ("mount the overlay of", libc::EPERM | libc::ENODEV) => advice::OVERLAY_MODULE.into(),
        _ => return error,
    };
    let code = match error.errno() {
        libc::EPERM | libc::EACCES => ErrorCode::Unsupported,
        _ => error.code(),
    };
    error.with_code(code).mend(advice)
}
