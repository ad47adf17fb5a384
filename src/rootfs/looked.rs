//! What a helper finds at a place inside, told to whoever asked through a pipe: statfs(2) and statx(2), with the ids that are in force
//! inside.

use std::io::Read;
use std::mem::offset_of;

use nix::fcntl::AtFlags;

use crate::plan::{Arg, At, Plan, Slot};
use crate::sys::fs;

/// What there is, and on which mount it lies, as the kernel tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The number of the mount, as in proc_pid_mountinfo(5).
    pub mount: u64,
    /// It is the root of that mount, so something is mounted there.
    pub is_root: bool,
    /// The kernel shows itself there: it is in a proc, a sysfs, a cgroup or another file system that it makes up.
    pub is_kernels: bool,
    /// The file itself.
    pub stat: FileStat,
}

/// What stat(2) tells of a file, with owners as they are inside the container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileStat {
    /// The device that it is on, makedev(3).
    pub dev: u64,
    /// Its inode.
    pub ino: u64,
    /// Its kind and its permission bits, inode(7).
    pub mode: u32,
    /// How many names it has.
    pub nlink: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Which device it is, where it is one.
    pub rdev: u64,
    /// Bytes.
    pub size: u64,
    /// The size of a block that is good to read and write.
    pub blksize: u32,
    /// How many blocks of 512 bytes it takes.
    pub blocks: u64,
    /// When it was read last: seconds since the Epoch, and nanoseconds.
    pub atime: (i64, u32),
    /// When its content was changed last.
    pub mtime: (i64, u32),
    /// When anything of it was changed last.
    pub ctime: (i64, u32),
}

impl Looked {
    /// The next one that came back.
    pub fn read(from: &mut impl Read) -> std::io::Result<Self> {
        const STATX_ATTR_MOUNT_ROOT: u64 = 0x2000;
        let mut record = Record([0; RECORD]);
        from.read_exact(&mut record.0)?;
        Ok(Self {
            mount: record.of_statx(offset_of!(libc::statx, stx_mnt_id)),
            is_root: record.of_statx(offset_of!(libc::statx, stx_attributes)) & STATX_ATTR_MOUNT_ROOT != 0,
            is_kernels: fs::KERNELS.contains(&record.word(offset_of!(libc::statfs, f_type))),
            stat: record.stat(),
        })
    }
}

/// A struct statfs, and behind it a struct statx.
const RECORD: usize = size_of::<libc::statfs>() + size_of::<libc::statx>();

struct Record([u8; RECORD]);

impl Record {
    fn word(&self, at: usize) -> u64 {
        self.0[at..].first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes))
    }

    fn of_statx(&self, at: usize) -> u64 {
        self.word(size_of::<libc::statfs>() + at)
    }

    fn half(&self, at: usize) -> u32 {
        let at = size_of::<libc::statfs>() + at;
        self.0[at..].first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    }

    fn device(&self, major: usize, minor: usize) -> u64 {
        libc::makedev(self.half(major), self.half(minor))
    }

    fn time(&self, at: usize) -> (i64, u32) {
        let nanoseconds = at + offset_of!(libc::statx_timestamp, tv_nsec);
        (self.of_statx(at + offset_of!(libc::statx_timestamp, tv_sec)) as i64, self.half(nanoseconds))
    }

    fn stat(&self) -> FileStat {
        FileStat {
            dev: self.device(offset_of!(libc::statx, stx_dev_major), offset_of!(libc::statx, stx_dev_minor)),
            ino: self.of_statx(offset_of!(libc::statx, stx_ino)),
            // It has 16 bits.
            mode: self.half(offset_of!(libc::statx, stx_mode)) & 0xffff,
            nlink: self.half(offset_of!(libc::statx, stx_nlink)),
            uid: self.half(offset_of!(libc::statx, stx_uid)),
            gid: self.half(offset_of!(libc::statx, stx_gid)),
            rdev: self.device(offset_of!(libc::statx, stx_rdev_major), offset_of!(libc::statx, stx_rdev_minor)),
            size: self.of_statx(offset_of!(libc::statx, stx_size)),
            blksize: self.half(offset_of!(libc::statx, stx_blksize)),
            blocks: self.of_statx(offset_of!(libc::statx, stx_blocks)),
            atime: self.time(offset_of!(libc::statx, stx_atime)),
            mtime: self.time(offset_of!(libc::statx, stx_mtime)),
            ctime: self.time(offset_of!(libc::statx, stx_ctime)),
        }
    }
}

/// Looks at what is in `slot`, and writes to the pipe `looks` what it is.
pub fn look(plan: &mut Plan<'_>, slot: Slot, looks: Slot) {
    let (record, empty) = (plan.data(&[0; RECORD], 8), plan.string(c""));
    plan.fstatfs(slot, record);
    statx(plan, slot, empty, AtFlags::AT_EMPTY_PATH, record);
    send(plan, looks, record);
}

/// The same for a name, of which the file system is not asked.
pub(super) fn look_at(plan: &mut Plan<'_>, dir: impl Into<At>, name: Arg, looks: Slot) {
    let record = plan.data(&[0; RECORD], 8);
    statx(plan, dir, name, AtFlags::AT_SYMLINK_NOFOLLOW, record);
    send(plan, looks, record);
}

fn statx(plan: &mut Plan<'_>, dir: impl Into<At>, path: Arg, flags: AtFlags, record: Arg) {
    const STATX_MNT_ID: u32 = 0x1000;
    let Arg::Data(at) = record else { return };
    let into = Arg::Data(at + size_of::<libc::statfs>());
    plan.statx(dir, path, flags, libc::STATX_BASIC_STATS | STATX_MNT_ID, into);
}

fn send(plan: &mut Plan<'_>, looks: Slot, record: Arg) {
    plan.write(looks, record, RECORD);
}
