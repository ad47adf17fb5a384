//! The hosts file of a network, hosts(5), which every member has at /etc/hosts: one file, mounted in each, so that a name that comes or
//! goes costs one write, however many there are. A file that takes its place by rename(2) would not be seen through those mounts, so it is
//! written to where it is, in such a way that who reads it meanwhile never finds half a line:
//!
//! - A line has a slot of 128, 256 or 512 bytes, which lies within one page, and is filled up with blanks.
//! - A new line is put behind the last one: the kernel shows a longer file only once the bytes are there.
//! - A line goes by its first byte, which becomes `#`, and a slot that has become free is filled behind that byte, before the byte.
//!
//! No line is longer than 512 bytes with its end, which is as much as musl's resolver takes. Whoever writes holds the networks' lock.

use std::fs::File;
use std::io::Result;
use std::net::IpAddr;
use std::os::unix::fs::FileExt;

/// The sizes of slots.
const SLOTS: [usize; 3] = [128, 256, 512];

/// What stands at the top, in slots.
pub fn head() -> Vec<u8> {
    ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"].into_iter().flat_map(slot).collect()
}

/// The lines in the text of the file: where each begins, and its bytes with its end.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    text.split_inclusive(|&byte| byte == b'\n').scan(0, |at, line| {
        let begins = *at;
        *at += line.len();
        Some((begins, line))
    })
}

/// Adds a member.
pub fn add(file: &File, address: IpAddr, names: &[String]) -> Result<()> {
    let mut line = address.to_string();
    let (mut separator, most) = ('\t', SLOTS[2] - 1);
    for name in names {
        if separator == ' ' && line.len() + 1 + name.len() > most {
            put(file, &line)?;
            (line, separator) = (address.to_string(), '\t');
        }
        line.push(separator);
        line.push_str(name);
        separator = ' ';
    }
    put(file, &line)
}

/// Takes away what has this address.
pub fn remove(file: &File, address: IpAddr) -> Result<()> {
    let text = read(file)?;
    let said = [address.to_string().as_bytes(), b"\t"].concat();
    for (at, _) in lines(&text).filter(|(_, line)| line.starts_with(&said)) {
        file.write_all_at(b"#", at as u64)?;
    }
    Ok(())
}

fn put(file: &File, line: &str) -> Result<()> {
    let bytes = slot(line);
    let text = read(file)?;
    let free = lines(&text).find(|(_, line)| line.len() == bytes.len() && line.starts_with(b"#"));
    if let Some((at, _)) = free {
        file.write_all_at(&bytes[1..], at as u64 + 1)?;
        return file.write_all_at(&bytes[..1], at as u64);
    }
    let mut end = text.len();
    // What a writer that was killed has left behind the last whole slot is overwritten.
    end -= end % SLOTS[0];
    while end % bytes.len() != 0 {
        file.write_all_at(&slot("#"), end as u64)?;
        end += SLOTS[0];
    }
    file.write_all_at(&bytes, end as u64)
}

/// A line in the smallest slot that it fits into.
fn slot(line: &str) -> Vec<u8> {
    let size = SLOTS.into_iter().find(|size| line.len() < *size).unwrap_or(SLOTS[2]);
    let mut bytes = line.as_bytes()[..line.len().min(size - 1)].to_vec();
    bytes.resize(size - 1, b' ');
    bytes.push(b'\n');
    bytes
}

fn read(file: &File) -> Result<Vec<u8>> {
    let mut text = vec![0; file.metadata()?.len() as usize];
    file.read_exact_at(&mut text, 0)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn file() -> File {
        let file = File::from(crate::sys::memfd_create(c"ctr-test", libc::MFD_CLOEXEC).unwrap());
        file.write_all_at(&head(), 0).unwrap();
        file
    }

    fn names(file: &File) -> Vec<String> {
        let text = String::from_utf8(read(file).unwrap()).unwrap();
        let live = text.lines().filter(|line| !line.starts_with('#')).skip(2);
        live.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    fn ip(last: u8) -> IpAddr {
        [10, 0, 3, last].into()
    }

    #[test]
    fn members_come_and_go_and_their_slots_are_used_again() {
        let file = file();
        add(&file, ip(2), &["a".into()]).unwrap();
        add(&file, ip(20), &["b".into(), "db".into()]).unwrap();
        remove(&file, ip(2)).unwrap();
        assert_eq!(names(&file), ["10.0.3.20 b db"]);
        let length = read(&file).unwrap().len();
        add(&file, ip(3), &["c".into()]).unwrap();
        assert_eq!(
            (names(&file), read(&file).unwrap().len()),
            (vec!["10.0.3.3 c".into(), "10.0.3.20 b db".into()], length)
        );
    }

    #[test]
    fn a_line_lies_in_one_page_and_is_no_longer_than_resolvers_take() {
        let file = file();
        let many: Vec<_> = (0..40).map(|i| format!("name-{i}-{}", "x".repeat(20 + i))).collect();
        for last in 2..12 {
            add(&file, ip(last), &many[..last as usize * 4 - 7]).unwrap();
        }
        let text = read(&file).unwrap();
        for (at, line) in lines(&text) {
            assert!(SLOTS.contains(&line.len()) && at % line.len() == 0, "{at} {}", line.len());
        }
        let of_last =
            names(&file).into_iter().filter(|line| line.starts_with("10.0.3.11 ")).collect::<Vec<_>>().join(" ");
        assert!(many[..37].iter().all(|name| of_last.contains(name)));
        remove(&file, ip(11)).unwrap();
        assert!(!names(&file).iter().any(|line| line.starts_with("10.0.3.11 ")));
    }

    #[test]
    fn who_reads_meanwhile_finds_whole_lines() {
        let (file, over) = (file(), AtomicBool::new(false));
        let long = ["x".repeat(60), "y".repeat(60), "z".repeat(60)];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..2000_u32 {
                    let last = (round % 40 + 2) as u8;
                    remove(&file, ip(last)).unwrap();
                    add(&file, ip(last), &long[..round as usize % 3 + 1]).unwrap();
                }
                over.store(true, Ordering::Relaxed);
            });
            while !over.load(Ordering::Relaxed) {
                for line in names(&file) {
                    let mut words = line.split(' ');
                    assert!(words.next().unwrap().parse::<IpAddr>().is_ok(), "{line}");
                    assert!(words.all(|word| long.iter().any(|name| name == word)), "{line}");
                }
            }
        });
    }
}
