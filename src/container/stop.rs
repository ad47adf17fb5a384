//! Ending a container by asking its programs first, as `docker stop` does.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ctr_wire::RUN;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::kill::children;
use super::shared::Shared;
use crate::plan::{Header, Plan};
use crate::zygote::wait_readable;
use crate::{Error, ErrorCode, Result, Step, sys};

/// Programs that were asked to end.
pub struct Stopping {
    programs: Vec<OwnedFd>,
    container: Arc<Shared>,
}

impl Stopping {
    /// Waits until all of them have ended, at most `timeout`; whether they have.
    pub fn wait(&self, timeout: Duration) -> Result<bool> {
        let end = Instant::now().checked_add(timeout);
        for program in &self.programs {
            if !has_ended(program, end).map_err(|e| Error::io(Step::WaitForProgram, "to end", &e))? {
                return Ok(false);
            }
        }
        // Who waits for a program is to hear how it ended, not that its container was destroyed. PID 1 answers before it reaps
        // what has ended meanwhile, so the second answer comes after that.
        if !self.programs.is_empty() {
            _ = (0..2).try_for_each(|_| self.container.run(&Header::new(RUN), &Plan::new()).map(drop));
        }
        Ok(true)
    }
}

/// Waits until a program has ended, at most until `end`. Where no pidfd can be had, its directory of /proc stands for it, which
/// can't be polled.
fn has_ended(program: &OwnedFd, end: Option<Instant>) -> std::io::Result<bool> {
    let left = || end.map(|end| end.saturating_duration_since(Instant::now()));
    let stat = nix::sys::stat::fstat(program).map_err(std::io::Error::from)?;
    if stat.st_mode & libc::S_IFMT != libc::S_IFDIR {
        return wait_readable(&[program.as_fd()], left());
    }
    while sys::openat(program, c"stat", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).is_ok() {
        if left() == Some(Duration::ZERO) {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(true)
}

impl Shared {
    /// Sends the image's stop signal to the children of PID 1: the programs that were started, and orphans. What a program has
    /// started itself is left to that program. A container that has ended has none; one that is paused is resumed.
    pub fn ask_to_stop(self: &Arc<Self>) -> Result<Stopping> {
        self.check_holder()?;
        let signal = self.record.run.stop_signal_number();
        let mut programs = Vec::new();
        for program in sys::open_listed(|| self.children())?.0 {
            match sys::pidfd_send_signal(program.as_fd(), signal, 0) {
                Ok(()) => programs.push(program),
                Err(Errno::ESRCH) => {}
                Err(errno) => return Err(Error::system(Step::StopContainer, self.called(), errno as i32)),
            }
        }
        // Who stands still hears of nothing.
        if self.is_paused().unwrap_or(false) {
            self.resume()?;
        }
        Ok(Stopping { programs, container: Arc::clone(self) })
    }

    fn children(&self) -> Result<Vec<i32>> {
        match children(self.pid) {
            Ok(found) if self.lives() => Ok(found),
            Err(error) if self.lives() => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                let why = "the programs that run in it can't be listed: the kernel lacks CONFIG_PROC_CHILDREN, or /proc is hidden";
                Err(Error::new(ErrorCode::Unsupported, Step::StopContainer, self.called(), errno, why)
                    .with_hint("signal its programs and destroy it"))
            }
            _ => Ok(Vec::new()),
        }
    }
}
