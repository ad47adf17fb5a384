//! The setup and the rootfs: what PID 1 does before the host has acquired what is this container's alone.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use ctr_wire::{self as wire, RESULTS};
use nix::fcntl::OFlag;

use super::Blueprint;
use super::bind::open_path;
use crate::cgroup;
use crate::container::ids::Ids;
use crate::container::{clocks, namespaces};
use crate::image::Source;
use crate::plan::{CWD, Fd, Header, Plan, Prctl, Shell, Slot};
use crate::rootfs::{self, DiskOwners, EtcFiles, Layers, Mapped, Root};
use crate::security::{Profile, capabilities, labels, masks, rlimits, steps, sysctl};
use crate::{DirectoryUse, Error, Mount, Namespace, Result, Step};

/// The first half of a container's making: nothing in it lives longer than the child, so it can be under way while the host
/// still acquires the rest.
pub struct Setup<'a> {
    /// What the child does before it knows its image.
    pub plan: Plan<'a>,
    /// What the zygote does for it.
    pub parent: Plan<'a>,
    /// How many slots the zygote hands over.
    pub handed: usize,
    pub header: Header,
    /// A child of this shape can be made ahead of time: its setup needs no descriptor.
    pub poolable: bool,
    /// What it does as soon as it is handed its image: its root.
    pub root: Plan<'a>,
}

impl<'a> Setup<'a> {
    /// One that makes no container.
    pub fn bare(plan: Plan<'a>) -> Self {
        let header = Header::new(wire::SPAWN);
        Self { plan, parent: Plan::new(), handed: 0, header, poolable: false, root: Plan::new() }
    }
}

impl Blueprint {
    /// Both of them. On v2 the child is cloned into its cgroup, which has to be there then. `disks` are mounted; none are, where it is
    /// only explained.
    pub fn setup<'a>(&'a self, clone_into: Option<BorrowedFd<'a>>, disks: &'a [OwnedFd]) -> Result<Setup<'a>> {
        let mut spawn = Header::new(wire::SPAWN);
        let mut setup = Plan::with_room(128, 224, 4096);
        setup.reserve_sent(1); // The control socket.
        // A child from the pool has the mounts of the moment it was cloned; where it is to open by path what the caller
        // has chosen, it may find something else by now.
        let fresh = self.opens_by_path();
        let poolable = self.joined.is_empty() && clone_into.is_none() && !fresh;
        if fresh {
            spawn.flags |= wire::FRESH;
        }
        if let Some(cgroup) = clone_into {
            setup.send(Fd::Borrowed(cgroup));
            spawn.flags |= wire::INTO_CGROUP;
        }
        let joins = self.joined.send(&mut setup);
        let flags = self.new_flags();
        spawn.namespaces = flags;
        self.ids.put(&mut spawn, &mut setup, self.ranges.clone());
        if self.config.detached {
            spawn.flags |= wire::DETACHED;
        }
        self.joined.clone_in(&mut spawn, &mut setup, &joins);
        // Who is root there, and sees the host's processes, is not to look into it before it has closed itself. It could not set its
        // clocks then: timens_offsets is its own only while it is dumpable.
        if self.joined.has("user") && self.config.namespaces.time != Some(Namespace::New) {
            spawn.flags |= wire::CLOSED;
        }
        self.explain_namespaces(&mut setup, flags);
        if self.config.namespaces.time == Some(Namespace::New) {
            clocks::own(&mut setup, &self.config.time_offsets);
        }
        become_root(&mut setup, &self.ids, self.config.namespaces.pid == Namespace::New);
        self.joined.enter(&mut setup, &joins);
        if self.config.namespaces.net == Namespace::New {
            crate::network::loopback(&mut setup);
        }
        let files = self.etc_files();
        let mut open = [None; 2];
        if self.own_root() {
            open = rootfs::setup(&mut setup, &self.shape(files.as_ref()));
            self.stage_cgroups(&mut setup);
        }
        if self.config.namespaces.net == Namespace::New {
            crate::network::open_to_users(&mut setup, self.ids.ping_groups(), self.own_root());
        }
        if self.own_root() {
            sysctl::set(&mut setup, &self.walls.sysctls);
        }
        if !self.own_root() && self.config.namespaces.pid == Namespace::Host {
            setup.step(Step::OpenProc, "/proc", "", "");
            let (kept, path) = (setup.keep_in(wire::PROC), setup.string(c"/proc"));
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            setup.openat(CWD, path, flags).out(kept).ok(libc::ENOENT);
        }
        labels::set(&mut setup, &self.walls.labels, self.own_root());
        if self.own_root() && self.walls.masks {
            masks::cover(&mut setup, masks::places()?);
        }
        if self.walls.own_keyring {
            steps::own_keyring(&mut setup, self.walls.seccomp.as_ref().is_some_and(Profile::closes_keyrings));
        }
        rlimits::set(&mut setup, &self.walls.rlimits);
        limit_privileges(&mut setup, self.capabilities(), self.walls.new_privileges)?;

        let over = self.hand_over(&mut setup, disks)?;
        let mut root = Plan::with_room(32, 64, 2048);
        root.continue_from(&setup);
        if self.own_root() {
            self.make_root(&mut root, &over, files.as_ref(), open)?;
        }
        let HandedOver { parent, handed, .. } = over;
        Ok(Setup { plan: setup, parent, handed, header: spawn, poolable, root })
    }

    fn make_root(
        &self,
        plan: &mut Plan<'_>,
        over: &HandedOver<'_>,
        files: Option<&EtcFiles>,
        open: [Option<Slot>; 2],
    ) -> Result<()> {
        let read_only = self.config.read_only;
        let slot = rootfs::make(plan, &over.root, self.context(), self.walls.new_privileges)?;
        rootfs::furnish(plan, slot, read_only);
        if let Some(files) = files {
            rootfs::etc_files(plan, slot, files, open);
        }
        if let Some(image) = self.image_config() {
            rootfs::image_places(plan, slot, image.working_dir.as_ref(), &image.volumes, read_only)?;
        }
        rootfs::nodes(plan, slot, &self.devices.nodes, over.nodes)?;
        if let Some(upper) = &over.upper {
            plan.step(Step::MountScratch, "the changes", "they go to disk", "");
            rootfs::attach_changes(plan, upper)?;
        }
        let (early, late) = self.config.mounts.split_at(self.early);
        rootfs::user_mounts(plan, slot, early, &over.sources, self.upper.is_some(), self.context())?;
        rootfs::late_mounts(plan, slot, late, read_only)?;
        rootfs::pivot(plan, slot, read_only);
        Ok(())
    }

    fn shape<'s>(&'s self, files: Option<&'s EtcFiles>) -> rootfs::Shape<'s> {
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
            etc_files: files,
            size: self.upper_size(),
            inodes: self.upper_inodes(),
        }
    }

    /// Has the place ready at which the container's cgroup is to be seen.
    fn stage_cgroups(&self, setup: &mut Plan<'_>) {
        let namespaces = &self.config.namespaces;
        let inside = self.sees_cgroup();
        let shares_sysfs = namespaces.net != Namespace::New && namespaces.user != Namespace::Host;
        let covers = inside.is_some_and(|inside| !inside.is_one_tree());
        if shares_sysfs && !covers && namespaces.cgroup != Namespace::Host {
            cgroup::hide(setup);
        }
        if let Some(inside) = inside {
            inside.stage(setup);
        }
    }

    fn context(&self) -> rootfs::Context<'_> {
        rootfs::Context(self.walls.labels.mounts.as_deref())
    }

    /// Whether the child opens by path, in its own mount namespace, what the caller has chosen.
    fn opens_by_path(&self) -> bool {
        let chosen = !self.binds.is_empty() || !self.devices.nodes.is_empty();
        let chosen = chosen || matches!(self.image, Source::Directory(_));
        chosen && !self.ids.can_map() || self.binds.len() > MAX_HANDED - 3 - self.disks.len()
    }

    /// What the zygote hands over: the directories of the host, id-mapped where root's files are to belong to the container's
    /// root. Elsewhere the child opens them by their path.
    fn hand_over<'a>(&'a self, setup: &mut Plan<'a>, mounted: &'a [OwnedFd]) -> Result<HandedOver<'a>> {
        let mut parent = Plan::new();
        let mut handed = 0;
        let mut nodes = None;
        if self.ids.can_map() && !self.devices.nodes.is_empty() {
            let slot = Slot((RESULTS + handed) as u8);
            handed += 1;
            rootfs::make_nodes(&mut parent, &self.devices.nodes, slot, self.context());
            nodes = Some(slot);
        }
        let mut disks = Vec::with_capacity(self.disks.len());
        for (i, disk) in self.disks.iter().enumerate() {
            let sent = mounted.get(i).map_or(Slot(0), |fd| setup.send(Fd::Borrowed(fd.as_fd())));
            let slot = Slot((RESULTS + handed) as u8);
            handed += 1;
            let owners = DiskOwners::of(self.ids.can_map(), disk.read_only);
            let command = |place: &str, options: &str| disk.command(place, options);
            rootfs::hand_over_disk(&mut parent, &disk.path, [sent, slot], owners, command);
            disks.push((rootfs::Source::Handed(slot, disk.path.clone()), true));
        }
        let mut source = |setup: &mut Plan<'a>, path: &Path, fd: Option<&'a OwnedFd>, what: Mapped| -> Result<_> {
            if !self.ids.can_map() || handed == MAX_HANDED {
                // Links on the way to the store are the user's own business; from here on none is followed.
                let path = match std::fs::canonicalize(path) {
                    Err(_) if self.unmade.is_some() => path.to_path_buf(),
                    resolved => resolved.map_err(|e| Error::io(Step::UsePath, path.display(), &e))?,
                };
                return Ok(rootfs::Source::Path(path));
            }
            let fd = match fd {
                Some(fd) => Fd::Borrowed(fd.as_fd()),
                None => Fd::Owned(open_path(path)?),
            };
            let sent = setup.send(fd);
            let slot = Slot((RESULTS + handed) as u8);
            handed += 1;
            rootfs::idmap(&mut parent, path, sent, slot, what);
            Ok(rootfs::Source::Handed(slot, path.to_path_buf()))
        };
        let root = match &self.image {
            _ if !self.own_root() => Root::Host,
            Source::Host => Root::Host,
            Source::Directory(path) if self.config.directory == DirectoryUse::Direct => {
                Root::Direct(source(setup, path, None, Mapped::Bind)?)
            }
            Source::Directory(path) => Root::Overlay(Layers {
                base: source(setup, path, None, Mapped::Image)?,
                names: Vec::new(),
                upper: None,
                root: None,
            }),
            Source::Layers { layers, root, .. } => {
                let (base, names) = split_layers(layers);
                let what = if self.ids == Ids::Shared { Mapped::Shifted } else { Mapped::Image };
                Root::Overlay(Layers { base: source(setup, &base, None, what)?, names, upper: None, root: *root })
            }
        };
        let disk = self.upper.as_ref().map(|upper| source(setup, upper, self.unmade.as_ref(), Mapped::Image));
        let (root, upper) = match (root, disk.transpose()?) {
            (Root::Overlay(layers), upper) => (Root::Overlay(Layers { upper, ..layers }), None),
            root_and_upper => root_and_upper,
        };
        let (mut binds, mut disks) = (self.binds.iter(), disks.into_iter());
        let mut sources = Vec::new();
        for mount in &self.config.mounts[..self.early] {
            match mount {
                Mount::Bind(_) | Mount::Volume(_) | Mount::Scratch(_) => {
                    let Some(bind) = binds.next() else { continue };
                    let source = match bind.unmade && !self.ids.can_map() {
                        true => rootfs::Source::Path(bind.path.clone()),
                        false => source(setup, &bind.path, Some(&bind.fd), bind.mapped)?,
                    };
                    sources.push(rootfs::Shared { source, directory: bind.directory, owner: bind.owner });
                }
                Mount::Disk(_) => sources.extend(disks.next().map(|(source, directory)| rootfs::Shared {
                    source,
                    directory,
                    owner: (0, 0, 0),
                })),
                Mount::Tmpfs(_) | Mount::Image(_) => {}
            }
        }
        Ok(HandedOver { parent, handed, root, upper, nodes, sources })
    }

    fn explain_namespaces(&self, setup: &mut Plan<'_>, flags: u64) {
        let (before, map) = match &self.ids {
            Ids::Host | Ids::Joined { .. } => ("", ""),
            Ids::Single { .. } => ("", " --map-root-user"),
            _ => ("nsenter --user --target $PID ", ""),
        };
        let flags = if before.is_empty() { flags } else { flags & !(libc::CLONE_NEWUSER as u64) };
        let options: Vec<_> =
            namespaces::KINDS.iter().filter(|kind| flags & kind.flag as u64 != 0).map(|kind| kind.option).collect();
        let fork = if options.contains(&"--pid") { " --fork" } else { "" };
        setup.step(
            Step::Unshare,
            "the namespaces",
            "its own view of users, processes, mounts, network, hostname and IPC",
            format!("{before}unshare {}{map}{fork} --propagation slave bash", options.join(" ")),
        );
        self.ids.explain_map(setup);
    }
}

/// What the zygote hands over, and what is made of it.
struct HandedOver<'a> {
    /// The zygote's plan.
    parent: Plan<'a>,
    /// How many slots it hands over.
    handed: usize,
    root: Root,
    /// The directory of the changes on disk, where those of the root don't go there.
    upper: Option<rootfs::Source>,
    /// The slot of the device nodes, where they are copies.
    nodes: Option<Slot>,
    /// The sources of binds, disks and scratch mounts.
    sources: Vec<rootfs::Shared>,
}

/// How many directories can be handed over: they and two more descriptors go with one message, and need slots.
const MAX_HANDED: usize = wire::MAX_FDS / 2 - 3;

/// Layers are given lowest first, by absolute path, all in one directory of the store; an overlay wants them highest first.
pub fn split_layers(layers: &[PathBuf]) -> (PathBuf, Vec<PathBuf>) {
    let base =
        layers.first().and_then(|layer| layer.ancestors().find(|base| layers.iter().all(|l| l.starts_with(base))));
    let base = base.unwrap_or(Path::new("/")).to_path_buf();
    if layers.len() == 1 {
        return (base, Vec::new());
    }
    let names = layers.iter().rev().filter_map(|layer| layer.strip_prefix(&base).ok()).map(Path::to_path_buf).collect();
    (base, names)
}

/// The child takes the ids of the container's root, so that what it makes belongs to it, and can be looked into by nobody
/// inside.
fn become_root(setup: &mut Plan<'_>, ids: &Ids, own_pid: bool) {
    setup.step(Step::BecomeRoot, "root", "of this user namespace only", "");
    if ids.are_new() {
        setup.setgroups(&[]).ok(libc::EPERM);
        setup.setresgid(0);
        setup.setresuid(0);
    }
    setup.prctl(Prctl::Dumpable(false));
    let name = setup.string(c"ctr-init");
    setup.prctl(Prctl::Name(name));
    setup.umask(0);
    if !own_pid {
        setup.prctl(Prctl::ChildSubreaper);
    }
}

/// PID 1 keeps its own rights, which it needs to start programs as any user; but nothing it starts gets more than this.
fn limit_privileges(setup: &mut Plan<'_>, mask: u64, new_privileges: bool) -> Result<()> {
    setup.step(
        Step::DropCapabilities,
        "the bounding set",
        "docker's default set less NET_RAW, unless another was asked for, capabilities(7)",
        Shell::From(setpriv, mask),
    );
    for capability in capabilities::bounding_drops(mask)? {
        setup.prctl(Prctl::DropBounding(capability));
    }
    if !new_privileges {
        setup.step(
            Step::SetNoNewPrivs,
            "PID 1",
            "no setuid program can raise anyone's rights",
            "setpriv --no-new-privs bash",
        );
        setup.prctl(Prctl::NoNewPrivs);
    }
    Ok(())
}

fn setpriv(kept: u64) -> String {
    let kept = capabilities::names(kept).join(",").to_lowercase().replace("cap_", "+");
    format!("setpriv --bounding-set -all,{kept} --inh-caps -all bash")
}
