//! The loop: waits for requests, exits of children and time limits, and serves them. The zygote and PID 1 run the same one;
//! they differ in where requests come from and in what the end of a socket means.

use ctr_wire::{
    BY_CHILD, CLOSED, CONTROL, Call, DETACHED, DONE, EXEC, FAILED, FORWARD, HANDED, Handover, IN_BUDGET, IN_FORWARD,
    IN_HANDOVER, IN_LATE, IN_MESSAGE, IN_NEWGIDMAP, IN_NEWUIDMAP, IN_PARENT, IN_START, IN_TABLE, LARGE, LIMITED,
    MAX_FDS, NONE, PREPARE, PROC, ParentPlan, RESULTS, RETIRE, RUN, Reply, Request, SAID, SLOTS, SPARE, SPAWN, STATUS,
    USER_NAMESPACE,
};

use super::children::{self, Children};
use super::forward::{Address, Forwarder};
use super::kernel::{self, CLONE_FILES, SIGKILL, SIGNALS, close, exit, now, nr, raise, syscall, syscall3};
use super::lifeline;
use super::memory::{Child, Claim, MAX_SOCKETS, MEMORY};
use super::message::{self, Received, close_slots, receive, reply};
use super::spawn::{self, Forked, Spawned, set_up, spawn};
use super::start::{Started, start};
use super::sweep::BUDGET;
use super::wait::Awaited;
use super::walk::{Failure, Slots, walk};

/// How long a child that was made ahead of time waits for somebody to want it, in milliseconds.
const POOL_TIMEOUT: u64 = 10_000;
/// What a server is.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Zygote,
    /// PID 1, or a server in joined namespaces. It ends with its zygote.
    Init,
    /// The same, made to outlive everyone.
    Detached,
}

struct Server {
    role: Role,
    slots: Slots,
    children: Children,
    /// PID 1: its end of the setup socket; its end means that the zygote is gone.
    setup: i32,
    listener: i32,
    /// PID 1: the socket of whoever had it made.
    maker: i32,
    sockets: usize,
    retired: bool,
    /// What a child has to tell the host with its first reply; its pidfd goes with it.
    news: Option<Handover>,
    /// The kind of request that is being served.
    serving: u32,
    /// Where the kernel has argv\[0\], which ps(1) shows.
    title: usize,
    /// The child in the pool, and the shape it has.
    spare: Spawned,
    spare_shape: u64,
}

/// Serves until there is no reason to.
pub fn serve(title: usize) -> ! {
    let mut server = Server {
        role: Role::Zygote,
        slots: [-1; SLOTS],
        children: Children::new(),
        setup: -1,
        listener: -1,
        maker: -1,
        sockets: 0,
        retired: false,
        news: None,
        serving: 0,
        title,
        spare: Spawned { pid: 0, pidfd: -1, setup: -1, claim: Claim::NONE },
        spare_shape: 0,
    };
    server.hear(0);
    loop {
        if server.wait() {
            server.children.reap(Some(&mut server.spare));
        }
        if server.role == Role::Zygote {
            if lifeline::is_cut() {
                server.end_all();
            }
            if server.retired && server.spare.pid != 0 {
                server.discard_spare();
            }
            if server.retired && server.children.is_empty() {
                exit(0);
            }
        }
    }
}

impl Server {
    fn sockets(&self) -> &'static mut [i32] {
        // SAFETY: one thread, one slice at a time; sockets <= MAX_SOCKETS.
        unsafe { core::slice::from_raw_parts_mut((&raw mut MEMORY.sockets).cast(), self.sockets) }
    }

    /// The host is gone. What it made and did not detach goes too, and is reaped by the loop, so that nobody else has to. Where
    /// something is left, its ids have to stay its own, so the zygote waits for its end, in no directory of the host's.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    fn end_all(&mut self) {
        if self.spare.pid != 0 {
            spawn::kill(&self.spare);
            children::bury(self.spare.pid);
            self.spare.pid = 0;
        }
        self.children.end_all();
        // Whatever the host has asked for last is not made any more.
        self.sockets = 0;
        self.retired = true;
        // SAFETY: a string. Where it fails, the directory that the host was in stays in use.
        unsafe { syscall3(nr::CHDIR, c"/".as_ptr() as usize, 0, 0) };
    }

    /// Hears one more socket.
    fn hear(&mut self, socket: i32) {
        if self.sockets == MAX_SOCKETS {
            close(socket);
            return;
        }
        self.sockets += 1;
        if let Some(last) = self.sockets().last_mut() {
            *last = socket;
        }
    }

    fn hear_no_more(&mut self, socket: i32) {
        close(socket);
        let last = self.sockets().last().copied().unwrap_or(-1);
        if let Some(place) = self.sockets().iter_mut().find(|place| **place == socket) {
            *place = last;
            self.sockets -= 1;
        }
    }

    /// Sleeps until something happens and serves what came on sockets. Whether children have ended, which is for the caller.
    fn wait(&mut self) -> bool {
        let mut limit = self.children.enforce();
        if self.spare.pid != 0 {
            limit = Some(limit.map_or(POOL_TIMEOUT, |other| other.min(POOL_TIMEOUT)));
        }
        let spare_is_too_old = limit == Some(POOL_TIMEOUT) && !self.children.more;
        if self.children.more {
            limit = Some(0);
        }
        let fds = self.sockets().iter().copied().chain([SIGNALS, self.listener, self.setup]);
        let ready = Awaited::wait(fds, limit);
        if ready.is_empty() {
            if self.spare.pid != 0 && spare_is_too_old {
                self.discard_spare();
            }
            return self.children.more;
        }
        // Whom a request makes us hear no more has its place taken by the last.
        let mut i = 0;
        while let Some(&socket) = self.sockets().get(i) {
            if ready.is_ready(socket) {
                self.take(socket);
            }
            i += usize::from(self.sockets().get(i) == Some(&socket));
        }
        if ready.is_ready(self.listener) {
            self.accept();
        }
        if ready.is_ready(self.setup) {
            if self.role == Role::Init {
                exit(0); // The zygote is gone, and so everything must be.
            }
            close(self.setup);
            self.setup = -1;
        }
        if ready.is_ready(SIGNALS) {
            kernel::read_signals();
            return true;
        }
        self.children.more
    }

    /// Kills the child in the pool.
    fn discard_spare(&mut self) {
        self.children.discard(&self.spare);
        self.spare.pid = 0;
    }

    /// A joiner connects. The socket lies in a directory that only its user can enter; a peer that has a pid in our own
    /// namespace is inside the container, and has no business here.
    fn accept(&mut self) {
        const SOCK_CLOEXEC: usize = 0o2_000_000;
        const SO_PEERCRED: usize = 17;
        // SAFETY: plain calls; the kernel writes a struct ucred.
        let (socket, peer) = unsafe {
            let socket = syscall(nr::ACCEPT4, self.listener as usize, 0, 0, SOCK_CLOEXEC, 0, 0) as i32;
            let mut credentials = [0i32; 3];
            let mut len = 12u32;
            let at = &raw mut credentials as usize;
            syscall(nr::GETSOCKOPT, socket as usize, 1, SO_PEERCRED, at, &raw mut len as usize, 0);
            let [pid, ..] = credentials;
            (socket, pid)
        };
        let own_pid_namespace = {
            // SAFETY: no arguments.
            unsafe { syscall3(nr::GETPID, 0, 0, 0) == 1 }
        };
        if peer != 0 && own_pid_namespace {
            close(socket);
        } else if socket >= 0 {
            self.hear(socket);
        }
    }

    /// Serves the next message of `socket`.
    fn take(&mut self, socket: i32) {
        let mut large = false;
        match receive(socket, &mut self.slots) {
            Received::Nothing => return,
            Received::End if self.role == Role::Zygote => self.retired = true,
            // The host has given up on us before we were ready.
            Received::End if self.news.is_some() => exit(1),
            // It has let go of us without a word, as where it could not take the answer that we were ready.
            Received::End if self.role == Role::Init && socket == self.maker => exit(1),
            Received::End => {}
            Received::Malformed => {
                self.fail(Failure { call: IN_MESSAGE, errno: kernel::errno::EPROTO });
                large = true;
            }
            Received::Request(request, fds) => {
                large = request.flags & LARGE != 0;
                let calls = calls_of(request);
                self.serving = request.kind;
                let role = self.role;
                match request.kind {
                    SPAWN if self.role == Role::Zygote => self.spawn(request, calls, fds),
                    SPARE if self.role == Role::Zygote => self.add_spare(request, calls),
                    PREPARE => _ = self.walk_or_fail(calls),
                    RUN => self.run(request, calls),
                    EXEC => self.exec(request, calls),
                    FORWARD if self.role == Role::Init => self.forward(request, calls),
                    RETIRE if self.role == Role::Zygote => self.retired = true,
                    LIMITED if self.role == Role::Zygote => {
                        let file = raise(self.keep_status());
                        self.children.limit(request.before as i32, file);
                    }
                    _ => self.fail(Failure { call: IN_MESSAGE, errno: kernel::errno::EPROTO }),
                }
                close_slots(&mut self.slots);
                // After these another request is on its way, and takes the same memory.
                if large || self.serving != PREPARE && self.role == role {
                    message::forget(large);
                }
                return;
            }
        }
        if large {
            close_slots(&mut self.slots);
            message::forget(large);
        } else {
            self.hear_no_more(socket);
        }
    }

    fn fail(&self, failure: Failure) {
        let [status, ..] = self.slots;
        let failed =
            Reply { tag: FAILED, call: failure.call, errno: failure.errno, note: self.serving, ..Reply::default() };
        let by_program = failure.call == IN_NEWUIDMAP || failure.call == IN_NEWGIDMAP;
        let said = self.slots.get(SAID..SAID + 1).filter(|_| by_program);
        reply(status, &failed, said.unwrap_or_default());
    }

    /// Takes the status channel out of the slots, or the end of the request would close it.
    fn keep_status(&mut self) -> i32 {
        let [status, ..] = &mut self.slots;
        core::mem::replace(status, -1)
    }

    /// The server itself walks the calls; whether they went well.
    fn walk_or_fail(&mut self, calls: &[Call]) -> bool {
        // SAFETY: calls of our own library.
        let walked = unsafe { walk(calls, 0, &mut self.slots) };
        if let Err(failure) = walked {
            self.fail(failure);
            // A child that can't become what it was made for is of no use.
            if self.news.is_some() {
                exit(1);
            }
        }
        walked.is_ok()
    }

    /// RUN: the server itself walks the calls, and answers.
    fn run(&mut self, request: &Request, calls: &[Call]) {
        let (calls, late) = match request.before as usize {
            0 => (calls, &[][..]),
            before => calls.split_at_checked(before).unwrap_or((calls, &[])),
        };
        if request.flags & BY_CHILD != 0 {
            // It opens what the container may have put there, and that may take its time. Descriptors are shared where some are to
            // be handed back; else they are its own, since closing one may wait as well, for a FUSE that is told of it.
            let shared = if request.give.iter().any(|&slot| slot != NONE) { CLONE_FILES } else { 0 };
            match start(calls, 0, &mut self.slots, shared, request.patience, &mut self.children) {
                Started::Walked => {}
                Started::Failed(failure) => return self.fail(failure),
                Started::Runs(..) => return self.fail(Failure { call: IN_START, errno: kernel::errno::EINTR }),
            }
        } else if !self.walk_or_fail(calls) {
            return;
        }
        self.show_title(request);
        if request.listener != NONE
            && let Some(slot) = self.slots.get_mut(request.listener as usize)
        {
            self.listener = core::mem::replace(slot, -1);
        }
        let [status, ..] = self.slots;
        let (news, pidfd) = match self.news.take() {
            Some(news) => (news, self.slots.get_mut(HANDED + 1).map_or(-1, |slot| core::mem::replace(slot, -1))),
            None => (Handover::default(), -1),
        };
        if news.pid != 0 {
            let proc = self.slots.get(PROC).copied().unwrap_or(-1);
            self.children.sweep.settle(proc, news.pid as u32);
        }
        let (time, processor_time) = (request.time_limit, request.cpu_time_limit);
        if time | processor_time != 0 && !self.children.limit_all(time, processor_time, u64::from(request.processors)) {
            self.fail(Failure { call: IN_BUDGET, errno: kernel::errno::EOPNOTSUPP });
            exit(1);
        }
        if request.user != NONE {
            self.children.count_time(request, &mut self.slots);
        }
        let mut gifts = [-1; 5];
        let gifts = self.gifts(request, pidfd, &mut gifts);
        let told = reply(status, &Reply { tag: DONE, pid: news.pid, note: news.range, ..Reply::default() }, gifts);
        close(pidfd);
        // A host that does not hear of its child has given up on it, or never learns of it.
        if told < 0 && news.pid != 0 {
            exit(1);
        }
        // SAFETY: as above.
        if let Err(failure) = unsafe { walk(late, IN_LATE, &mut self.slots) } {
            // Nothing may run in a container without its walls. Whoever asks for something next finds this, and that we are gone.
            self.fail(failure);
            exit(1);
        }
    }

    fn show_title(&self, request: &Request) {
        let [address, len] = request.title;
        if address != 0 {
            // SAFETY: the host sends no more bytes than the argv[0] it gave the zygote has.
            unsafe { core::ptr::copy_nonoverlapping(address as *const u8, self.title as *mut u8, len as usize) };
        }
    }

    /// FORWARD: the server becomes a forwarder, for good.
    #[inline(never)]
    #[unsafe(link_section = ".cold")]
    fn forward(&mut self, request: &Request, calls: &[Call]) {
        let (first, last) = calls.split_at_checked(request.before as usize).unwrap_or((calls, &[]));
        if !self.walk_or_fail(first) {
            return;
        }
        let slot = |slot: u8| self.slots.get(slot as usize).copied().unwrap_or(-1);
        let [address, len] = request.uid_map;
        // SAFETY: an address and a length within the message.
        let server = Address::new(unsafe { core::slice::from_raw_parts(address as *const u8, len as usize) });
        let forwarder = match Forwarder::new(slot(request.listener), slot(request.user), server) {
            Ok(forwarder) => forwarder,
            Err(errno) => return self.fail(Failure { call: IN_FORWARD, errno }),
        };
        // SAFETY: calls of our own library.
        if let Err(failure) = unsafe { walk(last, first.len() as u32, &mut self.slots) } {
            return self.fail(failure);
        }
        self.show_title(request);
        let [status, ..] = self.slots;
        // A host that does not hear of it has given up on it.
        if reply(status, &Reply { tag: DONE, ..Reply::default() }, &[]) < 0 {
            exit(1);
        }
        message::give_back();
        forwarder.run()
    }

    /// The descriptors that go back: `first`, where there is one, and the request's `give`.
    fn gifts<'a>(&self, request: &Request, first: i32, into: &'a mut [i32; 5]) -> &'a [i32] {
        let given = request.give.iter().filter_map(|&slot| self.slots.get(slot as usize).copied());
        let mut count = 0;
        for (to, fd) in into.iter_mut().zip([first].into_iter().chain(given).filter(|&fd| fd >= 0)) {
            *to = fd;
            count += 1;
        }
        into.get(..count).unwrap_or_default()
    }

    /// EXEC: a child that shares our memory walks the calls, which end in execve.
    fn exec(&mut self, request: &Request, calls: &[Call]) {
        if self.children.is_full() {
            return self.fail(Failure { call: IN_TABLE, errno: kernel::errno::EAGAIN });
        }
        let (own, childs) = calls.split_at_checked(request.before as usize).unwrap_or((calls, &[]));
        // SAFETY: calls of our own library.
        if let Err(failure) = unsafe { walk(own, 0, &mut self.slots) } {
            return self.fail(failure);
        }
        let deadline = if request.time_limit == 0 { 0 } else { now().saturating_add(request.time_limit) };
        let mut budget = 0;
        if request.cpu_time_limit != 0 {
            budget = match self.children.open_budget(request, deadline, &mut self.slots) {
                Ok(budget) => budget,
                Err(errno) => return self.fail(Failure { call: IN_BUDGET, errno }),
            };
        } else {
            self.children.budgets.disturb();
        }
        let mark = if budget == 0 { deadline } else { budget };
        if request.mark != 0 && (budget != 0 || deadline < BUDGET) {
            // SAFETY: an address within the message, of as many words.
            let limits = unsafe { &mut *(request.mark as *mut [u64; 4]) };
            self.children.sweep.mark(mark, limits);
        }
        let first = own.len() as u32;
        let started = start(childs, first, &mut self.slots, 0, request.patience, &mut self.children);
        let Started::Runs(pid, pidfd) = started else {
            if budget != 0 {
                self.children.budgets.leave(budget);
            }
            return self.fail(match started {
                Started::Failed(failure) => failure,
                // A plan without execve is a mistake of the host.
                _ => Failure { call: IN_MESSAGE, errno: kernel::errno::EPROTO },
            });
        };
        let mut gifts = [-1; 5];
        let gifts = self.gifts(request, pidfd, &mut gifts);
        let status = self.keep_status();
        let early = self.children.forget();
        let named = if early.is_none() { pid } else { 0 };
        let told = message::reply_of(status, &Reply { tag: DONE, pid, ..Reply::default() }, gifts, named);
        close(pidfd);
        if told < 0 {
            if early.is_none() {
                // Nobody would ever know of it.
                // SAFETY: our own child, not reaped yet; it is reaped as any other.
                unsafe { syscall3(nr::KILL, pid as usize, SIGKILL as usize, 0) };
            }
            if budget != 0 {
                self.children.budgets.leave(budget);
            }
            return close(status);
        }
        self.children.add(Child { status, deadline, budget, ..Child::of(pid) });
        if let Some(end) = early {
            self.children.report(pid, &end);
        }
    }

    /// SPAWN: hands the child of this shape its control socket, and makes one if none is in the pool.
    fn spawn(&mut self, request: &Request, calls: &[Call], fds: usize) {
        if self.children.is_full() {
            return self.fail(Failure { call: IN_TABLE, errno: kernel::errno::EAGAIN });
        }
        if self.spare.pid != 0 && self.spare_shape == shape_of(request) {
            let child = Spawned { ..self.spare };
            self.spare.pid = 0;
            match self.hand_over(request, &child) {
                Ok(()) => return self.spawned(request, child),
                // It may have died in the pool, which is nothing to this request: another one is made.
                Err(_) => self.children.discard(&child),
            }
        }
        let is_spare = |first| self.spare.pid != 0 && self.spare.claim.first == first;
        let is_ours = |first| self.children.have_range(first) || is_spare(first);
        let child = match spawn(request, &mut self.slots, self.children.are_many(), &is_ours) {
            Ok(Forked::Parent(child)) => child,
            Ok(Forked::Child(setup)) => return self.become_init(setup, request, calls, fds),
            Err(failure) => return self.fail(failure),
        };
        match self.hand_over(request, &child) {
            Ok(()) => self.spawned(request, child),
            // It was faster than we, and has failed already. When it is reaped, its last words say at what.
            Err(Failure { call: IN_HANDOVER, errno: kernel::errno::EPIPE }) => self.spawned(request, child),
            Err(failure) => {
                self.children.discard(&child);
                self.fail(failure);
            }
        }
    }

    fn spawned(&mut self, request: &Request, Spawned { pid, pidfd, setup, claim, .. }: Spawned) {
        // It tells the host itself, once it is ready: the host is woken once, not twice.
        let (mut status, mut setup) = (self.keep_status(), setup);
        close(pidfd);
        if self.children.are_many() {
            (status, setup) = (raise(status), raise(setup));
        }
        let detached = request.flags & DETACHED != 0;
        self.children.add(Child { status, setup, detached, claim, ..Child::of(pid) });
    }

    /// SPARE: puts a child of this shape in the pool. One of another shape has to go.
    fn add_spare(&mut self, request: &Request, calls: &[Call]) {
        let shape = shape_of(request);
        if self.spare.pid != 0 {
            if self.spare_shape == shape {
                return;
            }
            self.discard_spare();
        }
        let is_ours = |first| self.children.have_range(first);
        match spawn(request, &mut self.slots, self.children.are_many(), &is_ours) {
            Ok(Forked::Parent(child)) => {
                self.spare = child;
                self.spare_shape = shape;
            }
            Ok(Forked::Child(setup)) => self.become_init(setup, request, calls, 0),
            Err(_) => {} // Whoever asks for one next meets the same failure and is told.
        }
    }

    /// Walks the zygote's own part of a SPAWN and hands its results to the child, with the control socket.
    fn hand_over(&mut self, request: &Request, child: &Spawned) -> Result<(), Failure> {
        let at = core::ptr::from_ref(request).wrapping_byte_add(request.shape as usize).cast::<ParentPlan>();
        // SAFETY: `receive` has checked that the record lies within the message, aligned.
        let (parent, calls) =
            unsafe { (&*at, core::slice::from_raw_parts(at.add(1).cast::<Call>(), (*at).calls as usize)) };
        let mut walked = Ok(());
        if !calls.is_empty() {
            if let Some(slot) = self.slots.last_mut() {
                *slot = spawn::user_namespace(child);
            }
            // SAFETY: calls of our own library.
            walked = unsafe { walk(calls, IN_PARENT, &mut self.slots) };
        }
        if walked.is_ok() {
            let mut fds = [-1; MAX_FDS];
            let handed = (parent.handed as usize).min(MAX_FDS - 2) + 2;
            let control = self.slots.iter().skip(CONTROL).take(1);
            let results = self.slots.iter().skip(RESULTS);
            for (to, fd) in fds.iter_mut().zip(control.chain([&child.pidfd]).chain(results)) {
                *to = *fd;
            }
            let handover = Handover { pid: child.pid, range: child.claim.first };
            let at = &raw const handover as usize;
            let sent = message::send(child.setup, at, size_of::<Handover>(), fds.get(..handed).unwrap_or_default());
            if sent < 0 {
                walked = Err(Failure { call: IN_HANDOVER, errno: -sent as i32 });
            }
        }
        for slot in self.slots.iter_mut().skip(RESULTS) {
            close(*slot);
            *slot = -1;
        }
        walked
    }

    /// We are the child. Returns when it is set up, into the loop, as a server of its own.
    fn become_init(&mut self, setup: i32, request: &Request, calls: &[Call], fds: usize) {
        let flags = request.flags;
        self.news = Some(set_up(setup, calls, flags & LARGE != 0, &mut self.slots, fds));
        self.role = if flags & (DETACHED | CLOSED) == DETACHED { Role::Detached } else { Role::Init };
        self.children.clear();
        self.spare.pid = 0;
        self.retired = false;
        self.setup = setup;
        self.sockets = 0;
        if let Some(control) = self.slots.get_mut(HANDED) {
            let control = core::mem::replace(control, -1);
            self.maker = control;
            self.hear(control);
        }
    }
}

fn calls_of(request: &Request) -> &'static [Call] {
    // SAFETY: `receive` has checked that the calls lie within the message, which stays where it is while it is served.
    unsafe { core::slice::from_raw_parts(core::ptr::from_ref(request).add(1).cast(), request.calls as usize) }
}

/// FNV-1a over the bytes that tell the shape: equal shapes, equal numbers. A host that made two shapes collide would harm
/// nobody but itself.
fn shape_of(request: &Request) -> u64 {
    let at = core::ptr::from_ref(request).cast::<u64>();
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for i in 0..request.shape as usize / 8 {
        // SAFETY: within the message, see `receive`.
        let word = unsafe { *at.add(i) };
        // Neither the kind nor the length is part of the shape.
        hash = (hash ^ if i < 2 { word >> 32 } else { word }).wrapping_mul(0x100_0000_01b3);
    }
    hash
}

const _: () = assert!(STATUS == 0 && USER_NAMESPACE == SLOTS - 1);
