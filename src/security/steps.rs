//! The steps that PID 1 takes on itself and that its descendants inherit: a keyring, a system call filter, all the last walls.

use std::sync::OnceLock;

use super::landlock;
use super::preset::Walls;
use super::seccomp::{Profile, filter};
use crate::plan::{Plan, Prctl};
use crate::{Result, Step};

/// A session keyring of its own: keys of the host's session are not found from inside, keyctl(2). Where a user's quota of keys is
/// used up (EDQUOT: a keyring counts for who has a session keyring, as PAM and systemd give everybody one), the container goes
/// without, if its filter refuses the calls that a key is found by: `closed`.
pub(crate) fn own_keyring(plan: &mut Plan<'_>, closed: bool) {
    plan.step(
        Step::JoinNewKeyring,
        "",
        "keys of the caller's session are not found from inside",
        "keyctl session - bash",
    );
    // Kernels without keyrings, and filters that we run under ourselves, have no keys to find either.
    let join = plan.join_session_keyring();
    if closed {
        join.optional();
    } else {
        join.ok(libc::ENOSYS).ok(libc::EPERM);
    }
}

/// Loads the filter of `profile`, for a container with the capabilities `caps`. The last step: the profile decides about
/// whatever follows, and all descendants inherit it.
pub(crate) fn seccomp(plan: &mut Plan<'_>, profile: &Profile, caps: u64) -> Result<()> {
    let bytes = instructions(profile, caps)?;
    let count = bytes.len() / 8;
    plan.step(
        Step::LoadSeccompFilter,
        format!("of {count} instructions"),
        "system calls that a container has no use for are refused, seccomp(2)",
        format!("setpriv --seccomp-filter $FILTER bash    # {count} instructions of classic BPF"),
    );
    plan.seccomp_set_mode_filter(&bytes, profile.flags());
    Ok(())
}

/// The filter as the kernel takes it, eight bytes an instruction.
fn instructions(profile: &Profile, caps: u64) -> Result<Vec<u8>> {
    let program = filter(profile, caps)?;
    let mut bytes = Vec::with_capacity(program.len() * 8);
    for instruction in program.iter() {
        bytes.extend_from_slice(&instruction.code.to_ne_bytes());
        bytes.extend_from_slice(&[instruction.jt, instruction.jf]);
        bytes.extend_from_slice(&instruction.k.to_ne_bytes());
    }
    Ok(bytes)
}

/// The system calls of crates/init/src/forward.rs, beside what it takes to answer that it is ready.
const FORWARDER: &str = r#"{"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [{"action": "SCMP_ACT_ALLOW", "names": [
    "accept4", "socket", "connect", "shutdown", "getsockopt", "setsockopt", "getsockname", "sendmsg", "pipe2", "splice", "read",
    "write", "epoll_ctl", "epoll_pwait", "clock_gettime", "close", "close_range", "madvise", "exit_group"]}]}"#;

/// Lets a process that forwards connections do that and nothing else, where the kernel has filters.
pub(crate) fn forwards_only(plan: &mut Plan<'_>) -> Result<()> {
    static PROFILE: OnceLock<Profile> = OnceLock::new();
    let profile = match PROFILE.get() {
        Some(profile) => profile,
        None => PROFILE.get_or_init({
            let profile = Profile::from_json(FORWARDER, "forwarder")?;
            move || profile
        }),
    };
    plan.prctl(Prctl::NoNewPrivs);
    plan.seccomp_set_mode_filter(&instructions(profile, 0)?, profile.flags()).optional();
    Ok(())
}

/// The walls behind which nothing more can be put up.
pub(crate) fn put_up_last(finish: &mut Plan<'_>, walls: &Walls, landlock: Option<&landlock::Ruleset>) -> Result<()> {
    if let Some(ruleset) = landlock {
        landlock::restrict(finish, ruleset);
    }
    if let Some(profile) = &walls.seccomp {
        seccomp(finish, profile, walls.capabilities)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::capabilities::DEFAULT;
    use super::*;

    #[test]
    fn each_wall_is_a_step_with_one_call() {
        let mut plan = Plan::new();
        own_keyring(&mut plan, true);
        seccomp(&mut plan, &Profile::default_profile(), DEFAULT).unwrap();
        let what: Vec<_> = plan.steps().iter().map(|step| step.step).collect();
        assert_eq!((what.as_slice(), plan.len()), (&[Step::JoinNewKeyring, Step::LoadSeccompFilter][..], 2));
    }
}
