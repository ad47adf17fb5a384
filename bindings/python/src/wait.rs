//! Waiting as Python expects it: without the GIL, until a deadline, and so that Ctrl-C ends it.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;

use crate::error::Raise;

/// The longest sleep without a look at Python's signal flag. A signal that interrupts `poll` is seen at once; this is
/// for one that arrives just before `poll`, or in another thread.
const SLICE: Duration = Duration::from_millis(500);

/// Waits until `process` ends, at most until `deadline`; `None` is what a passed deadline answers.
pub fn wait(py: Python<'_>, process: &ctr::Process, deadline: Option<Instant>) -> PyResult<Option<ctr::Exit>> {
    loop {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let slice = left.map_or(SLICE, |left| left.min(SLICE));
        if let Some(exit) = py.detach(|| slept(process, slice)).or_raise(py)? {
            return Ok(Some(exit));
        }
        py.check_signals()?;
        if left.is_some_and(|left| left <= slice) && deadline.is_some_and(|at| at <= Instant::now()) {
            return Ok(None);
        }
    }
}

/// One slice: sleeps until the process has ended, a signal arrives or `slice` has passed, and looks.
fn slept(process: &ctr::Process, slice: Duration) -> ctr::Result<Option<ctr::Exit>> {
    let mut ended = [PollFd::new(process.wait_fd(), PollFlags::POLLIN)];
    let milliseconds = slice.as_nanos().div_ceil(1_000_000).min(1_000) as u16;
    match poll(&mut ended, PollTimeout::from(milliseconds)) {
        Err(Errno::EINTR) => Ok(None),
        // Another thread may have taken the answer, and have it for us in a moment.
        Ok(1..) => process.wait(Some(SLICE)),
        _ => process.wait(Some(Duration::ZERO)),
    }
}

/// The moment `timeout` seconds from now; `None` where there is no timeout. A negative one has passed already, as in
/// `subprocess`.
pub fn deadline(timeout: Option<f64>) -> PyResult<Option<Instant>> {
    let Some(seconds) = timeout else { return Ok(None) };
    if seconds.is_nan() {
        return Err(PyValueError::new_err("timeout must be a number of seconds, not nan"));
    }
    let length = Duration::try_from_secs_f64(seconds.max(0.0));
    let moment = length.ok().and_then(|length| Instant::now().checked_add(length));
    moment.map(Some).ok_or_else(|| PyOverflowError::new_err("timeout is too large"))
}
