//! `_ctr.Container`: a handle on a container. `ctr.Container` stands on it.

use std::ffi::OsString;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use ctr::image::{Conflicts, Difference, Output, Report};
use ctr::{ChangesLimit, Error, ErrorCode, Limit, ListLimit, NamespaceSet, SocketType, Step};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::convert::{self, Bytes, config, exec_config, one_of};
use crate::error::Raise;
use crate::image::{self, ConfigParts, ImageParts, config_parts, export_options, make_options};
use crate::process::{ExitParts, Process, parts};
use crate::progress::Listener;
use crate::stream;
use crate::wait::{deadline, wait};
use crate::watch::{self, Watch};

fn numbers() -> [(&'static str, Limit); Limit::ALL.len()] {
    Limit::ALL.map(|limit| (limit.name(), limit))
}

fn changes() -> [(&'static str, ChangesLimit); ChangesLimit::ALL.len()] {
    ChangesLimit::ALL.map(|limit| (limit.name(), limit))
}

fn lists() -> [(&'static str, ListLimit); ListLimit::ALL.len()] {
    ListLimit::ALL.map(|limit| (limit.name(), limit))
}

/// How long a program may clean up after Ctrl-C, as in `subprocess`.
const CLEAN_UP: Duration = Duration::from_millis(250);

/// How `containers` tells of one: name, image, pid, owner, when it was made, detached, paused.
type InfoParts = (String, String, i32, i32, f64, bool, bool);

/// How `mounts` tells of one: target, source, kind, read-only, live.
type MountParts = (OsString, Option<OsString>, &'static str, bool, bool);

/// How `diff` tells: paths, each with 0 (added), 1 (changed) or 2 (deleted).
type Differences = Vec<(OsString, i32)>;

fn differences(lines: Vec<Difference>) -> Differences {
    lines.into_iter().map(|line| (line.path.into_os_string(), line.change as i32)).collect()
}

/// How `walls` tells of one: name, state, says, why.
type WallParts = (&'static str, &'static str, String, String);

/// Memory: current, peak, anon, file, kernel, sock, shmem; the processors: user, system, throttled (seconds), periods,
/// throttled periods; processes and threads; bytes read and written; OOM kills; pressure of memory, cpu, io.
type StatsParts = (
    [Option<u64>; 7],
    (Option<f64>, Option<f64>, Option<f64>, Option<u64>, Option<u64>),
    Option<u64>,
    [Option<u64>; 2],
    Option<u64>,
    [PressureParts; 3],
);
/// What stat(2) tells: the first fields of `os.stat_result`, three times (seconds, nanoseconds), size of a block, blocks, device.
type StatParts = ((u32, u64, u64, u32, u32, u32, u64), [(i64, u32); 3], (u32, u64, u64));
/// A limit's name, the container's own, and as it holds in the end.
type LimitParts = (&'static str, Option<u64>, Option<u64>);
/// The same of one that is a list.
type ListParts = (&'static str, Option<String>, Option<String>);
/// Of some programs, and of all: avg10, avg60, avg300, total (seconds).
type PressureParts = Option<([f64; 4], Option<[f64; 4]>)>;

/// A handle on a container.
#[pyclass(frozen, module = "ctr._ctr")]
pub struct Container {
    /// Empty once closed. Calls that are under way in other threads hold it, too, until they return.
    inner: Mutex<Option<Arc<ctr::Container>>>,
    name: String,
}

#[pymethods]
impl Container {
    /// Makes a container. `progress` hears of its image's import, where there is one.
    #[staticmethod]
    #[pyo3(signature = (image, options, progress=None))]
    fn create(
        py: Python<'_>,
        image: Bytes,
        options: &Bound<'_, PyDict>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let (config, mut listener) = (config(options)?, Listener::new(progress));
        let made = py.detach(|| ctr::Client::new().with_report(|done| listener.hear(done)).create(image.0, &config));
        listener.answer(made.or_raise(py)).map(Self::new)
    }

    /// A handle on a running container.
    #[staticmethod]
    #[pyo3(signature = (name, state_dir=None))]
    fn join(py: Python<'_>, name: &str, state_dir: Option<PathBuf>) -> PyResult<Self> {
        py.detach(|| client(state_dir).join(name)).or_raise(py).map(Self::new)
    }

    /// The namespaces of any process; `namespaces` is a mask of CLONE_NEW* flags, 0 for all.
    #[staticmethod]
    fn join_pid(py: Python<'_>, pid: i32, namespaces: u32) -> PyResult<Self> {
        py.detach(|| ctr::Container::join_pid(pid, NamespaceSet(namespaces))).or_raise(py).map(Self::new)
    }

    /// Starts a program inside and puts it into the list `started`. What a signal handler raises can't come between the two, so
    /// the caller always knows what it has started.
    fn exec(
        &self,
        py: Python<'_>,
        argv: Vec<Bytes>,
        options: Option<&Bound<'_, PyDict>>,
        started: &Bound<'_, PyList>,
    ) -> PyResult<()> {
        started.append(Bound::new(py, Process::new(self.start(py, argv, options)?))?)
    }

    /// Starts a program inside and waits for its end. A time-out answers `None`; it and whatever is raised meanwhile
    /// kill the program and all of its process group first. On Ctrl-C it gets SIGINT and a moment to clean up before that.
    #[pyo3(signature = (argv, options=None, timeout=None))]
    fn run(
        &self,
        py: Python<'_>,
        argv: Vec<Bytes>,
        options: Option<&Bound<'_, PyDict>>,
        timeout: Option<f64>,
    ) -> PyResult<Option<ExitParts>> {
        let deadline = deadline(timeout)?;
        let (inner, mut config) = (self.inner(py)?, exec_config(options)?);
        // A start that takes longer is a time-out, too.
        if let Some(end) = deadline {
            let left = end.saturating_duration_since(Instant::now());
            config.start_timeout = Some(config.start_timeout.map_or(left, |own| own.min(left)));
        }
        let started = py.detach(|| inner.exec(argv.iter().map(|word| &word.0), &config));
        let started = match started {
            Err(error) if error.code() == ErrorCode::TimedOut && deadline.is_some_and(is_over) => return Ok(None),
            other => other.or_raise(py)?,
        };
        let ended = wait(py, &started, deadline);
        if !matches!(ended, Ok(Some(_))) {
            let interrupted = ended.as_ref().is_err_and(|error| error.is_instance_of::<PyKeyboardInterrupt>(py));
            py.detach(|| {
                if interrupted && started.kill_group(nix::libc::SIGINT).is_ok() {
                    let _ = started.wait(Some(CLEAN_UP));
                }
                let _ = started.kill_group(nix::libc::SIGKILL);
                let _ = started.kill(nix::libc::SIGKILL);
                started.wait(None)
            })
            .or_raise(py)?;
        }
        Ok(ended?.map(parts))
    }

    /// What `docker run IMAGE ARGS…` would start: the image's entrypoint, then `args`, or where there are none its Cmd.
    fn image_command(&self, py: Python<'_>, args: Vec<Bytes>) -> PyResult<Vec<OsString>> {
        self.inner(py)?.image_config().command(args.iter().map(|word| &word.0)).or_raise(py)
    }

    /// What the image says about how it is run.
    fn image_config(&self, py: Python<'_>) -> PyResult<ConfigParts> {
        Ok(config_parts(self.inner(py)?.image_config().clone()))
    }

    /// The digest of the image; `None` where it was none of the store.
    fn image_digest(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.inner(py)?.image_digest().map(str::to_owned))
    }

    /// The number of the signal that asks the image's program to end.
    fn stop_signal(&self, py: Python<'_>) -> PyResult<i32> {
        Ok(self.inner(py)?.image_config().stop_signal_number())
    }

    /// The name that `join` takes; empty for a joined pid.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// The pid of its PID 1 on the host.
    #[getter]
    fn pid(&self, py: Python<'_>) -> PyResult<i32> {
        Ok(self.inner(py)?.pid())
    }

    /// The pidfd of its PID 1; stays ours.
    fn pidfd(&self, py: Python<'_>) -> PyResult<i32> {
        Ok(self.inner(py)?.pidfd().as_raw_fd())
    }

    /// Whether it runs; a closed handle answers no.
    fn is_running(&self, py: Python<'_>) -> bool {
        self.inner(py).is_ok_and(|inner| py.detach(|| inner.is_running()))
    }

    /// Why it has ended, as a number; `None` while it runs.
    fn end_reason(&self, py: Python<'_>) -> PyResult<Option<i32>> {
        let inner = self.inner(py)?;
        Ok(py.detach(|| inner.end_reason()).map(|reason| reason as i32))
    }

    /// The memory limit in bytes.
    fn memory_limit(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        let inner = self.inner(py)?;
        py.detach(|| inner.memory_limit()).or_raise(py)
    }

    /// Sets the memory limit; `None` lifts it.
    fn set_memory_limit(&self, py: Python<'_>, bytes: Option<u64>) -> PyResult<()> {
        let inner = self.inner(py)?;
        py.detach(|| inner.set_memory_limit(bytes)).or_raise(py)
    }

    /// Bytes in use, and the most that ever were.
    fn memory_usage(&self, py: Python<'_>) -> PyResult<(u64, u64)> {
        let inner = self.inner(py)?;
        py.detach(|| inner.memory_usage()).or_raise(py)
    }

    /// How many of its processes the OOM killer has ended.
    fn oom_kills(&self, py: Python<'_>) -> PyResult<u64> {
        let inner = self.inner(py)?;
        py.detach(|| inner.oom_kills()).or_raise(py)
    }

    /// The most processes and threads.
    fn pids_limit(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        let inner = self.inner(py)?;
        py.detach(|| inner.pids_limit()).or_raise(py)
    }

    /// Sets the most processes and threads; `None` lifts it.
    fn set_pids_limit(&self, py: Python<'_>, count: Option<u64>) -> PyResult<()> {
        let inner = self.inner(py)?;
        py.detach(|| inner.set_pids_limit(count)).or_raise(py)
    }

    /// A limit by its name.
    fn limit(&self, py: Python<'_>, which: &Bound<'_, PyAny>) -> PyResult<Option<u64>> {
        let (inner, which) = (self.inner(py)?, one_of("limit", which, &numbers())?);
        py.detach(|| inner.limit(which)).or_raise(py)
    }

    /// Each limit by its name: the container's own, and as it holds in the end.
    fn limits(&self, py: Python<'_>) -> PyResult<Vec<LimitParts>> {
        let inner = self.inner(py)?;
        let of = |(name, limit): (&'static str, Limit)| Ok((name, inner.limit(limit)?, inner.effective_limit(limit)?));
        py.detach(|| numbers().into_iter().map(of).collect::<ctr::Result<_>>()).or_raise(py)
    }

    /// The same of those that are lists.
    fn list_limits(&self, py: Python<'_>) -> PyResult<Vec<ListParts>> {
        let inner = self.inner(py)?;
        let of = |(name, limit): (&'static str, ListLimit)| {
            Ok((name, inner.list_limit(limit)?, inner.effective_list_limit(limit)?))
        };
        py.detach(|| lists().into_iter().map(of).collect::<ctr::Result<_>>()).or_raise(py)
    }

    /// A limit that is a list, by its name.
    fn list_limit(&self, py: Python<'_>, which: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
        let (inner, which) = (self.inner(py)?, one_of("limit", which, &lists())?);
        py.detach(|| inner.list_limit(which)).or_raise(py)
    }

    /// Sets a limit that is a list; `None` lifts it.
    fn set_list_limit(&self, py: Python<'_>, which: &Bound<'_, PyAny>, list: Option<&str>) -> PyResult<()> {
        let (inner, which) = (self.inner(py)?, one_of("limit", which, &lists())?);
        py.detach(|| inner.set_list_limit(which, list)).or_raise(py)
    }

    /// Sets a limit; `None` lifts it.
    fn set_limit(&self, py: Python<'_>, which: &Bound<'_, PyAny>, value: Option<u64>) -> PyResult<()> {
        let (inner, which) = (self.inner(py)?, one_of("limit", which, &numbers())?);
        py.detach(|| inner.set_limit(which, value)).or_raise(py)
    }

    /// Sets a limit of what it may change in memory; `None` is the default.
    fn set_changes_limit(&self, py: Python<'_>, which: &Bound<'_, PyAny>, value: Option<u64>) -> PyResult<()> {
        let (inner, which) = (self.inner(py)?, one_of("limit", which, &changes())?);
        py.detach(|| inner.set_changes_limit(which, value)).or_raise(py)
    }

    /// Such a limit.
    fn changes_limit(&self, py: Python<'_>, which: &Bound<'_, PyAny>) -> PyResult<Option<u64>> {
        let (inner, which) = (self.inner(py)?, one_of("limit", which, &changes())?);
        py.detach(|| inner.changes_limit(which)).or_raise(py)
    }

    /// What it uses.
    fn stats(&self, py: Python<'_>) -> PyResult<StatsParts> {
        let inner = self.inner(py)?;
        let ctr::Stats { memory, cpu, pids, io, oom_kills, pressure, .. } = py.detach(|| inner.stats()).or_raise(py)?;
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        let stall = |it: ctr::Stall| [it.avg10, it.avg60, it.avg300, it.total.as_secs_f64()];
        Ok((
            [memory.current, memory.peak, memory.anon, memory.file, memory.kernel, memory.sock, memory.shmem],
            (seconds(cpu.user), seconds(cpu.system), seconds(cpu.throttled), cpu.periods, cpu.throttled_periods),
            pids.current,
            [io.read, io.written],
            oom_kills,
            [pressure.memory, pressure.cpu, pressure.io].map(|it| it.map(|it| (stall(it.some), it.full.map(stall)))),
        ))
    }

    /// Watches it for the kinds of events with these names; for all that can be told if there are none.
    fn watch(&self, py: Python<'_>, kinds: Vec<String>) -> PyResult<Watch> {
        let (inner, kinds) = (self.inner(py)?, watch::kinds(&kinds)?);
        py.detach(|| inner.watch(&kinds)).or_raise(py).map(Watch::new)
    }

    /// What was asked for and could not be had, a sentence each.
    fn warnings(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(self.inner(py)?.warnings().to_vec())
    }

    /// What was done to make it, as shell commands.
    fn explain(&self, py: Python<'_>) -> PyResult<String> {
        let inner = self.inner(py)?;
        py.detach(|| inner.explain()).or_raise(py)
    }

    /// Every wall: name, state, says, why.
    fn walls(&self, py: Python<'_>) -> PyResult<Vec<WallParts>> {
        let inner = self.inner(py)?;
        let walls = py.detach(|| inner.walls()).or_raise(py)?;
        Ok(walls.into_iter().map(|wall| (wall.name, wall.state.name(), wall.says, wall.why)).collect())
    }

    /// All that is known of it, as JSON.
    fn inspect(&self, py: Python<'_>) -> PyResult<String> {
        let inner = self.inner(py)?;
        Ok(py.detach(|| inner.inspect()).or_raise(py)?.to_json())
    }

    /// Writes its root as a tar archive, to a path or by `write` of a file object; how many bytes.
    #[pyo3(signature = (target, options, progress=None))]
    fn export(
        &self,
        py: Python<'_>,
        target: &Bound<'_, PyAny>,
        options: &Bound<'_, PyDict>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<u64> {
        let (inner, options) = (self.inner(py)?, export_options(options)?);
        let export = |output: Output<'_>, report: Report<'_>| inner.export(output, &options, report);
        stream::export(py, target, Listener::new(progress), export)
    }

    /// What it has changed of its image: paths, each with 0 (added), 1 (changed) or 2 (deleted).
    fn diff(&self, py: Python<'_>) -> PyResult<Differences> {
        let inner = self.inner(py)?;
        let mut listener = Listener::new(None);
        let answer = py.detach(|| ctr::Client::new().with_report(|done| listener.hear(done)).diff(&inner));
        listener.answer(answer.or_raise(py)).map(differences)
    }

    /// What it has changed beneath a scratch mount.
    fn diff_scratch(&self, py: Python<'_>, target: Bytes) -> PyResult<Differences> {
        let inner = self.inner(py)?;
        let mut listener = Listener::new(None);
        let client = ctr::Client::new();
        let answer = py.detach(|| client.with_report(|done| listener.hear(done)).diff_scratch(&inner, target.0));
        listener.answer(answer.or_raise(py)).map(differences)
    }

    /// Carries that over to the host: what was applied, what was in conflict, what was left out.
    fn apply_scratch(&self, py: Python<'_>, target: Bytes, conflicts: &Bound<'_, PyAny>) -> PyResult<[Differences; 3]> {
        let how = [("refuse", Conflicts::Refuse), ("keep", Conflicts::Keep), ("overwrite", Conflicts::Overwrite)];
        let (inner, how) = (self.inner(py)?, one_of("conflicts", conflicts, &how)?);
        let mut listener = Listener::new(None);
        let client = ctr::Client::new();
        let answer = py.detach(|| client.with_report(|done| listener.hear(done)).apply_scratch(&inner, target.0, how));
        let applied = listener.answer(answer.or_raise(py))?;
        Ok([applied.changes, applied.conflicts, applied.left_out].map(differences))
    }

    /// Drops it.
    fn discard_scratch(&self, py: Python<'_>, target: Bytes) -> PyResult<()> {
        let inner = self.inner(py)?;
        py.detach(|| inner.discard_scratch(target.0)).or_raise(py)
    }

    /// Makes an image of its files.
    #[pyo3(signature = (options, progress=None))]
    fn commit(&self, py: Python<'_>, options: &Bound<'_, PyDict>, progress: Option<Py<PyAny>>) -> PyResult<ImageParts> {
        let (inner, options, mut listener) = (self.inner(py)?, make_options(options)?, Listener::new(progress));
        let answer = py.detach(|| inner.commit(&options, &mut |done| listener.hear(done)));
        listener.answer(answer.or_raise(py)).map(image::parts)
    }

    /// Makes an image of its changes as they lie there.
    #[pyo3(signature = (options, progress=None))]
    fn snapshot(
        &self,
        py: Python<'_>,
        options: &Bound<'_, PyDict>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<ImageParts> {
        let (inner, options, mut listener) = (self.inner(py)?, make_options(options)?, Listener::new(progress));
        let answer = py.detach(|| inner.snapshot(&options, &mut |done| listener.hear(done)));
        listener.answer(answer.or_raise(py)).map(image::parts)
    }

    /// The store that its image is in.
    fn store_dir(&self, py: Python<'_>) -> PyResult<OsString> {
        Ok(self.inner(py)?.store_dir().as_os_str().to_owned())
    }

    /// Sends a signal to every program inside.
    fn kill_all(&self, py: Python<'_>, signal: i32) -> PyResult<()> {
        let inner = self.inner(py)?;
        py.detach(|| inner.kill_all(signal)).or_raise(py)
    }

    /// Mounts something into it.
    fn mount(&self, py: Python<'_>, mount: &Bound<'_, PyAny>) -> PyResult<()> {
        let (inner, mount) = (self.inner(py)?, convert::mount(mount)?);
        py.detach(|| inner.mount(&mount)).or_raise(py)
    }

    /// What was mounted into it.
    fn mounts(&self, py: Python<'_>) -> PyResult<Vec<MountParts>> {
        let inner = self.inner(py)?;
        let mounts = py.detach(|| inner.mounts()).or_raise(py)?;
        let parts = |it: ctr::MountInfo| {
            (it.target.into_os_string(), it.source.map(PathBuf::into_os_string), it.kind, it.read_only, it.live)
        };
        Ok(mounts.into_iter().map(parts).collect())
    }

    /// Takes off what was mounted there.
    fn unmount(&self, py: Python<'_>, target: Bytes, lazy: bool) -> PyResult<()> {
        let inner = self.inner(py)?;
        py.detach(|| inner.unmount(target.0, lazy)).or_raise(py)
    }

    /// A socket's descriptor, connected to this address inside.
    fn connect(
        &self,
        py: Python<'_>,
        datagrams: bool,
        address: Bytes,
        port: u16,
        timeout: Option<f64>,
    ) -> PyResult<i32> {
        let (inner, end) = (self.inner(py)?, deadline(timeout)?);
        let mut connecting = py.detach(|| inner.connecting(kind(datagrams), &address.0, port)).or_raise(py)?;
        loop {
            py.check_signals()?;
            let left = end.map_or(SOCKET_SLICE, |end| end.saturating_duration_since(Instant::now()));
            if left < SOCKET_SLICE {
                return py.detach(|| connecting.finish(Some(left))).map(IntoRawFd::into_raw_fd).or_raise(py);
            }
            match py.detach(|| connecting.wait(Some(SOCKET_SLICE))).or_raise(py)? {
                Ok(socket) => return Ok(socket.into_raw_fd()),
                Err(again) => connecting = again,
            }
        }
    }

    /// A socket's descriptor that listens inside.
    fn listen(&self, py: Python<'_>, datagrams: bool, address: Bytes, port: u16) -> PyResult<i32> {
        let inner = self.inner(py)?;
        py.detach(|| inner.listen(kind(datagrams), &address.0, port)).map(IntoRawFd::into_raw_fd).or_raise(py)
    }

    /// Waits until something listens inside, at most `timeout` seconds.
    fn wait_for_port(&self, py: Python<'_>, address: Bytes, port: u16, timeout: Option<f64>) -> PyResult<()> {
        let (inner, end) = (self.inner(py)?, deadline(timeout)?);
        loop {
            py.check_signals()?;
            let left = end.map_or(SOCKET_SLICE, |end| end.saturating_duration_since(Instant::now()));
            match py.detach(|| inner.wait_for_port(&address.0, port, Some(left.min(SOCKET_SLICE)))) {
                Err(error) if error.code() == ErrorCode::TimedOut && left > SOCKET_SLICE => {}
                there => return there.or_raise(py),
            }
        }
    }

    /// A descriptor of a file or directory inside.
    fn open(&self, py: Python<'_>, path: Bytes, flags: i32, mode: u32, user: Option<String>) -> PyResult<i32> {
        let inner = self.inner(py)?;
        let opened = py.detach(|| inner.open(&path.0, flags, mode, user.as_deref()));
        opened.map(IntoRawFd::into_raw_fd).or_raise(py)
    }

    /// What stat(2) tells of a file inside.
    fn stat(&self, py: Python<'_>, path: Bytes, follow: bool) -> PyResult<StatParts> {
        let inner = self.inner(py)?;
        let it = py.detach(|| inner.stat(&path.0, follow)).or_raise(py)?;
        let first = (it.mode, it.ino, it.dev, it.nlink, it.uid, it.gid, it.size);
        Ok((first, [it.atime, it.mtime, it.ctime], (it.blksize, it.blocks, it.rdev)))
    }

    /// The names in a directory inside.
    fn list_dir(&self, py: Python<'_>, path: Bytes) -> PyResult<Vec<OsString>> {
        let inner = self.inner(py)?;
        py.detach(|| inner.list_dir(&path.0)).or_raise(py)
    }

    /// Copies a path of the host, or what is read from a descriptor as a tar archive, to a path inside.
    fn copy_in(&self, py: Python<'_>, source: Bytes, fd: Option<i32>, target: Bytes, archive: bool) -> PyResult<()> {
        let (inner, mut listener) = (self.inner(py)?, Listener::new(None));
        let report = &mut |done| listener.hear(done);
        let answer = match fd {
            Some(fd) => {
                let mut input = stream::borrowed(fd)?;
                py.detach(|| inner.copy_in_tar(&mut input, &target.0, archive, report))
            }
            None => py.detach(|| inner.copy_in(&source.0, &target.0, archive, report)),
        };
        listener.answer(answer.or_raise(py))
    }

    /// Copies a path inside to one of the host, or writes it to a descriptor as a tar archive.
    fn copy_out(&self, py: Python<'_>, source: Bytes, target: Bytes, fd: Option<i32>, archive: bool) -> PyResult<()> {
        let (inner, mut listener) = (self.inner(py)?, Listener::new(None));
        let report = &mut |done| listener.hear(done);
        let answer = match fd {
            Some(fd) => {
                let mut output = stream::borrowed(fd)?;
                py.detach(|| inner.copy_out_tar(&source.0, &mut output).map(drop))
            }
            None => py.detach(|| inner.copy_out(&source.0, &target.0, archive, report)),
        };
        listener.answer(answer.or_raise(py))
    }

    /// Publishes a port of it at one of the host.
    fn publish(&self, py: Python<'_>, address: Bytes, port: u16, to: Bytes, to_port: u16) -> PyResult<PortParts> {
        let inner = self.inner(py)?;
        py.detach(|| inner.publish(&address.0, port, &to.0, to_port)).map(port_parts).or_raise(py)
    }

    /// Ends what was published there.
    fn unpublish(&self, py: Python<'_>, address: Bytes, port: u16) -> PyResult<()> {
        let inner = self.inner(py)?;
        py.detach(|| inner.unpublish(&address.0, port)).or_raise(py)
    }

    /// The ports of the host that lead into it.
    fn ports(&self, py: Python<'_>) -> PyResult<Vec<PortParts>> {
        let inner = self.inner(py)?;
        let ports = py.detach(|| inner.ports()).or_raise(py)?;
        Ok(ports.into_iter().map(port_parts).collect())
    }

    /// The named networks that it is in, and its addresses there.
    fn addresses(&self, py: Python<'_>) -> PyResult<Vec<(String, Vec<String>)>> {
        let inner = self.inner(py)?;
        let addresses = py.detach(|| inner.addresses()).or_raise(py)?;
        let texts = |(name, addresses): (String, Vec<IpAddr>)| {
            (name, addresses.into_iter().map(|address| address.to_string()).collect())
        };
        Ok(addresses.into_iter().map(texts).collect())
    }

    /// Stops all processes, or none where that takes longer than `timeout` seconds.
    fn pause(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        let (inner, end) = (self.inner(py)?, deadline(timeout)?);
        loop {
            py.check_signals()?;
            let left = end.map_or(PAUSE_SLICE, |end| end.saturating_duration_since(Instant::now()));
            match py.detach(|| inner.pause(Some(left.min(PAUSE_SLICE)))) {
                Err(error) if error.code() == ErrorCode::TimedOut && left > PAUSE_SLICE => {}
                paused => return paused.or_raise(py),
            }
        }
    }

    /// Lets all processes go on.
    fn resume(&self, py: Python<'_>) -> PyResult<()> {
        let inner = self.inner(py)?;
        py.detach(|| inner.resume()).or_raise(py)
    }

    /// Whether they stand still.
    fn paused(&self, py: Python<'_>) -> PyResult<bool> {
        let inner = self.inner(py)?;
        py.detach(|| inner.paused()).or_raise(py)
    }

    /// Asks its programs to end, waits for them until `timeout` seconds have passed, and destroys it.
    fn stop(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        let Ok(inner) = self.inner(py) else { return Ok(()) };
        let end = deadline(timeout)?;
        let stopping = py.detach(|| inner.ask_to_stop()).or_raise(py)?;
        loop {
            py.check_signals()?;
            let left = end.map_or(STOP_SLICE, |end| end.saturating_duration_since(Instant::now()));
            if py.detach(|| stopping.wait(left.min(STOP_SLICE))).or_raise(py)? || left.is_zero() {
                break;
            }
        }
        py.detach(|| inner.destroy()).or_raise(py)
    }

    /// Kills, reaps and removes all; a second time, or of a closed handle, does nothing.
    fn destroy(&self, py: Python<'_>) -> PyResult<()> {
        let Ok(inner) = self.inner(py) else { return Ok(()) };
        py.detach(|| inner.destroy()).or_raise(py)
    }

    /// Releases the handle.
    fn close(&self, py: Python<'_>) {
        self.release(py);
    }
}

/// How long a container that is being stopped is waited for between two looks at Python's signals.
const STOP_SLICE: Duration = Duration::from_millis(200);

/// How `ports` tells of one: address and port of the host, address and port inside, whether it runs.
type PortParts = (String, u16, String, u16, bool);

fn port_parts(port: ctr::Port) -> PortParts {
    let ip = |at: std::net::SocketAddr| at.ip().to_string();
    (ip(port.address), port.address.port(), ip(port.to), port.to.port(), port.running)
}

/// How long a socket is waited for between two looks at Python's signals.
const SOCKET_SLICE: Duration = Duration::from_millis(500);

fn kind(datagrams: bool) -> SocketType {
    if datagrams { SocketType::Datagram } else { SocketType::Stream }
}

/// How long a pause goes on between two looks at Python's signals: what was stopped by then goes on for a moment.
const PAUSE_SLICE: Duration = Duration::from_secs(10);

/// PID 1 counts whole milliseconds.
fn is_over(end: Instant) -> bool {
    end <= Instant::now() + Duration::from_millis(50)
}

impl Container {
    fn new(container: ctr::Container) -> Self {
        let name = container.name().to_owned();
        Self { inner: Mutex::new(Some(Arc::new(container))), name }
    }

    fn start(&self, py: Python<'_>, argv: Vec<Bytes>, options: Option<&Bound<'_, PyDict>>) -> PyResult<ctr::Process> {
        let (inner, config) = (self.inner(py)?, exec_config(options)?);
        py.detach(|| inner.exec(argv.iter().map(|word| &word.0), &config)).or_raise(py)
    }

    fn inner(&self, py: Python<'_>) -> PyResult<Arc<ctr::Container>> {
        let held = self.inner.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let closed = || {
            Error::new(ErrorCode::Destroyed, Step::UseContainer, &self.name, nix::libc::EBADF, "its handle is closed")
        };
        held.ok_or_else(closed).or_raise(py)
    }

    fn release(&self, py: Python<'_>) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner).take();
        py.detach(|| drop(inner));
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Without an interpreter (it is being torn down) the process ends, and its containers with it.
        let _ = Python::try_attach(|py| self.release(py));
    }
}

/// The plan for `image`, as shell commands. Nothing is made but the image, of whose import `progress` hears.
#[pyfunction]
#[pyo3(signature = (image, options, progress=None))]
pub fn explain(
    py: Python<'_>,
    image: Bytes,
    options: &Bound<'_, PyDict>,
    progress: Option<Py<PyAny>>,
) -> PyResult<String> {
    let (config, mut listener) = (config(options)?, Listener::new(progress));
    let answer = py.detach(|| ctr::Client::new().with_report(|done| listener.hear(done)).explain(image.0, &config));
    listener.answer(answer.or_raise(py))
}

/// Ends a container by its name, whatever its record is like.
#[pyfunction]
#[pyo3(signature = (name, state_dir=None))]
pub fn destroy(py: Python<'_>, name: &str, state_dir: Option<PathBuf>) -> PyResult<()> {
    py.detach(|| client(state_dir).destroy_named(name)).or_raise(py)
}

/// The running containers of this user, oldest first.
#[pyfunction]
#[pyo3(signature = (state_dir=None))]
pub fn containers(py: Python<'_>, state_dir: Option<PathBuf>) -> PyResult<Vec<InfoParts>> {
    let found = py.detach(|| client(state_dir).list());
    let told = |info: ctr::ContainerInfo| {
        let created = info.created.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        (info.name, info.image, info.pid, info.owner, created, info.detached, info.paused)
    };
    Ok(found.or_raise(py)?.into_iter().map(told).collect())
}

/// How `networks` tells of one: name, subnet, subnet of IPv6, bridge, members.
type NetworkParts = (String, String, Option<String>, String, Vec<String>);

fn network_parts(network: ctr::NamedNetwork) -> NetworkParts {
    (network.name, network.subnet, network.ipv6, network.bridge, network.members)
}

/// A named network, made where it isn't there.
#[pyfunction]
#[pyo3(signature = (name, subnet, ipv6, state_dir=None))]
pub fn network(
    py: Python<'_>,
    name: &str,
    subnet: Option<&str>,
    ipv6: Option<&str>,
    state_dir: Option<PathBuf>,
) -> PyResult<NetworkParts> {
    py.detach(|| client(state_dir).network(name, subnet, ipv6)).or_raise(py).map(network_parts)
}

/// The named networks.
#[pyfunction]
#[pyo3(signature = (state_dir=None))]
pub fn networks(py: Python<'_>, state_dir: Option<PathBuf>) -> PyResult<Vec<NetworkParts>> {
    let found = py.detach(|| client(state_dir).networks()).or_raise(py)?;
    Ok(found.into_iter().map(network_parts).collect())
}

/// Removes a named network.
#[pyfunction]
#[pyo3(signature = (name, state_dir=None))]
pub fn remove_network(py: Python<'_>, name: &str, state_dir: Option<PathBuf>) -> PyResult<()> {
    py.detach(|| client(state_dir).remove_network(name)).or_raise(py)
}

fn client<'r>(state_dir: Option<PathBuf>) -> ctr::Client<'r> {
    state_dir.map_or_else(ctr::Client::new, |directory| ctr::Client::new().with_state_dir(directory))
}
