//! ctr_process: a program that was started in a container.

use std::ffi::c_int;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::time::Duration;

use super::border::{border, out};
use super::handle::{Ref, Table};
use super::images::maybe;
use super::types::{ctr_exit, ctr_process};
use crate::{Error, ErrorCode, Process, Result, Step, Winsize};

static PROCESSES: Table<Process> = Table::new("process", 4);

/// Waits until a process has ended. Any number of threads may wait, and once it has ended every call returns the
/// same. No waitpid(2) of the caller takes the result away.
///
/// timeout_ms   the longest wait in milliseconds; 0 only looks, a negative number waits until the process ends
/// out          gets how it ended; may be NULL
///
/// It returns when the process ends, whatever the container does. If the container's PID 1 is kept from reporting the
/// end, it returns about three seconds later with what the kernel reports. If a process that was killed through this
/// handle has not died after 30 seconds, it is stuck in the kernel, for example in a file system that does not
/// answer: the call fails with CTR_ERR_TIMED_OUT, even without a time-out.
///
/// End of file on a pipe from the program does not mean that the program has ended, nor the other way round:
/// processes that it started may hold the pipe and run on after it. A time limit, ctr_process_kill_group() and
/// ctr_kill_all() end those too.
///
/// A program whose output goes to a pipe (CTR_STDIO_PIPE) or to a terminal of its own stands still when that is full,
/// pipe(7), usually at 64 KiB: it never ends if nobody reads, and neither does a wait without a time-out. Read until
/// end of file before you wait, or in another thread, or have an event loop read; or lead the output to a file by
/// ctr_exec_config_set_stdio_fd(), or to CTR_STDIO_NULL.
///
/// Return value: 0 when it has ended; CTR_ERR_TIMED_OUT when it still runs; CTR_ERR_INVALID, CTR_ERR_SYSTEM.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_process_wait(p: *mut ctr_process, timeout_ms: c_int, out: *mut ctr_exit) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let out = if out.is_null() { None } else { Some(unsafe { self::out("out", out) }?) };
        let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
        let exit = process(p)?.wait(timeout)?.ok_or_else(|| still_runs(timeout_ms))?;
        out.into_iter().for_each(|out| *out = exit.into());
        Ok(0)
    })
}

/// Sends a signal to a process, kill(2); 0 sends nothing and only checks. It can't hit another process that got the same
/// pid. One that has ended already is no error.
///
/// Return value: 0; CTR_ERR_INVALID for what is no signal; CTR_ERR_SYSTEM.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_process_kill(p: *mut ctr_process, signal: c_int) -> c_int {
    border(|| process(p)?.kill(signal).map(|()| 0))
}

/// Sends a signal to every process of the process's group, killpg(3), also when the process itself has ended.
///
/// Return value: as ctr_process_kill().
#[unsafe(no_mangle)]
pub extern "C" fn ctr_process_kill_group(p: *mut ctr_process, signal: c_int) -> c_int {
    border(|| process(p)?.kill_group(signal).map(|()| 0))
}

/// Its pid inside the container.
///
/// Return value: the pid, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_process_pid(p: *const ctr_process) -> i32 {
    border(|| Ok(process(p)?.pid()))
}

/// Its pid on the host, the same as long as the handle lives. By the time you use it, it may be another process's: prefer
/// ctr_process_pidfd().
///
/// Return value: the pid; CTR_ERR_INVALID; CTR_ERR_NOT_FOUND when the process is gone and its pid was never known, as in a
/// container that shares the PID namespace of a container of another user.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_process_host_pid(p: *const ctr_process) -> i32 {
    border(|| process(p)?.host_pid())
}

/// Ends a process as `docker stop`: sends the stop signal of the container's image, SIGTERM where that is none, and SIGKILL
/// when it has not ended after grace_ms milliseconds.
///
/// A program that writes more at its end than a pipe (CTR_STDIO_PIPE) or a terminal of its own takes, usually 64 KiB,
/// and that nobody reads from meanwhile, can't end, and is killed: read in another thread until end of file, as for
/// ctr_process_wait(). Or send the signal by ctr_process_kill(), read, and then call this, which sends it again.
///
/// out   gets how it ended; may be NULL
///
/// Return value: 0, also when it had ended before; CTR_ERR_INVALID when grace_ms is negative or the image's signal is
/// none; CTR_ERR_SYSTEM.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_process_stop(p: *mut ctr_process, grace_ms: c_int, out: *mut ctr_exit) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { maybe(out) };
        let grace =
            u64::try_from(grace_ms).map_err(|_| Error::invalid(Step::Argument, "grace_ms", "it is negative"))?;
        let end = process(p)?.stop(Duration::from_millis(grace))?;
        if let Some(out) = out {
            *out = end.into();
        }
        Ok(0)
    })
}

/// A descriptor of the process, pidfd_open(2): poll(2) says POLLIN when it has ended, so an event loop can watch it.
/// ctr_process_wait() then says how.
///
/// Return value: a descriptor that belongs to the handle (don't close it) and is good until ctr_process_free(), or
/// CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_process_pidfd(p: *const ctr_process) -> c_int {
    border(|| Ok(process(p)?.pidfd().as_raw_fd()))
}

/// A descriptor that is readable, poll(2), once ctr_process_wait() will not block. It comes a moment after that of
/// ctr_process_pidfd(), with the exit status on its way; watch this one if your loop must never wait.
///
/// Return value: as ctr_process_pidfd().
#[unsafe(no_mangle)]
pub extern "C" fn ctr_process_wait_fd(p: *const ctr_process) -> c_int {
    border(|| Ok(process(p)?.wait_fd().as_raw_fd()))
}

/// Takes the caller's end of the pipe to the process's standard input, where CTR_STDIO_PIPE asked for one. It is
/// close-on-exec, and the caller's to close(2). Writing to it when the process has closed its side raises SIGPIPE, as with any
/// pipe: pipe(7).
///
/// Return value: the descriptor; CTR_ERR_INVALID when there is none or it was taken before.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_process_stdin(p: *mut ctr_process) -> c_int {
    border(|| taken("stdin", process(p)?.take_stdin()))
}

/// Takes the caller's end of the pipe from the process's standard output; see ctr_process_stdin(). It reads end of
/// file once every process inside has closed the other end, which may be before or after this process ends.
///
/// Return value: as ctr_process_stdin().
#[unsafe(no_mangle)]
pub extern "C" fn ctr_process_stdout(p: *mut ctr_process) -> c_int {
    border(|| taken("stdout", process(p)?.take_stdout()))
}

/// Takes the caller's end of the pipe from the process's standard error; see ctr_process_stdin().
///
/// Return value: as ctr_process_stdin().
#[unsafe(no_mangle)]
pub extern "C" fn ctr_process_stderr(p: *mut ctr_process) -> c_int {
    border(|| taken("stderr", process(p)?.take_stderr()))
}

/// The master side of the process's terminal, pty(7), where ctr_exec_config_set_pty() asked for one. read(2) fails with
/// EIO when the last process inside has closed its side.
///
/// Return value: a descriptor that belongs to the handle (don't close it) and is good until ctr_process_free();
/// CTR_ERR_INVALID when there is none.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_process_pty(p: *const ctr_process) -> c_int {
    border(|| process(p)?.pty().map(|fd| fd.as_raw_fd()).ok_or_else(|| missing("pty", "the process has no terminal")))
}

/// Sets the size of the process's terminal, ioctl_tty(2), which sends it SIGWINCH.
///
/// Return value: 0; CTR_ERR_INVALID when it has no terminal; CTR_ERR_SYSTEM.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_process_resize(p: *mut ctr_process, rows: u16, cols: u16) -> c_int {
    border(|| process(p)?.resize(Winsize { rows, cols }).map(|()| 0))
}

/// Frees the handle and the descriptors that belong to it. The process itself runs on. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_process_free(p: *mut ctr_process) {
    border(|| if p.is_null() { Ok(()) } else { PROCESSES.release(p).map(drop) });
}

/// The handle of a process that was started.
pub(super) fn new_process(process: Process) -> Result<*mut ctr_process> {
    PROCESSES.insert(process)
}

pub(super) fn process(p: *const ctr_process) -> Result<Ref<'static, Process>> {
    let process = PROCESSES.get(p)?;
    process.check_holder()?;
    Ok(process)
}

fn taken(stream: &str, fd: Option<OwnedFd>) -> Result<c_int> {
    fd.map(IntoRawFd::into_raw_fd).ok_or_else(|| missing(stream, "there is no such pipe, or it was taken before"))
}

fn missing(what: &str, why: &str) -> Error {
    Error::new(ErrorCode::Invalid, Step::TakeStream, what, libc::EBADF, why)
}

fn still_runs(timeout_ms: c_int) -> Error {
    Error::new(
        ErrorCode::TimedOut,
        Step::WaitForProcessInTime,
        "",
        libc::ETIMEDOUT,
        format!("it still runs after {timeout_ms} ms"),
    )
}
