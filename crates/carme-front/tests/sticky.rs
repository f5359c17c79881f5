//! Clients that stay at the worker that answered them: what they ask for, what they are told, what is logged of it.

mod common;

use carme_front::{ForwardedFields, HeaderChange, HeaderRule, Piece, Proxies, StickySession, Template};
use carme_log::{Condition, Variable};
use common::Front;
use common::client::Response;
use http::header;

/// Sticky, session route, worker route, changed.
const FORMAT: &str = "%{BALANCER_SESSION_STICKY}e %{BALANCER_SESSION_ROUTE}e %{BALANCER_WORKER_ROUTE}e %{BALANCER_ROUTE_CHANGED}e";

fn front(names: &str) -> Front {
    ruled(names, Vec::new())
}

/// With these rules for responses.
fn ruled(names: &str, rules: Vec<HeaderRule>) -> Front {
    let proxies = Proxies {
        networks: vec!["127.0.0.0/8".parse().unwrap()],
        fields: ForwardedFields {
            proto: true,
            ..ForwardedFields::default()
        },
        ..Proxies::default()
    };
    Front::sticky(proxies, FORMAT, StickySession::new(names), rules)
}

fn cookies(response: &Response) -> Vec<&str> {
    let is_cookie = |(name, _): &&(String, String)| name == "set-cookie";
    let cookies = response.headers.iter().filter(is_cookie);
    cookies.map(|(_, value)| value.as_str()).collect()
}

/// The only worker's route is `fake_1`.
const NEW: &str = "ROUTEID=.fake_1; path=/; HttpOnly; SameSite=Lax";

#[tokio::test]
#[rustfmt::skip]
async fn a_client_is_bound_to_who_answers_it_and_told_so_once() {
    let front = front("ROUTEID|route");
    let cases = [
        ("/", "", None, true, "- - fake_1 1"),
        ("/", "Cookie: ROUTEID=.fake_1", Some("fake_1"), false, "ROUTEID fake_1 fake_1 -"),
        ("/", "Cookie: a=1; ROUTEID=x.fake_1; b=2", Some("fake_1"), false, "ROUTEID fake_1 fake_1 -"),
        ("/", "Cookie: a=1\nCookie: ROUTEID=.fake_1", Some("fake_1"), false, "ROUTEID fake_1 fake_1 -"),
        ("/", "Cookie: ROUTEID=.gone_7", Some("gone_7"), true, "ROUTEID gone_7 fake_1 1"),
        ("/", "Cookie: ROUTEID=fake_1", None, true, "- - fake_1 1"),
        ("/", "Cookie: ROUTEID=.", Some(""), true, "ROUTEID  fake_1 1"),
        ("/", "Cookie: ROUTEID=.\"x", Some("\"x"), true, "ROUTEID \\\"x fake_1 1"),
        ("/?route=.fake_1", "Cookie: ROUTEID=.gone_7", Some("fake_1"), false, "route fake_1 fake_1 -"),
        ("/?a=1&route=.gone_7", "Cookie: ROUTEID=.fake_1", Some("gone_7"), true, "route gone_7 fake_1 1"),
    ];
    for (count, (target, fields, route, set, line)) in cases.into_iter().enumerate() {
        let response = front.ask("GET", target, fields).await;
        assert_eq!(response.status, 200);
        let expected: &[&str] = if set { &[NEW] } else { &[] };
        assert_eq!(cookies(&response), expected, "{target} {fields}");
        let seen = front.events.seen().pop().unwrap();
        assert_eq!(seen.route.as_deref(), route.map(str::as_bytes), "{target} {fields}");
        assert_eq!(front.log(count + 1).await.last().unwrap(), line, "{target} {fields}");
    }
}

#[tokio::test]
async fn over_tls_the_cookie_is_for_tls() {
    let front = front("ROUTEID");
    let secure = front.ask("GET", "/", "X-Forwarded-Proto: https").await;
    assert_eq!(cookies(&secure), [format!("{NEW}; Secure")]);
    let plain = front.ask("GET", "/", "X-Forwarded-Proto: http").await;
    assert_eq!(cookies(&plain), [NEW]);
}

#[tokio::test]
async fn the_applications_cookies_stay_and_its_own_of_that_name_counts() {
    let front = front("ROUTEID");
    let response = front.ask("GET", "/hop", "").await;
    assert_eq!(cookies(&response), ["a=1", "b=2", NEW]);
    let response = front.ask("GET", "/answer/set-cookie=ROUTEID=x.y/5", "").await;
    assert_eq!(cookies(&response), ["ROUTEID=x.y"]);
    let response = front.ask("GET", "/answer/set-cookie=ROUTEIDS=x.y/5", "").await;
    assert_eq!(cookies(&response), ["ROUTEIDS=x.y", NEW]);
}

#[tokio::test]
async fn a_header_rule_that_sets_the_cookie_counts_as_in_apache() {
    let pieces = [
        Piece::Text("ROUTEID=.".into()),
        Piece::Variable(Variable::named("BALANCER_WORKER_ROUTE")),
        Piece::Text("; path=/app; SameSite=None".into()),
    ];
    let front = ruled(
        "ROUTEID",
        vec![HeaderRule {
            change: HeaderChange::Add(header::SET_COOKIE, Template::Composed(pieces.into())),
            statuses: Vec::new(),
            if_absent: false,
            when: Some(Condition::variable("BALANCER_ROUTE_CHANGED")),
        }],
    );
    let response = front.ask("GET", "/", "").await;
    assert_eq!(cookies(&response), ["ROUTEID=.fake_1; path=/app; SameSite=None"]);
    let response = front.ask("GET", "/", "Cookie: ROUTEID=.fake_1").await;
    assert!(cookies(&response).is_empty(), "{response:?}");
}

#[tokio::test]
async fn a_stream_binds_and_what_fails_does_not() {
    let front = front("ROUTEID");
    let response = front.ask("GET", "/stream/a/b", "").await;
    assert_eq!((response.text().as_str(), cookies(&response)), ("ab", vec![NEW]));
    let response = front.ask("GET", "/fails/died", "Cookie: ROUTEID=.gone_7").await;
    assert_eq!(response.status, 502);
    assert!(cookies(&response).is_empty(), "{response:?}");
    assert_eq!(
        front.log(2).await,
        ["- - fake_1 1", "ROUTEID gone_7 fake_1 1"],
        "who had it is known all the same"
    );
}

#[tokio::test]
async fn where_nobody_is_bound_nothing_is_looked_at() {
    let front = Front::with(carme_front::Limits::default(), FORMAT);
    let response = front.ask("GET", "/", "Cookie: ROUTEID=.gone_7").await;
    assert!(cookies(&response).is_empty());
    assert_eq!(front.events.seen().pop().unwrap().route, None);
    assert_eq!(front.log(1).await, ["- - fake_1 -"]);
}
