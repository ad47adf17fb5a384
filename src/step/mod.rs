//! What ctr does, by name. A [`Step`] is the identity of one thing that can fail: a type here, a stable id in C and Python,
//! and beside it the words that an error says it in, the phase of a container's life that it belongs to, and what helps where it
//! fails in a way that is known. All of it stands in one table, a row for each.
//!
//! Code asks for the identity; the words are for people, and may become better ones.

mod table;

use std::borrow::Cow;

pub use table::Step;

use crate::Error;

/// When a step is done, in the order of a container's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// What was asked for is checked, before anything is looked up.
    Check,
    /// What is on the machine is looked up: images, names, namespaces, devices.
    Lookup,
    /// An image is imported, made, compared or written out.
    Image,
    /// The host makes what is the container's alone: its record, its cgroup, its socket.
    Prepare,
    /// The zygote is started, and clones a process.
    Spawn,
    /// The zygote makes, outside of the container's namespaces, what it hands over.
    HandOver,
    /// PID 1 sets itself up, before it has its image.
    Setup,
    /// PID 1 makes its root.
    Rootfs,
    /// PID 1 takes what the host has made for it, and the last walls are put up.
    Finish,
    /// PID 1 serves, and the caller has not been answered yet.
    Attach,
    /// A program is started.
    Start,
    /// Something is done to a container, or to a program that runs in it.
    Run,
    /// A container is ended, and what was made for it removed.
    End,
    /// The machine is tried out.
    Probe,
    /// In more than one of these.
    Any,
}

impl Phase {
    /// Its name, as "hand-over".
    pub fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Lookup => "lookup",
            Self::Image => "image",
            Self::Prepare => "prepare",
            Self::Spawn => "spawn",
            Self::HandOver => "hand-over",
            Self::Setup => "setup",
            Self::Rootfs => "rootfs",
            Self::Finish => "finish",
            Self::Attach => "attach",
            Self::Start => "start",
            Self::Run => "run",
            Self::End => "end",
            Self::Probe => "probe",
            Self::Any => "any",
        }
    }
}

/// A row of the table.
struct Row {
    step: Step,
    id: &'static str,
    text: &'static str,
    phase: Phase,
    hint: Option<Hint>,
}

/// What helps where a step fails with this error, if anything is known.
type Hint = fn(&Error) -> Option<Cow<'static, str>>;

impl Step {
    fn row(self) -> &'static Row {
        // The rows are in the order of the variants, which a test checks.
        &table::ROWS[self as usize]
    }

    /// All of them, in the order of their phases.
    pub fn all() -> impl Iterator<Item = Self> {
        table::ROWS.iter().map(|row| row.step)
    }

    /// Its stable name, as "make-proc": C and Python give it beside the text. An id is never reused for something else.
    pub fn id(self) -> &'static str {
        self.row().id
    }

    /// What it does in words, a verb with its object missing: "make a proc for". Not stable.
    pub fn text(self) -> &'static str {
        self.row().text
    }

    /// When it is done.
    pub fn phase(self) -> Phase {
        self.row().phase
    }

    /// The step with this id.
    pub fn from_id(id: &str) -> Option<Self> {
        table::ROWS.iter().find(|row| row.id == id).map(|row| row.step)
    }

    /// What helps where it fails with `error`, if anything is known.
    pub(crate) fn hint(self, error: &Error) -> Option<Cow<'static, str>> {
        self.row().hint.and_then(|hint| hint(error))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn an_id_is_unique_and_the_name_of_its_variant_in_kebab_case() {
        let mut ids = BTreeSet::new();
        for (i, row) in table::ROWS.iter().enumerate() {
            assert_eq!(row.step as usize, i, "{}", row.id);
            assert_eq!(Step::from_id(row.id), Some(row.step));
            let variant = format!("{:?}", row.step);
            let mut kebab = String::new();
            for (i, c) in variant.char_indices() {
                if c.is_ascii_uppercase() && i > 0 {
                    kebab.push('-');
                }
                kebab.push(c.to_ascii_lowercase());
            }
            assert_eq!(row.id, kebab);
            assert!(ids.insert(row.id), "{}", row.id);
            let words = |text: &str| !text.is_empty() && text.trim() == text && !text.chars().any(char::is_control);
            assert!(words(row.text), "{:?}", row.text);
        }
    }
}
