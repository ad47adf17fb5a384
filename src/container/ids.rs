//! Which ids a container's user namespace has; see user_namespaces(7).

use std::ffi::CString;

use crate::Namespace;
use crate::init::wire::{DENY_SETGROUPS, ID_RANGE};
use crate::plan::{Header, Plan};
use crate::zygote::Zygote;

/// How ids inside are mapped to ids outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ids {
    /// No user namespace of its own.
    Host,
    /// A range that no other container has. The caller is root of the machine.
    Range,
    /// The caller is root, but in a user namespace itself: the same ids as outside, 0 to this.
    Same(u64),
    /// The caller is an ordinary user: root inside is the caller outside, and there is nobody else.
    Single { uid: u32, gid: u32 },
}

impl Ids {
    /// What this thread, whose zygote it is, may give a new user namespace.
    pub fn of(zygote: &Zygote, namespace: &Namespace) -> Self {
        if *namespace != Namespace::New {
            return Self::Host;
        }
        match zygote.mapped_ids() {
            Some(count) if count >= u64::from(u32::MAX) => Self::Range,
            Some(count) => Self::Same(count),
            None => Self::Single { uid: nix::unistd::geteuid().as_raw(), gid: nix::unistd::getegid().as_raw() },
        }
    }

    /// More ids than 0 exist inside.
    pub fn many(&self) -> bool {
        !matches!(self, Self::Single { .. })
    }

    /// The namespace is new.
    pub fn are_new(&self) -> bool {
        *self != Self::Host
    }

    /// Directories can be id-mapped, and have to be: it takes rights over the file system they lie on.
    pub fn can_map(&self) -> bool {
        *self == Self::Range
    }

    /// Puts the maps into a SPAWN.
    pub fn put(&self, header: &mut Header, stem: &mut Plan<'_>, ranges: CString) {
        match self {
            Self::Host => {}
            Self::Range => {
                header.flags |= ID_RANGE;
                header.ranges = Some(stem.string(&ranges));
            }
            Self::Same(count) => {
                let map = format!("0 0 {count}\n");
                let text = (stem.bytes(&map), map.len());
                header.maps = [Some(text); 2];
            }
            Self::Single { uid, gid } => {
                header.flags |= DENY_SETGROUPS;
                header.maps = [uid, gid].map(|id| {
                    let map = format!("0 {id} 1\n");
                    Some((stem.bytes(&map), map.len()))
                });
            }
        }
    }

    /// The options of unshare(1) that do the same.
    pub fn explain(&self) -> String {
        match self {
            Self::Host => String::new(),
            Self::Range => " --map-users=0:$RANGE:65536 --map-groups=0:$RANGE:65536".into(),
            Self::Same(count) => format!(" --map-users=0:0:{count} --map-groups=0:0:{count}"),
            Self::Single { .. } => " --map-root-user".into(),
        }
    }
}
