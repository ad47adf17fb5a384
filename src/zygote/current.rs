//! Which zygote is in use.

use std::sync::Arc;

use super::identity::Identity;
use super::start::start;
use super::{Scheduling, Zygote};
use crate::Result;
use crate::sys::fork_lock::ForkLock;

static CURRENT: ForkLock<Option<Arc<Zygote>>> = ForkLock::new(None);

/// This process's zygote, started if there is none that fits.
pub fn current() -> Result<Arc<Zygote>> {
    let known = CURRENT.lock().clone();
    let identity = Identity::of_this_thread(known.as_ref().and_then(|zygote| zygote.oom_score_adj_file()));
    let mut current = CURRENT.lock();
    if let Some(zygote) = current.as_ref()
        && zygote.identity == identity
        && !Scheduling::of(0).is_above(&zygote.scheduling)
        && zygote.is_ours()
    {
        return Ok(Arc::clone(zygote));
    }
    let zygote = Arc::new(start(identity)?);
    if let Some(old) = current.replace(Arc::clone(&zygote)) {
        old.retire();
    }
    Ok(zygote)
}

/// Forgets a zygote that turned out to be dead, so that the next [`current`] starts another.
pub fn forget(dead: &Arc<Zygote>) {
    let mut current = CURRENT.lock();
    if current.as_ref().is_some_and(|zygote| Arc::ptr_eq(zygote, dead)) {
        *current = None;
    }
}
