//! A request that did not pass the guard: what is kept of it for the log.

use crate::guard::Refusal;

/// Its answer, its first line, and its fields as far as they can be told apart.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    /// Without its line end.
    pub(crate) line: Box<[u8]>,
    /// The lines between that and the end of the head, as they came.
    fields: Box<[u8]>,
}

impl Refused {
    /// Keeps `line`, which `bytes` begin with, and at most `most` bytes of what follows.
    pub(crate) fn new(refusal: Refusal, line: &[u8], bytes: &[u8], most: usize) -> Self {
        Refused {
            refusal,
            line: line.into(),
            fields: fields(&bytes[..bytes.len().min(most)]).into(),
        }
    }

    /// Calls `each` with every value of a field, in the order received.
    pub(crate) fn each_value(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.values(name).for_each(each);
    }

    pub(crate) fn first_value(&self, name: &str) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// Every value of a field, in the order received.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.fields.split(|&byte| byte == b'\n').filter_map(move |line| {
            let colon = memchr::memchr(b':', line)?;
            let found = line[..colon].trim_ascii_end();
            found
                .eq_ignore_ascii_case(name.as_bytes())
                .then(|| line[colon + 1..].trim_ascii())
        })
    }
}

/// What stands between the first line and the first empty one.
fn fields(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !b"\r\n".contains(byte));
    let head = &bytes[start.unwrap_or(bytes.len())..];
    let Some(line) = memchr::memchr(b'\n', head) else {
        return b"";
    };
    let fields = &head[line + 1..];
    let mut at = 0;
    for line in fields.split_inclusive(|&byte| byte == b'\n') {
        if matches!(line, b"\n" | b"\r\n") {
            break;
        }
        at += line.len();
    }
    &fields[..at]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(bytes: &str, name: &str) -> Vec<String> {
        let refused = Refused::new(Refusal::Version, b"", bytes.as_bytes(), 100);
        let mut values = Vec::new();
        refused.each_value(name, &mut |value| {
            values.push(String::from_utf8_lossy(value).into_owned())
        });
        values
    }

    #[test]
    fn fields_end_with_the_head_or_with_what_is_kept() {
        let head = "\r\nGET / HTTP/3.0\r\nA: 1\r\nB : \t2 \r\na:3\r\n fold: no\r\nodd\r\n\r\nA: body\r\n";
        assert_eq!(values(head, "a"), ["1", "3"]);
        assert_eq!(values(head, "b"), ["2"]);
        assert_eq!(values("x\nA: 1\n\nA: 2", "a"), ["1"]);
        assert_eq!(values("x", "x"), [""; 0]);
        assert_eq!(values("\r\n\r\n", "a"), [""; 0]);
        assert_eq!(values(&format!("x\n{}\na: 1", "y".repeat(100)), "a"), [""; 0]);
    }
}
