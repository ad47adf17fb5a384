//! Spawn in a cgroup of v2: by clone3(2), or, where a filter refuses that, by moving the child in before it does anything.

use super::kernel::{self, SIGKILL, close, errno, nr, syscall, syscall3};
use super::text::Text;

/// As [`kernel::fork`].
pub fn fork(flags: u64, pidfd: &mut i32, cgroup: Option<i32>) -> isize {
    let pid = kernel::fork(flags, pidfd, cgroup);
    let Some(cgroup) = cgroup else { return pid };
    if pid != -errno::ENOSYS as isize && pid != -errno::EPERM as isize {
        return pid;
    }
    // EPERM may be meant; then it comes once more.
    let pid = kernel::fork(flags, pidfd, None);
    if pid <= 0 {
        return pid;
    }
    let error = move_into(cgroup, pid as i32);
    if error == 0 {
        return pid;
    }
    // SAFETY: our own child, not reaped yet; it is as any child whom nobody knows.
    unsafe { syscall3(nr::KILL, pid as usize, SIGKILL as usize, 0) };
    close(*pidfd);
    -error as isize
}

/// Writes to cgroup.procs, cgroups(7); 0 or an errno.
fn move_into(cgroup: i32, pid: i32) -> i32 {
    const O_WRONLY_CLOEXEC: usize = 1 | 0o2_000_000;
    let file = c"cgroup.procs".as_ptr() as usize;
    let mut digits = [0u8; 12];
    let mut text = Text { at: &mut digits, len: 0 };
    text.number(pid as u32);
    let len = text.len;
    // SAFETY: a NUL-terminated path; the text outlives the call.
    unsafe {
        let fd = syscall(nr::OPENAT, cgroup as usize, file, O_WRONLY_CLOEXEC, 0, 0, 0) as i32;
        if fd < 0 {
            return -fd;
        }
        let written = syscall3(nr::WRITE, fd as usize, digits.as_ptr() as usize, len);
        close(fd);
        if written < 0 { -written as i32 } else { 0 }
    }
}
