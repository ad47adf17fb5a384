//! Watching a container: what happens to it, as events, by one descriptor that the caller waits for.
//!
//! There is no thread behind it. An epoll(7) hears of whatever tells when to look, and a look compares the kernel's counts with those
//! of the last one: so nothing is lost between two looks, nor told that was not so.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use nix::time::{ClockId, clock_gettime};

use super::exit::{Exit, ExitReason};
use super::process::Process;
use super::program::Program;
use super::shared::Shared;
use super::watchers::{Watched, Watcher};
use crate::cgroup::{Seen, Sources, Trigger};
use crate::sys::{Own, event};
use crate::{Error, ErrorCode, Result, Step};

/// What can happen (`enum ctr_event`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(i32)]
pub enum EventKind {
    /// The kernel has killed processes for memory.
    OomKill = 1,
    /// The limit of memory was met.
    MemoryLimit = 2,
    /// A process or thread could not be made for the limit of pids.
    PidsLimit = 4,
    /// A threshold of [`Watch::add_pressure`] was passed.
    Pressure = 8,
    /// A program has ended that this handle has started.
    Exit = 16,
    /// All processes stand still.
    Pause = 32,
    /// They go on.
    Resume = 64,
    /// The container has ended; nothing comes after it.
    End = 128,
    /// It had more memory than [`crate::Limit::MemoryHigh`], and was slowed down.
    MemoryHigh = 256,
}

/// Something that has happened.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// When it was seen: the kernel notes no time of its own.
    pub time: SystemTime,
    /// The same by CLOCK_MONOTONIC of clock_gettime(2), which nobody sets.
    pub monotonic: Duration,
    /// How often it has happened since it was told of last; 1 where that is not counted.
    pub count: u64,
    /// Of [`EventKind::Exit`]: the pid inside, and how it ended.
    pub exit: Option<(i32, Exit)>,
    /// Of [`EventKind::End`]: why; see [`super::Container::end_reason`].
    pub reason: Option<ExitReason>,
    /// Of [`EventKind::Pressure`]: what [`Watch::add_pressure`] has answered.
    pub pressure: Option<usize>,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::OomKill,
        Self::MemoryLimit,
        Self::PidsLimit,
        Self::Pressure,
        Self::Exit,
        Self::Pause,
        Self::Resume,
        Self::End,
        Self::MemoryHigh,
    ];

    /// As Python and the command line call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::OomKill => "oom_kill",
            Self::MemoryLimit => "memory_limit",
            Self::PidsLimit => "pids_limit",
            Self::Pressure => "pressure",
            Self::Exit => "exit",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::End => "end",
            Self::MemoryHigh => "memory_high",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Watches a container from when it was made until it is dropped; see [`super::Container::watch`]. Any thread may use it. In a forked
/// child it does nothing.
pub struct Watch(Arc<Watching>);

struct Watching {
    shared: Arc<Shared>,
    epoll: Own,
    /// A mask of them.
    kinds: i32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Event>,
    sources: Sources,
    seen: Seen,
    programs: BTreeMap<u64, Heard>,
    /// How many programs there ever were.
    started: u64,
    triggers: Vec<Trigger>,
    timer: Option<Own>,
    /// How often it is looked whatever happens.
    period: Option<Duration>,
    /// When it is looked again for somebody who was to be killed for memory.
    again: Option<Duration>,
    /// PID 1 is dead.
    is_over: bool,
    end_is_told: bool,
    /// What could not be watched, for whoever asks next.
    failed: Option<Error>,
}

/// A program whose end is waited for.
struct Heard {
    program: Arc<dyn Watched>,
    /// By its pidfd, since no answer will come.
    by_pidfd: bool,
}

/// What is heard of, by the keys of the epoll; programs have those from `FIRST` on.
const PID1: u64 = 0;
const TIMER: u64 = 1;
const CGROUP: u64 = 2;
const FIRST: u64 = 16;

/// How long after it was out of memory the cgroup is looked at for a kill, at first and at last.
const SOON: [Duration; 2] = [Duration::from_millis(1), Duration::from_secs(1)];
/// How often in a window it is asked whether the kernel has found it passed.
const LOOKS: u32 = 4;

impl Watch {
    /// Watches for `kinds`, or, where that is empty, for all that can be told here.
    pub(super) fn new(shared: &Arc<Shared>, kinds: &[EventKind]) -> Result<Self> {
        shared.check_running()?;
        let fail = |error: std::io::Error| Error::io(Step::WatchContainer, shared.called(), &error);
        let cgroup = shared.maybe_cgroup()?;
        let mut state = State::default();
        if let Some(cgroup) = cgroup {
            state.sources = cgroup.watch()?;
            state.seen = state.sources.look(cgroup);
        }
        let of = |there: bool, kind: EventKind| if there { kind as i32 } else { 0 };
        let seen = &state.seen;
        let there = of(seen.oom_kills.is_some(), EventKind::OomKill)
            | of(seen.memory_limit.is_some(), EventKind::MemoryLimit)
            | of(seen.memory_high.is_some(), EventKind::MemoryHigh)
            // v1 counts them from the first limit on.
            | of(seen.pids_limit.is_some() || state.sources.period().is_some(), EventKind::PidsLimit)
            | of(cgroup.is_some_and(crate::cgroup::Cgroup::has_pressure), EventKind::Pressure)
            | of(seen.paused.is_some(), EventKind::Pause)
            | of(seen.paused.is_some(), EventKind::Resume)
            | EventKind::Exit as i32
            | EventKind::End as i32;
        if let Some(missing) = kinds.iter().find(|kind| **kind as i32 & there == 0) {
            return Err(missing_here(shared, *missing, cgroup.is_some()));
        }
        let wanted = kinds.iter().fold(EventKind::End as i32, |all, kind| all | *kind as i32);
        let kinds = if kinds.is_empty() { there } else { wanted };
        if kinds & !(EventKind::Exit as i32 | EventKind::End as i32) == 0 {
            state.sources = Sources::default();
        }
        let epoll = Own::new(event::epoll_create().map_err(fail)?);
        event::epoll_add(epoll.as_fd(), shared.pidfd.as_fd(), libc::EPOLLIN, PID1).map_err(fail)?;
        for (fd, events) in state.sources.fds() {
            event::epoll_add(epoll.as_fd(), fd, events, CGROUP).map_err(fail)?;
        }
        let period = state.sources.period();
        let watching = Arc::new(Watching { shared: Arc::clone(shared), epoll, kinds, state: Mutex::new(state) });
        if let Some(period) = period {
            watching.look_each(&mut watching.state(), period).map_err(fail)?;
        }
        let listed: Weak<Watching> = Arc::downgrade(&watching);
        shared.watchers.add(listed);
        Ok(Self(watching))
    }

    /// The kinds of events that are told.
    pub fn kinds(&self) -> impl Iterator<Item = EventKind> {
        EventKind::ALL.into_iter().filter(|kind| self.0.tells(*kind))
    }

    /// Refuses in a forked child.
    pub(crate) fn check_holder(&self) -> Result<()> {
        self.0.shared.check_holder()
    }

    /// A descriptor that is readable when [`Watch::wait`] may have an event, and from the container's end on. Now and then there is
    /// none behind it: on cgroup v1 it is readable once a second.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.epoll.as_fd()
    }

    /// The next event, at most after `timeout`; `None` where there is none in time. After [`EventKind::End`] it is an error,
    /// [`ErrorCode::Destroyed`].
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Option<Event>> {
        let Watching { shared, epoll, .. } = &*self.0;
        shared.check_holder()?;
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            {
                let mut state = self.0.state();
                if let Some(event) = state.queue.pop_front() {
                    return Ok(Some(event));
                }
                if let Some(error) = state.failed.take() {
                    return Err(error);
                }
                if state.end_is_told {
                    return Err(shared.gone());
                }
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let epoll = epoll.check().map_err(|_| shared.foreign())?;
            let ready = event::epoll_wait(epoll, left)
                .map_err(|error| Error::io(Step::WatchContainer, shared.called(), &error))?;
            if !ready.is_empty() {
                self.0.hear(&ready);
            } else if left == Some(Duration::ZERO) {
                return Ok(None);
            }
        }
    }

    /// Tells also of the end of a program that was started before.
    pub fn add(&self, process: &Process) -> Result<()> {
        self.check_holder()?;
        if process.program.container.pid != self.0.shared.pid {
            let why = "it is a program of another container";
            return Err(Error::invalid(Step::WatchContainer, self.0.shared.called(), why));
        }
        let program: Arc<Program> = Arc::clone(&process.program);
        self.0.listen(&mut self.0.state(), program)
    }

    /// Tells also of each `window` in which programs waited for `resource` (memory, cpu, io) for `stall` at least: some of them, or
    /// `full`, all at once. Answers a number by which its events are known. Told within a quarter of the window.
    ///
    /// The window is half a second to ten seconds, and a multiple of two seconds for who has no CAP_SYS_RESOURCE. It takes cgroup v2,
    /// and a cgroup that this user may write to.
    pub fn add_pressure(&self, resource: &str, full: bool, stall: Duration, window: Duration) -> Result<usize> {
        self.check_holder()?;
        if !["memory", "cpu", "io"].contains(&resource) {
            let why = "there is pressure of memory, cpu and io";
            return Err(Error::invalid(Step::WatchPressure, resource, why));
        }
        let trigger = self.0.shared.own_cgroup(Step::WatchPressure)?.trigger(resource, full, stall, window)?;
        let mut state = self.0.state();
        let period = (window / LOOKS).min(state.period.unwrap_or(window));
        self.0.look_each(&mut state, period).map_err(|error| Error::io(Step::WatchPressure, resource, &error))?;
        state.triggers.push(trigger);
        Ok(state.triggers.len() - 1)
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd()
    }
}

impl Watcher for Watching {
    fn started(&self, program: Arc<dyn Watched>) {
        if self.tells(EventKind::Exit) {
            let mut state = self.state();
            if let Err(error) = self.listen(&mut state, program) {
                state.failed = Some(error);
            }
        }
    }

    fn look(&self) {
        self.look_now(&mut self.state());
    }
}

impl Watching {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tells(&self, kind: EventKind) -> bool {
        self.kinds & kind as i32 != 0
    }

    /// Hears of one more program's end.
    fn listen(&self, state: &mut State, program: Arc<dyn Watched>) -> Result<()> {
        let is_known = |heard: &Heard| std::ptr::addr_eq(Arc::as_ptr(&heard.program), Arc::as_ptr(&program));
        if state.end_is_told || state.programs.values().any(is_known) {
            return Ok(());
        }
        let key = FIRST + state.started;
        event::epoll_add(self.epoll.as_fd(), program.answer_fd(), libc::EPOLLIN, key)
            .map_err(|error| Error::io(Step::WatchContainer, self.shared.called(), &error))?;
        state.started += 1;
        state.programs.insert(key, Heard { program, by_pidfd: false });
        Ok(())
    }

    /// Looks at least so often from now on.
    fn look_each(&self, state: &mut State, period: Duration) -> std::io::Result<()> {
        if state.timer.is_none() {
            let timer = Own::new(event::timerfd_create()?);
            event::epoll_add(self.epoll.as_fd(), timer.as_fd(), libc::EPOLLIN, TIMER)?;
            state.timer = Some(timer);
        }
        state.period = Some(period);
        state.set_timer(period);
        Ok(())
    }

    /// Something was heard.
    fn hear(&self, ready: &[u64]) {
        let mut state = self.state();
        if state.end_is_told {
            return;
        }
        if ready.contains(&TIMER) {
            _ = state.timer.as_ref().and_then(|timer| Some(event::take_count(timer.check().ok()?)));
        }
        state.is_over |= ready.contains(&PID1);
        // Whatever was heard: who was killed for memory was counted before they died, so that is told before their end.
        self.look_now(&mut state);
        let ended: Vec<u64> =
            state.programs.keys().copied().filter(|key| state.is_over || ready.contains(key)).collect();
        ended.into_iter().for_each(|key| self.ask(&mut state, key));
        if state.is_over {
            self.end(&mut state);
        }
    }

    /// Asks how a program ended, which it has, or its PID 1 does strange things.
    fn ask(&self, state: &mut State, key: u64) {
        let Some(heard) = state.programs.get_mut(&key) else { return };
        let program = Arc::clone(&heard.program);
        let fd = if heard.by_pidfd { program.pidfd() } else { program.answer_fd() };
        match program.wait(Some(Duration::ZERO)) {
            Ok(None) if heard.by_pidfd => return,
            Ok(None) => {
                heard.by_pidfd = true;
                _ = event::epoll_delete(self.epoll.as_fd(), fd);
                if let Err(error) = event::epoll_add(self.epoll.as_fd(), program.pidfd(), libc::EPOLLIN, key) {
                    state.failed = Some(Error::io(Step::WatchContainer, self.shared.called(), &error));
                }
                return;
            }
            Ok(Some(exit)) => {
                let event = Event { exit: Some((program.pid(), exit)), ..Event::now(EventKind::Exit) };
                self.tell(state, event);
            }
            Err(error) => state.failed = Some(error),
        }
        _ = event::epoll_delete(self.epoll.as_fd(), fd);
        state.programs.remove(&key);
    }

    /// PID 1 is dead: what has counted is of no more use, and the end comes when all programs have come to theirs.
    fn end(&self, state: &mut State) {
        for (fd, _) in state.sources.fds() {
            _ = event::epoll_delete(self.epoll.as_fd(), fd);
        }
        if let Some(timer) = state.timer.take() {
            _ = event::epoll_delete(self.epoll.as_fd(), timer.as_fd());
        }
        state.sources = Sources::default();
        state.triggers.clear();
        // Not heard of again while programs that share their PID namespace with others are still dying.
        _ = event::epoll_delete(self.epoll.as_fd(), self.shared.pidfd.as_fd());
        if state.programs.is_empty() {
            let event = Event { reason: self.shared.end_reason(), ..Event::now(EventKind::End) };
            state.queue.push_back(event);
            state.end_is_told = true;
            _ = event::epoll_add(self.epoll.as_fd(), self.shared.pidfd.as_fd(), libc::EPOLLIN, PID1);
        }
    }

    /// Compares what is counted with what was counted before.
    fn look_now(&self, state: &mut State) {
        for number in 0..state.triggers.len() {
            if state.triggers[number].has_fired() {
                self.tell(state, Event { pressure: Some(number), ..Event::now(EventKind::Pressure) });
            }
        }
        let Some(cgroup) = self.shared.cgroup.as_ref() else { return };
        let (before, now) = (state.seen, state.sources.look(cgroup));
        let counts = [
            (EventKind::OomKill, before.oom_kills, now.oom_kills),
            (EventKind::MemoryHigh, before.memory_high, now.memory_high),
            (EventKind::MemoryLimit, before.memory_limit, now.memory_limit),
            (EventKind::PidsLimit, before.pids_limit, now.pids_limit),
        ];
        for (kind, before, now) in counts {
            // What was not counted before is counted since then.
            let count = now.unwrap_or(0).saturating_sub(before.unwrap_or(0));
            if count > 0 {
                self.tell(state, Event { count, ..Event::now(kind) });
            }
        }
        if let (Some(before), Some(now)) = (before.paused, now.paused)
            && before != now
        {
            self.tell(state, Event::now(if now { EventKind::Pause } else { EventKind::Resume }));
        }
        state.seen = Seen {
            oom_kills: now.oom_kills.or(before.oom_kills),
            memory_limit: now.memory_limit.or(before.memory_limit),
            memory_high: now.memory_high.or(before.memory_high),
            pids_limit: now.pids_limit.or(before.pids_limit),
            paused: now.paused.or(before.paused),
            is_out_of_memory: false,
        };
        state.look_soon(&now, &before);
    }

    fn tell(&self, state: &mut State, event: Event) {
        if self.tells(event.kind) {
            state.queue.push_back(event);
        }
    }
}

impl State {
    /// v1 tells a moment before somebody is killed: it is looked again until somebody was, for two seconds.
    fn look_soon(&mut self, now: &Seen, before: &Seen) {
        let [first, last] = SOON;
        let again = match self.again {
            _ if now.is_out_of_memory => Some(first),
            _ if now.oom_kills > before.oom_kills => None,
            Some(again) if again < last => Some(again * 2),
            _ => None,
        };
        if let (true, Some(period)) = (again != self.again, self.period) {
            self.set_timer(again.unwrap_or(period).min(period));
        }
        self.again = again;
    }

    fn set_timer(&self, first: Duration) {
        if let (Some(timer), Some(period)) = (&self.timer, self.period) {
            // Of our own descriptor, with times that there are.
            _ = timer.check().map(|timer| event::timerfd_settime(timer, first, period));
        }
    }
}

impl Event {
    fn now(kind: EventKind) -> Self {
        let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
        Self { kind, time: SystemTime::now(), monotonic, count: 1, exit: None, reason: None, pressure: None }
    }
}

fn missing_here(shared: &Shared, kind: EventKind, has_cgroup: bool) -> Error {
    let why = match kind {
        _ if !has_cgroup => "without a cgroup nothing tells of it".into(),
        EventKind::Pressure => "pressure is told of cgroup v2 only, where the kernel counts it".into(),
        EventKind::MemoryHigh => "cgroup v1 has no such limit, or its cgroup no such controller".into(),
        EventKind::Pause | EventKind::Resume => "its cgroup has no freezer".into(),
        kind => format!("its cgroup tells nothing of {}: it has no such controller", kind.name()),
    };
    let error = Error::new(ErrorCode::Unsupported, Step::WatchContainer, shared.called(), libc::EOPNOTSUPP, why);
    error.with_hint("watch for all that there is, which is without naming kinds")
}
