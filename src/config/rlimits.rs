//! Resource limits of processes inside, setrlimit(2), by docker's names.

use std::fmt;

use nix::sys::resource::{Resource, getrlimit};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, Step};

/// One limit: soft and hard. For serde it is a list of its name and the two numbers; nothing is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Rlimit {
    /// RLIMIT_*.
    pub(crate) resource: Resource,
    /// What the kernel enforces; a process may raise it up to `hard`.
    pub(crate) soft: u64,
    /// What nobody inside raises again.
    pub(crate) hard: u64,
}

const NAMES: [(&str, Resource); 16] = [
    ("as", Resource::RLIMIT_AS),
    ("core", Resource::RLIMIT_CORE),
    ("cpu", Resource::RLIMIT_CPU),
    ("data", Resource::RLIMIT_DATA),
    ("fsize", Resource::RLIMIT_FSIZE),
    ("locks", Resource::RLIMIT_LOCKS),
    ("memlock", Resource::RLIMIT_MEMLOCK),
    ("msgqueue", Resource::RLIMIT_MSGQUEUE),
    ("nice", Resource::RLIMIT_NICE),
    ("nofile", Resource::RLIMIT_NOFILE),
    ("nproc", Resource::RLIMIT_NPROC),
    ("rss", Resource::RLIMIT_RSS),
    ("rtprio", Resource::RLIMIT_RTPRIO),
    ("rttime", Resource::RLIMIT_RTTIME),
    ("sigpending", Resource::RLIMIT_SIGPENDING),
    ("stack", Resource::RLIMIT_STACK),
];

/// The limits are PID 1's own, too, and it is sent so many descriptors at once.
const MIN_NOFILE: u64 = ctr_wire::MAX_FDS as u64;

impl Rlimit {
    /// A limit by name, as in `docker run --ulimit`: `nofile`, `RLIMIT_NOFILE`. `None` is unlimited.
    pub fn new(name: &str, soft: Option<u64>, hard: Option<u64>) -> Result<Self> {
        let limit = Self::unchecked(name, soft, hard)?;
        limit.check().map(|()| limit)
    }

    fn unchecked(name: &str, soft: Option<u64>, hard: Option<u64>) -> Result<Self> {
        let lower = name.to_ascii_lowercase();
        let plain = lower.strip_prefix("rlimit_").unwrap_or(&lower);
        let Some((_, resource)) = NAMES.iter().find(|(known, _)| *known == plain) else {
            let known = NAMES.map(|(known, _)| known).join(", ");
            return Err(Error::invalid(Step::CheckRlimit, name, "there is none of this name")
                .with_hint(format!("one of {known}")));
        };
        let value = |value: Option<u64>| value.unwrap_or(libc::RLIM_INFINITY);
        Ok(Self { resource: *resource, soft: value(soft), hard: value(hard) })
    }

    /// Whether this process can give it to a container.
    pub(crate) fn check(&self) -> Result<()> {
        let Self { soft, hard, .. } = *self;
        let bad = |why: String| Error::invalid(Step::CheckRlimit, self.name(), why);
        if soft > hard {
            return Err(bad(format!("the soft limit {soft} is above the hard limit {hard}")));
        }
        if self.resource == Resource::RLIMIT_NOFILE && soft < MIN_NOFILE {
            return Err(bad(format!("PID 1 takes {MIN_NOFILE} descriptors itself to start a program"))
                .with_hint("a program can set a lower limit for itself: ulimit -n"));
        }
        let (_, ours) =
            getrlimit(self.resource).map_err(|errno| Error::system(Step::AskForRlimit, self.name(), errno as i32))?;
        // In a user namespace nobody may raise a hard limit: CAP_SYS_RESOURCE counts in the first one only.
        if hard > ours {
            let hint = format!("ask for {ours} at most, or raise the limit of the calling process");
            return Err(Error::new(
                crate::ErrorCode::Unsupported,
                Step::CheckRlimit,
                self.name(),
                libc::EPERM,
                format!("the hard limit {hard} is above the caller's own {ours}"),
            )
            .with_hint(hint));
        }
        Ok(())
    }

    /// A limit as `docker run --ulimit` writes it: `nofile=1024:4096`, `core=0`, `memlock=unlimited`.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| {
            Error::invalid(Step::CheckRlimit, text, why).with_hint("write it as nofile=1024:4096 or core=0")
        };
        let (name, values) = text.split_once('=').ok_or_else(|| bad("there is no ="))?;
        let value = |value: &str| match value {
            "unlimited" | "-1" => Ok(None),
            number => number.parse().map(Some).map_err(|_| bad("a limit is a number or unlimited")),
        };
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        Self::new(name, value(soft)?, value(hard)?)
    }

    /// Whether both limit the same resource.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        self.resource == other.resource
    }

    /// Whether it limits the resource of this number.
    pub(crate) fn limits(&self, resource: u32) -> bool {
        self.resource as u32 == resource
    }

    /// What its resource is called.
    pub(crate) fn name(&self) -> &'static str {
        Self::name_of(self.resource as u32)
    }

    /// What the resource of this number is called.
    pub(crate) fn name_of(resource: u32) -> &'static str {
        NAMES.iter().find(|(_, known)| *known as u32 == resource).map_or("", |(name, _)| name)
    }
}

type Parts = (String, Option<u64>, Option<u64>);

impl TryFrom<Parts> for Rlimit {
    type Error = Error;

    fn try_from((name, soft, hard): Parts) -> Result<Self> {
        Self::unchecked(&name, soft, hard)
    }
}

impl From<Rlimit> for Parts {
    fn from(limit: Rlimit) -> Self {
        let value = |value: u64| (value != libc::RLIM_INFINITY).then_some(value);
        (limit.name().into(), value(limit.soft), value(limit.hard))
    }
}

/// As docker writes it: `nofile=1024:4096`.
impl fmt::Display for Rlimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: u64| if value == libc::RLIM_INFINITY { "unlimited".into() } else { value.to_string() };
        write!(f, "{}={}:{}", self.name(), text(self.soft), text(self.hard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_docker_writes_them() {
        let limit = Rlimit::parse("nofile=64:128").unwrap();
        assert_eq!((limit.resource, limit.soft, limit.hard), (Resource::RLIMIT_NOFILE, 64, 128));
        let no_core = Rlimit { resource: Resource::RLIMIT_CORE, soft: 0, hard: 0 };
        assert_eq!(Rlimit::parse("core=0").unwrap(), no_core);
        assert_eq!(Rlimit::parse("RLIMIT_CORE=0:0").unwrap(), no_core);
        for text in ["nofile", "nofile=", "nofile=x", "nofile=1:2:3", "files=1", "nofile=2:1", "nofile=-2"] {
            assert!(Rlimit::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_hard_limit_above_the_callers_is_refused_with_the_hint() {
        let (_, ours) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert!(Rlimit::new("nofile", Some(64), Some(ours)).is_ok());
        let error = Rlimit::new("nofile", Some(64), Some(ours + 1)).unwrap_err();
        assert!(error.to_string().contains(&ours.to_string()), "{error}");
    }

    #[test]
    fn fewer_descriptors_than_pid_1_needs_are_refused() {
        let error = Rlimit::new("nofile", Some(MIN_NOFILE - 1), Some(MIN_NOFILE)).unwrap_err();
        assert!(error.to_string().contains("PID 1 takes 32 descriptors"), "{error}");
    }

    #[test]
    fn every_resource_of_the_kernel_has_a_name() {
        let mut numbers: Vec<_> = NAMES.iter().map(|(_, resource)| *resource as u32).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, Vec::from_iter(0..16));
    }
}
