//! ctr_exec_config: how a program is started in a container.

use std::ffi::{c_char, c_int};
use std::sync::Mutex;
use std::time::Duration;

use super::border::{border, bytes, one_of, text};
use super::handle::Table;
use super::setters::{Settings, checked, set};
use super::types::{ctr_exec_config, ctr_session, ctr_stdio};
use crate::{ExecConfig, Result, Session, Stdio, Winsize};

static EXEC_CONFIGS: Table<Mutex<ExecConfig>> = Table::new("exec_config", 2);

impl Settings for ctr_exec_config {
    type Values = ExecConfig;

    fn table() -> &'static Table<Mutex<ExecConfig>> {
        &EXEC_CONFIGS
    }
}

/// A new configuration for ctr_exec(). The defaults: the user and working directory that the image names, else 0:0
/// and /; the container's environment; the caller's stdin, stdout and stderr; a session of its own; no time limit.
/// ctr_exec() checks the configuration; the setters don't. One configuration may be used any number of times, and
/// changed or freed as soon as ctr_exec() has returned.
///
/// Return value: the configuration, which ctr_exec_config_free() frees; NULL when there is no memory.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_exec_config_new() -> *mut ctr_exec_config {
    border(|| EXEC_CONFIGS.insert(Mutex::default()))
}

/// Frees a configuration. NULL is allowed. Processes started with it are not affected.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_exec_config_free(config: *mut ctr_exec_config) {
    border(|| if config.is_null() { Ok(()) } else { EXEC_CONFIGS.release(config).map(drop) });
}

/// The program's file, where it is another than the first word of argv says: a path inside, or a name that is searched for
/// in PATH.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_exec_config_set_program(config: *mut ctr_exec_config, program: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    checked(config, || unsafe { bytes("program", program) }, |config, program| config.program = Some(program.into()))
}

/// Adds an environment variable, environ(7), over the container's. The same name again replaces the value.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_exec_config_add_env(
    config: *mut ctr_exec_config,
    name: *const c_char,
    value: *const c_char,
) -> c_int {
    // SAFETY: the caller's promise.
    let pair = || Ok(unsafe { (bytes("name", name)?.into(), bytes("value", value)?.into()) });
    checked(config, pair, |config, pair| config.env.push(pair))
}

/// Starts from an empty environment instead of the container's. Default: false.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_exec_config_set_clear_env(config: *mut ctr_exec_config, clear: bool) -> c_int {
    set(config, |config| config.clear_env = clear)
}

/// The working directory, an absolute path inside. Default: the image's, else /.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_exec_config_set_cwd(config: *mut ctr_exec_config, cwd: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    checked(config, || unsafe { bytes("cwd", cwd) }, |config, cwd| config.cwd = Some(cwd.into()))
}

/// The user: "name", "uid", "name:group" or "uid:gid". Names and supplementary groups come from the image's own
/// /etc/passwd and /etc/group, passwd(5). Default: the image's, else "0:0".
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_exec_config_set_user(config: *mut ctr_exec_config, user: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    checked(config, || unsafe { text("user", user) }, |config, user| config.user = Some(user.into()))
}

/// Adds a supplementary group, by name or number. The first one takes the place of all that the image's /etc/group gives
/// the user.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_exec_config_add_group(config: *mut ctr_exec_config, group: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    let group = || unsafe { text("group", group) };
    checked(config, group, |config, group| config.groups.get_or_insert_default().push(group.into()))
}

/// The permission bits that files are made without, umask(2). Default: 022.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_exec_config_set_umask(config: *mut ctr_exec_config, mask: u32) -> c_int {
    set(config, |config| config.umask = Some(mask))
}

/// Where a standard stream leads.
///
/// stream   0, 1 or 2: stdin, stdout, stderr
/// how      one of enum ctr_stdio
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_exec_config_set_stdio(config: *mut ctr_exec_config, stream: c_int, how: c_int) -> c_int {
    const KINDS: [(c_int, Stdio); 4] = [
        (ctr_stdio::CTR_STDIO_INHERIT as c_int, Stdio::Inherit),
        (ctr_stdio::CTR_STDIO_NULL as c_int, Stdio::Null),
        (ctr_stdio::CTR_STDIO_PIPE as c_int, Stdio::Pipe),
        (ctr_stdio::CTR_STDIO_STDOUT as c_int, Stdio::Stdout),
    ];
    stdio(config, stream, || one_of("how", &KINDS, how))
}

/// Leads a standard stream to a descriptor of the caller, which is duplicated by each ctr_exec() and stays the caller's.
///
/// stream   0, 1 or 2: stdin, stdout, stderr
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_exec_config_set_stdio_fd(config: *mut ctr_exec_config, stream: c_int, fd: c_int) -> c_int {
    stdio(config, stream, || Ok(Stdio::Fd(fd)))
}

/// Gives the program one more descriptor, at most 12: the caller's fd appears inside under the number inside, 3 to 1023. It
/// is duplicated by each ctr_exec() and stays the caller's. No other descriptor of the caller is ever visible inside.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_exec_config_add_fd(config: *mut ctr_exec_config, fd: c_int, inside: c_int) -> c_int {
    set(config, |config| config.fds.push((fd, inside)))
}

/// Gives the program a terminal of its own, pty(7), as stdin, stdout, stderr and controlling terminal;
/// ctr_process_pty() is the caller's end and ctr_process_resize() changes its size. Don't set the standard streams
/// then. TERM is the caller's, unless it is set. Where the container has no /dev of its own (ctr_join_pid(), a mount
/// namespace that is not new) the terminal is one of the caller's /dev/pts.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_exec_config_set_pty(config: *mut ctr_exec_config, rows: u16, cols: u16) -> c_int {
    set(config, |config| config.pty = Some(Winsize { rows, cols }))
}

/// The session of the program: one of enum ctr_session. Default: CTR_SESSION_NEW.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_exec_config_set_session(config: *mut ctr_exec_config, session: c_int) -> c_int {
    const KINDS: [(c_int, Session); 2] = [
        (ctr_session::CTR_SESSION_NEW as c_int, Session::New),
        (ctr_session::CTR_SESSION_GROUP as c_int, Session::Group),
    ];
    checked(config, || one_of("session", &KINDS, session), |config, value| config.session = value)
}

/// Puts the program into an existing process group of the container, setpgid(2).
///
/// pgid   its number inside, as ctr_process_pid() gives it
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_exec_config_set_process_group(config: *mut ctr_exec_config, pgid: i32) -> c_int {
    set(config, |config| config.session = Session::Join(pgid))
}

/// Kills the program (SIGKILL) when it has run for so many milliseconds, and with it all that it has started: children in
/// whatever group or session, daemons, those that are stopped or ignore signals. Its ctr_exit then has CTR_REASON_TIMED_OUT. The
/// container and its other programs live on. Where the program ends in time, what it has left behind runs until the
/// limit, and is killed then. A negative number is no limit. Default: none.
///
/// The container's PID 1 keeps the limit, whoever waits; where it can't, ctr_process_wait() kills the program itself a second
/// later. What was started is known by a mark in two resource limits that have no effect (RLIMIT_LOCKS, RLIMIT_RTTIME), which
/// children inherit and can't raise. Where the caller, or the container's configuration, has set one of these already, as in a
/// container inside a program with a limit, only the program and its process group are killed (there, by the outer limit, all).
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_exec_config_set_time_limit(config: *mut ctr_exec_config, ms: i64) -> c_int {
    set(config, |config| config.time_limit = u64::try_from(ms).ok().map(Duration::from_millis))
}

/// Kills the program (SIGKILL), and with it all that it has started, when they have used so many milliseconds of CPU time together,
/// in user mode and in the kernel: all of their threads, children in whatever group or session, daemons, and the dead among them. Its
/// ctr_exit then has CTR_REASON_OUT_OF_CPU_TIME. The container and its other programs live on. Where the program ends before that,
/// what it has left behind has the rest of the budget. A negative number is no limit. Default: none. RLIMIT_CPU of getrlimit(2) is the
/// limit of each process alone.
///
/// The container's PID 1 keeps the budget. It looks when the budget may be used up at the earliest, and each 10 ms near the end, less
/// often where that would take a fifth of its time: so much more can be used, by each processor. The CPU time of children whose
/// parent ignores SIGCHLD, or has SA_NOCLDWAIT set (sigaction(2)), is learnt from the container's cgroup once they are dead; it is not
/// counted where there is none that counts, or while other programs of the container run too. A time limit beside it holds for these
/// as well. What was started is known as with ctr_exec_config_set_time_limit(); where it can't be, and in a PID namespace that was
/// joined by ctr_join_pid(), ctr_exec() fails with CTR_ERR_UNSUPPORTED.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_exec_config_set_cpu_time_limit(config: *mut ctr_exec_config, ms: i64) -> c_int {
    set(config, |config| config.cpu_time_limit = u64::try_from(ms).ok().map(Duration::from_millis))
}

/// How long the start of the program may take, in milliseconds: if the program has not run execve(2) by then,
/// ctr_exec() returns CTR_ERR_TIMED_OUT and the program is not started. A start takes a millisecond or so, but
/// programs inside can hold it up: by stopping every process, by a lease on the file, by a file system that does not
/// answer. A negative number, or more than 10 seconds, means 10 seconds, which is the default. A time limit bounds it
/// too.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_exec_config_set_start_timeout(config: *mut ctr_exec_config, ms: i64) -> c_int {
    set(config, |config| config.start_timeout = u64::try_from(ms).ok().map(Duration::from_millis))
}

fn stdio(config: *mut ctr_exec_config, stream: c_int, how: impl FnOnce() -> Result<Stdio>) -> c_int {
    type Place = fn(&mut ExecConfig, Stdio);
    const PLACES: [(c_int, Place); 3] = [
        (0, |config, how| config.stdin = how),
        (1, |config, how| config.stdout = how),
        (2, |config, how| config.stderr = how),
    ];
    let check = || Ok((one_of("stream", &PLACES, stream)?, how()?));
    checked(config, check, |config, (place, how)| place(config, how))
}
