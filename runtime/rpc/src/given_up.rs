//! Answers to calls that their caller gives up.
//!
//! A caller that does not wait on sends `Finish` before the answer. The RPC library then drops the
//! call, and with it what would have answered: its own entry and the caller's stay until the
//! connection ends. [`Tidy`](crate::Tidy) stands between the library and the connection and holds such a
//! `Finish` back until the call, which is told of it here, has ended with an error that the library
//! sends as an answer. Then the `Finish` follows, and both sides forget the call.
//!
//! The library does not tell objects which call of the connection they serve. It does read the
//! parameters from the call's message, and that message is ours: [`GivenUp::of`] asks for the
//! parameters, whereupon the message says who it is. So this works for calls that were queued, too.

use std::rc::Rc;

use capnp::capability::{FromClientHook, FromServer, Promise, Request};
use capnp::private::capability::{ClientHook, ParamsHook, ResultsHook};
use capnp::{Error, MessageSize, any_pointer};
use futures::channel::oneshot;
use futures::future::{Either, pending, select};

use crate::unanswered_calls;

/// A client for `server` whose calls are answered when they are given up.
pub fn new_client<C: FromServer<S>, S>(server: S) -> C {
    answered(capnp_rpc::new_client(server))
}

/// `client`, whose calls are answered when they are given up.
pub fn answered<C: FromClientHook>(client: C) -> C {
    C::new(Box::new(Answered(Rc::new(client.into_client_hook()))))
}

/// Tells when the caller of one call has given it up. Of calls that come from no connection with
/// [`Tidy`](crate::Tidy), this never tells.
pub struct GivenUp(Option<oneshot::Receiver<()>>);

impl GivenUp {
    /// That of the call with these parameters.
    pub fn of(params: &dyn ParamsHook) -> GivenUp {
        GivenUp(unanswered_calls::call_of(params))
    }

    /// What `call` comes to, unless it is given up before: then it is dropped.
    pub fn or(self, call: Promise<(), Error>) -> Promise<(), Error> {
        let Some(given_up) = self.0 else { return call };
        Promise::from_future(async move {
            let given_up = std::pin::pin!(async {
                // The other end is dropped if nobody needs to know any more.
                if given_up.await.is_err() {
                    pending::<()>().await;
                }
            });
            match select(given_up, call).await {
                Either::Left(((), call)) => {
                    drop(call);
                    Err(Error::failed("the caller gave the call up".into()))
                }
                Either::Right((result, _)) => result,
            }
        })
    }
}

/// A reference to an object whose calls are answered.
struct Answered(Rc<Box<dyn ClientHook>>);

impl ClientHook for Answered {
    fn add_ref(&self) -> Box<dyn ClientHook> {
        Box::new(Answered(self.0.clone()))
    }

    /// For callers in our own process, who drop what they give up.
    fn new_call(
        &self,
        interface: u64,
        method: u16,
        size: Option<MessageSize>,
    ) -> Request<any_pointer::Owned, any_pointer::Owned> {
        self.0.new_call(interface, method, size)
    }

    fn call(
        &self,
        interface: u64,
        method: u16,
        params: Box<dyn ParamsHook>,
        results: Box<dyn ResultsHook>,
    ) -> Promise<(), Error> {
        let given_up = GivenUp::of(&*params);
        given_up.or(self.0.call(interface, method, params, results))
    }

    /// Not that of any connection.
    fn get_brand(&self) -> usize {
        0
    }

    fn get_ptr(&self) -> usize {
        Rc::as_ptr(&self.0) as usize
    }

    /// What is behind a promise would have its calls unanswered.
    fn get_resolved(&self) -> Option<Box<dyn ClientHook>> {
        None
    }

    fn when_more_resolved(&self) -> Option<Promise<Box<dyn ClientHook>, Error>> {
        None
    }

    fn when_resolved(&self) -> Promise<(), Error> {
        self.0.when_resolved()
    }
}
