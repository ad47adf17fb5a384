//! System calls that nix does not wrap, one thin function each, named as in the man page. And two things that a guest in
//! somebody's process needs below any library: system calls that leave errno alone, and a lock that survives fork.

pub mod bpf;
pub mod event;
pub mod fd;
pub mod file;
pub mod fork_lock;
pub mod fs;
pub mod fs_context;
pub mod landlock;
pub mod loop_device;
pub mod mount;
pub mod mountinfo;
mod own;
mod pid;
pub mod raw;
pub mod sched;

use std::ffi::CStr;
use std::io::{Error, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

pub use fd::{open, openat, pipe, socket, socketpair};
pub use own::Own;
#[cfg(test)]
pub use own::{close_replaced, replace};
pub use pid::process_id;

/// memfd_create(2) of an executable file that can be sealed. MFD_EXEC is Linux 6.3's; older kernels refuse the flag.
pub fn memfd_create_exec(name: &CStr) -> Result<OwnedFd> {
    const MFD_EXEC: u32 = 0x10;
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    memfd_create(name, flags | MFD_EXEC).or_else(|_| memfd_create(name, flags))
}

/// memfd_create(2).
#[allow(clippy::disallowed_methods, reason = "what it makes is moved up")]
pub fn memfd_create(name: &CStr, flags: u32) -> Result<OwnedFd> {
    // SAFETY: the name is a string; the result is a new descriptor.
    owned(unsafe { libc::memfd_create(name.as_ptr(), flags) })
}

/// Whether a tmpfs keeps user.* extended attributes, xattr(7): Linux 6.6. Asked once, of a memfd, which lies on one.
pub fn tmpfs_has_user_xattrs() -> bool {
    static HAS: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *HAS.get_or_init(|| {
        let Ok(file) = memfd_create(c"ctr-probe", libc::MFD_CLOEXEC) else { return true };
        // SAFETY: a name, and no bytes at all.
        unsafe { libc::fsetxattr(file.as_raw_fd(), c"user.ctr".as_ptr(), std::ptr::null(), 0, 0) == 0 }
    })
}

/// pidfd_open(2).
pub fn pidfd_open(pid: i32) -> Result<OwnedFd> {
    // SAFETY: plain numbers; the result is a new descriptor, close-on-exec.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) } as RawFd)
}

/// A descriptor by which `pid` can be signalled, whoever gets its number: a pidfd, or, where pidfd_open(2) is refused,
/// /proc/PID, which pidfd_send_signal(2) takes too.
pub fn process_open(pid: i32) -> Result<OwnedFd> {
    pidfd_open(pid).or_else(|error| match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EPERM) => {
            let flags = nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_DIRECTORY | nix::fcntl::OFlag::O_CLOEXEC;
            Ok(open(format!("/proc/{pid}").as_str(), flags, nix::sys::stat::Mode::empty())?)
        }
        _ => Err(error),
    })
}

/// Opens the processes that `list` answers, by [`process_open`]: a descriptor first, then a look whether it is listed still, and not
/// another process that got its number. Answers also how many are listed then, which may be more.
pub fn open_listed<E>(
    list: impl Fn() -> std::result::Result<Vec<i32>, E>,
) -> std::result::Result<(Vec<OwnedFd>, usize), E> {
    let opened: Vec<_> = list()?.into_iter().filter_map(|pid| Some((pid, process_open(pid).ok()?))).collect();
    let listed = list()?;
    let still = opened.into_iter().filter(|(pid, _)| listed.contains(pid)).map(|(_, process)| process);
    Ok((still.collect(), listed.len()))
}

/// Whether openat2(2) can be called.
pub fn has_openat2() -> bool {
    // SAFETY: a record of no bytes is refused before anything is read.
    let result =
        unsafe { libc::syscall(libc::SYS_openat2, -1, std::ptr::null::<u8>(), std::ptr::null::<u8>(), 0usize) };
    result < 0 && Error::last_os_error().raw_os_error() == Some(libc::EINVAL)
}

/// pidfd_send_signal(2). `flags`: 0, or PIDFD_SIGNAL_PROCESS_GROUP. Where the call is filtered away, kill(2) of the pid that
/// the pidfd still has.
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32, flags: u32) -> nix::Result<()> {
    // SAFETY: plain numbers; no siginfo.
    let result =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, std::ptr::null::<u8>(), flags) };
    match nix::errno::Errno::result(result) {
        Err(nix::errno::Errno::ENOSYS) if flags == 0 => {
            let pid = pidfd_pid(pidfd).filter(|&pid| pid > 0).or_else(|| pid_of_directory(pidfd));
            let pid = pid.ok_or(nix::errno::Errno::ESRCH)?;
            // SAFETY: plain numbers.
            nix::errno::Errno::result(unsafe { libc::kill(pid, signal) }).map(drop)
        }
        Err(nix::errno::Errno::ENOSYS) => Err(nix::errno::Errno::EINVAL),
        other => other.map(drop),
    }
}

/// Whose directory of /proc this is, as [`process_open`] gives where no pidfd can be had.
fn pid_of_directory(fd: BorrowedFd<'_>) -> Option<i32> {
    let place = nix::fcntl::readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()).as_str()).ok()?;
    place.to_str()?.strip_prefix("/proc/")?.parse().ok()
}

/// A record's locks of open file descriptions end where this byte lies, which no record reaches. Its PID 1 has that one locked for
/// itself (F_SETLK): of such a lock alone fcntl(2) says whose it is.
pub const LOCK_OF_PID_1: i64 = 1 << 40;

/// Takes a write lock on the whole file for this process, F_SETLK, or on what there is below [`LOCK_OF_PID_1`] for this open file
/// description, F_OFD_SETLK; see fcntl(2). `Ok(false)` where somebody else has a lock.
pub fn fcntl_setlk(fd: BorrowedFd<'_>, description: bool) -> Result<bool> {
    set_lock(fd, libc::F_WRLCK, description)
}

/// Takes a read lock on the file for this open file description, F_OFD_SETLK of fcntl(2): one that is open for reading
/// only can have no other. `Ok(false)` where somebody else has a write lock.
pub fn fcntl_set_read_lock(fd: BorrowedFd<'_>) -> Result<bool> {
    set_lock(fd, libc::F_RDLCK, true)
}

fn set_lock(fd: BorrowedFd<'_>, kind: i32, description: bool) -> Result<bool> {
    let (command, len) = if description { (libc::F_OFD_SETLK, LOCK_OF_PID_1) } else { (libc::F_SETLK, 0) };
    let mut lock = bytes(kind, 0, len);
    // SAFETY: the record outlives the call.
    if unsafe { libc::fcntl(fd.as_raw_fd(), command, &raw mut lock) } == 0 {
        return Ok(true);
    }
    let error = Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(error),
    }
}

/// Whether anybody else holds a lock on the file: F_OFD_GETLK of fcntl(2).
pub fn fcntl_is_locked(fd: BorrowedFd<'_>) -> Result<bool> {
    keeps_out(fd, libc::F_WRLCK)
}

/// Whether anybody else holds a write lock on the file.
pub fn fcntl_is_write_locked(fd: BorrowedFd<'_>) -> Result<bool> {
    keeps_out(fd, libc::F_RDLCK)
}

fn keeps_out(fd: BorrowedFd<'_>, kind: i32) -> Result<bool> {
    let mut lock = bytes(kind, 0, 0);
    // SAFETY: the kernel writes to the record.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) } != 0 {
        return Err(Error::last_os_error());
    }
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

/// The process that has the byte [`LOCK_OF_PID_1`] locked: F_GETLK of fcntl(2). `None` where there is none, where it can't be seen from
/// here, and where all of the file is locked by a description.
pub fn fcntl_pid_1(fd: BorrowedFd<'_>) -> Result<Option<i32>> {
    let mut lock = bytes(libc::F_WRLCK, LOCK_OF_PID_1, 1);
    // SAFETY: the kernel writes to the record.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETLK, &raw mut lock) } != 0 {
        return Err(Error::last_os_error());
    }
    Ok((i32::from(lock.l_type) != libc::F_UNLCK && lock.l_pid > 0).then_some(lock.l_pid))
}

/// So many bytes from `start` on; 0 reaches to the end of the file.
fn bytes(kind: i32, start: i64, len: i64) -> libc::flock {
    libc::flock { l_type: kind as i16, l_whence: libc::SEEK_SET as i16, l_start: start, l_len: len, l_pid: 0 }
}

/// capget(2) of the calling thread: effective, permitted, inheritable.
pub fn capget() -> [u64; 3] {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    let mut header = Header { version: 0x2008_0522, pid: 0 };
    let mut data = [[0u32; 3]; 2];
    // SAFETY: the kernel writes two records of three words for this version.
    unsafe { libc::syscall(libc::SYS_capget, &raw mut header, &raw mut data) };
    let [low, high] = data;
    std::array::from_fn(|i| u64::from(low[i]) | u64::from(high[i]) << 32)
}

/// How a process ended that has been reaped already, as wait4(2) has it: PIDFD_GET_INFO with PIDFD_INFO_EXIT, Linux 6.15.
pub fn pidfd_exit_status(pidfd: BorrowedFd<'_>) -> Option<i32> {
    const PIDFD_INFO_EXIT: u64 = 1 << 3;
    /// Struct pidfd_info of linux/pidfd.h, of the first version's 64 bytes: a mask, 52 bytes of others, the exit code.
    #[repr(C)]
    struct Info {
        mask: u64,
        others: [u32; 13],
        exit_code: i32,
    }
    /// `_IOWR(0xff, 11, struct pidfd_info)`.
    const PIDFD_GET_INFO: libc::Ioctl = 0xc040_ff0b;
    let mut info = Info { mask: PIDFD_INFO_EXIT, others: [0; 13], exit_code: 0 };
    // SAFETY: the kernel writes no more than the size that the request's number says.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    (result == 0 && info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code)
}

/// The number that getsockopt(2) answers for SO_PEERPIDFD (Linux 6.5): a pidfd of whoever called listen(2).
pub fn peer_pidfd(socket: BorrowedFd<'_>) -> Result<OwnedFd> {
    const SO_PEERPIDFD: i32 = 77;
    let mut fd: RawFd = -1;
    let mut len = size_of::<RawFd>() as libc::socklen_t;
    // SAFETY: the kernel writes one int.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, SO_PEERPIDFD, (&raw mut fd).cast(), &raw mut len)
    };
    if result < 0 { Err(Error::last_os_error()) } else { owned(fd) }
}

/// connect(2), with a struct sockaddr of any family. No signal interrupts it on a socket that may not wait.
pub fn connect(socket: BorrowedFd<'_>, address: &[u8]) -> nix::Result<()> {
    let len = address.len() as libc::socklen_t;
    // SAFETY: the kernel copies as many bytes as there are, and looks at them itself.
    let result = unsafe { libc::connect(socket.as_raw_fd(), address.as_ptr().cast(), len) };
    nix::errno::Errno::result(result).map(drop)
}

/// bind(2), to a struct sockaddr.
pub fn bind(socket: BorrowedFd<'_>, address: &[u8]) -> nix::Result<()> {
    // SAFETY: the kernel reads as many bytes as there are.
    let result = unsafe { libc::bind(socket.as_raw_fd(), address.as_ptr().cast(), address.len() as libc::socklen_t) };
    nix::errno::Errno::result(result).map(drop)
}

/// getsockname(2): a struct sockaddr of any family.
pub fn getsockname(socket: BorrowedFd<'_>) -> nix::Result<Vec<u8>> {
    name_of(socket, libc::getsockname)
}

/// getpeername(2), likewise.
pub fn getpeername(socket: BorrowedFd<'_>) -> nix::Result<Vec<u8>> {
    name_of(socket, libc::getpeername)
}

fn name_of(
    socket: BorrowedFd<'_>,
    ask: unsafe extern "C" fn(RawFd, *mut libc::sockaddr, *mut libc::socklen_t) -> i32,
) -> nix::Result<Vec<u8>> {
    let mut name = vec![0; size_of::<libc::sockaddr_storage>()];
    let mut len = name.len() as libc::socklen_t;
    // SAFETY: the kernel writes no more bytes than it is told there are.
    nix::errno::Errno::result(unsafe { ask(socket.as_raw_fd(), name.as_mut_ptr().cast(), &raw mut len) })?;
    name.truncate(len as usize);
    Ok(name)
}

/// A descriptor of the caller, for as long as it keeps it open; an error where it is not open.
pub fn borrow(fd: RawFd) -> Result<BorrowedFd<'static>> {
    // SAFETY: F_GETFD only asks.
    if fd < 0 || unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: it is open now; that it stays so until the call that it was given to returns is the caller's part, as with
    // any descriptor number in an API of the POSIX kind.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// A standard stream of the caller, if a program that it executed would inherit it: one that is open and not close-on-exec.
/// What a library has opened for itself, this one above all, is close-on-exec, whichever number it has landed on.
pub fn inheritable(stream: RawFd) -> Option<BorrowedFd<'static>> {
    // SAFETY: F_GETFD only asks.
    let flags = unsafe { libc::fcntl(stream, libc::F_GETFD) };
    // SAFETY: as in `borrow`.
    (flags >= 0 && flags & libc::FD_CLOEXEC == 0).then(|| unsafe { BorrowedFd::borrow_raw(stream) })
}

/// What came by [`recvmsg`]: how many bytes, the descriptors with them, and the pid that goes with it as a credential, as
/// this process sees it (SO_PASSCRED, unix(7)).
pub type Received = (usize, Vec<OwnedFd>, Option<i32>);

/// recvmsg(2). The descriptors are close-on-exec. Of more than a dozen the kernel drops the rest, and all that it has installed
/// are ours to close, whatever else is wrong with the message.
#[allow(clippy::disallowed_methods, reason = "what it brings is moved up")]
pub fn recvmsg(socket: BorrowedFd<'_>, bytes: &mut [u8], flags: i32) -> nix::Result<Received> {
    const MAX: usize = 5;
    // A struct cmsghdr and a struct ucred.
    const CREDENTIALS: usize = 4;
    // Aligned as struct cmsghdr, and large enough for those, it and the descriptors.
    let mut control = [0u64; CREDENTIALS + 2 + MAX.div_ceil(2)];
    let mut iov = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: a record of numbers and pointers, for which zero is nothing.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut iov;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = 8 * CREDENTIALS + 16 + 4 * MAX;
    // SAFETY: the records live until the call returns.
    let got = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags | libc::MSG_CMSG_CLOEXEC) };
    let got = nix::errno::Errno::result(got)?;
    let mut fds = Vec::new();
    let mut pid = None;
    // SAFETY: the kernel has filled the control buffer with headers and what follows them; the descriptors are new.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while let Some(control) = header.as_ref() {
            if (control.cmsg_level, control.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                let data = libc::CMSG_DATA(header).cast::<RawFd>();
                let count = (control.cmsg_len - libc::CMSG_LEN(0) as usize) / size_of::<RawFd>();
                fds.extend((0..count).map(|i| OwnedFd::from_raw_fd(data.add(i).read_unaligned())));
            }
            if (control.cmsg_level, control.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) {
                pid = Some(libc::CMSG_DATA(header).cast::<libc::ucred>().read_unaligned().pid);
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    let fds: Result<Vec<_>> = fds.into_iter().map(fd::above_stdio).collect();
    let fds = fds.map_err(|error| nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(libc::EMFILE)))?;
    Ok((got as usize, fds, pid))
}

/// A new terminal, pty(7), of the devpts that is mounted here: master and slave, which TIOCGPTPEER of ioctl_tty(2) opens without
/// its path.
pub fn openpty() -> Result<(OwnedFd, OwnedFd)> {
    let flags = nix::fcntl::OFlag::O_RDWR | nix::fcntl::OFlag::O_NOCTTY | nix::fcntl::OFlag::O_CLOEXEC;
    let master = open("/dev/ptmx", flags, nix::sys::stat::Mode::empty())?;
    let unlock = 0;
    // SAFETY: an int that outlives the call; then plain flags, and the result is a new descriptor.
    let slave = unsafe {
        match libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlock) {
            0 => libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags.bits()),
            error => error,
        }
    };
    Ok((master, owned(slave)?))
}

/// ioctl_tty(2) TIOCSWINSZ.
pub fn set_winsize(terminal: BorrowedFd<'_>, rows: u16, cols: u16) -> Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the record outlives the call.
    if unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) } < 0 {
        return Err(Error::last_os_error());
    }
    Ok(())
}

fn owned(fd: RawFd) -> Result<OwnedFd> {
    if fd < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: the call that was just made returned it as a new descriptor.
    fd::above_stdio(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A descriptor's inode number and device: what tells one open file from another.
pub fn identity(fd: impl AsFd) -> (u64, u64) {
    nix::sys::stat::fstat(fd).map_or((0, 0), |stat| (stat.st_dev, stat.st_ino))
}

/// The seccomp mode of the calling thread, PR_GET_SECCOMP of prctl(2): 0 none, 2 a filter.
pub fn seccomp_mode() -> i32 {
    // SAFETY: asks only.
    unsafe { libc::prctl(libc::PR_GET_SECCOMP) }
}

/// The security modules that are active, lsm_list_modules(2) (Linux 6.8), or from securityfs, which has to be mounted. `None`
/// where neither tells.
pub fn security_modules() -> Option<String> {
    if let Ok(names) = file::read_to_string("/sys/kernel/security/lsm") {
        return Some(names.trim().replace(',', ", "));
    }
    const SYS_LSM_LIST_MODULES: i64 = 461;
    // LSM_ID_* of linux/lsm.h, from 100 on.
    const NAMES: [&str; 14] = [
        "capability",
        "selinux",
        "smack",
        "tomoyo",
        "apparmor",
        "yama",
        "loadpin",
        "safesetid",
        "lockdown",
        "bpf",
        "landlock",
        "ima",
        "evm",
        "ipe",
    ];
    let mut ids = [0u64; 64];
    let mut size = size_of_val(&ids) as u32;
    // SAFETY: the kernel writes at most as many bytes as it is told there are, and how many they were.
    let count = unsafe { libc::syscall(SYS_LSM_LIST_MODULES, ids.as_mut_ptr(), &raw mut size, 0) };
    let ids = ids.get(..usize::try_from(count).ok()?)?;
    let name = |id: &u64| NAMES.get(id.checked_sub(100)? as usize).copied();
    Some(ids.iter().map(|id| name(id).unwrap_or("one without a name")).collect::<Vec<_>>().join(", "))
}

/// getrandom(2). Whether it worked.
pub fn random(bytes: &mut [u8]) -> bool {
    // SAFETY: the kernel writes as many bytes as there are.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) == bytes.len() as isize }
}

/// The pid behind a pidfd in our own PID namespace, from its fdinfo (pidfd_open(2)): 0 or negative where it has none any more.
pub fn pidfd_pid(pidfd: BorrowedFd<'_>) -> Option<i32> {
    pidfd_line(pidfd, "Pid:")?.parse().ok()
}

/// Whether the process behind a pidfd has a PID namespace in common with us, so that it is known by one number.
pub fn pidfd_is_of_our_namespace(pidfd: BorrowedFd<'_>) -> bool {
    pidfd_line(pidfd, "NSpid:").is_some_and(|pids| pids.parse::<i32>().is_ok_and(|pid| pid > 0))
}

fn pidfd_line(pidfd: BorrowedFd<'_>, name: &str) -> Option<String> {
    let info = file::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    Some(info.lines().find_map(|line| line.strip_prefix(name))?.trim().to_string())
}

/// Whether a pidfd's process is the first one of a PID namespace below ours: the last number of NSpid in its fdinfo
/// (Linux 5.5). `None` where that is not told.
pub fn pidfd_is_init(pidfd: BorrowedFd<'_>) -> Option<bool> {
    let info = file::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    let mut pids = info.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_ascii_whitespace();
    // 0 is one that /proc's PID namespace doesn't have.
    pids.next().filter(|&outer| outer != "0")?;
    Some(pids.next_back() == Some("1"))
}

/// The pid of the parent of a pidfd's process, in our PID namespace: PIDFD_GET_INFO of pidfd_open(2) (Linux 6.13), before that
/// from /proc. ESRCH where the process is gone; EACCES where it is not to be seen.
pub fn pidfd_parent(pidfd: BorrowedFd<'_>) -> nix::Result<i32> {
    use nix::errno::Errno;
    /// struct pidfd_info of linux/pidfd.h, its first version.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        mask: u64,
        cgroup: u64,
        pid: u32,
        tgid: u32,
        ppid: u32,
        ids: [u32; 9],
    }
    const PIDFD_GET_INFO: u64 = 0xc040_ff0b;
    let mut info = Info { mask: 1, ..Info::default() };
    // SAFETY: the kernel writes as many bytes as the number of the call says, 64.
    match Errno::result(unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) }) {
        Ok(_) => return Ok(info.ppid as i32),
        Err(Errno::ESRCH) => return Err(Errno::ESRCH),
        Err(_) => {}
    }
    let pid = match pidfd_pid(pidfd) {
        None => return Err(Errno::EACCES),
        Some(0) => return Ok(0),
        Some(pid) if pid < 0 => return Err(Errno::ESRCH),
        Some(pid) => pid,
    };
    let stat = file::read(format!("/proc/{pid}/stat")).map_err(|_| Errno::EACCES)?;
    // It may be another's by now, if this one is gone.
    if pidfd_pid(pidfd) != Some(pid) {
        return Err(Errno::ESRCH);
    }
    let fields = stat.rsplit(|&byte| byte == b')').next().and_then(|rest| std::str::from_utf8(rest).ok());
    fields.and_then(|rest| rest.split_ascii_whitespace().nth(1)?.parse().ok()).ok_or(Errno::EACCES)
}

/// The user namespace that owns a namespace, NS_GET_USERNS of ioctl_nsfs(2); EPERM where that is none of this process's or below it.
pub fn owner_of_namespace(namespace: impl AsFd) -> Result<OwnedFd> {
    const NS_GET_USERNS: u64 = 0xb701;
    // SAFETY: a plain number; the result is a new descriptor.
    owned(unsafe { libc::ioctl(namespace.as_fd().as_raw_fd(), NS_GET_USERNS) })
}

/// The network namespace of a socket, SIOCGSKNS of linux/sockios.h (Linux 4.10); EPERM without the capability NET_ADMIN over it.
pub fn namespace_of_socket(socket: impl AsFd) -> nix::Result<OwnedFd> {
    const SIOCGSKNS: libc::Ioctl = 0x894c;
    // SAFETY: it takes no argument, and answers a new descriptor.
    let namespace = owned(unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), SIOCGSKNS) });
    namespace.map_err(|error| fs::errno_of(&error).unwrap_or(nix::errno::Errno::EIO))
}

/// The number of a terminal by its master, TIOCGPTN of ioctl_tty(2); `None` of what is no master.
pub fn pty_number(fd: BorrowedFd<'_>) -> Option<u32> {
    let mut number = 0u32;
    // SAFETY: the kernel writes an int.
    (unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGPTN, &raw mut number) } == 0).then_some(number)
}

/// A variable of the environment; none for a program that has more rights than whoever started it, a setuid one, as
/// secure_getenv(3) has it: its caller has chosen them.
pub fn var_os(name: &str) -> Option<std::ffi::OsString> {
    // SAFETY: asks only.
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        return None;
    }
    #[allow(clippy::disallowed_methods, reason = "this is the place")]
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// getgroups(2). nix's asks /proc first how many there may be.
pub fn getgroups() -> Vec<u32> {
    let mut groups = vec![0; 64];
    loop {
        // SAFETY: the kernel writes at most as many as there is room for.
        let count = unsafe { libc::getgroups(groups.len() as i32, groups.as_mut_ptr()) };
        if let Ok(count) = usize::try_from(count) {
            groups.truncate(count);
            return groups;
        }
        if groups.len() > 65536 {
            return Vec::new();
        }
        groups.resize(groups.len() * 4, 0);
    }
}
