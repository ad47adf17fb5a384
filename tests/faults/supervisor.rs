//! The supervisor: is asked by the kernel about each system call of a host process and of all that comes of it,
//! seccomp_unotify(2), and lets one of them fail.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::errnos::{name, plausible};

/// The number of a system call that there is not: the host's way to speak to us.
pub const HYPERCALL: i64 = 0x43_5452;
/// What the host says with it: give me the next operation; it begins; it is over; this came of it; kill my zygotes.
pub const NEXT: u64 = 0;
pub const BEGINS: u64 = 1;
pub const IS_OVER: u64 = 2;
pub const SAYS: u64 = 3;
pub const KILL_ZYGOTES: u64 = 4;

/// Who makes a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    Host,
    Zygote,
    /// PID 1 of a container or a server in joined namespaces, and what they are before they are that.
    Init,
    /// A program that runs inside; no business of ours.
    Program,
}

/// What happens at a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It fails, and is not made.
    Errno(i32),
    /// The first call of this number fails with this errno, whichever it is of all.
    Refuse(i64, i32),
    /// Somebody is killed before it is made.
    Kill(Who),
}

/// A fault: at the `at`-th system call of `who` since the operation began, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub who: Who,
    pub at: usize,
    pub what: What,
}

/// A system call that was seen.
#[derive(Clone, Copy)]
pub struct Call {
    pub who: Who,
    pub data: libc::seccomp_data,
}

/// What the host wants.
pub enum Event {
    /// The next operation: answer with [`Supervisor::order`]. How many containers it holds now.
    Next { held: usize },
    /// What came of the operation.
    Said(String),
    /// The host is gone, and so is every process that came of it.
    Gone,
    /// Nothing happened for too long.
    Hangs,
}

/// A host process and our power over it.
pub struct Supervisor {
    pub child: Child,
    listener: OwnedFd,
    classes: HashMap<i32, (Who, bool)>,
    zygotes: HashSet<i32>,
    /// Processes of the zygote's program that have been seen.
    ours: HashSet<i32>,
    waiting: Option<u64>,
    running: bool,
    fault: Option<Fault>,
    /// The calls since the operation began.
    pub seen: Vec<Call>,
    counts: HashMap<Who, usize>,
    /// The fault that happened, in words.
    pub happened: Option<String>,
    me: PathBuf,
}

/// Longer than any patience of ours.
const LONG: Duration = Duration::from_secs(100);

impl Supervisor {
    /// Starts the host, the ignored test `role` of this program.
    pub fn start(role: &str) -> Self {
        let me = std::env::current_exe().unwrap();
        let child = Command::new(&me)
            .args(["--exact", role, "--ignored", "--nocapture", "--test-threads=1"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let listener = listener_of(child.id() as i32);
        Self {
            child,
            listener,
            classes: HashMap::new(),
            zygotes: HashSet::new(),
            ours: HashSet::new(),
            waiting: None,
            running: false,
            fault: None,
            seen: Vec::new(),
            counts: HashMap::new(),
            happened: None,
            me,
        }
    }

    /// Answers [`Event::Next`]: the operation, and the fault that will come; a negative operation ends the host.
    pub fn order(&mut self, operation: i64, fault: Option<Fault>) {
        self.fault = fault;
        self.happened = None;
        let id = self.waiting.take().expect("the host asked");
        self.answer(id, operation, 0);
    }

    fn kill_zygotes(&mut self) {
        for zygote in self.zygotes.drain() {
            if is_ours(zygote) {
                kill(zygote);
            }
        }
    }

    /// The processes of our program that this host has had made and that live.
    pub fn living(&mut self) -> Vec<i32> {
        self.ours.retain(|&pid| is_ours(pid));
        self.ours.iter().copied().collect()
    }

    /// Serves system calls until the host has something to say.
    pub fn event(&mut self) -> Event {
        let end = Instant::now() + LONG;
        while let Some(asked) = self.asked(end) {
            if i64::from(asked.data.nr) != HYPERCALL {
                self.serve_one(&asked);
            } else if let Some(event) = self.hear(&asked) {
                return event;
            }
        }
        if Instant::now() < end { Event::Gone } else { Event::Hangs }
    }

    /// Serves those who ask now, while the host waits for its order.
    pub fn serve(&mut self) {
        let end = Instant::now() + Duration::from_millis(2);
        while let Some(asked) = self.asked(end) {
            self.serve_one(&asked);
        }
    }

    /// The next question before `end`.
    fn asked(&self, end: Instant) -> Option<libc::seccomp_notif> {
        loop {
            let left = end.saturating_duration_since(Instant::now()).as_millis() as i32;
            let mut poll = libc::pollfd { fd: self.listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one record, which outlives the call.
            if unsafe { libc::poll(&raw mut poll, 1, left) } <= 0 || poll.revents & libc::POLLIN == 0 {
                return None;
            }
            // SAFETY: the kernel wants it zeroed and fills it; the record is of the kernel's size.
            unsafe {
                let mut asked: libc::seccomp_notif = std::mem::zeroed();
                if libc::ioctl(self.listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut asked) == 0 {
                    return Some(asked);
                }
            }
            // It was killed meanwhile.
        }
    }

    fn serve_one(&mut self, asked: &libc::seccomp_notif) {
        let error = self.count(asked);
        let go_on = if error == 0 { libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32 } else { 0 };
        self.respond(asked.id, 0, -error, go_on);
    }

    fn hear(&mut self, asked: &libc::seccomp_notif) -> Option<Event> {
        let [kind, a, b, ..] = asked.data.args;
        match kind {
            NEXT => {
                self.waiting = Some(asked.id);
                return Some(Event::Next { held: a as usize });
            }
            BEGINS => {
                self.seen.clear();
                self.counts.clear();
                // Numbers of processes come again.
                self.classes.clear();
                self.zygotes.retain(|&pid| is_ours(pid));
                self.running = true;
            }
            IS_OVER => self.running = false,
            KILL_ZYGOTES => self.kill_zygotes(),
            SAYS => {
                let text = read_memory(asked.pid as i32, a, b as usize);
                self.answer(asked.id, 0, 0);
                return Some(Event::Said(text));
            }
            _ => {}
        }
        self.answer(asked.id, 0, 0);
        None
    }

    /// Counts a call. The errno that it fails with, or 0.
    fn count(&mut self, asked: &libc::seccomp_notif) -> i32 {
        let who = self.who(asked.pid as i32, i64::from(asked.data.nr));
        if !self.running || who == Who::Program {
            return 0;
        }
        self.seen.push(Call { who, data: asked.data });
        let count = self.counts.entry(who).or_default();
        let at = *count;
        *count += 1;
        let meant = |fault: &Fault| match fault.what {
            What::Refuse(nr, _) => nr == i64::from(asked.data.nr) && self.happened.is_none(),
            _ => fault.at == at,
        };
        let Some(fault) = self.fault.filter(|fault| fault.who == who && meant(fault)) else { return 0 };
        match fault.what {
            What::Refuse(_, errno) => {
                self.happened = Some(name(&asked.data));
                errno
            }
            What::Errno(errno) => {
                // Threads and processes run beside each other, so the calls may have come in another order.
                let errnos = plausible(who, &asked.data);
                let Some(errno) = errnos.iter().copied().find(|&other| other == errno).or(errnos.first().copied())
                else {
                    return 0;
                };
                let known = nix::errno::Errno::from_raw(errno);
                self.happened = Some(format!("{known:?} at call {at} of {who:?}, {}", name(&asked.data)));
                errno
            }
            What::Kill(victim) => {
                self.happened = Some(format!("{victim:?} killed at call {at} of {who:?}, {}", name(&asked.data)));
                match victim {
                    Who::Host => kill(self.child.id() as i32),
                    Who::Zygote => self.kill_zygotes(),
                    _ => kill(asked.pid as i32),
                }
                0
            }
        }
    }

    fn who(&mut self, pid: i32, nr: i64) -> Who {
        let executes = nr == libc::SYS_execve || nr == libc::SYS_execveat;
        let before = match self.classes.get(&pid) {
            Some(&(who, false)) => {
                self.classes.insert(pid, (who, executes));
                return who;
            }
            Some(&(who, true)) => Some(who),
            None => None,
        };
        let who = match fs::read_link(format!("/proc/{pid}/exe")) {
            Ok(exe) if exe == self.me => Who::Host,
            Ok(exe) if exe.as_os_str().as_encoded_bytes().starts_with(b"/memfd:ctr") => {
                let process = thread_group(pid).unwrap_or(pid);
                self.ours.insert(process);
                if before == Some(Who::Host) {
                    self.zygotes.insert(process);
                }
                if self.zygotes.contains(&process) { Who::Zygote } else { Who::Init }
            }
            _ => Who::Program,
        };
        self.classes.insert(pid, (who, executes));
        who
    }

    fn answer(&self, id: u64, value: i64, error: i32) {
        self.respond(id, value, error, 0);
    }

    fn respond(&self, id: u64, val: i64, error: i32, flags: u32) {
        let mut answer = libc::seccomp_notif_resp { id, val, error, flags };
        // SAFETY: the record outlives the call. Whoever asked may be dead by now.
        unsafe { libc::ioctl(self.listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) };
    }

    /// Kills the host, and serves what it leaves until all of it is gone. Whether all of it went.
    pub fn end(&mut self) -> bool {
        kill(self.child.id() as i32);
        self.child.wait().unwrap();
        self.running = false;
        matches!(self.rest(), Event::Gone)
    }

    /// Serves until everybody is gone.
    pub fn rest(&mut self) -> Event {
        loop {
            match self.event() {
                Event::Said(_) => {}
                Event::Next { .. } => self.order(-1, None),
                end => return end,
            }
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Our own child, not reaped yet if it still runs.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// The descriptor of the filter, which the host has just loaded, taken out of its table: pidfd_getfd(2).
fn listener_of(pid: i32) -> OwnedFd {
    // SAFETY: plain numbers; the result is a new descriptor.
    let pidfd = unsafe { OwnedFd::from_raw_fd(libc::syscall(libc::SYS_pidfd_open, pid, 0) as i32) };
    let end = Instant::now() + LONG;
    while Instant::now() < end {
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
            let leads_to = fs::read_link(entry.path()).unwrap_or_default();
            if leads_to.as_os_str().as_encoded_bytes().starts_with(b"anon_inode:seccomp notify") {
                let number: i32 = entry.file_name().to_str().unwrap().parse().unwrap();
                // SAFETY: plain numbers; the result is a new descriptor.
                unsafe {
                    let fd = libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0) as i32;
                    assert!(fd >= 0, "pidfd_getfd: {}", std::io::Error::last_os_error());
                    return OwnedFd::from_raw_fd(fd);
                }
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("the host has loaded no filter");
}

fn thread_group(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}

/// Whether `pid` is a living process of our program.
fn is_ours(pid: i32) -> bool {
    let exe = fs::read_link(format!("/proc/{pid}/exe"));
    exe.is_ok_and(|exe| exe.as_os_str().as_encoded_bytes().starts_with(b"/memfd:ctr"))
}

fn kill(pid: i32) {
    // SAFETY: a process that comes of our own host, and that waits for our answer or was looked at just now.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

fn read_memory(pid: i32, at: u64, len: usize) -> String {
    let mut bytes = vec![0u8; len];
    let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: len };
    let remote = libc::iovec { iov_base: at as *mut libc::c_void, iov_len: len };
    // SAFETY: the kernel writes as many bytes as there is room for.
    let read = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    assert_eq!(read, len as isize, "{}", std::io::Error::last_os_error());
    String::from_utf8_lossy(&bytes).into_owned()
}
