//! Files without an application, as a client sees them.

mod common;

use std::path::Path;
use std::time::{Duration, SystemTime};

use carme_front::{FileOptions, Files, Location, Policy};
use common::Front;
use common::app::Fake;
use common::reasons::Reasons;

const LARGE: usize = 700_000;

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("created");
    std::fs::write(&path, content).expect("written");
    // Old enough for a strong tag.
    let file = std::fs::File::options().write(true).open(&path).expect("opened");
    file.set_modified(SystemTime::now() - Duration::from_secs(3600))
        .expect("made older");
}

/// A folder beside a secret, and a front that serves the folder at `/static` and an application elsewhere.
fn serve(options: FileOptions) -> (tempfile::TempDir, Front) {
    let directory = tempfile::tempdir().expect("a folder");
    let root = directory.path().join("root");
    write(directory.path(), "secret.txt", "secret");
    write(&root, "a.txt", "0123456789");
    write(&root, "index.html", "<p>top</p>");
    write(&root, "sub dir/index.html", "<p>sub</p>");
    write(&root, "sub dir/x.css", "p {}");
    write(&root, "bare/x.js", "0");
    write(&root, "empty", "");
    write(&root, "large.bin", content(LARGE));
    write(&root, ".env", "KEY=secret");
    write(&root, ".git/config", "secret");
    write(&root, ".well-known/security.txt", "Contact: us");
    let front = Front::serving(Policy::default(), |events| {
        vec![
            Location::files("/static", Files::new(root, options)),
            Location::new("/", Fake::new(events)),
        ]
    });
    (directory, front)
}

#[tokio::test]
async fn a_file_comes_with_its_type_its_length_and_its_validators() {
    let (_directory, front) = serve(FileOptions::default());
    let mut client = front.connect().await;
    let file = client.get("/static/a.txt").await;
    assert_eq!((file.status, file.text().as_str()), (200, "0123456789"));
    assert_eq!(file.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(file.header("content-length"), Some("10"));
    assert_eq!(file.header("accept-ranges"), Some("bytes"));
    assert!(
        file.header("etag").is_some_and(|tag| tag.starts_with('"')),
        "{file:?}"
    );
    assert!(
        file.header("last-modified")
            .is_some_and(|date| date.ends_with(" GMT"))
    );
    assert!(file.header("x-request-id").is_some());
    assert_eq!((file.header("cache-control"), file.header("vary")), (None, None));
    assert_eq!(client.get("/static/sub%20dir/x.css?v=1").await.text(), "p {}");
    let large = client.get("/static/large.bin").await;
    assert!(large.body == content(LARGE) && !large.truncated);
    let empty = client.get("/static/empty").await;
    assert_eq!((empty.status, empty.header("content-length")), (200, Some("0")));
    assert_eq!(
        client.get("/").await.text(),
        "hello",
        "the application answers elsewhere"
    );
    let head = front.ask("HEAD", "/static/large.bin", "").await;
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("700000"))
    );
}

#[tokio::test]
async fn what_is_not_there_is_404_and_other_methods_are_405() {
    let (_directory, front) = serve(FileOptions::default());
    for target in [
        "/static/none",
        "/static/a.txt/",
        "/static/a.txt/x",
        "/static/bare/",
    ] {
        assert_eq!(front.ask("GET", target, "").await.status, 404, "{target}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"] {
        let response = front.ask(method, "/static/a.txt", "").await;
        assert_eq!(
            (response.status, response.header("allow")),
            (405, Some("GET, HEAD")),
            "{method}"
        );
    }
    let posted = front.ask("POST", "/static/a.txt", "Content-Length: 5").await;
    assert_eq!(
        (posted.status, posted.closes()),
        (405, true),
        "its body stays unread"
    );
    let (_, lines) = front.stop().await;
    assert_eq!(lines[0], "404 + \"GET /static/none HTTP/1.1\"");
    assert_eq!(lines[4], "405 + \"POST /static/a.txt HTTP/1.1\"");
}

#[tokio::test]
async fn nothing_outside_the_folder_is_served_and_nothing_hidden() {
    let (directory, front) = serve(FileOptions::default());
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink(
            directory.path().join("secret.txt"),
            directory.path().join("root/link.txt"),
        )
        .expect("a link");
        symlink("..", directory.path().join("root/up")).expect("a link");
    }
    let _ = &directory;
    for target in [
        "/static/../secret.txt",
        "/static/%2e%2e/secret.txt",
        "/static/..%2fsecret.txt",
        "/static/..%5csecret.txt",
        "/static/%2e%2e%5csecret.txt",
        "/static/x/../../secret.txt",
        "/static/sub%20dir/../../secret.txt",
        "/static//../secret.txt",
        "/static/./a.txt",
        "/static/a.txt%00",
        "/static/a.txt%00.html",
        "/static/%c0%ae%c0%ae/secret.txt",
        "/static/%252e%252e/secret.txt",
        "/static/.env",
        "/static/%2eenv",
        "/static/.git/config",
        "/static/.git/",
        "/static/.git",
        "/static/a.txt::$DATA",
        "/static/a.txt:x",
        "/static/a.txt.",
        "/static/a.txt%20",
        "/static/nul",
        "/static/CON",
        "/static/com1.txt",
        "/static/LARGE~1.BIN",
        "/static/C:/secret.txt",
        "/static//server/share/secret.txt",
        "/static/link.txt",
        "/static/up/secret.txt",
        "/static/up/root/a.txt",
    ] {
        let response = front.ask("GET", target, "").await;
        assert_eq!(response.status, 404, "{target}: {}", response.text());
        assert!(
            !response.text().contains("KEY") && !response.text().contains("secret"),
            "{target}"
        );
    }
    assert_eq!(
        front
            .ask("GET", "/static/.well-known/security.txt", "")
            .await
            .text(),
        "Contact: us"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn links_are_followed_where_they_are_wanted() {
    let (directory, front) = serve(FileOptions {
        follow_links: true,
        hidden: true,
        ..FileOptions::default()
    });
    std::os::unix::fs::symlink(
        directory.path().join("secret.txt"),
        directory.path().join("root/link.txt"),
    )
    .expect("a link");
    assert_eq!(front.ask("GET", "/static/link.txt", "").await.text(), "secret");
    assert_eq!(front.ask("GET", "/static/.env", "").await.text(), "KEY=secret");
    assert_eq!(front.ask("GET", "/static/../secret.txt", "").await.status, 404);
}

#[tokio::test]
async fn a_folder_answers_with_its_index_and_only_with_a_slash() {
    let (_directory, front) = serve(FileOptions {
        index: vec!["none.html".into(), "index.html".into()],
        ..FileOptions::default()
    });
    let top = front.ask("GET", "/static/", "").await;
    assert_eq!(
        (top.text().as_str(), top.header("content-type")),
        ("<p>top</p>", Some("text/html; charset=utf-8"))
    );
    assert_eq!(
        front.ask("GET", "/static/sub%20dir/", "").await.text(),
        "<p>sub</p>"
    );
    for (target, location) in [
        ("/static", "/static/"),
        ("/static?a=b", "/static/?a=b"),
        ("/static/sub%20dir?q=/x", "/static/sub%20dir/?q=/x"),
        ("/static//bare", "/static/bare/"),
    ] {
        let response = front.ask("GET", target, "").await;
        assert_eq!(
            (response.status, response.header("location")),
            (301, Some(location)),
            "{target}"
        );
        assert_eq!(response.header("content-length"), Some("0"));
    }
}

#[tokio::test]
async fn no_redirect_leads_to_another_host() {
    let directory = tempfile::tempdir().expect("a folder");
    std::fs::create_dir_all(directory.path().join("evil.example/x")).expect("created");
    let files = Files::new(directory.path().to_owned(), FileOptions::default());
    let front = Front::serving(Policy::default(), |_| vec![Location::files("/", files)]);
    for target in ["//evil.example", "/%2fevil.example", "///evil.example"] {
        let response = front.ask("GET", target, "").await;
        assert_eq!(response.header("location"), Some("/evil.example/"), "{target}");
    }
}

#[tokio::test]
async fn one_range_several_ranges_and_none() {
    let (_directory, front) = serve(FileOptions::default());
    for (range, status, content_range, body) in [
        ("bytes=2-4", 206, Some("bytes 2-4/10"), "234"),
        ("bytes=7-", 206, Some("bytes 7-9/10"), "789"),
        ("bytes=-3", 206, Some("bytes 7-9/10"), "789"),
        ("bytes=5-100", 206, Some("bytes 5-9/10"), "56789"),
        ("bytes=50-,1-1", 206, Some("bytes 1-1/10"), "1"),
        ("bytes=10-", 416, Some("bytes */10"), ""),
        ("bytes=-0", 416, Some("bytes */10"), ""),
        ("bytes=4-2", 200, None, "0123456789"),
        ("lines=1-2", 200, None, "0123456789"),
        ("bytes=0-5,5-9", 200, None, "0123456789"),
        ("bytes=0-0,0-0,0-0", 200, None, "0123456789"),
    ] {
        let response = front
            .ask("GET", "/static/a.txt", &format!("Range: {range}"))
            .await;
        assert_eq!(response.status, status, "{range}");
        assert_eq!(response.header("content-range"), content_range, "{range}");
        assert_eq!(response.text(), body, "{range}");
    }
    let several = front.ask("GET", "/static/a.txt", "Range: bytes=0-1,8-").await;
    assert_eq!((several.status, several.truncated), (206, false));
    let kind = several.header("content-type").expect("a type");
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").expect(kind);
    let part = |range: &str, text: &str| {
        format!(
            "\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes {range}/10\r\n\r\n{text}"
        )
    };
    let expected = format!("{}{}\r\n--{boundary}--\r\n", part("0-1", "01"), part("8-9", "89"));
    assert_eq!(several.text(), expected);
    assert_eq!(several.header("content-range"), None);
    let far = front
        .ask("GET", "/static/large.bin", "Range: bytes=300000-699998")
        .await;
    assert!(far.status == 206 && far.body == content(LARGE)[300_000..699_999]);
    let head = front.ask("HEAD", "/static/a.txt", "Range: bytes=0-1").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("10")));
}

#[tokio::test]
async fn conditions_are_answered_in_their_order() {
    let (directory, front) = serve(FileOptions {
        cache: Some(http::HeaderValue::from_static("max-age=60")),
        ..FileOptions::default()
    });
    let first = front.ask("GET", "/static/a.txt", "").await;
    let tag = first.header("etag").expect("a tag").to_owned();
    let date = first.header("last-modified").expect("a date").to_owned();
    let before = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (fields, status) in [
        (format!("If-None-Match: {tag}"), 304),
        (format!("If-None-Match: W/{tag}, \"x\""), 304),
        ("If-None-Match: \"x\"".to_owned(), 200),
        (format!("If-Modified-Since: {date}"), 304),
        (format!("If-Modified-Since: {before}"), 200),
        (format!("If-None-Match: \"x\"\nIf-Modified-Since: {date}"), 200),
        (format!("If-Match: {tag}"), 200),
        ("If-Match: \"x\"".to_owned(), 412),
        (format!("If-Unmodified-Since: {before}"), 412),
        (format!("If-Match: \"x\"\nIf-None-Match: {tag}"), 412),
        (format!("Range: bytes=0-1\nIf-Range: {tag}"), 206),
        (format!("Range: bytes=0-1\nIf-Range: {date}"), 206),
        ("Range: bytes=0-1\nIf-Range: \"x\"".to_owned(), 200),
        (format!("Range: bytes=0-1\nIf-None-Match: {tag}"), 304),
        (format!("Range: bytes=90-\nIf-Match: {tag}"), 416),
    ] {
        let response = front.ask("GET", "/static/a.txt", &fields).await;
        assert_eq!(response.status, status, "{fields}");
        assert_eq!(response.header("etag"), Some(tag.as_str()), "{fields}");
        if status == 304 {
            assert_eq!(response.header("cache-control"), Some("max-age=60"));
            assert_eq!(
                (response.header("content-type"), response.header("content-length")),
                (None, None)
            );
        }
    }
    // Changed just now: its tag is weak, so that no two of its states are taken for parts of one.
    std::fs::write(directory.path().join("root/a.txt"), "now").expect("written");
    let changed = front
        .ask("GET", "/static/a.txt", &format!("If-None-Match: {tag}"))
        .await;
    assert_eq!((changed.status, changed.text().as_str()), (200, "now"));
    assert!(
        changed.header("etag").is_some_and(|tag| tag.starts_with("W/")),
        "{changed:?}"
    );
}

#[tokio::test]
async fn precompressed_variants_by_what_the_client_takes() {
    let (directory, front) = serve(FileOptions {
        precompressed: true,
        ..FileOptions::default()
    });
    let root = directory.path().join("root");
    write(&root, "app.js", "plain text");
    write(&root, "app.js.br", "brotli");
    write(&root, "app.js.gz", "gzip");
    write(&root, "index.html.zst", "zstd");
    let mut tags = std::collections::HashSet::new();
    for (accept, coding, body) in [
        ("", None, "plain text"),
        ("gzip", Some("gzip"), "gzip"),
        ("gzip, deflate, br, zstd", Some("br"), "brotli"),
        ("gzip, br;q=0.5", Some("gzip"), "gzip"),
        ("br;q=0", None, "plain text"),
        ("zstd", None, "plain text"),
        ("identity, gzip;q=0.1", None, "plain text"),
    ] {
        let response = front
            .ask("GET", "/static/app.js", &format!("Accept-Encoding: {accept}"))
            .await;
        assert_eq!(
            (response.header("content-encoding"), response.text().as_str()),
            (coding, body),
            "{accept}"
        );
        assert_eq!(response.header("vary"), Some("Accept-Encoding"), "{accept}");
        assert_eq!(
            response.header("content-type"),
            Some("text/javascript; charset=utf-8"),
            "{accept}"
        );
        tags.insert(response.header("etag").map(str::to_owned));
    }
    assert_eq!(tags.len(), 3, "each variant has a tag of its own");
    let index = front.ask("GET", "/static/", "Accept-Encoding: zstd").await;
    assert_eq!(
        (index.header("content-encoding"), index.text().as_str()),
        (Some("zstd"), "zstd")
    );
    let part = front
        .ask("GET", "/static/app.js", "Accept-Encoding: br\nRange: bytes=0-1")
        .await;
    assert_eq!(
        (part.status, part.text().as_str()),
        (206, "br"),
        "a range of the variant"
    );
}

#[tokio::test]
async fn caches_are_told_how_long_and_of_what_for_ever() {
    let (directory, front) = serve(FileOptions {
        cache: Some(http::HeaderValue::from_static("max-age=3600")),
        immutable: vec!["assets/*".into(), "*.????????????.*".into()],
        ..FileOptions::default()
    });
    let root = directory.path().join("root");
    write(&root, "assets/x.js", "");
    write(&root, "css/base.5af66c1b1797.css", "");
    for (target, cache) in [
        ("a.txt", "max-age=3600"),
        ("assets/x.js", "public, max-age=31536000, immutable"),
        ("css/base.5af66c1b1797.css", "public, max-age=31536000, immutable"),
    ] {
        let response = front.ask("GET", &format!("/static/{target}"), "").await;
        assert_eq!(response.header("cache-control"), Some(cache), "{target}");
    }
    assert_eq!(
        front.ask("GET", "/static/none", "").await.header("cache-control"),
        None
    );
}

#[tokio::test]
async fn names_have_the_media_types_that_the_user_gives_them() {
    let kind = |ending: &str, kind: &'static str| (ending.to_owned(), http::HeaderValue::from_static(kind));
    let (directory, front) = serve(FileOptions {
        media_types: vec![
            kind(".glb", "model/gltf-binary"),
            kind(".js", "text/ecmascript"),
            kind(".Map.js", "application/json"),
        ],
        hidden: true,
        precompressed: true,
        ..FileOptions::default()
    });
    let root = directory.path().join("root");
    for (name, expected) in [
        ("own/a.glb", "model/gltf-binary"),
        ("own/B.GLB", "model/gltf-binary"),
        ("own/a.js", "text/ecmascript"),
        ("own/a.map.js", "application/json"),
        ("own/.glb", "model/gltf-binary"),
        ("own/glb", "application/octet-stream"),
        ("own/a.css", "text/css; charset=utf-8"),
        ("own/a.glb.txt", "text/plain; charset=utf-8"),
    ] {
        write(&root, name, "x");
        let response = front.ask("GET", &format!("/static/{name}"), "").await;
        assert_eq!(response.header("content-type"), Some(expected), "{name}");
    }
    // A variant has the type of the file that it is one of.
    write(&root, "own/a.glb.gz", "zipped");
    let response = front
        .ask("GET", "/static/own/a.glb", "Accept-Encoding: gzip")
        .await;
    assert_eq!(
        (response.header("content-type"), response.text().as_str()),
        (Some("model/gltf-binary"), "zipped")
    );
}

#[tokio::test]
async fn a_fallback_answers_for_what_is_not_there_but_not_for_what_may_not_be() {
    let (_directory, front) = serve(FileOptions {
        fallback: Some("index.html".into()),
        ..FileOptions::default()
    });
    for target in ["/static/users/42", "/static/none.js", "/static/bare/"] {
        let response = front.ask("GET", target, "").await;
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, "<p>top</p>"),
            "{target}"
        );
    }
    for target in ["/static/.env", "/static/../secret.txt"] {
        assert_eq!(front.ask("GET", target, "").await.status, 404, "{target}");
    }
}

/// What is in the system's cache goes another way than what has to be read from the disk.
#[tokio::test]
async fn a_file_that_shrinks_while_it_is_sent_cuts_the_connection() {
    let reasons = Reasons::listen();
    for is_cached in [false, true] {
        let (directory, front) = serve(FileOptions::default());
        let path = directory.path().join("root/huge.bin");
        let file = match is_cached {
            true => {
                std::fs::write(&path, vec![b'x'; 64 << 20]).expect("written");
                std::fs::File::options().write(true).open(&path).expect("opened")
            }
            // Nothing of it was ever read.
            false => std::fs::File::create(&path).expect("created"),
        };
        file.set_len(64 << 20).expect("made long");
        let mut client = front.connect().await;
        client
            .send("GET /static/huge.bin HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        // The head and some more have come, and most of the file is still to be sent.
        assert!(client.fill().await);
        file.set_len(1 << 20).expect("made short");
        let response = client.response("GET").await;
        assert!(response.truncated, "{} bytes came", response.body.len());
        assert_eq!(front.log(1).await, [r#"200 X "GET /static/huge.bin HTTP/1.1""#]);
        let told = reasons.take();
        assert!(
            told.iter()
                .any(|reason| reason.contains("it is shorter than it was")),
            "{told:?}"
        );
    }
}

/// The first time from the disk, then from the cache.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_is_the_same_whether_the_system_has_it_in_memory_or_not() {
    let (directory, front) = serve(FileOptions::default());
    let content = content(3_000_001);
    let path = directory.path().join("root/larger.bin");
    std::fs::write(&path, &content).expect("written");
    let file = std::fs::File::open(&path).expect("opened");
    file.sync_all().expect("on the disk");
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("forgotten");
    for _ in 0..2 {
        let response = front.ask("GET", "/static/larger.bin", "").await;
        assert!(response.body == content);
        let range = front
            .ask("GET", "/static/larger.bin", "Range: bytes=2500000-")
            .await;
        assert!(range.body == content[2_500_000..]);
    }
}

/// On Linux these go from the system's cache to the socket past hyper, among what goes through it.
#[tokio::test]
async fn large_files_keep_their_place_among_pipelined_answers() {
    let (directory, front) = serve(FileOptions::default());
    let content = content(3_000_001);
    write(&directory.path().join("root"), "larger.bin", &content);
    let mut client = front.connect().await;
    let get = |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    client
        .send(
            [
                get("/static/larger.bin", ""),
                get("/static/a.txt", ""),
                get("/static/larger.bin", "Range: bytes=7-1000006\r\n"),
                get("/static/larger.bin", "Range: bytes=5-100004,2000000-2099999\r\n"),
                get("/", ""),
                get("/static/larger.bin", ""),
            ]
            .concat(),
        )
        .await;
    // The socket is full by now.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(client.response("GET").await.body == content);
    assert_eq!(client.response("GET").await.text(), "0123456789");
    assert!(client.response("GET").await.body == content[7..1_000_007]);
    let several = client.response("GET").await;
    let parts = [&content[5..100_005], &content[2_000_000..2_100_000]];
    let has = |part: &[u8]| several.body.windows(part.len()).any(|window| window == part);
    assert!(several.status == 206 && parts.into_iter().all(has));
    assert_eq!(client.response("GET").await.text(), "hello");
    assert!(client.response("GET").await.body == content);
}
