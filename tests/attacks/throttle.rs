//! own-throttle: programs that use up the limit of processor time leave PID 1 next to none of it. No call of the host waits for
//! that longer than it may, nor does the end of the container, also where its owner is killed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ctr::{Config, Container, ExecConfig, ExitReason, Limit, Process, Stdio};

use crate::attack;
use crate::fence::{is_well, with};

const BUSY: usize = 200;
/// What a call may take here: each of them takes minutes where the limit holds meanwhile.
const BOUND: Duration = Duration::from_secs(20);

fn quiet() -> ExecConfig {
    ExecConfig::default().with(|c| {
        c.stdin = Stdio::Null;
        c.stdout = Stdio::Null;
        c.stderr = Stdio::Null;
    })
}

/// A container with as little processor time as can be, of which every program wants all.
fn throttled(name: &str) -> (Container, Process) {
    let config = Config::default().with(|c| {
        c.name = Some(name.into());
        c.pids = Some(BUSY as u64 + 50);
        c.cpus = Some(4000);
    });
    let container = with(&config);
    // It ends its time limit among them.
    let limited = quiet().with(|c| c.time_limit = Some(Duration::from_secs(5)));
    let sleeper = container.exec(["/bin/sleep", "1000"], &limited).unwrap();
    let script = format!("i=0; while [ $i -lt {BUSY} ]; do while :; do :; done & i=$((i + 1)); done; echo all; wait");
    let busy = container.exec(["/bin/sh", "-c", &script], &quiet().with(|c| c.stdout = Stdio::Pipe)).unwrap();
    let said = BufReader::new(fs::File::from(busy.take_stdout().unwrap())).lines().next().unwrap().unwrap();
    assert_eq!(said, "all");
    container.set_limit(Limit::Cpus, Some(10)).unwrap();
    // What was left of the periods before is used up, and more.
    std::thread::sleep(Duration::from_secs(2));
    (container, sleeper)
}

fn within<T>(what: &str, act: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = act();
    println!("{what}: {:?}", start.elapsed());
    assert!(start.elapsed() < BOUND, "{what} took {:?}", start.elapsed());
    done
}

attack!(busy_programs_at_their_processor_limit_keep_no_call_waiting, {
    let (container, sleeper) = throttled("ctr-throttled");
    let exit = within("a time limit", || sleeper.wait(None)).unwrap().unwrap();
    assert_eq!(exit.reason, ExitReason::TimedOut);
    within("inspect", || container.inspect()).unwrap();
    let started = within("a start", || container.exec(["/bin/sleep", "1000"], &quiet())).unwrap();
    // Whoever has waited has set it again.
    assert_eq!(container.limit(Limit::Cpus).unwrap(), Some(10));
    within("kill_all", || container.kill_all(libc::SIGKILL)).unwrap();
    within("the end of what was killed", || started.kill(libc::SIGKILL).and_then(|()| started.wait(None))).unwrap();
    assert_eq!(container.limit(Limit::Cpus).unwrap(), Some(10));
    within("destroy", || container.destroy()).unwrap();
    let (container, _sleeper) = throttled("ctr-throttled");
    within("destroy of the busy one", || container.destroy()).unwrap();
    is_well(&with(&Config::default()));
});

attack!(busy_programs_at_their_processor_limit_end_with_their_killed_owner, {
    for by_name in [false, true] {
        // SAFETY: behind the fence there is one thread but the harness's, which holds no lock that the child takes.
        let owner = unsafe { libc::fork() };
        assert!(owner >= 0);
        if owner == 0 {
            let (container, _sleeper) = throttled("ctr-orphan");
            fs::write(crate::fence::scratch().join("pid"), container.pid().to_string()).unwrap();
            // SAFETY: it ends this process.
            unsafe { libc::raise(libc::SIGKILL) };
        }
        // SAFETY: our own child.
        unsafe { libc::waitpid(owner, std::ptr::null_mut(), 0) };
        let pid1: i32 = fs::read_to_string(crate::fence::scratch().join("pid")).unwrap().parse().unwrap();
        if by_name {
            within("destroy by name", || _ = Container::destroy_named("ctr-orphan"));
        } else {
            let process = PathBuf::from(format!("/proc/{pid1}"));
            within("the end of PID 1", || {
                let start = Instant::now();
                while process.exists() && start.elapsed() < BOUND {
                    std::thread::sleep(Duration::from_millis(50));
                }
            });
        }
        let listed = within("list", Container::list).unwrap();
        assert!(listed.iter().all(|container| container.name != "ctr-orphan"));
        assert!(!PathBuf::from(format!("/proc/{pid1}")).exists());
        // Its name is free.
        let config = Config::default().with(|c| c.name = Some("ctr-orphan".into()));
        within("a create of its name", || with(&config)).destroy().unwrap();
    }
});
