//! The devices of a container: which nodes it is given, and whether its cgroup lists what it may open.

use std::borrow::Cow;
use std::path::Path;

use nix::sys::stat::fstat;

use super::blueprint::open_path;
use crate::rootfs::Node;
use crate::security::{Device, DeviceAccess, DeviceKind, DeviceList, DeviceRule, Walls, devices};
use crate::{Config, Error, ErrorCode, Namespace, Result};

/// What is decided about them.
pub struct Devices {
    /// What may be opened and made; or why there is no list.
    pub list: std::result::Result<Vec<DeviceRule>, Cow<'static, str>>,
    pub nodes: Vec<Node>,
}

impl Devices {
    /// `is_root`: the caller is root of the machine, whose lists the kernel takes.
    pub fn of(config: &Config, walls: &Walls, is_root: bool) -> Result<Self> {
        let (mut nodes, mut rules) = (Vec::new(), Vec::new());
        for device in &config.devices {
            let Device::Node { source, target, access } = device else { continue };
            let (node, rule) = node(source, target, *access)?;
            nodes.push(node);
            rules.push(rule);
        }
        let wanted = walls.device_list || !config.devices.is_empty();
        let list = match config.device_list {
            DeviceList::Off => Err("the caller wants none".into()),
            DeviceList::Auto if !wanted && config.namespaces.user == Namespace::Host => {
                Err("the preset privileged leaves the machine's devices open".into())
            }
            DeviceList::Auto if !wanted => {
                Err("in a user namespace no node can be made that works, and mounts there have none".into())
            }
            // What anybody but root of the machine may do to a list, the kernel decides, and it says no.
            policy => match (is_root, crate::cgroup::devices_unavailable(config.cgroup)) {
                (true, None) => Ok(devices::allowed(&config.devices, rules.iter().copied())),
                (false, _) if policy == DeviceList::Required => {
                    return Err(unavailable("only root of the machine may"));
                }
                (false, _) => Err("only root of the machine may list devices".into()),
                (true, Some(error)) if policy == DeviceList::Required => return Err(error),
                (true, Some(error)) => Err(error.to_string().into()),
            },
        };
        let narrow = rules.iter().position(|rule| !rule.access.read || !rule.access.write);
        if let (Err(why), Some(narrow)) = (&list, narrow) {
            let path = nodes.get(narrow).map(|node| node.path.display().to_string()).unwrap_or_default();
            let why = format!("less than reading and writing takes a list of devices in its cgroup: {why}");
            return Err(Error::new(ErrorCode::Unsupported, "give the device", path, libc::EOPNOTSUPP, why)
                .mend("ask for rw, or for the list as root of the machine"));
        }
        Ok(Self { list, nodes })
    }
}

fn unavailable(why: &str) -> Error {
    Error::new(ErrorCode::Unsupported, "list the devices of", "the container", libc::EPERM, why)
        .mend("run it as root, outside of user namespaces, or leave the list to \"auto\"")
}

fn node(source: &Path, target: &Path, access: DeviceAccess) -> Result<(Node, DeviceRule)> {
    let path = std::fs::canonicalize(source).map_err(|e| Error::io("give the device", source.display(), &e))?;
    let stat =
        fstat(open_path(&path)?).map_err(|errno| Error::system("give the device", path.display(), errno as i32))?;
    let kind = match stat.st_mode & libc::S_IFMT {
        libc::S_IFCHR => DeviceKind::Char,
        libc::S_IFBLK => DeviceKind::Block,
        _ => {
            return Err(Error::invalid("give the device", path.display(), "it is no device node")
                .mend("files and directories are given as mounts"));
        }
    };
    let (major, minor) = (libc::major(stat.st_rdev), libc::minor(stat.st_rdev));
    let rule = DeviceRule { kind, major: Some(major), minor: Some(minor), access };
    let node = Node { path, target: target.into(), kind: stat.st_mode & libc::S_IFMT, device: stat.st_rdev };
    Ok((node, rule))
}
