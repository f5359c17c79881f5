//! A request on its way to a member: which one, over which connection, and what is done when it fails there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use carme_balancer::{Exposure, Failure, MemberId, Next, Outcome, Resend, Unavailable};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::body::RequestBody;
use crate::cluster::{Ask, Cluster};
use crate::connect::ConnectError;
use crate::endpoint::Endpoint;
use crate::head;
use crate::http1;
use crate::http2::fields;
use crate::link::{Link, Tunnel, Unanswered};
use crate::member::Label;
use crate::ping::Ping;
use crate::response::ResponseBody;
use crate::seat::Seat;

/// A request for a member.
pub struct Forward<'a> {
    /// What it is chosen by.
    pub ask: Ask<'a>,
    /// Its method.
    pub method: &'a Method,
    /// Its head as this member is to see it: target, header fields, version.
    pub head: &'a (dyn Fn(&Endpoint) -> Result<Request<()>, head::Refused> + Send + Sync),
    /// Its body.
    pub body: RequestBody,
    /// What the error log knows it by.
    pub id: &'a str,
}

/// A member's answer.
pub struct Answer {
    /// Its head.
    pub head: http::response::Parts,
    /// What follows that.
    pub content: Content,
}

/// What follows an answer's head.
pub enum Content {
    /// A body.
    Body(Box<ResponseBody>),
    /// Another protocol: the status is 101. `None` if the connection is over.
    Tunnel(Option<Tunnel>, Seat),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// There is no member for it: 503.
    #[error("{0}")]
    Unavailable(Unavailable),
    /// It cannot be passed on as it is.
    #[error("{0}")]
    Refused(head::Refused),
    /// The client has broken its body off; whoever reads that knows why.
    #[error("the request's body was broken off")]
    Client,
    /// A member has failed, and no other was tried after it: 502, or 504 where it was too slow.
    #[error("the member {member} {cause}")]
    Member {
        /// Its name.
        member: String,
        /// What went wrong.
        cause: Cause,
    },
}

/// What went wrong with a member.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// No connection.
    #[error("cannot be reached: {0}")]
    Connect(#[from] ConnectError),
    /// `ping`
    #[error("did not say within {0:?} that it takes the request (ping)")]
    Unready(Duration),
    /// `ping` over HTTP/2
    #[error("did not say within {0:?} that it is there (ping)")]
    Silent(Duration),
    /// No response in time.
    #[error("did not answer within {0:?} (timeout)")]
    TooSlow(Duration),
    /// It broke off, or does not speak HTTP.
    #[error("broke off: {0}")]
    Broke(hyper::Error),
    /// It went on with another protocol.
    #[error("changed the protocol without being asked to")]
    Switched,
    /// More fields than the library takes, or a longer head.
    #[error(
        "sent a response's head that is too long, or has more than {} fields",
        http1::MOST_FIELDS
    )]
    LongHead,
    /// `responsefieldsize`
    #[error("sent a header field of more than {0} bytes (responsefieldsize)")]
    LongField(usize),
}

impl Cause {
    fn failure(&self) -> Failure {
        match self {
            Cause::Connect(_) | Cause::Unready(_) | Cause::Silent(_) => Failure::Connect,
            Cause::TooSlow(_) => Failure::Timeout,
            Cause::Broke(_) | Cause::Switched | Cause::LongHead | Cause::LongField(_) => Failure::Broke,
        }
    }
}

impl Failed {
    /// What the client is told.
    pub fn status(&self) -> StatusCode {
        match self {
            Failed::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Failed::Client => StatusCode::BAD_REQUEST,
            Failed::Refused(refused) => refused.status(),
            Failed::Member {
                cause: Cause::TooSlow(_),
                ..
            } => StatusCode::GATEWAY_TIMEOUT,
            Failed::Member { .. } => StatusCode::BAD_GATEWAY,
        }
    }
}

/// How far a request has come: it is known even if the client leaves in between.
#[derive(Debug, Clone, Default)]
pub struct Attempts {
    /// The member that it was sent to last.
    pub member: Option<Arc<Label>>,
    /// Members that it was sent to.
    pub number: u32,
    /// How long it waited for them.
    pub waited: Duration,
    /// Since when the last one has it.
    pub since: Option<Instant>,
    /// The variables of `mod_proxy_balancer` for the last one.
    pub variables: Vec<(&'static str, Bytes)>,
}

impl Attempts {
    /// How long the last member has had it so far.
    pub fn answered_in(&self) -> Option<Duration> {
        self.since.map(|since| since.elapsed())
    }
}

/// Why one attempt has brought no answer.
enum Attempt {
    /// It could not be made.
    Refused(head::Refused),
    /// The member has failed.
    Failed(Seat, Failing),
}

/// One attempt that has failed.
struct Failing {
    cause: Cause,
    exposure: Exposure,
}

impl Cluster {
    /// Sends a request to a member, and to others where that may be done. `progress` tells how far it has come.
    ///
    /// # Errors
    /// There is no answer that the client could be given.
    pub async fn forward(
        self: &Arc<Self>,
        request: Forward<'_>,
        progress: &Mutex<Attempts>,
    ) -> Result<Answer, Failed> {
        let mut tried: Vec<MemberId> = Vec::new();
        let mut failed = None;
        loop {
            let seat = match self.acquire(&request.ask, &tried).await {
                Ok(seat) => seat,
                Err(reason) => return Err(failed.unwrap_or(Failed::Unavailable(reason))),
            };
            {
                let mut attempts = progress.lock().unwrap_or_else(PoisonError::into_inner);
                attempts.number += 1;
                attempts.waited += seat.waited();
                attempts.since = Some(Instant::now());
                attempts.member = Some(Arc::clone(seat.label()));
                attempts.variables = seat.variables();
            }
            let (seat, failing) = match self.attempt(&request, seat).await {
                Ok(answer) => return Ok(answer),
                Err(Attempt::Refused(refused)) => return Err(Failed::Refused(refused)),
                Err(Attempt::Failed(seat, failing)) => (seat, failing),
            };
            if request.body.has_failed() {
                return Err(Failed::Client);
            }
            let Failing { cause, exposure } = failing;
            tried.push(seat.member().id);
            let name = String::from_utf8_lossy(&seat.label().name).into_owned();
            let next = seat.done(Outcome::failed(cause.failure(), exposure));
            let failure = Failed::Member { member: name, cause };
            if next == Next::Finish {
                return Err(failure);
            }
            tracing::warn!(request_id = request.id, "{failure}; the request goes to another");
            failed = Some(failure);
        }
    }

    async fn attempt(self: &Arc<Self>, request: &Forward<'_>, seat: Seat) -> Result<Answer, Attempt> {
        let member = Arc::clone(seat.member());
        let is_idempotent = request.method.is_idempotent();
        let head = || (request.head)(&member.endpoint);
        // Before a connection is taken, which would be lost if there is none.
        let mut first = Some(head().map_err(Attempt::Refused)?);
        let mut idle = member.idle();
        let mut is_again = false;
        loop {
            let mut link = match idle.take() {
                Some(link) => link,
                // Boxed: it is rare, and each request's future would have the room for it.
                None => match Box::pin(member.connect()).await {
                    Ok(link) => link,
                    Err(error) => {
                        let cause = Cause::Connect(error);
                        let exposure = Exposure::NothingSent;
                        return Err(Attempt::Failed(seat, Failing { cause, exposure }));
                    }
                },
            };
            if let Some(patience) = member.endpoint.ping
                && !Box::pin(link.is_alive(patience)).await
            {
                let cause = Cause::Silent(patience);
                let exposure = Exposure::NothingSent;
                return Err(Attempt::Failed(seat, Failing { cause, exposure }));
            }
            let is_fresh = is_again || !link.has_served();
            let mut before = link.written();
            let timeout = member.endpoint.timeout;
            let ping = Ping::of(&member.endpoint, &request.body);
            // Made anew where it has to be sent again: a copy for that would be made for all.
            let head = match first.take() {
                Some(head) => head,
                None => head().map_err(Attempt::Refused)?,
            };
            let switches = head.headers().contains_key(header::UPGRADE);
            let whole = ping.ask(head, &request.body);
            if seat.counts_early() {
                let head = size(&whole);
                seat.count(head, 0);
                before += head;
            }
            let (cause, is_unsent) = match answer(&mut link, whole, &request.body, timeout, &ping).await {
                Ok(response) => match flaw(&response, switches, member.endpoint.response_field) {
                    None => return Ok(begin(response, link, seat, before).await),
                    Some(cause) => (cause, false),
                },
                Err(NoAnswer::Late) => (Cause::TooSlow(timeout), false),
                Err(NoAnswer::Unready(ping)) => (Cause::Unready(ping), true),
                Err(NoAnswer::Broke(Unanswered { error, .. })) if error.is_parse_too_large() => {
                    (Cause::LongHead, false)
                }
                Err(NoAnswer::Broke(Unanswered { error, is_unsent })) => {
                    let is_unsent = (is_unsent || ping.is_unanswered()) && request.body.is_whole();
                    // A member may close a connection while the next request is on its way (RFC 9112 section 9.3.1).
                    let repeatable = is_idempotent && request.body.is_whole();
                    let may_repeat = is_unsent || (repeatable && self.resend() == Resend::Idempotent);
                    if !is_fresh && may_repeat {
                        is_again = true;
                        continue;
                    }
                    (Cause::Broke(error), is_unsent)
                }
            };
            let exposure = match is_unsent {
                true => Exposure::NothingSent,
                false => Exposure::Sent {
                    repeatable: is_idempotent && request.body.is_whole(),
                },
            };
            let failing = Failing { cause, exposure };
            // What was sent in vain.
            seat.count(link.written().saturating_sub(before), 0);
            return Err(Attempt::Failed(seat, failing));
        }
    }
}

/// How long a head is on an HTTP/1.1 connection, without what the connection adds for a body.
fn size(head: &Request<RequestBody>) -> u64 {
    let target = head.uri().path_and_query();
    let target = target.map_or(1, |target| target.as_str().len());
    let line = head.method().as_str().len() + target + "  HTTP/1.1\r\n".len();
    (line + fields(head.headers()) + "\r\n".len()) as u64
}

enum NoAnswer {
    Late,
    Unready(Duration),
    Broke(Unanswered),
}

/// Waits for the answer's head for as long as the member may be silent: while it takes the request, or the client is waited
/// for, it is not.
async fn answer(
    link: &mut Link,
    request: Request<RequestBody>,
    body: &RequestBody,
    timeout: Duration,
    ping: &Ping,
) -> Result<Response<Incoming>, NoAnswer> {
    let written = link.counter();
    let mut sending = std::pin::pin!(link.send(request));
    let mut sent = written.bytes();
    loop {
        let pinged = ping.patience();
        match tokio::time::timeout(pinged.unwrap_or(timeout), &mut sending).await {
            Ok(answered) => return answered.map_err(NoAnswer::Broke),
            Err(_) if pinged.is_some() => match ping.patience() {
                Some(ping) => return Err(NoAnswer::Unready(ping)),
                None => sent = written.bytes(),
            },
            Err(_) if body.is_starved() || (sent != written.bytes() && !body.is_whole()) => {
                sent = written.bytes();
            }
            Err(_) => return Err(NoAnswer::Late),
        }
    }
}

/// Why an answer cannot be passed on.
fn flaw(response: &Response<Incoming>, switches: bool, longest: usize) -> Option<Cause> {
    let is_long =
        |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + 2 + value.len() > longest;
    if response.headers().iter().any(is_long) {
        Some(Cause::LongField(longest))
    } else if response.status() == StatusCode::SWITCHING_PROTOCOLS && !switches {
        Some(Cause::Switched)
    } else {
        None
    }
}

/// The answer has begun.
async fn begin(response: Response<Incoming>, link: Link, mut seat: Seat, before: u64) -> Answer {
    let (head, incoming) = response.into_parts();
    let status = head.status;
    seat.answered(status.as_u16());
    if status == StatusCode::SWITCHING_PROTOCOLS {
        let content = Content::Tunnel(link.into_tunnel().await, seat);
        return Answer { head, content };
    }
    let body = ResponseBody::new(incoming, link, seat, &head, before);
    Answer {
        head,
        content: Content::Body(Box::new(body)),
    }
}
