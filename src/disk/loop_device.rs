//! Loop devices, loop(4): a device is had for as long as something uses it, and no longer, whoever is killed when. It lets go of its
//! file with its last use (LO_FLAGS_AUTOCLEAR, which it has from its first moment), be that the mount or a descriptor of ours. Its name
//! is a random one, by which it is told from one that others have under the same number by then.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::source::Source;
use crate::sys::loop_device::{self, Info, LO_FLAGS_AUTOCLEAR, LO_FLAGS_READ_ONLY, LO_NAME_SIZE};
use crate::{Error, ErrorCode, Result, Step, hints, sys};

/// How long the last use may take to end, where it is known that it does.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// A device that was free a moment ago.
pub struct Loop {
    pub number: u32,
    device: OwnedFd,
}

impl Loop {
    /// One that nobody uses.
    pub fn free(source: &Source) -> Result<Self> {
        let fail = |errno: Errno, hint| {
            let code = if errno == Errno::ENOSPC { ErrorCode::System } else { ErrorCode::Unsupported };
            let error = Error::system(Step::MakeLoopDevice, source.path.display(), errno as i32);
            error.with_code(code).with_hint(hint)
        };
        let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let control = sys::open("/dev/loop-control", flags, Mode::empty());
        let control = control.map_err(|errno| fail(errno, hints::LOOP.into()))?;
        let number = loop_device::get_free(&control).map_err(|errno| fail(errno, hints::LOOP.into()))?;
        let access = if source.read_only { OFlag::O_RDONLY } else { OFlag::O_RDWR };
        let device = sys::open(&path(number), access | OFlag::O_CLOEXEC, Mode::empty());
        let device = device.map_err(|errno| fail(errno, hints::loop_node(number)))?;
        Ok(Self { number, device })
    }

    /// Gives it the blocks of the source. EBUSY: another process has taken it meanwhile.
    pub fn configure(&self, source: &Source, tag: &str) -> nix::Result<()> {
        let mut info = Info::default();
        if let Some(part) = source.part {
            (info.offset, info.sizelimit) = (part.offset, part.length);
        }
        info.flags = LO_FLAGS_AUTOCLEAR | if source.read_only { LO_FLAGS_READ_ONLY } else { 0 };
        info.file_name = name(tag);
        loop_device::configure(&self.device, &source.file, &info)
    }

    /// Where it is. It stays this one as long as this handle is there.
    pub fn path(&self) -> PathBuf {
        path(self.number)
    }
}

/// Waits so long until the device of this number is none any more that has this name.
pub fn has_gone(number: u32, tag: &str, patience: Duration) -> Result<()> {
    let start = Instant::now();
    while is_there(number, tag) {
        if start.elapsed() >= patience {
            let why = "EBUSY, something still uses it";
            let path = path(number);
            return Err(Error::new(ErrorCode::System, Step::FreeLoopDevice, path.display(), libc::EBUSY, why)
                .with_hint("it is free when that ends; losetup -l shows it"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Our own look is a use as well, and were it the last one the device would let go by its end.
fn is_there(number: u32, tag: &str) -> bool {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let device = sys::open(&path(number), flags, Mode::empty());
    device.is_ok_and(|device| has_name(&device, tag))
}

fn has_name(device: impl AsFd, tag: &str) -> bool {
    loop_device::get_status(device).is_ok_and(|info| info.file_name == name(tag))
}

fn path(number: u32) -> PathBuf {
    PathBuf::from(format!("/dev/loop{number}"))
}

fn name(tag: &str) -> [u8; LO_NAME_SIZE] {
    let mut name = [0; LO_NAME_SIZE];
    // The kernel ends it with a NUL.
    let length = tag.len().min(LO_NAME_SIZE - 1);
    name[..length].copy_from_slice(&tag.as_bytes()[..length]);
    name
}
