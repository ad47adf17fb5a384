//! What all handles of one container in a process share: its sockets, its record, how it ends.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ctr_wire::{DONE, EXITED, FAILED, IN_LATE, IN_START, MAX_SOCKETS, RUN, Reply};
use nix::errno::Errno;

use super::inherit::{self, Inherited, Lent};
use super::peer::{Peer, ending};
use super::state::{Record, RecordFile, Resource, StateDir};
use crate::cgroup::Cgroup;
use crate::plan::{Header, Plan, Slot, encode};
use crate::security::{Walls, steps};
use crate::sys::Own;
use crate::zygote::{Answer, Channel, NO_WALLS, Scheduling, Zygote, send, wait_readable};
use crate::{Config, Error, ErrorCode, Namespace, Result, Step, hints, sys};

/// A container that this process made or joined.
pub struct Shared {
    pub record: Record,
    /// Its record's file, where it has one: a joined pid has none.
    pub written: Option<RecordFile>,
    pub state: Option<StateDir>,
    /// Requests go to its PID 1 by this.
    pub control: Own,
    /// The zygote's reports about its PID 1, where this process made it.
    pub spawn_channel: Option<Channel>,
    /// Held, so that the zygote doesn't take the end of its socket for the end of its use.
    pub zygote: Option<Arc<Zygote>>,
    pub pid: i32,
    pub pidfd: Own,
    pub cgroup: Option<Cgroup>,
    /// What it was made from and how, as the caller gave it; for `explain`.
    pub made_from: Option<(OsString, Config)>,
    /// The process that made this handle: a forked child of it must not end what it inherits.
    pub holder: u32,
    pub destroyed: AtomicBool,
    /// OOM kills that have been told of.
    pub oom_kills: AtomicU64,
    /// It was made here with a memory limit, its own or its preset's.
    pub made_with_limit: bool,
    /// There may have been such kills: there is a limit, and programs have run.
    pub may_have_killed: AtomicBool,
    /// Its PID 1 has closed a channel and lived on.
    pub hangs_up: AtomicBool,
    /// What its PID 1 has of whoever made it; looked up at the first need where another process did.
    pub inherited: OnceLock<Inherited>,
    /// Whether PID 1 has another scheduling meanwhile.
    pub lent: Lent,
    /// It was paused by this handle, or that is not known.
    pub may_be_paused: AtomicBool,
}

/// How long PID 1 may take for a request: it gives up a start after 10 seconds, and there may be others before ours.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long the end of a process may take that ends.
const ENDING: Duration = Duration::from_secs(1);

/// How long PID 1 may be silent before it is looked whether it stands still.
pub const SILENCE: Duration = Duration::from_millis(200);

impl Shared {
    /// A handle on the container of `record`, whose PID 1 is this process.
    pub fn new(record: Record, control: OwnedFd, pid: i32, pidfd: OwnedFd) -> Self {
        Self {
            record,
            written: None,
            state: None,
            control: Own::new(control),
            spawn_channel: None,
            zygote: None,
            pid,
            pidfd: Own::new(pidfd),
            cgroup: None,
            made_from: None,
            holder: sys::process_id(),
            destroyed: AtomicBool::new(false),
            oom_kills: AtomicU64::new(0),
            made_with_limit: false,
            may_have_killed: AtomicBool::new(false),
            hangs_up: AtomicBool::new(false),
            inherited: OnceLock::new(),
            lent: Lent::default(),
            may_be_paused: AtomicBool::new(false),
        }
    }

    /// A handle on a running container by its name.
    pub fn join(state: StateDir, name: &str) -> Result<Self> {
        let (record, file) = state.find(name)?;
        Self::on_record(state, record, file)
    }

    /// The same, where its record has been read.
    pub fn on_record(state: StateDir, mut record: Record, file: RecordFile) -> Result<Self> {
        let Peer { control, pid, pidfd } = Peer::of(&state, &record.name)?;
        // What the record says of its processes is believed where the kernel says the same, for more than a look is taken at them.
        if let Some(is_init) = sys::pidfd_is_init(pidfd.as_fd()) {
            record.exec.own_pid = is_init;
        }
        let (cgroups, late) = (record.cgroups(), &record.late_cgroups);
        let cgroup = if cgroups.is_empty() && late.is_empty() {
            None
        } else {
            let all: Vec<_> = cgroups.iter().chain(late).cloned().collect();
            match crate::cgroup::verify(&record.name, pid, &all) {
                Err(_) if wait_readable(&[pidfd.as_fd()], Some(Duration::ZERO)).unwrap_or(false) => {
                    return Err(ending(&state, &record.name, libc::ESRCH));
                }
                verified => verified.map_err(|error| error.with_hint(hints::FORGED_RECORD))?,
            }
            Some(Cgroup::open(&cgroups, late)?.of(pid, record.config.cgroup_parent.as_deref()))
        };
        let oom_kills = cgroup.as_ref().and_then(|cgroup| cgroup.oom_kills().ok()).unwrap_or(0);
        Ok(Self {
            written: Some(file),
            state: Some(state.kept()),
            cgroup,
            oom_kills: AtomicU64::new(oom_kills),
            may_have_killed: AtomicBool::new(true),
            may_be_paused: AtomicBool::new(true),
            ..Self::new(record, control, pid, pidfd)
        })
    }

    /// Refuses in a forked child of the process that got this handle: what happens to the container is its parent's to decide.
    pub fn check_holder(&self) -> Result<()> {
        if self.is_held() {
            return Ok(());
        }
        let why = format!("this handle is process {}'s, of which this one is a forked child", self.holder);
        let error = Error::new(ErrorCode::Invalid, Step::UseContainer, self.called(), libc::EINVAL, why);
        Err(if self.record.name.is_empty() { error } else { error.with_hint("join the container by its name") })
    }

    fn is_held(&self) -> bool {
        self.holder == sys::process_id()
    }

    /// The error of a descriptor that is not ours any more.
    pub fn foreign(&self) -> Error {
        let why = "this process has closed descriptors of ctr, or put others in their places";
        let error = Error::new(ErrorCode::Invalid, Step::UseContainer, self.called(), libc::EBADF, why);
        error.with_hint("destroy containers before you close all descriptors; what their owner closes ends them")
    }

    /// Whether this process has made it with a user namespace that is new and has more ids than one: then its PID 1 is root there
    /// and in no group besides.
    pub fn has_ids_of_its_own(&self) -> bool {
        let is_new = |config: &Config| config.namespaces.user == Namespace::New;
        self.record.exec.many_ids && self.made_from.as_ref().is_some_and(|(_, config)| is_new(config))
    }

    /// Refuses where it is over.
    pub fn check_running(&self) -> Result<()> {
        self.check_holder()?;
        if self.destroyed.load(Ordering::Acquire) { Err(self.gone()) } else { Ok(()) }
    }

    /// Its cgroup, if it has one and runs.
    pub fn maybe_cgroup(&self) -> Result<Option<&Cgroup>> {
        self.check_running()?;
        if !self.lives() {
            return Err(self.gone());
        }
        if self.cgroup.as_ref().is_some_and(|cgroup| !cgroup.is_ours()) {
            return Err(self.foreign());
        }
        Ok(self.cgroup.as_ref())
    }

    /// Its cgroup, without which `step` can't be.
    pub fn own_cgroup(&self, step: Step) -> Result<&Cgroup> {
        self.maybe_cgroup()?.ok_or_else(|| {
            let refused = |why: &str| Error::new(ErrorCode::Unsupported, step, self.called(), libc::EOPNOTSUPP, why);
            if self.record.name.is_empty() {
                return refused("only a container has a cgroup, and this is another process's namespaces");
            }
            refused("it has no cgroup: none can be had here, or it was made without one")
                .with_hint("make it with the cgroup policy \"required\" to learn what is missing")
        })
    }

    /// Refuses what takes an answer of PID 1 where it is known that it stands still.
    fn check_not_paused(&self) -> Result<()> {
        if !self.may_be_paused.load(Ordering::Relaxed) {
            return Ok(());
        }
        let why = self.why_silent();
        self.may_be_paused.store(why.is_some(), Ordering::Relaxed);
        why.map_or(Ok(()), Err)
    }

    /// The error of what nobody answers, where it is paused.
    pub fn why_silent(&self) -> Option<Error> {
        let paused = self.cgroup.as_ref().is_some_and(|cgroup| cgroup.is_paused().unwrap_or(false));
        let error = || Error::new(ErrorCode::System, Step::UseContainer, self.called(), libc::EBUSY, "it is paused");
        paused.then(|| error().with_hint("resume it first"))
    }

    /// Its name; of a joined pid "pid" and that.
    pub fn called(&self) -> &str {
        if self.record.name.is_empty() { &self.record.image } else { &self.record.name }
    }

    /// The error of everything that is asked of a container that is over.
    pub fn gone(&self) -> Error {
        let why = if self.destroyed.load(Ordering::Acquire) {
            "it was destroyed"
        } else if let Some(error) = self.missing_wall() {
            return error;
        } else {
            "it has ended: its PID 1 was killed, or the process that made it ended"
        };
        Error::new(ErrorCode::Destroyed, Step::UseContainer, self.called(), libc::ESRCH, why)
    }

    /// The last walls are put up when create has been answered already, where such have stood before. PID 1 ends where one of
    /// them can't be, and says so before: that is what is wrong.
    fn missing_wall(&self) -> Option<Error> {
        let channel = self.spawn_channel.as_ref().filter(|_| self.is_held())?;
        // It stays where it is, so every later call is told the same.
        let Ok(Answer::Reply(reply, _)) = channel.peek() else { return None };
        let call = reply.call.checked_sub(IN_LATE).filter(|_| reply.tag == FAILED)?;
        let (_, config) = self.made_from.as_ref()?;
        let (walls, _) = Walls::of(config).ok()?;
        let mut plan = Plan::new();
        steps::put_up_last(&mut plan, &walls, walls.landlock().as_ref()).ok()?;
        if let Some(zygote) = &self.zygote {
            // The next one is waited for, and its create fails where it can't be made.
            zygote.stands(NO_WALLS);
        }
        let error = plan.error(call, sound(reply.errno)).with_code(ErrorCode::Destroyed);
        let error = error.so("the container has ended, since nothing may run in it without its walls");
        Some(if error.hint().is_empty() { error.with_hint(hints::LATE_WALL) } else { error })
    }

    /// Sends PID 1 a message; a container that is over is told apart.
    pub fn send(&self, message: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
        self.check_running()?;
        self.check_not_paused()?;
        let control = self.control.check().map_err(|_| self.foreign())?;
        send(control, message, fds).map_err(|e| match e.raw_os_error() {
            Some(libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN) => self.hung_up(),
            Some(libc::ETIMEDOUT) => self.silent(),
            _ => Error::io(Step::SendRequestToContainer, &self.record.name, &e),
        })
    }

    /// Has PID 1 walk a plan. `plan` has room for the status channel in its first slot.
    pub fn run(&self, header: &Header, plan: &Plan<'_>) -> Result<Vec<OwnedFd>> {
        self.run_within(header, plan, PATIENCE)
    }

    /// Has PID 1 walk a plan and hand over one descriptor, which is then in this slot.
    pub fn fetch(&self, plan: &Plan<'_>, slot: Slot) -> Result<Option<OwnedFd>> {
        self.run(&Header::new(RUN).giving(&[slot]), plan).map(|mut fds| fds.pop())
    }

    /// The same as [`Shared::run`], with another bound for the answer.
    pub fn run_within(&self, header: &Header, plan: &Plan<'_>, patience: Duration) -> Result<Vec<OwnedFd>> {
        let (channel, theirs) = Channel::new().map_err(|e| Error::io(Step::MakeChannel, "", &e))?;
        let mut fds = vec![theirs.as_fd()];
        fds.extend(plan.fds());
        self.send(&encode(header, plan), &fds)?;
        drop(fds);
        drop(theirs);
        self.answer(&channel, plan, patience).map(|(_, fds)| fds)
    }

    /// Waits for the first answer to a request; a failure means what the plan says of it.
    fn answer(&self, channel: &Channel, plan: &Plan<'_>, patience: Duration) -> Result<(Reply, Vec<OwnedFd>)> {
        self.answer_or_failure(channel, patience)?.map_err(|failure| match failure.call {
            IN_START => self.not_started(Step::LookIntoContainer, self.called(), failure.errno),
            call => plan.error(call, failure.errno),
        })
    }

    /// Waits for the first answer to a request: done, or the call that failed.
    pub fn answer_or_failure(
        &self,
        channel: &Channel,
        patience: Duration,
    ) -> Result<std::result::Result<(Reply, Vec<OwnedFd>), Reply>> {
        match self.hear(channel, patience)? {
            Answer::Reply(reply, fds) if reply.tag == DONE => Ok(Ok((reply, fds))),
            Answer::Reply(reply, _) if reply.tag == FAILED => Ok(Err(Reply { errno: sound(reply.errno), ..reply })),
            Answer::TimedOut => Err(self.silent()),
            // It lives and has dropped our request with the channel that came along.
            Answer::End if !self.is_ending() => Err(Error::new(
                ErrorCode::System,
                Step::HearFromContainer,
                self.called(),
                libc::EMFILE,
                "its PID 1 can't take descriptors: it holds as many as it may, or its limit was lowered from inside",
            )
            .with_hint("end some of its programs, or raise the limit on descriptors (nofile) before it is made")),
            _ => Err(self.gone()),
        }
    }

    /// The next answer within `patience`; one that stands still is not waited for.
    fn hear(&self, channel: &Channel, patience: Duration) -> Result<Answer> {
        let end = Instant::now() + patience;
        // Its programs may have used up the processor time that it has together with them.
        let mut suspended = None;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let heard = channel.receive(Some(left.min(SILENCE)));
            match heard.map_err(|e| Error::io(Step::HearFromContainer, &self.record.name, &e))? {
                Answer::TimedOut if left > SILENCE => {
                    self.why_silent().map_or(Ok(()), Err)?;
                    suspended = suspended.or_else(|| self.suspend_processor_limit());
                }
                answer => return Ok(answer),
            }
        }
    }

    /// PID 1 has closed its end of our socket: it has ended, or has no room for another joiner.
    fn hung_up(&self) -> Error {
        if self.spawn_channel.is_some() || self.is_ending() {
            return self.gone();
        }
        let why = format!("its PID 1 hears {MAX_SOCKETS} joined handles at a time, which is as many as it can");
        let error = Error::new(ErrorCode::System, Step::UseContainer, self.called(), libc::EAGAIN, why);
        error.with_hint("close some of the handles on it, in whichever processes")
    }

    /// Whether PID 1, which has closed its end of a channel, is ending: it closes them a moment before it is dead. One that has
    /// not ended is not given so long again, or a hostile one would cost a second each time.
    pub fn is_ending(&self) -> bool {
        let patience = if self.hangs_up.load(Ordering::Relaxed) { Duration::from_millis(5) } else { ENDING };
        let ended = wait_readable(&[self.pidfd.as_fd()], Some(patience)).unwrap_or(true);
        self.hangs_up.fetch_or(!ended, Ordering::Relaxed);
        ended
    }

    fn silent(&self) -> Error {
        if let Some(error) = self.why_silent() {
            return error;
        }
        let why = "its PID 1 does not answer: it is busy with other starts, or stopped";
        Error::new(ErrorCode::TimedOut, Step::HearFromContainer, self.called(), libc::ETIMEDOUT, why)
    }

    /// The child that was to do it did not come to its end: IN_START of `wire`.
    pub fn not_started(&self, step: Step, object: impl std::fmt::Display, errno: i32) -> Error {
        if errno == libc::EBUSY {
            let why = "too many processes of the container that were killed can't end";
            return Error::new(ErrorCode::System, step, object, errno, why).with_hint("destroy the container");
        }
        let why = "it took too long and was given up: programs inside had it stopped, or hold a lease on a file that it needs, or \
                   that file is on a file system that does not answer";
        Error::new(ErrorCode::TimedOut, step, object, libc::ETIMEDOUT, why)
    }

    /// Has PID 1 signal a process group, which it can do after the group's leader is gone too.
    pub fn kill_group(&self, group: i32, signal: i32) -> Result<()> {
        let mut plan = Plan::new();
        plan.step(Step::SignalProcessGroup, group.to_string(), "", "");
        plan.kill(-group, signal).ok(libc::ESRCH);
        match self.run(&Header::new(RUN), &plan) {
            // The whole container is gone, the group with it.
            Err(error) if error.code() == ErrorCode::Destroyed => Ok(()),
            other => other.map(drop),
        }
    }

    /// Whether the kernel has OOM killed a process of this container that nobody was told of, since there were
    /// `before` such kills.
    pub fn was_out_of_memory(&self, before: u64) -> bool {
        let Some(kills) = self.oom_kills_so_far() else { return false };
        let told = |told: u64| (told.max(before) < kills).then_some(told.max(before) + 1);
        self.oom_kills.fetch_update(Ordering::Relaxed, Ordering::Relaxed, told).is_ok()
    }

    /// How many there were before a program is started, whose end they can't be. Not asked where there can be none.
    pub fn oom_kills_before(&self) -> u64 {
        if self.may_have_killed.load(Ordering::Relaxed) {
            return self.oom_kills_so_far().unwrap_or(0);
        }
        self.may_have_killed.store(self.made_with_limit, Ordering::Relaxed);
        0
    }

    fn oom_kills_so_far(&self) -> Option<u64> {
        self.cgroup.as_ref()?.oom_kills().ok()
    }

    /// Whether PID 1 lives.
    pub fn lives(&self) -> bool {
        self.pidfd.check().is_ok_and(|pidfd| !wait_readable(&[pidfd], Some(Duration::ZERO)).unwrap_or(true))
    }

    /// Ends it and removes all that was made for it.
    pub fn destroy(&self) -> Result<()> {
        self.check_holder()?;
        self.destroyed.store(true, Ordering::Release);
        if !self.pidfd.is_ours() {
            return self.destroy_by_name();
        }
        if !self.record.exec.own_pid {
            self.kill_the_rest()?;
        }
        let end = Instant::now() + PATIENCE;
        self.kill_init(end)?;
        // The zygote reaps it while we remove what was made for it.
        let swept = match (&self.state, self.written) {
            (Some(state), Some(file)) => state.sweep_known(&self.record.name, file, &self.record.resources).map(drop),
            _ => Ok(()),
        };
        self.wait_reaped(end);
        swept
    }

    /// Ends it without a descriptor of ours that is left, by what the state directory says of it.
    fn destroy_by_name(&self) -> Result<()> {
        let Some(state) = &self.state else { return Err(self.foreign()) };
        let again = StateDir::open(Some(state.path())).and_then(|state| Self::join(state, &self.record.name));
        match again {
            Ok(other) if other.is_same(self) => other.destroy(),
            Err(error) if error.code() != ErrorCode::NotFound => Err(error),
            // The lifeline was among them, so it has ended.
            _ => Ok(()),
        }
    }

    /// Whether two handles are of one container.
    fn is_same(&self, other: &Self) -> bool {
        self.written.map(|file| file.inode) == other.written.map(|file| file.inode)
    }

    /// Has a resource of this container made, which is on record before it exists. A joiner may do so as well as the maker.
    pub fn acquire<T>(&self, resource: Resource, make: impl FnOnce() -> Result<T>) -> Result<T> {
        let (Some(state), Some(file)) = (&self.state, self.written) else { return make() };
        let acquired = state.acquire(&self.record.name, file, resource, make)?;
        acquired.ok_or_else(|| {
            if !self.lives() {
                return self.gone();
            }
            let why = "its record was removed, so nobody could take back what is made for it";
            Error::new(ErrorCode::System, Step::WriteRecordOfContainer, self.called(), libc::ENOENT, why)
        })
    }

    /// Gives PID 1, which has the rest of the zygote, the scheduling of the calling thread.
    pub fn schedule_as_caller(&self) -> Result<()> {
        let Some(zygote) = &self.zygote else { return Ok(()) };
        let scheduling = Scheduling::of(0);
        match inherit::give(&scheduling, self.pid, zygote.scheduling()) {
            // It has ended already, which whoever asks for something next is told.
            Err(error) if error.errno() != libc::ESRCH => return Err(error),
            _ => {}
        }
        let (rlimits, oom_score_adj) = (*zygote.rlimits(), zygote.oom_score_adj());
        _ = self.inherited.set(Inherited { scheduling, rlimits, oom_score_adj });
        Ok(())
    }

    /// Kills PID 1, and with it its PID namespace, and waits until all of it is dead.
    fn kill_init(&self, end: Instant) -> Result<()> {
        let fail = |errno| Error::system(Step::KillPid1, &self.record.name, errno);
        match sys::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGKILL, 0) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(Errno::EPERM) => {
                return Err(fail(libc::EPERM).with_hint("this process has given up the rights that it was made with"));
            }
            Err(errno) => return Err(fail(errno as i32)),
        }
        let dies = |within: Duration| {
            let left = end.saturating_duration_since(Instant::now()).min(within);
            wait_readable(&[self.pidfd.as_fd()], Some(left)).unwrap_or(false)
        };
        let let_die = |by_others| {
            self.let_die_in_time(by_others);
            self.cgroup.iter().for_each(|cgroup| cgroup.let_die(by_others));
        };
        let_die(false);
        if dies(SILENCE) {
            return Ok(());
        }
        let_die(true);
        if dies(PATIENCE) { Ok(()) } else { Err(self.why_silent().unwrap_or_else(|| fail(libc::ETIMEDOUT))) }
    }

    /// Waits until the zygote has reaped PID 1, as it says; a dead zygote says nothing, and whoever reaps for it reaps its
    /// children too.
    fn wait_reaped(&self, end: Instant) {
        let Some(channel) = self.spawn_channel.as_ref().filter(|_| self.is_held()) else { return };
        // Answers that came before it do not matter any more.
        while let Ok(Answer::Reply(reply, _)) = channel.receive(Some(end.saturating_duration_since(Instant::now()))) {
            if reply.tag == EXITED {
                return;
            }
        }
    }

    /// Without a PID namespace of its own the end of our server ends nobody else: all of its descendants are killed first. It
    /// is their subreaper (prctl(2)), so they stay its descendants, whatever their parents do.
    fn kill_the_rest(&self) -> Result<()> {
        if let Some(cgroup) = &self.cgroup {
            // Our own server is in it too; it is to go anyway.
            self.let_die_in_time(false);
            return cgroup.kill();
        }
        self.signal_descendants(libc::SIGKILL)
    }

    /// Sends a signal to every process but PID 1. SIGKILL leaves none of those that are there when it is called, nor what they
    /// start meanwhile.
    pub fn kill_all(&self, signal: i32) -> Result<()> {
        if !is_signal(signal) {
            return Err(Error::invalid(Step::SendSignal, signal, "there is no signal of this number"));
        }
        self.check_running()?;
        if !self.record.exec.own_pid {
            return if self.lives() { self.signal_descendants(signal) } else { Err(self.gone()) };
        }
        // From PID 1, and at once for all: kill_something_info of kernel/signal.c, which no fork gets past.
        let mut plan = Plan::new();
        plan.step(Step::SignalAllProcesses, self.called().to_string(), "", "");
        plan.kill(-1, signal).ok(libc::ESRCH);
        self.run(&Header::new(RUN), &plan).map(drop)
    }

    /// One round for a signal; for SIGKILL as many as it takes until nobody is left.
    fn signal_descendants(&self, signal: i32) -> Result<()> {
        for _ in 0..1000 {
            let Ok((processes, listed)) = sys::open_listed(|| Ok::<_, Infallible>(descendants(self.pid)));
            for process in processes {
                _ = sys::pidfd_send_signal(process.as_fd(), signal, 0);
            }
            if signal != libc::SIGKILL || listed == 0 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(Error::system(Step::KillProcessesOfContainer, self.called(), libc::EBUSY))
    }
}

/// Whether kill(2) takes it; 0 is for looking only.
pub fn is_signal(number: i32) -> bool {
    (0..=libc::SIGRTMAX()).contains(&number)
}

/// A hostile PID 1 may say what is no errno; callers rely on one.
fn sound(errno: i32) -> i32 {
    if (1..4096).contains(&errno) { errno } else { libc::EPROTO }
}

/// Every process below `pid`.
fn descendants(pid: i32) -> Vec<i32> {
    let mut found = Vec::new();
    let mut todo = vec![pid];
    while let Some(pid) = todo.pop() {
        let before = found.len();
        found.extend(children(pid).unwrap_or_default());
        todo.extend_from_slice(&found[before..]);
    }
    found
}

/// The children of a process, from /proc/PID/task/TID/children, proc(5).
pub fn children(pid: i32) -> std::io::Result<Vec<i32>> {
    let mut found = Vec::new();
    for task in sys::file::names(format!("/proc/{pid}/task"))? {
        let task = std::path::Path::new("/proc").join(pid.to_string()).join("task").join(task);
        let children = sys::file::read_to_string(task.join("children"))?;
        found.extend(children.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
    Ok(found)
}
