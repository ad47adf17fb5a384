//! The three presets: which walls stand, as data.

use std::str::FromStr;

use super::capabilities;
use super::rlimits::{NO_CORE, Rlimit};
use super::seccomp::Profile;
use crate::{Error, Result};

/// How much a container may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// What docker's containers may, less what no container needs.
    #[default]
    Default,
    /// For programs of strangers: no network but loopback, no namespaces of their own, no tracing, a root that can't be
    /// written to, and limits on memory and processes.
    Strict,
    /// Nothing but the namespaces: every capability over them, every system call, nothing masked. In a user namespace of
    /// its own it still is not the host's root; without one it is.
    Privileged,
}

/// Which walls stand around a container.
#[derive(Clone, Debug)]
pub(crate) struct Walls {
    /// The bounding set, and what root inside has.
    pub(crate) capabilities: u64,
    /// The system calls; every one where there is none.
    pub(crate) seccomp: Option<Profile>,
    /// The second wall of `landlock`, where the kernel has it.
    pub(crate) landlock: bool,
    /// Programs may gain privileges by setuid and file capabilities.
    pub(crate) new_privileges: bool,
    /// Parts of /proc and /sys are masked and read-only.
    pub(crate) masks: bool,
    /// The root is mounted read-only.
    pub(crate) read_only: bool,
    /// Network beyond loopback may be asked for.
    pub(crate) network: bool,
    /// Namespaces may be shared with the host or joined.
    pub(crate) shared_namespaces: bool,
    /// A session keyring of its own, keyrings(7).
    pub(crate) own_keyring: bool,
    /// Most bytes of memory, where the caller says nothing.
    pub(crate) memory: Option<u64>,
    /// Most processes and threads, where the caller says nothing.
    pub(crate) pids: Option<u64>,
    /// Limits of each process.
    pub(crate) rlimits: Vec<Rlimit>,
}

impl Preset {
    const ALL: [(&str, Self); 3] =
        [("default", Self::Default), ("strict", Self::Strict), ("privileged", Self::Privileged)];

    /// The name that [`FromStr`] takes.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, preset)| *preset == self).map_or("", |(name, _)| name)
    }

    /// The walls of this preset on this machine.
    pub(crate) fn walls(self) -> Result<Walls> {
        Ok(match self {
            Self::Default => Walls {
                capabilities: capabilities::DEFAULT,
                seccomp: Some(Profile::default_profile()),
                landlock: true,
                new_privileges: false,
                masks: true,
                read_only: false,
                network: true,
                shared_namespaces: true,
                own_keyring: true,
                memory: None,
                pids: None,
                rlimits: vec![NO_CORE],
            },
            Self::Strict => Walls {
                capabilities: capabilities::STRICT,
                seccomp: Some(Profile::strict()),
                landlock: true,
                new_privileges: false,
                masks: true,
                read_only: true,
                network: false,
                shared_namespaces: false,
                own_keyring: true,
                memory: Some(512 << 20),
                pids: Some(128),
                rlimits: vec![NO_CORE],
            },
            Self::Privileged => Walls {
                capabilities: capabilities::all()?,
                seccomp: None,
                landlock: false,
                new_privileges: true,
                masks: false,
                read_only: false,
                network: true,
                shared_namespaces: true,
                own_keyring: true,
                memory: None,
                pids: None,
                rlimits: Vec::new(),
            },
        })
    }
}

impl FromStr for Preset {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, preset)| *preset).ok_or_else(|| {
            Error::invalid("security preset", name, "there is none of this name").mend("default, strict or privileged")
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

    #[test]
    fn each_preset_is_stricter_than_the_next() {
        let [default, strict, privileged] = Preset::ALL.map(|(_, preset)| preset.walls().unwrap());
        for (less, more) in [(&strict, &default), (&default, &privileged)] {
            assert_eq!(less.capabilities & !more.capabilities, 0);
            for (less, more) in [
                (less.new_privileges, more.new_privileges),
                (less.network, more.network),
                (less.shared_namespaces, more.shared_namespaces),
                (!less.masks, !more.masks),
                (!less.landlock, !more.landlock),
                (!less.read_only, !more.read_only),
                (less.seccomp.is_none(), more.seccomp.is_none()),
                (less.memory.is_none(), more.memory.is_none()),
                (less.pids.is_none(), more.pids.is_none()),
            ] {
                assert!(!less || more);
            }
        }
    }
}
