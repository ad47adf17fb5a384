//! room

mod pidfd;

pub(crate) use pidfd::{pidfd_open, pidfd_send_signal};
