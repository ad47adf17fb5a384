//! Whose a container's user namespace is: the first id of its own range, and not its maker.
//!
//! What the kernel counts for a user in a user namespace (inotify instances and watches, namespaces) it counts once more for
//! whoever made that namespace, in the one above: `inc_ucount` of kernel/ucount.c goes up by `ns->ucounts`, which
//! `create_user_ns` takes from the maker's effective uid. A range is one container's alone, so with its first id as the maker
//! a container that takes all it may takes nothing from root, nor from other containers.
//!
//! The owner has every capability over the namespace, capabilities(7). Nobody outside has that id.

use super::cgroup;
use super::kernel::{exit, nr, syscall3};

/// As [`cgroup::fork`] of a process in a new user namespace, which is `owner`'s, or root's where it is 0.
pub fn fork(owner: u32, flags: u64, pidfd: &mut i32, cgroup: Option<i32>) -> isize {
    if owner != 0 && become_user(owner) {
        let pid = cgroup::fork(flags, pidfd, cgroup);
        // The child takes its own root's ids when they are mapped.
        if pid == 0 {
            return pid;
        }
        if !become_root() {
            exit(1); // Whatever we made next would be of the wrong user.
        }
        if pid > 0 {
            return pid;
        }
        // Something that root may and this user may not, whatever their capabilities.
    }
    cgroup::fork(flags, pidfd, cgroup)
}

/// setresuid(2) of the effective uid of this thread, with all capabilities kept: the cgroup to be cloned into may be root's, and some
/// machines let nobody else make user namespaces. Whether it is done; if not, nothing is changed.
fn become_user(uid: u32) -> bool {
    // Version 3 of struct __user_cap_header_struct, for ourselves; effective, permitted and inheritable, in two halves.
    let header = [0x2008_0522u32, 0];
    let mut sets = [0u32; 6];
    let at = &raw const header as usize;
    // SAFETY: the kernel writes as many words as there are.
    if unsafe { syscall3(nr::CAPGET, at, &raw mut sets as usize, 0) } != 0 || !set_effective(uid) {
        return false;
    }
    // SAFETY: it reads them.
    let kept = unsafe { syscall3(nr::CAPSET, at, &raw const sets as usize, 0) } == 0;
    if !kept && !become_root() {
        exit(1);
    }
    kept
}

/// Back; the capabilities become effective again by that.
fn become_root() -> bool {
    set_effective(0)
}

/// The kernel takes a process that changes its ids for one with secrets (PR_SET_DUMPABLE of prctl(2)), and so would it the child,
/// whose /proc/self would not be its own then.
fn set_effective(uid: u32) -> bool {
    const SAME: usize = u32::MAX as usize;
    const PR_SET_DUMPABLE: usize = 4;
    // SAFETY: plain numbers.
    unsafe {
        let done = syscall3(nr::SETRESUID, SAME, uid as usize, SAME) == 0;
        syscall3(nr::PRCTL, PR_SET_DUMPABLE, 1, 0);
        done
    }
}
