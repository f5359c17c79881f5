//! Apache's escaping of what a client can choose (`ap_escape_logitem`): `\"`, `\\`, `\b \n \r \t \v`, and `\xhh` for
//! every other byte that is not printable ASCII. What comes out never holds a control character or a bare quote.

const fn needs_escape(byte: u8) -> bool {
    !matches!(byte, b' '..=b'~') || byte == b'"' || byte == b'\\'
}

const ESCAPE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = needs_escape(byte as u8);
        byte += 1;
    }
    table
};

/// Appends `value`, escaped.
pub(crate) fn push(out: &mut Vec<u8>, value: &[u8]) {
    let mut rest = value;
    while let Some(at) = rest.iter().position(|&byte| ESCAPE[usize::from(byte)]) {
        out.extend_from_slice(&rest[..at]);
        push_escaped(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Appends one byte, escaped if it must be.
pub(crate) fn push_byte(out: &mut Vec<u8>, byte: u8) {
    if ESCAPE[usize::from(byte)] {
        push_escaped(out, byte)
    } else {
        out.push(byte)
    }
}

#[cold]
fn push_escaped(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let letter = match byte {
        0x08 => b'b',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x0b => b'v',
        b'"' | b'\\' => byte,
        _ => {
            out.extend_from_slice(&[
                b'\\',
                b'x',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped(value: &[u8]) -> String {
        let mut out = Vec::new();
        push(&mut out, value);
        String::from_utf8(out).expect("escaped text is ASCII")
    }

    /// The inverse, to show that nothing is lost.
    fn unescaped(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            if byte != b'\\' {
                out.push(byte);
                continue;
            }
            out.push(match bytes.next().expect("an escape is complete") {
                b'b' => 0x08,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 0x0b,
                b'x' => {
                    let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
                }
                other => other,
            });
        }
        out
    }

    #[test]
    fn escapes_are_apaches() {
        assert_eq!(escaped(b"plain text/~ "), "plain text/~ ");
        assert_eq!(escaped(b"say \"hi\" \\o/"), r#"say \"hi\" \\o/"#);
        assert_eq!(escaped(b"\x08\n\r\t\x0b"), r"\b\n\r\t\v");
        assert_eq!(escaped(b"\0\x07\x0c\x1b\x7f"), r"\x00\x07\x0c\x1b\x7f");
        assert_eq!(escaped("é".as_bytes()), r"\xc3\xa9");
    }

    proptest! {
        #[test]
        fn any_bytes_come_out_printable_quoted_and_reversible(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = escaped(&value);
            prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            let mut backslash = false;
            for byte in text.bytes() {
                prop_assert!(byte != b'"' || backslash, "bare quote in {text:?}");
                backslash = byte == b'\\' && !backslash;
            }
            prop_assert!(!backslash, "{text:?} would escape what follows it");
            prop_assert_eq!(unescaped(&text), value);
        }
    }
}
