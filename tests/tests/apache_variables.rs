//! Variables of requests and what looks at them, in Apache and in Carme with the same directives: what a balancer's member
//! is asked, what the client gets, what the log says. What differs and is not asked here: the path of `Request_URI` is
//! decoded in Carme, and as it came in Apache outside of a `<Location>`.
#![cfg(target_os = "linux")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use carme_tests::member::{Member, Reply};
use carme_tests::{Client, ServerBuilder, apache, free_address, skip, wait_until};

/// `A` and `B` are the members' addresses.
const DIRECTIVES: &str = r#"
<Proxy balancer://cluster>
BalancerMember http://A route=a
BalancerMember http://B route=b
ProxySet lbmethod=byrequests stickysession=ROUTEID
</Proxy>
ProxyPass / balancer://cluster/

SetEnvIf Request_URI "^/quiet" quiet
SetEnvIf Request_URI "^/tail/(.)(.*)$" TAIL=$2-$1-$0 LAST=1
SetEnvIf Request_Method "^(POST|PUT)$" WRITES
SetEnvIf Request_Protocol "1\.0$" OLD=yes
SetEnvIf Remote_Addr "^127\." LOCAL
SetEnvIf Server_Addr "^(127)\.0" SERVER=$1
SetEnvIf X-None "^$" NOTHING=none
SetEnvIf X-Two ", " TWO
SetEnvIfNoCase User-Agent "BOT(\d*)" ROBOT=r$1 !LOCAL
SetEnvIf ROBOT "^r(\d+)$" NUMBER=$1
SetEnvIf x-literal "a\.b" LITERAL=\$1\\$0
BrowserMatch "^Mozilla/(\d)" MOZILLA=$1
BrowserMatchNoCase "^mozilla.*old" !MOZILLA
SetEnv FIXED "a b"
SetEnv TAIL2 x
UnsetEnv LAST

RequestHeader set X-Tail "%{TAIL}e" env=TAIL
RequestHeader set X-Robot "%{ROBOT}e/%{NUMBER}e 100%%"
RequestHeader unset X-Drop env=!LOCAL
RequestHeader append X-Seen "%{FIXED}e"
RequestHeader merge X-Merged b
RequestHeader merge X-Merged "%{LITERAL}e"
RequestHeader edit X-Path ^/(.*)/(.*)$ "$2:$1:%{SERVER}e"
RequestHeader edit* X-Path a A
RequestHeader setifempty X-Empty "%{NOTHING}e"

Header add Set-Cookie "ROUTEID=.%{BALANCER_WORKER_ROUTE}e; path=/" env=BALANCER_ROUTE_CHANGED
Header edit Set-Cookie ^(sid=.*)$ "$1; HttpOnly"
Header set X-Worker "%{BALANCER_WORKER_NAME}e %{BALANCER_SESSION_ROUTE}e %{BALANCER_SESSION_STICKY}e"
Header merge X-List b
Header merge X-List "%{MOZILLA}e"
Header append X-List b
Header set X-Late "%{LAST}e" "expr=-z reqenv('LAST')"
Header set X-Fine 1 "expr=%{REQUEST_STATUS} < 400"
Header set X-Write yes env=WRITES
Header setifempty X-Old "%{OLD}e"
Header unset X-Private

LogFormat "%r %>s %{TAIL}e %{WRITES}e %{OLD}e %{LOCAL}e %{TWO}e %{ROBOT}e %{NUMBER}e %{LITERAL}e %{MOZILLA}e %{fixed}e %{LAST}e %{BALANCER_WORKER_ROUTE}e %{BALANCER_ROUTE_CHANGED}e" all
CustomLog access.log all env=!quiet
CustomLog writes.log "%U %{BALANCER_SESSION_ROUTE}e" env=WRITES
CustomLog errors.log "%U" "expr=%{REQUEST_STATUS} >= 400"
"#;

/// Request lines and fields, each for a connection of its own.
const REQUESTS: &[(&str, &str)] = &[
    ("GET / HTTP/1.1", ""),
    ("GET / HTTP/1.1", "Cookie: ROUTEID=.b"),
    ("GET / HTTP/1.1", "Cookie: ROUTEID=.a; x=y\r\nX-Drop: 1"),
    ("GET / HTTP/1.1", "Cookie: ROUTEID=.gone"),
    ("GET /quiet/x HTTP/1.1", ""),
    ("GET /tail/abc?x=y HTTP/1.1", "X-Two: a\r\nX-Two: b"),
    ("GET /tail/ HTTP/1.1", "X-Two: a,b"),
    ("POST /write HTTP/1.1", "Content-Length: 0\r\nCookie: ROUTEID=.b"),
    ("PUT /write HTTP/1.0", "Content-Length: 0"),
    ("GET /bot HTTP/1.1", "User-Agent: a bot77\r\nX-Drop: 1"),
    ("GET /bot HTTP/1.1", "User-Agent: Robot"),
    ("GET /m HTTP/1.1", "User-Agent: Mozilla/5.0\r\nX-None: 1"),
    ("GET /m HTTP/1.1", "User-Agent: Mozilla/5.0 OLD"),
    (
        "GET /l HTTP/1.1",
        "X-Literal: xa.by\r\nX-Seen: 1\r\nX-Merged: a, b",
    ),
    ("GET /l HTTP/1.1", "X-Literal: axb\r\nX-Merged: \"a, b\""),
    ("GET /p HTTP/1.1", "X-Path: /one/two/aaa\r\nX-Empty: full"),
    ("GET /404 HTTP/1.1", "Cookie: ROUTEID=.a"),
];

/// The fields that are compared.
fn of_interest(name: &str) -> bool {
    // Apache joins fields of one name for a member, and ends with those of Vary.
    let is_own = name.starts_with("x-forwarded") || matches!(name, "x-request-id" | "x-two");
    name.starts_with("x-") && !is_own || name == "set-cookie"
}

fn shown<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let mut shown: Vec<String> = fields
        .map(|(name, value)| format!("{}: {value}", name.to_ascii_lowercase()))
        .filter(|line| of_interest(line.split(':').next().unwrap_or_default()))
        .collect();
    // Their order counts only among those of one name.
    shown.sort_by(|a, b| a.split(':').next().cmp(&b.split(':').next()));
    shown
}

fn member() -> Member {
    Member::start(|request| {
        let status = match request.target() {
            "/404" => "404 Not Found",
            _ => "200 OK",
        };
        let seen = request
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let body = shown(seen).join("\n");
        let fields = [
            ("Set-Cookie", "sid=1"),
            ("X-List", "a, b"),
            ("X-Private", "secret"),
        ];
        Reply::response(status, &fields, body.as_bytes())
    })
}

/// What became of all requests at a server whose files are in `folder`.
fn outcome(address: SocketAddr, folder: &Path) -> Vec<String> {
    let mut outcome = Vec::new();
    for (line, fields) in REQUESTS {
        let method = line.split(' ').next().unwrap_or_default();
        let mut client = Client::connect(address).expect("it accepts");
        let end = if fields.is_empty() { "" } else { "\r\n" };
        client
            .send(format!(
                "{line}\r\nHost: www.example.org\r\nConnection: close\r\n{fields}{end}\r\n"
            ))
            .expect("it is sent");
        let response = client.response(method).expect("an answer");
        let got = response
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        outcome.push(format!(
            "{line} {fields:?}\n  asked {}\n  got {} {}",
            response.text().replace('\n', " | "),
            response.status(),
            shown(got).join(" | ")
        ));
    }
    let quiet = 1;
    for (name, lines) in [
        ("access.log", REQUESTS.len() - quiet),
        ("writes.log", 2),
        ("errors.log", 1),
    ] {
        let read = || fs::read_to_string(folder.join(name)).unwrap_or_default();
        wait_until("the log is written", || read().lines().count() >= lines);
        let text = read();
        let mut lines: Vec<_> = text.lines().map(|line| format!("{name} {line}")).collect();
        // Requests on different connections may be logged in any order.
        lines.sort();
        outcome.append(&mut lines);
    }
    outcome
}

#[test]
fn apache_and_carme_make_the_same_of_the_same_directives() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let paths = folders.each_ref().map(|folder| folder.path());
    let modules = [
        "setenvif",
        "env",
        "headers",
        "proxy",
        "proxy_http",
        "proxy_balancer",
        "lbmethod_byrequests",
        "slotmem_shm",
    ];
    let preamble = match apache::preamble(paths[0], &modules) {
        Ok(preamble) => preamble,
        Err(why) => return skip::missing(why),
    };
    let members = [member(), member()];
    let directives = DIRECTIVES
        .replace("http://A", &format!("http://{}", members[0].address))
        .replace("http://B", &format!("http://{}", members[1].address));
    let address = free_address();
    let text = format!("{preamble}ServerName www.example.org\nListen {address}\n{directives}");
    let file = paths[0].join("httpd.conf");
    fs::write(&file, text).expect("it is written");
    let apache = {
        let _running = apache::Apache::start(&file, address);
        outcome(address, paths[0])
    };

    let file = paths[1].join("httpd.conf");
    fs::write(&file, format!("Listen 127.0.0.1:0\n{directives}")).expect("it is written");
    let builder = ServerBuilder::app("").configured(&file);
    let server = builder.start();
    let carme = outcome(server.address, paths[1]);
    let different: Vec<String> = apache
        .iter()
        .zip(&carme)
        .filter(|(apache, carme)| apache != carme)
        .map(|(apache, carme)| format!("Apache: {apache}\nCarme:  {carme}"))
        .collect();
    assert!(different.is_empty(), "{}", different.join("\n\n"));
    assert_eq!(apache.len(), carme.len());
}
