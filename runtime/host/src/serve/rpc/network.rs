//! The network for two parties, with a guard in it.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use capnp::Error;
use capnp::capability::Promise;
use capnp::message::{Builder, HeapAllocator};
use capnp_rpc::rpc_capnp::{cap_descriptor, message, payload, resolve, return_};
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{Connection, FlowController, IncomingMessage, OutgoingMessage, VatNetwork};
use futures::future::{Either, select};
use futures::{AsyncRead, AsyncWrite};
use spk_rpc::Network;

use super::WORD;
use super::inspect::Inspector;
use super::meter::{Charge, Meter};

/// What all parts of one connection share.
struct Guard {
    meter: Rc<Meter>,
    inspector: Inspector,
}

/// The network.
pub(super) struct Guarded<T: AsyncRead + Unpin + 'static> {
    inner: Network<T>,
    guard: Rc<Guard>,
}

impl<T: AsyncRead + Unpin + 'static> Guarded<T> {
    pub fn new(inner: Network<T>, meter: Rc<Meter>) -> Guarded<T> {
        let guard = Rc::new(Guard { meter, inspector: Inspector::default() });
        Guarded { inner, guard }
    }
}

impl<T: AsyncRead + Unpin + 'static> VatNetwork<Side> for Guarded<T> {
    fn connect(&mut self, side: Side) -> Option<Box<dyn Connection<Side>>> {
        let inner = self.inner.connect(side)?;
        Some(Box::new(GuardedConnection { inner, guard: self.guard.clone() }))
    }

    fn accept(&mut self) -> Promise<Box<dyn Connection<Side>>, Error> {
        let (inner, guard) = (self.inner.accept(), self.guard.clone());
        Promise::from_future(async move {
            let inner = inner.await?;
            Ok(Box::new(GuardedConnection { inner, guard }) as Box<dyn Connection<Side>>)
        })
    }

    fn drive_until_shutdown(&mut self) -> Promise<(), Error> {
        self.inner.drive_until_shutdown()
    }
}

struct GuardedConnection {
    inner: Box<dyn Connection<Side>>,
    guard: Rc<Guard>,
}

impl Connection<Side> for GuardedConnection {
    fn get_peer_vat_id(&self) -> Side {
        self.inner.get_peer_vat_id()
    }

    fn new_outgoing_message(&mut self, words: u32) -> Box<dyn OutgoingMessage> {
        let inner = self.inner.new_outgoing_message(words);
        Box::new(Outgoing { inner, guard: self.guard.clone() })
    }

    fn receive_incoming_message(&mut self) -> Promise<Option<Box<dyn IncomingMessage>>, Error> {
        let (inner, guard) = (self.inner.receive_incoming_message(), self.guard.clone());
        Promise::from_future(async move {
            let receive = std::pin::pin!(async {
                guard.meter.room().await;
                inner.await
            });
            let verdict = std::pin::pin!(guard.meter.verdict());
            let message = match select(verdict, receive).await {
                Either::Left((verdict, _)) => return Err(verdict),
                Either::Right((message, _)) => message?,
            };
            let Some(message) = message else { return Ok(None) };
            let charge = guard.meter.charge();
            if guard.inspector.incoming(message.get_body()?)? {
                guard.meter.answered();
            }
            Ok(Some(Box::new(Incoming { inner: message, _charge: charge }) as Box<_>))
        })
    }

    fn new_stream(&mut self) -> (Box<dyn FlowController>, Promise<(), Error>) {
        spk_rpc::ending(self.inner.new_stream())
    }

    fn shutdown(&mut self, result: Result<(), Error>) -> Promise<(), Error> {
        self.inner.shutdown(result)
    }
}

/// A message of the app, kept as long as anything needs it.
struct Incoming {
    inner: Box<dyn IncomingMessage>,
    _charge: Charge,
}

impl IncomingMessage for Incoming {
    fn get_body(&self) -> Result<capnp::any_pointer::Reader<'_>, Error> {
        self.inner.get_body()
    }
}

/// A message for the app.
struct Outgoing {
    inner: Box<dyn OutgoingMessage>,
    guard: Rc<Guard>,
}

impl Outgoing {
    /// Keeps account of what the message begins and ends.
    fn note(&self) -> Result<(), Error> {
        let (meter, inspector) = (&self.guard.meter, &self.guard.inspector);
        let root: message::Reader<'_> = self.inner.get_body_as_reader()?.get_as()?;
        match root.which()? {
            message::Bootstrap(_) => meter.asked(),
            message::Call(call) => {
                meter.asked();
                self.exported(call?.get_params()?)?;
            }
            message::Return(answer) => {
                let answer = answer?;
                inspector.returned(answer.get_answer_id(), answer.get_no_finish_needed());
                if let return_::Results(results) = answer.which()? {
                    self.exported(results?)?;
                }
            }
            message::Resolve(resolution) => {
                if let resolve::Cap(descriptor) = resolution?.which()? {
                    self.export(descriptor?)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn exported(&self, payload: payload::Reader<'_>) -> Result<(), Error> {
        payload.get_cap_table()?.iter().try_for_each(|descriptor| self.export(descriptor))
    }

    fn export(&self, descriptor: cap_descriptor::Reader<'_>) -> Result<(), Error> {
        let id = match descriptor.which()? {
            cap_descriptor::SenderHosted(id) | cap_descriptor::SenderPromise(id) => id,
            _ => return Ok(()),
        };
        self.guard.meter.exported(id);
        Ok(())
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
        let _ = self.note();
        let meter = self.guard.meter.clone();
        let (sent, message) = self.inner.send();
        let words = capnp::serialize::compute_serialized_size_in_words(&*message);
        meter.queue(words as u64 * WORD);
        (sent, message)
    }

    fn take(self: Box<Self>) -> Builder<HeapAllocator> {
        self.inner.take()
    }

    fn size_in_words(&self) -> usize {
        self.inner.size_in_words()
    }
}

/// Tells the meter what is read.
pub(super) struct CountedReader<T> {
    inner: T,
    meter: Rc<Meter>,
}

impl<T> CountedReader<T> {
    pub fn new(inner: T, meter: Rc<Meter>) -> CountedReader<T> {
        CountedReader { inner, meter }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for CountedReader<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_read(context, buffer);
        if let Poll::Ready(Ok(count)) = result {
            self.meter.read(count);
        }
        result
    }
}

/// Tells the meter what is written.
pub(super) struct CountedWriter<T> {
    inner: T,
    meter: Rc<Meter>,
}

impl<T> CountedWriter<T> {
    pub fn new(inner: T, meter: Rc<Meter>) -> CountedWriter<T> {
        CountedWriter { inner, meter }
    }

    fn counted(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = result {
            self.meter.written(count);
        }
        result
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for CountedWriter<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(context, data);
        self.counted(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(context, parts);
        self.counted(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(context)
    }
}
