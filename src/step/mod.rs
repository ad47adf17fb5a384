//! What ctr does, by name. A [`Step`] is the identity of one thing that can fail: a type here, a stable id in C and Python,
//! and beside it the words that an error says it in, the phase of a container's life that it belongs to, and what helps where it
//! fails in a way that is known. All of it stands in one table, a row for each.
//!
//! Code asks for the identity; the words are for people, and may become better ones.

mod row;
mod table;

use std::borrow::Cow;

pub use row::Phase;
use row::Row;
pub use table::Step;

impl Step {
    fn row(self) -> &'static Row<Self> {
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

    /// What helps where it fails on `object` with this errno, if anything is known.
    pub(crate) fn hint(self, errno: i32, object: &str) -> Option<Cow<'static, str>> {
        self.row().hint.and_then(|hint| hint(errno, object))
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
