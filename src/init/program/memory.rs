//! All that this program has in static memory, in one record and in this order: what every server writes to comes first, so
//! that one page holds it, together with what the linker puts before it. Each part is used by one module only.

use super::children::{Child, MOST as MOST_CHILDREN};
use super::serve::{MOST_SOCKETS, PollFd};

#[repr(C, align(16))]
pub struct Memory {
    pub sockets: [i32; MOST_SOCKETS],
    pub polled: [PollFd; MOST_SOCKETS + 2],
    /// The stack of the thread that waits for the host's end. It makes two system calls.
    pub lifeline_stack: [u8; 512],
    /// The stack of a child that shares our memory until execve: the walker's frames, and no signal handler's.
    pub child_stack: [u8; 1536],
    pub children: [Child; MOST_CHILDREN],
}

/// Where it is. All zeroes, so it takes no room in the file.
pub static mut MEMORY: Memory = Memory {
    sockets: [0; MOST_SOCKETS],
    polled: [PollFd { fd: 0, events: 0, ready: 0 }; MOST_SOCKETS + 2],
    lifeline_stack: [0; 512],
    child_stack: [0; 1536],
    children: [Child::NONE; MOST_CHILDREN],
};

const _: () = assert!(core::mem::offset_of!(Memory, children) < 3200, "more than what fits on a page with .got");
