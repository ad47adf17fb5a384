//! What a person would type for a step.

/// What a person would type for a step; nothing is formatted until somebody asks.
pub enum Shell {
    /// As it stands, with `{}` where the step's object goes.
    Template(&'static str),
    /// Made for this step.
    Text(String),
    /// Made from a number when somebody asks, with `{}` where the step's object goes.
    From(fn(u64) -> String, u64),
    /// Made when somebody asks.
    Later(Box<dyn Fn() -> String + Send + Sync>),
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

impl Shell {
    /// Made by `make` when somebody asks: a create doesn't.
    pub fn later(make: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self::Later(Box::new(make))
    }
}
