//! One request to Consul's HTTP interface.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{ACCEPT, HOST};
use http::{HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::course::Failure;

/// A larger answer is not read.
const MOST_BYTES: usize = 16 << 20;

/// So much of an error's text is passed on.
const SHOWN: usize = 200;

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    /// `X-Consul-Index`
    pub(super) index: Option<u64>,
    pub(super) body: Bytes,
}

/// Asks by a connection of its own, which a query occupies while it waits. Dropping the future closes it.
pub(super) async fn get(authority: &str, uri: Uri, token: Option<&str>) -> Result<Answer, Failure> {
    let away = |what: String| Failure::Away(what);
    let stream = TcpStream::connect(authority)
        .await
        .map_err(|error| away(format!("no connection: {error}")))?;
    let broken = |error: hyper::Error| away(format!("the connection broke: {error}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let request = request(authority, uri, token)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let index = response.headers().get("x-consul-index");
        let index = index.and_then(|value| value.to_str().ok()?.parse().ok());
        let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
        let body = body.map_err(|error| away(format!("the answer ended early: {error}")))?;
        let body = body.to_bytes();
        match status.is_success() {
            true => Ok(Answer { index, body }),
            false => Err(away(refusal(status, &body, token.is_some()))),
        }
    };
    // A connection that has ended is dropped at once: until then the exchange would wait for its answer.
    let driven = async move {
        let _ = connection.await;
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        answer = exchange => answer,
        never = driven => match never {},
    }
}

fn request(authority: &str, uri: Uri, token: Option<&str>) -> Result<Request<Empty<Bytes>>, Failure> {
    let wrong = |what: &str| Failure::Away(format!("it cannot be asked: {what}"));
    let mut request = Request::get(uri)
        .header(HOST, authority)
        .header(ACCEPT, "application/json")
        .body(Empty::new())
        .map_err(|error| wrong(&error.to_string()))?;
    if let Some(token) = token {
        let mut token = HeaderValue::from_str(token).map_err(|_| wrong("the token has odd characters"))?;
        token.set_sensitive(true);
        request.headers_mut().insert("x-consul-token", token);
    }
    Ok(request)
}

/// What an error of Consul's means.
fn refusal(status: http::StatusCode, body: &[u8], has_token: bool) -> String {
    let text = String::from_utf8_lossy(body);
    let text: String = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SHOWN)
        .collect();
    let cure = match (status.as_u16(), has_token) {
        (401 | 403, true) => ": the token may not read this service (it needs service:read and node:read)",
        (401 | 403, false) => ": it wants a token",
        _ => "",
    };
    match text.is_empty() {
        true => format!("it answers {}{cure}", status.as_u16()),
        false => format!("it answers {} {text:?}{cure}", status.as_u16()),
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn refusals_say_what_to_do() {
        for (status, body, has_token, expected) in [
            (
                StatusCode::FORBIDDEN,
                "",
                false,
                "it answers 403: it wants a token",
            ),
            (
                StatusCode::FORBIDDEN,
                "Permission denied\n",
                true,
                "it answers 403 \"Permission denied\": the token may not read this service (it needs service:read and \
                 node:read)",
            ),
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "No cluster\x1b leader",
                false,
                "it answers 500 \"No cluster  leader\"",
            ),
        ] {
            assert_eq!(refusal(status, body.as_bytes(), has_token), expected);
        }
        assert!(refusal(StatusCode::BAD_GATEWAY, &[b'x'; 5000], false).len() < 300);
    }
}
