//! Requests: how PID 1 is asked, how long is waited for its answer, and what its silence means.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ctr_wire::{DONE, FAILED, IN_START, MAX_SOCKETS, RUN, Reply};

use super::shared::{Shared, sound};
use crate::plan::{Header, Plan, Slot, encode};
use crate::zygote::{Answer, Channel, send, wait_readable};
use crate::{Error, ErrorCode, Result, Step};

/// How long PID 1 may take for a request: it gives up a start after 10 seconds, and there may be others before ours.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long PID 1 may be silent before it is looked whether it stands still.
pub const SILENCE: Duration = Duration::from_millis(200);
/// How long the end of a process may take that ends.
const ENDING: Duration = Duration::from_secs(1);

impl Shared {
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
}
