//! A request's place in a distributed trace: read from the client's `traceparent` or begun here, passed on to the
//! application, and told to a collector when the request is over.

use std::time::{Duration, SystemTime};

use carme_farm::dispatch::Account;
use carme_traces::{Context, Exporter, Span, SpanId, Value};
use http::{HeaderMap, HeaderName, HeaderValue};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Whether traces are taken part in, and how.
#[derive(Debug)]
pub struct Traces {
    /// The part of the traces begun here that is sampled, from 0 to 1.
    pub sample: f64,
    /// Who is told of sampled requests; nobody if `None`, and contexts are only passed on.
    pub exporter: Option<Exporter>,
}

/// A request's part of a trace.
#[derive(Debug)]
pub(crate) struct Tracing {
    /// What the application was given.
    context: Context,
    parent: Option<SpanId>,
    /// This request is a span of its own.
    is_span: bool,
}

/// What the collector is told of a request.
pub(crate) struct Told<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) client: &'a str,
    pub(crate) version: &'a str,
    pub(crate) request_id: &'a str,
    pub(crate) status: u16,
    pub(crate) body_bytes: u64,
    pub(crate) account: Option<&'a Account>,
    pub(crate) duration: Duration,
}

impl Traces {
    /// Reads where the request belongs, and writes where the application does.
    pub(crate) fn begin(&self, headers: &mut HeaderMap) -> Tracing {
        let mut given = headers.get_all(&TRACEPARENT).iter();
        let first = given.next().and_then(|value| Context::parse(value.as_bytes()));
        // Two of them are as good as none.
        let caller = first.filter(|_| given.next().is_none());
        let (context, is_span) = match caller {
            // Not for us to change if we have nothing to add.
            Some(caller) if !caller.sampled || self.exporter.is_none() => (caller, false),
            Some(caller) => (caller.child(), true),
            None => {
                // It belongs to a trace that is not known.
                headers.remove(&TRACESTATE);
                let root = Context::root(self.sample);
                (root, root.sampled && self.exporter.is_some())
            }
        };
        if caller != Some(context)
            && let Ok(value) = HeaderValue::try_from(context.to_string())
        {
            headers.insert(&TRACEPARENT, value);
        }
        Tracing {
            context,
            parent: caller.map(|caller| caller.span),
            is_span,
        }
    }

    /// The request is over.
    pub(crate) fn end(&self, tracing: &Tracing, told: &Told<'_>) {
        if let (Some(exporter), true) = (&self.exporter, tracing.is_span) {
            exporter.send(tracing.span(told));
        }
    }
}

impl Tracing {
    /// For the error log.
    pub(crate) fn id(&self) -> String {
        self.context.trace.to_string()
    }

    fn span(&self, told: &Told<'_>) -> Span {
        let end = SystemTime::now();
        let text = |text: &str| Value::Text(text.to_owned());
        let mut attributes = vec![
            ("http.request.method", text(told.method)),
            ("url.path", text(told.path)),
            ("network.protocol.version", text(told.version)),
            ("http.response.status_code", Value::Number(told.status.into())),
            (
                "http.response.body.size",
                Value::Number(told.body_bytes.try_into().unwrap_or(i64::MAX)),
            ),
            ("carme.request_id", text(told.request_id)),
        ];
        if !told.client.is_empty() {
            attributes.push(("client.address", text(told.client)));
        }
        if let Some(account) = told.account {
            attributes.push(("carme.queue_time", Value::Fraction(account.queued.as_secs_f64())));
            if let Some(worker) = &account.worker {
                attributes.push(("carme.route", text(&worker.route)));
                attributes.push(("carme.worker_time", Value::Fraction(account.worked.as_secs_f64())));
                attributes.push(("process.pid", Value::Number(worker.pid.into())));
            }
        }
        Span {
            trace: self.context.trace,
            id: self.context.span,
            parent: self.parent,
            name: told.method.to_owned(),
            start: end.checked_sub(told.duration).unwrap_or(end),
            end,
            failed: told.status >= 500,
            attributes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(given: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in given {
            headers.append(&TRACEPARENT, value.parse().unwrap());
        }
        headers.insert(&TRACESTATE, "a=b".parse().unwrap());
        headers
    }

    fn parents(headers: &HeaderMap) -> Vec<&str> {
        let all = headers.get_all(&TRACEPARENT).iter();
        all.map(|value| value.to_str().unwrap()).collect()
    }

    #[test]
    fn a_callers_context_is_passed_on_as_it_is_where_nobody_is_told() {
        let traces = Traces {
            sample: 1.0,
            exporter: None,
        };
        let mut given = headers(&[CALLER]);
        let tracing = traces.begin(&mut given);
        assert_eq!(parents(&given), [CALLER]);
        assert!(given.contains_key(&TRACESTATE) && !tracing.is_span);
        assert_eq!(tracing.id(), &CALLER[3..35]);
    }

    #[test]
    fn what_is_no_context_is_replaced() {
        let traces = Traces {
            sample: 0.0,
            exporter: None,
        };
        for given in [&[][..], &["x"], &[CALLER, CALLER]] {
            let mut headers = headers(given);
            let tracing = traces.begin(&mut headers);
            assert_eq!(parents(&headers), [tracing.context.to_string()], "{given:?}");
            assert!(!headers.contains_key(&TRACESTATE), "{given:?}");
            assert!(!tracing.context.sampled && tracing.parent.is_none());
        }
    }
}
