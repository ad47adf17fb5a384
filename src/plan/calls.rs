//! The system calls of plans on files and descriptors, one method each: named as in the man page, with its arguments in their order
//! and its flags a type. Those on mounts are in `mount`, those by which a process changes what it is itself in `process`.

use nix::fcntl::{AtFlags, OFlag, RenameFlags, ResolveFlag};
use nix::sys::socket::{AddressFamily, SockFlag, SockType};
use nix::unistd::{AccessFlags, UnlinkatFlags, Whence};

use super::{Arg, Call, Plan, Slot};

/// Where a path begins: a directory's descriptor, or the working directory.
#[derive(Clone, Copy)]
pub struct At(pub(super) Arg);

/// The working directory, AT_FDCWD.
pub const CWD: At = At(Arg::Number(libc::AT_FDCWD as i64 as u64));

impl From<Slot> for At {
    fn from(slot: Slot) -> Self {
        Self(slot.into())
    }
}
impl From<At> for Arg {
    fn from(at: At) -> Self {
        at.0
    }
}

/// What is done with a terminal, ioctl_tty(2).
pub enum Terminal {
    /// TIOCSCTTY: the session that the process leads gets it.
    Control,
    /// TIOCSPTLCK: its other end can be opened.
    Unlock,
    /// TIOCGPTPEER: opens the other end.
    Peer(OFlag),
    /// TIOCSWINSZ: rows and columns.
    Size(u16, u16),
}

impl Plan<'_> {
    /// openat(2) of what is there.
    pub fn openat(&mut self, dir: impl Into<At>, path: Arg, flags: OFlag) -> &mut Call {
        self.call(libc::SYS_openat, [dir.into().0, path, flags.bits().into()])
    }

    /// openat(2) of what is made where it is not there.
    pub fn create(&mut self, dir: impl Into<At>, path: Arg, flags: OFlag, mode: u32) -> &mut Call {
        let flags = flags | OFlag::O_CREAT;
        self.call(libc::SYS_openat, [dir.into().0, path, flags.bits().into(), mode.into()])
    }

    /// openat2(2) of what is there.
    pub fn openat2(&mut self, dir: impl Into<At>, path: Arg, flags: OFlag, resolve: ResolveFlag) -> &mut Call {
        self.create2(dir, path, flags, 0, resolve)
    }

    /// openat2(2) with a mode, for what O_CREAT makes.
    pub fn create2(
        &mut self,
        dir: impl Into<At>,
        path: Arg,
        flags: OFlag,
        mode: u32,
        resolve: ResolveFlag,
    ) -> &mut Call {
        // Struct open_how: flags, mode, resolve.
        let how = [flags.bits() as u64, u64::from(mode), resolve.bits()].map(u64::to_ne_bytes);
        let how = self.data(how.as_flattened(), 8);
        self.call(libc::SYS_openat2, [dir.into().0, path, how, 24.into()])
    }

    /// faccessat2(2).
    pub fn faccessat2(&mut self, dir: impl Into<At>, path: Arg, mode: AccessFlags, flags: AtFlags) -> &mut Call {
        self.call(libc::SYS_faccessat2, [dir.into().0, path, mode.bits().into(), flags.bits().into()])
    }

    /// fstatfs(2), into data of the plan.
    pub fn fstatfs(&mut self, file: Slot, into: Arg) -> &mut Call {
        self.call(libc::SYS_fstatfs, [file.into(), into])
    }

    /// statx(2), AT_STATX_DONT_SYNC, into data of the plan: a file system that may not answer is not asked. `mask` is of STATX_*.
    pub fn statx(&mut self, dir: impl Into<At>, path: Arg, flags: AtFlags, mask: u32, into: Arg) -> &mut Call {
        let flags = flags.bits() | libc::AT_STATX_DONT_SYNC;
        self.call(libc::SYS_statx, [dir.into().0, path, flags.into(), mask.into(), into])
    }

    /// lseek(2).
    pub fn lseek(&mut self, file: Slot, offset: usize, whence: Whence) -> &mut Call {
        self.call(libc::SYS_lseek, [file.into(), offset.into(), (whence as i32).into()])
    }

    /// sendfile(2), from where the file is.
    pub fn sendfile(&mut self, to: Slot, from: Slot, len: usize) -> &mut Call {
        self.call(libc::SYS_sendfile, [to.into(), from.into(), 0.into(), len.into()])
    }

    /// pwrite(2).
    pub fn pwrite(&mut self, file: Slot, data: Arg, len: usize, offset: usize) -> &mut Call {
        self.call(libc::SYS_pwrite64, [file.into(), data, len.into(), offset.into()])
    }

    /// write(2).
    pub fn write(&mut self, file: Slot, data: Arg, len: usize) -> &mut Call {
        self.call(libc::SYS_write, [file.into(), data, len.into()])
    }

    /// dup3(2): what `slot` has, under this number.
    pub fn dup3(&mut self, slot: Slot, number: impl Into<Arg>, flags: OFlag) -> &mut Call {
        self.call(libc::SYS_dup3, [slot.into(), number.into(), flags.bits().into()])
    }

    /// fcntl(2), F_DUPFD_CLOEXEC: a copy whose number is no lower than `least`.
    pub fn dupfd_cloexec(&mut self, slot: Slot, least: impl Into<Arg>) -> &mut Call {
        self.call(libc::SYS_fcntl, [slot.into(), libc::F_DUPFD_CLOEXEC.into(), least.into()])
    }

    /// fcntl(2), F_SETLK: a read lock on one byte, by which others learn who this process is. It is gone when this process closes any
    /// descriptor of the file.
    pub fn read_lock(&mut self, file: Slot, byte: i64) -> &mut Call {
        // struct flock: l_type, which is F_RDLCK, l_whence, l_start, l_len, l_pid.
        let (nothing, start, len) = (0i64.to_ne_bytes(), byte.to_ne_bytes(), 1i64.to_ne_bytes());
        let lock = self.data(&[nothing, start, len, nothing].concat(), 8);
        self.call(libc::SYS_fcntl, [file.into(), libc::F_SETLK.into(), lock])
    }

    /// close_range(2): these, the last one too.
    pub fn close_range(&mut self, first: u32, last: u32) -> &mut Call {
        self.call(libc::SYS_close_range, [first.into(), last.into(), 0.into()])
    }

    /// ioctl(2) on a terminal: a slot, or the number of a descriptor.
    pub fn terminal(&mut self, file: impl Into<Arg>, what: Terminal) -> &mut Call {
        let (request, value) = match what {
            Terminal::Control => (libc::TIOCSCTTY, 0.into()),
            Terminal::Unlock => (libc::TIOCSPTLCK, self.data(&0i32.to_ne_bytes(), 4)),
            Terminal::Peer(flags) => (libc::TIOCGPTPEER, flags.bits().into()),
            // Struct winsize: the pixels are unknown.
            Terminal::Size(rows, cols) => {
                (libc::TIOCSWINSZ, self.data([rows, cols, 0, 0].map(u16::to_ne_bytes).as_flattened(), 4))
            }
        };
        self.call(libc::SYS_ioctl, [file.into(), request.into(), value])
    }

    /// socket(2), close-on-exec.
    pub fn socket(&mut self, family: AddressFamily, kind: SockType, flags: SockFlag) -> &mut Call {
        let kind = kind as i32 | (flags | SockFlag::SOCK_CLOEXEC).bits();
        self.call(libc::SYS_socket, [(family as i32).into(), kind.into(), 0.into()])
    }

    /// ioctl(2), SIOCSIFFLAGS of netdevice(7), with a struct ifreq.
    pub fn set_interface_flags(&mut self, socket: Slot, request: Arg) -> &mut Call {
        self.call(libc::SYS_ioctl, [socket.into(), libc::SIOCSIFFLAGS.into(), request])
    }

    /// connect(2), with a struct sockaddr of so many bytes.
    pub fn connect(&mut self, socket: Slot, address: Arg, len: usize) -> &mut Call {
        self.call(libc::SYS_connect, [socket.into(), address, len.into()])
    }

    /// bind(2), with a struct sockaddr of so many bytes.
    pub fn bind_socket(&mut self, socket: Slot, address: Arg, len: usize) -> &mut Call {
        self.call(libc::SYS_bind, [socket.into(), address, len.into()])
    }

    /// setsockopt(2), SO_REUSEADDR of socket(7).
    pub fn reuse_address(&mut self, socket: Slot) -> &mut Call {
        let on = self.data(&1i32.to_ne_bytes(), 4);
        let (level, name) = (libc::SOL_SOCKET.into(), libc::SO_REUSEADDR.into());
        self.call(libc::SYS_setsockopt, [socket.into(), level, name, on, 4.into()])
    }

    /// listen(2).
    pub fn listen(&mut self, socket: Slot, backlog: i32) -> &mut Call {
        self.call(libc::SYS_listen, [socket.into(), backlog.into()])
    }

    /// unlinkat(2).
    pub fn unlinkat(&mut self, dir: impl Into<At>, path: Arg, flags: UnlinkatFlags) -> &mut Call {
        let flags = if matches!(flags, UnlinkatFlags::RemoveDir) { libc::AT_REMOVEDIR } else { 0 };
        self.call(libc::SYS_unlinkat, [dir.into().0, path, flags.into()])
    }

    /// utimensat(2): the time of the last access and of the last change, in seconds since the Epoch and nanoseconds.
    pub fn utimensat(&mut self, dir: impl Into<At>, path: Arg, time: (i64, u32), flags: AtFlags) -> &mut Call {
        let times = self.times(time);
        self.call(libc::SYS_utimensat, [dir.into().0, path, times, flags.bits().into()])
    }

    /// futimens(3), which is utimensat(2) without a path.
    pub fn futimens(&mut self, file: Slot, time: (i64, u32)) -> &mut Call {
        let times = self.times(time);
        self.call(libc::SYS_utimensat, [file.into(), 0.into(), times, 0.into()])
    }

    /// Two struct timespec.
    fn times(&mut self, (seconds, nanoseconds): (i64, u32)) -> Arg {
        let time = [seconds, i64::from(nanoseconds)].map(i64::to_ne_bytes);
        self.data([time, time].as_flattened().as_flattened(), 8)
    }

    /// mkdirat(2).
    pub fn mkdirat(&mut self, dir: impl Into<At>, path: Arg, mode: u32) -> &mut Call {
        self.call(libc::SYS_mkdirat, [dir.into().0, path, mode.into()])
    }

    /// mknodat(2). The kind of file is in its mode.
    pub fn mknodat(&mut self, dir: impl Into<At>, path: Arg, mode: u32, device: u64) -> &mut Call {
        self.call(libc::SYS_mknodat, [dir.into().0, path, mode.into(), device.into()])
    }

    /// linkat(2).
    pub fn linkat(&mut self, from: (impl Into<At>, Arg), to: (impl Into<At>, Arg), flags: AtFlags) -> &mut Call {
        self.call(libc::SYS_linkat, [from.0.into().0, from.1, to.0.into().0, to.1, flags.bits().into()])
    }

    /// renameat2(2), in one directory.
    pub fn renameat2(&mut self, dir: Slot, from: Arg, to: Arg, flags: RenameFlags) -> &mut Call {
        self.call(libc::SYS_renameat2, [dir.into(), from, dir.into(), to, flags.bits().into()])
    }

    /// symlinkat(2).
    pub fn symlinkat(&mut self, target: Arg, dir: impl Into<At>, path: Arg) -> &mut Call {
        self.call(libc::SYS_symlinkat, [target, dir.into().0, path])
    }

    /// fchmod(2).
    pub fn fchmod(&mut self, file: Slot, mode: u32) -> &mut Call {
        self.call(libc::SYS_fchmod, [file.into(), mode.into()])
    }

    /// fchmodat(2), which follows links.
    pub fn fchmodat(&mut self, dir: impl Into<At>, path: Arg, mode: u32) -> &mut Call {
        self.call(libc::SYS_fchmodat, [dir.into().0, path, mode.into()])
    }

    /// fchown(2). An id of -1 stays as it is.
    pub fn fchown(&mut self, file: Slot, uid: u32, gid: u32) -> &mut Call {
        self.call(libc::SYS_fchown, [file.into(), uid.into(), gid.into()])
    }

    /// fchownat(2).
    pub fn fchownat(&mut self, dir: impl Into<At>, path: Arg, uid: u32, gid: u32, flags: AtFlags) -> &mut Call {
        self.call(libc::SYS_fchownat, [dir.into().0, path, uid.into(), gid.into(), flags.bits().into()])
    }

    /// fgetxattr(2), into data of the plan.
    pub fn fgetxattr(&mut self, file: Slot, name: Arg, into: Arg, len: usize) -> &mut Call {
        self.call(libc::SYS_fgetxattr, [file.into(), name, into, len.into()])
    }

    /// fsetxattr(2), whether it is there or not.
    pub fn fsetxattr(&mut self, file: Slot, name: Arg, value: &[u8]) -> &mut Call {
        let data = self.data(value, 8);
        self.call(libc::SYS_fsetxattr, [file.into(), name, data, value.len().into(), 0.into()])
    }

    /// fremovexattr(2).
    pub fn fremovexattr(&mut self, file: Slot, name: Arg) -> &mut Call {
        self.call(libc::SYS_fremovexattr, [file.into(), name])
    }

    /// fchdir(2).
    pub fn fchdir(&mut self, dir: Slot) -> &mut Call {
        self.call(libc::SYS_fchdir, [dir.into()])
    }

    /// chdir(2).
    pub fn chdir(&mut self, path: Arg) -> &mut Call {
        self.call(libc::SYS_chdir, [path])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::mount::MsFlags;

    use crate::plan::Prctl;
    use crate::sys::mount::{MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH};

    /// What is on the wire: the number of the call and its arguments, data by its offset.
    fn last(plan: &Plan<'_>) -> (i64, [u64; 6]) {
        let call = plan.calls.last().unwrap();
        let args = call.args.map(|arg| match arg {
            Arg::Number(number) => number,
            Arg::Data(offset) => 1000 + offset as u64,
            Arg::Slot(slot) => 2000 + u64::from(slot.0),
        });
        (i64::from(call.nr), args)
    }

    #[test]
    fn arguments_are_in_the_order_of_the_man_page() {
        let mut plan = Plan::new();
        let cwd = libc::AT_FDCWD as i64 as u64;
        let (a, b, slot) = (plan.string(c"a"), plan.string(c"b"), Slot(7));
        plan.move_mount((slot, a), (CWD, b), MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
        assert_eq!(last(&plan), (libc::SYS_move_mount, [2007, 1000, cwd, 1002, 0x44, 0]));
        plan.fsconfig_set_string(slot, a, b);
        assert_eq!(last(&plan), (libc::SYS_fsconfig, [2007, 1, 1000, 1002, 0, 0]));
        plan.symlinkat(a, CWD, b);
        assert_eq!(last(&plan), (libc::SYS_symlinkat, [1000, cwd, 1002, 0, 0, 0]));
        plan.linkat((slot, a), (CWD, b), AtFlags::empty());
        assert_eq!(last(&plan), (libc::SYS_linkat, [2007, 1000, cwd, 1002, 0, 0]));
        plan.sendfile(Slot(1), slot, 3);
        assert_eq!(last(&plan), (libc::SYS_sendfile, [2001, 2007, 0, 3, 0, 0]));
        plan.pwrite(slot, a, 3, 4);
        assert_eq!(last(&plan), (libc::SYS_pwrite64, [2007, 1000, 3, 4, 0, 0]));
        plan.faccessat2(slot, a, AccessFlags::F_OK, AtFlags::AT_SYMLINK_NOFOLLOW);
        assert_eq!(last(&plan), (libc::SYS_faccessat2, [2007, 1000, 0, 0x100, 0, 0]));
        plan.terminal(0, Terminal::Control);
        assert_eq!(last(&plan), (libc::SYS_ioctl, [0, libc::TIOCSCTTY, 0, 0, 0, 0]));
        plan.socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_NONBLOCK);
        assert_eq!(last(&plan), (libc::SYS_socket, [2, 0x80802, 0, 0, 0, 0]));
        plan.connect(slot, a, 16);
        assert_eq!(last(&plan), (libc::SYS_connect, [2007, 1000, 16, 0, 0, 0]));
        plan.bind_socket(slot, a, 16);
        assert_eq!(last(&plan), (libc::SYS_bind, [2007, 1000, 16, 0, 0, 0]));
        plan.propagate(c"/", MsFlags::MS_SLAVE);
        assert_eq!(last(&plan), (libc::SYS_mount, [0, 1004, 0, 0x84000, 0, 0]));
        plan.prctl(Prctl::DeathSignal(libc::SIGKILL));
        assert_eq!(last(&plan), (libc::SYS_prctl, [1, 9, 0, 0, 0, 0]));
        plan.setgroups(&[]);
        assert_eq!(last(&plan), (libc::SYS_setgroups, [0; 6]));
        plan.openat2(slot, a, OFlag::O_PATH, ResolveFlag::RESOLVE_IN_ROOT);
        assert_eq!(last(&plan), (libc::SYS_openat2, [2007, 1000, 1008, 24, 0, 0]));
        let how = [libc::O_PATH as u64, 0, 0x10].map(u64::to_ne_bytes);
        assert_eq!(&plan.bytes_so_far()[8..], how.as_flattened());
    }
}
