//! What the front fills in for the log's less usual directives.

mod common;

use carme_front::Limits;
use carme_log::Condition;
use common::Front;

fn front(format: &str) -> Front {
    Front::with(Limits::default(), format)
}

#[tokio::test]
async fn the_first_byte_comes_before_the_end() {
    let front = front("%^FB %{FIRST_BYTE_US}e %D");
    front.connect().await.get("/stream/100/1000").await;
    front.connect().await.get("/status/200").await;
    for line in front.log(2).await {
        let times: Vec<u64> = line.split(' ').map(|time| time.parse().expect(&line)).collect();
        assert!(times[0] == times[1] && times[0] <= times[2], "{line}");
    }
}

#[tokio::test]
async fn trailers_are_logged() {
    let front = front("%{X-Sum}^ti|%{X-Sum}i|%{X-Sum}^to|%{Content-Length}i|%{Transfer-Encoding}i");
    let mut client = front.connect().await;
    let head = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    client
        .send(format!("{head}3\r\nabc\r\n0\r\nX-Sum: 1\"\r\nx-sum: 2\r\n\r\n"))
        .await;
    assert_eq!(client.response("POST").await.text(), "abc");
    client.send(format!("{head}0\r\n\r\n")).await;
    assert_eq!(client.response("POST").await.text(), "");
    assert_eq!(front.log(2).await, [r#"1\", 2|-|-|-|chunked"#, "-|-|-|-|chunked"]);
}

#[tokio::test]
async fn fields_that_the_app_does_not_see_are_logged_all_the_same() {
    let front = front("%{Connection}i|%{TE}i|%{X_Under}i|%{Host}i|%{X-Two}i");
    let mut client = front.connect().await;
    client
        .send(
            "GET /dump HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nConnection: te\r\nTE: trailers\r\n\
             X_Under: 1\r\nX-Two: a\r\nX-Two: b\r\n\r\n",
        )
        .await;
    let seen = client.response("GET").await.text();
    assert!(
        !seen.contains("keep-alive") && !seen.contains("under") && seen.contains("x-two: a"),
        "{seen}"
    );
    // What a refused request had, and not what stands in for it.
    client
        .send("GET /a HTTP/1.1\r\nHost: x\r\nX-Two: a\r\nBad Name: x\r\n\r\n")
        .await;
    assert_eq!(client.response("GET").await.status, 400);
    assert_eq!(
        front.log(2).await,
        ["keep-alive, te|trailers|1|x|a, b", "-|-|-|x|a"]
    );
}

#[tokio::test]
async fn who_answered_and_why_it_was_not_the_app() {
    let front = front("%>s %R %{ATTEMPTS}e %f %{SSL_PROTOCOL}x %{error-notes}n");
    let mut client = front.connect().await;
    client.get("/status/204").await;
    client.send("GET /a HTTP/3.0\r\nHost: x\r\n\r\n").await;
    client.response("GET").await;
    assert_eq!(
        front.log(2).await,
        [
            "204 app 1 - - -",
            "505 - - - - the version of HTTP is not 1.0 or 1.1"
        ]
    );
}

#[tokio::test]
async fn a_json_line_tells_of_good_and_bad_requests() {
    let front = front("json");
    let mut client = front.connect().await;
    client
        .send("GET /status/404?a HTTP/1.1\r\nHost: x\r\nUser-Agent: \"\\ä\r\n\r\n")
        .await;
    client.response("GET").await;
    client.send("\x16\x03\x01 \x1b[2J\r\n\r\n").await;
    client.response("GET").await;
    let lines = front.log(2).await;
    for part in [
        r#""method":"GET","target":"/status/404?a","protocol":"HTTP/1.1","malformed":null,"status":404,"#,
        r#""route":"fake_1","worker_pid":4711,"attempts":1,"connection":"keep-alive","#,
        r#""user_agent":"\"\\\u00e4","error":null}"#,
    ] {
        assert!(lines[0].contains(part), "{part} in {}", lines[0]);
    }
    assert!(!lines[0].contains(r#""first_byte_us":null"#), "{}", lines[0]);
    for part in [
        r#""method":null,"target":null,"protocol":null,"malformed":"\u0016\u0003\u0001 \u001b[2J","status":400,"#,
        r#""connection":"close","#,
    ] {
        assert!(lines[1].contains(part), "{part} in {}", lines[1]);
    }
    assert!(!lines[1].ends_with(r#""error":null}"#), "{}", lines[1]);
}

#[tokio::test]
async fn a_condition_decides_which_requests_have_a_line() {
    let quiet = Condition::all([Condition::path("/status"), Condition::status(200..=299)]).not();
    let front = Front::logging("%>s %U", &["/"], quiet);
    let mut client = front.connect().await;
    for path in [
        "/status/200",
        "/status/404",
        "/status/299",
        "/%73tatus/200",
        "/dump",
    ] {
        client.get(path).await;
    }
    let (_, lines) = front.stop().await;
    assert_eq!(lines, ["404 /status/404", "200 /dump"]);
}

#[tokio::test]
async fn a_chunked_body_is_counted_as_it_came() {
    let front = front("%I %{X}^ti");
    let mut client = front.connect().await;
    let chunked = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3;extension=1\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nX: y\r\n\r\n";
    let declared = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
    // Behind one another, in one piece and byte by byte: each is charged with its own bytes.
    client.send([chunked, declared, chunked].concat()).await;
    for text in ["abc0123456789abcdef", "abc", "abc0123456789abcdef"] {
        assert_eq!(client.response("POST").await.text(), text);
    }
    for byte in chunked.bytes() {
        client.send([byte]).await;
    }
    client.response("POST").await;
    // Of a broken body, what came.
    let broken = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd";
    client.send(broken).await;
    assert_eq!(client.response("POST").await.status, 400);
    let (whole, declared) = (format!("{} y", chunked.len()), format!("{} -", declared.len()));
    assert_eq!(
        front.log(5).await,
        [
            &*whole,
            &*declared,
            &*whole,
            &*whole,
            &*format!("{} -", broken.len())
        ]
    );
}
