//! A program that this process has started, as long as anybody wants to know of its end: who has its handle, and who watches the
//! container.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ctr_wire::{CPU_TIME_USED_UP, EXITED, Reply, TIME_IS_UP};
use nix::errno::Errno;

use super::exit::{DESTROYED, Exit, ExitReason};
use super::kill::is_signal;
use super::request::SILENCE;
use super::shared::Shared;
use super::watchers::Watched;
use crate::sys::Own;
use crate::sys::fork_lock::ForkLock;
use crate::zygote::{Answer, Channel, wait_readable};
use crate::{Error, ErrorCode, Result, Step, sys};

/// A program: how it is heard of and signalled.
pub struct Program {
    pub container: Arc<Shared>,
    pub channel: Channel,
    pub pidfd: Own,
    pub pid: i32,
    /// Held from reading the answer to keeping it.
    pub exit: ForkLock<Option<Exit>>,
    /// When we sent it SIGKILL ourselves, so it was no OOM kill.
    pub killed: Mutex<Option<Instant>>,
    /// When its time is up, if ever.
    pub limit: Option<Instant>,
    /// We have killed it ourselves since its time was up.
    pub timed_out: AtomicBool,
    /// How many processes the kernel had OOM killed when it was started.
    pub oom_kills: u64,
}

/// How long a process that is dead may take to be reported. PID 1 does it at once; a hostile one may never.
const REPORT: Duration = Duration::from_secs(2);
/// How often we look whether the process is dead, and PID 1 silent.
const LOOK: Duration = Duration::from_secs(1);
/// How long after a time limit it is kept by us, where PID 1 has not.
const GRACE: Duration = Duration::from_secs(1);
/// How long a process that was killed may take to die.
const DYING: Duration = Duration::from_secs(30);

impl Watched for Program {
    fn pid(&self) -> i32 {
        self.pid
    }

    fn answer_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    fn wait(&self, timeout: Option<Duration>) -> Result<Option<Exit>> {
        self.wait(timeout)
    }
}

impl Program {
    /// See [`super::process::Process::host_pid`].
    pub fn host_pid(&self) -> Result<i32> {
        if let Some(pid) = self.channel.named().filter(|&pid| pid != self.container.pid) {
            return Ok(pid);
        }
        if sys::pidfd_is_of_our_namespace(self.container.pidfd.as_fd()) {
            return Ok(self.pid);
        }
        sys::pidfd_pid(self.pidfd.as_fd()).filter(|&pid| pid > 0).ok_or_else(|| {
            let error = Error::system(Step::LookUpHostPid, self.pid, libc::ESRCH);
            error.with_code(ErrorCode::NotFound)
        })
    }

    /// See [`super::process::Process::wait`].
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Option<Exit>> {
        let fail = |e: std::io::Error| match e.raw_os_error() {
            Some(libc::EBADF) => self.container.foreign(),
            _ => Error::io(Step::WaitForProcess, self.pid, &e),
        };
        self.container.check_holder()?;
        if let Some(exit) = *self.exit.lock() {
            return Ok(Some(exit));
        }
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        // The end of the channel is no news any more.
        let mut hung_up = false;
        let mut suspended = None;
        loop {
            // A hostile PID 1 may have answers without end.
            if end.is_some_and(|end| Instant::now() > end + REPORT) {
                return Ok(None);
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let heard = if hung_up { self.pidfd.as_fd() } else { self.channel.as_fd() };
            let slice = self.until_late().min(left.unwrap_or(LOOK)).min(LOOK);
            if left == Some(Duration::ZERO) || hung_up || !wait_readable(&[heard], Some(slice)).map_err(fail)? {
                // Whoever waits in vain for what is not ours any more is told so here, and whoever hears something before it is taken.
                self.channel.check().map_err(fail)?;
                self.keep_limit()?;
                // What was killed has to run to its end.
                if suspended.is_none() && self.was_killed() {
                    suspended = self.container.suspend_processor_limit();
                }
                // Its pidfd tells of its end a moment before PID 1 has reaped it.
                let moment = if hung_up { slice } else { Duration::ZERO };
                if !wait_readable(&[self.pidfd.as_fd()], Some(moment)).map_err(fail)? {
                    let exit = *self.exit.lock();
                    if exit.is_some() || end.is_some_and(|end| Instant::now() >= end) {
                        return Ok(exit);
                    }
                    self.check_dying()?;
                    continue;
                }
                if hung_up || !wait_readable(&[self.channel.as_fd()], Some(REPORT)).map_err(fail)? {
                    let mut exit = self.exit.lock();
                    return Ok(Some(*exit.get_or_insert_with(|| self.unreported())));
                }
            }
            // One thread at a time, since an OOM kill is told of once.
            let mut exit = self.exit.lock();
            if exit.is_some() {
                return Ok(*exit);
            }
            // The answer stays in the channel: a forked child that asks must not take it away from its parent. So it is
            // readable for all who come later.
            match self.channel.peek().map_err(fail)? {
                Answer::Reply(reply, _) if reply.tag == EXITED => *exit = Some(self.exit_of(&reply)),
                // Nothing else is to come here; away with it.
                Answer::Reply(..) => _ = self.channel.try_receive().map_err(fail)?,
                // A PID 1 that ends closes it a moment before it is dead.
                Answer::End if self.container.is_ending() => {
                    *exit = Some(DESTROYED);
                }
                Answer::End => hung_up = true,
                Answer::TimedOut => {}
            }
            if exit.is_some() {
                return Ok(*exit);
            }
        }
    }

    /// How long it is until PID 1 should have kept the time limit.
    fn until_late(&self) -> Duration {
        let late = self.limit.filter(|_| !self.timed_out.load(Ordering::Relaxed)).map(|limit| limit + GRACE);
        late.map_or(LOOK, |late| late.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)))
    }

    /// Kills it where its time was up and PID 1 has not. What it has started is PID 1's alone to find.
    fn keep_limit(&self) -> Result<()> {
        if self.limit.is_some_and(|limit| Instant::now() >= limit + GRACE)
            && !self.timed_out.swap(true, Ordering::Relaxed)
            && !wait_readable(&[self.pidfd.as_fd()], Some(Duration::ZERO)).unwrap_or(true)
        {
            self.kill(libc::SIGKILL)?;
        }
        Ok(())
    }

    /// See [`super::process::Process::was_killed`].
    pub fn was_killed(&self) -> bool {
        self.killed.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn check_dying(&self) -> Result<()> {
        let killed = *self.killed.lock().unwrap_or_else(PoisonError::into_inner);
        let since = killed.map_or(Duration::ZERO, |killed| killed.elapsed());
        if since >= SILENCE
            && let Some(error) = self.container.why_silent()
        {
            return Err(error.so("what was killed ends when it is resumed"));
        }
        if since < DYING {
            return Ok(());
        }
        let why = "it was killed, but does not end: it waits in the kernel, as for a file system that does not answer";
        Err(Error::new(ErrorCode::TimedOut, Step::WaitForProcess, self.pid, libc::ETIMEDOUT, why)
            .with_hint("destroy the container"))
    }

    /// How it ended, where it is dead and PID 1 has not said so: what the kernel says.
    fn unreported(&self) -> Exit {
        let unknown = Exit { reason: ExitReason::Unknown, ..DESTROYED };
        if !self.container.lives() {
            return DESTROYED;
        }
        let status = zombie_status(self.pidfd.as_fd()).or_else(|| sys::pidfd_exit_status(self.pidfd.as_fd()));
        // A zombie that was reaped meanwhile.
        let status = status.or_else(|| sys::pidfd_exit_status(self.pidfd.as_fd()));
        let killed = || self.killed.lock().unwrap_or_else(PoisonError::into_inner).map(|_| libc::SIGKILL);
        status.or_else(killed).map_or(unknown, |status| self.exit_of(&Reply { status, ..Reply::default() }))
    }

    fn exit_of(&self, reply: &Reply) -> Exit {
        let status = reply.status;
        let signal = status & 0x7f;
        let reason = if signal == 0 {
            ExitReason::Exited
        } else if reply.note == u32::from(CPU_TIME_USED_UP) {
            ExitReason::OutOfCpuTime
        } else if reply.note == u32::from(TIME_IS_UP) || self.timed_out.load(Ordering::Relaxed) {
            ExitReason::TimedOut
        } else if signal == libc::SIGKILL
            && self.killed.lock().unwrap_or_else(PoisonError::into_inner).is_none()
            && self.container.was_out_of_memory(self.oom_kills)
        {
            ExitReason::OutOfMemory
        } else {
            ExitReason::Signaled
        };
        Exit {
            code: if signal == 0 { status >> 8 & 0xff } else { 128 + signal },
            signal,
            reason,
            user_time: Duration::from_micros(reply.user_us),
            system_time: Duration::from_micros(reply.system_us),
            max_rss: reply.max_rss.saturating_mul(1024),
        }
    }

    /// See [`super::process::Process::kill`].
    pub fn kill(&self, signal: i32) -> Result<()> {
        self.note_kill(signal);
        match sys::pidfd_send_signal(self.own_pidfd()?, signal, 0) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(self.unsent(signal, errno)),
        }
    }

    /// See [`super::process::Process::kill_group`].
    pub fn kill_group(&self, signal: i32) -> Result<()> {
        self.note_kill(signal);
        const PIDFD_SIGNAL_PROCESS_GROUP: u32 = 4;
        match sys::pidfd_send_signal(self.own_pidfd()?, signal, PIDFD_SIGNAL_PROCESS_GROUP) {
            Ok(()) => Ok(()),
            // Before Linux 6.9, and where the leader is gone but the group is not: PID 1 sends it.
            Err(Errno::EINVAL | Errno::ESRCH) if is_signal(signal) => self.container.kill_group(self.pid, signal),
            Err(errno) => Err(self.unsent(signal, errno)),
        }
    }

    fn note_kill(&self, signal: i32) {
        // Of one that has ended already it was not the end.
        let lives = || !wait_readable(&[self.pidfd.as_fd()], Some(Duration::ZERO)).unwrap_or(false);
        if signal == libc::SIGKILL && lives() {
            self.killed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
        }
    }

    /// Its pidfd, for somebody who may use it.
    pub fn own_pidfd(&self) -> Result<BorrowedFd<'_>> {
        self.container.check_holder()?;
        self.pidfd.check().map_err(|_| self.container.foreign())
    }

    fn unsent(&self, signal: i32, errno: Errno) -> Error {
        if is_signal(signal) {
            return Error::system(Step::SignalProcess, self.pid, errno as i32);
        }
        Error::invalid(Step::SendSignal, signal, "there is no signal of this number")
    }
}

/// The status of a process that has ended and is not reaped, as wait4(2) has it: the last field of /proc/PID/stat, proc(5). The
/// kernel shows 0 to who may not look at it, as it shows nobody else its namespaces.
fn zombie_status(pidfd: BorrowedFd<'_>) -> Option<i32> {
    let pid = sys::pidfd_pid(pidfd).filter(|&pid| pid > 0)?;
    std::fs::read_link(format!("/proc/{pid}/ns/user")).ok()?;
    let stat = sys::file::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    // It is still the same process if it has not been reaped since.
    let same = sys::pidfd_pid(pidfd) == Some(pid) && fields.first() == Some(&"Z");
    fields.last()?.parse().ok().filter(|_| same)
}
