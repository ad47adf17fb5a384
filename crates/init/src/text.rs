//! Text of our own making, for paths and numbers.

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
