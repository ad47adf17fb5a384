//! The further ids of an ordinary user: ranges that /etc/subuid and /etc/subgid set aside for them, which newuidmap(1) and
//! newgidmap(1), setuid programs of the system, map for them. See subuid(5), user_namespaces(7).
//!
//! What is used is decided here and by these alone: the two files, the two programs by PATH, this user's name. A user who
//! lacks any of it has the single id 0, and [`Missing`] says what they lack.

use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::plan::{Header, Plan};
use crate::sys::fork_lock::ForkLock;
use crate::zygote::pieces;
use crate::{Error, ErrorCode, Step, hints, sys};
use ctr_wire::{DENY_SETGROUPS, MAP_BY_PROGRAM};
use nix::sys::statvfs::{FsFlags, statvfs};

const FILES: [&str; 2] = ["/etc/subuid", "/etc/subgid"];
const PROGRAMS: [&str; 2] = ["newuidmap", "newgidmap"];

/// As many ids as a container has.
const IDS: u32 = 65536;

/// UID_GID_MAP_MAX_EXTENTS of the kernel is 340; a command line is not to get out of hand either.
const MAX_EXTENTS: usize = 200;

/// One line of a map: so many ids from `inside` on are those from `outside` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub inside: u32,
    pub outside: u32,
    pub count: u32,
}

/// What newuidmap and newgidmap are started with.
#[derive(Debug, PartialEq, Eq)]
pub struct SubIds {
    /// newuidmap and newgidmap.
    programs: [PathBuf; 2],
    /// The uids, the gids.
    maps: [Vec<Extent>; 2],
}

/// Why a user has no further ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(pub String);

/// Whose ids they are, and where they were found; as long as this is the same, they are.
#[derive(PartialEq, Eq)]
struct Key {
    ids: [u32; 2],
    files: [FileKey; 2],
}

/// Device, inode, size, time of change.
type FileKey = (u64, u64, u64, i64, i64);

impl SubIds {
    /// Those of this thread's user.
    pub fn of_this_user() -> Result<Arc<Self>, Missing> {
        type Maps = std::result::Result<[Vec<Extent>; 2], Missing>;
        static KNOWN: ForkLock<Option<(Key, Maps)>> = ForkLock::new(None);
        let file_key = |file: &str| match fs::metadata(file) {
            Ok(it) => Ok((it.dev(), it.ino(), it.size(), it.ctime(), it.ctime_nsec())),
            Err(_) => Err(Missing(format!("there is no {file}"))),
        };
        let key = Key { ids: this_user()?, files: [file_key(FILES[0])?, file_key(FILES[1])?] };
        // Remembered, so that those who have no ranges pay for two looks at the files only.
        let known = KNOWN.lock().as_ref().filter(|(of, _)| *of == key).map(|(_, maps)| maps.clone());
        let maps = known.unwrap_or_else(|| {
            // Without the lock: a user database may be far away.
            let maps = maps(key.ids);
            *KNOWN.lock() = Some((key, maps.clone()));
            maps
        });
        Ok(Arc::new(Self { maps: maps?, programs: [find(PROGRAMS[0])?, find(PROGRAMS[1])?] }))
    }

    /// The arguments of newuidmap and of newgidmap, behind the pid.
    fn arguments(&self) -> [Vec<String>; 2] {
        let words = |map: &Vec<Extent>| {
            map.iter().flat_map(|it| [it.inside, it.outside, it.count]).map(|number| number.to_string()).collect()
        };
        [words(&self.maps[0]), words(&self.maps[1])]
    }

    /// How many gids a container has.
    pub fn gids(&self) -> u64 {
        self.maps[1].iter().map(|it| u64::from(it.count)).sum()
    }

    /// The last gid inside that lies, outside, above the one that root's is.
    pub fn last_group_above_own(&self) -> u64 {
        let own = self.maps[1].iter().find(|it| it.inside == 0).map_or(u32::MAX, |it| it.outside);
        let above = self.maps[1].iter().filter(|it| it.outside >= own);
        above.map(|it| u64::from(it.inside) + u64::from(it.count) - 1).max().unwrap_or(0)
    }

    /// What a uid (0) or gid (1) of the host is inside.
    pub fn inside(&self, which: usize, id: u32) -> Option<u32> {
        self.maps[which].iter().find_map(|it| {
            let offset = id.checked_sub(it.outside)?;
            (offset < it.count).then(|| it.inside + offset)
        })
    }

    /// Whether there are this uid and this gid inside.
    pub fn has(&self, uid: u32, gid: u32) -> bool {
        let has =
            |map: &[Extent], id: u32| map.iter().any(|it| id.checked_sub(it.inside).is_some_and(|at| at < it.count));
        has(&self.maps[0], uid) && has(&self.maps[1], gid)
    }

    /// The maps as a text, so that it can be told later whether they still are the same: a line each.
    pub fn text(&self) -> String {
        self.arguments().map(|words| words.join(" ") + "\n").concat()
    }

    /// Whether files that were given away by the maps of this text belong to the same ids inside now.
    pub fn covers(&self, text: &str) -> bool {
        let lines: Vec<_> = text.lines().collect();
        lines.len() == 2
            && lines.iter().zip(&self.maps).all(|(line, map)| {
                let numbers: Vec<u32> = line.split(' ').filter_map(|number| number.parse().ok()).collect();
                numbers.as_chunks::<3>().0.iter().all(|&[inside, outside, count]| is_in(map, inside, outside, count))
            })
    }

    /// The argument vectors, with a second argument that has room for any pid.
    fn vectors(&self) -> [Vec<Vec<u8>>; 2] {
        use std::os::unix::ffi::OsStrExt;
        let arguments = self.arguments();
        std::array::from_fn(|i| {
            let program = self.programs[i].as_os_str().as_bytes().to_vec();
            let arguments = arguments[i].iter().map(|word| word.as_bytes().to_vec());
            [program, b"0000000000".to_vec()].into_iter().chain(arguments).collect()
        })
    }

    /// Has a process be spawned with these maps.
    pub fn put(&self, header: &mut Header, setup: &mut Plan<'_>) {
        header.flags |= MAP_BY_PROGRAM;
        header.maps = self.vectors().map(|words| Some((setup.strings(&words), words.len())));
    }

    /// What a person would type.
    pub fn commands(&self) -> String {
        let [uids, gids] = self.arguments().map(|words| words.join(" "));
        let [newuidmap, newgidmap] = [0, 1].map(|i| crate::plan::quote(&self.programs[i].to_string_lossy()));
        format!("{newgidmap} $PID {gids} && {newuidmap} $PID {uids}")
    }
}

/// Has a process be spawned with one id, this uid and this gid as 0.
pub fn put_single(header: &mut Header, setup: &mut Plan<'_>, ids: [u32; 2]) {
    header.flags |= DENY_SETGROUPS;
    header.maps = ids.map(|id| {
        let map = format!("0 {id} 1\n");
        Some((setup.bytes(&map), map.len()))
    });
}

/// Whether `map` maps the `count` ids from `inside` on to those from `outside` on.
fn is_in(map: &[Extent], mut inside: u32, mut outside: u32, mut count: u32) -> bool {
    while count > 0 {
        let piece = map.iter().find(|it| {
            inside.checked_sub(it.inside).is_some_and(|at| at < it.count && it.outside.checked_add(at) == Some(outside))
        });
        let Some(piece) = piece else { return false };
        let here = (piece.count - (inside - piece.inside)).min(count);
        (inside, outside, count) = (inside.wrapping_add(here), outside.wrapping_add(here), count - here);
    }
    true
}

/// The maps of a user, as the files are now.
fn maps([uid, gid]: [u32; 2]) -> Result<[Vec<Extent>; 2], Missing> {
    let name = name_of(uid);
    let map = |file: &str, own: u32, outside: &str| {
        let text = crate::sys::file::read_to_string(file).map_err(|e| Missing(format!("{file} can't be read: {e}")))?;
        let mapped = crate::sys::file::read_to_string(outside).unwrap_or_default();
        let map = extents(ranges(&text, name.as_deref(), uid), own, &pieces(&mapped));
        if map.len() > 1 {
            return Ok(map);
        }
        let user = name.as_deref().unwrap_or("this user");
        Err(Missing(format!("{file} sets no range aside for {user} (uid {uid}) that this user namespace has")))
    };
    Ok([map(FILES[0], uid, "/proc/self/uid_map")?, map(FILES[1], gid, "/proc/self/gid_map")?])
}

/// Uid and gid, where the programs will do something for them at all.
fn this_user() -> Result<[u32; 2], Missing> {
    let (uids, gids) = match (nix::unistd::getresuid(), nix::unistd::getresgid()) {
        (Ok(uids), Ok(gids)) => (uids, gids),
        _ => return Err(Missing("this process's ids can't be told".into())),
    };
    if uids.real != uids.effective || gids.real != gids.effective {
        return Err(Missing("real and effective ids of this process differ".into()));
    }
    if nix::sys::prctl::get_no_new_privs().unwrap_or(false) {
        return Err(Missing("this process has no_new_privs set, so newuidmap gains no rights".into()));
    }
    Ok([uids.real.as_raw(), gids.real.as_raw()])
}

/// The first program of that name in PATH. It must be able to raise its rights: setuid root, or with file capabilities, on a
/// file system where that has an effect.
fn find(name: &str) -> Result<PathBuf, Missing> {
    let path = crate::sys::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let runs = |path: &PathBuf| fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0);
    let found = std::env::split_paths(&path).filter(|dir| dir.is_absolute()).map(|dir| dir.join(name)).find(runs);
    let Some(found) = found else {
        return Err(Missing(format!("{name} is not in PATH ({})", hints::UIDMAP)));
    };
    let root = fs::metadata(&found).is_ok_and(|it| it.uid() == 0 && it.permissions().mode() & 0o4000 != 0);
    if !root && !has_capabilities(&found) {
        return Err(Missing(format!("{} is neither setuid root nor has it file capabilities", found.display())));
    }
    if statvfs(&found).is_ok_and(|it| it.flags().contains(FsFlags::ST_NOSUID)) {
        return Err(Missing(format!("{} lies on a file system that is mounted nosuid", found.display())));
    }
    Ok(found)
}

fn has_capabilities(path: &Path) -> bool {
    sys::fs::getxattr(path, c"security.capability", &mut [0u8; 64][..]).is_ok_and(|len| len > 0)
}

/// The name of a user: by /etc/passwd, or by whatever else nsswitch.conf(5) names, as newuidmap looks it up.
fn name_of(uid: u32) -> Option<String> {
    let passwd = crate::sys::file::read_to_string("/etc/passwd").unwrap_or_default();
    let by_file = passwd.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        (fields.get(2)?.parse() == Ok(uid)).then(|| fields[0].to_string())
    });
    by_file.or_else(|| Some(nix::unistd::User::from_uid(uid.into()).ok()??.name))
}

/// The ranges of a user: lines of "NAME:FIRST:COUNT", or with their number instead of their name.
fn ranges(text: &str, name: Option<&str>, uid: u32) -> Vec<(u32, u32)> {
    let number = uid.to_string();
    let of_user = |line: &str| {
        let [who, first, count] = line.split(':').collect::<Vec<_>>()[..] else { return None };
        (Some(who) == name || who == number).then_some((first.parse().ok()?, count.parse().ok()?))
    };
    text.lines().filter_map(of_user).collect()
}

/// The map: 0 is the user, 1 to 65535 come from the ranges, in their order. A range that the user's own id or an
/// earlier range reaches into is left out, as is one that is not in one piece of this user namespace: the kernel would
/// refuse the whole map.
fn extents(ranges: Vec<(u32, u32)>, own: u32, outer: &[(u64, u64)]) -> Vec<Extent> {
    let mut map = vec![Extent { inside: 0, outside: own, count: 1 }];
    let mut inside = 1;
    for (first, count) in ranges {
        let count = count.min(IDS - inside);
        let (start, end) = (u64::from(first), u64::from(first) + u64::from(count));
        let within = |&(from, count): &(u64, u64)| from <= start && end <= from + count;
        let meets = |it: &Extent| {
            let from = u64::from(it.outside);
            from < end && start < from + u64::from(it.count)
        };
        if count == 0 || map.len() == MAX_EXTENTS || !outer.iter().any(within) || map.iter().any(meets) {
            continue;
        }
        map.push(Extent { inside, outside: first, count });
        inside += count;
    }
    map
}

/// newuidmap(1) failed; what it said is in a pipe that came along.
pub fn refused_by(program: &str, errno: i32, fds: Vec<OwnedFd>) -> Error {
    let mut said = Vec::new();
    if let Some(pipe) = fds.into_iter().next() {
        // Nobody has its other end any more.
        _ = std::fs::File::from(pipe).take(LONGEST_SAID).read_to_end(&mut said);
    }
    let said = String::from_utf8_lossy(&said);
    let error = Error::system(Step::MapIdsWith, program, errno);
    let error = match said.lines().find(|line| !line.trim().is_empty()) {
        Some(line) => {
            let words = line.trim().trim_start_matches(program).trim_start_matches(':').trim();
            Error::new(ErrorCode::Unsupported, error.failed_step(), program, errno, format!("it says: {words}"))
        }
        None => error,
    };
    let code = if errno == libc::ETIMEDOUT { ErrorCode::TimedOut } else { ErrorCode::Unsupported };
    error.with_code(code).with_hint(hints::NEWUIDMAP)
}

/// As much of what a program says as is passed on.
const LONGEST_SAID: u64 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[(u64, u64)] = &[(0, u32::MAX as u64)];

    fn map(text: &str, own: u32, outer: &[(u64, u64)]) -> Vec<[u32; 3]> {
        let extents = extents(ranges(text, Some("ann"), own), own, outer);
        extents.iter().map(|it| [it.inside, it.outside, it.count]).collect()
    }

    #[test]
    fn a_range_is_found_by_name_and_by_number() {
        let expected = [[0, 1000, 1], [1, 100_000, 65535]];
        assert_eq!(map("bob:1:9\nann:100000:65536\n", 1000, ALL), expected);
        assert_eq!(map("1000:100000:65536", 1000, ALL), expected);
        assert_eq!(map("anna:100000:65536\n10:5000:70\n", 1000, ALL), [[0, 1000, 1]]);
    }

    #[test]
    fn several_ranges_are_used_in_their_order_until_there_are_enough() {
        let text = "ann:300000:1000\nbob:5:5\n1000:200000:500\nann:400000:100000\nann:600000:10\n";
        let expected = [[0, 1000, 1], [1, 300_000, 1000], [1001, 200_000, 500], [1501, 400_000, 64035]];
        assert_eq!(map(text, 1000, ALL), expected);
    }

    #[test]
    fn what_is_no_line_of_a_range_is_passed_over() {
        let text = "# comment\n\nann\nann:x:1\nann:1\nann:-1:5\nann:99999999999:5\nann:7:0\nann:5000:10:rest\n ann:6000:10\nann:100000:10\n";
        assert_eq!(map(text, 1000, ALL), [[0, 1000, 1], [1, 100_000, 10]]);
    }

    #[test]
    fn a_range_that_the_kernel_would_refuse_is_left_out() {
        let text = "ann:990:20\nann:100000:100\nann:100050:100\nann:4294967290:100\nann:200000:100\n";
        assert_eq!(map(text, 1000, ALL), [[0, 1000, 1], [1, 100_000, 100], [101, 200_000, 100]]);
        assert_eq!(map("ann:100000:65536", 1000, &pieces("0 1000 1\n1 500000 65535\n")), [[0, 1000, 1]]);
        assert_eq!(map("ann:2000:100", 1000, &pieces("0 1000 1\n1 500000 65535\n")), [[0, 1000, 1], [1, 2000, 100]]);
    }
}
