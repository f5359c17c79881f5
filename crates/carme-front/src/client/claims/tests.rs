use proptest::prelude::*;

use super::*;

const PROXY: &str = "10.0.0.1";

fn proxies(header: ClientHeader) -> Proxies {
    Proxies {
        networks: ["10.0.0.0/8", "fd00::/8"]
            .map(|network| network.parse().unwrap())
            .into(),
        header,
        ..Proxies::default()
    }
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// What is left, as `name: value` lines in the order of their names.
fn left(headers: &HeaderMap) -> Vec<String> {
    let line = |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
    let mut lines: Vec<_> = headers.iter().map(line).collect();
    lines.sort();
    lines
}

/// The client of these lines from a trusted peer, with its port; `peer` if nobody names one.
fn client(header: ClientHeader, lines: &[(&str, &str)]) -> (String, Vec<String>) {
    let mut headers = headers(lines);
    let peer = PROXY.parse().unwrap();
    let claims = Claims::settle(&mut headers, Some(peer), &proxies(header)).expect("the peer is trusted");
    let client = match claims.client() {
        None => "peer".to_owned(),
        Some(Node { address, port: None }) => address.to_string(),
        Some(Node {
            address,
            port: Some(port),
        }) => format!("{address} {port}"),
    };
    (client, left(&headers))
}

#[test]
fn x_forwarded_for_is_followed_from_right_to_left() {
    let long = format!("{}192.0.2.1", "192.0.2.7, ".repeat(500));
    for (name, lines, expected, kept) in [
        ("one", &["192.0.2.1"][..], "192.0.2.1", Some("192.0.2.1")),
        (
            "forged before it",
            &["127.0.0.1, 192.0.2.1"],
            "192.0.2.1",
            Some("192.0.2.1"),
        ),
        (
            "a trusted address forged",
            &["10.0.0.9, 192.0.2.1"],
            "192.0.2.1",
            Some("192.0.2.1"),
        ),
        (
            "through two proxies",
            &["192.0.2.1, 10.0.0.2"],
            "192.0.2.1",
            Some("192.0.2.1, 10.0.0.2"),
        ),
        (
            "forged through two",
            &["1.1.1.1,192.0.2.1,10.0.0.2"],
            "192.0.2.1",
            Some("192.0.2.1, 10.0.0.2"),
        ),
        (
            "all trusted",
            &["10.0.0.3, 10.0.0.2"],
            "10.0.0.3",
            Some("10.0.0.3, 10.0.0.2"),
        ),
        (
            "all trusted, IPv6",
            &["fd00::3, fd00::2"],
            "fd00::3",
            Some("fd00::3, fd00::2"),
        ),
        // Several lines are one list: neither the first nor the last alone.
        (
            "lines",
            &["1.1.1.1", "192.0.2.1, 10.0.0.2"],
            "192.0.2.1",
            Some("192.0.2.1, 10.0.0.2"),
        ),
        (
            "lines across",
            &["1.1.1.1, 192.0.2.1", "10.0.0.2"],
            "192.0.2.1",
            Some("192.0.2.1, 10.0.0.2"),
        ),
        (
            "a forged line behind",
            &["192.0.2.1", "203.0.113.7"],
            "203.0.113.7",
            Some("203.0.113.7"),
        ),
        (
            "an IPv4 port",
            &["192.0.2.1:4711"],
            "192.0.2.1 4711",
            Some("192.0.2.1:4711"),
        ),
        (
            "an IPv6 address",
            &["2001:db8::1"],
            "2001:db8::1",
            Some("2001:db8::1"),
        ),
        (
            "an IPv6 port",
            &["[2001:db8::1]:4711"],
            "2001:db8::1 4711",
            Some("[2001:db8::1]:4711"),
        ),
        (
            "mapped",
            &["::ffff:192.0.2.1"],
            "192.0.2.1",
            Some("::ffff:192.0.2.1"),
        ),
        (
            "mapped and trusted",
            &["192.0.2.1, ::ffff:10.0.0.2"],
            "192.0.2.1",
            Some("192.0.2.1, ::ffff:10.0.0.2"),
        ),
        (
            "ports of proxies",
            &["192.0.2.1:1, 10.0.0.2:2"],
            "192.0.2.1 1",
            Some("192.0.2.1:1, 10.0.0.2:2"),
        ),
        // What is no address stops the walk at the last good one.
        ("unknown", &["unknown"], "peer", None),
        (
            "unknown behind a proxy",
            &["192.0.2.1, unknown, 10.0.0.2"],
            "10.0.0.2",
            Some("10.0.0.2"),
        ),
        ("empty", &[""], "peer", None),
        (
            "an empty entry",
            &["192.0.2.1, , 10.0.0.2"],
            "10.0.0.2",
            Some("10.0.0.2"),
        ),
        ("a comma at the end", &["192.0.2.1,"], "peer", None),
        ("a name", &["192.0.2.1, example.org"], "peer", None),
        ("a zone", &["192.0.2.1, fe80::1%eth0"], "peer", None),
        ("octal", &["010.0.0.1"], "peer", None),
        ("quoted", &["\"192.0.2.1\""], "peer", None),
        ("semicolons", &["192.0.2.1; 10.0.0.2"], "peer", None),
        ("a very long one", &[&long], "192.0.2.1", Some("192.0.2.1")),
        ("none", &[], "peer", None),
    ] {
        let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        let kept: Vec<_> = kept
            .iter()
            .map(|kept| format!("x-forwarded-for: {kept}"))
            .collect();
        assert_eq!(
            client(ClientHeader::XForwardedFor, &lines),
            (expected.to_owned(), kept),
            "{name}"
        );
    }
}

#[test]
fn forwarded_is_followed_from_right_to_left() {
    for (name, lines, expected, kept) in [
        (
            "one",
            &["for=192.0.2.1;proto=https"][..],
            "192.0.2.1",
            Some("for=192.0.2.1;proto=https"),
        ),
        (
            "forged",
            &["for=127.0.0.1, for=192.0.2.1"],
            "192.0.2.1",
            Some("for=192.0.2.1"),
        ),
        (
            "two proxies",
            &["for=1.1.1.1, for=\"[2001:db8::1]:4711\"", "for=10.0.0.2"],
            "2001:db8::1 4711",
            Some("for=\"[2001:db8::1]:4711\", for=10.0.0.2"),
        ),
        (
            "hidden",
            &["for=192.0.2.1, for=_hidden, for=10.0.0.2"],
            "10.0.0.2",
            Some("for=10.0.0.2"),
        ),
        ("unknown", &["for=unknown"], "peer", None),
        ("no for", &["for=192.0.2.1, proto=https"], "peer", None),
        (
            "malformed",
            &["for=192.0.2.1, for=10.0.0.2;for=10.0.0.3"],
            "peer",
            None,
        ),
        (
            "an open quote",
            &["for=\", for=192.0.2.1"],
            "192.0.2.1",
            Some("for=192.0.2.1"),
        ),
        (
            "an open quote and a backslash",
            &["for=\"\\, for=192.0.2.1"],
            "192.0.2.1",
            Some("for=192.0.2.1"),
        ),
        (
            "quotes around a comma",
            &["for=\"1.1.1.1, for=192.0.2.1\""],
            "peer",
            None,
        ),
    ] {
        let lines: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
        let kept: Vec<_> = kept.iter().map(|kept| format!("forwarded: {kept}")).collect();
        assert_eq!(
            client(ClientHeader::Forwarded, &lines),
            (expected.to_owned(), kept),
            "{name}"
        );
    }
}

#[test]
fn x_real_ip_is_one_address() {
    for (lines, expected, kept) in [
        (&["192.0.2.1"][..], "192.0.2.1", "192.0.2.1"),
        (&["2001:db8::1"], "2001:db8::1", "2001:db8::1"),
        // A line that came through, and the proxy's own.
        (&["1.1.1.1", "192.0.2.1"], "192.0.2.1", "192.0.2.1"),
        (&["1.1.1.1, 192.0.2.1"], "peer", PROXY),
        (&["unknown"], "peer", PROXY),
    ] {
        let lines: Vec<_> = lines.iter().map(|line| ("x-real-ip", *line)).collect();
        let kept = vec![format!("x-real-ip: {kept}")];
        assert_eq!(
            client(ClientHeader::XRealIp, &lines),
            (expected.to_owned(), kept),
            "{lines:?}"
        );
    }
}

#[test]
fn of_several_kinds_only_the_configured_one_counts() {
    let all = [
        ("x-forwarded-for", "192.0.2.1"),
        ("forwarded", "for=192.0.2.2"),
        ("x-real-ip", "192.0.2.3"),
        ("accept", "*/*"),
    ];
    for (header, expected, kept) in [
        (
            ClientHeader::XForwardedFor,
            "192.0.2.1",
            ["x-forwarded-for: 192.0.2.1", "x-real-ip: 192.0.2.1"].to_vec(),
        ),
        (
            ClientHeader::Forwarded,
            "192.0.2.2",
            ["forwarded: for=192.0.2.2", "x-real-ip: 192.0.2.2"].to_vec(),
        ),
        (
            ClientHeader::XRealIp,
            "192.0.2.3",
            ["x-real-ip: 192.0.2.3"].to_vec(),
        ),
    ] {
        let (client, mut left) = client(header, &all);
        left.retain(|line| line != "accept: */*");
        assert_eq!(
            (client.as_str(), left.iter().map(String::as_str).collect()),
            (expected, kept),
            "{header:?}"
        );
    }
    // A proxy that is to name the client in one field and does not: no other field stands in for it.
    let (client, left) = client(ClientHeader::XForwardedFor, &all[1..]);
    assert_eq!(client, "peer");
    assert_eq!(left, ["accept: */*".to_owned(), format!("x-real-ip: {PROXY}")]);
}

/// Scheme, host and port of these lines from a trusted peer.
fn asked(header: ClientHeader, lines: &[(&str, &str)]) -> (Option<Scheme>, Option<String>, Option<u16>) {
    let mut headers = headers(lines);
    let claims = Claims::settle(&mut headers, Some(PROXY.parse().unwrap()), &proxies(header)).unwrap();
    let host = claims.host.as_ref().map(|host| host.to_str().unwrap().to_owned());
    (claims.scheme, host, claims.port)
}

#[test]
fn scheme_host_and_port_are_those_of_the_outermost_proxy() {
    let scheme = |lines: &[(&str, &str)]| asked(ClientHeader::XForwardedFor, lines).0;
    let (http, https) = (Some(Scheme::Http), Some(Scheme::Https));
    let to = |value: &'static str| ("x-forwarded-for", value);
    let proto = |value: &'static str| ("x-forwarded-proto", value);
    for (name, lines, expected) in [
        ("replaced", &[to("192.0.2.1"), proto("https")][..], https),
        ("in capitals", &[proto("HTTPS")], https),
        ("of a WebSocket", &[proto("wss")], https),
        ("http", &[proto("http")], http),
        ("nonsense", &[proto("gopher")], None),
        ("empty", &[proto("")], None),
        // The client forges one, the proxy adds its own.
        ("added", &[to("192.0.2.1"), proto("https, http")], http),
        (
            "added as a line",
            &[to("192.0.2.1"), proto("https"), proto("http")],
            http,
        ),
        (
            "added, with a forged address",
            &[to("1.1.1.1, 192.0.2.1"), proto("https, http")],
            http,
        ),
        // The outer proxy spoke TLS with the client, the inner one did not with the outer.
        (
            "of two",
            &[to("192.0.2.1, 10.0.0.2"), proto("https, http")],
            https,
        ),
        (
            "of two, the outer replaced",
            &[to("192.0.2.1, 10.0.0.2"), proto("https")],
            https,
        ),
        (
            "of two, forged",
            &[to("192.0.2.1, 10.0.0.2"), proto("http, https, http")],
            https,
        ),
        (
            "behind an unknown client",
            &[to("unknown, 10.0.0.2"), proto("https, http")],
            https,
        ),
    ] {
        assert_eq!(scheme(lines), expected, "{name}");
    }
    let host = |value: &'static str| ("x-forwarded-host", value);
    let port = |value: &'static str| ("x-forwarded-port", value);
    let told = |lines: &[(&str, &str)]| {
        let (_, host, port) = asked(ClientHeader::XRealIp, lines);
        (host, port)
    };
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(
        told(&[host("example.org"), port("8443")]),
        (named("example.org"), Some(8443))
    );
    assert_eq!(told(&[host("[::1]:80"), port("0")]), (named("[::1]:80"), None));
    for bad in ["", "a b", "a/b", "a@b", "http://a", "a:b", "a\"b", "a, "] {
        assert_eq!(told(&[host(bad), port("x")]), (None, None), "{bad}");
    }
    assert_eq!(
        told(&[host("forged, example.org"), port("1, 443")]),
        (named("example.org"), Some(443))
    );
}

#[test]
fn forwarded_brings_its_own_scheme_and_host() {
    let told = |line: &'static str| {
        let lines = [
            ("forwarded", line),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "forged"),
            ("x-forwarded-port", "1"),
        ];
        asked(ClientHeader::Forwarded, &lines)
    };
    let named = |name: &str| Some(name.to_owned());
    for (line, expected) in [
        ("for=192.0.2.1", (None, None, None)),
        (
            "for=192.0.2.1;proto=https;host=a.b",
            (Some(Scheme::Https), named("a.b"), None),
        ),
        (
            "for=1.1.1.1;proto=https;host=forged, for=192.0.2.1;proto=http",
            (Some(Scheme::Http), None, None),
        ),
        (
            "for=192.0.2.1;proto=https, for=10.0.0.2;proto=http;host=\"a:80\"",
            (Some(Scheme::Https), named("a:80"), None),
        ),
        (
            "for=_hidden;proto=https, for=10.0.0.2",
            (Some(Scheme::Https), None, None),
        ),
    ] {
        assert_eq!(told(line), expected, "{line}");
    }
}

#[test]
fn what_is_not_believed_is_not_handed_on() {
    let mut proxies = proxies(ClientHeader::XForwardedFor);
    proxies.fields.host = false;
    let mut headers = headers(&[
        ("x-forwarded-host", "forged"),
        ("x-forwarded-proto", "gopher"),
        ("x-forwarded-port", "1, 443"),
        ("x-forwarded-prefix", "/below"),
    ]);
    let claims = Claims::settle(&mut headers, Some(PROXY.parse().unwrap()), &proxies).unwrap();
    assert_eq!(claims.host, None);
    // What the front does not know a trusted proxy may say to the application.
    assert_eq!(
        left(&headers),
        ["x-forwarded-port: 443", "x-forwarded-prefix: /below"]
    );
}

#[test]
fn nobody_else_is_believed() {
    let lines = [
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "forged"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-prefix", "/admin"),
        ("x-forwarded-ssl", "on"),
        ("forwarded", "for=192.0.2.1"),
        ("x-real-ip", "192.0.2.1"),
        ("x-request-id", "forged"),
        ("x-forwarded", "is no claim"),
        ("host", "a"),
    ];
    for (peer, header) in [
        (Some("192.0.2.9"), ClientHeader::XForwardedFor),
        (Some("11.0.0.1"), ClientHeader::Forwarded),
        (Some("::1"), ClientHeader::XRealIp),
        (None, ClientHeader::XForwardedFor),
    ] {
        let mut headers = headers(&lines);
        let peer = peer.map(|peer| peer.parse().unwrap());
        assert!(Claims::settle(&mut headers, peer, &proxies(header)).is_none());
        assert_eq!(left(&headers), ["host: a", "x-forwarded: is no claim"]);
    }
}

#[test]
fn a_unix_socket_is_trusted_by_name() {
    let trusting = Proxies {
        unix: true,
        ..Proxies::default()
    };
    let lines = [("x-forwarded-for", "1.1.1.1, 192.0.2.1"), ("x-real-ip", "x")];
    let mut fields = headers(&lines);
    let claims = Claims::settle(&mut fields, None, &trusting).unwrap();
    assert_eq!(claims.client_text(), Some("192.0.2.1"));
    let mut fields = headers(&lines[1..]);
    let claims = Claims::settle(&mut fields, None, &trusting).unwrap();
    assert_eq!(
        (claims.client_text(), left(&fields).len()),
        (None, 0),
        "nobody has an address"
    );
}

#[test]
fn request_ids_of_proxies_are_taken_if_they_are_plain() {
    for (lines, expected) in [
        (&["abc-1"][..], Some("abc-1")),
        (&["of-the-client", "of-the-proxy"], Some("of-the-proxy")),
        (&["a b"], None),
        (&[""], None),
        (&[], None),
    ] {
        let lines: Vec<_> = lines.iter().map(|line| ("x-request-id", *line)).collect();
        let mut headers = headers(&lines);
        let claims = Claims::settle(
            &mut headers,
            Some(PROXY.parse().unwrap()),
            &proxies(ClientHeader::default()),
        )
        .unwrap();
        assert_eq!(
            claims.request_id.as_ref().map(RequestId::as_str),
            expected,
            "{lines:?}"
        );
        assert_eq!(left(&headers).len(), 0);
    }
}

#[test]
fn claims_are_known_by_their_names() {
    for name in [
        "x-forwarded-for",
        "X-FORWARDED-PROTO",
        "x-forwarded-host",
        "X-Forwarded-Port",
        "x-forwarded-x",
        "Forwarded",
        "FORWARDED",
        "X-Real-Ip",
        "x-request-id",
    ] {
        assert!(is_claim(name.as_bytes()), "{name}");
    }
    for name in [
        "",
        "x",
        "f",
        "x-forwarded-",
        "x-forwarded",
        "forwarded-for",
        "x-real-ips",
        "request-id",
        "from",
        "x-requested-with",
    ] {
        assert!(!is_claim(name.as_bytes()), "{name}");
    }
}

/// Anything that may stand in a field's value.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,40}",
        // Likelier to look like what is read.
        r#"((for=|by=|,|;|"|\\|\[|\]| |127\.0\.0\.1|10\.0\.0\.7|::1|unknown|_x|:80){0,12})"#,
    ]
}

proptest! {
    /// Whatever a client sends, and however many trusted proxies add to it in whichever way, it is known by the address
    /// that the outermost of them has seen.
    #[test]
    fn a_client_cannot_choose_its_address(
        sent in prop::collection::vec(value(), 0..4),
        last in 0_u8..=255,
        further in 0_usize..4,
        on_the_same_line: bool,
        rfc: bool,
    ) {
        let (header, name) = if rfc {
            (ClientHeader::Forwarded, header::FORWARDED)
        } else {
            (ClientHeader::XForwardedFor, X_FORWARDED_FOR.clone())
        };
        let client = format!("192.0.2.{last}");
        let mut lines = sent;
        for seen in std::iter::once(client.clone()).chain((0..further).map(|at| format!("10.0.0.{at}"))) {
            let own = if rfc { format!("for={seen}") } else { seen };
            match lines.last_mut() {
                Some(line) if on_the_same_line => *line = format!("{line}, {own}"),
                _ => lines.push(own),
            }
        }
        let mut headers = HeaderMap::new();
        for line in &lines {
            headers.append(&name, HeaderValue::from_str(line).unwrap());
        }
        let claims = Claims::settle(&mut headers, Some(PROXY.parse().unwrap()), &proxies(header)).unwrap();
        prop_assert_eq!(claims.client_text(), Some(client.as_str()));
        // And what is handed on begins with it.
        let handed_on = headers.get(&name).unwrap().to_str().unwrap();
        let expected = if rfc { format!("for={client}") } else { client };
        prop_assert!(handed_on == expected || handed_on.starts_with(&format!("{expected}, ")), "{}", handed_on);
    }

    #[test]
    fn nothing_makes_it_panic(
        lines in prop::collection::vec((0_usize..7, prop::collection::vec(any::<u8>(), 0..40)), 0..8),
        kind in 0..3,
    ) {
        let names = [
            &X_FORWARDED_FOR, &header::FORWARDED, &X_REAL_IP, &X_FORWARDED_PROTO, &X_FORWARDED_HOST, &X_FORWARDED_PORT,
            &X_REQUEST_ID,
        ];
        let header = [ClientHeader::XForwardedFor, ClientHeader::Forwarded, ClientHeader::XRealIp][kind as usize];
        let mut headers = HeaderMap::new();
        for (name, line) in &lines {
            if let Ok(line) = HeaderValue::from_bytes(line) {
                headers.append(names[*name], line);
            }
        }
        let _ = Claims::settle(&mut headers, Some(PROXY.parse().unwrap()), &proxies(header));
    }
}
