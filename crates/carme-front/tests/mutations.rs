//! The corpus, changed at random: whatever comes, hyper answers nothing by itself, no line is missing or too many, and
//! what passes the guard is what hyper parses.
//!
//! `CARME_MUTATIONS` is how many requests are tried, `CARME_SEED` where chance begins.

mod common;

use std::time::Duration;

use carme_front::Limits;
use common::Front;
use common::case;
use common::reasons::Reasons;
use tokio::io::AsyncReadExt;

const FILES: [&str; 6] = [
    include_str!("corpus/request_line.http"),
    include_str!("corpus/fields.http"),
    include_str!("corpus/framing.http"),
    include_str!("corpus/chunks.http"),
    include_str!("corpus/connection.http"),
    include_str!("corpus/not_http.http"),
];

/// What parsers stumble over.
const PIECES: [&[u8]; 36] = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"/",
    b"*",
    b"#",
    b"?",
    b"%",
    b"=",
    b"\"",
    b"\\",
    b"\0",
    b"\x01",
    b"\x0b",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xc3\xa9",
    b"0",
    b"5",
    b"a",
    b"Z",
    b"-",
    b"+",
    b"_",
    b"@",
    b"[",
    b"]",
    b"Transfer-Encoding: chunked\r\n",
];

/// xorshift64*: chance that can be had again.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() + 1);
            let piece = PIECES[self.below(PIECES.len())];
            let end = (at + 1 + self.below(8)).min(bytes.len());
            match self.below(4) {
                0 => drop(bytes.splice(at..at, piece.iter().copied())),
                1 => drop(bytes.splice(at..(at + 1).min(bytes.len()), piece.iter().copied())),
                2 => drop(bytes.drain(at..end)),
                _ => {
                    let copy = bytes[at..end].to_vec();
                    let to = self.below(bytes.len() + 1);
                    bytes.splice(to..to, copy);
                }
            }
        }
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect(name))
}

/// Where responses begin. Requests that are echoed have no status behind their version.
fn responses(bytes: &[u8]) -> usize {
    let is_status = |rest: &[u8]| {
        matches!(rest, [b' ', b'2'..=b'5', b'0'..=b'9', b'0'..=b'9', b' ', ..])
            && !rest.starts_with(b" 200 HTTP")
    };
    count(bytes, b"HTTP/1.1", is_status) + count(bytes, b"HTTP/1.0", is_status)
}

fn count(bytes: &[u8], what: &[u8], holds: impl Fn(&[u8]) -> bool) -> usize {
    let found = bytes
        .windows(what.len())
        .enumerate()
        .filter(|(_, window)| *window == what);
    found.filter(|(at, _)| holds(&bytes[at + what.len()..])).count()
}

/// Time is paused, so that what waits for more gets its 408 at once.
#[tokio::test(start_paused = true)]
async fn hyper_answers_nothing_by_itself() {
    let limits = Limits {
        body_bytes: 1_000_000,
        keep_alive_timeout: Duration::from_millis(200),
        header_timeout: Duration::from_millis(200),
        body_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let (front, reasons) = (Front::with(limits, common::LINE), Reasons::listen());
    let corpus: Vec<_> = FILES.iter().flat_map(|text| case::read("", text)).collect();
    let mut chance = Chance(setting("CARME_SEED", 0x00ca_43e5).max(1));
    let mut answered = 0;
    for _ in 0..setting("CARME_MUTATIONS", 3000) {
        let mut bytes = corpus[chance.below(corpus.len())].bytes.clone();
        chance.mutate(&mut bytes);
        let shown = bytes.escape_ascii();
        let mut client = front.connect().await;
        client.send(&bytes).await;
        let mut received = Vec::new();
        // A reset is an end, too.
        let _ = client.stream.read_to_end(&mut received).await;
        let here = responses(&received);
        assert_eq!(
            count(&received, b"\r\nx-request-id: ", |_| true),
            here,
            "an answer of hyper's own to {shown}: {}",
            received.escape_ascii()
        );
        answered += here;
        for reason in reasons.take() {
            assert!(!reason.contains("disagree"), "{reason}: {shown}");
            assert!(reason.contains("[request_id="), "{reason}: {shown}");
        }
    }
    assert!(answered > 0);
    let (_, log) = front.stop().await;
    assert_eq!(log.len(), answered, "one line for each answer");
}
