//! Distributed traces: where a request belongs ([`Context`], W3C Trace Context), and what the server has to say of it
//! ([`Span`]), sent to an OpenTelemetry collector ([`Exporter`], OTLP over HTTP with JSON).
//!
//! Why not `opentelemetry-otlp`: it and its SDK bring some fifty crates, a second HTTP client and a global state, for one
//! kind of span. The protocol's JSON is a documented, stable encoding; what is needed of it is in `otlp.rs`.
//!
//! What callers may rely on: handing a span over never waits and never grows without bound; when the collector is slow
//! or gone, spans are dropped and counted, and nothing else happens.

#![forbid(unsafe_code)]

mod context;
mod endpoint;
mod exporter;
mod otlp;

pub use context::{Context, SpanId, TraceId};
pub use endpoint::{Endpoint, EndpointError};
pub use exporter::{Exporter, ExporterOptions, Totals};
pub use otlp::{Span, Value};
