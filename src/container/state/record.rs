//! The first line of a record: what a container is, for whoever joins it.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::resource::Resource;
use crate::Config;
use crate::cgroup::Place;
use crate::config::text;
use crate::image::ImageConfig;

/// What is written down about a container: all that a joiner or a sweeper needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// [`super::VERSION`]. Whoever knows only earlier ones leaves it alone.
    pub version: u32,
    pub name: String,
    pub image: String,
    /// Seconds since 1970.
    pub created: u64,
    pub owner: i32,
    /// When the owner started, in clock ticks since boot: with the pid, it names one process for good.
    pub owner_start: u64,
    pub detached: bool,
    /// What it has on the host, in the order in which it was made: the further lines.
    #[serde(skip)]
    pub resources: Vec<Resource>,
    /// Cgroups that are only made once there is a limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late_cgroups: Vec<Place>,
    /// Where its cgroups are, in words for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cgroup_place: String,
    /// What was asked for and could not be had, in words for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// How programs are started in it.
    pub exec: ExecDefaults,
    /// How it was asked for.
    #[serde(default, deserialize_with = "as_far_as_known")]
    pub config: Config,
    /// Whether it stands behind Landlock, which the kernel tells nobody.
    #[serde(default)]
    pub landlock: bool,
    /// Its list of devices.
    #[serde(default, skip_serializing_if = "is_default")]
    pub devices: Listed,
    /// Where its root comes from.
    #[serde(default)]
    pub root: Root,
    /// The store that it was made with.
    #[serde(with = "text", default)]
    pub store: PathBuf,
    /// What is mounted upon, besides the usual.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounted: Vec<Text>,
    /// It has an /etc/hosts and the like of its own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub etc_files: bool,
    /// What the image says about how it is run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub run: ImageConfig,
}

/// Where a container's root comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Root {
    /// Another process's: it was joined by its pid.
    #[default]
    Foreign,
    /// The host's programs in a tmpfs of its own, or the host's root itself.
    Host,
    /// A directory of the host, as it is.
    Direct,
    /// A directory of the host below an overlay.
    #[serde(with = "text")]
    Directory(PathBuf),
    /// An image of the store, by its digest, below an overlay.
    Image(String),
}

/// Whether there is a list of devices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listed {
    /// None, and nobody has missed it.
    #[default]
    NotWanted,
    /// These rules.
    Stands(String),
    /// It could not be had, for this reason.
    Missing(String),
}

impl Record {
    /// Whether it is this container's, and names nothing that ctr doesn't make as what is below its root.
    pub(super) fn is_sound(&self, name: &str) -> bool {
        let root = match &self.root {
            Root::Foreign | Root::Host | Root::Direct => true,
            Root::Directory(path) => path.is_absolute(),
            Root::Image(digest) => digest.strip_prefix("sha256:").is_some_and(|hex| {
                hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            }),
        };
        self.name == name && root
    }
}

/// What a joiner must know to start a program as the creator would.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ExecDefaults {
    /// NAME=VALUE, each as bytes of text where it is UTF-8.
    pub env: Vec<Text>,
    /// It has a /dev of its own, so terminals.
    pub terminals: bool,
    /// More ids than 0 are mapped.
    pub many_ids: bool,
    /// It has a PID namespace of its own, so its PID 1's end is everyone's.
    pub own_pid: bool,
    /// Programs are root unless another user is asked for; a joined process without a user namespace of its own keeps what it is.
    pub has_root: bool,
    /// Capabilities that programs may have.
    pub capabilities: u64,
    /// The working directory and user that the image asks for.
    pub cwd: Option<PathBuf>,
    pub user: Option<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A configuration that another version wrote may have words that this one doesn't know; the container can be used all the same.
fn as_far_as_known<'d, D: Deserializer<'d>>(from: D) -> std::result::Result<Config, D::Error> {
    let written = Box::<RawValue>::deserialize(from)?;
    Ok(serde_json::from_str(written.get()).unwrap_or_default())
}

/// A string of the system's kind: any bytes, as readable text where it can be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Text {
    Utf8(String),
    Bytes(Vec<u8>),
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|error| Self::Bytes(error.into_bytes()), Self::Utf8)
    }
}

impl Text {
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Utf8(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// When process `pid` started, in clock ticks since boot: field 22 of /proc/PID/stat, proc_pid_stat(5). Nothing where there is
/// no such process.
pub fn start_of(pid: i32) -> std::io::Result<Option<u64>> {
    match crate::sys::file::read(format!("/proc/{pid}/stat")) {
        Ok(stat) => Ok(start_in(&stat)),
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => Ok(None),
        Err(e) => Err(e),
    }
}

fn start_in(stat: &[u8]) -> Option<u64> {
    let after_name = stat.iter().rposition(|&byte| byte == b')')? + 2;
    let fields = std::str::from_utf8(stat.get(after_name..)?).ok()?;
    let mut fields = fields.split(' ');
    // A zombie is no owner any more.
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}
