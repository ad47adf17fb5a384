//! What a user can do about what a machine lacks. An error says it when something fails for it, `probe` says it before
//! anything does: the same words, which stand here only.

/// newuidmap is missing.
pub const UIDMAP: &str = "install the package uidmap or shadow-utils";

/// No ranges of ids, or they are not given.
pub const SUBIDS: &str = "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER, which writes \
     /etc/subuid and /etc/subgid; ranges of two users must not overlap";

/// The programs refused what the files seem to allow.
pub const NEWUIDMAP: &str = "do /etc/subuid and /etc/subgid have lines for this user, as USER:100000:65536, and are newuidmap \
     and newgidmap setuid root?";

/// Container users other than root.
pub const SINGLE_ID: &str = "run it as root inside, or get further ids: python -m ctr doctor says what is missing";
