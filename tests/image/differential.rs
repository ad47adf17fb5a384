//! The same archive to GNU tar, to Python's tarfile and to us: the trees must be the same.
//!
//! Archives are generated from a seed, in four formats, by a writer that is none of the three, out of what the three
//! agree on: where readers disagree we refuse, and the tests of attacks have that.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use ctr::image::{ImportOptions, Input};

use crate::support::*;

/// Archives that are compared, each of up to 60 entries; CTR_TEST_ARCHIVES sets another number.
const ARCHIVES: u64 = 2_000;

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Made {
    Directory,
    File,
    Other,
}

/// One archive. What a name is made as stays what it is, so that order is all that can go wrong.
fn generate(random: &mut Random) -> Vec<u8> {
    let format = random.below(4);
    let dots = random.below(2) == 0;
    let mut made = BTreeMap::<String, Made>::new();
    // Python gives a file the owner and mode of each link to it, GNU tar and we those of the file itself.
    let mut heads = BTreeMap::<String, tar::Header>::new();
    let mut tar = Tar::new();
    for _ in 0..random.below(60) + 1 {
        let parents: Vec<String> =
            made.iter().filter(|(_, kind)| **kind == Made::Directory).map(|(name, _)| format!("{name}/")).collect();
        let parent = match random.below(3) {
            0 => String::new(),
            _ if parents.is_empty() => String::new(),
            _ => parents[random.below(parents.len() as u64) as usize].clone(),
        };
        let length = [1, 5, 20, 90, 150, 254][random.below(if format == 0 { 3 } else { 6 }) as usize];
        let mut name = parent + &((b'a' + random.below(20) as u8) as char).to_string().repeat(length);
        let most = if format == 0 { 98 } else { 3000 };
        if name.len() > most {
            name.truncate(1);
        }
        let files: Vec<String> =
            made.iter().filter(|(_, kind)| **kind == Made::File).map(|(name, _)| name.clone()).collect();
        let (kind, typeflag) = match random.below(10) {
            0..=3 => (Made::File, b'0'),
            4..=6 => (Made::Directory, b'5'),
            7 => (Made::Other, b'2'),
            8 if !files.is_empty() => (Made::File, b'1'),
            _ => (Made::Other, b'6'),
        };
        match made.get(&name) {
            // A file may come again, with other content; a link to it would then keep the old one, which the three do in
            // different ways.
            Some(_) => continue,
            None => made.insert(name.clone(), kind),
        };
        let link = match typeflag {
            b'1' => files[random.below(files.len() as u64) as usize].clone(),
            b'2' => format!("t{}", "x".repeat([3, 99, 100, 101, 200][random.below(5) as usize])),
            _ => String::new(),
        };
        let content = vec![random.next() as u8; [0, 1, 511, 512, 513, 10_000][random.below(6) as usize]];
        let data: &[u8] = if typeflag == b'0' { &content } else { b"" };
        let mut entry = header(b"", typeflag, data.len() as u64);
        entry.set_mode([0o644, 0o755, 0o600, 0o1777, 0o4755, 0o2750, 0o400][random.below(7) as usize]);
        entry.set_uid(random.below(70_000));
        entry.set_gid(random.below(70_000));
        entry.set_mtime(1_000_000_000 + random.below(700_000_000));
        if typeflag == b'1' {
            entry = heads[&link].clone();
            entry.as_old_mut().linkflag = [b'1'];
            entry.set_size(0);
        }
        if kind == Made::File {
            heads.insert(name.clone(), entry.clone());
        }
        let mut stated = if dots { format!("./{name}") } else { name };
        if typeflag == b'5' && random.below(2) == 0 {
            stated.push('/');
        }
        let link_stated = if typeflag == b'1' && dots { format!("./{link}") } else { link };
        tar = put(tar, format, entry, &stated, &link_stated, data, random);
    }
    tar.end()
}

/// Adds an entry as v7 or ustar, GNU or PAX have it.
fn put(
    mut tar: Tar,
    format: u64,
    mut entry: tar::Header,
    name: &str,
    link: &str,
    data: &[u8],
    random: &mut Random,
) -> Tar {
    let mut records = Vec::new();
    let link = if format == 0 && link.len() > 100 { &link[..100] } else { link };
    match format {
        2 => {
            entry.as_mut_bytes()[257..265].copy_from_slice(b"ustar  \0");
            for (typeflag, text) in [(b'L', name), (b'K', link)] {
                if text.len() > 100 {
                    let text = [text.as_bytes(), &[0]].concat();
                    let mut long = header(b"././@LongLink", typeflag, text.len() as u64);
                    long.as_mut_bytes()[257..265].copy_from_slice(b"ustar  \0");
                    tar = tar.raw(&long, &text);
                }
            }
        }
        1 | 3 => {
            if name.len() > 100 {
                records.push(("path", name.as_bytes()));
            }
            if link.len() > 100 {
                records.push(("linkpath", link.as_bytes()));
            }
        }
        _ => {}
    }
    let time = format!("{}.{:09}", entry.mtime().unwrap(), random.below(1_000_000_000));
    if format == 3 && entry.as_old().linkflag != *b"1" {
        records.push(("mtime", time.as_bytes()));
    }
    if !records.is_empty() {
        tar = tar.pax(&records);
    }
    let old = entry.as_old_mut();
    let (name, link) = (name.as_bytes(), link.as_bytes());
    old.name[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
    old.linkname[..link.len().min(100)].copy_from_slice(&link[..link.len().min(100)]);
    tar.raw(&entry, data)
}

/// [`lines`], without the root, of which no entry speaks.
fn comparable(root: &Path) -> Vec<String> {
    lines(root).into_iter().filter(|line| !line.starts_with(' ')).collect()
}

/// The same, as far as Python's filter 'tar' keeps it: no special bits, no writing for others, no times of links, and
/// other times as floating-point numbers.
fn as_python_has_it(line: &str) -> String {
    let mut parts: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let mode = u32::from_str_radix(&parts[1], 8).unwrap();
    let is_link = mode & 0o170_000 == 0o120_000;
    parts[1] = format!("{:o}", if is_link { mode } else { mode & 0o170_755 });
    parts[3] = if is_link { String::new() } else { parts[3].split('.').next().unwrap().into() };
    parts.join(" ")
}

#[test]
fn gnu_tar_and_python_see_the_same_tree() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let count = std::env::var("CTR_TEST_ARCHIVES").map_or(ARCHIVES, |count| count.parse().unwrap());
    let archives: Vec<Vec<u8>> = (0..count).map(|seed| generate(&mut Random(seed))).collect();
    let python = scratch.write(
        "extract.py",
        b"import sys, tarfile\n\
          for archive, target in zip(sys.argv[1::2], sys.argv[2::2]):\n\
          \x20   with tarfile.open(archive) as tar:\n\
          \x20       tar.extractall(target, filter='tar') if hasattr(tarfile, 'tar_filter') else tar.extractall(target)\n",
    );
    let mut arguments = vec![python.into_os_string()];
    for (seed, bytes) in archives.iter().enumerate() {
        let path = scratch.write(&format!("{seed}.tar"), bytes);
        for reader in ["gnu", "python"] {
            std::fs::create_dir(scratch.path(&format!("{seed}.{reader}"))).unwrap();
        }
        let target = scratch.path(&format!("{seed}.gnu"));
        let options = ["-p", "--numeric-owner", "--delay-directory-restore", "-xf"];
        let mut gnu: Vec<&std::ffi::OsStr> = options.iter().map(std::ffi::OsStr::new).collect();
        gnu.extend([path.as_os_str(), "-C".as_ref(), target.as_os_str()]);
        run("tar", &gnu);
        arguments.extend([path.into_os_string(), scratch.path(&format!("{seed}.python")).into_os_string()]);
    }
    let output = Command::new("python3").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (seed, bytes) in archives.iter().enumerate() {
        let image = store.import(Input::Reader(Box::new(bytes.as_slice())), &ImportOptions::default(), &mut |_| true);
        let ours = image.unwrap_or_else(|error| panic!("seed {seed}: {error}")).layers[0].clone();
        let theirs = |reader: &str| scratch.path(&format!("{seed}.{reader}"));
        let ours = comparable(&ours);
        assert_eq!(ours, comparable(&theirs("gnu")), "seed {seed}, GNU tar");
        let python = comparable(&theirs("python"));
        let both = |lines: &[String]| lines.iter().map(|line| as_python_has_it(line)).collect::<Vec<_>>();
        assert_eq!(both(&ours), both(&python), "seed {seed}, Python");
    }
}
