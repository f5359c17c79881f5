//! OTLP's JSON: `ExportTraceServiceRequest`, as far as a server's spans need it.

use std::time::SystemTime;

use serde_json::{Value as Json, json};

use crate::context::{SpanId, TraceId};

/// An attribute's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
    /// A number with a fraction.
    Fraction(f64),
}

/// A request that the server has answered: a span of kind `SERVER`.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its trace.
    pub trace: TraceId,
    /// Itself.
    pub id: SpanId,
    /// The caller's span, if it was told.
    pub parent: Option<SpanId>,
    /// What it is called: few different names.
    pub name: String,
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// The server is to blame.
    pub failed: bool,
    /// What else is known, named by OpenTelemetry's conventions where there are some.
    pub attributes: Vec<(&'static str, Value)>,
}

const SERVER: u8 = 2;
const ERROR: u8 = 2;

/// A request to the collector with these spans.
pub(crate) fn request(service: &str, version: &str, spans: &[Span]) -> String {
    let attributes = [
        ("service.name", service),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.name", "carme"),
        ("telemetry.sdk.version", version),
    ];
    let attributes = attributes.map(|(name, text)| attribute(name, &Value::Text(text.to_owned())));
    let spans: Vec<Json> = spans.iter().map(span).collect();
    json!({
        "resourceSpans": [{
            "resource": { "attributes": attributes },
            "scopeSpans": [{ "scope": { "name": "carme", "version": version }, "spans": spans }],
        }],
    })
    .to_string()
}

fn span(span: &Span) -> Json {
    let attributes: Vec<Json> = span
        .attributes
        .iter()
        .map(|(name, value)| attribute(name, value))
        .collect();
    let mut json = json!({
        "traceId": span.trace.to_string(),
        "spanId": span.id.to_string(),
        "name": span.name,
        "kind": SERVER,
        // 64 bits are texts in the JSON of protocol buffers.
        "startTimeUnixNano": nanoseconds(span.start).to_string(),
        "endTimeUnixNano": nanoseconds(span.end).to_string(),
        "attributes": attributes,
    });
    if let Some(parent) = span.parent {
        json["parentSpanId"] = parent.to_string().into();
    }
    if span.failed {
        json["status"] = json!({ "code": ERROR });
    }
    json
}

fn attribute(name: &str, value: &Value) -> Json {
    let value = match value {
        Value::Text(text) => json!({ "stringValue": text }),
        Value::Number(number) => json!({ "intValue": number.to_string() }),
        Value::Fraction(number) => json!({ "doubleValue": number }),
    };
    json!({ "key": name, "value": value })
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Context;

    #[test]
    fn a_span_is_what_the_protocol_says() {
        let parent = Context::parse(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        let context = parent.child();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let spans = [Span {
            trace: context.trace,
            id: context.span,
            parent: Some(parent.span),
            name: "GET".to_owned(),
            start: at,
            end: at + Duration::from_millis(3),
            failed: true,
            attributes: vec![
                ("url.path", Value::Text("/\"é".to_owned())),
                ("http.response.status_code", Value::Number(500)),
                ("carme.queue_time", Value::Fraction(0.5)),
            ],
        }];
        let read: Json = serde_json::from_str(&request("site", "1.2", &spans)).unwrap();
        let resource = &read["resourceSpans"][0];
        assert_eq!(
            resource["resource"]["attributes"][0],
            json!({ "key": "service.name", "value": { "stringValue": "site" } })
        );
        assert_eq!(
            resource["scopeSpans"][0]["spans"][0],
            json!({
                "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
                "spanId": context.span.to_string(),
                "parentSpanId": "00f067aa0ba902b7",
                "name": "GET",
                "kind": 2,
                "startTimeUnixNano": "1700000000000000000",
                "endTimeUnixNano": "1700000000003000000",
                "status": { "code": 2 },
                "attributes": [
                    { "key": "url.path", "value": { "stringValue": "/\"é" } },
                    { "key": "http.response.status_code", "value": { "intValue": "500" } },
                    { "key": "carme.queue_time", "value": { "doubleValue": 0.5 } },
                ],
            })
        );
    }
}
