//! The calls on mounts, for the rooms that put file systems together: those of mount(2), and those of open_tree(2) and fsopen(2).

use std::ffi::CStr;

use nix::mount::{MntFlags, MsFlags};

use super::{Arg, At, CWD, Call, Plan, Slot};
use crate::sys::mount::{
    AT_RECURSIVE, FSCONFIG_CMD_CREATE, FSCONFIG_CMD_RECONFIGURE, FSCONFIG_SET_STRING, FSMOUNT_CLOEXEC, FSOPEN_CLOEXEC,
    FSPICK_CLOEXEC, FSPICK_EMPTY_PATH, MOUNT_ATTR_IDMAP, MountAttributes, MoveFlags, TreeFlags,
};

impl Plan<'_> {
    /// mount: what is mounted below `path` from now on spreads so, in all of it: MS_SLAVE, MS_PRIVATE.
    pub fn propagate(&mut self, path: &CStr, how: MsFlags) -> &mut Call {
        let path = self.string(path);
        self.call(libc::SYS_mount, [0.into(), path, 0.into(), (MsFlags::MS_REC | how).bits().into()])
    }

    /// umount2(2).
    pub fn umount2(&mut self, path: Arg, flags: MntFlags) -> &mut Call {
        self.call(libc::SYS_umount2, [path, flags.bits().into()])
    }

    /// pivot_root(2).
    pub fn pivot_root(&mut self, new: Arg, old: Arg) -> &mut Call {
        self.call(libc::SYS_pivot_root, [new, old])
    }

    /// mount_setattr(2), MOUNT_ATTR_IDMAP: owners of files are as this user namespace maps them.
    pub fn set_id_map(&mut self, tree: Slot, path: Arg, namespace: Slot, flags: TreeFlags) -> &mut Call {
        let attr = self.data(&mount_attr(MOUNT_ATTR_IDMAP), 8);
        // Its last word is the descriptor.
        self.patch(attr, 24, namespace);
        self.call(libc::SYS_mount_setattr, [tree.into(), path, flags.bits().into(), attr, 32.into()])
    }

    /// open_tree(2).
    pub fn open_tree(&mut self, dir: impl Into<At>, path: Arg, flags: TreeFlags) -> &mut Call {
        self.call(libc::SYS_open_tree, [dir.into().0, path, flags.bits().into()])
    }

    /// move_mount(2).
    pub fn move_mount(&mut self, from: (impl Into<At>, Arg), to: (impl Into<At>, Arg), flags: MoveFlags) -> &mut Call {
        self.call(libc::SYS_move_mount, [from.0.into().0, from.1, to.0.into().0, to.1, flags.bits().into()])
    }

    /// fsopen(2), close-on-exec.
    pub fn fsopen(&mut self, kind: Arg) -> &mut Call {
        self.call(libc::SYS_fsopen, [kind, FSOPEN_CLOEXEC.into()])
    }

    /// fspick(2) of the root of a mount, to reconfigure its file system; close-on-exec.
    pub fn fspick(&mut self, root: Slot, empty: Arg) -> &mut Call {
        self.call(libc::SYS_fspick, [root.into(), empty, (FSPICK_CLOEXEC | FSPICK_EMPTY_PATH).into()])
    }

    /// fsconfig(2), FSCONFIG_CMD_RECONFIGURE.
    pub fn fsconfig_reconfigure(&mut self, context: Slot) -> &mut Call {
        let command = FSCONFIG_CMD_RECONFIGURE.into();
        self.call(libc::SYS_fsconfig, [context.into(), command, 0.into(), 0.into(), 0.into()])
    }

    /// fsconfig(2), FSCONFIG_SET_STRING.
    pub fn fsconfig_set_string(&mut self, context: Slot, key: Arg, value: Arg) -> &mut Call {
        self.call(libc::SYS_fsconfig, [context.into(), FSCONFIG_SET_STRING.into(), key, value, 0.into()])
    }

    /// fsconfig(2), FSCONFIG_CMD_CREATE.
    pub fn fsconfig_create(&mut self, context: Slot) -> &mut Call {
        self.call(libc::SYS_fsconfig, [context.into(), FSCONFIG_CMD_CREATE.into(), 0.into(), 0.into(), 0.into()])
    }

    /// fsmount(2), close-on-exec.
    pub fn fsmount(&mut self, context: Slot, attributes: MountAttributes) -> &mut Call {
        self.call(libc::SYS_fsmount, [context.into(), FSMOUNT_CLOEXEC.into(), attributes.bits().into()])
    }

    /// mount: a new file system of this kind at `target`. `flags` are MS_*.
    pub fn mount(&mut self, kind: &CStr, target: &CStr, flags: libc::c_ulong, options: &CStr) -> &mut Call {
        let (kind, target) = (self.string(kind), self.string(target));
        let options = if options.is_empty() { 0.into() } else { self.string(options) };
        self.call(libc::SYS_mount, [kind, target, kind, flags.into(), options])
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
