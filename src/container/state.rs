//! x
use std::time::SystemTime;
/// A line of [`crate::Container::list`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerInfo {
    /// The name that [`crate::Container::join`] takes.
    pub name: String,
    /// What it was made from.
    pub image: String,
    /// The pid of its PID 1 on the host.
    pub pid: i32,
    /// The pid of the process that made it.
    pub owner: i32,
    /// When it was made.
    pub created: SystemTime,
    /// Whether it outlives its owner.
    pub detached: bool,
}
