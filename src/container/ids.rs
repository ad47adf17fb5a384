//! Which ids a container's user namespace has; see user_namespaces(7).

use std::ffi::CString;
use std::sync::Arc;

use ctr_wire::{ID_RANGE, RANGE, SHARED_RANGE};

use super::state::StateDir;
use crate::helper::{SubIds, put_single};
use crate::image::Id;
use crate::plan::{Header, Plan};
use crate::zygote::{Pieces, Zygote};
use crate::{Error, Namespace, Result, Step};

/// How ids inside are mapped to ids outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ids {
    /// The host's user namespace.
    Host,
    /// Another's user namespace; whether it has more ids than one.
    Joined { many: bool },
    /// A range that no other container has. The caller is root of the machine.
    Range,
    /// The range that containers of images that can't be id-mapped share; these files belong to it. The caller is root of the
    /// machine.
    Shared,
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

    /// Whether a container with this choice of a user namespace has [`Ids::Range`] or [`Ids::Shared`].
    pub fn are_a_range(zygote: &Zygote, namespace: &Namespace) -> bool {
        *namespace == Namespace::New && zygote.maps_all_ids()
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

    /// The groups inside that sysctl net.ipv4.ping_group_range can be opened to: 0 and the last one. Both have to exist, and the
    /// kernel wants them in the same order outside.
    pub fn ping_groups(&self) -> u64 {
        const MAX: u64 = i32::MAX as u64;
        let last = match self {
            Self::Host => MAX,
            Self::Joined { many: true } | Self::Range | Self::Shared => u64::from(RANGE) - 1,
            Self::Joined { many: false } | Self::Single { .. } => 0,
            Self::Same([_, gids]) => {
                let of_root = gids.iter().find(|&&(first, _)| first == 0);
                of_root.map_or(0, |&(_, count)| count - 1)
            }
            Self::Sub(ids) => ids.last_group_above_own(),
        };
        last.min(MAX)
    }

    /// The namespace is new.
    pub fn are_new(&self) -> bool {
        !matches!(self, Self::Host | Self::Joined { .. })
    }

    /// Directories can be id-mapped, and have to be: it takes rights over the file system they lie on.
    pub fn can_map(&self) -> bool {
        matches!(self, Self::Range | Self::Shared)
    }

    /// Puts the maps into a SPAWN.
    pub fn put(&self, header: &mut Header, setup: &mut Plan<'_>, ranges: CString) {
        match self {
            Self::Host | Self::Joined { .. } => {}
            Self::Range => {
                header.flags |= ID_RANGE;
                header.ranges = Some(setup.string(&ranges));
            }
            Self::Shared => {
                let map = format!("0 {SHARED_RANGE} {RANGE}\n");
                header.maps = [(); 2].map(|()| Some((setup.bytes(&map), map.len())));
            }
            Self::Same(maps) => {
                header.maps = maps.each_ref().map(|pieces| {
                    let lines = pieces.iter().take(MAX_PIECES);
                    let map: String = lines.map(|(first, count)| format!("{first} {first} {count}\n")).collect();
                    Some((setup.bytes(&map), map.len()))
                });
            }
            Self::Sub(ids) => ids.put(header, setup),
            Self::Single { uid, gid, .. } => put_single(header, setup, [*uid, *gid]),
        }
    }

    /// What a person types to have a user namespace with these ids, with $PID in it, which takes rights that nobody has inside;
    /// nothing where unshare(1) makes it with the others.
    pub fn explain_owner(&self) -> Option<String> {
        let maps = match self {
            Self::Host | Self::Joined { .. } | Self::Single { .. } => return None,
            Self::Range => "for map in uid_map gid_map; do echo 0 $RANGE 65536 > /proc/$PID/$map; done".into(),
            Self::Shared => {
                format!("for map in uid_map gid_map; do echo 0 {SHARED_RANGE} {RANGE} > /proc/$PID/$map; done")
            }
            Self::Same(maps) => {
                let [uids, gids] = maps.each_ref().map(|pieces| {
                    let lines = pieces.iter().take(MAX_PIECES);
                    lines.map(|(first, count)| format!("{first} {first} {count}\\n")).collect::<String>()
                });
                format!("printf '{gids}' > /proc/$PID/gid_map; printf '{uids}' > /proc/$PID/uid_map")
            }
            Self::Sub(ids) => ids.commands(),
        };
        Some(format!("unshare --user sleep 600 & export PID=$!; sleep 0.5; {maps}"))
    }

    /// What they are, in words.
    pub fn words(&self) -> String {
        match self {
            Self::Host => "the host's".into(),
            Self::Joined { .. } => "those of the joined user namespace".into(),
            Self::Range => "root inside owns nothing outside: 65536 ids that no other container has".into(),
            Self::Shared => format!(
                "root inside owns nothing outside but copies of images: {RANGE} ids that all containers of stores on file systems \
                 without id-mapped mounts share"
            ),
            Self::Same(_) => "the same ids as outside, without their rights".into(),
            Self::Sub(ids) => {
                format!("root inside is this user, the others are from this user's ranges: {}", ids.commands())
            }
            Self::Single { why, .. } => format!(
                "root inside is this user, and there is no other id, so all files of the image are root's inside: {why}"
            ),
        }
    }

    /// Why there is no other id than root's, where a person may look.
    pub fn explain_map(&self, setup: &mut Plan<'_>) {
        if let Self::Single { .. } = self {
            setup.step(Step::MapIds, "the user namespace", self.words(), "cat /proc/self/uid_map /proc/self/gid_map");
        }
    }
}

/// So many lines surely fit into a page, which is all that can be written to uid_map.
const MAX_PIECES: usize = 100;

/// Whether more than one id is mapped in the user namespace of process `pid`; where there is one, setgroups(2) is refused
/// too.
pub fn has_many_ids(pid: &str) -> bool {
    let map = crate::sys::file::read_to_string(format!("/proc/{pid}/uid_map")).unwrap_or_default();
    let counts = map.split_ascii_whitespace().skip(2).step_by(3);
    counts.filter_map(|count| count.parse::<u64>().ok()).sum::<u64>() > 1
}

/// The maps of a process's user namespace, the other way round: what a host's id is inside.
#[derive(PartialEq, Eq)]
pub struct Inside {
    users: Vec<[u32; 3]>,
    groups: Vec<[u32; 3]>,
}

impl Inside {
    /// Those of the process `pid`, as this process sees the ids outside.
    pub fn of(pid: i32) -> Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            let text = crate::sys::file::read_to_string(&path).map_err(|e| Error::io(Step::Read, &path, &e))?;
            Ok(text.lines().filter_map(line).collect())
        };
        Ok(Self { users: read("uid_map")?, groups: read("gid_map")? })
    }

    /// Whether there is this id inside.
    pub fn has(&self, id: Id) -> bool {
        let (id, ranges) = match id {
            Id::User(id) => (id, &self.users),
            Id::Group(id) => (id, &self.groups),
        };
        ranges.iter().any(|&[inside, _, count]| id.checked_sub(inside).is_some_and(|offset| offset < count))
    }

    /// What the first user inside is outside.
    pub fn first(&self) -> Option<u32> {
        self.users.first().map(|&[_, outside, _]| outside)
    }

    /// Maps of users and groups for a mount on which `owner`, a user and a group of the host, are `inside`. Where the owner is root,
    /// these are the owner inside, and all others what they are on the host; else there is nobody but the owner: whatever is
    /// made there is the owner's. `None` where there is no such user or group inside.
    pub fn with_owner(&self, owner: [u32; 2], inside: [u32; 2]) -> Option<[String; 2]> {
        let map = if owner[0] == 0 { swapped } else { alone };
        Some([map(&self.users, owner[0], inside[0])?, map(&self.groups, owner[1], inside[1])?])
    }

    /// The id inside; `None` where the namespace has none for it.
    pub fn map(&self, id: Id) -> Option<u32> {
        let (id, ranges) = match id {
            Id::User(id) => (id, &self.users),
            Id::Group(id) => (id, &self.groups),
        };
        ranges.iter().find_map(|&[inside, outside, count]| {
            let offset = id.checked_sub(outside)?;
            (offset < count).then(|| inside + offset)
        })
    }
}

fn outside(map: &[[u32; 3]], id: u32) -> Option<u32> {
    let in_piece =
        |&[first, outside, count]: &[u32; 3]| id.checked_sub(first).filter(|&at| at < count).map(|at| outside + at);
    map.iter().find_map(in_piece)
}

/// The line of such a map with this id of files alone.
fn alone(map: &[[u32; 3]], owner: u32, inside: u32) -> Option<String> {
    Some(format!("{owner} {} 1\n", outside(map, inside)?))
}

/// Lines of such a map: the ids of files as they are inside, but these two for one another.
fn swapped(map: &[[u32; 3]], owner: u32, inside: u32) -> Option<String> {
    let mut lines = alone(map, owner, inside)?;
    if let Some(other) = outside(map, owner).filter(|_| owner != inside) {
        lines += &format!("{inside} {other} 1\n");
    }
    let mut cuts = [u64::from(owner), u64::from(inside)];
    cuts.sort_unstable();
    for piece in map {
        let [first, outside, count] = piece.map(u64::from);
        let mut from = first;
        for to in cuts.into_iter().chain([first + count]) {
            let end = to.clamp(from, first + count);
            if end > from {
                lines += &format!("{from} {} {}\n", outside + from - first, end - from);
            }
            from = from.max((to + 1).clamp(first, first + count));
        }
    }
    Some(lines)
}

/// A line of /proc/PID/uid_map: the first id inside, the first outside, how many.
fn line(line: &str) -> Option<[u32; 3]> {
    let numbers: Vec<u32> = line.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect();
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_changes_places_with_who_has_its_id_inside() {
        let range = [[0, 1000, 100]];
        assert_eq!(swapped(&range, 0, 33).unwrap(), "0 1033 1\n33 1000 1\n1 1001 32\n34 1034 66\n");
        assert_eq!(swapped(&range, 500, 0).unwrap(), "500 1000 1\n1 1001 99\n");
        assert_eq!(swapped(&range, 7, 7).unwrap(), "7 1007 1\n0 1000 7\n8 1008 92\n");
        assert_eq!(swapped(&range, 99, 98).unwrap(), "99 1098 1\n98 1099 1\n0 1000 98\n");
        assert_eq!(swapped(&[[0, 0, u32::MAX]], 1, 0).unwrap(), "1 0 1\n0 1 1\n2 2 4294967293\n");
        assert_eq!(swapped(&range, 0, 100), None);
        assert_eq!((alone(&range, 4711, 33).unwrap().as_str(), alone(&range, 4711, 100)), ("4711 1033 1\n", None));
    }

    #[test]
    fn ids_outside_are_found_inside_or_not_at_all() {
        let ranges = ["         0 1073741824      65536", "  70000  5 1"];
        let ids = Inside { users: ranges.iter().filter_map(|text| line(text)).collect(), groups: Vec::new() };
        for (outside, inside) in [
            (0x4000_0000, Some(0)),
            (0x4000_ffff, Some(65535)),
            (0x4001_0000, None),
            (5, Some(70000)),
            (6, None),
            (u32::MAX, None),
        ] {
            assert_eq!(ids.map(Id::User(outside)), inside, "{outside}");
        }
        assert_eq!(ids.map(Id::Group(0x4000_0000)), None);
    }
}
