//! A plan, printed as the shell commands that a person would type to get the same.

use super::{Plan, Step};

/// What a person would type for a step; nothing is formatted until somebody asks.
pub enum Shell {
    /// As it stands, with `{}` where the step's object goes.
    Template(&'static str),
    /// Made for this step.
    Text(String),
    /// Made from a number when somebody asks, with `{}` where the step's object goes.
    From(fn(u64) -> String, u64),
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
    /// Every step that a shell has a command for: a comment line that says what it is for, the command below it.
    pub fn commands(&self) -> Vec<String> {
        let command = |step: &Step| match &step.shell {
            Shell::Template(template) => Some(template.replace("{}", &quote(&step.object))),
            Shell::Text(text) => Some(text.clone()),
            Shell::From(make, number) => Some(make(*number).replace("{}", &quote(&step.object))),
            Shell::None => None,
        };
        self.steps.iter().filter_map(|step| Some(explained(&step.why, &command(step)?))).collect()
    }
}

/// A command, below what it is for.
pub fn explained(why: &str, command: &str) -> String {
    format!("# {why}\n{command}\n")
}

/// `text` as one word of a shell.
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@%=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_string();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
