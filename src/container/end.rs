//! Ends a container by its name, whatever became of its record: one that an earlier version wrote, or that somebody's hand or a
//! disk has damaged, can't be joined, and yet its container runs.
//!
//! Then it is the kernel that is asked: its control socket lies in this user's own directory, and who listens there is its PID 1.
//! What the record still says is believed as far as the kernel says the same.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;

use super::peer::Peer;
use super::shared::Shared;
use super::state::{Found, RecordFile, StateDir, Unusable};
use crate::cgroup::{self, Cgroup, Place};
use crate::zygote::wait_readable;
use crate::{Error, ErrorCode, Result, Step, sys};

/// How long a killed PID 1 may take to be dead.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ends the container `name`.
pub fn destroy_named(state: StateDir, name: &str) -> Result<()> {
    match state.look(name)? {
        Found::Running(record, file) => {
            let cgroups = record.cgroups();
            let join = || Shared::on_record(StateDir::open(Some(state.path()))?, (*record).clone(), file);
            let joined = join().or_else(|error| match error.errno() {
                // More have connected while it stood still, or had no processor time, than can wait.
                libc::EAGAIN if cgroup::check_names(name, &cgroups).is_ok() => {
                    cgroup::let_end(&cgroups);
                    join()
                }
                _ => Err(error),
            });
            match joined {
                // It is not as its record says.
                Err(error) if error.code() == ErrorCode::Invalid => end(&state, name, file, cgroups),
                // Its owner is gone, and so it was ending already; that has been waited for.
                Err(error) if error.code() == ErrorCode::NotFound && state.read(name)?.is_none() => Ok(()),
                joined => joined?.destroy(),
            }
        }
        Found::Unusable(Unusable { file, cgroups, .. }) => end(&state, name, file, cgroups),
    }
}

fn end(state: &StateDir, name: &str, file: RecordFile, written: Vec<Place>) -> Result<()> {
    let fail = |errno: i32| Error::system(Step::KillPid1, name, errno);
    let Peer { pid, pidfd, control: _control } = Peer::of(state, name)?;
    let mut cgroups = cgroup::of_process(name, pid)?;
    for place in written {
        let is_of_it = cgroup::verify(name, pid, std::slice::from_ref(&place)).is_ok();
        if is_of_it && place.path().exists() && !cgroups.iter().any(|known| known.path() == place.path()) {
            cgroups.push(place);
        }
    }
    let is_init = sys::pidfd_is_init(pidfd.as_fd()) == Some(true);
    if !is_init && cgroups.is_empty() {
        let why = "who listens on its control socket is neither the first process of a PID namespace nor in a cgroup of that name";
        return Err(Error::new(ErrorCode::Invalid, Step::KillPid1, name, libc::EPROTO, why)
            .with_hint(format!("look at process {pid}, and kill it if it is a container's")));
    }
    if !is_init {
        // The end of a server without a PID namespace of its own ends nobody else.
        Cgroup::open(&cgroups, &[])?.kill()?;
    }
    match sys::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL, 0) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => return Err(fail(errno as i32)),
    }
    cgroup::let_end(&cgroups);
    if !wait_readable(&[pidfd.as_fd()], Some(PATIENCE)).unwrap_or(false) {
        return Err(fail(libc::ETIMEDOUT));
    }
    state.sweep_unusable(name, file, &cgroups).map(drop)
}
