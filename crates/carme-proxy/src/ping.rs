//! `ping`: a member is asked whether it takes a request before it gets the body (RFC 9110, 10.1.1).
//!
//! As Apache does with requests that have one: the head goes with `Expect: 100-continue`, and a member that does not say
//! anything to it in time cannot be reached. Over HTTP/2 its frames ask instead: [`crate::frames`].

use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{Request, StatusCode};
use http_body::Body;

use crate::body::{Gate, RequestBody};
use crate::endpoint::{Endpoint, Protocol};

/// Whether one request asks.
pub(crate) struct Ping(Option<(Gate, Duration)>);

impl Ping {
    pub(crate) fn of(endpoint: &Endpoint, body: &RequestBody) -> Self {
        let asks = || endpoint.protocol == Protocol::Http1 && !body.is_end_stream();
        let patience = endpoint.ping.filter(|_| asks());
        Ping(patience.map(|patience| (Gate::default(), patience)))
    }

    /// The request with its body, which is held back if it asks.
    pub(crate) fn ask(&self, head: Request<()>, body: &RequestBody) -> Request<RequestBody> {
        let gate = self.0.as_ref().map(|(gate, _)| gate.clone());
        let mut request = head.map(|()| body.behind(gate.clone()));
        if let Some(gate) = gate {
            let expected = HeaderValue::from_static("100-continue");
            request.headers_mut().insert(header::EXPECT, expected);
            hyper::ext::on_informational(&mut request, move |response| {
                if response.status() == StatusCode::CONTINUE {
                    gate.open();
                }
            });
        }
        request
    }

    /// It has asked, and the body is still held back.
    pub(crate) fn is_unanswered(&self) -> bool {
        self.patience().is_some()
    }

    /// How long it waits for what the member says to it. `None`: for nothing.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let (gate, patience) = self.0.as_ref()?;
        (!gate.is_open()).then_some(*patience)
    }
}
