//! A row of the table of steps.

use std::borrow::Cow;

/// When a step is done, in the order of a container's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// What was asked for is checked, before anything is looked up.
    Check,
    /// What is on the machine is looked up: images, names, namespaces, devices.
    Lookup,
    /// An image is imported, made, compared or written out.
    Image,
    /// The host makes what is the container's alone: its record, its cgroup, its socket.
    Prepare,
    /// The zygote is started, and clones a process.
    Spawn,
    /// The zygote makes, outside of the container's namespaces, what it hands over.
    HandOver,
    /// PID 1 sets itself up, before it has its image.
    Setup,
    /// PID 1 makes its root.
    Rootfs,
    /// PID 1 takes what the host has made for it, and the last walls are put up.
    Finish,
    /// PID 1 serves, and the caller has not been answered yet.
    Attach,
    /// A program is started.
    Start,
    /// Something is done to a container, or to a program that runs in it.
    Run,
    /// A container is ended, and what was made for it removed.
    End,
    /// The machine is tried out.
    Probe,
    /// In more than one of these.
    Any,
}

impl Phase {
    /// Its name, as "hand-over".
    pub fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Lookup => "lookup",
            Self::Image => "image",
            Self::Prepare => "prepare",
            Self::Spawn => "spawn",
            Self::HandOver => "hand-over",
            Self::Setup => "setup",
            Self::Rootfs => "rootfs",
            Self::Finish => "finish",
            Self::Attach => "attach",
            Self::Start => "start",
            Self::Run => "run",
            Self::End => "end",
            Self::Probe => "probe",
            Self::Any => "any",
        }
    }
}

/// A row of the table. `S` is the step, which the table itself declares.
pub(super) struct Row<S> {
    pub(super) step: S,
    pub(super) id: &'static str,
    pub(super) text: &'static str,
    pub(super) phase: Phase,
    pub(super) hint: Option<Hint>,
}

/// What helps where a step fails with this errno on this object, if anything is known.
pub(super) type Hint = fn(i32, &str) -> Option<Cow<'static, str>>;
