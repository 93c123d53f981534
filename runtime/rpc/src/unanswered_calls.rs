//! The calls of one connection that are not answered yet.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};
use std::task::Waker;

use capnp::Error;
use capnp::private::capability::ParamsHook;
use capnp_rpc::IncomingMessage;
use capnp_rpc::rpc_capnp::{call, cap_descriptor, message, message_target, payload, return_};
use futures::channel::oneshot;

type Message = Box<dyn IncomingMessage>;

thread_local! {
    /// The call whose message was read last.
    static READ: RefCell<Option<CallId>> = const { RefCell::new(None) };
}

/// Tells when the call with these parameters is given up; `None` if it cannot be told.
pub(crate) fn call_of(params: &dyn ParamsHook) -> Option<oneshot::Receiver<()>> {
    READ.take();
    // Whether the parameters are valid is for the object to find out.
    let _ = params.get();
    let id = READ.take()?;
    id.calls.upgrade()?.watch(id.question)
}

/// Which call of which connection.
#[derive(Clone)]
struct CallId {
    calls: Weak<UnansweredCalls>,
    question: u32,
}

/// A call's message, which says who it is when it is read.
struct CallMessage {
    inner: Message,
    id: CallId,
}

impl IncomingMessage for CallMessage {
    fn get_body(&self) -> capnp::Result<capnp::any_pointer::Reader<'_>> {
        READ.set(Some(self.id.clone()));
        self.inner.get_body()
    }
}

/// A call that has no answer yet.
#[derive(Default)]
struct Call {
    /// Tells the call that it is given up.
    given_up: Option<oneshot::Sender<()>>,
    /// The `Finish` that waits for the answer.
    finish: Option<Message>,
    /// Other calls use its result: it has to go on when its caller has no use for it any more.
    is_used: bool,
}

/// What has to be remembered of one connection.
#[derive(Default)]
pub(crate) struct UnansweredCalls {
    calls: RefCell<HashMap<u32, Call>>,
    /// Messages that come before any others.
    ready: RefCell<VecDeque<Message>>,
    /// Who waits for messages.
    receiver: RefCell<Option<Waker>>,
}

/// What a message is about.
enum Kind {
    Call(u32),
    Finish(u32),
    Other,
}

impl UnansweredCalls {
    /// Takes notice of a message that has arrived, and returns what the library is to see of it
    /// now. What makes no sense is for the library to refuse.
    pub fn arrived(self: &Rc<UnansweredCalls>, message: Message) -> Option<Message> {
        match self.look_at(&*message) {
            Ok(Kind::Call(question)) => {
                let id = CallId { calls: Rc::downgrade(self), question };
                Some(Box::new(CallMessage { inner: message, id }))
            }
            Ok(Kind::Finish(question)) => self.finished(question, message),
            Ok(Kind::Other) | Err(_) => Some(message),
        }
    }

    fn look_at(&self, message: &dyn IncomingMessage) -> Result<Kind, Error> {
        let root: message::Reader<'_> = message.get_body()?.get_as()?;
        match root.which()? {
            message::Call(call) => {
                let call = call?;
                if let message_target::PromisedAnswer(answer) = call.get_target()?.which()? {
                    self.used(answer?.get_question_id());
                }
                self.used_in(call.get_params()?)?;
                // Those whose results go elsewhere get no answer.
                if !matches!(call.get_send_results_to().which()?, call::send_results_to::Caller(()))
                {
                    return Ok(Kind::Other);
                }
                let question = call.get_question_id();
                self.calls.borrow_mut().entry(question).or_default();
                return Ok(Kind::Call(question));
            }
            message::Return(answer) => {
                if let return_::Results(results) = answer?.which()? {
                    self.used_in(results?)?;
                }
            }
            message::Finish(finish) => return Ok(Kind::Finish(finish?.get_question_id())),
            _ => {}
        }
        Ok(Kind::Other)
    }

    fn used_in(&self, payload: payload::Reader<'_>) -> Result<(), Error> {
        payload.get_cap_table()?.iter().try_for_each(|descriptor| self.used_by(descriptor))
    }

    fn used_by(&self, descriptor: cap_descriptor::Reader<'_>) -> Result<(), Error> {
        if let cap_descriptor::ReceiverAnswer(answer) = descriptor.which()? {
            self.used(answer?.get_question_id());
        }
        Ok(())
    }

    fn used(&self, question: u32) {
        if let Some(call) = self.calls.borrow_mut().get_mut(&question) {
            call.is_used = true;
        }
    }

    /// The caller has no use for the answer: the call is told, if it can be.
    fn finished(&self, question: u32, message: Message) -> Option<Message> {
        let mut calls = self.calls.borrow_mut();
        let can_tell = |call: &Call| !call.is_used && call.given_up.is_some();
        let Some(call) = calls.get_mut(&question).filter(|call| can_tell(call)) else {
            calls.remove(&question);
            return Some(message);
        };
        call.finish = Some(message);
        if let Some(given_up) = call.given_up.take() {
            // It may have come to its end a moment ago.
            let _ = given_up.send(());
        }
        None
    }

    /// Tells when a call is given up, once.
    fn watch(&self, question: u32) -> Option<oneshot::Receiver<()>> {
        let mut calls = self.calls.borrow_mut();
        let call = calls.get_mut(&question)?;
        if call.given_up.is_some() || call.finish.is_some() {
            // An object in front of the one that asks does already know.
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        call.given_up = Some(sender);
        Some(receiver)
    }

    /// A call is answered.
    pub fn answered(&self, question: u32) {
        let call = self.calls.borrow_mut().remove(&question);
        if let Some(finish) = call.and_then(|call| call.finish) {
            self.ready.borrow_mut().push_back(finish);
            if let Some(receiver) = self.receiver.take() {
                receiver.wake();
            }
        }
    }

    /// A message that comes before any others.
    pub fn ready(&self) -> Option<Message> {
        self.ready.borrow_mut().pop_front()
    }

    /// Has `receiver` woken when there is one.
    pub fn wake(&self, receiver: &Waker) {
        self.receiver.replace(Some(receiver.clone()));
    }
}
