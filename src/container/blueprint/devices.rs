//! The devices of a container: which nodes it is given, and whether its cgroup lists what it may open.

use std::path::Path;

use nix::sys::stat::fstat;

use super::bind::open_path;
use crate::cgroup::Caller;
use crate::container::state::Listed;
use crate::rootfs::Node;
use crate::security::{Walls, devices};
use crate::{Config, Device, DeviceAccess, DeviceKind, DeviceList, DeviceRule, Error, ErrorCode, Result, Step};

/// What is decided about them.
pub struct Devices {
    /// What may be opened and made, where there is a list.
    pub list: Option<Vec<DeviceRule>>,
    /// The same in words, for the record.
    pub listed: Listed,
    pub nodes: Vec<Node>,
}

impl Devices {
    /// `is_root`: the caller is root of the machine, whose lists the kernel takes.
    pub fn of(config: &Config, walls: &Walls, is_root: bool, caller: Caller<'_>) -> Result<Self> {
        let (mut nodes, mut rules) = (Vec::new(), Vec::new());
        for device in &config.devices {
            let Device::Node { source, target, access } = device else { continue };
            let (node, rule) = node(source, target, *access)?;
            nodes.push(node);
            rules.push(rule);
        }
        let wanted = walls.device_list || !config.devices.is_empty();
        let mut list = None;
        let listed = match config.device_list {
            DeviceList::Off => Listed::NotWanted,
            DeviceList::Auto if !wanted => Listed::NotWanted,
            policy => match unavailable(config, is_root, caller) {
                Some(error) if policy == DeviceList::Required => return Err(error),
                Some(error) => Listed::Missing(error.to_string()),
                None => {
                    let allowed = list.insert(devices::allowed(&config.devices, rules.iter().copied()));
                    let texts: Vec<_> = allowed.iter().map(ToString::to_string).collect();
                    Listed::Stands(texts.join(", "))
                }
            },
        };
        let narrow = rules.iter().zip(&nodes).find(|(rule, _)| !rule.access.read || !rule.access.write);
        if let (None, Some((_, node))) = (&list, narrow) {
            let why = "less than reading and writing takes a list of devices in its cgroup, and there is none";
            let path = node.path.display();
            return Err(Error::new(ErrorCode::Unsupported, Step::GiveDevice, path, libc::EOPNOTSUPP, why)
                .with_hint("ask for rw, or for the list (\"required\") to learn what is missing"));
        }
        Ok(Self { list, listed, nodes })
    }
}

/// Why there can be no list. What anybody but root of the machine may do to one, the kernel decides: nothing.
fn unavailable(config: &Config, is_root: bool, caller: Caller<'_>) -> Option<Error> {
    if is_root {
        return crate::cgroup::devices_unavailable(config.cgroup, caller);
    }
    let why = "only root of the machine may";
    let error = Error::new(ErrorCode::Unsupported, Step::ListDevices, "the container", libc::EPERM, why);
    Some(error.with_hint("run it as root, outside of user namespaces, or leave the list to \"auto\""))
}

fn node(source: &Path, target: &Path, access: DeviceAccess) -> Result<(Node, DeviceRule)> {
    let path = std::fs::canonicalize(source).map_err(|e| {
        let error = Error::io(Step::GiveDevice, source.display(), &e);
        if error.errno() == libc::ENOENT { error.with_hint("what is given has to exist on the host") } else { error }
    })?;
    let stat =
        fstat(open_path(&path)?).map_err(|errno| Error::system(Step::GiveDevice, path.display(), errno as i32))?;
    let kind = match stat.st_mode & libc::S_IFMT {
        libc::S_IFCHR => DeviceKind::Char,
        libc::S_IFBLK => DeviceKind::Block,
        _ => {
            return Err(Error::invalid(Step::GiveDevice, path.display(), "it is no device node")
                .with_hint("files and directories are given as mounts"));
        }
    };
    let (major, minor) = (libc::major(stat.st_rdev), libc::minor(stat.st_rdev));
    let rule = DeviceRule { kind, major: Some(major), minor: Some(minor), access };
    let node = Node { path, target: target.into(), kind: stat.st_mode & libc::S_IFMT, device: stat.st_rdev };
    Ok((node, rule))
}
