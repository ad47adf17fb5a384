//! The file system of a disk as a mount that is attached nowhere: fsopen(2), fsconfig(2), fsmount(2), by this process itself, in whose
//! mount namespace devices can be mounted. What the kernel says about one that it refuses becomes the error's.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

use super::options::options;
use super::source::Source;
use crate::plan::c_string;
use crate::sys::fs_context::{create, fsmount, fsopen, messages, set_flag, set_string};
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MountAttributes};
use crate::{Error, ErrorCode, Result, Step, hints};

/// Mounts what is on `device`: the source itself, or the loop device that has it.
pub fn mount(source: &Source, device: &Path) -> Result<OwnedFd> {
    let kind = source.filesystem.name();
    let fail = |errno: Errno| Error::system(Step::MountDisk, source.path.display(), errno as i32);
    let context = fsopen(&c_string(Step::MountDisk, kind)?).map_err(|errno| match errno {
        Errno::ENODEV => {
            let why = format!("ENODEV, the kernel has no {kind}");
            Error::new(ErrorCode::Unsupported, Step::MountDisk, source.path.display(), libc::ENODEV, why)
                .with_hint(format!("as root: modprobe {kind}; /proc/filesystems lists what there is"))
        }
        Errno::EPERM => fail(errno).with_code(ErrorCode::Unsupported).with_hint(hints::DISK_NOT_ROOT),
        _ => fail(errno),
    })?;
    let device = c_string(Step::MountDisk, device.as_os_str().as_bytes())?;
    let options = options(source.filesystem, source.read_only);
    let configured = set_string(&context, c"source", &device)
        .and_then(|()| {
            options.iter().try_for_each(|(key, value)| match value {
                Some(value) => set_string(&context, key, value),
                None => set_flag(&context, key),
            })
        })
        .and_then(|()| create(&context));
    let read_only = if source.read_only { MOUNT_ATTR_RDONLY } else { MountAttributes::default() };
    let noexec = if source.noexec { MOUNT_ATTR_NOEXEC } else { MountAttributes::default() };
    let attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | read_only | noexec;
    configured.and_then(|()| fsmount(&context, attributes)).map_err(|errno| {
        let error = match errno {
            Errno::EPERM | Errno::EACCES => {
                fail(errno).with_code(ErrorCode::Unsupported).with_hint(hints::DISK_NOT_ROOT)
            }
            Errno::EBUSY => fail(errno).with_hint(hints::BUSY_DISK),
            Errno::ENOTBLK | Errno::ENOENT => fail(errno).with_hint(hints::LOOP),
            _ => fail(errno).with_hint(hints::DAMAGED_DISK),
        };
        match said(&messages(&context)) {
            Some(said) => error.so(&format!("the kernel says: {said}")),
            None => error,
        }
    })
}

/// What it said against it, in one line.
fn said(messages: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(messages);
    let against = |line: &str| line.strip_prefix("e ").or_else(|| line.strip_prefix("w ")).map(str::to_string);
    let said: Vec<_> = text.lines().filter_map(against).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_against_it_is_told() {
        assert_eq!(said(b"i hello\ne ext4: bad\nw odd\n").as_deref(), Some("ext4: bad; odd"));
        assert_eq!(said(b"i hello\n"), None);
    }
}
