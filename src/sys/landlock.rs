//! Landlock, landlock(7): what libc has no names for, and the one call that asks only.

/// Struct landlock_ruleset_attr: handled_access_fs, handled_access_net, scoped.
pub type RulesetAttr = [u64; 3];

pub const CREATE_RULESET_VERSION: u32 = 1;
pub const RULE_PATH_BENEATH: u32 = 1;

pub const ACCESS_FS_MAKE_CHAR: u64 = 1 << 6;
pub const ACCESS_FS_MAKE_BLOCK: u64 = 1 << 11;
/// ABI 2. What is not handled may never be moved between directories, so it is always handled.
pub const ACCESS_FS_REFER: u64 = 1 << 13;
/// ABI 5.
pub const ACCESS_FS_IOCTL_DEV: u64 = 1 << 15;
/// ABI 6.
pub const SCOPE_ABSTRACT_UNIX_SOCKET: u64 = 1;
/// ABI 6.
pub const SCOPE_SIGNAL: u64 = 2;

/// landlock_create_ruleset(2) with LANDLOCK_CREATE_RULESET_VERSION: the ABI of this kernel, 0 where it has none or where it
/// is turned off.
pub fn landlock_abi() -> u32 {
    // SAFETY: with this flag the call reads no memory and makes nothing.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, CREATE_RULESET_VERSION)
    };
    u32::try_from(version).unwrap_or(0)
}
