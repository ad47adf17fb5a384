//! Which errors a system call can really have, as its man page says, and as limits, quotas, security modules and broken disks
//! make them. What can't fail is left alone: a library that doubts getpid(2) is no better for it.

use libc::{
    EACCES, EAGAIN, EBUSY, EINTR, EIO, EMFILE, ENFILE, ENOLCK, ENOMEM, ENOSPC, EPERM, EROFS, O_CREAT, SYS_accept4,
    SYS_bind, SYS_capset, SYS_chdir, SYS_chroot, SYS_clock_nanosleep, SYS_clone, SYS_clone3, SYS_connect,
    SYS_copy_file_range, SYS_dup3, SYS_execve, SYS_execveat, SYS_faccessat, SYS_faccessat2, SYS_fchdir, SYS_fchmod,
    SYS_fchmodat, SYS_fchown, SYS_fchownat, SYS_fcntl, SYS_fgetxattr, SYS_flock, SYS_fsconfig, SYS_fsetxattr,
    SYS_fsmount, SYS_fsopen, SYS_fstat, SYS_fstatfs, SYS_fsync, SYS_ftruncate, SYS_getdents64, SYS_getrandom,
    SYS_getsockopt, SYS_ioctl, SYS_keyctl, SYS_kill, SYS_landlock_add_rule, SYS_landlock_create_ruleset,
    SYS_landlock_restrict_self, SYS_lgetxattr, SYS_linkat, SYS_listen, SYS_lsetxattr, SYS_lstat, SYS_memfd_create,
    SYS_mkdir, SYS_mkdirat, SYS_mknodat, SYS_mmap, SYS_mount, SYS_mount_setattr, SYS_move_mount, SYS_newfstatat,
    SYS_open, SYS_open_tree, SYS_openat, SYS_openat2, SYS_pidfd_open, SYS_pidfd_send_signal, SYS_pipe2, SYS_pivot_root,
    SYS_poll, SYS_ppoll, SYS_prctl, SYS_pread64, SYS_prlimit64, SYS_pwrite64, SYS_read, SYS_readlink, SYS_readlinkat,
    SYS_recvmsg, SYS_rename, SYS_renameat, SYS_renameat2, SYS_rmdir, SYS_seccomp, SYS_sendmsg, SYS_setgroups,
    SYS_sethostname, SYS_setns, SYS_setresgid, SYS_setresuid, SYS_setrlimit, SYS_setsid, SYS_signalfd4, SYS_socket,
    SYS_socketpair, SYS_stat, SYS_statfs, SYS_statx, SYS_symlinkat, SYS_umount2, SYS_unlink, SYS_unlinkat, SYS_unshare,
    SYS_utimensat, SYS_write, SYS_writev,
};

use crate::supervisor::Who;

/// The errors that this call of this process may have, the likeliest first.
#[allow(non_upper_case_globals)] // The kernel writes them so.
pub fn plausible(who: Who, call: &libc::seccomp_data) -> Vec<i32> {
    let [_, second, third, ..] = call.args;
    let of_host = who == Who::Host;
    // The zygote and PID 1 block every signal.
    let interrupted = if of_host { &[EINTR][..] } else { &[] };
    let errnos: &[i32] = match i64::from(call.nr) {
        SYS_openat | SYS_open | SYS_openat2 => {
            let flags = if i64::from(call.nr) == SYS_open { second } else { third };
            let creates = i64::from(call.nr) != SYS_openat2 && flags & O_CREAT as u64 != 0;
            if creates { &[EMFILE, ENOMEM, EACCES, ENOSPC, EROFS, EIO] } else { &[EMFILE, ENFILE, ENOMEM, EACCES, EIO] }
        }
        SYS_socket | SYS_socketpair => &[EMFILE, ENOMEM, EPERM],
        SYS_pipe2 | SYS_memfd_create | SYS_pidfd_open | SYS_accept4 | SYS_signalfd4 => &[EMFILE, ENFILE, ENOMEM, EPERM],
        SYS_fsopen | SYS_fsmount | SYS_open_tree | SYS_landlock_create_ruleset => &[EMFILE, ENOMEM, EPERM],
        SYS_fsconfig | SYS_mount | SYS_move_mount | SYS_mount_setattr => &[ENOMEM, EPERM, EIO, ENOSPC],
        SYS_umount2 | SYS_pivot_root => &[EBUSY, ENOMEM, EPERM],
        SYS_dup3 => &[EMFILE, EBUSY],
        SYS_fcntl => match second as i32 {
            libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => &[EMFILE],
            libc::F_SETLK | libc::F_OFD_SETLK | libc::F_OFD_GETLK => &[ENOLCK, ENOMEM],
            libc::F_ADD_SEALS => &[EBUSY, EPERM],
            // The zygote's own thread waits in this one, for good.
            _ => &[],
        },
        SYS_flock => &[ENOLCK, ENOMEM],
        SYS_read | SYS_pread64 => &[EIO, ENOMEM],
        SYS_write | SYS_pwrite64 | SYS_writev | SYS_copy_file_range => &[ENOSPC, EIO, ENOMEM, EPERM],
        SYS_sendmsg => {
            if of_host {
                &[ENOMEM, libc::ENOBUFS, EINTR, libc::ETOOMANYREFS]
            } else {
                &[ENOMEM, libc::ENOBUFS, libc::ETOOMANYREFS]
            }
        }
        SYS_recvmsg if of_host => &[ENOMEM, EINTR],
        SYS_recvmsg => &[ENOMEM],
        SYS_poll | SYS_ppoll => &[EINTR, ENOMEM],
        SYS_connect => &[ENOMEM, EACCES, EAGAIN],
        SYS_clock_nanosleep => interrupted,
        SYS_bind => &[ENOSPC, ENOMEM, EACCES, EROFS],
        SYS_getsockopt => &[ENOMEM, EPERM],
        SYS_getrandom => &[EINTR, libc::ENOSYS],
        SYS_clone | SYS_clone3 => &[EAGAIN, ENOMEM, EPERM, ENOSPC],
        SYS_execve | SYS_execveat => &[ENOMEM, EACCES, EIO],
        SYS_mkdir | SYS_mkdirat | SYS_mknodat | SYS_symlinkat | SYS_linkat => &[ENOSPC, ENOMEM, EACCES, EROFS, EIO],
        SYS_rename | SYS_renameat | SYS_renameat2 => &[ENOSPC, ENOMEM, EACCES, EIO],
        SYS_unlink | SYS_unlinkat | SYS_rmdir => &[EBUSY, ENOMEM, EACCES, EIO, EROFS],
        SYS_ftruncate | SYS_fsync => &[ENOSPC, EIO],
        SYS_fchmod | SYS_fchmodat | SYS_fchown | SYS_fchownat | SYS_utimensat => &[EPERM, EROFS, EIO],
        SYS_fsetxattr | SYS_lsetxattr => &[ENOSPC, EPERM, EIO],
        SYS_stat | SYS_lstat | SYS_fstat | SYS_newfstatat | SYS_statx | SYS_statfs | SYS_fstatfs => {
            &[ENOMEM, EACCES, EIO]
        }
        SYS_readlink | SYS_readlinkat | SYS_lgetxattr | SYS_fgetxattr | SYS_faccessat | SYS_faccessat2 => {
            &[ENOMEM, EACCES, EIO]
        }
        SYS_getdents64 => &[ENOMEM, EIO],
        SYS_chdir | SYS_fchdir | SYS_chroot => &[ENOMEM, EACCES, EIO],
        SYS_pidfd_send_signal | SYS_kill => &[EPERM],
        SYS_setns | SYS_unshare => &[ENOMEM, EPERM, ENOSPC],
        SYS_setresuid | SYS_setresgid | SYS_setgroups => &[EPERM, ENOMEM],
        SYS_capset | SYS_setsid | SYS_sethostname | SYS_setrlimit => &[EPERM],
        SYS_prlimit64 if third != 0 => &[EPERM],
        SYS_seccomp | SYS_keyctl | SYS_landlock_add_rule | SYS_landlock_restrict_self | SYS_ioctl | SYS_listen => {
            &[ENOMEM, EPERM]
        }
        // What only asks or only names can't fail.
        SYS_prctl
            if ![libc::PR_GET_NO_NEW_PRIVS, libc::PR_GET_SECCOMP, libc::PR_SET_NAME]
                .contains(&(call.args[0] as i32)) =>
        {
            &[EPERM]
        }
        // Without memory Rust's allocator ends the process, which is the program's own choice of allocator; we have none.
        SYS_mmap if !of_host => &[ENOMEM],
        // Also what has a slower way around it, close_range(2): sixty thousand questions are no fault.
        _ => &[],
    };
    errnos.to_vec()
}

/// What a call is called, by the kernel's own header.
pub fn name(call: &libc::seccomp_data) -> String {
    use std::sync::OnceLock;
    static HEADER: OnceLock<String> = OnceLock::new();
    let header = HEADER
        .get_or_init(|| std::fs::read_to_string("/usr/include/x86_64-linux-gnu/asm/unistd_64.h").unwrap_or_default());
    let wanted = call.nr.to_string();
    let found = header.lines().find_map(|line| {
        let (name, number) = line.strip_prefix("#define __NR_")?.split_once(' ')?;
        (number.trim() == wanted).then(|| name.to_string())
    });
    let name = found.unwrap_or(wanted);
    let [a, b, c, ..] = call.args;
    format!("{name}({a:#x}, {b:#x}, {c:#x})")
}
