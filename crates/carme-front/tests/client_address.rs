//! Whom the application and the logs take for the client: behind proxies, and before those who would like to be one.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use carme_front::{ClientHeader, ForwardedFields, Limits, Proxies};
use common::Front;
use common::client::{Client, Response};
use tokio::time::Instant;

/// The client's address, the peer's, and the field that the application gets.
const LINE: &str = r#"%a %h %{c}a %{c}h "%{X-Forwarded-For}i" %>s"#;

fn trusting(networks: &[&str]) -> Proxies {
    Proxies {
        networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
        ..Proxies::default()
    }
}

/// This machine and a private network.
fn local() -> Proxies {
    trusting(&["127.0.0.0/8", "10.0.0.0/8"])
}

fn announced() -> Proxies {
    Proxies {
        protocol: true,
        ..local()
    }
}

fn front(proxies: Proxies) -> Front {
    Front::behind(proxies, Limits::default(), LINE)
}

async fn ask(client: &mut Client, fields: &str) -> Response {
    client
        .send(format!("GET /client HTTP/1.1\r\nHost: a:81\r\n{fields}\r\n"))
        .await;
    client.response("GET").await
}

/// What the application sees behind the request's id, on one line for each field.
async fn seen(client: &mut Client, fields: &str) -> Vec<String> {
    let response = ask(client, fields).await;
    assert_eq!(response.status, 200);
    response.text().lines().skip(1).map(str::to_owned).collect()
}

#[tokio::test]
async fn nobody_is_believed_by_default() {
    let front = front(Proxies::default());
    let mut client = front.connect().await;
    let port = client.stream.local_addr().unwrap().port();
    let own = front.address.port();
    let claims = "X-Forwarded-For: 192.0.2.1\r\nx-forwarded-for: 192.0.2.2\r\nForwarded: for=192.0.2.1;proto=https;host=b\r\n\
                  X-Real-IP: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\nX-Forwarded-Port: 443\r\n\
                  X-Forwarded-Ssl: on\r\nX-Forwarded-Prefix: /admin\r\nX-Request-Id: forged\r\nX_Forwarded_For: 192.0.2.1\r\n";
    let expected = [format!("127.0.0.1 {port} asks Http a {own}"), "host: a:81".into()];
    assert_eq!(seen(&mut client, claims).await, expected);
    assert_eq!(seen(&mut client, "").await, expected);
    assert_eq!(
        front.log(2).await,
        [r#"127.0.0.1 127.0.0.1 127.0.0.1 127.0.0.1 "-" 200"#; 2]
    );
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client_of_each_request() {
    let front = front(local());
    let mut client = front.connect().await;
    let own = front.address.port();
    for (fields, expected, field) in [
        ("X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1 0", "192.0.2.1"),
        (
            "X-Forwarded-For: 127.0.0.1, 192.0.2.2\r\n",
            "192.0.2.2 0",
            "192.0.2.2",
        ),
        (
            "X-Forwarded-For: forged, 2001:db8::1\r\nX-Forwarded-For: 10.0.0.2\r\n",
            "2001:db8::1 0",
            "2001:db8::1, 10.0.0.2",
        ),
        (
            "X-Forwarded-For: [2001:db8::1]:4711\r\n",
            "2001:db8::1 4711",
            "[2001:db8::1]:4711",
        ),
    ] {
        let expected = [
            format!("{expected} asks Http a {own}"),
            "host: a:81".into(),
            format!("x-forwarded-for: {field}"),
        ];
        assert_eq!(seen(&mut client, fields).await, expected, "{fields}");
    }
    // The proxy's own request on the same connection.
    let port = client.stream.local_addr().unwrap().port();
    let expected = [format!("127.0.0.1 {port} asks Http a {own}"), "host: a:81".into()];
    assert_eq!(seen(&mut client, "").await, expected);
    assert_eq!(
        front.log(5).await,
        [
            r#"192.0.2.1 192.0.2.1 127.0.0.1 127.0.0.1 "192.0.2.1" 200"#,
            r#"192.0.2.2 192.0.2.2 127.0.0.1 127.0.0.1 "192.0.2.2" 200"#,
            r#"2001:db8::1 2001:db8::1 127.0.0.1 127.0.0.1 "2001:db8::1, 10.0.0.2" 200"#,
            r#"2001:db8::1 2001:db8::1 127.0.0.1 127.0.0.1 "[2001:db8::1]:4711" 200"#,
            r#"127.0.0.1 127.0.0.1 127.0.0.1 127.0.0.1 "-" 200"#,
        ]
    );
}

#[tokio::test]
async fn scheme_host_and_port_are_what_the_client_asked_for() {
    let front = front(local());
    let mut client = front.connect().await;
    let own = front.address.port();
    for (fields, expected, host) in [
        ("X-Forwarded-Proto: https\r\n", "Https a 81".to_owned(), "a:81"),
        (
            "X-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\n",
            "Https b 443".into(),
            "b",
        ),
        (
            "X-Forwarded-Proto: http\r\nX-Forwarded-Host: b\r\n",
            "Http b 80".into(),
            "b",
        ),
        (
            "X-Forwarded-Proto: https\r\nX-Forwarded-Host: b:8443\r\n",
            "Https b 8443".into(),
            "b:8443",
        ),
        (
            "X-Forwarded-Proto: https\r\nX-Forwarded-Port: 444\r\n",
            "Https a 444".into(),
            "a:81",
        ),
        ("X-Forwarded-Host: b\r\n", format!("Http b {own}"), "b"),
        (
            "X-Forwarded-Proto: gopher\r\nX-Forwarded-Host: b/c\r\nX-Forwarded-Port: no\r\n",
            format!("Http a {own}"),
            "a:81",
        ),
    ] {
        let seen = seen(&mut client, fields).await;
        let port = client.stream.local_addr().unwrap().port();
        assert_eq!(seen[0], format!("127.0.0.1 {port} asks {expected}"), "{fields}");
        assert_eq!(seen[1], format!("host: {host}"), "{fields}");
    }
    // An absolute target has a host of its own; a proxy knows better.
    client
        .send("GET http://c/client HTTP/1.1\r\nHost: c\r\nX-Forwarded-Host: b\r\n\r\n")
        .await;
    let text = client.response("GET").await.text();
    assert!(text.contains("\nhost: b\n"), "{text}");
}

#[tokio::test]
async fn one_kind_of_field_counts_and_the_others_are_removed() {
    let fields = "X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.2;proto=https;host=b\r\nX-Real-IP: 192.0.2.3\r\n\
                  X-Forwarded-Proto: http\r\nX-Forwarded-Host: forged\r\n";
    let forwarded = "forwarded: for=192.0.2.2;proto=https;host=b";
    let host = [
        "host: forged",
        "x-forwarded-host: forged",
        "x-forwarded-proto: http",
    ];
    for (header, asks, expected) in [
        (
            ClientHeader::XForwardedFor,
            "192.0.2.1 0 asks Http forged 80",
            vec![
                host[0],
                "x-forwarded-for: 192.0.2.1",
                host[1],
                host[2],
                "x-real-ip: 192.0.2.1",
            ],
        ),
        (
            ClientHeader::Forwarded,
            "192.0.2.2 0 asks Https b 443",
            vec![forwarded, "host: b", "x-real-ip: 192.0.2.2"],
        ),
        (
            ClientHeader::XRealIp,
            "192.0.2.3 0 asks Http forged 80",
            vec![host[0], host[1], host[2], "x-real-ip: 192.0.2.3"],
        ),
    ] {
        let front = front(Proxies { header, ..local() });
        let mut client = front.connect().await;
        let seen = seen(&mut client, fields).await;
        assert_eq!(
            (seen[0].as_str(), seen[1..].to_vec()),
            (asks, expected.iter().map(ToString::to_string).collect()),
            "{header:?}"
        );
    }
    // What is not to be believed is not handed on.
    let fields_believed = ForwardedFields {
        host: false,
        ..ForwardedFields::default()
    };
    let front = front(Proxies {
        fields: fields_believed,
        ..local()
    });
    let mut client = front.connect().await;
    let seen = seen(
        &mut client,
        "X-Forwarded-Host: forged\r\nX-Forwarded-Proto: https\r\n",
    )
    .await;
    assert_eq!(seen[1..], ["host: a:81", "x-forwarded-proto: https"]);
}

#[tokio::test]
async fn a_request_keeps_the_id_that_a_trusted_proxy_gave_it() {
    let front = Front::behind(local(), Limits::default(), "%L %{REQUEST_ID}e %>s");
    let mut client = front.connect().await;
    let mut ids = Vec::new();
    for (fields, expected) in [
        ("X-Request-Id: 9f86d081-884c\r\n", Some("9f86d081-884c")),
        ("X-Request-Id: a b\r\n", None),
        ("X-Request-Id: a\"b\r\n", None),
        ("X-Request-Id:\r\n", None),
        ("", None),
    ] {
        let response = ask(&mut client, fields).await;
        let id = response.header("x-request-id").unwrap().to_owned();
        assert!(expected.is_none_or(|expected| id == expected), "{fields}: {id}");
        assert!(expected.is_some() || id.len() == 16, "{fields}: {id}");
        let text = response.text();
        assert_eq!(text.lines().next(), Some(id.as_str()), "{fields}");
        assert!(!text.contains("x-request-id"), "the worker adds it\n{text}");
        ids.push(format!("{id} {id} 200"));
    }
    // A page of the front's own names it too.
    client
        .send("GET /fails/died HTTP/1.1\r\nHost: a\r\nX-Request-Id: of-the-proxy\r\n\r\n")
        .await;
    let response = client.response("GET").await;
    assert_eq!(response.header("x-request-id"), Some("of-the-proxy"));
    assert!(
        response.text().contains("Request of-the-proxy<"),
        "{}",
        response.text()
    );
    ids.push("of-the-proxy of-the-proxy 502".into());
    assert_eq!(front.log(6).await, ids);
}

/// A version 2 header: this command, family and rest.
fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([0x20 | command, family]);
    bytes.extend((rest.len() as u16).to_be_bytes());
    bytes.extend(rest);
    bytes
}

/// From 192.0.2.1 port 4711 to 198.51.100.1 port 443.
const ENDS: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x67, 0x01, 0xbb];

#[tokio::test]
async fn a_proxy_header_names_the_client_of_a_connection() {
    let front = front(announced());
    let own = front.address.port();
    let tls = [&ENDS[..], &[0x20, 0, 5, 1, 0, 0, 0, 0], &[0x04, 0, 1, 0]].concat();
    let unix = [0; 216];
    for (name, header, expected) in [
        (
            "v1",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n".to_vec(),
            Some("192.0.2.1 4711 asks Http a 443"),
        ),
        (
            "v1, IPv6",
            b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 80\r\n".to_vec(),
            Some("2001:db8::1 4711 asks Http a 80"),
        ),
        ("v1, unknown", b"PROXY UNKNOWN\r\n".to_vec(), None),
        (
            "v2",
            version_2(1, 0x11, &ENDS),
            Some("192.0.2.1 4711 asks Http a 443"),
        ),
        (
            "v2, over TLS",
            version_2(1, 0x11, &tls),
            Some("192.0.2.1 4711 asks Https a 443"),
        ),
        ("v2, local", version_2(0, 0x11, &ENDS), None),
        ("v2, unix", version_2(1, 0x31, &unix), None),
        ("v2, unspecified", version_2(1, 0, b"whatever"), None),
    ] {
        // All at once, and byte by byte.
        for trickle in [false, true] {
            let mut client = front.connect().await;
            if trickle {
                for byte in &header {
                    client.send([*byte]).await;
                    tokio::task::yield_now().await;
                }
            } else {
                client
                    .send([&header[..], b"GET /client HTTP/1.1\r\nHost: a\r\n\r\n"].concat())
                    .await;
                assert_eq!(client.response("GET").await.status, 200, "{name}");
            }
            let port = client.stream.local_addr().unwrap().port();
            let expected = match expected {
                Some(expected) => expected.to_owned(),
                None => format!("127.0.0.1 {port} asks Http a {own}"),
            };
            // And it holds for every request.
            for _ in 0..2 {
                assert_eq!(seen(&mut client, "").await[0], expected, "{name}");
            }
        }
    }
    let lines = front.log(8 * 5).await;
    let count = |line: &str| lines.iter().filter(|found| *found == line).count();
    assert_eq!(count(r#"192.0.2.1 192.0.2.1 127.0.0.1 127.0.0.1 "-" 200"#), 15);
    assert_eq!(count(r#"2001:db8::1 2001:db8::1 127.0.0.1 127.0.0.1 "-" 200"#), 5);
    assert_eq!(count(r#"127.0.0.1 127.0.0.1 127.0.0.1 127.0.0.1 "-" 200"#), 20);
}

#[tokio::test]
async fn behind_a_proxy_header_fields_count_as_far_as_its_address_is_trusted() {
    let front = front(announced());
    let fields = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n";
    for (source, expected) in [
        // The fields come from the client itself: the proxy only passes bytes through.
        ("192.0.2.1", "192.0.2.1 4711 asks Http a 443"),
        ("10.0.0.2", "203.0.113.9 0 asks Https a 81"),
    ] {
        let mut client = front.connect().await;
        client
            .send(format!("PROXY TCP4 {source} 198.51.100.1 4711 443\r\n"))
            .await;
        assert_eq!(seen(&mut client, fields).await[0], expected);
    }
}

#[tokio::test]
async fn what_is_no_proxy_header_closes_the_connection() {
    let front = front(announced());
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\0",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 4711\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\n",
        b"PROXY UNKNOWN\r\r\n",
        &version_2(2, 0x11, &ENDS),
        &version_2(1, 0x11, &ENDS[..11]),
        &version_2(1, 0x11, &[&ENDS[..], &[0x20, 0xff, 0xff]].concat()),
        // A checksum that is none of these bytes.
        &version_2(1, 0x11, &[&ENDS[..], &[0x03, 0, 4, 1, 2, 3, 4]].concat()),
        &[b"PROXY UNKNOWN ", &[b'x'; 200][..]].concat(),
    ] {
        let mut client = front.connect().await;
        client.send(bytes).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.expect_end(&bytes.escape_ascii().to_string()).await;
    }
    // Somebody who looks whether the port is open.
    drop(front.connect().await);
    let (drained, lines) = front.stop().await;
    assert_eq!((drained.aborted, lines.len()), (0, 0));
}

#[tokio::test]
async fn who_is_not_trusted_may_not_announce_anybody() {
    let front = front(Proxies {
        protocol: true,
        ..trusting(&["10.0.0.0/8"])
    });
    let mut client = front.connect().await;
    client
        .send("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    client.expect_end("not trusted").await;
    assert_eq!(front.events.dispatched(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_proxy_header_is_not_waited_for() {
    let limits = Limits {
        header_timeout: Duration::from_secs(10),
        ..Limits::default()
    };
    let front = Front::behind(announced(), limits, LINE);
    let mut client = front.connect().await;
    let begun = Instant::now();
    for byte in b"PROXY TCP" {
        client.send([*byte]).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    client.expect_end("slow").await;
    let seconds = begun.elapsed().as_secs_f64();
    assert!((10.0..13.0).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn a_proxy_header_that_is_being_waited_for_does_not_hold_up_the_end() {
    let front = front(announced());
    let mut client = front.connect().await;
    client.send("PROXY TCP4 ").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    let (drained, lines) = front.stop().await;
    assert_eq!((drained.aborted, lines.len()), (0, 0));
    assert!(begun.elapsed() < Duration::from_secs(1));
    client.expect_end("the server's end").await;
}

#[tokio::test]
async fn mapped_addresses_are_the_ones_that_they_map() {
    let front = front(trusting(&["127.0.0.0/8"]));
    let mut client = front.connect().await;
    let seen = seen(
        &mut client,
        "X-Forwarded-For: ::ffff:192.0.2.1, ::ffff:127.0.0.5\r\n",
    )
    .await;
    assert!(seen[0].starts_with("192.0.2.1 0 asks "), "{}", seen[0]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_sockets_clients_are_trusted_together() {
    use carme_front::{Listener, Location, Shutdown, Site, SiteOptions, serve};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    for (unix, expected) in [
        (true, "\n192.0.2.1 0 asks Https b 443\nhost: b\n"),
        (false, "\n 0 asks Http a 83\nhost: a:83"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("front.sock");
        let options = SiteOptions {
            proxies: Proxies {
                unix,
                ..Proxies::default()
            },
            ..SiteOptions::default()
        };
        let site = Site::new(
            options,
            [Location::new("/", common::app::Fake::new(&Default::default()))],
        );
        let shutdown = Shutdown::new(Duration::from_secs(5));
        let listener = Listener::unix(&path, 16).unwrap();
        let server = tokio::spawn(serve(vec![listener], std::sync::Arc::new(site), shutdown.clone()));
        let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        let request =
            b"GET /client HTTP/1.1\r\nHost: a:83\r\nConnection: close\r\nX-Forwarded-For: 192.0.2.1\r\n\
                        X-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.contains(expected), "{text}");
        shutdown.begin();
        server.await.unwrap();
    }
}

#[tokio::test]
async fn a_client_on_ipv6_is_judged_by_its_own_address() {
    let Ok(listener) = std::net::TcpListener::bind("[::1]:0") else {
        println!("skipped: this machine has no IPv6");
        return;
    };
    drop(listener);
    use carme_front::{Listener, Location, Shutdown, Site, SiteOptions, serve};
    let options = SiteOptions {
        proxies: trusting(&["::1/128"]),
        ..SiteOptions::default()
    };
    let site = Site::new(
        options,
        [Location::new("/", common::app::Fake::new(&Default::default()))],
    );
    let listener = Listener::tcp(SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 0)), 16).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(
        vec![listener],
        std::sync::Arc::new(site),
        Shutdown::new(Duration::ZERO),
    ));
    let mut client = Client::connect(address).await;
    let seen = seen(&mut client, "X-Forwarded-For: 192.0.2.1\r\n").await;
    assert!(seen[0].starts_with("192.0.2.1 0 asks "), "{}", seen[0]);
}

/// The front's word for everybody, and each listener's own.
#[tokio::test]
async fn a_listener_says_for_itself_whether_clients_are_announced() {
    use carme_front::{Listener, Location, Shutdown, Site, SiteOptions, serve};
    for everywhere in [false, true] {
        let options = SiteOptions {
            proxies: Proxies {
                protocol: everywhere,
                ..local()
            },
            ..SiteOptions::default()
        };
        let site = Site::new(
            options,
            [Location::new("/", common::app::Fake::new(&Default::default()))],
        );
        let any = || Listener::tcp(SocketAddr::from(([127, 0, 0, 1], 0)), 16).unwrap();
        let listeners = vec![
            any(),
            any().with_proxy_protocol(true),
            any().with_proxy_protocol(false),
        ];
        let addresses: Vec<SocketAddr> = listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap())
            .collect();
        let shutdown = Shutdown::new(Duration::from_secs(5));
        let server = tokio::spawn(serve(listeners, std::sync::Arc::new(site), shutdown.clone()));
        for (address, announces) in addresses.into_iter().zip([everywhere, true, false]) {
            let mut client = Client::connect(address).await;
            if announces {
                client
                    .send("PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n")
                    .await;
            }
            let expected = if announces {
                "192.0.2.1 4711 "
            } else {
                "127.0.0.1 "
            };
            let seen = seen(&mut client, "").await;
            assert!(
                seen[0].starts_with(expected),
                "{everywhere} {announces}: {}",
                seen[0]
            );
            let mut client = Client::connect(address).await;
            match announces {
                true => {
                    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
                    client.expect_end("no header where one must be").await;
                }
                false => {
                    client
                        .send("PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n\r\n")
                        .await;
                    assert_eq!(client.response("GET").await.status, 400);
                }
            }
        }
        shutdown.begin();
        server.await.unwrap();
    }
}
