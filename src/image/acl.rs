//! POSIX ACLs: archives hold them as text, the kernel takes them as an xattr of fixed entries. acl(5);
//! include/uapi/linux/posix_acl_xattr.h.

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

/// Moves the ACL texts of `pax` into `entry`'s xattrs.
pub fn take(pax: &mut Pax, entry: &mut Entry) -> Result<(), String> {
    for (name, text) in [
        (&b"system.posix_acl_access"[..], pax.acl_access.take()),
        (&b"system.posix_acl_default"[..], pax.acl_default.take()),
    ] {
        let Some(text) = text else { continue };
        let holds = entry.kind == Kind::File || entry.kind == Kind::Directory;
        if holds && let Some(value) = parse(&text)? {
            entry.xattrs.retain(|(known, _)| known != name);
            entry.xattrs.push((name.into(), value));
        }
    }
    Ok(())
}

/// The xattr that says what `text` says; `None` for an empty list.
pub fn parse(text: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut list = Vec::new();
    for line in text.split(|&byte| byte == b',' || byte == b'\n') {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default().trim_ascii();
        if !line.is_empty() {
            list.push(parse_line(line).ok_or_else(|| format!("an ACL entry that is none: {}", line.escape_ascii()))?);
        }
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

/// `user:NAME:rwx`, perhaps with the numeric id behind it, as star, GNU tar and libarchive write. A name that is no number
/// means a user of the machine that packed it; without the id there is nobody to give the rights to.
fn parse_line(line: &[u8]) -> Option<(u16, u32, u16)> {
    let parts: Vec<&[u8]> = line.split(|&byte| byte == b':').collect();
    let (name, rights) = match parts.as_slice() {
        // "mask:rwx" and "other:rwx" are how Solaris and old stars write those two.
        [b"mask" | b"m" | b"other" | b"o", rights] => (&b""[..], *rights),
        [_, name, rights, ..] => (*name, *rights),
        _ => return None,
    };
    let id = || match parts.get(3) {
        Some(id) => number::decimal(id),
        None => number::decimal(name),
    };
    let id = || id().and_then(|id| u32::try_from(id).ok());
    let (tag, id) = match (parts[0], name.is_empty() && parts.len() < 4) {
        (b"user" | b"u", true) => (USER_OBJ, UNDEFINED_ID),
        (b"user" | b"u", false) => (USER, id()?),
        (b"group" | b"g", true) => (GROUP_OBJ, UNDEFINED_ID),
        (b"group" | b"g", false) => (GROUP, id()?),
        (b"mask" | b"m", _) => (MASK, UNDEFINED_ID),
        (b"other" | b"o", _) => (OTHER, UNDEFINED_ID),
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
    Some((tag, id, permissions))
}

/// The text that [`parse`] reads back; `None` for a value that is no ACL.
pub fn text(value: &[u8]) -> Option<Vec<u8>> {
    let entries = value.strip_prefix(&VERSION.to_le_bytes())?;
    if entries.len() % 8 != 0 {
        return None;
    }
    let mut lines = Vec::new();
    for entry in entries.chunks_exact(8) {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        let permissions = u16::from_le_bytes([entry[2], entry[3]]);
        let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
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
        assert_eq!(text(&parse(list).unwrap().unwrap()).unwrap(), list);
    }

    #[test]
    fn an_acl_by_name_needs_the_id_behind_it() {
        let value = parse(b"user::rw-\nuser:joe:r--:1000\ngroup::r--\nmask::r--\nother::r--\n").unwrap().unwrap();
        assert_eq!(text(&value).unwrap(), b"user::rw-,user:1000:r--,group::r--,mask::r--,other::r--");
        assert!(parse(b"user:joe:r--").is_err());
        assert!(parse(b"user::rq-").is_err());
        assert!(parse(b"nobody").is_err());
        assert_eq!(parse(b"\n# nothing\n"), Ok(None));
    }
}
