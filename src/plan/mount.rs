//! The calls of mount(2) and mount_setattr(2), for the rooms that put file systems together.

use std::ffi::CStr;

use super::{At, CWD, Call, Plan};
use crate::sys::mount::{AT_RECURSIVE, MountAttributes, TreeFlags};

impl Plan<'_> {
    /// mount: a new file system of this kind at `target`. `flags` are MS_*.
    pub fn mount(&mut self, kind: &CStr, target: &CStr, flags: libc::c_ulong, options: &CStr) {
        let (kind, target) = (self.string(kind), self.string(target));
        let options = if options.is_empty() { 0.into() } else { self.string(options) };
        self.call(libc::SYS_mount, [kind, target, kind, flags.into(), options]);
    }

    /// mount: what is at `source` at `target` too; with everything below it where it is recursive (MS_REC).
    pub fn bind(&mut self, source: impl AsRef<CStr>, target: impl AsRef<CStr>, recursive: bool) -> &mut Call {
        let (source, target) = (self.string(source), self.string(target));
        let flags = if recursive { libc::MS_BIND | libc::MS_REC } else { libc::MS_BIND };
        self.call(libc::SYS_mount, [source, target, 0.into(), flags.into(), 0.into()])
    }

    /// mount_setattr: sets attributes (MOUNT_ATTR_*) of the mount at `path` below `dir`, and of those below it where it is
    /// recursive.
    pub fn set_attributes(
        &mut self,
        dir: impl Into<At>,
        path: impl AsRef<CStr>,
        attributes: MountAttributes,
        flags: TreeFlags,
    ) -> &mut Call {
        let attr = self.data(&mount_attr(attributes), 8);
        let path = self.string(path);
        self.call(libc::SYS_mount_setattr, [dir.into().into(), path, flags.bits().into(), attr, 32.into()])
    }

    /// The same for everything at and below `path`, relative to the working directory.
    pub fn set_attributes_below(&mut self, path: impl AsRef<CStr>, attributes: MountAttributes) -> &mut Call {
        self.set_attributes(CWD, path, attributes, AT_RECURSIVE)
    }

    /// mkdirat, below the working directory.
    pub fn mkdir(&mut self, path: &CStr, mode: u32) -> &mut Call {
        let path = self.string(path);
        self.mkdirat(CWD, path, mode)
    }

    /// mknodat: an empty file below the working directory, to mount something on.
    pub fn touch(&mut self, path: &CStr, mode: u32) {
        let path = self.string(path);
        self.mknodat(CWD, path, libc::S_IFREG | mode, 0);
    }
}

/// struct mount_attr of mount_setattr(2): attr_set, attr_clr, propagation, userns_fd. Private always: a copy of a shared
/// mount is a peer of it, and what is mounted on the one shows on the other. systemd makes every mount of a host shared.
pub fn mount_attr(attributes: MountAttributes) -> [u8; 32] {
    let mut attr = [0; 32];
    attr[..8].copy_from_slice(&attributes.bits().to_ne_bytes());
    attr[16..24].copy_from_slice(&libc::MS_PRIVATE.to_ne_bytes());
    attr
}
