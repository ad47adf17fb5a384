//! A process in a container, as its starter sees it: wait, kill, streams, terminal.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::shared::Shared;
use crate::init::wire::{EXITED, Reply};
use crate::sys::fork_lock::ForkLock;
use crate::zygote::{Answer, Channel, wait_readable};
use crate::{Error, ErrorCode, Result, Winsize, sys};

/// A program started in a container. Dropping the handle leaves the program running.
pub struct Process {
    pub(super) container: Arc<Shared>,
    pub(super) channel: Channel,
    pub(super) pidfd: OwnedFd,
    pub(super) pid: i32,
    /// Our ends of its streams: stdin, stdout, stderr.
    pub(super) streams: Mutex<[Option<OwnedFd>; 3]>,
    pub(super) pty: Option<OwnedFd>,
    /// Held from reading the answer to keeping it.
    pub(super) exit: ForkLock<Option<Exit>>,
    /// We have sent it SIGKILL ourselves, so it wasn't the kernel for want of memory.
    pub(super) killed: AtomicBool,
    /// How many processes the kernel had killed for want of memory when it was started.
    pub(super) oom_kills: u64,
}

/// How a process ended, and what it used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The exit code, or 128 + signal.
    pub code: i32,
    /// The signal that ended it, 0 if none.
    pub signal: i32,
    /// Why it ended.
    pub reason: ExitReason,
    /// CPU time in user mode.
    pub user_time: Duration,
    /// CPU time in the kernel.
    pub system_time: Duration,
    /// Largest resident set, in bytes.
    pub max_rss: u64,
}

/// Why a process ended (`enum ctr_reason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum ExitReason {
    /// It returned or called exit.
    Exited = 0,
    /// A signal.
    Signaled = 1,
    /// The kernel killed it because the container's memory was used up.
    OutOfMemory = 2,
    /// Its time limit passed.
    TimedOut = 3,
    /// The container was destroyed, or its PID 1 killed, under it.
    Destroyed = 4,
}

/// How long a process that is dead may take to be reported. PID 1 does it at once; a hostile one may never.
const REPORT: Duration = Duration::from_secs(2);

impl Process {
    /// Its pid inside the container.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Its pid on the host. It stays the same when the process is gone, and may then be another's. An error where that was so
    /// before it could be looked up, in a container whose PID 1 has no rights over its own PID namespace.
    pub fn host_pid(&self) -> Result<i32> {
        if let Some(pid) = self.channel.named().filter(|&pid| pid != self.container.pid) {
            return Ok(pid);
        }
        if sys::pidfd_is_of_our_namespace(self.container.pidfd.as_fd()) {
            return Ok(self.pid);
        }
        sys::pidfd_pid(self.pidfd.as_fd()).filter(|&pid| pid > 0).ok_or_else(|| {
            let error = Error::system("look up the host's pid of process", self.pid, libc::ESRCH);
            error.with_code(ErrorCode::NotFound)
        })
    }

    /// Its pidfd, readable when it has ended; for the caller's own event loop.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Waits until it ends, at most `timeout`; `None` is what a passed time-out answers. Any number of threads may wait, and
    /// once it has ended every call answers the same.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Option<Exit>> {
        let fail = |e: std::io::Error| Error::io("wait for process", self.pid, &e);
        let end = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            // A hostile PID 1 may have answers without end.
            if end.is_some_and(|end| Instant::now() > end + REPORT) {
                return Ok(None);
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) || !wait_readable(&[self.channel.as_fd()], left).map_err(fail)? {
                // Its pidfd tells of its end a moment before PID 1 has reaped it.
                let ended = wait_readable(&[self.pidfd.as_fd()], Some(Duration::ZERO)).map_err(fail)?;
                if !ended || !wait_readable(&[self.channel.as_fd()], Some(REPORT)).map_err(fail)? {
                    return Ok(*self.exit.lock());
                }
            }
            // One thread at a time, since a kill for want of memory is told of once.
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
                Answer::End => *exit = Some(DESTROYED),
                Answer::TimedOut => {}
            }
            if exit.is_some() {
                return Ok(*exit);
            }
        }
    }

    fn exit_of(&self, reply: &Reply) -> Exit {
        let status = reply.status;
        let signal = status & 0x7f;
        let reason = if signal == 0 {
            ExitReason::Exited
        } else if reply.note == 1 {
            ExitReason::TimedOut
        } else if signal == libc::SIGKILL
            && !self.killed.load(Ordering::Relaxed)
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

    /// A descriptor that is readable once [`Process::wait`] will not block.
    pub fn wait_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    /// Sends it a signal; one that ended already is no error.
    pub fn kill(&self, signal: i32) -> Result<()> {
        if signal == libc::SIGKILL {
            self.killed.store(true, Ordering::Relaxed);
        }
        match sys::pidfd_send_signal(self.pidfd.as_fd(), signal, 0) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(self.unsent(signal, errno)),
        }
    }

    /// As `docker stop`: sends the image's stop signal (SIGTERM where it names none), and SIGKILL where it has not ended
    /// within `grace`. Answers how it ended.
    pub fn stop(&self, grace: Duration) -> Result<Exit> {
        self.kill(self.container.record.run.stop_signal_number()?)?;
        if let Some(exit) = self.wait(Some(grace))? {
            return Ok(exit);
        }
        self.kill(libc::SIGKILL)?;
        let exit = self.wait(None)?;
        exit.ok_or_else(|| Error::system("wait for process", self.pid, libc::ECHILD))
    }

    /// Sends a signal to its process group.
    pub fn kill_group(&self, signal: i32) -> Result<()> {
        if signal == libc::SIGKILL {
            self.killed.store(true, Ordering::Relaxed);
        }
        const PIDFD_SIGNAL_PROCESS_GROUP: u32 = 4;
        match sys::pidfd_send_signal(self.pidfd.as_fd(), signal, PIDFD_SIGNAL_PROCESS_GROUP) {
            Ok(()) => Ok(()),
            // Before Linux 6.9, and where the leader is gone but the group is not: PID 1 sends it.
            Err(Errno::EINVAL | Errno::ESRCH) if is_signal(signal) => self.container.kill_group(self.pid, signal),
            Err(errno) => Err(self.unsent(signal, errno)),
        }
    }

    fn unsent(&self, signal: i32, errno: Errno) -> Error {
        if is_signal(signal) {
            return Error::system("signal process", self.pid, errno as i32);
        }
        Error::invalid("send the signal", signal, "there is no signal of this number")
    }

    /// Our end of its standard input, where it is a pipe; once.
    pub fn take_stdin(&self) -> Option<OwnedFd> {
        self.take(0)
    }

    /// Our end of its standard output, where it is a pipe; once.
    pub fn take_stdout(&self) -> Option<OwnedFd> {
        self.take(1)
    }

    /// Our end of its standard error, where it is a pipe; once.
    pub fn take_stderr(&self) -> Option<OwnedFd> {
        self.take(2)
    }

    fn take(&self, stream: usize) -> Option<OwnedFd> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).get_mut(stream)?.take()
    }

    /// The master side of its terminal, where it has one.
    pub fn pty(&self) -> Option<BorrowedFd<'_>> {
        self.pty.as_ref().map(AsFd::as_fd)
    }

    /// The master side of its terminal, once; whoever closes it hangs the terminal up, pty(7).
    pub fn take_pty(&mut self) -> Option<OwnedFd> {
        self.pty.take()
    }

    /// Sets the size of its terminal, and so sends it SIGWINCH.
    pub fn resize(&self, size: Winsize) -> Result<()> {
        let Some(pty) = &self.pty else {
            return Err(Error::new(
                ErrorCode::Invalid,
                "resize the terminal of process",
                self.pid,
                libc::ENOTTY,
                "it was started without one, or that was taken",
            ));
        };
        sys::set_winsize(pty.as_fd(), size.rows, size.cols)
            .map_err(|e| Error::io("resize the terminal of process", self.pid, &e))
    }
}

/// Whether kill(2) takes it; 0 is for looking only.
fn is_signal(number: i32) -> bool {
    (0..=libc::SIGRTMAX()).contains(&number)
}

/// PID 1 went, and everything with it, before it could say how.
const DESTROYED: Exit = Exit {
    code: 128 + libc::SIGKILL,
    signal: libc::SIGKILL,
    reason: ExitReason::Destroyed,
    user_time: Duration::ZERO,
    system_time: Duration::ZERO,
    max_rss: 0,
};
