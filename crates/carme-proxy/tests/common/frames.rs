//! A member that speaks HTTP/2 frame by frame.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Listener;

/// The member's end, frame by frame.
pub struct Raw(pub TcpStream);

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

impl Raw {
    pub async fn accept(listener: &Listener) -> Self {
        let mut raw = Raw(listener.accept().await.0);
        let mut preface = [0; 24];
        raw.0.read_exact(&mut preface).await.unwrap();
        assert!(preface.starts_with(b"PRI * HTTP/2.0"));
        raw.write(SETTINGS, 0, 0, &[]).await;
        raw
    }

    pub async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.0
            .write_all(&frame(kind, flags, stream, payload))
            .await
            .unwrap();
    }

    /// The next frame: its type, its stream and its payload.
    pub async fn frame(&mut self) -> (u8, u32, Vec<u8>) {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await.unwrap();
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        (head[3], stream, payload)
    }

    /// The stream and the payload of the next frame of this kind.
    pub async fn next(&mut self, wanted: u8) -> (u32, Vec<u8>) {
        loop {
            let (kind, stream, payload) = self.frame().await;
            if kind == wanted {
                return (stream, payload);
            }
        }
    }

    /// `:status: 200`, and nothing else.
    pub async fn answer(&mut self, stream: u32) {
        self.write(HEADERS, 4 | 1, stream, &[0x88]).await;
    }

    pub async fn goaway(&mut self, last: u32) {
        let payload = [last.to_be_bytes(), [0; 4]].concat();
        self.write(GOAWAY, 0, 0, &payload).await;
    }
}
