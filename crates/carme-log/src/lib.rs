//! The access log: Apache's `LogFormat` compiled once, and a writer that never blocks a request.
//!
//! [`Format::parse`] compiles a nickname or a LogFormat string; [`Format::render`] turns a [`Record`] (plain borrowed
//! data, no HTTP library) into one line; [`Writer`] takes lines and brings them to a file or to standard output.
//!
//! # Nicknames
//!
//! | nickname | format |
//! |---|---|
//! | `common` | `%h %l %u %t "%r" %>s %b` |
//! | `combined` | `common` and `"%{Referer}i" "%{User-Agent}i"` |
//! | `combined_route` | `combined` and `%{BALANCER_WORKER_ROUTE}e %D %{QUEUE_TIME_US}e %{WORKER_TIME_US}e %{REQUEST_ID}e` |
//! | `json` | one JSON object with the same members in every line |
//!
//! # Directives
//!
//! All of Apache's mod_log_config, mod_logio and mod_ssl: `%%` `%a` `%{c}a` `%A` `%b` `%B` `%{NAME}C` `%D`
//! `%{VARIABLE}e` `%f` `%^FB` `%h` `%{c}h` `%H` `%{NAME}i` `%I` `%k` `%l` `%L` `%m` `%{NAME}n` `%{NAME}o` `%O` `%p`
//! `%{canonical|local|remote}p` `%P` `%{pid|tid|hextid}P` `%q` `%r` `%R` `%s` `%S` `%t` `%{FORMAT}t` `%{NAME}^ti`
//! `%{NAME}^to` `%T` `%{s|ms|us}T` `%u` `%U` `%v` `%V` `%{VARIABLE}x` `%X`, with the modifiers `%400,501{NAME}i`,
//! `%!200{NAME}i`, `%<s` and `%>s`. Outside directives `\n`, `\t`, `\r` and `\\` are what they are
//! in Apache. A value that does not exist is `-`.
//!
//! What Carme knows beyond Apache comes as environment variables, the way Apache's own balancer adds
//! `BALANCER_WORKER_ROUTE`, so formats stay valid for Apache and log analysers need nothing new:
//!
//! | variable | value |
//! |---|---|
//! | `%{BALANCER_WORKER_ROUTE}e` | the route of the worker or member that answered, `www_1` |
//! | `%{WORKER_PID}e` | the process id of that worker |
//! | `%{QUEUE_TIME_US}e` | microseconds between the request being ready for a worker and a worker taking it |
//! | `%{WORKER_TIME_US}e` | microseconds from then until the response was complete |
//! | `%{FIRST_BYTE_US}e` | microseconds until the response's head was ready to be sent, as `%^FB` |
//! | `%{START_TIME_US}e` | when the request began, in microseconds since 1970 |
//! | `%{DURATION_US}e` | microseconds since then, as `%D` |
//! | `%{ATTEMPTS}e` | how many workers or members were given the request |
//! | `%{SSL_PROTOCOL}e` | and all of mod_ssl's: the same as `%{SSL_PROTOCOL}x` |
//! | `%{REQUEST_ID}e` | the request's id, also in the error log, in the answer, and what `%L` prints |
//! | `%{UNIQUE_ID}e` | the same, under mod_unique_id's name |
//!
//! Every other name is what somebody has set for the request ([`Fields::variable`]), in any case of letters. A [`Variable`]
//! gives the same values to whoever wants them outside a line.
//!
//! # Where this differs from Apache
//!
//! - `%<` and `%>` are read and mean the same: Carme has no internal redirects.
//! - `\"` outside directives is a quote. In Apache the configuration reader turns it into one before the format is
//!   read; here a format may also come from a command line or from TOML, copied from an Apache file.
//! - `%R` is what kind of thing answered in Carme's words, `%f` the file that was sent, if it was one.
//! - A mistake that Apache lets pass is an error here: `%i` without a name, an argument where there is none to give
//!   (`%{Referer}I`), an unknown unit, a word that `%t` would print as it is, a format without any directive.
//! - `%P` is the worker's process id, or Carme's own where no worker answered.
//! - Lines end with `\n` on every platform.
#![forbid(unsafe_code)]

mod condition;
mod decimal;
mod escape;
mod format;
mod record;
mod time;
mod writer;

pub use condition::{Condition, resolved_path};
pub use format::{Format, FormatError, Problem, Variable};
pub use record::{ConnectionStatus, Fields, NoFields, Record, RequestLine};
pub use writer::{
    Destination, FileNameError, OnTrouble, OpenError, Rotation, Totals, Trouble, What, Writer, WriterOptions,
};
