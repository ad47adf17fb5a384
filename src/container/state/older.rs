//! What the records of earlier versions say of a container's configuration: the walls that were asked for, in words.

use serde::Deserialize;

use crate::{CgroupPolicy, Config, DeviceList, Namespace, Namespaces, Preset, Rlimit, Seccomp};

/// The field `asked` of records before `config` was there.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Older {
    preset: Preset,
    /// Kinds, by their names in /proc/PID/ns, and where they come from.
    namespaces: Vec<(String, String)>,
    capabilities: Option<u64>,
    new_privileges: bool,
    /// The name of a profile.
    seccomp: Option<String>,
    devices: Vec<String>,
    device_list: Option<String>,
    apparmor: Option<String>,
    selinux: Option<String>,
    masked_paths: Option<bool>,
    landlock: Option<bool>,
    read_only: bool,
    memory: bool,
    pids: bool,
    no_cgroup: bool,
    /// As `nofile=1024:4096`.
    rlimits: Vec<String>,
    sysctls: Vec<(String, String)>,
}

impl Older {
    /// As much of it as can be known: a limit was asked for, but not which; the kernel has it.
    pub fn config(self) -> Config {
        let mut namespaces = Namespaces::default();
        for (kind, from) in &self.namespaces {
            let from = match from.as_str() {
                "new" => Namespace::New,
                "host" => Namespace::Host,
                other => match other.split_once(' ') {
                    Some(("process", pid)) => pid.parse().map_or(Namespace::Host, Namespace::Pid),
                    Some(("container", name)) => Namespace::Container(name.into()),
                    _ => Namespace::Path(other.into()),
                },
            };
            namespaces.choose(kind, from);
        }
        // Limits that are above this process's own are none that it could ask for; the container has them.
        let limit = |text: &String| {
            let (name, values) = text.split_once('=')?;
            let (soft, hard) = values.split_once(':')?;
            Rlimit::try_from((name.to_string(), soft.parse().ok(), hard.parse().ok())).ok()
        };
        Config {
            preset: self.preset,
            namespaces,
            capabilities: self.capabilities,
            new_privileges: self.new_privileges,
            seccomp: self.seccomp.map(|profile| match profile.as_str() {
                "default" => Seccomp::Default,
                "strict" => Seccomp::Strict,
                "unconfined" => Seccomp::Unconfined,
                "JSON" => Seccomp::Json(String::new()),
                path => Seccomp::File(path.into()),
            }),
            devices: self.devices.iter().filter_map(|device| device.parse().ok()).collect(),
            device_list: match self.device_list.as_deref() {
                Some("required") => DeviceList::Required,
                Some("off") => DeviceList::Off,
                _ => DeviceList::Auto,
            },
            apparmor: self.apparmor,
            selinux: self.selinux,
            masked_paths: self.masked_paths,
            landlock: self.landlock,
            read_only: self.read_only,
            memory: self.memory.then_some(0),
            pids: self.pids.then_some(0),
            cgroup: if self.no_cgroup { CgroupPolicy::Off } else { CgroupPolicy::Auto },
            rlimits: self.rlimits.iter().filter_map(limit).collect(),
            sysctls: self.sysctls,
            ..Config::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walls_of_an_earlier_record_are_understood() {
        let text = r#"{"preset":"strict","namespaces":[["net","host"],["uts","process 7"],["time","new"],["ipc","container a b"]],
            "time_offsets":"monotonic 1 0","capabilities":3,"seccomp":"/p.json","refusal":"EACCES","devices":["/dev/fuse:/dev/fuse:rwm"],
            "memory":true,"no_cgroup":true,"rlimits":["nofile=50:60","core=0:unlimited"],"sysctls":[["a","b"]]}"#;
        let config = serde_json::from_str::<Older>(text).unwrap().config();
        let Namespaces { net, uts, time, ipc, pid, .. } = config.namespaces;
        assert_eq!((net, uts, time, pid), (Namespace::Host, Namespace::Pid(7), Some(Namespace::New), Namespace::New));
        assert_eq!(ipc, Namespace::Container("a b".into()));
        assert_eq!((config.preset, config.capabilities, config.memory.is_some()), (Preset::Strict, Some(3), true));
        assert_eq!((config.seccomp, config.cgroup), (Some(Seccomp::File("/p.json".into())), CgroupPolicy::Off));
        let limits: Vec<_> = config.rlimits.iter().map(ToString::to_string).collect();
        assert_eq!(limits, ["nofile=50:60", "core=0:unlimited"]);
        assert_eq!((config.devices.len(), config.sysctls.len()), (1, 1));
    }
}
