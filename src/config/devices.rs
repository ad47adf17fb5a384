//! Devices: which nodes of the host a container sees beside the usual six, and which ones the allow-list in its cgroup lets it
//! open and make. The words are those of docker's `--device` and `--device-cgroup-rule`, and of the OCI runtime
//! specification's `linux.resources.devices`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, Step};

/// What a container may do with a device beyond what every container may. For serde it is what [`FromStr`] takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// A node of the host is seen inside, and may be used.
    #[non_exhaustive]
    Node {
        /// Path on the host.
        source: PathBuf,
        /// Absolute path inside, below /dev for ioctl(2) to work.
        target: PathBuf,
        /// What may be done with it.
        access: DeviceAccess,
    },
    /// The allow-list lets these devices through, whoever makes nodes for them.
    Rule(DeviceRule),
}

/// An entry of the allow-list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    /// Of which kind.
    pub kind: DeviceKind,
    /// The major number, any where there is none.
    pub major: Option<u32>,
    /// The minor number, any where there is none.
    pub minor: Option<u32>,
    /// What may be done.
    pub access: DeviceAccess,
}

/// The kinds of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// `a`: both.
    All,
    /// `c`: character devices.
    Char,
    /// `b`: block devices.
    Block,
}

/// What may be done with a device: `r`, `w` and `m` of `rwm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceAccess {
    /// Open it for reading.
    pub read: bool,
    /// Open it for writing.
    pub write: bool,
    /// Make a node for it, mknod(2).
    pub mknod: bool,
}

/// What becomes of the allow-list of devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum DeviceList {
    /// It stands where a device is given, in the strict preset, and where root inside is root outside, as far as this
    /// machine and user can have it.
    #[default]
    Auto,
    /// It stands, or the container is not made.
    Required,
    /// There is none.
    Off,
}

impl DeviceRule {
    /// Everything that can be done with these character devices.
    pub(crate) const fn char_device(major: u32, minor: Option<u32>) -> Self {
        Self { kind: DeviceKind::Char, major: Some(major), minor, access: DeviceAccess::ALL }
    }

    /// Making nodes, whatever device they are.
    pub(crate) const fn any_node(kind: DeviceKind) -> Self {
        let access = DeviceAccess { read: false, write: false, mknod: true };
        Self { kind, major: None, minor: None, access }
    }
}

impl DeviceAccess {
    /// `rwm`.
    pub const ALL: Self = Self { read: true, write: true, mknod: true };
}

impl FromStr for DeviceAccess {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let has = |letter| text.contains(letter);
        let access = Self { read: has('r'), write: has('w'), mknod: has('m') };
        if text.is_empty() || access.to_string().len() != text.len() {
            return Err(Error::invalid(Step::DeviceAccess, text, "it is made of r, w and m"));
        }
        Ok(access)
    }
}

impl fmt::Display for DeviceAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (has, letter) in [(self.read, "r"), (self.write, "w"), (self.mknod, "m")] {
            f.write_str(if has { letter } else { "" })?;
        }
        Ok(())
    }
}

/// As `devices.allow` of cgroup v1 takes it.
impl fmt::Display for DeviceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            DeviceKind::All => "a",
            DeviceKind::Char => "c",
            DeviceKind::Block => "b",
        };
        let number = |number: Option<u32>| number.map_or_else(|| "*".into(), |number| number.to_string());
        write!(f, "{kind} {}:{} {}", number(self.major), number(self.minor), self.access)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => rule.fmt(f),
            Self::Node { source, target, access } => {
                write!(f, "{}:{}:{access}", source.display(), target.display())
            }
        }
    }
}

impl FromStr for DeviceRule {
    type Err = Error;

    /// `c 10:229 rwm`, `b *:* r`, `a` for everything.
    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::invalid(Step::DeviceRule, text, "it is not a type, numbers and access")
                .with_hint("write it as c 10:229 rwm, with a, b or c, and * for any number")
        };
        let number = |text: &str| match text {
            "*" => Ok(None),
            number => number.parse().map(Some).map_err(|_| bad()),
        };
        let words: Vec<_> = text.split_whitespace().collect();
        let (kind, numbers, access) = match words[..] {
            ["a"] => ("a", "*:*", "rwm"),
            [kind, numbers, access] => (kind, numbers, access),
            _ => return Err(bad()),
        };
        let kind = match kind {
            "a" => DeviceKind::All,
            "c" => DeviceKind::Char,
            "b" => DeviceKind::Block,
            _ => return Err(bad()),
        };
        let (major, minor) = numbers.split_once(':').ok_or_else(bad)?;
        let rule =
            Self { kind, major: number(major)?, minor: number(minor)?, access: access.parse().map_err(|_| bad())? };
        // The kernel takes "a" for everything, whatever stands behind it.
        let all = Self { kind: DeviceKind::All, major: None, minor: None, access: DeviceAccess::ALL };
        if kind == DeviceKind::All && rule != all {
            return Err(Error::invalid(Step::DeviceRule, text, "a is every access to every device")
                .with_hint("write one rule for c and one for b"));
        }
        Ok(rule)
    }
}

impl FromStr for Device {
    type Err = Error;

    /// A node as docker's `--device` has it: `/dev/fuse`, `/dev/sda:r`, `/dev/ttyUSB0:/dev/modem:rw`; or a rule as its
    /// `--device-cgroup-rule`: `c 10:229 rwm`.
    fn from_str(text: &str) -> Result<Self> {
        if !text.starts_with('/') {
            return text.parse().map(Self::Rule);
        }
        let parts: Vec<_> = text.split(':').collect();
        let (source, target, access) = match parts[..] {
            [source] => (source, source, "rwm"),
            [source, access] if !access.starts_with('/') => (source, source, access),
            [source, target] => (source, target, "rwm"),
            [source, target, access] => (source, target, access),
            _ => {
                return Err(Error::invalid(Step::Device, text, "it has more than three parts")
                    .with_hint("write it as SOURCE, SOURCE:TARGET or SOURCE:TARGET:rwm"));
            }
        };
        let access = access.parse().map_err(|_| {
            Error::invalid(Step::Device, text, "what may be done with it is made of r, w and m")
                .with_hint("write it as SOURCE, SOURCE:TARGET or SOURCE:TARGET:rwm")
        })?;
        Ok(Self::Node { source: source.into(), target: Path::new(target).into(), access })
    }
}

impl TryFrom<String> for Device {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_docker_writes_them() {
        let read_write = DeviceAccess { mknod: false, ..DeviceAccess::ALL };
        let node =
            |source: &str, target: &str, access| Device::Node { source: source.into(), target: target.into(), access };
        for (text, device) in [
            ("/dev/fuse", node("/dev/fuse", "/dev/fuse", DeviceAccess::ALL)),
            ("/dev/fuse:rw", node("/dev/fuse", "/dev/fuse", read_write)),
            ("/dev/ttyS0:/dev/modem", node("/dev/ttyS0", "/dev/modem", DeviceAccess::ALL)),
            ("/dev/ttyS0:/dev/modem:wr", node("/dev/ttyS0", "/dev/modem", read_write)),
            ("c 10:229 rwm", Device::Rule(DeviceRule::char_device(10, Some(229)))),
            ("c 136:* rwm", Device::Rule(DeviceRule::char_device(136, None))),
            ("b *:* m", Device::Rule(DeviceRule::any_node(DeviceKind::Block))),
            ("a", Device::Rule(DeviceRule { kind: DeviceKind::All, ..any_all() })),
            ("a *:* rwm", Device::Rule(DeviceRule { kind: DeviceKind::All, ..any_all() })),
        ] {
            assert_eq!(text.parse::<Device>().unwrap(), device, "{text}");
        }
        for text in [
            "",
            "dev/fuse",
            "/dev/a:/dev/b:rw:x",
            "/dev/fuse:x",
            "/dev/fuse:",
            "/dev/fuse:rr",
            "c",
            "c 1:3",
            "c 1:3 rwx",
            "c 1 rwm",
            "d 1:3 rwm",
            "c -1:3 rwm",
            "c 1:3 ",
            "a 1:3 rwm",
            "a *:* r",
            "c 1:3 rwm more",
            "c 4294967296:1 r",
        ] {
            assert!(text.parse::<Device>().is_err(), "{text:?}");
        }
    }

    fn any_all() -> DeviceRule {
        DeviceRule { access: DeviceAccess::ALL, ..DeviceRule::any_node(DeviceKind::All) }
    }

    #[test]
    fn a_rule_is_written_as_it_is_read() {
        for text in ["c 136:* rwm", "b *:* m", "a *:* rwm"] {
            assert_eq!(text.parse::<DeviceRule>().unwrap().to_string(), text);
        }
    }
}
