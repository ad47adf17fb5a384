//! What of a container's cgroup can be watched: kills for memory, limits that were met, whether it stands still. It is all numbers
//! that the kernel counts, so that nothing is lost between two looks; what the kernel tells besides is when to look.
//!
//! v2 has files whose poll(2) tells of a change: memory.events, pids.events, cgroup.events. v1 tells by eventfds of
//! memory.oom_control, where it is out of memory, a moment before anybody is killed, and of memory.pressure_level, where it reclaims
//! since a limit is met, which is counted nowhere else where the limit is of memory and swap together. Of all else it tells nobody:
//! poll(2) of v1's pids.events hears nothing (pids_event of kernel/cgroup/pids.c notifies another file). So on v1 it has to be looked
//! now and then.
//!
//! Rests on "memory.events" of Documentation/admin-guide/cgroup-v2.rst, and "OOM Control" and "Memory Pressure" of
//! .../cgroup-v1/memory.rst.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::stat::Mode;

use super::control;
use super::controller::{At, Controller, Version};
use super::directory::Directory;
use super::held::Cgroup;
use crate::sys::{Own, event, openat};
use crate::{Error, ErrorCode, Result, Step};

/// What is seen at one moment. `None` is what can't be told, here or any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Processes that were killed for memory; it only grows, as do all counts.
    pub(crate) oom_kills: Option<u64>,
    /// How often the limit of memory was met.
    pub(crate) memory_limit: Option<u64>,
    /// How often it had more memory than memory.high, and was slowed down.
    pub(crate) memory_high: Option<u64>,
    /// How often a process or thread could not be made for the limit of pids.
    pub(crate) pids_limit: Option<u64>,
    /// Whether all stand still.
    pub(crate) paused: Option<bool>,
    /// Somebody may be killed for memory in a moment.
    pub(crate) is_out_of_memory: bool,
}

/// What tells when to look, and what is looked at.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    told: Vec<(Tells, Own)>,
    /// How often memory was reclaimed at a limit, as far as it was told.
    reclaims: u64,
    /// Not all of it is told.
    by_looking: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tells {
    /// The file of v2, open for reading.
    MemoryEvents,
    PidsEvents,
    CgroupEvents,
    /// The eventfd of v1's memory.oom_control.
    OutOfMemory,
    /// The eventfd of v1's memory.pressure_level.
    Reclaim,
}

impl Cgroup {
    /// Opens what can be had of it.
    pub(crate) fn watch(&self) -> Result<Sources> {
        let mut sources = Sources::default();
        for (place, directory) in self.made() {
            match place.version {
                Some(Version::V2) => sources.open_v2(directory),
                Some(Version::V1) if place.has(Version::V1, Controller::Memory) => {
                    sources.register(directory, Tells::OutOfMemory, "memory.oom_control", "");
                    sources.register(directory, Tells::Reclaim, "memory.pressure_level", " low,local");
                    sources.by_looking = true;
                }
                Some(Version::V1) => sources.by_looking = true,
                None => {}
            }
        }
        self.any()?.check_not_removed()?;
        Ok(sources)
    }
}

impl Sources {
    fn open_v2(&mut self, directory: &Directory) {
        let files = [
            (Tells::MemoryEvents, "memory.events"),
            (Tells::PidsEvents, "pids.events"),
            (Tells::CgroupEvents, "cgroup.events"),
        ];
        for (tells, file) in files {
            // What is not there was not handed on.
            if let Ok(fd) = openat(&directory.fd, file, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()) {
                self.told.push((tells, Own::new(fd)));
            }
        }
    }

    /// Has v1 tell of what a file is about. What can't be had is not told.
    fn register(&mut self, directory: &Directory, tells: Tells, file: &str, how: &str) {
        let Ok(count) = event::eventfd() else { return };
        let Ok(about) = openat(&directory.fd, file, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()) else { return };
        let line = format!("{} {}{how}", count.as_raw_fd(), about.as_raw_fd());
        if control::write(&directory.fd, "cgroup.event_control", &line).is_ok() {
            self.told.push((tells, Own::new(count)));
        }
    }

    /// What to wait for, with the events of poll(2).
    pub(crate) fn fds(&self) -> impl Iterator<Item = (BorrowedFd<'_>, i32)> {
        self.told.iter().map(|(tells, fd)| match tells {
            Tells::OutOfMemory | Tells::Reclaim => (fd.as_fd(), libc::EPOLLIN),
            _ => (fd.as_fd(), libc::EPOLLPRI),
        })
    }

    /// How often to look, where not all of it is told.
    pub(crate) fn period(&self) -> Option<Duration> {
        self.by_looking.then_some(Duration::from_secs(1))
    }

    /// Looks, after which nothing is told before the next change.
    pub(crate) fn look(&mut self, cgroup: &Cgroup) -> Seen {
        let mut seen = Seen::default();
        let mut reclaims = 0;
        for (tells, fd) in &self.told {
            let Ok(fd) = fd.check() else { continue };
            let mut buffer = [0; 1024];
            let mut number = |key| {
                let length = nix::sys::uio::pread(fd, &mut buffer, 0).ok()?;
                control::keyed(&buffer[..length], key)
            };
            match tells {
                Tells::MemoryEvents => {
                    seen.oom_kills = number("oom_kill");
                    (seen.memory_limit, seen.memory_high) = (number("max"), number("high"));
                }
                Tells::PidsEvents => seen.pids_limit = number("max"),
                // Before Linux 5.2 nothing can be frozen.
                Tells::CgroupEvents => seen.paused = number("frozen").map(|frozen| frozen == 1),
                Tells::OutOfMemory => seen.is_out_of_memory = event::take_count(fd) > 0,
                Tells::Reclaim => reclaims = event::take_count(fd),
            }
        }
        if self.by_looking {
            self.look_at_v1(cgroup, reclaims, &mut seen);
        }
        seen
    }

    fn look_at_v1(&mut self, cgroup: &Cgroup, reclaims: u64, seen: &mut Seen) {
        let number = |controller, file, key| match cgroup.at(controller) {
            Ok(Some(At::V1(directory))) => control::read_keyed(&directory.fd, file, key).ok().flatten(),
            _ => None,
        };
        seen.oom_kills = seen.oom_kills.or_else(|| number(Controller::Memory, "memory.oom_control", "oom_kill"));
        seen.pids_limit = seen.pids_limit.or_else(|| number(Controller::Pids, "pids.events", "max"));
        seen.paused = seen.paused.or_else(|| cgroup.is_paused().ok());
        if self.told.iter().any(|(tells, _)| *tells == Tells::Reclaim) {
            // The eventfd of a directory that is removed counts that, too.
            let is_removed = cgroup.any().is_ok_and(Directory::is_removed);
            self.reclaims += reclaims.saturating_sub(u64::from(is_removed));
            seen.memory_limit = Some(self.reclaims);
        }
    }
}

/// Whether so much of a time was spent waiting for something; the kernel counts it (psi).
#[derive(Debug)]
pub(crate) struct Trigger(Own);

impl Cgroup {
    /// Has the kernel tell where programs wait for `resource`, some of them or all at once, for `stall` of any `window`.
    pub(crate) fn trigger(&self, resource: &str, full: bool, stall: Duration, window: Duration) -> Result<Trigger> {
        let refused = |errno, why: &str| {
            let code = if errno == libc::EINVAL { ErrorCode::Invalid } else { ErrorCode::Unsupported };
            Error::new(code, Step::WatchPressure, resource, errno, why)
        };
        let Some((_, directory)) = self.made().find(|(place, _)| place.is(Version::V2)) else {
            let why = "on cgroup v1 the kernel counts the pressure of the whole machine only";
            return Err(refused(libc::EOPNOTSUPP, why).with_hint("/proc/pressure has that, proc(5)"));
        };
        let file = format!("{resource}.pressure");
        let how = if full { "full" } else { "some" };
        let line = format!("{how} {} {}\0", stall.as_micros(), window.as_micros());
        let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let opened = openat(&directory.fd, file.as_str(), flags, Mode::empty());
        let set = opened.and_then(|fd| nix::unistd::write(&fd, line.as_bytes()).map(|_| fd));
        set.map(|fd| Trigger(Own::new(fd))).map_err(|errno| match errno as i32 {
            libc::ENOENT | libc::EOPNOTSUPP => refused(libc::EOPNOTSUPP, "this kernel does not count it")
                .with_hint("it may have been started with psi=0"),
            libc::EINVAL => {
                let why = "the window is 0.5 to 10 seconds, and the stall no longer than that";
                refused(libc::EINVAL, why).with_hint("without CAP_SYS_RESOURCE the window is a multiple of 2 seconds")
            }
            _ => directory.error(Step::WatchPressure, &file, errno),
        })
    }

    /// Whether its pressure is counted at all: the files may be there, and refuse to be read.
    pub(crate) fn has_pressure(&self) -> bool {
        let is_read =
            |directory: &Directory| control::read_some(&directory.fd, "memory.pressure", &mut [0; 256]).is_ok();
        self.made().any(|(place, directory)| place.is(Version::V2) && is_read(directory))
    }
}

impl Trigger {
    /// Whether it was so since it was asked last. The kernel remembers it for one poll(2), which may not be made by anybody else:
    /// where it lies in an epoll(7) that somebody polls, that is one.
    pub(crate) fn has_fired(&self) -> bool {
        let Ok(fd) = self.0.check() else { return false };
        let mut polled = [PollFd::new(fd, PollFlags::POLLPRI)];
        let told = poll(&mut polled, 0u8).is_ok_and(|ready| ready > 0);
        // That of a cgroup that is removed is an error.
        told && polled[0]
            .revents()
            .is_some_and(|is| is.contains(PollFlags::POLLPRI) && !is.contains(PollFlags::POLLERR))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::cgroup::controller::Controllers;
    use crate::cgroup::place::Place;
    use crate::cgroup::remove;

    #[test]
    fn every_count_of_v2_is_found_where_the_kernel_writes_it() {
        let path = std::env::temp_dir().join(format!("ctr-test-watch-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let write = |file: &str, text: &str| std::fs::write(path.join(file), text).unwrap();
        write("cgroup.procs", "");
        write("cgroup.events", "populated 1\nfrozen 0\n");
        write("memory.events", "low 0\nhigh 9\nmax 3\noom 2\noom_kill 7\noom_group_kill 0\n");
        let cgroup = Cgroup::open(&[Place::new(Version::V2, path.clone(), Controllers::default())], &[]).unwrap();
        let mut sources = cgroup.watch().unwrap();
        assert_eq!((sources.fds().count(), sources.period()), (2, None), "pids.events is not there");
        let expected = Seen {
            oom_kills: Some(7),
            memory_limit: Some(3),
            memory_high: Some(9),
            paused: Some(false),
            ..Seen::default()
        };
        assert_eq!(sources.look(&cgroup), expected);
        // The files that were opened are read again from their beginning.
        write("cgroup.events", "populated 1\nfrozen 1\n");
        write("memory.events", "low 0\nhigh 9\nmax 3\noom 2\noom_kill 11\n");
        assert_eq!(sources.look(&cgroup), Seen { oom_kills: Some(11), paused: Some(true), ..expected });
        write("pids.events", "max 5\n");
        assert_eq!(cgroup.watch().unwrap().look(&cgroup).pids_limit, Some(5));
        std::fs::remove_dir_all(&path).unwrap();
        assert_eq!(cgroup.watch().unwrap_err().code(), ErrorCode::Destroyed);
    }

    /// A directory of v2, which most machines have, be it one beside v1's.
    fn v2() -> Option<PathBuf> {
        let mount = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].into_iter().map(PathBuf::from);
        let mount = mount.into_iter().find(|mount| mount.join("cgroup.controllers").exists())?;
        let path = mount.join(format!("ctr-test-watch-{}", std::process::id()));
        std::fs::create_dir(&path).ok().map(|()| path)
    }

    #[test]
    fn pressure_of_a_cgroup_is_told_once_for_a_window_and_not_when_it_is_removed() {
        let Some(path) = v2() else { return println!("SKIPPED v2: none where this user may make one") };
        let places = [Place::new(Version::V2, path.clone(), Controllers::default())];
        let cgroup = Cgroup::open(&places, &[]).unwrap();
        let (stall, window) = (Duration::from_millis(50), Duration::from_secs(2));
        let ms = Duration::from_millis;
        let trigger = match cgroup.trigger("cpu", false, stall, window) {
            Err(error) if error.code() == ErrorCode::Unsupported => {
                remove(&places).unwrap();
                return println!("SKIPPED pressure: {error}");
            }
            trigger => trigger.unwrap(),
        };
        for (stall, window) in [(window, stall), (stall, ms(100)), (stall, Duration::from_secs(20))] {
            let error = cgroup.trigger("cpu", false, stall, window).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Invalid, "{error}");
        }
        assert!(cgroup.has_pressure() && !trigger.has_fired(), "nobody is in it");
        // More that want a processor than there are.
        let count = std::thread::available_parallelism().unwrap().get() * 2 + 1;
        let script = "echo 0 > $0/cgroup.procs; while :; do :; done";
        let busy = || std::process::Command::new("sh").args(["-c", script]).arg(&path).spawn().unwrap();
        let mut all: Vec<_> = (0..count).map(|_| busy()).collect();
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while !trigger.has_fired() {
            assert!(std::time::Instant::now() < end, "they wait for each other");
            std::thread::sleep(ms(50));
        }
        assert!(!trigger.has_fired(), "once for a window");
        for child in &mut all {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        _ = trigger.has_fired();
        remove(&places).unwrap();
        assert!(!trigger.has_fired());
    }
}
