//! Which ids a container's user namespace has; see user_namespaces(7).

use std::ffi::CString;
use std::sync::Arc;

use super::state::StateDir;
use super::subids::SubIds;
use crate::Namespace;
use crate::init::wire::{DENY_SETGROUPS, ID_RANGE, MAP_BY_PROGRAM};
use crate::plan::{Header, Plan};
use crate::zygote::Zygote;

/// How ids inside are mapped to ids outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ids {
    /// The host's user namespace.
    Host,
    /// Another's user namespace; whether it has more ids than one.
    Joined { many: bool },
    /// A range that no other container has. The caller is root of the machine.
    Range,
    /// The caller is root, but in a user namespace itself: the same ids as outside, 0 to this.
    Same(u64),
    /// The caller is an ordinary user with ranges of ids: root inside is the caller outside, the others are from the ranges.
    Sub(Arc<SubIds>),
    /// The caller is an ordinary user: root inside is the caller outside, and there is nobody else, for this reason.
    Single { uid: u32, gid: u32, why: String },
}

impl Ids {
    /// What this thread, whose zygote it is, may give a new user namespace. What a container `keeps_files` with has to be
    /// removable by this user afterwards, who has no rights over files of the ids in his ranges.
    pub fn of(zygote: &Zygote, state: &StateDir, namespace: &Namespace, keeps_files: bool) -> Self {
        match namespace {
            Namespace::New => {}
            Namespace::Host => return Self::Host,
            Namespace::Pid(pid) => return Self::Joined { many: has_many_ids(&pid.to_string()) },
            // A namespace that is bound to a file of its own doesn't tell; then it is one with many ids, as root's are.
            Namespace::Path(path) => {
                let of_process =
                    path.strip_prefix("/proc").ok().and_then(|rest| rest.to_str()?.strip_suffix("/ns/user"));
                return Self::Joined { many: of_process.is_none_or(has_many_ids) };
            }
            Namespace::Container(name) => {
                let many = state.find(name).is_ok_and(|(record, _)| record.exec.many_ids);
                return Self::Joined { many };
            }
        }
        match zygote.mapped_ids() {
            Some(count) if count >= u64::from(u32::MAX) => Self::Range,
            Some(count) => Self::Same(count),
            None if keeps_files => Self::single("files of other ids on disk could not be removed by this user".into()),
            None => SubIds::of_this_user().map_or_else(|missing| Self::single(missing.0), Self::Sub),
        }
    }

    /// A single id, for this reason.
    pub fn single(why: String) -> Self {
        Self::Single { uid: nix::unistd::geteuid().as_raw(), gid: nix::unistd::getegid().as_raw(), why }
    }

    /// More ids than 0 exist inside.
    pub fn many(&self) -> bool {
        !matches!(self, Self::Single { .. } | Self::Joined { many: false })
    }

    /// The namespace is new.
    pub fn are_new(&self) -> bool {
        !matches!(self, Self::Host | Self::Joined { .. })
    }

    /// Directories can be id-mapped, and have to be: it takes rights over the file system they lie on.
    pub fn can_map(&self) -> bool {
        *self == Self::Range
    }

    /// Puts the maps into a SPAWN.
    pub fn put(&self, header: &mut Header, stem: &mut Plan<'_>, ranges: CString) {
        match self {
            Self::Host | Self::Joined { .. } => {}
            Self::Range => {
                header.flags |= ID_RANGE;
                header.ranges = Some(stem.string(&ranges));
            }
            Self::Same(count) => {
                let map = format!("0 0 {count}\n");
                let text = (stem.bytes(&map), map.len());
                header.maps = [Some(text); 2];
            }
            Self::Sub(ids) => {
                header.flags |= MAP_BY_PROGRAM;
                header.maps = ids.vectors().map(|words| Some((stem.strings(&words), words.len())));
            }
            Self::Single { uid, gid, .. } => {
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
            Self::Host | Self::Joined { .. } | Self::Sub(_) => String::new(),
            Self::Range => " --map-users=0:$RANGE:65536 --map-groups=0:$RANGE:65536".into(),
            Self::Same(count) => format!(" --map-users=0:0:{count} --map-groups=0:0:{count}"),
            Self::Single { .. } => " --map-root-user".into(),
        }
    }

    /// What is said about ids beside the command that makes the namespaces: what for, and what else to type.
    pub fn explain_map(&self, stem: &mut Plan<'_>) {
        match self {
            Self::Sub(ids) => stem.step(
                "map the ids of",
                "the user namespace",
                "from another shell, with $PID of the one inside: root inside is this user, 1 to 65535 are from his ranges \
                 in /etc/subuid and /etc/subgid",
                ids.commands(),
            ),
            Self::Single { why, .. } => stem.step(
                "map the ids of",
                "the user namespace",
                format!("root inside is this user, and there is no other id: {why}"),
                "cat /proc/self/uid_map /proc/self/gid_map",
            ),
            _ => {}
        }
    }
}

/// Whether more than one id is mapped in the user namespace of process `pid`; where there is one, setgroups(2) is refused
/// too.
pub fn has_many_ids(pid: &str) -> bool {
    let map = std::fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap_or_default();
    let counts = map.split_ascii_whitespace().skip(2).step_by(3);
    counts.filter_map(|count| count.parse::<u64>().ok()).sum::<u64>() > 1
}
