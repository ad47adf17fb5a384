//! A container in a named network: containers that talk to each other. A network is a record with a subnet; while it has members there is a bridge, and
//! each member has an interface eth0 whose other end is a port of it. Nobody else is there: no host, no other network, no way out.
//!
//! A container becomes a member in two halves. Its address and its names are had with the rest that the host acquires for it, while its
//! PID 1 is on its way. Its interface takes its namespace: PID 1 hands out a netlink socket of it with its first answer, by which the
//! namespace is known and the address set, so that nobody has to enter it.

use std::net::IpAddr;
use std::os::fd::OwnedFd;

use nix::errno::Errno;

use super::shared::Shared;
use super::state::{Member, NetworkRecord, StateDir, own_namespace, random_name};
use crate::network::{Netlink, Subnet, is_name, link};
use crate::{Config, Error, ErrorCode, Network, Result, Step, hints, sys};

/// What members call their interface.
pub const INTERFACE: &str = "eth0";

/// CAP_NET_ADMIN of capabilities(7).
const NET_ADMIN: u64 = 12;

/// Refuses whoever can make no interface.
pub fn check_rights(step: Step, name: &str) -> Result<()> {
    let [effective, ..] = sys::capget();
    if nix::unistd::geteuid().is_root() && effective >> NET_ADMIN & 1 == 1 {
        return Ok(());
    }
    Err(Error::new(ErrorCode::Unsupported, step, name, libc::EPERM, "EPERM, only root may")
        .with_hint(hints::NETWORK_RIGHTS))
}

/// The network that a container is to be in.
pub fn chosen(config: &Config) -> Option<&str> {
    match &config.network {
        Some(Network::Named(name)) => Some(name),
        _ => None,
    }
}

/// Refuses what can't be, before anything is made.
pub fn check(config: &Config, state: &StateDir, container: &str) -> Result<()> {
    let Some(name) = chosen(config) else {
        let why = "that takes a named network";
        if let Some(ip) = config.ip {
            return Err(Error::invalid(Step::ChooseAddress, ip, why));
        }
        return config.aliases.first().map_or(Ok(()), |alias| Err(Error::invalid(Step::ChooseAlias, alias, why)));
    };
    check_rights(Step::JoinNetwork, name)?;
    let (_, record) = state.network(Step::JoinNetwork, name)?;
    if let Some(ip) = config.ip
        && record.subnet.number(ip).is_none()
    {
        let why = format!("members of the network {name} have addresses of {}", record.subnet);
        return Err(Error::invalid(Step::ChooseAddress, ip, why)
            .with_hint("the first two and the last one are nobody's: the subnet itself, a gateway, all members"));
    }
    let is_bad = |alias: &&String| !is_name(alias) || alias.len() > LONGEST_ALIAS;
    match config.aliases.iter().find(is_bad) {
        Some(alias) => Err(Error::invalid(Step::ChooseAlias, alias, "it is no name that /etc/hosts can have")),
        None if !is_name(container) => {
            Err(Error::invalid(Step::NameContainer, container, "it is no name that /etc/hosts can have"))
        }
        None => Ok(()),
    }
}

/// The longest name of the DNS.
const LONGEST_ALIAS: usize = 253;

/// The first half: an address, and the names, for a container that is on record as a member.
pub fn join(state: &StateDir, config: &Config, container: &str, hostname: Option<&str>) -> Result<()> {
    let Some(name) = chosen(config) else { return Ok(()) };
    for last in [false, true] {
        let (networks, mut record) = state.network(Step::JoinNetwork, name)?;
        let number = match config.ip {
            Some(ip) => record.subnet.number(ip).filter(|number| record.members.iter().all(|it| it.number != *number)),
            None => record.free_number(),
        };
        let Some(number) = number else {
            let holder =
                config.ip.and_then(|ip| record.members.iter().find(|it| record.addresses(it).contains(&ip.into())));
            let error = taken(&record, config, holder);
            if last {
                return Err(error);
            }
            // It may be a dead container's, which is swept; or one's whose record is gone, which nobody sweeps.
            let all: Vec<_> = record.members.iter().map(|member| member.container.clone()).collect();
            drop(networks);
            let dead: Vec<_> = all
                .into_iter()
                .filter(|it| !matches!(state.sweep(it), Ok(false)) || !matches!(state.read(it), Ok(Some(_))))
                .collect();
            let (networks, mut record) = state.network(Step::JoinNetwork, name)?;
            networks.drop_members(&mut record, |member| dead.contains(&member.container))?;
            networks.write(&record)?;
            continue;
        };
        // The record of who had this name before is swept, or was removed.
        networks.drop_members(&mut record, |member| member.container == container)?;
        let mut names = vec![container.to_string()];
        for more in hostname.into_iter().chain(config.aliases.iter().map(String::as_str)) {
            if is_name(more) && !names.iter().any(|name| name == more) {
                names.push(more.into());
            }
        }
        let member = Member { container: container.into(), number, link: format!("ctr{}", random_name()), names };
        if record.members.is_empty() {
            record.namespace = own_namespace();
        } else if record.namespace != own_namespace() {
            let why = "its members are in another network namespace of this machine";
            return Err(Error::invalid(Step::JoinNetwork, name, why));
        }
        record.newest = number;
        record.members.push(member.clone());
        // The record first: what it names is taken away by whoever sweeps the container.
        networks.write(&record)?;
        return networks.add_names(&record, &member);
    }
    Ok(())
}

fn taken(record: &NetworkRecord, config: &Config, holder: Option<&Member>) -> Error {
    let fail = |object: &dyn std::fmt::Display, why: String| {
        Error::new(ErrorCode::System, Step::ChooseAddress, object, libc::EADDRINUSE, why)
    };
    match (config.ip, holder) {
        (Some(ip), Some(holder)) => fail(&ip, format!("EADDRINUSE, container {} has it", holder.container)),
        _ => fail(&record.subnet, format!("EADDRINUSE, members of the network {} have all of them", record.name)),
    }
}

/// The second half: the interface. `inside` is a netlink socket of the container's network namespace.
pub fn attach(container: &Shared, inside: OwnedFd) -> Result<()> {
    let (Some(name), Some(state)) = (chosen(&container.record.config), &container.state) else { return Ok(()) };
    let fail = |errno: Errno| Error::system(Step::JoinNetwork, name, errno as i32).with_known_hint();
    let (_networks, record) = state.network(Step::JoinNetwork, name)?;
    let Some(member) = record.member(&container.record.name) else { return Err(fail(Errno::ENOENT)) };
    let (mut here, mut inside) = (Netlink::open().map_err(fail)?, Netlink::of(inside));
    let namespace = inside.namespace().map_err(fail)?;
    let bridge = link::bridge(&mut here, &record.bridge).map_err(fail)?;
    let ethernet =
        link::ethernet(record.subnet.address(member.number).ok_or_else(|| fail(Errno::EADDRNOTAVAIL))?, member.number);
    link::make_pair(&mut here, (&member.link, bridge), (INTERFACE, ethernet, &namespace)).map_err(fail)?;
    let interface = link::index(&mut inside, INTERFACE).map_err(fail)?.ok_or_else(|| fail(Errno::ENODEV))?;
    for subnet in record.subnets() {
        let Some(address) = subnet.address(member.number) else { continue };
        link::add_address(&mut inside, interface, address, subnet.prefix()).map_err(|errno| match errno {
            Errno::EACCES | Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT if subnet.is_v6() => {
                let why = format!("{errno:?}, there is no IPv6 in a new network namespace of this machine");
                Error::new(ErrorCode::Unsupported, Step::JoinNetwork, name, errno as i32, why)
                    .with_hint("is it off by net.ipv6.conf.default.disable_ipv6, or ipv6.disable=1 of the kernel's command line? or make the network without ipv6")
            }
            errno => fail(errno),
        })?;
    }
    link::bring_up(&mut inside, INTERFACE).map_err(fail)
}

/// The networks that a container is in, and its addresses there.
pub fn addresses(container: &Shared) -> Result<Vec<(String, Vec<IpAddr>)>> {
    container.check_running()?;
    let (Some(name), Some(state)) = (chosen(&container.record.config), &container.state) else { return Ok(Vec::new()) };
    let (_networks, record) = state.network(Step::LookAtContainer, name)?;
    Ok(record
        .member(&container.record.name)
        .map(|member| (name.to_string(), record.addresses(member)))
        .into_iter()
        .collect())
}

/// What a person types to make a container a member, in another shell.
pub fn commands(config: &Config, state: &StateDir) -> Option<String> {
    let (_, record) = state.network(Step::JoinNetwork, chosen(config)?).ok()?;
    let bridge = &record.bridge;
    let off = format!("/proc/sys/net/ipv4/conf/{bridge}");
    let address = |subnet: Subnet| {
        let address = config
            .ip
            .map(IpAddr::V4)
            .filter(|ip| subnet.contains(*ip))
            .or_else(|| subnet.address(record.free_number()?));
        Some(format!("ip addr add {}/{} dev {INTERFACE}", address?, subnet.prefix()))
    };
    let addresses: Vec<_> = record.subnets().filter_map(address).collect();
    Some(format!(
        "[ -e /sys/class/net/{bridge} ] || {{ ip link add {bridge} type bridge; echo 1 > /proc/sys/net/ipv6/conf/{bridge}/disable_ipv6; \
         echo 8 > {off}/arp_ignore; echo 1 > {off}/rp_filter; ip link set {bridge} up; }}\n\
         ip link add ctr-$PID type veth peer name {INTERFACE} netns $PID; ip link set ctr-$PID master {bridge} up\n\
         nsenter --net --target $PID sh -c '{}; ip link set {INTERFACE} up'",
        addresses.join("; ")
    ))
}
