//! Waiting as Python expects it: without the GIL, until a deadline, and so that Ctrl-C ends it.

use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};
use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;

use crate::error::Raise;

/// The longest sleep without a look at Python's signal flag. A signal that interrupts `poll` is seen at once; this is
/// for one that arrives just before `poll`, or in another thread.
pub const SLICE: Duration = Duration::from_millis(500);

/// How long one that was killed is waited for in one go: the core looks meanwhile why it does not die (a paused container, a kernel that
/// waits) and lends it processor time for that.
const DYING: Duration = Duration::from_millis(1500);

/// Waits until `process` ends, at most until `deadline`; `None` is what a passed deadline answers.
pub fn wait(py: Python<'_>, process: &ctr::Process, deadline: Option<Instant>) -> PyResult<Option<ctr::Exit>> {
    // One that came while the program was being started.
    py.check_signals()?;
    loop {
        let left = deadline.map_or(SLICE, |at| at.saturating_duration_since(Instant::now()));
        let patience = if py.detach(|| readable(process, left.min(SLICE))) {
            SLICE
        } else {
            py.check_signals()?;
            let left = deadline.map_or(DYING, |at| at.saturating_duration_since(Instant::now()));
            if process.was_killed() { left.min(DYING) } else { Duration::ZERO }
        };
        // Asked in any case: another thread, or a signal handler just now, may have taken the answer.
        let ended = py.detach(|| process.wait(Some(patience))).or_raise(py)?;
        if ended.is_some() || deadline.is_some_and(|at| at <= Instant::now()) {
            return Ok(ended);
        }
    }
}

/// Sleeps until the process has ended (which is the answer), a signal arrives or `slice` has passed.
fn readable(process: &ctr::Process, slice: Duration) -> bool {
    let milliseconds = slice.as_nanos().div_ceil(1_000_000) as u16;
    let mut ended = [PollFd::new(process.wait_fd(), PollFlags::POLLIN)];
    poll(&mut ended, milliseconds).is_ok_and(|ready| ready > 0)
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
