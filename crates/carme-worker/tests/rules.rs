//! Which response heads are refused, and how request headers are named.

#[allow(dead_code, missing_docs, unreachable_pub)]
#[path = "../src/rules.rs"]
mod rules;

use rules::*;

#[test]
fn statuses() {
    assert_eq!(status(b"200 OK"), Ok((200, &b"OK"[..])));
    assert_eq!(status(b"404 "), Ok((404, &b""[..])));
    assert_eq!(
        status(b"299 Sch\xf6n und \ttab"),
        Ok((299, &b"Sch\xf6n und \ttab"[..]))
    );
    for bad in [
        "",
        "200",
        "200OK",
        "20 OK",
        "2000 OK",
        "OK 200",
        " 200 OK",
        "2x0 OK",
        "200 a\r\nB: c",
        "200 \0",
        "200 \x7f",
    ] {
        assert_eq!(
            status(bad.as_bytes()),
            Err(Refusal::Status(bad.into())),
            "{bad:?}"
        );
    }
    for code in [
        "100 Continue",
        "101 Switching Protocols",
        "000 Nothing",
        "199 Odd",
    ] {
        assert!(matches!(status(code.as_bytes()), Err(Refusal::Code(_))), "{code}");
    }
}

#[test]
fn names() {
    for good in ["Content-Type", "x", "X_1", "!#$%&'*+-.^_`|~"] {
        assert_eq!(name(good.as_bytes()), Ok(()), "{good}");
    }
    for bad in [&b""[..], b"a b", b"a:", b"a\r\nb", b"a\0", b"\xe4", b"(x)"] {
        assert!(matches!(name(bad), Err(Refusal::Name(_))), "{bad:?}");
    }
    for hop in [
        "Connection",
        "keep-alive",
        "TE",
        "Trailers",
        "Transfer-Encoding",
        "UPGRADE",
        "Proxy-Authenticate",
        "proxy-authorization",
    ] {
        assert!(matches!(name(hop.as_bytes()), Err(Refusal::HopByHop(_))), "{hop}");
    }
}

#[test]
fn values() {
    for good in [&b""[..], b"a b\tc", b"\xe4\xf6", b"\x80"] {
        assert_eq!(value(b"X", good), Ok(()));
    }
    for byte in (0..=255_u8).filter(|b| (*b < 32 && *b != 9) || *b == 127) {
        assert_eq!(value(b"X", &[b'a', byte]), Err(Refusal::Value("X".into(), byte)));
    }
}

#[test]
fn lengths() {
    assert_eq!(content_length(b"0"), Ok(0));
    assert_eq!(content_length(b"18446744073709551615"), Ok(u64::MAX));
    for bad in ["", "-1", "+1", " 1", "1 ", "0x1", "1,1", "18446744073709551616"] {
        assert_eq!(
            content_length(bad.as_bytes()),
            Err(Refusal::Length(bad.into())),
            "{bad:?}"
        );
    }
}

#[test]
fn environ_keys() {
    assert_eq!(environ_key(b"host").as_deref(), Some("HTTP_HOST"));
    assert_eq!(
        environ_key(b"x-forwarded-for").as_deref(),
        Some("HTTP_X_FORWARDED_FOR")
    );
    assert_eq!(environ_key(b"content-type").as_deref(), Some("CONTENT_TYPE"));
    for hidden in [
        "content-length",
        "transfer-encoding",
        "proxy",
        "x_forwarded_for",
        "_",
    ] {
        assert_eq!(environ_key(hidden.as_bytes()), None, "{hidden}");
    }
}
