/*
 * ctr.h - a container engine that is a library. SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A container is an isolated set of processes with a file system of its own, made from a tarball, a directory, or this
 * machine's own /usr ("host"). There is no daemon, no setup and no need to be root. This header is the manual.
 *
 *     #include <ctr.h>
 *     #include <stdio.h>
 *
 *     int main(void)
 *     {
 *         const char *argv[] = {"/bin/echo", "hello from inside", NULL};
 *         ctr_container *c;
 *         ctr_process *p;
 *         ctr_exit end = {0};
 *
 *         if (ctr_create("host", NULL, &c) || ctr_exec(c, argv, NULL, &p) || ctr_process_wait(p, -1, &end))
 *             return fprintf(stderr, "%s\n", ctr_last_error()), 1;
 *         ctr_process_free(p);
 *         ctr_destroy(c);
 *         return end.code;
 *     }
 *
 *     cc hello.c $(pkg-config --cflags --libs ctr)
 *
 * What holds for every function
 *
 * Return value: a function that returns int returns 0 (or a count, a pid, a descriptor) on success and a negative number of
 *     enum ctr_error on failure; a function that returns a pointer returns NULL on failure. ctr_last_error() then describes the
 *     failure in one sentence; ctr_last_errno() and errno hold the number of errno(3). A success leaves errno as it was. After a
 *     failure an out parameter is set to 0 or NULL.
 * Handles: ctr_container, ctr_process and the others are opaque, and are not pointers to memory. A call with NULL, with a
 *     released handle or with a handle of another kind returns CTR_ERR_INVALID; it never crashes. Each handle comes from one
 *     function and is released by one, which its comment names. A handle is valid only in the process that got it: see Fork.
 * Strings: parameters end in NUL. ctr copies them; they stay the caller's. Paths, arguments and environment are bytes; names are
 *     UTF-8. A string that is returned belongs to the handle unless the function says otherwise.
 * Descriptors: every descriptor of ctr is close-on-exec, and none is ever 0, 1 or 2, even where the caller has closed those. Do
 *     not close a descriptor that belongs to a handle. ctr keeps two more open from the first container on. A host that closes
 *     all its descriptors, as by close_range(2), ends the containers that it made and did not detach, as if it had exited.
 *     ctr notices: it neither uses nor closes the descriptors that have those numbers afterwards, calls with the old handles
 *     return CTR_ERR_INVALID (ctr_destroy() still does its work), and the next ctr_create() starts afresh.
 * Units: bytes and milliseconds. Numbers of enums are passed as int, so that later releases can add some.
 * Threads: any thread may call any function at any time, also with a handle that another thread uses or releases: the handle
 *     stays alive until the calls that use it have returned. Each thread has its own last failure. A thread that calls ctr needs
 *     a stack of 128 KiB or more.
 * Signals: do not call ctr from a signal handler. ctr installs no handler, blocks no signal, and its processes do not show up in
 *     the caller's SIGCHLD or waitpid(2). There is one exception, which the kernel makes: if the caller is PID 1 of its PID
 *     namespace or a subreaper (PR_SET_CHILD_SUBREAPER of prctl(2)), orphans become its children, and ctr's helper is an orphan.
 *     The helper is called ctr-zygote. It starts with the first container and ends with the caller, or when the caller's
 *     credentials or namespaces change. In such a caller wait(2) may return the helper's pid once, and does not fail with
 *     ECHILD before that: wait for the pids that you know, or use WNOHANG. Below a PID 1 that reaps no orphans the helper stays a
 *     zombie after the caller has ended, as every orphan does; a small init such as tini reaps it.
 * Waiting: calls wait for disks, and an import takes as long as its archive needs. No call waits longer for what runs inside
 *     than its comment says, even where the container tries everything to delay it: ctr_create() waits at most a minute for
 *     the container to come up, ctr_destroy() at most half a minute for all of it to die.
 * Fork: in a forked child a call with a handle of the parent returns CTR_ERR_INVALID and does nothing. A call that releases a
 *     handle (ctr_close(), ctr_process_free(), ctr_destroy()) releases the child's copy and ends nothing, so it may stand in a
 *     destructor that the child's exit(3) runs. The child may make containers of its own, and may ctr_join() its parent's by
 *     name. The descriptors of the parent's containers close when the child calls execve(2).
 * Linking: libctr.so and libctr.a are made for glibc and can't be linked with another C library. A static program needs libctr.a
 *     and glibc's static libraries: pkg-config --static --libs ctr.
 * Stability: functions and numbers are added, never changed or removed. ctr_exit, the only struct with a layout, keeps its size.
 *     A program that was linked with this release runs with every later libctr.so.0.
 */


#ifndef CTR_H
#define CTR_H

/* Generated from src/ffi by `make header`. Edit the comments there. */

#include <stdbool.h>
#include <stdint.h>

/* The release of this header; ctr_version() has the one of the library that runs. */
#define CTR_VERSION "0.1.0"
#define CTR_VERSION_MAJOR 0
#define CTR_VERSION_MINOR 1
#define CTR_VERSION_PATCH 0

/* Of <sys/stat.h>, for ctr_stat_file(). */
struct stat;

/* bool is of C99; its size is that of char, and C89 with <stdbool.h> has it as an extension. */
#if defined(__clang__) && !defined(__cplusplus) && !defined(__STDC_VERSION__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wc99-extensions"
#endif


/** No limit, for every function that takes or returns a limit. */
#define CTR_UNLIMITED UINT64_MAX

/** In place of a uid: the user as whom the image's programs run, for ctr_mount_owned(). */
#define CTR_INSIDE UINT32_MAX

/** What ctr_stats() tells of a number that is not counted here. */
#define CTR_NOT_COUNTED UINT64_MAX

/**
 * What a function returns. Numbers are never reused and never change their meaning; later releases may add some, so
 * treat an unknown negative number as CTR_ERR_SYSTEM. ctr_error_name() has the names.
 */
typedef enum ctr_error {
    /** Success. */
    CTR_OK = 0,
    /** A system call failed; ctr_last_errno() says how. */
    CTR_ERR_SYSTEM = -1,
    /** An argument is invalid on any machine: NULL, a released handle, a value out of range. */
    CTR_ERR_INVALID = -2,
    /** No such container, image, program, user or file. */
    CTR_ERR_NOT_FOUND = -3,
    /** The name is taken by a running container. */
    CTR_ERR_NAME_IN_USE = -4,
    /** The container is gone: destroyed, or its PID 1 was killed. */
    CTR_ERR_DESTROYED = -5,
    /** The time given to a wait has passed. */
    CTR_ERR_TIMED_OUT = -6,
    /** The machine (its kernel, its settings, this user's rights) does not support what was asked for. */
    CTR_ERR_UNSUPPORTED = -7,
    /** The image can't be run: it is no archive, or is cut off or unsafe. */
    CTR_ERR_BAD_IMAGE = -8,
    /** The program could not be started inside the container. */
    CTR_ERR_EXEC = -9,
    /** The call was interrupted on request. */
    CTR_ERR_INTERRUPTED = -10,
    /** A bug in ctr, caught before it reached the caller. Please report it with ctr_last_error(). */
    CTR_ERR_INTERNAL = -11
} ctr_error;

/** Why a process ended: the member reason of ctr_exit. Later releases may add some. */
typedef enum ctr_reason {
    /** It returned from main or called exit(3). */
    CTR_REASON_EXITED = 0,
    /** A signal ended it. */
    CTR_REASON_SIGNALED = 1,
    /** The kernel killed it because the container's memory limit was reached. */
    CTR_REASON_OUT_OF_MEMORY = 2,
    /** Its time limit passed; see ctr_exec_config_set_time_limit(). */
    CTR_REASON_TIMED_OUT = 3,
    /** The container was destroyed, or its PID 1 was killed, under it. */
    CTR_REASON_DESTROYED = 4,
    /**
     * It has ended, but nobody knows how: the container's PID 1 was kept from reporting it, and the kernel no longer
     * has it. code and signal are those of SIGKILL.
     */
    CTR_REASON_UNKNOWN = 5,
    /** It, and what it had started, had used up their CPU time; see ctr_exec_config_set_cpu_time_limit(). */
    CTR_REASON_OUT_OF_CPU_TIME = 6
} ctr_reason;

/** The kinds of namespaces, namespaces(7). The numbers are those of CLONE_NEW* in <sched.h>, so either may be used. */
typedef enum ctr_namespace {
    /** Clock offsets (CLONE_NEWTIME), time_namespaces(7). The host's unless asked for. */
    CTR_NS_TIME = 128,
    /** Mounts (CLONE_NEWNS), mount_namespaces(7). */
    CTR_NS_MOUNT = 131072,
    /** The root of the cgroup tree (CLONE_NEWCGROUP), cgroup_namespaces(7). */
    CTR_NS_CGROUP = 33554432,
    /** Hostname (CLONE_NEWUTS), uts_namespaces(7). */
    CTR_NS_UTS = 67108864,
    /** System V IPC and POSIX message queues (CLONE_NEWIPC), ipc_namespaces(7). */
    CTR_NS_IPC = 134217728,
    /** User and group ids and the capabilities over everything else (CLONE_NEWUSER), user_namespaces(7). */
    CTR_NS_USER = 268435456,
    /** Process ids (CLONE_NEWPID), pid_namespaces(7). */
    CTR_NS_PID = 536870912,
    /** Network interfaces, addresses and ports (CLONE_NEWNET), network_namespaces(7). */
    CTR_NS_NET = 1073741824
} ctr_namespace;

/** Where a namespace comes from, for ctr_config_set_namespace(). */
typedef enum ctr_namespace_source {
    /** A new one: the default of every kind but CTR_NS_TIME. */
    CTR_NS_NEW = 0,
    /** The caller's own: nothing of this kind is isolated. */
    CTR_NS_HOST = 1
} ctr_namespace_source;

/** What happens if no cgroup can be made, for ctr_config_set_cgroup(). */
typedef enum ctr_cgroup_policy {
    /** Refuse to create the container if a limit was asked for, else do without. The default. */
    CTR_CGROUP_AUTO = 0,
    /** Refuse to create. */
    CTR_CGROUP_REQUIRED = 1,
    /**
     * Do without, whatever limits were asked for. RLIMIT_NPROC and RLIMIT_DATA of setrlimit(2) stand in for those on processes and
     * memory, which is weaker: ctr_inspect() has it in "warnings".
     */
    CTR_CGROUP_OPTIONAL = 2,
    /** Make none. */
    CTR_CGROUP_OFF = 3
} ctr_cgroup_policy;

/**
 * What a container can be limited in: numbers are for ctr_set_limit() and ctr_limit(), lists for ctr_set_limit_list() and
 * ctr_limit_list(). Later releases may add some at the end.
 */
typedef enum ctr_limit_kind {
    /** Bytes of memory, swap not included: ctr_config_set_memory(). */
    CTR_LIMIT_MEMORY = 0,
    /** Processes and threads at one time: ctr_config_set_pids(). */
    CTR_LIMIT_PIDS = 1,
    /** Time of processors, in thousandths of a processor: ctr_config_set_cpus(). */
    CTR_LIMIT_CPUS = 2,
    /** Bytes of memory above which it is slowed down: ctr_config_set_memory_high(). */
    CTR_LIMIT_MEMORY_HIGH = 3,
    /** Bytes of memory that are reclaimed last: ctr_config_set_memory_low(). */
    CTR_LIMIT_MEMORY_LOW = 4,
    /** Bytes of swap, memory not included: ctr_config_set_swap(). */
    CTR_LIMIT_SWAP = 5,
    /** The share of processors beside others, 1 to 10000: ctr_config_set_cpu_weight(). CTR_UNLIMITED sets the usual 100. */
    CTR_LIMIT_CPU_WEIGHT = 6,
    /** The share of block devices beside others, 1 to 10000: ctr_config_set_io_weight(). CTR_UNLIMITED sets the usual 100. */
    CTR_LIMIT_IO_WEIGHT = 7,
    /** A list: the processors that it may run on, "0-1,3": ctr_config_set_cpuset(). */
    CTR_LIMIT_CPUSET = 8,
    /** A list: the memory nodes that it may have memory from, "0": ctr_config_set_cpuset_mems(). */
    CTR_LIMIT_CPUSET_MEMS = 9,
    /** A list: rates of block devices, a line each, "/dev/sda rbps=1048576": ctr_config_add_io(). */
    CTR_LIMIT_IO = 10,
    /** A list: bytes of huge pages, a line each, "2MB=67108864": ctr_config_add_hugetlb(). */
    CTR_LIMIT_HUGETLB = 11,
    /** Bytes of changes in memory: ctr_config_set_upper_size(). CTR_UNLIMITED sets what a container has without a word of it. */
    CTR_LIMIT_UPPER_SIZE = 12,
    /** Files, directories and links of changes in memory: ctr_config_set_upper_inodes(). CTR_UNLIMITED likewise. */
    CTR_LIMIT_UPPER_INODES = 13
} ctr_limit_kind;

/** What ctr_stats() tells; an index into its array. Later releases may add some at the end. */
typedef enum ctr_stat {
    /** Bytes of memory in use, of all kinds. */
    CTR_STAT_MEMORY_CURRENT = 0,
    /** The most that ever was in use. On v2 since Linux 5.19. */
    CTR_STAT_MEMORY_PEAK = 1,
    /** Bytes of the programs' own memory: heaps, stacks. */
    CTR_STAT_MEMORY_ANON = 2,
    /** Bytes of cached files, with those on tmpfs and shared memory. */
    CTR_STAT_MEMORY_FILE = 3,
    /** Bytes of the kernel, for what the programs do. On v2 since Linux 5.18. */
    CTR_STAT_MEMORY_KERNEL = 4,
    /** Bytes in sockets of the internet. On v1 they are no part of CTR_STAT_MEMORY_CURRENT. */
    CTR_STAT_MEMORY_SOCK = 5,
    /** Bytes of shared memory and of files on tmpfs. */
    CTR_STAT_MEMORY_SHMEM = 6,
    /** Time of processors in programs, in microseconds. */
    CTR_STAT_CPU_USER = 7,
    /** Time of processors in the kernel, in microseconds. */
    CTR_STAT_CPU_SYSTEM = 8,
    /** For how long programs were made to wait by a processor limit, in microseconds. Counted where there is or was one. */
    CTR_STAT_CPU_THROTTLED = 9,
    /** Periods of that limit in which programs ran. */
    CTR_STAT_CPU_PERIODS = 10,
    /** Those of them in which they were made to wait. */
    CTR_STAT_CPU_THROTTLED_PERIODS = 11,
    /** Processes and threads, the container's PID 1 among them. */
    CTR_STAT_PIDS_CURRENT = 12,
    /** Bytes read from block devices. On v2 where the io controller is handed on; on v1 with a limit of io or io_weight. */
    CTR_STAT_IO_READ = 13,
    /** Bytes written to block devices; where CTR_STAT_IO_READ is counted, on v1 those past the page cache only. */
    CTR_STAT_IO_WRITTEN = 14,
    /** Processes that the OOM killer has ended, as ctr_oom_kills(). */
    CTR_STAT_OOM_KILLS = 15,
    /** Pressure: the share of the last 10 seconds in which some program waited for memory, in hundredths of a percent. v2 only. */
    CTR_STAT_PRESSURE_MEMORY_SOME_AVG10 = 16,
    /** The same of the last 60 seconds. */
    CTR_STAT_PRESSURE_MEMORY_SOME_AVG60 = 17,
    /** The same of the last 300 seconds. */
    CTR_STAT_PRESSURE_MEMORY_SOME_AVG300 = 18,
    /** All in all, in microseconds. */
    CTR_STAT_PRESSURE_MEMORY_SOME_TOTAL = 19,
    /** Pressure: the share of the last 10 seconds in which all of them waited for memory, in hundredths of a percent. v2 only. */
    CTR_STAT_PRESSURE_MEMORY_FULL_AVG10 = 20,
    /** The same of the last 60 seconds. */
    CTR_STAT_PRESSURE_MEMORY_FULL_AVG60 = 21,
    /** The same of the last 300 seconds. */
    CTR_STAT_PRESSURE_MEMORY_FULL_AVG300 = 22,
    /** All in all, in microseconds. */
    CTR_STAT_PRESSURE_MEMORY_FULL_TOTAL = 23,
    /** Pressure: the share of the last 10 seconds in which some program waited for a processor, in hundredths of a percent. v2 only. */
    CTR_STAT_PRESSURE_CPU_SOME_AVG10 = 24,
    /** The same of the last 60 seconds. */
    CTR_STAT_PRESSURE_CPU_SOME_AVG60 = 25,
    /** The same of the last 300 seconds. */
    CTR_STAT_PRESSURE_CPU_SOME_AVG300 = 26,
    /** All in all, in microseconds. */
    CTR_STAT_PRESSURE_CPU_SOME_TOTAL = 27,
    /** Pressure: the share of the last 10 seconds in which all of them waited for a processor, in hundredths of a percent. v2 only. */
    CTR_STAT_PRESSURE_CPU_FULL_AVG10 = 28,
    /** The same of the last 60 seconds. */
    CTR_STAT_PRESSURE_CPU_FULL_AVG60 = 29,
    /** The same of the last 300 seconds. */
    CTR_STAT_PRESSURE_CPU_FULL_AVG300 = 30,
    /** All in all, in microseconds. */
    CTR_STAT_PRESSURE_CPU_FULL_TOTAL = 31,
    /** Pressure: the share of the last 10 seconds in which some program waited for block devices, in hundredths of a percent. v2 only. */
    CTR_STAT_PRESSURE_IO_SOME_AVG10 = 32,
    /** The same of the last 60 seconds. */
    CTR_STAT_PRESSURE_IO_SOME_AVG60 = 33,
    /** The same of the last 300 seconds. */
    CTR_STAT_PRESSURE_IO_SOME_AVG300 = 34,
    /** All in all, in microseconds. */
    CTR_STAT_PRESSURE_IO_SOME_TOTAL = 35,
    /** Pressure: the share of the last 10 seconds in which all of them waited for block devices, in hundredths of a percent. v2 only. */
    CTR_STAT_PRESSURE_IO_FULL_AVG10 = 36,
    /** The same of the last 60 seconds. */
    CTR_STAT_PRESSURE_IO_FULL_AVG60 = 37,
    /** The same of the last 300 seconds. */
    CTR_STAT_PRESSURE_IO_FULL_AVG300 = 38,
    /** All in all, in microseconds. */
    CTR_STAT_PRESSURE_IO_FULL_TOTAL = 39
} ctr_stat;

/** What can happen to a container, for ctr_watch(): numbers that can be or'ed. Later releases may add some. */
typedef enum ctr_event {
    /** The kernel has killed processes for memory; CTR_EVENT_VALUE_COUNT of them. */
    CTR_EVENT_OOM_KILL = 1,
    /** The limit of memory was met, so often: the kernel has taken memory back, or killed somebody. */
    CTR_EVENT_MEMORY_LIMIT = 2,
    /** A process or thread could not be made for the limit of pids, so many times. */
    CTR_EVENT_PIDS_LIMIT = 4,
    /** A threshold of ctr_watch_pressure() was passed. */
    CTR_EVENT_PRESSURE = 8,
    /** A program has ended. */
    CTR_EVENT_EXIT = 16,
    /** All processes stand still, ctr_pause(). */
    CTR_EVENT_PAUSE = 32,
    /** They go on. */
    CTR_EVENT_RESUME = 64,
    /** The container has ended. Nothing comes after it. */
    CTR_EVENT_END = 128,
    /** It had more memory than CTR_LIMIT_MEMORY_HIGH, and was slowed down, so often as the kernel counts it; cgroup v2 only. */
    CTR_EVENT_MEMORY_HIGH = 256
} ctr_event;

/** What ctr_watch_next() tells of an event; an index into its array. Later releases may add some at the end. */
typedef enum ctr_event_value {
    /** When it was seen, in nanoseconds since the Epoch: CLOCK_REALTIME of clock_gettime(2). The kernel notes no time of its own. */
    CTR_EVENT_VALUE_TIME = 0,
    /** The same by CLOCK_MONOTONIC, which nobody sets, in nanoseconds. */
    CTR_EVENT_VALUE_MONOTONIC = 1,
    /** How often it has happened since it was told of last; 1 where that is not counted. */
    CTR_EVENT_VALUE_COUNT = 2,
    /** CTR_EVENT_EXIT: the pid inside, as ctr_process_pid(). */
    CTR_EVENT_VALUE_PID = 3,
    /** CTR_EVENT_EXIT: the exit code, or 128 + signal, as in ctr_exit. */
    CTR_EVENT_VALUE_CODE = 4,
    /** CTR_EVENT_EXIT: the signal that ended it, 0 if none. */
    CTR_EVENT_VALUE_SIGNAL = 5,
    /** CTR_EVENT_EXIT: why it ended, enum ctr_reason. CTR_EVENT_END: what ctr_end_reason() returns. */
    CTR_EVENT_VALUE_REASON = 6,
    /** CTR_EVENT_PRESSURE: what ctr_watch_pressure() has returned. */
    CTR_EVENT_VALUE_PRESSURE = 7
} ctr_event_value;

/** What programs may wait for, for ctr_watch_pressure(). */
typedef enum ctr_pressure {
    /** Memory. */
    CTR_PRESSURE_MEMORY = 0,
    /** Processors. */
    CTR_PRESSURE_CPU = 1,
    /** Block devices. */
    CTR_PRESSURE_IO = 2
} ctr_pressure;

/** Which walls stand, for ctr_config_set_preset(). */
typedef enum ctr_preset {
    /** What docker's containers may do, without what no container needs. */
    CTR_PRESET_DEFAULT = 0,
    /**
     * For programs of strangers: no network but loopback, no namespaces of their own, no tracing, no setuid files, a
     * root that can't be written to, no fifos, and limits on memory (512 MiB) and processes (128).
     */
    CTR_PRESET_STRICT = 1,
    /**
     * NO WALLS BUT THE NAMESPACES: every capability over them, every system call, nothing masked, setuid works. For programs
     * that you trust. In a user namespace of its own it still is not the host's root; without one it is. ctr_explain()
     * and ctr_inspect() say it first.
     */
    CTR_PRESET_PRIVILEGED = 2
} ctr_preset;

/** Whether there is a list of devices, for ctr_config_set_device_list(). */
typedef enum ctr_device_list {
    /**
     * If a device is given, in the strict preset, and if root inside is root outside, as far as this machine and
     * user allow it. Elsewhere a user namespace keeps programs from making nodes. The default.
     */
    CTR_DEVICE_LIST_AUTO = 0,
    /** Refuse to create without one. */
    CTR_DEVICE_LIST_REQUIRED = 1,
    /** None. */
    CTR_DEVICE_LIST_OFF = 2
} ctr_device_list;

/** Whether a wall stands; see ctr_walls_state(). */
typedef enum ctr_wall_state {
    /** It does not. */
    CTR_WALL_OFF = 0,
    /** It stands, but lower than by default. */
    CTR_WALL_PARTLY = 1,
    /** It stands. */
    CTR_WALL_ON = 2
} ctr_wall_state;

/** Which system calls may be made, for ctr_config_set_seccomp(). */
typedef enum ctr_seccomp {
    /** Those of CTR_PRESET_DEFAULT. */
    CTR_SECCOMP_DEFAULT = 0,
    /** Those of CTR_PRESET_STRICT. */
    CTR_SECCOMP_STRICT = 1,
    /** Every one: this opens nearly all of the kernel to the programs inside. */
    CTR_SECCOMP_UNCONFINED = 2
} ctr_seccomp;

/** What a refused system call does, for ctr_config_set_seccomp_refusal(); seccomp(2). */
typedef enum ctr_refusal {
    /** It fails with a given errno. */
    CTR_REFUSAL_ERRNO = 0,
    /** The process dies of SIGSYS. */
    CTR_REFUSAL_KILL_PROCESS = 1,
    /** The calling thread dies. */
    CTR_REFUSAL_KILL_THREAD = 2,
    /** The program gets a SIGSYS that it can handle. */
    CTR_REFUSAL_TRAP = 3,
    /** A tracer inside decides, and is given a number; ENOSYS where there is none. */
    CTR_REFUSAL_TRACE = 4,
    /** Nothing: the call is made, and written to the kernel's log. */
    CTR_REFUSAL_LOG = 5
} ctr_refusal;

/** Where a container's changes to its file system go, for ctr_config_set_upper(). */
typedef enum ctr_upper {
    /**
     * A private tmpfs(5), counted against the memory limit. The default. Before Linux 6.6 a tmpfs can't be the upper layer of an
     * overlay without loss, and the changes go to disk.
     */
    CTR_UPPER_MEMORY = 0,
    /** A directory in the store, removed when the container is destroyed. */
    CTR_UPPER_DISK = 1
} ctr_upper;

/** How an image that is a directory is used, for ctr_config_set_directory(). */
typedef enum ctr_directory {
    /** As the lower layer of an overlay: it is never written to. The default. */
    CTR_DIRECTORY_LOWER = 0,
    /** Itself as the root: what the container writes is written there. */
    CTR_DIRECTORY_DIRECT = 1
} ctr_directory;

/** Where a standard stream leads, for ctr_exec_config_set_stdio(). */
typedef enum ctr_stdio {
    /** The caller's own stream of that number. The default. */
    CTR_STDIO_INHERIT = 0,
    /** /dev/null. */
    CTR_STDIO_NULL = 1,
    /**
     * A new pipe; ctr_process_stdin(), ctr_process_stdout() and ctr_process_stderr() give the caller's end. A program stands still
     * while the pipe that it writes to is full, pipe(7), usually at 64 KiB: read, or it never ends; see ctr_process_wait().
     */
    CTR_STDIO_PIPE = 2,
    /** For stderr only: wherever stdout leads. */
    CTR_STDIO_STDOUT = 3
} ctr_stdio;

/** The session of a new process, for ctr_exec_config_set_session(). */
typedef enum ctr_session {
    /** A new session, setsid(2), and so a new process group. The default. */
    CTR_SESSION_NEW = 0,
    /** A new process group, setpgid(2), in the session of the container's PID 1. */
    CTR_SESSION_GROUP = 1
} ctr_session;

/** How an archive is compressed, for ctr_image_options_set_compression(). */
typedef enum ctr_compression {
    /** Not at all. The default. */
    CTR_COMPRESSION_NONE = 0,
    /** gzip, RFC 1952. */
    CTR_COMPRESSION_GZIP = 1,
    /** Zstandard, RFC 8878. */
    CTR_COMPRESSION_ZSTD = 2
} ctr_compression;

/** Which tools an archive of an image is for, for ctr_image_options_set_format(). */
typedef enum ctr_save_format {
    /** An OCI image layout, which docker loads as well. The default. */
    CTR_SAVE_OCI = 0,
    /** The form of `docker save` before version 25, for tools that know no other. */
    CTR_SAVE_DOCKER = 1
} ctr_save_format;

/** Bounds of what is imported, for ctr_image_options_set_limit(). The defaults let through every image that people build. */
typedef enum ctr_image_limit {
    /** Bytes of the archive after decompression; of an archive of images also those of all layers together. */
    CTR_LIMIT_BYTES = 0,
    /** Entries, of every kind. */
    CTR_LIMIT_ENTRIES = 1,
    /** Bytes of one file, holes included. */
    CTR_LIMIT_FILE = 2,
    /** Bytes of one extended header: names, link targets, attributes, sparse maps. */
    CTR_LIMIT_HEADER = 3,
    /** Bytes of an entry's whole name. */
    CTR_LIMIT_NAME = 4,
    /** Directories above an entry. */
    CTR_LIMIT_DEPTH = 5,
    /** How many times larger than its compressed form an archive may be, and so its layers together, once past 1 GiB. */
    CTR_LIMIT_RATIO = 6,
    /** Layers of an image. */
    CTR_LIMIT_LAYERS = 7,
    /** Documents of JSON that are read to find an image. */
    CTR_LIMIT_DOCUMENTS = 8,
    /** Bytes of an image's configuration: variables, labels, volumes, commands, as JSON. */
    CTR_LIMIT_CONFIG = 9,
    /** Volumes of an image. */
    CTR_LIMIT_VOLUMES = 10,
    /** Bytes of a decoder's window, which is memory: of `xz -9` 64 MiB, of `zstd --long` 128 MiB. */
    CTR_LIMIT_WINDOW = 11,
    /** Directories that are opened, and links that are followed, on the way to all entries; 20 more for each beyond 25,000. */
    CTR_LIMIT_WALKS = 12
} ctr_image_limit;

/** What ctr_image_text() can be asked for. Later releases may add some. */
typedef enum ctr_image_text_kind {
    /** "sha256:" and 64 hexadecimal digits: of a plain tarball's bytes, of another image's configuration (docker's id). */
    CTR_IMAGE_DIGEST = 0,
    /** The names that it was given here. */
    CTR_IMAGE_NAME = 1,
    /** The paths of the trees that are mounted, lowest first. */
    CTR_IMAGE_LAYER = 2,
    /** NAME=VALUE. */
    CTR_IMAGE_ENV = 3,
    /** What is always run, word by word. */
    CTR_IMAGE_ENTRYPOINT = 4,
    /** Arguments, or the program itself, where the user gives none, word by word. */
    CTR_IMAGE_CMD = 5,
    /** Where programs start. */
    CTR_IMAGE_WORKING_DIR = 6,
    /** Who programs run as. */
    CTR_IMAGE_USER = 7,
    /** The signal that asks its program to end. */
    CTR_IMAGE_STOP_SIGNAL = 8,
    /** Paths for data. */
    CTR_IMAGE_VOLUME = 9,
    /** KEY=VALUE. */
    CTR_IMAGE_LABEL = 10,
    /** Go's name for the machine, as "amd64". */
    CTR_IMAGE_ARCHITECTURE = 11
} ctr_image_text_kind;

/** What has happened to a file; see ctr_differences_change(). */
typedef enum ctr_change {
    /** The image has nothing of this name. */
    CTR_CHANGE_ADDED = 0,
    /** The image has another content, owner, mode, time or kind under this name. */
    CTR_CHANGE_CHANGED = 1,
    /** Only the image has it. What was below a deleted directory is not listed. */
    CTR_CHANGE_DELETED = 2
} ctr_change;

/** What ctr_apply_scratch() does where the host has changed what the container has changed too. */
typedef enum ctr_conflicts {
    /** Nothing is applied. */
    CTR_CONFLICTS_REFUSE = 0,
    /** The host's files stay as they are; all else is applied. */
    CTR_CONFLICTS_KEEP = 1,
    /** The container's files take their place. */
    CTR_CONFLICTS_OVERWRITE = 2
} ctr_conflicts;

/** How a container is made; see ctr_config_new(). */
typedef struct ctr_config ctr_config;

/** A running container; see ctr_create() and ctr_join(). */
typedef struct ctr_container ctr_container;

/** What ran at the moment of ctr_list(). */
typedef struct ctr_container_list ctr_container_list;

/** What a container had changed at the moment of ctr_diff() or ctr_diff_scratch(), or what ctr_apply_scratch() has done. */
typedef struct ctr_differences ctr_differences;

/** How a program is started in a container; see ctr_exec_config_new(). */
typedef struct ctr_exec_config ctr_exec_config;

/** An image of the store; see ctr_image_import() and ctr_image_inspect(). */
typedef struct ctr_image ctr_image;

/** What an image says about how it is run; see ctr_image_config_new() and ctr_image_config_of(). */
typedef struct ctr_image_config ctr_image_config;

/** How archives and images are read, written and made; see ctr_image_options_new(). */
typedef struct ctr_image_options ctr_image_options;

/** What was in the store at the moment of ctr_image_list(). */
typedef struct ctr_images ctr_images;

/** What was mounted into a container at the moment of ctr_mounts_of(). */
typedef struct ctr_mounts ctr_mounts;

/** Names in a directory at the moment of ctr_list_dir(). */
typedef struct ctr_names ctr_names;

/** A program that was started in a container; see ctr_exec(). */
typedef struct ctr_process ctr_process;

/** What this machine allowed at the moment of ctr_probe(). */
typedef struct ctr_report ctr_report;

/** Volumes that were in the store at the moment of ctr_volume_list(), or one of ctr_volume_create(). */
typedef struct ctr_volumes ctr_volumes;

/** The walls of a container at the moment of ctr_walls_of(). */
typedef struct ctr_walls ctr_walls;

/** Watches a container; see ctr_watch(). */
typedef struct ctr_watcher ctr_watcher;

/**
 * How a process ended, and what it used. 128 bytes for good: later releases give a meaning to what is reserved, which
 * is 0 until then.
 */
typedef struct ctr_exit {
    /** The exit code, or 128 + the signal. */
    int32_t code;
    /** The signal that ended it, 0 if none; signal(7). */
    int32_t signal;
    /** Why it ended: one of enum ctr_reason. */
    int32_t reason;
    /** 0. */
    int32_t reserved_int;
    /**
     * CPU time in user mode, in microseconds, of the program and of the children that it waited for, as wait4(2)
     * counts them; what it left behind is not in it.
     */
    uint64_t user_us;
    /** CPU time in the kernel, in microseconds, of the same. */
    uint64_t system_us;
    /** The largest resident set of any one of them, in bytes. */
    uint64_t max_rss;
    /** 0. */
    uint64_t reserved[11];
} ctr_exit;

/**
 * Is told how far a long call is, on the thread that made the call. It may call functions of ctr, but must not
 * longjmp(3) out.
 *
 * data      what ctr_image_options_set_progress() was given
 * bytes     of the archive that were read or written so far, as it is (compressed)
 * total     all bytes; 0 where that can't be known (a pipe, an export)
 * entries   files and directories so far
 *
 * Return value: 0 to go on; anything else ends the call with CTR_ERR_INTERRUPTED, and nothing of it is left.
 */
typedef int (*ctr_progress)(void *data, uint64_t bytes, uint64_t total, uint64_t entries);

#ifdef __cplusplus
extern "C" {
#endif /* __cplusplus */

/**
 * A new configuration with the safe defaults: every namespace but time's is new, the root is writable and what is
 * written there is lost with the container, programs have docker's default capabilities without CAP_NET_RAW, there
 * is no network but loopback, and there are no limits. The function that uses a configuration checks it; the setters
 * don't. One configuration may be used for any number of containers, and changed or freed as soon as ctr_create()
 * has returned.
 *
 * Return value: the configuration, which ctr_config_free() frees; NULL when there is no memory.
 */
ctr_config *ctr_config_new(void);

/** Frees a configuration. NULL is allowed. Containers made with it are not affected. */
void ctr_config_free(ctr_config *config);

/**
 * The name under which ctr_join() finds the container, and its hostname unless another is set. At most 64 of
 * a-z A-Z 0-9 _ . - and not starting with a dot or a dash. Default: a random one.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_name(ctr_config *config, const char *name);

/**
 * The hostname inside, sethostname(2). It needs a UTS namespace that is not the host's. Default: the container's name.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_hostname(ctr_config *config, const char *hostname);

/**
 * The NIS domain name inside, setdomainname(2), at most 64 bytes. It needs a UTS namespace that is not the host's. Default:
 * the host's.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_domainname(ctr_config *config, const char *domain);

/**
 * Adds an environment variable, environ(7), for every process of the container. The same name again replaces the
 * value. Default: PATH, HOME and HOSTNAME only, nothing of the caller's environment.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_add_env(ctr_config *config, const char *name, const char *value);

/**
 * Adds a bind mount, mount(2): the file or directory source of the host appears at target, an absolute path inside
 * that is made where it is missing, if what is above it can be written to: in "host" /usr, /etc, /bin, /sbin and /lib can't.
 * Mounts are made in the order in which they were added. Set-user-ID programs and device nodes have no effect through it.
 *
 * read_only   nothing can be written through it
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_add_mount_bind(ctr_config *config, const char *source, const char *target, bool read_only);

/**
 * Adds a volume at target, an absolute path inside that is made where it is missing, as for ctr_config_add_mount_bind(). A volume
 * is a directory of the store that outlives containers, and that several may use at once. It is made if there is none of this name. One
 * that is empty and that no container uses gets what the image has at target, with owners and modes, as in docker; that is whole
 * before anybody sees it, and is done once, whoever begins at the same time. Nothing comes from a "host" image.
 *
 * name        at most 64 of a-z A-Z 0-9 _ . -, not starting with a dot or a dash; ctr_create() refuses another
 * read_only   nothing can be written through it
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_add_volume(ctr_config *config, const char *name, const char *target, bool read_only);

/**
 * Adds an empty tmpfs(5) at target, an absolute path inside that is made where it is missing, as for
 * ctr_config_add_mount_bind().
 *
 * size   the most bytes it may hold, at least 1; CTR_UNLIMITED: it is a part of the tmpfs that has the container's changes, and
 *        ctr_config_set_upper_size() holds for both together
 * mode   the permission bits of its root directory; 0: 01777
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_add_tmpfs(ctr_config *config, const char *target, uint64_t size, uint32_t mode);

/**
 * Adds a directory of the host as copy-on-write at target, an absolute path inside that is made where it is missing, as for
 * ctr_config_add_mount_bind(): an overlay, overlayfs.rst of the kernel, so the container changes it for itself alone and the files
 * of source stay as they are. However many files it has, it costs the same. ctr_diff_scratch() lists what has changed,
 * ctr_apply_scratch() carries it over to source, ctr_discard_scratch() drops it; it is gone with the container.
 *
 * source   a directory; what is mounted below it is not seen inside
 *
 * Changes take memory, and count in ctr_config_set_upper_size() together with those of the root; with CTR_UPPER_DISK, and on kernels
 * before Linux 6.6, they are on disk. Programs see a file of source that is changed on the host while they run as it was or
 * as it is, overlayfs doesn't say which, as long as they have not changed it themselves. A container has 6 scratch mounts at
 * most.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_add_scratch(ctr_config *config, const char *source, const char *target);

/**
 * The memory limit in bytes, swap not included, cgroups(7). ctr_set_mem_limit() changes it later. Default:
 * none; 512 MiB in CTR_PRESET_STRICT. CTR_UNLIMITED is none in that preset, too.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_memory(ctr_config *config, uint64_t bytes);

/**
 * The most processes and threads at one time, the pids controller of cgroups(7). ctr_set_pids_limit() changes it later.
 * Default: none; 128 in CTR_PRESET_STRICT. CTR_UNLIMITED is none in that preset, too.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_pids(ctr_config *config, uint64_t count);

/**
 * The time of processors that all programs of the container have together, the cpu controller of cgroups(7), in thousandths of
 * a processor: 500 is half of one, 2000 two. A program that has had its share of a tenth of a second waits for the next.
 * ctr_set_limit() changes it later. Default: CTR_UNLIMITED.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_cpus(ctr_config *config, uint64_t thousandths);

/**
 * What happens if no cgroup can be made: policy is one of enum ctr_cgroup_policy. Default: CTR_CGROUP_AUTO.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_cgroup(ctr_config *config, int policy);

/**
 * The cgroup below which the container's own is made, cgroups(7): an absolute path below the mount point of the
 * hierarchy, as "/batch/job1", or a path relative to the caller's own cgroup. It must exist; on v1 in each hierarchy
 * that is used (memory, and pids, cpu, cpuset, blkio, hugetlb and devices if they are limited). Its limits apply to the container.
 *
 * Default: $CTR_CGROUP_PARENT, else the cgroup of the calling thread, so that the caller's limits apply to what it
 * runs. On v2 a cgroup that has processes can't enable controllers for its children; there the container's cgroup is
 * made in the nearest ancestor that can, beside the caller's. If the caller's cgroup has limits and the container is
 * given none, it is made below the caller's all the same, and can't be limited later. "cgroup_place" of
 * ctr_inspect() and ctr_explain() say where it is.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_cgroup_parent(ctr_config *config, const char *path);

/**
 * Whose network the container has: "none" (one of its own with loopback only), "host", "container:NAME" of a running container,
 * the path of a namespace, as "/proc/7/ns/net", or the name of a network of ctr_network(), of which it becomes a member. It stands for a choice of CTR_NS_NET; ctr_create() refuses both. Default:
 * "none".
 *
 * Return value: 0, or CTR_ERR_INVALID for anything else.
 */
int ctr_config_set_network(ctr_config *config, const char *network);

/**
 * Makes a namespace new or the host's.
 *
 * kind     one of enum ctr_namespace (or CLONE_NEW*)
 * source   one of enum ctr_namespace_source
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_namespace(ctr_config *config, int kind, int source);

/**
 * Joins a namespace of the process pid, setns(2), instead of making one. kind is one of enum ctr_namespace. The caller's own
 * is the host's, see CTR_NS_HOST.
 *
 * It takes rights in the user namespace that owns it: join that one as well (CTR_NS_USER), or, as root of the machine, share
 * the host's. Where the container's user namespace is a new one, root of the machine can join those of the kinds NET, UTS and
 * IPC only: the kernel refuses the others.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_namespace_pid(ctr_config *config, int kind, int32_t pid);

/**
 * Joins the namespace behind a file, /proc/PID/ns/KIND or a bind mount of such, instead of making one; see
 * ctr_config_set_namespace_pid(). kind is one of enum ctr_namespace.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_namespace_path(ctr_config *config, int kind, const char *path);

/**
 * Joins a namespace of the running container of this name instead of making one; see ctr_config_set_namespace_pid(). kind is
 * one of enum ctr_namespace.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_namespace_container(ctr_config *config, int kind, const char *name);

/**
 * Mounts the root read-only. Default: false.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_read_only(ctr_config *config, bool read_only);

/**
 * How many bytes the container's changes may take while they are kept in memory, together with /dev/shm, the /tmp of a read-only
 * root, and every tmpfs without a size of its own; a write beyond that fails with ENOSPC. Default, and with CTR_UNLIMITED: half of
 * the memory limit, or half of the machine's memory if there is no limit.
 *
 * Return value: 0, or CTR_ERR_INVALID. ctr_create() refuses less than 1 MiB (1048576).
 */
int ctr_config_set_upper_size(ctr_config *config, uint64_t bytes);

/**
 * How many files, directories and links the container's changes may have while they are kept in memory, together with the same places
 * as for ctr_config_set_upper_size(); one more fails with ENOSPC. Each is some 1 to 2 KiB of memory of the kernel's, which counts in
 * the memory limit. Default, and with CTR_UNLIMITED: one for each 4 KiB of that size, 1024 at the least; without a memory limit
 * and a size as many as half of the machine's memory has pages.
 *
 * Return value: 0, or CTR_ERR_INVALID. ctr_create() refuses fewer than 256.
 */
int ctr_config_set_upper_inodes(ctr_config *config, uint64_t count);

/**
 * Whether an /etc/hosts, /etc/hostname and /etc/resolv.conf of the container's own are mounted over the image's, as docker does.
 * With false they are the image's. Default: true.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_etc_files(ctr_config *config, bool wanted);

/**
 * Where the container's changes go: one of enum ctr_upper. Default: CTR_UPPER_MEMORY.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_upper(ctr_config *config, int place);

/**
 * How an image that is a directory is used: one of enum ctr_directory. Default: CTR_DIRECTORY_LOWER.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_directory(ctr_config *config, int how);

/**
 * Lets the container outlive the process that makes it, until someone destroys it. Default: false, so it ends with that
 * process, however that ends.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_detached(ctr_config *config, bool detached);

/**
 * The capabilities that processes inside may have: bit n stands for the capability of number n in
 * <linux/capability.h>, capabilities(7); 0 for none. They count inside the container's user namespace only. Default:
 * the preset's, which are docker's less CAP_NET_RAW.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_capabilities(ctr_config *config, uint64_t mask);

/**
 * Adds a capability to those that processes inside may have, by its name: "NET_ADMIN" or "CAP_NET_ADMIN"; "ALL" stands for
 * every one.
 *
 * Return value: 0, or CTR_ERR_INVALID. ctr_create() refuses a name that does not exist.
 */
int ctr_config_add_capability(ctr_config *config, const char *name);

/**
 * Takes a capability from those that processes inside may have, as ctr_config_add_capability() takes it. As in
 * docker, a drop takes effect after an added "ALL", and an addition after a dropped "ALL"; ctr_create() refuses a
 * name that is both added and dropped.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_drop_capability(ctr_config *config, const char *name);

/**
 * Lets programs gain privileges by set-user-ID and file capabilities: no_new_privs of prctl(2) is not set. Default:
 * false.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_new_privileges(ctr_config *config, bool allowed);

/**
 * The directory in which running containers are written down. Default: $CTR_STATE_DIR, else the first of these that is, or
 * can be made, this user's own: /run/ctr (root), $XDG_RUNTIME_DIR/ctr, /run/user/UID/ctr, /dev/shm/ctr-UID, /tmp/ctr-UID,
 * $HOME/.local/state/ctr. A setuid program doesn't look at the variables. ctr_join_in() and ctr_list_in() look into another.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_state_dir(ctr_config *config, const char *path);

/**
 * The directory in which unpacked images are kept. Default: $CTR_STORE_DIR, else /var/lib/ctr for root and
 * $XDG_DATA_HOME/ctr for others.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_store_dir(ctr_config *config, const char *path);

/**
 * The bytes of memory above which the container is slowed down: it has to reclaim what it allocates, and waits for that; nothing is
 * killed. memory.high of cgroup v2; v1 has no such limit, and ctr_create() refuses it there (CTR_ERR_UNSUPPORTED).
 * ctr_set_limit() changes it later. Default: CTR_UNLIMITED.
 *
 * Return value: 0, or CTR_ERR_INVALID. ctr_create() refuses less than 2 MiB.
 */
int ctr_config_set_memory_high(ctr_config *config, uint64_t bytes);

/**
 * The bytes of memory that are reclaimed last: where the machine has too little, what the container has above that is reclaimed
 * first. A bid, no promise. memory.low of cgroup v2, the soft limit of v1; docker's --memory-reservation. ctr_set_limit() changes it
 * later. Default: CTR_UNLIMITED, which is no such bid.
 *
 * Return value: 0, or CTR_ERR_INVALID. ctr_create() refuses 0.
 */
int ctr_config_set_memory_low(ctr_config *config, uint64_t bytes);

/**
 * The bytes of swap that the container may use besides its memory, 0 for none: memory.swap.max of cgroup v2. On v1 it takes a memory
 * limit (ctr_config_set_memory()). docker's --memory-swap counts memory too, this does not. ctr_set_limit() changes it later; with
 * fewer than are swapped out it fails with EBUSY on v1 where the kernel can't reclaim them, and on v2 they stay where they are.
 * Default: CTR_UNLIMITED, which is none where memory is limited, and no limit elsewhere.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_swap(ctr_config *config, uint64_t bytes);

/**
 * The container's share of processors that others want too, 1 to 10000, where others have 100: cpu.weight of cgroup v2. On v1 it is
 * cpu.shares, of which others have 1024. Where nobody else wants them the container has them all. ctr_set_limit() changes it
 * later. Default: CTR_UNLIMITED, which is 100.
 *
 * Return value: 0, or CTR_ERR_INVALID. ctr_create() refuses other numbers.
 */
int ctr_config_set_cpu_weight(ctr_config *config, uint64_t weight);

/**
 * Ends the container after so many milliseconds from its making on, with all that runs in it, whether its maker lives or not. Programs
 * that run then say CTR_REASON_TIMED_OUT, ctr_end_reason() and CTR_EVENT_END too; a handle is released as ever. It takes a PID
 * namespace of its own, and goes on while the container is paused: one whose time is up ends at the resume. A negative number is no
 * limit. Default: none.
 *
 * Return value: 0, or CTR_ERR_INVALID. ctr_create() refuses 0.
 */
int ctr_config_set_lifetime(ctr_config *config, int64_t ms);

/**
 * Ends the container when all that runs in it has used so many milliseconds of CPU time together, in user mode and in the kernel, the
 * dead with the living. What is said then is CTR_REASON_OUT_OF_CPU_TIME. It takes PID and mount namespaces of its own. How exact it
 * is, and what is not counted: ctr_exec_config_set_cpu_time_limit(), which is the same for one program. A negative number is no
 * limit. Default: none.
 *
 * Return value: 0, or CTR_ERR_INVALID. ctr_create() refuses 0.
 */
int ctr_config_set_cpu_time(ctr_config *config, int64_t ms);

/**
 * The processors that the container may run on, as "0-1,3": "List format" of cpuset(7). Programs see as many (nproc,
 * sched_getaffinity(2)). ctr_set_limit_list() changes it later. Default: NULL, those of its maker's cgroup.
 *
 * Return value: 0, or CTR_ERR_INVALID. ctr_create() refuses what is no list, and processors that the machine or the cgroup above
 * does not have.
 */
int ctr_config_set_cpuset(ctr_config *config, const char *list);

/**
 * The memory nodes that the container may have memory from, written as for ctr_config_set_cpuset(). Default: NULL, those of its
 * maker's cgroup.
 *
 * Return value: as ctr_config_set_cpuset().
 */
int ctr_config_set_cpuset_mems(ctr_config *config, const char *list);

/**
 * Limits how fast the container may use a block device, a line of io.max of cgroup v2; on v1 it is blkio.throttle.*. What is above
 * the rate waits. On v1 that holds for reads, and for writes past the page cache; on v2 for all.
 *
 * device   "/dev/sda rbps=1048576 wiops=100": a device, any path that lies on it, or MAJOR:MINOR, and one at least of rbps and wbps
 *          (bytes read and written a second), riops and wiops (reads and writes a second). Of a partition it is the whole disk
 *
 * A device that is given again has the later rates. ctr_set_limit_list() changes them later. Default: no limit.
 *
 * Return value: 0, or CTR_ERR_INVALID for what is no such line. ctr_create() refuses what is no disk.
 */
int ctr_config_add_io(ctr_config *config, const char *device);

/**
 * The container's share of block devices that others want too, 1 to 10000, where others have 100: io.weight of cgroup v2, or BFQ's
 * weight. It counts for devices with the scheduler BFQ, or on v2 with the io cost model. ctr_set_limit() changes it later. Default:
 * CTR_UNLIMITED, which is 100.
 *
 * Return value: 0, or CTR_ERR_INVALID. ctr_create() refuses other numbers, and kernels without either (CTR_ERR_UNSUPPORTED).
 */
int ctr_config_set_io_weight(ctr_config *config, uint64_t weight);

/**
 * Limits the huge pages of a size that the container may use, the hugetlb controller of cgroups(7). What is above is refused: by
 * mmap(2) with ENOMEM since Linux 5.7.
 *
 * pages   "2MB=67108864": the size of a page, with KB, MB or GB, and bytes of all of them; 0 for none
 *
 * ctr_set_limit_list() changes it later. Default: no limit.
 *
 * Return value: 0, or CTR_ERR_INVALID for what is no such text. ctr_create() refuses sizes that the machine does not have.
 */
int ctr_config_add_hugetlb(ctr_config *config, const char *pages);

/**
 * Which walls stand: one of enum ctr_preset. The other setters override it, in whatever order they are called.
 * Default: CTR_PRESET_DEFAULT.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_preset(ctr_config *config, int preset);

/**
 * Whether parts of /proc and /sys are masked, and others read-only, as docker's are. Default: as the preset says.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_masked_paths(ctr_config *config, bool masked);

/**
 * Whether Landlock restricts the container besides seccomp, landlock(7). Default: as the preset says, if the kernel
 * supports it. With true, ctr_create() fails with CTR_ERR_UNSUPPORTED where it does not.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_landlock(ctr_config *config, bool wanted);

/**
 * The system calls that processes inside may make, seccomp(2): one of enum ctr_seccomp. Default: the preset's.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_seccomp(ctr_config *config, int profile);

/**
 * The system calls that processes inside may make: a profile in docker's JSON format, from a file that ctr_create() reads.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_seccomp_file(ctr_config *config, const char *path);

/**
 * The system calls that processes inside may make: a profile in docker's JSON format, as text.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_seccomp_json(ctr_config *config, const char *json);

/**
 * What happens to a program that makes a system call which its profile refuses by default. Default: what the profile
 * says, EPERM in those of ctr.
 *
 * refusal   one of enum ctr_refusal
 * number    for CTR_REFUSAL_ERRNO the errno, for CTR_REFUSAL_TRACE what the tracer is given; else 0
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_seccomp_refusal(ctr_config *config, int refusal, uint16_t number);

/**
 * Adds a limit of each process, setrlimit(2). The others are those of the thread that calls ctr_exec(), at that moment.
 *
 * name         "nofile" (32 at the least), "nproc", "stack": RLIMIT_* in small letters
 * soft, hard   as in struct rlimit; CTR_UNLIMITED for RLIM_INFINITY
 *
 * Return value: 0; CTR_ERR_INVALID for what is no limit; CTR_ERR_UNSUPPORTED for a hard limit above the caller's own.
 */
int ctr_config_add_rlimit(ctr_config *config, const char *name, uint64_t soft, uint64_t hard);

/**
 * Sets a kernel parameter of the container's own namespaces, sysctl(8), as "net.ipv4.ip_unprivileged_port_start". Those
 * that belong to no namespace are refused by ctr_create().
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_add_sysctl(ctr_config *config, const char *name, const char *value);

/**
 * Sets a clock of the container's own time namespace off from the host's, time_namespaces(7). It needs CTR_NS_TIME to be
 * CTR_NS_NEW. Default: 0.
 *
 * clock      CLOCK_MONOTONIC or CLOCK_BOOTTIME of <time.h>; the latter is what uptime(1) shows
 * secs       seconds, negative for an earlier time, but not before the machine's boot
 * nanosecs   0 to 999999999, added to the seconds
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_time_offset(ctr_config *config, int clock, int64_t secs, uint32_t nanosecs);

/**
 * The AppArmor profile that programs run under, by name, apparmor(7), or "unconfined". It has to be loaded already.
 * Default: none; programs keep the caller's.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_apparmor(ctr_config *config, const char *profile);

/**
 * The SELinux context that programs run in, selinux(8), as "system_u:system_r:container_t:s0:c1,c2". Default: none;
 * programs keep the caller's.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_selinux(ctr_config *config, const char *context);

/**
 * The SELinux context of the files of the container's own mounts (its root where that is an overlay, /dev, every tmpfs), as
 * "system_u:object_r:container_file_t:s0:c1,c2". Default: none.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_selinux_mounts(ctr_config *config, const char *context);

/**
 * Ignores a label whose security module is not active on this machine; otherwise ctr_create() fails. Default: false.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_labels_optional(ctr_config *config, bool optional);

/**
 * Gives the container a device beyond the usual ones, as docker's --device and --device-cgroup-rule do.
 *
 * device   "/dev/fuse", "/dev/fuse:rw" or "/dev/ttyS0:/dev/modem:rwm": that node of the host is seen inside, and may be read,
 *          written and made again (mknod(2)). Or "c 10:229 rwm", with c or b, numbers or *, or "a" for everything: only the
 *          list of devices in the container's cgroup lets it through; see ctr_config_set_device_list().
 *
 * What root of the machine gives is a copy of the node that everybody inside may use. What an ordinary user gives is the node
 * itself, with its permissions. ioctl(2) works below /dev.
 *
 * Return value: 0, or CTR_ERR_INVALID for what is neither.
 */
int ctr_config_add_device(ctr_config *config, const char *device);

/**
 * Whether the container's cgroup lists the devices that can be opened: one of enum ctr_device_list. The list is docker's, and
 * what ctr_config_add_device() adds. Default: CTR_DEVICE_LIST_AUTO.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_set_device_list(ctr_config *config, int list);

/**
 * Makes a container and starts its PID 1, which waits for ctr_exec(). It changes nothing in the caller's process: no
 * signal handler, working directory, umask or limit, and the caller gets no SIGCHLD and no child to wait for.
 *
 * image    an archive as ctr_image_import() takes it, unpacked once and then shared (where there are several images in
 *          it, with ":" and the name of one behind it); the name or digest of an imported image; a directory; or "host":
 *          this machine's own /usr, /bin, /lib and /etc, read-only
 * config   see ctr_config_new(); NULL for the safe defaults
 * out      gets the handle
 *
 * The container ends when the process that made it ends, unless ctr_config_set_detached() says otherwise.
 *
 * It takes milliseconds, and the time of an import if the image has to be unpacked. It gives up after a minute
 * (CTR_ERR_TIMED_OUT). A process can have 1,000 containers and joined pids at a time; the next call fails with
 * EAGAIN. About 64 handles can be joined to one container.
 *
 * Return value: 0 and the handle in *out, which ctr_destroy() or ctr_close() releases. On failure *out is NULL and
 * nothing is left behind: CTR_ERR_NOT_FOUND if there is no such image, CTR_ERR_BAD_IMAGE if it can't be run,
 * CTR_ERR_NAME_IN_USE, CTR_ERR_UNSUPPORTED if the machine can't do what the configuration asks for, CTR_ERR_INVALID
 * if the configuration contradicts itself, CTR_ERR_SYSTEM if a step failed.
 */
int ctr_create(const char *image, const ctr_config *config, ctr_container **out);

/**
 * A handle on a running container that any process of this user made. It has every right of the creator's handle.
 *
 * name   as ctr_config_set_name() set it or ctr_list() gives it
 *
 * Return value: 0 and the handle in *out, which ctr_destroy() or ctr_close() releases; CTR_ERR_NOT_FOUND when no
 * such container runs. *out is NULL then.
 */
int ctr_join(const char *name, ctr_container **out);

/**
 * As ctr_join(), for a container that was made with ctr_config_set_state_dir().
 *
 * Return value: as ctr_join().
 */
int ctr_join_in(const char *state_dir, const char *name, ctr_container **out);

/**
 * The namespaces of any process that the kernel lets the caller join, as nsenter(1) enters them: all that differ from
 * the caller's. ctr_exec() works as in a container, and what it started ends with the handle; limits do not apply to
 * what ctr did not make, and the process itself is never touched.
 *
 * Return value: 0 and the handle in *out, which ctr_close() releases; CTR_ERR_NOT_FOUND when there is no such
 * process, CTR_ERR_SYSTEM with EPERM when the caller may not join it. *out is NULL then.
 */
int ctr_join_pid(int32_t pid, ctr_container **out);

/**
 * As ctr_join_pid(), for a chosen set of namespaces.
 *
 * namespaces   enum ctr_namespace (or CLONE_NEW*) or'ed together; 0 for all that differ from the caller's
 *
 * Return value: as ctr_join_pid().
 */
int ctr_join_pid_namespaces(int32_t pid, uint32_t namespaces, ctr_container **out);

/**
 * Starts a program in a container.
 *
 * argv     the program and its arguments, ended by NULL, as execve(2) takes them; in C that of main() is passed as
 *          (const char *const *)argv. A program without a slash is searched
 *          for in the PATH of the container's environment, inside. An empty argv starts what the image says
 * config   see ctr_exec_config_new(); NULL for the defaults
 * out      gets the handle of the process
 *
 * Processes that the program leaves behind stay until they end, their time limit passes, or the container is
 * destroyed; PID 1 reaps them. A container runs 1,000 programs at a time, not counting what they start themselves;
 * the next call fails with EAGAIN.
 *
 * It returns once the program has run execve(2), after a millisecond or so. Programs inside can delay that up to the
 * start time-out (10 seconds; see ctr_exec_config_set_start_timeout()). If many threads start programs at once, a
 * call also waits for its turn: 30 seconds at most, or a second more than the time limit or start time-out if one is
 * set.
 *
 * Return value: 0 and the handle in *out, which ctr_process_free() frees. On failure *out is NULL and nothing runs:
 * CTR_ERR_EXEC or CTR_ERR_NOT_FOUND if the program, its #! interpreter or its ELF loader can't be started (ENOENT,
 * EACCES, ENOEXEC, E2BIG and so on; ctr_last_error() names which), CTR_ERR_TIMED_OUT if it did not start in time,
 * CTR_ERR_DESTROYED if the container is gone, CTR_ERR_INVALID.
 */
int ctr_exec(ctr_container *c, const char *const *argv, const ctr_exec_config *config, ctr_process **out);

/**
 * As ctr_exec(), but starts what `docker run IMAGE ARGS` would: the image's entrypoint, and behind it args or, where
 * there are none, the image's own.
 *
 * args   the arguments, ended by NULL; NULL for none
 *
 * Return value: as ctr_exec(); CTR_ERR_INVALID too where neither the image nor args name a program.
 */
int ctr_exec_image(ctr_container *c, const char *const *args, const ctr_exec_config *config, ctr_process **out);

/**
 * Sets the memory limit of a running container, up or down. If the processes use more than the new limit, the kernel
 * reclaims memory; if it can't reclaim enough, the call fails and the old limit stays.
 *
 * bytes   the limit, swap not included; CTR_UNLIMITED lifts it
 *
 * Return value: 0; CTR_ERR_SYSTEM with EBUSY when more than that is in use; CTR_ERR_INVALID for less than the kernel
 * takes; CTR_ERR_UNSUPPORTED when the container has no memory cgroup; CTR_ERR_DESTROYED.
 */
int ctr_set_mem_limit(ctr_container *c, uint64_t bytes);

/**
 * The memory limit in bytes.
 *
 * Return value: 0 and the limit in *bytes, CTR_UNLIMITED where there is none; CTR_ERR_UNSUPPORTED, CTR_ERR_DESTROYED,
 * CTR_ERR_INVALID.
 */
int ctr_mem_limit(ctr_container *c, uint64_t *bytes);

/**
 * The memory that the container's processes use, as the kernel counts it, in bytes.
 *
 * now    gets what is in use
 * peak   gets the most that ever was; may be NULL
 *
 * Return value: 0; CTR_ERR_UNSUPPORTED, CTR_ERR_DESTROYED, CTR_ERR_INVALID.
 */
int ctr_mem_usage(ctr_container *c, uint64_t *now, uint64_t *peak);

/**
 * How many processes of the container the kernel has killed so far because its memory limit was reached (or, without one,
 * because the machine had no memory left). A program whose child was killed may exit with 0, and the reason in its ctr_exit
 * is then CTR_REASON_EXITED: compare this number before and after.
 *
 * Return value: 0; CTR_ERR_UNSUPPORTED, CTR_ERR_DESTROYED, CTR_ERR_INVALID.
 */
int ctr_oom_kills(ctr_container *c, uint64_t *count);

/**
 * Sets the most processes and threads that may exist at one time in a running container; further fork(2) and clone(2)
 * inside fail with EAGAIN. More than that may exist already.
 *
 * count   the limit; CTR_UNLIMITED lifts it
 *
 * Return value: 0; CTR_ERR_UNSUPPORTED when the container has no pids cgroup; CTR_ERR_DESTROYED, CTR_ERR_INVALID.
 */
int ctr_set_pids_limit(ctr_container *c, uint64_t count);

/**
 * The most processes and threads that may exist at one time.
 *
 * Return value: 0 and the limit in *count, CTR_UNLIMITED where there is none; CTR_ERR_UNSUPPORTED, CTR_ERR_DESTROYED,
 * CTR_ERR_INVALID.
 */
int ctr_pids_limit(ctr_container *c, uint64_t *count);

/**
 * The name that ctr_join() takes.
 *
 * Return value: a string that is good until the handle is released, "" for what ctr_join_pid() joined; NULL for an
 * invalid handle.
 */
const char *ctr_name(const ctr_container *c);

/**
 * The digest of the image of the store that the container was made from, as "sha256:…"; ctr_image_inspect() takes it.
 *
 * Return value: a string that is good until the handle is released; NULL for a container of a directory or of
 * "host", for what ctr_join_pid() joined, and for an invalid handle.
 */
const char *ctr_container_image(const ctr_container *c);

/**
 * The pid of the container's PID 1 on the host; for ctr_join_pid(), of the process of ours that starts programs in those
 * namespaces. By the time you use it, it may be another process's: prefer ctr_pidfd().
 *
 * Return value: the pid, or CTR_ERR_INVALID.
 */
int32_t ctr_pid(const ctr_container *c);

/**
 * A descriptor of the container's PID 1, pidfd_open(2): poll(2) says POLLIN when the container has ended.
 *
 * Return value: a descriptor that belongs to the handle (don't close it) and is good until the handle is released, or
 * CTR_ERR_INVALID.
 */
int ctr_pidfd(const ctr_container *c);

/**
 * Whether the container runs: neither destroyed nor ended from outside.
 *
 * Return value: 1 or 0, or CTR_ERR_INVALID.
 */
int ctr_is_running(const ctr_container *c);

/**
 * What ctr_create() would do for this image and configuration: a list of every wall, on or off, and why, and then the shell
 * commands that a person would type to get the same, each with a line that says what it is for, in an order in which they can be
 * typed into one bash(1). Nothing is made, but the image is unpacked into the store. The arguments are those of ctr_create().
 *
 * Return value: 0 and the text in *text, which ctr_string_free() frees; else what ctr_create() would answer, and *text
 * is NULL.
 */
int ctr_explain(const char *image, const ctr_config *config, char **text);

/**
 * What was done to make this container; see ctr_explain().
 *
 * Return value: 0 and the text in *text, which ctr_string_free() frees; CTR_ERR_UNSUPPORTED for what another process made
 * or ctr_join_pid() joined; CTR_ERR_INVALID. *text is NULL then.
 */
int ctr_explain_container(const ctr_container *c, char **text);

/** Frees a string that a function of ctr made for the caller, as ctr_explain() does. NULL is allowed. free(3) does the same. */
void ctr_string_free(char *string);

/**
 * Sends a signal, signal(7), to every program of a container and to all that they have started, whatever their session or
 * group; the container lives on, and programs can be started in it as before. SIGKILL ends them all, however they fork
 * meanwhile: they are dead, or just dying, when the call returns. 0 sends nothing.
 *
 * In the namespaces of ctr_join_pid(), and in a container whose PID namespace is shared, those are the programs that
 * ctr_exec() has started, and their descendants.
 *
 * Return value: 0, also when there was none; CTR_ERR_INVALID for what is no signal; CTR_ERR_DESTROYED; CTR_ERR_TIMED_OUT
 * when the container's PID 1 did not answer within 30 seconds; CTR_ERR_SYSTEM.
 */
int ctr_kill_all(ctr_container *c, int signal);

/**
 * Ends a container: kills every process, reaps them and removes all that was made for it (mounts, cgroups,
 * directories). It works in any state. From then on other handles on it, also in other processes, return
 * CTR_ERR_DESTROYED, and waits for its processes return CTR_REASON_DESTROYED. Calls that other threads are making
 * with this handle return. Nothing inside can delay it. If the kernel takes more than 30 seconds to end the
 * processes, the call fails (CTR_ERR_SYSTEM, ETIMEDOUT).
 *
 * The handle is released in any case. In a forked child nothing else happens, since the container is the parent's,
 * so the destructor of a static object may call this.
 *
 * Return value: 0, also when it had ended before; CTR_ERR_INVALID for an invalid handle, which includes one that was
 * destroyed before, and in a forked child; CTR_ERR_SYSTEM if something could not be removed, which the next call of
 * any process of this user tries again.
 */
int ctr_destroy(ctr_container *c);

/**
 * Ends a container as `docker stop`: sends the stop signal of its image, SIGTERM where that names none that there is, to its
 * programs, waits until they have ended, at most grace_ms milliseconds, and then does what ctr_destroy() does. What a program
 * has started itself is left to that program; all that still runs in the end is killed. A program that writes to a full pipe
 * which nobody reads can't end, and is killed: see ctr_process_stop().
 *
 * grace_ms   how long the programs may take; -1 is as long as it takes
 *
 * The handle is released in any case.
 *
 * Return value: as ctr_destroy(). If the signal can't be sent, the handle is released as by ctr_close():
 * CTR_ERR_UNSUPPORTED when the kernel does not list the programs, CTR_ERR_SYSTEM.
 */
int ctr_stop(ctr_container *c, int grace_ms);

/**
 * Ends a container by its name, as ctr_join() and ctr_destroy() do; also one that can't be joined, because its record is damaged or
 * was written by an earlier version. That one is ended by the process that its control socket belongs to, and a damaged record is
 * put aside.
 *
 * name        as for ctr_join()
 * state_dir   as for ctr_join_in(); NULL for the usual one
 *
 * Return value: 0; CTR_ERR_NOT_FOUND when no such container runs; CTR_ERR_UNSUPPORTED when a later version made it; else as
 * ctr_destroy().
 */
int ctr_destroy_named(const char *name, const char *state_dir);

/**
 * Releases this handle only: a container that was joined or is detached lives on. One that this process made and that
 * is not detached is destroyed, as by ctr_destroy(), but not in a forked child.
 *
 * Return value: 0, or CTR_ERR_INVALID for an invalid handle.
 */
int ctr_close(ctr_container *c);

/**
 * Sets a limit of a running container, up or down.
 *
 * which   one of the numbers of enum ctr_limit_kind, which says what value counts
 * value   the limit; CTR_UNLIMITED lifts it
 *
 * On cgroup v1 the first limit of a kind that the container was made without moves its processes into another cgroup, which takes
 * about 10 ms for each.
 *
 * Return value: 0; CTR_ERR_INVALID for a value that no container can live with; CTR_ERR_SYSTEM with EBUSY when more memory, or
 * on cgroup v1 more swap, than that is in use, or more bytes or files of changes; CTR_ERR_UNSUPPORTED when such a cgroup can't be had, or there is no such limit here:
 * CTR_LIMIT_MEMORY_HIGH on cgroup v1, CTR_LIMIT_SWAP on v1 without a memory limit, CTR_LIMIT_IO_WEIGHT where the kernel has nothing
 * that keeps it, CTR_LIMIT_UPPER_SIZE and CTR_LIMIT_UPPER_INODES where changes do not go to memory; CTR_ERR_DESTROYED.
 */
int ctr_set_limit(ctr_container *c, int which, uint64_t value);

/**
 * A limit of a running container, as the kernel has it.
 *
 * which   one of the numbers of enum ctr_limit_kind
 *
 * Return value: 0 and the limit in *value, CTR_UNLIMITED where there is none; CTR_ERR_DESTROYED, CTR_ERR_INVALID. Of
 * CTR_LIMIT_UPPER_SIZE and CTR_LIMIT_UPPER_INODES also CTR_ERR_UNSUPPORTED as ctr_set_limit(), and CTR_ERR_SYSTEM with EBUSY while it is
 * paused: PID 1 is asked for them.
 */
int ctr_limit(ctr_container *c, int which, uint64_t *value);

/**
 * A limit of a running container as it holds in the end: the lowest of the container's own and those of the cgroups above it (a
 * service's, a batch job's, an outer container's), as far as they can be seen from here. A weight counts beside its neighbours alone,
 * and is the container's own.
 *
 * which   one of the numbers of enum ctr_limit_kind
 *
 * Return value: 0 and the limit in *value, CTR_UNLIMITED where there is none; CTR_ERR_DESTROYED, CTR_ERR_INVALID,
 * CTR_ERR_SYSTEM.
 */
int ctr_effective_limit(ctr_container *c, int which, uint64_t *value);

/**
 * Sets a limit of a running container that is a list: all of it, so what is not in the list is not limited.
 *
 * which   one of the lists of enum ctr_limit_kind
 * list    as the setter of ctr_config takes it, of CTR_LIMIT_IO and CTR_LIMIT_HUGETLB with a line each; NULL lifts it
 *
 * Return value: as ctr_set_limit(); CTR_ERR_INVALID too for what is no list, or has in it what this machine or the cgroup above does
 * not have.
 */
int ctr_set_limit_list(ctr_container *c, int which, const char *list);

/**
 * A limit of a running container that is a list, as the kernel has it: devices as MAJOR:MINOR.
 *
 * which   one of the lists of enum ctr_limit_kind
 *
 * Return value: 0 and the list in *list, which ctr_string_free() frees, "" where there is no limit; CTR_ERR_DESTROYED,
 * CTR_ERR_INVALID. *list is NULL then.
 */
int ctr_limit_list(ctr_container *c, int which, char **list);

/**
 * A limit that is a list as it holds in the end: of processors and memory nodes those that the kernel lets it have, of rates and
 * bytes the lowest of all, see ctr_effective_limit().
 *
 * which   one of the lists of enum ctr_limit_kind
 *
 * Return value: as ctr_limit_list(); CTR_ERR_SYSTEM.
 */
int ctr_effective_limit_list(ctr_container *c, int which, char **list);

/**
 * Stops every process of a container where it is, by the freezer of its cgroup, as `docker pause`. They keep all that they have,
 * their memory above all; clocks and time limits run on. One that is paused already stays so.
 *
 * timeout_ms   how long that may take; -1 is as long as it takes. It takes less than a millisecond on cgroup v2. On v1 it is about
 *              10 ms for each process when a container is paused for the first time: they are moved into a freezer cgroup then
 *
 * While it is paused, functions that need an answer from inside fail with CTR_ERR_SYSTEM and EBUSY: ctr_exec(),
 * ctr_kill_all(), ctr_export(), ctr_diff(), ctr_commit(). They fail at once if the container was paused by this handle or
 * before it was joined, else after 0.2 seconds. ctr_process_wait() waits on: until the container is resumed, or its
 * time-out. A signal reaches a program when the container is resumed, but SIGKILL on cgroup v2 at once; a wait for a program
 * that was killed and can't end before fails with EBUSY. ctr_stop() resumes the container. ctr_destroy() ends it as any
 * other, and so does the end of the process that made it: if that was killed, on cgroup v1 the next ctr_list() of any
 * process ends the container. Limits and what is used can be asked and set.
 *
 * Return value: 0; CTR_ERR_TIMED_OUT if some process did not stop in time, and the container runs on then;
 * CTR_ERR_UNSUPPORTED if the container has no cgroup, on cgroup v1 if there is no freezer hierarchy in which its maker may
 * make cgroups, and for ctr_join_pid(); CTR_ERR_SYSTEM, CTR_ERR_DESTROYED, CTR_ERR_INVALID.
 */
int ctr_pause(ctr_container *c, int timeout_ms);

/**
 * Lets a paused container go on. One that runs already is no error.
 *
 * Return value: 0; CTR_ERR_SYSTEM with EBUSY if it stands still all the same, because a cgroup above its own is frozen;
 * CTR_ERR_UNSUPPORTED as ctr_pause(); CTR_ERR_DESTROYED, CTR_ERR_INVALID.
 */
int ctr_resume(ctr_container *c);

/**
 * Why a container has ended. It is told when the descriptor of ctr_pidfd() says POLLIN.
 *
 * Return value: of enum ctr_reason: CTR_REASON_TIMED_OUT after its lifetime (ctr_config_set_lifetime()), CTR_REASON_OUT_OF_CPU_TIME
 * when its CPU time was used up (ctr_config_set_cpu_time()), CTR_REASON_DESTROYED else. Programs that ran till then say the same.
 * CTR_ERR_TIMED_OUT while it runs; CTR_ERR_INVALID. Where another process made the container and the kernel is older than Linux
 * 6.15, its end by a limit may be told as CTR_REASON_DESTROYED.
 */
int ctr_end_reason(const ctr_container *c);

/**
 * Whether a container stands still: paused by whomever, or because a cgroup above its own is frozen.
 *
 * Return value: 1 or 0; CTR_ERR_DESTROYED, CTR_ERR_INVALID, CTR_ERR_SYSTEM.
 */
int ctr_paused(ctr_container *c);

/**
 * Mounts a file or directory of the host into a container that runs, as `mount --rbind`: programs inside see it at once. All that
 * ctr_config_add_mount_bind() says holds here too: target is an absolute path inside, which is made where it is missing if what
 * is above it can be written to; links inside are followed within the container only; set-user-ID programs and device nodes have no
 * effect; files of the caller are those of the container's root. What is mounted below source comes along. Nothing of it is
 * seen on the host, and what is mounted below source later is not seen inside. Programs that have made a mount namespace of their
 * own, unshare(2), don't see it.
 *
 * c           a container that this process made or joined; any number of processes may mount into it
 * read_only   nothing can be written through it, nor through what is mounted below it
 *
 * The mount ends by ctr_unmount(), or with the container. It works in a paused container if the caller is root.
 *
 * Return value: 0; CTR_ERR_INVALID for a target that is no absolute path or lies in /proc or /sys, also by way of links inside, and
 * for a container whose mount namespace is not its own; CTR_ERR_SYSTEM with EBUSY if ctr_mount() or the configuration has mounted
 * something there, with ENOENT if there is no source or the target can't be made, with ENOTDIR or EINVAL if one is a
 * directory and the other is none, with EINVAL or EPERM if the file system of source can't be id-mapped; CTR_ERR_UNSUPPORTED for
 * ctr_join_pid(); CTR_ERR_TIMED_OUT if a file system inside does not answer within a minute; CTR_ERR_DESTROYED.
 */
int ctr_mount(ctr_container *c, const char *source, const char *target, bool read_only);

/**
 * Mounts a volume of the store into a container that runs, at a place as for ctr_mount(). What ctr_config_add_volume() says of
 * volumes holds here too.
 *
 * Return value: as ctr_mount(); CTR_ERR_INVALID for what can't be a name.
 */
int ctr_mount_volume(ctr_container *c, const char *name, const char *target, bool read_only);

/**
 * Mounts an empty tmpfs(5) into a container that runs, at a place as for ctr_mount().
 *
 * size   the most bytes it may hold, at least 1; CTR_UNLIMITED: as many as the container's changes may take
 *        (ctr_config_set_upper_size(), half of the memory limit, or half of the machine's memory)
 * mode   the permission bits of its root directory; 0: 01777
 *
 * Its files are memory of the programs that write them, and count against the container's limit.
 *
 * Return value: as ctr_mount().
 */
int ctr_mount_tmpfs(ctr_container *c, const char *target, uint64_t size, uint32_t mode);

/**
 * As ctr_mount(), of files whose owner inside is another one: what belongs to the owner of source outside belongs to uid and gid inside,
 * and what these write belongs to the owner of source. So a program that runs as the image's own user can use the caller's files without a
 * chown(2). Nobody else can make files there (EOVERFLOW), not even root, and files of others are nobody's: so no set-user-ID program of
 * another user comes out of the container. Only if source is root's, all others have their ids as for ctr_mount(), and root and uid
 * change places.
 *
 * uid, gid   a user and a group inside; CTR_INSIDE for uid: those as whom the image's programs run, and gid is passed over
 *
 * It is an id-mapped mount, mount_setattr(2), which takes root of the machine and a file system that has them: ext4, xfs, btrfs, and tmpfs
 * since Linux 6.3. ctr_probe() says whether they can be had.
 *
 * Return value: as ctr_mount(); CTR_ERR_UNSUPPORTED for an ordinary user, unless that owner is uid and gid inside already;
 * CTR_ERR_INVALID if the container has no such ids.
 */
int ctr_mount_owned(ctr_container *c, const char *source, const char *target, bool read_only, uint32_t uid, uint32_t gid);

/**
 * Adds to a configuration what ctr_mount_owned() mounts.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_add_mount_owned(ctr_config *config, const char *source, const char *target, bool read_only, uint32_t uid, uint32_t gid);

/**
 * Mounts a file or directory of another running container of the caller's, as ctr_mount() does one of the host, with what is mounted below
 * it; of its root "/" what is mounted there stays out. Programs of both see what either writes. It is there as long as it is mounted, also
 * when the other container has ended.
 *
 * name     the other container, as ctr_join() takes it, in the same state directory
 * source   an absolute path inside that one. Links lead nowhere but into it, whatever its programs do
 *
 * Owners are those of the other container. Containers of root have ids of their own each: then it is id-mapped, and where it can't be, as the
 * overlay of an image, it can be had read-only as far as everybody may read it, or if both have one user namespace
 * (ctr_config_set_namespace_container()).
 *
 * Return value: as ctr_mount(); CTR_ERR_NOT_FOUND if no such container runs; CTR_ERR_INVALID for what is in its /proc or /sys.
 */
int ctr_mount_from(ctr_container *c, const char *name, const char *source, const char *target, bool read_only);

/**
 * Adds to a configuration what ctr_mount_from() mounts.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_add_mount_from(ctr_config *config, const char *name, const char *source, const char *target, bool read_only);

/**
 * Mounts the files of an image into a container that runs, read-only, with the owners that they have in it. They are shared with all
 * containers of that image, and cost nothing. The image can't be removed from its store before the container has ended.
 *
 * image   as for ctr_create(), but no plain directory and not "host"; it is looked for in the container's store
 *
 * Return value: as ctr_mount(); else as ctr_create() for an image that can't be had.
 */
int ctr_mount_image(ctr_container *c, const char *image, const char *target);

/**
 * Adds to a configuration what ctr_mount_image() mounts.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_add_mount_image(ctr_config *config, const char *image, const char *target);

/**
 * Takes off what ctr_mount() and the like, or ctr_config_add_mount_bind() and the like, have mounted at target,
 * umount2(2), whichever process did it: the last one if there are several. It is found where it is by now, whatever programs inside have
 * moved. One that is gone already, as with another one on which it lay, is no error. The directory or file at target stays.
 *
 * lazy   if programs use it, it is gone all the same for whoever looks for it from now on, and ends with its last use, as by
 *        MNT_DETACH. One that has further mounts below it always ends so, and these end with it.
 *
 * Return value: 0; CTR_ERR_SYSTEM with EBUSY if programs use it and lazy is false, or if another mount covers it; CTR_ERR_NOT_FOUND if
 * nothing was mounted there, or if it came with the container and programs inside have moved the directory that it is in;
 * CTR_ERR_INVALID for what the container has for itself (/proc, /sys, /dev, /etc/hosts and the like); else as ctr_mount().
 */
int ctr_unmount(ctr_container *c, const char *target, bool lazy);

/**
 * What was mounted into a container for whoever made or joined it, when it was made and since, in that order: all that ctr_unmount()
 * takes off. ctr_inspect() also tells what the container has for itself.
 *
 * Return value: 0 and the list in *out, which ctr_mounts_free() frees; CTR_ERR_DESTROYED, CTR_ERR_SYSTEM if its record can't be read,
 * CTR_ERR_INVALID. *out is NULL then.
 */
int ctr_mounts_of(const ctr_container *c, ctr_mounts **out);

/**
 * How many mounts are in a list; the others take an index from 0 to one less.
 *
 * Return value: the number, or CTR_ERR_INVALID.
 */
int ctr_mounts_count(const ctr_mounts *mounts);

/**
 * The path inside at which it was mounted.
 *
 * Return value: a string that is good until ctr_mounts_free(); NULL when there is no such index.
 */
const char *ctr_mounts_target(const ctr_mounts *mounts, int index);

/**
 * What is seen there: a path of the host, "NAME:PATH" of another container, the name of a volume, or an image as it was named.
 *
 * Return value: as ctr_mounts_target(); NULL also for what began empty, as "tmpfs".
 */
const char *ctr_mounts_source(const ctr_mounts *mounts, int index);

/**
 * What it is: "bind", "volume", "tmpfs", "disk", "image" or "scratch". Later releases may add some.
 *
 * Return value: as ctr_mounts_target().
 */
const char *ctr_mounts_kind(const ctr_mounts *mounts, int index);

/**
 * Whether nothing can be written through it.
 *
 * Return value: 1 or 0; CTR_ERR_INVALID when there is no such index.
 */
int ctr_mounts_read_only(const ctr_mounts *mounts, int index);

/**
 * Whether it was mounted while the container ran, and not when it was made.
 *
 * Return value: as ctr_mounts_read_only().
 */
int ctr_mounts_live(const ctr_mounts *mounts, int index);

/** Frees a list of mounts and its strings. NULL is allowed. The mounts are not affected. */
void ctr_mounts_free(ctr_mounts *mounts);

/**
 * Adds a disk: the file system of source, which is a block device or a file that is the image of one, appears at target, an absolute path
 * inside that is made where it is missing, as for ctr_config_add_mount_bind(). Only root of the machine may: CTR_ERR_UNSUPPORTED for
 * everybody else, whose error names what they can do. A container is made with 8 disks at most.
 *
 * filesystem   "ext2", "ext3", "ext4", "xfs", "btrfs", "squashfs", "erofs" or "vfat"; NULL: the one that is found there
 * partition    the partition of this number of a GPT or an MBR, counted from 1; 0: the file system is on all of source
 * read_only    nothing is written, neither by programs inside nor by the kernel: a journal that a crash has left is passed over.
 *              The way to mount what others have made: a file system that was made to do harm finds more of the kernel when it is written to
 * noexec       programs on it can't be started
 *
 * Set-user-ID programs and device nodes on it have no effect. Its files belong inside to whom they belong on the disk: root's to the
 * container's root. An image, and a partition, has a loop device, loop(4), which is gone when the container is, however that ends. An
 * image that is written to is in use by nobody else meanwhile, by a lock, flock(2), and any number of containers may read one.
 *
 * Return value: 0, or CTR_ERR_INVALID for a file system of another name. What else is wrong ctr_create() says: CTR_ERR_SYSTEM with ENOENT, with
 * EISDIR or ENOTBLK for what is no disk, with EBUSY for an image in use, with EINVAL for one that is damaged or was cut off, with what the
 * kernel says about it; CTR_ERR_INVALID with ENXIO for a partition that there isn't, and with EINVAL where no file system is found;
 * CTR_ERR_UNSUPPORTED with ENODEV for a file system that the kernel lacks, and where there are no loop devices.
 */
int ctr_config_add_disk(ctr_config *config, const char *source, const char *target, const char *filesystem, uint32_t partition, bool read_only, bool noexec);

/**
 * Mounts a disk into a container that runs, as ctr_config_add_disk(), at a place as for ctr_mount(): programs inside see it at once.
 * ctr_unmount() takes it off, and the loop device goes with it.
 *
 * c   a container that this process made or joined
 *
 * Return value: 0; what ctr_create() answers about disks; else as ctr_mount().
 */
int ctr_mount_disk(ctr_container *c, const char *source, const char *target, const char *filesystem, uint32_t partition, bool read_only, bool noexec);

/**
 * A socket of this process that is connected to a server in a container. It is made inside and handed out: it needs no address of
 * the host, no published port, no rights, and works without any network ("none") too. Of the caller's network it has nothing.
 *
 * c            a container that this process made or joined, also by ctr_join_pid()
 * kind         SOCK_STREAM (TCP) or SOCK_DGRAM (UDP) of <sys/socket.h>
 * address      an IPv4 or IPv6 address as inet_pton(3) takes it, or "localhost", which is 127.0.0.1: no other name is looked up. Or
 *              an absolute path inside of at most 107 bytes, unix(7): links are followed within the container only, and who connects
 *              is the container's root (SO_PEERCRED)
 * port         1 to 65535; 0 with a path
 * timeout_ms   how long connecting may take, in milliseconds; -1 is as long as the kernel tries, about two minutes
 *
 * Programs inside can answer what they like, or not at all: set time-outs, SO_RCVTIMEO of socket(7), and don't trust what comes.
 * If a container shares the host's network, it is a socket of the host's network. The first takes about a millisecond, those that
 * follow within seconds a tenth of it. The kernel
 * connects to a server of a paused container as well, where the caller is root.
 *
 * Return value: a descriptor of at least 3, blocking and close-on-exec, which the caller close()s; it outlives the container, but
 * nobody answers then. Or a negative error: CTR_ERR_SYSTEM with ECONNREFUSED if nothing listens there, ENETUNREACH if no route
 * leads there, EAFNOSUPPORT or EADDRNOTAVAIL without IPv6, ENOENT or EACCES of a path, or any other of connect(2);
 * CTR_ERR_TIMED_OUT; CTR_ERR_INVALID for what is no address, for a path if the container has no mount namespace of its own or is a
 * joined pid; CTR_ERR_DESTROYED.
 */
int ctr_connect(ctr_container *c, int kind, const char *address, uint16_t port, int timeout_ms);

/**
 * A socket of this process that listens in a container's network, as a program inside would (SOCK_DGRAM: that is bound there):
 * programs inside connect to it, and nobody else can.
 *
 * c, kind   as for ctr_connect()
 * address   an IPv4 or IPv6 address that the container has, "localhost", or "0.0.0.0" or "::" for all
 * port      below 1024 too, for any user, if the network is the container's own; 0 is a free one, which getsockname(2) tells
 *
 * SO_REUSEADDR is set for SOCK_STREAM, and as many connections wait to be accepted as the kernel allows.
 *
 * Return value: a descriptor as of ctr_connect(), which is ready for accept(2), or for recvfrom(2). Or a negative error: CTR_ERR_SYSTEM with
 * EADDRINUSE if the port is in use, EADDRNOTAVAIL if the container has no such address, EACCES for a low port of the host's network;
 * CTR_ERR_INVALID for what is no address, and for a path; CTR_ERR_DESTROYED.
 */
int ctr_listen(ctr_container *c, int kind, const char *address, uint16_t port);

/**
 * Waits until something in a container listens for TCP. It is tried by connecting, about a hundred times a second: whoever
 * listens accepts one connection that is closed at once.
 *
 * address      as for ctr_connect(), but for a path
 * timeout_ms   how long that may take, in milliseconds; -1 waits as long as the container runs
 *
 * Return value: 0; CTR_ERR_TIMED_OUT if nothing has listened there in time; CTR_ERR_DESTROYED, also if the container ends
 * meanwhile; else as ctr_connect().
 */
int ctr_wait_for_port(ctr_container *c, const char *address, uint16_t port, int timeout_ms);

/**
 * Publishes a TCP port of a container's network at a port of the host: whoever connects there is connected to the server inside. It
 * works without any network ("none"), for ordinary users too: no route, no address, no firewall rule is made.
 *
 * c         a container that this process made or joined; any number of processes may publish ports of it
 * address   an address of the host: an IPv4 or IPv6 address as inet_pton(3) takes it, or "localhost", which is 127.0.0.1. At
 *           "127.0.0.1" this machine alone can connect, at "0.0.0.0" or "::" everybody who can reach the machine
 * port      a port of the host; 0 is a free one, which the return value tells. Below 1024 it takes root, mostly
 * to        an address inside, "127.0.0.1" mostly
 * to_port   1 to 65535
 *
 * A process of ctr's forwards, as fast as the kernel can between two sockets, splice(2). It belongs to the container and not to the
 * caller: it ends by ctr_unpublish() or with the container. The server inside sees connections from its own network. If nothing
 * listens there, who connects sees a reset; end of file goes through in each direction on its own, as shutdown(2) has it. As many
 * connections are served at a time as the hard limit of descriptors has room for (RLIMIT_NOFILE of getrlimit(2), 6 each), 16384 at
 * most; others wait. ctr_inspect() lists what is published, and says whether it still runs. It takes about a millisecond.
 *
 * Return value: the port of the host. Or a negative error: CTR_ERR_SYSTEM with EADDRINUSE if somebody has that port, EADDRNOTAVAIL if
 * the machine has no such address, EACCES for a low port, or any other of bind(2); CTR_ERR_INVALID for what is no address, and for a
 * container in the caller's own network, where nothing has to be published; CTR_ERR_UNSUPPORTED for ctr_join_pid();
 * CTR_ERR_DESTROYED.
 */
int ctr_publish(ctr_container *c, const char *address, uint16_t port, const char *to, uint16_t to_port);

/**
 * Ends what ctr_publish() or ctr_config_add_port() has published at this address and port of the host, whichever process did it: its
 * connections are reset, and the port is free.
 *
 * Return value: 0; CTR_ERR_NOT_FOUND if the container has no port published there; CTR_ERR_INVALID for what is no address;
 * CTR_ERR_SYSTEM with EPERM if the caller may not end the process that forwards; CTR_ERR_DESTROYED.
 */
int ctr_unpublish(ctr_container *c, const char *address, uint16_t port);

/**
 * Publishes a port of the container from its first moment on, as ctr_publish() does while it runs. A port that somebody has makes
 * ctr_create() fail. Of port 0, ctr_inspect() tells which one it is.
 *
 * Return value: 0, or CTR_ERR_INVALID for what is no address.
 */
int ctr_config_add_port(ctr_config *config, const char *address, uint16_t port, const char *to, uint16_t to_port);

/**
 * Makes a named network, if there is none of this name yet: containers of ctr_config_set_network() with that name talk to each other, by
 * addresses of its subnets and by their names, and to nobody else: not to the host, not to other networks, not to the outside. While it
 * has members there is a bridge, ip-link(8), to which each is connected by a pair of interfaces, veth(4); without members it is a record.
 * It is there until ctr_network_remove(), or until the machine starts anew.
 *
 * name        1 to 64 of a-z A-Z 0-9 _ . - and not starting with a dot or a dash; not "none", "host", "new", "container" or "egress"
 * subnet      its IPv4 addresses, as "10.0.3.0/24": a prefix of 8 to 29 bits. NULL: one of 10.201.0.0/24 to 10.204.255.0/24 that neither
 *             a route of this machine nor another network has
 * ipv6        its IPv6 addresses, as "fd00:1::/64": a prefix of 16 to 120 bits; "auto": a random one of fd00::/8; NULL: it has none
 * state_dir   where it is written down, as ctr_config_set_state_dir(); NULL for the usual place
 *
 * It takes root, with CAP_NET_ADMIN of capabilities(7) over the machine's network.
 *
 * Return value: 0; CTR_ERR_INVALID with EEXIST if it is there with other subnets, with EADDRINUSE if the machine has a route for a part
 * of them, or another network has, and for what is no name or no subnet; CTR_ERR_UNSUPPORTED with EPERM for who is not root;
 * CTR_ERR_SYSTEM.
 */
int ctr_network(const char *name, const char *subnet, const char *ipv6, const char *state_dir);

/**
 * The named networks, in the order of their names, as a JSON array of objects: "name", "subnet", "ipv6" (null if it has none), "bridge" (the name of
 * the interface that is there while it has members) and "members", the names of the containers in it. Later releases may add members. It
 * also removes what dead owners left, as ctr_list(). state_dir is as for ctr_network().
 *
 * Return value: 0 and the text in *json, which ctr_string_free() frees; CTR_ERR_SYSTEM, CTR_ERR_INVALID; *json is NULL then.
 */
int ctr_networks(const char *state_dir, char **json);

/**
 * Removes a named network that has no members. state_dir is as for ctr_network().
 *
 * Return value: 0; CTR_ERR_NOT_FOUND if there is none of this name; CTR_ERR_SYSTEM with EBUSY if containers are in it; CTR_ERR_INVALID.
 */
int ctr_network_remove(const char *name, const char *state_dir);

/**
 * The named networks that a running container is in, and its addresses there, as a JSON object: {"web":["10.201.0.2","fd00:1::2"]}, IPv4
 * first; {} if it is in none.
 *
 * Return value: 0 and the text in *json, which ctr_string_free() frees; CTR_ERR_DESTROYED, CTR_ERR_INVALID; *json is NULL then.
 */
int ctr_addresses(const ctr_container *c, char **json);

/**
 * The IPv4 address that the container has in its named network, as "10.0.3.5"; ctr_create() fails with EADDRINUSE if another member has
 * it. Default: one that is free.
 *
 * Return value: 0, or CTR_ERR_INVALID for what is no IPv4 address.
 */
int ctr_config_set_ip(ctr_config *config, const char *ip);

/**
 * One more name by which members of its named network find the container, besides its name and its hostname. Several members may have the
 * same one; which of them is found, their resolver decides, the first in /etc/hosts mostly.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_config_add_alias(ctr_config *config, const char *alias);

/**
 * Opens a file or directory of a container, open(2). No program is started inside, so an image without a shell will do.
 *
 * c       a container that this process made or joined; not by ctr_join_pid()
 * path    begins at the container's root, also without a slash at its beginning. Links are followed within the container only,
 *         whatever programs inside do to directories meanwhile: openat2(2) with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS
 * flags   of open(2), <fcntl.h>; not O_PATH, O_TMPFILE, O_DIRECT
 * mode    the permission bits, at most 07777, of a file that is made because of O_CREAT; no umask is applied
 * user    as for ctr_exec_config_set_user(): whose rights count and whom a new file belongs to; NULL is root inside
 *
 * What is opened is a file or a directory. A FIFO, a device and a socket are refused, and so are the kernel's own files, as
 * those of /proc and /sys, of which each process sees its own; none of these is opened or waited for. No file is made through a
 * symbolic link that leads to nothing. Programs inside can change a file while it is read, and can make it as large as they may: don't
 * trust what it says.
 *
 * It takes about a tenth of a millisecond; the first time, after some seconds without such calls, and for another user than root as
 * long as it takes to start a program. A helper process with three descriptors stays for these calls, until ten seconds after
 * the last one or ctr_destroy(). It works in a paused container, if user is no name.
 *
 * Return value: a descriptor of at least 3, close-on-exec, which the caller close()s; it outlives the container, and keeps its file
 * system in use. Or a negative error: CTR_ERR_SYSTEM with ENOENT, EACCES, EEXIST, EISDIR, EROFS or any other of openat2(2), with
 * ELOOP for too many links and for one of /proc that leads to what a process has open, with EAGAIN if a program inside has a lease on
 * the file; CTR_ERR_UNSUPPORTED with EOPNOTSUPP for what is refused, and for a user whom the container has no id for;
 * CTR_ERR_NOT_FOUND for a user who is not there; CTR_ERR_INVALID, also if the container's mount namespace is not its own;
 * CTR_ERR_TIMED_OUT if a file system inside does not answer within ten seconds; CTR_ERR_DESTROYED.
 */
int ctr_open(ctr_container *c, const char *path, int flags, uint32_t mode, const char *user);

/**
 * What stat(2) tells of a file of a container. Owners are as they are inside. FIFOs, devices and the kernel's files are looked at as
 * well.
 *
 * path     as for ctr_open()
 * follow   whether a symbolic link at the path is followed; otherwise it is told of itself, as by lstat(2)
 * out      gets it: struct stat of <sys/stat.h>
 *
 * Return value: 0; else as ctr_open(), and *out is zeroes.
 */
int ctr_stat_file(ctr_container *c, const char *path, bool follow, struct stat *out);

/**
 * The names in a directory of a container, without "." and "..", in no order.
 *
 * path   as for ctr_open()
 *
 * Return value: 0 and the list in *out, which ctr_names_free() frees; CTR_ERR_SYSTEM with ENOTDIR for what is no directory, with
 * EOVERFLOW if the names take more than 64 MiB; else as ctr_open(). *out is NULL then.
 */
int ctr_list_dir(ctr_container *c, const char *path, ctr_names **out);

/**
 * How many names are in a list; the others take an index from 0 to one less.
 *
 * Return value: the number, or CTR_ERR_INVALID.
 */
int ctr_names_count(const ctr_names *names);

/**
 * A name: bytes, which programs inside have chosen.
 *
 * Return value: a string that is good until ctr_names_free(); NULL when there is no such index.
 */
const char *ctr_names_get(const ctr_names *names, int index);

/** Frees a list of names. NULL is allowed. */
void ctr_names_free(ctr_names *names);

/**
 * Copies a file or directory tree of the host into a container that runs, as docker cp. No program is started inside.
 *
 * c         a container that this process made or joined; not by ctr_join_pid()
 * source    a path on the host; a symbolic link is copied as a link
 * target    a path inside, as for ctr_open(). Into a directory that is there, source goes under its own name, or what is in it does
 *           if source ends in "/."; if nothing is there, it is made under the name of target, in a directory that is there
 * archive   whether owners are kept; otherwise files belong to root inside
 *
 * Modes and times, symbolic and hard links, holes, FIFOs, and attributes of users are kept; sockets are left out, a device
 * is an error. A file that is in the way is replaced, a link there is not followed, a directory is filled. Programs inside can't have it go
 * elsewhere, whatever they swap meanwhile. It does not wait for the container, and works in a paused one.
 *
 * Return value: 0; CTR_ERR_SYSTEM with ENOENT for what is not there, with ENOTDIR for a directory onto a file, with EISDIR for a file
 * onto a directory, with ENOSPC, or any other of openat2(2) and write(2): what was copied before is there then, and no half of a file;
 * CTR_ERR_UNSUPPORTED for a device; CTR_ERR_INVALID, also if the container's mount namespace is not its own; CTR_ERR_DESTROYED.
 */
int ctr_copy_in(ctr_container *c, const char *source, const char *target, bool archive);

/**
 * Copies a file or directory tree of a container to the host: ctr_copy_in() the other way round.
 *
 * source    a path inside; what is mounted there is a part of it, but for the kernel's own file systems, as /proc
 * target    a path on the host. A file there is replaced; a link in the place of a file or below target is not followed
 * archive   whether files keep their owners, with the ids that they have inside, and their set-user-ID bits, which takes root;
 *           otherwise they are the caller's, and none is set-user-ID
 *
 * How much it is and what the names are, programs inside have chosen; no name leads out of target.
 *
 * Return value: as ctr_copy_in(); CTR_ERR_UNSUPPORTED also for a path on the kernel's own file systems.
 */
int ctr_copy_out(ctr_container *c, const char *source, const char *target, bool archive);

/**
 * As ctr_copy_in(), from a tar archive (not compressed) that is read from a descriptor, into a directory that is there.
 *
 * fd   stays the caller's
 *
 * Return value: as ctr_copy_in(); CTR_ERR_BAD_IMAGE for what is no archive, or is cut off.
 */
int ctr_copy_in_tar(ctr_container *c, int fd, const char *target, bool archive);

/**
 * Writes a file or directory tree of a container as a tar archive to a descriptor, with owners as they are inside.
 *
 * fd   stays the caller's
 *
 * Return value: as ctr_copy_out().
 */
int ctr_copy_out_tar(ctr_container *c, const char *source, int fd);

/**
 * What a container uses at this moment, as its cgroup counts it; of a joined container too, and while it is paused. It asks
 * the kernel only, and takes 60 to 100 microseconds, half of that from the second call on: the handle then keeps some ten
 * files of the cgroup open, as far as all handles of the process have no more than 128 of them.
 *
 * values   gets the numbers, each at its index of enum ctr_stat. One that is not counted on this machine, or for a
 *          container without the limit that it belongs to, is CTR_NOT_COUNTED, never 0. Times and sums only grow
 * count    how many values has room for. Those that this release doesn't know are CTR_NOT_COUNTED, and those that the
 *          caller has no room for are left out, so that a program and a library of different releases fit. What has
 *          room for CTR_STAT_OOM_KILLS, say, is uint64_t now[CTR_STAT_OOM_KILLS + 1]
 *
 * Return value: how many numbers this release knows, however many values has room for; CTR_ERR_UNSUPPORTED when the
 * container has no cgroup, and for ctr_join_pid(); CTR_ERR_DESTROYED; CTR_ERR_INVALID, also when count is negative. On
 * failure all values are CTR_NOT_COUNTED.
 */
int ctr_stats(ctr_container *c, uint64_t *values, int count);

/**
 * A new configuration for ctr_exec(). The defaults: the user and working directory that the image names, else 0:0
 * and /; the container's environment; the caller's stdin, stdout and stderr; a session of its own; no time limit.
 * ctr_exec() checks the configuration; the setters don't. One configuration may be used any number of times, and
 * changed or freed as soon as ctr_exec() has returned.
 *
 * Return value: the configuration, which ctr_exec_config_free() frees; NULL when there is no memory.
 */
ctr_exec_config *ctr_exec_config_new(void);

/** Frees a configuration. NULL is allowed. Processes started with it are not affected. */
void ctr_exec_config_free(ctr_exec_config *config);

/**
 * The program's file, where it is another than the first word of argv says: a path inside, or a name that is searched for
 * in PATH.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_exec_config_set_program(ctr_exec_config *config, const char *program);

/**
 * Adds an environment variable, environ(7), over the container's. The same name again replaces the value.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_exec_config_add_env(ctr_exec_config *config, const char *name, const char *value);

/**
 * Starts from an empty environment instead of the container's. Default: false.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_exec_config_set_clear_env(ctr_exec_config *config, bool clear);

/**
 * The working directory, an absolute path inside. Default: the image's, else /.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_exec_config_set_cwd(ctr_exec_config *config, const char *cwd);

/**
 * The user: "name", "uid", "name:group" or "uid:gid". Names and supplementary groups come from the image's own
 * /etc/passwd and /etc/group, passwd(5). Default: the image's, else "0:0".
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_exec_config_set_user(ctr_exec_config *config, const char *user);

/**
 * Adds a supplementary group, by name or number. The first one takes the place of all that the image's /etc/group gives
 * the user.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_exec_config_add_group(ctr_exec_config *config, const char *group);

/**
 * The permission bits that files are made without, umask(2). Default: 022.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_exec_config_set_umask(ctr_exec_config *config, uint32_t mask);

/**
 * Where a standard stream leads.
 *
 * stream   0, 1 or 2: stdin, stdout, stderr
 * how      one of enum ctr_stdio
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_exec_config_set_stdio(ctr_exec_config *config, int stream, int how);

/**
 * Leads a standard stream to a descriptor of the caller, which is duplicated by each ctr_exec() and stays the caller's.
 *
 * stream   0, 1 or 2: stdin, stdout, stderr
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_exec_config_set_stdio_fd(ctr_exec_config *config, int stream, int fd);

/**
 * Gives the program one more descriptor, at most 12: the caller's fd appears inside under the number inside, 3 to 1023. It
 * is duplicated by each ctr_exec() and stays the caller's. No other descriptor of the caller is ever visible inside.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_exec_config_add_fd(ctr_exec_config *config, int fd, int inside);

/**
 * Gives the program a terminal of its own, pty(7), as stdin, stdout, stderr and controlling terminal;
 * ctr_process_pty() is the caller's end and ctr_process_resize() changes its size. Don't set the standard streams
 * then. TERM is the caller's, unless it is set. Where the container has no /dev of its own (ctr_join_pid(), a mount
 * namespace that is not new) the terminal is one of the caller's /dev/pts.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_exec_config_set_pty(ctr_exec_config *config, uint16_t rows, uint16_t cols);

/**
 * The session of the program: one of enum ctr_session. Default: CTR_SESSION_NEW.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_exec_config_set_session(ctr_exec_config *config, int session);

/**
 * Puts the program into an existing process group of the container, setpgid(2).
 *
 * pgid   its number inside, as ctr_process_pid() gives it
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_exec_config_set_process_group(ctr_exec_config *config, int32_t pgid);

/**
 * Kills the program (SIGKILL) when it has run for so many milliseconds, and with it all that it has started: children in
 * whatever group or session, daemons, those that are stopped or ignore signals. Its ctr_exit then has CTR_REASON_TIMED_OUT. The
 * container and its other programs live on. Where the program ends in time, what it has left behind runs until the
 * limit, and is killed then. A negative number is no limit. Default: none.
 *
 * The container's PID 1 keeps the limit, whoever waits; where it can't, ctr_process_wait() kills the program itself a second
 * later. What was started is known by a mark in two resource limits that have no effect (RLIMIT_LOCKS, RLIMIT_RTTIME), which
 * children inherit and can't raise. Where the caller, or the container's configuration, has set one of these already, as in a
 * container inside a program with a limit, only the program and its process group are killed (there, by the outer limit, all).
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_exec_config_set_time_limit(ctr_exec_config *config, int64_t ms);

/**
 * Kills the program (SIGKILL), and with it all that it has started, when they have used so many milliseconds of CPU time together,
 * in user mode and in the kernel: all of their threads, children in whatever group or session, daemons, and the dead among them. Its
 * ctr_exit then has CTR_REASON_OUT_OF_CPU_TIME. The container and its other programs live on. Where the program ends before that,
 * what it has left behind has the rest of the budget. A negative number is no limit. Default: none. RLIMIT_CPU of getrlimit(2) is the
 * limit of each process alone.
 *
 * The container's PID 1 keeps the budget. It looks when the budget may be used up at the earliest, and each 10 ms near the end, less
 * often where that would take a fifth of its time: so much more can be used, by each processor. The CPU time of children whose
 * parent ignores SIGCHLD, or has SA_NOCLDWAIT set (sigaction(2)), is learnt from the container's cgroup once they are dead; it is not
 * counted where there is none that counts, or while other programs of the container run too. A time limit beside it holds for these
 * as well. What was started is known as with ctr_exec_config_set_time_limit(); where it can't be, and in a PID namespace that was
 * joined by ctr_join_pid(), ctr_exec() fails with CTR_ERR_UNSUPPORTED.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_exec_config_set_cpu_time_limit(ctr_exec_config *config, int64_t ms);

/**
 * How long the start of the program may take, in milliseconds: if the program has not run execve(2) by then,
 * ctr_exec() returns CTR_ERR_TIMED_OUT and the program is not started. A start takes a millisecond or so, but
 * programs inside can hold it up: by stopping every process, by a lease on the file, by a file system that does not
 * answer. A negative number, or more than 10 seconds, means 10 seconds, which is the default. A time limit bounds it
 * too.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_exec_config_set_start_timeout(ctr_exec_config *config, int64_t ms);

/**
 * Waits until a process has ended. Any number of threads may wait, and once it has ended every call returns the
 * same. No waitpid(2) of the caller takes the result away.
 *
 * timeout_ms   the longest wait in milliseconds; 0 only looks, a negative number waits until the process ends
 * out          gets how it ended; may be NULL
 *
 * It returns when the process ends, whatever the container does. If the container's PID 1 is kept from reporting the
 * end, it returns about three seconds later with what the kernel reports. If a process that was killed through this
 * handle has not died after 30 seconds, it is stuck in the kernel, for example in a file system that does not
 * answer: the call fails with CTR_ERR_TIMED_OUT, even without a time-out.
 *
 * End of file on a pipe from the program does not mean that the program has ended, nor the other way round:
 * processes that it started may hold the pipe and run on after it. A time limit, ctr_process_kill_group() and
 * ctr_kill_all() end those too.
 *
 * A program whose output goes to a pipe (CTR_STDIO_PIPE) or to a terminal of its own stands still when that is full,
 * pipe(7), usually at 64 KiB: it never ends if nobody reads, and neither does a wait without a time-out. Read until
 * end of file before you wait, or in another thread, or have an event loop read; or lead the output to a file by
 * ctr_exec_config_set_stdio_fd(), or to CTR_STDIO_NULL.
 *
 * Return value: 0 when it has ended; CTR_ERR_TIMED_OUT when it still runs; CTR_ERR_INVALID, CTR_ERR_SYSTEM.
 */
int ctr_process_wait(ctr_process *p, int timeout_ms, ctr_exit *out);

/**
 * Sends a signal to a process, kill(2); 0 sends nothing and only checks. It can't hit another process that got the same
 * pid. One that has ended already is no error.
 *
 * Return value: 0; CTR_ERR_INVALID for what is no signal; CTR_ERR_SYSTEM.
 */
int ctr_process_kill(ctr_process *p, int signal);

/**
 * Sends a signal to every process of the process's group, killpg(3), also when the process itself has ended.
 *
 * Return value: as ctr_process_kill().
 */
int ctr_process_kill_group(ctr_process *p, int signal);

/**
 * Its pid inside the container.
 *
 * Return value: the pid, or CTR_ERR_INVALID.
 */
int32_t ctr_process_pid(const ctr_process *p);

/**
 * Its pid on the host, the same as long as the handle lives. By the time you use it, it may be another process's: prefer
 * ctr_process_pidfd().
 *
 * Return value: the pid; CTR_ERR_INVALID; CTR_ERR_NOT_FOUND when the process is gone and its pid was never known, as in a
 * container that shares the PID namespace of a container of another user.
 */
int32_t ctr_process_host_pid(const ctr_process *p);

/**
 * Ends a process as `docker stop`: sends the stop signal of the container's image, SIGTERM where that is none, and SIGKILL
 * when it has not ended after grace_ms milliseconds.
 *
 * A program that writes more at its end than a pipe (CTR_STDIO_PIPE) or a terminal of its own takes, usually 64 KiB,
 * and that nobody reads from meanwhile, can't end, and is killed: read in another thread until end of file, as for
 * ctr_process_wait(). Or send the signal by ctr_process_kill(), read, and then call this, which sends it again.
 *
 * out   gets how it ended; may be NULL
 *
 * Return value: 0, also when it had ended before; CTR_ERR_INVALID when grace_ms is negative or the image's signal is
 * none; CTR_ERR_SYSTEM.
 */
int ctr_process_stop(ctr_process *p, int grace_ms, ctr_exit *out);

/**
 * A descriptor of the process, pidfd_open(2): poll(2) says POLLIN when it has ended, so an event loop can watch it.
 * ctr_process_wait() then says how.
 *
 * Return value: a descriptor that belongs to the handle (don't close it) and is good until ctr_process_free(), or
 * CTR_ERR_INVALID.
 */
int ctr_process_pidfd(const ctr_process *p);

/**
 * A descriptor that is readable, poll(2), once ctr_process_wait() will not block. It comes a moment after that of
 * ctr_process_pidfd(), with the exit status on its way; watch this one if your loop must never wait.
 *
 * Return value: as ctr_process_pidfd().
 */
int ctr_process_wait_fd(const ctr_process *p);

/**
 * Takes the caller's end of the pipe to the process's standard input, where CTR_STDIO_PIPE asked for one. It is
 * close-on-exec, and the caller's to close(2). Writing to it when the process has closed its side raises SIGPIPE, as with any
 * pipe: pipe(7).
 *
 * Return value: the descriptor; CTR_ERR_INVALID when there is none or it was taken before.
 */
int ctr_process_stdin(ctr_process *p);

/**
 * Takes the caller's end of the pipe from the process's standard output; see ctr_process_stdin(). It reads end of
 * file once every process inside has closed the other end, which may be before or after this process ends.
 *
 * Return value: as ctr_process_stdin().
 */
int ctr_process_stdout(ctr_process *p);

/**
 * Takes the caller's end of the pipe from the process's standard error; see ctr_process_stdin().
 *
 * Return value: as ctr_process_stdin().
 */
int ctr_process_stderr(ctr_process *p);

/**
 * The master side of the process's terminal, pty(7), where ctr_exec_config_set_pty() asked for one. read(2) fails with
 * EIO when the last process inside has closed its side.
 *
 * Return value: a descriptor that belongs to the handle (don't close it) and is good until ctr_process_free();
 * CTR_ERR_INVALID when there is none.
 */
int ctr_process_pty(const ctr_process *p);

/**
 * Sets the size of the process's terminal, ioctl_tty(2), which sends it SIGWINCH.
 *
 * Return value: 0; CTR_ERR_INVALID when it has no terminal; CTR_ERR_SYSTEM.
 */
int ctr_process_resize(ctr_process *p, uint16_t rows, uint16_t cols);

/** Frees the handle and the descriptors that belong to it. The process itself runs on. NULL is allowed. */
void ctr_process_free(ctr_process *p);

/**
 * Watches a container from now on: what happens to it comes as events of ctr_watch_next(), and ctr_watch_fd() is what an event
 * loop waits for. A container that was joined can be watched as well as one's own, by any number of watchers, each of
 * which is told of everything. There is no thread behind a watcher: it costs three to six descriptors, and a container that
 * nobody watches nothing at all.
 *
 * The kernel counts what happens, and a watcher compares the counts: nothing is lost, however late it is asked, and what has
 * happened several times since it was asked last comes as one event with its count. Events of several kinds that came between
 * two looks have no order, but that a process that is killed for memory is told of before its exit, and CTR_EVENT_END last.
 *
 * What tells of what, as far as it can be had here (ctr_watch_kinds()):
 *
 *   OOM_KILL      v2: oom_kill of memory.events. v1: oom_kill of memory.oom_control. The cgroup's count: of whichever process in
 *                 it, by its own limit or one above
 *   MEMORY_LIMIT  v2: max of memory.events. v1: memory.pressure_level, for about each 512 pages that the kernel has
 *                 looked through for some to take back, since the limit was met
 *   PIDS_LIMIT    max of pids.events
 *   PRESSURE      v2 alone, once ctr_watch_pressure() was called
 *   EXIT          of programs that were started by c after this call, and of those that were given to ctr_watch_process();
 *                 of what they start themselves, and of what other handles and processes start, the kernel tells nobody
 *   PAUSE, RESUME whether it stands still now; one that is resumed before the next look was not seen
 *   END           the container has ended; always told
 *
 * On v1 the kernel notifies nobody of PIDS_LIMIT, PAUSE and RESUME, nor of kills for lack of memory in the whole machine: they are
 * looked for once a second.
 *
 * kinds   those wanted, or'ed: enum ctr_event. Each has to be had here. 0 is all that can be
 * out     gets the watcher; release it with ctr_watch_free(). It may outlive c
 *
 * Return value: 0; CTR_ERR_UNSUPPORTED when one of kinds can't be told here, for a container without a cgroup for example,
 * which ctr_last_error() names; CTR_ERR_INVALID, CTR_ERR_DESTROYED, CTR_ERR_SYSTEM.
 */
int ctr_watch(ctr_container *c, int kinds, ctr_watcher **out);

/**
 * The kinds of events that a watcher tells of, or'ed: enum ctr_event.
 *
 * Return value: the kinds, or CTR_ERR_INVALID.
 */
int ctr_watch_kinds(const ctr_watcher *w);

/**
 * A descriptor for an event loop: poll(2) says POLLIN when something may have happened. Call ctr_watch_next() with a timeout_ms of
 * 0 then, until it returns CTR_ERR_TIMED_OUT; at times that is its first answer. On cgroup v1 it says POLLIN once a second. From
 * CTR_EVENT_END on it says so always.
 *
 * Return value: a descriptor that belongs to the watcher (don't close it, don't read from it) and is good until
 * ctr_watch_free(), or CTR_ERR_INVALID.
 */
int ctr_watch_fd(const ctr_watcher *w);

/**
 * The next event.
 *
 * timeout_ms   the longest wait in milliseconds; 0 only looks, a negative number waits until something happens
 * values       gets what there is to know of it, each at its index of enum ctr_event_value; CTR_NOT_COUNTED where that is
 *              nothing. NULL if count is 0
 * count        how many values has room for; a program and a library of different releases fit, as for ctr_stats()
 *
 * Return value: the kind of the event, of enum ctr_event, later releases may have others; CTR_ERR_TIMED_OUT when there is none in
 * time; CTR_ERR_DESTROYED after CTR_EVENT_END; CTR_ERR_INVALID; CTR_ERR_SYSTEM, also when something could not be watched,
 * for lack of memory or descriptors: what comes after it can be asked for again.
 */
int ctr_watch_next(ctr_watcher *w, int timeout_ms, uint64_t *values, int count);

/**
 * Tells also of the end of a program that was started before the watcher, or by another handle on the same container. One that is
 * watched already, or has ended, is no error: its end is told, once.
 *
 * Return value: 0; CTR_ERR_INVALID, also for a program of another container; CTR_ERR_SYSTEM.
 */
int ctr_watch_process(ctr_watcher *w, const ctr_process *p);

/**
 * Tells also of pressure: each window of time in which programs of the container waited for something long enough, as the kernel
 * finds it, "Monitoring for pressure thresholds" of Documentation/accounting/psi.rst. It comes within a quarter of the window;
 * ctr_watch_fd() says POLLIN that often from now on.
 *
 * what        what they wait for, enum ctr_pressure
 * full        0: some of them wait; 1: all at once
 * stall_ms    how long they waited in a window, all in all: the threshold
 * window_ms   the window, 500 to 10000; a multiple of 2000 if the caller has no CAP_SYS_RESOURCE
 *
 * Return value: a number from 0 on, by which the events are known (CTR_EVENT_VALUE_PRESSURE); CTR_ERR_UNSUPPORTED on cgroup v1, and
 * where the kernel was started with psi=0; CTR_ERR_SYSTEM with EACCES where the cgroup is another user's; CTR_ERR_INVALID,
 * CTR_ERR_DESTROYED.
 */
int ctr_watch_pressure(ctr_watcher *w, int what, int full, int stall_ms, int window_ms);

/** Ends a watcher. NULL is allowed. The container is not affected. */
void ctr_watch_free(ctr_watcher *w);

/**
 * The running containers of this user, oldest first, as they are now. It also removes what dead owners left. A host
 * need not call it for that: the first ctr_create() of a process, and some of the later ones, remove it too, at a
 * bounded cost.
 *
 * Return value: 0 and the list in *out, which ctr_list_free() frees; CTR_ERR_SYSTEM when the state directory can't be
 * read, CTR_ERR_INVALID. *out is NULL then.
 */
int ctr_list(ctr_container_list **out);

/**
 * As ctr_list(), for the containers that were made with ctr_config_set_state_dir().
 *
 * Return value: as ctr_list().
 */
int ctr_list_in(const char *state_dir, ctr_container_list **out);

/**
 * How many containers are in a list; the others take an index from 0 to one less.
 *
 * Return value: the number, or CTR_ERR_INVALID.
 */
int ctr_list_count(const ctr_container_list *list);

/**
 * The name of a container, as ctr_join() takes it.
 *
 * Return value: a string that is good until ctr_list_free(); NULL when there is no such index.
 */
const char *ctr_list_name(const ctr_container_list *list, int index);

/**
 * What a container was made from, as ctr_create() got it.
 *
 * Return value: as ctr_list_name().
 */
const char *ctr_list_image(const ctr_container_list *list, int index);

/**
 * The pid of a container's PID 1 on the host.
 *
 * Return value: the pid; CTR_ERR_INVALID when there is no such index.
 */
int32_t ctr_list_pid(const ctr_container_list *list, int index);

/**
 * The pid of the process that made a container.
 *
 * Return value: as ctr_list_pid().
 */
int32_t ctr_list_owner(const ctr_container_list *list, int index);

/**
 * When a container was made, in milliseconds since the Epoch, time(7).
 *
 * Return value: the time; CTR_ERR_INVALID when there is no such index.
 */
int64_t ctr_list_created(const ctr_container_list *list, int index);

/**
 * Whether a container outlives its owner.
 *
 * Return value: 1 or 0; CTR_ERR_INVALID when there is no such index.
 */
int ctr_list_detached(const ctr_container_list *list, int index);

/**
 * Whether a container is paused, ctr_pause().
 *
 * Return value: 1 or 0; CTR_ERR_INVALID when there is no such index.
 */
int ctr_list_paused(const ctr_container_list *list, int index);

/** Frees a list and its strings. NULL is allowed. The containers are not affected. */
void ctr_list_free(ctr_container_list *list);

/**
 * Every wall of a running container, whether it stands and why: user namespace, capabilities, seccomp and so on, as the
 * kernel shows them now, for a container of ctr_join() too. For ctr_join_pid() they are the walls around what is started
 * by that handle. ctr_explain() prints the same list for a container that is not made yet.
 *
 * Return value: 0 and the list in *out, which ctr_walls_free() frees; CTR_ERR_DESTROYED, CTR_ERR_TIMED_OUT when its PID 1
 * does not answer, CTR_ERR_INVALID. *out is NULL then.
 */
int ctr_walls_of(const ctr_container *c, ctr_walls **out);

/**
 * How many walls are in a list; the others take an index from 0 to one less.
 *
 * Return value: the number, or CTR_ERR_INVALID.
 */
int ctr_walls_count(const ctr_walls *walls);

/**
 * What a wall is, as "seccomp". Names don't change; later releases may add some.
 *
 * Return value: a string that is good until ctr_walls_free(); NULL when there is no such index.
 */
const char *ctr_walls_name(const ctr_walls *walls, int index);

/**
 * Whether a wall stands.
 *
 * Return value: one of enum ctr_wall_state; CTR_ERR_INVALID when there is no such index.
 */
int ctr_walls_state(const ctr_walls *walls, int index);

/**
 * How it stands, in a few words; may be "".
 *
 * Return value: as ctr_walls_name().
 */
const char *ctr_walls_says(const ctr_walls *walls, int index);

/**
 * Why it is so: the preset, what was asked for, what this machine lacks.
 *
 * Return value: as ctr_walls_name().
 */
const char *ctr_walls_why(const ctr_walls *walls, int index);

/** Frees a list of walls and its strings. NULL is allowed. */
void ctr_walls_free(ctr_walls *walls);

/**
 * Describes a running container as a JSON object: "name", "pid", "paused", "image", "image_digest", "created" (seconds since
 * the Epoch), "owner", "detached", "preset", "warning", "state_dir", "store_dir", "upper", "cgroups",
 * "cgroup_place", "warnings", "limits", "network", "namespaces", "uid_map", "capabilities", "mounts",
 * "given_mounts" (what ctr_mounts_of() lists), and "walls" with "name", "state" ("on", "partly", "off"), "says" and "why" of each. Later releases may add members.
 *
 * Return value: 0 and the text in *json, which ctr_string_free() frees; else as ctr_walls_of(), and *json is NULL.
 */
int ctr_inspect(const ctr_container *c, char **json);

/**
 * Checks what this machine allows this user and what it does not, and says what to do about it: namespaces, mounts,
 * ids, limits, filters, the system calls that containers are made with, where state and images are kept. Each check
 * does what a container would need, in a process that ends at once; nothing is left. `libctr doctor` prints the
 * same.
 *
 * Return value: 0 and the report in *out, which ctr_report_free() frees; CTR_ERR_INVALID. *out is NULL then.
 */
int ctr_probe(ctr_report **out);

/**
 * How many checks are in a report; the others take an index from 0 to one less.
 *
 * Return value: the number, or CTR_ERR_INVALID.
 */
int ctr_report_count(const ctr_report *report);

/**
 * What was checked, as "user namespaces". Names don't change; later releases may add some.
 *
 * Return value: a string that is good until ctr_report_free(); NULL when there is no such index.
 */
const char *ctr_report_name(const ctr_report *report, int index);

/**
 * Whether it is allowed.
 *
 * Return value: 1 or 0; CTR_ERR_INVALID when there is no such index.
 */
int ctr_report_ok(const ctr_report *report, int index);

/**
 * What was found; where it is not allowed, why, and what is lost.
 *
 * Return value: as ctr_report_name().
 */
const char *ctr_report_says(const ctr_report *report, int index);

/**
 * What to do about it; "" where there is nothing to do, or nothing known.
 *
 * Return value: as ctr_report_name().
 */
const char *ctr_report_hint(const ctr_report *report, int index);

/** Frees a report and its strings. NULL is allowed. */
void ctr_report_free(ctr_report *report);

/**
 * Imports an archive into the store: a tarball of a root file system, an archive of `docker save` or of an OCI image
 * layout, plain or compressed by gzip, zstd, xz, bzip2 or lz4, told by its content; or a directory that is an OCI image
 * layout. The second time, the same file is known without being read.
 *
 * path      the archive
 * options   counted are store_dir, name, reference, platform, strip, limit and progress; NULL for the defaults
 * out       gets the image; may be NULL
 *
 * Return value: 0, and the image in *out, which ctr_image_free() frees. On failure *out is NULL and nothing is left
 * in the store: CTR_ERR_NOT_FOUND if there is no such file; CTR_ERR_BAD_IMAGE if it is no archive, or is damaged,
 * unsafe or over a limit; CTR_ERR_SYSTEM if a step failed; CTR_ERR_INTERRUPTED if progress stopped it;
 * CTR_ERR_INVALID.
 */
int ctr_image_import(const char *path, const ctr_image_options *options, ctr_image **out);

/**
 * As ctr_image_import(), from an open file, a pipe or a socket: from where it is to its end. The descriptor stays the
 * caller's.
 *
 * Return value: as ctr_image_import(); CTR_ERR_SYSTEM with EBADF when fd is not open.
 */
int ctr_image_import_fd(int fd, const ctr_image_options *options, ctr_image **out);

/**
 * All images of the store, oldest first.
 *
 * options   counted is store_dir; NULL for the defaults
 *
 * Return value: 0 and the list in *out, which ctr_images_free() frees; CTR_ERR_SYSTEM, CTR_ERR_INVALID, and *out is NULL.
 */
int ctr_image_list(const ctr_image_options *options, ctr_images **out);

/**
 * The image of a name or a digest ("sha256:…").
 *
 * options   counted is store_dir; NULL for the defaults
 *
 * Return value: 0 and the image in *out, which ctr_image_free() frees; CTR_ERR_NOT_FOUND, CTR_ERR_SYSTEM,
 * CTR_ERR_INVALID, and *out is NULL.
 */
int ctr_image_inspect(const char *name, const ctr_image_options *options, ctr_image **out);

/**
 * Gives an image a further name, which is taken from the image that had it.
 *
 * image     a name or a digest of the image
 * name      the new name
 * options   counted is store_dir; NULL for the defaults
 *
 * Return value: 0; CTR_ERR_NOT_FOUND, CTR_ERR_SYSTEM; CTR_ERR_INVALID for what can't be a name.
 */
int ctr_image_tag(const char *image, const char *name, const ctr_image_options *options);

/**
 * Takes a name away, and with the last one the image; by its digest, the image with all its names.
 *
 * options   counted is store_dir; NULL for the defaults
 *
 * Return value: 0; CTR_ERR_NOT_FOUND; CTR_ERR_SYSTEM with EBUSY when a container uses the image; CTR_ERR_INVALID.
 */
int ctr_image_remove(const char *name, const ctr_image_options *options);

/**
 * Removes images without a name that no container uses, and layers without an image.
 *
 * options   counted is store_dir; NULL for the defaults
 * images    gets how many images were removed; may be NULL
 * bytes     gets the disk space that is free again; may be NULL
 *
 * Return value: 0; CTR_ERR_SYSTEM, CTR_ERR_INVALID.
 */
int ctr_image_prune(const ctr_image_options *options, uint64_t *images, uint64_t *bytes);

/**
 * The disk space that the layers of all images take, in bytes.
 *
 * options   counted is store_dir; NULL for the defaults
 *
 * Return value: 0 and the number in *bytes; CTR_ERR_SYSTEM, CTR_ERR_INVALID.
 */
int ctr_image_disk_use(const ctr_image_options *options, uint64_t *bytes);

/**
 * Writes an image as an archive that docker, podman, skopeo and umoci take. The same image gives the same bytes.
 *
 * name      a name or a digest of the image
 * path      the file, which appears when it is whole; a fifo or a device is written to
 * options   counted are store_dir, name, compression, format, epoch and progress; NULL for the defaults
 *
 * Return value: 0; CTR_ERR_NOT_FOUND; CTR_ERR_SYSTEM if a step failed; CTR_ERR_INTERRUPTED if progress stopped it,
 * and there is no file then; CTR_ERR_INVALID.
 */
int ctr_image_save(const char *name, const char *path, const ctr_image_options *options);

/**
 * As ctr_image_save(), to an open file, a pipe or a socket. The descriptor stays the caller's, and a pipe without a
 * reader is an error (EPIPE) and raises no SIGPIPE.
 *
 * Return value: as ctr_image_save(); CTR_ERR_SYSTEM with EBADF when fd is not open.
 */
int ctr_image_save_fd(const char *name, int fd, const ctr_image_options *options);

/**
 * Makes an image of files of the host, on another image or on nothing, without a Dockerfile. Links of the base on the
 * way are followed, its directories stay as they are, later files replace earlier ones. The same files, base and options
 * give the same image.
 *
 * base      an image as ctr_create() takes it, but neither "host" nor a directory; NULL for none
 * options   counted are store_dir, add_file, name, config, epoch, keep_owners, limit and progress
 * out       gets the image; may be NULL
 *
 * Return value: 0, and the image in *out, which ctr_image_free() frees. On failure *out is NULL and nothing is left
 * in the store: CTR_ERR_NOT_FOUND if there is no such base; CTR_ERR_BAD_IMAGE if no layer can hold one of the files;
 * CTR_ERR_SYSTEM if a step failed, with ENOENT when a file is missing; CTR_ERR_INTERRUPTED if progress stopped it;
 * CTR_ERR_INVALID.
 */
int ctr_image_build(const char *base, const ctr_image_options *options, ctr_image **out);

/**
 * Makes a volume: a directory of the store that outlives containers. ctr_config_add_volume() and ctr_mount_volume() make one that is
 * missing, so this is for who wants its directory, ctr_volumes_path(), before. One that is there already is no error.
 *
 * name      at most 64 of a-z A-Z 0-9 _ . -, not starting with a dot or a dash
 * options   counted is store_dir; NULL for the defaults
 * out       gets a list of this one volume, which ctr_volumes_free() frees; may be NULL
 *
 * Return value: 0; CTR_ERR_INVALID for what can't be a name; CTR_ERR_SYSTEM. *out is NULL then.
 */
int ctr_volume_create(const char *name, const ctr_image_options *options, ctr_volumes **out);

/**
 * All volumes of the store, by name.
 *
 * options   counted is store_dir; NULL for the defaults
 *
 * Return value: 0 and the list in *out, which ctr_volumes_free() frees; CTR_ERR_SYSTEM, CTR_ERR_INVALID, and *out is NULL.
 */
int ctr_volume_list(const ctr_image_options *options, ctr_volumes **out);

/**
 * The disk space that a volume's files take, in bytes. All of them are looked at, so it takes as long as du(1).
 *
 * options   counted is store_dir; NULL for the defaults
 *
 * Return value: 0 and the number in *bytes; CTR_ERR_NOT_FOUND, CTR_ERR_SYSTEM, CTR_ERR_INVALID.
 */
int ctr_volume_size(const char *name, const ctr_image_options *options, uint64_t *bytes);

/**
 * Removes a volume and all its files.
 *
 * options   counted is store_dir; NULL for the defaults
 *
 * Return value: 0; CTR_ERR_NOT_FOUND; CTR_ERR_SYSTEM with EBUSY if a container uses it, which ctr_last_error() names; CTR_ERR_INVALID.
 */
int ctr_volume_remove(const char *name, const ctr_image_options *options);

/**
 * Removes all volumes that no container uses, with their files: nothing can make these again.
 *
 * options   counted is store_dir; NULL for the defaults
 * count     gets how many were removed; may be NULL
 *
 * Return value: 0; CTR_ERR_SYSTEM, CTR_ERR_INVALID.
 */
int ctr_volume_prune(const ctr_image_options *options, uint64_t *count);

/**
 * How many volumes are in a list.
 *
 * Return value: the number, or CTR_ERR_INVALID.
 */
int ctr_volumes_count(const ctr_volumes *volumes);

/**
 * The name of a volume of a list.
 *
 * index   from 0 to ctr_volumes_count() less one
 *
 * Return value: a string that is good until ctr_volumes_free(); NULL when there is no such index.
 */
const char *ctr_volumes_name(const ctr_volumes *volumes, int index);

/**
 * The directory that has a volume's files, on the host. Who owns them depends on who runs containers: README and docs/images.md,
 * "Whose files they are".
 *
 * Return value: as ctr_volumes_name().
 */
const char *ctr_volumes_path(const ctr_volumes *volumes, int index);

/** Frees a list and its strings. NULL is allowed. The volumes are not affected. */
void ctr_volumes_free(ctr_volumes *volumes);

/**
 * New options with the defaults. The comment of each function that takes options names the setters that it uses; it
 * ignores the others. The same options may be used any number of times.
 *
 * Return value: the options, which ctr_image_options_free() frees; NULL when there is no memory.
 */
ctr_image_options *ctr_image_options_new(void);

/** Frees options. NULL is allowed. A call that is under way with them is not affected. */
void ctr_image_options_free(ctr_image_options *options);

/**
 * The store: the directory in which unpacked images are kept. Every function on images uses it. Default:
 * $CTR_STORE_DIR, else /var/lib/ctr for root and $XDG_DATA_HOME/ctr for others.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_image_options_set_store_dir(ctr_image_options *options, const char *path);

/**
 * A name for the new image, of letters, digits and . _ - / : @; it is taken from the image that had it. For
 * ctr_image_save(), the name that other tools find the image by. Default: none; for ctr_image_save(), the image's first.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_image_options_set_name(ctr_image_options *options, const char *name);

/**
 * Which one of several images in an archive is imported: the end of its name ("alpine:3.20"), or its digest. Default:
 * the only one.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_image_options_set_reference(ctr_image_options *options, const char *reference);

/**
 * Which one of several images of the same name is imported, as docker's --platform: "linux/arm64", "linux/arm/v7", "arm64". It
 * is looked at when something is imported. Default: this machine's.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_image_options_set_platform(ctr_image_options *options, const char *platform);

/**
 * How many leading components every name of an imported archive loses, as --strip-components of tar(1): 1 for an
 * archive whose content is wrapped in one directory. Default: 0.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_image_options_set_strip(ctr_image_options *options, int components);

/**
 * Sets a bound for imports: an archive that exceeds it is refused, and the error names the bound.
 *
 * limit   one of enum ctr_image_limit
 * most    the bound
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_image_options_set_limit(ctr_image_options *options, int limit, uint64_t most);

/**
 * How an archive that is written is compressed: one of enum ctr_compression. ctr_image_save() compresses the layers.
 * An import finds out by itself. Default: CTR_COMPRESSION_NONE.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_image_options_set_compression(ctr_image_options *options, int compression);

/**
 * Which tools ctr_image_save() writes for: one of enum ctr_save_format. Default: CTR_SAVE_OCI.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_image_options_set_format(ctr_image_options *options, int format);

/**
 * The latest time that any file in an archive or a new image has, and when the image says it was made, in seconds since
 * the Epoch: with it, the same input gives the same bytes. Default: the variable SOURCE_DATE_EPOCH; where it is not set,
 * times are as they are.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_image_options_set_epoch(ctr_image_options *options, int64_t seconds);

/**
 * How the image that ctr_commit() or ctr_image_build() makes is run. It is copied: later changes to config have no
 * effect. Default: as the image that it is made from.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_image_options_set_config(ctr_image_options *options, const ctr_image_config *config);

/**
 * Lets files that ctr_image_build() packs keep their owners. Default: false, all of them are root's.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_image_options_set_keep_owners(ctr_image_options *options, bool keep);

/**
 * Adds a file or directory that ctr_image_build() packs, as COPY of a Dockerfile does.
 *
 * from   a path of the host; of a directory what is in it, not itself
 * to     an absolute path inside. A file goes there under this name, or, where it ends in a slash or is a directory by
 *        then, into it under its own
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_image_options_add_file(ctr_image_options *options, const char *from, const char *to);

/**
 * A function that is told how far a long call is, about ten times a second and once at its end, on the thread that
 * made the call; see ctr_progress. It gets data as its first argument. Default: NULL, none.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_image_options_set_progress(ctr_image_options *options, ctr_progress progress, void *data);

/** Frees the handle of an image. NULL is allowed. The image itself stays in the store. */
void ctr_image_free(ctr_image *image);

/**
 * How many texts of a kind an image has.
 *
 * kind   one of enum ctr_image_text_kind
 *
 * Return value: the number, or CTR_ERR_INVALID.
 */
int ctr_image_count(const ctr_image *image, int kind);

/**
 * A text of an image: its digest, its names, what it says about how it is run.
 *
 * kind    one of enum ctr_image_text_kind
 * index   from 0 to ctr_image_count() less one; 0 where there is only one
 *
 * Return value: a string that is good until ctr_image_free(); NULL when there is no such text.
 */
const char *ctr_image_text(const ctr_image *image, int kind, int index);

/**
 * The bytes of an image's files, layer by layer, holes included.
 *
 * Return value: 0 and the number in *bytes, or CTR_ERR_INVALID.
 */
int ctr_image_size(const ctr_image *image, uint64_t *bytes);

/**
 * When an image came into the store, in milliseconds since the Epoch, time(7).
 *
 * Return value: the time, or CTR_ERR_INVALID.
 */
int64_t ctr_image_created(const ctr_image *image);

/**
 * All about an image as a JSON object: digest, names, size, created (RFC 3339), architecture, layers (paths of trees in
 * the store, lowest first), config (as ctr_image_config_json()).
 *
 * Return value: 0 and the text in *json, which ctr_string_free() frees; CTR_ERR_INVALID, and *json is NULL.
 */
int ctr_image_json(const ctr_image *image, char **json);

/**
 * How many images are in a list.
 *
 * Return value: the number, or CTR_ERR_INVALID.
 */
int ctr_images_count(const ctr_images *images);

/**
 * An image of a list.
 *
 * index   from 0 to ctr_images_count() less one
 *
 * Return value: 0 and the image in *out, which ctr_image_free() frees and which outlives the list; CTR_ERR_INVALID when
 * there is no such index, and *out is NULL.
 */
int ctr_images_get(const ctr_images *images, int index, ctr_image **out);

/** Frees a list. NULL is allowed. The images stay in the store. */
void ctr_images_free(ctr_images *images);

/**
 * A new, empty configuration of an image.
 *
 * Return value: the configuration, which ctr_image_config_free() frees; NULL when there is no memory.
 */
ctr_image_config *ctr_image_config_new(void);

/**
 * A copy of an image's configuration, to be changed and given to another image.
 *
 * Return value: the configuration, which ctr_image_config_free() frees; NULL for an invalid handle.
 */
ctr_image_config *ctr_image_config_of(const ctr_image *image);

/**
 * A copy of the configuration of the image that a container was made from; it is empty if the container was made
 * from a plain tarball, a directory or "host".
 *
 * Return value: as ctr_image_config_of().
 */
ctr_image_config *ctr_image_config_of_container(const ctr_container *c);

/** Frees a configuration. NULL is allowed. */
void ctr_image_config_free(ctr_image_config *config);

/**
 * Adds an environment variable for every program. The same name again replaces the value.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_image_config_add_env(ctr_image_config *config, const char *name, const char *value);

/**
 * What is always run: arguments of ctr_exec_image() follow it. argv ends in NULL; an empty one is none.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_image_config_set_entrypoint(ctr_image_config *config, const char *const *argv);

/**
 * The arguments, or the program itself, where the user gives none. argv ends in NULL; an empty one is none.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_image_config_set_cmd(ctr_image_config *config, const char *const *argv);

/**
 * Where programs start: an absolute path inside, made where it is missing; "" for none.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_image_config_set_working_dir(ctr_image_config *config, const char *path);

/**
 * Who programs run as, as ctr_exec_config_set_user() takes it; "" for root.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_image_config_set_user(ctr_image_config *config, const char *user);

/**
 * The signal that ctr_process_stop() sends, as "SIGQUIT" or "3"; "" for SIGTERM.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_image_config_set_stop_signal(ctr_image_config *config, const char *signal);

/**
 * Adds a volume: an absolute path inside for data, which is there and writable in every container, also where the root is
 * read-only, and which ctr_diff() and ctr_commit() leave out.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_image_config_add_volume(ctr_image_config *config, const char *path);

/**
 * Adds a label, which is free-form. The same key again replaces the value.
 *
 * Return value: 0, or CTR_ERR_INVALID.
 */
int ctr_image_config_add_label(ctr_image_config *config, const char *key, const char *value);

/**
 * A configuration as JSON, the property "config" of the OCI image specification's config.md: Env, Entrypoint, Cmd,
 * WorkingDir, User, StopSignal, Volumes, Labels, each where there is one.
 *
 * Return value: 0 and the text in *json, which ctr_string_free() frees; CTR_ERR_INVALID, and *json is NULL.
 */
int ctr_image_config_json(const ctr_image_config *config, char **json);

/**
 * Writes the root of a running container as a tarball, as `docker export`: all its files, with owners as they are
 * inside, without what is mounted (/proc, /dev, /sys, binds, tmpfs; of "host" that is nearly everything). The
 * container runs on; what it changes meanwhile may or may not be in the archive. Where its root is a directory on a FUSE
 * or a network file system that does not answer, or that of a joined pid is, there is no bound on how long the call
 * takes, and progress is not called meanwhile; so it is with ctr_diff() and ctr_commit().
 *
 * path      the file, which appears when it is whole; a fifo or a device is written to
 * options   counted are compression, epoch and progress; NULL for the defaults
 *
 * Return value: 0; CTR_ERR_SYSTEM if a step failed; CTR_ERR_INTERRUPTED if progress stopped it, and there is no file
 * then; CTR_ERR_DESTROYED, CTR_ERR_INVALID.
 */
int ctr_export(ctr_container *c, const char *path, const ctr_image_options *options);

/**
 * As ctr_export(), to an open file, a pipe or a socket. The descriptor stays the caller's, and a pipe without a
 * reader is an error (EPIPE) and raises no SIGPIPE.
 *
 * Return value: as ctr_export(); CTR_ERR_SYSTEM with EBADF when fd is not open.
 */
int ctr_export_fd(ctr_container *c, int fd, const ctr_image_options *options);

/**
 * What a running container has changed of its image, by path, as `docker diff`. Volumes hold data and are left out.
 *
 * Return value: 0 and the differences in *out, which ctr_differences_free() frees; CTR_ERR_UNSUPPORTED where there is no
 * image below its root; CTR_ERR_SYSTEM, CTR_ERR_DESTROYED, CTR_ERR_INVALID. *out is NULL then.
 */
int ctr_diff(ctr_container *c, ctr_differences **out);

/**
 * How many differences there are; the others take an index from 0 to one less.
 *
 * Return value: the number, or CTR_ERR_INVALID.
 */
int ctr_differences_count(const ctr_differences *differences);

/**
 * The absolute path, inside, of what differs.
 *
 * Return value: a string that is good until ctr_differences_free(); NULL when there is no such index.
 */
const char *ctr_differences_path(const ctr_differences *differences, int index);

/**
 * What has happened to it.
 *
 * Return value: one of enum ctr_change; CTR_ERR_INVALID when there is no such index.
 */
int ctr_differences_change(const ctr_differences *differences, int index);

/** Frees differences and their strings. NULL is allowed. */
void ctr_differences_free(ctr_differences *differences);

/**
 * Makes a new image of a running container, as `docker commit`: the layers of its image, and one more with what
 * ctr_diff() lists, if that is anything. A container of a directory becomes an image of one layer. It runs on; what
 * it changes meanwhile may or may not be in the image. The image is in the store that the container was made with.
 *
 * options   counted are name, config, epoch and progress; NULL for the defaults
 * out       gets the image; may be NULL
 *
 * Return value: 0, and the image in *out, which ctr_image_free() frees. On failure *out is NULL and nothing is left
 * in the store: CTR_ERR_UNSUPPORTED for "host" and for what ctr_join_pid() joined; CTR_ERR_BAD_IMAGE if no layer can
 * hold one of the files; CTR_ERR_SYSTEM if a step failed; CTR_ERR_INTERRUPTED if progress stopped it;
 * CTR_ERR_DESTROYED, CTR_ERR_INVALID.
 */
int ctr_commit(ctr_container *c, const ctr_image_options *options, ctr_image **out);

/**
 * Makes a new image of a running container's changes as they lie there, without packing them, so in as long as it takes to copy them:
 * ctr_commit() for a new starting point rather than for other tools. Where the changes and the store are on one file system that can do so
 * (CTR_UPPER_DISK on btrfs or xfs), files share their blocks, ioctl_ficlone(2). All processes of the container stand still meanwhile, as by
 * ctr_pause(), where its cgroup allows that: then the image is what there was at one moment. Its layer is known in this store only;
 * ctr_image_save() gives it its digest.
 *
 * options   as for ctr_commit()
 * out       gets the image; may be NULL
 *
 * Return value: as ctr_commit(); CTR_ERR_UNSUPPORTED also for a container of a directory.
 */
int ctr_snapshot(ctr_container *c, const ctr_image_options *options, ctr_image **out);

/**
 * Mounts a directory of the host as copy-on-write into a container that runs: ctr_config_add_scratch() says what that is, ctr_mount()
 * at which places it works. Its changes are in a tmpfs(5) of their own, as large as those of the root may be
 * (ctr_config_set_upper_size(), half of the memory limit, or half of the machine's memory). ctr_unmount() takes it off, with its changes.
 *
 * Return value: as ctr_mount(); CTR_ERR_SYSTEM with ENOTDIR if source is no directory, with ENOSPC if there are 6 scratch mounts already;
 * CTR_ERR_UNSUPPORTED before Linux 6.6 if the container has no directory on disk for its changes (its root is no image and it was made
 * without a scratch mount).
 */
int ctr_mount_scratch(ctr_container *c, const char *source, const char *target);

/**
 * What a running container has changed beneath a scratch mount, by path inside: what is added to the host's directory, as that is
 * now, changed (content, owner, mode, a file's time, kind) or deleted from it.
 *
 * target   the place of the mount inside
 *
 * Return value: 0 and the differences in *out, which ctr_differences_free() frees; CTR_ERR_NOT_FOUND if no scratch mount is there;
 * CTR_ERR_SYSTEM with ESTALE if the host's directory is not found at its place any more; CTR_ERR_DESTROYED, CTR_ERR_INVALID. *out is NULL
 * then.
 */
int ctr_diff_scratch(ctr_container *c, const char *target, ctr_differences **out);

/**
 * Carries what ctr_diff_scratch() lists over to the host's directory, one file after another: each is made beside the old one and takes
 * its place by renameat2(2), so that it is whole at any moment. The container runs on; a file that a program writes to meanwhile may be
 * carried over in part, and the next call gets the rest. Links are made and never followed, on either side.
 *
 * Files belong to whom they would belong if the directory were bound. Set-user-ID and set-group-ID bits of files and their capabilities
 * are left out; devices and sockets are not made.
 *
 * A file is in conflict if the container has changed it, and if it was changed on the host after the mount was made or last applied:
 * by its time of change (st_ctime, stat(2)), of which one in the same tick of the clock, 10 ms at most, counts as before; or deleted. So
 * is a directory in which anything was changed, if the container has deleted or replaced it. Where the file system of the host can't
 * exchange names (RENAME_EXCHANGE), a change in the very moment of the replacement is not noticed.
 *
 * conflicts     one of enum ctr_conflicts
 * applied       gets what the host has now; may be NULL
 * conflicting   gets what has stayed as it was on both sides; may be NULL
 * left_out      gets devices and sockets; may be NULL
 *
 * Return value: 0, and what ctr_differences_free() frees each; CTR_ERR_SYSTEM with EEXIST if there are conflicts and conflicts is
 * CTR_CONFLICTS_REFUSE (ctr_last_error() names them, and nothing was applied, unless the host has changed something while this was going
 * on), else if a step failed: what was applied before is there; else as ctr_diff_scratch(). All are NULL then.
 */
int ctr_apply_scratch(ctr_container *c, const char *target, int conflicts, ctr_differences **applied, ctr_differences **conflicting, ctr_differences **left_out);

/**
 * Drops what a running container has changed beneath a scratch mount: a new mount of the host's directory takes its place. Programs
 * that have files or directories of the old one open, or work in it, keep these; for a moment there is an empty directory.
 *
 * Return value: 0; CTR_ERR_SYSTEM with EBUSY if something else is mounted on it; else as ctr_diff_scratch().
 */
int ctr_discard_scratch(ctr_container *c, const char *target);

/**
 * This thread's last failure, in one sentence: the step, what it failed on, why, and what to do about it, as in
 * "mount proc on /proc: EPERM, operation not permitted (...)". In UTF-8.
 *
 * The string belongs to ctr and is valid until the next call of a ctr function fails on this thread.
 *
 * Return value: never NULL; "" when nothing failed on this thread yet. A success does not clear it.
 */
const char *ctr_last_error(void);

/**
 * The errno(3) behind this thread's last failure. errno itself has the same value when the function that failed
 * returns; a function that succeeds leaves errno alone.
 *
 * Return value: a positive number of errno(3), or 0 when nothing failed on this thread yet.
 */
int ctr_last_errno(void);

/**
 * The step of this thread's last failure in words, as "find container". The words may become others from one release to
 * the next: compare ctr_last_step_id().
 *
 * Return value: as ctr_last_error().
 */
const char *ctr_last_step(void);

/**
 * The step of this thread's last failure by its stable name, as "find-container". docs/errors.md lists all of them. A name
 * stays what it is for good; new ones come with new releases.
 *
 * Return value: as ctr_last_error().
 */
const char *ctr_last_step_id(void);

/**
 * What this thread's last failure happened on: a path, a name, a pid.
 *
 * Return value: as ctr_last_error(); "" when there is nothing to name.
 */
const char *ctr_last_object(void);

/**
 * What can be done about this thread's last failure.
 *
 * Return value: as ctr_last_error(); "" when nothing is known.
 */
const char *ctr_last_hint(void);

/**
 * The name of a number of enum ctr_error, as "CTR_ERR_NOT_FOUND".
 *
 * Return value: a constant string, never NULL; "CTR_ERR_UNKNOWN" for other numbers.
 */
const char *ctr_error_name(int code);

/**
 * The release of the library that runs, as "0.1.0". CTR_VERSION is that of the header.
 *
 * Return value: a constant string, never NULL.
 */
const char *ctr_version(void);

#ifdef __cplusplus
} /* extern "C" */
#endif /* __cplusplus */

#endif  /* CTR_H */

#if defined(__clang__) && !defined(__cplusplus) && !defined(__STDC_VERSION__)
#pragma clang diagnostic pop
#endif
