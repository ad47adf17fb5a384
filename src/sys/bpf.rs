//! bpf(2), as far as a list of devices needs it: loading a program and attaching it to a cgroup.

use std::io::{Error, Result};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// One instruction: struct bpf_insn of linux/bpf.h, opcode, registers (destination in the low four bits), offset, immediate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    pub code: u8,
    pub registers: u8,
    pub offset: i16,
    pub immediate: i32,
}

const BPF_CGROUP_DEVICE: u32 = 6;

/// BPF_PROG_LOAD of a BPF_PROG_TYPE_CGROUP_DEVICE.
pub fn bpf_prog_load_cgroup_device(program: &[Instruction]) -> Result<OwnedFd> {
    const BPF_PROG_LOAD: i32 = 5;
    const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
    /// The first members of union bpf_attr for this command; what is left out is zero.
    #[repr(C)]
    struct Attr {
        prog_type: u32,
        insn_cnt: u32,
        insns: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log_buf: u64,
        kern_version: u32,
        prog_flags: u32,
        prog_name: [u8; 16],
        prog_ifindex: u32,
        expected_attach_type: u32,
    }
    let attr = Attr {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: program.len() as u32,
        insns: program.as_ptr() as u64,
        // It calls none of the functions for which the kernel wants to know.
        license: c"MIT".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name: *b"ctr_devices\0\0\0\0\0",
        prog_ifindex: 0,
        expected_attach_type: BPF_CGROUP_DEVICE,
    };
    // SAFETY: the record, the program and the string outlive the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const attr, size_of::<Attr>()) };
    if fd < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: a new descriptor, close-on-exec.
    super::fd::above_stdio(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// BPF_PROG_ATTACH to a cgroup, beside what others have attached and for cgroups below it, too. The cgroup holds the program
/// from then on.
pub fn bpf_prog_attach_cgroup_device(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<()> {
    const BPF_PROG_ATTACH: i32 = 8;
    const BPF_F_ALLOW_MULTI: u32 = 2;
    let attr = [cgroup.as_raw_fd() as u32, program.as_raw_fd() as u32, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI];
    // SAFETY: the record (target_fd, attach_bpf_fd, attach_type, attach_flags) outlives the call.
    if unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, &raw const attr, size_of_val(&attr)) } < 0 {
        return Err(Error::last_os_error());
    }
    Ok(())
}
