//! The walls that are not namespaces: capabilities, seccomp, Landlock, labels, devices, masked paths, sysctls, rlimits. Each file here
//! checks a choice and turns it into data and into steps of a plan; `container` puts the steps where they belong. Nothing
//! here makes a system call that changes anything.

pub(crate) mod capabilities;
pub(crate) mod devices;
pub(crate) mod labels;
pub(crate) mod landlock;
pub(crate) mod masks;
pub(crate) mod preset;
mod procfs;
pub(crate) mod rlimits;
pub(crate) mod seccomp;
pub(crate) mod steps;
pub(crate) mod sysctl;

pub(crate) use preset::{Walls, chosen_capabilities};
pub(crate) use seccomp::Profile;
