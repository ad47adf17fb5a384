//! Our own two profiles: `default`, which lets through what docker's default lets through (moby/profiles,
//! seccomp/default.json of June 2026) less what no container needs, and `strict`, for programs of strangers.
//!
//! Where `default` is stricter than docker's:
//! - x32 calls are refused as a whole (`compile`);
//! - sockets of the families local, IPv4, IPv6 and netlink only, and packet for who has CAP_NET_RAW. Nearly every other
//!   family is a module that the kernel loads for whoever asks, seldom used and often the way in; of netlink only what programs
//!   without CAP_NET_ADMIN have a use for, so no nf_tables; of IPv4 and IPv6 only TCP, UDP and ICMP, since the others (SCTP,
//!   DCCP, SMC, L2TP, MPTCP, UDP-Lite) are such modules too. 32-bit programs make sockets by socketcall(2), whose arguments
//!   a filter can't see;
//! - no ioctl TIOCSTI, TIOCLINUX: both type into the terminal of whoever started the container (CVE-2017-5226); no TIOCSETD,
//!   which leaves that terminal unusable and has the kernel load modules;
//! - no limits for PID 1, prlimit(2): it has the ids of root inside; and where the PID namespace is shared, neither limits
//!   nor scheduling for any other process, since those of the caller's user are among them;
//! - not the calls of which nothing but the number is left (epoll_ctl_old, epoll_wait_old).

use std::borrow::Cow;

use super::document::{Action, Condition, Document, Group, Test, When};
use super::syscalls::Arch;
use crate::security::capabilities::known;

/// Files and directories by path.
const PATHS: &str = "open openat openat2 creat close close_range access faccessat faccessat2 stat stat64 lstat lstat64 \
    fstat fstat64 fstatat64 newfstatat statx readlink readlinkat getcwd chdir fchdir mkdir mkdirat rmdir link linkat \
    symlink symlinkat unlink unlinkat rename renameat renameat2 mknod mknodat chmod fchmod fchmodat fchmodat2 chown \
    chown32 fchown fchown32 lchown lchown32 fchownat umask utime utimes utimensat utimensat_time64 futimesat truncate \
    truncate64 getdents getdents64 statfs statfs64 name_to_handle_at";

/// Extended attributes.
const XATTRS: &str = "getxattr lgetxattr fgetxattr getxattrat setxattr lsetxattr fsetxattr setxattrat listxattr \
    llistxattr flistxattr listxattrat removexattr lremovexattr fremovexattr removexattrat";

/// What is done with an open file.
const FILES: &str = "read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 lseek _llseek ftruncate \
    ftruncate64 fallocate fadvise64 fadvise64_64 readahead sync syncfs fsync fdatasync sync_file_range fstatfs \
    fstatfs64 flock fcntl fcntl64 dup dup2 dup3 pipe pipe2 sendfile sendfile64 splice tee vmsplice copy_file_range \
    cachestat";

/// Waiting for files, and what can be waited for like a file.
const EVENTS: &str = "select _newselect pselect6 pselect6_time64 poll ppoll ppoll_time64 epoll_create epoll_create1 \
    epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2 signalfd signalfd4 timerfd_create timerfd_settime \
    timerfd_settime64 timerfd_gettime timerfd_gettime64 inotify_init inotify_init1 inotify_add_watch inotify_rm_watch \
    fanotify_mark";

/// Asynchronous input and output of old; io_uring is not here.
const AIO: &str = "io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents io_pgetevents_time64";

/// Memory.
const MEMORY: &str = "brk mmap mmap2 munmap mremap mprotect msync mincore madvise mlock mlock2 mlockall munlock \
    munlockall membarrier memfd_create memfd_secret mseal map_shadow_stack pkey_alloc pkey_free pkey_mprotect \
    remap_file_pages process_mrelease";

/// Processes and threads, except for making them.
const PROCESSES: &str = "fork vfork execve execveat exit exit_group wait4 waitid waitpid getpid getppid gettid getpgid \
    getpgrp setpgid getsid setsid pidfd_open pidfd_send_signal set_tid_address set_robust_list get_robust_list rseq \
    set_thread_area get_thread_area prctl seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self \
    getcpu uname sysinfo getrandom restart_syscall uretprobe riscv_hwprobe statmount listmount";

/// Who a process is and what it may use.
const IDENTITY: &str = "getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32 \
    getresgid getresgid32 getgroups getgroups32 setuid setuid32 setgid setgid32 setreuid setreuid32 setregid \
    setregid32 setresuid setresuid32 setresgid setresgid32 setfsuid setfsuid32 setfsgid setfsgid32 setgroups \
    setgroups32 capget capset getrlimit ugetrlimit setrlimit getrusage times";

/// Priorities and processors.
const SCHEDULING: &str = "sched_yield sched_getaffinity sched_getparam sched_getscheduler sched_getattr \
    sched_get_priority_max sched_get_priority_min sched_rr_get_interval sched_rr_get_interval_time64 getpriority ioprio_get";

/// The same of a process by its pid, the first argument.
const SCHEDULING_OF: &str = "sched_setaffinity sched_setparam sched_setscheduler sched_setattr";

/// Signals and locks.
const SIGNALS: &str = "kill tkill tgkill pause alarm sigaltstack sigprocmask sigreturn rt_sigaction rt_sigprocmask \
    rt_sigpending rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_sigqueueinfo rt_tgsigqueueinfo rt_sigreturn \
    futex futex_time64 futex_waitv futex_wait futex_wake futex_requeue";

/// Clocks and timers. Setting a clock needs CAP_SYS_TIME; adjtimex and its like only read without it.
const TIME: &str = "time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 clock_nanosleep \
    clock_nanosleep_time64 nanosleep getitimer setitimer timer_create timer_delete timer_getoverrun timer_gettime \
    timer_gettime64 timer_settime timer_settime64 adjtimex clock_adjtime clock_adjtime64";

/// Sockets, once they are there. socketcall is how 32-bit x86 reaches every socket call, and its arguments can't be seen.
const SOCKETS: &str = "socketpair bind listen accept accept4 connect getsockname getpeername getsockopt setsockopt \
    shutdown send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64 socketcall";

/// System V IPC and POSIX message queues, which belong to the IPC namespace.
const IPC: &str = "ipc shmget shmat shmctl shmdt semget semop semctl semtimedop semtimedop_time64 msgget msgsnd msgrcv \
    msgctl mq_open mq_unlink mq_timedsend mq_timedsend_time64 mq_timedreceive mq_timedreceive_time64 mq_notify \
    mq_getsetattr";

/// Reading and changing other processes, which yama and the user namespace confine; before 4.8 a tracer could slip its
/// tracee past the filter.
const TRACING: &str = "ptrace process_vm_readv process_vm_writev";

/// What CAP_SYS_ADMIN stands for, where a container has it.
const ADMIN: &str = "clone clone3 unshare setns mount umount umount2 mount_setattr move_mount open_tree fsopen fsconfig \
    fsmount fspick fanotify_init bpf perf_event_open lookup_dcookie lsm_get_self_attr lsm_set_self_attr \
    lsm_list_modules quotactl quotactl_fd sethostname setdomainname syslog";

/// Calls that go with a capability.
const PRIVILEGED: [(u64, &str); 14] = [
    (known(&["CAP_SYS_ADMIN"]), ADMIN),
    (known(&["CAP_DAC_READ_SEARCH"]), "open_by_handle_at"),
    (known(&["CAP_SYS_BOOT"]), "reboot"),
    (known(&["CAP_SYS_CHROOT"]), "chroot"),
    (known(&["CAP_SYS_MODULE"]), "init_module finit_module delete_module"),
    (known(&["CAP_SYS_PACCT"]), "acct"),
    (known(&["CAP_SYS_PTRACE"]), "kcmp pidfd_getfd process_madvise ptrace process_vm_readv process_vm_writev"),
    (known(&["CAP_SYS_RAWIO"]), "iopl ioperm"),
    (known(&["CAP_SYS_TIME"]), "settimeofday stime clock_settime clock_settime64"),
    (known(&["CAP_SYS_TTY_CONFIG"]), "vhangup"),
    (known(&["CAP_SYS_NICE"]), "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    (known(&["CAP_SYSLOG"]), "syslog"),
    (known(&["CAP_BPF"]), "bpf"),
    (known(&["CAP_PERFMON"]), "perf_event_open"),
];

/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
const CLONE_NEW: u64 = 0x7e02_0000;

const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;
const TIOCSETD: u64 = 0x5423;

/// Of sys/personality.h.
const ADDR_NO_RANDOMIZE: u32 = 0x4_0000;

/// The profile of every container that asks for no other; `shared` is its PID namespace.
pub(crate) fn default(shared: bool) -> Document {
    let lists =
        [PATHS, XATTRS, FILES, EVENTS, AIO, MEMORY, PROCESSES, IDENTITY, SCHEDULING, SIGNALS, TIME, SOCKETS, IPC];
    let mut groups: Vec<Group> = lists.into_iter().map(allow).collect();
    groups.push(Group { when: When { kernel: Some((4, 8)), ..When::default() }, ..allow(TRACING) });
    groups.extend(clones(known(&["CAP_SYS_ADMIN"])));
    groups.extend([sockets(), netlink(known(&["CAP_NET_ADMIN"])), raw_sockets(known(&["CAP_NET_RAW"]))]);
    groups.push(no_such_protocol());
    groups.push(terminal());
    groups.extend(others(shared));
    groups.push(personalities(&[
        0,
        0x8,
        0x2_0000,
        0x2_0008,
        // Debuggers start programs at the same addresses each time, which harms nobody but these.
        ADDR_NO_RANDOMIZE,
        ADDR_NO_RANDOMIZE | 0x8,
        0xffff_ffff,
    ]));
    groups.extend(machine());
    groups.extend(PRIVILEGED.iter().map(|(caps, calls)| Group { when: having(*caps), ..allow(calls) }));
    Document { default: Action::errno(libc::EPERM as u16), i386: true, flags: 0, groups }
}

/// The profile of the preset `strict`: one program, its threads and children, files and sockets. No tracing, no
/// namespaces, no mounts, no device nodes, no setuid files, no other personality, no 32-bit programs, whatever the
/// capabilities.
pub(crate) fn strict(shared: bool) -> Document {
    let lists = [PATHS, XATTRS, FILES, EVENTS, MEMORY, PROCESSES, IDENTITY, SCHEDULING, SIGNALS, TIME, SOCKETS, IPC];
    // sync waits for all disks of the machine; fsync and syncfs, for one's own, are there.
    const NOT: &str = "sync mknod mknodat name_to_handle_at vmsplice fanotify_mark memfd_secret remap_file_pages statmount \
        listmount adjtimex clock_adjtime clock_adjtime64 set_thread_area get_thread_area socketcall ipc open openat \
        openat2 creat chmod fchmod fchmodat fchmodat2";
    let mut groups: Vec<Group> = lists.into_iter().map(allow).collect();
    for group in &mut groups {
        group.names.retain(|name| !NOT.split_whitespace().any(|refused| refused == name));
    }
    groups.extend(plain_files());
    groups.extend(clones(0));
    groups.extend([sockets(), no_such_protocol()]);
    groups.push(terminal());
    groups.extend(others(shared));
    groups.push(personalities(&[0, 0xffff_ffff]));
    groups.push(allow("arch_prctl"));
    Document { default: Action::errno(libc::EPERM as u16), i386: false, flags: 0, groups }
}

/// Making processes and threads, but no namespaces for who lacks all of `unless`. clone3's flags lie in memory where a
/// filter can't look; ENOSYS makes every libc fall back to clone.
fn clones(unless: u64) -> [Group; 2] {
    let when = When { no_caps: unless, ..When::default() };
    let plain = vec![vec![Condition { argument: 0, test: Test::MaskedEq { mask: CLONE_NEW, value: 0 } }]];
    [
        Group { alternatives: plain, when: when.clone(), ..allow("clone") },
        Group { action: Action::errno(libc::ENOSYS as u16), when, ..allow("clone3") },
    ]
}

/// Opening files and changing modes, but nothing becomes setuid or setgid: what root of a machine shares for writing would be
/// root's outside. The mode is looked at where a file can be made, elsewhere it is rubbish. openat2's lies in memory where a
/// filter can't look; ENOSYS makes who calls it fall back to openat.
fn plain_files() -> [Group; 5] {
    const SPECIAL: u64 = (libc::S_ISUID | libc::S_ISGID) as u64;
    // __O_TMPFILE: libc's O_TMPFILE has O_DIRECTORY, too.
    const MAKES: u64 = (libc::O_CREAT | libc::O_TMPFILE & !libc::O_DIRECTORY) as u64;
    let none = |argument, mask| Condition { argument, test: Test::MaskedEq { mask, value: 0 } };
    let plain = |mode, names| Group { alternatives: vec![vec![none(mode, SPECIAL)]], ..allow(names) };
    let opens = |flags: u8, names| {
        let alternatives = vec![vec![none(flags, MAKES)], vec![none(flags + 1, SPECIAL)]];
        Group { alternatives, ..allow(names) }
    };
    [
        opens(1, "open"),
        opens(2, "openat"),
        Group { action: Action::errno(libc::ENOSYS as u16), ..allow("openat2") },
        plain(1, "creat chmod fchmod"),
        plain(2, "fchmodat fchmodat2"),
    ]
}

/// IPv4 and IPv6, of which there is a choice of protocols.
const INTERNET: [i32; 2] = [libc::AF_INET, libc::AF_INET6];

/// The socket families and protocols that programs use, and of netlink what is of use without CAP_NET_ADMIN.
fn sockets() -> Group {
    let protocols = [0, libc::IPPROTO_ICMP, libc::IPPROTO_TCP, libc::IPPROTO_UDP, libc::IPPROTO_ICMPV6];
    let netlink = [
        libc::NETLINK_ROUTE,
        libc::NETLINK_SOCK_DIAG,
        libc::NETLINK_AUDIT,
        libc::NETLINK_KOBJECT_UEVENT,
        libc::NETLINK_GENERIC,
    ];
    // SOCK_STREAM, SOCK_DGRAM and SOCK_RAW; SOCK_SEQPACKET is SCTP's and SOCK_DCCP is DCCP's, without a protocol too.
    let plain = Condition { argument: 1, test: Test::MaskedEq { mask: 0xc, value: 0 } };
    let alternatives = vec![
        vec![one_of(0, &[libc::AF_UNIX])],
        vec![one_of(0, &INTERNET), plain, one_of(2, &protocols)],
        vec![one_of(0, &[libc::AF_NETLINK]), one_of(2, &netlink)],
    ];
    Group { alternatives, ..allow("socket") }
}

/// For who has `caps`: packet sockets, and raw ones of any protocol, which are no modules.
fn raw_sockets(caps: u64) -> Group {
    // The kernel takes SOCK_TYPE_MASK of the type for it; SOCK_NONBLOCK and SOCK_CLOEXEC lie above.
    let raw = Condition { argument: 1, test: Test::MaskedEq { mask: 0xf, value: libc::SOCK_RAW as u64 } };
    let alternatives = vec![vec![one_of(0, &[libc::AF_PACKET])], vec![one_of(0, &INTERNET), raw]];
    Group { alternatives, when: having(caps), ..allow("socket") }
}

/// What the kernel says where it was built without a protocol: Go and others that try MPTCP first then do without.
fn no_such_protocol() -> Group {
    let action = Action::errno(libc::EPROTONOSUPPORT as u16);
    Group { action, alternatives: vec![vec![one_of(0, &INTERNET)]], ..allow("socket") }
}

/// All of netlink for who has `caps`.
fn netlink(caps: u64) -> Group {
    Group { alternatives: vec![vec![one_of(0, &[libc::AF_NETLINK])]], when: having(caps), ..allow("socket") }
}

/// Changing limits and scheduling: of everybody but PID 1, or, among processes of others, of oneself only. Reading is free.
fn others(shared: bool) -> Vec<Group> {
    const PID: u64 = 0xffff_ffff;
    let only = |argument, value| Condition { argument, test: Test::MaskedEq { mask: PID, value } };
    let reads = vec![Condition { argument: 2, test: Test::Eq(0) }];
    if !shared {
        let not_init = Condition { argument: 0, test: Test::MaskedNe { mask: PID, value: 1 } };
        let limits = Group { alternatives: vec![vec![not_init], reads], ..allow("prlimit64") };
        return vec![limits, allow(SCHEDULING_OF), allow("setpriority ioprio_set")];
    }
    // 0 is oneself, or one's own group; but of PRIO_USER and IOPRIO_WHO_USER it is all that the user has.
    let own = |kinds: &[i32]| vec![vec![one_of(0, kinds), only(1, 0)]];
    vec![
        Group { alternatives: vec![vec![only(0, 0)], reads], ..allow("prlimit64") },
        Group { alternatives: vec![vec![only(0, 0)]], ..allow(SCHEDULING_OF) },
        Group { alternatives: own(&[libc::PRIO_PROCESS as i32, libc::PRIO_PGRP as i32]), ..allow("setpriority") },
        Group { alternatives: own(&[1, 2]), ..allow("ioprio_set") },
    ]
}

/// Every ioctl but those that type into a terminal or give it another line discipline, which stays when its program is gone:
/// the terminal may be the caller's. The kernel looks at 32 bits of the request.
fn terminal() -> Group {
    let not = |request| Condition { argument: 1, test: Test::MaskedNe { mask: 0xffff_ffff, value: request } };
    Group { alternatives: vec![vec![not(TIOCSTI), not(TIOCLINUX), not(TIOCSETD)]], ..allow("ioctl") }
}

fn personalities(values: &[u32]) -> Group {
    let test = Test::In(values.to_vec());
    Group { alternatives: vec![vec![Condition { argument: 0, test }]], ..allow("personality") }
}

/// What one kind of machine needs only.
fn machine() -> [Group; 2] {
    let on = |arch| When { arches: vec![Some(arch)], ..When::default() };
    [
        Group { when: on(Arch::X86_64), ..allow("arch_prctl modify_ldt") },
        Group {
            when: on(Arch::Aarch64),
            ..allow("arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls")
        },
    ]
}

fn allow(names: &'static str) -> Group {
    Group {
        names: names.split_whitespace().map(Cow::Borrowed).collect(),
        action: Action::ALLOW,
        alternatives: Vec::new(),
        when: When::default(),
    }
}

fn one_of(argument: u8, values: &[i32]) -> Condition {
    Condition { argument, test: Test::IntIn(values.iter().map(|value| *value as u32).collect()) }
}

fn having(caps: u64) -> When {
    When { caps, ..When::default() }
}
