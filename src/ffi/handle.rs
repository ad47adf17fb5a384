//! What C holds instead of a pointer: a number that names a slot of a table and the slot's generation.
//!
//! A released handle, one of another kind and plain rubbish are told from a good one without touching memory that may be
//! gone. A handle that one thread releases while another is inside a call with it stays alive until that call is over.
//! There is no lock, so a process that forks while another of its threads is in here leaves nothing locked in the child.

use std::cell::UnsafeCell;
use std::ops::Deref;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use crate::{Error, Result, Step};

/// All handles of one kind.
pub(super) struct Table<T> {
    /// What an error calls the argument: "container".
    what: &'static str,
    /// Tells the kinds apart, 1 to 31. Never 0, so that no handle is NULL.
    kind: usize,
    /// Slots, in runs of 64, 128, 256 …: a run never moves and is never freed.
    runs: [AtomicPtr<Slot<T>>; RUNS],
    /// How many slots were ever in use.
    fresh: AtomicU32,
    /// The top of the stack of free slots: index + 1 (0 if none), and a count of changes in the high half, without
    /// which a pop could take what was popped and pushed again meanwhile.
    free: AtomicU64,
}

/// A handle in use: the value lives at least as long as this.
pub(super) struct Ref<'a, T> {
    table: &'a Table<T>,
    slot: &'a Slot<T>,
    index: u32,
}

struct Slot<T> {
    /// Generation in the high half; LIVE while the handle is good; below it the number of `Ref`s.
    state: AtomicU64,
    /// The free slot below this one, as in `Table::free`.
    below: AtomicU32,
    value: UnsafeCell<Option<T>>,
}

const LIVE: u64 = 1 << 31;
const REFS: u64 = LIVE - 1;

const KIND_BITS: u32 = 5;
const INDEX_BITS: u32 = if usize::BITS >= 64 { 24 } else { 16 };
const GENERATION_BITS: u32 = if usize::BITS >= 64 { 32 } else { usize::BITS - KIND_BITS - INDEX_BITS };
const GENERATIONS: u64 = (1 << GENERATION_BITS) - 1;

const FIRST_RUN: u32 = 64;
const RUNS: usize = (INDEX_BITS - FIRST_RUN.ilog2()) as usize;

// SAFETY: a value is written and dropped only by the one thread that owns its slot (it came off the free stack, or its
// last `Ref` went after LIVE did), and is otherwise only shared.
unsafe impl<T: Send + Sync> Sync for Table<T> {}

impl<T> Table<T> {
    /// An empty table; `kind` is its own.
    pub const fn new(what: &'static str, kind: usize) -> Self {
        assert!(kind > 0 && kind < 1 << KIND_BITS);
        Self {
            what,
            kind,
            runs: [const { AtomicPtr::new(null_mut()) }; RUNS],
            fresh: AtomicU32::new(0),
            free: AtomicU64::new(0),
        }
    }

    /// Keeps `value` until its handle, the answer, is released.
    pub fn insert<H>(&self, value: T) -> Result<*mut H> {
        let index = match self.pop() {
            Some(index) => index,
            None => self.grow()?,
        };
        let slot = self.slot(index).expect("a slot that was handed out exists");
        // SAFETY: the slot is off the free stack and not LIVE, so it is ours alone.
        unsafe { *slot.value.get() = Some(value) };
        let generation = slot.state.load(Ordering::Relaxed) >> 32;
        slot.state.store(generation << 32 | LIVE, Ordering::Release);
        Ok(self.number(index, generation) as *mut H)
    }

    /// The value behind a handle.
    pub fn get<H>(&self, handle: *const H) -> Result<Ref<'_, T>> {
        self.acquire(handle as usize, |state| state + 1)
    }

    /// The value behind a handle that is released by this: no later call finds it, and it is dropped with the last
    /// `Ref`.
    pub fn release<H>(&self, handle: *const H) -> Result<Ref<'_, T>> {
        self.acquire(handle as usize, |state| (state & !LIVE) + 1)
    }

    fn acquire(&self, number: usize, change: impl Fn(u64) -> u64) -> Result<Ref<'_, T>> {
        if number == 0 {
            return Err(Error::invalid(Step::Argument, self.what, "it is NULL"));
        }
        self.find(number, change).ok_or_else(|| {
            Error::invalid(Step::Argument, self.what, "this handle was released already, or never was one of this kind")
        })
    }

    fn find(&self, number: usize, change: impl Fn(u64) -> u64) -> Option<Ref<'_, T>> {
        if number & ((1 << KIND_BITS) - 1) != self.kind {
            return None;
        }
        let index = (number >> KIND_BITS & ((1 << INDEX_BITS) - 1)) as u32;
        let slot = self.slot(index)?;
        let good = |state: u64| state & LIVE != 0 && state & REFS < REFS && self.number(index, state >> 32) == number;
        slot.state
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |state| good(state).then(|| change(state)))
            .ok()?;
        Some(Ref { table: self, slot, index })
    }

    fn number(&self, index: u32, generation: u64) -> usize {
        let generation = (generation & GENERATIONS) as usize;
        (generation << INDEX_BITS | index as usize) << KIND_BITS | self.kind
    }

    fn slot(&self, index: u32) -> Option<&Slot<T>> {
        let (run, offset) = place(index);
        let first = self.runs.get(run)?.load(Ordering::Acquire);
        // SAFETY: a run that is there has FIRST_RUN << run slots, `offset` is less, and runs are never freed.
        (!first.is_null()).then(|| unsafe { &*first.add(offset) })
    }

    /// A slot that was never in use.
    fn grow(&self) -> Result<u32> {
        let index = self
            .fresh
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (place(n).0 < RUNS).then_some(n + 1))
            .map_err(|_| Error::system(Step::OpenAnotherHandle, self.what, libc::EMFILE))?;
        let run = place(index).0;
        if self.runs[run].load(Ordering::Acquire).is_null() {
            let slots: Box<[Slot<T>]> = (0..(FIRST_RUN as usize) << run).map(|_| Slot::empty()).collect();
            let first = Box::into_raw(slots);
            let placed = self.runs[run].compare_exchange(null_mut(), first.cast(), Ordering::AcqRel, Ordering::Acquire);
            if placed.is_err() {
                // SAFETY: another thread's run took the place, so nobody has seen this one.
                drop(unsafe { Box::from_raw(first) });
            }
        }
        Ok(index)
    }

    fn pop(&self) -> Option<u32> {
        let below = |top: u64| {
            let index = (top as u32).checked_sub(1)?;
            let below = self.slot(index)?.below.load(Ordering::Relaxed);
            Some(changed(top) | u64::from(below))
        };
        let top = self.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, below).ok()?;
        Some(top as u32 - 1)
    }

    fn push(&self, slot: &Slot<T>, index: u32) {
        let above = |top: u64| {
            slot.below.store(top as u32, Ordering::Relaxed);
            Some(changed(top) | u64::from(index + 1))
        };
        let _ = self.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, above);
    }
}

/// The count of changes of `top`, one on, in place.
fn changed(top: u64) -> u64 {
    ((top >> 32).wrapping_add(1)) << 32
}

/// The run a slot is in and its place there: run r holds FIRST_RUN << r slots.
fn place(index: u32) -> (usize, usize) {
    let run = (index / FIRST_RUN + 1).ilog2();
    (run as usize, (index - FIRST_RUN * ((1 << run) - 1)) as usize)
}

impl<T> Slot<T> {
    fn empty() -> Self {
        Self { state: AtomicU64::new(0), below: AtomicU32::new(0), value: UnsafeCell::new(None) }
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: while a `Ref` counts nobody writes the value.
        unsafe { (*self.slot.value.get()).as_ref() }.expect("a slot with a Ref has a value")
    }
}

impl<T> Drop for Ref<'_, T> {
    fn drop(&mut self) {
        let before = self.slot.state.fetch_sub(1, Ordering::AcqRel);
        if before & (LIVE | REFS) != 1 {
            return;
        }
        // SAFETY: the handle was released and this was its last `Ref`: nobody else can reach the slot any more.
        let value = unsafe { (*self.slot.value.get()).take() };
        self.slot.state.store(((before >> 32) + 1) << 32, Ordering::Release);
        self.table.push(self.slot, self.index);
        drop(value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::ErrorCode;

    static NUMBERS: Table<Arc<AtomicUsize>> = Table::new("number", 7);
    static OTHERS: Table<u8> = Table::new("other", 8);

    #[test]
    fn a_released_handle_is_told_even_when_its_slot_is_in_use_again() {
        let table: Table<u32> = Table::new("thing", 1);
        let old: *mut u8 = table.insert(1).unwrap();
        drop(table.release(old).unwrap());
        let new: *mut u8 = table.insert(2).unwrap();
        assert_ne!(old, new);
        let error = table.get(old).err().unwrap();
        assert_eq!(error.code(), ErrorCode::Invalid);
        assert!(error.to_string().contains("released already"), "{error}");
        assert!(table.release(old).is_err());
        assert_eq!(*table.get(new).unwrap(), 2);
    }

    #[test]
    fn rubbish_and_handles_of_another_kind_are_no_handles() {
        let other: *mut u8 = OTHERS.insert(1).unwrap();
        assert!(NUMBERS.get(other).is_err());
        for number in [0, 1, 7, 0x17, 0xfff7, usize::MAX, usize::MAX - 8, 0x7fff_dead_bee7_usize] {
            assert!(NUMBERS.get(number as *const u8).is_err(), "{number:#x}");
        }
    }

    #[test]
    fn a_value_lives_until_the_last_call_with_it_is_over() {
        let table: Table<Arc<()>> = Table::new("thing", 1);
        let value = Arc::new(());
        let handle: *mut u8 = table.insert(value.clone()).unwrap();
        let call = table.get(handle).unwrap();
        drop(table.release(handle).unwrap());
        assert_eq!(Arc::strong_count(&value), 2);
        drop(call);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn slots_are_used_again_and_runs_grow() {
        let table: Table<usize> = Table::new("thing", 1);
        for _ in 0..10_000 {
            let handle: *mut u8 = table.insert(0).unwrap();
            drop(table.release(handle).unwrap());
        }
        assert_eq!(table.fresh.load(Ordering::Relaxed), 1);
        let handles: Vec<*mut u8> = (0..5_000).map(|n| table.insert(n).unwrap()).collect();
        for (n, &handle) in handles.iter().enumerate() {
            assert_eq!(*table.get(handle).unwrap(), n);
        }
    }

    #[test]
    fn threads_that_use_and_release_the_same_handles_agree_on_who_releases() {
        let dropped = Arc::new(AtomicUsize::new(0));
        let released = AtomicUsize::new(0);
        for _ in 0..2_000 {
            let handle = NUMBERS.insert::<u8>(dropped.clone()).unwrap() as usize;
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        if let Ok(number) = NUMBERS.get(handle as *const u8) {
                            number.fetch_add(1, Ordering::Relaxed);
                        }
                        if NUMBERS.release(handle as *const u8).is_ok() {
                            released.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
            });
        }
        assert_eq!(released.load(Ordering::Relaxed), 2_000);
        assert_eq!(Arc::strong_count(&dropped), 1);
    }
}
