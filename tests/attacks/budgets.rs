//! Attacks on budgets of processor time.

use std::time::{Duration, Instant};

use ctr::{ExecConfig, ExitReason, Stdio};

use crate::attack;
use crate::fence::{defaults, is_well, run};

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
