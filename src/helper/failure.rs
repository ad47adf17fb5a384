//! Why a process could not be spawned: what the zygote says of it, with what a user can do.

use std::os::fd::OwnedFd;

use ctr_wire::{
    FAILED, IN_CLONE, IN_HANDOVER, IN_MAP, IN_NEWGIDMAP, IN_NEWUIDMAP, IN_PARENT, IN_RANGE, IN_SETNS, IN_TABLE,
    MAX_CHILDREN, Reply,
};

use super::subids::refused_by;
use crate::plan::Plan;
use crate::{Error, ErrorCode, Phase, Step, hints};

/// What a failure of the zygote, which walks `parent`, or of a child's setup means.
pub fn not_spawned(setup: &Plan<'_>, parent: &Plan<'_>, reply: &Reply, fds: Vec<OwnedFd>) -> Error {
    let system = |step, object: &str| Error::system(step, object, reply.errno);
    let error = match reply.call {
        _ if reply.tag != FAILED => {
            return Error::new(
                ErrorCode::System,
                Step::MakePid1,
                "PID 1",
                libc::EPIPE,
                "it was killed before it was ready",
            );
        }
        IN_CLONE => system(Step::CloneIntoNamespaces, "new namespaces"),
        IN_RANGE => system(Step::ClaimIdRange, "a range of user ids"),
        IN_MAP => system(Step::MapIds, "the user namespace"),
        IN_NEWUIDMAP => refused_by("newuidmap", reply.errno, fds),
        IN_NEWGIDMAP => refused_by("newgidmap", reply.errno, fds),
        IN_SETNS => system(Step::EnterNamespaces, "the namespaces to be spawned in"),
        IN_HANDOVER => system(Step::HandOverToPid1, "PID 1"),
        IN_TABLE => {
            let why = format!("this process has {MAX_CHILDREN} containers and joined pids, which is as many as it can");
            let error =
                Error::new(ErrorCode::System, Step::MakeOneMoreContainer, "one more container", reply.errno, why);
            error.with_hint("end some, or have another process make the others")
        }
        call if call >= IN_PARENT => parent.error(call - IN_PARENT, reply.errno),
        call => setup.error(call, reply.errno),
    };
    add_hint(error)
}

/// What a user can do about the failures that machines are known for.
pub fn add_hint(error: Error) -> Error {
    let step = error.failed_step();
    if !error.hint().is_empty() {
        return match step {
            Step::MakeProc | Step::MakeSysfs => {
                let hint = format!("{}; or {}", error.hint(), hints::MASKED);
                error.with_hint(hint)
            }
            _ => error,
        };
    }
    let mut error = error.with_known_hint();
    // Whatever takes a capability inside may be the first to meet that restriction; the zygote outside has what it has.
    let restricted = || hints::apparmor().or_else(hints::confined).filter(|_| step.phase() != Phase::HandOver);
    if error.hint().is_empty()
        && matches!(error.errno(), libc::EPERM | libc::EACCES)
        && let Some(hint) = restricted()
    {
        error = error.with_hint(hint);
    }
    if error.hint().is_empty() {
        return error;
    }
    let code = match (step, error.errno()) {
        (Step::MapIds, _) => error.code(),
        (_, libc::EPERM | libc::EACCES) => ErrorCode::Unsupported,
        (Step::SetSysctl, libc::EINVAL | libc::ERANGE) | (Step::SetClock, libc::ERANGE) => ErrorCode::Invalid,
        _ => error.code(),
    };
    error.with_code(code)
}
