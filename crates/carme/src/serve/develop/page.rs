//! What browsers get in development besides the application's own: the page that says what is wrong, and the script by
//! which they reload.

use super::live::Broken;

/// Where the script and its questions are answered, below each app's own path.
pub(super) const SCRIPT_PATH: &[u8] = b"/__carme__/reload.js";
pub(super) const CHANGES_PATH: &[u8] = b"/__carme__/changes";

/// Asks for changes as long as its page is seen: a browser has few connections to a server.
pub(super) const SCRIPT: &str = r#"(function () {
  if (window.carmeReload) return;
  window.carmeReload = true;
  var script = new URL(document.currentScript.src);
  var changes = new URL("changes", script);
  var since = script.searchParams.get("since");
  var asking = null;
  function ask() {
    if (document.hidden || asking) return;
    asking = new AbortController();
    changes.search = since === null ? "" : "?since=" + encodeURIComponent(since);
    fetch(changes, { cache: "no-store", signal: asking.signal })
      .then(function (answer) {
        if (answer.status === 204) return since;
        if (answer.ok) return answer.text();
        throw new Error(answer.status);
      })
      .then(function (now) {
        asking = null;
        if (since !== null && now !== since) return location.reload();
        since = now;
        ask();
      })
      .catch(function () {
        asking = null;
        setTimeout(ask, 1000);
      });
  }
  document.addEventListener("visibilitychange", function () {
    if (document.hidden && asking) asking.abort();
    else ask();
  });
  ask();
})();
"#;

/// What brings the script into a page of the app at `mount`, a decoded path, that shows the version `since`.
pub(super) fn tag(mount: &[u8], since: Option<&str>) -> String {
    let mut source = String::new();
    for &byte in mount.iter().chain(SCRIPT_PATH) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                source.push(char::from(byte))
            }
            _ => source.push_str(&format!("%{byte:02X}")),
        }
    }
    if let Some(since) = since {
        source.push_str("?since=");
        source.push_str(since);
    }
    format!("\n<script src=\"{source}\" async></script>\n")
}

/// What the front says when a request fails, with its variables.
pub(super) fn failure(tag: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{{status}} {{reason}}</title></head>\n\
         <body>\n<h1>{{status}} {{reason}}</h1>\n<p>The error log says why.</p>\n\
         <p><small>Request {{request_id}}</small></p>{tag}</body>\n</html>\n"
    )
}

/// The page that takes the place of the app's.
pub(super) fn broken(broken: &Broken, tag: &str) -> String {
    let message = escaped(&broken.message);
    let traceback = match broken.traceback.trim_end() {
        "" => String::new(),
        traceback => format!("<pre>{}</pre>\n", escaped(traceback)),
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>It does not start</title>\n\
         <style>body {{ font-family: sans-serif; margin: 2em }} pre {{ background: #eee; padding: 1em; overflow: auto }}\
         </style></head>\n<body>\n<h1>It does not start</h1>\n<p style=\"white-space: pre-wrap\">{message}</p>\n{traceback}\
         <p>This page is shown because of <code>--reload</code>. It goes when a change of the source has mended this.</p>\n\
         {tag}</body>\n</html>\n"
    )
}

/// The same for who wants no page.
pub(super) fn broken_text(broken: &Broken) -> String {
    format!("{}\n\n{}", broken.message.trim_end(), broken.traceback)
        .trim_end()
        .to_owned()
        + "\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_the_script_below_the_app() {
        assert_eq!(
            tag(b"", Some("1f-2")),
            "\n<script src=\"/__carme__/reload.js?since=1f-2\" async></script>\n"
        );
        assert_eq!(
            tag("/a \"<é".as_bytes(), None),
            "\n<script src=\"/a%20%22%3C%C3%A9/__carme__/reload.js\" async></script>\n"
        );
    }

    #[test]
    fn what_is_wrong_is_shown_and_never_runs() {
        let wrong = Broken {
            message: "app <b>".into(),
            traceback: "File \"<string>\"\nE: <script>alert(1)</script> & more\n".into(),
            is_start: false,
        };
        let page = broken(&wrong, "TAG");
        assert!(page.contains("app &lt;b&gt;</p>"), "{page}");
        assert!(
            page.contains(
                "File &quot;&lt;string&gt;&quot;\nE: &lt;script&gt;alert(1)&lt;/script&gt; &amp; more</pre>"
            ),
            "{page}"
        );
        assert!(page.contains("TAG</body>"));
        assert_eq!(
            broken_text(&wrong),
            "app <b>\n\nFile \"<string>\"\nE: <script>alert(1)</script> & more\n"
        );
        let without = Broken {
            traceback: String::new(),
            ..wrong
        };
        assert!(!broken(&without, "").contains("<pre>"));
        assert_eq!(broken_text(&without), "app <b>\n");
    }
}
