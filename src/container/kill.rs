//! How programs are ended, and the container with them.

use std::convert::Infallible;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ctr_wire::{CPU_TIME_USED_UP, ENDED_ITSELF, EXITED, RUN, TIME_IS_UP};
use nix::errno::Errno;

use super::exit::ExitReason;
use super::request::{PATIENCE, SILENCE};
use super::shared::Shared;
use super::state::StateDir;
use crate::plan::{Header, Plan};
use crate::zygote::{Answer, Channel, wait_readable};
use crate::{Error, ErrorCode, Result, Step, sys};

/// How long a PID 1 that is dead may take to be reaped.
const REAPED: Duration = Duration::from_secs(1);

impl Shared {
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
        self.end_helpers();
        self.watchers.look();
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

    /// See [`super::Container::end_reason`].
    pub fn end_reason(&self) -> Option<ExitReason> {
        if self.lives() {
            return None;
        }
        let config = &self.record.config;
        if config.lifetime.is_none() && config.cpu_time.is_none() {
            return Some(ExitReason::Destroyed);
        }
        let end = Instant::now() + REAPED;
        loop {
            // Dead and not reaped is a moment.
            if let Some(status) = self.end_status() {
                let (code, signal) = (status >> 8 & 0xff, status & 0x7f);
                return Some(match u8::try_from(code - ENDED_ITSELF) {
                    Ok(TIME_IS_UP) if signal == 0 => ExitReason::TimedOut,
                    Ok(CPU_TIME_USED_UP) if signal == 0 => ExitReason::OutOfCpuTime,
                    _ => ExitReason::Destroyed,
                });
            }
            if Instant::now() >= end {
                return Some(ExitReason::Destroyed);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// How its PID 1 has ended, as the zygote that made it says, or the kernel.
    fn end_status(&self) -> Option<i32> {
        if let Some(&status) = self.ended.get() {
            return Some(status);
        }
        let channel = self.spawn_channel.as_ref().filter(|_| self.is_held());
        match channel.map(Channel::peek) {
            Some(Ok(Answer::Reply(reply, _))) if reply.tag == EXITED => Some(reply.status),
            _ => sys::pidfd_exit_status(self.pidfd.check().ok()?),
        }
    }

    /// Waits until the zygote has reaped PID 1, as it says; a dead zygote says nothing, and whoever reaps for it reaps its
    /// children too.
    fn wait_reaped(&self, end: Instant) {
        let Some(channel) = self.spawn_channel.as_ref().filter(|_| self.is_held()) else { return };
        // Answers that came before it do not matter any more.
        while let Ok(Answer::Reply(reply, _)) = channel.receive(Some(end.saturating_duration_since(Instant::now()))) {
            if reply.tag == EXITED {
                _ = self.ended.set(reply.status);
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
}

/// Whether kill(2) takes it; 0 is for looking only.
pub fn is_signal(number: i32) -> bool {
    (0..=libc::SIGRTMAX()).contains(&number)
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
