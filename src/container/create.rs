//! Create: carries a blueprint out. The ledger first, then what the host acquires, then the process; whatever fails on the way,
//! all of it is taken back.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind};

use super::blueprint::{Acquired, Blueprint};
use super::disks::{self, Books};
use super::shared::Shared;
use super::spawn::{Spawned, spawn};
use super::state::{Claim, ExecDefaults, Record, RecordFile, Resource, StateDir, VERSION, start_of};
use super::unmapped;
use super::{mounts, network, ports};
use crate::cgroup::{Cgroup, Layout};
use crate::config::late;
use crate::image::Report;
use crate::rootfs::place_of;
use crate::sys::fork_lock::ForkLock;
use crate::zygote::{self, Zygote};
use crate::{Config, Error, Mount, Result, Step, sys};

/// The plan, in words.
pub fn explain(image: &OsStr, config: &Config, report: Report<'_>) -> Result<String> {
    let state = StateDir::open(config.state_dir.as_deref())?;
    Blueprint::new(image, config, report, &state, &*zygote::current()?, false)?.explain(&state)
}

/// Makes a container.
pub fn create(image: &OsStr, config: &Config, report: Report<'_>) -> Result<Shared> {
    let state = StateDir::open(config.state_dir.as_deref())?;
    // Asked for first: while it starts, if it has to, we decide the rest.
    let zygote = zygote::current()?;
    let (owner, creates) = this_process()?;
    if creates.is_multiple_of(SWEEP_EVERY) {
        state.sweep_some();
    }
    let blueprint = Blueprint::new(image, config, report, &state, &zygote, true)?;
    let record = record(&blueprint, image, owner)?;
    let written = OnceCell::new();
    let raised = raise(&blueprint, &record, &state, &written, zygote).inspect_err(|_| {
        // What can't be released now stays on record, and the next sweep tries again.
        if let Some(file) = written.get() {
            _ = state.sweep_known(&record.name, *file, &record.resources);
        }
    });
    if raised.as_ref().is_err_and(|error| error.failed_step() == Step::IdMap && error.errno() == libc::EINVAL)
        && blueprint.goes_without_map()?
    {
        return create(image, config, report);
    }
    let (mut spawned, cgroup, zygote) = raised.map_err(|error| of_image(unmapped::blame(error), image))?;
    let inside = spawned.given.pop();
    let cgroup = cgroup.map(|cgroup| cgroup.of(spawned.pid, config.cgroup_parent.as_deref()));
    let container = Shared {
        written: written.get().copied(),
        state: Some(state.kept()),
        spawn_channel: Some(spawned.channel.kept()),
        zygote: Some(zygote),
        cgroup,
        made_from: Some((image.to_os_string(), config.clone())),
        made_with_limit: blueprint.config.memory.is_some(),
        ..Shared::new(record, spawned.control, spawned.pid, spawned.pidfd)
    };
    attach(&container, inside).inspect_err(|_| {
        // The caller never had it: PID 1 and all that is on record, also by attach itself, goes.
        _ = container.destroy();
    })?;
    Ok(container)
}

/// Names the image where it is its configuration that asks for what can't be made.
fn of_image(error: Error, image: &OsStr) -> Error {
    match error.failed_step() {
        Step::MakeWorkingDirectory | Step::MakeVolume => {
            error.so(&format!("the configuration of the image {} asks for it", image.display()))
        }
        _ => error,
    }
}

/// Attach: PID 1 serves, no program runs in it, and the caller has not been answered. What is done here needs a container that
/// is there, by its pidfd or its namespaces; what outlives processes is had by [`Shared::acquire`]. Where anything fails, all of
/// the container is taken back.
///
/// `inside` is a netlink socket of its network namespace, for a member of a named network.
fn attach(container: &Shared, inside: Option<OwnedFd>) -> Result<()> {
    if let Some(inside) = inside {
        network::attach(container, inside)?;
    }
    if container.record.config.cpus.is_some() {
        container.leave_processor_limit_to_zygote();
    }
    if container.record.config.cpu_time.is_some() {
        container.hand_over_cpu_time()?;
    }
    container.schedule_as_caller()?;
    for mount in late(&container.record.config.mounts) {
        mounts::mount_new(container, mount)?;
    }
    // Last: from then on there may be somebody who connects.
    container.record.config.ports.iter().try_for_each(|port| ports::publish(container, port.address, port.to).map(drop))
}

/// Makes all of it. `written` says, as soon as there is something to take back, which file has it on record.
fn raise(
    blueprint: &Blueprint,
    record: &Record,
    state: &StateDir,
    written: &OnceCell<RecordFile>,
    mut zygote: Arc<Zygote>,
) -> Result<(Spawned, Option<Cgroup>, Arc<Zygote>)> {
    let held = OnceCell::new();
    let acquire = || -> Result<&(Acquired, Option<Cgroup>, Vec<OwnedFd>)> {
        let claim = state.claim(record)?;
        _ = written.set(claim.written);
        if let Some(upper) = &blueprint.upper {
            make_upper(upper)?;
        }
        let cgroup = blueprint.cgroup.as_ref().map(Layout::make).transpose()?;
        network::join(state, &blueprint.config, &blueprint.name, blueprint.names.hostname.as_deref())?;
        let books = Books { state, name: &record.name, file: claim.written };
        let acquired = acquire(state, &blueprint.name, claim, cgroup.as_ref())?;
        let disks = blueprint.config.mounts[..blueprint.early].iter().filter(|mount| matches!(mount, Mount::Disk(_)));
        let disks = blueprint
            .disks
            .iter()
            .zip(disks)
            .map(|(disk, mount)| Ok(disks::make(disk, &place_of(mount.target())?, &books)?.0));
        let disks = disks.collect::<Result<Vec<_>>>()?;
        Ok(held.get_or_init(|| (acquired, cgroup, disks)))
    };
    // Where it can be, the child is on its way while we acquire the rest.
    let ahead = if blueprint.acquires_first() { Some(acquire()?) } else { None };
    let disks = ahead.map_or(&[][..], |(.., disks)| disks);
    let setup = blueprint.setup(ahead.and_then(|(_, cgroup, _)| cgroup.as_ref()?.clone_into()), disks)?;
    let finish = || blueprint.finish(&setup, &ahead.map_or_else(acquire, Ok)?.0);
    let spawned = spawn(&setup, &blueprint.name, &mut zygote, finish)?;
    drop(setup);
    let cgroup = held.into_inner().and_then(|(_, cgroup, _)| cgroup);
    Ok((spawned, cgroup, zygote))
}

/// Every so many creates of a process, from the first on, what dead owners left is swept: hosts that never list, and are killed
/// again and again, must fill nothing.
const SWEEP_EVERY: u32 = 64;

fn record(blueprint: &Blueprint, image: &OsStr, (owner, owner_start): (u32, u64)) -> Result<Record> {
    let config = &blueprint.config;
    // What the image says about how it is run; empty is nothing.
    let said = |what: fn(&crate::image::ImageConfig) -> &String| {
        blueprint.image_config().map(what).filter(|text| !text.is_empty()).cloned()
    };
    Ok(Record {
        version: VERSION,
        name: blueprint.name.clone(),
        image: image.to_string_lossy().into_owned(),
        created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        owner: owner as i32,
        owner_start,
        detached: config.detached,
        resources: resources(blueprint)?,
        late_cgroups: blueprint.cgroup.iter().flat_map(Layout::late).cloned().collect(),
        cgroup_place: blueprint.cgroup.as_ref().map(|layout| layout.where_it_is().to_string()).unwrap_or_default(),
        warnings: blueprint.warnings(),
        exec: ExecDefaults {
            env: blueprint.env().into_iter().map(Into::into).collect(),
            terminals: blueprint.own_root(),
            many_ids: blueprint.ids.many(),
            own_pid: config.namespaces.pid == crate::Namespace::New,
            has_root: true,
            capabilities: blueprint.capabilities(),
            cwd: said(|image| &image.working_dir).map(Into::into),
            user: said(|image| &image.user),
        },
        config: blueprint.asked.clone(),
        landlock: blueprint.landlock.is_some(),
        devices: blueprint.devices.listed.clone(),
        root: blueprint.root(),
        store: blueprint.store.clone(),
        mounted: config.mounts.iter().map(|mount| mount.target().as_os_str().as_bytes().to_vec().into()).collect(),
        etc_files: blueprint.has_etc_files(),
        run: blueprint.image_config().cloned().unwrap_or_default(),
    })
}

/// What is made on the host before PID 1 serves, in that order, and what its caller mounts.
fn resources(blueprint: &Blueprint) -> Result<Vec<Resource>> {
    let upper = blueprint.upper.iter().map(|path| Resource::Upper { path: path.clone() });
    // The last one is removed first.
    let cgroups = blueprint.cgroup.iter().flat_map(|layout| layout.first().rev().cloned().map(Resource::Cgroup));
    let scratches = blueprint.scratches().map(Resource::Scratch);
    let mounts = blueprint.config.mounts[..blueprint.early]
        .iter()
        .map(|mount| Ok(Resource::Mount { number: 0, mount: mount.at(&place_of(mount.target())?), live: false }));
    let network = network::chosen(&blueprint.config).map(|name| Resource::Network { name: name.into() });
    upper.chain(cgroups).chain(network).chain([Resource::Socket]).chain(scratches).map(Ok).chain(mounts).collect()
}

/// This process's pid and when it started, which is asked once; and how often this was called before.
fn this_process() -> Result<((u32, u64), u32)> {
    static THIS: ForkLock<((u32, u64), u32)> = ForkLock::new(((0, 0), 0));
    let pid = sys::process_id();
    let mut this = THIS.lock();
    let (known, creates) = *this;
    *this = if known.0 == pid {
        (known, creates.wrapping_add(1))
    } else {
        let start = start_of(pid as i32).map_err(|e| Error::io(Step::LookAtThisProcess, "this process", &e))?;
        ((pid, start.unwrap_or(0)), 0)
    };
    Ok(*this)
}

/// What is the store's is closed to others; the root of the changes has the mode that a root has.
fn make_upper(upper: &std::path::Path) -> Result<()> {
    use std::fs::DirBuilder;
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let fail = |e: std::io::Error| Error::io(Step::MakeUpper, upper.display(), &e);
    DirBuilder::new().recursive(true).mode(0o700).create(upper).map_err(fail)?;
    for directory in [upper.join("upper"), upper.join("work")] {
        DirBuilder::new().mode(0o700).create(&directory).map_err(fail)?;
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).map_err(fail)?;
    }
    Ok(())
}

fn acquire(state: &StateDir, name: &str, claim: Claim, cgroup: Option<&Cgroup>) -> Result<Acquired> {
    let fail = |errno: nix::errno::Errno| Error::system(Step::MakeControlSocket, name, errno as i32);
    let listener = sys::socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::empty()).map_err(fail)?;
    let address = UnixAddr::new(&state.socket_path(name)).map_err(fail)?;
    let bind = || bind(std::os::fd::AsRawFd::as_raw_fd(&listener), &address);
    match bind() {
        // The name is ours: what lies there is left from a container whose record somebody has removed.
        Err(nix::errno::Errno::EADDRINUSE) => {
            state.remove_socket(name).map_err(fail)?;
            bind().map_err(fail)?;
        }
        outcome => outcome.map_err(fail)?,
    }
    if claim.odd_umask {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(state.socket_path(name), mode)
            .map_err(|e| Error::io(Step::MakeControlSocket, name, &e))?;
    }
    Ok(Acquired {
        record: Some(claim.file),
        listener: Some(listener),
        join: cgroup.map(Cgroup::join_fds).transpose()?.unwrap_or_default(),
    })
}
