//! The walker: carries out a plan's calls in order, as they stand. No allocation, no decision, no memory of its own.

use ctr_wire::{CLOSE, Call, OPTIONAL, PATCH, SLOTS, TRY};

use super::kernel::{close, errno, syscall};

/// Where a plan failed.
#[derive(Clone, Copy)]
pub struct Failure {
    pub call: u32,
    pub errno: i32,
}

/// The descriptors that calls name by number.
pub type Slots = [i32; SLOTS];

/// Walks `calls`. `first` is what the first of them is called in a failure.
///
/// # Safety
/// The calls come from our own library, which answers for them as for any system call it makes.
pub unsafe fn walk(calls: &[Call], first: u32, slots: &mut Slots) -> Result<(), Failure> {
    let mut tried: Option<Failure> = None;
    let mut index = first;
    let mut skip = 0;
    for call in calls {
        if skip > 0 {
            skip -= 1;
            index = index.wrapping_add(1);
            continue;
        }
        let mut args = call.args;
        for (i, arg) in args.iter_mut().enumerate() {
            if call.fds >> i & 1 == 1 {
                *arg = slots.get(*arg as usize).map_or(-1, |&fd| i64::from(fd)) as u64;
            }
        }
        // SAFETY: the caller answers for the calls.
        let result = unsafe { carry_out(call.nr, &args, slots) };
        if result < 0 {
            let failure = Failure { call: index, errno: -result as i32 };
            if call.flags & TRY != 0 {
                match failure.errno {
                    errno::EACCES => tried = Some(failure),
                    errno::ENOENT | errno::ENOTDIR => _ = tried.get_or_insert(failure),
                    _ => return Err(failure),
                }
            } else if call.flags & OPTIONAL == 0
                && failure.errno != i32::from(call.ok)
                && failure.errno != i32::from(call.ok2)
            {
                return Err(failure);
            }
        } else {
            skip = call.skip;
        }
        if let Some(slot) = slots.get_mut(call.out as usize) {
            *slot = result as i32;
        }
        index = index.wrapping_add(1);
    }
    tried.map_or(Ok(()), Err)
}

unsafe fn carry_out(nr: u16, args: &[u64; 6], slots: &mut Slots) -> isize {
    let [a, b, c, d, e, f] = args.map(|arg| arg as usize);
    // SAFETY: addresses in the calls point into the message, which is ours to read and write.
    unsafe {
        match nr {
            PATCH => {
                *(a as *mut i32) = slots.get(b).copied().unwrap_or(-1);
                0
            }
            CLOSE => {
                if let Some(slot) = slots.get_mut(a) {
                    close(*slot);
                    *slot = -1;
                }
                0
            }
            nr => syscall(nr as usize, a, b, c, d, e, f),
        }
    }
}
