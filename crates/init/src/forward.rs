//! The forwarding loop: whoever connects to a listening socket of the host's is connected to an address of the network that this
//! process is in, and what comes on one side goes to the other. See epoll(7), splice(2), tcp(7).
//!
//! No byte of it is looked at: it goes from a socket to a pipe and on to a socket within the kernel. Only what lies behind urgent
//! data has to be read. Neither side is waited for: who does not read has what is for them in a pipe of their own, and those who
//! have nothing to say cost two descriptors.
//!
//! All of it is in the part of the program that no other server has in memory, see link.ld.

use super::kernel::{close, close_all_but, errno, exit, now, nr, syscall, syscall3};

/// Where the server inside is: a struct sockaddr of ip(7) or ipv6(7).
#[derive(Clone, Copy)]
pub struct Address {
    bytes: [u8; 28],
    len: usize,
}

impl Address {
    /// Takes what a message says, address and length.
    #[unsafe(link_section = ".cold")]
    pub fn new(at: &[u8]) -> Self {
        let mut address = Self { bytes: [0; 28], len: 0 };
        for (to, from) in address.bytes.iter_mut().zip(at) {
            *to = *from;
            address.len += 1;
        }
        address
    }

    #[unsafe(link_section = ".cold")]
    fn is(&self, other: &Self) -> bool {
        let words = self.bytes.as_chunks::<4>().0.iter().zip(other.bytes.as_chunks::<4>().0);
        words.fold(0, |found, (a, b)| found | u32::from_ne_bytes(*a) ^ u32::from_ne_bytes(*b)) == 0
    }

    #[unsafe(link_section = ".cold")]
    fn family(&self) -> usize {
        let [low, high, ..] = self.bytes;
        u16::from_ne_bytes([low, high]) as usize
    }
}

/// What waits to be passed on from one socket to the other.
#[derive(Clone, Copy)]
struct Flow {
    /// Where it lies: what is read from, what is written to. Only there while something lies in it.
    pipe: [i32; 2],
    held: usize,
    /// Nothing more comes.
    ended: bool,
    /// The other side was told so: the flow is over.
    told: bool,
}

const NO_PIPE: [i32; 2] = [-1; 2];
const CLOSED: [i32; 2] = [-1; 2];
const EMPTY: Flow = Flow { pipe: NO_PIPE, held: 0, ended: false, told: false };

/// A connection: the socket outside, the socket inside. Each flow is from the socket of its number.
#[derive(Clone, Copy)]
struct Connection {
    sockets: [i32; 2],
    /// What epoll tells of each; of what nothing is wanted it is not asked, since it would tell of its end without end.
    watched: [u32; 2],
    flows: [Flow; 2],
    connecting: bool,
    /// Of a place that is free: the next one that is, counted from 1.
    next: usize,
}

#[repr(C, packed)]
#[derive(Clone, Copy)]
struct Event {
    events: u32,
    key: u64,
}

const IN: u32 = 1;
const OUT: u32 = 4;
const ERR: u32 = 8;
const HUP: u32 = 16;
const ADD: usize = 1;
const DEL: usize = 2;
const MOD: usize = 3;
/// The keys of what is no connection; theirs are place and side.
const LISTENER: u64 = u64::MAX;
const CONTAINER: u64 = u64::MAX - 1;

/// The most connections at a time, for which the memory is set aside.
const MAX_CONNECTIONS: usize = 16384;
/// Descriptors of a connection where both sides are slow, and those that are no connection's.
const FDS: usize = 6;
const OWN_FDS: usize = 16;
/// How often one connection has its turn before the others have theirs, and how many are accepted before that.
const ROUNDS: usize = 8;
/// As much as is asked for at once; a pipe takes less.
const CHUNK: usize = 1 << 20;
/// How long nobody is accepted where the machine has no more descriptors or memory, in milliseconds.
const PAUSE: u64 = 100;

pub struct Forwarder {
    listener: i32,
    container: i32,
    server: Address,
    epoll: i32,
    table: &'static mut [Connection],
    /// How many places were ever in use, and the first one that is free again, counted from 1.
    used: usize,
    free: usize,
    /// A pipe that nobody uses now.
    spare: [i32; 2],
    listening: bool,
    /// When to accept again; 0 where that waits for a free place only.
    pause: u64,
}

impl Forwarder {
    /// Gives up every capability, and makes what the loop needs; a negative errno where that can't be. `container` is a pidfd.
    #[unsafe(link_section = ".cold")]
    pub fn new(listener: i32, container: i32, server: Address) -> Result<Self, i32> {
        const EPOLL_CLOEXEC: usize = 0o2_000_000;
        const PROT_READ_WRITE: usize = 3;
        const MAP_PRIVATE_ANONYMOUS_NORESERVE: usize = 0x4022;
        let places = MAX_CONNECTIONS.min(raise_limit().saturating_sub(OWN_FDS) / FDS);
        // Version 3 of struct __user_cap_header_struct, for ourselves.
        let header = [0x2008_0522u32, 0];
        let none = [0u32; 6];
        let len = places * size_of::<Connection>();
        // SAFETY: the records outlive the calls; new memory is nobody's, and all zeroes, which are a Connection.
        let (epoll, table) = unsafe {
            let done = syscall3(nr::CAPSET, &raw const header as usize, &raw const none as usize, 0);
            if done < 0 {
                return Err(-done as i32);
            }
            let at = syscall(nr::MMAP, 0, len, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS_NORESERVE, usize::MAX, 0);
            if at < 0 {
                return Err(-at as i32);
            }
            let table = core::slice::from_raw_parts_mut(at as *mut Connection, places);
            (syscall3(nr::EPOLL_CREATE1, EPOLL_CLOEXEC, 0, 0), table)
        };
        if epoll < 0 {
            return Err(-epoll as i32);
        }
        let epoll = epoll as i32;
        let spare = NO_PIPE;
        let mut this =
            Self { listener, container, server, epoll, table, used: 0, free: 0, spare, listening: false, pause: 0 };
        this.listen();
        let watched = control(epoll, ADD, container, IN, CONTAINER);
        if this.listening && watched == 0 { Ok(this) } else { Err(-watched as i32) }
    }

    /// Forwards until the container has ended.
    #[unsafe(link_section = ".cold")]
    pub fn run(mut self) -> ! {
        close_all_but(&mut [self.listener, self.container, self.epoll]);
        loop {
            const EVENTS: usize = 64;
            let mut events = [Event { events: 0, key: 0 }; EVENTS];
            let timeout = if self.pause == 0 { usize::MAX } else { PAUSE as usize };
            let at = events.as_mut_ptr() as usize;
            // SAFETY: the kernel writes at most as many events as there are.
            let count = unsafe { syscall(nr::EPOLL_PWAIT, self.epoll as usize, at, EVENTS, timeout, 0, 8) };
            if count < 0 && count != -errno::EINTR as isize {
                exit(1);
            }
            let mut arrived = false;
            for event in events.iter().take(count.max(0) as usize) {
                match event.key {
                    LISTENER => arrived = true,
                    CONTAINER => exit(0),
                    key => self.serve(key as usize >> 1, key as usize & 1, event.events),
                }
            }
            if self.pause != 0 && now() >= self.pause {
                self.listen();
            }
            // The last thing, so that no event is taken for one of a connection that has only now come to a place.
            if arrived && self.listening {
                self.accept();
            }
        }
    }

    #[unsafe(link_section = ".cold")]
    fn listen(&mut self) {
        self.pause = 0;
        self.listening = self.listening || control(self.epoll, ADD, self.listener, IN, LISTENER) == 0;
    }

    /// Nobody is accepted until a place is free, or after a pause.
    #[unsafe(link_section = ".cold")]
    fn stop_listening(&mut self, pause: u64) {
        control(self.epoll, DEL, self.listener, 0, LISTENER);
        self.listening = false;
        self.pause = pause;
    }

    #[unsafe(link_section = ".cold")]
    fn accept(&mut self) {
        const NONBLOCK_CLOEXEC: usize = 0o2_004_000;
        for _ in 0..ROUNDS {
            if self.free == 0 && self.used == self.table.len() {
                return self.stop_listening(0);
            }
            // SAFETY: plain numbers; nobody's address is asked for.
            let socket = unsafe { syscall(nr::ACCEPT4, self.listener as usize, 0, 0, NONBLOCK_CLOEXEC, 0, 0) } as i32;
            match -socket {
                ..=0 => self.begin(socket),
                errno::EAGAIN => return,
                errno::EINTR | errno::ECONNABORTED => {}
                // The kernel would tell of who waits there again and again.
                _ => return self.stop_listening(now().wrapping_add(PAUSE)),
            }
        }
    }

    /// Connects whoever was accepted to the server.
    #[unsafe(link_section = ".cold")]
    fn begin(&mut self, outside: i32) {
        const STREAM_NONBLOCK_CLOEXEC: usize = 1 | 0o2_004_000;
        let server = self.server;
        // SAFETY: the address outlives the call.
        let (inside, connected) = unsafe {
            let inside = syscall3(nr::SOCKET, server.family(), STREAM_NONBLOCK_CLOEXEC, 0);
            set(inside as i32, IPPROTO_TCP, TCP_NODELAY, &[1]);
            (inside as i32, syscall3(nr::CONNECT, inside as usize, &raw const server.bytes as usize, server.len))
        };
        let place = if self.free == 0 { self.used } else { self.free - 1 };
        let Some(connection) = self.table.get_mut(place) else { return close(outside) };
        if self.free == 0 {
            self.used += 1;
        } else {
            self.free = connection.next;
        }
        let sockets = [outside, inside];
        *connection = Connection { sockets, watched: [0; 2], flows: [EMPTY; 2], connecting: true, next: 0 };
        let begun = connected == 0 || connected == -errno::EINPROGRESS as isize;
        if !begun || !connection.watch(self.epoll, place) {
            self.end(place, true);
        }
    }

    /// Something has happened to a socket of a connection.
    #[unsafe(link_section = ".cold")]
    fn serve(&mut self, place: usize, side: usize, events: u32) {
        let Some(connection) = self.table.get_mut(place) else { return };
        // What both sides were told of at once, and the first of them has ended it.
        if connection.sockets == CLOSED {
            return;
        }
        let fails = if connection.connecting {
            connection.connecting = false;
            !connection.is_connected(&self.server)
        } else {
            events & ERR != 0 || !connection.pass(side, events, &mut self.spare)
        };
        let over = connection.flows.iter().all(|flow| flow.told);
        if fails || over || !connection.watch(self.epoll, place) {
            self.end(place, !over);
        }
    }

    /// Closes a connection; both sides see a reset where it was not over.
    #[unsafe(link_section = ".cold")]
    fn end(&mut self, place: usize, reset: bool) {
        let Some(connection) = self.table.get_mut(place) else { return };
        for socket in core::mem::replace(&mut connection.sockets, CLOSED) {
            if reset {
                const SO_LINGER: usize = 13;
                // SAFETY: struct linger: on, and for no time at all.
                unsafe { set(socket, SOL_SOCKET, SO_LINGER, &[1, 0]) };
            }
            close(socket);
        }
        for flow in &connection.flows {
            let [read, write] = flow.pipe;
            close(read);
            close(write);
        }
        connection.next = self.free;
        self.free = place + 1;
        if self.pause == 0 {
            self.listen();
        }
    }
}

impl Connection {
    /// Whether the server is there, and not we ourselves: where nothing listens on a port of those that the kernel gives out, it may
    /// give that very one to a socket that tries to reach it.
    #[unsafe(link_section = ".cold")]
    fn is_connected(&self, server: &Address) -> bool {
        const SO_ERROR: usize = 4;
        let [_, inside] = self.sockets;
        let (mut error, mut own) = ([0i32], Address { bytes: [0; 28], len: 28 });
        let mut len = 4u32;
        // SAFETY: the kernel writes an int, and an address of at most so many bytes.
        unsafe {
            let at = &raw mut error as usize;
            syscall(nr::GETSOCKOPT, inside as usize, SOL_SOCKET, SO_ERROR, at, &raw mut len as usize, 0);
            len = 28;
            syscall3(nr::GETSOCKNAME, inside as usize, &raw mut own.bytes as usize, &raw mut len as usize);
        }
        error == [0] && !own.is(server)
    }

    /// Passes on what there is to be read on this side, and what this side can take. Whether it can go on.
    #[unsafe(link_section = ".cold")]
    fn pass(&mut self, side: usize, events: u32, spare: &mut [i32; 2]) -> bool {
        let [outside, inside] = self.sockets;
        let ways = [(0, outside, inside), (1, inside, outside)];
        for (flow, (from, source, sink)) in self.flows.iter_mut().zip(ways) {
            let wanted = if side == from { IN | HUP } else { OUT };
            let mut first = side == from;
            for _ in 0..ROUNDS {
                if events & wanted == 0 || flow.told {
                    break;
                }
                match flow.pass(source, sink, spare, first) {
                    Ok(true) => first = false,
                    Ok(false) => break,
                    Err(()) => return false,
                }
            }
        }
        true
    }

    /// Asks epoll for what each side waits for. Whether that could be.
    #[unsafe(link_section = ".cold")]
    fn watch(&mut self, epoll: i32, place: usize) -> bool {
        let [outward, inward] = &self.flows;
        let hears = |flow: &Flow| if flow.ended || flow.held > 0 { 0 } else { IN };
        let takes = |flow: &Flow| if flow.held > 0 { OUT } else { 0 };
        let wanted = match self.connecting {
            true => [0, OUT],
            false => [hears(outward) | takes(inward), hears(inward) | takes(outward)],
        };
        let sides = self.sockets.iter().zip(&mut self.watched).zip(wanted);
        for (side, ((&socket, watched), wanted)) in sides.enumerate() {
            let operation = match (*watched, wanted) {
                (before, now) if before == now => continue,
                (0, _) => ADD,
                (_, 0) => DEL,
                _ => MOD,
            };
            if control(epoll, operation, socket, wanted, (place << 1 | side) as u64) < 0 {
                return false;
            }
            *watched = wanted;
        }
        true
    }
}

impl Flow {
    /// Passes on what there is, as far as it goes at once: whether anything has moved. `told`: epoll has said that there is something.
    #[unsafe(link_section = ".cold")]
    fn pass(&mut self, source: i32, sink: i32, spare: &mut [i32; 2], told: bool) -> Result<bool, ()> {
        let mut moved = false;
        if self.held == 0 && !self.ended {
            self.pipe = take(spare)?;
            let [_, write] = self.pipe;
            let mut got = splice(source, write, CHUNK);
            if got == 0 || got == -errno::EAGAIN as isize && told {
                got = copy(source, write);
            }
            match got {
                1.. => self.held = got as usize,
                0 => self.ended = true,
                _ if is_later(got) => {}
                _ => return Err(()),
            }
            moved = got >= 0;
        }
        let [read, _] = self.pipe;
        if self.held > 0 {
            match splice(read, sink, self.held) {
                sent @ 1.. => {
                    self.held = self.held.saturating_sub(sent as usize);
                    moved = true;
                }
                sent if is_later(sent) => {}
                _ => return Err(()),
            }
        }
        if self.held == 0 {
            give(spare, core::mem::replace(&mut self.pipe, NO_PIPE));
            if self.ended && !self.told {
                const SHUT_WR: usize = 1;
                // SAFETY: plain numbers. Where the other side is gone, its reset is told of.
                unsafe { syscall3(nr::SHUTDOWN, sink as usize, SHUT_WR, 0) };
                self.told = true;
            }
        }
        Ok(moved)
    }
}

const SOL_SOCKET: usize = 1;
const IPPROTO_TCP: usize = 6;
const TCP_NODELAY: usize = 1;

/// setsockopt(2).
///
/// # Safety
/// The option has to be one of so many ints.
#[unsafe(link_section = ".cold")]
unsafe fn set(socket: i32, level: usize, name: usize, value: &[i32]) {
    // SAFETY: the caller answers for the value.
    unsafe { syscall(nr::SETSOCKOPT, socket as usize, level, name, value.as_ptr() as usize, size_of_val(value), 0) };
}

#[unsafe(link_section = ".cold")]
fn is_later(result: isize) -> bool {
    result == -errno::EAGAIN as isize || result == -errno::EINTR as isize
}

/// splice(2), which waits for neither side.
#[unsafe(link_section = ".cold")]
fn splice(from: i32, to: i32, len: usize) -> isize {
    const MOVE_NONBLOCK: usize = 3;
    // SAFETY: plain numbers.
    unsafe { syscall(nr::SPLICE, from as usize, 0, to as usize, 0, len, MOVE_NONBLOCK) }
}

/// As [`splice`], by our own memory, to an empty pipe: splice(2) stops before urgent data, or takes it for the end, where read(2)
/// leaves it out (`tcp_splice_read`, `tcp_read_sock` and `tcp_recvmsg_locked` of net/ipv4/tcp.c).
#[unsafe(link_section = ".cold")]
fn copy(from: i32, to: i32) -> isize {
    let mut bytes = [0u8; 256];
    // SAFETY: as many bytes as there are; the sockets don't wait, and the pipe has room.
    unsafe {
        match syscall3(nr::READ, from as usize, &raw mut bytes as usize, size_of_val(&bytes)) {
            got @ 1.. => syscall3(nr::WRITE, to as usize, &raw const bytes as usize, got as usize),
            other => other,
        }
    }
}

/// A pipe with nothing in it.
#[unsafe(link_section = ".cold")]
fn take(spare: &mut [i32; 2]) -> Result<[i32; 2], ()> {
    const NONBLOCK_CLOEXEC: usize = 0o2_004_000;
    let mut pipe = core::mem::replace(spare, NO_PIPE);
    if pipe == NO_PIPE {
        // SAFETY: the kernel writes two descriptors.
        let made = unsafe { syscall3(nr::PIPE2, &raw mut pipe as usize, NONBLOCK_CLOEXEC, 0) };
        if made < 0 {
            return Err(());
        }
    }
    Ok(pipe)
}

/// The same back.
#[unsafe(link_section = ".cold")]
fn give(spare: &mut [i32; 2], pipe: [i32; 2]) {
    if *spare == NO_PIPE {
        *spare = pipe;
    } else {
        let [read, write] = pipe;
        close(read);
        close(write);
    }
}

/// epoll_ctl(2).
#[unsafe(link_section = ".cold")]
fn control(epoll: i32, operation: usize, fd: i32, events: u32, key: u64) -> isize {
    let event = Event { events, key };
    let at = &raw const event as usize;
    // SAFETY: the record outlives the call.
    unsafe { syscall(nr::EPOLL_CTL, epoll as usize, operation, fd as usize, at, 0, 0) }
}

/// Raises the soft limit of descriptors to the hard one: how many there may be.
#[unsafe(link_section = ".cold")]
fn raise_limit() -> usize {
    const RLIMIT_NOFILE: usize = 7;
    let mut limit = [0usize; 2];
    // SAFETY: the kernel writes and reads two numbers.
    unsafe {
        syscall(nr::PRLIMIT64, 0, RLIMIT_NOFILE, 0, &raw mut limit as usize, 0, 0);
        let [soft, hard] = &mut limit;
        *soft = *hard;
        syscall(nr::PRLIMIT64, 0, RLIMIT_NOFILE, &raw const limit as usize, 0, 0, 0);
    }
    let [soft, _] = limit;
    soft
}
