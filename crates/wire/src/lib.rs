//! What the host and the freestanding program say to each other: fixed, typed records, no parsing.
//!
//! A message is one datagram of an AF_UNIX SOCK_SEQPACKET socket: a [`Request`], the [`Call`]s behind it, the data that
//! they point to. The receiver has it at the fixed address [`BASE`], so every pointer in it is right as it stands and
//! nothing needs to be relocated. A message over [`INLINE`] bytes travels in a memfd (flag [`LARGE`]).
//!
//! This crate is compiled twice: cargo compiles it for the library, the build script of `ctr-init` for the program.

#![no_std]

mod bytes;

/// Where a message lies in the program's memory.
pub const BASE: usize = 0x2000_0000;
/// The largest message that is sent as a datagram.
pub const INLINE: usize = 64 << 10;
/// The largest message at all: execve(2) takes 6 MiB of strings at the very most.
pub const LARGEST: usize = 8 << 20;
/// The most descriptors with one message; the kernel's SCM_MAX_FD is 253.
pub const MAX_FDS: usize = 32;

/// Descriptors are named by slots. A request's descriptors arrive in slots 0, 1, … and all slots below [`KEPT`] are
/// closed when the request is done.
pub const SLOTS: usize = 64;
/// Slots from here on live as long as the process.
pub const KEPT: usize = 32;
/// The first slot of what the zygote hands over to a child: its control socket, then its own pidfd, which it passes on to
/// the host with its first reply, then the results of the zygote's own calls.
pub const HANDED: usize = KEPT;
/// The first of those results, in the zygote and in the child.
pub const RESULTS: usize = HANDED + 2;
/// Where the zygote finds the user namespace of the child while it walks its own calls.
pub const USER_NAMESPACE: usize = SLOTS - 1;
/// Where PID 1 has its devpts, by which terminals are opened. Always there, so that a joiner knows it.
pub const TERMINALS: usize = SLOTS - 2;
/// Where PID 1 has a copy of its root's mount without what is mounted on it, by which the root is exported.
pub const ROOT: usize = SLOTS - 3;
/// Where PID 1 has the directory that takes the changes of its root, where that is an overlay.
pub const UPPER: usize = SLOTS - 4;
/// Where PID 1 has its /proc, by which it finds whose time is up. Not there where /proc is none of its own.
pub const PROC: usize = SLOTS - 5;
/// The first slot of those where PID 1 has the places of the changes of scratch mounts, up to [`PROC`].
pub const SCRATCHES: usize = PROC - 6;
/// Slot 0 of each request: the channel for its [`Reply`]s.
pub const STATUS: usize = 0;
/// Where the zygote keeps the pipe with what a program that failed has said.
pub const SAID: usize = KEPT - 1;
/// Slot 1 of [`SPAWN`]: the container's end of its control socket.
pub const CONTROL: usize = 1;

/// Request kind, to the zygote: make a PID 1 (or another server process) with these namespaces.
pub const SPAWN: u32 = 1;
/// Request kind, to any server: walk these calls yourself.
pub const RUN: u32 = 2;
/// Request kind, to any server: walk `before` calls yourself, clone, let the child walk the rest, which end in execve.
pub const EXEC: u32 = 3;
/// Request kind, to the zygote: end when the last child has ended.
pub const RETIRE: u32 = 4;

/// Request kind, to the zygote: a SPAWN of this shape will come; have a child ready for it. Nothing is answered.
pub const SPARE: u32 = 5;

/// Request kind, to a child: walk these calls, as for a RUN, which will follow. Where they go well, nothing is answered.
pub const PREPARE: u32 = 6;

/// Request kind, to the zygote: the child whose pid is `before` has a limit of processor time. It is lifted by what is written to
/// the file that comes in slot 0, where the child is ended since its host is gone: with no turn it would not die. Nothing is
/// answered.
pub const LIMITED: u32 = 7;

/// Request kind, to a helper in the network of a container: walk `before` calls, get ready to forward, walk the rest, answer, and
/// then forward whoever connects to `listener` to the address `uid_map`, until the process of the pidfd in slot `user` has ended.
/// From then on nothing more is asked of it, and its maker's end is not its own.
pub const FORWARD: u32 = 8;

/// Request flag: the whole message is in the memfd that comes as the first descriptor.
pub const LARGE: u32 = 1;
/// Request flag of [`SPAWN`]: cloned for this request, not before. All that it does is to be part of the shape.
pub const FRESH: u32 = 2;
/// Request flag of [`SPAWN`]: it outlives the zygote. With [`CLOSED`], only from [`FORWARD`] on.
pub const DETACHED: u32 = 4;
/// Request flag of [`SPAWN`]: claim a range of ids, and map ids 0 to 65535 to it.
pub const ID_RANGE: u32 = 8;
/// Request flag of [`SPAWN`]: write "deny" to /proc/PID/setgroups before the maps, as user_namespaces(7) demands of
/// the unprivileged.
pub const DENY_SETGROUPS: u32 = 16;
/// Request flag of [`SPAWN`]: slot 2 is a cgroup2 directory into which it is cloned.
pub const INTO_CGROUP: u32 = 32;

/// Request flag of [`SPAWN`]: the maps are no texts but the argument vectors of newuidmap(1) and newgidmap(1), null-terminated
/// arrays of strings. The second string of each has room for a pid, which the zygote fills in.
pub const MAP_BY_PROGRAM: u32 = 64;

/// Request flag of [`RUN`]: a child walks the calls, since they open what the container may have put there, and that may not
/// answer. It shares the server's descriptors where some of them are to be handed back.
pub const BY_CHILD: u32 = 128;

/// Request flag of [`SPAWN`]: whoever enters other namespaces for it is not dumpable (prctl(2)) any more before that, nor is the
/// child from its first moment on. For a child whose ids are mapped already: the zygote may not map those of such a one.
pub const CLOSED: u32 = 256;

/// The most children of a server: programs of a container, or containers and joins of a process.
pub const MAX_CHILDREN: usize = 1000;
/// The most joiners that a server hears at a time, beside whoever made it.
pub const MAX_SOCKETS: usize = 64;

/// First host id of the ranges that are claimed, and how many ranges there are. They lie in the part that systemd sets
/// aside for containers (0x00080000 to 0x6fffffff).
pub const RANGE_FIRST: u32 = 0x4000_0000;
/// How many ranges there are.
pub const RANGES: u32 = 0x2fff;
/// First host id of the range behind those, which nobody claims: containers of images that can't be id-mapped share it.
pub const SHARED_RANGE: u32 = RANGE_FIRST + RANGES * RANGE;
/// Ids in a range.
pub const RANGE: u32 = 0x1_0000;

/// No pointer, no slot.
pub const NONE: u8 = 255;

/// One message to a server.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Request {
    /// One of the kinds above.
    pub kind: u32,
    /// The flags above.
    pub flags: u32,
    /// Bytes in all, this record included.
    pub len: u32,
    /// Bytes that tell the shape of a SPAWN: two with the same bytes up to here make the same child.
    pub shape: u32,
    /// How many calls follow this record.
    pub calls: u32,
    /// EXEC: how many of them the server walks itself, before the clone. RUN: how many it walks before it answers; where one
    /// of those that follow fails, the server ends. 0 is all. LIMITED: the pid.
    pub before: u32,
    /// SPAWN: the namespaces, as CLONE_NEW* flags of clone(2).
    pub namespaces: u64,
    /// EXEC: kill after so many milliseconds; 0 is never. RUN: the server ends after so long, and all in its PID namespace.
    pub time_limit: u64,
    /// EXEC: kill after so many milliseconds of processor time; 0 is never. RUN: the server ends, when all in its PID namespace have
    /// had so much.
    pub cpu_time_limit: u64,
    /// EXEC, and RUN with BY_CHILD: give it up after so many milliseconds; 0 is the server's own bound, and nothing is longer.
    pub patience: u64,
    /// EXEC: the address of two struct rlimit64 in the message, which take the mark of the deadline or the budget; 0 is none.
    pub mark: u64,
    /// SPAWN: contents of uid_map and gid_map, addresses and lengths; 0 is none. See MAP_BY_PROGRAM. FORWARD: a struct sockaddr.
    pub uid_map: [u64; 2],
    /// See `uid_map`.
    pub gid_map: [u64; 2],
    /// SPAWN with ID_RANGE: the path of the file whose bytes are the ranges' locks.
    pub ranges: u64,
    /// RUN, FORWARD: what ps(1) shows from now on, address and length; 0 is no change.
    pub title: [u64; 2],
    /// Slots whose descriptors go back with the reply to RUN or EXEC. SPAWN: slots of namespaces (pid, net, uts, ipc) to be
    /// cloned into.
    pub give: [u8; 4],
    /// RUN, FORWARD: the slot of a listening socket to serve from now on, or NONE.
    pub listener: u8,
    /// SPAWN: the slot of the user namespace to be cloned into, or NONE. FORWARD: the slot of a pidfd. RUN, EXEC: that of the file in
    /// which the cgroup counts processor time, from which PID 1 learns what no process tells of.
    pub user: u8,
    /// With a `cpu_time_limit`: how many processors the machine has.
    pub processors: u16,
}

/// Behind the shape of a SPAWN: calls that the zygote walks itself once the child's ids are mapped.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ParentPlan {
    /// How many calls follow this record.
    pub calls: u32,
    /// How many slots from [`RESULTS`] on are handed over to the child.
    pub handed: u32,
}

/// What the zygote tells a child about itself, with the descriptors that it hands over.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Handover {
    /// Its pid, as the zygote and so the host see it.
    pub pid: i32,
    /// The first host id of its range, 0 if it has none.
    pub range: u32,
}

/// One system call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Call {
    /// Its number, or one of the pseudo calls below.
    pub nr: u16,
    /// An errno that counts as success; 0 is none.
    pub ok: u8,
    /// A second one.
    pub ok2: u8,
    /// Bit i: argument i is a slot, to be replaced by its descriptor.
    pub fds: u8,
    /// The slot that takes the result, or NONE.
    pub out: u8,
    /// [`TRY`], [`OPTIONAL`] or 0.
    pub flags: u8,
    /// How many of the next calls are passed over where this one succeeds.
    pub skip: u8,
    /// The arguments: numbers, addresses inside the message, slots.
    pub args: [u64; 6],
}

/// Call flag: on ENOENT, ENOTDIR or EACCES go on with the next call, as execvp(3) does; EACCES is remembered.
pub const TRY: u8 = 1;

/// Call flag: whatever it answers, the plan goes on.
pub const OPTIONAL: u8 = 2;

/// Pseudo call: write the descriptor in slot args\[1\] to the 32-bit word at address args\[0\].
pub const PATCH: u16 = 0xff00;

/// Pseudo call: close the descriptor in slot args\[0\]; the slot is empty then.
pub const CLOSE: u16 = 0xff01;

/// What a server answers. The host takes every byte of it for hostile where it comes from inside a container.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// DONE, FAILED or EXITED.
    pub tag: u32,
    /// FAILED: the errno.
    pub errno: i32,
    /// FAILED: which call, counted from 0; or one of the numbers below.
    pub call: u32,
    /// The pid, as the server sees it; in PID 1's first reply its own, as the host sees it.
    pub pid: i32,
    /// EXITED: the status as wait4(2) has it.
    pub status: i32,
    /// EXITED: TIME_IS_UP, CPU_TIME_USED_UP or 0. PID 1's first reply: the first host id of its range. FAILED: the kind of the request;
    /// 0 where they are the last words of a child.
    pub note: u32,
    /// EXITED: microseconds in user mode.
    pub user_us: u64,
    /// EXITED: microseconds in the kernel.
    pub system_us: u64,
    /// EXITED: largest resident set, in KiB.
    pub max_rss: u64,
}

/// Reply tag: done, started.
pub const DONE: u32 = 1;
/// Reply tag: a call failed; nothing of it runs.
pub const FAILED: u32 = 2;
/// Reply tag: the process has ended and was reaped. Always the last one.
pub const EXITED: u32 = 3;

/// `note` of EXITED: the time limit passed.
pub const TIME_IS_UP: u8 = 1;
/// `note` of EXITED: its budget of processor time was used up.
pub const CPU_TIME_USED_UP: u8 = 2;

/// The exit code of a PID 1 that has ended itself is this and one of these notes.
pub const ENDED_ITSELF: i32 = 100;

/// `call` of a failure that lies before the first one: the message itself.
pub const IN_MESSAGE: u32 = 0x1000_0000;
/// … clone(2).
pub const IN_CLONE: u32 = 0x1000_0001;
/// … the claim of an id range.
pub const IN_RANGE: u32 = 0x1000_0002;
/// … uid_map, gid_map or setgroups.
pub const IN_MAP: u32 = 0x1000_0003;
/// … setns(2) into a namespace to be cloned into.
pub const IN_SETNS: u32 = 0x1000_0004;
/// … newuidmap(1), with [`MAP_BY_PROGRAM`]. What it said goes with the reply, a pipe.
pub const IN_NEWUIDMAP: u32 = 0x1000_0007;
/// … newgidmap(1), likewise.
pub const IN_NEWGIDMAP: u32 = 0x1000_0008;
/// Added to the index of a call that the zygote walked itself (the ParentPlan's).
pub const IN_PARENT: u32 = 0x2000_0000;
/// Added to the index of a call behind [`Request::before`], counted from there: the last words of a server that then ends.
pub const IN_LATE: u32 = 0x3000_0000;
/// The child that walks the calls did not come to their end: ETIMEDOUT where it was given up, EBUSY where too many that were
/// given up can't end.
pub const IN_START: u32 = 0x1000_0009;
/// The table of children is full.
pub const IN_TABLE: u32 = 0x1000_0005;
/// The budget of processor time: EOPNOTSUPP where programs can't be marked or found, EAGAIN where there are as many as can be.
pub const IN_BUDGET: u32 = 0x1000_000a;
/// … what a forwarder needs besides its calls.
pub const IN_FORWARD: u32 = 0x1000_000b;
/// … what the zygote tells the child.
pub const IN_HANDOVER: u32 = 0x1000_0006;
