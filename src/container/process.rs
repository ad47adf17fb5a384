//! A process in a container, as its starter sees it: wait, kill, streams, terminal. What there is of it without the handle is
//! `program`'s.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::exit::Exit;
use super::program::Program;
use crate::sys::Own;
use crate::{Error, ErrorCode, Result, Step, Winsize, sys};

/// A program started in a container. Dropping the handle leaves the program running.
pub struct Process {
    pub(super) program: Arc<Program>,
    /// Our ends of its streams: stdin, stdout, stderr.
    pub(super) streams: Mutex<[Option<Own>; 3]>,
    pub(super) pty: Option<Own>,
}

impl Process {
    /// Refuses in a forked child.
    pub(crate) fn check_holder(&self) -> Result<()> {
        self.program.container.check_holder()
    }

    /// Its pid inside the container.
    pub fn pid(&self) -> i32 {
        self.program.pid
    }

    /// Its pid on the host. It stays the same when the process is gone, and may then be another's. An error where that was so
    /// before it could be looked up, in a container whose PID 1 has no rights over its own PID namespace.
    pub fn host_pid(&self) -> Result<i32> {
        self.program.host_pid()
    }

    /// Its pidfd, readable when it has ended; for the caller's own event loop.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.program.pidfd.as_fd()
    }

    /// Waits until it ends, at most `timeout`; `None` is what a passed time-out answers. Any number of threads may wait, and
    /// once it has ended every call answers the same.
    ///
    /// Without a time-out it returns when the process ends, whatever the container does: also where its PID 1 says nothing
    /// (three seconds later then), where the container is destroyed, and where PID 1 has not kept the time limit (a second after
    /// it). A process that was killed through this handle and has not died within 30 seconds waits in the kernel, for a file
    /// system that does not answer for instance: that is the error [`ErrorCode::TimedOut`]. In a paused container a process ends
    /// when that is resumed; if it was killed, and so can't end before, that is the error EBUSY. One that writes to a full pipe never
    /// ends: where its output is a pipe, read that before, or meanwhile.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Option<Exit>> {
        self.program.wait(timeout)
    }

    /// A descriptor that is readable once [`Process::wait`] will not block.
    pub fn wait_fd(&self) -> BorrowedFd<'_> {
        self.program.channel.as_fd()
    }

    /// Sends it a signal; one that ended already is no error.
    pub fn kill(&self, signal: i32) -> Result<()> {
        self.program.kill(signal)
    }

    /// Whether SIGKILL was sent to it through this handle, also since its time was up.
    pub fn was_killed(&self) -> bool {
        self.program.was_killed()
    }

    /// As `docker stop`: sends the image's stop signal (SIGTERM where it names none that there is), and SIGKILL where it has not ended
    /// within `grace`. Answers how it ended. One that writes to a full pipe, or a full terminal, can't end: where its output
    /// is a pipe, somebody has to read it meanwhile.
    pub fn stop(&self, grace: Duration) -> Result<Exit> {
        self.kill(self.program.container.record.run.stop_signal_number())?;
        if let Some(exit) = self.wait(Some(grace))? {
            return Ok(exit);
        }
        self.kill(libc::SIGKILL)?;
        let exit = self.wait(None)?;
        exit.ok_or_else(|| Error::system(Step::WaitForProcess, self.pid(), libc::ECHILD))
    }

    /// Sends a signal to its process group, also where the process itself has ended.
    pub fn kill_group(&self, signal: i32) -> Result<()> {
        self.program.kill_group(signal)
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
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).get_mut(stream)?.take()?.into_fd()
    }

    /// The master side of its terminal, where it has one.
    pub fn pty(&self) -> Option<BorrowedFd<'_>> {
        self.pty.as_ref().map(AsFd::as_fd)
    }

    /// The master side of its terminal, once; whoever closes it hangs the terminal up, pty(7).
    pub fn take_pty(&mut self) -> Option<OwnedFd> {
        self.pty.take()?.into_fd()
    }

    /// Sets the size of its terminal, and so sends it SIGWINCH.
    pub fn resize(&self, size: Winsize) -> Result<()> {
        let Some(pty) = &self.pty else {
            return Err(Error::new(
                ErrorCode::Invalid,
                Step::ResizeTerminal,
                self.pid(),
                libc::ENOTTY,
                "it was started without one, or that was taken",
            ));
        };
        self.program.container.check_holder()?;
        let pty = pty.check().map_err(|_| self.program.container.foreign())?;
        sys::set_winsize(pty, size.rows, size.cols).map_err(|e| Error::io(Step::ResizeTerminal, self.pid(), &e))
    }
}
