//! Attributes that name owners: the kernel shows them to the host with the host's ids, an archive has them as they are inside.

use super::entry::{Entry, Kind};
use crate::sys::fs::{self, FileStat, FileType};

/// One of a file's two owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    /// A uid.
    User(u32),
    /// A gid.
    Group(u32),
}

/// What kind of entry a file is; `None` for a socket, which is of its process.
pub fn kind_of(stat: &FileStat) -> Option<Kind> {
    Some(match fs::file_type(stat.st_mode)? {
        FileType::File => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo => Kind::Fifo,
        FileType::CharacterDevice => Kind::Char,
        FileType::BlockDevice => Kind::Block,
        FileType::Socket => return None,
    })
}

/// Gives ACLs and file capabilities the ids that they have inside.
pub fn inside_attributes(entry: &mut Entry, inside: &dyn Fn(Id) -> Option<u32>) {
    for (name, value) in &mut entry.xattrs {
        match name.as_slice() {
            b"system.posix_acl_access" | b"system.posix_acl_default" => acl(value, inside),
            b"security.capability" => capability(value, inside),
            _ => {}
        }
    }
}

/// include/uapi/linux/posix_acl_xattr.h: a version, then entries of tag, permissions and id.
fn acl(value: &mut [u8], inside: &dyn Fn(Id) -> Option<u32>) {
    const USER: u16 = 0x02;
    const GROUP: u16 = 0x08;
    let Some(entries) = value.get_mut(4..) else { return };
    for entry in entries.chunks_exact_mut(8) {
        let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
        let id = match u16::from_le_bytes([entry[0], entry[1]]) {
            USER => inside(Id::User(id)),
            GROUP => inside(Id::Group(id)),
            _ => None,
        };
        if let Some(id) = id {
            entry[4..].copy_from_slice(&id.to_le_bytes());
        }
    }
}

/// capabilities(7), "File capability extended attribute versioning": version 3 is version 2 and the root for whom it holds. Of
/// the image's own root there is no need to speak.
fn capability(value: &mut Vec<u8>, inside: &dyn Fn(Id) -> Option<u32>) {
    const REVISION: u32 = 0xff00_0000;
    const V2: u32 = 0x0200_0000;
    const V3: u32 = 0x0300_0000;
    let [a, b, c, d, rest @ ..] = value.as_slice() else { return };
    let magic = u32::from_le_bytes([*a, *b, *c, *d]);
    let (true, Some(&[e, f, g, h])) = (magic & REVISION == V3, rest.get(16..20)) else { return };
    match inside(Id::User(u32::from_le_bytes([e, f, g, h]))) {
        Some(0) => {
            value.truncate(20);
            value[..4].copy_from_slice(&(magic & !REVISION | V2).to_le_bytes());
        }
        Some(root) => value[20..24].copy_from_slice(&root.to_le_bytes()),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::acl;
    use super::*;

    fn inside(id: Id) -> Option<u32> {
        let (Id::User(id) | Id::Group(id)) = id;
        id.checked_sub(0x4000_0000)
    }

    #[test]
    fn acls_and_capabilities_have_the_ids_that_they_have_inside() {
        let text = b"user::rw-,user:1073742824:r--,group::r--,group:1073741831:r--,mask::r--,other::---";
        let mut entry = Entry::new(b"x", Kind::File, 0);
        let nobody = acl::Names::new(b"", b"");
        let v3 = [1, 0, 0, 3, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40];
        entry.xattrs = vec![
            (b"system.posix_acl_access".into(), nobody.acl(text).unwrap()),
            (b"security.capability".into(), v3.into()),
        ];
        inside_attributes(&mut entry, &inside);
        let expected = b"user::rw-,user:1000:r--,group::r--,group:7:r--,mask::r--,other::---";
        assert_eq!(acl::text(&entry.xattrs[0].1).unwrap(), expected);
        assert_eq!(entry.xattrs[1].1, [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        // What is of the right form already, or of none, stays.
        let before = entry.clone();
        inside_attributes(&mut entry, &inside);
        assert_eq!(entry, before);
    }
}
