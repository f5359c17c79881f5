//! The server's side: requests come in, replies go out.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};

use crate::endpoint::Listener;
use crate::frame::{self, FrameError};
use crate::protocol::{Reply, Request, decode, encode};

/// Commands that are attended to at once; others wait.
const COMMANDS: usize = 32;
/// A request is short.
const REQUEST_BYTES: u32 = 64 << 10;
/// What a command may take to say what it wants.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// What a command may take to read what it is told.
const REPLY_TIME: Duration = Duration::from_secs(10);
/// What it may take to leave when it has its answer, and what all may take when the server ends.
const FAREWELL_TIME: Duration = Duration::from_secs(2);
/// How often a command that waits hears that its server is at it.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(2);
/// Between attempts when the operating system gives no connection.
const PAUSE: Duration = Duration::from_millis(200);

/// Does what commands ask for.
pub trait Answer: Send + Sync + 'static {
    /// The final reply. Whoever asked may have left meanwhile; what was begun is done all the same.
    fn answer(&self, request: Request) -> impl Future<Output = Reply> + Send;
}

/// Attends to all who come until `over` does; those who are being attended to get what they were promised then, if it
/// is there soon.
pub async fn serve(mut listener: Listener, answer: Arc<impl Answer>, over: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(COMMANDS));
    let mut attended = JoinSet::new();
    let accept = async {
        loop {
            // It is never closed.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok(stream) => {
                    while attended.try_join_next().is_some() {}
                    let answer = Arc::clone(&answer);
                    attended.spawn(async move {
                        attend(stream, answer).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!("a command could not be accepted: {error}");
                    sleep(PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = over => {}
        () = accept => {}
    }
    let _ = timeout(FAREWELL_TIME, async {
        while attended.join_next().await.is_some() {}
    })
    .await;
}

/// One conversation. Its errors are the other side's.
async fn attend(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: Arc<impl Answer>) {
    let reply = match timeout(REQUEST_TIME, frame::read(&mut stream, REQUEST_BYTES)).await {
        Ok(Ok(Some(frame))) => match decode(&frame) {
            Ok(request) => match work(&mut stream, answer, request).await {
                Some(reply) => reply,
                None => return,
            },
            Err(error) => refused(&error),
        },
        Ok(Err(error @ FrameError::TooLong { .. })) => refused(&error),
        // It said nothing, or not all of it.
        Ok(Ok(None) | Err(FrameError::Io(_))) | Err(_) => return,
    };
    if say(&mut stream, &reply).await.is_some() {
        // A pipe that is closed too early can lose what was said last.
        let mut rest = [0; 64];
        let _ = timeout(FAREWELL_TIME, async {
            while stream.read(&mut rest).await.is_ok_and(|bytes| bytes > 0) {}
        })
        .await;
    }
}

fn refused(error: &impl std::fmt::Display) -> Reply {
    Reply::Refused {
        message: format!("the server does not understand the command: {error}"),
    }
}

/// Has it done, with a sign of life from time to time; `None` if whoever asked has left.
async fn work(
    stream: &mut (impl AsyncWrite + Unpin),
    answer: Arc<impl Answer>,
    request: Request,
) -> Option<Reply> {
    let mut work = tokio::spawn(async move { answer.answer(request).await });
    let mut heartbeat = interval(HEARTBEAT);
    // The first is due at once, which no quick answer needs.
    heartbeat.tick().await;
    loop {
        tokio::select! {
            done = &mut work => {
                return Some(done.unwrap_or_else(|error| Reply::Refused {
                    message: format!("the server has a defect: {error}"),
                }));
            }
            _ = heartbeat.tick() => say(stream, &Reply::Working).await?,
        }
    }
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), reply: &impl Serialize) -> Option<()> {
    let frame = encode(reply);
    timeout(REPLY_TIME, frame::write(stream, &frame)).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    /// Is asked to reload for a while; knows nothing else.
    struct Slow(Duration);

    impl Answer for Slow {
        async fn answer(&self, request: Request) -> Reply {
            sleep(self.0).await;
            Reply::Done {
                message: format!("{request:?}"),
            }
        }
    }

    async fn told(stream: &mut (impl AsyncRead + Unpin)) -> Option<Reply> {
        let frame = frame::read(stream, 1 << 20).await.ok()??;
        Some(decode(&frame).expect("what a server says is understood"))
    }

    fn done(request: &str) -> Option<Reply> {
        Some(Reply::Done {
            message: request.into(),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_comes_with_signs_of_life() {
        let (mut ours, theirs) = duplex(1000);
        let attended = tokio::spawn(attend(theirs, Arc::new(Slow(Duration::from_secs(5)))));
        frame::write(&mut ours, &encode(&Request::Reload))
            .await
            .expect("it is read");
        let begun = Instant::now();
        assert_eq!(told(&mut ours).await, Some(Reply::Working));
        assert_eq!(begun.elapsed(), HEARTBEAT);
        assert_eq!(told(&mut ours).await, Some(Reply::Working));
        assert_eq!(told(&mut ours).await, done("Reload"));
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
        drop(ours);
        attended.await.expect("no panic");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_says_nothing_or_reads_nothing_is_left() {
        let (ours, theirs) = duplex(1000);
        let begun = Instant::now();
        attend(theirs, Arc::new(Slow(Duration::ZERO))).await;
        assert_eq!(begun.elapsed(), REQUEST_TIME);
        drop(ours);

        let (mut ours, theirs) = duplex(4);
        let attended = tokio::spawn(attend(theirs, Arc::new(Slow(Duration::ZERO))));
        frame::write(&mut ours, &encode(&Request::Status))
            .await
            .expect("it is read");
        let begun = Instant::now();
        attended.await.expect("no panic");
        assert_eq!(begun.elapsed(), REPLY_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_request_has_no_more_time_than_a_whole_one() {
        let (mut ours, theirs) = duplex(1000);
        let attended = tokio::spawn(attend(theirs, Arc::new(Slow(Duration::ZERO))));
        let begun = Instant::now();
        let mut written = 0;
        for byte in [255, 0, 0, 0].into_iter().chain([b' '; 20]) {
            sleep(Duration::from_secs(1)).await;
            if ours.write_all(&[byte]).await.is_err() {
                break;
            }
            written += 1;
        }
        assert!(written <= 5, "{written}");
        attended.await.expect("no panic");
        assert!(begun.elapsed() <= REQUEST_TIME + Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_begun_is_done_though_nobody_waits() {
        struct Tells(tokio::sync::mpsc::UnboundedSender<Request>);
        impl Answer for Tells {
            async fn answer(&self, request: Request) -> Reply {
                sleep(Duration::from_secs(60)).await;
                let _ = self.0.send(request);
                Reply::Working
            }
        }
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let (mut ours, theirs) = duplex(1000);
        let attended = tokio::spawn(attend(theirs, Arc::new(Tells(sender))));
        frame::write(&mut ours, &encode(&Request::ReopenLogs))
            .await
            .expect("it is read");
        drop(ours);
        attended.await.expect("no panic");
        assert_eq!(receiver.recv().await, Some(Request::ReopenLogs));
    }

    #[tokio::test]
    async fn what_cannot_be_understood_is_answered() {
        for (bytes, reason) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], "announces 542393671 bytes"),
            (b"\x02\0\0\0{}", "missing field `version`"),
            (
                b"\x0d\0\0\0{\"version\":9}",
                "it speaks version 9 of the protocol",
            ),
            (
                b"\x1c\0\0\0{\"version\":1,\"message\":\"hi\"}",
                "does not understand",
            ),
        ] {
            let (mut ours, theirs) = duplex(1000);
            let attended = tokio::spawn(attend(theirs, Arc::new(Slow(Duration::ZERO))));
            ours.write_all(bytes).await.expect("it is read");
            let Some(Reply::Refused { message }) = told(&mut ours).await else {
                panic!("{bytes:?} is refused");
            };
            assert!(message.contains(reason), "{message}");
            drop(ours);
            attended.await.expect("no panic");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_or_left(bytes: Vec<u8>) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let (mut ours, theirs) = duplex(10_000);
                let attended = tokio::spawn(attend(theirs, Arc::new(Slow(Duration::ZERO))));
                ours.write_all(&bytes).await.expect("there is room");
                drop(ours);
                attended.await.expect("no panic");
            });
        }
    }
}
