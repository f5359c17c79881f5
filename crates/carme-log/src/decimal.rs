//! Decimal numbers appended to a line without allocation and without `core::fmt`.

/// Appends `n`.
pub(crate) fn push(out: &mut Vec<u8>, n: u64) {
    let mut digits = [0u8; 20];
    out.extend_from_slice(digits_of(&mut digits, n));
}

/// Appends `n` filled on the left with `fill` up to `width` (at most 20) characters.
pub(crate) fn push_padded(out: &mut Vec<u8>, n: u64, width: usize, fill: u8) {
    let mut digits = [0u8; 20];
    let digits = digits_of(&mut digits, n);
    for _ in digits.len()..width {
        out.push(fill);
    }
    out.extend_from_slice(digits);
}

/// Appends `n` with a minus sign if it is negative.
pub(crate) fn push_signed(out: &mut Vec<u8>, n: i64) {
    if n < 0 {
        out.push(b'-');
    }
    push(out, n.unsigned_abs());
}

fn digits_of(buffer: &mut [u8; 20], mut n: u64) -> &[u8] {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            return &buffer[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_the_standard_library_prints_them() {
        for n in [0, 1, 9, 10, 99, 100, 12_345, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            push(&mut out, n);
            assert_eq!(out, n.to_string().as_bytes());
            out.clear();
            push_padded(&mut out, n, 6, b'0');
            assert_eq!(out, format!("{n:06}").as_bytes());
            out.clear();
            push_padded(&mut out, n, 3, b' ');
            assert_eq!(out, format!("{n:3}").as_bytes());
        }
        for n in [0, -1, 42, i64::MIN, i64::MAX] {
            let mut out = Vec::new();
            push_signed(&mut out, n);
            assert_eq!(out, n.to_string().as_bytes());
        }
    }
}
