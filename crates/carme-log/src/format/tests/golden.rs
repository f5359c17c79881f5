//! Lines as Apache 2.4.71 wrote them for the same requests (event MPM, `TZ=UTC`), and our own fields.

use std::time::{Duration, SystemTime};

use super::{Lists, line};
use crate::{ConnectionStatus, Record, RequestLine};

const SOME_TIME: Duration = Duration::from_micros(1_795_427_901_429_937);

fn parsed(request_line: &'static str) -> RequestLine<'static> {
    let mut parts = request_line.splitn(3, ' ').map(str::as_bytes);
    RequestLine::Parsed {
        method: parts.next().unwrap(),
        target: parts.next().unwrap(),
        protocol: parts
            .next()
            .map_or("", |protocol| std::str::from_utf8(protocol).unwrap()),
    }
}

fn lists() -> Lists {
    Lists {
        request: vec![
            ("host", b"h.example:99".to_vec()),
            ("x-a", b"one".to_vec()),
            ("x-a", "t\"w\u{e9}\to".into()),
            ("x-empty", b"".to_vec()),
            ("cookie", b"a=b; SID=v\\1 ; sid=2".to_vec()),
            ("user-agent", b"ua".to_vec()),
        ],
        response: vec![
            ("content-type", b"text/html;charset=utf-8".to_vec()),
            ("set-cookie", b"a=1".to_vec()),
            ("set-cookie", b"b=2; path=/".to_vec()),
            ("x-two", b"one".to_vec()),
            ("x-two", b"two".to_vec()),
        ],
        ..Lists::default()
    }
}

fn record(lists: &Lists) -> Record<'_> {
    Record {
        client: Some([127, 0, 0, 1].into()),
        peer: Some(([127, 0, 0, 1], 50_000).into()),
        local: Some(([127, 0, 0, 1], 18_099).into()),
        server_name: Some("www.example.org"),
        host: Some(b"h.example"),
        server_port: Some(8099),
        request_line: parsed("GET /x.html?a=1&b=%22 HTTP/1.1"),
        status: 200,
        body_bytes: 6,
        bytes_in: 124,
        bytes_out: 312,
        start: SystemTime::UNIX_EPOCH + SOME_TIME,
        duration: Duration::from_micros(612),
        connection: ConnectionStatus::KeepAlive,
        fields: lists,
        ..Record::default()
    }
}

#[test]
fn each_directive_prints_what_apache_prints() {
    let lists = lists();
    let record = record(&lists);
    for (format, apache) in [
        (
            r#"r="%r" m=%m U=%U q=%q H=%H"#,
            r#"r="GET /x.html?a=1&b=%22 HTTP/1.1" m=GET U=/x.html q=?a=1&b=%22 H=HTTP/1.1"#,
        ),
        ("s=%s >s=%>s <s=%<s b=%b B=%B", "s=200 >s=200 <s=200 b=6 B=6"),
        (
            "a=%a ca=%{c}a A=%A h=%h ch=%{c}h l=%l u=%u",
            "a=127.0.0.1 ca=127.0.0.1 A=127.0.0.1 h=127.0.0.1 ch=127.0.0.1 l=- u=-",
        ),
        (
            "v=%v V=%V p=%p cp=%{canonical}p lp=%{local}p",
            "v=www.example.org V=h.example p=8099 cp=8099 lp=18099",
        ),
        (
            "X=%X k=%k I=%I O=%O S=%S T=%{s}T",
            "X=+ k=0 I=124 O=312 S=436 T=0",
        ),
        (
            r#"i="%{X-A}i" ref="%{Referer}i" empty="%{X-Empty}i""#,
            r#"i="one, t\"w\xc3\xa9\to" ref="-" empty="""#,
        ),
        (
            "ct=%{Content-Type}o sc=%{Set-Cookie}o xt=%{X-Two}o",
            "ct=text/html sc=a=1, b=2; path=/ xt=one",
        ),
        (
            "c=%{sid}C c=%{A}C c=%{b}C e=%{NOPE}e n=%{NOPE}n",
            r"c=v\\1 c=b c=- e=- n=-",
        ),
        ("%400,404{User-Agent}i %!400,404{User-Agent}i", "- ua"),
        (
            "%,200r %200!,404{x}i %!200r",
            "GET /x.html?a=1&b=%22 HTTP/1.1 - -",
        ),
        (r"100%% \n\t\r\\q\q\", "100% \n\t\r\\q\\q\\"),
        (
            "t=%t %{begin}t|%{begin:}t|%{end}t",
            "t=[23/Nov/2026:09:58:21 +0000] [23/Nov/2026:09:58:21 +0000]|[23/Nov/2026:09:58:21 +0000]|[23/Nov/2026:09:58:21 +0000]",
        ),
        (
            "%{%d/%b/%Y:%H:%M:%S}t %{begin:%a %e}t",
            "23/Nov/2026:09:58:21 Mon 23",
        ),
        (
            "%{sec}t|%{begin:msec}t|%{usec}t|%{end:msec_frac}t|%{usec_frac}t",
            "1795427901|1795427901429|1795427901429937|430|429937",
        ),
        ("%D %T %{ms}T %{us}T %{S}T", "612 0 0 612 0"),
        ("%{remote}p %{LOCAL}p", "50000 18099"),
        // Outside braces `\"` is our one addition.
        (r#"\"%m\""#, r#""GET""#),
    ] {
        // %% alone is no directive, so the escapes' row gets one.
        let (format, apache) = match format.contains("100%%") {
            true => (format!("%m{format}"), format!("GET{apache}")),
            false => (format.to_owned(), apache.to_owned()),
        };
        assert_eq!(line(&format, &record), apache, "{format}");
    }
}

#[test]
fn each_kind_of_request_line_prints_what_apache_prints() {
    let lists = Lists::default();
    for (request, apache) in [
        (
            "GET /a%20b.html?x%20y HTTP/1.1",
            r#""GET /a%20b.html?x%20y HTTP/1.1" m=GET U=/a b.html q=?x%20y H=HTTP/1.1"#,
        ),
        (
            "GET http://u:p@other/x.html?q HTTP/1.1",
            r#""GET http://u:XXXXXXXX@other/x.html?q HTTP/1.1" m=GET U=/x.html q=?q H=HTTP/1.1"#,
        ),
        ("GET /x.html", r#""GET /x.html" m=GET U=/x.html q= H=HTTP/0.9"#),
        (
            "OPTIONS * HTTP/1.1",
            r#""OPTIONS * HTTP/1.1" m=OPTIONS U=* q= H=HTTP/1.1"#,
        ),
        (
            "CONNECT a:80 HTTP/1.1",
            r#""CONNECT a:80 HTTP/1.1" m=CONNECT U=/ q= H=HTTP/1.1"#,
        ),
        (
            "GET /x.html? HTTP/1.0",
            r#""GET /x.html? HTTP/1.0" m=GET U=/x.html q=? H=HTTP/1.0"#,
        ),
        (
            "GET /%ff%01 HTTP/1.1",
            r#""GET /%ff%01 HTTP/1.1" m=GET U=/\xff\x01 q= H=HTTP/1.1"#,
        ),
        (
            "GET /%2 HTTP/1.1",
            r#""GET /%2 HTTP/1.1" m=GET U=/%2 q= H=HTTP/1.1"#,
        ),
        (
            "GET /a%2fb HTTP/1.1",
            r#""GET /a%2fb HTTP/1.1" m=GET U=/a/b q= H=HTTP/1.1"#,
        ),
    ] {
        let record = Record {
            request_line: parsed(request),
            ..record(&lists)
        };
        assert_eq!(line(r#""%r" m=%m U=%U q=%q H=%H"#, &record), apache, "{request}");
    }
    // Apache looked this path up as /nope/"/~", and so do we where the caller says so.
    let record = Record {
        request_line: parsed("GET /nope/%22//./x/../%7e\" HTTP/1.1"),
        path: Some(b"/nope/\"/~\""),
        ..record(&lists)
    };
    assert_eq!(
        line(r#""%r" U=%U"#, &record),
        r#""GET /nope/%22//./x/../%7e\" HTTP/1.1" U=/nope/\"/~\""#
    );
}

/// `GET`, a TLS hello and silence. Apache makes up a method, a path and a protocol for them; we print what came.
#[test]
fn a_malformed_request_has_its_bytes_and_nothing_else() {
    for (received, text) in [
        (&b"GET"[..], "GET"),
        (
            b"GET http://u:secret@h/ HTTP/x",
            "GET http://u:XXXXXXXX@h/ HTTP/x",
        ),
        (b"GET http://u:secret@h/", "GET http://u:XXXXXXXX@h/"),
        (b" x  ", " x  "),
        (b"\x16\x03\x01\x02", r"\x16\x03\x01\x02"),
        (b"", "-"),
    ] {
        let record = Record {
            request_line: RequestLine::Malformed(received),
            status: 400,
            ..Record::default()
        };
        assert_eq!(
            line("\"%r\" %m %U %q. %H %s", &record),
            format!("\"{text}\" - - . - 400")
        );
    }
}

#[test]
fn values_that_do_not_exist_are_dashes() {
    let everything = "%a %{c}a %A %b %h %l %u %v %V %p %{local}p %{remote}p %s %m %U %H %r %L %{X}i %{X}o %{X}e %{X}n \
                      %{X}C %{WORKER_PID}e %{QUEUE_TIME_US}e %X";
    let dashes = ["-"; 26].join(" ");
    assert_eq!(line(everything, &Record::default()), dashes);
    assert_eq!(line("%B %D %T %I %O %S %k", &Record::default()), "0 0 0 0 0 0 0");
    assert_eq!(line("%P", &Record::default()), std::process::id().to_string());
}

#[test]
fn the_nicknames_are_apaches_and_ours() {
    let mut lists = lists();
    lists.request.push(("referer", b"http://other/\"".to_vec()));
    let record = Record {
        user: Some(b"frank"),
        route: Some("www_1"),
        queue_time: Some(Duration::from_micros(41)),
        worker_time: Some(Duration::from_micros(5_300_000)),
        worker_pid: Some(4711),
        request_id: Some("01J9Z"),
        duration: Duration::from_micros(5_300_123),
        ..record(&lists)
    };
    let common = r#"127.0.0.1 - frank [23/Nov/2026:09:58:21 +0000] "GET /x.html?a=1&b=%22 HTTP/1.1" 200 6"#;
    let combined = format!(r#"{common} "http://other/\"" "ua""#);
    assert_eq!(line("common", &record), common);
    assert_eq!(line("combined", &record), combined);
    assert_eq!(
        line("combined_route", &record),
        format!("{combined} www_1 5300123 41 5300000 01J9Z")
    );
    let unserved = Record {
        route: None,
        queue_time: None,
        worker_time: None,
        ..record
    };
    assert_eq!(
        line("combined_route", &unserved),
        format!("{combined} - 5300123 - - 01J9Z")
    );
    assert_eq!(
        line("%{WORKER_PID}e %P %{pid}P %L %{UNIQUE_ID}e", &record),
        "4711 4711 4711 01J9Z 01J9Z"
    );
    assert_eq!(
        line(
            "%u",
            &Record {
                user: Some(b""),
                ..record
            }
        ),
        "\"\""
    );
}

#[test]
fn variables_and_notes_come_from_the_caller() {
    let lists = Lists {
        variables: vec![("tier", b"gold\n".to_vec())],
        notes: vec![("session-route", b"www_2".to_vec())],
        ..Lists::default()
    };
    assert_eq!(
        line("%{tier}e %{session-route}n", &record(&lists)),
        r"gold\n www_2"
    );
}

#[test]
fn addresses_of_both_families_print_as_people_write_them() {
    for (address, text) in [
        ("255.1.20.0", "255.1.20.0"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
    ] {
        let record = Record {
            client: Some(address.parse().unwrap()),
            ..Record::default()
        };
        assert_eq!(line("%a", &record), text);
    }
}

#[test]
fn the_end_may_lie_in_another_second() {
    let lists = Lists::default();
    let record = Record {
        duration: Duration::from_millis(90_600),
        ..record(&lists)
    };
    assert_eq!(
        line("%{begin:%T}t %{end:%T}t %t %{end}t %{end:sec}t %T", &record),
        "09:58:21 09:59:52 [23/Nov/2026:09:58:21 +0000] [23/Nov/2026:09:59:52 +0000] 1795427992 90"
    );
}

#[test]
fn trailers_tls_files_and_handlers() {
    let lists = Lists {
        request_trailers: vec![("x-sum", b"1\"".to_vec()), ("x-sum", b"2".to_vec())],
        response_trailers: vec![("x-sum", b"3".to_vec())],
        tls: vec![
            ("SSL_PROTOCOL", b"TLSv1.3".to_vec()),
            ("SSL_CLIENT_S_DN_CN", b"\xff".to_vec()),
        ],
        ..Lists::default()
    };
    let record = Record {
        file: Some(b"/srv/a\nb"),
        handler: Some("app"),
        first_byte: Some(Duration::from_micros(77)),
        attempts: Some(2),
        ..record(&lists)
    };
    for (format, expected) in [
        ("%{X-Sum}^ti|%{x-sum}^to|%{y}^ti|%{y}^to", r#"1\", 2|3|-|-"#),
        (
            "%{SSL_PROTOCOL}x|%{ssl_protocol}x|%{SSL_PROTOCOL}e|%{SSL_CIPHER}x",
            "TLSv1.3|TLSv1.3|TLSv1.3|-",
        ),
        ("%{SSL_CLIENT_S_DN_CN}x %{HTTPS}x", r"\xff -"),
        ("%f %R", r"/srv/a\nb app"),
        ("%^FB %{FIRST_BYTE_US}e %{ATTEMPTS}e", "77 77 2"),
        ("%200^FB %!200^FB", "77 -"),
    ] {
        assert_eq!(line(format, &record), expected, "{format}");
    }
    let tid = line("%{tid}P", &record).parse::<u64>().unwrap();
    assert_eq!(line("%{hextid}P", &record), format!("{tid:x}"));
    let other = std::thread::spawn(|| line("%{tid}P", &Record::default()))
        .join()
        .unwrap();
    assert_ne!(other, tid.to_string());
    assert_eq!(
        line(
            "%f %R %^FB %{X}^ti %{X}^to %{SSL_PROTOCOL}x %{FIRST_BYTE_US}e %{ATTEMPTS}e",
            &Record::default()
        ),
        "- - - - - - - -"
    );
}

#[test]
fn hosts_and_cookies_are_read_as_apache_reads_them() {
    let lists = Lists {
        request: vec![
            ("cookie", b"sid=; a=b;SID = x ;sid=y".to_vec()),
            ("cookie", b"late=1".to_vec()),
        ],
        ..Lists::default()
    };
    for (host, text) in [
        ("H.Example", "h.example"),
        ("[::1]", "::1"),
        ("[x", "[x"),
        ("", ""),
    ] {
        let record = Record {
            server_name: None,
            host: Some(host.as_bytes()),
            ..record(&lists)
        };
        assert_eq!(line("%V %v", &record), format!("{text} {text}"));
    }
    assert_eq!(line("%{sid}C %{a}C %{late}C %{b}C", &record(&lists)), "x b 1 -");
}

#[test]
fn a_format_says_what_must_be_kept_for_it() {
    let needs = |format: &str| {
        let format = crate::Format::parse(format).unwrap();
        (
            format.reads_response_headers(),
            format.reads_request_trailers(),
            format.reads_first_byte(),
        )
    };
    assert_eq!(needs("combined_route"), (false, false, false));
    assert_eq!(needs("json"), (false, false, true));
    assert_eq!(needs("%{Server}o"), (true, false, false));
    assert_eq!(needs("%200{X}^ti"), (false, true, false));
    assert_eq!(needs("%^FB"), (false, false, true));
    assert_eq!(needs("%{FIRST_BYTE_US}e"), (false, false, true));
}
