//! `Content-Type` of a file, by its name.

use http::HeaderValue;

/// The first of these types whose ending this name has.
pub(crate) fn among(types: &[(String, HeaderValue)], name: &str) -> Option<HeaderValue> {
    let name = name.as_bytes();
    let ends = |ending: &str| {
        name.len()
            .checked_sub(ending.len())
            .is_some_and(|at| name[at..].eq_ignore_ascii_case(ending.as_bytes()))
    };
    let (_, kind) = types.iter().find(|(ending, _)| ends(ending))?;
    Some(kind.clone())
}

/// The type of what has this name; text is said to be UTF-8, which every tool writes today.
pub(crate) fn of(name: &str) -> HeaderValue {
    let extension = match name.rsplit('/').next().unwrap_or(name).rsplit_once('.') {
        Some((_, extension)) => extension,
        None => return HeaderValue::from_static("application/octet-stream"),
    };
    let essence = match extension {
        // RFC 9239, where the table still has application/javascript.
        "js" | "mjs" => "text/javascript",
        "webmanifest" => "application/manifest+json",
        _ => mime_guess::from_ext(extension)
            .first_raw()
            .unwrap_or("application/octet-stream"),
    };
    match essence {
        "text/html" => HeaderValue::from_static("text/html; charset=utf-8"),
        "text/css" => HeaderValue::from_static("text/css; charset=utf-8"),
        "text/javascript" => HeaderValue::from_static("text/javascript; charset=utf-8"),
        text if text.starts_with("text/") => HeaderValue::try_from(format!("{text}; charset=utf-8"))
            .unwrap_or_else(|_| HeaderValue::from_static("text/plain; charset=utf-8")),
        other => HeaderValue::from_static(other),
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn by_the_last_extension_in_any_case() {
        for (name, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("a/b.CSS", "text/css; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.csv", "text/csv; charset=utf-8"),
            ("a.json", "application/json"),
            ("a.svg", "image/svg+xml"),
            ("a.png", "image/png"),
            ("a.webp", "image/webp"),
            ("a.woff2", "font/woff2"),
            ("a.wasm", "application/wasm"),
            ("a.pdf", "application/pdf"),
            ("a.webmanifest", "application/manifest+json"),
            ("a.tar.gz", "application/gzip"),
            ("a.unknown-thing", "application/octet-stream"),
            ("README", "application/octet-stream"),
            ("dir.html/README", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            assert_eq!(of(name), expected, "{name}");
        }
    }
}
