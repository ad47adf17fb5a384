//! PAX extended headers: records "LENGTH KEYWORD=VALUE\n" that add to or replace what the ustar header says.
//! POSIX.1-2024, pax, "pax Extended Header"; tar(5) for SCHILY, LIBARCHIVE and GNU.sparse.

use std::collections::BTreeMap;

use super::entry::Extent;
use super::fault::{Fault, Outcome};
use super::number;

/// What the records of one or more extended headers say.
#[derive(Clone, Debug, Default)]
pub struct Pax {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub mtime: Option<(i64, u32)>,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub acl_access: Option<Vec<u8>>,
    pub acl_default: Option<Vec<u8>>,
    pub sparse: SparseRecords,
}

/// GNU's three ways to say which parts of a file are holes.
#[derive(Clone, Debug, Default)]
pub struct SparseRecords {
    pub major: Option<u64>,
    pub minor: Option<u64>,
    pub name: Option<Vec<u8>>,
    pub real_size: Option<u64>,
    /// 0.0 gives offsets and lengths one record each, 0.1 a list in one.
    pub map: Option<Vec<Extent>>,
    offset: Option<u64>,
}

impl Pax {
    /// Adds the records in `bytes`. `global` ones hold for every later entry, so they may not say what only one has.
    pub fn read(&mut self, bytes: &[u8], global: bool) -> Outcome<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            // Some writers fill the last block with NULs and count them.
            if rest.iter().all(|&byte| byte == 0) {
                break;
            }
            let (record, after) = split_record(rest).ok_or_else(|| bad("a PAX record whose length is wrong"))?;
            let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(|| bad("a PAX record without ="))?;
            self.record(&record[..equals], &record[equals + 1..], global)?;
            rest = after;
        }
        if self.sparse.offset.is_some() {
            return Err(bad("a GNU.sparse.offset without GNU.sparse.numbytes"));
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8], global: bool) -> Outcome<()> {
        let sparse = key.strip_prefix(b"GNU.sparse.");
        if global && (matches!(key, b"path" | b"linkpath" | b"size") || sparse.is_some()) {
            return Err(bad(format!("a global PAX header that sets {}", key.escape_ascii())));
        }
        if let Some(name) = sparse {
            return self.sparse_record(name, value);
        }
        // An empty value takes back what a global header said.
        let filled = (!value.is_empty()).then_some(value);
        let number = || filled.map(|value| number::decimal(value).ok_or_else(|| bad_value(key))).transpose();
        match key {
            b"path" => self.path = filled.map(Into::into),
            b"linkpath" => self.link = filled.map(Into::into),
            b"size" => self.size = number()?,
            b"uid" => self.uid = number()?,
            b"gid" => self.gid = number()?,
            b"mtime" => {
                self.mtime = filled.map(|value| number::time(value).ok_or_else(|| bad_value(key))).transpose()?;
            }
            b"SCHILY.acl.access" => self.acl_access = filled.map(Into::into),
            b"SCHILY.acl.default" => self.acl_default = filled.map(Into::into),
            _ => {
                if let Some(keyword) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.insert(xattr_name(keyword), value.into());
                } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                    let name = percent_decode(name).ok_or_else(|| bad_value(key))?;
                    self.xattrs.insert(name, base64_decode(value).ok_or_else(|| bad_value(key))?);
                }
            }
        }
        Ok(())
    }

    /// Bytes of what it holds, roughly.
    pub fn size(&self) -> usize {
        let texts = [&self.path, &self.link, &self.acl_access, &self.acl_default, &self.sparse.name];
        let texts = texts.into_iter().flatten().map(Vec::len).sum::<usize>();
        texts + self.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }

    fn sparse_record(&mut self, key: &[u8], value: &[u8]) -> Outcome<()> {
        let sparse = &mut self.sparse;
        let number = || number::decimal(value).ok_or_else(|| bad_value(key));
        match key {
            b"major" => sparse.major = Some(number()?),
            b"minor" => sparse.minor = Some(number()?),
            b"name" => sparse.name = Some(value.into()),
            b"size" | b"realsize" => sparse.real_size = Some(number()?),
            b"offset" if sparse.offset.is_some() => {
                return Err(bad("two GNU.sparse.offset without GNU.sparse.numbytes between them"));
            }
            b"offset" => sparse.offset = Some(number()?),
            b"numbytes" => {
                let offset = sparse.offset.take().ok_or_else(|| bad("a GNU.sparse.numbytes without its offset"))?;
                sparse.map.get_or_insert_default().push(Extent { offset, length: number()? });
            }
            b"map" => {
                let mut map = Vec::new();
                let mut numbers = value.split(|&byte| byte == b',');
                while let Some(offset) = numbers.next() {
                    let offset = number::decimal(offset).ok_or_else(|| bad_value(key))?;
                    let length = numbers.next().and_then(number::decimal).ok_or_else(|| bad_value(key))?;
                    map.push(Extent { offset, length });
                }
                sparse.map = Some(map);
            }
            // numblocks only counts what follows.
            _ => {}
        }
        Ok(())
    }
}

/// An xattr's name as a part of a keyword, which ends at the first `=`: that is `%3D`, as in GNU tar, and a `%` that would be
/// taken for the beginning of such a code is `%25`.
pub fn xattr_keyword(name: &[u8]) -> Vec<u8> {
    let mut keyword = Vec::with_capacity(name.len());
    for (at, &byte) in name.iter().enumerate() {
        match byte {
            b'=' => keyword.extend_from_slice(b"%3D"),
            b'%' if matches!(name.get(at + 1..at + 3), Some(b"3D" | b"25")) => keyword.extend_from_slice(b"%25"),
            byte => keyword.push(byte),
        }
    }
    keyword
}

/// The name back. Any other `%` means just that.
fn xattr_name(keyword: &[u8]) -> Vec<u8> {
    let (mut name, mut rest) = (Vec::with_capacity(keyword.len()), keyword);
    while let Some((&first, after)) = rest.split_first() {
        let (byte, after) = match rest.get(..3) {
            Some(b"%3D") => (b'=', &rest[3..]),
            Some(b"%25") => (b'%', &rest[3..]),
            _ => (first, after),
        };
        name.push(byte);
        rest = after;
    }
    name
}

/// The first record without its length and newline, and what follows it.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().take(21).position(|&byte| byte == b' ')?;
    let length = usize::try_from(number::decimal(&bytes[..space])?).ok()?;
    if length <= space + 1 || length > bytes.len() || bytes[length - 1] != b'\n' {
        return None;
    }
    Some((&bytes[space + 1..length - 1], &bytes[length..]))
}

fn bad(why: impl Into<String>) -> Fault {
    Fault::bad(b"", why)
}

fn bad_value(key: &[u8]) -> Fault {
    bad(format!("a PAX record {} with a value that is none", key.escape_ascii()))
}

fn percent_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    Some(bytes)
}

/// RFC 4648; libarchive leaves the padding out.
fn base64_decode(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii_end();
    let end = text.iter().position(|&byte| byte == b'=').unwrap_or(text.len());
    let mut bytes = Vec::with_capacity(end * 3 / 4);
    let (mut bits, mut count) = (0u32, 0u32);
    for &digit in &text[..end] {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = ((bits << 6) | u32::from(value)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        let mut pax = Pax::default();
        pax.read(b"12 path=a/b\n20 mtime=123.500000\n", false).unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"a/b"[..]));
        assert_eq!(pax.mtime, Some((123, 500_000_000)));
        for wrong in [&b"11 path=a/b\n"[..], b"13 path=a/b\n", b"4294967296 path=a\n", b" path=a\n", b"3 =", b"0 \n"] {
            assert!(Pax::default().read(wrong, false).is_err(), "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn a_global_header_may_not_name_every_entry() {
        for record in [&b"9 path=a\n"[..], b"9 size=5\n", b"21 GNU.sparse.size=5\n"] {
            assert!(Pax::default().read(record, true).is_err(), "{}", record.escape_ascii());
            Pax::default().read(record, false).unwrap();
        }
    }

    #[test]
    fn xattrs_come_raw_and_in_base64() {
        let mut pax = Pax::default();
        pax.read(b"26 SCHILY.xattr.user.a=b=\n", false).unwrap();
        pax.read(b"35 LIBARCHIVE.xattr.user.%3Dc=aGk=\n", false).unwrap();
        let expected = [(b"user.a".to_vec(), b"b=".to_vec()), (b"user.=c".to_vec(), b"hi".to_vec())];
        assert_eq!(pax.xattrs, expected.into());
    }

    #[test]
    fn the_name_of_an_xattr_survives_the_circle() {
        for name in [&b"user.a=b"[..], b"user.%41", b"user.%3D=%25", b"user.%", b"%=", b"%%25", b"%2=5", b"%253D"] {
            let keyword = xattr_keyword(name);
            assert!(!keyword.contains(&b'='));
            assert_eq!(xattr_name(&keyword), name);
        }
        assert_eq!(xattr_name(b"user.%41%"), b"user.%41%");
        assert_eq!(xattr_keyword(b"user.%41%"), b"user.%41%");
    }
}
