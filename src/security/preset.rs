//! The three presets: which walls stand, as data.

use super::rlimits::NO_CORE;
use super::seccomp::{Action, Profile};
use super::sysctl::{Own, Sysctl};
use super::{capabilities, labels, landlock};
use crate::{Config, Error, ErrorCode, Namespace, Preset, Refusal, Result, Rlimit, Seccomp, Step, UNLIMITED};

impl Seccomp {
    fn profile(&self) -> Result<Option<Profile>> {
        Ok(Some(match self {
            Self::Default => Profile::default_profile(),
            Self::Strict => Profile::strict(),
            Self::File(path) => Profile::from_file(path)?,
            Self::Json(text) => Profile::from_json(text, "given as text")?,
            Self::Unconfined => return Ok(None),
        }))
    }
}

impl Refusal {
    fn action(self) -> Result<Action> {
        Ok(match self {
            Self::Errno(errno) if errno == 0 || errno > 4095 => {
                return Err(Error::invalid(Step::RefuseSystemCalls, errno, "an errno is 1 to 4095"));
            }
            Self::Errno(errno) => Action::errno(errno),
            Self::KillProcess => Action::KILL_PROCESS,
            Self::KillThread => Action::KILL_THREAD,
            Self::Trap => Action::TRAP,
            Self::Trace(message) => Action::trace(message),
            Self::Log => Action::LOG,
        })
    }
}

/// Which walls stand around a container.
#[derive(Clone, Debug)]
pub(crate) struct Walls {
    /// The bounding set, and what root inside has.
    pub(crate) capabilities: u64,
    /// The system calls; every one where there is none.
    pub(crate) seccomp: Option<Profile>,
    /// The second wall of `landlock`, where the kernel has it.
    pub(crate) landlock: bool,
    /// Programs may gain privileges by setuid and file capabilities.
    pub(crate) new_privileges: bool,
    /// Parts of /proc and /sys are masked and read-only.
    pub(crate) masks: bool,
    /// The root is mounted read-only.
    pub(crate) read_only: bool,
    /// Namespaces may be shared with the host or joined.
    pub(crate) shared_namespaces: bool,
    /// A session keyring of its own, keyrings(7).
    pub(crate) own_keyring: bool,
    /// Most bytes of memory, where the caller says nothing.
    pub(crate) memory: Option<u64>,
    /// Most processes and threads, where the caller says nothing.
    pub(crate) pids: Option<u64>,
    /// Limits of each process.
    pub(crate) rlimits: Vec<Rlimit>,
    /// Kernel parameters of its namespaces.
    pub(crate) sysctls: Vec<Sysctl>,
    /// Its cgroup lists the devices that can be opened, where the caller leaves that open.
    pub(crate) device_list: bool,
    /// What security modules make of it.
    pub(crate) labels: labels::Chosen,
}

impl Walls {
    /// The walls that `config` asks for, and `config` with what its preset adds.
    pub(crate) fn of(config: &Config) -> Result<(Self, Config)> {
        let mut walls = config.preset.walls()?;
        let mut config = config.clone();
        walls.refuse_shared(&config)?;
        walls.capabilities = chosen_capabilities(&config)?.unwrap_or(walls.capabilities);
        walls.new_privileges |= config.new_privileges;
        if let Some(choice) = &config.seccomp {
            walls.seccomp = choice.profile()?;
        }
        if config.namespaces.pid != Namespace::New {
            walls.seccomp = walls.seccomp.map(Profile::among_others);
        }
        if let (Some(profile), Some(refusal)) = (&walls.seccomp, config.seccomp_refusal) {
            walls.seccomp = Some(profile.clone().refuse_with(refusal.action()?));
        }
        walls.masks = config.masked_paths.unwrap_or(walls.masks);
        walls.landlock = config.landlock.unwrap_or(walls.landlock);
        if config.landlock == Some(true)
            && let Err(why) = walls.landlock_or_why()
        {
            let error = Error::new(ErrorCode::Unsupported, Step::PutUpLandlock, "Landlock", libc::EOPNOTSUPP, why);
            return Err(error.with_hint("leave it open, and it is put up where it can be"));
        }
        let own = |kind: &Namespace| *kind == Namespace::New;
        let kinds = &config.namespaces;
        let own = Own { ipc: own(&kinds.ipc), net: own(&kinds.net), uts: own(&kinds.uts), user: own(&kinds.user) };
        let sysctls = config.sysctls.iter().map(|(name, value)| Sysctl::new(name, value, own));
        walls.sysctls = sysctls.collect::<Result<_>>()?;
        // Where root inside is root outside, devices are all the machine's.
        walls.device_list |= config.namespaces.user == Namespace::Host && config.preset != Preset::Privileged;
        // Nobody raises a hard limit again, so the preset's must not come first.
        walls.rlimits.retain(|preset| !config.rlimits.iter().any(|asked| asked.is_of(preset)));
        walls.labels = labels::Chosen::of(&config)?;
        config.rlimits.iter().try_for_each(Rlimit::check)?;
        walls.rlimits.extend(config.rlimits.iter().copied());
        config.read_only |= walls.read_only;
        config.memory = config.memory.or(walls.memory);
        config.pids = config.pids.or(walls.pids);
        for limit in [
            &mut config.memory,
            &mut config.memory_high,
            &mut config.memory_low,
            &mut config.swap,
            &mut config.pids,
            &mut config.cpus,
            &mut config.cpu_weight,
            &mut config.io_weight,
        ] {
            *limit = limit.filter(|value| *value != UNLIMITED);
        }
        Ok((walls, config))
    }

    /// Landlock's second wall, where it stands.
    pub(crate) fn landlock(&self) -> Option<landlock::Ruleset> {
        if self.landlock { self.landlock_or_why().ok() } else { None }
    }

    /// Landlock's second wall, or why there can be none here.
    pub(crate) fn landlock_or_why(&self) -> std::result::Result<landlock::Ruleset, &'static str> {
        if self.capabilities & capabilities::known(&["CAP_SYS_ADMIN"]) != 0 {
            return Err("a container that has CAP_SYS_ADMIN may mount, and nothing can be mounted behind it");
        }
        landlock::Ruleset::of_this_kernel()
    }

    fn refuse_shared(&self, config: &Config) -> Result<()> {
        let kinds = &config.namespaces;
        let all = [&kinds.mount, &kinds.pid, &kinds.user, &kinds.uts, &kinds.ipc, &kinds.cgroup, &kinds.net];
        // Without a choice the clocks are the host's, which is nothing that one could join by.
        let all = all.into_iter().chain(&kinds.time);
        if self.shared_namespaces || all.into_iter().all(|kind| *kind == Namespace::New) {
            return Ok(());
        }
        let why = "it shares no namespace with anybody";
        Err(Error::invalid(Step::UseSecurityPreset, config.preset.name(), why).with_hint("choose the preset default"))
    }
}

/// The capabilities that `config` asks for; `None` where those are its preset's.
pub(crate) fn chosen_capabilities(config: &Config) -> Result<Option<u64>> {
    if config.cap_add.is_empty() && config.cap_drop.is_empty() {
        return Ok(config.capabilities);
    }
    let base = config.capabilities.map_or_else(|| config.preset.walls().map(|walls| walls.capabilities), Ok)?;
    capabilities::adjust(base, &config.cap_add, &config.cap_drop).map(Some)
}

impl Preset {
    /// The capabilities of this preset with those named in `add` and without those in `drop`, for
    /// [`Config::capabilities`]. Names are written `NET_ADMIN` or `CAP_NET_ADMIN`; `ALL` stands for every one, and as in
    /// docker, `drop` counts after an `ALL` in `add`, `add` after an `ALL` in `drop`.
    pub fn capabilities<S: AsRef<str>>(self, add: &[S], drop: &[S]) -> Result<u64> {
        capabilities::adjust(self.walls()?.capabilities, add, drop)
    }

    /// The walls of this preset on this machine.
    pub(crate) fn walls(self) -> Result<Walls> {
        Ok(match self {
            Self::Default => Walls {
                capabilities: capabilities::DEFAULT,
                seccomp: Some(Profile::default_profile()),
                landlock: true,
                new_privileges: false,
                masks: true,
                read_only: false,
                shared_namespaces: true,
                own_keyring: true,
                memory: None,
                pids: None,
                rlimits: vec![NO_CORE],
                sysctls: Vec::new(),
                device_list: false,
                labels: labels::Chosen::default(),
            },
            Self::Strict => Walls {
                capabilities: capabilities::STRICT,
                seccomp: Some(Profile::strict()),
                landlock: true,
                new_privileges: false,
                masks: true,
                read_only: true,
                shared_namespaces: false,
                own_keyring: true,
                memory: Some(512 << 20),
                pids: Some(128),
                rlimits: vec![NO_CORE],
                sysctls: Vec::new(),
                device_list: true,
                labels: labels::Chosen::default(),
            },
            Self::Privileged => Walls {
                capabilities: capabilities::all()?,
                seccomp: None,
                landlock: false,
                new_privileges: true,
                masks: false,
                read_only: false,
                shared_namespaces: true,
                own_keyring: true,
                memory: None,
                pids: None,
                rlimits: Vec::new(),
                sysctls: Vec::new(),
                device_list: false,
                labels: labels::Chosen::default(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_sets_what_the_caller_leaves_open_and_shares_nothing() {
        let config = Config { preset: Preset::Strict, pids: Some(7), ..Config::default() };
        let (walls, decided) = Walls::of(&config).unwrap();
        assert!(decided.read_only && decided.memory.is_some() && decided.pids == Some(7));
        assert_eq!(walls.capabilities, capabilities::STRICT);
        let mut shared = config;
        shared.namespaces.net = Namespace::Host;
        let error = Walls::of(&shared).unwrap_err().to_string();
        assert!(error.contains("strict"), "{error}");
    }

    #[test]
    fn strict_has_no_limit_where_the_caller_says_so() {
        let mut config =
            Config { preset: Preset::Strict, memory: Some(UNLIMITED), cpus: Some(UNLIMITED), ..Config::default() };
        let (_, decided) = Walls::of(&config).unwrap();
        assert_eq!((decided.memory, decided.pids, decided.cpus), (None, Some(128), None));
        config.pids = Some(UNLIMITED);
        assert_eq!(Walls::of(&config).unwrap().1.pids, None);
    }

    #[test]
    fn what_the_caller_says_counts_more_than_the_preset() {
        let config = Config { seccomp: Some(Seccomp::Unconfined), capabilities: Some(1), ..Config::default() };
        let (walls, _) = Walls::of(&config).unwrap();
        assert!(walls.seccomp.is_none() && walls.capabilities == 1);
        let config = Config { sysctls: vec![("kernel.core_pattern".into(), "|/x".into())], ..Config::default() };
        assert!(Walls::of(&config).is_err());
        let config = Config { seccomp: Some(Seccomp::File("/nonexistent".into())), ..Config::default() };
        assert_eq!(Walls::of(&config).unwrap_err().errno(), libc::ENOENT);
    }

    #[test]
    fn each_preset_is_stricter_than_the_next() {
        let [default, strict, privileged] =
            [Preset::Default, Preset::Strict, Preset::Privileged].map(|preset| preset.walls().unwrap());
        for (less, more) in [(&strict, &default), (&default, &privileged)] {
            assert_eq!(less.capabilities & !more.capabilities, 0);
            for (less, more) in [
                (less.new_privileges, more.new_privileges),
                (less.shared_namespaces, more.shared_namespaces),
                (!less.masks, !more.masks),
                (!less.landlock, !more.landlock),
                (!less.read_only, !more.read_only),
                (less.seccomp.is_none(), more.seccomp.is_none()),
                (less.memory.is_none(), more.memory.is_none()),
                (less.pids.is_none(), more.pids.is_none()),
            ] {
                assert!(!less || more);
            }
        }
    }
}
