//! How a request's head and a response's head are written down between front and worker: lengths, then bytes.
//!
//! Decoding never panics and never reads beyond what it was given: either side may be lying.

/// The bytes are not an encoded head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an encoded head: {0}")]
pub struct Malformed(pub &'static str);

/// What the client spoke to the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

/// The version of the request (RFC 9112).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// Where the request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// There is none.
    None,
    /// It comes with the head, after it.
    Inline,
    /// It is in a file of so many bytes, which the front gives on demand.
    File(u64),
}

/// A request as the front has understood it, in fields; nobody parses it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead<'a> {
    /// The request's version.
    pub version: Version,
    /// `wsgi.url_scheme`.
    pub scheme: Scheme,
    /// Where the body is.
    pub body: BodyKind,
    /// The port that the client reached, as far as it is known.
    pub server_port: u16,
    /// The client's port; 0 when there is none (a Unix socket).
    pub remote_port: u16,
    /// The method, as sent.
    pub method: &'a [u8],
    /// The request target, as sent.
    pub target: &'a [u8],
    /// The part of the path that leads to the app, decoded.
    pub script_name: &'a [u8],
    /// The rest of the path, decoded.
    pub path: &'a [u8],
    /// What follows the question mark, as sent.
    pub query: &'a [u8],
    /// The host that the client meant, or the one it reached.
    pub server_name: &'a [u8],
    /// The client's address.
    pub remote_addr: &'a [u8],
    /// The name of this request in all logs.
    pub request_id: &'a [u8],
    /// More variables for the app's environment, encoded; see [`Variables`].
    pub variables: &'a [u8],
    /// Encoded header fields; see [`RequestHead::headers`].
    fields: &'a [u8],
}

impl<'a> RequestHead<'a> {
    /// A head with everything empty, to fill in.
    pub fn new(version: Version, scheme: Scheme) -> Self {
        Self {
            version,
            scheme,
            body: BodyKind::None,
            server_port: 0,
            remote_port: 0,
            method: b"",
            target: b"",
            script_name: b"",
            path: b"",
            query: b"",
            server_name: b"",
            remote_addr: b"",
            request_id: b"",
            variables: b"",
            fields: b"",
        }
    }

    fn texts(&self) -> [&'a [u8]; 9] {
        [
            self.method,
            self.target,
            self.script_name,
            self.path,
            self.query,
            self.server_name,
            self.remote_addr,
            self.request_id,
            self.variables,
        ]
    }

    /// Appends the head with these header fields (name in lower case, value) to `out`.
    pub fn encode<'h>(&self, headers: impl Iterator<Item = (&'h [u8], &'h [u8])>, out: &mut Vec<u8>) {
        let version = matches!(self.version, Version::Http11) as u8;
        let scheme = matches!(self.scheme, Scheme::Https) as u8;
        let (kind, len) = match self.body {
            BodyKind::None => (0, 0),
            BodyKind::Inline => (1, 0),
            BodyKind::File(len) => (2, len),
        };
        let mut fixed = [0; 16];
        fixed[..4].copy_from_slice(&[version, scheme, kind, 0]);
        fixed[4..6].copy_from_slice(&self.server_port.to_le_bytes());
        fixed[6..8].copy_from_slice(&self.remote_port.to_le_bytes());
        fixed[8..].copy_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&fixed);
        for text in self.texts() {
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        }
        for text in self.texts() {
            out.extend_from_slice(text);
        }
        encode_fields(headers, out);
    }

    /// Reads a head back.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut from = Reader(bytes);
        let fixed = from.array::<16>()?;
        let len = u64::from_le_bytes(fixed[8..].try_into().expect("eight bytes"));
        let mut lengths = [0; 9];
        for length in &mut lengths {
            *length = u32::from_le_bytes(from.array()?) as usize;
        }
        let mut texts = [&b""[..]; 9];
        for (text, length) in texts.iter_mut().zip(lengths) {
            *text = from.bytes(length)?;
        }
        let [
            method,
            target,
            script_name,
            path,
            query,
            server_name,
            remote_addr,
            request_id,
            variables,
        ] = texts;
        Ok(Self {
            version: if fixed[0] == 0 {
                Version::Http10
            } else {
                Version::Http11
            },
            scheme: if fixed[1] == 0 {
                Scheme::Http
            } else {
                Scheme::Https
            },
            body: match fixed[2] {
                0 => BodyKind::None,
                1 => BodyKind::Inline,
                2 => BodyKind::File(len),
                _ => return Err(Malformed("the body is of an unknown kind")),
            },
            server_port: u16::from_le_bytes([fixed[4], fixed[5]]),
            remote_port: u16::from_le_bytes([fixed[6], fixed[7]]),
            method,
            target,
            script_name,
            path,
            query,
            server_name,
            remote_addr,
            request_id,
            variables,
            fields: from.0,
        })
    }

    /// The header fields, in the order in which they came; names are in lower case.
    pub fn headers(&self) -> Fields<'a> {
        Fields(Reader(self.fields))
    }

    /// The variables, as name and value.
    pub fn variables(&self) -> Fields<'a> {
        Fields(Reader(self.variables))
    }
}

/// Variables for the app's environment beyond the head's own fields, encoded once for as many requests as they hold for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables(Vec<u8>);

impl Variables {
    /// One more, under its name in the environment.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        encode_fields(std::iter::once((name, value)), &mut self.0);
    }

    /// Bytes that one takes.
    pub fn len_of(name: &[u8], value: &[u8]) -> usize {
        8 + name.len() + value.len()
    }

    /// As [`RequestHead::variables`] takes them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A response as the app gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead<'a> {
    /// The status code, 100 to 999.
    pub status: u16,
    /// The reason phrase; empty where the app gave none.
    pub reason: &'a [u8],
    fields: &'a [u8],
}

impl<'a> ResponseHead<'a> {
    /// Appends a head with these header fields to `out`.
    pub fn encode<'h>(
        status: u16,
        reason: &[u8],
        headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        out.extend_from_slice(&status.to_le_bytes());
        out.extend_from_slice(&(reason.len() as u16).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&reason[..reason.len().min(u16::MAX.into())]);
        let fields = out.len();
        encode_fields(headers, out);
        let len = ((out.len() - fields) as u32).to_le_bytes();
        out[start + 4..start + 8].copy_from_slice(&len);
    }

    /// Reads a head back, and where in `bytes` the body begins.
    pub fn decode(bytes: &'a [u8]) -> Result<(Self, usize), Malformed> {
        let mut from = Reader(bytes);
        let status = u16::from_le_bytes(from.array()?);
        let reason_len = u16::from_le_bytes(from.array()?);
        let fields_len = u32::from_le_bytes(from.array()?);
        let reason = from.bytes(reason_len.into())?;
        let fields = from.bytes(fields_len as usize)?;
        Ok((
            Self {
                status,
                reason,
                fields,
            },
            bytes.len() - from.0.len(),
        ))
    }

    /// The header fields, in the app's order.
    pub fn headers(&self) -> Fields<'a> {
        Fields(Reader(self.fields))
    }
}

fn encode_fields<'h>(headers: impl Iterator<Item = (&'h [u8], &'h [u8])>, out: &mut Vec<u8>) {
    for (name, value) in headers {
        out.extend_from_slice(&(name.len() as u32).to_le_bytes());
        out.extend_from_slice(&(value.len() as u32).to_le_bytes());
        out.extend_from_slice(name);
        out.extend_from_slice(value);
    }
}

/// Header fields out of a head. Ends early, with an error, where the bytes are none.
#[derive(Clone, Debug)]
pub struct Fields<'a>(Reader<'a>);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.0.is_empty() {
            return None;
        }
        let field = self.0.field();
        if field.is_err() {
            self.0 = Reader(b"");
        }
        Some(field)
    }
}

#[derive(Clone, Debug)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self
            .0
            .split_at_checked(len)
            .ok_or(Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.bytes(N)
            .map(|bytes| bytes.try_into().expect("the length asked for"))
    }

    fn field(&mut self) -> Result<(&'a [u8], &'a [u8]), Malformed> {
        let name = u32::from_le_bytes(self.array()?) as usize;
        let value = u32::from_le_bytes(self.array()?) as usize;
        Ok((self.bytes(name)?, self.bytes(value)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_request_reads_back(
            texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 8),
            variables in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..20), prop::collection::vec(any::<u8>(), 0..20)), 0..4),
            headers in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..20), prop::collection::vec(any::<u8>(), 0..20)), 0..8),
            len: u64, port: u16,
        ) {
            let mut encoded = Variables::default();
            variables.iter().for_each(|(name, value)| encoded.push(name, value));
            let taken: usize = variables.iter().map(|(name, value)| Variables::len_of(name, value)).sum();
            prop_assert_eq!(encoded.as_bytes().len(), taken);
            let head = RequestHead {
                variables: encoded.as_bytes(),
                body: BodyKind::File(len), server_port: port, remote_port: port ^ 7,
                method: &texts[0], target: &texts[1], script_name: &texts[2], path: &texts[3], query: &texts[4],
                server_name: &texts[5], remote_addr: &texts[6], request_id: &texts[7],
                ..RequestHead::new(Version::Http11, Scheme::Https)
            };
            let mut bytes = Vec::new();
            head.encode(headers.iter().map(|(n, v)| (&n[..], &v[..])), &mut bytes);
            let back = RequestHead::decode(&bytes).unwrap();
            prop_assert_eq!(RequestHead { fields: b"", ..back }, head);
            let read: Vec<_> = back.headers().map(|f| f.map(|(n, v)| (n.to_vec(), v.to_vec())).unwrap()).collect();
            prop_assert_eq!(read, headers);
            let read: Vec<_> = back.variables().map(|f| f.map(|(n, v)| (n.to_vec(), v.to_vec())).unwrap()).collect();
            prop_assert_eq!(read, variables);
        }

        #[test]
        fn a_response_reads_back(status: u16, reason in prop::collection::vec(any::<u8>(), 0..40), body in prop::collection::vec(any::<u8>(), 0..40),
            headers in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..20), prop::collection::vec(any::<u8>(), 0..20)), 0..8)) {
            let mut bytes = Vec::new();
            ResponseHead::encode(status, &reason, headers.iter().map(|(n, v)| (&n[..], &v[..])), &mut bytes);
            bytes.extend_from_slice(&body);
            let (head, at) = ResponseHead::decode(&bytes).unwrap();
            prop_assert_eq!((head.status, head.reason, &bytes[at..]), (status, &reason[..], &body[..]));
            let read: Vec<_> = head.headers().map(|f| f.map(|(n, v)| (n.to_vec(), v.to_vec())).unwrap()).collect();
            prop_assert_eq!(read, headers);
        }

        #[test]
        fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(head) = RequestHead::decode(&bytes) { head.headers().chain(head.variables()).for_each(drop); }
            if let Ok((head, _)) = ResponseHead::decode(&bytes) { head.headers().for_each(drop); }
        }
    }
}
