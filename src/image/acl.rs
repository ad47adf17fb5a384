//! POSIX ACLs: archives hold them as text, the kernel takes them as an xattr of fixed entries. acl(5);
//! include/uapi/linux/posix_acl_xattr.h.

use std::collections::HashMap;

use super::entry::{Entry, Kind};
use super::number;
use super::pax::Pax;

const VERSION: u32 = 2;
const UNDEFINED_ID: u32 = u32::MAX;
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

const ACCESS: &[u8] = b"system.posix_acl_access";
const DEFAULT: &[u8] = b"system.posix_acl_default";

/// The PAX records of ACLs, and the xattrs that they become.
pub const RECORDS: [(&[u8], &[u8]); 2] = [(b"SCHILY.acl.access", ACCESS), (b"SCHILY.acl.default", DEFAULT)];

/// Whether an xattr is an ACL in the kernel's form.
fn is_acl(xattr: &[u8]) -> bool {
    RECORDS.iter().any(|(_, name)| *name == xattr)
}

/// Whether an xattr of an entry is the text of an ACL that names users without their ids: see [`take`].
pub fn is_named(xattr: &[u8]) -> bool {
    RECORDS.iter().any(|(record, _)| *record == xattr)
}

/// Moves the ACL texts of `pax` into `entry`'s xattrs. One that names users without their ids, as GNU tar writes all of them,
/// stays a text, under its record's name, until the image's /etc/passwd is there: see [`Names`].
pub fn take(pax: &mut Pax, entry: &mut Entry) -> Result<(), String> {
    entry.xattrs.retain(|(known, _)| !is_named(known));
    let holds = entry.kind == Kind::File || entry.kind == Kind::Directory;
    // Those in the kernel's form as they would come back from a text, so that it is the same which of them is written.
    for (name, value) in entry.xattrs.iter_mut().filter(|(name, _)| holds && is_acl(name)) {
        let Some(same) = text(value).and_then(|text| parse(&text, &mut |_, _| None).ok()?) else { continue };
        if name == ACCESS {
            entry.mode = mode(&same, entry.mode);
        }
        *value = same;
    }
    for ((record, name), text) in RECORDS.into_iter().zip([pax.acl_access.take(), pax.acl_default.take()]) {
        let Some(text) = text else { continue };
        let mut is_whole = true;
        let mut unknown = |_: u16, _: &[u8]| {
            is_whole = false;
            None
        };
        if holds && let Some(value) = parse(&text, &mut unknown)? {
            if !is_whole && entry.xattrs.iter().any(|(known, _)| known == name) {
                // GNU tar writes the kernel's form too, where it is told to write all attributes, and that has ids.
                continue;
            }
            if name == ACCESS {
                entry.mode = mode(&value, entry.mode);
            }
            entry.xattrs.retain(|(known, _)| known != name);
            entry.xattrs.push(if is_whole { (name.into(), value) } else { (record.into(), text) });
        }
    }
    Ok(())
}

/// The mode of a file that has this ACL: what it says of the group is the mask. libarchive writes the owning group's own
/// rights there instead, and as a mode they would become the mask.
fn mode(value: &[u8], mut mode: u32) -> u32 {
    for entry in value[4..].chunks_exact(8) {
        let shift = match u16::from_le_bytes([entry[0], entry[1]]) {
            USER_OBJ => 6,
            // In this order: a mask comes later.
            GROUP_OBJ | MASK => 3,
            OTHER => 0,
            _ => continue,
        };
        mode = mode & !(7 << shift) | u32::from(entry[2] & 7) << shift;
    }
    mode
}

/// Whether an xattr is an ACL that gives rights to this user or to this group by their ids.
pub fn speaks_of(name: &[u8], value: &[u8], uid: u32, gid: u32) -> bool {
    is_acl(name)
        && value.get(4..).unwrap_or_default().chunks_exact(8).any(|entry| {
            let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
            match u16::from_le_bytes([entry[0], entry[1]]) {
                USER => id == uid,
                GROUP => id == gid,
                _ => false,
            }
        })
}

/// Whether an ACL gives rights to somebody by an id.
pub fn speaks_of_others(value: &[u8]) -> bool {
    let mut entries = value.get(4..).unwrap_or_default().chunks_exact(8);
    entries.any(|entry| matches!(u16::from_le_bytes([entry[0], entry[1]]), USER | GROUP))
}

/// Who is who in an image: its /etc/passwd and /etc/group.
pub struct Names<'n> {
    users: HashMap<&'n [u8], u32>,
    groups: HashMap<&'n [u8], u32>,
}

impl<'n> Names<'n> {
    pub fn new(users: &'n [u8], groups: &'n [u8]) -> Self {
        Self { users: ids(users), groups: ids(groups) }
    }

    /// The xattr of an ACL's text. Users whom the image does not know are left out: there they are nobody.
    pub fn acl(&self, text: &[u8]) -> Option<Vec<u8>> {
        parse(text, &mut |tag, name| if tag == USER { &self.users } else { &self.groups }.get(name).copied())
            .ok()
            .flatten()
    }
}

/// The names in a file like /etc/passwd, the first of each.
fn ids(file: &[u8]) -> HashMap<&[u8], u32> {
    let mut ids = HashMap::new();
    for line in file.split(|&byte| byte == b'\n') {
        let mut fields = line.split(|&byte| byte == b':');
        if let (Some(name), Some(id)) = (fields.next(), fields.nth(1).and_then(number::decimal))
            && let Ok(id) = u32::try_from(id)
        {
            ids.entry(name).or_insert(id);
        }
    }
    ids
}

/// The id of someone of this tag and name.
type IdOf<'i> = dyn FnMut(u16, &[u8]) -> Option<u32> + 'i;

/// The xattr that says what `text` says, less of those whom `id_of` does not know; `None` for an empty list.
fn parse(text: &[u8], id_of: &mut IdOf<'_>) -> Result<Option<Vec<u8>>, String> {
    let mut list = Vec::new();
    for line in text.split(|&byte| byte == b',' || byte == b'\n') {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default().trim_ascii();
        if line.is_empty() {
            continue;
        }
        let (tag, who, permissions) =
            parse_line(line).ok_or_else(|| format!("an ACL entry that is none: {}", line.escape_ascii()))?;
        let id = match who {
            Who::Id(id) => Some(id),
            Who::Name(name) => id_of(tag, name),
        };
        list.extend(id.map(|id| (tag, id, permissions)));
    }
    if list.is_empty() {
        return Ok(None);
    }
    list.sort_unstable();
    let mut value = VERSION.to_le_bytes().to_vec();
    for (tag, id, permissions) in list {
        value.extend_from_slice(&tag.to_le_bytes());
        value.extend_from_slice(&permissions.to_le_bytes());
        value.extend_from_slice(&id.to_le_bytes());
    }
    Ok(Some(value))
}

enum Who<'w> {
    Id(u32),
    Name(&'w [u8]),
}

/// `user:NAME:rwx`, with the numeric id behind it where star and libarchive wrote it.
fn parse_line(line: &[u8]) -> Option<(u16, Who<'_>, u16)> {
    let parts: Vec<&[u8]> = line.split(|&byte| byte == b':').collect();
    let (name, rights) = match parts.as_slice() {
        // "mask:rwx" and "other:rwx" are how Solaris and old stars write those two.
        [b"mask" | b"m" | b"other" | b"o", rights] => (&b""[..], *rights),
        [_, name, rights, ..] => (*name, *rights),
        _ => return None,
    };
    let is_number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let who = || match parts.get(3) {
        None if !is_number(name) => Some(Who::Name(name)),
        id => u32::try_from(number::decimal(id.copied().unwrap_or(name))?).ok().map(Who::Id),
    };
    let (tag, who) = match (parts[0], name.is_empty() && parts.len() < 4) {
        (b"user" | b"u", true) => (USER_OBJ, Who::Id(UNDEFINED_ID)),
        (b"user" | b"u", false) => (USER, who()?),
        (b"group" | b"g", true) => (GROUP_OBJ, Who::Id(UNDEFINED_ID)),
        (b"group" | b"g", false) => (GROUP, who()?),
        (b"mask" | b"m", _) => (MASK, Who::Id(UNDEFINED_ID)),
        (b"other" | b"o", _) => (OTHER, Who::Id(UNDEFINED_ID)),
        _ => return None,
    };
    let mut permissions = 0;
    for letter in rights {
        permissions |= match letter {
            b'r' => 4,
            b'w' => 2,
            b'x' => 1,
            b'-' => 0,
            _ => return None,
        };
    }
    Some((tag, who, permissions))
}

/// The text that [`parse`] reads back; `None` for a value that is no ACL.
pub fn text(value: &[u8]) -> Option<Vec<u8>> {
    let entries = value.strip_prefix(&VERSION.to_le_bytes())?;
    if entries.len() % 8 != 0 {
        return None;
    }
    let entries = entries.chunks_exact(8).map(|entry| {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        let permissions = u16::from_le_bytes([entry[2], entry[3]]);
        (tag, u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]), permissions)
    });
    // The kernel takes users in any order, and keeps it.
    let mut entries: Vec<_> = entries.collect();
    entries.sort_unstable();
    let mut lines = Vec::new();
    for (tag, id, permissions) in entries {
        let who = match tag {
            USER_OBJ => "user:".into(),
            USER => format!("user:{id}"),
            GROUP_OBJ => "group:".into(),
            GROUP => format!("group:{id}"),
            MASK => "mask:".into(),
            OTHER => "other:".into(),
            _ => return None,
        };
        let letter = |bit, letter| if permissions & bit != 0 { letter } else { '-' };
        lines.push(format!("{who}:{}{}{}", letter(4, 'r'), letter(2, 'w'), letter(1, 'x')));
    }
    Some(lines.join(",").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acl_survives_the_circle() {
        let list = b"user::rw-,user:1000:r--,group::r--,group:7:rwx,mask::rwx,other::---";
        let value = nobody().acl(list).unwrap();
        assert_eq!(text(&value).unwrap(), list);
        let backwards: Vec<u8> = value[..4].iter().chain(value[4..].rchunks(8).flatten()).copied().collect();
        assert_eq!(text(&backwards).unwrap(), list);
    }

    fn nobody() -> Names<'static> {
        Names::new(b"", b"")
    }

    #[test]
    fn an_acl_by_name_is_for_those_whom_the_image_knows() {
        let names = Names::new(b"root:x:0:0::/:\njoe:x:1000:7:J:/:\nbad:x\n", b"joe:x:7:\n");
        let list = b"user::rw-,user:joe:r--,user:bad:r--,user:ann:r--,group::r--,group:joe:rw-,mask::rw-,other::r--";
        let expected = b"user::rw-,user:1000:r--,group::r--,group:7:rw-,mask::rw-,other::r--";
        assert_eq!(text(&names.acl(list).unwrap()).unwrap(), expected);
        assert_eq!(names.acl(b"user:joe:r?-"), None);
    }

    #[test]
    fn the_group_of_a_mode_is_the_mask() {
        let value = nobody().acl(b"user::rwx,user:7:rw-,group::r--,mask::rw-,other::--x").unwrap();
        assert_eq!(mode(&value, 0o4740), 0o4761);
        assert_eq!(mode(&nobody().acl(b"user::r--,group::-w-,other::r--").unwrap(), 0o1777), 0o1424);
    }

    #[test]
    fn an_acl_in_the_kernels_form_is_put_in_order_and_is_the_mode() {
        let value = nobody().acl(b"user::rw-,user:7:r--,user:9:r--,group::r--,mask::rw-,other::r--").unwrap();
        let (head, users) = (&value[..12], [&value[20..28], &value[12..20]].concat());
        let raw = [head, &users, &value[28..]].concat();
        for (kind, expected) in [(Kind::File, (0o4664, &value)), (Kind::Symlink, (0o4000, &raw))] {
            let mut entry = Entry::new(b"x", kind, 0o4000);
            entry.xattrs = vec![(ACCESS.into(), raw.clone())];
            take(&mut Pax::default(), &mut entry).unwrap();
            assert_eq!((entry.mode, &entry.xattrs[0].1), expected);
        }
    }

    #[test]
    fn the_id_behind_a_name_counts() {
        let value = nobody().acl(b"user::rw-\nuser:joe:r--:1000\ngroup::r--\nmask::r--\nother::r--\n").unwrap();
        assert_eq!(text(&value).unwrap(), b"user::rw-,user:1000:r--,group::r--,mask::r--,other::r--");
        let parse = |text| parse(text, &mut |_, _| None);
        assert!(parse(b"user::rq-").is_err());
        assert!(parse(b"user:joe:r--:x").is_err());
        assert!(parse(b"user:4294967296:r--").is_err());
        assert!(parse(b"nobody").is_err());
        assert_eq!(parse(b"\n# nothing\n"), Ok(None));
    }
}
