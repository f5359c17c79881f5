//! Carme's HTTP side: listeners, HTTP/1.1 on hyper, locations, limits, request bodies, files, and the access log.
//!
//! [`serve`] answers every request that reaches a [`Listener`] from a [`Site`]: it finds the location, sends a file,
//! redirects or answers with a fixed text by itself, or reads the body, hands both to the location's [`Application`] and
//! brings its answer to the client. What an application never sees:
//! malformed requests, bodies that are still coming, hop-by-hop fields, names with `_`.
//!
//! # What a client gets when something is wrong
//!
//! | case | answer |
//! |---|---|
//! | malformed request, ambiguous framing (`Content-Length` with `Transfer-Encoding`, either one twice), bare CR or LF, a folded line, white space before a colon, no or more than one `Host`, a broken chunk | 400, connection closed |
//! | header section too large, or more than 100 fields / target too long / body too large | 431 / 414 / 413, connection closed |
//! | header section or body too slow | 408, connection closed |
//! | a transfer coding besides chunked, CONNECT / another major version of HTTP | 501 / 505, connection closed |
//! | no location, no such file / a file that may not be read | 404 / 403 |
//! | a file asked for by another method than GET and HEAD | 405 with `Allow` |
//! | queue full, queued too long, server stopping, no room for a request body on disk | 503 with `Retry-After` |
//! | the application raised before its header was sent | 500 |
//! | the application's response is invalid, or its worker died | 502 |
//! | the application failed or fell short of its `Content-Length` after that | the connection is cut |
//! | the client left before it got any of an answer | 499 in the log |
//!
//! Each of them has exactly one line in every access log and a reason in the error log, both with the request's id,
//! which every answer carries as `X-Request-Id` unless the application sets that itself.
//!
//! Two things about clients that half-close: one that shuts its sending side down before it has its answer counts as
//! gone, as with nginx; and one that does so inside a request gets 400. A connection that ends or idles away without a
//! byte of a request leaves no line.

#![forbid(unsafe_code)]

mod app;
mod body;
mod clock;
mod compress;
mod connection;
mod connections;
mod fault;
mod file_body;
mod files;
mod guard;
mod header_rules;
mod listener;
mod local;
mod location;
mod outgoing;
mod page;
mod policy;
mod record;
mod request_id;
mod respond;
mod server;
mod service;
mod shutdown;
mod site;
mod spool;
mod state;

pub use app::{Application, Exchange};
pub use compress::Compress;
pub use files::{FileOptions, Files};
pub use header_rules::{HeaderChange, HeaderRule, StatusRange};
pub use listener::{BindError, Listener};
pub use local::{Fixed, Redirect};
pub use location::Location;
pub use policy::Policy;
pub use server::{Drained, serve};
pub use shutdown::Shutdown;
pub use site::{AccessLog, Limits, Site, SiteOptions};
