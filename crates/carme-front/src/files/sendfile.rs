//! `X-Sendfile` and `X-Accel-Redirect`: the application says which file, the front sends it.

use std::path::{Path, PathBuf};

use carme_farm::dispatch::Answer;
use http::header::{self, HeaderMap, HeaderName};
use http::{Method, StatusCode};

use super::conditions::Conditions;
use super::path::{self, Names};
use super::reply;
use super::root::{OpenError, Root, Wait};
use crate::fault::Fault;
use crate::local::LocalAnswer;
use crate::location;
use crate::spool::blocking;

static X_SENDFILE: HeaderName = HeaderName::from_static("x-sendfile");
static X_ACCEL_REDIRECT: HeaderName = HeaderName::from_static("x-accel-redirect");

/// A file that an application names, in a folder that the configuration allows.
#[derive(Debug)]
struct Named {
    root: Root,
    below: String,
}

/// The answer in which the file that the application's answer names takes the place of its body. `None` if it names
/// none.
pub(crate) async fn send(
    folders: &[PathBuf],
    (method, request): (&Method, &HeaderMap),
    answer: &mut Answer,
) -> Option<Result<LocalAnswer, Fault>> {
    let path = answer.headers.remove(&X_SENDFILE);
    let uri = answer.headers.remove(&X_ACCEL_REDIRECT);
    let named = match (&path, &uri) {
        (Some(path), _) => by_path(folders, path.as_bytes()),
        (None, Some(uri)) => Ok(by_uri(folders, uri.as_bytes())),
        (None, None) => return None,
    };
    let value = path
        .as_ref()
        .or(uri.as_ref())
        .map(|value| value.as_bytes().escape_ascii().to_string());
    let fault = |status: StatusCode, why: &dyn std::fmt::Display| {
        let value = value.as_deref().unwrap_or_default();
        Fault::new(
            status,
            format!("the app wants the file {value} to be sent, but {why}"),
        )
    };
    let named = match named {
        Ok(named) if named.is_empty() => {
            return Some(Err(fault(
                StatusCode::INTERNAL_SERVER_ERROR,
                &"it is in none of the folders of the app's `sendfile`",
            )));
        }
        Ok(named) => named,
        Err(why) => return Some(Err(fault(StatusCode::INTERNAL_SERVER_ERROR, &why))),
    };
    let mut headers = std::mem::take(&mut answer.headers);
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::CONTENT_RANGE);
    // A page with an own status, such as 404, is sent as a whole and whatever the client has already.
    let status = answer.status;
    let conditions = match (status, method.as_str()) {
        (StatusCode::OK, "GET" | "HEAD") => Conditions::of(request),
        _ => Conditions::default(),
    };
    let is_head = method == Method::HEAD;
    let outcome = blocking(move || Ok(open(&named, &conditions, is_head, headers))).await;
    Some(match outcome {
        Ok(Ok(mut answer)) => {
            if answer.status == StatusCode::OK {
                answer.status = status;
            }
            Ok(answer)
        }
        Ok(Err(error)) => Err(fault(
            match error {
                OpenError::Missing => StatusCode::NOT_FOUND,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
            &error,
        )),
        Err(error) => Err(fault(StatusCode::INTERNAL_SERVER_ERROR, &error)),
    })
}

/// The first of these that is there. Blocks.
fn open(
    named: &[Named],
    conditions: &Conditions,
    is_head: bool,
    headers: HeaderMap,
) -> Result<LocalAnswer, OpenError> {
    let mut missing = OpenError::Missing;
    for Named { root, below } in named {
        match root.open_file(below, Wait::Disk) {
            Ok((file, metadata)) => {
                return Ok(reply::file(
                    conditions,
                    is_head,
                    headers,
                    file,
                    &metadata,
                    Wait::Disk,
                )?);
            }
            Err(error) => missing = error,
        }
    }
    Err(missing)
}

/// An absolute path, which must be in one of the folders.
fn by_path(folders: &[PathBuf], value: &[u8]) -> Result<Vec<Named>, String> {
    let text = str::from_utf8(value).map_err(|_| "it is not UTF-8".to_owned())?;
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err("it is not an absolute path".to_owned());
    }
    let mut named = Vec::new();
    for folder in folders {
        let Ok(below) = path.strip_prefix(folder) else {
            continue;
        };
        let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
        named.push(in_folder(folder, parts.join("/").as_bytes())?);
    }
    Ok(named)
}

/// A percent-encoded path below one of the folders, as with nginx's `root`.
fn by_uri(folders: &[PathBuf], value: &[u8]) -> Vec<Named> {
    let path = value.split(|&byte| byte == b'?').next().unwrap_or_default();
    let decoded = location::decode(path);
    folders
        .iter()
        .filter_map(|folder| in_folder(folder, &decoded).ok())
        .collect()
}

fn in_folder(folder: &Path, below: &[u8]) -> Result<Named, String> {
    // What is hidden is the application's to give.
    let below = path::below(below, Names::HERE, true).map_err(|why| why.to_string())?;
    Ok(Named {
        below: below.path.into_owned(),
        root: Root {
            folder: folder.to_owned(),
            follow_links: false,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders() -> Vec<PathBuf> {
        let at = |unix: &str, windows: &str| PathBuf::from(if cfg!(windows) { windows } else { unix });
        vec![at("/srv/files", r"D:\files"), at("/srv/more", r"D:\more")]
    }

    fn shown(named: Result<Vec<Named>, String>) -> String {
        match named {
            Ok(named) => named
                .iter()
                .map(|named| named.below.as_str())
                .collect::<Vec<_>>()
                .join(" "),
            Err(why) => why,
        }
    }

    #[test]
    fn paths_must_be_in_a_folder() {
        let cases: &[(&str, &str)] = if cfg!(windows) {
            &[
                (r"D:\files\a\b.pdf", "a/b.pdf"),
                ("D:/files/a/b.pdf", "a/b.pdf"),
                (r"D:\more\.x", ".x"),
                (r"D:\other\a", ""),
                (r"E:\files\a", ""),
                (r"D:\files\..\a", "it has a segment \".\" or \"..\""),
                (
                    r"D:\files\a:stream",
                    "it has a character that no file name has on Windows",
                ),
                ("a.pdf", "it is not an absolute path"),
            ]
        } else {
            &[
                ("/srv/files/a/b.pdf", "a/b.pdf"),
                ("/srv/more/.x", ".x"),
                ("/srv/filesystem/a", ""),
                ("/etc/passwd", ""),
                ("/srv/files/../a", "it has a segment \".\" or \"..\""),
                ("a.pdf", "it is not an absolute path"),
            ]
        };
        for (path, expected) in cases {
            assert_eq!(shown(by_path(&folders(), path.as_bytes())), *expected, "{path}");
        }
    }

    #[test]
    fn uris_are_looked_for_in_every_folder() {
        for (uri, expected) in [
            ("/a%20b.pdf?x=1", "a b.pdf a b.pdf"),
            ("/a/b", "a/b a/b"),
            ("/../a", ""),
            ("/%2e%2e/a", ""),
            ("/a%00", ""),
        ] {
            assert_eq!(shown(Ok(by_uri(&folders(), uri.as_bytes()))), expected, "{uri}");
        }
    }
}
