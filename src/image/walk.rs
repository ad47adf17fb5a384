//! A walk through a tree of files, depth first and without recursion. It keeps names, and of the directories on the way only:
//! what it costs is bounded by what may be remembered of a tree, and by how deep an image may be.

use super::fault::{Fault, Outcome};
use super::limits::Limits;
use super::names::Names;

pub struct Walk {
    limits: Limits,
    /// What it begins with, until it has begun.
    start: Option<Vec<u8>>,
    path: Vec<u8>,
    levels: Vec<Level>,
}

struct Level {
    /// Where the name of its directory ends in `path`.
    end: usize,
    names: Names,
    /// Which of them comes next.
    next: usize,
}

impl Walk {
    /// Begins with `start`, empty for the root.
    pub fn new(start: Vec<u8>) -> Self {
        Self { limits: Limits::default(), start: Some(start), path: Vec::new(), levels: Vec::new() }
    }

    /// Goes to the next name; false at the end. A name that no import would take is refused.
    pub fn go(&mut self) -> Outcome<bool> {
        if let Some(start) = self.start.take() {
            self.path = start;
            bounded(&self.limits, &self.path, 0)?;
            return Ok(true);
        }
        while let Some(level) = self.levels.last_mut() {
            self.path.truncate(level.end);
            if let Some(name) = level.names.get(level.next) {
                level.next += 1;
                if !self.path.is_empty() {
                    self.path.push(b'/');
                }
                self.path.extend_from_slice(name);
                bounded(&self.limits, &self.path, self.levels.len())?;
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
        self.levels.len()
    }

    /// What is in the directory where it is comes next.
    pub fn down(&mut self, names: Names) {
        self.levels.push(Level { end: self.path.len(), names, next: 0 });
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

#[cfg(test)]
mod tests {
    use super::super::names::Remembered;
    use super::*;

    fn names(names: &[&str]) -> Names {
        let mut all = Names::new(&Remembered::default());
        for name in names {
            all.push(b"", name.as_bytes()).unwrap();
        }
        all.sorted()
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
