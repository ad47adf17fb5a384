//! Users by name, from the image's own /etc/passwd and /etc/group: read by us, in our own parser, never by a library that would
//! load what the container offers (nsswitch.conf(5), CVE-2019-14271). See passwd(5), group(5).

use super::lookup::read_file;
use super::shared::Shared;
use crate::{Error, ErrorCode, Result, Step};

/// Whom a program runs as.
pub struct User {
    /// As it was asked for.
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    pub home: Option<Vec<u8>>,
}

/// How long it may take to read each of them.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// The largest /etc/passwd or /etc/group that is read.
const LARGEST: usize = 4 << 20;

struct Passwd<'a> {
    name: &'a [u8],
    uid: u32,
    gid: u32,
    home: &'a [u8],
}

impl User {
    /// What `wanted` means in this container; `None` where nobody asked: root, and nothing to look up.
    pub fn resolve(container: &Shared, wanted: Option<&str>, chosen: Option<&[String]>) -> Result<Option<Self>> {
        let wanted = wanted.filter(|wanted| !wanted.is_empty()).or(chosen.map(|_| "0"));
        let Some(wanted) = wanted else {
            let root = Self { name: "root".into(), uid: 0, gid: 0, groups: Vec::new(), home: None };
            return Ok(container.record.exec.has_root.then_some(root));
        };
        let (user, group) = wanted.split_once(':').map_or((wanted, None), |(user, group)| (user, Some(group)));
        let passwd = file(container, b"/etc/passwd");
        let groups = file(container, b"/etc/group");
        let entries = || lines(&passwd).filter_map(passwd_entry);
        let number = id(user.as_bytes());
        let entry = entries()
            .find(|entry| entry.name == user.as_bytes())
            .or_else(|| number.and_then(|uid| entries().find(|entry| entry.uid == uid)));
        let uid = entry
            .as_ref()
            .map(|entry| entry.uid)
            .or(number)
            .ok_or_else(|| missing(Step::FindUser, user, "/etc/passwd"))?;
        let gid_of = |group: &str| {
            let mut named = lines(&groups).filter_map(group_entry);
            let gid = named.find(|(name, ..)| *name == group.as_bytes()).map(|(_, gid, _)| gid);
            gid.or_else(|| id(group.as_bytes())).ok_or_else(|| missing(Step::FindGroup, group, "/etc/group"))
        };
        let gid = group.map_or_else(|| Ok(entry.as_ref().map_or(0, |entry| entry.gid)), gid_of)?;
        let chosen = chosen.map(|all| all.iter().map(|group| gid_of(group)).collect::<Result<Vec<_>>>()).transpose()?;
        let needed = uid != 0 || gid != 0 || chosen.as_ref().is_some_and(|all| !all.is_empty());
        if needed && !container.record.exec.many_ids {
            return Err(Error::new(
                ErrorCode::Unsupported,
                Step::BecomeUser,
                wanted,
                libc::EINVAL,
                "this container has the single id 0, since the user who made it has no further ids to give",
            )
            .with_hint(crate::hints::SINGLE_ID));
        }
        // Groups that are named for the user count only if no group was asked for, as in docker.
        let member = |members: &[u8]| {
            entry.as_ref().is_some_and(|entry| members.split(|&byte| byte == b',').any(|member| member == entry.name))
        };
        let supplementary = if let Some(chosen) = chosen {
            chosen
        } else if group.is_some() {
            Vec::new()
        } else {
            let of = lines(&groups).filter_map(group_entry).filter(|(.., members)| member(members));
            of.map(|(_, gid, _)| gid).take(MAX_GROUPS).collect()
        };
        let home = Some(entry.map_or(b"/".to_vec(), |entry| entry.home.to_vec()));
        Ok(Some(Self { name: wanted.to_string(), uid, gid, groups: supplementary, home }))
    }
}

/// NGROUPS_MAX of limits.h.
const MAX_GROUPS: usize = 65536;

fn missing(step: Step, name: &str, place: &str) -> Error {
    let what = if step == Step::FindUser { "user" } else { "group" };
    if name.parse::<i128>().is_ok() {
        return Error::invalid(step, name, "a number is 0 to 4294967294");
    }
    Error::new(ErrorCode::NotFound, step, name, libc::ENOENT, format!("the container's {place} has no such {what}"))
        .with_hint("a number works without an entry")
}

fn file(container: &Shared, path: &[u8]) -> Vec<u8> {
    read_file(container, path, LARGEST, PATIENCE).unwrap_or_default()
}

fn lines(file: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    // No more fields than there are: a line may be all of a file.
    file.split(|&byte| byte == b'\n').map(|line| line.splitn(7, |&byte| byte == b':').collect())
}

fn passwd_entry(fields: Vec<&[u8]>) -> Option<Passwd<'_>> {
    let [name, _, uid, gid, _, home, ..] = fields[..] else { return None };
    Some(Passwd { name, uid: id(uid)?, gid: id(gid)?, home })
}

/// Name, id, members.
fn group_entry(fields: Vec<&[u8]>) -> Option<(&[u8], u32, &[u8])> {
    let [name, _, gid, ref rest @ ..] = fields[..] else { return None };
    Some((name, id(gid)?, rest.first().copied().unwrap_or_default()))
}

/// A uid or gid. The largest number is none: to setresuid(2) it says that nothing changes, so the program would stay root.
fn id(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok().filter(|&id| id != u32::MAX)
}
