//! Mounts as the kernel lists them, proc_pid_mountinfo(5).

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

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn mounted(line: &str) -> Option<Mounted> {
    let (of_mount, of_system) = line.split_once(" - ")?;
    let mut mount = of_mount.split(' ').skip(4).map(unescaped);
    let mut system = of_system.split(' ').map(unescaped);
    Some(Mounted { target: mount.next()?, options: mount.next()?, kind: system.next()?, source: system.next()? })
}

/// Blanks, tabs, newlines and backslashes are written as `\040` and the like.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
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
    String::from_utf8_lossy(&bytes).into_owned()
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
}
