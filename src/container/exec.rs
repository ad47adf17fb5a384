//! Exec: starts a program in a container. The plan is walked by a child of PID 1 that shares its memory until execve, so the
//! program's host never has anything of it, and a failure comes back as the call that failed.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ctr_wire::{EXEC, IN_BUDGET, IN_START, IN_TABLE, MAX_CHILDREN, NONE, TERMINALS};
use nix::fcntl::OFlag;
use nix::sys::statfs::FsType;

use super::env::{check_env, env_text, set_env};
use super::inherit::Inherited;
use super::lookup::Lookup;
use super::process::Process;
use super::program::Program;
use super::request::PATIENCE;
use super::shared::Shared;
use super::user::User;
use crate::plan::{Arg, Fd, Header, Plan, Prctl, Slot, Terminal, c_string, encode, whole_ms};
use crate::sys::Own;
use crate::sys::fork_lock::ForkLock;
use crate::zygote::{self, Channel, wait_readable};
use crate::{Error, ErrorCode, ExecConfig, Result, Session, Stdio, Step, Winsize, sys};

/// Starts `argv` in the container.
pub fn exec(container: &Arc<Shared>, argv: &[&OsStr], config: &ExecConfig) -> Result<Process> {
    let lookup = Lookup::new(container, argv, config)?;
    let wanted = config.user.as_deref().or(container.record.exec.user.as_deref());
    let by_image = wanted.is_some() && config.user.is_none() && config.groups.is_none();
    let user = User::resolve(container, wanted, config.groups.as_deref())
        .map_err(|error| if by_image { error.so(OF_IMAGE) } else { error })?;
    let env = environment(container, config, user.as_ref())?;
    let extra = extra_fds(config)?;

    let mut plan = Plan::with_room(16, 48, 1024);
    let mut header = Header::new(EXEC);
    let mut targets = Vec::new();
    // With a single id, whoever runs inside is the caller.
    let open = if container.record.exec.many_ids { open_by_name } else { |_: BorrowedFd<'_>| () };
    let ours = if config.pty.is_some() { [None, None, None] } else { streams(&mut plan, config, &mut targets, open)? };
    for (fd, target) in extra {
        open(fd);
        targets.push((plan.send(Fd::Borrowed(fd)), target));
    }
    let mut pty = None;
    if let Some(size) = config.pty {
        let slave = if container.record.exec.terminals {
            own_terminal(&mut plan, size, user.as_ref(), &mut header)
        } else {
            let (master, slave) =
                terminal_of_ours(size).map_err(|e| Error::io(Step::OpenTerminal, "a terminal", &e))?;
            pty = Some(master);
            plan.send(Fd::Owned(slave))
        };
        targets.extend((0..3).map(|target| (slave, target)));
    }
    if config.cpu_time_limit.is_some() {
        if container.leaves_orphans {
            return Err(no_budget(&lookup, libc::ECHILD));
        }
        container.count_cpu_time(&mut plan, &mut header);
    }
    header.before = plan.len();
    header.time_limit = config.time_limit.map_or(0, whole_ms);
    if let Some(limit) = config.cpu_time_limit {
        header.cpu_time_limit = whole_ms(limit);
        header.processors = sys::sched::processors();
    }

    let patience = config.time_limit.map_or(START, |limit| START.min(limit.saturating_add(Duration::from_secs(1))));
    let patience = patience.min(config.start_timeout.unwrap_or(START)).max(Duration::from_millis(1));
    header.patience = patience.as_millis() as u64;
    // What went wrong is looked for in what is left of the time that the start may take.
    let until = Instant::now() + patience;

    new_process(&mut plan, container, config);
    if config.time_limit.is_some() || config.cpu_time_limit.is_some() {
        mark(&mut plan, &mut header);
    }
    move_descriptors(&mut plan, &mut targets);
    if config.pty.is_some() {
        plan.step(Step::ControlTerminal, "the terminal", "", "");
        plan.terminal(0, Terminal::Control);
    }
    if let Some(mask) = config.umask {
        if mask > 0o777 {
            return Err(Error::invalid(
                Step::SetUmask,
                format!("{mask:#o}"),
                "it is made of permission bits, 0 to 0o777",
            ));
        }
        plan.step(Step::SetUmask, "", "", "");
        plan.umask(mask);
    }
    let (now, before) = (Inherited::of_caller(), container.inherited.get_or_init(|| Inherited::of(container.pid)));
    now.put(&mut plan, before, container.pid, &container.record);
    become_user(&mut plan, container, user.as_ref());
    let cwd = config.cwd.as_deref().or(container.record.exec.cwd.as_deref());
    if let Some(cwd) = cwd {
        if !cwd.is_absolute() {
            return Err(Error::invalid(Step::ChangeToWorkingDirectory, cwd.display(), "the path is not absolute"));
        }
        plan.step(Step::ChangeToWorkingDirectory, cwd.to_string_lossy().into_owned(), "", "");
        let path = plan.string(c_string(Step::ChangeToWorkingDirectory, cwd.as_os_str().as_bytes())?);
        plan.chdir(path);
    }
    let exec_step = plan.len() as u32;
    lookup.put(&mut plan, argv, &env);

    let oom_kills = container.oom_kills_before();
    let (channel, theirs) = Channel::of_process().map_err(|e| Error::io(Step::MakeChannel, "", &e))?;
    // Others may be before us, but whoever has set a time does not wait for them.
    let bounded = config.time_limit.is_some() || config.start_timeout.is_some();
    let within = if bounded { patience + Duration::from_secs(1) } else { PATIENCE };
    let mut oom_score_adj = None;
    let started = now.lend(before, container.pid, &container.lent, || {
        let theirs = theirs;
        let mut fds = vec![theirs.as_fd()];
        fds.extend(plan.fds());
        container.send(&encode(&header, &plan), &fds).map_err(|error| match error.errno() {
            // More than a message holds is more than execve(2) takes.
            libc::E2BIG => lookup.explain(container, libc::E2BIG, &env, until),
            _ => error,
        })?;
        drop(fds);
        drop(theirs);
        // It is needed last, so it is read while PID 1 is at work.
        oom_score_adj = match &container.zygote {
            Some(zygote) => zygote.oom_score_adj_now(),
            None => zygote::own_oom_score_adj(None),
        };
        container.answer_or_failure(&channel, within)
    });
    let (reply, mut fds) = match started? {
        Ok(answer) => answer,
        Err(failure) if failure.call == IN_TABLE => return Err(full(&lookup)),
        Err(failure) if failure.call == IN_BUDGET => return Err(no_budget(&lookup, failure.errno)),
        Err(failure) if failure.call == IN_START => {
            return Err(container.not_started(Step::StartProgram, lookup.name(), failure.errno));
        }
        Err(failure) if failure.call >= exec_step => {
            return Err(lookup.explain(container, failure.errno, &env, until));
        }
        Err(failure) => return Err(add_hint(plan.error(failure.call, failure.errno), config)),
    };
    let handed_back = config.pty.is_some() && pty.is_none();
    // Signals go to whatever PID 1 says that it has started, and bytes to what it says is its terminal: both may be a lie of
    // whoever has taken it over, who has a pidfd of this very process at hand.
    let told = fds.len() > usize::from(handed_back);
    if !told || !is_child(container, &fds[0]) || (handed_back && !is_terminal_of_its_own(&fds[1])) {
        let full = container.pidfd.as_fd().try_clone_to_owned().is_err_and(|e| e.raw_os_error() == Some(libc::EMFILE));
        if full {
            // Nobody's lie: where no descriptor is left, nothing can be received or looked at. What has been started ends.
            drop((fds, channel));
            _ = container.kill_group(reply.pid, libc::SIGKILL);
            return Err(Error::system(Step::StartProgram, lookup.name(), libc::EMFILE));
        }
        let why = "what its PID 1 has sent is no process and terminal of the container's: has somebody taken it over?";
        return Err(Error::new(ErrorCode::System, Step::StartProgram, lookup.name(), libc::EPROTO, why));
    }
    if config.cpu_time_limit.is_some() {
        container.counts_cpu_time.store(true, Ordering::Relaxed);
    }
    let pidfd = fds.remove(0);
    let given = handed_back.then(|| fds.remove(0));
    let program = Arc::new(Program {
        container: Arc::clone(container),
        channel: channel.kept(),
        pidfd: Own::new(pidfd),
        pid: reply.pid,
        exit: ForkLock::new(None),
        killed: Mutex::new(None),
        limit: config.time_limit.and_then(|limit| Instant::now().checked_add(limit)),
        timed_out: AtomicBool::new(false),
        oom_kills,
    });
    container.watchers.started(&program);
    let process = Process {
        program,
        streams: Mutex::new(ours.map(|stream| stream.map(Own::new))),
        pty: given.or(pty).map(Own::new),
    };
    if let Some(value) = oom_score_adj.filter(|_| oom_score_adj != before.oom_score_adj) {
        // Nobody inside may write it for PID 1's child. Who has no right to lower it, or has lost the process, has what there is.
        let file = process.host_pid().map(|pid| format!("/proc/{pid}/oom_score_adj"));
        _ = file.map(|file| {
            sys::file::open_with(std::fs::File::options().write(true), file)
                .map(|mut file| std::io::Write::write_all(&mut file, value.to_string().as_bytes()))
        });
    }
    Ok(process)
}

/// How long the start of a program may take, where nobody has said it: PID 1's own bound.
const START: Duration = Duration::from_secs(10);

fn full(lookup: &Lookup) -> Error {
    let why = format!("this handle's container runs {MAX_CHILDREN} programs, which is as many as it can");
    let error = Error::new(ErrorCode::System, Step::StartProgram, lookup.name(), libc::EAGAIN, why);
    error.with_hint("end some, or have one program start the others: what programs start themselves is not counted")
}

/// Why a program can't have a budget of processor time.
fn no_budget(lookup: &Lookup, errno: i32) -> Error {
    if errno == libc::EAGAIN {
        let why = format!(
            "{MAX_CHILDREN} programs of the container have budgets of processor time, which is as many as can be"
        );
        return Error::new(ErrorCode::System, Step::StartProgram, lookup.name(), errno, why)
            .with_hint("what a program with a budget has left behind keeps it: end that");
    }
    let (why, hint) = if errno == libc::ECHILD {
        let why = "a budget of processor time can't be kept in a PID namespace that was joined by a pid: its orphans end elsewhere, uncounted";
        (why, "join the container by its name; or give a time limit, which holds here too")
    } else {
        let why = "a budget of processor time can't be kept here: its programs could not be found";
        (why, "it takes a /proc inside, and hard limits of locks and rttime (getrlimit(2)) that nobody has lowered")
    };
    Error::new(ErrorCode::Unsupported, Step::StartProgram, lookup.name(), libc::EOPNOTSUPP, why).with_hint(hint)
}

/// Room for the mark of the deadline or the budget, which PID 1 writes, and the calls that put it on: crates/init/src/sweep.rs. Where there
/// can be none, they fail; the one that rises first, so that there is none by half.
fn mark(plan: &mut Plan<'_>, header: &mut Header) {
    // A soft limit above the hard one: nothing is set where PID 1 does not write over it.
    let none = [1u64, 0, 1, 0].map(u64::to_ne_bytes);
    let limits = plan.data(none.as_flattened(), 8);
    let Arg::Data(at) = limits else { return };
    header.mark = Some(limits);
    let set = |plan: &mut Plan<'_>, resource: u32, limit| {
        plan.prlimit(resource, limit).ok(libc::EPERM).ok(libc::EINVAL);
    };
    set(plan, libc::RLIMIT_RTTIME, Arg::Data(at + 16));
    set(plan, libc::RLIMIT_LOCKS, limits);
}

/// Whether a process is a child of this PID 1, and so in its PID namespace; also where that namespace is shared, or is a
/// joined process's. One that is dead is as good: nothing can be done to it.
fn is_child(container: &Shared, pidfd: &OwnedFd) -> bool {
    match sys::pidfd_parent(pidfd.as_fd()) {
        // The zygote may see its pid from another PID namespace than we, after unshare(2).
        Ok(parent) => {
            parent == container.pid
                || sys::pidfd_pid(container.pidfd.as_fd()) == Some(parent)
                || wait_readable(&[pidfd.as_fd()], Some(std::time::Duration::ZERO)).unwrap_or(false)
        }
        // Where /proc hides the processes of others, one that is hidden is not this user's own.
        Err(nix::errno::Errno::EACCES) => sys::pidfd_pid(pidfd.as_fd()).is_some(),
        Err(errno) => errno == nix::errno::Errno::ESRCH,
    }
}

/// Whether it is the master of a terminal of another devpts than this process's.
fn is_terminal_of_its_own(fd: &OwnedFd) -> bool {
    let is_devpts = nix::sys::statfs::fstatfs(fd).is_ok_and(|fs| fs.filesystem_type() == DEVPTS_SUPER_MAGIC);
    let ours = nix::sys::stat::stat("/dev/pts").ok().map(|stat| stat.st_dev);
    let theirs = nix::sys::stat::fstat(fd).ok().map(|stat| stat.st_dev);
    is_devpts && sys::pty_number(fd.as_fd()).is_some() && theirs.is_some() && theirs != ours
}

/// linux/magic.h.
const DEVPTS_SUPER_MAGIC: nix::sys::statfs::FsType = nix::sys::statfs::FsType(0x1cd1);

/// What is added to errors about what nobody but the image has asked for.
const OF_IMAGE: &str = "the image's configuration asks for it";

fn add_hint(error: Error, config: &ExecConfig) -> Error {
    let error = error.with_known_hint();
    match (error.failed_step(), error.errno()) {
        (Step::ChangeToWorkingDirectory, _) if config.cwd.is_none() => error.with_code(ErrorCode::Exec).so(OF_IMAGE),
        (Step::ChangeToWorkingDirectory, _) => error.with_code(ErrorCode::Exec),
        (Step::BecomeUser, libc::EINVAL) if config.user.is_none() => error.so(OF_IMAGE),
        _ => error,
    }
}

/// The program's environment: the container's, the user's home, what the caller adds.
fn environment(container: &Shared, config: &ExecConfig, user: Option<&User>) -> Result<Vec<Vec<u8>>> {
    let mut env: Vec<Vec<u8>> = if config.clear_env {
        Vec::new()
    } else {
        container.record.exec.env.iter().map(|entry| entry.as_bytes().to_vec()).collect()
    };
    if let Some(home) = user.and_then(|user| user.home.as_deref()).filter(|_| !config.clear_env) {
        set_env(&mut env, [b"HOME=", home].concat());
    }
    if config.pty.is_some() && !config.clear_env {
        let term = sys::var_os("TERM");
        set_env(&mut env, env_text(OsStr::new("TERM"), term.as_deref().unwrap_or(OsStr::new("xterm"))));
    }
    for (name, value) in &config.env {
        check_env(name, value)?;
        set_env(&mut env, env_text(name, value));
    }
    Ok(env)
}

/// Connects the standard streams: sends the program's ends along, adds (slot, number) to `targets`, answers our ends.
/// `open` hears of each descriptor that is sent.
fn streams(
    plan: &mut Plan<'_>,
    config: &ExecConfig,
    targets: &mut Vec<(Slot, i32)>,
    open: fn(BorrowedFd<'_>),
) -> Result<[Option<OwnedFd>; 3]> {
    let mut ours = [None, None, None];
    let mut null = None;
    for (number, choice) in [config.stdin, config.stdout, config.stderr].into_iter().enumerate() {
        let fail = |e: std::io::Error| Error::io(Step::ConnectStream, number, &e);
        let slot = match choice {
            Stdio::Null => send_null(plan, &mut null)?,
            // A stream that the host has closed is no reason to fail, as for fork. And as for exec, what is close-on-exec is no
            // stream of the host's: so nothing that this library opened is ever handed in, whatever its number.
            Stdio::Inherit => match sys::inheritable(number as RawFd) {
                Some(fd) => {
                    open(fd);
                    plan.send(Fd::Borrowed(fd))
                }
                None => send_null(plan, &mut null)?,
            },
            Stdio::Fd(fd) => {
                let fd = sys::borrow(fd).map_err(fail)?;
                open(fd);
                plan.send(Fd::Borrowed(fd))
            }
            Stdio::Stdout if number == 2 => targets[1].0,
            Stdio::Stdout => {
                return Err(Error::invalid(Step::ConnectStream, number, "only stderr can go where stdout goes"));
            }
            Stdio::Pipe => {
                let (read, write) = sys::pipe().map_err(|e| fail(e.into()))?;
                let (their, our) = if number == 0 { (read, write) } else { (write, read) };
                ours[number] = Some(our);
                open(their.as_fd());
                plan.send(Fd::Owned(their))
            }
        };
        targets.push((slot, number as i32));
    }
    Ok(ours)
}

/// Lets whoever runs inside open a pipe by its name too, /dev/stdout or /proc/self/fd/1: that looks at the mode of the pipe's inode,
/// 0600 for its maker, who is somebody else outside; runc and crun change the owner instead, and then programs fail that have become
/// another user since. Only who may look into a process that has it (ptrace(2)) comes by the name, so nobody else gains a thing.
/// Of files, terminals and fifos with names the owner and the mode are the caller's business.
fn open_by_name(fd: BorrowedFd<'_>) {
    if nix::sys::statfs::fstatfs(fd).is_ok_and(|it| it.filesystem_type() == PIPEFS_MAGIC) {
        // A pipe of somebody else's (sudo … | cat) stays as it is.
        _ = nix::sys::stat::fchmod(fd, nix::sys::stat::Mode::from_bits_truncate(0o666));
    }
}

/// Of linux/magic.h.
const PIPEFS_MAGIC: FsType = FsType(0x5049_5045);

/// The slot of /dev/null, opened once for all streams that want it.
fn send_null(plan: &mut Plan<'_>, null: &mut Option<Slot>) -> Result<Slot> {
    if let Some(slot) = *null {
        return Ok(slot);
    }
    let file = sys::file::open_with(std::fs::File::options().read(true).write(true), "/dev/null");
    let file = file.map_err(|e| Error::io(Step::OpenNull, "/dev/null", &e))?;
    Ok(*null.insert(plan.send(Fd::Owned(file.into()))))
}

/// How many further descriptors one program can be given.
const MAX_EXTRA: usize = 12;

fn extra_fds(config: &ExecConfig) -> Result<Vec<(std::os::fd::BorrowedFd<'static>, i32)>> {
    if config.fds.len() > MAX_EXTRA {
        return Err(Error::invalid(Step::PassDescriptors, config.fds.len(), "at most 12 besides the standard streams"));
    }
    let mut seen = Vec::new();
    config
        .fds
        .iter()
        .map(|&(fd, target)| {
            if !(3..1024).contains(&target) || seen.contains(&target) {
                return Err(Error::invalid(Step::PassDescriptorAs, target, "numbers are 3 to 1023, each once"));
            }
            seen.push(target);
            sys::borrow(fd).map(|fd| (fd, target)).map_err(|e| Error::io(Step::PassDescriptor, fd, &e))
        })
        .collect()
}

/// Where there is no /dev of the container's own, the terminal is one of the caller's, as nsenter(1) hands on its own.
fn terminal_of_ours(size: Winsize) -> std::io::Result<(OwnedFd, OwnedFd)> {
    let (master, slave) = sys::openpty()?;
    sys::set_winsize(master.as_fd(), size.rows, size.cols)?;
    Ok((master, slave))
}

/// Opens a terminal of the container's own devpts; its master goes back to us. The slave's slot.
fn own_terminal(plan: &mut Plan<'_>, size: Winsize, user: Option<&User>, header: &mut Header) -> Slot {
    plan.step(Step::OpenTerminal, "a terminal", "", "");
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let (master, slave) = (plan.slot(), plan.slot());
    let name = plan.string(c"ptmx");
    plan.openat(Slot(TERMINALS as u8), name, flags).out(master);
    plan.terminal(master, Terminal::Unlock);
    // TIOCGPTPEER and no path: whatever the container has put at /dev/pts is of no matter.
    plan.terminal(master, Terminal::Peer(flags)).out(slave);
    plan.terminal(master, Terminal::Size(size.rows, size.cols));
    if let Some(user) = user {
        plan.fchown(slave, user.uid, u32::MAX);
    }
    header.give = [master.0, NONE, NONE, NONE];
    slave
}

/// A fresh process: no signal blocked, a session or group as asked.
fn new_process(plan: &mut Plan<'_>, container: &Shared, config: &ExecConfig) {
    plan.step(Step::StartProcess, "a process", "", "");
    plan.set_signal_mask(0);
    match config.session {
        Session::New => _ = plan.setsid(),
        Session::Group => _ = plan.setpgid(0),
        Session::Join(group) => {
            plan.step(Step::JoinProcessGroup, group.to_string(), "", "");
            plan.setpgid(group);
        }
    }
    if !container.record.exec.own_pid {
        // Nobody's end will end it otherwise.
        plan.prctl(Prctl::DeathSignal(libc::SIGKILL));
    }
}

/// Brings each descriptor to its number and closes all others. First out of each other's way, then into place.
fn move_descriptors(plan: &mut Plan<'_>, targets: &mut [(Slot, i32)]) {
    plan.step(Step::PassDescriptors, "", "", "");
    let high = targets.iter().map(|&(_, target)| target).max().unwrap_or(2) + 1;
    let mut moved: Vec<Slot> = Vec::new();
    for &(slot, _) in targets.iter() {
        if !moved.contains(&slot) {
            moved.push(slot);
            plan.dupfd_cloexec(slot, high).out(slot);
        }
    }
    for &(slot, target) in targets.iter() {
        plan.dup3(slot, target, OFlag::empty());
    }
    targets.sort_by_key(|&(_, target)| target);
    let mut first = 0u32;
    for target in targets.iter().map(|&(_, target)| target as u32).chain([u32::MAX]) {
        if target > first {
            let last = if target == u32::MAX { target } else { target - 1 };
            // Where the call is missing: all of PID 1's descriptors are close-on-exec anyway.
            plan.close_range(first, last).ok(libc::ENOSYS).ok(libc::EPERM);
        }
        first = target.wrapping_add(1);
    }
}

fn become_user(plan: &mut Plan<'_>, container: &Shared, user: Option<&User>) {
    let Some(user) = user else { return };
    // PID 1 is that already, and its children are.
    if (user.uid, user.gid) == (0, 0) && user.groups.is_empty() && container.has_ids_of_its_own() {
        return;
    }
    plan.step(Step::BecomeUser, user.name.clone(), "", "");
    let refused = if container.record.exec.many_ids { 0 } else { libc::EPERM };
    plan.setgroups(&user.groups).ok(refused);
    plan.setresgid(user.gid);
    plan.setresuid(user.uid);
}
