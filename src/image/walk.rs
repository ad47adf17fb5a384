//! A walk through a tree of files, depth first and without recursion. It keeps names, and of the directories on the way only:
//! what it costs is bounded by the widest of them, and by how deep an image may be.

use std::collections::{BTreeSet, btree_set};

use super::fault::{Fault, Outcome};
use super::limits::Limits;

pub struct Walk {
    limits: Limits,
    path: Vec<u8>,
    levels: Vec<Level>,
}

struct Level {
    /// Where the name of its directory ends in `path`.
    end: usize,
    /// The names that are still to come.
    names: btree_set::IntoIter<Vec<u8>>,
}

impl Walk {
    /// Begins with `start`, empty for the root.
    pub fn new(start: Vec<u8>) -> Self {
        let level = Level { end: 0, names: BTreeSet::from([start]).into_iter() };
        Self { limits: Limits::default(), path: Vec::new(), levels: vec![level] }
    }

    /// Goes to the next name; false at the end. A name that no import would take is refused.
    pub fn go(&mut self) -> Outcome<bool> {
        while let Some(level) = self.levels.last_mut() {
            self.path.truncate(level.end);
            if let Some(name) = level.names.next() {
                if !self.path.is_empty() {
                    self.path.push(b'/');
                }
                self.path.extend_from_slice(&name);
                bounded(&self.limits, &self.path, self.levels.len() - 1)?;
                return Ok(true);
            }
            self.levels.pop();
        }
        Ok(false)
    }

    /// Where it is.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// How many directories it is below the start.
    pub fn depth(&self) -> usize {
        self.levels.len() - 1
    }

    /// What is in the directory where it is comes next.
    pub fn down(&mut self, names: BTreeSet<Vec<u8>>) {
        self.levels.push(Level { end: self.path.len(), names: names.into_iter() });
    }
}

/// The limits that an import has for names.
fn bounded(limits: &Limits, path: &[u8], depth: usize) -> Outcome<()> {
    if depth > limits.depth {
        return Err(Fault::over(path, "depth", format!("a name of {depth} levels, the most is {}", limits.depth)));
    }
    if path.len() > limits.name {
        return Err(Fault::over(path, "name", format!("a name of {} bytes, the most is {}", path.len(), limits.name)));
    }
    Ok(())
}

/// Bytes of names that are remembered of one tree.
const MAX_NAMES: usize = 128 << 20;

/// Counts the names that have to be remembered.
#[derive(Default)]
pub struct Remembered(usize);

impl Remembered {
    pub fn add(&mut self, path: &[u8]) -> Outcome<()> {
        // What a map needs besides.
        const BESIDES: usize = 64;
        self.0 += path.len() + BESIDES;
        if self.0 > MAX_NAMES {
            let why = format!("more than {} MiB of names that differ, or of files of several names", MAX_NAMES >> 20);
            return Err(Fault::over(path, "name", why));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<Vec<u8>> {
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }

    #[test]
    fn a_directory_comes_before_what_is_in_it_and_names_in_order() {
        let mut walk = Walk::new(Vec::new());
        let mut seen = Vec::new();
        while walk.go().unwrap() {
            let path = String::from_utf8(walk.path().to_vec()).unwrap();
            match path.as_str() {
                "" => walk.down(names(&["b", "a", "c"])),
                "a" => walk.down(names(&["x"])),
                "b" => walk.down(names(&[])),
                _ => {}
            }
            seen.push(path);
        }
        assert_eq!(seen, ["", "a", "a/x", "b", "c"]);
    }

    #[test]
    fn names_have_the_bounds_of_an_import() {
        let deepest = |name: &str| {
            let mut walk = Walk::new(Vec::new());
            loop {
                match walk.go() {
                    Ok(_) => walk.down(names(&[name])),
                    Err(Fault::Over { field, .. }) => return (field, walk.depth() - 1),
                    Err(other) => panic!("{other}"),
                }
            }
        };
        assert_eq!(deepest("d"), ("depth", Limits::default().depth));
        assert_eq!(deepest(&"d".repeat(200)), ("name", (Limits::default().name + 1) / 201));
    }
}
