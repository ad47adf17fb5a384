//! The numbers of a tar header: octal digits, or GNU's base 256 for what does not fit; and PAX's decimal ones.
//! tar(5); POSIX.1-2024, pax, "ustar Interchange Format".

/// A numeric header field. `None` when it is none.
pub fn field(bytes: &[u8]) -> Option<i128> {
    match bytes.first()? {
        first if first & 0x80 != 0 => base256(bytes),
        _ => octal(bytes),
    }
}

/// Two's complement, the top bit of the first byte being only the mark.
fn base256(bytes: &[u8]) -> Option<i128> {
    let first = bytes[0];
    // Bit 6 is the sign: it stands in for the mark in front of it.
    let mut value = i128::from(if first & 0x40 != 0 { first as i8 } else { (first & 0x7f) as i8 });
    for &byte in &bytes[1..] {
        value = (value << 8) | i128::from(byte);
    }
    Some(value)
}

/// Digits, perhaps after spaces, up to a space, a NUL or the end. All blank is 0, as old tars leave unused fields.
fn octal(bytes: &[u8]) -> Option<i128> {
    let start = bytes.iter().position(|&byte| byte != b' ').unwrap_or(bytes.len());
    let digits = &bytes[start..];
    let end = digits.iter().position(|&byte| byte == b' ' || byte == 0).unwrap_or(digits.len());
    digits[..end].iter().try_fold(0i128, |value, &digit| match digit {
        b'0'..=b'7' => Some((value << 3) | i128::from(digit - b'0')),
        _ => None,
    })
}

/// An unsigned decimal of at most 20 digits.
pub fn decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// PAX's time: seconds with a fraction, perhaps negative; digits past the nanosecond are cut. The nanoseconds count
/// forward from the second, as timespec(3type) has it.
pub fn time(bytes: &[u8]) -> Option<(i64, u32)> {
    let (negative, digits) = match bytes.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, bytes),
    };
    let mut parts = digits.splitn(2, |&byte| byte == b'.');
    let seconds = i64::try_from(decimal(parts.next()?)?).ok()?;
    let mut nanos = 0u32;
    if let Some(fraction) = parts.next() {
        if !fraction.iter().all(u8::is_ascii_digit) {
            return None;
        }
        for place in 0..9 {
            nanos = nanos * 10 + u32::from(fraction.get(place).map_or(0, |digit| digit - b'0'));
        }
    }
    match (negative, nanos) {
        (false, _) => Some((seconds, nanos)),
        (true, 0) => Some((-seconds, 0)),
        (true, _) => Some((-seconds - 1, 1_000_000_000 - nanos)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_fields_end_at_a_space_or_nul() {
        assert_eq!(field(b"0000644\0"), Some(0o644));
        assert_eq!(field(b"   644 \0"), Some(0o644));
        assert_eq!(field(b"00000000012"), Some(10));
        assert_eq!(field(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(field(b"0000648\0"), None);
        assert_eq!(field(b"-000001\0"), None);
    }

    #[test]
    fn base_256_fields_have_a_sign() {
        assert_eq!(field(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]), Some(258));
        assert_eq!(field(&[0xff; 12]), Some(-1));
        assert_eq!(field(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]), Some(-2));
        assert_eq!(field(&[0x80, 0, 0, 2, 0, 0, 0, 0]), Some(2 << 32));
    }

    #[test]
    fn a_time_before_1970_counts_its_nanoseconds_forward() {
        assert_eq!(time(b"1700000000.123456789"), Some((1_700_000_000, 123_456_789)));
        assert_eq!(time(b"1.5"), Some((1, 500_000_000)));
        assert_eq!(time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time(b"-3"), Some((-3, 0)));
        assert_eq!(time(b"1.0000000019"), Some((1, 1)));
        assert_eq!(time(b""), None);
        assert_eq!(time(b"1e9"), None);
        assert_eq!(time(b"99999999999999999999"), None);
    }
}
