//! ctr_container: create, exec, join, limits, destroy.

use std::ffi::{CString, c_char, c_int};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use super::border::{border, bytes, new_string, out, strings, text};
use super::handle::{Ref, Table};
use super::image::string;
use super::process::new_process;
use super::setters::current;
use super::types::{CTR_UNLIMITED, ctr_config, ctr_container, ctr_exec_config, ctr_process, limit};
use crate::{Client, Container, Error, NamespaceSet, Result, Step};

static CONTAINERS: Table<Handle> = Table::new("container", 3);

pub(super) struct Handle {
    pub container: Container,
    name: CString,
    image_digest: Option<CString>,
}

/// Makes a container and starts its PID 1, which waits for ctr_exec(). It changes nothing in the caller's process: no
/// signal handler, working directory, umask or limit, and the caller gets no SIGCHLD and no child to wait for.
///
/// image    an archive as ctr_image_import() takes it, unpacked once and then shared (where there are several images in
///          it, with ":" and the name of one behind it); the name or digest of an imported image; a directory; or "host":
///          this machine's own /usr, /bin, /lib and /etc, read-only
/// config   see ctr_config_new(); NULL for the safe defaults
/// out      gets the handle
///
/// The container ends when the process that made it ends, unless ctr_config_set_detached() says otherwise.
///
/// It takes milliseconds, and the time of an import if the image has to be unpacked. It gives up after a minute
/// (CTR_ERR_TIMED_OUT). A process can have 1,000 containers and joined pids at a time; the next call fails with
/// EAGAIN. About 64 handles can be joined to one container.
///
/// Return value: 0 and the handle in *out, which ctr_destroy() or ctr_close() releases. On failure *out is NULL and
/// nothing is left behind: CTR_ERR_NOT_FOUND if there is no such image, CTR_ERR_BAD_IMAGE if it can't be run,
/// CTR_ERR_NAME_IN_USE, CTR_ERR_UNSUPPORTED if the machine can't do what the configuration asks for, CTR_ERR_INVALID
/// if the configuration contradicts itself, CTR_ERR_SYSTEM if a step failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_create(
    image: *const c_char,
    config: *const ctr_config,
    out: *mut *mut ctr_container,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (out, image) = unsafe { (self::out("out", out)?, bytes("image", image)?) };
        *out = new_handle(Container::create(image, &current(config)?)?)?;
        Ok(0)
    })
}

/// A handle on a running container that any process of this user made. It has every right of the creator's handle.
///
/// name   as ctr_config_set_name() set it or ctr_list() gives it
///
/// Return value: 0 and the handle in *out, which ctr_destroy() or ctr_close() releases; CTR_ERR_NOT_FOUND when no
/// such container runs. *out is NULL then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_join(name: *const c_char, out: *mut *mut ctr_container) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (out, name) = unsafe { (self::out("out", out)?, text("name", name)?) };
        *out = new_handle(Container::join(name)?)?;
        Ok(0)
    })
}

/// As ctr_join(), for a container that was made with ctr_config_set_state_dir().
///
/// Return value: as ctr_join().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_join_in(
    state_dir: *const c_char,
    name: *const c_char,
    out: *mut *mut ctr_container,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (out, dir, name) = unsafe { (self::out("out", out)?, bytes("state_dir", state_dir)?, text("name", name)?) };
        *out = new_handle(Client::new().with_state_dir(Path::new(dir)).join(name)?)?;
        Ok(0)
    })
}

/// The namespaces of any process that the kernel lets the caller join, as nsenter(1) enters them: all that differ from
/// the caller's. ctr_exec() works as in a container, and what it started ends with the handle; limits do not apply to
/// what ctr did not make, and the process itself is never touched.
///
/// Return value: 0 and the handle in *out, which ctr_close() releases; CTR_ERR_NOT_FOUND when there is no such
/// process, CTR_ERR_SYSTEM with EPERM when the caller may not join it. *out is NULL then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_join_pid(pid: i32, out: *mut *mut ctr_container) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { ctr_join_pid_namespaces(pid, NamespaceSet::ALL.0, out) }
}

/// As ctr_join_pid(), for a chosen set of namespaces.
///
/// namespaces   enum ctr_namespace (or CLONE_NEW*) or'ed together; 0 for all that differ from the caller's
///
/// Return value: as ctr_join_pid().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_join_pid_namespaces(pid: i32, namespaces: u32, out: *mut *mut ctr_container) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { self::out("out", out) }?;
        *out = new_handle(Container::join_pid(pid, NamespaceSet(namespaces))?)?;
        Ok(0)
    })
}

/// Starts a program in a container.
///
/// argv     the program and its arguments, ended by NULL, as execve(2) takes them; in C that of main() is passed as
///          (const char *const *)argv. A program without a slash is searched
///          for in the PATH of the container's environment, inside. An empty argv starts what the image says
/// config   see ctr_exec_config_new(); NULL for the defaults
/// out      gets the handle of the process
///
/// Processes that the program leaves behind stay until they end, their time limit passes, or the container is
/// destroyed; PID 1 reaps them. A container runs 1,000 programs at a time, not counting what they start themselves;
/// the next call fails with EAGAIN.
///
/// It returns once the program has run execve(2), after a millisecond or so. Programs inside can delay that up to the
/// start time-out (10 seconds; see ctr_exec_config_set_start_timeout()). If many threads start programs at once, a
/// call also waits for its turn: 30 seconds at most, or a second more than the time limit or start time-out if one is
/// set.
///
/// Return value: 0 and the handle in *out, which ctr_process_free() frees. On failure *out is NULL and nothing runs:
/// CTR_ERR_EXEC or CTR_ERR_NOT_FOUND if the program, its #! interpreter or its ELF loader can't be started (ENOENT,
/// EACCES, ENOEXEC, E2BIG and so on; ctr_last_error() names which), CTR_ERR_TIMED_OUT if it did not start in time,
/// CTR_ERR_DESTROYED if the container is gone, CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_exec(
    c: *mut ctr_container,
    argv: *const *const c_char,
    config: *const ctr_exec_config,
    out: *mut *mut ctr_process,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (out, argv) = unsafe { (self::out("out", out)?, strings("argv", argv)?) };
        let c = container(c)?;
        *out = new_process(c.container.exec(argv, &current(config)?)?)?;
        Ok(0)
    })
}

/// As ctr_exec(), but starts what `docker run IMAGE ARGS` would: the image's entrypoint, and behind it args or, where
/// there are none, the image's own.
///
/// args   the arguments, ended by NULL; NULL for none
///
/// Return value: as ctr_exec(); CTR_ERR_INVALID too where neither the image nor args name a program.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_exec_image(
    c: *mut ctr_container,
    args: *const *const c_char,
    config: *const ctr_exec_config,
    out: *mut *mut ctr_process,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { self::out("out", out) }?;
        // SAFETY: the same.
        let args = if args.is_null() { Vec::new() } else { unsafe { strings("args", args) }? };
        *out = new_process(container(c)?.container.exec_image(args, &current(config)?)?)?;
        Ok(0)
    })
}

/// Sets the memory limit of a running container, up or down. If the processes use more than the new limit, the kernel
/// reclaims memory; if it can't reclaim enough, the call fails and the old limit stays.
///
/// bytes   the limit, swap not included; CTR_UNLIMITED lifts it
///
/// Return value: 0; CTR_ERR_SYSTEM with EBUSY when more than that is in use; CTR_ERR_INVALID for less than the kernel
/// takes; CTR_ERR_UNSUPPORTED when the container has no memory cgroup; CTR_ERR_DESTROYED.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_set_mem_limit(c: *mut ctr_container, bytes: u64) -> c_int {
    border(|| container(c)?.container.set_memory_limit(limit(bytes)).map(|()| 0))
}

/// The memory limit in bytes.
///
/// Return value: 0 and the limit in *bytes, CTR_UNLIMITED where there is none; CTR_ERR_UNSUPPORTED, CTR_ERR_DESTROYED,
/// CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_mem_limit(c: *mut ctr_container, bytes: *mut u64) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let bytes = unsafe { out("bytes", bytes) }?;
        *bytes = container(c)?.container.memory_limit()?.unwrap_or(CTR_UNLIMITED);
        Ok(0)
    })
}

/// The memory that the container's processes use, as the kernel counts it, in bytes.
///
/// now    gets what is in use
/// peak   gets the most that ever was; may be NULL
///
/// Return value: 0; CTR_ERR_UNSUPPORTED, CTR_ERR_DESTROYED, CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_mem_usage(c: *mut ctr_container, now: *mut u64, peak: *mut u64) -> c_int {
    border(|| {
        let mut unused = 0;
        let peak = if peak.is_null() { &raw mut unused } else { peak };
        // SAFETY: the caller's promise, and `unused` lives here.
        let (now, peak) = unsafe { (out("now", now)?, out("peak", peak)?) };
        (*now, *peak) = container(c)?.container.memory_usage()?;
        Ok(0)
    })
}

/// How many processes of the container the kernel has killed so far because its memory limit was reached (or, without one,
/// because the machine had no memory left). A program whose child was killed may exit with 0, and the reason in its ctr_exit
/// is then CTR_REASON_EXITED: compare this number before and after.
///
/// Return value: 0; CTR_ERR_UNSUPPORTED, CTR_ERR_DESTROYED, CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_oom_kills(c: *mut ctr_container, count: *mut u64) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let count = unsafe { out("count", count) }?;
        *count = container(c)?.container.oom_kills()?;
        Ok(0)
    })
}

/// Sets the most processes and threads that may exist at one time in a running container; further fork(2) and clone(2)
/// inside fail with EAGAIN. More than that may exist already.
///
/// count   the limit; CTR_UNLIMITED lifts it
///
/// Return value: 0; CTR_ERR_UNSUPPORTED when the container has no pids cgroup; CTR_ERR_DESTROYED, CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_set_pids_limit(c: *mut ctr_container, count: u64) -> c_int {
    border(|| container(c)?.container.set_pids_limit(limit(count)).map(|()| 0))
}

/// The most processes and threads that may exist at one time.
///
/// Return value: 0 and the limit in *count, CTR_UNLIMITED where there is none; CTR_ERR_UNSUPPORTED, CTR_ERR_DESTROYED,
/// CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_pids_limit(c: *mut ctr_container, count: *mut u64) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let count = unsafe { out("count", count) }?;
        *count = container(c)?.container.pids_limit()?.unwrap_or(CTR_UNLIMITED);
        Ok(0)
    })
}

/// The name that ctr_join() takes.
///
/// Return value: a string that is good until the handle is released, "" for what ctr_join_pid() joined; NULL for an
/// invalid handle.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_name(c: *const ctr_container) -> *const c_char {
    border(|| Ok(container(c)?.name.as_ptr()))
}

/// The digest of the image of the store that the container was made from, as "sha256:…"; ctr_image_inspect() takes it.
///
/// Return value: a string that is good until the handle is released; NULL for a container of a directory or of
/// "host", for what ctr_join_pid() joined, and for an invalid handle.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_container_image(c: *const ctr_container) -> *const c_char {
    border(|| Ok(container(c)?.image_digest.as_ref().map_or(std::ptr::null(), |digest| digest.as_ptr())))
}

/// The pid of the container's PID 1 on the host; for ctr_join_pid(), of the process of ours that starts programs in those
/// namespaces. By the time you use it, it may be another process's: prefer ctr_pidfd().
///
/// Return value: the pid, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_pid(c: *const ctr_container) -> i32 {
    border(|| Ok(container(c)?.container.pid()))
}

/// A descriptor of the container's PID 1, pidfd_open(2): poll(2) says POLLIN when the container has ended.
///
/// Return value: a descriptor that belongs to the handle (don't close it) and is good until the handle is released, or
/// CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_pidfd(c: *const ctr_container) -> c_int {
    border(|| Ok(container(c)?.container.pidfd().as_raw_fd()))
}

/// Whether the container runs: neither destroyed nor ended from outside.
///
/// Return value: 1 or 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_is_running(c: *const ctr_container) -> c_int {
    border(|| Ok(container(c)?.container.is_running().into()))
}

/// What ctr_create() would do for this image and configuration: a list of every wall, on or off, and why, and then the shell
/// commands that a person would type to get the same, each with a line that says what it is for, in an order in which they can be
/// typed into one bash(1). Nothing is made, but the image is unpacked into the store. The arguments are those of ctr_create().
///
/// Return value: 0 and the text in *text, which ctr_string_free() frees; else what ctr_create() would answer, and *text
/// is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_explain(image: *const c_char, config: *const ctr_config, text: *mut *mut c_char) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let (text, image) = unsafe { (out("text", text)?, bytes("image", image)?) };
        *text = new_string(&crate::explain(image, &current(config)?)?)?;
        Ok(0)
    })
}

/// What was done to make this container; see ctr_explain().
///
/// Return value: 0 and the text in *text, which ctr_string_free() frees; CTR_ERR_UNSUPPORTED for what another process made
/// or ctr_join_pid() joined; CTR_ERR_INVALID. *text is NULL then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_explain_container(c: *const ctr_container, text: *mut *mut c_char) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let text = unsafe { out("text", text) }?;
        *text = new_string(&container(c)?.container.explain()?)?;
        Ok(0)
    })
}

/// Frees a string that a function of ctr made for the caller, as ctr_explain() does. NULL is allowed. free(3) does the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_string_free(string: *mut c_char) {
    // SAFETY: NULL or from calloc, by the caller's promise.
    unsafe { libc::free(string.cast()) }
}

/// Sends a signal, signal(7), to every program of a container and to all that they have started, whatever their session or
/// group; the container lives on, and programs can be started in it as before. SIGKILL ends them all, however they fork
/// meanwhile: they are dead, or just dying, when the call returns. 0 sends nothing.
///
/// In the namespaces of ctr_join_pid(), and in a container whose PID namespace is shared, those are the programs that
/// ctr_exec() has started, and their descendants.
///
/// Return value: 0, also when there was none; CTR_ERR_INVALID for what is no signal; CTR_ERR_DESTROYED; CTR_ERR_TIMED_OUT
/// when the container's PID 1 did not answer within 30 seconds; CTR_ERR_SYSTEM.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_kill_all(c: *mut ctr_container, signal: c_int) -> c_int {
    border(|| container(c)?.container.kill_all(signal).map(|()| 0))
}

/// Ends a container: kills every process, reaps them and removes all that was made for it (mounts, cgroups,
/// directories). It works in any state. From then on other handles on it, also in other processes, return
/// CTR_ERR_DESTROYED, and waits for its processes return CTR_REASON_DESTROYED. Calls that other threads are making
/// with this handle return. Nothing inside can delay it. If the kernel takes more than 30 seconds to end the
/// processes, the call fails (CTR_ERR_SYSTEM, ETIMEDOUT).
///
/// The handle is released in any case. In a forked child nothing else happens, since the container is the parent's,
/// so the destructor of a static object may call this.
///
/// Return value: 0, also when it had ended before; CTR_ERR_INVALID for an invalid handle, which includes one that was
/// destroyed before, and in a forked child; CTR_ERR_SYSTEM if something could not be removed, which the next call of
/// any process of this user tries again.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_destroy(c: *mut ctr_container) -> c_int {
    border(|| CONTAINERS.release(c)?.container.destroy().map(|()| 0))
}

/// Ends a container as `docker stop`: sends the stop signal of its image, SIGTERM where that names none that there is, to its
/// programs, waits until they have ended, at most grace_ms milliseconds, and then does what ctr_destroy() does. What a program
/// has started itself is left to that program; all that still runs in the end is killed. A program that writes to a full pipe
/// which nobody reads can't end, and is killed: see ctr_process_stop().
///
/// grace_ms   how long the programs may take; -1 is as long as it takes
///
/// The handle is released in any case.
///
/// Return value: as ctr_destroy(). If the signal can't be sent, the handle is released as by ctr_close():
/// CTR_ERR_UNSUPPORTED when the kernel does not list the programs, CTR_ERR_SYSTEM.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_stop(c: *mut ctr_container, grace_ms: c_int) -> c_int {
    let grace = u64::try_from(grace_ms).map_or(Duration::MAX, Duration::from_millis);
    border(|| CONTAINERS.release(c)?.container.stop(grace).map(|()| 0))
}

/// Ends a container by its name, as ctr_join() and ctr_destroy() do; also one that can't be joined, because its record is damaged or
/// was written by an earlier version. That one is ended by the process that its control socket belongs to, and a damaged record is
/// put aside.
///
/// name        as for ctr_join()
/// state_dir   as for ctr_join_in(); NULL for the usual one
///
/// Return value: 0; CTR_ERR_NOT_FOUND when no such container runs; CTR_ERR_UNSUPPORTED when a later version made it; else as
/// ctr_destroy().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_destroy_named(name: *const c_char, state_dir: *const c_char) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let name = unsafe { text("name", name)? };
        // SAFETY: as above.
        let dir = (!state_dir.is_null()).then(|| unsafe { bytes("state_dir", state_dir) }).transpose()?;
        let client = dir.map_or_else(Client::new, |dir| Client::new().with_state_dir(Path::new(dir)));
        client.destroy_named(name).map(|()| 0)
    })
}

/// Releases this handle only: a container that was joined or is detached lives on. One that this process made and that
/// is not detached is destroyed, as by ctr_destroy(), but not in a forked child.
///
/// Return value: 0, or CTR_ERR_INVALID for an invalid handle.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_close(c: *mut ctr_container) -> c_int {
    border(|| CONTAINERS.release(c).map(|_| 0))
}

pub(super) fn container(c: *const ctr_container) -> Result<Ref<'static, Handle>> {
    let handle = CONTAINERS.get(c)?;
    handle.container.check_holder()?;
    Ok(handle)
}

fn new_handle(container: Container) -> Result<*mut ctr_container> {
    let name = CString::new(container.name())
        .map_err(|_| Error::invalid(Step::ReadNameOfContainer, container.name(), "it has a NUL in it"))?;
    let image_digest = container.image_digest().map(|digest| string(digest.as_bytes()));
    CONTAINERS.insert(Handle { container, name, image_digest })
}
