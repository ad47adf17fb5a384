//! What all handles of one container in a process share: its sockets, its record, and what is said of one that is over. What is asked
//! of its PID 1 is in `request`, its end in `kill`.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ctr_wire::{FAILED, IN_LATE};

use super::exit::ExitReason;
use super::file_helper::FileHelper;
use super::inherit::{self, Inherited, Lent};
use super::kept::Kept;
use super::peer::{Peer, ending};
use super::state::{Record, RecordFile, Resource, StateDir};
use super::watchers::Watchers;
use crate::cgroup::Cgroup;
use crate::helper::Helper;
use crate::plan::Plan;
use crate::security::{Walls, steps};
use crate::sys::Own;
use crate::zygote::{Answer, Channel, NO_WALLS, Scheduling, Zygote, wait_readable};
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
    /// How its PID 1 has ended, once the zygote's last report has been taken.
    pub ended: OnceLock<i32>,
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
    /// It is a server in a PID namespace whose init is none of ours, which reaps the orphans of what it starts.
    pub leaves_orphans: bool,
    /// Its PID 1 has had the file in which its processor time is counted.
    pub counts_cpu_time: AtomicBool,
    /// Who watches it.
    pub watchers: Watchers,
    /// What opens its files.
    pub file_helper: Kept<FileHelper>,
    /// What makes its sockets.
    pub socket_helper: Kept<Helper>,
}

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
            ended: OnceLock::new(),
            oom_kills: AtomicU64::new(0),
            made_with_limit: false,
            may_have_killed: AtomicBool::new(false),
            hangs_up: AtomicBool::new(false),
            inherited: OnceLock::new(),
            lent: Lent::default(),
            may_be_paused: AtomicBool::new(false),
            leaves_orphans: false,
            counts_cpu_time: AtomicBool::new(false),
            watchers: Watchers::default(),
            file_helper: Kept::default(),
            socket_helper: Kept::default(),
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

    pub(super) fn is_held(&self) -> bool {
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
                .with_hint(hints::WITHOUT_CGROUP)
        })
    }

    /// Refuses what takes an answer of PID 1 where it is known that it stands still.
    pub(super) fn check_not_paused(&self) -> Result<()> {
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
        } else if self.end_reason() == Some(ExitReason::TimedOut) {
            "it has ended: its lifetime was over"
        } else if self.end_reason() == Some(ExitReason::OutOfCpuTime) {
            "it has ended: its programs had used up its CPU time"
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

    /// Ends the helpers that are kept for it.
    pub fn end_helpers(&self) {
        self.file_helper.end();
        self.socket_helper.end();
    }

    /// Refuses where a kept helper has no container any more to do something in.
    pub fn check_for_helper(&self) -> Result<()> {
        self.check_running()?;
        let pidfd = self.pidfd.check().map_err(|_| self.foreign())?;
        if wait_readable(&[pidfd], Some(Duration::ZERO)).unwrap_or(true) {
            self.end_helpers();
            return Err(self.gone());
        }
        Ok(())
    }

    /// Whether PID 1 lives.
    pub fn lives(&self) -> bool {
        self.pidfd.check().is_ok_and(|pidfd| !wait_readable(&[pidfd], Some(Duration::ZERO)).unwrap_or(true))
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

    /// What it has by now, whoever made it.
    pub fn resources(&self) -> Result<Vec<Resource>> {
        let (Some(state), Some(file)) = (&self.state, self.written) else { return Ok(Vec::new()) };
        match state.read(&self.record.name)? {
            Some(read) if read.file.inode == file.inode => Ok(read.content.resources().to_vec()),
            _ => Err(self.gone()),
        }
    }

    /// Writes down that a resource of this container is gone.
    pub fn strike_off(&self, resource: Resource) -> Result<()> {
        let (Some(state), Some(file)) = (&self.state, self.written) else { return Ok(()) };
        state.note_gone(&self.record.name, file, resource)
    }

    /// Writes down what more is known of a resource of this container.
    pub fn note_known(&self, before: Resource, now: Resource) -> Result<()> {
        let (Some(state), Some(file)) = (&self.state, self.written) else { return Ok(()) };
        state.note_known(&self.record.name, file, before, now)
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
}

/// A hostile PID 1 may say what is no errno; callers rely on one.
pub fn sound(errno: i32) -> i32 {
    if (1..4096).contains(&errno) { errno } else { libc::EPROTO }
}
