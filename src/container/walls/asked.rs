//! What a caller has asked for of a container's walls, apart from the preset: it is in the container's record, so that whoever
//! joins it is told why a wall stands or not. Nothing of it is trusted for more than words.

use serde::{Deserialize, Serialize};

use crate::container::namespaces::KINDS;
use crate::security::chosen_capabilities;
use crate::{CgroupPolicy, Config, DeviceList, Namespace, Preset, Refusal, Seccomp, TimeOffset, TimeOffsets};

/// As in [`Config`]; what was left open is not written down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Asked {
    #[serde(skip_serializing_if = "is_default")]
    pub preset: Preset,
    /// Kinds, by their names in /proc/PID/ns, and where they come from.
    #[serde(skip_serializing_if = "is_default")]
    pub namespaces: Vec<(String, String)>,
    /// As in /proc/PID/timens_offsets.
    #[serde(skip_serializing_if = "is_default")]
    pub time_offsets: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub capabilities: Option<u64>,
    #[serde(skip_serializing_if = "is_default")]
    pub new_privileges: bool,
    /// The name of a profile.
    #[serde(skip_serializing_if = "is_default")]
    pub seccomp: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub refusal: Option<String>,
    /// As docker writes them.
    #[serde(skip_serializing_if = "is_default")]
    pub devices: Vec<String>,
    /// "required" or "off".
    #[serde(skip_serializing_if = "is_default")]
    pub device_list: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub apparmor: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub selinux: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub masked_paths: Option<bool>,
    #[serde(skip_serializing_if = "is_default")]
    pub landlock: Option<bool>,
    #[serde(skip_serializing_if = "is_default")]
    pub read_only: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub memory: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub pids: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub no_cgroup: bool,
    /// As `nofile=1024:4096`.
    #[serde(skip_serializing_if = "is_default")]
    pub rlimits: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub sysctls: Vec<(String, String)>,
}

/// A profile that lets everything through.
pub const UNCONFINED: &str = "unconfined";
/// A refusal that refuses nothing.
pub const LOG: &str = "log";
/// Where a namespace comes from that is not new: the caller's own.
pub const HOST: &str = "host";

/// What is not written down.
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Asked {
    /// Of a configuration as the caller gave it.
    pub fn of(config: &Config) -> Self {
        let source = |namespace: &Namespace| match namespace {
            Namespace::New => "new".into(),
            Namespace::Host => HOST.into(),
            Namespace::Pid(pid) => format!("process {pid}"),
            Namespace::Path(path) => path.display().to_string(),
            Namespace::Container(name) => format!("container {name}"),
        };
        // The host's clocks are the default, new namespaces of all other kinds.
        let chosen = |kind: &str, namespace: &Namespace| kind == "time" || *namespace != Namespace::New;
        let namespaces = KINDS.iter().filter_map(|kind| {
            let namespace = kind.of(&config.namespaces)?;
            chosen(kind.name, namespace).then(|| (kind.name.into(), source(namespace)))
        });
        Self {
            preset: config.preset,
            namespaces: namespaces.collect(),
            time_offsets: (config.time_offsets != TimeOffsets::default()).then(|| {
                let [monotonic, boottime] = [config.time_offsets.monotonic, config.time_offsets.boottime];
                let line = |clock: &str, it: TimeOffset| format!("{clock} {} {}", it.secs, it.nanosecs);
                [line("monotonic", monotonic), line("boottime", boottime)].join("\n")
            }),
            // Names that there are not are refused elsewhere.
            capabilities: chosen_capabilities(config).unwrap_or(config.capabilities),
            new_privileges: config.new_privileges,
            seccomp: config.seccomp.as_ref().map(|choice| match choice {
                Seccomp::Default => "default".into(),
                Seccomp::Strict => "strict".into(),
                Seccomp::File(path) => path.display().to_string(),
                Seccomp::Json(_) => "JSON".into(),
                Seccomp::Unconfined => UNCONFINED.into(),
            }),
            refusal: config.seccomp_refusal.map(|refusal| match refusal {
                Refusal::Errno(errno) => format!("{:?}", nix::errno::Errno::from_raw(errno.into())),
                Refusal::KillProcess => "kill-process".into(),
                Refusal::KillThread => "kill-thread".into(),
                Refusal::Trap => "trap".into(),
                Refusal::Trace(message) => format!("trace {message}"),
                Refusal::Log => LOG.into(),
            }),
            devices: config.devices.iter().map(ToString::to_string).collect(),
            device_list: match config.device_list {
                DeviceList::Auto => None,
                DeviceList::Required => Some("required".into()),
                DeviceList::Off => Some("off".into()),
            },
            apparmor: config.labels.apparmor.clone(),
            selinux: config.labels.selinux.clone(),
            masked_paths: config.masked_paths,
            landlock: config.landlock,
            read_only: config.read_only,
            memory: config.memory.is_some(),
            pids: config.pids.is_some(),
            no_cgroup: config.cgroup == CgroupPolicy::Off,
            rlimits: config.rlimits.iter().map(ToString::to_string).collect(),
            sysctls: config.sysctls.clone(),
        }
    }

    /// Where the namespace of this kind comes from, where the caller has said so.
    pub fn namespace(&self, kind: &str) -> Option<&str> {
        self.namespaces.iter().find(|(name, _)| name == kind).map(|(_, source)| source.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_of_which_nothing_was_asked_has_nothing_written_down() {
        assert_eq!(serde_json::to_string(&Asked::of(&Config::default())).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<Asked>("{}").unwrap(), Asked::default());
    }

    #[test]
    fn what_was_asked_comes_back_from_a_record() {
        let mut config = Config { preset: Preset::Privileged, pids: Some(3), ..Config::default() };
        config.namespaces.net = Namespace::Host;
        config.namespaces.time = Some(Namespace::New);
        config.seccomp_refusal = Some(Refusal::Errno(libc::EACCES as u16));
        config.rlimits = vec![crate::Rlimit::new("nofile", Some(50), Some(60)).unwrap()];
        let asked = Asked::of(&config);
        assert_eq!((asked.namespace("net"), asked.namespace("time")), (Some("host"), Some("new")));
        assert_eq!((asked.refusal.as_deref(), asked.rlimits[0].as_str()), (Some("EACCES"), "nofile=50:60"));
        let text = serde_json::to_string(&asked).unwrap();
        assert_eq!(serde_json::from_str::<Asked>(&text).unwrap(), asked);
    }
}
