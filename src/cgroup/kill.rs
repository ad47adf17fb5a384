//! Ending every process of a cgroup, for a container without a pid namespace of its own: elsewhere the death of PID 1
//! does it.

use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::control;
use super::directory::Directory;
use super::held::Cgroup;
use crate::{Error, ErrorCode, Result, Step, sys};

/// How long the processes may take to die.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest pause between two looks at them.
const LONGEST: Duration = Duration::from_millis(5);

impl Cgroup {
    /// Sends SIGKILL to every process inside and waits until none is left. A cgroup that is gone has none.
    pub(crate) fn kill(&self) -> Result<()> {
        match self.kill_all(self.any()?) {
            Err(error) if error.code() == ErrorCode::Destroyed => Ok(()),
            other => other,
        }
    }

    fn kill_all(&self, directory: &Directory) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Duration::from_micros(20);
        // One write ends all, forks in flight included; Linux 5.14, v2 only.
        let at_once = control::write(&directory.fd, "cgroup.kill", "1").is_ok();
        loop {
            let left = if at_once { list(directory)?.len() } else { kill_each(directory)? };
            if left == 0 {
                return Ok(());
            }
            self.let_die(true);
            if pause == LONGEST {
                self.lift_processor_limit();
            }
            if Instant::now() >= deadline {
                let why = format!("{left} processes did not end");
                let path = directory.path.display();
                return Err(Error::new(ErrorCode::System, Step::KillProcessesOfCgroup, path, libc::EBUSY, why));
            }
            sleep(pause);
            pause = (pause * 2).min(LONGEST);
        }
    }
}

/// One round. Answers how many were listed.
fn kill_each(directory: &Directory) -> Result<usize> {
    let (processes, listed) = sys::open_listed(|| list(directory))?;
    for process in processes {
        match sys::pidfd_send_signal(process.as_fd(), libc::SIGKILL, 0) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => {
                return Err(Error::system(Step::KillProcessOfCgroup, directory.path.display(), errno as i32));
            }
        }
    }
    Ok(listed)
}

fn list(directory: &Directory) -> Result<Vec<i32>> {
    let file = "cgroup.procs";
    control::read_pids(&directory.fd, file).map_err(|errno| directory.error(Step::Read, file, errno))
}
