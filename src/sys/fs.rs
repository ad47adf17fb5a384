//! The calls on files and directories: nix's, and those that nix does not wrap. What opens something is [`super::fd`]'s, so that
//! it lands on none of 0, 1 and 2.
//!
//! A path is anything that nix takes as one, bytes above all: what is in an image need not be UTF-8.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::NixPath;
pub use nix::dir::Type as FileType;
use nix::errno::Errno;
use nix::fcntl::OpenHow;
pub use nix::fcntl::{AT_FDCWD, AtFlags, FlockArg, OFlag, RenameFlags, ResolveFlag, readlinkat, renameat, renameat2};
pub use nix::sys::stat::{
    FchmodatFlags, FileStat, Mode, SFlag, UtimensatFlags, fchmod, fchmodat, fstat, fstatat, futimens, mkdirat, mknodat,
    utimensat,
};
pub use nix::sys::time::TimeSpec;
pub use nix::unistd::{
    AccessFlags, Gid, Uid, UnlinkatFlags, Whence, faccessat, fchown, fchownat, ftruncate, linkat, symlinkat, unlinkat,
};

use super::fd::above_stdio;
pub use super::fd::{open, openat};

/// openat2(2).
#[allow(clippy::disallowed_methods, reason = "what it opens is moved up")]
pub fn openat2<P: ?Sized + NixPath>(
    dir: impl AsFd,
    path: &P,
    flags: OFlag,
    mode: Mode,
    resolve: ResolveFlag,
) -> nix::Result<OwnedFd> {
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).mode(mode).resolve(resolve);
    above_stdio(nix::fcntl::openat2(dir, path, how)?).map_err(|error| errno_of(&error).unwrap_or(Errno::EMFILE))
}

/// The mode of a file as it is known here, statx(2) with AT_STATX_DONT_SYNC: a file system that may not answer is not asked.
pub fn known_mode(fd: impl AsFd) -> nix::Result<libc::mode_t> {
    let mut stat = std::mem::MaybeUninit::<libc::statx>::zeroed();
    let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
    let mask = libc::STATX_TYPE | libc::STATX_MODE;
    // SAFETY: an empty string, and a record that the kernel writes; zeros are a valid one.
    let (answer, stat) = unsafe {
        let answer = libc::statx(fd.as_fd().as_raw_fd(), c"".as_ptr(), flags, mask, stat.as_mut_ptr());
        (answer, stat.assume_init())
    };
    Errno::result(answer).map(|_| libc::mode_t::from(stat.stx_mode))
}

/// File systems that the kernel makes up, of linux/magic.h: proc, sysfs, cgroup, cgroup2, debugfs, tracefs, securityfs, nsfs. What is
/// read there waits, or is another thing for each that reads.
pub const KERNELS: [u64; 8] =
    [0x9fa0, 0x6265_6572, 0x27_e0eb, 0x6367_7270, 0x6462_6720, 0x7472_6163, 0x7363_6673, 0x6e73_6673];

/// Whether a file is on one of them, fstatfs(2).
pub fn is_kernels(fd: impl AsFd) -> bool {
    nix::sys::statfs::fstatfs(fd).is_ok_and(|stat| KERNELS.contains(&(stat.filesystem_type().0 as u64)))
}

/// The errno of an error of std's.
pub fn errno_of(error: &std::io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}

/// What kind of file a mode of stat(2) tells of.
pub fn file_type(mode: libc::mode_t) -> Option<FileType> {
    match mode & libc::S_IFMT {
        libc::S_IFREG => Some(FileType::File),
        libc::S_IFDIR => Some(FileType::Directory),
        libc::S_IFLNK => Some(FileType::Symlink),
        libc::S_IFIFO => Some(FileType::Fifo),
        libc::S_IFCHR => Some(FileType::CharacterDevice),
        libc::S_IFBLK => Some(FileType::BlockDevice),
        libc::S_IFSOCK => Some(FileType::Socket),
        _ => None,
    }
}

/// Major and minor number of a device, makedev(3).
pub fn device(number: libc::dev_t) -> (u32, u32) {
    (nix::sys::stat::major(number) as u32, nix::sys::stat::minor(number) as u32)
}

/// lseek(2).
pub fn lseek(fd: impl AsFd, at: u64, whence: Whence) -> nix::Result<u64> {
    let at = libc::off_t::try_from(at).map_err(|_| Errno::EINVAL)?;
    nix::unistd::lseek(fd, at, whence).map(|at| at as u64)
}

/// flock(2), for the open file description, which may have other descriptors.
pub fn flock(fd: impl AsFd, lock: FlockArg) -> nix::Result<()> {
    let operation = match lock {
        FlockArg::LockShared => libc::LOCK_SH,
        FlockArg::LockExclusive => libc::LOCK_EX,
        FlockArg::LockSharedNonblock => libc::LOCK_SH | libc::LOCK_NB,
        FlockArg::LockExclusiveNonblock => libc::LOCK_EX | libc::LOCK_NB,
        _ => libc::LOCK_UN,
    };
    // SAFETY: plain numbers.
    Errno::result(unsafe { libc::flock(fd.as_fd().as_raw_fd(), operation) }).map(drop)
}

/// pread(2), again where a signal has come between.
pub fn pread(fd: impl AsFd, bytes: &mut [u8], at: u64) -> nix::Result<usize> {
    let at = libc::off_t::try_from(at).map_err(|_| Errno::EINVAL)?;
    loop {
        match nix::sys::uio::pread(fd.as_fd(), bytes, at) {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// readlinkat(2), into memory that is there: how many bytes it wrote.
pub fn readlinkat_raw<P: ?Sized + NixPath>(dir: impl AsFd, path: &P, target: &mut [u8]) -> nix::Result<usize> {
    let dir = dir.as_fd().as_raw_fd();
    let length = path.with_nix_path(|path| {
        // SAFETY: the path is a string; the kernel writes no more bytes than there are.
        unsafe { libc::readlinkat(dir, path.as_ptr(), target.as_mut_ptr().cast(), target.len()) }
    })?;
    length_of(length)
}

/// fgetxattr(2): how long the value is. Into no bytes at all nothing is written.
pub fn fgetxattr<P: ?Sized + NixPath>(fd: impl AsFd, name: &P, value: &mut [u8]) -> nix::Result<usize> {
    let fd = fd.as_fd().as_raw_fd();
    let length = name.with_nix_path(|name| {
        // SAFETY: the name is a string; the kernel writes no more bytes than there are.
        unsafe { libc::fgetxattr(fd, name.as_ptr(), value.as_mut_ptr().cast(), value.len()) }
    })?;
    length_of(length)
}

/// getxattr(2), likewise.
pub fn getxattr<P: ?Sized + NixPath, N: ?Sized + NixPath>(path: &P, name: &N, value: &mut [u8]) -> nix::Result<usize> {
    xattr_by_path(libc::getxattr, path, name, value)
}

/// lgetxattr(2), likewise.
pub fn lgetxattr<P: ?Sized + NixPath, N: ?Sized + NixPath>(path: &P, name: &N, value: &mut [u8]) -> nix::Result<usize> {
    xattr_by_path(libc::lgetxattr, path, name, value)
}

/// A call of this form of libc's.
type GetXattr =
    unsafe extern "C" fn(*const libc::c_char, *const libc::c_char, *mut libc::c_void, libc::size_t) -> libc::ssize_t;

fn xattr_by_path<P: ?Sized + NixPath, N: ?Sized + NixPath>(
    call: GetXattr,
    path: &P,
    name: &N,
    value: &mut [u8],
) -> nix::Result<usize> {
    let length = path.with_nix_path(|path| {
        name.with_nix_path(|name| {
            // SAFETY: path and name are strings; the kernel writes no more bytes than there are.
            unsafe { call(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) }
        })
    })??;
    length_of(length)
}

/// flistxattr(2): how long the list is. Into no bytes at all nothing is written.
pub fn flistxattr(fd: impl AsFd, list: &mut [u8]) -> nix::Result<usize> {
    // SAFETY: the kernel writes no more bytes than there are.
    length_of(unsafe { libc::flistxattr(fd.as_fd().as_raw_fd(), list.as_mut_ptr().cast(), list.len()) })
}

/// fsetxattr(2), whether there is such an attribute or not.
pub fn fsetxattr<P: ?Sized + NixPath>(fd: impl AsFd, name: &P, value: &[u8]) -> nix::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    let result = name.with_nix_path(|name| {
        // SAFETY: the name is a string, the value as long as is said.
        unsafe { libc::fsetxattr(fd, name.as_ptr(), value.as_ptr().cast(), value.len(), 0) }
    })?;
    Errno::result(result).map(drop)
}

/// fremovexattr(2).
pub fn fremovexattr<P: ?Sized + NixPath>(fd: impl AsFd, name: &P) -> nix::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: the name is a string.
    let result = name.with_nix_path(|name| unsafe { libc::fremovexattr(fd, name.as_ptr()) })?;
    Errno::result(result).map(drop)
}

fn length_of(result: isize) -> nix::Result<usize> {
    Errno::result(result).map(|length| length as usize)
}

/// ioctl_ficlone(2): `to` has what is in `from`, of the same file system, and shares it until one of both is written to.
pub fn ficlone(to: impl AsFd, from: impl AsFd) -> nix::Result<()> {
    // SAFETY: both are open, and nothing else is handed over.
    let result = unsafe { libc::ioctl(to.as_fd().as_raw_fd(), libc::FICLONE, from.as_fd().as_raw_fd()) };
    Errno::result(result).map(drop)
}

/// renameat2(2) to a name that is not taken yet. A file system may lack RENAME_NOREPLACE; then it is done plainly, which replaces no
/// directory that is not empty.
pub fn rename_to_new(from: impl AsFd, name: &str, to: impl AsFd, place: &str) -> nix::Result<()> {
    match renameat2(&from, name, &to, place, RenameFlags::RENAME_NOREPLACE) {
        Err(Errno::EINVAL) => renameat(from, name, to, place),
        answer => answer,
    }
}

/// The entries of a directory, by a descriptor of their own, so that its position is nobody else's.
pub fn read_dir(dir: impl AsFd) -> nix::Result<Dir> {
    Ok(Dir::new(openat(dir, c".", OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty())?))
}

/// The entries of a directory, `.` and `..` included: getdents64(2). Not nix's, which asks about the descriptor first, takes 32 KiB,
/// and panics where the host has closed it.
pub struct Dir {
    fd: OwnedFd,
    /// What was read last, the entries that are left from `at` to `end` on.
    bytes: Vec<u8>,
    at: usize,
    end: usize,
    is_over: bool,
}

/// An entry of a directory.
pub struct Entry {
    name: std::ffi::CString,
    kind: Option<FileType>,
}

impl Dir {
    /// From where the descriptor stands.
    pub fn new(fd: OwnedFd) -> Self {
        Self { fd, bytes: vec![0; 8192], at: 0, end: 0, is_over: false }
    }

    /// Whether there was more.
    fn fill(&mut self) -> nix::Result<bool> {
        // SAFETY: the kernel writes no more bytes than there are.
        let length = unsafe {
            libc::syscall(libc::SYS_getdents64, self.fd.as_raw_fd(), self.bytes.as_mut_ptr(), self.bytes.len())
        };
        let length = match Errno::result(length) {
            // The directory was removed.
            Err(Errno::ENOENT) => 0,
            other => other?,
        };
        (self.at, self.end) = (0, length as usize);
        Ok(length > 0)
    }

    /// The entry at `at`, a struct linux_dirent64: an inode, an offset, the length of the record, the kind of file, the name.
    fn entry(&mut self) -> Option<Entry> {
        let record = self.bytes.get(self.at..self.end)?;
        let length = usize::from(u16::from_ne_bytes(*record.get(16..)?.first_chunk()?));
        let (&kind, name) = record.get(18..length)?.split_first()?;
        let name = CStr::from_bytes_until_nul(name).ok()?.to_owned();
        self.at += length;
        let kind = file_type(libc::mode_t::from(kind) << 12);
        Some(Entry { name, kind })
    }
}

impl Iterator for Dir {
    type Item = nix::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.end && !self.is_over {
            match self.fill() {
                Ok(is_more) => self.is_over = !is_more,
                Err(errno) => {
                    self.is_over = true;
                    return Some(Err(errno));
                }
            }
        }
        if self.is_over { None } else { self.entry().map(Ok) }
    }
}

impl Entry {
    /// Its name.
    pub fn file_name(&self) -> &CStr {
        &self.name
    }

    /// What it is; `None` where the file system does not say.
    pub fn file_type(&self) -> Option<FileType> {
        self.kind
    }
}
