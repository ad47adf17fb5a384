//! A lock for state that is one per process. A process may fork while another thread of it holds the lock; a std Mutex
//! would then be locked for ever in the child. This one knows which process locked it, and the child takes it over.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering};

/// A value behind a lock; see the module.
pub struct ForkLock<T> {
    /// The pid of the process that has locked it, or 0.
    owner: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached through the guard only, and there is one guard at a time in a process.
unsafe impl<T: Send> Sync for ForkLock<T> {}

/// The right to the value, until it is dropped.
pub struct Guard<'a, T> {
    lock: &'a ForkLock<T>,
}

impl<T> ForkLock<T> {
    pub const fn new(value: T) -> Self {
        Self { owner: AtomicU32::new(0), value: UnsafeCell::new(value) }
    }

    /// Waits for the lock. What it guards must be whole at every moment, since a fork may come at any: the values here are
    /// replaced in one move.
    pub fn lock(&self) -> Guard<'_, T> {
        let me = crate::sys::process_id();
        loop {
            match self.owner.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Guard { lock: self },
                // A thread of ours has it, for the time that it takes to start a process.
                Err(owner) if owner == me => std::thread::yield_now(),
                Err(owner) => {
                    if self.owner.compare_exchange(owner, me, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                        return Guard { lock: self };
                    }
                }
            }
        }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: there is one guard at a time.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: there is one guard at a time.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.lock.owner.store(0, Ordering::Release);
    }
}
