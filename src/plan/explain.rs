//! A plan, printed as the shell commands that a person would type to get the same.

use std::fmt::Write;

use super::Plan;

/// What a person would type for a step; nothing is formatted until somebody asks.
pub enum Shell {
    /// As it stands, with `{}` where the step's object goes.
    Template(&'static str),
    /// Made for this step.
    Text(String),
    /// Nothing that a shell has a command for.
    None,
}

impl From<&'static str> for Shell {
    fn from(template: &'static str) -> Self {
        if template.is_empty() { Self::None } else { Self::Template(template) }
    }
}

impl From<String> for Shell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl Plan<'_> {
    /// Appends every step to `text`: a comment line that says what it is for, the command below it.
    pub fn explain(&self, text: &mut String) {
        for step in &self.steps {
            let command = match &step.shell {
                Shell::Template(template) => template.replace("{}", &quote(&step.object)),
                Shell::Text(text) => text.clone(),
                Shell::None => continue,
            };
            // Writing to a String can't fail.
            _ = writeln!(text, "# {}\n{command}", step.why);
        }
    }
}

/// `text` as one word of a shell.
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@%=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_string();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
