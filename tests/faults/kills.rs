//! A kill at every step: of the owner, of the zygote, of PID 1, just before each of the system calls that any of them makes in a
//! container's life. Each call of a plan is a step of it.

use crate::calls::{Hosts, part, prepare};
use crate::fence::behind;
use crate::host::{Operation, state_dir};
use crate::left;
use crate::supervisor::{Event, Fault, Supervisor, What, Who};

/// A host that is ready.
fn host() -> Supervisor {
    let mut supervisor = Supervisor::start("host::role_host");
    assert!(matches!(supervisor.event(), Event::Next { .. }), "the host begins");
    supervisor
}

/// Every step of a container's whole life in a host that has just begun, with its zygote's start.
fn steps(what: What) -> Vec<Fault> {
    let mut supervisor = host();
    supervisor.order(Operation::Life as i64, None);
    assert!(matches!(supervisor.event(), Event::Said(said) if said == "fine"));
    let mut counts = [0usize; 3];
    let faults = supervisor.seen.iter().map(|call| {
        let at = &mut counts[call.who as usize];
        *at += 1;
        Fault { who: call.who, at: *at - 1, what }
    });
    let faults: Vec<_> = faults.collect();
    println!("{counts:?} calls of host, zygote and PID 1");
    assert!(supervisor.end());
    faults
}

#[test]
fn an_owner_killed_at_any_step_leaves_nothing() {
    behind("kills::an_owner_killed_at_any_step_leaves_nothing", || {
        let _swept = prepare();
        let mounts = left::mounts();
        let mut killed = 0;
        let faults = part(steps(What::Kill(Who::Host)), 6);
        for &fault in &faults {
            let mut supervisor = host();
            supervisor.order(Operation::Life as i64, Some(fault));
            let event = supervisor.event();
            killed += usize::from(supervisor.happened.is_some());
            if supervisor.happened.is_some() {
                supervisor.child.wait().unwrap();
            }
            // The list comes at once, while what the dead owner had is on its way down.
            let all_gone = std::thread::scope(|scope| {
                let rest = scope.spawn(|| matches!(event, Event::Gone) || supervisor.end());
                let running = ctr::Client::new().with_state_dir(state_dir()).list().unwrap();
                assert_eq!(running, Vec::new(), "{fault:?}");
                rest.join().unwrap()
            });
            assert!(all_gone, "processes are left after {fault:?}");
            assert_eq!(left::on_the_machine(0, || {}), Vec::<String>::new(), "after {fault:?}");
            assert_eq!(left::mounts(), mounts, "after {fault:?}");
        }
        println!("{killed} of {} kills", faults.len());
        assert!(killed * 2 > faults.len(), "only {killed} of {} were killed", faults.len());
    });
}

#[test]
fn a_zygote_or_pid_1_killed_at_any_step_is_an_error_and_leaves_nothing() {
    behind("kills::a_zygote_or_pid_1_killed_at_any_step_is_an_error_and_leaves_nothing", || {
        let _swept = prepare();
        let mut hosts = Hosts::default();
        let mut findings = Vec::new();
        let zygote = part(steps(What::Kill(Who::Zygote)), 12);
        let own = part(steps(What::Kill(Who::Init)), 12).into_iter().filter(|fault| fault.who == Who::Init);
        let mut killed = 0;
        for fault in zygote.into_iter().chain(own) {
            let outcome = hosts.carry_out(Operation::Life, Some(fault));
            killed += usize::from(outcome.happened.is_some());
            findings
                .extend(outcome.complaint.map(|complaint| format!("{fault:?} {:?}: {complaint}", outcome.happened)));
        }
        hosts.end();
        println!("{killed} kills");
        assert!(killed > 20, "only {killed} were killed");
        assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
    });
}
