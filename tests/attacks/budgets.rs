//! Attacks on budgets of processor time.

use std::time::{Duration, Instant};

use ctr::{Config, ExecConfig, ExitReason, Namespace, Stdio};

use crate::attack;
use crate::fence::{defaults, is_well, run, with};

fn budget(ms: u64) -> ExecConfig {
    ExecConfig::default().with(|c| {
        c.cpu_time_limit = Some(Duration::from_millis(ms));
        c.time_limit = Some(Duration::from_secs(30));
        c.stdin = Stdio::Null;
    })
}

/// Each process uses some time, hands on to the next and ends: at no moment is there one that has used much, and none has a parent
/// that waits for it but PID 1.
const RELAY: &str = "import os, time
def burn(ms):
    end = time.process_time() + ms / 1000
    while time.process_time() < end: pass
if os.fork() == 0:
    while True:
        burn(20)
        if os.fork(): os._exit(0)
time.sleep(1000)";

attack!(own_budget_a_relay_of_orphans_is_counted, {
    let container = defaults();
    let begun = Instant::now();
    let said = run(&container, &["/usr/bin/python3", "-I", "-c", RELAY], &budget(500));
    let exit = said.exit.unwrap();
    assert_eq!(exit.reason, ExitReason::OutOfCpuTime, "after {:?}", begun.elapsed());
    is_well(&container);
});

/// As another user than PID 1 is, in a session of its own.
const AS_ANOTHER: &str = "import os, sys, time
if os.fork() == 0:
    os.setsid()
    os.setgid(1000)
    os.setuid(1000)
    if sys.argv[1] == 'busy':
        end = time.process_time() + 20
        while time.process_time() < end: pass
    time.sleep(20)
time.sleep(1000)";

attack!(own_budget_another_user_does_not_escape, {
    let host = Config::default().with(|c| c.namespaces.user = Namespace::Host);
    for config in [Config::default(), host] {
        let container = with(&config);
        let python = ["/usr/bin/python3", "-I", "-c"];
        let said = run(&container, &[&python[..], &[AS_ANOTHER, "busy"]].concat(), &budget(500));
        assert_eq!(said.exit.unwrap().reason, ExitReason::OutOfCpuTime, "{}", said.text);
        let as_user = budget(500).with(|c| c.user = Some("1000".into()));
        let said = run(&container, &[&python[..], &[RELAY]].concat(), &as_user);
        assert_eq!(said.exit.unwrap().reason, ExitReason::OutOfCpuTime, "{}", said.text);
        // Nor does it escape a time limit: what it says ends with the last of it.
        let begun = Instant::now();
        let timed = ExecConfig::default().with(|c| c.time_limit = Some(Duration::from_millis(500)));
        let said = run(&container, &[&python[..], &[AS_ANOTHER, "idle"]].concat(), &timed);
        assert_eq!(said.exit.unwrap().reason, ExitReason::TimedOut);
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        is_well(&container);
    }
});
