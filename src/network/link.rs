//! Interfaces of named networks: the bridge, and the pair of each member, veth(4), whose one end is a port of the bridge and whose other
//! end is made right away in the member's namespace.
//!
//! The bridge is no way to the host, also for who sends what no ordinary program sends: it has no address, IPv6 is off on it, no question
//! for an address is answered there (`arp_ignore`), and no packet is taken in (`rp_filter`, for no address is reached by it).

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, OwnedFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;

use super::netlink::{Netlink, number};
use super::subnet::Subnet;
use crate::sys;

/// The longest name of an interface: IFNAMSIZ of linux/if.h, without its NUL.
pub const LONGEST_NAME: usize = 15;

/// An interface: its index, and whether it is up.
fn find(netlink: &mut Netlink, name: &str) -> nix::Result<Option<(u32, bool)>> {
    match netlink.get(RouteNetlinkMessage::GetLink(named(name))) {
        // struct ifinfomsg: family and type, the index, flags.
        Ok(answer) => Ok(answer.get(20..28).map(|it| (number(it), number(&it[4..]) & libc::IFF_UP as u32 != 0))),
        Err(Errno::ENODEV) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The index of an interface.
pub fn index(netlink: &mut Netlink, name: &str) -> nix::Result<Option<u32>> {
    Ok(find(netlink, name)?.map(|(index, _)| index))
}

/// The bridge of this name, made where it is missing. It comes up last: one that isn't up is one whose maker was killed on the way.
pub fn bridge(netlink: &mut Netlink, name: &str) -> nix::Result<u32> {
    let found = match find(netlink, name)? {
        Some((index, true)) => return Ok(index),
        Some((index, false)) => Some(index),
        None => None,
    };
    if found.is_none() {
        let mut bridge = named(name);
        bridge.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]));
        netlink.change(RouteNetlinkMessage::NewLink(bridge), NLM_F_CREATE | NLM_F_EXCL)?;
    }
    for (family, setting, value) in
        [("ipv6", "disable_ipv6", "1"), ("ipv4", "arp_ignore", "8"), ("ipv4", "rp_filter", "1")]
    {
        match write(&format!("/proc/sys/net/{family}/conf/{name}/{setting}"), value) {
            // A kernel without IPv6.
            Err(Errno::ENOENT) if family == "ipv6" => {}
            outcome => outcome?,
        }
    }
    bring_up(netlink, name)?;
    index(netlink, name)?.ok_or(Errno::ENODEV)
}

/// Brings an interface up.
pub fn bring_up(netlink: &mut Netlink, name: &str) -> nix::Result<()> {
    netlink.change(RouteNetlinkMessage::SetLink(up(name)), 0)
}

fn write(path: &str, value: &str) -> nix::Result<()> {
    let flags = nix::fcntl::OFlag::O_WRONLY;
    let file = sys::open(path, flags, nix::sys::stat::Mode::empty())?;
    nix::unistd::write(&file, value.as_bytes()).map(drop)
}

/// Makes a pair: `name` here, a port of the bridge, and `inside` in another namespace, which is not up yet: it can't be before it has its
/// peer.
pub fn make_pair(
    netlink: &mut Netlink,
    (name, bridge): (&str, u32),
    (inside, address, namespace): (&str, [u8; 6], &OwnedFd),
) -> nix::Result<()> {
    let mut peer = named(inside);
    peer.attributes.push(LinkAttribute::Address(address.to_vec()));
    peer.attributes.push(LinkAttribute::NetNsFd(namespace.as_raw_fd()));
    let mut link = up(name);
    link.attributes.push(LinkAttribute::Controller(bridge));
    let data = LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer)));
    link.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth), data]));
    netlink.change(RouteNetlinkMessage::NewLink(link), NLM_F_CREATE | NLM_F_EXCL)
}

/// Removes an interface; one that is not there is no error.
pub fn remove(netlink: &mut Netlink, name: &str) -> nix::Result<()> {
    match netlink.change(RouteNetlinkMessage::DelLink(named(name)), 0) {
        Err(Errno::ENODEV) => Ok(()),
        outcome => outcome,
    }
}

/// Takes an interface down; one that is not there is no error.
pub fn take_down(netlink: &mut Netlink, name: &str) -> nix::Result<()> {
    let mut down = named(name);
    down.header.change_mask = LinkFlags::Up;
    match netlink.change(RouteNetlinkMessage::SetLink(down), 0) {
        Err(Errno::ENODEV) => Ok(()),
        outcome => outcome,
    }
}

/// Gives an interface an address.
pub fn add_address(netlink: &mut Netlink, interface: u32, address: IpAddr, prefix: u8) -> nix::Result<()> {
    let mut message = AddressMessage::default();
    message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.prefix_len = prefix;
    message.header.index = interface;
    message.attributes.push(AddressAttribute::Local(address));
    message.attributes.push(AddressAttribute::Address(address));
    match address {
        IpAddr::V4(ip) => message.attributes.push(AddressAttribute::Broadcast(broadcast(ip, prefix))),
        // It is nobody else's, so nobody has to be asked for a second before it can be used: RFC 4862, 5.4.
        IpAddr::V6(_) => message.header.flags = AddressHeaderFlags::Nodad,
    }
    netlink.change(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
}

fn broadcast(ip: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits(ip.to_bits() | u32::MAX.checked_shr(prefix.into()).unwrap_or(0))
}

/// The address of an Ethernet interface that has this one: who gets it next has the same one, so no neighbour knows a wrong one. Bit 1 of
/// the first byte says that it is nobody's by its maker, bit 0 that it is one interface's.
pub fn ethernet(address: IpAddr, number: u32) -> [u8; 6] {
    let low = match address {
        IpAddr::V4(ip) => ip.octets(),
        IpAddr::V6(_) => number.to_be_bytes(),
    };
    [0x06, 0xc7, low[0], low[1], low[2], low[3]]
}

/// What this machine has routes for, without those for everything.
pub fn routes(netlink: &mut Netlink) -> nix::Result<Vec<Subnet>> {
    let mut found = Vec::new();
    netlink.dump(RouteNetlinkMessage::GetRoute(RouteMessage::default()), |message| {
        // One that is not understood is none that has addresses of ours.
        let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(message) else { return };
        let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) = message.payload else { return };
        let prefix = route.header.destination_prefix_length;
        let destination = route.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(ip)) => Some(IpAddr::V4(*ip)),
            RouteAttribute::Destination(RouteAddress::Inet6(ip)) => Some(IpAddr::V6(*ip)),
            _ => None,
        });
        found.extend(destination.filter(|_| prefix > 0).and_then(|address| Subnet::new(address, prefix)));
    })?;
    Ok(found)
}

fn up(name: &str) -> LinkMessage {
    let mut link = named(name);
    (link.header.flags, link.header.change_mask) = (LinkFlags::Up, LinkFlags::Up);
    link
}

fn named(name: &str) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.attributes.push(LinkAttribute::IfName(name.into()));
    link
}
