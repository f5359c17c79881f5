//! `%{NAME}e`: what is known of a request under a name.

use super::render::micros;
use super::tls;
use crate::record::Record;

/// A variable of a request, looked up by its name once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    WorkerRoute,
    WorkerPid,
    QueueTime,
    WorkerTime,
    FirstByte,
    StartTime,
    Duration,
    Attempts,
    RequestId,
    Tls(Box<str>),
    Other(Box<str>),
}

/// Carme's own, each with what it is.
const OWN: &[(&str, Kind)] = &[
    ("BALANCER_WORKER_ROUTE", Kind::WorkerRoute),
    ("WORKER_PID", Kind::WorkerPid),
    ("QUEUE_TIME_US", Kind::QueueTime),
    ("WORKER_TIME_US", Kind::WorkerTime),
    ("FIRST_BYTE_US", Kind::FirstByte),
    ("START_TIME_US", Kind::StartTime),
    ("DURATION_US", Kind::Duration),
    ("ATTEMPTS", Kind::Attempts),
    ("REQUEST_ID", Kind::RequestId),
    ("UNIQUE_ID", Kind::RequestId),
];

/// What a variable has.
pub(super) enum Value<'a> {
    Number(u64),
    /// Any bytes.
    Text(&'a [u8]),
}

impl Variable {
    /// The variable of this name, which need not exist.
    pub fn named(name: &str) -> Self {
        let own = OWN.iter().find(|(known, _)| *known == name);
        Variable(match own {
            Some((_, kind)) => kind.clone(),
            // As with mod_ssl's `SSLOptions +StdEnvVars`.
            None if tls::is_variable(name) => Kind::Tls(name.into()),
            None => Kind::Other(name.into()),
        })
    }

    /// Whether Carme itself says what this name stands for, so that nobody else can.
    pub fn is_own(name: &str) -> bool {
        OWN.iter().any(|(known, _)| *known == name)
    }

    /// Whether this is a name of mod_ssl's.
    pub fn is_tls(name: &str) -> bool {
        tls::is_variable(name)
    }

    /// Appends the value as it is, unescaped. False if it has none.
    pub fn push(&self, record: &Record<'_>, out: &mut Vec<u8>) -> bool {
        match self.value(record) {
            None => return false,
            Some(Value::Number(number)) => crate::decimal::push(out, number),
            Some(Value::Text(text)) => out.extend_from_slice(text),
        }
        true
    }

    /// Whether it has a value, if only an empty one.
    pub fn is_set(&self, record: &Record<'_>) -> bool {
        self.value(record).is_some()
    }

    pub(super) fn value<'a>(&self, record: &Record<'a>) -> Option<Value<'a>> {
        let time = |time: std::time::Duration| Value::Number(micros(time));
        let number = |number: u32| Value::Number(u64::from(number));
        match &self.0 {
            // A worker's is a field of the record; who has none may have been given the variable.
            Kind::WorkerRoute => {
                let worker = record.route.map(str::as_bytes);
                worker
                    .or_else(|| record.fields.variable("BALANCER_WORKER_ROUTE"))
                    .map(Value::Text)
            }
            Kind::WorkerPid => record.worker_pid.map(number),
            Kind::QueueTime => record.queue_time.map(time),
            Kind::WorkerTime => record.worker_time.map(time),
            Kind::FirstByte => record.first_byte.map(time),
            Kind::StartTime => {
                let since = record.start.duration_since(std::time::UNIX_EPOCH);
                since.ok().map(time)
            }
            Kind::Duration => Some(time(record.duration)),
            Kind::Attempts => record.attempts.map(number),
            Kind::RequestId => record.request_id.map(|id| Value::Text(id.as_bytes())),
            // What the configuration sets is meant: HTTPS behind a proxy that speaks it.
            Kind::Tls(name) => {
                let set = record.fields.variable(name);
                set.or_else(|| record.fields.tls(name)).map(Value::Text)
            }
            Kind::Other(name) => record.fields.variable(name).map(Value::Text),
        }
    }

    pub(super) fn is_first_byte(&self) -> bool {
        self.0 == Kind::FirstByte
    }

    /// Whether somebody else can set it under this name. Case makes no difference, as in Apache.
    pub(crate) fn is_settable_as(&self, name: &str) -> bool {
        match &self.0 {
            Kind::Tls(own) | Kind::Other(own) => own.eq_ignore_ascii_case(name),
            Kind::WorkerRoute => name.eq_ignore_ascii_case("BALANCER_WORKER_ROUTE"),
            _ => false,
        }
    }
}
