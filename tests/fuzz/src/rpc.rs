//! A peer on a Cap'n Proto connection that says whatever the input decides: messages that are well
//! formed, about calls and objects that are there, were, or never will be; and others.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use capnp::any_pointer;
use capnp::capability::FromClientHook;
use capnp::message::{Builder, HeapAllocator, ReaderOptions};
use capnp::private::capability::ClientHook;
use capnp::traits::ImbueMut;
use capnp_rpc::rpc_capnp::{
    call, cap_descriptor, disembargo, exception, message, message_target, payload, promised_answer,
    return_,
};

use crate::choices::Choices;
use crate::rig::turns;

type Hooks = Vec<Option<Box<dyn ClientHook>>>;

/// An interface and one of its methods.
type Method = (u64, u16);

/// Writes parameters or results, as the input decides.
pub type Fill = fn(&mut Choices<'_>, any_pointer::Builder<'_>);

/// A call that makes sense.
#[derive(Clone, Copy)]
pub struct Typical(pub Method, pub On, pub Fill);

/// Which object takes a call.
#[derive(Clone, Copy)]
pub enum On {
    /// The other side's first one.
    Bootstrap,
    /// What a call of ours returns, in this field.
    Result(Method, u16),
    /// What came with a call of the other side's.
    Heard(Method),
}

/// What a peer says to an interface's calls; `None`: anything.
pub type Answers = fn(Method) -> Option<Fill>;

/// One side of the protocol, as far as a peer plays it.
pub struct Role {
    /// The calls that it makes.
    pub calls: &'static [Typical],
    /// How it answers those that it gets.
    pub answers: Answers,
    /// What it says in the beginning, most of the time: decisions as those of an input.
    pub opening: &'static [u8],
}

/// An object whose only use is to be named in a message.
pub fn object<T: FromClientHook>() -> T {
    T::new(capnp_rpc::new_broken_cap(capnp::Error::failed(String::new())).hook)
}

/// What the peer knows of the other side.
#[derive(Default)]
struct Known {
    /// Calls of the other side that are not answered: their interface and method.
    questions: BTreeMap<u32, Method>,
    /// Its objects, and with which method they came, as parameters or results.
    objects: Vec<(u32, Method)>,
    /// Calls of our own that are not finished.
    calls: Vec<(u32, Method)>,
    next: u32,
}

/// See the module.
pub struct Peer<'a> {
    /// What is still to be decided.
    pub choices: Choices<'a>,
    socket: UnixStream,
    heard: Vec<u8>,
    known: Known,
    role: &'static Role,
    /// The other side has ended the connection.
    pub is_gone: bool,
    /// What was sent is no row of messages any more.
    pub is_garbled: bool,
    /// Whether the other side has answered that call.
    awaited: Option<u32>,
}

/// Turns that the other side gets after a message, and at the end.
const TURNS: usize = 5;
const LAST_TURNS: usize = 40;

/// What stands for the method of the question for the first object.
const BOOTSTRAP: Method = (0, 0);

/// A call's number that the peer does not use otherwise.
const LAST_CALL: u32 = 0x7777;

/// Messages of one input at most.
const MESSAGES: usize = 200;

impl<'a> Peer<'a> {
    /// At its end of a connection.
    pub fn new(
        input: &'a [u8],
        socket: UnixStream,
        role: &'static Role,
    ) -> std::io::Result<Peer<'a>> {
        socket.set_nonblocking(true)?;
        Ok(Peer {
            choices: Choices(input),
            socket,
            heard: Vec::new(),
            known: Known::default(),
            role,
            is_gone: false,
            is_garbled: false,
            awaited: None,
        })
    }

    /// Says all that the input decides.
    ///
    /// # Panics
    /// When the other side neither answers any more nor has ended the connection.
    pub async fn talk(&mut self) {
        self.hear();
        if self.choices.byte() < 0xe0 {
            let input = std::mem::replace(&mut self.choices, Choices(self.role.opening));
            self.say_all().await;
            self.choices = input;
        }
        self.say_all().await;
        turns(LAST_TURNS).await;
        self.hear();
        if self.is_gone || self.is_garbled {
            return;
        }
        self.awaited = Some(LAST_CALL);
        self.send(false, |_, _, message, _| message.init_bootstrap().set_question_id(LAST_CALL));
        for _ in 0..LAST_TURNS {
            turns(TURNS).await;
            self.hear();
            if self.is_gone || self.awaited.is_none() {
                return;
            }
        }
        panic!("the connection is there, and nothing is answered any more");
    }

    async fn say_all(&mut self) {
        for _ in 0..MESSAGES {
            if self.choices.is_over() || self.is_gone {
                break;
            }
            self.say();
            turns(TURNS).await;
            self.hear();
        }
    }

    fn say(&mut self) {
        match self.choices.byte() {
            // Bytes as they are.
            0xff => {
                let bytes = self.choices.bytes();
                self.is_garbled = true;
                self.write(bytes);
            }
            // A message of one segment, with whatever is in it.
            0xf0..0xff => {
                let words = self.choices.bytes();
                let words = &words[..words.len() / 8 * 8];
                let head = [0, (words.len() / 8) as u32];
                let mut bytes: Vec<u8> = head.into_iter().flat_map(u32::to_le_bytes).collect();
                bytes.extend_from_slice(words);
                self.write(&bytes);
            }
            kind => {
                let damaged = self.choices.rarely();
                let role = self.role;
                self.send(damaged, |choices, known, message, hooks| {
                    Speech { choices, known, role, hooks }.any(kind, message);
                });
            }
        }
    }

    fn send(
        &mut self,
        damaged: bool,
        fill: impl FnOnce(&mut Choices<'_>, &mut Known, message::Builder<'_>, &mut Hooks),
    ) {
        let mut builder = Builder::new(HeapAllocator::new().first_segment_words(64));
        let mut hooks = Hooks::new();
        fill(&mut self.choices, &mut self.known, builder.init_root(), &mut hooks);
        let mut bytes = capnp::serialize::write_message_to_words(&builder);
        if damaged {
            // Not in the head, so that the next message begins where it should.
            let head = 8 + usize::from(bytes[0]).div_ceil(2) * 8;
            for _ in 0..=self.choices.roll(3) {
                let at = usize::from(self.choices.byte()) + 256 * usize::from(self.choices.byte());
                let body = bytes.len() - head;
                bytes[head + at % body] = self.choices.byte();
            }
        }
        self.write(&bytes);
    }

    fn write(&mut self, bytes: &[u8]) {
        // Inputs are shorter than the buffers of a socket: what does not go has nobody to read it.
        if self.socket.write_all(bytes).is_err() {
            self.is_gone = true;
        }
    }

    fn hear(&mut self) {
        let mut piece = [0; 4096];
        loop {
            match self.socket.read(&mut piece) {
                Ok(0) => self.is_gone = true,
                Ok(count) => {
                    self.heard.extend_from_slice(&piece[..count]);
                    continue;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => self.is_gone = true,
            }
            break;
        }
        let heard = std::mem::take(&mut self.heard);
        let mut rest = &heard[..];
        while let Some(length) = length_of_message(rest) {
            let (message, behind) = rest.split_at(length);
            self.understand(message).expect("what our side sends are messages of the protocol");
            rest = behind;
        }
        self.heard = rest.to_vec();
    }

    fn understand(&mut self, mut bytes: &[u8]) -> capnp::Result<()> {
        let read =
            capnp::serialize::read_message_from_flat_slice(&mut bytes, ReaderOptions::new())?;
        let root: message::Reader<'_> = read.get_root()?;
        match root.which()? {
            message::Bootstrap(bootstrap) => {
                self.known.questions.insert(bootstrap?.get_question_id(), BOOTSTRAP);
            }
            message::Call(call) => {
                let call = call?;
                let method = (call.get_interface_id(), call.get_method_id());
                self.known.questions.insert(call.get_question_id(), method);
                self.exported(call.get_params()?, method)?;
            }
            message::Return(answer) => {
                let answer = answer?;
                if self.awaited == Some(answer.get_answer_id()) {
                    self.awaited = None;
                }
                if let return_::Results(results) = answer.which()? {
                    let id = answer.get_answer_id();
                    let asked = self.known.calls.iter().find(|(call, _)| *call == id);
                    let method = asked.map_or((0, 0), |(_, method)| *method);
                    self.exported(results?, method)?;
                }
            }
            message::Abort(reason) => drop(reason?.get_reason()?),
            _ => {}
        }
        Ok(())
    }

    fn exported(&mut self, payload: payload::Reader<'_>, by: Method) -> capnp::Result<()> {
        for descriptor in payload.get_cap_table()? {
            if let cap_descriptor::SenderHosted(id) | cap_descriptor::SenderPromise(id) =
                descriptor.which()?
                && !self.known.objects.contains(&(id, by))
            {
                self.known.objects.push((id, by));
            }
        }
        Ok(())
    }
}

/// If all of a message is there: how long it is.
fn length_of_message(bytes: &[u8]) -> Option<usize> {
    let word = |at: usize| {
        Some(u32::from_le_bytes(bytes.get(at * 4..at * 4 + 4)?.try_into().ok()?) as usize)
    };
    let segments = word(0)? + 1;
    let words: usize = (1..=segments).map(word).sum::<Option<usize>>()?;
    let length = (segments + 2) / 2 * 8 + words * 8;
    (bytes.len() >= length).then_some(length)
}

/// One message in the making.
struct Speech<'a, 'c> {
    choices: &'a mut Choices<'c>,
    known: &'a mut Known,
    role: &'static Role,
    hooks: &'a mut Hooks,
}

impl Speech<'_, '_> {
    /// A number that is known, or now and then another.
    fn id(&mut self, known: &[u32]) -> Option<u32> {
        match self.choices.rarely() {
            true => Some(self.any_id()),
            false => self.choices.one_of(known),
        }
    }

    fn any_id(&mut self) -> u32 {
        match self.choices.byte() {
            0xff => u32::MAX,
            0xfe => 1 << 20,
            small => u32::from(small % 8),
        }
    }

    fn call_of_ours(&mut self) -> Option<u32> {
        let calls: Vec<u32> = self.known.calls.iter().map(|(id, _)| *id).collect();
        self.id(&calls)
    }

    fn object_of_theirs(&mut self) -> Option<u32> {
        let objects: Vec<u32> = self.known.objects.iter().map(|(id, _)| *id).collect();
        self.id(&objects)
    }

    fn question_of_theirs(&mut self) -> Option<u32> {
        let questions: Vec<u32> = self.known.questions.keys().copied().collect();
        self.id(&questions)
    }

    fn fresh(&mut self) -> u32 {
        self.known.next += 1;
        match self.choices.rarely() {
            true => self.any_id(),
            false => self.known.next,
        }
    }

    fn any(&mut self, kind: u8, mut message: message::Builder<'_>) {
        match kind % 32 {
            0..10 => {
                let fresh = self.fresh();
                let method = self.call(fresh, message.init_call());
                self.known.calls.push((fresh, method));
            }
            10..18 => match self.question_of_theirs() {
                Some(question) => {
                    let asked = self.known.questions.remove(&question).unwrap_or_default();
                    self.answer(question, asked, message.init_return());
                }
                None => self.bootstrap(message),
            },
            18 => self.bootstrap(message),
            19..22 => {
                let call = self.call_of_ours().unwrap_or_default();
                let mut finish = message.init_finish();
                finish.set_question_id(call);
                finish.set_release_result_caps(self.choices.roll(2) == 0);
                finish.set_require_early_cancellation_workaround(self.choices.roll(2) == 0);
                self.known.calls.retain(|(known, _)| *known != call);
            }
            22 | 23 => {
                let object = self.object_of_theirs().unwrap_or_default();
                let mut release = message.init_release();
                release.set_id(object);
                release.set_reference_count(1 + self.choices.roll(2));
                self.known.objects.retain(|(known, _)| *known != object);
            }
            24 | 25 => {
                let mut resolve = message.init_resolve();
                resolve.set_promise_id(self.any_id());
                match self.choices.roll(3) {
                    0 => self.fail(resolve.init_exception()),
                    _ => self.descriptor(resolve.init_cap()),
                }
            }
            26 | 27 => self.disembargo(message.init_disembargo()),
            28 => {
                let fresh = self.fresh();
                self.call(fresh, message.init_unimplemented().init_call());
            }
            29 => {
                let mut resolve = message.init_unimplemented().init_resolve();
                resolve.set_promise_id(self.any_id());
                self.descriptor(resolve.init_cap());
            }
            30 => match self.choices.roll(6) {
                0 => {
                    let fresh = self.fresh();
                    let mut provide = message.init_provide();
                    provide.set_question_id(fresh);
                    self.target(provide.init_target());
                }
                1 => message.init_accept().set_question_id(self.any_id()),
                2 => message.init_join().set_question_id(self.any_id()),
                3 => {
                    let question = self.question_of_theirs().unwrap_or_default();
                    self.answer(question, (0, 0), message.init_unimplemented().init_return());
                }
                4 => message.init_unimplemented().init_bootstrap().set_question_id(self.any_id()),
                _ => message.init_unimplemented().init_finish().set_question_id(self.any_id()),
            },
            _ => self.fail(message.reborrow().init_abort()),
        }
    }

    fn bootstrap(&mut self, message: message::Builder<'_>) {
        let fresh = self.fresh();
        message.init_bootstrap().set_question_id(fresh);
        self.known.calls.push((fresh, BOOTSTRAP));
    }

    fn call(&mut self, question: u32, mut call: call::Builder<'_>) -> Method {
        call.set_question_id(question);
        let shape = self.choices.byte();
        call.set_allow_third_party_tail_call(shape & 1 != 0);
        call.set_no_promise_pipelining(shape & 6 == 6);
        call.set_only_promise_pipeline(shape & 24 == 24);
        let typical = self.choices.one_of(self.role.calls).filter(|_| shape < 0xf0);
        let method = match typical {
            Some(Typical(method, on, fill)) => {
                match shape < 0xd0 {
                    true => self.suitable(on, call.reborrow().init_target()),
                    false => self.target(call.reborrow().init_target()),
                }
                self.payload(Some(fill), call.reborrow().init_params());
                method
            }
            None => {
                self.target(call.reborrow().init_target());
                let interfaces: Vec<u64> = self.role.calls.iter().map(|call| call.0.0).collect();
                self.payload(None, call.reborrow().init_params());
                let interface = self.choices.one_of(&interfaces).unwrap_or_default();
                (interface, self.choices.roll(20) as u16)
            }
        };
        call.set_interface_id(method.0);
        call.set_method_id(method.1);
        if self.choices.rarely() {
            call.init_send_results_to().set_yourself(());
        }
        method
    }

    /// The newest object that the call is for.
    fn suitable(&mut self, on: On, mut target: message_target::Builder<'_>) {
        let newest = |known: &[(u32, Method)], by: Method| {
            known.iter().rev().find(|(_, method)| *method == by).map(|(id, _)| *id)
        };
        match on {
            On::Heard(method) => {
                target.set_imported_cap(newest(&self.known.objects, method).unwrap_or_default());
            }
            On::Bootstrap | On::Result(..) => {
                let (method, field) = match on {
                    On::Result(method, field) => (method, Some(field)),
                    _ => (BOOTSTRAP, None),
                };
                let mut answer = target.init_promised_answer();
                answer.set_question_id(newest(&self.known.calls, method).unwrap_or_default());
                if let Some(field) = field {
                    answer.init_transform(1).get(0).set_get_pointer_field(field);
                }
            }
        }
    }

    fn target(&mut self, mut target: message_target::Builder<'_>) {
        match (self.choices.roll(4), self.call_of_ours()) {
            (0..3, Some(call)) => self.promised(call, target.init_promised_answer()),
            _ => target.set_imported_cap(self.object_of_theirs().unwrap_or_default()),
        }
    }

    fn promised(&mut self, call: u32, mut answer: promised_answer::Builder<'_>) {
        answer.set_question_id(call);
        let mut transform = answer.init_transform(self.choices.roll(3));
        for at in 0..transform.len() {
            let field = self.choices.roll(3) as u16;
            transform.reborrow().get(at).set_get_pointer_field(field);
        }
    }

    fn descriptor(&mut self, mut cap: cap_descriptor::Builder<'_>) {
        match self.choices.roll(9) {
            0 => cap.set_none(()),
            1 => cap.set_sender_promise(self.any_id()),
            2 | 3 => cap.set_receiver_hosted(self.object_of_theirs().unwrap_or_default()),
            4 => {
                let call = self.call_of_ours().unwrap_or_default();
                self.promised(call, cap.init_receiver_answer());
            }
            5 if self.choices.rarely() => {
                cap.init_third_party_hosted().set_vine_id(self.any_id());
            }
            _ => cap.set_sender_hosted(self.any_id()),
        }
    }

    /// What is said, and the objects that it names; some of them are not in the table.
    fn payload(&mut self, fill: Option<Fill>, mut payload: payload::Builder<'_>) {
        {
            let mut content: any_pointer::Builder<'_> = payload.reborrow().init_content();
            content.imbue_mut(self.hooks);
            match fill {
                Some(fill) => fill(self.choices, content),
                None => anything(self.choices, content),
            }
        }
        let mut count = self.hooks.len() as u32;
        if self.choices.rarely() {
            count = self.choices.roll(5);
        }
        let mut table = payload.init_cap_table(count);
        for at in 0..count {
            self.descriptor(table.reborrow().get(at));
        }
    }

    fn answer(&mut self, question: u32, asked: Method, mut answer: return_::Builder<'_>) {
        answer.set_answer_id(question);
        let shape = self.choices.byte();
        answer.set_release_param_caps(shape & 1 == 0);
        answer.set_no_finish_needed(shape & 6 == 6);
        match shape >> 4 {
            0..12 => {
                let fill = (self.role.answers)(asked).filter(|_| shape & 8 == 0);
                self.payload(fill, answer.init_results());
            }
            12 => answer.set_results_sent_elsewhere(()),
            13 => answer.set_canceled(()),
            14 => answer.set_take_from_other_question(self.any_id()),
            _ => self.fail(answer.init_exception()),
        }
    }

    fn fail(&mut self, mut exception: exception::Builder<'_>) {
        exception.set_reason("the input says so");
        exception.set_type(match self.choices.roll(4) {
            0 => exception::Type::Failed,
            1 => exception::Type::Overloaded,
            2 => exception::Type::Disconnected,
            _ => exception::Type::Unimplemented,
        });
    }

    fn disembargo(&mut self, mut message: disembargo::Builder<'_>) {
        self.target(message.reborrow().init_target());
        let mut context = message.init_context();
        match self.choices.roll(8) {
            0 | 1 => context.set_receiver_loopback(self.any_id()),
            2 => context.set_accept(()),
            3 => context.set_provide(self.any_id()),
            _ => context.set_sender_loopback(self.any_id()),
        }
    }
}

/// A text, an object, a list of them, or nothing.
fn anything(choices: &mut Choices<'_>, mut content: any_pointer::Builder<'_>) {
    match choices.roll(5) {
        0 => {}
        1 => content.set_as_capability(object::<capnp::capability::Client>().hook),
        2 => drop(content.set_as::<capnp::data::Owned>(choices.bytes())),
        _ => {
            // A list of them has the shape of any struct's pointers, as far as these are asked for.
            let count = choices.roll(6);
            let mut list: capnp::any_pointer_list::Builder<'_> = content.initn_as(count);
            for at in 0..count {
                let mut item = list.reborrow().get(at);
                match choices.roll(3) {
                    0 => drop(item.set_as::<capnp::data::Owned>(choices.bytes())),
                    _ => item.set_as_capability(object::<capnp::capability::Client>().hook),
                }
            }
        }
    }
}
