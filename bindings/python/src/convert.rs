//! Python's keywords as the core's [`Config`] and [`ExecConfig`]. An option that is not given stays at the core's
//! default; what a value means is for the core to judge.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use ctr::{
    CgroupPolicy, Config, Device, DeviceList, DirectoryUse, ExecConfig, Mount, Namespace, Namespaces, Preset, Refusal,
    Rlimit, Seccomp, Session, Stdio, TimeOffset, TimeOffsets, Upper, Winsize,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::error::Raise;

/// A str, bytes or path, as the bytes that the kernel takes (`os.fsencode`).
pub struct Bytes(pub OsString);

impl FromPyObject<'_, '_> for Bytes {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        if let Ok(text) = object.extract::<OsString>() {
            return Ok(Self(text));
        }
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Self(OsString::from_vec(bytes.as_bytes().to_vec())));
        }
        let path = object.py().import("os")?.call_method1("fsencode", (object,))?;
        Ok(Self(OsString::from_vec(path.cast::<PyBytes>()?.as_bytes().to_vec())))
    }
}

impl Bytes {
    fn path(self) -> PathBuf {
        self.0.into()
    }
}

impl From<Bytes> for PathBuf {
    fn from(path: Bytes) -> Self {
        path.path()
    }
}

/// Name and value.
type Pair = (Bytes, Bytes);

/// The core's configuration of a container, from what `ctr._options` collected.
pub fn config(options: &Bound<'_, PyDict>) -> PyResult<Config> {
    let mut config = Config::default();
    each(options, |key, value| {
        match key {
            "name" => config.name = Some(value.extract()?),
            "hostname" => config.hostname = Some(value.extract()?),
            "env" => config.env = environment(&value)?,
            "mounts" => config.mounts = value.try_iter()?.map(|item| mount(&item?)).collect::<PyResult<_>>()?,
            "memory" => config.memory = Some(value.extract()?),
            "pids" => config.pids = Some(value.extract()?),
            "cpus" => config.cpus = Some(value.extract()?),
            "cgroup" => config.cgroup = one_of("cgroup policy", &value, &CGROUP)?,
            "cgroup_parent" => config.cgroup_parent = Some(value.extract::<Bytes>()?.path()),
            "namespaces" => namespaces(&mut config.namespaces, value.cast()?)?,
            "time_offsets" => config.time_offsets = time_offsets(value.cast()?)?,
            "devices" => config.devices = value.try_iter()?.map(|item| device(&item?)).collect::<PyResult<_>>()?,
            "device_list" => config.device_list = one_of("device list", &value, &DEVICE_LIST)?,
            "apparmor" => config.apparmor = Some(value.extract()?),
            "selinux" => config.selinux = Some(value.extract()?),
            "selinux_mounts" => config.selinux_mounts = Some(value.extract()?),
            "labels_optional" => config.labels_optional = value.extract()?,
            "read_only" => config.read_only = value.extract()?,
            "upper" => config.upper = one_of("place for changes", &value, &UPPER)?,
            "upper_size" => config.upper_size = Some(value.extract()?),
            "etc_files" => config.etc_files = value.extract()?,
            "directory" => config.directory = one_of("use of a directory", &value, &DIRECTORY)?,
            "detached" => config.detached = value.extract()?,
            "preset" => config.preset = one_of("preset", &value, &PRESET)?,
            "seccomp" => config.seccomp = Some(seccomp(&value)?),
            "seccomp_refusal" => config.seccomp_refusal = Some(refusal(&value)?),
            "rlimits" => config.rlimits = value.try_iter()?.map(|item| rlimit(&item?)).collect::<PyResult<_>>()?,
            "sysctls" => config.sysctls = value.extract()?,
            "cap_add" => config.cap_add = value.extract()?,
            "cap_drop" => config.cap_drop = value.extract()?,
            "capabilities" => config.capabilities = Some(value.extract()?),
            "new_privileges" => config.new_privileges = value.extract()?,
            "masked_paths" => config.masked_paths = value.extract()?,
            "landlock" => config.landlock = value.extract()?,
            "state_dir" => config.state_dir = Some(value.extract::<Bytes>()?.path()),
            "store_dir" => config.store_dir = Some(value.extract::<Bytes>()?.path()),
            other => return Err(unknown("option", other)),
        }
        Ok(())
    })?;
    Ok(config)
}

/// The core's configuration of a process.
pub fn exec_config(options: Option<&Bound<'_, PyDict>>) -> PyResult<ExecConfig> {
    let mut config = ExecConfig::default();
    let Some(options) = options else { return Ok(config) };
    each(options, |key, value| {
        match key {
            "env" => config.env = environment(&value)?,
            "clear_env" => config.clear_env = value.extract()?,
            "cwd" => config.cwd = Some(value.extract::<Bytes>()?.path()),
            "user" => config.user = Some(value.extract()?),
            "groups" => config.groups = Some(value.extract()?),
            "umask" => config.umask = Some(value.extract()?),
            "program" => config.program = Some(value.extract::<Bytes>()?.0),
            "stdin" => config.stdin = stdio(&value)?,
            "stdout" => config.stdout = stdio(&value)?,
            "stderr" => config.stderr = stdio(&value)?,
            "fds" => config.fds = value.extract()?,
            "pty" => {
                let (rows, cols) = value.extract()?;
                config.pty = Some(Winsize { rows, cols });
            }
            "process_group" => config.session = session(value.extract()?),
            "start_timeout" => {
                config.start_timeout = Some(Duration::try_from_secs_f64(value.extract()?).map_err(out_of_range)?)
            }
            "time_limit" => {
                config.time_limit = Some(Duration::try_from_secs_f64(value.extract()?).map_err(out_of_range)?)
            }
            other => return Err(unknown("option", other)),
        }
        Ok(())
    })?;
    Ok(config)
}

/// Takes each option. Where its value has the wrong type, the error names the option, as `int` alone would tell nobody.
fn each<'py>(
    options: &Bound<'py, PyDict>,
    mut take: impl FnMut(&str, Bound<'py, PyAny>) -> PyResult<()>,
) -> PyResult<()> {
    for (key, value) in options {
        let key = key.extract::<String>()?;
        take(&key, value).map_err(|error| {
            let py = options.py();
            if error.get_type(py).is(py.get_type::<PyTypeError>()) {
                return PyTypeError::new_err(format!("{key}: {}", error.value(py)));
            }
            error
        })?;
    }
    Ok(())
}

const CGROUP: [(&str, CgroupPolicy); 4] = [
    ("auto", CgroupPolicy::Auto),
    ("required", CgroupPolicy::Required),
    ("optional", CgroupPolicy::Optional),
    ("off", CgroupPolicy::Off),
];
const DEVICE_LIST: [(&str, DeviceList); 3] =
    [("auto", DeviceList::Auto), ("required", DeviceList::Required), ("off", DeviceList::Off)];
const UPPER: [(&str, Upper); 2] = [("memory", Upper::Memory), ("disk", Upper::Disk)];
const DIRECTORY: [(&str, DirectoryUse); 2] = [("lower", DirectoryUse::Lower), ("direct", DirectoryUse::Direct)];
const PRESET: [(&str, Preset); 3] =
    [("default", Preset::Default), ("strict", Preset::Strict), ("privileged", Preset::Privileged)];

pub fn one_of<T: Copy>(what: &str, value: &Bound<'_, PyAny>, all: &[(&str, T)]) -> PyResult<T> {
    let name: String = value.extract()?;
    let found = all.iter().find(|(known, _)| *known == name);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|(known, _)| *known).collect();
        PyValueError::new_err(format!("unknown {what}: {name:?}; there are {}", names.join(", ")))
    })
}

fn environment(value: &Bound<'_, PyAny>) -> PyResult<Vec<(OsString, OsString)>> {
    let pairs: Vec<Pair> = value.extract()?;
    Ok(pairs.into_iter().map(|(name, value)| (name.0, value.0)).collect())
}

/// `("bind", source, target, read_only)` or `("tmpfs", target, size, mode)`.
fn mount(item: &Bound<'_, PyAny>) -> PyResult<Mount> {
    match item.get_item(0)?.extract::<String>()?.as_str() {
        "bind" => {
            let (_, source, target, read_only): (String, Bytes, Bytes, bool) = item.extract()?;
            Ok(Mount::Bind { source: source.path(), target: target.path(), read_only })
        }
        "tmpfs" => {
            let (_, target, size, mode): (String, Bytes, Option<u64>, Option<u32>) = item.extract()?;
            Ok(Mount::Tmpfs { target: target.path(), size, mode })
        }
        other => Err(unknown("kind of mount", other)),
    }
}

fn namespaces(chosen: &mut Namespaces, kinds: &Bound<'_, PyDict>) -> PyResult<()> {
    for (kind, source) in kinds {
        let source = namespace(&source)?;
        match kind.extract::<String>()?.as_str() {
            "mount" => chosen.mount = source,
            "pid" => chosen.pid = source,
            "user" => chosen.user = source,
            "uts" => chosen.uts = source,
            "ipc" => chosen.ipc = source,
            "cgroup" => chosen.cgroup = source,
            "net" => chosen.net = source,
            "time" => chosen.time = Some(source),
            other => return Err(unknown("kind of namespace", other)),
        }
    }
    Ok(())
}

/// `("new", None)`, `("host", None)`, `("pid", 1)`, `("path", "/proc/1/ns/net")` or `("container", "name")`.
fn namespace(source: &Bound<'_, PyAny>) -> PyResult<Namespace> {
    let value = source.get_item(1)?;
    match source.get_item(0)?.extract::<String>()?.as_str() {
        "new" => Ok(Namespace::New),
        "host" => Ok(Namespace::Host),
        "pid" => Ok(Namespace::Pid(value.extract()?)),
        "path" => Ok(Namespace::Path(value.extract::<Bytes>()?.path())),
        "container" => Ok(Namespace::Container(value.extract()?)),
        other => Err(unknown("source of a namespace", other)),
    }
}

/// For each clock seconds and nanoseconds.
fn time_offsets(clocks: &Bound<'_, PyDict>) -> PyResult<TimeOffsets> {
    let mut offsets = TimeOffsets::default();
    for (clock, offset) in clocks {
        let (secs, nanosecs) = offset.extract()?;
        let offset = TimeOffset { secs, nanosecs };
        match clock.extract::<String>()?.as_str() {
            "monotonic" => offsets.monotonic = offset,
            "boottime" => offsets.boottime = offset,
            other => return Err(unknown("clock", other)),
        }
    }
    Ok(offsets)
}

/// `("default", None)`, `("strict", None)`, `("unconfined", None)`, `("file", path)` or `("json", text)`.
fn seccomp(profile: &Bound<'_, PyAny>) -> PyResult<Seccomp> {
    let value = profile.get_item(1)?;
    match profile.get_item(0)?.extract::<String>()?.as_str() {
        "default" => Ok(Seccomp::Default),
        "strict" => Ok(Seccomp::Strict),
        "unconfined" => Ok(Seccomp::Unconfined),
        "file" => Ok(Seccomp::File(value.extract::<Bytes>()?.path())),
        "json" => Ok(Seccomp::Json(value.extract()?)),
        other => Err(unknown("seccomp profile", other)),
    }
}

/// `("errno", 1)`, `("kill-process", 0)`, `("kill-thread", 0)`, `("trap", 0)`, `("trace", 1)` or `("log", 0)`.
fn refusal(action: &Bound<'_, PyAny>) -> PyResult<Refusal> {
    type Make = fn(u16) -> Refusal;
    const ACTIONS: [(&str, Make); 6] = [
        ("errno", Refusal::Errno),
        ("kill-process", |_| Refusal::KillProcess),
        ("kill-thread", |_| Refusal::KillThread),
        ("trap", |_| Refusal::Trap),
        ("trace", Refusal::Trace),
        ("log", |_| Refusal::Log),
    ];
    Ok(one_of("seccomp action", &action.get_item(0)?, &ACTIONS)?(action.get_item(1)?.extract()?))
}

/// `("nofile", soft, hard)`, `None` for no limit.
fn rlimit(limit: &Bound<'_, PyAny>) -> PyResult<Rlimit> {
    let (name, soft, hard): (String, Option<u64>, Option<u64>) = limit.extract()?;
    Rlimit::new(&name, soft, hard).or_raise(limit.py())
}

fn device(text: &Bound<'_, PyAny>) -> PyResult<Device> {
    text.extract::<String>()?.parse::<Device>().or_raise(text.py())
}

/// The numbers of `subprocess`: PIPE, STDOUT, DEVNULL, or a descriptor.
fn stdio(value: &Bound<'_, PyAny>) -> PyResult<Stdio> {
    match value.extract()? {
        -1 => Ok(Stdio::Pipe),
        -2 => Ok(Stdio::Stdout),
        -3 => Ok(Stdio::Null),
        fd if fd < 0 => Err(PyValueError::new_err(format!("{fd} is not a file descriptor"))),
        fd => Ok(Stdio::Fd(fd)),
    }
}

/// 0 is a new process group, as in `subprocess`.
fn session(process_group: i32) -> Session {
    if process_group == 0 { Session::Group } else { Session::Join(process_group) }
}

/// What Python says of a keyword that nobody knows.
pub fn unknown(what: &str, name: &str) -> PyErr {
    PyTypeError::new_err(format!("unknown {what}: {name:?}"))
}

fn out_of_range(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}
