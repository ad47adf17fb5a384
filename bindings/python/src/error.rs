//! A [`ctr::Error`] as the Python exception that tells the same story.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// What turns the parts of an error into the right subclass of `ctr.Error`: `ctr._errors.from_native`.
static FROM_NATIVE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Results of the core, raised.
pub trait Raise<T> {
    /// The value, or the error as an exception.
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> Raise<T> for ctr::Result<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| exception(py, &error))
    }
}

/// The words of the step `id`, for the errors that Python finds itself.
#[pyfunction]
pub fn step_text(id: &str) -> Option<&'static str> {
    ctr::Step::from_id(id).map(ctr::Step::text)
}

/// The exception for `error`.
pub fn exception(py: Python<'_>, error: &ctr::Error) -> PyErr {
    let build = || -> PyResult<PyErr> {
        let from_native = FROM_NATIVE
            .get_or_try_init(py, || Ok::<_, PyErr>(py.import("ctr._errors")?.getattr("from_native")?.unbind()))?;
        let code = error.code() as i32;
        let (step, id) = (error.step(), error.step_id());
        let story = (code, error.errno(), error.to_string(), step, error.object(), error.hint(), id);
        Ok(PyErr::from_value(from_native.bind(py).call1(story)?))
    };
    build().unwrap_or_else(|failure| failure)
}
