//! Numbers of the mount API that libc and nix lack; see mount_setattr(2), fsopen(2), open_tree(2), move_mount(2).

pub const FSOPEN_CLOEXEC: u32 = 1;
pub const FSCONFIG_SET_FLAG: u32 = 0;
pub const FSCONFIG_SET_STRING: u32 = 1;
pub const FSCONFIG_CMD_CREATE: u32 = 6;
pub const FSCONFIG_CMD_RECONFIGURE: u32 = 7;
pub const FSPICK_CLOEXEC: u32 = 1;
pub const FSPICK_EMPTY_PATH: u32 = 8;
pub const FSMOUNT_CLOEXEC: u32 = 1;

/// Flags of one kind of call, which no other takes.
macro_rules! flags {
    ($(#[$doc:meta])* $name:ident($number:ty): $($flag:ident = $value:expr),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name($number);

        $(pub const $flag: $name = $name($value);)+

        impl $name {
            pub const fn bits(self) -> $number {
                self.0
            }

            pub const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }

        impl std::ops::BitOr for $name {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                self.union(other)
            }
        }
    };
}

flags! {
    /// What fsmount(2) and mount_setattr(2) give a mount.
    MountAttributes(u64):
    MOUNT_ATTR_RDONLY = 1,
    MOUNT_ATTR_NOSUID = 2,
    MOUNT_ATTR_NODEV = 4,
    MOUNT_ATTR_NOEXEC = 8,
    MOUNT_ATTR_IDMAP = 0x10_0000,
}

flags! {
    /// Of move_mount(2).
    MoveFlags(u32):
    MOVE_MOUNT_F_EMPTY_PATH = 4,
    MOVE_MOUNT_T_EMPTY_PATH = 0x40,
}

flags! {
    /// Of open_tree(2) and, but for the first two, of mount_setattr(2).
    TreeFlags(u32):
    OPEN_TREE_CLONE = 1,
    OPEN_TREE_CLOEXEC = libc::O_CLOEXEC as u32,
    AT_RECURSIVE = 0x8000,
    AT_EMPTY_PATH = 0x1000,
}
