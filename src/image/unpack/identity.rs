//! Who makes files, and so what they can't have: that is kept in attributes of ctr's own.

use super::super::entry::{Entry, Kind};

/// Where an owner and a mode are kept that the file itself can't have, or not yet: "uid:gid:mode", the mode in octal.
pub(in super::super) const OWNER_XATTR: &str = "user.ctr.owner";
/// Which entry of [`OWED`](crate::image::give::OWED) a file's attributes are in.
pub(in super::super) const OWED_XATTR: &[u8] = b"user.ctr.owed";

/// Who makes the files.
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Root gives files their owners; anyone else makes files of their own only, and keeps the owners in [`OWNER_XATTR`].
    pub(super) is_root: bool,
    /// But has them given, at the end, since they have ranges of ids.
    pub(super) gives: bool,
    /// The umask is 0, so a file has the mode that it was created with.
    pub(super) exact_modes: bool,
}

impl Identity {
    /// The mode that a file of `entry` gets. Someone who is not root must stay able to read their files and to change their
    /// directories, and leaves no setuid program where nobody expects one.
    pub(super) fn mode(&self, entry: &Entry) -> u32 {
        if self.is_root { entry.mode } else { narrowed(entry.kind, entry.mode) }
    }

    /// Whether a file that is the user's own says less than the entry does.
    pub(super) fn must_record(&self, entry: &Entry) -> bool {
        (entry.uid, entry.gid) != (0, 0) || self.mode(entry) != entry.mode
    }

    pub(super) fn must_chown(&self, entry: &Entry) -> bool {
        (entry.uid, entry.gid) != (self.uid, self.gid)
    }
}

/// The attribute that the text of an ACL waits in.
pub(in super::super) fn waiting(record: &[u8]) -> Vec<u8> {
    [b"user.ctr.", record].concat()
}

/// The mode that a file of an ordinary user's has for this one of the archive.
pub(in super::super) fn narrowed(kind: Kind, mode: u32) -> u32 {
    match kind {
        Kind::Directory => (mode & 0o1777) | 0o700,
        _ => (mode & 0o777) | 0o400,
    }
}

/// Attributes that an image may set: those of users (less overlayfs's and our own), file capabilities and ACLs.
/// The rest is this machine's business (security modules) or power over it (trusted).
pub(in super::super) fn is_ours(name: &[u8]) -> bool {
    match name {
        b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default" => true,
        _ => name.starts_with(b"user.") && !name.starts_with(b"user.overlay.") && !name.starts_with(b"user.ctr."),
    }
}
