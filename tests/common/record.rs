//! A container's record as a test edits it: a line that says what the container is, and lines about its resources.

use std::fmt;
use std::path::Path;

use serde_json::{Value, json};

/// What stands in the file of a record.
#[derive(Clone)]
pub struct Written {
    pub header: Value,
    pub entries: Vec<Value>,
}

impl Written {
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut lines =
            text.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).expect(line));
        Self { header: lines.next().expect("a record has a first line"), entries: lines.collect() }
    }

    /// Its cgroups, in the order in which they were made.
    pub fn cgroups(&self) -> Vec<String> {
        let path = |entry: &Value| Some(entry["has"]["cgroup"]["path"].as_str()?.to_string());
        self.entries.iter().filter_map(path).collect()
    }

    /// Other cgroups in their place.
    pub fn set_cgroups(&mut self, paths: &[&Path]) {
        self.entries.retain(|entry| entry["has"]["cgroup"].is_null());
        self.entries.splice(
            0..0,
            paths.iter().map(
                |path| json!({ "has": { "cgroup": { "path": path, "version": "v1", "controllers": ["memory"] } } }),
            ),
        );
    }

    /// Another directory of changes.
    pub fn set_upper(&mut self, path: &Path) {
        self.entries.retain(|entry| entry["has"]["upper"].is_null());
        self.entries.insert(0, json!({ "has": { "upper": { "path": path } } }));
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::iter::once(&self.header).chain(&self.entries).try_for_each(|line| writeln!(f, "{line}"))
    }
}
