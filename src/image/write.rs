//! Writes tar headers: ustar, with PAX records for what does not fit. The same entry gives the same bytes, always.
//! POSIX.1-2024, pax; GNU tar's manual, "PAX Format, Version 1.0" for sparse files.

use super::acl;
use super::entry::{Entry, Kind, split};
use super::pax;
use super::sparse;

const BLOCK: usize = 512;
const OCTAL_8: u64 = 0o777_7777;
const OCTAL_12: u64 = 0o777_7777_7777;

/// Adds all that stands in front of `entry`'s data. Returns the length of the data that must follow (padded to a block),
/// less the sparse map, which is part of what was added.
pub fn header(entry: &Entry, out: &mut Vec<u8>) -> u64 {
    let mut records = Vec::new();
    let mut header = tar::Header::new_ustar();
    let mut name = entry.path.clone();
    if name.is_empty() {
        name = b".".into();
    }
    if entry.kind == Kind::Directory {
        name.push(b'/');
    }

    let mut size = if entry.kind == Kind::File { entry.size } else { 0 };
    let mut data = size;
    let map = entry.sparse.as_ref().map(|map| sparse::map_text(map));
    if let (Some(map), Some(text)) = (&entry.sparse, &map) {
        record(&mut records, b"GNU.sparse.major", b"1");
        record(&mut records, b"GNU.sparse.minor", b"0");
        record(&mut records, b"GNU.sparse.name", &name);
        record(&mut records, b"GNU.sparse.realsize", size.to_string().as_bytes());
        data = map.iter().map(|extent| extent.length).sum();
        size = data + text.len() as u64;
        name = [b"GNUSparseFile.0/", short(split(&entry.path).1)].concat();
    }

    if !set_name(&mut header, &name) {
        record(&mut records, b"path", &name);
        set_name(&mut header, short(&name));
    }
    let old = header.as_old_mut();
    if entry.link.len() <= old.linkname.len() {
        old.linkname[..entry.link.len()].copy_from_slice(&entry.link);
    } else {
        record(&mut records, b"linkpath", &entry.link);
        old.linkname.copy_from_slice(&entry.link[..100]);
    }
    octal(&mut old.mode, u64::from(entry.mode));
    for (field, key, id) in [(&mut old.uid, &b"uid"[..], entry.uid), (&mut old.gid, &b"gid"[..], entry.gid)] {
        if u64::from(id) > OCTAL_8 {
            record(&mut records, key, id.to_string().as_bytes());
        }
        octal(field, u64::from(id).min(OCTAL_8));
    }
    if size > OCTAL_12 {
        record(&mut records, b"size", size.to_string().as_bytes());
    }
    octal(&mut old.size, size.min(OCTAL_12));
    let seconds = u64::try_from(entry.mtime.0).ok().filter(|&seconds| seconds <= OCTAL_12);
    if entry.mtime.1 != 0 || seconds.is_none() {
        record(&mut records, b"mtime", time(entry.mtime).as_bytes());
    }
    octal(&mut old.mtime, seconds.unwrap_or(0));
    old.linkflag = [match entry.kind {
        Kind::File => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::Char => b'3',
        Kind::Block => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }];
    // The numbers of a device have 12 and 20 bits, each fits in its field.
    let bytes = header.as_mut_bytes();
    octal(&mut bytes[329..337], u64::from(entry.device.0));
    octal(&mut bytes[337..345], u64::from(entry.device.1));

    let mut xattrs: Vec<_> = entry.xattrs.iter().collect();
    xattrs.sort();
    for (name, value) in xattrs {
        if acl::is_named(name) {
            record(&mut records, name, value);
            continue;
        }
        let key = match name.as_slice() {
            b"system.posix_acl_access" => Some(&b"SCHILY.acl.access"[..]),
            b"system.posix_acl_default" => Some(&b"SCHILY.acl.default"[..]),
            _ => None,
        };
        match key.and_then(|key| Some((key, acl::text(value)?))) {
            Some((key, text)) => record(&mut records, key, &text),
            None => record(&mut records, &[&b"SCHILY.xattr."[..], &pax::xattr_keyword(name)].concat(), value),
        }
    }

    if !records.is_empty() {
        let mut pax = tar::Header::new_ustar();
        set_name(&mut pax, &[b"PaxHeaders/", short(&name)].concat());
        let old = pax.as_old_mut();
        octal(&mut old.mode, 0o644);
        octal(&mut old.uid, 0);
        octal(&mut old.gid, 0);
        octal(&mut old.size, records.len() as u64);
        octal(&mut old.mtime, 0);
        old.linkflag = *b"x";
        finish(&mut pax, out);
        out.extend_from_slice(&records);
        pad(out);
    }
    finish(&mut header, out);
    out.extend_from_slice(&map.unwrap_or_default());
    data
}

/// What stands at the end of an archive.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The zeros that follow `length` bytes of data.
pub fn padding(length: u64) -> &'static [u8] {
    &END[..(length.wrapping_neg() % BLOCK as u64) as usize]
}

fn finish(header: &mut tar::Header, out: &mut Vec<u8>) {
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
}

fn pad(out: &mut Vec<u8>) {
    out.extend_from_slice(padding(out.len() as u64));
}

/// The name's last component, cut to what fits behind a prefix of ours; only readers without PAX ever see it.
fn short(name: &[u8]) -> &[u8] {
    let name = split(name.strip_suffix(b"/").unwrap_or(name)).1;
    &name[..name.len().min(80)]
}

/// Puts `name` into the header, split at a slash where it is long. False when it does not fit.
fn set_name(header: &mut tar::Header, name: &[u8]) -> bool {
    let Some(ustar) = header.as_ustar_mut() else { return false };
    ustar.name.fill(0);
    ustar.prefix.fill(0);
    if name.len() <= 100 {
        ustar.name[..name.len()].copy_from_slice(name);
        return true;
    }
    // The first slash that leaves 100 bytes or fewer behind it; a directory's last slash is part of its name.
    let from = name.len() - 101;
    let Some(slash) = name[from..name.len() - 1].iter().position(|&byte| byte == b'/').map(|at| from + at) else {
        return false;
    };
    if slash == 0 || slash > 155 {
        return false;
    }
    ustar.prefix[..slash].copy_from_slice(&name[..slash]);
    ustar.name[..name.len() - slash - 1].copy_from_slice(&name[slash + 1..]);
    true
}

fn octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    field[..digits].copy_from_slice(format!("{value:0digits$o}").as_bytes());
    field[digits] = 0;
}

/// A record counts its own length, the digits of that length included.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// Seconds with as many decimals as are needed.
fn time((seconds, nanos): (i64, u32)) -> String {
    let (sign, seconds, nanos) = match (seconds, nanos) {
        (0.., _) => ("", seconds.unsigned_abs(), nanos),
        (_, 0) => ("-", seconds.unsigned_abs(), 0),
        (_, _) => ("-", (seconds + 1).unsigned_abs(), 1_000_000_000 - nanos),
    };
    if nanos == 0 {
        return format!("{sign}{seconds}");
    }
    format!("{sign}{seconds}.{nanos:09}").trim_end_matches('0').into()
}

#[cfg(test)]
mod tests {
    use super::super::archive::Archive;
    use super::super::entry::Extent;
    use super::super::limits::Limits;
    use super::*;

    fn circle(entry: &Entry) -> Entry {
        let mut bytes = Vec::new();
        let data = header(entry, &mut bytes);
        bytes.resize(bytes.len() + data as usize, b'x');
        bytes.extend_from_slice(padding(bytes.len() as u64));
        bytes.extend_from_slice(&END);
        let limits = Limits::default();
        let mut archive = Archive::new(bytes.as_slice(), &limits);
        let read = archive.next().unwrap().unwrap();
        assert!(archive.next().unwrap().is_none());
        assert!(archive.has_end());
        read
    }

    #[test]
    fn an_entry_survives_the_circle() {
        let nobody = acl::Names::new(b"", b"");
        let mut entry = Entry::new(b"usr/bin/true", Kind::File, 0o4755);
        entry.size = 1000;
        assert_eq!(circle(&entry), entry);
        entry.uid = 3_000_000_000;
        entry.gid = 2_097_152;
        entry.mtime = (-5, 250_000_000);
        entry.xattrs = vec![
            (b"security.capability".into(), vec![1, 0, 0, 2, b'\n', 0]),
            (b"system.posix_acl_access".into(), nobody.acl(b"user::rwx,group::r-x,other::r-x").unwrap()),
        ];
        let mut read = circle(&entry);
        read.xattrs.sort();
        assert_eq!(read, entry);
    }

    #[test]
    fn names_of_every_length_survive_the_circle() {
        for length in 1..400 {
            let name: Vec<u8> =
                (0..length).map(|at| if at % 60 == 59 && at + 1 < length { b'/' } else { b'n' }).collect();
            for kind in [Kind::File, Kind::Directory] {
                assert_eq!(circle(&Entry::new(&name, kind, 0o755)).path, name);
            }
            let mut link = Entry::new(b"l", Kind::Symlink, 0o777);
            link.link = name;
            assert_eq!(circle(&link), link);
        }
    }

    #[test]
    fn a_sparse_file_survives_the_circle() {
        let mut entry = Entry::new(b"disk", Kind::File, 0o644);
        entry.size = 10 << 30;
        entry.sparse = Some((0..100).map(|part| Extent { offset: part << 20, length: 7 }).collect());
        assert_eq!(circle(&entry), entry);
    }
}
