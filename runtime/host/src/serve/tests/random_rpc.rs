//! Apps that send the protocol's messages at random, each well formed: to calls that are under way
//! and calls that are not, about objects that are there, were, or never will be. Whatever comes of
//! it, the RPC library reaches none of the places where it counts on its peer.
//!
//! `SPK_RANDOM_RPC` is how many apps, from which seed on: `20000` or `20000@7`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use capnp::any_pointer;
use capnp::traits::ImbueMut;
use capnp_rpc::rpc_capnp::{
    call, cap_descriptor, disembargo, exception, message, message_target, payload, promised_answer,
    return_,
};
use spk_web_session_conformance::session::echo;

use super::hostile::is_alone;
use super::raw::{Heard, Raw, RawLauncher};
use super::*;
use crate::serve::interfaces;

/// Apps in a run of the tests.
const APPS: u64 = 150;

/// Messages of each.
const MESSAGES: usize = 120;

/// Panics of this process.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Messages that were sent before the connection was given up.
static SENT: AtomicUsize = AtomicUsize::new(0);

/// Numbers that look random and are the same again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as u32) % sides
    }

    /// Small, so that numbers meet; now and then not.
    fn id(&mut self) -> u32 {
        match self.roll(40) {
            0 => u32::MAX,
            1 => 1 << 20,
            _ => self.roll(8),
        }
    }

    /// Whether to do what ends a connection, mostly.
    fn wild(&mut self) -> bool {
        self.roll(60) == 0
    }

    /// One that is known, or now and then another.
    fn one_of(&mut self, known: &BTreeSet<u32>) -> Option<u32> {
        if self.wild() {
            return Some(self.id());
        }
        let at = self.roll(known.len().max(1) as u32) as usize;
        known.iter().nth(at).copied()
    }

    fn interface(&mut self) -> u64 {
        let known = [
            interfaces::WEB_SESSION,
            0xdbb4_d798_ea67_e2e7, // UiView
            0xcd57_3877_29cf_e35f, // ByteStream
            0xad67_8f0f_09bc_b98a, // SandstormApi
            0xc879_3795_6fb8_1ea3, // SystemPersistent
            0xf91a_6bf7_d5e5_9a5b, // SessionContext
            1,
        ];
        known[self.roll(known.len() as u32) as usize]
    }
}

/// What the app knows of the host's side.
#[derive(Default)]
struct Known {
    /// Calls of the host that it has not answered.
    questions: BTreeSet<u32>,
    /// Objects of the host's.
    objects: BTreeSet<u32>,
    /// Calls of its own that the host has answered.
    answered: BTreeSet<u32>,
    /// Calls of its own that are not finished.
    calls: BTreeSet<u32>,
    next: u32,
    gone: bool,
}

type Shared = Arc<(Mutex<Known>, Condvar)>;

fn hear_all(mut raw: Raw, shared: &Shared) {
    loop {
        let heard = raw.hear();
        let mut known = shared.0.lock().unwrap();
        match heard {
            Ok(Heard::Call { question, last_cap, .. }) => {
                known.questions.insert(question);
                known.objects.extend(last_cap);
            }
            Ok(Heard::Bootstrap(question)) => {
                known.questions.insert(question);
            }
            Ok(Heard::Return(question)) => {
                known.answered.insert(question);
            }
            Ok(Heard::Abort(_)) | Err(_) => known.gone = true,
            Ok(Heard::Other) => {}
        }
        shared.1.notify_all();
        if known.gone {
            return;
        }
    }
}

fn descriptor(dice: &mut Dice, known: &Known, mut cap: cap_descriptor::Builder<'_>) {
    match (dice.roll(7), dice.one_of(&known.objects), dice.one_of(&known.calls)) {
        (0, ..) => cap.set_none(()),
        (1, ..) => cap.set_sender_hosted(dice.id()),
        (4, Some(object), _) => cap.set_receiver_hosted(object),
        (5, _, Some(call)) => promised(dice, call, cap.init_receiver_answer()),
        (6, ..) if dice.wild() => cap.init_third_party_hosted().set_vine_id(dice.id()),
        _ => cap.set_sender_promise(dice.id()),
    }
}

fn promised(dice: &mut Dice, call: u32, mut answer: promised_answer::Builder<'_>) {
    answer.set_question_id(call);
    let mut transform = answer.init_transform(dice.roll(3));
    for at in 0..transform.len() {
        transform.reborrow().get(at).set_get_pointer_field(dice.roll(3) as u16);
    }
}

fn target(dice: &mut Dice, known: &Known, mut target: message_target::Builder<'_>) {
    match (dice.roll(2), dice.one_of(&known.calls)) {
        (0, Some(call)) => promised(dice, call, target.init_promised_answer()),
        _ => target.set_imported_cap(dice.one_of(&known.objects).unwrap_or_default()),
    }
}

/// A struct with capabilities in its pointers, some of which are not in the table.
fn fill(dice: &mut Dice, known: &Known, mut payload: payload::Builder<'_>) {
    let mut table = payload.reborrow().init_cap_table(dice.roll(4));
    for at in 0..table.len() {
        descriptor(dice, known, table.reborrow().get(at));
    }
    // It has to live as long as whatever message it is for; nobody reads it.
    let hooks: &'static mut Vec<_> = Box::leak(Box::default());
    let mut content: any_pointer::Builder<'_> = payload.init_content();
    content.imbue_mut(hooks);
    match dice.roll(3) {
        0 => {}
        1 => {
            let cap = capnp_rpc::new_broken_cap(capnp::Error::failed(String::new())).hook;
            content.set_as_capability(cap);
        }
        _ => {
            // A list of them has the shape of any struct's pointers, as far as these are asked for.
            let mut list: capnp::any_pointer_list::Builder<'_> = content.initn_as(3);
            for at in 0..3 {
                let cap = capnp_rpc::new_broken_cap(capnp::Error::failed(String::new())).hook;
                list.reborrow().get(at).set_as_capability(cap);
            }
        }
    }
}

fn fail(dice: &mut Dice, mut exception: exception::Builder<'_>) {
    exception.set_reason("at random");
    exception.set_type(match dice.roll(4) {
        0 => exception::Type::Failed,
        1 => exception::Type::Overloaded,
        2 => exception::Type::Disconnected,
        _ => exception::Type::Unimplemented,
    });
}

fn any_call(dice: &mut Dice, known: &Known, question: u32, mut call: call::Builder<'_>) {
    call.set_question_id(question);
    call.set_interface_id(dice.interface());
    call.set_method_id(dice.roll(6) as u16);
    call.set_allow_third_party_tail_call(dice.roll(2) == 0);
    call.set_no_promise_pipelining(dice.roll(8) == 0);
    call.set_only_promise_pipeline(dice.roll(8) == 0);
    target(dice, known, call.reborrow().init_target());
    fill(dice, known, call.reborrow().init_params());
    if dice.roll(8) == 0 {
        call.init_send_results_to().set_yourself(());
    }
}

fn any_return(dice: &mut Dice, known: &Known, question: u32, mut answer: return_::Builder<'_>) {
    answer.set_answer_id(question);
    answer.set_release_param_caps(dice.roll(2) == 0);
    answer.set_no_finish_needed(dice.roll(4) == 0);
    match (dice.roll(8), dice.wild()) {
        (0..6, _) => fill(dice, known, answer.init_results()),
        (6, true) => answer.set_results_sent_elsewhere(()),
        (6, false) => answer.set_canceled(()),
        (_, true) => answer.set_take_from_other_question(dice.id()),
        _ => fail(dice, answer.init_exception()),
    }
}

fn any_disembargo(dice: &mut Dice, known: &Known, mut message: disembargo::Builder<'_>) {
    target(dice, known, message.reborrow().init_target());
    let mut context = message.init_context();
    match dice.roll(8) {
        0 => context.set_receiver_loopback(dice.id()),
        1 if dice.wild() => context.set_accept(()),
        2 if dice.wild() => context.set_provide(dice.id()),
        _ => context.set_sender_loopback(dice.id()),
    }
}

/// One message, and what the app knows when it is sent.
fn any(dice: &mut Dice, known: &mut Known, mut message: message::Builder<'_>) {
    known.next += 1;
    let mut fresh = known.next;
    if dice.wild() {
        fresh = dice.id();
    }
    match dice.roll(24) {
        0..8 => {
            any_call(dice, known, fresh, message.init_call());
            known.calls.insert(fresh);
        }
        8..14 => match dice.one_of(&known.questions) {
            Some(question) => {
                any_return(dice, known, question, message.init_return());
                known.questions.remove(&question);
            }
            None => {
                message.init_bootstrap().set_question_id(fresh);
                known.calls.insert(fresh);
            }
        },
        14..18 if let Some(call) = dice.one_of(&known.calls) => {
            let mut finish = message.init_finish();
            finish.set_question_id(call);
            finish.set_release_result_caps(dice.roll(2) == 0);
            known.calls.remove(&call);
        }
        18 if let Some(object) = dice.one_of(&known.objects) => {
            let mut release = message.init_release();
            release.set_id(object);
            release.set_reference_count(1);
            known.objects.remove(&object);
        }
        19 if dice.wild() => any_disembargo(dice, known, message.init_disembargo()),
        21 if dice.wild() => any_call(dice, known, fresh, message.init_unimplemented().init_call()),
        22 if dice.wild() => {
            let mut resolve = message.init_unimplemented().init_resolve();
            resolve.set_promise_id(dice.id());
            descriptor(dice, known, resolve.init_cap());
        }
        23 if dice.wild() => {
            let mut provide = message.init_provide();
            provide.set_question_id(fresh);
            target(dice, known, provide.init_target());
        }
        20 if dice.wild() => message.reborrow().init_accept().set_question_id(fresh),
        _ => {
            let mut resolve = message.init_resolve();
            resolve.set_promise_id(dice.id());
            match dice.roll(3) {
                0 => fail(dice, resolve.init_exception()),
                _ => descriptor(dice, known, resolve.init_cap()),
            }
        }
    }
}

/// An app that is well-behaved until the client's first request.
fn app(seed: u64) -> impl Fn(Raw) + Clone + Send {
    move |mut raw: Raw| {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        // The host's own first question, and the client's.
        let Ok((question, _)) = raw.until_get() else { return };
        if raw.decline(question).is_err() {
            return;
        }
        let Ok((question, stream)) = raw.until_get() else { return };
        let shared = Shared::default();
        shared.0.lock().unwrap().questions.insert(question);
        shared.0.lock().unwrap().objects.insert(stream);
        let ears = Raw { stream: raw.stream.try_clone().unwrap(), released: Vec::new() };
        let hearing = std::thread::spawn({
            let shared = shared.clone();
            move || hear_all(ears, &shared)
        });
        for number in 0..MESSAGES {
            // Every now and then all is dealt with: what was asked as the last is answered.
            if number % 8 == 7 {
                let last = 1_000_000 + number as u32;
                if raw.bootstrap(last).is_err() {
                    break;
                }
                let known = shared.0.lock().unwrap();
                let known = shared
                    .1
                    .wait_while(known, |known| !known.gone && !known.answered.contains(&last))
                    .unwrap();
                if known.gone {
                    break;
                }
                drop(known);
                if raw.finish(last).is_err() {
                    break;
                }
            }
            let sent = {
                let mut known = shared.0.lock().unwrap();
                raw.send(|message| any(&mut dice, &mut known, message))
            };
            if sent.is_err() {
                break;
            }
            SENT.fetch_add(1, Ordering::Relaxed);
        }
        // It may be closed already.
        let _ = raw.stream.shutdown(std::net::Shutdown::Both);
        hearing.join().unwrap();
    }
}

#[test]
fn messages_at_random_reach_no_fault_of_the_library() {
    if !is_alone("random_rpc", "messages_at_random_reach_no_fault_of_the_library") {
        return;
    }
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        tell(info);
    }));
    let asked = std::env::var("SPK_RANDOM_RPC").unwrap_or_else(|_| APPS.to_string());
    let (apps, from) = asked.split_once('@').unwrap_or((&asked, "0"));
    let from: u64 = from.parse().unwrap();
    for seed in from..from + apps.parse::<u64>().unwrap() {
        let result = run_launcher(
            Launches::new(echo()),
            Box::new(RawLauncher(app(seed))),
            |_| {},
            |host| async move {
                // Requests of several clients, some of which the app's messages answer.
                let asked = (0..3).map(|number| {
                    let host = host.clone();
                    async move {
                        let path = format!("GET /{number}");
                        let mut client = host.connect().await;
                        client.request(&path, "Connection: close\r\n", "").await;
                        // Some get an answer, some none: the app ends at last.
                        client.rest().await;
                    }
                });
                futures::future::join_all(asked).await;
            },
        );
        // The app may have ended the host's run, or not.
        drop(result);
        assert_eq!(PANICS.load(Ordering::Relaxed), 0, "seed {seed}");
    }
    eprintln!("{apps} apps sent {} messages", SENT.load(Ordering::Relaxed));
}
