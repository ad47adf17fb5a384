//! ctr_set_limit and the like: limits of a container that runs, by their kind.

use std::ffi::{c_char, c_int};

use super::border::{border, new_string, one_of, out, text};
use super::container::container;
use super::types::{CTR_UNLIMITED, ctr_container, ctr_limit_kind, limit};
use crate::{ChangesLimit, Limit, ListLimit};

const LIMITS: [(c_int, Limit); Limit::ALL.len()] = [
    (ctr_limit_kind::CTR_LIMIT_MEMORY as c_int, Limit::Memory),
    (ctr_limit_kind::CTR_LIMIT_PIDS as c_int, Limit::Pids),
    (ctr_limit_kind::CTR_LIMIT_CPUS as c_int, Limit::Cpus),
    (ctr_limit_kind::CTR_LIMIT_MEMORY_HIGH as c_int, Limit::MemoryHigh),
    (ctr_limit_kind::CTR_LIMIT_MEMORY_LOW as c_int, Limit::MemoryLow),
    (ctr_limit_kind::CTR_LIMIT_SWAP as c_int, Limit::Swap),
    (ctr_limit_kind::CTR_LIMIT_CPU_WEIGHT as c_int, Limit::CpuWeight),
    (ctr_limit_kind::CTR_LIMIT_IO_WEIGHT as c_int, Limit::IoWeight),
];

/// Those that no cgroup keeps.
const CHANGES: [(c_int, ChangesLimit); ChangesLimit::ALL.len()] = [
    (ctr_limit_kind::CTR_LIMIT_UPPER_SIZE as c_int, ChangesLimit::Size),
    (ctr_limit_kind::CTR_LIMIT_UPPER_INODES as c_int, ChangesLimit::Inodes),
];

fn of_changes(which: c_int) -> Option<ChangesLimit> {
    CHANGES.iter().find(|(number, _)| *number == which).map(|(_, limit)| *limit)
}

const LISTS: [(c_int, ListLimit); ListLimit::ALL.len()] = [
    (ctr_limit_kind::CTR_LIMIT_CPUSET as c_int, ListLimit::Cpuset),
    (ctr_limit_kind::CTR_LIMIT_CPUSET_MEMS as c_int, ListLimit::CpusetMems),
    (ctr_limit_kind::CTR_LIMIT_IO as c_int, ListLimit::Io),
    (ctr_limit_kind::CTR_LIMIT_HUGETLB as c_int, ListLimit::Hugetlb),
];

/// Sets a limit of a running container, up or down.
///
/// which   one of the numbers of enum ctr_limit_kind, which says what value counts
/// value   the limit; CTR_UNLIMITED lifts it
///
/// On cgroup v1 the first limit of a kind that the container was made without moves its processes into another cgroup, which takes
/// about 10 ms for each.
///
/// Return value: 0; CTR_ERR_INVALID for a value that no container can live with; CTR_ERR_SYSTEM with EBUSY when more memory, or
/// on cgroup v1 more swap, than that is in use, or more bytes or files of changes; CTR_ERR_UNSUPPORTED when such a cgroup can't be had, or there is no such limit here:
/// CTR_LIMIT_MEMORY_HIGH on cgroup v1, CTR_LIMIT_SWAP on v1 without a memory limit, CTR_LIMIT_IO_WEIGHT where the kernel has nothing
/// that keeps it, CTR_LIMIT_UPPER_SIZE and CTR_LIMIT_UPPER_INODES where changes do not go to memory; CTR_ERR_DESTROYED.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_set_limit(c: *mut ctr_container, which: c_int, value: u64) -> c_int {
    border(|| {
        let container = container(c)?;
        match of_changes(which) {
            Some(which) => container.container.set_changes_limit(which, limit(value))?,
            None => container.container.set_limit(one_of("which", &LIMITS, which)?, limit(value))?,
        }
        Ok(0)
    })
}

/// A limit of a running container, as the kernel has it.
///
/// which   one of the numbers of enum ctr_limit_kind
///
/// Return value: 0 and the limit in *value, CTR_UNLIMITED where there is none; CTR_ERR_DESTROYED, CTR_ERR_INVALID. Of
/// CTR_LIMIT_UPPER_SIZE and CTR_LIMIT_UPPER_INODES also CTR_ERR_UNSUPPORTED as ctr_set_limit(), and CTR_ERR_SYSTEM with EBUSY while it is
/// paused: PID 1 is asked for them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_limit(c: *mut ctr_container, which: c_int, value: *mut u64) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let value = unsafe { out("value", value) }?;
        let container = container(c)?;
        let found = match of_changes(which) {
            Some(which) => container.container.changes_limit(which)?,
            None => container.container.limit(one_of("which", &LIMITS, which)?)?,
        };
        *value = found.unwrap_or(CTR_UNLIMITED);
        Ok(0)
    })
}

/// A limit of a running container as it holds in the end: the lowest of the container's own and those of the cgroups above it (a
/// service's, a batch job's, an outer container's), as far as they can be seen from here. A weight counts beside its neighbours alone,
/// and is the container's own.
///
/// which   one of the numbers of enum ctr_limit_kind
///
/// Return value: 0 and the limit in *value, CTR_UNLIMITED where there is none; CTR_ERR_DESTROYED, CTR_ERR_INVALID,
/// CTR_ERR_SYSTEM.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_effective_limit(c: *mut ctr_container, which: c_int, value: *mut u64) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let value = unsafe { out("value", value) }?;
        let container = container(c)?;
        let found = match of_changes(which) {
            Some(which) => container.container.changes_limit(which)?,
            None => container.container.effective_limit(one_of("which", &LIMITS, which)?)?,
        };
        *value = found.unwrap_or(CTR_UNLIMITED);
        Ok(0)
    })
}

/// Sets a limit of a running container that is a list: all of it, so what is not in the list is not limited.
///
/// which   one of the lists of enum ctr_limit_kind
/// list    as the setter of ctr_config takes it, of CTR_LIMIT_IO and CTR_LIMIT_HUGETLB with a line each; NULL lifts it
///
/// Return value: as ctr_set_limit(); CTR_ERR_INVALID too for what is no list, or has in it what this machine or the cgroup above does
/// not have.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_set_limit_list(c: *mut ctr_container, which: c_int, list: *const c_char) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let list = (!list.is_null()).then(|| unsafe { text("list", list) }).transpose()?;
        container(c)?.container.set_list_limit(one_of("which", &LISTS, which)?, list).map(|()| 0)
    })
}

/// A limit of a running container that is a list, as the kernel has it: devices as MAJOR:MINOR.
///
/// which   one of the lists of enum ctr_limit_kind
///
/// Return value: 0 and the list in *list, which ctr_string_free() frees, "" where there is no limit; CTR_ERR_DESTROYED,
/// CTR_ERR_INVALID. *list is NULL then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_limit_list(c: *mut ctr_container, which: c_int, list: *mut *mut c_char) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let list = unsafe { out("list", list) }?;
        let found = container(c)?.container.list_limit(one_of("which", &LISTS, which)?)?;
        *list = new_string(&found.unwrap_or_default())?;
        Ok(0)
    })
}

/// A limit that is a list as it holds in the end: of processors and memory nodes those that the kernel lets it have, of rates and
/// bytes the lowest of all, see ctr_effective_limit().
///
/// which   one of the lists of enum ctr_limit_kind
///
/// Return value: as ctr_limit_list(); CTR_ERR_SYSTEM.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_effective_limit_list(
    c: *mut ctr_container,
    which: c_int,
    list: *mut *mut c_char,
) -> c_int {
    border(|| {
        // SAFETY: the caller's promise.
        let list = unsafe { out("list", list) }?;
        let found = container(c)?.container.effective_list_limit(one_of("which", &LISTS, which)?)?;
        *list = new_string(&found.unwrap_or_default())?;
        Ok(0)
    })
}
