//! From what the caller wants to the plan: every decision about a container, before anything is done. `create` carries it out,
//! `explain` prints it. The plan has three parts: [`setup`] makes the setup and the
//! rootfs, [`finish`] the finish.

mod bind;
mod devices;
mod finish;
mod joined;
mod names;
mod setup;
mod stand_in;

pub use bind::{Bind, open_path};
pub use finish::{Acquired, Finish};
pub use setup::{Setup, split_layers};

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::clocks;
use super::disks;
use super::env::{check_env, env_text, name_of, set_env};
use super::ids::Ids;
use super::namespaces;
use super::network as named;
use super::state::{self, StateDir};
use super::volumes;
use super::walls::{self, Subject};
use crate::cgroup::{Caller, Cgroup, Inside, Layout, Planned};
use crate::config::late;
use crate::disk;
use crate::image::{ImageConfig, Progress, Report, Source, Store};
use crate::network::{self, Net};
use crate::plan::{Slot, c_string};
use crate::rootfs::{Absent, ETC_FILES, EtcFiles, place_of, place_of_changes};
use crate::security::{Walls, landlock};
use crate::zygote::Zygote;
use crate::{Config, DirectoryUse, Error, ErrorCode, Mount, Namespace, Result, Step, Upper, hints};
use devices::Devices;
use joined::Joined;
use names::Names;

/// All that is decided.
pub struct Blueprint {
    pub name: String,
    pub image: Source,
    pub config: Config,
    pub walls: Walls,
    /// Landlock's second wall, where it stands.
    pub landlock: Option<landlock::Ruleset>,
    /// What was asked for, before the preset has added to it.
    pub asked: Config,
    pub ids: Ids,
    pub joined: Joined,
    pub names: Names,
    pub cgroup: Option<Layout>,
    /// Limits that were asked for and can't be had, in words.
    pub dropped: Vec<String>,
    /// The directory of the changes on disk.
    pub upper: Option<PathBuf>,
    /// What an explanation has in the place of that directory, which nobody makes for it.
    pub unmade: Option<OwnedFd>,
    /// The store that the image is in.
    pub store: PathBuf,
    /// How many of its mounts are made with it; the others follow when it is there.
    pub early: usize,
    /// The bind mounts' sources among them, opened.
    pub binds: Vec<Bind>,
    /// The disks, opened.
    pub disks: Vec<disk::Source>,
    pub devices: Devices,
    /// The path of the file whose bytes are the id ranges' locks.
    ranges: CString,
}

impl Blueprint {
    /// Decides everything. Looks at the machine, makes nothing but the image in the store and, where it `makes` these, volumes.
    pub fn new(
        image: &OsStr,
        config: &Config,
        report: Report<'_>,
        state: &StateDir,
        zygote: &Zygote,
        makes: bool,
    ) -> Result<Self> {
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
        let mut asked = config.clone();
        if let Some(network) = &config.network {
            if config.namespaces.net != Namespace::New {
                let why = "network and the namespace net are one choice, they may not both be used";
                return Err(Error::invalid(Step::ChooseNetworkOf, &name, why));
            }
            asked.namespaces.net = network.namespace();
        }
        config.mounts.iter().try_for_each(Mount::check)?;
        let names = Names::of(&name, &asked, state);
        let (joined, shared) = Joined::open(&asked.namespaces, state)?;
        if let Some(namespaces) = shared {
            asked.namespaces = namespaces;
        }
        named::check(&asked, state, &name)?;
        let (mut walls, mut config) = Walls::of(&asked)?;
        if let Some(network) = named::chosen(&config)
            && config.namespaces.mount == Namespace::New
            && config.etc_files.unwrap_or(true)
        {
            // First, so that what the caller mounts there covers it.
            let names = crate::Bind::new(state.network_hosts(network), ETC_FILES[0]).with(|it| it.read_only = true);
            config.mounts.insert(0, Mount::Bind(names));
        }
        let store = Store::open(config.store_dir.as_deref())?;
        let mut last = Progress::default();
        let image = store.resolved(image, &mut |progress| {
            last = progress;
            report(progress)
        })?;
        let parent = cgroup_parent(&config);
        let insists = config.cgroup_parent.is_some();
        let caller = Caller { cgroups: zygote.cgroups(), parent: parent.as_deref(), insists };
        let devices = Devices::of(&config, &walls, zygote.maps_all_ids(), caller)?;
        let limits = crate::cgroup::Limits::new(config.limits(), config.list_limits(), devices.list.clone())?;
        // Names are one's own in one state directory only; the cgroup tree is everyone's, and a store has containers of several.
        let called = format!("{name}.{}", &super::state::random_name()[..4]);
        let planned = Cgroup::plan(&called, &limits, config.cgroup, caller);
        let Planned { layout: cgroup, mut dropped } =
            planned.map_err(|error| limits_of_preset(error, &asked, &config))?;
        if !dropped.is_empty() {
            stand_in::stand_in(&mut asked, &mut config, &mut walls, &mut dropped);
        }
        let on_disk = config.upper == Upper::Disk || !crate::sys::tmpfs_has_user_xattrs();
        let has_scratch = config.mounts.iter().any(|mount| matches!(mount, Mount::Scratch(_)));
        let has_upper = uses_overlay(&image, &config) || has_scratch;
        let upper = (on_disk && has_upper).then(|| store.path().join("upper").join(&called));
        let mut ids = Ids::of(zygote, state, &config.namespaces.user);
        config.mounts.iter().try_for_each(Mount::check)?;
        let trees = volumes::trees(&image);
        let may_be_shifted = may_be_shifted(&image, &ids, upper.is_some());
        let has_volumes = config.mounts.iter().any(|mount| mount.volume().is_some());
        let with_volumes = has_volumes && ids == Ids::Range && volumes::are_shifted(&store, &config.mounts)?;
        if with_volumes {
            store.learn_without_map();
        }
        let image = if may_be_shifted && store.is_without_map() {
            ids = Ids::Shared;
            store.shifted(image, &mut |_| report(last))?
        } else {
            image
        };
        let early = config.mounts.len() - late(&config.mounts).len();
        let disks = config.mounts[..early].iter().filter_map(disks::open).collect::<Result<Vec<_>>>()?;
        if disks.len() > MAX_DISKS {
            let why = format!("a container is made with {MAX_DISKS} disks at most");
            return Err(Error::invalid(Step::MountInto, &name, why).with_hint("mount the others when it runs"));
        }
        if with_volumes && !matches!(image, Source::Layers { .. }) {
            ids = Ids::Shared;
        }
        let shifted = ids == Ids::Shared;
        let open = |mount: &Mount| match mount.volume() {
            None => Bind::open(mount),
            Some(volume) if makes => {
                let begun = volumes::begin(&store, state, volume, &trees, shifted, &mut |_| report(last));
                Some(begun.and_then(|begun| Bind::of_volume(begun, shifted)))
            }
            Some(volume) => Some(Bind::unmade(store.volume_path(&volume.name))),
        };
        let binds = config.mounts[..early].iter().filter_map(open).collect::<Result<_>>()?;
        let ranges = c_string(Step::UseStateDirectory, state.path().join("ids").as_os_str().as_bytes())?;
        let blueprint = Self {
            name,
            image,
            ids,
            config,
            landlock: walls.landlock(),
            walls,
            asked,
            joined,
            names,
            cgroup,
            dropped,
            upper,
            unmade: None,
            store: store.path().to_path_buf(),
            early,
            binds,
            disks,
            devices,
            ranges,
        };
        blueprint.check()?;
        Ok(blueprint)
    }

    /// Its image can't be id-mapped, as it has turned out: true where it goes without from now on.
    pub fn goes_without_map(&self) -> Result<bool> {
        if !may_be_shifted(&self.image, &self.ids, self.upper.is_some()) {
            return Ok(false);
        }
        Store::open(Some(&self.store))?.learn_without_map();
        Ok(true)
    }

    /// What is other than was asked for, or than one may think, in words.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.dropped.clone();
        if self.ids == Ids::Shared {
            let store = self.store.display();
            warnings.push(format!(
                "the store {store} lies on a file system that can't be id-mapped, so this container has a copy of the image, and the \
                 same ids as all containers of such stores: set CTR_STORE_DIR to a place on ext4, xfs, btrfs or a tmpfs (Linux 6.3 or \
                 later)"
            ));
        }
        if let Some(text) = self.image_config().and_then(ImageConfig::unknown_stop_signal) {
            warnings.push(format!("the image's StopSignal {text} is no signal that there is: stop sends SIGTERM"));
        }
        warnings
    }

    /// Refuses what can't work, in words.
    fn check(&self) -> Result<()> {
        let namespaces = &self.config.namespaces;
        if namespaces.mount != Namespace::New {
            if !self.config.mounts.is_empty() || !self.devices.nodes.is_empty() {
                return Err(Error::invalid(
                    Step::MountInto,
                    &self.name,
                    "the mount namespace is not the container's own",
                ));
            }
            if !matches!(self.image, Source::Host) {
                return Err(Error::invalid(
                    Step::UseImageWithout,
                    "a mount namespace that is not new",
                    "an image needs a mount namespace of its own; only \"host\" does without",
                ));
            }
        }
        for (step, refused, name) in [
            (Step::SetHostname, Step::SetHostnameOf, &self.config.hostname),
            (Step::SetDomainName, Step::SetDomainNameOf, &self.config.domainname),
        ] {
            let Some(name) = name else { continue };
            if name.len() > MAX_HOSTNAME {
                return Err(Error::invalid(step, name, "it is longer than 64 bytes"));
            }
            if namespaces.uts != Namespace::New {
                let why = "the UTS namespace is not the container's own";
                return Err(Error::invalid(refused, &self.name, why));
            }
        }
        clocks::check(&self.config)?;
        let own = |namespace: &Namespace| *namespace == Namespace::New;
        for (step, limit, can, needs) in [
            (Step::LimitLifetime, self.config.lifetime, own(&namespaces.pid), "a PID namespace"),
            (
                Step::LimitCpuTime,
                self.config.cpu_time,
                own(&namespaces.pid) && own(&namespaces.mount),
                "PID and mount namespaces",
            ),
        ] {
            if limit.is_some_and(|limit| limit.is_zero()) {
                return Err(Error::invalid(step, &self.name, "it would end at once: 0 is no time"));
            }
            if limit.is_some() && !can {
                return Err(Error::invalid(step, &self.name, format!("that takes {needs} of its own")));
            }
        }
        let in_memory = self.upper.is_none() || !uses_overlay(&self.image, &self.config);
        if (self.config.upper_size.is_some() || self.config.upper_inodes.is_some()) && !in_memory {
            let old = "before Linux 6.6 they are on disk always";
            let why = if self.config.upper == Upper::Disk { "they go to disk" } else { old };
            return Err(Error::invalid(Step::LimitSizeOfChanges, &self.name, why)
                .with_hint("only those in memory have a size; a quota of the disk's file system bounds the others"));
        }
        if let Some(size) = self.config.upper_size.filter(|size| *size < LEAST_OF_UPPER) {
            let why = format!("{size} bytes are too few: the smallest is {LEAST_OF_UPPER} bytes (1 MiB)");
            return Err(Error::invalid(Step::LimitSizeOfChanges, &self.name, why)
                .with_hint("sizes are in bytes: 10 << 20 is 10 MiB"));
        }
        if let Some(count) = self.config.upper_inodes.filter(|count| *count < LEAST_INODES) {
            let why = format!("{count} are too few: the smallest number is {LEAST_INODES}");
            return Err(Error::invalid(Step::LimitInodesOfChanges, &self.name, why)
                .with_hint("directories and devices of the container's own are among them"));
        }
        if self.config.mounts.iter().filter(|mount| matches!(mount, Mount::Scratch(_))).count() > MAX_SCRATCHES {
            let why = format!("a container has {MAX_SCRATCHES} scratch mounts at most");
            return Err(Error::invalid(Step::MountScratch, &self.name, why));
        }
        if namespaces.user == Namespace::Host && !nix::unistd::geteuid().is_root() && self.new_flags() != 0 {
            return Err(Error::new(
                ErrorCode::Unsupported,
                Step::MakeNamespacesWithout,
                "a user namespace",
                libc::EPERM,
                "only root may",
            )
            .with_hint("leave the user namespace new, or share every namespace with the host"));
        }
        Ok(())
    }

    /// The CLONE_NEW* flags of the namespaces that are made by clone(2). Those of cgroups and time are made later.
    pub fn new_flags(&self) -> u64 {
        let all = &self.config.namespaces;
        namespaces::KINDS
            .iter()
            .filter(|kind| !kind.late && kind.of(all) == Some(&Namespace::New))
            .fold(0, |flags, kind| flags | kind.flag as u64)
    }

    /// Whether what the host acquires has to be there before the setup: a cgroup to be cloned into, a directory or a disk to be
    /// handed over.
    pub fn acquires_first(&self) -> bool {
        self.upper.is_some() || !self.disks.is_empty() || self.cgroup.as_ref().is_some_and(Layout::clones_in)
    }

    /// Whether it has a root, and so a /dev, of its own.
    pub fn own_root(&self) -> bool {
        self.config.namespaces.mount == Namespace::New
    }

    /// What it sees of its cgroup, if anything: it takes a mount namespace to mount that in, and a cgroup namespace for its root.
    fn sees_cgroup(&self) -> Option<&Arc<Inside>> {
        let own = self.own_root() && self.config.namespaces.cgroup == Namespace::New;
        self.cgroup.as_ref().filter(|_| own).map(Layout::inside)
    }

    /// The environment of programs, weakest first: ours, the image's, the configuration's.
    pub fn env(&self) -> Vec<Vec<u8>> {
        let mut env: Vec<Vec<u8>> =
            vec![b"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_vec(), b"HOME=/root".to_vec()];
        if let Some(hostname) = &self.names.hostname {
            env.push([b"HOSTNAME=", hostname.as_bytes()].concat());
        }
        let image = self.image_config().map(|config| config.env.as_slice()).unwrap_or_default();
        let own = self.config.env.iter().map(|(name, value)| env_text(name, value));
        // By a table, where there are more than a few: an image may have any number.
        let mut places = (image.len() > 50).then(HashMap::new);
        if let Some(places) = &mut places {
            places.extend(env.iter().enumerate().map(|(at, entry)| (name_of(entry).to_vec(), at)));
        }
        for entry in image.iter().map(|entry| entry.as_bytes().to_vec()).chain(own) {
            match &mut places {
                None => set_env(&mut env, entry),
                Some(places) => match places.entry(name_of(&entry).to_vec()) {
                    Entry::Occupied(place) => env[*place.get()] = entry,
                    Entry::Vacant(place) => {
                        place.insert(env.len());
                        env.push(entry);
                    }
                },
            }
        }
        env
    }

    /// Most bytes of the tmpfs that has the changes, /dev/shm, and what else has no size of its own, where that isn't left to the
    /// kernel.
    fn upper_size(&self) -> Option<u64> {
        size_of_changes(self.config.upper_size, self.config.memory)
    }

    /// Most inodes of that tmpfs.
    fn upper_inodes(&self) -> Option<u64> {
        inodes_of_changes(self.config.upper_inodes, self.upper_size())
    }

    /// Whether it has an /etc/hosts and the like of its own.
    pub fn has_etc_files(&self) -> bool {
        self.own_root() && self.config.etc_files.unwrap_or(true)
    }

    /// What these files have in them.
    fn etc_files(&self) -> Option<EtcFiles> {
        if !self.has_etc_files() {
            return None;
        }
        let absent = match &self.image {
            // On disk the directory of the changes is mounted with the root only.
            Source::Layers { layers, .. } if self.upper.is_none() => Absent::in_layers(layers),
            _ => Absent::default(),
        };
        let Names { hostname, neighbour, net } = &self.names;
        let names: Vec<_> = hostname.iter().chain(neighbour).map(String::as_str).collect();
        Some(EtcFiles {
            // Members of a named network have one file together.
            hosts: (*net != Net::Members).then(|| network::hosts(*net, &names)),
            hostname: hostname.as_ref().map(|name| format!("{name}\n")),
            resolv_conf: Some(network::resolv_conf(*net)),
            read_only: self.config.read_only,
            absent,
        })
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

    /// The scratch mounts that are made with it, in order.
    pub fn scratches(&self) -> impl Iterator<Item = state::Scratch> {
        let mut sources = self.binds.iter();
        let scratch = move |mount: &Mount| match mount {
            Mount::Tmpfs(_) | Mount::Disk(_) | Mount::Image(_) => None,
            Mount::Bind(_) | Mount::Volume(_) => sources.next().and(None),
            Mount::Scratch(it) => sources.next().map(|source| (it.target.clone(), source)),
        };
        self.config.mounts[..self.early].iter().filter_map(scratch).zip(ctr_wire::SCRATCHES..).map(
            |((target, source), slot)| {
                let slot = Slot(slot as u8);
                let target = place_of(&target).unwrap_or(target);
                state::Scratch {
                    slot: slot.0,
                    name: place_of_changes(slot),
                    target,
                    source: source.path.clone(),
                    identity: source.identity,
                }
            },
        )
    }

    /// Capabilities that programs may have.
    pub fn capabilities(&self) -> u64 {
        self.walls.capabilities
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
            limits: self.config.limits(),
            lists: self.config.list_limits(),
            dropped: &self.dropped,
            binds: mounts.collect(),
            facts: None,
        })
    }
}

/// Most bytes of what a container changes in memory, where that isn't left to the kernel: what was asked for, or a part of its memory.
pub fn size_of_changes(asked: Option<u64>, memory: Option<u64>) -> Option<u64> {
    asked.or(memory.map(|limit| limit / 2)).map(|size| size.max(LEAST_OF_UPPER))
}

/// Most inodes of that, where it may have so many bytes: one for each page of them, as the kernel has it for half of the machine's
/// memory. Each is memory of the kernel's, which counts in the limit, so a program that makes files without end would die of that.
pub fn inodes_of_changes(asked: Option<u64>, size: Option<u64>) -> Option<u64> {
    asked.or_else(|| size.map(|size| (size / PAGE).max(FEW_INODES)))
}

/// What a container makes for itself in that tmpfs fits into this: the kernel takes a size of 0 for no limit.
pub const LEAST_OF_UPPER: u64 = 1 << 20;
/// The same of its inodes.
pub const LEAST_INODES: u64 = 256;
/// As many as a small tmpfs has all the same: they take some 2 MiB with what the kernel has of them.
const FEW_INODES: u64 = 1024;
/// Bytes of a page of memory.
const PAGE: u64 = 4096;

/// There is no cgroup for its limits: says so where its preset asks for them, and not the caller.
fn limits_of_preset(error: Error, asked: &Config, config: &Config) -> Error {
    if !matches!(error.failed_step(), Step::MakeControllerCgroup | Step::LimitWithoutCgroup) {
        return error;
    }
    let mut added = Vec::new();
    if let (None, Some(bytes)) = (asked.memory, config.memory) {
        added.push(format!("{} MiB of memory", bytes >> 20));
    }
    if let (None, Some(count)) = (asked.pids, config.pids) {
        added.push(format!("{count} processes"));
    }
    if added.is_empty() {
        return error;
    }
    let said = format!("the preset {} limits to {}", config.preset.name(), added.join(" and "));
    let error = error.so(&said);
    if error.hint().is_empty() { error.with_hint(hints::NO_CGROUP) } else { error }
}

/// The cgroup that the container's goes into, where one was chosen.
fn cgroup_parent(config: &Config) -> Option<PathBuf> {
    let from_environment = || crate::sys::var_os("CTR_CGROUP_PARENT");
    match (&config.cgroup_parent, config.cgroup) {
        (Some(parent), _) => Some(parent.clone()),
        (None, crate::CgroupPolicy::Off) => None,
        (None, _) => from_environment().map(PathBuf::from),
    }
}

/// As many disks are handed over with one message, beside the image and what is bound.
const MAX_DISKS: usize = 8;

/// So many slots PID 1 has for the places of their changes.
pub const MAX_SCRATCHES: usize = ctr_wire::PROC - ctr_wire::SCRATCHES;

/// __NEW_UTS_LEN of linux/utsname.h.
const MAX_HOSTNAME: usize = 64;

/// Whether its layers may be copied for other ids: those of root's containers, whose changes go to memory.
fn may_be_shifted(image: &Source, ids: &Ids, on_disk: bool) -> bool {
    matches!(image, Source::Layers { .. }) && *ids == Ids::Range && !on_disk
}

fn uses_overlay(image: &Source, config: &Config) -> bool {
    match image {
        Source::Host => false,
        Source::Directory(_) => config.directory == DirectoryUse::Lower,
        Source::Layers { .. } => true,
    }
}
