//! A wall, and the container whose walls are told of.

use super::facts::Facts;
use crate::Config;
use crate::config::{LimitLists, LimitNumbers};
use crate::container::ids::Ids;
use crate::container::state::Listed;
use crate::security::chosen_capabilities;

/// One wall around a container.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wall {
    /// What it is: "seccomp". Names don't change; later releases may add some.
    pub name: &'static str,
    /// Whether it stands.
    pub state: WallState,
    /// How it stands, in a few words: "14 of 41: …".
    pub says: String,
    /// Why it is so: "preset strict", "asked for: namespace net = host", "this kernel has no Landlock, …".
    pub why: String,
}

/// Whether a wall stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(i32)]
pub enum WallState {
    /// It does not.
    Off = 0,
    /// It stands, but lower than by default.
    Partly = 1,
    /// It stands.
    On = 2,
}

impl WallState {
    /// "off", "partly", "on".
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Partly => "partly",
            Self::On => "on",
        }
    }

    pub(super) fn on(stands: bool) -> Self {
        if stands { Self::On } else { Self::Off }
    }
}

/// The container whose walls they are.
pub struct Subject<'a> {
    /// What was asked for. Of a container that was joined it is what its record says, and trusted for no more than words.
    pub asked: &'a Config,
    /// Ctr has only joined it.
    pub foreign: bool,
    /// Landlock's second wall is put up.
    pub landlock: bool,
    /// Whose ids it has, where that isn't read from the kernel.
    pub ids: Option<&'a Ids>,
    /// It has a cgroup.
    pub cgroup: bool,
    /// Its list of devices.
    pub listed: &'a Listed,
    pub limits: LimitNumbers,
    pub lists: LimitLists,
    /// Those that were asked for and can't be had, in words.
    pub dropped: &'a [String],
    /// Where something is mounted that the caller, or its image, wanted.
    pub binds: Vec<String>,
    /// Of one that runs.
    pub facts: Option<&'a Facts>,
}

impl Subject<'_> {
    /// The reason: what was asked for, or the preset.
    pub(super) fn because(&self, asked: Option<String>) -> String {
        match asked {
            _ if self.foreign => "joined by its pid: ctr puts up no walls there".into(),
            Some(asked) => format!("asked for: {asked}"),
            None => format!("preset {}", self.asked.preset.name()),
        }
    }

    /// A wall; where the kernel says that it does not stand, it does not, whatever was meant.
    pub(super) fn wall(
        &self,
        name: &'static str,
        state: WallState,
        says: impl Into<String>,
        why: String,
        fact: Option<bool>,
    ) -> Wall {
        let says = says.into();
        match fact {
            Some(false) if state != WallState::Off => Wall {
                name,
                state: WallState::Off,
                says: "the kernel does not show it".into(),
                why: format!("{says}; {why}"),
            },
            _ => Wall { name, state, says, why },
        }
    }

    /// The capabilities that were asked for. Names that there are not are refused elsewhere.
    pub(super) fn capabilities(&self) -> Option<u64> {
        chosen_capabilities(self.asked).unwrap_or(self.asked.capabilities)
    }

    pub(super) fn own_root(&self) -> bool {
        !self.foreign && self.asked.namespaces.asked("mnt").is_none()
    }
}
