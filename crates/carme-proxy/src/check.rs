//! Whether a member is well: one check of it, over a connection of its own.
//!
//! The request is that of `create_hcheck_req` (`mod_proxy_hcheck.c`), with `User-Agent` besides, so that a member can leave
//! checks out of its log.

use std::future::poll_fn;

use carme_balancer::{CheckMethod, CheckResponse, HealthCheck};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Request, StatusCode, Version};
use hyper::body::Incoming;

use crate::body::RequestBody;
use crate::endpoint::Endpoint;
use crate::forward::Cause;
use crate::link::Link;
use crate::member::Member;

/// What is read of a body, at most; what comes after that is not looked at.
const MOST_BODY: usize = 1024 * 1024;
const USER_AGENT: HeaderValue = HeaderValue::from_static("Carme (health check)");

/// Why a member has not passed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    /// No answer.
    #[error("it {0}")]
    Unanswered(#[from] Cause),
    /// The answer is not one that passes.
    #[error("it answered {0}, and that or what came with it does not pass")]
    Answer(StatusCode),
}

/// Checks a member.
///
/// # Errors
/// It has not passed.
pub(crate) async fn check(member: &Member, rule: &HealthCheck) -> Result<(), Unfit> {
    let endpoint = &member.endpoint;
    let mut link = member.connect_apart().await.map_err(Cause::Connect)?;
    let Some(request) = request(endpoint, rule) else {
        return Ok(());
    };
    let limit = endpoint.timeout;
    let answered = tokio::time::timeout(limit, answer(&mut link, request)).await;
    let (head, body) = answered.map_err(|_| Cause::TooSlow(limit))??;
    match rule.is_passed_by(&CheckResponse {
        status: head.status.as_u16(),
        headers: &fields(&head.headers),
        body: &body,
    }) {
        true => Ok(()),
        false => Err(Unfit::Answer(head.status)),
    }
}

/// `None` where a connection is enough.
fn request(endpoint: &Endpoint, rule: &HealthCheck) -> Option<Request<RequestBody>> {
    let (method, target) = rule.request_line(&endpoint.path)?;
    let http11 = match rule.method {
        CheckMethod::Tcp => return None,
        CheckMethod::Options { http11 } | CheckMethod::Head { http11 } | CheckMethod::Get { http11 } => {
            http11
        }
    };
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header(header::HOST, &endpoint.authority)
        .header(header::USER_AGENT, USER_AGENT);
    request = match http11 {
        true => request.header(header::CONNECTION, "close"),
        false => request.version(Version::HTTP_10),
    };
    request.body(RequestBody::empty()).ok()
}

async fn answer(
    link: &mut Link,
    request: Request<RequestBody>,
) -> Result<(http::response::Parts, Vec<u8>), Cause> {
    let answered = link.send(request).await;
    let (head, mut incoming) = answered
        .map_err(|failed| Cause::Broke(failed.error))?
        .into_parts();
    let body = body(link, &mut incoming).await.map_err(Cause::Broke)?;
    Ok((head, body))
}

async fn body(link: &mut Link, incoming: &mut Incoming) -> Result<Vec<u8>, hyper::Error> {
    let mut body = Vec::new();
    while let Some(frame) = poll_fn(|cx| link.poll_frame(incoming, cx)).await {
        if let Ok(data) = frame?.into_data() {
            let room = MOST_BODY - body.len();
            body.extend_from_slice(&data[..data.len().min(room)]);
        }
        if body.len() == MOST_BODY {
            break;
        }
    }
    Ok(body)
}

fn fields(headers: &HeaderMap) -> Vec<(&str, &[u8])> {
    let fields = headers.iter();
    fields
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect()
}
