//! From tables of rules to classic BPF, as seccomp(2) takes it.
//!
//! Two costs are weighed. Loading a filter costs the kernel a fifth of a microsecond for each instruction, at every start
//! of a container; and the filter runs for each system call, unless the kernel's cache knows that the call is always
//! allowed (since 5.11; kernel/seccomp.c, seccomp_is_const_allow: it understands loads of the number and jumps only).
//! - The native table is a binary search over ranges of numbers with the same answer: some eight instructions, and the
//!   cache understands them.
//! - The table of 32-bit programs, which is ragged, is a bit set of what has the common answer, 32 numbers a word: a
//!   third of the instructions, at the price of the cache, which rare programs pay.
//! - From 424 on all tables number the same calls, so both lead into one tail; and equal conditions are there once.

use std::collections::BTreeMap;

use libc::sock_filter;

use super::document::{Action, Condition, Rule, Table, Test};
use super::syscalls::Arch;
use crate::{Error, Result, Step};

/// Offsets in struct seccomp_data of linux/seccomp.h.
const NR: u32 = 0;
const ARCH: u32 = 4;
const ARGS: u32 = 16;

/// __X32_SYSCALL_BIT: from here on the numbers of 64-bit x86 mean x32, and 0xffffffff no call at all. All of it answers as
/// a kernel without x32 does.
const X32: u32 = 0x4000_0000;

/// The first number of which scripts/syscall.tbl is the only source.
const COMMON: u32 = 424;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const SET: u16 = (libc::BPF_LD | libc::BPF_IMM) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const SHIFT: u16 = (libc::BPF_ALU | libc::BPF_LSH | libc::BPF_X) as u16;
const TO_X: u16 = (libc::BPF_MISC | libc::BPF_TAX) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const JEQ: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const JGE: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const JGT: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
const JSET_X: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_X) as u16;

/// The program for all `tables`, the native one first. A calling convention that has none is answered with the death of
/// the process: its numbers mean other calls than those that were judged.
pub(crate) fn compile(tables: &[Table]) -> Result<Vec<sock_filter>> {
    let mut code = Code::default();
    let mut entry = code.answer(Action::KILL_PROCESS);
    let mut tails: Vec<(Vec<Range>, Label)> = Vec::new();
    for (at, table) in tables.iter().enumerate().rev() {
        let ranges = ranges(table);
        let (ranges, tail) = ranges.split_at(ranges.partition_point(|range| range.first < COMMON));
        let beyond = match tails.iter().find(|(known, _)| known == tail) {
            Some((_, label)) => *label,
            None => {
                let label = code.search(tail);
                tails.push((tail.to_vec(), label));
                label
            }
        };
        let below = if at == 0 { code.search(ranges) } else { code.bits(ranges, table.default) };
        let start = code.jump(JGE, COMMON, beyond, below);
        let start = code.then(LOAD, NR, start);
        entry = code.jump(JEQ, table.arch.audit(), start, entry);
    }
    code.then(LOAD, ARCH, entry);
    let program = code.finish();
    if program.len() > libc::BPF_MAXINSNS as usize {
        let why = format!("the filter has {} instructions, the kernel takes {}", program.len(), libc::BPF_MAXINSNS);
        return Err(Error::invalid(Step::CompileSeccompProfile, "", why));
    }
    Ok(program)
}

/// Neighbouring numbers with the same answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    /// The first; the next range says where this one ends.
    first: u32,
    /// What is tried in order, the last without conditions.
    rules: Vec<Rule>,
}

/// All numbers, in order; [`COMMON`] always begins a range.
fn ranges(table: &Table) -> Vec<Range> {
    let always = |action| [Rule { conditions: Vec::new(), action }];
    let default = always(table.default);
    let mut ranges = Vec::new();
    let mut next = 0;
    for (number, rules) in &table.calls {
        if next < *number {
            append(&mut ranges, next, &default);
        }
        if rules.last().is_some_and(|rule| rule.conditions.is_empty()) {
            append(&mut ranges, *number, rules);
        } else {
            append(&mut ranges, *number, &[rules, &default[..]].concat());
        }
        next = number + 1;
    }
    append(&mut ranges, next, &always(table.newer));
    if table.arch == Arch::X86_64 {
        append(&mut ranges, X32, &always(Action::errno(libc::ENOSYS as u16)));
    }
    begin_common(&mut ranges);
    ranges
}

/// From `first` on, which lies behind all that is there, `rules` answer.
fn append(ranges: &mut Vec<Range>, first: u32, rules: &[Rule]) {
    if first > COMMON {
        begin_common(ranges);
    }
    if first == COMMON || ranges.last().is_none_or(|last| last.rules != rules) {
        ranges.push(Range { first, rules: rules.to_vec() });
    }
}

fn begin_common(ranges: &mut Vec<Range>) {
    if let Some(last) = ranges.last().filter(|last| last.first < COMMON) {
        let rules = last.rules.clone();
        ranges.push(Range { first: COMMON, rules });
    }
}

/// A place in a program, counted from its end: classic BPF jumps forward only, so code is written from its end to its
/// start, and whatever a jump leads to is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Label(usize);

/// A program in the making, last instruction first.
#[derive(Default)]
struct Code {
    reversed: Vec<sock_filter>,
    blocks: BTreeMap<Vec<Rule>, Label>,
}

impl Code {
    /// Where the number (the loaded value) is answered by a binary search in `ranges`.
    fn search(&mut self, ranges: &[Range]) -> Label {
        if let [range] = ranges {
            return self.rules(&range.rules);
        }
        let (below, above) = ranges.split_at(ranges.len() / 2);
        let first = above[0].first;
        let above = self.search(above);
        let below = self.search(below);
        self.jump(JGE, first, above, below)
    }

    /// Where the number is answered by the bit that it has in a set: the numbers of the answer that most calls have. The
    /// others are searched.
    fn bits(&mut self, ranges: &[Range], default: Action) -> Label {
        let numbers = |range: usize| ranges[range].first..ranges.get(range + 1).map_or(COMMON, |next| next.first);
        let default = [Rule { conditions: Vec::new(), action: default }];
        let mut sizes: BTreeMap<&[Rule], usize> = BTreeMap::new();
        for (at, range) in ranges.iter().enumerate().filter(|(_, range)| range.rules != default) {
            *sizes.entry(&range.rules).or_default() += numbers(at).len();
        }
        let Some((common, _)) = sizes.into_iter().max_by_key(|(_, size)| *size) else { return self.search(ranges) };
        let mut words = [0u32; COMMON.div_ceil(32) as usize];
        let mut others: Vec<Range> = Vec::new();
        for (at, range) in ranges.iter().enumerate() {
            let mut rules = range.rules.as_slice();
            if rules == common {
                numbers(at).for_each(|number| words[number as usize / 32] |= 1 << (number % 32));
                rules = &default;
            }
            if others.last().is_none_or(|last| last.rules != rules) {
                others.push(Range { first: range.first, rules: rules.to_vec() });
            }
        }
        let common = self.rules(common);
        let others = self.search(&others);
        let others = self.then(LOAD, NR, others);
        let words: Vec<_> = (0..).map(|word| word * 32).zip(words).collect();
        let start = self.words(&words, common, others);
        let bit = [(LOAD, NR), (AND, 31), (TO_X, 0), (SET, 1), (SHIFT, 0), (TO_X, 0), (LOAD, NR)];
        bit.iter().rev().fold(start, |next, (code, k)| self.then(*code, *k, next))
    }

    /// Where the number finds its word by binary search and X is its bit in that.
    fn words(&mut self, words: &[(u32, u32)], common: Label, others: Label) -> Label {
        if let [(_, word)] = words {
            let test = self.jump(JSET_X, 0, common, others);
            return self.then(SET, *word, test);
        }
        let (below, above) = words.split_at(words.len() / 2);
        let first = above[0].0;
        let above = self.words(above, common, others);
        let below = self.words(below, common, others);
        self.jump(JGE, first, above, below)
    }

    /// Where `rules` are tried in order; equal ones are written once.
    fn rules(&mut self, rules: &[Rule]) -> Label {
        if let Some(label) = self.blocks.get(rules) {
            return *label;
        }
        let mut next = Label(0);
        for rule in rules.iter().rev() {
            let mut hold = self.answer(rule.action);
            for condition in rule.conditions.iter().rev() {
                hold = self.condition(condition, hold, next);
            }
            next = hold;
        }
        self.blocks.insert(rules.to_vec(), next);
        next
    }

    /// Where `action` is answered, whatever the call.
    fn answer(&mut self, action: Action) -> Label {
        let always = vec![Rule { conditions: Vec::new(), action }];
        if let Some(label) = self.blocks.get(&always) {
            return *label;
        }
        let label = self.push(RETURN, action.0);
        self.blocks.insert(always, label);
        label
    }

    /// Where one comparison of 64 bits is made in steps of 32, leading to `hold` or `fail`.
    fn condition(&mut self, condition: &Condition, hold: Label, fail: Label) -> Label {
        let (high, low) = (|value: u64| (value >> 32) as u32, |value: u64| value as u32);
        // What little-endian machines keep first is the low half; all that we have tables for are such.
        let at_low = ARGS + 8 * u32::from(condition.argument);
        let at_high = at_low + 4;
        match &condition.test {
            Test::In(values) => {
                let lower = values.iter().rev().fold(fail, |next, value| self.jump(JEQ, *value, hold, next));
                let lower = self.then(LOAD, at_low, lower);
                let upper = self.jump(JEQ, 0, lower, fail);
                self.then(LOAD, at_high, upper)
            }
            Test::IntIn(values) => {
                let lower = values.iter().rev().fold(fail, |next, value| self.jump(JEQ, *value, hold, next));
                self.then(LOAD, at_low, lower)
            }
            Test::MaskedEq { mask, value } => {
                let lower = self.jump(JEQ, low(value & mask), hold, fail);
                let lower = self.then(AND, low(*mask), lower);
                let lower = self.then(LOAD, at_low, lower);
                if high(*mask) == 0 {
                    return lower;
                }
                let upper = self.jump(JEQ, high(value & mask), lower, fail);
                let upper = self.then(AND, high(*mask), upper);
                self.then(LOAD, at_high, upper)
            }
            Test::Eq(value) => self.condition(&condition.masked(*value), hold, fail),
            Test::Ne(value) => self.condition(&condition.masked(*value), fail, hold),
            Test::MaskedNe { mask, value } => {
                let equal =
                    Condition { argument: condition.argument, test: Test::MaskedEq { mask: *mask, value: *value } };
                self.condition(&equal, fail, hold)
            }
            Test::Gt(value) => self.greater(JGT, at_low, *value, hold, fail),
            Test::Ge(value) => self.greater(JGE, at_low, *value, hold, fail),
            Test::Lt(value) => self.greater(JGE, at_low, *value, fail, hold),
            Test::Le(value) => self.greater(JGT, at_low, *value, fail, hold),
        }
    }

    /// Where an argument is found greater than `value`, or as great where `last` is JGE.
    fn greater(&mut self, last: u16, at_low: u32, value: u64, hold: Label, fail: Label) -> Label {
        let lower = self.jump(last, value as u32, hold, fail);
        let lower = self.then(LOAD, at_low, lower);
        let upper = self.jump(JEQ, (value >> 32) as u32, lower, fail);
        let upper = self.jump(JGT, (value >> 32) as u32, hold, upper);
        self.then(LOAD, at_low + 4, upper)
    }

    /// A conditional jump. It reaches 255 instructions: what is farther gets a copy or a plain jump close by.
    fn jump(&mut self, code: u16, k: u32, hold: Label, fail: Label) -> Label {
        if hold == fail {
            return hold;
        }
        let (mut hold, mut fail) = (hold, fail);
        // The second may move the first away by one instruction.
        hold = self.within(hold, 253);
        fail = self.within(fail, 254);
        let (jt, jf) = (self.offset(hold) as u8, self.offset(fail) as u8);
        self.reversed.push(sock_filter { code, jt, jf, k });
        Label(self.reversed.len() - 1)
    }

    /// An instruction that is followed by what is at `next`.
    fn then(&mut self, code: u16, k: u32, next: Label) -> Label {
        self.within(next, 0);
        self.push(code, k)
    }

    /// `label`, or a new place that leads there and that the next instruction reaches with an offset of `most`.
    fn within(&mut self, label: Label, most: usize) -> Label {
        let offset = self.offset(label);
        if offset <= most {
            return label;
        }
        let target = self.reversed[label.0];
        if target.code == RETURN { self.push(RETURN, target.k) } else { self.push(JUMP, offset as u32) }
    }

    /// How many instructions lie between `label` and the one that is written next.
    fn offset(&self, label: Label) -> usize {
        self.reversed.len() - 1 - label.0
    }

    fn push(&mut self, code: u16, k: u32) -> Label {
        self.reversed.push(sock_filter { code, jt: 0, jf: 0, k });
        Label(self.reversed.len() - 1)
    }

    fn finish(mut self) -> Vec<sock_filter> {
        self.reversed.reverse();
        self.reversed
    }
}
