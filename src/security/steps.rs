//! The steps that a process takes on itself before it runs a program of the container: fewer capabilities, no new
//! privileges, a keyring and a system call filter. What each process needs anew and what is inherited from PID 1 is for
//! `container` to say.

use super::capabilities;
use super::seccomp::{Profile, filter};
use crate::Result;
use crate::plan::{Arg, Plan};

/// Leaves `mask` of the capabilities, in every set; the inheritable and ambient sets are empty (CVE-2022-29162 and its
/// like). Where the process is not root, exec(2) takes the rest, too.
pub(crate) fn capabilities(plan: &mut Plan<'_>, mask: u64) -> Result<()> {
    let kept = capabilities::names(mask & capabilities::all()?);
    let list: String =
        kept.iter().map(|name| format!(",+{}", name.trim_start_matches("CAP_").to_lowercase())).collect();
    plan.step(
        "drop capabilities",
        "",
        "what root inside may do to its own namespaces; the rest is gone for good, capabilities(7)",
        format!("setpriv --ambient-caps -all --inh-caps -all --bounding-set -all{list} $CMD"),
    );
    for number in capabilities::bounding_drops(mask)? {
        plan.call(libc::SYS_prctl, [libc::PR_CAPBSET_DROP.into(), number.into(), 0.into(), 0.into(), 0.into()]);
    }
    let clear = libc::PR_CAP_AMBIENT_CLEAR_ALL;
    plan.call(libc::SYS_prctl, [libc::PR_CAP_AMBIENT.into(), clear.into(), 0.into(), 0.into(), 0.into()]);
    set(plan, mask & capabilities::all()?);
    Ok(())
}

/// capset(2): effective and permitted are `mask`, inheritable is empty.
fn set(plan: &mut Plan<'_>, mask: u64) {
    const VERSION_3: u64 = 0x2008_0522;
    let header = plan.data(&VERSION_3.to_ne_bytes(), 8);
    let (low, high) = (mask as u32, (mask >> 32) as u32);
    let sets = plan.data([low, low, 0, high, high, 0].map(u32::to_ne_bytes).as_flattened(), 8);
    plan.call(libc::SYS_capset, [header, sets]);
}

/// Programs gain nothing by being setuid or having capabilities on file; and filters need no privilege.
pub(crate) fn no_new_privs(plan: &mut Plan<'_>) {
    plan.step(
        "set no_new_privs",
        "",
        "a setuid program inside runs as whoever starts it",
        "setpriv --no-new-privs $CMD",
    );
    plan.call(libc::SYS_prctl, [libc::PR_SET_NO_NEW_PRIVS.into(), 1.into(), 0.into(), 0.into(), 0.into()]);
}

/// A session keyring of its own: keys of the host's session are not found from inside, keyctl(2).
pub(crate) fn own_keyring(plan: &mut Plan<'_>) {
    plan.step(
        "join a new keyring",
        "",
        "keys of the caller's session are not found from inside",
        "keyctl session - $CMD",
    );
    // Kernels without keyrings, and filters that we run under ourselves, have no keys to find either.
    let command = libc::KEYCTL_JOIN_SESSION_KEYRING;
    plan.call(libc::SYS_keyctl, [command.into(), 0.into()]).ok(libc::ENOSYS).ok(libc::EPERM);
}

/// Loads the filter of `profile`, for a container with the capabilities `caps`. The last step: the profile decides about
/// whatever follows, and all descendants inherit it.
pub(crate) fn seccomp(plan: &mut Plan<'_>, profile: &Profile, caps: u64) -> Result<()> {
    let program = filter(profile, caps)?;
    plan.step(
        "load the seccomp filter",
        format!("of {} instructions", program.len()),
        "system calls that a container has no use for are refused, seccomp(2)",
        "",
    );
    let mut bytes = Vec::with_capacity(program.len() * 8);
    for instruction in program.iter() {
        bytes.extend_from_slice(&instruction.code.to_ne_bytes());
        bytes.extend_from_slice(&[instruction.jt, instruction.jf]);
        bytes.extend_from_slice(&instruction.k.to_ne_bytes());
    }
    let program_at = plan.data(&bytes, 8);
    // Struct sock_fprog: a 16-bit length, padding, a pointer.
    let record = plan.words(&[Arg::Number(program.len() as u64), program_at]);
    plan.call(libc::SYS_seccomp, [libc::SECCOMP_SET_MODE_FILTER.into(), profile.flags().into(), record]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::capabilities::{DEFAULT, all, bounding_drops};
    use super::*;

    #[test]
    fn each_wall_is_a_step_with_its_calls() {
        let mut plan = Plan::new();
        capabilities(&mut plan, DEFAULT).unwrap();
        assert_eq!(plan.len(), bounding_drops(DEFAULT).unwrap().len() + 2);
        no_new_privs(&mut plan);
        own_keyring(&mut plan);
        seccomp(&mut plan, &Profile::default_profile(), DEFAULT).unwrap();
        let what: Vec<_> = plan.steps().iter().map(|step| step.what).collect();
        assert_eq!(what, ["drop capabilities", "set no_new_privs", "join a new keyring", "load the seccomp filter"]);
    }

    #[test]
    fn explain_names_the_capabilities_that_are_left() {
        let mut plan = Plan::new();
        capabilities(&mut plan, 1 | 1 << 12 | 1 << 63).unwrap();
        let mut text = String::new();
        plan.explain(&mut text);
        assert!(text.contains("--bounding-set -all,+chown,+net_admin $CMD"), "{text}");
        assert_eq!(all().unwrap() & 1 << 63, 0);
    }
}
