//! x
use crate::{Result, Winsize};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

/// A program started in a container. Dropping the handle leaves the program running.
pub struct Process {}

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

impl Process {
    /// Its pid inside the container.
    pub fn pid(&self) -> i32 {
        unimplemented!()
    }
    /// Its pid on the host; an error when it is gone.
    pub fn host_pid(&self) -> Result<i32> {
        unimplemented!()
    }
    /// Its pidfd, readable when it has ended; for the caller's own event loop.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        unimplemented!()
    }
    /// Waits until it ends, at most `timeout`; `None` is what a passed time-out answers. Any number of threads may wait, and
    /// once it has ended every call answers the same.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Option<Exit>> {
        unimplemented!()
    }
    /// A descriptor that is readable once [`Process::wait`] will not block.
    pub fn wait_fd(&self) -> BorrowedFd<'_> {
        unimplemented!()
    }
    /// Sends it a signal; one that ended already is no error.
    pub fn kill(&self, signal: i32) -> Result<()> {
        unimplemented!()
    }
    /// Sends a signal to its process group.
    pub fn kill_group(&self, signal: i32) -> Result<()> {
        unimplemented!()
    }
    /// Our end of its standard input, where it is a pipe; once.
    pub fn take_stdin(&self) -> Option<OwnedFd> {
        unimplemented!()
    }
    /// Our end of its standard output, where it is a pipe; once.
    pub fn take_stdout(&self) -> Option<OwnedFd> {
        unimplemented!()
    }
    /// Our end of its standard error, where it is a pipe; once.
    pub fn take_stderr(&self) -> Option<OwnedFd> {
        unimplemented!()
    }
    /// The master side of its terminal, where it has one.
    pub fn pty(&self) -> Option<BorrowedFd<'_>> {
        unimplemented!()
    }
    /// Sets the size of its terminal, and so sends it SIGWINCH.
    pub fn resize(&self, size: Winsize) -> Result<()> {
        unimplemented!()
    }
}
