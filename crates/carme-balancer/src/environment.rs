//! The variables that `mod_proxy_balancer.c` sets for log formats, header rules and conditions.

use std::borrow::Cow;

use crate::request::Session;
use crate::settings::{Member, Settings};

/// `BALANCER_NAME`, `BALANCER_WORKER_NAME`, `BALANCER_WORKER_ROUTE` (empty without a route), and as the request's session
/// has it `BALANCER_SESSION_STICKY`, `BALANCER_SESSION_ROUTE` and `BALANCER_ROUTE_CHANGED`.
pub fn environment<'a>(
    settings: &'a Settings,
    member: &'a Member,
    session: &'a Session,
) -> Vec<(&'static str, Cow<'a, str>)> {
    let mut variables = vec![
        ("BALANCER_NAME", Cow::Borrowed(settings.name.as_str())),
        ("BALANCER_WORKER_NAME", Cow::Borrowed(member.name.as_str())),
        (
            "BALANCER_WORKER_ROUTE",
            Cow::Borrowed(member.route.as_deref().unwrap_or_default()),
        ),
    ];
    if let (Some(sticky), Some(route)) = (&session.sticky, &session.route) {
        variables.push(("BALANCER_SESSION_STICKY", Cow::Borrowed(sticky.as_str())));
        variables.push(("BALANCER_SESSION_ROUTE", String::from_utf8_lossy(route)));
    }
    if session.route_changed {
        variables.push(("BALANCER_ROUTE_CHANGED", Cow::Borrowed("1")));
    }
    variables
}
