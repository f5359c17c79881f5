//! Clients that stay at the worker of an application that answered them before: by a cookie, or a parameter in the URL.
//!
//! Apache's variables say what became of a request: `BALANCER_SESSION_STICKY` and `BALANCER_SESSION_ROUTE` which route it
//! asked for and by what, `BALANCER_WORKER_ROUTE` who answered, `BALANCER_ROUTE_CHANGED` that this is another. What the
//! administrator of an Apache writes as a header rule is done here, unless there is such a rule.

use bytes::Bytes;
use carme_balancer::StickySession;
use carme_farm::dispatch::Account;
use carme_ring::frame::Scheme;
use http::header::{self, HeaderMap, HeaderValue};

use crate::app::Exchange;
use crate::record::Record;

const SESSION_STICKY: &str = "BALANCER_SESSION_STICKY";
const SESSION_ROUTE: &str = "BALANCER_SESSION_ROUTE";
const WORKER_ROUTE: &str = "BALANCER_WORKER_ROUTE";
const ROUTE_CHANGED: &str = "BALANCER_ROUTE_CHANGED";

fn of(record: &Record) -> Option<&StickySession> {
    record.policy.as_ref()?.sticky.as_ref()
}

/// The route that a request asks for, where clients are bound at all.
pub(crate) fn route(record: &mut Record) -> Option<Bytes> {
    let sticky = of(record)?;
    let cookies = record.headers.get_all(header::COOKIE);
    let cookies: Vec<_> = cookies.iter().map(HeaderValue::as_bytes).collect();
    let found = sticky.find(record.target(), &cookies)?;
    let name = found.sticky.to_owned();
    let route = Bytes::copy_from_slice(found.route);
    record.environment.set(SESSION_STICKY, name);
    record.environment.set(SESSION_ROUTE, route.clone());
    Some(route)
}

/// Notes who had the request, and whether its answer, if it is one, binds the client to another than it asked for.
pub(crate) fn settle(record: &mut Record, exchange: &impl Exchange, is_answer: bool) {
    if of(record).is_none() {
        return;
    }
    let Account {
        worker: Some(worker), ..
    } = exchange.account()
    else {
        return;
    };
    let is_changed = record.environment.get(SESSION_ROUTE) != Some(worker.route.as_bytes());
    record.binds = is_changed && is_answer;
    let route = Bytes::copy_from_slice(worker.route.as_bytes());
    record.environment.set(WORKER_ROUTE, route);
    if is_changed {
        record
            .environment
            .set(ROUTE_CHANGED, const { Bytes::from_static(b"1") });
    }
}

/// Adds the cookie to an answer that binds its client. One that the application or a header rule has set counts instead.
pub(crate) fn bind(record: &Record, headers: &mut HeaderMap) {
    if record.binds
        && let Some(sticky) = of(record)
        && let Some(route) = record.environment.get(WORKER_ROUTE)
        && !sets(headers, &sticky.cookie)
        && let Some(cookie) = cookie(sticky, &String::from_utf8_lossy(route), record.scheme())
    {
        headers.append(header::SET_COOKIE, cookie);
    }
}

fn cookie(sticky: &StickySession, route: &str, scheme: Scheme) -> Option<HeaderValue> {
    let mut cookie = sticky.set_cookie(route);
    cookie.push_str("; SameSite=Lax");
    if scheme == Scheme::Https {
        cookie.push_str("; Secure");
    }
    HeaderValue::try_from(cookie).ok()
}

fn sets(headers: &HeaderMap, cookie: &str) -> bool {
    headers.get_all(header::SET_COOKIE).iter().any(|value| {
        let rest = value.as_bytes().strip_prefix(cookie.as_bytes());
        rest.is_some_and(|rest| rest.trim_ascii_start().first() == Some(&b'='))
    })
}
