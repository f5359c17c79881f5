//! What the WSGI layer needs of the world: a way out for responses, a way in for large bodies.

use std::fs::File;
use std::io;

use carme_ring::os::BorrowedHandle;
use carme_ring::{RecordKind, StreamId};

/// One record on its way to the front.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// What it is.
    pub kind: RecordKind,
    /// See [`carme_ring::flags`].
    pub flags: u8,
    /// The part that no credit is needed for: an encoded head, or what went wrong.
    pub head: &'a [u8],
    /// Body bytes.
    pub body: &'a [u8],
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Posted {
    /// It is with the front.
    Sent,
    /// There is no room or no credit for it: [`Mail::wait`] first.
    Wait,
    /// The client has left; nobody reads this response.
    Gone,
}

/// The post of one thread. Every call names the stream, so that what outlives its request reaches nobody else's.
pub trait Mail: Send + Sync {
    /// The stream's last record comes next, and nothing after it keeps its thread: it may be counted as free before the
    /// front can answer the client, so that the client's next request finds it so.
    fn ending(&self, _stream: StreamId) {}

    /// Sends a record, or says why not. Never waits.
    fn post(&self, stream: StreamId, record: Outgoing<'_>) -> Posted;

    /// Waits until it may be worth while to post `body` bytes again. To be called without the GIL.
    fn wait(&self, stream: StreamId, body: usize);

    /// Hands a file over as the body of a response whose head was posted with [`carme_ring::flags::FILE`].
    fn give_file(
        &self,
        stream: StreamId,
        file: BorrowedHandle<'_>,
        offset: u64,
        length: u64,
    ) -> io::Result<()>;

    /// Asks for the file that holds a request's body and waits for it. To be called without the GIL.
    fn body_file(&self, stream: StreamId) -> io::Result<File>;
}
