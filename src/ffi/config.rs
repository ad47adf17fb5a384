//! ctr_config: how a container is made.

use std::ffi::{c_char, c_int};
use std::sync::Mutex;

use super::border::{border, bytes, one_of, text};
use super::handle::Table;
use super::setters::{Settings, checked, set};
use super::types::{
    ctr_cgroup_policy, ctr_config, ctr_directory, ctr_namespace, ctr_namespace_source, ctr_upper, limit,
};
use crate::{
    Bind, CgroupPolicy, Config, DirectoryUse, Mount, Namespace, Namespaces, Result, Scratch, Tmpfs, Upper, Volume,
};

static CONFIGS: Table<Mutex<Config>> = Table::new("config", 1);

impl Settings for ctr_config {
    type Values = Config;

    fn table() -> &'static Table<Mutex<Config>> {
        &CONFIGS
    }
}

/// A new configuration with the safe defaults: every namespace but time's is new, the root is writable and what is
/// written there is lost with the container, programs have docker's default capabilities without CAP_NET_RAW, there
/// is no network but loopback, and there are no limits. The function that uses a configuration checks it; the setters
/// don't. One configuration may be used for any number of containers, and changed or freed as soon as ctr_create()
/// has returned.
///
/// Return value: the configuration, which ctr_config_free() frees; NULL when there is no memory.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_new() -> *mut ctr_config {
    border(|| CONFIGS.insert(Mutex::default()))
}

/// Frees a configuration. NULL is allowed. Containers made with it are not affected.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_free(config: *mut ctr_config) {
    border(|| if config.is_null() { Ok(()) } else { CONFIGS.release(config).map(drop) });
}

/// The name under which ctr_join() finds the container, and its hostname unless another is set. At most 64 of
/// a-z A-Z 0-9 _ . - and not starting with a dot or a dash. Default: a random one.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_set_name(config: *mut ctr_config, name: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    checked(config, || unsafe { text("name", name) }, |config, name| config.name = Some(name.into()))
}

/// The hostname inside, sethostname(2). It needs a UTS namespace that is not the host's. Default: the container's name.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_set_hostname(config: *mut ctr_config, hostname: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    checked(
        config,
        || unsafe { text("hostname", hostname) },
        |config, hostname| config.hostname = Some(hostname.into()),
    )
}

/// The NIS domain name inside, setdomainname(2), at most 64 bytes. It needs a UTS namespace that is not the host's. Default:
/// the host's.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_set_domainname(config: *mut ctr_config, domain: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    checked(config, || unsafe { text("domain", domain) }, |config, domain| config.domainname = Some(domain.into()))
}

/// Adds an environment variable, environ(7), for every process of the container. The same name again replaces the
/// value. Default: PATH, HOME and HOSTNAME only, nothing of the caller's environment.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_add_env(
    config: *mut ctr_config,
    name: *const c_char,
    value: *const c_char,
) -> c_int {
    // SAFETY: the caller's promise.
    let pair = || Ok(unsafe { (bytes("name", name)?.into(), bytes("value", value)?.into()) });
    checked(config, pair, |config, pair| config.env.push(pair))
}

/// Adds a bind mount, mount(2): the file or directory source of the host appears at target, an absolute path inside
/// that is made where it is missing, if what is above it can be written to: in "host" /usr, /etc, /bin, /sbin and /lib can't.
/// Mounts are made in the order in which they were added. Set-user-ID programs and device nodes have no effect through it.
///
/// read_only   nothing can be written through it
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_add_mount_bind(
    config: *mut ctr_config,
    source: *const c_char,
    target: *const c_char,
    read_only: bool,
) -> c_int {
    // SAFETY: the caller's promise.
    let paths = || Ok(unsafe { (bytes("source", source)?, bytes("target", target)?) });
    checked(config, paths, |config, (source, target)| {
        config.mounts.push(Mount::Bind(Bind::new(source, target).with(|b| b.read_only = read_only)));
    })
}

/// Adds a volume at target, an absolute path inside that is made where it is missing, as for ctr_config_add_mount_bind(). A volume
/// is a directory of the store that outlives containers, and that several may use at once. It is made if there is none of this name. One
/// that is empty and that no container uses gets what the image has at target, with owners and modes, as in docker; that is whole
/// before anybody sees it, and is done once, whoever begins at the same time. Nothing comes from a "host" image.
///
/// name        at most 64 of a-z A-Z 0-9 _ . -, not starting with a dot or a dash; ctr_create() refuses another
/// read_only   nothing can be written through it
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_add_volume(
    config: *mut ctr_config,
    name: *const c_char,
    target: *const c_char,
    read_only: bool,
) -> c_int {
    // SAFETY: the caller's promise.
    let both = || Ok(unsafe { (text("name", name)?, bytes("target", target)?) });
    checked(config, both, |config, (name, target)| {
        config.mounts.push(Mount::Volume(Volume::new(name, target).with(|v| v.read_only = read_only)));
    })
}

/// Adds an empty tmpfs(5) at target, an absolute path inside that is made where it is missing, as for
/// ctr_config_add_mount_bind().
///
/// size   the most bytes it may hold, at least 1; CTR_UNLIMITED: it is a part of the tmpfs that has the container's changes, and
///        ctr_config_set_upper_size() holds for both together
/// mode   the permission bits of its root directory; 0: 01777
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_add_tmpfs(
    config: *mut ctr_config,
    target: *const c_char,
    size: u64,
    mode: u32,
) -> c_int {
    // SAFETY: the caller's promise.
    checked(
        config,
        || unsafe { bytes("target", target) },
        |config, target| {
            let mode = (mode != 0).then_some(mode);
            config.mounts.push(Mount::Tmpfs(Tmpfs::new(target).with(|t| {
                t.size = limit(size);
                t.mode = mode;
            })));
        },
    )
}

/// Adds a directory of the host as copy-on-write at target, an absolute path inside that is made where it is missing, as for
/// ctr_config_add_mount_bind(): an overlay, overlayfs.rst of the kernel, so the container changes it for itself alone and the files
/// of source stay as they are. However many files it has, it costs the same. ctr_diff_scratch() lists what has changed,
/// ctr_apply_scratch() carries it over to source, ctr_discard_scratch() drops it; it is gone with the container.
///
/// source   a directory; what is mounted below it is not seen inside
///
/// Changes take memory, and count in ctr_config_set_upper_size() together with those of the root; with CTR_UPPER_DISK, and on kernels
/// before Linux 6.6, they are on disk. Programs see a file of source that is changed on the host while they run as it was or
/// as it is, overlayfs doesn't say which, as long as they have not changed it themselves. A container has 6 scratch mounts at
/// most.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_add_scratch(
    config: *mut ctr_config,
    source: *const c_char,
    target: *const c_char,
) -> c_int {
    // SAFETY: the caller's promise.
    let paths = || Ok(unsafe { (bytes("source", source)?, bytes("target", target)?) });
    checked(config, paths, |config, (source, target)| {
        config.mounts.push(Scratch::new(source, target).into());
    })
}

/// The memory limit in bytes, swap not included, cgroups(7). ctr_set_mem_limit() changes it later. Default:
/// none; 512 MiB in CTR_PRESET_STRICT. CTR_UNLIMITED is none in that preset, too.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_memory(config: *mut ctr_config, bytes: u64) -> c_int {
    set(config, |config| config.memory = Some(bytes))
}

/// The most processes and threads at one time, the pids controller of cgroups(7). ctr_set_pids_limit() changes it later.
/// Default: none; 128 in CTR_PRESET_STRICT. CTR_UNLIMITED is none in that preset, too.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_pids(config: *mut ctr_config, count: u64) -> c_int {
    set(config, |config| config.pids = Some(count))
}

/// The time of processors that all programs of the container have together, the cpu controller of cgroups(7), in thousandths of
/// a processor: 500 is half of one, 2000 two. A program that has had its share of a tenth of a second waits for the next.
/// ctr_set_limit() changes it later. Default: CTR_UNLIMITED.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_cpus(config: *mut ctr_config, thousandths: u64) -> c_int {
    set(config, |config| config.cpus = limit(thousandths))
}

/// What happens if no cgroup can be made: policy is one of enum ctr_cgroup_policy. Default: CTR_CGROUP_AUTO.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_cgroup(config: *mut ctr_config, policy: c_int) -> c_int {
    const POLICIES: [(c_int, CgroupPolicy); 4] = [
        (ctr_cgroup_policy::CTR_CGROUP_AUTO as c_int, CgroupPolicy::Auto),
        (ctr_cgroup_policy::CTR_CGROUP_REQUIRED as c_int, CgroupPolicy::Required),
        (ctr_cgroup_policy::CTR_CGROUP_OPTIONAL as c_int, CgroupPolicy::Optional),
        (ctr_cgroup_policy::CTR_CGROUP_OFF as c_int, CgroupPolicy::Off),
    ];
    checked(config, || one_of("policy", &POLICIES, policy), |config, value| config.cgroup = value)
}

/// The cgroup below which the container's own is made, cgroups(7): an absolute path below the mount point of the
/// hierarchy, as "/batch/job1", or a path relative to the caller's own cgroup. It must exist; on v1 in each hierarchy
/// that is used (memory, and pids, cpu, cpuset, blkio, hugetlb and devices if they are limited). Its limits apply to the container.
///
/// Default: $CTR_CGROUP_PARENT, else the cgroup of the calling thread, so that the caller's limits apply to what it
/// runs. On v2 a cgroup that has processes can't enable controllers for its children; there the container's cgroup is
/// made in the nearest ancestor that can, beside the caller's. If the caller's cgroup has limits and the container is
/// given none, it is made below the caller's all the same, and can't be limited later. "cgroup_place" of
/// ctr_inspect() and ctr_explain() say where it is.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_set_cgroup_parent(config: *mut ctr_config, path: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    checked(config, || unsafe { bytes("path", path) }, |config, path| config.cgroup_parent = Some(path.into()))
}

/// Whose network the container has: "none" (one of its own with loopback only), "host", "container:NAME" of a running container,
/// the path of a namespace, as "/proc/7/ns/net", or the name of a network of ctr_network(), of which it becomes a member. It stands for a choice of CTR_NS_NET; ctr_create() refuses both. Default:
/// "none".
///
/// Return value: 0, or CTR_ERR_INVALID for anything else.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_set_network(config: *mut ctr_config, network: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    let network = || unsafe { text("network", network) }?.parse();
    checked(config, network, |config, network| config.network = Some(network))
}

/// Makes a namespace new or the host's.
///
/// kind     one of enum ctr_namespace (or CLONE_NEW*)
/// source   one of enum ctr_namespace_source
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_namespace(config: *mut ctr_config, kind: c_int, source: c_int) -> c_int {
    const SOURCES: [(c_int, fn() -> Namespace); 2] = [
        (ctr_namespace_source::CTR_NS_NEW as c_int, || Namespace::New),
        (ctr_namespace_source::CTR_NS_HOST as c_int, || Namespace::Host),
    ];
    namespace(config, kind, || Ok(one_of("source", &SOURCES, source)?()))
}

/// Joins a namespace of the process pid, setns(2), instead of making one. kind is one of enum ctr_namespace. The caller's own
/// is the host's, see CTR_NS_HOST.
///
/// It takes rights in the user namespace that owns it: join that one as well (CTR_NS_USER), or, as root of the machine, share
/// the host's. Where the container's user namespace is a new one, root of the machine can join those of the kinds NET, UTS and
/// IPC only: the kernel refuses the others.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_namespace_pid(config: *mut ctr_config, kind: c_int, pid: i32) -> c_int {
    namespace(config, kind, || Ok(Namespace::Pid(pid)))
}

/// Joins the namespace behind a file, /proc/PID/ns/KIND or a bind mount of such, instead of making one; see
/// ctr_config_set_namespace_pid(). kind is one of enum ctr_namespace.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_set_namespace_path(
    config: *mut ctr_config,
    kind: c_int,
    path: *const c_char,
) -> c_int {
    // SAFETY: the caller's promise.
    namespace(config, kind, || Ok(Namespace::Path(unsafe { bytes("path", path) }?.into())))
}

/// Joins a namespace of the running container of this name instead of making one; see ctr_config_set_namespace_pid(). kind is
/// one of enum ctr_namespace.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_set_namespace_container(
    config: *mut ctr_config,
    kind: c_int,
    name: *const c_char,
) -> c_int {
    // SAFETY: the caller's promise.
    namespace(config, kind, || Ok(Namespace::Container(unsafe { text("name", name) }?.into())))
}

/// Mounts the root read-only. Default: false.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_read_only(config: *mut ctr_config, read_only: bool) -> c_int {
    set(config, |config| config.read_only = read_only)
}

/// How many bytes the container's changes may take while they are kept in memory, together with /dev/shm, the /tmp of a read-only
/// root, and every tmpfs without a size of its own; a write beyond that fails with ENOSPC. Default, and with CTR_UNLIMITED: half of
/// the memory limit, or half of the machine's memory if there is no limit.
///
/// Return value: 0, or CTR_ERR_INVALID. ctr_create() refuses less than 1 MiB (1048576).
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_upper_size(config: *mut ctr_config, bytes: u64) -> c_int {
    set(config, |config| config.upper_size = limit(bytes))
}

/// How many files, directories and links the container's changes may have while they are kept in memory, together with the same places
/// as for ctr_config_set_upper_size(); one more fails with ENOSPC. Each is some 1 to 2 KiB of memory of the kernel's, which counts in
/// the memory limit. Default, and with CTR_UNLIMITED: one for each 4 KiB of that size, 1024 at the least; without a memory limit
/// and a size as many as half of the machine's memory has pages.
///
/// Return value: 0, or CTR_ERR_INVALID. ctr_create() refuses fewer than 256.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_upper_inodes(config: *mut ctr_config, count: u64) -> c_int {
    set(config, |config| config.upper_inodes = limit(count))
}

/// Whether an /etc/hosts, /etc/hostname and /etc/resolv.conf of the container's own are mounted over the image's, as docker does.
/// With false they are the image's. Default: true.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_etc_files(config: *mut ctr_config, wanted: bool) -> c_int {
    set(config, |config| config.etc_files = Some(wanted))
}

/// Where the container's changes go: one of enum ctr_upper. Default: CTR_UPPER_MEMORY.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_upper(config: *mut ctr_config, place: c_int) -> c_int {
    const PLACES: [(c_int, Upper); 2] =
        [(ctr_upper::CTR_UPPER_MEMORY as c_int, Upper::Memory), (ctr_upper::CTR_UPPER_DISK as c_int, Upper::Disk)];
    checked(config, || one_of("place", &PLACES, place), |config, value| config.upper = value)
}

/// How an image that is a directory is used: one of enum ctr_directory. Default: CTR_DIRECTORY_LOWER.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_directory(config: *mut ctr_config, how: c_int) -> c_int {
    const USES: [(c_int, DirectoryUse); 2] = [
        (ctr_directory::CTR_DIRECTORY_LOWER as c_int, DirectoryUse::Lower),
        (ctr_directory::CTR_DIRECTORY_DIRECT as c_int, DirectoryUse::Direct),
    ];
    checked(config, || one_of("how", &USES, how), |config, value| config.directory = value)
}

/// Lets the container outlive the process that makes it, until someone destroys it. Default: false, so it ends with that
/// process, however that ends.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_detached(config: *mut ctr_config, detached: bool) -> c_int {
    set(config, |config| config.detached = detached)
}

/// The capabilities that processes inside may have: bit n stands for the capability of number n in
/// <linux/capability.h>, capabilities(7); 0 for none. They count inside the container's user namespace only. Default:
/// the preset's, which are docker's less CAP_NET_RAW.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_capabilities(config: *mut ctr_config, mask: u64) -> c_int {
    set(config, |config| config.capabilities = Some(mask))
}

/// Adds a capability to those that processes inside may have, by its name: "NET_ADMIN" or "CAP_NET_ADMIN"; "ALL" stands for
/// every one.
///
/// Return value: 0, or CTR_ERR_INVALID. ctr_create() refuses a name that does not exist.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_add_capability(config: *mut ctr_config, name: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    checked(config, || unsafe { text("name", name) }, |config, name| config.cap_add.push(name.into()))
}

/// Takes a capability from those that processes inside may have, as ctr_config_add_capability() takes it. As in
/// docker, a drop takes effect after an added "ALL", and an addition after a dropped "ALL"; ctr_create() refuses a
/// name that is both added and dropped.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_drop_capability(config: *mut ctr_config, name: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    checked(config, || unsafe { text("name", name) }, |config, name| config.cap_drop.push(name.into()))
}

/// Lets programs gain privileges by set-user-ID and file capabilities: no_new_privs of prctl(2) is not set. Default:
/// false.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn ctr_config_set_new_privileges(config: *mut ctr_config, allowed: bool) -> c_int {
    set(config, |config| config.new_privileges = allowed)
}

/// The directory in which running containers are written down. Default: $CTR_STATE_DIR, else the first of these that is, or
/// can be made, this user's own: /run/ctr (root), $XDG_RUNTIME_DIR/ctr, /run/user/UID/ctr, /dev/shm/ctr-UID, /tmp/ctr-UID,
/// $HOME/.local/state/ctr. A setuid program doesn't look at the variables. ctr_join_in() and ctr_list_in() look into another.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_set_state_dir(config: *mut ctr_config, path: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    checked(config, || unsafe { bytes("path", path) }, |config, path| config.state_dir = Some(path.into()))
}

/// The directory in which unpacked images are kept. Default: $CTR_STORE_DIR, else /var/lib/ctr for root and
/// $XDG_DATA_HOME/ctr for others.
///
/// Return value: 0, or CTR_ERR_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctr_config_set_store_dir(config: *mut ctr_config, path: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    checked(config, || unsafe { bytes("path", path) }, |config, path| config.store_dir = Some(path.into()))
}

fn namespace(config: *mut ctr_config, kind: c_int, source: impl FnOnce() -> Result<Namespace>) -> c_int {
    type Place = fn(&mut Namespaces, Namespace);
    const PLACES: [(c_int, Place); 8] = [
        (ctr_namespace::CTR_NS_MOUNT as c_int, |all, one| all.mount = one),
        (ctr_namespace::CTR_NS_PID as c_int, |all, one| all.pid = one),
        (ctr_namespace::CTR_NS_USER as c_int, |all, one| all.user = one),
        (ctr_namespace::CTR_NS_UTS as c_int, |all, one| all.uts = one),
        (ctr_namespace::CTR_NS_IPC as c_int, |all, one| all.ipc = one),
        (ctr_namespace::CTR_NS_CGROUP as c_int, |all, one| all.cgroup = one),
        (ctr_namespace::CTR_NS_NET as c_int, |all, one| all.net = one),
        (ctr_namespace::CTR_NS_TIME as c_int, |all, one| all.time = Some(one).filter(|one| *one != Namespace::Host)),
    ];
    let check = || Ok((one_of("kind", &PLACES, kind)?, source()?));
    checked(config, check, |config, (place, namespace)| place(&mut config.namespaces, namespace))
}
