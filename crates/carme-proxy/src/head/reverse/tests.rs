use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::head::Reverse;
use crate::head::tests::{endpoint, passing};

const ORIGIN: Origin<'_> = Origin {
    is_secure: true,
    authority: b"www.example.com",
};

fn tcp(host: &str, port: u16, is_secure: bool, path: &str) -> Endpoint {
    Endpoint {
        address: Address::Tcp {
            host: host.to_owned(),
            port,
        },
        is_secure,
        path: path.to_owned(),
        ..endpoint()
    }
}

fn members() -> Vec<Endpoint> {
    vec![
        tcp("app1.internal", 80, false, ""),
        tcp("app2.internal", 8443, true, "/base"),
        tcp("[2001:db8::1]", 443, true, ""),
        Endpoint {
            address: Address::Unix {
                path: PathBuf::from("/run/app.sock"),
                host: "localhost".to_owned(),
            },
            ..endpoint()
        },
    ]
}

/// At one entry: the text of what comes out.
fn mapped(from: ReverseFrom, to: &str, url: &str) -> Option<String> {
    let mut passing = passing();
    passing.reverse = vec![Reverse {
        from,
        to: to.to_owned(),
    }];
    let reversed = reversed(&passing, ORIGIN, members().iter(), url.as_bytes())?;
    Some(String::from_utf8(reversed.as_bytes().to_vec()).unwrap())
}

#[test]
fn any_members_address() {
    let mapped = |url| mapped(ReverseFrom::Members("/up/".to_owned()), "/app/", url);
    for (url, expected) in [
        ("http://app1.internal/up/a?b#c", "/app/a?b#c"),
        ("http://app1.internal:80/up/a", "/app/a"),
        ("http://APP1.internal:/up/a", "/app/a"),
        ("https://app2.internal:8443/base/up/a", "/app/a"),
        ("https://app2.internal:8443/BASE/up?x", "/app?x"),
        ("https://[2001:DB8::1]/up/a", "/app/a"),
        ("https://[2001:db8::1]:443/up/a", "/app/a"),
        ("http://localhost/up/a", "/app/a"),
    ] {
        let expected = format!("https://www.example.com{expected}");
        assert_eq!(mapped(url), Some(expected), "{url}");
    }
    for url in [
        "http://app1.internal/UP/a",
        "http://app1.internal/upper",
        "http://app1.internal/",
        "http://app1.internal",
        "http://app1.internal:81/up/a",
        "https://app1.internal/up/a",
        "http://user@app1.internal/up/a",
        "http://app1.internal.example/up/a",
        "http://app1.internal:99999/up/a",
        "http://app1.internal:+80/up/a",
        "https://app2.internal/base/up/a",
        "https://app2.internal:8443/up/a",
        "https://2001:db8::1/up/a",
        "ftp://app1.internal/up/a",
        "http:/app1.internal/up/a",
        "//app1.internal/up/a",
        "/up/a",
        "up/a",
        "",
        "http://",
        "http://:80/up/a",
    ] {
        assert_eq!(mapped(url), None, "{url}");
    }
}

#[test]
fn one_slash_at_the_seam() {
    for (path, to, url, expected) in [
        ("/", "/", "http://app1.internal", "/"),
        ("/", "/", "http://app1.internal?a", "/?a"),
        ("/", "/", "http://app1.internal//a", "//a"),
        ("/", "/app/", "http://app1.internal", "/app/"),
        ("/", "/app/", "http://app1.internal/", "/app/"),
        ("/", "/app", "http://app1.internal/a", "/app/a"),
        ("/up", "/", "http://app1.internal/up", "/"),
        ("/up/", "/app", "http://app1.internal/up/", "/app/"),
        ("/up", "/", "http://app1.internal/up?a", "/?a"),
    ] {
        let expected = format!("https://www.example.com{expected}");
        let from = ReverseFrom::Members(path.to_owned());
        assert_eq!(mapped(from, to, url), Some(expected), "{path} {to} {url}");
    }
}

#[test]
fn an_address_as_it_is() {
    for (from, url, expected) in [
        ("http://a.b/c/", "HTTP://A.B/C/d", Some("/t/d")),
        ("http://a.b/c", "http://a.b/c", Some("/t")),
        ("http://a.b/c", "http://a.b/cd", None),
        ("http://a.b", "http://a.b.c/d", None),
        ("http://a.b", "http://a.b:81/d", None),
        ("http://a.b/go?u=", "http://a.b/go?u=x", Some("/tx")),
        ("/c/", "http://any/c/d", Some("/t/d")),
        ("/c/", "/c/d", Some("/t/d")),
        ("/c/", "http://any", None),
        ("/c/", "c/d", None),
    ] {
        let expected = expected.map(|path| format!("https://www.example.com{path}"));
        let got = mapped(ReverseFrom::Url(from.to_owned()), "/t/", url);
        assert_eq!(got, expected, "{from} {url}");
    }
}

#[test]
fn this_server_as_the_client_knows_it() {
    let mut passing = passing();
    passing.reverse = vec![Reverse {
        from: ReverseFrom::Members("/".to_owned()),
        to: "/".to_owned(),
    }];
    for (is_secure, authority, expected) in [
        (false, "a", "http://a/x"),
        (false, "a:80", "http://a/x"),
        (false, "a:443", "http://a:443/x"),
        (true, "a:443", "https://a/x"),
        (true, "a:8443", "https://a:8443/x"),
        (false, "[::1]:80", "http://[::1]/x"),
        (false, "", "/x"),
    ] {
        let origin = Origin {
            is_secure,
            authority: authority.as_bytes(),
        };
        let got = reversed(&passing, origin, members().iter(), b"http://app1.internal/x").unwrap();
        assert_eq!(got, expected);
    }
}

proptest! {
    #[test]
    fn whatever_members_say(
        url in "(https?://)?(app1\\.internal|a@b|\\[::1|\\[2001:db8::1\\])?(:[0-9]{0,6})?[/?#a-z.:@\\[\\]]{0,12}",
        from in prop::sample::select(vec!["/", "/up/", "http://app1.internal", "http://app1.internal/a?"]),
        to in prop::sample::select(vec!["/", "/app/", "/app"]),
    ) {
        let from = match from.starts_with('/') {
            true => ReverseFrom::Members(from.to_owned()),
            false => ReverseFrom::Url(from.to_owned()),
        };
        if let Some(mapped) = mapped(from, to, &url) {
            let path = mapped.strip_prefix("https://www.example.com").unwrap();
            prop_assert!(path.starts_with(to.trim_end_matches('/')) && path.starts_with('/'), "{}", mapped);
        }
    }

    #[test]
    fn any_bytes(url: Vec<u8>) {
        let mut passing = passing();
        passing.reverse = vec![
            Reverse { from: ReverseFrom::Members("/".to_owned()), to: "/".to_owned() },
            Reverse { from: ReverseFrom::Url("/".to_owned()), to: "/".to_owned() },
        ];
        let _ = reversed(&passing, ORIGIN, members().iter(), &url);
    }
}
