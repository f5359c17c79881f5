//! Which file a path means, decided by its text alone.
//!
//! Nothing here looks at the disk, so the rules of both platforms are tested on both. What the text lets through is
//! looked at a second time by whoever opens it ([`super::root`]).

use std::borrow::Cow;

/// Whose rules for names hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    Unix,
    Windows,
}

impl Names {
    pub(crate) const HERE: Names = if cfg!(windows) {
        Names::Windows
    } else {
        Names::Unix
    };
}

/// A path below a folder: names with single slashes between them, none at either end; empty for the folder itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Below<'p> {
    pub(crate) path: Cow<'p, str>,
    /// The text ended with a slash, so it must be a folder.
    pub(crate) is_folder: bool,
}

/// Why a path means no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsafe {
    #[error("it has a segment \".\" or \"..\"")]
    Dots,
    #[error("it has a NUL or another control character")]
    Control,
    #[error("it is not UTF-8")]
    NotUtf8,
    #[error("it names something hidden: a name that begins with a dot (hidden = true would serve it)")]
    Hidden,
    #[error("it has a character that no file name has on Windows")]
    Character,
    #[error("it has a name that ends with a dot or a space, which Windows ignores")]
    End,
    #[error("it names a device of Windows")]
    Device,
    #[error("it may be the short name of another file")]
    ShortName,
}

/// The path below a folder that `decoded`, the rest of a percent-decoded request path, means.
pub(crate) fn below(decoded: &[u8], names: Names, hidden: bool) -> Result<Below<'_>, Unsafe> {
    let text = str::from_utf8(decoded).map_err(|_| Unsafe::NotUtf8)?;
    if text.chars().any(char::is_control) {
        return Err(Unsafe::Control);
    }
    let mut is_first = true;
    for name in segments(text) {
        check(name, names)?;
        // `.well-known` (RFC 8615) is there to be found.
        if name.starts_with('.') && !hidden && !(is_first && name == ".well-known") {
            return Err(Unsafe::Hidden);
        }
        is_first = false;
    }
    let inner = text.trim_matches('/');
    Ok(Below {
        // Slashes in a row are one slash, as for the system itself.
        path: match inner.contains("//") {
            true => Cow::Owned(segments(inner).collect::<Vec<_>>().join("/")),
            false => Cow::Borrowed(inner),
        },
        is_folder: text.ends_with('/'),
    })
}

fn segments(text: &str) -> impl Iterator<Item = &str> {
    text.split('/').filter(|name| !name.is_empty())
}

fn check(name: &str, names: Names) -> Result<(), Unsafe> {
    if matches!(name, "." | "..") {
        return Err(Unsafe::Dots);
    }
    match names {
        Names::Unix => Ok(()),
        Names::Windows => check_windows(name),
    }
}

fn check_windows(name: &str) -> Result<(), Unsafe> {
    // A backslash separates, a colon is a drive or an alternate stream, the others are wildcards or refused anyway.
    if name.contains(['\\', ':', '*', '?', '"', '<', '>', '|']) {
        return Err(Unsafe::Character);
    }
    if name.ends_with(['.', ' ']) {
        return Err(Unsafe::End);
    }
    if is_device(name) {
        return Err(Unsafe::Device);
    }
    if is_short_name(name) {
        return Err(Unsafe::ShortName);
    }
    Ok(())
}

/// `CON`, `con.txt`, `COM1 .log`, `LPT²`: devices in every folder, whatever follows the first dot.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end_matches(' ');
    let is = |device: &str| stem.eq_ignore_ascii_case(device);
    if ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"]
        .into_iter()
        .any(is)
    {
        return true;
    }
    let Some((start, number)) = stem.char_indices().last().map(|(at, last)| (&stem[..at], last)) else {
        return false;
    };
    (start.eq_ignore_ascii_case("COM") || start.eq_ignore_ascii_case("LPT"))
        && matches!(number, '0'..='9' | '¹' | '²' | '³')
}

/// `PROGRA~1`, `LONGNA~2.HTM`: what a file with a longer name is called as well, past every rule about that name.
fn is_short_name(name: &str) -> bool {
    let (stem, extension) = name.split_once('.').unwrap_or((name, ""));
    let has_number = stem
        .split_once('~')
        .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
    has_number && stem.chars().count() <= 8 && extension.chars().count() <= 3
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Names::{Unix, Windows};
    use super::*;
    use crate::location::decode;

    fn of(target: &str, names: Names) -> Result<(String, bool), Unsafe> {
        let decoded = decode(target.as_bytes());
        below(&decoded, names, false).map(|below| (below.path.into_owned(), below.is_folder))
    }

    #[test]
    fn ordinary_paths_are_the_same_everywhere() {
        for (target, path, is_folder) in [
            ("", "", false),
            ("/", "", true),
            ("/a", "a", false),
            ("/a/", "a", true),
            ("/a/b.css", "a/b.css", false),
            ("//a///b", "a/b", false),
            ("/a//", "a", true),
            ("/%61", "a", false),
            ("/a%2Fb", "a/b", false),
            ("/a%20b.txt", "a b.txt", false),
            ("/caf%C3%A9", "café", false),
            ("/a..b", "a..b", false),
            ("/a.b..c", "a.b..c", false),
            (
                "/.well-known/acme-challenge/x",
                ".well-known/acme-challenge/x",
                false,
            ),
            ("/vendors~main.js", "vendors~main.js", false),
            ("/index~12345678.js", "index~12345678.js", false),
            ("/console.log", "console.log", false),
            ("/comic.txt", "comic.txt", false),
            ("/com.txt", "com.txt", false),
            ("/com10.txt", "com10.txt", false),
            ("/nullable", "nullable", false),
            ("/%252e%252e/x", "%2e%2e/x", false),
        ] {
            for names in [Unix, Windows] {
                assert_eq!(
                    of(target, names),
                    Ok((path.to_owned(), is_folder)),
                    "{target} {names:?}"
                );
            }
        }
    }

    #[test]
    fn what_is_refused_everywhere() {
        for (target, why) in [
            ("/..", Unsafe::Dots),
            ("/../", Unsafe::Dots),
            ("/a/../../etc/passwd", Unsafe::Dots),
            ("/%2e%2e/x", Unsafe::Dots),
            ("/%2e%2e%2fx", Unsafe::Dots),
            ("/..%2fx", Unsafe::Dots),
            ("/.%2e/x", Unsafe::Dots),
            ("/./x", Unsafe::Dots),
            ("/a/.", Unsafe::Dots),
            ("/a%00", Unsafe::Control),
            ("/a%00.html", Unsafe::Control),
            ("/a%0d%0a", Unsafe::Control),
            ("/a%7f", Unsafe::Control),
            ("/a%C2%85", Unsafe::Control),
            ("/%c0%ae%c0%ae/x", Unsafe::NotUtf8),
            ("/%ff", Unsafe::NotUtf8),
            ("/.git/config", Unsafe::Hidden),
            ("/a/.env", Unsafe::Hidden),
            ("/a/.well-known/x", Unsafe::Hidden),
            ("/.well-known/.env", Unsafe::Hidden),
        ] {
            for names in [Unix, Windows] {
                assert_eq!(of(target, names), Err(why), "{target} {names:?}");
            }
        }
    }

    #[test]
    fn what_windows_would_take_for_something_else() {
        for (target, why) in [
            ("/a%5c..%5c..%5cwindows%5cwin.ini", Unsafe::Character),
            ("/a%5Cb", Unsafe::Character),
            ("/C:/windows/win.ini", Unsafe::Character),
            ("/c%3a", Unsafe::Character),
            ("/%5c%5cserver%5cshare", Unsafe::Character),
            ("/%5c%5c%3f%5cC:%5c", Unsafe::Character),
            ("/app.py::$DATA", Unsafe::Character),
            ("/app.py:stream", Unsafe::Character),
            ("/a%3fb", Unsafe::Character),
            ("/a*", Unsafe::Character),
            ("/a%3cb", Unsafe::Character),
            ("/a%22", Unsafe::Character),
            ("/a%7cb", Unsafe::Character),
            ("/web.config.", Unsafe::End),
            ("/web.config%20", Unsafe::End),
            ("/web.config%20.", Unsafe::End),
            ("/a%20/b", Unsafe::End),
            ("/a./b", Unsafe::End),
            ("/con", Unsafe::Device),
            ("/CON/x", Unsafe::Device),
            ("/a/nul", Unsafe::Device),
            ("/nul.txt", Unsafe::Device),
            ("/Nul.tar.gz", Unsafe::Device),
            ("/nul%20.txt", Unsafe::Device),
            ("/com1", Unsafe::Device),
            ("/COM9.css", Unsafe::Device),
            ("/com0", Unsafe::Device),
            ("/com%C2%B9", Unsafe::Device),
            ("/lpt%C2%B2.x", Unsafe::Device),
            ("/conin$", Unsafe::Device),
            ("/aux.html", Unsafe::Device),
            ("/prn", Unsafe::Device),
            ("/PROGRA~1", Unsafe::ShortName),
            ("/longna~2.htm", Unsafe::ShortName),
            ("/a~10.js", Unsafe::ShortName),
            ("/GIT~1/config", Unsafe::ShortName),
        ] {
            assert_eq!(of(target, Windows), Err(why), "{target}");
            assert!(of(target, Unix).is_ok(), "{target} is an ordinary name on Unix");
        }
        // Decoded, this has two dots on Windows alone.
        assert_eq!(of("/a/..%5cb", Unix), Err(Unsafe::Hidden));
        assert_eq!(of("/a/..%5cb", Windows), Err(Unsafe::Character));
    }

    #[test]
    fn hidden_files_can_be_served_but_nothing_above() {
        assert!(below(b"/.git/config", Unix, true).is_ok());
        assert_eq!(below(b"/../x", Unix, true), Err(Unsafe::Dots));
        assert_eq!(below(b"/.", Windows, true), Err(Unsafe::Dots));
        assert_eq!(below(b"/...", Windows, true), Err(Unsafe::End));
    }

    proptest! {
        /// Whatever comes out stays below whatever it is joined to.
        #[test]
        fn nothing_leads_out(pieces in proptest::collection::vec(prop_oneof![
            Just("..".to_owned()), Just("/".to_owned()), Just("%2e".to_owned()), Just("\\\\".to_owned()), Just(":".to_owned()),
            Just("%5c".to_owned()), Just("%2f".to_owned()), Just("%00".to_owned()), Just("C".to_owned()), Just("~1".to_owned()),
            Just(" ".to_owned()), Just(".".to_owned()), Just("nul".to_owned()), ".{0,3}",
        ], 0..12), hidden: bool) {
            let target = format!("/{}", pieces.concat());
            let decoded = decode(target.as_bytes());
            for names in [Unix, Windows] {
                let Ok(below) = below(&decoded, names, hidden) else { continue };
                prop_assert!(!below.path.starts_with('/') && !below.path.ends_with('/') && !below.path.contains("//"));
                let segments: Vec<_> = below.path.split('/').collect();
                prop_assert!(!segments.contains(&"..") && !segments.contains(&"."));
                prop_assert!(!below.path.contains('\0'));
                if names == Windows {
                    prop_assert!(!below.path.contains(['\\', ':']));
                    prop_assert!(segments.iter().all(|name| !name.ends_with(['.', ' '])));
                }
                if !hidden {
                    prop_assert!(segments.iter().skip(1).all(|name| !name.starts_with('.')));
                }
                // On this system it is relative, and each part of it an ordinary name.
                if names == Names::HERE {
                    let path = std::path::Path::new(&*below.path);
                    prop_assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))));
                }
                // It means the same if it is asked for as it came out.
                let again = format!("/{}", below.path);
                let again = super::below(again.as_bytes(), names, hidden).map(|below| below.path.into_owned());
                prop_assert_eq!(again, Ok(below.path.clone().into_owned()));
            }
        }

        #[test]
        fn any_bytes_are_decided_about(bytes: Vec<u8>, hidden: bool) {
            for names in [Unix, Windows] {
                if let Ok(below) = below(&bytes, names, hidden) {
                    prop_assert!(!below.path.split('/').any(|name| name == ".."));
                }
            }
        }
    }
}
