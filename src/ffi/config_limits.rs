//! ctr_config: limits of memory, processors, block devices and huge pages beyond the three that everybody uses.

use std::ffi::{c_char, c_int};
use std::time::Duration;

use super::border::text;
use super::setters::{checked, set};
use super::types::{ctr_config, limit};
use crate::{HugetlbLimit, IoLimit};

/// The bytes of memory above which the container is slowed down: it has to reclaim what it allocates, and waits for that; nothing is
/// killed. memory.high of cgroup v2; v1 has no such limit, and ctr_create() refuses it there (CTR_ERR_UNSUPPORTED).
/// ctr_set_limit() changes it later. Default: CTR_UNLIMITED.
///
/// Return value: 0, or CTR_ERR_INVALID. ctr_create() refuses less than 2 MiB.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_memory_high(config: *mut ctr_config, bytes: u64) -> c_int {
    set(config, |config| config.memory_high = limit(bytes))
}

/// The bytes of memory that are reclaimed last: where the machine has too little, what the container has above that is reclaimed
/// first. A bid, no promise. memory.low of cgroup v2, the soft limit of v1; docker's --memory-reservation. ctr_set_limit() changes it
/// later. Default: CTR_UNLIMITED, which is no such bid.
///
/// Return value: 0, or CTR_ERR_INVALID. ctr_create() refuses 0.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_memory_low(config: *mut ctr_config, bytes: u64) -> c_int {
    set(config, |config| config.memory_low = limit(bytes))
}

/// The bytes of swap that the container may use besides its memory, 0 for none: memory.swap.max of cgroup v2. On v1 it takes a memory
/// limit (ctr_config_set_memory()). docker's --memory-swap counts memory too, this does not. ctr_set_limit() changes it later; with
/// fewer than are swapped out it fails with EBUSY on v1 where the kernel can't reclaim them, and on v2 they stay where they are.
/// Default: CTR_UNLIMITED, which is none where memory is limited, and no limit elsewhere.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_swap(config: *mut ctr_config, bytes: u64) -> c_int {
    set(config, |config| config.swap = limit(bytes))
}

/// The container's share of processors that others want too, 1 to 10000, where others have 100: cpu.weight of cgroup v2. On v1 it is
/// cpu.shares, of which others have 1024. Where nobody else wants them the container has them all. ctr_set_limit() changes it
/// later. Default: CTR_UNLIMITED, which is 100.
///
/// Return value: 0, or CTR_ERR_INVALID. ctr_create() refuses other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_cpu_weight(config: *mut ctr_config, weight: u64) -> c_int {
    set(config, |config| config.cpu_weight = limit(weight))
}

/// Ends the container after so many milliseconds from its making on, with all that runs in it, whether its maker lives or not. Programs
/// that run then say CTR_REASON_TIMED_OUT, ctr_end_reason() and CTR_EVENT_END too; a handle is released as ever. It takes a PID
/// namespace of its own, and goes on while the container is paused: one whose time is up ends at the resume. A negative number is no
/// limit. Default: none.
///
/// Return value: 0, or CTR_ERR_INVALID. ctr_create() refuses 0.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_lifetime(config: *mut ctr_config, ms: i64) -> c_int {
    set(config, |config| config.lifetime = u64::try_from(ms).ok().map(Duration::from_millis))
}

/// Ends the container when all that runs in it has used so many milliseconds of CPU time together, in user mode and in the kernel, the
/// dead with the living. What is said then is CTR_REASON_OUT_OF_CPU_TIME. It takes PID and mount namespaces of its own. How exact it
/// is, and what is not counted: ctr_exec_config_set_cpu_time_limit(), which is the same for one program. A negative number is no
/// limit. Default: none.
///
/// Return value: 0, or CTR_ERR_INVALID. ctr_create() refuses 0.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_cpu_time(config: *mut ctr_config, ms: i64) -> c_int {
    set(config, |config| config.cpu_time = u64::try_from(ms).ok().map(Duration::from_millis))
}

/// The processors that the container may run on, as "0-1,3": "List format" of cpuset(7). Programs see as many (nproc,
/// sched_getaffinity(2)). ctr_set_limit_list() changes it later. Default: NULL, those of its maker's cgroup.
///
/// Return value: 0, or CTR_ERR_INVALID. ctr_create() refuses what is no list, and processors that the machine or the cgroup above
/// does not have.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_set_cpuset(config: *mut ctr_config, list: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    checked(config, || unsafe { maybe("list", list) }, |config, list| config.cpuset = list)
}

/// The memory nodes that the container may have memory from, written as for ctr_config_set_cpuset(). Default: NULL, those of its
/// maker's cgroup.
///
/// Return value: as ctr_config_set_cpuset().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_set_cpuset_mems(config: *mut ctr_config, list: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    checked(config, || unsafe { maybe("list", list) }, |config, list| config.cpuset_mems = list)
}

/// Limits how fast the container may use a block device, a line of io.max of cgroup v2; on v1 it is blkio.throttle.*. What is above
/// the rate waits. On v1 that holds for reads, and for writes past the page cache; on v2 for all.
///
/// device   "/dev/sda rbps=1048576 wiops=100": a device, any path that lies on it, or MAJOR:MINOR, and one at least of rbps and wbps
///          (bytes read and written a second), riops and wiops (reads and writes a second). Of a partition it is the whole disk
///
/// A device that is given again has the later rates. ctr_set_limit_list() changes them later. Default: no limit.
///
/// Return value: 0, or CTR_ERR_INVALID for what is no such line. ctr_create() refuses what is no disk.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_add_io(config: *mut ctr_config, device: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    let device = || unsafe { text("device", device) }?.parse::<IoLimit>();
    checked(config, device, |config, device| config.io.push(device))
}

/// The container's share of block devices that others want too, 1 to 10000, where others have 100: io.weight of cgroup v2, or BFQ's
/// weight. It counts for devices with the scheduler BFQ, or on v2 with the io cost model. ctr_set_limit() changes it later. Default:
/// CTR_UNLIMITED, which is 100.
///
/// Return value: 0, or CTR_ERR_INVALID. ctr_create() refuses other numbers, and kernels without either (CTR_ERR_UNSUPPORTED).
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_io_weight(config: *mut ctr_config, weight: u64) -> c_int {
    set(config, |config| config.io_weight = limit(weight))
}

/// Limits the huge pages of a size that the container may use, the hugetlb controller of cgroups(7). What is above is refused: by
/// mmap(2) with ENOMEM since Linux 5.7.
///
/// pages   "2MB=67108864": the size of a page, with KB, MB or GB, and bytes of all of them; 0 for none
///
/// ctr_set_limit_list() changes it later. Default: no limit.
///
/// Return value: 0, or CTR_ERR_INVALID for what is no such text. ctr_create() refuses sizes that the machine does not have.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_add_hugetlb(config: *mut ctr_config, pages: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    let pages = || unsafe { text("pages", pages) }?.parse::<HugetlbLimit>();
    checked(config, pages, |config, pages| config.hugetlb.push(pages))
}

/// A text, or NULL for none.
///
/// # Safety
/// As [`text`].
unsafe fn maybe(what: &str, text: *const c_char) -> crate::Result<Option<String>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    Ok(Some(unsafe { self::text(what, text) }?.into()))
}
