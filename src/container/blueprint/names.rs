//! What a container is called, and in whose network it is.

use crate::container::state::StateDir;
use crate::network::{self, Net};
use crate::{Config, Namespace, Network};

/// The names that its programs find.
pub struct Names {
    /// What its UTS namespace says; None where that is a stranger's.
    pub hostname: Option<String>,
    /// The name of the container whose network it shares.
    pub neighbour: Option<String>,
    /// Whose network it has.
    pub net: Net,
}

impl Names {
    pub fn of(name: &str, config: &Config, state: &StateDir) -> Self {
        let record = |name: &str| state.find(name).ok().map(|(record, _)| record);
        let called = |name: &str| {
            let record = record(name)?;
            let said = |entry: &&[u8]| entry.starts_with(HOSTNAME);
            let entry = record.exec.env.iter().map(|entry| entry.as_bytes()).find(said)?;
            // Another container's PID 1 may have been taken over, and its record with it.
            let name = std::str::from_utf8(&entry[HOSTNAME.len()..]).ok()?;
            network::is_name(name).then(|| name.to_string())
        };
        let hostname = match &config.namespaces.uts {
            Namespace::New => Some(config.hostname.clone().unwrap_or_else(|| name.to_string())),
            Namespace::Host => nix::sys::utsname::uname().ok().map(|it| it.nodename().to_string_lossy().into_owned()),
            Namespace::Container(of) => called(of),
            Namespace::Pid(_) | Namespace::Path(_) => None,
        };
        let (net, neighbour) = match &config.namespaces.net {
            Namespace::New if matches!(config.network, Some(Network::Named(_))) => (Net::Members, None),
            Namespace::New => (Net::Loopback, None),
            Namespace::Host => (Net::Host, None),
            Namespace::Container(of) => {
                let net = match record(of).as_ref().map(|record| &record.config.namespaces.net) {
                    Some(Namespace::New) => Net::Loopback,
                    Some(Namespace::Host) => Net::Host,
                    _ => Net::Other,
                };
                (net, called(of))
            }
            Namespace::Pid(_) | Namespace::Path(_) => (Net::Other, None),
        };
        Self { hostname, neighbour, net }
    }
}

const HOSTNAME: &[u8] = b"HOSTNAME=";
