//! What long work asks of Python now and then: whether a signal handler raises (Ctrl-C), and what the caller's callback says.

use ctr::image::Progress;
use pyo3::prelude::*;

/// How far it is, as the callback takes it: bytes, total, entries.
type ProgressParts = (u64, u64, u64);

/// Hears of progress on the calling thread, which waits without the GIL.
pub struct Listener {
    callback: Option<Py<PyAny>>,
    /// What a handler or the callback raised.
    raised: Option<PyErr>,
}

impl Listener {
    /// One that calls `callback(bytes, total, entries)`.
    pub fn new(callback: Option<Py<PyAny>>) -> Self {
        Self { callback, raised: None }
    }

    /// Tells Python; whether to go on.
    pub fn hear(&mut self, progress: Progress) -> bool {
        if self.raised.is_none() {
            let parts: ProgressParts = (progress.bytes, progress.total, progress.entries);
            self.raised = Python::attach(|py| {
                py.check_signals()?;
                self.callback.as_ref().map_or(Ok(()), |callback| callback.call1(py, parts).map(drop))
            })
            .err();
        }
        self.raised.is_none()
    }

    /// Whether no signal handler raises.
    pub fn look(&mut self, py: Python<'_>) -> bool {
        if self.raised.is_none() {
            self.raised = py.check_signals().err();
        }
        self.raised.is_none()
    }

    /// What was raised; it stays.
    pub fn raised(&self, py: Python<'_>) -> Option<PyErr> {
        self.raised.as_ref().map(|raised| raised.clone_ref(py))
    }

    /// What was raised, or else `answer`.
    pub fn answer<T>(self, answer: PyResult<T>) -> PyResult<T> {
        self.raised.map_or(answer, Err)
    }
}
