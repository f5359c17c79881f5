//! The corpus as it is written: requests as bytes, and what becomes of them.
//!
//! ```text
//! # a comment
//! @ the case's name
//! > GET / HTTP/1.1
//! > Host: a
//! >
//! < 200 GET / HTTP/1.1
//! app GET /
//! seen host: a
//! then open
//! ```
//!
//! | line | means |
//! |---|---|
//! | `> TEXT` | TEXT and CRLF are sent |
//! | `>\|TEXT` | TEXT alone is sent |
//! | `< STATUS LINE` | a response comes; LINE is what the access log has for `%r` |
//! | `< 100` | an interim response comes, which leaves no line |
//! | `why TEXT` | the error log's reason for the response above contains TEXT |
//! | `app METHOD TARGET "BODY"` | the application gets this, in this order; `N bytes` for a long body |
//! | `seen NAME: VALUE`, `hidden NAME` | the request above has this field, has no field of this name |
//! | `then open`, `then closed` | what happens to the connection after the last response |
//!
//! `\r`, `\n`, `\t`, `\\` and `\xHH` stand for bytes, `\{N:TEXT}` for TEXT N times; in `<` lines only the last, as
//! the log has escapes of its own.

use super::app::Seen;

pub struct Case {
    pub name: String,
    pub bytes: Vec<u8>,
    pub responses: Vec<Expected>,
    pub requests: Vec<Wanted>,
    pub closed: bool,
}

pub struct Expected {
    pub status: u16,
    /// `None` for an interim response.
    pub line: Option<String>,
    pub why: Option<String>,
}

/// A request as the application must get it.
pub struct Wanted {
    pub request: Vec<u8>,
    pub fields: Vec<Vec<u8>>,
    pub absent: Vec<String>,
}

impl Wanted {
    /// Says what is wrong with what the application got.
    pub fn compare(&self, seen: &Seen) -> Result<(), String> {
        if self.request != seen.request {
            return Err(format!("the application got {}", seen.request.escape_ascii()));
        }
        for field in &self.fields {
            if !seen.fields.contains(field) {
                let all: Vec<_> = seen
                    .fields
                    .iter()
                    .map(|field| field.escape_ascii().to_string())
                    .collect();
                return Err(format!("{} is not among {all:?}", field.escape_ascii()));
            }
        }
        match self.absent.iter().find(|name| {
            seen.fields
                .iter()
                .any(|field| field.starts_with(format!("{name}:").as_bytes()))
        }) {
            Some(name) => Err(format!("the application got the field {name}")),
            None => Ok(()),
        }
    }
}

/// All cases of a file.
pub fn read(file: &str, text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let place = format!("{file}:{}", at + 1);
        if let Some(name) = line.strip_prefix("@ ") {
            cases.push(Case {
                name: format!("{place}: {name}"),
                bytes: Vec::new(),
                responses: Vec::new(),
                requests: Vec::new(),
                closed: false,
            });
        } else if !line.is_empty() && !line.starts_with('#') {
            read_line(cases.last_mut().expect(&place), line).unwrap_or_else(|| panic!("{place}: {line}"));
        }
    }
    for case in &cases {
        assert!(
            !case.bytes.is_empty() && !case.responses.is_empty(),
            "{}",
            case.name
        );
    }
    cases
}

fn read_line(case: &mut Case, line: &str) -> Option<()> {
    if let Some(text) = line.strip_prefix(">|") {
        case.bytes.extend(unescaped(text)?);
        return Some(());
    }
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        ">" => {
            case.bytes.extend(unescaped(rest)?);
            case.bytes.extend(b"\r\n");
        }
        "<" => {
            let (status, line) = match rest.split_once(' ') {
                Some((status, line)) => (status, Some(repeated(line)?)),
                None => (rest, None),
            };
            case.responses.push(Expected {
                status: status.parse().ok()?,
                line,
                why: None,
            });
        }
        "why" => case.responses.last_mut()?.why = Some(rest.to_owned()),
        "app" => case.requests.push(Wanted {
            request: unescaped(rest)?,
            fields: Vec::new(),
            absent: Vec::new(),
        }),
        "seen" => {
            let field = unescaped(rest)?;
            case.requests.last_mut()?.fields.push(field);
        }
        "hidden" => case.requests.last_mut()?.absent.push(rest.to_owned()),
        "then" => case.closed = ["open", "closed"].iter().position(|fate| *fate == rest)? == 1,
        _ => return None,
    }
    Some(())
}

fn repeated(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\{") {
        // The log escapes no brace, so this is ours.
        let (inside, after) = after.split_once('}')?;
        let (count, piece) = inside.split_once(':')?;
        out.push_str(before);
        out.push_str(&piece.repeat(count.parse().ok()?));
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.extend(before.bytes());
        let (byte, after) = (after.bytes().next()?, &after[1..]);
        rest = after;
        match byte {
            b'r' => out.push(b'\r'),
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'\\' => out.push(b'\\'),
            b'x' => {
                out.push(u8::from_str_radix(after.get(..2)?, 16).ok()?);
                rest = &after[2..];
            }
            b'{' => {
                let (inside, after) = after.split_once('}')?;
                let (count, piece) = inside.split_once(':')?;
                out.extend(unescaped(piece)?.repeat(count.parse().ok()?));
                rest = after;
            }
            _ => return None,
        }
    }
    out.extend(rest.bytes());
    Some(out)
}
