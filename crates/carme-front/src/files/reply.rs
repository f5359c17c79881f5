//! From an open file to an answer. A small file's content is read at once.

use std::fs::{File, Metadata};
use std::io;
use std::time::SystemTime;

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};

use super::conditions::{Conditions, Validators, Verdict};
use super::ranges::{self, Ranges, Span};
use super::root::{self, Wait};
use crate::file_body::{FileBody, Part};
use crate::local::{LocalAnswer, LocalContent};
use crate::request_id::RequestId;

/// Up to this size a file is read at once.
const SMALL: u64 = 64 * 1024;

/// The answer for this file, which `headers` describes already; validators in them are kept.
pub(crate) fn file(
    conditions: &Conditions,
    is_head: bool,
    mut headers: HeaderMap,
    file: File,
    metadata: &Metadata,
    wait: Wait,
) -> io::Result<LocalAnswer> {
    let len = metadata.len();
    let validators = match Validators::read(&headers) {
        Some(validators) => validators,
        None => {
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let own = Validators::new(len, modified, SystemTime::now());
            own.write(&mut headers);
            own
        }
    };
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let ranges = match conditions.judge(&validators, is_head) {
        Verdict::Failed => return Ok(without_content(StatusCode::PRECONDITION_FAILED, headers)),
        Verdict::NotModified => return Ok(without_content(StatusCode::NOT_MODIFIED, headers)),
        Verdict::Send(None) => Ranges::Whole,
        Verdict::Send(Some(range)) => ranges::parse(range.as_bytes(), len),
    };
    match ranges {
        Ranges::Whole => Ok(LocalAnswer {
            status: StatusCode::OK,
            headers,
            content: content(file, Span { at: 0, len }, is_head, wait)?,
        }),
        Ranges::Unsatisfiable => {
            let mut answer = without_content(StatusCode::RANGE_NOT_SATISFIABLE, headers);
            if let Ok(range) = HeaderValue::try_from(format!("bytes */{len}")) {
                answer.headers.insert(header::CONTENT_RANGE, range);
            }
            Ok(answer)
        }
        Ranges::Parts(spans) => match spans[..] {
            [span] => {
                if let Ok(range) = HeaderValue::try_from(span.content_range(len)) {
                    headers.insert(header::CONTENT_RANGE, range);
                }
                Ok(LocalAnswer {
                    status: StatusCode::PARTIAL_CONTENT,
                    headers,
                    content: content(file, span, is_head, wait)?,
                })
            }
            _ => Ok(several(file, &spans, len, headers)),
        },
    }
}

/// 304 and their like say nothing of a body.
fn without_content(status: StatusCode, mut headers: HeaderMap) -> LocalAnswer {
    for name in [
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::ACCEPT_RANGES,
    ] {
        headers.remove(name);
    }
    LocalAnswer {
        status,
        headers,
        content: LocalContent::Empty,
    }
}

fn content(file: File, span: Span, is_head: bool, wait: Wait) -> io::Result<LocalContent> {
    if span.len == 0 {
        return Ok(LocalContent::Empty);
    }
    if span.len <= SMALL && !is_head {
        let bytes = root::read(&file, span.at, span.len as usize, wait)?;
        // A file that has just become shorter is left to what notices it while the answer is sent.
        if bytes.len() as u64 == span.len {
            return Ok(LocalContent::Whole(bytes));
        }
    }
    Ok(LocalContent::File(FileBody::new(file, span.at, span.len)))
}

/// Several parts, each with a header of its own (RFC 9110 section 14.6).
fn several(file: File, spans: &[Span], len: u64, mut headers: HeaderMap) -> LocalAnswer {
    // No file has it in it: it is drawn at random, once for each process, and counted.
    let boundary = format!("carme-{}", RequestId::next().as_str());
    let kind = headers.remove(header::CONTENT_TYPE);
    let mut parts = Vec::with_capacity(2 * spans.len() + 1);
    for &span in spans {
        let mut text = format!("\r\n--{boundary}\r\n").into_bytes();
        if let Some(kind) = &kind {
            text.extend_from_slice(b"Content-Type: ");
            text.extend_from_slice(kind.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(format!("Content-Range: {}\r\n\r\n", span.content_range(len)).as_bytes());
        parts.push(Part::Text(Bytes::from(text)));
        parts.push(Part::Range {
            at: span.at,
            len: span.len,
        });
    }
    parts.push(Part::Text(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
    if let Ok(kind) = HeaderValue::try_from(format!("multipart/byteranges; boundary={boundary}")) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    LocalAnswer {
        status: StatusCode::PARTIAL_CONTENT,
        headers,
        content: LocalContent::File(FileBody::of_parts(file, parts)),
    }
}
