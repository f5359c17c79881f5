//! Files below a folder, without any application: ranges, conditions, precompressed variants, index files.
//!
//! A request's path is decided about by its text ([`path`]), then by what it turns out to be on the disk ([`root`]). All
//! work on the disk is one step on a thread that may block, and a small file is read in it, too. Where the system can tell
//! (Linux), what it has in its caches is taken without that step: the other thread costs more than the work.

mod conditions;
mod media_type;
mod path;
mod ranges;
mod reply;
mod root;
mod sendfile;

use std::fs::{File, Metadata};
use std::path::PathBuf;
use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode, Uri};
use wildmatch::WildMatch;

use crate::compress::{self, Coding, acceptable};
use crate::fault::Fault;
use crate::local::{LocalAnswer, LocalContent};
use crate::location;
use crate::spool::blocking;
use conditions::Conditions;
use path::{Below, Names};
use root::{OpenError, Opened, Root, Wait};

pub(crate) use sendfile::send;

/// How a folder's files are served.
#[derive(Debug, Clone)]
pub struct FileOptions {
    /// Names that answer for the folder they are in; the first that is there does.
    pub index: Vec<String>,
    /// What answers, with status 200, for what is not there: a path below the folder.
    pub fallback: Option<String>,
    /// Links may lead out of the folder.
    pub follow_links: bool,
    /// Names that begin with a dot are served like others. `.well-known` always is.
    pub hidden: bool,
    /// `a.js.br`, `a.js.zst` or `a.js.gz` is sent in place of `a.js` to clients that take it.
    pub precompressed: bool,
    /// `Cache-Control`.
    pub cache: Option<HeaderValue>,
    /// Paths below the folder, with `*` and `?`, of files that never change under their name: they are kept for a year
    /// without asking again.
    pub immutable: Vec<String>,
    /// `Content-Type` of files whose names end like this, a dot first, in whatever case; of several the longest counts,
    /// and all of them before what is known anyway.
    pub media_types: Vec<(String, HeaderValue)>,
}

impl Default for FileOptions {
    fn default() -> Self {
        FileOptions {
            index: vec!["index.html".to_owned()],
            fallback: None,
            follow_links: false,
            hidden: false,
            precompressed: false,
            cache: None,
            immutable: Vec::new(),
            media_types: Vec::new(),
        }
    }
}

/// A folder whose files are served.
#[derive(Debug)]
pub struct Files {
    root: Root,
    options: FileOptions,
    immutable: Vec<WildMatch>,
}

/// Smallest first: they were made once and with patience.
const PREFERRED: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

/// A year: in practice for ever.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// What a request asks of a folder; owns all of it, because another thread answers.
struct Asked {
    below: String,
    is_folder: bool,
    is_head: bool,
    conditions: Conditions,
    /// What the client takes, best first.
    codings: Vec<Coding>,
}

/// What there is.
enum Found {
    Answer(Box<LocalAnswer>),
    /// A folder that was asked for without a slash at its end.
    WithoutSlash,
}

impl Files {
    /// What is below `folder`.
    pub fn new(folder: PathBuf, mut options: FileOptions) -> Self {
        options
            .media_types
            .sort_by_key(|(ending, _)| std::cmp::Reverse(ending.len()));
        Files {
            immutable: options
                .immutable
                .iter()
                .map(|pattern| WildMatch::new(pattern))
                .collect(),
            root: Root {
                folder,
                follow_links: options.follow_links,
            },
            options,
        }
    }

    /// Answers `path_info`, the decoded path below the location at `script_name`.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        (method, request, uri): (&Method, &HeaderMap, &Uri),
        script_name: &[u8],
        path_info: &[u8],
    ) -> Result<LocalAnswer, Fault> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let reason = format!("files are there for GET and HEAD, not for {method}");
            return Err(Fault {
                allow: Some("GET, HEAD"),
                ..Fault::new(StatusCode::METHOD_NOT_ALLOWED, reason)
            });
        }
        let not_found = |why: &dyn std::fmt::Display| {
            let shown = path_info.escape_ascii();
            Fault::new(
                StatusCode::NOT_FOUND,
                format!("no file is served for {shown}: {why}"),
            )
        };
        let Below { path, is_folder } =
            path::below(path_info, Names::HERE, self.options.hidden).map_err(|why| not_found(&why))?;
        let asked = Asked {
            below: path.into_owned(),
            is_folder,
            is_head: method == Method::HEAD,
            conditions: Conditions::of(request),
            codings: match self.options.precompressed {
                true => acceptable(request, PREFERRED).collect(),
                false => Vec::new(),
            },
        };
        let cached = match root::KNOWS_CACHES {
            true => self.find(&asked, Wait::Never),
            false => Err(OpenError::WouldBlock),
        };
        let (asked, found) = match cached {
            Err(OpenError::WouldBlock) => {
                let files = Arc::clone(self);
                blocking(move || {
                    let found = files.find(&asked, Wait::Disk);
                    Ok((asked, found))
                })
                .await
                .map_err(|error| Fault::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?
            }
            found => (asked, found),
        };
        match found {
            Ok(Found::Answer(answer)) => Ok(*answer),
            Ok(Found::WithoutSlash) => add_slash(script_name, &asked.below, uri.query()),
            Err(error) => Err(match error {
                OpenError::Forbidden(_) => Fault {
                    status: StatusCode::FORBIDDEN,
                    ..not_found(&error)
                },
                // Mostly too many open files.
                OpenError::Other(_) | OpenError::WouldBlock => Fault {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    ..not_found(&error)
                },
                _ => not_found(&error),
            }),
        }
    }

    /// Finds, opens and begins to read.
    fn find(&self, asked: &Asked, wait: Wait) -> Result<Found, OpenError> {
        let missing = match self.root.open(&asked.below, wait) {
            Ok(Opened::File(file, metadata)) if !asked.is_folder => {
                return self.reply(asked, &asked.below, (file, metadata), wait);
            }
            Ok(Opened::Folder) if asked.is_folder => {
                let mut missing = OpenError::Missing;
                for index in &self.options.index {
                    let below = match asked.below.as_str() {
                        "" => index.clone(),
                        folder => format!("{folder}/{index}"),
                    };
                    match self.root.open_file(&below, wait) {
                        Ok(opened) => return self.reply(asked, &below, opened, wait),
                        Err(OpenError::WouldBlock) => return Err(OpenError::WouldBlock),
                        Err(error) => missing = error,
                    }
                }
                missing
            }
            Ok(Opened::Folder) => return Ok(Found::WithoutSlash),
            Ok(Opened::File(..)) => OpenError::Missing,
            Err(error) => error,
        };
        match &self.options.fallback {
            Some(fallback) if matches!(missing, OpenError::Missing) => {
                let opened = self.root.open_file(fallback, wait)?;
                self.reply(asked, fallback, opened, wait)
            }
            _ => Err(missing),
        }
    }

    /// The file, or its variant that the client likes better.
    fn reply(
        &self,
        asked: &Asked,
        below: &str,
        mut opened: (File, Metadata),
        wait: Wait,
    ) -> Result<Found, OpenError> {
        let mut headers = HeaderMap::new();
        let kind = media_type::among(&self.options.media_types, below);
        headers.insert(
            header::CONTENT_TYPE,
            kind.unwrap_or_else(|| media_type::of(below)),
        );
        if self.immutable.iter().any(|pattern| pattern.matches(below)) {
            headers.insert(header::CACHE_CONTROL, IMMUTABLE);
        } else if let Some(cache) = &self.options.cache {
            headers.insert(header::CACHE_CONTROL, cache.clone());
        }
        if self.options.precompressed {
            compress::vary(&mut headers);
        }
        for coding in &asked.codings {
            match self
                .root
                .open_file(&format!("{below}{}", coding.extension()), wait)
            {
                Ok(variant) => {
                    headers.insert(header::CONTENT_ENCODING, coding.value());
                    opened = variant;
                    break;
                }
                Err(OpenError::WouldBlock) => return Err(OpenError::WouldBlock),
                Err(_) => {}
            }
        }
        let (file, metadata) = opened;
        let answer = reply::file(&asked.conditions, asked.is_head, headers, file, &metadata, wait)?;
        Ok(Found::Answer(Box::new(answer)))
    }
}

/// Sends the client to the same path with a slash at its end, so that relative links in an index file are right. The
/// path is written anew: what the client sent could be read as another host.
fn add_slash(script_name: &[u8], below: &str, query: Option<&str>) -> Result<LocalAnswer, Fault> {
    let mut target = location::encode(script_name);
    target.push('/');
    if !below.is_empty() {
        target.push_str(&location::encode(below.as_bytes()));
        target.push('/');
    }
    if let Some(query) = query {
        target.push('?');
        target.push_str(query);
    }
    let value = HeaderValue::try_from(target)
        .map_err(|_| Fault::new(StatusCode::NOT_FOUND, "the query cannot be part of a redirect"))?;
    Ok(LocalAnswer {
        status: StatusCode::MOVED_PERMANENTLY,
        headers: [(header::LOCATION, value)].into_iter().collect(),
        content: LocalContent::Empty,
    })
}
