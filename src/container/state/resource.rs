//! What a container has on the host, and the lines of a record about it.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::name::check_network;
use crate::Mount;
use crate::cgroup::Place;
use crate::config::text;

/// What a container has on the host that outlives its processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// A directory of a cgroup hierarchy.
    Cgroup(Place),
    /// The directory of its changes, where they are on disk.
    Upper {
        #[serde(with = "text")]
        path: PathBuf,
    },
    /// Its control socket, beside the record.
    Socket,
    /// A loop device, which has the blocks of a disk's image as long as that is mounted.
    Loop {
        number: u32,
        /// Its name, by which it is told from what others have under this number.
        tag: String,
        /// Where that is mounted inside.
        #[serde(with = "text")]
        target: PathBuf,
    },
    /// What its caller has mounted into it. It is gone with its mount namespace, so nobody has to release it.
    Mount {
        /// The number of the mount, as in proc_pid_mountinfo(5). 0 where it came with the container: nobody asks for it then.
        number: u64,
        mount: Mount,
        /// It was mounted while the container ran.
        #[serde(default = "yes")]
        live: bool,
    },
    /// A scratch mount, of its making or while it ran. PID 1 has the place of its changes, so nobody has to release it.
    Scratch(Scratch),
    /// A port of the host that leads to one inside.
    Forward {
        address: SocketAddr,
        to: SocketAddr,
        /// The process that forwards, and when it started; see `start_of`. 0 where that is not known.
        pid: i32,
        start: u64,
    },
    /// Its place in a named network: its addresses there, its interface, its names.
    Network { name: String },
}

/// What is known of a scratch mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scratch {
    /// Where PID 1 has the place of its changes.
    pub slot: u8,
    /// What that place is called, in the tmpfs that it is in or in the directory of the changes on disk.
    pub name: String,
    /// Where it is inside.
    #[serde(with = "text")]
    pub target: PathBuf,
    /// The directory of the host, without links.
    #[serde(with = "text")]
    pub source: PathBuf,
    /// Which one that is, by device and inode.
    pub identity: (u64, u64),
}

impl Scratch {
    /// Whether it is one that ctr makes.
    fn is_sound(&self) -> bool {
        let name = self.name.strip_prefix("scratch").unwrap_or_default();
        (ctr_wire::SCRATCHES..ctr_wire::PROC).contains(&usize::from(self.slot))
            && !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
            && self.source.is_absolute()
    }
}

/// A line about a resource.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// It may exist from now on.
    Has(Resource),
    /// It is gone.
    Gone(Resource),
}

impl Resource {
    /// Whether it is one of the container `name`, as far as its name tells; `store` is the one that the container was made with,
    /// where that is known. What a cgroup's name tells is looked at when it is used, [`crate::cgroup::check_names`], and so is whether a
    /// process forwards, [`super::forwarder::open`].
    pub fn is_of(&self, name: &str, store: Option<&Path>) -> bool {
        match self {
            Self::Cgroup(_) | Self::Socket | Self::Loop { .. } | Self::Mount { .. } | Self::Forward { .. } => true,
            Self::Network { name } => check_network(name).is_ok(),
            Self::Scratch(scratch) => scratch.is_sound(),
            Self::Upper { path } => {
                let parents = || path.components().any(|part| part == Component::ParentDir);
                let parent = path.parent().filter(|parent| parent.ends_with("upper"));
                let in_store = |parent: &Path| store.is_none_or(|store| parent == store.join("upper"));
                let called = path.file_name().and_then(OsStr::to_str);
                path.is_absolute()
                    && parent.is_some_and(in_store)
                    && called.is_some_and(|called| is_called_after(called, name))
                    && !parents()
            }
        }
    }
}

fn yes() -> bool {
    true
}

/// Whether a directory of changes has the name of the container `name` and four digits, or only the name, as the first ones had.
fn is_called_after(directory: &str, name: &str) -> bool {
    let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    match directory.strip_prefix(name).map(|rest| (rest, rest.strip_prefix('.'))) {
        Some(("", _)) => true,
        Some((_, Some(digits))) => digits.len() == 4 && digits.bytes().all(is_digit),
        _ => false,
    }
}

/// The lines of `entries`.
pub fn lines(entries: impl IntoIterator<Item = Entry>) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::new();
    for entry in entries {
        serde_json::to_writer(&mut text, &entry)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// The cgroups among `resources`, the last one first.
pub fn cgroups(resources: &[Resource]) -> Vec<Place> {
    let place = |resource: &Resource| match resource {
        Resource::Cgroup(place) => Some(place.clone()),
        _ => None,
    };
    resources.iter().rev().filter_map(place).collect()
}
