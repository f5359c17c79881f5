//! Carme's HTTP side: listeners, TLS, HTTP/1.1 on hyper, locations, limits, request bodies, files, and the access log.
//!
//! [`serve`] answers every request that reaches a [`Listener`] from a [`Site`]: it finds the location, sends a file,
//! redirects or answers with a fixed text by itself, or reads the body, hands both to the location's [`Application`] and
//! brings its answer to the client. What an application never sees: malformed requests, bodies that are still coming,
//! hop-by-hop fields, names with `_`, and what somebody who is not a trusted proxy ([`Proxies`]) claims about the client.
//!
//! # What a client gets when something is wrong
//!
//! | case | answer |
//! |---|---|
//! | malformed request, ambiguous framing (`Content-Length` with `Transfer-Encoding`, either one twice), bare CR or LF, a folded line, white space before a colon, no or more than one `Host` or one that an absolute target contradicts, a broken chunk | 400, connection closed |
//! | header section too large, or too many fields / target too long / body too large | 431 / 414 / 413, connection closed |
//! | header section or body too slow, on the whole or between two pieces of the body | 408, connection closed |
//! | more connections from one address than it may have | 503 with `Retry-After`, connection closed; while 64 are being told so, closed at once, with a line in the error log alone |
//! | a transfer coding besides chunked, CONNECT / another major version of HTTP | 501 / 505, connection closed |
//! | plain HTTP to an address that speaks TLS | 400, connection closed |
//! | no location, no such file / a file that may not be read | 404 / 403 |
//! | a file asked for by another method than GET and HEAD | 405 with `Allow` |
//! | queue full, queued too long, server stopping, no room for a request body on disk | 503 with `Retry-After` |
//! | the application raised before its header was sent | 500 |
//! | the application's response is invalid, or its worker died | 502 |
//! | the application failed or fell short of its `Content-Length` after that | the connection is cut |
//! | the client left before it got any of an answer | 499 in the log |
//!
//! Each of them has exactly one line in every access log and a reason in the error log, both with the request's id,
//! which every answer carries as `X-Request-Id` unless the application sets that itself. The front's own answers are
//! small pages, the user's [`ErrorPages`], or `application/problem+json` for clients that rather have JSON.
//!
//! Besides `100 Continue` hyper answers nothing by itself: what could make it do so does not pass the guard.
//!
//! Two things about clients that half-close: one that shuts its sending side down before it has its answer counts as
//! gone, as with nginx; and one that does so inside a request gets 400. A connection that ends or idles away without a
//! byte of a request leaves no line.

#![forbid(unsafe_code)]

mod accept;
mod app;
mod app_variables;
mod body;
mod capacity;
mod client;
mod clock;
mod compress;
mod connection;
mod connections;
mod crowd;
mod current;
mod environment;
mod error_pages;
mod fault;
mod file_body;
mod files;
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod header_rules;
mod listener;
mod local;
mod location;
mod metrics;
mod monitor;
mod negotiate;
mod outgoing;
mod pace;
mod page;
mod page_cache;
mod patience;
mod policy;
mod proxying;
mod record;
mod refused;
mod request_id;
mod respond;
mod server;
mod service;
mod shutdown;
mod site;
mod spool;
mod state;
mod sticky;
mod template;
mod tls;
mod trace;
mod transport;
mod tunnel;
mod variable_rules;

pub use carme_balancer::StickySession;
pub use carme_tls::Tls;

pub use app::{Application, Exchange};
pub use client::{ClientHeader, ForwardedFields, Proxies};
pub use compress::Compress;
pub use current::Retired;
pub use error_pages::{ErrorPage, ErrorPages, Markup};
pub use files::{FileOptions, Files};
pub use header_rules::{Edit, HeaderChange, HeaderRule, HeaderText, StatusRange};
pub use listener::{BindError, Listener};
pub use local::{Fixed, Redirect};
pub use location::Location;
pub use metrics::Metrics;
pub use monitor::{Insight, Monitor, Readiness};
pub use policy::Policy;
pub use proxying::{HashKey, Proxied};
pub use server::{DoorId, Drained, Server, serve};
pub use shutdown::Shutdown;
pub use site::{AccessLog, Https, Limits, Site, SiteOptions};
pub use template::{Piece, Template};
pub use trace::Traces;
pub use variable_rules::{Subject, VariableRule, VariableTest};
