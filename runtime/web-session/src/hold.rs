//! What a call, and the body of its response, keep of their caller.

use spk_schema::util_capnp::byte_stream;

/// What a call keeps of its caller, until its response is sent if that is streamed.
pub trait Hold: Unpin + 'static {
    /// Room for a body that is all here, kept until the client has it.
    type Room: Send + 'static;

    /// Waits until so many bytes of a body can be held; `None` if so few do not count.
    fn room_for(&self, bytes: usize) -> impl Future<Output = Option<Self::Room>>;

    /// A stream of ours in the form in which the session gets it.
    fn lend(&self, stream: byte_stream::Client) -> byte_stream::Client {
        stream
    }
}
