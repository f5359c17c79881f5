//! `[[locations]]`: what answers where, and what each kind of mistake is told.

mod site;

use carme_config::{Answer, Compress, Config, HeaderChange, HeaderRule, Problems, defaults};
use site::Site;

const APP: &str = "[apps.site]\ntarget = \"app.py\"\n[[locations]]\npath = \"/\"\napp = \"site\"\n";

fn read(site: &Site, rest: &str) -> Result<Config, Problems> {
    site.toml(&format!("{APP}{rest}"))
}

#[test]
fn every_kind_of_answer() {
    let site = Site::new();
    site.write("static/x.css", "");
    site.write("more/x.css", "");
    let config = read(
        &site,
        r#"
[[locations]]
path = "/static/"
files = "static"

[[locations]]
path = "/more"
host = ["a.example", "*.b.example"]
files = "more"
index = []
fallback = "/spa/index.html"
follow_links = true
hidden = true
precompressed = true
cache = "1h30m"
immutable = ["assets/*"]
media_types = { ".glb" = "model/gltf-binary", ".Log.1" = "text/plain; charset=utf-8" }

[[locations]]
path = "/old"
redirect = "https://{host}/new{path}"
status = 308

[[locations]]
path = "/moved"
redirect = "/x"

[[locations]]
path = "/ping"
respond = { body = "pong" }

[[locations]]
path = "/robots.txt"
respond = { status = 410, body = "none", content_type = "text/html" }
"#,
    )
    .unwrap_or_else(|problems| panic!("{problems}"));
    let at = |host: &str, path: &str| {
        config
            .location(host, path.as_bytes())
            .map(|found| found.answer.clone())
    };
    assert_eq!(at("any", "/x"), Some(Answer::App(0)));
    let Some(Answer::Files(files)) = at("any", "/static/x.css") else {
        panic!("files")
    };
    assert_eq!(files.folder, site.path().join("static"));
    assert_eq!(files.index, [defaults::INDEX]);
    assert!(!(files.follow_links || files.hidden || files.precompressed));
    assert_eq!(
        (files.fallback, files.cache, files.immutable.len()),
        (None, None, 0)
    );
    assert_eq!(at("any", "/more/x"), Some(Answer::App(0)));
    let Some(Answer::Files(files)) = at("A.example", "/more/x") else {
        panic!("files")
    };
    assert_eq!(at("x.b.example", "/more"), Some(Answer::Files(files.clone())));
    assert!(files.index.is_empty() && files.follow_links && files.hidden && files.precompressed);
    assert_eq!(files.fallback.as_deref(), Some("spa/index.html"));
    assert_eq!(files.cache.as_deref(), Some("max-age=5400"));
    assert_eq!(files.immutable, ["assets/*"]);
    let types: Vec<_> = files
        .media_types
        .iter()
        .map(|(ending, kind)| (ending.as_str(), kind.as_str()))
        .collect();
    assert_eq!(
        types,
        [
            (".Log.1", "text/plain; charset=utf-8"),
            (".glb", "model/gltf-binary")
        ]
    );
    let redirect = |status, target: &str| {
        Some(Answer::Redirect {
            status,
            target: target.to_owned(),
        })
    };
    assert_eq!(at("any", "/old"), redirect(308, "https://{host}/new{path}"));
    assert_eq!(at("any", "/moved"), redirect(307, "/x"));
    let respond = |status, body: &str, content_type: &str| {
        Some(Answer::Respond {
            status,
            body: body.to_owned(),
            content_type: content_type.to_owned(),
        })
    };
    assert_eq!(
        at("any", "/ping"),
        respond(200, "pong", "text/plain; charset=utf-8")
    );
    assert_eq!(at("any", "/robots.txt"), respond(410, "none", "text/html"));
}

#[test]
fn a_server_needs_no_app() {
    let site = Site::new();
    let config = site
        .toml("[[locations]]\npath = \"/\"\nfiles = \"shop\"\n")
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert!(config.apps.is_empty() && config.locations.len() == 1);
}

#[test]
fn the_locations_rules_come_after_the_servers() {
    let site = Site::new();
    let config = read(
        &site,
        r#"
[[locations]]
path = "/plain"
app = "site"
compress = false

[[locations]]
path = "/own"
app = "site"
compress = { min_size = "2KiB", types = ["text/*"], even_private = true }
request_headers = [{ remove = "X-Debug" }]
response_headers = [
    { add = "Link", value = "</a.css>; rel=preload", status = ["2xx", 304] },
    { set = "Cache-Control", value = "no-store", if_absent = true },
]

[server]
compress = true
response_headers = [{ set = "X-Frame-Options", value = "DENY" }]
"#,
    )
    .unwrap_or_else(|problems| panic!("{problems}"));
    let policy = |path: &str| {
        config
            .location("any", path.as_bytes())
            .map(|found| found.policy.clone())
            .expect(path)
    };
    let rule = |change| HeaderRule {
        change,
        statuses: Vec::new(),
        if_absent: false,
        env: None,
    };
    let frames = rule(HeaderChange::Set("x-frame-options".into(), "DENY".into()));
    let usual = Compress {
        min_size: defaults::COMPRESS_MIN_SIZE,
        types: Vec::new(),
        even_private: false,
    };
    assert_eq!(
        config.server.policy.response_headers,
        std::slice::from_ref(&frames)
    );
    assert_eq!(policy("/"), config.server.policy);
    assert_eq!(policy("/").compress, Some(usual));
    assert_eq!(policy("/plain").compress, None);
    let own = policy("/own");
    assert_eq!(
        own.compress
            .map(|compress| (compress.min_size.as_u64(), compress.even_private)),
        Some((2048, true))
    );
    assert_eq!(
        own.request_headers,
        [rule(HeaderChange::Remove("x-debug".into()))]
    );
    assert_eq!(
        own.response_headers,
        [
            frames,
            HeaderRule {
                statuses: vec![(200, 299), (304, 304)],
                ..rule(HeaderChange::Add("link".into(), "</a.css>; rel=preload".into()))
            },
            HeaderRule {
                if_absent: true,
                ..rule(HeaderChange::Set("cache-control".into(), "no-store".into()))
            },
        ]
    );
}

#[test]
fn an_app_may_name_files_of_folders_that_there_are() {
    let site = Site::new();
    let config = site
        .toml("[apps.site]\ntarget = \"app.py\"\nsendfile = [\"shop\"]\n")
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.apps[0].sendfile, [site.path().join("shop")]);
    let problems = site
        .toml("[apps.site]\ntarget = \"app.py\"\nsendfile = \"shpo\"\n")
        .expect_err("there is none");
    assert_eq!(
        site.lines(&problems),
        [
            "carme.toml:3:12: `sendfile` names a folder that does not exist: SITE/shpo | help: did you mean SITE/shop?"
        ]
    );
}

#[test]
#[rustfmt::skip]
fn each_mistake_has_its_place_and_its_cure() {
    let site = Site::new();
    let mut failures = Vec::new();
    for (keys, expected) in [
        ("", "6:1: [[locations]] says not what answers | help: write one of app = \"site\", balancer = \"cluster\", files = \"static\", redirect = \"https://example.com{uri}\", respond = { body = \"text\" }"),
        ("app = \"site\"\nfiles = \"shop\"", "6:1: [[locations]] has `app` and `files`, which exclude each other | help: one thing answers at a location: write a second [[locations]] for the other"),
        ("redirect = \"/\"\nrespond = {}", "6:1: [[locations]] has `redirect` and `respond`, which exclude each other | help: one thing answers at a location: write a second [[locations]] for the other"),
        ("app = \"site\"\nindex = []", "9:9: `index` goes with `files`, and here is `app`"),
        ("app = \"site\"\nstatus = 301", "9:10: `status` goes with `redirect`, and here is `app`"),
        ("respond = {}\nstatus = 301", "9:10: `status` goes into `respond`: respond = { status = 200 }"),
        ("files = \"shpo\"", "8:9: `files` names a folder that does not exist: SITE/shpo | help: did you mean SITE/shop?"),
        ("files = \"app.py\"", "8:9: `files` must be a folder, found the file SITE/app.py"),
        ("files = \"shop\"\nindex = \"../x\"", "9:9: `index` must be a path below `files`, with slashes, such as \"index.html\", found \"../x\""),
        ("files = \"shop\"\nfallback = 'a\\b'", "9:12: `fallback` must be a path below `files`, with slashes, such as \"index.html\", found \"a\\\\b\""),
        ("files = \"shop\"\nhidden = \"true\"", "9:10: `hidden` must be true or false, found the string \"true\" | help: write true without quotes"),
        ("files = \"shop\"\ncache = \"private\"", "9:9: `cache` must be a duration, \"no-cache\" or \"no-store\", found \"private\" | help: write \"1h\"; everything else is said by response_headers = [{ set = \"Cache-Control\", value = \"…\" }]"),
        ("app = \"site\"\nmedia_types = {}", "9:15: `media_types` goes with `files`, and here is `app`"),
        ("files = \"shop\"\nmedia_types = \".glb\"", "9:15: `media_types` must be a table, found the string \".glb\""),
        ("files = \"shop\"\nmedia_types = { glb = \"model/gltf-binary\" }", "9:23: `glb` must be the end of a file's name, with its dot, such as \".glb\" | help: write \".glb\""),
        ("files = \"shop\"\nmedia_types = { \"a/.glb\" = \"model/gltf-binary\" }", "9:28: `a/.glb` must be the end of a file's name, with its dot, such as \".glb\""),
        ("files = \"shop\"\nmedia_types = { \".glb\" = \"model\" }", "9:26: `.glb` must be a media type such as \"model/gltf-binary\" or \"text/plain; charset=utf-8\", found \"model\""),
        ("files = \"shop\"\nmedia_types = { \".glb\" = \"model/x\\ny\" }", "9:26: `.glb` must be a media type such as \"model/gltf-binary\" or \"text/plain; charset=utf-8\", found \"model/x\\ny\""),
        ("files = \"shop\"\nmedia_types = { \".glb\" = 5 }", "9:26: `.glb` must be a string, found the number 5 | help: write it in quotes: \"5\""),
        ("redirect = \"example.com\"", "8:12: `redirect` must be an address or a path, found \"example.com\" | help: begin with https://, http:// or one slash"),
        ("redirect = \"//example.com\"", "8:12: `redirect` must be an address or a path, found \"//example.com\" | help: begin with https://, http:// or one slash"),
        ("redirect = \"/a b\"", "8:12: `redirect` must be an address, without ' ', found \"/a b\" | help: percent-encode it"),
        ("redirect = \"/{ur}\"", "8:12: `redirect` has an unknown placeholder: {ur} | help: did you mean `{uri}`?"),
        ("redirect = \"/{request}\"", "8:12: `redirect` has an unknown placeholder: {request} | help: there are {host}, {uri}, {path}"),
        ("redirect = \"/a\"\nstatus = 304", "9:10: `status` must be 301, 302, 303, 307 or 308, found the number 304 | help: 308 is for ever, 307 for now; 301 and 302 are the same to browsers, but turn POST into GET"),
        ("respond = { status = 100 }", "8:22: `status` must be a status from 200 to 599, found the number 100"),
        ("respond = { text = \"a\" }", "8:13: unknown key `text` in [locations.respond] | help: [locations.respond] knows: status, body, content_type"),
        ("respond = {}\nhost = \"example.com:80\"", "9:8: `host` must be a host such as \"www.example.com\" or \"*.example.com\", found \"example.com:80\" | help: write the host alone, without scheme, port and path: \"example.com\""),
        ("respond = {}\nhost = []", "9:8: `host` must have a host, found an empty list | help: leave it out: the location then answers to every host"),
        ("respond = {}\ncompress = \"gzip\"", "9:12: `compress` must be true, false or a table, found the string \"gzip\" | help: the table has the keys min_size, types, even_private"),
        ("respond = {}\ncompress = { types = [\"html\"] }", "9:23: `types` must be a media type such as \"text/html\" or \"text/*\", found \"html\""),
        ("respond = {}\nresponse_headers = [{ set = \"A\", remove = \"B\" }]", "9:21: a rule of `response_headers` has `set` and `remove`, which exclude each other | help: write two rules"),
        ("respond = {}\nresponse_headers = [{ value = \"A\" }]", "9:21: a rule of `response_headers` says not what to do | help: write { set = \"Name\", value = \"text\" }, or add, or { remove = \"Name\" }"),
        ("respond = {}\nresponse_headers = [{ set = \"A\" }]", "9:21: a rule of `response_headers` has no `value` | help: write { set = \"Name\", value = \"text\" }"),
        ("respond = {}\nresponse_headers = [{ set = \"A B\", value = \"\" }]", "9:29: `set` must be the name of a header field, found \"A B\""),
        ("respond = {}\nresponse_headers = [{ set = \"Content-Length\", value = \"1\" }]", "9:29: `set` must not be Content-Length, which says where a message ends and is Carme's to write"),
        ("respond = {}\nresponse_headers = [{ set = \"A\", value = \"a\\r\\nB: b\" }]", "9:42: `value` must be one line of text, without '\\r', found \"a\\r\\nB: b\""),
        ("respond = {}\nresponse_headers = [{ set = \"A\", value = \"a%{B}i\" }]", "9:42: `value` has something behind % that is no variable: %\"{B}i\" | help: write %{NAME}e for a variable, %%{ for the characters"),
        ("respond = {}\nresponse_headers = [{ merge = \"Set-Cookie\", value = \"a\" }]", "9:31: `merge` must not be Set-Cookie, of which each cookie has a field of its own | help: write `add`"),
        ("respond = {}\nresponse_headers = [{ append = \"A\", value = \"a\", if_absent = true }]", "9:62: `if_absent` has no meaning beside `append` | help: leave it out"),
        ("respond = {}\nresponse_headers = [{ set = \"A\", value = \"a\", every = true }]", "9:55: `every` has no meaning beside `set` | help: leave it out"),
        ("respond = {}\nresponse_headers = [{ edit = \"A\", value = \"a\" }]", "9:21: a rule of `response_headers` does not say where | help: write matches = \"^(.*)$\""),
        ("respond = {}\nresponse_headers = [{ edit = \"A\", matches = \"a\" }]", "9:21: a rule of `response_headers` has no `value` | help: write { edit = \"Name\", matches = \"^(.*)$\", value = \"$1; Secure\" }"),
        ("respond = {}\nresponse_headers = [{ edit = \"A\", matches = \"(\", value = \"a\" }]", "9:45: `matches` is no expression that Carme can follow: unclosed group, found \"(\""),
        ("respond = {}\nresponse_headers = [{ edit = \"A\", matches = \"a\", value = \"$1\" }]", "9:58: `value` has $1, and the pattern has no such group | help: write \\$ for a dollar sign"),
        ("respond = {}\nresponse_headers = [{ remove = \"A\", status = \"500-400\" }]", "9:46: `status` must be a status such as 404, a class such as \"4xx\" or \"400-599\", found the string \"500-400\""),
        ("respond = {}\nvariables = [{ value = \"1\" }]", "9:14: a rule of `variables` says not what to do | help: write { set = \"NAME\" }, perhaps with a `value`, or { remove = \"NAME\" }"),
        ("respond = {}\nvariables = [{ set = \"A\", remove = \"A\" }]", "9:14: a rule of `variables` has `set` and `remove`, which exclude each other | help: write { set = \"NAME\" }, perhaps with a `value`, or { remove = \"NAME\" }"),
        ("respond = {}\nvariables = [{ set = \"REQUEST_ID\" }]", "9:22: `set` must not be REQUEST_ID, which Carme itself sets"),
        ("respond = {}\nvariables = [{ set = \"script_name\" }]", "9:22: `set` must not be script_name, which Carme itself sets"),
        ("respond = {}\nvariables = [{ pass = \"wsgi.input\" }]", "9:23: `pass` must not be wsgi.input, which Carme itself sets"),
        ("respond = {}\nvariables = [{ pass = \"A\", value = \"1\" }]", "9:36: `value` has no meaning beside `pass` | help: leave it out"),
        ("respond = {}\nvariables = [{ pass = \"A\", set = \"A\" }]", "9:14: a rule of `variables` has `set` and `pass`, which exclude each other | help: write { set = \"NAME\" }, perhaps with a `value`, or { remove = \"NAME\" }"),
        ("respond = {}\nvariables = [{ set = \"A=B\" }]", "9:22: `set` a variable's name must not contain '=', found \"A=B\""),
        ("respond = {}\nvariables = [{ set = \"A\", matches = \"a\" }]", "9:14: a rule of `variables` has `matches`, and does not say what of | help: write header = \"User-Agent\", attribute = \"request_uri\" or variable = \"NAME\""),
        ("respond = {}\nvariables = [{ set = \"A\", header = \"B\" }]", "9:14: a rule of `variables` has `header`, and no `matches` | help: write matches = \"^/static/\", a regular expression"),
        ("respond = {}\nvariables = [{ set = \"A\", header = \"B\", variable = \"C\", matches = \"\" }]", "9:14: a rule of `variables` has `header` and `variable`, which exclude each other | help: write two rules"),
        ("respond = {}\nvariables = [{ set = \"A\", attribute = \"request_url\", matches = \"\" }]", "9:39: `attribute` must be one of \"remote_addr\", \"server_addr\", \"request_method\", \"request_protocol\", \"request_uri\", found \"request_url\" | help: did you mean `request_uri`?"),
        ("respond = {}\nvariables = [{ set = \"A\", header = \"B\", matches = \"(?!a)\" }]", "9:51: `matches` is no expression that Carme can follow: look-around, including look-ahead and look-behind, is not supported, found \"(?!a)\" | help: write the exception as a second rule that undoes the first"),
        ("respond = {}\nvariables = [{ remove = \"A\", value = \"1\" }]", "9:38: `value` has no meaning beside `remove` | help: leave it out"),
        ("respond = {}\nresponse_headers = [{ remove = \"A\", value = \"1\" }]", "9:45: `value` has no meaning beside `remove` | help: leave it out"),
        ("respond = {}\nresponse_headers = [{ remove = \"A\", status = \"6xx\" }]", "9:46: `status` must be a status such as 404, a class such as \"4xx\" or \"400-599\", found the string \"6xx\""),
        ("respond = {}\nrequest_headers = [{ remove = \"A\", status = 200 }]", "9:36: unknown key `status` in a rule of `request_headers` | help: `status` belongs into [[locations]]; a rule of `request_headers` knows: set, add, append, merge, edit, remove, value, matches, every, if_absent, env"),
        ("respond = {}\n[[locations]]\npath = \"/a/\"\nrespond = {}", "10:8: `path` is taken already: /a at carme.toml:7:8"),
        ("respond = {}\nhost = \"x.y\"\n[[locations]]\npath = \"/a/\"\nhost = \"X.y\"\nrespond = {}", "11:8: `path` is taken already: x.y/a at carme.toml:7:8"),
    ] {
        let result = read(&site, &format!("[[locations]]\npath = \"/a\"\n{keys}"));
        let expected = format!("carme.toml:{expected}").replace('\\', "/");
        let lines = result.map_or_else(|problems| site.lines(&problems), |_| vec!["no mistake was found".to_owned()]);
        if lines != [expected.clone()] {
            failures.push(format!("expected\n  {expected}\nfound\n  {}", lines.join("\n  ")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
