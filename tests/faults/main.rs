//! Faults: an error at every system call, a kill at every step. Nothing is left afterwards, and the library goes on.
//!
//! The host of these tests is a process of its own (`host`) under a seccomp filter that asks this process (`supervisor`) about every
//! system call, also those of the zygote, of PID 1 and of the programs inside: all of them inherit the filter. So this process
//! counts them, and answers one with an error, or kills somebody just before it. Nothing of ctr knows about that.
//!
//! A part of all faults is tried by default; CTR_TEST_FAULTS=all tries each one.

mod calls;
mod errnos;
#[path = "../attacks/fence.rs"]
#[allow(dead_code)]
mod fence;
mod host;
mod kills;
mod late;
mod left;
mod supervisor;

/// Whether each fault is asked for. A part takes seconds, all of them minutes.
fn all() -> bool {
    std::env::var_os("CTR_TEST_FAULTS").is_some_and(|value| value == "all")
}
