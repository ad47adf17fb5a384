//! Mounts as the kernel lists them, proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A line of mountinfo.
pub struct Mounted {
    /// Where it is, as the process sees it.
    pub target: String,
    /// Of the file system: "ext4".
    pub kind: String,
    pub source: String,
    /// Of the mount: "ro,nosuid".
    pub options: String,
}

impl Mounted {
    /// Whether it has this option.
    pub fn has(&self, option: &str) -> bool {
        self.options.split(',').any(|has| has == option)
    }
}

/// The lines of such a file, those that are understood.
pub fn lines(mountinfo: &str) -> impl Iterator<Item = Mounted> {
    mountinfo.lines().filter_map(mounted)
}

/// Where a mount is.
#[derive(Debug, PartialEq, Eq)]
pub struct Placed {
    /// As the process sees it.
    pub path: PathBuf,
    /// Others are mounted below it.
    pub has_others: bool,
    /// Another one covers it.
    pub is_covered: bool,
}

/// The mounts at this path, in the text of such a file: the one that lies on the others last.
pub fn at(mountinfo: &[u8], path: &Path) -> Vec<u64> {
    let number = |field: Option<&[u8]>| std::str::from_utf8(field?).ok()?.parse::<u64>().ok();
    let mut left = Vec::new();
    for line in mountinfo.split(|&byte| byte == b'\n') {
        let mut fields = line.split(|&byte| byte == b' ');
        let (Some(own), Some(parent), Some(target)) = (number(fields.next()), number(fields.next()), fields.nth(2))
        else {
            continue;
        };
        if unescaped_bytes(target) == path.as_os_str().as_bytes() {
            left.push((own, parent));
        }
    }
    // Each lies on its parent, which is among them but for the first.
    let mut sorted: Vec<u64> = Vec::new();
    while let Some(next) = left.iter().position(|(_, parent)| match sorted.last() {
        Some(top) => parent == top,
        None => left.iter().all(|(other, _)| other != parent),
    }) {
        sorted.push(left.swap_remove(next).0);
    }
    sorted
}

/// Where the mount of this number is, in the text of such a file; `None` where it is nowhere.
pub fn find(mountinfo: &[u8], number: u64) -> Option<Placed> {
    let number = number.to_string();
    let mut place = None;
    let mut others = Vec::new();
    for line in mountinfo.split(|&byte| byte == b'\n') {
        let mut fields = line.split(|&byte| byte == b' ');
        let (Some(own), Some(parent), Some(target)) = (fields.next(), fields.next(), fields.nth(2)) else { continue };
        if own == number.as_bytes() {
            place = Some(target);
        } else if parent == number.as_bytes() {
            others.push(target);
        }
    }
    place.map(|place| Placed {
        path: OsString::from_vec(unescaped_bytes(place)).into(),
        has_others: !others.is_empty(),
        is_covered: others.contains(&place),
    })
}

/// The number of the overlay whose upper directory has a path that ends so, in the text of such a file.
pub fn overlay(mountinfo: &[u8], upper: &str) -> Option<u64> {
    let text = String::from_utf8_lossy(mountinfo);
    let line = text.lines().rfind(|line| {
        let Some((_, system)) = line.split_once(" - overlay ") else { return false };
        let options = system.split_once(' ').map_or("", |(_, options)| options).split(',');
        let upper_of = |option: &str| option.strip_prefix("upperdir=").map(str::to_owned);
        options.filter_map(upper_of).any(|path| path == upper || path.ends_with(&format!("/{upper}")))
    })?;
    line.split(' ').next()?.parse().ok()
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn mounted(line: &str) -> Option<Mounted> {
    let (of_mount, of_system) = line.split_once(" - ")?;
    let mut mount = of_mount.split(' ').skip(4).map(unescaped);
    let mut system = of_system.split(' ').map(unescaped);
    Some(Mounted { target: mount.next()?, options: mount.next()?, kind: system.next()?, source: system.next()? })
}

/// Blanks, tabs, newlines and backslashes are written as `\040` and the like.
fn unescaped(text: &str) -> String {
    String::from_utf8_lossy(&unescaped_bytes(text.as_bytes())).into_owned()
}

fn unescaped_bytes(mut rest: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some((&byte, after)) = rest.split_first() {
        let number = after.get(..3).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match number.filter(|_| byte == b'\\') {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &after[3..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_is_understood_with_blanks_in_it() {
        let line =
            r"36 35 98:0 /x /mnt\040\134\011b ro,nosuid,nodev shared:1 master:2 - ext3 /dev/root rw,errors=continue";
        let mount = mounted(line).unwrap();
        assert_eq!(
            (mount.target.as_str(), mount.kind.as_str(), mount.source.as_str()),
            ("/mnt \\\tb", "ext3", "/dev/root")
        );
        assert!(mount.has("ro") && mount.has("nodev") && !mount.has("rw") && !mount.has("noexec"));
        assert!(mounted("36 35").is_none());
    }

    #[test]
    fn an_overlay_is_found_by_its_upper_directory() {
        let text = b"36 1 0:1 / / rw - overlay overlay rw,lowerdir=l,upperdir=upper,workdir=w\n\
            37 36 0:2 / /s rw - overlay overlay rw,lowerdir=s/lower,upperdir=s/upper,workdir=s/work\n\
            38 36 0:3 / /t rw - overlay overlay rw,upperdir=upper/t/upper,workdir=t/work\n";
        assert_eq!((overlay(text, "s/upper"), overlay(text, "t/upper")), (Some(37), Some(38)));
        assert_eq!(overlay(text, "r/upper"), None);
    }

    #[test]
    fn a_mount_is_found_by_its_number_whatever_bytes_its_place_has() {
        let text = b"36 1 0:1 / / rw - tmpfs t rw\n360 36 0:2 / /a\\040\xff rw - tmpfs t rw\n37 360 0:3 / /a/b rw - tmpfs t rw\n38 37 0:4 / /a/b rw - tmpfs t rw\n";
        let path = |bytes: &[u8]| PathBuf::from(OsString::from_vec(bytes.to_vec()));
        assert_eq!(find(text, 360), Some(Placed { path: path(b"/a \xff"), has_others: true, is_covered: false }));
        assert_eq!(find(text, 37), Some(Placed { path: path(b"/a/b"), has_others: true, is_covered: true }));
        assert_eq!(find(text, 3), None);
        assert_eq!(at(text, Path::new("/a/b")), [37, 38]);
        assert_eq!(at(text, &path(b"/a \xff")), [360]);
        assert_eq!(at(b"40 39 0:1 / /m rw - t t rw\n39 7 0:1 / /m rw - t t rw\n", Path::new("/m")), [39, 40]);
        assert!(at(text, Path::new("/a")).is_empty());
    }
}
