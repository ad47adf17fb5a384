//! The memory limit, live, and what the memory controller counted.
//!
//! The limit is of memory alone: what a container may not have it may not swap out either, unless it is given swap (`swap`). v1 has
//! `memory.memsw.*` for that (memory and swap together, never below the limit of memory), v2 `memory.swap.max`.
//!
//! v2 counts what sockets of the internet hold as any other memory. v1 counts it apart, in `memory.kmem.tcp.*` (UDP too,
//! `mem_cgroup_charge_skmem` of mm/memcontrol.c), and only for sockets that are opened once a limit has been written there.

use nix::errno::Errno;

use super::control;
use super::controller::{Above, At, Controller, Row, Rule, Version, When, Written, nothing_lacks};
use super::directory::Directory;
use super::psi::pressure;
use super::stats::Stats;
use crate::config::LimitNumbers;
use crate::sys::fork_lock::ForkLock;
use crate::{Error, ErrorCode, Result, Step};

pub(super) const V1_LIMIT: &str = "memory.limit_in_bytes";
pub(super) const V2_LIMIT: &str = "memory.max";
pub(super) const V2_SWAP: &str = "memory.swap.max";
pub(super) const V1_LIMIT_WITH_SWAP: &str = "memory.memsw.limit_in_bytes";
const V1_LIMIT_OF_SOCKETS: &str = "memory.kmem.tcp.limit_in_bytes";
/// v1 shows "no limit" as the largest multiple of the page size that a page counter holds; no machine has half of it.
pub(super) const V1_UNLIMITED: u64 = 1 << 62;

/// The smallest memory limit that a container can live with: the kernel's own memory for its namespaces (most of it the
/// network namespace), PID 1 and one small program. Measured: at 1 MiB the OOM killer ends busybox's shell at its start.
pub(super) const MIN: u64 = 2 << 20;

/// Who changes a limit that depends on another is alone with both, in this process.
pub(super) static LOCK: ForkLock<()> = ForkLock::new(());

pub(super) const ROW: Row = Row {
    name: "memory",
    v1_name: "memory",
    on_v1: When::Always,
    on_v2: When::Always,
    late_on_v1: false,
    v2_file: V2_LIMIT,
    purpose: "its memory cgroup",
    count,
};

pub(super) const LIMIT: Rule = Rule {
    controller: Controller::Memory,
    noun: "memory",
    check: |limit| check(Step::SetMemoryLimit, limit),
    lacks: nothing_lacks,
    set_first,
    set,
    get,
    above: Above::Bounds,
    einval: "",
    first_files,
};

fn count(at: At<'_>, stats: &mut Stats) -> Result<()> {
    let (directory, memory) = (at.directory(), &mut stats.memory);
    let (current, peak, events, kinds) = match at.version() {
        Version::V1 => {
            memory.kernel = directory.count("memory.kmem.usage_in_bytes")?;
            memory.sock = directory.count("memory.kmem.tcp.usage_in_bytes")?;
            let kinds = ["total_rss", "total_cache", "total_shmem"];
            ("memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control", kinds)
        }
        Version::V2 => {
            stats.pressure.memory = pressure(directory, "memory.pressure")?;
            ("memory.current", "memory.peak", "memory.events", ["anon", "file", "shmem"])
        }
    };
    memory.current = directory.count(current)?;
    memory.peak = directory.count(peak)?;
    directory.read_if_there("memory.stat", |text| {
        [memory.anon, memory.file, memory.shmem] = kinds.map(|kind| control::keyed(text, kind));
        if at.version() == Version::V2 {
            (memory.kernel, memory.sock) = (control::keyed(text, "kernel"), control::keyed(text, "sock"));
        }
    })?;
    stats.oom_kills = directory.read_if_there(events, |text| control::keyed(text, "oom_kill"))?.flatten();
    Ok(())
}

/// Refuses a limit that no container can live with.
pub(super) fn check(step: Step, limit: u64) -> Result<()> {
    if limit >= MIN {
        return Ok(());
    }
    Err(Error::invalid(step, limit, format!("the smallest is {MIN} bytes (2 MiB)"))
        .with_hint("for no limit leave it out, or give CTR_UNLIMITED or None"))
}

fn set_first(at: At<'_>, limit: u64, _: &LimitNumbers) -> nix::Result<()> {
    let text = limit.to_string();
    match at {
        At::V1(directory) => {
            control::write(&directory.fd, V1_LIMIT, &text)?;
            where_there(control::write(&directory.fd, V1_LIMIT_WITH_SWAP, &text))?;
            where_there(control::write(&directory.fd, V1_LIMIT_OF_SOCKETS, &text))
        }
        At::V2(directory) => {
            control::write(&directory.fd, V2_LIMIT, &text)?;
            where_there(control::write(&directory.fd, V2_SWAP, "0"))
        }
    }
}

fn first_files(version: Version, limit: u64, _: &LimitNumbers) -> Vec<Written> {
    const MEMORY: &str = "the memory it may use";
    const SWAP: &str = "and what is above that is not swapped out instead";
    const SOCKETS: &str = "and as much in its sockets, which are counted apart";
    match version {
        Version::V1 => [(V1_LIMIT, MEMORY), (V1_LIMIT_WITH_SWAP, SWAP), (V1_LIMIT_OF_SOCKETS, SOCKETS)]
            .map(|(file, why)| (limit.to_string(), file, why))
            .to_vec(),
        Version::V2 => vec![(limit.to_string(), V2_LIMIT, MEMORY), ("0".into(), V2_SWAP, SWAP)],
    }
}

/// A multiple of the page size.
fn get(at: At<'_>) -> Result<Option<u64>> {
    match at {
        At::V1(directory) => limit_v1(directory, V1_LIMIT),
        At::V2(directory) => directory.read_number(V2_LIMIT),
    }
}

/// Below present use the kernel reclaims first (page cache, and swap where there is one); if that is not enough the answer is
/// EBUSY, the old limit stays, and nothing is killed.
fn set(at: At<'_>, limit: Option<u64>) -> Result<()> {
    match at {
        At::V1(directory) => set_v1(directory, limit),
        At::V2(directory) => set_v2(directory, limit),
    }
}

fn set_v1(directory: &Directory, limit: Option<u64>) -> Result<()> {
    let _alone = LOCK.lock();
    let text = |limit: Option<u64>| limit.map_or_else(|| "-1".into(), |bytes| bytes.to_string());
    // The kernel refuses a limit of memory above the one of both with EINVAL, so the order depends on the direction; another
    // process that sets limits at the same time as we do may turn it round under us. A lock against that would have to survive a
    // fork(2) of its holder.
    for _ in 0..1000 {
        let old = limit_v1(directory, V1_LIMIT)?;
        let lower = limit.is_some_and(|bytes| old.is_none_or(|old| bytes < old));
        // Swap stays as it is; there is none with the first limit.
        let with_swap = match (limit, old) {
            (Some(bytes), Some(old)) => swap_v1(directory, old)?.map(|swap| bytes.saturating_add(swap)),
            _ => limit,
        };
        // Of sockets nothing can be reclaimed, so that is tried before the reclaim and taken back where the rest fails.
        let mut files = [(V1_LIMIT_OF_SOCKETS, limit), (V1_LIMIT, limit), (V1_LIMIT_WITH_SWAP, with_swap)];
        if !lower {
            files.reverse();
        }
        let mut outcome = Ok(());
        for (at, (file, new)) in files.into_iter().enumerate() {
            let Err(errno) = where_there(control::write(&directory.fd, file, &text(new))) else { continue };
            let back = files.iter().take(at).rev().filter(|_| lower && errno == Errno::EBUSY);
            for (file, _) in back {
                // With swap: pages in it count as well and don't fit.
                let _ = control::write(&directory.fd, file, &text(old));
            }
            outcome = Err((file, errno));
            break;
        }
        match outcome {
            Ok(()) => return Ok(()),
            Err((file, Errno::EBUSY)) => {
                let used = match file {
                    V1_LIMIT_OF_SOCKETS => "memory.kmem.tcp.usage_in_bytes",
                    _ => "memory.usage_in_bytes",
                };
                return Err(in_use(directory, limit, directory.read_number(used)?.unwrap_or(0)));
            }
            Err((_, Errno::EINVAL)) => std::thread::yield_now(),
            Err((file, errno)) => return Err(directory.error(Step::Write, file, errno)),
        }
    }
    Err(directory.error(Step::Write, V1_LIMIT, Errno::EINVAL))
}

/// A limit of v1, none where it is as good as that.
pub(super) fn limit_v1(directory: &Directory, file: &str) -> Result<Option<u64>> {
    Ok(directory.read_number(file)?.filter(|limit| *limit < V1_UNLIMITED))
}

/// How much swap there may be besides so much memory: none is no limit. Where swap is not counted there is no file, and nothing to
/// keep.
fn swap_v1(directory: &Directory, memory: u64) -> Result<Option<u64>> {
    let both = directory.count(V1_LIMIT_WITH_SWAP)?.unwrap_or(memory);
    Ok(Some(both).filter(|both| *both < V1_UNLIMITED).map(|both| both.saturating_sub(memory)))
}

/// A `memory.max` below what is in use and can't be reclaimed wakes the OOM killer, a `memory.high` only reclaims (and
/// slows the container while it is above). So the new limit is tried as `memory.high`, and only one that held is set.
fn set_v2(directory: &Directory, limit: Option<u64>) -> Result<()> {
    let Some(bytes) = limit else {
        directory.write(V2_LIMIT, "max")?;
        return write_swap_max(directory, "max");
    };
    // With the first limit there is no swap, unless somebody has said how much.
    let first = directory.read_number(V2_LIMIT)?.is_none() && directory.count(V2_SWAP)?.is_none();
    let text = bytes.to_string();
    if usage_v2(directory)? > bytes {
        let high = directory.read_number("memory.high")?.map_or_else(|| "max".into(), |old| old.to_string());
        directory.write("memory.high", &text)?;
        let held = usage_v2(directory);
        let outcome = match held {
            Ok(now) if now > bytes => Err(in_use(directory, limit, now)),
            Ok(_) => directory.write(V2_LIMIT, &text),
            Err(error) => Err(error),
        };
        directory.write("memory.high", &high)?;
        outcome?;
    } else {
        directory.write(V2_LIMIT, &text)?;
    }
    if first { write_swap_max(directory, "0") } else { Ok(()) }
}

fn usage_v2(directory: &Directory) -> Result<u64> {
    Ok(directory.read_number("memory.current")?.unwrap_or(0))
}

fn write_swap_max(directory: &Directory, value: &str) -> Result<()> {
    where_there(control::write(&directory.fd, V2_SWAP, value))
        .map_err(|errno| directory.error(Step::Write, V2_SWAP, errno))
}

/// A kernel that doesn't account swap, or has no internet, lacks the file.
fn where_there(outcome: nix::Result<()>) -> nix::Result<()> {
    match outcome {
        Err(Errno::ENOENT) => Ok(()),
        other => other,
    }
}

fn in_use(directory: &Directory, limit: Option<u64>, now: u64) -> Error {
    Error::new(
        ErrorCode::System,
        Step::SetMemoryLimit,
        format!("{} of {}", limit.unwrap_or(0), directory.path.display()),
        libc::EBUSY,
        format!("EBUSY, {now} bytes are in use and can't be reclaimed; the limit stays as it was"),
    )
    .with_hint("end programs inside first, or choose a larger limit")
}
