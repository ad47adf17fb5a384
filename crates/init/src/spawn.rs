//! Making a server process: the zygote's half and the child's half.
//!
//! The zygote clones it into its namespaces and writes its id maps, which takes rights in the parent user namespace
//! that the child has no more. The child waits for that, walks its calls, and waits to be handed its control socket: at
//! once, or, where it is made ahead of time, when somebody asks for one of its shape.

use ctr_wire::{
    CLOSED, Call, DENY_SETGROUPS, FAILED, HANDED, Handover, ID_RANGE, IN_CLONE, IN_HANDOVER, IN_MAP, IN_RANGE,
    IN_SETNS, INTO_CGROUP, MAP_BY_PROGRAM, NONE, Reply, Request, SLOTS,
};

use super::kernel::{
    CLONE_FILES, CLONE_PARENT, CLONE_VFORK, LOW, SIGCHLD, SIGKILL, SIGNALS, close, close_all_but, errno, exit,
    keep_low, nr, syscall, syscall3,
};
use super::memory::Claim;
use super::message::{self, MSG_DONTWAIT, pair, receive_into, send};
use super::newuidmap;
use super::owner::fork;
use super::text::Text;
use super::walk::{Failure, Slots, walk};

/// A child, as the zygote sees it.
pub struct Spawned {
    pub pid: i32,
    pub pidfd: i32,
    /// Our end of its setup socket.
    pub setup: i32,
    /// The claim on its range of ids.
    pub claim: Claim,
}

/// What clone returned to.
pub enum Forked {
    Parent(Spawned),
    /// We are the child: its end of the setup socket.
    Child(i32),
}

/// Clones a child and maps its ids. `slots` are the request's: slot 2 may be the cgroup. `is_ours` is [`Claim::take`]'s.
///
/// A child begins with a copy of our descriptors, which it closes. Where we have `many`, for we have two or three for each
/// container, that is what takes longest: then it shares them, and takes a copy of the lowest only.
pub fn spawn(
    request: &Request,
    slots: &mut Slots,
    many: bool,
    is_ours: &dyn Fn(u32) -> bool,
) -> Result<Forked, Failure> {
    let fail = |call, errno| Failure { call, errno };
    let [ours, theirs] = pair().map_err(|error| fail(IN_CLONE, error))?;
    let claim = if request.flags & ID_RANGE == 0 { Ok(Claim::NONE) } else { Claim::take(request.ranges, is_ours) };
    let claim = match claim {
        Ok(claim) => claim,
        Err(error) => {
            close(ours);
            close(theirs);
            return Err(fail(IN_RANGE, -error));
        }
    };
    let [_, _, third, ..] = *slots;
    let cgroup = (request.flags & INTO_CGROUP != 0).then_some(third);
    let mut pidfd = -1;
    let elsewhere = request.user != NONE || request.give != [NONE; 4];
    let is_low = |fd: &i32| *fd < LOW;
    let shares = many && !elsewhere && is_low(&ours) && is_low(&theirs) && slots.iter().all(is_low);
    let pid = if elsewhere {
        match fork_elsewhere(request, claim.first, slots, [ours, theirs], &mut pidfd, cgroup) {
            Ok(pid) => pid,
            Err(error) => {
                close(ours);
                close(theirs);
                claim.release();
                return Err(fail(IN_SETNS, error));
            }
        }
    } else {
        let shared = if shares { CLONE_FILES } else { 0 };
        fork(claim.first, request.namespaces | shared, &mut pidfd, cgroup)
    };
    if pid == 0 {
        if shares {
            if !keep_low() {
                exit(1);
            }
            send(theirs, c"u".as_ptr() as usize, 1, &[]);
        }
        close(ours);
        return Ok(Forked::Child(theirs));
    }
    if pid < 0 {
        close(ours);
        close(theirs);
        claim.release();
        return Err(fail(IN_CLONE, -pid as i32));
    }
    let child = Spawned { pid: pid as i32, pidfd, setup: ours, claim };
    // Until then what we close is closed for it, too.
    let apart = !shares || is_apart(&child);
    close(theirs);
    if !apart {
        kill(&child);
        return Err(fail(IN_HANDOVER, errno::EPIPE));
    }
    let mapped = if request.flags & MAP_BY_PROGRAM == 0 {
        let error = write_maps(request, &child);
        if error == 0 { Ok(()) } else { Err(fail(IN_MAP, error)) }
    } else {
        // SAFETY: arrays of strings in the message.
        unsafe { newuidmap::map(request, child.pid, slots) }
    };
    if let Err(failure) = mapped {
        kill(&child);
        return Err(failure);
    }
    let sent = send(ours, b"m".as_ptr() as usize, 1, &[]);
    if sent < 0 {
        kill(&child);
        return Err(fail(IN_HANDOVER, -sent as i32));
    }
    Ok(Forked::Parent(child))
}

/// Waits until a child that shares our descriptors has a table of its own, or is dead. Whether it lives.
#[inline(never)]
#[unsafe(link_section = ".cold")]
fn is_apart(child: &Spawned) -> bool {
    const POLLIN: u64 = 1 << 32;
    let mut either = [child.setup, child.pidfd].map(|fd| fd as u64 | POLLIN);
    let mut word = 0u8;
    let mut none = [-1; SLOTS];
    // SAFETY: the kernel reads and writes two of struct pollfd. All signals are blocked.
    unsafe { syscall(nr::PPOLL, either.as_mut_ptr() as usize, either.len(), 0, 0, 8, 0) };
    receive_into(child.setup, &raw mut word as usize, 1, &mut none, SLOTS, MSG_DONTWAIT) == Ok((1, 0))
}

/// Its user namespace: from its pidfd (Linux 6.11), which spares the way through /proc.
pub fn user_namespace(child: &Spawned) -> i32 {
    const PIDFD_GET_USER_NAMESPACE: usize = 0xff09;
    // SAFETY: plain numbers.
    let fd = unsafe { syscall3(nr::IOCTL, child.pidfd as usize, PIDFD_GET_USER_NAMESPACE, 0) } as i32;
    if fd < 0 { open_proc(child.pid, b"/ns/user\0", 0) } else { fd }
}

/// Ends a child that nobody wants; it is reaped as any child.
pub fn kill(child: &Spawned) {
    // SAFETY: our own child, not reaped yet.
    unsafe { syscall3(nr::KILL, child.pid as usize, SIGKILL as usize, 0) };
    close(child.setup);
    close(child.pidfd);
    child.claim.release();
}

/// The child's half: forgets what it holds of the zygote's, walks its calls, waits for its control socket. Ends the
/// process where that fails. The message with the calls is given back, unless it is a large one, before it waits: nobody may look at
/// it any more.
pub fn set_up(setup: i32, calls: &[Call], large: bool, slots: &mut Slots, fds: usize) -> Handover {
    let mut keep = [0i32; SLOTS];
    let mut kept = 0;
    let sent = slots.iter().take(fds).skip(2).copied();
    for (to, fd) in keep.iter_mut().zip([setup, SIGNALS].into_iter().chain(sent).filter(|&fd| fd >= 0)) {
        *to = fd;
        kept += 1;
    }
    close_all_but(keep.get_mut(..kept).unwrap_or_default());
    let [status, control, ..] = slots;
    (*status, *control) = (-1, -1);
    let mut word = 0u8;
    if receive_into(setup, &raw mut word as usize, 1, slots, SLOTS, 0) != Ok((1, 0)) {
        exit(0);
    }
    // SAFETY: calls of our own library.
    if let Err(failure) = unsafe { walk(calls, 0, slots) } {
        let last_words = Reply { tag: FAILED, call: failure.call, errno: failure.errno, ..Reply::default() };
        send(setup, &raw const last_words as usize, size_of::<Reply>(), &[]);
        exit(1);
    }
    if !large {
        message::give_back();
    }
    let mut handover = Handover::default();
    let len = size_of::<Handover>();
    if !matches!(receive_into(setup, &raw mut handover as usize, len, slots, HANDED, 0), Ok((got, 2..)) if got == len) {
        exit(0);
    }
    handover
}

/// Clones the child in namespaces of others: what it has no rights over once it is in its own user namespace, and what
/// can only be had by clone(2). A process in between enters them, so the zygote stays where it is. It shares our descriptors,
/// where the pidfd arrives, and the child is our child as any other is (CLONE_PARENT); we sleep until it is done
/// (CLONE_VFORK). What became of it comes through the setup socket.
#[inline(never)]
#[unsafe(link_section = ".cold")]
fn fork_elsewhere(
    request: &Request,
    owner: u32,
    slots: &Slots,
    [ours, theirs]: [i32; 2],
    pidfd: &mut i32,
    cgroup: Option<i32>,
) -> Result<isize, i32> {
    let flags = CLONE_FILES | CLONE_VFORK | SIGCHLD as u64;
    // SAFETY: without CLONE_VM the child has its own copy of everything.
    let between = unsafe { syscall(nr::CLONE, flags as usize, 0, 0, 0, 0, 0) };
    if between < 0 {
        return Err(-between as i32);
    }
    let mut word = [0i32; 2];
    let len = size_of_val(&word);
    if between == 0 {
        let closed = if request.flags & CLOSED == 0 { Ok(()) } else { close_off() };
        let pid = match closed.and_then(|()| enter(request.user, request.give, slots)) {
            Ok(()) => fork(owner, request.namespaces | CLONE_PARENT, pidfd, cgroup),
            Err(error) => -error as isize,
        };
        if pid == 0 {
            return Ok(0);
        }
        word = [pid as i32, *pidfd];
        send(theirs, &raw const word as usize, len, &[]);
        exit(0);
    }
    let mut none = [-1; SLOTS];
    let heard = receive_into(ours, &raw mut word as usize, len, &mut none, SLOTS, MSG_DONTWAIT);
    const WALL: usize = 0x4000_0000;
    // SAFETY: reaps the child that has just ended.
    unsafe { syscall(nr::WAIT4, between as usize, 0, WALL, 0, 0, 0) };
    let [pid, fd] = word;
    if heard != Ok((len, 0)) || pid == 0 {
        return Err(errno::EPROTO);
    }
    *pidfd = fd;
    if pid < 0 { Err(-pid) } else { Ok(pid as isize) }
}

/// PR_SET_DUMPABLE of prctl(2): who is root in a namespace that this process enters may not look into it.
fn close_off() -> Result<(), i32> {
    const PR_SET_DUMPABLE: usize = 4;
    // SAFETY: plain numbers.
    match unsafe { syscall3(nr::PRCTL, PR_SET_DUMPABLE, 0, 0) as i32 } {
        0 => Ok(()),
        error => Err(-error),
    }
}

/// Enters the namespaces of these slots. The user namespace may be what gives the rights over some, and may take those over
/// others, so what is refused before it is tried again after it.
#[inline(never)]
#[unsafe(link_section = ".cold")]
fn enter(user: u8, namespaces: [u8; 4], slots: &Slots) -> Result<(), i32> {
    let set = |slot: u8| match slots.get(slot as usize) {
        // SAFETY: plain numbers.
        Some(&fd) if slot != NONE => unsafe { syscall3(nr::SETNS, fd as usize, 0, 0) as i32 },
        _ => 0,
    };
    let mut refused = namespaces;
    for slot in &mut refused {
        match set(*slot) {
            0 => *slot = NONE,
            error if user == NONE || error != -errno::EPERM => return Err(-error),
            _ => {}
        }
    }
    for slot in [user].into_iter().chain(refused) {
        match set(slot) {
            0 => {}
            error => return Err(-error),
        }
    }
    Ok(())
}

/// Writes the child's id maps; 0 or an errno. See user_namespaces(7).
fn write_maps(request: &Request, child: &Spawned) -> i32 {
    let mut own = [0u8; 32];
    let (uid_map, gid_map) = if request.flags & ID_RANGE == 0 {
        // SAFETY: addresses and lengths within the message.
        unsafe { (bytes(request.uid_map), bytes(request.gid_map)) }
    } else {
        let mut text = Text { at: &mut own, len: 0 };
        text.push(b"0 ");
        text.number(child.claim.first);
        text.push(b" 65536\n");
        let len = text.len;
        let map = own.get(..len).unwrap_or_default();
        (map, map)
    };
    if request.flags & DENY_SETGROUPS != 0 {
        let error = write_proc(child.pid, b"/setgroups\0", b"deny");
        // Before Linux 3.19 there is no such file and no such need.
        if error != 0 && error != errno::ENOENT {
            return error;
        }
    }
    if gid_map.is_empty() {
        return 0;
    }
    let error = write_proc(child.pid, b"/gid_map\0", gid_map);
    if error != 0 { error } else { write_proc(child.pid, b"/uid_map\0", uid_map) }
}

unsafe fn bytes(at: [u64; 2]) -> &'static [u8] {
    let [address, len] = at;
    if address == 0 {
        return &[];
    }
    // SAFETY: the caller answers for it.
    unsafe { core::slice::from_raw_parts(address as *const u8, len as usize) }
}

/// Opens /proc/PID`file`; a descriptor or a negative errno.
fn open_proc(pid: i32, file: &[u8], flags: usize) -> i32 {
    const AT_FDCWD: usize = -100isize as usize;
    let mut path = [0u8; 40];
    let mut text = Text { at: &mut path, len: 0 };
    text.push(b"/proc/");
    text.number(pid as u32);
    text.push(file);
    // SAFETY: a NUL-terminated path: `file` ends with one.
    unsafe { syscall(nr::OPENAT, AT_FDCWD, path.as_ptr() as usize, flags | 0o2_000_000, 0, 0, 0) as i32 }
}

fn write_proc(pid: i32, file: &[u8], text: &[u8]) -> i32 {
    const O_WRONLY: usize = 1;
    let fd = open_proc(pid, file, O_WRONLY);
    if fd < 0 {
        return -fd;
    }
    // SAFETY: the text outlives the call.
    let written = unsafe { syscall3(nr::WRITE, fd as usize, text.as_ptr() as usize, text.len()) };
    close(fd);
    if written < 0 { -written as i32 } else { 0 }
}

const _: () = assert!(ctr_wire::USER_NAMESPACE > HANDED);
