//! ctr_config, continued: which walls stand and how high they are.

use std::ffi::{c_char, c_int};

use super::border::{bytes, one_of, text};
use super::setters::{checked, set};
use super::types::{ctr_config, ctr_device_list, ctr_preset, ctr_refusal, ctr_seccomp, limit};
use crate::{Device, DeviceList, Preset, Refusal, Rlimit, Seccomp, TimeOffset, TimeOffsets};

/// Which walls stand: one of enum ctr_preset. The other setters override it, in whatever order they are called.
/// Default: CTR_PRESET_DEFAULT.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_preset(config: *mut ctr_config, preset: c_int) -> c_int {
    const PRESETS: [(c_int, Preset); 3] = [
        (ctr_preset::CTR_PRESET_DEFAULT as c_int, Preset::Default),
        (ctr_preset::CTR_PRESET_STRICT as c_int, Preset::Strict),
        (ctr_preset::CTR_PRESET_PRIVILEGED as c_int, Preset::Privileged),
    ];
    checked(config, || one_of("preset", &PRESETS, preset), |config, preset| config.preset = preset)
}

/// Whether parts of /proc and /sys are masked, and others read-only, as docker's are. Default: as the preset says.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_masked_paths(config: *mut ctr_config, masked: bool) -> c_int {
    set(config, |config| config.masked_paths = Some(masked))
}

/// Whether Landlock restricts the container besides seccomp, landlock(7). Default: as the preset says, if the kernel
/// supports it. With true, ctr_create() fails with CTR_ERR_UNSUPPORTED where it does not.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_landlock(config: *mut ctr_config, wanted: bool) -> c_int {
    set(config, |config| config.landlock = Some(wanted))
}

/// The system calls that processes inside may make, seccomp(2): one of enum ctr_seccomp. Default: the preset's.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_seccomp(config: *mut ctr_config, profile: c_int) -> c_int {
    const PROFILES: [(c_int, fn() -> Seccomp); 3] = [
        (ctr_seccomp::CTR_SECCOMP_DEFAULT as c_int, || Seccomp::Default),
        (ctr_seccomp::CTR_SECCOMP_STRICT as c_int, || Seccomp::Strict),
        (ctr_seccomp::CTR_SECCOMP_UNCONFINED as c_int, || Seccomp::Unconfined),
    ];
    checked(config, || one_of("profile", &PROFILES, profile), |config, profile| config.seccomp = Some(profile()))
}

/// The system calls that processes inside may make: a profile in docker's JSON format, from a file that ctr_create() reads.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_set_seccomp_file(config: *mut ctr_config, path: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    checked(config, || unsafe { bytes("path", path) }, |config, path| config.seccomp = Some(Seccomp::File(path.into())))
}

/// The system calls that processes inside may make: a profile in docker's JSON format, as text.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_set_seccomp_json(config: *mut ctr_config, json: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    checked(config, || unsafe { text("json", json) }, |config, json| config.seccomp = Some(Seccomp::Json(json.into())))
}

/// What happens to a program that makes a system call which its profile refuses by default. Default: what the profile
/// says, EPERM in those of ctr.
///
/// refusal   one of enum ctr_refusal
/// number    for CTR_REFUSAL_ERRNO the errno, for CTR_REFUSAL_TRACE what the tracer is given; else 0
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_seccomp_refusal(config: *mut ctr_config, refusal: c_int, number: u16) -> c_int {
    type Make = fn(u16) -> Refusal;
    const REFUSALS: [(c_int, Make); 6] = [
        (ctr_refusal::CTR_REFUSAL_ERRNO as c_int, Refusal::Errno),
        (ctr_refusal::CTR_REFUSAL_KILL_PROCESS as c_int, |_| Refusal::KillProcess),
        (ctr_refusal::CTR_REFUSAL_KILL_THREAD as c_int, |_| Refusal::KillThread),
        (ctr_refusal::CTR_REFUSAL_TRAP as c_int, |_| Refusal::Trap),
        (ctr_refusal::CTR_REFUSAL_TRACE as c_int, Refusal::Trace),
        (ctr_refusal::CTR_REFUSAL_LOG as c_int, |_| Refusal::Log),
    ];
    checked(
        config,
        || one_of("refusal", &REFUSALS, refusal),
        |config, refusal| config.seccomp_refusal = Some(refusal(number)),
    )
}

/// Adds a limit of each process, setrlimit(2). The others are those of the thread that calls ctr_exec(), at that moment.
///
/// name         "nofile" (32 at the least), "nproc", "stack": RLIMIT_* in small letters
/// soft, hard   as in struct rlimit; CTR_UNLIMITED for RLIM_INFINITY
///
/// Return value: 0; CTR_ERR_INVALID for what is no limit; CTR_ERR_UNSUPPORTED for a hard limit above the caller's own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_add_rlimit(
    config: *mut ctr_config,
    name: *const c_char,
    soft: u64,
    hard: u64,
) -> c_int {
    // SAFETY: the caller's promise.
    let rlimit = || Rlimit::new(unsafe { text("name", name) }?, limit(soft), limit(hard));
    checked(config, rlimit, |config, rlimit| config.rlimits.push(rlimit))
}

/// Sets a kernel parameter of the container's own namespaces, sysctl(8), as "net.ipv4.ip_unprivileged_port_start". Those
/// that belong to no namespace are refused by ctr_create().
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_add_sysctl(
    config: *mut ctr_config,
    name: *const c_char,
    value: *const c_char,
) -> c_int {
    // SAFETY: the caller's promise.
    let pair = || Ok(unsafe { (text("name", name)?.into(), text("value", value)?.into()) });
    checked(config, pair, |config, pair| config.sysctls.push(pair))
}

/// Sets a clock of the container's own time namespace off from the host's, time_namespaces(7). It needs CTR_NS_TIME to be
/// CTR_NS_NEW. Default: 0.
///
/// clock      CLOCK_MONOTONIC or CLOCK_BOOTTIME of <time.h>; the latter is what uptime(1) shows
/// secs       seconds, negative for an earlier time, but not before the machine's boot
/// nanosecs   0 to 999999999, added to the seconds
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_time_offset(config: *mut ctr_config, clock: c_int, secs: i64, nanosecs: u32) -> c_int {
    type Place = fn(&mut TimeOffsets, TimeOffset);
    const CLOCKS: [(c_int, Place); 2] = [
        (libc::CLOCK_MONOTONIC, |offsets, offset| offsets.monotonic = offset),
        (libc::CLOCK_BOOTTIME, |offsets, offset| offsets.boottime = offset),
    ];
    let offset = TimeOffset { secs, nanosecs };
    checked(config, || one_of("clock", &CLOCKS, clock), |config, place| place(&mut config.time_offsets, offset))
}

/// The AppArmor profile that programs run under, by name, apparmor(7), or "unconfined". It has to be loaded already.
/// Default: none; programs keep the caller's.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_set_apparmor(config: *mut ctr_config, profile: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    let profile = || unsafe { text("profile", profile) };
    checked(config, profile, |config, profile| config.apparmor = Some(profile.into()))
}

/// The SELinux context that programs run in, selinux(8), as "system_u:system_r:container_t:s0:c1,c2". Default: none;
/// programs keep the caller's.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_set_selinux(config: *mut ctr_config, context: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    let context = || unsafe { text("context", context) };
    checked(config, context, |config, context| config.selinux = Some(context.into()))
}

/// The SELinux context of the files of the container's own mounts (its root where that is an overlay, /dev, every tmpfs), as
/// "system_u:object_r:container_file_t:s0:c1,c2". Default: none.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_set_selinux_mounts(config: *mut ctr_config, context: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    let context = || unsafe { text("context", context) };
    checked(config, context, |config, context| config.selinux_mounts = Some(context.into()))
}

/// Ignores a label whose security module is not active on this machine; otherwise ctr_create() fails. Default: false.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_labels_optional(config: *mut ctr_config, optional: bool) -> c_int {
    set(config, |config| config.labels_optional = optional)
}

/// Gives the container a device beyond the usual ones, as docker's --device and --device-cgroup-rule do.
///
/// device   "/dev/fuse", "/dev/fuse:rw" or "/dev/ttyS0:/dev/modem:rwm": that node of the host is seen inside, and may be read,
///          written and made again (mknod(2)). Or "c 10:229 rwm", with c or b, numbers or *, or "a" for everything: only the
///          list of devices in the container's cgroup lets it through; see ctr_config_set_device_list().
///
/// What root of the machine gives is a copy of the node that everybody inside may use. What an ordinary user gives is the node
/// itself, with its permissions. ioctl(2) works below /dev.
///
/// Return value: 0, or CTR_ERR_INVALID for what is neither.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_add_device(config: *mut ctr_config, device: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    let device = || unsafe { text("device", device) }?.parse::<Device>();
    checked(config, device, |config, device| config.devices.push(device))
}

/// Whether the container's cgroup lists the devices that can be opened: one of enum ctr_device_list. The list is docker's, and
/// what ctr_config_add_device() adds. Default: CTR_DEVICE_LIST_AUTO.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_device_list(config: *mut ctr_config, list: c_int) -> c_int {
    const LISTS: [(c_int, DeviceList); 3] = [
        (ctr_device_list::CTR_DEVICE_LIST_AUTO as c_int, DeviceList::Auto),
        (ctr_device_list::CTR_DEVICE_LIST_REQUIRED as c_int, DeviceList::Required),
        (ctr_device_list::CTR_DEVICE_LIST_OFF as c_int, DeviceList::Off),
    ];
    checked(config, || one_of("list", &LISTS, list), |config, list| config.device_list = list)
}
