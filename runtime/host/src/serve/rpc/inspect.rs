//! What every message of the app is looked at for before the library acts on it.

use std::cell::RefCell;
use std::collections::HashMap;

use capnp::Error;
use capnp_rpc::rpc_capnp::{
    cap_descriptor, message, message_target, payload, promised_answer, return_,
};

use super::meter::{CALLS, GIVEN_UP};

/// Capabilities in one message. Each costs the host a few hundred bytes, the app sixteen.
const CAPABILITIES: u32 = 4096;

/// How deep calls may stand on results that are not there yet. What stands on it is dropped
/// recursively.
const DEPTH: u16 = 64;

/// Steps from a result to a capability in it: more than any schema has levels.
const STEPS: u32 = 64;

/// What must be remembered from message to message.
#[derive(Default)]
pub(super) struct Inspector {
    /// The app's calls, by question ID.
    calls: RefCell<HashMap<u32, Call>>,
    /// How many of them the app has given up.
    given_up: RefCell<usize>,
}

#[derive(Clone, Copy, Default)]
struct Call {
    depth: u16,
    returned: bool,
    finished: bool,
}

fn refuse(reason: impl Into<String>) -> Error {
    Error::failed(reason.into())
}

impl Inspector {
    /// A message of the app; whether it is an answer to a call of ours.
    pub fn incoming(&self, body: capnp::any_pointer::Reader<'_>) -> Result<bool, Error> {
        let root: message::Reader<'_> = body.get_as()?;
        // What this version of the protocol does not know, the library refuses.
        let Ok(which) = root.which() else { return Ok(false) };
        match which {
            message::Bootstrap(bootstrap) => self.begin(bootstrap?.get_question_id(), 0)?,
            message::Call(call) => {
                let call = call?;
                let mut depth = match call.get_target()?.which()? {
                    message_target::ImportedCap(_) => 0,
                    message_target::PromisedAnswer(answer) => self.depth_of(answer?)?,
                };
                depth = depth.max(self.payload(call.get_params()?)?);
                self.begin(call.get_question_id(), depth)?;
            }
            message::Return(answer) => {
                if let return_::Results(results) = answer?.which()? {
                    self.payload(results?)?;
                }
                return Ok(true);
            }
            message::Finish(finish) => self.finish(finish?.get_question_id())?,
            _ => {}
        }
        Ok(false)
    }

    /// The host has answered a call of the app; no `Finish` follows if `final_`.
    pub fn returned(&self, id: u32, final_: bool) {
        let mut calls = self.calls.borrow_mut();
        if let Some(call) = calls.get_mut(&id) {
            call.returned = true;
            if call.finished {
                let mut given_up = self.given_up.borrow_mut();
                *given_up = given_up.saturating_sub(1);
            }
            if call.finished || final_ {
                calls.remove(&id);
            }
        }
    }

    fn begin(&self, id: u32, depth: u16) -> Result<(), Error> {
        if depth > DEPTH {
            return Err(refuse(format!(
                "it makes calls on results of calls on results, more than {DEPTH} deep"
            )));
        }
        let mut calls = self.calls.borrow_mut();
        // One that is in use is refused by the library.
        calls.entry(id).or_insert(Call { depth, ..Call::default() });
        if calls.len() - *self.given_up.borrow() > CALLS {
            return Err(refuse(format!("it has more than {CALLS} calls under way")));
        }
        Ok(())
    }

    fn finish(&self, id: u32) -> Result<(), Error> {
        let mut calls = self.calls.borrow_mut();
        let Some(call) = calls.get_mut(&id) else { return Ok(()) };
        if call.returned {
            calls.remove(&id);
            return Ok(());
        }
        if !std::mem::replace(&mut call.finished, true) {
            let mut given_up = self.given_up.borrow_mut();
            *given_up += 1;
            if *given_up > GIVEN_UP {
                return Err(refuse(format!("it has given up more than {GIVEN_UP} calls")));
            }
        }
        Ok(())
    }

    /// One more than the depth of the call whose result it is.
    fn depth_of(&self, answer: promised_answer::Reader<'_>) -> Result<u16, Error> {
        if answer.get_transform()?.len() > STEPS {
            return Err(refuse(format!("it names a result by more than {STEPS} steps")));
        }
        let calls = self.calls.borrow();
        Ok(calls.get(&answer.get_question_id()).map_or(0, |call| call.depth.saturating_add(1)))
    }

    fn payload(&self, payload: payload::Reader<'_>) -> Result<u16, Error> {
        let table = payload.get_cap_table()?;
        if table.len() > CAPABILITIES {
            return Err(refuse(format!(
                "it sends {} capabilities in one message, more than {CAPABILITIES}",
                table.len()
            )));
        }
        let mut depth = 0;
        for descriptor in table {
            depth = depth.max(self.descriptor(descriptor)?);
        }
        Ok(depth)
    }

    fn descriptor(&self, descriptor: cap_descriptor::Reader<'_>) -> Result<u16, Error> {
        match descriptor.which()? {
            cap_descriptor::ReceiverAnswer(answer) => self.depth_of(answer?),
            _ => Ok(0),
        }
    }
}
