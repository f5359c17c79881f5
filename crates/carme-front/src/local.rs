//! Answers that need no application: redirects, fixed texts, and files by way of [`crate::files`].

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{StatusCode, Uri};

use crate::fault::Fault;
use crate::file_body::FileBody;
use crate::location;

/// A whole answer; HEAD has not been looked at yet.
#[derive(Debug)]
pub(crate) struct LocalAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) content: LocalContent,
}

#[derive(Debug)]
pub(crate) enum LocalContent {
    Empty,
    Whole(Bytes),
    File(FileBody),
}

impl LocalContent {
    pub(crate) fn len(&self) -> u64 {
        match self {
            LocalContent::Empty => 0,
            LocalContent::Whole(bytes) => bytes.len() as u64,
            LocalContent::File(file) => file.left(),
        }
    }
}

/// The same answer to every request.
#[derive(Debug, Clone)]
pub struct Fixed {
    /// Its status.
    pub status: StatusCode,
    /// Its `Content-Type`; only with a body.
    pub content_type: HeaderValue,
    /// Its body.
    pub body: Bytes,
}

impl Fixed {
    pub(crate) fn answer(&self) -> LocalAnswer {
        let mut headers = HeaderMap::new();
        if !self.body.is_empty() {
            headers.insert(header::CONTENT_TYPE, self.content_type.clone());
        }
        LocalAnswer {
            status: self.status,
            headers,
            content: match self.body.is_empty() {
                true => LocalContent::Empty,
                false => LocalContent::Whole(self.body.clone()),
            },
        }
    }
}

/// Where clients are sent. `{host}` is the host that was asked for, `{uri}` path and query as they came, `{path}` what
/// of the path lies below the location; nothing else is appended.
#[derive(Debug, Clone)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
    /// The pattern.
    pub target: String,
}

impl Redirect {
    /// The placeholders that a target may have.
    pub const PLACEHOLDERS: [&'static str; 3] = ["{host}", "{uri}", "{path}"];

    pub(crate) fn answer(&self, host: &[u8], uri: &Uri, path_info: &[u8]) -> Result<LocalAnswer, Fault> {
        let mut target = Vec::with_capacity(self.target.len() + 64);
        let mut rest = self.target.as_str();
        while let Some((before, placeholder)) = rest.find('{').map(|at| rest.split_at(at)) {
            target.extend_from_slice(before.as_bytes());
            let [host_name, uri_name, path_name] = Self::PLACEHOLDERS;
            rest = if let Some(after) = placeholder.strip_prefix(host_name) {
                target.extend_from_slice(host);
                after
            } else if let Some(after) = placeholder.strip_prefix(uri_name) {
                let asked = uri.path_and_query().map_or("/", |target| target.as_str());
                target.extend_from_slice(asked.as_bytes());
                after
            } else if let Some(after) = placeholder.strip_prefix(path_name) {
                target.extend_from_slice(location::encode(path_info).as_bytes());
                after
            } else {
                target.push(b'{');
                &placeholder[1..]
            };
        }
        target.extend_from_slice(rest.as_bytes());
        // `/{path}` must not become `//another.host/`.
        if target.starts_with(b"/") {
            let slashes = target.iter().take_while(|&&byte| byte == b'/').count();
            target.drain(1..slashes);
        }
        let value = HeaderValue::from_bytes(&target).map_err(|_| {
            Fault::new(
                StatusCode::BAD_REQUEST,
                "the request's host or target cannot be part of a redirect",
            )
        })?;
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, value);
        Ok(LocalAnswer {
            status: self.status,
            headers,
            content: LocalContent::Empty,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_fill_their_placeholders_and_never_leave_for_another_host() {
        for (target, path_info, expected) in [
            ("https://a.example/", "/x", "https://a.example/"),
            ("https://{host}{uri}", "/x", "https://asked:8080/old//x%20y?q=1"),
            ("https://a.example{path}", "/x y", "https://a.example/x%20y"),
            ("/new{path}", "", "/new"),
            ("/{path}", "//evil.example/", "/evil.example/"),
            ("/new/{path}?from={uri}", "/x", "/new//x?from=/old//x%20y?q=1"),
            ("/{other}/{", "/x", "/{other}/{"),
            ("/a{path}", "/\\evil\r\n", "/a/%5Cevil%0D%0A"),
        ] {
            let redirect = Redirect {
                status: StatusCode::FOUND,
                target: target.to_owned(),
            };
            let uri = Uri::from_static("/old//x%20y?q=1");
            let answer = redirect
                .answer(b"asked:8080", &uri, path_info.as_bytes())
                .expect(target);
            assert_eq!(
                answer.headers[header::LOCATION].to_str().ok(),
                Some(expected),
                "{target}"
            );
        }
    }
}
