//! Request targets and authorities (RFC 9112 section 3.2, RFC 3986).

use http::Uri;
use http::uri::PathAndQuery;

use super::refusal::Refusal;
use crate::record::split_port;

/// Which of RFC 9112's forms a target has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `/path?query`
    Origin,
    /// `http://host/path`, `host:port` after CONNECT, or `*`.
    Other,
}

/// Characters that RFC 3986 allows in both path and query, `?` and `%` included.
const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let allowed = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/?%";
    let mut at = 0;
    while at < allowed.len() {
        table[allowed[at] as usize] = true;
        at += 1;
    }
    table
};

const BAD_CHARACTER: Refusal =
    Refusal::Malformed("the request target contains a character that must be percent-encoded");

/// Refuses what hyper would refuse, and fragments, which hyper would silently drop.
pub(crate) fn examine(method: &str, target: &[u8]) -> Result<Form, Refusal> {
    if target.first() == Some(&b'/') && method != "CONNECT" {
        if !target.iter().all(|&b| PLAIN[b as usize]) {
            examine_odd(target)?;
        }
        return Ok(Form::Origin);
    }
    if target.contains(&b'#') {
        return Err(BAD_CHARACTER);
    }
    let malformed = Refusal::Malformed("the request target is neither a path nor an absolute URI");
    let uri = Uri::try_from(target).map_err(|_| malformed)?;
    let authority = uri.authority().map(|authority| authority.as_str());
    let sound = match (method, authority) {
        ("CONNECT", Some(authority)) => uri.scheme().is_none() && is_authority(authority.as_bytes()),
        ("CONNECT", None) => false,
        (_, Some(authority)) => {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && !authority.is_empty()
                && is_authority(authority.as_bytes())
        }
        ("OPTIONS", None) => target == b"*",
        (_, None) => false,
    };
    if sound { Ok(Form::Other) } else { Err(malformed) }
}

#[cold]
fn examine_odd(target: &[u8]) -> Result<(), Refusal> {
    if target.contains(&b'#') || PathAndQuery::try_from(target).is_err() {
        return Err(BAD_CHARACTER);
    }
    Ok(())
}

/// Characters of a registered name or an IPv4 address, as far as anybody uses them.
const NAME: [bool; 256] = {
    let mut table = [false; 256];
    let allowed = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%";
    let mut at = 0;
    while at < allowed.len() {
        table[allowed[at] as usize] = true;
        at += 1;
    }
    table
};

/// True for `host`, `host:port`, `[v6]:port` and the empty string (RFC 9110 section 7.2 permits an empty `Host`).
pub(crate) fn is_authority(value: &[u8]) -> bool {
    let rest = match value.strip_prefix(b"[") {
        None => {
            let end = value
                .iter()
                .position(|&b| !NAME[b as usize])
                .unwrap_or(value.len());
            &value[end..]
        }
        Some(address) => match address.iter().position(|&b| !NAME[b as usize] && b != b':') {
            Some(end @ 1..) if address[end] == b']' => &address[end + 1..],
            _ => return false,
        },
    };
    match rest {
        [] => true,
        [b':', port @ ..] => port.len() <= 5 && port.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Whether `host`, a sound `Host` field, names another server than `target` does, a sound one in absolute form. Clients
/// must send them equal (RFC 9112 section 3.2.2); who looks at only one of them would be misled.
pub(crate) fn contradicts(target: &[u8], host: &[u8]) -> bool {
    let after = |scheme: &str| match target.split_at_checked(scheme.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(scheme.as_bytes()) => Some(rest),
        _ => None,
    };
    let (rest, port) = match (after("http://"), after("https://")) {
        (Some(rest), _) => (rest, &b"80"[..]),
        (_, Some(rest)) => (rest, &b"443"[..]),
        // `*`, or CONNECT's
        (None, None) => return false,
    };
    let end = rest
        .iter()
        .position(|b| matches!(b, b'/' | b'?'))
        .unwrap_or(rest.len());
    let apart = |authority| {
        let (name, port) = split_port(authority);
        (name, port.filter(|digits| !digits.is_empty()))
    };
    let (named, named_port) = apart(&rest[..end]);
    let (host, host_port) = apart(host);
    !named.eq_ignore_ascii_case(host) || named_port.unwrap_or(port) != host_port.unwrap_or(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities() {
        for good in [
            "",
            "a",
            "a.b-c_d",
            "a:80",
            "a:",
            "127.0.0.1:8000",
            "[::1]",
            "[::1]:80",
            "xn--a.b",
        ] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "a b", "a/b", "a,b", "a@b", "a:b", "a:80:80", "[::1", "[]", "[::1]x", "::1", "a:123456",
            "a\u{e9}",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn contradictions() {
        for (target, host) in [
            ("http://a/b", "a"),
            ("http://a/b", "A:80"),
            ("http://a:80/b", "a"),
            ("HTTP://a:/b", "a"),
            ("https://a?b", "a:443"),
            ("http://[::1]:8000", "[::1]:8000"),
            ("*", "a"),
            ("a:443", "b"),
        ] {
            assert!(
                !contradicts(target.as_bytes(), host.as_bytes()),
                "{target} {host}"
            );
        }
        for (target, host) in [
            ("http://a/b", "b"),
            ("http://a/b", ""),
            ("http://a/b", "a:81"),
            ("http://a:81/b", "a"),
            ("https://a/b", "a:80"),
            ("http://[::1]", "[::2]"),
        ] {
            assert!(contradicts(target.as_bytes(), host.as_bytes()), "{target} {host}");
        }
    }

    #[test]
    fn targets() {
        for (method, target) in [
            ("GET", "/"),
            ("GET", "/a%2Fb%zz?x=[1]&y={}|^"),
            ("GET", "//a/../b"),
            ("GET", "/\u{e9}"),
            ("GET", "http://a/b?c"),
            ("GET", "http://a"),
            ("CONNECT", "a:443"),
            ("OPTIONS", "*"),
        ] {
            assert!(examine(method, target.as_bytes()).is_ok(), "{method} {target}");
            // What passes here, hyper's own parser must accept.
            assert!(Uri::try_from(target).is_ok(), "{method} {target}");
        }
        for (method, target) in [
            ("GET", &b"/a#b"[..]),
            ("GET", b"/<a>"),
            ("GET", b"/\xff"),
            ("GET", b"*"),
            ("GET", b"a"),
            ("GET", b"a:443"),
            ("GET", b"?a"),
            ("GET", b"ftp://a/b"),
            ("GET", b"http://u@a/b"),
            ("GET", b"http:///b"),
            ("CONNECT", b"/a"),
            ("CONNECT", b"http://a/"),
            ("OPTIONS", b"**"),
        ] {
            assert!(
                examine(method, target).is_err(),
                "{method} {}",
                String::from_utf8_lossy(target)
            );
        }
    }
}
