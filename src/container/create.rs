//! Create: carries a blueprint out. The ledger first, then what the host acquires, then the process; whatever fails on the way,
//! all of it is taken back.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, socket};

use super::blueprint::{Acquired, Blueprint, Plans};
use super::shared::Shared;
use super::state::{Claim, ExecDefaults, Record, StateDir, start_of};
use crate::cgroup::Cgroup;
use crate::init::wire::{DONE, FAILED, IN_ASIDE, IN_CLONE, IN_MAP, IN_RANGE, IN_SETNS, IN_TABLE, RUN, Reply};
use crate::plan::{encode, encode_spawn};
use crate::sys::fork_lock::ForkLock;
use crate::zygote::{self, Answer, Channel, Zygote, pair, send, wait_readable};
use crate::{Config, Error, ErrorCode, Result};

/// How long a container may take to come up. Mounting does wait for disks, at times.
const PATIENCE: Duration = Duration::from_secs(60);

/// The plan for `image` and `config`, wall by wall, as the shell commands a person would type to get the same, each with
/// a line that says what it is for. Nothing is made, but the image is unpacked into the store.
pub fn explain(image: impl AsRef<OsStr>, config: &Config) -> Result<String> {
    let state = StateDir::open(config.state_dir.as_deref())?;
    Blueprint::new(image.as_ref(), config, &state, &*zygote::current()?)?.explain()
}

/// Makes a container.
pub fn create(image: &OsStr, config: &Config) -> Result<Shared> {
    let state = StateDir::open(config.state_dir.as_deref())?;
    // Asked for first: while it starts, if it has to, we decide the rest.
    let zygote = zygote::current()?;
    let blueprint = Blueprint::new(image, config, &state, &zygote)?;
    let record = record(&blueprint, image);
    let claim = state.claim(&record)?;
    // From here on there is something to take back.
    let mut undo = Undo { state: Some(state), inode: claim.inode, record, pidfd: None };
    match raise(&blueprint, &mut undo, claim, image, zygote) {
        Ok(shared) => Ok(shared),
        Err(error) => {
            undo.undo();
            Err(error)
        }
    }
}

/// What there is to take back when a create fails.
struct Undo {
    state: Option<StateDir>,
    inode: u64,
    record: Record,
    pidfd: Option<OwnedFd>,
}

impl Undo {
    fn undo(self) {
        if let Some(pidfd) = &self.pidfd {
            _ = crate::sys::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL, 0);
            _ = wait_readable(&[pidfd.as_fd()], Some(PATIENCE));
        }
        if let Some(state) = &self.state {
            // What can't be removed now stays on record, and the next sweep tries again.
            _ = state.sweep_known(&self.record.name, self.inode, &self.record);
        }
    }
}

fn raise(
    blueprint: &Blueprint,
    undo: &mut Undo,
    claim: Claim,
    image: &OsStr,
    mut zygote: Arc<Zygote>,
) -> Result<Shared> {
    let state = undo.state.as_ref().expect("undo has the state until the end");
    if let Some(upper) = &blueprint.upper {
        make_upper(upper)?;
    }
    let cgroup = blueprint.cgroup.as_ref().map(crate::cgroup::Layout::make).transpose()?;
    let acquired = acquire(state, &undo.record.name, claim, cgroup.as_ref())?;
    let plans = blueprint.plans(&acquired)?;
    let mut born = give_birth(&plans, undo, &zygote);
    if let Err(Failure::Zygote) = born {
        // It died on the way, or before and nobody noticed; another one is started, once.
        zygote::forget(&zygote);
        zygote = zygote::current()?;
        born = give_birth(&plans, undo, &zygote);
    }
    let born = born.map_err(|failure| match failure {
        Failure::Zygote => Error::new(
            ErrorCode::System,
            "make the container",
            &blueprint.name,
            libc::EPIPE,
            "ctr's zygote ended while it worked on it",
        ),
        Failure::Error(error) => error,
    })?;
    let Born { control, channel, pid } = born;
    let pidfd = undo.pidfd.take().expect("a born process has a pidfd");
    Ok(Shared {
        record: undo.record.clone(),
        inode: Some(undo.inode),
        state: undo.state.take(),
        control,
        birth: Some(channel),
        zygote: Some(zygote),
        pid,
        pidfd,
        cgroup,
        made_from: Some((image.to_os_string(), blueprint.config.clone())),
        holder: std::process::id(),
        destroyed: AtomicBool::new(false),
        oom_kills: AtomicU64::new(0),
    })
}

fn record(blueprint: &Blueprint, image: &OsStr) -> Record {
    let config = &blueprint.config;
    let (owner, owner_start) = this_process();
    // What the image says about how it is run; empty is nothing.
    let said = |what: fn(&crate::image::ImageConfig) -> &String| {
        blueprint.image_config().map(what).filter(|text| !text.is_empty()).cloned()
    };
    Record {
        version: 1,
        name: blueprint.name.clone(),
        image: image.to_string_lossy().into_owned(),
        created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        owner: owner as i32,
        owner_start,
        detached: config.detached,
        cgroups: blueprint.cgroup.as_ref().map(|layout| layout.paths().to_vec()).unwrap_or_default(),
        upper: blueprint.upper.clone(),
        exec: ExecDefaults {
            env: blueprint.env().into_iter().map(Into::into).collect(),
            terminals: blueprint.own_root(),
            many_ids: blueprint.ids.many(),
            own_pid: config.namespaces.pid == crate::Namespace::New,
            has_root: true,
            capabilities: blueprint.capabilities(),
            cwd: said(|image| &image.working_dir).map(Into::into),
            user: said(|image| &image.user),
        },
    }
}

/// This process's pid and when it started; asked once.
fn this_process() -> (u32, u64) {
    static THIS: ForkLock<(u32, u64)> = ForkLock::new((0, 0));
    let pid = std::process::id();
    let mut this = THIS.lock();
    if this.0 != pid {
        *this = (pid, start_of(pid as i32).unwrap_or(0));
    }
    *this
}

fn make_upper(upper: &std::path::Path) -> Result<()> {
    for directory in [upper.to_path_buf(), upper.join("u"), upper.join("w")] {
        std::fs::create_dir_all(&directory).map_err(|e| Error::io("make", directory.display(), &e))?;
    }
    Ok(())
}

fn acquire(state: &StateDir, name: &str, claim: Claim, cgroup: Option<&Cgroup>) -> Result<Acquired> {
    let fail = |errno: nix::errno::Errno| Error::system("make the control socket of", name, errno as i32);
    let listener = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).map_err(fail)?;
    let address = UnixAddr::new(&state.socket_path(name)).map_err(fail)?;
    bind(std::os::fd::AsRawFd::as_raw_fd(&listener), &address).map_err(fail)?;
    let clone_into = cgroup.and_then(Cgroup::clone_into).map(|fd| fd.try_clone_to_owned()).transpose();
    Ok(Acquired {
        record: Some(claim.file),
        listener: Some(listener),
        join: cgroup.map(Cgroup::join_fds).transpose()?.unwrap_or_default(),
        clone_into: clone_into.map_err(|e| Error::io("use the cgroup of", name, &e))?,
    })
}

struct Born {
    control: OwnedFd,
    channel: Channel,
    pid: i32,
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

/// Has the zygote give birth and PID 1 do the rest. Both messages are sent at once: PID 1 finds the second one in its socket
/// when it comes to it, so the host waits once.
fn give_birth(plans: &Plans<'_>, undo: &mut Undo, zygote: &Zygote) -> std::result::Result<Born, Failure> {
    let (control, theirs) = pair().map_err(|e| Error::io("make a control socket", "", &e))?;
    // Both answer on one channel; they are told apart by what they say.
    let (channel, channel_theirs) = Channel::new().map_err(|e| Error::io("make a channel", "", &e))?;
    let spawn = encode_spawn(&plans.spawn, &plans.stem, &plans.aside, plans.handed);
    let mut fds = vec![channel_theirs.as_fd(), theirs.as_fd()];
    fds.extend(plans.stem.fds());
    if zygote.send(&spawn, &fds).is_err() {
        return Err(Failure::Zygote);
    }
    let rest = encode(&plans.run, &plans.rest);
    let mut fds = vec![channel_theirs.as_fd()];
    fds.extend(plans.rest.fds());
    send(control.as_fd(), &rest, &fds).map_err(|e| Error::io("send a request to PID 1 of", &undo.record.name, &e))?;
    drop(fds);
    // Only PID 1 and the zygote may have these, or their end would not be ours to see.
    drop((channel_theirs, theirs));
    let pid = await_both(plans, &channel, undo)?;
    Ok(Born { control, channel, pid })
}

/// Waits until the zygote has told the pid and PID 1 that it is ready, in whichever order.
fn await_both(plans: &Plans<'_>, channel: &Channel, undo: &mut Undo) -> std::result::Result<i32, Failure> {
    let (mut pid, mut ready) = (None, false);
    loop {
        if let (Some(pid), true) = (pid, ready) {
            return Ok(pid);
        }
        match channel.receive(Some(PATIENCE)).map_err(|e| Error::io("hear from PID 1 of", &undo.record.name, &e))? {
            Answer::Reply(reply, mut fds) if reply.tag == DONE && !fds.is_empty() => {
                undo.pidfd = Some(fds.remove(0));
                pid = Some(reply.pid);
            }
            Answer::Reply(reply, _) if reply.tag == DONE => ready = true,
            Answer::Reply(reply, _) if reply.tag == FAILED && reply.note == RUN => {
                // The zygote's word is on its way, and with it the pidfd by which all is taken back.
                if pid.is_none()
                    && let Ok(Answer::Reply(_, fds)) = channel.receive(Some(PATIENCE))
                {
                    undo.pidfd = fds.into_iter().next();
                }
                return Err(mend(plans.rest.error(reply.call, reply.errno)).into());
            }
            Answer::Reply(reply, _) => return Err(explain_failure(plans, &reply).into()),
            Answer::TimedOut => return Err(slow(&undo.record.name).into()),
            Answer::End => return Err(Failure::Zygote),
        }
    }
}

fn slow(name: &str) -> Error {
    Error::new(ErrorCode::TimedOut, "make the container", name, libc::ETIMEDOUT, "it was not ready within a minute")
}

/// What a failure of the zygote or of a newborn's stem means.
fn explain_failure(plans: &Plans<'_>, reply: &Reply) -> Error {
    let system = |step: &str, object: &str| Error::system(step, object, reply.errno);
    let error = match reply.call {
        _ if reply.tag != FAILED => {
            return Error::new(ErrorCode::System, "make", "PID 1", libc::EPIPE, "it was killed before it was ready");
        }
        IN_CLONE => system("clone into", "new namespaces"),
        IN_RANGE => system("claim", "a range of user ids"),
        IN_MAP => system("map the ids of", "the user namespace"),
        IN_SETNS => system("enter", "the PID namespace"),
        IN_TABLE => system("make", "one more container in this process"),
        call if call >= IN_ASIDE => plans.aside.error(call - IN_ASIDE, reply.errno),
        call => plans.stem.error(call, reply.errno),
    };
    mend(error)
}

/// What a user can do about the failures that machines are known for.
fn mend(error: Error) -> Error {
    let advice = match (error.step(), error.errno()) {
        ("clone into", libc::EPERM | libc::EACCES) => {
            "user namespaces are not allowed here: sysctl kernel.unprivileged_userns_clone=1, on Ubuntu \
             kernel.apparmor_restrict_unprivileged_userns=0; in an outer container allow them there"
        }
        ("clone into", libc::ENOSPC | libc::EUSERS) => {
            "too many namespaces, or none allowed: see the sysctls user.max_*_namespaces"
        }
        ("clone into", libc::EAGAIN) => "too many processes: ulimit -u, or the pids limit of the cgroup we are in",
        ("make a proc for" | "make a sysfs for", libc::EPERM) => {
            "parts of /proc or /sys are hidden here (an outer container masks them), and the kernel then refuses a new one"
        }
        ("id-map", libc::EINVAL) => {
            "the file system it lies on can't be id-mapped; put the image on ext4, xfs, btrfs or tmpfs"
        }
        ("put into the root", libc::ENOTDIR) => "the image has something else than a directory in its place",
        ("mount the overlay of", libc::EINVAL) => {
            "the kernel refuses an overlay there: is the image on an overlay itself? choose another store_dir"
        }
        _ => return error,
    };
    let code = match error.errno() {
        libc::EPERM | libc::EACCES => ErrorCode::Unsupported,
        _ => error.code(),
    };
    error.with_code(code).mend(advice)
}
