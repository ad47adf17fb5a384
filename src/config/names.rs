//! Choices in words, as errors, `explain` and `inspect` say them, and as the command line takes them.

use std::fmt;
use std::str::FromStr;

use super::{Namespace, Network};
use crate::{Error, Result, Step};

/// "new", "host", "process 7", the path, "container web".
impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("new"),
            Self::Host => f.write_str("host"),
            Self::Pid(pid) => write!(f, "process {pid}"),
            Self::Path(path) => path.display().fmt(f),
            Self::Container(name) => write!(f, "container {name}"),
        }
    }
}

impl Network {
    /// Whose namespace that takes.
    pub(crate) fn namespace(&self) -> Namespace {
        match self {
            Self::None | Self::Named(_) => Namespace::New,
            Self::Host => Namespace::Host,
            Self::Pid(pid) => Namespace::Pid(*pid),
            Self::Path(path) => Namespace::Path(path.clone()),
            Self::Container(name) => Namespace::Container(name.clone()),
        }
    }
}

impl FromStr for Network {
    type Err = Error;

    /// "none", "host", "container:NAME", the path of a namespace, or the name of a network.
    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            None if text == "host" => Ok(Self::Host),
            Some(("container", name)) => Ok(Self::Container(name.into())),
            _ if text.starts_with('/') => Ok(Self::Path(text.into())),
            // Whether it can be one, and there is one, is looked at when it is used.
            None if !text.is_empty() && !text.contains('/') => Ok(Self::Named(text.into())),
            _ => Err(Error::invalid(Step::ChooseNetwork, text, "there is none of this name")
                .with_hint("none, host, container:NAME, the path of a namespace or the name of a network")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_read_as_docker_writes_it() {
        for (text, network) in [
            ("none", Network::None),
            ("host", Network::Host),
            ("container:web:1", Network::Container("web:1".into())),
            ("/proc/7/ns/net", Network::Path("/proc/7/ns/net".into())),
            ("web", Network::Named("web".into())),
        ] {
            assert_eq!(text.parse::<Network>().unwrap(), network);
        }
        for text in ["none:1", "proc/7/ns/net"] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert!(
                error.contains(&format!("choose the network {text}")) && error.contains("container:NAME"),
                "{error}"
            );
        }
    }
}
