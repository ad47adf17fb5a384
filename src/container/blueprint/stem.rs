//! The first half: what PID 1 does before the host has acquired what is this container's alone, down to its root.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::{Blueprint, open_path};
use crate::container::ids::Ids;
use crate::container::{clocks, namespaces};
use crate::image::Source;
use crate::init::wire::{self, RESULTS};
use crate::plan::{Fd, Header, Plan, Shell, Slot};
use crate::rootfs::{self, Layers, Mapped, Root};
use crate::security::{Profile, capabilities, labels, masks, rlimits, steps, sysctl};
use crate::{DirectoryUse, Error, Namespace, Result};

/// The first half of a container's making: nothing in it lives longer than the newborn, so it can be under way while the host
/// still acquires the rest.
pub struct Stem<'a> {
    /// What the newborn does before it knows its image.
    pub plan: Plan<'a>,
    /// What the zygote does for it.
    pub aside: Plan<'a>,
    /// How many slots the zygote hands over.
    pub handed: usize,
    pub header: Header,
    /// A newborn of this shape can be made ahead of time: its stem needs no descriptor.
    pub stockable: bool,
    /// What it does as soon as it is handed its image: its root.
    pub root: Plan<'a>,
}

impl<'a> Stem<'a> {
    /// One that makes no container.
    pub fn bare(plan: Plan<'a>) -> Self {
        let header = Header::new(wire::SPAWN);
        Self { plan, aside: Plan::new(), handed: 0, header, stockable: false, root: Plan::new() }
    }
}

impl Blueprint {
    /// The first half. On v2 the newborn is cloned into its cgroup, which has to be there then.
    pub fn stem<'a>(&'a self, clone_into: Option<BorrowedFd<'a>>) -> Result<Stem<'a>> {
        let mut spawn = Header::new(wire::SPAWN);
        let mut stem = Plan::new();
        stem.reserve_sent(1); // The control socket.
        // A newborn from the shelf has the mounts of the moment it was born; where it is to open by path what the caller
        // has chosen, it may find something else by now.
        let fresh = self.opens_by_path();
        let stockable = self.joined.is_empty() && clone_into.is_none() && !fresh;
        if fresh {
            spawn.flags |= wire::FRESH;
        }
        if let Some(cgroup) = clone_into {
            stem.send(Fd::Borrowed(cgroup));
            spawn.flags |= wire::INTO_CGROUP;
        }
        let joins = self.joined.send(&mut stem);
        let flags = self.new_flags();
        spawn.namespaces = flags;
        self.ids.put(&mut spawn, &mut stem, self.ranges.clone());
        if self.config.detached {
            spawn.flags |= wire::DETACHED;
        }
        self.joined.born_in(&mut spawn, &mut stem, &joins);
        self.explain_namespaces(&mut stem, flags);
        if self.config.namespaces.time == Some(Namespace::New) {
            clocks::own(&mut stem, &self.config.time_offsets);
        }
        become_root(&mut stem, &self.ids, self.config.namespaces.pid == Namespace::New);
        self.joined.enter(&mut stem, &joins);
        if self.config.namespaces.net == Namespace::New {
            crate::network::loopback(&mut stem);
        }
        if self.own_root() {
            rootfs::stem(&mut stem, &self.shape());
        }
        if self.config.namespaces.net == Namespace::New {
            crate::network::open_to_users(&mut stem, self.ids.ping_groups(), self.own_root());
        }
        if self.own_root() {
            sysctl::set(&mut stem, &self.walls.sysctls);
        }
        if !self.own_root() && self.config.namespaces.pid == Namespace::Host {
            stem.step("open", "/proc", "", "");
            let (kept, path) = (stem.keep_in(wire::PROC), stem.string(c"/proc"));
            let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
            stem.call(libc::SYS_openat, [libc::AT_FDCWD.into(), path, flags.into()]).out(kept).ok(libc::ENOENT);
        }
        labels::set(&mut stem, &self.walls.labels, self.own_root());
        if self.own_root() && self.walls.masks {
            masks::cover(&mut stem, masks::places()?);
        }
        if self.walls.own_keyring {
            steps::own_keyring(&mut stem, self.walls.seccomp.as_ref().is_some_and(Profile::closes_keyrings));
        }
        rlimits::set(&mut stem, &self.walls.rlimits);
        limit_privileges(&mut stem, self.capabilities(), self.walls.new_privileges)?;

        let over = self.hand_over(&mut stem)?;
        let mut root = Plan::new();
        root.continue_from(&stem);
        if self.own_root() {
            self.make_root(&mut root, &over)?;
        }
        let HandedOver { aside, handed, .. } = over;
        Ok(Stem { plan: stem, aside, handed, header: spawn, stockable, root })
    }

    fn make_root(&self, plan: &mut Plan<'_>, over: &HandedOver<'_>) -> Result<()> {
        let read_only = self.config.read_only;
        let slot = rootfs::make(plan, &over.root, self.context(), self.walls.new_privileges)?;
        rootfs::furnish(plan, slot, read_only, self.context());
        if self.has_etc_files() {
            rootfs::etc_files(plan, slot, &self.etc_files(), read_only);
        }
        if let Some(image) = self.image_config() {
            rootfs::image_places(plan, slot, image.working_dir.as_ref(), &image.volumes, read_only)?;
        }
        rootfs::nodes(plan, slot, &self.devices.nodes, over.nodes)?;
        rootfs::user_mounts(plan, slot, &self.config.mounts, &over.sources, self.context())?;
        rootfs::pivot(plan, slot, read_only);
        Ok(())
    }

    fn shape(&self) -> rootfs::Shape<'_> {
        let namespaces = &self.config.namespaces;
        rootfs::Shape {
            context: self.context(),
            own_user: namespaces.user != Namespace::Host,
            has_tty: self.ids.has_tty(),
            // A joined one too: a process sees those it shares its PID namespace with, and no others.
            own_pid: namespaces.pid != Namespace::Host,
            own_net: namespaces.net == Namespace::New,
            own_ipc: namespaces.ipc == Namespace::New,
            host_ipc: namespaces.ipc == Namespace::Host,
            etc_files: self.has_etc_files(),
            size: self.upper_size(),
        }
    }

    fn context(&self) -> rootfs::Context<'_> {
        rootfs::Context(self.walls.labels.mounts.as_deref())
    }

    /// Whether the newborn opens by path, in its own mount namespace, what the caller has chosen.
    fn opens_by_path(&self) -> bool {
        let chosen = !self.binds.is_empty() || !self.devices.nodes.is_empty();
        let chosen = chosen || matches!(self.image, Source::Directory(_));
        chosen && !self.ids.can_map() || self.binds.len() > MOST_HANDED - 3
    }

    /// What the zygote hands over: the directories of the host, id-mapped where root's files are to belong to the container's
    /// root. Elsewhere the newborn opens them by their path.
    fn hand_over<'a>(&'a self, stem: &mut Plan<'a>) -> Result<HandedOver<'a>> {
        let mut aside = Plan::new();
        let mut handed = 0;
        let mut nodes = None;
        if self.ids.can_map() && !self.devices.nodes.is_empty() {
            let slot = Slot((RESULTS + handed) as u8);
            handed += 1;
            rootfs::make_nodes(&mut aside, &self.devices.nodes, slot, self.context());
            nodes = Some(slot);
        }
        let mut source = |stem: &mut Plan<'a>, path: &Path, fd: Option<&'a OwnedFd>, what: Mapped| -> Result<_> {
            if !self.ids.can_map() || handed == MOST_HANDED {
                // Links on the way to the store are the user's own business; from here on none is followed.
                let path = match std::fs::canonicalize(path) {
                    Err(_) if self.unmade.is_some() => path.to_path_buf(),
                    resolved => resolved.map_err(|e| Error::io("use", path.display(), &e))?,
                };
                return Ok(rootfs::Source::Path(path));
            }
            let fd = match fd {
                Some(fd) => Fd::Borrowed(fd.as_fd()),
                None => Fd::Owned(open_path(path)?),
            };
            let sent = stem.send(fd);
            let slot = Slot((RESULTS + handed) as u8);
            handed += 1;
            rootfs::idmap(&mut aside, path, sent, slot, what);
            Ok(rootfs::Source::Handed(slot, path.to_path_buf()))
        };
        let root = match &self.image {
            _ if !self.own_root() => Root::Host,
            Source::Host => Root::Host,
            Source::Directory(path) if self.config.directory == DirectoryUse::Direct => {
                Root::Direct(source(stem, path, None, Mapped::Bind)?)
            }
            Source::Directory(path) => Root::Overlay(Layers {
                base: source(stem, path, None, Mapped::Image)?,
                names: Vec::new(),
                upper: None,
                root: None,
            }),
            Source::Layers { layers, root, .. } => {
                let (base, names) = split_layers(layers);
                Root::Overlay(Layers {
                    base: source(stem, &base, None, Mapped::Image)?,
                    names,
                    upper: None,
                    root: *root,
                })
            }
        };
        let root = match (root, &self.upper) {
            (Root::Overlay(layers), Some(upper)) => Root::Overlay(Layers {
                upper: Some(source(stem, upper, self.unmade.as_ref(), Mapped::Image)?),
                ..layers
            }),
            (root, _) => root,
        };
        let sources = self
            .binds
            .iter()
            .map(|bind| Ok((source(stem, &bind.path, Some(&bind.fd), bind.mapped)?, bind.directory)))
            .collect::<Result<_>>()?;
        Ok(HandedOver { aside, handed, root, nodes, sources })
    }

    fn explain_namespaces(&self, stem: &mut Plan<'_>, flags: u64) {
        let (before, map) = match &self.ids {
            Ids::Host | Ids::Joined { .. } => ("", ""),
            Ids::Single { .. } => ("", " --map-root-user"),
            _ => ("nsenter --user --target $PID ", ""),
        };
        let flags = if before.is_empty() { flags } else { flags & !(libc::CLONE_NEWUSER as u64) };
        let options: Vec<_> =
            namespaces::KINDS.iter().filter(|kind| flags & kind.flag as u64 != 0).map(|kind| kind.option).collect();
        let fork = if options.contains(&"--pid") { " --fork" } else { "" };
        stem.step(
            "unshare",
            "the namespaces",
            "its own view of users, processes, mounts, network, hostname and IPC",
            format!("{before}unshare {}{map}{fork} --propagation slave bash", options.join(" ")),
        );
        self.ids.explain_map(stem);
    }
}

/// What the zygote hands over, and what is made of it.
struct HandedOver<'a> {
    /// The zygote's plan.
    aside: Plan<'a>,
    /// How many slots it hands over.
    handed: usize,
    root: Root,
    /// The slot of the device nodes, where they are copies.
    nodes: Option<Slot>,
    /// The bind mounts' sources, with whether each is a directory.
    sources: Vec<(rootfs::Source, bool)>,
}

/// How many directories can be handed over: they and two more descriptors go with one message, and need slots.
const MOST_HANDED: usize = wire::MOST_FDS / 2 - 3;

/// Layers are given lowest first, by absolute path, all in one directory of the store; an overlay wants them highest first.
fn split_layers(layers: &[PathBuf]) -> (PathBuf, Vec<PathBuf>) {
    let base =
        layers.first().and_then(|layer| layer.ancestors().find(|base| layers.iter().all(|l| l.starts_with(base))));
    let base = base.unwrap_or(Path::new("/")).to_path_buf();
    if layers.len() == 1 {
        return (base, Vec::new());
    }
    let names = layers.iter().rev().filter_map(|layer| layer.strip_prefix(&base).ok()).map(Path::to_path_buf).collect();
    (base, names)
}

/// The newborn takes the ids of the container's root, so that what it makes belongs to it, and can be looked into by nobody
/// inside.
fn become_root(stem: &mut Plan<'_>, ids: &Ids, own_pid: bool) {
    stem.step("become", "root", "of this user namespace only", "");
    if ids.are_new() {
        stem.call(libc::SYS_setgroups, [0.into(), 0.into()]).ok(libc::EPERM);
        stem.call(libc::SYS_setresgid, [0.into(), 0.into(), 0.into()]);
        stem.call(libc::SYS_setresuid, [0.into(), 0.into(), 0.into()]);
    }
    stem.call(libc::SYS_prctl, [libc::PR_SET_DUMPABLE.into(), 0.into()]);
    let name = stem.string(c"ctr-init");
    stem.call(libc::SYS_prctl, [libc::PR_SET_NAME.into(), name]);
    stem.call(libc::SYS_umask, [0.into()]);
    if !own_pid {
        stem.call(libc::SYS_prctl, [libc::PR_SET_CHILD_SUBREAPER.into(), 1.into()]);
    }
}

/// PID 1 keeps its own rights, which it needs to start programs as any user; but nothing it starts gets more than this.
fn limit_privileges(stem: &mut Plan<'_>, mask: u64, new_privileges: bool) -> Result<()> {
    stem.step(
        "drop capabilities from",
        "the bounding set",
        "docker's default set less NET_RAW, unless another was asked for, capabilities(7)",
        Shell::From(setpriv, mask),
    );
    for capability in capabilities::bounding_drops(mask)? {
        stem.call(libc::SYS_prctl, [libc::PR_CAPBSET_DROP.into(), capability.into()]);
    }
    if !new_privileges {
        stem.step(
            "set no_new_privs in",
            "PID 1",
            "no setuid program can raise anyone's rights",
            "setpriv --no-new-privs bash",
        );
        stem.call(libc::SYS_prctl, [libc::PR_SET_NO_NEW_PRIVS.into(), 1.into(), 0.into(), 0.into(), 0.into()]);
    }
    Ok(())
}

fn setpriv(kept: u64) -> String {
    let kept = capabilities::names(kept).join(",").to_lowercase().replace("cap_", "+");
    format!("setpriv --bounding-set -all,{kept} --inh-caps -all bash")
}
