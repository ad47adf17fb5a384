//! The clocks of a time namespace of the container's own, time_namespaces(7): those that count from boot can be set off from
//! the host's.

use nix::fcntl::OFlag;
use nix::sched::CloneFlags;

use crate::plan::{CWD, Plan};
use crate::{Config, Error, Namespace, Result, Step, TimeOffset, TimeOffsets};

/// Half of the seconds that a ktime_t holds, beyond which no clock may be set: KTIME_SEC_MAX of the kernel's
/// include/linux/ktime.h.
const FARTHEST: i64 = i64::MAX / 1_000_000_000 / 2;

impl TimeOffsets {
    /// By the kernel's names for the clocks.
    pub(crate) fn named(&self) -> [(&'static str, TimeOffset); 2] {
        [("monotonic", self.monotonic), ("boottime", self.boottime)]
    }
}

/// Refuses offsets that no kernel takes. What lies before the machine's boot only the kernel can tell: offsets count from the
/// clocks of its first time namespace, which may not be the caller's.
pub fn check(config: &Config) -> Result<()> {
    for (clock, offset) in config.time_offsets.named() {
        let bad = |why: &str| Error::invalid(Step::SetClock, format!("the clock {clock}"), why);
        if offset != TimeOffset::default() && config.namespaces.time != Some(Namespace::New) {
            return Err(bad("the time namespace is not the container's own").with_hint("make the time namespace new"));
        }
        if offset.nanosecs >= 1_000_000_000 {
            return Err(bad("a second has 1000000000 nanoseconds, so there are fewer beside the seconds"));
        }
        if !(-FARTHEST..=FARTHEST).contains(&offset.secs) {
            return Err(bad(&format!("more than {FARTHEST} seconds are too many for the kernel")));
        }
    }
    Ok(())
}

/// A time namespace of its own, which the child itself enters: before Linux 6.3 no process can start programs by vfork(2) in
/// another one than its own. The /proc is the host's; it comes before anything that closes it to the child.
pub fn own(plan: &mut Plan<'_>, offsets: &TimeOffsets) {
    const CLONE_NEWTIME: i32 = 0x80;
    let set = offsets.named().into_iter().filter(|(_, offset)| *offset != TimeOffset::default());
    let options: String = set.clone().map(|(clock, offset)| format!(" --{clock}={}", offset.secs)).collect();
    let why = "clocks that can be set off from the host's, with unshare(1) by whole seconds";
    plan.step(Step::UnshareTime, "time", why, format!("unshare --time{options} --fork bash"));
    plan.unshare(CloneFlags::from_bits_retain(CLONE_NEWTIME));
    for (clock, TimeOffset { secs, nanosecs }) in set {
        let text = format!("{clock} {secs} {nanosecs}");
        plan.step(Step::SetClock, format!("the clock {clock}"), "", "");
        let (file, path) = (plan.slot(), plan.string(c"/proc/self/timens_offsets"));
        let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        plan.openat(CWD, path, flags).out(file);
        let data = plan.bytes(&text);
        plan.write(file, data, text.len());
        plan.close(file);
    }
    plan.step(Step::EnterTimeNamespace, "the time namespace", "", "");
    let (namespace, path) = (plan.slot(), plan.string(c"/proc/self/ns/time_for_children"));
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    plan.openat(CWD, path, flags).out(namespace);
    plan.setns(namespace, CloneFlags::from_bits_retain(CLONE_NEWTIME));
    plan.close(namespace);
}
