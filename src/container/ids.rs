//! Which ids a container's user namespace has; see user_namespaces(7).

use std::ffi::CString;
use std::sync::Arc;

use super::state::StateDir;
use super::subids::SubIds;
use crate::Namespace;
use crate::init::wire::{DENY_SETGROUPS, ID_RANGE, MAP_BY_PROGRAM};
use crate::plan::{Header, Plan};
use crate::zygote::{Pieces, Zygote};

/// How ids inside are mapped to ids outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ids {
    /// The host's user namespace.
    Host,
    /// Another's user namespace; whether it has more ids than one.
    Joined { many: bool },
    /// A range that no other container has. The caller is root of the machine.
    Range,
    /// The caller is root, but in a user namespace itself: the same uids and gids as outside.
    Same([Pieces; 2]),
    /// The caller is an ordinary user with ranges of ids: root inside is the caller outside, the others are from the ranges.
    Sub(Arc<SubIds>),
    /// The caller is an ordinary user: root inside is the caller outside, and there is nobody else, for this reason.
    Single { uid: u32, gid: u32, why: String },
}

impl Ids {
    /// What this thread, whose zygote it is, may give a new user namespace.
    pub fn of(zygote: &Zygote, state: &StateDir, namespace: &Namespace) -> Self {
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
        match zygote.mapped() {
            Some(_) if zygote.maps_all_ids() => Self::Range,
            Some(maps) => Self::Same(maps.clone()),
            None => SubIds::of_this_user().map_or_else(|missing| Self::single(missing.0), Self::Sub),
        }
    }

    /// A single id, for this reason.
    pub fn single(why: String) -> Self {
        Self::Single { uid: nix::unistd::geteuid().as_raw(), gid: nix::unistd::getegid().as_raw(), why }
    }

    /// More ids than 0 exist inside.
    pub fn many(&self) -> bool {
        match self {
            Self::Single { .. } | Self::Joined { many: false } => false,
            Self::Same([uids, _]) => uids.iter().map(|&(_, count)| count).sum::<u64>() > 1,
            _ => true,
        }
    }

    /// The group tty, which is to own terminals, exists inside.
    pub fn has_tty(&self) -> bool {
        const TTY: u64 = 5;
        match self {
            Self::Same([_, gids]) => gids.iter().any(|&(first, count)| (first..first + count).contains(&TTY)),
            Self::Sub(ids) => ids.gids() > TTY,
            _ => self.many(),
        }
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
            Self::Same(maps) => {
                header.maps = maps.each_ref().map(|pieces| {
                    let lines = pieces.iter().take(MOST_PIECES);
                    let map: String = lines.map(|(first, count)| format!("{first} {first} {count}\n")).collect();
                    Some((stem.bytes(&map), map.len()))
                });
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
            Self::Same([uids, gids]) => {
                let option = |name: &str, pieces: &Pieces| -> String {
                    let pieces = pieces.iter().take(MOST_PIECES);
                    pieces.map(|(first, count)| format!(" --map-{name}={first}:{first}:{count}")).collect()
                };
                option("users", uids) + &option("groups", gids)
            }
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

/// So many lines surely fit into a page, which is all that can be written to uid_map.
const MOST_PIECES: usize = 100;

/// Whether more than one id is mapped in the user namespace of process `pid`; where there is one, setgroups(2) is refused
/// too.
pub fn has_many_ids(pid: &str) -> bool {
    let map = std::fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap_or_default();
    let counts = map.split_ascii_whitespace().skip(2).step_by(3);
    counts.filter_map(|count| count.parse::<u64>().ok()).sum::<u64>() > 1
}
