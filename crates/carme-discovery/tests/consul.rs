//! What Consul could say that the real one seldom does: a small one says it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use carme_discovery::{Consul, Engine, Failure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// Gives these answers, one for each connection, and keeps the heads of the requests. An empty answer is none: the
/// connection stays open.
async fn small_consul(answers: Vec<String>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heads);
    tokio::spawn(async move {
        let mut open = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("a request"));
            }
            kept.lock()
                .expect("no panic")
                .push(String::from_utf8(head).expect("text"));
            let _ = stream.write_all(answer.as_bytes()).await;
            if answer.is_empty() {
                open.push(stream);
            }
        }
        std::future::pending::<()>().await;
    });
    (address, heads)
}

fn answer(status: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{fields}\r\n{body}")
}

const ONE: &str = r#"[{"Node": {"Node": "n1", "Address": "10.0.0.1"}, "Service": {"ID": "a", "Service": "a", "Port": 80}}]"#;

fn with_index(index: &str) -> String {
    answer("200 OK", &format!("X-Consul-Index: {index}\r\n"), ONE)
}

/// The targets of the requests.
fn targets(heads: &Mutex<Vec<String>>) -> Vec<String> {
    let heads = heads.lock().expect("no panic");
    let target = |head: &String| head.split(' ').nth(1).unwrap_or_default().to_owned();
    heads.iter().map(target).collect()
}

#[tokio::test]
async fn an_index_is_waited_for_until_it_goes_backwards() {
    let answers = ["7", "9", "3", "0", "nonsense", "5"].map(with_index);
    let (address, heads) = small_consul(answers.into()).await;
    let mut consul = Consul::new(address.to_string(), "a");
    let mut again = Vec::new();
    for _ in 0..6 {
        let look = consul.look().await.expect("an answer");
        assert_eq!(look.members.len(), 1);
        again.push(look.again);
    }
    let plain = "/v1/health/service/a?passing=1".to_owned();
    let waiting = |index| format!("{plain}&index={index}&wait=30s");
    let expected = [
        plain.clone(),
        waiting(7),
        waiting(9),
        plain.clone(),
        plain.clone(),
        plain.clone(),
    ];
    assert_eq!(targets(&heads), expected);
    // Who sends no index to wait for is not asked without a pause.
    let (soon, later) = (Duration::from_millis(200), Duration::from_secs(5));
    assert_eq!(again, [soon, soon, later, later, later, soon]);
}

#[tokio::test]
async fn after_a_failure_the_answer_comes_at_once() {
    let (address, heads) = small_consul(vec![
        with_index("7"),
        answer("500 Internal Server Error", "", "No cluster leader"),
        with_index("7"),
    ])
    .await;
    let mut consul = Consul::new(address.to_string(), "a").token(Some("abc".to_owned()));
    consul.look().await.expect("an answer");
    let failure = consul.look().await.expect_err("no answer");
    assert_eq!(
        failure,
        Failure::Away("it answers 500 \"No cluster leader\"".to_owned())
    );
    consul.anew();
    consul.look().await.expect("an answer");
    assert!(!targets(&heads)[2].contains("index"));
    let heads = heads.lock().expect("no panic");
    assert!(heads.iter().all(|head| head.contains("x-consul-token: abc\r\n")));
}

#[tokio::test]
async fn other_answers_are_failures() {
    let long = format!("[{}1]", "1,".repeat(9 << 20));
    for (given, expected) in [
        (answer("200 OK", "", "{}"), "the answer cannot be understood: "),
        (answer("200 OK", "", &long), "the answer ended early: "),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[".to_owned(),
            "the answer ended early: ",
        ),
        ("SSH-2.0-x\r\n\r\n".to_owned(), "the connection broke: "),
        (
            answer("302 Found", "Location: http://elsewhere/\r\n", ""),
            "it answers 302",
        ),
    ] {
        let (address, _) = small_consul(vec![given]).await;
        let failure = Consul::new(address.to_string(), "a").look().await;
        let failure = failure.expect_err(expected).to_string();
        assert!(failure.starts_with(expected), "{failure}");
    }
    let unused = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = unused.local_addr().expect("bound");
    drop(unused);
    let failure = Consul::new(address.to_string(), "a").look().await;
    let failure = failure.expect_err("nobody is there").to_string();
    assert!(failure.starts_with("no connection: "), "{failure}");
}

#[tokio::test]
async fn more_members_than_can_be_are_a_failure() {
    let entry = |number: usize| {
        format!(
            r#"{{"Node": {{"Node": "n", "Address": "10.0.{}.{}"}}, "Service": {{"ID": "a", "Service": "a", "Port": 80}}}}"#,
            number / 250,
            number % 250
        )
    };
    let entries: Vec<_> = (0..1001).map(entry).collect();
    let (address, _) = small_consul(vec![answer("200 OK", "", &format!("[{}]", entries.join(",")))]).await;
    let failure = Consul::new(address.to_string(), "a").look().await;
    assert_eq!(
        failure,
        Err(Failure::Away(
            "it names 1001 members; 1000 is the most".to_owned()
        ))
    );
}

#[tokio::test]
async fn who_never_answers_is_away() {
    let (address, _) = small_consul(vec![with_index("7"), String::new(), String::new()]).await;
    let mut consul = Consul::new(address.to_string(), "a");
    consul.look().await.expect("an answer");
    // Only from here on: a paused clock would not wait for sockets.
    tokio::time::pause();
    for seconds in [45, 15] {
        let begin = Instant::now();
        let failure = consul.look().await.expect_err("no answer");
        assert_eq!(begin.elapsed().as_secs(), seconds);
        assert_eq!(
            failure,
            Failure::Away(format!("no answer within {seconds} seconds"))
        );
        consul.anew();
    }
}
