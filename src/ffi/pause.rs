//! ctr_pause: a container stands still, and goes on.

use std::ffi::c_int;
use std::time::Duration;

use super::border::border;
use super::container::container;
use super::types::ctr_container;
use crate::{Error, ErrorCode, Step};

/// Stops every process of a container where it is, by the freezer of its cgroup, as `docker pause`. They keep all that they have,
/// their memory above all; clocks and time limits run on. One that is paused already stays so.
///
/// timeout_ms   how long that may take; -1 is as long as it takes. It takes less than a millisecond on cgroup v2. On v1 it is about
///              10 ms for each process when a container is paused for the first time: they are moved into a freezer cgroup then
///
/// While it is paused, functions that need an answer from inside fail with CTR_ERR_SYSTEM and EBUSY: ctr_exec(),
/// ctr_kill_all(), ctr_export(), ctr_diff(), ctr_commit(). They fail at once if the container was paused by this handle or
/// before it was joined, else after 0.2 seconds. ctr_process_wait() waits on: until the container is resumed, or its
/// time-out. A signal reaches a program when the container is resumed, but SIGKILL on cgroup v2 at once; a wait for a program
/// that was killed and can't end before fails with EBUSY. ctr_stop() resumes the container. ctr_destroy() ends it as any
/// other, and so does the end of the process that made it: if that was killed, on cgroup v1 the next ctr_list() of any
/// process ends the container. Limits and what is used can be asked and set.
///
/// Return value: 0; CTR_ERR_TIMED_OUT if some process did not stop in time, and the container runs on then;
/// CTR_ERR_UNSUPPORTED if the container has no cgroup, on cgroup v1 if there is no freezer hierarchy in which its maker may
/// make cgroups, and for ctr_join_pid(); CTR_ERR_SYSTEM, CTR_ERR_DESTROYED, CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_pause(c: *mut ctr_container, timeout_ms: c_int) -> c_int {
    let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
    border(|| container(c)?.container.pause(timeout).map(|()| 0))
}

/// Lets a paused container go on. One that runs already is no error.
///
/// Return value: 0; CTR_ERR_SYSTEM with EBUSY if it stands still all the same, because a cgroup above its own is frozen;
/// CTR_ERR_UNSUPPORTED as ctr_pause(); CTR_ERR_DESTROYED, CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_resume(c: *mut ctr_container) -> c_int {
    border(|| container(c)?.container.resume().map(|()| 0))
}

/// Why a container has ended. It is told when the descriptor of ctr_pidfd() says POLLIN.
///
/// Return value: of enum ctr_reason: CTR_REASON_TIMED_OUT after its lifetime (ctr_config_set_lifetime()), CTR_REASON_OUT_OF_CPU_TIME
/// when its CPU time was used up (ctr_config_set_cpu_time()), CTR_REASON_DESTROYED else. Programs that ran till then say the same.
/// CTR_ERR_TIMED_OUT while it runs; CTR_ERR_INVALID. Where another process made the container and the kernel is older than Linux
/// 6.15, its end by a limit may be told as CTR_REASON_DESTROYED.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_end_reason(c: *const ctr_container) -> c_int {
    border(|| {
        let container = &container(c)?.container;
        container.end_reason().map(|reason| reason as c_int).ok_or_else(|| {
            Error::new(ErrorCode::TimedOut, Step::UseContainer, container.name(), libc::ETIMEDOUT, "it still runs")
                .with_hint("ctr_pidfd() says POLLIN when it has ended")
        })
    })
}

/// Whether a container stands still: paused by whomever, or because a cgroup above its own is frozen.
///
/// Return value: 1 or 0; CTR_ERR_DESTROYED, CTR_ERR_INVALID, CTR_ERR_SYSTEM.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_paused(c: *mut ctr_container) -> c_int {
    border(|| container(c)?.container.paused().map(Into::into))
}
