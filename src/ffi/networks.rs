//! ctr_network: named networks, in which containers find each other.

use std::ffi::{c_char, c_int};
use std::path::Path;

use super::border::{border, bytes, new_string, out, text};
use super::container::container;
use super::setters::checked;
use super::types::{ctr_config, ctr_container};
use crate::{Client, Error, Result, Step};

/// What NULL leaves out.
fn given<T>(text: *const c_char, read: impl FnOnce(*const c_char) -> Result<T>) -> Result<Option<T>> {
    if text.is_null() { Ok(None) } else { read(text).map(Some) }
}

/// The caller's choice of a state directory.
///
/// # Safety
/// As [`bytes`], and NULL for the usual one.
unsafe fn client(state_dir: *const c_char) -> Result<Client<'static>> {
    // SAFETY: the caller's promise.
    let dir = given(state_dir, |dir| unsafe { bytes("state_dir", dir) })?;
    Ok(dir.map_or_else(Client::new, |dir| Client::new().with_state_dir(Path::new(dir))))
}

/// Makes a named network, if there is none of this name yet: containers of ctr_config_set_network() with that name talk to each other, by
/// addresses of its subnets and by their names, and to nobody else: not to the host, not to other networks, not to the outside. While it
/// has members there is a bridge, ip-link(8), to which each is connected by a pair of interfaces, veth(4); without members it is a record.
/// It is there until ctr_network_remove(), or until the machine starts anew.
///
/// name        1 to 64 of a-z A-Z 0-9 _ . - and not starting with a dot or a dash; not "none", "host", "new", "container" or "egress"
/// subnet      its IPv4 addresses, as "10.0.3.0/24": a prefix of 8 to 29 bits. NULL: one of 10.201.0.0/24 to 10.204.255.0/24 that neither
///             a route of this machine nor another network has
/// ipv6        its IPv6 addresses, as "fd00:1::/64": a prefix of 16 to 120 bits; "auto": a random one of fd00::/8; NULL: it has none
/// state_dir   where it is written down, as ctr_config_set_state_dir(); NULL for the usual place
///
/// It takes root, with CAP_NET_ADMIN of capabilities(7) over the machine's network.
///
/// Return value: 0; CTR_ERR_INVALID with EEXIST if it is there with other subnets, with EADDRINUSE if the machine has a route for a part
/// of them, or another network has, and for what is no name or no subnet; CTR_ERR_UNSUPPORTED with EPERM for who is not root;
/// CTR_ERR_SYSTEM.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_network(
    name: *const c_char,
    subnet: *const c_char,
    ipv6: *const c_char,
    state_dir: *const c_char,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (client, name) = unsafe { (client(state_dir)?, text("name", name)?) };
        // SAFETY: likewise.
        let subnets = unsafe { (given(subnet, |it| text("subnet", it))?, given(ipv6, |it| text("ipv6", it))?) };
        client.network(name, subnets.0, subnets.1).map(|_| 0)
    })
}

/// The named networks, in the order of their names, as a JSON array of objects: "name", "subnet", "ipv6" (null if it has none), "bridge" (the name of
/// the interface that is there while it has members) and "members", the names of the containers in it. Later releases may add members. It
/// also removes what dead owners left, as ctr_list(). state_dir is as for ctr_network().
///
/// Return value: 0 and the text in *json, which ctr_string_free() frees; CTR_ERR_SYSTEM, CTR_ERR_INVALID; *json is NULL then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_networks(state_dir: *const c_char, json: *mut *mut c_char) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (json, client) = unsafe { (out("json", json)?, client(state_dir)?) };
        *json = as_json(&client.networks()?)?;
        Ok(0)
    })
}

/// Removes a named network that has no members. state_dir is as for ctr_network().
///
/// Return value: 0; CTR_ERR_NOT_FOUND if there is none of this name; CTR_ERR_SYSTEM with EBUSY if containers are in it; CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_network_remove(name: *const c_char, state_dir: *const c_char) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (client, name) = unsafe { (client(state_dir)?, text("name", name)?) };
        client.remove_network(name).map(|()| 0)
    })
}

/// The named networks that a running container is in, and its addresses there, as a JSON object: {"web":["10.201.0.2","fd00:1::2"]}, IPv4
/// first; {} if it is in none.
///
/// Return value: 0 and the text in *json, which ctr_string_free() frees; CTR_ERR_DESTROYED, CTR_ERR_INVALID; *json is NULL then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_addresses(c: *const ctr_container, json: *mut *mut c_char) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let json = unsafe { out("json", json) }?;
        let addresses = container(c)?.container.addresses()?;
        *json = as_json(&addresses.into_iter().collect::<std::collections::BTreeMap<_, _>>())?;
        Ok(0)
    })
}

fn as_json(value: &impl serde::Serialize) -> Result<*mut c_char> {
    let json = serde_json::to_string(value);
    new_string(&json.map_err(|e| Error::invalid(Step::UseNetworks, "", e.to_string()))?)
}

/// The IPv4 address that the container has in its named network, as "10.0.3.5"; ctr_create() fails with EADDRINUSE if another member has
/// it. Default: one that is free.
///
/// Return value: 0, or CTR_ERR_INVALID for what is no IPv4 address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_set_ip(config: *mut ctr_config, ip: *const c_char) -> c_int {
    let ip = || {
        // SAFETY: the caller's promise.
        let ip = unsafe { text("ip", ip) }?;
        ip.parse().map_err(|_| Error::invalid(Step::ChooseAddress, ip, "it is no IPv4 address"))
    };
    checked(config, ip, |config, ip| config.ip = Some(ip))
}

/// One more name by which members of its named network find the container, besides its name and its hostname. Several members may have the
/// same one; which of them is found, their resolver decides, the first in /etc/hosts mostly.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_add_alias(config: *mut ctr_config, alias: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    checked(config, || unsafe { text("alias", alias) }, |config, alias| config.aliases.push(alias.into()))
}
