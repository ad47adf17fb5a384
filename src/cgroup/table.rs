//! The table of controllers. Everything else in this module goes through it: a new controller is a file, a variant of
//! [`Controller`], and one of [`Limit`] for each limit.

use super::controller::{Controller, Row, Rule, Version, When};
use super::{cpu, devices, freezer, memory, pids};
use crate::Limit;

impl Controller {
    pub(super) fn row(self) -> &'static Row {
        match self {
            Self::Memory => &memory::ROW,
            Self::Devices => &devices::ROW,
            Self::Pids => &pids::ROW,
            Self::Cpu => &cpu::ROW,
            Self::Freezer => &freezer::ROW,
        }
    }

    pub(super) fn name(self) -> &'static str {
        self.row().name
    }

    pub(super) fn when(self, version: Version) -> When {
        match version {
            Version::V1 => self.row().on_v1,
            Version::V2 => self.row().on_v2,
        }
    }

    /// Whether containers have it without asking, in one version at least.
    pub(super) fn is_usual(self) -> bool {
        self.when(Version::V1) == When::Always || self.when(Version::V2) == When::Always
    }

    /// Its limits.
    pub(super) fn limits(self) -> impl Iterator<Item = Limit> {
        Limit::ALL.into_iter().filter(move |limit| limit.rule().controller == self)
    }

    /// Whether v2 has a controller of that name, which has to be handed on.
    pub(super) fn is_handed_on(self) -> bool {
        !matches!(self, Self::Devices | Self::Freezer)
    }
}

impl Limit {
    pub(super) fn rule(self) -> &'static Rule {
        match self {
            Self::Memory => &memory::LIMIT,
            Self::Pids => &pids::LIMIT,
            Self::Cpus => &cpu::LIMIT,
        }
    }
}
