//! Promises of the peer, which are called like any other object of its.
//!
//! A capability that is not known yet comes as `senderPromise`, and what it became later as a
//! `Resolve` message. The library follows that, and panics where it led to something that is not
//! across this connection (an error, nothing at all, an object of our own) and a call has
//! capabilities in its parameters: `Request::send` of capnp-rpc 0.27 copies such a call without its
//! table of capabilities. The protocol does not ask to follow: whoever sends a promise takes calls on
//! it until it is released, also when it is resolved, and passes them on. So each promise is made a
//! `senderHosted` before the library sees it ([`Network`]), and no `Resolve` gets to it
//! ([`Unresolved`]). What this costs is a detour through the peer for calls on what turns out to be
//! an object of ours.

use std::cell::RefCell;
use std::rc::Rc;

use capnp::Error;
use capnp::capability::Promise;
use capnp::message::{Reader, ReaderOptions};
use capnp::raw::get_struct_data_section;
use capnp::serialize::OwnedSegments;
use capnp_futures::serialize::try_read_message;
use capnp_rpc::rpc_capnp::{cap_descriptor, message, payload, resolve, return_};
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{
    Connection, FlowController, IncomingMessage, OutgoingMessage, VatNetwork, twoparty,
};
use futures::io::Empty;
use futures::{AsyncRead, AsyncWrite};

type Received = Option<Box<dyn IncomingMessage>>;

/// The discriminant of `senderHosted` in a `CapDescriptor`, which is in the first two bytes of its
/// data.
const SENDER_HOSTED: [u8; 2] = 1u16.to_le_bytes();

/// Words of a message that releases an object.
const RELEASE_WORDS: u32 = 8;

/// The library's network for two parties, on which promises of the peer are objects.
pub struct Network<T> {
    /// Only writes.
    inner: twoparty::VatNetwork<Empty>,
    input: Rc<RefCell<Option<T>>>,
    options: ReaderOptions,
}

impl<T: AsyncRead + Unpin + 'static> Network<T> {
    /// As the library's: `side` is what we are, `options` are for the messages that come in.
    pub fn new<U>(input: T, output: U, side: Side, options: ReaderOptions) -> Network<T>
    where
        U: AsyncWrite + Unpin + 'static,
    {
        let inner = twoparty::VatNetwork::new(futures::io::empty(), output, side, options);
        Network { inner, input: Rc::new(RefCell::new(Some(input))), options }
    }

    /// Bytes that may be on their way in each stream.
    pub fn set_window_size(&mut self, bytes: usize) {
        self.inner.set_window_size(bytes);
    }
}

impl<T: AsyncRead + Unpin + 'static> VatNetwork<Side> for Network<T> {
    fn connect(&mut self, side: Side) -> Option<Box<dyn Connection<Side>>> {
        let inner = self.inner.connect(side)?;
        let (input, options) = (self.input.clone(), self.options);
        Some(Box::new(Reading { inner, input, options }))
    }

    fn accept(&mut self) -> Promise<Box<dyn Connection<Side>>, Error> {
        let (inner, input, options) = (self.inner.accept(), self.input.clone(), self.options);
        Promise::from_future(async move {
            let inner = inner.await?;
            Ok(Box::new(Reading { inner, input, options }) as Box<dyn Connection<Side>>)
        })
    }

    fn drive_until_shutdown(&mut self) -> Promise<(), Error> {
        self.inner.drive_until_shutdown()
    }
}

struct Reading<T> {
    inner: Box<dyn Connection<Side>>,
    /// Away while a message is being read.
    input: Rc<RefCell<Option<T>>>,
    options: ReaderOptions,
}

impl<T: AsyncRead + Unpin + 'static> Connection<Side> for Reading<T> {
    fn get_peer_vat_id(&self) -> Side {
        self.inner.get_peer_vat_id()
    }

    fn new_outgoing_message(&mut self, words: u32) -> Box<dyn OutgoingMessage> {
        self.inner.new_outgoing_message(words)
    }

    fn receive_incoming_message(&mut self) -> Promise<Received, Error> {
        let (place, options) = (self.input.clone(), self.options);
        let Some(mut input) = place.take() else {
            return Promise::err(Error::failed("a message is being received already".into()));
        };
        Promise::from_future(async move {
            let message = try_read_message(&mut input, options).await?;
            *place.borrow_mut() = Some(input);
            let message = message.map(|message| without_promises(message, options)).transpose()?;
            Ok(message.map(|message| Box::new(Message(message)) as Box<dyn IncomingMessage>))
        })
    }

    fn new_stream(&mut self) -> (Box<dyn FlowController>, Promise<(), Error>) {
        self.inner.new_stream()
    }

    fn shutdown(&mut self, result: Result<(), Error>) -> Promise<(), Error> {
        self.inner.shutdown(result)
    }
}

struct Message(Reader<OwnedSegments>);

impl IncomingMessage for Message {
    fn get_body(&self) -> Result<capnp::any_pointer::Reader<'_>, Error> {
        self.0.get_root()
    }
}

/// The message with each promise in it made an object.
fn without_promises(
    message: Reader<OwnedSegments>,
    options: ReaderOptions,
) -> Result<Reader<OwnedSegments>, Error> {
    let promises = promises_in(&message)?;
    if promises.is_empty() {
        return Ok(message);
    }
    let mut segments = message.into_segments();
    let start = segments.as_ptr().addr();
    for address in promises {
        // The bytes have not moved: they belong to what `message` was made of.
        let place = address.checked_sub(start).and_then(|at| segments.get_mut(at..at + 2));
        let place = place.ok_or_else(|| Error::failed("a capability is nowhere".into()))?;
        place.copy_from_slice(&SENDER_HOSTED);
    }
    let message = Reader::new(segments, options);
    // Of a message whose parts lie upon each other more may have become another.
    match promises_in(&message)?.is_empty() {
        true => Ok(message),
        false => Err(Error::failed("a message's capabilities lie upon each other".into())),
    }
}

/// Where in memory the promises are that a message gives us.
fn promises_in(message: &Reader<OwnedSegments>) -> Result<Vec<usize>, Error> {
    let root: message::Reader<'_> = message.get_root()?;
    // What this version of the protocol does not know, the library refuses.
    match root.which() {
        Ok(message::Call(call)) => promises_of(call?.get_params()?),
        Ok(message::Return(answer)) => match answer?.which() {
            Ok(return_::Results(results)) => promises_of(results?),
            _ => Ok(Vec::new()),
        },
        _ => Ok(Vec::new()),
    }
}

fn promises_of(payload: payload::Reader<'_>) -> Result<Vec<usize>, Error> {
    let table = payload.get_cap_table()?;
    let promises = table
        .iter()
        .filter(|descriptor| matches!(descriptor.which(), Ok(cap_descriptor::SenderPromise(_))));
    Ok(promises.map(|descriptor| get_struct_data_section(descriptor).as_ptr().addr()).collect())
}

/// A network that keeps from the library what became of the peer's promises.
pub struct Unresolved<N>(N);

impl<N: VatNetwork<Side>> Unresolved<N> {
    /// Puts itself before `inner`.
    pub fn new(inner: N) -> Unresolved<N> {
        Unresolved(inner)
    }
}

fn wrap(inner: Box<dyn Connection<Side>>) -> Box<dyn Connection<Side>> {
    Box::new(UnresolvedConnection(Rc::new(RefCell::new(inner))))
}

impl<N: VatNetwork<Side>> VatNetwork<Side> for Unresolved<N> {
    fn connect(&mut self, side: Side) -> Option<Box<dyn Connection<Side>>> {
        self.0.connect(side).map(wrap)
    }

    fn accept(&mut self) -> Promise<Box<dyn Connection<Side>>, Error> {
        let inner = self.0.accept();
        Promise::from_future(async move { inner.await.map(wrap) })
    }

    fn drive_until_shutdown(&mut self) -> Promise<(), Error> {
        self.0.drive_until_shutdown()
    }
}

struct UnresolvedConnection(Rc<RefCell<Box<dyn Connection<Side>>>>);

impl Connection<Side> for UnresolvedConnection {
    fn get_peer_vat_id(&self) -> Side {
        self.0.borrow().get_peer_vat_id()
    }

    fn new_outgoing_message(&mut self, words: u32) -> Box<dyn OutgoingMessage> {
        self.0.borrow_mut().new_outgoing_message(words)
    }

    fn receive_incoming_message(&mut self) -> Promise<Received, Error> {
        // Whoever waits must not keep the connection.
        let inner = Rc::downgrade(&self.0);
        Promise::from_future(async move {
            loop {
                let Some(connection) = inner.upgrade() else { return Ok(None) };
                let message = connection.borrow_mut().receive_incoming_message();
                drop(connection);
                let Some(message) = message.await? else { return Ok(None) };
                let given = match resolution(&*message)? {
                    None => return Ok(Some(message)),
                    Some(given) => given,
                };
                drop(message);
                if let (Some(id), Some(connection)) = (given, inner.upgrade()) {
                    release(connection.borrow_mut().new_outgoing_message(RELEASE_WORDS), id)?;
                }
            }
        })
    }

    fn new_stream(&mut self) -> (Box<dyn FlowController>, Promise<(), Error>) {
        self.0.borrow_mut().new_stream()
    }

    fn shutdown(&mut self, result: Result<(), Error>) -> Promise<(), Error> {
        self.0.borrow_mut().shutdown(result)
    }
}

/// If a message tells what became of a promise: the object of the peer's that it gives us, if any.
fn resolution(message: &dyn IncomingMessage) -> Result<Option<Option<u32>>, Error> {
    let root: message::Reader<'_> = message.get_body()?.get_as()?;
    let Ok(message::Resolve(resolution)) = root.which() else { return Ok(None) };
    let Ok(resolve::Cap(descriptor)) = resolution?.which() else { return Ok(Some(None)) };
    Ok(Some(match descriptor?.which() {
        Ok(cap_descriptor::SenderHosted(id) | cap_descriptor::SenderPromise(id)) => Some(id),
        _ => None,
    }))
}

/// Gives an object of the peer's back to it.
fn release(mut message: Box<dyn OutgoingMessage>, id: u32) -> Result<(), Error> {
    let root: message::Builder<'_> = message.get_body()?.init_as();
    let mut release = root.init_release();
    release.set_id(id);
    release.set_reference_count(1);
    // It is on its way when it is in the queue; whether it arrives is the connection's matter.
    drop(message.send());
    Ok(())
}

#[cfg(test)]
mod tests {
    use capnp::message::Builder;

    use super::*;

    /// As a peer sends it.
    fn arriving(message: &Builder<capnp::message::HeapAllocator>) -> Reader<OwnedSegments> {
        let bytes = capnp::serialize::write_message_to_words(message);
        capnp::serialize::read_message(&bytes[..], ReaderOptions::new()).unwrap()
    }

    fn fill(mut descriptors: capnp::struct_list::Builder<'_, cap_descriptor::Owned>) {
        descriptors.reborrow().get(0).set_sender_promise(7);
        descriptors.reborrow().get(1).set_receiver_hosted(8);
        descriptors.reborrow().get(2).set_sender_promise(9);
        descriptors.reborrow().get(3).set_sender_hosted(10);
    }

    fn check(descriptors: capnp::struct_list::Reader<'_, cap_descriptor::Owned>) {
        let hosted = |at| match descriptors.get(at).which().unwrap() {
            cap_descriptor::SenderHosted(id) => Some(id),
            _ => None,
        };
        assert_eq!([0, 1, 2, 3].map(hosted), [Some(7), None, Some(9), Some(10)]);
    }

    #[test]
    fn promises_become_objects_in_calls_and_answers() {
        let mut call = Builder::new_default();
        let mut params = call.init_root::<message::Builder<'_>>().init_call().init_params();
        params.reborrow().get_content().set_as("what is said").unwrap();
        fill(params.init_cap_table(4));
        let call = without_promises(arriving(&call), ReaderOptions::new()).unwrap();
        let Ok(message::Call(call)) = call.get_root::<message::Reader<'_>>().unwrap().which()
        else {
            panic!("another message");
        };
        let params = call.unwrap().get_params().unwrap();
        check(params.get_cap_table().unwrap());
        let said: capnp::text::Reader<'_> = params.get_content().get_as().unwrap();
        assert_eq!(said, "what is said");

        let mut answer = Builder::new_default();
        let root = answer.init_root::<message::Builder<'_>>();
        fill(root.init_return().init_results().init_cap_table(4));
        let answer = without_promises(arriving(&answer), ReaderOptions::new()).unwrap();
        let root = answer.get_root::<message::Reader<'_>>().unwrap();
        let Ok(message::Return(answer)) = root.which() else { panic!("another message") };
        let Ok(return_::Results(results)) = answer.unwrap().which() else { panic!("no results") };
        check(results.unwrap().get_cap_table().unwrap());
    }

    #[test]
    fn a_resolution_gives_what_is_to_be_released() {
        for (fill, given) in [
            ((|cap| cap.set_sender_hosted(3)) as fn(&mut cap_descriptor::Builder<'_>), Some(3)),
            (|cap| cap.set_sender_promise(4), Some(4)),
            (|cap| cap.set_receiver_hosted(5), None),
            (|cap| cap.set_none(()), None),
        ] {
            let mut message = Builder::new_default();
            let root = message.init_root::<message::Builder<'_>>();
            fill(&mut root.init_resolve().init_cap());
            assert_eq!(resolution(&Message(arriving(&message))).unwrap(), Some(given));
        }
        let mut broken = Builder::new_default();
        broken.init_root::<message::Builder<'_>>().init_resolve().init_exception();
        assert_eq!(resolution(&Message(arriving(&broken))).unwrap(), Some(None));
        let mut other = Builder::new_default();
        other.init_root::<message::Builder<'_>>().init_finish();
        assert_eq!(resolution(&Message(arriving(&other))).unwrap(), None);
    }
}
