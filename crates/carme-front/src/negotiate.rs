//! Whether a client rather has JSON than a page (RFC 9110 section 12.5.1).

/// How much a client wants a kind of content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Wish {
    /// Thousandths.
    quality: u16,
    /// The most specific range that named it: none, `*/*`, `application/*`, itself.
    rank: u8,
}

/// True if `Accept`, in one or more lines, prefers JSON to HTML. Who has no preference gets a page.
pub(crate) fn prefers_json<'a>(accept: impl Iterator<Item = &'a [u8]>) -> bool {
    let (mut json, mut html) = (Wish::default(), Wish::default());
    for range in accept.flat_map(|line| line.split(|&b| b == b',')) {
        let mut parts = range.split(|&b| b == b';').map(<[u8]>::trim_ascii);
        let media = parts.next().unwrap_or_default();
        let quality = parts.find_map(quality).unwrap_or(1000);
        let is = |name: &str| media.eq_ignore_ascii_case(name.as_bytes());
        let wish = |of: &mut Wish, rank| {
            // The most specific range counts; of two that are as specific the better one.
            if rank > of.rank || (rank == of.rank && quality > of.quality) {
                *of = Wish { quality, rank };
            }
        };
        if is("application/json") || is("application/problem+json") {
            wish(&mut json, 3);
        } else if is("text/html") || is("application/xhtml+xml") {
            wish(&mut html, 3);
        } else if is("application/*") {
            wish(&mut json, 2);
        } else if is("text/*") {
            wish(&mut html, 2);
        } else if is("*/*") {
            wish(&mut json, 1);
            wish(&mut html, 1);
        }
    }
    json.quality > 0 && json > html
}

/// The value of a `q` parameter, in thousandths.
fn quality(parameter: &[u8]) -> Option<u16> {
    let text = str::from_utf8(parameter).ok()?;
    let (name, value) = text.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let value: f32 = value.trim().parse().ok()?;
    Some((value.clamp(0.0, 1.0) * 1000.0) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefers(accept: &str) -> bool {
        prefers_json(accept.split('\n').map(str::as_bytes))
    }

    #[test]
    fn json_is_for_who_prefers_it() {
        for accept in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/problem+json",
            // Clients of browsers' scripts.
            "application/json, text/plain, */*",
            "application/json, */*;q=0.5",
            "text/html;q=0.5, application/json",
            "text/html;q=0.5\napplication/json;q=0.6",
            "text/html;q=0, */*",
            "application/*",
        ] {
            assert!(prefers(accept), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/html",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            "application/json, text/html",
            "application/json;q=0.5, text/html",
            "application/json;q=0",
            "application/json;q=0, */*",
            "application/jsonx",
            "text/plain",
            ",;q=,;=",
        ] {
            assert!(!prefers(accept), "{accept}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_field_panics(lines: Vec<Vec<u8>>) {
            prefers_json(lines.iter().map(Vec::as_slice));
        }
    }
}
