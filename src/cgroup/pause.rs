//! Pause and resume: all processes of a container stop where they are, PID 1 among them, and go on.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::control;
use super::controller::{At, Controller, Version};
use super::directory::Directory;
use super::freezer::{FROZEN, freeze, is_frozen, is_frozen_above, is_in, thaw_at};
use super::held::{Cgroup, Held};
use super::late::Acquire;
use super::place::{Place, opened};
use super::throttle;
use crate::{Error, ErrorCode, Result, Step};

/// How long processes that were let go may take to be counted as running.
const RESUMING: Duration = Duration::from_secs(1);

impl Cgroup {
    /// Whether all processes stand still, whoever has seen to that: they do too where a cgroup above is frozen.
    pub(crate) fn is_paused(&self) -> Result<bool> {
        match self.freezer()? {
            Some(at) => is_frozen(at),
            // Its processes are in the caller's.
            None => match self.held(Controller::Freezer).and_then(|held| held.place.path().parent()) {
                Some(above) => Ok(Directory::open(above).is_ok_and(|above| is_in(&above, FROZEN))),
                None => Ok(false),
            },
        }
    }

    /// Stops all processes within `timeout`, or none.
    pub(crate) fn pause(&self, timeout: Option<Duration>, acquire: Acquire<'_>) -> Result<()> {
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let at = match self.freezer()? {
            Some(at) => at,
            None => At::V1(self.make_late(Controller::Freezer, acquire)?),
        };
        // The directory before its processes: those that are moved in stop forking.
        let paused = freeze(at).and_then(|()| self.move_into(Controller::Freezer, at.directory(), end));
        paused.and_then(|()| until_frozen(at, end)).inspect_err(|_| _ = thaw_at(at))
    }

    /// Lets all processes go on. One that is not paused is no error.
    pub(crate) fn resume(&self) -> Result<()> {
        let Some(at) = self.freezer()? else {
            return if self.is_paused()? { Err(above(self.any()?)) } else { Ok(()) };
        };
        thaw_at(at)?;
        let end = Instant::now() + RESUMING;
        while is_frozen(at)? {
            if Instant::now() >= end || is_frozen_above(at) {
                return Err(above(at.directory()));
            }
            sleep(Duration::from_micros(100));
        }
        Ok(())
    }

    /// v1: lets go what is to die, which it does not while it is frozen. `by_others` looks whether another process has paused it,
    /// which costs a system call.
    pub(crate) fn let_die(&self, by_others: bool) {
        let known = |held: &&Held| held.place.has(Version::V1, Controller::Freezer);
        let Some(held) = self.held.iter().find(known).filter(|held| by_others || held.made.get().is_some()) else {
            return;
        };
        if let Ok(Some(at @ At::V1(_))) = self.at(Controller::Freezer) {
            // A cgroup above may be frozen, which whoever waits for the end finds.
            _ = held.made.get().map(|_| thaw_at(at));
        }
    }

    /// Where it can be paused by now.
    fn freezer(&self) -> Result<Option<At<'_>>> {
        let mut v2 = self.made().filter(|(place, _)| place.is(Version::V2));
        match v2.next() {
            Some((_, directory)) => Ok(Some(At::V2(directory))),
            None => self.at(Controller::Freezer),
        }
    }
}

/// Whether the container with these directories is paused.
pub(crate) fn is_paused(places: &[Place]) -> bool {
    directories(places).any(|(version, directory)| is_frozen(At::new(version, &directory)).unwrap_or(false))
}

/// Lets a container end that is killed or whose owner is gone: it goes on, without a limit of processor time.
pub(crate) fn let_end(places: &[Place]) {
    throttle::lift(places);
    for (version, directory) in directories(places) {
        _ = thaw_at(At::new(version, &directory));
    }
}

/// The first process of the container with these directories: the one whose parent is in none of them. Nobody who stands still
/// has to answer for that.
pub(crate) fn first_process(places: &[Place]) -> Option<i32> {
    let directory = places.iter().find_map(|place| Directory::open(place.path()).ok())?;
    let all = control::read_pids(&directory.fd, "cgroup.procs").ok()?;
    let parent = |pid: i32| {
        let stat = crate::sys::file::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // proc_pid_stat(5): behind the name, which may have brackets in it, come the state and the parent.
        stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse::<i32>().ok()
    };
    all.iter().copied().find(|pid| parent(*pid).is_some_and(|parent| !all.contains(&parent)))
}

/// Those by which it can be paused.
fn directories(places: &[Place]) -> impl Iterator<Item = (Version, Directory)> {
    opened(places, |place| place.is(Version::V2) || place.controllers.has(Controller::Freezer))
}

fn until_frozen(at: At<'_>, end: Option<Instant>) -> Result<()> {
    let mut pause = Duration::from_micros(50);
    for round in 1_u32.. {
        if is_frozen(at)? {
            break;
        }
        if end.is_some_and(|end| Instant::now() >= end) {
            let why =
                "some of its processes do not stop: they wait in the kernel, as for a file system that does not answer";
            let path = at.directory().path.display();
            return Err(Error::new(ErrorCode::TimedOut, Step::PauseCgroup, path, libc::ETIMEDOUT, why)
                .with_hint("it runs on; give it more time"));
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
        // v1 stops those that it finds at the moment of the write, and may miss one that is just being made or moved: so it is asked
        // again, and now and then anew, as other engines do.
        if at.version() == Version::V1 {
            if round % 20 == 0 {
                thaw_at(at)?;
                sleep(pause);
            }
            freeze(at)?;
        }
    }
    Ok(())
}

fn above(directory: &Directory) -> Error {
    let why = "a cgroup above it is frozen, so it stands still";
    Error::new(ErrorCode::System, Step::ResumeCgroup, directory.path.display(), libc::EBUSY, why)
        .with_hint("whoever has frozen that lets it go on: an outer container is resumed, a service thawed")
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::process::ExitStatusExt;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::cgroup::controller::Controllers;
    use crate::cgroup::remove;

    /// A directory of v2, which most machines have, be it one beside v1's: the freezer needs no controller.
    fn v2() -> Option<(Cgroup, Place)> {
        let mount = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
        let mount = mount.into_iter().find(|mount| mount.join("cgroup.controllers").exists())?;
        let path = mount.join(format!("ctr-test-freezer-{}", std::process::id()));
        std::fs::create_dir(&path).ok()?;
        let place = Place::new(Version::V2, path, Controllers::default());
        Some((Cgroup::open(std::slice::from_ref(&place), &[]).unwrap(), place))
    }

    #[test]
    fn on_v2_all_stand_still_go_on_and_die_while_they_are_still() {
        let Some((cgroup, place)) = v2() else { return println!("SKIPPED v2: none where this user may make one") };
        let never = |_: &Place, _: &mut dyn FnMut() -> Result<()>| panic!("it is there");
        let script = "echo 0 > $0/cgroup.procs; echo $$; while read x; do echo $x; done";
        let mut child = Command::new("sh");
        let child = child.args(["-c", script]).arg(place.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let (mut to, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut heard = [0; 64];
        assert!(from.read(&mut heard).unwrap() > 0);
        let places = std::slice::from_ref(&place);
        assert!(!cgroup.is_paused().unwrap() && !is_paused(places));
        cgroup.pause(Some(Duration::from_secs(10)), &never).unwrap();
        assert!(cgroup.is_paused().unwrap() && is_paused(places));
        assert_eq!(first_process(places), Some(child.id() as i32));
        std::io::Write::write_all(&mut to, b"x\n").unwrap();
        // It has not read that.
        let mut waits = [nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(&from), nix::poll::PollFlags::POLLIN)];
        assert_eq!(nix::poll::poll(&mut waits, 50u8).unwrap(), 0);
        cgroup.resume().unwrap();
        assert!(!cgroup.is_paused().unwrap());
        let read = from.read(&mut heard).unwrap();
        assert_eq!(&heard[..read], b"x\n");
        cgroup.pause(None, &never).unwrap();
        let_end(places);
        cgroup.resume().unwrap();
        cgroup.pause(None, &never).unwrap();
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        remove(places).unwrap();
        assert_eq!(cgroup.is_paused().unwrap_err().code(), ErrorCode::Destroyed);
    }

    #[test]
    fn without_a_freezer_it_is_said_what_is_missing() {
        let path = std::env::temp_dir().join(format!("ctr-test-no-freezer-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("cgroup.procs"), "").unwrap();
        let never = |_: &Place, _: &mut dyn FnMut() -> Result<()>| panic!("nothing is made");
        for (version, hint) in [(Version::V2, "Linux 5.2"), (Version::V1, "freezer hierarchy")] {
            let place = Place::new(version, path.clone(), [Controller::Memory].into_iter().collect());
            let cgroup = Cgroup::open(&[place], &[]).unwrap();
            let error = cgroup.pause(None, &never).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
            assert!(error.to_string().contains("freezer") && error.hint().contains(hint), "{error}");
        }
        std::fs::remove_dir_all(path).unwrap();
    }
}
