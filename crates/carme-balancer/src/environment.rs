//! The variables that `mod_proxy_balancer.c` sets for log formats, header rules and conditions.

use crate::request::Session;

/// `BALANCER_NAME`, `BALANCER_WORKER_NAME`, `BALANCER_WORKER_ROUTE` (empty without a route), and as the request's session
/// has it `BALANCER_SESSION_STICKY`, `BALANCER_SESSION_ROUTE` and `BALANCER_ROUTE_CHANGED`. The values are of whatever type
/// the caller has the names in; `value` makes one of bytes.
pub fn environment<T>(
    balancer: T,
    worker: T,
    route: T,
    session: &Session,
    value: impl Fn(&[u8]) -> T,
) -> Vec<(&'static str, T)> {
    let mut variables = vec![
        ("BALANCER_NAME", balancer),
        ("BALANCER_WORKER_NAME", worker),
        ("BALANCER_WORKER_ROUTE", route),
    ];
    if let (Some(sticky), Some(route)) = (&session.sticky, &session.route) {
        variables.push(("BALANCER_SESSION_STICKY", value(sticky.as_bytes())));
        variables.push(("BALANCER_SESSION_ROUTE", value(route)));
    }
    if session.route_changed {
        variables.push(("BALANCER_ROUTE_CHANGED", value(b"1")));
    }
    variables
}
