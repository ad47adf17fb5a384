//! A helper that is kept from one call to the next, since to start one takes as long as to start a program. It ends by itself when it
//! has nothing to do, with the container, and with the last handle on it. While it lives, the namespaces do that it is in.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::plan::Plan;
use crate::zygote::{self, Zygote};
use crate::{Error, Result, Step};

/// So long it lives without work, and so long it may take for something, in seconds.
const PATIENCE: u32 = 10;

/// A helper that is gone so soon was killed, and has not waited for a file system.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The place of one helper, while there is work for it.
pub struct Kept<H>(Mutex<Option<One<H>>>);

struct One<H> {
    helper: H,
    /// Another one has other rights than this process has now.
    zygote: Arc<Zygote>,
    used: Instant,
}

impl<H> Default for Kept<H> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<H> Kept<H> {
    /// Has it done by one that is there already, or a new one. `destroyed`: once that is so, none is kept.
    pub fn with<T>(
        &self,
        destroyed: &AtomicBool,
        start: impl Fn(&Arc<Zygote>) -> Result<H>,
        act: impl Fn(&H) -> Result<T>,
    ) -> Result<T> {
        let zygote = zygote::current()?;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Ok(One { helper: start(&zygote)?, zygote: Arc::clone(&zygote), used: Instant::now() });
        let one = kept.take().filter(|one| one.serves(&zygote));
        let is_new = one.is_none();
        let mut one = one.map_or_else(new, Ok)?;
        one.used = Instant::now();
        let mut done = act(&one.helper);
        if !is_new && one.used.elapsed() < AT_ONCE && done.as_ref().is_err_and(is_dead) {
            // Somebody has killed it, as whoever is short of memory does.
            one = new()?;
            done = act(&one.helper);
        }
        let is_useless = done.as_ref().is_err_and(|error| error.failed_step() == Step::AskHelper);
        if !is_useless && !destroyed.load(Ordering::Acquire) {
            *kept = Some(one);
        }
        done
    }

    /// Ends it, if nobody is using it at this moment: who is does that then.
    pub fn end(&self) {
        if let Ok(mut kept) = self.0.try_lock() {
            *kept = None;
        }
    }
}

impl<H> One<H> {
    /// Whether it is there for a while, and has the rights that this process has now.
    fn serves(&self, zygote: &Arc<Zygote>) -> bool {
        self.used.elapsed() < Duration::from_secs(u64::from(PATIENCE) / 2) && Arc::ptr_eq(&self.zygote, zygote)
    }
}

/// Has a helper end when it has nothing to do from here on: it is ended by that signal, as every process that does not catch it.
pub fn settle(plan: &mut Plan<'_>) {
    plan.set_signal_mask(!(1 << (libc::SIGALRM - 1)));
    renew(plan);
}

/// Gives it time for what it is asked now.
pub fn renew(plan: &mut Plan<'_>) {
    plan.alarm(PATIENCE);
}

/// Whether the helper was gone before it had answered.
pub fn is_dead(error: &Error) -> bool {
    error.failed_step() == Step::AskHelper && error.errno() == libc::EPIPE
}
