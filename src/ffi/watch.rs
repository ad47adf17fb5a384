//! ctr_watch: what happens to a container.

use std::ffi::c_int;
use std::os::fd::AsRawFd;
use std::time::{Duration, UNIX_EPOCH};

use super::border::{border, out};
use super::container::container;
use super::handle::{Ref, Table};
use super::process::process;
use super::stats::array;
use super::types::{CTR_NOT_COUNTED, ctr_container, ctr_event_value, ctr_pressure, ctr_process, ctr_watcher};
use crate::{Error, ErrorCode, Event, EventKind, Result, Step, Watch};

static WATCHERS: Table<Watch> = Table::new("watcher", 14);

/// Watches a container from now on: what happens to it comes as events of ctr_watch_next(), and ctr_watch_fd() is what an event
/// loop waits for. A container that was joined can be watched as well as one's own, by any number of watchers, each of
/// which is told of everything. There is no thread behind a watcher: it costs three to six descriptors, and a container that
/// nobody watches nothing at all.
///
/// The kernel counts what happens, and a watcher compares the counts: nothing is lost, however late it is asked, and what has
/// happened several times since it was asked last comes as one event with its count. Events of several kinds that came between
/// two looks have no order, but that a process that is killed for memory is told of before its exit, and CTR_EVENT_END last.
///
/// What tells of what, as far as it can be had here (ctr_watch_kinds()):
///
///   OOM_KILL      v2: oom_kill of memory.events. v1: oom_kill of memory.oom_control. The cgroup's count: of whichever process in
///                 it, by its own limit or one above
///   MEMORY_LIMIT  v2: max of memory.events. v1: memory.pressure_level, for about each 512 pages that the kernel has
///                 looked through for some to take back, since the limit was met
///   PIDS_LIMIT    max of pids.events
///   PRESSURE      v2 alone, once ctr_watch_pressure() was called
///   EXIT          of programs that were started by c after this call, and of those that were given to ctr_watch_process();
///                 of what they start themselves, and of what other handles and processes start, the kernel tells nobody
///   PAUSE, RESUME whether it stands still now; one that is resumed before the next look was not seen
///   END           the container has ended; always told
///
/// On v1 the kernel notifies nobody of PIDS_LIMIT, PAUSE and RESUME, nor of kills for lack of memory in the whole machine: they are
/// looked for once a second.
///
/// kinds   those wanted, or'ed: enum ctr_event. Each has to be had here. 0 is all that can be
/// out     gets the watcher; release it with ctr_watch_free(). It may outlive c
///
/// Return value: 0; CTR_ERR_UNSUPPORTED when one of kinds can't be told here, for a container without a cgroup for example,
/// which ctr_last_error() names; CTR_ERR_INVALID, CTR_ERR_DESTROYED, CTR_ERR_SYSTEM.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_watch(c: *mut ctr_container, kinds: c_int, out: *mut *mut ctr_watcher) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { self::out("out", out) }?;
        *out = WATCHERS.insert(container(c)?.container.watch(&kinds_of(kinds)?)?)?;
        Ok(0)
    })
}

/// The kinds of events that a watcher tells of, or'ed: enum ctr_event.
///
/// Return value: the kinds, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_watch_kinds(w: *const ctr_watcher) -> c_int {
    border(|| Ok(watcher(w)?.kinds().fold(0, |all, kind| all | kind as c_int)))
}

/// A descriptor for an event loop: poll(2) says POLLIN when something may have happened. Call ctr_watch_next() with a timeout_ms of
/// 0 then, until it returns CTR_ERR_TIMED_OUT; at times that is its first answer. On cgroup v1 it says POLLIN once a second. From
/// CTR_EVENT_END on it says so always.
///
/// Return value: a descriptor that belongs to the watcher (don't close it, don't read from it) and is good until
/// ctr_watch_free(), or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_watch_fd(w: *const ctr_watcher) -> c_int {
    border(|| Ok(watcher(w)?.fd().as_raw_fd()))
}

/// The next event.
///
/// timeout_ms   the longest wait in milliseconds; 0 only looks, a negative number waits until something happens
/// values       gets what there is to know of it, each at its index of enum ctr_event_value; CTR_NOT_COUNTED where that is
///              nothing. NULL if count is 0
/// count        how many values has room for; a program and a library of different releases fit, as for ctr_stats()
///
/// Return value: the kind of the event, of enum ctr_event, later releases may have others; CTR_ERR_TIMED_OUT when there is none in
/// time; CTR_ERR_DESTROYED after CTR_EVENT_END; CTR_ERR_INVALID; CTR_ERR_SYSTEM, also when something could not be watched,
/// for lack of memory or descriptors: what comes after it can be asked for again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_watch_next(
    w: *mut ctr_watcher,
    timeout_ms: c_int,
    values: *mut u64,
    count: c_int,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let values = if count == 0 { &mut [][..] } else { unsafe { array(values, count) }? };
        values.fill(CTR_NOT_COUNTED);
        let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
        let event = watcher(w)?.wait(timeout)?.ok_or_else(|| nothing(timeout_ms))?;
        values.iter_mut().zip(numbers(&event)).for_each(|(value, number)| *value = number);
        Ok(event.kind as c_int)
    })
}

/// Tells also of the end of a program that was started before the watcher, or by another handle on the same container. One that is
/// watched already, or has ended, is no error: its end is told, once.
///
/// Return value: 0; CTR_ERR_INVALID, also for a program of another container; CTR_ERR_SYSTEM.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_watch_process(w: *mut ctr_watcher, p: *const ctr_process) -> c_int {
    border(|| watcher(w)?.add(&*process(p)?).map(|()| 0))
}

/// Tells also of pressure: each window of time in which programs of the container waited for something long enough, as the kernel
/// finds it, "Monitoring for pressure thresholds" of Documentation/accounting/psi.rst. It comes within a quarter of the window;
/// ctr_watch_fd() says POLLIN that often from now on.
///
/// what        what they wait for, enum ctr_pressure
/// full        0: some of them wait; 1: all at once
/// stall_ms    how long they waited in a window, all in all: the threshold
/// window_ms   the window, 500 to 10000; a multiple of 2000 if the caller has no CAP_SYS_RESOURCE
///
/// Return value: a number from 0 on, by which the events are known (CTR_EVENT_VALUE_PRESSURE); CTR_ERR_UNSUPPORTED on cgroup v1, and
/// where the kernel was started with psi=0; CTR_ERR_SYSTEM with EACCES where the cgroup is another user's; CTR_ERR_INVALID,
/// CTR_ERR_DESTROYED.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_watch_pressure(
    w: *mut ctr_watcher,
    what: c_int,
    full: c_int,
    stall_ms: c_int,
    window_ms: c_int,
) -> c_int {
    border(|| {
        let resource = match what {
            what if what == ctr_pressure::CTR_PRESSURE_MEMORY as c_int => "memory",
            what if what == ctr_pressure::CTR_PRESSURE_CPU as c_int => "cpu",
            what if what == ctr_pressure::CTR_PRESSURE_IO as c_int => "io",
            _ => return Err(Error::invalid(Step::Argument, "what", "it is none of enum ctr_pressure")),
        };
        let time = |name, ms| {
            let ms = u64::try_from(ms).map_err(|_| Error::invalid(Step::Argument, name, "it is negative"))?;
            Ok::<_, Error>(Duration::from_millis(ms))
        };
        let (stall, window) = (time("stall_ms", stall_ms)?, time("window_ms", window_ms)?);
        watcher(w)?.add_pressure(resource, full != 0, stall, window).map(|number| number as c_int)
    })
}

/// Ends a watcher. NULL is allowed. The container is not affected.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_watch_free(w: *mut ctr_watcher) {
    border(|| if w.is_null() { Ok(()) } else { WATCHERS.release(w).map(drop) });
}

fn watcher(w: *const ctr_watcher) -> Result<Ref<'static, Watch>> {
    let watcher = WATCHERS.get(w)?;
    watcher.check_holder()?;
    Ok(watcher)
}

fn kinds_of(mask: c_int) -> Result<Vec<EventKind>> {
    let kinds: Vec<_> = EventKind::ALL.into_iter().filter(|kind| mask & *kind as c_int != 0).collect();
    if kinds.iter().fold(0, |all, kind| all | *kind as c_int) != mask {
        return Err(Error::invalid(Step::Argument, "kinds", "it has bits that are none of enum ctr_event"));
    }
    Ok(kinds)
}

/// As many as there are.
const KNOWN: usize = ctr_event_value::CTR_EVENT_VALUE_PRESSURE as usize + 1;

/// In the order of `ctr_event_value`.
fn numbers(event: &Event) -> [u64; KNOWN] {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(CTR_NOT_COUNTED);
    let of_exit = |part: fn(i32, &crate::Exit) -> i32| {
        event.exit.as_ref().map_or(CTR_NOT_COUNTED, |(pid, exit)| part(*pid, exit) as u64)
    };
    [
        nanos(event.time.duration_since(UNIX_EPOCH).unwrap_or_default()),
        nanos(event.monotonic),
        event.count,
        of_exit(|pid, _| pid),
        of_exit(|_, exit| exit.code),
        of_exit(|_, exit| exit.signal),
        event.reason.map_or_else(|| of_exit(|_, exit| exit.reason as i32), |reason| reason as u64),
        event.pressure.map_or(CTR_NOT_COUNTED, |number| number as u64),
    ]
}

fn nothing(timeout_ms: c_int) -> Error {
    let why = format!("nothing has happened within {timeout_ms} ms");
    Error::new(ErrorCode::TimedOut, Step::WatchContainer, "", libc::ETIMEDOUT, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffi::types::ctr_event;

    #[test]
    fn the_numbers_of_c_are_those_of_the_kinds() {
        let of_c = [
            ctr_event::CTR_EVENT_OOM_KILL as i32,
            ctr_event::CTR_EVENT_MEMORY_LIMIT as i32,
            ctr_event::CTR_EVENT_PIDS_LIMIT as i32,
            ctr_event::CTR_EVENT_PRESSURE as i32,
            ctr_event::CTR_EVENT_EXIT as i32,
            ctr_event::CTR_EVENT_PAUSE as i32,
            ctr_event::CTR_EVENT_RESUME as i32,
            ctr_event::CTR_EVENT_END as i32,
            ctr_event::CTR_EVENT_MEMORY_HIGH as i32,
        ];
        assert_eq!(EventKind::ALL.map(|kind| kind as i32), of_c);
        assert_eq!(kinds_of(0).unwrap(), []);
        assert_eq!(kinds_of(of_c[0] | of_c[7]).unwrap(), [EventKind::OomKill, EventKind::End]);
        for mask in [512, -1, 1 << 30] {
            assert_eq!(kinds_of(mask).unwrap_err().code(), ErrorCode::Invalid);
        }
    }
}
