//! `_ctr.Watch`: what happens to a container. `ctr.Watch` stands on it.

use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use ctr::{Error, ErrorCode, Event, EventKind, Step};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::error::Raise;
use crate::process::{ExitParts, Process, parts};
use crate::wait::{SLICE, deadline};

/// An event as `ctr.Event` takes it: kind, time, monotonic time, count, pid and exit, number of a pressure threshold, reason
/// of the end.
type EventParts = (&'static str, f64, f64, u64, Option<(i32, ExitParts)>, Option<usize>, Option<i32>);

/// Watches a container.
#[pyclass(frozen, module = "ctr._ctr")]
pub struct Watch(Mutex<Option<Arc<ctr::Watch>>>);

#[pymethods]
impl Watch {
    /// The names of the kinds that are told.
    fn kinds(&self, py: Python<'_>) -> PyResult<Vec<&'static str>> {
        Ok(self.inner(py)?.kinds().map(EventKind::name).collect())
    }

    /// A descriptor that is readable when something may have happened; stays ours.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        Ok(self.inner(py)?.fd().as_raw_fd())
    }

    /// The next event, at most after `timeout` seconds, without the GIL; `None` where there is none in time.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<EventParts>> {
        let (inner, end) = (self.inner(py)?, deadline(timeout)?);
        loop {
            py.check_signals()?;
            let left = end.map_or(SLICE, |end| end.saturating_duration_since(Instant::now()));
            let event = py.detach(|| inner.wait(Some(left.min(SLICE)))).or_raise(py)?;
            if event.is_some() || end.is_some_and(|end| end <= Instant::now()) {
                return Ok(event.map(told));
            }
        }
    }

    /// Tells also of the end of a program.
    fn add(&self, py: Python<'_>, process: &Process) -> PyResult<()> {
        self.inner(py)?.add(&process.0).or_raise(py)
    }

    /// Tells also of pressure; the number by which that is known.
    fn add_pressure(&self, py: Python<'_>, resource: &str, full: bool, stall: f64, window: f64) -> PyResult<usize> {
        let inner = self.inner(py)?;
        let of = |name, seconds: f64| {
            let words = || PyValueError::new_err(format!("{name} must be a number of seconds, not {seconds}"));
            Duration::try_from_secs_f64(seconds).map_err(|_| words())
        };
        let (stall, window) = (of("stall", stall)?, of("window", window)?);
        py.detach(|| inner.add_pressure(resource, full, stall, window)).or_raise(py)
    }

    /// Ends it.
    fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Watch {
    pub fn new(watch: ctr::Watch) -> Self {
        Self(Mutex::new(Some(Arc::new(watch))))
    }

    fn inner(&self, py: Python<'_>) -> PyResult<Arc<ctr::Watch>> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let closed = || Error::new(ErrorCode::Invalid, Step::WatchContainer, "", nix::libc::EBADF, "it is closed");
        held.ok_or_else(closed).or_raise(py)
    }
}

/// The kinds with these names.
pub fn kinds(names: &[String]) -> PyResult<Vec<EventKind>> {
    let kind = |name: &String| {
        let there = || EventKind::ALL.map(EventKind::name).join(", ");
        EventKind::named(name)
            .ok_or_else(|| PyValueError::new_err(format!("unknown event: {name:?}; there are {}", there())))
    };
    names.iter().map(kind).collect()
}

fn told(event: Event) -> EventParts {
    let time = event.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let exit = event.exit.map(|(pid, exit)| (pid, parts(exit)));
    (
        event.kind.name(),
        time,
        event.monotonic.as_secs_f64(),
        event.count,
        exit,
        event.pressure,
        event.reason.map(|reason| reason as i32),
    )
}
