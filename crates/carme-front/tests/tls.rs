//! TLS: what a client of it sees, what the application is told, and what happens to those who do it badly.

mod common;

use std::sync::Arc;
use std::time::Duration;

use carme_front::{Https, Limits};
use carme_metrics::Exposition;
use carme_tls::{ClientAuth, MinVersion, Settings};
use common::Front;
use common::certificates::{Authority, SecureClient, secure};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

fn start(tls: &Arc<carme_front::Tls>) -> Front {
    Front::secure(Limits::default(), common::LINE, tls, Https::default())
}

/// How many handshakes ended like this.
fn handshakes(front: &Front, outcome: &str) -> Option<String> {
    let mut text = Exposition::default();
    front.metrics.as_ref()?.write(&mut text);
    let sample = format!("carme_tls_handshakes_total{{outcome=\"{outcome}\"}} ");
    let text = text.into_text();
    text.lines()
        .find_map(|line| Some(line.strip_prefix(&sample)?.to_owned()))
}

fn seconds(from: Instant) -> f64 {
    from.elapsed().as_secs_f64()
}

fn leaf(client: &SecureClient) -> Vec<u8> {
    let chain = client
        .stream
        .get_ref()
        .1
        .peer_certificates()
        .expect("a certificate");
    chain[0].to_vec()
}

fn value<'d>(dump: &'d str, name: &str) -> Option<&'d str> {
    dump.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "))
}

#[tokio::test]
async fn a_request_over_tls_is_one_like_any_other_and_known_as_such() {
    let authority = Authority::new("authority");
    let front = start(&authority.site());
    let mut client = secure(front.address, "site.test", &authority.believer().config())
        .await
        .unwrap();
    let session = client.stream.get_ref().1;
    assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let dump = client.get("/dump?a=1").await.text();
    assert!(dump.contains("scheme=https"), "{dump}");
    assert_eq!(value(&dump, "HTTPS"), Some("on"));
    assert_eq!(value(&dump, "SSL_PROTOCOL"), Some("TLSv1.3"));
    assert!(
        value(&dump, "SSL_CIPHER").unwrap().starts_with("TLS_AES_"),
        "{dump}"
    );
    assert_eq!(value(&dump, "SSL_TLS_SNI"), Some("site.test"));
    assert_eq!(value(&dump, "SSL_CLIENT_VERIFY"), None);

    // The same connection, on and on: large both ways, in pieces, pipelined.
    let large = vec![b'x'; 300_000];
    client
        .send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n")
        .await;
    client.send(&large).await;
    assert_eq!(client.response("POST").await.body, large);
    assert_eq!(client.get("/stream/a/b/c").await.text(), "abc");
    client
        .send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(client.response("GET").await.text(), "hello");
    assert!(client.response("GET").await.closes());
    client.expect_end("after Connection: close").await;

    let mut plain = common::client::Client::connect(front.plain.unwrap()).await;
    let dump = plain.get("/dump").await.text();
    assert!(
        !dump.contains("https") && !dump.contains("SSL_") && !dump.contains("HTTPS"),
        "{dump}"
    );
    assert_eq!(front.log(6).await.len(), 6);
}

#[tokio::test]
async fn a_malformed_request_gets_its_answer_through_tls() {
    let authority = Authority::new("authority");
    let front = start(&authority.site());
    let config = authority.believer().config();
    let mut client = secure(front.address, "site.test", &config).await.unwrap();
    client.send("GET / HTTP/1.1\r\nHost : a\r\n\r\n").await;
    assert_eq!(client.response("GET").await.status, 400);
    client.expect_end("malformed").await;

    // A socket that is closed without TLS's goodbye, inside a head: a line like that of plain HTTP.
    let mut client = secure(front.address, "site.test", &config).await.unwrap();
    client.send("GET /part HTTP/1.1\r\nHos").await;
    client.stream.flush().await.unwrap();
    client.stream.get_mut().0.shutdown().await.unwrap();
    let log = front.log(2).await;
    assert_eq!(
        log,
        [r#"400 - "GET / HTTP/1.1""#, r#"400 - "GET /part HTTP/1.1""#]
    );
}

#[tokio::test]
async fn names_choose_certificates() {
    let authority = Authority::new("authority");
    let tls = Authority::load(Settings {
        certificates: vec![
            authority.server("default", &["site.test"]).into(),
            authority.server("shop", &["shop.test", "*.shop.test"]).into(),
        ],
        ..Settings::new(authority.server("unused", &["unused.test"]))
    });
    let front = start(&tls);
    let config = authority.believer().config();
    let mut site = secure(front.address, "site.test", &config).await.unwrap();
    let shop = secure(front.address, "shop.test", &config).await.unwrap();
    let wild = secure(front.address, "a.shop.test", &config).await.unwrap();
    assert_ne!(leaf(&site), leaf(&shop));
    assert_eq!(leaf(&shop), leaf(&wild));
    assert_eq!(site.get("/").await.status, 200);
    // An unknown name gets the first one, which this client then refuses by itself.
    let error = secure(front.address, "else.test", &config).await.err().unwrap();
    assert!(error.to_string().contains("not valid for name"), "{error}");
}

#[tokio::test]
async fn sessions_are_resumed_with_tickets() {
    for version in [&TLS12, &TLS13] {
        let authority = Authority::new("authority");
        let front = start(&authority.site());
        let config = authority.believer().versions(&[version]).config();
        for kind in [
            HandshakeKind::Full,
            HandshakeKind::Resumed,
            HandshakeKind::Resumed,
        ] {
            let mut client = secure(front.address, "site.test", &config).await.unwrap();
            // TLS 1.3 sends its tickets after the handshake.
            assert_eq!(client.get("/").await.status, 200);
            assert_eq!(
                client.stream.get_ref().1.handshake_kind(),
                Some(kind),
                "{version:?}"
            );
        }
        let mut nonsense = front.connect().await;
        nonsense.send([255; 8]).await;
        while nonsense.fill().await {}
        let counted =
            ["full", "resumed", "failed"].map(|outcome| handshakes(&front, outcome).unwrap_or_default());
        assert_eq!(counted, ["1", "2", "1"], "{version:?}");
    }
}

#[tokio::test]
async fn the_oldest_version_is_what_was_configured() {
    let authority = Authority::new("authority");
    let settings = Settings::new(authority.server("site", &["site.test"]));
    let old = authority.believer().versions(&[&TLS12]).config();

    let front = start(&Authority::load(settings.clone()));
    let mut client = secure(front.address, "site.test", &old).await.unwrap();
    let dump = client.get("/dump").await.text();
    assert_eq!(value(&dump, "SSL_PROTOCOL"), Some("TLSv1.2"));
    assert!(
        value(&dump, "SSL_CIPHER").unwrap().starts_with("ECDHE-ECDSA-"),
        "{dump}"
    );

    let front = start(&Authority::load(Settings {
        min_version: MinVersion::Tls13,
        ..settings
    }));
    let error = secure(front.address, "site.test", &old).await.err().unwrap();
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
    let new = authority.believer().versions(&[&TLS13]).config();
    assert!(secure(front.address, "site.test", &new).await.is_ok());
}

/// With TLS 1.3 a client learns that its certificate was refused only when it reads.
async fn refused(front: &Front, config: &Arc<rustls::ClientConfig>) {
    if let Ok(mut client) = secure(front.address, "site.test", config).await {
        let _ = client
            .stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        let mut answer = Vec::new();
        let read = tokio::io::AsyncReadExt::read_to_end(&mut client.stream, &mut answer).await;
        assert!(read.is_err() && answer.is_empty(), "{read:?} {answer:?}");
    }
}

#[tokio::test]
async fn certificates_of_clients_are_checked_and_shown_to_the_application() {
    let (authority, stranger) = (Authority::new("authority"), Authority::new("stranger"));
    let settings = |clients| Settings {
        clients,
        ..Settings::new(authority.server("site", &["site.test"]))
    };
    let nobody = authority.believer().config();
    let ann = authority.believer().identity(authority.client("Ann")).config();
    let wrong = authority.believer().identity(stranger.client("Ann")).config();

    let front = start(&Authority::load(settings(ClientAuth::Required(
        authority.file.clone(),
    ))));
    refused(&front, &nobody).await;
    refused(&front, &wrong).await;
    // Twice: what is known of the client must survive a resumption.
    for _ in 0..2 {
        let mut client = secure(front.address, "site.test", &ann).await.unwrap();
        let dump = client.get("/dump").await.text();
        for (name, expected) in [
            ("SSL_CLIENT_VERIFY", "SUCCESS"),
            ("SSL_CLIENT_S_DN", "CN=Ann,O=Example\\\\, Inc."),
            ("SSL_CLIENT_S_DN_CN", "Ann"),
            ("SSL_CLIENT_I_DN", "CN=authority"),
            ("SSL_CLIENT_M_SERIAL", "C0FFEE"),
            ("SSL_CLIENT_V_START", "Jan  2 00:00:00 2020 GMT"),
            ("SSL_CLIENT_V_END", "Dec 31 00:00:00 2090 GMT"),
        ] {
            assert_eq!(value(&dump, name), Some(expected), "{dump}");
        }
        let pem = value(&dump, "SSL_CLIENT_CERT").unwrap();
        assert!(
            pem.starts_with("-----BEGIN CERTIFICATE-----\\n")
                && pem.ends_with("-----END CERTIFICATE-----\\n")
        );
    }
    assert_eq!(front.events.dispatched(), 2);

    let front = start(&Authority::load(settings(ClientAuth::Optional(
        authority.file.clone(),
    ))));
    refused(&front, &wrong).await;
    for (config, verified) in [(&nobody, "NONE"), (&ann, "SUCCESS")] {
        let mut client = secure(front.address, "site.test", config).await.unwrap();
        let dump = client.get("/dump").await.text();
        assert_eq!(value(&dump, "SSL_CLIENT_VERIFY"), Some(verified));
        assert_eq!(value(&dump, "SSL_CLIENT_S_DN").is_some(), verified == "SUCCESS");
    }
}

/// 50 slow ones, and each of them ends by the clock.
#[tokio::test(start_paused = true)]
async fn a_slow_handshake_blocks_nobody_and_has_a_deadline() {
    let authority = Authority::new("authority");
    let limits = Limits {
        header_timeout: Duration::from_secs(10),
        ..Limits::default()
    };
    let front = Front::secure(limits, common::LINE, &authority.site(), Https::default());
    let begun = Instant::now();
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut client = front.connect().await;
        // The beginning of a record, a handshake of 512 bytes.
        client.send([0x16, 3, 1, 2, 0, 1]).await;
        slow.push(client);
    }
    let config = authority.believer().config();
    let mut quick = secure(front.address, "site.test", &config).await.unwrap();
    assert_eq!(quick.get("/").await.status, 200);
    assert!(seconds(begun) < 1.0, "{}", seconds(begun));
    for mut client in slow {
        client.expect_end("a slow handshake").await;
    }
    assert!((10.0..13.0).contains(&seconds(begun)), "{}", seconds(begun));
    // One that says nothing at all has no more time.
    let begun = Instant::now();
    front.connect().await.expect_end("silence").await;
    assert!((10.0..13.0).contains(&seconds(begun)), "{}", seconds(begun));
    assert_eq!(quick.get("/").await.status, 200);
    assert_eq!(front.log(2).await.len(), 2);
}

#[tokio::test]
async fn handshakes_count_as_connections_and_end_with_the_server() {
    let authority = Authority::new("authority");
    let limits = Limits {
        // One of them is kept ready by the other address.
        connections: 2,
        ..Limits::default()
    };
    let front = Front::secure(limits, common::LINE, &authority.site(), Https::default());
    let mut slow = front.connect().await;
    slow.send([0x16]).await;
    let config = authority.believer().config();
    let address = front.address;
    let waiting = tokio::spawn(async move { secure(address, "site.test", &config).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished(), "beyond the limit, and served");
    drop(slow);
    let mut next = waiting.await.unwrap().unwrap();
    assert_eq!(next.get("/").await.status, 200);
    drop(next);

    let mut slow = front.connect().await;
    slow.send([0x16]).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let begun = std::time::Instant::now();
    let (drained, _) = front.stop().await;
    assert_eq!(drained.aborted, 0);
    assert!(begun.elapsed() < Duration::from_secs(4));
    slow.expect_end("the server stops").await;
}

#[tokio::test]
async fn plain_http_to_tls_is_told_so() {
    let authority = Authority::new("authority");
    let https = Https {
        hsts: Some(Duration::from_secs(60)),
        ..Https::default()
    };
    let front = Front::secure(Limits::default(), common::LINE, &authority.site(), https);
    let mut client = front.connect().await;
    let response = client.get("/lost").await;
    assert_eq!((response.status, response.closes()), (400, true));
    assert_eq!(response.header("strict-transport-security"), None);
    client.expect_end("plain HTTP").await;
    // Bytes that are neither are dropped, and the next client is served.
    let mut client = front.connect().await;
    client.send([0xff; 100]).await;
    while client.fill().await {}
    let config = authority.believer().config();
    let mut client = secure(front.address, "site.test", &config).await.unwrap();
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!(
        front.log(2).await,
        [r#"400 - "GET /lost HTTP/1.1""#, r#"200 + "GET / HTTP/1.1""#]
    );
    assert_eq!(front.events.dispatched(), 1);
}

#[tokio::test]
async fn plain_http_is_sent_to_tls_and_kept_there() {
    let authority = Authority::new("authority");
    let https = Https {
        redirect_to: Some(8443),
        hsts: Some(Duration::from_secs(365 * 24 * 60 * 60)),
    };
    let front = Front::secure(Limits::default(), common::LINE, &authority.site(), https);
    let mut client = common::client::Client::connect(front.plain.unwrap()).await;
    for (request, status, location) in [
        (
            "GET /a%20b?c=d HTTP/1.1\r\nHost: site.test:8080\r\n\r\n",
            301,
            "https://site.test:8443/a%20b?c=d",
        ),
        (
            "HEAD / HTTP/1.1\r\nHost: [::1]\r\n\r\n",
            301,
            "https://[::1]:8443/",
        ),
        (
            "GET http://other.test/x HTTP/1.1\r\nHost: other.test\r\n\r\n",
            301,
            "https://other.test:8443/x",
        ),
        (
            "DELETE /x HTTP/1.1\r\nHost: site.test\r\n\r\n",
            308,
            "https://site.test:8443/x",
        ),
        (
            "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            301,
            "https://127.0.0.1:8443/x",
        ),
        (
            "POST /x HTTP/1.1\r\nHost: site.test\r\nContent-Length: 5\r\n\r\nhello",
            308,
            "https://site.test:8443/x",
        ),
    ] {
        client.send(request).await;
        let response = client.response(request.split(' ').next().unwrap()).await;
        assert_eq!(response.status, status, "{request}");
        assert_eq!(response.header("location"), Some(location));
        assert_eq!(response.header("strict-transport-security"), None);
    }
    assert_eq!(front.events.dispatched(), 0);
    let config = authority.believer().config();
    let mut client = secure(front.address, "site.test", &config).await.unwrap();
    let response = client.get("/").await;
    assert_eq!(response.status, 200);
    assert_eq!(
        response.header("strict-transport-security"),
        Some("max-age=31536000")
    );
}

#[tokio::test(start_paused = true)]
async fn changed_files_are_taken_over_and_broken_ones_are_not() {
    let authority = Authority::new("authority");
    let tls = authority.site();
    let front = start(&tls);
    let config = authority.believer().config();
    let mut open = secure(front.address, "site.test", &config).await.unwrap();
    let first = leaf(&open);
    assert_eq!(open.get("/").await.status, 200);
    let patience = Duration::from_secs(16);

    // A certificate without its key.
    std::fs::write(authority.path().join("site.key"), "nonsense").unwrap();
    tokio::time::sleep(patience).await;
    let still = secure(front.address, "site.test", &config).await.unwrap();
    assert_eq!(leaf(&still), first);

    authority.server("site", &["site.test", "more.test"]);
    tokio::time::sleep(patience).await;
    let new = secure(front.address, "more.test", &config).await.unwrap();
    assert_ne!(leaf(&new), first);
    // What was open goes on.
    assert_eq!(open.get("/").await.status, 200);
}

/// rustls takes in what the socket does not; that must not look like progress.
#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_cut_off() {
    let authority = Authority::new("authority");
    let limits = Limits {
        send_timeout: Duration::from_secs(40),
        ..Limits::default()
    };
    let front = Front::secure(limits, "%>s %X", &authority.site(), Https::default());
    let config = authority.believer().config();
    let mut client = secure(front.address, "site.test", &config).await.unwrap();
    let begun = Instant::now();
    client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.stream.flush().await.unwrap();
    while front.events.withdrawn() == 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(seconds(begun) < 60.0, "still there");
    }
    assert!(seconds(begun) > 40.0, "{}", seconds(begun));
    assert_eq!(front.log(1).await, ["200 X"]);
}

/// The same with answers that end: what rustls holds of them when the socket is full counts as written to hyper, which has
/// nothing left to do but to wait. How much the system takes is its own business, so that is asked first.
#[tokio::test(start_paused = true)]
async fn an_answer_that_ends_within_tls_is_cut_off_as_well() {
    let authority = Authority::new("authority");
    let front = Front::secure(Limits::default(), "%X %O", &authority.site(), Https::default());
    let config = authority.believer().config();
    let ask = async |size: usize| {
        let mut client = secure(front.address, "site.test", &config).await.unwrap();
        client
            .send(format!("GET /large/{size} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        client.stream.flush().await.unwrap();
        client
    };
    // Longer than both the send timeout and the time for idling.
    let patience = || tokio::time::sleep(Duration::from_secs(90));
    let first = ask(50_000_000).await;
    patience().await;
    let lines = front.log(1).await;
    let taken: usize = lines[0]
        .strip_prefix("X ")
        .and_then(|taken| taken.parse().ok())
        .expect("a cut");
    drop(first);
    let mut clients = Vec::new();
    // Now and then it takes a buffer of 64 KB more or less.
    for held in (4_000..140_000).step_by(12_000) {
        clients.push(ask(taken - held).await);
    }
    patience().await;
    assert_eq!(front.log(13).await.len(), 13);
    let (drained, _) = front.stop().await;
    assert_eq!(drained.aborted, 0);
}

#[tokio::test(start_paused = true)]
async fn a_parked_connection_goes_on_where_it_was() {
    let authority = Authority::new("authority");
    let front = start(&authority.site());
    let config = authority.believer().config();
    let mut client = secure(front.address, "site.test", &config).await.unwrap();
    let pause = || tokio::time::sleep(Duration::from_secs(9));
    pause().await;
    assert_eq!(client.get("/first").await.status, 200);
    pause().await;
    client.send("GET /in-").await;
    pause().await;
    client.send("pieces HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.response("GET").await.status, 200);
    pause().await;
    let large = vec![b'x'; 100_000];
    client
        .send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        .await;
    client.send(&large).await;
    assert_eq!(client.response("POST").await.body, large);
    pause().await;
    front.shutdown.begin();
    client.expect_end("parked when the server stops").await;
    assert_eq!(front.stop().await.0.aborted, 0);
}
