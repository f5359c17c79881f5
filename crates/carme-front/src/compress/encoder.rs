//! A body that is being compressed: small pieces at once, others on threads that may block.

use std::future::Future;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::Coding;

/// Pieces up to this size are compressed at once: to hand them over would take about as long.
const AT_ONCE: usize = 2 * 1024;

/// zlib's 1 to 9: nginx and others come with 1 to 6, of which this is the knee.
const GZIP_LEVEL: u32 = 5;
/// 0 to 11; those above 5 are for files that are compressed once.
const BROTLI_LEVEL: u32 = 4;
/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;
/// Bytes to look back, as a power of two; a larger one is memory for each connection.
const WINDOW: u32 = 18;

enum Encoder {
    Gzip(Box<flate2::write::GzEncoder<Vec<u8>>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

/// What an encoder is asked for.
#[derive(Debug)]
enum Step {
    Piece(Bytes),
    /// Everything that was given shall come out.
    Flush,
    End,
}

impl Encoder {
    fn new(coding: Coding) -> io::Result<Self> {
        Ok(match coding {
            Coding::Gzip => Encoder::Gzip(Box::new(flate2::write::GzEncoder::new(
                Vec::new(),
                flate2::Compression::new(GZIP_LEVEL),
            ))),
            Coding::Brotli => Encoder::Brotli(Box::new(brotli::CompressorWriter::new(
                Vec::new(),
                4096,
                BROTLI_LEVEL,
                WINDOW,
            ))),
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.window_log(WINDOW)?;
                Encoder::Zstd(encoder)
            }
        })
    }

    /// One step; what has come out by now. After the end there is no encoder any more.
    fn step(mut self, step: Step) -> io::Result<(Option<Self>, Vec<u8>)> {
        let writer: &mut dyn Write = match &mut self {
            Encoder::Gzip(encoder) => encoder,
            Encoder::Brotli(encoder) => encoder,
            Encoder::Zstd(encoder) => encoder,
        };
        match step {
            Step::Piece(piece) => writer.write_all(&piece)?,
            Step::Flush => writer.flush()?,
            Step::End => {
                let rest = match self {
                    Encoder::Gzip(encoder) => encoder.finish()?,
                    Encoder::Brotli(encoder) => encoder.into_inner(),
                    Encoder::Zstd(encoder) => encoder.finish()?,
                };
                return Ok((None, rest));
            }
        }
        let out = match &mut self {
            Encoder::Gzip(encoder) => std::mem::take(encoder.get_mut()),
            Encoder::Brotli(encoder) => std::mem::take(encoder.get_mut()),
            Encoder::Zstd(encoder) => std::mem::take(encoder.get_mut()),
        };
        Ok((Some(self), out))
    }
}

enum State {
    Idle(Encoder),
    Busy(JoinHandle<io::Result<(Option<Encoder>, Vec<u8>)>>),
    /// The last piece has come out, or there was an error.
    Over,
}

/// A body on its way through an encoder: give it a piece when [`Compressing::poll`] has nothing more, until it has
/// finished.
pub(crate) struct Compressing {
    state: State,
    /// What has come out.
    out: Bytes,
    /// Something may still be inside.
    holds: bool,
}

impl Compressing {
    pub(crate) fn new(coding: Coding) -> io::Result<Self> {
        Ok(Compressing {
            state: State::Idle(Encoder::new(coding)?),
            out: Bytes::new(),
            holds: false,
        })
    }

    /// What has come out; `None` if nothing is under way any more.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if let State::Busy(task) = &mut self.state {
            let outcome = ready!(Pin::new(task).poll(cx))
                .map_err(io::Error::other)
                .flatten();
            self.stepped(outcome)?;
        }
        Poll::Ready(Ok(match self.out.is_empty() {
            true => None,
            false => Some(std::mem::take(&mut self.out)),
        }))
    }

    fn stepped(&mut self, outcome: io::Result<(Option<Encoder>, Vec<u8>)>) -> io::Result<()> {
        self.state = State::Over;
        let (encoder, out) = outcome?;
        self.state = encoder.map_or(State::Over, State::Idle);
        self.out = Bytes::from(out);
        Ok(())
    }

    /// The next piece of the body.
    pub(crate) fn give(&mut self, piece: Bytes) {
        self.holds = true;
        self.start(Step::Piece(piece));
    }

    /// There is a wait for the next piece: what is inside shall come out. False if nothing is.
    pub(crate) fn flush(&mut self) -> bool {
        let holds = std::mem::take(&mut self.holds);
        if holds {
            self.start(Step::Flush);
        }
        holds
    }

    /// The body is over.
    pub(crate) fn finish(&mut self) {
        self.start(Step::End);
    }

    /// Everything has come out.
    pub(crate) fn is_finished(&self) -> bool {
        matches!(self.state, State::Over) && self.out.is_empty()
    }

    fn start(&mut self, step: Step) {
        let State::Idle(encoder) = std::mem::replace(&mut self.state, State::Over) else {
            return;
        };
        let is_short = match &step {
            Step::Piece(piece) => piece.len() <= AT_ONCE,
            // What is inside was short, or its larger part has been compressed already.
            Step::Flush | Step::End => true,
        };
        if is_short {
            self.state = match encoder.step(step) {
                Ok((encoder, out)) => {
                    self.out = Bytes::from(out);
                    encoder.map_or(State::Over, State::Idle)
                }
                Err(error) => State::Busy(tokio::task::spawn_blocking(move || Err(error))),
            };
        } else {
            self.state = State::Busy(tokio::task::spawn_blocking(move || encoder.step(step)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn decode(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut decoded = Vec::new();
        match coding {
            Coding::Gzip => drop(flate2::read::GzDecoder::new(bytes).read_to_end(&mut decoded)),
            Coding::Brotli => drop(brotli::Decompressor::new(bytes, 4096).read_to_end(&mut decoded)),
            Coding::Zstd => decoded = zstd::decode_all(bytes).unwrap_or_default(),
        }
        decoded
    }

    async fn taken(compressing: &mut Compressing, into: &mut Vec<u8>) {
        while let Some(piece) = std::future::poll_fn(|cx| compressing.poll(cx))
            .await
            .expect("no error")
        {
            into.extend_from_slice(&piece);
        }
    }

    #[tokio::test]
    async fn what_goes_in_comes_out_whatever_its_pieces() {
        for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
            let mut compressing = Compressing::new(coding).expect("an encoder");
            let (mut sent, mut got) = (Vec::new(), Vec::new());
            assert!(!compressing.flush(), "nothing is inside");
            for size in [1, 10, 2048, 2049, 0, 300_000, 7] {
                let piece: Vec<u8> = (0..size).map(|at| (at % 251) as u8 ^ (at >> 9) as u8).collect();
                sent.extend_from_slice(&piece);
                compressing.give(Bytes::from(piece));
                taken(&mut compressing, &mut got).await;
            }
            assert!(compressing.flush());
            taken(&mut compressing, &mut got).await;
            assert!(!compressing.is_finished());
            compressing.finish();
            taken(&mut compressing, &mut got).await;
            assert!(compressing.is_finished(), "{coding:?}");
            assert_eq!(decode(coding, &got), sent, "{coding:?}");
            assert!(got.len() < sent.len() / 4, "{coding:?}: {}", got.len());
        }
    }

    #[tokio::test]
    async fn what_was_flushed_can_be_read_before_the_end() {
        let mut compressing = Compressing::new(Coding::Gzip).expect("an encoder");
        let mut got = Vec::new();
        compressing.give(Bytes::from_static(b"now"));
        taken(&mut compressing, &mut got).await;
        assert!(compressing.flush());
        taken(&mut compressing, &mut got).await;
        let mut begin = [0; 3];
        flate2::read::GzDecoder::new(&got[..])
            .read_exact(&mut begin)
            .expect("it is there");
        assert_eq!(&begin, b"now");
    }
}
