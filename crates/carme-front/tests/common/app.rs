//! The application: each path is an order.

use std::collections::VecDeque;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use carme_farm::dispatch::{Aborted, Account, Answer, AnswerBody, Failure, Identity, RequestBody};
use carme_front::{Application, Exchange};
use carme_ring::frame::{RequestHead, Scheme};
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// What happened to the application's requests.
#[derive(Default)]
pub struct Events {
    pub dispatched: AtomicUsize,
    pub withdrawn: AtomicUsize,
    seen: Mutex<Vec<Seen>>,
    held: Mutex<Vec<Waker>>,
    open: Mutex<bool>,
}

/// A request as the application got it.
#[derive(Debug)]
pub struct Seen {
    /// Method, target, and the body in quotes; of a long one its length.
    pub request: Vec<u8>,
    /// `name: value`
    pub fields: Vec<Vec<u8>>,
    /// The route of the worker that its client is bound to.
    pub route: Option<Vec<u8>>,
    /// `NAME=value`, in the order in which a worker sets them.
    pub variables: Vec<String>,
    pub scheme: Scheme,
}

impl Seen {
    fn new(head: &RequestHead<'_>, headers: &HeaderMap, body: &RequestBody, route: Option<&[u8]>) -> Self {
        let mut request = [head.method, head.target].join(&b' ');
        match body {
            RequestBody::Empty => {}
            RequestBody::Memory(bytes) if bytes.len() < 1000 => {
                request.extend([b" \"", &bytes[..], b"\""].concat());
            }
            RequestBody::Memory(bytes) => request.extend(format!(" {} bytes", bytes.len()).bytes()),
            RequestBody::File { len, .. } => request.extend(format!(" {len} bytes").bytes()),
        }
        let field = |(name, value): (&header::HeaderName, &HeaderValue)| {
            let mut field = format!("{name}:").into_bytes();
            if !value.is_empty() {
                field.push(b' ');
                field.extend(value.as_bytes());
            }
            field
        };
        let variable = |(name, value): (&[u8], &[u8])| {
            let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
            format!("{}={}", text(name), text(value))
        };
        Seen {
            request,
            variables: head.variables().map(|pair| variable(pair.unwrap())).collect(),
            scheme: head.scheme,
            fields: headers.iter().map(field).collect(),
            route: route.map(<[u8]>::to_vec),
        }
    }
}

impl Events {
    /// What the application got since the last call.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    /// Lets every request to `/held` go on.
    pub fn release(&self) {
        *self.open.lock().unwrap() = true;
        self.held.lock().unwrap().drain(..).for_each(Waker::wake);
    }

    pub fn dispatched(&self) -> usize {
        self.dispatched.load(Ordering::SeqCst)
    }

    pub fn withdrawn(&self) -> usize {
        self.withdrawn.load(Ordering::SeqCst)
    }
}

pub struct Fake {
    events: Arc<Events>,
}

impl Fake {
    pub fn new(events: &Arc<Events>) -> Self {
        Fake {
            events: Arc::clone(events),
        }
    }
}

pub struct FakeExchange {
    events: Arc<Events>,
    held: bool,
    /// The last piece of a stream comes when it is released.
    held_last: bool,
    endless: bool,
    answer: Option<Result<Answer, Failure>>,
    chunks: VecDeque<Result<Bytes, Aborted>>,
    over: bool,
}

impl Application for Fake {
    type Exchange = FakeExchange;

    fn number(&self) -> Option<u16> {
        Some(0)
    }

    fn max_inline_body(&self, head: usize) -> usize {
        16 * 1024 - head
    }

    fn dispatch(
        &self,
        head: RequestHead<'_>,
        headers: &HeaderMap,
        body: RequestBody,
        route: Option<&[u8]>,
    ) -> FakeExchange {
        self.events.dispatched.fetch_add(1, Ordering::SeqCst);
        let seen = Seen::new(&head, headers, &body, route);
        self.events.seen.lock().unwrap().push(seen);
        let mut exchange = FakeExchange {
            events: Arc::clone(&self.events),
            held: false,
            held_last: false,
            endless: false,
            answer: None,
            chunks: VecDeque::new(),
            over: false,
        };
        exchange.obey(&head, headers, body);
        exchange
    }
}

fn whole(
    status: u16,
    headers: &[(header::HeaderName, &str)],
    body: impl Into<Bytes>,
) -> Result<Answer, Failure> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    Ok(Answer {
        status: StatusCode::from_u16(status).unwrap(),
        reason: None,
        headers: map,
        body: AnswerBody::Whole(body.into()),
    })
}

impl FakeExchange {
    fn obey(&mut self, head: &RequestHead<'_>, headers: &HeaderMap, body: RequestBody) {
        let path = str::from_utf8(head.path).unwrap_or("").to_owned();
        let length = |length: usize| (header::CONTENT_LENGTH, length.to_string());
        let orders: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        self.answer = Some(match orders[..] {
            ["dump", ..] => {
                let dump = dump(head, headers, body);
                whole(200, &[], dump)
            }
            ["client"] => whole(200, &[], client(head, headers)),
            ["echo"] => whole(200, &[], bytes(body)),
            ["digest"] => {
                let kind = match &body {
                    RequestBody::Empty => "empty",
                    RequestBody::Memory(_) => "memory",
                    RequestBody::File { .. } => "file",
                };
                let bytes = bytes(body);
                let sum = bytes.iter().fold(0_u64, |sum, byte| {
                    sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
                });
                whole(200, &[], format!("{kind} {} {sum}", bytes.len()))
            }
            ["status", status] => whole(status.parse().unwrap(), &[], "body"),
            ["reason"] => whole(200, &[], "").map(|answer| Answer {
                reason: Some("Fine".into()),
                ..answer
            }),
            // /answer/NAME=VALUE/…/BODY-LENGTH, percent-encoded where it must be.
            ["answer", ref fields @ .., len] => {
                let mut answer = whole(200, &[], "text ".repeat(len.parse::<usize>().unwrap() / 5));
                if let Ok(answer) = &mut answer {
                    for field in fields {
                        let (name, value) = field.split_once('=').unwrap();
                        let value = HeaderValue::from_str(&value.replace('|', "/")).unwrap();
                        answer
                            .headers
                            .append(name.parse::<header::HeaderName>().unwrap(), value);
                    }
                }
                answer
            }
            ["declares", declared] => whole(200, &[(header::CONTENT_LENGTH, declared)], "12345"),
            ["hop"] => whole(
                200,
                &[
                    (header::CONNECTION, "close"),
                    (header::TRANSFER_ENCODING, "chunked"),
                    (header::UPGRADE, "x"),
                    (header::SERVER, "App"),
                    (header::HeaderName::from_static("x-request-id"), "mine"),
                    (header::SET_COOKIE, "a=1"),
                    (header::SET_COOKIE, "b=2"),
                ],
                "x",
            ),
            ["large", size] => whole(200, &[], vec![b'x'; size.parse().unwrap()]),
            ["stream", ref pieces @ ..] => {
                self.chunks = pieces
                    .iter()
                    .map(|piece| Ok(Bytes::copy_from_slice(piece.as_bytes())))
                    .collect();
                whole(200, &[], "").map(|answer| Answer {
                    body: AnswerBody::Stream,
                    ..answer
                })
            }
            ["stream-declared", declared, ref pieces @ ..] => {
                self.chunks = pieces
                    .iter()
                    .map(|piece| Ok(Bytes::copy_from_slice(piece.as_bytes())))
                    .collect();
                whole(200, &[(header::CONTENT_LENGTH, declared)], "").map(|answer| Answer {
                    body: AnswerBody::Stream,
                    ..answer
                })
            }
            ["typed-stream" | "typed-held-stream", ref pieces @ ..] => {
                self.held_last = orders[0] == "typed-held-stream";
                self.chunks = pieces
                    .iter()
                    .map(|piece| Ok(Bytes::copy_from_slice(piece.as_bytes())))
                    .collect();
                whole(200, &[(header::CONTENT_TYPE, "text/html")], "").map(|answer| Answer {
                    body: AnswerBody::Stream,
                    ..answer
                })
            }
            ["typed-aborts"] => {
                self.chunks = [Ok("begun".into()), Err(Aborted("the app raised".into()))].into();
                whole(200, &[(header::CONTENT_TYPE, "text/html")], "").map(|answer| Answer {
                    body: AnswerBody::Stream,
                    ..answer
                })
            }
            ["aborts"] => {
                self.chunks = [Ok("begun".into()), Err(Aborted("the app raised".into()))].into();
                whole(200, &[], "").map(|answer| Answer {
                    body: AnswerBody::Stream,
                    ..answer
                })
            }
            ["endless"] => {
                self.endless = true;
                whole(200, &[], "").map(|answer| Answer {
                    body: AnswerBody::Stream,
                    ..answer
                })
            }
            ["file", size, offset, len] => {
                let mut file = tempfile::tempfile().unwrap();
                let content: Vec<u8> = (0..size.parse::<u32>().unwrap()).map(|at| at as u8).collect();
                file.write_all(&content).unwrap();
                let (offset, len) = (offset.parse().unwrap(), len.parse().unwrap());
                let (name, value) = length(len as usize);
                whole(200, &[(name, &value)], "").map(|answer| Answer {
                    body: AnswerBody::File { file, offset, len },
                    ..answer
                })
            }
            ["held"] => {
                self.held = true;
                whole(200, &[], "released")
            }
            ["fails", how] => Err(match how {
                "full" => Failure::QueueFull {
                    longest: Duration::from_millis(12_300),
                },
                "late" => Failure::QueueTimeout,
                "died" => Failure::WorkerDied,
                "hangs" => Failure::TimedOut(Duration::from_secs(60)),
                "raised" => Failure::AppRaised("ValueError: secret".into()),
                "invalid" => Failure::InvalidResponse("secret".into()),
                "large" => Failure::TooLarge,
                _ => Failure::Stopping,
            }),
            _ => whole(200, &[(header::CONTENT_TYPE, "text/plain")], "hello"),
        });
    }
}

fn bytes(body: RequestBody) -> Vec<u8> {
    match body {
        RequestBody::Empty => Vec::new(),
        RequestBody::Memory(bytes) => bytes.to_vec(),
        RequestBody::File { mut file, len } => {
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(0)).unwrap();
            file.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, len);
            bytes
        }
    }
}

/// Who asks, and for what, as the application sees it.
fn client(head: &RequestHead<'_>, headers: &HeaderMap) -> String {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let mut lines: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", text(value.as_bytes())))
        .collect();
    lines.sort();
    let (scheme, name, port) = (head.scheme, text(head.server_name), head.server_port);
    let asks = format!(
        "{} {} asks {scheme:?} {name} {port}",
        text(head.remote_addr),
        head.remote_port
    );
    lines.insert(0, asks);
    lines.insert(0, text(head.request_id));
    lines.join("\n")
}

fn dump(head: &RequestHead<'_>, headers: &HeaderMap, body: RequestBody) -> String {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let mut lines = vec![
        format!("method={}", text(head.method)),
        format!("target={}", text(head.target)),
        format!("script={}", text(head.script_name)),
        format!("path={}", text(head.path)),
        format!("query={}", text(head.query)),
        format!("server={}", text(head.server_name)),
        format!("remote={}", text(head.remote_addr)),
        format!("version={:?}", head.version),
        format!("body={}", text(&bytes(body))),
    ];
    if head.scheme == Scheme::Https {
        lines.push("scheme=https".to_owned());
    }
    lines.extend(head.variables().map(|variable| {
        let (name, value) = variable.expect("an encoded variable");
        format!("{} = {}", text(name), text(value))
    }));
    lines.extend(
        headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", text(value.as_bytes()))),
    );
    lines.join("\n")
}

impl Exchange for FakeExchange {
    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Failure>> {
        if self.held && !*self.events.open.lock().unwrap() {
            self.events.held.lock().unwrap().push(cx.waker().clone());
            return Poll::Pending;
        }
        let answer = self.answer.take().expect("polled once");
        self.over = !matches!(
            &answer,
            Ok(Answer {
                body: AnswerBody::Stream,
                ..
            })
        );
        Poll::Ready(answer)
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Aborted>>> {
        if self.held_last && self.chunks.len() == 1 && !*self.events.open.lock().unwrap() {
            self.events.held.lock().unwrap().push(cx.waker().clone());
            return Poll::Pending;
        }
        if self.endless {
            return Poll::Ready(Some(Ok(Bytes::from_static(&[b'e'; 64 * 1024]))));
        }
        let chunk = self.chunks.pop_front();
        self.over |= chunk.is_none() || matches!(chunk, Some(Err(_)));
        Poll::Ready(chunk)
    }

    fn account(&self) -> Account {
        Account {
            worker: Some(Identity {
                route: "fake_1".into(),
                pid: 4711,
                seat: 0,
            }),
            queued: Duration::from_micros(10),
            worked: Duration::from_micros(20),
        }
    }
}

impl Drop for FakeExchange {
    fn drop(&mut self) {
        if !self.over {
            self.events.withdrawn.fetch_add(1, Ordering::SeqCst);
        }
    }
}
