//! x
use crate::{Config, Result};
use std::ffi::OsStr;
/// The plan for `image` and `config`, wall by wall, as the shell commands a person would type to get the same, each with
/// a line that says what it is for. Nothing is made.
pub fn explain(image: impl AsRef<OsStr>, config: &Config) -> Result<String> {
    unimplemented!()
}
