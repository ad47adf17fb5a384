//! The plan: everything that is done to make a container or to start a process in it, decided before anything is done.
//!
//! A [`Plan`] is a list of [`PlannedStep`]s. Each says which [`Step`] it is, what that is for, and in shell what a person would
//! type to get the same; and it has the [`Call`]s that carry it out. The calls are lowered to a message ([`encode()`]) that our
//! program walks as it stands; when call k fails, [`Plan::error`] tells which step that was.
//!
//! The middle rooms (image, rootfs, cgroup, network, security) append steps; `container` puts them together.

mod calls;
mod encode;
mod explain;
mod mount;
mod process;
mod shell;

pub use calls::{At, CWD, Terminal};
pub use encode::{Header, encode, encode_spawn, whole_ms};
pub use explain::{explained, quote};
pub use process::Prctl;
pub use shell::Shell;

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::hash::{Hash, Hasher};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ctr_wire as wire;

use crate::{Error, ErrorCode, Step, hints, sys};

/// An ordered list of steps, and what they need.
#[derive(Default)]
pub struct Plan<'a> {
    steps: Vec<PlannedStep>,
    calls: Vec<Call>,
    /// Strings and records that calls point to.
    data: Vec<u8>,
    /// Where in `data` an offset stands that has to become an address.
    addresses: Vec<usize>,
    /// Descriptors that go with the message, in the order of their slots.
    fds: Vec<Fd<'a>>,
    slots: Slots,
}

/// A place in a plan.
pub struct Mark {
    /// How many calls there are before it.
    pub calls: usize,
    data: usize,
}

/// One step of a plan, as a person sees it.
pub struct PlannedStep {
    /// What it does.
    pub step: Step,
    /// The object: "/proc".
    pub object: Cow<'static, str>,
    /// What it is for.
    pub why: Cow<'static, str>,
    /// What a person would type.
    pub shell: Shell,
    /// The index of its first call.
    first_call: usize,
}

/// A descriptor that goes with a message.
pub enum Fd<'a> {
    /// The plan's own.
    Owned(OwnedFd),
    /// Somebody else's.
    Borrowed(BorrowedFd<'a>),
}

impl AsFd for Fd<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Owned(fd) => fd.as_fd(),
            Self::Borrowed(fd) => *fd,
        }
    }
}

/// A system call with its arguments.
#[derive(Hash)]
pub struct Call {
    nr: u16,
    args: [Arg; 6],
    out: u8,
    ok: [u8; 2],
    flags: u8,
    skip: u8,
}

/// One argument of a call.
#[derive(Clone, Copy, Hash)]
pub enum Arg {
    /// A number.
    Number(u64),
    /// The address of the plan's data at this offset.
    Data(usize),
    /// The descriptor in this slot.
    Slot(Slot),
}

/// Where a descriptor is kept on the other side; see `wire`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(pub u8);

impl From<u64> for Arg {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}
impl From<i32> for Arg {
    fn from(number: i32) -> Self {
        Self::Number(number as i64 as u64)
    }
}
impl From<u32> for Arg {
    fn from(number: u32) -> Self {
        Self::Number(u64::from(number))
    }
}
impl From<usize> for Arg {
    fn from(number: usize) -> Self {
        Self::Number(number as u64)
    }
}
impl From<Slot> for Arg {
    fn from(slot: Slot) -> Self {
        Self::Slot(slot)
    }
}

/// Which slots are free: those of one request, and those that live on in the process.
struct Slots {
    /// The next one for a descriptor that comes with the message.
    sent: u8,
    /// Bit i: slot i holds a result of an earlier call.
    used: u64,
}

impl Default for Slots {
    fn default() -> Self {
        Self { sent: 1, used: 0 }
    }
}

impl<'a> Plan<'a> {
    /// An empty plan.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty plan with room for so many steps, calls and bytes of data: a long one is spared its moves as it grows.
    pub fn with_room(steps: usize, calls: usize, data: usize) -> Self {
        Self {
            steps: Vec::with_capacity(steps),
            calls: Vec::with_capacity(calls),
            data: Vec::with_capacity(data),
            ..Self::default()
        }
    }

    /// Begins a step; the calls that follow belong to it.
    pub fn step(
        &mut self,
        step: Step,
        object: impl Into<Cow<'static, str>>,
        why: impl Into<Cow<'static, str>>,
        shell: impl Into<Shell>,
    ) {
        let first_call = self.calls.len();
        let (object, why, shell) = (object.into(), why.into(), shell.into());
        self.steps.push(PlannedStep { step, object, why, shell, first_call });
    }

    /// Appends a call to the present step. The rooms have a method for each call, which knows its arguments; by its number a call is
    /// tried out only.
    pub fn call<const N: usize>(&mut self, nr: i64, args: [Arg; N]) -> &mut Call {
        let mut all = [Arg::Number(0); 6];
        all[..N].copy_from_slice(&args);
        let index = self.calls.len();
        self.calls.push(Call { nr: nr as u16, args: all, out: wire::NONE, ok: [0; 2], flags: 0, skip: 0 });
        &mut self.calls[index]
    }

    /// A string that a call points to.
    pub fn string(&mut self, text: impl AsRef<CStr>) -> Arg {
        self.data(text.as_ref().to_bytes_with_nul(), 1)
    }

    /// A string that a call points to, from bytes; one with a NUL in it ends there, so callers check first.
    pub fn bytes(&mut self, text: impl AsRef<[u8]>) -> Arg {
        let at = self.data(text.as_ref(), 1);
        self.data.push(0);
        at
    }

    /// Bytes that a call points to, aligned.
    pub fn data(&mut self, bytes: &[u8], align: usize) -> Arg {
        while !self.data.len().is_multiple_of(align) {
            self.data.push(0);
        }
        let at = self.data.len();
        self.data.extend_from_slice(bytes);
        Arg::Data(at)
    }

    /// A null-terminated array of pointers to strings, as execve(2) wants it.
    pub fn strings<S: AsRef<[u8]>>(&mut self, strings: impl IntoIterator<Item = S>) -> Arg {
        let mut offsets = Vec::new();
        for string in strings {
            offsets.push(self.data.len());
            self.data.extend_from_slice(string.as_ref());
            self.data.push(0);
        }
        let array = self.data(&[], 8);
        for offset in offsets {
            self.addresses.push(self.data.len());
            self.data.extend_from_slice(&offset.to_ne_bytes());
        }
        self.data.extend_from_slice(&[0; 8]);
        array
    }

    /// A record of words, some of which may be addresses of other data, as struct sock_fprog has one.
    pub fn words(&mut self, words: &[Arg]) -> Arg {
        let record = self.data(&[], 8);
        for word in words {
            let word = match word {
                Arg::Number(number) => *number,
                Arg::Data(offset) => {
                    self.addresses.push(self.data.len());
                    *offset as u64
                }
                Arg::Slot(slot) => u64::from(slot.0),
            };
            self.data.extend_from_slice(&word.to_ne_bytes());
        }
        record
    }

    /// Sends a descriptor along; the slot it arrives in. All of them before the first call.
    pub fn send(&mut self, fd: Fd<'a>) -> Slot {
        let slot = Slot(self.slots.sent);
        self.slots.sent += 1;
        self.fds.push(fd);
        slot
    }

    /// A slot for a result that lives until the request is done, or until [`Plan::close`].
    pub fn slot(&mut self) -> Slot {
        self.take_slot(wire::MAX_FDS / 2, wire::KEPT)
    }

    /// A slot for a result that lives as long as the process, or until [`Plan::close`].
    pub fn kept_slot(&mut self) -> Slot {
        self.take_slot(wire::HANDED + 16, wire::SCRATCHES)
    }

    /// This very slot, for a result that lives as long as the process.
    pub fn keep_in(&mut self, slot: usize) -> Slot {
        self.take_slot(slot, slot + 1)
    }

    fn take_slot(&mut self, from: usize, to: usize) -> Slot {
        let free = (from..to).find(|i| self.slots.used >> i & 1 == 0);
        // The plans of this library need a dozen at a time; walking into the end is a mistake of ours.
        let slot = free.expect("a plan has a free slot");
        self.slots.used |= 1 << slot;
        Slot(slot as u8)
    }

    /// Has the number of the descriptor in `slot` written into a record of the data: 32 bits, so many bytes behind its beginning.
    fn patch(&mut self, record: Arg, offset: usize, slot: Slot) {
        if let Arg::Data(at) = record {
            self.call(i64::from(wire::PATCH), [Arg::Data(at + offset), u64::from(slot.0).into()]);
        }
    }

    /// Closes a descriptor and frees its slot.
    pub fn close(&mut self, slot: Slot) {
        self.call(i64::from(wire::CLOSE), [u64::from(slot.0).into()]);
        self.slots.used &= !(1 << slot.0);
    }

    /// Slots that another plan of the same process has kept.
    pub fn continue_from(&mut self, other: &Plan<'_>) {
        self.slots.used |= other.slots.used & !((1 << wire::KEPT) - 1);
    }

    /// The first descriptor's slot that is still free to send to.
    pub fn reserve_sent(&mut self, count: u8) {
        self.slots.sent += count;
    }

    /// The descriptors that go with the message.
    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.fds.iter().map(AsFd::as_fd).collect()
    }

    /// Here, to be compared with the end later.
    pub fn mark(&self) -> Mark {
        Mark { calls: self.calls.len(), data: self.data.len() }
    }

    /// A number that tells what was added since `mark` from anything else: equal plans, equal numbers.
    pub fn fingerprint(&self, mark: &Mark) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        self.data[mark.data..].hash(&mut hasher);
        self.calls[mark.calls..].hash(&mut hasher);
        hasher.finish()
    }

    /// Whether it has become larger than a message may be, so that it can't be sent.
    pub fn is_too_large(&self) -> bool {
        self.data.len() + self.calls.len() * size_of::<wire::Call>() > wire::LARGEST
    }

    /// How many calls there are so far.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// What call `index` failing with `errno` means.
    pub fn error(&self, index: u32, errno: i32) -> Error {
        let step = self.steps.iter().rev().find(|step| step.first_call <= index as usize);
        let Some(step) = step else {
            return Error::new(ErrorCode::Internal, Step::WalkPlan, "", errno, format!("call {index} of no step"));
        };
        let call = self.calls.get(index as usize).and_then(|call| refusable(i64::from(call.nr)));
        // EPERM is what a filter says, but kernels say it too.
        let filtered = errno == libc::EPERM && sys::seccomp_mode() != 0;
        match call {
            Some(call) if errno == libc::ENOSYS || filtered => {
                let how = if filtered { "EPERM, the system call" } else { "ENOSYS, the system call" };
                let why = format!("{how} {call}(2) is refused here");
                Error::new(ErrorCode::Unsupported, step.step, &step.object, errno, why)
                    .with_hint(hints::refused_call(call))
            }
            _ => Error::system(step.step, &step.object, errno),
        }
    }

    /// What its calls point to.
    #[cfg(test)]
    pub fn bytes_so_far(&self) -> &[u8] {
        &self.data
    }

    /// The steps.
    #[cfg(test)]
    pub fn steps(&self) -> &[PlannedStep] {
        &self.steps
    }
}

impl Call {
    /// Puts the result into `slot`.
    pub fn out(&mut self, slot: Slot) -> &mut Self {
        self.out = slot.0;
        self
    }

    /// Takes this errno for success too. At most two.
    pub fn ok(&mut self, errno: i32) -> &mut Self {
        let free = usize::from(self.ok[0] != 0);
        self.ok[free] = errno as u8;
        self
    }

    /// Where it succeeds, the next `calls` are passed over: they make what it lacks on this errno.
    pub fn unless(&mut self, errno: i32, calls: u8) -> &mut Self {
        self.skip = calls;
        self.ok(errno)
    }

    /// Takes every errno for success too: what it does is worth having, and nothing is lost without it.
    pub fn optional(&mut self) -> &mut Self {
        self.flags |= wire::OPTIONAL;
        self
    }

    /// Goes on with the next call where this one finds nothing to run; see `wire::TRY`.
    pub fn one_of_several(&mut self) -> &mut Self {
        self.flags |= wire::TRY;
        self
    }
}

/// The name of a system call that filters and older kernels are known to refuse.
fn refusable(nr: i64) -> Option<&'static str> {
    let name = match nr {
        libc::SYS_mount => "mount",
        libc::SYS_umount2 => "umount2",
        libc::SYS_pivot_root => "pivot_root",
        libc::SYS_unshare => "unshare",
        libc::SYS_setns => "setns",
        libc::SYS_open_tree => "open_tree",
        libc::SYS_move_mount => "move_mount",
        libc::SYS_fsopen => "fsopen",
        libc::SYS_fsconfig => "fsconfig",
        libc::SYS_fsmount => "fsmount",
        libc::SYS_mount_setattr => "mount_setattr",
        libc::SYS_openat2 => "openat2",
        libc::SYS_clone3 => "clone3",
        libc::SYS_close_range => "close_range",
        libc::SYS_pidfd_open => "pidfd_open",
        libc::SYS_seccomp => "seccomp",
        libc::SYS_landlock_create_ruleset => "landlock_create_ruleset",
        libc::SYS_landlock_add_rule => "landlock_add_rule",
        libc::SYS_landlock_restrict_self => "landlock_restrict_self",
        _ => return None,
    };
    Some(name)
}

/// A path or name as a C string.
///
/// # Errors
/// Where it has a NUL in it.
pub fn c_string(step: Step, bytes: impl Into<Vec<u8>>) -> crate::Result<CString> {
    CString::new(bytes).map_err(|error| {
        let text = String::from_utf8_lossy(&error.clone().into_vec()).into_owned();
        Error::invalid(step, text, "there is a NUL byte in it")
    })
}
