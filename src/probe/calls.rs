//! Single system calls that filters and older kernels refuse, tried with arguments that do nothing.

use super::check::Check;
use crate::helper::Start;
use crate::plan::{Arg, Plan, Prctl};
use crate::{Result, Step};

/// A call, arguments with which it does nothing, the errno that says that it is there, and what is lost without it.
struct Tried {
    name: &'static str,
    nr: i64,
    args: [u64; 3],
    there: i32,
    lost: &'static str,
}

const TRIED: [Tried; 4] = [
    Tried {
        name: "clone3",
        nr: libc::SYS_clone3,
        args: [0, 0, 0],
        there: libc::EINVAL,
        lost: "containers enter their cgroup of v2 after the clone, which is slower",
    },
    Tried {
        name: "close_range",
        nr: libc::SYS_close_range,
        args: [u32::MAX as u64, u32::MAX as u64, 0],
        there: 0,
        lost: "descriptors are closed one by one",
    },
    Tried {
        name: "openat2",
        nr: libc::SYS_openat2,
        args: [0, 0, 0],
        there: libc::EINVAL,
        lost: "a mount's place inside may have no symlink on its way",
    },
    Tried {
        name: "pidfd_open",
        nr: libc::SYS_pidfd_open,
        args: [0, 0, 0],
        there: libc::EINVAL,
        lost: "/proc stands in for it, and containers can't be joined by name on Linux before 6.5",
    },
];

/// Each of them, in a plain child of the zygote, where the caller's own filter is in force.
pub fn checks() -> Vec<Check> {
    let check = |tried: &Tried| {
        let mut start = Start::new(0);
        start.setup.step(Step::ProbeCall, tried.name, "", "");
        start.setup.call(tried.nr, tried.args.map(Arg::from)).ok(tried.there);
        Check::of(tried.name, start.try_out(), "").lost(tried.lost)
    };
    TRIED.iter().map(check).collect()
}

/// A filter that allows everything is loaded.
pub fn seccomp() -> Result<()> {
    const RET_ALLOW: [u8; 8] = [0x06, 0, 0, 0, 0, 0, 0xff, 0x7f];
    let mut start = Start::new(libc::CLONE_NEWUSER);
    let setup = &mut start.setup;
    setup.step(Step::ProbeSeccomp, "a seccomp filter", "", "");
    setup.prctl(Prctl::NoNewPrivs);
    setup.seccomp_set_mode_filter(&RET_ALLOW, 0);
    start.try_out()
}

/// Asks for the ABI of Landlock.
pub fn landlock(setup: &mut Plan<'_>) {
    setup.step(Step::ProbeLandlock, "the ABI of Landlock", "", "");
    setup.landlock_ask_version();
}
