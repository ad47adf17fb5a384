//! The allow-list of devices that a container's cgroup gets.
//!
//! In a user namespace of its own a container can make no node that works, and its mounts have none, so there the list is a
//! second wall. Where root inside is root outside it is the first.

use crate::{Device, DeviceKind, DeviceRule};

/// What every container may: docker's list (moby/moby, daemon/pkg/oci/defaults.go) with what runc adds to it
/// (libcontainer/specconv/spec_linux.go, AllowedDevices). A node may be made for any device, as package managers do; opening it
/// is another thing.
const DEFAULT: [DeviceRule; 11] = [
    DeviceRule::any_node(DeviceKind::Char),
    DeviceRule::any_node(DeviceKind::Block),
    DeviceRule::char_device(1, Some(3)), // null
    DeviceRule::char_device(1, Some(5)), // zero
    DeviceRule::char_device(1, Some(7)), // full
    DeviceRule::char_device(1, Some(8)), // random
    DeviceRule::char_device(1, Some(9)), // urandom
    DeviceRule::char_device(5, Some(0)), // tty
    DeviceRule::char_device(5, Some(1)), // console
    DeviceRule::char_device(5, Some(2)), // ptmx
    DeviceRule::char_device(136, None),  // pts/*
];

/// The list of a container that is given `devices`; `nodes` are what their nodes are.
pub(crate) fn allowed(devices: &[Device], nodes: impl IntoIterator<Item = DeviceRule>) -> Vec<DeviceRule> {
    let rules = devices.iter().filter_map(|device| match device {
        Device::Rule(rule) => Some(*rule),
        Device::Node { .. } => None,
    });
    DEFAULT.into_iter().chain(nodes).chain(rules).collect()
}
