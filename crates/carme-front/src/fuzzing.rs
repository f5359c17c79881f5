//! Doors for the fuzzer: what the front makes of bytes of strangers, with what must hold whatever they are. Not part of
//! the interface.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::client::proxy_protocol::{Progress, examine};
use crate::client::{Claims, ClientHeader, Proxies};
use crate::guard::fuzzing::{Extent, HeadLimits, Scanner, Verdict, examine as examine_head};
use crate::location::{Location, Locations, decode};

const LIMITS: HeadLimits = HeadLimits {
    header_fields: 100,
    header_bytes: 4096,
    target_bytes: 1024,
};

/// A request's head: what passes is one that hyper reads in the same way.
pub fn head(bytes: &[u8]) {
    let Verdict::Complete(head) = examine_head(bytes, LIMITS) else {
        return;
    };
    let own = &bytes[..head.len];
    assert!(own.ends_with(b"\r\n\r\n"), "a head ends in an empty line");
    assert!(own.len() <= LIMITS.header_bytes);
    // What follows a head changes nothing about it, and it is none before its end.
    assert_eq!(examine_head(own, LIMITS), Verdict::Complete(head));
    assert_eq!(examine_head(&own[..own.len() - 1], LIMITS), Verdict::Partial);
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request.parse(own);
    assert_eq!(parsed, Ok(httparse::Status::Complete(own.len())));
    http::Uri::try_from(request.path.unwrap_or_default()).expect("hyper takes the target");
    http::Method::from_bytes(request.method.unwrap_or_default().as_bytes()).expect("hyper takes the method");
    for field in request.headers {
        HeaderName::from_bytes(field.name.as_bytes()).expect("hyper takes the name");
        HeaderValue::from_bytes(field.value).expect("hyper takes the value");
    }
}

/// A chunked body: where it ends does not depend on the pieces that it comes in.
pub fn chunked(bytes: &[u8]) {
    let whole = Scanner::new().follow(bytes);
    let mut scanner = Scanner::new();
    let mut in_pieces = Ok(Extent::All);
    for (at, byte) in bytes.iter().enumerate() {
        match scanner.follow(std::slice::from_ref(byte)) {
            Ok(Extent::All) => {}
            Ok(Extent::Ends(_)) => {
                in_pieces = Ok(Extent::Ends(at + 1));
                break;
            }
            Err(refusal) => {
                in_pieces = Err(refusal);
                break;
            }
        }
    }
    assert_eq!(whole, in_pieces);
    if let Ok(Extent::Ends(end)) = whole {
        assert!(bytes[..end].ends_with(b"\r\n\r\n"));
    }
}

/// Fields about the client: the first byte chooses which one counts, then each line is a field. Whatever they say, the
/// address that a trusted proxy adds is the client's.
pub fn claims(bytes: &[u8]) {
    const SEEN: &str = "192.0.2.1";
    let Some((kind, lines)) = bytes.split_first() else {
        return;
    };
    let proxies = Proxies {
        networks: vec!["10.0.0.0/8".parse().expect("a network")],
        unix: true,
        header: match kind % 3 {
            0 => ClientHeader::XForwardedFor,
            1 => ClientHeader::Forwarded,
            _ => ClientHeader::XRealIp,
        },
        ..Proxies::default()
    };
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let peer = "10.0.0.1".parse().expect("an address");
    let _ = Claims::settle(&mut headers.clone(), Some(peer), &proxies);

    // As proxies do it: at the end of the last line, or in place of it.
    let (name, own) = match proxies.header {
        ClientHeader::XForwardedFor => ("x-forwarded-for", SEEN.to_owned()),
        ClientHeader::Forwarded => ("forwarded", format!("for={SEEN}")),
        ClientHeader::XRealIp => ("x-real-ip", SEEN.to_owned()),
    };
    let sent = headers.get_all(name).iter().next_back().cloned();
    let added = match sent {
        Some(sent) if proxies.header != ClientHeader::XRealIp => {
            [sent.as_bytes(), own.as_bytes()].join(&b", "[..])
        }
        _ => own.into_bytes(),
    };
    headers.append(
        name,
        HeaderValue::from_bytes(&added).expect("values joined are a value"),
    );
    let claims = Claims::settle(&mut headers, Some(peer), &proxies).expect("the peer is trusted");
    assert_eq!(claims.client_text(), Some(SEEN));

    assert!(Claims::settle(&mut headers, None, &Proxies::default()).is_none());
    let is_left = |name: &HeaderName| crate::client::is_claim(name.as_str().as_bytes());
    assert!(
        !headers.keys().any(is_left),
        "nothing is left of what a stranger claims"
    );
}

/// A PROXY header: it is read to its end and no further.
pub fn proxy_protocol(bytes: &[u8]) {
    let mut taken = 0;
    while let Ok(Progress::Needs(more)) = examine(&bytes[..taken]) {
        assert!(more > 0, "no progress after {taken} bytes");
        // One byte of them is always safe to take, too.
        if taken < bytes.len() {
            let next = examine(&bytes[..taken + 1]);
            assert!(more == 1 || !matches!(next, Ok(Progress::Complete(_))));
        }
        taken += more;
        if taken > bytes.len() {
            return;
        }
    }
    let _ = examine(bytes);
}

/// A path: decoded, it never grows, and a location takes it apart without loss.
pub fn path(bytes: &[u8]) {
    let decoded = decode(bytes);
    assert!(decoded.len() <= bytes.len());
    assert_eq!(decoded.len() == bytes.len(), *decoded == *bytes);
    let prefixes = ["/", "/a", "/a/b", "/a/b/", "/%41", "/caf\u{e9}"];
    let locations: Locations<usize> = prefixes
        .iter()
        .enumerate()
        .map(|(index, prefix)| Location::new(prefix, index))
        .collect();
    if let Some(found) = locations.find(|| b"", &decoded) {
        assert_eq!([found.script_name, found.path_info].concat(), *decoded);
        assert!(matches!(found.path_info, [] | [b'/', ..]));
        // No longer prefix would have done.
        let longer = prefixes
            .iter()
            .map(|prefix| prefix.trim_end_matches('/').as_bytes());
        for prefix in longer.filter(|prefix| prefix.len() > found.script_name.len()) {
            let rest = decoded.strip_prefix(prefix);
            assert!(!matches!(rest, Some([] | [b'/', ..])));
        }
    }
}
