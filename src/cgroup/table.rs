//! The table of controllers. Everything else in this module goes through it: a new controller is a file, a variant of
//! [`Controller`], and one of [`Limit`] or [`ListLimit`] for each limit.

use super::controller::{Controller, ListRule, Row, Rule, Version, When};
use super::{
    cpu, cpu_weight, cpuset, devices, freezer, hugetlb, io, io_weight, memory, memory_high, memory_low, pids, swap,
};
use crate::{Limit, ListLimit};

impl Controller {
    pub(super) fn row(self) -> &'static Row {
        match self {
            Self::Memory => &memory::ROW,
            Self::Devices => &devices::ROW,
            Self::Pids => &pids::ROW,
            Self::Cpu => &cpu::ROW,
            Self::Freezer => &freezer::ROW,
            Self::Cpuset => &cpuset::ROW,
            Self::Io => &io::ROW,
            Self::Hugetlb => &hugetlb::ROW,
        }
    }

    /// As v2 and sentences have it.
    pub(super) fn name(self) -> &'static str {
        self.row().name
    }

    /// As v1 has it.
    pub(super) fn v1_name(self) -> &'static str {
        self.row().v1_name
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

    /// Its limits that are numbers.
    pub(super) fn limits(self) -> impl Iterator<Item = Limit> {
        Limit::ALL.into_iter().filter(move |limit| limit.rule().controller == self)
    }

    /// Those that are lists.
    pub(super) fn lists(self) -> impl Iterator<Item = ListLimit> {
        ListLimit::ALL.into_iter().filter(move |limit| limit.rule().controller == self)
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
            Self::MemoryHigh => &memory_high::LIMIT,
            Self::MemoryLow => &memory_low::LIMIT,
            Self::Swap => &swap::LIMIT,
            Self::CpuWeight => &cpu_weight::LIMIT,
            Self::IoWeight => &io_weight::LIMIT,
        }
    }
}

impl ListLimit {
    pub(super) fn rule(self) -> &'static ListRule {
        match self {
            Self::Cpuset => &cpuset::CPUS,
            Self::CpusetMems => &cpuset::MEMS,
            Self::Io => &io::LIMIT,
            Self::Hugetlb => &hugetlb::LIMIT,
        }
    }
}
