//! The list of devices that a container may open: the devices controller of v1, a program on v2. Both are gone with the
//! container's directory; nobody holds anything of them.
//!
//! Rests on Documentation/admin-guide/cgroup-v1/devices.rst, "Device controller" of .../cgroup-v2.rst, bpf(2), and struct
//! bpf_cgroup_dev_ctx of linux/bpf.h.

use std::os::fd::AsFd;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::write;

use super::controller::{Row, Version, When};
use super::directory::Directory;
use crate::plan::quote;
use crate::sys::bpf::{Instruction, bpf_prog_attach_cgroup_device, bpf_prog_load_cgroup_device};
use crate::{DeviceAccess, DeviceKind, DeviceRule, Error, Result, Step, sys};

pub(super) const ROW: Row = Row {
    name: "devices",
    v1_name: "devices",
    on_v1: When::Limited,
    on_v2: When::Limited,
    late_on_v1: false,
    v2_file: "",
    purpose: "its devices cgroup",
    count: |_, _| Ok(()),
};

/// The same for a person: (command, what for).
pub(super) fn commands(version: Version, directory: &Path, rules: &[DeviceRule]) -> Vec<(String, String)> {
    let file = |name: &str| quote(&directory.join(name).to_string_lossy());
    let rules: Vec<_> = rules.iter().map(ToString::to_string).collect();
    let why = "these devices can be opened, and no others";
    match version {
        Version::V1 => {
            let words: Vec<_> = rules.iter().map(|rule| quote(rule)).collect();
            let allow = file("devices.allow");
            let each = format!("for rule in {}; do echo \"$rule\" > {allow}; done", words.join(" "));
            vec![(format!("echo a > {}", file("devices.deny")), "no device can be opened".into()), (each, why.into())]
        }
        Version::V2 => vec![(
            format!("# bpftool cgroup attach {} device …: {}", file(""), rules.join(", ")),
            format!("{why}: a program of BPF decides, for which a shell has no command"),
        )],
    }
}

/// v1: everything is denied, then these are allowed.
pub(super) fn allow_v1(directory: &Directory, rules: &[DeviceRule]) -> Result<()> {
    directory.write("devices.deny", "a")?;
    let file = directory.open_for_writing("devices.allow")?;
    for rule in rules {
        let text = rule.to_string();
        write(&file, text.as_bytes()).map_err(|errno| {
            let rule = format!("{text} in {}", directory.path.display());
            Error::system(Step::AllowDevices, rule, errno as i32).with_known_hint()
        })?;
    }
    Ok(())
}

/// v2: a program says yes or no to each open(2) and mknod(2).
pub(super) fn allow_v2(directory: &Directory, rules: &[DeviceRule]) -> Result<()> {
    let fail = |step, e: &std::io::Error| Error::io(step, directory.path.display(), e).with_known_hint();
    let program = bpf_prog_load_cgroup_device(&program(rules)).map_err(|e| fail(Step::LoadDeviceList, &e))?;
    // Our own descriptor is O_PATH, which this call doesn't take.
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let opened = sys::openat(&directory.fd, ".", flags, Mode::empty())
        .map_err(|errno| directory.error(Step::Open, "", errno))?;
    bpf_prog_attach_cgroup_device(opened.as_fd(), program.as_fd()).map_err(|e| fail(Step::AttachDeviceList, &e))
}

/// Yes to the first rule that has it all, else no.
fn program(rules: &[DeviceRule]) -> Vec<Instruction> {
    // Classes and operations of linux/bpf_common.h and linux/bpf.h.
    const LOAD_WORD: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
    const AND: u8 = 0x54; // BPF_ALU | BPF_AND | BPF_K
    const SHIFT_RIGHT: u8 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
    const COPY: u8 = 0xbc; // BPF_ALU | BPF_MOV | BPF_X
    const SET: u8 = 0xb4; // BPF_ALU | BPF_MOV | BPF_K
    const JUMP_UNLESS_EQUAL: u8 = 0x56; // BPF_JMP32 | BPF_JNE | BPF_K
    const EXIT: u8 = 0x95; // BPF_JMP | BPF_EXIT
    const CONTEXT: u8 = 1;
    // Registers.
    let (answer, kind_at, access_at, major_at, minor_at) = (0, 2, 3, 4, 5);
    let instruction =
        |code, to: u8, from: u8, offset, immediate| Instruction { code, registers: to | from << 4, offset, immediate };
    // The record has the kind in the lower half of its first word, the access in the upper one; then the numbers.
    let mut program = vec![
        instruction(LOAD_WORD, kind_at, CONTEXT, 0, 0),
        instruction(COPY, access_at, kind_at, 0, 0),
        instruction(AND, kind_at, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, access_at, 0, 0, 16),
        instruction(LOAD_WORD, major_at, CONTEXT, 4, 0),
        instruction(LOAD_WORD, minor_at, CONTEXT, 8, 0),
    ];
    for rule in rules {
        let mut checks = Vec::new();
        let kind = match rule.kind {
            DeviceKind::All => None,
            DeviceKind::Block => Some(1),
            DeviceKind::Char => Some(2),
        };
        if let Some(kind) = kind {
            checks.push(instruction(JUMP_UNLESS_EQUAL, kind_at, 0, 0, kind));
        }
        if rule.access != DeviceAccess::ALL {
            let allowed =
                i32::from(rule.access.mknod) | i32::from(rule.access.read) << 1 | i32::from(rule.access.write) << 2;
            checks.push(instruction(COPY, answer, access_at, 0, 0));
            checks.push(instruction(AND, answer, 0, 0, !allowed));
            checks.push(instruction(JUMP_UNLESS_EQUAL, answer, 0, 0, 0));
        }
        for (register, number) in [(major_at, rule.major), (minor_at, rule.minor)] {
            if let Some(number) = number {
                checks.push(instruction(JUMP_UNLESS_EQUAL, register, 0, 0, number as i32));
            }
        }
        // To the next rule: over the checks that follow and the answer.
        let count = checks.len();
        for (i, check) in checks.iter_mut().enumerate().filter(|(_, check)| check.code == JUMP_UNLESS_EQUAL) {
            check.offset = (count - i + 1) as i16;
        }
        program.extend(checks);
        program.extend([instruction(SET, answer, 0, 0, 1), instruction(EXIT, 0, 0, 0, 0)]);
        if count == 0 {
            // The kernel refuses instructions that nothing leads to.
            return program;
        }
    }
    program.extend([instruction(SET, answer, 0, 0, 0), instruction(EXIT, 0, 0, 0, 0)]);
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would compute, as far as our instructions go.
    fn allows(program: &[Instruction], kind: u32, access: u32, major: u32, minor: u32) -> bool {
        let context = [access << 16 | kind, major, minor];
        let mut registers = [0u32; 6];
        let mut at = 0;
        loop {
            let Instruction { code, registers: named, offset, immediate } = program[at];
            let (to, from) = (usize::from(named & 15), usize::from(named >> 4));
            match code {
                0x61 => registers[to] = context[offset as usize / 4],
                0x54 => registers[to] &= immediate as u32,
                0x74 => registers[to] >>= immediate,
                0xbc => registers[to] = registers[from],
                0xb4 => registers[to] = immediate as u32,
                0x56 if registers[to] != immediate as u32 => at += offset as usize,
                0x56 => {}
                0x95 => return registers[0] != 0,
                code => panic!("{code:#x}"),
            }
            at += 1;
        }
    }

    #[test]
    fn the_program_allows_what_the_rules_say_and_nothing_else() {
        const BLOCK: u32 = 1;
        const CHAR: u32 = 2;
        const MKNOD: u32 = 1;
        const READ: u32 = 2;
        const WRITE: u32 = 4;
        let rules = ["c *:* m", "b 8:* r", "c 1:3 rwm", "c 4000000000:7 w"].map(|rule| rule.parse().unwrap());
        let list = program(&rules);
        for (kind, access, major, minor, allowed) in [
            (CHAR, MKNOD, 77, 77, true),
            (BLOCK, MKNOD, 77, 77, false),
            (CHAR, READ, 77, 77, false),
            (CHAR, MKNOD | READ, 77, 77, false),
            (BLOCK, READ, 8, 0, true),
            (BLOCK, READ, 8, 99, true),
            (BLOCK, READ | WRITE, 8, 0, false),
            (BLOCK, READ, 9, 0, false),
            (CHAR, READ, 8, 0, false),
            (CHAR, READ | WRITE | MKNOD, 1, 3, true),
            (CHAR, READ, 1, 4, false),
            (CHAR, READ, 3, 1, false),
            (CHAR, WRITE, 4_000_000_000, 7, true),
        ] {
            assert_eq!(allows(&list, kind, access, major, minor), allowed, "{kind} {access} {major}:{minor}");
        }
        assert!(!allows(&program(&[]), CHAR, READ, 1, 3));
        let all = program(&["c 1:3 r", "a", "c 1:5 r"].map(|rule| rule.parse().unwrap()));
        assert!(allows(&all, BLOCK, READ | WRITE | MKNOD, 5, 5));
        assert_eq!(all.iter().filter(|instruction| instruction.code == 0x95).count(), 2, "nothing stands behind \"a\"");
    }
}
