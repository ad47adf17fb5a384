//! A wall that PID 1 puts up when create has been answered already, and that falls: the next call is told which, why, and what to
//! do, and the container is gone.

use crate::calls::{Hosts, prepare};
use crate::fence::behind;
use crate::host::Operation;
use crate::supervisor::{Fault, What, Who};

const LAST: [(i64, &str); 4] = [
    (libc::SYS_landlock_create_ruleset, "restrict-by-landlock"),
    (libc::SYS_landlock_add_rule, "restrict-by-landlock"),
    (libc::SYS_landlock_restrict_self, "restrict-by-landlock"),
    (libc::SYS_seccomp, "load-seccomp-filter"),
];

#[test]
fn a_wall_that_falls_behind_the_answer_of_create_is_named_by_the_next_call() {
    behind("late::a_wall_that_falls_behind_the_answer_of_create_is_named_by_the_next_call", || {
        let _swept = prepare();
        let mut hosts = Hosts::default();
        for (nr, step) in LAST {
            let fault = Fault { who: Who::Init, at: 0, what: What::Refuse(nr, libc::EPERM) };
            let mut fall = || {
                // Such walls have to have stood before.
                assert_eq!(hosts.carry_out(Operation::LateWall, None).complaint, None);
                let outcome = hosts.carry_out(Operation::LateWall, Some(fault));
                let happened = outcome.happened.unwrap_or_else(|| panic!("nothing has asked for call {nr}"));
                let told = outcome.complaint.unwrap_or_else(|| panic!("{happened} failed, and nobody was told"));
                (happened, told)
            };
            let (mut happened, mut told) = fall();
            if told.starts_with("create") {
                // Its name is longer than that of the container before, so its walls were not known, and were waited for.
                (happened, told) = fall();
            }
            println!("{happened}: {told}");
            let start = format!("Destroyed, {}, {step}: ", libc::EPERM);
            assert!(told.starts_with(&start), "{happened}: {told}");
            assert!(told.contains("EPERM") && told.contains("nothing may run in it without its walls"), "{told}");
            assert!(told.contains("make it again") || told.contains("filter"), "there is no hint: {told}");
        }
        hosts.end();
    });
}
