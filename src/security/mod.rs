//! The walls that are not namespaces: capabilities, seccomp, Landlock, masked paths, sysctls, rlimits. Each file here
//! turns a choice into data; `container` puts the data into a plan's steps. Nothing here makes a system call that changes
//! anything.

pub(crate) mod capabilities;
pub(crate) mod seccomp;
