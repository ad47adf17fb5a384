//! How a process is started in a container.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::text;

/// How a process is started inside. The default: user and group 0, the container's environment, `/` as working
/// directory, the caller's stdin, stdout and stderr, a session of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default)]
pub struct ExecConfig {
    /// The program's file, where it is another than argv\[0\] says; searched for in PATH just so.
    #[serde(with = "text")]
    pub program: Option<OsString>,
    /// Environment, over the container's.
    #[serde(with = "text")]
    pub env: Vec<(OsString, OsString)>,
    /// Start from an empty environment instead of the container's.
    pub clear_env: bool,
    /// Working directory inside, absolute.
    #[serde(with = "text")]
    pub cwd: Option<PathBuf>,
    /// `name`, `uid`, `name:group` or `uid:gid`; names and supplementary groups come from the image's own /etc/passwd
    /// and /etc/group.
    pub user: Option<String>,
    /// The supplementary groups, by name or number, in the place of those that /etc/group gives the user.
    pub groups: Option<Vec<String>>,
    /// The bits that files are made without, umask(2); 0o022 where there is none.
    pub umask: Option<u32>,
    /// Standard input.
    pub stdin: Stdio,
    /// Standard output.
    pub stdout: Stdio,
    /// Standard error.
    pub stderr: Stdio,
    /// Further descriptors: (the caller's, its number inside).
    pub fds: Vec<(RawFd, i32)>,
    /// A terminal of its own as stdin, stdout and stderr (which are then not to be set), and its size.
    pub pty: Option<Winsize>,
    /// Session and process group.
    pub session: Session,
    /// Kill it, and all that it has started, after this long; its exit then has [`crate::ExitReason::TimedOut`]. The limit
    /// reaches children in whatever session or group, orphans, and what a program that ended in time has left behind. It is
    /// kept by the container's PID 1, and, a second later, by [`crate::Process::wait`].
    #[serde(with = "seconds")]
    pub time_limit: Option<Duration>,
    /// Kill it, and all that it has started, when they have used so much processor time together, in programs and in the kernel; its
    /// exit then has [`crate::ExitReason::OutOfCpuTime`]. The budget is that of the same processes as `time_limit`, the dead ones
    /// with them, and is kept by the container's PID 1: docs/limits.md says how exactly.
    #[serde(with = "seconds")]
    pub cpu_time_limit: Option<Duration>,
    /// How long its start may take; 10 seconds where there is none, and never longer. A start takes a millisecond, but programs
    /// inside can hold it up: by stopping everybody, by a lease on the file, by a file system that does not answer.
    #[serde(with = "seconds")]
    pub start_timeout: Option<Duration>,
}

/// Where one standard stream leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum Stdio {
    /// The caller's own stream of that number, as a program that it executes would have it: /dev/null where it is closed or
    /// close-on-exec.
    #[default]
    Inherit,
    /// /dev/null.
    Null,
    /// A new pipe, the other end of which the caller gets.
    Pipe,
    /// This descriptor of the caller; it stays the caller's.
    Fd(RawFd),
    /// For stderr: wherever stdout leads.
    Stdout,
}

/// The size of a terminal, ioctl_tty(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Winsize {
    /// Lines.
    pub rows: u16,
    /// Characters a line.
    pub cols: u16,
}

/// The session or process group of a new process; see setsid(2), setpgid(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum Session {
    /// A new session, so a new process group too.
    #[default]
    New,
    /// A new process group in the session of the container's PID 1.
    Group,
    /// This existing process group of the container, by its pid inside.
    Join(i32),
}

/// A time span as a number of seconds.
pub(super) mod seconds {
    use std::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(span: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        span.map(|span| span.as_secs_f64()).serialize(to)
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<f64>::deserialize(from)?;
        seconds.map(Duration::try_from_secs_f64).transpose().map_err(Error::custom)
    }
}
