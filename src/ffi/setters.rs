//! What all setters have in common: a handle stands for plain values behind a lock, and a setter changes one of them once it
//! has checked what it is given.

use std::ffi::c_int;
use std::sync::{Mutex, PoisonError};

use super::border::border;
use super::handle::Table;
use crate::Result;

/// An opaque type of the header whose values setters change.
pub(super) trait Settings: Sized {
    type Values: Clone + Default + 'static;
    /// All handles of this type.
    fn table() -> &'static Table<Mutex<Self::Values>>;
}

/// A setter that takes every value.
pub(super) fn set<H: Settings>(handle: *mut H, change: impl FnOnce(&mut H::Values)) -> c_int {
    checked(handle, || Ok(()), |values, ()| change(values))
}

/// A setter whose value is checked before anything changes.
pub(super) fn checked<H: Settings, V>(
    handle: *mut H,
    check: impl FnOnce() -> Result<V>,
    change: impl FnOnce(&mut H::Values, V),
) -> c_int {
    border(|| {
        let (values, value) = (H::table().get(handle)?, check()?);
        change(&mut values.lock().unwrap_or_else(PoisonError::into_inner), value);
        Ok(0)
    })
}

/// A copy of what a handle stands for now; the defaults for NULL.
pub(super) fn current<H: Settings>(handle: *const H) -> Result<H::Values> {
    if handle.is_null() {
        return Ok(H::Values::default());
    }
    Ok(H::table().get(handle)?.lock().unwrap_or_else(PoisonError::into_inner).clone())
}
