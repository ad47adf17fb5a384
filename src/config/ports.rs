//! Ports of the host that lead into a container from its first moment on.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A port that is to be published; see [`crate::Container::publish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PublishedPort {
    /// The address and the port of the host; port 0 is a free one.
    pub address: SocketAddr,
    /// Where it leads to, in the container's network.
    pub to: SocketAddr,
}

impl PublishedPort {
    /// `address` of the host leads to `to` inside.
    pub fn new(address: SocketAddr, to: SocketAddr) -> Self {
        Self { address, to }
    }
}
