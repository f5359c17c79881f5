//! Frames: four bytes of length, the lowest first, then so many bytes.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A frame that is not taken or does not come.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("it announces {announced} bytes, more than the {most} that are taken")]
    TooLong { announced: u32, most: u32 },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads one frame of at most so many bytes; `None` if the other side has nothing more to say.
pub(crate) async fn read(
    from: &mut (impl AsyncRead + Unpin),
    most: u32,
) -> Result<Option<Vec<u8>>, FrameError> {
    let mut length = [0; 4];
    if from.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut length[1..]).await?;
    let announced = u32::from_le_bytes(length);
    if announced > most {
        return Err(FrameError::TooLong { announced, most });
    }
    // Memory is taken for what has come, not for what was announced.
    let mut frame = Vec::new();
    from.take(u64::from(announced)).read_to_end(&mut frame).await?;
    if frame.len() < announced as usize {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(Some(frame))
}

/// Writes one frame.
pub(crate) async fn write(to: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let mut bytes = Vec::with_capacity(frame.len() + 4);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(frame);
    to.write_all(&bytes).await?;
    to.flush().await
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime")
            .block_on(future)
    }

    proptest! {
        #[test]
        fn frames_arrive_whole_and_in_order(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..5),
            room in 1usize..50,
        ) {
            run(async {
                let (mut ours, mut theirs) = tokio::io::duplex(room);
                let sent = frames.clone();
                let sender = tokio::spawn(async move {
                    for frame in sent {
                        write(&mut ours, &frame).await.expect("it is read");
                    }
                });
                for frame in &frames {
                    let read = read(&mut theirs, 300).await.expect("a frame");
                    assert_eq!(read.as_ref(), Some(frame));
                }
                sender.await.expect("no panic");
                assert!(matches!(read(&mut theirs, 300).await, Ok(None)));
            });
        }

        #[test]
        fn any_bytes_end_in_a_frame_an_error_or_the_end(bytes: Vec<u8>) {
            run(async {
                let mut rest = &bytes[..];
                while let Ok(Some(frame)) = read(&mut rest, 64).await {
                    assert!(frame.len() <= 64);
                }
            });
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_by_its_length() {
        run(async {
            let mut bytes = &[0xff, 0xff, 0xff, 0x7f, 1][..];
            let refused = read(&mut bytes, 1 << 16).await.expect_err("too long");
            assert!(matches!(
                refused,
                FrameError::TooLong {
                    announced: 0x7fff_ffff,
                    most: 65536
                }
            ));
        });
    }

    #[test]
    fn an_end_within_a_frame_is_an_error() {
        for bytes in [&[1][..], &[1, 0, 0], &[2, 0, 0, 0, 1]] {
            let mut rest = bytes;
            assert!(run(read(&mut rest, 100)).is_err(), "{bytes:?}");
        }
    }
}
