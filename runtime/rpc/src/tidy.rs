//! A connection of the library's on which nothing stays behind.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};

use capnp::Error;
use capnp::capability::Promise;
use capnp::message::{Builder, HeapAllocator};
use capnp_rpc::rpc_capnp::message;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{Connection, FlowController, IncomingMessage, OutgoingMessage, VatNetwork};

use crate::ending_streams::ending;
use crate::unanswered_calls::UnansweredCalls;

type Inner = Rc<RefCell<Box<dyn Connection<Side>>>>;
type Received = Option<Box<dyn IncomingMessage>>;

/// A network on whose connection calls to objects that are [`answered`](crate::answered) have an
/// answer when they are given up, and streams end.
pub struct Tidy<N> {
    inner: N,
    state: Rc<State>,
}

/// What all parts of the connection share.
#[derive(Default)]
struct State {
    calls: Rc<UnansweredCalls>,
    /// A message that is arriving. It goes on to arrive while others overtake it.
    arriving: RefCell<Option<Promise<Received, Error>>>,
}

impl<N: VatNetwork<Side>> Tidy<N> {
    /// Puts itself before `inner`.
    pub fn new(inner: N) -> Tidy<N> {
        Tidy { inner, state: Rc::default() }
    }
}

fn wrap(inner: Box<dyn Connection<Side>>, state: Rc<State>) -> Box<dyn Connection<Side>> {
    Box::new(TidyConnection { inner: Rc::new(RefCell::new(inner)), state })
}

impl<N: VatNetwork<Side>> VatNetwork<Side> for Tidy<N> {
    fn connect(&mut self, side: Side) -> Option<Box<dyn Connection<Side>>> {
        Some(wrap(self.inner.connect(side)?, self.state.clone()))
    }

    fn accept(&mut self) -> Promise<Box<dyn Connection<Side>>, Error> {
        let (inner, state) = (self.inner.accept(), self.state.clone());
        Promise::from_future(async move { Ok(wrap(inner.await?, state)) })
    }

    fn drive_until_shutdown(&mut self) -> Promise<(), Error> {
        self.inner.drive_until_shutdown()
    }
}

struct TidyConnection {
    inner: Inner,
    state: Rc<State>,
}

impl Connection<Side> for TidyConnection {
    fn get_peer_vat_id(&self) -> Side {
        self.inner.borrow().get_peer_vat_id()
    }

    fn new_outgoing_message(&mut self, words: u32) -> Box<dyn OutgoingMessage> {
        let inner = self.inner.borrow_mut().new_outgoing_message(words);
        Box::new(Outgoing { inner, calls: self.state.calls.clone() })
    }

    fn receive_incoming_message(&mut self) -> Promise<Received, Error> {
        // Whoever waits must not keep the connection.
        let (inner, state) = (Rc::downgrade(&self.inner), self.state.clone());
        Promise::from_future(std::future::poll_fn(move |context| state.poll(&inner, context)))
    }

    fn new_stream(&mut self) -> (Box<dyn FlowController>, Promise<(), Error>) {
        ending(self.inner.borrow_mut().new_stream())
    }

    fn shutdown(&mut self, result: Result<(), Error>) -> Promise<(), Error> {
        self.inner.borrow_mut().shutdown(result)
    }
}

impl State {
    /// The next message for the library.
    fn poll(
        &self,
        inner: &Weak<RefCell<Box<dyn Connection<Side>>>>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Received, Error>> {
        loop {
            // Before a new call can have the same number.
            if let Some(message) = self.calls.ready() {
                return Poll::Ready(Ok(Some(message)));
            }
            self.calls.wake(context.waker());
            let mut arriving = self.arriving.borrow_mut();
            if arriving.is_none() {
                let Some(inner) = inner.upgrade() else { return Poll::Ready(Ok(None)) };
                *arriving = Some(inner.borrow_mut().receive_incoming_message());
            }
            let Some(promise) = arriving.as_mut() else { continue };
            let received = ready!(Pin::new(promise).poll(context));
            *arriving = None;
            let Some(message) = received? else { return Poll::Ready(Ok(None)) };
            if let Some(message) = self.calls.arrived(message) {
                return Poll::Ready(Ok(Some(message)));
            }
        }
    }
}

/// A message for the peer.
struct Outgoing {
    inner: Box<dyn OutgoingMessage>,
    calls: Rc<UnansweredCalls>,
}

impl Outgoing {
    /// The call that it answers.
    fn answers(&self) -> Result<Option<u32>, Error> {
        let root: message::Reader<'_> = self.inner.get_body_as_reader()?.get_as()?;
        match root.which()? {
            message::Return(answer) => Ok(Some(answer?.get_answer_id())),
            _ => Ok(None),
        }
    }
}

impl OutgoingMessage for Outgoing {
    fn get_body(&mut self) -> Result<capnp::any_pointer::Builder<'_>, Error> {
        self.inner.get_body()
    }

    fn get_body_as_reader(&self) -> Result<capnp::any_pointer::Reader<'_>, Error> {
        self.inner.get_body_as_reader()
    }

    fn send(self: Box<Self>) -> (Promise<(), Error>, Rc<Builder<HeapAllocator>>) {
        // A message that we made can be read.
        if let Ok(Some(question)) = self.answers() {
            self.calls.answered(question);
        }
        self.inner.send()
    }

    fn take(self: Box<Self>) -> Builder<HeapAllocator> {
        self.inner.take()
    }

    fn size_in_words(&self) -> usize {
        self.inner.size_in_words()
    }
}
