//! `Forwarded` (RFC 7239), read from the right.
//!
//! A line is taken apart from its end: the left of it may come from the client, which could open a quoted string there
//! that swallows what proxies add, if one began at the left.

use std::borrow::Cow;

use super::address::Node;

/// The elements of one field line, from the last to the first.
pub(super) struct Elements<'a>(Option<&'a [u8]>);

impl<'a> Elements<'a> {
    pub(super) fn new(line: &'a [u8]) -> Self {
        Elements(Some(line))
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.0.take()?;
        let mut quoted = false;
        for at in (0..line.len()).rev() {
            match line[at] {
                b'"' if quoted && is_escaped(&line[..at]) => {}
                b'"' => quoted = !quoted,
                b',' if !quoted => {
                    self.0 = Some(&line[..at]);
                    return Some(line[at + 1..].trim_ascii());
                }
                _ => {}
            }
        }
        Some(line.trim_ascii())
    }
}

/// Whether a character that follows these has a backslash of its own.
fn is_escaped(before: &[u8]) -> bool {
    let backslashes = before.iter().rev().take_while(|&&byte| byte == b'\\').count();
    backslashes % 2 == 1
}

/// What one proxy says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element<'a> {
    /// `for`, if it is an address: not `unknown`, and no name made up to hide it.
    pub(super) node: Option<Node>,
    pub(super) proto: Option<Cow<'a, [u8]>>,
    pub(super) host: Option<Cow<'a, [u8]>>,
}

impl<'a> Element<'a> {
    /// `None` if it is malformed.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let mut element = Element::default();
        let (mut named, mut rest) = (false, text);
        while let Some(pair) = next_pair(&mut rest) {
            let pair = pair.trim_ascii();
            if pair.is_empty() {
                continue;
            }
            let equals = pair.iter().position(|&byte| byte == b'=')?;
            let (name, value) = (&pair[..equals], value(&pair[equals + 1..])?);
            if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
                return None;
            }
            if name.eq_ignore_ascii_case(b"for") {
                if std::mem::replace(&mut named, true) {
                    return None;
                }
                element.node = node(&value);
            } else if name.eq_ignore_ascii_case(b"proto") {
                if element.proto.replace(value).is_some() {
                    return None;
                }
            } else if name.eq_ignore_ascii_case(b"host") && element.host.replace(value).is_some() {
                return None;
            }
        }
        Some(element)
    }
}

/// Cuts the next pair off.
fn next_pair<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    if rest.is_empty() {
        return None;
    }
    let (mut quoted, mut escaped) = (false, false);
    for (at, &byte) in rest.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => {
                let pair = &rest[..at];
                *rest = &rest[at + 1..];
                return Some(pair);
            }
            _ => {}
        }
    }
    Some(std::mem::take(rest))
}

/// A token or a quoted string, without its quotes. Colons and brackets are taken without quotes, too, as many write them.
fn value(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(inside) = text.strip_prefix(b"\"") else {
        let plain = |byte: &u8| is_token(*byte) || matches!(byte, b':' | b'[' | b']');
        return (!text.is_empty() && text.iter().all(plain)).then_some(Cow::Borrowed(text));
    };
    let inside = inside.strip_suffix(b"\"")?;
    if !inside.iter().any(|byte| matches!(byte, b'\\' | b'"')) {
        return Some(Cow::Borrowed(inside));
    }
    let mut plain = Vec::with_capacity(inside.len());
    let mut bytes = inside.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => plain.push(*bytes.next()?),
            b'"' => return None,
            byte => plain.push(byte),
        }
    }
    Some(Cow::Owned(plain))
}

/// An address, whose port may be hidden by a made-up name.
fn node(text: &[u8]) -> Option<Node> {
    Node::parse(text).or_else(|| {
        let at = text.windows(2).rposition(|pair| pair == b":_")?;
        let hidden = text[at + 1..]
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        hidden.then(|| Node::parse(&text[..at]))?
    })
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn elements(line: &str) -> Vec<&str> {
        Elements::new(line.as_bytes())
            .map(|element| str::from_utf8(element).unwrap())
            .collect()
    }

    #[test]
    fn a_line_comes_apart_from_its_end() {
        for (line, expected) in [
            ("", vec![""]),
            ("for=a", vec!["for=a"]),
            ("for=a, for=b;by=c ,for=d", vec!["for=d", "for=b;by=c", "for=a"]),
            (r#"for="a,b", for=c"#, vec!["for=c", r#"for="a,b""#]),
            (r#"for="a\",b", for=c"#, vec!["for=c", r#"for="a\",b""#]),
            (r#"for="a\\", for="b""#, vec![r#"for="b""#, r#"for="a\\""#]),
            // A client's open quote hides nothing that comes after it.
            (r#"for=", for=c"#, vec!["for=c", r#"for=""#]),
            (r#"for="\, for="[::1]""#, vec![r#"for="[::1]""#, r#"for="\"#]),
        ] {
            assert_eq!(elements(line), expected, "{line}");
        }
    }

    #[test]
    fn elements_of_the_rfc() {
        let parsed = |text: &'static str| Element::parse(text.as_bytes());
        let node = |text: &str| Node::parse(text.as_bytes());
        for (text, expected) in [
            ("for=192.0.2.43", node("192.0.2.43")),
            (
                "For=\"[2001:db8:cafe::17]:4711\"",
                node("[2001:db8:cafe::17]:4711"),
            ),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", node("192.0.2.60")),
            ("for=\"192.0.2.43:47011\"", node("192.0.2.43:47011")),
            ("for=\"192.0.2.43:_gazonk\"", node("192.0.2.43")),
            ("for=\"[2001:db8::1]:_a.b-c\"", node("2001:db8::1")),
            ("for=\"_gazonk\"", None),
            ("for=unknown", None),
            ("for=\"unknown:80\"", None),
            ("by=203.0.113.43", None),
            ("", None),
            (";;for=192.0.2.1;", node("192.0.2.1")),
            ("for=\"192.0.2.1\" ; proto=https", node("192.0.2.1")),
            ("for=192.0.2.1:80", node("192.0.2.1:80")),
            ("for=\"192.0\\.2.1\"", node("192.0.2.1")),
            ("for=\"192.0.2.1:_a b\"", None),
        ] {
            assert_eq!(parsed(text).map(|element| element.node), Some(expected), "{text}");
        }
        let element = parsed("for=192.0.2.1;proto=https;host=\"example.org:8443\"").unwrap();
        assert_eq!(element.proto.as_deref(), Some(&b"https"[..]));
        assert_eq!(element.host.as_deref(), Some(&b"example.org:8443"[..]));
        for text in [
            "for",
            "=192.0.2.1",
            "for=",
            "for=\"192.0.2.1",
            "for=192.0.2.1\"",
            "for=\"192.0.2.1\"x",
            "f or=192.0.2.1",
            "for=192.0.2.1;for=192.0.2.2",
            "proto=http;proto=https",
            "host=a;host=b",
            "for=192.0.2.1 192.0.2.2",
            "for=\"a\\\"",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(line: Vec<u8>) {
            for element in Elements::new(&line) {
                let _ = Element::parse(element);
            }
        }

        #[test]
        fn whatever_stands_before_it_the_last_element_is_found(before in "[ -~]{0,40}", quoted: bool) {
            let own = if quoted { r#"for="[2001:db8::1]:80""# } else { "for=192.0.2.1" };
            let line = format!("{before},{own}");
            prop_assert_eq!(Elements::new(line.as_bytes()).next(), Some(own.as_bytes()));
        }
    }
}
