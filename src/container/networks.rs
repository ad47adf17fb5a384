//! Named networks by name: made, listed, removed. `network` makes containers members of them.

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use nix::errno::Errno;
use serde::Serialize;

use super::client::Client;
use super::network::check_rights;
use super::state::{NetworkRecord, Networks, StateDir, check_network, random_name};
use crate::network::{Netlink, Subnet, link};
use crate::{Error, ErrorCode, Result, Step, sys};

/// A named network. It is there until it is removed, whoever has made it, or the machine starts anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NamedNetwork {
    /// Its name.
    pub name: String,
    /// Its subnet of IPv4, as `10.201.0.0/24`.
    pub subnet: String,
    /// Its subnet of IPv6, if it has one.
    pub ipv6: Option<String>,
    /// The name of its bridge, an interface that is there while it has members.
    pub bridge: String,
    /// The names of the containers in it, in the order in which they came.
    pub members: Vec<String>,
    #[serde(skip)]
    state_dir: PathBuf,
}

impl Client<'_> {
    /// The network of this name; it is made where it isn't there. `subnet` is what its IPv4 addresses are of, as `10.0.3.0/24`; where there is
    /// none, it is one that neither a route of this machine nor another network has. `ipv6` is a subnet of IPv6, as `fd00:1::/64`, or `auto` for
    /// one of random numbers; where there is none, the network has no IPv6. EEXIST where it is there with other ones.
    pub fn network(&self, name: &str, subnet: Option<&str>, ipv6: Option<&str>) -> Result<NamedNetwork> {
        check_network(name)?;
        check_rights(Step::MakeNetwork, name)?;
        let asked = subnet.map(|subnet| Subnet::asked(subnet, false)).transpose()?;
        let asked_v6 = ipv6.filter(|text| *text != "auto").map(|subnet| Subnet::asked(subnet, true)).transpose()?;
        let state = self.state()?;
        let networks = state.networks()?;
        if let Some(record) = networks.read(name)? {
            let other = [(asked, Some(record.subnet)), (asked_v6, record.ipv6)]
                .into_iter()
                .find(|(asked, has)| asked.is_some() && asked != has);
            if let Some((_, has)) = other.or_else(|| (ipv6.is_some() && record.ipv6.is_none()).then_some((None, None)))
            {
                let has = has.map_or_else(|| "no IPv6".into(), |has| format!("the subnet {has}"));
                let why = format!("it is there already, and has {has}");
                return Err(Error::new(ErrorCode::Invalid, Step::MakeNetwork, name, libc::EEXIST, why)
                    .with_hint("remove it first, or ask for it without a subnet"));
            }
            return Ok(NamedNetwork::of(&state, record));
        }
        let taken = Taken::look(&networks, name)?;
        let record = NetworkRecord {
            name: name.into(),
            subnet: taken.choose(name, asked)?,
            ipv6: match (ipv6, asked_v6) {
                (None, _) => None,
                (Some(_), Some(asked)) => Some(taken.check(asked)?),
                (Some(_), None) => Some(taken.check(unique_local(name)?)?),
            },
            bridge: bridge_name(name)?,
            namespace: (0, 0),
            newest: 0,
            members: Vec::new(),
        };
        networks.make_hosts(name)?;
        networks.write(&record)?;
        Ok(NamedNetwork::of(&state, record))
    }

    /// The networks, by their names; sweeps what dead owners left.
    pub fn networks(&self) -> Result<Vec<NamedNetwork>> {
        let state = self.state()?;
        state.list()?;
        Ok(state.networks()?.all()?.into_iter().map(|record| NamedNetwork::of(&state, record)).collect())
    }

    /// Removes a network: EBUSY where it has members, ENOENT where there is none.
    pub fn remove_network(&self, name: &str) -> Result<()> {
        let state = self.state()?;
        state.list()?;
        let (networks, record) = state.network(Step::RemoveNetwork, name)?;
        if record.members.is_empty() {
            return networks.remove(&record);
        }
        let members: Vec<_> = record.members.iter().map(|member| member.container.as_str()).collect();
        let why = format!("EBUSY, containers are in it: {}", members.join(", "));
        Err(Error::new(ErrorCode::System, Step::RemoveNetwork, name, libc::EBUSY, why).with_hint("destroy them first"))
    }
}

impl NamedNetwork {
    fn of(state: &StateDir, record: NetworkRecord) -> Self {
        Self {
            subnet: record.subnet.to_string(),
            ipv6: record.ipv6.map(|subnet| subnet.to_string()),
            bridge: record.bridge,
            members: record.members.into_iter().map(|member| member.container).collect(),
            name: record.name,
            state_dir: state.path().into(),
        }
    }

    /// The network of this name, as [`Client::network`].
    pub fn make(name: &str, subnet: Option<&str>, ipv6: Option<&str>) -> Result<Self> {
        Client::new().network(name, subnet, ipv6)
    }

    /// The networks, as [`Client::networks`].
    pub fn list() -> Result<Vec<Self>> {
        Client::new().networks()
    }

    /// Removes it, as [`Client::remove_network`].
    pub fn remove(&self) -> Result<()> {
        Client::new().with_state_dir(&self.state_dir).remove_network(&self.name)
    }
}

/// What is in use already: routes of this machine, and other networks.
struct Taken {
    routes: Vec<Subnet>,
    networks: Vec<(String, Subnet)>,
}

impl Taken {
    fn look(networks: &Networks, name: &str) -> Result<Self> {
        let fail = |errno: Errno| Error::system(Step::MakeNetwork, name, errno as i32).with_known_hint();
        let routes = Netlink::open().and_then(|mut netlink| link::routes(&mut netlink)).map_err(fail)?;
        let subnets = |record: NetworkRecord| {
            let pair = |subnet| (record.name.clone(), subnet);
            record.subnets().map(pair).collect::<Vec<_>>()
        };
        Ok(Self { routes, networks: networks.all()?.into_iter().flat_map(subnets).collect() })
    }

    /// Who has addresses of it.
    fn by(&self, subnet: &Subnet) -> Option<String> {
        let route = self.routes.iter().find(|route| route.overlaps(subnet));
        let network = || self.networks.iter().find(|(_, other)| other.overlaps(subnet));
        let route = route.map(|route| format!("this machine has a route for {route}"));
        route.or_else(|| network().map(|(name, other)| format!("the network {name} has {other}")))
    }

    fn check(&self, asked: Subnet) -> Result<Subnet> {
        let Some(by) = self.by(&asked) else { return Ok(asked) };
        let why = format!("EADDRINUSE, {by}");
        Err(Error::new(ErrorCode::Invalid, Step::ChooseSubnet, asked, libc::EADDRINUSE, why)
            .with_hint("choose another, or none for one that is free"))
    }

    /// What was asked for, or the first of 1024 that is free.
    fn choose(&self, name: &str, asked: Option<Subnet>) -> Result<Subnet> {
        if let Some(asked) = asked {
            return self.check(asked);
        }
        let pool = (201..=204).flat_map(|second| (0..=255).map(move |third| [10, second, third, 0]));
        let mut free = pool.filter_map(|base| Subnet::new(base.into(), 24)).filter(|subnet| self.by(subnet).is_none());
        free.next().ok_or_else(|| {
            let why = "no subnet of 10.201.0.0 to 10.204.255.255 is free";
            Error::new(ErrorCode::System, Step::MakeNetwork, name, libc::EADDRNOTAVAIL, why)
                .with_hint("choose one, or remove networks that nobody uses")
        })
    }
}

/// A subnet of fd00::/8 with random numbers, RFC 4193.
fn unique_local(name: &str) -> Result<Subnet> {
    let mut bytes = [0; 16];
    if !sys::random(&mut bytes[1..8]) {
        return Err(Error::system(Step::MakeNetwork, name, libc::EAGAIN));
    }
    bytes[0] = 0xfd;
    Subnet::new(IpAddr::V6(Ipv6Addr::from(bytes)), 64)
        .ok_or_else(|| Error::system(Step::MakeNetwork, name, libc::EINVAL))
}

/// `ctr-`, the beginning of the network's name, and four digits: another state directory may have a network of this name.
fn bridge_name(network: &str) -> Result<String> {
    let fail = |errno: Errno| Error::system(Step::MakeNetwork, network, errno as i32).with_known_hint();
    let mut netlink = Netlink::open().map_err(fail)?;
    loop {
        let (begin, digits) = (&network[..network.len().min(link::LONGEST_NAME - 9)], random_name());
        let name = format!("ctr-{begin}-{}", &digits[..4]);
        if link::index(&mut netlink, &name).map_err(fail)?.is_none() {
            return Ok(name);
        }
    }
}
