//! How much swap a container may use besides its memory.
//!
//! v2 counts swap apart, `memory.swap.max`. v1 counts memory and swap together, `memory.memsw.limit_in_bytes`, which is never below the
//! limit of memory: so there it takes one, and each moves with the other (`memory`). With a memory limit and nothing said of swap
//! there is none.
//!
//! Fewer bytes than are swapped out already: v1 refuses them with EBUSY where it can't reclaim, and the old limit stays. On v2 they
//! stay where they are, and nothing more is swapped out until they are fewer. Nothing is killed for it.

use nix::errno::Errno;

use super::control;
use super::controller::{Above, At, Controller, Lack, Rule, Version, Wanted, Written};
use super::directory::Directory;
use super::memory::{LOCK, V1_LIMIT, V1_LIMIT_WITH_SWAP, V2_LIMIT, V2_SWAP, limit_v1};
use crate::config::LimitNumbers;
use crate::{Error, ErrorCode, Limit, Result, Step};

const WITHOUT_MEMORY: &str = "cgroup v1 limits swap together with memory, which has no limit here";

pub(super) const LIMIT: Rule = Rule {
    controller: Controller::Memory,
    noun: "swap",
    check: |_| Ok(()),
    lacks,
    set_first,
    set,
    get,
    above: Above::Bounds,
    einval: "",
    first_files,
};

fn lacks(wanted: Wanted<'_>) -> Option<Lack> {
    let has = |file: &str| wanted.parent.join(file).exists();
    let counted = match wanted.version {
        Version::V1 if !wanted.with_memory => return Some(Lack { why: WITHOUT_MEMORY, hint: "limit memory too" }),
        Version::V1 => has(V1_LIMIT_WITH_SWAP),
        // The root of v2 has no limits at all.
        Version::V2 => has(V2_SWAP) || !has(V2_LIMIT),
    };
    (!counted).then_some(Lack { why: "this kernel does not count swap", hint: "start it with swapaccount=1" })
}

fn set_first(at: At<'_>, limit: u64, all: &LimitNumbers) -> nix::Result<()> {
    let (file, bytes) = first(at.version(), limit, all);
    control::write(&at.directory().fd, file, &bytes.to_string())
}

fn first(version: Version, limit: u64, all: &LimitNumbers) -> (&'static str, u64) {
    match version {
        Version::V1 => (V1_LIMIT_WITH_SWAP, all[Limit::Memory as usize].unwrap_or(0).saturating_add(limit)),
        Version::V2 => (V2_SWAP, limit),
    }
}

fn first_files(version: Version, limit: u64, all: &LimitNumbers) -> Vec<Written> {
    let (file, bytes) = first(version, limit, all);
    vec![(bytes.to_string(), file, "and so much of it may be swapped out")]
}

fn set(at: At<'_>, limit: Option<u64>) -> Result<()> {
    match at {
        At::V1(directory) => set_v1(directory, limit),
        At::V2(directory) => directory.write(V2_SWAP, &limit.map_or_else(|| "max".into(), |bytes| bytes.to_string())),
    }
}

fn set_v1(directory: &Directory, limit: Option<u64>) -> Result<()> {
    let _alone = LOCK.lock();
    let both = match (limit, limit_v1(directory, V1_LIMIT)?) {
        (None, _) => "-1".into(),
        (Some(limit), Some(memory)) => memory.saturating_add(limit).to_string(),
        (Some(limit), None) => {
            return Err(Error::new(
                ErrorCode::Unsupported,
                Step::SetSwapLimit,
                limit,
                libc::EOPNOTSUPP,
                WITHOUT_MEMORY,
            )
            .with_hint("limit memory first"));
        }
    };
    match control::write(&directory.fd, V1_LIMIT_WITH_SWAP, &both) {
        Err(Errno::EBUSY) => {
            let used = directory.read_number("memory.memsw.usage_in_bytes")?.unwrap_or(0);
            let why = format!("EBUSY, {used} bytes of memory and swap are in use; the limit stays as it was");
            Err(Error::new(ErrorCode::System, Step::SetSwapLimit, limit.unwrap_or(0), libc::EBUSY, why)
                .with_hint("end programs inside first, or choose a larger limit"))
        }
        outcome => outcome.map_err(|errno| directory.error(Step::Write, V1_LIMIT_WITH_SWAP, errno)),
    }
}

fn get(at: At<'_>) -> Result<Option<u64>> {
    match at {
        At::V2(directory) => directory.read_number(V2_SWAP),
        At::V1(directory) => {
            let both = limit_v1(directory, V1_LIMIT_WITH_SWAP)?;
            let memory = limit_v1(directory, V1_LIMIT)?;
            Ok(both.map(|both| both.saturating_sub(memory.unwrap_or(0))))
        }
    }
}
