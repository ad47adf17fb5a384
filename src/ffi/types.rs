//! The types of the header: opaque handles, enums, and the one struct whose layout callers see.

use crate::image::Change;
use crate::{ErrorCode, Exit, ExitReason, WallState};

/// No limit, for every function that takes or returns a limit.
pub const CTR_UNLIMITED: u64 = u64::MAX;

/// In place of a uid: the user as whom the image's programs run, for ctr_mount_owned().
pub const CTR_INSIDE: u32 = u32::MAX;

/// What ctr_stats() tells of a number that is not counted here.
pub const CTR_NOT_COUNTED: u64 = u64::MAX;

/// How a container is made; see ctr_config_new().
pub struct ctr_config {
    _opaque: [u8; 0],
}

/// How a program is started in a container; see ctr_exec_config_new().
pub struct ctr_exec_config {
    _opaque: [u8; 0],
}

/// A running container; see ctr_create() and ctr_join().
pub struct ctr_container {
    _opaque: [u8; 0],
}

/// A program that was started in a container; see ctr_exec().
pub struct ctr_process {
    _opaque: [u8; 0],
}

/// What ran at the moment of ctr_list().
pub struct ctr_container_list {
    _opaque: [u8; 0],
}

/// How archives and images are read, written and made; see ctr_image_options_new().
pub struct ctr_image_options {
    _opaque: [u8; 0],
}

/// An image of the store; see ctr_image_import() and ctr_image_inspect().
pub struct ctr_image {
    _opaque: [u8; 0],
}

/// What was in the store at the moment of ctr_image_list().
pub struct ctr_images {
    _opaque: [u8; 0],
}

/// Volumes that were in the store at the moment of ctr_volume_list(), or one of ctr_volume_create().
pub struct ctr_volumes {
    _opaque: [u8; 0],
}

/// What an image says about how it is run; see ctr_image_config_new() and ctr_image_config_of().
pub struct ctr_image_config {
    _opaque: [u8; 0],
}

/// What a container had changed at the moment of ctr_diff() or ctr_diff_scratch(), or what ctr_apply_scratch() has done.
pub struct ctr_differences {
    _opaque: [u8; 0],
}

/// Is told how far a long call is, on the thread that made the call. It may call functions of ctr, but must not
/// longjmp(3) out.
///
/// data      what ctr_image_options_set_progress() was given
/// bytes     of the archive that were read or written so far, as it is (compressed)
/// total     all bytes; 0 where that can't be known (a pipe, an export)
/// entries   files and directories so far
///
/// Return value: 0 to go on; anything else ends the call with CTR_ERR_INTERRUPTED, and nothing of it is left.
pub type ctr_progress =
    Option<unsafe extern "C" fn(data: *mut std::ffi::c_void, bytes: u64, total: u64, entries: u64) -> std::ffi::c_int>;

/// What this machine allowed at the moment of ctr_probe().
pub struct ctr_report {
    _opaque: [u8; 0],
}

/// Names in a directory at the moment of ctr_list_dir().
pub struct ctr_names {
    _opaque: [u8; 0],
}

/// The walls of a container at the moment of ctr_walls_of().
pub struct ctr_walls {
    _opaque: [u8; 0],
}

/// What was mounted into a container at the moment of ctr_mounts_of().
pub struct ctr_mounts {
    _opaque: [u8; 0],
}

/// Watches a container; see ctr_watch().
pub struct ctr_watcher {
    _opaque: [u8; 0],
}

/// What a function returns. Numbers are never reused and never change their meaning; later releases may add some, so
/// treat an unknown negative number as CTR_ERR_SYSTEM. ctr_error_name() has the names.
#[repr(C)]
pub enum ctr_error {
    /// Success.
    CTR_OK = 0,
    /// A system call failed; ctr_last_errno() says how.
    CTR_ERR_SYSTEM = -1,
    /// An argument is invalid on any machine: NULL, a released handle, a value out of range.
    CTR_ERR_INVALID = -2,
    /// No such container, image, program, user or file.
    CTR_ERR_NOT_FOUND = -3,
    /// The name is taken by a running container.
    CTR_ERR_NAME_IN_USE = -4,
    /// The container is gone: destroyed, or its PID 1 was killed.
    CTR_ERR_DESTROYED = -5,
    /// The time given to a wait has passed.
    CTR_ERR_TIMED_OUT = -6,
    /// The machine (its kernel, its settings, this user's rights) does not support what was asked for.
    CTR_ERR_UNSUPPORTED = -7,
    /// The image can't be run: it is no archive, or is cut off or unsafe.
    CTR_ERR_BAD_IMAGE = -8,
    /// The program could not be started inside the container.
    CTR_ERR_EXEC = -9,
    /// The call was interrupted on request.
    CTR_ERR_INTERRUPTED = -10,
    /// A bug in ctr, caught before it reached the caller. Please report it with ctr_last_error().
    CTR_ERR_INTERNAL = -11,
}

/// Why a process ended: the member reason of ctr_exit. Later releases may add some.
#[repr(C)]
pub enum ctr_reason {
    /// It returned from main or called exit(3).
    CTR_REASON_EXITED = 0,
    /// A signal ended it.
    CTR_REASON_SIGNALED = 1,
    /// The kernel killed it because the container's memory limit was reached.
    CTR_REASON_OUT_OF_MEMORY = 2,
    /// Its time limit passed; see ctr_exec_config_set_time_limit().
    CTR_REASON_TIMED_OUT = 3,
    /// The container was destroyed, or its PID 1 was killed, under it.
    CTR_REASON_DESTROYED = 4,
    /// It has ended, but nobody knows how: the container's PID 1 was kept from reporting it, and the kernel no longer
    /// has it. code and signal are those of SIGKILL.
    CTR_REASON_UNKNOWN = 5,
    /// It, and what it had started, had used up their CPU time; see ctr_exec_config_set_cpu_time_limit().
    CTR_REASON_OUT_OF_CPU_TIME = 6,
}

/// The kinds of namespaces, namespaces(7). The numbers are those of CLONE_NEW* in <sched.h>, so either may be used.
#[repr(C)]
pub enum ctr_namespace {
    /// Clock offsets (CLONE_NEWTIME), time_namespaces(7). The host's unless asked for.
    CTR_NS_TIME = 0x0000_0080,
    /// Mounts (CLONE_NEWNS), mount_namespaces(7).
    CTR_NS_MOUNT = 0x0002_0000,
    /// The root of the cgroup tree (CLONE_NEWCGROUP), cgroup_namespaces(7).
    CTR_NS_CGROUP = 0x0200_0000,
    /// Hostname (CLONE_NEWUTS), uts_namespaces(7).
    CTR_NS_UTS = 0x0400_0000,
    /// System V IPC and POSIX message queues (CLONE_NEWIPC), ipc_namespaces(7).
    CTR_NS_IPC = 0x0800_0000,
    /// User and group ids and the capabilities over everything else (CLONE_NEWUSER), user_namespaces(7).
    CTR_NS_USER = 0x1000_0000,
    /// Process ids (CLONE_NEWPID), pid_namespaces(7).
    CTR_NS_PID = 0x2000_0000,
    /// Network interfaces, addresses and ports (CLONE_NEWNET), network_namespaces(7).
    CTR_NS_NET = 0x4000_0000,
}

/// Where a namespace comes from, for ctr_config_set_namespace().
#[repr(C)]
pub enum ctr_namespace_source {
    /// A new one: the default of every kind but CTR_NS_TIME.
    CTR_NS_NEW = 0,
    /// The caller's own: nothing of this kind is isolated.
    CTR_NS_HOST = 1,
}

/// What happens if no cgroup can be made, for ctr_config_set_cgroup().
#[repr(C)]
pub enum ctr_cgroup_policy {
    /// Refuse to create the container if a limit was asked for, else do without. The default.
    CTR_CGROUP_AUTO = 0,
    /// Refuse to create.
    CTR_CGROUP_REQUIRED = 1,
    /// Do without, whatever limits were asked for. RLIMIT_NPROC and RLIMIT_DATA of setrlimit(2) stand in for those on processes and
    /// memory, which is weaker: ctr_inspect() has it in "warnings".
    CTR_CGROUP_OPTIONAL = 2,
    /// Make none.
    CTR_CGROUP_OFF = 3,
}

/// What a container can be limited in: numbers are for ctr_set_limit() and ctr_limit(), lists for ctr_set_limit_list() and
/// ctr_limit_list(). Later releases may add some at the end.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum ctr_limit_kind {
    /// Bytes of memory, swap not included: ctr_config_set_memory().
    CTR_LIMIT_MEMORY = 0,
    /// Processes and threads at one time: ctr_config_set_pids().
    CTR_LIMIT_PIDS = 1,
    /// Time of processors, in thousandths of a processor: ctr_config_set_cpus().
    CTR_LIMIT_CPUS = 2,
    /// Bytes of memory above which it is slowed down: ctr_config_set_memory_high().
    CTR_LIMIT_MEMORY_HIGH = 3,
    /// Bytes of memory that are reclaimed last: ctr_config_set_memory_low().
    CTR_LIMIT_MEMORY_LOW = 4,
    /// Bytes of swap, memory not included: ctr_config_set_swap().
    CTR_LIMIT_SWAP = 5,
    /// The share of processors beside others, 1 to 10000: ctr_config_set_cpu_weight(). CTR_UNLIMITED sets the usual 100.
    CTR_LIMIT_CPU_WEIGHT = 6,
    /// The share of block devices beside others, 1 to 10000: ctr_config_set_io_weight(). CTR_UNLIMITED sets the usual 100.
    CTR_LIMIT_IO_WEIGHT = 7,
    /// A list: the processors that it may run on, "0-1,3": ctr_config_set_cpuset().
    CTR_LIMIT_CPUSET = 8,
    /// A list: the memory nodes that it may have memory from, "0": ctr_config_set_cpuset_mems().
    CTR_LIMIT_CPUSET_MEMS = 9,
    /// A list: rates of block devices, a line each, "/dev/sda rbps=1048576": ctr_config_add_io().
    CTR_LIMIT_IO = 10,
    /// A list: bytes of huge pages, a line each, "2MB=67108864": ctr_config_add_hugetlb().
    CTR_LIMIT_HUGETLB = 11,
    /// Bytes of changes in memory: ctr_config_set_upper_size(). CTR_UNLIMITED sets what a container has without a word of it.
    CTR_LIMIT_UPPER_SIZE = 12,
    /// Files, directories and links of changes in memory: ctr_config_set_upper_inodes(). CTR_UNLIMITED likewise.
    CTR_LIMIT_UPPER_INODES = 13,
}

/// What ctr_stats() tells; an index into its array. Later releases may add some at the end.
#[repr(C)]
pub enum ctr_stat {
    /// Bytes of memory in use, of all kinds.
    CTR_STAT_MEMORY_CURRENT = 0,
    /// The most that ever was in use. On v2 since Linux 5.19.
    CTR_STAT_MEMORY_PEAK = 1,
    /// Bytes of the programs' own memory: heaps, stacks.
    CTR_STAT_MEMORY_ANON = 2,
    /// Bytes of cached files, with those on tmpfs and shared memory.
    CTR_STAT_MEMORY_FILE = 3,
    /// Bytes of the kernel, for what the programs do. On v2 since Linux 5.18.
    CTR_STAT_MEMORY_KERNEL = 4,
    /// Bytes in sockets of the internet. On v1 they are no part of CTR_STAT_MEMORY_CURRENT.
    CTR_STAT_MEMORY_SOCK = 5,
    /// Bytes of shared memory and of files on tmpfs.
    CTR_STAT_MEMORY_SHMEM = 6,
    /// Time of processors in programs, in microseconds.
    CTR_STAT_CPU_USER = 7,
    /// Time of processors in the kernel, in microseconds.
    CTR_STAT_CPU_SYSTEM = 8,
    /// For how long programs were made to wait by a processor limit, in microseconds. Counted where there is or was one.
    CTR_STAT_CPU_THROTTLED = 9,
    /// Periods of that limit in which programs ran.
    CTR_STAT_CPU_PERIODS = 10,
    /// Those of them in which they were made to wait.
    CTR_STAT_CPU_THROTTLED_PERIODS = 11,
    /// Processes and threads, the container's PID 1 among them.
    CTR_STAT_PIDS_CURRENT = 12,
    /// Bytes read from block devices. On v2 where the io controller is handed on; on v1 with a limit of io or io_weight.
    CTR_STAT_IO_READ = 13,
    /// Bytes written to block devices; where CTR_STAT_IO_READ is counted, on v1 those past the page cache only.
    CTR_STAT_IO_WRITTEN = 14,
    /// Processes that the OOM killer has ended, as ctr_oom_kills().
    CTR_STAT_OOM_KILLS = 15,
    /// Pressure: the share of the last 10 seconds in which some program waited for memory, in hundredths of a percent. v2 only.
    CTR_STAT_PRESSURE_MEMORY_SOME_AVG10 = 16,
    /// The same of the last 60 seconds.
    CTR_STAT_PRESSURE_MEMORY_SOME_AVG60 = 17,
    /// The same of the last 300 seconds.
    CTR_STAT_PRESSURE_MEMORY_SOME_AVG300 = 18,
    /// All in all, in microseconds.
    CTR_STAT_PRESSURE_MEMORY_SOME_TOTAL = 19,
    /// Pressure: the share of the last 10 seconds in which all of them waited for memory, in hundredths of a percent. v2 only.
    CTR_STAT_PRESSURE_MEMORY_FULL_AVG10 = 20,
    /// The same of the last 60 seconds.
    CTR_STAT_PRESSURE_MEMORY_FULL_AVG60 = 21,
    /// The same of the last 300 seconds.
    CTR_STAT_PRESSURE_MEMORY_FULL_AVG300 = 22,
    /// All in all, in microseconds.
    CTR_STAT_PRESSURE_MEMORY_FULL_TOTAL = 23,
    /// Pressure: the share of the last 10 seconds in which some program waited for a processor, in hundredths of a percent. v2 only.
    CTR_STAT_PRESSURE_CPU_SOME_AVG10 = 24,
    /// The same of the last 60 seconds.
    CTR_STAT_PRESSURE_CPU_SOME_AVG60 = 25,
    /// The same of the last 300 seconds.
    CTR_STAT_PRESSURE_CPU_SOME_AVG300 = 26,
    /// All in all, in microseconds.
    CTR_STAT_PRESSURE_CPU_SOME_TOTAL = 27,
    /// Pressure: the share of the last 10 seconds in which all of them waited for a processor, in hundredths of a percent. v2 only.
    CTR_STAT_PRESSURE_CPU_FULL_AVG10 = 28,
    /// The same of the last 60 seconds.
    CTR_STAT_PRESSURE_CPU_FULL_AVG60 = 29,
    /// The same of the last 300 seconds.
    CTR_STAT_PRESSURE_CPU_FULL_AVG300 = 30,
    /// All in all, in microseconds.
    CTR_STAT_PRESSURE_CPU_FULL_TOTAL = 31,
    /// Pressure: the share of the last 10 seconds in which some program waited for block devices, in hundredths of a percent. v2 only.
    CTR_STAT_PRESSURE_IO_SOME_AVG10 = 32,
    /// The same of the last 60 seconds.
    CTR_STAT_PRESSURE_IO_SOME_AVG60 = 33,
    /// The same of the last 300 seconds.
    CTR_STAT_PRESSURE_IO_SOME_AVG300 = 34,
    /// All in all, in microseconds.
    CTR_STAT_PRESSURE_IO_SOME_TOTAL = 35,
    /// Pressure: the share of the last 10 seconds in which all of them waited for block devices, in hundredths of a percent. v2 only.
    CTR_STAT_PRESSURE_IO_FULL_AVG10 = 36,
    /// The same of the last 60 seconds.
    CTR_STAT_PRESSURE_IO_FULL_AVG60 = 37,
    /// The same of the last 300 seconds.
    CTR_STAT_PRESSURE_IO_FULL_AVG300 = 38,
    /// All in all, in microseconds.
    CTR_STAT_PRESSURE_IO_FULL_TOTAL = 39,
}

/// What can happen to a container, for ctr_watch(): numbers that can be or'ed. Later releases may add some.
#[repr(C)]
pub enum ctr_event {
    /// The kernel has killed processes for memory; CTR_EVENT_VALUE_COUNT of them.
    CTR_EVENT_OOM_KILL = 1,
    /// The limit of memory was met, so often: the kernel has taken memory back, or killed somebody.
    CTR_EVENT_MEMORY_LIMIT = 2,
    /// A process or thread could not be made for the limit of pids, so many times.
    CTR_EVENT_PIDS_LIMIT = 4,
    /// A threshold of ctr_watch_pressure() was passed.
    CTR_EVENT_PRESSURE = 8,
    /// A program has ended.
    CTR_EVENT_EXIT = 16,
    /// All processes stand still, ctr_pause().
    CTR_EVENT_PAUSE = 32,
    /// They go on.
    CTR_EVENT_RESUME = 64,
    /// The container has ended. Nothing comes after it.
    CTR_EVENT_END = 128,
    /// It had more memory than CTR_LIMIT_MEMORY_HIGH, and was slowed down, so often as the kernel counts it; cgroup v2 only.
    CTR_EVENT_MEMORY_HIGH = 256,
}

/// What ctr_watch_next() tells of an event; an index into its array. Later releases may add some at the end.
#[repr(C)]
pub enum ctr_event_value {
    /// When it was seen, in nanoseconds since the Epoch: CLOCK_REALTIME of clock_gettime(2). The kernel notes no time of its own.
    CTR_EVENT_VALUE_TIME = 0,
    /// The same by CLOCK_MONOTONIC, which nobody sets, in nanoseconds.
    CTR_EVENT_VALUE_MONOTONIC = 1,
    /// How often it has happened since it was told of last; 1 where that is not counted.
    CTR_EVENT_VALUE_COUNT = 2,
    /// CTR_EVENT_EXIT: the pid inside, as ctr_process_pid().
    CTR_EVENT_VALUE_PID = 3,
    /// CTR_EVENT_EXIT: the exit code, or 128 + signal, as in ctr_exit.
    CTR_EVENT_VALUE_CODE = 4,
    /// CTR_EVENT_EXIT: the signal that ended it, 0 if none.
    CTR_EVENT_VALUE_SIGNAL = 5,
    /// CTR_EVENT_EXIT: why it ended, enum ctr_reason. CTR_EVENT_END: what ctr_end_reason() returns.
    CTR_EVENT_VALUE_REASON = 6,
    /// CTR_EVENT_PRESSURE: what ctr_watch_pressure() has returned.
    CTR_EVENT_VALUE_PRESSURE = 7,
}

/// What programs may wait for, for ctr_watch_pressure().
#[repr(C)]
pub enum ctr_pressure {
    /// Memory.
    CTR_PRESSURE_MEMORY = 0,
    /// Processors.
    CTR_PRESSURE_CPU = 1,
    /// Block devices.
    CTR_PRESSURE_IO = 2,
}

/// Which walls stand, for ctr_config_set_preset().
#[repr(C)]
pub enum ctr_preset {
    /// What docker's containers may do, without what no container needs.
    CTR_PRESET_DEFAULT = 0,
    /// For programs of strangers: no network but loopback, no namespaces of their own, no tracing, no setuid files, a
    /// root that can't be written to, no fifos, and limits on memory (512 MiB) and processes (128).
    CTR_PRESET_STRICT = 1,
    /// NO WALLS BUT THE NAMESPACES: every capability over them, every system call, nothing masked, setuid works. For programs
    /// that you trust. In a user namespace of its own it still is not the host's root; without one it is. ctr_explain()
    /// and ctr_inspect() say it first.
    CTR_PRESET_PRIVILEGED = 2,
}

/// Whether there is a list of devices, for ctr_config_set_device_list().
#[repr(C)]
pub enum ctr_device_list {
    /// If a device is given, in the strict preset, and if root inside is root outside, as far as this machine and
    /// user allow it. Elsewhere a user namespace keeps programs from making nodes. The default.
    CTR_DEVICE_LIST_AUTO = 0,
    /// Refuse to create without one.
    CTR_DEVICE_LIST_REQUIRED = 1,
    /// None.
    CTR_DEVICE_LIST_OFF = 2,
}

/// Which system calls may be made, for ctr_config_set_seccomp().
#[repr(C)]
pub enum ctr_seccomp {
    /// Those of CTR_PRESET_DEFAULT.
    CTR_SECCOMP_DEFAULT = 0,
    /// Those of CTR_PRESET_STRICT.
    CTR_SECCOMP_STRICT = 1,
    /// Every one: this opens nearly all of the kernel to the programs inside.
    CTR_SECCOMP_UNCONFINED = 2,
}

/// What a refused system call does, for ctr_config_set_seccomp_refusal(); seccomp(2).
#[repr(C)]
pub enum ctr_refusal {
    /// It fails with a given errno.
    CTR_REFUSAL_ERRNO = 0,
    /// The process dies of SIGSYS.
    CTR_REFUSAL_KILL_PROCESS = 1,
    /// The calling thread dies.
    CTR_REFUSAL_KILL_THREAD = 2,
    /// The program gets a SIGSYS that it can handle.
    CTR_REFUSAL_TRAP = 3,
    /// A tracer inside decides, and is given a number; ENOSYS where there is none.
    CTR_REFUSAL_TRACE = 4,
    /// Nothing: the call is made, and written to the kernel's log.
    CTR_REFUSAL_LOG = 5,
}

/// Where a container's changes to its file system go, for ctr_config_set_upper().
#[repr(C)]
pub enum ctr_upper {
    /// A private tmpfs(5), counted against the memory limit. The default. Before Linux 6.6 a tmpfs can't be the upper layer of an
    /// overlay without loss, and the changes go to disk.
    CTR_UPPER_MEMORY = 0,
    /// A directory in the store, removed when the container is destroyed.
    CTR_UPPER_DISK = 1,
}

/// How an image that is a directory is used, for ctr_config_set_directory().
#[repr(C)]
pub enum ctr_directory {
    /// As the lower layer of an overlay: it is never written to. The default.
    CTR_DIRECTORY_LOWER = 0,
    /// Itself as the root: what the container writes is written there.
    CTR_DIRECTORY_DIRECT = 1,
}

/// Where a standard stream leads, for ctr_exec_config_set_stdio().
#[repr(C)]
pub enum ctr_stdio {
    /// The caller's own stream of that number. The default.
    CTR_STDIO_INHERIT = 0,
    /// /dev/null.
    CTR_STDIO_NULL = 1,
    /// A new pipe; ctr_process_stdin(), ctr_process_stdout() and ctr_process_stderr() give the caller's end. A program stands still
    /// while the pipe that it writes to is full, pipe(7), usually at 64 KiB: read, or it never ends; see ctr_process_wait().
    CTR_STDIO_PIPE = 2,
    /// For stderr only: wherever stdout leads.
    CTR_STDIO_STDOUT = 3,
}

/// The session of a new process, for ctr_exec_config_set_session().
#[repr(C)]
pub enum ctr_session {
    /// A new session, setsid(2), and so a new process group. The default.
    CTR_SESSION_NEW = 0,
    /// A new process group, setpgid(2), in the session of the container's PID 1.
    CTR_SESSION_GROUP = 1,
}

/// How an archive is compressed, for ctr_image_options_set_compression().
#[repr(C)]
pub enum ctr_compression {
    /// Not at all. The default.
    CTR_COMPRESSION_NONE = 0,
    /// gzip, RFC 1952.
    CTR_COMPRESSION_GZIP = 1,
    /// Zstandard, RFC 8878.
    CTR_COMPRESSION_ZSTD = 2,
}

/// Which tools an archive of an image is for, for ctr_image_options_set_format().
#[repr(C)]
pub enum ctr_save_format {
    /// An OCI image layout, which docker loads as well. The default.
    CTR_SAVE_OCI = 0,
    /// The form of `docker save` before version 25, for tools that know no other.
    CTR_SAVE_DOCKER = 1,
}

/// Bounds of what is imported, for ctr_image_options_set_limit(). The defaults let through every image that people build.
#[repr(C)]
pub enum ctr_image_limit {
    /// Bytes of the archive after decompression; of an archive of images also those of all layers together.
    CTR_LIMIT_BYTES = 0,
    /// Entries, of every kind.
    CTR_LIMIT_ENTRIES = 1,
    /// Bytes of one file, holes included.
    CTR_LIMIT_FILE = 2,
    /// Bytes of one extended header: names, link targets, attributes, sparse maps.
    CTR_LIMIT_HEADER = 3,
    /// Bytes of an entry's whole name.
    CTR_LIMIT_NAME = 4,
    /// Directories above an entry.
    CTR_LIMIT_DEPTH = 5,
    /// How many times larger than its compressed form an archive may be, and so its layers together, once past 1 GiB.
    CTR_LIMIT_RATIO = 6,
    /// Layers of an image.
    CTR_LIMIT_LAYERS = 7,
    /// Documents of JSON that are read to find an image.
    CTR_LIMIT_DOCUMENTS = 8,
    /// Bytes of an image's configuration: variables, labels, volumes, commands, as JSON.
    CTR_LIMIT_CONFIG = 9,
    /// Volumes of an image.
    CTR_LIMIT_VOLUMES = 10,
    /// Bytes of a decoder's window, which is memory: of `xz -9` 64 MiB, of `zstd --long` 128 MiB.
    CTR_LIMIT_WINDOW = 11,
    /// Directories that are opened, and links that are followed, on the way to all entries; 20 more for each beyond 25,000.
    CTR_LIMIT_WALKS = 12,
}

/// What ctr_image_text() can be asked for. Later releases may add some.
#[repr(C)]
pub enum ctr_image_text_kind {
    /// "sha256:" and 64 hexadecimal digits: of a plain tarball's bytes, of another image's configuration (docker's id).
    CTR_IMAGE_DIGEST = 0,
    /// The names that it was given here.
    CTR_IMAGE_NAME = 1,
    /// The paths of the trees that are mounted, lowest first.
    CTR_IMAGE_LAYER = 2,
    /// NAME=VALUE.
    CTR_IMAGE_ENV = 3,
    /// What is always run, word by word.
    CTR_IMAGE_ENTRYPOINT = 4,
    /// Arguments, or the program itself, where the user gives none, word by word.
    CTR_IMAGE_CMD = 5,
    /// Where programs start.
    CTR_IMAGE_WORKING_DIR = 6,
    /// Who programs run as.
    CTR_IMAGE_USER = 7,
    /// The signal that asks its program to end.
    CTR_IMAGE_STOP_SIGNAL = 8,
    /// Paths for data.
    CTR_IMAGE_VOLUME = 9,
    /// KEY=VALUE.
    CTR_IMAGE_LABEL = 10,
    /// Go's name for the machine, as "amd64".
    CTR_IMAGE_ARCHITECTURE = 11,
}

/// Whether a wall stands; see ctr_walls_state().
#[repr(C)]
pub enum ctr_wall_state {
    /// It does not.
    CTR_WALL_OFF = 0,
    /// It stands, but lower than by default.
    CTR_WALL_PARTLY = 1,
    /// It stands.
    CTR_WALL_ON = 2,
}

/// What has happened to a file; see ctr_differences_change().
#[repr(C)]
pub enum ctr_change {
    /// The image has nothing of this name.
    CTR_CHANGE_ADDED = 0,
    /// The image has another content, owner, mode, time or kind under this name.
    CTR_CHANGE_CHANGED = 1,
    /// Only the image has it. What was below a deleted directory is not listed.
    CTR_CHANGE_DELETED = 2,
}

/// What ctr_apply_scratch() does where the host has changed what the container has changed too.
#[repr(C)]
pub enum ctr_conflicts {
    /// Nothing is applied.
    CTR_CONFLICTS_REFUSE = 0,
    /// The host's files stay as they are; all else is applied.
    CTR_CONFLICTS_KEEP = 1,
    /// The container's files take their place.
    CTR_CONFLICTS_OVERWRITE = 2,
}

/// How a process ended, and what it used. 128 bytes for good: later releases give a meaning to what is reserved, which
/// is 0 until then.
#[repr(C)]
pub struct ctr_exit {
    /// The exit code, or 128 + the signal.
    pub code: i32,
    /// The signal that ended it, 0 if none; signal(7).
    pub signal: i32,
    /// Why it ended: one of enum ctr_reason.
    pub reason: i32,
    /// 0.
    pub reserved_int: i32,
    /// CPU time in user mode, in microseconds, of the program and of the children that it waited for, as wait4(2)
    /// counts them; what it left behind is not in it.
    pub user_us: u64,
    /// CPU time in the kernel, in microseconds, of the same.
    pub system_us: u64,
    /// The largest resident set of any one of them, in bytes.
    pub max_rss: u64,
    /// 0.
    pub reserved: [u64; 11],
}

const _: () = assert!(size_of::<ctr_exit>() == 128 && align_of::<ctr_exit>() == align_of::<u64>());

impl From<Exit> for ctr_exit {
    fn from(exit: Exit) -> Self {
        Self {
            code: exit.code,
            signal: exit.signal,
            reason: exit.reason as i32,
            reserved_int: 0,
            user_us: u64::try_from(exit.user_time.as_micros()).unwrap_or(u64::MAX),
            system_us: u64::try_from(exit.system_time.as_micros()).unwrap_or(u64::MAX),
            max_rss: exit.max_rss,
            reserved: [0; 11],
        }
    }
}

/// A limit as Rust has it.
pub(super) fn limit(value: u64) -> Option<u64> {
    (value != CTR_UNLIMITED).then_some(value)
}

// The numbers of the safe API and of the header are the same ones; a release that breaks this does not build.
macro_rules! same_numbers {
    ($($rust:expr => $c:expr),+ $(,)?) => { $(const _: () = assert!($rust as i32 == $c as i32);)+ };
}
same_numbers! {
    ErrorCode::System => ctr_error::CTR_ERR_SYSTEM,
    ErrorCode::Invalid => ctr_error::CTR_ERR_INVALID,
    ErrorCode::NotFound => ctr_error::CTR_ERR_NOT_FOUND,
    ErrorCode::NameInUse => ctr_error::CTR_ERR_NAME_IN_USE,
    ErrorCode::Destroyed => ctr_error::CTR_ERR_DESTROYED,
    ErrorCode::TimedOut => ctr_error::CTR_ERR_TIMED_OUT,
    ErrorCode::Unsupported => ctr_error::CTR_ERR_UNSUPPORTED,
    ErrorCode::BadImage => ctr_error::CTR_ERR_BAD_IMAGE,
    ErrorCode::Exec => ctr_error::CTR_ERR_EXEC,
    ErrorCode::Interrupted => ctr_error::CTR_ERR_INTERRUPTED,
    ErrorCode::Internal => ctr_error::CTR_ERR_INTERNAL,
    ExitReason::Exited => ctr_reason::CTR_REASON_EXITED,
    ExitReason::Signaled => ctr_reason::CTR_REASON_SIGNALED,
    ExitReason::OutOfMemory => ctr_reason::CTR_REASON_OUT_OF_MEMORY,
    ExitReason::TimedOut => ctr_reason::CTR_REASON_TIMED_OUT,
    ExitReason::Destroyed => ctr_reason::CTR_REASON_DESTROYED,
    ExitReason::Unknown => ctr_reason::CTR_REASON_UNKNOWN,
    ExitReason::OutOfCpuTime => ctr_reason::CTR_REASON_OUT_OF_CPU_TIME,
    Change::Added => ctr_change::CTR_CHANGE_ADDED,
    Change::Changed => ctr_change::CTR_CHANGE_CHANGED,
    Change::Deleted => ctr_change::CTR_CHANGE_DELETED,
    WallState::Off => ctr_wall_state::CTR_WALL_OFF,
    WallState::Partly => ctr_wall_state::CTR_WALL_PARTLY,
    WallState::On => ctr_wall_state::CTR_WALL_ON,
    libc::CLONE_NEWTIME => ctr_namespace::CTR_NS_TIME,
    libc::CLONE_NEWNS => ctr_namespace::CTR_NS_MOUNT,
    libc::CLONE_NEWCGROUP => ctr_namespace::CTR_NS_CGROUP,
    libc::CLONE_NEWUTS => ctr_namespace::CTR_NS_UTS,
    libc::CLONE_NEWIPC => ctr_namespace::CTR_NS_IPC,
    libc::CLONE_NEWUSER => ctr_namespace::CTR_NS_USER,
    libc::CLONE_NEWPID => ctr_namespace::CTR_NS_PID,
    libc::CLONE_NEWNET => ctr_namespace::CTR_NS_NET,
}
