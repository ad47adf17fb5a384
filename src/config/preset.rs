//! How much a container may do: a preset, and the system calls apart from it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, Step};

/// How much a container may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// What docker's containers may, less what no container needs.
    #[default]
    Default,
    /// For programs of strangers: no network but loopback, no namespaces of their own, no tracing, no setuid files, a
    /// root that can't be written to, and limits on memory and processes.
    Strict,
    /// NO WALLS BUT THE NAMESPACES: every capability over them, every system call, nothing masked, setuid works. For programs
    /// that you trust. In a user namespace of its own it still is not the host's root; without one it is. `explain` and
    /// `inspect` say it first.
    Privileged,
}

/// The system calls that processes inside may make, seccomp(2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum Seccomp {
    /// The default preset's.
    Default,
    /// The strict preset's.
    Strict,
    /// A profile in docker's JSON format, from a file.
    File(#[serde(with = "super::text")] PathBuf),
    /// The same, as text.
    Json(String),
    /// Every system call: said loudly, this opens nearly all of the kernel to whoever is inside.
    Unconfined,
}

/// What happens to a program that makes a system call which its profile refuses by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The call fails with this errno.
    Errno(u16),
    /// The process dies of SIGSYS.
    KillProcess,
    /// The calling thread dies.
    KillThread,
    /// The program gets a SIGSYS that it can handle.
    Trap,
    /// A tracer inside decides, and is given this number; ENOSYS where there is none.
    Trace(u16),
    /// Nothing: the call is made, and written to the kernel's log. For finding out what a program needs.
    Log,
}

/// "default", "strict", the path of a file, "JSON", "unconfined".
impl fmt::Display for Seccomp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Strict => f.write_str("strict"),
            Self::File(path) => path.display().fmt(f),
            Self::Json(_) => f.write_str("JSON"),
            Self::Unconfined => f.write_str("unconfined"),
        }
    }
}

/// "EACCES", "kill-process", "trace 7".
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errno(errno) => write!(f, "{:?}", nix::errno::Errno::from_raw((*errno).into())),
            Self::KillProcess => f.write_str("kill-process"),
            Self::KillThread => f.write_str("kill-thread"),
            Self::Trap => f.write_str("trap"),
            Self::Trace(message) => write!(f, "trace {message}"),
            Self::Log => f.write_str("log"),
        }
    }
}

impl Preset {
    const ALL: [(&str, Self); 3] =
        [("default", Self::Default), ("strict", Self::Strict), ("privileged", Self::Privileged)];

    /// The name that [`FromStr`] takes.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, preset)| *preset == self).map_or("", |(name, _)| name)
    }
}

impl FromStr for Preset {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, preset)| *preset).ok_or_else(|| {
            Error::invalid(Step::SecurityPreset, name, "there is none of this name")
                .with_hint("default, strict or privileged")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_found_by_their_names() {
        for (name, preset) in Preset::ALL {
            assert_eq!(name.parse::<Preset>().unwrap(), preset);
            assert_eq!(preset.name(), name);
        }
        let error = "strickt".parse::<Preset>().unwrap_err().to_string();
        assert!(error.contains("strickt") && error.contains("strict"), "{error}");
    }
}
