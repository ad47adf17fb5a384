//! Lowers a plan to the message that our program walks: the record, the calls, the data, every address as it will be over
//! there.

use ctr_wire::{self as wire, BASE, ParentPlan, Request};

use super::{Arg, Plan, Slot};

/// What a message says besides its calls.
#[derive(Clone, Copy)]
pub struct Header {
    /// RUN, EXEC or SPAWN of `wire`.
    pub kind: u32,
    /// Flags of `wire`.
    pub flags: u32,
    /// EXEC: calls that the server walks itself before it clones. RUN: calls before the answer, all of them where it is 0.
    pub before: usize,
    /// RUN: what tells the calls behind `before` from others. For our own use, it isn't sent.
    pub walls: u64,
    /// SPAWN: CLONE_NEW* flags.
    pub namespaces: u64,
    /// EXEC: kill after so many milliseconds; 0 is never. RUN: PID 1 ends the container after so long.
    pub time_limit: u64,
    /// EXEC: kill after so many milliseconds of processor time; 0 is never. RUN: the container's.
    pub cpu_time_limit: u64,
    /// With such a limit: how many processors the machine has.
    pub processors: u16,
    /// EXEC, RUN with BY_CHILD: give it up after so many milliseconds; 0 is PID 1's own bound.
    pub patience: u64,
    /// EXEC: where the mark of its deadline or its budget goes, two struct rlimit64.
    pub mark: Option<Arg>,
    /// SPAWN: the text of uid_map and gid_map, as (data, length).
    pub maps: [Option<(Arg, usize)>; 2],
    /// SPAWN: the path of the id ranges' file.
    pub ranges: Option<Arg>,
    /// RUN: what ps shows from now on.
    pub title: Option<(Arg, usize)>,
    /// Slots that go back with the reply; SPAWN: slots of namespaces to be cloned into.
    pub give: [u8; 4],
    /// SPAWN: slot of the user namespace to be born in. RUN, EXEC: that of the file that counts processor time.
    pub user: u8,
    /// RUN: slot of the listening socket.
    pub listener: u8,
}

impl Header {
    /// A message of this kind and nothing special.
    pub fn new(kind: u32) -> Self {
        Self {
            kind,
            flags: 0,
            before: 0,
            walls: 0,
            namespaces: 0,
            time_limit: 0,
            cpu_time_limit: 0,
            processors: 0,
            patience: 0,
            mark: None,
            maps: [None; 2],
            ranges: None,
            title: None,
            give: [wire::NONE; 4],
            user: wire::NONE,
            listener: wire::NONE,
        }
    }

    /// The same, with what is in these slots at the end going back with the reply: four at most.
    pub fn giving(mut self, slots: &[Slot]) -> Self {
        for (to, slot) in self.give.iter_mut().zip(slots) {
            *to = slot.0;
        }
        self
    }
}

/// A time as a message has it: in milliseconds, and never 0, which is none.
pub fn whole_ms(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// The message of a RUN or EXEC.
pub fn encode(header: &Header, plan: &Plan<'_>) -> Vec<u8> {
    let mut message = Vec::with_capacity(room(plan) + size_of::<Request>());
    put_request(&mut message, header, plan);
    finish(message, 0)
}

/// The message of a SPAWN: `plan` for the child, `parent` for the zygote, the first `handed` of whose results, from
/// slot RESULTS on, go to the child.
pub fn encode_spawn(header: &Header, plan: &Plan<'_>, parent: &Plan<'_>, handed: usize) -> Vec<u8> {
    let mut message =
        Vec::with_capacity(room(plan) + room(parent) + size_of::<Request>() + size_of::<ParentPlan>() + 8);
    put_request(&mut message, header, plan);
    message.resize(message.len().next_multiple_of(8), 0);
    let shape = message.len();
    message.extend_from_slice(ParentPlan { calls: parent.calls.len() as u32, handed: handed as u32 }.as_bytes());
    put_plan(&mut message, parent);
    finish(message, shape)
}

fn room(plan: &Plan<'_>) -> usize {
    plan.calls.len() * size_of::<wire::Call>() + plan.data.len()
}

fn put_request(message: &mut Vec<u8>, header: &Header, plan: &Plan<'_>) {
    let data = BASE + size_of::<Request>() + plan.calls.len() * size_of::<wire::Call>();
    let address = |arg: Option<Arg>| match arg {
        Some(Arg::Data(offset)) => (data + offset) as u64,
        _ => 0,
    };
    let text = |text: Option<(Arg, usize)>| text.map_or([0; 2], |(arg, len)| [address(Some(arg)), len as u64]);
    let request = Request {
        flags: header.flags,
        calls: plan.calls.len() as u32,
        before: header.before as u32,
        namespaces: header.namespaces,
        time_limit: header.time_limit,
        cpu_time_limit: header.cpu_time_limit,
        processors: header.processors,
        patience: header.patience,
        mark: address(header.mark),
        uid_map: text(header.maps[0]),
        gid_map: text(header.maps[1]),
        ranges: address(header.ranges),
        title: text(header.title),
        give: header.give,
        user: header.user,
        listener: header.listener,
        ..Request::bare(header.kind)
    };
    message.extend_from_slice(request.as_bytes());
    put_plan(message, plan);
}

/// The calls and, behind them, their data; `message` ends where they will begin.
fn put_plan(message: &mut Vec<u8>, plan: &Plan<'_>) {
    let data = BASE + message.len() + plan.calls.len() * size_of::<wire::Call>();
    for call in &plan.calls {
        let mut fds = 0;
        let args = std::array::from_fn(|i| match call.args[i] {
            Arg::Number(number) => number,
            Arg::Data(offset) => (data + offset) as u64,
            Arg::Slot(slot) => {
                fds |= 1 << i;
                u64::from(slot.0)
            }
        });
        let [ok, ok2] = call.ok;
        let call = wire::Call { nr: call.nr, ok, ok2, fds, out: call.out, flags: call.flags, skip: call.skip, args };
        message.extend_from_slice(call.as_bytes());
    }
    let start = message.len();
    message.extend_from_slice(&plan.data);
    for &at in &plan.addresses {
        if let Some(word) = message.get_mut(start + at..).and_then(<[u8]>::first_chunk_mut::<8>) {
            *word = (usize::from_ne_bytes(*word) + data).to_ne_bytes();
        }
    }
}

fn finish(mut message: Vec<u8>, shape: usize) -> Vec<u8> {
    let len = message.len() as u32;
    for (at, value) in [(std::mem::offset_of!(Request, len), len), (std::mem::offset_of!(Request, shape), shape as u32)]
    {
        message[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    message
}
