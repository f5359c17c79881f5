//! An app as the front sees it: the farm's, and in development with what browsers need to reload.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use carme_farm::dispatch::{self, Aborted, Account, Answer, AnswerBody, App, Failure, RequestBody};
use carme_front::{Application, Exchange};
use carme_ring::frame::RequestHead;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::live::Live;
use super::page;

/// An app; `live` is there in development alone.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) app: App,
    pub(crate) live: Option<Arc<Live>>,
}

/// A request on its way.
pub(crate) enum ServedExchange {
    Farm(dispatch::Exchange),
    Tagged(Box<Tagged>),
    /// An answer of development itself.
    Own(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

/// A request whose answer gets the script if it is a page.
pub(crate) struct Tagged {
    exchange: dispatch::Exchange,
    /// Until the answer's head is there.
    tag: Bytes,
    /// What follows the answer's stream.
    tail: Option<Bytes>,
}

impl Application for Served {
    type Exchange = ServedExchange;

    fn number(&self) -> Option<u16> {
        Some(self.app.number())
    }

    fn max_inline_body(&self, head: usize) -> usize {
        self.app.max_inline_body(head)
    }

    fn dispatch(
        &self,
        head: RequestHead<'_>,
        headers: &HeaderMap,
        body: RequestBody,
        route: Option<&[u8]>,
    ) -> ServedExchange {
        let Some(live) = &self.live else {
            return ServedExchange::Farm(self.app.dispatch(head, headers, body, route));
        };
        if let Some(own) = own_answer(live, &head, headers) {
            return ServedExchange::Own(own);
        }
        let tag = wants_page(head.method, headers)
            .then(|| Bytes::from(page::tag(head.script_name, Some(&live.version()))));
        let exchange = self.app.dispatch(head, headers, body, route);
        match tag {
            Some(tag) => ServedExchange::Tagged(Box::new(Tagged {
                exchange,
                tag,
                tail: None,
            })),
            None => ServedExchange::Farm(exchange),
        }
    }
}

/// What is answered without the app: the script, its questions, and everything while the source is broken.
fn own_answer(
    live: &Arc<Live>,
    head: &RequestHead<'_>,
    headers: &HeaderMap,
) -> Option<Pin<Box<dyn Future<Output = Answer> + Send>>> {
    if head.path == page::SCRIPT_PATH {
        let script = answer(StatusCode::OK, "text/javascript; charset=utf-8", page::SCRIPT);
        return Some(Box::pin(std::future::ready(script)));
    }
    if head.path == page::CHANGES_PATH {
        let since = head.query.strip_prefix(b"since=").unwrap_or_default();
        let since = String::from_utf8_lossy(since).into_owned();
        let live = Arc::clone(live);
        return Some(Box::pin(async move {
            match live.other_than(&since).await {
                Some(now) => answer(StatusCode::OK, "text/plain; charset=utf-8", now),
                None => answer(StatusCode::NO_CONTENT, "text/plain; charset=utf-8", ""),
            }
        }));
    }
    let broken = live.broken()?;
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    let is_html = |value: &HeaderValue| value.as_bytes().windows(9).any(|part| part == b"text/html");
    let broken = match headers.get_all(header::ACCEPT).iter().any(is_html) {
        true => {
            let tag = page::tag(head.script_name, Some(&live.version()));
            answer(status, "text/html; charset=utf-8", page::broken(&broken, &tag))
        }
        false => answer(status, "text/plain; charset=utf-8", page::broken_text(&broken)),
    };
    Some(Box::pin(std::future::ready(broken)))
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let (parts, body) = Response::new(body.into()).into_parts();
    let mut headers = parts.headers;
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Answer {
        status,
        reason: None,
        headers,
        body: AnswerBody::Whole(body),
    }
}

/// Whether a browser wants to show what it asks for as a page of its own, as far as that can be told.
fn wants_page(method: &[u8], headers: &HeaderMap) -> bool {
    let is_for_script = headers.contains_key("x-requested-with") || headers.contains_key("hx-request");
    let is_document = headers
        .get("sec-fetch-dest")
        .is_none_or(|kind| matches!(kind.as_bytes(), b"document" | b"iframe" | b"frame"));
    method != b"HEAD" && is_document && !is_for_script
}

/// Fields about a body that is another now.
static ABOUT_THE_BODY: [HeaderName; 6] = [
    header::ETAG,
    header::LAST_MODIFIED,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// Whether the script can be added to this answer.
fn is_page(answer: &Answer) -> bool {
    let headers = &answer.headers;
    let status = answer.status;
    let has_page = status == StatusCode::OK || status.is_client_error() || status.is_server_error();
    let is_html = headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes()
            .get(..9)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"text/html"))
    });
    // What is encoded has no end to add to, and a file takes the body's place.
    let other = [
        "content-encoding",
        "content-disposition",
        "x-sendfile",
        "x-accel-redirect",
    ];
    has_page && is_html && !other.iter().any(|name| headers.contains_key(*name))
}

impl Tagged {
    /// The answer with the script at its end: browsers run what follows the end of a document, too.
    fn tagged(&mut self, mut answer: Answer) -> Answer {
        if !is_page(&answer) {
            return answer;
        }
        let declared = match answer.headers.get(header::CONTENT_LENGTH) {
            None => None,
            Some(value) => match value.to_str().ok().and_then(|text| text.parse::<u64>().ok()) {
                Some(length) => Some(length),
                // The front refuses it.
                None => return answer,
            },
        };
        let tag = std::mem::take(&mut self.tag);
        let added = tag.len() as u64;
        answer.body = match answer.body {
            AnswerBody::Whole(bytes) if !bytes.is_empty() => {
                AnswerBody::Whole([&bytes[..], &tag[..]].concat().into())
            }
            AnswerBody::Stream => {
                self.tail = Some(tag);
                AnswerBody::Stream
            }
            other => {
                answer.body = other;
                return answer;
            }
        };
        if let Some(length) = declared {
            answer
                .headers
                .insert(header::CONTENT_LENGTH, HeaderValue::from(length + added));
        }
        for name in &ABOUT_THE_BODY {
            answer.headers.remove(name);
        }
        // A page that is kept would be shown again after a change.
        answer
            .headers
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    }
}

impl Exchange for ServedExchange {
    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Failure>> {
        match self {
            ServedExchange::Farm(exchange) => exchange.poll_response(cx),
            ServedExchange::Tagged(tagged) => {
                let answer = ready!(tagged.exchange.poll_response(cx));
                Poll::Ready(answer.map(|answer| tagged.tagged(answer)))
            }
            ServedExchange::Own(own) => own.as_mut().poll(cx).map(Ok),
        }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Aborted>>> {
        match self {
            ServedExchange::Farm(exchange) => exchange.poll_chunk(cx),
            ServedExchange::Tagged(tagged) => match ready!(tagged.exchange.poll_chunk(cx)) {
                None => Poll::Ready(tagged.tail.take().map(Ok)),
                // What breaks off gets no end.
                chunk => Poll::Ready(chunk),
            },
            ServedExchange::Own(_) => Poll::Ready(None),
        }
    }

    fn account(&self) -> Account {
        match self {
            ServedExchange::Farm(exchange) => exchange.account(),
            ServedExchange::Tagged(tagged) => tagged.exchange.account(),
            ServedExchange::Own(_) => Account::default(),
        }
    }
}
