//! What tells an event loop of something: epoll(7), timerfd_create(2), eventfd(2).

use std::io::{Error, Result};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::owned;

/// eventfd(2), which is never waited for.
pub fn eventfd() -> Result<OwnedFd> {
    // SAFETY: plain numbers; the result is a new descriptor.
    owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })
}

/// epoll_create1(2).
pub fn epoll_create() -> Result<OwnedFd> {
    // SAFETY: plain numbers; the result is a new descriptor.
    owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })
}

/// epoll_ctl(2) EPOLL_CTL_ADD: `key` comes with what is heard of `fd`.
pub fn epoll_add(epoll: BorrowedFd<'_>, fd: BorrowedFd<'_>, events: i32, key: u64) -> Result<()> {
    let mut event = libc::epoll_event { events: events as u32, u64: key };
    epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event)
}

/// epoll_ctl(2) EPOLL_CTL_DEL. A copy of `fd` in a forked child would keep it there beyond its close.
pub fn epoll_delete(epoll: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> Result<()> {
    epoll_ctl(epoll, libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut())
}

fn epoll_ctl(epoll: BorrowedFd<'_>, what: i32, fd: BorrowedFd<'_>, event: *mut libc::epoll_event) -> Result<()> {
    // SAFETY: a record that outlives the call, or none.
    let result = unsafe { libc::epoll_ctl(epoll.as_raw_fd(), what, fd.as_raw_fd(), event) };
    if result < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

/// epoll_wait(2), at most `timeout`, rounded up to milliseconds: the keys of some that are ready, none where a signal came.
pub fn epoll_wait(epoll: BorrowedFd<'_>, timeout: Option<Duration>) -> Result<Vec<u64>> {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 32];
    let milliseconds =
        timeout.map_or(-1, |timeout| timeout.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32);
    // SAFETY: the kernel writes at most as many records as there are.
    let count = unsafe { libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), events.len() as i32, milliseconds) };
    match usize::try_from(count) {
        Ok(count) => Ok(events.iter().take(count).map(|event| event.u64).collect()),
        Err(_) => match Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EINTR) => Ok(Vec::new()),
            error => Err(error),
        },
    }
}

/// timerfd_create(2) of CLOCK_MONOTONIC, which is never waited for.
pub fn timerfd_create() -> Result<OwnedFd> {
    // SAFETY: plain numbers; the result is a new descriptor.
    owned(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK) })
}

/// timerfd_settime(2): after `first`, which is not zero, and each `period` from then on.
pub fn timerfd_settime(timer: BorrowedFd<'_>, first: Duration, period: Duration) -> Result<()> {
    let of = |time: Duration| libc::timespec {
        tv_sec: time.as_secs() as libc::time_t,
        tv_nsec: time.subsec_nanos() as libc::c_long,
    };
    let times = libc::itimerspec { it_interval: of(period), it_value: of(first) };
    // SAFETY: a record that outlives the call.
    let result = unsafe { libc::timerfd_settime(timer.as_raw_fd(), 0, &raw const times, std::ptr::null_mut()) };
    if result < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

/// The number that an eventfd or a timer holds, which is 0 then; 0 where it held none.
pub fn take_count(fd: BorrowedFd<'_>) -> u64 {
    let mut bytes = [0; 8];
    match nix::unistd::read(fd, &mut bytes) {
        Ok(8) => u64::from_ne_bytes(bytes),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_loop_hears_of_timers_and_counts_by_their_keys() {
        let (epoll, timer, count) = (epoll_create().unwrap(), timerfd_create().unwrap(), eventfd().unwrap());
        epoll_add(epoll.as_fd(), timer.as_fd(), libc::EPOLLIN, 7).unwrap();
        epoll_add(epoll.as_fd(), count.as_fd(), libc::EPOLLIN, 8).unwrap();
        assert!(epoll_wait(epoll.as_fd(), Some(Duration::ZERO)).unwrap().is_empty());
        nix::unistd::write(&count, &3u64.to_ne_bytes()).unwrap();
        assert_eq!(epoll_wait(epoll.as_fd(), None).unwrap(), [8]);
        assert_eq!((take_count(count.as_fd()), take_count(count.as_fd())), (3, 0));
        let moment = Duration::from_millis(2);
        timerfd_settime(timer.as_fd(), moment, moment).unwrap();
        for _ in 0..2 {
            assert_eq!(epoll_wait(epoll.as_fd(), None).unwrap(), [7]);
            assert!(take_count(timer.as_fd()) >= 1);
        }
        epoll_delete(epoll.as_fd(), timer.as_fd()).unwrap();
        std::thread::sleep(moment * 2);
        assert!(epoll_wait(epoll.as_fd(), Some(Duration::ZERO)).unwrap().is_empty());
    }
}
