//! ctr: a container engine that is a library.
//!
//! ```no_run
//! let c = ctr::Container::create("host", &ctr::Config::default())?;
//! let p = c.exec(["/bin/echo", "hello"], &ctr::ExecConfig::default())?;
//! assert_eq!(p.wait(None)?.unwrap().code, 0);
//! c.destroy()?;
//! # Ok::<(), ctr::Error>(())
//! ```
//!
//! The rooms, from top to bottom: [`ffi`] (the C ABI) and the Python bindings stand on this file's names; `container`
//! knows the whole story; `image`, `rootfs`, `disk`, `cgroup`, `network` and `security` turn a [`Config`] into steps of a `plan`;
//! `helper` is a process in other namespaces that does what this one may not; `zygote` starts and talks to the freestanding program
//! (`ctr_init`, in the language of `ctr_wire`), which walks plans; `sys` has the system calls.

#![cfg_attr(not(any(test, fuzzing)), deny(clippy::disallowed_methods))]

mod cgroup;
mod config;
mod container;
mod disk;
mod error;
pub mod ffi;
mod helper;
mod hints;
pub mod image;
mod network;
mod plan;
mod probe;
mod rootfs;
mod security;
mod step;
mod sys;
mod zygote;

pub use cgroup::{CpuStats, IoStats, MemoryStats, PidsStats, Pressure, PressureStats, Stall, Stats};
pub use config::{
    Bind, CgroupPolicy, ChangesLimit, Config, Device, DeviceAccess, DeviceKind, DeviceList, DeviceRule, DirectoryUse,
    Disk, ExecConfig, FileSystem, HugetlbLimit, ImageTree, IoLimit, Limit, ListLimit, Mount, Namespace, Namespaces,
    Network, Owner, Preset, PublishedPort, Refusal, Rlimit, Scratch, Seccomp, Session, Stdio, TimeOffset, TimeOffsets,
    Tmpfs, UNLIMITED, Upper, Volume, Winsize,
};
pub use container::{
    Client, Connecting, Container, ContainerInfo, Event, EventKind, Exit, ExitReason, InspectedLimits, InspectedMount,
    InspectedNamespace, Inspection, MountInfo, NamedNetwork, NamespaceSet, Port, Process, SocketType, Stopping,
    Volumes, Wall, WallState, Watch, explain,
};
pub use error::{Error, ErrorCode, Result};
pub use probe::{Check, probe};
pub use rootfs::FileStat;
pub use step::{Phase, Step};
