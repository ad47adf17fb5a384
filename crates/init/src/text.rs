//! Text: of our own making, for paths and numbers, and what the kernel says of processes.

use super::kernel::{close, nr, syscall, syscall3};

/// Text that is put together in a place that is there already; what doesn't fit is left out.
pub struct Text<'a> {
    pub at: &'a mut [u8],
    pub len: usize,
}

impl Text<'_> {
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if let Some(to) = self.at.get_mut(self.len) {
                *to = byte;
                self.len += 1;
            }
        }
    }

    pub fn number(&mut self, mut n: u32) {
        let mut digits = [0u8; 10];
        let mut count = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (n % 10) as u8;
            n /= 10;
            count += 1;
            if n == 0 {
                break;
            }
        }
        self.push(digits.get(digits.len() - count..).unwrap_or_default());
    }
}

/// What /proc has in such a file of a process, as far as there is room; `proc` is a descriptor of /proc. Empty where it is gone.
#[inline(never)]
#[unsafe(link_section = ".cold")]
pub fn read_of<'b>(proc: i32, pid: i32, file: &[u8], buffer: &'b mut [u64]) -> &'b [u8] {
    const O_CLOEXEC: usize = 0o2_000_000;
    let mut name = [0u8; 24];
    let mut text = Text { at: &mut name, len: 0 };
    text.number(pid as u32);
    text.push(file);
    // SAFETY: a string; the kernel writes as many bytes as there are.
    let got = unsafe {
        let fd = syscall(nr::OPENAT, proc as usize, name.as_ptr() as usize, O_CLOEXEC, 0, 0, 0) as i32;
        let got = syscall3(nr::READ, fd as usize, buffer.as_mut_ptr() as usize, size_of_val(buffer));
        close(fd);
        got
    };
    // SAFETY: as many bytes as were written.
    unsafe { core::slice::from_raw_parts(buffer.as_ptr().cast::<u8>(), got.max(0) as usize) }
}

/// The number that these digits are.
#[inline(never)]
#[unsafe(link_section = ".cold")]
pub fn number_of(digits: &[u8]) -> u64 {
    digits.iter().fold(0u64, |number, digit| number.wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0'))))
}
