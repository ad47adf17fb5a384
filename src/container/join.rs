//! Join: a handle on a container that another process made, or on the namespaces of any process at all.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use ctr_wire::{self as wire, NONE, RUN};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::sys::socket::SockFlag;
use nix::sys::stat::Mode;

use super::blueprint::{Finish, Setup};
use super::devices::Listed;
use super::ids::has_many_ids;
use super::namespaces::{KINDS, Kind};
use super::shared::Shared;
use super::spawn::spawn;
use super::state::{ExecDefaults, Record, RecordFile, Root, StateDir, VERSION, listener_pid, listener_pidfd};
use crate::cgroup::Cgroup;
use crate::image::ImageConfig;
use crate::plan::{CWD, Fd, Header, Plan, Prctl};
use crate::sys::Own;
use crate::sys::fork_lock::ForkLock;
use crate::zygote::{self, wait_readable};
use crate::{Config, Error, ErrorCode, Preset, Result, hints, sys};

/// Which namespaces [`crate::Container::join_pid`] enters: a mask of CLONE_NEW* flags of namespaces(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespaceSet(pub u32);

impl NamespaceSet {
    /// Every kind in which the process differs from the caller.
    pub const ALL: Self = Self(0);
}

/// A handle on a running container by its name.
pub fn join(state: StateDir, name: &str) -> Result<Shared> {
    let (record, file) = state.find(name)?;
    join_found(state, record, file)
}

pub fn join_found(state: StateDir, mut record: Record, file: RecordFile) -> Result<Shared> {
    let Peer { control, pid, pidfd } = Peer::of(&state, &record.name)?;
    // What the record says of its processes is believed where the kernel says the same, for more than a look is taken at them.
    if let Some(is_init) = sys::pidfd_is_init(pidfd.as_fd()) {
        record.exec.own_pid = is_init;
    }
    let (cgroups, late) = (record.cgroups(), &record.late_cgroups);
    let cgroup = if cgroups.is_empty() && late.is_empty() {
        None
    } else {
        let all: Vec<_> = cgroups.iter().chain(late).cloned().collect();
        match crate::cgroup::verify(&record.name, pid, &all) {
            Err(_) if wait_readable(&[pidfd.as_fd()], Some(Duration::ZERO)).unwrap_or(false) => {
                return Err(ending(&state, &record.name, libc::ESRCH));
            }
            verified => verified.map_err(|error| error.with_hint(hints::FORGED_RECORD))?,
        }
        Some(Cgroup::open(&cgroups, late)?)
    };
    let oom_kills = cgroup.as_ref().and_then(|cgroup| cgroup.oom_kills().ok()).unwrap_or(0);
    Ok(Shared {
        record,
        written: Some(file),
        state: Some(state.kept()),
        control: Own::new(control),
        spawn_channel: None,
        zygote: None,
        pid,
        pidfd: Own::new(pidfd),
        cgroup,
        made_from: None,
        holder: sys::process_id(),
        destroyed: AtomicBool::new(false),
        oom_kills: AtomicU64::new(oom_kills),
        made_with_limit: false,
        may_have_killed: AtomicBool::new(true),
        hangs_up: AtomicBool::new(false),
        inherited: OnceLock::new(),
        lent: ForkLock::new(()),
        is_lent: AtomicBool::new(false),
    })
}

/// Who serves a container.
pub struct Peer {
    /// Connected to its PID 1.
    pub control: OwnedFd,
    pub pid: i32,
    pub pidfd: OwnedFd,
}

impl Peer {
    /// By the kernel's word for who listens on the control socket of the container `name`.
    pub fn of(state: &StateDir, name: &str) -> Result<Self> {
        let fail = |errno: Errno| Error::system("join container", name, errno as i32);
        let control = state.connect(name, SockFlag::empty()).map_err(|errno| match errno {
            Errno::ECONNREFUSED | Errno::ENOENT => ending(state, name, errno as i32),
            _ => fail(errno),
        })?;
        let pid = listener_pid(control.as_fd()).map_err(fail)?;
        let pidfd = listener_pidfd(control.as_fd()).map_err(|e| match e.raw_os_error() {
            Some(errno @ (libc::ENOSYS | libc::EPERM)) => {
                let why = "the system call pidfd_open(2) is refused here, and the kernel is older than 6.5";
                let error = Error::new(ErrorCode::Unsupported, "join container", name, errno, why);
                error.with_hint(hints::refused_call("pidfd_open"))
            }
            Some(libc::ESRCH) => ending(state, name, libc::ESRCH),
            _ => Error::io("join container", name, &e),
        })?;
        Ok(Self { control, pid, pidfd })
    }
}

/// The pid of the PID 1 of a container that is on record; `None` where it ends meanwhile, or is just being made.
pub fn pid_of(state: &StateDir, name: &str) -> Result<Option<i32>> {
    let pid = state.connect(name, SockFlag::empty()).and_then(|control| listener_pid(control.as_fd()));
    match pid {
        Ok(pid) => Ok(Some(pid)),
        Err(errno @ (Errno::ECONNREFUSED | Errno::ENOENT)) => {
            _ = ending(state, name, errno as i32);
            Ok(None)
        }
        Err(errno) => Err(Error::system("look at container", name, errno as i32)),
    }
}

/// It is on record, but nobody answers. Where it is ending, its end is waited for, so that who is told that there is no such
/// container finds nothing of it.
fn ending(state: &StateDir, name: &str, errno: i32) -> Error {
    _ = state.look_after(name);
    Error::system("join container", name, errno)
        .with_code(ErrorCode::NotFound)
        .with_hint("it is just being made, or just ending")
}

/// The container whose PID 1 is `pid`, where that is closed to us: prctl(2), PR_SET_DUMPABLE. Its user can reach it by name.
pub fn closed(state: &StateDir, pid: i32) -> Option<Shared> {
    let refused = std::fs::read_link(format!("/proc/{pid}/ns/user")).err()?;
    if refused.kind() != std::io::ErrorKind::PermissionDenied {
        return None;
    }
    let names = state.list().ok()?.into_iter().map(|container| container.name);
    let name = names.into_iter().find(|name| matches!(pid_of(state, name), Ok(Some(found)) if found == pid))?;
    join(StateDir::open(Some(state.path())).ok()?, &name).ok()
}

/// The namespace of a running container, opened by its own PID 1: nobody else may look at its /proc entries.
pub fn namespace_of(state: &StateDir, name: &str, kind: &'static str) -> Result<OwnedFd> {
    let again = StateDir::open(Some(state.path()))?;
    open_by_itself(&join(again, name)?, kind)
}

fn open_by_itself(container: &Shared, kind: &'static str) -> Result<OwnedFd> {
    let name = container.called();
    let mut plan = Plan::new();
    plan.step("open the namespace", kind, "", "");
    let slot = plan.slot();
    let path = plan.bytes(format!("/proc/self/ns/{kind}"));
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    plan.openat(CWD, path, flags).out(slot);
    let mut header = Header::new(RUN);
    header.give = [slot.0, NONE, NONE, NONE];
    let fd = container.run(&header, &plan)?.pop();
    let fd = fd.ok_or_else(|| Error::system("open the namespace of container", name, libc::EPROTO))?;
    // Whatever its PID 1 has sent: only a namespace of that kind will do.
    let is_namespace =
        nix::sys::statfs::fstatfs(&fd).is_ok_and(|fs| fs.filesystem_type() == nix::sys::statfs::NSFS_MAGIC);
    let flag = KINDS.iter().find(|known| known.name == kind).map(|known| known.flag);
    if is_namespace && sys::namespace_kind(fd.as_fd()).is_none_or(|found| Some(found) == flag) {
        return Ok(fd);
    }
    Err(Error::system("open the namespace of container", name, libc::EPROTO))
}

/// A server in the namespaces of process `pid`: as nsenter(1), but it stays, so a second program costs no more than in a container
/// of our own.
pub fn join_pid(pid: i32, set: NamespaceSet) -> Result<Shared> {
    let fail = |e: std::io::Error| {
        let error = Error::io("join the namespaces of process", pid, &e);
        match e.raw_os_error() {
            Some(libc::ESRCH) => error.with_code(ErrorCode::NotFound),
            _ => error,
        }
    };
    if pid <= 0 {
        return Err(Error::invalid("join the namespaces of process", pid, "a pid is a positive number"));
    }
    let known = KINDS.iter().fold(0, |known, kind| known | kind.flag as u32);
    if set.0 & !known != 0 {
        let unknown = format!("{:#x}", set.0 & !known);
        return Err(Error::invalid("join namespaces of the kinds", unknown, "there are none of these numbers"));
    }
    // The descriptor first: from here on it is this process, whoever gets its number.
    let target = sys::process_open(pid).map_err(fail)?;
    let closed = StateDir::open(None).ok().and_then(|state| closed(&state, pid));
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
        for kind in KINDS.iter().filter(|kind| flags & kind.flag as u32 != 0) {
            let namespace = open_by_itself(container, kind.name)?;
            if set != NamespaceSet::ALL || !kind.is_ours(&namespace) {
                entered.push((setup.send(Fd::Owned(namespace)), kind.flag as u32));
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
    setup.step("open", "/proc", "", "");
    let (kept, path) = (setup.keep_in(wire::PROC), setup.string(c"/proc"));
    let open = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    setup.openat(CWD, path, open).out(kept).ok(libc::ENOENT);
    setup.step("enter the namespaces of process", pid.to_string(), "", "nsenter --target {} --all");
    for (slot, flags) in entered.into_iter().filter(|&(_, flags)| flags != 0) {
        setup.setns(slot, CloneFlags::from_bits_retain(flags as i32));
    }
    let has_root = flags & libc::CLONE_NEWUSER as u32 != 0;
    if has_root {
        setup.step("become root in the user namespace of process", pid.to_string(), "", "");
        setup.setgroups(&[]).ok(libc::EPERM);
        setup.setresgid(0).ok(libc::EINVAL);
        setup.setresuid(0).ok(libc::EINVAL);
    }
    setup.step("settle in", pid.to_string(), "", "");
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
    let joined = Shared {
        record: record(pid, has_root, has_many_ids(&pid.to_string())),
        written: None,
        state: None,
        control: Own::new(spawned.control),
        spawn_channel: Some(spawned.channel.kept()),
        zygote: Some(zygote),
        pid: spawned.pid,
        pidfd: Own::new(spawned.pidfd),
        cgroup: None,
        made_from: None,
        holder: sys::process_id(),
        destroyed: AtomicBool::new(false),
        oom_kills: AtomicU64::new(0),
        made_with_limit: false,
        may_have_killed: AtomicBool::new(false),
        hangs_up: AtomicBool::new(false),
        inherited: OnceLock::new(),
        lent: ForkLock::new(()),
        is_lent: AtomicBool::new(false),
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
                return Err(Error::io("look at the namespaces of process", pid, &e)
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
