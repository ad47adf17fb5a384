//! Datagrams in, replies out, descriptors with both. See unix(7), recvmsg(2), cmsg(3).

use ctr_wire::{BASE, Call, INLINE, KEPT, LARGE, LARGEST, MAX_FDS, ParentPlan, Reply, Request};

use super::kernel::{close, errno, nr, syscall, syscall3};
use super::memory::{self, MEMORY, PAGE};
use super::walk::Slots;

#[repr(C)]
struct Message {
    name: usize,
    name_len: u32,
    iov: *mut [usize; 2],
    iov_len: usize,
    control: *mut Control,
    control_len: usize,
    flags: u32,
}

/// A control message of SCM_RIGHTS with all the descriptors there may be.
#[repr(C, align(8))]
struct Control {
    len: usize,
    level: u32,
    kind: u32,
    fds: [i32; MAX_FDS],
}

/// A control message of SCM_CREDENTIALS, and behind it the one with descriptors.
#[repr(C, align(8))]
struct OfProcess {
    len: usize,
    level: u32,
    kind: u32,
    pid: i32,
    ids: [u32; 3],
    rights: Control,
}

const SOL_SOCKET: u32 = 1;
const SCM_RIGHTS: u32 = 1;
const SCM_CREDENTIALS: u32 = 2;
/// recvmsg flag: don't wait.
pub const MSG_DONTWAIT: usize = 0x40;
const MSG_NOSIGNAL: usize = 0x4000;
const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
const HEADER: usize = 16;

/// Maps the place for messages. Once, before the first [`receive`].
pub fn settle() -> bool {
    map(INLINE)
}

fn map(len: usize) -> bool {
    const PROT_READ_WRITE: usize = 3;
    const MAP_PRIVATE_FIXED_ANONYMOUS: usize = 0x32;
    // SAFETY: the place is set aside for this: the program is linked and its stack lies elsewhere.
    let at = unsafe { syscall(nr::MMAP, BASE, len, PROT_READ_WRITE, MAP_PRIVATE_FIXED_ANONYMOUS, usize::MAX, 0) };
    at == BASE as isize
}

/// Reads `len` bytes of a file to the place for messages.
fn read_whole(file: i32, len: usize) -> bool {
    let mut done = 0;
    while done < len {
        // SAFETY: the place is mapped, and `len` bytes long.
        let got = unsafe { syscall(nr::PREAD64, file as usize, BASE + done, len - done, done, 0, 0) };
        if got <= 0 {
            return false;
        }
        done += got as usize;
    }
    true
}

/// Forgets the last message and gives its memory back to the kernel, with what serving it took of the stack.
pub fn forget(large: bool) {
    // SAFETY: nothing refers to the message any more, and whoever calls this is on the other part of the stack.
    unsafe {
        if large {
            syscall3(nr::MUNMAP, BASE + INLINE, LARGEST - INLINE, 0);
            map(INLINE);
        } else {
            memory::give_back(BASE, INLINE);
        }
        memory::give_back(&raw const MEMORY.deep as usize, PAGE);
    }
}

/// Gives back the memory of a message that is none of the large ones.
pub fn give_back() {
    // SAFETY: the caller refers to nothing of it any more.
    unsafe { memory::give_back(BASE, INLINE) };
}

/// What came.
pub enum Received {
    /// A message at BASE, checked: its calls and its data lie within it. And how many descriptors it has.
    Request(&'static Request, usize),
    /// A datagram that is no message; it is dropped, its descriptors are closed, but for the first, the status channel.
    Malformed,
    /// Nothing now.
    Nothing,
    /// The other end is closed.
    End,
}

/// Takes the next message from `socket`, its descriptors into slots 0, 1, …
pub fn receive(socket: i32, slots: &mut Slots) -> Received {
    let (got, mut count) = match receive_into(socket, BASE, INLINE, slots, 0, MSG_DONTWAIT) {
        Ok((0, 0)) => return Received::End,
        Ok(got) => got,
        // Without memory for it, it stays where it is until next time.
        Err(errno::EAGAIN | errno::EINTR | errno::ENOMEM) => return Received::Nothing,
        Err(_) => return Received::End,
    };
    // SAFETY: the place is mapped, aligned and at least a Request long.
    let mut request: &'static Request = unsafe { &*(BASE as *const Request) };
    let mut here = got;
    if got >= size_of::<Request>() && request.flags & LARGE != 0 {
        let len = request.len as usize;
        let [memfd, ..] = *slots;
        // Read and not mapped: a file that is shorter than it says would be our death (SIGBUS).
        if count == 0 || len > LARGEST || !map(len) || !read_whole(memfd, len) {
            return Received::Malformed;
        }
        close(memfd);
        slots.copy_within(1..MAX_FDS, 0);
        count -= 1;
        here = len;
        // SAFETY: as above; the place has changed under it, so it is read anew.
        request = unsafe { &*(BASE as *const Request) };
    }
    let calls = (request.calls as usize).wrapping_mul(size_of::<Call>()).wrapping_add(size_of::<Request>());
    let shape = request.shape as usize;
    let whole = here >= size_of::<Request>()
        && request.len as usize == here
        && request.calls < 1 << 16
        && calls <= here
        && shape <= here
        && (shape == 0 || shape.is_multiple_of(8) && shape >= calls && shape + size_of::<ParentPlan>() <= here);
    if !whole {
        return Received::Malformed;
    }
    Received::Request(request, count)
}

/// recvmsg into `len` bytes at `at`; descriptors go to the slots from `first` on. (bytes, descriptors)
pub fn receive_into(
    socket: i32,
    at: usize,
    len: usize,
    slots: &mut Slots,
    first: usize,
    flags: usize,
) -> Result<(usize, usize), i32> {
    let mut control = Control { len: 0, level: 0, kind: 0, fds: [-1; MAX_FDS] };
    let mut iov = [at, len];
    let mut message = Message {
        name: 0,
        name_len: 0,
        iov: &raw mut iov,
        iov_len: 1,
        control: &raw mut control,
        control_len: size_of::<Control>(),
        flags: 0,
    };
    // SAFETY: the records live until the call returns; the bytes go where the caller owns memory.
    let got = unsafe { syscall3(nr::RECVMSG, socket as usize, &raw mut message as usize, flags | MSG_CMSG_CLOEXEC) };
    if got < 0 {
        return Err(-got as i32);
    }
    let mut count = 0;
    if message.control_len >= HEADER && control.level == SOL_SOCKET && control.kind == SCM_RIGHTS {
        count = (control.len.wrapping_sub(HEADER) / 4).min(MAX_FDS);
        for (slot, fd) in slots.iter_mut().skip(first).zip(control.fds).take(count) {
            *slot = fd;
        }
    }
    Ok((got as usize, count))
}

/// Answers on a status channel; what sendmsg(2) says of it. A shortage of memory that passes costs nobody their answer.
pub fn reply(status: i32, reply: &Reply, fds: &[i32]) -> isize {
    reply_of(status, reply, fds, 0)
}

/// The same about a child of ours, whose pid goes along as a credential: the kernel has it as the host's at the other end,
/// also when the child is gone by then. A server without rights over its PID namespace can't say so, and leaves it out.
pub fn reply_of(status: i32, reply: &Reply, fds: &[i32], child: i32) -> isize {
    let mut pid = child;
    let mut tries = 0;
    loop {
        let sent = send_of(status, &raw const *reply as usize, size_of::<Reply>(), fds, pid);
        tries += 1;
        if pid != 0 && (sent == -errno::EPERM as isize || sent == -errno::EINVAL as isize) {
            pid = 0;
        } else if tries == 10 || sent != -errno::ENOMEM as isize && sent != -errno::ENOBUFS as isize {
            return sent;
        }
    }
}

/// Sends bytes and descriptors.
pub fn send(socket: i32, at: usize, len: usize, fds: &[i32]) -> isize {
    send_of(socket, at, len, fds, 0)
}

/// Sends bytes and descriptors, and the pid of a process, where that is not 0: scm_check_creds in net/core/scm.c lets whoever
/// has CAP_SYS_ADMIN over their PID namespace name any process in it.
fn send_of(socket: i32, at: usize, len: usize, fds: &[i32], pid: i32) -> isize {
    let rights = Control { len: HEADER, level: SOL_SOCKET, kind: SCM_RIGHTS, fds: [-1; MAX_FDS] };
    let mut of = OfProcess { len: HEADER + 12, level: SOL_SOCKET, kind: SCM_CREDENTIALS, pid, ids: [0; 3], rights };
    for (to, from) in of.rights.fds.iter_mut().zip(fds) {
        *to = *from;
        of.rights.len += 4;
    }
    let control = &raw mut of.rights;
    let (control, before) = if pid == 0 { (control, 0) } else { ((&raw mut of).cast(), HEADER + 16) };
    let mut iov = [at, len];
    let with_fds = !fds.is_empty();
    let message = Message {
        name: 0,
        name_len: 0,
        iov: &raw mut iov,
        iov_len: 1,
        control,
        control_len: before + if with_fds { of.rights.len } else { 0 },
        flags: 0,
    };
    // SAFETY: the records live until the call returns.
    unsafe { syscall3(nr::SENDMSG, socket as usize, &raw const message as usize, MSG_NOSIGNAL | MSG_DONTWAIT) }
}

/// A connected pair of datagram sockets.
pub fn pair() -> Result<[i32; 2], i32> {
    const AF_UNIX: usize = 1;
    const SOCK_SEQPACKET_CLOEXEC: usize = 5 | 0o2_000_000;
    let mut ends = [-1i32; 2];
    // SAFETY: the kernel writes two descriptors.
    let result = unsafe { syscall(nr::SOCKETPAIR, AF_UNIX, SOCK_SEQPACKET_CLOEXEC, 0, &raw mut ends as usize, 0, 0) };
    if result < 0 { Err(-result as i32) } else { Ok(ends) }
}

/// Closes what a request brought and what its calls opened.
pub fn close_slots(slots: &mut Slots) {
    for slot in slots.iter_mut().take(KEPT) {
        close(*slot);
        *slot = -1;
    }
}
