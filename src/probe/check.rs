//! What is told of each thing that was tried.

use crate::{Error, Result};

/// One thing that a machine allows or not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// What is checked: "user namespaces". Names don't change.
    pub name: &'static str,
    /// Whether it is allowed.
    pub ok: bool,
    /// What was found; where it is not allowed, why, and what is lost.
    pub says: String,
    /// What to do about it; empty where there is nothing to do, or nothing known.
    pub hint: String,
}

impl Check {
    /// What came of trying it.
    pub(super) fn of(name: &'static str, result: Result<()>, says: impl Into<String>) -> Self {
        match result {
            Ok(()) => Self { name, ok: true, says: says.into(), hint: String::new() },
            Err(error) => Self::failed(name, &error),
        }
    }

    fn failed(name: &'static str, error: &Error) -> Self {
        let hint = error.hint().to_string();
        let says = error.to_string();
        let says = says.strip_suffix(&format!(" ({hint})")).unwrap_or(&says).to_string();
        Self { name, ok: false, says, hint }
    }

    /// A check that failed, but of what ctr can do without.
    pub(super) fn lost(mut self, what: &str) -> Self {
        if !self.ok {
            self.says = format!("{}; without it {what}", self.says);
        }
        self
    }
}
