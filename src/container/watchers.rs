//! Who in this process watches a container: they hear of the programs that are started, and have a last look before its cgroup goes.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::exit::Exit;
use crate::Result;

/// A program whose end can be waited for.
pub trait Watched: Send + Sync {
    /// Its pid inside.
    fn pid(&self) -> i32;
    /// Readable when there is an answer how it ended, or none will come.
    fn answer_fd(&self) -> BorrowedFd<'_>;
    /// Readable when it has ended.
    fn pidfd(&self) -> BorrowedFd<'_>;
    /// How it ended.
    fn wait(&self, timeout: Option<Duration>) -> Result<Option<Exit>>;
}

/// Who watches.
pub trait Watcher: Send + Sync {
    /// A program was started.
    fn started(&self, program: Arc<dyn Watched>);
    /// All processes are dead, and what has counted them is removed next.
    fn look(&self);
}

/// All that watch one container.
#[derive(Default)]
pub struct Watchers {
    /// Nobody is looked for where nobody ever was.
    any: AtomicBool,
    list: Mutex<Vec<Weak<dyn Watcher>>>,
}

impl Watchers {
    /// One more.
    pub fn add(&self, watcher: Weak<dyn Watcher>) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|watcher| watcher.strong_count() > 0);
        list.push(watcher);
        self.any.store(true, Ordering::Release);
    }

    /// A program was started.
    pub fn started<W: Watched + 'static>(&self, program: &Arc<W>) {
        self.each(|watcher| {
            let program: Arc<W> = Arc::clone(program);
            watcher.started(program);
        });
    }

    /// The last look before its cgroup is removed.
    pub fn look(&self) {
        self.each(|watcher| watcher.look());
    }

    fn each(&self, tell: impl Fn(&dyn Watcher)) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        // Not under the lock: whoever is told may be at work in another thread.
        let list: Vec<_> = {
            let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
            list.iter().filter_map(Weak::upgrade).collect()
        };
        list.iter().for_each(|watcher| tell(watcher.as_ref()));
    }
}
