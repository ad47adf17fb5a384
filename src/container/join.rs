//! Join: a handle on a container that another process made, or on the namespaces of any process at all.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use ctr_wire::{self as wire, RUN};
use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::sys::stat::Mode;

use super::blueprint::{Finish, Setup};
use super::ids::has_many_ids;
use super::namespaces::{KINDS, Kind};
use super::opened::{self, Opened};
use super::shared::Shared;
use super::spawn::spawn;
use super::state::{ExecDefaults, Listed, Record, Root, StateDir, VERSION};
use crate::image::ImageConfig;
use crate::plan::{CWD, Fd, Header, Plan, Prctl};
use crate::zygote;
use crate::{Config, Error, ErrorCode, Preset, Result, Step, sys};

/// Which namespaces [`crate::Container::join_pid`] enters: a mask of CLONE_NEW* flags of namespaces(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespaceSet(pub u32);

impl NamespaceSet {
    /// Every kind in which the process differs from the caller.
    pub const ALL: Self = Self(0);
}

/// A server in the namespaces of process `pid`: as nsenter(1), but it stays, so a second program costs no more than in a container
/// of our own.
pub fn join_pid(pid: i32, set: NamespaceSet) -> Result<Shared> {
    let fail = |e: std::io::Error| {
        let error = Error::io(Step::JoinNamespacesOfProcess, pid, &e);
        match e.raw_os_error() {
            Some(libc::ESRCH) => error.with_code(ErrorCode::NotFound),
            _ => error,
        }
    };
    if pid <= 0 {
        return Err(Error::invalid(Step::JoinNamespacesOfProcess, pid, "a pid is a positive number"));
    }
    let known = KINDS.iter().fold(0, |known, kind| known | kind.flag as u32);
    if set.0 & !known != 0 {
        let unknown = format!("{:#x}", set.0 & !known);
        return Err(Error::invalid(Step::JoinNamespacesOfKinds, unknown, "there are none of these numbers"));
    }
    // The descriptor first: from here on it is this process, whoever gets its number.
    let target = sys::process_open(pid).map_err(fail)?;
    let closed = StateDir::open(None).ok().and_then(|state| {
        let name = opened::closed(&state, pid)?;
        Shared::join(state, &name).ok()
    });
    let flags = match &closed {
        _ if set != NamespaceSet::ALL => set.0,
        Some(_) => known,
        None => differing(pid)?,
    };
    let mut setup = Plan::new();
    setup.reserve_sent(1);
    // Where it is no pidfd but /proc/PID, which setns(2) doesn't take, the namespaces one by one.
    let single = |kind: &Kind| {
        let path = format!("ns/{}", kind.name);
        let opened = sys::openat(&target, path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty());
        opened.map_err(|errno| fail(errno.into()))
    };
    let mut entered = Vec::new();
    if let Some(container) = &closed {
        let kinds: Vec<_> = KINDS.iter().filter(|kind| flags & kind.flag as u32 != 0).collect();
        let chosen = set != NamespaceSet::ALL;
        let found = if chosen { opened::all(container, &kinds) } else { opened::namespaces(container, &kinds) };
        for Opened { kind, fd, .. } in found? {
            if chosen || !kind.is_ours(&fd) {
                entered.push((setup.send(Fd::Owned(fd)), kind.flag as u32));
            }
        }
    } else if sys::pidfd_pid(target.as_fd()).is_some() {
        entered.push((setup.send(Fd::Borrowed(target.as_fd())), flags));
    } else {
        for kind in KINDS.iter().filter(|kind| flags & kind.flag as u32 != 0) {
            entered.push((setup.send(Fd::Owned(single(kind)?)), kind.flag as u32));
        }
    }
    let flags = if closed.is_some() { entered.iter().fold(0, |flags, (_, kind)| flags | kind) } else { flags };
    // The host's, before its namespaces are left: the programs that are started here are seen there.
    setup.step(Step::OpenProc, "/proc", "", "");
    let (kept, path) = (setup.keep_in(wire::PROC), setup.string(c"/proc"));
    let open = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    setup.openat(CWD, path, open).out(kept).ok(libc::ENOENT);
    setup.step(Step::EnterNamespacesOfProcess, pid.to_string(), "", "nsenter --target {} --all");
    // Before whoever is root there can look into it, if they see the host's processes; other ids may undo it.
    setup.prctl(Prctl::Dumpable(false));
    for (slot, flags) in entered.into_iter().filter(|&(_, flags)| flags != 0) {
        setup.setns(slot, CloneFlags::from_bits_retain(flags as i32));
    }
    let has_root = flags & libc::CLONE_NEWUSER as u32 != 0;
    if has_root {
        setup.step(Step::BecomeRootOfProcess, pid.to_string(), "", "");
        setup.setgroups(&[]).ok(libc::EPERM);
        setup.setresgid(0).ok(libc::EINVAL);
        setup.setresuid(0).ok(libc::EINVAL);
    }
    setup.step(Step::SettleInProcess, pid.to_string(), "", "");
    setup.prctl(Prctl::Dumpable(false));
    setup.prctl(Prctl::ChildSubreaper);
    setup.prctl(Prctl::DeathSignal(libc::SIGKILL));
    let name = setup.string(c"ctr-join");
    setup.prctl(Prctl::Name(name));

    let mut zygote = zygote::current()?;
    let what = format!("a server in the namespaces of process {pid}");
    let finish = || Ok(Finish { plan: Plan::new(), header: Header::new(RUN) });
    let spawned = spawn(&Setup::bare(setup), &what, &mut zygote, finish);
    let spawned = spawned.map_err(|error| match error.errno() {
        libc::EPERM if has_root => error.with_hint("it takes the rights of its user namespace: the same user, or root"),
        libc::EPERM => error.with_hint("it takes rights over them: enter the user namespace too, or be root"),
        _ => error,
    })?;
    let record = record(pid, has_root, has_many_ids(&pid.to_string()));
    let joined = Shared {
        spawn_channel: Some(spawned.channel.kept()),
        zygote: Some(zygote),
        leaves_orphans: flags & libc::CLONE_NEWPID as u32 != 0,
        ..Shared::new(record, spawned.control, spawned.pid, spawned.pidfd)
    };
    joined.schedule_as_caller().inspect_err(|_| _ = joined.destroy())?;
    Ok(joined)
}

/// The kinds in which `pid` is elsewhere than this thread. setns(2) refuses the user namespace one is in already.
fn differing(pid: i32) -> Result<u32> {
    let mut flags = 0;
    for kind in &KINDS {
        let of = |who: &str| std::fs::read_link(Path::new("/proc").join(who).join("ns").join(kind.name));
        let mut theirs = of(&pid.to_string());
        // A process that is just in execve(2) is closed to its own user for a moment: it is dumpable (prctl(2)) again only
        // a little after the starter of a program has been told that it runs.
        for _ in 0..100 {
            if !theirs.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied) {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
            theirs = of(&pid.to_string());
        }
        match (theirs, of("thread-self")) {
            (Ok(theirs), Ok(ours)) if theirs != ours => flags |= kind.flag as u32,
            (Err(e), _) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(Step::LookAtNamespacesOfProcess, pid, &e)
                    .with_hint("the same user may, or root; a container of ctr is joined by its name"));
            }
            _ => {}
        }
    }
    Ok(flags)
}

fn record(pid: i32, has_root: bool, many_ids: bool) -> Record {
    Record {
        version: VERSION,
        name: String::new(),
        image: format!("pid {pid}"),
        created: 0,
        owner: sys::process_id() as i32,
        owner_start: 0,
        detached: false,
        resources: Vec::new(),
        late_cgroups: Vec::new(),
        cgroup_place: String::new(),
        warnings: Vec::new(),
        exec: ExecDefaults {
            env: vec![
                b"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_vec().into(),
                b"HOME=/root".to_vec().into(),
            ],
            terminals: false,
            many_ids,
            own_pid: false,
            has_root,
            ..ExecDefaults::default()
        },
        config: Config { preset: Preset::Privileged, ..Config::default() },
        landlock: false,
        devices: Listed::default(),
        root: Root::Foreign,
        store: std::path::PathBuf::new(),
        mounted: Vec::new(),
        etc_files: false,
        run: ImageConfig::default(),
    }
}
