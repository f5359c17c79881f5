//! The command's side: one request to one server.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::endpoint::Entry;
use crate::frame::{self, FrameError};
use crate::process::Process;
use crate::protocol::{ProtocolError, Reply, Request, decode, encode};
use crate::serve::HEARTBEAT;

/// The status of a large farm with the last lines of all its workers fits well.
const REPLY_BYTES: u32 = 16 << 20;
/// What a server may take between two signs of life, which come more often.
const SILENCE: Duration = Duration::from_secs(5 * HEARTBEAT.as_secs());
/// What a process may take to end after it has said that it does.
const END: Duration = Duration::from_secs(30);

/// Why a server gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It cannot be reached any more.
    #[error("it cannot be reached: {0}")]
    Connect(#[source] io::Error),
    /// The connection broke.
    #[error("it ended, or closed the connection, before it answered")]
    Gone,
    /// It was silent for too long.
    #[error("it has not answered for {} seconds: its process may be stopped or overloaded", SILENCE.as_secs())]
    Silent,
    /// It said something else.
    #[error("{0}")]
    NotUnderstood(String),
    /// It said that it ends, and is there still.
    #[error("it has finished, but its process is still there after {} seconds", END.as_secs())]
    StillThere,
}

impl From<ProtocolError> for CallError {
    fn from(error: ProtocolError) -> Self {
        CallError::NotUnderstood(error.to_string())
    }
}

/// Asks a server, and waits for its answer as long as it gives signs of life. One that stops has ended when this returns.
pub(crate) async fn call(entry: &Entry, request: &Request) -> Result<Reply, CallError> {
    let connected = timeout(SILENCE, entry.connect()).await;
    let (mut stream, peer) = connected
        .map_err(|_| CallError::Silent)?
        .map_err(CallError::Connect)?;
    // Before it can be gone.
    let process = match request {
        Request::Stop { .. } => peer.pid.and_then(Process::watch),
        _ => None,
    };
    let reply = talk(&mut stream, request).await;
    drop(stream);
    let (Ok(Reply::Stopped { .. }), Some(process)) = (&reply, process) else {
        return reply;
    };
    timeout(END, process.dead())
        .await
        .map_err(|_| CallError::StillThere)?;
    reply
}

/// The whole conversation but its beginning.
pub(crate) async fn talk(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &Request,
) -> Result<Reply, CallError> {
    let sent = timeout(SILENCE, frame::write(stream, &encode(request))).await;
    sent.map_err(|_| CallError::Silent)?
        .map_err(|_| CallError::Gone)?;
    loop {
        let read = timeout(SILENCE, frame::read(stream, REPLY_BYTES)).await;
        match read.map_err(|_| CallError::Silent)? {
            Ok(Some(frame)) => match decode(&frame)? {
                Reply::Working => {}
                reply => return Ok(reply),
            },
            Ok(None) | Err(FrameError::Io(_)) => return Err(CallError::Gone),
            Err(error @ FrameError::TooLong { .. }) => {
                return Err(CallError::NotUnderstood(error.to_string()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    fn done() -> Reply {
        Reply::Done { message: "x".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn signs_of_life_are_waited_on() {
        let (mut ours, mut theirs) = duplex(1000);
        let server = tokio::spawn(async move {
            frame::read(&mut theirs, 1000).await.expect("a request");
            for _ in 0..100 {
                tokio::time::sleep(HEARTBEAT).await;
                let frame = encode(&Reply::Working);
                frame::write(&mut theirs, &frame).await.expect("it is read");
            }
            frame::write(&mut theirs, &encode(&done()))
                .await
                .expect("it is read");
        });
        let answer = talk(&mut ours, &Request::Reload).await.expect("an answer");
        assert_eq!(answer, done());
        server.await.expect("no panic");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_and_ends_and_nonsense_are_told_apart() {
        let (mut ours, theirs) = duplex(1000);
        assert!(matches!(
            talk(&mut ours, &Request::Status).await,
            Err(CallError::Silent)
        ));
        drop(theirs);
        assert!(matches!(
            talk(&mut ours, &Request::Status).await,
            Err(CallError::Gone)
        ));

        for nonsense in [
            &b"\x04\0\0\0nope"[..],
            b"\xff\xff\xff\xff",
            b"\x0d\0\0\0{\"version\":7}",
        ] {
            let (mut ours, mut theirs) = duplex(1000);
            theirs.write_all(nonsense).await.expect("there is room");
            let answer = talk(&mut ours, &Request::Status).await;
            assert!(matches!(answer, Err(CallError::NotUnderstood(_))), "{answer:?}");
        }
    }
}
