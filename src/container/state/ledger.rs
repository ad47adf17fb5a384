//! The lines of a record. The first says what the container is; each further one is an entry about a resource that it has on the
//! host: it may exist from now on, or it is gone. Lines are only ever added, by whoever makes a resource, also by a joiner.
//!
//! An entry is written before its resource exists and struck off after it is gone. A line that was cut off, by a full disk or by a
//! killed writer, names nothing that was made: whoever writes makes nothing before all of it is written. The next writer begins
//! with a newline, so that a torn line stays alone.
//!
//! `Shared::acquire` writes one while the container runs. docs/extending.md says how a kind of resource is added. A version of ctr that doesn't know it leaves the whole record to those that do.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::record::Record;
use super::resource::{Entry, Resource, cgroups, lines};
use crate::cgroup::{Place, check_names};
use crate::config::text;

/// The version of records and of the requests that PID 1 takes. A record of an earlier one is listed, ended and swept; it is not
/// joined, for its PID 1 speaks otherwise.
pub const VERSION: u32 = 2;

/// No record is larger; what is, is damaged.
pub const LARGEST: u64 = 4 << 20;

/// What a record says of its container, whichever version wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Outline {
    pub name: String,
    pub image: String,
    /// Seconds since 1970.
    pub created: u64,
    pub owner: i32,
    /// See [`Record::owner_start`].
    pub owner_start: u64,
    pub detached: bool,
    /// In the order in which they were made.
    #[serde(skip)]
    pub resources: Vec<Resource>,
}

/// What stands in the file of a record.
pub enum Content {
    Record(Box<Record>),
    /// An earlier version's.
    Older(Outline),
    /// A later version's, which knows what is to be done.
    Newer,
    /// Nothing yet: it is just being made, or its maker died before it wrote anything.
    Nothing,
    /// No record, or not this container's: somebody's hand has been at it, or a disk. What it still says of resources of this
    /// container can be released all the same.
    Damaged(Vec<Resource>),
}

impl Record {
    /// The text of a new record: all that is known before any of it exists.
    pub fn text(&self) -> serde_json::Result<Vec<u8>> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        text.extend(lines(self.resources.iter().cloned().map(Entry::Has))?);
        Ok(text)
    }

    /// The same as any version says of its container.
    pub fn into_outline(self) -> Outline {
        let Self { name, image, created, owner, owner_start, detached, resources, .. } = self;
        Outline { name, image, created, owner, owner_start, detached, resources }
    }

    /// Its cgroups, in the order in which they are removed.
    pub fn cgroups(&self) -> Vec<Place> {
        cgroups(&self.resources)
    }

    /// The directory of its changes, where they are on disk.
    pub fn upper(&self) -> Option<&Path> {
        self.resources.iter().find_map(|resource| match resource {
            Resource::Upper { path } => Some(path.as_path()),
            _ => None,
        })
    }
}

impl Outline {
    /// As [`Record::cgroups`].
    pub fn cgroups(&self) -> Vec<Place> {
        cgroups(&self.resources)
    }
}

impl Content {
    /// What `text`, the record of the container `name`, says.
    pub fn of(name: &str, text: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        if text.is_empty() {
            return Self::Nothing;
        }
        let (header, rest) = text.split_at(text.iter().position(|&byte| byte == b'\n').unwrap_or(text.len()));
        let record = serde_json::from_slice::<Box<Record>>(header);
        let version = match &record {
            Ok(record) => Ok(record.version),
            Err(_) => serde_json::from_slice::<Version>(header).map(|header| header.version),
        };
        if version.as_ref().is_ok_and(|&version| version > VERSION) {
            return Self::Newer;
        }
        let Some(entries) = entries(rest) else { return Self::Newer };
        match version {
            Ok(VERSION) => {
                if let Ok(mut record) = record {
                    record.resources = resources(Vec::new(), &entries);
                    if record.is_sound(name) && record.resources.iter().all(|it| it.is_of(name, Some(&record.store))) {
                        return Self::Record(record);
                    }
                }
            }
            Ok(_) => {
                if let Some(outline) = first_version(name, header, &entries) {
                    return Self::Older(outline);
                }
            }
            Err(_) => {}
        }
        let mut left = resources(Vec::new(), &entries);
        left.retain(|it| match it {
            // Of a copy of another container's record it is that one's.
            Resource::Cgroup(place) => check_names(name, std::slice::from_ref(place)).is_ok(),
            _ => it.is_of(name, None),
        });
        Self::Damaged(left)
    }

    /// The resources that it names.
    pub fn resources(&self) -> &[Resource] {
        match self {
            Self::Record(record) => &record.resources,
            Self::Older(outline) => &outline.resources,
            Self::Damaged(resources) => resources,
            Self::Newer | Self::Nothing => &[],
        }
    }
}

/// A record of version 1, which is the whole of it: cgroups and the directory of changes are among its fields.
fn first_version(name: &str, header: &[u8], entries: &[Entry]) -> Option<Outline> {
    #[derive(Deserialize)]
    struct First {
        #[serde(flatten)]
        outline: Outline,
        cgroups: Vec<Place>,
        #[serde(with = "text", default)]
        upper: Option<PathBuf>,
        #[serde(with = "text", default)]
        store: PathBuf,
    }
    let First { mut outline, cgroups, upper, store } = serde_json::from_slice(header).ok()?;
    let upper = upper.map(|path| Resource::Upper { path });
    // As they are made: it is the order of removal that stands there.
    let cgroups = cgroups.into_iter().rev().map(Resource::Cgroup);
    let first = upper.into_iter().chain(cgroups).chain([Resource::Socket]).collect();
    outline.resources = resources(first, entries);
    let store = Some(store.as_path()).filter(|store| !store.as_os_str().is_empty());
    (outline.name == name && outline.resources.iter().all(|it| it.is_of(name, store))).then_some(outline)
}

/// The entries of the lines behind the first; nothing where there is one that only a later version knows.
fn entries(text: &[u8]) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(entry) => entries.push(entry),
            Err(error) if error.is_data() => return None,
            // Torn, so there is nothing that it is about.
            Err(_) => {}
        }
    }
    Some(entries)
}

/// What is there after `first` and these entries.
fn resources(first: Vec<Resource>, entries: &[Entry]) -> Vec<Resource> {
    let mut resources = first;
    for entry in entries {
        match entry {
            Entry::Has(resource) => resources.push(resource.clone()),
            Entry::Gone(gone) => resources.retain(|resource| resource != gone),
        }
    }
    resources
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"version":2,"name":"c","image":"host","created":1,"owner":2,"owner_start":3,"detached":false,"exec":{"env":[],"terminals":true,"many_ids":true,"own_pid":true,"has_root":true,"capabilities":0},"store":"/s"}"#;

    fn of(lines: &[&str]) -> Content {
        Content::of("c", lines.join("\n").as_bytes())
    }

    /// As an older record has it, by its path alone.
    fn cgroup(path: &str) -> Resource {
        serde_json::from_str(&format!(r#"{{"cgroup":"{path}"}}"#)).unwrap()
    }

    #[test]
    fn what_was_struck_off_is_gone_and_the_rest_is_in_its_order() {
        let content = of(&[
            HEADER,
            r#"{"has":{"upper":{"path":"/s/upper/c"}}}"#,
            r#"{"has":{"cgroup":"/p"}}"#,
            r#"{"has":"socket"}"#,
            "",
            r#"{"gone":{"upper":{"path":"/s/upper/c"}}}"#,
            r#"{"has":{"cgroup":"/q"}}"#,
        ]);
        assert!(matches!(content, Content::Record(_)));
        assert_eq!(content.resources(), [cgroup("/p"), Resource::Socket, cgroup("/q")]);
        let paths: Vec<_> = cgroups(content.resources()).into_iter().map(|place| place.path).collect();
        assert_eq!(paths, [PathBuf::from("/q"), "/p".into()]);
    }

    #[test]
    fn a_torn_line_is_about_nothing_and_one_that_only_lacks_its_end_about_something() {
        for (torn, count) in [(r#"{"has":{"cgroup":{"pa"#, 1), (r#"{"has":"socket"}"#, 2), ("\n\n", 1), ("\0\0", 1)] {
            let content = of(&[HEADER, r#"{"has":{"cgroup":"/p"}}"#, torn]);
            assert!(matches!(content, Content::Record(_)), "{torn}");
            assert_eq!(content.resources().len(), count, "{torn}");
            let content = of(&[HEADER, r#"{"has":{"cgroup":"/p"}}"#, torn, r#"{"has":"socket"}"#]);
            assert_eq!(content.resources().last(), Some(&Resource::Socket), "{torn}");
        }
    }

    #[test]
    fn a_kind_that_we_do_not_know_is_a_later_version_s() {
        for line in [r#"{"has":{"veth":{"name":"v"}}}"#, r#"{"moved":"socket"}"#, r#"{"has":{"cgroup":{"name":"x"}}}"#]
        {
            assert!(matches!(of(&[HEADER, line]), Content::Newer), "{line}");
            assert!(matches!(of(&["no header", line]), Content::Newer), "{line}");
        }
        assert!(matches!(of(&[&HEADER.replace(":2,\"n", ":3,\"n")]), Content::Newer));
    }

    #[test]
    fn a_damaged_first_line_takes_no_resource_with_it() {
        let lines = [
            r#"{"has":{"cgroup":"/p/ctr-c.1234"}}"#,
            r#"{"has":{"cgroup":"/p/ctr-d.1234"}}"#,
            r#"{"has":{"upper":{"path":"/s/upper/other"}}}"#,
        ];
        let content = of(&[&HEADER[..40], lines[0], lines[1], lines[2], r#"{"has":"socket"}"#]);
        assert!(matches!(content, Content::Damaged(_)));
        assert_eq!(content.resources(), [cgroup("/p/ctr-c.1234"), Resource::Socket]);
    }

    #[test]
    fn a_directory_of_changes_lies_in_the_store() {
        let with = |path: &str| format!(r#"{{"has":{{"upper":{{"path":"{path}"}}}}}}"#);
        for path in ["/s/upper/c", "/s/upper/c.01ef"] {
            assert!(!matches!(of(&[HEADER, &with(path)]), Content::Damaged(_)), "{path}");
        }
        for path in [
            "/t/upper/c",
            "/s/upper/d",
            "/s/upper/../upper/c",
            "upper/c",
            "/s/upper/c.01",
            "/s/upper/c.01eg",
            "/s/upper/c/01ef",
        ] {
            assert!(matches!(of(&[HEADER, &with(path)]), Content::Damaged(_)), "{path}");
        }
    }

    #[test]
    fn a_network_is_one_that_can_have_that_name() {
        let with = |name: &str| format!(r#"{{"has":{{"network":{{"name":"{name}"}}}}}}"#);
        assert_eq!(of(&[HEADER, &with("web")]).resources(), [Resource::Network { name: "web".into() }]);
        for name in ["../web", "a/b", ".web", "", "none"] {
            assert!(matches!(of(&[HEADER, &with(name)]), Content::Damaged(left) if left.is_empty()), "{name}");
        }
    }

    #[test]
    fn a_record_of_the_first_version_is_told_and_swept() {
        let text = r#"{"version":1,"name":"c","image":"i","created":1,"owner":2,"owner_start":3,"detached":true,"cgroups":["/m","/p"],"upper":"/s/upper/c","exec":{"anything":1},"store":"/s"}"#;
        let Content::Older(outline) = of(&[text]) else { panic!("not taken for a record of version 1") };
        assert_eq!((outline.image.as_str(), outline.detached), ("i", true));
        let upper = Resource::Upper { path: "/s/upper/c".into() };
        assert_eq!(outline.resources, [upper, cgroup("/p"), cgroup("/m"), Resource::Socket]);
        assert!(matches!(of(&[&text.replace("/s/upper/c", "/other/c")]), Content::Damaged(_)));
        assert!(matches!(Content::of("d", text.as_bytes()), Content::Damaged(_)));
    }
}
