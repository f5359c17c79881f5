//! Compression of responses on their way to the client.
//!
//! Off unless the configuration asks for it, and then only for what is text, long enough, not compressed already and
//! not private: a page that has a secret and something of the client's in it gives the secret away by its length
//! (BREACH). A request with a cookie or with credentials, or a response that sets a cookie, is taken for such a page.

mod coding;
mod encoder;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};

pub(crate) use coding::{Coding, acceptable};
pub(crate) use encoder::Compressing;

/// What is compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compress {
    /// Shorter bodies are not worth it. A body of unknown length is long enough.
    pub min_size: u64,
    /// Media types, `text/*` for all texts; [`Compress::TYPES`] if empty.
    pub types: Vec<String>,
    /// Also what may hold a secret.
    pub even_private: bool,
}

impl Default for Compress {
    fn default() -> Self {
        Compress {
            min_size: Self::MIN_SIZE,
            types: Vec::new(),
            even_private: false,
        }
    }
}

/// Whether a response may hold what its client is not to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrets {
    /// An application made it: cookies and credentials tell.
    Perhaps,
    /// Nothing of the request is in it, as in a file.
    None,
}

/// The cheapest first: these are made for each response anew.
const PREFERRED: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

impl Compress {
    /// Of a response that fits one packet nothing is gained.
    pub const MIN_SIZE: u64 = 1024;

    /// Types that are text, or as good as text. Server-sent events are not here: each has to come through at once.
    pub const TYPES: [&'static str; 24] = [
        "text/html",
        "text/plain",
        "text/css",
        "text/javascript",
        "text/xml",
        "text/csv",
        "text/markdown",
        "text/calendar",
        "text/vcard",
        "text/vtt",
        "application/javascript",
        "application/x-javascript",
        "application/json",
        "application/manifest+json",
        "application/geo+json",
        "application/ld+json",
        "application/problem+json",
        "application/xml",
        "application/xhtml+xml",
        "application/rss+xml",
        "application/atom+xml",
        "application/wasm",
        "image/svg+xml",
        "font/ttf",
    ];

    fn takes(&self, content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let is = |kind: &str| match kind.strip_suffix('*') {
            Some(start) => {
                essence
                    .get(..start.len())
                    .is_some_and(|begin| begin.eq_ignore_ascii_case(start))
                    && !essence.eq_ignore_ascii_case("text/event-stream")
            }
            None => essence.eq_ignore_ascii_case(kind),
        };
        match self.types.is_empty() {
            true => Self::TYPES.iter().any(|kind| is(kind)),
            false => self.types.iter().any(|kind| is(kind)),
        }
    }

    /// Decides about a response, and makes its header say so. `len` is the body's length where it is known.
    pub(crate) fn begin(
        &self,
        asked: (&Method, &HeaderMap),
        status: StatusCode,
        headers: &mut HeaderMap,
        len: Option<u64>,
        secrets: Secrets,
    ) -> Option<Box<Compressing>> {
        let (method, request) = asked;
        if status == StatusCode::NOT_MODIFIED {
            // It is not known here what became of the body that the client has.
            weaken(headers);
            return None;
        }
        let declared = |headers: &HeaderMap| {
            let text = headers.get(header::CONTENT_LENGTH)?.to_str().ok()?;
            text.parse().ok()
        };
        let len = len.or_else(|| declared(headers));
        let is_suitable = !matches!(status, StatusCode::NO_CONTENT | StatusCode::PARTIAL_CONTENT)
            && !headers.contains_key(header::CONTENT_ENCODING)
            && !headers.contains_key(header::CONTENT_RANGE)
            && !names(headers, &header::CACHE_CONTROL, "no-transform")
            && len.is_none_or(|len| len >= self.min_size)
            && headers
                .get(header::CONTENT_TYPE)
                .is_some_and(|kind| kind.to_str().is_ok_and(|kind| self.takes(kind)));
        if !is_suitable {
            return None;
        }
        // A cache has to know that another client may get something else, even if this one gets the plain body.
        vary(headers);
        let is_private = request.contains_key(header::COOKIE)
            || request.contains_key(header::AUTHORIZATION)
            || headers.contains_key(header::SET_COOKIE);
        if method == Method::HEAD || (is_private && secrets == Secrets::Perhaps && !self.even_private) {
            return None;
        }
        let coding = acceptable(request, PREFERRED).next()?;
        let compressing = Compressing::new(coding).ok()?;
        weaken(headers);
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::ACCEPT_RANGES);
        headers.insert(header::CONTENT_ENCODING, coding.value());
        Some(Box::new(compressing))
    }
}

/// Whether a list field names this, in any case.
fn names(headers: &HeaderMap, field: &header::HeaderName, name: &str) -> bool {
    headers.get_all(field).iter().any(|value| {
        let items = value.as_bytes().split(|&byte| byte == b',');
        items
            .into_iter()
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
    })
}

/// Says that the answer depends on `Accept-Encoding`.
pub(crate) fn vary(headers: &mut HeaderMap) {
    if !names(headers, &header::VARY, "accept-encoding") && !names(headers, &header::VARY, "*") {
        headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

/// The bytes are no longer those that a strong tag stands for.
fn weaken(headers: &mut HeaderMap) {
    if let Some(tag) = headers.get(header::ETAG)
        && !tag.as_bytes().starts_with(b"W/")
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        headers.insert(header::ETAG, weak);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in text.split('|').filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").expect(line);
            headers.append(
                header::HeaderName::from_bytes(name.as_bytes()).expect(name),
                HeaderValue::from_str(value).expect(value),
            );
        }
        headers
    }

    /// The coding that a response gets, and whether it says that it varies.
    fn outcome(request: &str, response: &str, len: Option<u64>, secrets: Secrets) -> (Option<String>, bool) {
        let (request, mut headers) = (map(request), map(response));
        let asked = (&Method::GET, &request);
        let begun = Compress::default().begin(asked, StatusCode::OK, &mut headers, len, secrets);
        let coding = headers
            .get(header::CONTENT_ENCODING)
            .map(|value| value.to_str().expect("text").to_owned());
        assert_eq!(
            begun.is_some(),
            coding.is_some() && !response.contains("content-encoding")
        );
        (coding, headers.contains_key(header::VARY))
    }

    #[test]
    fn what_is_compressed_and_what_is_not() {
        const HTML: &str = "content-type: text/html; charset=utf-8";
        let gzip = |response: &str| outcome("accept-encoding: gzip", response, Some(5000), Secrets::Perhaps);
        assert_eq!(gzip(HTML), (Some("gzip".into()), true));
        assert_eq!(
            gzip("content-type: APPLICATION/JSON"),
            (Some("gzip".into()), true)
        );
        for unsuitable in [
            "content-type: image/png",
            "content-type: text/event-stream",
            "x-a: no type",
            "content-type: text/html|cache-control: public, No-Transform",
            "content-type: text/html|content-range: bytes 0-1/2",
        ] {
            assert_eq!(gzip(unsuitable), (None, false), "{unsuitable}");
        }
        assert_eq!(
            gzip("content-type: text/html|content-encoding: br"),
            (Some("br".into()), false)
        );
        assert_eq!(
            outcome("accept-encoding: gzip", HTML, Some(1023), Secrets::Perhaps),
            (None, false)
        );
        assert_eq!(
            outcome("accept-encoding: gzip", HTML, None, Secrets::Perhaps).0,
            Some("gzip".into())
        );
        assert_eq!(outcome("", HTML, Some(5000), Secrets::Perhaps), (None, true));
        assert_eq!(
            outcome("accept-encoding: gzip, zstd, br", HTML, None, Secrets::Perhaps).0,
            Some("zstd".into())
        );
        assert_eq!(
            outcome("accept-encoding: gzip, zstd;q=0.1", HTML, None, Secrets::Perhaps).0,
            Some("gzip".into())
        );
    }

    #[test]
    fn what_may_hold_a_secret_is_not() {
        const HTML: &str = "content-type: text/html";
        let accepts = |more: &str| format!("accept-encoding: br|{more}");
        for private in ["cookie: a=b", "authorization: Basic eA=="] {
            assert_eq!(
                outcome(&accepts(private), HTML, None, Secrets::Perhaps),
                (None, true),
                "{private}"
            );
            assert_eq!(
                outcome(&accepts(private), HTML, None, Secrets::None).0,
                Some("br".into()),
                "a file has none"
            );
        }
        let sets = "content-type: text/html|set-cookie: a=b";
        assert_eq!(outcome(&accepts(""), sets, None, Secrets::Perhaps), (None, true));
        let even_private = Compress {
            even_private: true,
            ..Compress::default()
        };
        let (request, mut headers) = (map(&accepts("cookie: a=b")), map(sets));
        let asked = (&Method::GET, &request);
        assert!(
            even_private
                .begin(asked, StatusCode::OK, &mut headers, None, Secrets::Perhaps)
                .is_some()
        );
    }

    #[test]
    fn the_header_says_what_became_of_the_body() {
        let request = map("accept-encoding: gzip");
        let mut headers =
            map("content-type: text/css|etag: \"a\"|content-length: 5000|accept-ranges: bytes|vary: Cookie");
        let asked = (&Method::GET, &request);
        let begun = Compress::default().begin(asked, StatusCode::OK, &mut headers, None, Secrets::Perhaps);
        assert!(begun.is_some());
        let expected = map(
            "content-type: text/css|etag: W/\"a\"|vary: Cookie|vary: Accept-Encoding|content-encoding: gzip",
        );
        assert_eq!(headers, expected);
        let mut headers = map("etag: \"a\"");
        Compress::default().begin(
            asked,
            StatusCode::NOT_MODIFIED,
            &mut headers,
            None,
            Secrets::Perhaps,
        );
        assert_eq!(headers, map("etag: W/\"a\""));
    }

    #[test]
    fn types_can_be_named_with_a_star() {
        let some = Compress {
            types: vec!["text/*".into(), "application/x-own".into()],
            ..Compress::default()
        };
        for (kind, takes) in [
            ("text/html", true),
            ("Text/anything; charset=x", true),
            ("text/event-stream", false),
            ("application/x-own", true),
            ("application/json", false),
            ("te", false),
        ] {
            assert_eq!(some.takes(kind), takes, "{kind}");
        }
    }
}
