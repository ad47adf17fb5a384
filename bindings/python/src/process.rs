//! `_ctr.Process`: a started program. `ctr.Popen` stands on it.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;

use crate::error::Raise;
use crate::wait::{deadline, wait};

/// How a process ended, as `ctr.Exit` takes it: code, signal, reason, user time, system time, largest resident set.
pub type ExitParts = (i32, i32, i32, f64, f64, u64);

/// A program started in a container.
#[pyclass(frozen, module = "ctr._ctr")]
pub struct Process(pub ctr::Process, Mutex<Option<OwnedFd>>);

#[pymethods]
impl Process {
    /// Its pid inside the container.
    #[getter]
    fn pid(&self) -> i32 {
        self.0.pid()
    }

    /// Its pid on the host.
    fn host_pid(&self, py: Python<'_>) -> PyResult<i32> {
        py.detach(|| self.0.host_pid()).or_raise(py)
    }

    /// Its pidfd; stays ours.
    fn pidfd(&self) -> i32 {
        self.0.pidfd().as_raw_fd()
    }

    /// A descriptor that is readable once `wait` will not block; stays ours.
    fn wait_fd(&self) -> i32 {
        self.0.wait_fd().as_raw_fd()
    }

    /// Waits until it ends, at most `timeout` seconds, without the GIL; `None` is what a passed time-out answers.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<ExitParts>> {
        Ok(wait(py, &self.0, deadline(timeout)?)?.map(parts))
    }

    /// Sends it a signal.
    fn kill(&self, py: Python<'_>, signal: i32) -> PyResult<()> {
        py.detach(|| self.0.kill(signal)).or_raise(py)
    }

    /// Sends a signal to its process group.
    fn kill_group(&self, py: Python<'_>, signal: i32) -> PyResult<()> {
        py.detach(|| self.0.kill_group(signal)).or_raise(py)
    }

    /// Our end of its standard input, once; the caller owns it.
    fn take_stdin(&self) -> Option<i32> {
        self.0.take_stdin().map(OwnedFd::into_raw_fd)
    }

    /// Our end of its standard output, once; the caller owns it.
    fn take_stdout(&self) -> Option<i32> {
        self.0.take_stdout().map(OwnedFd::into_raw_fd)
    }

    /// Our end of its standard error, once; the caller owns it.
    fn take_stderr(&self) -> Option<i32> {
        self.0.take_stderr().map(OwnedFd::into_raw_fd)
    }

    /// The master side of its terminal, once; the caller owns it.
    fn take_pty(&self) -> Option<i32> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).take().map(OwnedFd::into_raw_fd)
    }
}

impl Process {
    pub fn new(mut process: ctr::Process) -> Self {
        let pty = process.take_pty();
        Self(process, Mutex::new(pty))
    }
}

/// An exit as Python takes it.
pub fn parts(exit: ctr::Exit) -> ExitParts {
    let (user, system) = (exit.user_time.as_secs_f64(), exit.system_time.as_secs_f64());
    (exit.code, exit.signal, exit.reason as i32, user, system, exit.max_rss)
}
