//! From what the caller wants to the plan: every decision about a container, before anything is done. `create` carries it out,
//! `explain` prints it.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::clocks;
use super::devices::Devices;
use super::ids::Ids;
use super::namespaces::{self, Joined};
use super::state::{self, StateDir, env_text};
use super::walls::{self, Asked, Subject};
use crate::cgroup::{Cgroup, Layout};
use crate::image::{ImageConfig, Report, Source, Store};
use crate::init::wire::{self, RESULTS};
use crate::plan::{Fd, Header, Plan, Shell, Slot, c_string};
use crate::rootfs::{self, Layers, Root};
use crate::security::{Walls, capabilities, labels, landlock, masks, rlimits, steps, sysctl};
use crate::zygote::Zygote;
use crate::{Config, DirectoryUse, Error, ErrorCode, Mount, Namespace, Result, Upper};

/// All that is decided.
pub struct Blueprint {
    pub name: String,
    pub image: Source,
    pub config: Config,
    pub walls: Walls,
    /// Landlock's second wall, where it stands.
    pub landlock: Option<landlock::Ruleset>,
    /// What was asked for, before the preset has added to it.
    pub asked: Asked,
    pub ids: Ids,
    pub joined: Joined,
    pub cgroup: Option<Layout>,
    /// The directory of the changes on disk.
    pub upper: Option<PathBuf>,
    /// What an explanation has in the place of that directory, which nobody makes for it.
    pub unmade: Option<OwnedFd>,
    /// The store that the image is in.
    pub store: PathBuf,
    /// The bind mounts' sources, opened.
    binds: Vec<Bind>,
    pub devices: Devices,
    /// The path of the file whose bytes are the id ranges' locks.
    ranges: CString,
}

struct Bind {
    path: PathBuf,
    fd: OwnedFd,
    directory: bool,
}

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

/// What PID 1 does to finish.
pub struct Rest<'a> {
    pub plan: Plan<'a>,
    pub header: Header,
}

impl Blueprint {
    /// Decides everything. Looks at the machine, makes nothing but the image in the store.
    pub fn new(image: &OsStr, config: &Config, report: Report<'_>, state: &StateDir, zygote: &Zygote) -> Result<Self> {
        let name = match &config.name {
            Some(name) => {
                super::state::check_name(name)?;
                name.clone()
            }
            None => super::state::random_name(),
        };
        for (key, value) in &config.env {
            check_env(key, value)?;
        }
        let (joined, shared) = Joined::open(&config.namespaces, state)?;
        let shared = shared.map(|namespaces| Config { namespaces, ..config.clone() });
        let config = shared.as_ref().unwrap_or(config);
        let asked = Asked::of(config);
        let (walls, config) = Walls::of(config)?;
        let store = Store::open(config.store_dir.as_deref())?;
        let image = store.resolve_with(image, report)?;
        let devices = Devices::of(&config, &walls, zygote.maps_all_ids())?;
        let (memory, pids) = (config.memory, config.pids);
        let limits = crate::cgroup::Limits { memory, pids, devices: devices.list.clone() };
        // Names are one's own in one state directory only; the cgroup tree is everyone's.
        let cgroup = Cgroup::plan(&format!("{name}.{}", &super::state::random_name()[..4]), &limits, config.cgroup)?;
        let on_disk = config.upper == Upper::Disk || !crate::sys::tmpfs_has_user_xattrs();
        let upper = (on_disk && uses_overlay(&image, &config)).then(|| store.path().join("upper").join(&name));
        let binds = config.mounts.iter().filter_map(Bind::open).collect::<Result<_>>()?;
        let ranges = c_string("use the state directory", state.path().join("ids").as_os_str().as_bytes())?;
        let blueprint = Self {
            name,
            image,
            ids: Ids::of(zygote, state, &config.namespaces.user),
            config,
            landlock: walls.landlock(),
            walls,
            asked,
            joined,
            cgroup,
            upper,
            unmade: None,
            store: store.path().to_path_buf(),
            binds,
            devices,
            ranges,
        };
        blueprint.check()?;
        Ok(blueprint)
    }

    /// Refuses what can't work, in words.
    fn check(&self) -> Result<()> {
        let namespaces = &self.config.namespaces;
        if namespaces.mount != Namespace::New {
            if !self.config.mounts.is_empty() || !self.devices.nodes.is_empty() {
                return Err(Error::invalid("mount into", &self.name, "the mount namespace is not the container's own"));
            }
            if !matches!(self.image, Source::Host) {
                return Err(Error::invalid(
                    "use the image with",
                    "a mount namespace that is not new",
                    "an image needs a mount namespace of its own; only \"host\" does without",
                ));
            }
        }
        if let Some(long) = self.config.hostname.as_deref().filter(|name| name.len() > MOST_OF_HOSTNAME) {
            return Err(Error::invalid("set the hostname", long, "it is longer than 64 bytes"));
        }
        if self.config.hostname.is_some() && namespaces.uts != Namespace::New {
            return Err(Error::invalid(
                "set the hostname of",
                &self.name,
                "the UTS namespace is not the container's own",
            ));
        }
        clocks::check(&self.config)?;
        if namespaces.user == Namespace::Host && !nix::unistd::geteuid().is_root() && self.new_flags() != 0 {
            return Err(Error::new(
                ErrorCode::Unsupported,
                "make namespaces without",
                "a user namespace",
                libc::EPERM,
                "only root may",
            )
            .mend("leave the user namespace new, or share every namespace with the host"));
        }
        Ok(())
    }

    /// The CLONE_NEW* flags of the namespaces that are new from birth. Those of cgroups and time are made later.
    pub fn new_flags(&self) -> u64 {
        let all = &self.config.namespaces;
        namespaces::KINDS
            .iter()
            .filter(|kind| !kind.late && kind.of(all) == Some(&Namespace::New))
            .fold(0, |flags, kind| flags | kind.flag as u64)
    }

    /// Whether what the host acquires has to be there before the first half: a cgroup to be cloned into, a directory to be
    /// handed over.
    pub fn acquires_first(&self) -> bool {
        self.upper.is_some() || self.cgroup.as_ref().is_some_and(Layout::is_born_in)
    }

    /// Whether it has a root, and so a /dev, of its own.
    pub fn own_root(&self) -> bool {
        self.config.namespaces.mount == Namespace::New
    }

    /// The environment of programs, weakest first: ours, the image's, the configuration's.
    pub fn env(&self) -> Vec<Vec<u8>> {
        let mut env: Vec<Vec<u8>> =
            vec![b"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_vec(), b"HOME=/root".to_vec()];
        let image = self.image_config().map(|config| config.env.as_slice()).unwrap_or_default();
        let own = self.config.env.iter().map(|(name, value)| env_text(name, value));
        for entry in image.iter().map(|entry| entry.as_bytes().to_vec()).chain(own) {
            super::exec::set_env(&mut env, entry);
        }
        env
    }

    /// What the image says about how it is run.
    pub fn image_config(&self) -> Option<&ImageConfig> {
        match &self.image {
            Source::Layers { config, .. } => Some(config),
            _ => None,
        }
    }

    /// Where the root comes from, for the record.
    pub fn root(&self) -> state::Root {
        match &self.image {
            _ if !self.own_root() => state::Root::Host,
            Source::Host => state::Root::Host,
            Source::Directory(_) if self.config.directory == DirectoryUse::Direct => state::Root::Direct,
            Source::Directory(path) => state::Root::Directory(path.clone()),
            Source::Layers { digest, .. } => state::Root::Image(digest.clone()),
        }
    }

    /// Capabilities that programs may have.
    pub fn capabilities(&self) -> u64 {
        self.walls.capabilities
    }

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
            sysctl::set(&mut stem, &self.walls.sysctls);
        }
        labels::set(&mut stem, &self.walls.labels, self.own_root());
        if self.own_root() && self.walls.masks {
            masks::cover(&mut stem, masks::places()?);
        }
        if self.walls.own_keyring {
            steps::own_keyring(&mut stem);
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
        let slot = rootfs::make(plan, &over.root, self.context())?;
        rootfs::furnish(plan, slot, read_only, self.context());
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
        let mut source = |stem: &mut Plan<'a>, path: &Path, fd: Option<&'a OwnedFd>, recursive: bool| -> Result<_> {
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
            rootfs::idmap(&mut aside, path, sent, slot, recursive);
            Ok(rootfs::Source::Handed(slot, path.to_path_buf()))
        };
        let root = match &self.image {
            _ if !self.own_root() => Root::Host,
            Source::Host => Root::Host,
            Source::Directory(path) if self.config.directory == DirectoryUse::Direct => {
                Root::Direct(source(stem, path, None, true)?)
            }
            Source::Directory(path) => {
                Root::Overlay(Layers { base: source(stem, path, None, false)?, names: Vec::new(), upper: None })
            }
            Source::Layers { layers, .. } => {
                let (base, names) = split_layers(layers);
                Root::Overlay(Layers { base: source(stem, &base, None, false)?, names, upper: None })
            }
        };
        let root = match (root, &self.upper) {
            (Root::Overlay(layers), Some(upper)) => {
                Root::Overlay(Layers { upper: Some(source(stem, upper, self.unmade.as_ref(), false)?), ..layers })
            }
            (root, _) => root,
        };
        let sources = self
            .binds
            .iter()
            .map(|bind| Ok((source(stem, &bind.path, Some(&bind.fd), true)?, bind.directory)))
            .collect::<Result<_>>()?;
        Ok(HandedOver { aside, handed, root, nodes, sources })
    }

    /// The second half, for a container that was begun with `stem`.
    pub fn rest<'a>(&'a self, stem: &Stem<'a>, acquired: &'a Acquired) -> Result<Rest<'a>> {
        let mut plan = Plan::new();
        plan.continue_from(&stem.root);
        let rest = &mut plan;
        let mut run = Header::new(wire::RUN);
        let image_lock = match &self.image {
            Source::Layers { lock, .. } => Some(lock),
            _ => None,
        };
        let locks: Vec<_> =
            acquired.record.iter().chain(image_lock).map(|lock| rest.send(Fd::Borrowed(lock.as_fd()))).collect();
        let listener = acquired.listener.as_ref().map(|listener| rest.send(Fd::Borrowed(listener.as_fd())));
        let cgroups: Vec<_> = acquired.join.iter().map(|fd| rest.send(Fd::Borrowed(fd.as_fd()))).collect();
        rest.step("join cgroup", "", "", "");
        for cgroup in cgroups {
            let zero = rest.bytes("0");
            rest.call(libc::SYS_write, [cgroup.into(), zero, 1.into()]);
        }
        if self.config.namespaces.cgroup == Namespace::New {
            rest.step("unshare", "cgroup", "its own cgroup is the root of the tree it sees", "unshare --cgroup bash");
            rest.call(libc::SYS_unshare, [libc::CLONE_NEWCGROUP.into()]);
        }
        if self.config.namespaces.uts == Namespace::New {
            let hostname = self.config.hostname.as_deref().unwrap_or(&self.name);
            let name = rest.bytes(c_string("set the hostname", hostname)?.as_bytes());
            rest.step("set the hostname", hostname.to_string(), "a name of its own", "hostname {}");
            rest.call(libc::SYS_sethostname, [name, hostname.len().into()]);
        }
        rest.step("settle", "", "files are made with the usual permissions", "umask 022");
        rest.call(libc::SYS_umask, [0o022.into()]);
        if !self.config.detached {
            rest.step("die with the zygote", "", "the container ends when the process that made it ends", "");
            rest.call(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG.into(), libc::SIGKILL.into()]);
        }
        rest.step("keep the locks of", "its record and its image", "they show that this container lives", "");
        for lock in locks {
            let kept = rest.kept_slot();
            rest.call(libc::SYS_fcntl, [lock.into(), libc::F_DUPFD_CLOEXEC.into(), 0.into()]).out(kept);
        }
        if let Some(listener) = listener {
            rest.step("listen on", "the control socket", "other processes of this user may join", "");
            rest.call(libc::SYS_listen, [listener.into(), 64.into()]);
            run.listener = listener.0;
        }
        let title = format!("ctr-init: {}", self.name);
        let mut padded = title.into_bytes();
        padded.resize(crate::zygote::TITLE, 0);
        run.title = Some((rest.data(&padded, 1), padded.len()));
        // The last walls stand behind all that can go wrong. Once they have stood in this process, the caller goes on while PID 1
        // puts them up: it hears nobody before.
        let walls = rest.mark();
        put_up_last(rest, &self.walls, self.landlock.as_ref())?;
        run.before = walls.calls;
        run.walls = rest.fingerprint(&walls);
        Ok(Rest { plan, header: run })
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

    /// Its walls, as they are told of.
    pub fn told_walls(&self) -> Result<Vec<walls::Wall>> {
        let mounts = self.config.mounts.iter().map(|mount| mount.target().display().to_string());
        walls::walls(&Subject {
            asked: &self.asked,
            foreign: false,
            landlock: self.landlock.is_some(),
            ids: Some(&self.ids),
            cgroup: self.cgroup.is_some(),
            listed: &self.devices.listed,
            limits: [self.config.memory, self.config.pids],
            binds: mounts.collect(),
            facts: None,
        })
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

/// __NEW_UTS_LEN of linux/utsname.h.
const MOST_OF_HOSTNAME: usize = 64;

/// How many directories can be handed over: they and two more descriptors go with one message, and need slots.
const MOST_HANDED: usize = wire::MOST_FDS / 2 - 3;

/// What the host acquires for a container and hands to it.
#[derive(Default)]
pub struct Acquired {
    pub record: Option<OwnedFd>,
    pub listener: Option<OwnedFd>,
    /// v1: `tasks` of each cgroup.
    pub join: Vec<OwnedFd>,
}

impl Bind {
    /// Opens the source of a bind mount; `None` for other mounts.
    fn open(mount: &Mount) -> Option<Result<Self>> {
        let Mount::Bind { source, .. } = mount else { return None };
        Some(Self::open_source(source))
    }

    fn open_source(source: &Path) -> Result<Self> {
        let fail = |e: std::io::Error| match Error::io("bind", source.display(), &e) {
            error if e.kind() == std::io::ErrorKind::NotFound => error.mend("what is bound has to exist on the host"),
            error => error,
        };
        // The path without symlinks: the newborn opens it once more, and follows none.
        let path = std::fs::canonicalize(source).map_err(fail)?;
        let fd = open_path(&path)?;
        let stat = nix::sys::stat::fstat(&fd).map_err(|errno| Error::system("bind", path.display(), errno as i32))?;
        Ok(Self { path, fd, directory: stat.st_mode & libc::S_IFMT == libc::S_IFDIR })
    }
}

pub fn open_path(path: &Path) -> Result<OwnedFd> {
    let flags = nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NOFOLLOW;
    nix::fcntl::open(path, flags, nix::sys::stat::Mode::empty())
        .map_err(|errno| Error::system("open", path.display(), errno as i32))
}

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

fn uses_overlay(image: &Source, config: &Config) -> bool {
    match image {
        Source::Host => false,
        Source::Directory(_) => config.directory == DirectoryUse::Lower,
        Source::Layers { .. } => true,
    }
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
        "docker's default set at most, capabilities(7)",
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

/// The walls behind which nothing more can be put up.
pub fn put_up_last(rest: &mut Plan<'_>, walls: &Walls, landlock: Option<&landlock::Ruleset>) -> Result<()> {
    if let Some(ruleset) = landlock {
        landlock::restrict(rest, ruleset);
    }
    if let Some(profile) = &walls.seccomp {
        steps::seccomp(rest, profile, walls.capabilities)?;
    }
    Ok(())
}

fn setpriv(kept: u64) -> String {
    let kept = capabilities::names(kept).join(",").to_lowercase().replace("cap_", "+");
    format!("setpriv --bounding-set -all,{kept} --inh-caps -all bash")
}

pub fn check_env(name: &OsStr, value: &OsStr) -> Result<()> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.contains(&b'=') || bytes.contains(&0) {
        return Err(Error::invalid(
            "set the environment variable",
            name.display(),
            "a name is not empty and has no = or NUL",
        ));
    }
    c_string("set the environment variable", value.as_bytes()).map(drop)
}
