//! A plan, printed as the shell commands that a person would type to get the same.

use super::shell::Shell;
use super::{Plan, PlannedStep};
use crate::Step;
use crate::error::{is_unprintable, line};

impl Plan<'_> {
    /// Every step that a shell has a command for: a comment line that says what it is for, the command below it.
    pub fn commands(&self) -> Vec<(Step, String)> {
        let command = |step: &PlannedStep| match &step.shell {
            Shell::Template(template) => Some(template.replace("{}", &quote(&step.object))),
            Shell::Text(text) => Some(text.clone()),
            Shell::From(make, number) => Some(make(*number).replace("{}", &quote(&step.object))),
            Shell::Later(make) => Some(make()),
            Shell::None => None,
        };
        self.steps.iter().filter_map(|step| Some((step.step, explained(&step.why, &command(step)?)))).collect()
    }
}

/// A command, below what it is for.
pub fn explained(why: &str, command: &str) -> String {
    let why = line(why.to_string(), usize::MAX);
    format!("# {why}\n{command}\n")
}

/// `text` as one word of a shell.
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@%=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_string();
    }
    if !text.chars().any(is_unprintable) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    // As bash(1) quotes control characters: what is printed does nothing to the terminal.
    let mut quoted = "$'".to_string();
    for c in text.chars() {
        match c {
            '\\' | '\'' => quoted.extend(['\\', c]),
            c if is_unprintable(c) => quoted += &format!("\\U{:08x}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted + "'"
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn a_word_is_quoted_so_that_bash_reads_it_and_no_terminal_does() {
        for text in
            ["plain/word", "it's", "two words", "", "a\x1b]0;x\x07b", "line\nfeed", "\\u{1b}\u{9b}'\\\u{202e}$(x)"]
        {
            let quoted = quote(text);
            assert!(!quoted.chars().any(char::is_control), "{quoted:?}");
            let script = format!("printf %s {quoted}");
            let mut bash = std::process::Command::new("bash");
            let Ok(said) = bash.env("LC_ALL", "C.UTF-8").args(["-c", &script]).output() else {
                println!("SKIPPED a_word_is_quoted_so_that_bash_reads_it: there is no bash");
                return;
            };
            assert_eq!(String::from_utf8_lossy(&said.stdout), text, "{quoted}");
        }
    }
}
